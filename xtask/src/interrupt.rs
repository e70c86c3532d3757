// SPDX-License-Identifier: GPL-2.0-only
//! Ctrl-C, and other requests to end: the programs that run are ended, and then the task, as if one of them had failed.
//!
//! So whatever is undone on the way out of a failure is undone. Each program has a process group of its own, of which no
//! signal reaches any member but through here: make removes what it has half made, and its compilers end with it. A
//! second Ctrl-C waits for nobody. Ctrl-Z, which would reach as little of them, is handed on, too.

use anyhow::{Context, Result, bail};
use rustix::process::{
    Pid, Signal, getpid, kill_process, kill_process_group, test_kill_process_group,
};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The exit status of what was interrupted: 128 and the number of the signal, as a shell has it.
pub const STATUS: u8 = 130;

/// How long what is left of a program may take to end that has itself ended when it was asked to.
const GRACE: Duration = Duration::from_secs(1);

static REQUESTED: AtomicBool = AtomicBool::new(false);
/// The process groups that run.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
/// Where everyone's temporary files are.
static SCRATCH: OnceLock<PathBuf> = OnceLock::new();

/// Listens for requests to end. What it returns must live as long as the task: the directory of all temporary files, also of
/// the programs that are run, since one that is ended does not remove its own.
pub fn begin() -> Result<TempDir> {
    let scratch = tempfile::Builder::new()
        .prefix("vgic-")
        .tempdir()
        .context("cannot make a temporary directory")?;
    let path = SCRATCH.get_or_init(|| scratch.path().to_owned());
    // Fails if there is one already, which is this.
    let _ = tempfile::env::override_temp_dir(path);
    let mut signals = vec![SIGINT, SIGTERM, SIGTSTP, SIGCONT];
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !ignores(&status, SIGHUP) {
        signals.push(SIGHUP);
    }
    let mut signals = Signals::new(signals).context("cannot handle Ctrl-C")?;
    std::thread::spawn(move || {
        for number in signals.forever() {
            match number {
                SIGTSTP => {
                    signal(&running(), Signal::STOP);
                    let _ = kill_process(getpid(), Signal::STOP);
                }
                SIGCONT => signal(&running(), Signal::CONT),
                _ => asked(),
            }
        }
    });
    Ok(scratch)
}

/// Is a signal ignored, as /proc/self/status has it? nohup(1) wants what it starts to outlive its terminal.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 != 0)
}

fn asked() {
    // Nobody may listen any more, and that is no reason to stop here.
    let say = |text: &str| drop(writeln!(std::io::stderr(), "{text}"));
    if REQUESTED.swap(true, Ordering::SeqCst) {
        signal(&running(), Signal::KILL);
        if let Some(scratch) = SCRATCH.get() {
            let _ = std::fs::remove_dir_all(scratch);
        }
        say("vgic: interrupted, and not waited for what was running");
        std::process::exit(STATUS.into());
    }
    signal(&running(), Signal::TERM);
    say("vgic: interrupted, ending what is running (once more: without waiting)");
}

/// Has somebody asked for the end?
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// An error if somebody has asked for the end.
pub fn check() -> Result<()> {
    if requested() {
        bail!("interrupted");
    }
    Ok(())
}

fn running() -> MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signal(groups: &[Pid], signal: Signal) {
    for group in groups {
        // It may have ended by itself.
        let _ = kill_process_group(*group, signal);
    }
}

/// Waits for the last of a group, for a moment.
fn await_end(group: Pid) {
    let until = Instant::now() + GRACE;
    while test_kill_process_group(group).is_ok() {
        if Instant::now() >= until {
            signal(&[group], Signal::KILL);
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A program that runs, in a process group of its own that does not outlive this.
pub struct Running {
    /// It.
    pub child: Child,
    group: Option<Pid>,
}

impl Running {
    /// Starts a program, unless somebody has asked for the end. The inner error is why it could not be started.
    pub fn start(command: &mut Command) -> Result<std::io::Result<Running>> {
        if let Some(scratch) = SCRATCH.get() {
            command.env("TMPDIR", scratch);
        }
        // Locked until it is noted down: else a signal could come in between and miss it.
        let mut running = running();
        check()?;
        Ok(command.process_group(0).spawn().map(|child| {
            let group = Pid::from_child(&child);
            running.push(group);
            Running {
                child,
                group: Some(group),
            }
        }))
    }

    /// Waits for its end; an error if somebody has asked for that.
    pub fn wait(mut self) -> Result<ExitStatus> {
        let status = self.child.wait().context("cannot wait for a program")?;
        let group = self.group;
        self.forget();
        if let (Err(interrupted), Some(group)) = (check(), group) {
            // What the program had started may take longer, and may need what is about to be removed.
            await_end(group);
            return Err(interrupted);
        }
        Ok(status)
    }

    /// Ends it and all that it has started.
    fn end(&mut self) {
        if let Some(group) = self.group {
            signal(&[group], Signal::KILL);
            let _ = self.child.wait();
            self.forget();
        }
    }

    fn forget(&mut self) {
        let group = self.group.take();
        running().retain(|g| Some(*g) != group);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::Stdio;

    #[test]
    fn what_a_program_has_started_ends_with_it() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "sleep 60 & wait"])
            .stdout(Stdio::piped());
        let mut running = Running::start(&mut command).unwrap().unwrap();
        let mut stdout = running.child.stdout.take().unwrap();
        drop(running);
        // The end of the pipe: nobody has it any more.
        assert_eq!(stdout.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn what_nohup_starts_does_not_hear_of_the_end_of_its_terminal() {
        let status = "Name:\tsleep\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, SIGHUP));
        assert!(!ignores(status, SIGINT));
        assert!(!ignores("", SIGHUP));
    }

    #[test]
    fn what_is_left_of_a_program_is_waited_for() {
        let mut command = Command::new("sh");
        // It ends before the other, which has none of its pipes.
        command.args(["-c", "sleep 0.3 > /dev/null & exit 0"]);
        let running = Running::start(&mut command).unwrap().unwrap();
        let group = running.group.unwrap();
        running.wait().unwrap();
        let started = Instant::now();
        await_end(group);
        // Whoever is to bury it may take his time, and it is there until then.
        assert!(started.elapsed() >= Duration::from_millis(200));
        assert!(started.elapsed() < 2 * GRACE);
    }

    #[test]
    fn an_end_is_waited_for() {
        let mut command = Command::new("sh");
        let running = Running::start(command.args(["-c", "exit 3"])).unwrap();
        assert_eq!(running.unwrap().wait().unwrap().code(), Some(3));
        let missing = Running::start(&mut Command::new("no-such-program-here")).unwrap();
        assert!(missing.is_err());
    }
}
