// SPDX-License-Identifier: GPL-2.0-only
//! `figure=KIND count=N` on the command line: in place of the cases, N interrupts of a kind, each as a driver takes it, with a GIC
//! or an rVIC. Whoever runs it counts what the hypervisor does, for N and for 2N: the difference is what N of them take.

use crate::cpu::{self, MOST};
use crate::fdt::Machine;
use crate::gic::{self, Ack, IntId, Trigger};
use crate::outcome::{Outcome, check, fail};
use crate::rvic::{self, call, uart};
use crate::second::CPU1;
use crate::timer::{self, Timer};
use crate::{exception, second};
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Milliseconds after which an interrupt is said not to have come.
const LIMIT: u64 = 60_000;
/// Microseconds from a tick to the next.
const PERIOD: u64 = 200;
/// What CPU 1 is sent.
const IPI: u32 = 1;
/// The console's interrupt: an SPI, or an input.
const SPI: IntId = IntId(32);

static WANTED: AtomicUsize = AtomicUsize::new(0);
static TAKEN: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];

fn taken(cpu: usize) -> usize {
    TAKEN.get(cpu).map_or(0, |taken| taken.load(SeqCst))
}

/// What a handler does for its device.
fn work(intid: u32) {
    let own = cpu::current();
    TAKEN[own].store(taken(own) + 1, SeqCst);
    // Nothing here is a storm.
    exception::forget();
    let timer = Timer::Virtual;
    if intid == timer.intid().0 {
        if taken(own) < WANTED.load(SeqCst) {
            timer.set_compare(timer.count() + timer::microseconds(PERIOD));
        } else {
            timer.stop();
        }
        if rvic::is_used() {
            call::resample(intid.into());
        }
    } else if intid != IPI {
        uart::lower();
    }
}

fn by_gic(ack: Ack) {
    work(ack.intid().0);
    gic::end(ack);
}

fn by_rvic(intid: u64) {
    work(intid as u32);
    rvic::end(intid);
}

/// This CPU takes `id`, a private one, and handles all that comes.
fn take(id: u32) {
    if rvic::is_used() {
        rvic::set_handler(by_rvic);
        call::clear_masked(rvic::own(), id.into());
    } else {
        exception::set_handler(by_gic);
        gic::enable(IntId(id));
    }
    cpu::unmask_irqs();
}

/// A tick of the virtual timer after the other, while the guest runs.
fn ticks(count: usize) -> Outcome {
    take(Timer::Virtual.intid().0);
    if count > 0 {
        Timer::Virtual.arm(1);
    }
    reached(0, count)
}

fn reached(cpu: usize, count: usize) -> Outcome {
    check!(
        timer::within(LIMIT + count as u64, || taken(cpu) >= count),
        "{} of {count} were taken",
        taken(cpu)
    );
    Ok(())
}

fn job_take_ipis(count: usize) -> Outcome<usize> {
    take(IPI);
    reached(1, count)?;
    Ok(0)
}

/// From CPU 0 to CPU 1, which runs, which answers to nobody: each has been taken before the next is sent.
fn ipis(count: usize) -> Outcome {
    CPU1.start(job_take_ipis, count)?;
    for n in 1..=count {
        if rvic::is_used() {
            call::signal(CPU1.mpidr(), IPI.into());
        } else {
            gic::send_sgi(IntId(IPI), 1);
        }
        reached(1, n)?;
    }
    CPU1.finish()?;
    Ok(())
}

/// The console's interrupt goes to this CPU, if at all.
fn take_device(wanted: bool) {
    if rvic::is_used() {
        rvic::set_handler(by_rvic);
        if wanted {
            call::map(uart::INPUT, rvic::own(), rvic::trusted());
            call::clear_masked(rvic::own(), rvic::trusted());
        }
    } else {
        exception::set_handler(by_gic);
        gic::set_trigger(SPI, Trigger::Level);
        gic::set_priority(SPI, gic::DEFAULT_PRIORITY);
        gic::route(SPI, 0);
        if wanted {
            gic::enable(SPI);
        }
    }
    cpu::unmask_irqs();
}

/// It goes to another CPU from now on.
fn move_device(old: usize, new: usize) -> Outcome {
    if rvic::is_used() {
        let (old, new) = (rvic::mpidr(old), rvic::mpidr(new));
        let intid = rvic::trusted();
        rvic::move_input(uart::INPUT, old, new, intid)?;
        call::clear_masked(new, intid);
    } else {
        gic::route(SPI, new);
    }
    Ok(())
}

/// Interrupts of the console on this CPU; before each, its affinity is changed so often. The accesses to the console are in
/// this, and alone in [`accesses`].
fn device(count: usize, changes: usize) -> Outcome {
    uart::is_ready()?;
    take_device(true);
    for n in 1..=count {
        for change in 0..changes {
            move_device(change % 2, (change + 1) % 2)?;
        }
        uart::raise();
        reached(0, n)?;
    }
    Ok(())
}

/// What the console takes by itself.
fn accesses(count: usize) -> Outcome {
    take_device(false);
    for _ in 0..count {
        uart::raise();
        uart::lower();
    }
    check!(taken(0) == 0, "{} were taken of what is off", taken(0));
    Ok(())
}

fn measure(kind: &str, count: usize) -> Outcome {
    WANTED.store(count, SeqCst);
    match kind {
        "ticks" => ticks(count),
        "ipis" => ipis(count),
        "accesses" => accesses(count),
        "device" => device(count, 0),
        "moved" => device(count, 2),
        _ => fail!("there is no figure {kind}"),
    }
}

/// Brings CPU 1 up and makes interrupts; how many figures could be taken, and how many not.
pub fn report(machine: &Machine, kind: &str, count: usize) -> (u32, u32) {
    let up = || {
        if rvic::is_used() {
            return CPU1.bring_up(machine.cpus[1]);
        }
        gic::reset_spis();
        gic::reset_private()?;
        second::bring_up(machine.cpus[1])?;
        CPU1.run(
            |_| {
                gic::reset_private()?;
                Ok(0)
            },
            0,
        )?;
        Ok(())
    };
    let outcome = up().and_then(|()| exception::guarded(|| measure(kind, count)));
    cpu::mask_irqs();
    let mut tally = crate::outcome::Tally::default();
    tally.count(kind, outcome);
    tally.result()
}
