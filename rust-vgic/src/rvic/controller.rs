// SPDX-License-Identifier: GPL-2.0-only
//! A vCPU's rVIC.
//!
//! Who may touch what: `shown` is the vCPU's own, on its way into its guest; everything else anybody's, atomically.
//!
//! # What always holds
//!
//! * What may be delivered is in `words` alone. `may` has at least the words that have any, once who made it so has gone on to
//!   call the vCPU; `ages` says which became so first, and is only ever wrong about that.
//! * While [`Flags::SHOWN`] is set the vCPU is in its guest and its line is on. While [`Flags::KICKED`] is set with
//!   [`Flags::INSIDE`], somebody has it leave its guest, or will at once.
//! * Who changes what may be delivered, in either direction, does so first and looks at `flags` afterwards; the vCPU raises
//!   [`Flags::INSIDE`] first and computes its line afterwards; a fence is between the two of both. So either the vCPU sees the
//!   change, or it is seen inside and called.

use super::word::{Event, LANES, Word};
use crate::counters::Counters;
use crate::host::Handle;
use crate::intid::VcpuId;
use crate::slice::try_boxed;
use crate::sync::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use alloc::boxed::Box;
use core::marker::PhantomData;

bitflags::bitflags! {
    /// Where a vCPU is, as far as those are concerned who might call it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct Flags: u32 {
        /// In its guest, or on the way in.
        const INSIDE = 1 << 0;
        /// The line is on for as long as it is inside.
        const SHOWN = 1 << 1;
        /// Somebody has it leave its guest.
        const KICKED = 1 << 2;
    }
}

/// An interrupt that each vCPU of the domain has: 0 to 2047.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Number(u16);

impl Number {
    /// The interrupt `raw`, whole, of a domain with so many.
    pub(crate) fn new(raw: u64, count: u32) -> Option<Self> {
        (raw < u64::from(count.min(super::MOST_INTERRUPTS))).then_some(Self(raw as u16))
    }

    pub(crate) fn raw(self) -> u16 {
        self.0
    }

    fn at(word: usize, lane: u32) -> Self {
        Self((word as u16).wrapping_mul(LANES as u16) | lane as u16)
    }

    fn word(self) -> usize {
        usize::from(self.0.wrapping_shr(LANES.trailing_zeros()))
    }

    fn lane(self) -> u32 {
        u32::from(self.0) & (LANES - 1)
    }
}

/// How a word was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) struct Change {
    pub(crate) old: Word,
    pub(crate) new: Word,
}

impl Change {
    /// What can be delivered since.
    fn rose(self) -> u16 {
        self.new.deliverable() & !self.old.deliverable()
    }

    /// What can be delivered no more.
    fn fell(self) -> u16 {
        self.old.deliverable() & !self.new.deliverable()
    }
}

/// [`Block::after`] is no more than this.
pub(crate) const LAST: u32 = u32::MAX / 2;

/// 32 interrupts of an rVIC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Block {
    pub(crate) enabled: bool,
    pub(crate) pending: u32,
    pub(crate) masked: u32,
    pub(crate) line: u32,
    /// Of what can be delivered: 1, and one more for each interrupt that has become deliverable later.
    pub(crate) after: [u32; 32],
}

impl Block {
    /// Is it as at reset, but for lines?
    pub(crate) fn is_reset(&self) -> bool {
        !self.enabled && self.pending == 0 && self.masked == u32::MAX
    }
}

/// In which direction what may be delivered has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// There is something more.
    Rose,
    /// There is something less.
    Fell,
}

/// One line of a word of `lines` that is about to be an event.
const RISING: u64 = 1 << 32;

/// Words of `may`.
const MAY: usize = (super::MOST_INTERRUPTS / LANES / u64::BITS) as usize;

/// A vCPU's rVIC, with `V` its host's handle.
// First what each entry and exit touches.
#[repr(C)]
pub struct Rvic<V> {
    flags: AtomicU32,
    /// Not 0 if the host was told that the line is on.
    shown: AtomicU32,
    /// Words that may have something to deliver, a bit each.
    may: [AtomicU64; MAY],
    words: Box<[AtomicU64]>,
    /// When each became deliverable, by tickets; 0 if that is not known.
    ages: Box<[AtomicU32]>,
    /// The last ticket.
    ticket: AtomicU32,
    /// The lines of 32 trusted interrupts, a bit each; and from [`RISING`] on how many have risen and are no event yet, no more than
    /// there are contexts that could raise one.
    lines: Box<[AtomicU64]>,
    id: VcpuId,
    /// The host's handle, one more than as a word; 0 while there is none.
    handle: AtomicUsize,
    pub(crate) counters: Counters,
    kind: PhantomData<fn() -> V>,
}

impl<V> core::fmt::Debug for Rvic<V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Rvic")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The bits that are set, lowest first.
pub(crate) fn bits(mut set: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let n = (set != 0).then(|| set.trailing_zeros())?;
        set &= set.wrapping_sub(1);
        Some(n)
    })
}

/// How many tickets were drawn since that one. They wrap around, and those that were drawn after `now` come last.
fn waits(now: u32, since: u32) -> u32 {
    let waits = now.wrapping_sub(since);
    if waits > LAST { 0 } else { waits }
}

impl<V: Handle> Rvic<V> {
    /// One at reset, with so many interrupts, of which so many are trusted. It has none if there is no memory.
    pub(crate) fn new(id: VcpuId, count: u32, trusted: u32) -> Self {
        let reset = Word::RESET.bits();
        let words = try_boxed((count / LANES) as usize, |_| AtomicU64::new(reset));
        let ages = try_boxed(count as usize, |_| AtomicU32::new(0));
        let lines = try_boxed((trusted / u32::BITS) as usize, |_| AtomicU64::new(0));
        let (words, ages, lines) = match (words, ages, lines) {
            (Some(words), Some(ages), Some(lines)) => (words, ages, lines),
            _ => Default::default(),
        };
        Self {
            flags: AtomicU32::new(0),
            shown: AtomicU32::new(0),
            may: core::array::from_fn(|_| AtomicU64::new(0)),
            words,
            ages,
            ticket: AtomicU32::new(0),
            lines,
            id,
            handle: AtomicUsize::new(0),
            counters: Counters::new(),
            kind: PhantomData,
        }
    }

    /// Was there memory for it?
    pub(crate) fn is_whole(&self) -> bool {
        !self.words.is_empty()
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> VcpuId {
        self.id
    }

    /// The host's handle, once the host has created the vCPU.
    #[must_use]
    pub fn handle(&self) -> Option<V> {
        let word = self.handle.load(Ordering::Acquire);
        (word != 0).then(|| V::from_word(word.wrapping_sub(1)))
    }

    pub(crate) fn set_handle(&self, handle: Option<V>) {
        let word = handle.map_or(0, |handle| handle.to_word().wrapping_add(1));
        self.handle.store(word, Ordering::Release);
    }

    pub(crate) fn flags(&self) -> Flags {
        Flags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// The word of an interrupt.
    fn word(&self, n: usize) -> Word {
        let word = self.words.get(n).map(|word| word.load(Ordering::Acquire));
        word.map_or(Word::RESET, Word::from_bits)
    }

    /// Is the rVIC enabled? While one of ENABLE and DISABLE is at work, another may find either.
    pub(crate) fn is_enabled(&self) -> bool {
        self.word(0).enabled()
    }

    /// Is it pending?
    pub(crate) fn is_pending(&self, n: Number) -> bool {
        u32::from(self.word(n.word()).pending()).wrapping_shr(n.lane()) & 1 != 0
    }

    /// Is it masked?
    pub(crate) fn is_masked(&self, n: Number) -> bool {
        u32::from(self.word(n.word()).masked()).wrapping_shr(n.lane()) & 1 != 0
    }

    /// Changes a word, by compare-exchange also where it stays what it is: what has led to an event is known to who takes the
    /// interrupt that was pending already.
    fn change(&self, word: usize, lane: u32, event: Event) -> Change {
        let Some(place) = self.words.get(word) else {
            let same = Word::RESET;
            return Change {
                old: same,
                new: same,
            };
        };
        let mut now = place.load(Ordering::Relaxed);
        loop {
            let old = Word::from_bits(now);
            let new = old.apply(lane, event);
            let done =
                place.compare_exchange_weak(now, new.bits(), Ordering::AcqRel, Ordering::Relaxed);
            match done {
                Ok(_) => return Change { old, new },
                Err(other) => now = other,
            }
        }
    }

    /// Notes what may be delivered since, or no more. In which direction that went, if in any.
    fn note(&self, word: usize, change: Change) -> Option<Turn> {
        let (rose, fell) = (change.rose(), change.fell());
        for lane in bits(fell.into()) {
            if let Some(age) = self.ages.get(usize::from(Number::at(word, lane).raw())) {
                age.store(0, Ordering::Relaxed);
            }
        }
        if rose == 0 {
            return (fell != 0).then_some(Turn::Fell);
        }
        for lane in bits(rose.into()) {
            self.stamp(Number::at(word, lane));
        }
        if let Some(may) = self.may.get(word / 64) {
            may.fetch_or(1_u64.wrapping_shl(word as u32), Ordering::AcqRel);
        }
        Some(Turn::Rose)
    }

    /// Something happens to an interrupt: how its word was changed, and whether its vCPU has to know.
    pub(crate) fn post(&self, n: Number, event: Event) -> (Change, Option<Turn>) {
        let change = self.change(n.word(), n.lane(), event);
        (change, self.note(n.word(), change))
    }

    /// Something happens to all of them.
    pub(crate) fn post_all(&self, event: Event) {
        for word in 0..self.words.len() {
            let change = self.change(word, 0, event);
            let _ = self.note(word, change);
        }
    }

    /// An interrupt has become deliverable, or was found to be with nobody having said when: now. When it did, and never 0.
    fn stamp(&self, n: Number) -> u32 {
        let Some(age) = self.ages.get(usize::from(n.raw())) else {
            return 0;
        };
        let mut new = 0;
        while new == 0 {
            let last = self.ticket.fetch_add(1, Ordering::Relaxed);
            new = last.wrapping_add(1);
        }
        match age.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => new,
            Err(earlier) => earlier,
        }
    }

    /// Is there anything to deliver?
    pub(crate) fn any(&self) -> bool {
        self.maybe().any(|word| self.word(word).deliverable() != 0)
    }

    /// The words that may have something to deliver.
    fn maybe(&self) -> impl Iterator<Item = usize> + '_ {
        let each = self.may.iter().zip((0..).step_by(64));
        each.flat_map(|(may, first): (_, usize)| {
            bits(may.load(Ordering::Acquire)).map(move |n| first.wrapping_add(n as usize))
        })
    }

    /// The word has nothing to deliver, and is not asked again before it has. By the vCPU's own CPU.
    fn prune(&self, word: usize) {
        let (Some(may), bit) = (self.may.get(word / 64), 1_u64.wrapping_shl(word as u32)) else {
            return;
        };
        may.fetch_and(!bit, Ordering::AcqRel);
        // Whoever has set the bit before that has changed the word before that.
        if self.word(word).deliverable() != 0 {
            may.fetch_or(bit, Ordering::AcqRel);
        }
    }

    /// The one that became deliverable first.
    fn first(&self) -> Option<Number> {
        let now = self.ticket.load(Ordering::Relaxed);
        let mut first: Option<(u32, Number)> = None;
        for word in self.maybe() {
            let deliverable = self.word(word).deliverable();
            if deliverable == 0 {
                self.prune(word);
            }
            for lane in bits(deliverable.into()) {
                let n = Number::at(word, lane);
                let age = self.ages.get(usize::from(n.raw()));
                let mut since = age.map_or(0, |age| age.load(Ordering::Relaxed));
                if since == 0 {
                    since = self.stamp(n);
                }
                let waits = waits(now, since);
                if first.is_none_or(|(most, _)| waits > most) {
                    first = Some((waits, n));
                }
            }
        }
        first.map(|(_, n)| n)
    }

    /// ACKNOWLEDGE: takes the one that became deliverable first.
    pub(crate) fn acknowledge(&self) -> Option<Number> {
        // What is found may be masked or cleared by another vCPU before it is taken. Each turn that is in vain takes a call of that
        // one's, so there are few; and what is left is still there for the next call, since the line is still on.
        for _ in 0..64 {
            let n = self.first()?;
            let (change, _) = self.post(n, Event::Acknowledge);
            if change.fell() != 0 {
                return Some(n);
            }
        }
        None
    }

    /// On the way into the guest. The level of the line, if the host does not know it.
    pub(crate) fn enter(&self) -> Option<bool> {
        self.flags.store(Flags::INSIDE.bits(), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let on = self.any();
        if on {
            self.flags.fetch_or(Flags::SHOWN.bits(), Ordering::Relaxed);
        }
        (on != (self.shown.load(Ordering::Relaxed) != 0)).then(|| {
            self.shown.store(on.into(), Ordering::Relaxed);
            on
        })
    }

    /// On the way out.
    #[inline]
    pub(crate) fn leave(&self) {
        self.flags.store(0, Ordering::Relaxed);
    }

    /// What may be delivered has changed. Has somebody to call the vCPU for it?
    pub(crate) fn must_kick(&self, turn: Turn) -> bool {
        fence(Ordering::SeqCst);
        let flags = self.flags();
        if !flags.contains(Flags::INSIDE) {
            // It computes its line before it is inside. But it may sleep.
            return turn == Turn::Rose;
        }
        let known = match turn {
            Turn::Rose => flags.contains(Flags::SHOWN),
            Turn::Fell => self.any(),
        };
        if known || flags.contains(Flags::KICKED) {
            return false;
        }
        let kicked = Flags::KICKED.bits();
        self.flags.fetch_or(kicked, Ordering::AcqRel) & kicked == 0
    }

    /// The line of a trusted interrupt, as it was last told.
    pub(crate) fn line(&self, n: Number) -> bool {
        let (place, bit) = self.line_at(n);
        place.is_some_and(|line| line.load(Ordering::Acquire) & bit != 0)
    }

    /// Its line is at this level now. How was it before?
    pub(crate) fn set_line(&self, n: Number, level: bool) -> bool {
        let (Some(lines), bit) = self.line_at(n) else {
            return level;
        };
        let before = if level {
            lines.fetch_or(bit, Ordering::AcqRel)
        } else {
            lines.fetch_and(!bit, Ordering::AcqRel)
        };
        before & bit != 0
    }

    /// Its line is high now. Was it low, so that it is an event? Then [`Rvic::risen`] is to follow that.
    pub(crate) fn rise(&self, n: Number) -> bool {
        let (Some(lines), bit) = self.line_at(n) else {
            return false;
        };
        let mut now = lines.load(Ordering::Relaxed);
        loop {
            let rises = now & bit == 0;
            let new = if rises {
                (now | bit).wrapping_add(RISING)
            } else {
                now
            };
            match lines.compare_exchange_weak(now, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return rises,
                Err(other) => now = other,
            }
        }
    }

    /// The event of a line that has risen has arrived, or was dropped.
    pub(crate) fn risen(&self, n: Number) {
        if let (Some(lines), _) = self.line_at(n) {
            lines.fetch_sub(RISING, Ordering::AcqRel);
        }
    }

    fn line_at(&self, n: Number) -> (Option<&AtomicU64>, u64) {
        let bit = 1_u64.wrapping_shl(u32::from(n.raw()) & 31);
        (self.lines.get(usize::from(n.raw()) / 32), bit)
    }

    /// The trusted interrupts whose lines are high.
    pub(crate) fn high_lines(&self) -> impl Iterator<Item = Number> + '_ {
        let each = self.lines.iter().zip((0..).step_by(32));
        each.flat_map(|(lines, first): (_, u16)| {
            bits(u64::from(lines.load(Ordering::Acquire) as u32))
                .map(move |n| Number(first.wrapping_add(n as u16)))
        })
    }

    /// As when it was made, but for its lines, for what the host was told and for what it counts. It does not run.
    pub(crate) fn renew(&self) {
        // Nothing becomes deliverable after that, so that what follows is what it says.
        for word in 0..self.words.len() {
            let _ = self.change(word, 0, Event::Reset);
        }
        for may in &self.may {
            may.store(0, Ordering::Relaxed);
        }
        for age in &self.ages {
            age.store(0, Ordering::Relaxed);
        }
        self.ticket.store(0, Ordering::Relaxed);
    }

    /// Block number `n` as it is. The vCPU does not run.
    pub(crate) fn block(&self, n: usize) -> Block {
        let first = n.wrapping_mul(2);
        // Before what is pending: a line that rises from here on is low here, rather than high without its event.
        let lines = self.lines.get(n);
        let lines = lines.map_or(0, |lines| lines.load(Ordering::Acquire));
        let (line, rising) = (lines as u32, lines >= RISING);
        let (low, high) = (self.word(first), self.word(first.wrapping_add(1)));
        let both = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
        let now = self.ticket.load(Ordering::Relaxed);
        let (pending, masked) = (
            both(low.pending(), high.pending()),
            both(low.masked(), high.masked()),
        );
        // The same for all blocks, whatever a guest's two CPU_ONs of one vCPU at once have left.
        let enabled = self.is_enabled();
        // One of the lines that are high has an event on its way, and it is not known which. An event too many finds nothing to do.
        let pending = pending | if rising && enabled { line } else { 0 };
        let deliverable = if enabled { pending & !masked } else { 0 };
        let after = core::array::from_fn(|lane| {
            let set = deliverable.wrapping_shr(lane as u32) & 1 != 0;
            let age = self.ages.get(n.wrapping_mul(32).wrapping_add(lane));
            let age = age.filter(|_| set)?.load(Ordering::Relaxed);
            // What nobody has said yet has just become deliverable.
            let waits = if age == 0 { 0 } else { waits(now, age) };
            Some(waits.saturating_add(1).min(LAST))
        });
        Block {
            enabled,
            pending,
            masked,
            line,
            after: after.map(Option::unwrap_or_default),
        }
    }

    /// Block number `n` becomes this, but for lines that are high. Which of these does it not know of? The vCPU does not run.
    #[must_use]
    pub(crate) fn set_block(&self, n: usize, block: &Block) -> u32 {
        let first = n.wrapping_mul(2);
        for (word, shift) in [(first, 0), (first.wrapping_add(1), 16)] {
            let (pending, masked) = (block.pending >> shift, block.masked >> shift);
            let new = Word::of(pending as u16, masked as u16, block.enabled);
            if let Some(place) = self.words.get(word) {
                // Whoever changes it meanwhile does so before or after that.
                place.swap(new.bits(), Ordering::AcqRel);
            }
            if let Some(may) = self.may.get(word / 64) {
                may.fetch_or(1_u64.wrapping_shl(word as u32), Ordering::AcqRel);
            }
        }
        self.ticket.store(LAST, Ordering::Relaxed);
        let ages = self.ages.iter().skip(n.wrapping_mul(32));
        for (age, after) in ages.zip(&block.after) {
            let since = LAST.wrapping_sub(after.wrapping_sub(1));
            age.store(if *after == 0 { 0 } else { since }, Ordering::Relaxed);
        }
        let lines = self.lines.get(n);
        // Who raises one from here on finds the rVIC as it is now.
        let set = u64::from(block.line);
        let high = lines.map_or(0, |lines| lines.fetch_or(set, Ordering::AcqRel));
        high as u32 & !block.line
    }

    /// Writes all there is of it, but for what the host was told and what is counted.
    #[cfg(not(target_os = "none"))]
    pub(super) fn image(&self, out: &mut impl core::fmt::Write) -> core::fmt::Result {
        let Self {
            flags: _,
            shown: _,
            may,
            words,
            ages,
            ticket,
            lines,
            id,
            handle: _,
            counters: _,
            kind: _,
        } = self;
        writeln!(out, "v{} {may:?} {ticket:?}", id.raw())?;
        writeln!(out, "words {words:?}\nages {ages:?}\nlines {lines:?}")
    }

    /// The last ticket was this one.
    #[cfg(test)]
    pub(crate) fn set_ticket(&self, last: u32) {
        self.ticket.store(last, Ordering::Relaxed);
    }

    /// It is not known when this one became deliverable.
    #[cfg(test)]
    pub(crate) fn forget_age(&self, n: usize) {
        if let Some(age) = self.ages.get(n) {
            age.store(0, Ordering::Relaxed);
        }
    }

    /// Words that may have something to deliver.
    #[cfg(test)]
    pub(crate) fn may_of(&self, n: usize) -> u64 {
        let may = self.may.get(n);
        may.map_or(0, |may| may.load(Ordering::Relaxed))
    }
}
