// SPDX-License-Identifier: GPL-2.0-only
//! The virtual timer, whose interrupt is mapped to the host's PPI: what a guest sees of it by the architecture, and where the PPI's
//! active state is meanwhile, which the mock Xen compares with the word of the interrupt on each entry to a guest; and the physical
//! timer, which Xen emulates.

mod chance;
mod hammer;
mod moves;
mod physical;
mod registers;
mod ways;

use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::linux::{self, gicd};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;
use vgic_harness::xen::vcpu::Vcpu;
use vgic_harness::xen::vtimer::{CNT_ENABLE, CNT_MASK, CNT_PENDING};

const TIMER: u32 = Vcpu::VTIMER;

/// Runs `test` with a booted guest whose timers are enabled, with few and many list registers, each version of the GIC, a GICv2 on a GICv3,
/// and the host's PPI of the guest's number and of another.
fn each(vcpus: usize, test: impl Fn(&Domain, &mut Vec<GuestCpu>)) {
    for lrs in [1, 2, 4, 16] {
        for (profile, gic) in [
            (Profile::GICV2, 2),
            (Profile::GICV3, 3),
            (Profile::GICV3_GICV, 2),
        ] {
            for ppi in [27, 26] {
                let profile = Profile { lrs, ..profile }.with_vtimer(ppi).with_cpus(4);
                let machine = Machine::power_on(profile);
                let domain =
                    Domain::with_vcpus(&machine, Config::guest(gic, vcpus)).expect("a domain");
                let mut cpus = linux::boot(&domain);
                for cpu in &cpus {
                    linux::enable(cpu, TIMER);
                }
                test(&domain, &mut cpus);
                let reports = machine.take_reports();
                assert!(
                    reports.is_empty(),
                    "GICv{gic}, {lrs} list registers: {reports:#?}"
                );
            }
        }
    }
}

fn expire(cpu: &GuestCpu) {
    cpu.vcpu.expire_vtimer(cpu.machine());
}

/// Takes what is signalled, which must be this.
#[track_caller]
fn takes(cpu: &GuestCpu, intid: u32) {
    assert_eq!(cpu.take(|_| ()), Some(intid));
}

/// The timer's interrupt, and its handler moves the comparator.
#[track_caller]
fn ticks(cpu: &GuestCpu) {
    let took = cpu.take(|_| cpu.vcpu.program_vtimer());
    assert_eq!(took, Some(TIMER));
    assert!(!cpu.signalled());
}

/// Is it shown pending, active?
fn shown(cpu: &GuestCpu) -> (bool, bool) {
    let is = |register| linux::bit(cpu, register, TIMER);
    (is(gicd::ISPENDR), is(gicd::ISACTIVER))
}

fn exits(cpu: &GuestCpu) -> u64 {
    let p = cpu.machine().pcpu(cpu.cpu());
    p.counters.exits.load(std::sync::atomic::Ordering::Relaxed)
}

/// Is the PPI of the CPU that it was on last active?
fn is_held(cpu: &GuestCpu) -> bool {
    cpu.machine().pcpu(cpu.cpu()).is_vtimer_active()
}

/// An edge from outside.
fn inject(domain: &Domain, intid: u32) {
    let spare = domain.machine.pcpus().len() - 1;
    domain
        .machine
        .hypervisor(spare, || domain.inject(intid, true));
}

/// So many edges of this priority become pending on the first vCPU.
fn crowd(domain: &Domain, cpu: &GuestCpu, intids: std::ops::Range<u32>, priority: u8) {
    for intid in intids {
        linux::set_trigger(cpu, intid, true);
        linux::set_priority(cpu, intid, priority);
        linux::enable(cpu, intid);
        inject(domain, intid);
    }
}
