// SPDX-License-Identifier: GPL-2.0-only
//! The cross binutils.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// binutils with a prefix such as `aarch64-linux-gnu-`.
pub struct Tools {
    prefix: String,
}

impl Tools {
    /// The tools with this prefix, or with what `CROSS_COMPILE` says, or with Debian's.
    pub fn new(prefix: Option<String>) -> Tools {
        let given = prefix.or_else(|| std::env::var("CROSS_COMPILE").ok());
        Tools {
            prefix: given.unwrap_or_else(|| "aarch64-linux-gnu-".to_owned()),
        }
    }

    /// Runs objcopy; `from` and `to` may be the same.
    pub fn objcopy(&self, arguments: &[String], from: &Path, to: &Path) -> Result<()> {
        let mut all: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        all.extend([from.as_os_str(), to.as_os_str()]);
        self.run("objcopy", &all).map(drop)
    }

    /// Merges objects, keeping only what the exports reach.
    pub fn link(
        &self,
        script: &Path,
        exports: &[String],
        objects: &[PathBuf],
        to: &Path,
    ) -> Result<()> {
        let exports: Vec<String> = exports.iter().map(|e| format!("--undefined={e}")).collect();
        let mut all: Vec<&OsStr> = ["-r", "-EL", "--gc-sections", "-T"]
            .iter()
            .map(OsStr::new)
            .collect();
        all.push(script.as_os_str());
        all.extend(exports.iter().map(OsStr::new));
        all.extend([OsStr::new("-o"), to.as_os_str()]);
        all.extend(objects.iter().map(|o| o.as_os_str()));
        self.run("ld", &all).map(drop)
    }

    /// The code of an object as text, without addresses' symbols cut short.
    pub fn disassemble(&self, object: &Path) -> Result<String> {
        let options = ["-d", "-w", "--no-show-raw-insn"].map(OsStr::new);
        self.run(
            "objdump",
            &[options.as_slice(), &[object.as_os_str()]].concat(),
        )
    }

    fn run(&self, tool: &str, arguments: &[&OsStr]) -> Result<String> {
        let program = format!("{}{tool}", self.prefix);
        let output = Command::new(&program).args(arguments).output().with_context(|| {
            format!("cannot run {program} (Debian: binutils-aarch64-linux-gnu; or set CROSS_COMPILE)")
        })?;
        if !output.status.success() {
            bail!(
                "{program} failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
