// SPDX-License-Identifier: GPL-2.0-only
//! ITS commands as they are in the queue, and what can be wrong with them (IHI 0069, sections 5.3 and 5.3.2).

/// Bytes of a command.
pub(crate) const SIZE: usize = 32;

/// A command, decoded. What does not exist is not here: whether its numbers are in range is for who executes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Command {
    /// A device gets an interrupt translation table for 2^`event_bits` events, or loses it.
    Mapd {
        device: u32,
        event_bits: u32,
        itt: u64,
        valid: bool,
    },
    /// A collection goes to a redistributor, or to none.
    Mapc { icid: u16, target: u64, valid: bool },
    /// An event of a device becomes an LPI of a collection (also MAPI, whose LPI has the number of the event).
    Mapti {
        device: u32,
        event: u32,
        intid: u32,
        icid: u16,
    },
    /// An event goes to another collection.
    Movi { device: u32, event: u32, icid: u16 },
    /// Whatever is pending at one redistributor goes to another.
    Movall { from: u64, to: u64 },
    /// An event is mapped no longer.
    Discard { device: u32, event: u32 },
    /// As if the device had sent the event.
    Int { device: u32, event: u32 },
    /// The LPI of an event is no longer pending.
    Clear { device: u32, event: u32 },
    /// The configuration of the LPI of an event has changed in memory.
    Inv { device: u32, event: u32 },
    /// That of any LPI of a collection has.
    Invall { icid: u16 },
    /// What came before has taken effect at a redistributor.
    Sync { target: u64 },
}

impl Command {
    /// Is it one that changes what is mapped?
    pub(crate) const fn maps(&self) -> bool {
        matches!(
            self,
            Self::Mapd { .. }
                | Self::Mapc { .. }
                | Self::Mapti { .. }
                | Self::Movi { .. }
                | Self::Discard { .. }
        )
    }
}

/// The numbers of commands (IHI 0069, section 5.3).
mod number {
    pub(super) const MOVI: u8 = 0x01;
    pub(super) const INT: u8 = 0x03;
    pub(super) const CLEAR: u8 = 0x04;
    pub(super) const SYNC: u8 = 0x05;
    pub(super) const MAPD: u8 = 0x08;
    pub(super) const MAPC: u8 = 0x09;
    pub(super) const MAPTI: u8 = 0x0a;
    pub(super) const MAPI: u8 = 0x0b;
    pub(super) const INV: u8 = 0x0c;
    pub(super) const INVALL: u8 = 0x0d;
    pub(super) const MOVALL: u8 = 0x0e;
    pub(super) const DISCARD: u8 = 0x0f;
}

/// What is wrong with a command. The numbers are the last byte of the architecture's error codes, but for the limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    /// No such command.
    Unknown = 0x00,
    /// The DeviceID is beyond the device table.
    DeviceRange = 0x01,
    /// More events than there can be (MAPD), or no such redistributor (MAPC, MOVALL).
    SizeOrTarget = 0x02,
    /// The ICID is beyond the collection table.
    CollectionRange = 0x03,
    /// The device has no interrupt translation table.
    UnmappedDevice = 0x04,
    /// The EventID is beyond the device's table.
    EventRange = 0x05,
    /// No LPI has this number.
    LpiRange = 0x06,
    /// No interrupt is mapped to the event.
    UnmappedInterrupt = 0x07,
    /// The collection goes to no redistributor.
    UnmappedCollection = 0x09,
    /// The domain's limit on devices, on events or on LPIs is reached. To the guest they are out of range.
    TooManyDevices = 0xf1,
    TooManyEvents = 0xf5,
    TooManyLpis = 0xf6,
    /// The host has no memory, or refuses.
    Refused = 0xff,
}

impl Reason {
    /// The limit that is reached, if it is that.
    pub(crate) const fn limit(self) -> Option<&'static str> {
        match self {
            Self::TooManyDevices => Some("devices"),
            Self::TooManyEvents => Some("events"),
            Self::TooManyLpis => Some("LPIs"),
            _ => None,
        }
    }

    /// The last byte of the error code.
    const fn code(self) -> u32 {
        match self {
            Self::TooManyDevices => Self::DeviceRange.code(),
            Self::TooManyEvents => Self::EventRange.code(),
            Self::TooManyLpis => Self::LpiRange.code(),
            _ => self as u32,
        }
    }
}

/// A command error: the command is ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CommandError {
    command: u8,
    reason: Reason,
}

impl CommandError {
    /// The limit of the domain that it is about, if it is about one.
    pub(crate) const fn limit(self) -> Option<&'static str> {
        self.reason.limit()
    }

    /// The architecture's code for it. What it has none for ends in 0x00 or 0xff.
    pub(crate) const fn code(self) -> u32 {
        // The codes of CLEAR have the number of SYNC in them.
        let command = match self.command {
            number::CLEAR => number::SYNC,
            other => other,
        };
        0x01_0000 | (command as u32) << 8 | self.reason.code()
    }
}

/// The bits `from` to `to`, both included, of a doubleword of a command.
const fn field(word: u64, to: u32, from: u32) -> u64 {
    let width = to.wrapping_sub(from).wrapping_add(1);
    let mask = if width >= 64 {
        u64::MAX
    } else {
        1_u64.wrapping_shl(width).wrapping_sub(1)
    };
    word.wrapping_shr(from) & mask
}

/// A command of the queue: what it says, and its number for errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    number: u8,
    words: [u64; 4],
}

impl Entry {
    pub(crate) fn new(bytes: [u8; SIZE]) -> Self {
        let mut words = [0; 4];
        let (chunks, _) = bytes.as_chunks::<8>();
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = u64::from_le_bytes(*chunk);
        }
        let [first, ..] = words;
        Self {
            number: first as u8,
            words,
        }
    }

    /// Its four doublewords.
    pub(crate) const fn words(&self) -> [u64; 4] {
        self.words
    }

    /// This command with something wrong about it.
    pub(crate) const fn error(&self, reason: Reason) -> CommandError {
        CommandError {
            command: self.number,
            reason,
        }
    }

    /// What it says.
    ///
    /// # Errors
    /// There is no such command.
    pub(crate) fn decode(&self) -> Result<Command, CommandError> {
        let [zero, one, two, three] = self.words;
        let device = field(zero, 63, 32) as u32;
        let event = field(one, 31, 0) as u32;
        let icid = field(two, 15, 0) as u16;
        let valid = field(two, 63, 63) != 0;
        // GITS_TYPER.PTA = 0: a redistributor is named by its GICR_TYPER.Processor_Number.
        let target = |word| field(word, 50, 16);
        Ok(match self.number {
            number::MAPD => Command::Mapd {
                device,
                event_bits: (field(one, 4, 0) as u32).wrapping_add(1),
                itt: field(two, 51, 8).wrapping_shl(8),
                valid,
            },
            number::MAPC => Command::Mapc {
                icid,
                target: target(two),
                valid,
            },
            number::MAPTI => Command::Mapti {
                device,
                event,
                intid: field(one, 63, 32) as u32,
                icid,
            },
            number::MAPI => Command::Mapti {
                device,
                event,
                intid: event,
                icid,
            },
            number::MOVI => Command::Movi {
                device,
                event,
                icid,
            },
            number::MOVALL => Command::Movall {
                from: target(two),
                to: target(three),
            },
            number::DISCARD => Command::Discard { device, event },
            number::INT => Command::Int { device, event },
            number::CLEAR => Command::Clear { device, event },
            number::INV => Command::Inv { device, event },
            number::INVALL => Command::Invall { icid },
            number::SYNC => Command::Sync {
                target: target(two),
            },
            _ => return Err(self.error(Reason::Unknown)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

    use super::*;

    fn entry(words: [u64; 4]) -> Entry {
        let mut bytes = [0; SIZE];
        for (at, word) in words.iter().enumerate() {
            bytes[at * 8..][..8].copy_from_slice(&word.to_le_bytes());
        }
        Entry::new(bytes)
    }

    #[test]
    fn fields_are_where_the_architecture_has_them() {
        let mapd = entry([0x1234_5678_0000_0008, 4, 1 << 63 | 0xf_ffff_ffff_ff00, 0]);
        assert_eq!(
            mapd.decode(),
            Ok(Command::Mapd {
                device: 0x1234_5678,
                event_bits: 5,
                itt: 0xf_ffff_ffff_ff00,
                valid: true
            })
        );
        let mapc = entry([9, 0, 1 << 63 | 77 << 16 | 0xabcd, 0]);
        assert_eq!(
            mapc.decode(),
            Ok(Command::Mapc {
                icid: 0xabcd,
                target: 77,
                valid: true
            })
        );
        let mapti = entry([7 << 32 | 0x0a, 8200 << 32 | 3, 5, 0]);
        let mapped = |intid| Command::Mapti {
            device: 7,
            event: 3,
            intid,
            icid: 5,
        };
        assert_eq!(mapti.decode(), Ok(mapped(8200)));
        let mapi = entry([7 << 32 | 0x0b, 8200 << 32 | 3, 5, 0]);
        assert_eq!(mapi.decode(), Ok(mapped(3)));
        let movall = entry([0x0e, 0, 3 << 16, 4 << 16]);
        assert_eq!(movall.decode(), Ok(Command::Movall { from: 3, to: 4 }));
        let movi = entry([1 << 32 | 1, 2, 3, 0]);
        let moved = Command::Movi {
            device: 1,
            event: 2,
            icid: 3,
        };
        assert_eq!(movi.decode(), Ok(moved));
        let sync = entry([5, 0, 6 << 16, 0]);
        assert_eq!(sync.decode(), Ok(Command::Sync { target: 6 }));
        for (number, command) in [
            (
                0x0f,
                Command::Discard {
                    device: 1,
                    event: 2,
                },
            ),
            (
                0x03,
                Command::Int {
                    device: 1,
                    event: 2,
                },
            ),
            (
                0x04,
                Command::Clear {
                    device: 1,
                    event: 2,
                },
            ),
            (
                0x0c,
                Command::Inv {
                    device: 1,
                    event: 2,
                },
            ),
        ] {
            assert_eq!(entry([1 << 32 | number, 2, 0, 0]).decode(), Ok(command));
        }
        assert_eq!(
            entry([0x0d, 0, 9, 0]).decode(),
            Ok(Command::Invall { icid: 9 })
        );
    }

    #[test]
    fn errors_have_the_codes_of_the_architecture() {
        for (number, reason, code) in [
            (0x01, Reason::UnmappedInterrupt, 0x01_0107),
            (0x01, Reason::UnmappedCollection, 0x01_0109),
            (0x03, Reason::UnmappedInterrupt, 0x01_0307),
            (0x03, Reason::UnmappedCollection, 0x01_0309),
            (0x04, Reason::UnmappedInterrupt, 0x01_0507),
            (0x08, Reason::DeviceRange, 0x01_0801),
            (0x08, Reason::SizeOrTarget, 0x01_0802),
            (0x09, Reason::SizeOrTarget, 0x01_0902),
            (0x09, Reason::CollectionRange, 0x01_0903),
            (0x0a, Reason::UnmappedDevice, 0x01_0a04),
            (0x0a, Reason::EventRange, 0x01_0a05),
            (0x0a, Reason::LpiRange, 0x01_0a06),
            (0x0c, Reason::UnmappedInterrupt, 0x01_0c07),
            (0x0d, Reason::UnmappedCollection, 0x01_0d09),
            (0x0f, Reason::UnmappedInterrupt, 0x01_0f07),
        ] {
            assert_eq!(entry([number, 0, 0, 0]).error(reason).code(), code);
        }
        let unknown = entry([0x42, 0, 0, 0]);
        assert_eq!(unknown.decode(), Err(unknown.error(Reason::Unknown)));
    }
}
