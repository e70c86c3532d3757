// SPDX-License-Identifier: GPL-2.0-only
//! Ready lists: interrupts that wait for a list register, by priority, first come first served.
//!
//! The lists are intrusive: links are INTIDs, so a node costs four bytes and no pointer is ever followed.
//! `node` finds the [`Irq`] of an INTID as the holder sees it.
//!
//! # What is sorted when
//!
//! What is pushed to a vCPU is in one of its inboxes, one for each priority, and is sorted from there into the ready lists: the most
//! urgent first, and no more than a lot at a time, since the lock is held and interrupts are masked meanwhile. Until all is sorted,
//! no interrupt gets a list register before one of a higher priority that is not: what is loaded is the most urgent there is,
//! however much waits. Of one priority it is first come, first served, within a lot.

use crate::irq::{Irq, NIL, State};
use crate::lr::Groups;
use crate::sync::Ordering;

/// Priorities of a virtual interrupt: the upper five bits of GICD_IPRIORITYR.
pub(crate) const PRIORITIES: usize = 32;

/// Nodes that are sorted from inboxes under one hold of a vCPU's lock: bounds the time with interrupts masked.
pub(crate) const BATCH: usize = 256;

/// So many times that are all the interrupts there can be.
pub(crate) const LOTS: usize = (u16::MAX as usize).div_ceil(BATCH);

/// What a list is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// Pending interrupts of Group 0.
    Group0,
    /// Pending interrupts of Group 1.
    Group1,
    /// Acknowledged interrupts that found no list register; the guest will end them all the same.
    Active,
    /// Interrupts that are active by a write to GICD_ISACTIVER: no EOI is counted for them.
    ByWrite,
}

impl Class {
    /// The list for an interrupt in this state.
    pub(crate) const fn of(state: State) -> Self {
        if state.active() && state.by_write() {
            Class::ByWrite
        } else if state.active() {
            Class::Active
        } else if state.group1() {
            Class::Group1
        } else {
            Class::Group0
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    head: u16,
    tail: u16,
}

/// 32 lists of one class, one per priority, and which of them have members.
#[derive(Debug)]
struct Buckets {
    map: u32,
    ends: [Ends; PRIORITIES],
}

impl Buckets {
    const EMPTY: Self = Self {
        map: 0,
        ends: [Ends {
            head: NIL,
            tail: NIL,
        }; PRIORITIES],
    };
}

/// The ready lists of a vCPU.
#[derive(Debug)]
pub(crate) struct Lists {
    classes: [Buckets; 4],
    /// The priorities at which something may not be sorted yet: it is in `rests`, or in the inbox.
    unsorted: u32,
    /// Nodes taken from the inbox of a priority and not sorted yet (their PLACE is still inbox), the last first.
    rests: [u16; PRIORITIES],
}

impl Lists {
    pub(crate) const fn new() -> Self {
        Self {
            classes: [Buckets::EMPTY; 4],
            unsorted: 0,
            rests: [NIL; PRIORITIES],
        }
    }

    /// There is something in the inboxes of these priorities.
    pub(crate) fn came(&mut self, priorities: u32) {
        self.unsorted |= priorities;
    }

    /// The priorities at which something may not be sorted yet, as a bit each.
    pub(crate) fn unsorted(&self) -> u32 {
        self.unsorted
    }

    /// The nodes of a priority that were taken from its inbox: first these, then what is in the inbox.
    pub(crate) fn take_rest(&mut self, priority5: u8) -> u16 {
        let rest = self.rests.get_mut(usize::from(priority5));
        rest.map_or(NIL, |rest| core::mem::replace(rest, NIL))
    }

    /// The inbox of this priority was taken, or what was left of it.
    pub(crate) fn emptied(&mut self, priority5: u8) {
        self.unsorted &= !1_u32.wrapping_shl(priority5.into());
    }

    /// What is left for another time. There was no rest.
    pub(crate) fn set_rest(&mut self, priority5: u8, chain: u16) {
        if let Some(rest) = self.rests.get_mut(usize::from(priority5)) {
            *rest = chain;
            self.unsorted |= 1_u32.wrapping_shl(priority5.into());
        }
    }

    /// Is something of a higher priority than this not sorted yet? That comes first.
    pub(crate) fn is_behind(&self, priority5: u8) -> bool {
        self.unsorted.trailing_zeros() < u32::from(priority5)
    }

    const fn key_of(state: State) -> u8 {
        let priority5 = if state.active() {
            state.standing().1
        } else {
            state.priority5()
        };
        (Class::of(state) as u8) << 5 | priority5
    }

    fn ends(&mut self, key: u8) -> Option<(&mut u32, &mut Ends)> {
        let buckets = self.classes.get_mut(usize::from(key >> 5))?;
        let ends = buckets.ends.get_mut(usize::from(key & 0x1f))?;
        Some((&mut buckets.map, ends))
    }

    /// The priorities that have members, as a bit each.
    pub(crate) fn map(&self, class: Class) -> u32 {
        self.classes.get(class as usize).map_or(0, |b| b.map)
    }

    /// Does anything pending wait here, unsorted included?
    pub(crate) fn backlog(&self) -> bool {
        let [group0, group1, ..] = &self.classes;
        self.unsorted | group0.map | group1.map != 0
    }

    /// Is anything at all on the lists?
    pub(crate) fn any(&self) -> bool {
        let [.., active, by_write] = &self.classes;
        self.backlog() || active.map | by_write.map != 0
    }

    /// The first of the highest priority in a class: its priority and INTID.
    pub(crate) fn first(&self, class: Class) -> Option<(u8, u16)> {
        let buckets = self.classes.get(class as usize)?;
        let priority = buckets.map.trailing_zeros();
        let ends = buckets.ends.get(priority as usize)?;
        Some((priority as u8, ends.head))
    }

    /// Appends a node to the list that its state belongs to.
    pub(crate) fn append<'a>(
        &mut self,
        intid: u16,
        irq: &Irq,
        state: State,
        node: impl Fn(u16) -> Option<&'a Irq>,
    ) {
        let key = Self::key_of(state);
        let Some((map, ends)) = self.ends(key) else {
            return;
        };
        irq.list.store(key, Ordering::Relaxed);
        irq.next.store(NIL, Ordering::Relaxed);
        irq.prev.store(ends.tail, Ordering::Relaxed);
        match node(ends.tail).filter(|_| ends.tail != NIL) {
            Some(last) => last.next.store(intid, Ordering::Relaxed),
            None => ends.head = intid,
        }
        ends.tail = intid;
        *map |= 1_u32.wrapping_shl(u32::from(key & 0x1f));
    }

    /// The highest priority of what is pending here in these groups, and of what is not sorted yet, if anything is.
    pub(crate) fn most_urgent(&self, on: Groups) -> Option<u8> {
        let map = |class, group| {
            if on.contains(group) {
                self.map(class)
            } else {
                0
            }
        };
        let sorted = map(Class::Group0, Groups::ZERO) | map(Class::Group1, Groups::ONE);
        let all = sorted | self.unsorted;
        (all != 0).then_some(all.trailing_zeros() as u8)
    }

    /// Takes a node off the list it is on.
    pub(crate) fn remove<'a>(&mut self, irq: &Irq, node: impl Fn(u16) -> Option<&'a Irq>) {
        let key = irq.list.load(Ordering::Relaxed);
        let Some((map, ends)) = self.ends(key) else {
            return;
        };
        let (prev, next) = (
            irq.prev.load(Ordering::Relaxed),
            irq.next.load(Ordering::Relaxed),
        );
        match node(prev).filter(|_| prev != NIL) {
            Some(before) => before.next.store(next, Ordering::Relaxed),
            None => ends.head = next,
        }
        match node(next).filter(|_| next != NIL) {
            Some(after) => after.prev.store(prev, Ordering::Relaxed),
            None => ends.tail = prev,
        }
        if ends.head == NIL {
            *map &= !1_u32.wrapping_shl(u32::from(key & 0x1f));
        }
    }

    /// The heads of a class's lists, of each priority.
    #[cfg(test)]
    pub(crate) fn heads(&self, class: Class) -> Vec<u16> {
        let buckets = self.classes.get(class as usize);
        let ends = buckets.map(|buckets| buckets.ends.iter());
        ends.into_iter().flatten().map(|ends| ends.head).collect()
    }

    /// Is the node on the list that a state belongs to?
    pub(crate) fn is_sorted(irq: &Irq, state: State) -> bool {
        irq.list.load(Ordering::Relaxed) == Self::key_of(state)
    }
}

#[cfg(test)]
mod tests;
