// SPDX-License-Identifier: GPL-2.0-only
//! What registers read after they were written.

use super::cases;
use crate::gic::{self, IntId, Trigger, Version, gicd, gicr};
use crate::mmio::{read8, read32, read64, write8, write32, write64};
use crate::outcome::{Outcome, check, check_eq};
use crate::second;

cases! {
    ANY: ipriorityr_bytes, ipriorityr_private_is_banked, icfgr_spi, icfgr_sgi, isenabler_readback;
    V2: itargetsr_private, itargetsr_spi;
    V3: irouter_readback, private_registers_in_gicd_are_res0;
}

/// The bits of a priority that are there.
fn implemented() -> u8 {
    let id = gic::spi(0);
    gic::set_priority(id, 0xff);
    gic::priority(id)
}

fn ipriorityr_bytes() -> Outcome {
    let mask = implemented();
    check!(
        mask >= 0xf0 && mask.leading_ones() + mask.trailing_zeros() >= 8,
        "priority bits {mask:#x}"
    );
    let base = gic::priority_address(gic::spi(4));
    let values = [0x10, 0x50, 0xa0, 0xf0];
    for (n, &value) in values.iter().enumerate() {
        write8(base + n, value);
    }
    check_eq!(
        "IPRIORITYR as a word",
        read32(base),
        u32::from_le_bytes(values)
    );
    write8(base + 2, 0x30);
    check_eq!(
        "IPRIORITYR after a byte was written",
        read32(base),
        0xf030_5010
    );
    write32(base, 0x2040_6080);
    for (n, value) in [0x80, 0x60, 0x40, 0x20].into_iter().enumerate() {
        check_eq!("a byte of IPRIORITYR", read8(base + n), value);
    }
    write32(base, u32::MAX);
    check_eq!(
        "implemented bits",
        read32(base),
        u32::from_le_bytes([mask; 4])
    );
    Ok(())
}

fn ipriorityr_private_is_banked() -> Outcome {
    let id = IntId(9);
    gic::set_priority(id, 0x40);
    let other = second::run(
        |_| {
            gic::set_priority(IntId(9), 0x80);
            Ok(gic::priority(IntId(9)).into())
        },
        0,
    )?;
    check_eq!("the priority on CPU 1", other, 0x80);
    check_eq!("the priority on CPU 0", gic::priority(id), 0x40);
    Ok(())
}

fn icfgr_spi() -> Outcome {
    let id = gic::spi(3);
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::Level] {
        gic::set_trigger(id, trigger);
        check!(
            gic::trigger(id) == trigger,
            "ICFGR does not keep what was written"
        );
        check!(
            gic::trigger(gic::spi(2)) == Trigger::Edge,
            "ICFGR changes its neighbour"
        );
    }
    Ok(())
}

fn icfgr_sgi() -> Outcome {
    let address = match gic::version() {
        Version::V2 => gic::gicd_base() + gicd::ICFGR,
        Version::V3 => gic::gicr_base(0) + gicr::SGI_BASE + gicd::ICFGR,
    };
    write32(address, 0);
    check_eq!(
        "ICFGR0, where SGIs are edge-triggered",
        read32(address) & 0xaaaa_aaaa,
        0xaaaa_aaaa
    );
    Ok(())
}

fn isenabler_readback() -> Outcome {
    for id in [IntId(22), gic::spi(7)] {
        gic::enable(id);
        check!(
            gic::is_enabled(id),
            "interrupt {} does not read as enabled",
            id.0
        );
        let other = gic::bit_word(gicd::ICENABLER, id, 0);
        check!(
            read32(other) >> (id.0 % 32) & 1 == 1,
            "ICENABLER does not show interrupt {}",
            id.0
        );
        gic::disable(id);
        check!(
            !gic::is_enabled(id),
            "interrupt {} still reads as enabled",
            id.0
        );
    }
    Ok(())
}

fn itargetsr_private() -> Outcome {
    let own = |n: usize| {
        let word = gic::gicd_base() + gicd::ITARGETSR + n * 4;
        write32(word, 0);
        read32(word)
    };
    for n in 0..8 {
        check_eq!("ITARGETSR of private interrupts", own(n), 0x0101_0101);
    }
    let other = second::run(
        |n| Ok(read32(gic::gicd_base() + gicd::ITARGETSR + n * 4) as usize),
        2,
    )?;
    check_eq!("the same on CPU 1", other, 0x0202_0202);
    Ok(())
}

fn itargetsr_spi() -> Outcome {
    let byte = gic::gicd_base() + gicd::ITARGETSR + gic::spi(4).0 as usize;
    for targets in [1, 2, 3] {
        write8(byte, targets);
        check_eq!("ITARGETSR", read8(byte), targets);
    }
    write32(byte, 0x0302_0102);
    check_eq!("ITARGETSR as a word", read32(byte), 0x0302_0102);
    check_eq!("its first byte", read8(byte), 2);
    Ok(())
}

fn irouter_readback() -> Outcome {
    let address = gic::irouter_address(gic::spi(5));
    let other = gic::affinity(1);
    write64(address, other);
    check_eq!("IROUTER", read64(address), other);
    check_eq!(
        "its lower half",
        u64::from(read32(address)),
        other & 0xffff_ffff
    );
    write32(address, gic::affinity(0) as u32);
    check_eq!(
        "IROUTER after its lower half was written",
        read64(address),
        gic::affinity(0) & 0xffff_ffff
    );
    Ok(())
}

fn private_registers_in_gicd_are_res0() -> Outcome {
    for register in [
        gicd::ISENABLER,
        gicd::ISPENDR,
        gicd::ISACTIVER,
        gicd::IPRIORITYR,
        gicd::ICFGR,
    ] {
        gic::write_gicd(register, u32::MAX);
        check_eq!(
            "a private interrupt's register in GICD",
            gic::read_gicd(register),
            0
        );
    }
    Ok(())
}
