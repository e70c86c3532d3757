// SPDX-License-Identifier: GPL-2.0-only
//! Inboxes, as they are sorted into ready lists. See [`crate::list`] for what is sorted when.

use crate::delivery::Moved;
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::IntId;
use crate::irq::{Irq, NIL, Place};
use crate::list::{BATCH, Lists};
use crate::sync::{Ordering, fence};
use crate::vcpu::{Flags, Vcpu};

/// Nodes that are looked at in an inbox for one among them: there are no more unless most of them are LPIs.
const WALK: usize = 2048;

/// The priority of the inbox that an interrupt is in. Anything else if it is in none, or on its way there.
fn inbox_of(irq: &Irq) -> u8 {
    irq.list.load(Ordering::Relaxed) & 0x1f
}

impl<H: Host> Domain<H> {
    /// Sorts at most [`BATCH`] nodes of `v`'s inboxes, the most urgent first, into its ready lists. Any CPU, with `v`'s lock held.
    pub(crate) fn drain(&self, v: &Vcpu<H::Vcpu>, lists: &mut Lists, moved: &mut Moved) {
        self.drain_some(v, v.take_came(), lists, moved);
    }

    /// The same for who knows where something has come: the owner, of the flags that it has taken.
    #[inline]
    pub(crate) fn drain_some(
        &self,
        v: &Vcpu<H::Vcpu>,
        came: u32,
        lists: &mut Lists,
        moved: &mut Moved,
    ) {
        lists.came(came);
        if lists.unsorted() == 0 {
            return;
        }
        let mut left = BATCH;
        while left != 0 && lists.unsorted() != 0 {
            let priority5 = lists.unsorted().trailing_zeros() as u8;
            self.drain_one(v, priority5, &mut left, lists, moved);
        }
    }

    /// Sorts what is left of a priority's inbox or, if nothing is, what is in it: at most `left` nodes.
    fn drain_one(
        &self,
        v: &Vcpu<H::Vcpu>,
        priority5: u8,
        left: &mut usize,
        lists: &mut Lists,
        moved: &mut Moved,
    ) {
        let chain = self.take_chain(v, priority5, lists);
        let Some(first) = self.node(v, chain) else {
            return;
        };
        if first.next.load(Ordering::Relaxed) == NIL {
            // One alone, as it mostly is: equals `sort` then.
            *left = left.saturating_sub(1);
            self.rehome(v, chain, first, lists, moved);
        } else {
            let rest = self.sort(v, chain, left, lists, moved);
            self.leave_chain(priority5, rest, lists);
        }
    }

    /// More than one. The rest of the chain, if they are more than `left`.
    fn sort(
        &self,
        v: &Vcpu<H::Vcpu>,
        chain: u16,
        left: &mut usize,
        lists: &mut Lists,
        moved: &mut Moved,
    ) -> u16 {
        let mut batch = [NIL; BATCH];
        let (mut rest, mut taken) = (chain, 0_usize);
        for place in batch.iter_mut().take(*left) {
            let Some(irq) = self.node(v, rest) else {
                break;
            };
            *place = rest;
            rest = irq.next.load(Ordering::Relaxed);
            taken = taken.wrapping_add(1);
        }
        *left = left.saturating_sub(taken);
        // An inbox is last in, first out.
        for &intid in batch.iter().take(taken).rev() {
            if let Some(irq) = self.node(v, intid) {
                self.rehome(v, intid, irq, lists, moved);
            }
        }
        rest
    }

    /// Takes an interrupt out of the inbox that it is in, if it is in one. The others stay there, unless they are more than
    /// [`WALK`]: then they are sorted, in lots between which others may have the lock, and no more than there are of one
    /// priority.
    pub(crate) fn dig_out(&self, v: &Vcpu<H::Vcpu>, intid: IntId, irq: &Irq, lots: usize) {
        for _ in 0..lots {
            if !irq.state().is_at(Place::Inbox, v.id()) {
                return;
            }
            let more = self.with_lists(v, |lists, moved| {
                if !irq.state().is_at(Place::Inbox, v.id()) {
                    return false;
                }
                if self.pluck(v, intid.raw16(), irq, lists, moved) {
                    return false;
                }
                self.sort_around(v, irq, lists, moved)
            });
            if !more {
                return;
            }
        }
    }

    /// Sorts a lot of the inbox that an interrupt is in. Nothing: who has not pushed it yet looks at it afterwards.
    fn sort_around(
        &self,
        v: &Vcpu<H::Vcpu>,
        irq: &Irq,
        lists: &mut Lists,
        moved: &mut Moved,
    ) -> bool {
        let mut left = BATCH;
        self.drain_one(v, inbox_of(irq), &mut left, lists, moved);
        left != BATCH
    }

    /// Takes an interrupt out of the chain that is next to be sorted, if it is in there.
    fn pluck(
        &self,
        v: &Vcpu<H::Vcpu>,
        intid: u16,
        irq: &Irq,
        lists: &mut Lists,
        moved: &mut Moved,
    ) -> bool {
        let chain = self.take_chain(v, inbox_of(irq), lists);
        let (mut at, mut before): (u16, Option<&Irq>) = (chain, None);
        for _ in 0..WALK {
            if at == intid {
                let after = irq.next.load(Ordering::Relaxed);
                let rest = match before {
                    Some(before) => {
                        before.next.store(after, Ordering::Relaxed);
                        chain
                    }
                    None => after,
                };
                self.leave_chain(inbox_of(irq), rest, lists);
                self.rehome(v, intid, irq, lists, moved);
                return true;
            }
            let Some(node) = self.node(v, at) else {
                break;
            };
            at = node.next.load(Ordering::Relaxed);
            before = Some(node);
        }
        self.leave_chain(inbox_of(irq), chain, lists);
        false
    }

    /// What is left of a priority's inbox or, if nothing is, what is in it.
    fn take_chain(&self, v: &Vcpu<H::Vcpu>, priority5: u8, lists: &mut Lists) -> u16 {
        let rest = lists.take_rest(priority5);
        if rest != NIL {
            return rest;
        }
        lists.emptied(priority5);
        v.inbox(priority5).swap(NIL, Ordering::AcqRel)
    }

    /// The same, put back.
    fn leave_chain(&self, priority5: u8, chain: u16, lists: &mut Lists) {
        if chain != NIL {
            lists.set_rest(priority5, chain);
        }
    }

    /// If an interrupt is in an inbox: sorts a lot of that. Says whether it is in none now.
    pub(crate) fn is_dug_out(&self, irq: &Irq) -> bool {
        let (Place::Inbox, Some(holder)) = irq.state().place() else {
            return true;
        };
        if let Some(v) = self.slot(holder) {
            self.with_lists(v, |lists, moved| {
                if irq.state().is_at(Place::Inbox, v.id()) {
                    self.sort_around(v, irq, lists, moved);
                }
            });
        }
        !irq.state().is_at(Place::Inbox, holder)
    }

    /// An interrupt has become more urgent: if it waits unsorted, it does no longer. One that waits behind more than eight lots
    /// (then most of them are LPIs) counts as what it was until it is sorted.
    pub(crate) fn hasten(&self, intid: IntId, irq: &Irq) {
        // As in [`Domain::visit`].
        fence(Ordering::SeqCst);
        let (Place::Inbox, Some(holder)) = irq.state().place() else {
            return;
        };
        let Some(v) = self.slot(holder) else {
            return;
        };
        self.dig_out(v, intid, irq, 8);
        if self.must_kick(v, Flags::LOOK) {
            self.kick(v);
        }
    }
}

#[cfg(test)]
mod tests;
