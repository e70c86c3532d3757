// SPDX-License-Identifier: GPL-2.0-only
//! Domains with an rVIC, in the mock Xen: the guest's calls, and `HCR_EL2.VI`. On each entry to a guest the mock compares what is in
//! the register with what Xen has of it, and sees that there is no virtual CPU interface beside it.

mod calls;
mod chance;
mod inputs;
mod life;
mod line;
mod save;
mod switches;
mod threads;
mod timers;
mod wait;

use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::guest::hvc::{rvic, rvid};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;
use vgic_harness::xen::vcpu::VI;

/// The least number of an untrusted interrupt.
const UNTRUSTED: u64 = 32;

/// Runs `test` with a guest whose rVICs are enabled and mask everything, on each kind of host.
fn each(config: Config, test: impl Fn(&Domain, &mut Vec<GuestCpu>)) {
    for profile in [Profile::GICV2, Profile::GICV3] {
        let machine = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        domain.unpause();
        let mut cpus = start(&domain);
        test(&domain, &mut cpus);
        drop(cpus);
        let reports = machine.take_reports();
        assert!(reports.is_empty(), "{}: {reports:#?}", profile.name);
    }
}

/// Its vCPUs, each on its CPU and with its rVIC enabled.
fn start(domain: &Domain) -> Vec<GuestCpu> {
    let cpus: Vec<_> = (0..domain.config.vcpus)
        .map(|id| GuestCpu::start(domain, id))
        .collect();
    cpus.iter().for_each(GuestCpu::enable_rvic);
    cpus
}

/// Its virtual interrupt, as its guest sees it: the same as Xen has it.
#[track_caller]
fn line(cpu: &GuestCpu) -> bool {
    let on = cpu.isr();
    assert_eq!(cpu.vcpu.hcr() & VI != 0, on, "v->arch.hcr_el2");
    on
}

fn affinity(cpu: &GuestCpu) -> u64 {
    GuestCpu::affinity(cpu.vcpu.id)
}

/// `from` makes `intid` of `to` pending.
#[track_caller]
fn signal(from: &GuestCpu, to: &GuestCpu, intid: u64) {
    from.must(rvic::SIGNAL, [affinity(to), intid, 0]);
}

/// An input goes to an untrusted interrupt of `to`, which takes it.
#[track_caller]
fn map(to: &GuestCpu, input: u64, intid: u64) {
    to.must(rvid::MAP, [input, affinity(to), intid]);
    to.unmask(intid);
}

/// Takes the one interrupt there is, and leaves it masked.
#[track_caller]
fn takes(cpu: &GuestCpu, intid: u64) {
    assert!(line(cpu), "nothing is signalled");
    assert_eq!(cpu.call(rvic::ACKNOWLEDGE, [0; 3]), Ok(intid));
    assert!(!line(cpu), "there is more");
}
