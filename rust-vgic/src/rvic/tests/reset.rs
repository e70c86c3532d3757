// SPDX-License-Identifier: GPL-2.0-only
//! A domain that has been reset is a new one, whatever it was at; lines keep their level, and what is behind inputs stays there.

use super::random::Life;
use super::*;

fn image(d: &Domain<Fake>) -> String {
    let mut text = String::new();
    d.image(&mut text).unwrap();
    text
}

#[test]
fn whatever_has_happened_it_is_as_new() {
    for seed in 0..60 {
        let mut life = Life::new(seed);
        for _ in 0..200 {
            life.step();
        }
        let d = &life.domain;
        let vcpus = d.config.vcpus;
        for n in 0..vcpus {
            d.leave(d.v(n));
        }
        d.reset().unwrap();
        let new = domain(&d.config);
        for n in 0..vcpus {
            for line in d.v(n).high_lines() {
                new.v(n).set_line(line, true);
            }
        }
        for (input, entry) in (0..).zip(d.rvid.entries()) {
            if entry.line() {
                new.inject_input(input, true).unwrap();
            }
        }
        assert_eq!(image(d), image(&new), "{seed}");
        // The host knows the line that was shown last, and is told that it is off now.
        for n in 0..vcpus {
            d.enter(d.v(n));
            assert!(!d.shows(n));
        }
    }
}

#[test]
fn a_vcpu_in_its_guest_is_not_reset() {
    let d = domain(&LEAST);
    d.ready(1, &[3]);
    d.done(1, SIGNAL, [mpidr(1), 3, 0]);
    let before = image(&d);
    assert_eq!(d.reset(), Err(crate::Error::Busy));
    assert_eq!(image(&d), before);
    d.leave(d.v(1));
    assert_eq!(d.reset(), Ok(()));
    assert_eq!(image(&d), image(&domain(&LEAST)));
}

#[test]
fn nobody_will_end_a_physical_interrupt_so_it_is_ended() {
    let d = domain(&EXTENDED);
    d.host.change(77, |phys| phys.level = true);
    d.connect_input(3, 77).unwrap();
    d.done(0, MAP, [3, 0, 40]);
    d.host
        .change(77, |phys| (phys.active, phys.pending) = (true, true));
    d.inject_input(3, true).unwrap();
    d.leave(d.v(0));
    d.reset().unwrap();
    let phys = d.host.phys_state(77);
    assert!(!phys.active && !phys.enabled);
    assert_eq!(d.input_phys(3), Some(77));
    // It fires again, as soon as it is enabled.
    d.ready(0, &[40]);
    d.done(0, MAP, [3, 0, 40]);
    assert!(d.host.phys_state(77).enabled);
    assert_eq!(d.acknowledged(0), None);
    d.inject_input(3, true).unwrap();
    assert_eq!(d.acknowledged(0), Some(40));
}
