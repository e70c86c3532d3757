// SPDX-License-Identifier: GPL-2.0-only
//! Tables in guest memory: what is written there when the ITS is disabled, and read from there when it is enabled with others.

use super::commands::two_events;
use super::*;
use crate::host::Backing;

const QUIESCENT: u64 = 1 << 31;

pub(super) fn word(rig: &Rig, at: u64) -> u64 {
    let host = rig.domain.host();
    u64::from_le_bytes(std::array::from_fn(|n| host.peek(at + n as u64).unwrap()))
}

pub(super) fn put_word(rig: &Rig, at: u64, word: u64) {
    rig.domain.host().poke(at, &word.to_le_bytes());
}

/// Reads and writes of guest memory until now.
pub(super) fn accesses(rig: &Rig) -> (u32, u32) {
    let host = rig.domain.host();
    (host.reads.load(SeqCst), host.writes.load(SeqCst))
}

pub(super) fn lost(rig: &Rig) -> (u32, u32) {
    let its = rig.its();
    (its.unsaved.load(SeqCst), its.unread.load(SeqCst))
}

/// What the host has of devices and their events.
pub(super) fn at_host(rig: &Rig) -> (Vec<u32>, Vec<(u32, u32, u32)>) {
    let host = rig.domain.host();
    let devices = host.devices.lock().unwrap();
    let mut devices: Vec<u32> = devices.keys().map(|(_, device)| *device).collect();
    let events = host.events.lock().unwrap();
    let mut events: Vec<(u32, u32, u32)> = events
        .iter()
        .map(|((_, device, event), intid)| (*device, *event, intid.raw()))
        .collect();
    devices.sort_unstable();
    events.sort_unstable();
    (devices, events)
}

/// KVM's documentation has the layout: each bit of it, by hand.
#[test]
fn tables_are_written_when_it_is_disabled() {
    let mut rig = two_events();
    rig.ok(mapd(255, 10, true));
    rig.ok(mapti(255, 1000, 8300, 2));
    rig.ok(mapd(8, 1, true));
    assert_eq!(word(&rig, DEVICES + 7 * 8), 0, "not yet");
    rig.off();
    let device =
        |next: u64, id: u32, bits: u64| 1 << 63 | next << 49 | itt(id) >> 8 << 5 | (bits - 1);
    assert_eq!(word(&rig, DEVICES + 7 * 8), device(1, 7, 5));
    assert_eq!(word(&rig, DEVICES + 8 * 8), device(247, 8, 1));
    assert_eq!(word(&rig, DEVICES + 255 * 8), device(0, 255, 10));
    assert_eq!(word(&rig, itt(7)), 1 << 48 | 8200 << 16 | 1);
    assert_eq!(word(&rig, itt(7) + 8), 8201 << 16 | 2);
    assert_eq!(word(&rig, itt(255) + 8000), 8300 << 16 | 2);
    assert_eq!(word(&rig, COLLECTIONS), 1 << 63 | 1 << 16 | 1);
    assert_eq!(word(&rig, COLLECTIONS + 8), 1 << 63 | 2 << 16 | 2);
    assert_eq!(word(&rig, COLLECTIONS + 16), 0);
    assert_eq!(lost(&rig), (0, 0));
    // Nothing but the entries that are valid.
    let ones = |from: u64, len: u64| {
        let words = (from..from + len).step_by(8).map(|at| word(&rig, at));
        words.filter(|word| *word != 0).count()
    };
    assert_eq!(ones(DEVICES, 0x1000), 3);
    assert_eq!(ones(COLLECTIONS, 0x1000), 2);
    assert_eq!(ones(itt(7), 0x2000) + ones(itt(255), 0x2000), 3);
}

/// With Enabled = 0 and Quiescent = 1 the ITS does not look at guest memory, whatever happens to it, until it is enabled.
#[test]
fn quiescent_is_guest_memory_left_alone() {
    let mut rig = two_events();
    rig.inject(8200);
    rig.off();
    let before = accesses(&rig);
    rig.put(of_event(INT, 7, 1));
    rig.write(0, CWRITER, rig.at.into());
    rig.inject(8201);
    let software = rig.domain.message(0, 7, 0);
    assert_eq!(software, Err(crate::MessageError::Disabled));
    for baser in [BASER0, BASER1] {
        let old = rig.read(0, baser);
        for value in [0, 1 << 63 | 0x45_0000, old] {
            rig.write(0, baser, value);
            while rig.read(0, CTLR) & QUIESCENT == 0 {}
        }
    }
    rig.write(0, CBASER, rig.read(0, CBASER));
    for n in 0..VCPUS as u32 {
        rig.take(n);
    }
    rig.domain.relinquish();
    assert_eq!(accesses(&rig), before);
    // Nor for who saves the domain: it is all there.
    assert_eq!(rig.domain.write_tables(0), Progress::Done);
    assert_eq!(accesses(&rig), before);
}

/// Linux does that when it resumes.
#[test]
fn the_same_tables_again_void_nothing_and_cost_nothing() {
    let rig = two_events();
    rig.inject(8200);
    rig.off();
    let before = accesses(&rig);
    for _ in 0..3 {
        for baser in [BASER0, BASER1] {
            rig.write(0, baser, rig.read(0, baser));
        }
        rig.on();
        assert_eq!(rig.off(), 0);
    }
    assert_eq!(accesses(&rig), before, "nothing was mapped since");
    rig.on();
    rig.inject(8201);
    assert_eq!((rig.take(1), rig.take(2)), (vec![8200], vec![8201]));
}

/// What was pending stays so, and the host hears of it as by commands.
#[test]
fn moved_tables_are_as_good_as_the_old_ones() {
    for (devices, collections) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut rig = two_events();
        rig.inject(8200);
        let before = at_host(&rig);
        rig.off();
        rig.on();
        rig.power(devices, collections);
        assert_eq!(at_host(&rig), before);
        rig.inject(8201);
        assert_eq!((rig.take(1), rig.take(2)), (vec![8200], vec![8201]));
        rig.inject(8200);
        assert_eq!(rig.take(1), [8200]);
        // And the new ones are those that are written.
        rig.ok(of_event(DISCARD, 7, 0));
        rig.ok(mapti(7, 3, 8200, 2));
        rig.power(devices, collections);
        assert_eq!(rig.command(of_event(INT, 7, 0)), 0x01_0307);
        rig.ok(of_event(INT, 7, 3));
        assert_eq!(rig.take(2), [8200]);
        assert_eq!(lost(&rig), (0, 0));
    }
}

/// MOVALL moves what is pending and no route: so it is afterwards.
#[test]
fn moved_tables_leave_what_is_pending_where_it_is() {
    for (devices, collections) in [(true, true), (true, false), (false, true)] {
        let mut rig = two_events();
        rig.inject(8200);
        rig.ok(movall(1, 3));
        rig.power(devices, collections);
        assert_eq!(rig.pending(8200), Some(3), "{devices} {collections}");
        assert_eq!((rig.take(1), rig.take(3)), (vec![], vec![8200]));
        rig.inject(8200);
        assert_eq!(rig.take(1), [8200]);
    }
}

/// Each table is for what it is for: new devices leave collections alone, and the other way round.
#[test]
fn another_table_voids_just_what_it_has() {
    let mut rig = two_events();
    rig.off();
    rig.domain.host().poke(DEVICES + 0x8000, &[0; 0x1000]);
    rig.write(0, BASER0, 1 << 63 | (DEVICES + 0x8000));
    while rig.read(0, CTLR) & QUIESCENT == 0 {}
    assert_eq!(at_host(&rig), (vec![], vec![]));
    rig.on();
    assert_eq!(rig.command(of_event(INT, 7, 0)), 0x01_0304);
    rig.ok(mapd(7, 5, true));
    rig.ok(mapti(7, 0, 8200, 1));
    rig.inject(8200);
    assert_eq!(rig.take(1), [8200]);
    rig.off();
    rig.domain.host().poke(COLLECTIONS + 0x8000, &[0; 0x1000]);
    rig.write(0, BASER1, 1 << 63 | (COLLECTIONS + 0x8000));
    rig.on();
    assert_eq!(rig.command(of_event(INT, 7, 0)), 0x01_0309);
    rig.inject(8200);
    assert_eq!(rig.pending(8200), None, "it goes nowhere");
    rig.ok(mapc(1, 3, true));
    rig.inject(8200);
    assert_eq!(rig.take(3), [8200]);
}

/// A kernel after another (kexec) has zeroed tables in another place: nothing of the first is left.
#[test]
fn kexec_with_zeroed_tables_leaves_nothing() {
    let mut rig = two_events();
    rig.off();
    let host = rig.domain.host();
    host.poke(DEVICES + 0x8000, &[0; 0x1000]);
    host.poke(COLLECTIONS + 0x8000, &[0; 0x1000]);
    rig.write(0, BASER0, 1 << 63 | (DEVICES + 0x8000));
    rig.write(0, BASER1, 1 << 63 | (COLLECTIONS + 0x8000));
    rig.on();
    assert_eq!(at_host(&rig), (vec![], vec![]));
    assert_eq!(rig.domain.lpis.events_left.taken(), 0);
    assert_eq!(rig.domain.lpis.devices_left.taken(), 0);
    assert_eq!(rig.command(invall(1)), 0x01_0d09);
    assert_eq!(rig.command(of_event(INT, 7, 0)), 0x01_0304);
    for intid in [8200, 8201] {
        rig.inject(intid);
        assert_eq!(rig.pending(intid), None);
        assert!(!rig.state(intid).unwrap().mapped());
    }
}

/// An ITS as kernels enable it first costs few reads.
#[test]
fn bounded_first_enable_reads_zeroed_tables_once() {
    let rig = Rig::new();
    // DeviceIDs of eight bits, and a collection table whose first entry is not valid.
    assert_eq!(accesses(&rig), (3, 0));
    let its = [ItsConfig {
        device_bits: 16,
        event_bits: 16,
    }];
    let config = config(1, LIMITS, &its);
    // Flat, and of two levels, each page of which is there.
    for indirect in [false, true] {
        let rig = Rig {
            domain: domain_of(&config, 1),
            at: 0,
            queue_pages: 1,
        };
        let host = rig.domain.host();
        host.poke(0x100_0000, &vec![0; 0x10_0000]);
        host.poke(COLLECTIONS, &[0; 0x1000]);
        if indirect {
            for n in 0..8_u64 {
                put_word(
                    &rig,
                    0x200_0000 + n * 8,
                    1 << 63 | (0x100_0000 + n * 0x1_0000),
                );
            }
            rig.write(0, BASER0, 0b11 << 62 | 0x200_0000 | 2 << 8);
        } else {
            rig.write(0, BASER0, 1 << 63 | 0x100_0000 | 2 << 8 | 7);
        }
        rig.write(0, BASER1, 1 << 63 | COLLECTIONS);
        let before = accesses(&rig).0;
        let traps = rig.on();
        let reads = accesses(&rig).0 - before;
        // A read for each 128 devices, with the first level before it.
        assert_eq!(reads, if indirect { 1 + 2 * 512 } else { 1 + 512 });
        assert_eq!(traps, 9, "indirect: {indirect}");
        rig.off();
        assert_eq!(rig.on(), 1);
        assert_eq!(accesses(&rig).0 - before, reads);
    }
}

/// What is unmapped after it was written is not there when the tables are read again.
#[test]
fn stale_entries_are_not_read_back() {
    type Way = fn(&mut Rig);
    let ways: [(&str, Way, u32); 4] = [
        ("DISCARD", |rig| rig.ok(of_event(DISCARD, 7, 0)), 0x01_0307),
        ("MAPD off", |rig| rig.ok(mapd(7, 5, false)), 0x01_0304),
        ("MAPD anew", |rig| rig.ok(mapd(7, 5, true)), 0x01_0307),
        (
            "MAPD off and on",
            |rig| {
                rig.ok(mapd(7, 5, false));
                rig.ok(mapd(7, 5, true));
                // Later than what was there.
                rig.ok(mapti(7, 31, 8200, 1));
            },
            0x01_0307,
        ),
    ];
    for (name, way, error) in ways {
        let mut rig = two_events();
        rig.ok(mapd(9, 5, true));
        rig.power(false, false);
        way(&mut rig);
        rig.power(true, true);
        assert_eq!(rig.command(of_event(INT, 7, 0)), error, "{name}");
        assert_eq!(lost(&rig), (0, 0));
    }
    // One that is far from any other, so that nothing is written over it.
    let mut rig = two_events();
    rig.ok(mapd(255, 5, true));
    rig.power(false, false);
    rig.ok(mapd(255, 5, false));
    rig.power(true, true);
    assert_eq!(rig.command(of_event(INT, 255, 0)), 0x01_0304);
    rig.ok(mapd(7, 5, false));
    rig.power(true, true);
    assert_eq!(at_host(&rig), (vec![], vec![]));
    let mut rig = two_events();
    rig.power(false, false);
    rig.ok(mapc(1, 0, false));
    rig.power(true, true);
    assert_eq!(rig.command(invall(1)), 0x01_0d09);
    rig.ok(invall(2));
}

/// An ITS that was never disabled writes nothing for what is unmapped.
#[test]
fn never_disabled_writes_nothing() {
    let mut rig = two_events();
    let before = accesses(&rig).1;
    rig.ok(of_event(DISCARD, 7, 0));
    rig.ok(mapd(7, 5, false));
    rig.ok(mapc(1, 0, false));
    assert_eq!(accesses(&rig).1, before);
}

/// Two levels: where the guest has taken the page away, the device is left out, and others are not.
#[test]
fn a_page_of_the_second_level_that_is_gone_is_left_out() {
    let rig = Rig::new();
    let host = rig.domain.host();
    rig.off();
    // Pages of 4 KiB have 512 entries each, and DeviceIDs are of eight bits: all of them are in the first.
    put_word(&rig, DEVICES, 1 << 63 | 0x60_0000);
    host.poke(0x60_0000, &[0; 0x1000]);
    rig.write(0, BASER0, 0b11 << 62 | DEVICES);
    rig.on();
    let mut rig = rig;
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(7, 5, true));
    rig.ok(mapti(7, 0, 8200, 1));
    rig.off();
    assert_eq!(word(&rig, 0x60_0000 + 56) >> 63, 1);
    rig.on();
    rig.configure(8201, 0x40, true);
    rig.ok(mapti(7, 1, 8201, 1));
    put_word(&rig, DEVICES, 0);
    rig.off();
    assert_eq!(lost(&rig), (1, 0));
    // What is mapped is still so.
    rig.on();
    rig.inject(8201);
    assert_eq!(rig.take(1), [8201]);
    put_word(&rig, DEVICES, 1 << 63 | 0x60_0000);
    rig.power(true, false);
    rig.ok(of_event(INT, 7, 0));
}

/// Tables and ITTs where there is no memory, or that are no more than a page before its end.
#[test]
fn tables_that_are_nowhere() {
    for base in [
        0x7000_0000,
        0xf_ffff_ffff_f000_u64 & 0xffff_ffff_f000,
        0xffff_ffff_0000,
    ] {
        for field in [
            0,
            0xff,
            0b10 << 8 | 0xff | 0xf000,
            1 << 62 | 0xff,
            1 << 62 | 0b10 << 8 | 0xf0ff,
        ] {
            let mut rig = two_events();
            rig.off();
            rig.write(0, BASER0, 1 << 63 | base | field);
            rig.write(0, BASER1, 1 << 63 | base | field);
            rig.on();
            assert_eq!(at_host(&rig).0, []);
            let _ = rig.command(mapd(7, 5, true));
            let _ = rig.command(mapc(1, 1, true));
            let _ = rig.command([7 << 32 | 0x08, 4, 1 << 63 | 0xf_ffff_ffff_ff00, 0]);
            let _ = rig.command(mapti(7, 31, 8200, 1));
            rig.off();
            rig.on();
            while rig.domain.write_tables(0) == Progress::Again {}
        }
    }
}

/// Events of more LPIs, or more devices, than the domain may have: the first are mapped, and all are counted.
#[test]
fn limits_hold_for_what_is_read() {
    let limits = LpiConfig {
        limits: Limits {
            lpis: 256,
            devices: 2,
            events: 40,
        },
        ..LIMITS
    };
    let rig = Rig::with(limits, 1);
    rig.off();
    for device in 0..4 {
        let entry = 1 << 63 | 1 << 49 | itt(device) >> 8 << 5 | 9;
        put_word(&rig, DEVICES + 0x8000 + u64::from(device) * 8, entry);
        for event in 0..32 {
            let intid = u64::from(8192 + device * 32) + event;
            put_word(&rig, itt(device) + event * 8, 1 << 48 | intid << 16 | 1);
        }
        put_word(&rig, itt(device) + 256, 0);
    }
    rig.write(0, BASER0, 1 << 63 | (DEVICES + 0x8000));
    rig.on();
    let (devices, events) = at_host(&rig);
    assert_eq!((devices, events.len()), (vec![0, 1], 40));
    assert_eq!(events.last(), Some(&(1, 7, 8192 + 39)));
    assert_eq!(lost(&rig).1, 2, "the event after the last, and the device");
}

/// The first of two events that have one LPI has it; nothing goes where there is no vCPU, or what does not exist.
#[test]
fn what_is_not_good_is_skipped() {
    let mut rig = Rig::new();
    rig.off();
    let (devices, collections) = (DEVICES + 0x8000, COLLECTIONS + 0x8000);
    let host = rig.domain.host();
    host.poke(devices, &[0; 0x1000]);
    host.poke(collections, &[0; 0x1000]);
    let list = [
        1 << 63 | 1 << 16 | 1,
        1 << 63 | 4 << 16 | 2,
        1 << 63 | 0xf_ffff_ffff << 16 | 3,
        1 << 63 | 1 << 16 | 0x100,
        1 << 63 | 2 << 16 | 1,
        1 << 63 | 3 << 16 | 3,
    ];
    for (n, entry) in (0..).zip(list) {
        put_word(&rig, collections + n * 8, entry);
    }
    put_word(&rig, devices, 1 << 63 | 3 << 49 | itt(0) >> 8 << 5 | 4);
    put_word(
        &rig,
        devices + 24,
        1 << 63 | 1 << 49 | itt(3) >> 8 << 5 | 31,
    );
    put_word(&rig, devices + 32, 1 << 63 | itt(4) >> 8 << 5 | 4);
    let events = [
        (0, 1 << 48 | 8192 << 16 | 1),
        (1, 1 << 48 | 8192 << 16 | 3),
        (2, 1 << 48 | 0x4000 << 16 | 3),
        (3, 1 << 48 | 8191 << 16 | 3),
        (4, 3 << 48 | 8193 << 16 | 0x100),
        (7, 0xffff << 48 | 8194 << 16 | 3),
    ];
    for (event, entry) in events {
        put_word(&rig, itt(0) + event * 8, entry);
    }
    put_word(&rig, itt(4), 8195 << 16 | 2);
    rig.write(0, BASER0, 1 << 63 | devices);
    rig.write(0, BASER1, 1 << 63 | collections);
    rig.on();
    let mapped = vec![(0, 0, 8192), (0, 7, 8194), (4, 0, 8195)];
    assert_eq!(at_host(&rig), (vec![0, 4], mapped));
    assert_eq!(lost(&rig), (0, 4 + 1 + 4));
    for (intid, target) in [(8192, Some(1)), (8194, Some(3)), (8195, None)] {
        rig.inject(intid);
        assert_eq!(rig.pending(intid), target, "{intid}");
    }
    rig.ok(mapc(2, 2, true));
}

/// The host refuses: what it refuses is not mapped, and a device model's device costs it nothing.
#[test]
fn the_host_has_its_say() {
    let rig = two_events();
    rig.off();
    rig.domain.host().refuses.store(true, SeqCst);
    rig.copy_page(DEVICES, DEVICES + 0x8000);
    rig.write(0, BASER0, 1 << 63 | (DEVICES + 0x8000));
    rig.on();
    assert_eq!((at_host(&rig), lost(&rig)), ((vec![], vec![]), (0, 1)));
    assert_eq!(rig.domain.lpis.devices_left.taken(), 0);
    let mut rig = Rig::new();
    rig.domain.host().software_from.store(7, SeqCst);
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(7, 5, true));
    rig.configure(8200, 0x40, true);
    rig.ok(mapti(7, 0, 8200, 1));
    rig.power(true, true);
    assert_eq!(at_host(&rig), (vec![], vec![]));
    let backing = rig.its().tables.lock().devices.get(7).map(|d| d.backing);
    assert_eq!(backing, Some(Backing::Software));
    assert_eq!(rig.domain.message(0, 7, 0), Ok(()));
    assert_eq!(rig.take(1), [8200]);
}
