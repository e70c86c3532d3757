// SPDX-License-Identifier: GPL-2.0-only
//! Plays the same script on our vGIC and on a peer, and finds where they part.

use crate::comparison::qtest::Qemu;
use crate::scripts::play::Seen;
use crate::scripts::transcript;
use anyhow::{Context, Result};
use recording::Recording;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// With whom we are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// QEMU's model of a GIC.
    Qemu,
    /// Another vGIC on this mock Xen: its name or path, and this program, which plays in a process of its own.
    Vgic { which: String, program: String },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Qemu => f.write_str("qemu"),
            Self::Vgic { which, .. } => f.write_str(which),
        }
    }
}

/// What was seen, and why it ended before the script did.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    pub seen: Vec<Seen>,
    pub broken: Option<String>,
}

/// The first operation at which two transcripts are not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub at: usize,
    pub ours: String,
    pub theirs: String,
}

/// A script takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What our vGIC shows.
///
/// # Errors
/// If there can be no such domain, or it breaks: that is never right.
pub fn ours(script: &Recording) -> Result<Transcript> {
    let mut seen = Vec::with_capacity(script.ops.len());
    transcript::write(script, |s| seen.push(s)).context("our own vGIC")?;
    Ok(Transcript { seen, broken: None })
}

impl Peer {
    /// What the peer shows. Whatever it does, its transcript ends.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn transcript(&self, script: &Recording) -> Result<Transcript> {
        match self {
            Self::Qemu => {
                let mut qemu = Qemu::start(&script.head)?;
                let mut transcript = Transcript::default();
                for op in &script.ops {
                    transcript.seen.push(qemu.play(op)?);
                }
                Ok(transcript)
            }
            Self::Vgic { which, program } => other_process(script, which, program),
        }
    }
}

fn other_process(script: &Recording, which: &str, program: &str) -> Result<Transcript> {
    let mut child = Command::new(program)
        .args(["transcript", "--vgic", which])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let text = script.to_string();
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        // If it ends before it has read everything, its transcript says so.
        let _ = input.map(|mut to| to.write_all(text.as_bytes()));
        for line in output
            .into_iter()
            .flat_map(|o| BufReader::new(o).lines())
            .map_while(Result::ok)
        {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + PATIENCE;
    let mut transcript = Transcript::default();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line == "end" => break,
            Ok(line) => match line.parse() {
                Ok(seen) => transcript.seen.push(seen),
                Err(_) => transcript.broken = Some(line),
            },
            Err(mpsc::RecvTimeoutError::Timeout) => {
                transcript.broken = Some("it hangs".into());
                break;
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                transcript.broken.get_or_insert("it crashes".into());
                break;
            }
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    Ok(transcript)
}

/// Where two transcripts part; what the peer cannot know is no difference.
pub fn difference(ours: &Transcript, theirs: &Transcript) -> Option<Difference> {
    let pairs = ours.seen.iter().zip(&theirs.seen);
    let differs = |(a, b): (&Seen, &Seen)| a != b && *b != Seen::Unknown;
    if let Some(at) = pairs.clone().position(differs) {
        return Some(Difference {
            at,
            ours: ours.seen[at].to_string(),
            theirs: theirs.seen[at].to_string(),
        });
    }
    theirs.broken.as_ref().map(|why| Difference {
        at: theirs.seen.len(),
        ours: "no complaint".into(),
        theirs: why.clone(),
    })
}

/// Compares on one script.
///
/// # Errors
/// If one of the two cannot play it at all.
pub fn compare(script: &Recording, peer: &Peer) -> Result<Option<Difference>> {
    Ok(difference(&ours(script)?, &peer.transcript(script)?))
}

/// Shortens a script, its first `fixed` operations aside, as long as `differs`: halves are left out, then quarters, down to
/// single operations.
///
/// # Errors
/// What `differs` says.
pub fn shrink(
    script: &Recording,
    fixed: usize,
    mut differs: impl FnMut(&Recording) -> Result<bool>,
) -> Result<Recording> {
    let mut best = script.clone();
    let mut chunk = (best.ops.len() - fixed).div_ceil(2);
    while chunk > 0 {
        let mut from = fixed;
        let mut shorter = false;
        while from < best.ops.len() {
            let mut candidate = best.clone();
            candidate
                .ops
                .drain(from..(from + chunk).min(best.ops.len()));
            if differs(&candidate)? {
                best = candidate;
                shorter = true;
            } else {
                from += chunk;
            }
        }
        if chunk == 1 && !shorter {
            break;
        }
        chunk = if chunk == 1 { 1 } else { chunk / 2 };
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use recording::{Head, Op};

    fn of(seen: &[Seen]) -> Transcript {
        Transcript {
            seen: seen.to_vec(),
            broken: None,
        }
    }

    #[test]
    fn the_first_difference_is_found() {
        let ours = of(&[Seen::Done, Seen::Taken(40), Seen::Value(1)]);
        assert_eq!(difference(&ours, &ours), None);
        let theirs = of(&[Seen::Unknown, Seen::Taken(41), Seen::Value(2)]);
        let found = difference(&ours, &theirs).expect("a difference");
        assert_eq!(
            (found.at, &*found.ours, &*found.theirs),
            (1, "taken 40", "taken 41")
        );
        assert_eq!(difference(&ours, &of(&[Seen::Unknown; 3])), None);
        let died = Transcript {
            seen: vec![Seen::Done],
            broken: Some("it crashes".into()),
        };
        assert_eq!(difference(&ours, &died).expect("a difference").at, 1);
    }

    #[test]
    fn a_script_shrinks_to_what_matters() {
        let exit = |vcpu| Op::Exit { vcpu };
        let ops: Vec<Op> = (0..100)
            .map(|n| exit(u8::from(n == 37 || n == 90)))
            .collect();
        let script = Recording {
            head: Head::small(2),
            ops,
        };
        let two = |s: &Recording| Ok(s.ops.iter().filter(|op| **op == exit(1)).count() == 2);
        let small = shrink(&script, 5, two).expect("no error");
        assert_eq!(small.ops, [[exit(0); 5].as_slice(), &[exit(1); 2]].concat());
    }
}
