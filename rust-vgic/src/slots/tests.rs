// SPDX-License-Identifier: GPL-2.0-only
//! Who gets the last list register.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::fake::{self, Fake};
use crate::intid::IntId;
use crate::irq::Event;
use crate::lr::Hcr;
use std::sync::atomic::Ordering::SeqCst;

/// A domain with four list registers and both groups on.
fn domain() -> Domain<Fake> {
    let domain = fake::v2(1, 32);
    domain.ctlr.store(0b11, SeqCst);
    domain.host().cpus[0].vmcr.store(0xf800_0003, SeqCst);
    domain
}

/// Of one priority, Group 0 goes first.
#[test]
fn the_highest_priority_of_both_groups_gets_it() {
    for (group0, group1, first) in [(0xa0, 0x50, 41), (0x50, 0xa0, 40), (0x50, 0x50, 40)] {
        let domain = domain();
        (32..35).for_each(|raw| domain.raise(raw, 0, false));
        domain.raise(40, group0, false);
        domain.raise(41, group1, true);
        domain.enter(0);
        assert_eq!(
            domain.loaded(0),
            [32, 33, 34, first],
            "{group0:#x} {group1:#x}"
        );
    }
}

#[test]
fn the_lowest_pending_one_gives_way_to_a_higher_priority() {
    for (priority, loaded) in [
        (0x40, [32, 34, 35, 40]),
        (0x98, [32, 34, 35, 40]),
        (0xa0, [32, 33, 34, 35]),
        (0xb0, [32, 33, 34, 35]),
    ] {
        let domain = domain();
        for (raw, priority) in (32..).zip([0x80, 0xa0, 0x90, 0x80]) {
            domain.raise(raw, priority, true);
        }
        domain.enter(0);
        domain.leave(0);
        domain.raise(40, priority, true);
        domain.enter(0);
        assert_eq!(domain.loaded(0), loaded, "{priority:#x}");
    }
}

/// The guest may be preempted by it, or not: that is for the hardware to say.
#[test]
fn if_none_is_pending_the_lowest_active_one_gives_way() {
    let domain = domain();
    for (raw, priority) in (32..).zip([0x80, 0xa0, 0x90, 0x80]) {
        domain.raise(raw, priority, true);
    }
    domain.enter(0);
    domain.acknowledge_all();
    domain.raise(40, 0xb0, true);
    domain.enter(0);
    assert_eq!(domain.loaded(0), [32, 34, 35, 40]);
}

/// What has become undeliverable where it waits comes off the lists in lots: neither an entry nor a look for what is pending takes all of
/// it at once, and what is behind it waits for nothing that the guest does.
#[test]
fn bounded_what_cannot_be_delivered_comes_off_in_lots() {
    const MANY: u32 = 700;
    const URGENT: u32 = 32 + MANY;
    let wait = || {
        let domain = fake::v2(1, 800);
        domain.ctlr.store(0b11, SeqCst);
        domain.host().cpus[0].vmcr.store(0xf800_0003, SeqCst);
        for raw in 32..32 + MANY {
            domain.raise(raw, 0x50, true);
        }
        for _ in 0..4 {
            domain.settle();
        }
        for raw in 32..32 + MANY {
            domain.post(domain.v(0), IntId::new(raw).unwrap(), Event::Enable(false));
        }
        domain.raise(URGENT, 0x60, true);
        domain
    };
    let waiting = |domain: &Domain<Fake>| {
        let irqs = domain.spis.iter();
        irqs.filter(|irq| irq.state().place().0 == Place::Ready)
            .count()
    };
    let at_once = Hcr::VGRP1EIE | Hcr::VGRP1DIE;
    let domain = wait();
    let mut before = waiting(&domain);
    assert_eq!(before, MANY as usize - 4);
    for _ in 0..2 {
        domain.enter(0);
        assert_eq!(domain.loaded(0), []);
        let hcr = Hcr::from_bits_retain(domain.host().cpus[0].hcr.load(SeqCst));
        assert!(hcr.contains(at_once), "{hcr:?}");
        // With it the one that is enabled, which comes out of the inbox.
        assert!(before + 1 - waiting(&domain) <= BATCH + 1);
        before = waiting(&domain);
        domain.leave(0);
    }
    domain.enter(0);
    assert_eq!(domain.loaded(0), [URGENT as u16]);
    let hcr = Hcr::from_bits_retain(domain.host().cpus[0].hcr.load(SeqCst));
    assert!(!hcr.contains(at_once), "{hcr:?}");

    let domain = wait();
    let before = waiting(&domain);
    assert!(domain.has_pending(domain.v(0)));
    assert!(before + 1 - waiting(&domain) <= BATCH + 1);
}
