// SPDX-License-Identifier: GPL-2.0-only
//! LPIs at a redistributor: EnableLPIs with the pending table, and invalidations.

use super::commands::two_events;
use super::*;

const CTLR: u64 = 0x0;
const RWP: u64 = 1 << 3;
const PROPBASER: u64 = 0x70;
const PENDBASER: u64 = 0x78;
const INVALLR: u64 = 0xb0;
const SYNCR: u64 = 0xc0;

const ALL: std::ops::Range<u32> = 8192..1 << 14;

/// As many LPIs as there can be, enabled, in lots of 256. None is mapped to an event. LPIs are disabled at vCPU 1 and vCPU 2, and
/// in each byte of their pending tables are these bits.
fn tables(one: u8, two: u8) -> Rig {
    let rig = Rig::with(
        LpiConfig {
            limits: Limits {
                lpis: ALL.len() as u32,
                ..MANY
            },
            ..LIMITS
        },
        1,
    );
    rig.domain.host().poke(PROPS, &[0xa1; ALL.end as usize]);
    for (n, byte) in [(1, one), (2, two)] {
        rig.redist(n, CTLR, 0);
        let table = PENDING + u64::from(n) * 0x1_0000;
        rig.domain.host().poke(table + 0x400, &[byte; 0x400]);
        rig.redist(n, PENDBASER, table);
    }
    rig
}

/// One trap of vCPU `cur`: a store to the redistributor of vCPU `n`.
fn store(rig: &Rig, cur: u32, n: u32, offset: u64, value: u64) -> Progress {
    let at = u64::from(n) * 0x2_0000 + offset;
    (rig.domain).redist_write(rig.domain.v(cur), 0, at, Width::Word, value)
}

/// How many traps it takes in all.
fn traps(rig: &Rig, n: u32, offset: u64, value: u64) -> usize {
    let all = std::iter::repeat_with(|| store(rig, 0, n, offset, value));
    1 + all.take_while(|p| *p == Progress::Again).count()
}

/// The bits of what is pending at vCPU `n` in each byte, if they are the same in all.
fn pending(rig: &Rig, n: u32) -> Option<u8> {
    let at = |base: u32| {
        let bits = (0..8).filter(|bit| rig.pending(base + bit) == Some(n));
        bits.fold(0, |byte, bit| byte | 1 << bit)
    };
    let mut bytes = ALL.step_by(8).map(at);
    let first = bytes.next()?;
    bytes.all(|byte| byte == first).then_some(first)
}

/// The same of its pending table.
fn table(rig: &Rig, n: u32) -> Option<u8> {
    let byte = |at: u64| (rig.domain.host()).peek(PENDING + u64::from(n) * 0x1_0000 + at);
    let first = byte(0x400)?;
    (0x400..0x800)
        .all(|at| byte(at) == Some(first))
        .then_some(first)
}

#[test]
fn what_is_pending_comes_from_the_table_and_goes_back_in_bounded_traps() {
    let rig = tables(0x53, 0x0c);
    for (n, byte) in [(1, 0x53), (2, 0x0c)] {
        assert_eq!(traps(&rig, n, CTLR, 1), ALL.len() / 256, "of vCPU {n}");
        assert_eq!(pending(&rig, n), Some(byte));
    }
    assert!(
        ALL.filter_map(|n| rig.state(n))
            .all(|s| s.enabled() || !s.mapped())
    );
    for (n, byte) in [(1, 0x53), (2, 0x0c)] {
        rig.domain
            .host()
            .poke(PENDING + u64::from(n) * 0x1_0000 + 0x400, &[0xaa; 0x400]);
        assert_eq!(traps(&rig, n, CTLR, 0), ALL.len() / 256, "of vCPU {n}");
        assert_eq!((pending(&rig, n), table(&rig, n)), (Some(0), Some(byte)));
    }
}

/// A guest whose store is not executed again, but which waits for RWP as the architecture tells it to.
#[test]
fn who_waits_for_rwp_gets_there() {
    let rig = tables(0x53, 0);
    for (on, after) in [(1, (Some(0x53), Some(0x53))), (0, (Some(0), Some(0x53)))] {
        assert_eq!(store(&rig, 0, 1, CTLR, on), Progress::Again);
        let before = rig.redist_read(1, PENDBASER);
        rig.redist(1, PENDBASER, 0);
        rig.redist(0, 0x70, 0);
        assert_eq!(rig.redist_read(1, PENDBASER), before, "in use");
        assert_eq!(rig.redist_read(0, 0x70), PROPS | 13, "in use");
        let reads = (1..100).find(|_| {
            let ctlr = rig.redist_read(1, CTLR);
            assert_eq!(ctlr & 1, on);
            ctlr & RWP == 0
        });
        assert_eq!(reads, Some(ALL.len() / 256 - 1));
        assert_eq!((pending(&rig, 1), table(&rig, 1)), after);
    }
}

#[test]
fn a_change_of_enable_lpis_completes_the_one_before() {
    let rig = tables(0x53, 0);
    for (on, after) in [(1, (Some(0), Some(0x53))), (0, (Some(0x53), Some(0x53)))] {
        assert_eq!(store(&rig, 0, 1, CTLR, on), Progress::Again);
        assert_eq!(traps(&rig, 1, CTLR, 1 - on), 2 * ALL.len() / 256 - 1);
        assert_eq!((pending(&rig, 1), table(&rig, 1)), after);
        rig.redist(1, CTLR, 1 - on);
        rig.redist(1, CTLR, 1);
    }
}

#[test]
fn invallr_takes_bounded_traps() {
    let rig = tables(0x01, 0x02);
    rig.redist(1, CTLR, 1);
    rig.redist(2, CTLR, 1);
    let priority = |intid| rig.state(intid).unwrap().priority5();
    let configure = |byte| (rig.domain.host()).poke(PROPS, &[byte; ALL.end as usize]);
    configure(0x51);
    assert_eq!(traps(&rig, 1, INVALLR, 0), ALL.len() / 256);
    let of = |n: u32| ALL.skip(n as usize - 1).step_by(8);
    assert!(of(1).all(|n| priority(n) == 0x50 >> 3));
    assert!(of(2).all(|n| priority(n) == 0xa0 >> 3), "of another");
    // Each vCPU's begins at the first.
    configure(0x21);
    assert_eq!(store(&rig, 0, 1, INVALLR, 0), Progress::Again);
    assert_eq!(priority(8192), 0x20 >> 3);
    assert_eq!(priority(ALL.end - 8), 0x50 >> 3);
    configure(0x31);
    while store(&rig, 3, 1, INVALLR, 0) == Progress::Again {}
    assert!(of(1).all(|n| priority(n) == 0x30 >> 3));
    // Also at another redistributor.
    assert_eq!(traps(&rig, 2, INVALLR, 0), ALL.len() / 256);
    assert!(of(2).all(|n| priority(n) == 0x30 >> 3));
}

/// As [`who_waits_for_rwp_gets_there`].
#[test]
fn who_waits_for_syncr_gets_there() {
    let rig = tables(0x01, 0x02);
    rig.redist(1, CTLR, 1);
    rig.redist(2, CTLR, 1);
    assert_eq!(rig.redist_read(1, SYNCR), 0);
    (rig.domain.host()).poke(PROPS, &[0x51; ALL.end as usize]);
    assert_eq!(store(&rig, 0, 2, INVALLR, 0), Progress::Again);
    let busy = |n: u64| {
        let at = n * 0x2_0000 + SYNCR;
        (rig.domain).redist_read(rig.domain.v(0), 0, at, Width::Word)
    };
    assert_eq!(busy(1), 0, "of another");
    let reads = (1..100).find(|_| busy(2) == 0);
    assert_eq!(reads, Some(ALL.len() / 256 - 1));
    let mut all = ALL.skip(1).step_by(8);
    assert!(all.all(|n| rig.state(n).unwrap().priority5() == 0x50 >> 3));
}

#[test]
fn a_redistributor_reloads_what_is_its_own() {
    let rig = two_events();
    rig.configure(8200, 0, false);
    rig.configure(8201, 0, false);
    rig.redist(1, 0xa0, 8201);
    assert!(!rig.state(8201).unwrap().enabled(), "GICR_INVLPIR");
    rig.configure(8201, 0, true);
    rig.redist(1, 0xb0, 0);
    assert!(!rig.state(8200).unwrap().enabled(), "GICR_INVALLR");
    assert!(!rig.state(8201).unwrap().enabled(), "of another");
    // An INTID that is none: another vGIC wrote out of bounds for it.
    for raw in [0, 31, 8191, 0xffff, 0x1_2008, u64::MAX] {
        rig.redist(1, 0xa0, raw);
    }
}

#[test]
fn lpis_are_enabled_and_disabled_with_their_pending_table() {
    let rig = two_events();
    assert_eq!(rig.redist_read(1, 0) & 1, 1);
    rig.inject(8200);
    rig.redist(1, 0x70, 0);
    assert_eq!(rig.redist_read(1, 0x70), PROPS | 13, "in use");
    rig.redist(1, 0, 0);
    assert_eq!(rig.redist_read(1, 0) & 1, 0);
    assert_eq!(rig.pending(8200), None);
    let byte = |n: u64| rig.domain.host().peek(PENDING + n * 0x1_0000 + 8200 / 8);
    assert_eq!(byte(1), Some(1), "8200 is bit 0 of its byte");
    rig.inject(8200);
    assert_eq!(rig.pending(8200), None, "dropped");
    // PTZ: what the table says is not looked at.
    rig.redist(1, 0x78, (PENDING + 0x1_0000) | 1 << 62);
    rig.redist(1, 0, 1);
    assert_eq!(rig.pending(8200), None);
    rig.redist(1, 0, 0);
    rig.domain
        .host()
        .poke(PENDING + 0x1_0000 + 8200 / 8, &[0b101]);
    rig.redist(1, 0x78, PENDING + 0x1_0000);
    rig.redist(1, 0, 1);
    assert_eq!(rig.pending(8200), Some(1));
    assert_eq!(rig.pending(8201), None);
    assert_eq!(
        rig.pending(8202),
        Some(1),
        "though no event is mapped to it"
    );
    rig.configure(8202, 0x80, true);
    rig.redist(1, 0xa0, 8202);
    assert_eq!(rig.take(1), [8200, 8202]);
}

/// In a list register it looks pending until its vCPU has left the guest: RWP is 1 until then.
#[test]
fn what_the_guest_has_acknowledged_is_not_saved() {
    let rig = two_events();
    rig.inject(8200);
    let cpu = &rig.domain.host().cpus[1];
    cpu.vmcr.store(0xff00_0003, SeqCst);
    rig.domain.enter(1);
    assert_eq!(rig.domain.loaded(1), [8200]);
    cpu.lrs[0].store(0, SeqCst);
    rig.domain.host().kicked();
    assert_eq!(store(&rig, 0, 1, CTLR, 0), Progress::Again);
    assert_eq!(rig.domain.host().kicked(), [1]);
    for _ in 0..3 {
        assert_eq!(rig.redist_read(1, CTLR) & RWP, RWP);
        assert_eq!(store(&rig, 0, 1, CTLR, 0), Progress::Again);
    }
    rig.domain.leave(1);
    assert!((0..9).any(|_| rig.redist_read(1, CTLR) & RWP == 0));
    let saved = rig.domain.host().peek(PENDING + 0x1_0000 + 8200 / 8);
    assert_eq!(saved, Some(0));
}

/// A kernel that was started from another one finds LPIs enabled at all of its CPUs. Each of these clears EnableLPIs, as it comes up, and
/// waits for RWP; the first finds the others as they were left.
#[test]
fn kexec_gives_the_first_cpu_a_new_table() {
    let mut rig = two_events();
    rig.inject(8200);
    let table = PROPS + 0x8_0000;
    rig.domain.host().poke(table, &[0xa1; 0x2000]);
    rig.configure(8201, 0x40, false);
    for n in [1, 0, 2, 3] {
        assert_eq!(rig.redist_read(n, CTLR) & 1, 1, "left enabled");
        rig.redist(n, PROPBASER, table | 13);
        let first = n == 1;
        let before = if first { PROPS } else { table };
        assert_eq!(rig.redist_read(n, PROPBASER), before | 13, "in use here");
        store(&rig, n, n, CTLR, 0);
        assert!((0..100).any(|_| rig.redist_read(n, CTLR) & RWP == 0));
        assert_eq!(rig.redist_read(n, CTLR) & 1, 0);
        rig.redist(n, PROPBASER, table | 13);
        assert_eq!(rig.redist_read(n, PROPBASER), table | 13);
        rig.redist(n, PENDBASER, (PENDING + u64::from(n) * 0x1_0000) | 1 << 62);
        store(&rig, n, n, CTLR, 1);
        if first {
            assert_eq!(rig.pending(8200), None, "written to the old table");
            rig.ok(mapc(1, 1, true));
            rig.ok(invall(1));
            assert!(rig.state(8201).unwrap().enabled(), "by the new table");
        }
    }
}

/// GICR_PROPBASER.IDbits: a later kernel may have a smaller table than the one that mapped the LPI.
#[test]
fn an_lpi_beyond_the_configuration_table_is_disabled() {
    let limits = LpiConfig {
        id_bits: 15,
        ..LIMITS
    };
    let mut rig = Rig::with(limits, 1);
    rig.domain.host().poke(PROPS + 0x2000, &[0; 0x4000]);
    rig.set_propbaser(PROPS | 14);
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(7, 5, true));
    let (last, beyond) = ((1 << 14) - 1, 1 << 14);
    for (event, intid) in [(0, last), (1, beyond)] {
        rig.configure(intid, 0x40, true);
        rig.ok(mapti(7, event, intid, 1));
    }
    let enabled = |rig: &Rig| [last, beyond].map(|intid| rig.state(intid).unwrap().enabled());
    assert_eq!(enabled(&rig), [true, true]);
    rig.set_propbaser(PROPS | 13);
    rig.ok(invall(1));
    assert_eq!(enabled(&rig), [true, false]);
    // The pending table ends there, too.
    let host = rig.domain.host();
    let table = PENDING + 0x1_0000;
    rig.inject(last);
    rig.inject(beyond);
    host.poke(table + 0x800, &[0x55]);
    rig.redist(1, CTLR, 0);
    assert_eq!([last, beyond].map(|intid| rig.pending(intid)), [None, None]);
    assert_eq!(
        (host.peek(table + 0x7ff), host.peek(table + 0x800)),
        (Some(0x80), Some(0x55))
    );
    rig.redist(1, PENDBASER, table);
    rig.redist(1, CTLR, 1);
    assert_eq!(
        [last, beyond].map(|intid| rig.pending(intid)),
        [Some(1), None]
    );
}

/// The first CPU of a kernel after another gives GICR_PROPBASER more or fewer bits while the others have LPIs enabled: their pending tables
/// are as long as they were, also where they have been restored since.
#[test]
fn a_pending_table_is_as_long_as_it_was_enabled_with() {
    let limits = LpiConfig {
        id_bits: 15,
        ..LIMITS
    };
    for (restores, bits, others, saved) in [
        (false, 14, 13, true),
        (true, 14, 13, true),
        (false, 13, 14, false),
        (true, 13, 14, false),
        (true, 14, 14, true),
        // No LPIs at all.
        (false, 14, 0, true),
        (true, 14, 0, true),
        (false, 0, 14, false),
        (true, 0, 14, false),
    ] {
        let mut rig = Rig::with(limits, 1);
        rig.domain.host().poke(PROPS, &[0x41; 0x6000]);
        rig.set_propbaser(PROPS | bits);
        rig.ok(mapc(1, 1, true));
        rig.ok(mapd(7, 5, true));
        // Where there is room in the longer table only.
        let intid = 1 << 14;
        if bits == 14 {
            rig.ok(mapti(7, 0, intid, 1));
            rig.inject(intid);
            assert_eq!(rig.pending(intid), Some(1));
        }
        let table = PENDING + 0x1_0000;
        let tail = table + u64::from(intid / 8);
        rig.domain.host().poke(tail, &[0x54]);
        rig.redist(0, CTLR, 0);
        rig.redist(0, PROPBASER, PROPS | others);
        assert_eq!(rig.redist_read(1, PROPBASER), PROPS | others);
        if restores {
            rig = rig.restored(limits);
        }
        rig.redist(1, CTLR, 0);
        let byte = rig.domain.host().peek(tail);
        assert_eq!(byte, Some(if saved { 1 } else { 0x54 }), "{bits} {others}");
        // With LPIs enabled once more it is as long as the others'.
        rig.domain.host().poke(tail, &[0x54]);
        rig.redist(1, PENDBASER, table);
        rig.redist(1, CTLR, 1);
        let there = Some(1).filter(|_| others == 14);
        assert_eq!(rig.pending(intid + 2), there, "{bits} {others}");
    }
}

/// A pending table without a bit, and no LPI: what is read is counted all the same.
#[test]
fn bounded_is_what_one_trap_reads_of_an_empty_table() {
    let ids = LpiConfig {
        id_bits: 16,
        ..LIMITS
    };
    let rig = Rig::with(ids, 1);
    // It can be written while nobody uses it.
    (0..4).for_each(|n| rig.redist(n, CTLR, 0));
    rig.redist(0, PROPBASER, PROPS | 15);
    let table = PENDING + 0x10_0000;
    rig.domain.host().poke(table, &[0; 0x2000]);
    rig.redist(1, PENDBASER, table);
    let before = rig.domain.host().reads.load(SeqCst);
    assert_eq!(store(&rig, 0, 1, CTLR, 1), Progress::Again);
    let read = rig.domain.host().reads.load(SeqCst) - before;
    assert!((32..=80).contains(&read), "{read}");
    while store(&rig, 0, 1, CTLR, 1) == Progress::Again {}
    let all = rig.domain.host().reads.load(SeqCst) - before;
    assert!(all >= 224, "{all}");
}
