// SPDX-License-Identifier: GPL-2.0-only
//! Command errors (IHI 0069, section 5.3.2): the command is ignored. What is seen of it from here is that GITS_CREADR moves on, that the
//! ITS is not stalled, and that what was mapped is as it was.

use super::{cases, expect_and_end, expect_none, job_expect_none};
use crate::its::command::{self, Command};
use crate::its::{self, lpi};
use crate::outcome::{Outcome, check_eq};
use crate::{gic, second};

cases! {
    V3: its_unknown_commands, its_errors_of_mapd, its_errors_of_mapc, its_errors_of_mapti, its_errors_of_mapi, its_errors_of_movi,
        its_errors_of_movall, its_errors_of_discard, its_errors_of_int, its_errors_of_clear, its_errors_of_inv, its_errors_of_invall,
        its_errors_of_sync, its_reserved_bits_are_ignored;
}

/// With event 0 mapped to LPI 0; event 1 is not, event 2 is in a collection that goes nowhere, and there are four.
const DEVICE: u32 = 5;
const EVENTS: u32 = 4;
/// Not mapped, but there is room for it in the table.
const NO_DEVICE: u32 = 6;
/// Beyond any table that we have.
const BEYOND: u32 = 0xffff_fff0;
/// Mapped to no redistributor, and one that no table has room for.
const NOWHERE: u16 = 2;
const NO_COLLECTION: u16 = 0xffff;
/// No redistributor.
const NO_TARGET: u64 = 0x3_ffff;

/// Each is ignored, and what is behind it in the queue is executed.
fn all_are_ignored(commands: &[Command]) -> Outcome {
    its::begin()?;
    its::map_device(DEVICE, 2)?;
    its::run(&[
        command::mapti(DEVICE, 0, lpi(0), 0),
        command::mapti(DEVICE, 2, lpi(2), NOWHERE),
    ])?;
    for command in commands {
        its::run(&[*command, command::int(DEVICE, 0)])?;
        check_eq!("GITS_CREADR.Stalled", its::creadr() & its::STALLED, 0);
        if expect_and_end(lpi(0)).is_err() {
            crate::outcome::fail!(
                "after {:#x} {:#x} {:#x}: nothing",
                command[0],
                command[1],
                command[2]
            );
        }
        expect_none("of a command with something wrong about it")?;
    }
    // What a mapping that should not be would bring.
    for device in [DEVICE, NO_DEVICE] {
        for event in 1..EVENTS {
            its::put(&command::int(device, event));
        }
    }
    its::sync()?;
    expect_none("of what was not mapped")?;
    second::run(job_expect_none, 0)?;
    its::run(&[command::int(DEVICE, 0)])?;
    expect_and_end(lpi(0))?;
    check_eq!("the running priority", u8::from(gic::is_idle()), 1);
    Ok(())
}

fn its_unknown_commands() -> Outcome {
    its::base()?;
    all_are_ignored(
        &[0x00, 0x02, 0x06, 0x07, 0x10, 0x42, 0xff]
            .map(|number| command::of_event(number, DEVICE, 1, 1 << 63 | 1)),
    )
}

fn its_errors_of_mapd() -> Outcome {
    its::base()?;
    let itt = its::queue() as u64;
    let too_many = its::event_bits() + 1;
    let mut commands = [
        command::mapd(BEYOND, 1, itt),
        command::unmap_device(BEYOND),
        command::mapd(8192, 1, itt),
        command::mapd(NO_DEVICE, too_many.min(32), itt),
        command::unmap_device(NO_DEVICE),
    ];
    if too_many > 32 {
        commands[3] = commands[0];
    }
    all_are_ignored(&commands)
}

fn its_errors_of_mapc() -> Outcome {
    its::base()?;
    all_are_ignored(&[
        command::mapc(NO_COLLECTION, 0),
        command::unmap_collection(NO_COLLECTION),
        command::mapc_to(NOWHERE, NO_TARGET),
        command::mapc_to(0, NO_TARGET),
        command::unmap_collection(NOWHERE),
    ])
}

fn its_errors_of_mapti() -> Outcome {
    its::base()?;
    all_are_ignored(&[
        command::mapti(BEYOND, 0, lpi(3), 0),
        command::mapti(NO_DEVICE, 1, lpi(3), 0),
        command::mapti(DEVICE, EVENTS, lpi(3), 0),
        command::mapti(DEVICE, u32::MAX, lpi(3), 0),
        command::mapti(DEVICE, 1, lpi(3), NO_COLLECTION),
        command::mapti(DEVICE, 1, gic::IntId(8191), 0),
        command::mapti(DEVICE, 1, gic::IntId(0), 0),
        command::mapti(DEVICE, 1, gic::spi(0), 0),
        command::mapti(DEVICE, 1, lpi(its::LPIS), 0),
        command::mapti(DEVICE, 1, gic::IntId(u32::MAX), 0),
        // Of one that is mapped: it keeps what it has.
        command::mapti(DEVICE, 0, gic::IntId(8191), 1),
    ])
}

fn its_errors_of_mapi() -> Outcome {
    its::base()?;
    all_are_ignored(&[
        command::mapi(BEYOND, 8192, 0),
        command::mapi(NO_DEVICE, 8192, 0),
        command::mapi(DEVICE, 8192, 0),
        // An event of the device's, which is no LPI.
        command::mapi(DEVICE, 1, 0),
    ])
}

fn its_errors_of_movi() -> Outcome {
    its::base()?;
    all_are_ignored(&[
        command::movi(BEYOND, 0, 1),
        command::movi(NO_DEVICE, 0, 1),
        command::movi(DEVICE, 1, 1),
        command::movi(DEVICE, EVENTS, 1),
        command::movi(DEVICE, 0, NO_COLLECTION),
        command::movi(DEVICE, 0, NOWHERE),
    ])
}

fn its_errors_of_movall() -> Outcome {
    its::base()?;
    all_are_ignored(&[
        command::movall(its::target(0), NO_TARGET),
        command::movall(NO_TARGET, its::target(0)),
        command::movall(NO_TARGET, NO_TARGET),
    ])
}

/// Commands about an event that is not mapped.
fn of_no_event(of: fn(u32, u32) -> Command) -> [Command; 5] {
    [
        of(BEYOND, 0),
        of(NO_DEVICE, 0),
        of(DEVICE, 1),
        of(DEVICE, EVENTS),
        of(DEVICE, u32::MAX),
    ]
}

fn its_errors_of_discard() -> Outcome {
    its::base()?;
    all_are_ignored(&of_no_event(command::discard))
}

fn its_errors_of_int() -> Outcome {
    its::base()?;
    all_are_ignored(&of_no_event(command::int))?;
    all_are_ignored(&[command::int(DEVICE, 2)])
}

fn its_errors_of_clear() -> Outcome {
    its::base()?;
    all_are_ignored(&of_no_event(command::clear))?;
    all_are_ignored(&[command::clear(DEVICE, 2)])
}

fn its_errors_of_inv() -> Outcome {
    its::base()?;
    all_are_ignored(&of_no_event(command::inv))?;
    all_are_ignored(&[command::inv(DEVICE, 2)])
}

fn its_errors_of_invall() -> Outcome {
    its::base()?;
    all_are_ignored(&[command::invall(NOWHERE), command::invall(NO_COLLECTION)])
}

fn its_errors_of_sync() -> Outcome {
    its::base()?;
    all_are_ignored(&[command::sync(NO_TARGET)])
}

/// Bits that mean nothing change nothing.
fn its_reserved_bits_are_ignored() -> Outcome {
    its::begin()?;
    its::map_events(DEVICE, 1, 0, 0)?;
    let [zero, one, two, three] = command::int(DEVICE, 0);
    its::run(&[[
        zero | 0xffff_ff00,
        one | 0xffff_ffff << 32,
        two | u64::MAX,
        three | u64::MAX,
    ]])?;
    expect_and_end(lpi(0))
}
