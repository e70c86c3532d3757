// SPDX-License-Identifier: GPL-2.0-only
//! To which CPU an SPI goes.

use super::{
    cases, expect, expect_and_end, expect_none, job_expect_and_end, job_expect_none,
    job_priority_mask, ready_spi,
};
use crate::gic::{self, Ack, EoiMode, Version, gicd};
use crate::mmio::{write8, write64};
use crate::outcome::{Outcome, check, check_eq, skip};
use crate::{cpu, exception, second, timer};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

cases! {
    ANY: spi_to_cpu1, retarget_while_disabled, retarget_pending, retarget_pending_away_from_cpu1, retarget_back_and_forth,
        retarget_active, one_of_n_is_taken_once, one_of_n_goes_to_the_cpu_that_takes, spi_wakes_cpu1;
    V2: no_target_waits;
    V3: no_such_target_waits;
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

/// What each CPU has taken of those that either may take.
static TAKEN: [AtomicUsize; cpu::CPUS] = [const { AtomicUsize::new(0) }; cpu::CPUS];
/// CPU 0 makes no more of them.
static OVER: AtomicBool = AtomicBool::new(false);

fn count(ack: Ack) {
    let taken = &TAKEN[cpu::current()];
    taken.store(taken.load(SeqCst) + 1, SeqCst);
    gic::end(ack);
}

fn one_of_n_is_taken_once() -> Outcome {
    const COUNT: usize = 50;
    let id = gic::spi(6);
    route_to_any(id)?;
    gic::set_priority(id, PRIORITY);
    gic::enable(id);
    let taken = || TAKEN.iter().map(|taken| taken.load(SeqCst)).sum::<usize>();
    TAKEN.iter().for_each(|taken| taken.store(0, SeqCst));
    OVER.store(false, SeqCst);
    exception::set_handler(count);
    second::start(
        |_| {
            exception::set_handler(count);
            cpu::unmask_irqs();
            timer::within(2000, || OVER.load(SeqCst));
            cpu::mask_irqs();
            Ok(0)
        },
        0,
    )?;
    cpu::unmask_irqs();
    let mut made = 0;
    timer::within(1500, || {
        gic::set_pending(id);
        made += 1;
        let this = timer::within(500, || taken() >= made);
        !this || made == COUNT
    });
    timer::within(10, || false);
    OVER.store(true, SeqCst);
    cpu::mask_irqs();
    second::finish()?;
    check!(taken() == made, "{made} were made, {} taken", taken());
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
                timer.arm(2000);
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
    write8(gic::gicd_base() + gicd::ITARGETSR + id.0 as usize, 0);
    gic::set_pending(id);
    expect_none("although it has no target")?;
    second::run(job_expect_none, 0)?;
    check!(gic::is_pending(id), "not pending");
    gic::route(id, 0);
    expect_and_end(id)
}

fn no_such_target_waits() -> Outcome {
    let id = ready_spi(9, PRIORITY);
    for affinity in [0xff, 0xff << 8, 0xff << 16, 0xff << 32] {
        write64(gic::irouter_address(id), affinity);
        gic::set_pending(id);
        expect_none("although its target does not exist")?;
        second::run(job_expect_none, 0)?;
        check!(gic::is_pending(id), "not pending");
        gic::route(id, 0);
        expect_and_end(id)?;
    }
    Ok(())
}
