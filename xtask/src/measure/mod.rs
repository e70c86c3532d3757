// SPDX-License-Identifier: GPL-2.0-only
//! Measuring: what ours costs, in instructions, time and memory, beside Xen's C vGICs.

pub mod bench;
mod callgrind;
