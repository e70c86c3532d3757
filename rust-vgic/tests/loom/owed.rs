// SPDX-License-Identifier: GPL-2.0-only
//! A physical interrupt whose virtual one is in a list register of vCPU 0, which leaves its guest at that moment, and may never
//! enter it again. vCPU 1 ends it, and has it routed to itself.

use crate::machine::*;
use loom::sync::Arc;
use loom::thread;

/// vCPU 0 is in its guest with the interrupt, which it has not taken or (2) acknowledged, and has been seen to.
fn held(state: u64) -> Arc<Vgic> {
    let d = hardware_domain();
    assert!(fire(&d));
    enter(&d, 0);
    if state == 2 {
        guest(&d, 0, SPI, 1, 2);
        trap(&d, 0);
    }
    forget_ipis(&d);
    d
}

/// What ends an interrupt in this state.
fn end(d: &Vgic, state: u64) {
    let offset = if state == 2 {
        gicd::ICACTIVER1
    } else {
        gicd::ICPENDR1
    };
    write(d, 1, offset, 1);
}

/// Nothing is pending or active by now: then nothing is owed, and the device is heard at vCPU 1.
fn works_at_1(d: &Vgic) {
    assert!(!read_bit(d, 1, gicd::ISACTIVER1));
    assert!(!is_physical_active(d), "the device is dead");
    retarget(d, 1, 1);
    assert!(fire(d));
    enter(d, 1);
    settle(d, 1);
    assert_eq!(shown(d, 1, SPI), [1]);
    enter(d, 0);
    settle(d, 0);
    assert!(shown(d, 0, SPI).is_empty(), "shown twice");
}

/// It is ended while vCPU 0 leaves its guest for good: the exit has folded the interrupt and not yet said that it has
/// left when it is ended.
fn against_the_last_exit(state: u64, write: fn(&Vgic, u64)) {
    explore(3, move || {
        let d = held(state);
        let other = d.clone();
        let t = thread::spawn(move || write(&other, state));
        exit(&d, 0);
        schedule_out(&d, 0);
        t.join().unwrap();
        works_at_1(&d);
    });
}

#[test]
fn owed_by_what_was_active_against_the_last_exit() {
    against_the_last_exit(2, end);
}

#[test]
fn owed_by_what_was_pending_against_the_last_exit() {
    against_the_last_exit(1, end);
}

#[test]
fn owed_by_what_is_routed_and_ended_against_the_last_exit() {
    against_the_last_exit(2, |d, state| {
        retarget(d, 1, 1);
        end(d, state);
    });
}

#[test]
fn owed_by_what_is_ended_and_routed_against_the_last_exit() {
    against_the_last_exit(2, |d, state| {
        end(d, state);
        retarget(d, 1, 1);
    });
}

/// vCPU 0 is out of its guest and enters it: either it is ended in the list register or taken out of it.
#[test]
fn owed_against_entry() {
    explore(3, || {
        let d = held(2);
        exit(&d, 0);
        schedule_out(&d, 0);
        let other = d.clone();
        let t = thread::spawn(move || end(&other, 2));
        enter(&d, 0);
        t.join().unwrap();
        settle(&d, 0);
        assert!(shown(&d, 0, SPI).is_empty(), "still active in its guest");
        exit(&d, 0);
        schedule_out(&d, 0);
        works_at_1(&d);
    });
}

/// As soon as it is deactivated it fires: that is another interrupt, which nobody's late deactivation must end.
#[test]
fn owed_against_firing_again() {
    explore(3, || {
        let d = held(2);
        exit(&d, 0);
        schedule_out(&d, 0);
        retarget(&d, 1, 1);
        let (a, b) = (d.clone(), d.clone());
        let t = thread::spawn(move || end(&a, 2));
        let u = thread::spawn(move || end(&b, 2));
        let fired = fire(&d);
        t.join().unwrap();
        u.join().unwrap();
        assert_eq!(
            is_physical_active(&d),
            fired,
            "pending, and its physical interrupt not active"
        );
        if !fired {
            assert!(fire(&d));
        }
        enter(&d, 1);
        settle(&d, 1);
        assert_eq!(shown(&d, 1, SPI), [1]);
    });
}
