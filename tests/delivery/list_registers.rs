// SPDX-License-Identifier: GPL-2.0-only
//! What has a list register, and what has to wait for one.

use crate::{drain, each, edge, inject};
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::linux::{self, gicd};
use vgic_harness::machine::cpuif::Group;
use vgic_harness::xen::vcpu::Vcpu;

#[test]
fn priorities_decide_the_order_also_beyond_the_list_registers() {
    each(1, |domain, cpus| {
        let intids: Vec<u32> = (50..80).collect();
        for &n in &intids {
            edge(&cpus[0], n);
            linux::set_priority(&cpus[0], n, ((80 - n) % 8 * 16) as u8 + 0x40);
        }
        intids.iter().for_each(|&n| inject(domain, n, true));
        let taken = drain(&cpus[0]);
        let mut sorted = taken.clone();
        sorted.sort_by_key(|n| (80 - n) % 8);
        assert_eq!(taken.len(), intids.len(), "{taken:?}");
        let priorities = |list: &[u32]| list.iter().map(|n| (80 - n) % 8).collect::<Vec<_>>();
        assert_eq!(priorities(&taken), priorities(&sorted));
    });
}

#[test]
fn a_higher_priority_preempts_when_the_list_registers_are_full() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        (50..90).for_each(|n| edge(cpu, n));
        edge(cpu, 100);
        linux::set_priority(cpu, 100, 0x20);
        (50..90).for_each(|n| inject(domain, n, true));
        let first = cpu.ack();
        inject(domain, 100, true);
        assert_eq!(cpu.ack(), 100, "preempts");
        cpu.eoi(100);
        cpu.eoi(first);
        assert_eq!(drain(cpu).len(), 39);
    });
}

#[test]
fn more_active_than_list_registers_end_in_order() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        // Nested: each of higher priority than the one before.
        let nested: Vec<u32> = (50..50 + 20).collect();
        for &n in &nested {
            edge(cpu, n);
            linux::set_priority(cpu, n, 0xf0 - (n - 50) as u8 * 8);
        }
        cpu.interface(|i| i.set_pmr(0xf8));
        for &n in &nested {
            inject(domain, n, true);
            assert_eq!(cpu.ack(), n);
        }
        for &n in nested.iter().rev() {
            assert!(linux::bit(cpu, gicd::ISACTIVER, n), "{n} is active");
            cpu.eoi(n);
            cpu.step();
            assert!(!linux::bit(cpu, gicd::ISACTIVER, n), "{n} has ended");
        }
        // Each can come again.
        nested.iter().for_each(|&n| inject(domain, n, true));
        assert_eq!(drain(cpu).len(), nested.len());
    });
}

#[test]
fn a_vcpu_is_preempted_and_moves_with_interrupts_in_its_list_registers() {
    each(2, |domain, cpus| {
        let cpu = &mut cpus[0];
        (50..60).for_each(|n| edge(cpu, n));
        (50..60).for_each(|n| inject(domain, n, true));
        let active = cpu.ack();
        cpu.preempt();
        inject(domain, active, true);
        cpu.unpreempt();
        cpu.migrate(3);
        cpu.eoi(active);
        cpu.migrate(2);
        let mut taken = drain(cpu);
        taken.sort_unstable();
        assert_eq!(taken, (50..60).collect::<Vec<_>>());
    });
}

#[test]
fn quiet_exits_touch_no_list_register() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        let traffic = |cpu: &GuestCpu| domain.machine.pcpu(cpu.cpu()).interface().traffic;
        cpu.step();
        let before = traffic(cpu);
        (0..10).for_each(|_| cpu.hypercall(|| {}));
        assert_eq!(traffic(cpu), before, "nothing pending: nothing touched");
        // One that stays: read on each exit, never written.
        edge(cpu, 40);
        cpu.interface(|i| i.set_pmr(0));
        inject(domain, 40, true);
        cpu.step();
        cpu.hypercall(|| {});
        let before = traffic(cpu);
        (0..10).for_each(|_| cpu.hypercall(|| {}));
        let after = traffic(cpu);
        assert!(
            after.lr_reads - before.lr_reads <= 10,
            "{before:?} {after:?}"
        );
        assert_eq!(after.lr_writes, before.lr_writes);
        cpu.interface(|i| i.set_pmr(0xf0));
        assert_eq!(drain(cpu), [40]);
    });
}

#[test]
fn what_ends_outside_of_the_list_registers_is_deactivated_at_once() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        let gic = &domain.machine.gic;
        // A physical interrupt first, then so many above it that it has to leave its list register.
        domain.route(42, 70, true).expect("connected");
        linux::enable(cpu, 42);
        linux::set_priority(cpu, 42, 0xf0);
        cpu.interface(|i| i.set_pmr(0xf8));
        gic.set_line(70, true);
        assert_eq!(cpu.ack(), 42);
        gic.set_line(70, false);
        let nested: Vec<u32> = (50..50 + 18).collect();
        for &n in &nested {
            edge(cpu, n);
            linux::set_priority(cpu, n, 0xe8 - (n - 50) as u8 * 8);
            inject(domain, n, true);
            assert_eq!(cpu.ack(), n);
        }
        let loaded = domain
            .machine
            .pcpu(0)
            .interface()
            .list_registers()
            .any(|lr| lr.vintid == 42);
        assert!(
            !loaded,
            "18 interrupts of higher priority have the list registers"
        );
        // All end without a trap in between: the maintenance interrupt alone tells of it.
        nested.iter().rev().for_each(|&n| cpu.eoi(n));
        cpu.eoi(42);
        cpu.step();
        assert!(gic.snapshot(70).is_some_and(|s| !s.active), "deactivated");
        nested.iter().for_each(|&n| inject(domain, n, true));
        assert_eq!(drain(cpu).len(), nested.len());
    });
}

#[test]
fn a_group_switched_on_without_a_trap_brings_what_waits_for_it() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        edge(cpu, 40);
        cpu.interface(|i| i.set_group_enable(cpu.group(), false));
        inject(domain, 40, true);
        cpu.interface(|i| i.set_group_enable(cpu.group(), true));
        assert_eq!(drain(cpu), [40]);
    });
}

#[test]
fn a_group_switched_off_without_a_trap_makes_room_for_the_other() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        let many: Vec<u32> = (64..96).collect();
        for &n in &many {
            edge(cpu, n);
            linux::set_priority(cpu, n, 0x40);
        }
        edge(cpu, 40);
        linux::set_priority(cpu, 40, 0xa0);
        // 64 to 95 in Group 1, 40 in Group 0.
        cpu.gicd_write(gicd::IGROUPR + 8, !0);
        cpu.gicd_write(gicd::IGROUPR + 4, 0);
        cpu.gicd_write(gicd::CTLR, cpu.gicd_read(gicd::CTLR) | 3);
        cpu.interface(|i| {
            i.set_group_enable(Group::G0, true);
            i.set_group_enable(Group::G1, true);
        });
        many.iter().for_each(|&n| inject(domain, n, true));
        inject(domain, 40, true);
        cpu.interface(|i| i.set_group_enable(Group::G1, false));
        assert!(
            cpu.signalled(),
            "{}: Group 0 has its turn\n{}",
            domain.machine.profile.name,
            domain.dump()
        );
        assert_eq!(cpu.ack_group(Group::G0), 40);
        cpu.eoi_group(Group::G0, 40);
        assert!(!cpu.signalled());
        cpu.interface(|i| i.set_group_enable(Group::G1, true));
        let mut taken = 0;
        while cpu.signalled() {
            let intid = cpu.ack_group(Group::G1);
            assert!(many.contains(&intid), "{intid}");
            cpu.eoi_group(Group::G1, intid);
            taken += 1;
        }
        assert_eq!(taken, many.len());
    });
}

#[test]
fn what_was_active_outside_of_the_list_registers_when_its_vcpu_went_off_comes_again() {
    each(2, |domain, cpus| {
        let mut two = cpus.split_off(1);
        let second = &mut two[0];
        linux::enable(second, Vcpu::VTIMER);
        second.vcpu.expire_vtimer(&domain.machine);
        assert_eq!(second.ack(), Vcpu::VTIMER);
        // As many as there are list registers preempt each other, so that the timer's has to leave its own.
        let nested: Vec<u32> = (50..).take(domain.machine.profile.lrs).collect();
        for (n, &intid) in nested.iter().enumerate() {
            edge(second, intid);
            linux::route(second, intid, 1);
            linux::set_priority(second, intid, 0x98 - n as u8 * 8);
            inject(domain, intid, true);
            assert_eq!(second.ack(), intid);
        }
        second.psci_off();
        cpus[0].psci_on(second);
        linux::init_cpu(second);
        linux::enable(second, Vcpu::VTIMER);
        let timer = second.take(|_| second.vcpu.program_vtimer());
        assert_eq!(timer, Some(Vcpu::VTIMER), "{}", domain.dump());
        cpus.append(&mut two);
    });
}

#[test]
fn a_priority_raised_while_waiting_for_a_list_register_counts_at_once() {
    each(2, |domain, cpus| {
        let many: Vec<u32> = (50..70).collect();
        for &n in &many {
            edge(&cpus[0], n);
            inject(domain, n, true);
        }
        cpus[0].step();
        linux::set_priority(&cpus[1], 69, 0x40);
        assert_eq!(cpus[0].take(|_| {}), Some(69));
        assert_eq!(drain(&cpus[0]).len(), many.len() - 1);
    });
}

#[test]
fn an_interrupt_put_in_a_group_that_is_on_wakes_its_vcpu() {
    each(2, |domain, cpus| {
        let v3 = cpus[0].vcpu.gic_version == 3;
        edge(&cpus[0], 40);
        linux::set_group1(&cpus[0], 40, !v3);
        inject(domain, 40, true);
        assert!(!cpus[0].wfi() && !cpus[0].try_wake());
        linux::set_group1(&cpus[1], 40, v3);
        assert!(cpus[0].try_wake());
        assert_eq!(drain(&cpus[0]), [40]);
        // And one that runs, without an exit of its own.
        linux::set_group1(&cpus[0], 40, !v3);
        inject(domain, 40, true);
        assert_eq!(drain(&cpus[0]), []);
        linux::set_group1(&cpus[1], 40, v3);
        assert_eq!(drain(&cpus[0]), [40]);
    });
}
