// SPDX-License-Identifier: GPL-2.0-only
//! The inputs of a domain's rVID (Arm DEN0102): where each goes, and, as an extension of ours, the level of its line.
//!
//! An input is one word, so that where an event goes and whether it meets a change of that is decided by one access. Who brings
//! an event counts itself in the word before it is on its way, and out of it when it has arrived; both ways it reads where the
//! input goes. Who changes that finds the count: as long as it is not 0, an event may yet come to where the input went before,
//! and so has to come to the new place as well. The guest, which asks the old place after the change, finds it pending there, or
//! gets it at the new one, or both. It is lost at neither.

use crate::intid::VcpuId;
use crate::slice::try_boxed;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use alloc::boxed::Box;

/// Where an input goes, as one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry(u64);

impl Entry {
    const INTID: u64 = 0xffff;
    const VCPU: u32 = 16;
    /// It goes somewhere.
    const MAPPED: u64 = 1 << 24;
    /// The line is high.
    const LINE: u64 = 1 << 25;
    /// Events on their way, in the upper half: no more than there are contexts that could bring one.
    const EVENT: u64 = 1 << 32;

    /// What goes nowhere.
    pub(crate) const RESET: Self = Self(0);

    /// Where it goes: a vCPU, and an untrusted INTID there.
    pub(crate) fn target(self) -> Option<(VcpuId, u16)> {
        let vcpu = VcpuId::new((self.0 >> Self::VCPU) as u32 & 0xff);
        vcpu.filter(|_| self.0 & Self::MAPPED != 0)
            .map(|vcpu| (vcpu, (self.0 & Self::INTID) as u16))
    }

    /// Is its line high?
    pub(crate) fn line(self) -> bool {
        self.0 & Self::LINE != 0
    }

    /// Is an event on its way?
    pub(crate) fn is_busy(self) -> bool {
        self.0 >= Self::EVENT
    }

    /// The same that goes there.
    #[must_use]
    pub(crate) fn to(self, target: Option<(VcpuId, u16)>) -> Self {
        let kept = self.0 & !(Self::INTID | 0xff << Self::VCPU | Self::MAPPED);
        Self(target.map_or(kept, |(vcpu, intid)| {
            let vcpu = u64::from(vcpu.raw()).wrapping_shl(Self::VCPU);
            kept | Self::MAPPED | vcpu | u64::from(intid)
        }))
    }

    /// The same whose line is at this level.
    #[must_use]
    pub(crate) fn with_line(self, line: bool) -> Self {
        let low = self.0 & !Self::LINE;
        Self(if line { low | Self::LINE } else { low })
    }

    /// The same with one more event on its way.
    fn with_event(self) -> Self {
        Self(self.0.wrapping_add(Self::EVENT))
    }
}

/// The inputs of a domain.
#[derive(Debug)]
pub(crate) struct Rvid {
    inputs: Box<[AtomicU64]>,
    /// The physical interrupt behind each, one more than its number; 0 without. Empty where inputs are no levels.
    physical: Box<[AtomicU32]>,
}

impl Rvid {
    /// So many inputs; `levels` of them can have physical interrupts.
    pub(crate) fn new(inputs: usize, levels: usize) -> Option<Self> {
        Some(Self {
            inputs: try_boxed(inputs, |_| AtomicU64::new(Entry::RESET.0))?,
            physical: try_boxed(levels, |_| AtomicU32::new(0))?,
        })
    }

    fn update(&self, input: usize, f: impl Fn(Entry) -> Option<Entry>) -> Option<(Entry, Entry)> {
        let word = self.inputs.get(input)?;
        let mut now = Entry(word.load(Ordering::Relaxed));
        loop {
            let new = f(now)?;
            match word.compare_exchange_weak(now.0, new.0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some((now, new)),
                Err(other) => now = Entry(other),
            }
        }
    }

    /// An input as it is.
    pub(crate) fn entry(&self, input: usize) -> Option<Entry> {
        let word = self.inputs.get(input)?;
        Some(Entry(word.load(Ordering::Acquire)))
    }

    /// All of them.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let load = |word: &AtomicU64| Entry(word.load(Ordering::Acquire));
        self.inputs.iter().map(load)
    }

    /// An event comes, if the input goes anywhere: where. [`Rvid::arrived`] is to follow.
    pub(crate) fn begin(&self, input: usize) -> Option<(VcpuId, u16)> {
        let (_, new) = self.update(input, |now| now.target().map(|_| now.with_event()))?;
        new.target()
    }

    /// The same, if its line is high.
    pub(crate) fn begin_if_high(&self, input: usize) -> Option<(VcpuId, u16)> {
        let (_, new) = self.update(input, |now| {
            now.target()
                .filter(|_| now.line())
                .map(|_| now.with_event())
        })?;
        new.target()
    }

    /// The same as its line rises: not if it is high.
    pub(crate) fn rise(&self, input: usize) -> Option<(VcpuId, u16)> {
        let (_, new) = self.update(input, |now| {
            let high = now.with_line(true);
            let new = high.target().map_or(high, |_| high.with_event());
            (!now.line()).then_some(new)
        })?;
        new.target()
    }

    /// The event has arrived, or was dropped there.
    pub(crate) fn arrived(&self, input: usize) {
        if let Some(word) = self.inputs.get(input) {
            word.fetch_sub(Entry::EVENT, Ordering::AcqRel);
        }
    }

    /// Its line falls.
    pub(crate) fn fall(&self, input: usize) {
        self.update(input, |now| now.line().then(|| now.with_line(false)));
    }

    /// From now on it goes there. How it was before.
    pub(crate) fn map(&self, input: usize, target: Option<(VcpuId, u16)>) -> Option<Entry> {
        self.update(input, |now| Some(now.to(target)))
            .map(|(old, _)| old)
    }

    /// It goes there and its line is high, if that says so or it was already. How it was before.
    pub(crate) fn revive(
        &self,
        input: usize,
        target: Option<(VcpuId, u16)>,
        line: bool,
    ) -> Option<Entry> {
        let revived = |now: Entry| now.to(target).with_line(now.line() || line);
        self.update(input, |now| Some(revived(now)))
            .map(|(old, _)| old)
    }

    /// What is behind it.
    pub(crate) fn physical(&self, input: usize) -> Option<u16> {
        let phys = self.physical.get(input)?.load(Ordering::Acquire);
        phys.checked_sub(1).map(|phys| phys as u16)
    }

    /// From now on this is behind it: yes, if nothing was.
    pub(crate) fn set_physical(&self, input: usize, phys: u16) -> bool {
        let new = u32::from(phys).wrapping_add(1);
        self.physical.get(input).is_some_and(|place| {
            place
                .compare_exchange(0, new, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// Nothing is behind it any more. What was?
    pub(crate) fn take_physical(&self, input: usize) -> Option<u16> {
        let phys = self.physical.get(input)?.swap(0, Ordering::AcqRel);
        phys.checked_sub(1).map(|phys| phys as u16)
    }
}
