// SPDX-License-Identifier: GPL-2.0-only
//! The tables as such, and what no access may do, wherever it goes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::config::Version;
use crate::fake::{Fake, v2, v3};
use crate::intid::VcpuId;
use crate::sysreg::SgiRegister;
use proptest::prelude::*;

type Table = &'static [Row<Fake>];

/// A frame: its table, and how to get at it.
#[derive(Clone, Copy)]
struct Frame {
    rows: Table,
    bytes: u32,
    version: Version,
    /// Offset in region 0, for a redistributor's.
    redistributor: Option<u64>,
}

const FRAMES: [Frame; 4] = [
    Frame {
        rows: Domain::<Fake>::GICV2_DISTRIBUTOR,
        bytes: 0x1000,
        version: Version::V2,
        redistributor: None,
    },
    Frame {
        rows: Domain::<Fake>::GICV3_DISTRIBUTOR,
        bytes: 0x1_0000,
        version: Version::V3,
        redistributor: None,
    },
    Frame {
        rows: Domain::<Fake>::RD_BASE,
        bytes: 0x1_0000,
        version: Version::V3,
        redistributor: Some(0x2_0000),
    },
    Frame {
        rows: Domain::<Fake>::SGI_BASE,
        bytes: 0x1_0000,
        version: Version::V3,
        redistributor: Some(0x3_0000),
    },
];

impl Frame {
    fn domain(self) -> Domain<Fake> {
        match self.version {
            Version::V2 => v2(4, 64),
            Version::V3 => v3(4, 64, 64),
        }
    }

    /// vCPU 1 reads: the redistributors' frames are its own.
    fn read(self, domain: &Domain<Fake>, offset: u32, width: Width) -> u64 {
        match self.redistributor {
            None => domain.dist_read(domain.v(1), offset, width),
            Some(base) => domain.redist_read(domain.v(1), 0, base + u64::from(offset), width),
        }
    }

    fn write(self, domain: &Domain<Fake>, offset: u32, width: Width, value: u64) {
        match self.redistributor {
            None => domain.dist_write(domain.v(1), offset, width, value),
            Some(base) => {
                domain.redist_write(domain.v(1), 0, base + u64::from(offset), width, value);
            }
        }
    }

    fn row(self, offset: u32, width: Width) -> Option<&'static Row<Fake>> {
        self.rows.iter().find(|row| {
            (row.offset..row.end()).contains(&offset)
                && row.widths.contains(width.as_widths())
                && offset.is_multiple_of(width.bytes())
        })
    }
}

/// All that a domain consists of, as numbers.
fn image(domain: &Domain<Fake>) -> Vec<u64> {
    let mut image = vec![domain.ctlr.load(crate::sync::Ordering::Relaxed).into()];
    for n in 0..domain.vcpus.len() as u32 {
        let v = domain.v(n);
        image.push(v.redist.is_asleep().into());
        image.extend((0..32).map(|i| v.private(IntId::new(i).unwrap()).unwrap().state().bits()));
    }
    let shared = domain.spis.iter().chain(domain.espis.iter());
    image.extend(shared.map(|irq| irq.state().bits()));
    let routers = domain.routers.iter();
    image.extend(routers.map(|router| router.load(crate::sync::Ordering::Relaxed)));
    image
}

/// Is it meant that an element of this row differs from the reset value of its row?
fn is_special(row: &Row<Fake>, intid: u32) -> bool {
    match row.name {
        "GICD_TYPER" | "GICR_TYPER" => true,
        "GICD_ISENABLER" | "GICD_ICENABLER" | "GICD_ICFGR" => intid < 16,
        "GICD_ITARGETSR" => intid < 32,
        _ => false,
    }
}

#[test]
fn rows_are_sorted_aligned_and_apart() {
    for frame in FRAMES {
        let mut end = 0;
        for row in frame.rows {
            assert!(row.offset >= end, "{} overlaps", row.name);
            end = row.end();
            assert!(end <= frame.bytes, "{} leaves its frame", row.name);
            assert_eq!((row.offset % 4, row.bytes % 4), (0, 0), "{}", row.name);
            assert!(row.bytes > 0, "{}", row.name);
            if row.widths.contains(Widths::DOUBLE) {
                assert_eq!((row.offset % 8, row.bytes % 8), (0, 0), "{}", row.name);
            }
            // What has a byte for each interrupt is byte-accessible (IHI 0048B, 4.1; IHI 0069, 12.1).
            let bytes = row.element == Element::Byte;
            assert_eq!(row.widths.contains(Widths::BYTE), bytes, "{}", row.name);
            assert!(row.widths.contains(Widths::WORD), "{}", row.name);
            // An access is of one register at the most, but of several interrupts.
            let double = row.widths.contains(Widths::DOUBLE);
            let one = row.element.bits() >= if double { 64 } else { 32 };
            let irqs = matches!(row.read, Read::Irqs(_));
            let zero = matches!(row.read, Read::Reset) && row.reset == 0;
            assert!(one || irqs || zero, "{}", row.name);
        }
    }
}

#[test]
fn every_register_reads_its_reset_value_in_every_width() {
    for frame in FRAMES {
        let domain = frame.domain();
        for row in frame.rows {
            for width in Width::ALL {
                if !row.widths.contains(width.as_widths()) {
                    continue;
                }
                for offset in (row.offset..row.end()).step_by(width.bytes() as usize) {
                    let bits = row.element.bits();
                    let bit = (offset - row.offset) * 8;
                    let mut expected = 0;
                    let mut special = false;
                    for i in 0..(width.bits() / bits).max(1) {
                        let intid = row.first + bit / bits + i;
                        let is_irq = matches!(row.read, Read::Irqs(_));
                        special |= is_special(row, intid);
                        let exists = IntId::new(intid)
                            .is_some_and(|intid| domain.irq(domain.v(1), intid).is_some());
                        if !is_irq || exists {
                            let part = (row.reset >> (bit % bits)) & ones(bits);
                            expected |= part << (i * bits);
                        }
                    }
                    if !special {
                        let value = frame.read(&domain, offset, width);
                        let expected = expected & ones(width.bits());
                        assert_eq!(value, expected, "{} {offset:#x} {width:?}", row.name);
                    }
                }
            }
        }
    }
}

/// XSA-94, 861e7862b8, 1f75bd375d, 351d41e8ae: registers beyond the implemented interrupts, reserved offsets, odd widths. None of them
/// aborts, none changes anything, all read as zero.
#[test]
fn what_is_not_there_is_raz_wi() {
    for frame in FRAMES {
        let domain = frame.domain();
        let before = image(&domain);
        for width in Width::ALL {
            for offset in 0..frame.bytes {
                if frame.row(offset, width).is_none() {
                    frame.write(&domain, offset, width, u64::MAX);
                    let value = frame.read(&domain, offset, width);
                    assert_eq!(value, 0, "{offset:#x} {width:?}");
                }
            }
        }
        for row in frame.rows {
            if let Read::Irqs(_) = row.read {
                for offset in (row.offset..row.end()).step_by(4) {
                    let first = row.first + (offset - row.offset) * 8 / row.element.bits();
                    let exists = IntId::new(first)
                        .is_some_and(|intid| domain.irq(domain.v(1), intid).is_some());
                    if !exists {
                        frame.write(&domain, offset, Width::Word, u64::MAX);
                        let value = frame.read(&domain, offset, Width::Word);
                        assert_eq!(value, 0, "{} {offset:#x}", row.name);
                    }
                }
            }
        }
        assert!(image(&domain) == before);
        assert_eq!(domain.host.kicked(), []);
    }
}

#[test]
fn read_only_registers_ignore_writes() {
    for frame in FRAMES {
        let domain = frame.domain();
        let before = image(&domain);
        for row in frame.rows {
            if let Write::Ignored = row.write {
                for offset in (row.offset..row.end()).step_by(4) {
                    let value = frame.read(&domain, offset, Width::Word);
                    frame.write(&domain, offset, Width::Word, !value);
                    let after = frame.read(&domain, offset, Width::Word);
                    assert_eq!(after, value, "{}", row.name);
                }
            }
        }
        assert!(image(&domain) == before);
    }
}

#[test]
fn ids_are_those_of_the_architecture() {
    // IHI 0048B, 4.3.18; IHI 0069, 12.9: ArchRev is in the high half of PIDR2.
    let id = |frame: Frame, base: u32| -> Vec<u64> {
        let domain = frame.domain();
        (0..12)
            .map(|i| frame.read(&domain, base + i * 4, Width::Word))
            .collect()
    };
    let v2 = id(FRAMES[0], 0xfd0);
    assert_eq!(v2[6], 0x2b);
    assert_eq!(v2[8..], [0x0d, 0xf0, 0x05, 0xb1]);
    for frame in &FRAMES[1..3] {
        let v3 = id(*frame, 0xffd0);
        assert_eq!(v3[6], 0x3b);
        assert_eq!(v3[8..], [0x0d, 0xf0, 0x05, 0xb1]);
        let iidr = if frame.redistributor.is_some() { 4 } else { 8 };
        let iidr = frame.read(&frame.domain(), iidr, Width::Word);
        assert_eq!(iidr & 0xfff, 0x43b);
    }
}

#[test]
fn offsets_far_beyond_any_frame_are_raz_wi() {
    for domain in [v2(2, 32), v3(2, 32, 32)] {
        for width in Width::ALL {
            for offset in [0x1_0000, 0x7fff_fff8, 0xffff_fff8, u32::MAX] {
                domain.dist_write(domain.v(0), offset, width, u64::MAX);
                assert_eq!(domain.dist_read(domain.v(0), offset, width), 0);
            }
            for region in [0, 1, 2, usize::MAX] {
                for offset in [0x100_0000, u64::MAX / 2, u64::MAX - 7, u64::MAX] {
                    domain.redist_write(domain.v(0), region, offset, width, u64::MAX);
                    assert_eq!(domain.redist_read(domain.v(0), region, offset, width), 0);
                }
            }
        }
    }
}

#[test]
fn widths_come_from_the_syndrome() {
    assert_eq!([0, 1, 2, 3].map(Width::from_log2), Width::ALL);
    assert_eq!(Width::from_log2(0xfe), Width::Word);
    assert_eq!(Width::ALL.map(Width::bytes), [1, 2, 4, 8]);
}

#[derive(Clone, Debug)]
enum Step {
    Read(bool, u32, u8),
    Write(bool, u32, u8, u64),
    Sgi(u8, u64),
    Inject(u32, bool),
    Enter,
    /// The guest does something with what is in a list register.
    Guest(usize, u64),
    Leave,
}

fn steps() -> impl Strategy<Value = Vec<(u32, Step)>> {
    let offset = || {
        prop_oneof![
            4 => (0..0x400_u32).prop_map(|n| n * 4),
            1 => 0..0x4000_u32,
            1 => (0x6100..0x6500_u32, any::<bool>()).prop_map(|(n, e)| if e { n + 0x1f00 } else { n }),
            1 => any::<u32>(),
        ]
    };
    let value = || prop_oneof![any::<u64>(), Just(u64::MAX), Just(0), 0..64_u64];
    let intid = prop_oneof![0..200_u32, 4090..4200_u32, any::<u32>()];
    let step = prop_oneof![
        3 => (any::<bool>(), offset(), any::<u8>()).prop_map(|(r, o, w)| Step::Read(r, o, w)),
        6 => (any::<bool>(), offset(), any::<u8>(), value())
            .prop_map(|(r, o, w, v)| Step::Write(r, o, w, v)),
        1 => (any::<u8>(), any::<u64>()).prop_map(|(r, v)| Step::Sgi(r, v)),
        2 => (intid, any::<bool>()).prop_map(|(i, l)| Step::Inject(i, l)),
        2 => Just(Step::Enter),
        1 => (0..4_usize, 0..4_u64).prop_map(|(n, s)| Step::Guest(n, s)),
        2 => Just(Step::Leave),
    ];
    proptest::collection::vec((0..3_u32, step), 1..120)
}

/// One vCPU after the other; those that are in the guest stay there while others' accesses are trapped.
fn run(domain: &Domain<Fake>, steps: &[(u32, Step)]) {
    let sgi = [SgiRegister::Sgi1r, SgiRegister::Asgi1r, SgiRegister::Sgi0r];
    let mut inside = [false; 3];
    let leave = |n: u32, inside: &mut [bool; 3]| {
        if std::mem::take(&mut inside[n as usize]) {
            domain.leave(n);
        }
    };
    for (n, step) in steps {
        let (n, v) = (*n, domain.v(*n));
        match *step {
            Step::Enter => {
                leave(n, &mut inside);
                domain.enter(n);
                inside[n as usize] = true;
            }
            Step::Guest(lr, state) if inside[n as usize] => {
                let lr = &domain.host.cpus[n as usize].lrs[lr];
                let old = lr.load(crate::sync::Ordering::Relaxed);
                let shift = if domain.version == Version::V3 {
                    62
                } else {
                    28
                };
                // Pending to active, active to nothing: what hardware does.
                let now = (old >> shift) & 3;
                let new = if state & 1 == 0 { now & 1 } else { now };
                let new = if state & 2 == 0 && now & 1 != 0 {
                    now & 1 ^ 1 << 1
                } else {
                    new
                };
                if old != 0 {
                    lr.store(
                        old & !(3 << shift) | new << shift,
                        crate::sync::Ordering::Relaxed,
                    );
                }
            }
            Step::Guest(..) => {}
            Step::Leave => leave(n, &mut inside),
            Step::Inject(intid, level) => {
                if let Some(intid) = IntId::new(intid) {
                    domain.inject(Some(v), intid, level);
                }
            }
            ref trapped => {
                leave(n, &mut inside);
                match *trapped {
                    Step::Read(true, offset, width) => {
                        let width = Width::from_log2(width);
                        let value = domain.dist_read(v, offset, width);
                        assert_eq!(value & !ones(width.bits()), 0);
                    }
                    Step::Read(false, offset, width) => {
                        let width = Width::from_log2(width);
                        let value = domain.redist_read(v, 0, offset.into(), width);
                        assert_eq!(value & !ones(width.bits()), 0);
                    }
                    Step::Write(true, offset, width, value) => {
                        domain.dist_write(v, offset, Width::from_log2(width), value);
                    }
                    Step::Write(false, offset, width, value) => {
                        let width = Width::from_log2(width);
                        domain.redist_write(v, 0, 0x1_0000 + u64::from(offset), width, value);
                    }
                    Step::Sgi(reg, value) => {
                        let known = domain.send_sgi(v, sgi[usize::from(reg) % 3], value);
                        assert_eq!(known, domain.version == Version::V3);
                    }
                    _ => {}
                }
            }
        }
    }
    for n in 0..3 {
        leave(n, &mut inside);
    }
}

/// Whatever a guest did, a distributor that it sets up anew delivers.
fn still_delivers(domain: &Domain<Fake>, intid: IntId) {
    for n in 0..3 {
        for lr in &domain.host.cpus[n].lrs {
            lr.store(0, crate::sync::Ordering::Relaxed);
        }
    }
    let shared = domain.shared(intid).unwrap();
    let v = domain.v(0);
    let at = |base: u32, bits: u32| base + intid.raw() / (32 / bits) * 4;
    let bit = 1_u64 << (intid.raw() % 32);
    domain.dist_write(v, at(0x180, 1), Width::Word, bit);
    domain.dist_write(v, at(0x380, 1), Width::Word, bit);
    domain.dist_write(v, at(0x280, 1), Width::Word, bit);
    domain.dist_write(v, 0, Width::Word, 3);
    domain.dist_write(v, 0x400 + intid.raw(), Width::Byte, 0);
    domain.dist_write(v, 0x800 + intid.raw(), Width::Byte, 1);
    domain.dist_write(v, 0x6000 + intid.raw() * 8, Width::Double, 0);
    domain.dist_write(v, at(0x100, 1), Width::Word, bit);
    domain.inject(None, intid, false);
    domain.inject(None, intid, true);
    assert!(shared.state().pending(), "{:?}", shared.state());
    assert_eq!(shared.state().target(), Some(VcpuId::ZERO));
    assert_ne!(
        domain.dist_read(v, at(0x200, 1), Width::Word) & bit,
        0,
        "{:?}",
        shared.state()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_panics_or_breaks_gicv2(steps in steps()) {
        let domain = v2(3, 160);
        run(&domain, &steps);
        still_delivers(&domain, IntId::new(40).unwrap());
    }

    #[test]
    fn no_sequence_panics_or_breaks_gicv3(steps in steps()) {
        let domain = v3(3, 160, 64);
        run(&domain, &steps);
        still_delivers(&domain, IntId::new(40).unwrap());
    }

    #[test]
    fn any_access_anywhere(offset: u64, width: u8, value: u64, region in 0..4_usize) {
        for domain in [v2(2, 64), v3(2, 64, 32)] {
            let width = Width::from_log2(width);
            domain.dist_write(domain.v(1), offset as u32, width, value);
            domain.dist_read(domain.v(1), offset as u32, width);
            domain.redist_write(domain.v(1), region, offset, width, value);
            domain.redist_read(domain.v(1), region, offset, width);
        }
    }
}
