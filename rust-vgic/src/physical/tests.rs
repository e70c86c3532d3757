// SPDX-License-Identifier: GPL-2.0-only
//! A physical interrupt whose virtual one is in a list register of a vCPU that is off, paused or dying. vCPU 1 is that one: it
//! has left its guest, and need never enter it again.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::fake::{Fake, v2, v3};
use crate::intid::VcpuId;
use crate::registers::Width::{Byte, Double, Word};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

const SPI: u16 = 40;
const BIT: u64 = 1 << 8;

/// What the guest of vCPU 1 has done about the interrupt when it is left for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Taken {
    /// Nothing: it is pending.
    No,
    Acknowledged,
}

/// What vCPU 0 does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    ClearActive,
    ClearPending,
    Dir,
    /// To itself.
    Route,
    Disable,
    SetActive,
}

use Step::{ClearActive, ClearPending, Dir, Disable, Route, SetActive};

impl Domain<Fake> {
    fn intid(&self) -> IntId {
        IntId::new(SPI.into()).unwrap()
    }

    fn word(&self) -> State {
        self.shared(self.intid()).unwrap().state()
    }

    fn route_to(&self, n: u64) {
        self.dist_write(self.v(0), 0x800 + u32::from(SPI), Byte, 1 << n);
        self.dist_write(self.v(0), 0x6000 + u32::from(SPI) * 8, Double, n);
    }

    /// The physical interrupt fires, if it can.
    fn fire(&self) {
        let phys = self.host.phys_state(SPI);
        assert!(!phys.active, "it is active, and cannot");
        self.host.change(SPI, |phys| {
            phys.active = true;
            phys.pending = true;
        });
        self.inject(None, self.intid(), true);
    }

    /// The interrupt is in a list register of vCPU 1, which is in its guest.
    fn held(&self, level: bool, taken: Taken) {
        for cpu in &self.host.cpus {
            cpu.vmcr.store(0x1f << 27 | 1 << 9 | 3, SeqCst);
        }
        self.connected_spi(SPI);
        self.dist_write(self.v(0), 0, Word, 3);
        let edge = if level { 0 } else { 2 << 16 };
        self.dist_write(self.v(0), 0xc08, Word, edge);
        self.route_to(1);
        self.dist_write(self.v(0), 0x104, Word, BIT);
        self.settle();
        self.fire();
        self.enter(1);
        assert_eq!(self.loaded(1), [SPI]);
        let lr = &self.host.cpus[1].lrs[0];
        assert!(self.format.is_hw(lr.load(SeqCst)));
        if taken == Taken::Acknowledged {
            let state = if self.version == crate::Version::V3 {
                62
            } else {
                28
            };
            lr.store(lr.load(SeqCst) & !(3 << state) | 2 << state, SeqCst);
        }
    }

    /// vCPU 0, in a trap.
    fn does(&self, step: Step) {
        self.host.current.store(0, SeqCst);
        let write = |offset| self.dist_write(self.v(0), offset, Word, BIT);
        match step {
            ClearActive => write(0x384),
            ClearPending => write(0x284),
            SetActive => write(0x304),
            Disable => write(0x184),
            Dir => self.write_dir(self.v(0), SPI.into()),
            Route => self.route_to(0),
        }
    }
}

fn each(test: impl Fn(Domain<Fake>)) {
    test(v2(2, 64));
    test(v3(2, 64, 0));
}

/// Ways to end it, with the route to another before, after, or between.
const ENDS: [(Taken, &[Step]); 10] = [
    (Taken::Acknowledged, &[ClearActive]),
    (Taken::Acknowledged, &[Dir]),
    (Taken::Acknowledged, &[ClearPending, ClearActive]),
    (Taken::Acknowledged, &[Disable, ClearActive]),
    (Taken::Acknowledged, &[SetActive, ClearActive]),
    (Taken::No, &[ClearPending]),
    (Taken::No, &[Disable, ClearPending]),
    (Taken::No, &[SetActive, ClearPending, ClearActive]),
    (Taken::No, &[SetActive, ClearActive, ClearPending]),
    (Taken::No, &[SetActive, ClearPending, Dir]),
];

#[test]
fn owed_deactivation_does_not_wait_for_a_vcpu_that_never_enters() {
    for (taken, steps) in ENDS {
        for level in [false, true] {
            for at in 0..=steps.len() {
                each(|domain| {
                    domain.held(level, taken);
                    domain.leave(1);
                    let case = format!("{taken:?} {steps:?} level {level} route {at}");
                    for (n, step) in steps.iter().enumerate() {
                        if n == at {
                            domain.does(Route);
                        }
                        domain.does(*step);
                    }
                    let phys = domain.host.phys_state(SPI);
                    assert!(!phys.active, "{case}: {:?}", domain.word());
                    if at == steps.len() {
                        domain.does(Route);
                    }
                    let word = domain.word();
                    assert!(!word.phys() && !word.phys_lr(), "{case}: {word:?}");
                    // The device lives: it goes to vCPU 0 from now on.
                    domain.dist_write(domain.v(0), 0x104, Word, BIT);
                    domain.fire();
                    domain.enter(0);
                    assert_eq!(domain.loaded(0), [SPI], "{case}");
                    assert_eq!(domain.loaded(1), [SPI], "{case}: as it was left");
                    domain.enter(1);
                    assert_eq!(domain.loaded(1), [], "{case}: shown twice");
                    let at_0 = VcpuId::new(0).is_some_and(|id| domain.word().is_at(Place::Lr, id));
                    assert!(at_0, "{case}: taken away once more");
                });
            }
        }
    }
}

/// It stays with the vCPU, which is switched on again: what it enters with is not what it was left with.
#[test]
fn owed_deactivation_leaves_no_stale_list_register() {
    for (taken, steps) in ENDS {
        each(|domain| {
            domain.held(true, taken);
            domain.leave(1);
            for step in steps {
                domain.does(*step);
            }
            assert!(!domain.host.phys_state(SPI).active, "{taken:?} {steps:?}");
            domain.cpu_on(domain.v(1));
            domain.enter(1);
            assert_eq!(domain.loaded(1), [], "{taken:?} {steps:?}");
            domain.leave(1);
            domain.dist_write(domain.v(0), 0x104, Word, BIT);
            domain.host.cpus[1].vmcr.store(0x1f << 27 | 3, SeqCst);
            domain.fire();
            domain.enter(1);
            assert_eq!(domain.loaded(1), [SPI], "{taken:?} {steps:?}");
        });
    }
}

/// The vCPU is in its guest, and leaves it for what another writes, once and for all.
#[test]
fn owed_deactivation_does_not_wait_for_the_entry_after_an_exit() {
    for (taken, steps) in ENDS {
        each(|domain| {
            let domain = Arc::new(domain);
            domain.held(true, taken);
            let other = Arc::downgrade(&domain);
            *domain.host.while_waiting.lock().unwrap() = Some(Box::new(move || {
                let domain = other.upgrade().unwrap();
                domain.leave(1);
                domain.host.current.store(0, SeqCst);
            }));
            for step in steps {
                domain.does(*step);
            }
            if domain.v(1).epoch() & 1 != 0 {
                assert!(domain.host.kicked().contains(&1), "{taken:?} {steps:?}");
                domain.leave(1);
            }
            let word = domain.word();
            let phys = domain.host.phys_state(SPI);
            assert!(!phys.active, "{taken:?} {steps:?}: {word:?}");
        });
    }
}

/// A level that fell before the guest has taken it owes nothing either, and what comes then goes where it is routed to.
#[test]
fn owed_nothing_for_a_level_that_fell() {
    each(|domain| {
        domain.held(true, Taken::No);
        domain.host.change(SPI, |phys| phys.pending = false);
        domain.leave(1);
        domain.does(Route);
        domain.enter(0);
        assert_eq!(domain.loaded(0), []);
        assert!(!domain.host.phys_state(SPI).active);
        domain.leave(0);
        domain.fire();
        domain.enter(0);
        assert_eq!(domain.loaded(0), [SPI]);
        domain.enter(1);
        assert_eq!(domain.loaded(1), []);
    });
}

/// What is still pending or active has an owner: nothing deactivates that.
#[test]
fn owed_deactivation_is_not_done_early() {
    let cases: [(Taken, &[Step]); 5] = [
        (Taken::Acknowledged, &[ClearPending, Route]),
        (Taken::Acknowledged, &[Disable, Route]),
        (Taken::No, &[ClearActive, Route]),
        (Taken::No, &[Disable, Route]),
        (Taken::No, &[SetActive, ClearActive, Route]),
    ];
    for (taken, steps) in cases {
        each(|domain| {
            domain.held(true, taken);
            domain.leave(1);
            for step in steps {
                domain.does(*step);
            }
            assert!(domain.host.phys_state(SPI).active, "{taken:?} {steps:?}");
        });
    }
}

/// Between the word and its physical interrupt another makes the interrupt active once more: a deactivation that comes
/// late is not for that.
#[test]
fn owed_deactivation_that_comes_late_is_not_for_what_came_since() {
    each(|domain| {
        let domain = Arc::new(domain);
        domain.connected_spi(SPI);
        domain.host.change(SPI, |phys| phys.active = true);
        let other = Arc::downgrade(&domain);
        *domain.host.before_phys.lock().unwrap() = Some(Box::new(move || {
            let domain = other.upgrade().unwrap();
            domain.post_phys(domain.v(0), domain.intid(), Event::SetActive);
        }));
        domain.deactivate(domain.shared(domain.intid()).unwrap());
        assert!(domain.word().phys());
        assert!(domain.host.phys_state(SPI).active);
        domain.does(ClearActive);
        assert!(!domain.host.phys_state(SPI).active);
    });
}
