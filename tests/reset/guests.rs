// SPDX-License-Identifier: GPL-2.0-only
//! Guests as Linux is one, which start again and again: with ITSes of the host's and without, and with what storms hold.

use super::*;
use vgic_harness::guests::guest::{Size, Store};
use vgic_harness::guests::its::{command, gits};
use vgic_harness::guests::linux::{gicd, gicr};
use vgic_harness::xen::domain::Errno;

const DEVICE: u32 = 0x108;

/// All that is due happens on every CPU of the machine.
fn settle(machine: &Machine) {
    (0..machine.pcpus().len()).for_each(|n| machine.quiesce(n));
}

/// The image of a new domain of this kind, with its physical interrupts.
fn new_of(profile: Profile, config: Config, wired: &[u32]) -> String {
    let machine = Machine::power_on(profile);
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    for spi in wired {
        assert_eq!(domain.route(*spi, *spi, true), Ok(()));
    }
    new_image(&domain)
}

/// The guest does a bit of everything with its SPIs and SGIs, and stops with some of them active and some pending.
fn live(domain: &Domain, cpus: &[GuestCpu], wired: &[u32]) {
    let machine = &domain.machine;
    for (n, spi) in wired.iter().copied().chain(60..70).enumerate() {
        linux::route(&cpus[0], spi, n % 2);
        linux::enable(&cpus[0], spi);
    }
    let set_lines = |up| {
        for spi in wired {
            machine.gic.set_line(*spi as u16, up);
        }
        settle(machine);
    };
    let ack = |cpu: &GuestCpu| {
        let iar = cpu.ack();
        (iar, linux::intid(cpu, iar))
    };
    set_lines(true);
    // One of each vCPU's is served, and one more is being served.
    for (cpu, first) in cpus.iter().zip(wired) {
        let (iar, intid) = ack(cpu);
        assert_eq!(intid, *first);
        machine.gic.set_line(intid as u16, false);
        cpu.eoi(iar);
    }
    let (_, intid) = ack(&cpus[0]);
    assert_eq!(intid, wired[2]);
    linux::send_sgi(&cpus[0], 1, 3);
    linux::send_sgi(&cpus[1], 0, 4);
    assert_eq!(ack(&cpus[1]).1, 3, "and it goes on");
    let last = machine.pcpus().len() - 1;
    for spi in 60..70 {
        machine.hypervisor(last, || domain.inject(spi, true));
    }
    set_lines(true);
    for spi in 60..70 {
        machine.hypervisor(last, || domain.inject(spi, false));
    }
}

/// Twenty lives of a guest in one domain.
#[test]
fn reset_lets_a_guest_boot_again() {
    for (profile, gic, wired) in [
        (Profile::GICV2, 2, [40, 41, 43]),
        (Profile::GICV3, 3, [40, 41, 43]),
        (Profile::GICV3_GICV, 2, [40, 41, 43]),
    ] {
        let config = Config::dom0(gic, 2);
        let new = new_of(profile, config, &wired);
        let machine = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        for spi in wired {
            assert_eq!(domain.route(spi, spi, true), Ok(()));
        }
        for life in 0..20 {
            let cpus = linux::boot(&domain);
            live(&domain, &cpus, &wired);
            drop(cpus);
            for spi in wired {
                machine.gic.set_line(spi as u16, life % 2 == 0);
            }
            domain.reset(None).expect("a reset");
            for spi in wired {
                let irq = machine.gic.snapshot(spi as u16).expect("one");
                assert!(!irq.active && !irq.enabled, "{spi}: {irq:?}");
                assert!(domain.has_hw_irq(spi), "stays its");
                machine.gic.set_line(spi as u16, false);
            }
            assert_new(&domain, &new, profile.name);
            domain.restart_vcpus();
        }
        drop(domain);
        assert_eq!(machine.take_reports(), [""; 0], "{}", profile.name);
    }
}

/// LPIs in list registers, waiting, disabled, and commands that are not done.
fn live_with_its(domain: &Domain, cpus: &[GuestCpu], life: u32) {
    let its = Its::probe(domain, &cpus[0], 0);
    its.map_device(&cpus[0], DEVICE, FIRST_LPI, 16, |event| event as u16 % 2);
    for event in 0..16 {
        if domain.config.hardware {
            assert!(domain.send_msi(0, DEVICE, event));
        } else {
            assert_eq!(domain.message(1, 0, DEVICE, event), Ok(()));
        }
    }
    settle(&domain.machine);
    let first = cpus[1].take_all();
    assert_eq!(first.len(), 8, "{first:?} in life {life}");
    if life % 2 == 1 {
        // A queue that is longer than one trap's budget, and is left in the middle.
        let many: Vec<its::Command> = (0..200).map(|n| command::int(DEVICE, n % 16)).collect();
        its.submit(&many, |written| {
            let cwriter = its.base + gits::CWRITER;
            let stored = cpus[0].store_once(cwriter, Size::Double, written);
            assert_eq!(stored, Ok(Store::Again), "more than one trap does");
        });
    }
    if life % 3 == 1 {
        cpus[1].gicr_write(gicr::CTLR, 0);
    }
}

#[test]
fn reset_lets_a_guest_with_an_its_boot_again() {
    for (profile, config) in [
        (Profile::GICV3.with_itses(1), Config::dom0(3, 2)),
        (Profile::GICV3, Config::guest(3, 2).with_msi()),
    ] {
        let new = new_of(profile, config, &[]);
        let machine = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        domain.unpause();
        domain.add_memory(its::MEMORY, 0x200_0000);
        for life in 0..20 {
            let cpus = linux::boot(&domain);
            for cpu in &cpus {
                its::set_lpi_tables(cpu);
                cpu.gicr_write(gicr::CTLR, 1);
            }
            for lpi in FIRST_LPI..FIRST_LPI + 16 {
                its::configure(&domain, lpi, 0xa0, true);
            }
            live_with_its(&domain, &cpus, life);
            drop(cpus);
            domain.reset(None).expect("a reset");
            assert_new(&domain, &new, &format!("{} in life {life}", profile.name));
            // Nobody takes messages any more.
            assert!(domain.message(1, 0, DEVICE, 0).is_err());
            assert!(!domain.send_msi(0, DEVICE, 0), "the host has none mapped");
            domain.restart_vcpus();
        }
        drop(domain);
        assert_eq!(machine.take_reports(), [""; 0], "{}", profile.name);
    }
}

#[test]
fn reset_of_one_its_is_for_those_there_are() {
    let machine = Machine::power_on(Profile::GICV3.with_itses(1));
    let domain = Domain::with_vcpus(&machine, Config::dom0(3, 2)).expect("a domain");
    domain.add_memory(its::MEMORY, 0x200_0000);
    let cpus = linux::boot(&domain);
    for cpu in &cpus {
        its::set_lpi_tables(cpu);
        cpu.gicr_write(gicr::CTLR, 1);
    }
    its::configure(&domain, FIRST_LPI, 0xa0, true);
    let its = Its::probe(&domain, &cpus[0], 0);
    its.map_device(&cpus[0], DEVICE, FIRST_LPI, 1, |_| 1);
    linux::enable(&cpus[0], 40);
    drop(cpus);
    assert_eq!(domain.reset(Some(1)), Err(Errno(-22)), "there is one");
    assert_eq!(domain.reset(Some(u32::MAX - 1)), Err(Errno(-22)));
    assert!(domain.send_msi(0, DEVICE, 0), "nothing has changed");
    assert_eq!(domain.reset(Some(0)), Ok(1));
    assert!(!domain.send_msi(0, DEVICE, 0));
    let cpus: Vec<GuestCpu> = (0..2).map(|n| GuestCpu::start(&domain, n)).collect();
    let ctlr = its.read(&cpus[0], gits::CTLR);
    assert_eq!(ctlr, 1 << 31, "disabled and quiescent");
    assert_eq!(its.read(&cpus[0], gits::CWRITER), 0);
    assert!(linux::bit(&cpus[0], gicd::ISENABLER, 40), "not the ITS's");
    let its = Its::probe(&domain, &cpus[0], 0);
    its.map_device(&cpus[0], DEVICE, FIRST_LPI, 1, |_| 1);
    assert!(domain.send_msi(0, DEVICE, 0));
    settle(&machine);
    let taken: Vec<Vec<u32>> = cpus.iter().map(GuestCpu::take_all).collect();
    assert_eq!(taken, [vec![], vec![FIRST_LPI]]);
}

/// An SPI that a storm holds is disabled in the host whatever the guest says. It is not enabled again when it is let go: the guest
/// that has enabled it is gone.
#[test]
fn reset_lets_go_of_what_a_storm_holds() {
    const SPI: u32 = 40;
    let machine = Machine::power_on(Profile::GICV3);
    let config = Config::dom0(3, 1).with_storms();
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    domain.set_storm(1, 1);
    assert_eq!(domain.route(SPI, SPI, false), Ok(()));
    let cpus = linux::boot(&domain);
    linux::set_trigger(&cpus[0], SPI, true);
    linux::enable(&cpus[0], SPI);
    let is_enabled = || machine.gic.snapshot(SPI as u16).expect("one").enabled;
    for _ in 0..5 {
        machine.gic.pulse(SPI as u16);
        settle(&machine);
        cpus[0].take_all();
    }
    assert!(!is_enabled(), "held");
    drop(cpus);
    domain.reset(None).expect("a reset");
    for _ in 0..5 {
        machine.pass(std::time::Duration::from_secs(10));
        settle(&machine);
        assert!(!is_enabled(), "nobody has enabled it");
    }
    let irq = machine.gic.snapshot(SPI as u16).expect("one");
    assert!(!irq.active && !irq.pending, "{irq:?}");
    // The next one enables it, and is told of what comes then.
    domain.restart_vcpus();
    let cpus = linux::boot(&domain);
    linux::set_trigger(&cpus[0], SPI, true);
    linux::enable(&cpus[0], SPI);
    assert!(is_enabled());
    machine.gic.pulse(SPI as u16);
    settle(&machine);
    assert_eq!(cpus[0].take_all(), [SPI]);
}
