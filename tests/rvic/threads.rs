// SPDX-License-Identifier: GPL-2.0-only
//! A thread per vCPU. The outcome is exact whatever the order; time only bounds a hang.

use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use vgic_harness::guests::guest::hvc::DOORBELL;
use vgic_harness::xen::domain::Errno;

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

/// Lines without a source that could be asked.
const PRIVATE: [u32; 2] = [20, 21];
/// Inputs that are levels.
const LEVELS: u64 = 8;

/// What devices do on a CPU until they are told to stop: each input of theirs, each message and each private line goes up and down.
fn storm(domain: &Domain, cpu: usize, stop: &AtomicBool, count: &AtomicU64) {
    let first = u64::from(domain.nr_spis() - 32);
    let own = cpu % 2;
    let v = domain.vcpu(own);
    for n in 0.. {
        let input = (n % LEVELS) & !1 | own as u64;
        for level in [true, false, true] {
            (domain.machine).hypervisor(cpu, || domain.inject(32 + input as u32, level));
            domain.machine.hypervisor(cpu, || {
                domain.inject_private(&v, PRIVATE[n as usize % 2], level)
            });
        }
        let sent = domain.inject_msi(cpu, DOORBELL, 0, 0, (first + input) as u32);
        // Between the reset and the restore it goes nowhere.
        assert!(sent.is_ok() || sent == Err(Errno(-22)), "{sent:?}");
        count.fetch_add(1, SeqCst);
        if stop.load(SeqCst) {
            break;
        }
    }
}

/// The guest takes all there is, and its devices are quiet once they were served. What that was, in order of vCPUs.
fn serve(domain: &Domain, cpus: &[GuestCpu]) -> Vec<(usize, u64)> {
    let mut taken = Vec::new();
    loop {
        let before = taken.len();
        for cpu in cpus {
            for intid in cpu.acknowledge_all() {
                taken.push((cpu.vcpu.id, intid));
                let machine = &domain.machine;
                if intid < UNTRUSTED {
                    machine.hypervisor(3, || domain.inject_private(&cpu.vcpu, intid as u32, false));
                    cpu.must(rvic::RESAMPLE, [intid, 0, 0]);
                } else if intid < UNTRUSTED + LEVELS {
                    let input = intid - UNTRUSTED;
                    machine.hypervisor(3, || domain.inject(32 + input as u32, false));
                    cpu.must(rvid::RESAMPLE, [input, 0, 0]);
                }
                cpu.unmask(intid);
            }
            assert!(!line(cpu));
        }
        if taken.len() == before {
            taken.sort_unstable();
            return taken;
        }
    }
}

/// The toolstack saves a domain, and restores it where it is, while its devices go on: no line that is high is forgotten, and
/// afterwards each event comes once.
#[test]
fn what_comes_during_save_and_restore_is_not_lost() {
    const ROUNDS: u64 = 60;
    let machine = Machine::power_on(Profile::GICV3.with_cpus(5));
    let config = Config::rvic(2).with_levels().with_msi();
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    domain.unpause();
    let mut cpus = start(&domain);
    let first = u64::from(domain.nr_spis() - 32);
    let mut all = Vec::new();
    for input in 0..LEVELS {
        let to = &cpus[input as usize % 2];
        for input in [input, first + input] {
            map(to, input, UNTRUSTED + input);
            all.push((to.vcpu.id, UNTRUSTED + input));
        }
    }
    for cpu in &cpus {
        for intid in PRIVATE {
            cpu.unmask(intid.into());
            all.push((cpu.vcpu.id, intid.into()));
        }
    }
    all.sort_unstable();
    // Each device raises its line, or says once more that it is high.
    let raise = || {
        for n in 0..LEVELS as u32 {
            machine.hypervisor(3, || domain.inject(32 + n, true));
        }
        for id in 0..2 {
            let v = domain.vcpu(id);
            for intid in PRIVATE {
                machine.hypervisor(3, || domain.inject_private(&v, intid, true));
            }
        }
    };
    let is_level = |taken: &&(usize, u64)| taken.1 < UNTRUSTED + LEVELS;
    for round in 0..ROUNDS {
        cpus.iter_mut().for_each(GuestCpu::preempt);
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for cpu in [2, 3] {
                let (domain, stop, count) = (&domain, &stop, &count);
                scope.spawn(move || storm(domain, cpu, stop, count));
            }
            let some = |more| {
                let until = count.load(SeqCst) + more;
                while count.load(SeqCst) < until {
                    std::thread::yield_now();
                }
            };
            some(1 + round % 5);
            let stream = domain.save().expect("a stream");
            some(round % 7);
            assert_eq!(domain.restore_again(&stream), Ok(()));
            some(round % 3);
            stop.store(true, SeqCst);
        });
        cpus.iter_mut().for_each(GuestCpu::unpreempt);
        raise();
        let mut taken = serve(&domain, &cpus);
        taken.dedup();
        let missing = all.iter().filter(is_level).find(|one| !taken.contains(one));
        assert_eq!(missing, None, "round {round}");
        // Now there is nobody else.
        raise();
        for n in 0..LEVELS {
            let sent = domain.inject_msi(3, DOORBELL, 0, 0, (first + n) as u32);
            assert_eq!(sent, Ok(()));
        }
        assert_eq!(serve(&domain, &cpus), all, "round {round}");
    }
    drop(cpus);
    assert_eq!(machine.take_reports(), [""; 0]);
}
