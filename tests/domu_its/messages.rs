// SPDX-License-Identifier: GPL-2.0-only
//! From a device model's message to the end of the interrupt, and messages that go nowhere.

use super::*;
use vgic_harness::guests::guest::Size;
use vgic_harness::guests::its::gits;
use vgic_harness::guests::linux::{gicd, gicr};
use vgic_harness::xen::domain::{GUEST_GICV2M_BASE, MSI_SETSPI_NS, TRANSLATER};

#[test]
fn a_guest_finds_an_its_and_lpis_of_16_bits() {
    for profile in [SMALL, Profile::GICV3_GICV, LARGE] {
        let (domain, cpus) = booted(profile, 3);
        let typer = cpus[0].gicd_read(gicd::TYPER);
        assert_eq!(typer >> 17 & 1, 1, "LPIS");
        assert_eq!(typer >> 19 & 0x1f, 15, "IDbits");
        assert_eq!(typer >> 11 & 0x1f, 0, "num_LPIs: as IDbits says");
        for n in 0..3 {
            let frame = cpus[0].gicr_of(n).expect("a redistributor");
            let typer = cpus[0].load(frame + gicr::TYPER, Size::Double);
            let typer = typer.expect("GICR_TYPER");
            assert_eq!(typer & 1, 1, "PLPIS");
            assert_eq!(typer >> 8 & 0xffff, n as u64, "Processor_Number");
        }
        let its = Its::new(&domain, 0);
        assert_eq!(its.base, 0x0808_0000);
        let typer = its.read(&cpus[0], gits::TYPER);
        assert_eq!(typer & 1, 1, "Physical");
        assert_eq!(typer >> 4 & 0xf, 7, "ITT_entry_size");
        assert_eq!(typer >> 8 & 0x1f, 15, "ID_bits");
        assert_eq!(typer >> 13 & 0x1f, 15, "Devbits");
        assert_eq!(typer >> 19 & 1, 0, "PTA: redistributors have numbers");
        assert_eq!(typer >> 24 & 0xff, 0, "HCC");
        assert_eq!(typer >> 32 & 0xf, 7, "CIDs, of 8 bits");
        assert_eq!(typer >> 36 & 1, 1, "CIL: CIDs says it");
        assert_eq!(its.read(&cpus[0], gits::PIDR2) >> 4 & 0xf, 3, "GICv3");
        // 128 KiB, and nothing behind them.
        for end in [0x1_fffc, 0x2_0000] {
            let there = cpus[0].load(its.base + end, Size::Word).is_ok();
            assert_eq!(there, end < 0x2_0000);
        }
    }
}

#[test]
fn a_domain_without_the_flag_has_nothing_of_it() {
    let (domain, cpus) = booted_as(SMALL, Config::guest(3, 1));
    assert_eq!(cpus[0].gicd_read(gicd::TYPER) >> 17 & 1, 0);
    assert_eq!(cpus[0].gicr_read(gicr::TYPER) & 1, 0);
    assert!(cpus[0].load(0x0808_0000, Size::Word).is_err());
    assert_eq!(domain.message(1, 0, DEVICE, 0), Err(ENOENT));
    assert_eq!(domain.set_limits(256, 1, 1), Err(EOPNOTSUPP));
    assert!(!domain.dump().contains("ITS"));
    drop(cpus);
    drop(domain);
    for flag in [false, true] {
        let machine = Machine::power_on(Profile::GICV2);
        let config = Config {
            msi: flag,
            ..Config::guest(2, 1)
        };
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        assert_eq!(domain.nr_spis(), if flag { 256 } else { 224 });
        assert_eq!(domain.message(1, 0, DEVICE, 0), Err(ENOENT), "no ITS");
    }
}

#[test]
fn a_message_arrives_once_on_each_vcpu() {
    for profile in [SMALL, Profile::GICV3_GICV, LARGE] {
        boot!(profile, 4, domain, cpus, its);
        its.map_device(&cpus[0], DEVICE, LPI, 8, |n| n as u16 % 4);
        for n in 0..8 {
            send(&domain, DEVICE, n);
            let mut expected = vec![vec![]; 4];
            expected[n as usize % 4] = vec![LPI + n];
            assert_eq!(taken(&cpus), expected, "{}", profile.name);
        }
        // Several before one is taken are one.
        (0..5).for_each(|_| send(&domain, DEVICE, 1));
        assert_eq!(taken(&cpus)[1], [LPI + 1]);
        assert_eq!(taken(&cpus), vec![vec![]; 4], "nothing comes twice");
        assert_eq!(domain.host_commands(), 0);
    }
}

#[test]
fn a_message_wakes_a_vcpu_that_waits() {
    boot!(LARGE, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 1);
    let mut cpus = cpus;
    assert!(!cpus[1].wfi(), "nothing is there: it blocks");
    assert_eq!(domain.message(5, 0, DEVICE, 0), Ok(()));
    assert!(cpus[1].try_wake());
    assert_eq!(cpus[1].take_all(), [LPI]);
}

#[test]
fn a_message_that_movall_has_moved_goes_where_the_collection_does_again() {
    boot!(LARGE, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    // Pending at 0 and moved to 1; what comes after that was taken goes to 0.
    cpus[0].interface(|i| i.set_pmr(0));
    send(&domain, DEVICE, 0);
    its.send(&cpus[1], &[command::movall(0, 1)]);
    send(&domain, DEVICE, 0);
    cpus[0].interface(|i| i.set_pmr(linux::PMR));
    assert_eq!(taken(&cpus), [vec![], vec![LPI]], "it has merged");
    // What it has acknowledged is known once it has left its guest.
    cpus[1].hypercall(|| ());
    send(&domain, DEVICE, 0);
    assert_eq!(taken(&cpus), [vec![LPI], vec![]]);
}

/// The same before the guest has been left: nobody knows yet that the last one was taken.
#[test]
fn a_message_that_comes_while_what_movall_has_moved_is_handled_goes_where_the_collection_does() {
    boot!(LARGE, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    cpus[0].interface(|i| i.set_pmr(0));
    send(&domain, DEVICE, 0);
    its.send(&cpus[1], &[command::movall(0, 1)]);
    cpus[0].interface(|i| i.set_pmr(linux::PMR));
    let iar = cpus[1].ack();
    assert_eq!(iar, LPI);
    send(&domain, DEVICE, 0);
    cpus[1].eoi(iar);
    assert_eq!(taken(&cpus), [vec![LPI], vec![]]);
}

#[test]
fn disabled_by_its_configuration_an_lpi_waits() {
    boot!(SMALL, 1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    its::configure(&domain, LPI, 0xa0, false);
    its.send(&cpus[0], &[command::inv(DEVICE, 0)]);
    send(&domain, DEVICE, 0);
    assert_eq!(taken(&cpus), [vec![]]);
    its::configure(&domain, LPI, 0xa0, true);
    its.send(&cpus[0], &[command::inv(DEVICE, 0)]);
    assert_eq!(taken(&cpus), [vec![LPI]]);
}

/// What could have changed.
fn seen(domain: &Domain, cpus: &[GuestCpu]) -> (String, Vec<Vec<u32>>) {
    (domain.dump(), taken(cpus))
}

#[test]
fn refused_messages_change_nothing() {
    boot!(LARGE, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 4, |n| n as u16 % 2);
    its.send(&cpus[0], &[command::mapd(DEVICE + 1, 16, its.itt(1))]);
    let _ = taken(&cpus);
    let before = seen(&domain, &cpus);
    let refused = |what: Result<(), Errno>, why: Errno, of: &str| {
        assert_eq!(what, Err(why), "{of}");
        assert_eq!(seen(&domain, &cpus), before, "{of}");
    };
    let doorbell = its.base + TRANSLATER;
    let elsewhere = [
        0,
        !0,
        its.base,
        doorbell - 4,
        doorbell + 4,
        doorbell + 1,
        doorbell | 1 << 63,
        doorbell + 0x2_0000,
        its::MEMORY,
        domain.gicd() + 0x40,
        GUEST_GICV2M_BASE + MSI_SETSPI_NS,
    ];
    for address in elsewhere {
        let sent = domain.inject_msi(5, address, 0, DEVICE, 0);
        refused(sent, ENOENT, &format!("{address:#x}"));
    }
    for segment in [1, 0xffff, !0] {
        let sent = domain.inject_msi(5, doorbell, segment, DEVICE, 0);
        refused(sent, ENOENT, "segment");
    }
    for device in [0, DEVICE - 1, DEVICE + 2, 0x1_0000 | DEVICE, !0] {
        let sent = domain.message(5, 0, device, 0);
        refused(sent, ENOENT, &format!("device {device:#x}"));
    }
    // Not mapped; beyond the device's table; beyond any.
    for event in [4, 31, 32, 0xffff, 0x1_0000, 0x1_0001, !0] {
        let sent = domain.message(5, 0, DEVICE, event);
        refused(sent, ENOENT, &format!("event {event:#x}"));
        let sent = domain.message(5, 0, DEVICE + 1, event);
        refused(sent, ENOENT, &format!("event {event:#x} of a large device"));
    }
}

/// What hardware would ignore is told to a device model, which may do the same.
#[test]
fn disabled_by_the_guest_messages_go_nowhere() {
    boot!(LARGE, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 2, |n| n as u16);
    let sent = || [0, 1].map(|event| domain.message(5, 0, DEVICE, event));
    its.write(&cpus[0], gits::CTLR, 0);
    assert_eq!(sent(), [Err(EINVAL); 2], "GITS_CTLR.Enabled");
    its.write(&cpus[0], gits::CTLR, 1);
    assert_eq!(taken(&cpus), [vec![], vec![]]);
    its.send(&cpus[0], &[command::unmapc(1)]);
    assert_eq!(
        sent(),
        [Ok(()), Err(EINVAL)],
        "a collection that goes nowhere"
    );
    its.send(&cpus[0], &[command::mapc(1, 1)]);
    assert_eq!(taken(&cpus), [vec![LPI], vec![]]);
    cpus[1].gicr_write(gicr::CTLR, 0);
    assert_eq!(sent(), [Ok(()), Err(EINVAL)], "GICR_CTLR.EnableLPIs");
    cpus[1].gicr_write(gicr::CTLR, 1);
    assert_eq!(taken(&cpus), [vec![LPI], vec![]]);
    assert_eq!(sent(), [Ok(()); 2]);
    assert_eq!(taken(&cpus), [vec![LPI], vec![LPI + 1]]);
    // Other tables: nothing is mapped, from the moment on that they are other ones.
    its.write(&cpus[0], gits::CTLR, 0);
    its.write(&cpus[0], gits::BASER, 0);
    its.write(&cpus[0], gits::CTLR, 1);
    assert_eq!(sent(), [Err(ENOENT); 2]);
    assert_eq!(taken(&cpus), [vec![], vec![]]);
}

#[test]
fn what_is_unmapped_is_gone() {
    boot!(LARGE, 1, domain, cpus, its);
    let off: [fn(&Its) -> Vec<its::Command>; 4] = [
        |_| vec![command::discard(DEVICE, 0)],
        |_| vec![command::unmapd(DEVICE)],
        |its| vec![command::mapd(DEVICE, 5, its.itt(DEVICE))],
        // Another LPI for the event, and none for what was pending.
        |_| {
            vec![
                command::mapti(DEVICE, 0, LPI + 9, 0),
                command::discard(DEVICE, 0),
            ]
        },
    ];
    for (n, off) in off.into_iter().enumerate() {
        its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
        cpus[0].interface(|i| i.set_pmr(0));
        send(&domain, DEVICE, 0);
        its.send(&cpus[0], &off(&its));
        cpus[0].interface(|i| i.set_pmr(linux::PMR));
        assert_eq!(taken(&cpus), [vec![]], "way {n}");
        assert_eq!(domain.message(5, 0, DEVICE, 0), Err(ENOENT), "way {n}");
        assert_eq!(taken(&cpus), [vec![]], "way {n}");
        its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
        assert_eq!(taken(&cpus), [vec![]], "nor does it come back");
        its.send(&cpus[0], &[command::unmapd(DEVICE)]);
    }
    assert_eq!(domain.host_commands(), 0);
}

/// Dom0's devices are the host's, and send their messages themselves.
#[cfg(not(feature = "without-host-its"))]
#[test]
fn a_device_of_the_hardware_is_refused_messages() {
    let (domain, cpus) = booted_as(SMALL.with_itses(1), Config::dom0(3, 1));
    let its = Its::probe(&domain, &cpus[0], 0);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let before = seen(&domain, &cpus);
    assert_eq!(domain.message(0, 0, DEVICE, 0), Err(EINVAL));
    assert_eq!(domain.message(0, 0, DEVICE, 1), Err(EINVAL));
    assert_eq!(domain.message(0, 0, DEVICE + 1, 0), Err(ENOENT));
    assert_eq!(seen(&domain, &cpus), before);
    assert!(domain.send_msi(0, DEVICE, 0));
    assert_eq!(taken(&cpus), [vec![LPI]]);
    assert_eq!(domain.set_limits(256, 1, 1), Err(EOPNOTSUPP));
    // The flag gives it nothing beside that.
    drop(cpus);
    let machine = Arc::clone(&domain.machine);
    drop(domain);
    let both = Domain::with_vcpus(&machine, Config::dom0(3, 1).with_msi());
    assert_eq!(both.expect("Dom0").its_base(0), machine.profile.its_base(0));
}

/// A direct-mapped domain has as many as the host, where the host has them.
#[cfg(not(feature = "without-host-its"))]
#[test]
fn a_direct_mapped_domain_has_several_itses() {
    let config = Config {
        direct_mapped: true,
        ..Config::guest(3, 4).with_msi()
    };
    let (domain, cpus) = booted_as(LARGE, config);
    let all: Vec<Its> = (0..4).map(|n| Its::probe(&domain, &cpus[0], n)).collect();
    for (n, its) in (0..).zip(&all) {
        assert_eq!(its.base, domain.machine.profile.its_base(n as usize));
        // The same device and event, at another ITS.
        its.map_device(&cpus[0], DEVICE, LPI + n, 1, |_| n as u16);
    }
    for n in 0..4 {
        assert_eq!(domain.message(5, n, DEVICE, 0), Ok(()));
    }
    let expected: Vec<Vec<u32>> = (0..4).map(|n| vec![LPI + n]).collect();
    assert_eq!(taken(&cpus), expected);
    // An LPI belongs to one of them: the last to map it.
    all[1].send(&cpus[0], &[command::mapti(DEVICE, 1, LPI, 1)]);
    assert_eq!(domain.message(5, 0, DEVICE, 0), Err(ENOENT));
    assert_eq!(domain.message(5, 1, DEVICE, 1), Ok(()));
    assert_eq!(taken(&cpus), [vec![], vec![LPI], vec![], vec![]]);
    // Each is switched off by itself.
    all[2].write(&cpus[0], gits::CTLR, 0);
    let sent = [1, 2, 3].map(|n| domain.message(5, n, DEVICE, 0));
    assert_eq!(sent, [Ok(()), Err(EINVAL), Ok(())]);
    assert_eq!(domain.host_commands(), 0);
}

#[test]
fn a_direct_mapped_domain_needs_the_hosts_layout() {
    for (profile, gic) in [(SMALL, 3), (Profile::GICV2, 2)] {
        let machine = Machine::power_on(profile);
        let config = Config {
            direct_mapped: true,
            ..Config::guest(gic, 1).with_msi()
        };
        assert_eq!(Domain::with_vcpus(&machine, config).err(), Some(EINVAL));
        let console = machine.take_console();
        assert!(console.contains("direct-mapped"), "{console}");
    }
}
