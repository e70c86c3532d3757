// SPDX-License-Identifier: GPL-2.0-only
//! EOImode 1 on a GICv3: `ICC_DIR_EL1` ends an interrupt in any order and on any vCPU, whether the hardware can trap it alone
//! (`ICH_VTR_EL2.TDS`) or with all else that both groups share (`ICH_HCR_EL2.TC`); what is trapped with it, and how long.

use vgic_harness::guests::guest::{GuestCpu, Icc, SysReg};
use vgic_harness::guests::linux::{self, gicd};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

const FIRST: u32 = 64;
const COUNT: u32 = 20;

/// Without TDS, with few list registers and many; with it.
const WITHOUT: [Profile; 3] = [
    Profile::GICV3,
    Profile {
        lrs: 1,
        ..Profile::GICV3_GICV
    },
    Profile {
        tds: false,
        ..Profile::GICV3_16
    },
];
const WITH: Profile = Profile {
    tds: true,
    ..Profile::GICV3
};

/// A guest with `vcpus` on each of these machines, as Linux is after it has booted.
fn each(profiles: &[Profile], vcpus: usize, test: impl Fn(&Domain, &mut [GuestCpu])) {
    for profile in profiles {
        let machine = Machine::power_on(*profile);
        let domain = Domain::with_vcpus(&machine, Config::dom0(3, vcpus)).expect("a domain");
        let mut cpus = linux::boot(&domain);
        test(&domain, &mut cpus);
    }
}

fn all() -> [Profile; 4] {
    let [few, one, many] = WITHOUT;
    [few, one, many, WITH]
}

fn split(cpus: &[GuestCpu]) {
    cpus.iter().for_each(|cpu| cpu.set_eoimode(true));
}

fn inject(domain: &Domain, intid: u32) {
    let spare = domain.machine.pcpus().len() - 1;
    domain
        .machine
        .hypervisor(spare, || domain.inject(intid, true));
}

/// An edge for `cpu`.
fn edge(cpu: &GuestCpu, intid: u32) {
    linux::set_trigger(cpu, intid, true);
    linux::enable(cpu, intid);
    linux::route(cpu, intid, cpu.vcpu.id);
}

/// Has `cpu` take `COUNT` interrupts and drop their priority. The first is of the highest priority, and is taken last.
fn take_all(domain: &Domain, cpu: &GuestCpu) -> Vec<u32> {
    let intids: Vec<u32> = (FIRST..FIRST + COUNT).collect();
    for (n, &intid) in intids.iter().enumerate().rev() {
        edge(cpu, intid);
        linux::set_priority(cpu, intid, 8 * (n as u8 + 1));
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

fn traps(cpus: &[GuestCpu]) -> Vec<bool> {
    cpus.iter().map(GuestCpu::common_traps).collect()
}

#[test]
fn dir_in_any_order_ends_what_it_names() {
    each(&all(), 1, |domain, cpus| {
        split(cpus);
        let orders: [fn(u32) -> u32; 3] = [|n| n, |n| COUNT - 1 - n, |n| n * 7 % COUNT];
        for order in orders {
            let mut left = take_all(domain, &cpus[0]);
            for n in 0..COUNT {
                let intid = FIRST + order(n);
                inject(domain, intid);
                cpus[0].step();
                assert!(!cpus[0].signalled(), "{intid} is active");
                cpus[0].dir(intid);
                assert_eq!(cpus[0].ack(), intid, "what came meanwhile");
                cpus[0].eoi(intid);
                cpus[0].dir(intid);
                left.retain(|&other| other != intid);
                assert_eq!(active(&cpus[0]), left);
            }
        }
    });
}

#[test]
fn dir_on_another_vcpu_ends_what_it_names() {
    each(&all(), 2, |domain, cpus| {
        split(cpus);
        // Each has some that are active, and ends the other's.
        let mut left = take_all(domain, &cpus[0]);
        edge(&cpus[1], 40);
        inject(domain, 40);
        assert_eq!(cpus[1].ack(), 40);
        cpus[1].eoi(40);
        while let Some(intid) = left.pop() {
            cpus[1].dir(intid);
            assert_eq!(active(&cpus[0]), left);
        }
        cpus[0].dir(40);
        assert!(!linux::bit(&cpus[0], gicd::ISACTIVER, 40));
        inject(domain, 40);
        assert_eq!(cpus[1].ack(), 40);
    });
}

#[test]
fn dir_elsewhere_after_the_mode_was_set_late() {
    each(&all(), 3, |domain, cpus| {
        edge(&cpus[0], 40);
        // No exit of any vCPU after this, but for what the interrupt itself brings about.
        split(cpus);
        for by in [1, 2, 0] {
            inject(domain, 40);
            assert_eq!(cpus[0].ack(), 40);
            cpus[0].eoi(40);
            cpus[by].dir(40);
            inject(domain, 40);
            assert_eq!(cpus[0].ack(), 40, "deactivated by vCPU {by}");
            cpus[0].eoi(40);
            cpus[0].dir(40);
        }
    });
}

#[test]
fn dir_of_what_was_only_set_active() {
    each(&all(), 2, |domain, cpus| {
        split(cpus);
        // Of each kind, and more than there are list registers.
        let intids: Vec<u32> = [3, 20].into_iter().chain(40..52).collect();
        for by in [0, 1] {
            intids[2..].iter().for_each(|&n| edge(&cpus[0], n));
            for &intid in &intids {
                linux::poke(&cpus[0], gicd::ISACTIVER, intid);
            }
            for &intid in &intids {
                let private = intid < 32;
                let by = if private { 0 } else { by };
                cpus[by].dir(intid);
                let active = linux::bit(&cpus[0], gicd::ISACTIVER, intid);
                assert!(!active, "{intid} by vCPU {by}");
            }
            inject(domain, 40);
            assert_eq!(cpus[0].ack(), 40);
            cpus[0].eoi(40);
            cpus[0].dir(40);
        }
    });
}

#[test]
fn dir_of_a_physical_interrupt() {
    each(&all(), 2, |domain, cpus| {
        let gic = &domain.machine.gic;
        let physical = || gic.snapshot(70).expect("an interrupt");
        domain.route(60, 70, true).expect("connected");
        linux::route(&cpus[0], 60, 0);
        linux::enable(&cpus[0], 60);
        split(cpus);
        for by in [0, 1] {
            gic.set_line(70, true);
            assert_eq!(cpus[0].ack(), 60);
            gic.set_line(70, false);
            cpus[0].eoi(60);
            assert!(physical().active, "only the priority is dropped");
            // So that it may lose its list register.
            let others = take_all(domain, &cpus[0]);
            cpus[by].dir(60);
            assert!(!physical().active, "deactivated by vCPU {by}");
            others.iter().for_each(|&n| cpus[by].dir(n));
        }
        let physical = physical();
        assert_eq!((physical.acknowledged, physical.deactivated), (2, 2));
    });
}

#[test]
fn dir_of_nothing_that_is_active_changes_nothing() {
    each(&all(), 1, |domain, cpus| {
        split(cpus);
        let left = take_all(domain, &cpus[0]);
        let none = [0, 31, 40, 1019, 1020, 1023, 4096, 8191, 8192, 0x00ff_ffff];
        none.iter().for_each(|&n| cpus[0].dir(n));
        // The reserved bits are ignored.
        assert!(cpus[0].write_icc(Icc::Dir, 0xffff_ffff_ff00_0000));
        assert_eq!(active(&cpus[0]), left);
        assert!(cpus[0].write_icc(Icc::Dir, 0xffff_ffff_ff00_0000 | u64::from(FIRST)));
        assert_eq!(active(&cpus[0]), left[1..]);
    });
}

#[test]
fn dir_with_eoimode_0_is_ignored() {
    each(&all(), 2, |domain, cpus| {
        // One of them alone has EOImode 1, so all trap.
        split(&cpus[1..]);
        edge(&cpus[0], 40);
        inject(domain, 40);
        assert_eq!(cpus[0].ack(), 40);
        assert!(cpus[0].write_icc(Icc::Dir, 40));
        assert!(linux::bit(&cpus[0], gicd::ISACTIVER, 40));
        cpus[0].eoi(40);
        assert!(!linux::bit(&cpus[0], gicd::ISACTIVER, 40));
    });
}

#[test]
fn dir_is_trapped_alone_where_it_can_be() {
    each(&[WITH, Profile::GICV3_16], 2, |domain, cpus| {
        let traps_dir = || cpus.iter().all(|cpu| cpu.interface(|i| i.dir_traps()));
        assert!(traps_dir() && traps(cpus) == [false; 2]);
        split(cpus);
        take_all(domain, &cpus[0]);
        cpus.iter().for_each(|cpu| cpu.hypercall(|| {}));
        assert!(traps_dir() && traps(cpus) == [false; 2]);
    });
}

#[test]
fn dir_is_trapped_alone_on_each_cpu_that_a_vcpu_comes_to() {
    let machine = Machine::power_on(WITH);
    let domain = Domain::with_vcpus(&machine, Config::dom0(3, 1)).expect("a domain");
    let mut cpus = linux::boot(&domain);
    for to in [2, 1, 0, 2] {
        cpus[0].migrate(to);
        assert!(cpus[0].interface(|i| i.dir_traps()), "CPU {to}");
    }
}

#[test]
fn dir_takes_the_common_trap_only_while_somebody_has_eoimode_1() {
    each(&WITHOUT, 3, |domain, cpus| {
        assert_eq!(traps(cpus), [false; 3], "all have written ICC_CTLR_EL1");
        edge(&cpus[1], 40);
        let handle = |split: bool| {
            inject(domain, 40);
            assert_eq!(cpus[1].ack(), 40);
            cpus[1].eoi(40);
            if split {
                cpus[2].dir(40);
            }
            assert!(!linux::bit(&cpus[0], gicd::ISACTIVER, 40));
        };
        handle(false);
        for _ in 0..3 {
            cpus[1].set_eoimode(true);
            cpus[2].set_eoimode(true);
            handle(true);
            assert_eq!(traps(cpus), [true; 3]);
            // One of two: not yet.
            cpus[2].set_eoimode(false);
            cpus.iter().for_each(|cpu| cpu.hypercall(|| {}));
            assert_eq!(traps(cpus), [true; 3]);
            cpus[1].set_eoimode(false);
            // Nobody is disturbed for it.
            assert_eq!(traps(cpus), [true, false, true]);
            cpus.iter().for_each(|cpu| cpu.hypercall(|| {}));
            assert_eq!(traps(cpus), [false; 3]);
            handle(false);
        }
    });
}

#[test]
fn dir_takes_the_common_trap_from_cpu_on_until_ctlr_is_written() {
    for profile in WITHOUT {
        let machine = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, Config::dom0(3, 2)).expect("a domain");
        let mut cpus: Vec<_> = (0..2).map(|id| GuestCpu::start(&domain, id)).collect();
        assert_eq!(traps(&cpus), [true; 2], "since they were made");
        linux::init_cpu(&cpus[0]);
        assert_eq!(traps(&cpus), [false, true]);
        // An exit does not end it; ICC_PMR_EL1 is another register.
        cpus[1].hypercall(|| {});
        cpus[1].set_pmr(0xf0);
        assert_eq!(traps(&cpus), [false, true]);
        for split in [true, false] {
            cpus[1].set_eoimode(split);
            assert_eq!(traps(&cpus), [split; 2]);
            cpus[1].psci_off();
            let Ok([target, sender]) = cpus.get_disjoint_mut([1, 0]) else {
                panic!("two vCPUs")
            };
            sender.psci_on(target);
            cpus[0].hypercall(|| {});
            assert_eq!(traps(&cpus), [false, true], "EOImode is 0 again");
            assert!(!cpus[1].interface(|i| i.eoimode()));
        }
    }
}

#[test]
fn dir_others_trap_once_a_write_of_ctlr_is_done() {
    each(&WITHOUT, 3, |_, cpus| {
        // Seen, as the first write of a vCPU that is switched on is.
        cpus[0].set_eoimode(true);
        cpus[0].hypercall(|| {});
        assert_eq!(traps(cpus), [false; 3], "nothing to do on the entry");
    });
    for profile in WITHOUT {
        let machine = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, Config::dom0(3, 3)).expect("a domain");
        let cpus: Vec<_> = (0..3).map(|id| GuestCpu::start(&domain, id)).collect();
        cpus[1..].iter().for_each(linux::init_cpu);
        assert_eq!(traps(&cpus), [true, false, false]);
        cpus[0].set_eoimode(true);
        assert_eq!(traps(&cpus), [true; 3]);
    }
}

/// What a vCPU that has changed its mind does until anything of it is seen is the hardware's.
#[test]
fn dir_elsewhere_before_a_late_mode_is_seen_is_lost() {
    each(&WITHOUT, 2, |domain, cpus| {
        edge(&cpus[0], 40);
        inject(domain, 40);
        cpus[0].step();
        // In a list register by now.
        split(cpus);
        assert_eq!(cpus[0].ack(), 40);
        cpus[0].eoi(40);
        cpus[1].dir(40);
        assert!(linux::bit(&cpus[0], gicd::ISACTIVER, 40), "lost");
        // The read was an exit.
        cpus[1].dir(40);
        assert!(!linux::bit(&cpus[0], gicd::ISACTIVER, 40));
    });
}

/// `ICC_CTLR_EL1` but for what can be written, and the rest of what traps, as the hardware itself answers.
#[test]
fn dir_what_is_trapped_with_it_is_as_the_hardware_has_it() {
    each(&WITHOUT, 2, |domain, cpus| {
        let bits = domain.machine.profile.priority_bits;
        split(cpus);
        cpus[0].hypercall(|| {});
        edge(&cpus[0], 40);
        inject(domain, 40);
        assert_eq!(cpus[0].ack(), 40);
        cpus[0].eoi(40);
        cpus[0].dir(40);
        assert_eq!(traps(cpus), [true; 2]);
        for aarch32 in [false, true] {
            cpus[0].aarch32 = aarch32;
            let cpu = &cpus[0];
            let ctlr =
                u64::from(bits - 1) << 8 | u64::from(domain.machine.profile.espis != 0) << 19;
            for (value, left) in [(!0, 3), (2, 2), (!1, 2), (3, 3)] {
                assert!(cpu.write_icc(Icc::Ctlr, value));
                assert_eq!(cpu.read_icc(Icc::Ctlr), Some(ctlr | left), "{value:#x}");
                assert!(cpu.interface(|i| i.eoimode()));
            }
            for pmr in [0, 0x70, 0xff] {
                assert!(cpu.write_icc(Icc::Pmr, 0xabcd_0000 | pmr));
                let left = pmr & (0xff00 >> bits);
                assert_eq!(cpu.read_icc(Icc::Pmr), Some(left & 0xff));
                assert_eq!(u64::from(cpu.interface(|i| i.pmr())), left & 0xff);
            }
            assert!(cpu.write_icc(Icc::Ctlr, 2));
            for (intid, priority) in [(41, 0xa8), (42, 0x80), (43, 0x08)] {
                edge(cpu, intid);
                linux::set_priority(cpu, intid, priority);
                inject(domain, intid);
                assert_eq!(cpu.ack(), intid);
                assert_eq!(cpu.running_priority(), priority);
            }
            for (intid, running) in [(43, 0x80), (42, 0xa8), (41, 0xff)] {
                cpu.eoi(intid);
                cpu.dir(intid);
                assert_eq!(cpu.running_priority(), running);
            }
            // Read-only and write-only.
            assert!(!cpu.write_icc(Icc::Rpr, 0));
            assert_eq!(cpu.read_icc(Icc::Dir), None);
            assert!(cpu.common_traps());
        }
    });
}

#[test]
fn dir_a_trapped_priority_mask_masks() {
    each(&WITHOUT, 1, |domain, cpus| {
        let cpu = &cpus[0];
        split(cpus);
        edge(cpu, 40);
        linux::set_priority(cpu, 40, 0x80);
        inject(domain, 40);
        assert!(cpu.signalled() && cpu.common_traps());
        for _ in 0..2 {
            cpu.set_pmr(0x80);
            assert!(!cpu.signalled());
            cpu.set_pmr(0x88);
            assert!(cpu.signalled());
        }
        assert_eq!(cpu.ack(), 40);
        cpu.eoi(40);
        cpu.dir(40);
    });
}

#[test]
fn dir_and_its_like_are_undefined_with_a_gicv2() {
    let machine = Machine::power_on(Profile::GICV3_GICV);
    let domain = Domain::with_vcpus(&machine, Config::guest(2, 1)).expect("a domain");
    let mut cpus = linux::boot(&domain);
    assert!(!cpus[0].common_traps());
    for aarch32 in [false, true] {
        cpus[0].aarch32 = aarch32;
        for register in [Icc::Dir, Icc::Ctlr, Icc::Pmr, Icc::Rpr] {
            assert!(!cpus[0].write_icc(register, 0), "{register:?}");
            assert_eq!(cpus[0].read_icc(register), None, "{register:?}");
        }
        assert!(!cpus[0].read_sysreg(SysReg::Dir));
    }
}
