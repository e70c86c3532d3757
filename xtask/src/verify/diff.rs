// SPDX-License-Identifier: GPL-2.0-only
//! `diff`: our vGIC beside Xen's C vGICs and QEMU's model of a GIC, on random scripts and on the recordings.

use crate::boot::qemu;
use crate::hypervisor::arguments::TreeArguments;
use crate::hypervisor::peers;
use crate::hypervisor::tree::Source;
use crate::{command, interrupt, paths};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// With which C vGICs to compare, and for how long.
#[derive(Args, Clone, Debug)]
pub struct DiffArguments {
    #[command(flatten)]
    pub tree: TreeArguments,
    /// Random scripts for each peer and version of the GIC
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000), value_name = "N")]
    pub seeds: u64,
}

/// Compares; the result is that all is as it is known to be.
pub fn diff(arguments: &DiffArguments) -> Result<bool> {
    let source = Source::open(&arguments.tree.xen)?;
    peers::build(&source)?;
    let seeds = arguments.seeds.to_string();
    harness(&["diff", "--against", "qemu,new,old", "--seeds", &seeds]).context(
        "the random scripts: a difference that is not in harness/comparison/differences.rs, or one that is no more",
    )?;
    let recordings = recordings()?;
    for recording in &recordings {
        let name = recording.display().to_string();
        harness(&["replay", &name, "--vgic", "rust"]).with_context(|| name.clone())?;
        // What a C vGIC makes of it is shown; the known differences say why it may not be the same.
        for peer in ["new", "old"] {
            println!("\n{name} on {peer}:");
            let _ = harness(&["replay", &name, "--vgic", peer]);
            interrupt::check()?;
        }
    }
    println!(
        "diff: ok {seeds} random scripts per peer and version, {} recordings, xen={}",
        recordings.len(),
        source.full_version
    );
    Ok(true)
}

/// The recordings that come with the harness, in the order of their names.
fn recordings() -> Result<Vec<PathBuf>> {
    let directory = paths::root().join("recordings");
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let files = fs::read_dir(&directory).context("the recordings")?;
    let mut files: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
    files.retain(|file| file.extension() == Some(Path::new("vgicrec").as_os_str()));
    files.sort();
    Ok(files)
}

/// Runs the mock Xen with its output shown.
fn harness(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "vgic-harness",
            "--",
        ])
        .args(arguments)
        .env_remove("CARGO_MANIFEST_DIR")
        .current_dir(paths::root());
    qemu::lend(&mut command)?;
    if !command::show(&mut command, "run cargo")?.success() {
        bail!("see above");
    }
    Ok(())
}
