// SPDX-License-Identifier: GPL-2.0-only
//! SIGNAL from CPU to CPU, both ways, and what one CPU may do to the interrupts of another.

use super::{
    done, expect_and_end, expect_none, job_expect_and_end, job_expect_none, job_unmask, others,
    pending_is, unmask,
};
use crate::cpu::{self, MOST};
use crate::outcome::{Outcome, check};
use crate::rvic::call::{self, Status, check_status};
use crate::rvic::{self, mpidr, own, total};
use crate::timer;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

crate::cases::cases! {
    ANY: ipi_to_each_cpu, ipi_from_each_cpu, ipi_there_and_back, ipi_each_to_each, ipi_masked_by_another,
        ipi_pending_seen_by_another, ipi_to_disabled_cpu, ipi_order_between_cpus, masks_are_of_one_cpu;
}

fn ipi_to_each_cpu() -> Outcome {
    for other in others() {
        for intid in [0, 1, 15, total() - 1] {
            other.run(job_unmask, intid as usize)?;
            done("SIGNAL", call::signal(other.mpidr(), intid))?;
            other.run(job_expect_and_end, intid as usize)?;
            other.run(job_expect_none, 0)?;
        }
    }
    expect_none("although others were meant")
}

fn job_signal_to_0(intid: usize) -> Outcome<usize> {
    done("SIGNAL", call::signal(mpidr(0), intid as u64))?;
    Ok(0)
}

fn ipi_from_each_cpu() -> Outcome {
    for other in others() {
        unmask(other.0 as u64)?;
        other.run(job_signal_to_0, other.0)?;
        expect_and_end(other.0 as u64)?;
        expect_none("again")?;
    }
    Ok(())
}

const ROUNDS: usize = 200;

/// How often CPU n has taken interrupt m: written by CPU n only.
static TAKEN: [[AtomicUsize; MOST]; MOST] = [const { [const { AtomicUsize::new(0) }; MOST] }; MOST];

fn taken(cpu: usize, intid: usize) -> usize {
    TAKEN[cpu][intid].load(SeqCst)
}

fn count(intid: u64) {
    let own = cpu::current();
    if let Some(taken) = TAKEN[own].get(intid as usize) {
        taken.store(taken.load(SeqCst) + 1, SeqCst);
    }
    rvic::end(intid);
}

fn count_from_0() {
    TAKEN.iter().flatten().for_each(|n| n.store(0, SeqCst));
}

/// Sleeps until this CPU has taken interrupt `intid` so often.
fn sleep_until(intid: usize, n: usize) -> Outcome {
    let own = cpu::current();
    while taken(own, intid) < n {
        // Should nothing come, the timer ends the sleep and the case.
        cpu::wait_for_interrupt();
        cpu::unmask_irqs();
        cpu::mask_irqs();
        check!(
            taken(own, DOG) == 0,
            "interrupt {intid} came {} times, expected {n}",
            taken(own, intid)
        );
    }
    Ok(())
}

/// What counts when the timer has ended a sleep.
const DOG: usize = 3;

fn count_or_wake(intid: u64) {
    if intid == u64::from(timer::Timer::Virtual.intid().0) {
        timer::Timer::Virtual.stop();
        count(DOG as u64);
    } else {
        count(intid);
    }
}

fn watched() -> Outcome {
    rvic::set_handler(count_or_wake);
    unmask(timer::Timer::Virtual.intid().0.into())?;
    timer::Timer::Virtual.arm(60_000);
    unmask(1)
}

fn job_answer(_: usize) -> Outcome<usize> {
    watched()?;
    for round in 1..=ROUNDS {
        sleep_until(1, round)?;
        done("SIGNAL", call::signal(mpidr(0), 1))?;
    }
    timer::Timer::Virtual.stop();
    Ok(0)
}

/// Each wakes the other from WFI.
fn ipi_there_and_back() -> Outcome {
    for other in others() {
        count_from_0();
        watched()?;
        other.start(job_answer, 0)?;
        // What is sent before it has unmasked waits there: it is enabled.
        for round in 1..=ROUNDS {
            done("SIGNAL", call::signal(other.mpidr(), 1))?;
            sleep_until(1, round)?;
        }
        other.finish()?;
        for cpu in [0, other.0] {
            check!(
                taken(cpu, 1) == ROUNDS,
                "CPU {cpu} took {}, {ROUNDS} were sent",
                taken(cpu, 1)
            );
        }
    }
    Ok(())
}

/// Sends to each of the others, as interrupt of its own number, and waits until each has been taken.
fn job_storm(rounds: usize) -> Outcome<usize> {
    let me = cpu::current();
    rvic::set_handler(count);
    for n in 0..MOST as u64 {
        unmask(n)?;
    }
    cpu::unmask_irqs();
    for round in 1..=rounds {
        for n in (0..MOST).filter(|&n| n != me) {
            done("SIGNAL", call::signal(mpidr(n), me as u64))?;
        }
        for n in (0..MOST).filter(|&n| n != me) {
            let came = timer::within(super::LIMIT, || {
                cpu::wait_for_event();
                taken(n, me) >= round
            });
            check!(came, "CPU {n} took {} of {round}", taken(n, me));
        }
        // Its exceptions are its own, and there are many.
        crate::exception::forget();
    }
    // Others still send.
    timer::within(super::LIMIT, || {
        cpu::wait_for_event();
        (0..MOST).all(|n| n == me || taken(me, n) >= rounds)
    });
    cpu::mask_irqs();
    Ok(0)
}

fn ipi_each_to_each() -> Outcome {
    const ROUNDS: usize = 50;
    count_from_0();
    for other in others() {
        other.start(job_storm, ROUNDS)?;
    }
    job_storm(ROUNDS)?;
    for other in others() {
        other.finish()?;
    }
    for (cpu, row) in TAKEN.iter().enumerate() {
        for (from, n) in row.iter().enumerate().filter(|&(from, _)| from != cpu) {
            let n = n.load(SeqCst);
            check!(
                n == ROUNDS,
                "CPU {cpu} took {n} of CPU {from}'s, {ROUNDS} were sent"
            );
        }
    }
    Ok(())
}

fn ipi_masked_by_another() -> Outcome {
    for other in others() {
        let target = other.mpidr();
        other.run(job_unmask, 4)?;
        done("SET_MASKED", call::set_masked(target, 4))?;
        done("SIGNAL", call::signal(target, 4))?;
        other.run(job_expect_none, 0)?;
        pending_is(target, 4, true, "although masked only")?;
        done("CLEAR_MASKED", call::clear_masked(target, 4))?;
        other.run(job_expect_and_end, 4)?;
    }
    Ok(())
}

fn ipi_pending_seen_by_another() -> Outcome {
    for other in others() {
        let target = other.mpidr();
        pending_is(target, 4, false, "in the beginning")?;
        done("SIGNAL", call::signal(target, 4))?;
        pending_is(target, 4, true, "after SIGNAL")?;
        pending_is(own(), 4, false, "on the sender")?;
        done("CLEAR_PENDING", call::clear_pending(target, 4))?;
        pending_is(target, 4, false, "after CLEAR_PENDING")?;
        other.run(job_unmask, 4)?;
        other.run(job_expect_none, 0)?;
    }
    Ok(())
}

fn job_disable(_: usize) -> Outcome<usize> {
    done("DISABLE", call::disable())?;
    Ok(0)
}

fn job_enable(_: usize) -> Outcome<usize> {
    done("ENABLE", call::enable())?;
    Ok(0)
}

/// Only SIGNAL is refused then: the others are what a CPU is brought up with.
fn ipi_to_disabled_cpu() -> Outcome {
    for other in others() {
        let target = other.mpidr();
        other.run(job_unmask, 5)?;
        other.run(job_disable, 0)?;
        check_status!("SIGNAL", call::signal(target, 5), Status::DISABLED);
        pending_is(target, 5, false, "although it is disabled")?;
        done("SET_MASKED", call::set_masked(target, 5))?;
        done("CLEAR_PENDING", call::clear_pending(target, 5))?;
        done("CLEAR_MASKED", call::clear_masked(target, 5))?;
        other.run(job_enable, 0)?;
        other.run(job_expect_none, 0)?;
        done("SIGNAL", call::signal(target, 5))?;
        other.run(job_expect_and_end, 5)?;
    }
    Ok(())
}

/// Those of another CPU come in the order in which they were sent.
fn ipi_order_between_cpus() -> Outcome {
    for other in others() {
        for intid in [9, 3, 12] {
            other.run(job_unmask, intid as usize)?;
        }
        for intid in [9, 3, 12] {
            done("SIGNAL", call::signal(other.mpidr(), intid))?;
        }
        for intid in [9, 3, 12] {
            other.run(job_expect_and_end, intid)?;
        }
    }
    Ok(())
}

fn masks_are_of_one_cpu() -> Outcome {
    unmask(6)?;
    for other in others() {
        done("SIGNAL", call::signal(other.mpidr(), 6))?;
        other.run(job_expect_none, 0)?;
        done("SET_MASKED", call::set_masked(other.mpidr(), 6))?;
    }
    super::signal(6)?;
    expect_and_end(6)?;
    expect_none("again")
}
