// SPDX-License-Identifier: GPL-2.0-only
//! Xen's driver of the host's ITSes, as the patches leave it, tried on this machine: compiled with `patches/driver/driver.c`, in
//! which there is a small ITS, and run.
//!
//! The sources are the patched tree's. Of its headers they get [`HEADERS`] only; the rest is empty, because `driver.h` comes first.

use crate::command::run;
use crate::paths;
use anyhow::{Context, Result};
use regex::Regex;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The driver, by the macro that names a file of it for the program.
const SOURCES: [(&str, &str); 2] = [
    ("SOURCE_ITS", "gic-v3-its.c"),
    ("SOURCE_LPI", "gic-v3-lpi.c"),
];

/// Its own headers.
const HEADERS: [&str; 2] = ["asm/gic_v3_its.h", "asm/gic_v3_defs.h"];

/// Tries the driver of a tree that has been patched.
///
/// # Errors
/// It does not compile, or something does not hold: the program says what.
pub fn check(tree: &Path) -> Result<()> {
    let arm = tree.join("xen/arch/arm");
    let work = tempfile::tempdir()?;
    let named = Regex::new(r"(?m)^\s*#\s*include\s*<([^>]+)>")?;
    let own = HEADERS.map(|header| arm.join("include").join(header));
    let sources = SOURCES.map(|(_, file)| arm.join(file));
    for file in sources.iter().chain(&own) {
        let text =
            fs::read_to_string(file).with_context(|| format!("there is no {}", file.display()))?;
        for header in named.captures_iter(&text) {
            write(&work.path().join(&header[1]), "")?;
        }
    }
    for (header, file) in HEADERS.iter().zip(&own) {
        write(&work.path().join(header), &fs::read_to_string(file)?)?;
    }
    let program = work.path().join("driver");
    let ours = paths::root().join("patches/driver");
    let mut cc = Command::new("cc");
    // What is not called, as device trees are not, needs nothing.
    cc.args(["-std=gnu99", "-g", "-w", "-ffunction-sections"]);
    cc.args(["-fsanitize=address", "-Wl,--gc-sections"]);
    cc.args(["-DCONFIG_HAS_ITS", "-DCONFIG_RUST_VGIC"]);
    for ((name, _), file) in SOURCES.iter().zip(&sources) {
        let mut define = OsString::from(format!("-D{name}=\""));
        define.push(file);
        define.push("\"");
        cc.arg(define);
    }
    cc.arg("-I").arg(work.path()).arg("-I").arg(&ours);
    cc.arg(ours.join("driver.c")).arg("-o").arg(&program);
    run(&mut cc, "compile Xen's driver of the ITS", None)?;
    // It counts itself what is left, and leaves something on purpose.
    let mut command = Command::new(&program);
    command.env("ASAN_OPTIONS", "detect_leaks=0");
    run(&mut command, "try Xen's driver of the ITS", None).map(drop)
}

fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
