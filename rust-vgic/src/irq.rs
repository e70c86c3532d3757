// SPDX-License-Identifier: GPL-2.0-only
//! One interrupt: a word of state, and what may happen to it.
//!
//! The word is all that decides about an interrupt, and it changes only by compare-exchange from the
//! result of a pure function ([`State::apply`], [`State::load`], [`State::fold`] …), so that every
//! transition can be enumerated in a test. See IHI 0069, section 4.1 for the states of an interrupt.
//!
//! PLACE says on which list, if any, the interrupt is, HOLDER whose list that is:
//!
//! * idle → inbox: anyone, by compare-exchange; who wins it pushes the node, nobody else does;
//! * inbox → anywhere, ready → anywhere: under the HOLDER's lock, by who has just unlinked the node;
//! * list register → anywhere: by the HOLDER's own CPU, or under its lock while it is out of the guest.
//!
//! Nothing else writes PLACE, so a node is on one list at most.

#[cfg(not(target_os = "none"))]
mod image;
mod state;
mod transition;

pub use crate::lr::LrView;
pub use state::{Place, State, Target};
pub use transition::{Effect, Event};

use crate::sync::{AtomicU8, AtomicU16, AtomicU64, Ordering};

/// End of a list of INTIDs. 1023 is the architecture's "no interrupt", so no node has this number.
pub(crate) const NIL: u16 = 1023;

/// An interrupt as it stands in memory: the word, and beside it what belongs to the list it is on.
#[derive(Debug)]
pub struct Irq {
    word: AtomicU64,
    /// Next on the list. Written by the pusher before it publishes the node, then by the lock's holder.
    pub(crate) next: AtomicU16,
    /// Previous on a ready list. Only under the HOLDER's lock.
    pub(crate) prev: AtomicU16,
    /// The physical INTID while HW is set in the word; written before HW, under desc->lock.
    pub(crate) phys: AtomicU16,
    /// In an inbox its priority, written by the pusher as `next` is; otherwise which ready list, only under the HOLDER's lock.
    pub(crate) list: AtomicU8,
}

impl Irq {
    pub(crate) fn new(state: State) -> Self {
        Self {
            word: AtomicU64::new(state.bits()),
            next: AtomicU16::new(NIL),
            prev: AtomicU16::new(NIL),
            phys: AtomicU16::new(0),
            list: AtomicU8::new(0),
        }
    }

    /// The word now. Acquire: who sees an interrupt in a place sees how it got there.
    pub(crate) fn state(&self) -> State {
        State::from_bits(self.word.load(Ordering::Acquire))
    }

    /// Applies `f` until its result stands. `None` from `f`, or no change, ends it without a write;
    /// the result is the state before and after, and what `f` said beside.
    #[inline(always)]
    pub(crate) fn update<R>(
        &self,
        mut f: impl FnMut(State) -> Option<(State, R)>,
    ) -> Option<(State, State, R)> {
        let mut old = self.word.load(Ordering::Acquire);
        loop {
            let (new, said) = f(State::from_bits(old))?;
            if new.bits() == old {
                return Some((State::from_bits(old), new, said));
            }
            match self.word.compare_exchange_weak(
                old,
                new.bits(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some((State::from_bits(old), new, said)),
                Err(now) => old = now,
            }
        }
    }

    /// Applies an event; returns the states around it and what is left to be done for it.
    pub(crate) fn post(&self, event: Event) -> (State, State, Effect) {
        match self.update(|s| Some(s.apply(event))) {
            Some(done) => done,
            None => (self.state(), self.state(), Effect::empty()),
        }
    }

    /// [`Event::Line`] by itself: it is what happens most. As [`Irq::update`], which compilers do not put in place with what it does.
    #[inline(always)]
    pub(crate) fn post_line(&self, level: bool) -> (State, State, Effect) {
        let mut old = self.word.load(Ordering::Acquire);
        loop {
            let (new, effect) = State::from_bits(old).at_level(level);
            if new.bits() == old {
                return (State::from_bits(old), new, effect);
            }
            match self.word.compare_exchange_weak(
                old,
                new.bits(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return (State::from_bits(old), new, effect),
                Err(now) => old = now,
            }
        }
    }
}
