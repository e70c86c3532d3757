// SPDX-License-Identifier: GPL-2.0-only
//! The walk: what may happen at each step, and what must hold after it.

use crate::model::{Kind, Model, rival};
use crate::{COUNT, FIRST, PCPUS, VCPUS};
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::linux::{self, gicd};
use vgic_harness::xen::domain::Domain;

pub struct Walk<'a> {
    domain: &'a Domain,
    cpus: Vec<GuestCpu>,
    /// What each vCPU has acknowledged and not ended, innermost last.
    nested: Vec<Vec<u32>>,
    /// EOImode 1 on all vCPUs.
    split: bool,
    /// With EOImode 1: what was ended and is to be deactivated, and by whom it was acknowledged.
    ended: Vec<(usize, u32)>,
    distributor_on: bool,
    group_on: [bool; VCPUS],
    model: [Model; COUNT],
    random: fastrand::Rng,
    trace: Vec<String>,
}

impl<'a> Walk<'a> {
    /// A guest that has just booted, and all interrupts disabled.
    pub fn new(domain: &'a Domain, seed: u64, split: bool) -> Self {
        let cpus = linux::boot(domain);
        for n in 0..COUNT {
            let (intid, kind) = (FIRST + n as u32, Kind::of(n));
            if matches!(kind, Kind::HwEdge | Kind::HwLevel) {
                let routed = domain.route(intid, intid, kind.is_level());
                routed.expect("connected");
            }
            linux::set_trigger(&cpus[0], intid, !kind.is_level());
        }
        let new = Self {
            domain,
            cpus,
            nested: vec![Vec::new(); VCPUS],
            split,
            ended: Vec::new(),
            distributor_on: true,
            group_on: [true; VCPUS],
            model: [Model {
                priority: linux::PRIORITY as u8,
                ..Model::default()
            }; COUNT],
            random: fastrand::Rng::with_seed(seed),
            trace: vec![format!("seed {seed}, EOImode {}", u8::from(split))],
        };
        (0..VCPUS).for_each(|v| new.set_eoimode(v));
        new
    }

    fn set_eoimode(&self, v: usize) {
        self.cpus[v].interface(|i| i.set_eoimode(self.split));
    }

    fn note(&mut self, text: String) {
        self.trace.push(text);
    }

    fn fail(&self, what: &str) -> ! {
        let last = self.trace.len().saturating_sub(40);
        panic!(
            "{}: {what}\n{}\n{}",
            self.domain.machine.profile.name,
            self.trace[last..].join("\n"),
            self.domain.dump()
        );
    }

    fn vcpu(&mut self) -> usize {
        self.random.usize(..VCPUS)
    }

    fn running(&mut self) -> Option<usize> {
        let v = self.vcpu();
        self.cpus[v].try_wake().then_some(v)
    }

    fn raise(&mut self, n: usize) {
        let intid = FIRST + n as u32;
        self.note(format!("raise {intid}"));
        let machine = &self.domain.machine;
        // An edge merges with one that the physical GIC still has.
        let merges = machine.gic.is_pending(intid as u16);
        if self.model[n].pending && Kind::of(n) == Kind::HwEdge && !merges {
            self.model[n].second = true;
        }
        self.model[n].pending = true;
        match Kind::of(n) {
            Kind::Edge | Kind::Level => {
                machine.hypervisor(PCPUS - 1, || self.domain.inject(intid, true));
            }
            Kind::HwEdge => machine.gic.pulse(intid as u16),
            Kind::HwLevel => machine.gic.set_line(intid as u16, true),
        }
        self.settle();
    }

    fn lower(&mut self, n: usize) {
        if !Kind::of(n).is_level() {
            return;
        }
        let intid = FIRST + n as u32;
        self.note(format!("lower {intid}"));
        self.model[n].stale |= self.model[n].pending;
        self.model[n].pending = false;
        let machine = &self.domain.machine;
        match Kind::of(n) {
            Kind::Level => machine.hypervisor(PCPUS - 1, || self.domain.inject(intid, false)),
            Kind::HwLevel => machine.gic.set_line(intid as u16, false),
            _ => {}
        }
        self.settle();
    }

    /// Physical CPUs that no guest runs on take their interrupts, too.
    fn settle(&self) {
        for cpu in 0..PCPUS {
            self.domain.machine.quiesce(cpu);
        }
    }

    fn ack(&mut self, v: usize) {
        if !self.cpus[v].signalled() {
            return;
        }
        let iar = self.cpus[v].ack();
        let intid = linux::intid(&self.cpus[v], iar);
        self.note(format!("vCPU {v} acknowledges {intid}"));
        if intid == 1023 {
            return;
        }
        let Some(n) = intid
            .checked_sub(FIRST)
            .map(|n| n as usize)
            .filter(|n| *n < COUNT)
        else {
            if intid < 16 {
                self.nested[v].push(iar);
                return;
            }
            self.fail("nobody raised that");
        };
        let m = self.model[n];
        if let Some(why) = m.objection(v) {
            self.fail(&format!("{intid} {why}"));
        }
        if !self.distributor_on || !self.group_on[v] {
            self.fail(&format!("{intid} comes though its group is off"));
        }
        if let Some(better) = rival(&self.model, v, m.priority) {
            self.fail(&format!(
                "{better} is of a higher priority and should have come"
            ));
        }
        self.model[n].active_on = Some(v);
        self.model[n].stale = false;
        if !Kind::of(n).is_level() {
            self.model[n].pending = std::mem::take(&mut self.model[n].second);
        }
        self.nested[v].push(iar);
    }

    fn end(&mut self, v: usize) {
        let Some(iar) = self.nested[v].pop() else {
            return;
        };
        self.note(format!("vCPU {v} ends {iar}"));
        self.cpus[v].eoi(iar);
        if self.split {
            self.ended.push((v, iar));
        } else {
            self.inactive(v, iar);
        }
        self.settle();
    }

    fn inactive(&mut self, v: usize, iar: u32) {
        let intid = linux::intid(&self.cpus[v], iar);
        if intid >= FIRST {
            self.model[(intid - FIRST) as usize].active_on = None;
        }
    }

    /// Deactivates any of what was ended, on any vCPU if the machine can.
    fn deactivate_any(&mut self, v: usize) {
        if self.ended.is_empty() {
            return;
        }
        let chosen = self.random.usize(..self.ended.len());
        let (owner, iar) = self.ended[chosen];
        let machine = &self.domain.machine.profile;
        let anywhere = self.cpus[v].vcpu.gic_version == 2 || machine.tds;
        let by = if anywhere && linux::intid(&self.cpus[v], iar) >= FIRST {
            v
        } else {
            owner
        };
        if self.cpus[by].try_wake() {
            self.deactivate(chosen, by);
        }
    }

    fn deactivate(&mut self, chosen: usize, by: usize) {
        let (owner, iar) = self.ended.swap_remove(chosen);
        self.note(format!("vCPU {by} deactivates {iar} of vCPU {owner}"));
        self.cpus[by].dir(iar);
        self.inactive(owner, iar);
        self.settle();
    }

    /// What the guest's kernel does before it switches a vCPU off.
    fn end_all(&mut self, v: usize) {
        while !self.nested[v].is_empty() {
            self.end(v);
        }
        while let Some(chosen) = self.ended.iter().position(|(owner, _)| *owner == v) {
            self.deactivate(chosen, v);
        }
    }

    pub fn step(&mut self) {
        let n = self.random.usize(..COUNT);
        let intid = FIRST + n as u32;
        let Some(v) = self.running() else { return };
        match self.random.usize(..100) {
            0..22 => self.raise(n),
            22..30 => self.lower(n),
            30..50 => self.ack(v),
            50..60 => self.end(v),
            60..66 if self.split => self.deactivate_any(v),
            60..66 => self.end(v),
            66..71 => {
                self.note(format!("vCPU {v} disables {intid}"));
                linux::disable(&self.cpus[v], intid);
                self.model[n].enabled = false;
            }
            71..78 => {
                self.note(format!("vCPU {v} enables {intid}"));
                linux::enable(&self.cpus[v], intid);
                self.model[n].enabled = true;
            }
            78..80 if self.model[n].active_on.is_none() => {
                let hidden = self.random.usize(..3) == 0;
                self.note(format!("vCPU {v} hides {intid} in a group: {hidden}"));
                self.set_hidden(v, n, hidden);
            }
            78..85 => {
                let to = self.vcpu();
                self.note(format!("vCPU {v} routes {intid} to {to}"));
                linux::route(&self.cpus[v], intid, to);
                self.model[n].target = to;
            }
            85..88 => {
                let priority = (self.random.usize(..16) * 8 + 0x40) as u8;
                self.note(format!("vCPU {v} gives {intid} priority {priority:#x}"));
                linux::set_priority(&self.cpus[v], intid, priority);
                self.model[n].priority = priority;
            }
            88..90 => {
                let to = self.vcpu();
                self.note(format!("vCPU {v} sends SGI 1 to {to}"));
                linux::send_sgi(&self.cpus[v], to, 1);
            }
            90..92 => {
                self.note(format!("vCPU {v} waits"));
                self.cpus[v].wfi();
            }
            92..94 => {
                let cpu = VCPUS + self.random.usize(..2);
                let free = self.cpus.iter().all(|c| c.cpu() != cpu);
                let cpu = if free { cpu } else { self.cpus[v].cpu() };
                self.note(format!("vCPU {v} moves to pCPU {cpu}"));
                self.cpus[v].migrate(cpu);
            }
            94..95 => self.look(v, n),
            95..96 => {
                self.cpus[v].traps_win ^= true;
            }
            96..97 => self.mask(v),
            97..98 if Kind::of(n) == Kind::Edge => {
                let set = self.random.bool();
                self.note(format!("vCPU {v} writes {intid} pending {set}"));
                linux::poke(
                    &self.cpus[v],
                    if set { gicd::ISPENDR } else { gicd::ICPENDR },
                    intid,
                );
                self.model[n].pending = set;
            }
            98..99 => self.off_and_on(v),
            _ => self.cpus[v].hypercall(|| {}),
        }
        self.settle();
        self.check();
    }

    /// Puts an interrupt in the group that the guest does not use, or back.
    fn set_hidden(&mut self, v: usize, n: usize, hidden: bool) {
        let v3 = self.cpus[v].vcpu.gic_version == 3;
        linux::set_group1(&self.cpus[v], FIRST + n as u32, v3 != hidden);
        self.model[n].hidden = hidden;
    }

    /// What must hold whatever has happened.
    fn check(&self) {
        let machine = &self.domain.machine;
        let reports = machine.take_reports();
        if !reports.is_empty() {
            self.fail(&format!("{reports:#?}"));
        }
        let mut loaded = Vec::new();
        for cpu in self.cpus.iter().filter(|cpu| cpu.is_on_cpu()) {
            let interface = machine.pcpu(cpu.cpu()).interface();
            let registers = interface.list_registers().collect::<Vec<_>>();
            drop(interface);
            for lr in registers.iter().filter(|lr| !lr.is_invalid()) {
                if lr.hw && lr.pending && lr.active {
                    self.fail(&format!("{lr:?} is pending and active"));
                }
                if lr.vintid >= FIRST && loaded.contains(&lr.vintid) {
                    self.fail(&format!("{lr:?} is in two list registers"));
                }
                loaded.push(lr.vintid);
            }
        }
    }

    /// Groups off and on, in the CPU interface and in the distributor, and the priority mask.
    fn mask(&mut self, v: usize) {
        let what = self.random.usize(..6);
        let cpu = &self.cpus[v];
        match what {
            0 | 1 => {
                self.group_on[v] = what == 1;
                cpu.interface(|i| i.set_group_enable(cpu.group(), what == 1));
            }
            2 | 3 => {
                self.distributor_on = what == 3;
                let groups = if cpu.vcpu.gic_version == 2 { 1 } else { 3 };
                let ctlr = cpu.gicd_read(gicd::CTLR) & !3;
                cpu.gicd_write(gicd::CTLR, if what == 3 { ctlr | groups } else { ctlr });
            }
            4 => cpu.interface(|i| i.set_pmr(0x70)),
            _ => cpu.interface(|i| i.set_pmr(linux::PMR)),
        }
        self.note(format!("vCPU {v} masks or unmasks: {what}"));
    }

    /// PSCI: the vCPU goes off with whatever it has, and another switches it on.
    fn off_and_on(&mut self, v: usize) {
        let other = (v + 1) % VCPUS;
        if !self.cpus[other].try_wake() {
            return;
        }
        self.end_all(v);
        self.note(format!("vCPU {v} goes off"));
        self.cpus[v].psci_off();
        let n = self.random.usize(..COUNT);
        self.raise(n);
        self.note(format!("vCPU {other} switches vCPU {v} on"));
        if let Ok([target, sender]) = self.cpus.get_disjoint_mut([v, other]) {
            sender.psci_on(target);
            linux::init_cpu(target);
            self.set_eoimode(v);
            self.group_on[v] = true;
        }
    }

    /// Pending and active state as read by any vCPU.
    fn look(&mut self, v: usize, n: usize) {
        let intid = FIRST + n as u32;
        let pending = linux::bit(&self.cpus[v], gicd::ISPENDR, intid);
        let active = linux::bit(&self.cpus[v], gicd::ISACTIVER, intid);
        self.note(format!(
            "vCPU {v} sees {intid} pending {pending} active {active}"
        ));
        let m = self.model[n];
        if active != m.active_on.is_some() {
            self.fail("the active state reads wrong");
        }
        // A physical interrupt that the physical GIC holds back has not come to the vGIC's knowledge.
        if pending != m.pending && matches!(Kind::of(n), Kind::Edge | Kind::Level) {
            self.fail("the pending state reads wrong");
        }
    }

    /// Ends and enables everything: now all that is pending must come, and nothing else.
    pub fn finish(&mut self) {
        self.note("end of the walk".into());
        for v in 0..VCPUS {
            if !self.cpus[v].try_wake() {
                let sender = (0..VCPUS).find(|&o| self.cpus[o].is_on_cpu());
                match sender {
                    Some(other) => linux::send_sgi(&self.cpus[other], v, 2),
                    None => {
                        self.domain.machine.hypervisor(PCPUS - 1, || {
                            self.domain.inject_private(&self.cpus[v].vcpu, 2, true);
                        });
                    }
                }
                if !self.cpus[v].try_wake() {
                    self.fail("an SGI does not wake a vCPU");
                }
            }
            self.end_all(v);
            linux::init_cpu(&self.cpus[v]);
            self.group_on[v] = true;
        }
        self.split = false;
        self.distributor_on = true;
        self.cpus[0].gicd_write(
            gicd::CTLR,
            if self.cpus[0].vcpu.gic_version == 2 {
                1
            } else {
                0x13
            },
        );
        for n in 0..COUNT {
            linux::enable(&self.cpus[0], FIRST + n as u32);
            self.model[n].enabled = true;
            self.set_hidden(0, n, false);
        }
        for _ in 0..COUNT * 8 {
            self.settle();
            for v in 0..VCPUS {
                self.ack(v);
                if let Some(&iar) = self.nested[v].last() {
                    let intid = linux::intid(&self.cpus[v], iar);
                    if intid >= FIRST && Kind::of((intid - FIRST) as usize).is_level() {
                        self.lower((intid - FIRST) as usize);
                        self.model[(intid - FIRST) as usize].stale = false;
                    }
                    self.end(v);
                }
            }
        }
        for (n, m) in self.model.iter().enumerate() {
            if m.pending {
                self.fail(&format!("{} is lost", FIRST + n as u32));
            }
        }
        for v in 0..VCPUS {
            if self.cpus[v].signalled() {
                self.fail("something is left");
            }
        }
        for irq in FIRST..FIRST + COUNT as u32 {
            let physical = self
                .domain
                .machine
                .gic
                .snapshot(irq as u16)
                .expect("an interrupt");
            if physical.active {
                self.fail(&format!("physical interrupt {irq} is left active"));
            }
        }
        self.check();
    }
}
