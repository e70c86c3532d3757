// SPDX-License-Identifier: GPL-2.0-only
//! Tables that are read for who restores a domain: all of them or none, and nothing that is not as it has to be.

use super::commands::two_events;
use super::tables::{at_host, put_word, word};
use super::*;
use crate::its::{ItsRegisters, TableError, TableFault as Fault, TableName as Table};
use proptest::prelude::*;

/// All of a guest's memory.
fn memory_of(rig: &Rig) -> std::collections::HashMap<u64, [u8; 4096]> {
    rig.domain.host().memory.lock().unwrap().clone()
}

/// Saves the ITSes of a domain: what is in their registers.
fn save(rig: &Rig) -> Vec<ItsRegisters> {
    let all = 0..rig.domain.its.len();
    for n in all.clone() {
        let calls = (0..10_000).take_while(|_| rig.domain.write_tables(n) == Progress::Again);
        assert!(calls.count() < 10_000, "no end");
    }
    all.map(|n| rig.domain.its_registers(n).unwrap()).collect()
}

/// Restores them to a domain that is as new.
fn load(rig: &Rig, saved: &[ItsRegisters]) -> Result<(u32, u32), TableError> {
    let mut prepared = rig.domain.prepare().unwrap();
    for (n, registers) in saved.iter().enumerate() {
        assert_eq!(registers.wrong(), None);
        rig.domain.read_tables(&mut prepared, n, *registers)?;
    }
    let counts = prepared.counts();
    rig.domain.adopt_tables(prepared);
    Ok(counts)
}

/// Another domain with the memory of this one and its ITSes restored.
pub(super) fn another(rig: &Rig, limits: LpiConfig) -> Result<Rig, TableError> {
    let saved = save(rig);
    let mut new = Rig::bare(limits, saved.len());
    *new.domain.host().memory.lock().unwrap() = memory_of(rig);
    (new.at, new.queue_pages) = (rig.at, rig.queue_pages);
    load(&new, &saved)?;
    Ok(new)
}

#[test]
fn restored_is_what_was_saved() {
    let mut rig = two_events();
    rig.ok(mapd(255, 10, true));
    rig.ok(mapti(255, 1000, 8300, 3));
    // The last in the queue, which is at its end.
    while rig.at != 0 {
        rig.ok(mapc(3, 3, true));
    }
    let mut new = another(&rig, LIMITS).unwrap();
    assert_eq!(at_host(&new), at_host(&rig));
    assert_eq!(new.domain.its_registers(0), rig.domain.its_registers(0));
    let counts = |rig: &Rig| {
        let lpis = &rig.domain.lpis;
        (
            lpis.devices_left.taken(),
            lpis.events_left.taken(),
            lpis.used(),
        )
    };
    assert_eq!(counts(&new), counts(&rig));
    for rig in [&mut rig, &mut new] {
        assert_eq!(rig.pending(8201), None);
        rig.inject(8201);
        rig.inject(8200);
        assert_eq!((rig.take(1), rig.take(2)), (vec![8200], vec![8201]));
        rig.ok(of_event(INT, 255, 1000));
        assert_eq!(rig.pending(8300), Some(3));
        rig.ok(mapc(3, 0, true));
        assert_eq!(rig.pending(8300), Some(0));
        rig.power(true, true);
        rig.ok(mapd(255, 10, false));
        rig.ok(of_event(DISCARD, 7, 0));
        rig.power(true, true);
        assert_eq!(at_host(rig).1, [(7, 1, 8201)]);
    }
}

/// With nothing read before it is enabled, and then what is there.
#[test]
fn restored_while_it_was_disabled_it_reads_when_it_is_enabled() {
    for moves in [false, true] {
        let rig = two_events();
        rig.off();
        if moves {
            rig.copy_page(DEVICES, DEVICES + 0x8000);
            rig.write(0, BASER0, 1 << 63 | (DEVICES + 0x8000));
        }
        let new = another(&rig, LIMITS).unwrap();
        assert_eq!(at_host(&new), (vec![], vec![]));
        assert_eq!(new.domain.its_registers(0), rig.domain.its_registers(0));
        new.on();
        rig.on();
        assert_eq!(at_host(&new), at_host(&rig));
        new.inject(8200);
        assert_eq!(new.take(1), [8200]);
    }
    // Not one that was never set up.
    let new = another(&Rig::bare(LIMITS, 2), LIMITS).unwrap();
    assert_eq!(
        new.domain.its_registers(1),
        Rig::bare(LIMITS, 2).domain.its_registers(1)
    );
}

/// A command that is half done is finished, and a table that is half read is read.
#[test]
fn saved_in_the_middle_of_something() {
    let mut rig = two_events();
    for n in 0..1000 {
        rig.ok(mapti(7, n % 32, 8200 + n, 1));
        if n < 600 {
            rig.ok(mapd(9, 10, true));
        }
        rig.ok(mapti(9, n, 9300 + n, 1));
    }
    rig.put(mapc(1, 3, true));
    assert_eq!(rig.write(0, CWRITER, rig.at.into()), Progress::Again);
    let new = another(&rig, LIMITS).unwrap();
    assert_eq!(new.domain.its_registers(0).unwrap().creadr, rig.at);
    new.inject(9300 + 999);
    assert_eq!(new.pending(9300 + 999), Some(3));
    rig.off();
    rig.copy_page(DEVICES, DEVICES + 0x8000);
    rig.write(0, BASER0, 1 << 63 | (DEVICES + 0x8000));
    rig.off();
    assert_eq!(rig.write(0, CTLR, 1), Progress::Again);
    let new = another(&rig, LIMITS).unwrap();
    assert_eq!(at_host(&new), at_host(&rig));
    assert_eq!(at_host(&new).1.len(), 32 + 401);
}

/// Each thing that can be wrong is said where it is, and the domain is as it was.
#[test]
fn refused_tables_leave_the_domain_as_it_was() {
    let rig = two_events();
    let saved = save(&rig);
    let device = word(&rig, DEVICES + 56);
    let limits = |lpis, devices, events| LpiConfig {
        limits: Limits {
            lpis,
            devices,
            events,
        },
        ..LIMITS
    };
    type Case<'a> = (&'a [(u64, u64)], LpiConfig, Table, u32, Fault);
    let cases: [Case<'_>; 17] = [
        (
            &[(COLLECTIONS, 1 << 63 | 1 << 52)],
            LIMITS,
            Table::Collections,
            0,
            Fault::Reserved,
        ),
        (
            &[(COLLECTIONS + 8, 1 << 63 | 4 << 16)],
            LIMITS,
            Table::Collections,
            1,
            Fault::Vcpu,
        ),
        (
            &[(COLLECTIONS + 8, 1 << 63 | 0xf_ffff_ffff << 16)],
            LIMITS,
            Table::Collections,
            1,
            Fault::Vcpu,
        ),
        (
            &[(COLLECTIONS, 1 << 63 | 0x100)],
            LIMITS,
            Table::Collections,
            0,
            Fault::Collection,
        ),
        (
            &[(COLLECTIONS + 8, 1 << 63 | 1)],
            LIMITS,
            Table::Collections,
            1,
            Fault::CollectionTwice,
        ),
        (
            &[(DEVICES + 56, device | 0x1f)],
            LIMITS,
            Table::Devices,
            7,
            Fault::EventBits,
        ),
        (
            &[(DEVICES + 56, device & !0x1f | 10)],
            LIMITS,
            Table::Devices,
            7,
            Fault::EventBits,
        ),
        (
            &[(DEVICES + 56, device | 249 << 49)],
            LIMITS,
            Table::Devices,
            7,
            Fault::Next,
        ),
        (
            &[(itt(7) + 8, 31 << 48 | 8201 << 16)],
            LIMITS,
            Table::Events(7),
            1,
            Fault::Next,
        ),
        (
            &[(itt(7), 1 << 48 | 8201 << 16)],
            LIMITS,
            Table::Events(7),
            1,
            Fault::LpiTwice,
        ),
        (
            &[(itt(7), 1 << 48 | 8191 << 16)],
            LIMITS,
            Table::Events(7),
            0,
            Fault::Lpi,
        ),
        (
            &[(itt(7), 1 << 48 | 0x4000 << 16)],
            LIMITS,
            Table::Events(7),
            0,
            Fault::Lpi,
        ),
        (
            &[(itt(7), 0xffff_ffff << 16)],
            LIMITS,
            Table::Events(7),
            0,
            Fault::Lpi,
        ),
        (
            &[(itt(7) + 8, 8201 << 16 | 0x100)],
            LIMITS,
            Table::Events(7),
            1,
            Fault::Collection,
        ),
        (&[], limits(256, 16, 1), Table::Events(7), 1, Fault::Limit),
        (
            // One page of LPIs that are mapped, and one that a pending table may have made.
            &[
                (itt(7) + 8, 1 << 48 | 9000 << 16),
                (itt(7) + 16, 10_000 << 16),
            ],
            limits(256, 16, 16),
            Table::Events(7),
            2,
            Fault::Limit,
        ),
        (
            &[(DEVICES + 56, 1 << 63 | 0x7000_0000 >> 8 << 5 | 4)],
            LIMITS,
            Table::Events(7),
            0,
            Fault::NotThere,
        ),
    ];
    for (words, limits, table, index, why) in cases {
        let new = Rig::bare(limits, 1);
        *new.domain.host().memory.lock().unwrap() = memory_of(&rig);
        for (at, word) in words {
            put_word(&new, *at, *word);
        }
        let its = 0;
        let error = TableError {
            its,
            table,
            index,
            why,
        };
        let memory = memory_of(&new);
        assert_eq!(load(&new, &saved), Err(error), "{error}");
        assert_eq!(memory_of(&new), memory);
        assert_eq!(
            new.domain.its_registers(0),
            Rig::bare(LIMITS, 1).domain.its_registers(0)
        );
        assert_eq!(at_host(&new), (vec![], vec![]));
        assert_eq!(new.domain.lpis.all(0).count(), 0);
        assert_eq!(new.domain.set_limits(MANY), Ok(()), "nothing is in use");
    }
    // Tables that are not in memory.
    for (baser, table) in [(0, Table::Devices), (1, Table::Collections)] {
        let new = Rig::bare(LIMITS, 1);
        *new.domain.host().memory.lock().unwrap() = memory_of(&rig);
        let mut registers = saved[0];
        registers.basers[baser] ^= 0x7000_0000;
        let error = load(&new, &[registers]).unwrap_err();
        assert_eq!((error.table, error.why), (table, Fault::NotThere));
    }
}

/// An LPI is of one event in the domain, whatever its ITSes say.
#[test]
fn refused_for_an_lpi_of_another_its() {
    let rig = two_events();
    let saved = save(&rig);
    let new = Rig::bare(LIMITS, 2);
    *new.domain.host().memory.lock().unwrap() = memory_of(&rig);
    let error = load(&new, &[saved[0], saved[0]]).unwrap_err();
    let at = (error.its, error.table, error.index);
    assert_eq!((at, error.why), ((1, Table::Events(7), 0), Fault::LpiTwice));
    let text = error.to_string();
    assert_eq!(
        text,
        "ITS 1: device 0x7, event 0: another event has the LPI"
    );
}

const PAGES: LpiConfig = LpiConfig {
    limits: Limits {
        lpis: 512,
        devices: 16,
        events: 16,
    },
    ..LIMITS
};

/// The first LPI of a page.
const fn page(n: u32) -> u32 {
    8192 + n * 256
}

/// The pending table of vCPU 1 has a one for each of these LPIs, as LPIs are enabled.
fn load_pending(rig: &Rig, intids: &[u32]) {
    rig.redist(1, 0, 0);
    for intid in intids {
        let at = PENDING + 0x1_0000 + u64::from(intid / 8);
        rig.domain.host().poke(at, &[1 << (intid % 8)]);
    }
    rig.redist(1, 0x78, PENDING + 0x1_0000);
    rig.redist(1, 0, 1);
}

fn paged() -> Rig {
    let mut rig = Rig::with(PAGES, 1);
    rig.domain.host().poke(PROPS, &[0x41; 0x2000]);
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(7, 5, true));
    rig
}

/// As many pages of LPIs as there may be, made by whichever could make them: there is room for them where they are restored, be the ITS
/// enabled or not.
#[test]
fn restored_are_all_pages_of_lpis_that_there_may_be() {
    for (enabled, table_first) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut rig = paged();
        if table_first {
            load_pending(&rig, &[page(2), page(3)]);
        }
        for n in 0..2 {
            rig.ok(mapti(7, n, page(n), 1));
        }
        if table_first {
            // On pages that are there, for which the limit does not count.
            rig.ok(mapti(7, 2, page(2) + 1, 1));
            rig.ok(mapti(7, 3, page(3) + 1, 1));
        } else {
            load_pending(&rig, &[page(2), page(3)]);
        }
        if !enabled {
            rig.off();
        }
        let mut new = rig.restored(PAGES);
        for rig in [&mut rig, &mut new] {
            rig.on();
            assert_eq!(rig.command(mapti(7, 5, page(9), 1)), 0x01_0a06, "too many");
            for n in 0..2 {
                rig.inject(page(n));
            }
            assert_eq!(rig.take(1), [0, 1, 2, 3].map(|n| page(n) as u16));
        }
    }
}

/// What an ITS that is disabled has mapped does not count as pending: a pending table may still make as many.
#[test]
fn restored_pages_count_as_what_they_are() {
    let mut rig = paged();
    rig.ok(mapti(7, 0, page(0) + 1, 1));
    load_pending(&rig, &[page(0)]);
    rig.off();
    let mut new = rig.restored(PAGES);
    for rig in [&mut rig, &mut new] {
        load_pending(rig, &[page(2), page(3)]);
        rig.on();
        rig.ok(mapti(7, 1, page(1), 1));
        assert_eq!(rig.command(mapti(7, 2, page(4), 1)), 0x01_0a06, "too many");
        assert_eq!(rig.take(1), [0, 2, 3].map(|n| page(n) as u16));
    }
}

/// A guest may have told its ITS of devices with tables of any size; nobody reads for ever.
#[test]
fn bounded_is_what_is_read_for_a_restore() {
    let its = [ItsConfig {
        device_bits: 32,
        event_bits: 32,
    }];
    let config = config(1, LIMITS, &its);
    let rig = Rig {
        domain: domain_of(&config, 1),
        at: 0,
        queue_pages: 1,
    };
    // A table of two levels, each page of the second of which is the same zeroed one.
    let host = rig.domain.host();
    host.poke(0x300_0000, &[0; 0x1_0000]);
    let entry = (1_u64 << 63 | 0x300_0000).to_le_bytes();
    host.poke(0x400_0000, &entry.repeat(0x2_0000));
    host.poke(COLLECTIONS, &[0; 0x1000]);
    let saved = ItsRegisters {
        enabled: true,
        cbaser: 1 << 63 | QUEUE,
        cwriter: 0,
        creadr: 0,
        basers: [
            0b11 << 62 | 0x0107_0000_0400_0000 | 2 << 8 | 0xf,
            1 << 63 | 0x0407_0000_0000_0000 | COLLECTIONS,
        ],
    };
    let error = load(&rig, &[saved]).unwrap_err();
    assert_eq!((error.table, error.why), (Table::Devices, Fault::TooMuch));
    assert!(host.reads.load(SeqCst) <= 2 << 12);
    // A guest that does this to itself waits for itself: its traps are bounded.
    rig.write(0, BASER0, saved.basers[0]);
    rig.write(0, BASER1, saved.basers[1]);
    for _ in 0..100 {
        let before = host.reads.load(SeqCst);
        assert_eq!(rig.write(0, CTLR, 1), Progress::Again);
        assert!(host.reads.load(SeqCst) - before <= 130);
    }
    rig.off();
}

#[test]
fn registers_are_looked_at_first() {
    let good = two_events().domain.its_registers(0).unwrap();
    assert_eq!(good.wrong(), None);
    type Change = fn(&mut ItsRegisters);
    let cases: [(Change, &str); 9] = [
        (|r| r.cbaser |= 1 << 62, "GITS_CBASER"),
        (|r| r.cwriter = 0x1000, "GITS_CWRITER"),
        (|r| r.cwriter = 1, "GITS_CWRITER"),
        (|r| r.creadr = 0x1001, "GITS_CREADR"),
        (|r| r.creadr = 2, "GITS_CREADR"),
        (|r| r.basers[0] ^= 1 << 56, "GITS_BASER0"),
        (|r| r.basers[0] |= 1 << 52, "GITS_BASER0"),
        (|r| r.basers[1] ^= 1 << 48, "GITS_BASER1"),
        (|r| r.basers[1] = 0, "GITS_BASER1"),
    ];
    for (change, name) in cases {
        let mut registers = good;
        change(&mut registers);
        assert_eq!(registers.wrong(), Some(name));
    }
    let stalled = ItsRegisters {
        creadr: good.creadr | 1,
        ..good
    };
    assert_eq!(stalled.wrong(), None);
}

/// Some places in the tables of a guest, and what is put there.
fn damage() -> impl Strategy<Value = (u64, u64)> {
    let at = prop_oneof![
        (0..32_u64).prop_map(|n| DEVICES + n * 8),
        (0..8_u64).prop_map(|n| COLLECTIONS + n * 8),
        (0..64_u64).prop_map(|n| itt(7) + n * 8),
        (0..64_u64).prop_map(|n| itt(3) + n * 8),
    ];
    let word = prop_oneof![
        any::<u64>(),
        Just(u64::MAX),
        Just(0),
        // Valid, with a table somewhere.
        (0..32_u64, 0..0x300_u64, 0..11_u64).prop_map(|(next, page, bits)| 1 << 63
            | next << 49
            | (0x40_0000 + page * 0x1000) >> 8 << 5
            | bits),
        (0..64_u64, 8190..8500_u64, 0..5_u64)
            .prop_map(|(next, lpi, icid)| next << 48 | lpi << 16 | icid),
        (0..6_u64, 0..6_u64).prop_map(|(target, icid)| 1 << 63 | target << 16 | icid),
    ];
    (at, word)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a guest makes of its tables: an end, no more than it may have, and nothing left when it is all gone. Who restores it
    /// takes all or nothing.
    #[test]
    fn hostile_tables_get_nowhere(
        damage in prop::collection::vec((damage(), 0_u32..64), 1..12),
        bits in prop::option::of(0_u32..64),
        indirect in prop::bool::weighted(0.2),
        page in 0_u64..4,
    ) {
        let limits = LpiConfig { limits: Limits { lpis: 512, devices: 3, events: 24 }, ..LIMITS };
        let mut rig = Rig::with(limits, 1);
        rig.ok(mapc(1, 1, true));
        rig.ok(mapc(2, 2, true));
        for (device, events) in [(3, 4), (7, 8)] {
            rig.ok(mapd(device, 6, true));
            for event in 0..events {
                rig.ok(mapti(device, event * 3, 8192 + device * 16 + event, 1));
            }
        }
        let mut saved = save(&rig);
        for ((at, new), bit) in damage {
            // A bit of what is there, or all of it.
            let one = bits.map(|_| word(&rig, at) ^ 1 << bit);
            put_word(&rig, at, one.unwrap_or(new));
        }
        if indirect {
            saved[0].basers[0] |= 1 << 62 | page << 8;
            saved[0].basers[1] |= 1 << 62;
        }
        // Into a domain that is as new.
        let new = Rig::bare(limits, 1);
        *new.domain.host().memory.lock().unwrap() = memory_of(&rig);
        let done = load(&new, &saved);
        let host = new.domain.host();
        prop_assert!(host.reads.load(SeqCst) < 4000);
        match done {
            Ok((devices, events)) => {
                prop_assert!(devices <= 3 && events <= 24);
                prop_assert_eq!(at_host(&new).1.len(), events as usize);
                prop_assert_eq!(new.domain.lpis.events_left.taken(), events);
                prop_assert_eq!(new.domain.lpis.devices_left.taken(), devices);
            }
            Err(_) => {
                prop_assert_eq!(at_host(&new), (vec![], vec![]));
                prop_assert_eq!(new.domain.lpis.all(0).count(), 0);
            }
        }
        // By the guest itself.
        let new = Rig::bare(limits, 1);
        *new.domain.host().memory.lock().unwrap() = memory_of(&rig);
        for (offset, value) in [(BASER0, saved[0].basers[0]), (BASER1, saved[0].basers[1])] {
            new.write(0, offset, value);
        }
        let traps = new.on();
        prop_assert!(traps < 2000, "{traps}");
        let host = new.domain.host();
        let mapped = at_host(&new);
        prop_assert!(mapped.0.len() <= 3 && mapped.1.len() <= 24);
        prop_assert_eq!(mapped.1.len() as u32, new.domain.lpis.events_left.taken());
        prop_assert_eq!(mapped.0.len() as u32, new.domain.lpis.devices_left.taken());
        if let Ok((devices, events)) = done {
            prop_assert_eq!((devices as usize, events as usize), (mapped.0.len(), mapped.1.len()));
            prop_assert_eq!(new.its().unread.load(SeqCst), 0, "what is strictly good is good");
        }
        for intid in 8192..8704 {
            new.inject(intid);
        }
        // And away with it.
        new.off();
        new.write(0, BASER0, 0);
        new.write(0, BASER1, 0);
        while new.read(0, CTLR) >> 31 == 0 {}
        prop_assert_eq!(at_host(&new), (vec![], vec![]));
        prop_assert_eq!(new.domain.lpis.events_left.taken() + new.domain.lpis.devices_left.taken(), 0);
        prop_assert!(host.writes.load(SeqCst) < 1000);
    }
}
