// SPDX-License-Identifier: GPL-2.0-only
//! QEMU as a machine that is switched on, watched, spoken to, and switched off in bounded time.

use crate::boot::arguments::{BootArguments, Gic};
use crate::boot::console::{Console, Line};
use crate::boot::dtb::Module;
use crate::boot::qemu::Qemu;
use crate::interrupt::{self, Running};
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long the machine may go on after something fatal was seen, so that the rest of the message is in the log.
const AFTERMATH: Duration = Duration::from_secs(2);

/// What the one who watches wants.
pub enum Wish {
    /// Nothing.
    None,
    /// Type this.
    Type(String),
    /// Something fatal was seen: give it a moment, then switch off.
    GiveUp,
}

/// Why the machine stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself: a power-off, or a reset.
    Off,
    /// Nothing more was to be expected of it.
    GivenUp,
    /// The time was over.
    Limit,
}

/// What a run has left.
pub struct Run {
    /// All lines of the console.
    pub lines: Vec<Line>,
    /// Why it stopped.
    pub end: End,
    /// How long it ran.
    pub seconds: f64,
    /// What the emulator itself complained of.
    pub complaints: String,
}

/// QEMU and the arguments that make the machine, without what it runs.
pub fn arguments(qemu: &Qemu, boot: &BootArguments, memory: u32) -> Vec<String> {
    let gic = match boot.gic {
        Gic::V2 => "gic-version=2",
        Gic::V3 if boot.xen.its && !boot.no_host_its => "gic-version=3",
        // Without ITS support in the hypervisor, the machine has none either.
        Gic::V3 => "gic-version=3,its=off",
    };
    let random = if boot.icount {
        ",dtb-randomness=off"
    } else {
        ""
    };
    let smmu = if boot.xen.smmu { ",iommu=smmuv3" } else { "" };
    let program = qemu.program.to_string_lossy();
    let mut words: Vec<String> = [
        &*program,
        "-machine",
        &format!("virt,virtualization=on,{gic}{smmu}{random}"),
        "-cpu",
        "cortex-a57",
        "-smp",
        &boot.cpus.to_string(),
        "-m",
        &memory.to_string(),
        "-nodefaults",
        "-display",
        "none",
        "-no-reboot",
        "-serial",
        "stdio",
        "-monitor",
        "none",
    ]
    .map(str::to_owned)
    .to_vec();
    if boot.icount {
        words.extend(
            [
                "-icount",
                "shift=0,sleep=off",
                "-rtc",
                "base=2026-01-01T00:00:00,clock=vm",
                "-seed",
                "1",
            ]
            .map(str::to_owned),
        );
    }
    words
}

/// The argument of QEMU's `-device` that puts a module into memory.
pub fn loader(module: &Module) -> Result<String> {
    let (file, address) = (path(&module.file)?, module.address);
    Ok(format!("loader,file={file},addr={address:#x},force-raw=on"))
}

/// A path as QEMU takes it among its options.
pub fn path(path: &Path) -> Result<String> {
    let text = path
        .to_str()
        .with_context(|| format!("{} is not text", path.display()))?;
    Ok(text.replace(',', ",,"))
}

/// Switches the machine on and reads its console, handing each line to `watch`, until it ends or `limit` is over. `step` is
/// told that it is still so where the console is silent.
pub fn run(
    command: &[String],
    log: &Path,
    limit: Duration,
    step: &Step,
    mut watch: impl FnMut(&Line) -> Wish,
) -> Result<Run> {
    let Some((program, arguments)) = command.split_first() else {
        bail!("no machine to run")
    };
    let file = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut file = BufWriter::new(file);
    writeln!(file, "# {}", command.join(" "))?;
    let mut machine = Command::new(program);
    machine
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut running = Running::start(&mut machine)?.map_err(|e| match e.kind() {
        ErrorKind::NotFound => {
            anyhow::anyhow!("there is no {program} here; ./vgic installs it")
        }
        _ => anyhow::anyhow!("cannot start {program}: {e}"),
    })?;
    let (Some(mut stdout), Some(mut stdin)) =
        (running.child.stdout.take(), running.child.stdin.take())
    else {
        bail!("{program} has no console");
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n) = stdout.read(&mut buffer) {
            if n == 0 || sender.send(buffer[..n].to_vec()).is_err() {
                break;
            }
        }
    });
    let complaints = running.child.stderr.take().map(|mut stderr| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            // Half a message is better than none.
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    let started = Instant::now();
    let (mut console, mut lines, mut deadline) = (Console::default(), Vec::new(), limit);
    let mut given_up = false;
    let end = loop {
        let now = started.elapsed();
        if interrupt::requested() {
            break End::GivenUp;
        }
        if now >= deadline {
            break if given_up { End::GivenUp } else { End::Limit };
        }
        let wait = (deadline - now).min(Duration::from_millis(200));
        let bytes = match receiver.recv_timeout(wait) {
            Ok(bytes) => bytes,
            Err(RecvTimeoutError::Timeout) => {
                step.tick();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break End::Off,
        };
        let at = started.elapsed().as_secs_f64();
        for line in console.take(&bytes, at) {
            record(&mut file, &line)?;
            match watch(&line) {
                Wish::None => {}
                Wish::Type(text) => {
                    // A machine that has just gone off takes no more input; its console says why.
                    let _ = stdin
                        .write_all(text.as_bytes())
                        .and_then(|()| stdin.flush());
                }
                Wish::GiveUp if !given_up => {
                    given_up = true;
                    deadline = deadline.min(started.elapsed() + AFTERMATH);
                }
                Wish::GiveUp => {}
            }
            lines.push(line);
        }
    };
    // Who has asked for the end has also ended the machine, and wants to hear no more of it than its log says.
    let status = match end {
        End::Off => running.wait().map(drop),
        _ => {
            drop(running);
            interrupt::check()
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    for line in console.finish(seconds) {
        record(&mut file, &line)?;
        watch(&line);
        lines.push(line);
    }
    let complaints = complaints.and_then(|t| t.join().ok()).unwrap_or_default();
    for line in complaints.lines() {
        writeln!(file, "# {line}")?;
    }
    file.flush()
        .with_context(|| format!("cannot write {}", log.display()))?;
    status?;
    Ok(Run {
        lines,
        end,
        seconds,
        complaints,
    })
}

fn record(file: &mut impl Write, line: &Line) -> Result<()> {
    let speaker = match line.speaker {
        crate::boot::console::Speaker::Xen => "xen ".to_owned(),
        crate::boot::console::Speaker::Dom0 => "dom0".to_owned(),
        crate::boot::console::Speaker::DomU(n) => format!("dom{n}"),
    };
    writeln!(file, "{:8.3} {speaker} {}", line.at, line.text)
        .context("cannot write the console log")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: f64, watch: impl FnMut(&Line) -> Wish) -> Run {
        let dir = tempfile::tempdir().unwrap();
        let command = ["sh", "-c", script].map(str::to_owned);
        run(
            &command,
            &dir.path().join("log"),
            Duration::from_secs_f64(limit),
            &Step::start("a test"),
            watch,
        )
        .unwrap()
    }

    #[test]
    fn a_machine_is_watched_and_spoken_to() {
        let run = shell(
            "echo ready; read go; echo \"(XEN) got $go\"",
            20.0,
            |line| {
                if line.text == "ready" {
                    Wish::Type("go\n".into())
                } else {
                    Wish::None
                }
            },
        );
        assert_eq!(run.end, End::Off);
        assert!(
            run.lines.iter().any(|l| l.text == "got go"),
            "{:?}",
            run.lines
        );
    }

    #[test]
    fn a_machine_that_hangs_is_switched_off() {
        let run = shell("exec sleep 60", 0.3, |_| Wish::None);
        assert_eq!(run.end, End::Limit);
        assert!(run.seconds < 10.0);
    }

    #[test]
    fn after_something_fatal_the_wait_is_short() {
        let run = shell("echo panic; exec sleep 60", 30.0, |_| Wish::GiveUp);
        assert_eq!(run.end, End::GivenUp);
        assert!(run.seconds < 10.0);
    }
}
