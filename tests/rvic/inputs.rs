// SPDX-License-Identifier: GPL-2.0-only
//! Inputs of the rVID: SPIs of Xen's, messages of device models, and what the host's hardware sends.

use super::*;
use vgic_harness::guests::guest::hvc::{DOORBELL, Refused};
use vgic_harness::xen::domain::{Errno, InjectMsi2};

const ENOENT: Errno = Errno(-2);
const EBUSY: Errno = Errno(-16);
const EINVAL: Errno = Errno(-22);

/// Injected on another CPU than the guest's, as a device model or Xen itself does.
fn inject(domain: &Domain, virq: u32, level: bool) {
    domain.machine.hypervisor(3, || domain.inject(virq, level));
}

/// Is a physical interrupt active?
fn is_active(domain: &Domain, irq: u32) -> bool {
    domain.machine.gic.snapshot(irq as u16).expect("it").active
}

#[test]
fn each_spi_is_the_input_of_its_number_less_32() {
    each(Config::rvic(2), |domain, cpus| {
        let inputs = u64::from(domain.nr_spis());
        for input in [0, 1, 31, 32, inputs - 1] {
            let to = &cpus[input as usize % 2];
            inject(domain, 32 + input as u32, true);
            map(to, input, UNTRUSTED + input);
            assert!(!line(to), "what came before it was mapped is dropped");
            inject(domain, 32 + input as u32, true);
            takes(to, UNTRUSTED + input);
            to.unmask(UNTRUSTED + input);
            // Nothing is a level: its fall does nothing, and it comes each time.
            inject(domain, 32 + input as u32, false);
            assert!(!line(to));
            inject(domain, 32 + input as u32, true);
            takes(to, UNTRUSTED + input);
            to.must(rvid::UNMAP, [input, 0, 0]);
            inject(domain, 32 + input as u32, true);
            to.unmask(UNTRUSTED + input);
            assert!(!line(to));
        }
        assert_eq!(
            cpus[0].call(rvid::UNMAP, [inputs, 0, 0]),
            Err(Refused::Parameter(0))
        );
    });
}

/// Numbers that the domain does not have, of inputs and of a vCPU's own.
#[test]
fn what_there_is_not_is_dropped() {
    each(Config::rvic(1), |domain, cpus| {
        let cpu = &cpus[0];
        for input in 0..u64::from(domain.nr_spis()) {
            map(cpu, input, UNTRUSTED + input);
        }
        for virq in [
            0,
            15,
            31,
            32 + domain.nr_spis(),
            1023,
            1024,
            4096,
            8192,
            u32::MAX,
        ] {
            inject(domain, virq, true);
        }
        for virq in [32, 1020, 8192, u32::MAX] {
            (domain.machine).hypervisor(3, || domain.inject_private(&cpu.vcpu, virq, true));
        }
        assert!(!line(cpu));
        assert!(!cpu.vcpu.wants_lines());
    });
}

#[test]
fn messages_become_inputs() {
    each(Config::rvic(2).with_msi(), |domain, cpus| {
        let inputs = domain.nr_spis();
        let first = inputs - 32;
        assert_eq!(first, Config::rvic(2).spis);
        let send = |data: u32| domain.inject_msi(3, DOORBELL, 0, 77, data);
        for virq in 32..32 + inputs {
            assert_eq!(domain.is_allocated(virq), virq >= 32 + first, "{virq}");
        }
        for data in [first, first + 9, inputs - 1] {
            let (to, intid) = (&cpus[data as usize % 2], UNTRUSTED + u64::from(data));
            assert_eq!(send(data), Err(EINVAL), "not mapped");
            map(to, data.into(), intid);
            for _ in 0..2 {
                assert_eq!(send(data), Ok(()));
                takes(to, intid);
                to.unmask(intid);
            }
            to.must(rvic::DISABLE, [0; 3]);
            assert_eq!(send(data), Err(EINVAL), "disabled");
            to.must(rvic::ENABLE, [0; 3]);
            assert!(!line(to));
        }
        for data in [0, first - 1, inputs, u32::MAX] {
            assert_eq!(send(data), Err(ENOENT), "{data}");
        }
        for doorbell in [
            0,
            DOORBELL + 4,
            DOORBELL | 1 << 32,
            0x0802_0040,
            0x0809_0040,
        ] {
            assert_eq!(domain.inject_msi(3, doorbell, 0, 77, first), Err(ENOENT));
        }
        assert_eq!(domain.inject_msi(3, DOORBELL, 1, 77, first), Err(ENOENT));
        let op = InjectMsi2 {
            addr: DOORBELL,
            data: first,
            ..InjectMsi2::default()
        };
        assert_eq!(domain.inject_msi2(3, &op), Ok(()));
        assert!(line(&cpus[first as usize % 2]));
    });
}

#[test]
fn a_domain_without_messages_takes_none() {
    each(Config::rvic(1), |domain, cpus| {
        for input in [0, 223, 224] {
            let sent = domain.inject_msi(3, DOORBELL, 0, 0, input);
            assert_eq!(sent, Err(ENOENT));
        }
        assert!(!line(&cpus[0]));
    });
}

/// A line that is high comes again until it has fallen.
#[test]
fn level_inputs_are_sampled_at_their_end() {
    each(Config::rvic(1).with_levels(), |domain, cpus| {
        let (cpu, intid) = (&cpus[0], UNTRUSTED + 4);
        inject(domain, 36, true);
        map(cpu, 4, intid);
        for _ in 0..3 {
            takes(cpu, intid);
            cpu.must(rvid::RESAMPLE, [4, 0, 0]);
            cpu.unmask(intid);
        }
        takes(cpu, intid);
        inject(domain, 36, false);
        cpu.must(rvid::RESAMPLE, [4, 0, 0]);
        cpu.unmask(intid);
        assert!(!line(cpu));
        inject(domain, 36, true);
        inject(domain, 36, true);
        takes(cpu, intid);
        cpu.unmask(intid);
        assert!(!line(cpu), "once for each rise");
    });
}

/// A device of the host's: it is active from its interrupt to its end, and comes to the CPU that its input goes to.
#[test]
fn a_host_interrupt_is_a_level_input() {
    each(Config::rvic(2).with_levels(), |domain, cpus| {
        const IRQ: u32 = 50;
        const INPUT: u64 = 7;
        let (gic, virq) = (&domain.machine.gic, 32 + INPUT as u32);
        let intid = UNTRUSTED + INPUT;
        assert_eq!(domain.route(virq, IRQ, true), Ok(()));
        assert!(domain.has_hw_irq(virq) && !domain.has_hw_irq(virq + 1));
        assert_eq!(domain.route(virq, IRQ + 1, true), Err(EBUSY));
        assert_eq!(domain.route(27, IRQ + 1, true), Err(EINVAL));
        assert_eq!(
            domain.route(32 + domain.nr_spis(), IRQ + 1, true),
            Err(EINVAL)
        );
        let active = || is_active(domain, IRQ);
        for to in [&cpus[0], &cpus[1], &cpus[0]] {
            map(to, INPUT, intid);
            for _ in 0..2 {
                gic.set_line(IRQ as u16, true);
                domain.machine.settle();
                takes(to, intid);
                assert!(active());
                to.must(rvid::RESAMPLE, [INPUT, 0, 0]);
                to.unmask(intid);
                takes(to, intid);
                gic.set_line(IRQ as u16, false);
                assert!(active());
                to.must(rvid::RESAMPLE, [INPUT, 0, 0]);
                assert!(!active());
                to.unmask(intid);
                assert!(!line(to));
            }
        }
    });
}

/// It goes with the vCPU that its input goes to, from CPU to CPU.
#[test]
fn a_host_interrupt_goes_with_its_vcpu() {
    for profile in [Profile::GICV2, Profile::GICV3] {
        let machine = Machine::power_on(profile);
        let config = Config::rvic(2).with_levels();
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        let mut cpus = start(&domain);
        for (n, cpu) in cpus.iter().enumerate() {
            let virq = 40 + n as u32;
            domain.route(virq, virq, true).expect("a host interrupt");
            map(cpu, 8 + n as u64, UNTRUSTED);
        }
        let targets = || [40, 41].map(|irq| machine.gic.snapshot(irq).expect("it").target);
        let before = targets();
        cpus[1].migrate(3);
        assert_eq!(targets(), [before[0], 3]);
    }
}

/// What a GIC has as an SGI is an event for who injects it, and nobody lowers it (FF-A's notifications).
#[test]
fn what_xen_injects_below_16_is_an_event() {
    each(Config::rvic(1), |domain, cpus| {
        let cpu = &cpus[0];
        cpu.unmask(8);
        for _ in 0..3 {
            (domain.machine).hypervisor(3, || domain.inject_private(&cpu.vcpu, 8, true));
            takes(cpu, 8);
            cpu.must(rvic::RESAMPLE, [8, 0, 0]);
            cpu.unmask(8);
            assert!(!line(cpu));
        }
    });
}

/// Its domain dies in any state of that.
#[test]
fn a_host_interrupt_is_nobodys_after_its_domain() {
    for state in 0..3 {
        let machine = Machine::power_on(Profile::GICV3);
        let domain = Domain::with_vcpus(&machine, Config::rvic(1).with_levels()).expect("a domain");
        let cpus = start(&domain);
        domain.route(40, 60, true).expect("a host interrupt");
        if state > 0 {
            map(&cpus[0], 8, UNTRUSTED);
        }
        if state > 1 {
            machine.gic.set_line(60, true);
            machine.settle();
            takes(&cpus[0], UNTRUSTED);
        }
        drop(cpus);
        drop(domain);
        machine.gic.set_line(60, false);
        assert!(
            !machine.gic.snapshot(60).expect("it").active,
            "in state {state}"
        );
        let next = Domain::with_vcpus(&machine, Config::rvic(1).with_levels()).expect("a domain");
        assert_eq!(next.route(33, 60, true), Ok(()));
        let cpus = start(&next);
        map(&cpus[0], 1, UNTRUSTED);
        assert!(!line(&cpus[0]));
        machine.gic.set_line(60, true);
        machine.settle();
        takes(&cpus[0], UNTRUSTED);
    }
}

/// An edge input has no end that a guest would tell; and a second edge before the end of the first would leave a level high for ever.
#[test]
fn a_host_interrupt_is_no_edge() {
    for (config, level) in [
        (Config::rvic(1), true),
        (Config::rvic(1), false),
        (Config::rvic(1).with_levels(), false),
    ] {
        each(config, |domain, cpus| {
            let gic = &domain.machine.gic;
            assert_eq!(domain.route(40, 60, level), Err(EINVAL));
            assert!(!domain.has_hw_irq(40));
            // Nothing of it is left: neither the input nor the host's interrupt is taken.
            map(&cpus[0], 8, UNTRUSTED);
            gic.set_line(60, true);
            domain.machine.settle();
            assert!(!line(&cpus[0]));
            gic.set_line(60, false);
            cpus[0].must(rvid::UNMAP, [8, 0, 0]);
            let next = domain.route(40, 60, true);
            assert_eq!(next.is_ok(), config.levels);
        });
    }
}
