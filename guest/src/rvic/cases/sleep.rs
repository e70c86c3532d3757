// SPDX-License-Identifier: GPL-2.0-only
//! WFI ends when there is something to take, whoever has made it so.

use super::{done, expect_none, others, signal, uart, unmask};
use crate::cpu;
use crate::outcome::{Outcome, check, fail};
use crate::rvic::call::{self, Status};
use crate::rvic::{self, own, trusted};
use crate::second::Cpu;
use crate::timer::{self, Timer};

crate::cases::cases! {
    ANY: wfi_pending_already, wfi_timer, wfi_signal, wfi_unmasked_by_another, wfi_input, wfi_moved_input;
}

/// The interrupt that ends a sleep that would not end.
const DOG: Timer = Timer::Virtual;

/// Sleeps until there is something, which must be `intid`.
fn sleep_for(intid: u64, dog: Timer) -> Outcome {
    let dog_intid = dog.intid().0.into();
    unmask(dog_intid)?;
    dog.arm(30_000);
    loop {
        cpu::wait_for_interrupt();
        match call::acknowledge() {
            Ok(seen) if seen == intid => break,
            Ok(seen) if seen == dog_intid => {
                dog.stop();
                fail!("interrupt {intid} did not end the sleep")
            }
            Ok(seen) => fail!("interrupt {seen} ended the sleep, not {intid}"),
            Err(Status::NO_INTERRUPTS) => {}
            Err(status) => fail!("ACKNOWLEDGE says {status}"),
        }
    }
    dog.stop();
    done("RESAMPLE", call::resample(dog_intid))?;
    done("SET_MASKED", call::set_masked(own(), dog_intid))?;
    done("CLEAR_PENDING", call::clear_pending(own(), dog_intid))
}

fn wfi_pending_already() -> Outcome {
    unmask(3)?;
    for _ in 0..100 {
        signal(3)?;
        sleep_for(3, DOG)?;
        unmask(3)?;
    }
    expect_none("at the end")
}

fn job_timer(_: usize) -> Outcome<usize> {
    for timer in Timer::ALL {
        let intid = timer.intid().0.into();
        unmask(intid)?;
        for round in 0..50 {
            timer.set_compare(timer.count() + timer::microseconds(10 + round * 20));
            timer.set_control(timer::ENABLE);
            sleep_for(intid, timer.other())?;
            check!(
                timer.has_expired(),
                "the {} ended the sleep before it expired",
                timer.name()
            );
            timer.stop();
            done("RESAMPLE", call::resample(intid))?;
            unmask(intid)?;
        }
        done("SET_MASKED", call::set_masked(own(), intid))?;
    }
    Ok(0)
}

fn wfi_timer() -> Outcome {
    job_timer(0)?;
    for other in others() {
        other.start(job_timer, 0)?;
    }
    for other in others() {
        other.finish()?;
    }
    Ok(())
}

fn job_sleep(intid: usize) -> Outcome<usize> {
    sleep_for(intid as u64, DOG)?;
    expect_none("after the sleep")?;
    Ok(0)
}

/// Has each of the others sleep for `intid`, and wakes it at different times.
fn wakes(intid: u64, prepare: fn(Cpu) -> Outcome, cause: fn(Cpu) -> Outcome) -> Outcome {
    for other in others() {
        for round in 0..20 {
            prepare(other)?;
            other.start(job_sleep, intid as usize)?;
            let until = timer::now() + timer::microseconds(round * 100);
            timer::within(100, || timer::now() > until);
            cause(other)?;
            other.finish()?;
        }
    }
    Ok(())
}

fn wfi_signal() -> Outcome {
    wakes(
        2,
        |cpu| done("CLEAR_MASKED", call::clear_masked(cpu.mpidr(), 2)),
        |cpu| done("SIGNAL", call::signal(cpu.mpidr(), 2)),
    )
}

fn wfi_unmasked_by_another() -> Outcome {
    wakes(
        2,
        |cpu| done("SIGNAL", call::signal(cpu.mpidr(), 2)),
        |cpu| done("CLEAR_MASKED", call::clear_masked(cpu.mpidr(), 2)),
    )
}

fn wfi_input() -> Outcome {
    uart::is_ready()?;
    wakes(
        trusted(),
        |cpu| {
            uart::lower();
            done("MAP", call::map(uart::INPUT, cpu.mpidr(), trusted()))?;
            done("CLEAR_MASKED", call::clear_masked(cpu.mpidr(), trusted()))
        },
        |_| {
            uart::raise();
            Ok(())
        },
    )
}

/// What is pending on CPU 0 moves to one that sleeps.
fn wfi_moved_input() -> Outcome {
    uart::is_ready()?;
    wakes(
        trusted(),
        |cpu| {
            uart::lower();
            done("MAP", call::map(uart::INPUT, own(), trusted()))?;
            uart::raise();
            done("CLEAR_MASKED", call::clear_masked(cpu.mpidr(), trusted()))
        },
        |cpu| rvic::move_input(uart::INPUT, own(), cpu.mpidr(), trusted()),
    )
}
