// SPDX-License-Identifier: GPL-2.0-only
//! `test`: everything that can be tested without booting.
//!
//! The workspace's own tests; what the commands of an ITS cost, which takes optimised code; the loom models, which need the
//! real code compiled with loom's atomics; and a build of the hypervisor, in which the C compiler compares the Rust functions
//! with Xen's prototypes and the prelink looks at every instruction, symbol and relocation of the object.

use crate::boot::qemu;
use crate::hypervisor::arguments::{TreeArguments, Vgic, XenArguments};
use crate::hypervisor::tree::Source;
use crate::hypervisor::{peers, xen};
use crate::measure::bench;
use crate::progress::about;
use crate::unavailable::Unavailable;
use crate::{command, paths};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::process::Command;
use std::time::Instant;

/// The last release with each of the older ways of Xen (xen-glue/c/releases.h): the workspace's tests have the newest.
const RELEASES: [&str; 3] = ["417", "420", "421"];
/// The tests that go where they differ: how domains are made and destroyed, GICV, the ITS' doorbell, and patches that
/// are not the same for all.
const OF_RELEASES: [&str; 15] = [
    "test",
    "--package",
    "vgic-harness",
    "--test",
    "lifecycle",
    "--test",
    "dir",
    "--test",
    "its",
    "--test",
    "domu_its",
    "--test",
    "storm",
    "--test",
    "hypercalls",
];
/// The tests of domains whose ITSes are independent of the host's, without its driver.
const WITHOUT_HOST_ITS: [&str; 7] = [
    "test",
    "--package",
    "vgic-harness",
    "--features",
    "without-host-its",
    "--test",
    "domu_its",
];
/// Minutes that each part takes the first time.
const WORKSPACE: u32 = 2;
const OLDER: u32 = 1;
const BUDGET: u32 = 1;
const LOOM: u32 = 2;
/// What takes a Xen tree.
const OF_XEN: &str = "Xen's C vGICs, a row of bench, Xen's prototypes and the prelinked object";

/// What to test.
#[derive(Args, Clone, Debug)]
pub struct TestArguments {
    /// Leave out the loom models
    #[arg(long)]
    pub no_loom: bool,
    /// Leave out the build of Xen, and with it the checks of the header and of the object
    #[arg(long)]
    pub no_xen: bool,
    #[command(flatten)]
    pub tree: TreeArguments,
    /// Handed to cargo test
    #[arg(last = true)]
    pub rest: Vec<String>,
}

/// Runs all tests; the result is whether they passed. Where no Xen can be had they are those that need none, and the last
/// line says so.
pub fn test(arguments: &TestArguments) -> Result<bool> {
    let started = Instant::now();
    let source = source(arguments)?;
    if let Some(source) = &source {
        // Before the workspace's tests, some of which run on them.
        let objects = peers::build(source).context("Xen's C vGICs for the mock Xen")?;
        // What it makes of callgrind's files is tested without it, too.
        if command::exists("valgrind") {
            bench::smoke(&objects).context("one row of bench")?;
        }
    }
    let mut done = vec!["workspace"];
    eprintln!("\nThe workspace's tests, {} ...", about(WORKSPACE));
    let workspace = ["test", "--workspace"];
    cargo(&workspace, &arguments.rest, &[]).context("the workspace's tests")?;
    let recorder = ["test", "--features", "record", "--test", "recorder"];
    cargo(&recorder, &[], &[]).context("the recorder")?;
    eprintln!(
        "\nWhat differs between releases of Xen, {} ...",
        about(OLDER)
    );
    for release in RELEASES {
        eprintln!("on a mock of {release}:");
        let target = paths::target().join("releases").display().to_string();
        let mock = [
            (peers::RELEASE, release.to_owned()),
            ("CARGO_TARGET_DIR", target),
        ];
        cargo(&OF_RELEASES, &[], &mock).with_context(|| format!("the mock of Xen {release}"))?;
    }
    done.push("older releases");
    eprintln!(
        "\nA Xen without the driver of the host's ITSes, {} ...",
        about(OLDER)
    );
    cargo(&WITHOUT_HOST_ITS, &[], &[]).context("a Xen without the driver of the host's ITSes")?;
    eprintln!(
        "\nThe budget of an ITS's traps, in instructions, {} ...",
        about(BUDGET)
    );
    let budget = ["test", "--release", "--test", "budget"];
    cargo(&budget, &[], &[]).context("the budget of an ITS's traps")?;
    done.push("budget");
    if !arguments.no_loom {
        eprintln!(
            "\nThe loom models: every order of a few threads' accesses, on the real code, {} ...",
            about(LOOM)
        );
        // Optimised, because loom runs each model many thousands of times; a directory of its own, because the flag would
        // make cargo compile everything again, twice.
        let loom = [
            "test",
            "--release",
            "--package",
            "rust-vgic",
            "--test",
            "loom",
        ];
        let directory = paths::target().join("loom").display().to_string();
        let apart = [
            ("RUSTFLAGS", "--cfg loom".into()),
            ("CARGO_TARGET_DIR", directory),
        ];
        cargo(&loom, &[], &apart).context("the loom models")?;
        done.push("loom");
    }
    if source.is_some() {
        for record in [false, true] {
            let xen = XenArguments {
                vgic: Vgic::Rust,
                tree: arguments.tree.clone(),
                espi: false,
                its: false,
                smmu: false,
                record,
            };
            let built = xen::build(&xen, false).context("the build of Xen")?;
            for line in &built.prelink {
                eprintln!("{line}");
            }
        }
        done.push("Xen's prototypes and the prelinked object");
    }
    let version = source.as_ref().map(|s| s.full_version.as_str());
    let seconds = started.elapsed().as_secs_f64();
    println!("{}", last_line(version, &done, seconds));
    Ok(true)
}

fn last_line(xen: Option<&str>, done: &[&str], seconds: f64) -> String {
    let (tree, left_out) = match xen {
        Some(version) => (format!(" xen={version}"), String::new()),
        None => (String::new(), format!("; LEFT OUT without a Xen: {OF_XEN}")),
    };
    format!(
        "test: ok{tree} {}{left_out} ({seconds:.0} s)",
        done.join(", ")
    )
}

/// The Xen to test with, if one is wanted and can be had.
fn source(arguments: &TestArguments) -> Result<Option<Source>> {
    if arguments.no_xen {
        return Ok(None);
    }
    match Source::open(&arguments.tree.xen) {
        Ok(source) => Ok(Some(source)),
        Err(error) if error.is::<Unavailable>() => {
            eprintln!("vgic: testing what needs no Xen: {error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Runs cargo with its output shown, and with these variables.
fn cargo(arguments: &[&str], rest: &[String], variables: &[(&str, String)]) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments)
        .args(rest)
        .current_dir(paths::root());
    // Set by the cargo that runs us, for us alone.
    command.env_remove("CARGO_MANIFEST_DIR");
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    qemu::lend(&mut command)?;
    let status = command::show(&mut command, "run cargo")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_names_what_was_left_out() {
        let done = ["workspace", "loom"];
        let with = last_line(Some("4.17.5"), &done, 7.4);
        assert_eq!(with, "test: ok xen=4.17.5 workspace, loom (7 s)");
        let without = last_line(None, &done, 7.4);
        assert!(
            without.starts_with("test: ok workspace, loom; LEFT OUT without a Xen: Xen's C vGICs,")
        );
    }

    #[test]
    fn both_sides_call_the_release_by_one_name() {
        assert_eq!(peers::RELEASE, xen_glue_header::RELEASE);
    }
}
