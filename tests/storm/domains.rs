// SPDX-License-Identifier: GPL-2.0-only
//! Several domains: each has its bucket, and a storm of one leaves the others what is theirs.

use super::*;

/// A guest beside Dom0, whose only vCPU runs on CPU 0, where Dom0's LPIs come to.
fn neighbour(machine: &Arc<Machine>) -> (Domain, GuestCpu) {
    let config = Config {
        id: 7,
        ..Config::guest(3, 1).with_storms()
    };
    let domain = Domain::with_vcpus(machine, config).expect("a domain");
    let cpu = linux::boot(&domain).remove(0);
    (domain, cpu)
}

/// A device of Dom0's that sends again as soon as its message is taken, at the neighbour's CPU. How much has that guest got
/// done when the CPU has taken so many of them, or when it has done enough?
fn progress(limit: Option<(u32, u32)>) -> (u64, Vec<String>) {
    boot!(1, dom0, cpus, its);
    let mut cpus = cpus;
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let (rate, burst) = limit.unwrap_or((u32::MAX, 0));
    dom0.set_storm(rate, burst);
    dom0.machine.gic.set_invlpir(true);
    cpus[0].migrate(2);
    let (_domu, cpu) = neighbour(&dom0.machine);
    let lpi = physical(&dom0, 0);
    let before = interrupts(&dom0.machine);
    dom0.machine.gic.set_restless(lpi, 12_000);
    let mut done = 0;
    while done < 100 && interrupts(&dom0.machine) - before < 5000 {
        // Of 1 ms each.
        cpu.step();
        dom0.machine.pass(Duration::from_millis(1));
        if interrupts(&dom0.machine) - before < 5000 {
            done += 1;
        }
    }
    dom0.machine.gic.rest(lpi);
    pass(&dom0, HELD);
    pass(&dom0, HELD);
    assert_eq!(taken(&cpus), [[LPI]], "the last one");
    (done, dom0.machine.take_reports())
}

#[test]
fn storm_leaves_another_domain_its_cpu() {
    let (done, reports) = progress(Some((RATE, BURST)));
    assert_eq!(done, 100);
    assert!(reports.is_empty(), "{reports:#?}");
    // Without a limit the CPU does not come to it at all.
    let (done, reports) = progress(None);
    assert_eq!(done, 0);
    assert!(reports[0].contains("never gets out"), "{reports:#?}");
}

#[test]
fn storm_of_one_domain_uses_up_no_other_domains_tokens() {
    boot!(1, dom0, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let config = Config {
        id: 7,
        ..Config::guest(3, 1).with_storms()
    };
    let domu = Domain::create(&dom0.machine, config).expect("a domain");
    domu.set_storm(RATE, BURST);
    domu.create_vcpu(1).expect("a vCPU");
    let others = linux::boot(&domu);
    linux::set_trigger(&others[0], 41, true);
    domu.route(41, 41, false).expect("a route");
    linux::enable(&others[0], 41);
    storm(&dom0, &cpus, 0);
    for n in 0..=BURST {
        send(&dom0, 0);
        dom0.machine.gic.pulse(41);
        assert_eq!(taken(&others), [[41]], "{n}");
    }
    // Both are held, and each is let go.
    dom0.machine.gic.pulse(41);
    assert_eq!(taken(&others), [[0u32; 0]]);
    assert_eq!(dumped(&dom0), Some((1, 1, 0)));
    assert_eq!(dumped(&domu), Some((1, 0, 1)));
    pass(&dom0, HELD);
    assert_eq!(taken(&others), [[41]]);
    assert_eq!(taken(&cpus), [[LPI]]);
}

/// A slow device of the same domain: what it says is held for a while at most.
#[test]
fn storm_of_one_device_leaves_others_of_the_domain_what_comes_in() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 2, |_| 0);
    storm(&domain, &cpus, 0);
    for n in 0..5 {
        domain.machine.pass(Duration::from_millis(1));
        send(&domain, 0);
        send(&domain, 1);
        assert_eq!(taken(&cpus), [[LPI + 1]], "{n}");
        assert!(!is_held(&domain, 1));
    }
}

/// Neither memory nor a line on the console, let alone a timer.
#[test]
fn storm_is_nothing_for_a_domain_without_host_interrupts() {
    for gic in [2, 3] {
        let profile = if gic == 2 {
            Profile::GICV2
        } else {
            Profile::GICV3
        };
        let machine = Machine::power_on(profile.with_cpus(2));
        let domain =
            Domain::with_vcpus(&machine, Config::guest(gic, 1).with_storms()).expect("a domain");
        domain.set_storm(1, 1);
        let cpus = linux::boot(&domain);
        linux::enable(&cpus[0], 50);
        linux::set_trigger(&cpus[0], 50, true);
        for _ in 0..1000 {
            cpus[0].hypercall(|| domain.inject(50, true));
            assert_eq!(cpus[0].take(|_| ()), Some(50), "no tokens for it");
        }
        assert_eq!(dumped(&domain), None);
    }
}
