// SPDX-License-Identifier: GPL-2.0-only
//! Extended SPIs (GICv3.1, INTIDs 4096 to 5119), from the numbers that Xen asks for to their end in the guest.

use std::sync::Arc;
use vgic_harness::guests::guest::{GuestCpu, Size};
use vgic_harness::guests::linux::{self, gicd};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain, Errno};
use vgic_harness::xen::host::Machine;

const EINVAL: Errno = Errno(-22);
/// The first, those on both sides of a register's end, and the last.
const SAMPLE: [u32; 5] = [4096, 4127, 4128, 4500, 5119];

fn machine() -> Arc<Machine> {
    Machine::power_on(Profile::GICV3_ESPI)
}

/// A booted Dom0 with all that the host has.
fn dom0(vcpus: usize) -> (Domain, Vec<GuestCpu>) {
    let config = Config::dom0(3, vcpus).with_espis(1024);
    let domain = Domain::with_vcpus(&machine(), config).expect("a domain");
    let cpus = linux::boot(&domain);
    (domain, cpus)
}

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

fn drain(cpu: &GuestCpu) -> Vec<u32> {
    std::iter::from_fn(|| cpu.take(|_| {})).take(2000).collect()
}

#[test]
fn xen_asks_for_them_by_the_highest_number() {
    let machine = machine();
    let asked = |nr_spis| {
        let config = Config {
            spis: nr_spis,
            ..Config::guest(3, 1)
        };
        let domain = Domain::create(&machine, config)?;
        let last = (4096..5200).rev().find(|n| domain.is_valid_line(*n));
        Ok((domain.nr_spis(), last))
    };
    assert_eq!(asked(224), Ok((224, None)));
    // What is asked for is the number after the last, less 32; all other SPIs of the host come with them.
    assert_eq!(asked(4096 + 1 - 32), Ok((960, Some(4127))));
    assert_eq!(asked(4096 + 33 - 32), Ok((960, Some(4159))));
    assert_eq!(asked(4096 + 1024 - 32), Ok((960, Some(5119))));
    for nr_spis in [989, 4000, 4096 + 1025 - 32, 1 << 20, u32::MAX] {
        assert_eq!(asked(nr_spis), Err(EINVAL), "{nr_spis}");
    }
}

#[test]
fn virqs_are_reserved_allocated_and_freed() {
    let config = Config::guest(3, 1).with_espis(64);
    let domain = Domain::create(&machine(), config).expect("a domain");
    for virq in [1019, 1020, 4095, 4160, 5119, 5120] {
        assert!(!domain.is_valid_line(virq) && !domain.reserve_virq(virq));
        domain.free_virq(virq);
    }
    assert!(domain.is_valid_line(4096) && domain.is_valid_line(4159));
    assert!(domain.reserve_virq(4100) && !domain.reserve_virq(4100));
    domain.free_virq(4100);
    assert!(domain.reserve_virq(4100));
    let mut all: Vec<u32> = std::iter::from_fn(|| domain.allocate_virq(true)).collect();
    all.sort_unstable();
    let expected = (32..992).chain(4096..4160).filter(|n| *n != 4100);
    assert_eq!(all, expected.collect::<Vec<_>>());
    // Freed by its own number: the bitmap that Xen reads has no gap.
    domain.free_virq(4159);
    assert_eq!(domain.allocate_virq(true), Some(4159));
}

#[test]
fn the_distributor_tells_of_them() {
    let machine = machine();
    for (espis, range) in [(1024, 31), (64, 1), (32, 0)] {
        let config = Config::dom0(3, 1).with_espis(espis);
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        let typer = GuestCpu::start(&domain, 0).gicd_read(gicd::TYPER);
        assert_eq!((typer >> 8 & 1, typer >> 27), (1, range), "{espis}");
        assert_eq!(typer >> 19 & 0x1f, 12, "INTIDs of 13 bits");
        assert_eq!(typer & 0x1f, 960 / 32);
    }
}

#[test]
fn registers_read_back() {
    let (domain, cpus) = dom0(2);
    let cpu = &cpus[0];
    for intid in SAMPLE {
        for (set, clear) in [
            (gicd::ISENABLER, gicd::ICENABLER),
            (gicd::ISPENDR, gicd::ICPENDR),
            (gicd::ISACTIVER, gicd::ICACTIVER),
        ] {
            assert!(!linux::bit(cpu, set, intid) && !linux::bit(cpu, clear, intid));
            linux::poke(cpu, set, intid);
            assert!(linux::bit(cpu, set, intid) && linux::bit(cpu, clear, intid));
            // Nobody else's, of either kind.
            for other in SAMPLE.into_iter().chain([intid - 4096 + 32]) {
                assert!(
                    other == intid || other > 991 && other < 4096 || !linux::bit(cpu, set, other)
                );
            }
            linux::poke(cpu, clear, intid);
            assert!(!linux::bit(cpu, set, intid) && !linux::bit(cpu, clear, intid));
        }
        assert!(linux::bit(cpu, gicd::IGROUPR, intid), "Linux has set it");
        linux::set_group1(cpu, intid, false);
        assert!(!linux::bit(cpu, gicd::IGROUPR, intid), "IGROUPRnE");
        linux::set_group1(cpu, intid, true);
        assert!(linux::bit(cpu, gicd::IGROUPR, intid), "IGROUPRnE");
        let n = u64::from(intid - 4096);
        let read = |at: u64, size| cpu.load(domain.gicd() + at, size).expect("a register");
        linux::set_priority(cpu, intid, 0x5f);
        assert_eq!(read(0x2000 + n, Size::Byte), 0x58, "IPRIORITYRnE");
        linux::set_trigger(cpu, intid, true);
        assert_eq!(
            read(0x3000 + n / 16 * 4, Size::Word) >> (n % 16 * 2) & 3,
            2,
            "ICFGRnE"
        );
        linux::route(cpu, intid, 1);
        assert_eq!(read(0x8000 + n * 8, Size::Double), 1, "IROUTERnE");
        assert_eq!(read(0x8000 + n * 8 + 4, Size::Word), 0, "its upper half");
    }
}

#[test]
fn what_a_domain_has_not_is_raz_wi() {
    let machine = machine();
    let arrays = [
        gicd::IGROUPR,
        gicd::ISENABLER,
        gicd::ISPENDR,
        gicd::ISACTIVER,
        gicd::IPRIORITYR,
        gicd::ICFGR,
        gicd::IROUTER,
    ]
    .map(gicd::extended);
    for (config, first) in [
        (Config::guest(3, 2), 4096),
        (Config::guest(3, 2).with_espis(32), 4128),
    ] {
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        let cpus = linux::boot(&domain);
        for (array, bits) in arrays.into_iter().zip([1, 1, 1, 1, 8, 2, 64]) {
            for intid in [first, 5119 & !31] {
                let at = array + (intid - 4096) * bits / 8;
                cpus[0].gicd_write(at, !0);
                assert_eq!(cpus[0].gicd_read(at), 0, "{at:#x}");
            }
        }
        inject(&domain, first as u32, true);
        assert!(!cpus[0].signalled() && !cpus[1].signalled());
    }
}

#[test]
fn a_gicv2_guest_has_none() {
    let machine = Machine::power_on(Profile {
        frames: Profile::GICV3_GICV.frames,
        ..Profile::GICV3_ESPI
    });
    // The default that Xen makes of the host's numbers, whatever the guest's version.
    let config = Config::dom0(2, 1).with_espis(1024);
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    assert_eq!(domain.nr_spis(), 960);
    assert!(domain.is_valid_line(991) && !domain.is_valid_line(4096));
    let cpus = linux::boot(&domain);
    inject(&domain, 4096, true);
    assert!(!cpus[0].signalled());
}

#[test]
fn edges_and_levels_arrive() {
    let (domain, cpus) = dom0(1);
    for intid in SAMPLE {
        edge(&cpus[0], intid);
        inject(&domain, intid, true);
        inject(&domain, intid, true);
        assert_eq!(drain(&cpus[0]), [intid]);
        linux::disable(&cpus[0], intid);
        linux::set_trigger(&cpus[0], intid, false);
        linux::enable(&cpus[0], intid);
        inject(&domain, intid, true);
        assert_eq!(cpus[0].take(|_| {}), Some(intid));
        assert_eq!(
            cpus[0].take(|_| inject(&domain, intid, false)),
            Some(intid),
            "the line was still up"
        );
        assert_eq!(drain(&cpus[0]), []);
    }
}

#[test]
fn messages_name_them_with_13_bits() {
    const SETSPI_NSR: u64 = 0x40;
    let (_domain, cpus) = dom0(1);
    for intid in SAMPLE {
        edge(&cpus[0], intid);
        cpus[0].gicd_write(SETSPI_NSR, intid);
        assert_eq!(drain(&cpus[0]), [intid]);
    }
}

#[test]
fn a_physical_one_is_exact() {
    for level in [true, false] {
        let (domain, cpus) = dom0(2);
        let gic = &domain.machine.gic;
        // Other numbers, so that neither can stand for the other, and 13 bits of the physical one.
        for (virq, irq) in [(4097, 5119), (4200, 40), (50, 4096)] {
            domain.route(virq, irq, level).expect("connected");
            assert!(domain.has_hw_irq(virq));
            let irq = irq as u16;
            let physical = || gic.snapshot(irq).expect("an interrupt");
            linux::set_trigger(&cpus[0], virq, !level);
            linux::enable(&cpus[0], virq);
            assert!(physical().enabled && physical().level_sensitive == level);
            for n in 1..=3 {
                gic.set_line(irq, true);
                assert_eq!(cpus[0].ack(), virq);
                assert!(physical().active);
                gic.set_line(irq, false);
                cpus[0].eoi(virq);
                assert_eq!(drain(&cpus[0]), []);
                let p = physical();
                assert_eq!((p.acknowledged, p.deactivated, p.active), (n, n, false));
            }
            linux::disable(&cpus[0], virq);
            assert!(!physical().enabled);
        }
    }
}

#[test]
fn a_physical_one_follows_its_route_and_its_vcpu() {
    let (domain, mut cpus) = dom0(2);
    let gic = &domain.machine.gic;
    domain.route(4300, 4400, true).expect("connected");
    let target = || gic.snapshot(4400).expect("an interrupt").target;
    linux::enable(&cpus[0], 4300);
    linux::route(&cpus[0], 4300, 1);
    assert_eq!(target(), 1);
    cpus[1].migrate(2);
    assert_eq!(target(), 2);
    gic.set_line(4400, true);
    assert_eq!(cpus[1].take(|_| gic.set_line(4400, false)), Some(4300));
    assert_eq!([drain(&cpus[0]), drain(&cpus[1])], [vec![], vec![]]);
}

#[test]
fn a_domain_gives_physical_ones_back() {
    let machine = machine();
    let config = Config::dom0(3, 1).with_espis(1024);
    for _ in 0..2 {
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        let cpus = linux::boot(&domain);
        domain.route(5119, 5119, true).expect("connected");
        linux::enable(&cpus[0], 5119);
        machine.gic.set_line(5119, true);
        assert_eq!(cpus[0].ack(), 5119);
        machine.gic.set_line(5119, false);
        drop(cpus);
        drop(domain);
        let physical = machine.gic.snapshot(5119).expect("an interrupt");
        assert!(!physical.active && !physical.enabled);
    }
}

#[test]
fn a_pending_one_follows_its_route() {
    let (domain, cpus) = dom0(2);
    let many: Vec<u32> = (4096..4132).collect();
    many.iter().for_each(|&n| edge(&cpus[0], n));
    // Some in list registers of vCPU 0, where they are masked, and some that found none.
    cpus[0].interface(|i| i.set_pmr(0));
    many.iter().for_each(|&n| inject(&domain, n, true));
    cpus[0].step();
    many.iter().for_each(|&n| linux::route(&cpus[1], n, 1));
    // Asked for, vCPU 0 lets them go.
    cpus[0].step();
    let mut taken = drain(&cpus[1]);
    taken.sort_unstable();
    assert_eq!(taken, many);
    cpus[0].interface(|i| i.set_pmr(linux::PMR));
    assert_eq!(drain(&cpus[0]), []);
    // Active: stays until it ends, and what came meanwhile goes to the new target.
    inject(&domain, 4096, true);
    assert_eq!(cpus[1].ack(), 4096);
    linux::route(&cpus[0], 4096, 0);
    inject(&domain, 4096, true);
    cpus[1].eoi(4096);
    cpus[1].step();
    assert_eq!([drain(&cpus[1]), drain(&cpus[0])], [vec![], vec![4096]]);
}

#[test]
fn any_vcpu_may_have_one() {
    let (domain, cpus) = dom0(3);
    edge(&cpus[0], 4700);
    linux::route_to_any(&cpus[0], 4700);
    for _ in 0..3 {
        inject(&domain, 4700, true);
        let taken: Vec<u32> = cpus.iter().flat_map(drain).collect();
        assert_eq!(taken, [4700]);
    }
}

#[test]
fn they_share_list_registers_with_all_others_by_priority() {
    let (domain, cpus) = dom0(1);
    let cpu = &cpus[0];
    let all: Vec<u32> = (40..60).chain(4096..4126).chain(5110..5120).collect();
    let priority = |n: u32| (n * 7 % 11 * 8 + 0x40) as u8;
    for &n in &all {
        edge(cpu, n);
        linux::set_priority(cpu, n, priority(n));
        inject(&domain, n, true);
    }
    let taken = drain(cpu);
    assert_eq!(taken.len(), all.len());
    assert!(
        taken.is_sorted_by_key(|n| priority(*n)),
        "in the order of their priorities: {taken:?}"
    );
    let mut sorted = taken;
    sorted.sort_unstable();
    assert_eq!(sorted, all);
}

#[test]
fn more_active_than_list_registers_end() {
    let (domain, cpus) = dom0(1);
    let cpu = &cpus[0];
    let nested: Vec<u32> = (4120..4144).collect();
    cpu.interface(|i| i.set_pmr(0xf8));
    for (n, &intid) in nested.iter().enumerate() {
        edge(cpu, intid);
        linux::set_priority(cpu, intid, 0xf0 - n as u8 * 8);
        inject(&domain, intid, true);
        assert_eq!(cpu.ack(), intid);
    }
    for &intid in nested.iter().rev() {
        assert!(linux::bit(cpu, gicd::ISACTIVER, intid), "{intid}");
        cpu.eoi(intid);
        cpu.step();
        assert!(!linux::bit(cpu, gicd::ISACTIVER, intid), "{intid}");
    }
    nested.iter().for_each(|&n| inject(&domain, n, true));
    assert_eq!(drain(cpu).len(), nested.len());
}
