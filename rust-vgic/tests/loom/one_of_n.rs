// SPDX-License-Identifier: GPL-2.0-only
//! An interrupt that either of two vCPUs may take, while what decides about that changes.

use crate::machine::*;
use loom::sync::Arc;
use loom::thread;
use rust_vgic::{Domain, Width};

/// GICD_IROUTER of [`SPI`], and any vCPU in it.
const IROUTER: u32 = 0x6000 + 8 * SPI;
const ANY: u64 = 1 << 31;

/// [`SPI`] may go to both, which have been seen with their groups on or off.
fn shared(on: [bool; 2]) -> Arc<Vgic> {
    let d = domain(2);
    d.dist_write(vcpu(&d, 0), gicd::ITARGETSR32, Width::Byte, 3);
    look(&d, on);
    d
}

fn look(d: &Vgic, on: [bool; 2]) {
    for n in [0, 1] {
        set_groups(d, n, on[n]);
        enter(d, n);
    }
    // What the other one has asked for meanwhile.
    settle(d, 0);
    forget_ipis(d);
}

/// The same with GICD_IROUTER.
fn shared_v3(on: [bool; 2]) -> Arc<Vgic> {
    let d: Domain<Mock> = create(&gicv3(), false);
    write(&d, 0, gicd::CTLR, 3);
    write(&d, 0, gicd::ICFGR2, 2);
    for offset in [0x14, 0x2_0014] {
        d.redist_write(vcpu(&d, 0), 0, offset, Width::Word, 0);
    }
    route(&d, ANY);
    write(&d, 0, gicd::ISENABLER1, 1);
    look(&d, on);
    Arc::new(d)
}

fn route(d: &Vgic, value: u64) {
    d.dist_write(vcpu(d, 1), IROUTER, Width::Double, value);
}

/// Both go round as long as somebody asks; then `n` shows it once, and the other one does not.
fn assert_at(d: &Vgic, n: usize) {
    for _ in 0..3 {
        settle(d, 0);
        settle(d, 1);
    }
    assert_eq!(shown(d, n, SPI), [1], "not where it can be taken");
    assert!(shown(d, 1 - n, SPI).is_empty(), "twice");
}

/// The choice that an injection has made must not undo a route that is written meanwhile.
#[test]
fn one_of_n_a_route_stands_against_an_injection() {
    explore(3, || {
        let d = shared([true; 2]);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other));
        retarget(&d, 1, 1);
        t.join().unwrap();
        assert_at(&d, 1);
    });
}

#[test]
fn one_of_n_a_router_stands_against_an_injection() {
    explore(3, || {
        let d = shared_v3([true; 2]);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other));
        route(&d, 1);
        t.join().unwrap();
        assert_at(&d, 1);
    });
}

/// The route is to who has it anyway, while the choice is of the other one: TARGET is the same before and after.
#[test]
fn one_of_n_a_router_stands_that_changes_no_target() {
    explore(3, || {
        let d = shared_v3([false, true]);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other));
        route(&d, 0);
        t.join().unwrap();
        exit(&d, 0);
        set_groups(&d, 0, true);
        d.sync_to(vcpu(&d, 0));
        assert_at(&d, 0);
    });
}

/// Nobody can take it as far as is known, and just then somebody can.
#[test]
fn one_of_n_finds_who_enables_the_group_meanwhile() {
    explore(3, || {
        let d = shared([false; 2]);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other));
        exit(&d, 1);
        set_groups(&d, 1, true);
        d.sync_to(vcpu(&d, 1));
        t.join().unwrap();
        assert_at(&d, 1);
    });
}

/// The one that is chosen has just disabled its group.
#[test]
fn one_of_n_leaves_who_disables_the_group_meanwhile() {
    explore(3, || {
        let d = shared([true; 2]);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other));
        exit(&d, 0);
        set_groups(&d, 0, false);
        d.sync_to(vcpu(&d, 0));
        t.join().unwrap();
        assert_at(&d, 1);
    });
}

/// One can no longer take it when the other one can.
#[test]
fn one_of_n_changes_hands() {
    explore(3, || {
        let d = shared([true, false]);
        inject(&d);
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [1]);
        let other = d.clone();
        let t = thread::spawn(move || {
            exit(&other, 0);
            set_groups(&other, 0, false);
            other.sync_to(vcpu(&other, 0));
        });
        exit(&d, 1);
        set_groups(&d, 1, true);
        d.sync_to(vcpu(&d, 1));
        t.join().unwrap();
        assert_at(&d, 1);
    });
}

/// The one that is chosen is being switched off.
#[test]
fn one_of_n_leaves_who_is_switched_off_meanwhile() {
    explore(3, || {
        let d = shared([true; 2]);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other));
        exit(&d, 0);
        schedule_out(&d, 0);
        switch_off(&d, 0);
        t.join().unwrap();
        assert_at(&d, 1);
    });
}
