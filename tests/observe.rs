// SPDX-License-Identifier: GPL-2.0-only
//! What a person at Xen's console sees: counters in the dump, and messages that a guest cannot flood the log with.

use vgic_harness::guests::guest::{GuestCpu, Size};
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

fn booted(profile: Profile, id: u16) -> (Domain, Vec<GuestCpu>) {
    let machine = Machine::power_on(profile);
    let config = Config {
        id,
        ..Config::guest(profile.gic, 2)
    };
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    let cpus = linux::boot(&domain);
    machine.take_console();
    (domain, cpus)
}

/// The number before `what` in the line about the whole domain.
fn count(domain: &Domain, what: &str) -> u64 {
    let dump = domain.dump();
    let line = dump.lines().find(|line| line.contains("injections"));
    let (before, _) = line.and_then(|line| line.split_once(what)).expect(what);
    let number = before.trim_end().rsplit(' ').next().unwrap_or_default();
    number.parse().expect(what)
}

#[test]
fn a_million_bad_accesses_are_counted_and_a_few_are_told() {
    let (domain, cpus) = booted(Profile::GICV3, 7);
    for n in 0..500_000 {
        let cpu = &cpus[n % 2];
        assert_eq!(cpu.load(cpu.gicd() + 0x50, Size::Word), Ok(0));
        assert_eq!(cpu.store(cpu.gicd() + 0x104, Size::Double, 1), Ok(()));
    }
    let console = domain.machine.take_console();
    let about_it = |line: &&str| line.contains("d7v");
    let told: Vec<&str> = console.lines().filter(about_it).collect();
    assert_eq!(told.len(), 10, "{console}");
    let read = "d7v0: a read of 32 bits at offset 0x50 of the frame of GICD_CTLR";
    assert!(told[0].contains(read), "{console}");
    let write = "d7v0: a write of 64 bits, 0x1, at offset 0x104 of the frame";
    assert!(told[1].contains(write), "{console}");
    assert_eq!(console.matches("not shown").count(), 1, "{console}");
    assert_eq!(count(&domain, "accesses without"), 1_000_000);
}

#[test]
fn a_boot_makes_none() {
    for profile in [Profile::GICV2, Profile::GICV3, Profile::GICV3_ESPI] {
        let (domain, _cpus) = booted(profile, 1);
        assert_eq!(count(&domain, "accesses without"), 0);
    }
}

#[test]
fn injections_kicks_and_exits_are_counted() {
    for profile in [Profile::GICV2, Profile::GICV3] {
        let (domain, cpus) = booted(profile, 1);
        let names = ["injections", "kicks", "exits with changes"];
        let now = || names.map(|name| count(&domain, name));
        linux::set_trigger(&cpus[0], 40, true);
        linux::enable(&cpus[0], 40);
        let before = now();
        for _ in 0..5 {
            domain.machine.hypervisor(3, || domain.inject(40, true));
            assert_eq!(cpus[0].take(|_| {}), Some(40));
            cpus[0].step();
            cpus[0].hypercall(|| {});
        }
        let after = now();
        // Acknowledged and ended between two exits.
        assert_eq!([0, 1, 2].map(|n| after[n] - before[n]), [5; 3]);
    }
}
