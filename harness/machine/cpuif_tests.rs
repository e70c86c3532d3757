// SPDX-License-Identifier: GPL-2.0-only
//! The virtual CPU interface against what the architecture says of it.

use super::*;

const FORMATS: [(LrFormat, Group); 2] = [(LrFormat::Gich, Group::G0), (LrFormat::Ich, Group::G1)];

/// A fresh interface with its group on and the mask open.
fn open(format: LrFormat) -> VirtualCpuInterface {
    let mut cpu = VirtualCpuInterface::new(format, 4, 5);
    cpu.write_hcr(hcr::EN);
    cpu.set_pmr(0xf8);
    cpu.set_group_enable(Group::G0, true);
    cpu.set_group_enable(Group::G1, true);
    cpu
}

fn put(cpu: &mut VirtualCpuInterface, n: usize, lr: ListRegister) {
    let raw = lr.encode(cpu.format);
    cpu.write_lr(n, raw);
}

fn pending(format: LrFormat, vintid: u32, priority: u8) -> ListRegister {
    ListRegister {
        vintid,
        priority,
        pending: true,
        group1: format == LrFormat::Ich,
        ..Default::default()
    }
}

#[test]
fn highest_priority_first_then_nothing_preempts_it_at_its_level() {
    for (format, group) in FORMATS {
        let mut cpu = open(format);
        put(&mut cpu, 0, pending(format, 40, 0xa0));
        put(&mut cpu, 1, pending(format, 41, 0x80));
        put(&mut cpu, 2, pending(format, 42, 0x80));
        assert!(cpu.virq());
        assert_eq!(cpu.ack(group), 41);
        assert_eq!(cpu.running_priority(), 0x80);
        assert!(!cpu.virq(), "same priority does not preempt");
        assert_eq!(cpu.ack(group), SPURIOUS);
        assert_eq!(cpu.hppir(group), 42);
        put(&mut cpu, 3, pending(format, 43, 0x40));
        assert_eq!(cpu.ack(group), 43);
        cpu.eoi(group, 43);
        assert_eq!(cpu.running_priority(), 0x80);
        cpu.eoi(group, 41);
        assert_eq!(cpu.ack(group), 42);
        cpu.eoi(group, 42);
        assert_eq!(cpu.ack(group), 40);
        cpu.eoi(group, 40);
        assert_eq!(cpu.running_priority(), IDLE_PRIORITY);
        assert_eq!(cpu.elrsr(), 0xf);
    }
}

#[test]
fn masks_and_enables_hold_back() {
    for (format, group) in FORMATS {
        let mut cpu = open(format);
        put(&mut cpu, 0, pending(format, 40, 0xa0));
        cpu.set_pmr(0xa0);
        assert!(!cpu.virq());
        cpu.set_pmr(0xa8);
        assert!(cpu.virq());
        cpu.set_group_enable(group, false);
        assert_eq!(cpu.ack(group), SPURIOUS);
        cpu.set_group_enable(group, true);
        cpu.write_hcr(0);
        assert_eq!(cpu.ack(group), SPURIOUS);
        cpu.write_hcr(hcr::EN);
        assert_eq!(cpu.ack(group), 40);
    }
}

#[test]
fn binary_point_joins_priorities() {
    for (format, group) in FORMATS {
        let mut cpu = open(format);
        // Group priority 7:6 only: 0x80 and 0xa0 share it.
        cpu.set_bpr(group, if group == Group::G0 { 5 } else { 6 });
        put(&mut cpu, 0, pending(format, 40, 0xa0));
        assert_eq!(cpu.ack(group), 40);
        assert_eq!(cpu.running_priority(), 0x80);
        put(&mut cpu, 1, pending(format, 41, 0x80));
        assert_eq!(cpu.ack(group), SPURIOUS);
        put(&mut cpu, 2, pending(format, 42, 0x40));
        assert_eq!(cpu.ack(group), 42);
        cpu.eoi(group, 42);
        cpu.eoi(group, 40);
        assert_eq!(cpu.ack(group), 41);
    }
}

#[test]
fn hw_interrupt_is_deactivated_physically() {
    for (format, group) in FORMATS {
        let mut cpu = open(format);
        put(
            &mut cpu,
            0,
            ListRegister {
                hw: true,
                pintid: 77,
                ..pending(format, 40, 0xa0)
            },
        );
        assert_eq!(cpu.ack(group), 40);
        assert_eq!(cpu.eoi(group, 40), Some(77));
        cpu.set_eoimode(true);
        put(
            &mut cpu,
            0,
            ListRegister {
                hw: true,
                pintid: 77,
                ..pending(format, 40, 0xa0)
            },
        );
        assert_eq!(cpu.ack(group), 40);
        assert_eq!(cpu.eoi(group, 40), None);
        assert_eq!(cpu.running_priority(), IDLE_PRIORITY);
        assert!(cpu.peek(0).active);
        assert_eq!(cpu.dir(40), Some(77));
        assert!(cpu.peek(0).is_invalid());
    }
}

#[test]
fn eoi_without_a_list_register_counts() {
    for (format, group) in FORMATS {
        let mut cpu = open(format);
        cpu.write_hcr(hcr::EN | hcr::LRENPIE);
        put(&mut cpu, 0, pending(format, 40, 0xa0));
        assert_eq!(cpu.ack(group), 40);
        // The hypervisor takes the active interrupt out of its register.
        cpu.write_lr(0, 0);
        assert!(!cpu.maintenance());
        assert_eq!(cpu.eoi(group, 40), None);
        assert_eq!(cpu.eoicount(), 1);
        assert_eq!(cpu.misr(), misr::LRENP);
        assert!(cpu.maintenance());
        // No active priority left: not counted again.
        cpu.eoi(group, 40);
        assert_eq!(cpu.eoicount(), 1);
        // DIR counts as well, when split.
        cpu.set_eoimode(true);
        cpu.dir(40);
        assert_eq!(cpu.eoicount(), 2);
    }
}

#[test]
fn maintenance_conditions() {
    for (format, group) in FORMATS {
        let mut cpu = open(format);
        put(
            &mut cpu,
            0,
            ListRegister {
                eoi: true,
                ..pending(format, 40, 0xa0)
            },
        );
        assert!(!cpu.maintenance());
        cpu.ack(group);
        cpu.eoi(group, 40);
        assert_eq!((cpu.misr(), cpu.eisr(), cpu.elrsr()), (misr::EOI, 1, 0xe));
        cpu.write_lr(0, 0);
        assert_eq!(cpu.misr(), 0);
        cpu.write_hcr(hcr::EN | hcr::UIE | hcr::NPIE);
        assert_eq!(cpu.misr(), misr::U | misr::NP);
        put(&mut cpu, 0, pending(format, 40, 0xa0));
        assert_eq!(cpu.misr(), misr::U);
        put(&mut cpu, 1, pending(format, 41, 0xa0));
        assert_eq!(cpu.misr(), 0);
        cpu.write_hcr(hcr::EN | hcr::VGRP0EIE | hcr::VGRP1DIE);
        assert_eq!(cpu.misr(), misr::VGRP0E);
        cpu.set_group_enable(Group::G1, false);
        assert_eq!(cpu.misr(), misr::VGRP0E | misr::VGRP1D);
        cpu.write_hcr(hcr::VGRP0EIE);
        assert!(!cpu.maintenance(), "EN gates the line");
    }
}

#[test]
fn groups_as_each_view_sees_them() {
    let mut v2 = open(LrFormat::Gich);
    put(
        &mut v2,
        0,
        ListRegister {
            group1: true,
            ..pending(LrFormat::Gich, 40, 0xa0)
        },
    );
    assert_eq!(v2.ack(Group::G0), SPURIOUS_GROUP1);
    v2.set_gicv_ctlr(true, false);
    assert_eq!(v2.ack(Group::G0), 40);
    v2.eoi(Group::G0, 40);

    let mut v3 = open(LrFormat::Ich);
    put(
        &mut v3,
        0,
        ListRegister {
            group1: false,
            ..pending(LrFormat::Ich, 40, 0xa0)
        },
    );
    assert!(v3.vfiq() && !v3.virq());
    assert_eq!(v3.ack(Group::G1), SPURIOUS);
    assert_eq!(v3.ack(Group::G0), 40);
    // The wrong EOIR drops the priority but does not deactivate.
    v3.eoi(Group::G1, 40);
    assert!(v3.peek(0).active);
}

#[test]
fn sgi_source_is_read_back_and_must_match() {
    for format in [LrFormat::Gich, LrFormat::Ich] {
        let mut cpu = open(format);
        cpu.set_view(View::Gicv);
        put(
            &mut cpu,
            0,
            ListRegister {
                source: 3,
                group1: false,
                ..pending(format, 2, 0xa0)
            },
        );
        assert_eq!(cpu.ack(Group::G0), 3 << 10 | 2);
        cpu.eoi(Group::G0, 3 << 10 | 2);
        assert!(cpu.peek(0).is_invalid());
    }
}

#[test]
fn vmcr_reads_back_what_exists() {
    let mut cpu = VirtualCpuInterface::new(LrFormat::Ich, 16, 5);
    cpu.set_vmcr(!0);
    assert_eq!(
        cpu.vmcr(),
        0xf8 << 24 | 7 << 21 | 7 << 18 | vmcr::EOIM | vmcr::CBPR | 3
    );
    cpu.set_vmcr(0);
    assert_eq!(cpu.vmcr(), 2 << 21 | 3 << 18);
    assert_eq!(cpu.vtr() & 0x1f, 15);
}

#[test]
fn seven_bits_of_priority_have_four_registers_of_active_priorities() {
    let mut cpu = VirtualCpuInterface::new(LrFormat::Ich, 4, 7);
    cpu.write_hcr(hcr::EN);
    cpu.set_pmr(0xff);
    cpu.set_group_enable(Group::G1, true);
    cpu.set_bpr(Group::G1, 0);
    assert_eq!((cpu.vtr() >> 29, cpu.vtr() >> 26 & 7), (6, 6));
    assert_eq!(cpu.vmcr(), 0xfe << 24 | 1 << 18 | 2);
    // Priorities that five bits could not tell apart preempt each other, and the lowest bit is none.
    for (n, priority) in [0xa6, 0xa5, 0xa2].into_iter().enumerate() {
        put(&mut cpu, n, pending(LrFormat::Ich, 40 + n as u32, priority));
    }
    assert_eq!(cpu.ack(Group::G1), 42);
    assert_eq!((cpu.running_priority(), cpu.apr(1)), (0xa2, 1 << 0x51));
    assert_eq!(cpu.ack(Group::G1), SPURIOUS);
    cpu.eoi(Group::G1, 42);
    assert_eq!(cpu.ack(Group::G1), 41);
    assert_eq!(cpu.running_priority(), 0xa4);
    cpu.eoi(Group::G1, 41);
    assert_eq!(cpu.running_priority(), IDLE_PRIORITY);
    let mut five = VirtualCpuInterface::new(LrFormat::Ich, 4, 5);
    put(&mut five, 0, pending(LrFormat::Ich, 40, 0xa6));
    assert_eq!(five.peek(0).priority, 0xa0);
}

#[test]
fn pending_and_active_stays_pending_after_eoi() {
    for (format, group) in FORMATS {
        let mut cpu = open(format);
        put(&mut cpu, 0, pending(format, 40, 0xa0));
        assert_eq!(cpu.ack(group), 40);
        put(
            &mut cpu,
            0,
            ListRegister {
                active: true,
                ..pending(format, 40, 0xa0)
            },
        );
        assert_eq!(
            cpu.ack(group),
            SPURIOUS,
            "pending and active is not taken twice"
        );
        cpu.eoi(group, 40);
        assert_eq!(cpu.ack(group), 40);
    }
}
