// SPDX-License-Identifier: GPL-2.0-only
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::fake::{Cpu, Fake, v2, v3, v3_on};
use crate::irq::Event;
use crate::registers::Width::Word;
use std::sync::atomic::Ordering::SeqCst;

const ALL: [SgiRegister; 3] = [SgiRegister::Sgi1r, SgiRegister::Asgi1r, SgiRegister::Sgi0r];

/// Which vCPUs have SGI `n` pending; it is no longer afterwards.
fn taken(domain: &Domain<Fake>, n: u32) -> Vec<u8> {
    let intid = IntId::new(n).unwrap();
    let mut taken = Vec::new();
    for v in domain.created() {
        if domain.is_pending(v, intid) {
            taken.push(v.id().raw());
            domain.post(v, intid, Event::ClearPending);
        }
    }
    taken
}

#[test]
fn target_list_and_cluster() {
    let domain = v3(40, 32, 0);
    let send = |value| {
        assert!(domain.send_sgi(domain.v(17), SgiRegister::Sgi1r, value));
        taken(&domain, 5)
    };
    assert_eq!(send(5 << 24 | 0b1010), [1, 3]);
    assert_eq!(
        send(5 << 24 | 1 << 16 | 0x8002),
        [17, 31],
        "self may be named"
    );
    // vCPUs 40 to 47 do not exist (XSA-225).
    assert_eq!(send(5 << 24 | 2 << 16 | 0xff80), [39]);
    for nobody in [3 << 16, 1 << 32, 1 << 48, 1 << 44, 8 << 16, 0xff << 16] {
        assert_eq!(send(5 << 24 | nobody | 0xffff), [], "{nobody:#x}");
    }
    assert_eq!(send(5 << 24), []);
    // RES0 bits are ignored.
    assert_eq!(send(5 << 24 | 1 | 0xf << 28 | 7 << 41 | 0xff << 56), [0]);
    assert_eq!(send(6 << 24 | 1), []);
    assert_eq!(taken(&domain, 6), [0]);
}

#[test]
fn all_but_self() {
    let domain = v3(5, 32, 0);
    domain.send_sgi(
        domain.v(2),
        SgiRegister::Sgi1r,
        1 << 40 | 9 << 24 | 0xff00_00ff_ffff & !0xf << 24,
    );
    assert_eq!(taken(&domain, 15), [] as [u8; 0]);
    domain.send_sgi(domain.v(2), SgiRegister::Sgi1r, 1 << 40 | 9 << 24);
    assert_eq!(taken(&domain, 9), [0, 1, 3, 4]);
}

#[test]
fn the_group_decides() {
    let domain = v3(2, 32, 0);
    // SGI 1 of vCPU 1 is in Group 0, all others in Group 1.
    domain.redist_write(domain.v(0), 0, 0x3_0080, Word, !2);
    for (reg, n, expected) in [
        (SgiRegister::Sgi1r, 1, &[0_u8, 1] as &[u8]),
        (SgiRegister::Sgi1r, 2, &[0, 1]),
        (SgiRegister::Sgi0r, 1, &[1]),
        (SgiRegister::Sgi0r, 2, &[]),
        (SgiRegister::Asgi1r, 1, &[1]),
        (SgiRegister::Asgi1r, 2, &[]),
    ] {
        domain.send_sgi(domain.v(0), reg, n << 24 | 3);
        assert_eq!(taken(&domain, n as u32), expected, "{reg:?} {n}");
    }
}

/// CVE-2024-46707: the registers of a guest without a GICv3 are UNDEFINED.
#[test]
fn undefined_with_gicv2() {
    let domain = v2(2, 32);
    for reg in ALL {
        assert!(!domain.send_sgi(domain.v(0), reg, 1 << 40));
    }
    assert_eq!(taken(&domain, 0), [] as [u8; 0]);
}

/// Seven bits of priority, six of preemption, INTIDs of 24 bits, SEIS and A3V.
const VTR: u32 = 6 << 29 | 5 << 26 | 1 << 23 | 1 << 22 | 1 << 21;

fn with_vtr(vtr: u32) -> Domain<Fake> {
    v3_on(1, 32, 0, || Cpu {
        vtr,
        ..Cpu::default()
    })
}

#[test]
fn dir_ctlr_reads_what_the_virtual_interface_has() {
    let domain = with_vtr(VTR);
    let vmcr = |value| domain.host().cpus[0].vmcr.store(value, SeqCst);
    let read = || domain.read_icc(domain.v(0), IccRegister::Ctlr);
    // The physical CPU interface has all bits set.
    let fixed = 1 << 19 | 1 << 18 | 1 << 15 | 1 << 14 | 1 << 11 | 6 << 8;
    for (value, bits) in [(0, 0), (1 << 4, 1), (1 << 9, 2), (!0, 3)] {
        vmcr(value);
        assert_eq!(read(), Some(fixed | bits), "{value:#x}");
    }
    assert_eq!(Vtr(0).ctlr(), 0);
}

#[test]
fn dir_ctlr_and_pmr_write_their_part_of_vmcr() {
    let domain = with_vtr(VTR);
    let (v, cpu) = (domain.v(0), &domain.host().cpus[0]);
    for rest in [0, 0x00ff_fdef] {
        cpu.vmcr.store(rest, SeqCst);
        for (value, expected) in [
            (0, 0),
            (1, 1 << 4),
            (2, 1 << 9),
            (u64::MAX, 1 << 4 | 1 << 9),
        ] {
            assert!(domain.write_icc(v, IccRegister::Ctlr, value));
            assert_eq!(cpu.vmcr.load(SeqCst), rest | expected);
        }
        assert!(domain.write_icc(v, IccRegister::Ctlr, 0));
        // There is no lowest bit.
        for (value, expected) in [(0xff, 0xfe), (0x7a, 0x7a), (0x1_0001, 0), (u64::MAX, 0xfe)] {
            assert!(domain.write_icc(v, IccRegister::Pmr, value));
            assert_eq!(cpu.vmcr.load(SeqCst), rest | expected << 24);
            let read = domain.read_icc(v, IccRegister::Pmr);
            assert_eq!(read, Some(expected.into()));
        }
        assert!(domain.write_icc(v, IccRegister::Pmr, 0));
        assert_eq!(cpu.vmcr.load(SeqCst), rest);
    }
}

#[test]
fn dir_rpr_is_the_highest_active_priority() {
    for (prebits, step) in [(5, 8), (6, 4), (7, 2)] {
        let domain = with_vtr((prebits - 1) << 26);
        let (v, cpu) = (domain.v(0), &domain.host().cpus[0]);
        let read = || domain.read_icc(v, IccRegister::Rpr);
        assert_eq!(read(), Some(0xff), "idle");
        for level in (0..1_u32 << prebits).rev() {
            let n = level as usize / 32;
            cpu.active_priorities[n].fetch_or(1 << (level % 32), SeqCst);
            assert_eq!(read(), Some(u64::from(level * step)));
        }
    }
}

#[test]
fn dir_and_its_like_are_undefined_the_wrong_way_and_with_gicv2() {
    let domain = with_vtr(VTR);
    assert!(!domain.write_icc(domain.v(0), IccRegister::Rpr, 0));
    assert_eq!(domain.read_icc(domain.v(0), IccRegister::Dir), None);
    let old = v2(1, 32);
    for register in [
        IccRegister::Ctlr,
        IccRegister::Pmr,
        IccRegister::Rpr,
        IccRegister::Dir,
    ] {
        assert!(!old.write_icc(old.v(0), register, 0));
        assert_eq!(old.read_icc(old.v(0), register), None);
    }
}
