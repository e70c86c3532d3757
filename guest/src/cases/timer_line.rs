// SPDX-License-Identifier: GPL-2.0-only
//! The timers' interrupts are level-sensitive: pending follows the line, and nothing fires once it is low.

use super::{cases, expect, expect_and_end, expect_none};
use crate::gic::{self, Ack, IntId};
use crate::outcome::{Outcome, check, check_eq};
use crate::timer::{self, Timer};
use crate::{cpu, exception, second};
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

cases! {
    ANY: timer_fires, timer_line_is_sampled, timer_no_second_time_after_rearm, timer_again_while_line_is_high,
        timer_icpendr_cannot_clear_line, timer_ispendr_with_low_line, timer_masked_line_is_low,
        timer_lowered_before_enable, timer_enabled_late, timer_counts_exactly, timer_counts_exactly_on_cpu1,
        timer_and_spis, wfi_wakes;
}

/// The state follows within this time: a hypervisor may need to notice first.
const SOON: u64 = 500;

pub(super) fn each(check: fn(Timer) -> Outcome) -> Outcome {
    Timer::ALL.into_iter().try_for_each(|timer| {
        check(timer)?;
        timer.stop();
        gic::disable(timer.intid());
        Ok(())
    })
}

pub(super) fn pending_becomes(timer: Timer, wanted: bool, when: &str) -> Outcome {
    let done = timer::within(SOON, || gic::is_pending(timer.intid()) == wanted);
    let not = if wanted { "not" } else { "still" };
    check!(done, "the {} is {not} pending {when}", timer.name());
    Ok(())
}

fn timer_fires() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        timer.arm(2);
        let ack = expect(timer.intid())?;
        timer.stop();
        gic::end(ack);
        expect_none("although the timer has been stopped")
    })
}

fn timer_line_is_sampled() -> Outcome {
    each(|timer| {
        timer.arm(0);
        pending_becomes(timer, true, "although its condition is true")?;
        timer.arm(60_000);
        pending_becomes(timer, false, "although it was armed anew")?;
        timer.arm(0);
        pending_becomes(timer, true, "although its condition is true again")?;
        timer.stop();
        pending_becomes(timer, false, "although it was stopped")
    })
}

fn timer_no_second_time_after_rearm() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        timer.arm(1);
        let ack = expect(timer.intid())?;
        timer.arm(60_000);
        gic::end(ack);
        expect_none("although the timer was armed anew")?;
        check!(
            !gic::is_pending(timer.intid()),
            "the {} is pending",
            timer.name()
        );
        Ok(())
    })
}

fn timer_again_while_line_is_high() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        timer.arm(0);
        expect_and_end(timer.intid())?;
        let ack = expect(timer.intid())?;
        timer.stop();
        gic::end(ack);
        expect_none("although the timer has been stopped")
    })
}

fn timer_icpendr_cannot_clear_line() -> Outcome {
    each(|timer| {
        timer.arm(0);
        pending_becomes(timer, true, "although its condition is true")?;
        gic::clear_pending(timer.intid());
        check!(
            gic::is_pending(timer.intid()),
            "ICPENDR has cleared the {} with its line high",
            timer.name()
        );
        gic::enable(timer.intid());
        let ack = expect(timer.intid())?;
        timer.stop();
        gic::end(ack);
        expect_none("although the timer has been stopped")
    })
}

fn timer_ispendr_with_low_line() -> Outcome {
    each(|timer| {
        let id = timer.intid();
        gic::set_pending(id);
        check!(
            gic::is_pending(id),
            "ISPENDR does not make the {} pending",
            timer.name()
        );
        gic::clear_pending(id);
        check!(
            !gic::is_pending(id),
            "ICPENDR does not clear the {}",
            timer.name()
        );
        gic::set_pending(id);
        gic::enable(id);
        expect_and_end(id)?;
        expect_none("a second time although its line is low")
    })
}

fn timer_masked_line_is_low() -> Outcome {
    each(|timer| {
        timer.mask();
        timer.arm(0);
        pending_becomes(timer, true, "although its condition is true")?;
        timer.mask();
        pending_becomes(timer, false, "although it is masked")?;
        gic::enable(timer.intid());
        expect_none("although the timer is masked")?;
        timer.arm(0);
        let ack = expect(timer.intid())?;
        timer.stop();
        gic::end(ack);
        Ok(())
    })
}

fn timer_lowered_before_enable() -> Outcome {
    each(|timer| {
        timer.arm(0);
        pending_becomes(timer, true, "although its condition is true")?;
        timer.arm(60_000);
        gic::enable(timer.intid());
        // It may take a moment until a hypervisor sees the line fall, but not so long.
        expect_none("although its line fell before it was enabled")
    })
}

fn timer_enabled_late() -> Outcome {
    each(|timer| {
        timer.arm(0);
        pending_becomes(timer, true, "although its condition is true")?;
        expect_none("although it is disabled")?;
        gic::enable(timer.intid());
        let ack = expect(timer.intid())?;
        timer.stop();
        gic::end(ack);
        Ok(())
    })
}

static LEFT: [AtomicUsize; cpu::CPUS] = [const { AtomicUsize::new(0) }; cpu::CPUS];
const EXPIRIES: usize = 20;

/// Arms the timer anew until it has fired often enough.
fn rearm(ack: Ack) {
    let left = &LEFT[cpu::current()];
    let n = left.load(SeqCst).saturating_sub(1);
    left.store(n, SeqCst);
    for timer in Timer::ALL {
        if ack.intid() == timer.intid() {
            if n > 0 { timer.arm(2) } else { timer.stop() }
        }
    }
    gic::end(ack);
}

/// Takes so many, and not one more.
fn count_exactly() -> Outcome {
    each(|timer| {
        LEFT[cpu::current()].store(EXPIRIES, SeqCst);
        exception::set_handler(rearm);
        gic::enable(timer.intid());
        timer.arm(2);
        cpu::unmask_irqs();
        timer::within(4000, || exception::taken() >= EXPIRIES);
        timer::within(20, || false);
        cpu::mask_irqs();
        check_eq!("interrupts of the timer", exception::taken(), EXPIRIES);
        Ok(())
    })
}

fn timer_counts_exactly() -> Outcome {
    count_exactly()
}

fn timer_counts_exactly_on_cpu1() -> Outcome {
    second::run(
        |_| {
            count_exactly()?;
            Ok(0)
        },
        0,
    )?;
    Ok(())
}

/// SPIs and the timer do not disturb each other.
fn timer_and_spis() -> Outcome {
    let timer = Timer::Virtual;
    gic::set_priority(timer.intid(), 0x40);
    gic::enable(timer.intid());
    for n in 0..gic::SPIS {
        super::ready_spi(n, 0xa0);
    }
    for _ in 0..EXPIRIES {
        timer.arm(1);
        for n in 0..gic::SPIS {
            gic::set_pending(gic::spi(n));
        }
        let (mut spis, mut timers) = (0, 0);
        let done = timer::within(2000, || {
            let ack = gic::acknowledge();
            if ack.intid() == timer.intid() {
                timers += 1;
                timer.stop();
                gic::end(ack);
            } else if !ack.is_spurious() {
                spis += 1;
                gic::end(ack);
            }
            timers >= 1 && spis >= gic::SPIS
        });
        check!(
            done && timers == 1 && spis == gic::SPIS,
            "{spis} SPIs and {timers} timer interrupts came"
        );
    }
    expect_none("after all")
}

fn wfi_wakes() -> Outcome {
    // Should this CPU sleep on, CPU 1 wakes it.
    LEFT[0].store(1, SeqCst);
    gic::enable(IntId(15));
    second::start(
        |_| {
            timer::within(3000, || LEFT[0].load(SeqCst) == 0);
            gic::send_sgi(IntId(15), 0);
            Ok(0)
        },
        0,
    )?;
    let outcome = each(|timer| {
        gic::enable(timer.intid());
        for _ in 0..5 {
            timer.arm(5);
            cpu::wait_for_interrupt();
            let came = timer::within(500, || gic::highest_pending() == timer.intid());
            check!(
                came,
                "interrupt {} ended the sleep, not the {}",
                gic::highest_pending().0,
                timer.name()
            );
            let ack = expect(timer.intid())?;
            timer.stop();
            gic::end(ack);
        }
        Ok(())
    });
    LEFT[0].store(0, SeqCst);
    second::finish()?;
    outcome
}
