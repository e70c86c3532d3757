// SPDX-License-Identifier: GPL-2.0-only
//! CPUs go off and come back, by PSCI.

use super::{
    done, expect_and_end, inputs, job_expect_and_end, job_expect_none, job_unmask, others,
    pending_is, uart, unmask,
};
use crate::outcome::Outcome;
use crate::rvic::call::{self, Status, check_status};
use crate::rvic::{self, own, total, trusted};
use crate::timer::{self, Timer};

crate::cases::cases! {
    ANY: cpu_off_and_on, cpu_on_is_as_reset, cpu_off_is_disabled, cpu_off_with_input, cpu_off_with_timer, cpu_off_and_on_often;
}

fn works(other: crate::second::Cpu) -> Outcome {
    other.run(job_unmask, 2)?;
    done("SIGNAL", call::signal(other.mpidr(), 2))?;
    other.run(job_expect_and_end, 2)?;
    other.run(job_expect_none, 0)?;
    Ok(())
}

fn cpu_off_and_on() -> Outcome {
    for other in others() {
        other.off()?;
        other.on()?;
        works(other)?;
    }
    Ok(())
}

/// Whatever was there before is gone: all is masked, nothing pending, and it is disabled.
fn cpu_on_is_as_reset() -> Outcome {
    for other in others() {
        for intid in 0..total() {
            done("SIGNAL", call::signal(other.mpidr(), intid))?;
            done("CLEAR_MASKED", call::clear_masked(other.mpidr(), intid))?;
        }
        other.off()?;
        rvic::look_first(true);
        let on = other.on();
        rvic::look_first(false);
        on?;
        rvic::found()?;
        works(other)?;
    }
    Ok(())
}

/// It is there, but it takes nothing.
fn cpu_off_is_disabled() -> Outcome {
    for other in others() {
        let target = other.mpidr();
        other.run(job_unmask, 2)?;
        other.off()?;
        check_status!("SIGNAL", call::signal(target, 2), Status::DISABLED);
        pending_is(target, 2, false, "although the CPU is off")?;
        done("CLEAR_MASKED", call::clear_masked(target, 2))?;
        done("SET_MASKED", call::set_masked(target, 2))?;
        done("CLEAR_PENDING", call::clear_pending(target, 2))?;
        other.on()?;
        works(other)?;
    }
    Ok(())
}

/// Its input is moved away, as a driver does.
fn cpu_off_with_input() -> Outcome {
    uart::is_ready()?;
    let intid = trusted();
    unmask(intid)?;
    for other in others() {
        done("MAP", call::map(uart::INPUT, other.mpidr(), intid))?;
        other.off()?;
        inputs::pulse();
        pending_is(other.mpidr(), intid, false, "although the CPU is off")?;
        rvic::move_input(uart::INPUT, other.mpidr(), own(), intid)?;
        inputs::pulse();
        expect_and_end(intid)?;
        other.on()?;
        other.run(job_unmask, intid as usize)?;
        other.run(job_expect_none, 0)?;
    }
    Ok(())
}

fn job_arm(_: usize) -> Outcome<usize> {
    for timer in Timer::ALL {
        unmask(timer.intid().0.into())?;
        timer.arm(5);
    }
    Ok(0)
}

/// What was armed has expired meanwhile; the timers work as before.
fn cpu_off_with_timer() -> Outcome {
    for other in others() {
        other.run(job_arm, 0)?;
        other.off()?;
        timer::within(10, || false);
        other.on()?;
        other.run(
            |_| {
                rvic::clean_own();
                for timer in Timer::ALL {
                    let intid = timer.intid().0.into();
                    // An expiry that was in flight ends here.
                    done("RESAMPLE", call::resample(intid))?;
                    super::expect_none("although the timer has been stopped")?;
                    unmask(intid)?;
                    timer.arm(1);
                    super::expect(intid)?;
                    timer.stop();
                    done("RESAMPLE", call::resample(intid))?;
                    unmask(intid)?;
                    super::expect_none("although the timer has been stopped")?;
                }
                Ok(0)
            },
            0,
        )?;
    }
    Ok(())
}

fn cpu_off_and_on_often() -> Outcome {
    for _ in 0..10 {
        for other in others() {
            other.off()?;
        }
        for other in others() {
            other.on()?;
        }
        for other in others() {
            works(other)?;
        }
    }
    Ok(())
}
