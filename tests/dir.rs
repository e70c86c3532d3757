// SPDX-License-Identifier: GPL-2.0-only
//! EOImode 1 on a GICv2: GICC_DIR is in memory, on a page of its own, and nothing but that page's absence makes it trap.
//!
//! What the guest deactivates need not be in a list register, nor in one of the vCPU that does it: with less than a
//! trap the hardware would have to find it there.

use vgic_harness::guests::guest::{Abort, GuestCpu, Size};
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain, Gicc};
use vgic_harness::xen::host::Machine;

/// The machines that GICv2 guests run on, and the guests: Dom0, one at the host's addresses, one elsewhere.
fn each(vcpus: usize, test: impl Fn(&Domain, &[GuestCpu])) {
    for profile in Profile::ALL.into_iter().filter(|p| p.runs(2)) {
        let guest = Config::guest(2, vcpus);
        let direct = Config {
            direct_mapped: true,
            ..guest
        };
        for config in [Config::dom0(2, vcpus), direct, guest] {
            let machine = Machine::power_on(profile);
            let domain = Domain::with_vcpus(&machine, config).expect("a domain");
            let cpus = linux::boot(&domain);
            test(&domain, &cpus);
        }
    }
}

/// Edge interrupts for vCPU 0, enabled, and EOImode 1 everywhere.
fn split(domain: &Domain, cpus: &[GuestCpu], intids: std::ops::Range<u32>) {
    for intid in intids {
        linux::set_trigger(&cpus[0], intid, true);
        linux::route(&cpus[0], intid, 0);
        linux::enable(&cpus[0], intid);
    }
    for cpu in cpus {
        cpu.set_eoimode(true);
    }
    assert!(!domain.gicc().is_mapped(domain.gicc().dir()), "DIR traps");
}

fn inject(domain: &Domain, intid: u32) {
    let spare = domain.machine.pcpus().len() - 1;
    domain
        .machine
        .hypervisor(spare, || domain.inject(intid, true));
}

/// Injects, acknowledges and ends each: their priority is dropped, and all of them are active.
fn activate(domain: &Domain, cpu: &GuestCpu, intids: impl Iterator<Item = u32>) {
    for intid in intids {
        inject(domain, intid);
        assert_eq!(cpu.ack(), intid);
        cpu.eoi(intid);
        assert!(linux::bit(cpu, linux::gicd::ISACTIVER, intid), "{intid}");
    }
}

/// Is each of them inactive, and does it come once more and only once?
fn works_again(domain: &Domain, cpus: &[GuestCpu], intids: impl Iterator<Item = u32>) {
    for intid in intids {
        let active = linux::bit(&cpus[0], linux::gicd::ISACTIVER, intid);
        assert!(!active, "{intid} is still active");
        inject(domain, intid);
        assert_eq!(cpus[0].ack(), intid);
        cpus[0].eoi(intid);
        cpus[0].dir(intid);
    }
    for cpu in cpus {
        cpu.step();
        assert!(!cpu.signalled(), "vCPU {}", cpu.vcpu.id);
    }
}

#[test]
fn more_active_than_list_registers_are_deactivated_in_any_order() {
    each(1, |domain, cpus| {
        split(domain, cpus, 40..52);
        let orders: [fn(u32) -> u32; 3] = [|n| 40 + n, |n| 51 - n, |n| 40 + n * 5 % 12];
        for order in orders {
            activate(domain, &cpus[0], 40..52);
            for n in 0..12 {
                inject(domain, order(n));
                cpus[0].step();
                assert!(!cpus[0].signalled(), "{} is active", order(n));
                cpus[0].dir(order(n));
                // Pending while it was active: now it comes, and is active again.
                assert_eq!(cpus[0].ack(), order(n));
                cpus[0].eoi(order(n));
                cpus[0].dir(order(n));
            }
            works_again(domain, cpus, 40..52);
        }
    });
}

#[test]
fn what_one_vcpu_has_acknowledged_another_deactivates() {
    each(2, |domain, cpus| {
        split(domain, cpus, 40..48);
        activate(domain, &cpus[0], 40..48);
        // In a list register of the other, or in none.
        for intid in (40..48).rev() {
            cpus[1].dir(intid);
        }
        works_again(domain, cpus, 40..48);
    });
}

#[test]
fn a_physical_interrupt_is_deactivated_too() {
    each(2, |domain, cpus| {
        let gic = &domain.machine.gic;
        let active = || gic.snapshot(70).expect("an interrupt").active;
        domain.route(60, 70, true).expect("connected");
        split(domain, cpus, 40..48);
        linux::route(&cpus[0], 60, 0);
        linux::enable(&cpus[0], 60);
        for by in [0, 1] {
            gic.set_line(70, true);
            assert_eq!(cpus[0].ack(), 60);
            gic.set_line(70, false);
            cpus[0].eoi(60);
            assert!(active(), "only the priority is dropped");
            // More than there are list registers, so that it may lose its own.
            activate(domain, &cpus[0], 40..48);
            cpus[by].dir(60);
            assert!(!active(), "deactivated by vCPU {by}");
            (40..48).for_each(|intid| cpus[by].dir(intid));
        }
        works_again(domain, cpus, 40..48);
        let physical = gic.snapshot(70).expect("an interrupt");
        assert_eq!((physical.acknowledged, physical.deactivated), (2, 2));
    });
}

#[test]
fn an_sgi_is_deactivated_with_its_source() {
    each(2, |domain, cpus| {
        split(domain, cpus, 40..41);
        linux::send_sgi(&cpus[1], 0, 3);
        let iar = cpus[0].ack();
        assert_eq!(iar, 3 | 1 << 10);
        cpus[0].eoi(iar);
        linux::send_sgi(&cpus[1], 0, 3);
        cpus[0].step();
        assert!(!cpus[0].signalled(), "still active");
        cpus[0].dir(iar);
        assert_eq!(cpus[0].ack(), iar);
        cpus[0].eoi(iar);
        cpus[0].dir(iar);
        assert!(!cpus[0].signalled());
    });
}

#[test]
fn with_eoimode_0_it_does_nothing() {
    each(1, |domain, cpus| {
        split(domain, cpus, 40..41);
        cpus[0].set_eoimode(false);
        inject(domain, 40);
        assert_eq!(cpus[0].ack(), 40);
        cpus[0].dir(40);
        assert!(linux::bit(&cpus[0], linux::gicd::ISACTIVER, 40));
        cpus[0].eoi(40);
        assert!(!linux::bit(&cpus[0], linux::gicd::ISACTIVER, 40));
    });
}

#[test]
fn nonsense_in_dir_is_ignored() {
    each(1, |domain, cpus| {
        split(domain, cpus, 40..41);
        activate(domain, &cpus[0], 40..41);
        for nonsense in [0, 15, 27, 41, 255, 256, 1019, 1020, 1023, 8192, !0] {
            cpus[0].dir(nonsense);
        }
        assert!(linux::bit(&cpus[0], linux::gicd::ISACTIVER, 40));
        // Bits above the source CPU are reserved.
        cpus[0].dir(40 | 0xffff_e000);
        works_again(domain, cpus, 40..41);
    });
}

#[test]
fn only_a_word_at_dir_is_dir() {
    each(1, |domain, cpus| {
        split(domain, cpus, 40..41);
        activate(domain, &cpus[0], 40..41);
        let cpu = &cpus[0];
        let dir = domain.gicc().dir();
        let active = || linux::bit(cpu, linux::gicd::ISACTIVER, 40);
        for size in [Size::Byte, Size::Half, Size::Double] {
            assert_eq!(cpu.store(dir, size, 40), Ok(()));
        }
        for offset in (4..0x1000).step_by(4) {
            assert_eq!(cpu.store(dir + offset, Size::Word, 40), Ok(()));
        }
        assert!(active(), "no write but DIR's deactivates");
        for size in [Size::Byte, Size::Half, Size::Word, Size::Double] {
            assert_eq!(cpu.load(dir, size), Ok(0), "write-only");
        }
        // The guest's whole register is handed over: a word of it is written.
        assert_eq!(cpu.store(dir, Size::Word, 0xffff_ffff_0000_0028), Ok(()));
        assert!(!active());
    });
}

#[test]
fn the_frame_is_whole() {
    each(1, |domain, cpus| {
        let host = domain.machine.profile.frames.expect("a GICV frame");
        let aliased = domain.machine.profile.aliased();
        let (whole, expected) = match (aliased, domain.config.hardware) {
            // Dom0 sees the host's frames, all copies of both pages of them.
            (true, true) => (
                0x20000,
                Gicc {
                    base: host.gicc,
                    mapped: 0x10000,
                    gicv: host.gicv,
                    aliased: true,
                },
            ),
            (_, hardware) => (
                0x2000,
                Gicc {
                    base: if hardware || domain.config.direct_mapped {
                        host.gicc
                    } else {
                        0x0300_2000
                    },
                    mapped: 0x1000,
                    gicv: host.gicv + if aliased { 0xf000 } else { 0 },
                    aliased: false,
                },
            ),
        };
        let gicc = domain.gicc();
        assert_eq!(gicc, expected);
        let cpu = &cpus[0];
        // Xen asks the handlers first: one of ours must not stand in the way of what it maps.
        for page in (0..whole).step_by(0x1000) {
            for offset in [0, 4, 0xffc] {
                let address = gicc.base + page + offset;
                let found = cpu.load(address, Size::Word);
                let trapped = if gicc.is_mapped(address) {
                    Err(Abort::Unmapped)
                } else {
                    Ok(0)
                };
                assert_eq!(found, trapped, "{address:#x}");
            }
        }
        let after = cpu.load(gicc.base + whole, Size::Word);
        assert_eq!(after, Err(Abort::Unmapped), "not ours any more");
    });
}

#[test]
fn each_copy_of_the_page_has_a_dir() {
    let machine = Machine::power_on(Profile::GICV2_ALIASED);
    let domain = Domain::with_vcpus(&machine, Config::dom0(2, 1)).expect("a domain");
    let cpus = linux::boot(&domain);
    split(&domain, &cpus, 40..41);
    for page in 0..16 {
        activate(&domain, &cpus[0], 40..41);
        let dir = domain.gicc().dir() + page * 0x1000;
        assert_eq!(cpus[0].store(dir + 4, Size::Word, 40), Ok(()));
        assert!(linux::bit(&cpus[0], linux::gicd::ISACTIVER, 40));
        assert_eq!(cpus[0].store(dir, Size::Word, 40), Ok(()));
        works_again(&domain, &cpus, 40..41);
    }
}
