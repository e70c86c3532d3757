// SPDX-License-Identifier: GPL-2.0-only
//! Another vCPU writes, at the same time, whatever there is about the timer's interrupt.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use vgic_harness::guests::guest::Size;

const REGISTERS: [u64; 6] = [0x1_0300, 0x1_0380, 0x1_0200, 0x1_0280, 0x1_0180, 0x1_0100];

#[test]
fn timer_hammered_by_another() {
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
        let mut dice = fastrand::Rng::with_seed(1);
        for rounds in 0..100 {
            let stop = AtomicBool::new(false);
            let choice = dice.u64(..);
            std::thread::scope(|scope| {
                let (stop, writer) = (&stop, &*writer);
                let base = writer.gicr_of(0).expect("a redistributor");
                scope.spawn(move || {
                    let mut dice = fastrand::Rng::with_seed(choice);
                    while !stop.load(Ordering::Relaxed) {
                        let register = REGISTERS[dice.usize(..REGISTERS.len())];
                        let _ = writer.store(base + register, Size::Word, 1 << TIMER);
                        let _ = writer.load(base + 0x1_0200, Size::Word);
                    }
                });
                for _ in 0..60 {
                    expire(owner);
                    owner.step();
                    if owner.signalled() {
                        let n = owner.ack();
                        if dice.u64(..2) == 0 {
                            owner.vcpu.program_vtimer();
                        }
                        if dice.u64(..4) == 0 {
                            owner.preempt();
                            owner.unpreempt();
                        }
                        if n < 1020 {
                            owner.eoi(n);
                        }
                    }
                    match dice.u64(..5) {
                        0 => owner.vcpu.program_vtimer(),
                        1 => {
                            owner.preempt();
                            owner.unpreempt();
                        }
                        2 if !owner.wfi() => {
                            for _ in 0..3 {
                                if owner.try_wake() {
                                    break;
                                }
                            }
                            owner.vcpu.set_awake();
                            assert!(owner.try_wake());
                        }
                        3 => owner.migrate([0, 2][dice.usize(..2)]),
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
        let reports = machine.take_reports();
        assert!(reports.is_empty(), "{reports:#?}");
    }
}
