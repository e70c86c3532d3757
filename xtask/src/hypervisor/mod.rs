// SPDX-License-Identifier: GPL-2.0-only
//! The hypervisor: where Xen's source comes from, what we add to it, how it is built, and what the builds show.

pub mod arguments;
mod copy;
pub mod core_library;
pub mod debian;
mod glue;
mod patch;
pub mod peers;
pub mod releases;
pub mod tree;
pub mod unchanged;
pub mod version;
pub mod xen;
