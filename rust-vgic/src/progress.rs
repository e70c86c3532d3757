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

    /// As when it was made. Nobody begins any meanwhile.
    pub(crate) fn renew(&self) {
        let Self { begun, complete } = self;
        begun.store(0, Ordering::Relaxed);
        complete.store(0, Ordering::Release);
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

/// Work in stages that goes on where it stopped, for one at a time.
#[derive(Debug)]
pub(crate) struct Course {
    /// 1 while somebody is at it. The rest is that one's.
    busy: AtomicU32,
    stage: AtomicU32,
    /// What is next in the stage.
    next: AtomicU32,
}

impl Course {
    pub(crate) fn new() -> Self {
        Self {
            busy: AtomicU32::new(0),
            stage: AtomicU32::new(0),
            next: AtomicU32::new(0),
        }
    }

    /// From now on the caller is at it, if nobody is.
    #[must_use]
    pub(crate) fn begin(&self) -> bool {
        let begun = self
            .busy
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        begun.is_ok()
    }

    pub(crate) fn end(&self) {
        self.busy.store(0, Ordering::Release);
    }

    /// The stage, and what is next in it.
    pub(crate) fn at(&self) -> (u32, u32) {
        let stage = self.stage.load(Ordering::Relaxed);
        (stage, self.next.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, stage: u32, next: u32) {
        self.stage.store(stage, Ordering::Relaxed);
        self.next.store(next, Ordering::Relaxed);
    }
}
