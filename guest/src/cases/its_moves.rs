// SPDX-License-Identifier: GPL-2.0-only
//! LPIs that are moved while they are sent and taken: each is taken once, by whichever CPU.

use super::cases;
use crate::cpu::{self, CPUS};
use crate::gic::{self, Ack};
use crate::its::command::{Command, clear, discard, int, inv, invall, mapc, mapti, movall, movi};
use crate::its::{self, CONFIGURED, LPI_ENABLED, lpi};
use crate::outcome::{Outcome, check, check_eq};
use crate::{exception, second, timer};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

cases! {
    V3: its_taken_on_both_cpus, its_movi_under_fire, its_movall_under_fire, its_mapc_under_fire, its_moves_under_fire,
        its_inv_under_fire, its_remapped_under_fire, its_lpis_off_and_on_under_fire;
}

const DEVICE: u32 = 5;
/// How many events the cases have.
pub const EVENTS: usize = 48;
const ROUNDS: u32 = 60;

/// How often each CPU has taken each. A CPU writes its own only.
static COUNTS: [[AtomicU32; EVENTS]; CPUS] =
    [const { [const { AtomicU32::new(0) }; EVENTS] }; CPUS];
/// What is none of them, the last of it.
static STRAY: [AtomicU32; CPUS] = [const { AtomicU32::new(0) }; CPUS];
static STOP: AtomicBool = AtomicBool::new(false);

fn count(ack: Ack) {
    let own = cpu::current();
    let n = ack.intid().0.wrapping_sub(lpi(0).0) as usize;
    match COUNTS.get(own).and_then(|counts| counts.get(n)) {
        // No other CPU writes it, and no exclusive access is used.
        Some(count) => count.store(count.load(SeqCst) + 1, SeqCst),
        None => {
            if let Some(stray) = STRAY.get(own) {
                stray.store(ack.intid().0, SeqCst);
            }
        }
    }
    gic::end(ack);
    // There is no limit to how many there are.
    exception::set_handler(count);
}

fn taken(n: usize) -> u32 {
    COUNTS
        .iter()
        .filter_map(|c| c.get(n))
        .map(|c| c.load(SeqCst))
        .sum()
}

fn taken_by(cpu: usize) -> u32 {
    let counts = COUNTS.get(cpu).into_iter().flatten();
    counts.map(|c| c.load(SeqCst)).sum()
}

/// On CPU 1: takes what comes, until it is told to stop.
fn job_count(_: usize) -> Outcome<usize> {
    exception::set_handler(count);
    cpu::unmask_irqs();
    while !STOP.load(SeqCst) {
        cpu::wait_for_event();
    }
    cpu::mask_irqs();
    Ok(0)
}

/// Every round sends each event once and does what `with` says, and then waits until each was taken. `with` gets the number of the
/// round, and puts commands into the queue behind the messages.
fn fire(with: fn(u32) -> Outcome) -> Outcome {
    its::begin()?;
    its::map_events(DEVICE, EVENTS as u32, 0, 0)?;
    for count in COUNTS.iter().flatten().chain(&STRAY) {
        count.store(0, SeqCst);
    }
    STOP.store(false, SeqCst);
    second::start(job_count, 0)?;
    exception::set_handler(count);
    cpu::unmask_irqs();
    let outcome = rounds(with);
    cpu::mask_irqs();
    STOP.store(true, SeqCst);
    cpu::send_event();
    second::finish()?;
    outcome?;
    for stray in &STRAY {
        check_eq!("an interrupt that nobody has sent", stray.load(SeqCst), 0);
    }
    for n in 0..EVENTS {
        check_eq!("how often an LPI was taken", taken(n), ROUNDS);
    }
    Ok(())
}

fn rounds(with: fn(u32) -> Outcome) -> Outcome {
    for round in 1..=ROUNDS {
        for event in 0..EVENTS as u32 {
            its::put(&int(DEVICE, event));
        }
        with(round)?;
        its::sync()?;
        let all = || (0..EVENTS).all(|n| taken(n) >= round);
        // Both may share one physical CPU: give it away.
        let came = timer::within(2000, || {
            all() || {
                cpu::wait_for_event();
                false
            }
        });
        if !came {
            let lost = (0..EVENTS).find(|n| taken(*n) < round).unwrap_or(EVENTS);
            crate::outcome::fail!("LPI {lost} of round {round} did not come");
        }
    }
    // Nothing comes a second time.
    timer::within(5, || false);
    Ok(())
}

fn put_all(commands: &[Command]) -> Outcome {
    commands.iter().for_each(its::put);
    Ok(())
}

fn movi_all(round: u32) -> Outcome {
    let icid = (round % 2) as u16;
    for event in 0..EVENTS as u32 {
        its::put(&movi(DEVICE, event, icid));
    }
    Ok(())
}

fn its_taken_on_both_cpus() -> Outcome {
    fire(movi_all)?;
    for cpu in 0..CPUS {
        check!(taken_by(cpu) > 0, "CPU {cpu} has taken none");
    }
    Ok(())
}

fn its_movi_under_fire() -> Outcome {
    fire(|round| {
        // Some twice, so that there and back again is within one batch.
        movi_all(round)?;
        for event in (0..EVENTS as u32).step_by(3) {
            its::put(&movi(DEVICE, event, ((round + 1) % 2) as u16));
        }
        Ok(())
    })
}

fn its_movall_under_fire() -> Outcome {
    fire(|round| {
        let (a, b) = (its::target(0), its::target(1));
        match round % 3 {
            0 => put_all(&[movall(a, b)]),
            1 => put_all(&[movall(a, b), movall(b, a)]),
            _ => put_all(&[mapc(0, 1), movall(a, b), mapc(0, 0)]),
        }
    })
}

fn its_mapc_under_fire() -> Outcome {
    fire(|round| {
        let to = (round % 2) as usize;
        // What is pending goes by MOVALL, the rest by MAPC.
        put_all(&[
            mapc(0, to),
            movall(its::target(1 - to), its::target(to)),
            invall(0),
        ])
    })
}

fn its_moves_under_fire() -> Outcome {
    fire(|round| {
        let (a, b) = (its::target(0), its::target(1));
        for event in 0..EVENTS as u32 {
            its::put(&movi(DEVICE, event, ((event + round) % 2) as u16));
        }
        put_all(&[movall(a, b), mapc(1, 0), movall(b, a), mapc(0, 1)])?;
        for event in (0..EVENTS as u32).rev() {
            its::put(&movi(DEVICE, event, (round / 2 % 2) as u16));
        }
        put_all(&[mapc(0, 0), mapc(1, 1), movall(a, b)])
    })
}

fn its_inv_under_fire() -> Outcome {
    fire(|_| {
        for n in 0..EVENTS as u32 {
            its::configure(lpi(n), CONFIGURED & !LPI_ENABLED);
            its::put(&inv(DEVICE, n));
        }
        its::sync()?;
        for n in 0..EVENTS as u32 {
            its::configure(lpi(n), CONFIGURED);
        }
        put_all(&[invall(0)])
    })
}

/// An event that was discarded and is mapped again has nothing pending: what was sent before was taken, or is gone.
fn its_remapped_under_fire() -> Outcome {
    fire(|round| {
        its::sync()?;
        // Only what has been taken is discarded here, so that the counts stay exact.
        let all = || (0..EVENTS).all(|n| taken(n) >= round);
        check!(timer::within(2000, all), "not all came");
        for event in 0..EVENTS as u32 {
            its::put(&discard(DEVICE, event));
            its::put(&mapti(DEVICE, event, lpi(event), (round % 2) as u16));
            its::put(&clear(DEVICE, event));
        }
        Ok(())
    })
}

fn its_lpis_off_and_on_under_fire() -> Outcome {
    its::begin()?;
    let ctlr = crate::mmio::read32(its::gicr_register(0, gic::gicr::CTLR));
    if ctlr & its::CES == 0 {
        crate::outcome::skip!("GICR_CTLR.CES is 0");
    }
    fire(|_| {
        its::sync()?;
        its::set_lpis(0, false)?;
        its::keep_pending_table(0);
        its::set_lpis(0, true)
    })
}
