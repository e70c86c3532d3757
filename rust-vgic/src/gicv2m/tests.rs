// SPDX-License-Identifier: GPL-2.0-only
//! A GICv2m frame as its guest and its devices use it.
#![allow(clippy::unwrap_used)]

use crate::config::{Config, Error, LpiConfig, MessageError, MsiFrame, Region, Version};
use crate::domain::Domain;
use crate::fake::{Cpu, Fake, domain_of};
use crate::intid::IntId;
use crate::lr::Format;
use crate::registers::Width;

fn config(spis: usize, frame: Option<MsiFrame>) -> Config<'static> {
    Config {
        version: Version::V2,
        vcpus: 2,
        spis,
        espis: 0,
        list_registers: 4,
        format: Format::V2,
        regions: &[],
        lpis: LpiConfig::default(),
        its: &[],
        msi_frame: frame,
    }
}

const FRAME: MsiFrame = MsiFrame {
    base: 64,
    count: 32,
};

fn host() -> Fake {
    Fake::on(vec![Cpu::default(), Cpu::default()])
}

fn pending(domain: &Domain<Fake>, spi: u32) -> bool {
    let state = domain.state_of(None, IntId::new(spi).unwrap()).unwrap();
    state.pending()
}

#[test]
fn a_frame_is_of_spis_that_there_are() {
    let frame = |base, count| Some(MsiFrame { base, count });
    for (frame, good) in [
        (frame(64, 32), true),
        (frame(32, 64), true),
        (frame(95, 1), true),
        (frame(31, 2), false),
        (frame(0, 1), false),
        (frame(64, 0), false),
        (frame(64, 33), false),
        (frame(96, 1), false),
        (frame(64, u32::MAX), false),
        (frame(u32::MAX, 2), false),
    ] {
        let made = Domain::new(&config(64, frame), host());
        assert_eq!(made.is_ok(), good, "{frame:?}");
    }
    // Of the last lot of 32 only some are SPIs.
    let all = |count| Domain::new(&config(988, frame(1000, count)), host()).is_ok();
    assert!(all(20) && !all(21));
    // It is GICv2's.
    let v3 = Config {
        version: Version::V3,
        format: Format::V3 { sources: false },
        regions: &[Region {
            base: 0x1000_0000,
            size: 0x10_0000,
        }],
        ..config(64, Some(FRAME))
    };
    assert_eq!(Domain::new(&v3, host()).err(), Some(Error::Invalid));
}

#[test]
fn messages_make_its_spis_pending_and_nothing_else() {
    let domain = domain_of(&config(96, Some(FRAME)), 2);
    for spi in 32..128 {
        let sent = domain.spi_message(spi);
        let own = (64..96).contains(&spi);
        assert_eq!(sent.is_ok(), own, "SPI {spi}");
        assert_eq!(pending(&domain, spi), own, "SPI {spi}");
    }
    assert_eq!(domain.spi_message(5), Err(MessageError::NoEvent));
    assert_eq!(domain.spi_message(96), Err(MessageError::NoEvent));
    let none = domain_of(&config(96, None), 2);
    assert_eq!(none.spi_message(64), Err(MessageError::NoDevice));
    none.v2m_write(none.v(0), 0x40, Width::Word, 64);
    assert_eq!(none.v2m_read(none.v(0), 0x8, Width::Word), 0);
    assert!(!pending(&none, 64));
}

#[test]
fn its_spis_are_edges_whatever_is_written() {
    let domain = domain_of(&config(96, Some(FRAME)), 2);
    for n in 2..8 {
        domain.dist_write(domain.v(0), 0xc00 + n * 4, Width::Word, 0);
        let read = domain.dist_read(domain.v(0), 0xc00 + n * 4, Width::Word);
        let expected = if matches!(n, 4 | 5) { 0xaaaa_aaaa } else { 0 };
        assert_eq!(read, expected, "GICD_ICFGR{n}");
    }
}
