// SPDX-License-Identifier: GPL-2.0-only
//! Resets, while devices and device models go on from other CPUs: on threads of their own. What comes after a reset arrives, once, and
//! no list is broken by what came while it was going on. The outcome is exact whatever the order.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use vgic_harness::guests::linux::gicr;

const ROUNDS: u32 = 60;
const DEVICE: u32 = 7;
/// SPIs that are wired, levels, and others that are injected: edges.
const WIRED: [u32; 3] = [40, 41, 43];
const EDGES: std::ops::Range<u32> = 64..72;
const LPIS: u32 = 8;
const SGI: u32 = 9;

/// Raises and sends whatever there is, until it is told to stop. How much that was.
fn storm(domain: &Domain, cpu: usize, has_its: bool, stop: &AtomicBool, count: &AtomicU64) {
    let machine = &domain.machine;
    let mut n = 0_u32;
    while !stop.load(Ordering::SeqCst) {
        n = n.wrapping_add(1);
        let spi = EDGES.start + n % EDGES.len() as u32;
        machine.hypervisor(cpu, || domain.inject(spi, true));
        machine.hypervisor(cpu, || domain.inject(spi, false));
        let wired = WIRED[n as usize % WIRED.len()] as u16;
        machine.gic.set_line(wired, n & 1 == 0);
        let v = domain.vcpu(n as usize % 2);
        machine.hypervisor(cpu, || domain.inject_private(&v, SGI, true));
        if has_its {
            // Refused where the ITS is disabled, as it is after a reset.
            let _ = domain.message(cpu, 0, DEVICE, n % LPIS);
        }
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// The guest comes up and enables all there is.
fn come_up(domain: &Domain, has_its: bool) -> Vec<GuestCpu> {
    let cpus = linux::boot(domain);
    for spi in EDGES {
        linux::set_trigger(&cpus[0], spi, true);
    }
    for (n, spi) in EDGES.chain(WIRED).enumerate() {
        linux::route(&cpus[0], spi, n % 2);
        linux::enable(&cpus[0], spi);
    }
    if has_its {
        for cpu in &cpus {
            its::set_lpi_tables(cpu);
            cpu.gicr_write(gicr::CTLR, 1);
        }
        let its = Its::probe(domain, &cpus[0], 0);
        its.map_device(&cpus[0], DEVICE, FIRST_LPI, LPIS, |event| event as u16 % 2);
    }
    cpus
}

fn settle(machine: &Machine) {
    (0..machine.pcpus().len()).for_each(|n| machine.quiesce(n));
}

/// Each is sent once, with nobody else about: each comes once. A level comes until its line falls.
fn assert_all_arrive(domain: &Domain, cpus: &[GuestCpu], has_its: bool) {
    let machine = &domain.machine;
    for line in WIRED {
        machine.gic.set_line(line as u16, false);
    }
    settle(machine);
    cpus.iter().for_each(|cpu| drop(cpu.take_all()));
    let mut expected: Vec<u32> = EDGES.collect();
    for spi in EDGES {
        machine.hypervisor(3, || domain.inject(spi, true));
        machine.hypervisor(3, || domain.inject(spi, false));
    }
    if has_its {
        for event in 0..LPIS {
            assert_eq!(domain.message(3, 0, DEVICE, event), Ok(()));
            expected.push(FIRST_LPI + event);
        }
    }
    for v in 0..2 {
        let v = domain.vcpu(v);
        machine.hypervisor(3, || domain.inject_private(&v, SGI, true));
        expected.push(SGI);
    }
    settle(machine);
    let mut taken: Vec<u32> = cpus.iter().flat_map(GuestCpu::take_all).collect();
    taken.iter_mut().for_each(|iar| *iar &= 0xffff);
    taken.sort_unstable();
    expected.sort_unstable();
    assert_eq!(taken, expected);
}

fn reset_against_injection(profile: Profile, config: Config) {
    let has_its = config.msi && config.gic == 3;
    // Two for the vCPUs, two for devices, one for the toolstack.
    let profile = profile.with_cpus(5);
    let image = {
        let machine = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        for spi in WIRED {
            assert_eq!(domain.route(spi, spi, true), Ok(()));
        }
        new_image(&domain)
    };
    let machine = Machine::power_on(profile);
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    for spi in WIRED {
        assert_eq!(domain.route(spi, spi, true), Ok(()));
    }
    domain.unpause();
    if has_its {
        domain.add_memory(its::MEMORY, 0x200_0000);
    }
    for round in 0..ROUNDS {
        let cpus = come_up(&domain, has_its);
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for cpu in [2, 3] {
                let (domain, stop, count) = (&domain, &stop, &count);
                scope.spawn(move || storm(domain, cpu, has_its, stop, count));
            }
            let some = |more| {
                let until = count.load(Ordering::SeqCst) + more;
                while count.load(Ordering::SeqCst) < until {
                    std::thread::yield_now();
                }
            };
            // The guest takes some, and is stopped anywhere.
            some(5 + u64::from(round) % 20);
            cpus[0].step();
            drop(cpus);
            some(u64::from(round) % 7);
            domain.reset(None).expect("a reset");
            some(3);
            stop.store(true, Ordering::SeqCst);
        });
        domain.restart_vcpus();
        // It goes on as it is: whatever has come since the reset is there, and nothing is broken.
        let cpus = come_up(&domain, has_its);
        assert_all_arrive(&domain, &cpus, has_its);
        drop(cpus);
        // With nobody about, it is a new one.
        for v in 0..2 {
            let v = domain.vcpu(v);
            machine.hypervisor(3, || domain.inject_private(&v, SGI, false));
        }
        domain.reset(None).expect("a reset");
        assert_new(&domain, &image, &format!("{}, round {round}", profile.name));
        domain.restart_vcpus();
    }
    drop(domain);
    assert_eq!(machine.take_reports(), [""; 0], "{}", profile.name);
}

#[test]
fn reset_against_injection_into_a_gicv2() {
    reset_against_injection(Profile::GICV2, Config::guest(2, 2));
}

#[test]
fn reset_against_injection_into_a_gicv3_with_messages() {
    reset_against_injection(Profile::GICV3, Config::guest(3, 2).with_msi());
}
