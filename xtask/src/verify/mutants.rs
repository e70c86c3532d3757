// SPDX-License-Identifier: GPL-2.0-only
//! `mutants`: cargo-mutants plants small faults in the modules that decide, and some test must fail for each.
//!
//! Which modules these are is said in .cargo/mutants.toml. All mutants meet the core's own tests, which build in a second;
//! those that survive meet the tests of the mock Xen. Mutants that no test kills are listed in mutants.survivors, each with
//! the reason; a new one fails the task, and so does one that is listed and now killed.

use crate::command::{attempt, output, run};
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The list, in the root of the workspace.
const LIST: &str = "mutants.survivors";
/// What cargo-mutants is to examine, beside other things.
const CONFIGURATION: &str = ".cargo/mutants.toml";
/// The tests of the mock Xen that decide by themselves, rather than by what threads happen to do.
const MOCK: [&str; 12] = [
    "--package=vgic-harness",
    "--test=cases",
    "--test=delivery",
    "--test=dir",
    "--test=dir_gicv3",
    "--test=espi",
    "--test=its",
    "--test=lifecycle",
    "--test=many_vcpus",
    "--test=observe",
    "--test=random",
    "--test=registers",
];
/// Random sequences each of the core's tests tries with a mutant: a fault that only one in hundreds finds is no test's.
const PROPTEST_CASES: &str = "40";
/// Bytes each process may have.
const MEMORY: u64 = 8 << 30;
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
    let examined = examined(&paths::root())?;
    let missing = missing(&paths::root(), &examined, &listed);
    if !missing.is_empty() {
        bail!(
            "{CONFIGURATION} or {LIST} names what is not there: {}",
            missing.join(", ")
        );
    }
    install()?;
    let out = paths::target().join("mutants");
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let results = out.join("mutants.out");
    let logs = ["core.log", "mock.log"].map(|log| out.join(log));
    let mut round = Round {
        out: &out,
        again: false,
        profile: "mutants",
        tests: &["--lib", "--test=state_model"],
        limit: "12",
        log: &logs[0],
    };
    let step = Step::start("Testing the mutants with the core's own tests (hours, if all)");
    round.run(arguments, &step)?;
    let mut outcome = Outcome::default();
    outcome.count_killed(&results)?;
    settle_timeouts(&results)?;
    step.done(&format!("{} killed", outcome.killed()));
    round = Round {
        again: true,
        profile: "mutants-mock",
        tests: &MOCK,
        limit: "40",
        log: &logs[1],
        ..round
    };
    let step =
        Step::start("Testing those that are left with the tests of the mock Xen (an hour, if all)");
    round.run(arguments, &step)?;
    outcome.count_killed(&results)?;
    outcome.count_survivors(&results)?;
    step.done(&format!("{} survive", outcome.survivors()));
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

/// One run of cargo-mutants over the modules, with some of the tests.
struct Round<'a> {
    /// Where its results go.
    out: &'a Path,
    /// Only what survived the round before.
    again: bool,
    /// Of Cargo.toml: quick to build, or quick to run.
    profile: &'a str,
    /// What is built and run.
    tests: &'a [&'a str],
    /// Seconds that they may take: a mutant may make a loop endless, and the machine may have other work.
    limit: &'a str,
    /// Where it says what it does.
    log: &'a Path,
}

impl Round<'_> {
    fn run(&self, arguments: &Arguments, step: &Step) -> Result<()> {
        // A mutant may fill the memory as well as the time.
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--as={MEMORY}"))
            .arg(cargo().get_program())
            .current_dir(paths::root())
            .args(["mutants", "--package", "rust-vgic", "--output"])
            .arg(self.out)
            .args(["--profile", self.profile])
            .args(["--minimum-test-timeout", self.limit])
            .args(["--jobs", &arguments.jobs.to_string()])
            .env("PROPTEST_CASES", PROPTEST_CASES)
            // Whoever looks for the shortest of them that fails may run into the time limit.
            .env("PROPTEST_MAX_SHRINK_ITERS", "0")
            .env_remove("CARGO_MANIFEST_DIR")
            // Its copies of the workspace have target directories of their own.
            .env_remove("CARGO_TARGET_DIR");
        for file in &arguments.file {
            // Its own --file adds to those of its configuration.
            command.args(["--re", &format!("/{}:", regex::escape(file))]);
        }
        if let Some(shard) = &arguments.shard {
            command.args(["--shard", shard]);
        }
        if self.again {
            command.arg("--iterate");
        }
        for test in self.tests {
            command.arg(format!("--cargo-arg={test}"));
        }
        // So that each mutant has its line.
        command.args(["--caught", "--unviable"]);
        let (mut done, mut all) = (0, None);
        let see = |line: Option<&str>| {
            let line = line.unwrap_or_default();
            all = all.or_else(|| found(line));
            match of_mutant(line) {
                Some(mutant) => {
                    done += 1;
                    step.at(done, all, mutant);
                }
                None => step.tick(),
            }
        };
        let status = attempt(&mut command, "run cargo mutants", Some(self.log), see)?.status;
        match status.code() {
            // All killed; some missed; some ran into the time limit.
            Some(0 | 2 | 3) => Ok(()),
            Some(4) => bail!(
                "the tests fail without a mutant; see {}",
                self.log.display()
            ),
            _ => bail!(
                "cargo mutants ended with {status}; see {}",
                self.log.display()
            ),
        }
    }
}

/// How many mutants there are, where it says so: `Found 2 mutants to test`.
fn found(line: &str) -> Option<usize> {
    let number = line.trim().strip_prefix("Found ")?.split(' ').next()?;
    number.parse().ok()
}

/// The mutant that a line is about, which has been tested.
fn of_mutant(line: &str) -> Option<&str> {
    let (what, mutant) = line.trim().split_once(' ')?;
    ["caught", "MISSED", "TIMEOUT", "unviable"]
        .contains(&what)
        .then_some(mutant.trim())
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
    fn count_killed(&mut self, directory: &Path) -> Result<()> {
        count(directory, "caught.txt", &mut self.killed)?;
        count(directory, "timeout.txt", &mut self.killed)
    }

    fn count_survivors(&mut self, directory: &Path) -> Result<()> {
        count(directory, "missed.txt", &mut self.survivors)
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

/// The next round leaves out what is caught: also what ended in the time limit.
fn settle_timeouts(directory: &Path) -> Result<()> {
    let timeouts = fs::read_to_string(directory.join("timeout.txt"))?;
    let mut caught = fs::OpenOptions::new()
        .append(true)
        .open(directory.join("caught.txt"))?;
    Ok(caught.write_all(timeouts.as_bytes())?)
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

/// The modules that decide: cargo-mutants' patterns of their files.
fn examined(root: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join(CONFIGURATION))
        .with_context(|| format!("cannot read {CONFIGURATION}"))?;
    let patterns = patterns(&text);
    if patterns.is_empty() {
        bail!("{CONFIGURATION} has no examine_globs");
    }
    Ok(patterns)
}

/// The strings of `examine_globs`, one to a line.
fn patterns(configuration: &str) -> Vec<String> {
    let lines = configuration.lines().map(str::trim);
    lines
        .skip_while(|line| !line.starts_with("examine_globs"))
        .take_while(|line| *line != "]")
        .filter_map(|line| Some(line.strip_prefix('"')?.split_once('"')?.0.to_owned()))
        .collect()
}

/// What is listed and not there: of a file that has moved no mutant would be made any more, and cargo-mutants says nothing.
fn missing(root: &Path, examined: &[String], listed: &Counts) -> Vec<String> {
    let survivors = listed.keys().filter_map(|name| name.split_once(": "));
    let files: BTreeSet<&str> = survivors.map(|(file, _)| file).collect();
    let examined = examined.iter().map(String::as_str);
    examined
        .chain(files)
        .filter(|pattern| !is_there(root, pattern))
        .map(str::to_owned)
        .collect()
}

/// Whether a pattern means some file: a `*` is part of one name, and `**` stands for directories.
fn is_there(root: &Path, pattern: &str) -> bool {
    let Some(star) = pattern.find('*') else {
        return root.join(pattern).is_file();
    };
    let above = pattern[..star].rfind('/').map_or("", |end| &pattern[..end]);
    let names = regex::escape(pattern)
        .replace(r"\*\*/", "(.*/)?")
        .replace(r"\*", "[^/]*");
    let Ok(names) = regex::Regex::new(&format!("^{names}$")) else {
        return false;
    };
    walkdir::WalkDir::new(root.join(above))
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| Some(entry.path().strip_prefix(root).ok()?.to_str()?.to_owned()))
        .any(|file| names.is_match(&file))
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

    #[test]
    fn progress_is_read_from_what_cargo_mutants_says() {
        let text = "Found 3 mutants to test\nok       Unmutated baseline in 1s build + 2s test\n\
                    caught   a.rs:1:2: replace > with < in f in 1s build + 1s test\n\
                    MISSED   a.rs:7:9: replace < with <= in f in 1s build + 1s test\n\
                    3 mutants tested in 9s: 1 missed, 2 caught\n";
        assert_eq!(text.lines().find_map(found), Some(3));
        let mutants: Vec<&str> = text.lines().filter_map(of_mutant).collect();
        assert_eq!(mutants.len(), 2);
        assert!(mutants[1].starts_with("a.rs:7:9: replace"), "{mutants:?}");
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

    #[test]
    fn what_is_listed_is_there() {
        let root = paths::root();
        let listed = parse(&fs::read_to_string(root.join(LIST)).unwrap()).unwrap();
        let examined = examined(&root).unwrap();
        assert!(examined.len() > 1, "{examined:?}");
        assert_eq!(missing(&root, &examined, &listed), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_has_moved_is_missed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("src/wing")).unwrap();
        fs::write(root.path().join("src/wing/a.rs"), "").unwrap();
        let text = "examine_globs = [\n    # A remark.\n    \"src/wing/a.rs\",\n    \"src/wing/*.rs\",\n    \"src/**/a.rs\",\n\
                    \"src/a.rs\",\n    \"src/*.rs\",\n    \"src/none/*.rs\",\n]\nexclude_re = [\n    \"x\",\n]\n";
        let listed = parse("src/b.rs: replace f with () # it is the same\n").unwrap();
        assert_eq!(
            missing(root.path(), &patterns(text), &listed),
            ["src/a.rs", "src/*.rs", "src/none/*.rs", "src/b.rs"]
        );
    }
}
