// SPDX-License-Identifier: GPL-2.0-only
//! The cases. Most look at the acknowledge register with interrupts masked, which says exactly what would be delivered
//! next; those of which the point is the exception itself take it.

mod backlog;
mod end_of_interrupt;
mod gicv2m;
mod groups;
mod hotplug;
mod identification;
mod its_commands;
mod its_errors;
mod its_limits;
mod its_moves;
mod its_power;
mod its_queue;
mod its_registers;
mod its_tables;
mod kexec;
mod priorities;
mod registers;
mod routing;
mod sgi;
mod spi_state;
mod timer_control;
mod timer_cpus;
mod timer_level;
mod timer_line;
mod timer_sleep;

use crate::gic::{self, Ack, IntId, Version};
use crate::outcome::{Outcome, fail};
use crate::{cpu, exception, its, second, timer};

/// One thing that is to hold.
pub struct Case {
    pub name: &'static str,
    /// For which only, if not for both.
    pub version: Option<Version>,
    pub run: fn() -> Outcome,
}

/// A list of cases from the names of functions.
macro_rules! cases {
    ($($version:ident: $($function:ident),+ $(,)?);+ $(;)?) => {
        pub const CASES: &[$crate::cases::Case] = &[$($(
            $crate::cases::Case {
                name: stringify!($function),
                version: $crate::cases::$version,
                run: $function,
            },
        )+)+];
    };
}
pub(crate) use cases;

pub(crate) const ANY: Option<Version> = None;
pub(crate) const V2: Option<Version> = Some(Version::V2);
pub(crate) const V3: Option<Version> = Some(Version::V3);

/// All of them, in this order: last those after which a vGIC that fails them is of no more use.
pub const ALL: &[&[Case]] = &[
    identification::CASES,
    registers::CASES,
    sgi::CASES,
    spi_state::CASES,
    priorities::CASES,
    end_of_interrupt::CASES,
    timer_line::CASES,
    timer_control::CASES,
    timer_level::CASES,
    timer_sleep::CASES,
    timer_cpus::CASES,
    routing::CASES,
    groups::CASES,
    hotplug::CASES,
    backlog::CASES,
    gicv2m::CASES,
    its_registers::CASES,
    its_limits::CASES,
    its_queue::CASES,
    its_commands::CASES,
    its_errors::CASES,
    its_tables::CASES,
    its_moves::CASES,
    its_power::CASES,
    kexec::CASES,
    sgi::LAST_CASES,
];

/// Runs one from a clean state.
pub fn run(case: &Case) -> Outcome {
    exception::guarded(|| {
        clean()?;
        (case.run)()
    })
    .inspect_err(|_| cpu::mask_irqs())
}

/// The state in which each begins.
pub fn clean() -> Outcome {
    exception::set_handler(gic::end);
    its::off()?;
    gic::reset_spis();
    if second::is_alive() {
        second::settle();
    } else {
        second::on()?;
    }
    second::run(
        |_| {
            exception::set_handler(gic::end);
            gic::reset_private()?;
            Ok(0)
        },
        0,
    )?;
    gic::reset_private()
}

/// Milliseconds in which whatever is to come does come, also on a busy machine.
const LIMIT: u64 = 2000;

/// Waits for the next interrupt of this CPU, and acknowledges it.
fn next() -> Outcome<Ack> {
    let mut ack = Ack(1023);
    if timer::within(LIMIT, || {
        ack = gic::acknowledge();
        !ack.is_spurious()
    }) {
        return Ok(ack);
    }
    fail!("nothing came in time")
}

/// The next one must be `id`.
fn expect(id: IntId) -> Outcome<Ack> {
    let mut ack = Ack(1023);
    if !timer::within(LIMIT, || {
        ack = gic::acknowledge();
        !ack.is_spurious()
    }) {
        fail!("interrupt {} did not come in time", id.0);
    }
    if ack.intid() != id {
        fail!("interrupt {} came, expected {}", ack.intid().0, id.0);
    }
    Ok(ack)
}

/// The next one must be `id`; ends it.
fn expect_and_end(id: IntId) -> Outcome {
    gic::end(expect(id)?);
    Ok(())
}

/// These LPIs must come, in any order, each once: which of the same priority comes first is not said.
fn expect_lpis(numbers: &[u32]) -> Outcome {
    let mut seen = 0_u64;
    for _ in numbers {
        let ack = next()?;
        gic::end(ack);
        let n = ack.intid().0.wrapping_sub(its::lpi(0).0);
        if !numbers.contains(&n) || n >= 64 || seen >> n & 1 != 0 {
            fail!("interrupt {} came, or came again", ack.intid().0);
        }
        seen |= 1 << n;
    }
    Ok(())
}

/// None may come; `when` completes the message.
fn expect_none(when: &str) -> Outcome {
    let mut ack = Ack(1023);
    if timer::within(5, || {
        ack = gic::acknowledge();
        !ack.is_spurious()
    }) {
        fail!("interrupt {} came {when}", ack.intid().0);
    }
    Ok(())
}

/// The same, ends it.
fn job_expect_and_end(id: usize) -> Outcome<usize> {
    let ack = expect(IntId(id as u32))?;
    gic::end(ack);
    Ok(ack.source() as usize)
}

/// On CPU 1: none may come.
fn job_expect_none(_: usize) -> Outcome<usize> {
    expect_none("on the wrong CPU")?;
    Ok(0)
}

/// On CPU 1: nothing passes, or everything.
fn job_priority_mask(mask: usize) -> Outcome<usize> {
    gic::set_priority_mask(mask as u8);
    Ok(0)
}

/// An enabled SPI for CPU 0 with this priority.
fn ready_spi(n: u32, priority: u8) -> IntId {
    let id = gic::spi(n);
    gic::set_priority(id, priority);
    gic::enable(id);
    id
}
