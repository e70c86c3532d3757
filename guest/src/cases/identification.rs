// SPDX-License-Identifier: GPL-2.0-only
//! What the interrupt controller says of itself, and that no offset of its frames aborts.

use super::cases;
use crate::cpu::{self, CPUS};
use crate::gic::{self, Version, gicd, gicr, v2};
use crate::mmio::{probe_read32, probe_write32, read32, read64};
use crate::outcome::{Outcome, check, check_eq, skip};
use crate::rvic::call::{self, Conduit};

cases! {
    ANY: gicd_pidr2, gicd_typer, gicd_iidr, gicd_reads_never_abort, gicd_reserved_is_raz_wi,
        beyond_the_last_interrupt_is_raz_wi, rvic_calls_are_unknown;
    V2: gicc_iidr;
    V3: gicd_ctlr_fixed_bits, gicr_typer, gicr_pidr2, gicr_waker, gicr_reads_never_abort, gicr_reserved_is_raz_wi;
}

fn gicd_pidr2() -> Outcome {
    let (offset, version) = match gic::version() {
        Version::V2 => (gicd::PIDR2_V2, 2),
        Version::V3 => (gicd::PIDR2_V3, 3),
    };
    check_eq!("ArchRev", gic::read_gicd(offset) >> 4 & 0xf, version);
    Ok(())
}

fn gicd_typer() -> Outcome {
    let typer = gic::read_gicd(gicd::TYPER);
    match gic::version() {
        Version::V2 => check_eq!("CPUNumber", (typer >> 5 & 7) as usize, CPUS - 1),
        Version::V3 => check!(
            typer >> 19 & 0x1f >= 9,
            "IDbits of TYPER {typer:#x} is less than 9"
        ),
    }
    let before = typer;
    gic::write_gicd(gicd::TYPER, !typer);
    check_eq!("TYPER after a write", gic::read_gicd(gicd::TYPER), before);
    Ok(())
}

fn gicd_iidr() -> Outcome {
    let iidr = gic::read_gicd(gicd::IIDR);
    gic::write_gicd(gicd::IIDR, !iidr);
    check_eq!("IIDR after a write", gic::read_gicd(gicd::IIDR), iidr);
    Ok(())
}

fn gicc_iidr() -> Outcome {
    check_eq!(
        "the architecture version in GICC_IIDR",
        v2::read(v2::IIDR) >> 16 & 0xf,
        2
    );
    Ok(())
}

fn gicd_ctlr_fixed_bits() -> Outcome {
    gic::write_gicd(gicd::CTLR, 2);
    let ctlr = gic::read_gicd(gicd::CTLR);
    check_eq!(
        "GICD_CTLR.ARE, which cannot be switched off",
        ctlr >> 4 & 1,
        1
    );
    check_eq!("GICD_CTLR.DS, with one security state", ctlr >> 6 & 1, 1);
    Ok(())
}

/// Bytes of the distributor.
fn gicd_size() -> usize {
    if gic::version() == Version::V2 {
        0x1000
    } else {
        0x1_0000
    }
}

/// Reads the words of a block, and says where it aborted. Of each 64 KiB, the first and the last 4 KiB have all the
/// registers but IROUTER; of what is between, where a hypervisor would make it slow, every 15th word is read.
fn read_all(what: &str, base: usize, size: usize) -> Outcome {
    let (mut aborts, mut first) = (0, 0);
    let dense = |offset: usize| matches!(offset & 0xffff, 0..0x1000 | 0xf000..);
    for offset in (0..size)
        .step_by(4)
        .filter(|&offset| dense(offset) || offset % 60 == 0)
    {
        if probe_read32(base + offset).is_none() {
            if aborts == 0 {
                first = offset;
            }
            aborts += 1;
        }
    }
    check!(
        aborts == 0,
        "{aborts} words of {what} abort when read, the first at {first:#x}"
    );
    Ok(())
}

/// These words read as zero whatever is written.
fn reserved(what: &str, base: usize, ranges: &[core::ops::Range<usize>]) -> Outcome {
    for range in ranges {
        for offset in range.clone().step_by(4) {
            check!(
                probe_write32(base + offset, u32::MAX),
                "a write to {what} offset {offset:#x} aborts"
            );
            match probe_read32(base + offset) {
                Some(0) => {}
                Some(value) => check!(false, "{what} offset {offset:#x} reads {value:#x}, not 0"),
                None => check!(false, "a read of {what} offset {offset:#x} aborts"),
            }
        }
    }
    Ok(())
}

fn gicd_reads_never_abort() -> Outcome {
    read_all("GICD", gic::gicd_base(), gicd_size())
}

fn gicd_reserved_is_raz_wi() -> Outcome {
    // Implementation defined and later additions are left out.
    let ranges: &[core::ops::Range<usize>] = match gic::version() {
        Version::V2 => &[0x40..0x80, 0xf04..0xf10, 0xf30..0xfc0],
        Version::V3 => &[
            0x14..0x20,
            0x60..0x80,
            0xe00..0xf00,
            0xf04..0xf10,
            0xf30..0x1000,
            0x5000..0x6000,
        ],
    };
    reserved("GICD", gic::gicd_base(), ranges)
}

fn beyond_the_last_interrupt_is_raz_wi() -> Outcome {
    let lines = gic::lines() as usize;
    if lines > 960 {
        skip!("all interrupts are there");
    }
    for (what, register, bits) in [
        ("ISENABLER", gicd::ISENABLER, 1),
        ("ISPENDR", gicd::ISPENDR, 1),
        ("ISACTIVER", gicd::ISACTIVER, 1),
        ("IPRIORITYR", gicd::IPRIORITYR, 8),
        ("ICFGR", gicd::ICFGR, 2),
    ] {
        let range = register + lines * bits / 8..register + 992 * bits / 8;
        reserved(what, gic::gicd_base(), &[range])?;
    }
    Ok(())
}

fn gicr_typer() -> Outcome {
    let mut last = 0;
    for cpu in 0..CPUS {
        let typer = read64(gic::gicr_base(cpu) + gicr::TYPER);
        check_eq!("the processor number", (typer >> 8 & 0xffff) as usize, cpu);
        let halves = [0, 4].map(|half| u64::from(read32(gic::gicr_base(cpu) + gicr::TYPER + half)));
        check_eq!("TYPER in halves", halves[1] << 32 | halves[0], typer);
        last += typer >> 4 & 1;
    }
    check_eq!("redistributors that are the last", last, 1);
    Ok(())
}

fn gicr_pidr2() -> Outcome {
    for cpu in 0..CPUS {
        check_eq!(
            "ArchRev",
            read32(gic::gicr_base(cpu) + gicr::PIDR2) >> 4 & 0xf,
            3
        );
    }
    Ok(())
}

fn gicr_waker() -> Outcome {
    for cpu in 0..CPUS {
        let waker = read32(gic::gicr_base(cpu) + gicr::WAKER);
        check_eq!("ProcessorSleep and ChildrenAsleep", waker & 6, 0);
    }
    Ok(())
}

fn gicr_reads_never_abort() -> Outcome {
    for cpu in 0..CPUS {
        read_all("GICR", gic::gicr_base(cpu), 0x2_0000)?;
    }
    Ok(())
}

fn gicr_reserved_is_raz_wi() -> Outcome {
    let sgi = gicr::SGI_BASE;
    let ranges = &[
        0x30..0x40,
        0x200..0x300,
        sgi..sgi + 0x80,
        sgi + 0x420..sgi + 0x800,
        sgi + 0x1000..sgi + 0x1100,
    ];
    for cpu in 0..CPUS {
        reserved("GICR", gic::gicr_base(cpu), ranges)?;
    }
    Ok(())
}

/// Of one who has a GIC, every call of the others' is one that nobody knows: SMCCC's NOT_SUPPORTED, and nothing happens.
fn rvic_calls_are_unknown() -> Outcome {
    // Xen logs a line for each.
    for function in [
        0xc500_0100,
        0xc500_0101,
        0xc500_0110,
        0xc500_0200,
        0xc500_0202,
        0xc500_0209,
    ] {
        let [status, ..] = call::raw(Conduit::Hvc, function, [cpu::affinity(), 0, 32]);
        check!(
            status as u32 == u32::MAX,
            "call {function:#x} says {status:#x}"
        );
    }
    // Nor is the revision of Xen's service that of one who has them; a board has no such service.
    let [major, minor, ..] = call::raw(Conduit::Hvc, 0x8500_ff03, [0; 3]);
    check!(
        major as u32 == u32::MAX || (major, minor) == (0, 1),
        "the service's revision is {major}.{minor}"
    );
    Ok(())
}
