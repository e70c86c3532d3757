// SPDX-License-Identifier: GPL-2.0-only
//! Measuring: what ours costs, in instructions, time and memory, beside Xen's C vGICs; and how much of it there is.
//!
//! - [`mod@bench`] is what it costs while it runs; [`callgrind`] counts for it.
//! - [`mod@reach`] is how much code a guest can reach in it.

pub mod bench;
mod callgrind;
pub mod reach;
