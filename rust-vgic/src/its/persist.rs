// SPDX-License-Identifier: GPL-2.0-only
//! What an ITS has mapped is written to its guest's tables, in the layout of [`layout`](super::layout).
//!
//! That is done when the guest disables the ITS, before GITS_CTLR.Quiescent reads 1, if anything was mapped, moved or unmapped since
//! the last time; and for who saves the domain. Until then tables in memory have what was written last, but for what is
//! unmapped since: that is cleared there at once, so that no later reading finds it. Where that cannot be, since the ITS is disabled
//! and another one has taken an LPI from it, all of the device's table is written the next time; and so is one of which not
//! everything was good when it was read.
//!
//! A lot at a time, as commands are: a window of a table has up to 32 entries, and costs one write and a few steps of the trap's budget. What
//! cannot be written, since the guest has taken a page of its table away or has given the ITS memory that is none, is left out and
//! counted: it is lost to the guest once it gives the ITS other tables, or is saved, and till then as good as any other.

use super::layout::{CollectionEntry, DeviceEntry, ENTRY, EventEntry};
use super::queue::Budget;
use super::tables::{COLLECTIONS, Saved, Tables, Written};
use super::{Its, todo};
use crate::domain::Domain;
use crate::host::Host;
use crate::progress::Progress;
use crate::sync::Ordering;

/// Entries that are written together, of a number that is a multiple of it on: where the first is in a page, all are.
const LOT: usize = 32;
const LOT_MASK: u32 = LOT as u32 - 1;
/// Steps that a lot takes, and collections.
const LOT_STEPS: u32 = 8;
const COLLECTION_STEPS: u32 = 32;

/// Entries from a number on.
struct Lot {
    first: u32,
    /// How many of them there are in the table.
    len: usize,
    entries: [u64; LOT],
    /// Those of them that are valid.
    valid: u32,
    /// The first that is valid after them.
    after: Option<u32>,
}

impl Lot {
    /// That of entry `id`.
    const fn of(id: u32) -> Self {
        Self {
            first: id & !LOT_MASK,
            len: LOT,
            entries: [0; LOT],
            valid: 0,
            after: None,
        }
    }

    const fn has(&self, id: u32) -> bool {
        id & !LOT_MASK == self.first
    }

    fn set(&mut self, id: u32, entry: u64) {
        if let Some(place) = self.entries.get_mut((id & LOT_MASK) as usize) {
            *place = entry;
            self.valid = self.valid.wrapping_add(1);
        }
    }
}

impl Tables {
    /// Events of a device from the first on that is mapped after `event`, or from `event` on where all of its table is to be written;
    /// and where they are.
    fn events_to_save(&mut self, device: u32, event: u32) -> Option<(u64, Lot)> {
        let found = self.devices.get_mut(device)?;
        let end = 1_u64.wrapping_shl(found.event_bits);
        let whole = found.written == Written::More;
        let mut following = found.events.next(event);
        let first = if whole { event } else { following?.0 };
        let mut lot = Lot::of(first);
        let stop = end.min(u64::from(lot.first).wrapping_add(LOT as u64));
        lot.len = stop.wrapping_sub(lot.first.into()) as usize;
        while let Some((event, mapped)) = following.filter(|(event, _)| lot.has(*event)) {
            let after = event.checked_add(1);
            following = after.and_then(|after| found.events.next(after));
            let entry = EventEntry {
                next: EventEntry::next(event, following.map(|(event, _)| event)),
                intid: mapped.intid.raw(),
                icid: mapped.icid.into(),
            };
            lot.set(event, entry.encode());
        }
        lot.after = if whole {
            Some(stop as u32).filter(|_| stop < end)
        } else {
            following.map(|(event, _)| event)
        };
        if !whole || lot.after.is_none() {
            found.written = Written::Mapped;
        }
        Some((found.event_at(lot.first.into()), lot))
    }

    /// Devices from the first on that is mapped after `device`.
    fn devices_to_save(&mut self, device: u32) -> Option<Lot> {
        let (mut device, _) = self.devices.next(device)?;
        let mut lot = Lot::of(device);
        loop {
            let after = device.checked_add(1);
            let following = after.and_then(|after| self.devices.next(after));
            let following = following.map(|(device, _)| device);
            if let Some(found) = self.devices.get_mut(device) {
                if found.written == Written::Nothing {
                    found.written = Written::Mapped;
                }
                let entry = DeviceEntry {
                    next: DeviceEntry::next(device, following),
                    itt: found.itt,
                    event_bits: found.event_bits,
                };
                lot.set(device, entry.encode());
            }
            lot.after = following;
            match following {
                Some(next) if lot.has(next) => device = next,
                _ => return Some(lot),
            }
        }
    }
}

impl Its {
    /// A command is about to change what is mapped. Only for who works for the ITS.
    pub(super) fn dirty(&self) {
        const ANY: u32 = todo::DIRTY | todo::PARTLY | todo::WRITES;
        let todo = self.todo.load(Ordering::Relaxed);
        if todo & ANY != todo::DIRTY {
            // What has been written of it may be so no more.
            self.tables.lock().saved = Saved::START;
            self.todo.fetch_or(todo::DIRTY, Ordering::Release);
            (self.todo).fetch_and(!(todo::PARTLY | todo::WRITES), Ordering::Release);
        }
    }

    /// Another ITS is about to take an event from this one: as [`Its::dirty`], but that one which is disabled leaves guest memory alone
    /// until it is enabled.
    pub(super) fn dirty_by_other(&self) {
        if self.is_enabled() || self.todo.load(Ordering::Relaxed) & todo::DIRTY != 0 {
            self.dirty();
        } else {
            self.todo.fetch_or(todo::LATER, Ordering::Release);
        }
    }

    /// It is enabled, or was until now: what was put off is so no longer.
    pub(super) fn dirty_by_now(&self) {
        if self.todo.load(Ordering::Acquire) & todo::LATER != 0 {
            self.tables.lock().saved = Saved::START;
            self.todo.fetch_or(todo::DIRTY, Ordering::Release);
            self.todo.fetch_and(!todo::LATER, Ordering::Release);
        }
    }

    /// A device's table in memory may have an event that is not mapped, and is not to be touched, or has just been read. For who has
    /// the tables written.
    pub(super) fn keep_event(&self, device: u32) {
        let mut tables = self.tables.lock();
        let found = tables.devices.get_mut(device);
        if let Some(found) = found.filter(|found| found.written.is_any()) {
            found.written = Written::More;
        }
    }

    /// Has the guest given it a table that has not been read yet, or taken the old one away? Then there is nothing to be written to it.
    fn has_new(&self, table: u32) -> bool {
        let new = todo::void(table) | todo::fill(table);
        self.todo.load(Ordering::Acquire) & new != 0
    }
}

impl<H: Host> Domain<H> {
    /// Writes what ITS number `its` has mapped to its guest's tables, a part at a time: to be called until it says
    /// [`Progress::Done`]. For who saves the domain, of which no vCPU runs; process context. A command that has been begun is
    /// done before, and so is what else the ITS has to do about its tables.
    ///
    /// An ITS that is disabled has written them when it was: its guest's memory is left alone.
    pub fn write_tables(&self, its: usize) -> Progress {
        let Some(its) = self.its.get(its) else {
            return Progress::Done;
        };
        if !its.begin() {
            return Progress::Again;
        }
        let mut budget = Budget::new();
        let mut progress = self.finish(its, &mut budget);
        if progress == Progress::Done && its.is_enabled() {
            if its.todo.load(Ordering::Relaxed) & todo::WRITES == 0 {
                // Whatever the guest may have made of them.
                its.tables.lock().saved = Saved::START;
                let force = todo::DIRTY | todo::WRITES;
                its.todo.fetch_or(force, Ordering::Release);
            }
            progress = self.save_tables(its, &mut budget);
        }
        its.end();
        progress
    }

    /// The same of all of them. One that is done is not begun again because of the next.
    pub(crate) fn write_all_tables(&self) -> Progress {
        for its in &self.its {
            if !its.begin() {
                return Progress::Again;
            }
            let progress = self.finish(its, &mut Budget::new());
            its.end();
            if progress == Progress::Again {
                return progress;
            }
        }
        // Those before the one that is being written are done, if nothing has come since.
        let has = |its: &Its, what| its.todo.load(Ordering::Relaxed) & what != 0;
        let first =
            (self.its.iter().enumerate()).find(|(_, its)| has(its, todo::DIRTY | todo::WRITES));
        let begun = first.filter(|(_, its)| has(its, todo::WRITES));
        let mut rest = begun.map_or(0, |(n, _)| n)..self.its.len();
        if rest.all(|n| self.write_tables(n) == Progress::Done) {
            Progress::Done
        } else {
            Progress::Again
        }
    }

    /// Writes what has not been written. Only for who works for the ITS, with no command begun.
    pub(super) fn save_tables(&self, its: &Its, budget: &mut Budget) -> Progress {
        its.todo.fetch_or(todo::PARTLY, Ordering::Relaxed);
        while let Some(saved) = self.save_lot(its, budget) {
            let Some(saved) = saved else {
                its.tables.lock().saved = Saved::START;
                let done = todo::DIRTY | todo::PARTLY | todo::WRITES;
                its.todo.fetch_and(!done, Ordering::Release);
                return Progress::Done;
            };
            its.tables.lock().saved = saved;
        }
        Progress::Again
    }

    /// Writes a lot, and says where the next begins, if there is one. `None`: not in this trap.
    fn save_lot(&self, its: &Its, budget: &mut Budget) -> Option<Option<Saved>> {
        let saved = its.tables.lock().saved;
        Some(match saved {
            Saved::Events(..) | Saved::Devices(_) if its.has_new(0) => Some(Saved::Collections),
            Saved::Events(device, event) => {
                if !budget.spend(LOT_STEPS) {
                    return None;
                }
                let lot = its.tables.lock().events_to_save(device, event);
                let Some((at, lot)) = lot else {
                    let next = device.checked_add(1);
                    let next = next.and_then(|next| its.device_from(next));
                    // The first is where this begins, and may not be there.
                    return Some(Some(match next {
                        Some(next) => Saved::Events(next, 0),
                        None => Saved::Devices(0),
                    }));
                };
                self.write_lot(its, Some(at), &lot);
                Some(match lot.after {
                    Some(event) => Saved::Events(device, event),
                    None => match device.checked_add(1) {
                        Some(next) => Saved::Events(next, 0),
                        None => Saved::Devices(0),
                    },
                })
            }
            Saved::Devices(device) => {
                if !budget.spend(LOT_STEPS) {
                    return None;
                }
                let lot = its.tables.lock().devices_to_save(device);
                let Some(lot) = lot else {
                    return Some(Some(Saved::Collections));
                };
                let at = self.entry_at(its, 0, lot.first.into());
                self.write_lot(its, at, &lot);
                Some(match lot.after {
                    Some(device) => Saved::Devices(device),
                    None => Saved::Collections,
                })
            }
            Saved::Collections => {
                if !budget.spend(COLLECTION_STEPS) {
                    return None;
                }
                if !its.has_new(1) {
                    self.save_collections(its);
                }
                None
            }
        })
    }

    /// All of them: there are few. One that is not valid is the last.
    fn save_collections(&self, its: &Its) {
        let mut icid = 0;
        // One more than there are collections: the table has at least 512.
        for n in 0..=(COLLECTIONS / LOT) as u32 {
            let mut lot = Lot::of(n.wrapping_mul(LOT as u32));
            {
                let tables = its.tables.lock();
                let mut entries = lot.entries.iter_mut();
                while (icid as usize) < COLLECTIONS {
                    if let Some(target) = tables.collection(icid).ok().and_then(|c| c.target) {
                        let Some(entry) = entries.next() else {
                            break;
                        };
                        let target = target.raw().into();
                        *entry = CollectionEntry { target, icid }.encode();
                        lot.valid = lot.valid.wrapping_add(1);
                    }
                    icid = icid.wrapping_add(1);
                }
            }
            let at = self.entry_at(its, 1, lot.first.into());
            self.write_lot(its, at, &lot);
            if (lot.valid as usize) < LOT {
                return;
            }
        }
    }

    /// Writes entries to where they belong, if that is in memory.
    fn write_lot(&self, its: &Its, at: Option<u64>, lot: &Lot) {
        let mut bytes = [0; LOT * ENTRY as usize];
        let places = bytes.chunks_exact_mut(ENTRY as usize);
        for (place, entry) in places.zip(&lot.entries) {
            place.copy_from_slice(&entry.to_le_bytes());
        }
        let part = bytes.get(..lot.len.saturating_mul(ENTRY as usize));
        let done = at
            .zip(part)
            .is_some_and(|(at, part)| self.write_table(at, part));
        if !done {
            its.unsaved.fetch_add(lot.valid, Ordering::Relaxed);
        }
    }

    /// An event is unmapped by a command: so it is in memory, if it may be there.
    pub(super) fn clear_event(&self, its: &Its, (device, event): (u32, u32)) {
        let at = {
            let tables = its.tables.lock();
            let found = tables.devices.get(device);
            let found = found.filter(|found| found.written.is_any());
            found.map(|found| found.event_at(event.into()))
        };
        if let Some(at) = at {
            let _ = self.write_table(at, &[0; ENTRY as usize]);
        }
    }

    /// The same of a device that was written.
    pub(super) fn clear_device(&self, its: &Its, device: u32) {
        if let Some(at) = self.entry_at(its, 0, device.into()) {
            let _ = self.write_table(at, &[0; ENTRY as usize]);
        }
    }
}
