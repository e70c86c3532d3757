// SPDX-License-Identifier: GPL-2.0-only
//! The command queue: its ring, who is stalled, and the ITS switched off and on.

use super::{cases, expect_and_end, expect_lpis, expect_none};
use crate::its::command::{self, Command, SIZE, int};
use crate::its::{self, Devices, gits, lpi};
use crate::mmio::write64;
use crate::outcome::{Outcome, check, check_eq};
use crate::timer;

cases! {
    V3: its_queue_wraps, its_queue_full_to_the_last, its_queue_one_by_one, its_new_queue, its_disabled_executes_nothing,
        its_disabled_sends_nothing, its_disabled_delivers_what_is_pending, its_enabled_with_nothing_new, its_stalls_and_resumes,
        its_cwriter_beyond_the_queue;
}

const DEVICE: u32 = 5;
/// Commands that a page has room for.
const ROOM: u32 = 0x1000 / SIZE as u32;

/// A queue of one page, and 128 events.
fn ready() -> Outcome {
    its::begin_with(Devices::Flat, 1)?;
    its::map_events(DEVICE, 8, 0, 0)
}

fn no_operation() -> Command {
    command::sync(its::target(0))
}

fn its_queue_wraps() -> Outcome {
    ready()?;
    for n in 0..3 * ROOM {
        its::run(&[int(DEVICE, n % 8)])?;
        expect_and_end(lpi(n % 8))?;
        check!(
            its::creadr() < u64::from(ROOM) * SIZE as u64,
            "GITS_CREADR is beyond the queue"
        );
    }
    expect_none("after all")
}

/// One place is always empty: a full queue has one command less than there is room for.
fn its_queue_full_to_the_last() -> Outcome {
    ready()?;
    for round in 0..5 {
        for n in 0..ROOM - 1 {
            if n == ROOM - 2 {
                its::put(&int(DEVICE, round));
            } else {
                its::put(&no_operation());
            }
        }
        its::ring();
        its::wait()?;
        expect_and_end(lpi(round))?;
    }
    Ok(())
}

fn its_queue_one_by_one() -> Outcome {
    ready()?;
    for n in 0..ROOM + 5 {
        let before = its::creadr();
        its::put(&no_operation());
        check_eq!("GITS_CREADR before the ITS is told", its::creadr(), before);
        its::ring();
        its::wait()?;
        check!(its::creadr() != before, "command {n} was not executed");
    }
    Ok(())
}

fn its_new_queue() -> Outcome {
    ready()?;
    its::disable()?;
    its::set_queue(its::queue() + 0x4000, 2);
    its::enable();
    check_eq!("GITS_CREADR", its::creadr(), 0);
    its::run(&[int(DEVICE, 3)])?;
    expect_and_end(lpi(3))
}

fn its_disabled_executes_nothing() -> Outcome {
    ready()?;
    its::disable()?;
    let before = its::creadr();
    for event in 0..4 {
        its::put(&int(DEVICE, event));
    }
    its::ring();
    let moves = timer::within(20, || its::creadr() != before);
    check!(!moves, "GITS_CREADR moves although the ITS is disabled");
    expect_none("although the ITS is disabled")?;
    its::enable();
    its::wait()?;
    expect_lpis(&[0, 1, 2, 3])?;
    expect_none("a second time")
}

fn its_disabled_sends_nothing() -> Outcome {
    ready()?;
    for _ in 0..10 {
        its::disable()?;
        its::put(&int(DEVICE, 1));
        its::ring();
        expect_none("although the ITS is disabled")?;
        its::enable();
        its::wait()?;
        expect_and_end(lpi(1))?;
    }
    Ok(())
}

/// What is pending is in the redistributor, which knows nothing of whether the ITS is enabled.
fn its_disabled_delivers_what_is_pending() -> Outcome {
    ready()?;
    its::run(&[int(DEVICE, 1), int(DEVICE, 2)])?;
    its::disable()?;
    expect_lpis(&[1, 2])
}

fn its_enabled_with_nothing_new() -> Outcome {
    ready()?;
    its::run(&[int(DEVICE, 1)])?;
    expect_and_end(lpi(1))?;
    its::disable()?;
    its::enable();
    its::ring();
    its::wait()?;
    expect_none("of a command that has been executed before")?;
    its::run(&[int(DEVICE, 2)])?;
    expect_and_end(lpi(2))
}

/// There is no memory at this address.
const NO_MEMORY: u64 = 0x3f_ff00_0000;

fn its_stalls_and_resumes() -> Outcome {
    ready()?;
    its::disable()?;
    let cbaser = its::register(gits::CBASER);
    let cwriter = its::register(gits::CWRITER);
    write64(cbaser, its::VALID | NO_MEMORY);
    its::enable();
    write64(cwriter, SIZE as u64);
    let stalled = || timer::within(1000, || its::creadr() & its::STALLED != 0);
    check!(
        stalled(),
        "a queue where no memory is does not stall the ITS, GITS_CREADR is {:#x}",
        its::creadr()
    );
    check_eq!("GITS_CREADR", its::creadr(), its::STALLED);
    // The reason has not gone away.
    write64(cwriter, SIZE as u64 | its::RETRY);
    check!(stalled(), "the ITS is not stalled after GITS_CWRITER.Retry");
    check_eq!("GITS_CREADR", its::creadr(), its::STALLED);
    its::disable()?;
    its::set_queue(its::queue(), 1);
    check_eq!("GITS_CREADR with a new queue", its::creadr(), 0);
    its::enable();
    its::run(&[int(DEVICE, 6)])?;
    expect_and_end(lpi(6))
}

/// Nothing is said of what it does; afterwards it is as before.
fn its_cwriter_beyond_the_queue() -> Outcome {
    ready()?;
    write64(its::register(gits::CWRITER), 0xf_ffe0);
    timer::within(5, || false);
    expect_none("of what is beyond the queue")?;
    its::disable()?;
    its::set_queue(its::queue(), 1);
    its::enable();
    its::run(&[int(DEVICE, 0)])?;
    expect_and_end(lpi(0))
}
