// SPDX-License-Identifier: GPL-2.0-only
//! What may have happened to a vCPU: all sequences of a few steps, each on a domain of its own.
//!
//! For tests that a shortcut does what a general function does: two domains with one history, on which either is tried.

use super::{Fake, Phys, V3, domain_of};
use crate::config::Config;
use crate::domain::Domain;
use crate::intid::{IntId, VcpuId};
use crate::irq::Event;
use std::sync::atomic::Ordering::SeqCst;

/// Two edges, a level and a level behind which there is a physical interrupt; there are two list registers.
const EDGE: u32 = 40;
const OTHER_EDGE: u32 = 41;
const LEVEL: u32 = 42;
const PHYSICAL: u16 = 43;
const ALL: std::ops::RangeInclusive<u32> = EDGE..=PHYSICAL as u32;

/// Something that happens to vCPU 0, which is out of its guest before and after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Edge,
    OtherEdge,
    Level(bool),
    Fires,
    Enable(bool),
    MoreUrgent,
    /// The first edge goes to this vCPU.
    Route(u32),
    /// The guest runs, and does nothing to its interrupts; it acknowledges all; it ends them, too.
    Run,
    Acknowledge,
    End,
    /// It ends all, while the level falls.
    EndAsItFalls,
    /// It disables Group 1.
    GroupOff,
}

const STEPS: [Step; 15] = [
    Step::Edge,
    Step::OtherEdge,
    Step::Level(true),
    Step::Level(false),
    Step::Fires,
    Step::Enable(false),
    Step::Enable(true),
    Step::MoreUrgent,
    Step::Route(0),
    Step::Route(1),
    Step::Run,
    Step::Acknowledge,
    Step::End,
    Step::EndAsItFalls,
    Step::GroupOff,
];

/// All sequences of `length` steps.
pub(crate) fn all(length: u32) -> impl Iterator<Item = Vec<Step>> {
    (0..STEPS.len().pow(length)).map(move |n| {
        let digit = |place| n / STEPS.len().pow(place) % STEPS.len();
        (0..length).map(|place| STEPS[digit(place)]).collect()
    })
}

/// All there is to see of a domain.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    words: Vec<u64>,
    vcpus: Vec<Vec<u64>>,
    kicked: Vec<usize>,
    phys: Phys,
}

impl Domain<Fake> {
    /// A domain with this behind it.
    pub(crate) fn after(steps: &[Step]) -> Self {
        let config = Config {
            list_registers: 2,
            ..V3
        };
        let domain = domain_of(&config, 2);
        domain.ctlr.store(2, SeqCst);
        for cpu in &domain.host().cpus {
            cpu.vmcr.store(0xf800_0002, SeqCst);
        }
        domain.connected_spi(PHYSICAL);
        for (raw, intid) in ALL.filter_map(|raw| Some((raw, IntId::new(raw)?))) {
            let level = raw >= LEVEL;
            domain.post(domain.v(0), intid, Event::Trigger { level });
            domain.post(domain.v(0), intid, Event::Priority(0x80));
            domain.post(domain.v(0), intid, Event::Enable(true));
        }
        domain.settle();
        for step in steps {
            domain.step(*step);
        }
        domain
    }

    pub(crate) fn step(&self, step: Step) {
        let edge = |event| self.post(self.v(0), IntId::new(EDGE).unwrap(), event);
        let inject = |raw, level| self.inject(None, IntId::new(raw).unwrap(), level);
        match step {
            Step::Edge => inject(EDGE, true),
            Step::OtherEdge => inject(OTHER_EDGE, true),
            Step::Level(level) => inject(LEVEL, level),
            // It does not while it is active.
            Step::Fires => {
                if !self.host.phys_state(PHYSICAL).active {
                    self.host.change(PHYSICAL, |phys| {
                        phys.active = true;
                        phys.pending = true;
                    });
                    inject(PHYSICAL.into(), true);
                }
            }
            Step::Enable(on) => edge(Event::Enable(on)),
            Step::MoreUrgent => edge(Event::Priority(0)),
            Step::Route(to) => edge(Event::Route(VcpuId::new(to))),
            Step::Run | Step::Acknowledge | Step::End | Step::EndAsItFalls | Step::GroupOff => {
                self.enter(0);
                self.guest(step);
                self.leave(0);
            }
        }
    }

    /// What the guest of vCPU 0 does.
    fn guest(&self, step: Step) {
        const PENDING: u64 = 1 << 62;
        const ACTIVE: u64 = 1 << 63;
        let cpu = &self.host.cpus[0];
        for lr in &cpu.lrs[..self.list_registers] {
            let was = lr.load(SeqCst);
            match step {
                Step::Acknowledge if was & PENDING != 0 => {
                    lr.store(was & !PENDING | ACTIVE, SeqCst);
                }
                Step::End | Step::EndAsItFalls => {
                    lr.store(was & !(PENDING | ACTIVE), SeqCst);
                    if self.format.is_hw(was) && was & (PENDING | ACTIVE) != 0 {
                        self.host.change(PHYSICAL, |phys| {
                            phys.active = false;
                            phys.pending = false;
                        });
                    }
                }
                _ => {}
            }
        }
        match step {
            Step::EndAsItFalls => self.inject(None, IntId::new(LEVEL).unwrap(), false),
            Step::GroupOff => cpu.vmcr.store(0xf800_0000, SeqCst),
            _ => {}
        }
    }

    /// As it is now.
    pub(crate) fn seen(&self) -> Seen {
        let word = |raw| self.shared(IntId::new(raw)?).map(|irq| irq.state().bits());
        let vcpu = |n: usize| {
            let (v, cpu) = (self.v(n as u32), &self.host.cpus[n]);
            let mut all: Vec<u64> = [&v.used, &v.stale, &v.hcr, &v.vmcr, &v.backlog, &cpu.hcr]
                .map(|field| field.load(SeqCst).into())
                .into();
            all.push(v.flags.load(SeqCst));
            all.extend(v.inboxes.iter().map(|inbox| u64::from(inbox.load(SeqCst))));
            all.push(v.epoch().into());
            for (slot, lr) in v.slots.iter().zip(&cpu.lrs) {
                all.push(slot.intid.load(SeqCst).into());
                all.push(slot.shadow.load(SeqCst));
                all.push(lr.load(SeqCst));
            }
            all
        };
        Seen {
            words: ALL.filter_map(word).collect(),
            vcpus: (0..2).map(vcpu).collect(),
            kicked: self.host.kicked(),
            phys: self.host.phys_state(PHYSICAL),
        }
    }

    /// Both are the same now and from now on.
    pub(crate) fn assert_same(&self, other: &Self, steps: &[Step]) {
        assert_eq!(self.seen(), other.seen(), "{steps:?}");
        for domain in [self, other] {
            domain.guest(Step::End);
            domain.leave(0);
        }
        assert_eq!(self.seen(), other.seen(), "{steps:?} and on");
        for step in [Step::Acknowledge, Step::End, Step::End] {
            self.step(step);
            other.step(step);
            assert_eq!(self.seen(), other.seen(), "{steps:?} and on");
        }
    }
}
