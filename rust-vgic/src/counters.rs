// SPDX-License-Identifier: GPL-2.0-only
//! What a domain's vGIC counts, and how often it may speak.
//!
//! Counters are per vCPU and are added up when a person asks ([`Domain::dump`](crate::Domain::dump)), so that counting moves
//! no cache line from one CPU to another: each is next to what its writer has just written.

// Not those of `crate::sync`: nothing depends on a counter, and the models would try all orders of counting.
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How many mistakes of a domain's guest are told. The log is shared by all domains, and a guest can make a million a second.
pub(crate) const MOST_TOLD: u32 = 10;

/// A counter that any CPU advances.
#[derive(Debug)]
pub(crate) struct Shared(pub(crate) AtomicU64);

impl Shared {
    /// Counts one.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A counter that only the CPU which runs the vCPU advances: no read-modify-write is needed.
#[derive(Debug)]
pub(crate) struct Owned(pub(crate) AtomicU64);

impl Owned {
    /// Counts one.
    pub(crate) fn count(&self) {
        let next = self.0.load(Ordering::Relaxed).wrapping_add(1);
        self.0.store(next, Ordering::Relaxed);
    }
}

/// What is counted for each vCPU.
#[derive(Debug)]
pub(crate) struct Counters {
    /// Calls of [`Domain::inject`](crate::Domain::inject) that raised something, by the vCPU that holds the interrupt: its inbox
    /// or flags have been written for it anyway. A line that was high already is not counted, so that it costs no write.
    pub(crate) injections: Shared,
    /// Kicks of this vCPU.
    pub(crate) kicks: Shared,
    /// Exits on which a list register was not as it had been written.
    pub(crate) changed_exits: Owned,
    /// Accesses of this vCPU to addresses without a register, or of a width that the register does not have.
    pub(crate) reserved: Owned,
}

impl Counters {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            injections: Shared(zero()),
            kicks: Shared(zero()),
            changed_exits: Owned(zero()),
            reserved: Owned(zero()),
        }
    }
}

/// How many mistakes of the guest have been told.
#[derive(Debug)]
pub(crate) struct Told(AtomicU32);

impl Told {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Which one this is, from 1 on; `None` if enough have been told.
    pub(crate) fn next(&self) -> Option<u32> {
        if self.0.load(Ordering::Relaxed) >= MOST_TOLD {
            return None;
        }
        let this = self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        // Of several at once some find only now that it is enough.
        (this <= MOST_TOLD).then_some(this)
    }
}
