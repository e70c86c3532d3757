// SPDX-License-Identifier: GPL-2.0-only
//! vCPUs are called out of their guests: what these have done to their list registers is in no word before, and what is taken
//! away from them may still be taken by them.
//!
//! A write that takes something away has been done once those who had it in a list register have left the guest: they look at
//! it before they enter again. GICv3 says so to who asks, in GICD_CTLR.RWP (IHI 0069, section 12.9: GICD_ICENABLER, and group
//! enables that become 0) and GICR_CTLR.RWP (12.11: GICR_ICENABLER0). A GICv2 has no such bit: there the write waits, as with
//! both it does for what no RWP is about.

use crate::delivery::members;
use crate::domain::Domain;
use crate::host::{Handle, Host};
use crate::irq::{Irq, Place};
use crate::takers::bit;
use crate::vcpu::{Flags, Vcpu};

/// Turns of a wait. An inter-processor interrupt takes microseconds, and an emulator on a busy machine may take a hundred
/// thousand times that: this is ample for both, and still bounded.
const TURNS: u32 = if cfg!(loom) { 2 } else { 1 << 22 };

/// vCPUs, a bit each.
pub(crate) type Set = u128;

/// A vCPU as such a bit.
pub(crate) fn only<V: Handle>(v: &Vcpu<V>) -> Set {
    bit(v.id())
}

impl<H: Host> Domain<H> {
    /// Who has these interrupts in list registers, other than `cur`, which has left its guest for this.
    pub(crate) fn holders<'i>(
        &self,
        cur: &Vcpu<H::Vcpu>,
        irqs: impl Iterator<Item = &'i Irq>,
    ) -> Set {
        irqs.fold(0, |set, irq| match irq.state().place() {
            (Place::Lr, Some(id)) if id != cur.id() => set | self.slot(id).map_or(0, only),
            _ => set,
        })
    }

    /// Has these vCPUs leave the guest. Says which of them were in it: each of these is awaited.
    pub(crate) fn call_out(&self, set: Set) -> Set {
        let mut inside = 0;
        for v in members(set).filter_map(|id| self.slot(id)) {
            let before = v.raise(Flags::LOOK | Flags::KICKED | Flags::AWAITED);
            // Only now: an exit before the flags were raised is not the one that is waited for.
            if v.is_in_guest() {
                inside |= only(v);
                if !before.contains(Flags::KICKED) {
                    self.kick(v);
                }
            }
        }
        inside
    }

    /// Has these vCPUs leave the guest, and waits for all that were in it. Then the words of what they hold are exact, and what
    /// was taken from them is gone. Only from a trap, without a lock, interrupts on.
    ///
    /// The wait is bounded; if it runs out, the words say what they said at the last exit.
    pub(crate) fn recall(&self, set: Set) {
        let mut inside = self.call_out(set);
        for _ in 0..TURNS {
            for v in members(inside).filter_map(|id| self.slot(id)) {
                if !v.is_awaited() {
                    inside &= !only(v);
                }
            }
            if inside == 0 {
                return;
            }
            self.host.relax();
        }
    }

    /// Is a write to the distributor not complete yet? GICD_CTLR.RWP.
    pub(crate) fn has_write_pending(&self) -> bool {
        self.writes.pending(|| self.created().any(Vcpu::is_awaited))
    }
}

#[cfg(test)]
mod tests;
