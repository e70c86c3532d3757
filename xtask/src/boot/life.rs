// SPDX-License-Identifier: GPL-2.0-only
//! The programs of guest/life: Dom0's that use Xen's interface, of which one creates and destroys domains, one sends messages, and one
//! saves, resets and restores vGICs, and one gives PCI devices away; and one of storms. Their build, and what is made of what they say.

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

/// A program: its name, and its source.
pub type Program = (&'static str, &'static [&'static str]);
/// Creates and destroys domains.
pub const LIFE: Program = ("life", &["life.c", "guest.S"]);
/// Sends messages to the test guest.
pub const MESSAGES: Program = ("messages", &["messages.c"]);
/// Saves and restores vGICs.
pub const STATE: Program = ("state", &["state.c"]);

/// Compiles one with the compiler that Xen is built with.
pub fn build((name, files): Program) -> Result<PathBuf> {
    let (source, directory) = (paths::root().join("guest/life"), paths::guest());
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let program = directory.join(name);
    let mut gcc = Command::new(format!("{CROSS}gcc"));
    gcc.args(FLAGS).arg("-o").arg(&program);
    gcc.args(files.iter().map(|file| source.join(file)));
    run(&mut gcc, "build a program of Dom0's", None)?;
    Ok(program)
}
/// Gives PCI devices to domains, and builds domains that own one.
pub const PCI: Program = ("pci", &["pci.c"]);
/// Does to a PCI function what no driver does.
pub const HOSTILE: Program = ("hostile", &["hostile.c"]);
/// Makes a storm of a disk's interrupts, and counts in another domain meanwhile.
pub const STORM: Program = ("storm", &["storm.c"]);

/// What the last line of the first means, if `domains` were asked for, which have what a word stands for.
pub fn judge(said: Option<&str>, domains: u32, with: &str) -> Result<String, String> {
    let what = match with {
        "msi" => "domains with messages",
        "rvic" => "domains with an rVIC",
        "no-rvic" => "domains without an rVIC",
        _ => "domains",
    };
    ok(said, &format!("{domains} {what}: "))
}

/// What that of the other means, if so many were asked for.
pub fn judge_messages(said: Option<&str>, messages: u32) -> Result<String, String> {
    ok(said, &format!("{messages} of "))
}

/// That it has ended well, and says that it has done what was asked for.
pub fn ok(said: Option<&str>, begins: &str) -> Result<String, String> {
    let Some(said) = said else {
        return Err("Dom0 did not report of it".to_owned());
    };
    match said.strip_prefix("ok ") {
        Some(what) if what.starts_with(begins) => Ok(what.to_owned()),
        _ => Err(said.strip_prefix("FAILED ").unwrap_or(said).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{judge, judge_messages};

    #[test]
    fn only_the_number_that_was_asked_for_will_do() {
        let said = "ok 200 domains: 5000 pages free before 100 of 1 vCPU, 5000 after";
        assert!(judge(Some(said), 200, "").is_ok());
        assert!(judge(Some(said), 20, "").is_err());
        assert!(judge(Some(said), 200, "msi").is_err());
        assert!(judge(None, 200, "").is_err());
        let failed = judge(Some("FAILED create a domain: error 12"), 200, "");
        assert_eq!(failed, Err("create a domain: error 12".to_owned()));
        let said = "ok 200 domains with messages: 5000 pages free before 100 of 1 vCPU, 5000 after";
        assert!(judge(Some(said), 200, "msi").is_ok());
        let said = "ok 200 domains with an rVIC: 5000 pages free before 100 of 1 vCPU, 5000 after";
        assert!(judge(Some(said), 200, "rvic").is_ok());
        assert!(judge(Some(said), 200, "").is_err() && judge(Some(said), 200, "no-rvic").is_err());
        let said = "ok 100000 of 63 events, each counted once";
        assert!(judge_messages(Some(said), 100_000).is_ok());
        assert!(judge_messages(Some(said), 10_000).is_err());
        assert!(judge_messages(Some("FAILED a message is lost"), 100_000).is_err());
    }
}
