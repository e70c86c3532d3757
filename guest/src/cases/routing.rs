// SPDX-License-Identifier: GPL-2.0-only
//! To which CPU an SPI goes.

use super::{
    cases, expect, expect_and_end, expect_none, job_expect_and_end, job_expect_none,
    job_priority_mask, ready_spi,
};
use crate::gic::{self, EoiMode, Version, gicd};
use crate::outcome::{Outcome, check, check_eq, skip};
use crate::{cpu, exception, second, timer};

cases! {
    ANY: spi_to_cpu1, retarget_while_disabled, retarget_pending, retarget_pending_away_from_cpu1, retarget_back_and_forth,
        retarget_active, one_of_n_is_taken_once, one_of_n_goes_to_the_cpu_that_takes, spi_wakes_cpu1;
    V2: no_target_waits;
}

const PRIORITY: u8 = 0x80;

fn spi_to_cpu1() -> Outcome {
    let id = ready_spi(0, PRIORITY);
    gic::route(id, 1);
    gic::set_pending(id);
    second::run(job_expect_and_end, id.0 as usize)?;
    expect_none("on the wrong CPU")
}

fn retarget_while_disabled() -> Outcome {
    let id = gic::spi(1);
    gic::set_pending(id);
    gic::route(id, 1);
    gic::enable(id);
    second::run(job_expect_and_end, id.0 as usize)?;
    expect_none("on the wrong CPU")
}

fn retarget_pending() -> Outcome {
    // It waits in the interface of this CPU, where interrupts are masked.
    let id = ready_spi(2, PRIORITY);
    gic::set_pending(id);
    gic::route(id, 1);
    second::run(job_expect_and_end, id.0 as usize)?;
    expect_none("on the CPU that it was taken away from")?;
    check!(!gic::is_pending(id), "still pending");
    Ok(())
}

fn retarget_pending_away_from_cpu1() -> Outcome {
    second::run(job_priority_mask, 0)?;
    let id = ready_spi(3, PRIORITY);
    gic::route(id, 1);
    gic::set_pending(id);
    timer::within(2, || false);
    gic::route(id, 0);
    expect_and_end(id)?;
    second::run(job_priority_mask, 0xff)?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

fn retarget_back_and_forth() -> Outcome {
    let id = ready_spi(4, PRIORITY);
    for n in 0..100 {
        gic::set_pending(id);
        gic::route(id, 1);
        if n % 3 == 0 {
            gic::route(id, 0);
            expect_and_end(id)?;
        } else {
            second::run(job_expect_and_end, id.0 as usize)?;
            gic::route(id, 0);
        }
    }
    expect_none("once too often")?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

fn retarget_active() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    let id = ready_spi(5, PRIORITY);
    gic::set_pending(id);
    let ack = expect(id)?;
    gic::end(ack);
    gic::route(id, 1);
    gic::set_pending(id);
    second::run(job_expect_none, 0)?;
    check!(
        gic::is_active(id) && gic::is_pending(id),
        "not both pending and active"
    );
    gic::deactivate(ack);
    second::run(job_expect_and_end, id.0 as usize)?;
    expect_none("on the wrong CPU")
}

/// Routes to any CPU, or says that this cannot be had.
fn route_to_any(id: gic::IntId) -> Outcome {
    let no_one_of_n = gic::read_gicd(gicd::TYPER) & 1 << 25 != 0;
    if gic::version() == Version::V3 && no_one_of_n {
        skip!("GICD_TYPER.No1N is 1");
    }
    gic::route_to_any(id);
    Ok(())
}

/// On CPU 1: takes what comes within some milliseconds; how many they were.
fn job_take_some(ms: usize) -> Outcome<usize> {
    exception::set_handler(gic::end);
    cpu::unmask_irqs();
    timer::within(ms as u64, || false);
    cpu::mask_irqs();
    Ok(exception::taken())
}

fn one_of_n_is_taken_once() -> Outcome {
    let id = gic::spi(6);
    route_to_any(id)?;
    gic::set_priority(id, PRIORITY);
    gic::enable(id);
    second::start(job_take_some, 250)?;
    exception::set_handler(gic::end);
    let mut made = 0;
    cpu::unmask_irqs();
    timer::within(150, || {
        gic::set_pending(id);
        // The next one is made when this one has been taken, by whomever.
        if timer::within(1000, || !gic::is_pending(id) && !gic::is_active(id)) {
            made += 1;
        }
        made == 50
    });
    timer::within(5, || false);
    cpu::mask_irqs();
    let others = second::finish()?;
    // One CPU may acknowledge, find nothing, and go on: both counts include spurious ones.
    check!(made > 0, "none was taken");
    check!(
        exception::taken() + others >= made,
        "{made} were made, fewer taken"
    );
    expect_none("once more")
}

fn one_of_n_goes_to_the_cpu_that_takes() -> Outcome {
    let id = gic::spi(7);
    route_to_any(id)?;
    gic::set_priority(id, PRIORITY);
    gic::enable(id);
    gic::set_cpu_groups(0);
    gic::set_pending(id);
    second::run(job_expect_and_end, id.0 as usize)?;
    gic::set_cpu_groups(gic::group());
    second::run(
        |_| {
            gic::set_cpu_groups(0);
            Ok(0)
        },
        0,
    )?;
    gic::set_pending(id);
    expect_and_end(id)
}

fn spi_wakes_cpu1() -> Outcome {
    let id = ready_spi(8, PRIORITY);
    gic::route(id, 1);
    for _ in 0..10 {
        second::start(
            |n| {
                // The timer ends the sleep should nothing else do.
                let timer = timer::Timer::Virtual;
                gic::set_priority(timer.intid(), 0xf0);
                gic::enable(timer.intid());
                timer.arm(1000);
                cpu::wait_for_interrupt();
                let outcome = job_expect_and_end(n);
                timer.stop();
                outcome
            },
            id.0 as usize,
        )?;
        timer::within(3, || false);
        gic::set_pending(id);
        check_eq!("the source of an SPI", second::finish()?, 0);
    }
    Ok(())
}

fn no_target_waits() -> Outcome {
    let id = ready_spi(9, PRIORITY);
    crate::mmio::write8(gic::gicd_base() + gicd::ITARGETSR + id.0 as usize, 0);
    gic::set_pending(id);
    expect_none("although it has no target")?;
    second::run(job_expect_none, 0)?;
    check!(gic::is_pending(id), "not pending");
    gic::route(id, 0);
    expect_and_end(id)
}
