// SPDX-License-Identifier: GPL-2.0-only
//! Redistributors (IHI 0069, sections 12.10 and 12.11).

/// A run of redistributors in guest physical memory, 128 KiB for each vCPU.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Region {
    /// Guest physical address, 64 KiB aligned.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// What a redistributor has beside the state of its interrupts.
#[derive(Debug, Default)]
pub(crate) struct Registers {}

impl Registers {
    pub(crate) fn new() -> Self {
        Self {}
    }
}
