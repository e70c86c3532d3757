// SPDX-License-Identifier: GPL-2.0-only
//! Domains with an rVIC come and go; and which there can be.

use super::*;
use vgic_harness::xen::abi;
use vgic_harness::xen::domain::{Errno, RVIC};
use vgic_harness::xen::faults;

const EINVAL: Errno = Errno(-22);
const ENOMEM: Errno = Errno(-12);

fn of_all_kinds() -> Config {
    Config::rvic(3).with_msi().with_levels()
}

#[test]
fn each_allocation_may_fail() {
    let machine = Machine::power_on(Profile::GICV3);
    let before = faults::live();
    for n in 0.. {
        faults::fail_nth(n);
        let made = Domain::with_vcpus(&machine, of_all_kinds());
        let failed = faults::fail_none();
        match made {
            Ok(domain) => {
                assert!(!failed, "failure {n} was swallowed");
                assert!(n > 0, "it allocates something");
                drop(domain);
                assert_eq!(faults::live(), before);
                break;
            }
            Err(errno) => {
                assert!(failed, "{errno:?} without a failed allocation");
                assert_eq!(errno, ENOMEM, "allocation {n}");
                assert_eq!(faults::live(), before, "allocation {n} leaks");
            }
        }
    }
}

#[test]
fn a_hundred_domains_leave_nothing() {
    for profile in [Profile::GICV2, Profile::GICV3] {
        let machine = Machine::power_on(profile);
        let before = faults::live();
        for n in 0..100 {
            let config = Config {
                spis: n * 11 % 960,
                ..of_all_kinds()
            };
            let domain = Domain::with_vcpus(&machine, config).expect("room for a domain");
            let cpus: Vec<_> = (0..3).map(|id| GuestCpu::start(&domain, id)).collect();
            cpus[0].must(rvic::ENABLE, [0; 3]);
            cpus[0].unmask(1);
            signal(&cpus[1], &cpus[0], 1);
        }
        assert_eq!(faults::live(), before);
    }
}

#[test]
fn how_many_inputs_there_can_be() {
    let machine = Machine::power_on(Profile::GICV3);
    let make = |spis, msi| {
        let config = Config {
            spis,
            msi,
            ..Config::rvic(1)
        };
        Domain::with_vcpus(&machine, config).map(|domain| {
            let cpus = start(&domain);
            let untrusted = cpus[0].must(rvic::INFO, [1, 0, 0]);
            (domain.nr_spis(), untrusted)
        })
    };
    assert_eq!(make(0, false), Ok((0, 32)));
    assert_eq!(make(1, false), Ok((32, 32)));
    assert_eq!(make(33, false), Ok((64, 64)));
    assert_eq!(make(960, false), Ok((960, 960)));
    assert_eq!(make(0, true), Ok((32, 32)));
    assert_eq!(make(960, true), Ok((992, 992)));
    assert_eq!(make(2016, false), Ok((2016, 2016)));
    machine.take_console();
    let none = [
        (2017, false),
        (1985, true),
        (1 << 20, false),
        (u32::MAX, true),
    ];
    for (spis, msi) in none {
        assert_eq!(make(spis, msi), Err(EINVAL), "{spis}");
    }
    let refused = machine.take_console();
    assert_eq!(refused.matches("cannot have an rVIC").count(), none.len());
}

#[test]
fn how_many_vcpus_there_can_be() {
    assert_eq!(abi::max_vcpus(RVIC.into()), 128);
    let machine = Machine::power_on(Profile::GICV2);
    let domain = Domain::with_vcpus(&machine, Config::rvic(128)).expect("a domain");
    drop(domain);
    let config = Config::rvic(129);
    assert!(Domain::create(&machine, config).is_err());
    machine.take_console();
    // A GICv2 host can have it, which has no more than 8 vCPUs for its own.
    let domain = Domain::create(&machine, Config::rvic(2)).expect("a domain");
    assert!(domain.create_vcpu(0).is_ok() && domain.create_vcpu(1).is_ok());
    assert_eq!(domain.create_vcpu(0).err(), Some(EINVAL));
}

#[test]
fn the_hardware_domain_keeps_its_gic() {
    let machine = Machine::power_on(Profile::GICV3);
    let dom0 = Domain::create(&machine, Config::dom0(RVIC, 1));
    assert_eq!(dom0.err(), Some(EINVAL));
    assert!(machine.take_console().contains("hardware domain"));
}

/// Nor can a device be given to it once it runs: it would take an IOMMU for the domain, which is asked for as it is made.
#[test]
fn devices_of_the_host_stay_away() {
    for profile in [Profile::GICV2, Profile::GICV3] {
        let machine = Machine::power_on(profile);
        let domain = Domain::create(&machine, Config::rvic(1).with_iommu());
        assert_eq!(domain.err(), Some(EINVAL));
        assert!(machine.take_console().contains("devices of the host"));
        machine.take_console();
    }
}

/// Those behind a host bridge of Xen's have messages, and nothing that is a GIC's.
#[test]
fn devices_behind_a_bridge_go_with_it() {
    each(Config::rvic(1).with_msi().with_vpci(), |_, _| {});
}

#[test]
fn numbers_of_calls_between_vcpus_are_taken() {
    each(Config::rvic(1), |domain, _| {
        for virq in 0..16 {
            assert!(domain.is_allocated(virq) && !domain.reserve_virq(virq));
        }
        assert!(domain.reserve_virq(16) && domain.reserve_virq(32));
        assert_eq!(domain.allocate_virq(false), Some(17));
        assert_eq!(domain.allocate_virq(true), Some(33));
        assert!(domain.is_valid_line(31) && domain.is_valid_line(255));
        assert!(!domain.is_valid_line(256) && !domain.is_valid_line(4096));
    });
}

/// Its arguments have 64 bits: a domain that has become a 32-bit one crashes before it runs.
#[test]
fn a_32_bit_domain_cannot_have_it() {
    let machine = Machine::power_on(Profile::GICV3);
    for (config, aarch32, crashes) in [
        (Config::rvic(1), false, false),
        (Config::rvic(1), true, true),
        (Config::guest(3, 1), true, false),
    ] {
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        if aarch32 {
            domain.choose_aarch32();
        }
        machine.take_console();
        assert_eq!(domain.finish(), crashes);
        assert_eq!(machine.take_console().contains("AArch32"), crashes);
    }
}

/// The console's 'q' key, with vCPUs in each state.
#[test]
fn each_vcpu_is_dumped() {
    each(Config::rvic(3), |domain, cpus| {
        cpus[0].unmask(5);
        signal(&cpus[0], &cpus[0], 5);
        cpus[1].preempt();
        cpus[2].psci_off();
        let dump = domain.dump();
        assert_eq!(
            dump.lines().filter(|line| line.contains("rVIC")).count(),
            3,
            "{dump}"
        );
    });
}
