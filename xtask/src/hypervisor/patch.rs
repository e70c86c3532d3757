// SPDX-License-Identifier: GPL-2.0-only
//! Patches: what patch(1) makes of the files that they touch.

use crate::command::{output, run};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Applies one patch to the files of `tree`.
pub fn patch_once(tree: &Path, patch: &Path) -> Result<()> {
    run(
        patch_command(tree, patch).arg("--forward"),
        &format!("apply {}", patch.display()),
        None,
    )
    .map(drop)
}

fn patch_command(tree: &Path, patch: &Path) -> Command {
    let mut command = Command::new("patch");
    command
        .args([
            "-p1",
            "--silent",
            "--batch",
            "--fuzz=0",
            "--no-backup-if-mismatch",
            "--reject-file=-",
        ])
        .arg("-d")
        .arg(tree)
        .arg("-i")
        .arg(patch);
    command
}

/// Makes the patched files of `tree` in `scratch` and returns which they are. A patch that is already in the tree is
/// recognised and left out.
pub fn apply(tree: &Path, series: &[PathBuf], scratch: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for patch in series {
        let text = fs::read_to_string(patch)
            .with_context(|| format!("cannot read {}", patch.display()))?;
        for file in patched_files(&text) {
            let (from, to) = (tree.join(&file), scratch.join(&file));
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            if from.is_file() && !to.exists() {
                fs::copy(&from, &to)?;
            }
            files.insert(file);
        }
    }
    for patch in series {
        let dry = output(
            patch_command(scratch, patch).args(["--forward", "--dry-run"]),
            "patch Xen",
        )?;
        if dry.status.success() {
            patch_once(scratch, patch)?;
            continue;
        }
        let reverse = output(
            patch_command(scratch, patch).args(["--reverse", "--dry-run"]),
            "patch Xen",
        )?;
        if !reverse.status.success() {
            bail!(
                "{} does not apply to the tree at {}; is it the release the series is for?\n{}",
                patch.file_name().unwrap_or_default().to_string_lossy(),
                tree.display(),
                String::from_utf8_lossy(&dry.stdout).trim_end()
            );
        }
    }
    Ok(files)
}

/// The files that a patch touches.
fn patched_files(patch: &str) -> Vec<PathBuf> {
    patch
        .lines()
        .filter_map(|l| {
            l.strip_prefix("+++ b/")
                .or_else(|| l.strip_prefix("--- a/"))
        })
        .filter_map(|l| l.split('\t').next())
        .map(|l| PathBuf::from(l.trim_end()))
        .collect()
}
