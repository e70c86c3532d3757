// SPDX-License-Identifier: GPL-2.0-only
//! Which interrupt has which list register.
//!
//! All of this is for the CPU that runs the vCPU, on its way into the guest and with the vCPU's lock held; what another CPU
//! may do while the vCPU is out of the guest says so.

use crate::delivery::Moved;
use crate::domain::Domain;
use crate::host::Host;
use crate::irq::{Irq, NIL, Place, State};
use crate::list::{BATCH, Class, Lists};
use crate::lr::{self, Groups};
use crate::sync::Ordering;
use crate::vcpu::{Flags, Slot, Vcpu};

/// Which slots hold an interrupt, as a bit each.
pub(crate) fn bits(mut map: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let n = map.trailing_zeros() as usize;
        map &= map.wrapping_sub(1);
        // So the compiler knows that there is such a slot.
        (n < lr::MAX).then_some(n)
    })
}

pub(crate) fn bit(n: usize) -> u32 {
    1_u32.wrapping_shl(n as u32)
}

impl<H: Host> Domain<H> {
    /// Takes interrupts out of list registers in which they have no business any more.
    pub(crate) fn empty_slots(
        &self,
        v: &Vcpu<H::Vcpu>,
        on: Groups,
        lists: &mut Lists,
        moved: &mut Moved,
    ) {
        for n in bits(v.used.load(Ordering::Relaxed)) {
            let Some((slot, intid, irq)) = self.occupant(v, n) else {
                continue;
            };
            let s = irq.state();
            // Most are pending.
            let stays = (s.ready()
                && on.has(s.group1())
                && s.is_for(v.id())
                && !self.is_withheld(v, intid))
                || s.active();
            // What refuses is an orphan: loading it will show nothing and deactivate the physical interrupt.
            if stays {
                continue;
            }
            if self.rehome(v, intid, irq, lists, moved) {
                self.empty_slot(v, n, slot);
            } else {
                v.set_stale(bit(n));
            }
        }
    }

    /// Fills free list registers from the ready lists, and makes room for a higher priority. Which have got another interrupt.
    pub(crate) fn fill_slots(
        &self,
        v: &Vcpu<H::Vcpu>,
        on: Groups,
        lists: &mut Lists,
        moved: &mut Moved,
    ) -> u32 {
        let mut filled = 0;
        let mut left = BATCH;
        // Ends: a list register that is given up goes to a strictly higher priority, and only as many as there are can be.
        while let Some((priority, intid)) = self.best(v, on, lists, moved, &mut left) {
            let Some(irq) = self.node(v, intid) else {
                return filled;
            };
            let n = match self.free_slot(v) {
                Some(n) => n,
                None => {
                    let Some(n) = self.victim(v, priority) else {
                        break;
                    };
                    if let Some((slot, intid, irq)) = self.occupant(v, n) {
                        if !self.rehome(v, intid, irq, lists, moved) {
                            break;
                        }
                        self.empty_slot(v, n, slot);
                    }
                    n
                }
            };
            self.fill_slot(v, n, intid, irq, lists, moved);
            filled |= bit(n);
        }
        if left == 0 {
            // What is foremost is yet to be found. It must not wait for what is in list registers, which the guest may have masked.
            v.raise(Flags::DIRTY | Flags::AT_ONCE);
        }
        // Room is left: active ones come back, so that their end is seen where it happens.
        let active = |lists: &Lists| {
            let first = lists.first(Class::Active);
            first.or_else(|| lists.first(Class::ByWrite))
        };
        while let (Some(n), Some((_, intid))) = (self.free_slot(v), active(lists)) {
            let Some(irq) = self.node(v, intid) else {
                break;
            };
            self.fill_slot(v, n, intid, irq, lists, moved);
        }
        filled
    }

    /// The pending interrupt of highest priority that waits for a list register and could be signalled.
    /// Takes off the lists what it finds there that cannot be delivered any more, but no more than `left`: with 0 left it may not have
    /// found the one there is.
    pub(crate) fn best(
        &self,
        v: &Vcpu<H::Vcpu>,
        on: Groups,
        lists: &mut Lists,
        moved: &mut Moved,
        left: &mut usize,
    ) -> Option<(u8, u16)> {
        loop {
            let of = |class: Class| {
                on.has(class == Class::Group1)
                    .then(|| lists.first(class))
                    .flatten()
            };
            let best = match (of(Class::Group0), of(Class::Group1)) {
                (Some(a), Some(b)) => Some(if b.0 < a.0 { b } else { a }),
                (a, b) => a.or(b),
            }?;
            let irq = self.node(v, best.1)?;
            let s = irq.state();
            if s.ready()
                && !s.misplaced()
                && Lists::is_sorted(irq, s)
                && !self.is_withheld(v, best.1)
            {
                return (!lists.is_behind(best.0)).then_some(best);
            }
            *left = left.checked_sub(1)?;
            lists.remove(irq, |n| self.node(v, n));
            self.rehome(v, best.1, irq, lists, moved);
        }
    }

    /// The list register that a pending interrupt of this priority may have: that of the lowest pending one below it,
    /// or, if no list register is pending at all, that of the lowest active one.
    pub(crate) fn victim(&self, v: &Vcpu<H::Vcpu>, priority: u8) -> Option<usize> {
        let mut pending: Option<(u8, usize)> = None;
        let mut active: Option<(u8, usize)> = None;
        for n in bits(v.used.load(Ordering::Relaxed)) {
            let Some((_, _, irq)) = self.occupant(v, n) else {
                continue;
            };
            let s = irq.state();
            if s.active() {
                let priority5 = s.standing().1;
                if active.is_none_or(|(p, _)| priority5 > p) {
                    active = Some((priority5, n));
                }
            } else if pending.is_none_or(|(p, _)| s.priority5() > p) {
                pending = Some((s.priority5(), n));
            }
        }
        match pending {
            Some((p, n)) => (p > priority).then_some(n),
            None => active.map(|(_, n)| n),
        }
    }

    pub(crate) fn occupant<'a>(
        &'a self,
        v: &'a Vcpu<H::Vcpu>,
        n: usize,
    ) -> Option<(&'a Slot, u16, &'a Irq)> {
        let slot = v.slots.get(n)?;
        let intid = slot.intid.load(Ordering::Relaxed);
        // There is no interrupt of the number NIL.
        self.node(v, intid).map(|irq| (slot, intid, irq))
    }

    pub(crate) fn free_slot(&self, v: &Vcpu<H::Vcpu>) -> Option<usize> {
        let n = v.used.load(Ordering::Relaxed).trailing_ones() as usize;
        (n < self.list_registers).then_some(n)
    }

    /// The first of a ready list gets a list register.
    pub(crate) fn fill_slot(
        &self,
        v: &Vcpu<H::Vcpu>,
        n: usize,
        intid: u16,
        irq: &Irq,
        lists: &mut Lists,
        moved: &mut Moved,
    ) {
        lists.remove(irq, |n| self.node(v, n));
        let placed = irq.update(|s| {
            (s.deliverable() && !s.misplaced()).then(|| (s.placed(Place::Lr, v.id()), ()))
        });
        match (placed, v.slots.get(n)) {
            (Some((_, s, ())), Some(slot)) => {
                self.use_slot(v, n, slot, (intid, s));
                v.set_stale(bit(n));
            }
            _ => {
                self.rehome(v, intid, irq, lists, moved);
            }
        }
    }

    /// An interrupt gets a slot, whose list register is to be written.
    #[inline]
    pub(crate) fn use_slot(
        &self,
        v: &Vcpu<H::Vcpu>,
        n: usize,
        slot: &Slot,
        (intid, s): (u16, State),
    ) {
        slot.intid.store(intid, Ordering::Relaxed);
        let others = v.physical.load(Ordering::Relaxed) & !bit(n);
        let this = if s.hw() { bit(n) } else { 0 };
        v.physical.store(others | this, Ordering::Relaxed);
        v.used
            .store(v.used.load(Ordering::Relaxed) | bit(n), Ordering::Relaxed);
    }

    /// Makes a slot free; the hardware keeps its contents until the next entry.
    pub(crate) fn empty_slot(&self, v: &Vcpu<H::Vcpu>, n: usize, slot: &Slot) {
        v.set_stale(bit(n));
        self.free(v, n, slot);
    }

    /// Makes a slot free of which the hardware shows nothing any more.
    pub(crate) fn free(&self, v: &Vcpu<H::Vcpu>, n: usize, slot: &Slot) {
        slot.intid.store(NIL, Ordering::Relaxed);
        v.used
            .store(v.used.load(Ordering::Relaxed) & !bit(n), Ordering::Relaxed);
    }

    /// The same by interrupt, for another CPU that takes it away while `v` is out of the guest.
    pub(crate) fn empty_slot_of(&self, v: &Vcpu<H::Vcpu>, intid: u16) {
        for n in bits(v.used.load(Ordering::Relaxed)) {
            if let Some(slot) = v.slots.get(n)
                && slot.intid.load(Ordering::Relaxed) == intid
            {
                self.empty_slot(v, n, slot);
            }
        }
    }
}

#[cfg(test)]
mod tests;
