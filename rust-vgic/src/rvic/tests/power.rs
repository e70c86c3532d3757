// SPDX-License-Identifier: GPL-2.0-only
//! vCPUs that are switched off and on.

use super::*;

#[test]
fn who_is_off_is_disabled() {
    let d = domain(&LEAST);
    d.ready(1, &[3]);
    d.done(0, SIGNAL, [mpidr(1), 3, 0]);
    d.leave(d.v(1));
    d.cpu_off(d.v(1));
    assert!(!d.has_pending(d.v(1)));
    d.host.kicked();
    assert_eq!(d.hvc(0, SIGNAL, [mpidr(1), 3, 0]).0, DISABLED);
    assert_eq!(d.host.kicked(), []);
}

#[test]
fn who_comes_on_is_at_reset() {
    let d = domain(&LEAST);
    d.ready(1, &[3, 40]);
    d.done(1, SIGNAL, [mpidr(1), 3, 0]);
    d.done(1, SIGNAL, [mpidr(1), 40, 0]);
    assert!(d.shows(1));
    d.inject_private(d.v(1), 27, true).unwrap();
    d.leave(d.v(1));
    d.cpu_off(d.v(1));
    d.cpu_on(d.v(1));
    d.enter(d.v(1));
    assert!(!d.shows(1), "the line is told of what was before");
    assert_eq!(d.hvc(1, ACKNOWLEDGE, [0; 3]).0, DISABLED);
    for intid in 0..64 {
        assert_eq!(d.done(1, IS_PENDING, [mpidr(1), intid, 0]), 0);
    }
    d.done(1, ENABLE, [0; 3]);
    assert_eq!(d.acknowledged(1), None, "all are masked");
    for intid in [3, 27, 40] {
        d.done(1, CLEAR_MASKED, [mpidr(1), intid, 0]);
    }
    assert_eq!(d.acknowledged(1), Some(27), "a line is of its device");
    assert_eq!(d.acknowledged(1), None);
}

/// Linux brings up a secondary like this.
#[test]
fn a_driver_clears_all_that_it_finds() {
    let d = domain(&LEAST);
    let me = mpidr(1);
    d.ready(1, &[3, 40]);
    d.done(1, SIGNAL, [me, 3, 0]);
    d.done(1, DISABLE, [0; 3]);
    for intid in 0..64 {
        d.done(1, SET_MASKED, [me, intid, 0]);
        d.done(1, CLEAR_PENDING, [me, intid, 0]);
    }
    d.done(1, ENABLE, [0; 3]);
    for intid in 0..64 {
        d.done(1, CLEAR_MASKED, [me, intid, 0]);
    }
    assert_eq!(d.acknowledged(1), None);
}
