// SPDX-License-Identifier: GPL-2.0-only
//! An ITS at reset (IHI 0069, section 12.19): disabled and quiescent, with no tables and no queue, and nothing mapped.
//!
//! Whatever it was at is left where it is: a command that has been begun is not done, and one of the queue not read. Guest memory
//! is not touched. What is counted of errors stays, which is for a person to see and no state of an ITS.

use super::queue::Budget;
use super::tables::Gone;
use super::{BASER_TYPES, Its, PAGE_SIZE};
use crate::config::Error;
use crate::domain::Domain;
use crate::host::Host;
use crate::progress::Progress;
use crate::sync::Ordering;

impl Its {
    /// The registers are as at reset. Only for who works for the ITS.
    fn renew_registers(&self) {
        let Self {
            index: _,
            device_bits: _,
            event_bits: _,
            enabled,
            cbaser,
            creadr,
            cwriter,
            basers,
            // Of the caller.
            busy: _,
            begun,
            cursor,
            awaited,
            todo,
            // For a person.
            unsaved: _,
            unread: _,
            tables,
            errors: _,
            last_error: _,
            refused: _,
        } = self;
        enabled.store(0, Ordering::Release);
        // A message that is being looked up has become pending, and later ones find the ITS disabled.
        {
            let mut tables = tables.lock();
            tables.begun = None;
            tables.start();
        }
        for word in [creadr, cwriter, begun, cursor, todo] {
            word.store(0, Ordering::Release);
        }
        cbaser.store(0, Ordering::Relaxed);
        awaited.store(0, Ordering::Relaxed);
        for (baser, fixed) in basers.iter().zip(BASER_TYPES) {
            baser.store(fixed | PAGE_SIZE, Ordering::Relaxed);
        }
    }
}

impl<H: Host> Domain<H> {
    /// ITS number `its` is as after power-on, whatever it was at: its registers, and nothing is mapped. What was pending of that is gone,
    /// and what has been sent to it afterwards is refused, until the guest has set it up again. Guest memory is not touched.
    ///
    /// Process context. No vCPU of the domain runs, from the first call until one has said [`Progress::Done`]; device models and
    /// devices may go on. [`Progress::Again`]: this is to be called again.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the domain has no such ITS.
    pub fn reset_its(&self, its: usize) -> Result<Progress, Error> {
        let its = self.its.get(its).ok_or(Error::Invalid)?;
        Ok(self.renew_its(its, &mut Budget::new()))
    }

    /// The same of all of them.
    pub(crate) fn reset_itses(&self) -> Progress {
        let mut budget = Budget::new();
        let all = self.its.iter();
        let mut progress = all.map(|its| self.renew_its(its, &mut budget));
        if progress.all(|progress| progress == Progress::Done) {
            Progress::Done
        } else {
            Progress::Again
        }
    }

    fn renew_its(&self, its: &Its, budget: &mut Budget) -> Progress {
        // No vCPU runs, but an LPI may just be following its own.
        if !its.begin() {
            return Progress::Again;
        }
        // Without tables in guest memory there is nothing that could be written to them.
        its.renew_registers();
        let progress = self.unmap_devices(its, budget, Gone::Reset);
        if progress == Progress::Done {
            its.tables.lock().unmap_collections();
        }
        its.end();
        progress
    }
}
