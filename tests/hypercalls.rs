// SPDX-License-Identifier: GPL-2.0-only
//! What device models and toolstacks ask of the vGIC by hypercall: what they may say, and that all else changes nothing.

use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::its::{self, FIRST_LPI, Its};
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{
    Config, Domain, Errno, GUEST_GICV2M_BASE, InjectMsi2, MSI_SETSPI_NS, TRANSLATER, VgicLimits,
};
use vgic_harness::xen::host::Machine;

const ENOENT: Errno = Errno(-2);
const EBUSY: Errno = Errno(-16);
const EINVAL: Errno = Errno(-22);
const EOPNOTSUPP: Errno = Errno(-95);

const DEVICE: u32 = 0x108;
const LPI: u32 = FIRST_LPI + 8;
/// XEN_DMOP_MSI_SOURCE_ID_VALID
const VALID: u32 = 1;

/// A domain of one vCPU that has been brought up.
fn booted(profile: Profile, gic: u8) -> (Domain, Vec<GuestCpu>) {
    let machine = Machine::power_on(profile);
    let domain = Domain::with_vcpus(&machine, Config::guest(gic, 1).with_msi()).expect("a domain");
    let cpus = linux::boot(&domain);
    if gic == 3 {
        its::enable_lpis(&domain, &cpus);
        let its = Its::probe(&domain, &cpus[0], 0);
        its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    }
    (domain, cpus)
}

/// The one interrupt that has come since the last time.
fn taken(cpus: &[GuestCpu]) -> Option<u32> {
    let first = cpus[0].take(|_| ());
    assert_eq!(cpus[0].take(|_| ()), None);
    first
}

#[test]
fn one_of_a_device_models_messages_is_what_the_interface_says_or_nothing() {
    let (domain, cpus) = booted(Profile::GICV3, 3);
    let good = InjectMsi2 {
        addr: domain.its_base(0) + TRANSLATER,
        data: 0,
        source_id: DEVICE,
        flags: VALID,
        ..InjectMsi2::default()
    };
    assert_eq!(domain.inject_msi2(0, &good), Ok(()));
    assert_eq!(taken(&cpus), Some(LPI));
    let before = domain.dump();
    for (why, what, op) in [
        (EINVAL, "padding", InjectMsi2 { pad: 1, ..good }),
        (EINVAL, "no such flag", InjectMsi2 { flags: 3, ..good }),
        (
            EINVAL,
            "no such flag",
            InjectMsi2 {
                flags: 1 << 31 | 1,
                ..good
            },
        ),
        (EINVAL, "from nobody", InjectMsi2 { flags: 0, ..good }),
        (ENOENT, "no such segment", InjectMsi2 { segment: 1, ..good }),
        (
            ENOENT,
            "the frame of a GICv2",
            InjectMsi2 {
                addr: GUEST_GICV2M_BASE + MSI_SETSPI_NS,
                ..good
            },
        ),
        (
            ENOENT,
            "past 32 bits",
            InjectMsi2 {
                addr: good.addr | 1 << 32,
                ..good
            },
        ),
    ] {
        assert_eq!(domain.inject_msi2(0, &op), Err(why), "{what}");
        assert_eq!(domain.dump(), before, "{what}");
        assert_eq!(taken(&cpus), None, "{what}");
    }
    assert_eq!(domain.inject_msi2(0, &good), Ok(()));
    assert_eq!(taken(&cpus), Some(LPI));
}

#[test]
fn one_of_a_device_models_messages_needs_no_name_where_nobody_looks_at_it() {
    let (domain, _cpus) = booted(Profile::GICV2, 2);
    let (base, count) = domain.msi_spis().expect("a frame");
    let good = InjectMsi2 {
        addr: GUEST_GICV2M_BASE + MSI_SETSPI_NS,
        data: base,
        ..InjectMsi2::default()
    };
    for flags in [0, VALID] {
        let op = InjectMsi2 { flags, ..good };
        assert_eq!(domain.inject_msi2(0, &op), Ok(()));
    }
    for (why, what, op) in [
        (EINVAL, "padding", InjectMsi2 { pad: 1, ..good }),
        (EINVAL, "no such flag", InjectMsi2 { flags: 2, ..good }),
        (ENOENT, "no such segment", InjectMsi2 { segment: 1, ..good }),
        (
            ENOENT,
            "not one of the frame's",
            InjectMsi2 {
                data: base + count,
                ..good
            },
        ),
        (
            ENOENT,
            "an ITS",
            InjectMsi2 {
                addr: 0x0809_0040,
                ..good
            },
        ),
    ] {
        assert_eq!(domain.inject_msi2(0, &op), Err(why), "{what}");
    }
}

#[test]
fn limits_are_set_before_the_domain_runs() {
    let all = VgicLimits {
        lpis: 256,
        devices: 2,
        events: 8,
        ..VgicLimits::default()
    };
    let machine = Machine::power_on(Profile::GICV3);
    let config = Config::guest(3, 1).with_msi();
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    assert_eq!(
        domain.vgic_limits(&VgicLimits { pad: 1, ..all }),
        Err(EINVAL)
    );
    assert_eq!(
        domain.vgic_limits(&VgicLimits {
            lpis: 1 << 16,
            ..all
        }),
        Err(EINVAL)
    );
    assert!(domain.dump().contains("64"), "as they were");
    assert_eq!(domain.vgic_limits(&all), Ok(()));
    assert_eq!(
        domain.vgic_limits(&VgicLimits::default()),
        Ok(()),
        "as they are"
    );
    domain.unpause();
    assert_eq!(domain.vgic_limits(&all), Err(EBUSY));
    assert_eq!(
        domain.vgic_limits(&VgicLimits::default()),
        Ok(()),
        "nothing is asked for"
    );
}

#[test]
fn limits_of_an_its_are_for_who_has_one() {
    let lpis = VgicLimits {
        lpis: 256,
        ..VgicLimits::default()
    };
    // A GICv2m has nothing that is mapped, and others have nothing at all.
    for (profile, config) in [
        (Profile::GICV3, Config::guest(3, 1)),
        (Profile::GICV2, Config::guest(2, 1).with_msi()),
    ] {
        let machine = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        assert_eq!(domain.vgic_limits(&lpis), Err(EOPNOTSUPP));
    }
}

#[test]
fn limits_of_storms_may_change_at_any_time() {
    let machine = Machine::power_on(Profile::SERVER);
    let domain = Domain::with_vcpus(&machine, Config::dom0(3, 1)).expect("a domain");
    domain.unpause();
    let good = VgicLimits {
        storm_rate: 12_345,
        storm_burst: 7,
        ..VgicLimits::default()
    };
    assert_eq!(domain.vgic_limits(&good), Ok(()));
    let said = "limit 12345/s, burst 7";
    assert!(domain.dump().contains(said), "{}", domain.dump());
    // All, or nothing: the hardware domain's ITSes have no limits.
    let other = VgicLimits {
        lpis: 256,
        storm_rate: 1,
        ..good
    };
    assert_eq!(domain.vgic_limits(&other), Err(EOPNOTSUPP));
    let other = VgicLimits { pad: 1, ..other };
    assert_eq!(domain.vgic_limits(&other), Err(EINVAL));
    assert!(domain.dump().contains(said), "{}", domain.dump());
}
