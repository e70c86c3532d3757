// SPDX-License-Identifier: GPL-2.0-only
//! First deliverable first.

use super::*;
use std::sync::atomic::Ordering::Relaxed;

fn signal(d: &Domain<Fake>, intids: &[u64]) {
    for intid in intids {
        d.done(0, SIGNAL, [0, *intid, 0]);
    }
}

fn all(d: &Domain<Fake>) -> Vec<u64> {
    core::iter::from_fn(|| d.acknowledged(0)).collect()
}

#[test]
fn in_the_order_in_which_they_came() {
    let d = domain(&LEAST);
    d.ready(0, &[0, 15, 16, 40, 63]);
    signal(&d, &[40, 0, 63, 16, 40, 15]);
    assert_eq!(all(&d), [40, 0, 63, 16, 15]);
    // Deliverable, not pending, is what counts.
    signal(&d, &[40, 0, 63]);
    for intid in [63, 0, 40] {
        d.done(1, CLEAR_MASKED, [0, intid, 0]);
    }
    assert_eq!(all(&d), [63, 0, 40]);
}

#[test]
fn what_was_masked_or_cleared_queues_again_at_the_end() {
    for (away, back) in [(SET_MASKED, CLEAR_MASKED), (CLEAR_PENDING, SIGNAL)] {
        let d = domain(&LEAST);
        d.ready(0, &[1, 2, 3]);
        signal(&d, &[1, 2, 3]);
        d.done(1, away, [0, 1, 0]);
        d.done(1, back, [0, 1, 0]);
        assert_eq!(all(&d), [2, 3, 1]);
    }
}

#[test]
fn all_words_have_their_turn() {
    let config = Config {
        trusted: 1024,
        untrusted: 1024,
        ..LEAST
    };
    let d = domain(&config);
    let intids: Vec<u64> = (0..2048).map(|n| n * 1021 % 2048).collect();
    d.ready(0, &intids);
    signal(&d, &intids);
    assert_eq!(all(&d), intids);
    assert!(!d.shows(0));
}

#[test]
fn tickets_wrap_around() {
    let d = domain(&LEAST);
    d.ready(0, &[1, 2, 3, 4]);
    d.v(0).set_ticket(u32::MAX - 2);
    signal(&d, &[4, 3, 2, 1]);
    assert_eq!(all(&d), [4, 3, 2, 1]);
}

/// Who has made it deliverable has not said when yet: it is found all the same, behind those that are known, and has its place from then on.
#[test]
fn what_has_no_ticket_yet_is_last() {
    let d = domain(&LEAST);
    d.ready(0, &[1, 2, 3, 4]);
    signal(&d, &[1, 2, 3]);
    d.v(0).forget_age(1);
    assert_eq!(d.acknowledged(0), Some(2));
    signal(&d, &[4]);
    assert_eq!(all(&d), [3, 1, 4]);
}

#[test]
fn nobody_asks_words_in_which_there_is_nothing() {
    let d = domain(&LEAST);
    d.ready(0, &[1, 40]);
    signal(&d, &[1, 40]);
    assert_eq!(all(&d), [1, 40]);
    assert_eq!(d.v(0).may_of(0), 0);
    assert!(d.host.cpus.is_empty());
    assert_eq!(d.v(0).counters.kicks.0.load(Relaxed), 0);
}
