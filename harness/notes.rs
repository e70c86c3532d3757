// SPDX-License-Identifier: GPL-2.0-only
//! The lives of interrupts: injected, loaded into a list register, acknowledged, ended. Noted on request only.
//!
//! Time is the number of a step of the machine, of which each access, exit and injection is one.

use crate::lock::lock;
use crate::machine::lr::ListRegister;
use recording::Op;
use std::collections::BTreeMap;
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
    /// Which list register, where that is what it is about.
    pub slot: Option<usize>,
    /// In which step of what is played it happened, by its number in the list of steps.
    pub played: Option<usize>,
    /// The vGIC's own word about the interrupt right after, if it has such a thing.
    pub word: Option<u64>,
    /// The state after it.
    pub(crate) state: State,
}

/// The state of an interrupt, as far as the events tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub raised: bool,
    pub loaded: bool,
    pub active: bool,
}

impl State {
    fn after(self, moment: Moment) -> Self {
        let raised = |raised| Self { raised, ..self };
        match moment {
            Moment::Injected => raised(true),
            Moment::Lowered => raised(false),
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

/// Whose life: a shared interrupt is one for all vCPUs.
pub(crate) type Whose = (u32, Option<usize>);

/// What happened, in its order.
#[derive(Debug, Default)]
pub struct Lives {
    /// Of a source only the changes are in it: Xen looks at some on every exit.
    pub events: Vec<Event>,
    /// So many more things happened than can be drawn.
    pub left_out: usize,
    /// Machines that were switched on, each before the event of that number: nothing of the one before is left.
    pub(crate) machines: Vec<(usize, &'static str)>,
    states: BTreeMap<Whose, State>,
    /// The steps of what is played in which something happened: `line 23: ack 0 43`.
    pub(crate) steps: Vec<String>,
    playing: Playing,
    operations: usize,
    is_script: bool,
}

/// What is being played.
#[derive(Clone, Debug, Default)]
enum Playing {
    #[default]
    Nothing,
    /// An operation of a recording, by its number from 1 on.
    Operation(usize, Op),
    /// A line of a script, which may stand for several operations.
    Line(usize, String),
    /// Either, after something has happened in it: its number in [`Lives::steps`].
    Known(usize),
}

/// More is no drawing.
pub(crate) const MOST: usize = 4000;

static ON: AtomicBool = AtomicBool::new(false);
static STEP: AtomicU64 = AtomicU64::new(0);
static LIVES: Mutex<Option<Lives>> = Mutex::new(None);

/// Notes what happens from now on, in the whole process.
pub fn start() {
    STEP.store(0, Ordering::Relaxed);
    *lock(&LIVES) = Some(Lives::default());
    ON.store(true, Ordering::SeqCst);
}

/// What happened since [`start`], the first few thousand things of it.
pub fn stop() -> Lives {
    ON.store(false, Ordering::SeqCst);
    lock(&LIVES).take().unwrap_or_default()
}

fn with<R>(f: impl FnOnce(&mut Lives) -> R) -> Option<R> {
    if !ON.load(Ordering::Relaxed) {
        return None;
    }
    lock(&LIVES).as_mut().map(f)
}

/// A step of the machine.
pub(crate) fn step() {
    STEP.fetch_add(1, Ordering::Relaxed);
}

/// A machine is switched on.
pub(crate) fn machine(about: &'static str) {
    with(|lives| lives.machine(about));
}

/// The next operation of a recording is played, or one of a line of a script.
pub(crate) fn operation(op: &Op) {
    with(|lives| {
        lives.operations += 1;
        if !lives.is_script {
            lives.playing = Playing::Operation(lives.operations, *op);
        }
    });
}

/// The next line of a script is played.
pub(crate) fn line(number: usize, text: &str) {
    with(|lives| {
        lives.is_script = true;
        lives.playing = Playing::Line(number, text.to_owned());
    });
}

/// What has been noted, if anything.
#[must_use]
pub(crate) struct Noted(Option<usize>);

impl Noted {
    /// Adds the word, which is read only if it is wanted. It may be read at any moment, but not under the lock of what is noted.
    pub(crate) fn word(self, word: impl FnOnce() -> Option<u64>) {
        let Some((n, word)) = self.0.zip(self.0.and_then(|_| word())) else {
            return;
        };
        with(|lives| lives.events.get_mut(n).map(|event| event.word = Some(word)));
    }
}

pub(crate) fn note(moment: Moment, vcpu: Option<usize>, intid: u32) -> Noted {
    note_slot(moment, vcpu, intid, None)
}

fn note_slot(moment: Moment, vcpu: Option<usize>, intid: u32, slot: Option<usize>) -> Noted {
    Noted(with(|lives| lives.push(moment, vcpu, intid, slot)).flatten())
}

/// A source is looked at, or changes.
pub(crate) fn source(vcpu: Option<usize>, intid: u32, level: bool) -> Noted {
    let moment = if level {
        Moment::Injected
    } else {
        Moment::Lowered
    };
    note(moment, vcpu, intid)
}

/// List register `n` is written; `word` reads that of an interrupt.
pub(crate) fn list_register(
    vcpu: Option<usize>,
    n: usize,
    before: &ListRegister,
    after: &ListRegister,
    word: impl Fn(u32) -> Option<u64>,
) {
    let note = |moment, intid| note_slot(moment, vcpu, intid, Some(n)).word(|| word(intid));
    let same = before.vintid == after.vintid && before.pending;
    let stays = before.vintid == after.vintid && after.pending;
    if before.pending && !stays {
        note(Moment::Queued, before.vintid);
    }
    if after.pending && !same {
        note(Moment::Loaded, after.vintid);
    }
}

impl Lives {
    pub(crate) fn machine(&mut self, about: &'static str) {
        self.machines.push((self.events.len(), about));
        self.states.clear();
    }

    /// The number of the event, unless it changes nothing or is one too many.
    pub(crate) fn push(
        &mut self,
        moment: Moment,
        vcpu: Option<usize>,
        intid: u32,
        slot: Option<usize>,
    ) -> Option<usize> {
        let old = self.states.entry(whose(intid, vcpu)).or_default();
        let state = old.after(moment);
        let source = matches!(moment, Moment::Injected | Moment::Lowered);
        if source && state.raised == old.raised {
            return None;
        }
        *old = state;
        if self.events.len() >= MOST {
            self.left_out += 1;
            return None;
        }
        let played = self.played();
        self.events.push(Event {
            step: STEP.load(Ordering::Relaxed),
            moment,
            vcpu,
            intid,
            slot,
            played,
            word: None,
            state,
        });
        Some(self.events.len() - 1)
    }
}

impl Lives {
    /// The step that is being played, of which something is told now.
    fn played(&mut self) -> Option<usize> {
        let text = match &self.playing {
            Playing::Nothing => return None,
            Playing::Known(n) => return Some(*n),
            Playing::Operation(n, op) => format!("operation {n}: {op}"),
            Playing::Line(n, text) => format!("line {n}: {text}"),
        };
        self.steps.push(text);
        self.playing = Playing::Known(self.steps.len() - 1);
        Some(self.steps.len() - 1)
    }
}

pub(crate) fn whose(intid: u32, vcpu: Option<usize>) -> Whose {
    (intid, vcpu.filter(|_| intid < 32))
}
