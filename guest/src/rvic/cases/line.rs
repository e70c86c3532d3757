// SPDX-License-Identifier: GPL-2.0-only
//! ISR_EL1.I mirrors the rVIC: at once after a call of one's own, and without any call where another CPU has changed something.

use super::{done, expect_and_end, expect_none, line_becomes, line_is, mask, signal, unmask};
use crate::cpu;
use crate::outcome::{Outcome, check};
use crate::rvic::call::{self, Status};
use crate::rvic::{mpidr, own};
use crate::{exception, rvic, timer};
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

crate::cases::cases! {
    ANY: isr_mirrors_own_calls, isr_mirrors_other_cpus, isr_while_others_change_it, exception_is_taken, exception_is_taken_back;
}

fn isr_mirrors_own_calls() -> Outcome {
    line_is(false, "in the beginning")?;
    signal(10)?;
    line_is(false, "while it is masked")?;
    unmask(10)?;
    line_is(true, "after CLEAR_MASKED")?;
    done("DISABLE", call::disable())?;
    line_is(false, "after DISABLE")?;
    done("ENABLE", call::enable())?;
    line_is(true, "after ENABLE")?;
    mask(10)?;
    line_is(false, "after SET_MASKED")?;
    unmask(10)?;
    signal(11)?;
    unmask(11)?;
    expect_and_end(10)?;
    line_is(true, "with one more")?;
    done("CLEAR_PENDING", call::clear_pending(own(), 11))?;
    line_is(false, "after CLEAR_PENDING")?;
    expect_none("at the end")
}

/// What the other has come to.
static STAGE: AtomicUsize = AtomicUsize::new(0);

fn stage(n: usize) {
    STAGE.store(n, SeqCst);
    cpu::send_event();
}

/// Each time the line changes without a call of this CPU's.
fn job_watch(_: usize) -> Outcome<usize> {
    stage(1);
    line_becomes(true, "after another's SIGNAL")?;
    stage(2);
    line_becomes(false, "after another's SET_MASKED")?;
    stage(3);
    line_becomes(true, "after another's CLEAR_MASKED")?;
    stage(4);
    line_becomes(false, "after another's CLEAR_PENDING")?;
    stage(5);
    expect_none("after another's CLEAR_PENDING")?;
    Ok(0)
}

fn reached(n: usize) -> Outcome {
    let reached = || {
        cpu::wait_for_event();
        STAGE.load(SeqCst) == n
    };
    check!(
        timer::within(super::LIMIT, reached),
        "it does not come to stage {n}"
    );
    Ok(())
}

fn isr_mirrors_other_cpus() -> Outcome {
    for other in super::others() {
        let target = other.mpidr();
        STAGE.store(0, SeqCst);
        done("CLEAR_MASKED", call::clear_masked(target, 12))?;
        other.start(job_watch, 0)?;
        let calls: [fn(u64, u64) -> Status; 4] = [
            call::signal,
            call::set_masked,
            call::clear_masked,
            call::clear_pending,
        ];
        for (n, call) in calls.into_iter().enumerate() {
            // If it does not come so far, it says why.
            if reached(n + 1).is_ok() {
                done("a call on another", call(target, 12))?;
            }
        }
        other.finish()?;
    }
    Ok(())
}

const ROUNDS: usize = 2000;

/// Turns one interrupt of CPU 0 on and off.
fn job_toggle(rounds: usize) -> Outcome<usize> {
    for _ in 0..rounds {
        done("SIGNAL", call::signal(mpidr(0), 13))?;
        done("CLEAR_PENDING", call::clear_pending(mpidr(0), 13))?;
    }
    done("SIGNAL", call::signal(mpidr(0), 13))?;
    Ok(0)
}

/// Whatever has happened before, in the end it is up, once.
fn isr_while_others_change_it() -> Outcome {
    unmask(13)?;
    for other in super::others() {
        other.start(job_toggle, ROUNDS)?;
        other.finish()?;
        line_becomes(true, "although the last SIGNAL stands")?;
        expect_and_end(13)?;
        expect_none("again")?;
    }
    Ok(())
}

static TAKEN: AtomicUsize = AtomicUsize::new(0);

fn count(intid: u64) {
    TAKEN.store(TAKEN.load(SeqCst) + 1, SeqCst);
    rvic::end(intid);
}

fn exception_is_taken() -> Outcome {
    TAKEN.store(0, SeqCst);
    rvic::set_handler(count);
    unmask(14)?;
    cpu::unmask_irqs();
    for n in 1..=100 {
        signal(14)?;
        // The exception comes with the return from the call.
        check!(
            TAKEN.load(SeqCst) == n,
            "{} of {n} were taken",
            TAKEN.load(SeqCst)
        );
    }
    cpu::mask_irqs();
    check!(
        exception::taken() == 100 && rvic::spurious() == 0,
        "there were {} exceptions, {} for nothing",
        exception::taken(),
        rvic::spurious()
    );
    Ok(())
}

/// No exception once it has been taken back: the interrupt was masked in PSTATE while it was there.
fn exception_is_taken_back() -> Outcome {
    TAKEN.store(0, SeqCst);
    rvic::set_handler(count);
    unmask(14)?;
    for round in 0..100 {
        signal(14)?;
        line_is(true, "after SIGNAL")?;
        match round % 3 {
            0 => mask(14)?,
            1 => done("CLEAR_PENDING", call::clear_pending(own(), 14))?,
            _ => done("DISABLE", call::disable())?,
        }
        cpu::unmask_irqs();
        cpu::mask_irqs();
        check!(
            exception::taken() == 0,
            "there was an exception in round {round}"
        );
        done("CLEAR_PENDING", call::clear_pending(own(), 14))?;
        done("ENABLE", call::enable())?;
        unmask(14)?;
    }
    Ok(())
}
