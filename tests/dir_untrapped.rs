// SPDX-License-Identifier: GPL-2.0-only
//! EOImode 1 on a GICv3 that cannot trap `ICC_DIR_EL1` alone (`ICH_VTR_EL2.TDS` is 0). If the interrupt is in no list register
//! the hardware counts the write and does not say which it was: the active one of highest priority is taken for it. What
//! that gets right, and what it gets wrong.

use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::linux::{self, gicd};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

const FIRST: u32 = 64;
const COUNT: u32 = 20;

/// Dom0 with `vcpus` on such a machine, all with EOImode 1.
fn booted(vcpus: usize) -> (Domain, Vec<GuestCpu>) {
    let machine = Machine::power_on(Profile::GICV3);
    let domain = Domain::with_vcpus(&machine, Config::dom0(3, vcpus)).expect("a domain");
    let cpus = linux::boot(&domain);
    for cpu in &cpus {
        cpu.interface(|i| i.set_eoimode(true));
        cpu.hypercall(|| {});
    }
    (domain, cpus)
}

fn inject(domain: &Domain, intid: u32) {
    let spare = domain.machine.pcpus().len() - 1;
    domain
        .machine
        .hypervisor(spare, || domain.inject(intid, true));
}

/// Has `cpu` take `COUNT` interrupts and drop their priority: five times as many as there are list registers. The
/// first is of the highest priority, and is taken last.
fn take_all(domain: &Domain, cpu: &GuestCpu) -> Vec<u32> {
    let intids: Vec<u32> = (FIRST..FIRST + COUNT).collect();
    for (n, &intid) in intids.iter().enumerate().rev() {
        linux::set_trigger(cpu, intid, true);
        linux::enable(cpu, intid);
        linux::set_priority(cpu, intid, 8 * (n as u8 + 1));
        linux::route(cpu, intid, cpu.vcpu.id);
        inject(domain, intid);
        assert_eq!(cpu.ack(), intid);
        cpu.eoi(intid);
    }
    assert_eq!(active(cpu), intids);
    intids
}

/// Which of them are active, as the distributor has it.
fn active(cpu: &GuestCpu) -> Vec<u32> {
    let all = FIRST..FIRST + COUNT;
    all.filter(|&n| linux::bit(cpu, gicd::ISACTIVER, n))
        .collect()
}

#[test]
fn dir_in_the_order_of_priorities_is_right() {
    let (domain, cpus) = booted(1);
    let cpu = &cpus[0];
    let mut left = take_all(&domain, cpu);
    while !left.is_empty() {
        cpu.dir(left.remove(0));
        assert_eq!(active(cpu), left);
    }
}

#[test]
fn in_another_order_the_highest_priority_ends_in_place_of_the_one_meant() {
    let (domain, cpus) = booted(1);
    let cpu = &cpus[0];
    let all = take_all(&domain, cpu);
    // Those of highest priority came last and are in the list registers: of them the hardware ends the one that is named.
    let (loaded, outside) = all.split_at(4);
    // The lowest is named, and the highest outside ends. What is active are always as many as should be.
    for n in 1..outside.len() {
        cpu.dir(outside[outside.len() - n]);
        let left: Vec<u32> = loaded.iter().chain(&outside[n..]).copied().collect();
        assert_eq!(active(cpu), left);
    }
    for &n in loaded {
        cpu.dir(n);
    }
    // So none is left when all have been named.
    cpu.dir(outside[0]);
    assert_eq!(active(cpu), []);
}

#[test]
fn one_that_ended_for_another_comes_again_while_the_guest_handles_it() {
    let (domain, cpus) = booted(1);
    let cpu = &cpus[0];
    let all = take_all(&domain, cpu);
    let (handled, named) = (all[4], all[COUNT as usize - 1]);
    inject(&domain, handled);
    cpu.step();
    assert!(!cpu.signalled(), "{handled} is active");
    cpu.dir(named);
    assert_eq!(cpu.ack(), handled);
    cpu.eoi(handled);
    // The other is not delivered in the meantime.
    inject(&domain, named);
    cpu.step();
    assert!(!cpu.signalled(), "{named} is active");
}

#[test]
fn dir_on_another_vcpu_is_lost() {
    let (domain, cpus) = booted(2);
    let [first, second] = &cpus[..] else {
        panic!("two vCPUs")
    };
    let all = take_all(&domain, first);
    for &n in &all {
        second.dir(n);
    }
    second.step();
    assert_eq!(active(first), all);
    // The way out, on any vCPU.
    for &n in &all {
        linux::poke(second, gicd::ICACTIVER, n);
    }
    assert_eq!(active(first), []);
    inject(&domain, FIRST);
    assert_eq!(first.ack(), FIRST);
}

#[test]
fn dir_on_another_vcpu_ends_one_of_its_own_if_some_are_outside() {
    let (domain, cpus) = booted(2);
    let [first, second] = &cpus[..] else {
        panic!("two vCPUs")
    };
    let all = take_all(&domain, second);
    linux::set_trigger(first, 40, true);
    linux::enable(first, 40);
    inject(&domain, 40);
    assert_eq!(first.ack(), 40);
    first.eoi(40);
    second.dir(40);
    second.step();
    assert!(linux::bit(first, gicd::ISACTIVER, 40));
    let left: Vec<u32> = all.iter().copied().filter(|&n| n != all[4]).collect();
    assert_eq!(active(first), left);
}
