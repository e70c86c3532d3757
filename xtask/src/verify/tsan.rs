// SPDX-License-Identifier: GPL-2.0-only
//! `tsan`: the tests that have threads under ThreadSanitizer, which reports what two threads access in no order.
//!
//! Everything is instrumented: the vGIC, the glue's C and the mock's, and Rust's std, whose locks it would not see
//! otherwise. That takes RUSTC_BOOTSTRAP, for this build alone, and the library's source. The runtime is rustc's own;
//! gcc only compiles its calls. Fences order nothing for ThreadSanitizer, but what ours put in order is atomic.

use crate::command::{attempt, output, watch};
use crate::hypervisor::core_library;
use crate::paths;
use crate::progress::Step;
use crate::unavailable::Unavailable;
use crate::verify::rustc_host;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

/// Minutes that it takes to compile everything.
const COMPILE: u32 = 1;
/// Where Debian's Rust is.
const DEBIAN: &str = "/usr";
/// The test binary with the planted races, and they.
const RACES: &str = "races";
const PLANTED: [(&str, &str); 2] = [("planted_in_rust", "Rust"), ("planted_in_c", "C")];
/// The test binaries that have threads.
const THREADED: [&str; 2] = ["threads", "its"];

/// Runs them; the result is whether nothing was reported.
pub fn tsan() -> Result<bool> {
    let started = Instant::now();
    let sysroot = core_library::sysroot()?;
    // Elsewhere the link fails, and says what is missing.
    if sysroot == Path::new(DEBIAN) {
        let why = "Debian's Rust comes without the runtime of ThreadSanitizer: this takes rustup's";
        return Err(Unavailable(why.into()).into());
    }
    let build = Build::new()?;
    let step = Step::long(
        "Compiling std, the vGIC and the mock for ThreadSanitizer",
        COMPILE,
    );
    let mut compile = build.cargo();
    for test in THREADED.iter().chain([&RACES]) {
        compile.args(["--test", test]);
    }
    let log = paths::target().join("tsan.log");
    watch(
        compile.arg("--no-run"),
        "build for ThreadSanitizer",
        Some(&log),
        |line| step.cargo(line),
    )?;
    step.done("compiled");
    build.sees_planted_races()?;

    let step = Step::start("Running the tests");
    let mut command = build.cargo();
    THREADED.iter().for_each(|test| {
        command.args(["--test", test]);
    });
    let result = attempt(&mut command, "run the tests", Some(&log), |line| {
        step.cargo(line)
    })?;
    let text = text(&result);
    let races = races(&text);
    let passed = passed(&text);
    step.done(&format!("{passed} passed, {} places reported", races.len()));
    for race in &races {
        println!("{race}");
    }
    let failed = failed(&text);
    if !failed.is_empty() {
        bail!(
            "of the tests fail: {}; all is in {}",
            failed.join(", "),
            log.display()
        );
    }
    if !races.is_empty() {
        bail!(
            "data races in {} places; all is in {}",
            races.len(),
            log.display()
        );
    }
    if !result.status.success() || passed == 0 {
        bail!("the tests do not pass; all is in {}", log.display());
    }
    println!(
        "tsan: ok {passed} tests without a data race, {} planted ones seen ({:.0} s)",
        PLANTED.len(),
        started.elapsed().as_secs_f64()
    );
    Ok(true)
}

/// How everything is compiled and run.
struct Build {
    host: String,
    library: std::path::PathBuf,
}

impl Build {
    fn new() -> Result<Build> {
        Ok(Build {
            host: rustc_host()?,
            library: core_library::source()?,
        })
    }

    /// `cargo test` of the mock Xen.
    fn cargo(&self) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args([
                "test",
                "--package",
                "vgic-harness",
                "-Zbuild-std",
                "--target",
            ])
            .arg(&self.host)
            .current_dir(paths::root())
            // Set by the cargo that runs us, for us alone.
            .env_remove("CARGO_MANIFEST_DIR")
            .env("CARGO_TARGET_DIR", paths::target().join("tsan"))
            .env("RUSTC_BOOTSTRAP", "1")
            // Cargo looks for the source in the toolchain only; this is how its own tests name another place.
            .env("__CARGO_TESTS_ONLY_SRC_ROOT", &self.library)
            .env(
                "RUSTFLAGS",
                "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
            )
            .env(
                format!("CFLAGS_{}", self.host.replace('-', "_")),
                "-fsanitize=thread",
            )
            .env_remove("TSAN_OPTIONS");
        cargo
    }

    /// Makes sure that both compilers instrument.
    fn sees_planted_races(&self) -> Result<()> {
        for (test, language) in PLANTED {
            let mut command = self.cargo();
            command.args(["--test", RACES, "--", "--ignored", "--exact", test]);
            if races(&text(&output(&mut command, "run the planted races")?)).is_empty() {
                bail!(
                    "ThreadSanitizer does not see the race that tests/{RACES}.rs plants in {language}"
                );
            }
        }
        Ok(())
    }
}

fn text(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr];
    both.map(|o| String::from_utf8_lossy(o).into_owned())
        .concat()
}

/// Where races were reported, each place once.
fn races(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("SUMMARY: ThreadSanitizer: "))
        .collect()
}

/// The tests that fail: what is reported beside that may be of their end.
fn failed(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
        .collect()
}

/// How many tests passed.
fn passed(text: &str) -> u32 {
    text.lines()
        .filter_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next())
        .filter_map(|n| n.parse::<u32>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_once() {
        let text = "==================\nWARNING: ThreadSanitizer: data race (pid=1)\n  Write of size 4\n\
                    SUMMARY: ThreadSanitizer: data race a.c:1:2 in f\n\
                    SUMMARY: ThreadSanitizer: data race a.c:1:2 in f\n\
                    SUMMARY: ThreadSanitizer: data race b.rs:3:4 in g\n";
        let places = ["data race a.c:1:2 in f", "data race b.rs:3:4 in g"];
        assert_eq!(races(text), BTreeSet::from(places));
    }

    #[test]
    fn tests_that_pass_are_counted() {
        let text = "test result: ok. 6 passed; 0 failed\ntest result: ok. 2 passed; 0 failed\n\
                    test result: FAILED. 1 passed; 1 failed\n";
        assert_eq!(passed(text), 8);
        let text = "test a::b ... ok\ntest a::c ... FAILED\ntest result: FAILED. 1 passed\n";
        assert_eq!(failed(text), ["a::c"]);
    }
}
