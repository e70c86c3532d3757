// SPDX-License-Identifier: GPL-2.0-only
//! Who gets the last list register.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::fake::{self, Fake};
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
