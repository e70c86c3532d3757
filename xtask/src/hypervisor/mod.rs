// SPDX-License-Identifier: GPL-2.0-only
//! The hypervisor: where Xen's source comes from, what we add to it, how it is built, and what the builds show.
//!
//! - [`arguments`] say which one; [`xen`] builds it, and [`releases`], [`peers`], [`unchanged`] and [`toolstack`] are the other
//!   tasks;
//! - its source: [`tree`], and below it [`debian`], [`version`], [`patch`] and [`copy`];
//! - what we add: [`glue`] and [`core_library`]; what we change in the driver of the ITS is tried by [`driver`].

pub mod arguments;
mod copy;
pub mod core_library;
pub mod debian;
mod driver;
mod glue;
mod patch;
pub mod peers;
pub mod releases;
pub mod toolstack;
pub mod tree;
pub mod unchanged;
pub mod version;
pub mod xen;
