// SPDX-License-Identifier: GPL-2.0-only
//! The rVID: its inputs go to where they are mapped, and nowhere else. The console's is one that can be had.

use super::{
    done, expect, expect_and_end, expect_none, job_expect_and_end, job_expect_none, job_unmask,
    line_is, others, pending_is, uart, unmask,
};
use crate::outcome::Outcome;
use crate::rvic::call;
use crate::rvic::{inputs, move_input, own, total, trusted};

crate::cases::cases! {
    ANY: input_to_each_interrupt, input_to_each_cpu, input_masked_waits, input_unmapped_is_dropped, input_mapped_again,
        input_unmapped_while_pending, input_while_disabled, input_once_for_each_edge, input_moved_while_pending, all_inputs_mapped;
}

/// An edge: a rise, after which it is low again.
pub(super) fn pulse() {
    uart::raise();
    uart::lower();
}

fn map(target: u64, intid: u64) -> Outcome {
    done("MAP", call::map(uart::INPUT, target, intid))
}

fn input_to_each_interrupt() -> Outcome {
    uart::is_ready()?;
    for intid in trusted()..total() {
        map(own(), intid)?;
        unmask(intid)?;
        pulse();
        expect_and_end(intid)?;
        expect_none("again")?;
    }
    Ok(())
}

fn input_to_each_cpu() -> Outcome {
    uart::is_ready()?;
    for other in others() {
        for intid in [trusted(), trusted() + 17, total() - 1] {
            map(other.mpidr(), intid)?;
            other.run(job_unmask, intid as usize)?;
            pulse();
            other.run(job_expect_and_end, intid as usize)?;
            other.run(job_expect_none, 0)?;
        }
    }
    expect_none("although others were meant")
}

fn input_masked_waits() -> Outcome {
    uart::is_ready()?;
    let intid = trusted();
    map(own(), intid)?;
    pulse();
    pending_is(own(), intid, true, "after an edge")?;
    expect_none("although it is masked")?;
    unmask(intid)?;
    line_is(true, "after CLEAR_MASKED")?;
    expect_and_end(intid)?;
    expect_none("again")
}

fn input_unmapped_is_dropped() -> Outcome {
    uart::is_ready()?;
    let intid = trusted();
    unmask(intid)?;
    pulse();
    map(own(), intid)?;
    pending_is(own(), intid, false, "by what came while unmapped")?;
    expect_none("by what came while unmapped")?;
    done("UNMAP", call::unmap(uart::INPUT))?;
    pulse();
    expect_none("after UNMAP")?;
    map(own(), intid)?;
    pulse();
    expect_and_end(intid)
}

/// The last MAP counts.
fn input_mapped_again() -> Outcome {
    uart::is_ready()?;
    let (first, second) = (trusted(), trusted() + 1);
    unmask(first)?;
    unmask(second)?;
    for (intid, other) in [(first, second), (second, first), (second, first)] {
        map(own(), intid)?;
        pulse();
        pending_is(
            own(),
            other,
            false,
            "although the input is not mapped to it",
        )?;
        expect_and_end(intid)?;
        expect_none("again")?;
    }
    for other in others() {
        map(other.mpidr(), first)?;
        pulse();
        expect_none("although it was mapped away")?;
        other.run(job_unmask, first as usize)?;
        other.run(job_expect_and_end, first as usize)?;
    }
    Ok(())
}

/// What is pending is the CPU's, no more the input's.
fn input_unmapped_while_pending() -> Outcome {
    uart::is_ready()?;
    let intid = trusted();
    map(own(), intid)?;
    pulse();
    done("UNMAP", call::unmap(uart::INPUT))?;
    pending_is(own(), intid, true, "after UNMAP")?;
    unmask(intid)?;
    expect_and_end(intid)
}

fn input_while_disabled() -> Outcome {
    uart::is_ready()?;
    let intid = trusted();
    map(own(), intid)?;
    unmask(intid)?;
    done("DISABLE", call::disable())?;
    pulse();
    pending_is(own(), intid, false, "although it is disabled")?;
    done("ENABLE", call::enable())?;
    expect_none("by what came while disabled")?;
    pulse();
    expect_and_end(intid)
}

fn input_once_for_each_edge() -> Outcome {
    uart::is_ready()?;
    let intid = trusted();
    map(own(), intid)?;
    unmask(intid)?;
    for _ in 0..200 {
        pulse();
        expect(intid)?;
        // This one waits for the end of the last.
        pulse();
        pending_is(own(), intid, true, "after an edge before the end")?;
        expect_none("before the end")?;
        unmask(intid)?;
        expect_and_end(intid)?;
        expect_none("again")?;
    }
    Ok(())
}

fn input_moved_while_pending() -> Outcome {
    uart::is_ready()?;
    let intid = trusted() + 3;
    map(own(), intid)?;
    unmask(intid)?;
    pulse();
    let mut old = own();
    for other in others() {
        move_input(uart::INPUT, old, other.mpidr(), intid)?;
        expect_none("although it has moved away")?;
        old = other.mpidr();
        other.run(job_unmask, intid as usize)?;
    }
    move_input(uart::INPUT, old, own(), intid)?;
    for other in others() {
        other.run(job_expect_none, 0)?;
    }
    unmask(intid)?;
    expect_and_end(intid)?;
    expect_none("again")
}

/// Each input has a place of its own in the table.
fn all_inputs_mapped() -> Outcome {
    uart::is_ready()?;
    let count = total() - trusted();
    for input in (0..inputs()).rev() {
        done("MAP", call::map(input, own(), trusted() + input % count))?;
    }
    unmask(trusted() + uart::INPUT % count)?;
    pulse();
    expect_and_end(trusted() + uart::INPUT % count)?;
    for input in 0..inputs() {
        done("UNMAP", call::unmap(input))?;
    }
    pulse();
    expect_none("after UNMAP")
}
