// SPDX-License-Identifier: GPL-2.0-only
//! A thread per vCPU. The outcome is exact whatever the order; time only bounds a hang.

use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// A ring of vCPUs: each passes on what it gets, and waits for it in `WFI`. None is lost, or the ring stops.
#[test]
fn calls_between_vcpus_wake_them() {
    const VCPUS: usize = 3;
    const ROUNDS: u64 = 300;
    each(Config::rvic(VCPUS), |domain, cpus| {
        let took: [AtomicU64; VCPUS] = Default::default();
        let stop = AtomicBool::new(false);
        cpus.iter().for_each(|cpu| cpu.unmask(1));
        signal(&cpus[0], &cpus[0], 1);
        std::thread::scope(|scope| {
            for mut cpu in cpus.drain(..) {
                let (took, stop) = (&took, &stop);
                scope.spawn(move || {
                    let (id, next) = (cpu.vcpu.id, (cpu.vcpu.id + 1) % VCPUS);
                    while !stop.load(SeqCst) {
                        while let Ok(intid) = cpu.call(rvic::ACKNOWLEDGE, [0; 3]) {
                            assert_eq!(intid, 1);
                            cpu.unmask(intid);
                            if took[id].fetch_add(1, SeqCst) + 1 == ROUNDS && next == 0 {
                                stop.store(true, SeqCst);
                                (0..VCPUS).for_each(|cpu| domain.machine.ring(cpu));
                            }
                            cpu.must(rvic::SIGNAL, [next as u64, 1, 0]);
                        }
                        assert!(cpu.wait(|| stop.load(SeqCst)), "vCPU {id} never wakes up");
                    }
                });
            }
        });
        assert_eq!(took[VCPUS - 1].load(SeqCst), ROUNDS);
    });
}

/// A device's input goes from vCPU to vCPU under its interrupts, each of which is waited for: MAP alone loses none.
#[test]
fn inputs_that_move_lose_nothing() {
    const EVENTS: u64 = 400;
    each(Config::rvic(3), |domain, cpus| {
        let mover = cpus.pop().expect("three of them");
        let (served, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let places = Mutex::new([0_u64; 2]);
        cpus.iter().for_each(|cpu| cpu.unmask(UNTRUSTED));
        mover.must(rvid::MAP, [5, 0, UNTRUSTED]);
        std::thread::scope(|scope| {
            for mut cpu in cpus.drain(..) {
                let (served, stop, places) = (&served, &stop, &places);
                scope.spawn(move || {
                    while !stop.load(SeqCst) {
                        while let Ok(intid) = cpu.call(rvic::ACKNOWLEDGE, [0; 3]) {
                            assert_eq!(intid, UNTRUSTED);
                            served.fetch_add(1, SeqCst);
                            places.lock().expect("a count")[cpu.vcpu.id] += 1;
                            cpu.unmask(intid);
                        }
                        assert!(cpu.wait(|| stop.load(SeqCst)), "an event is lost");
                    }
                });
            }
            let (stop, mover, served) = (&stop, &mover, &served);
            scope.spawn(move || {
                for to in (0..2).cycle() {
                    if stop.load(SeqCst) {
                        break;
                    }
                    mover.must(rvid::MAP, [5, to, UNTRUSTED]);
                }
            });
            let start = std::time::Instant::now();
            for _ in 0..EVENTS {
                let before = served.load(SeqCst);
                domain.machine.hypervisor(3, || domain.inject(32 + 5, true));
                while served.load(SeqCst) == before {
                    assert!(
                        start.elapsed() < 3 * vgic_harness::guests::guest::PATIENCE,
                        "lost"
                    );
                    std::thread::yield_now();
                }
            }
            stop.store(true, SeqCst);
            (0..3).for_each(|cpu| domain.machine.ring(cpu));
        });
        let places = places.into_inner().expect("a count");
        assert!(places.iter().sum::<u64>() >= EVENTS, "{places:?}");
    });
}
