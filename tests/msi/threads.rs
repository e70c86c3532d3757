// SPDX-License-Identifier: GPL-2.0-only
//! Devices and several vCPUs at once, each a thread: bound and unbound under fire, and what was sent is accounted for.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};
use vgic_harness::guests::source::Source;

const VECTORS: u32 = 4;
const ROUNDS: u64 = 30;

/// A device that sends each vector again when it has been served, ROUNDS times, while `also` is done on each vCPU after what it takes:
/// with the number of a vector that was taken, if there was one.
fn under_fire(guest: &Guest, pci: &Pci, also: impl Fn(&GuestCpu, Option<u32>) + Sync) {
    let sources: [Source; VECTORS as usize] = Default::default();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for cpu in &guest.cpus {
            let (sources, stop, also) = (&sources, &stop, &also);
            scope.spawn(move || {
                while !stop.load(SeqCst) {
                    let all = guest.take(cpu);
                    for n in &all {
                        sources[*n as usize].serve();
                    }
                    also(cpu, all.first().copied());
                }
            });
        }
        let mut last = Instant::now();
        let left = |s: &Source| s.is_short_of(ROUNDS);
        while sources.iter().any(left) {
            for (n, source) in (0..).zip(&sources) {
                if source.wants.swap(true, SeqCst) {
                    continue;
                }
                if left(source) {
                    // Masked or not, it is going to be heard.
                    assert_ne!(pci.function.raise(n), Raised::Nowhere);
                    last = Instant::now();
                } else {
                    source.wants.store(false, SeqCst);
                }
            }
            if last.elapsed() > Duration::from_secs(60) {
                guest.machine().report("an interrupt is lost");
                break;
            }
            std::thread::yield_now();
        }
        stop.store(true, SeqCst);
    });
    Source::assert_all_served(&sources, ROUNDS);
}

#[test]
fn entries_are_masked_and_set_up_again_under_fire() {
    each(2, Shape::DISK, |guest, pci| {
        guest.map(DEVICE, 0, VECTORS, |n| n as usize % 2);
        let vpci = assign(guest, pci);
        let device = Device::probe(guest.cpu(), &vpci);
        device.enable_msix(guest.cpu(), VECTORS, guest.message(0));
        under_fire(guest, pci, |cpu, taken| {
            // vCPU n has the entries that come to it, as Linux has a lock for each.
            if let Some(n) = taken.filter(|n| *n as usize % 2 == cpu.vcpu.id) {
                device.mask(cpu, n, true);
                device.write_message(cpu, n, guest.doorbell(), guest.data(0, n));
                device.mask(cpu, n, false);
            }
        });
    });
}

#[test]
fn the_whole_function_is_masked_under_fire() {
    each(2, Shape::CROWDED, |guest, pci| {
        guest.map(DEVICE, 0, VECTORS, |n| n as usize % 2);
        let vpci = assign(guest, pci);
        let device = Device::probe(guest.cpu(), &vpci);
        device.enable_msix(guest.cpu(), VECTORS, guest.message(0));
        under_fire(guest, pci, |cpu, _| {
            if cpu.vcpu.id == 1 {
                device.msix_control(cpu, 0, reg::MSIX_MASKALL);
                device.msix_control(cpu, reg::MSIX_MASKALL, 0);
            }
        });
    });
}

#[test]
fn vectors_are_bound_anew_under_fire() {
    each(2, Shape::MANY, |guest, pci| {
        guest.map(DEVICE, 0, VECTORS, |n| n as usize % 2);
        let vpci = assign(guest, pci);
        let device = Device::probe(guest.cpu(), &vpci);
        let (address, data) = guest.message(0)(0);
        device.enable_msi(guest.cpu(), 2, address, data);
        under_fire(guest, pci, |cpu, taken| {
            if cpu.vcpu.id == 1 {
                device.mask_msi(cpu, 1 << taken.unwrap_or(0));
                device.write_msi(cpu, address, data);
                device.mask_msi(cpu, 0);
            }
        });
    });
}

/// Each vector once, and then the function rests: a CPU takes interrupts until none is pending, and one that never rests would keep it
/// from its guest for ever. How long it takes is the host's to say, so it is waited for.
fn raise_all(guest: &Guest, pci: &Pci) {
    for n in 0..VECTORS {
        pci.function.raise(n);
    }
    guest.machine().settle();
}

/// Two vCPUs at the same registers at once, as no driver does: it is theirs to know what comes of it, and the function stays usable.
#[test]
fn two_vcpus_at_once_do_no_harm() {
    each(2, Shape::CROWDED, |guest, pci| {
        guest.map(DEVICE, 0, VECTORS, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(guest.cpu(), &vpci);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (guest.cpus.iter())
                .map(|cpu| {
                    let device = &device;
                    scope.spawn(move || {
                        let mut dice = fastrand::Rng::with_seed(cpu.vcpu.id as u64);
                        for _ in 0..200 {
                            let n = dice.u32(..VECTORS);
                            match dice.u32(..6) {
                                0 => device.msix_control(cpu, reg::MSIX_ENABLE, 0),
                                1 => device.msix_control(cpu, 0, reg::MSIX_ENABLE),
                                2 => device.enable_msi(cpu, 2, guest.doorbell(), guest.data(0, 0)),
                                3 => device.disable_msi(cpu),
                                4 => device.mask(cpu, n, dice.bool()),
                                _ => {
                                    let (address, data) = guest.message(0)(n);
                                    device.write_message(cpu, n, address, data);
                                }
                            }
                            guest.take(cpu);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    raise_all(guest, pci);
                }
            });
            for worker in workers {
                worker.join().expect("a vCPU");
            }
            stop.store(true, SeqCst);
        });
        guest.all_taken();
        device.disable_msi(guest.cpu());
        device.disable_msix(guest.cpu(), VECTORS);
        guest.all_taken();
        device.enable_msix(guest.cpu(), VECTORS, guest.message(0));
        guest.all_taken();
        for n in 0..VECTORS {
            assert_eq!(pci.function.raise(n), Raised::Sent);
            assert_eq!(guest.all_taken(), [n]);
        }
        assert_eq!(pci.take_strays(), 0);
    });
}

/// The function is taken from a domain that has its hands full with it, and given to another, again and again.
#[test]
fn a_function_changes_hands_under_fire() {
    each(1, Shape::DISK, |guest, pci| {
        guest.map(DEVICE, 0, VECTORS, |_| 0);
        let config = Config {
            id: 2,
            ..guest.kind.config(1)
        };
        let next = Domain::create(guest.machine(), config).expect("a domain");
        next.create_vcpu(1).expect("a vCPU");
        next.unpause();
        let other = Guest::boot(&next, guest.kind);
        other.map(DEVICE, 0, VECTORS, |_| 0);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    raise_all(guest, pci);
                }
            });
            for round in 0..30 {
                let all = [guest, &other];
                let (has, has_not) = (all[round % 2], all[1 - round % 2]);
                has.all_taken();
                has_not.all_taken();
                let vpci = assign(has, pci);
                let device = Device::probe(has.cpu(), &vpci);
                device.enable_msix(has.cpu(), VECTORS, has.message(0));
                let late = Instant::now() + Duration::from_secs(60);
                while has.all_taken().is_empty() {
                    assert!(Instant::now() < late, "nothing comes");
                }
                assert_eq!(has_not.all_taken(), [], "round {round}");
                drop(vpci);
                has.all_taken();
                assert_eq!(has.all_taken(), [], "round {round}");
            }
            stop.store(true, SeqCst);
        });
    });
}
