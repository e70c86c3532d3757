// SPDX-License-Identifier: GPL-2.0-only
//! Injection against entry, exit and blocking.

use crate::machine::*;
use loom::sync::atomic::Ordering;
use loom::thread;

/// Pushed just after the inbox was looked at on entry, while the kick still sees the vCPU not running.
#[test]
fn injection_against_entry() {
    explore(8, || {
        let d = domain(1);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other));
        enter(&d, 0);
        t.join().unwrap();
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [1]);
    });
}

/// Pushed while the vCPU passes through the hypervisor: the kick arrives there, and its flag is taken before the inbox is full.
#[test]
fn injection_against_exit_and_entry() {
    explore(8, || {
        let d = domain(1);
        enter(&d, 0);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other));
        trap(&d, 0);
        t.join().unwrap();
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [1]);
    });
}

/// Two push on one inbox, and only one of them kicks, relying on the other's having been asked for.
#[test]
fn two_injectors_against_entry() {
    explore(3, || {
        let d = domain(1);
        let (a, b) = (d.clone(), d.clone());
        let t = thread::spawn(move || inject(&a));
        let u = thread::spawn(move || inject_private(&b, 0, PPI, true));
        enter(&d, 0);
        t.join().unwrap();
        u.join().unwrap();
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [1]);
        assert_eq!(shown(&d, 0, PPI), [1]);
    });
}

/// The first edge has been acknowledged (2) or ended (0) when the second arrives: the exit's fold must not take the second
/// for what it has seen of the first.
fn second_edge(state: u64, then: u64) {
    explore(8, move || {
        let d = domain(1);
        inject(&d);
        enter(&d, 0);
        guest(&d, 0, SPI, 1, state);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other));
        trap(&d, 0);
        t.join().unwrap();
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [then]);
    });
}

#[test]
fn second_edge_against_exit_with_the_first_active() {
    second_edge(2, 3);
}

#[test]
fn second_edge_against_exit_with_the_first_ended() {
    second_edge(0, 1);
}

/// A line that falls asks the vCPU for a look but for no exit: that must not keep another's kick from being sent.
#[test]
fn a_falling_line_against_an_injection() {
    explore(4, || {
        let d = domain(1);
        inject_private(&d, 0, PPI, true);
        enter(&d, 0);
        forget_ipis(&d);
        let (a, b) = (d.clone(), d.clone());
        let t = thread::spawn(move || inject_private(&a, 0, PPI, false));
        let u = thread::spawn(move || inject(&b));
        t.join().unwrap();
        u.join().unwrap();
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [1], "no exit was asked for");
        assert!(shown(&d, 0, PPI).is_empty(), "an exit shows the line low");
    });
}

/// The vCPU looks before the interrupt is pushed and is blocked after the kick was thought needless.
fn injection_against_blocking_after(before: fn(&Vgic)) {
    explore(8, move || {
        let d = domain(1);
        enter(&d, 0);
        exit(&d, 0);
        before(&d);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other));
        let sleeps = block(&d, 0);
        t.join().unwrap();
        assert!(
            !sleeps || is_woken(&d, 0),
            "blocked with an interrupt pending"
        );
    });
}

#[test]
fn injection_against_blocking() {
    injection_against_blocking_after(|_| {});
}

#[test]
fn injection_against_blocking_with_a_kick_used_up() {
    injection_against_blocking_after(|d| {
        // Kicks, and then is disabled, so that it cannot be what keeps the vCPU awake.
        inject_private(d, 0, PPI, true);
        write(d, 0, gicd::ICENABLER0, 1 << PPI);
    });
}

/// A guest with its interrupts masked blocks without anybody looking for it, and a kick has been asked for that nobody has
/// answered: what comes next must wake it all the same.
#[test]
fn injection_to_a_vcpu_that_blocked_without_a_look() {
    explore(8, || {
        let d = domain(1);
        enter(&d, 0);
        exit(&d, 0);
        inject_private(&d, 0, PPI, true);
        fall_asleep(&d, 0);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other));
        t.join().unwrap();
        assert!(is_woken(&d, 0));
    });
}

/// The owner finds the source low and lowers the line while another raises the source, finds the line still high and does
/// nothing. The source is a plain store, and no fence of the caller's follows it: Xen's timer has none.
#[test]
fn ordering_of_a_resampled_line_lowered_against_raised() {
    explore(8, || {
        let d = resampled_domain();
        inject_private(&d, 0, PPI, true);
        let other = d.clone();
        let t = thread::spawn(move || {
            if let Some(source) = source(&other) {
                source.store(true, Ordering::Relaxed);
            }
            inject_private(&other, 0, PPI, true);
        });
        let level = source(&d).is_some_and(|source| source.load(Ordering::Relaxed));
        inject_private(&d, 0, PPI, level);
        t.join().unwrap();
        enter(&d, 0);
        assert_eq!(shown(&d, 0, PPI), [1], "the source is high, the line low");
    });
}
