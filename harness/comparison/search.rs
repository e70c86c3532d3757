// SPDX-License-Identifier: GPL-2.0-only
//! `search`: two things that hold for any script, looked for by chance. What a guest sees does not depend on the number of list
//! registers, and not on where exits from it and preemptions fall: it is what a GIC without either shows.
//!
//! How fast a line falls no guest can tell: each fall is followed by an exit. Without it, one delivery of what fell is allowed, and
//! the oracle allows it.

use super::chance::{self, Kind, Model, Script};
use super::compare;
use super::judge::Judge;
use crate::scripts::play::{Seen, Stage};
use crate::scripts::script;
use anyhow::Result;
use recording::driver::Driver;
use recording::script::{Choice, Scene};
use recording::{Head, Op, Recording};
use std::fmt::Write;

/// How a script is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variation {
    /// The machine, if it is not the usual one: `cargo run -- list` has the names.
    pub machine: Option<&'static str>,
    pub lrs: u8,
    /// Extended SPIs, of the machine and of the domain.
    pub espis: u16,
    /// `ICH_VTR_EL2.TDS`.
    pub tds: bool,
    /// With exits and preemptions by this seed; 0 for none.
    pub exits: u64,
    /// When an interrupt and a trap come at once, the trap is taken first.
    pub traps_win: bool,
    /// [`Kind::EndInactive`]
    pub ends_inactive: bool,
    /// Moved to other machines by this seed; 0 for never.
    pub moves: u64,
}

impl Variation {
    /// As simple as can be: the usual machine.
    pub const fn plain(lrs: u8) -> Self {
        Self {
            machine: None,
            lrs,
            espis: 0,
            tds: false,
            exits: 0,
            traps_win: false,
            ends_inactive: false,
            moves: 0,
        }
    }

    /// Another machine that a domain of this one can be moved to: with as many priorities, and another number of list registers.
    fn elsewhere(self, gic: u8, random: &mut fastrand::Rng) -> Self {
        Self {
            machine: match (gic, random.bool()) {
                (2, true) => Some("fvp-base"),
                (2, false) => None,
                _ => self.machine,
            },
            lrs: LRS[random.usize(..LRS.len())],
            ..self
        }
    }
}

/// What is not as it must be.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was played, with what must be seen; the last operation is the one that is wrong.
    pub ops: Vec<Op>,
    pub what: String,
}

/// All numbers of list registers that a domain is moved between.
const LRS: [u8; 4] = [1, 2, 4, 16];
/// Numbers of list registers.
const FEW: [u8; 3] = [1, 2, 4];
const MANY: u8 = 16;
/// In how many ways each script is played.
pub const VARIATIONS: usize = 4;

/// The ways in which a seed's script is played.
fn variations(script: &Script, seed: u64) -> [Variation; VARIATIONS] {
    let v3 = script.head.gic == 3;
    // A GICv2 guest on a GICv3, and all the priority bits that there can be.
    let machine = match seed % 5 {
        1 => Some("fvp-base"),
        2 if v3 => Some("server"),
        _ => None,
    };
    let few = FEW[(seed % 3) as usize];
    [(MANY, 0), (few, 0), (MANY, seed + 1), (few, seed + 1)].map(|(lrs, exits)| Variation {
        machine,
        lrs,
        espis: script.espis,
        tds: v3 && !script.kinds.contains(&Kind::NoTds),
        exits,
        traps_win: seed % 4 == 3,
        ends_inactive: script.kinds.contains(&Kind::EndInactive),
        moves: 0,
    })
}

/// The script with exits and preemptions where chance has them.
fn varied(script: &Script, exits: u64) -> Vec<Op> {
    let (fixed, rest) = script.ops.split_at(script.fixed);
    let mut ops = fixed.to_vec();
    let mut random = fastrand::Rng::with_seed(exits);
    for op in rest {
        if exits != 0 && random.u8(..4) == 0 {
            let vcpu = random.u8(..script.head.vcpus);
            match random.u8(..6) {
                0 => ops.extend([Op::Preempt { vcpu }, Op::Resume { vcpu }]),
                1 => ops.push(Op::Migrate { vcpu }),
                _ => ops.push(Op::Exit { vcpu }),
            }
        }
        ops.push(*op);
    }
    ops
}

fn scene(head: &Head, way: Variation) -> Scene {
    Scene {
        head: head.clone(),
        machine: Choice {
            name: way.machine.map(Into::into),
            lrs: Some(way.lrs),
            tds: Some(way.tds),
            itses: Some(0),
            espis: way.espis,
        },
        lines: Vec::new(),
    }
}

/// A script, beside the oracle.
///
/// # Errors
/// If there can be no such domain.
pub fn play(head: &Head, way: Variation, ops: &[Op]) -> Result<Option<Finding>> {
    let profile = script::profile(&scene(head, way));
    let mut stage = Stage::on_machine(profile, head, way.espis.into())?;
    let mut judge = Judge::new(head, way.espis);
    judge.ends_inactive = way.ends_inactive;
    let mut played = Vec::with_capacity(ops.len());
    let mut what = None;
    let boot = Driver::new(head, 0).boot_extended(way.espis.into()).len();
    let mut random = fastrand::Rng::with_seed(way.moves);
    'all: for (n, op) in ops.iter().enumerate() {
        if way.moves != 0 && random.u8(..8) == 0 {
            let there = way.elsewhere(head.gic, &mut random);
            let profile = script::profile(&scene(head, there));
            let done = if random.u8(..3) == 0 {
                stage.copied().map(|()| stage)
            } else {
                stage.moved_to(profile)
            };
            stage = match done {
                Ok(stage) => stage,
                Err(why) => {
                    let what = format!("before `{op}` it is moved to {there:?}: {why:#}");
                    return Ok(Some(Finding { ops: played, what }));
                }
            };
        }
        let Some(op) = judge.resolve(op) else {
            continue;
        };
        for op in std::iter::once(op).chain(exits(head, &op)) {
            let seen = stage.play(&op);
            if way.traps_win && played.is_empty() {
                stage.let_traps_win();
            }
            let (right, wrong) = judge.see(&op, seen);
            if seen != Seen::Away || matches!(op, Op::On { .. }) || wrong.is_some() {
                played.push(right);
            }
            what = wrong.or_else(|| impossible(&stage));
            if what.is_some() {
                break 'all;
            }
        }
        // A look at the interface changes nothing, and need not be in the script.
        for vcpu in 0..if n < boot { 0 } else { head.vcpus } {
            let look = Op::Signal { vcpu, on: None };
            let (right, wrong) = judge.see(&look, stage.play(&look));
            if wrong.is_some() {
                played.push(right);
                what = wrong;
                break 'all;
            }
        }
    }
    let reports = stage.end();
    if what.is_none() && !reports.is_empty() {
        what = Some(reports.join("; "));
    }
    Ok(what.map(|what| Finding { ops: played, what }))
}

/// What no list registers may hold: a hardware-mapped interrupt that is pending and active (IHI 0069, ICH_LR<n>_EL2.HW), the same
/// interrupt twice (IHI 0048B 5.2.2).
fn impossible(stage: &Stage) -> Option<String> {
    let mut loaded = Vec::new();
    for p in stage.machine().pcpus().iter().filter(|p| p.is_in_guest()) {
        for lr in p.interface().list_registers().filter(|lr| !lr.is_invalid()) {
            if lr.hw && lr.pending && lr.active {
                return Some(format!("{lr:?} is pending and active"));
            }
            if lr.vintid >= 32 {
                if loaded.contains(&lr.vintid) {
                    return Some(format!("{} is in two list registers", lr.vintid));
                }
                loaded.push(lr.vintid);
            }
        }
    }
    None
}

/// Where the oracle says another thing than a script does; both are beside ours, which does as either of them says.
///
/// # Errors
/// If there can be no such domain.
pub fn disagreement(script: &Recording, way: Variation) -> Result<Option<String>> {
    let mut stage = Stage::on_machine(script::profile(&scene(&script.head, way)), &script.head, 0)?;
    let mut judge = Judge::new(&script.head, 0);
    let mut what = None;
    for op in &script.ops {
        let Some(resolved) = judge.resolve(op) else {
            continue;
        };
        let (right, wrong) = judge.see(&resolved, stage.play(&resolved));
        let same = match (op, &right) {
            (Op::Ack { intid: Some(a), .. }, Op::Ack { intid: Some(b), .. }) => a == b,
            (Op::Read { value: Some(a), .. }, Op::Read { value: Some(b), .. }) => a == b,
            (Op::Signal { on: Some(a), .. }, Op::Signal { on: Some(b), .. }) => a == b,
            _ => true,
        };
        what = wrong.or_else(|| (!same).then(|| format!("`{op}` is `{right}` to the oracle")));
        if what.is_some() {
            break;
        }
    }
    stage.end();
    Ok(what)
}

/// The exits after the fall of a line.
fn exits(head: &Head, op: &Op) -> Vec<Op> {
    match *op {
        Op::Line { level: false, .. } => (0..head.vcpus).map(|vcpu| Op::Exit { vcpu }).collect(),
        Op::PrivateLine {
            vcpu, level: false, ..
        } => vec![Op::Exit { vcpu }],
        _ => Vec::new(),
    }
}

/// Plays the script of a seed in all its ways; the first finding, as short as it gets, for a person to read.
///
/// # Errors
/// If there can be no such domain.
pub fn seed(model: Model, seed: u64, may: &[Kind]) -> Result<Option<String>> {
    let script = chance::script(model, seed, may);
    for way in variations(&script, seed) {
        let head = Head {
            lrs: way.lrs,
            ..script.head.clone()
        };
        let ops = varied(&script, way.exits);
        if play(&head, way, &ops)?.is_some() {
            let recording = Recording { head, ops };
            let fails = |r: &Recording| Ok(play(&r.head, way, &r.ops)?.is_some());
            let short = compare::shrink(&recording, script.fixed, fails)?;
            return report(&script, &short, way).map(Some);
        }
    }
    Ok(None)
}

/// The same, with the domain moved to other machines again and again: saved on the one, and restored on the other.
///
/// # Errors
/// If there can be no such domain.
pub fn moved(model: Model, seed: u64, may: &[Kind]) -> Result<Option<String>> {
    let script = chance::script(model, seed, may);
    let ways = variations(&script, seed);
    let moves = seed.wrapping_add(1);
    let way = Variation {
        moves,
        ..ways[(seed % VARIATIONS as u64) as usize]
    };
    let head = Head {
        lrs: way.lrs,
        ..script.head.clone()
    };
    if play(&head, way, &script.ops)?.is_none() {
        return Ok(None);
    }
    let ops = script.ops.clone();
    let fails = |r: &Recording| Ok(play(&r.head, way, &r.ops)?.is_some());
    let short = compare::shrink(&Recording { head, ops }, script.fixed, fails)?;
    Ok(Some(format!(
        "# {way:?}\n{}",
        report(&script, &short, way)?
    )))
}

/// What was found, as a script that fails.
fn report(script: &Script, short: &Recording, way: Variation) -> Result<String> {
    let Some(finding) = play(&short.head, way, &short.ops)? else {
        return Ok(format!(
            "{}: a finding that comes and goes",
            short.head.origin
        ));
    };
    let mut text = String::new();
    let used = |l: &recording::HardwareLine| {
        finding.ops[script.fixed..]
            .iter()
            .any(|op| is_about(op, l.intid))
    };
    let head = Head {
        hardware: short.head.hardware.iter().copied().filter(used).collect(),
        ..short.head.clone()
    };
    // Writing to a string does not fail.
    let _ = write!(text, "{head}");
    if way.espis != 0 {
        let _ = writeln!(text, "espis {}", way.espis);
    }
    if let Some(machine) = way.machine {
        let _ = writeln!(text, "machine {machine}");
    }
    if head.gic == 3 {
        let _ = writeln!(text, "itses 0\ntds {}", u8::from(way.tds));
    }
    let _ = writeln!(text, "boot");
    for op in finding.ops.iter().skip(script.fixed) {
        let _ = writeln!(text, "{op}");
    }
    let _ = writeln!(text, "# {}", finding.what);
    Ok(text)
}

fn is_about(op: &Op, intid: u32) -> bool {
    match op {
        Op::Line { intid: n, .. } => *n == intid,
        _ => op
            .to_string()
            .split_whitespace()
            .any(|w| w == intid.to_string()),
    }
}
