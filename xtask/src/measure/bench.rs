// SPDX-License-Identifier: GPL-2.0-only
//! `bench`: one table of what ours costs beside Xen's C vGICs, all measured in one run.
//!
//! Counted are the instructions of the functions that are in a vGIC's object and not from the mock's sources: callgrind says
//! which function spent them. What a vGIC calls outside of it is free for all alike, collections and the driver of the list
//! registers included; only a lock has its price ([`LOCK`] and so on), which is what it costs in Xen.

mod chart;
mod costs;
mod show;

use crate::file::write_whole;
use crate::hypervisor::arguments::TreeArguments;
use crate::hypervisor::peers;
use crate::hypervisor::tree::Source;
use crate::measure::callgrind::{self, Function, Profile};
use crate::progress::Step;
use crate::{command, paths};
use anyhow::{Context, Result, bail};
use costs::{Cost, INSTRUCTIONS, Row, Table};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What Xen's own locks cost on arm64, in instructions: to take one, with interrupts masked besides, and to release it.
const LOCK: u64 = 19;
const IRQ_SAVE: u64 = 7;
const UNLOCK: u64 = 13;
const IRQ_RESTORE: u64 = 1;

/// How often the time is taken: the median counts.
const TIMES: usize = 5;

/// What to measure.
#[derive(clap::Args, Clone, Debug)]
pub struct Arguments {
    /// With which C vGICs to compare
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "new,old",
        value_name = "new,old"
    )]
    pub against: Vec<Peer>,
    #[command(flatten)]
    pub tree: TreeArguments,
    /// Only rows whose name contains this
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    pub only: String,
    /// Print the rows as JSON, and nothing else
    #[arg(long)]
    pub json: bool,
    /// Draw the hot rows into a file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// One of Xen's C vGICs.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    New,
    Old,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Old => "old",
        }
    }
}

/// Measures, and shows it.
pub fn bench(arguments: &Arguments) -> Result<()> {
    let mut against: Vec<&str> = Vec::new();
    for peer in &arguments.against {
        if !against.contains(&peer.name()) {
            against.push(peer.name());
        }
    }
    if !command::exists("valgrind") {
        bail!("there is no valgrind on this machine: run ./vgic bench, which installs it");
    }
    let objects = peers::build(&Source::open(&arguments.tree.xen)?)?;
    let harness = harness()?;
    let table = measure(&harness, &objects, &against, &arguments.only)?;
    if let Some(file) = &arguments.svg {
        write_whole(file, chart::svg(&table))?;
    }
    if arguments.json {
        println!("{}", show::json(&table));
    } else {
        println!("{}", show::table(&table));
    }
    Ok(())
}

/// Measures one row: a cheap one, in which our vGIC and the new one do something and take or do not take locks.
pub fn smoke(objects: &[PathBuf]) -> Result<()> {
    let only = "v2: 3 unchanged levels, one up";
    let table = measure(&harness()?, objects, &["new", "old"], only)?;
    let [row] = table.rows.as_slice() else {
        bail!("there is no row {only}");
    };
    let value = |cost: Option<Cost>| cost.map_or(0.0, |c| c.value);
    let (ours, new) = (value(row.ours), value(row.peers[0]));
    // Three locks with interrupts masked; some tens of instructions each; and the old one is not told.
    let prices = (3 * (LOCK + IRQ_SAVE + UNLOCK + IRQ_RESTORE)) as f64;
    if !(new > prices && new < 1000.0 && ours > 0.0 && ours < 1000.0) || row.peers[1].is_some() {
        bail!("that cannot be: {row:?}");
    }
    Ok(())
}

/// Builds the mock Xen, optimised.
fn harness() -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--package", "vgic-harness"])
        .env_remove("CARGO_MANIFEST_DIR")
        .current_dir(paths::root());
    let step = Step::start("Building the mock Xen");
    command::run(&mut cargo, "build the mock Xen", None)?;
    let program = paths::target().join("release/vgic-harness");
    step.done("");
    Ok(program)
}

fn measure(
    harness: &Path,
    objects: &[PathBuf],
    against: &[&'static str],
    only: &str,
) -> Result<Table> {
    let find = |name: &str| {
        let found = objects
            .iter()
            .find(|o| o.file_stem().is_some_and(|s| s == name));
        found.with_context(|| format!("there is no {name}.so"))
    };
    let vgics: Vec<&str> = ["rust"]
        .into_iter()
        .chain(against.iter().copied())
        .collect();
    let mut counted = Vec::new();
    for name in &vgics {
        let step = Step::start(format!("Counting what {name} costs"));
        counted.push(count(harness, find(name)?, only).with_context(|| (*name).to_owned())?);
        step.done("");
    }
    let step = Step::start("Taking the time");
    // By turns, so that what else the machine does hits them alike.
    let mut timed: Vec<Vec<Vec<Line>>> = vec![Vec::new(); vgics.len()];
    for _ in 0..TIMES {
        for (name, all) in vgics.iter().zip(&mut timed) {
            all.push(run(&mut driver(harness, find(name)?, only))?);
        }
    }
    step.done("");
    let costs: Vec<Vec<Option<Cost>>> = counted
        .iter()
        .zip(&timed)
        .map(|(counted, timed)| {
            let rows = counted.iter().enumerate();
            rows.map(|(n, (line, instructions))| cost(line, *instructions, n, timed))
                .collect()
        })
        .collect();
    let rows = counted[0].iter().enumerate().map(|(n, (line, _))| Row {
        name: line.name.clone(),
        hot: line.hot,
        unit: line.unit.clone(),
        ours: costs[0][n],
        peers: costs[1..]
            .iter()
            .map(|c| c.get(n).copied().flatten())
            .collect(),
    });
    Ok(Table {
        peers: against.to_vec(),
        rows: rows.collect(),
    })
}

/// What a row costs, of all that was found out about it.
fn cost(line: &Line, instructions: Option<f64>, n: usize, timed: &[Vec<Line>]) -> Option<Cost> {
    let found = line.found.as_ref()?;
    let times = timed.iter().filter_map(|t| t.get(n)?.found.as_ref());
    let median = median(times.map(|f| f.value).collect())?;
    Some(match (line.unit.as_str(), instructions) {
        (INSTRUCTIONS, Some(value)) => Cost {
            value,
            nanoseconds: Some(median),
        },
        ("ns", _) => Cost {
            value: median,
            nanoseconds: None,
        },
        _ => Cost {
            value: found.value,
            nanoseconds: None,
        },
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// A line of the harness's: a row, and what was found if the vGIC can do it.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    name: String,
    hot: bool,
    unit: String,
    found: Option<Found>,
}

#[derive(Clone, Debug, PartialEq)]
struct Found {
    parts: u64,
    operations: u64,
    value: f64,
}

impl Line {
    fn parse(line: &str) -> Result<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let (row, found) = match *fields.as_slice() {
            [name, hot, unit] => ([name, hot, unit], None),
            [name, hot, unit, parts, operations, value] => {
                let found = Found {
                    parts: parts.parse()?,
                    operations: operations.parse()?,
                    value: value.parse()?,
                };
                ([name, hot, unit], Some(found))
            }
            _ => bail!("not a row of the mock Xen's: {line}"),
        };
        let [name, hot, unit] = row;
        Ok(Self {
            name: name.to_owned(),
            hot: hot == "true",
            unit: unit.to_owned(),
            found,
        })
    }
}

fn driver(harness: &Path, vgic: &Path, only: &str) -> Command {
    let mut command = Command::new(harness);
    command.arg("bench").arg("--vgic").arg(vgic);
    command.args(["--only", only]);
    command
}

fn run(command: &mut Command) -> Result<Vec<Line>> {
    let text = command::run(command, "measure", None)?;
    text.lines().map(Line::parse).collect()
}

/// Each row, with the instructions of one operation.
fn count(harness: &Path, vgic: &Path, only: &str) -> Result<Vec<(Line, Option<f64>)>> {
    let directory = tempfile::tempdir().context("a directory for callgrind's files")?;
    let out = directory.path().join("out");
    let mut command = callgrind::command("vgic_bench_measured", &out);
    let driver = driver(harness, vgic, only);
    command
        .arg(driver.get_program())
        .args(driver.get_args())
        .arg("--counting");
    let lines = run(&mut command)?;
    let mut part = 0;
    let mut counted = Vec::new();
    for line in lines {
        let mut instructions = None;
        if let Some(found) = line.found.as_ref().filter(|_| line.unit == INSTRUCTIONS) {
            let mut total = 0;
            for _ in 0..found.parts {
                part += 1;
                let profile = Profile::read(&out.with_extension(part.to_string()))?;
                total += price(&profile, vgic)?;
            }
            instructions = Some(total as f64 / found.operations.max(1) as f64);
        }
        counted.push((line, instructions));
    }
    Ok(counted)
}

/// Is it the vGIC's? Of its object, and not the mock's C half. What a header has put into a function is the function's.
fn is_vgics(function: &Function, vgic: &Path) -> bool {
    let mocks = ["harness/c", "peers/c"].map(|d| paths::root().join(d));
    let file = clean(Path::new(&function.file));
    Path::new(&function.object) == vgic && !mocks.iter().any(|m| file.starts_with(m))
}

/// Without `..`, which a compiler leaves in.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

/// The instructions of the vGIC, with the price of the locks that it takes.
fn price(profile: &Profile, vgic: &Path) -> Result<u64> {
    let own = profile.own.iter().filter(|(f, _)| is_vgics(f, vgic));
    let own: u64 = own.map(|(_, cost)| cost).sum();
    let calls = profile.calls.iter().filter(|((f, _), _)| is_vgics(f, vgic));
    let locks: u64 = calls
        .map(|((_, callee), count)| count * price_of(callee))
        .sum();
    // The mock's half of the object is called in any case, so that one who finds nothing has looked for the wrong object.
    if !profile.own.keys().any(|f| Path::new(&f.object) == vgic) {
        bail!("callgrind has found nothing of {}", vgic.display());
    }
    Ok(own + locks)
}

/// What a call of a service costs, in instructions of Xen's.
fn price_of(callee: &str) -> u64 {
    match callee {
        "_spin_lock" | "_spin_trylock" => LOCK,
        "_spin_unlock" => UNLOCK,
        "mock_local_irq_save" => IRQ_SAVE,
        "mock_local_irq_restore" => IRQ_RESTORE,
        // Ours masks interrupts only to take a lock of its own.
        "rvgic_mock_irq_save" => LOCK + IRQ_SAVE,
        "rvgic_mock_irq_restore" => UNLOCK + IRQ_RESTORE,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
