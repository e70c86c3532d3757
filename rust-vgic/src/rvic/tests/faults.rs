// SPDX-License-Identifier: GPL-2.0-only
//! The faults of the implementation of 2020, which must not come back. That the state of a GIC and of an rVIC is one union, the fifth of
//! them, is for the floors to see: neither model knows the other.

use super::*;
use crate::Error;

/// (a) A number was compared with `>` where it had to be `>=`.
#[test]
fn the_first_number_that_there_is_not_is_refused() {
    let d = domain(&EXTENDED);
    for (input, status) in [(7, OK), (8, bad_parameter(0))] {
        assert_eq!(d.hvc(0, MAP, [input, 0, 32]).0, status);
        assert_eq!(d.hvc(0, UNMAP, [input, 0, 0]).0, status);
    }
    for (intid, status) in [
        (31, bad_parameter(2)),
        (32, OK),
        (63, OK),
        (64, bad_parameter(2)),
    ] {
        assert_eq!(d.hvc(0, MAP, [0, 0, intid]).0, status);
    }
    for function in [SET_MASKED, CLEAR_MASKED, IS_PENDING, CLEAR_PENDING] {
        assert_eq!(d.hvc(0, function, [0, 63, 0]).0, OK);
        assert_eq!(d.hvc(0, function, [0, 64, 0]).0, bad_parameter(1));
    }
    assert_eq!(d.hvc(0, SIGNAL, [0, 63, 0]).0, DISABLED);
    assert_eq!(d.hvc(0, SIGNAL, [0, 64, 0]).0, bad_parameter(1));
    assert_eq!(d.hvc(0, RESAMPLE, [31, 0, 0]).0, OK);
    assert_eq!(d.hvc(0, RESAMPLE, [32, 0, 0]).0, bad_parameter(0));
    // 4 to 7 are messages'.
    assert_eq!(d.hvc(0, RESAMPLE_INPUT, [3, 0, 0]).0, OK);
    for input in [4, 7, 8] {
        assert_eq!(d.hvc(0, RESAMPLE_INPUT, [input, 0, 0]).0, bad_parameter(0));
    }
    assert_eq!(d.inject_input(8, true), Err(Error::Invalid));
    assert_eq!(d.inject_private(d.v(0), 32, true), Err(Error::Invalid));
}

/// (b) All interrupts could be trusted.
#[test]
fn what_there_is_of_each_kind_has_its_rules() {
    let new = |change: &dyn Fn(&mut Config)| {
        let mut config = LEAST;
        change(&mut config);
        Domain::new(&config, Fake::default()).err()
    };
    let refused = Some(Error::Invalid);
    for n in [0, 1, 31, 33, 48, 2048, u32::MAX, u32::MAX - 31] {
        assert_eq!(new(&|c| c.trusted = n), refused, "{n}");
        assert_eq!(new(&|c| c.untrusted = n), refused, "{n}");
    }
    for n in [32, 64, 2016] {
        assert_eq!(new(&|c| c.trusted = n), None, "{n}");
        assert_eq!(new(&|c| c.untrusted = n), None, "{n}");
    }
    assert_eq!(new(&|c| (c.trusted, c.untrusted) = (1024, 1024)), None);
    assert_eq!(new(&|c| (c.trusted, c.untrusted) = (1024, 1056)), refused);
    let most = u32::MAX - 31;
    assert_eq!(new(&|c| (c.trusted, c.untrusted) = (most, most)), refused);
    for (n, expected) in [(0, refused), (1, None), (128, None), (129, refused)] {
        assert_eq!(new(&|c| c.vcpus = n), expected, "{n}");
    }
    for (n, expected) in [
        (0, None),
        (2016, None),
        (2017, refused),
        (u32::MAX, refused),
    ] {
        assert_eq!(new(&|c| c.inputs = n), expected, "{n}");
    }
    for (first, count, expected) in [
        (0, 8, None),
        (7, 1, None),
        (0, 0, refused),
        (0, 9, refused),
        (8, 1, refused),
        (u32::MAX, 1, refused),
        (1, u32::MAX, refused),
    ] {
        let messages = Some(Messages { first, count });
        assert_eq!(new(&|c| c.messages = messages), expected, "{first} {count}");
    }
}

/// (c) Arguments of 64 bits were cut off.
#[test]
fn arguments_are_looked_at_whole() {
    let d = domain(&EXTENDED);
    d.done(0, ENABLE, [0; 3]);
    for high in [1 << 16, 1 << 32, 1 << 63] {
        for function in SET_MASKED..=CLEAR_PENDING {
            let wrong = d.hvc(0, function, [0, high | 40, 0]).0;
            assert_eq!(wrong, bad_parameter(1), "{function:#x}");
            assert_eq!(d.hvc(0, function, [high, 40, 0]).0, INVALID_CPU);
        }
        assert_eq!(d.hvc(0, INFO, [high, 0, 0]).0, bad_parameter(0));
        assert_eq!(d.hvc(0, RESAMPLE, [high | 3, 0, 0]).0, bad_parameter(0));
        assert_eq!(d.hvc(0, MAP, [high | 3, 0, 40]).0, bad_parameter(0));
        assert_eq!(d.hvc(0, MAP, [3, high, 40]).0, bad_parameter(1));
        assert_eq!(d.hvc(0, MAP, [3, 0, high | 40]).0, bad_parameter(2));
        assert_eq!(d.hvc(0, UNMAP, [high | 3, 0, 0]).0, bad_parameter(0));
        assert_eq!(d.hvc(0, RESAMPLE_INPUT, [high, 0, 0]).0, bad_parameter(0));
    }
    // Nothing of that has done anything.
    assert!(d.acknowledged(0).is_none());
    assert!(d.rvid.entries().all(|entry| entry.target().is_none()));
}

/// (d) What became deliverable while the rVIC was disabled was on no list, and ENABLE did not look.
#[test]
fn what_was_unmasked_while_disabled_is_delivered() {
    let d = domain(&LEAST);
    d.done(0, ENABLE, [0; 3]);
    d.done(0, SIGNAL, [0, 40, 0]);
    d.done(0, DISABLE, [0; 3]);
    d.done(0, CLEAR_MASKED, [0, 40, 0]);
    assert!(!d.shows(0) && !d.has_pending(d.v(0)));
    assert_eq!(d.hvc(0, ACKNOWLEDGE, [0; 3]).0, DISABLED);
    d.done(0, ENABLE, [0; 3]);
    assert!(d.shows(0));
    assert_eq!(d.acknowledged(0), Some(40));
    // The same by another vCPU, and in the last word that there is.
    d.done(0, SIGNAL, [0, 63, 0]);
    d.done(0, DISABLE, [0; 3]);
    d.done(1, CLEAR_MASKED, [0, 63, 0]);
    assert_eq!(d.answer_kicks(), []);
    d.done(0, ENABLE, [0; 3]);
    assert_eq!(d.acknowledged(0), Some(63));
}
