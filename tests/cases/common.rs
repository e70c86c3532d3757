// SPDX-License-Identifier: GPL-2.0-only
//! What the cases have in common.

use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

/// Runs `test` with a booted Dom0 on each kind of machine, also with a GICv2 where a GICv3 offers a GICV frame.
/// Nothing may be left signalled at the end.
pub fn each(vcpus: usize, test: impl Fn(&Domain, &[GuestCpu])) {
    let native = Profile::ALL.map(|profile| (profile, profile.gic));
    for (profile, gic) in native.into_iter().chain([(Profile::GICV3_GICV, 2)]) {
        on(profile, Config::dom0(gic, vcpus), &test);
    }
}

/// The same on one machine.
pub fn on(profile: Profile, config: Config, test: impl Fn(&Domain, &[GuestCpu])) {
    let machine = Machine::power_on(profile);
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    let cpus = linux::boot(&domain);
    // A failing test says which machine it was.
    println!("{}, GICv{}", profile.name, config.gic);
    test(&domain, &cpus);
    for cpu in &cpus {
        let id = cpu.vcpu.id;
        assert!(
            !cpu.signalled(),
            "{}: left on vCPU {id}\n{}",
            profile.name,
            domain.dump()
        );
    }
}

/// Injects from a physical CPU without a guest.
pub fn inject(domain: &Domain, intid: u32, level: bool) {
    let spare = domain.machine.pcpus().len() - 1;
    domain
        .machine
        .hypervisor(spare, || domain.inject(intid, level));
}

/// Makes an interrupt edge-triggered and enables it.
pub fn edge(cpu: &GuestCpu, intid: u32) {
    linux::set_trigger(cpu, intid, true);
    linux::enable(cpu, intid);
}

/// Takes everything that is signalled: what IAR read each time. Bounded, so that a storm fails and does not hang.
pub fn drain_iar(cpu: &GuestCpu) -> Vec<u32> {
    std::iter::from_fn(|| cpu.take(|_| {})).take(2000).collect()
}

/// The INTIDs of that, sorted.
pub fn drain(cpu: &GuestCpu) -> Vec<u32> {
    let mut all: Vec<u32> = drain_iar(cpu)
        .iter()
        .map(|&iar| linux::intid(cpu, iar))
        .collect();
    all.sort_unstable();
    all
}
