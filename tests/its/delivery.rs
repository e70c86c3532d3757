// SPDX-License-Identifier: GPL-2.0-only
//! From a device's message to the end of the interrupt, on every vCPU.

use super::*;
use vgic_harness::guests::guest::Size;
use vgic_harness::guests::its::gits;
use vgic_harness::guests::linux::gicr;
use vgic_harness::xen::abi;

#[test]
fn a_message_arrives_once_on_each_vcpu() {
    for profile in [SMALL, Profile::GICV3_GICV.with_itses(1), LARGE] {
        boot!(profile, 4, domain, cpus, its);
        its.map_device(&cpus[0], DEVICE, LPI, 8, |n| n as u16 % 4);
        for n in 0..8 {
            send(&domain, DEVICE, n);
            let mut expected = vec![vec![]; 4];
            expected[n as usize % 4] = vec![LPI + n];
            assert_eq!(taken(&cpus), expected, "{}", profile.name);
        }
        assert_eq!(taken(&cpus), vec![vec![]; 4], "nothing comes twice");
    }
}

#[test]
fn a_message_passes_the_iommu() {
    let (domain, cpus) = booted(LARGE.with_iommu(), 4);
    for n in 0..4 {
        let its = Its::probe(&domain, &cpus[0], n as usize);
        its.map_device(&cpus[0], DEVICE, LPI + n, 1, |_| 1);
        assert!(domain.send_msi(n, DEVICE, 0), "ITS {n}");
        assert_eq!(taken(&cpus)[1], [LPI + n]);
    }
}

/// Up to 4.20, Xen's IOMMU code has a BUG_ON() for a domain that is not direct-mapped.
#[test]
fn a_doorbell_is_mapped_only_where_xen_can() {
    let config = Config {
        direct_mapped: false,
        ..Config::dom0(3, 1)
    };
    let (domain, cpus) = booted_as(LARGE.with_iommu(), config);
    let its = Its::probe(&domain, &cpus[0], 0);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    assert_eq!(domain.send_msi(0, DEVICE, 0), abi::release() > 420);
}

#[test]
fn a_message_wakes_a_vcpu_that_waits() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 1);
    let mut cpus = cpus;
    assert!(!cpus[1].wfi(), "nothing is there: it blocks");
    domain.send_msi(0, DEVICE, 0);
    // It comes to CPU 0.
    domain.machine.quiesce(0);
    assert!(cpus[1].try_wake());
    assert_eq!(cpus[1].take_all(), [LPI]);
}

#[test]
fn lpis_survive_that_their_vcpu_is_off() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 3, |_| 1);
    let mut cpus = cpus;
    // One is pending and loaded, one is being handled.
    send(&domain, DEVICE, 0);
    assert_eq!(cpus[1].ack(), LPI);
    send(&domain, DEVICE, 1);
    cpus[1].psci_off();
    send(&domain, DEVICE, 2);
    let (first, rest) = cpus.split_at_mut(1);
    first[0].psci_on(&mut rest[0]);
    linux::init_cpu(&rest[0]);
    let mut left = taken(&cpus);
    left[1].sort_unstable();
    assert_eq!(left, [vec![], vec![LPI + 1, LPI + 2]]);
    send(&domain, DEVICE, 0);
    assert_eq!(taken(&cpus), [vec![], vec![LPI]], "an LPI is never active");
    // What is moved away from one that is off is delivered.
    cpus[1].psci_off();
    send(&domain, DEVICE, 1);
    its.send(&cpus[0], &[command::movall(1, 0)]);
    settle(&domain.machine);
    assert_eq!(cpus[0].take_all(), [LPI + 1]);
}

#[test]
fn priorities_and_enables_are_those_of_the_table() {
    boot!(SMALL, 1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 3, |_| 0);
    its::configure(&domain, LPI + 2, 0x80, true);
    its::configure(&domain, LPI + 1, 0x80, false);
    its.send(&cpus[0], &[command::invall(0)]);
    (0..3).for_each(|n| send(&domain, DEVICE, n));
    assert_eq!(cpus[0].take_all(), [LPI + 2, LPI]);
    // It is still pending, and delivered when it is enabled: by GICR_INVLPIR this time.
    its::configure(&domain, LPI + 1, 0x80, true);
    let frame = cpus[0].gicr_of(0).expect("a redistributor");
    let done = cpus[0].store(frame + gicr::INVLPIR, Size::Double, u64::from(LPI) + 1);
    assert_eq!((done, cpus[0].take_all()), (Ok(()), vec![LPI + 1]));
    assert_eq!(cpus[0].gicr_read(gicr::SYNCR) & 1, 0);
}

#[test]
fn pending_lpis_are_kept_in_memory_while_a_redistributor_has_them_off() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 2, |_| 1);
    cpus[1].interface(|i| i.set_pmr(0));
    send(&domain, DEVICE, 1);
    cpus[1].gicr_write(gicr::CTLR, 0);
    let place = its::pending_table(1) + u64::from(LPI + 1) / 8;
    assert_eq!(domain.read_memory(place), Some([1 << ((LPI + 1) % 8)]));
    cpus[1].interface(|i| i.set_pmr(linux::PMR));
    send(&domain, DEVICE, 0);
    assert_eq!(taken(&cpus), [vec![], vec![]], "LPIs are off");
    let frame = cpus[1].gicr_of(1).expect("a redistributor");
    let table = cpus[1].load(frame + gicr::PENDBASER, Size::Double);
    let table = table.expect("PENDBASER") & !(1 << 62);
    let set = cpus[1].store(frame + gicr::PENDBASER, Size::Double, table);
    assert_eq!(set, Ok(()));
    cpus[1].gicr_write(gicr::CTLR, 1);
    assert_eq!(taken(&cpus), [vec![], vec![LPI + 1]]);
}

#[test]
fn several_itses_share_the_lpis() {
    let (domain, cpus) = booted(LARGE, 4);
    let all: Vec<Its> = (0..4).map(|n| Its::probe(&domain, &cpus[0], n)).collect();
    for (n, its) in (0..).zip(&all) {
        // The same device and event, at another ITS.
        its.map_device(&cpus[0], DEVICE, LPI + n, 1, |_| n as u16);
    }
    for n in 0..4 {
        assert!(domain.send_msi(n, DEVICE, 0));
    }
    let expected: Vec<Vec<u32>> = (0..4).map(|n| vec![LPI + n]).collect();
    assert_eq!(taken(&cpus), expected);
    // An LPI belongs to one of them: the last to map it.
    all[1].send(&cpus[0], &[command::mapti(DEVICE, 1, LPI, 1)]);
    assert!(domain.send_msi(0, DEVICE, 0));
    assert!(domain.send_msi(1, DEVICE, 1));
    assert_eq!(taken(&cpus), [vec![], vec![LPI], vec![], vec![]]);
    // And GITS_TRANSLATER is for devices only.
    let translater = all[0].base + gits::TRANSLATER;
    assert_eq!(cpus[0].store(translater, Size::Word, 0), Ok(()));
    assert_eq!(taken(&cpus), vec![vec![]; 4]);
}

#[test]
fn a_domain_without_an_its_has_no_lpis() {
    let machine = Machine::power_on(SMALL);
    for config in [
        Config::guest(3, 1),
        Config {
            direct_mapped: true,
            ..Config::guest(3, 1)
        },
    ] {
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        let cpus = linux::boot(&domain);
        assert_eq!(cpus[0].gicd_read(linux::gicd::TYPER) >> 17 & 1, 0);
        assert_eq!(cpus[0].gicr_read(gicr::TYPER) & 1, 0, "PLPIS");
        let its = machine.profile.its_base(0);
        assert!(cpus[0].load(its + gits::TYPER, Size::Double).is_err());
        cpus[0].gicr_write(gicr::CTLR, 1);
        assert_eq!(cpus[0].gicr_read(gicr::CTLR) & 1, 0);
    }
}

#[test]
fn more_lpis_than_list_registers_preempt_each_other() {
    boot!(SMALL, 1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 8, |_| 0);
    (0..8).for_each(|n| its::configure(&domain, LPI + n, 0xf0 - 0x10 * n as u8, true));
    its.send(&cpus[0], &[command::invall(0)]);
    cpus[0].interface(|i| {
        i.set_pmr(0xff);
        i.set_bpr(cpus[0].group(), 0);
    });
    for _ in 0..3 {
        for n in 0..8 {
            send(&domain, DEVICE, n);
            assert_eq!(cpus[0].ack(), LPI + n);
        }
        // Ends of LPIs without a list register are not counted: none may be waited for.
        for n in (0..8).rev() {
            cpus[0].eoi(LPI + n);
        }
        assert_eq!(cpus[0].take_all(), []);
    }
}

#[test]
fn one_that_is_being_handled_goes_where_it_is_moved() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    send(&domain, DEVICE, 0);
    assert_eq!(cpus[0].ack(), LPI);
    its.send(&cpus[1], &[command::movi(DEVICE, 0, 1)]);
    send(&domain, DEVICE, 0);
    assert_eq!(cpus[1].take_all(), [LPI], "it is not active anywhere");
    cpus[0].eoi(LPI);
    assert_eq!(taken(&cpus), [vec![], vec![]]);
}
