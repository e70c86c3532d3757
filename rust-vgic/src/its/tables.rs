// SPDX-License-Identifier: GPL-2.0-only
//! What is mapped: devices with their events, and collections with their LPIs.

use super::command::{Entry, Reason};
use super::layout::ENTRY;
use crate::config::ItsConfig;
use crate::host::Backing;
use crate::intid::{IntId, VcpuId};
use crate::irq::NIL;
use crate::lpi::Lpis;
use crate::radix::Radix;
use crate::sync::Ordering;

/// Collections there are: twice as many as vCPUs. An ICID has eight bits (GITS_TYPER.CIDbits).
pub(super) const COLLECTIONS: usize = 256;
pub(super) const COLLECTION_BITS: u64 = 8;

/// What an event is mapped to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mapped {
    pub(super) intid: IntId,
    pub(super) icid: u8,
}

/// A device that MAPD has mapped.
#[cfg_attr(not(target_os = "none"), derive(Debug))]
pub(super) struct Device {
    pub(super) event_bits: u32,
    /// Software: the host is not told of its events, and `host_bits` means nothing.
    pub(super) backing: Backing,
    /// For how many the host has mapped it, 2 to the power of this; `None`: it has lost it.
    pub(super) host_bits: Option<u8>,
    pub(super) anew: Anew,
    pub(super) written: Written,
    /// The guest's own table, where its events are written and read.
    pub(super) itt: u64,
    pub(super) events: Radix<Mapped>,
}

/// What a device's entry in memory and its ITT may have in them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Written {
    /// Nothing of ours.
    Nothing,
    /// What has been mapped: what is unmapped is cleared there.
    Mapped,
    /// And events that are not mapped: all of the ITT is written the next time.
    More,
}

impl Written {
    /// Something of ours is there.
    pub(super) fn is_any(self) -> bool {
        self != Self::Nothing
    }
}

/// How far MAPD of a device that is mapped has got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Anew {
    /// Not begun.
    No,
    /// Its events are being unmapped.
    Unmaps,
    /// The same, and the host has none of them any more.
    UnmapsHere,
    /// The host has refused, and is told again of each event, from this one on.
    Stays(u32),
}

/// How far tables have been written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Saved {
    /// Events, from this one of this device on.
    Events(u32, u32),
    /// Devices, from this one on.
    Devices(u32),
    /// Collections are what is left.
    Collections,
}

/// How far tables have been read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Filled {
    /// Collections are the first.
    Collections,
    /// Then the LPIs of this collection and of those after it, from this LPI on, are sent where that goes now.
    Routes(u16, u16),
    /// Then devices, from this one on.
    Devices(u64),
    /// The events of this device, from this one on; then devices from the last number on.
    Events(u32, u64, u64),
}

impl Saved {
    pub(super) const START: Self = Self::Events(0, 0);
}

impl Filled {
    pub(super) const START: Self = Self::Collections;
}

/// Why something is mapped no longer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// A command says so.
    Command,
    /// The guest has taken the table away that has it.
    Table,
    /// The ITS is reset: as by a command, but guest memory is left alone.
    Reset,
}

/// A collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Collection {
    pub(super) target: Option<VcpuId>,
    /// The first of its LPIs; they are linked through [`Lpi`](crate::lpi::Lpi).
    pub(super) head: u16,
}

/// The tables of an ITS. Process context, interrupts on, and only for as long as a look-up takes.
pub(super) struct Tables {
    pub(super) devices: Radix<Device>,
    /// The command that has been begun and is not done, as it was read.
    pub(super) begun: Option<Entry>,
    /// How far they have been written to memory, and read from there.
    pub(super) saved: Saved,
    pub(super) filled: Filled,
    pub(super) collections: [Collection; COLLECTIONS],
}

impl Device {
    /// For so many events, which the host has mapped for `host_bits`.
    pub(super) const fn new(event_bits: u32, itt: u64, host_bits: u32) -> Self {
        Self {
            event_bits,
            // Until the host has said.
            backing: Backing::Refused,
            host_bits: Some(host_bits as u8),
            anew: Anew::No,
            written: Written::Nothing,
            itt,
            events: Radix::new(event_bits),
        }
    }

    /// Where the entry of an event is.
    pub(super) const fn event_at(&self, event: u64) -> u64 {
        self.itt.wrapping_add(event.wrapping_mul(ENTRY))
    }

    /// # Errors
    /// The EventID is beyond the device's table.
    pub(super) fn check(&self, event: u32) -> Result<(), Reason> {
        if u64::from(event) >> self.event_bits != 0 {
            return Err(Reason::EventRange);
        }
        Ok(())
    }
}

impl Tables {
    pub(super) fn new(config: ItsConfig) -> Self {
        let empty = Collection {
            target: None,
            head: NIL,
        };
        Self {
            devices: Radix::new(config.device_bits),
            begun: None,
            saved: Saved::START,
            filled: Filled::START,
            collections: [empty; COLLECTIONS],
        }
    }

    /// They are written, and read, from the first entry on.
    pub(super) fn start(&mut self) {
        (self.saved, self.filled) = (Saved::START, Filled::START);
    }

    /// A list has lost an LPI: who goes through them begins anew.
    pub(super) fn route_anew(&mut self) {
        if let Filled::Routes(..) = self.filled {
            self.filled = Filled::Routes(0, NIL);
        }
    }

    /// # Errors
    /// The ICID is beyond what there can be.
    pub(super) fn collection(&self, icid: u16) -> Result<Collection, Reason> {
        let collection = self.collections.get(usize::from(icid));
        collection.copied().ok_or(Reason::CollectionRange)
    }

    pub(super) fn set_target(&mut self, icid: u16, target: Option<VcpuId>) {
        if let Some(collection) = self.collections.get_mut(usize::from(icid)) {
            collection.target = target;
        }
    }

    /// No collection goes anywhere.
    pub(super) fn unmap_collections(&mut self) {
        for collection in &mut self.collections {
            collection.target = None;
        }
    }

    /// What an event of a device is mapped to.
    ///
    /// # Errors
    /// There is no such device or event, or nothing is mapped to it.
    pub(super) fn mapped(&self, device: u32, event: u32) -> Result<Mapped, Reason> {
        let device = self.devices.get(device).ok_or(Reason::UnmappedDevice)?;
        device.check(event)?;
        let mapped = device.events.get(event).copied();
        mapped.ok_or(Reason::UnmappedInterrupt)
    }

    /// Puts an LPI first into the list of a collection.
    pub(super) fn link(&mut self, lpis: &Lpis, mapped: Mapped) {
        let (Some(lpi), Some(collection)) = (
            lpis.get(mapped.intid),
            self.collections.get_mut(usize::from(mapped.icid)),
        ) else {
            return;
        };
        lpi.prev.store(NIL, Ordering::Relaxed);
        lpi.next.store(collection.head, Ordering::Relaxed);
        if let Some(next) = lpis.node(collection.head) {
            next.prev.store(mapped.intid.raw16(), Ordering::Relaxed);
        }
        collection.head = mapped.intid.raw16();
    }

    /// Takes an LPI out of the list of its collection.
    pub(super) fn unlink(&mut self, lpis: &Lpis, mapped: Mapped) {
        let (Some(lpi), Some(collection)) = (
            lpis.get(mapped.intid),
            self.collections.get_mut(usize::from(mapped.icid)),
        ) else {
            return;
        };
        let (prev, next) = (
            lpi.prev.load(Ordering::Relaxed),
            lpi.next.load(Ordering::Relaxed),
        );
        match lpis.node(prev) {
            Some(before) => before.next.store(next, Ordering::Relaxed),
            None => collection.head = next,
        }
        if let Some(after) = lpis.node(next) {
            after.prev.store(prev, Ordering::Relaxed);
        }
    }
}
