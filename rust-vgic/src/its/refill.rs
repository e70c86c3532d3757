// SPDX-License-Identifier: GPL-2.0-only
//! A guest that gives its ITS other tables finds what is in there mapped once it has enabled it (IHI 0069, section 5.2): zeroed tables
//! are those of a kernel that begins, others a copy of what the ITS has written before, see [`persist`](super::persist).
//!
//! A lot at a time, before any command. Tables that are zero take a read of guest memory for each 128 entries that they
//! have, 512 for DeviceIDs of 16 bits, in nine traps.
//!
//! What is not good is the guest's own business: it is skipped and counted. So is what goes beyond the domain's limits, for which the
//! architecture has no error here: there is no command that could have one. The first are mapped, and what comes after is out of the ITS,
//! and an event out of memory once tables are written. Of two events with one LPI the first has it.

use super::command::Reason;
use super::execute::Mapping;
use super::layout::{CollectionEntry, DeviceEntry, ENTRY, EventEntry};
use super::place::{Run, WINDOW, entry_of};
use super::queue::Budget;
use super::tables::{COLLECTIONS, Device, Filled, Mapped, Written};
use super::{Its, todo};
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::irq::NIL;
use crate::progress::Progress;
use crate::sync::Ordering;

/// Steps that a read takes, and something that is mapped.
const READ_STEPS: u32 = 4;
const MAP_STEPS: u32 = 4;

impl<H: Host> Domain<H> {
    /// Reads what is to be read of the guest's tables. Only for who works for the ITS, which is enabled, with no command begun.
    pub(super) fn refill(&self, its: &Its, budget: &mut Budget) -> Progress {
        loop {
            let fills = its.todo.load(Ordering::Acquire) & todo::FILLS;
            let filled = its.tables.lock().filled;
            let next = match filled {
                Filled::Collections if fills & todo::fill(1) == 0 => Some(Filled::Devices(0)),
                Filled::Devices(_) | Filled::Events(..) if fills & todo::fill(0) == 0 => None,
                Filled::Collections => {
                    if !budget.spend(READ_STEPS.wrapping_mul(3)) {
                        return Progress::Again;
                    }
                    self.refill_collections(its);
                    Some(Filled::Routes(0, NIL))
                }
                Filled::Routes(icid, from) => {
                    let Some(next) = self.refill_routes(its, icid, from, budget) else {
                        return Progress::Again;
                    };
                    Some(next)
                }
                Filled::Devices(device) => {
                    if !budget.spend(READ_STEPS) {
                        return Progress::Again;
                    }
                    self.refill_devices(its, device)
                }
                Filled::Events(device, event, after) => {
                    if !budget.spend(READ_STEPS) {
                        return Progress::Again;
                    }
                    Some(self.refill_events(its, (device, event), after, budget))
                }
            };
            its.tables.lock().filled = next.unwrap_or(Filled::START);
            if next.is_none() {
                // Unless the guest has taken one away once more, and that is yet to be seen.
                let _ = (its.todo).fetch_update(Ordering::AcqRel, Ordering::Relaxed, |todo| {
                    (todo & todo::VOIDS == 0).then_some(todo & !todo::FILLS)
                });
                return Progress::Done;
            }
        }
    }

    /// Something of the tables is not good.
    fn unread(&self, its: &Its) {
        its.unread.fetch_add(1, Ordering::Relaxed);
    }

    /// Where collections go. There are few.
    fn refill_collections(&self, its: &Its) {
        let Some(place) = its.place(1) else {
            return;
        };
        let mut window = [0; WINDOW];
        let mut index = 0_u64;
        // As many as there can be, and some that are not good.
        while index < (COLLECTIONS as u64).wrapping_mul(2).min(place.ids()) {
            let count = match self.run(&place, index, false) {
                Run::At(at, most) => self.read_window(at, most, &mut window),
                Run::Hole(_) | Run::Unreadable(_) => None,
            };
            let Some(count) = count else {
                return;
            };
            for n in 0..count {
                let Some((entry, _)) = CollectionEntry::decode(entry_of(&window, n)) else {
                    return;
                };
                let target = u32::try_from(entry.target).ok().and_then(VcpuId::new);
                let target = target.filter(|id| self.vcpu(*id).is_some());
                let mut tables = its.tables.lock();
                let is_new = (tables.collection(entry.icid)).is_ok_and(|c| c.target.is_none());
                if target.is_some() && is_new {
                    tables.set_target(entry.icid, target);
                } else {
                    drop(tables);
                    self.unread(its);
                }
            }
            index = index.wrapping_add(count as u64);
        }
    }

    /// LPIs go where their collections go. What is next, if not in another trap.
    fn refill_routes(
        &self,
        its: &Its,
        mut icid: u16,
        from: u16,
        budget: &mut Budget,
    ) -> Option<Filled> {
        let mut next = (from != NIL).then_some(from);
        loop {
            let collection = its.tables.lock().collection(icid);
            let Ok(collection) = collection else {
                return Some(Filled::Devices(0));
            };
            let mut raw = next.take().unwrap_or(collection.head);
            while let Some((intid, lpi)) =
                IntId::new(raw.into()).and_then(|intid| Some((intid, self.lpis.get(intid)?)))
            {
                if !budget.spend(1) {
                    its.tables.lock().filled = Filled::Routes(icid, raw);
                    return None;
                }
                self.reroute_lpi(intid, lpi, collection.target);
                raw = lpi.next.load(Ordering::Relaxed);
            }
            icid = icid.wrapping_add(1);
        }
    }

    /// Devices from a number on, until one is found. What is next; `None`: there are no more.
    fn refill_devices(&self, its: &Its, device: u64) -> Option<Filled> {
        let place = its.place(0)?;
        let end = place.ids().min(1_u64.wrapping_shl(its.device_bits));
        if device >= end {
            return None;
        }
        let (at, most) = match self.run(&place, device, true) {
            Run::At(at, most) => (at, most),
            Run::Hole(count) => return Some(Filled::Devices(device.wrapping_add(count))),
            Run::Unreadable(count) => {
                self.unread(its);
                return Some(Filled::Devices(device.wrapping_add(count)));
            }
        };
        let mut window = [0; WINDOW];
        let Some(count) = self.read_window(at, most.min(end.wrapping_sub(device)), &mut window)
        else {
            self.unread(its);
            // The page that is not there.
            let rest = 0x1000_u64.wrapping_sub(at % 0x1000) / ENTRY;
            return Some(Filled::Devices(device.wrapping_add(rest.min(most))));
        };
        let entries = (0..count).map(|n| (n, DeviceEntry::decode(entry_of(&window, n))));
        let found = entries.filter_map(|(n, entry)| Some((n, entry?))).next();
        let Some((n, entry)) = found else {
            return Some(Filled::Devices(device.wrapping_add(count as u64)));
        };
        let device = device.wrapping_add(n as u64);
        let after = match entry.next {
            0 => u64::MAX,
            next => device.wrapping_add(next.into()),
        };
        let device = device as u32;
        match self.refill_device(its, device, entry) {
            Ok(()) => Some(Filled::Events(device, 0, after)),
            Err(why) => {
                self.unread(its);
                // No other would be mapped either.
                (why != Reason::TooManyDevices).then_some(Filled::Devices(after))
            }
        }
    }

    /// A device is mapped, or is already.
    fn refill_device(&self, its: &Its, device: u32, entry: DeviceEntry) -> Result<(), Reason> {
        if entry.event_bits > its.event_bits {
            return Err(Reason::SizeOrTarget);
        }
        let had = {
            let tables = its.tables.lock();
            (tables.devices.get(device)).map(|had| (had.event_bits, had.itt))
        };
        if let Some(had) = had {
            // Reading has begun anew.
            let same = had == (entry.event_bits, entry.itt);
            return same.then_some(()).ok_or(Reason::Refused);
        }
        let host_bits = super::execute::host_bits(entry.event_bits, its.event_bits);
        let mut made = Device::new(entry.event_bits, entry.itt, host_bits);
        made.written = Written::Mapped;
        self.map_new_device(its, device, made).map(|_| ())
    }

    /// Events of a device from a number on, as many as there are in a window. What is next.
    fn refill_events(
        &self,
        its: &Its,
        (device, event): (u32, u64),
        after: u64,
        budget: &mut Budget,
    ) -> Filled {
        let found = {
            let tables = its.tables.lock();
            let found = tables.devices.get(device);
            found.map(|d| (d.event_at(event), 1_u64.wrapping_shl(d.event_bits)))
        };
        let Some((at, end)) = found.filter(|(_, end)| event < *end) else {
            return Filled::Devices(after);
        };
        let mut window = [0; WINDOW];
        let Some(count) = self.read_window(at, end.wrapping_sub(event), &mut window) else {
            self.unread(its);
            return Filled::Devices(after);
        };
        let first = event;
        let stop = first.wrapping_add(count as u64);
        let mut event = first;
        let mut mapped = [None; WINDOW / ENTRY as usize];
        let mut places = mapped.iter_mut();
        let next = loop {
            if event >= stop {
                break Filled::Events(device, event, after);
            }
            let n = event.wrapping_sub(first) as usize;
            let Some(entry) = EventEntry::decode(entry_of(&window, n)) else {
                event = event.wrapping_add(1);
                continue;
            };
            if !budget.spend(MAP_STEPS) {
                break Filled::Events(device, event, after);
            }
            match self.refill_event(its, (device, event as u32), entry) {
                Ok(intid) => {
                    if let Some(place) = places.next() {
                        *place = intid;
                    }
                }
                Err(why) => {
                    self.unread(its);
                    its.dirty();
                    its.keep_event(device);
                    if why == Reason::TooManyEvents {
                        break Filled::Devices(after);
                    }
                }
            }
            if entry.next == 0 {
                break Filled::Devices(after);
            }
            event = event.wrapping_add(entry.next.into());
        };
        // As one: they mostly follow one another.
        self.reload_all(mapped.into_iter().flatten());
        next
    }

    /// An event is mapped, or is already. Its LPI, whose configuration is to be read.
    fn refill_event(
        &self,
        its: &Its,
        at: (u32, u32),
        entry: EventEntry,
    ) -> Result<Option<IntId>, Reason> {
        let intid = self.lpis.exists(entry.intid).ok_or(Reason::LpiRange)?;
        let (target, had) = {
            let tables = its.tables.lock();
            let target = tables.collection(entry.icid)?.target;
            (target, tables.mapped(at.0, at.1).ok())
        };
        let new = Mapped {
            intid,
            icid: entry.icid as u8,
        };
        if let Some(had) = had {
            return if had == new {
                Ok(None)
            } else {
                Err(Reason::Refused)
            };
        }
        let lpi = self.lpis.make(intid).map_err(|_| Reason::TooManyLpis)?;
        if lpi.mapped_by().is_some() {
            return Err(Reason::Refused);
        }
        let how = Mapping::Table(target);
        match self.replace((its, at), lpi, (new, how), (None, None))? {
            Progress::Done => Ok(Some(intid)),
            // Another ITS has it since just now.
            Progress::Again => Err(Reason::Refused),
        }
    }
}
