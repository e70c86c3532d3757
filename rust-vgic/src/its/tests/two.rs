// SPDX-License-Identifier: GPL-2.0-only
//! Two ITSes of a domain, of which one takes from the other.

use super::tables::{put_word, word};
use super::*;
use crate::its::tables::Filled;

/// The second ITS has its own tables and its own queue.
const DEVICES2: u64 = 0x60_0000;
const COLLECTIONS2: u64 = 0x61_0000;
const QUEUE2: u64 = QUEUE + 0x8000;

/// Two ITSes that are enabled.
fn two() -> Rig {
    let rig = Rig::with(LIMITS, 2);
    for page in [DEVICES2, COLLECTIONS2] {
        rig.domain.host().poke(page, &[0; 0x1000]);
    }
    rig.write(1, CBASER, 1 << 63 | QUEUE2 | 1);
    rig.write(1, BASER0, 1 << 63 | DEVICES2);
    rig.write(1, BASER1, 1 << 63 | COLLECTIONS2);
    rig.write(1, CTLR, 1);
    rig
}

/// Has the second execute a command.
fn second(rig: &Rig, command: [u64; 4]) {
    let at = rig.read(1, CREADR);
    for (n, word) in (0..).zip(command) {
        let place = QUEUE2 + at + n * 8;
        rig.domain.host().poke(place, &word.to_le_bytes());
    }
    let end = (at + 32) % 0x2000;
    while rig.write(1, CWRITER, end) == Progress::Again {}
    assert_eq!(rig.domain.its[1].errors.load(SeqCst), 0, "{command:x?}");
}

fn route(rig: &Rig, intid: u32) -> Option<u8> {
    let lpi = rig.domain.lpis.get(IntId::new(intid).unwrap()).unwrap();
    lpi.route().map(|id| id.raw())
}

/// What another ITS takes from one that is quiescent changes nothing in memory until that is enabled, and is written after.
#[test]
fn quiescent_is_an_its_whatever_another_takes() {
    let mut rig = two();
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(1, 5, true));
    rig.ok(mapti(1, 0, 8192, 1));
    rig.ok(mapti(1, 1, 8193, 1));
    rig.off();
    let was = [0, 8].map(|n| word(&rig, itt(1) + n));
    assert_ne!(was[0], 0);
    second(&rig, mapd(2, 5, true));
    second(&rig, mapti(2, 0, 8192, 1));
    // Now the memory is somebody else's.
    rig.domain.host().poke(itt(1), &[0xee; 16]);
    let writes = rig.domain.host().writes.load(SeqCst);
    assert_eq!(rig.read(0, CTLR), 1 << 31);
    rig.write(0, CTLR, 0);
    rig.write(0, BASER0, rig.read(0, BASER0));
    assert_eq!(rig.read(0, CTLR), 1 << 31);
    assert_eq!(rig.domain.host().writes.load(SeqCst), writes);
    assert_eq!(word(&rig, itt(1)), 0xeeee_eeee_eeee_eeee);
    // What it has is right, and gets there.
    rig.on();
    rig.off();
    assert_eq!(word(&rig, itt(1)), 0);
    assert_eq!(word(&rig, itt(1) + 8), was[1]);
}

/// A table of collections is being read, and the next LPI that is to follow becomes another ITS's.
#[test]
fn an_lpi_that_is_taken_while_others_are_routed() {
    let mut rig = two();
    second(&rig, mapc(5, 3, true));
    second(&rig, mapd(2, 5, true));
    for n in 0..3 {
        second(&rig, mapti(2, n, 9000 + n, 5));
    }
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(1, EVENT_BITS, true));
    for n in 0..600 {
        rig.ok(mapti(1, n, 8192 + n, 1));
    }
    rig.off();
    // In another table the collection goes elsewhere.
    let to = COLLECTIONS + 0x8000;
    rig.copy_page(COLLECTIONS, to);
    (rig.domain.host()).poke(to, &(1_u64 << 63 | 2 << 16 | 1).to_le_bytes());
    rig.write(0, BASER1, 1 << 63 | to);
    while rig.read(0, CTLR) != 1 << 31 {}
    assert_eq!(rig.write(0, CTLR, 1), Progress::Again);
    let filled = rig.its().tables.lock().filled;
    let next = match filled {
        Filled::Routes(1, next) => next,
        _ => crate::irq::NIL,
    };
    assert_ne!(next, crate::irq::NIL, "{filled:?}");
    second(&rig, mapti(2, 3, next.into(), 5));
    rig.on();
    for intid in [9000, 9001, 9002, next.into()] {
        assert_eq!(route(&rig, intid), Some(3), "{intid}");
    }
    for intid in (8192..8792).filter(|intid| *intid != u32::from(next)) {
        assert_eq!(route(&rig, intid), Some(2), "{intid}");
    }
}

/// What saving takes is the sum of what each of them takes.
#[test]
fn bounded_is_saving_of_several() {
    let mut rig = two();
    for device in 0..7 {
        rig.ok(mapd(device, EVENT_BITS, true));
        second(&rig, mapd(device, EVENT_BITS, true));
        for n in 0..32 {
            let intid = 8192 + device * 32 + n;
            rig.ok(mapti(device, n * 32, intid, 1));
            second(&rig, mapti(device, n * 32, intid + 1000, 1));
        }
    }
    let calls = |rig: &Rig| {
        let again = (0..1000).take_while(|_| rig.domain.prepare_save() == Ok(Progress::Again));
        again.count()
    };
    let both = calls(&rig);
    rig.write(1, CTLR, 0);
    while rig.read(1, CTLR) != 1 << 31 {}
    let one = calls(&rig);
    assert!(one > 4, "{one}");
    assert!(both <= 2 * one + 2, "{both} {one}");
    assert!(rig.domain.save_boxed().is_ok());
    // One that was given up, and something that has come since.
    rig.write(1, CTLR, 1);
    while rig.domain.its[1].todo.load(SeqCst) & super::super::todo::WRITES == 0 {
        assert_eq!(rig.domain.prepare_save(), Ok(Progress::Again));
    }
    rig.ok(mapd(0, 5, true));
    assert!(rig.domain.save_boxed().is_ok());
}

/// Which event has an LPI: of which ITS, of which device.
fn has(rig: &Rig, intid: u32) -> Option<(u16, (u32, u32))> {
    let lpi = rig.domain.lpis.get(IntId::new(intid).unwrap()).unwrap();
    lpi.mapped_by()
}

/// What another ITS takes from one that is disabled stays in memory until that is written the next time, wherever in its table it is.
/// What was saved before and after can be restored, and has one owner.
#[test]
fn restored_is_what_another_its_has_taken() {
    // The events that are left: none; in the same lot; in another one; in none on this page.
    for left in [None, Some(1), Some(40), Some(900)] {
        let mut rig = two();
        rig.ok(mapc(1, 1, true));
        rig.ok(mapd(1, EVENT_BITS, true));
        rig.ok(mapti(1, 0, 8192, 1));
        if let Some(left) = left {
            rig.ok(mapti(1, left, 8193, 1));
        }
        rig.off();
        second(&rig, mapc(5, 3, true));
        second(&rig, mapd(2, 5, true));
        second(&rig, mapti(2, 0, 8192, 5));
        let check = |rig: &Rig| {
            assert_eq!(has(rig, 8192), Some((1, (2, 0))), "{left:?}");
            if let Some(left) = left {
                assert_eq!(has(rig, 8193), Some((0, (1, left))), "{left:?}");
            }
        };
        assert_ne!(word(&rig, itt(1)), 0);
        // Saved while it is disabled; and what it is then enabled with, while it is enabled.
        let new = rig.restored(LIMITS);
        new.on();
        check(&new);
        check(&new.restored(LIMITS));
        new.off();
        assert_eq!(word(&new, itt(1)), 0, "{left:?}");
        // Saved once it is enabled.
        rig.on();
        check(&rig);
        check(&rig.restored(LIMITS));
        assert_eq!(word(&rig, itt(1)), 0, "{left:?}");
        // And for who disables it.
        rig.off();
        let new = rig.restored(LIMITS);
        second(&new, of_event(DISCARD, 2, 0));
        new.on();
        assert_eq!(has(&new, 8192), None);
    }
}

/// The same of one that is not quiescent yet, of which a part has been written.
#[test]
fn restored_is_what_another_its_has_taken_while_tables_were_written() {
    let mut rig = two();
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(1, EVENT_BITS, true));
    for n in 0..32 {
        rig.ok(mapti(1, n * 32, 8192 + n, 1));
    }
    for device in [2, 4] {
        rig.ok(mapd(device, EVENT_BITS, true));
        for n in 0..32 {
            rig.ok(mapti(device, n * 32, 8192 + device * 100 + n, 1));
        }
    }
    rig.off();
    rig.on();
    rig.ok(mapti(2, 1, 8900, 1));
    second(&rig, mapd(3, 5, true));
    rig.write(0, CTLR, 0);
    assert_eq!(rig.read(0, CTLR), 0, "it is being written");
    second(&rig, mapti(3, 0, 8192, 1));
    rig.off();
    assert_eq!(word(&rig, itt(1)), 0);
    rig.on();
    let new = rig.restored(LIMITS);
    assert_eq!(has(&new, 8192), Some((1, (3, 0))));
}

/// Who saves has given up in the middle of it, and an event that was written is unmapped then.
#[test]
fn restored_is_not_what_was_unmapped_since_a_part_was_written() {
    let mut rig = two();
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(1, EVENT_BITS, true));
    for n in 0..32 {
        rig.ok(mapti(1, n * 32, 8192 + n, 1));
    }
    assert_eq!(rig.domain.prepare_save(), Ok(Progress::Again));
    assert_ne!(word(&rig, itt(1)), 0);
    assert_eq!(word(&rig, DEVICES + 8), 0, "devices are written last");
    rig.ok(of_event(DISCARD, 1, 0));
    second(&rig, mapd(2, 5, true));
    second(&rig, mapti(2, 0, 8192, 1));
    assert_eq!(word(&rig, itt(1)), 0);
    let new = rig.restored(LIMITS);
    assert_eq!(has(&new, 8192), Some((1, (2, 0))));
}

/// Entries that were not good are no longer there once tables have been written.
#[test]
fn restored_is_what_was_good_of_a_table() {
    let mut rig = two();
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(1, EVENT_BITS, true));
    rig.ok(mapti(1, 0, 8192, 1));
    rig.ok(mapti(1, 500, 8193, 1));
    rig.off();
    // No LPI; one of another event; a collection that cannot be. Each leads to the next.
    for (event, next, entry) in [
        (0, 33, 8192 << 16 | 1),
        (33, 65, 7 << 16),
        (65, 97, 8192 << 16),
        (97, 500, 8200 << 16 | 0x100),
    ] {
        let entry = (next - event) << 48 | entry;
        put_word(&rig, itt(1) + event * 8, entry);
    }
    let to = DEVICES + 0x8000;
    rig.copy_page(DEVICES, to);
    rig.write(0, BASER0, 1 << 63 | to);
    rig.on();
    let good = |new: &Rig| {
        assert_eq!(has(new, 8192), Some((0, (1, 0))));
        assert_eq!(has(new, 8193), Some((0, (1, 500))));
    };
    // All of it is written, and once.
    for lots in [(1 << EVENT_BITS) / 32, 2] {
        let before = rig.domain.host().writes.load(SeqCst);
        rig.off();
        let writes = rig.domain.host().writes.load(SeqCst) - before;
        assert_eq!(writes, lots + 2, "and a lot of devices and of collections");
        let words = (0..1 << EVENT_BITS).map(|n| word(&rig, itt(1) + n * 8));
        assert_eq!(words.filter(|word| *word != 0).count(), 2);
        rig.on();
        rig.ok(movi(1, 0, 1));
    }
    good(&rig.restored(LIMITS));
}
