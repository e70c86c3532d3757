// SPDX-License-Identifier: GPL-2.0-only
//! Level-sensitive inputs, where the rVID has them: the end is RVID_RESAMPLE and CLEAR_MASKED.

use super::identification::{has_levels, message_inputs};
use super::{done, expect, expect_none, job_unmask, line_is, others, pending_is, uart, unmask};
use crate::outcome::{Outcome, check, skip};
use crate::rvic::call::{self, Status, check_status};
use crate::rvic::{inputs, own, trusted};

crate::cases::cases! {
    ANY: level_stays, level_ends, level_mapped_while_high, level_enabled_while_high, level_on_each_cpu,
        level_resampled_by_another, level_errors, no_levels;
}

/// A mapped, unmasked input, which is low.
fn ready() -> Outcome<u64> {
    if !has_levels() {
        skip!("inputs are edges here");
    }
    uart::is_ready()?;
    let intid = trusted();
    done("MAP", call::map(uart::INPUT, own(), intid))?;
    unmask(intid)?;
    Ok(intid)
}

fn resample() -> Outcome {
    done("RVID_RESAMPLE", call::resample_input(uart::INPUT))
}

/// The device is quiet; nothing comes any more.
fn quiet(intid: u64) -> Outcome {
    uart::lower();
    resample()?;
    unmask(intid)?;
    expect_none("although the input is low")
}

fn level_stays() -> Outcome {
    let intid = ready()?;
    uart::raise();
    for _ in 0..50 {
        expect(intid)?;
        expect_none("before its end")?;
        resample()?;
        pending_is(own(), intid, true, "although the input is high")?;
        line_is(false, "before CLEAR_MASKED")?;
        unmask(intid)?;
        line_is(true, "although the input is high")?;
    }
    expect(intid)?;
    quiet(intid)
}

fn level_ends() -> Outcome {
    let intid = ready()?;
    for _ in 0..50 {
        uart::raise();
        expect(intid)?;
        quiet(intid)?;
    }
    Ok(())
}

/// A device that spoke before its driver was there.
fn level_mapped_while_high() -> Outcome {
    let intid = ready()?;
    done("UNMAP", call::unmap(uart::INPUT))?;
    uart::raise();
    expect_none("although the input is unmapped")?;
    done("MAP", call::map(uart::INPUT, own(), intid))?;
    line_is(true, "after MAP, although the input is high")?;
    expect(intid)?;
    quiet(intid)
}

fn level_enabled_while_high() -> Outcome {
    let intid = ready()?;
    done("DISABLE", call::disable())?;
    uart::raise();
    done("ENABLE", call::enable())?;
    resample()?;
    line_is(
        true,
        "after ENABLE and RVID_RESAMPLE, although the input is high",
    )?;
    expect(intid)?;
    quiet(intid)
}

fn job_take(intid: usize) -> Outcome<usize> {
    expect(intid as u64)?;
    uart::lower();
    resample()?;
    unmask(intid as u64)?;
    expect_none("although the input is low")?;
    Ok(0)
}

fn level_on_each_cpu() -> Outcome {
    let intid = ready()?;
    for other in others() {
        done("MAP", call::map(uart::INPUT, other.mpidr(), intid))?;
        other.run(job_unmask, intid as usize)?;
        uart::raise();
        other.run(job_take, intid as usize)?;
    }
    expect_none("although others were meant")
}

fn job_resample(_: usize) -> Outcome<usize> {
    resample()?;
    Ok(0)
}

/// It goes to where the input is mapped, whoever asks.
fn level_resampled_by_another() -> Outcome {
    let intid = ready()?;
    uart::raise();
    expect(intid)?;
    for other in others() {
        other.run(job_resample, 0)?;
        pending_is(own(), intid, true, "although another has asked for it")?;
        unmask(intid)?;
        expect(intid)?;
    }
    quiet(intid)
}

fn level_errors() -> Outcome {
    ready()?;
    for input in [inputs(), inputs() + 1, 1 << 32, 1 << 63, u64::MAX] {
        check_status!(
            "RVID_RESAMPLE",
            call::resample_input(input),
            Status::error_parameter(0)
        );
    }
    if let Some((first, count)) = message_inputs() {
        for input in [first, first + count - 1] {
            check_status!(
                "RVID_RESAMPLE of a message's input",
                call::resample_input(input),
                Status::error_parameter(0)
            );
        }
    }
    Ok(())
}

fn no_levels() -> Outcome {
    if has_levels() {
        skip!("inputs are levels here");
    }
    let status = call::resample_input(0);
    check!(status.is_not_supported(), "RVID_RESAMPLE says {status}");
    Ok(())
}
