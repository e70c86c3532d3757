// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask`, and `./vgic`: the tasks that Cargo has no verb for.
//!
//! From the top:
//! - [`cli`]: which tasks there are, and [`setup`], which fetches what all the others need;
//! - [`verify`]: what shows without a boot whether the vGIC is right;
//! - [`measure`]: what it costs, beside Xen's C vGICs;
//! - [`boot`]: a machine, Xen and its guests on it, what they say, and what is made of it;
//! - [`hypervisor`]: Xen's source, what we add to it, and its builds;
//! - what all use: downloads ([`package`], [`apt`], [`cache`], [`unavailable`]), programs and how far they are ([`command`],
//!   [`interrupt`], [`progress`]), files ([`paths`], [`mod@file`], [`lock`]), and [`table`].

mod apt;
mod boot;
mod cache;
mod cli;
mod command;
mod file;
mod hypervisor;
mod interrupt;
mod lock;
mod measure;
mod package;
mod paths;
mod progress;
mod setup;
mod table;
mod unavailable;
mod verify;

use anyhow::bail;
use boot::{bare, figures, latency, linux, record};
use clap::Parser;
use cli::{Cli, Task};
use hypervisor::tree::Source;
use hypervisor::{peers, releases, toolstack, unchanged, xen};
use measure::{bench, reach};
use std::io::Write;
use std::process::ExitCode;
use unavailable::{Unavailable, one_line};
use verify::{diff, fuzz, mutants, test, tsan};

/// The exit status where something cannot be fetched: sysexits.h has it as EX_TEMPFAIL.
const LEFT_OUT: u8 = 75;

fn main() -> ExitCode {
    let task = Cli::parse().task;
    // The last line of these always says how it went.
    let title = match task {
        Task::Boot(_) => Some("boot"),
        Task::Guest(_) => Some("guest"),
        Task::Latency(_) => Some("latency"),
        Task::Figures(_) => Some("figures"),
        Task::Releases(_) => Some("releases"),
        Task::Record(_) => Some("record"),
        Task::Test(_) => Some("test"),
        Task::Unchanged(_) => Some("unchanged"),
        Task::Tools(_) => Some("tools"),
        Task::Diff(_) => Some("diff"),
        Task::Tsan => Some("tsan"),
        Task::Fuzz(_) => Some("fuzz"),
        Task::Mutants(_) => Some("mutants"),
        Task::Setup(_) => Some("setup"),
        _ => None,
    };
    // Taken down at the end, with what is in it.
    let _scratch = match interrupt::begin() {
        Ok(scratch) => scratch,
        Err(error) => {
            eprintln!("vgic: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let (how, status) = match run(task) {
        Ok(true) => return ExitCode::SUCCESS,
        // Whatever it has become of in the end.
        _ if interrupt::requested() => ("FAILED interrupted".to_owned(), interrupt::STATUS),
        Ok(false) => return ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vgic: {error:#}");
            let (how, status) = ending(&error);
            (format!("{how} {}", one_line(&error)), status)
        }
    };
    if let Some(title) = title {
        // Ctrl-C may also have ended who was to read it.
        let _ = writeln!(std::io::stdout(), "{title}: {how}");
    }
    ExitCode::from(status)
}

/// Does one task; the result is whether all was well, if it could be done at all.
fn run(task: Task) -> anyhow::Result<bool> {
    match task {
        Task::Boot(arguments) => match arguments.problem() {
            Some(problem) => bail!(problem),
            None => linux::boot(&arguments),
        },
        Task::Guest(arguments) => match arguments.problem() {
            Some(problem) => bail!(problem),
            None => bare::guest(&arguments),
        },
        Task::Latency(arguments) => match arguments.problem() {
            Some(problem) => bail!(problem),
            None => latency::latency(&arguments),
        },
        Task::Figures(arguments) => match arguments.problem() {
            Some(problem) => bail!(problem),
            None => figures::figures(&arguments),
        },
        Task::Xen(arguments) => {
            if let Some(problem) = arguments.problem() {
                bail!(problem);
            }
            let built = xen::build(&arguments, false)?;
            for line in &built.prelink {
                println!("{line}");
            }
            println!("{}", built.image.display());
            println!("{} (with symbols)", built.symbols.display());
            Ok(true)
        }
        Task::Releases(arguments) => releases::releases(&arguments),
        Task::Record(arguments) => match arguments.problem() {
            Some(problem) => bail!(problem),
            None => record::record(&arguments),
        },
        Task::Test(arguments) => test::test(&arguments),
        Task::Unchanged(arguments) => unchanged::unchanged(&arguments),
        Task::Tools(arguments) => toolstack::tools(&arguments),
        Task::Peers(arguments) => {
            for object in peers::build(&Source::open(&arguments.xen)?)? {
                println!("{}", object.display());
            }
            Ok(true)
        }
        Task::Diff(arguments) => diff::diff(&arguments),
        Task::Bench(arguments) => bench::bench(&arguments).map(|()| true),
        Task::Reach(arguments) => reach::reach(&arguments).map(|()| true),
        Task::Tsan => tsan::tsan(),
        Task::Fuzz(arguments) => fuzz::fuzz(&arguments),
        Task::Mutants(arguments) => mutants::mutants(&arguments),
        Task::Setup(arguments) => setup::setup(&arguments).map(|()| true),
    }
}

/// How a task that could not be done is said to have ended, and its exit status.
fn ending(error: &anyhow::Error) -> (&'static str, u8) {
    // Whoever runs many tasks can tell what could not be had from a fault of what was to be tried.
    if error.is::<Unavailable>() {
        ("LEFT OUT", LEFT_OUT)
    } else {
        ("FAILED", 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    fn missing(what: &str) -> anyhow::Error {
        Unavailable(what.into()).into()
    }

    #[test]
    fn what_cannot_be_had_is_told_from_a_fault() {
        let missing: anyhow::Result<()> = Err(missing("no kernel"));
        let error = missing.context("the boot").unwrap_err();
        assert_eq!(ending(&error), ("LEFT OUT", 75));
        assert_eq!(one_line(&error), "no kernel");
        let error = anyhow!("it hangs\nfor ever");
        assert_eq!(ending(&error), ("FAILED", 1));
        assert_eq!(one_line(&error), "it hangs");
    }
}
