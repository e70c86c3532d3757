// SPDX-License-Identifier: GPL-2.0-only
//! Verifying: all that shows without a boot whether the vGIC is right, and whether its tests would notice if it were not.
//!
//! - [`mod@test`]: all tests; [`tsan`]: those with threads, under ThreadSanitizer;
//! - [`diff`]: ours beside the C vGICs, and beside QEMU's model;
//! - [`mutants`]: whether the tests notice faults.

pub mod diff;
pub mod mutants;
pub mod test;
pub mod tsan;
