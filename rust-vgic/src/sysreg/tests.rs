// SPDX-License-Identifier: GPL-2.0-only
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use super::*;
use crate::fake::{Fake, v2, v3};
use crate::registers::Width::Word;

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
