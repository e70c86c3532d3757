// SPDX-License-Identifier: GPL-2.0-only
//! `test`: everything that can be tested without booting.
//!
//! The workspace's own tests; what the commands of an ITS cost, which takes optimised code; the loom models, which need the
//! real code compiled with loom's atomics; and a build of the hypervisor, in which the C compiler compares the Rust functions
//! with Xen's prototypes and the prelink looks at every instruction, symbol and relocation of the object.

use crate::cli::{TestArguments, Vgic, XenArguments};
use crate::{bench, command, paths, peers, xen};
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::Instant;

/// Runs all tests; the result is whether they passed.
pub fn test(arguments: &TestArguments) -> Result<bool> {
    let started = Instant::now();
    if !arguments.no_xen {
        // Before the workspace's tests, some of which run on them.
        let objects =
            peers::build(&arguments.tree.xen).context("Xen's C vGICs for the mock Xen")?;
        // What it makes of callgrind's files is tested without it, too.
        if command::exists("valgrind") {
            bench::smoke(&objects).context("one row of bench")?;
        }
    }
    let mut done = vec!["workspace"];
    cargo(&["test", "--workspace"], &arguments.rest, None).context("the workspace's tests")?;
    let recorder = ["test", "--features", "record", "--test", "recorder"];
    cargo(&recorder, &[], None).context("the recorder")?;
    eprintln!("\nThe budget of an ITS's traps, in instructions ...");
    let budget = ["test", "--release", "--test", "budget"];
    cargo(&budget, &[], None).context("the budget of an ITS's traps")?;
    done.push("budget");
    if !arguments.no_loom {
        eprintln!(
            "\nThe loom models: every order of a few threads' accesses, on the real code ..."
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
        cargo(&loom, &[], Some(("--cfg loom", "loom"))).context("the loom models")?;
        done.push("loom");
    }
    if !arguments.no_xen {
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
    println!(
        "test: ok {} ({:.0} s)",
        done.join(", "),
        started.elapsed().as_secs_f64()
    );
    Ok(true)
}

/// Runs cargo with its output shown; `flags` are for rustc, with a target directory of their own.
fn cargo(arguments: &[&str], rest: &[String], flags: Option<(&str, &str)>) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments)
        .args(rest)
        .current_dir(paths::root());
    // Set by the cargo that runs us, for us alone.
    command.env_remove("CARGO_MANIFEST_DIR");
    if let Some((flags, directory)) = flags {
        command
            .env("RUSTFLAGS", flags)
            .env("CARGO_TARGET_DIR", paths::target().join(directory));
    }
    let status = command.status().context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}
