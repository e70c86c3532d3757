// SPDX-License-Identifier: GPL-2.0-only
//! Pending, active and enabled: what the bits do, and what they read.

use super::{cases, expect, expect_and_end, expect_none, ready_spi};
use crate::gic::{self, EoiMode, Trigger, Version, gicd};
use crate::mmio::read32;
use crate::outcome::{Outcome, check, skip};
use crate::second;

cases! {
    ANY: spi_pending_is_delivered, pending_before_enable, pending_cleared_before_enable, pending_cleared_in_flight,
        edge_pends_once, level_made_pending, level_pending_cleared, active_readback, active_blocks_delivery,
        active_cleared_by_icactiver, pending_while_active, disabled_in_flight, disabled_while_active,
        active_on_other_cpu_is_seen, pending_on_other_cpu_is_seen, active_cleared_from_other_cpu;
    V3: ppi_pending_for_other_cpu, setspi_clrspi;
}

const PRIORITY: u8 = 0x80;

fn spi_pending_is_delivered() -> Outcome {
    let id = ready_spi(0, PRIORITY);
    for _ in 0..50 {
        gic::set_pending(id);
        expect_and_end(id)?;
        check!(!gic::is_pending(id), "still pending after its end");
    }
    expect_none("once more than it was made pending")
}

fn pending_before_enable() -> Outcome {
    let id = gic::spi(1);
    gic::set_pending(id);
    check!(gic::is_pending(id), "ISPENDR does not read back");
    let other = gic::bit_word(gicd::ICPENDR, id, 0);
    check!(
        read32(other) >> (id.0 % 32) & 1 == 1,
        "ICPENDR does not show it"
    );
    expect_none("although it is disabled")?;
    gic::enable(id);
    expect_and_end(id)?;
    check!(!gic::is_pending(id), "still pending after its end");
    expect_none("a second time")
}

fn pending_cleared_before_enable() -> Outcome {
    let id = gic::spi(1);
    gic::set_pending(id);
    gic::clear_pending(id);
    check!(!gic::is_pending(id), "still pending after ICPENDR");
    gic::enable(id);
    expect_none("although it was cleared")
}

fn pending_cleared_in_flight() -> Outcome {
    // Interrupts are masked in this CPU, so it waits in the CPU interface.
    let id = ready_spi(2, PRIORITY);
    gic::set_pending(id);
    gic::clear_pending(id);
    check!(!gic::is_pending(id), "still pending after ICPENDR");
    expect_none("although it was cleared")?;
    gic::set_pending(id);
    expect_and_end(id)
}

fn edge_pends_once() -> Outcome {
    let id = ready_spi(3, PRIORITY);
    gic::set_pending(id);
    gic::set_pending(id);
    expect_and_end(id)?;
    expect_none("twice, although it was pending already")
}

fn level_made_pending() -> Outcome {
    let id = gic::spi(4);
    gic::set_trigger(id, Trigger::Level);
    gic::set_priority(id, PRIORITY);
    gic::enable(id);
    gic::set_pending(id);
    let ack = expect(id)?;
    check!(
        !gic::is_pending(id),
        "its line is low, but it is pending after the acknowledge"
    );
    gic::end(ack);
    expect_none("again, although its line is low")
}

fn level_pending_cleared() -> Outcome {
    let id = gic::spi(4);
    gic::set_trigger(id, Trigger::Level);
    gic::set_pending(id);
    check!(gic::is_pending(id), "ISPENDR does not read back");
    gic::clear_pending(id);
    check!(!gic::is_pending(id), "still pending after ICPENDR");
    gic::enable(id);
    expect_none("although it was cleared")
}

fn active_readback() -> Outcome {
    let id = ready_spi(5, PRIORITY);
    check!(!gic::is_active(id), "active before it came");
    gic::set_pending(id);
    let ack = expect(id)?;
    check!(gic::is_active(id), "not active after the acknowledge");
    check!(!gic::is_pending(id), "still pending after the acknowledge");
    gic::end(ack);
    check!(!gic::is_active(id), "still active after its end");
    Ok(())
}

fn active_blocks_delivery() -> Outcome {
    let id = gic::spi(6);
    gic::set_active(id);
    check!(gic::is_active(id), "ISACTIVER does not read back");
    gic::enable(id);
    gic::set_pending(id);
    expect_none("although it is active")?;
    gic::clear_active(id);
    check!(!gic::is_active(id), "still active after ICACTIVER");
    expect_and_end(id)?;
    expect_none("a second time")
}

fn active_cleared_by_icactiver() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    let id = ready_spi(6, PRIORITY);
    gic::set_pending(id);
    gic::end(expect(id)?);
    check!(
        gic::is_active(id),
        "not active although it has not been deactivated"
    );
    gic::clear_active(id);
    check!(!gic::is_active(id), "still active after ICACTIVER");
    gic::set_pending(id);
    let ack = expect(id)?;
    gic::end(ack);
    gic::deactivate(ack);
    check!(!gic::is_active(id), "still active after DIR");
    Ok(())
}

fn pending_while_active() -> Outcome {
    let id = ready_spi(7, PRIORITY);
    gic::set_pending(id);
    let ack = expect(id)?;
    gic::set_pending(id);
    check!(
        gic::is_pending(id) && gic::is_active(id),
        "not both pending and active"
    );
    expect_none("although it is active")?;
    gic::end(ack);
    check!(!gic::is_active(id), "still active after its end");
    expect_and_end(id)?;
    expect_none("a third time")
}

fn disabled_in_flight() -> Outcome {
    let id = ready_spi(8, PRIORITY);
    gic::set_pending(id);
    gic::disable(id);
    expect_none("although it was disabled")?;
    check!(
        gic::is_pending(id),
        "no longer pending after it was disabled"
    );
    gic::enable(id);
    expect_and_end(id)?;
    expect_none("a second time")
}

fn disabled_while_active() -> Outcome {
    let id = ready_spi(9, PRIORITY);
    gic::set_pending(id);
    let ack = expect(id)?;
    gic::disable(id);
    check!(
        gic::is_active(id),
        "not active any more after it was disabled"
    );
    gic::end(ack);
    check!(!gic::is_active(id), "still active after its end");
    gic::set_pending(id);
    expect_none("although it is disabled")?;
    gic::enable(id);
    expect_and_end(id)
}

/// On CPU 1: acknowledges, and leaves it active.
fn job_acknowledge(n: usize) -> Outcome<usize> {
    Ok(expect(gic::IntId(n as u32))?.0 as usize)
}

fn job_end(ack: usize) -> Outcome<usize> {
    gic::end(gic::Ack(ack as u32));
    Ok(0)
}

fn active_on_other_cpu_is_seen() -> Outcome {
    let id = ready_spi(10, PRIORITY);
    gic::route(id, 1);
    gic::set_pending(id);
    let ack = second::run(job_acknowledge, id.0 as usize)?;
    check!(
        gic::is_active(id),
        "not active although CPU 1 has acknowledged it"
    );
    check!(
        !gic::is_pending(id),
        "still pending although CPU 1 has acknowledged it"
    );
    second::run(job_end, ack)?;
    check!(
        !gic::is_active(id),
        "still active although CPU 1 has ended it"
    );
    Ok(())
}

fn pending_on_other_cpu_is_seen() -> Outcome {
    second::run(super::job_priority_mask, 0)?;
    let id = ready_spi(10, PRIORITY);
    gic::route(id, 1);
    gic::set_pending(id);
    check!(gic::is_pending(id), "not pending");
    gic::clear_pending(id);
    check!(!gic::is_pending(id), "still pending after ICPENDR");
    second::run(super::job_priority_mask, 0xff)?;
    second::run(super::job_expect_none, 0)?;
    Ok(())
}

fn active_cleared_from_other_cpu() -> Outcome {
    let id = ready_spi(11, PRIORITY);
    gic::route(id, 1);
    gic::set_pending(id);
    second::run(
        |n| {
            gic::set_eoi_mode(EoiMode::Split);
            let ack = job_acknowledge(n)?;
            job_end(ack)
        },
        id.0 as usize,
    )?;
    check!(
        gic::is_active(id),
        "not active although CPU 1 has not deactivated it"
    );
    gic::clear_active(id);
    check!(!gic::is_active(id), "still active after ICACTIVER");
    gic::set_pending(id);
    second::run(job_acknowledge, id.0 as usize)?;
    Ok(())
}

fn ppi_pending_for_other_cpu() -> Outcome {
    let id = gic::IntId(23);
    second::run(
        |_| {
            gic::enable(gic::IntId(23));
            Ok(0)
        },
        0,
    )?;
    gic::enable(id);
    gic::write_bit_of(1, gicd::ISPENDR, id);
    second::run(super::job_expect_and_end, 23)?;
    expect_none("on the wrong CPU")?;
    check!(
        !gic::read_bit_of(1, gicd::ISPENDR, id),
        "still pending on CPU 1"
    );
    Ok(())
}

fn setspi_clrspi() -> Outcome {
    let message_based = gic::read_gicd(gicd::TYPER) & 1 << 16 != 0;
    if gic::version() == Version::V3 && !message_based {
        skip!("GICD_TYPER.MBIS is 0");
    }
    let id = ready_spi(12, PRIORITY);
    gic::write_gicd(gicd::SETSPI_NSR, id.0);
    expect_and_end(id)?;
    gic::set_trigger(id, Trigger::Level);
    gic::write_gicd(gicd::SETSPI_NSR, id.0);
    let ack = expect(id)?;
    gic::write_gicd(gicd::CLRSPI_NSR, id.0);
    gic::end(ack);
    expect_none("after CLRSPI")
}
