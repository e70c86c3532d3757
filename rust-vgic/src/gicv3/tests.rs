// SPDX-License-Identifier: GPL-2.0-only
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::config::{Config, Region, Version};
use crate::fake::{Fake, Phys, domain_of, v3};
use crate::intid::VcpuId;
use crate::irq::Target;
use crate::lr::Format;
use crate::registers::Width::{self, Byte, Double, Half, Word};
use crate::routing::{IRM, ROUTER};

fn r(domain: &Domain<Fake>, offset: u32) -> u64 {
    domain.dist_read(domain.v(0), offset, Word)
}

fn w(domain: &Domain<Fake>, offset: u32, value: u64) {
    domain.dist_write(domain.v(0), offset, Word, value);
}

fn id(n: u32) -> Option<VcpuId> {
    VcpuId::new(n)
}

fn target(domain: &Domain<Fake>, raw: u32) -> Target {
    let intid = IntId::new(raw).unwrap();
    domain.shared(intid).unwrap().state().target()
}

#[test]
fn ctlr_has_fixed_are_and_ds() {
    let domain = v3(2, 32, 0);
    assert_eq!(r(&domain, 0), 0x50);
    w(&domain, 0, 0xffff_ffff);
    assert_eq!(r(&domain, 0), 0x53);
    assert_eq!(domain.host.kicked(), [1]);
    w(&domain, 0, 2);
    assert_eq!(r(&domain, 0), 0x52);
    w(&domain, 0, 0);
    assert_eq!(r(&domain, 0), 0x50);
}

#[test]
fn typer_without_and_with_extended_spis() {
    const COMMON: u64 = 1 << 16 | 1 << 24;
    assert_eq!(r(&v3(4, 64, 0), 4), COMMON | 2 | 9 << 19);
    assert_eq!(r(&v3(1, 988, 0), 4), COMMON | 31 | 9 << 19);
    assert_eq!(r(&v3(4, 0, 32), 4), COMMON | 12 << 19 | 1 << 8);
    let all = r(&v3(4, 64, 1024), 4);
    assert_eq!(all, COMMON | 2 | 12 << 19 | 1 << 8 | 31 << 27);
}

#[test]
fn private_interrupts_are_not_in_the_distributor() {
    let domain = v3(2, 64, 0);
    for offset in [
        0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x41c, 0xc00, 0xc04,
    ] {
        w(&domain, offset, 0xffff_ffff);
        assert_eq!(r(&domain, offset), 0, "{offset:#x}");
    }
    for irq in 0..32 {
        let intid = IntId::new(irq).unwrap();
        let state = domain.v(0).private(intid).unwrap().state();
        assert!(!state.enabled() && !state.pending() && !state.active());
    }
}

#[test]
fn legacy_registers_are_res0() {
    let domain = v3(2, 64, 0);
    for offset in [0x820, 0xf00, 0xf10, 0xf20, 0xd04, 0xe08, 0x10, 0x50, 0x58] {
        w(&domain, offset, 0xffff_ffff);
        assert_eq!(r(&domain, offset), 0, "{offset:#x}");
    }
    assert_eq!(domain.redist_read(domain.v(0), 0, 0x1_0200, Word), 0);
}

/// Everything that there is for an SPI there is for an extended SPI, at another place.
#[test]
fn spis_and_extended_spis_alike() {
    let domain = v3(2, 64, 64);
    // offset for INTID 32, offset for INTID 4096, reset, all ones
    for (spi, espi, reset, ones) in [
        (0x084, 0x1000, u32::MAX, u32::MAX),
        (0x104, 0x1200, 0, u32::MAX),
        (0x204, 0x1600, 0, u32::MAX),
        (0x304, 0x1a00, 0, u32::MAX),
        (0x420, 0x2000, 0, 0xf8f8_f8f8),
        (0xc08, 0x3000, 0, 0xaaaa_aaaa),
    ] {
        for offset in [spi, espi] {
            assert_eq!(r(&domain, offset), reset.into(), "{offset:#x}");
            w(&domain, offset, u64::MAX);
            assert_eq!(r(&domain, offset), ones.into(), "{offset:#x}");
        }
    }
    for (set, clear) in [
        (0x104, 0x184),
        (0x204, 0x284),
        (0x304, 0x384),
        (0x1200, 0x1400),
        (0x1600, 0x1800),
        (0x1a00, 0x1c00),
    ] {
        assert_eq!(r(&domain, clear), 0xffff_ffff, "{clear:#x}");
        w(&domain, clear, 0x0f);
        assert_eq!(
            (r(&domain, set), r(&domain, clear)),
            (0xffff_fff0, 0xffff_fff0)
        );
        w(&domain, set, 2);
        assert_eq!(r(&domain, clear), 0xffff_fff2, "{clear:#x}");
    }
    domain.dist_write(domain.v(0), 0x203d, Byte, 0x7f);
    assert_eq!(r(&domain, 0x203c), 0x7800);
    assert_eq!(domain.dist_read(domain.v(0), 0x203d, Byte), 0x78);
}

#[test]
fn extended_spis_beyond_those_there_are() {
    let domain = v3(1, 32, 32);
    for offset in [0x1004, 0x1204, 0x1604, 0x1a04, 0x2020, 0x3008, 0x8100] {
        w(&domain, offset, 0xffff_ffff);
        assert_eq!(r(&domain, offset), 0, "{offset:#x}");
    }
}

#[test]
fn irouter_routes_by_affinity() {
    let domain = v3(20, 64, 32);
    for (offset, raw) in [(0x6100 + 8 * 3, 35), (0x8000 + 8 * 3, 4099)] {
        let write = |value| domain.dist_write(domain.v(0), offset, Double, value);
        let read = || domain.dist_read(domain.v(0), offset, Double);
        assert_eq!((read(), target(&domain, raw)), (0, id(0)));
        write(0x0103);
        assert_eq!((read(), target(&domain, raw)), (0x0103, id(19)));
        // Affinities that nobody has: kept, and the interrupt goes nowhere.
        for nobody in [
            0x0104,
            0x0010,
            0x0800,
            0x1_0000,
            0x1_0000_0000,
            0xff_00ff_ffff,
        ] {
            write(nobody);
            assert_eq!((read(), target(&domain, raw)), (nobody, None));
        }
        write(u64::MAX);
        assert_eq!(read(), ROUTER);
    }
}

#[test]
fn irouter_in_halves() {
    let domain = v3(4, 64, 0);
    let v = domain.v(0);
    domain.dist_write(v, 0x6100, Word, 2);
    assert_eq!(target(&domain, 32), id(2));
    domain.dist_write(v, 0x6104, Word, 0xffff_ff07);
    assert_eq!(target(&domain, 32), None);
    assert_eq!(domain.dist_read(v, 0x6100, Double), 0x07_0000_0002);
    assert_eq!(domain.dist_read(v, 0x6104, Word), 7);
    domain.dist_write(v, 0x6104, Word, 0);
    assert_eq!(
        (domain.dist_read(v, 0x6100, Word), target(&domain, 32)),
        (2, id(2))
    );
    // Misaligned and narrow ones are nothing.
    for (offset, width) in [(0x6104, Double), (0x6100, Half), (0x6100, Byte)] {
        domain.dist_write(v, offset, width, 1);
        assert_eq!(domain.dist_read(v, offset, width), 0);
    }
    assert_eq!(target(&domain, 32), id(2));
}

#[test]
fn irouter_any_goes_to_one_that_is_awake() {
    let domain = v3(4, 64, 0);
    let any = |raw| {
        domain.dist_write(domain.v(3), 0x6000 + 8 * raw, Double, IRM | 3);
        target(&domain, raw)
    };
    assert_eq!(any(32), id(0), "all sleep: the first");
    assert_eq!(domain.dist_read(domain.v(0), 0x6100, Double), IRM | 3);
    // The GICR_WAKERs of vCPU 2, the first of region 1, and of vCPU 1.
    for (region, waker) in [(1, 0x14), (0, 0x2_0014)] {
        domain.redist_write(domain.v(0), region, waker, Word, 0);
    }
    assert_eq!(any(33), id(1));
}

#[test]
fn irouter_of_a_vcpu_that_is_not_created() {
    let config = Config {
        version: Version::V3,
        vcpus: 4,
        spis: 32,
        espis: 0,
        list_registers: 4,
        format: Format::V3 { sources: false },
        regions: &[Region {
            base: 0,
            size: 0x8_0000,
        }],
        lpis: crate::LpiConfig::default(),
        its: &[],
        msi_frame: None,
    };
    let domain = domain_of(&config, 2);
    w(&domain, 0x6100, 3);
    assert_eq!((r(&domain, 0x6100), target(&domain, 32)), (3, None));
}

#[test]
fn irouter_takes_the_physical_interrupt_along() {
    let domain = v3(4, 64, 32);
    for (raw, offset) in [(40, 0x6140), (4100, 0x8020)] {
        domain.connected_spi(raw);
        w(&domain, offset, 3);
        assert_eq!(domain.host.phys_state(raw).follows, Some(3));
        w(&domain, offset, 9);
        assert_eq!(domain.host.phys_state(raw).follows, Some(3));
    }
}

#[test]
fn an_interrupt_waits_for_a_route() {
    let domain = v3(4, 64, 0);
    w(&domain, 0, 2);
    w(&domain, 0x6100, 9);
    w(&domain, 0x104, 1);
    domain.settle();
    domain.inject(None, IntId::new(32).unwrap(), true);
    assert_eq!(domain.host.kicked(), []);
    w(&domain, 0x6100, 2);
    assert_eq!(domain.host.kicked(), [2]);
}

#[test]
fn setspi_is_the_line_of_a_level_interrupt_and_the_latch_of_an_edge() {
    let domain = v3(1, 64, 32);
    let write = |offset, width, value| domain.dist_write(domain.v(0), offset, width, value);
    write(0x3000, Word, 0b10);
    for width in [Half, Word] {
        for (raw, pending, clears) in [
            (33, 0x204, true),
            (4097, 0x1600, true),
            (4096, 0x1600, true),
        ] {
            write(0x40, width, raw);
            assert_eq!(r(&domain, pending), 1 << (raw % 32), "{raw}");
            // The line stays when the latch is cleared.
            write(
                if pending == 0x204 { 0x284 } else { 0x1800 },
                Word,
                1 << (raw % 32),
            );
            let left = r(&domain, pending) != 0;
            assert_eq!(left, raw != 4096, "{raw}");
            write(0x48, width, raw);
            assert_eq!(r(&domain, pending) == 0, clears, "{raw}");
        }
    }
    write(0x40, Word, 4096);
    write(0x48, Word, 4096);
    assert_eq!(r(&domain, 0x1600), 0);
    // What is no SPI of this domain, and what is not for this security state.
    for raw in [0, 16, 31, 96, 1020, 1023, 4128, 5120, 8191] {
        write(0x40, Word, raw);
    }
    for offset in [0x50, 0x58] {
        write(offset, Word, 33);
    }
    assert_eq!(
        (r(&domain, 0x204), r(&domain, 0x1600), r(&domain, 0x40)),
        (0, 0, 0)
    );
    assert_eq!(domain.redist_read(domain.v(0), 0, 0x1_0200, Word), 0);
}

#[test]
fn setspi_has_13_bits() {
    let domain = v3(1, 64, 0);
    w(&domain, 0x40, 0x2000 + 33);
    assert_eq!(r(&domain, 0x204), 2);
}

#[test]
fn setspi_of_a_hardware_interrupt_is_physical() {
    let domain = v3(1, 64, 0);
    domain.connected_spi(40);
    w(&domain, 0x40, 40);
    assert_eq!(
        domain.host.phys_state(40),
        Phys {
            pending: true,
            ..Phys::default()
        }
    );
    w(&domain, 0x48, 40);
    assert_eq!(domain.host.phys_state(40), Phys::default());
}

#[test]
fn widths_of_the_distributor() {
    let domain = v3(1, 64, 0);
    for width in Width::ALL {
        let word = width == Word;
        assert_eq!(domain.dist_read(domain.v(0), 4, width) != 0, word);
        assert_eq!(domain.dist_read(domain.v(0), 0xffe8, width) != 0, word);
    }
}
