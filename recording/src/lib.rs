// SPDX-License-Identifier: GPL-2.0-only
//! What happens to a vGIC from outside, in one language: a recorder inside the hypervisor writes [`raw`] records, a [`mod@file`]
//! keeps [`Op`]s, people read and write them as [`mod@text`], and the mock Xen plays them.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![cfg_attr(
    test,
    allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod op;
pub mod raw;

#[cfg(feature = "std")]
mod commands;
#[cfg(feature = "std")]
pub mod convert;
#[cfg(feature = "std")]
pub mod driver;
#[cfg(feature = "std")]
pub mod file;
#[cfg(feature = "std")]
mod head;
#[cfg(feature = "std")]
pub mod its;
#[cfg(feature = "std")]
mod names;
#[cfg(feature = "std")]
mod print;
#[cfg(all(test, feature = "std"))]
mod sample;
#[cfg(feature = "std")]
pub mod script;
#[cfg(feature = "std")]
mod steps;
#[cfg(feature = "std")]
pub mod text;
#[cfg(feature = "std")]
mod words;

#[cfg(feature = "std")]
pub use head::{Error, HardwareLine, Head, MAX_INTID, MAX_OPS, MAX_ORIGIN, MAX_SPIS, Recording};
pub use op::{Field, Frame, Op, Register, Size, SysReg};
