// SPDX-License-Identifier: GPL-2.0-only
//! `releases`: each of several Xen trees patched and built, without and with its support for the ITS.
//!
//! A tree that fails does not keep the others from being tried: the table says which fail, and in which step.

use crate::hypervisor::arguments::{TreeArguments, Vgic, XenArguments};
use crate::hypervisor::driver;
use crate::hypervisor::tree::Source;
use crate::hypervisor::version::series_name;
use crate::hypervisor::xen::{Built, Prepared};
use crate::interrupt;
use crate::table::{empty, right};
use crate::unavailable::Unavailable;
use anyhow::Result;
use comfy_table::Table;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Which trees.
#[derive(clap::Args, Clone, Debug)]
pub struct Arguments {
    /// The Xen sources, several: each `debian`, `debian-4.17` or another release, or the path of a tree (copied, never
    /// changed)
    #[arg(
        long,
        env = "XEN_TREE",
        default_value = "debian",
        num_args = 1..,
        value_name = "debian|debian-RELEASE|PATH"
    )]
    pub xen: Vec<String>,
}

/// The two builds of a tree: how each is called after the release, and whether it has the ITS.
const BUILDS: [(&str, bool); 2] = [("", false), (" with HAS_ITS", true)];

/// What became of one build.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// Bytes of code in the Rust object, and how many panics are reached in it.
    Ok { code: u64, panics: u64 },
    /// The step that failed.
    Failed(&'static str),
    /// What it takes cannot be had.
    LeftOut,
    /// A step before both builds has failed.
    NotTried,
}

/// One tree.
#[derive(Debug)]
struct Row {
    /// The full release; of what is no tree, how it was asked for.
    name: String,
    series: &'static str,
    builds: [Outcome; 2],
    seconds: f64,
}

/// Tries all; the result is whether none has failed.
pub fn releases(arguments: &Arguments) -> Result<bool> {
    let mut rows = Vec::new();
    for (number, xen) in arguments.xen.iter().enumerate() {
        let started = Instant::now();
        let place = (number * BUILDS.len(), arguments.xen.len() * BUILDS.len());
        let mut row = Row {
            name: xen.clone(),
            series: "",
            builds: BUILDS.map(|_| Outcome::NotTried),
            seconds: 0.0,
        };
        try_tree(xen, place, &mut row);
        interrupt::check()?;
        row.seconds = started.elapsed().as_secs_f64();
        rows.push(row);
    }
    println!("{}", table(&rows));
    let (failed, missing) = (failures(&rows), missing(&rows));
    if failed.is_empty() && !missing.is_empty() {
        let tried = rows.len() - missing.len();
        let text = format!("{}; ok {tried} of {} trees", missing.join(", "), rows.len());
        return Err(Unavailable(text).into());
    }
    println!("{}", last_line(rows.len(), &failed, &missing));
    Ok(failed.is_empty())
}

/// Builds one tree twice, as long as there is something to build. `place` is how many builds were before, and how many
/// there are in all.
fn try_tree(xen: &str, place: (usize, usize), row: &mut Row) {
    for (n, (with, its)) in BUILDS.into_iter().enumerate() {
        let source = match Source::open(xen) {
            Ok(source) => source,
            Err(error) => {
                row.builds[n] = failed(&row.name, "source", &error);
                return;
            }
        };
        row.name.clone_from(&source.full_version);
        row.series = series_name(source.version).unwrap_or_default();
        let what = format!("Xen {}{with}", row.name);
        eprintln!("[{}/{}] {what}", place.0 + n + 1, place.1);
        let arguments = XenArguments {
            vgic: Vgic::Rust,
            tree: TreeArguments {
                xen: xen.to_owned(),
            },
            espi: false,
            its,
            smmu: false,
            record: false,
        };
        let prepared = match Prepared::new(source, &arguments) {
            Ok(prepared) => prepared,
            Err(error) => {
                // The other build has the same patches.
                row.builds[n] = failed(&what, "patches", &error);
                return;
            }
        };
        if its && let Err(error) = driver::check(prepared.tree()) {
            row.builds[n] = failed(&what, "driver", &error);
            return;
        }
        let log = prepared.log(&arguments, false);
        row.builds[n] = match prepared.build(&arguments, false) {
            Ok(built) => found(&built).unwrap_or(Outcome::Failed("object")),
            Err(error) => failed(&what, step_of(&log), &error),
        };
    }
}

/// Says why, and what that makes of a build.
fn failed(what: &str, step: &'static str, error: &anyhow::Error) -> Outcome {
    eprintln!("vgic: {what}: {error:#}");
    if error.is::<Unavailable>() {
        Outcome::LeftOut
    } else {
        Outcome::Failed(step)
    }
}

/// Which step has ended a build whose log this is: the check of the Rust object says its name.
fn step_of(log: &Path) -> &'static str {
    let log = fs::read_to_string(log).unwrap_or_default();
    match log.lines().any(|l| l.starts_with("prelink: ")) {
        true => "object",
        false => "build",
    }
}

/// What the check of the object has counted: `PRELINK rust.o: 1 bytes of code, 2 instructions, ..., 0 panics reached`.
fn found(built: &Built) -> Option<Outcome> {
    counted(built.prelink.first()?)
}

fn counted(report: &str) -> Option<Outcome> {
    let (_, numbers) = report.split_once(": ")?;
    let number = |what: &str| {
        let part = numbers.split(", ").find_map(|p| p.strip_suffix(what));
        part?.parse().ok()
    };
    Some(Outcome::Ok {
        code: number(" bytes of code")?,
        panics: number(" panics reached")?,
    })
}

/// What has failed, by release and step.
fn failures(rows: &[Row]) -> Vec<String> {
    each(rows, |outcome| match outcome {
        Outcome::Failed(step) => Some(step),
        _ => None,
    })
    .map(|(name, with, step)| format!("{name}{with} ({step})"))
    .collect()
}

/// What could not be had; without a failure, that is one entry for a tree.
fn missing(rows: &[Row]) -> Vec<String> {
    each(rows, |outcome| (*outcome == Outcome::LeftOut).then_some(""))
        .map(|(name, with, _)| format!("{name}{with}"))
        .collect()
}

/// The builds for which there is a word, with the names of both.
fn each<'a>(
    rows: &'a [Row],
    word: impl Fn(&'a Outcome) -> Option<&'static str> + 'a,
) -> impl Iterator<Item = (&'a str, &'static str, &'static str)> {
    let builds = rows.iter().flat_map(|row| {
        let outcomes = row.builds.iter().zip(BUILDS);
        outcomes.map(|(outcome, (with, _))| (row.name.as_str(), with, outcome))
    });
    builds.filter_map(move |(name, with, outcome)| Some((name, with, word(outcome)?)))
}

fn last_line(trees: usize, failed: &[String], missing: &[String]) -> String {
    let left_out = match missing {
        [] => String::new(),
        missing => format!("; LEFT OUT {}", missing.join(", ")),
    };
    match failed {
        [] if trees == 1 => format!("releases: ok 1 tree{left_out}"),
        [] => format!("releases: ok {trees} trees{left_out}"),
        failed => format!("releases: FAILED {}{left_out}", failed.join(", ")),
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = empty();
    table.set_header(["Xen", "patches", "without ITS", "with ITS", "seconds"]);
    for row in rows {
        let [without, with] = row.builds.each_ref().map(cell);
        let seconds = format!("{:.0}", row.seconds);
        table.add_row([row.name.as_str(), row.series, &without, &with, &seconds]);
    }
    right(&mut table, 4..5);
    table
}

fn cell(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok { code, panics } => format!("ok, {code} bytes of code, {panics} panics"),
        Outcome::Failed(step) => format!("FAILED {step}"),
        Outcome::LeftOut => "LEFT OUT".to_owned(),
        Outcome::NotTried => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Outcome = Outcome::Ok {
        code: 82940,
        panics: 0,
    };

    fn row(name: &str, builds: [Outcome; 2]) -> Row {
        Row {
            name: name.to_owned(),
            series: "4.17",
            builds,
            seconds: 250.4,
        }
    }

    #[test]
    fn what_the_check_counts_is_read() {
        let line = "  PRELINK rust.o: 82940 bytes of code, 20735 instructions, 39 symbols needed of Xen, 0 panics reached";
        assert_eq!(counted(line), Some(OK));
        assert_eq!(counted("  PRELINK rust.o: no bytes of code"), None);
    }

    #[test]
    fn the_last_line_names_what_failed_and_where() {
        let rows = [
            row("4.17.7", [OK, OK]),
            row("4.18.6", [OK, Outcome::Failed("object")]),
            row("4.19.6", [Outcome::Failed("patches"), Outcome::NotTried]),
            row("debian", [Outcome::LeftOut, Outcome::NotTried]),
        ];
        let (failed, missing) = (failures(&rows), missing(&rows));
        assert_eq!(
            last_line(4, &failed, &missing),
            "releases: FAILED 4.18.6 with HAS_ITS (object), 4.19.6 (patches); LEFT OUT debian"
        );
        assert_eq!(
            last_line(1, &failures(&rows[..1]), &[]),
            "releases: ok 1 tree"
        );
        assert_eq!(last_line(7, &[], &[]), "releases: ok 7 trees");
    }

    #[test]
    fn the_table_has_a_row_for_each_tree() {
        let failed = row("4.19.6", [Outcome::Failed("patches"), Outcome::NotTried]);
        let text = table(&[row("4.17.7", [OK, OK]), failed]).to_string();
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|l| l.split("  ").map(str::trim).collect())
            .collect();
        let words = |n: &str| {
            let row = rows.iter().find(|r| r.contains(&n));
            row.map(|r| {
                r.iter()
                    .copied()
                    .filter(|w| !w.is_empty())
                    .collect::<Vec<_>>()
            })
        };
        let ok = "ok, 82940 bytes of code, 0 panics";
        assert_eq!(words("4.17.7"), Some(vec!["4.17.7", "4.17", ok, ok, "250"]));
        let failed = vec!["4.19.6", "4.17", "FAILED patches", "-", "250"];
        assert_eq!(words("4.19.6"), Some(failed));
    }

    #[test]
    fn a_log_says_whether_it_was_the_object() {
        let log = tempfile::NamedTempFile::new().unwrap();
        fs::write(log.path(), "  CC  a.o\na.c:1: error: bad\n").unwrap();
        assert_eq!(step_of(log.path()), "build");
        fs::write(
            log.path(),
            "  CC  a.o\nprelink: the object needs what Xen has not\n",
        )
        .unwrap();
        assert_eq!(step_of(log.path()), "object");
    }
}
