// SPDX-License-Identifier: GPL-2.0-only
//! Scripts by chance, the same for the same seed.
//!
//! What the architecture leaves open must not happen in them, or everybody would be right: interrupts that are pending together
//! have different priorities, of which the five bits that everybody has are used, and the trigger types stay.

use recording::driver::Driver;
use recording::{Field, Head, Op, Recording, Register, Size};

/// Edge-triggered SPIs.
const EDGES: std::ops::Range<u32> = 40..46;
/// Level-sensitive SPIs, with a word of `ICFGR` of their own.
const LEVELS: std::ops::Range<u32> = 48..54;
/// SPIs whose active state is written, and which are never enabled: it is UNPREDICTABLE to end an interrupt that is not active
/// (IHI 0048B 4.4.5).
const OTHERS: [u32; 2] = [46, 54];
const SGIS: [u32; 2] = [1, 2];

/// Something that can be left out, where it is known to differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// The CPU interface and SGIs: only GICv2's is memory.
    Interface,
    /// SGIs.
    Sgis,
    /// More interrupts than list registers.
    Backlog,
    /// Level-sensitive interrupts.
    Levels,
    /// Reads of pending state.
    PendingReads,
    /// Writes of pending state.
    PendingWrites,
    /// Reads of active state.
    ActiveReads,
    /// Writes of active state.
    ActiveWrites,
    /// Interrupts that are disabled while they are pending or active.
    Disabling,
    /// Priorities that change, and interrupts that preempt.
    Priorities,
    /// The group enable bits of the distributor.
    Switch,
    /// The priority mask.
    Mask,
    /// EOImode 1.
    SplitEnd,
    /// Interrupts that are routed elsewhere while something is going on.
    Routing,
    /// vCPUs that are preempted and migrated. Not WFI, which may end at any time.
    Scheduling,
}

/// What may happen.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    pub gic: u8,
    pub vcpus: u8,
    pub steps: usize,
    pub without: &'static [Feature],
}

/// A script, of which the first operations are needed for the rest to make sense.
#[derive(Clone, Debug)]
pub struct Generated {
    pub script: Recording,
    pub fixed: usize,
}

struct Generator<'a> {
    head: &'a Head,
    recipe: Recipe,
    random: fastrand::Rng,
    /// EOImode, which must not change while interrupts are active.
    split: bool,
    ops: Vec<Op>,
}

/// One of two priorities that no other interrupt has.
fn priority(intid: u32, low: bool) -> u8 {
    let n = match intid {
        0..16 => intid,
        40..46 => intid - 40 + 3,
        _ => intid - 48 + 9,
    };
    (n * 8 + if low { 0x78 } else { 0 }) as u8
}

/// The script of a seed.
pub fn generate(recipe: Recipe, seed: u64) -> Generated {
    let few = !recipe.without.contains(&Feature::Backlog);
    let head = Head {
        vcpus: recipe.vcpus,
        spis: 32,
        lrs: if few { 4 } else { 16 },
        origin: format!("seed {seed}"),
        ..Head::small(recipe.gic)
    };
    let mut generator = Generator {
        head: &head,
        recipe,
        random: fastrand::Rng::with_seed(seed),
        split: false,
        ops: Vec::new(),
    };
    generator.split = generator.may(Feature::SplitEnd) && generator.random.bool();
    generator.prepare();
    let fixed = generator.ops.len();
    while generator.ops.len() < fixed + recipe.steps {
        generator.step();
    }
    generator.finish();
    let ops = generator.ops;
    Generated {
        script: Recording { head, ops },
        fixed,
    }
}

impl Generator<'_> {
    fn may(&self, feature: Feature) -> bool {
        !self.recipe.without.contains(&feature)
    }

    fn interrupts(&self) -> Vec<u32> {
        let levels = if self.may(Feature::Levels) {
            LEVELS
        } else {
            0..0
        };
        EDGES.chain(levels).collect()
    }

    fn prepare(&mut self) {
        let driver = Driver::new(self.head, 0);
        self.ops.extend(driver.boot());
        self.ops.push(driver.trigger(EDGES.start, true));
        for intid in self.interrupts() {
            self.ops.push(driver.priority(intid, priority(intid, true)));
            self.ops.push(driver.enable(intid));
        }
        for vcpu in 0..self.recipe.vcpus {
            let driver = Driver::new(self.head, vcpu);
            self.ops
                .extend(SGIS.map(|intid| driver.priority(intid, priority(intid, true))));
            self.ops.push(Op::Set {
                vcpu,
                field: Field::EoiMode,
                value: self.split.into(),
            });
        }
    }

    fn one(&mut self) -> u32 {
        let all = self.interrupts();
        all[self.random.usize(..all.len())]
    }

    fn source(&mut self) {
        let intid = self.one();
        let level = EDGES.contains(&intid) || self.random.u32(..3) != 0;
        self.ops.push(Op::Line { intid, level });
        if !level {
            self.exits();
        }
    }

    /// A level that is in a list register and falls is seen on the next exit: no guest can tell how fast a wire is.
    fn exits(&mut self) {
        self.ops
            .extend((0..self.recipe.vcpus).map(|vcpu| Op::Exit { vcpu }));
    }

    fn read(&mut self, vcpu: u8) {
        let (array, feature) = match self.random.u32(..8) {
            0 | 1 => (0x200, Some(Feature::PendingReads)),
            2 | 3 => (0x300, Some(Feature::ActiveReads)),
            4 => (0x280, Some(Feature::PendingReads)),
            5 => (0x100, None),
            6 => (0x180, None),
            _ => {
                let register = Register::gicd(0x400 + self.one());
                self.ops.push(Op::Read {
                    vcpu,
                    register,
                    size: Size::Byte,
                    value: None,
                });
                return;
            }
        };
        if feature.is_none_or(|f| self.may(f)) {
            let register = Register::gicd(array + 4);
            self.ops.push(Op::Read {
                vcpu,
                register,
                size: Size::Word,
                value: None,
            });
        }
    }

    /// A write of one interrupt's bit.
    fn poke(&mut self, vcpu: u8, array: u32, intid: u32) {
        let (register, value) = Driver::new(self.head, vcpu).bit(array, intid);
        self.ops.push(Op::Write {
            vcpu,
            register,
            size: Size::Word,
            value,
        });
    }

    fn step(&mut self) {
        let vcpu = self.random.u8(..self.recipe.vcpus);
        let driver = Driver::new(self.head, vcpu);
        let set = |field, value| Op::Set { vcpu, field, value };
        match self.random.u32(..100) {
            0..24 => self.source(),
            24..42 if self.may(Feature::Interface) => self.ops.push(Op::Ack { vcpu, intid: None }),
            42..58 if self.may(Feature::Interface) => {
                self.ops.push(Op::Eoi { vcpu, intid: None });
                // An interrupt that is pending and active has one priority in its list register, that of the active one:
                // a new one counts from the next exit on.
                if self.may(Feature::Priorities) {
                    self.ops.push(Op::Exit { vcpu });
                }
                if self.split && self.random.bool() {
                    self.ops.push(Op::Dir { vcpu, intid: None });
                }
            }
            58..68 => self.read(vcpu),
            68..71 if self.may(Feature::Interface) => self.ops.push(Op::Signal { vcpu, on: None }),
            71..75 => {
                let intid = self.one();
                self.poke(vcpu, 0x100, intid);
            }
            75..78 if self.may(Feature::Disabling) => {
                let intid = self.one();
                self.poke(vcpu, 0x180, intid);
            }
            78..81 if self.may(Feature::Priorities) => {
                let (intid, low) = (self.one(), self.random.bool());
                self.ops.push(driver.priority(intid, priority(intid, low)));
            }
            81..84 if self.may(Feature::PendingWrites) => {
                let array = if self.random.bool() { 0x200 } else { 0x280 };
                let intid = self.one();
                self.poke(vcpu, array, intid);
            }
            84..86 if self.may(Feature::ActiveWrites) => {
                let array = if self.random.bool() { 0x300 } else { 0x380 };
                let intid = OTHERS[self.random.usize(..2)];
                self.poke(vcpu, array, intid);
            }
            86..88 if self.may(Feature::Switch) => {
                let on = if self.recipe.gic == 2 { 1 } else { 0x13 };
                let value = if self.random.bool() { on } else { on & 0x10 };
                let register = Register::gicd(0);
                self.ops.push(Op::Write {
                    vcpu,
                    register,
                    size: Size::Word,
                    value,
                });
            }
            88..90 if self.may(Feature::Interface) && self.may(Feature::Mask) => {
                let pmr = [0x40, 0x88, 0xf0, 0xf0][self.random.usize(..4)];
                self.ops.push(set(Field::Pmr, pmr));
            }
            90..94 if self.may(Feature::Interface) && self.may(Feature::Sgis) => {
                let to = self.random.u8(..self.recipe.vcpus);
                let intid = SGIS[self.random.usize(..2)];
                // One sender for each: which of several comes first is left open.
                let from = intid as u8 % self.recipe.vcpus;
                self.ops.push(Driver::new(self.head, from).sgi(to, intid));
            }
            94..97 if self.recipe.vcpus > 1 && self.may(Feature::Routing) => {
                let to = self.random.u8(..self.recipe.vcpus);
                let intid = self.one();
                self.ops.push(driver.route(intid, to));
            }
            97..100 if self.recipe.vcpus > 1 && self.may(Feature::Scheduling) => {
                let op = match self.random.u32(..4) {
                    0 => Op::Preempt { vcpu },
                    1 | 2 => Op::Resume { vcpu },
                    _ => Op::Migrate { vcpu },
                };
                self.ops.push(op);
            }
            _ => self.ops.push(Op::Exit { vcpu }),
        }
    }

    /// Now all that waits must come, and nothing else.
    fn finish(&mut self) {
        for intid in LEVELS {
            self.ops.push(Op::Line {
                intid,
                level: false,
            });
        }
        for vcpu in 0..self.recipe.vcpus {
            self.ops.push(Op::Resume { vcpu });
        }
        self.exits();
        for vcpu in 0..self.recipe.vcpus {
            if self.may(Feature::Interface) {
                self.ops.push(Op::Set {
                    vcpu,
                    field: Field::Pmr,
                    value: 0xf0,
                });
                for _ in 0..8 {
                    self.ops.push(Op::Eoi { vcpu, intid: None });
                    if self.split {
                        self.ops.push(Op::Dir { vcpu, intid: None });
                    }
                    self.ops.push(Op::Ack { vcpu, intid: None });
                }
            }
            if self.may(Feature::PendingReads) {
                let register = Register::gicd(0x204);
                self.ops.push(Op::Read {
                    vcpu,
                    register,
                    size: Size::Word,
                    value: None,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: Recipe = Recipe {
        gic: 2,
        vcpus: 3,
        steps: 400,
        without: &[],
    };

    #[test]
    fn a_seed_is_a_script_that_can_be_written_down() {
        let one = generate(RECIPE, 1).script;
        assert_eq!(one, generate(RECIPE, 1).script);
        assert_ne!(one.ops, generate(RECIPE, 2).script.ops);
        let script: recording::text::Script = one.to_string().parse().expect("a script");
        let again = script.versions[0].recording();
        assert_eq!(again.expect("nothing but operations"), one);
        assert_eq!(script.versions.len(), 1);
    }

    #[test]
    fn priorities_are_all_different() {
        let all: Vec<u32> = SGIS.into_iter().chain(EDGES).chain(LEVELS).collect();
        let mut priorities: Vec<u8> = all
            .iter()
            .flat_map(|n| [priority(*n, false), priority(*n, true)])
            .collect();
        priorities.sort();
        priorities.dedup();
        assert_eq!(priorities.len(), all.len() * 2);
        assert!(priorities.iter().all(|p| p % 8 == 0 && *p < 0xf0));
    }

    #[test]
    fn what_is_left_out_does_not_happen() {
        let without = Recipe {
            without: &[Feature::Interface, Feature::Levels, Feature::Scheduling],
            ..RECIPE
        };
        let generated = generate(without, 3);
        for op in &generated.script.ops[generated.fixed..][..without.steps] {
            match op {
                Op::Ack { .. } | Op::Eoi { .. } | Op::Preempt { .. } | Op::Wait { .. } => {
                    panic!("{op}")
                }
                Op::Line { intid, .. } => assert!(EDGES.contains(intid)),
                _ => {}
            }
        }
    }
}
