// SPDX-License-Identifier: GPL-2.0-only
//! What happens to a vGIC from outside, in one language: a recorder inside the hypervisor writes [`raw`] records, a file keeps
//! [`Op`]s, people read and write them as text, and the mock Xen plays them.
#![cfg_attr(not(any(feature = "std", test)), no_std)]

mod op;
pub mod raw;

pub use op::{Field, Frame, Op, Register, Size, SysReg};
