// SPDX-License-Identifier: GPL-2.0-only
//! `latency=N` on the command line: in place of the cases, how long it takes until a handler runs, in ticks of the counter.
//!
//! From the moment at which a timer was to expire, or just before the write that makes an interrupt pending, until the handler
//! has acknowledged it and reads the counter. Only where time is counted in instructions is it the same each time.

use crate::console::println;
use crate::cpu::{self, read_sysreg};
use crate::exception;
use crate::gic::{self, Ack, IntId};
use crate::outcome::{Outcome, fail};
use crate::timer::{self, Timer};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The most that are measured of a kind.
const MOST: usize = 1000;

/// Milliseconds after which an interrupt is said not to have come.
const LIMIT: u64 = 2000;

const SGI: IntId = IntId(5);

/// What the counter was in the handler; 0 until then.
static TAKEN: AtomicU64 = AtomicU64::new(0);

fn note(ack: Ack) {
    let timer = Timer::ALL.into_iter().find(|t| t.intid() == ack.intid());
    let at = timer.map_or_else(timer::now, Timer::count);
    if let Some(timer) = timer {
        timer.stop();
    }
    TAKEN.store(at, SeqCst);
    gic::end(ack);
}

/// A kind of interrupt, and what is to be done for the `n`th: the result is when it was to come.
struct Kind {
    name: &'static str,
    id: fn() -> IntId,
    cause: fn(usize) -> u64,
    wait: fn() -> bool,
}

/// The counter does not stand at the same distance from whatever else happens each time.
fn arm(timer: Timer, n: usize) -> u64 {
    let at = timer.count() + timer::microseconds(100) + (n * 37 % 101) as u64;
    timer.set_compare(at);
    timer.set_control(timer::ENABLE);
    at
}

/// Does something all the while.
fn running() -> bool {
    timer::within(LIMIT, || TAKEN.load(SeqCst) != 0)
}

/// Sleeps; interrupts are masked until it wakes, so that none is taken before it sleeps.
fn asleep() -> bool {
    while TAKEN.load(SeqCst) == 0 {
        cpu::wait_for_interrupt();
        cpu::unmask_irqs();
        cpu::mask_irqs();
    }
    true
}

fn running_unmasked() -> bool {
    cpu::unmask_irqs();
    let came = running();
    cpu::mask_irqs();
    came
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "virtual timer, running",
        id: || Timer::Virtual.intid(),
        cause: |n| arm(Timer::Virtual, n),
        wait: running_unmasked,
    },
    Kind {
        name: "virtual timer, in WFI",
        id: || Timer::Virtual.intid(),
        cause: |n| arm(Timer::Virtual, n),
        wait: asleep,
    },
    Kind {
        name: "physical timer, running",
        id: || Timer::Physical.intid(),
        cause: |n| arm(Timer::Physical, n),
        wait: running_unmasked,
    },
    Kind {
        name: "physical timer, in WFI",
        id: || Timer::Physical.intid(),
        cause: |n| arm(Timer::Physical, n),
        wait: asleep,
    },
    Kind {
        name: "SGI to itself",
        id: || SGI,
        cause: |_| {
            cpu::unmask_irqs();
            let at = timer::now();
            gic::send_sgi(SGI, cpu::current());
            at
        },
        wait: running,
    },
    Kind {
        name: "SPI set pending",
        id: || gic::spi(0),
        cause: |_| {
            cpu::unmask_irqs();
            let at = timer::now();
            gic::set_pending(gic::spi(0));
            at
        },
        wait: running,
    },
];

fn measure(kind: &Kind, samples: &mut [u32]) -> Outcome {
    gic::reset_spis();
    gic::reset_private()?;
    gic::enable((kind.id)());
    exception::set_handler(note);
    // The first few are not like those that follow.
    let warm = 8;
    for n in 0..warm + samples.len() {
        TAKEN.store(0, SeqCst);
        let due = (kind.cause)(n);
        if !(kind.wait)() {
            fail!("the {n}th did not come");
        }
        exception::set_handler(note);
        let ticks = TAKEN.load(SeqCst).saturating_sub(due);
        if let Some(sample) = n.checked_sub(warm).and_then(|n| samples.get_mut(n)) {
            *sample = u32::try_from(ticks).unwrap_or(u32::MAX);
        }
    }
    cpu::mask_irqs();
    gic::disable((kind.id)());
    Ok(())
}

/// Measures each kind `count` times, and says so in a line each; how many could be measured, and how many not.
pub fn report(count: usize) -> (u32, u32) {
    let mut room = [0; MOST];
    let samples = room.get_mut(..count.clamp(1, MOST)).unwrap_or_default();
    let (mut passed, mut failed) = (0, 0);
    println!("latency: {} ticks in a second", read_sysreg!("cntfrq_el0"));
    for kind in &KINDS {
        match exception::guarded(|| measure(kind, samples)) {
            Ok(()) => {
                passed += 1;
                samples.sort_unstable();
                let at = |n: usize| samples.get(n).copied().unwrap_or(0);
                println!(
                    "latency: {}: median {} worst {} of {}",
                    kind.name,
                    at(samples.len() / 2),
                    at(samples.len() - 1),
                    samples.len()
                );
            }
            Err(crate::outcome::Stop::Fail(why) | crate::outcome::Stop::Skip(why)) => {
                failed += 1;
                cpu::mask_irqs();
                println!("FAIL latency, {}: {why}", kind.name);
            }
        }
    }
    (passed, failed)
}
