// SPDX-License-Identifier: GPL-2.0-only
//! As many vCPUs as a domain can have: 128, in eight clusters of sixteen.

use vgic_harness::guests::guest::{GuestCpu, Size, SysReg};
use vgic_harness::guests::linux::{self, gicd, gicr};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

const VCPUS: usize = 128;
/// `GICD_IROUTER.Interrupt_Routing_Mode`.
const ANY: u64 = 1 << 31;
/// `ICC_SGI1R_EL1.IRM`.
const BROADCAST: u64 = 1 << 40;

fn boot() -> (Domain, Vec<GuestCpu>) {
    let machine = Machine::power_on(Profile::GICV3_16.with_cpus(VCPUS));
    let domain = Domain::with_vcpus(&machine, Config::dom0(3, VCPUS)).expect("128 vCPUs");
    let cpus = linux::boot(&domain);
    (domain, cpus)
}

fn drain(cpu: &GuestCpu) -> Vec<u32> {
    std::iter::from_fn(|| cpu.take(|_| {})).take(2000).collect()
}

/// Everybody who takes something, with what they take.
fn taken(cpus: &[GuestCpu]) -> Vec<(usize, Vec<u32>)> {
    let all = cpus.iter().map(|cpu| (cpu.vcpu.id, drain(cpu)));
    all.filter(|(_, taken)| !taken.is_empty()).collect()
}

/// vCPU `from` writes `ICC_SGI1R_EL1`, or the same through CP15.
fn send(from: &GuestCpu, aarch32: bool, value: u64) {
    assert!(from.write_sysreg(SysReg::Sgi1r, aarch32, value));
}

fn edge(cpu: &GuestCpu, intid: u32) {
    linux::set_trigger(cpu, intid, true);
    linux::enable(cpu, intid);
}

fn route_raw(domain: &Domain, cpu: &GuestCpu, intid: u32, value: u64) {
    let router = domain.gicd() + gicd::IROUTER + u64::from(intid) * 8;
    assert_eq!(cpu.store(router, Size::Double, value), Ok(()));
}

#[test]
fn each_has_a_redistributor_with_its_affinity() {
    let (_domain, cpus) = boot();
    for (n, cpu) in cpus.iter().enumerate() {
        let affinity = cpu.gicr_read(gicr::TYPER + 4);
        assert_eq!(u64::from(affinity), linux::affinity(n));
        assert_eq!(cpu.gicr_read(gicr::TYPER) >> 8 & 0xffff, n as u32);
        // The host's regions have room for 2, 32, 32 and more.
        let last = cpu.gicr_read(gicr::TYPER) >> 4 & 1 != 0;
        assert_eq!(last, [1, 33, 65, VCPUS - 1].contains(&n), "Last of {n}");
    }
}

#[test]
fn an_sgi_to_all_but_oneself() {
    let (_domain, cpus) = boot();
    for (from, aarch32) in [(0, false), (77, true), (127, false)] {
        // With IRM, affinity and target list do not matter.
        send(&cpus[from], aarch32, BROADCAST | 5 << 24 | 7 << 16 | 1);
        let others: Vec<_> = (0..VCPUS).filter(|n| *n != from).collect();
        let expected: Vec<_> = others.into_iter().map(|n| (n, vec![5])).collect();
        assert_eq!(taken(&cpus), expected);
    }
}

#[test]
fn an_sgi_to_each_alone() {
    let (_domain, cpus) = boot();
    for to in 0..VCPUS {
        linux::send_sgi(&cpus[(to + 100) % VCPUS], to, 9);
        assert_eq!(drain(&cpus[to]), [9]);
    }
    assert_eq!(taken(&cpus), [], "nobody else");
}

#[test]
fn an_sgi_to_a_cluster() {
    let (_domain, cpus) = boot();
    for cluster in 0..8 {
        for aarch32 in [false, true] {
            send(&cpus[3], aarch32, 2 << 24 | cluster << 16 | 0xffff);
            let first = cluster as usize * 16;
            let expected: Vec<_> = (first..first + 16).map(|n| (n, vec![2])).collect();
            assert_eq!(taken(&cpus), expected);
        }
    }
}

#[test]
fn an_sgi_to_nobody() {
    let (_domain, cpus) = boot();
    for nowhere in [
        8 << 16,    // Aff1: a ninth cluster
        0xff << 16, // Aff1
        1 << 32,    // Aff2
        1 << 48,    // Aff3
        0xff << 48, // Aff3
        1 << 44,    // RS: the vCPUs 16 to 31 of the cluster
        0xf << 44,  // RS
        1 << 44 | 3 << 16,
    ] {
        send(&cpus[0], false, 1 << 24 | nowhere | 0xffff);
        assert_eq!(taken(&cpus), [], "{nowhere:#x}");
    }
}

#[test]
fn an_spi_to_each_and_to_nobody() {
    let (domain, cpus) = boot();
    edge(&cpus[0], 40);
    for to in 0..VCPUS {
        linux::route(&cpus[(to + 1) % VCPUS], 40, to);
        domain.machine.hypervisor(to, || domain.inject(40, true));
        assert_eq!(taken(&cpus), [(to, vec![40])]);
    }
    // Where nobody is, it waits for a better route.
    for nowhere in [0x10, 0x0800, 1 << 16, 1 << 32] {
        route_raw(&domain, &cpus[0], 40, nowhere);
        domain.machine.hypervisor(9, || domain.inject(40, true));
        assert_eq!(taken(&cpus), [], "{nowhere:#x}");
        linux::route(&cpus[0], 40, 99);
        assert_eq!(taken(&cpus), [(99, vec![40])]);
    }
}

#[test]
fn one_of_all_takes_an_spi_that_any_may_have() {
    let (domain, cpus) = boot();
    for intid in 40..72 {
        edge(&cpus[0], intid);
        route_raw(&domain, &cpus[0], intid, ANY);
    }
    (40..72).for_each(|n| domain.machine.hypervisor(50, || domain.inject(n, true)));
    let mut all: Vec<u32> = taken(&cpus).into_iter().flat_map(|(_, n)| n).collect();
    all.sort_unstable();
    assert_eq!(all, (40..72).collect::<Vec<_>>(), "each once");
    // All but one have switched the group off: that one is left.
    for cpu in cpus.iter().filter(|cpu| cpu.vcpu.id != 100) {
        cpu.interface(|i| i.set_group_enable(cpu.group(), false));
    }
    // What a vCPU does to its CPU interface is seen when it next has a reason to look.
    let ctlr = cpus[0].gicd_read(gicd::CTLR);
    for value in [ctlr & !3, ctlr] {
        cpus[0].gicd_write(gicd::CTLR, value);
        cpus.iter().for_each(GuestCpu::step);
    }
    for _ in 0..3 {
        domain.machine.hypervisor(50, || domain.inject(40, true));
        assert_eq!(taken(&cpus), [(100, vec![40])]);
    }
}

#[test]
fn all_have_something_and_one_reads_it() {
    let (domain, cpus) = boot();
    // An SPI for each, and all of them active at once, in their own list registers.
    let intids = 100..100 + VCPUS as u32;
    for (n, intid) in intids.clone().enumerate() {
        edge(&cpus[0], intid);
        linux::route(&cpus[0], intid, n);
        domain.machine.hypervisor(n, || domain.inject(intid, true));
    }
    for (n, intid) in intids.clone().enumerate() {
        assert_eq!(cpus[n].ack(), intid);
    }
    for intid in intids.clone() {
        assert!(linux::bit(&cpus[64], gicd::ISACTIVER, intid), "{intid}");
    }
    for (n, intid) in intids.clone().enumerate() {
        cpus[n].eoi(intid);
    }
    for intid in intids {
        assert!(!linux::bit(&cpus[64], gicd::ISACTIVER, intid), "{intid}");
    }
    assert_eq!(taken(&cpus), []);
}

#[test]
fn the_distributor_off_and_on_reaches_all() {
    let (_domain, cpus) = boot();
    let ctlr = cpus[0].gicd_read(gicd::CTLR);
    cpus[0].gicd_write(gicd::CTLR, ctlr & !3);
    send(&cpus[127], false, BROADCAST | 4 << 24);
    assert_eq!(taken(&cpus), []);
    cpus[0].gicd_write(gicd::CTLR, ctlr);
    assert_eq!(taken(&cpus).len(), VCPUS - 1);
}
