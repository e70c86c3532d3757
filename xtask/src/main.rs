// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask`, and `./vgic`: the tasks that Cargo has no verb for.

mod apt;
mod boot;
mod checks;
mod clean;
mod cli;
mod command;
mod console;
mod core_library;
mod dtb;
mod glue;
mod guest;
mod guest_report;
mod interrupts;
mod machine;
mod paths;
mod progress;
mod table;
mod test;
mod tree;
mod unchanged;
mod xen;

use clap::Parser;
use cli::{Cli, Task};
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Boot(arguments) => match arguments.problem() {
            Some(problem) => Err(anyhow::anyhow!(problem)),
            None => boot::boot(&arguments).inspect_err(|e| {
                // The last line of a boot always says how it went.
                eprintln!("{e:#}");
                println!("boot: FAILED {}", one_line(e));
            }),
        },
        Task::Xen(arguments) => xen::build(&arguments, false).map(|built| {
            for line in &built.prelink {
                println!("{line}");
            }
            println!("{}", built.image.display());
            println!("{} (with symbols)", built.symbols.display());
            true
        }),
        Task::Test(arguments) => {
            test::test(&arguments).inspect_err(|e| println!("test: FAILED {}", one_line(e)))
        }
        Task::Unchanged(arguments) => unchanged::unchanged(&arguments)
            .inspect_err(|e| println!("unchanged: FAILED {}", one_line(e))),
        Task::Setup => setup().map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vgic: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Fetches what the other tasks fetch when they need it.
fn setup() -> anyhow::Result<()> {
    tree::Source::open("debian")?;
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
