// SPDX-License-Identifier: GPL-2.0-only
//! Events against a save, a restore and a reset, while no vCPU runs: a line that is high for whoever drives it is an event for the guest,
//! there or here, or will be as it comes up.

use super::*;

/// Restored from what is saved, elsewhere.
fn elsewhere(stream: &[u8]) -> Rvics {
    let there = new(false);
    there.restore(stream).unwrap();
    there
}

fn raise(d: &Rvics) {
    d.inject_input(LEVEL, true).unwrap();
}

/// Whoever drives a line says so again to the restored domain: it is an event once, now or before.
#[test]
fn an_input_that_rises_against_save() {
    explore(2, || {
        let d = domain();
        let other = d.clone();
        let t = thread::spawn(move || {
            raise(&other);
            other.inject_input(LEVEL, false).unwrap();
            raise(&other);
        });
        let stream = d.save_boxed().unwrap();
        t.join().unwrap();
        let there = elsewhere(&stream);
        raise(&there);
        assert!(is_pending(&there, 0, DEVICE), "it is lost");
    });
}

/// The same of a private line.
#[test]
fn a_line_that_rises_against_save() {
    explore(2, || {
        let d = domain();
        let other = d.clone();
        let t = thread::spawn(move || inject(&other, A));
        let stream = d.save_boxed().unwrap();
        t.join().unwrap();
        let there = elsewhere(&stream);
        inject(&there, A);
        assert!(is_pending(&there, 0, A), "it is lost");
    });
}

/// Those that the stream has as low, or does not know, rise as it is restored.
#[test]
fn lines_that_rise_against_restore() {
    explore(2, || {
        let stream = domain().save_boxed().unwrap();
        let there = Arc::new(new(false));
        let other = there.clone();
        let t = thread::spawn(move || {
            raise(&other);
            inject(&other, A);
        });
        there.restore(&stream).unwrap();
        t.join().unwrap();
        assert!(is_pending(&there, 0, DEVICE), "the input's is lost");
        assert!(is_pending(&there, 0, A), "the private one is lost");
        enter(&there, 0);
        settled(&there, 0, true);
    });
}

/// A message that is answered with a success is there.
#[test]
fn a_message_against_restore() {
    explore(2, || {
        let stream = domain().save_boxed().unwrap();
        let there = Arc::new(new(false));
        let other = there.clone();
        let t = thread::spawn(move || other.message(EDGE).is_ok());
        there.restore(&stream).unwrap();
        let taken = t.join().unwrap();
        assert_eq!(is_pending(&there, 0, DEVICE), taken);
    });
}

/// A host interrupt is put behind an input as that is restored.
#[test]
fn a_host_interrupt_against_restore() {
    explore(2, || {
        let stream = domain().save_boxed().unwrap();
        let there = Arc::new(new(false));
        let other = there.clone();
        let t = thread::spawn(move || other.restore(&stream).unwrap());
        let connected = there
            .host()
            .with_phys(|phys| there.connect_input(LEVEL, phys));
        t.join().unwrap();
        assert_eq!(there.host().is_phys_enabled(), connected.is_ok());
    });
}

/// The guest comes up again, and hears of what is high.
#[test]
fn lines_that_rise_against_reset() {
    explore(2, || {
        let d = domain();
        let other = d.clone();
        let t = thread::spawn(move || {
            raise(&other);
            inject(&other, A);
        });
        d.reset().unwrap();
        t.join().unwrap();
        call(&d, 0, ENABLE, [0; 3]).unwrap();
        call(&d, 0, MAP, [LEVEL.into(), 0, DEVICE]).unwrap();
        for intid in [A, DEVICE] {
            assert!(is_pending(&d, 0, intid), "{intid}");
            call(&d, 0, CLEAR_MASKED, [0, intid, 0]).unwrap();
        }
        enter(&d, 0);
        settled(&d, 0, true);
    });
}
