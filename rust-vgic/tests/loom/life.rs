// SPDX-License-Identifier: GPL-2.0-only
//! vCPUs are switched off and on, move between physical CPUs, and go.

use crate::machine::*;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

/// A vCPU went off with one interrupt in a list register and one active, and is switched on while more come: what is
/// pending is kept, and a node that is just being pushed is not forgotten or pushed twice by the reset.
fn injection_against_switching_on(raw: u32) {
    explore(3, move || {
        let d = domain(2);
        inject(&d);
        inject_private(&d, 0, PPI, true);
        enter(&d, 0);
        guest(&d, 0, PPI, 1, 2);
        exit(&d, 0);
        schedule_out(&d, 0);
        inject_private(&d, 0, PPI, false);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || inject_private(&other, 0, raw, true));
        d.cpu_on(vcpu(&d, 0));
        enter(&d, 0);
        t.join().unwrap();
        settle(&d, 0);
        let other = if raw == PPI { SPI } else { raw };
        assert_eq!(shown(&d, 0, other), [1]);
        assert_eq!(shown(&d, 0, SPI), [1], "dropped when it was switched on");
        let expected: &[u64] = if raw == PPI { &[1] } else { &[] };
        assert_eq!(shown(&d, 0, PPI), expected, "the active state is gone");
    });
}

#[test]
fn injection_against_switching_on_of_what_was_active() {
    injection_against_switching_on(PPI);
}

#[test]
fn injection_against_switching_on_of_another() {
    injection_against_switching_on(FIRST[0]);
}

/// The vCPU moves to another physical CPU: a kick that finds it on the old one interrupts nobody who cares, and must not
/// be counted as one that the next injection can rely on.
#[test]
fn injection_against_migration() {
    explore(4, || {
        let d = domain(1);
        enter(&d, 0);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || {
            inject(&other);
            inject_private(&other, 0, PPI, true);
        });
        exit(&d, 0);
        schedule_out(&d, 0);
        migrate(&d, 0, 2);
        enter(&d, 0);
        t.join().unwrap();
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [1]);
        assert_eq!(shown(&d, 0, PPI), [1]);
    });
}

/// A vCPU is freed while interrupts for it still come: an injection that begins afterwards kicks nobody, and none
/// breaks anything. Until then the host keeps what the handle stands for.
#[test]
fn injection_against_freeing_the_vcpu() {
    explore(8, || {
        let d = domain(2);
        let freed = Arc::new(AtomicBool::new(false));
        enter(&d, 0);
        exit(&d, 0);
        d.host().kicks.store(0, Ordering::Relaxed);
        let (other, seen) = (d.clone(), freed.clone());
        let t = thread::spawn(move || {
            let late = seen.load(Ordering::Acquire);
            inject(&other);
            retarget(&other, 1, 0);
            assert!(!late || other.host().kicks.load(Ordering::Relaxed) == 0);
        });
        d.free_vcpu(vcpu(&d, 0));
        freed.store(true, Ordering::Release);
        t.join().unwrap();
        // It waits where it can still be seen, and be routed to those who are left.
        assert!(read_bit(&d, 1, gicd::ISPENDR1));
        retarget(&d, 1, 1);
        enter(&d, 1);
        settle(&d, 1);
        assert_eq!(shown(&d, 1, SPI), [1]);
    });
}
