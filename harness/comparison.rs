// SPDX-License-Identifier: GPL-2.0-only
//! What other vGICs say to the same scripts.

pub mod compare;
pub mod diff;
pub mod differences;
pub mod generate;
pub mod qtest;
