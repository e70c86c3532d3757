// SPDX-License-Identifier: GPL-2.0-only
//! Work that goes from trap to trap, and writes that are complete some time after theirs.

use crate::sync::{AtomicU32, Ordering};

/// Is there more to do?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// No.
    Done,
    /// The budget of this trap is spent, or another vCPU is at it: the store is to be executed once more.
    Again,
}

/// Writes that are complete once certain vCPUs have left their guests, as GICD_CTLR.RWP tells of them: how many there have been,
/// and how many of these are known to be complete.
#[derive(Debug)]
pub(crate) struct Writes {
    begun: AtomicU32,
    complete: AtomicU32,
}

impl Writes {
    pub(crate) fn new() -> Self {
        Self {
            begun: AtomicU32::new(0),
            complete: AtomicU32::new(0),
        }
    }

    /// There is one more. Whoever looks for what it waits for finds that by now.
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::AcqRel);
    }

    /// Is one of them not complete? `waits` looks for what they wait for, and is only asked if there is something to find.
    pub(crate) fn pending(&self, waits: impl FnOnce() -> bool) -> bool {
        // One that begins while others are looked for is not among them, whatever is found.
        let begun = self.begun.load(Ordering::Acquire);
        if begun == self.complete.load(Ordering::Acquire) {
            return false;
        }
        let waits = waits();
        if !waits {
            // Another may have got further: then somebody looks once more.
            self.complete.store(begun, Ordering::Release);
        }
        waits
    }
}
