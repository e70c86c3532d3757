// SPDX-License-Identifier: GPL-2.0-only
//! Interrupt translation services (IHI 0069, chapter 5): what a device writes to GITS_TRANSLATER becomes an LPI.
//!
//! | module | what |
//! |---|---|
//! | `its::command` | commands as they are in the queue, and their errors |
//! | `its::tables` | devices, events and collections: this ITS's own, whatever the guest's memory says |
//! | `its::execute`, `its::collections` | what each command does |
//! | `its::message` | messages of device models |
//! | `its::layout`, `its::place` | entries of the guest's tables, and where they are |
//! | `its::persist`, `its::refill` | what is mapped is written to them, and read from them |
//! | `its::saved`, `its::restore` | what an ITS is saved as, and how that is read |
//! | `its::memory` | how much memory what is mapped can take |
//! | `its::queue` | the queue, worked off in bounded batches |
//! | `its::registers` | the frame |
//! | `its::reset` | the state after power-on |
//! | `its::dump` | what a person sees of it |
//!
//! Guest memory is read for commands, for the first level of a device table and (by [`lpi`](crate::lpi)) for the configuration
//! of LPIs; for tables that the guest has given the ITS anew when it is enabled, and it is written for them when it is disabled.
//! Never to find out where anything of the host's is, and what is read is checked as a command is. All that a guest can make is counted against
//! the limits of [`LpiConfig`](crate::LpiConfig).
//!
//! # The path of a message
//!
//! A device of the hardware's ([`Backing::Hardware`]) writes to an ITS of the host's, which makes a physical LPI of it. Injection
//! then needs nothing of this but whether the ITS is enabled: who has the INTID calls
//! [`Domain::inject_lpi`](crate::Domain::inject_lpi) in hard interrupt context. The host is told of each MAPD, MAPTI and DISCARD,
//! so that it knows the INTID.
//!
//! A device model's ([`Backing::Software`]) is in no ITS of the host's. Its message comes in process context with ITS, DeviceID
//! and EventID, and [`Domain::message`](crate::Domain::message) looks it up: GITS_CTLR.Enabled, then under the lock of the ITS's
//! tables device → event → INTID, and in the same hold the LPI's word becomes pending. With the lock released, the LPI goes to
//! the inbox of the vCPU of its collection, and that is kicked: the same as for the other.

mod collections;
mod command;
mod dump;
mod execute;
#[cfg(not(target_os = "none"))]
mod image;
mod layout;
mod memory;
mod message;
mod persist;
mod place;
mod queue;
mod refill;
mod registers;
mod reset;
mod restore;
mod saved;
mod tables;

use crate::config::{Error, ItsConfig};
use crate::host::Backing;
use crate::slice::try_boxed;
use crate::sync::{AtomicU32, AtomicU64, Mutex, Ordering, fence};
use alloc::boxed::Box;
pub use memory::most_bytes;
use saved::BASER_TYPES;
pub use saved::{ItsRegisters, Prepared, TableError, TableFault, TableName};
use tables::{Anew, Mapped, Tables};

/// GITS_BASER.Page_Size at reset: 64 KiB. The architecture leaves it open; others have this, and tests of theirs expect it.
const PAGE_SIZE: u64 = 2 << 8;

/// An ITS of a domain.
pub(crate) struct Its {
    /// Which of the domain's it is.
    index: u16,
    pub(crate) device_bits: u32,
    pub(crate) event_bits: u32,
    /// GITS_CTLR.Enabled.
    pub(crate) enabled: AtomicU32,
    pub(crate) cbaser: AtomicU64,
    /// GITS_CREADR and GITS_CWRITER, offsets in the queue; the former with Stalled in bit 0.
    pub(crate) creadr: AtomicU32,
    pub(crate) cwriter: AtomicU32,
    /// GITS_BASER0, of devices, and GITS_BASER1, of collections.
    pub(crate) basers: [AtomicU64; 2],
    /// 1 while a vCPU works off the queue, or unmaps an event of this ITS for another. Only that one changes `tables`,
    /// CREADR and the cursor.
    busy: AtomicU32,
    /// 1 while a command has been begun and is not done: `tables` has it. It is done before anything else is, also if the ITS is
    /// disabled meanwhile, which is not quiescent until then.
    begun: AtomicU32,
    /// Where that goes on.
    cursor: AtomicU32,
    /// What it waits for, of SYNC: see [`Domain::has_seen`](crate::Domain::has_seen).
    awaited: AtomicU64,
    /// What is to be done about its tables, see [`todo`].
    todo: AtomicU32,
    /// Entries of tables that could not be written, and such that were not good when they were read, in the guest's life.
    unsaved: AtomicU32,
    unread: AtomicU32,
    tables: Mutex<Tables>,
    /// Command errors, and the code of the last.
    pub(crate) errors: AtomicU32,
    pub(crate) last_error: AtomicU32,
    /// Those of them that the domain's limits were the reason for.
    pub(crate) refused: Refused,
}

/// Commands that were refused for the domain's limits: how many, and the last.
pub(crate) struct Refused {
    /// How many, written first ...
    begun: AtomicU32,
    words: [AtomicU64; 4],
    /// ... and last: who reads the words between the two has a command.
    count: AtomicU32,
}

impl Refused {
    fn new() -> Self {
        Self {
            begun: AtomicU32::new(0),
            words: [0; 4].map(AtomicU64::new),
            count: AtomicU32::new(0),
        }
    }

    /// There is one more. Only for who works for the ITS. How many there are now.
    fn keep(&self, words: [u64; 4]) -> u32 {
        let nth = self.count.load(Ordering::Relaxed).wrapping_add(1);
        self.begun.store(nth, Ordering::Relaxed);
        fence(Ordering::Release);
        for (place, word) in self.words.iter().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
        self.count.store(nth, Ordering::Release);
        nth
    }

    /// How many, and the last; `None` if there is a new one just now. Takes no lock.
    pub(crate) fn last(&self) -> (u32, Option<[u64; 4]>) {
        let count = self.count.load(Ordering::Acquire);
        let mut words = [0; 4];
        for (word, place) in words.iter_mut().zip(&self.words) {
            *word = place.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        let same = self.begun.load(Ordering::Relaxed) == count;
        (count, same.then_some(words))
    }
}

impl Its {
    /// Is no device mapped?
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.lock().devices.next(0).is_none()
    }

    fn new(index: u16, config: ItsConfig) -> Self {
        Self {
            index,
            device_bits: config.device_bits,
            event_bits: config.event_bits,
            enabled: AtomicU32::new(0),
            cbaser: AtomicU64::new(0),
            creadr: AtomicU32::new(0),
            cwriter: AtomicU32::new(0),
            basers: BASER_TYPES.map(|fixed| AtomicU64::new(fixed | PAGE_SIZE)),
            busy: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            awaited: AtomicU64::new(0),
            cursor: AtomicU32::new(0),
            todo: AtomicU32::new(0),
            unsaved: AtomicU32::new(0),
            unread: AtomicU32::new(0),
            tables: Mutex::new(Tables::new(config)),
            errors: AtomicU32::new(0),
            last_error: AtomicU32::new(0),
            refused: Refused::new(),
        }
    }

    /// GITS_CTLR.Enabled.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire) != 0
    }

    /// Has the host a device of this number of this ITS?
    fn is_hardware(&self, device: u32) -> bool {
        let tables = self.tables.lock();
        let found = tables.devices.get(device);
        found.is_some_and(|d| d.backing == Backing::Hardware)
    }

    /// The same, and the event that is mapped here?
    fn has_at_host(&self, (device, event): (u32, u32)) -> bool {
        let tables = self.tables.lock();
        let found = tables.devices.get(device);
        found.is_some_and(|d| {
            let has = match d.anew {
                Anew::No | Anew::Unmaps => true,
                Anew::UnmapsHere => false,
                // It is told of them in order.
                Anew::Stays(next) => event < next,
            };
            has && d.backing == Backing::Hardware && d.host_bits.is_some()
        })
    }

    /// GITS_CTLR.Quiescent, once it is disabled: nobody works for it, no command is half done, and nothing is left to be unmapped.
    pub(crate) fn is_idle(&self) -> bool {
        let parts = [&self.busy, &self.begun];
        parts.iter().all(|part| part.load(Ordering::Acquire) == 0)
            && self.todo.load(Ordering::Acquire) & (todo::VOIDS | todo::DIRTY) == 0
    }

    /// The first device from this number on.
    fn device_from(&self, device: u32) -> Option<u32> {
        let tables = self.tables.lock();
        tables.devices.next(device).map(|(device, _)| device)
    }

    /// The first event of a device that is mapped, from this one on.
    fn event_from(&self, device: u32, event: u32) -> Option<(u32, Mapped)> {
        let tables = self.tables.lock();
        let events = tables.devices.get(device).map(|d| &d.events);
        events.and_then(|events| events.next(event).map(|(event, at)| (event, *at)))
    }
}

/// What is to be done about the tables of an ITS.
mod todo {
    /// The guest has taken a table away, of devices or of collections: what was mapped by it goes, before anything else but the
    /// command that has been begun.
    pub(super) const VOIDS: u32 = 0b11;
    /// The guest has given it such a table: what is in there is read once the ITS is enabled, before any command.
    pub(super) const FILLS: u32 = 0b11 << 2;
    /// What is mapped is not what is in memory. It is written there when the ITS is disabled.
    pub(super) const DIRTY: u32 = 1 << 4;
    /// A part of it has been written.
    pub(super) const PARTLY: u32 = 1 << 5;
    /// All of it is written though the ITS may be enabled: somebody saves the domain.
    pub(super) const WRITES: u32 = 1 << 6;
    /// It is as with [`DIRTY`], but the ITS is disabled and may be quiescent: it is written when it is disabled the next time.
    pub(super) const LATER: u32 = 1 << 7;

    /// Of table number `n`.
    pub(super) const fn void(n: u32) -> u32 {
        1_u32.wrapping_shl(n)
    }

    pub(super) const fn fill(n: u32) -> u32 {
        void(n).wrapping_shl(2)
    }
}

/// The ITSes of a domain.
///
/// # Errors
/// [`Error::Invalid`] for numbers that the architecture does not have, [`Error::NoMemory`].
pub(crate) fn create(configs: &[ItsConfig]) -> Result<Box<[Its]>, Error> {
    let good = |bits: u32| (1..=32).contains(&bits);
    if !configs
        .iter()
        .all(|c| good(c.device_bits) && good(c.event_bits))
    {
        return Err(Error::Invalid);
    }
    try_boxed(configs.len(), |n| {
        Its::new(n as u16, configs.get(n).copied().unwrap_or_default())
    })
    .ok_or(Error::NoMemory)
}

#[cfg(test)]
mod tests;
