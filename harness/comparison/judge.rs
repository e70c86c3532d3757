// SPDX-License-Identifier: GPL-2.0-only
//! Plays operations on the oracle beside who is judged, and says whether what was seen is what the architecture has.
//!
//! Where the architecture leaves open what happens, there is nothing to be judged: such an operation is left out
//! ([`Judge::resolve`]). Where it leaves a choice, the oracle follows.

use super::oracle::{Array, Cpu, Gic, place};
use crate::machine::cpuif::SPURIOUS;
use crate::scripts::play::Seen;
use crate::xen::vcpu::Vcpu;
use recording::{Field, Head, Op, Register, Size, SysReg};

/// The oracle, and what is known of the operation before.
pub struct Judge {
    pub gic: Gic,
    head: Head,
    /// Does `EOIR` of what is inactive by now drop the priority? The architecture says so of what `IAR` has read, and says nothing more.
    pub ends_inactive: bool,
    /// CPUs whose interface was looked at since anything happened, and signalled nothing.
    denied: u128,
}

impl Judge {
    /// At reset, with so many extended SPIs.
    pub fn new(head: &Head, espis: u16) -> Self {
        Self {
            gic: Gic::new(head, espis),
            head: head.clone(),
            ends_inactive: true,
            denied: 0,
        }
    }

    fn cpu(&self, vcpu: u8) -> &Cpu {
        &self.gic.cpus[usize::from(vcpu)]
    }

    /// The operation with the INTID that it is about; none if it does nothing, or if what it does is left open.
    pub fn resolve(&self, op: &Op) -> Option<Op> {
        match *op {
            Op::Eoi { vcpu, .. } => {
                // In the reverse order, and of what is active by an acknowledge of this CPU (IHI 0048B 3.2.1, 4.4.5).
                let last = self.cpu(vcpu).running.last()?;
                let irq = self.gic.irq(vcpu.into(), self.gic.intid(last.iar))?;
                let own = match irq.active {
                    true => irq.taken == Some(vcpu.into()),
                    false => self.ends_inactive,
                };
                own.then_some(Op::Eoi {
                    vcpu,
                    intid: Some(last.iar),
                })
            }
            Op::Dir { vcpu, intid } => self.deactivation(vcpu, intid),
            // While something is active it is left open (IHI 0048B 4.4.1; IHI 0069 4.8.5).
            Op::Set {
                vcpu,
                field: Field::EoiMode | Field::Bpr0 | Field::Bpr1,
                ..
            } if !self.cpu(vcpu).has_taken_nothing() => None,
            Op::Line { intid, level } => self.is_known_line(intid, level).then_some(*op),
            // Its own guest alone masks the timer or moves its comparator on.
            Op::PrivateLine {
                vcpu,
                intid: Vcpu::VTIMER,
                level: false,
            } if !self.cpu(vcpu).on_cpu() || self.cpu(vcpu).waiting => None,
            Op::PrivateLine { vcpu, intid, .. } => self.gic.irq(vcpu.into(), intid).map(|_| *op),
            Op::Write {
                vcpu,
                register,
                size,
                value,
            } => self.is_defined(vcpu, register, size, value).then_some(*op),
            Op::Off { vcpu } => {
                let alone =
                    |c: (usize, &Cpu)| c.0 == usize::from(vcpu) || !c.1.on_cpu() || c.1.waiting;
                let all = !self.gic.cpus.iter().enumerate().all(alone);
                (all && self.cpu(vcpu).on_cpu()).then_some(*op)
            }
            Op::On { vcpu } if self.cpu(vcpu).preempted => None,
            _ => Some(*op),
        }
    }

    /// With EOImode 1, what is active and has had its priority dropped, or never had one: a private interrupt by who has ended it,
    /// an SPI by anybody (IHI 0048B 3.2.1, 4.4.7; IHI 0069 4.4.1).
    fn deactivation(&self, vcpu: u8, wanted: Option<u32>) -> Option<Op> {
        let cpu = self.cpu(vcpu);
        let iar = wanted.or(cpu.dropped.last().copied())?;
        let runs = self
            .gic
            .cpus
            .iter()
            .flat_map(|c| &c.running)
            .any(|t| t.iar == iar);
        let free = if self.gic.intid(iar) < 32 {
            cpu.dropped.contains(&iar)
        } else {
            !runs
        };
        let active = self.gic.irq(vcpu.into(), self.gic.intid(iar))?.active;
        (cpu.split && free && active).then_some(Op::Dir {
            vcpu,
            intid: Some(iar),
        })
    }

    /// A physical line is of the trigger type that the guest says. How often an edge comes is left open where the physical GIC, too,
    /// has one already; its falling is nothing.
    fn is_known_line(&self, intid: u32, up: bool) -> bool {
        let Some(irq) = self.gic.irq(0, intid) else {
            return false;
        };
        self.head
            .hardware_line(intid)
            .is_none_or(|line| line.level != irq.edge && (line.level || up && !irq.latch))
    }

    /// A change of the trigger type of an enabled interrupt is UNPREDICTABLE (IHI 0048B 4.3.13; IHI 0069 12.9, GICD_ICFGR). A
    /// physical interrupt is set pending in the physical GIC, which may have taken it already.
    fn is_defined(&self, vcpu: u8, register: Register, size: Size, value: u64) -> bool {
        let Some(place) = place(self.head.gic, vcpu.into(), register, size) else {
            return true;
        };
        place.fields().all(|(intid, shift)| {
            let field = place.field(value, shift);
            let Some(irq) = self.gic.irq(place.owner, intid) else {
                return true;
            };
            match place.array {
                Array::Trigger if intid < 32 || irq.edge == (field & 2 != 0) => true,
                Array::Trigger => !(irq.enabled || irq.physical && irq.pending()),
                Array::SetPending => field == 0 || !irq.physical,
                _ => true,
            }
        })
    }

    /// What was seen of an operation that was resolved: the operation with what had to be seen in it, and what is wrong.
    pub fn see(&mut self, op: &Op, seen: Seen) -> (Op, Option<String>) {
        let outside = matches!(
            op,
            Op::Line { .. }
                | Op::PrivateLine { .. }
                | Op::Preempt { .. }
                | Op::Resume { .. }
                | Op::Migrate { .. }
                | Op::On { .. }
        );
        if let Some(vcpu) = op.vcpu().filter(|_| !outside) {
            let cpu = &mut self.gic.cpus[usize::from(vcpu)];
            match (seen == Seen::Away, cpu.on_cpu()) {
                (true, false) => return (*op, None),
                (true, true) if cpu.waiting => return (*op, None),
                (true, true) => return (*op, Some("it should run, and does not".into())),
                (false, false) => return (*op, Some("it should not run, and does".into())),
                // WFI may end at any time.
                (false, true) => cpu.waiting = false,
            }
        }
        if !matches!(op, Op::Signal { .. }) {
            self.denied = 0;
        }
        let judged = self.judge(op, seen);
        self.wake();
        judged
    }

    /// Who waits for an interrupt that is signalled does not wait any more.
    fn wake(&mut self) {
        for n in 0..self.gic.cpus.len() {
            if self.gic.cpus[n].waiting && !self.gic.signal(n).contains(&false) {
                self.gic.cpus[n].waiting = false;
            }
        }
    }

    fn judge(&mut self, op: &Op, seen: Seen) -> (Op, Option<String>) {
        let mut right = *op;
        let wrong = match (&mut right, seen) {
            (Op::Ack { vcpu, intid }, Seen::Taken(iar)) => {
                let (wrong, expected) = self.acknowledged((*vcpu).into(), iar);
                *intid = expected;
                wrong
            }
            (Op::Signal { vcpu, on }, Seen::Signal(is)) => {
                let may = self.gic.signal((*vcpu).into());
                *on = (!may.contains(&!may[0])).then_some(may[0]);
                let wrong = !may.contains(&is);
                let text = if is {
                    "it is signalled"
                } else {
                    "nothing is signalled"
                };
                if wrong {
                    Some(text.into())
                } else {
                    self.deny(*vcpu, is)
                }
            }
            (
                Op::Read {
                    vcpu,
                    register,
                    size,
                    value,
                },
                Seen::Value(read),
            ) => {
                let (right, sure) = self.gic.load((*vcpu).into(), *register, *size);
                self.gic.exit((*vcpu).into());
                *value = (sure == size.mask()).then_some(right);
                let wrong = (read ^ right) & sure != 0;
                wrong.then(|| format!("{read:#x} is read, where {right:#x} is right"))
            }
            (_, Seen::Done) => {
                self.happen(op);
                None
            }
            (Op::On { .. }, Seen::Away) => None,
            _ => Some(format!("{seen}")),
        };
        (right, wrong)
    }

    fn acknowledged(&mut self, cpu: usize, iar: u32) -> (Option<String>, Option<u32>) {
        let may = self.gic.acknowledge(cpu);
        let certain = (!may.iter().any(|m| *m != may[0])).then_some(may[0].0);
        let wrong = match may.iter().find(|(right, _)| *right == iar) {
            Some((_, Some(_))) => {
                self.gic.take(cpu, iar);
                None
            }
            Some(_) => None,
            None => {
                let may: Vec<u32> = may.iter().map(|m| m.0).collect();
                Some(match iar {
                    SPURIOUS => format!("nothing comes, where {may:?} is right"),
                    _ => format!("{iar} comes, where {may:?} is right"),
                })
            }
        };
        (wrong, certain.or(Some(iar)))
    }

    /// What any of several may take has to be at one that can take it.
    fn deny(&mut self, vcpu: u8, signalled: bool) -> Option<String> {
        if signalled {
            return None;
        }
        self.denied |= 1 << vcpu;
        for intid in self.gic.shared_intids() {
            let irq = self.gic.irq(0, intid)?;
            let takers = self.gic.takers(irq);
            let waits = irq.pending() && self.gic.is_forwarded(irq) && takers != 0;
            if !waits || takers & !self.denied != 0 {
                continue;
            }
            let candidate = super::oracle::Candidate {
                intid,
                iar: intid,
                priority: irq.priority,
                group1: irq.group1,
                certain: false,
            };
            let all = |n: usize| takers >> n & 1 == 0 || self.gic.cpus[n].signals(&candidate);
            if (0..self.gic.cpus.len()).all(all) {
                return Some(format!(
                    "{intid} is signalled to none of those that may take it"
                ));
            }
        }
        None
    }

    fn happen(&mut self, op: &Op) {
        let gic = &mut self.gic;
        match *op {
            Op::Write {
                vcpu,
                register,
                size,
                value,
            } => {
                gic.store(vcpu.into(), register, size, value);
                gic.exit(vcpu.into());
            }
            Op::Sysreg {
                vcpu,
                register,
                value,
            } => {
                match register {
                    SysReg::Sgi1r => gic.send_v3(vcpu.into(), value),
                    SysReg::Dir => gic.deactivate(vcpu.into(), value as u32),
                    SysReg::Asgi1r | SysReg::Sgi0r => {}
                }
                gic.exit(vcpu.into());
            }
            Op::Line { intid, level } => {
                let cpus = gic.cpus.iter().enumerate();
                let inside = cpus
                    .filter(|(_, c)| c.on_cpu())
                    .fold(0, |set, (n, _)| set | 1 << n);
                if let Some(irq) = gic.irq_mut(0, intid) {
                    irq.set_line(level, inside);
                }
            }
            Op::PrivateLine { vcpu, intid, level } => {
                let inside = u128::from(gic.cpus[usize::from(vcpu)].on_cpu()) << vcpu;
                if let Some(irq) = gic.irq_mut(vcpu.into(), intid) {
                    irq.set_line(level, inside);
                }
            }
            Op::Eoi { vcpu, .. } => gic.end(vcpu.into()),
            Op::Dir { vcpu, intid } => gic.deactivate(vcpu.into(), intid.unwrap_or(SPURIOUS)),
            Op::Set { vcpu, field, value } => gic.set(vcpu.into(), field, value),
            Op::Exit { vcpu } | Op::Migrate { vcpu } => gic.exit(vcpu.into()),
            Op::Preempt { vcpu } => {
                gic.exit(vcpu.into());
                gic.cpus[usize::from(vcpu)].preempted = true;
            }
            Op::Resume { vcpu } => gic.cpus[usize::from(vcpu)].preempted = false,
            Op::Wait { vcpu } => {
                gic.exit(vcpu.into());
                gic.cpus[usize::from(vcpu)].waiting = true;
            }
            Op::Off { vcpu } => gic.off(vcpu.into()),
            Op::On { vcpu } if gic.cpus[usize::from(vcpu)].off => gic.on(vcpu.into()),
            Op::On { .. } | Op::Ack { .. } | Op::Read { .. } | Op::Signal { .. } => {}
        }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
