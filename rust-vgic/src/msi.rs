// SPDX-License-Identifier: GPL-2.0-only
//! MSI and MSI-X of a PCI function that a guest owns (PCI Local Bus Specification 3.0, section 6.8; PCI Express Base Specification,
//! sections 7.7.1 and 7.7.2): what the guest writes there becomes bindings of the function's events.
//!
//! The guest's address and data never get to the function. That has a doorbell of the host's and an event of its own, which is the
//! number of the vector or of the entry of the table, and both stay the same whatever the guest writes; the host takes the message,
//! and sends the guest's data to the guest's doorbell as if the function had. So EventIDs are the guest's to choose, a message can go
//! nowhere but to its doorbell, and no command of its ITS concerns the host.
//!
//! Who calls this emulates the registers: it knows where they are, stores what the guest writes, and says when it counts. Serialised
//! by the caller, one function at a time; process context.
//!
//! What a function has sent is on its way: neither disabling nor binding anew takes it back. So the host's binding of an event stays
//! when the guest disables it, until it is bound to something else or the function is taken from the guest.

use crate::slice::try_boxed;
use alloc::boxed::Box;
use core::ops::Range;

/// Vectors of MSI.
const MAX_VECTORS: u32 = 32;
/// Entries of MSI-X.
const MAX_ENTRIES: u32 = 2048;
/// What MSI has of data; the upper half of the word that a function writes is 0.
const MSI_DATA: u32 = 0xffff;

/// A function, and the host that has it. Errors of the host are its own numbers.
pub trait Function {
    /// The host's ITS, or what it has, takes events 0 to `events` of the function. The address to write them to, as the function sees
    /// it.
    ///
    /// # Errors
    /// The host's. Nothing has happened then.
    fn map(&self, events: u32) -> Result<u64, i32>;
    /// It takes none any more, and what it has taken will arrive nowhere.
    fn unmap(&self);
    /// Event `event` is a message of the guest's with `data`, whatever it was before.
    ///
    /// # Errors
    /// The host's. It is what it was then.
    fn bind(&self, event: u32, data: u32) -> Result<(), i32>;
    /// It is none, and goes nowhere.
    fn unbind(&self, event: u32);
    /// Does what is written to this address by the function come to the guest's own doorbell?
    fn is_doorbell(&self, address: u64) -> bool;
    /// Writes address and data of the function's MSI capability.
    fn write_msi(&self, address: u64, data: u32);
    /// Writes a mask bit of that. False: it has none.
    fn mask_msi(&self, vector: u32, masked: bool) -> bool;
    /// Writes address and data of an entry of the MSI-X table, which is masked. All are to begin with.
    ///
    /// # Errors
    /// The host's: it cannot be reached.
    fn write_entry(&self, entry: u32, address: u64, data: u32) -> Result<(), i32>;
    /// Writes the mask bit of that.
    fn mask_entry(&self, entry: u32, masked: bool);
}

/// Why nothing is bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The address is no doorbell of the guest's.
    Foreign,
    /// There is no such vector or entry, or so many of them.
    Invalid,
    /// It is enabled, or the other kind is: "software must not enable both".
    Busy,
    /// It is not enabled.
    NotEnabled,
    /// No memory.
    NoMemory,
    /// What the host said.
    Host(i32),
}

/// An event of the function.
#[derive(Clone, Copy, Default, Debug)]
struct Event {
    /// The host sends it somewhere.
    bound: bool,
    /// The entry of this number is set up, and masked as the guest has it ...
    entry: bool,
    masked: bool,
    /// ... or since the function is to keep what it has to say, as an entry or as a vector.
    kept: bool,
}

/// A function that a guest has.
#[derive(Debug)]
pub struct Msi<F: Function> {
    function: F,
    /// Where the function writes to. None: where the guest says, and what it says, since both are the host's.
    doorbell: Option<u64>,
    events: Box<[Event]>,
    /// Of those, how many are set up entries.
    entries: u32,
    /// MSI is enabled with so many, and they are bound.
    vectors: u32,
    is_bound: bool,
    /// As the guest has them.
    masked: u32,
}

/// The guest has it no longer: nothing is bound, and what it has sent and has not arrived yet never will.
impl<F: Function> Drop for Msi<F> {
    fn drop(&mut self) {
        self.mask_vectors();
        for (entry, _) in (0..).zip(&self.events).filter(|(_, event)| event.entry) {
            self.function.mask_entry(entry, true);
        }
        if self.doorbell.is_some() {
            self.unbind_all();
            self.function.unmap();
        }
    }
}

impl<F: Function> Msi<F> {
    /// A function with so many events, vectors or entries, whichever are more. `direct`: addresses, data and DeviceIDs of its guest are the
    /// host's, which maps what the guest maps.
    ///
    /// # Errors
    /// [`Error::Invalid`]: there cannot be so many; [`Error::NoMemory`], [`Error::Host`]. Nothing has happened then.
    pub fn new(function: F, events: u32, direct: bool) -> Result<Self, Error> {
        if !(1..=MAX_ENTRIES).contains(&events) {
            return Err(Error::Invalid);
        }
        let table = try_boxed(events as usize, |_| Event::default()).ok_or(Error::NoMemory)?;
        let doorbell = if direct {
            None
        } else {
            Some(function.map(events).map_err(Error::Host)?)
        };
        Ok(Self {
            function,
            doorbell,
            events: table,
            entries: 0,
            vectors: 0,
            is_bound: false,
            masked: 0,
        })
    }

    /// The function, as it was given.
    pub fn function(&self) -> &F {
        &self.function
    }

    /// MSI is enabled with so many vectors, a power of two, of which `masked` says which are masked. Vector n sends `data` with n in
    /// the low bits.
    ///
    /// # Errors
    /// As [`Error`] says. Then it is not enabled, and nothing of it is bound.
    pub fn enable(
        &mut self,
        vectors: u32,
        address: u64,
        data: u32,
        masked: u32,
    ) -> Result<(), Error> {
        if !vectors.is_power_of_two() || vectors > MAX_VECTORS {
            return Err(Error::Invalid);
        }
        if vectors as usize > self.events.len() {
            return Err(Error::Invalid);
        }
        if self.vectors != 0 || self.entries != 0 {
            return Err(Error::Busy);
        }
        self.masked = masked;
        self.bind_vectors(vectors, address, data)?;
        self.vectors = vectors;
        Ok(())
    }

    /// Address or data have changed while it is enabled.
    ///
    /// # Errors
    /// As [`Error`] says. It stays enabled, but none of its vectors is bound until they are changed again.
    pub fn update(&mut self, address: u64, data: u32) -> Result<(), Error> {
        if self.vectors == 0 {
            return Err(Error::NotEnabled);
        }
        self.bind_vectors(self.vectors, address, data)
    }

    /// MSI is disabled, if it was enabled. It says nothing more, even if it is enabled at once and that fails.
    pub fn disable(&mut self) {
        self.mask_vectors();
        self.vectors = 0;
        self.is_bound = false;
    }

    /// A mask bit is written.
    pub fn mask(&mut self, vector: u32, masked: bool) {
        let Some(bit) = 1u32.checked_shl(vector) else {
            return;
        };
        self.masked = if masked {
            self.masked | bit
        } else {
            self.masked & !bit
        };
        if self.is_bound && vector < self.vectors {
            self.write_vector_mask(vector);
        }
    }

    /// An entry of MSI-X is set up, with this mask bit: it is unmasked with other address or data than it had, or MSI-X is enabled.
    ///
    /// # Errors
    /// As [`Error`] says. Then it is masked, whatever the guest has there.
    pub fn enable_entry(
        &mut self,
        entry: u32,
        address: u64,
        data: u32,
        masked: bool,
    ) -> Result<(), Error> {
        if self.vectors != 0 {
            return Err(Error::Busy);
        }
        let event = self.events.get(entry as usize).ok_or(Error::Invalid)?;
        if event.entry {
            // It sends nothing with half of an address.
            self.function.mask_entry(entry, true);
            self.set_entry(entry, false);
        }
        self.bind(entry..entry.saturating_add(1), address, |_| data)?;
        let (address, data) = self.doorbell.map_or((address, data), |at| (at, entry));
        let written = self.function.write_entry(entry, address, data);
        written.map_err(Error::Host)?;
        self.set_entry(entry, true);
        let event = self.events.get_mut(entry as usize);
        if event.is_some_and(|event| {
            event.masked = masked;
            !masked && !event.kept
        }) {
            self.function.mask_entry(entry, false);
        }
        Ok(())
    }

    /// It is set up no longer, and masked.
    ///
    /// # Errors
    /// [`Error::NotEnabled`]: it was not.
    pub fn disable_entry(&mut self, entry: u32) -> Result<(), Error> {
        let event = self.events.get(entry as usize);
        if !event.is_some_and(|event| event.entry) {
            return Err(Error::NotEnabled);
        }
        self.function.mask_entry(entry, true);
        self.set_entry(entry, false);
        Ok(())
    }

    /// Its mask bit is written. One that is not set up stays masked.
    pub fn mask_entry(&mut self, entry: u32, masked: bool) {
        let event = self.events.get_mut(entry as usize);
        if let Some(event) = event.filter(|event| event.entry) {
            event.masked = masked;
            self.function.mask_entry(entry, masked || event.kept);
        }
    }

    /// The function is to keep an event to itself, or not any more, whatever the guest masks. Does it? One that is neither an entry that is
    /// set up nor a vector that can be masked is not kept.
    pub fn keep(&mut self, event: u32, keep: bool) -> bool {
        let Some(found) = self.events.get_mut(event as usize) else {
            return false;
        };
        let was = core::mem::replace(&mut found.kept, keep);
        let (entry, masked) = (found.entry, found.masked || keep);
        if entry {
            if was != keep {
                self.function.mask_entry(event, masked);
            }
            return keep;
        }
        // Even if it was kept already: that may have been as an entry.
        let is_masked = self.is_bound && event < self.vectors && self.write_vector_mask(event);
        if let Some(found) = self.events.get_mut(event as usize) {
            found.kept = keep && is_masked;
        }
        keep && is_masked
    }

    /// What the guest has masked of the vectors, and what is kept of them. False: there is no mask bit.
    fn write_vector_mask(&self, vector: u32) -> bool {
        let kept = (self.events.get(vector as usize)).is_some_and(|event| event.kept);
        let masked = self.masked.wrapping_shr(vector) & 1 != 0;
        self.function.mask_msi(vector, masked || kept)
    }

    fn set_entry(&mut self, entry: u32, set: bool) {
        let Some(event) = self.events.get_mut(entry as usize) else {
            return;
        };
        self.entries = match (event.entry, set) {
            (false, true) => self.entries.saturating_add(1),
            (true, false) => self.entries.saturating_sub(1),
            _ => self.entries,
        };
        event.entry = set;
    }

    /// The vectors of MSI, of which none is bound if one cannot be.
    fn bind_vectors(&mut self, vectors: u32, address: u64, data: u32) -> Result<(), Error> {
        let data = data & MSI_DATA;
        let low = vectors.saturating_sub(1);
        // A message that has half of what is changed would be one that the guest never meant, but it is what a function sends.
        let bound = self.bind(0..vectors, address, |vector| data & !low | vector);
        self.is_bound = bound.is_ok();
        if bound.is_err() {
            // Also those that there were more of before.
            self.unbind_all();
            self.mask_vectors();
            return bound;
        }
        let (address, data) = self.doorbell.map_or((address, data), |at| (at, 0));
        self.function.write_msi(address, data);
        for vector in 0..vectors {
            self.write_vector_mask(vector);
        }
        Ok(())
    }

    fn mask_vectors(&self) {
        for vector in 0..self.vectors {
            self.function.mask_msi(vector, true);
        }
    }

    /// Binds events to what the guest is to get of each.
    fn bind(
        &mut self,
        events: Range<u32>,
        address: u64,
        data: impl Fn(u32) -> u32,
    ) -> Result<(), Error> {
        if !self.function.is_doorbell(address) {
            return Err(Error::Foreign);
        }
        if self.doorbell.is_none() {
            return Ok(());
        }
        for n in events {
            self.function.bind(n, data(n)).map_err(Error::Host)?;
            if let Some(event) = self.events.get_mut(n as usize) {
                event.bound = true;
            }
        }
        Ok(())
    }

    fn unbind_all(&mut self) {
        for (n, event) in (0..).zip(&mut self.events) {
            if event.bound {
                event.bound = false;
                self.function.unbind(n);
            }
        }
    }
}

#[cfg(test)]
mod tests;
