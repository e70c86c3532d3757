// SPDX-License-Identifier: GPL-2.0-only
//! What each command does (IHI 0069, section 5.3).
//!
//! A command with something wrong about it is ignored, also one that is refused: it changes nothing. One that concerns many LPIs spends the budget of the trap, and says
//! [`Progress::Again`] when that is gone; it is then executed once more, from the ITS's cursor or with what is left.

use super::Its;
use super::command::{Command, Reason};
use super::queue::Budget;
use super::tables::{Anew, Device, Gone, Mapped};
use crate::domain::Domain;
use crate::host::{Backing, Host};
use crate::intid::{IntId, VcpuId};
use crate::irq;
use crate::lpi::{Lpi, NoPage};
use crate::progress::Progress;
use crate::radix::Radix;
use crate::sync::Ordering;

/// The host is asked for at least so many events of a device, as a power of 2.
const HOST_BITS: u32 = 5;

/// For how many events the host is asked if a device of an ITS that has up to `most` bits of them is to have `bits`.
pub(super) fn host_bits(bits: u32, most: u32) -> u32 {
    bits.max(HOST_BITS).min(most)
}

/// An event of a device, and whose device it is.
type Event<'a> = (&'a Its, (u32, u32));

pub(super) type Executed = Result<Progress, Reason>;

/// What says that something is mapped, to an LPI whose messages go there.
#[derive(Clone, Copy)]
pub(super) enum Mapping {
    Command(Option<VcpuId>),
    Table(Option<VcpuId>),
}

impl<H: Host> Domain<H> {
    /// Executes a command. Only for the vCPU that works for the ITS.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn execute(&self, its: &Its, command: Command, budget: &mut Budget) -> Executed {
        if command.maps() {
            its.dirty();
        }
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
                self.discard(its, (device, event), mapped, Gone::Command);
                Ok(Progress::Done)
            }
            Command::Int { device, event } => {
                let (intid, lpi) = self.lpi_of(its, device, event)?;
                lpi.route().ok_or(Reason::UnmappedCollection)?;
                self.send_lpi(intid, lpi);
                Ok(Progress::Done)
            }
            Command::Clear { device, event } => {
                let (intid, lpi) = self.lpi_of(its, device, event)?;
                if its.has_at_host((device, event)) {
                    self.host.clear_event(its.index, device, event);
                }
                self.post_to(intid, &lpi.irq, irq::Event::ClearPending);
                Ok(Progress::Done)
            }
            Command::Inv { device, event } => {
                let (intid, _) = self.lpi_of(its, device, event)?;
                self.reload(intid);
                Ok(Progress::Done)
            }
            Command::Invall { icid } => self.invall(its, icid, budget),
            Command::Sync { target } => Ok(self.sync(its, target)),
        }
    }

    /// Words have changed when a command is done. So have list registers, if the vCPU is out of the guest, or has left it since:
    /// whoever changes what is in one has asked it to. Who names no redistributor waits for none.
    fn sync(&self, its: &Its, target: u64) -> Progress {
        let v = self.processor(target).ok().and_then(|id| self.slot(id));
        if v.is_none_or(|v| self.has_seen(v, &its.awaited)) {
            Progress::Done
        } else {
            Progress::Again
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
    pub(super) fn processor(&self, number: u64) -> Result<VcpuId, Reason> {
        let id = u32::try_from(number).ok().and_then(VcpuId::new);
        id.filter(|id| self.vcpu(*id).is_some())
            .ok_or(Reason::SizeOrTarget)
    }

    /// # Errors
    /// The DeviceID is beyond GITS_TYPER.Devbits or the guest's table.
    pub(super) fn in_range(&self, its: &Its, device: u32) -> Result<(), Reason> {
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
        let Some((event_bits, itt)) = table else {
            return Ok(self.unmap_device(its, device, budget, Gone::Command));
        };
        if event_bits > its.event_bits {
            return Err(Reason::SizeOrTarget);
        }
        // More than asked for costs the host nothing, and may spare it from being asked again.
        let host_bits = host_bits(event_bits, its.event_bits);
        let found = (its.tables.lock().devices.get(device))
            .map(|d| (d.host_bits.map(u32::from), d.backing));
        match found {
            None => self.map_new_device(its, device, Device::new(event_bits, itt, host_bits)),
            Some(had) => self.map_device_anew(its, device, (event_bits, itt), had, budget),
        }
    }

    pub(super) fn map_new_device(&self, its: &Its, device: u32, made: Device) -> Executed {
        if !self.lpis.devices_left.take() {
            return Err(Reason::TooManyDevices);
        }
        let host_bits = made.host_bits.map(u32::from);
        let inserted = its.tables.lock().devices.insert(device, made).is_ok();
        // The host may take its time; nobody waits for the tables meanwhile.
        let backing = if inserted {
            self.host.map_device(its.index, device, host_bits)
        } else {
            Backing::Refused
        };
        if backing != Backing::Refused {
            if let Some(made) = its.tables.lock().devices.get_mut(device) {
                made.backing = backing;
            }
            return Ok(Progress::Done);
        }
        let unmapped = its.tables.lock().devices.remove(device);
        drop(unmapped);
        self.lpis.devices_left.give_back();
        Err(Reason::Refused)
    }

    /// MAPD of a device that is mapped: its events are unmapped. The host is asked only if it has to give more than it has given, and
    /// before anything else: it has to take back what it has given then, so if it refuses it is told all again. What the device sends
    /// meanwhile is lost.
    fn map_device_anew(
        &self,
        its: &Its,
        device: u32,
        (event_bits, itt): (u32, u64),
        (had, backing): (Option<u32>, Backing),
        budget: &mut Budget,
    ) -> Executed {
        let set = |change: &mut dyn FnMut(&mut Device)| {
            its.tables.lock().devices.get_mut(device).map(change);
        };
        let anew = its.tables.lock().devices.get(device).map(|d| d.anew);
        let mut anew = anew.unwrap_or(Anew::No);
        let is_software = backing == Backing::Software;
        if anew == Anew::No {
            let host_bits = host_bits(event_bits, its.event_bits);
            let (mut has, mut backing) = (had, backing);
            let mut map = |bits| {
                let is = self.host.map_device(its.index, device, Some(bits));
                if is != Backing::Refused {
                    backing = is;
                }
                is != Backing::Refused
            };
            anew = Anew::Unmaps;
            if is_software {
                anew = Anew::UnmapsHere;
            } else if had.is_none_or(|had| event_bits > had) {
                if had.is_some() {
                    let _ = self.host.map_device(its.index, device, None);
                }
                if map(host_bits) {
                    (has, anew) = (Some(host_bits), Anew::UnmapsHere);
                } else {
                    (has, anew) = (had.filter(|had| map(*had)), Anew::Stays(0));
                }
            }
            let has = has.map(|bits| bits as u8);
            set(&mut |d| (d.host_bits, d.backing, d.anew) = (has, backing, anew));
        }
        if let Anew::Stays(next) = anew {
            if self.tell_again(its, device, next, budget) == Progress::Again {
                return Ok(Progress::Again);
            }
            set(&mut |d| d.anew = Anew::No);
            return Err(Reason::Refused);
        }
        if self.unmap_events(its, device, budget, Gone::Command) == Progress::Again {
            return Ok(Progress::Again);
        }
        set(&mut |d| {
            // Its table is empty, and so has nothing to be freed.
            (d.event_bits, d.itt, d.anew) = (event_bits, itt, Anew::No);
            d.events = Radix::new(event_bits);
        });
        Ok(Progress::Done)
    }

    /// The host is told of the events of a device, from `next` on, as if they were new.
    fn tell_again(&self, its: &Its, device: u32, mut next: u32, budget: &mut Budget) -> Progress {
        loop {
            let found = {
                let tables = its.tables.lock();
                let events = tables.devices.get(device).map(|d| &d.events);
                events.and_then(|events| events.next(next).map(|(event, at)| (event, *at)))
            };
            let Some((event, mapped)) = found.filter(|_| its.is_hardware(device)) else {
                return Progress::Done;
            };
            if !budget.step() {
                if let Some(found) = its.tables.lock().devices.get_mut(device) {
                    found.anew = Anew::Stays(event);
                }
                return Progress::Again;
            }
            let _ = self.host.map_event(its.index, device, event, mapped.intid);
            let Some(after) = event.checked_add(1) else {
                return Progress::Done;
            };
            next = after;
        }
    }

    /// Unmaps all events of a device.
    fn unmap_events(&self, its: &Its, device: u32, budget: &mut Budget, how: Gone) -> Progress {
        loop {
            let Some((event, mapped)) = its.event_from(device, 0) else {
                return Progress::Done;
            };
            if !budget.step() {
                return Progress::Again;
            }
            self.discard(its, (device, event), mapped, how);
        }
    }

    /// Takes a device away, with all its events.
    fn unmap_device(&self, its: &Its, device: u32, budget: &mut Budget, how: Gone) -> Progress {
        if self.unmap_events(its, device, budget, how) == Progress::Again {
            return Progress::Again;
        }
        // Out of the lock before it is freed.
        let unmapped = its.tables.lock().devices.remove(device);
        if let Some(unmapped) = unmapped {
            if unmapped.written.is_any() && how == Gone::Command {
                self.clear_device(its, device);
            }
            if unmapped.host_bits.is_some() && unmapped.backing == Backing::Hardware {
                let _ = self.host.map_device(its.index, device, None);
            }
            self.lpis.devices_left.give_back();
        }
        Progress::Done
    }

    /// No device is mapped any more, nor are their events.
    pub(super) fn unmap_devices(&self, its: &Its, budget: &mut Budget, how: Gone) -> Progress {
        while let Some(device) = its.device_from(0) {
            if !budget.step() || self.unmap_device(its, device, budget, how) == Progress::Again {
                return Progress::Again;
            }
        }
        its.cursor.store(0, Ordering::Relaxed);
        Progress::Done
    }

    /// What can be refused comes first: nothing of what was mapped is given up before it is sure that the new mapping will be.
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
        if let Some(old) = old.filter(|old| old.intid == intid) {
            self.relink(its, at, old, new.icid);
            if let Some(lpi) = self.lpis.get(intid) {
                self.route_lpi(intid, lpi, collection);
            }
            return Ok(Progress::Done);
        }
        let lpi = self.lpis.make(intid).map_err(|why| match why {
            NoPage::Limit => Reason::TooManyLpis,
            NoPage::Memory => Reason::Refused,
        })?;
        // The event that has the LPI will lose it. It stays so while nobody works for its ITS.
        let loser = lpi.mapped_by();
        let other = loser
            .and_then(|(index, _)| self.its.get(usize::from(index)))
            .filter(|other| other.index != its.index);
        if other.is_some_and(|other| !other.begin()) {
            return Ok(Progress::Again);
        }
        let done = if lpi.mapped_by() == loser {
            let loser = loser.map(|(_, at)| (other.unwrap_or(its), at));
            let how = Mapping::Command(collection);
            self.replace((its, at), lpi, (new, how), (old, loser))
        } else {
            Ok(Progress::Again)
        };
        if let Some(other) = other {
            other.end();
        }
        done
    }

    /// [`Domain::mapti`] once it is clear what goes for it: what the event was mapped to, and the event that has the LPI. The
    /// architecture leaves open what two events of one LPI do; here the last mapping stands, so that a kernel has the LPIs it wants if one
    /// before it (kexec) has left devices behind that are mapped. Nobody else works for the ITSes of the two.
    pub(super) fn replace(
        &self,
        (its, at): Event<'_>,
        lpi: &Lpi,
        (new, how): (Mapped, Mapping),
        (old, loser): (Option<Mapped>, Option<Event<'_>>),
    ) -> Executed {
        // One that goes gives its place to the new one.
        let counts = old.is_none() && loser.is_none();
        if counts && !self.lpis.events_left.take() {
            return Err(Reason::TooManyEvents);
        }
        let reserved = {
            let mut tables = its.tables.lock();
            let device = tables.devices.get_mut(at.0);
            device.is_some_and(|device| device.events.reserve(at.1).is_ok())
        };
        let claimed = loser.is_some() || self.claim_lpi(its.index, at, lpi);
        // What was sent to an event that was not mapped has gone nowhere, wherever it may wait.
        if reserved && claimed && old.is_none() && its.has_at_host(at) {
            self.host.clear_event(its.index, at.0, at.1);
        }
        // The host says last whether it can be. From here on the messages are those of the new LPI, and dropped until that is mapped.
        let mapped = reserved
            && claimed
            && (!its.is_hardware(at.0) || self.host.map_event(its.index, at.0, at.1, new.intid));
        if !mapped {
            if claimed && loser.is_none() {
                lpi.disown();
            }
            let mut tables = its.tables.lock();
            let device = tables.devices.get_mut(at.0);
            if let Some(device) = device.filter(|_| old.is_none()) {
                device.events.remove(at.1);
            }
            drop(tables);
            if counts {
                self.lpis.events_left.give_back();
            }
            // Claimed by another ITS just now: it is that one's to be unmapped then.
            return if claimed {
                Err(Reason::Refused)
            } else {
                Ok(Progress::Again)
            };
        }
        if let Some((owner, event)) = loser {
            // A walk in the middle of its collection begins anew.
            if owner.index != its.index {
                owner.cursor.store(0, Ordering::Relaxed);
                owner.tables.lock().route_anew();
                owner.dirty_by_other();
            }
            if owner.index == its.index || owner.is_enabled() {
                self.clear_event(owner, event);
            } else {
                owner.keep_event(event.0);
            }
            self.unmap_at_host(owner, event);
            let mapped = owner.tables.lock().mapped(event.0, event.1);
            if let Ok(mapped) = mapped {
                self.forget(owner, event, mapped);
            }
            self.hand_over_lpi(its.index, at, new.intid, lpi);
        }
        {
            let mut tables = its.tables.lock();
            if let Some(old) = old {
                tables.unlink(&self.lpis, old);
            }
            let device = tables.devices.get_mut(at.0);
            // There is room for it, whatever nodes the loser has given up.
            let inserted = device.is_some_and(|device| device.events.insert(at.1, new).is_ok());
            debug_assert!(inserted, "what is reserved stays");
            tables.link(&self.lpis, new);
        }
        if let Some((intid, old)) = old.and_then(|old| Some((old.intid, self.lpis.get(old.intid)?)))
        {
            self.unmap_lpi(intid, old);
        }
        if old.is_some() && loser.is_some() {
            self.lpis.events_left.give_back();
        }
        match how {
            Mapping::Command(target) => self.map_lpi(new.intid, lpi, target),
            Mapping::Table(target) => self.map_lpi_again(new.intid, lpi, target),
        }
        Ok(Progress::Done)
    }

    /// Takes an event out of the tables.
    fn forget(&self, its: &Its, at: (u32, u32), mapped: Mapped) {
        let mut tables = its.tables.lock();
        tables.unlink(&self.lpis, mapped);
        if let Some(device) = tables.devices.get_mut(at.0) {
            device.events.remove(at.1);
        }
    }

    /// Unmaps an event at the host, if that has it.
    fn unmap_at_host(&self, its: &Its, at: (u32, u32)) {
        if its.has_at_host(at) {
            self.host.unmap_event(its.index, at.0, at.1);
        }
    }

    /// Unmaps an event, and with it its LPI.
    fn discard(&self, its: &Its, at: (u32, u32), mapped: Mapped, how: Gone) {
        if how == Gone::Command {
            self.clear_event(its, at);
        }
        self.unmap_at_host(its, at);
        self.forget(its, at, mapped);
        if let Some(lpi) = self.lpis.get(mapped.intid) {
            match how {
                Gone::Command | Gone::Reset => self.unmap_lpi(mapped.intid, lpi),
                Gone::Table => self.leave_lpi(mapped.intid, lpi),
            }
        }
        self.lpis.events_left.give_back();
    }
}
