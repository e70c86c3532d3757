// SPDX-License-Identifier: GPL-2.0-only
//! What traps DIR: what HCR has on each vCPU, and who is interrupted for it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::fake::{Cpu, Fake, v2, v3_on};
use crate::sysreg::IccRegister;
use std::sync::atomic::Ordering::SeqCst;

/// VMCR: Group 1 on, nothing masked.
const OPEN: u32 = 0xf800_0002;
const SPLIT: u32 = 1 << 9;
const EOIMODE: u64 = 2;

fn v3(vcpus: usize, traps_dir: bool) -> Domain<Fake> {
    let domain = v3_on(vcpus, 32, 0, || Cpu {
        traps_dir,
        ..Cpu::default()
    });
    domain.ctlr.store(2, SeqCst);
    for cpu in &domain.host().cpus {
        cpu.vmcr.store(OPEN, SeqCst);
    }
    domain
}

fn hcr(domain: &Domain<Fake>, n: u32) -> Hcr {
    Hcr::from_bits_truncate(domain.host().cpus[n as usize].hcr.load(SeqCst))
}

fn set_ctlr(domain: &Domain<Fake>, n: u32, value: u64) {
    domain.host().current.store(n as usize, SeqCst);
    assert!(domain.write_icc(domain.v(n), IccRegister::Ctlr, value));
}

/// The guest traps, writes ICC_CTLR_EL1, and goes on.
fn trap_ctlr(domain: &Domain<Fake>, n: u32, value: u64) {
    domain.leave(n);
    set_ctlr(domain, n, value);
    domain.enter(n);
}

/// The guest acknowledges all that its list registers have.
fn acknowledge(domain: &Domain<Fake>, n: usize) {
    for lr in &domain.host().cpus[n].lrs {
        let value = lr.load(SeqCst);
        if value != 0 {
            lr.store(value & !(3 << 62) | 2 << 62, SeqCst);
        }
    }
}

#[test]
fn dir_traps_alone_where_it_can_whatever_the_guest_does() {
    let domain = v3(2, true);
    for vmcr in [OPEN, OPEN | SPLIT] {
        domain.host().cpus[0].vmcr.store(vmcr, SeqCst);
        domain.v(0).raise(Flags::LOOK);
        domain.enter(0);
        assert_eq!(hcr(&domain, 0), Hcr::EN | Hcr::TDIR);
        domain.leave(0);
        assert_eq!(hcr(&domain, 0), Hcr::EN | Hcr::TDIR);
    }
    assert_eq!(domain.split_eoi.load(SeqCst), 0, "nobody asks for it");
}

#[test]
fn dir_traps_alone_and_costs_neither_entry_nor_exit_anything() {
    let domain = v3(1, true);
    domain.enter(0);
    domain.leave(0);
    domain.enter(0);
    assert!(domain.v(0).exits_idle());
    assert!(domain.v(0).enters_idle());
}

#[test]
fn dir_traps_alone_on_a_cpu_that_the_vcpu_was_moved_to() {
    let domain = v3(1, true);
    domain.enter(0);
    domain.leave(0);
    // The other CPU's.
    let on = Hcr::EN.bits();
    domain.host().cpus[0].hcr.store(on, SeqCst);
    domain.moved(domain.v(0));
    domain.enter(0);
    assert_eq!(hcr(&domain, 0), Hcr::EN | Hcr::TDIR);
    domain.leave(0);
    domain.enter(0);
    assert!(domain.v(0).exits_idle());
}

#[test]
fn dir_of_a_gicv2_needs_no_trap() {
    let domain = v2(2, 32);
    domain.host().cpus[0].vmcr.store(OPEN | SPLIT, SeqCst);
    domain.enter(0);
    assert_eq!(hcr(&domain, 0), Hcr::EN);
    assert_eq!(domain.split_eoi.load(SeqCst), 0);
    assert!(domain.is_dir_trapped(Hcr::EN.bits()));
}

#[test]
fn dir_takes_tc_until_ctlr_is_written_and_while_any_has_eoimode_1() {
    let domain = v3(3, false);
    let expect = |tc: [bool; 3]| {
        for (n, tc) in (0..).zip(tc) {
            domain.leave(n);
            assert_eq!(hcr(&domain, n), Hcr::EN, "out of the guest {n}");
            domain.enter(n);
            let expected = if tc { Hcr::EN | Hcr::TC } else { Hcr::EN };
            assert_eq!(hcr(&domain, n), expected, "vCPU {n}");
        }
    };
    (0..3).for_each(|n| domain.enter(n));
    expect([true; 3]);
    trap_ctlr(&domain, 0, 0);
    trap_ctlr(&domain, 2, 0);
    expect([false, true, false]);
    trap_ctlr(&domain, 1, EOIMODE);
    expect([true; 3]);
    trap_ctlr(&domain, 0, EOIMODE);
    trap_ctlr(&domain, 0, EOIMODE);
    trap_ctlr(&domain, 1, 0);
    expect([true; 3]);
    // Switched off with EOImode 1, and on again.
    domain.leave(0);
    domain.cpu_on(domain.v(0));
    domain.enter(0);
    expect([true, false, false]);
    trap_ctlr(&domain, 0, 0);
    expect([false; 3]);
    assert_eq!(domain.split_eoi.load(SeqCst), 0);
}

#[test]
fn dir_a_write_of_ctlr_interrupts_those_that_run_without_the_trap() {
    let domain = v3(4, false);
    (0..4).for_each(|n| domain.enter(n));
    (1..3).for_each(|n| trap_ctlr(&domain, n, 0));
    // In the guest without it; out of the guest; with it since it has not written the register.
    domain.leave(2);
    domain.leave(0);
    domain.host().kicked();
    set_ctlr(&domain, 0, EOIMODE);
    assert_eq!(domain.host().kicked(), [1]);
    for n in 0..3 {
        domain.leave(n);
        domain.enter(n);
        assert!(hcr(&domain, n).contains(Hcr::TC), "vCPU {n}");
    }
    // All have it by now.
    domain.host().kicked();
    trap_ctlr(&domain, 1, EOIMODE);
    assert_eq!(domain.host().kicked(), []);
}

#[test]
fn dir_a_late_mode_is_seen_on_an_entry_with_something_new() {
    let domain = v3(2, false);
    (0..2).for_each(|n| {
        domain.enter(n);
        trap_ctlr(&domain, n, 0);
        domain.leave(n);
        domain.enter(n);
    });
    domain.leave(0);
    domain.host().kicked();
    domain.host().cpus[0].vmcr.store(OPEN | SPLIT, SeqCst);
    domain.raise(32, 0x80, true);
    domain.host().kicked();
    domain.enter(0);
    assert_eq!(hcr(&domain, 0), Hcr::EN | Hcr::TC);
    assert_eq!(domain.host().kicked(), [1]);
}

#[test]
fn dir_a_late_mode_is_seen_on_the_exit_after_an_acknowledge() {
    let domain = v3(2, false);
    (0..2).for_each(|n| {
        domain.enter(n);
        trap_ctlr(&domain, n, 0);
        domain.leave(n);
        domain.enter(n);
    });
    domain.leave(0);
    domain.raise(32, 0x80, true);
    domain.enter(0);
    assert_eq!(hcr(&domain, 0), Hcr::EN);
    let cpu = &domain.host().cpus[0];
    cpu.vmcr.store(OPEN | SPLIT, SeqCst);
    acknowledge(&domain, 0);
    domain.host().kicked();
    // It may wait for long now, and the other writes DIR meanwhile.
    domain.leave(0);
    assert_eq!(domain.host().kicked(), [1]);
    domain.leave(1);
    domain.enter(1);
    assert_eq!(hcr(&domain, 1), Hcr::EN | Hcr::TC);
}

#[test]
fn dir_what_is_counted_while_it_traps_is_no_end() {
    // An active one outside; a maintenance interrupt, which switches the interface off, comes before the exit or does not.
    for (maintained, split, ends) in [
        (false, false, true),
        (true, false, true),
        (false, true, false),
        (true, true, false),
    ] {
        let domain = v3(1, false);
        let cpu = &domain.host().cpus[0];
        domain.enter(0);
        trap_ctlr(&domain, 0, if split { EOIMODE } else { 0 });
        domain.leave(0);
        (32..36).for_each(|raw| domain.raise(raw, 0x80, true));
        domain.enter(0);
        acknowledge(&domain, 0);
        domain.leave(0);
        // It takes a list register from one of them.
        domain.raise(36, 0x20, true);
        domain.enter(0);
        assert!(hcr(&domain, 0).contains(Hcr::LRENPIE));
        cpu.hcr.fetch_or(1 << 27, SeqCst);
        if maintained {
            domain.maintenance(domain.v(0));
        }
        domain.leave(0);
        let active = (32..37).filter(|&raw| {
            let irq = domain.shared(IntId::new(raw).unwrap()).unwrap();
            irq.state().active()
        });
        assert_eq!(active.count(), if ends { 3 } else { 4 });
    }
}

/// A PPI and an SPI that vCPU 0 has acknowledged, and a PPI that waits, when it goes down and comes back as told. What of these is active
/// and what is pending, and whether its CPU interface is as after power-on.
fn after(back: impl Fn(&Domain<Fake>)) -> ([bool; 3], [bool; 3], bool) {
    let domain = v3(2, true);
    let (v, all) = (
        domain.v(0),
        [20, 32, 21].map(|raw| IntId::new(raw).unwrap()),
    );
    let raise = |intid: IntId| {
        for event in [
            Event::Priority(0x80),
            Event::Group1(true),
            Event::Enable(true),
        ] {
            domain.post(v, intid, event);
        }
        domain.inject((!intid.is_spi()).then_some(v), intid, true);
    };
    domain.post(v, all[1], Event::Targets(1, Some(v.id())));
    all[..2].iter().for_each(|intid| raise(*intid));
    domain.enter(0);
    acknowledge(&domain, 0);
    domain.leave(0);
    // Their lines have fallen since.
    for intid in &all[..2] {
        domain.inject((!intid.is_spi()).then_some(v), *intid, false);
    }
    raise(all[2]);
    back(&domain);
    domain.enter(0);
    let fresh = domain.host().cpus[0].vmcr.load(SeqCst) == 0;
    domain.leave(0);
    let states = all.map(|intid| domain.irq(v, intid).unwrap().state());
    (states.map(State::active), states.map(State::pending), fresh)
}

#[test]
fn suspend_starts_the_interface_afresh_and_leaves_all_that_is_active() {
    let pending = [false, false, true];
    let on = after(|domain| domain.cpu_on(domain.v(0)));
    assert_eq!(on, ([false, true, false], pending, true), "CPU_ON");
    let resumed = after(|domain| domain.resumed(domain.v(0)));
    assert_eq!(resumed, ([true, true, false], pending, true), "resumed");
    let neither = after(|_| ());
    assert_eq!(neither, ([true, true, false], pending, false), "nothing");
}
