// SPDX-License-Identifier: GPL-2.0-only
//! How our own files get into a Xen tree, and what its build needs to compile the Rust half.

use crate::progress::Step;
use crate::tree::Addition;
use anyhow::Result;
use std::process::Command;

/// The files that are added to a tree.
pub fn additions() -> Result<Vec<Addition>> {
    Ok(Vec::new())
}

/// Makes sure that the core library for the hypervisor's target is there.
pub fn core_library(_step: &Step) -> Result<()> {
    Ok(())
}

/// What Xen's make is told.
pub fn environment(_make: &mut Command) {}
