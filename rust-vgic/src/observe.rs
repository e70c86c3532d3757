// SPDX-License-Identifier: GPL-2.0-only
//! What a domain's vGIC counts, and what it says about its guest's mistakes.

use crate::counters::MOST_TOLD;
use crate::domain::Domain;
use crate::host::Host;
use crate::vcpu::Vcpu;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

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

    /// The guest of `cur` has made an access that reads as zero and ignores writes because no register has it, as it says.
    pub(crate) fn reserved(&self, cur: &Vcpu<H::Vcpu>, access: fmt::Arguments<'_>) {
        cur.counters.reserved.count();
        let Some(this) = self.told.next() else {
            return;
        };
        let (domain, vcpu) = (self.host.name(), cur.id().raw());
        log::debug!("{domain}v{vcpu}: {access}");
        if this == MOST_TOLD {
            log::debug!("{domain}: more of these will be counted, but not shown");
        }
    }

    /// An ITS has met its `nth` command error. The first are told, and then one each time that there are twice as many.
    #[cold]
    pub(crate) fn command_error(&self, its: u16, nth: u32, code: u32) {
        if nth <= MOST_TOLD || nth.is_power_of_two() {
            let domain = self.host.name();
            log::debug!(
                "{domain}: ITS {its}: command error {code:#x} (IHI 0069, chapter 5), number {nth}"
            );
        }
    }

    /// A command of an ITS, `words`, is the `nth` that was refused because the domain has as many of `what` as it may. As
    /// [`Domain::command_error`], but for whoever has set the limit to see.
    #[cold]
    pub(crate) fn limit_reached(&self, its: u16, nth: u32, what: &str, words: [u64; 4]) {
        if nth <= MOST_TOLD || nth.is_power_of_two() {
            let domain = self.host.name();
            let [zero, one, two, three] = words;
            log::warn!(
                "{domain}: ITS {its}: no more {what}: command {zero:#x} {one:#x} {two:#x} {three:#x} is refused, number {nth}"
            );
        }
    }
}

#[cfg(test)]
mod tests;
