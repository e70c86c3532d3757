// SPDX-License-Identifier: GPL-2.0-only
//! What each command of the ITS does to what is mapped and to what is pending, also where that is in a list register: interrupts are
//! masked in this CPU, so what it has been sent waits in its CPU interface.

use super::{
    cases, expect, expect_and_end, expect_lpis, expect_none, job_expect_and_end, ready_spi,
};
use crate::gic::{self, EoiMode, Trigger, gicr};
use crate::its::command::{
    clear, discard, int, inv, invall, mapc, mapi, mapti, movall, movi, unmap_collection,
    unmap_device,
};
use crate::its::{self, CONFIGURED, LPI_ENABLED, gicr_lpi, lpi};
use crate::mmio::{read32, write64};
use crate::outcome::{Outcome, check, check_eq, skip};
use crate::{second, timer};

cases! {
    V3: its_int_to_each_cpu, its_int_merges, its_lpi_has_no_active_state, its_mapi, its_mapti_another_lpi, its_two_devices,
        its_movi, its_movi_moves_what_is_pending, its_movall, its_mapc_moves_a_collection, its_unmapped_collection,
        its_discard, its_discard_of_a_loaded_lpi, its_discard_while_handled, its_clear_of_a_loaded_lpi, its_clear_of_an_idle_lpi,
        its_mapd_again_unmaps_events, its_unmapped_device_with_pending, its_inv_disables, its_inv_enables_what_is_pending,
        its_disabled_by_table_is_kept, its_inv_of_priority, its_invall, its_invlpir, its_priorities, its_priority_beside_an_spi,
        its_preempts, its_lpis_32;
}

const DEVICE: u32 = 5;

/// Events 0 to `count` less one of one device, to as many LPIs, at CPU 0.
fn ready(count: u32) -> Outcome {
    its::begin()?;
    its::map_events(DEVICE, count, 0, 0)
}

fn on_cpu_1(n: u32) -> Outcome {
    second::run(job_expect_and_end, lpi(n).0 as usize).map(drop)
}

fn none_on_cpu_1() -> Outcome {
    second::run(super::job_expect_none, 0).map(drop)
}

fn its_int_to_each_cpu() -> Outcome {
    ready(2)?;
    its::run(&[mapti(DEVICE, 1, lpi(1), 1)])?;
    for _ in 0..20 {
        its::run(&[int(DEVICE, 0)])?;
        expect_and_end(lpi(u32::from(cfg!(feature = "planted-fault"))))?;
        its::run(&[int(DEVICE, 1)])?;
        on_cpu_1(1)?;
    }
    expect_none("once more than it was sent")?;
    none_on_cpu_1()
}

fn its_int_merges() -> Outcome {
    ready(1)?;
    its::run(&[int(DEVICE, 0); 5])?;
    expect_and_end(lpi(0))?;
    expect_none("although it was pending when it was sent again")
}

fn its_lpi_has_no_active_state() -> Outcome {
    ready(1)?;
    gic::set_eoi_mode(EoiMode::Split);
    for _ in 0..5 {
        its::run(&[int(DEVICE, 0)])?;
        // Nobody deactivates it.
        gic::end(expect(lpi(0))?);
        check!(gic::is_idle(), "EOI did not drop the priority");
    }
    let ack = {
        its::run(&[int(DEVICE, 0)])?;
        expect(lpi(0))?
    };
    its::run(&[int(DEVICE, 0)])?;
    gic::end(ack);
    expect_and_end(lpi(0))?;
    expect_none("a third time")
}

fn its_mapi() -> Outcome {
    if its::is_there() && its::event_bits() < 14 {
        skip!("EventIDs have {} bits only", its::event_bits());
    }
    its::begin()?;
    its::map_device(DEVICE, 14)?;
    let event = lpi(7).0;
    its::run(&[mapi(DEVICE, event, 0), int(DEVICE, event)])?;
    expect_and_end(lpi(7))
}

fn its_mapti_another_lpi() -> Outcome {
    ready(1)?;
    its::run(&[mapti(DEVICE, 0, lpi(9), 0), int(DEVICE, 0)])?;
    expect_and_end(lpi(9))?;
    expect_none("of the old mapping")
}

fn its_two_devices() -> Outcome {
    ready(2)?;
    its::map_events(77, 2, 10, 1)?;
    its::run(&[int(77, 1), int(DEVICE, 1)])?;
    expect_and_end(lpi(1))?;
    on_cpu_1(11)?;
    expect_none("after both")
}

fn its_movi() -> Outcome {
    ready(2)?;
    its::run(&[movi(DEVICE, 0, 1), int(DEVICE, 0), int(DEVICE, 1)])?;
    on_cpu_1(0)?;
    expect_and_end(lpi(1))?;
    its::run(&[movi(DEVICE, 0, 0), int(DEVICE, 0)])?;
    expect_and_end(lpi(0))?;
    none_on_cpu_1()
}

fn its_movi_moves_what_is_pending() -> Outcome {
    ready(2)?;
    its::run(&[int(DEVICE, 0), int(DEVICE, 1)])?;
    its::run(&[movi(DEVICE, 0, 1)])?;
    on_cpu_1(0)?;
    expect_and_end(lpi(1))?;
    expect_none("although it has been moved")
}

fn its_movall() -> Outcome {
    ready(4)?;
    its::run(&[0, 1, 2, 3].map(|event| int(DEVICE, event)))?;
    its::run(&[movall(its::target(0), its::target(1))])?;
    for n in 0..4 {
        on_cpu_1(n)?;
    }
    expect_none("although it has been moved")?;
    // Of messages, MOVALL says nothing.
    its::run(&[int(DEVICE, 2)])?;
    expect_and_end(lpi(2))
}

fn its_mapc_moves_a_collection() -> Outcome {
    ready(3)?;
    // The architecture has MOVALL for what is pending.
    its::run(&[mapc(0, 1), int(DEVICE, 0), int(DEVICE, 2)])?;
    on_cpu_1(0)?;
    on_cpu_1(2)?;
    its::run(&[mapc(0, 0), int(DEVICE, 1)])?;
    expect_and_end(lpi(1))?;
    none_on_cpu_1()
}

fn its_unmapped_collection() -> Outcome {
    ready(1)?;
    its::run(&[unmap_collection(0), int(DEVICE, 0)])?;
    expect_none("of a collection that goes nowhere")?;
    its::run(&[mapc(0, 0), int(DEVICE, 0)])?;
    expect_and_end(lpi(0))?;
    expect_none("a second time")
}

fn its_discard() -> Outcome {
    ready(2)?;
    its::run(&[discard(DEVICE, 0), int(DEVICE, 0), int(DEVICE, 1)])?;
    expect_and_end(lpi(1))?;
    expect_none("although it was discarded")?;
    its::run(&[mapti(DEVICE, 0, lpi(0), 1), int(DEVICE, 0)])?;
    on_cpu_1(0)
}

fn its_discard_of_a_loaded_lpi() -> Outcome {
    ready(2)?;
    for _ in 0..20 {
        its::run(&[int(DEVICE, 0), int(DEVICE, 1)])?;
        let first = gic::highest_pending();
        check!(
            first == lpi(0) || first == lpi(1),
            "the highest pending is {}",
            first.0
        );
        its::run(&[discard(DEVICE, 0)])?;
        expect_and_end(lpi(1))?;
        expect_none("although it was discarded")?;
        its::run(&[mapti(DEVICE, 0, lpi(0), 0)])?;
        expect_none("although it was discarded before it was mapped again")?;
    }
    its::run(&[int(DEVICE, 0)])?;
    expect_and_end(lpi(0))
}

fn its_discard_while_handled() -> Outcome {
    ready(1)?;
    its::run(&[int(DEVICE, 0)])?;
    let ack = expect(lpi(0))?;
    its::run(&[discard(DEVICE, 0)])?;
    gic::end(ack);
    check!(gic::is_idle(), "its end did not drop the priority");
    its::run(&[mapti(DEVICE, 0, lpi(0), 0), int(DEVICE, 0)])?;
    expect_and_end(lpi(0))?;
    expect_none("a second time")
}

fn its_clear_of_a_loaded_lpi() -> Outcome {
    ready(2)?;
    for _ in 0..20 {
        its::run(&[int(DEVICE, 0), int(DEVICE, 1)])?;
        its::run(&[clear(DEVICE, 0)])?;
        expect_and_end(lpi(1))?;
        expect_none("although it was cleared")?;
    }
    its::run(&[int(DEVICE, 0)])?;
    expect_and_end(lpi(0))
}

fn its_clear_of_an_idle_lpi() -> Outcome {
    ready(1)?;
    its::run(&[clear(DEVICE, 0)])?;
    expect_none("of a CLEAR")?;
    its::run(&[clear(DEVICE, 0), int(DEVICE, 0)])?;
    expect_and_end(lpi(0))
}

fn its_mapd_again_unmaps_events() -> Outcome {
    ready(2)?;
    its::run(&[discard(DEVICE, 0), discard(DEVICE, 1)])?;
    its::map_device(DEVICE, 4)?;
    its::run(&[int(DEVICE, 0), int(DEVICE, 1)])?;
    expect_none("of a device with a new table")?;
    its::run(&[mapti(DEVICE, 15, lpi(3), 0), int(DEVICE, 15)])?;
    expect_and_end(lpi(3))
}

/// What becomes of what is pending when its device goes without a DISCARD is left open: it comes once, or not at all.
fn its_unmapped_device_with_pending() -> Outcome {
    ready(8)?;
    let all = [0, 1, 2, 3, 4, 5, 6, 7].map(|event| int(DEVICE, event));
    its::run(&all)?;
    its::run(&[unmap_device(DEVICE)])?;
    let mut seen = 0_u32;
    let mut ack = gic::acknowledge();
    while !ack.is_spurious() {
        let n = ack.intid().0.wrapping_sub(lpi(0).0);
        gic::end(ack);
        check!(n < 8 && seen >> n & 1 == 0, "{:#x} came", ack.intid().0);
        seen |= 1 << n;
        ack = gic::acknowledge();
    }
    its::run(&all)?;
    expect_none("of a device that has gone")?;
    its::map_events(DEVICE, 8, 0, 1)?;
    none_on_cpu_1()?;
    its::run(&[int(DEVICE, 7)])?;
    on_cpu_1(7)
}

fn its_inv_disables() -> Outcome {
    ready(1)?;
    its::configure(lpi(0), CONFIGURED & !LPI_ENABLED);
    its::run(&[inv(DEVICE, 0), int(DEVICE, 0)])?;
    expect_none("although it is disabled")?;
    its::configure(lpi(0), CONFIGURED);
    its::run(&[inv(DEVICE, 0)])?;
    expect_and_end(lpi(0))?;
    expect_none("a second time")
}

fn its_inv_enables_what_is_pending() -> Outcome {
    ready(2)?;
    // Loaded, then disabled there.
    its::run(&[int(DEVICE, 0), int(DEVICE, 1)])?;
    its::configure(lpi(0), CONFIGURED & !LPI_ENABLED);
    its::run(&[inv(DEVICE, 0)])?;
    expect_and_end(lpi(1))?;
    expect_none("although it is disabled")?;
    its::configure(lpi(0), CONFIGURED);
    its::run(&[inv(DEVICE, 0)])?;
    expect_and_end(lpi(0))?;
    expect_none("a second time")
}

fn its_disabled_by_table_is_kept() -> Outcome {
    its::begin()?;
    its::configure(lpi(0), CONFIGURED & !LPI_ENABLED);
    its::map_events(DEVICE, 1, 0, 0)?;
    its::run(&[inv(DEVICE, 0), int(DEVICE, 0)])?;
    expect_none("although it is disabled")?;
    its::configure(lpi(0), CONFIGURED);
    // It is pending, and goes as such.
    its::run(&[movi(DEVICE, 0, 1), inv(DEVICE, 0)])?;
    on_cpu_1(0)?;
    expect_none("although it has been moved")
}

fn its_inv_of_priority() -> Outcome {
    ready(3)?;
    let with = |priority| priority | CONFIGURED & 3;
    its::configure(lpi(0), with(0x40));
    its::configure(lpi(1), with(0x60));
    its::configure(lpi(2), with(0x80));
    its::run(&[0, 1, 2].map(|event| inv(DEVICE, event)))?;
    its::run(&[2, 1, 0].map(|event| int(DEVICE, event)))?;
    check_eq!("the highest pending", gic::highest_pending().0, lpi(0).0);
    its::configure(lpi(0), with(0xc0));
    its::configure(lpi(2), with(0x20));
    its::run(&[0, 2].map(|event| inv(DEVICE, event)))?;
    for (n, priority) in [(2, 0x20), (1, 0x60), (0, 0xc0)] {
        let ack = expect(lpi(n))?;
        check_eq!("the running priority", gic::running_priority(), priority);
        gic::end(ack);
    }
    Ok(())
}

fn its_invall() -> Outcome {
    ready(6)?;
    its::run(&[movi(DEVICE, 5, 1)])?;
    for n in 0..6 {
        its::configure(lpi(n), CONFIGURED & !LPI_ENABLED);
    }
    its::run(&[invall(0), invall(1)])?;
    its::run(&[0, 1, 2, 3, 4, 5].map(|event| int(DEVICE, event)))?;
    expect_none("although it is disabled")?;
    none_on_cpu_1()?;
    for n in 0..6 {
        its::configure(lpi(n), CONFIGURED);
    }
    its::run(&[invall(0)])?;
    expect_lpis(&[0, 1, 2, 3, 4])?;
    its::run(&[invall(1)])?;
    on_cpu_1(5)
}

fn its_invlpir() -> Outcome {
    const IR: u32 = 1 << 2;
    ready(1)?;
    if read32(its::gicr_register(0, gicr::CTLR)) & IR == 0 {
        skip!("GICR_CTLR.IR is 0");
    }
    let calm = || {
        let syncr = its::gicr_register(0, gicr_lpi::SYNCR);
        timer::within(1000, || read32(syncr) & 1 == 0)
    };
    its::configure(lpi(0), CONFIGURED & !LPI_ENABLED);
    write64(its::gicr_register(0, gicr_lpi::INVLPIR), lpi(0).0.into());
    check!(calm(), "GICR_SYNCR.Busy stays 1");
    its::run(&[int(DEVICE, 0)])?;
    expect_none("although it is disabled")?;
    its::configure(lpi(0), CONFIGURED);
    write64(its::gicr_register(0, gicr_lpi::INVALLR), 0);
    check!(calm(), "GICR_SYNCR.Busy stays 1");
    expect_and_end(lpi(0))
}

fn its_priorities() -> Outcome {
    its::begin()?;
    for n in 0..16 {
        its::configure(lpi(n), ((n * 7 % 16 * 8) as u8) | CONFIGURED & 3);
    }
    its::map_events(DEVICE, 16, 0, 0)?;
    its::run(&[invall(0)])?;
    for event in 0..16 {
        its::put(&int(DEVICE, event));
    }
    its::sync()?;
    let mut last = 0;
    for _ in 0..16 {
        let ack = super::next()?;
        let (id, running) = (ack.intid().0, gic::running_priority());
        let n = id.wrapping_sub(lpi(0).0);
        check_eq!("the priority", u32::from(running), n * 7 % 16 * 8);
        check!(running >= last, "{running:#x} came after {last:#x}");
        last = running;
        gic::end(ack);
    }
    expect_none("after all")
}

fn its_priority_beside_an_spi() -> Outcome {
    its::begin()?;
    its::configure(lpi(0), 0x40 | CONFIGURED & 3);
    its::configure(lpi(1), 0xc0 | CONFIGURED & 3);
    its::map_events(DEVICE, 2, 0, 0)?;
    let spi = ready_spi(3, 0x80);
    gic::set_trigger(spi, Trigger::Edge);
    its::run(&[invall(0), int(DEVICE, 1), int(DEVICE, 0)])?;
    gic::set_pending(spi);
    expect_and_end(lpi(0))?;
    expect_and_end(spi)?;
    expect_and_end(lpi(1))
}

fn its_preempts() -> Outcome {
    its::begin()?;
    its::configure(lpi(1), 0x40 | CONFIGURED & 3);
    its::map_events(DEVICE, 3, 0, 0)?;
    its::run(&[invall(0), int(DEVICE, 0)])?;
    let outer = expect(lpi(0))?;
    its::run(&[int(DEVICE, 2)])?;
    expect_none("although its priority is no higher")?;
    its::run(&[int(DEVICE, 1)])?;
    expect_and_end(lpi(1))?;
    gic::end(outer);
    expect_and_end(lpi(2))
}

fn its_lpis_32() -> Outcome {
    ready(32)?;
    for event in (0..32).rev() {
        its::put(&int(DEVICE, event));
    }
    its::sync()?;
    let all: [u32; 32] = core::array::from_fn(|n| n as u32);
    expect_lpis(&all)?;
    expect_none("after all")
}
