// SPDX-License-Identifier: GPL-2.0-only
//! What a guest calls, and who has such calls.

use super::*;
use vgic_harness::guests::guest::Icc;
use vgic_harness::guests::guest::SysReg;
use vgic_harness::guests::guest::hvc::Refused;
use vgic_harness::guests::guest::{Abort, Size};
use vgic_harness::guests::linux;

const VERSION: u64 = 3;

/// Both ranges, and what is beside them.
fn all_numbers() -> std::ops::Range<u64> {
    0xc500_00ff..0xc500_0301
}

#[test]
fn what_it_has_is_what_xen_gave_it() {
    each(Config::rvic(2), |domain, cpus| {
        let cpu = &cpus[0];
        for function in [rvic::VERSION, rvid::VERSION] {
            assert_eq!(cpu.call(function, [0; 3]), Ok(VERSION));
        }
        assert_eq!(cpu.call(rvic::INFO, [0, 0, 0]), Ok(32));
        assert_eq!(
            cpu.call(rvic::INFO, [1, 0, 0]),
            Ok(u64::from(domain.nr_spis()))
        );
        for key in [2, u64::MAX, 1 << 32] {
            assert_eq!(
                cpu.call(rvic::INFO, [key, 0, 0]),
                Err(Refused::Parameter(0))
            );
        }
        assert_eq!(cpu.call(rvid::FEATURES, [0; 3]), Err(Refused::NotSupported));
    });
}

/// Of the two ranges each number is answered, and the count is that of those that are supported. Beside them Xen answers.
#[test]
fn as_many_calls_are_supported_as_xen_counts() {
    for config in [
        Config::rvic(1),
        Config::rvic(1).with_msi(),
        Config::rvic(1).with_levels(),
        Config::rvic(1).with_msi().with_levels(),
    ] {
        each(config, |domain, cpus| {
            let cpu = &cpus[0];
            let supported = all_numbers()
                .filter(|number| cpu.call(*number, [u64::MAX; 3]) != Err(Refused::NotSupported));
            assert_eq!(supported.count() as u32, domain.calls());
            let extensions = u64::from(config.msi) | u64::from(config.levels) << 1;
            let has = cpu.call(rvid::FEATURES, [0; 3]);
            let none = Err(Refused::NotSupported);
            assert_eq!(
                has,
                if extensions == 0 {
                    none
                } else {
                    Ok(extensions)
                }
            );
        });
    }
}

/// A guest with a GIC has none of them, whatever its arguments, and nothing but x0 is written.
#[test]
fn a_guest_with_a_gic_has_no_such_calls() {
    for (profile, gic) in [
        (Profile::GICV2, 2),
        (Profile::GICV3, 3),
        (Profile::GICV3_GICV, 2),
    ] {
        let machine = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, Config::guest(gic, 1)).expect("a domain");
        let cpus = linux::boot(&domain);
        assert_eq!(domain.calls(), 0);
        for number in all_numbers() {
            let answer = cpus[0].hvc([number, 0, 5, 7]);
            assert_eq!(answer, [u64::MAX, 0, 5, 7], "{number:#x}");
        }
        assert!(!cpus[0].isr());
    }
}

/// 64 bits of each argument count.
#[test]
fn arguments_are_not_cut_off() {
    each(Config::rvic(1).with_msi(), |_, cpus| {
        let cpu = &cpus[0];
        let me = affinity(cpu);
        for high in [1 << 31, 1 << 32, 1 << 63] {
            for (function, arguments, why) in [
                (rvic::SIGNAL, [me, 1 | high, 0], Refused::Parameter(1)),
                (rvic::SIGNAL, [me | high, 1, 0], Refused::InvalidCpu(0)),
                (rvic::RESAMPLE, [1 | high, 0, 0], Refused::Parameter(0)),
                (rvid::UNMAP, [1 | high, 0, 0], Refused::Parameter(0)),
                (rvid::MAP, [1 | high, me, UNTRUSTED], Refused::Parameter(0)),
                (rvid::MAP, [1, me | high, UNTRUSTED], Refused::Parameter(1)),
                (rvid::MAP, [1, me, UNTRUSTED | high], Refused::Parameter(2)),
            ] {
                assert_eq!(cpu.call(function, arguments), Err(why), "{arguments:#x?}");
            }
        }
    });
}

/// What Linux passes: affinity, of each vCPU that there is, and of no other.
#[test]
fn vcpus_are_named_by_their_affinity() {
    let machine = Machine::power_on(Profile::GICV3.with_cpus(20));
    let domain = Domain::with_vcpus(&machine, Config::rvic(18)).expect("a domain");
    let cpus = start(&domain);
    for cpu in &cpus {
        cpu.unmask(7);
        signal(&cpus[0], cpu, 7);
        for other in &cpus {
            assert_eq!(line(other), other.vcpu.id == cpu.vcpu.id);
        }
        takes(cpu, 7);
    }
    for none in [0x102, 0x10f, 0x200, 0x10, 0x1_0000, 0x1_0000_0000] {
        assert_eq!(
            cpus[0].call(rvic::SIGNAL, [none, 7, 0]),
            Err(Refused::InvalidCpu(0)),
            "{none:#x}"
        );
    }
}

/// No register of a GIC is there, in memory or of the system.
#[test]
fn there_is_no_gic_beside_it() {
    each(Config::rvic(1), |domain, cpus| {
        let cpu = &mut cpus[0];
        for register in [SysReg::Sgi1r, SysReg::Asgi1r, SysReg::Sgi0r] {
            for aarch32 in [false, true] {
                assert!(!cpu.write_sysreg(register, aarch32, 1));
            }
            assert!(!cpu.read_sysreg(register));
        }
        for register in [Icc::Dir, Icc::Ctlr, Icc::Pmr, Icc::Rpr] {
            for aarch32 in [false, true] {
                cpu.aarch32 = aarch32;
                assert_eq!(cpu.read_icc(register), None);
                assert!(!cpu.write_icc(register, 0));
            }
        }
        let profile = domain.machine.profile;
        let frames = profile.frames.map(|frames| frames.gicc);
        for frame in [0, 0x0300_1000, profile.gicd].into_iter().chain(frames) {
            assert_eq!(cpu.load(frame, Size::Word), Err(Abort::Unmapped));
        }
        assert!(!line(cpu));
    });
}
