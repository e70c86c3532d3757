// SPDX-License-Identifier: GPL-2.0-only
//! What comes between a reset and a restore is kept, and so is what a physical interrupt is at.

use super::*;
use crate::vcpu::Vcpu;

fn spi(raw: u32) -> IntId {
    IntId::new(raw).unwrap()
}

fn pending(d: &Domain<Fake>, raw: u32) -> bool {
    let v: &Vcpu<usize> = d.v(0);
    d.irq(v, spi(raw)).unwrap().state().pending()
}

#[test]
fn what_comes_meanwhile_is_kept() {
    let d = v3();
    let v = d.v(0);
    d.dist_write(v, 0, Width::Word, 2);
    d.dist_write(v, 0x104, Width::Word, 0xffff);
    // 32 to 39 are edges.
    d.dist_write(v, 0xc08, Width::Word, 0xaaaa);
    d.inject(None, spi(33), true);
    d.inject(None, spi(41), true);
    let stream = d.save_boxed().unwrap();
    while d.reset() == Progress::Again {}
    d.host().kicked();
    // As after a reset all are levels.
    d.inject(None, spi(34), true);
    d.inject(None, spi(42), true);
    assert_eq!(d.restore(&stream), Ok(()));
    for (raw, is) in [
        (33, true),
        (41, true),
        (34, false),
        (42, true),
        (35, false),
        (43, false),
    ] {
        assert_eq!(pending(&d, raw), is, "{raw}");
    }
    let line = d.irq(v, spi(34)).unwrap().state().line();
    assert!(line, "its line is up");
    assert_eq!(d.host().kicked(), [0]);
    d.host().cpus[0].vmcr.store(2 | 0xf0 << 24, SeqCst);
    d.enter(0);
    assert_eq!(d.loaded(0), [33, 41, 42]);
}

#[test]
fn a_connected_interrupt_stays_active_and_is_connected_again() {
    let d = v3();
    let v = d.v(0);
    let intid = d.connected_spi(40);
    d.dist_write(v, 0, Width::Word, 2);
    d.dist_write(v, 0x104, Width::Word, 0x100);
    d.host().change(40, |phys| phys.active = true);
    d.inject(None, intid, true);
    let stream = d.save_boxed().unwrap();
    while d.reset() == Progress::Again {}
    assert!(!d.host().phys_state(40).active);
    assert!(!d.host().phys_state(40).enabled);
    assert_eq!(d.restore(&stream), Ok(()));
    let phys = d.host().phys_state(40);
    assert!(phys.active && phys.enabled, "{phys:?}");
    assert_eq!(d.save_boxed().unwrap(), stream);
    // Where it is not connected it is pending, and nothing of a host's is touched.
    let other = v3();
    assert_eq!(other.restore(&stream), Ok(()));
    assert!(pending(&other, 40));
    let word = other.irq(other.v(0), intid).unwrap().state();
    assert!(!word.holds_phys());
}

/// Sets or clears bit `n` of a field of the first record of SPIs.
fn set_spi_bit(stream: &mut [u8], field: &str, n: usize, on: bool) {
    let at = records(stream)
        .iter()
        .find(|r| r.0 == Record::Spi)
        .unwrap()
        .1;
    let offset = SpiState::FIELDS
        .iter()
        .find(|f| f.name == field)
        .unwrap()
        .offset;
    let byte = &mut stream[at + offset + n / 8];
    *byte = *byte & !(1 << (n % 8)) | u8::from(on) << (n % 8);
}

/// Nobody would ever deactivate it: its device would be heard of no more.
#[test]
fn a_physical_interrupt_is_not_active_for_nothing() {
    let d = v3();
    d.connected_spi(40);
    let mut stream = d.save_boxed().unwrap();
    set_spi_bit(&mut stream, "held", 8, true);
    assert_eq!(d.restore(&stream), Ok(()));
    let word = d.irq(d.v(0), spi(40)).unwrap().state();
    assert!(!word.holds_phys() && !d.host().phys_state(40).active);
}

/// Only what a write has made active may be so nowhere.
#[test]
fn what_was_acknowledged_was_so_by_somebody() {
    for (by_write, ok) in [(true, true), (false, false)] {
        let d = v2();
        let mut stream = d.save_boxed().unwrap();
        set_spi_bit(&mut stream, "active", 8, true);
        set_spi_bit(&mut stream, "by_write", 8, by_write);
        let done = d.restore(&stream);
        assert_eq!(
            done.map_err(|error| error.field),
            if ok { Ok(()) } else { Err("holder") }
        );
    }
}

/// Found by fuzzing: one that is to start afresh after a suspend, and has registers all the same.
#[test]
fn an_interface_that_starts_afresh_has_nothing() {
    let d = used_v3();
    let stream = d.save_boxed().unwrap();
    let at = records(&stream)
        .iter()
        .find(|r| r.0 == Record::CpuInterface)
        .unwrap()
        .1;
    for flag in [
        super::super::interface::AFRESH,
        super::super::interface::RESUMED,
    ] {
        let mut other = stream.to_vec();
        other[at + 4] = flag as u8;
        let error = try_restore(|| with_memory_of(v3(), &d), &other).unwrap_err();
        assert_eq!((error.field, error.why), ("flags", Why::Contradiction));
    }
}

/// IDbits of a pending table are said where they are others than those of GICR_PROPBASER, and only while LPIs are enabled.
#[test]
fn bits_of_a_pending_table_are_its_own() {
    for (ctlr, propbaser, why) in [
        (1, 13, None),
        (1 | 14 << 8, 13, None),
        (1 | 1 << 8, 13, None),
        (1 | 13 << 8, 13, Some(Why::Contradiction)),
        (1 | 1 << 8, 0, Some(Why::Contradiction)),
        (14 << 8, 13, Some(Why::Value)),
        (1 | 1 << 13, 13, Some(Why::Value)),
    ] {
        let d = v3();
        let mut stream = d.save_boxed().unwrap().to_vec();
        let at = |record| records(&stream).iter().find(|r| r.0 == record).unwrap().1;
        let (distributor, redistributor) = (at(Record::Distributor), at(Record::Redistributor));
        stream[distributor + 8..][..8].copy_from_slice(&u64::to_le_bytes(PROPS | propbaser));
        stream[redistributor + 4..][..4].copy_from_slice(&u32::to_le_bytes(ctlr));
        let done = d.restore(&stream).map_err(|error| (error.field, error.why));
        assert_eq!(
            done,
            why.map_or(Ok(()), |why| Err(("ctlr", why))),
            "{ctlr:#x}"
        );
        if done.is_ok() {
            assert_eq!(*d.save_boxed().unwrap(), *stream);
        }
    }
}
