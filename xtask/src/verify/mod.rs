// SPDX-License-Identifier: GPL-2.0-only
//! Verifying: all that shows without a boot whether the vGIC is right, and whether its tests would notice if it were not.
//!
//! - [`mod@test`]: all tests; [`tsan`]: those with threads, under ThreadSanitizer;
//! - [`diff`]: ours beside the C vGICs, and beside QEMU's model;
//! - [`fuzz`]: streams by chance, led by what they reach;
//! - [`mutants`]: whether the tests notice faults.

pub mod diff;
pub mod fuzz;
pub mod mutants;
pub mod test;
pub mod tsan;

use crate::command::run;
use anyhow::{Context, Result};
use std::process::Command;

/// What rustc compiles for unless it is told otherwise.
fn rustc_host() -> Result<String> {
    let mut rustc = Command::new("rustc");
    let version = run(rustc.arg("-vV"), "ask rustc for its host", None)?;
    let mut lines = version.lines();
    let host = lines.find_map(|line| line.strip_prefix("host: "));
    host.map(ToOwned::to_owned)
        .context("rustc -vV says no host")
}
