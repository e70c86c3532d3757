// SPDX-License-Identifier: GPL-2.0-only
//! What an ITS is saved as, and what can be wrong with that. [`restore`](super::restore) reads it.

use super::layout::ENTRY;
use super::tables::{COLLECTIONS, Device};
use crate::intid::{IntId, VcpuId};
use crate::lpi::Pages;
use crate::radix::Radix;
use alloc::boxed::Box;
use core::fmt;

/// GITS_BASER0 and GITS_BASER1 at reset: Type, device (1) or collection (4), and the size of an entry less one.
pub(super) const BASER_TYPES: [u64; 2] = [
    1 << 56 | (ENTRY.wrapping_sub(1)) << 48,
    4 << 56 | (ENTRY.wrapping_sub(1)) << 48,
];
/// GITS_CBASER without RES0 bits.
pub(super) const CBASER_MASK: u64 =
    1 << 63 | 0b111 << 59 | 0b111 << 53 | 0xf_ffff_ffff_f000 | 0b11 << 10 | 0xff;

/// GITS_BASER: what can be written, and Indirect.
pub(super) const BASER_MASK: u64 = 0b11 << 62 | 0b111 << 59 | 0b111 << 53 | 0xffff_ffff_ffff;

/// Windows of guest memory that are read for a domain at the most, 256 MiB: a guest may have told an ITS of tables of any size.
const MOST_WINDOWS: u32 = if cfg!(test) { 1 << 12 } else { 1 << 18 };

/// What is in the registers of an ITS.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ItsRegisters {
    /// GITS_CTLR.Enabled.
    pub enabled: bool,
    /// GITS_CBASER.
    pub cbaser: u64,
    /// GITS_CWRITER.
    pub cwriter: u32,
    /// GITS_CREADR, with Stalled in bit 0.
    pub creadr: u32,
    /// GITS_BASER0, of devices, and GITS_BASER1, of collections.
    pub basers: [u64; 2],
}

/// Which of a guest's tables something is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableName {
    /// That of devices.
    Devices,
    /// The interrupt translation table of this device.
    Events(u32),
    /// That of collections.
    Collections,
}

/// What is wrong with an entry of a guest's tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableFault {
    /// It is not in memory.
    NotThere,
    /// Reserved bits are not zero.
    Reserved,
    /// More bits of an EventID than this ITS has.
    EventBits,
    /// `next` leads out of the table.
    Next,
    /// There is no such LPI.
    Lpi,
    /// Another event has the LPI.
    LpiTwice,
    /// There can be no such collection.
    Collection,
    /// It is there twice.
    CollectionTwice,
    /// The domain has no such vCPU.
    Vcpu,
    /// The domain may have no more devices, events or LPIs.
    Limit,
    /// There is too much to be read.
    TooMuch,
    /// The host has no memory.
    NoMemory,
}

/// Why the tables of an ITS are not as they have to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableError {
    /// The ITS.
    pub its: usize,
    /// The table.
    pub table: TableName,
    /// The entry: a DeviceID, an EventID, or a place in the collection table.
    pub index: u32,
    /// What it is.
    pub why: TableFault,
}

impl fmt::Display for TableFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotThere => "not in memory",
            Self::Reserved => "reserved bits are set",
            Self::EventBits => "too many bits of an EventID",
            Self::Next => "the next one is out of the table",
            Self::Lpi => "no such LPI",
            Self::LpiTwice => "another event has the LPI",
            Self::Collection => "no such collection",
            Self::CollectionTwice => "the collection is there twice",
            Self::Vcpu => "no such vCPU",
            Self::Limit => "more than the domain may have",
            Self::TooMuch => "too much to be read",
            Self::NoMemory => "no memory",
        })
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            its,
            table,
            index,
            why,
        } = self;
        match table {
            TableName::Devices => write!(f, "ITS {its}: device {index:#x}: {why}"),
            TableName::Events(device) => {
                write!(f, "ITS {its}: device {device:#x}, event {index}: {why}")
            }
            TableName::Collections => {
                write!(f, "ITS {its}: collection table, entry {index}: {why}")
            }
        }
    }
}

/// The tables of an ITS that has been read.
pub(super) struct Read {
    pub(super) registers: ItsRegisters,
    pub(super) devices: Radix<Device>,
    pub(super) targets: [Option<VcpuId>; COLLECTIONS],
}

/// What has been read for the ITSes of a domain, and the memory that it takes. Dropped, it leaves no trace.
pub struct Prepared {
    pub(super) itses: Box<[Option<Read>]>,
    /// A bit for each LPI that an event has.
    pub(super) mapped: Box<[u64]>,
    /// Pages for LPIs that the domain has none for.
    pub(super) pages: Pages,
    pub(super) devices: u32,
    pub(super) events: u32,
    pub(super) windows: u32,
}

impl Prepared {
    /// How many devices and events there are, of all ITSes together.
    #[must_use]
    pub fn counts(&self) -> (u32, u32) {
        (self.devices, self.events)
    }

    /// Marks an LPI as mapped. No: it is already.
    pub(super) fn map(&mut self, intid: IntId) -> bool {
        let raw = intid.raw();
        let Some(word) = self.mapped.get_mut(raw as usize / 64) else {
            return false;
        };
        let bit = 1_u64.wrapping_shl(raw % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// One more window is read.
    pub(super) fn read(&mut self) -> Result<(), TableFault> {
        let more = self.windows.wrapping_add(1);
        self.windows = more;
        (more <= MOST_WINDOWS)
            .then_some(())
            .ok_or(TableFault::TooMuch)
    }
}

impl ItsRegisters {
    /// The name of a register that an ITS cannot have this value in.
    #[must_use]
    pub fn wrong(&self) -> Option<&'static str> {
        let Self {
            enabled: _,
            cbaser,
            cwriter,
            creadr,
            basers,
        } = *self;
        let size = (cbaser as u32 & 0xff).wrapping_add(1).wrapping_mul(0x1000);
        let in_queue = |offset: u32| offset < size && offset & 0x1f == 0;
        let bad = |n: usize| {
            let fixed = BASER_TYPES.get(n).copied().unwrap_or(0);
            let baser = basers.get(n).copied().unwrap_or(0);
            baser & BASER_MASK | fixed != baser
        };
        if cbaser & !CBASER_MASK != 0 {
            Some("GITS_CBASER")
        } else if !in_queue(cwriter) {
            Some("GITS_CWRITER")
        } else if !in_queue(creadr & !1) {
            Some("GITS_CREADR")
        } else if bad(0) {
            Some("GITS_BASER0")
        } else if bad(1) {
            Some("GITS_BASER1")
        } else {
            None
        }
    }
}
