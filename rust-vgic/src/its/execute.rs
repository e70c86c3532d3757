// SPDX-License-Identifier: GPL-2.0-only
//! What each command does (IHI 0069, section 5.3).
//!
//! A command with something wrong about it is ignored. One that concerns many LPIs spends the budget of the trap, and says
//! [`Progress::Again`] when that is gone; it is then executed once more, from the ITS's cursor or with what is left.

use super::Its;
use super::command::{Command, Reason};
use super::queue::Budget;
use super::tables::{Device, Mapped, Tables};
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::irq::{Event, NIL};
use crate::lpi::{Lpi, Lpis};
use crate::progress::Progress;
use crate::radix::Radix;
use crate::sync::Ordering;

type Executed = Result<Progress, Reason>;

impl<H: Host> Domain<H> {
    /// Executes a command. Only for the vCPU that works for the ITS.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn execute(&self, its: &Its, command: Command, budget: &mut Budget) -> Executed {
        match command {
            Command::Mapd {
                device,
                event_bits,
                itt,
                valid,
            } => self.mapd(its, device, valid.then_some((event_bits, itt)), budget),
            Command::Mapc {
                icid,
                target,
                valid,
            } => self.mapc(its, icid, valid.then_some(target), budget),
            Command::Mapti {
                device,
                event,
                intid,
                icid,
            } => self.mapti(its, (device, event), intid, icid),
            Command::Movi {
                device,
                event,
                icid,
            } => self.movi(its, (device, event), icid),
            Command::Movall { from, to } => self.movall(its, from, to, budget),
            Command::Discard { device, event } => {
                self.in_range(its, device)?;
                let mapped = its.tables.lock().mapped(device, event)?;
                self.discard(its, (device, event), mapped);
                Ok(Progress::Done)
            }
            Command::Int { device, event } => {
                let (intid, lpi) = self.lpi_of(its, device, event)?;
                self.send_lpi(intid, lpi);
                Ok(Progress::Done)
            }
            Command::Clear { device, event } => {
                let (intid, lpi) = self.lpi_of(its, device, event)?;
                self.post_to(intid, &lpi.irq, Event::ClearPending);
                Ok(Progress::Done)
            }
            Command::Inv { device, event } => {
                let (intid, _) = self.lpi_of(its, device, event)?;
                self.reload(intid);
                Ok(Progress::Done)
            }
            Command::Invall { icid } => self.invall(its, icid, budget),
            // Everything has taken effect when its command is done.
            Command::Sync => Ok(Progress::Done),
        }
    }

    /// The LPI of an event.
    fn lpi_of(&self, its: &Its, device: u32, event: u32) -> Result<(IntId, &Lpi), Reason> {
        self.in_range(its, device)?;
        let intid = its.tables.lock().mapped(device, event)?.intid;
        let lpi = self.lpis.get(intid).ok_or(Reason::UnmappedInterrupt)?;
        Ok((intid, lpi))
    }

    /// A redistributor by its GICR_TYPER.Processor_Number.
    fn processor(&self, number: u64) -> Result<VcpuId, Reason> {
        let id = u32::try_from(number).ok().and_then(VcpuId::new);
        id.filter(|id| self.vcpu(*id).is_some())
            .ok_or(Reason::SizeOrTarget)
    }

    /// # Errors
    /// The DeviceID is beyond GITS_TYPER.Devbits or the guest's table.
    fn in_range(&self, its: &Its, device: u32) -> Result<(), Reason> {
        let fits =
            u64::from(device) >> its.device_bits == 0 && self.table_has(its, 0, device.into());
        fits.then_some(()).ok_or(Reason::DeviceRange)
    }

    // ---------------------------------------------------------------- devices and events

    fn mapd(
        &self,
        its: &Its,
        device: u32,
        table: Option<(u32, u64)>,
        budget: &mut Budget,
    ) -> Executed {
        self.in_range(its, device)?;
        if table.is_some_and(|(event_bits, _)| event_bits > its.event_bits) {
            return Err(Reason::SizeOrTarget);
        }
        if self.unmap_device(its, device, budget) == Progress::Again {
            return Ok(Progress::Again);
        }
        let Some((event_bits, itt)) = table else {
            return Ok(Progress::Done);
        };
        if !self.lpis.devices_left.take() {
            return Err(Reason::Refused);
        }
        let made = Device {
            event_bits,
            itt,
            events: Radix::new(event_bits),
        };
        let inserted = its.tables.lock().devices.insert(device, made).is_ok();
        // The host may take its time; nobody waits for the tables meanwhile.
        if inserted && self.host.map_device(its.index, device, Some(event_bits)) {
            return Ok(Progress::Done);
        }
        let unmapped = its.tables.lock().devices.remove(device);
        drop(unmapped);
        self.lpis.devices_left.give_back();
        Err(Reason::Refused)
    }

    /// Takes a device away, with all its events.
    fn unmap_device(&self, its: &Its, device: u32, budget: &mut Budget) -> Progress {
        loop {
            let first = match its.tables.lock().devices.get(device) {
                None => return Progress::Done,
                Some(found) => found.events.next(0).map(|(event, mapped)| (event, *mapped)),
            };
            let Some((event, mapped)) = first else {
                break;
            };
            if !budget.step() {
                return Progress::Again;
            }
            self.discard(its, (device, event), mapped);
        }
        // Out of the lock before it is freed.
        let unmapped = its.tables.lock().devices.remove(device);
        if unmapped.is_some() {
            self.host.map_device(its.index, device, None);
            self.lpis.devices_left.give_back();
        }
        Progress::Done
    }

    /// The guest has taken the tables away: nothing is mapped any more.
    pub(super) fn unmap_all(&self, its: &Its, budget: &mut Budget) -> Progress {
        loop {
            let first = its.tables.lock().devices.next(0).map(|(device, _)| device);
            let Some(device) = first else {
                its.tables.lock().unmap_collections();
                its.cursor.store(0, Ordering::Relaxed);
                return Progress::Done;
            };
            if !budget.step() || self.unmap_device(its, device, budget) == Progress::Again {
                return Progress::Again;
            }
        }
    }

    fn mapti(&self, its: &Its, at: (u32, u32), intid: u32, icid: u16) -> Executed {
        let (device, event) = at;
        self.in_range(its, device)?;
        let intid = self.lpis.number(intid);
        let (collection, old) = {
            let tables = its.tables.lock();
            let found = tables.devices.get(device).ok_or(Reason::UnmappedDevice)?;
            found.check(event)?;
            let collection = self.collection(its, &tables, icid)?;
            (collection, found.events.get(event).copied())
        };
        let intid = intid.ok_or(Reason::LpiRange)?;
        let new = Mapped {
            intid,
            icid: icid as u8,
        };
        match old {
            Some(old) if old.intid == intid => {
                self.relink(its, at, old, new.icid);
                self.route_lpi(intid, collection);
                return Ok(Progress::Done);
            }
            Some(old) => self.discard(its, at, old),
            None => {}
        }
        if self.vacate(its, intid) == Progress::Again {
            return Ok(Progress::Again);
        }
        if !self.lpis.events_left.take() {
            return Err(Reason::Refused);
        }
        let mapped = self.add(its, at, new, collection);
        if mapped.is_err() {
            self.lpis.events_left.give_back();
        }
        mapped.map(|()| Progress::Done)
    }

    /// Unmaps the event that has this LPI. The architecture leaves open what two events of one LPI do; here the last mapping
    /// stands, so that a kernel has the LPIs it wants if one before it (kexec) has left devices behind that are mapped.
    fn vacate(&self, its: &Its, intid: IntId) -> Progress {
        let mapped_by = || self.lpis.get(intid).and_then(Lpi::mapped_by);
        let Some((index, at)) = mapped_by() else {
            return Progress::Done;
        };
        if index == its.index {
            self.discard_at(its, at);
            return Progress::Done;
        }
        let Some(other) = self.its.get(usize::from(index)) else {
            return Progress::Done;
        };
        if !other.begin() {
            return Progress::Again;
        }
        if mapped_by() == Some((index, at)) {
            // A walk in the middle of its collection begins anew.
            other.cursor.store(0, Ordering::Relaxed);
            self.discard_at(other, at);
        }
        other.end();
        Progress::Done
    }

    /// Unmaps an event if it is mapped.
    fn discard_at(&self, its: &Its, at: (u32, u32)) {
        let mapped = its.tables.lock().mapped(at.0, at.1);
        if let Ok(mapped) = mapped {
            self.discard(its, at, mapped);
        }
    }

    /// Maps an event that is not mapped.
    fn add(
        &self,
        its: &Its,
        at: (u32, u32),
        new: Mapped,
        target: Option<VcpuId>,
    ) -> Result<(), Reason> {
        let lpi = self
            .map_lpi(its.index, at, new.intid, target)
            .map_err(|_| Reason::Refused)?;
        let inserted = {
            let mut tables = its.tables.lock();
            let events = tables
                .devices
                .get_mut(at.0)
                .map(|device| &mut device.events);
            let inserted = events.is_some_and(|events| events.insert(at.1, new).is_ok());
            if inserted {
                tables.link(&self.lpis, new);
            }
            inserted
        };
        if inserted && self.host.map_event(its.index, at.0, at.1, new.intid) {
            self.route_host(lpi, target);
            return Ok(());
        }
        if inserted {
            self.forget(its, at, new);
        }
        self.unmap_lpi(new.intid, lpi);
        Err(Reason::Refused)
    }

    /// Takes an event out of the tables.
    fn forget(&self, its: &Its, at: (u32, u32), mapped: Mapped) {
        let mut tables = its.tables.lock();
        tables.unlink(&self.lpis, mapped);
        if let Some(device) = tables.devices.get_mut(at.0) {
            device.events.remove(at.1);
        }
    }

    /// Unmaps an event, and with it its LPI.
    fn discard(&self, its: &Its, at: (u32, u32), mapped: Mapped) {
        self.host.unmap_event(its.index, at.0, at.1);
        self.forget(its, at, mapped);
        if let Some(lpi) = self.lpis.get(mapped.intid) {
            self.unmap_lpi(mapped.intid, lpi);
        }
        self.lpis.events_left.give_back();
    }

    // ---------------------------------------------------------------- collections

    /// Where a collection goes.
    ///
    /// # Errors
    /// It is beyond the guest's table, or beyond what there can be.
    fn collection(&self, its: &Its, tables: &Tables, icid: u16) -> Result<Option<VcpuId>, Reason> {
        let target = tables.collection(icid)?.target;
        let fits = self.table_has(its, 1, icid.into());
        fits.then_some(target).ok_or(Reason::CollectionRange)
    }

    /// An event goes to another collection.
    fn relink(&self, its: &Its, at: (u32, u32), old: Mapped, icid: u8) {
        let new = Mapped { icid, ..old };
        let mut tables = its.tables.lock();
        tables.unlink(&self.lpis, old);
        tables.link(&self.lpis, new);
        let device = tables.devices.get_mut(at.0);
        if let Some(mapped) = device.and_then(|device| device.events.get_mut(at.1)) {
            *mapped = new;
        }
    }

    /// An LPI goes to another redistributor, and takes with it what is pending.
    fn route_lpi(&self, intid: IntId, target: Option<VcpuId>) {
        if let Some(lpi) = self.lpis.get(intid) {
            self.post_to(intid, &lpi.irq, Event::Route(target));
            self.route_host(lpi, target);
        }
    }

    fn movi(&self, its: &Its, at: (u32, u32), icid: u16) -> Executed {
        self.in_range(its, at.0)?;
        let (old, target) = {
            let tables = its.tables.lock();
            let old = tables.mapped(at.0, at.1)?;
            (old, self.collection(its, &tables, icid)?)
        };
        let target = target.ok_or(Reason::UnmappedCollection)?;
        self.relink(its, at, old, icid as u8);
        self.route_lpi(old.intid, Some(target));
        Ok(Progress::Done)
    }

    fn mapc(&self, its: &Its, icid: u16, target: Option<u64>, budget: &mut Budget) -> Executed {
        let fits = self.table_has(its, 1, icid.into());
        its.tables.lock().collection(icid)?;
        if !fits {
            return Err(Reason::CollectionRange);
        }
        let target = target.map(|number| self.processor(number)).transpose()?;
        its.tables.lock().set_target(icid, target);
        let mut walk = self.walk(its, icid, budget)?;
        for intid in &mut walk {
            self.route_lpi(intid, target);
        }
        Ok(walk.end(its))
    }

    fn invall(&self, its: &Its, icid: u16, budget: &mut Budget) -> Executed {
        {
            let tables = its.tables.lock();
            let target = self.collection(its, &tables, icid)?;
            target.ok_or(Reason::UnmappedCollection)?;
        }
        let mut walk = self.walk(its, icid, budget)?;
        self.reload_all(&mut walk);
        Ok(walk.end(its))
    }

    /// The LPIs of a collection, from where this command has got to.
    fn walk<'a>(
        &'a self,
        its: &Its,
        icid: u16,
        budget: &'a mut Budget,
    ) -> Result<Walk<'a>, Reason> {
        let next = match u16::try_from(its.cursor.load(Ordering::Relaxed)) {
            Ok(0) | Err(_) => its.tables.lock().collection(icid)?.head,
            Ok(next) => next,
        };
        Ok(Walk {
            lpis: &self.lpis,
            next,
            budget,
        })
    }

    fn movall(&self, its: &Its, from: u64, to: u64, budget: &mut Budget) -> Executed {
        let (from, to) = (self.processor(from)?, self.processor(to)?);
        let begun = its.cursor.load(Ordering::Relaxed);
        for (intid, lpi) in self.lpis.all(begun) {
            if !budget.step() {
                its.cursor.store(intid.raw(), Ordering::Relaxed);
                return Ok(Progress::Again);
            }
            if lpi.irq.state().target() == Some(from) {
                self.route_lpi(intid, Some(to));
            }
        }
        Ok(Progress::Done)
    }
}

/// The LPIs of a collection, as far as the budget goes. Nobody changes the list meanwhile: only who works for the ITS would.
struct Walk<'a> {
    lpis: &'a Lpis,
    next: u16,
    budget: &'a mut Budget,
}

impl Iterator for Walk<'_> {
    type Item = IntId;

    fn next(&mut self) -> Option<IntId> {
        let intid = IntId::new(self.next.into())?;
        let lpi = self.lpis.get(intid).filter(|_| self.budget.step())?;
        self.next = lpi.next.load(Ordering::Relaxed);
        Some(intid)
    }
}

impl Walk<'_> {
    /// Whether all were seen; if not, where the command goes on.
    fn end(self, its: &Its) -> Progress {
        if self.next == NIL {
            return Progress::Done;
        }
        its.cursor.store(self.next.into(), Ordering::Relaxed);
        Progress::Again
    }
}
