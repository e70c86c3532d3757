// SPDX-License-Identifier: GPL-2.0-only
//! What the guest is entered with in HCR: the maintenance interrupts for what waits outside of the list registers.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::fake::{self, Fake};
use std::sync::atomic::Ordering::SeqCst;

/// VMCR: nothing masked.
const ALL_PRIORITIES: u32 = 0xf800_0000;
const GROUP0: u32 = 1;
const GROUP1: u32 = 2;
/// SPIs that find the four list registers full.
const TOO_MANY: u32 = 5;

/// A domain in which these groups are on at the distributor and at the CPU interface.
fn domain(vcpus: usize, distributor: u32, interface: u32) -> Domain<Fake> {
    let domain = fake::v2(vcpus, 32);
    domain.ctlr.store(distributor, Ordering::SeqCst);
    for cpu in &domain.host().cpus {
        cpu.vmcr.store(ALL_PRIORITIES | interface, SeqCst);
    }
    domain
}

/// SPIs from `first` on become pending for vCPU 0.
fn raise(domain: &Domain<Fake>, first: u32, count: u32, priority: u8, group1: bool) {
    (first..first + count).for_each(|raw| domain.raise(raw, priority, group1));
}

/// Enters the guest and says what HCR is.
fn enter(domain: &Domain<Fake>) -> Hcr {
    domain.enter(0);
    Hcr::from_bits(domain.host().cpus[0].hcr.load(SeqCst)).unwrap()
}

#[test]
fn nothing_waits_nothing_is_asked_for() {
    let domain = domain(1, GROUP0 | GROUP1, GROUP0 | GROUP1);
    assert_eq!(enter(&domain), Hcr::EN);
    domain.leave(0);
    raise(&domain, 32, TOO_MANY - 1, 0xa0, false);
    assert_eq!(enter(&domain), Hcr::EN, "each has a list register");
}

#[test]
fn what_waits_is_to_follow_at_once_and_its_group_may_go_off() {
    for (group1, group, disable) in [
        (false, GROUP0, Hcr::VGRP0DIE),
        (true, GROUP1, Hcr::VGRP1DIE),
    ] {
        let domain = domain(1, GROUP0 | GROUP1, group);
        raise(&domain, 32, TOO_MANY, 0xa0, group1);
        assert_eq!(enter(&domain), Hcr::EN | Hcr::NPIE | disable);
    }
}

#[test]
fn either_group_may_go_off_while_one_waits() {
    let domain = domain(1, GROUP0 | GROUP1, GROUP0 | GROUP1);
    raise(&domain, 32, TOO_MANY, 0xa0, false);
    let both = Hcr::VGRP0DIE | Hcr::VGRP1DIE;
    assert_eq!(enter(&domain), Hcr::EN | Hcr::NPIE | both);
}

#[test]
fn what_waits_for_its_group_is_told_when_the_guest_enables_it() {
    for (group1, other, enable, disable) in [
        (false, GROUP1, Hcr::VGRP0EIE, Hcr::VGRP1DIE),
        (true, GROUP0, Hcr::VGRP1EIE, Hcr::VGRP0DIE),
    ] {
        let domain = domain(1, GROUP0 | GROUP1, other);
        domain.raise(32, 0xa0, group1);
        assert_eq!(enter(&domain), Hcr::EN | enable | disable);
    }
}

#[test]
fn the_distributors_groups_are_trapped_and_need_none() {
    let domain = domain(1, 0, 0);
    domain.raise(32, 0xa0, false);
    domain.raise(33, 0xa0, true);
    assert_eq!(enter(&domain), Hcr::EN);
}

#[test]
fn an_active_one_outside_is_ended_out_of_sight() {
    let domain = domain(1, GROUP0, GROUP0);
    raise(&domain, 32, 4, 0xa0, false);
    enter(&domain);
    domain.acknowledge_all();
    domain.raise(36, 0x20, false);
    assert_eq!(enter(&domain), Hcr::EN | Hcr::LRENPIE);
}
