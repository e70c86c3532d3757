// SPDX-License-Identifier: GPL-2.0-only
//! SPIs that are held: disabled in the physical distributor, whatever the guest has of it.

use super::*;
use vgic_harness::machine::physgic::Snapshot;

const SPI: u32 = 40;

fn state(domain: &Domain) -> Snapshot {
    domain.machine.gic.snapshot(SPI as u16).expect("an SPI")
}

/// Runs `test` with a guest that has a physical SPI, of either kind, enabled.
fn each(test: impl Fn(&Domain, &mut Vec<GuestCpu>, bool)) {
    for (profile, gic) in [
        (Profile::GICV2, 2),
        (Profile::GICV3, 3),
        (Profile::GICV3_GICV, 2),
    ] {
        for level in [false, true] {
            let machine = Machine::power_on(profile.with_cpus(4));
            let domain = Domain::with_vcpus(&machine, Config::guest(gic, 2).with_storms())
                .expect("a domain");
            domain.set_storm(RATE, BURST);
            let mut cpus = linux::boot(&domain);
            linux::set_trigger(&cpus[0], SPI, !level);
            domain.route(SPI, SPI, level).expect("a route");
            linux::enable(&cpus[0], SPI);
            test(&domain, &mut cpus, level);
            let reports = machine.take_reports();
            assert!(reports.is_empty(), "GICv{gic}, level {level}: {reports:#?}");
        }
    }
}

/// The device has something to say. Its line stays up, or there is an edge.
fn raise(domain: &Domain, level: bool) {
    if level {
        domain.machine.gic.set_line(SPI as u16, true);
    } else {
        domain.machine.gic.pulse(SPI as u16);
    }
    settle(&domain.machine);
}

/// Takes it, and serves the device.
fn serve(domain: &Domain, cpus: &[GuestCpu]) -> u32 {
    settle(&domain.machine);
    let gic = &domain.machine.gic;
    let mut count = 0;
    while cpus[0].take(|_| gic.set_line(SPI as u16, false)).is_some() {
        count += 1;
        settle(&domain.machine);
    }
    count
}

/// Until it is held.
fn storm(domain: &Domain, cpus: &[GuestCpu], level: bool) {
    for n in 0..=BURST {
        assert!(state(domain).enabled, "held after {n}");
        raise(domain, level);
        assert_eq!(serve(domain, cpus), 1, "{n}");
    }
    assert!(!state(domain).enabled);
    assert!(
        !state(domain).active,
        "it is over for the guest all the same"
    );
    assert_eq!(dumped(domain).map(|d| d.2), Some(1));
}

#[test]
fn storm_of_an_spi_is_held_after_exactly_its_burst_and_the_last_one_comes() {
    each(|domain, cpus, level| {
        for _ in 0..3 {
            storm(domain, cpus, level);
            let before = state(domain).acknowledged;
            (0..100).for_each(|_| raise(domain, level));
            pass(domain, HELD - TICK);
            assert_eq!(state(domain).acknowledged, before);
            assert!(state(domain).pending);
            pass(domain, TICK);
            assert_eq!(state(domain).acknowledged, before + 1);
            assert_eq!(serve(domain, cpus), 1);
            assert!(state(domain).enabled && !state(domain).active);
            assert_eq!(dumped(domain).map(|d| d.2), Some(0));
            pass(domain, Duration::from_secs(1));
        }
    });
}

/// A driver that never serves its device: the line stays up, and the SPI comes again whenever it ends.
#[test]
fn storm_of_a_level_that_stays_up_leaves_the_guest_its_cpu() {
    each(|domain, cpus, level| {
        if !level {
            return;
        }
        raise(domain, true);
        let mut came = 0;
        while cpus[0].take(|_| ()).is_some() {
            came += 1;
            assert!(came <= BURST + 1, "it never ends");
        }
        assert_eq!(came, BURST + 1);
        for _ in 0..10 {
            cpus[0].step();
            assert_eq!(cpus[0].take(|_| ()), None, "the guest runs");
        }
        pass(domain, HELD);
        assert!(cpus[0].take(|_| ()).is_some(), "still up");
        // It falls while it is held: then there is nothing to come.
        while cpus[0].take(|_| ()).is_some() {}
        domain.machine.gic.set_line(SPI as u16, false);
        pass(domain, HELD);
        assert_eq!(serve(domain, cpus), 0);
        raise(domain, true);
        assert_eq!(serve(domain, cpus), 1);
    });
}

#[test]
fn storm_held_spi_stays_as_the_guest_has_it() {
    each(|domain, cpus, level| {
        for on in [false, true] {
            storm(domain, cpus, level);
            raise(domain, level);
            linux::disable(&cpus[0], SPI);
            assert!(!state(domain).enabled);
            if on {
                linux::enable(&cpus[0], SPI);
                assert!(!state(domain).enabled, "not before it is let go");
            }
            assert!(linux::bit(&cpus[0], linux::gicd::ISENABLER, SPI) == on);
            pass(domain, HELD);
            assert_eq!(state(domain).enabled, on);
            assert_eq!(serve(domain, cpus), u32::from(on));
            linux::enable(&cpus[0], SPI);
            assert_eq!(serve(domain, cpus), u32::from(!on), "it has waited");
            assert!(state(domain).enabled);
            pass(domain, Duration::from_secs(1));
        }
    });
}

#[test]
fn storm_held_spi_follows_its_vcpu() {
    each(|domain, cpus, level| {
        storm(domain, cpus, level);
        raise(domain, level);
        cpus[0].migrate(3);
        pass(domain, HELD);
        assert_eq!(state(domain).target, 3);
        assert_eq!(serve(domain, cpus), 1);
    });
}

/// Whoever has it next has nothing held.
#[test]
fn storm_held_spi_of_a_dead_domain_is_another_domains() {
    for gic in [2, 3] {
        let profile = if gic == 2 {
            Profile::GICV2
        } else {
            Profile::GICV3
        };
        let machine = Machine::power_on(profile.with_cpus(4));
        for _ in 0..3 {
            let domain = Domain::with_vcpus(&machine, Config::guest(gic, 1).with_storms())
                .expect("a domain");
            domain.set_storm(RATE, BURST);
            let cpus = linux::boot(&domain);
            domain.route(SPI, SPI, true).expect("a route");
            linux::enable(&cpus[0], SPI);
            storm(&domain, &cpus, true);
            raise(&domain, true);
            drop((cpus, domain));
            machine.gic.set_line(SPI as u16, false);
            machine.pass(HELD / 2);
            settle(&machine);
        }
    }
}

/// One that comes when there is no timer any more.
#[test]
fn storm_of_a_domain_that_is_freed_is_not_held() {
    each(|domain, cpus, level| {
        domain.stop_storms();
        for _ in 0..3 * BURST {
            raise(domain, level);
            assert_eq!(serve(domain, cpus), 1);
            assert!(state(domain).enabled);
        }
        assert_eq!(dumped(domain).map(|d| d.2), Some(0));
    });
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    domain.stop_storms();
    for _ in 0..3 * BURST {
        send(&domain, 0);
        assert_eq!(taken(&cpus), [[LPI]]);
        assert!(!is_held(&domain, 0));
    }
    assert_eq!(dumped(&domain).map(|d| d.1), Some(0));
}

#[test]
fn storm_of_an_extended_spi_is_held() {
    let machine = Machine::power_on(Profile::SERVER.with_cpus(2));
    let domain = Domain::with_vcpus(&machine, Config::guest(3, 1).with_storms().with_espis(64))
        .expect("a domain");
    domain.set_storm(RATE, BURST);
    let cpus = linux::boot(&domain);
    const ESPI: u32 = 4100;
    domain.route(ESPI, ESPI, false).expect("a route");
    linux::enable(&cpus[0], ESPI);
    let enabled = || machine.gic.snapshot(ESPI as u16).expect("there").enabled;
    for n in 0..=BURST {
        assert!(enabled(), "{n}");
        machine.gic.pulse(ESPI as u16);
        assert_eq!(taken(&cpus)[0].len(), 1);
    }
    assert!(!enabled());
    machine.gic.pulse(ESPI as u16);
    assert_eq!(taken(&cpus), [[0u32; 0]]);
    pass(&domain, HELD);
    assert_eq!(taken(&cpus), [[ESPI]]);
    assert!(enabled());
}
