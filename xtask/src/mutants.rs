// SPDX-License-Identifier: GPL-2.0-only
//! `mutants`: cargo-mutants plants small faults in the modules that decide, and some test must fail for each.
//!
//! Which modules these are, and which tests, is said in .cargo/mutants.toml. Mutants that no test kills are listed in
//! mutants.survivors, each with the reason; a new one fails the task, and so does one that is listed and now killed.

use crate::command::{output, run};
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The list, in the root of the workspace.
const LIST: &str = "mutants.survivors";
/// Of a hundred mutants, so many must be killed.
const ENOUGH: usize = 90;

/// Which mutants to test.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Only mutants of this file, like lr.rs or irq/state.rs; may be repeated
    #[arg(long, value_name = "FILE")]
    pub file: Vec<String>,
    /// Only the K-th part of N, from 0
    #[arg(long, value_name = "K/N")]
    pub shard: Option<String>,
    /// Mutants tested at a time
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub jobs: u32,
}

/// Tests them; the result is whether exactly the listed ones survive.
pub fn mutants(arguments: &Arguments) -> Result<bool> {
    let started = Instant::now();
    let list = paths::root().join(LIST);
    let text = fs::read_to_string(&list).with_context(|| format!("cannot read {LIST}"))?;
    let listed = parse(&text).context(LIST)?;
    install()?;
    let out = paths::target().join("mutants");
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    test(arguments, &out)?;
    let outcome = Outcome::read(&out.join("mutants.out"))?;
    let wrong = outcome.against(&listed, arguments.shard.is_none());
    for line in &wrong {
        println!("{line}");
    }
    let (killed, all) = (outcome.killed(), outcome.killed() + outcome.survivors());
    if all == 0 {
        bail!("no mutants in what --file or --shard names");
    }
    let ratio = format!(
        "{killed} of {all} mutants killed ({:.1} %)",
        100.0 * killed as f64 / all as f64
    );
    if !wrong.is_empty() {
        bail!("{ratio}; {} differ from {LIST}", wrong.len());
    }
    if killed * 100 < all * ENOUGH && arguments.file.is_empty() && arguments.shard.is_none() {
        bail!("{ratio}, and {ENOUGH} % must be");
    }
    println!(
        "mutants: ok {ratio}, the others are listed ({:.0} s)",
        started.elapsed().as_secs_f64()
    );
    Ok(true)
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(paths::root())
        // Set by the cargo that runs us, for us alone.
        .env_remove("CARGO_MANIFEST_DIR");
    cargo
}

fn install() -> Result<()> {
    if output(cargo().args(["mutants", "--version"]), "run cargo")?
        .status
        .success()
    {
        return Ok(());
    }
    let step = Step::start("Installing cargo-mutants");
    run(
        cargo().args(["install", "--locked", "cargo-mutants"]),
        "install cargo-mutants (is there a network?)",
        Some(&paths::target().join("mutants-install.log")),
    )?;
    step.done("installed");
    Ok(())
}

/// Runs cargo-mutants, which says itself how far it is.
fn test(arguments: &Arguments, out: &Path) -> Result<()> {
    let mut command = cargo();
    command
        .args(["mutants", "--package", "rust-vgic", "--output"])
        .arg(out)
        .args(["--jobs", &arguments.jobs.to_string()])
        // Its copies of the workspace have target directories of their own.
        .env_remove("CARGO_TARGET_DIR");
    for file in &arguments.file {
        // Its own --file adds to those of its configuration.
        command.args(["--re", &format!("/{}:", regex::escape(file))]);
    }
    if let Some(shard) = &arguments.shard {
        command.args(["--shard", shard]);
    }
    let status = command.status().context("cannot start cargo mutants")?;
    match status.code() {
        // All killed; some missed; some ran into the time limit.
        Some(0 | 2 | 3) => Ok(()),
        Some(4) => bail!(
            "the tests fail without a mutant; the log is in {}",
            out.display()
        ),
        _ => bail!("cargo mutants ended with {status}"),
    }
}

/// How often a mutant is meant: the same change may be possible in several places of one function.
type Counts = BTreeMap<String, usize>;

/// What became of the mutants. One that ends in the time limit is killed: some loop does not end.
#[derive(Default)]
struct Outcome {
    killed: Counts,
    survivors: Counts,
}

impl Outcome {
    fn read(directory: &Path) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        count(directory, "caught.txt", &mut outcome.killed)?;
        count(directory, "timeout.txt", &mut outcome.killed)?;
        count(directory, "missed.txt", &mut outcome.survivors)?;
        Ok(outcome)
    }

    fn killed(&self) -> usize {
        self.killed.values().sum()
    }

    fn survivors(&self) -> usize {
        self.survivors.values().sum()
    }

    /// Where it differs from the list; `whole` says that all mutants of each function were tested.
    fn against(&self, listed: &Counts, whole: bool) -> Vec<String> {
        let times = |counts: &Counts, name: &str| counts.get(name).copied().unwrap_or(0);
        let mut wrong: Vec<String> = self
            .survivors
            .iter()
            .filter(|&(name, &n)| n > times(listed, name))
            .map(|(name, _)| format!("survives, and is not listed: {name}"))
            .collect();
        let tested = |name: &str| times(&self.killed, name) > 0 || times(&self.survivors, name) > 0;
        wrong.extend(
            listed
                .iter()
                .filter(|&(name, &n)| whole && tested(name) && n > times(&self.survivors, name))
                .map(|(name, _)| format!("is listed, and killed: {name}")),
        );
        wrong
    }
}

/// Counts the mutants in one of cargo-mutants' files.
fn count(directory: &Path, file: &str, counts: &mut Counts) -> Result<()> {
    let path = directory.join(file);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    for line in text.lines() {
        *counts.entry(without_place(line)).or_default() += 1;
    }
    Ok(())
}

/// `FILE:LINE:COLUMN: CHANGE` as `FILE: CHANGE`, which outlives edits elsewhere in the file.
fn without_place(line: &str) -> String {
    let Some((place, change)) = line.split_once(": ") else {
        return line.to_owned();
    };
    let file = place.split(':').next().unwrap_or(place);
    format!("{file}: {change}")
}

/// Reads lines of the form `FILE: CHANGE # REASON`.
fn parse(text: &str) -> Result<Counts> {
    let mut counts = Counts::new();
    for (number, line) in (1..).zip(text.lines()) {
        let (mutant, reason) = line.split_once('#').unwrap_or((line, ""));
        let mutant = mutant.trim();
        if mutant.is_empty() {
            continue;
        }
        if reason.trim().is_empty() {
            bail!("line {number} gives no reason");
        }
        *counts.entry(mutant.to_owned()).or_default() += 1;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(killed: &[&str], survivors: &[&str]) -> Outcome {
        let counts = |lines: &[&str]| {
            lines.iter().fold(Counts::new(), |mut counts, line| {
                *counts.entry(without_place(line)).or_default() += 1;
                counts
            })
        };
        Outcome {
            killed: counts(killed),
            survivors: counts(survivors),
        }
    }

    const TEXT: &str = "# A remark.\na.rs: replace < with <= in f # it is the same\n";

    #[test]
    fn the_listed_ones_may_survive_wherever_they_are() {
        let listed = parse(TEXT).unwrap();
        let now = outcome(
            &["a.rs:1:2: replace > with < in f"],
            &["a.rs:7:9: replace < with <= in f"],
        );
        assert_eq!(now.against(&listed, true), Vec::<String>::new());
    }

    #[test]
    fn another_survivor_is_named_even_if_it_only_looks_the_same() {
        let listed = parse(TEXT).unwrap();
        let twice = [
            "a.rs:7:9: replace < with <= in f",
            "a.rs:8:9: replace < with <= in f",
        ];
        for survivors in [&twice[..], &["b.rs:1:1: replace g -> u32 with 0"]] {
            let wrong = outcome(&[], survivors).against(&listed, false);
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            assert!(wrong[0].starts_with("survives"), "{wrong:?}");
        }
    }

    #[test]
    fn one_that_is_killed_must_leave_the_list_if_all_were_tested() {
        let listed = parse(TEXT).unwrap();
        let now = outcome(&["a.rs:7:9: replace < with <= in f"], &[]);
        assert_eq!(
            now.against(&listed, true),
            ["is listed, and killed: a.rs: replace < with <= in f"]
        );
        assert!(now.against(&listed, false).is_empty());
        assert!(
            outcome(&["b.rs:1:1: x"], &[])
                .against(&listed, true)
                .is_empty()
        );
    }

    #[test]
    fn a_survivor_has_a_reason() {
        let error = parse("a.rs: replace f with ()\n").unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
