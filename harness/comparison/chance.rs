// SPDX-License-Identifier: GPL-2.0-only
//! Scripts by chance of all that a guest may do to its interrupts, the same for the same seed.
//!
//! Nothing is known here of what has happened before: whether an operation makes sense, and what it must show, is for the
//! [judge](super::judge) to say. Each script is of few interrupts and few kinds of things that happen, so that what they have to do with
//! each other is met.

use crate::xen::vcpu::Vcpu;
use recording::driver::Driver;
use recording::{Field, HardwareLine, Head, Op, Register, Size};
use std::str::FromStr;

/// What can be left out. Each script has some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Levels,
    /// Hardware-mapped ones.
    PhysicalEdges,
    PhysicalLevels,
    Private,
    /// The virtual timer, which follows its vCPU: its guest and time move its line.
    Timer,
    /// A GICv3 vCPU writes another's redistributor.
    Others,
    Sgis,
    /// SGIs of one number from several CPUs.
    Senders,
    PendingWrites,
    /// `ISACTIVER`, also of what was never acknowledged.
    SetActive,
    /// `ICACTIVER`, also of what was acknowledged.
    ClearActive,
    /// Priorities that change, also of what is pending or active.
    Priorities,
    /// The group of an interrupt, also of an active one.
    Groups,
    /// The groups' enables in `GICD_CTLR`.
    Switch,
    /// The groups' enables at the CPU interface.
    Interface,
    Mask,
    /// EOImode 1, and `DIR`.
    SplitEnd,
    /// `EOIR` of what was acknowledged and is inactive since, by `ICACTIVER`: the priority drops, and nothing else changes.
    EndInactive,
    /// `DIR` by another vCPU.
    DirElsewhere,
    /// `ICH_VTR_EL2.TDS` = 0: no trap of `ICC_DIR_EL1` alone.
    NoTds,
    /// `ICFGR` of disabled interrupts, whose lines rise and fall.
    Triggers,
    Routing,
    /// An interrupt that any of several may take.
    OneOfN,
    /// vCPUs that are switched off, whatever they have, and on.
    Hotplug,
    Waiting,
    /// vCPUs that are preempted and migrated.
    Scheduling,
    Reads,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 27] = [
        Self::Levels,
        Self::PhysicalEdges,
        Self::PhysicalLevels,
        Self::Private,
        Self::Timer,
        Self::Others,
        Self::Sgis,
        Self::Senders,
        Self::PendingWrites,
        Self::SetActive,
        Self::ClearActive,
        Self::Priorities,
        Self::Groups,
        Self::Switch,
        Self::Interface,
        Self::Mask,
        Self::SplitEnd,
        Self::EndInactive,
        Self::DirElsewhere,
        Self::NoTds,
        Self::Triggers,
        Self::Routing,
        Self::OneOfN,
        Self::Hotplug,
        Self::Waiting,
        Self::Scheduling,
        Self::Reads,
    ];
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = |k: &Self| format!("{k:?}").eq_ignore_ascii_case(name);
        let all = || {
            Self::ALL
                .map(|k| format!("{k:?}").to_lowercase())
                .join(", ")
        };
        Self::ALL.into_iter().find(named).ok_or_else(all)
    }
}

/// Emulated edges, levels, and interrupts whose trigger type changes: a register of `ICFGR` each.
const EDGES: [u32; 4] = [40, 41, 42, 44];
const LEVELS: [u32; 3] = [48, 49, 50];
const EITHER: [u32; 3] = [64, 65, 66];
const PHYSICAL_EDGES: [u32; 2] = [36, 37];
const PHYSICAL_LEVELS: [u32; 2] = [56, 57];
const PPIS: [u32; 2] = [20, 21];
const TIMER: [u32; 1] = [Vcpu::VTIMER];
const SGIS: [u32; 2] = [1, 2];
const ON: u64 = 0b11;

fn physical() -> Vec<HardwareLine> {
    let line = |intid, level| HardwareLine { intid, level };
    let edges = PHYSICAL_EDGES.map(|intid| line(intid, false));
    edges
        .into_iter()
        .chain(PHYSICAL_LEVELS.map(|intid| line(intid, true)))
        .collect()
}

/// A script by chance, of which the first operations are `boot`.
#[derive(Clone, Debug)]
pub struct Script {
    pub head: Head,
    pub ops: Vec<Op>,
    pub fixed: usize,
    pub kinds: Vec<Kind>,
}

struct Generator<'a> {
    head: &'a Head,
    random: fastrand::Rng,
    kinds: Vec<Kind>,
    /// Those that this script is about, and the one that most of it happens to now.
    all: Vec<u32>,
    focus: u32,
    ops: Vec<Op>,
}

/// The script of a seed, of these kinds of things at the most.
pub fn script(gic: u8, seed: u64, may: &[Kind]) -> Script {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kinds = may.to_vec();
    random.shuffle(&mut kinds);
    kinds.truncate(random.usize(1..10));
    let head = Head {
        vcpus: random.u8(1..4),
        spis: 64,
        hardware: physical(),
        origin: format!("seed {seed}"),
        ..Head::small(gic)
    };
    let mut all = EDGES.to_vec();
    let pools: [(Kind, &[u32]); 6] = [
        (Kind::Levels, &LEVELS),
        (Kind::Triggers, &EITHER),
        (Kind::PhysicalEdges, &PHYSICAL_EDGES),
        (Kind::PhysicalLevels, &PHYSICAL_LEVELS),
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
        self.ops.extend(driver.boot());
        let fixed = self.ops.len();
        self.ops.push(driver.trigger(EDGES[0], true));
        if self.all.iter().any(|n| PHYSICAL_EDGES.contains(n)) {
            self.ops.push(driver.trigger(PHYSICAL_EDGES[0], true));
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
        if self.random.bool() {
            for intid in EITHER {
                self.ops.push(Driver::new(self.head, vcpu).disable(intid));
            }
        }
        // Each of the three has its two bits.
        let value = u64::from(self.random.u32(..8));
        let value = (0..3).map(|n| (value >> n & 1) << (2 * n + 1)).sum();
        self.word(vcpu, Register::gicd(0xc00 + EITHER[0] / 4), value);
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
        for n in 1..3 {
            self.word(0, Register::gicd(0x80 + n * 4), usual);
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
