// SPDX-License-Identifier: GPL-2.0-only
//! Sixteen interrupts of a vCPU as one word, and what can happen to one of them.
//!
//! Whether the rVIC is enabled is in every word as well: so what may be delivered, and whether an event is dropped, is a pure
//! function of one word, and no access to another can come between.

/// Interrupts in a word.
pub(crate) const LANES: u32 = 16;

/// What happens to an interrupt, or to all of a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// SIGNAL, or one that is injected: pending, if the rVIC is enabled.
    Signal,
    /// CLEAR_PENDING.
    Clear,
    /// SET_MASKED.
    Mask,
    /// CLEAR_MASKED.
    Unmask,
    /// ACKNOWLEDGE: masked and not pending, if it can be delivered.
    Acknowledge,
    /// ENABLE, of all.
    Enable,
    /// DISABLE, of all.
    Disable,
    /// All are as at reset.
    Reset,
}

/// Pending in bits 15 to 0, masked in bits 31 to 16, and in bit 32 whether the rVIC is enabled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Word(u64);

impl Word {
    const ENABLED: u64 = 1 << 32;

    /// All masked, none pending, disabled.
    pub(crate) const RESET: Self = Self(0xffff_0000);

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Of these.
    pub(crate) const fn of(pending: u16, masked: u16, enabled: bool) -> Self {
        let enabled = if enabled { Self::ENABLED } else { 0 };
        Self(pending as u64 | (masked as u64) << 16 | enabled)
    }

    /// Those that are pending.
    pub(crate) const fn pending(self) -> u16 {
        self.0 as u16
    }

    /// Those that are masked.
    pub(crate) const fn masked(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Is the rVIC enabled?
    pub(crate) const fn enabled(self) -> bool {
        self.0 & Self::ENABLED != 0
    }

    /// Those that ACKNOWLEDGE could return.
    pub(crate) const fn deliverable(self) -> u16 {
        if self.enabled() {
            self.pending() & !self.masked()
        } else {
            0
        }
    }

    /// What it becomes. `lane` is which interrupt of it, below [`LANES`].
    #[must_use]
    pub(crate) fn apply(self, lane: u32, event: Event) -> Self {
        let pending = 1_u64.wrapping_shl(lane & 15);
        let masked = pending << 16;
        Self(match event {
            Event::Signal if !self.enabled() => self.0,
            Event::Signal => self.0 | pending,
            Event::Clear => self.0 & !pending,
            Event::Mask => self.0 | masked,
            Event::Unmask => self.0 & !masked,
            Event::Acknowledge if u64::from(self.deliverable()) & pending == 0 => self.0,
            Event::Acknowledge => self.0 & !pending | masked,
            Event::Enable => self.0 | Self::ENABLED,
            Event::Disable => self.0 & !Self::ENABLED,
            Event::Reset => Self::RESET.0,
        })
    }
}
