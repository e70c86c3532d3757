// SPDX-License-Identifier: GPL-2.0-only
//! The timers' registers are the guest's: CTL and CVAL read back as written, and ISTATUS is the condition as it is now
//! (DDI 0487, D12.2.4), whatever has become of the interrupt.

use super::timer_line::{each, pending_becomes};
use super::timer_sleep::{unwatched, watched};
use super::{cases, expect, expect_none};
use crate::cpu;
use crate::gic::{self, EoiMode};
use crate::outcome::{Outcome, check, check_eq};
use crate::timer::{self, ENABLE, IMASK, ISTATUS, Timer};

cases! {
    ANY: timer_control_reads_back, timer_control_after_expiry, timer_istatus_is_not_late,
        timer_control_while_pending, timer_control_while_active, timer_control_while_active_eoimode1, timer_control_after_wfi,
        timer_compare_reads_back, timer_value;
}

/// CTL must be this now. ISTATUS of a timer that is off is unknown.
pub(super) fn control_is(timer: Timer, wanted: u64, when: &str) -> Outcome {
    let known = if wanted & ENABLE == 0 {
        ENABLE | IMASK
    } else {
        ENABLE | IMASK | ISTATUS
    };
    let seen = timer.control() & known;
    check!(
        seen == wanted,
        "CTL of the {} is {seen:#x}, expected {wanted:#x} {when}",
        timer.name()
    );
    Ok(())
}

/// Every value, with the condition true and false, and back.
fn all_values(timer: Timer, when: &str) -> Outcome {
    for _ in 0..2 {
        timer.move_to_future();
        for value in [ENABLE, ENABLE | IMASK, IMASK, 0, ENABLE] {
            timer.set_control(value);
            control_is(timer, value, when)?;
        }
        timer.move_to_past();
        for value in [ENABLE, ENABLE | IMASK, IMASK, 0, ENABLE] {
            timer.set_control(value);
            let status = if value & ENABLE == 0 { 0 } else { ISTATUS };
            control_is(timer, value | status, when)?;
        }
        timer.move_to_future();
        control_is(timer, ENABLE, when)?;
    }
    Ok(())
}

fn timer_control_reads_back() -> Outcome {
    each(|timer| {
        all_values(timer, "with its interrupt disabled")?;
        // What is written of ISTATUS is ignored.
        timer.move_to_future();
        timer.set_control(ENABLE | ISTATUS);
        control_is(timer, ENABLE, "after a write of ISTATUS")?;
        timer.move_to_past();
        timer.set_control(ENABLE);
        control_is(timer, ENABLE | ISTATUS, "after a write without ISTATUS")
    })
}

/// By itself, and not before its time.
fn timer_control_after_expiry() -> Outcome {
    each(|timer| {
        for mask in [0, IMASK] {
            for _ in 0..20 {
                let at = timer.count() + timer::microseconds(500);
                timer.set_compare(at);
                timer.set_control(ENABLE | mask);
                let (mut before, mut after) = (0, 0);
                let expired = timer::within(500, || {
                    before = timer.count();
                    let expired = timer.has_expired();
                    after = timer.count();
                    expired
                });
                check!(expired, "the {} does not expire", timer.name());
                check!(
                    after >= at,
                    "ISTATUS of the {} is {} ticks early",
                    timer.name(),
                    at - after
                );
                control_is(timer, ENABLE | ISTATUS | mask, "after it has expired")?;
            }
        }
        Ok(())
    })
}

/// Only the physical timer, which a hypervisor may emulate: the virtual one is always the CPU's own.
fn timer_istatus_is_not_late() -> Outcome {
    let timer = Timer::Physical;
    for _ in 0..100 {
        timer.set_compare(timer.count() + timer::microseconds(300));
        timer.set_control(ENABLE);
        let at = timer.compare();
        timer::within(500, || timer.count() >= at);
        check!(
            timer.has_expired(),
            "not expired when the counter was {} ticks on",
            timer.count() - at
        );
    }
    timer.stop();
    Ok(())
}

fn timer_control_while_pending() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        timer.arm(1);
        let came = timer::within(500, || gic::highest_pending() == timer.intid());
        check!(came, "the {} is not pending", timer.name());
        control_is(timer, ENABLE | ISTATUS, "while it is pending")?;
        timer.mask();
        control_is(timer, ENABLE | IMASK | ISTATUS, "masked while pending")?;
        pending_becomes(timer, false, "although it is masked")?;
        control_is(timer, ENABLE | IMASK | ISTATUS, "masked and not pending")?;
        timer.set_control(ENABLE);
        pending_becomes(timer, true, "although it is no longer masked")?;
        control_is(timer, ENABLE | ISTATUS, "while it is pending again")?;
        all_values(timer, "with its interrupt enabled")?;
        timer.stop();
        check!(!gic::is_pending(timer.intid()), "pending once stopped");
        expect_none("although the timer has been stopped")
    })
}

fn while_active(timer: Timer) -> Outcome {
    gic::enable(timer.intid());
    timer.arm(1);
    let ack = expect(timer.intid())?;
    control_is(timer, ENABLE | ISTATUS, "while it is active")?;
    timer.mask();
    control_is(timer, ENABLE | IMASK | ISTATUS, "masked while active")?;
    all_values(timer, "while it is active")?;
    timer.move_to_past();
    gic::end(ack);
    control_is(timer, ENABLE | ISTATUS, "after EOI")?;
    timer.stop();
    control_is(timer, 0, "once it is stopped")
}

fn timer_control_while_active() -> Outcome {
    each(|timer| {
        while_active(timer)?;
        // The line was high when it was ended, with no exit since perhaps.
        check!(!gic::is_pending(timer.intid()), "pending once stopped");
        expect_none("although the timer has been stopped")
    })
}

fn timer_control_while_active_eoimode1() -> Outcome {
    each(|timer| {
        gic::set_eoi_mode(EoiMode::Split);
        while_active(timer)?;
        timer.arm(0);
        control_is(timer, ENABLE | ISTATUS, "between EOI and DIR")?;
        timer.mask();
        gic::deactivate(gic::Ack(timer.intid().0));
        control_is(timer, ENABLE | IMASK | ISTATUS, "after DIR")?;
        expect_none("although the timer is masked")?;
        gic::set_eoi_mode(EoiMode::Both);
        Ok(())
    })
}

fn timer_control_after_wfi() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        for _ in 0..10 {
            watched(timer);
            timer.arm(2);
            cpu::wait_for_interrupt();
            let ack = expect(timer.intid())?;
            control_is(timer, ENABLE | ISTATUS, "after WFI")?;
            timer.move_to_future();
            control_is(timer, ENABLE, "after WFI, moved to the future")?;
            gic::end(ack);
        }
        unwatched(timer);
        Ok(())
    })
}

fn timer_compare_reads_back() -> Outcome {
    each(|timer| {
        for value in [0, 1, u64::MAX >> 1, timer.count(), timer.count() + 1_000] {
            timer.set_compare(value);
            check_eq!("CVAL", timer.compare(), value);
        }
        gic::enable(timer.intid());
        timer.arm(1);
        let at = timer.compare();
        let ack = expect(timer.intid())?;
        check_eq!("CVAL after it has fired", timer.compare(), at);
        let at = timer.count() + timer::ticks(60_000);
        timer.set_compare(at);
        gic::end(ack);
        check_eq!("CVAL after it was ended", timer.compare(), at);
        Ok(())
    })
}

fn timer_value() -> Outcome {
    each(|timer| {
        timer.stop();
        gic::enable(timer.intid());
        timer.set_value(i32::MAX);
        timer.set_control(ENABLE);
        control_is(timer, ENABLE, "with the greatest TVAL")?;
        check!(timer.value() > i32::MAX / 2, "TVAL is not what it was");
        expect_none("although its time is not near")?;
        let before = timer.count();
        timer.set_value(timer::ticks(1) as i32);
        let (at, after) = (timer.compare(), timer.count());
        check!(
            (before + timer::ticks(1)..=after + timer::ticks(1)).contains(&at),
            "CVAL of the {} is not the counter and TVAL",
            timer.name()
        );
        let ack = expect(timer.intid())?;
        check!(
            timer.value() <= 0,
            "TVAL of the {} is {} after it has fired",
            timer.name(),
            timer.value()
        );
        timer.set_value(i32::MAX);
        gic::end(ack);
        expect_none("although TVAL has been written")?;
        timer.set_value(-1);
        control_is(timer, ENABLE | ISTATUS, "with a negative TVAL")?;
        let ack = expect(timer.intid())?;
        timer.stop();
        gic::end(ack);
        expect_none("although the timer has been stopped")
    })
}
