// SPDX-License-Identifier: GPL-2.0-only
//! What a domain's vGIC counts, and what it says about its guest's mistakes.
//!
//! Counters are per vCPU and are added up when a person asks ([`Domain::dump`]), so that counting moves no cache line from one
//! CPU to another: each is next to what its writer has just written.

use crate::domain::Domain;
use crate::host::Host;
use crate::vcpu::Vcpu;
use core::fmt;
// Not those of `crate::sync`: nothing depends on a counter, and the models would try all orders of counting.
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How many mistakes of a domain's guest are told. The log is shared by all domains, and a guest can make a million a second.
const MOST_TOLD: u32 = 10;

/// A counter that any CPU advances.
#[derive(Debug)]
pub(crate) struct Shared(AtomicU64);

impl Shared {
    /// Counts one.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A counter that only the CPU which runs the vCPU advances: no read-modify-write is needed.
#[derive(Debug)]
pub(crate) struct Owned(AtomicU64);

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
    /// Calls of [`Domain::inject`] that raised something, by the vCPU that holds the interrupt: its inbox or flags have been
    /// written for it anyway. A line that was high already is not counted, so that it costs no write.
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
    fn next(&self) -> Option<u32> {
        if self.0.load(Ordering::Relaxed) >= MOST_TOLD {
            return None;
        }
        let this = self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        // Of several at once some find only now that it is enough.
        (this <= MOST_TOLD).then_some(this)
    }
}

/// The counters of a domain: of all its vCPUs, and at about the same time.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Totals {
    pub(crate) injections: u64,
    pub(crate) kicks: u64,
    pub(crate) changed_exits: u64,
    pub(crate) reserved: u64,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} injections, {} kicks, {} exits with changes, {} accesses without a register",
            self.injections, self.kicks, self.changed_exits, self.reserved
        )
    }
}

impl<H: Host> Domain<H> {
    /// What has been counted until now.
    pub(crate) fn totals(&self) -> Totals {
        let add = |sum: u64, counter: &AtomicU64| sum.wrapping_add(counter.load(Ordering::Relaxed));
        self.vcpus.iter().fold(Totals::default(), |sum, v| Totals {
            injections: add(sum.injections, &v.counters.injections.0),
            kicks: add(sum.kicks, &v.counters.kicks.0),
            changed_exits: add(sum.changed_exits, &v.counters.changed_exits.0),
            reserved: add(sum.reserved, &v.counters.reserved.0),
        })
    }

    /// The guest of `cur` has made an access that reads as zero and ignores writes because no register has it.
    pub(crate) fn reserved(&self, cur: &Vcpu<H::Vcpu>, access: fmt::Arguments<'_>) {
        cur.counters.reserved.count();
        let Some(this) = self.told.next() else {
            return;
        };
        let (domain, vcpu) = (self.host.name(), cur.id().raw());
        log::debug!("{domain}v{vcpu}: {access}: there is no such register");
        if this == MOST_TOLD {
            log::debug!("{domain}: more of these will be counted, but not shown");
        }
    }
}

#[cfg(test)]
mod tests;
