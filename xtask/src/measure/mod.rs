// SPDX-License-Identifier: GPL-2.0-only
//! Measuring: what ours costs, in instructions, time and memory, beside Xen's C vGICs.
//!
//! - [`mod@bench`] is the task; [`callgrind`] counts for it.

pub mod bench;
mod callgrind;
