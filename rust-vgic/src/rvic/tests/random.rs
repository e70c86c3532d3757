// SPDX-License-Identifier: GPL-2.0-only
//! Many interrupts of several vCPUs, by chance, against the model.

use super::model::Model;
use super::*;
use crate::fake::chance::Chance;

pub(super) struct Life {
    pub(super) domain: Domain<Fake>,
    model: Model,
    chance: Chance,
    vcpus: u64,
}

impl Life {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let config = Config {
            vcpus: 1 + chance.index(20),
            trusted: chance.of(&[32, 64]),
            untrusted: chance.of(&[32, 64, 96]),
            inputs: chance.of(&[1, 8, 40]),
            messages: None,
            level_inputs: chance.below(2) == 0,
        };
        let levels = vec![config.level_inputs; config.inputs as usize];
        let (trusted, untrusted) = (config.trusted as usize, config.untrusted as usize);
        let features = config.level_inputs.then_some(2);
        Self {
            domain: domain(&config),
            model: Model::new(config.vcpus, trusted, untrusted, &levels, features),
            chance,
            vcpus: config.vcpus as u64,
        }
    }

    /// Mostly one that there is.
    fn intid(&mut self) -> u64 {
        let total = self.domain.config.interrupts().into();
        // A few that meet often, and now and then one that there is not.
        match self.chance.below(20) {
            0 => total + self.chance.below(2),
            1..10 => self.chance.of(&[0, 3, 15, 16, 31, 32, 33, 63]),
            _ => self.chance.below(total),
        }
    }

    pub(super) fn step(&mut self) {
        let n = self.chance.below(self.vcpus) as usize;
        let input = self.chance.below(u64::from(self.domain.config.inputs));
        let level = self.chance.below(2) == 0;
        match self.chance.below(20) {
            0..3 => {
                let intid = self.chance.below(self.domain.config.trusted.into());
                let own = self.domain.v(n);
                self.domain
                    .inject_private(own, intid as u32, level)
                    .unwrap();
                self.model.inject_private(n, intid as usize, level);
            }
            3..7 => {
                self.domain.inject_input(input as u32, level).unwrap();
                self.model.inject_input(input as usize, level);
            }
            7 => {
                let source = self.chance.of(&[None, None, Some(false), Some(true)]);
                self.domain.source(source);
                self.model.source = source;
            }
            8 if level => {
                self.domain.leave(self.domain.v(n));
                self.domain.cpu_off(self.domain.v(n));
                self.domain.cpu_on(self.domain.v(n));
                self.domain.enter(self.domain.v(n));
                self.model.cpu_off(n);
                self.model.cpu_on(n);
            }
            _ => {
                let to = mpidr(self.chance.below(self.vcpus + 1));
                let intid = self.intid();
                let (function, args) = match self.chance.below(16) {
                    0 | 1 => (ENABLE, [0; 3]),
                    2 if level => (DISABLE, [0; 3]),
                    3..6 => (MAP, [input, to, intid]),
                    6 => (UNMAP, [input, 0, 0]),
                    7 => (RESAMPLE, [intid, 0, 0]),
                    8 => (RESAMPLE_INPUT, [input, 0, 0]),
                    9 | 10 => (ACKNOWLEDGE, [0; 3]),
                    _ => {
                        let which = [SET_MASKED, CLEAR_MASKED, CLEAR_MASKED];
                        let more = [IS_PENDING, SIGNAL, SIGNAL, CLEAR_PENDING];
                        let all = [&which[..], &more[..]].concat();
                        (self.chance.of(&all), [to, intid, 0])
                    }
                };
                let expected = self.model.call(n, function, args);
                let found = self.domain.hvc(n, function, args);
                assert_eq!(found, expected, "v{n} {function:#x} {args:#x?}");
            }
        }
    }

    fn compare(&self) {
        self.domain.answer_kicks();
        for (n, of) in self.model.controllers.iter().enumerate() {
            let own = self.domain.v(n);
            assert_eq!(own.is_enabled(), of.enabled);
            assert_eq!(self.domain.has_pending(own), self.model.line(n), "v{n}");
            assert_eq!(self.domain.shows(n), self.model.line(n), "v{n}");
            for (raw, interrupt) in of.interrupts.iter().enumerate() {
                let n = self.domain.number(raw as u64).unwrap();
                assert_eq!(own.is_pending(n), interrupt.pending, "{raw}");
                assert_eq!(own.is_masked(n), interrupt.masked, "{raw}");
            }
        }
    }

    /// All that can be taken is taken, in the right order.
    fn drain(&mut self) {
        for n in 0..self.vcpus as usize {
            loop {
                let expected = self.model.call(n, ACKNOWLEDGE, [0; 3]);
                assert_eq!(self.domain.hvc(n, ACKNOWLEDGE, [0; 3]), expected);
                if expected.0 != OK {
                    break;
                }
            }
        }
    }
}

#[test]
fn lives_are_as_the_model_has_them() {
    for seed in 0..150 {
        let mut life = Life::new(seed);
        for n in 0..life.vcpus as usize {
            // As in a guest, in which every vCPU is in its own.
            life.domain.enter(life.domain.v(n));
        }
        for _ in 0..400 {
            life.step();
            life.compare();
        }
        life.drain();
        life.compare();
    }
}
