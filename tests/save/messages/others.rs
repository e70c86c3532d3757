// SPDX-License-Identifier: GPL-2.0-only
//! What happens beside LPIs: SGIs, PPIs and SPIs, edges and levels, and vCPUs that are scheduled and switched off.

use super::{VCPUS, World, priority};
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::linux::{self, gicd};

const SGIS: [u32; 2] = [1, 2];
/// Level-sensitive.
const PPI: u32 = 20;
const EDGES: [u32; 3] = [40, 41, 42];
const LEVELS: [u32; 2] = [48, 49];
/// All, in the order of their priorities.
pub(super) const ALL: [u32; 8] = [48, 1, 40, 20, 41, 49, 2, 42];

pub(super) fn set_up(cpus: &[GuestCpu]) {
    for intid in EDGES {
        linux::set_trigger(&cpus[0], intid, true);
    }
    for intid in ALL {
        // What is private has to be set up by each.
        for cpu in &cpus[..if intid < 32 { VCPUS } else { 1 }] {
            linux::set_priority(cpu, intid, priority(intid));
            linux::enable(cpu, intid);
        }
    }
    for (n, intid) in EDGES.into_iter().chain(LEVELS).enumerate() {
        linux::route(&cpus[0], intid, n % VCPUS);
    }
}

/// Any of them.
fn one(of: &[u32], random: &mut fastrand::Rng) -> u32 {
    of[random.usize(..of.len())]
}

impl World {
    /// From a device's CPU.
    fn device(&self, f: impl FnOnce()) {
        let machine = &self.domain.machine;
        machine.hypervisor(machine.pcpus().len() - 1, f);
    }

    /// How fast a line falls no guest can tell: an exit is after it.
    pub(super) fn exits(&self) {
        let on = self.cpus.iter().zip(self.off).filter(|(_, off)| !off);
        on.for_each(|(cpu, _)| cpu.hypercall(|| {}));
    }

    fn line(&self, intid: u32, up: bool) {
        self.device(|| self.domain.inject(intid, up));
        if !up {
            self.exits();
        }
    }

    fn private_line(&self, n: usize, up: bool) {
        let v = self.domain.vcpu(n);
        self.device(|| self.domain.inject_private(&v, PPI, up));
        if !up {
            self.exits();
        }
    }

    pub(super) fn lower_all(&self) {
        LEVELS.iter().for_each(|intid| self.line(*intid, false));
        (0..VCPUS).for_each(|n| self.private_line(n, false));
    }

    /// CPU_ON by vCPU 0, and what a guest does then.
    pub(super) fn on(&mut self, n: usize) -> String {
        if !self.off[n] {
            return format!("on {n} already");
        }
        let (first, rest) = self.cpus.split_at_mut(n);
        first[0].psci_on(&mut rest[0]);
        self.off[n] = false;
        let cpu = &self.cpus[n];
        cpu.set_pmr(linux::PMR);
        cpu.set_eoimode(self.split[n]);
        let group = cpu.group();
        cpu.interface(|i| i.set_group_enable(group, true));
        format!("on {n} {}", cpu.signalled())
    }

    /// CPU_OFF, whatever is active: that has to be deactivated by somebody.
    fn off(&mut self, n: usize) -> String {
        if n == 0 {
            return "vCPU 0 stays".into();
        }
        self.cpus[n].psci_off();
        self.off[n] = true;
        self.active[n].clear();
        self.dropped[n].clear();
        format!("off {n}")
    }

    fn is_held(&self, intid: u32) -> bool {
        let mut all = self.active.iter().chain(&self.dropped).flatten();
        all.any(|n| *n == intid)
    }

    /// A step with an interrupt that is no LPI, or with what has several kinds.
    pub(super) fn other_step(
        &mut self,
        what: u8,
        n: usize,
        other: usize,
        random: &mut fastrand::Rng,
    ) -> String {
        let cpu = &self.cpus[n];
        let spi = one(&[40, 41, 42, 48, 49], random);
        let up = random.u8(..3) != 0;
        match what {
            34..=37 => {
                let intid = one(&EDGES, random);
                self.line(intid, true);
                format!("edge {intid}")
            }
            38 | 39 => {
                let intid = one(&LEVELS, random);
                self.line(intid, up);
                format!("level {intid} {up}")
            }
            53..=55 => {
                let sgi = one(&SGIS, random);
                linux::send_sgi(cpu, other, sgi);
                format!("SGI {sgi} from {n} to {other}")
            }
            56 | 57 => {
                self.private_line(other, up);
                format!("PPI {other} {up}")
            }
            58 => {
                linux::route(cpu, spi, other);
                format!("route {spi} {other}")
            }
            59 | 60 => {
                let (register, intid) = (
                    if up { gicd::ISENABLER } else { gicd::ICENABLER },
                    one(&ALL, random),
                );
                linux::poke(cpu, register, intid);
                format!("enable {n} {intid} {up}")
            }
            61 => {
                let (register, intid) = (
                    if up { gicd::ISPENDR } else { gicd::ICPENDR },
                    one(&ALL, random),
                );
                linux::poke(cpu, register, intid);
                format!("pend {n} {intid} {up}")
            }
            // Active ones that nobody will end.
            62 | 63 if !self.is_held(spi) => {
                linux::poke(cpu, gicd::ICACTIVER, spi);
                format!("inactive {spi}")
            }
            64 | 65 => {
                let seen = [gicd::ISENABLER, gicd::ISPENDR, gicd::ISACTIVER]
                    .map(|register| (linux::private_read(cpu, register), register + 4))
                    .map(|(own, shared)| (own, cpu.gicd_read(shared)));
                format!("registers {n} {seen:x?}")
            }
            66 | 67 => {
                self.cpus[n].preempt();
                self.device(|| self.domain.inject(one(&EDGES, random), true));
                let v = self.domain.vcpu(n);
                self.device(|| self.domain.inject_private(&v, PPI, up));
                self.cpus[n].unpreempt();
                self.exits();
                format!("preempted {n} {}", self.cpus[n].signalled())
            }
            68 => self.off(n),
            _ => {
                if let Some(iar) = self.dropped[n].pop() {
                    cpu.dir(iar);
                }
                format!("dir {n} {}", self.cpus[n].signalled())
            }
        }
    }
}
