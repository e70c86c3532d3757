// SPDX-License-Identifier: GPL-2.0-only
//! Running other programs, so that a failure is one sentence and the rest is in a log file.

use crate::interrupt::Running;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// How many lines of a failed program's output are shown.
const TAIL: usize = 12;
/// How long nothing is said before whoever watches hears of that.
const QUIET: Duration = Duration::from_secs(1);

/// How the error of a program begins that has run and failed.
pub const NOT_DONE: &str = "could not ";

/// Runs `command` to its end and returns what it wrote on its standard output.
///
/// `what` names the task in a person's words ("build Xen"). All output goes to `log` if there is one.
pub fn run(command: &mut Command, what: &str, log: Option<&Path>) -> Result<String> {
    watch(command, what, log, |_| {})
}

/// The same with somebody who sees each line as it comes; none, where none came for a second.
pub fn watch(
    command: &mut Command,
    what: &str,
    log: Option<&Path>,
    see: impl FnMut(Option<&str>),
) -> Result<String> {
    let output = attempt(command, what, log, see)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
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

/// The same for who wants to know how it has failed. The log can be read meanwhile.
pub fn attempt(
    command: &mut Command,
    what: &str,
    log: Option<&Path>,
    mut see: impl FnMut(Option<&str>),
) -> Result<Output> {
    let mut file = log.map(|log| begin(log, command)).transpose()?;
    follow(command, what, |bytes| {
        if let (Some(log), Some(file), Some(bytes)) = (log, &mut file, bytes) {
            file.write_all(bytes)
                .with_context(|| format!("cannot write {}", log.display()))?;
        }
        let line = bytes.map(String::from_utf8_lossy);
        see(line.as_deref().map(str::trim_end));
        Ok(())
    })
}

fn begin(log: &Path, command: &Command) -> Result<File> {
    let what = || format!("cannot write {}", log.display());
    if let Some(parent) = log.parent() {
        fs::create_dir_all(parent).with_context(what)?;
    }
    let mut file = File::create(log).with_context(what)?;
    writeln!(file, "# {command:?}").with_context(what)?;
    Ok(file)
}

/// Is there a program of this name on the PATH?
pub fn exists(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Runs `command` with its output captured; a program that is not there is named.
pub fn output(command: &mut Command, what: &str) -> Result<Output> {
    follow(command, what, |_| Ok(()))
}

/// Runs `command` with its output shown.
pub fn show(command: &mut Command, what: &str) -> Result<ExitStatus> {
    start(command, what)?.wait()
}

/// Runs `command` with its output captured, and seen line by line.
fn follow(
    command: &mut Command,
    what: &str,
    mut see: impl FnMut(Option<&[u8]>) -> Result<()>,
) -> Result<Output> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = start(command, what)?;
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = running.child.stdout.take() {
        read(stdout, true, sender.clone());
    }
    if let Some(stderr) = running.child.stderr.take() {
        read(stderr, false, sender);
    }
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        match receiver.recv_timeout(QUIET) {
            Ok((is_stdout, line)) => {
                see(Some(&line))?;
                match is_stdout {
                    true => stdout.extend(line),
                    false => stderr.extend(line),
                }
            }
            Err(RecvTimeoutError::Timeout) => see(None)?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(Output {
        status: running.wait()?,
        stdout,
        stderr,
    })
}

fn start(command: &mut Command, what: &str) -> Result<Running> {
    // Not the terminal's: a group of its own may not read from that.
    match Running::start(command.stdin(Stdio::null()))? {
        Ok(running) => Ok(running),
        Err(e) if e.kind() == ErrorKind::NotFound => bail!(
            "cannot {what}: there is no {} on this machine; run ./vgic, which installs it",
            name(command)
        ),
        Err(e) => Err(e).with_context(|| format!("cannot {what}: cannot start {}", name(command))),
    }
}

/// Sends what a program says, line by line, each with `mark`.
fn read(pipe: impl Read + Send + 'static, mark: bool, to: Sender<(bool, Vec<u8>)>) {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if to.send((mark, std::mem::take(&mut line))).is_err() {
                break;
            }
        }
    });
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
    fn lines_are_seen_as_they_come_and_are_in_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("new/log");
        let mut sh = Command::new("sh");
        sh.args(["-c", "echo one; sleep 1.2; echo two; printf three >&2"]);
        let (mut seen, mut quiet) = (Vec::new(), false);
        let text = watch(&mut sh, "try it", Some(&log), |line| match line {
            Some(line) => {
                // Already there.
                assert!(fs::read_to_string(&log).unwrap().contains(line));
                seen.push(line.to_owned());
            }
            None => quiet = true,
        });
        assert_eq!(text.unwrap(), "one\ntwo\n");
        seen.sort();
        assert_eq!((seen.join(" "), quiet), ("one three two".into(), true));
        let log = fs::read_to_string(&log).unwrap();
        assert!(log.starts_with("# \"sh\""), "{log}");
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
