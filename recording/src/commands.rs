// SPDX-License-Identifier: GPL-2.0-only
//! Commands of an ITS in a script (IHI 0069 section 5.3).

use crate::head::Error;
use crate::its::{self, Command, command};
use crate::words::{Words, quote};

/// Commands by their names.
pub(crate) const COMMANDS: [&str; 12] = [
    "MAPD", "MAPC", "MAPTI", "MAPI", "MOVI", "MOVALL", "INT", "CLEAR", "DISCARD", "INV", "INVALL",
    "SYNC",
];

/// A command by its name, or by its four doublewords.
pub(crate) fn parse(its: u8, words: &mut Words) -> Result<Command, Error> {
    if words
        .peek()
        .is_some_and(|w| w.starts_with(|c: char| c.is_ascii_digit()))
    {
        let mut word = || words.number::<u64>("a doubleword of the command");
        return Ok([word()?, word()?, word()?, word()?]);
    }
    let name = words.word("a command")?;
    if !COMMANDS.contains(&name) {
        return Err(Error::new(format!(
            "there is no command {}: {}",
            quote(name),
            COMMANDS.join(", ")
        )));
    }
    // Of a device and an event; the rest has neither, or not both.
    let ids = |words: &mut Words| -> Result<(u32, u32), Error> {
        Ok((words.number("a DeviceID")?, words.number("an EventID")?))
    };
    let icid = |words: &mut Words| words.number::<u16>("an ICID");
    // Of any number: a guest can say what is not there.
    let vcpu = |words: &mut Words| words.number::<u16>("a vCPU").map(usize::from);
    Ok(match name {
        "MAPD" => {
            let device = words.number("a DeviceID")?;
            if words.passes("off") {
                return Ok(command::unmapd(device));
            }
            let bits: u32 = words.number("a number of bits of EventIDs")?;
            if !(1..=32).contains(&bits) {
                return Err(Error::new(format!(
                    "{bits} bits of EventIDs, of 1 to 32: MAPD has their number less one in 5 bits"
                )));
            }
            let itt = match words.known::<u64>("the address of a table")? {
                None => its::itt(its.into(), device),
                Some(itt) if itt & !0xf_ffff_ffff_ff00 == 0 => itt,
                Some(itt) => {
                    return Err(Error::new(format!(
                        "{itt:#x} is no place for a table of interrupts: MAPD has bits 51:8 of its address"
                    )));
                }
            };
            command::mapd(device, bits, itt)
        }
        "MAPC" => {
            let icid = icid(words)?;
            if words.passes("off") {
                return Ok(command::unmapc(icid));
            }
            command::mapc(icid, vcpu(words)?)
        }
        "MAPTI" => {
            let (device, event) = ids(words)?;
            command::mapti(device, event, words.number("an INTID")?, icid(words)?)
        }
        "MAPI" => {
            let (device, event) = ids(words)?;
            command::mapi(device, event, icid(words)?)
        }
        "MOVI" => {
            let (device, event) = ids(words)?;
            command::movi(device, event, icid(words)?)
        }
        "MOVALL" => command::movall(vcpu(words)?, vcpu(words)?),
        "INVALL" => command::invall(icid(words)?),
        "SYNC" => command::sync(vcpu(words)?),
        _ => {
            let (device, event) = ids(words)?;
            match name {
                "INT" => command::int(device, event),
                "CLEAR" => command::clear(device, event),
                "INV" => command::inv(device, event),
                _ => command::discard(device, event),
            }
        }
    })
}
