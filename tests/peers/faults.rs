// SPDX-License-Identifier: GPL-2.0-only
//! The faults of Xen's C vGICs that the mock knows (`xen::flaws`), each on a machine that does not forgive it.

use crate::rerun;
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

fn boot(profile: Profile, gic: u8) -> (Domain, Vec<GuestCpu>) {
    let machine = Machine::power_on(profile);
    let domain = Domain::with_vcpus(&machine, Config::dom0(gic, 2)).unwrap();
    let cpus = linux::boot(&domain);
    (domain, cpus)
}

/// An edge-triggered interrupt of vCPU 0.
fn set_up(cpus: &[GuestCpu], intid: u32) {
    linux::set_trigger(&cpus[0], intid, true);
    linux::route(&cpus[0], intid, 0);
    linux::enable(&cpus[0], intid);
}

#[test]
fn new_forgets_the_source_of_an_active_sgi() {
    rerun("new", "faults::forgotten_source");
}

#[test]
#[ignore = "run by new_forgets_the_source_of_an_active_sgi"]
fn forgotten_source() {
    let handled_twice = |profile: Profile| {
        let (_domain, cpus) = boot(profile, 2);
        let twice = [(); 2].map(|()| {
            linux::send_sgi(&cpus[1], 0, 3);
            cpus[0].take(|_| cpus[0].hypercall(|| ()))
        });
        twice == [Some(1 << 10 | 3); 2]
    };
    assert!(!handled_twice(Profile::GICV2));
    assert!(handled_twice(Profile::GICV2.forgiving()));
}

#[test]
fn new_wakes_nobody_when_it_moves_an_interrupt() {
    rerun("new", "faults::moved_in_silence");
}

#[test]
#[ignore = "run by new_wakes_nobody_when_it_moves_an_interrupt"]
fn moved_in_silence() {
    let (domain, mut cpus) = boot(Profile::GICV2, 2);
    set_up(&cpus, 40);
    domain.machine.hypervisor(2, || domain.inject(40, true));
    assert!(!cpus[1].wfi());
    let taken = cpus[0].take(|_| {
        linux::route(&cpus[0], 40, 1);
        domain.machine.hypervisor(2, || domain.inject(40, true));
    });
    assert_eq!(taken, Some(40));
    cpus[0].hypercall(|| ());
    assert!(!cpus[1].try_wake());
    cpus[1].unpreempt();
    assert_eq!(cpus[1].take(|_| ()), Some(40), "it was there all the time");
}

#[test]
fn old_loses_a_physical_interrupt_that_is_moved() {
    rerun("old", "faults::moved_and_lost");
}

#[test]
#[ignore = "run by old_loses_a_physical_interrupt_that_is_moved"]
fn moved_and_lost() {
    for profile in [Profile::GICV2, Profile::GICV3] {
        let machine = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, Config::dom0(profile.gic, 2)).unwrap();
        domain.route(42, 42, false).unwrap();
        let mut cpus = linux::boot(&domain);
        set_up(&cpus, 42);
        cpus[0].traps_win = true;
        machine.gic.pulse(42);
        cpus[0].step();
        assert_eq!(cpus[0].take(|_| linux::route(&cpus[0], 42, 1)), Some(42));
        // It has ended; now it comes again, at once with a trap.
        machine.gic.pulse(42);
        cpus[0].hypercall(|| ());
        machine.quiesce(1);
        assert!(machine.gic.snapshot(42).unwrap().active);
        assert_eq!((cpus[0].take(|_| ()), cpus[1].take(|_| ())), (None, None));
    }
}

#[test]
fn old_and_new_keep_the_maintenance_interrupt_up() {
    rerun("old", "faults::stuck_maintenance");
    rerun("new", "faults::stuck_maintenance");
}

#[test]
#[ignore = "run by old_and_new_keep_the_maintenance_interrupt_up"]
fn stuck_maintenance() {
    let reports = |profile: Profile| {
        let (domain, mut cpus) = boot(profile, 2);
        let more = 40..=40 + profile.lrs as u32;
        more.clone().for_each(|intid| set_up(&cpus, intid));
        domain
            .machine
            .hypervisor(2, || more.for_each(|intid| domain.inject(intid, true)));
        cpus[0].step();
        cpus[0].traps_win = true;
        for _ in 0..profile.lrs - 1 {
            let iar = cpus[0].ack();
            cpus[0].eoi(iar);
        }
        cpus[0].hypercall(|| ());
        domain.machine.take_reports().join("\n")
    };
    let strict = reports(Profile::GICV2);
    assert!(
        strict.contains("never gets out of gic_interrupt"),
        "{strict}"
    );
    assert_eq!(reports(Profile::GICV2.forgiving()), "");
}
