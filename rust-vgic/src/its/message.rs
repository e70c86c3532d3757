// SPDX-License-Identifier: GPL-2.0-only
//! Messages of device models, and of devices whose messages the host takes, as if a device had written its event to GITS_TRANSLATER (IHI 0069, section 5.2, and section 12.19,
//! GITS_TRANSLATER).

use super::tables::Tables;
use super::{Its, todo};
use crate::config::MessageError;
use crate::domain::Domain;
use crate::host::{Backing, Host};
use crate::intid::IntId;
use crate::sync::Ordering;
use core::ops::Deref;

impl<H: Host> Domain<H> {
    /// Device `device` sends its event `event` to ITS number `its`: the LPI that is mapped to it becomes pending where its
    /// collection goes, or stays so where it is.
    ///
    /// Process context, from any number of callers and beside any command: what has been sent before DISCARD, MAPTI or MAPD takes
    /// the event away is gone with it, and what MOVI, MAPC or MOVALL move is delivered once. Allocates nothing, and reads no
    /// guest memory. The lock of the ITS's tables is held for the look-up, which takes eight loads at most, and for a
    /// compare-exchange.
    ///
    /// `Ok` says that the LPI is, or was a moment ago, pending. A guest can have it disabled by its configuration table: then it
    /// is delivered once that is no longer so.
    ///
    /// # Errors
    /// What the guest has not mapped, what it takes no messages from now (a device's write is ignored then, IHI 0069, 12.19),
    /// and devices that are the host's. Then nothing has changed. [`MessageError::Again`]: it is not known yet, and nothing is lost if it
    /// is sent once more.
    pub fn message(&self, its: usize, device: u32, event: u32) -> Result<(), MessageError> {
        let its = self.its.get(its).ok_or(MessageError::NoDevice)?;
        self.message_with(its, its.tables.lock(), device, event)
    }

    /// The same of a device whose messages are taken by the host: any context, also hard interrupt context. This may have come in
    /// the middle of a command that has the tables, so it does not wait for them.
    ///
    /// # Errors
    /// As above, and [`MessageError::Again`] as well if somebody has the tables.
    pub fn message_now(&self, its: usize, device: u32, event: u32) -> Result<(), MessageError> {
        let its = self.its.get(its).ok_or(MessageError::NoDevice)?;
        let tables = its.tables.try_lock().ok_or(MessageError::Again)?;
        self.message_with(its, tables, device, event)
    }

    fn message_with(
        &self,
        its: &Its,
        tables: impl Deref<Target = Tables>,
        device: u32,
        event: u32,
    ) -> Result<(), MessageError> {
        // No number that is too wide finds one that is not.
        if u64::from(device) >> its.device_bits != 0 {
            return Err(MessageError::NoDevice);
        }
        // In the hold that who disables it waits for.
        if !its.is_enabled() {
            return Err(MessageError::Disabled);
        }
        // The guest has given it other tables: what is left of the old ones is about to be unmapped, and the new ones have not been
        // read to their end.
        let others = todo::VOIDS | todo::FILLS;
        if its.todo.load(Ordering::Acquire) & others != 0 {
            return Err(MessageError::Again);
        }
        let intid = Self::translate(&tables, device, event)?;
        let lpi = self.lpis.get(intid).ok_or(MessageError::NoEvent)?;
        self.message_lpi(intid, lpi, tables)
    }

    /// The LPI that is mapped to an event of a device that is no hardware's to the ITS.
    fn translate(tables: &Tables, device: u32, event: u32) -> Result<IntId, MessageError> {
        let found = tables.devices.get(device).ok_or(MessageError::NoDevice)?;
        match found.backing {
            Backing::Software => {}
            Backing::Hardware => return Err(MessageError::HasHardware),
            // MAPD is not done yet.
            Backing::Refused => return Err(MessageError::NoDevice),
        }
        let mapped = found
            .check(event)
            .ok()
            .and_then(|()| found.events.get(event));
        Ok(mapped.ok_or(MessageError::NoEvent)?.intid)
    }

    /// The vCPU that such a message goes to. Any context; none as well if it cannot be told without waiting.
    pub fn message_target(&self, its: usize, device: u32, event: u32) -> Option<H::Vcpu> {
        let tables = self.its.get(its)?.tables.try_lock()?;
        let intid = Self::translate(&tables, device, event).ok()?;
        self.lpi_target(intid)
    }

    /// Other limits on what the domain's ITSes may map.
    ///
    /// For whoever builds the domain, before its guest runs; serialised by the caller.
    ///
    /// # Errors
    /// [`Error::Busy`](crate::config::Error::Busy) once anything is mapped, [`Error::Invalid`](crate::config::Error::Invalid) if
    /// a limit is 0 or more than there can be, or the domain has no LPIs.
    pub fn set_limits(&self, limits: crate::Limits) -> Result<(), crate::Error> {
        self.lpis.set_limits(limits)
    }

    /// The limits on what the domain's ITSes may map.
    pub fn limits(&self) -> crate::Limits {
        self.lpis.limits()
    }
}
