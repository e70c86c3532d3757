// SPDX-License-Identifier: GPL-2.0-only
//! What is wrong with an argument, each bit of which counts: they are 64 bits wide.

use super::{Chance, done, expect_and_end, expect_none, pending_is, signal, uart, unmask};
use crate::outcome::{Outcome, check_eq};
use crate::rvic::call::{self, Status, check_status};
use crate::rvic::{inputs, mpidr, own, total, trusted};

crate::cases::cases! {
    ANY: no_such_interrupt, no_such_cpu, no_such_trusted_interrupt, map_errors, unmap_errors, first_and_last_inputs,
        other_arguments_are_ignored, hostile_calls;
}

/// Those that name a CPU and an interrupt of it.
const ON_TARGET: [u64; 5] = [
    call::RVIC_SET_MASKED,
    call::RVIC_CLEAR_MASKED,
    call::RVIC_IS_PENDING,
    call::RVIC_SIGNAL,
    call::RVIC_CLEAR_PENDING,
];

/// Numbers from `end` on, and those of which a part would be good.
fn beyond(end: u64, good: u64) -> [u64; 10] {
    [
        end,
        end + 1,
        end + 31,
        2048,
        4096 | good,
        1 << 31 | good,
        1 << 32 | good,
        1 << 63 | good,
        u64::from(u32::MAX),
        u64::MAX,
    ]
}

fn no_such_interrupt() -> Outcome {
    unmask(2)?;
    for function in ON_TARGET {
        for intid in beyond(total(), 2) {
            let (status, value) = call::call(function, [own(), intid, 0]);
            check_status!("with too high a number", status, Status::error_parameter(1));
            check_eq!("x1 of a call that fails", value, 0);
        }
    }
    expect_none("by calls that failed")?;
    signal(2)?;
    for intid in beyond(total(), 2) {
        call::clear_pending(own(), intid);
        call::set_masked(own(), intid);
    }
    expect_and_end(2)
}

/// Not an affinity of ours: of a CPU that is not there, and with bits set that MPIDR_EL1 has beside it or has not at all.
fn strangers() -> [u64; 12] {
    [
        mpidr(3) + 1,
        own() | 0xff,
        own() | 1 << 8,
        own() | 1 << 16,
        own() | 1 << 24,
        own() | 1 << 30,
        own() | 1 << 31,
        own() | 1 << 32,
        own() | 1 << 39,
        own() | 1 << 40,
        own() | 1 << 63,
        u64::MAX,
    ]
}

fn no_such_cpu() -> Outcome {
    unmask(2)?;
    for function in ON_TARGET {
        for target in strangers() {
            let (status, value) = call::call(function, [target, 2, 0]);
            check_status!("with another's affinity", status, Status::INVALID_CPU);
            check_eq!("x1 of a call that fails", value, 0);
        }
    }
    expect_none("by calls that failed")
}

fn no_such_trusted_interrupt() -> Outcome {
    for intid in beyond(trusted(), 2) {
        check_status!(
            "RESAMPLE",
            call::resample(intid),
            Status::error_parameter(0)
        );
    }
    for intid in 0..trusted() {
        done("RESAMPLE", call::resample(intid))?;
    }
    expect_none("by RESAMPLE of what has no source")?;
    for intid in 0..trusted() {
        pending_is(own(), intid, false, "by RESAMPLE of what has no source")?;
    }
    Ok(())
}

fn map_errors() -> Outcome {
    let good = trusted();
    for input in beyond(inputs(), 0) {
        check_status!(
            "MAP of an input that is not there",
            call::map(input, own(), good),
            Status::error_parameter(0)
        );
    }
    for target in strangers() {
        check_status!(
            "MAP to a CPU that is not there",
            call::map(uart::INPUT, target, good),
            Status::error_parameter(1)
        );
    }
    for intid in [0, 1, 31, trusted() - 1] {
        check_status!(
            "MAP to a trusted interrupt",
            call::map(uart::INPUT, own(), intid),
            Status::error_parameter(2)
        );
    }
    for intid in beyond(total(), good) {
        check_status!(
            "MAP to no interrupt",
            call::map(uart::INPUT, own(), intid),
            Status::error_parameter(2)
        );
    }
    Ok(())
}

fn unmap_errors() -> Outcome {
    for input in beyond(inputs(), 0) {
        check_status!("UNMAP", call::unmap(input), Status::error_parameter(0));
    }
    Ok(())
}

/// The fault of 2020: one more was taken than there are.
fn first_and_last_inputs() -> Outcome {
    for input in [0, inputs() - 1] {
        for _ in 0..2 {
            done("MAP", call::map(input, own(), total() - 1))?;
        }
        for _ in 0..2 {
            done("UNMAP", call::unmap(input))?;
        }
    }
    Ok(())
}

/// Those that a call does not have.
fn other_arguments_are_ignored() -> Outcome {
    let rest = u64::MAX;
    done("ENABLE", call::call(call::RVIC_ENABLE, [rest; 3]).0)?;
    let signal = call::call(call::RVIC_SIGNAL, [own(), 2, rest]);
    done("SIGNAL", signal.0)?;
    pending_is(own(), 2, true, "after SIGNAL")?;
    done(
        "RESAMPLE",
        call::call(call::RVIC_RESAMPLE, [2, rest, rest]).0,
    )?;
    done("UNMAP", call::call(call::RVID_UNMAP, [0, rest, rest]).0)?;
    done(
        "CLEAR_MASKED",
        call::call(call::RVIC_CLEAR_MASKED, [own(), 2, rest]).0,
    )?;
    let (status, intid) = call::call(call::RVIC_ACKNOWLEDGE, [rest; 3]);
    done("ACKNOWLEDGE", status)?;
    check_eq!("ACKNOWLEDGE", intid, 2);
    Ok(())
}

/// Any function and any arguments, from all CPUs at once, on all of them; after that all is as it should be.
fn hostile_calls() -> Outcome {
    for other in super::others() {
        other.start(job_hostile, other.0)?;
    }
    job_hostile(0)?;
    for other in super::others() {
        other.finish()?;
    }
    super::clean()?;
    unmask(2)?;
    signal(2)?;
    expect_and_end(2)?;
    expect_none("again")
}

fn job_hostile(seed: usize) -> Outcome<usize> {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15 + seed as u64);
    for _ in 0..5000 {
        let mut argument = || match chance.below(6) {
            0 => chance.next(),
            1 => mpidr(chance.below(4) as usize),
            2 => total() - 1 + chance.below(3),
            3 => trusted() - 1 + chance.below(3),
            4 => 1 << chance.below(64),
            _ => chance.below(total()),
        };
        let arguments = [argument(), argument(), argument()];
        let function = match chance.below(4) {
            0 => 0xc500_0100 + chance.below(0x20),
            // Those beyond are of nobody, and the hypervisor may write a line for each call of them.
            _ => 0xc500_0200 + chance.below(0x10),
        };
        call::raw(call::Conduit::Hvc, function, arguments);
    }
    Ok(0)
}
