// SPDX-License-Identifier: GPL-2.0-only
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::config::{Config, Error, Region};
use crate::fake::{Fake, domain_of, v3};
use crate::intid::IntId;
use crate::lr::Format;
use crate::registers::Width::{Byte, Double, Word};
use crate::vcpu::Flags;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// Region and offset of a frame of vCPU `n`, where the first region has room for two.
fn at(n: u64, offset: u64) -> (usize, u64) {
    let (region, index) = if n < 2 { (0, n) } else { (1, n - 2) };
    (region, index * 0x2_0000 + offset)
}

fn r(domain: &Domain<Fake>, cur: u32, n: u64, offset: u64) -> u64 {
    let (region, offset) = at(n, offset);
    domain.redist_read(domain.v(cur), region, offset, Word)
}

fn w(domain: &Domain<Fake>, cur: u32, n: u64, offset: u64, value: u64) {
    let (region, offset) = at(n, offset);
    domain.redist_write(domain.v(cur), region, offset, Word, value);
}

const SGI: u64 = 0x1_0000;

#[test]
fn typer_tells_affinity_number_and_the_last() {
    let domain = v3(20, 32, 0);
    for n in 0..20_u64 {
        let (region, offset) = at(n, 8);
        let typer = domain.redist_read(domain.v(0), region, offset, Double);
        let affinity = (n & 0xf) | (n >> 4) << 8;
        // vCPU 1 is the last of its region, 19 of all.
        let last = u64::from(n == 1 || n == 19) << 4;
        assert_eq!(typer, affinity << 32 | n << 8 | last, "{n}");
        assert_eq!(r(&domain, 3, n, 8), typer & 0xffff_ffff);
        assert_eq!(r(&domain, 3, n, 12), affinity);
    }
}

/// 7ad6cfa66f, 961cc8cc0f: a redistributor of a vCPU that does not exist, a vCPU without a redistributor.
#[test]
fn frames_and_vcpus_without_each_other() {
    let region = |size| Region { base: 0x1000, size };
    for (size, exist) in [
        (0, 0),
        (0x1_ffff, 0),
        (0x2_0000, 1),
        (0x3_ffff, 1),
        (0x100_0000, 2),
    ] {
        let config = Config {
            version: Version::V3,
            vcpus: 4,
            spis: 32,
            espis: 0,
            list_registers: 4,
            format: Format::V3 { sources: false },
            regions: &[region(size)],
            lpis: crate::LpiConfig::default(),
            its: &[],
            msi_frame: None,
        };
        let domain = domain_of(&config, exist as usize);
        // A vCPU without a redistributor cannot be.
        if exist < 2 {
            let next = VcpuId::new(exist as u32).unwrap();
            assert_eq!(
                domain.create_vcpu(next, 9).map(Vcpu::id),
                Err(Error::Invalid)
            );
        }
        if exist == 0 {
            continue;
        }
        for n in 0..128_u64 {
            let iidr = domain.redist_read(domain.v(0), 0, n * 0x2_0000 + 4, Word);
            assert_eq!(iidr != 0, n < exist, "{size:#x} {n}");
            domain.redist_write(domain.v(0), 0, n * 0x2_0000 + SGI + 0x100, Word, 1);
        }
        for n in 0..4 {
            let intid = IntId::new(0).unwrap();
            let v = domain.slot(VcpuId::new(n).unwrap()).unwrap();
            let enabled = v.private(intid).unwrap().state().enabled();
            assert_eq!(enabled, u64::from(n) < exist);
        }
        let room = size / 0x2_0000;
        for n in 0..exist {
            let last = domain.redist_read(domain.v(0), 0, n * 0x2_0000 + 8, Word) & 0x10;
            assert_eq!(last != 0, n + 1 == exist, "{size:#x} {n}");
        }
        let base = domain.redistributor_base(VcpuId::new(1).unwrap());
        assert_eq!(base, (room > 1).then_some(0x2_1000));
    }
}

#[test]
fn vcpus_fill_regions_in_order() {
    let domain = v3(4, 32, 0);
    let bases = [0x1000_0000, 0x1002_0000, 0x2000_0000, 0x2002_0000];
    for (n, base) in bases.into_iter().enumerate() {
        let id = VcpuId::new(n as u32).unwrap();
        assert_eq!(domain.redistributor_base(id), Some(base));
    }
}

#[test]
fn waker_sleeps_and_wakes() {
    let domain = v3(2, 32, 0);
    assert_eq!(r(&domain, 0, 1, 0x14), 6);
    w(&domain, 0, 1, 0x14, 0);
    assert_eq!((r(&domain, 0, 1, 0x14), r(&domain, 0, 0, 0x14)), (0, 6));
    w(&domain, 0, 1, 0x14, 0xffff_ffff);
    assert_eq!(r(&domain, 0, 1, 0x14), 6);
}

#[test]
fn there_are_no_lpis() {
    let domain = v3(2, 32, 0);
    for offset in [0x00, 0x40, 0x48, 0x70, 0x78, 0xa0, 0xb0, 0xc0, 0x10] {
        let (region, offset) = at(0, offset);
        for width in Width::ALL {
            domain.redist_write(domain.v(0), region, offset, width, u64::MAX);
            assert_eq!(domain.redist_read(domain.v(0), region, offset, width), 0);
        }
    }
}

#[test]
fn private_interrupts_of_one_vcpu() {
    let domain = v3(3, 32, 0);
    // register, reset, all ones
    for (offset, reset, ones) in [
        (0x080, 0xffff_ffff_u64, 0xffff_ffff_u64),
        (0x100, 0, 0xffff_ffff),
        (0x200, 0, 0xffff_ffff),
        (0x300, 0, 0xffff_ffff),
        (0x400, 0, 0xf8f8_f8f8),
        (0x41c, 0, 0xf8f8_f8f8),
        (0xc00, 0xaaaa_aaaa, 0xaaaa_aaaa),
        (0xc04, 0, 0),
        (0xd00, 0, 0),
        (0xe00, 0, 0),
    ] {
        assert_eq!(r(&domain, 0, 2, SGI + offset), reset, "{offset:#x}");
        w(&domain, 0, 2, SGI + offset, u64::MAX);
        assert_eq!(r(&domain, 0, 2, SGI + offset), ones, "{offset:#x}");
        assert_eq!(r(&domain, 0, 1, SGI + offset), reset, "{offset:#x}");
    }
    for (set, clear) in [(0x100, 0x180), (0x200, 0x280), (0x300, 0x380)] {
        assert_eq!(r(&domain, 0, 2, SGI + clear), 0xffff_ffff);
        w(&domain, 0, 2, SGI + clear, 0x1_0001);
        assert_eq!(r(&domain, 0, 2, SGI + set), 0xfffe_fffe);
    }
    w(&domain, 0, 2, SGI + 0x80, 5);
    assert_eq!(r(&domain, 0, 2, SGI + 0x80), 5);
    let (region, offset) = at(2, SGI + 0x41b);
    domain.redist_write(domain.v(0), region, offset, Byte, 0x10);
    assert_eq!(domain.redist_read(domain.v(1), region, offset, Byte), 0x10);
    assert_eq!(r(&domain, 0, 2, SGI + 0x418), 0x1000_0000);
}

/// ISPENDR0 makes an SGI pending that nobody has sent.
#[test]
fn an_sgi_set_pending_is_delivered() {
    let domain = v3(2, 32, 0);
    domain.host.cpus[1].vmcr.store(0xff << 24 | 3, SeqCst);
    domain.dist_write(domain.v(0), 0, Word, 2);
    w(&domain, 0, 1, SGI + 0x100, 1 << 8);
    domain.settle();
    w(&domain, 0, 1, SGI + 0x200, 1 << 8);
    assert_eq!(domain.host.kicked(), [1]);
    domain.enter(1);
    assert_eq!(domain.loaded(1), [8]);
}

#[test]
fn another_vcpu_leaves_its_guest_for_a_look() {
    for (offset, write) in [
        (0x200, false),
        (0x280, false),
        (0x300, false),
        (0x380, false),
        (0x280, true),
        (0x300, true),
        (0x380, true),
    ] {
        for cur in [0, 1] {
            let domain = Arc::new(v3(2, 32, 0));
            domain.enter(1);
            if cur == 1 {
                domain.leave(1);
            }
            let other = Arc::downgrade(&domain);
            *domain.host.while_waiting.lock().unwrap() =
                Some(Box::new(move || other.upgrade().unwrap().leave(1)));
            domain.host.kicked();
            if write {
                w(&domain, cur, 1, SGI + offset, 1);
            } else {
                r(&domain, cur, 1, SGI + offset);
            }
            let waited = domain.host.while_waiting.lock().unwrap().is_none();
            assert_eq!(waited, cur == 0, "{offset:#x} {cur}");
        }
    }
}

#[test]
fn nobody_is_disturbed_for_what_does_not_need_it() {
    let domain = v3(2, 32, 0);
    domain.enter(1);
    for (offset, value) in [(0x180, 0), (0x280, 0), (0x300, 0), (0x380, 0), (0x100, 0)] {
        w(&domain, 0, 1, SGI + offset, value);
    }
    for offset in [0x80, 0x100, 0x180, 0x400, 0xc00] {
        r(&domain, 0, 1, SGI + offset);
    }
    // Its own are exact.
    r(&domain, 0, 0, SGI + 0x200);
    let flags = Flags::from_bits_retain(domain.v(0).flags.load(SeqCst));
    assert!(!flags.intersects(Flags::LOOK | Flags::KICKED), "{flags:?}");
    assert_eq!(domain.host.kicked(), []);
}
