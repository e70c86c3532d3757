// SPDX-License-Identifier: GPL-2.0-only
//! Another vCPU writes, at the same time, whatever there is about the timer's interrupt.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use vgic_harness::guests::guest::Size;

const REGISTERS: [u64; 6] = [0x1_0300, 0x1_0380, 0x1_0200, 0x1_0280, 0x1_0180, 0x1_0100];

#[test]
fn timer_hammered_by_another() {
    let secs: u64 = std::env::var("SECS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    for lrs in [1, 4] {
        let profile = Profile {
            lrs,
            ..Profile::GICV3
        }
        .with_vtimer(26)
        .with_cpus(4);
        let machine = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, Config::guest(3, 2)).expect("a domain");
        let mut cpus = linux::boot(&domain);
        for cpu in &cpus {
            linux::enable(cpu, TIMER);
        }
        let mut two = cpus.split_off(1);
        let (owner, writer) = (&mut cpus[0], &mut two[0]);
        let until = std::time::Instant::now() + std::time::Duration::from_secs(secs);
        let mut seed = 88172645463325252_u64;
        let mut next = move |n: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 11) % n
        };
        let mut rounds = 0;
        while std::time::Instant::now() < until {
            rounds += 1;
            let stop = AtomicBool::new(false);
            let choice = next(64);
            std::thread::scope(|scope| {
                let (stop, writer) = (&stop, &*writer);
                let base = writer.gicr_of(0).expect("a redistributor");
                scope.spawn(move || {
                    let mut n = choice;
                    while !stop.load(Ordering::Relaxed) {
                        n = n
                            .wrapping_mul(6364136223846793005)
                            .wrapping_add(1442695040888963407);
                        let register = REGISTERS[(n >> 33) as usize % 6];
                        let _ = writer.store(base + register, Size::Word, 1 << TIMER);
                        let _ = writer.load(base + 0x1_0200, Size::Word);
                    }
                });
                for _ in 0..60 {
                    expire(owner);
                    owner.step();
                    if owner.signalled() {
                        let n = owner.ack();
                        if next(2) == 0 {
                            owner.vcpu.program_vtimer();
                        }
                        if next(4) == 0 {
                            owner.preempt();
                            owner.unpreempt();
                        }
                        if n < 1020 {
                            owner.eoi(n);
                        }
                    }
                    match next(5) {
                        0 => owner.vcpu.program_vtimer(),
                        1 => {
                            owner.preempt();
                            owner.unpreempt();
                        }
                        2 => {
                            if !owner.wfi() {
                                for _ in 0..3 {
                                    if owner.try_wake() {
                                        break;
                                    }
                                }
                                owner.vcpu.set_awake();
                                assert!(owner.try_wake());
                            }
                        }
                        3 => owner.migrate([0, 2][next(2) as usize]),
                        _ => {}
                    }
                }
                stop.store(true, Ordering::Relaxed);
            });
            machine.settle();
            for register in [0x1_0380, 0x1_0100] {
                let base = writer.gicr_of(0).expect("a redistributor");
                let _ = writer.store(base + register, Size::Word, 1 << TIMER);
            }
            owner.vcpu.program_vtimer();
            linux::poke(owner, gicd::ICPENDR, TIMER);
            owner.hypercall(|| ());
            assert!(!owner.signalled(), "round {rounds}");
            assert!(!is_held(owner), "round {rounds}: held");
            // It sleeps, and is woken.
            if !owner.wfi() {
                assert!(!owner.try_wake());
                expire(owner);
                assert!(owner.try_wake(), "round {rounds}: it sleeps for ever");
            } else {
                expire(owner);
            }
            ticks(owner);
        }
        println!("{rounds} rounds");
        let reports = machine.take_reports();
        assert!(reports.is_empty(), "{reports:#?}");
    }
}
