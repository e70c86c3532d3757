// SPDX-License-Identifier: GPL-2.0-only
//! KVM, QEMU, FreeBSD, libvmm, and other vGICs in Rust.

use crate::common::{drain, drain_iar, each, edge, inject, on};
use vgic_harness::guests::guest::{GuestCpu, Size, SysReg};
use vgic_harness::guests::linux::{self, gicd};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};

#[test]
fn cve_2024_46707_sgi_registers_of_a_guest_without_a_vgicv3_are_undef() {
    each(2, |_, cpus| {
        let v3 = cpus[0].vcpu.gic_version == 3;
        for aarch32 in [false, true] {
            for register in [SysReg::Sgi1r, SysReg::Asgi1r, SysReg::Sgi0r] {
                let there = cpus[0].write_sysreg(register, aarch32, 0xffff | 1 << 24);
                assert_eq!(there, v3, "{register:?}");
            }
        }
        let expected = if v3 { vec![1] } else { vec![] };
        assert!(cpus.iter().all(|cpu| drain(cpu) == expected));
    });
}

#[test]
fn cve_2021_20221_sgi_id_has_four_bits() {
    each(2, |_, cpus| {
        if cpus[0].vcpu.gic_version == 2 {
            // Bits 14 to 4 are reserved.
            cpus[1].gicd_write(gicd::SGIR, 1 << 16 | 0x3f0 | 5);
            assert_eq!(drain_iar(&cpus[0]), [1 << 10 | 5]);
        } else {
            // Bits 31 to 28 are reserved.
            assert!(cpus[1].write_sysreg(SysReg::Sgi1r, false, 0xf5 << 24 | 1));
            assert_eq!(drain_iar(&cpus[0]), [5]);
        }
        assert_eq!(drain(&cpus[1]), []);
    });
}

/// Interrupts that all have ended as far as their priority goes, and are active, on vCPU 0.
fn split(domain: &Domain, cpus: &[GuestCpu], intids: &[u32]) {
    for cpu in cpus {
        cpu.set_eoimode(true);
        cpu.hypercall(|| {});
    }
    for &n in intids {
        edge(&cpus[0], n);
        inject(domain, n, true);
        assert_eq!(cpus[0].ack(), n);
        cpus[0].eoi(n);
    }
}

/// None of them is active any more, and each comes once more to `cpu`.
fn all_inactive(domain: &Domain, cpu: &GuestCpu, intids: &[u32]) {
    for &n in intids {
        assert!(!linux::bit(cpu, gicd::ISACTIVER, n), "{n} is active");
        inject(domain, n, true);
        assert_eq!(cpu.ack(), n);
        cpu.eoi(n);
        cpu.dir(n);
        assert!(!linux::bit(cpu, gicd::ISACTIVER, n), "{n} is active");
    }
}

#[test]
fn eoicount_of_nested_interrupts_without_a_trap() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        cpu.interface(|i| i.set_pmr(0xf8));
        let nested: Vec<u32> = (64..94).collect();
        for &n in &nested {
            edge(cpu, n);
            linux::set_priority(cpu, n, 0xf0 - (n - 64) as u8 * 8);
            inject(domain, n, true);
            assert_eq!(cpu.ack(), n);
        }
        nested.iter().rev().for_each(|&n| cpu.eoi(n));
        cpu.step();
        assert!(nested.iter().all(|&n| !linux::bit(cpu, gicd::ISACTIVER, n)));
        nested.iter().for_each(|&n| inject(domain, n, true));
        assert_eq!(drain(cpu), nested);
    });
}

/// A GICv2's DIR always traps: the page it is on is not mapped.
const DIR_IN_MEMORY: [Profile; 2] = [Profile::GICV2, Profile::GICV3_GICV];

/// Where ICC_DIR_EL1 can be made to trap alone (`ICH_VTR_EL2.TDS`), and where it cannot: with many list registers, and with few.
const ICC_DIR: [Profile; 4] = [
    Profile::GICV3_16,
    Profile {
        lrs: 4,
        ..Profile::GICV3_16
    },
    Profile {
        tds: false,
        ..Profile::GICV3_16
    },
    Profile::GICV3,
];

fn deactivate_in_any_order(domain: &Domain, cpus: &[GuestCpu]) {
    let cpu = &cpus[0];
    let intids: Vec<u32> = (64..88).collect();
    split(domain, cpus, &intids);
    assert!(intids.iter().all(|&n| linux::bit(cpu, gicd::ISACTIVER, n)));
    for i in 0..24 {
        let n = intids[i * 7 % 24];
        inject(domain, n, true);
        cpu.step();
        assert!(!cpu.signalled(), "{n} is active");
        cpu.dir(n);
        assert_eq!(cpu.ack(), n, "what came meanwhile");
        cpu.eoi(n);
        cpu.dir(n);
    }
    all_inactive(domain, cpu, &intids);
}

fn deactivate_on_another(domain: &Domain, cpus: &[GuestCpu]) {
    let intids: Vec<u32> = (64..88).collect();
    split(domain, cpus, &intids);
    for &n in intids.iter().rev() {
        cpus[1].dir(n);
    }
    all_inactive(domain, &cpus[0], &intids);
    // Routed away while active, and then deactivated by the vCPU it is routed to.
    split(domain, cpus, &intids);
    for &n in &intids {
        linux::route(&cpus[0], n, 1);
        cpus[1].dir(n);
    }
    all_inactive(domain, &cpus[1], &intids);
}

#[test]
fn eoicount_dir_with_eoimode_1_in_any_order() {
    for profile in DIR_IN_MEMORY {
        on(profile, Config::dom0(2, 1), deactivate_in_any_order);
    }
}

#[test]
fn eoicount_dir_with_eoimode_1_in_any_order_on_a_gicv3() {
    for profile in ICC_DIR {
        on(profile, Config::dom0(3, 1), deactivate_in_any_order);
    }
}

#[test]
fn eoicount_acknowledged_on_one_vcpu_deactivated_on_another() {
    for profile in DIR_IN_MEMORY {
        on(profile, Config::dom0(2, 2), deactivate_on_another);
    }
}

#[test]
fn eoicount_acknowledged_on_one_vcpu_deactivated_on_another_on_a_gicv3() {
    for profile in ICC_DIR {
        on(profile, Config::dom0(3, 2), deactivate_on_another);
    }
}

#[test]
fn eoicount_group_enables_change_while_interrupts_are_pending() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        let group = cpu.group();
        let all: Vec<u32> = (64..88).collect();
        all.iter().for_each(|&n| edge(cpu, n));
        // At the CPU interface, without a trap.
        all.iter().for_each(|&n| inject(domain, n, true));
        cpu.step();
        cpu.interface(|i| i.set_group_enable(group, false));
        assert!(!cpu.signalled());
        cpu.hypercall(|| {});
        cpu.interface(|i| i.set_group_enable(group, true));
        assert_eq!(drain(cpu), all);
        // At the distributor; some come while it is off.
        let ctlr = cpu.gicd_read(gicd::CTLR);
        all[..12].iter().for_each(|&n| inject(domain, n, true));
        cpu.step();
        cpu.gicd_write(gicd::CTLR, ctlr & !3);
        all[12..].iter().for_each(|&n| inject(domain, n, true));
        assert_eq!(drain(cpu), []);
        assert!(all.iter().all(|&n| linux::bit(cpu, gicd::ISPENDR, n)));
        cpu.gicd_write(gicd::CTLR, ctlr);
        assert_eq!(drain(cpu), all);
    });
}

#[test]
fn freebsd_icenabler_clears_what_is_named_and_nothing_else() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        for n in 1..7 {
            cpu.gicd_write(gicd::ISENABLER + n * 4, !0);
        }
        cpu.gicd_write(gicd::ICENABLER + 3 * 4, 0x0f0f_0f0f);
        cpu.gicd_write(gicd::ICENABLER + 4 * 4, 0);
        for n in 1..7 {
            let left = if n == 3 { 0xf0f0_f0f0 } else { !0 };
            assert_eq!(cpu.gicd_read(gicd::ICENABLER + n * 4), left, "{n}");
            assert_eq!(cpu.gicd_read(gicd::ISENABLER + n * 4), left, "{n}");
        }
    });
}

#[test]
fn freebsd_end_of_an_interrupt_that_was_disabled_while_active() {
    each(2, |domain, cpus| {
        let (cpu, gic) = (&cpus[0], &domain.machine.gic);
        domain.route(42, 70, true).expect("connected");
        edge(cpu, 40);
        linux::enable(cpu, 41);
        linux::enable(cpu, 42);
        for _ in 0..3 {
            inject(domain, 40, true);
            assert_eq!(cpu.take(|_| linux::disable(cpu, 40)), Some(40));
            inject(domain, 41, true);
            assert_eq!(cpu.take(|_| linux::disable(cpu, 41)), Some(41));
            inject(domain, 41, false);
            gic.set_line(70, true);
            assert_eq!(cpu.take(|_| linux::disable(cpu, 42)), Some(42));
            gic.set_line(70, false);
            for n in 40..43 {
                assert!(!linux::bit(cpu, gicd::ISACTIVER, n), "{n} has ended");
                linux::enable(cpu, n);
            }
            assert!(!gic.snapshot(70).expect("an interrupt").active);
            assert_eq!(drain(cpu), []);
        }
    });
}

#[test]
fn libvmm_injection_while_disabled_is_kept() {
    each(2, |domain, cpus| {
        let cpu = &cpus[0];
        for n in [40, 41] {
            linux::set_trigger(cpu, n, n == 40);
            inject(domain, n, true);
            assert_eq!(drain(cpu), []);
            assert!(linux::bit(cpu, gicd::ISPENDR, n));
            linux::enable(cpu, n);
            assert_eq!(cpu.take(|_| inject(domain, n, false)), Some(n));
            linux::disable(cpu, n);
        }
        // A private one of another vCPU.
        let v = &cpus[1].vcpu;
        let line = |level| {
            let inject = || domain.inject_private(v, 20, level);
            domain.machine.hypervisor(3, inject);
        };
        line(true);
        assert_eq!(drain(&cpus[1]), []);
        linux::enable(&cpus[1], 20);
        assert_eq!(cpus[1].take(|_| line(false)), Some(20));
    });
}

#[test]
fn rust_intid_truncated_to_a_byte() {
    let config = Config {
        spis: 960,
        ..Config::dom0(3, 2)
    };
    on(Profile::GICV3_16, config, |domain, cpus| {
        let alike = [40, 256 + 40, 512 + 40, 768 + 40];
        alike.iter().for_each(|&n| edge(&cpus[0], n));
        for n in alike {
            inject(domain, n, true);
            for m in alike {
                assert_eq!(linux::bit(&cpus[0], gicd::ISPENDR, m), n == m);
            }
            assert_eq!(drain(&cpus[0]), [n]);
        }
        linux::disable(&cpus[0], 296);
        alike.iter().for_each(|&n| inject(domain, n, true));
        assert_eq!(drain(&cpus[0]), [40, 552, 808]);
        linux::enable(&cpus[0], 296);
        assert_eq!(drain(&cpus[0]), [296]);
        edge(&cpus[0], 991);
        inject(domain, 991, true);
        assert_eq!(drain(&cpus[0]), [991], "the last");
        // Numbers that only their lower bits make valid.
        for n in [65536 + 40, 1 << 24 | 40, 1 << 31 | 40, 1024 + 40] {
            inject(domain, n, true);
            assert_eq!(drain(&cpus[0]), []);
        }
    });
}

#[test]
fn rust_all_list_registers_full() {
    each(2, |domain, cpus| {
        let all: Vec<u32> = (32..256).collect();
        for &n in &all {
            edge(&cpus[0], n);
            inject(domain, n, true);
        }
        (0..16).for_each(|sgi| linux::send_sgi(&cpus[1], 0, sgi));
        let expected: Vec<u32> = (0..16).chain(all).collect();
        assert_eq!(drain(&cpus[0]), expected, "each of them once");
    });
}

#[test]
fn rust_invlpir_without_lpis() {
    on(Profile::GICV3, Config::guest(3, 1), |_, cpus| {
        let base = cpus[0].gicr_of(0).expect("a redistributor");
        // SETLPIR, CLRLPIR, INVLPIR, INVALLR, SYNCR: numbers below and above the first LPI.
        for offset in [0x40, 0x48, 0xa0, 0xb0, 0xc0] {
            for value in [0, 40, 8191, 8192, 65535, u64::MAX] {
                for size in [Size::Word, Size::Double] {
                    assert_eq!(cpus[0].store(base + offset, size, value), Ok(()));
                    assert_eq!(cpus[0].load(base + offset, size), Ok(0));
                }
            }
        }
        assert_eq!(drain(&cpus[0]), []);
    });
}

#[test]
fn rust_todo_reachable_by_a_guest() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        let v3 = cpu.vcpu.gic_version == 3;
        let mut frames = vec![(cpu.gicd(), if v3 { 0x1_0000 } else { 0x1000 })];
        frames.extend(cpu.gicr_of(0).filter(|_| v3).map(|base| (base, 0x2_0000)));
        for (base, size) in frames {
            for address in (base..base + size).step_by(4) {
                // Reads of all widths at each word; then what stands there is written back.
                for width in [Size::Byte, Size::Half, Size::Double] {
                    assert!(cpu.load(address, width).is_ok(), "{address:#x} {width:?}");
                }
                let value = cpu.load(address, Size::Word);
                let value = value.unwrap_or_else(|_| panic!("{address:#x} aborts"));
                assert_eq!(
                    cpu.store(address, Size::Word, value),
                    Ok(()),
                    "{address:#x}"
                );
            }
        }
        // The guest is as it was, but for the enables, which writing ICENABLER back has cleared.
        linux::init_cpu(cpu);
        edge(cpu, 40);
        inject(domain, 40, true);
        assert_eq!(drain(cpu), [40]);
    });
}
