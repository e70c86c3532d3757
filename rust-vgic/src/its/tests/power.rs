// SPDX-License-Identifier: GPL-2.0-only
//! An ITS that is disabled and enabled again with much to write and to read: in bounded steps, and at any point of what it does.

use super::commands::two_events;
use super::tables::{accesses, at_host, lost, word};
use super::*;

const QUIESCENT: u64 = 1 << 31;

fn many_events(count: u32) -> Rig {
    let mut rig = Rig::new();
    rig.domain.host().poke(PROPS, &[0x41; 0x1000]);
    rig.ok(mapc(1, 1, true));
    for n in 0..count.div_ceil(1024) {
        rig.ok(mapd(n, EVENT_BITS, true));
    }
    for n in 0..count {
        rig.ok(mapti(n / 1024, n % 1024, 8192 + n, 1));
    }
    rig
}

/// A trap writes and reads a part of many, and the ITS is quiescent after the last, whoever does the work.
#[test]
fn bounded_power_down_and_refill() {
    let rig = many_events(4096);
    let before = accesses(&rig);
    assert_eq!(rig.write(0, CTLR, 0), Progress::Again);
    let step = |before: (u32, u32)| {
        let now = accesses(&rig);
        (now.0 - before.0, now.1 - before.1)
    };
    assert_eq!(step(before), (0, 32));
    assert_eq!(rig.read(0, CTLR) & QUIESCENT, 0);
    let mut traps = 0;
    while rig.read(0, CTLR) & QUIESCENT == 0 {
        traps += 1;
        assert!(traps < 10);
    }
    // A write for 32 events, one for devices and one for the collection.
    assert_eq!(step(before), (0, 128 + 2));
    rig.copy_page(DEVICES, DEVICES + 0x8000);
    rig.write(0, BASER0, 1 << 63 | (DEVICES + 0x8000));
    let mut traps = 0;
    while rig.read(0, CTLR) & QUIESCENT == 0 {
        traps += 1;
    }
    assert!((10..100).contains(&traps), "{traps}");
    let traps = rig.on();
    assert!((60..90).contains(&traps), "{traps}");
    assert_eq!(at_host(&rig).1.len(), 4096);
    let reads = step(before).0;
    // Some of a window, and its configuration, each time.
    assert!(reads < 4 * traps, "{reads} in {traps}");
}

/// It goes on where it was if the guest enables it in between, or does not wait.
#[test]
fn power_is_on_again_before_it_was_quiescent() {
    let mut rig = many_events(4096);
    assert_eq!(rig.write(0, CTLR, 0), Progress::Again);
    assert_eq!(rig.on(), 1);
    rig.ok(of_event(DISCARD, 0, 5));
    rig.ok(of_event(DISCARD, 3, 1023));
    rig.ok(mapti(0, 5, 8192 + 4095, 1));
    rig.power(true, true);
    assert_eq!(at_host(&rig).1.len(), 4095);
    assert_eq!(rig.command(of_event(INT, 3, 1023)), 0x01_0307);
    // Off while it reads: it reads on when it is on.
    rig.off();
    rig.copy_page(DEVICES + 0x8000, DEVICES);
    rig.write(0, BASER0, 1 << 63 | DEVICES);
    while rig.read(0, CTLR) & QUIESCENT == 0 {}
    for _ in 0..5 {
        assert_eq!(rig.write(0, CTLR, 1), Progress::Again);
        assert_eq!(rig.off(), 0, "there is nothing to be written");
        let before = accesses(&rig);
        rig.read(0, CTLR);
        assert_eq!(accesses(&rig), before);
    }
    rig.on();
    assert_eq!(at_host(&rig).1.len(), 4095);
    assert_eq!(lost(&rig), (0, 0));
}

/// A batch of commands is cut off anywhere: what has been executed is in the tables, and what has not comes after.
#[test]
fn power_down_at_any_point_of_a_batch() {
    for cut in 0..12 {
        let mut rig = many_events(1000);
        for command in [
            mapc(1, 2, true),
            mapc(2, 3, true),
            mapd(0, EVENT_BITS, true),
            mapti(0, 7, 8192, 2),
            mapc(1, 3, true),
            mapti(0, 1023, 8193, 1),
            of_event(INT, 0, 7),
        ] {
            rig.put(command);
        }
        rig.write(0, CWRITER, rig.at.into());
        for _ in 0..cut {
            rig.read(0, CREADR);
        }
        rig.power(true, true);
        rig.run();
        let mapped = vec![(0, 7, 8192), (0, 1023, 8193)];
        assert_eq!(at_host(&rig), (vec![0], mapped), "{cut}");
        assert_eq!(rig.its().errors.load(SeqCst), 0);
        assert_eq!(rig.pending(8192), Some(3));
        rig.inject(8193);
        assert_eq!(rig.pending(8193), Some(3));
    }
}

/// A guest that gives it other tables and does not wait gets what it has asked for: what was not written yet is gone.
#[test]
fn a_table_taken_before_it_is_quiescent() {
    let mut rig = many_events(4096);
    assert_eq!(rig.write(0, CTLR, 0), Progress::Again);
    rig.domain.host().poke(DEVICES + 0x8000, &[0; 0x1000]);
    rig.write(0, BASER0, 1 << 63 | (DEVICES + 0x8000));
    while rig.read(0, CTLR) & QUIESCENT == 0 {}
    assert!((0..512).all(|n| word(&rig, DEVICES + 0x8000 + n * 8) == 0));
    rig.on();
    assert_eq!(at_host(&rig), (vec![], vec![]));
    rig.ok(invall(1));
}

/// Enabled without a table or without a queue: no message gets through, commands are errors or are not read, and no memory is touched but the
/// queue. It works once it has all.
#[test]
fn enabled_without_something_it_does_nothing() {
    for missing in [BASER0, BASER1, CBASER] {
        let mut rig = two_events();
        rig.domain.host().software_from.store(8, SeqCst);
        rig.ok(mapd(8, 5, true));
        rig.configure(8300, 0x40, true);
        rig.ok(mapti(8, 0, 8300, 1));
        assert_eq!(rig.domain.message(0, 8, 0), Ok(()));
        assert_eq!(rig.take(1), [8300]);
        rig.off();
        let was = rig.read(0, missing);
        rig.write(0, missing, was & !(1 << 63));
        while rig.read(0, CTLR) >> 31 == 0 {}
        let before = accesses(&rig);
        rig.on();
        assert_eq!(rig.read(0, CTLR), 1, "{missing:#x}");
        assert_eq!(accesses(&rig).1, before.1);
        let message = rig.domain.message(0, 8, 0);
        rig.inject(8200);
        rig.inject(8300);
        let none = [8200, 8300].map(|intid| rig.pending(intid));
        if missing == CBASER {
            // It has what it had, and takes no commands.
            assert_eq!((message, none), (Ok(()), [Some(1), Some(1)]));
            assert_eq!(rig.write(0, CWRITER, 0x40), Progress::Done);
            assert_eq!(rig.read(0, CREADR), 0);
            assert_eq!(accesses(&rig), before);
            assert_eq!(rig.take(1), [8200, 8300]);
            rig.at = 0;
        } else {
            assert!(message.is_err(), "{missing:#x}");
            assert_eq!(none, [None; 2], "{missing:#x}");
            let commands = if missing == BASER0 {
                [mapd(9, 5, true), of_event(INT, 7, 0)]
            } else {
                [mapc(1, 1, true), mapti(7, 5, 8205, 1)]
            };
            for command in commands {
                assert_ne!(rig.command(command), 0, "{command:x?}");
            }
        }
        rig.off();
        rig.write(0, missing, was);
        rig.on();
        rig.ok(mapc(1, 1, true));
        rig.ok(mapd(7, 5, true));
        rig.ok(mapti(7, 0, 8200, 1));
        rig.inject(8200);
        assert_eq!(rig.take(1), [8200], "{missing:#x}");
    }
}
