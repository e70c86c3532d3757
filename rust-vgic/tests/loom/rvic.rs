// SPDX-License-Identifier: GPL-2.0-only
//! The rVIC: what others do to an interrupt against its vCPU's way in and out, against ACKNOWLEDGE, ENABLE and RESAMPLE; and
//! events of an input against a change of where it goes.
//!
//! At the end of each the line is as it has to be, HCR_EL2.VI with it, after whatever exits were asked for.

mod saved;

use crate::machine::{Mock, explore};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use rust_vgic::VcpuId;
use rust_vgic::rvic::{Config, Domain, Messages, Rvic};

type Rvics = Domain<Mock>;

const MAP: u64 = 0xc500_0101;
const UNMAP: u64 = 0xc500_0102;
const RESAMPLE_INPUT: u64 = 0xc500_0111;
const ENABLE: u64 = 0xc500_0202;
const SET_MASKED: u64 = 0xc500_0204;
const CLEAR_MASKED: u64 = 0xc500_0205;
const IS_PENDING: u64 = 0xc500_0206;
const SIGNAL: u64 = 0xc500_0207;
const CLEAR_PENDING: u64 = 0xc500_0208;
const ACKNOWLEDGE: u64 = 0xc500_0209;
const RESAMPLE: u64 = 0xc500_020a;

/// Two trusted interrupts in one word and one in another, and an untrusted one; all not masked at vCPU 0.
const A: u64 = 1;
const B: u64 = 2;
const FAR: u64 = 27;
const DEVICE: u64 = 40;
/// The same at vCPU 1.
const MOVED: u64 = 50;
/// Inputs: a level, an edge.
const LEVEL: u32 = 0;
const EDGE: u32 = 1;

fn own(d: &Rvics, n: usize) -> &Rvic<usize> {
    d.vcpu(VcpuId::new(n as u32).unwrap()).unwrap()
}

/// A call of vCPU `n`, out of its guest: the value, if it was a success.
fn call(d: &Rvics, n: usize, function: u64, args: [u64; 3]) -> Option<u64> {
    let [status, value, ..] = d.call(own(d, n), function, args).unwrap();
    (status == 0).then_some(value)
}

fn enter(d: &Rvics, n: usize) {
    d.host().schedule_in(n);
    d.enter(own(d, n));
}

/// Out of the guest and into it again, with a call in between.
fn trap(d: &Rvics, n: usize, function: u64, args: [u64; 3]) -> Option<u64> {
    d.leave(own(d, n));
    let value = call(d, n, function, args);
    d.enter(own(d, n));
    value
}

/// A domain at reset.
fn new(resampled: bool) -> Rvics {
    let config = Config {
        vcpus: 2,
        trusted: 32,
        untrusted: 32,
        inputs: 2,
        messages: Some(Messages {
            first: EDGE,
            count: 1,
        }),
        level_inputs: true,
    };
    let d = Domain::new(&config, Mock::new(resampled)).unwrap();
    for n in 0..2 {
        d.create_vcpu(VcpuId::new(n as u32).unwrap(), n).unwrap();
    }
    d
}

/// The same that is enabled, and in use.
fn domain_with(resampled: bool) -> Arc<Rvics> {
    let d = new(resampled);
    for (n, intids) in [(0, &[A, B, FAR, DEVICE][..]), (1, &[MOVED])] {
        call(&d, n, ENABLE, [0; 3]).unwrap();
        for intid in intids {
            call(&d, n, CLEAR_MASKED, [n as u64, *intid, 0]).unwrap();
        }
    }
    for input in [LEVEL, EDGE] {
        call(&d, 0, MAP, [input.into(), 0, DEVICE]).unwrap();
    }
    Arc::new(d)
}

fn domain() -> Arc<Rvics> {
    domain_with(false)
}

fn inject(d: &Rvics, intid: u64) {
    d.inject_private(own(d, 0), intid as u32, true).unwrap();
}

fn is_pending(d: &Rvics, n: usize, intid: u64) -> bool {
    d.is_pending(own(d, n), intid as u32)
}

/// A vCPU whose physical CPU was interrupted goes round once more; then its line is as it has to be, and at this level.
fn settled(d: &Rvics, n: usize, line: bool) {
    for _ in 0..3 {
        if d.host().is_interrupted(n) {
            d.leave(own(d, n));
            d.enter(own(d, n));
        }
    }
    assert_eq!(d.has_pending(own(d, n)), line);
    assert_eq!(d.host().virtual_irq(n), line, "the line is told wrongly");
}

#[test]
fn an_event_against_entry() {
    explore(5, || {
        let d = domain();
        let other = d.clone();
        let t = thread::spawn(move || inject(&other, A));
        enter(&d, 0);
        t.join().unwrap();
        settled(&d, 0, true);
    });
}

#[test]
fn an_event_against_exit_and_entry() {
    explore(5, || {
        let d = domain();
        enter(&d, 0);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other, A));
        d.leave(own(&d, 0));
        d.enter(own(&d, 0));
        t.join().unwrap();
        settled(&d, 0, true);
    });
}

/// vCPU 0 was called for what is gone, and was out of its guest by then: the next one is to call it again.
#[test]
fn a_call_that_was_answered_is_over() {
    explore(4, || {
        let d = domain();
        enter(&d, 0);
        let other = d.clone();
        let t = thread::spawn(move || {
            inject(&other, A);
            call(&other, 1, CLEAR_PENDING, [0, A, 0]).unwrap();
        });
        d.leave(own(&d, 0));
        // Its CPU takes the interrupt in the hypervisor.
        d.host().is_interrupted(0);
        d.enter(own(&d, 0));
        t.join().unwrap();
        settled(&d, 0, false);
        call(&d, 1, SIGNAL, [0, B, 0]).unwrap();
        settled(&d, 0, true);
    });
}

/// vCPU 0 looks at words in which there was something, to forget those in which there is nothing.
#[test]
fn an_event_against_a_look_at_an_empty_word() {
    for second in [A, B] {
        explore(4, move || {
            let d = domain();
            inject(&d, A);
            call(&d, 1, CLEAR_PENDING, [0, A, 0]).unwrap();
            enter(&d, 0);
            let other = d.clone();
            let t = thread::spawn(move || {
                call(&other, 1, SIGNAL, [0, second, 0]).unwrap();
            });
            let taken = trap(&d, 0, ACKNOWLEDGE, [0; 3]);
            t.join().unwrap();
            settled(&d, 0, taken.is_none());
        });
    }
}

/// Only one of them calls, if the other relies on it.
#[test]
fn two_events_against_exit_and_entry() {
    for second in [B, FAR] {
        explore(3, move || {
            let d = domain();
            enter(&d, 0);
            let (a, b) = (d.clone(), d.clone());
            let t = thread::spawn(move || inject(&a, A));
            let u = thread::spawn(move || inject(&b, second));
            d.leave(own(&d, 0));
            d.enter(own(&d, 0));
            t.join().unwrap();
            u.join().unwrap();
            settled(&d, 0, true);
            let mut taken: Vec<_> = (0..2).map(|_| trap(&d, 0, ACKNOWLEDGE, [0; 3])).collect();
            taken.sort();
            assert_eq!(taken, [Some(A), Some(second)]);
            settled(&d, 0, false);
        });
    }
}

/// One that relied on the line being on, which goes off as the other is taken.
#[test]
fn an_event_against_acknowledge_of_the_last() {
    for second in [A, B, FAR] {
        explore(3, move || {
            let d = domain();
            inject(&d, A);
            enter(&d, 0);
            let other = d.clone();
            let t = thread::spawn(move || {
                call(&other, 1, SIGNAL, [0, second, 0]).unwrap();
            });
            assert_eq!(trap(&d, 0, ACKNOWLEDGE, [0; 3]), Some(A));
            t.join().unwrap();
            if second == A {
                // It has met the first one, or waits behind the mask.
                settled(&d, 0, false);
                trap(&d, 0, CLEAR_MASKED, [0, A, 0]);
                settled(&d, 0, is_pending(&d, 0, A));
            } else {
                settled(&d, 0, true);
                assert_eq!(trap(&d, 0, ACKNOWLEDGE, [0; 3]), Some(second));
            }
        });
    }
}

/// What leads to an event is seen by who takes it, also if it finds the interrupt pending already.
#[test]
fn what_led_to_an_event_is_seen() {
    explore(4, || {
        let d = domain();
        inject(&d, A);
        enter(&d, 0);
        let happened = Arc::new(AtomicBool::new(false));
        let (other, cause) = (d.clone(), happened.clone());
        let t = thread::spawn(move || {
            cause.store(true, Ordering::Relaxed);
            call(&other, 1, SIGNAL, [0, A, 0]).unwrap();
        });
        assert_eq!(trap(&d, 0, ACKNOWLEDGE, [0; 3]), Some(A));
        let seen = happened.load(Ordering::Relaxed);
        t.join().unwrap();
        assert!(seen || is_pending(&d, 0, A), "nobody has seen it");
    });
}

/// The vCPU has left its guest to wait for an interrupt, and sleeps unless there is one.
#[test]
fn an_event_against_sleep() {
    for kicked_before in [false, true] {
        explore(3, move || {
            let d = domain();
            enter(&d, 0);
            if kicked_before {
                // It was called for what is gone by now, and has not been in its guest since.
                inject(&d, B);
                call(&d, 1, CLEAR_PENDING, [0, B, 0]).unwrap();
            }
            let other = d.clone();
            let t = thread::spawn(move || inject(&other, A));
            d.leave(own(&d, 0));
            d.host().fall_asleep(0);
            let sleeps = !d.has_pending(own(&d, 0));
            t.join().unwrap();
            assert!(!sleeps || d.host().is_woken(0), "it sleeps for ever");
        });
    }
}

/// Another vCPU takes the last one away: the line goes off.
#[test]
fn taken_away_against_exit_and_entry() {
    for function in [SET_MASKED, CLEAR_PENDING] {
        explore(5, move || {
            let d = domain();
            inject(&d, A);
            enter(&d, 0);
            let other = d.clone();
            let t = thread::spawn(move || {
                call(&other, 1, function, [0, A, 0]).unwrap();
            });
            d.leave(own(&d, 0));
            d.enter(own(&d, 0));
            t.join().unwrap();
            settled(&d, 0, false);
        });
    }
}

/// Each leaves it to the other to say that nothing is left.
#[test]
fn two_are_taken_away() {
    for second in [B, FAR] {
        explore(3, move || {
            let d = domain();
            inject(&d, A);
            inject(&d, second);
            enter(&d, 0);
            let (a, b) = (d.clone(), d.clone());
            let t = thread::spawn(move || {
                call(&a, 1, SET_MASKED, [0, A, 0]).unwrap();
            });
            let u = thread::spawn(move || {
                call(&b, 1, SET_MASKED, [0, second, 0]).unwrap();
            });
            t.join().unwrap();
            u.join().unwrap();
            settled(&d, 0, false);
        });
    }
}

/// One comes, and one goes: whatever the order, the line is on.
#[test]
fn one_is_taken_away_as_another_comes() {
    for second in [B, FAR] {
        explore(3, move || {
            let d = domain();
            inject(&d, A);
            enter(&d, 0);
            let (a, b) = (d.clone(), d.clone());
            let t = thread::spawn(move || {
                call(&a, 1, CLEAR_PENDING, [0, A, 0]).unwrap();
            });
            let u = thread::spawn(move || inject(&b, second));
            d.leave(own(&d, 0));
            d.enter(own(&d, 0));
            t.join().unwrap();
            u.join().unwrap();
            settled(&d, 0, true);
        });
    }
}

/// It is taken, or taken away, and not both.
#[test]
fn taken_away_against_acknowledge() {
    for function in [SET_MASKED, CLEAR_PENDING] {
        explore(4, move || {
            let d = domain();
            inject(&d, A);
            enter(&d, 0);
            let other = d.clone();
            let t = thread::spawn(move || {
                call(&other, 1, function, [0, A, 0]).unwrap();
            });
            let taken = trap(&d, 0, ACKNOWLEDGE, [0; 3]);
            t.join().unwrap();
            settled(&d, 0, false);
            assert!(taken.is_none_or(|intid| intid == A));
            let left = is_pending(&d, 0, A);
            assert_eq!(left, taken.is_none() && function == SET_MASKED);
        });
    }
}

/// The one that came first may be taken away while it is looked for: the other is there.
#[test]
fn the_first_is_taken_away_while_it_is_looked_for() {
    explore(3, || {
        let d = domain();
        inject(&d, A);
        inject(&d, FAR);
        enter(&d, 0);
        let other = d.clone();
        let t = thread::spawn(move || {
            call(&other, 1, CLEAR_PENDING, [0, A, 0]).unwrap();
        });
        let first = trap(&d, 0, ACKNOWLEDGE, [0; 3]);
        t.join().unwrap();
        assert!([Some(A), Some(FAR)].contains(&first));
        settled(&d, 0, first == Some(A));
    });
}

/// A line that rises as its rVIC is enabled is an event for one of the two.
#[test]
fn a_line_against_enable() {
    explore(4, || {
        let d = Arc::new(new(false));
        call(&d, 0, CLEAR_MASKED, [0, A, 0]).unwrap();
        let other = d.clone();
        let t = thread::spawn(move || inject(&other, A));
        call(&d, 0, ENABLE, [0; 3]).unwrap();
        enter(&d, 0);
        t.join().unwrap();
        settled(&d, 0, true);
    });
}

/// The same of an input.
#[test]
fn an_input_against_enable() {
    explore(3, || {
        let d = Arc::new(new(false));
        call(&d, 0, CLEAR_MASKED, [0, DEVICE, 0]).unwrap();
        call(&d, 0, MAP, [LEVEL.into(), 0, DEVICE]).unwrap();
        let other = d.clone();
        let t = thread::spawn(move || other.inject_input(LEVEL, true).unwrap());
        call(&d, 0, ENABLE, [0; 3]).unwrap();
        enter(&d, 0);
        t.join().unwrap();
        settled(&d, 0, true);
    });
}

/// The guest ends a level whose source nobody lowers, as that rises again: whoever injects may find it high still.
#[test]
fn a_source_that_rises_against_resample() {
    explore(5, || {
        let d = domain_with(true);
        d.host().set_source(0, true);
        inject(&d, A);
        enter(&d, 0);
        assert_eq!(trap(&d, 0, ACKNOWLEDGE, [0; 3]), Some(A));
        d.host().set_source(0, false);
        let other = d.clone();
        let t = thread::spawn(move || {
            other.host().set_source(0, true);
            inject(&other, A);
        });
        trap(&d, 0, RESAMPLE, [A, 0, 0]);
        trap(&d, 0, CLEAR_MASKED, [0, A, 0]);
        t.join().unwrap();
        settled(&d, 0, true);
    });
}

/// The same of a device that lowers its line and raises it.
#[test]
fn a_line_that_falls_and_rises_against_resample() {
    explore(4, || {
        let d = domain();
        d.inject_input(LEVEL, true).unwrap();
        enter(&d, 0);
        assert_eq!(trap(&d, 0, ACKNOWLEDGE, [0; 3]), Some(DEVICE));
        let other = d.clone();
        let t = thread::spawn(move || {
            other.inject_input(LEVEL, false).unwrap();
            other.inject_input(LEVEL, true).unwrap();
        });
        trap(&d, 0, RESAMPLE_INPUT, [LEVEL.into(), 0, 0]);
        trap(&d, 0, CLEAR_MASKED, [0, DEVICE, 0]);
        t.join().unwrap();
        settled(&d, 0, true);
    });
}

/// A driver moves an input from vCPU 0 to vCPU 1, as it is to.
fn change_affinity(d: &Rvics) {
    call(d, 0, SET_MASKED, [0, DEVICE, 0]).unwrap();
    call(d, 0, MAP, [EDGE.into(), 1, MOVED]).unwrap();
    if call(d, 0, IS_PENDING, [0, DEVICE, 0]) == Some(1) {
        call(d, 0, CLEAR_PENDING, [0, DEVICE, 0]).unwrap();
        call(d, 0, SIGNAL, [1, MOVED, 0]).unwrap();
    }
}

#[test]
fn an_event_against_a_change_of_affinity() {
    explore(5, || {
        let d = domain();
        let other = d.clone();
        let t = thread::spawn(move || other.message(EDGE).unwrap());
        change_affinity(&d);
        t.join().unwrap();
        assert!(is_pending(&d, 1, MOVED), "it was lost");
        enter(&d, 1);
        settled(&d, 1, true);
    });
}

/// Two events, the first of which was taken at the old place: the second is not lost with it.
#[test]
fn two_events_against_a_change_of_affinity() {
    explore(3, || {
        let d = domain();
        let happened = Arc::new(AtomicBool::new(false));
        let (a, b, cause) = (d.clone(), d.clone(), happened.clone());
        let t = thread::spawn(move || a.message(EDGE).unwrap());
        let u = thread::spawn(move || {
            cause.store(true, Ordering::Relaxed);
            b.message(EDGE).unwrap();
        });
        let taken = call(&d, 0, ACKNOWLEDGE, [0; 3]);
        let seen = taken.is_some() && happened.load(Ordering::Relaxed);
        change_affinity(&d);
        t.join().unwrap();
        u.join().unwrap();
        assert!(seen || is_pending(&d, 1, MOVED), "the second was lost");
    });
}

/// A host interrupt is put behind an input as its guest changes where that goes: it is enabled if the input is mapped, or not
/// behind it.
#[test]
fn a_host_interrupt_against_map_and_unmap() {
    const TO: [u64; 3] = [LEVEL as u64, 0, DEVICE];
    for (before, calls) in [
        (None, &[MAP][..]),
        (None, &[MAP, UNMAP]),
        (Some(MAP), &[UNMAP]),
        (Some(MAP), &[UNMAP, MAP]),
    ] {
        explore(3, move || {
            let d = Arc::new(new(false));
            before.map(|function| call(&d, 0, function, TO).unwrap());
            let other = d.clone();
            let t = thread::spawn(move || {
                for function in calls {
                    call(&other, 0, *function, TO).unwrap();
                }
            });
            let connected = d.host().with_phys(|phys| d.connect_input(LEVEL, phys));
            t.join().unwrap();
            let mapped = calls.last() == Some(&MAP);
            assert_eq!(d.input_phys(LEVEL).is_some(), connected.is_ok());
            let enabled = d.host().is_phys_enabled();
            assert_eq!(enabled, mapped && connected.is_ok(), "{connected:?}");
        });
    }
}

/// PSCI CPU_ON as events come: what comes afterwards is taken.
#[test]
fn an_event_against_cpu_on() {
    explore(3, || {
        let d = domain();
        let other = d.clone();
        let t = thread::spawn(move || {
            // One that is dropped, and may leave its traces.
            let _ = call(&other, 1, SIGNAL, [0, A, 0]);
        });
        d.cpu_on(own(&d, 0));
        t.join().unwrap();
        assert!(!is_pending(&d, 0, A));
        call(&d, 0, ENABLE, [0; 3]).unwrap();
        call(&d, 0, CLEAR_MASKED, [0, A, 0]).unwrap();
        enter(&d, 0);
        settled(&d, 0, false);
        call(&d, 1, SIGNAL, [0, A, 0]).unwrap();
        settled(&d, 0, true);
    });
}
