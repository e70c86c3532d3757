// SPDX-License-Identifier: GPL-2.0-only
//! Each field of a list register at the place where the architecture has it.

use super::*;

const V3: Format = Format::V3 { sources: false };
const V2_ON_V3: Format = Format::V3 { sources: true };
const ALL: [Format; 3] = [Format::V2, V3, V2_ON_V3];

/// A pending interrupt without anything else.
const PENDING: LrView = LrView {
    pending: true,
    active: false,
    hw: false,
    eoi: false,
    source: 0,
};
const ACTIVE: LrView = LrView {
    pending: false,
    active: true,
    ..PENDING
};
const BOTH: LrView = LrView {
    active: true,
    ..PENDING
};
const NEITHER: LrView = LrView {
    pending: false,
    ..PENDING
};

/// INTID 0 with this view and nothing else.
fn only(format: Format, view: LrView) -> u64 {
    format.encode(0, 0, 0, false, view)
}

#[test]
fn the_state() {
    for (view, v2, v3) in [
        (PENDING, 1 << 28, 1 << 62),
        (ACTIVE, 2 << 28, 2 << 62),
        (BOTH, 3 << 28, 3 << 62),
    ] {
        assert_eq!(ALL.map(|f| only(f, view)), [v2, v3, v3]);
        assert_eq!(
            ALL.map(|f| f.state(only(f, view))),
            [(view.pending, view.active); 3]
        );
    }
    let busy = LrView {
        hw: true,
        eoi: true,
        source: 7,
        ..NEITHER
    };
    assert_eq!(
        ALL.map(|f| f.encode(5, 6, 7, true, busy)),
        [0; 3],
        "not in use"
    );
    // What is beside the field does not belong to it.
    assert_eq!(Format::V2.state(!(3 << 28)), (false, false));
    assert_eq!(V3.state(!(3 << 62)), (false, false));
}

#[test]
fn the_group() {
    let group = |f: Format| f.encode(0, 0, 0, true, PENDING) ^ only(f, PENDING);
    assert_eq!(ALL.map(group), [1 << 30, 1 << 60, 1 << 60]);
}

#[test]
fn the_priority() {
    let encoded = |f: Format, priority5| f.encode(0, 0, priority5, false, PENDING);
    for priority5 in [1, 0x15, 0x1f] {
        let p = u64::from(priority5);
        let field = ALL.map(|f| encoded(f, priority5) ^ only(f, PENDING));
        assert_eq!(field, [p << 23, p << 51, p << 51]);
        assert_eq!(
            ALL.map(|f| f.priority5(encoded(f, priority5))),
            [priority5; 3]
        );
    }
    assert_eq!(
        ALL.map(|f| encoded(f, 0xff)),
        ALL.map(|f| encoded(f, 0x1f)),
        "five bits"
    );
    assert_eq!(ALL.map(|f| f.priority5(u64::MAX)), [0x1f; 3]);
}

#[test]
fn the_intid() {
    let encoded = |f: Format, intid| f.encode(intid, 0, 0, false, PENDING);
    for intid in [1, 1019] {
        let field = ALL.map(|f| encoded(f, intid) ^ only(f, PENDING));
        assert_eq!(field, [u64::from(intid); 3]);
        assert_eq!(ALL.map(|f| f.intid(encoded(f, intid))), [intid; 3]);
    }
    assert_eq!(V3.intid(encoded(V3, 5119)), 5119, "an extended SPI");
    assert_eq!(
        Format::V2.encode(0x401, 0, 0, false, PENDING),
        1 | 1 << 28,
        "ten bits"
    );
    assert_eq!(
        [Format::V2, V2_ON_V3].map(|f| f.intid(u64::MAX)),
        [0x3ff; 2]
    );
}

#[test]
fn the_physical_intid() {
    let hw = LrView {
        hw: true,
        // A hardware-mapped one has the physical INTID in their place.
        eoi: true,
        source: 7,
        ..PENDING
    };
    let field = |f: Format, phys| f.encode(0, phys, 0, false, hw) ^ only(f, PENDING);
    for phys in [1, 1019] {
        let p = u64::from(phys);
        let v3 = 1 << 61 | p << 32;
        assert_eq!(ALL.map(|f| field(f, phys)), [1 << 31 | p << 10, v3, v3]);
    }
    assert_eq!(field(V3, 5119), 1 << 61 | 5119 << 32);
    assert_eq!(
        field(Format::V2, u16::MAX),
        1 << 31 | 0x3ff << 10,
        "ten bits"
    );
    assert_eq!(field(V3, u16::MAX), 1 << 61 | 0x1fff << 32, "thirteen bits");
    // Without a physical interrupt, its number means nothing.
    let soft = |f: Format| f.encode(0, 0x3ff, 0, false, PENDING);
    assert_eq!(ALL.map(soft), ALL.map(|f| only(f, PENDING)));
}

#[test]
fn the_source_of_an_sgi() {
    let from = |source| LrView { source, ..PENDING };
    let field = |f: Format, intid, source| {
        f.encode(intid, 0, 0, false, from(source)) ^ only(f, PENDING) ^ u64::from(intid)
    };
    for source in [1, 5, 7] {
        let s = u64::from(source) << 10;
        assert_eq!(ALL.map(|f| field(f, 15, source)), [s, 0, s]);
    }
    assert_eq!(field(V2_ON_V3, 16, 7), 0, "not an SGI");
    assert_eq!(
        [Format::V2, V2_ON_V3].map(|f| field(f, 0, 0xff)),
        [7 << 10; 2],
        "three bits"
    );
}

#[test]
fn the_end_that_is_asked_for() {
    let eoi = LrView {
        eoi: true,
        ..PENDING
    };
    let field = ALL.map(|f| only(f, eoi) ^ only(f, PENDING));
    assert_eq!(field, [1 << 19, 1 << 41, 1 << 41]);
    for format in ALL {
        let (eoi, hw) = match format {
            Format::V2 => (1 << 19, 1 << 31),
            Format::V3 { .. } => (1 << 41, 1 << 61),
        };
        assert!(format.asserts_eoi(eoi | 5));
        assert!(!format.asserts_eoi(5), "not asked for");
        assert!(!format.asserts_eoi(eoi | hw), "the physical INTID");
        for view in [PENDING, ACTIVE, BOTH] {
            assert!(!format.asserts_eoi(eoi | only(format, view)), "not ended");
        }
    }
}

#[test]
fn what_vmcr_says() {
    let vmcr = |raw| V3.vmcr(raw);
    assert_eq!(vmcr(0).groups, Groups::empty());
    assert_eq!(vmcr(1).groups, Groups::ZERO);
    assert_eq!(vmcr(2).groups, Groups::ONE);
    assert!(vmcr(1 << 9).split_eoi && !vmcr(!(1 << 9)).split_eoi);
    assert_eq!(vmcr(0xa8 << 24).mask5, 0x15);
    assert_eq!(vmcr(u32::MAX >> 5).mask5, 0);
    assert_eq!(Hcr::eoi_count(0x15 << 27 | 0x7ff_ffff), 0x15);
}
