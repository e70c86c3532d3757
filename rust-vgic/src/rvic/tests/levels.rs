// SPDX-License-Identifier: GPL-2.0-only
//! Lines: of trusted interrupts, of inputs that are levels, and of physical interrupts behind these.

use super::*;
use crate::Error;

/// The guest's end of a level.
fn end(d: &Domain<Fake>, intid: u64) {
    d.done(0, RESAMPLE, [intid, 0, 0]);
    d.done(0, CLEAR_MASKED, [0, intid, 0]);
}

fn end_input(d: &Domain<Fake>, input: u64, intid: u64) {
    d.done(0, RESAMPLE_INPUT, [input, 0, 0]);
    d.done(0, CLEAR_MASKED, [0, intid, 0]);
}

#[test]
fn a_line_is_pending_once_until_it_is_resampled() {
    let d = domain(&LEAST);
    d.ready(0, &[27]);
    let raise = |level| d.inject_private(d.v(0), 27, level).unwrap();
    raise(true);
    assert_eq!(d.acknowledged(0), Some(27));
    raise(true);
    d.done(0, CLEAR_MASKED, [0, 27, 0]);
    assert_eq!(d.acknowledged(0), None, "it has not risen again");
    end(&d, 27);
    assert_eq!(d.acknowledged(0), Some(27), "it is high");
    raise(false);
    end(&d, 27);
    assert_eq!(d.acknowledged(0), None);
    raise(true);
    assert_eq!(d.acknowledged(0), Some(27));
}

#[test]
fn a_source_is_asked() {
    let d = domain(&LEAST);
    d.ready(0, &[31]);
    d.source(Some(true));
    d.inject_private(d.v(0), 31, true).unwrap();
    assert_eq!(d.acknowledged(0), Some(31));
    end(&d, 31);
    assert_eq!(d.acknowledged(0), Some(31), "it is high");
    // Nobody says that it is low, but it is.
    d.source(Some(false));
    end(&d, 31);
    assert_eq!(d.acknowledged(0), None);
    d.source(Some(true));
    d.inject_private(d.v(0), 31, true).unwrap();
    assert_eq!(d.acknowledged(0), Some(31));
}

/// What rises while the rVIC is disabled is an event as it is enabled; what has fallen again is none.
#[test]
fn enabling_takes_lines_that_are_high() {
    let d = domain(&EXTENDED);
    let (own, other) = (d.v(0), d.v(1));
    d.done(0, MAP, [0, 0, 40]);
    d.done(0, MAP, [1, 0, 41]);
    d.done(0, MAP, [2, mpidr(1), 42]);
    d.inject_private(own, 27, true).unwrap();
    d.inject_private(own, 26, true).unwrap();
    d.inject_private(own, 26, false).unwrap();
    d.inject_private(other, 25, true).unwrap();
    for input in [0, 1, 2] {
        d.inject_input(input, true).unwrap();
    }
    d.inject_input(1, false).unwrap();
    assert_eq!(d.host.kicked(), []);
    let intids: Vec<u64> = (0..64).collect();
    d.ready(0, &intids);
    assert_eq!(d.acknowledged(0), Some(27));
    assert_eq!(d.acknowledged(0), Some(40));
    assert_eq!(d.acknowledged(0), None);
    assert!(!d.has_pending(other));
}

#[test]
fn a_level_input_is_resampled() {
    let d = domain(&EXTENDED);
    d.ready(0, &[40]);
    d.done(0, MAP, [3, 0, 40]);
    d.inject_input(3, true).unwrap();
    assert_eq!(d.acknowledged(0), Some(40));
    d.inject_input(3, true).unwrap();
    d.done(0, CLEAR_MASKED, [0, 40, 0]);
    assert_eq!(d.acknowledged(0), None, "it has not risen again");
    end_input(&d, 3, 40);
    assert_eq!(d.acknowledged(0), Some(40), "it is high");
    d.inject_input(3, false).unwrap();
    end_input(&d, 3, 40);
    assert_eq!(d.acknowledged(0), None);
}

#[test]
fn an_input_that_is_no_level_has_events() {
    let d = domain(&LEAST);
    d.ready(0, &[40]);
    d.inject_input(3, true).unwrap();
    d.done(0, MAP, [3, 0, 40]);
    assert_eq!(d.acknowledged(0), None, "not mapped, so dropped");
    for _ in 0..2 {
        d.inject_input(3, true).unwrap();
        d.inject_input(3, false).unwrap();
        assert_eq!(d.acknowledged(0), Some(40));
        d.done(0, CLEAR_MASKED, [0, 40, 0]);
    }
    d.done(0, UNMAP, [3, 0, 0]);
    d.inject_input(3, true).unwrap();
    assert_eq!(d.acknowledged(0), None);
}

/// A line that is high is an event where its input is mapped to.
#[test]
fn mapping_a_level_takes_it_along() {
    let d = domain(&EXTENDED);
    d.ready(0, &[40]);
    d.ready(1, &[50]);
    d.inject_input(3, true).unwrap();
    d.done(0, MAP, [3, 0, 40]);
    assert_eq!(d.acknowledged(0), Some(40));
    d.done(0, MAP, [3, mpidr(1), 50]);
    assert_eq!(d.answer_kicks(), [1]);
    assert_eq!(d.acknowledged(1), Some(50));
    d.inject_input(3, false).unwrap();
    d.done(0, MAP, [3, 0, 40]);
    assert_eq!(d.acknowledged(0), None);
}

/// The driver's way to move an input, in the order of its calls: wherever an event falls between them, it is taken.
#[test]
fn an_event_survives_a_change_of_affinity() {
    for moment in 0..8 {
        let d = domain(&LEAST);
        d.ready(0, &[40]);
        d.done(1, ENABLE, [0; 3]);
        d.done(0, MAP, [3, 0, 40]);
        let mut at = 0;
        let mut next = || {
            if at == moment {
                d.inject_input(3, true).unwrap();
            }
            at += 1;
        };
        next();
        d.done(0, SET_MASKED, [0, 40, 0]);
        next();
        d.done(0, MAP, [3, mpidr(1), 50]);
        next();
        let pending = d.done(0, IS_PENDING, [0, 40, 0]);
        next();
        d.done(0, CLEAR_PENDING, [0, 40, 0]);
        next();
        if pending != 0 {
            d.done(0, SIGNAL, [mpidr(1), 50, 0]);
        }
        next();
        d.done(0, CLEAR_MASKED, [mpidr(1), 50, 0]);
        next();
        d.answer_kicks();
        next();
        assert_eq!(at, 8);
        assert_eq!(d.acknowledged(1), Some(50), "{moment}");
        assert_eq!(d.acknowledged(1), None, "{moment}");
        assert_eq!(d.acknowledged(0), None, "{moment}");
    }
}

/// An event that is on its way while its input is moved gets to both.
#[test]
fn an_event_that_meets_a_change_arrives_at_both() {
    let d = domain(&LEAST);
    d.ready(0, &[40]);
    d.ready(1, &[50]);
    d.done(0, MAP, [3, 0, 40]);
    // Who injects has looked where to.
    assert_eq!(d.rvid.begin(3).unwrap().1, 40);
    d.done(0, MAP, [3, mpidr(1), 50]);
    assert_eq!(d.done(0, IS_PENDING, [0, 40, 0]), 0);
    assert_eq!(d.answer_kicks(), [1]);
    assert_eq!(d.acknowledged(1), Some(50));
    // Nor does it do harm that it is slow.
    d.rvid.arrived(3);
    d.done(0, MAP, [3, 0, 40]);
    assert_eq!(d.acknowledged(0), None);
    assert!(!d.rvid.entry(3).unwrap().is_busy());
}

fn connected(level_now: bool) -> Domain<Fake> {
    let d = domain(&EXTENDED);
    d.ready(0, &[40]);
    d.host.change(77, |phys| {
        phys.level = true;
        phys.pending = level_now;
    });
    d.connect_input(3, 77).unwrap();
    d
}

#[test]
fn a_physical_interrupt_is_active_until_its_line_was_found_low() {
    let d = connected(false);
    assert_eq!(d.input_phys(3), Some(77));
    d.done(0, MAP, [3, 0, 40]);
    assert!(d.host.phys_state(77).enabled);
    assert_eq!(d.host.phys_state(77).follows, Some(0));
    // It fires: its handler leaves it active.
    d.host
        .change(77, |phys| (phys.active, phys.pending) = (true, true));
    d.inject_input(3, true).unwrap();
    assert_eq!(d.acknowledged(0), Some(40));
    end_input(&d, 3, 40);
    assert!(d.host.phys_state(77).active, "the line is high");
    assert_eq!(d.acknowledged(0), Some(40));
    d.host.change(77, |phys| phys.pending = false);
    end_input(&d, 3, 40);
    assert!(!d.host.phys_state(77).active);
    assert_eq!(d.acknowledged(0), None);
    // It fires once more.
    d.inject_input(3, true).unwrap();
    assert_eq!(d.acknowledged(0), Some(40));
    d.done(0, MAP, [3, mpidr(1), 50]);
    assert_eq!(d.host.phys_state(77).follows, Some(1));
    // Its vCPU goes to another CPU.
    d.host.change(77, |phys| phys.follows = None);
    d.moved(d.v(0));
    assert_eq!(d.host.phys_state(77).follows, None);
    d.moved(d.v(1));
    assert_eq!(d.host.phys_state(77).follows, Some(1));
    d.done(0, UNMAP, [3, 0, 0]);
    assert!(!d.host.phys_state(77).enabled);
    assert!(!d.host.phys_state(77).torn);
}

#[test]
fn what_is_behind_an_input_is_put_there_once() {
    let d = connected(false);
    assert_eq!(d.connect_input(3, 78), Err(Error::Busy));
    for input in [4, 8, u32::MAX] {
        assert_eq!(d.connect_input(input, 78), Err(Error::Invalid), "{input}");
    }
    d.done(0, MAP, [2, 0, 41]);
    assert_eq!(d.connect_input(2, 78), Err(Error::Busy), "mapped");
    assert_eq!(d.disconnect_input(3), Some(77));
    assert_eq!(d.disconnect_input(3), None);
    assert_eq!(d.disconnect_input(u32::MAX), None);
    d.connect_input(3, 78).unwrap();
    // Without the extension there is no end of it.
    let plain = domain(&LEAST);
    assert_eq!(plain.connect_input(3, 77), Err(Error::Invalid));
    assert_eq!(plain.disconnect_input(3), None);
    assert!(d.unmasked());
}
