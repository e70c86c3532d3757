// SPDX-License-Identifier: GPL-2.0-only
//! WFI ends when the timer's interrupt is pending, however often, and whatever was written before: a hypervisor has to know
//! when the timer of one that sleeps expires.

use super::timer_level::is_next;
use super::timer_line::each;
use super::{cases, expect, expect_none, next};
use crate::gic::{self, Ack, IntId};
use crate::outcome::{Outcome, check, fail};
use crate::timer::{self, ENABLE, Timer};
use crate::{cpu, exception, second};
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

cases! {
    ANY: timer_wfi_untouched, timer_wfi_untouched_with_handler, timer_wfi_moved_later, timer_wfi_moved_earlier,
        timer_wfi_not_when_masked, timer_wfi_while_active, timer_wfi_both;
}

/// Should this CPU sleep on, the other timer wakes it, for the next seconds.
pub(super) fn watched(timer: Timer) {
    let dog = timer.other();
    dog.arm(8000);
    gic::enable(dog.intid());
}

pub(super) fn unwatched(timer: Timer) {
    let dog = timer.other();
    dog.stop();
    gic::disable(dog.intid());
}

/// Waits for the timer with WFI.
fn sleep(timer: Timer, round: usize) -> Outcome<Ack> {
    cpu::wait_for_interrupt();
    let ack = next()?;
    check!(
        ack.intid() == timer.intid(),
        "interrupt {} ended the sleep for the {} in round {round}",
        ack.intid().0,
        timer.name()
    );
    Ok(ack)
}

const ROUNDS: usize = 1000;
/// Microseconds.
const PERIOD: u64 = 300;

/// CTL is written once; after that CVAL alone.
fn timer_wfi_untouched() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        timer.set_compare(timer.count() + timer::microseconds(PERIOD));
        timer.set_control(ENABLE);
        for round in 0..ROUNDS {
            if round.is_multiple_of(100) {
                watched(timer);
            }
            let ack = sleep(timer, round)?;
            timer.set_compare(timer.count() + timer::microseconds(PERIOD));
            gic::end(ack);
        }
        unwatched(timer);
        Ok(())
    })
}

/// Which timer, by its number in [`Timer::ALL`], and how often it came, and others.
static TIMER: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static OTHERS: AtomicUsize = AtomicUsize::new(0);

fn move_on(ack: Ack) {
    match Timer::ALL.get(TIMER.load(SeqCst)) {
        Some(timer) if ack.intid() == timer.intid() => {
            timer.set_compare(timer.count() + timer::microseconds(PERIOD));
            TAKEN.store(TAKEN.load(SeqCst) + 1, SeqCst);
        }
        _ => OTHERS.store(OTHERS.load(SeqCst) + 1, SeqCst),
    }
    gic::end(ack);
}

/// As an operating system does: it looks with interrupts masked, sleeps, and lets them in.
fn timer_wfi_untouched_with_handler() -> Outcome {
    for (n, timer) in Timer::ALL.into_iter().enumerate() {
        TIMER.store(n, SeqCst);
        TAKEN.store(0, SeqCst);
        OTHERS.store(0, SeqCst);
        gic::enable(timer.intid());
        timer.set_compare(timer.count() + timer::microseconds(PERIOD));
        timer.set_control(ENABLE);
        while TAKEN.load(SeqCst) < ROUNDS {
            let round = TAKEN.load(SeqCst);
            if round.is_multiple_of(100) {
                watched(timer);
                exception::set_handler(move_on);
            }
            while TAKEN.load(SeqCst) == round && OTHERS.load(SeqCst) == 0 {
                cpu::wait_for_interrupt();
                cpu::unmask_irqs();
                cpu::mask_irqs();
            }
            check!(
                OTHERS.load(SeqCst) == 0,
                "not the {} ended the sleep in round {round}",
                timer.name()
            );
        }
        timer.stop();
        gic::disable(timer.intid());
        unwatched(timer);
    }
    Ok(())
}

const SGI: IntId = IntId(14);

/// CPU 1 sends an SGI in so many milliseconds.
fn wake_after(ms: usize) -> Outcome {
    gic::enable(SGI);
    second::start(
        |ms| {
            timer::within(ms as u64, || false);
            gic::send_sgi(SGI, 0);
            Ok(0)
        },
        ms,
    )
}

fn woken() -> Outcome {
    cpu::wait_for_interrupt();
    let ack = next()?;
    check!(
        ack.intid() == SGI,
        "interrupt {} ended the sleep, not CPU 1",
        ack.intid().0
    );
    gic::end(ack);
    second::finish()?;
    Ok(())
}

/// It goes to sleep for one time, is woken, and goes to sleep for a later one: it must not come at the first.
fn timer_wfi_moved_later() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        for round in 0..5_usize {
            watched(timer);
            // Both long enough for a busy machine.
            timer.arm(250);
            wake_after(2)?;
            woken()?;
            let at = timer.count() + timer::ticks(250);
            timer.set_compare(at);
            // On a busy machine it may have expired meanwhile, but that is over with the next exit.
            check!(
                !gic::is_pending(timer.intid()),
                "the {} is pending although it was moved to the future",
                timer.name()
            );
            let ack = sleep(timer, round)?;
            check!(
                timer.count() >= at,
                "the {} came {} ticks early",
                timer.name(),
                at - timer.count()
            );
            timer.move_to_future();
            gic::end(ack);
            expect_none("although it was moved to the future")?;
        }
        unwatched(timer);
        Ok(())
    })
}

/// The other way round: to the past, and to soon.
fn timer_wfi_moved_earlier() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        for round in 0..10_usize {
            watched(timer);
            timer.arm(60_000);
            wake_after(2)?;
            woken()?;
            if round.is_multiple_of(2) {
                timer.move_to_past();
            } else {
                timer.set_compare(timer.count() + timer::ticks(2));
            }
            let ack = sleep(timer, round)?;
            timer.move_to_future();
            gic::end(ack);
            expect_none("although it was moved to the future")?;
        }
        unwatched(timer);
        Ok(())
    })
}

/// One that is masked wakes nobody, and unmasking is all it takes.
fn timer_wfi_not_when_masked() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        for round in 0..5 {
            watched(timer);
            timer.mask();
            timer.set_compare(timer.count() + timer::ticks(1));
            wake_after(10)?;
            woken()?;
            timer.set_control(ENABLE);
            let ack = sleep(timer, round)?;
            timer.mask();
            gic::end(ack);
            expect_none("although it is masked")?;
        }
        unwatched(timer);
        Ok(())
    })
}

/// It is active, with its line high, while this CPU sleeps: that wakes nobody. Ended, it comes again.
fn timer_wfi_while_active() -> Outcome {
    each(|timer| {
        gic::enable(timer.intid());
        gic::set_priority(SGI, 0x40);
        for _ in 0..5 {
            watched(timer);
            // Below the running priority it would wake nobody.
            gic::set_priority(timer.other().intid(), 0x40);
            timer.arm(0);
            let ack = expect(timer.intid())?;
            wake_after(10)?;
            woken()?;
            check!(gic::is_active(timer.intid()), "not active after a sleep");
            gic::end(ack);
            is_next(timer, "although its line is still high")?;
            let ack = sleep(timer, 0)?;
            timer.stop();
            gic::end(ack);
            expect_none("although the timer has been stopped")?;
        }
        unwatched(timer);
        gic::set_priority(timer.other().intid(), gic::DEFAULT_PRIORITY);
        Ok(())
    })
}

/// Both at once: each ends a sleep once, and neither before its time.
fn timer_wfi_both() -> Outcome {
    let [one, two] = Timer::ALL;
    gic::enable(one.intid());
    gic::enable(two.intid());
    for round in 0..50_usize {
        let (first, second) = if round.is_multiple_of(2) {
            (one, two)
        } else {
            (two, one)
        };
        first.arm(1);
        second.arm(5);
        let mut taken = [false; 2];
        for _ in 0..2 {
            cpu::wait_for_interrupt();
            let ack = next()?;
            let of = |timer: Timer| ack.intid() == timer.intid();
            let (timer, taken) = match &mut taken {
                [taken, _] if of(one) => (one, taken),
                [_, taken] if of(two) => (two, taken),
                _ => fail!("interrupt {} came", ack.intid().0),
            };
            check!(!*taken, "the {} came twice in round {round}", timer.name());
            check!(
                timer.has_expired(),
                "the {} came early in round {round}",
                timer.name()
            );
            *taken = true;
            timer.move_to_future();
            gic::end(ack);
        }
        expect_none("although both were moved to the future")?;
    }
    Ok(())
}
