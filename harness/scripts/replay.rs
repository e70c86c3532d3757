// SPDX-License-Identifier: GPL-2.0-only
//! Replays what a real guest did, and compares what it was given.
//!
//! Another vGIC, or the same at other moments, may deliver in another order. An interrupt that comes before its turn is
//! served at once and counted as early; one that does not come in its turn is owed, and awaited to the end. At the end each vCPU
//! must have been given each interrupt exactly as often as in the recording.

use crate::machine::cpuif::SPURIOUS;
use crate::scripts::play::{Seen, Stage};
use crate::scripts::steps::name;
use anyhow::Result;
use recording::{Op, Recording};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A vCPU and an INTID, as it was acknowledged.
type Whose = (u8, u32);

/// How often an interrupt was to come, and came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub recorded: u64,
    pub delivered: u64,
}

/// How it went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Version of the GIC.
    pub gic: u8,
    pub operations: usize,
    pub counts: BTreeMap<Whose, Count>,
    pub early: u64,
    pub late: u64,
    /// What was wrong besides the counts.
    pub reports: Vec<String>,
}

impl Outcome {
    /// Was everything delivered, and nothing else?
    pub fn is_ok(&self) -> bool {
        self.reports.is_empty() && self.wrong().next().is_none()
    }

    fn wrong(&self) -> impl Iterator<Item = (&Whose, &Count)> {
        self.counts
            .iter()
            .filter(|(_, c)| c.recorded != c.delivered)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delivered: u64 = self.counts.values().map(|c| c.delivered).sum();
        writeln!(
            f,
            "{} operations, {delivered} interrupts delivered, {} of them early and {} late",
            self.operations, self.early, self.late
        )?;
        for ((vcpu, intid), count) in self.wrong() {
            writeln!(
                f,
                "wrong: vCPU {vcpu} was given {}: {} times, {} in the recording",
                name(*intid, self.gic),
                count.delivered,
                count.recorded
            )?;
        }
        self.reports
            .iter()
            .try_for_each(|report| writeln!(f, "wrong: {report}"))
    }
}

struct Replay<'a> {
    stage: Stage,
    recording: &'a Recording,
    outcome: Outcome,
    /// Served before its turn, and its turn still to come.
    early: BTreeMap<Whose, u64>,
    /// Its turn was, and it did not come.
    owed: BTreeMap<Whose, u64>,
    /// Level lines that are up.
    up: BTreeSet<u32>,
}

/// Replays a recording on the vGIC that is loaded; `progress` is told of each operation.
///
/// # Errors
/// If there can be no such domain.
pub fn replay(recording: &Recording, mut progress: impl FnMut(usize)) -> Result<Outcome> {
    let mut replay = Replay {
        stage: Stage::new(&recording.head)?,
        recording,
        outcome: Outcome {
            gic: recording.head.gic,
            ..Outcome::default()
        },
        early: BTreeMap::new(),
        owed: BTreeMap::new(),
        up: BTreeSet::new(),
    };
    for (n, op) in recording.ops.iter().enumerate() {
        replay.step(op);
        progress(n);
    }
    replay.settle();
    replay.outcome.operations = recording.ops.len();
    replay.outcome.reports = replay.stage.end();
    Ok(replay.outcome)
}

/// Takes one from a count; false if there is none.
fn take_one(counts: &mut BTreeMap<Whose, u64>, whose: Whose) -> bool {
    match counts.get_mut(&whose) {
        Some(n) if *n > 0 => {
            *n -= 1;
            true
        }
        _ => false,
    }
}

impl Replay<'_> {
    fn step(&mut self, op: &Op) {
        match *op {
            Op::Ack {
                vcpu,
                intid: Some(intid),
            } => self.turn(vcpu, intid),
            // What was served before or has not come has been ended, or cannot be.
            Op::Eoi {
                vcpu,
                intid: Some(intid),
            } if !self.stage.active(vcpu).contains(&intid) => {}
            Op::Dir {
                vcpu,
                intid: Some(intid),
            } if !self.stage.dropped(vcpu).contains(&intid) => {}
            Op::Line { intid, level } => {
                if level {
                    self.up.insert(intid);
                } else {
                    self.up.remove(&intid);
                }
                self.stage.play(op);
            }
            _ => {
                self.stage.play(op);
            }
        }
    }

    /// The turn of an interrupt: it is taken, and so is what comes before it.
    fn turn(&mut self, vcpu: u8, intid: u32) {
        self.count(vcpu, intid).recorded += 1;
        if take_one(&mut self.early, (vcpu, intid)) {
            return;
        }
        self.stage.prefer(vcpu, intid);
        // Each of the others is in a list register or waits for one; an interrupt that never ends is not waited for.
        for _ in 0..1024 {
            match self.stage.play(&Op::Ack { vcpu, intid: None }) {
                Seen::Taken(iar) if iar == intid => {
                    self.count(vcpu, iar).delivered += 1;
                    return self.served(iar);
                }
                Seen::Taken(iar) if !(1020..=SPURIOUS).contains(&iar) => {
                    self.out_of_turn(vcpu, iar)
                }
                _ => break,
            }
        }
        *self.owed.entry((vcpu, intid)).or_default() += 1;
    }

    /// An interrupt that was owed, or comes early: it is served and ended at once.
    fn out_of_turn(&mut self, vcpu: u8, iar: u32) {
        self.count(vcpu, iar).delivered += 1;
        if take_one(&mut self.owed, (vcpu, iar)) {
            self.outcome.late += 1;
        } else {
            *self.early.entry((vcpu, iar)).or_default() += 1;
            self.outcome.early += 1;
        }
        self.served(iar);
        if (16..32).contains(&iar) {
            self.stage.play(&Op::PrivateLine {
                vcpu,
                intid: iar,
                level: false,
            });
        }
        // Its line has been up for this one, and falls now.
        if self.up.remove(&iar) {
            self.stage.play(&Op::Line {
                intid: iar,
                level: false,
            });
        }
        let intid = Some(iar);
        self.stage.play(&Op::Eoi { vcpu, intid });
        if !self.stage.dropped(vcpu).is_empty() {
            self.stage.play(&Op::Dir { vcpu, intid });
        }
    }

    /// The guest serves a physical device when it is told of it: the recorder does not see the line fall.
    fn served(&mut self, intid: u32) {
        if self.recording.head.hardware_line(intid).is_some() && self.up.remove(&intid) {
            self.stage.play(&Op::Line {
                intid,
                level: false,
            });
        }
    }

    fn count(&mut self, vcpu: u8, intid: u32) -> &mut Count {
        self.outcome.counts.entry((vcpu, intid)).or_default()
    }

    /// What is owed may still come; what nobody waits for must not.
    fn settle(&mut self) {
        for vcpu in 0..self.recording.head.vcpus {
            let owed = |replay: &Self| replay.owed.iter().any(|((v, _), n)| *v == vcpu && *n > 0);
            for _ in 0..1024 {
                let taken = if owed(self) {
                    self.stage.play(&Op::Ack { vcpu, intid: None })
                } else {
                    Seen::Done
                };
                match taken {
                    Seen::Taken(iar) if !(1020..=SPURIOUS).contains(&iar) => {
                        self.out_of_turn(vcpu, iar)
                    }
                    _ => break,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recording::script::Scene;
    use recording::text::Script;

    /// Replays a script for each version of the GIC; the outcomes in words.
    fn outcomes(text: &str) -> Vec<String> {
        let script: Script = text.parse().expect("a script");
        let outcome = |scene: &Scene| {
            let recording = scene.recording().expect("nothing but operations");
            replay(&recording, |_| {}).expect("a domain").to_string()
        };
        script.versions.iter().map(outcome).collect()
    }

    fn all_contain(text: &str, word: &str) {
        for outcome in outcomes(text) {
            assert!(outcome.contains(word), "{outcome}");
        }
    }

    #[test]
    fn what_comes_in_order_is_counted() {
        let text = "gic 2 3\nboot\nedge 0 40\nenable 0 40\nline 40 up\nack 0 40\neoi 0 40\nline 40 up\nack 0 40\neoi 0 40";
        all_contain(text, "2 interrupts delivered, 0 of them early and 0 late\n");
    }

    #[test]
    fn an_early_interrupt_is_served_and_its_turn_skipped() {
        // In the recording 41 came first, though here both wait. Twice: the second time it is early again, and not late.
        let round = "line 40 up\nline 41 up\nack 0 41\neoi 0 41\nack 0 40\neoi 0 40\n";
        let text = format!(
            "gic 2 3\nboot\nedge 0 40\nenable 0 40\nenable 0 41\npriority 0 40 0x80\n{round}{round}"
        );
        all_contain(
            &text,
            "4 interrupts delivered, 2 of them early and 0 late\n",
        );
    }

    #[test]
    fn among_equals_the_recording_chooses() {
        let text = "gic 2 3\nboot\nedge 0 40\nenable 0 40\nenable 0 41\nline 40 up\nline 41 up\n\
                    ack 0 41\neoi 0 41\nack 0 40\neoi 0 40";
        all_contain(text, "2 interrupts delivered, 0 of them early and 0 late\n");
    }

    #[test]
    fn a_late_interrupt_is_awaited() {
        let text = "gic 2 3\nboot\nedge 0 40\nenable 0 40\nack 0 40\neoi 0 40\nline 40 up";
        all_contain(text, "1 interrupts delivered, 0 of them early and 1 late\n");
    }

    #[test]
    fn one_that_never_comes_is_wrong() {
        let text = "gic 2 3\nboot\nedge 0 40\nline 40 up\nack 0 40\neoi 0 40";
        all_contain(
            text,
            "wrong: vCPU 0 was given interrupt 40: 0 times, 1 in the recording",
        );
    }

    #[test]
    fn an_sgi_has_its_sender() {
        let text = "gic 2\nboot\nsgi 1 0 2\nack 0 3 from 1\neoi 0 3 from 1";
        all_contain(text, "vCPU 0 was given SGI 3 from CPU 1: 0 times, 1 in");
    }

    #[test]
    fn one_too_many_is_wrong() {
        let text = "gic 2 3\nboot\nedge 0 40\nenable 0 40\nenable 0 41\npriority 0 40 0x80\nline 40 up\nline 41 up\nack 0 41\neoi 0 41";
        all_contain(
            text,
            "wrong: vCPU 0 was given interrupt 40: 1 times, 0 in the recording",
        );
    }

    #[test]
    fn a_physical_line_is_high_until_its_device_is_served() {
        // If it stayed high it would come before the other, which is less urgent.
        let text = "gic 2 3\nhardware 42 level\nboot\nenable 0 42\npriority 0 42 0x80\nenable 0 44\n\
                    line 42 up\nack 0 42\neoi 0 42\nline 44 up\nack 0 44\nline 44 down\neoi 0 44";
        all_contain(text, "2 interrupts delivered, 0 of them early and 0 late\n");
    }
}
