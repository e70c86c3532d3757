// SPDX-License-Identifier: GPL-2.0-only
//! The laptop's front door: runs a scripted guest on the mock Xen.

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use std::process::ExitCode;
use vgic_harness::peer;
use vgic_harness::scenario::{self, Options};

/// The vGIC on a mock Xen.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a guest on timer ticks, device interrupts and SGIs, and check every count
    Run(Run),
}

#[derive(clap::Args)]
struct Run {
    /// The guest's interrupt controller; both if not given
    #[arg(long, value_enum)]
    gic: Option<Gic>,
    /// vCPUs, each a thread: 1 to 8 with GICv2, to 32 with GICv3
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=32))]
    cpus: u16,
    /// How often each device, timer and SGI is raised
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rounds: u64,
    /// Which vGIC: ours, Xen's C vGICs once `cargo xtask peers` has built them, or a shared object [default: rust]
    #[arg(long, value_name = "rust|new|old|PATH")]
    vgic: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Gic {
    V2,
    V3,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One sentence, whatever RUST_BACKTRACE says.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let Command::Run(run) = Arguments::parse().command.unwrap_or(Command::Run(Run {
        gic: None,
        cpus: 4,
        rounds: 2000,
        vgic: None,
    }));
    if let Some(which) = &run.vgic {
        peer::choose(which)?;
    }
    let versions: &[u8] = match run.gic {
        Some(Gic::V2) => &[2],
        Some(Gic::V3) => &[3],
        None => &[2, 3],
    };
    if versions.contains(&2) && run.cpus > 8 {
        bail!("a GICv2 has at most 8 CPUs: use --gic v3 for {}", run.cpus);
    }
    let mut good = true;
    for &gic in versions {
        let options = Options {
            gic,
            cpus: run.cpus.into(),
            rounds: run.rounds,
        };
        match scenario::run(options) {
            Ok(summary) => {
                println!("{summary}");
                good &= summary.is_ok();
            }
            Err(errno) => bail!("the vGIC refuses to create the domain (errno {})", errno.0),
        }
    }
    if !good {
        bail!("interrupts were lost, doubled or spurious: see the lines marked above");
    }
    println!("ok: every interrupt was handled exactly once");
    Ok(())
}
