// SPDX-License-Identifier: GPL-2.0-only
//! What Xen's older C vGIC gets wrong.

use crate::common::{drain, drain_iar, each, edge, inject, on};
use vgic_harness::guests::guest::{GuestCpu, Size};
use vgic_harness::guests::linux::{self, gicd, gicr};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;
use vgic_harness::xen::vcpu::Vcpu;

#[test]
fn old_c_vgic_levels_are_levels() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        linux::enable(cpu, 41);
        // Lowered before the guest looks: gone.
        inject(domain, 41, true);
        inject(domain, 41, false);
        cpu.hypercall(|| {});
        assert_eq!(drain(cpu), []);
        // Still up when it ends: it comes again.
        inject(domain, 41, true);
        assert_eq!(cpu.take(|_| {}), Some(41));
        assert_eq!(cpu.take(|_| inject(domain, 41, false)), Some(41));
        assert_eq!(drain(cpu), []);
        // Raised while disabled, and up when enabled.
        linux::disable(cpu, 41);
        inject(domain, 41, true);
        assert_eq!(drain(cpu), []);
        linux::enable(cpu, 41);
        assert_eq!(cpu.take(|_| inject(domain, 41, false)), Some(41));
    });
}

#[test]
fn old_c_vgic_pending_and_active_read_back() {
    each(2, |domain, cpus| {
        let [first, second] = cpus else { panic!() };
        let state = |cpu: &GuestCpu, intid| {
            let set = (gicd::ISPENDR, gicd::ISACTIVER);
            let clear = (gicd::ICPENDR, gicd::ICACTIVER);
            let [a, b] =
                [set, clear].map(|(p, a)| (linux::bit(cpu, p, intid), linux::bit(cpu, a, intid)));
            assert_eq!(a, b, "both registers of {intid} show the same");
            a
        };
        edge(first, 40);
        linux::route(first, 40, 1);
        let seen = |expected| {
            assert_eq!((state(first, 40), state(second, 40)), (expected, expected));
        };
        seen((false, false));
        inject(domain, 40, true);
        seen((true, false));
        assert_eq!(second.ack(), 40);
        seen((false, true));
        inject(domain, 40, true);
        seen((true, true));
        linux::poke(first, gicd::ICPENDR, 40);
        seen((false, true));
        second.eoi(40);
        seen((false, false));
        // A line, and the timer's.
        linux::enable(first, 41);
        inject(domain, 41, true);
        assert_eq!(first.ack(), 41);
        assert_eq!(state(second, 41), (true, true), "the line is still up");
        inject(domain, 41, false);
        assert_eq!(state(second, 41), (false, true));
        first.eoi(41);
        linux::enable(first, Vcpu::VTIMER);
        first.vcpu.expire_vtimer(&domain.machine);
        assert_eq!(first.ack(), Vcpu::VTIMER);
        assert!(state(first, Vcpu::VTIMER).1);
        assert_eq!(state(second, Vcpu::VTIMER), (false, false), "its own");
        first.vcpu.program_vtimer();
        first.eoi(Vcpu::VTIMER);
        // Written by the guest, as at CPU hotplug or kexec.
        linux::poke(first, gicd::ISACTIVER, 42);
        assert_eq!(state(second, 42), (false, true));
        linux::poke(second, gicd::ICACTIVER, 42);
        assert_eq!(state(first, 42), (false, false));
    });
}

#[test]
fn old_c_vgic_another_vcpus_private_state_reads_back() {
    on(Profile::GICV3, Config::guest(3, 2), |_, cpus| {
        let of_first = |offset| {
            let base = cpus[1].gicr_of(0).expect("a redistributor") + gicr::SGI_BASE;
            cpus[1].load(base + offset, Size::Word).expect("a register")
        };
        linux::send_sgi(&cpus[1], 0, 6);
        assert_eq!(of_first(gicd::ISPENDR), 1 << 6);
        assert_eq!(cpus[0].ack(), 6);
        assert_eq!(
            (of_first(gicd::ISPENDR), of_first(gicd::ISACTIVER)),
            (0, 1 << 6)
        );
        cpus[0].eoi(6);
        assert_eq!(of_first(gicd::ISACTIVER), 0);
    });
}

#[test]
fn old_c_vgic_source_of_a_gicv2_sgi() {
    for vcpus in [2, 8] {
        let profile = Profile::GICV2.with_cpus(vcpus);
        on(profile, Config::guest(2, vcpus), |_, cpus| {
            for from in (1..vcpus).rev() {
                linux::send_sgi(&cpus[from], 0, 3);
                linux::send_sgi(&cpus[from], 0, 3);
            }
            assert_eq!(cpus[0].gicd_read(0xf20) >> 24, (1 << vcpus) - 2);
            let mut taken = drain_iar(&cpus[0]);
            taken.sort_unstable();
            let expected: Vec<u32> = (1..vcpus as u32).map(|n| n << 10 | 3).collect();
            assert_eq!(taken, expected, "one from each");
        });
    }
}

#[test]
fn old_c_vgic_itargetsr_keeps_all_targets() {
    on(Profile::GICV2, Config::guest(2, 3), |domain, cpus| {
        let cpu = &cpus[0];
        linux::enable(cpu, 40);
        for byte in [7, 5, 6, 3, 1, 2, 4] {
            let address = cpu.gicd() + gicd::ITARGETSR + 40;
            assert_eq!(cpu.store(address, Size::Byte, byte), Ok(()));
            assert_eq!(cpu.load(address, Size::Byte), Ok(byte));
            inject(domain, 40, true);
            let takes: Vec<bool> = cpus.iter().map(GuestCpu::signalled).collect();
            let who = takes.iter().position(|&t| t).expect("somebody takes it");
            assert!(byte >> who & 1 != 0, "{byte:#x} does not name vCPU {who}");
            let taken = cpus[who].take(|_| inject(domain, 40, false));
            assert_eq!(taken, Some(40));
            assert!(cpus.iter().all(|cpu| !cpu.signalled()), "only one does");
        }
    });
}

#[test]
fn identification_registers_read_right() {
    for (profile, gic, ids) in [
        (Profile::GICV2, 2, 0xfd0),
        (Profile::GICV3, 3, 0xffd0),
        (Profile::GICV3_GICV, 2, 0xfd0),
    ] {
        let domain = Domain::with_vcpus(&Machine::power_on(profile), Config::guest(gic, 2));
        let domain = domain.expect("a domain");
        let cpu = GuestCpu::start(&domain, 0);
        let check = |read: &dyn Fn(u64) -> u32, iidr| {
            assert_eq!(read(ids + 0x18) >> 4, gic.into(), "PIDR2.ArchRev");
            let cidr = [0, 4, 8, 12].map(|n| read(ids + 0x20 + n));
            assert_eq!(cidr, [0x0d, 0xf0, 0x05, 0xb1], "CIDR");
            assert_eq!(read(iidr) & 0xfff, 0x43b, "IIDR: Arm");
        };
        // Twice: a write changes none of them.
        for _ in 0..2 {
            check(&|offset| cpu.gicd_read(offset), gicd::IIDR);
            cpu.gicd_write(gicd::IIDR, 0);
            (ids..ids + 0x30)
                .step_by(4)
                .for_each(|o| cpu.gicd_write(o, 0));
            if gic == 3 {
                assert_eq!(cpu.gicd_read(0xc), 0, "TYPER2");
                check(&|offset| cpu.gicr_read(offset), 4);
                (ids..ids + 0x30)
                    .step_by(4)
                    .for_each(|o| cpu.gicr_write(o, 0));
            }
        }
    }
}
