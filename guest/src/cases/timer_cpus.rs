// SPDX-License-Identifier: GPL-2.0-only
//! The timers with two CPUs: each has its own, which go off with it; and on GICv3 another CPU may write what belongs to the
//! interrupt at any time.

use super::timer_level::{is_next, taken_once};
use super::{cases, expect, expect_none};
use crate::gic::{self, Ack, EoiMode, IntId, gicd};
use crate::outcome::{Outcome, check, check_eq};
use crate::timer::{self, Timer};
use crate::{cpu, exception, second};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

cases! {
    ANY: timer_counts_exactly_on_both_cpus, timer_active_while_other_counts, timer_pending_while_other_counts,
        timer_held_back_while_other_counts, timer_cpu_off_while_armed, timer_cpu_off_while_pending,
        timer_cpu_off_while_active, timer_cpu_off_between_eoi_and_dir, timer_cpu_off_while_held_back;
    V3: timer_line_seen_by_other_cpu, timer_line_seen_by_other_cpu_alone, timer_disabled_by_other_cpu, timer_active_state_by_other_cpu,
        timer_pending_state_by_other_cpu, timer_enable_toggled_by_other_cpu, timer_ispendr_by_other_cpu_in_flight,
        timer_active_by_other_cpu_in_flight;
}

/// The timer with this number in [`Timer::ALL`].
fn timer(n: usize) -> Timer {
    if n == 0 {
        Timer::Virtual
    } else {
        Timer::Physical
    }
}

fn each_number(check: fn(usize) -> Outcome) -> Outcome {
    (0..Timer::ALL.len()).try_for_each(|n| {
        check(n)?;
        timer(n).stop();
        gic::disable(timer(n).intid());
        Ok(())
    })
}

static TAKEN: [AtomicUsize; cpu::CPUS] = [const { AtomicUsize::new(0) }; cpu::CPUS];
static EARLY: [AtomicUsize; cpu::CPUS] = [const { AtomicUsize::new(0) }; cpu::CPUS];
/// So many fewer than those at which exception.rs sees a storm.
const BATCH: usize = 150;
const BATCHES: usize = 2;
/// Microseconds.
const PERIOD: u64 = 500;

/// Arms it anew by CVAL alone, until it has come often enough. Each time the condition must be true.
fn again(ack: Ack) {
    let taken = &TAKEN[cpu::current()];
    for timer in Timer::ALL {
        if ack.intid() == timer.intid() {
            let early = &EARLY[cpu::current()];
            early.store(
                early.load(SeqCst) + usize::from(!timer.has_expired()),
                SeqCst,
            );
            let n = taken.load(SeqCst) + 1;
            taken.store(n, SeqCst);
            if n < BATCH {
                timer.set_compare(timer.count() + timer::microseconds(PERIOD));
            } else {
                timer.move_to_future();
            }
        }
    }
    gic::end(ack);
}

fn count_exactly(n: usize) -> Outcome<usize> {
    let (timer, taken) = (timer(n), &TAKEN[cpu::current()]);
    let early = &EARLY[cpu::current()];
    gic::enable(timer.intid());
    for _ in 0..BATCHES {
        exception::set_handler(again);
        taken.store(0, SeqCst);
        early.store(0, SeqCst);
        timer.arm(1);
        cpu::unmask_irqs();
        timer::within(5000, || taken.load(SeqCst) >= BATCH);
        timer::within(5, || false);
        cpu::mask_irqs();
        check_eq!(timer.name(), taken.load(SeqCst), BATCH);
        check_eq!("exceptions", exception::taken(), BATCH);
        check_eq!("early ones", early.load(SeqCst), 0);
    }
    timer.stop();
    gic::disable(timer.intid());
    Ok(0)
}

/// Each with each.
fn timer_counts_exactly_on_both_cpus() -> Outcome {
    for (zero, one) in [(0, 0), (1, 1), (0, 1), (1, 0)] {
        second::start(count_exactly, one)?;
        let outcome = count_exactly(zero);
        second::finish()?;
        outcome?;
    }
    Ok(())
}

/// CPU 0's is active all the while, and its line high: CPU 1, which may share a physical CPU with it, has its own.
fn timer_active_while_other_counts() -> Outcome {
    each_number(|n| {
        let timer = raise(n)?;
        let ack = expect(timer.intid())?;
        for other in 0..Timer::ALL.len() {
            second::run(count_exactly, other)?;
        }
        check!(gic::is_active(timer.intid()), "not active any more");
        expect_none("although it is active")?;
        gic::end(ack);
        taken_once(timer)
    })
}

fn timer_pending_while_other_counts() -> Outcome {
    each_number(|n| {
        let timer = raise(n)?;
        for other in 0..Timer::ALL.len() {
            second::run(count_exactly, other)?;
        }
        taken_once(timer)
    })
}

fn timer_held_back_while_other_counts() -> Outcome {
    each_number(|n| {
        let timer = raise(n)?;
        gic::disable(timer.intid());
        for other in 0..Timer::ALL.len() {
            second::run(count_exactly, other)?;
        }
        expect_none("although it is disabled")?;
        gic::enable(timer.intid());
        taken_once(timer)
    })
}

/// CPU 1 goes off with its timer as `job` leaves it, and comes back: whatever has become of it, from a clean state all is as
/// ever.
fn off_with(job: second::Job) -> Outcome {
    for n in 0..Timer::ALL.len() {
        for _ in 0..3 {
            second::run(job, n)?;
            second::off()?;
            timer::within(5, || false);
            second::on()?;
            second::run(works, n)?;
        }
    }
    Ok(())
}

fn works(n: usize) -> Outcome<usize> {
    let timer = timer(n);
    // What CPU_ON makes of the timer is not defined; QEMU clears CTL, and lowers the line when that is written next.
    timer.mask();
    gic::reset_private()?;
    check!(!gic::is_active(timer.intid()), "still active");
    check!(!gic::is_pending(timer.intid()), "still pending");
    gic::enable(timer.intid());
    expect_none("before its time")?;
    for _ in 0..3 {
        timer.arm(1);
        taken_once(timer)?;
        timer.arm(0);
        gic::end(expect(timer.intid())?);
        taken_once(timer)?;
    }
    gic::disable(timer.intid());
    Ok(0)
}

fn raise(n: usize) -> Outcome<Timer> {
    let timer = timer(n);
    gic::enable(timer.intid());
    timer.arm(0);
    is_next(timer, "although its condition is true")?;
    Ok(timer)
}

fn timer_cpu_off_while_armed() -> Outcome {
    off_with(|n| {
        gic::enable(timer(n).intid());
        timer(n).arm(3);
        Ok(0)
    })
}

fn timer_cpu_off_while_pending() -> Outcome {
    off_with(|n| {
        raise(n)?;
        Ok(0)
    })
}

fn timer_cpu_off_while_active() -> Outcome {
    off_with(|n| {
        let timer = raise(n)?;
        expect(timer.intid())?;
        Ok(0)
    })
}

fn timer_cpu_off_between_eoi_and_dir() -> Outcome {
    off_with(|n| {
        gic::set_eoi_mode(EoiMode::Split);
        let timer = raise(n)?;
        gic::end(expect(timer.intid())?);
        Ok(0)
    })
}

fn timer_cpu_off_while_held_back() -> Outcome {
    off_with(|n| {
        let timer = raise(n)?;
        gic::disable(timer.intid());
        gic::set_active(timer.intid());
        Ok(0)
    })
}

fn job_is_pending(id: usize) -> Outcome<usize> {
    let id = IntId(id as u32);
    let seen = timer::within(500, || gic::read_bit_of(0, gicd::ISPENDR, id));
    check!(seen, "not seen pending although the line is high");
    Ok(0)
}

fn job_is_not_pending(id: usize) -> Outcome<usize> {
    let id = IntId(id as u32);
    let seen = timer::within(500, || !gic::read_bit_of(0, gicd::ISPENDR, id));
    check!(seen, "seen pending although the line is low");
    Ok(0)
}

/// GICR_ISPENDR0 shows the line to whoever reads it; `changed` follows upon each change.
fn line_is_seen(changed: fn(Timer)) -> Outcome {
    for n in 0..Timer::ALL.len() {
        let timer = timer(n);
        let id = timer.intid().0 as usize;
        let becomes = |pending| {
            changed(timer);
            let job = if pending {
                job_is_pending
            } else {
                job_is_not_pending
            };
            second::run(job, id).map(drop)
        };
        for enabled in [false, true] {
            if enabled {
                gic::enable(timer.intid());
            }
            for _ in 0..3 {
                timer.arm(0);
                becomes(true)?;
                timer.mask();
                becomes(false)?;
                timer.set_control(timer::ENABLE);
                becomes(true)?;
                timer.move_to_future();
                becomes(false)?;
            }
        }
        timer.arm(0);
        let ack = expect(timer.intid())?;
        becomes(true)?;
        timer.stop();
        becomes(false)?;
        gic::end(ack);
        gic::disable(timer.intid());
    }
    Ok(())
}

/// CPU 0 reads it first, which is an exit where there is a hypervisor.
fn timer_line_seen_by_other_cpu() -> Outcome {
    line_is_seen(|timer| {
        gic::is_pending(timer.intid());
    })
}

/// CPU 0 does nothing but wait.
fn timer_line_seen_by_other_cpu_alone() -> Outcome {
    line_is_seen(|_| {})
}

/// CPU 1 writes a bit of CPU 0's: the register and the interrupt in one number.
fn job_write(what: usize) -> Outcome<usize> {
    gic::write_bit_of(0, what >> 8, IntId(what as u32 & 0xff));
    Ok(0)
}

/// Has CPU 1 write it, and gives it the time that it takes to arrive.
fn written_by_other(register: usize, timer: Timer) -> Outcome {
    second::run(job_write, register << 8 | timer.intid().0 as usize)?;
    timer::within(2, || false);
    Ok(())
}

fn timer_disabled_by_other_cpu() -> Outcome {
    each_number(|n| {
        for _ in 0..5 {
            let timer = raise(n)?;
            written_by_other(gicd::ICENABLER, timer)?;
            expect_none("although CPU 1 has disabled it")?;
            check!(gic::is_pending(timer.intid()), "not pending any more");
            written_by_other(gicd::ISENABLER, timer)?;
            let ack = expect(timer.intid())?;
            // While it is active that changes nothing.
            written_by_other(gicd::ICENABLER, timer)?;
            check!(gic::is_active(timer.intid()), "not active any more");
            gic::end(ack);
            expect_none("although CPU 1 has disabled it")?;
            timer.move_to_future();
            written_by_other(gicd::ISENABLER, timer)?;
            expect_none("although its line has fallen")?;
            timer.move_to_past();
            taken_once(timer)?;
        }
        Ok(())
    })
}

fn timer_active_state_by_other_cpu() -> Outcome {
    each_number(|n| {
        for _ in 0..5 {
            let timer = raise(n)?;
            written_by_other(gicd::ISACTIVER, timer)?;
            expect_none("although CPU 1 has made it active")?;
            written_by_other(gicd::ICACTIVER, timer)?;
            gic::set_eoi_mode(EoiMode::Split);
            gic::end(expect(timer.intid())?);
            expect_none("although it is active")?;
            written_by_other(gicd::ICACTIVER, timer)?;
            // The line is still high.
            let ack = expect(timer.intid())?;
            timer.stop();
            gic::end(ack);
            written_by_other(gicd::ICACTIVER, timer)?;
            gic::set_eoi_mode(EoiMode::Both);
            expect_none("although the timer has been stopped")?;
            // With the line low.
            written_by_other(gicd::ISACTIVER, timer)?;
            check!(gic::is_active(timer.intid()), "not active");
            timer.arm(0);
            expect_none("although CPU 1 has made it active")?;
            written_by_other(gicd::ICACTIVER, timer)?;
            taken_once(timer)?;
        }
        Ok(())
    })
}

fn timer_pending_state_by_other_cpu() -> Outcome {
    each_number(|n| {
        for _ in 0..5 {
            let timer = raise(n)?;
            written_by_other(gicd::ICPENDR, timer)?;
            taken_once(timer)?;
            written_by_other(gicd::ISPENDR, timer)?;
            gic::end(expect(timer.intid())?);
            expect_none("a second time although its line is low")?;
            // Set behind an active one whose line is high, and which then falls.
            timer.arm(0);
            let ack = expect(timer.intid())?;
            written_by_other(gicd::ISPENDR, timer)?;
            timer.stop();
            gic::end(ack);
            gic::end(expect(timer.intid())?);
            expect_none("a third time although its line is low")?;
            written_by_other(gicd::ISPENDR, timer)?;
            written_by_other(gicd::ICPENDR, timer)?;
            expect_none("although CPU 1 has taken it back")?;
        }
        Ok(())
    })
}

static ENOUGH: AtomicBool = AtomicBool::new(false);
/// Expiries while CPU 1 writes.
const IN_FLIGHT: usize = 50;
/// CPU 1's writes of what may make it come once more each.
const DISTURBANCES: usize = 100;

/// As [`again`], but what comes with the condition false is counted apart.
fn again_or_early(ack: Ack) {
    let taken = &TAKEN[cpu::current()];
    for timer in Timer::ALL {
        if ack.intid() != timer.intid() {
            continue;
        }
        if !timer.has_expired() {
            EARLY[0].store(EARLY[0].load(SeqCst) + 1, SeqCst);
            continue;
        }
        let n = taken.load(SeqCst) + 1;
        taken.store(n, SeqCst);
        if n < IN_FLIGHT {
            timer.set_compare(timer.count() + timer::microseconds(PERIOD));
        } else {
            timer.move_to_future();
        }
    }
    gic::end(ack);
}

fn pause(us: u64) {
    let until = timer::now() + timer::microseconds(us);
    while timer::now() < until {}
}

/// Until CPU 0 has had enough, or for so many times.
fn disturb(id: usize, most: usize, registers: [usize; 2]) -> Outcome<usize> {
    let mut writes = 0;
    timer::within(6000, || {
        if writes < most {
            for register in registers {
                gic::write_bit_of(0, register, IntId(id as u32));
                pause(25);
            }
            writes += 1;
        }
        ENOUGH.load(SeqCst)
    });
    Ok(writes)
}

/// None of those that CPU 0's timer fires is lost while CPU 1 writes, and at most `extra` come beside them.
fn in_flight(n: usize, job: second::Job, extra: fn(usize) -> usize) -> Outcome {
    let timer = timer(n);
    ENOUGH.store(false, SeqCst);
    EARLY[0].store(0, SeqCst);
    TAKEN[0].store(0, SeqCst);
    exception::set_handler(again_or_early);
    gic::enable(timer.intid());
    timer.arm(1);
    second::start(job, timer.intid().0 as usize)?;
    cpu::unmask_irqs();
    timer::within(5000, || TAKEN[0].load(SeqCst) >= IN_FLIGHT);
    cpu::mask_irqs();
    ENOUGH.store(true, SeqCst);
    let writes = second::finish()?;
    // Whatever CPU 1 has left.
    cpu::unmask_irqs();
    timer::within(5, || false);
    cpu::mask_irqs();
    check_eq!(timer.name(), TAKEN[0].load(SeqCst), IN_FLIGHT);
    let (early, extra) = (EARLY[0].load(SeqCst), extra(writes));
    check!(
        early <= extra,
        "{early} came without the {} having expired, at most {extra} may",
        timer.name()
    );
    check!(!gic::is_pending(timer.intid()), "still pending");
    check!(!gic::is_active(timer.intid()), "still active");
    Ok(())
}

fn timer_enable_toggled_by_other_cpu() -> Outcome {
    each_number(|n| {
        in_flight(
            n,
            |id| disturb(id, usize::MAX, [gicd::ICENABLER, gicd::ISENABLER]),
            |_| 0,
        )
    })
}

fn timer_ispendr_by_other_cpu_in_flight() -> Outcome {
    each_number(|n| {
        in_flight(
            n,
            |id| disturb(id, DISTURBANCES, [gicd::ISPENDR, gicd::ICPENDR]),
            |writes| writes,
        )
    })
}

/// Deactivated by another while its handler runs, with its line still high, it may come once more.
fn timer_active_by_other_cpu_in_flight() -> Outcome {
    each_number(|n| {
        in_flight(
            n,
            |id| disturb(id, DISTURBANCES, [gicd::ISACTIVER, gicd::ICACTIVER]),
            |writes| writes,
        )
    })
}
