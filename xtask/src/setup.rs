// SPDX-License-Identifier: GPL-2.0-only
//! `setup`: fetches all that the other tasks need, or says what of it is there without a network.

use crate::boot::pci_arguments::PciArguments;
use crate::boot::{guest, qemu};
use crate::command::run;
use crate::hypervisor::arguments::TreeArguments;
use crate::hypervisor::tree::Source;
use crate::hypervisor::version::of_debian;
use crate::hypervisor::{core_library, debian};
use crate::paths;
use crate::progress::Step;
use crate::unavailable::{Unavailable, one_line};
use anyhow::{Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to fetch.
#[derive(Args, Clone, Debug)]
pub struct SetupArguments {
    #[command(flatten)]
    pub tree: TreeArguments,
    /// Fetch nothing: say what is there, and what is missing without a network
    #[arg(long)]
    pub offline: bool,
}

/// Does it; what cannot be had does not keep it from the rest.
pub fn setup(arguments: &SetupArguments) -> Result<()> {
    let xen = &arguments.tree.xen;
    if arguments.offline {
        return without_network(xen);
    }
    let source = look_again(xen);
    qemu::retry();
    let library = core_library::ensure().and_then(|_| core_library::source());
    let mut failures = Vec::new();
    for result in [
        qemu::find().map(drop),
        guest::prepare(None, &PciArguments::default(), 0).map(drop),
        crates(library.as_deref().ok(), false).map(drop),
        library.map(drop),
    ] {
        failures.extend(result.err());
    }
    match source {
        Ok(source) if failures.is_empty() => {
            println!("setup: ok xen={}", source.full_version);
            Ok(())
        }
        Ok(_) => Err(all_of(failures)),
        Err(error) => {
            failures.insert(0, error);
            Err(all_of(failures))
        }
    }
}

/// Only looks: a line for each thing, and in the last one what is missing.
fn without_network(xen: &str) -> Result<()> {
    let source = match of_debian(xen)? {
        Some(release) => debian::at_hand(release),
        // A wrong path is no matter of the network.
        None => Ok(format!(
            "Xen source: {}, {xen}",
            Source::open(xen)?.full_version
        )),
    };
    let mut all = vec![source, qemu::at_hand()];
    all.extend(guest::at_hand());
    all.extend(core_library::at_hand());
    let library = core_library::source_at_hand();
    all.push(
        crates(library.as_deref(), true)
            .map(|n| format!("crates: those of {n} workspaces"))
            .map_err(|_| "some of the crates".to_owned()),
    );
    for one in &all {
        match one {
            Ok(there) => println!("  there    {there}"),
            Err(missing) => println!("  MISSING  {missing}"),
        }
    }
    let missing: Vec<&str> = all
        .iter()
        .filter_map(|one| one.as_ref().err())
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        println!("setup: ok nothing is missing, and nothing was fetched");
        return Ok(());
    }
    bail!(Unavailable(format!(
        "{} cannot be had without a network: run ./vgic setup with one",
        missing.join(", ")
    )))
}

/// Has cargo fetch what each of our workspaces, and the library's, depends on; how many they are.
fn crates(library: Option<&Path>, offline: bool) -> Result<usize> {
    let step = Step::start(if offline {
        "Looking for the crates"
    } else {
        "Fetching the crates"
    });
    let mut workspaces = vec![paths::root(), paths::root().join("guest")];
    // The sanitizer's std is compiled from its source.
    workspaces.extend(library.map(PathBuf::from));
    for workspace in &workspaces {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["fetch", "--quiet", "--locked", "--manifest-path"])
            .arg(workspace.join("Cargo.toml"))
            .env_remove("CARGO_MANIFEST_DIR")
            // The library's manifest has features of its own.
            .env("RUSTC_BOOTSTRAP", "1");
        if offline {
            cargo.arg("--offline");
        }
        run(&mut cargo, "fetch the crates", None)?;
    }
    step.nothing();
    Ok(workspaces.len())
}

/// The Xen that is asked for; of Debian's, the newest that can be had now.
fn look_again(xen: &str) -> Result<Source> {
    match of_debian(xen)? {
        Some(release) => Source::of_debian(&debian::look_again(release)?),
        None => Source::open(xen),
    }
}

/// One error for several: what cannot be had only counts where nothing else has gone wrong.
fn all_of(failures: Vec<anyhow::Error>) -> anyhow::Error {
    let (unavailable, mut others): (Vec<_>, Vec<_>) = failures
        .into_iter()
        .partition(anyhow::Error::is::<Unavailable>);
    let text: Vec<String> = unavailable.iter().map(one_line).collect();
    if others.is_empty() {
        return Unavailable(text.join("; and ")).into();
    }
    let first = others.remove(0);
    for other in text.into_iter().chain(others.iter().map(one_line)) {
        eprintln!("vgic: {other}");
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_fault_is_not_hidden_by_what_cannot_be_had() {
        let missing = |what: &str| anyhow!(Unavailable(what.into()));
        let both = all_of(vec![missing("no Xen"), anyhow!("the disk is full")]);
        assert!(!both.is::<Unavailable>());
        assert_eq!(both.to_string(), "the disk is full");
        let all = all_of(vec![missing("no Xen"), missing("no kernel")]);
        assert!(all.is::<Unavailable>());
        assert_eq!(all.to_string(), "no Xen; and no kernel");
    }
}
