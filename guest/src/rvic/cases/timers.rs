// SPDX-License-Identifier: GPL-2.0-only
//! The timers: levels of trusted interrupts, which end by RESAMPLE and CLEAR_MASKED.

use super::{
    done, expect, expect_none, line_becomes, line_is, mask, others, pending_is, signal, unmask,
};
use crate::cpu::{self, MOST};
use crate::outcome::{Outcome, check};
use crate::rvic::call::{self, Status};
use crate::rvic::{self, own};
use crate::timer::{self, ENABLE, Timer};
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

crate::cases::cases! {
    ANY: timer_fires, timer_fires_on_each_cpu, timer_resampled_while_high, timer_ends_without_resample, timer_while_masked,
        timer_lowered_before_end, timer_while_disabled, timer_signalled, timer_resampled_early, timer_ticks, timer_ticks_on_all_cpus,
        timer_moved_while_not_ended, timer_cleared_while_high;
}

fn intid(timer: Timer) -> u64 {
    timer.intid().0.into()
}

/// Each of the timers.
fn each(body: impl Fn(Timer) -> Outcome) -> Outcome {
    for timer in Timer::ALL {
        body(timer)?;
        timer.stop();
        done("RESAMPLE", call::resample(intid(timer)))?;
        mask(intid(timer))?;
        done("CLEAR_PENDING", call::clear_pending(own(), intid(timer)))?;
    }
    Ok(())
}

/// As a driver does when a handler has done its work.
fn end(timer: Timer) -> Outcome {
    done("RESAMPLE", call::resample(intid(timer)))?;
    unmask(intid(timer))
}

/// It comes, its handler lowers it, and it does not come again.
fn taken_once(timer: Timer) -> Outcome {
    expect(intid(timer))?;
    expect_none("before its end")?;
    timer.stop();
    end(timer)?;
    expect_none("although the timer has been stopped")
}

fn timer_fires() -> Outcome {
    each(|timer| {
        unmask(intid(timer))?;
        for ms in [0, 1, 5] {
            timer.arm(ms);
            taken_once(timer)?;
        }
        Ok(())
    })
}

fn timer_fires_on_each_cpu() -> Outcome {
    for other in others() {
        other.run(
            |_| {
                timer_fires()?;
                Ok(0)
            },
            0,
        )?;
    }
    Ok(())
}

fn timer_resampled_while_high() -> Outcome {
    each(|timer| {
        unmask(intid(timer))?;
        timer.arm(0);
        for _ in 0..20 {
            expect(intid(timer))?;
            expect_none("before its end")?;
            done("RESAMPLE", call::resample(intid(timer)))?;
            pending_is(own(), intid(timer), true, "although it is still high")?;
            line_is(false, "while it is masked")?;
            unmask(intid(timer))?;
            line_is(true, "although it is still high")?;
        }
        taken_once(timer)
    })
}

/// Without RESAMPLE nobody looks at the level again. With it, later, all is well.
fn timer_ends_without_resample() -> Outcome {
    each(|timer| {
        unmask(intid(timer))?;
        timer.arm(0);
        expect(intid(timer))?;
        done("RESAMPLE", call::resample(intid(timer)))?;
        pending_is(own(), intid(timer), true, "although it is high")?;
        unmask(intid(timer))?;
        taken_once(timer)
    })
}

fn timer_while_masked() -> Outcome {
    each(|timer| {
        timer.arm(1);
        let pending = timer::within(super::LIMIT, || {
            call::is_pending(own(), intid(timer)) == (Status::SUCCESS, 1)
        });
        check!(pending, "the {} is not pending", timer.name());
        expect_none("although it is masked")?;
        unmask(intid(timer))?;
        taken_once(timer)
    })
}

/// What is pending stays so: there is no taking back of a level that has fallen, a driver finds its device idle.
fn timer_lowered_before_end() -> Outcome {
    each(|timer| {
        unmask(intid(timer))?;
        timer.arm(0);
        expect(intid(timer))?;
        timer.mask();
        done("RESAMPLE", call::resample(intid(timer)))?;
        pending_is(own(), intid(timer), false, "although it is low")?;
        timer.set_control(ENABLE);
        let pending = timer::within(super::LIMIT, || {
            call::is_pending(own(), intid(timer)) == (Status::SUCCESS, 1)
        });
        check!(
            pending,
            "the {} is not pending, although it is high again",
            timer.name()
        );
        unmask(intid(timer))?;
        taken_once(timer)
    })
}

/// What comes while disabled is dropped. Who enables looks at what has a level.
fn timer_while_disabled() -> Outcome {
    each(|timer| {
        unmask(intid(timer))?;
        done("DISABLE", call::disable())?;
        timer.arm(0);
        timer::within(2, || false);
        pending_is(own(), intid(timer), false, "although it is disabled")?;
        done("ENABLE", call::enable())?;
        done("RESAMPLE", call::resample(intid(timer)))?;
        line_becomes(true, "although the timer is high")?;
        taken_once(timer)?;
        // And the next ones come by themselves.
        for _ in 0..3 {
            timer.arm(1);
            taken_once(timer)?;
        }
        Ok(())
    })
}

/// SIGNAL is for every interrupt.
fn timer_signalled() -> Outcome {
    each(|timer| {
        unmask(intid(timer))?;
        signal(intid(timer))?;
        expect(intid(timer))?;
        end(timer)?;
        expect_none("although the timer is not even on")?;
        timer.arm(1);
        taken_once(timer)
    })
}

/// RESAMPLE of what is not pending, long before it expires.
fn timer_resampled_early() -> Outcome {
    each(|timer| {
        unmask(intid(timer))?;
        for _ in 0..5 {
            timer.arm(2);
            for _ in 0..3 {
                done("RESAMPLE", call::resample(intid(timer)))?;
            }
            taken_once(timer)?;
        }
        Ok(())
    })
}

/// The next deadline is set while the interrupt has not yet been ended.
fn timer_moved_while_not_ended() -> Outcome {
    each(|timer| {
        unmask(intid(timer))?;
        timer.arm(0);
        for _ in 0..50 {
            expect(intid(timer))?;
            timer.set_compare(timer.count() + timer::microseconds(200));
            end(timer)?;
        }
        taken_once(timer)
    })
}

/// CLEAR_PENDING forgets, RESAMPLE brings it back.
fn timer_cleared_while_high() -> Outcome {
    each(|timer| {
        unmask(intid(timer))?;
        timer.arm(0);
        line_becomes(true, "although the timer is high")?;
        done("CLEAR_PENDING", call::clear_pending(own(), intid(timer)))?;
        expect_none("after CLEAR_PENDING")?;
        done("RESAMPLE", call::resample(intid(timer)))?;
        line_is(true, "after RESAMPLE")?;
        taken_once(timer)
    })
}

const TICKS: usize = 200;
/// Microseconds.
const PERIOD: u64 = 300;

/// How often each CPU has taken each timer, and how often before its time.
static TAKEN: [[AtomicUsize; 2]; MOST] = [const { [const { AtomicUsize::new(0) }; 2] }; MOST];
static EARLY: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];

fn tick(taken: u64) {
    let cpu = cpu::current();
    for (timer, count) in Timer::ALL.into_iter().zip(&TAKEN[cpu]) {
        if intid(timer) != taken {
            continue;
        }
        if timer.control() & timer::ISTATUS == 0 {
            EARLY[cpu].store(EARLY[cpu].load(SeqCst) + 1, SeqCst);
        }
        let n = count.load(SeqCst) + 1;
        count.store(n, SeqCst);
        if n < TICKS {
            timer.set_compare(timer.count() + timer::microseconds(PERIOD));
        } else {
            timer.stop();
        }
        call::resample(taken);
    }
    // What storms is stopped by exception.rs; this does not.
    crate::exception::forget();
    rvic::end(taken);
}

/// Both timers tick until they have done so often, each tick for one expiry.
fn job_ticks(_: usize) -> Outcome<usize> {
    let cpu = cpu::current();
    EARLY[cpu].store(0, SeqCst);
    TAKEN[cpu].iter().for_each(|n| n.store(0, SeqCst));
    rvic::set_handler(tick);
    for timer in Timer::ALL {
        unmask(intid(timer))?;
        timer.arm(1);
    }
    cpu::unmask_irqs();
    let taken = || TAKEN[cpu].iter().map(|n| n.load(SeqCst)).sum::<usize>();
    super::goes_on(2 * TICKS, taken);
    cpu::mask_irqs();
    for (timer, n) in Timer::ALL.into_iter().zip(&TAKEN[cpu]) {
        let n = n.load(SeqCst);
        check!(
            n == TICKS,
            "the {} ticked {n} of {TICKS} times",
            timer.name()
        );
    }
    let early = EARLY[cpu].load(SeqCst);
    check!(early == 0, "{early} ticks came before their time");
    expect_none("after the last tick")?;
    Ok(0)
}

fn timer_ticks() -> Outcome {
    job_ticks(0).map(drop)
}

fn timer_ticks_on_all_cpus() -> Outcome {
    for other in others() {
        other.start(job_ticks, 0)?;
    }
    job_ticks(0)?;
    for other in others() {
        other.finish()?;
    }
    Ok(())
}
