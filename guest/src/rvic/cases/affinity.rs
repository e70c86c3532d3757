// SPDX-License-Identifier: GPL-2.0-only
//! Where an input goes changes while it is busy: what it sends comes, here or there.

use super::{done, others, uart};
use crate::cpu::{self, MOST};
use crate::outcome::{Outcome, check};
use crate::rvic::call;
use crate::rvic::{self, mpidr, total, trusted};
use crate::second::Cpu;
use crate::timer;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

crate::cases::cases! {
    ANY: affinity_changes_under_load, numbers_change_under_load, unmapped_and_mapped_under_load;
}

/// How many edges there were, the last one that each CPU has seen, and how many it took.
static SENT: AtomicUsize = AtomicUsize::new(0);
static SEEN: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
static TAKEN: [AtomicUsize; MOST] = [const { AtomicUsize::new(0) }; MOST];
static STOP: AtomicBool = AtomicBool::new(false);
/// How often the input was moved: who has no turn on a physical CPU for long moves nothing.
static MOVES: AtomicUsize = AtomicUsize::new(0);
/// For who moves the input alone.
static REST: AtomicBool = AtomicBool::new(false);

fn seen() -> usize {
    SEEN.iter().map(|n| n.load(SeqCst)).max().unwrap_or(0)
}

fn handle(intid: u64) {
    let own = cpu::current();
    TAKEN[own].store(TAKEN[own].load(SeqCst) + 1, SeqCst);
    uart::lower();
    SEEN[own].store(SENT.load(SeqCst), SeqCst);
    crate::exception::forget();
    call::resample_input(uart::INPUT);
    rvic::end(intid);
    cpu::send_event();
}

/// Takes what comes, until it is told to stop.
fn job_take(_: usize) -> Outcome<usize> {
    rvic::set_handler(handle);
    cpu::unmask_irqs();
    while !STOP.load(SeqCst) {
        cpu::wait_for_event();
    }
    cpu::mask_irqs();
    Ok(0)
}

/// Moves the input from CPU 1 to CPU 2 and back, until it is told to stop; how often.
fn job_move(_: usize) -> Outcome<usize> {
    let intid = trusted() + 1;
    let (mut old, mut new) = (mpidr(1), mpidr(2));
    let mut moves = 0;
    while !REST.load(SeqCst) {
        rvic::move_input(uart::INPUT, old, new, intid)?;
        done("CLEAR_MASKED", call::clear_masked(new, intid))?;
        (old, new) = (new, old);
        moves += 1;
        rest(moves);
    }
    Ok(moves)
}

/// Changes the number, one of which is not masked at any time.
fn job_renumber(_: usize) -> Outcome<usize> {
    let mut moves = 0;
    while !REST.load(SeqCst) {
        let intid = trusted() + moves as u64 % (total() - trusted());
        done("MAP", call::map(uart::INPUT, mpidr(1 + moves % 2), intid))?;
        moves += 1;
        rest(moves);
    }
    Ok(moves)
}

/// Those who take may have to have the same physical CPU.
fn rest(moves: usize) {
    MOVES.store(moves, SeqCst);
    if moves.is_multiple_of(8) {
        cpu::wait_for_event();
    }
}

const EDGES: usize = 60;

/// CPU 0 sends edges, one after the other, while CPU 3 runs `job`; CPUs 1 and 2 take them. How often CPU 3 did what it does.
fn under_load(job: crate::second::Job) -> Outcome<usize> {
    uart::is_ready()?;
    SENT.store(0, SeqCst);
    STOP.store(false, SeqCst);
    REST.store(false, SeqCst);
    MOVES.store(0, SeqCst);
    for counter in SEEN.iter().chain(&TAKEN) {
        counter.store(0, SeqCst);
    }
    for cpu in [Cpu(1), Cpu(2)] {
        for intid in trusted()..total() {
            done("CLEAR_MASKED", call::clear_masked(cpu.mpidr(), intid))?;
        }
    }
    done("MAP", call::map(uart::INPUT, mpidr(1), trusted() + 1))?;
    Cpu(1).start(job_take, 0)?;
    Cpu(2).start(job_take, 0)?;
    Cpu(3).start(job, 0)?;
    // The first edge is to meet a change.
    timer::within(30 * super::LIMIT, || {
        cpu::wait_for_event();
        MOVES.load(SeqCst) != 0
    });
    let mut lost = None;
    for edge in 1..=EDGES {
        SENT.store(edge, SeqCst);
        uart::raise();
        let comes = || {
            timer::within(super::LIMIT, || {
                cpu::wait_for_event();
                seen() >= edge
            })
        };
        let mut came = comes();
        if !came {
            // It may be moved away each time before anybody can take it. What is lost does not come afterwards either.
            REST.store(true, SeqCst);
            came = comes();
        }
        uart::lower();
        if !came {
            lost = Some(edge);
            break;
        }
    }
    STOP.store(true, SeqCst);
    REST.store(true, SeqCst);
    cpu::send_event();
    let moves = Cpu(3).finish();
    for other in others().take(2) {
        other.finish()?;
    }
    let moves = moves?;
    if let Some(edge) = lost {
        crate::outcome::fail!("edge {edge} did not come, in {moves} changes");
    }
    let taken: usize = TAKEN.iter().map(|n| n.load(SeqCst)).sum();
    // What meets a change may come on both.
    check!(
        (EDGES..=EDGES + moves).contains(&taken),
        "{taken} were taken of {EDGES}, in {moves} changes"
    );
    check!(moves > 0, "nothing was changed");
    Ok(moves)
}

fn affinity_changes_under_load() -> Outcome {
    under_load(job_move)?;
    Ok(())
}

fn numbers_change_under_load() -> Outcome {
    under_load(job_renumber)?;
    Ok(())
}

/// Unmaps and maps: what comes meanwhile is gone, all else is as it was.
fn job_unmap(_: usize) -> Outcome<usize> {
    for n in 0..500 {
        rest(n);
        done("UNMAP", call::unmap(uart::INPUT))?;
        done(
            "MAP",
            call::map(uart::INPUT, mpidr(1 + n % 2), trusted() + 1),
        )?;
    }
    Ok(0)
}

fn unmapped_and_mapped_under_load() -> Outcome {
    uart::is_ready()?;
    STOP.store(false, SeqCst);
    SENT.store(0, SeqCst);
    TAKEN.iter().for_each(|n| n.store(0, SeqCst));
    for cpu in [Cpu(1), Cpu(2)] {
        done(
            "CLEAR_MASKED",
            call::clear_masked(cpu.mpidr(), trusted() + 1),
        )?;
        cpu.start(job_take, 0)?;
    }
    Cpu(3).start(job_unmap, 0)?;
    for _ in 0..500 {
        super::inputs::pulse();
    }
    let unmapped = Cpu(3).finish();
    STOP.store(true, SeqCst);
    cpu::send_event();
    for other in others().take(2) {
        other.finish()?;
    }
    unmapped?;
    let taken: usize = TAKEN.iter().map(|n| n.load(SeqCst)).sum();
    check!(taken <= 2 * 500, "{taken} were taken of 500");
    // It still works.
    super::clean()?;
    done("MAP", call::map(uart::INPUT, mpidr(0), trusted() + 1))?;
    super::unmask(trusted() + 1)?;
    super::inputs::pulse();
    super::expect_and_end(trusted() + 1)
}
