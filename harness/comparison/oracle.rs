// SPDX-License-Identifier: GPL-2.0-only
//! A GIC from the architecture alone: IHI 0048B (GICv2) and IHI 0069 (GICv3, one security state, affinity routing). Each
//! interrupt is looked at by each CPU interface at every moment: there are no list registers, no hypervisor, and nothing
//! is remembered but what the architecture says a GIC remembers.
//!
//! Of CPUs that are switched off: PSCI resets the CPU interface, and private interrupts are inactive when the CPU comes back.

mod registers;

use crate::machine::cpuif::{IDLE_PRIORITY, SPURIOUS, SPURIOUS_GROUP1};
use recording::driver::{FIRST_ESPI, affinity};
use recording::{Field, Head};
pub use registers::{Array, Place, place};

/// An interrupt, as one CPU interface sees it if it is private.
#[derive(Clone, Debug, Default)]
pub struct Irq {
    pub enabled: bool,
    /// The pending latch: an edge, or a write of `ISPENDR`.
    pub latch: bool,
    /// CPUs that have sent a GICv2's SGI: a latch for each (IHI 0048B 3.2, 4.3.15).
    pub senders: u8,
    /// The input line, in both trigger modes.
    pub line: bool,
    pub edge: bool,
    pub active: bool,
    /// Who has acknowledged it, if that is why it is active; and the sender of a GICv2's SGI.
    pub taken: Option<usize>,
    pub sender: u8,
    pub priority: u8,
    pub group1: bool,
    /// CPUs that it is routed to; of several any may take it.
    pub targets: u128,
    /// CPUs that may not know yet that the line has fallen: how fast a wire is, no guest can tell.
    pub fell: u128,
    /// A physical one is behind it.
    pub physical: bool,
}

/// What a CPU interface has acknowledged and not ended: the priority is that of the acknowledge, whatever `IPRIORITYR` says
/// since (IHI 0048B 3.3.3; IHI 0069 4.8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// As `IAR` has read.
    pub iar: u32,
    pub priority: u8,
}

/// A CPU, its interface and its private interrupts.
#[derive(Clone, Debug, Default)]
pub struct Cpu {
    private: Vec<Irq>,
    pub pmr: u8,
    /// Enables of the groups, and their binary points.
    pub groups: [bool; 2],
    pub bpr: [u8; 2],
    /// EOImode 1.
    pub split: bool,
    /// Innermost last.
    pub running: Vec<Taken>,
    /// Ended with EOImode 1 and not deactivated since, by what `IAR` has read.
    pub dropped: Vec<u32>,
    /// `GICR_WAKER.ProcessorSleep`.
    asleep: bool,
    pub off: bool,
    pub preempted: bool,
    /// In WFI, and nothing is signalled.
    pub waiting: bool,
}

/// The whole.
#[derive(Clone, Debug)]
pub struct Gic {
    pub version: u8,
    /// `GICD_CTLR.EnableGrp0` and `EnableGrp1`.
    groups: [bool; 2],
    /// SPIs, and then the extended ones.
    shared: Vec<Irq>,
    spis: u32,
    pub cpus: Vec<Cpu>,
}

/// An interrupt that a CPU interface may have as its highest priority pending one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub intid: u32,
    pub iar: u32,
    pub priority: u8,
    pub group1: bool,
    /// It must be looked at; else it may be.
    pub certain: bool,
}

/// The CPU interface as it is after a reset.
const SMALLEST_BPR: [u8; 2] = [2, 3];

impl Irq {
    /// IHI 0048B 4.3.7, 4.3.8; IHI 0069 4.1.2.
    pub fn pending(&self) -> bool {
        self.latch || self.senders != 0 || (!self.edge && self.line)
    }

    /// An edge or a level. In either mode the line is where it is.
    pub fn set_line(&mut self, up: bool, cpus: u128) {
        if !up && !self.edge && self.line && !self.latch {
            self.fell |= cpus;
        }
        self.latch |= up && self.edge;
        self.line = up;
        if up {
            self.fell = 0;
        }
    }

    fn deactivate(&mut self) {
        self.active = false;
        self.taken = None;
    }
}

impl Cpu {
    fn reset(&mut self) {
        self.pmr = 0;
        self.groups = [false; 2];
        self.bpr = SMALLEST_BPR;
        self.split = false;
        self.running.clear();
        self.dropped.clear();
    }

    /// `RPR`.
    fn running_priority(&self) -> u8 {
        self.running.last().map_or(IDLE_PRIORITY, |t| t.priority)
    }

    /// The bits of a priority that take part in preemption (IHI 0048B 3.3.3; IHI 0069 4.8.5). The binary point of Group 1 is one less.
    fn preemption(&self, group1: bool) -> u8 {
        let bpr = self.bpr[usize::from(group1)] - u8::from(group1);
        (0xff_u32 << (bpr + 1)) as u8
    }

    /// Is this one signalled if it is the highest priority pending one?
    pub fn signals(&self, candidate: &Candidate) -> bool {
        let mask = self.preemption(candidate.group1);
        let running = self.running_priority();
        let preempts = running == IDLE_PRIORITY || candidate.priority & mask < running & mask;
        candidate.priority < self.pmr && preempts
    }

    /// Is nothing active that it has acknowledged?
    pub fn has_taken_nothing(&self) -> bool {
        self.running.is_empty() && self.dropped.is_empty()
    }

    /// Could its guest execute an instruction now, WFI aside?
    pub fn on_cpu(&self) -> bool {
        !self.off && !self.preempted
    }
}

impl Gic {
    /// At reset, with so many extended SPIs (GICv3.1).
    pub fn new(head: &Head, espis: u16) -> Self {
        let v3 = head.gic == 3;
        let cpu = |n: usize| {
            let mut cpu = Cpu {
                asleep: v3,
                ..Cpu::default()
            };
            cpu.reset();
            cpu.private = (0..32)
                .map(|intid| Irq {
                    enabled: !v3 && intid < 16,
                    edge: intid < 16,
                    group1: v3,
                    targets: 1 << n,
                    ..Irq::default()
                })
                .collect();
            cpu
        };
        let shared = |intid: u32| Irq {
            group1: v3,
            // Affinity 0; GICv2's ITARGETSR is RAZ/WI with a single CPU (IHI 0048B 4.3.12).
            targets: u128::from(v3 || head.vcpus == 1),
            physical: head.hardware_line(intid).is_some(),
            ..Irq::default()
        };
        Self {
            version: head.gic,
            groups: [false; 2],
            shared: (32..32 + u32::from(head.spis))
                .chain(FIRST_ESPI..FIRST_ESPI + u32::from(espis))
                .map(shared)
                .collect(),
            spis: head.spis.into(),
            cpus: (0..head.vcpus.into()).map(cpu).collect(),
        }
    }

    /// Where a shared interrupt is; none if it is private.
    fn shared_index(&self, intid: u32) -> Option<usize> {
        let n = match intid {
            0..32 => return None,
            32..FIRST_ESPI if intid - 32 < self.spis => intid - 32,
            32..FIRST_ESPI => u32::MAX,
            _ => self.spis + (intid - FIRST_ESPI),
        };
        Some(n as usize)
    }

    /// The shared interrupts there are.
    pub fn shared_intids(&self) -> impl Iterator<Item = u32> + use<> {
        let espis = self.shared.len() as u32 - self.spis;
        (32..32 + self.spis).chain(FIRST_ESPI..FIRST_ESPI + espis)
    }

    /// An interrupt as CPU `cpu` sees it.
    pub fn irq(&self, cpu: usize, intid: u32) -> Option<&Irq> {
        match self.shared_index(intid) {
            Some(n) => self.shared.get(n),
            None => self.cpus.get(cpu)?.private.get(intid as usize),
        }
    }

    pub fn irq_mut(&mut self, cpu: usize, intid: u32) -> Option<&mut Irq> {
        match self.shared_index(intid) {
            Some(n) => self.shared.get_mut(n),
            None => self.cpus.get_mut(cpu)?.private.get_mut(intid as usize),
        }
    }

    /// Without the sender of a GICv2's SGI.
    pub fn intid(&self, iar: u32) -> u32 {
        if self.version == 2 { iar & 0x3ff } else { iar }
    }

    /// CPUs that may take an interrupt that several may take: switched on, awake, and with its group enabled (IHI 0069 3.2.3).
    pub fn takers(&self, irq: &Irq) -> u128 {
        let takes = |cpu: &Cpu| !cpu.off && !cpu.asleep && cpu.groups[usize::from(irq.group1)];
        let able = self.cpus.iter().enumerate().filter(|(_, c)| takes(c));
        able.fold(0, |set, (n, _)| set | 1 << n) & irq.targets
    }

    /// Forwarded by the distributor to any CPU interface that it is routed to?
    pub fn is_forwarded(&self, irq: &Irq) -> bool {
        irq.enabled && !irq.active && self.groups[usize::from(irq.group1)]
    }

    /// What the distributor forwards to this CPU interface, and the interface has enabled.
    fn candidates(&self, cpu: usize) -> Vec<Candidate> {
        let mut all = Vec::new();
        let groups = self.cpus[cpu].groups;
        for intid in (0..32).chain(self.shared_intids()) {
            let Some(irq) = self.irq(cpu, intid) else {
                continue;
            };
            let fell = irq.fell >> cpu & 1 != 0;
            let here = irq.targets >> cpu & 1 != 0 && groups[usize::from(irq.group1)];
            if !here || !self.is_forwarded(irq) || !(irq.pending() || fell) {
                continue;
            }
            let alone = irq.targets.count_ones() == 1 || self.takers(irq) == 1 << cpu;
            let mut add = |sender: u8| {
                all.push(Candidate {
                    intid,
                    iar: intid | u32::from(sender) << 10,
                    priority: irq.priority,
                    group1: irq.group1,
                    certain: irq.pending() && alone,
                });
            };
            match irq.senders {
                0 => add(0),
                senders => (0..8).filter(|s| senders >> s & 1 != 0).for_each(&mut add),
            }
        }
        all
    }

    /// What may be the highest priority pending interrupt of this CPU interface. Of several of one priority the architecture leaves
    /// open which (IHI 0048B 3.3); `None` among them: there may be none.
    pub fn highest(&self, cpu: usize) -> Vec<Option<Candidate>> {
        let all = self.candidates(cpu);
        let certain = all.iter().filter(|c| c.certain).map(|c| c.priority).min();
        let mut highest: Vec<_> = all
            .into_iter()
            .filter(|c| certain.is_none_or(|best| c.priority <= best))
            .map(Some)
            .collect();
        if certain.is_none() {
            highest.push(None);
        }
        highest
    }

    /// What the interface may signal.
    pub fn signal(&self, cpu: usize) -> Vec<bool> {
        let signals = |c: Option<Candidate>| c.is_some_and(|c| self.cpus[cpu].signals(&c));
        self.highest(cpu).into_iter().map(signals).collect()
    }

    /// What `IAR` may read, by the register that Linux uses, and which interrupt that is (IHI 0048B 4.4.4; IHI 0069 12.2.14).
    pub fn acknowledge(&self, cpu: usize) -> Vec<(u32, Option<u32>)> {
        let read = |c: Option<Candidate>| match c {
            Some(c) if !self.cpus[cpu].signals(&c) => (SPURIOUS, None),
            Some(c) if self.version == 2 && c.group1 => (SPURIOUS_GROUP1, None),
            Some(c) if self.version == 3 && !c.group1 => (SPURIOUS, None),
            Some(c) => (c.iar, Some(c.intid)),
            None => (SPURIOUS, None),
        };
        self.highest(cpu).into_iter().map(read).collect()
    }

    /// `IAR` has read this.
    pub fn take(&mut self, cpu: usize, iar: u32) {
        let intid = self.intid(iar);
        let sender = (iar >> 10) as u8 & 7;
        let v2 = self.version == 2;
        let Some(irq) = self.irq_mut(cpu, intid) else {
            return;
        };
        irq.latch = false;
        irq.fell = 0;
        if v2 && intid < 16 {
            irq.senders &= !(1 << sender);
            irq.sender = sender;
        }
        irq.active = true;
        irq.taken = Some(cpu);
        let (priority, group1) = (irq.priority, irq.group1);
        let cpu = &mut self.cpus[cpu];
        let priority = priority & cpu.preemption(group1);
        cpu.running.push(Taken { iar, priority });
    }

    /// `EOIR`: the priority drops, and with EOImode 0 the interrupt is inactive. Only of what was acknowledged last.
    pub fn end(&mut self, cpu: usize) {
        let Some(taken) = self.cpus[cpu].running.pop() else {
            return;
        };
        let active = self
            .irq(cpu, self.intid(taken.iar))
            .is_some_and(|irq| irq.active);
        if self.cpus[cpu].split && active {
            self.cpus[cpu].dropped.push(taken.iar);
        } else if !self.cpus[cpu].split {
            self.deactivate(cpu, taken.iar);
        }
    }

    /// `DIR`, and `EOIR` with EOImode 0.
    pub fn deactivate(&mut self, cpu: usize, iar: u32) {
        let intid = self.intid(iar);
        if let Some(irq) = self.irq_mut(cpu, intid) {
            irq.deactivate();
        }
        self.forget_dropped(cpu, intid);
    }

    /// It is inactive: nobody need deactivate it.
    fn forget_dropped(&mut self, cpu: usize, intid: u32) {
        let version = self.version;
        let plain = |iar: u32| if version == 2 { iar & 0x3ff } else { iar };
        for (n, other) in self.cpus.iter_mut().enumerate() {
            if n == cpu || intid >= 32 {
                other.dropped.retain(|iar| plain(*iar) != intid);
            }
        }
    }

    /// An SGI from one CPU to another (IHI 0048B 4.3.15; IHI 0069 12.2.20).
    fn send(&mut self, from: usize, to: usize, intid: u32) {
        let v2 = self.version == 2;
        if let Some(irq) = self.irq_mut(to, intid) {
            if v2 {
                irq.senders |= 1 << from;
            } else {
                irq.latch = true;
            }
        }
    }

    /// `ICC_SGI1R_EL1`.
    pub fn send_v3(&mut self, from: usize, value: u64) {
        let intid = (value >> 24 & 0xf) as u32;
        let cluster = value >> 16 & 0xff;
        for to in 0..self.cpus.len() {
            let own = affinity(to as u8);
            let named = own >> 8 == cluster && value >> (own & 0xf) & 1 != 0;
            let all = value >> 40 & 1 != 0;
            if if all { to != from } else { named } {
                self.send(from, to, intid);
            }
        }
    }

    /// A field of the CPU interface.
    pub fn set(&mut self, cpu: usize, field: Field, value: u8) {
        let cpu = &mut self.cpus[cpu];
        match field {
            Field::Pmr => cpu.pmr = value & 0xf8,
            Field::Group0 => cpu.groups[0] = value != 0,
            Field::Group1 => cpu.groups[1] = value != 0,
            Field::EoiMode => cpu.split = value != 0,
            Field::Bpr0 => cpu.bpr[0] = value.max(SMALLEST_BPR[0]),
            Field::Bpr1 => cpu.bpr[1] = value.max(SMALLEST_BPR[1]),
        }
    }

    /// The CPU is in the hypervisor: what has fallen is seen to have.
    pub fn exit(&mut self, cpu: usize) {
        let private = self.cpus[cpu].private.iter_mut();
        for irq in self.shared.iter_mut().chain(private) {
            irq.fell &= !(1 << cpu);
        }
    }

    /// PSCI `CPU_OFF`.
    pub fn off(&mut self, cpu: usize) {
        self.exit(cpu);
        self.cpus[cpu].off = true;
        self.cpus[cpu].running.clear();
        self.cpus[cpu].dropped.clear();
    }

    /// PSCI `CPU_ON`.
    pub fn on(&mut self, cpu: usize) {
        let cpu = &mut self.cpus[cpu];
        cpu.off = false;
        cpu.reset();
        cpu.private.iter_mut().for_each(Irq::deactivate);
    }
}
