// SPDX-License-Identifier: GPL-2.0-only
//! The reduced virtual interrupt controller (Arm DEN0102, alpha 0.3): an rVIC for each vCPU and an rVID for the domain.
//!
//! A model of its own beside the GIC's, and a paravirtual one: its guest has no registers, but calls. There are no priorities, no
//! groups and no active state. An interrupt is pending or not, masked or not; what is pending and not masked of an enabled rVIC
//! may be delivered, and while there is any the vCPU's IRQ line is on.
//!
//! | module | what |
//! |---|---|
//! | `rvic::word` | sixteen interrupts as one word, and what can happen to them |
//! | `rvic::controller` | a vCPU's rVIC: its words, which of them was first, who is to be called |
//! | `rvid` | a domain's inputs: where they go |
//! | `rvic::domain` | a domain's: creation, look-up, reset |
//! | `rvic::delivery` | events come; a vCPU enters its guest and leaves it |
//! | `rvic::calls` | the guest's calls |
//! | `rvic::dump`, `rvic::image` | what a person sees, and what a test |
//!
//! # Lines
//!
//! A trusted interrupt of the hypervisor is a level: it becomes pending as its line rises, once. Its guest ends it by RESAMPLE, which
//! has it pending again if the line is still high, and then CLEAR_MASKED. What rises while the rVIC is disabled is dropped, as
//! any event, but a line that is high by the time of ENABLE is an event then.
//!
//! # An input that is moved
//!
//! An event that meets a MAP is taken at the new target, and perhaps at the old one as well: at least once. So a driver that moves an
//! input masks it at the old target, maps it to the new one, and then asks the old one whether it is pending there, as it has to for
//! what came before. An event that meets an UNMAP is taken at the old target or dropped. For either, the old target may become
//! pending until a little after the call: who gives its INTID to another input may find one event too many.
//!
//! # Extensions
//!
//! Off unless the domain is to have them; RVID_FEATURES tells which it has.
//!
//! * [`Config::messages`]: some inputs are what messages become; a message's data is its input, and its address a dummy.
//! * [`Config::level_inputs`]: all other inputs are levels, as trusted interrupts are; RVID_RESAMPLE is their RESAMPLE, and MAP
//!   has a line that is high arrive at the new target.

mod calls;
mod controller;
mod delivery;
mod domain;
mod dump;
#[cfg(not(target_os = "none"))]
mod image;
mod word;

pub use calls::{FEATURE_LEVELS, FEATURE_MESSAGES};
pub use controller::Rvic;
pub(crate) use controller::{Block, LAST};
pub use domain::Domain;
use word::Event;

/// Interrupts that an rVIC can have at most, trusted and untrusted.
pub const MOST_INTERRUPTS: u32 = 2048;

/// There are at least so many trusted ones, and so many untrusted ones (rule R0058); and as many more as a multiple of this.
pub const LEAST_INTERRUPTS: u32 = 32;

/// Inputs that an rVID can have at most: one for each untrusted interrupt.
pub const MOST_INPUTS: u32 = MOST_INTERRUPTS - LEAST_INTERRUPTS;

/// What goes into the MSI registers of emulated devices: it means something there only. No frame is at it, and memory may be.
pub const MESSAGE_ADDRESS: u64 = 0xba5e_0000;

/// What a domain is to have.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Config {
    /// vCPUs: 1 to 128.
    pub vcpus: usize,
    /// Trusted interrupts of each rVIC: a multiple of 32, and not 0.
    pub trusted: u32,
    /// Untrusted ones: the same. With the trusted ones, no more than [`MOST_INTERRUPTS`].
    pub untrusted: u32,
    /// Inputs of the rVID: 0 to [`MOST_INPUTS`].
    pub inputs: u32,
    /// Extension: inputs that messages become.
    pub messages: Option<Messages>,
    /// Extension: inputs that are none of these are levels.
    pub level_inputs: bool,
}

/// Which inputs of the rVID messages become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Messages {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Messages {
    fn has(self, input: u32) -> bool {
        let index = input.checked_sub(self.first);
        index.is_some_and(|index| index < self.count)
    }
}

impl Config {
    /// All interrupts of an rVIC.
    pub(crate) fn interrupts(&self) -> u32 {
        self.trusted.saturating_add(self.untrusted)
    }

    /// Is it an input whose line is a level?
    pub(crate) fn is_level(&self, input: u32) -> bool {
        self.level_inputs && input < self.inputs && !self.is_message(input)
    }

    /// Is it an input that messages become?
    pub(crate) fn is_message(&self, input: u32) -> bool {
        self.messages.is_some_and(|messages| messages.has(input))
    }

    /// Can there be such a domain?
    pub(crate) fn is_valid(&self) -> bool {
        let some = |n: u32| n >= LEAST_INTERRUPTS && n & (LEAST_INTERRUPTS - 1) == 0;
        let within = |messages: Messages| {
            let end = messages.first.checked_add(messages.count);
            messages.count != 0 && end.is_some_and(|end| end <= self.inputs)
        };
        (1..=crate::intid::VcpuId::MAX).contains(&self.vcpus)
            && some(self.trusted)
            && some(self.untrusted)
            && self.interrupts() <= MOST_INTERRUPTS
            && self.inputs <= MOST_INPUTS
            && self.messages.is_none_or(within)
    }
}

#[cfg(test)]
mod tests;
