// SPDX-License-Identifier: GPL-2.0-only
//! The lives of interrupts: injected, loaded into a list register, acknowledged, ended. On request only; drawn as text or as SVG.
//!
//! Time is the number of a step of the machine, of which each access, exit and injection is one. A drawing has a column for each
//! thing that happened, not for each step.

use crate::lr::ListRegister;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What happens to an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Its source is raised: from now on it is queued.
    Injected,
    /// Its level is lowered.
    Lowered,
    /// A list register holds it, pending.
    Loaded,
    /// It had to leave its list register before it was acknowledged.
    Queued,
    Acknowledged,
    /// Ended, or deactivated where the two are separate.
    Ended,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub step: u64,
    pub moment: Moment,
    /// None where a shared interrupt is injected.
    pub vcpu: Option<usize>,
    pub intid: u32,
}

static ON: AtomicBool = AtomicBool::new(false);
static STEP: AtomicU64 = AtomicU64::new(0);
static EVENTS: Mutex<Vec<Event>> = Mutex::new(Vec::new());

/// More is no drawing.
const MOST: usize = 4000;
/// Columns of a block of text.
const WIDTH: usize = 100;

/// Notes what happens from now on, in the whole process.
pub fn start() {
    STEP.store(0, Ordering::Relaxed);
    crate::machine::lock(&EVENTS).clear();
    ON.store(true, Ordering::SeqCst);
}

/// What happened since [`start`], the first few thousand things of it.
pub fn stop() -> Vec<Event> {
    ON.store(false, Ordering::SeqCst);
    std::mem::take(&mut crate::machine::lock(&EVENTS))
}

/// A step of the machine.
pub(crate) fn step() {
    STEP.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn note(moment: Moment, vcpu: Option<usize>, intid: u32) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    let mut events = crate::machine::lock(&EVENTS);
    if events.len() < MOST {
        events.push(Event {
            step: STEP.load(Ordering::Relaxed),
            moment,
            vcpu,
            intid,
        });
    }
}

/// A source is looked at, or changes.
pub(crate) fn source(vcpu: Option<usize>, intid: u32, level: bool) {
    let moment = if level {
        Moment::Injected
    } else {
        Moment::Lowered
    };
    note(moment, vcpu, intid);
}

/// A list register is written.
pub(crate) fn list_register(vcpu: Option<usize>, before: &ListRegister, after: &ListRegister) {
    let same = before.vintid == after.vintid && before.pending;
    let stays = before.vintid == after.vintid && after.pending;
    if before.pending && !stays {
        note(Moment::Queued, vcpu, before.vintid);
    }
    if after.pending && !same {
        note(Moment::Loaded, vcpu, after.vintid);
    }
}

/// The state of an interrupt, as far as the events tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    raised: bool,
    loaded: bool,
    active: bool,
}

impl State {
    fn after(self, moment: Moment) -> Self {
        match moment {
            Moment::Injected => Self {
                raised: true,
                ..self
            },
            Moment::Lowered => Self {
                raised: false,
                ..self
            },
            Moment::Loaded => Self {
                raised: false,
                loaded: true,
                ..self
            },
            Moment::Queued => Self {
                raised: true,
                loaded: false,
                ..self
            },
            Moment::Acknowledged => Self {
                loaded: false,
                active: true,
                raised: false,
            },
            Moment::Ended => Self {
                active: false,
                ..self
            },
        }
    }
}

/// The life of one interrupt: what happened in which column.
struct Lane {
    name: String,
    moments: BTreeMap<usize, (Moment, State)>,
}

/// The lanes, and the steps of the columns. Of a source only the changes are drawn: Xen looks at some on every exit.
fn lanes(events: &[Event]) -> (Vec<Lane>, Vec<u64>) {
    let mut lanes: BTreeMap<(u32, Option<usize>), (Lane, State)> = BTreeMap::new();
    let mut steps = Vec::new();
    for event in events {
        let private = event.intid < 32;
        let key = (event.intid, event.vcpu.filter(|_| private));
        if event.moment == Moment::Lowered && !lanes.contains_key(&key) {
            continue;
        }
        let (lane, state) = lanes.entry(key).or_insert_with(|| {
            let vcpu = key.1.map_or(String::new(), |v| format!(" vCPU {v}"));
            let lane = Lane {
                name: format!("{}{vcpu}", event.intid),
                moments: BTreeMap::new(),
            };
            (lane, State::default())
        });
        let after = state.after(event.moment);
        let source = matches!(event.moment, Moment::Injected | Moment::Lowered);
        if source && after.raised == state.raised {
            continue;
        }
        *state = after;
        lane.moments.insert(steps.len(), (event.moment, after));
        steps.push(event.step);
    }
    (lanes.into_values().map(|(lane, _)| lane).collect(), steps)
}

fn sign(moment: Moment) -> char {
    match moment {
        Moment::Injected => 'i',
        Moment::Lowered => 'd',
        Moment::Loaded => 'l',
        Moment::Queued => 'q',
        Moment::Acknowledged => 'A',
        Moment::Ended => 'E',
    }
}

fn filling(state: State) -> char {
    match state {
        State { active: true, .. } => '#',
        State { loaded: true, .. } => '=',
        State { raised: true, .. } => '-',
        _ => ' ',
    }
}

/// The drawing as text.
pub fn text(events: &[Event]) -> String {
    let (lanes, steps) = lanes(events);
    let mut out = String::from(
        "i injected  - queued  q queued again  l loaded  = in a list register  A acknowledged  # active  E ended  d line down\n",
    );
    let width = lanes.iter().map(|l| l.name.len()).max().unwrap_or(0);
    for (n, block) in steps.chunks(WIDTH).enumerate() {
        let first = n * WIDTH;
        let (from, to) = (block.first().copied(), block.last().copied());
        // Writing to a string does not fail.
        let _ = writeln!(out, "\nsteps {} to {}", from.unwrap_or(0), to.unwrap_or(0));
        for lane in &lanes {
            let before = lane.moments.range(..first).next_back();
            let mut state = before.map_or(State::default(), |(_, (_, state))| *state);
            let row: String = (first..first + block.len())
                .map(|column| match lane.moments.get(&column) {
                    Some((moment, after)) => {
                        state = *after;
                        sign(*moment)
                    }
                    None => filling(state),
                })
                .collect();
            if !row.trim().is_empty() {
                let _ = writeln!(out, "{:width$}  {}", lane.name, row.trim_end());
            }
        }
    }
    out
}

/// Pixels of a column, of a lane, and of the names on the left.
const COLUMN: usize = 8;
const LANE: usize = 22;
const NAMES: usize = 90;
const HEADER: usize = 40;

fn colour(state: State) -> Option<&'static str> {
    match filling(state) {
        '#' => Some("#c8553d"),
        '=' => Some("#588b8b"),
        '-' => Some("#f2d0a4"),
        _ => None,
    }
}

/// The drawing as SVG.
pub fn svg(events: &[Event]) -> String {
    let (lanes, steps) = lanes(events);
    let width = NAMES + steps.len() * COLUMN + 20;
    let height = HEADER + lanes.len() * LANE + 10;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let legend = [
        ("#f2d0a4", "queued"),
        ("#588b8b", "in a list register"),
        ("#c8553d", "active"),
    ];
    for (n, (fill, name)) in legend.iter().enumerate() {
        let x = 10 + n * 140;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"10\" width=\"12\" height=\"12\" fill=\"{fill}\"/>"
        );
        let _ = writeln!(out, "<text x=\"{}\" y=\"20\">{name}</text>", x + 18);
    }
    for (n, lane) in lanes.iter().enumerate() {
        let y = HEADER + n * LANE;
        let _ = writeln!(out, "<text x=\"10\" y=\"{}\">{}</text>", y + 13, lane.name);
        let ends = lane.moments.keys().skip(1).copied().chain([steps.len()]);
        for ((column, (moment, state)), end) in lane.moments.iter().zip(ends) {
            let x = NAMES + column * COLUMN;
            if let Some(fill) = colour(*state) {
                let w = (end - column) * COLUMN;
                let _ = writeln!(
                    out,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"16\" fill=\"{fill}\"/>"
                );
            }
            let step = steps.get(*column).copied().unwrap_or(0);
            let _ = writeln!(
                out,
                "<line x1=\"{x}\" y1=\"{y}\" x2=\"{x}\" y2=\"{}\" stroke=\"black\"><title>{moment:?}, step {step}</title></line>",
                y + 16
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(all: &[(Moment, Option<usize>, u32)]) -> Vec<Event> {
        let event = |(step, &(moment, vcpu, intid))| Event {
            step: step as u64 * 10,
            moment,
            vcpu,
            intid,
        };
        all.iter().enumerate().map(event).collect()
    }

    fn two_lives() -> Vec<Event> {
        use Moment::{Acknowledged, Ended, Injected, Loaded, Lowered};
        events(&[
            (Lowered, Some(1), 27),
            (Injected, None, 40),
            (Injected, Some(1), 27),
            (Injected, Some(1), 27),
            (Loaded, Some(0), 40),
            (Acknowledged, Some(0), 40),
            (Lowered, Some(1), 27),
            (Ended, Some(0), 40),
        ])
    }

    #[test]
    fn lives_are_drawn_as_text() {
        let text = text(&two_lives());
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            ["steps 10 to 70", "27 vCPU 1   i--d", "40         i-lA#E",]
        );
    }

    #[test]
    fn lives_are_drawn_as_svg() {
        let svg = svg(&two_lives());
        assert_eq!(
            svg.matches("<line").count(),
            6,
            "one for each thing that happened"
        );
        // Active from the fourth column to the last but one, beside the legend's square.
        assert!(
            svg.contains("<rect x=\"114\" y=\"62\" width=\"16\" height=\"16\" fill=\"#c8553d\"/>"),
            "{svg}"
        );
        assert!(svg.ends_with("</svg>\n"));
    }

    #[test]
    fn a_long_life_is_drawn_in_blocks() {
        use Moment::{Acknowledged, Ended};
        let all: Vec<_> = (0..=WIDTH)
            .map(|n| (if n % 2 == 0 { Acknowledged } else { Ended }, Some(0), 40))
            .collect();
        assert_eq!(text(&events(&all)).matches("steps").count(), 2);
    }
}
