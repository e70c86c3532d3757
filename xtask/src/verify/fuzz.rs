// SPDX-License-Identifier: GPL-2.0-only
//! `fuzz`: streams that a domain is restored from, and its tables in guest memory, by chance and led by what they reach in the code.
//!
//! What is tried, and what must hold of it, is a test of the core's (rust-vgic/src/state/tests/fuzz.rs); here it is compiled with the counters
//! of LLVM's SanitizerCoverage, which stable rustc has, optimised, and with debug assertions.

use crate::command::attempt;
use crate::paths;
use crate::progress::Step;
use crate::verify::rustc_host;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::process::{Command, Output};
use std::time::Instant;

/// What has each edge counted, and shows what numbers are compared with.
const COUNTERS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-trace-compares \
     -Copt-level=2 -Cdebug-assertions=on -Coverflow-checks=on -Ccodegen-units=1";
/// The test that does it.
const TEST: &str = "state::tests::fuzz::driver::fuzz_by_coverage";
const REPORT: &str = "fuzzed: ";

/// How long.
#[derive(Args, Clone, Debug)]
pub struct FuzzArguments {
    /// How long
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub minutes: u64,
    /// Make what is in the repository of what was found: the fewest inputs that reach as much
    #[arg(long)]
    pub keep: bool,
}

/// Fuzzes; the result is whether nothing was found.
pub fn fuzz(arguments: &FuzzArguments) -> Result<bool> {
    let started = Instant::now();
    let folder = paths::target().join("fuzz");
    let step = Step::start("Fuzzing what a domain is restored from");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        // With a target named, what runs while it is compiled is without counters.
        .args(["test", "--package", "rust-vgic", "--lib", "--target"])
        .arg(rustc_host()?)
        .args(["--", "--ignored", "--exact", "--nocapture", TEST])
        .current_dir(paths::root())
        // Set by the cargo that runs us, for us alone.
        .env_remove("CARGO_MANIFEST_DIR")
        .env("CARGO_TARGET_DIR", folder.join("build"))
        .env("RUSTFLAGS", COUNTERS)
        .env("VGIC_FUZZ_SECONDS", (arguments.minutes * 60).to_string())
        .env("VGIC_FUZZ_FOLDER", &folder)
        .env_remove("VGIC_FUZZ_KEEP");
    if arguments.keep {
        cargo.env("VGIC_FUZZ_KEEP", "1");
    }
    let log = folder.join("fuzz.log");
    std::fs::create_dir_all(&folder).context("cannot make a folder for what is found")?;
    let result = attempt(&mut cargo, "fuzz", Some(&log), |line| step.cargo(line))?;
    let said = said(&result);
    if !result.status.success() {
        let why = failure(&said).unwrap_or("it does not come to its end");
        bail!("{why}; all is in {}", log.display());
    }
    let report = said.lines().find_map(|line| line.strip_prefix(REPORT));
    let report = report.context("the test has not run")?;
    step.done(report);
    println!(
        "fuzz: ok {report} ({:.0} s)",
        started.elapsed().as_secs_f64()
    );
    Ok(true)
}

fn said(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr];
    both.map(|o| String::from_utf8_lossy(o).into_owned())
        .concat()
}

/// What it says of an input that breaks something.
fn failure(said: &str) -> Option<&str> {
    let mut lines = said.lines();
    lines.find(|line| line.contains("FAILED with ") || line.starts_with("fuzz: no end of "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_input() {
        let said = "fuzz: 3 inputs reach 7 places\nfuzz: panicked at x.rs:1:2:\nno fixed point\n\
                    fuzz: panicked at y.rs:1:2:\nFAILED with target/fuzz/failed/1.bin\n";
        assert_eq!(failure(said), Some("FAILED with target/fuzz/failed/1.bin"));
        let endless = "fuzz: no end of target/fuzz/failed/2.bin";
        assert_eq!(failure(endless), Some(endless));
        assert_eq!(failure("test result: FAILED. 0 passed"), None);
    }

    /// The names are of another crate, and no compiler compares them.
    #[test]
    fn there_is_such_a_test() {
        let folder = paths::root().join("rust-vgic/src/state/tests/fuzz");
        let text = std::fs::read_to_string(folder.join("driver.rs")).expect("the driver");
        let name = TEST.rsplit("::").next().expect("a name");
        assert!(text.contains(&format!("fn {name}()")));
        assert!(text.contains(REPORT) && text.contains("FAILED with "));
    }
}
