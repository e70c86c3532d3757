// SPDX-License-Identifier: GPL-2.0-only
//! Which vCPUs can take an interrupt that several may take, as far as is known: a bit for each, so that who chooses asks no vCPU.

use crate::intid::VcpuId;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// A set of vCPUs.
#[derive(Debug)]
pub(crate) struct Set([AtomicU64; 2]);

impl Set {
    fn new(all: bool) -> Self {
        let word = if all { u64::MAX } else { 0 };
        Self([AtomicU64::new(word), AtomicU64::new(word)])
    }

    fn fill(&self, all: bool) {
        let word = if all { u64::MAX } else { 0 };
        let Self(words) = self;
        words
            .iter()
            .for_each(|place| place.store(word, Ordering::Release));
    }

    pub(crate) fn load(&self) -> u128 {
        let [low, high] = &self.0;
        let (low, high) = (low.load(Ordering::Acquire), high.load(Ordering::Acquire));
        u128::from(high).wrapping_shl(64) | u128::from(low)
    }

    pub(crate) fn has(&self, id: VcpuId) -> bool {
        let word = self.word(id).load(Ordering::Acquire);
        word & 1_u64.wrapping_shl(id.raw().into()) != 0
    }

    fn word(&self, id: VcpuId) -> &AtomicU64 {
        let [low, high] = &self.0;
        if id.raw() < 64 { low } else { high }
    }

    /// Puts a vCPU in, or takes it out.
    pub(crate) fn put(&self, id: VcpuId, there: bool) {
        let word = self.word(id);
        let bit = 1_u64.wrapping_shl(id.raw().into());
        if there {
            word.fetch_or(bit, Ordering::AcqRel);
        } else {
            word.fetch_and(!bit, Ordering::AcqRel);
        }
    }
}

/// A vCPU as a bit.
pub(crate) fn bit(id: VcpuId) -> u128 {
    1_u128.wrapping_shl(id.raw().into())
}

/// What is known of the vCPUs of a domain.
#[derive(Debug)]
pub(crate) struct Takers {
    /// Whose CPU interface had Group 0, and Group 1, enabled when it was last looked at. Each only by the CPU that runs the vCPU.
    groups: [Set; 2],
    /// Whose redistributor does not sleep. All of them where there is none.
    pub(crate) awake: Set,
    /// Who was found switched off, and has not entered the guest since.
    pub(crate) off: Set,
    /// Somebody was, and what is pending there is still to be seen to.
    found: AtomicU32,
    /// The groups of which an interrupt has once come that nobody could take: bit 0 and bit 1.
    wanted: AtomicU32,
}

impl Takers {
    pub(crate) fn new(awake: bool) -> Self {
        Self {
            groups: [Set::new(false), Set::new(false)],
            awake: Set::new(awake),
            off: Set::new(false),
            found: AtomicU32::new(0),
            wanted: AtomicU32::new(0),
        }
    }

    /// As when it was made: nothing is known.
    pub(crate) fn renew(&self, all_awake: bool) {
        let Self {
            groups: _,
            awake,
            off,
            found,
            wanted,
        } = self;
        self.forget_groups();
        awake.fill(all_awake);
        off.fill(false);
        found.store(0, Ordering::Relaxed);
        wanted.store(0, Ordering::Release);
    }

    /// Who had the group enabled.
    pub(crate) fn group(&self, group1: bool) -> &Set {
        let [group0, of_group1] = &self.groups;
        if group1 { of_group1 } else { group0 }
    }

    /// What was known of that counts no longer.
    pub(crate) fn forget_groups(&self) {
        self.groups.iter().for_each(|group| group.fill(false));
    }

    /// `id` was found switched off.
    pub(crate) fn found_off(&self, id: VcpuId) {
        self.off.put(id, true);
        self.found.store(1, Ordering::Release);
    }

    /// Is it for the caller to see to what is pending at who was found switched off?
    pub(crate) fn take_found(&self) -> bool {
        self.found.load(Ordering::Relaxed) != 0 && self.found.swap(0, Ordering::AcqRel) != 0
    }

    /// Has an interrupt of the group once found nobody?
    pub(crate) fn is_wanted(&self, group1: bool) -> bool {
        self.wanted.load(Ordering::Relaxed) & group_bit(group1) != 0
    }

    /// It has. Says whether that is new.
    pub(crate) fn want(&self, group1: bool) -> bool {
        let bit = group_bit(group1);
        self.wanted.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }
}

/// A group as a bit.
pub(crate) const fn group_bit(group1: bool) -> u32 {
    if group1 { 2 } else { 1 }
}
