// SPDX-License-Identifier: GPL-2.0-only
//! Running other programs, so that a failure is one sentence and the rest is in a log file.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// How many lines of a failed program's output are shown.
const TAIL: usize = 12;

/// How the error of a program begins that has run and failed.
pub const NOT_DONE: &str = "could not ";

/// Runs `command` to its end and returns what it wrote on its standard output.
///
/// `what` names the task in a person's words ("build Xen"). All output goes to `log` if there is one.
pub fn run(command: &mut Command, what: &str, log: Option<&Path>) -> Result<String> {
    let output = output(command, what)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if let Some(log) = log {
        if let Some(parent) = log.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
        }
        fs::write(log, format!("# {command:?}\n{text}{errors}"))
            .with_context(|| format!("cannot write {}", log.display()))?;
    }
    if !output.status.success() {
        let place = log.map_or(String::new(), |l| {
            format!("; all of it is in {}", l.display())
        });
        bail!(
            "{NOT_DONE}{what}: {} ended with {}{place}\n{}",
            name(command),
            output.status,
            tail(&format!("{text}{errors}"))
        );
    }
    Ok(text)
}

/// Is there a program of this name on the PATH?
pub fn exists(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Runs `command` with its output captured; a program that is not there is named.
pub fn output(command: &mut Command, what: &str) -> Result<Output> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) => Ok(output),
        Err(e) if e.kind() == ErrorKind::NotFound => bail!(
            "cannot {what}: there is no {} on this machine; run ./vgic, which installs it",
            name(command)
        ),
        Err(e) => Err(e).with_context(|| format!("cannot {what}: cannot start {}", name(command))),
    }
}

/// The program that does the work: timeout(1) only watches another.
fn name(command: &Command) -> String {
    let program = command.get_program();
    let watched = command
        .get_args()
        .filter(|a| !a.to_string_lossy().starts_with('-'))
        .nth(1)
        .filter(|_| program == "timeout");
    watched.unwrap_or(program).to_string_lossy().into_owned()
}

/// The last lines of a text, for an error message; compilers' own error lines first if there are any.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let errors: Vec<&str> = lines
        .iter()
        .copied()
        .filter(|l| l.contains("error:") || l.starts_with("error"))
        .take(TAIL)
        .collect();
    let shown = if errors.is_empty() {
        lines
            .get(lines.len().saturating_sub(TAIL)..)
            .unwrap_or_default()
            .to_vec()
    } else {
        errors
    };
    shown
        .iter()
        .map(|l| format!("    {l}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A command for `make` that takes nothing of a surrounding make or cargo with it.
pub fn make(directory: &Path) -> Command {
    let mut make = Command::new("make");
    make.arg("--no-print-directory").arg("-C").arg(directory);
    for variable in [
        "MAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
        "RUSTFLAGS",
        "CARGO_MANIFEST_DIR",
    ] {
        make.env_remove(variable);
    }
    make
}

/// `NAME=value` with any path as the value.
pub fn assign(name: &str, value: impl AsRef<OsStr>) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(name);
    text.push("=");
    text.push(value);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program-here"), "try it", None).unwrap_err();
        assert!(
            error.to_string().contains("no-such-program-here"),
            "{error}"
        );
    }

    #[test]
    fn a_failure_shows_the_error_lines() {
        let mut sh = Command::new("sh");
        sh.args(["-c", "echo fine; echo 'a.c:1: error: bad' >&2; exit 3"]);
        let text = run(&mut sh, "compile", None).unwrap_err().to_string();
        assert!(
            text.contains("could not compile") && text.contains("error: bad"),
            "{text}"
        );
        assert!(!text.contains("fine"), "{text}");
    }
}
