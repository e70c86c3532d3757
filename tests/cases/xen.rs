// SPDX-License-Identifier: GPL-2.0-only
//! Xen's security advisories, and fixes named by their commits.

use crate::common::{drain, drain_iar, each, edge, inject, on};
use vgic_harness::guests::guest::{Abort, GICR_STRIDE, GuestCpu, Size, SysReg};
use vgic_harness::guests::linux::{self, gicd, gicr};
use vgic_harness::machine::profile::Profile;
use vgic_harness::machine::profile::Region;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::faults;
use vgic_harness::xen::host::Machine;

#[test]
fn xsa_94_icfgr_beyond_the_last_interrupt() {
    for profile in Profile::ALL {
        let config = Config {
            spis: 32,
            ..Config::dom0(profile.gic, 1)
        };
        on(profile, config, |_, cpus| {
            let cpu = &cpus[0];
            assert_eq!(cpu.gicd_read(gicd::TYPER) & 0x1f, 1);
            for offset in (0x10..0x100).step_by(4) {
                cpu.gicd_write(gicd::ICFGR + offset, !0);
                assert_eq!(cpu.gicd_read(gicd::ICFGR + offset), 0, "{offset:#x}");
            }
            // The last one that exists: bit 0 of each field is reserved.
            cpu.gicd_write(gicd::ICFGR + 0xc, !0);
            assert_eq!(cpu.gicd_read(gicd::ICFGR + 0xc), 0xaaaa_aaaa);
            assert_eq!(cpu.gicd_read(gicd::ICFGR + 0x8), 0);
        });
    }
}

#[test]
fn xsa_117_sgir_with_the_reserved_filter() {
    on(Profile::GICV2, Config::guest(2, 3), |_, cpus| {
        for sgi in 0..16 {
            cpus[1].gicd_write(gicd::SGIR, 3 << 24 | sgi);
            cpus[1].gicd_write(gicd::SGIR, 3 << 24 | 7 << 16 | sgi);
        }
        assert!(cpus.iter().all(|cpu| drain(cpu).is_empty()));
        cpus[1].gicd_write(gicd::SGIR, 1 << 16 | 5);
        assert_eq!(drain_iar(&cpus[0]), [1 << 10 | 5], "the next one is sent");
    });
}

#[test]
fn be7f0cc651_sgir_reserved_filter_with_all_targets() {
    for vcpus in 1..=4 {
        on(Profile::GICV2, Config::guest(2, vcpus), |_, cpus| {
            for value in [3 << 24 | 0xff << 16, !0, !0 << 4] {
                cpus[0].gicd_write(gicd::SGIR, value);
            }
            for cpu in cpus {
                assert_eq!(drain(cpu), []);
                for word in 0..4 {
                    assert_eq!(cpu.gicd_read(0xf20 + word * 4), 0, "SPENDSGIR");
                }
            }
        });
    }
}

#[test]
fn xsa_118_a_guest_cannot_fill_the_log() {
    each(2, |domain, cpus| {
        let (machine, cpu) = (&domain.machine, &cpus[0]);
        machine.take_console();
        for n in 0..100 {
            for offset in [0xc, 0x30, 0x7c, 0xd00, 0xe00, 0xf00, 0xf30, 0xffc] {
                cpu.gicd_write(offset, 3 << 24 | n);
                cpu.gicd_read(offset);
                for size in [Size::Byte, Size::Half, Size::Double] {
                    assert_eq!(cpu.store(cpu.gicd() + offset + 1, size, !0), Ok(()));
                    assert_eq!(cpu.load(cpu.gicd() + offset + 1, size), Ok(0));
                }
            }
            linux::route(cpu, 40, 7);
            cpu.gicd_write(gicd::ISENABLER + 0x7c, !0);
            cpu.dir(1023);
            for register in [SysReg::Sgi1r, SysReg::Asgi1r, SysReg::Sgi0r] {
                let there = cpu.write_sysreg(register, false, 0xff_00ff_0000_ffff);
                assert_eq!(there, cpu.vcpu.gic_version == 3);
            }
            inject(domain, 1000 + n, true);
        }
        // Ten of them are told, and that no more will be.
        let console = machine.take_console();
        assert_eq!(console.lines().count(), 11, "{console}");
    });
}

#[test]
fn xsa_223_disabled_while_inflight() {
    each(2, |domain, cpus| {
        let cpu = &cpus[0];
        let gic = &domain.machine.gic;
        domain.route(90, 70, true).expect("connected");
        linux::enable(cpu, 90);
        let all: Vec<u32> = (64..88).chain([90]).collect();
        (64..88).for_each(|n| edge(cpu, n));
        // By itself, by another vCPU while it runs, and from the list registers as well as from behind them.
        for by in [0, 1] {
            (64..88).for_each(|n| inject(domain, n, true));
            gic.set_line(70, true);
            cpu.step();
            cpus[by].gicd_write(gicd::ICENABLER + 8, !0);
            assert_eq!(drain(cpu), []);
            let held = domain.machine.pcpu(cpu.cpu()).interface();
            assert!(held.list_registers().all(|lr| !lr.pending), "all disabled");
            drop(held);
            assert!(all.iter().all(|&n| linux::bit(cpu, gicd::ISPENDR, n)));
            for &n in &all {
                linux::enable(&cpus[by], n);
            }
            let serve = |n| {
                if n == 90 {
                    gic.set_line(70, false);
                }
            };
            let mut taken: Vec<u32> = std::iter::from_fn(|| cpu.take(serve)).take(100).collect();
            taken.sort_unstable();
            assert_eq!(taken, all, "each of them once");
        }
        let physical = gic.snapshot(70).expect("an interrupt");
        assert_eq!(physical.acknowledged, physical.deactivated);
    });
}

#[test]
fn xsa_225_sgi_target_list_beyond_the_last_vcpu() {
    each(3, |_, cpus| {
        let sender = &cpus[1];
        if sender.vcpu.gic_version == 2 {
            sender.gicd_write(gicd::SGIR, 0xf8 << 16 | 2);
            sender.gicd_write(gicd::SGIR, 0xff << 16 | 3);
        } else {
            let to = |value: u64| assert!(sender.write_sysreg(SysReg::Sgi1r, false, value));
            to(2 << 24 | 0xfff8);
            // Other clusters, at each level, and another range.
            for shift in [16, 32, 44, 48] {
                to(2 << 24 | 0xffff | 1 << shift);
                to(2 << 24 | 0xffff | 0xf << shift);
            }
            to(3 << 24 | 0xffff);
        }
        let taken: Vec<_> = cpus.iter().map(drain).collect();
        assert_eq!(taken, [[3], [3], [3]], "those that exist, once");
    });
}

#[test]
fn xen_7ad6cfa66f_redistributor_of_a_vcpu_that_was_not_made() {
    let machine = Machine::power_on(Profile::GICV3);
    let domain = Domain::create(&machine, Config::guest(3, 4)).expect("a domain");
    (0..2).for_each(|cpu| drop(domain.create_vcpu(cpu).expect("a vCPU")));
    let cpu = GuestCpu::start(&domain, 0);
    for id in 2..4 {
        let base = cpu.gicr_of(id).expect("room for it");
        for offset in (0..0x2_0000).step_by(4) {
            assert_eq!(cpu.store(base + offset, Size::Word, !0), Ok(()));
            assert_eq!(cpu.load(base + offset, Size::Word), Ok(0), "{offset:#x}");
        }
    }
    // The guest's walk of the region ends at the last that exists.
    let last = |id| {
        let typer = cpu.load(cpu.gicr_of(id).expect("a slot") + gicr::TYPER, Size::Double);
        typer.expect("TYPER") >> 4 & 1
    };
    assert_eq!((last(0), last(1)), (0, 1));
    // An SGI to all of them reaches those that exist.
    let second = GuestCpu::start(&domain, 1);
    linux::init_distributor(&cpu);
    linux::init_cpu(&cpu);
    linux::init_cpu(&second);
    assert!(cpu.write_sysreg(SysReg::Sgi1r, false, 4 << 24 | 0xffff));
    assert_eq!((drain(&cpu), drain(&second)), (vec![4], vec![4]));
}

/// A host whose regions are full with five.
const FEW_REDISTRIBUTORS: Profile = Profile {
    regions: &[
        Region {
            base: 0x080a_0000,
            redistributors: 2,
        },
        Region {
            base: 0x40_0000_0000,
            redistributors: 3,
        },
    ],
    ..Profile::GICV3
};

/// A Dom0 with more vCPUs than the host's layout has redistributors, and how many there are.
fn crowded(machine: &std::sync::Arc<Machine>) -> (Domain, usize) {
    let domain = Domain::create(machine, Config::dom0(3, 16)).expect("a domain");
    let bytes: u64 = domain.gicr_regions().iter().map(|r| r.1).sum();
    let slots = (bytes / GICR_STRIDE) as usize;
    assert!(slots < 16, "the host's layout is too large for this test");
    for n in 0..slots {
        assert!(domain.create_vcpu(n % 4).is_ok(), "vCPU {n} has a slot");
    }
    (domain, slots)
}

#[test]
fn xen_961cc8cc0f_a_vcpu_without_a_redistributor_slot_is_refused() {
    let machine = Machine::power_on(FEW_REDISTRIBUTORS);
    let (domain, _) = crowded(&machine);
    assert!(domain.create_vcpu(0).is_err());
}

#[test]
fn xen_961cc8cc0f_the_other_vcpus_work() {
    let machine = Machine::power_on(FEW_REDISTRIBUTORS);
    let before = faults::live();
    let (domain, slots) = crowded(&machine);
    // Accepted or not; it must do no harm, and there is no region beyond the host's.
    let extra = domain.create_vcpu(0);
    assert_eq!(domain.gicr_regions().len(), 2);
    let cpu = GuestCpu::start(&domain, 0);
    linux::init_distributor(&cpu);
    linux::init_cpu(&cpu);
    let last = cpu.gicr_of(slots - 1).expect("a slot");
    let typer = cpu.load(last + gicr::TYPER, Size::Double).expect("TYPER");
    assert_eq!((typer >> 32, typer >> 4 & 1), (slots as u64 - 1, 1), "Last");
    assert_eq!(
        cpu.load(last + GICR_STRIDE, Size::Word),
        Err(Abort::Unmapped)
    );
    assert!(cpu.write_sysreg(SysReg::Sgi1r, false, 1 << 24 | 0xffff));
    assert_eq!(drain(&cpu), [1]);
    drop((cpu, extra, domain));
    assert_eq!(faults::live(), before);
}

#[test]
fn xen_861e7862b8_icpendr_reads_as_what_is_pending() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        linux::set_trigger(cpu, 40, true);
        inject(domain, 40, true);
        for n in 0..32 {
            let expected = u32::from(n == 1) << 8;
            assert_eq!(cpu.gicd_read(gicd::ICPENDR + n * 4), expected, "{n}");
            assert_eq!(cpu.gicd_read(gicd::ISPENDR + n * 4), expected, "{n}");
        }
        linux::poke(cpu, gicd::ICPENDR, 40);
        assert_eq!(cpu.gicd_read(gicd::ICPENDR + 4), 0);
    });
}

#[test]
fn xen_1f75bd375d_propbaser_and_pendbaser_without_lpis() {
    on(Profile::GICV3, Config::guest(3, 2), |_, cpus| {
        let base = cpus[0].gicr_of(0).expect("a redistributor");
        for register in [base + 0x70, base + 0x78] {
            for (address, size) in [
                (register, Size::Double),
                (register, Size::Word),
                (register + 4, Size::Word),
            ] {
                assert_eq!(cpus[0].store(address, size, !0), Ok(()));
                assert_eq!(cpus[0].load(address, size), Ok(0));
            }
        }
    });
}

#[test]
fn xen_351d41e8ae_isactiver_without_extended_spis() {
    on(Profile::GICV3, Config::guest(3, 1), |_, cpus| {
        let cpu = &cpus[0];
        assert_eq!(cpu.gicd_read(gicd::TYPER) >> 8 & 1, 0, "TYPER.ESPI");
        for offset in (0x1a00..0x1c80).step_by(4) {
            cpu.gicd_write(offset, !0);
            assert_eq!(cpu.gicd_read(offset), 0, "{offset:#x}");
        }
        linux::poke(cpu, gicd::ISACTIVER, 40);
        assert!(linux::bit(cpu, gicd::ISACTIVER, 40));
        linux::poke(cpu, gicd::ICACTIVER, 40);
        assert!(!linux::bit(cpu, gicd::ISACTIVER, 40));
    });
}

#[test]
fn ispendr_as_linux_5_9_writes_it() {
    each(2, |_, cpus| {
        let cpu = &cpus[0];
        for intid in [20, 40, 255] {
            if intid >= 32 {
                linux::set_trigger(cpu, intid, true);
            }
            linux::enable(cpu, intid);
            linux::poke(cpu, gicd::ISPENDR, intid);
            assert!(linux::bit(cpu, gicd::ISPENDR, intid));
            assert_eq!(drain(cpu), [intid], "once");
            assert!(!linux::bit(cpu, gicd::ISPENDR, intid));
        }
    });
}
