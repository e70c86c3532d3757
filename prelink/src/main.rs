// SPDX-License-Identifier: GPL-2.0-only
//! The command that a Xen build calls.

use anyhow::{Context, Result};
use lexopt::prelude::*;
use prelink::lists::{PanicList, SymbolList};
use prelink::tools::Tools;
use prelink::{Task, prelink};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: prelink --lib LIB.a --out OUT.o --exports FILE --undefined FILE --panics FILE [--cross PREFIX] [--verbose]

Makes one object of a Rust staticlib that Xen can link, or says what is wrong with it.

  --exports FILE    the symbols that the object offers, one per line
  --undefined FILE  the symbols that it may need from Xen, one per line
  --panics FILE     the panics that may be reached: FUNCTION [<- CALLER] # REASON
  --cross PREFIX    of the binutils [default: $CROSS_COMPILE, or aarch64-linux-gnu-]
  --verbose         list what the object needs";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prelink: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut library, mut output, mut exports, mut undefined, mut panics) =
        (None, None, None, None, None);
    let (mut cross, mut verbose) = (None, false);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        let slot = match argument {
            Long("lib") => &mut library,
            Long("out") => &mut output,
            Long("exports") => &mut exports,
            Long("undefined") => &mut undefined,
            Long("panics") => &mut panics,
            Long("cross") => {
                cross = Some(arguments.value()?.string()?);
                continue;
            }
            Long("verbose") => {
                verbose = true;
                continue;
            }
            Long("help") | Short('h') => {
                println!("{USAGE}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        };
        *slot = Some(PathBuf::from(arguments.value()?));
    }
    let given = |value: Option<PathBuf>, name: &str| {
        value.with_context(|| format!("--{name} is missing\n{USAGE}"))
    };
    let task = Task {
        library: given(library, "lib")?,
        output: given(output, "out")?,
        exports: SymbolList::read(&given(exports, "exports")?)?,
        undefined: SymbolList::read(&given(undefined, "undefined")?)?,
        panics: PanicList::read(&given(panics, "panics")?)?,
        tools: Tools::new(cross),
    };
    let summary = prelink(&task)?;
    let name = task
        .output
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut report = format!(
        "  PRELINK {name}: {} bytes of code, {} instructions, {} symbols needed of Xen, {} panics reached\n",
        summary.code,
        summary.instructions,
        summary.undefined.len(),
        summary.panics.len()
    );
    for reached in &summary.panics {
        report.push_str(&format!("    {reached}\n"));
    }
    for stale in &summary.stale {
        report.push_str(&format!(
            "    on the list of panics, but not reached any more: {stale}\n"
        ));
    }
    if verbose {
        report.push_str(&format!("    needs: {}\n", summary.undefined.join(" ")));
    }
    print!("{report}");
    // Beside the object, for whoever asks later, when nothing had to be built.
    let beside = task.output.with_extension("prelink");
    std::fs::write(&beside, report).with_context(|| format!("cannot write {}", beside.display()))
}
