// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask`, and `./vgic`: the tasks that Cargo has no verb for.

mod apt;
mod bare;
mod bench;
mod boot;
mod callgrind;
mod checks;
mod clean;
mod cli;
mod command;
mod console;
mod copy;
mod core_library;
mod count;
mod diff;
mod dtb;
mod glue;
mod guest;
mod guest_report;
mod interrupts;
mod life;
mod load;
mod machine;
mod mutants;
mod paths;
mod peers;
mod progress;
mod qemu;
mod record;
mod table;
mod test;
mod tree;
mod tsan;
mod unchanged;
mod xen;

use anyhow::bail;
use clap::Parser;
use cli::{Cli, Task};
use std::process::ExitCode;

fn main() -> ExitCode {
    let task = Cli::parse().task;
    // The last line of these always says how it went.
    let title = match task {
        Task::Boot(_) => Some("boot"),
        Task::Guest(_) => Some("guest"),
        Task::Record(_) => Some("record"),
        Task::Test(_) => Some("test"),
        Task::Unchanged(_) => Some("unchanged"),
        Task::Diff(_) => Some("diff"),
        Task::Tsan => Some("tsan"),
        Task::Mutants(_) => Some("mutants"),
        _ => None,
    };
    match run(task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vgic: {error:#}");
            if let Some(title) = title {
                println!("{title}: FAILED {}", one_line(&error));
            }
            ExitCode::FAILURE
        }
    }
}

/// Does one task; the result is whether all was well, if it could be done at all.
fn run(task: Task) -> anyhow::Result<bool> {
    match task {
        Task::Boot(arguments) => match arguments.problem() {
            Some(problem) => bail!(problem),
            None => boot::boot(&arguments),
        },
        Task::Guest(arguments) => match arguments.problem() {
            Some(problem) => bail!(problem),
            None => bare::guest(&arguments),
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
        Task::Record(arguments) => match arguments.problem() {
            Some(problem) => bail!(problem),
            None => record::record(&arguments),
        },
        Task::Test(arguments) => test::test(&arguments),
        Task::Unchanged(arguments) => unchanged::unchanged(&arguments),
        Task::Peers(arguments) => {
            for object in peers::build(&arguments.xen)? {
                println!("{}", object.display());
            }
            Ok(true)
        }
        Task::Diff(arguments) => diff::diff(&arguments),
        Task::Bench(arguments) => bench::bench(&arguments).map(|()| true),
        Task::Tsan => tsan::tsan(),
        Task::Mutants(arguments) => mutants::mutants(&arguments),
        Task::Setup => setup().map(|()| true),
    }
}

/// Fetches what the other tasks fetch when they need it.
fn setup() -> anyhow::Result<()> {
    tree::Source::open("debian")?;
    qemu::retry();
    qemu::find()?;
    guest::prepare()?;
    core_library::ensure()?;
    Ok(())
}

fn one_line(error: &anyhow::Error) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
