// SPDX-License-Identifier: GPL-2.0-only
//! What other vGICs say to the same scripts, and what a GIC from the architecture alone says.

pub mod chance;
pub mod compare;
pub mod diff;
pub mod differences;
pub mod generate;
pub mod judge;
pub mod oracle;
pub mod qtest;
pub mod search;
