// SPDX-License-Identifier: GPL-2.0-only
//! The cases of rVIC and rVID. As with a GIC, most look with interrupts masked at what would be delivered next: at ISR_EL1, and
//! by ACKNOWLEDGE; those of which the point is the exception itself take it.

mod affinity;
mod errors;
mod events;
mod identification;
mod inputs;
mod ipi;
mod levels;
mod line;
mod masks;
mod no_gic;
mod power;
mod sleep;
mod timers;

pub use identification::{has_levels, message_inputs, remember};

use super::call::{self, Status, check_status};
use super::{clean_own, line, own, uart};
use crate::cases::Case;
use crate::cpu::{self, MOST};
use crate::fdt::Machine;
use crate::outcome::{Outcome, Tally, check, fail};
use crate::second::Cpu;
use crate::{exception, timer};

pub const ALL: &[&[Case]] = &[
    identification::CASES,
    no_gic::CASES,
    masks::CASES,
    line::CASES,
    errors::CASES,
    ipi::CASES,
    timers::CASES,
    sleep::CASES,
    inputs::CASES,
    levels::CASES,
    events::CASES,
    affinity::CASES,
    power::CASES,
];

/// Runs those that are asked for.
pub fn run_all(machine: &Machine, tally: &mut Tally) {
    for case in ALL.iter().flat_map(|group| group.iter()) {
        if machine.asks_for(case.name) {
            tally.count(case.name, run(case));
        }
    }
}

/// Runs one from a clean state.
fn run(case: &Case) -> Outcome {
    let outcome = exception::guarded(|| {
        clean()?;
        (case.run)()
    })
    .inspect_err(|_| cpu::mask_irqs());
    match call::unclean() {
        Some(function) if outcome.is_ok() => {
            fail!("something stands in x2 or x3 after {function:#x}")
        }
        _ => outcome,
    }
}

/// All CPUs but CPU 0.
fn others() -> impl Iterator<Item = Cpu> {
    (1..MOST).map(Cpu)
}

/// The state in which each begins: all CPUs are up, enabled, all masked, nothing pending, nothing mapped.
fn clean() -> Outcome {
    uart::lower();
    call::unmap(uart::INPUT);
    for other in others() {
        if other.is_alive() {
            other.settle();
        } else {
            other.on()?;
        }
        other.run(
            |_| {
                clean_own();
                Ok(0)
            },
            0,
        )?;
    }
    clean_own();
    Ok(())
}

/// Milliseconds in which whatever is to come does come, also on a busy machine.
const LIMIT: u64 = 10_000;

/// The line of this CPU must be so at once.
fn line_is(up: bool, when: &str) -> Outcome {
    check!(line() == up, "ISR_EL1.I is {} {when}", u32::from(!up));
    Ok(())
}

/// The line of this CPU becomes so without a call of its own.
fn line_becomes(up: bool, when: &str) -> Outcome {
    check!(
        timer::within(LIMIT, || line() == up),
        "ISR_EL1.I stays {} {when}",
        u32::from(!up)
    );
    Ok(())
}

/// Waits until `count` has come to `end`, as long as it grows; how far it came.
fn goes_on(end: usize, count: impl Fn() -> usize) -> usize {
    loop {
        let before = count();
        if before >= end || !timer::within(LIMIT, || count() != before) {
            return count();
        }
    }
}

/// What is next of this CPU must be `intid`, and the line is up until then.
fn expect(intid: u64) -> Outcome {
    check!(
        timer::within(LIMIT, line),
        "interrupt {intid} did not come in time"
    );
    match call::acknowledge() {
        Ok(seen) if seen == intid => Ok(()),
        Ok(seen) => fail!("interrupt {seen} came, expected {intid}"),
        Err(status) => fail!("ACKNOWLEDGE says {status}, expected interrupt {intid}"),
    }
}

/// The same, and it may come again.
fn expect_and_end(intid: u64) -> Outcome {
    expect(intid)?;
    check_status!(
        "CLEAR_MASKED",
        call::clear_masked(own(), intid),
        Status::SUCCESS
    );
    Ok(())
}

/// There is none; `when` completes the message.
fn expect_none(when: &str) -> Outcome {
    line_is(false, when)?;
    match call::acknowledge() {
        Err(Status::NO_INTERRUPTS) => Ok(()),
        Err(status) => fail!("ACKNOWLEDGE says {status} {when}"),
        Ok(intid) => fail!("interrupt {intid} came {when}"),
    }
}

/// IS_PENDING must say so.
fn pending_is(target: u64, intid: u64, pending: bool, when: &str) -> Outcome {
    let (status, value) = call::is_pending(target, intid);
    check_status!("IS_PENDING", status, Status::SUCCESS);
    check!(
        value == u64::from(pending),
        "IS_PENDING of {intid} is {value:#x} {when}"
    );
    Ok(())
}

/// A call that must succeed.
fn done(what: &str, status: Status) -> Outcome {
    check_status!(what, status, Status::SUCCESS);
    Ok(())
}

/// This CPU's own.
fn signal(intid: u64) -> Outcome {
    done("SIGNAL", call::signal(own(), intid))
}

fn mask(intid: u64) -> Outcome {
    done("SET_MASKED", call::set_masked(own(), intid))
}

fn unmask(intid: u64) -> Outcome {
    done("CLEAR_MASKED", call::clear_masked(own(), intid))
}

/// On another CPU: it takes this one, and ends it.
fn job_expect_and_end(intid: usize) -> Outcome<usize> {
    expect_and_end(intid as u64)?;
    Ok(0)
}

/// On another CPU: none may come.
fn job_expect_none(_: usize) -> Outcome<usize> {
    expect_none("on the wrong CPU")?;
    Ok(0)
}

/// On another CPU: it may come.
fn job_unmask(intid: usize) -> Outcome<usize> {
    unmask(intid as u64)?;
    Ok(0)
}

/// A number that only chance would make: a sequence without a pattern, the same each time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        // xorshift64 (Marsaglia, 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}
