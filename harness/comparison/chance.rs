// SPDX-License-Identifier: GPL-2.0-only
//! Scripts by chance of all that a guest may do to its interrupts, the same for the same seed.
//!
//! Nothing is known here of what has happened before: whether an operation makes sense, and what it must show, is for the
//! [judge](super::judge) to say. Each script is of few interrupts and few kinds of things that happen, so that what they have to do with
//! each other is met.

mod kind;
mod model;

use crate::xen::vcpu::Vcpu;
pub use kind::Kind;
pub use model::Model;
use recording::driver::{Driver, FIRST_ESPI};
use recording::{Field, Head, Op, Register, Size};

const PPIS: [u32; 2] = [20, 21];
const TIMER: [u32; 1] = [Vcpu::VTIMER];
const SGIS: [u32; 2] = [1, 2];
const ON: u64 = 0b11;

/// A script by chance, of which the first operations are `boot`.
#[derive(Clone, Debug)]
pub struct Script {
    pub head: Head,
    /// Extended SPIs.
    pub espis: u16,
    pub ops: Vec<Op>,
    pub fixed: usize,
    pub kinds: Vec<Kind>,
}

struct Generator<'a> {
    head: &'a Head,
    model: Model,
    random: fastrand::Rng,
    kinds: Vec<Kind>,
    /// Those that this script is about, and the one that most of it happens to now.
    all: Vec<u32>,
    focus: u32,
    ops: Vec<Op>,
}

/// The script of a seed, of these kinds of things at the most.
pub fn script(model: Model, seed: u64, may: &[Kind]) -> Script {
    let shared = model.shared();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kinds = may.to_vec();
    random.shuffle(&mut kinds);
    kinds.truncate(random.usize(1..10));
    let head = Head {
        vcpus: random.u8(1..4),
        spis: 64,
        hardware: shared.hardware(),
        origin: format!("seed {seed}"),
        ..Head::small(model.gic())
    };
    let mut all = shared.edges.to_vec();
    let pools: [(Kind, &[u32]); 6] = [
        (Kind::Levels, shared.levels),
        (Kind::Triggers, &shared.either),
        (Kind::PhysicalEdges, shared.physical_edges),
        (Kind::PhysicalLevels, shared.physical_levels),
        (Kind::Private, &PPIS),
        (Kind::Timer, &TIMER),
    ];
    for (kind, intids) in pools {
        if kinds.contains(&kind) {
            all.extend(intids);
        }
    }
    random.shuffle(&mut all);
    all.truncate(random.usize(2..7));
    if kinds.contains(&Kind::Sgis) {
        all.extend(&SGIS[..random.usize(1..3)]);
    }
    if head.vcpus == 1 {
        kinds.retain(|k| {
            !matches!(
                k,
                Kind::Routing | Kind::OneOfN | Kind::DirElsewhere | Kind::Hotplug | Kind::Others
            )
        });
    }
    if kinds.contains(&Kind::NoTds) {
        // `boot` has written ICC_CTLR_EL1, so EOImode 1 is seen some time after it is set here, and a DIR on another vCPU before that is
        // the hardware's (see rust-vgic, module `cpu_interface`). tests/dir_gicv3.rs has those after it.
        kinds.retain(|k| *k != Kind::DirElsewhere);
    }
    let mut generator = Generator {
        head: &head,
        model,
        random,
        kinds: kinds.clone(),
        focus: all[0],
        all,
        ops: Vec::new(),
    };
    let fixed = generator.prepare();
    let steps = generator.random.usize(30..150);
    for _ in 0..steps {
        generator.step();
    }
    generator.finish();
    let ops = generator.ops;
    Script {
        head,
        espis: model.espis(),
        ops,
        fixed,
        kinds,
    }
}

impl Generator<'_> {
    fn may(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    fn one(&mut self) -> u32 {
        match self.random.u8(..10) {
            0..6 => self.focus,
            _ => self.all[self.random.usize(..self.all.len())],
        }
    }

    fn vcpu(&mut self) -> u8 {
        // One is where most of it happens.
        match self.random.u8(..2) {
            0 => 0,
            _ => self.random.u8(..self.head.vcpus),
        }
    }

    fn prepare(&mut self) -> usize {
        let driver = Driver::new(self.head, 0);
        let shared = self.model.shared();
        self.ops
            .extend(driver.boot_extended(self.model.espis().into()));
        let fixed = self.ops.len();
        let edges = |all: &[u32]| {
            let mut ops: Vec<Op> = all.iter().map(|n| driver.trigger(*n, true)).collect();
            ops.dedup();
            ops
        };
        self.ops.extend(edges(shared.edges));
        if self.all.iter().any(|n| shared.physical_edges.contains(n)) {
            self.ops.extend(edges(shared.physical_edges));
        }
        for intid in self.all.clone() {
            for vcpu in 0..if intid < 32 { self.head.vcpus } else { 1 } {
                if self.random.bool() {
                    let priority = self.priority();
                    self.ops
                        .push(Driver::new(self.head, vcpu).priority(intid, priority));
                }
                if intid >= 16 && self.random.u8(..5) != 0 {
                    self.ops.push(Driver::new(self.head, vcpu).enable(intid));
                }
            }
        }
        for vcpu in 0..self.head.vcpus {
            if self.may(Kind::SplitEnd) && self.random.u8(..4) != 0 {
                self.set(vcpu, Field::EoiMode, 1);
            }
        }
        fixed
    }

    fn priority(&mut self) -> u8 {
        self.random.u8(1..7) * 0x20
    }

    fn set(&mut self, vcpu: u8, field: Field, value: u8) {
        self.ops.push(Op::Set { vcpu, field, value });
    }

    fn word(&mut self, vcpu: u8, register: Register, value: u64) {
        self.ops.push(Op::Write {
            vcpu,
            register,
            size: Size::Word,
            value,
        });
    }

    /// A write of one interrupt's bit.
    fn poke(&mut self, vcpu: u8, array: u32) {
        let intid = self.one();
        let owner = match self.may(Kind::Others) && intid < 32 && self.head.gic == 3 {
            true => self.random.u8(..self.head.vcpus),
            false => vcpu,
        };
        let (register, bit) = Driver::new(self.head, owner).bit(array, intid);
        self.word(vcpu, register, bit);
    }

    fn source(&mut self) {
        let intid = self.one();
        let level = self.random.u32(..5) < 3;
        match intid {
            0..16 => self.sgi(intid),
            16..32 => {
                let vcpu = self.vcpu();
                self.ops.push(Op::PrivateLine { vcpu, intid, level });
            }
            _ => self.ops.push(Op::Line { intid, level }),
        }
    }

    fn sgi(&mut self, intid: u32) {
        let from = match self.may(Kind::Senders) {
            true => self.random.u8(..self.head.vcpus),
            false => intid as u8 % self.head.vcpus,
        };
        let to = self.vcpu();
        self.ops.push(Driver::new(self.head, from).sgi(to, intid));
    }

    fn read(&mut self, vcpu: u8) {
        let intid = self.one();
        let array = [0x80, 0x100, 0x200, 0x200, 0x300, 0x300, 0x300][self.random.usize(..7)];
        let (register, _) = Driver::new(self.head, vcpu).bit(array, intid);
        let size = Size::Word;
        let value = None;
        self.ops.push(Op::Read {
            vcpu,
            register,
            size,
            value,
        });
    }

    fn group(&mut self, vcpu: u8) {
        // What the others of the register are is known: only these are ever changed.
        let intid = self.one().max(16);
        let (register, bit) = Driver::new(self.head, vcpu).bit(0x80, intid);
        let usual = if self.head.gic == 3 { 0xffff_ffff } else { 0 };
        let value = if self.random.u8(..3) == 0 {
            usual ^ bit
        } else {
            usual
        };
        self.word(vcpu, register, value);
    }

    fn trigger(&mut self, vcpu: u8) {
        let either = self.model.shared().either;
        let driver = Driver::new(self.head, vcpu);
        if self.random.bool() {
            self.ops.extend(either.map(|intid| driver.disable(intid)));
        }
        // Each of the three has its two bits.
        let value = u64::from(self.random.u32(..8));
        let value = (0..3).map(|n| (value >> n & 1) << (2 * n + 1)).sum();
        if let Op::Write { register, .. } = driver.trigger(either[0], true) {
            self.word(vcpu, register, value);
        }
    }

    fn route(&mut self, vcpu: u8) {
        let intid = self.one().max(32);
        let to = self.random.u8(..self.head.vcpus);
        let any = self.may(Kind::OneOfN) && self.random.bool();
        let op = match (
            Driver::new(self.head, vcpu).route(intid, to),
            any,
            self.head.gic,
        ) {
            (Op::Write { register, size, .. }, true, 3) => Op::Write {
                vcpu,
                register,
                size,
                value: 1 << 31,
            },
            (Op::Write { register, size, .. }, true, _) => Op::Write {
                vcpu,
                register,
                size,
                value: self.random.u64(1..1 << self.head.vcpus),
            },
            (op, ..) => op,
        };
        self.ops.push(op);
    }

    fn power(&mut self, vcpu: u8) {
        if self.random.bool() {
            self.ops.push(Op::Off { vcpu });
        } else {
            self.ops.push(Op::On { vcpu });
            self.interface(vcpu);
        }
    }

    /// As a guest does at first.
    fn interface(&mut self, vcpu: u8) {
        self.set(vcpu, Field::Pmr, 0xf0);
        let group = if self.head.gic == 3 {
            Field::Group1
        } else {
            Field::Group0
        };
        self.set(vcpu, group, 1);
        if self.may(Kind::SplitEnd) {
            let split = self.random.u8(..2);
            self.set(vcpu, Field::EoiMode, split);
        }
    }

    fn step(&mut self) {
        let vcpu = self.vcpu();
        if self.random.u8(..15) == 0 {
            self.focus = self.all[self.random.usize(..self.all.len())];
        }
        match self.random.u32(..10) {
            0..2 => self.source(),
            2..4 => self.ops.push(Op::Ack { vcpu, intid: None }),
            4 => self.ops.push(Op::Eoi { vcpu, intid: None }),
            5 => {
                let array = if self.random.u8(..3) == 0 {
                    0x180
                } else {
                    0x100
                };
                self.poke(vcpu, array);
            }
            _ if self.kinds.is_empty() => self.ops.push(Op::Exit { vcpu }),
            _ => {
                let kind = self.kinds[self.random.usize(..self.kinds.len())];
                self.happen(kind, vcpu);
            }
        }
    }

    fn happen(&mut self, kind: Kind, vcpu: u8) {
        let driver = Driver::new(self.head, vcpu);
        match kind {
            Kind::Levels
            | Kind::PhysicalEdges
            | Kind::PhysicalLevels
            | Kind::Private
            | Kind::Timer
            | Kind::NoTds => self.source(),
            Kind::Others => {
                let array = [0x100, 0x180, 0x200, 0x280, 0x300, 0x380][self.random.usize(..6)];
                self.poke(vcpu, array);
            }
            Kind::EndInactive => {
                self.poke(vcpu, 0x380);
                self.ops.push(Op::Eoi { vcpu, intid: None });
            }
            Kind::Sgis | Kind::Senders => {
                let intid = SGIS[self.random.usize(..2)];
                self.sgi(intid);
            }
            Kind::PendingWrites => {
                let array = if self.random.bool() { 0x200 } else { 0x280 };
                self.poke(vcpu, array);
            }
            Kind::SetActive => self.poke(vcpu, 0x300),
            Kind::ClearActive => self.poke(vcpu, 0x380),
            Kind::Priorities => {
                let (intid, priority) = (self.one(), self.priority());
                self.ops.push(driver.priority(intid, priority));
            }
            Kind::Groups => self.group(vcpu),
            Kind::Switch => {
                let value = if self.random.bool() {
                    ON
                } else {
                    self.random.u64(..4)
                };
                self.word(vcpu, Register::gicd(0), value);
            }
            Kind::Interface => {
                let on = self.random.u8(..2);
                let field = if self.random.u8(..4) == 0 {
                    Field::Group0
                } else {
                    Field::Group1
                };
                let other = if field == Field::Group0 {
                    Field::Group1
                } else {
                    Field::Group0
                };
                let field = if self.head.gic == 3 { field } else { other };
                self.set(vcpu, field, on);
            }
            Kind::Mask => {
                let pmr = [0x0, 0x50, 0x90, 0xf0, 0xf0][self.random.usize(..5)];
                self.set(vcpu, Field::Pmr, pmr);
            }
            Kind::SplitEnd => self.ops.push(Op::Dir { vcpu, intid: None }),
            Kind::DirElsewhere => {
                let intid = Some(self.one().max(32));
                self.ops.push(Op::Dir { vcpu, intid });
            }
            Kind::Triggers => self.trigger(vcpu),
            Kind::Routing | Kind::OneOfN => self.route(vcpu),
            Kind::Hotplug => self.power(vcpu),
            Kind::Waiting => self.ops.push(Op::Wait { vcpu }),
            Kind::Scheduling => {
                let op = match self.random.u32(..4) {
                    0 => Op::Preempt { vcpu },
                    1 | 2 => Op::Resume { vcpu },
                    _ => Op::Migrate { vcpu },
                };
                self.ops.push(op);
            }
            Kind::Reads => self.read(vcpu),
        }
    }

    /// Now all that waits must come, and nothing else.
    fn finish(&mut self) {
        let vcpus = 0..self.head.vcpus;
        for vcpu in vcpus.clone() {
            self.ops.push(Op::Resume { vcpu });
            let (one, other) = (vcpu, (vcpu + 1) % self.head.vcpus);
            for vcpu in [one, other] {
                self.ops.push(Op::On { vcpu });
            }
        }
        for vcpu in vcpus.clone() {
            // Its own interrupts end before others can take theirs.
            for _ in 0..8 {
                self.ops.push(Op::Eoi { vcpu, intid: None });
                self.ops.push(Op::Dir { vcpu, intid: None });
            }
            self.interface(vcpu);
        }
        self.word(0, Register::gicd(0), ON);
        let usual = if self.head.gic == 3 { 0xffff_ffff } else { 0 };
        let espis = FIRST_ESPI..FIRST_ESPI + u32::from(self.model.espis());
        for intid in (32..96).chain(espis).step_by(32) {
            let (register, _) = Driver::new(self.head, 0).bit(0x80, intid);
            self.word(0, register, usual);
        }
        for intid in self.all.clone() {
            for vcpu in if intid < 32 { vcpus.clone() } else { 0..1 } {
                let driver = Driver::new(self.head, vcpu);
                for array in [0x100, 0x380] {
                    let (register, bit) = driver.bit(array, intid);
                    self.word(vcpu, register, bit);
                }
            }
        }
        self.drain();
        self.raise(false);
        self.drain();
        // Each of them can come once more: what is behind it in the hardware is not stuck.
        self.raise(true);
        self.drain();
        self.raise(false);
        self.drain();
    }

    fn drain(&mut self) {
        for _ in 0..4 {
            for vcpu in 0..self.head.vcpus {
                self.ops.push(Op::Ack { vcpu, intid: None });
                self.ops.push(Op::Eoi { vcpu, intid: None });
                self.ops.push(Op::Dir { vcpu, intid: None });
            }
        }
    }

    fn raise(&mut self, level: bool) {
        for intid in self.all.clone() {
            match intid {
                0..16 => {}
                16..32 => {
                    let all =
                        (0..self.head.vcpus).map(|vcpu| Op::PrivateLine { vcpu, intid, level });
                    self.ops.extend(all);
                }
                _ => self.ops.push(Op::Line { intid, level }),
            }
        }
    }
}

#[cfg(test)]
#[path = "chance_tests.rs"]
mod tests;
