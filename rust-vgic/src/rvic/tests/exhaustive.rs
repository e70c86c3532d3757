// SPDX-License-Identifier: GPL-2.0-only
//! One interrupt, in each state that it can be in, and all that can happen to it there: against the model.

use super::model::Model;
use super::*;
use std::collections::{HashSet, VecDeque};

/// What can happen to an interrupt of vCPU 1.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A call of this vCPU's.
    Call(usize, u64, [u64; 3]),
    /// Its line, or what leads to it.
    Level(bool),
    /// What the host says of the line.
    Source(Option<bool>),
    /// vCPU 1 is switched off, and on.
    Off,
    On,
    /// vCPU 1 leaves its guest, and enters it.
    Leave,
    Enter,
}

fn steps(intid: u64, input: Option<u64>) -> Vec<Step> {
    let mut steps = Vec::new();
    for n in [0, 1] {
        for function in SET_MASKED..=CLEAR_PENDING {
            steps.push(Step::Call(n, function, [mpidr(1), intid, 0]));
        }
    }
    for function in [ENABLE, DISABLE, ACKNOWLEDGE] {
        steps.push(Step::Call(1, function, [0; 3]));
    }
    steps.push(Step::Call(1, RESAMPLE, [intid, 0, 0]));
    for on in [false, true] {
        steps.push(Step::Level(on));
    }
    if let Some(input) = input {
        steps.push(Step::Call(0, MAP, [input, mpidr(1), intid]));
        steps.push(Step::Call(1, MAP, [input, mpidr(0), intid]));
        steps.push(Step::Call(0, UNMAP, [input, 0, 0]));
        steps.push(Step::Call(0, RESAMPLE_INPUT, [input, 0, 0]));
    } else {
        steps.extend([None, Some(false), Some(true)].map(Step::Source));
    }
    steps.extend([Step::Off, Step::On, Step::Leave, Step::Enter]);
    steps
}

/// Both, and whether vCPU 1 is in its guest.
struct Pair {
    domain: Domain<Fake>,
    model: Model,
    inside: bool,
    intid: usize,
    input: Option<u64>,
}

impl Pair {
    fn new(config: &Config, intid: usize, input: Option<u64>) -> Self {
        let levels: Vec<bool> = (0..config.inputs).map(|n| config.is_level(n)).collect();
        let features = (config.messages.is_some() || config.level_inputs)
            .then_some(config.messages.map_or(0, |_| 1) | u64::from(config.level_inputs) << 1);
        Self {
            domain: domain(config),
            model: Model::new(2, 32, 32, &levels, features),
            inside: false,
            intid,
            input,
        }
    }

    /// Something happens to both.
    fn step(&mut self, step: Step) {
        let (d, own) = (&self.domain, self.domain.v(1));
        match step {
            Step::Call(n, function, args) => {
                let result = d.hvc(n, function, args);
                self.inside |= n == 1;
                assert_eq!(result, self.model.call(n, function, args), "{step:?}");
            }
            Step::Level(level) => match self.input {
                Some(input) => {
                    d.inject_input(input as u32, level).unwrap();
                    self.model.inject_input(input as usize, level);
                }
                None => {
                    d.inject_private(own, self.intid as u32, level).unwrap();
                    self.model.inject_private(1, self.intid, level);
                }
            },
            Step::Source(line) => {
                d.source(line);
                self.model.source = line;
            }
            Step::Off => {
                d.leave(own);
                self.inside = false;
                d.cpu_off(own);
                self.model.cpu_off(1);
            }
            Step::On => {
                d.leave(own);
                self.inside = false;
                d.cpu_on(own);
                self.model.cpu_on(1);
            }
            Step::Leave => {
                d.leave(own);
                self.inside = false;
            }
            Step::Enter => {
                d.enter(own);
                self.inside = true;
            }
        }
    }

    /// Both are the same.
    fn compare(&self) {
        let own = self.domain.v(1);
        let of = &self.model.controllers[1];
        let n = self.domain.number(self.intid as u64).unwrap();
        assert_eq!(own.is_enabled(), of.enabled);
        assert_eq!(own.is_pending(n), of.interrupts[self.intid].pending);
        assert_eq!(own.is_masked(n), of.interrupts[self.intid].masked);
        assert_eq!(self.domain.has_pending(own), self.model.line(1));
        match self.input {
            None => assert_eq!(own.line(n), of.interrupts[self.intid].line),
            Some(input) => {
                let entry = self.domain.rvid.entry(input as usize).unwrap();
                let model = self.model.inputs[input as usize];
                assert_eq!(entry.line(), model.line);
                let target = entry.target().map(|(id, n)| (id.index(), n.into()));
                assert_eq!(target, model.target);
                assert!(!entry.is_busy());
            }
        }
    }
}

/// From each state that can be reached, each step. How many states there are.
fn explore(config: &Config, intid: usize, input: Option<u64>) -> usize {
    let steps = steps(intid as u64, input);
    let mut found = HashSet::new();
    let mut queue = VecDeque::from([Vec::new()]);
    while let Some(path) = queue.pop_front() {
        for step in &steps {
            let mut pair = Pair::new(config, intid, input);
            for before in &path {
                pair.step(*before);
                pair.domain.answer_kicks();
            }
            let before = (pair.inside, pair.model.line(1));
            pair.step(*step);
            pair.compare();
            // It is in its guest with the line as it is to be, or called out of it; it sleeps on nothing new. And not for nothing.
            let kicked = pair.domain.host.kicked().contains(&1);
            let line = pair.model.line(1);
            let changed = line != before.1;
            if pair.inside {
                let right = pair.domain.shows(1) == line;
                assert!(right != kicked, "{path:?} {step:?}");
            } else {
                assert_eq!(kicked, changed && line, "{path:?} {step:?}");
            }
            if kicked && pair.inside {
                pair.domain.enter(pair.domain.v(1));
                assert_eq!(pair.domain.shows(1), line);
            }
            if found.insert((pair.model.clone(), pair.inside)) {
                let next = path.iter().copied().chain([*step]);
                queue.push_back(next.collect());
            }
        }
    }
    found.len()
}

#[test]
fn a_trusted_interrupt_is_as_the_model_has_it() {
    // Enabled, pending, masked, line, three sources, in or out: nothing is pending of what was never enabled, and so on.
    let states = explore(&LEAST, 27, None);
    assert!((80..=96).contains(&states), "{states}");
}

#[test]
fn an_untrusted_interrupt_and_its_input_are_as_the_model_has_them() {
    let states = explore(&LEAST, 40, Some(7));
    assert!(states > 40, "{states}");
}

#[test]
fn a_level_input_is_as_the_model_has_it() {
    let states = explore(&EXTENDED, 63, Some(3));
    assert!(states > 80, "{states}");
}

#[test]
fn the_input_of_a_message_is_as_the_model_has_it() {
    let states = explore(&EXTENDED, 32, Some(4));
    assert!(states > 40, "{states}");
}

/// The pure function itself: all 2^3 states of each lane, with neighbours that nothing may touch.
#[test]
fn a_word_changes_in_one_place() {
    use crate::rvic::word::{Event, LANES, Word};
    for lane in 0..LANES {
        for bits in 0..8_u64 {
            for others in [0, 0xffff_ffff] {
                let own = 1 << lane | 1 << (lane + 16);
                let state = bits >> 2 << 32 | (bits & 1) << lane | (bits >> 1 & 1) << (lane + 16);
                let word = Word::from_bits(others & !own | state);
                let (enabled, pending, masked) = (bits & 4 != 0, bits & 1 != 0, bits & 2 != 0);
                let deliverable = word.deliverable() >> lane & 1 != 0;
                assert_eq!(deliverable, enabled && pending && !masked);
                let expected = |event| match event {
                    Event::Signal => (enabled, pending || enabled, masked),
                    Event::Clear => (enabled, false, masked),
                    Event::Mask => (enabled, pending, true),
                    Event::Unmask => (enabled, pending, false),
                    Event::Acknowledge if deliverable => (enabled, false, true),
                    Event::Acknowledge => (enabled, pending, masked),
                    Event::Enable => (true, pending, masked),
                    Event::Disable => (false, pending, masked),
                    Event::Reset => (false, false, true),
                };
                for event in [
                    Event::Signal,
                    Event::Clear,
                    Event::Mask,
                    Event::Unmask,
                    Event::Acknowledge,
                    Event::Enable,
                    Event::Disable,
                    Event::Reset,
                ] {
                    let new = word.apply(lane, event);
                    let of = |set: u16| set >> lane & 1 != 0;
                    let found = (new.enabled(), of(new.pending()), of(new.masked()));
                    assert_eq!(found, expected(event), "{word:?} {event:?}");
                    if event != Event::Reset {
                        let rest = !(own | 1 << 32);
                        assert_eq!(new.bits() & rest, word.bits() & rest, "{word:?} {event:?}");
                    }
                }
            }
        }
    }
}
