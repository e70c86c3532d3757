// SPDX-License-Identifier: GPL-2.0-only
//! What Xen's newer C vGIC gets wrong.

use crate::common::{drain, drain_iar, each, edge, inject, on};
use vgic_harness::guests::guest::{GuestCpu, Size};
use vgic_harness::guests::linux::{self, gicd};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

#[test]
fn new_c_vgic_ispendr0_sgi() {
    each(2, |_, cpus| {
        for sgi in 0..16 {
            linux::poke(&cpus[0], gicd::ISPENDR, sgi);
            // A GICv2 has the SGIs' bits read-only, a GICv3 sets them pending.
            let expected = if cpus[0].vcpu.gic_version == 2 {
                vec![]
            } else {
                vec![sgi]
            };
            assert_eq!(drain(&cpus[0]), expected);
        }
        assert_eq!(drain(&cpus[1]), []);
        linux::send_sgi(&cpus[1], 0, 3);
        assert_eq!(drain(&cpus[0]), [3], "they can still be sent");
    });
}

#[test]
fn new_c_vgic_ffa_sgi_8_has_no_source() {
    each(2, |domain, cpus| {
        let raise = || {
            domain
                .machine
                .hypervisor(3, || domain.inject_private(&cpus[1].vcpu, 8, true));
        };
        raise();
        assert_eq!((drain(&cpus[0]), drain_iar(&cpus[1])), (vec![], vec![8]));
        // Twice is once, and again while it is active is once more.
        raise();
        raise();
        assert_eq!(cpus[1].ack(), 8);
        raise();
        cpus[1].eoi(8);
        assert_eq!(drain_iar(&cpus[1]), [8]);
    });
}

#[test]
fn new_c_vgic_target_that_does_not_exist_yet() {
    for profile in [Profile::GICV2, Profile::GICV3] {
        let machine = Machine::power_on(profile);
        let domain = Domain::create(&machine, Config::dom0(profile.gic, 2)).expect("a domain");
        domain.create_vcpu(0).expect("a vCPU");
        let cpu = GuestCpu::start(&domain, 0);
        linux::init_distributor(&cpu);
        linux::init_cpu(&cpu);
        edge(&cpu, 40);
        linux::route(&cpu, 40, 1);
        inject(&domain, 40, true);
        assert_eq!(drain(&cpu), [], "{}: routed to nobody", profile.name);
        if profile.gic == 2 {
            assert_eq!(cpu.gicd_read(gicd::ITARGETSR + 40) & 0xff, 0);
        }
        assert!(linux::bit(&cpu, gicd::ISPENDR, 40), "and not lost");
        domain.create_vcpu(1).expect("a vCPU");
        let second = GuestCpu::start(&domain, 1);
        linux::init_cpu(&second);
        linux::route(&cpu, 40, 1);
        assert_eq!((drain(&cpu), drain(&second)), (vec![], vec![40]));
    }
}

#[test]
fn new_c_vgic_free_releases_the_virtual_number() {
    for profile in [Profile::GICV2, Profile::GICV3] {
        let machine = Machine::power_on(profile);
        let gic = &machine.gic;
        // Crosswise: the physical number of one is the virtual number of the other.
        let first = Domain::with_vcpus(&machine, Config::guest(profile.gic, 1)).expect("a domain");
        first.route(50, 60, true).expect("connected");
        first.route(60, 51, true).expect("connected");
        let cpu = linux::boot(&first).remove(0);
        linux::enable(&cpu, 50);
        gic.set_line(60, true);
        assert_eq!(cpu.ack(), 50);
        gic.set_line(60, false);
        drop(cpu);
        drop(first);
        for irq in [51, 60] {
            let physical = gic.snapshot(irq).expect("an interrupt");
            assert!(!physical.active && !physical.enabled, "{irq} is released");
        }
        let next = Domain::with_vcpus(&machine, Config::guest(profile.gic, 1)).expect("a domain");
        next.route(60, 60, true).expect("it is to be had again");
        next.route(51, 51, true).expect("it is to be had again");
        let cpu = linux::boot(&next).remove(0);
        linux::enable(&cpu, 60);
        gic.set_line(60, true);
        assert_eq!(cpu.take(|_| gic.set_line(60, false)), Some(60));
        assert_eq!(drain(&cpu), []);
    }
}

#[test]
fn new_c_vgic_more_active_than_list_registers() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        cpu.interface(|i| i.set_pmr(0xf8));
        let nested: Vec<u32> = (50..74).collect();
        for &n in &nested {
            edge(cpu, n);
            linux::set_priority(cpu, n, 0xf0 - (n - 50) as u8 * 8);
            inject(domain, n, true);
            assert_eq!(cpu.ack(), n);
        }
        assert!(nested.iter().all(|&n| linux::bit(cpu, gicd::ISACTIVER, n)));
        for &n in nested.iter().rev() {
            cpu.eoi(n);
            cpu.step();
        }
        assert!(nested.iter().all(|&n| !linux::bit(cpu, gicd::ISACTIVER, n)));
        nested.iter().for_each(|&n| inject(domain, n, true));
        assert_eq!(drain(cpu), nested, "no deactivation is lost");
    });
}

#[test]
fn new_c_vgic_unknown_offsets_do_not_abort() {
    let reserved: [(u8, &[u64]); 2] = [
        (2, &[0x00c, 0x040, 0x07c, 0xd00, 0xefc, 0xf04, 0xf30, 0xfcc]),
        (
            3,
            &[0x014, 0x07c, 0xe00, 0xf00, 0xf30, 0x5000, 0x60f8, 0xffcc],
        ),
    ];
    for (profile, (gic, offsets)) in [Profile::GICV2, Profile::GICV3].into_iter().zip(reserved) {
        on(profile, Config::guest(gic, 2), |_, cpus| {
            let cpu = &cpus[0];
            let ctlr = cpu.gicd_read(gicd::CTLR);
            for &offset in offsets {
                for size in [Size::Byte, Size::Half, Size::Word, Size::Double] {
                    // Also misaligned, and across the end of it.
                    for address in cpu.gicd() + offset..cpu.gicd() + offset + 4 {
                        assert_eq!(cpu.store(address, size, !0), Ok(()), "{address:#x}");
                        assert_eq!(cpu.load(address, size), Ok(0), "{address:#x} {size:?}");
                    }
                }
            }
            if let (3, Some(own)) = (gic, cpu.gicr_of(0)) {
                for offset in [0x18, 0x20, 0x100, 0xffcc, 0x1_0000, 0x1_0f00, 0x1_fffc] {
                    assert_eq!(cpu.store(own + offset, Size::Word, !0), Ok(()));
                    assert_eq!(cpu.load(own + offset, Size::Word), Ok(0), "{offset:#x}");
                }
            }
            assert_eq!(cpu.gicd_read(gicd::CTLR), ctlr, "nothing else has changed");
        });
    }
}
