// SPDX-License-Identifier: GPL-2.0-only
//! Interrupts from where they are raised to where the guest has ended them, step by step on one thread, on each profile.

mod list_registers;

use vgic_harness::guests::guest::{GuestCpu, SysReg};
use vgic_harness::guests::linux::{self, gicd};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;
use vgic_harness::xen::vcpu::Vcpu;

/// Runs `test` with a booted guest of `vcpus` on each profile, also with a GICv2 where a GICv3 offers a GICV frame.
fn each(vcpus: usize, test: impl Fn(&Domain, &mut Vec<GuestCpu>)) {
    let native = Profile::ALL.map(|profile| (profile, profile.gic));
    for (profile, gic) in native.into_iter().chain([(Profile::GICV3_GICV, 2)]) {
        let machine = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, Config::dom0(gic, vcpus)).expect("a domain");
        let mut cpus = linux::boot(&domain);
        test(&domain, &mut cpus);
        // Whatever the test did, nothing is left over.
        for cpu in cpus.iter().filter(|c| c.is_on_cpu()) {
            assert!(
                !cpu.signalled(),
                "{}: something is left on vCPU {}",
                profile.name,
                cpu.vcpu.id
            );
        }
    }
}

/// Injects from a physical CPU that does something else: from outside.
fn inject(domain: &Domain, intid: u32, level: bool) {
    let spare = domain.machine.pcpus().len() - 1;
    domain
        .machine
        .hypervisor(spare, || domain.inject(intid, level));
}

fn edge(cpu: &GuestCpu, intid: u32) {
    linux::set_trigger(cpu, intid, true);
    linux::enable(cpu, intid);
}

/// Takes everything that is signalled; the INTIDs in order.
fn drain(cpu: &GuestCpu) -> Vec<u32> {
    std::iter::from_fn(|| cpu.take(|_| {}))
        .map(|iar| linux::intid(cpu, iar))
        .collect()
}

#[test]
fn an_edge_is_delivered_once() {
    each(2, |domain, cpus| {
        edge(&cpus[0], 40);
        for _ in 0..3 {
            inject(domain, 40, true);
            inject(domain, 40, false);
            assert_eq!(drain(&cpus[0]), [40]);
        }
        // Twice before it is taken: one, as a latch has it.
        inject(domain, 40, true);
        inject(domain, 40, true);
        assert_eq!(drain(&cpus[0]), [40]);
        // Again while it is active: once more afterwards.
        inject(domain, 40, true);
        assert_eq!(cpus[0].ack(), 40);
        inject(domain, 40, true);
        inject(domain, 40, true);
        cpus[0].eoi(40);
        assert_eq!(drain(&cpus[0]), [40]);
    });
}

#[test]
fn a_level_is_pending_until_it_is_lowered() {
    each(1, |domain, cpus| {
        linux::enable(&cpus[0], 41);
        inject(domain, 41, true);
        assert_eq!(
            (
                drain_n(&cpus[0], 3),
                linux::bit(&cpus[0], gicd::ISPENDR, 41)
            ),
            (vec![41, 41, 41], true)
        );
        assert_eq!(cpus[0].take(|_| inject(domain, 41, false)), Some(41));
        assert_eq!(drain(&cpus[0]), []);
        // Raised and lowered again before the guest looks: nothing. Lowering asks for no exit, which
        // the vCPU makes for another reason.
        inject(domain, 41, true);
        inject(domain, 41, false);
        cpus[0].hypercall(|| {});
        assert_eq!(drain(&cpus[0]), []);
        // Lowered and raised while active: once more.
        inject(domain, 41, true);
        assert_eq!(cpus[0].ack(), 41);
        inject(domain, 41, false);
        inject(domain, 41, true);
        cpus[0].eoi(41);
        assert_eq!(cpus[0].take(|_| inject(domain, 41, false)), Some(41));
    });
}

fn drain_n(cpu: &GuestCpu, n: usize) -> Vec<u32> {
    (0..n).filter_map(|_| cpu.take(|_| {})).collect()
}

#[test]
fn a_physical_level_is_exact() {
    each(2, |domain, cpus| {
        domain.route(42, 70, true).expect("connected");
        let gic = &domain.machine.gic;
        linux::enable(&cpus[0], 42);
        for n in 1..=5 {
            gic.set_line(70, true);
            assert_eq!(cpus[0].take(|_| gic.set_line(70, false)), Some(42));
            assert_eq!(drain(&cpus[0]), []);
            let physical = gic.snapshot(70).expect("an interrupt");
            assert_eq!(
                (physical.acknowledged, physical.deactivated, physical.active),
                (n, n, false)
            );
        }
        // Not served: it comes again, physically, too.
        gic.set_line(70, true);
        assert_eq!(cpus[0].take(|_| {}), Some(42));
        assert_eq!(cpus[0].take(|_| gic.set_line(70, false)), Some(42));
        assert_eq!(drain(&cpus[0]), []);
    });
}

#[test]
fn a_physical_edge_is_exact() {
    each(2, |domain, cpus| {
        linux::set_trigger(&cpus[0], 43, true);
        domain.route(43, 71, false).expect("connected");
        let gic = &domain.machine.gic;
        gic.set_level_sensitive(71, false);
        linux::enable(&cpus[0], 43);
        for _ in 0..5 {
            gic.pulse(71);
            assert_eq!(drain(&cpus[0]), [43]);
        }
        gic.pulse(71);
        assert_eq!(cpus[0].ack(), 43);
        gic.pulse(71);
        cpus[0].eoi(43);
        assert_eq!(drain(&cpus[0]), [43]);
        let physical = gic.snapshot(71).expect("an interrupt");
        assert_eq!((physical.acknowledged, physical.deactivated), (7, 7));
    });
}

#[test]
fn a_physical_interrupt_follows_its_enable() {
    each(2, |domain, cpus| {
        domain.route(42, 70, true).expect("connected");
        let gic = &domain.machine.gic;
        let enabled = || gic.snapshot(70).expect("an interrupt").enabled;
        assert!(!enabled());
        linux::enable(&cpus[0], 42);
        assert!(enabled());
        linux::disable(&cpus[0], 42);
        assert!(!enabled());
        gic.set_line(70, true);
        assert_eq!(drain(&cpus[0]), []);
        linux::enable(&cpus[0], 42);
        assert_eq!(cpus[0].take(|_| gic.set_line(70, false)), Some(42));
    });
}

#[test]
fn a_physical_interrupt_follows_its_route() {
    each(2, |domain, cpus| {
        domain.route(42, 70, true).expect("connected");
        let gic = &domain.machine.gic;
        linux::enable(&cpus[0], 42);
        linux::route(&cpus[0], 42, 1);
        assert_eq!(gic.snapshot(70).expect("an interrupt").target, 1);
        gic.set_line(70, true);
        assert_eq!(drain(&cpus[0]), []);
        assert_eq!(cpus[1].take(|_| gic.set_line(70, false)), Some(42));
        // And with the vCPU to another physical CPU.
        cpus[1].migrate(2);
        assert_eq!(gic.snapshot(70).expect("an interrupt").target, 2);
        gic.set_line(70, true);
        assert_eq!(cpus[1].take(|_| gic.set_line(70, false)), Some(42));
    });
}

#[test]
fn sgis_arrive_with_their_source() {
    each(3, |_, cpus| {
        for sgi in [0, 7, 15] {
            linux::send_sgi(&cpus[2], 0, sgi);
            linux::send_sgi(&cpus[1], 0, sgi);
            let mut seen: Vec<u32> = std::iter::from_fn(|| cpus[0].take(|_| {})).collect();
            seen.sort_unstable();
            if cpus[0].vcpu.gic_version == 2 {
                assert_eq!(seen, [1 << 10 | sgi, 2 << 10 | sgi], "one from each");
            } else {
                assert_eq!(seen, [sgi], "they merge");
            }
        }
        linux::send_sgi(&cpus[1], 1, 4);
        assert_eq!(drain(&cpus[1]), [4], "to itself");
    });
}

#[test]
fn sgis_to_all_but_oneself() {
    each(3, |_, cpus| {
        if cpus[0].vcpu.gic_version == 2 {
            cpus[1].gicd_write(gicd::SGIR, 1 << 24 | 5);
            // Filter 0b11 is reserved, and a target list beyond the last CPU is nobody.
            cpus[1].gicd_write(gicd::SGIR, 3 << 24 | 0xff << 16 | 6);
            cpus[1].gicd_write(gicd::SGIR, 0xf8 << 16 | 6);
        } else {
            assert!(cpus[1].write_sysreg(SysReg::Sgi1r, false, 1 << 40 | 5 << 24));
            assert!(cpus[1].write_sysreg(SysReg::Sgi1r, false, 6 << 24 | 0xfff8));
            assert!(cpus[1].write_sysreg(SysReg::Sgi1r, false, 6 << 24 | 9 << 16 | 0xffff));
        }
        assert_eq!(
            [drain(&cpus[0]), drain(&cpus[1]), drain(&cpus[2])],
            [vec![5], vec![], vec![5]]
        );
    });
}

#[test]
fn an_sgi_without_a_source_is_harmless() {
    each(2, |domain, cpus| {
        // FF-A's notification, and a guest that writes ISPENDR0.
        domain
            .machine
            .hypervisor(1, || domain.inject_private(&cpus[0].vcpu, 8, true));
        assert_eq!(drain(&cpus[0]), [8]);
        linux::private_write(&cpus[0], gicd::ISPENDR, 0xffff);
        // Whether they become pending is the version's; nothing breaks, and nothing comes twice.
        let taken = drain(&cpus[0]);
        assert!(taken.len() <= 16 && drain(&cpus[0]).is_empty(), "{taken:?}");
    });
}

#[test]
fn disabled_interrupts_and_groups_wait() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        edge(cpu, 40);
        linux::disable(cpu, 40);
        inject(domain, 40, true);
        assert_eq!(drain(cpu), []);
        linux::enable(cpu, 40);
        assert_eq!(drain(cpu), [40]);
        // Disabled while in a list register, not yet taken.
        inject(domain, 40, true);
        cpu.step();
        linux::disable(cpu, 40);
        assert_eq!(drain(cpu), []);
        linux::enable(cpu, 40);
        assert_eq!(drain(cpu), [40]);
        // Disabled while active: the end is seen all the same.
        inject(domain, 40, true);
        assert_eq!(cpu.ack(), 40);
        linux::disable(cpu, 40);
        cpu.eoi(40);
        linux::enable(cpu, 40);
        inject(domain, 40, true);
        assert_eq!(drain(cpu), [40]);
        // The distributor off and on.
        let ctlr = cpu.gicd_read(gicd::CTLR);
        cpu.gicd_write(gicd::CTLR, ctlr & !3);
        inject(domain, 40, true);
        assert_eq!(drain(cpu), []);
        cpu.gicd_write(gicd::CTLR, ctlr);
        assert_eq!(drain(cpu), [40]);
        // The CPU interface's group off and on, with the guest not trapping in between.
        cpu.interface(|i| i.set_group_enable(cpu.group(), false));
        inject(domain, 40, true);
        assert_eq!(drain(cpu), []);
        cpu.interface(|i| i.set_group_enable(cpu.group(), true));
        assert_eq!(drain(cpu), [40]);
    });
}

#[test]
fn a_pending_interrupt_follows_its_route() {
    each(2, |domain, cpus| {
        edge(&cpus[0], 40);
        // In a list register of vCPU 0, masked there.
        cpus[0].interface(|i| i.set_pmr(0));
        inject(domain, 40, true);
        cpus[0].step();
        linux::route(&cpus[1], 40, 1);
        // Asked for, vCPU 0 lets it go.
        cpus[0].step();
        assert_eq!(drain(&cpus[1]), [40]);
        cpus[0].interface(|i| i.set_pmr(0xf0));
        assert_eq!(drain(&cpus[0]), []);
        // Active: stays until it ends, then goes.
        linux::route(&cpus[1], 40, 0);
        inject(domain, 40, true);
        assert_eq!(cpus[0].ack(), 40);
        linux::route(&cpus[1], 40, 1);
        inject(domain, 40, true);
        cpus[0].eoi(40);
        cpus[0].step();
        assert_eq!([drain(&cpus[0]), drain(&cpus[1])], [vec![], vec![40]]);
    });
}

#[test]
fn split_end_of_interrupt() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        domain.route(42, 70, true).expect("connected");
        let gic = &domain.machine.gic;
        edge(cpu, 40);
        linux::enable(cpu, 42);
        cpu.set_eoimode(true);
        gic.set_line(70, true);
        assert_eq!(cpu.ack(), 42);
        gic.set_line(70, false);
        cpu.eoi(42);
        assert!(
            gic.snapshot(70).is_some_and(|s| s.active),
            "only the priority is dropped"
        );
        inject(domain, 40, true);
        assert_eq!(cpu.ack(), 40);
        cpu.eoi(40);
        // In any order.
        cpu.dir(42);
        assert!(gic.snapshot(70).is_some_and(|s| !s.active));
        inject(domain, 40, true);
        assert!(!cpu.signalled(), "still active");
        cpu.dir(40);
        cpu.step();
        assert_eq!(cpu.ack(), 40);
        cpu.eoi(40);
        cpu.dir(40);
    });
}

#[test]
fn timers_and_events_are_levels() {
    each(2, |domain, cpus| {
        let machine = &domain.machine;
        let cpu = &cpus[0];
        [Vcpu::VTIMER, Vcpu::PTIMER, Vcpu::EVTCHN]
            .iter()
            .for_each(|&n| linux::enable(cpu, n));
        for _ in 0..3 {
            cpu.vcpu.expire_vtimer(machine);
            assert_eq!(cpu.take(|_| cpu.vcpu.program_vtimer()), Some(Vcpu::VTIMER));
            assert_eq!(drain(cpu), []);
        }
        for _ in 0..3 {
            cpu.hypercall(|| cpu.vcpu.program_ptimer(true));
            machine.hypervisor(3, || cpu.vcpu.expire_ptimer());
            assert_eq!(
                cpu.take(|_| cpu.hypercall(|| cpu.vcpu.program_ptimer(false))),
                Some(Vcpu::PTIMER)
            );
            assert_eq!(drain(cpu), []);
        }
        for _ in 0..3 {
            machine.hypervisor(3, || cpu.vcpu.send_event());
            machine.hypervisor(3, || cpu.vcpu.send_event());
            assert_eq!(
                cpu.take(|_| assert!(cpu.vcpu.take_upcall())),
                Some(Vcpu::EVTCHN)
            );
            assert_eq!(drain(cpu), []);
        }
    });
}

#[test]
fn wfi_blocks_only_with_nothing_to_do_and_wakes() {
    each(2, |domain, cpus| {
        let mut cpu = cpus.swap_remove(0);
        edge(&cpu, 40);
        inject(domain, 40, true);
        assert!(cpu.wfi(), "something is pending");
        assert_eq!(drain(&cpu), [40]);
        assert!(!cpu.wfi() && !cpu.try_wake());
        inject(domain, 40, true);
        assert!(cpu.try_wake());
        assert_eq!(drain(&cpu), [40]);
        // An SGI from a vCPU, and the timer.
        assert!(!cpu.wfi());
        linux::send_sgi(&cpus[0], 0, 2);
        assert!(cpu.try_wake());
        assert_eq!(drain(&cpu), [2]);
        linux::enable(&cpu, Vcpu::VTIMER);
        assert!(!cpu.wfi());
        cpu.vcpu.expire_vtimer(&domain.machine);
        assert!(cpu.try_wake());
        assert_eq!(cpu.take(|_| cpu.vcpu.program_vtimer()), Some(Vcpu::VTIMER));
        // A disabled one does not keep it awake.
        linux::disable(&cpu, 40);
        inject(domain, 40, true);
        assert!(
            !cpu.wfi() && !cpu.try_wake(),
            "{}",
            domain.machine.profile.name
        );
        linux::enable(&cpus[0], 40);
        assert!(cpu.try_wake(), "enabled by another vCPU");
        assert_eq!(drain(&cpu), [40]);
        cpus.push(cpu);
    });
}

#[test]
fn a_vcpu_goes_off_and_on_with_interrupts_in_every_state() {
    each(2, |domain, cpus| {
        let mut two = cpus.split_off(1);
        let second = &mut two[0];
        for n in [40, 41, 42] {
            edge(second, n);
            linux::route(second, n, 1);
        }
        linux::enable(second, Vcpu::VTIMER);
        // One active, one in a list register, one that comes while it is off.
        inject(domain, 40, true);
        assert_eq!(second.ack(), 40);
        inject(domain, 41, true);
        second.step();
        second.psci_off();
        inject(domain, 42, true);
        cpus[0].psci_on(second);
        linux::init_cpu(second);
        linux::poke(second, gicd::ICACTIVER, 40);
        let mut taken = drain(second);
        taken.sort_unstable();
        assert_eq!(taken, [41, 42], "nothing is dropped");
        inject(domain, 40, true);
        assert_eq!(drain(second), [40]);
        cpus.append(&mut two);
    });
}

#[test]
fn one_of_n_passes_over_a_vcpu_that_is_off() {
    each(3, |domain, cpus| {
        let (first, rest) = cpus.split_at_mut(1);
        let (off, second) = (&mut first[0], &rest[0]);
        edge(off, 40);
        linux::route_to_any(off, 40);
        inject(domain, 40, true);
        assert_eq!(drain(off), [40], "the first of those that are on");
        off.psci_off();
        for _ in 0..3 {
            inject(domain, 40, true);
            assert_eq!(drain(second), [40]);
        }
        // One that the second cannot take now goes to the third, which has been seen to take some, and none back to the first.
        linux::send_sgi(second, 2, 1);
        assert_eq!(drain(&rest[1]), [1]);
        second.interface(|i| i.set_group_enable(second.group(), false));
        second.hypercall(|| {});
        inject(domain, 40, true);
        second.step();
        assert_eq!(drain(&rest[1]), [40]);
        second.interface(|i| i.set_group_enable(second.group(), true));
        second.psci_on(off);
        linux::init_cpu(off);
        inject(domain, 40, true);
        let taken: Vec<u32> = cpus.iter().flat_map(drain).collect();
        assert_eq!(taken, [40]);
    });
}
