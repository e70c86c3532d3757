// SPDX-License-Identifier: GPL-2.0-only
//! The program that creates and destroys domains in Dom0 (guest/life): its build, and what is made of what it says.

use crate::command::run;
use crate::hypervisor::xen::CROSS;
use crate::paths;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// It needs no C library, as a cross compiler's is a package more to install.
const FLAGS: [&str; 13] = [
    "-std=gnu11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffreestanding",
    "-fno-tree-loop-distribute-patterns",
    "-fno-stack-protector",
    "-fno-pie",
    "-no-pie",
    "-nostdlib",
    "-static",
    "-s",
];

/// Compiles it with the compiler that Xen is built with.
pub fn build() -> Result<PathBuf> {
    let (source, directory) = (paths::root().join("guest/life"), paths::guest());
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let program = directory.join("life");
    let mut gcc = Command::new(format!("{CROSS}gcc"));
    gcc.args(FLAGS).arg("-o").arg(&program);
    gcc.arg(source.join("life.c")).arg(source.join("guest.S"));
    run(&mut gcc, "build the program that creates domains", None)?;
    Ok(program)
}

/// What its last line means, if `domains` were asked for.
pub fn judge(said: Option<&str>, domains: u32) -> Result<String, String> {
    let Some(said) = said else {
        return Err("Dom0 did not report of the domains it was to create".to_owned());
    };
    match said.strip_prefix("ok ") {
        Some(what) if what.starts_with(&format!("{domains} domains: ")) => Ok(what.to_owned()),
        _ => Err(said.strip_prefix("FAILED ").unwrap_or(said).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn only_the_number_that_was_asked_for_will_do() {
        let said = "ok 200 domains: 5000 pages free before 100 of 1 vCPU, 5000 after";
        assert!(judge(Some(said), 200).is_ok());
        assert!(judge(Some(said), 20).is_err());
        assert!(judge(None, 200).is_err());
        let failed = judge(Some("FAILED create a domain: error 12"), 200);
        assert_eq!(failed, Err("create a domain: error 12".to_owned()));
    }
}
