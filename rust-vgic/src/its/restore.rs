// SPDX-License-Identifier: GPL-2.0-only
//! What a saved ITS has in its guest's memory is read again, all of it, before anything is changed.
//!
//! [`Domain::prepare`] makes room, [`Domain::read_tables`] reads and checks one ITS's tables, and [`Domain::adopt_tables`] makes them those
//! of the domain's, which cannot fail. What does not fit is an error that says where it is: so is all that this vGIC would not
//! have written. (What a guest moves about itself is read by [`refill`](super::refill), which skips what is not good.)
//!
//! An ITS that is disabled has nothing read for it: it reads its tables itself, when its guest enables it.

use super::layout::{CollectionEntry, DeviceEntry, EventEntry};
use super::place::{Place, Run, WINDOW, entry_of};
use super::queue::VALID;
use super::saved::{ItsRegisters, Prepared, Read, TableError, TableFault, TableName};
use super::tables::{COLLECTIONS, Device, Mapped, Written};
use super::{Its, todo};
use crate::domain::Domain;
use crate::host::{Backing, Host};
use crate::intid::{IntId, VcpuId};
use crate::lpi::NoPage;
use crate::radix::Radix;
use crate::slice::try_boxed;
use crate::sync::Ordering;

impl<H: Host> Domain<H> {
    /// Room for what is read for all ITSes of the domain. `None`: no memory.
    #[must_use]
    pub fn prepare(&self) -> Option<Prepared> {
        let words = 1_usize.wrapping_shl(self.lpis.id_bits) / 64;
        Some(Prepared {
            itses: try_boxed(self.its.len(), |_| None)?,
            mapped: try_boxed(words, |_| 0)?,
            pages: self.lpis.no_pages()?,
            devices: 0,
            events: 0,
            windows: 0,
        })
    }

    /// What is in the registers of ITS number `its`, for which nobody works.
    #[must_use]
    pub fn its_registers(&self, its: usize) -> Option<ItsRegisters> {
        let its = self.its.get(its)?;
        Some(ItsRegisters {
            enabled: its.is_enabled(),
            cbaser: its.cbaser.load(Ordering::Relaxed),
            cwriter: its.cwriter.load(Ordering::Relaxed),
            creadr: its.creadr.load(Ordering::Relaxed),
            basers: [0, 1].map(|n| {
                let baser = its.basers.get(n);
                baser.map_or(0, |baser| baser.load(Ordering::Relaxed))
            }),
        })
    }

    /// An LPI will be there that no table which was read has: it is pending, or an ITS that is disabled has an event for it (`owned`).
    /// There is room for it. For who restores that, after all tables, and first of those that are owned.
    ///
    /// # Errors
    /// Why there is none.
    pub fn prepare_lpi(
        &self,
        prepared: &mut Prepared,
        intid: IntId,
        owned: bool,
    ) -> Result<(), TableFault> {
        self.lpis.exists(intid.raw()).ok_or(TableFault::Lpi)?;
        self.prepare_page(prepared, intid, owned)
    }

    fn prepare_page(
        &self,
        prepared: &mut Prepared,
        intid: IntId,
        mapped: bool,
    ) -> Result<(), TableFault> {
        let room = self.lpis.prepare(&mut prepared.pages, intid, mapped);
        room.map_err(|why| match why {
            NoPage::Limit => TableFault::Limit,
            NoPage::Memory => TableFault::NoMemory,
        })
    }

    /// Reads and checks the tables that an ITS with these registers has, which have to be [good](ItsRegisters::wrong). Changes nothing.
    /// Process context; the domain's ITSes have nothing mapped.
    ///
    /// # Errors
    /// What of them is not as this vGIC writes it, or does not fit the domain. Then `prepared` is of no use any more.
    pub fn read_tables(
        &self,
        prepared: &mut Prepared,
        its: usize,
        registers: ItsRegisters,
    ) -> Result<(), TableError> {
        let Some(found) = self.its.get(its) else {
            return Ok(());
        };
        let mut read = Read {
            registers,
            devices: Radix::new(found.device_bits),
            targets: [None; COLLECTIONS],
        };
        if registers.enabled {
            let error = |(table, index, why)| TableError {
                its,
                table,
                index,
                why,
            };
            let [devices, collections] = registers.basers;
            self.read_collections(prepared, collections, &mut read)
                .map_err(|(index, why)| error((TableName::Collections, index, why)))?;
            self.read_devices(prepared, found, devices, &mut read)
                .map_err(error)?;
        }
        if let Some(place) = prepared.itses.get_mut(its) {
            *place = Some(read);
        }
        Ok(())
    }

    fn read_collections(
        &self,
        prepared: &mut Prepared,
        baser: u64,
        read: &mut Read,
    ) -> Result<(), (u32, TableFault)> {
        let Some(place) = Place::new(baser) else {
            return Ok(());
        };
        let mut index = 0_u64;
        let mut window = [0; WINDOW];
        while index < place.ids() {
            let at = |why| (index as u32, why);
            prepared.read().map_err(at)?;
            let count = match self.run(&place, index, false) {
                Run::At(from, most) => self.read_window(from, most, &mut window),
                // It ends where a page is not.
                Run::Hole(_) => return Ok(()),
                Run::Unreadable(_) => None,
            };
            for n in 0..count.ok_or(at(TableFault::NotThere))? {
                let at = |why| ((index as u32).wrapping_add(n as u32), why);
                let Some((entry, good)) = CollectionEntry::decode(entry_of(&window, n)) else {
                    return Ok(());
                };
                if !good {
                    return Err(at(TableFault::Reserved));
                }
                let target = u32::try_from(entry.target).ok().and_then(VcpuId::new);
                let target = target.filter(|id| self.vcpu(*id).is_some());
                let target = target.ok_or(at(TableFault::Vcpu))?;
                let place = (read.targets.get_mut(usize::from(entry.icid)))
                    .ok_or(at(TableFault::Collection))?;
                if place.replace(target).is_some() {
                    return Err(at(TableFault::CollectionTwice));
                }
            }
            index = index.wrapping_add(count.unwrap_or(1) as u64);
        }
        Ok(())
    }

    fn read_devices(
        &self,
        prepared: &mut Prepared,
        its: &Its,
        baser: u64,
        read: &mut Read,
    ) -> Result<(), (TableName, u32, TableFault)> {
        let Some(place) = Place::new(baser) else {
            return Ok(());
        };
        let end = place.ids().min(1_u64.wrapping_shl(its.device_bits));
        let mut id = 0_u64;
        let mut window = [0; WINDOW];
        while id < end {
            let at = |id: u64, why| (TableName::Devices, id as u32, why);
            prepared.read().map_err(|why| at(id, why))?;
            let (count, skipped) = match self.run(&place, id, true) {
                Run::At(from, most) => {
                    let count = self.read_window(from, most.min(end.wrapping_sub(id)), &mut window);
                    (count.ok_or(at(id, TableFault::NotThere))?, 0)
                }
                Run::Hole(skipped) => (0, skipped),
                Run::Unreadable(_) => return Err(at(id, TableFault::NotThere)),
            };
            let stop = id.wrapping_add(count as u64);
            let first = id;
            id = stop.wrapping_add(skipped);
            let mut this = first;
            while this < stop {
                let n = this.wrapping_sub(first) as usize;
                let Some(entry) = DeviceEntry::decode(entry_of(&window, n)) else {
                    this = this.wrapping_add(1);
                    continue;
                };
                if entry.event_bits > its.event_bits {
                    return Err(at(this, TableFault::EventBits));
                }
                if prepared.devices >= self.lpis.devices_left.left() {
                    return Err(at(this, TableFault::Limit));
                }
                prepared.devices = prepared.devices.wrapping_add(1);
                let mut device = Device::new(entry.event_bits, entry.itt, entry.event_bits);
                device.written = Written::Mapped;
                self.read_events(prepared, &mut device)
                    .map_err(|(event, why)| (TableName::Events(this as u32), event, why))?;
                (read.devices.insert(this as u32, device))
                    .map_err(|_| at(this, TableFault::NoMemory))?;
                let next = this.wrapping_add(entry.next.into());
                if entry.next == 0 {
                    return Ok(());
                }
                if next >= end {
                    return Err(at(this, TableFault::Next));
                }
                this = next;
                id = id.max(next);
            }
        }
        Ok(())
    }

    fn read_events(
        &self,
        prepared: &mut Prepared,
        device: &mut Device,
    ) -> Result<(), (u32, TableFault)> {
        let end = 1_u64.wrapping_shl(device.event_bits);
        let mut event = 0_u64;
        let mut window = [0; WINDOW];
        while event < end {
            let at = |event: u64, why| (event as u32, why);
            prepared.read().map_err(|why| at(event, why))?;
            let from = device.event_at(event);
            let count = self.read_window(from, end.wrapping_sub(event), &mut window);
            let count = count.ok_or(at(event, TableFault::NotThere))?;
            let first = event;
            let stop = first.wrapping_add(count as u64);
            event = stop;
            let mut this = first;
            while this < stop {
                let n = this.wrapping_sub(first) as usize;
                let Some(entry) = EventEntry::decode(entry_of(&window, n)) else {
                    this = this.wrapping_add(1);
                    continue;
                };
                let mapped = self
                    .read_event(prepared, entry)
                    .map_err(|why| at(this, why))?;
                (device.events.insert(this as u32, mapped))
                    .map_err(|_| at(this, TableFault::NoMemory))?;
                if entry.next == 0 {
                    return Ok(());
                }
                let next = this.wrapping_add(entry.next.into());
                if next >= end {
                    return Err(at(this, TableFault::Next));
                }
                this = next;
                event = event.max(next);
            }
        }
        Ok(())
    }

    fn read_event(&self, prepared: &mut Prepared, entry: EventEntry) -> Result<Mapped, TableFault> {
        let intid = self.lpis.exists(entry.intid).ok_or(TableFault::Lpi)?;
        if usize::from(entry.icid) >= COLLECTIONS {
            return Err(TableFault::Collection);
        }
        if prepared.events >= self.lpis.events_left.left() {
            return Err(TableFault::Limit);
        }
        if !prepared.map(intid) {
            return Err(TableFault::LpiTwice);
        }
        self.prepare_page(prepared, intid, true)?;
        prepared.events = prepared.events.wrapping_add(1);
        Ok(Mapped {
            intid,
            icid: entry.icid as u8,
        })
    }

    /// What has been read is what the domain's ITSes have, with the registers that it was read for. Process context; no vCPU runs, and
    /// nothing is mapped. The host is told of devices and events as it is by commands; what it refuses is not there.
    pub fn adopt_tables(&self, prepared: Prepared) {
        let Prepared { itses, pages, .. } = prepared;
        self.lpis.adopt(pages);
        for (its, read) in self.its.iter().zip(itses) {
            if let Some(read) = read {
                self.adopt_one(its, read);
            }
        }
    }

    fn adopt_one(&self, its: &Its, read: Read) {
        let Read {
            registers,
            devices,
            targets,
        } = read;
        its.cbaser.store(registers.cbaser, Ordering::Relaxed);
        its.cwriter.store(registers.cwriter, Ordering::Relaxed);
        its.creadr.store(registers.creadr, Ordering::Relaxed);
        let mut void = 0;
        for ((n, baser), value) in (0..).zip(&its.basers).zip(registers.basers) {
            baser.store(value, Ordering::Relaxed);
            if value & VALID != 0 {
                void |= todo::fill(n);
            }
        }
        // What is enabled has been read; else it is when the guest enables it.
        its.todo
            .store(if registers.enabled { 0 } else { void }, Ordering::Release);
        {
            let mut tables = its.tables.lock();
            for (icid, target) in (0..).zip(targets) {
                tables.set_target(icid, target);
            }
            tables.devices = devices;
            tables.start();
        }
        let mut from = Some(0);
        while let Some(device) = from.and_then(|from| its.device_from(from)) {
            from = device.checked_add(1);
            self.adopt_device(its, device, &targets);
        }
        its.enabled
            .store(registers.enabled.into(), Ordering::Release);
    }

    /// The host is told of a device, and its LPIs of their event.
    fn adopt_device(&self, its: &Its, device: u32, targets: &[Option<VcpuId>; COLLECTIONS]) {
        let bits = {
            let mut tables = its.tables.lock();
            (tables.devices.get_mut(device)).map(|found| {
                let bits = super::execute::host_bits(found.event_bits, its.event_bits);
                found.host_bits = Some(bits as u8);
                bits
            })
        };
        let backing = self.host.map_device(its.index, device, bits);
        let refused = backing == Backing::Refused;
        // Prepared for; it is given back if the host refuses.
        let _ = self.lpis.devices_left.take();
        if let Some(found) = its.tables.lock().devices.get_mut(device) {
            found.backing = backing;
        }
        let mut from = Some(0);
        while let Some((event, mapped)) = from.and_then(|from| its.event_from(device, from)) {
            from = event.checked_add(1);
            let refused = refused
                || backing == Backing::Hardware
                    && !self.host.map_event(its.index, device, event, mapped.intid);
            let mut tables = its.tables.lock();
            if refused {
                if let Some(found) = tables.devices.get_mut(device) {
                    found.events.remove(event);
                }
                continue;
            }
            tables.link(&self.lpis, mapped);
            drop(tables);
            let _ = self.lpis.events_left.take();
            if let Some(lpi) = self.lpis.get(mapped.intid) {
                let target = targets.get(usize::from(mapped.icid)).copied().flatten();
                let _ = self.claim_lpi(its.index, (device, event), lpi);
                self.map_lpi_again(mapped.intid, lpi, target);
                self.reload(mapped.intid);
            }
        }
        if refused {
            let unmapped = its.tables.lock().devices.remove(device);
            drop(unmapped);
            self.lpis.devices_left.give_back();
        }
    }
}
