// SPDX-License-Identifier: GPL-2.0-only
//! A domain's vGIC as a stream of records, and back: to save and restore a guest, or to have it go elsewhere.
//!
//! The stream says what the architecture has (registers, lines, latches, what is active and how it became that) and nothing of the host:
//! no list registers, no physical interrupts, no lists. So it can be restored where any of these are otherwise. All is little-endian,
//! and each record is preceded by its typecode, its instance and its length ([`DESCRIPTOR`]), as Xen's streams have them.
//! `docs/save.md` has it field by field.
//!
//! | module | what |
//! |---|---|
//! | `state::record` | which records there are |
//! | `state::stream` | how records are framed, and how a record is its bytes |
//! | `state::records` | the records |
//! | `state::error` | why a stream is refused |
//! | `state::interface` | the CPU interface, whatever the hardware |
//! | `state::its` | the registers of an ITS |
//! | `state::save` | a domain is saved |
//! | `state::walk` | a stream is gone through |
//! | `state::check` | is it of such a domain, and can all of it be? |
//! | `state::word` | one interrupt |
//! | `state::restore` | a domain is restored |
//! | `state::access` | register by register |
//! | `state::rvic` | the other model: rVIC and rVID |
//!
//! # What is where
//!
//! What an ITS has mapped is in its tables in guest memory, in the layout that Linux calls ABI revision 0, and is written there when
//! it is saved. What is pending of LPIs, and how they are configured, is in the stream: a pending table is its guest's again
//! only when EnableLPIs is cleared, and has no place for an LPI that is pending elsewhere than where its messages go.
//!
//! # When
//!
//! No vCPU runs, while a domain is saved and while it is restored, and what each was is where [`Host::save_interface`] finds it. Lines may
//! rise and fall meanwhile, and messages arrive.

mod access;
mod check;
mod error;
mod interface;
mod its;
mod record;
mod records;
mod restore;
mod rvic;
mod save;
mod stream;
mod walk;
mod word;

pub use access::Block;
pub use error::{RestoreError, Why};
pub use record::Record;
pub use records::{
    CpuInterfaceState, DistributorState, HeaderState, ItsState, LpiState, MAGIC, MsiFrameState,
    NOBODY, RedistributorState, RvicState, RvidState, SpiState,
};
pub use stream::{DESCRIPTOR, Field, VERSION};

use crate::domain::Domain;
use crate::host::Host;
use crate::progress::Progress;
use crate::slice::try_boxed;
use alloc::boxed::Box;
use stream::Bytes;

/// Why a domain is not saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SaveError {
    /// A vCPU is in its guest, or something has been begun and is not done.
    Busy,
    /// The buffer is too small, or there is no memory for one.
    NoRoom,
}

impl<H: Host> Domain<H> {
    /// Bytes that saving takes now. What the guest maps and what is pending decides, so it may be more later.
    ///
    /// # Errors
    /// [`SaveError::Busy`]
    pub fn save_size(&self) -> Result<usize, SaveError> {
        self.check_paused()?;
        let mut bytes = Bytes::new(None);
        self.put_records(&mut bytes);
        bytes.written().ok_or(SaveError::NoRoom)
    }

    /// Saves to a buffer; how many bytes that took. [`Domain::prepare_save`] comes first.
    ///
    /// # Errors
    /// [`SaveError::Busy`]; [`SaveError::NoRoom`], and then nothing is to be made of what is there.
    pub fn save_to(&self, buffer: &mut [u8]) -> Result<usize, SaveError> {
        self.check_paused()?;
        if !self.is_prepared() {
            return Err(SaveError::Busy);
        }
        let mut bytes = Bytes::new(Some(buffer));
        self.put_records(&mut bytes);
        bytes.written().ok_or(SaveError::NoRoom)
    }

    /// Prepares and saves, in one go and to a buffer of its own: where nobody minds how long that takes.
    ///
    /// # Errors
    /// As [`Domain::save_to`].
    pub fn save_boxed(&self) -> Result<Box<[u8]>, SaveError> {
        while self.prepare_save()? == Progress::Again {}
        let size = self.save_size()?;
        let mut buffer = try_boxed(size, |_| 0).ok_or(SaveError::NoRoom)?;
        match self.save_to(&mut buffer) {
            Ok(written) if written == size => Ok(buffer),
            _ => Err(SaveError::NoRoom),
        }
    }

    /// No vCPU is in its guest.
    fn check_paused(&self) -> Result<(), SaveError> {
        let runs = self.vcpus.iter().any(|v| v.is_in_guest());
        if runs { Err(SaveError::Busy) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
