// SPDX-License-Identifier: GPL-2.0-only
//! The timer's interrupt in every state while its line goes up and down: how often it is taken, and what ISPENDR shows.
//!
//! A level that falls before it is acknowledged is gone. Only where it fell while it stood in a list register of a
//! hypervisor's, which hears of it at the next exit, it may be taken once more. Reading a register of the distributor is an
//! exit.

use super::timer_control::control_is;
use super::timer_line::{each, pending_becomes};
use super::{cases, expect, expect_none};
use crate::gic::{self, Ack, EoiMode, IntId};
use crate::outcome::{Outcome, check, check_eq};
use crate::timer::{self, ENABLE, IMASK, ISTATUS, Timer};
use crate::{cpu, exception};
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

cases! {
    ANY: timer_left_masked, timer_left_masked_polled, timer_left_masked_eoimode1, timer_stays_high,
        timer_moved_before_acknowledge, timer_moved_before_acknowledge_with_exit, timer_moved_while_active,
        timer_masked_while_active, timer_latched_and_line, timer_ispendr_while_line_is_high, timer_isactiver,
        timer_icactiver_while_active, timer_held_back, timer_lowered_while_held_back, timer_held_back_once_pending,
        timer_both_by_priority, timer_both_count_exactly, timer_eoimode1_line, timer_eoimode1_both;
}

/// It is the next that this CPU would take.
pub(super) fn is_next(timer: Timer, when: &str) -> Outcome {
    let next = timer::within(500, || gic::highest_pending() == timer.intid());
    check!(next, "the {} is not the next {when}", timer.name());
    Ok(())
}

fn raised(timer: Timer) -> Outcome {
    timer.arm(0);
    is_next(timer, "although its condition is true")
}

/// Takes it, lowers the line, and ends it; nothing follows.
pub(super) fn taken_once(timer: Timer) -> Outcome {
    let ack = expect(timer.intid())?;
    timer.stop();
    gic::end(ack);
    expect_none("although the timer has been stopped")
}

static TAKEN: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Which of the timers it is, and how often that came.
fn count(ack: Ack) -> Option<(Timer, usize)> {
    for (timer, taken) in Timer::ALL.into_iter().zip(&TAKEN) {
        if ack.intid() == timer.intid() {
            let n = taken.load(SeqCst) + 1;
            taken.store(n, SeqCst);
            return Some((timer, n));
        }
    }
    None
}

fn forget() {
    TAKEN.iter().for_each(|taken| taken.store(0, SeqCst));
}

fn leave_masked(ack: Ack) {
    if let Some((timer, _)) = count(ack) {
        timer.mask();
    }
    gic::end(ack);
}

/// A handler may leave it so, for whoever arms it next. Should it come again and again, exception.rs stops it.
fn timer_left_masked() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        for _ in 0..5 {
            exception::set_handler(leave_masked);
            timer.arm(1);
            cpu::unmask_irqs();
            timer::within(500, || exception::taken() > 0);
            timer::within(5, || false);
            cpu::mask_irqs();
            check!(
                exception::taken() == 1,
                "the {} was taken {} times",
                timer.name(),
                exception::taken()
            );
            control_is(timer, ENABLE | IMASK | ISTATUS, "as the handler left it")?;
            pending_becomes(timer, false, "although it is masked")?;
        }
        Ok(())
    })
}

fn timer_left_masked_polled() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        for _ in 0..5 {
            timer.arm(0);
            let ack = expect(timer.intid())?;
            timer.mask();
            gic::end(ack);
            expect_none("although the timer is masked")?;
            // Unmasking is all it takes.
            timer.set_control(ENABLE);
            let ack = expect(timer.intid())?;
            timer.mask();
            gic::end(ack);
            expect_none("although the timer is masked again")?;
        }
        Ok(())
    })
}

fn timer_left_masked_eoimode1() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    each(|timer| {
        gic::enable(timer.intid());
        for _ in 0..5 {
            timer.arm(0);
            let ack = expect(timer.intid())?;
            gic::end(ack);
            timer.mask();
            expect_none("between EOI and DIR")?;
            gic::deactivate(ack);
            expect_none("although the timer is masked")?;
        }
        Ok(())
    })
}

/// As long as the line is high, it comes after each end.
fn timer_stays_high() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        timer.arm(0);
        for _ in 0..50 {
            gic::end(expect(timer.intid())?);
            control_is(timer, ENABLE | ISTATUS, "which nobody has touched")?;
        }
        taken_once(timer)
    })
}

fn timer_moved_before_acknowledge() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        for _ in 0..20 {
            raised(timer)?;
            timer.move_to_future();
            let mut came = 0;
            timer::within(3, || {
                let ack = gic::acknowledge();
                if !ack.is_spurious() {
                    came += 1;
                    gic::end(ack);
                }
                false
            });
            check!(
                came <= 1,
                "the {} came {came} times after it had fallen",
                timer.name()
            );
            check!(!gic::is_pending(timer.intid()), "still pending");
            expect_none("long after the line has fallen")?;
        }
        Ok(())
    })
}

fn timer_moved_before_acknowledge_with_exit() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        for _ in 0..20 {
            raised(timer)?;
            timer.move_to_future();
            check!(
                !gic::is_pending(timer.intid()),
                "the {} is pending although its line has fallen",
                timer.name()
            );
            expect_none("although ISPENDR has said that it is not pending")?;
            timer.move_to_past();
            is_next(timer, "although its condition is true again")?;
            timer.mask();
            check!(
                !gic::is_pending(timer.intid()),
                "the {} is pending although it is masked",
                timer.name()
            );
            expect_none("although it is masked")?;
            timer.set_control(ENABLE);
            let ack = expect(timer.intid())?;
            timer.move_to_future();
            gic::end(ack);
            expect_none("although its line has fallen")?;
        }
        Ok(())
    })
}

fn timer_moved_while_active() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        timer.arm(0);
        for _ in 0..20 {
            let ack = expect(timer.intid())?;
            timer.move_to_future();
            timer.move_to_past();
            timer.move_to_future();
            check!(!gic::is_pending(timer.intid()), "pending while active");
            gic::end(ack);
            expect_none("although it was moved to the future")?;
            timer.move_to_past();
            let ack = expect(timer.intid())?;
            timer.move_to_future();
            timer.move_to_past();
            pending_becomes(timer, true, "although its condition is true again")?;
            check!(gic::is_active(timer.intid()), "not active before its end");
            gic::end(ack);
        }
        taken_once(timer)
    })
}

/// Masked and unmasked before the end: it comes once more; masked at the end: it does not.
fn timer_masked_while_active() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        timer.arm(0);
        for _ in 0..20 {
            let ack = expect(timer.intid())?;
            timer.mask();
            timer.set_control(ENABLE);
            gic::end(ack);
            let ack = expect(timer.intid())?;
            timer.mask();
            gic::end(ack);
            expect_none("although it is masked")?;
            timer.set_control(ENABLE);
        }
        taken_once(timer)
    })
}

/// What ISPENDR has set stays when the line falls, until it is acknowledged or ICPENDR clears it; the line stays without it.
fn timer_latched_and_line() -> Outcome {
    each(|timer| {
        let id = timer.intid();
        timer.arm(0);
        pending_becomes(timer, true, "although its condition is true")?;
        gic::set_pending(id);
        timer.mask();
        check!(
            gic::is_pending(id),
            "what ISPENDR has set fell with the line"
        );
        gic::clear_pending(id);
        check!(!gic::is_pending(id), "ICPENDR does not clear it");
        timer.set_control(ENABLE);
        pending_becomes(timer, true, "although it is no longer masked")?;
        gic::set_pending(id);
        gic::clear_pending(id);
        check!(gic::is_pending(id), "ICPENDR has cleared the line");
        timer.mask();
        pending_becomes(timer, false, "although it is masked")?;
        Ok(())
    })
}

/// The same where it is to be taken: the acknowledge takes both at once.
fn timer_ispendr_while_line_is_high() -> Outcome {
    each(|timer| {
        let id = timer.intid();
        gic::enable(id);
        for _ in 0..5 {
            raised(timer)?;
            gic::set_pending(id);
            taken_once(timer)?;
            // While it is active, another one is latched behind it.
            raised(timer)?;
            let ack = expect(id)?;
            timer.stop();
            gic::set_pending(id);
            check!(gic::is_pending(id), "ISPENDR has no effect while active");
            gic::end(ack);
            gic::end(expect(id)?);
            expect_none("a third time")?;
            // Set, and the line high, and gone again: ICPENDR ends what ISPENDR has begun.
            gic::set_pending(id);
            is_next(timer, "although ISPENDR has set it")?;
            timer.arm(0);
            timer.stop();
            gic::clear_pending(id);
            check!(!gic::is_pending(id), "ICPENDR does not clear it");
            expect_none("although ICPENDR has cleared it")?;
        }
        Ok(())
    })
}

fn timer_isactiver() -> Outcome {
    each(|timer| {
        let id = timer.intid();
        gic::enable(id);
        // Before the line rises.
        gic::set_active(id);
        check!(gic::is_active(id), "ISACTIVER has no effect");
        timer.arm(0);
        pending_becomes(timer, true, "although its condition is true")?;
        expect_none("although it is active")?;
        gic::clear_active(id);
        taken_once(timer)?;
        // While it is pending.
        raised(timer)?;
        gic::set_active(id);
        expect_none("although it has been made active")?;
        check!(gic::is_pending(id), "not pending while active");
        control_is(timer, ENABLE | ISTATUS, "which nobody has touched")?;
        gic::clear_active(id);
        taken_once(timer)?;
        // The line falls meanwhile.
        raised(timer)?;
        gic::set_active(id);
        timer.stop();
        gic::clear_active(id);
        check!(!gic::is_pending(id), "pending although its line has fallen");
        check!(!gic::is_active(id), "ICACTIVER has no effect");
        expect_none("although its line has fallen")?;
        // With the line low all the time.
        gic::set_active(id);
        gic::clear_active(id);
        expect_none("although nothing has made it pending")
    })
}

fn timer_icactiver_while_active() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    each(|timer| {
        let id = timer.intid();
        gic::enable(id);
        for _ in 0..5 {
            timer.arm(0);
            gic::end(expect(id)?);
            expect_none("although it is active")?;
            gic::clear_active(id);
            check!(!gic::is_active(id), "ICACTIVER has no effect");
            // The line is still high.
            let ack = expect(id)?;
            gic::end(ack);
            timer.mask();
            gic::clear_active(id);
            expect_none("although the timer is masked")?;
            check!(!gic::is_pending(id), "pending although it is masked");
        }
        Ok(())
    })
}

/// A way to keep an interrupt back.
struct Gate {
    name: &'static str,
    close: fn(IntId),
    open: fn(IntId),
}

const GATES: [Gate; 4] = [
    Gate {
        name: "while it is disabled",
        close: gic::disable,
        open: gic::enable,
    },
    Gate {
        name: "while its group is off in the distributor",
        close: |_| gic::set_groups(0),
        open: |_| gic::set_groups(gic::group()),
    },
    Gate {
        name: "while its group is off in the CPU interface",
        close: |_| gic::set_cpu_groups(0),
        open: |_| gic::set_cpu_groups(gic::group()),
    },
    Gate {
        name: "below the priority mask",
        close: |_| gic::set_priority_mask(0x80),
        open: |_| gic::set_priority_mask(0xff),
    },
];

fn each_gate(check: fn(Timer, &Gate) -> Outcome) -> Outcome {
    for gate in &GATES {
        for timer in Timer::ALL {
            gic::enable(timer.intid());
            check(timer, gate)?;
            timer.stop();
            gic::disable(timer.intid());
        }
    }
    Ok(())
}

/// The line is high all the while, and nothing happens; then it comes.
fn timer_held_back() -> Outcome {
    each_gate(|timer, gate| {
        (gate.close)(timer.intid());
        timer.arm(0);
        pending_becomes(timer, true, gate.name)?;
        timer::within(10, || false);
        expect_none(gate.name)?;
        control_is(timer, ENABLE | ISTATUS, gate.name)?;
        (gate.open)(timer.intid());
        taken_once(timer)
    })
}

fn timer_lowered_while_held_back() -> Outcome {
    each_gate(|timer, gate| {
        (gate.close)(timer.intid());
        timer.arm(0);
        pending_becomes(timer, true, gate.name)?;
        timer.move_to_future();
        pending_becomes(timer, false, "although its line has fallen")?;
        (gate.open)(timer.intid());
        expect_none("although its line fell before it was allowed")?;
        // And it still works.
        timer.move_to_past();
        taken_once(timer)
    })
}

/// It was about to be taken when the gate closed.
fn timer_held_back_once_pending() -> Outcome {
    each_gate(|timer, gate| {
        for _ in 0..5 {
            raised(timer)?;
            (gate.close)(timer.intid());
            expect_none(gate.name)?;
            check!(gic::is_pending(timer.intid()), "not pending {}", gate.name);
            (gate.open)(timer.intid());
            taken_once(timer)?;
            // And the line falls behind it.
            raised(timer)?;
            (gate.close)(timer.intid());
            timer.move_to_future();
            check!(
                !gic::is_pending(timer.intid()),
                "pending although its line has fallen {}",
                gate.name
            );
            (gate.open)(timer.intid());
            expect_none("although its line fell before it was allowed")?;
        }
        Ok(())
    })
}

fn timer_both_by_priority() -> Outcome {
    let [one, two] = Timer::ALL;
    for (first, second) in [(one, two), (two, one)] {
        gic::set_priority(first.intid(), 0x40);
        gic::set_priority(second.intid(), 0x80);
        gic::enable(first.intid());
        gic::enable(second.intid());
        for _ in 0..10 {
            second.arm(0);
            is_next(second, "although its condition is true")?;
            first.arm(0);
            is_next(first, "although it has the higher priority")?;
            let outer = expect(first.intid())?;
            expect_none("although its priority is lower than the running one")?;
            first.move_to_future();
            gic::end(outer);
            let inner = expect(second.intid())?;
            first.move_to_past();
            let nested = expect(first.intid())?;
            first.stop();
            second.stop();
            gic::end(nested);
            gic::end(inner);
            expect_none("although both have been stopped")?;
        }
    }
    Ok(())
}

const EXPIRIES: usize = 90;

/// Both at the same moment, again and again.
fn again_together(ack: Ack) {
    if let Some((timer, n)) = count(ack) {
        if n < EXPIRIES {
            timer.set_compare(timer.compare() + timer::ticks(1));
        } else {
            timer.set_control(ENABLE | IMASK);
        }
    }
    gic::end(ack);
}

fn timer_both_count_exactly() -> Outcome {
    exception::set_handler(again_together);
    forget();
    for timer in Timer::ALL {
        gic::enable(timer.intid());
        timer.set_compare(timer.count() + timer::ticks(5));
        timer.set_control(ENABLE);
    }
    cpu::unmask_irqs();
    let all = || TAKEN.iter().all(|t| t.load(SeqCst) >= EXPIRIES);
    timer::within(5000, all);
    timer::within(10, || false);
    cpu::mask_irqs();
    for (timer, taken) in Timer::ALL.into_iter().zip(&TAKEN) {
        check_eq!(timer.name(), taken.load(SeqCst), EXPIRIES);
    }
    Ok(())
}

/// Between EOI and DIR the line goes down and up.
fn timer_eoimode1_line() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    each(|timer| {
        let id = timer.intid();
        gic::enable(id);
        timer.arm(0);
        for _ in 0..5 {
            let ack = expect(id)?;
            gic::end(ack);
            expect_none("although it is active and its line high")?;
            gic::deactivate(ack);
            let ack = expect(id)?;
            gic::end(ack);
            timer.move_to_future();
            gic::deactivate(ack);
            expect_none("although its line fell before DIR")?;
            timer.move_to_past();
            let ack = expect(id)?;
            gic::end(ack);
            timer.move_to_future();
            timer.move_to_past();
            gic::deactivate(ack);
        }
        let ack = expect(id)?;
        timer.stop();
        gic::end(ack);
        gic::deactivate(ack);
        expect_none("although the timer has been stopped")
    })
}

/// Both active at once, deactivated in the order in which they were taken, and in the other.
fn timer_eoimode1_both() -> Outcome {
    gic::set_eoi_mode(EoiMode::Split);
    let [one, two] = Timer::ALL;
    gic::enable(one.intid());
    gic::enable(two.intid());
    for (first, second) in [(one, two), (two, one)] {
        for _ in 0..5 {
            one.arm(0);
            let ack_one = expect(one.intid())?;
            gic::end(ack_one);
            two.arm(0);
            let ack_two = expect(two.intid())?;
            gic::end(ack_two);
            expect_none("although both are active")?;
            let ack = |timer: Timer| if timer == one { ack_one } else { ack_two };
            gic::deactivate(ack(first));
            // The other one is still active.
            check!(
                !gic::is_active(first.intid()) && gic::is_active(second.intid()),
                "DIR has deactivated the wrong one"
            );
            let again = expect(first.intid())?;
            first.stop();
            gic::end(again);
            gic::deactivate(again);
            second.stop();
            gic::deactivate(ack(second));
            expect_none("although both have been stopped")?;
        }
    }
    Ok(())
}
