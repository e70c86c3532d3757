// SPDX-License-Identifier: GPL-2.0-only
//! Group enables, of the distributor and of the CPU interface, while interrupts are pending.

use super::{cases, expect_and_end, expect_none, ready_spi};
use crate::gic::{self, Ack, IntId, gicd, v2, v3};
use crate::mmio::{read32, write32};
use crate::outcome::{Outcome, check, check_eq, skip};
use crate::second;

cases! {
    ANY: distributor_off_while_pending, distributor_off_then_pending, distributor_off_for_other_cpu,
        cpu_interface_off_while_pending, distributor_off_with_many;
    V2: group1_on_gicv2;
    V3: group0_on_gicv3, sgi0r_does_not_send_group1;
}

const PRIORITY: u8 = 0x80;

fn distributor_off_while_pending() -> Outcome {
    let id = ready_spi(0, PRIORITY);
    gic::set_pending(id);
    gic::set_groups(0);
    expect_none("although the distributor is off")?;
    check!(gic::is_pending(id), "not pending any more");
    gic::set_groups(gic::group());
    expect_and_end(id)?;
    expect_none("a second time")
}

fn distributor_off_then_pending() -> Outcome {
    gic::set_groups(0);
    let id = ready_spi(1, PRIORITY);
    let sgi = IntId(4);
    gic::enable(sgi);
    gic::set_priority(sgi, 0x40);
    gic::set_pending(id);
    gic::send_sgi(sgi, 0);
    expect_none("although the distributor is off")?;
    gic::set_groups(gic::group());
    expect_and_end(sgi)?;
    expect_and_end(id)
}

fn distributor_off_for_other_cpu() -> Outcome {
    second::run(super::job_priority_mask, 0)?;
    let id = ready_spi(2, PRIORITY);
    gic::route(id, 1);
    gic::set_pending(id);
    gic::set_groups(0);
    // GICv2 does not say when it has reached the other CPU.
    crate::timer::within(5, || false);
    second::run(
        |_| {
            gic::set_priority_mask(0xff);
            expect_none("although the distributor is off")?;
            Ok(0)
        },
        0,
    )?;
    second::start(super::job_expect_and_end, id.0 as usize)?;
    gic::set_groups(gic::group());
    second::finish()?;
    Ok(())
}

fn cpu_interface_off_while_pending() -> Outcome {
    let id = ready_spi(3, PRIORITY);
    gic::set_pending(id);
    gic::set_cpu_groups(0);
    expect_none("although the CPU interface is off")?;
    gic::set_cpu_groups(gic::group());
    expect_and_end(id)
}

fn distributor_off_with_many() -> Outcome {
    for n in 0..20 {
        gic::set_pending(ready_spi(n, 0x10 + 8 * n as u8));
    }
    for n in 0..20 {
        gic::set_groups(0);
        expect_none("although the distributor is off")?;
        gic::set_groups(gic::group());
        expect_and_end(gic::spi(n))?;
    }
    expect_none("after all")
}

/// Puts `id` into the group that the others are not in; whether it can be.
fn change_group(id: IntId) -> bool {
    let address = gic::bit_word(gicd::IGROUPR, id, 0);
    let before = read32(address);
    let bit = 1 << (id.0 % 32);
    write32(address, before ^ bit);
    read32(address) == before ^ bit
}

fn group1_on_gicv2() -> Outcome {
    let id = ready_spi(4, PRIORITY);
    if !change_group(id) {
        skip!("IGROUPR cannot be written");
    }
    gic::set_pending(id);
    expect_none("although group 1 is off")?;
    gic::set_groups(3);
    gic::set_cpu_groups(3);
    // AckCtl is 0: IAR does not give it, but says that there is one.
    let ready = crate::timer::within(1000, || gic::highest_pending().0 == 1022);
    check!(
        ready,
        "HPPIR is {}, expected 1022",
        gic::highest_pending().0
    );
    check_eq!(
        "IAR with group 1 pending",
        gic::acknowledge().intid().0,
        1022
    );
    v2::write(v2::CTLR, v2::read(v2::CTLR) | v2::ACK_CTL);
    expect_and_end(id)?;
    check!(!gic::is_active(id), "still active after its end");
    check!(gic::is_idle(), "not idle at the end");
    expect_none("a second time")
}

fn group0_on_gicv3() -> Outcome {
    let id = ready_spi(5, PRIORITY);
    if !change_group(id) {
        skip!("IGROUPR cannot be written");
    }
    gic::set_pending(id);
    expect_none("although group 0 is off")?;
    gic::set_groups(3);
    gic::set_cpu_groups(3);
    expect_none("from the register of the other group")?;
    let ack = v3::acknowledge_group0();
    check_eq!("IAR0", ack, id.0);
    v3::end_group0(ack);
    check!(!gic::is_active(id), "still active after its end");
    check!(gic::is_idle(), "not idle at the end");
    check!(
        Ack(v3::acknowledge_group0()).is_spurious(),
        "it came a second time"
    );
    Ok(())
}

fn sgi0r_does_not_send_group1() -> Outcome {
    let id = IntId(6);
    gic::enable(id);
    v3::write_sgi0r(gic::sgi_value(id, gic::affinity(0)));
    expect_none("although ICC_SGI0R_EL1 sends group 0 only")
}
