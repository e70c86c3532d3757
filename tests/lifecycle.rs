// SPDX-License-Identifier: GPL-2.0-only
//! Domains and vCPUs come and go: with everything that can fail on the way, and nothing left behind.

use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::abi;
use vgic_harness::xen::domain::{Config, Domain, Errno};
use vgic_harness::xen::faults;
use vgic_harness::xen::host::Machine;
use vgic_harness::xen::vcpu::Vcpu;

const EBUSY: Errno = Errno(-16);
const EINVAL: Errno = Errno(-22);
const ENOMEM: Errno = Errno(-12);

fn both() -> [(Profile, Config); 2] {
    [
        (Profile::GICV2, Config::dom0(2, 4)),
        (Profile::GICV3, Config::dom0(3, 4)),
    ]
}

#[test]
fn each_allocation_may_fail() {
    for (profile, config) in both() {
        let machine = Machine::power_on(profile);
        let before = faults::live();
        for n in 0.. {
            faults::fail_nth(n);
            let made = Domain::with_vcpus(&machine, config);
            let failed = faults::fail_none();
            match made {
                Ok(domain) => {
                    assert!(!failed, "{}: failure {n} was swallowed", profile.name);
                    drop(domain);
                    assert_eq!(faults::live(), before);
                    assert!(n > 0, "the vGIC allocates something");
                    break;
                }
                Err(errno) => {
                    assert!(
                        failed,
                        "{}: {errno:?} without a failed allocation",
                        profile.name
                    );
                    assert_eq!(errno, ENOMEM, "{}: allocation {n}", profile.name);
                    assert_eq!(
                        faults::live(),
                        before,
                        "{}: allocation {n} leaks",
                        profile.name
                    );
                }
            }
        }
    }
}

#[test]
fn two_hundred_domains_leave_nothing() {
    let machine = Machine::power_on(Profile::GICV3);
    let before = faults::live();
    for n in 0..200 {
        let config = Config {
            spis: n * 5 % 960,
            ..Config::guest(3, 3)
        };
        drop(Domain::with_vcpus(&machine, config).expect("room for a domain"));
    }
    assert_eq!(faults::live(), before);
}

#[test]
fn zeroed_state_is_freed_quietly() {
    let machine = Machine::power_on(Profile::GICV3);
    // A version that no vGIC has: domain_vgic_register() fails and the zeroed structure is freed.
    assert!(
        Domain::create(
            &machine,
            Config {
                gic: 9,
                ..Config::guest(3, 1)
            }
        )
        .is_err()
    );
}

#[test]
fn the_number_of_spis_is_rounded_and_bounded() {
    let machine = Machine::power_on(Profile::GICV3_16);
    let spis = |spis| {
        Domain::create(
            &machine,
            Config {
                spis,
                ..Config::guest(3, 1)
            },
        )
        .map(|d| d.nr_spis())
    };
    assert_eq!(spis(0), Ok(0));
    assert_eq!(spis(1), Ok(32));
    assert_eq!(spis(224), Ok(224));
    assert_eq!(spis(960), Ok(960));
    for too_many in [1021, 4000, 4096, 1 << 20, u32::MAX - 31, u32::MAX] {
        assert_eq!(spis(too_many), Err(EINVAL), "{too_many}");
    }
}

#[test]
fn as_many_vcpus_as_the_architecture_has() {
    assert_eq!(abi::max_vcpus(2), 8);
    assert_eq!(abi::max_vcpus(3), 128);
    assert_eq!(abi::max_vcpus(77), 0);
    let machine = Machine::power_on(Profile::GICV3);
    let domain = Domain::with_vcpus(&machine, Config::guest(3, 128)).expect("128 vCPUs");
    let last = GuestCpu::start(&domain, 127);
    assert_eq!(last.gicr_read(linux::gicr::TYPER) >> 8 & 0xffff, 127);
    assert_eq!(last.gicr_read(linux::gicr::TYPER) >> 4 & 1, 1, "Last");
}

#[test]
fn virqs_are_reserved_allocated_and_freed() {
    let machine = Machine::power_on(Profile::GICV3);
    let domain = Domain::create(
        &machine,
        Config {
            spis: 64,
            ..Config::guest(3, 1)
        },
    )
    .expect("a domain");
    for sgi in 0..16 {
        assert!(!domain.reserve_virq(sgi), "SGI {sgi} is the guest's own");
    }
    assert!(
        !domain.reserve_virq(Vcpu::VTIMER),
        "reserved by Xen already"
    );
    assert!(domain.reserve_virq(40) && !domain.reserve_virq(40) && domain.is_allocated(40));
    domain.free_virq(40);
    assert!(!domain.is_allocated(40) && domain.reserve_virq(40));
    assert!(!domain.reserve_virq(96), "beyond the last");
    for virq in [96, 1019, 1023, 4096, 5119, 8192, u32::MAX] {
        assert!(!domain.is_valid_line(virq), "{virq}");
        assert!(!domain.reserve_virq(virq), "{virq}");
        domain.free_virq(virq);
    }
    assert!(domain.is_valid_line(0) && domain.is_valid_line(95));
    let mut spis: Vec<u32> = std::iter::from_fn(|| domain.allocate_virq(true)).collect();
    spis.sort_unstable();
    assert_eq!(spis, (32..96).filter(|n| *n != 40).collect::<Vec<_>>());
    let ppis: Vec<u32> = std::iter::from_fn(|| domain.allocate_virq(false)).collect();
    assert!(
        ppis.iter().all(|n| (16..32).contains(n)) && ppis.len() == 16 - 5,
        "{ppis:?}"
    );
}

#[test]
fn hardware_interrupts_connect_once_and_are_released() {
    for (profile, config) in both() {
        let machine = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        assert_eq!(domain.route(50, 60, true), Ok(()));
        assert!(domain.has_hw_irq(50) && !domain.has_hw_irq(60));
        assert_eq!(domain.route(50, 61, true), Err(EBUSY), "connected");
        assert_eq!(domain.route(20, 62, true), Err(EINVAL), "not an SPI");
        assert_eq!(domain.route(2000, 62, true), Err(EINVAL), "no such vIRQ");
        let cpus = linux::boot(&domain);
        linux::enable(&cpus[0], 51);
        assert_eq!(domain.route(51, 63, true), Err(EBUSY), "enabled");
        linux::disable(&cpus[0], 51);
        assert_eq!(domain.route(51, 63, true), Ok(()));

        // One is left active by a guest that dies with it.
        linux::enable(&cpus[0], 50);
        machine.gic.set_line(60, true);
        assert_eq!(cpus[0].ack(), 50);
        machine.gic.set_line(60, false);
        assert!(machine.gic.snapshot(60).is_some_and(|s| s.active));
        drop(cpus);
        drop(domain);
        for irq in [60, 63] {
            let physical = machine.gic.snapshot(irq).expect("an interrupt");
            assert!(!physical.active && !physical.enabled, "{irq} is released");
        }
        // And can be had by the next domain.
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        assert_eq!(domain.route(50, 60, true), Ok(()));
    }
}

#[test]
fn calls_that_come_early_are_harmless() {
    let machine = Machine::power_on(Profile::GICV3);
    let domain = Domain::create(&machine, Config::guest(3, 2)).expect("a domain");
    // XEN_DMOP_set_irq_level before the first vCPU; any number.
    machine.hypervisor(0, || {
        for virq in [
            0,
            15,
            31,
            32,
            100,
            255,
            256,
            1019,
            1020,
            1023,
            4096,
            8192,
            65535,
            65536,
            u32::MAX,
        ] {
            domain.inject(virq, true);
            domain.inject(virq, false);
        }
    });
    assert!(
        !machine.idle_has_pending(1),
        "an idle vCPU has nothing pending"
    );
    let v = domain.create_vcpu(0).expect("a vCPU");
    machine.hypervisor(0, || {
        for virq in [16, 27, 31, 32, 255, 256, 1023, u32::MAX] {
            domain.inject_private(&v, virq, true);
        }
    });
    // The second vCPU is never made; destroying it all is quiet.
    let first = GuestCpu::start(&domain, 0);
    linux::init_distributor(&first);
    linux::route(&first, 40, 1);
    linux::enable(&first, 40);
    machine.hypervisor(0, || domain.inject(40, true));
    linux::route(&first, 40, 0);
}

#[test]
fn a_dump_says_what_waits() {
    let machine = Machine::power_on(Profile::GICV2);
    let domain = Domain::with_vcpus(&machine, Config::guest(2, 2)).expect("a domain");
    let cpus = linux::boot(&domain);
    linux::enable(&cpus[0], 45);
    cpus[0].interface(|i| i.set_pmr(0));
    machine.hypervisor(1, || domain.inject(45, true));
    let text = domain.dump();
    assert!(text.contains("45"), "{text}");
}
