// SPDX-License-Identifier: GPL-2.0-only
//! 1 of N: who is chosen.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use super::*;
use crate::Width;
use crate::fake::{self, Fake};
use std::sync::atomic::Ordering::SeqCst;

const INTID: u32 = 40;
const WAKER: u64 = 0x14;

/// An SPI that any of three vCPUs may take, which all are awake and take Group 1.
fn any_of_three() -> (Domain<Fake>, IntId) {
    let domain = fake::v3(3, 32, 0);
    domain.ctlr.store(2, SeqCst);
    let v = domain.v(0);
    for (region, offset) in [(0, 0), (0, 0x2_0000), (1, 0)] {
        domain.redist_write(v, region, offset + WAKER, Width::Word, 0);
    }
    for cpu in &domain.host().cpus {
        cpu.vmcr.store(0xf800_0002, SeqCst);
    }
    domain.settle();
    let intid = IntId::new(INTID).unwrap();
    domain.dist_write(v, 0x6000 + 8 * INTID, Width::Double, IRM);
    domain.post(v, intid, Event::Trigger { level: false });
    domain.post(v, intid, Event::Enable(true));
    // What enters sees its CPU interface.
    domain.settle();
    (domain, intid)
}

fn target(domain: &Domain<Fake>, intid: IntId) -> u8 {
    let target = domain.shared(intid).unwrap().state().target();
    target.unwrap().raw()
}

fn switch(domain: &Domain<Fake>, n: usize, on: bool) {
    let mut off = domain.host().off.lock().unwrap();
    if on {
        off.remove(&n);
    } else {
        off.insert(n);
    }
}

#[test]
fn a_vcpu_that_is_off_is_not_chosen_while_another_is_on() {
    let (domain, intid) = any_of_three();
    switch(&domain, 0, false);
    domain.inject(None, intid, true);
    assert_eq!(target(&domain, intid), 1);
    assert_eq!(domain.host().kicked(), [1]);
}

#[test]
fn off_is_worse_than_asleep_and_that_than_a_group_that_is_off() {
    let (domain, intid) = any_of_three();
    let v = domain.v(0);
    // vCPU 0 is off, 1 asleep, 2 has its group off: as far as is known.
    switch(&domain, 0, false);
    domain.redist_write(v, 0, 0x2_0000 + WAKER, Width::Word, 2);
    domain.v(2).vmcr.store(0xf800_0000, SeqCst);
    domain.inject(None, intid, true);
    assert_eq!(target(&domain, intid), 2);
    let (domain, intid) = any_of_three();
    let v = domain.v(0);
    switch(&domain, 0, false);
    switch(&domain, 2, false);
    domain.redist_write(v, 0, 0x2_0000 + WAKER, Width::Word, 2);
    domain.inject(None, intid, true);
    assert_eq!(target(&domain, intid), 1);
}

#[test]
fn with_all_off_it_waits() {
    let (domain, intid) = any_of_three();
    (0..3).for_each(|n| switch(&domain, n, false));
    domain.inject(None, intid, true);
    assert!(domain.is_pending(domain.v(0), intid));
    switch(&domain, 2, true);
    // The next one finds who can take both.
    domain.inject(None, intid, true);
    domain.enter(2);
    assert_eq!(domain.loaded(2), [INTID as u16]);
}

#[test]
fn what_waits_for_a_vcpu_goes_to_another_when_it_falls_asleep() {
    let (domain, intid) = any_of_three();
    domain.inject(None, intid, true);
    domain.enter(0);
    assert_eq!(domain.loaded(0), [INTID as u16]);
    domain.leave(0);
    domain.host().kicked();
    domain.redist_write(domain.v(0), 0, WAKER, Width::Word, 2);
    assert!(domain.host().kicked().contains(&1));
    domain.enter(1);
    assert_eq!(domain.loaded(1), [INTID as u16]);
}

#[test]
fn what_the_guest_holds_stays() {
    let (domain, intid) = any_of_three();
    domain.inject(None, intid, true);
    domain.enter(0);
    let lr = domain.host().cpus.first().unwrap().lrs.first().unwrap();
    lr.store(lr.load(SeqCst) & !(3 << 62) | 2 << 62, SeqCst);
    domain.leave(0);
    domain.redist_write(domain.v(0), 0, WAKER, Width::Word, 2);
    domain.enter(0);
    assert_eq!(domain.loaded(0), [INTID as u16]);
}
