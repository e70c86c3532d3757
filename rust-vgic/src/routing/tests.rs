// SPDX-License-Identifier: GPL-2.0-only
//! 1 of N: who is chosen.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::Width;
use crate::fake::{self, Fake};
use std::sync::atomic::Ordering::SeqCst;

const INTID: u32 = 40;
const WAKER: u64 = 0x14;

/// An SPI that any of three vCPUs may take, which all are awake and take Group 1.
fn any_of_three() -> (Domain<Fake>, IntId) {
    any_of_three_with(32)
}

/// The same in a domain with so many SPIs.
fn any_of_three_with(spis: usize) -> (Domain<Fake>, IntId) {
    let domain = fake::v3(3, spis, 0);
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

/// What the guest of a vCPU writes to its CPU interface.
fn set_group1(domain: &Domain<Fake>, n: usize, on: bool) {
    let vmcr = if on { 0xf800_0002 } else { 0xf800_0000 };
    domain.host().cpus[n].vmcr.store(vmcr, SeqCst);
}

/// Group 1 is off everywhere, and everybody has been seen so.
fn all_off() -> (Domain<Fake>, IntId) {
    let (domain, intid) = any_of_three();
    (0..3).for_each(|n| set_group1(&domain, n, false));
    domain.settle();
    (domain, intid)
}

/// An exit and an entry of whoever was kicked, until nobody is.
fn run_kicked(domain: &Domain<Fake>) {
    let rounds = (0..100).find(|_| {
        let kicked = domain.host().kicked();
        for n in &kicked {
            domain.leave(*n as u32);
            domain.enter(*n as u32);
        }
        kicked.is_empty()
    });
    assert!(rounds.is_some(), "they kick each other for ever");
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
    set_group1(&domain, 2, false);
    domain.settle();
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

#[test]
fn one_of_n_does_not_trust_what_was_never_read() {
    let domain = fake::v3(3, 32, 0);
    domain.ctlr.store(2, SeqCst);
    let (v, intid) = (domain.v(0), IntId::new(INTID).unwrap());
    for (region, offset) in [(0, 0), (0, 0x2_0000), (1, 0)] {
        domain.redist_write(v, region, offset + WAKER, Width::Word, 0);
    }
    domain.settle();
    domain.dist_write(v, 0x6000 + 8 * INTID, Width::Double, IRM);
    domain.post(v, intid, Event::Enable(true));
    domain.settle();
    // vCPU 1 has enabled the group since, and nothing has come that it would have been looked at for.
    set_group1(&domain, 1, true);
    domain.inject(None, intid, true);
    assert_eq!(domain.host().kicked(), [0, 1, 2], "all are asked");
    for n in 0..3 {
        domain.leave(n);
        domain.enter(n);
    }
    run_kicked(&domain);
    assert_eq!((domain.loaded(0), domain.loaded(2)), (vec![], vec![]));
    assert_eq!(domain.loaded(1), [INTID as u16]);
    // Once is enough.
    set_group1(&domain, 1, false);
    domain.settle();
    domain.inject(None, IntId::new(INTID + 1).unwrap(), true);
    assert_eq!(domain.host().kicked(), []);
}

#[test]
fn one_of_n_leaves_a_vcpu_whose_group_goes_off_before_it_has_entered() {
    let (domain, intid) = any_of_three();
    set_group1(&domain, 0, false);
    domain.inject(None, intid, true);
    assert_eq!(domain.host().kicked(), [0]);
    domain.enter(0);
    assert_eq!(domain.loaded(0), []);
    assert_eq!(domain.host().kicked(), [1]);
    domain.enter(1);
    assert_eq!(domain.loaded(1), [INTID as u16]);
}

#[test]
fn one_of_n_leaves_a_vcpu_whose_group_goes_off_while_it_is_in_a_list_register() {
    let (domain, intid) = any_of_three();
    domain.inject(None, intid, true);
    domain.enter(0);
    assert_eq!(domain.loaded(0), [INTID as u16]);
    // A maintenance interrupt tells.
    let hcr = domain.host().cpus[0].hcr.load(SeqCst);
    assert_ne!(hcr & Hcr::VGRP1DIE.bits(), 0);
    set_group1(&domain, 0, false);
    domain.leave(0);
    domain.host().kicked();
    domain.enter(0);
    assert_eq!(domain.loaded(0), []);
    assert!(domain.host().kicked().contains(&1));
    domain.enter(1);
    assert_eq!(domain.loaded(1), [INTID as u16]);
}

#[test]
fn one_of_n_waits_for_who_can_take_it_and_goes_there() {
    for n in 0..3 {
        let (domain, intid) = all_off();
        domain.inject(None, intid, true);
        run_kicked(&domain);
        assert!((0..3).all(|n| domain.loaded(n).is_empty()));
        let hcr = domain.host().cpus[n].hcr.load(SeqCst);
        assert_ne!(hcr & Hcr::VGRP1EIE.bits(), 0, "it is told");
        set_group1(&domain, n, true);
        domain.leave(n as u32);
        domain.enter(n as u32);
        run_kicked(&domain);
        assert_eq!(domain.loaded(n as u32), [INTID as u16], "{n}");
    }
}

#[test]
fn one_of_n_waits_for_who_wakes() {
    let (domain, intid) = any_of_three();
    let frames = [(0, 0), (0, 0x2_0000), (1, 0)];
    for (region, offset) in frames {
        domain.redist_write(domain.v(0), region, offset + WAKER, Width::Word, 2);
    }
    set_group1(&domain, 0, false);
    domain.settle();
    domain.inject(None, intid, true);
    run_kicked(&domain);
    assert_eq!(domain.loaded(2), []);
    domain.redist_write(domain.v(0), 1, WAKER, Width::Word, 0);
    run_kicked(&domain);
    assert_eq!(domain.loaded(2), [INTID as u16]);
}

#[test]
fn one_of_n_leaves_a_vcpu_that_is_switched_off() {
    for told in [false, true] {
        let (domain, intid) = any_of_three();
        let other = IntId::new(INTID + 1).unwrap();
        domain.dist_write(domain.v(0), 0x6000 + 8 * (INTID + 1), Width::Double, IRM);
        domain.post(domain.v(0), other, Event::Enable(true));
        domain.inject(None, intid, true);
        domain.enter(0);
        assert_eq!(domain.loaded(0), [INTID as u16]);
        domain.leave(0);
        domain.host().kicked();
        switch(&domain, 0, false);
        let mut expected = vec![INTID as u16];
        if told {
            domain.cpu_off(domain.v(0));
        } else {
            domain.inject(None, other, true);
            expected.push(INTID as u16 + 1);
        }
        assert_eq!(domain.host().kicked().last(), Some(&1));
        domain.enter(1);
        assert_eq!(domain.loaded(1), expected, "told: {told}");
        // On again: it takes what it can.
        switch(&domain, 0, true);
        domain.enter(0);
        assert_eq!(domain.loaded(0), []);
        domain.leave(0);
        assert_eq!(
            domain.pick(State::reset(None).with_itargets(ANY), true).0,
            VcpuId::new(0)
        );
    }
}

/// More than one trap may move; and of the two others, one does not run.
#[test]
fn one_of_n_leaves_a_vcpu_that_is_switched_off_with_much() {
    let (domain, _) = any_of_three_with(512);
    let v = domain.v(0);
    let all: Vec<IntId> = (32..32 + 400).filter_map(IntId::new).collect();
    for intid in &all {
        domain.dist_write(v, 0x6000 + 8 * intid.raw(), Width::Double, IRM);
        domain.post(v, *intid, Event::Trigger { level: false });
        domain.post(v, *intid, Event::Enable(true));
        domain.inject(None, *intid, true);
    }
    let left = || all.iter().filter(|i| target(&domain, **i) == 0).count();
    // It has them sorted, so that each is moved by itself.
    for _ in 0..5 {
        domain.enter(0);
        domain.leave(0);
    }
    assert_eq!(left(), all.len());
    switch(&domain, 0, false);
    domain.cpu_off(v);
    assert!((1..300).contains(&left()), "{}", left());
    for _ in 0..100 {
        domain.enter(2);
        domain.leave(2);
    }
    assert_eq!(left(), 0);
}

#[test]
fn one_of_n_does_not_go_by_what_a_vcpu_had_before_it_was_switched_on() {
    let (domain, intid) = any_of_three();
    switch(&domain, 0, false);
    domain.cpu_on(domain.v(0));
    switch(&domain, 0, true);
    domain.inject(None, intid, true);
    assert_eq!(target(&domain, intid), 1);
}

/// All SPIs wait for vCPU 0 when its guest disables the group: a few of them leave on each of its entries.
#[test]
fn one_of_n_leaves_in_lots() {
    let domain = fake::v3(2, 960, 0);
    domain.ctlr.store(2, SeqCst);
    let v = domain.v(0);
    for offset in [0, 0x2_0000] {
        domain.redist_write(v, 0, offset + WAKER, Width::Word, 0);
    }
    (0..2).for_each(|n| set_group1(&domain, n, true));
    domain.settle();
    domain.dist_write(v, 0x6000 + 8 * 32, Width::Double, IRM);
    // What enters from now on sees its CPU interface.
    domain.settle();
    for raw in 32..992 {
        domain.dist_write(v, 0x6000 + 8 * raw, Width::Double, IRM);
        domain.post(v, IntId::new(raw).unwrap(), Event::Enable(true));
        domain.inject(None, IntId::new(raw).unwrap(), true);
    }
    let at = |n: u32| {
        let spis = domain.spis.iter().map(Irq::state);
        spis.filter(|s| s.place().1 == VcpuId::new(n)).count()
    };
    (0..5).for_each(|_| {
        domain.enter(0);
        domain.leave(0);
    });
    assert_eq!((at(0), at(1)), (960, 0));
    set_group1(&domain, 0, false);
    let mut before = 960;
    for _ in 0..100 {
        domain.enter(0);
        let hcr = domain.host().cpus[0].hcr.load(SeqCst);
        assert!(
            at(0) == 0 || hcr & Hcr::NPIE.bits() != 0,
            "it goes on by itself"
        );
        domain.leave(0);
        // What was in list registers besides.
        assert!(before - at(0) <= MOVES as usize + 4, "{before} {}", at(0));
        before = at(0);
    }
    assert_eq!((at(0), at(1)), (0, 960));
}

#[test]
fn one_of_n_of_a_gicv2_goes_to_one_of_its_set() {
    let domain = fake::v2(4, 32);
    domain.ctlr.store(1, SeqCst);
    let intid = IntId::new(INTID).unwrap();
    for cpu in &domain.host().cpus {
        cpu.vmcr.store(0xf800_0001, SeqCst);
    }
    domain.dist_write(domain.v(0), 0x800 + INTID, Width::Byte, 0b1010);
    domain.post(domain.v(0), intid, Event::Enable(true));
    domain.settle();
    domain.inject(None, intid, true);
    assert_eq!(target(&domain, intid), 1);
    domain.host().cpus[1].vmcr.store(0xf800_0000, SeqCst);
    domain.enter(1);
    run_kicked(&domain);
    assert_eq!(
        (domain.loaded(1), domain.loaded(3)),
        (vec![], vec![INTID as u16])
    );
    // None of the two any more: it stays, and no other gets it.
    domain.host().cpus[3].vmcr.store(0xf800_0000, SeqCst);
    domain.leave(3);
    domain.enter(3);
    run_kicked(&domain);
    (0..4).for_each(|n| assert_eq!(domain.loaded(n), [], "{n}"));
    domain.host().cpus[1].vmcr.store(0xf800_0001, SeqCst);
    domain.leave(1);
    domain.enter(1);
    assert_eq!(domain.loaded(1), [INTID as u16]);
}

/// One that no list register can have any more asks all vCPUs to look, the one too that has found it on its way into the guest.
#[test]
fn one_of_n_who_asks_itself_to_look_can_be_kicked_afterwards() {
    const IGROUPR1: u32 = 0x84;
    let (domain, intid) = any_of_three();
    let v = domain.v(0);
    let bit = 1 << (INTID - 32);
    domain.post(v, intid, Event::Trigger { level: true });
    domain.dist_write(v, 0x6000 + 8 * INTID, Width::Double, 1);
    domain.inject(None, intid, true);
    domain.enter(1);
    let lr = &domain.host().cpus[1].lrs[0];
    lr.store(lr.load(SeqCst) & !(3 << 62) | 2 << 62, SeqCst);
    domain.leave(1);
    domain.enter(1);
    domain.dist_write(v, 0x6000 + 8 * INTID, Width::Double, IRM);
    let group1 = domain.dist_read(v, IGROUPR1, Width::Word);
    domain.dist_write(v, IGROUPR1, Width::Word, group1 & !bit);
    run_kicked(&domain);
    // The guest ends it, and nobody takes Group 0.
    lr.store(0, SeqCst);
    domain.leave(1);
    domain.enter(1);
    assert_eq!(domain.loaded(1), []);
    // It does not leave the guest for what it asks of itself on the way into it.
    let kicked = domain.host().kicked();
    assert!(kicked.contains(&0) && kicked.contains(&2), "{kicked:?}");
    for n in [0, 2] {
        domain.enter(n);
        domain.leave(n);
    }
    domain.host().kicked();
    domain.dist_write(v, IGROUPR1, Width::Word, group1 | bit);
    assert!(domain.host().kicked().contains(&1));
    domain.leave(1);
    domain.enter(1);
    assert_eq!(domain.loaded(1), [INTID as u16]);
}

/// A sweep that finds another switched off asks its own vCPU to begin anew.
#[test]
fn one_of_n_a_sweep_that_is_asked_for_meanwhile_is_not_forgotten() {
    let domain = fake::v3(2, 320, 0);
    domain.ctlr.store(2, SeqCst);
    let v = domain.v(0);
    for (region, offset) in [(0, 0), (0, 0x2_0000)] {
        domain.redist_write(v, region, offset + WAKER, Width::Word, 0);
    }
    for cpu in &domain.host().cpus {
        cpu.vmcr.store(0xf800_0002, SeqCst);
    }
    domain.settle();
    for raw in [40_u32, 310] {
        let intid = IntId::new(raw).unwrap();
        domain.dist_write(v, 0x6000 + 8 * raw, Width::Double, IRM);
        domain.post(v, intid, Event::Trigger { level: false });
        domain.post(v, intid, Event::Enable(true));
    }
    for _ in 0..8 {
        domain.settle();
    }
    let (a, b) = (IntId::new(40).unwrap(), IntId::new(310).unwrap());
    // vCPU 0 has its group off; both go to vCPU 1, which is on and able, and has not taken them.
    set_group1(&domain, 0, false);
    for _ in 0..8 {
        domain.settle();
    }
    domain.inject(None, a, true);
    domain.inject(None, b, true);
    assert_eq!((target(&domain, a), target(&domain, b)), (1, 1));
    domain.enter(1);
    domain.leave(1);
    // vCPU 0 enables its group: it goes through all, a part on each entry.
    v.set_swept(0, 0);
    set_group1(&domain, 0, true);
    v.raise(Flags::LOOK);
    domain.enter(0);
    domain.leave(0);
    // vCPU 1 goes off; the host says so a moment later.
    switch(&domain, 1, false);
    domain.enter(0);
    domain.cpu_off(domain.v(1));
    for _ in 0..100 {
        domain.leave(0);
        domain.enter(0);
    }
    assert_eq!(target(&domain, b), 0);
    assert_eq!(target(&domain, a), 0, "left with a vCPU that is off");
}
