// SPDX-License-Identifier: GPL-2.0-only
//! The frames as a guest reads and writes them.

use vgic_harness::guests::guest::{Abort, GICR_STRIDE, GuestCpu, Size, SysReg};
use vgic_harness::guests::linux::{self, gicd, gicr};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

fn domain(profile: Profile, config: Config) -> Domain {
    Domain::with_vcpus(&Machine::power_on(profile), config).expect("a domain")
}

/// Every naturally aligned access of every size, reads and writes, in `len` bytes from `base`.
fn sweep(cpu: &GuestCpu, base: u64, len: u64) {
    for address in (base..base + len).step_by(4) {
        assert_eq!(
            cpu.load(address, Size::Word).map(|v| v >> 32),
            Ok(0),
            "{address:#x}"
        );
        for value in [!0, 0] {
            assert_eq!(
                cpu.store(address, Size::Word, value),
                Ok(()),
                "{address:#x}"
            );
        }
    }
    // The other widths, more coarsely: what is not allowed is RAZ/WI, too.
    for address in (base..base + len).step_by(20) {
        for size in [Size::Byte, Size::Half, Size::Double] {
            assert!(cpu.load(address, size).is_ok(), "{address:#x} {size:?}");
            assert_eq!(
                cpu.store(address, size, 0xa5a5_5a5a_a5a5_5a5a),
                Ok(()),
                "{address:#x} {size:?}"
            );
        }
    }
}

#[test]
fn no_offset_of_a_gicv2_aborts() {
    let domain = domain(Profile::GICV2, Config::guest(2, 2));
    let cpu = GuestCpu::start(&domain, 0);
    sweep(&cpu, domain.gicd(), 0x1000);
    assert_eq!(
        cpu.load(domain.gicd() + 0x1000, Size::Word),
        Err(Abort::Unmapped)
    );
}

#[test]
fn no_offset_of_a_gicv3_aborts() {
    for config in [Config::guest(3, 1), Config::dom0(3, 3)] {
        let domain = domain(Profile::GICV3, config);
        let cpu = GuestCpu::start(&domain, 0);
        sweep(&cpu, domain.gicd(), 0x1_0000);
        for (base, size) in domain.gicr_regions() {
            // Also of vCPUs that the domain has not got, where the region has room for them.
            sweep(&cpu, base, size.min(2 * GICR_STRIDE));
            assert!(cpu.load(base + size - 4, Size::Word).is_ok());
        }
    }
}

#[test]
fn identification() {
    let v2 = domain(Profile::GICV2, Config::guest(2, 3));
    let cpu = GuestCpu::start(&v2, 1);
    assert_eq!(cpu.gicd_read(gicd::TYPER) & 0x1f, (224 + 32) / 32 - 1);
    assert_eq!(cpu.gicd_read(gicd::TYPER) >> 5 & 7, 2, "three CPUs");
    assert_eq!(cpu.gicd_read(gicd::PIDR2_V2) >> 4 & 0xf, 2, "GICv2");
    drop(cpu);
    drop(v2);
    let v3 = domain(Profile::GICV3_16, Config::dom0(3, 3));
    let cpu = GuestCpu::start(&v3, 1);
    assert_eq!(cpu.gicd_read(gicd::TYPER) & 0x1f, (224 + 32) / 32 - 1);
    assert_eq!(cpu.gicd_read(gicd::PIDR2) >> 4 & 0xf, 3, "GICv3");
    assert_eq!(cpu.gicr_read(gicr::PIDR2) >> 4 & 0xf, 3, "GICv3");
    // The host's first region has room for two; Last is set at the end of the vCPUs.
    for id in 0..3 {
        let base = cpu.gicr_of(id).expect("a redistributor");
        let typer = cpu.load(base + gicr::TYPER, Size::Double).expect("TYPER");
        assert_eq!(typer >> 32, id as u64, "affinity");
        assert_eq!(typer >> 8 & 0xffff, id as u64, "processor number");
        let last_of_region = id == 1 || id == 2;
        assert_eq!(typer >> 4 & 1 == 1, last_of_region, "Last of vCPU {id}");
    }
}

#[test]
fn what_is_written_reads_back() {
    for (profile, config) in [
        (Profile::GICV2, Config::dom0(2, 4)),
        (Profile::GICV3, Config::dom0(3, 4)),
    ] {
        let domain = domain(profile, config);
        let cpus = linux::boot(&domain);
        let cpu = &cpus[0];
        for intid in [16, 31, 32, 33, 100, 255] {
            linux::disable(cpu, intid);
            assert!(
                !linux::bit(cpu, gicd::ISENABLER, intid)
                    && !linux::bit(cpu, gicd::ICENABLER, intid)
            );
            linux::enable(cpu, intid);
            assert!(
                linux::bit(cpu, gicd::ISENABLER, intid) && linux::bit(cpu, gicd::ICENABLER, intid)
            );
            linux::disable(cpu, intid);
            linux::set_priority(cpu, intid, 0x5f);
            let offset = gicd::IPRIORITYR + u64::from(intid & !3);
            let word = if intid < 32 {
                linux::private_read(cpu, offset)
            } else {
                cpu.gicd_read(offset)
            };
            assert_eq!(
                word >> (intid % 4 * 8) & 0xff,
                0x58,
                "five bits of priority"
            );
        }
        linux::set_trigger(cpu, 40, true);
        assert_eq!(cpu.gicd_read(gicd::ICFGR + 8) >> 16 & 3, 2);
        linux::set_trigger(cpu, 40, false);
        assert_eq!(cpu.gicd_read(gicd::ICFGR + 8) >> 16 & 3, 0);
        linux::route(cpu, 40, 2);
        if profile.gic == 2 {
            assert_eq!(cpu.gicd_read(gicd::ITARGETSR + 40) & 0xff, 4);
            assert_eq!(
                cpus[1].gicd_read(gicd::ITARGETSR),
                0x0202_0202,
                "its own mask"
            );
            cpu.gicd_write(gicd::ITARGETSR + 40, 0xff);
            assert_eq!(
                cpu.gicd_read(gicd::ITARGETSR + 40) & 0xff,
                0xf,
                "four CPUs exist"
            );
        } else {
            assert_eq!(
                cpu.load(domain.gicd() + gicd::IROUTER + 40 * 8, Size::Double),
                Ok(2)
            );
        }
        // Beyond the last interrupt: RAZ/WI.
        cpu.gicd_write(gicd::ISENABLER + 4 * 8, !0);
        assert_eq!(cpu.gicd_read(gicd::ISENABLER + 4 * 8), 0);
    }
}

#[test]
fn pending_and_active_state_is_the_true_one() {
    for profile in Profile::ALL {
        let domain = domain(profile, Config::dom0(profile.gic, 2));
        let cpus = linux::boot(&domain);
        linux::set_trigger(&cpus[0], 40, true);
        linux::route(&cpus[0], 40, 1);
        // Disabled: pending all the same.
        domain.machine.hypervisor(0, || domain.inject(40, true));
        assert!(linux::bit(&cpus[0], gicd::ISPENDR, 40) && linux::bit(&cpus[1], gicd::ICPENDR, 40));
        linux::poke(&cpus[0], gicd::ICPENDR, 40);
        assert!(!linux::bit(&cpus[0], gicd::ISPENDR, 40));
        linux::enable(&cpus[0], 40);
        linux::poke(&cpus[0], gicd::ISPENDR, 40);
        assert!(
            linux::bit(&cpus[0], gicd::ISPENDR, 40),
            "seen from the vCPU that has not got it"
        );
        assert_eq!(cpus[1].ack(), 40);
        assert!(
            linux::bit(&cpus[0], gicd::ISACTIVER, 40) && !linux::bit(&cpus[0], gicd::ISPENDR, 40)
        );
        domain.machine.hypervisor(0, || domain.inject(40, true));
        assert!(
            linux::bit(&cpus[0], gicd::ISACTIVER, 40) && linux::bit(&cpus[0], gicd::ISPENDR, 40)
        );
        linux::poke(&cpus[0], gicd::ICPENDR, 40);
        cpus[1].eoi(40);
        assert!(
            !linux::bit(&cpus[0], gicd::ISACTIVER, 40),
            "{}",
            profile.name
        );
        assert!(!cpus[1].signalled());
    }
}

#[test]
fn sgi_registers_are_undef_in_a_gicv2_guest_and_write_only() {
    for profile in [Profile::GICV2, Profile::GICV3] {
        let domain = domain(profile, Config::guest(profile.gic, 1));
        let cpu = GuestCpu::start(&domain, 0);
        for register in [SysReg::Sgi1r, SysReg::Asgi1r, SysReg::Sgi0r] {
            for aarch32 in [false, true] {
                assert_eq!(
                    cpu.write_sysreg(register, aarch32, 1 << 24 | 1),
                    profile.gic == 3
                );
            }
            assert!(!cpu.read_sysreg(register), "{register:?}");
        }
    }
}
