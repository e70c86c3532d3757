// SPDX-License-Identifier: GPL-2.0-only
//! A domain that has been reset is a new one, whatever it was at.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::fake::Fake;
use crate::registers::Width;
use std::sync::atomic::Ordering::SeqCst;
use walk::{Kind, Step};

mod cases;
mod walk;

/// All there is of it.
fn image(domain: &Domain<Fake>) -> String {
    let mut text = String::new();
    domain.image(&mut text).unwrap();
    text
}

/// The first line that differs is enough for a person.
#[track_caller]
fn assert_same(domain: &Domain<Fake>, new: &Domain<Fake>, when: &dyn std::fmt::Debug) {
    let (left, right) = (image(domain), image(new));
    if left != right {
        let mut lines = left.lines().zip(right.lines());
        let differs = lines.find(|(a, b)| a != b);
        assert_eq!(
            left.lines().count(),
            right.lines().count(),
            "{when:?}: {differs:#?}"
        );
        assert!(differs.is_none(), "{when:?}: {differs:#?}");
    }
}

/// Resets it. How many calls that took.
fn reset(domain: &Domain<Fake>) -> u32 {
    let mut calls = 1;
    while domain.reset() == Progress::Again {
        calls += 1;
        assert!(calls < 1000, "no end");
    }
    calls
}

/// What is there, and not of the vGIC, as it is for the other one: the levels of lines, and guest memory.
fn surround(new: &Domain<Fake>, like: &Domain<Fake>) {
    *new.host.memory.lock().unwrap() = like.host.memory.lock().unwrap().clone();
    for (v, other) in new.vcpus.iter().zip(&like.vcpus) {
        for (raw, irq) in (0..).zip(other.all_private()) {
            if irq.state().line() {
                new.inject(Some(v), IntId::new(raw).unwrap(), true);
            }
        }
        // The other one's CPU interface is to start afresh, too.
        if v.handle().is_some() {
            new.cpu_on(v);
        } else {
            v.raise(Flags::RESET | Flags::LOOK);
        }
    }
    for n in 0..like.spis_and_espis() {
        if let Some((intid, irq)) = like.spi_at(n)
            && irq.state().line()
        {
            new.inject(None, intid, true);
        }
    }
    new.host.kicked();
    like.host.kicked();
}

/// A walk, a reset, and a walk on both that one and a new one.
fn walk_reset_walk(kind: Kind, before: &[Step], after: &[Step]) {
    let domain = walk::domain(kind);
    let mut inside = walk::Inside::new(1);
    walk::boot(&domain);
    for step in before {
        walk::step(&domain, &mut inside, *step);
    }
    walk::stop(&domain, &mut inside);
    let memory = domain.host.memory.lock().unwrap().clone();
    reset(&domain);
    assert_eq!(
        *domain.host.memory.lock().unwrap(),
        memory,
        "is the guest's"
    );
    assert!(domain.host.devices.lock().unwrap().is_empty());
    assert!(domain.host.events.lock().unwrap().is_empty());
    for (n, phys) in domain.host.phys.lock().unwrap().iter() {
        let at_rest = !phys.enabled && !phys.active && !phys.pending && !phys.torn;
        assert!(at_rest, "{n}: {phys:?}");
    }
    let new = walk::domain(kind);
    surround(&new, &domain);
    assert_same(&domain, &new, &"reset");
    let mut insides = [walk::Inside::new(walk::ALL), walk::Inside::new(walk::ALL)];
    for domain in [&domain, &new] {
        domain
            .host
            .phys
            .lock()
            .unwrap()
            .values_mut()
            .for_each(|phys| {
                phys.follows = None;
                phys.level = true;
            });
        walk::boot(domain);
    }
    assert_same(&domain, &new, &"booted");
    for (n, step) in after.iter().enumerate() {
        walk::step(&domain, &mut insides[0], *step);
        walk::step(&new, &mut insides[1], *step);
        assert_same(&domain, &new, &(n, step));
        assert_eq!(domain.host.kicked(), new.host.kicked(), "{n} {step:?}");
    }
    let phys = |domain: &Domain<Fake>| domain.host.phys.lock().unwrap().clone();
    assert_eq!(phys(&domain), phys(&new));
}

/// More, on request: VGIC_WALKS=10000 cargo test --release -p rust-vgic reset_
fn walks() -> u64 {
    std::env::var("VGIC_WALKS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(25)
}

fn all_walks(kind: Kind) {
    for seed in 0..walks() {
        let mut chance = crate::fake::chance::Chance::new(seed);
        let before = walk::steps(kind, &mut chance, 10 + seed as usize * 67 % 200);
        let after = walk::steps(kind, &mut chance, 20);
        let played = std::panic::catch_unwind(|| walk_reset_walk(kind, &before, &after));
        assert!(played.is_ok(), "{kind:?}, seed {seed}");
    }
}

#[test]
fn reset_is_a_new_gicv2() {
    all_walks(Kind::V2);
}

#[test]
fn reset_is_a_new_gicv2_of_one() {
    all_walks(Kind::V2Alone);
}

#[test]
fn reset_is_a_new_gicv2_with_a_frame_for_messages() {
    all_walks(Kind::V2m);
}

#[test]
fn reset_is_a_new_gicv2_on_a_gicv3() {
    all_walks(Kind::V2OnV3);
}

#[test]
fn reset_is_a_new_gicv3_with_extended_spis() {
    all_walks(Kind::V3);
}

#[test]
fn reset_is_a_new_gicv3_that_takes_tc_to_trap_dir() {
    all_walks(Kind::V3WithTc);
}

#[test]
fn reset_is_a_new_gicv3_with_itses() {
    all_walks(Kind::Its);
}
