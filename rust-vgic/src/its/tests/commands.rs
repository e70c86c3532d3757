// SPDX-License-Identifier: GPL-2.0-only
//! Commands and registers, one thing at a time.

use super::*;

/// A device with two events, in collections of vCPU 1 and vCPU 2.
pub(super) fn two_events() -> Rig {
    let mut rig = Rig::new();
    rig.ok(mapc(1, 1, true));
    rig.ok(mapc(2, 2, true));
    rig.ok(mapd(7, 5, true));
    rig.configure(8200, 0xa0, true);
    rig.configure(8201, 0x50, true);
    rig.ok(mapti(7, 0, 8200, 1));
    rig.ok(mapti(7, 1, 8201, 2));
    rig
}

#[test]
fn a_message_becomes_an_interrupt() {
    let rig = two_events();
    rig.inject(8200);
    rig.inject(8200);
    rig.inject(8201);
    assert_eq!(rig.pending(8200), Some(1));
    assert_eq!(rig.take(1), [8200]);
    assert_eq!(rig.take(2), [8201]);
    assert_eq!(rig.take(0), []);
    rig.inject(8200);
    assert_eq!(rig.take(1), [8200]);
}

/// However many messages: one kick and one interrupt until the guest has taken it, and no kick where it is disabled.
#[test]
fn a_device_that_storms_costs_little() {
    let mut rig = two_events();
    assert_eq!(rig.take(1), [], "it runs");
    let kicks = |rig: &Rig| rig.domain.totals().kicks;
    for round in 0..3 {
        let before = kicks(&rig);
        (0..10_000).for_each(|_| rig.inject(8200));
        assert_eq!(kicks(&rig) - before, 1, "round {round}");
        assert_eq!(rig.take(1), [8200]);
    }
    rig.configure(8200, 0xa0, false);
    rig.ok(of_event(INV, 7, 0));
    let before = kicks(&rig);
    (0..10_000).for_each(|_| rig.inject(8200));
    assert_eq!((kicks(&rig) - before, rig.take(1)), (0, vec![]));
}

#[test]
fn what_the_guest_has_acknowledged_is_not_active() {
    let rig = two_events();
    rig.inject(8200);
    let cpu = &rig.domain.host().cpus[1];
    cpu.vmcr.store(0xff00_0003, SeqCst);
    rig.domain.enter(1);
    let lr = &cpu.lrs[0];
    assert_ne!(lr.load(SeqCst), 0);
    lr.store(lr.load(SeqCst) & !(3 << 62) | 2 << 62, SeqCst);
    rig.domain.leave(1);
    assert_eq!(lr.load(SeqCst), 0, "it keeps no list register");
    assert!(!rig.state(8200).unwrap().active());
    rig.inject(8200);
    assert_eq!(rig.take(1), [8200]);
}

#[test]
fn the_host_knows_what_is_mapped() {
    let mut rig = two_events();
    let host = rig.domain.host();
    assert_eq!(host.devices.lock().unwrap()[&(0, 7)], 5);
    let of = |rig: &Rig, event| {
        let events = rig.domain.host().events.lock().unwrap();
        events.get(&(0, 7, event)).map(|intid| intid.raw())
    };
    assert_eq!((of(&rig, 0), of(&rig, 1)), (Some(8200), Some(8201)));
    rig.ok(mapti(7, 1, 8300, 2));
    assert_eq!(of(&rig, 1), Some(8300));
    rig.ok(of_event(DISCARD, 7, 0));
    assert_eq!(of(&rig, 0), None);
    rig.ok(mapd(7, 5, false));
    assert!(rig.domain.host().devices.lock().unwrap().is_empty());
    assert!(rig.domain.host().events.lock().unwrap().is_empty());
}

#[test]
fn what_the_host_refuses_is_not_mapped() {
    let mut rig = two_events();
    rig.domain.host().refuses.store(true, SeqCst);
    assert_eq!(rig.command(mapti(7, 2, 8202, 1)), 0x01_0aff);
    assert_eq!(rig.command(mapd(8, 5, true)), 0x01_08ff);
    rig.domain.host().refuses.store(false, SeqCst);
    assert_eq!(rig.command(of_event(INT, 7, 2)), 0x01_0307);
    rig.inject(8202);
    assert_eq!(rig.pending(8202), None);
    rig.ok(mapti(7, 2, 8202, 1));
    rig.ok(mapd(8, 5, true));
}

#[test]
fn an_lpi_belongs_to_the_event_that_was_mapped_last() {
    let mut rig = two_events();
    rig.inject(8200);
    rig.ok(mapti(7, 2, 8200, 2));
    assert_eq!(rig.pending(8200), None, "of the event before");
    assert_eq!(rig.command(of_event(INT, 7, 0)), 0x01_0307);
    rig.ok(of_event(INT, 7, 2));
    assert_eq!(rig.pending(8200), Some(2));
    // Several ITSes share the LPIs.
    let mut rig = Rig::with(LIMITS, 2);
    rig.ok(mapd(1, 5, true));
    rig.ok(mapti(1, 0, 8192, 0));
    rig.write(0, CTLR, 0);
    rig.at = 0;
    rig.enable(1);
    for (n, command) in [mapd(1, 5, true), mapti(1, 0, 8192, 0), mapti(1, 0, 8193, 0)]
        .iter()
        .enumerate()
    {
        rig.put(*command);
        rig.write(1, CWRITER, rig.at.into());
        assert_eq!(rig.domain.its[1].errors.load(SeqCst), 0, "{n}");
    }
    let events = rig.domain.host().events.lock().unwrap().clone();
    let expected = [((1, 1, 0), IntId::new(8193).unwrap())];
    assert_eq!(Vec::from_iter(events), expected, "none of the first");
}

/// Only who works for an ITS changes what it has mapped.
#[test]
fn an_lpi_of_another_its_is_mapped_once_that_one_is_idle() {
    let mut rig = Rig::with(LIMITS, 2);
    rig.ok(mapd(1, 5, true));
    rig.ok(mapti(1, 0, 8192, 0));
    rig.at = 0;
    rig.enable(1);
    rig.put(mapd(2, 5, true));
    rig.put(mapti(2, 0, 8192, 0));
    let mapped = |rig: &Rig| {
        let events = rig.domain.host().events.lock().unwrap();
        Vec::from_iter(events.keys().copied())
    };
    assert!(rig.its().begin(), "somebody works for the first");
    for _ in 0..3 {
        assert_eq!(rig.write(1, CWRITER, rig.at.into()), Progress::Again);
        assert_eq!(mapped(&rig), [(0, 1, 0)]);
    }
    rig.its().end();
    assert_eq!(rig.write(1, CWRITER, rig.at.into()), Progress::Done);
    assert_eq!(mapped(&rig), [(1, 2, 0)]);
    assert!(rig.its().begin(), "nobody does any more");
}

/// A driver that maps an event once more, to the same LPI, gets no less than it had.
#[test]
fn an_event_that_is_mapped_again_stays_pending() {
    let mut rig = two_events();
    rig.inject(8200);
    rig.ok(mapti(7, 0, 8200, 2));
    assert_eq!(rig.pending(8200), Some(2));
    assert_eq!(rig.take(2), [8200]);
}

#[test]
fn discard_drops_what_is_pending_and_what_comes_late() {
    let mut rig = two_events();
    rig.inject(8200);
    rig.ok(of_event(DISCARD, 7, 0));
    assert_eq!(rig.pending(8200), None);
    rig.inject(8200);
    assert_eq!(rig.take(1), []);
    assert_eq!(rig.command(of_event(DISCARD, 7, 0)), 0x01_0f07);
    // Also from a list register.
    let mut rig = two_events();
    rig.domain.host().cpus[1].vmcr.store(0xff00_0003, SeqCst);
    rig.inject(8200);
    rig.domain.enter(1);
    assert_eq!(rig.domain.loaded(1), [8200]);
    rig.ok(mapd(7, 5, false));
    rig.domain.leave(1);
    assert_eq!(rig.take(1), []);
}

#[test]
fn a_pending_lpi_follows_movi_movall_and_mapc() {
    let mut rig = two_events();
    rig.inject(8200);
    rig.ok(movi(7, 0, 2));
    assert_eq!(rig.pending(8200), Some(2));
    rig.ok(mapc(2, 3, true));
    assert_eq!(rig.pending(8200), Some(3));
    rig.ok(movall(3, 0));
    assert_eq!(rig.pending(8200), Some(0));
    assert_eq!(rig.take(0), [8200]);
    for v in 1..4 {
        assert_eq!(rig.take(v), []);
    }
}

/// In whatever order they leave it.
#[test]
fn a_collection_has_the_lpis_that_are_left() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut rig = Rig::new();
        rig.ok(mapd(7, 5, true));
        for event in 0..3 {
            rig.ok(mapti(7, event, 8200 + event, 1));
        }
        let mut left = vec![0, 1, 2];
        for (event, vcpu) in order.into_iter().zip(1_u16..) {
            rig.ok(of_event(DISCARD, 7, event));
            left.retain(|other| *other != event);
            rig.ok(mapc(1, vcpu.into(), true));
            let target = |event| rig.state(8200 + event).and_then(|s| s.target());
            let moved = (0..3).filter(|event| target(*event) == VcpuId::new(vcpu.into()));
            assert_eq!(Vec::from_iter(moved), left, "{event} of {order:?}");
        }
    }
}

/// QEMU once moved those of others, too.
#[test]
fn movall_moves_only_what_is_at_the_source() {
    let mut rig = two_events();
    rig.inject(8200);
    rig.inject(8201);
    rig.ok(movall(1, 3));
    assert_eq!(rig.pending(8200), Some(3));
    assert_eq!(rig.pending(8201), Some(2));
    assert_eq!(rig.command(movall(1, 77)), 0x01_0e02);
}

#[test]
fn int_and_clear_and_inv() {
    let mut rig = two_events();
    rig.ok(of_event(INT, 7, 1));
    assert_eq!(rig.pending(8201), Some(2));
    rig.ok(of_event(CLEAR, 7, 1));
    assert_eq!(rig.pending(8201), None);
    rig.configure(8201, 0x20, false);
    assert!(rig.state(8201).unwrap().enabled());
    rig.ok(of_event(INV, 7, 1));
    let s = rig.state(8201).unwrap();
    assert!(!s.enabled());
    assert_eq!(s.priority5(), 0x20 >> 3);
    rig.ok(of_event(INT, 7, 1));
    assert_eq!(rig.take(2), [], "disabled");
    rig.configure(8201, 0x20, true);
    rig.ok(invall(2));
    assert_eq!(rig.take(2), [8201], "kept meanwhile");
}

#[test]
fn invall_is_about_one_collection() {
    let mut rig = two_events();
    rig.configure(8200, 0, false);
    rig.configure(8201, 0, false);
    rig.ok(invall(1));
    assert!(!rig.state(8200).unwrap().enabled());
    assert!(rig.state(8201).unwrap().enabled());
    assert_eq!(rig.command(invall(9)), 0x01_0d09);
    assert_eq!(rig.command(invall(0x100)), 0x01_0d03);
}

#[test]
fn numbers_at_their_edges() {
    let mut rig = two_events();
    for (command, code) in [
        (mapd(1 << DEVICE_BITS, 5, true), 0x01_0801),
        (mapd(8, EVENT_BITS + 1, true), 0x01_0802),
        (mapd(u32::MAX, 32, false), 0x01_0801),
        (mapc(0x100, 1, true), 0x01_0903),
        (mapc(u16::MAX, 1, true), 0x01_0903),
        (mapc(3, VCPUS as u64, true), 0x01_0902),
        (mapc(3, (1 << 35) - 1, true), 0x01_0902),
        (mapti(9, 0, 8210, 1), 0x01_0a04),
        (mapti(1 << DEVICE_BITS, 0, 8210, 1), 0x01_0a01),
        (mapti(7, 32, 8210, 1), 0x01_0a05),
        (mapti(7, u32::MAX, 8210, 1), 0x01_0a05),
        (mapti(7, 2, 8191, 1), 0x01_0a06),
        (mapti(7, 2, 1 << 14, 1), 0x01_0a06),
        (mapti(7, 2, u32::MAX, 1), 0x01_0a06),
        (mapti(7, 2, 8210, 0x100), 0x01_0a03),
        (movi(7, 2, 1), 0x01_0107),
        (movi(8, 0, 1), 0x01_0104),
        (movi(7, 0, 3), 0x01_0109),
        (movi(7, 0, 0x1ff), 0x01_0103),
        (of_event(INT, 7, 31), 0x01_0307),
        (of_event(CLEAR, 7, 31), 0x01_0507),
        (of_event(INV, 7, 31), 0x01_0c07),
        (of_event(DISCARD, 7, 32), 0x01_0f05),
        ([0x7f, u64::MAX, u64::MAX, u64::MAX], 0x01_7f00),
    ] {
        assert_eq!(rig.command(command), code, "{command:x?}");
    }
    // The largest of each.
    rig.ok(mapd((1 << DEVICE_BITS) - 1, EVENT_BITS, true));
    rig.ok(mapti(
        (1 << DEVICE_BITS) - 1,
        (1 << EVENT_BITS) - 1,
        (1 << 14) - 1,
        0xff,
    ));
    rig.inject((1 << 14) - 1);
    assert_eq!(
        rig.pending((1 << 14) - 1),
        None,
        "its collection goes nowhere"
    );
}

#[test]
fn nothing_beyond_the_limits() {
    let limits = LpiConfig {
        id_bits: 14,
        limits: Limits {
            lpis: 512,
            devices: 2,
            events: 3,
        },
    };
    let mut rig = Rig::with(limits, 1);
    rig.ok(mapd(1, 5, true));
    rig.ok(mapd(2, 5, true));
    assert_eq!(rig.command(mapd(3, 5, true)), 0x01_0801, "devices");
    rig.ok(mapd(2, 5, false));
    rig.ok(mapd(3, 5, true));
    rig.ok(mapti(1, 0, 8192, 0));
    rig.ok(mapti(1, 1, 8192 + 511, 0));
    assert_eq!(rig.command(mapti(1, 2, 8192 + 512, 0)), 0x01_0a06, "pages");
    rig.ok(mapti(1, 2, 8193, 0));
    assert_eq!(rig.command(mapti(1, 3, 8194, 0)), 0x01_0a05, "events");
    // A mapping that is replaced, or a device that goes, makes room.
    rig.ok(mapti(1, 2, 8194, 0));
    rig.ok(mapd(1, 5, true));
    for event in 0..3 {
        rig.ok(mapti(1, event, 8192 + event, 0));
    }
}

#[test]
fn two_level_device_tables() {
    let mut rig = Rig::new();
    rig.write(0, CTLR, 0);
    rig.write(0, BASER0, 1 << 63 | 1 << 62 | DEVICES);
    rig.write(0, CTLR, 1);
    assert_eq!(rig.command(mapd(7, 5, true)), 0x01_0801, "no second level");
    rig.domain
        .host()
        .poke(DEVICES, &(1_u64 << 63 | 0x60_0000).to_le_bytes());
    rig.ok(mapd(7, 5, true));
    // A flat table of another size, and none.
    rig.write(0, CTLR, 0);
    rig.write(0, BASER0, 0);
    rig.write(0, CTLR, 1);
    assert_eq!(rig.command(mapd(7, 5, true)), 0x01_0801, "no table");
}

#[test]
fn without_its_table_a_device_is_unmapped() {
    let mut rig = two_events();
    rig.inject(8200);
    rig.write(0, CTLR, 0);
    rig.write(0, BASER0, 0);
    assert_ne!(rig.read(0, CTLR) & 1 << 31, 0, "quiescent when done");
    assert!(rig.domain.host().devices.lock().unwrap().is_empty());
    // What is pending is so in a redistributor.
    assert_eq!(rig.take(1), [8200]);
    rig.domain.host().poke(DEVICES, &[0; 0x1000]);
    rig.write(0, BASER0, 1 << 63 | DEVICES);
    rig.write(0, CTLR, 1);
    assert_eq!(rig.command(of_event(INT, 7, 0)), 0x01_0304);
    rig.ok(invall(1));
    // Nor does a collection go anywhere without its own.
    rig.write(0, CTLR, 0);
    rig.domain.host().poke(COLLECTIONS, &[0; 0x1000]);
    rig.write(0, BASER1, 0);
    rig.write(0, BASER1, 1 << 63 | COLLECTIONS);
    rig.write(0, CTLR, 1);
    assert_eq!(rig.command(invall(1)), 0x01_0d09);
}

#[test]
fn a_queue_that_is_not_there_stalls() {
    let mut rig = Rig::new();
    rig.write(0, CTLR, 0);
    rig.write(0, CBASER, 1 << 63 | 0x7000_0000);
    rig.write(0, CTLR, 1);
    rig.write(0, CWRITER, 64);
    assert_eq!(rig.read(0, CREADR), 1, "Stalled");
    rig.write(0, CWRITER, 64 | 1);
    assert_eq!(rig.read(0, CREADR), 1, "still not there");
    // Now it is; Retry makes the ITS look.
    rig.domain.host().poke(0x7000_0000, &[0; 0x1000]);
    rig.write(0, CWRITER, 64);
    assert_eq!(rig.read(0, CREADR), 1);
    rig.write(0, CWRITER, 64 | 1);
    assert_eq!(rig.read(0, CREADR), 64);
    rig.at = 0;
}

#[test]
fn a_disabled_its_executes_nothing() {
    let mut rig = Rig::new();
    rig.write(0, CTLR, 0);
    rig.put(mapd(7, 5, true));
    assert_eq!(rig.write(0, CWRITER, 32), Progress::Done);
    assert_eq!(rig.read(0, CREADR), 0);
    rig.write(0, CTLR, 1);
    assert_eq!(rig.read(0, CREADR), 32);
    // Offsets beyond the queue are ignored.
    rig.write(0, CWRITER, 0x1000);
    assert_eq!(rig.read(0, CWRITER), 32);
    // A queue that is not valid is none.
    rig.write(0, CTLR, 0);
    rig.write(0, CBASER, QUEUE);
    rig.write(0, CTLR, 1);
    assert_eq!(rig.write(0, CWRITER, 32), Progress::Done);
    assert_eq!(rig.read(0, CREADR), 0);
}

#[test]
fn identification() {
    let rig = Rig::new();
    let typer = rig.read(0, 8);
    assert_eq!(typer & 1, 1, "Physical");
    assert_eq!(typer >> 8 & 0x1f, u64::from(EVENT_BITS) - 1);
    assert_eq!(typer >> 13 & 0x1f, u64::from(DEVICE_BITS) - 1);
    assert_eq!(typer >> 19 & 1, 0, "PTA");
    assert_eq!(typer >> 32 & 0x1f, 1 << 4 | 7, "CIL, CIDbits");
    assert_eq!(rig.read(0, BASER0) >> 56 & 7, 1);
    assert_eq!(rig.read(0, BASER1) >> 56 & 7, 4);
    assert_eq!(rig.read(0, 0x110), 0);
    let word = |offset| rig.domain.its_read(rig.domain.v(0), 0, offset, Width::Word);
    assert_eq!(word(0xffe8) >> 4 & 0xf, 3, "GICv3");
    assert_eq!(word(0x1_0040), 0, "GITS_TRANSLATER");
    assert_eq!(rig.domain.its_read(rig.domain.v(0), 9, 0, Width::Word), 0);
    let v3 = rig.domain.dist_read(rig.domain.v(0), 4, Width::Word);
    assert_eq!((v3 >> 17 & 1, v3 >> 19 & 0x1f), (1, 13), "GICD_TYPER");
    assert_eq!(rig.redist_read(0, 8) & 1, 1, "GICR_TYPER.PLPIS");
}

#[test]
fn walks_over_all_lpis_begin_anywhere() {
    let mut rig = Rig::new();
    rig.ok(mapd(7, EVENT_BITS, true));
    for page in 0..3 {
        rig.ok(mapti(7, page, 8192 + page * 512, 0));
    }
    let from = |first| Vec::from_iter(rig.domain.lpis.all(first).map(|(intid, _)| intid.raw()));
    let all = from(0);
    assert_eq!(all.len(), 3 * 256);
    for first in [8192, 8193, 8447, 8448, 8704, 8800, 9300, u32::MAX] {
        let rest = Vec::from_iter(all.iter().copied().filter(|raw| *raw >= first));
        assert_eq!(from(first), rest, "{first}");
    }
}

#[test]
fn a_full_queue_takes_bounded_traps() {
    let mut rig = Rig::new();
    rig.queue_pages = 256;
    rig.domain.host().poke(QUEUE, &vec![0; 0x10_0000]);
    rig.write(0, CTLR, 0);
    rig.enable(0);
    rig.write(0, CTLR, 1);
    for _ in 0..32_767 {
        rig.put([0x05, 0, 0, 0]);
    }
    assert_eq!(rig.run(), 32_767_u32.div_ceil(64));
}

#[test]
fn a_command_about_many_lpis_takes_several_traps() {
    let mut rig = Rig::new();
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(7, EVENT_BITS, true));
    rig.ok(mapd(8, EVENT_BITS, true));
    rig.ok(mapd(9, EVENT_BITS, true));
    for n in 0..3000 {
        rig.ok(mapti(7 + n / 1024, n % 1024, 8192 + n, 1));
        rig.configure(8192 + n, 0x40, true);
    }
    rig.domain.host().reads.store(0, SeqCst);
    rig.put(invall(1));
    assert_eq!(rig.run(), 12, "256 LPIs a trap");
    assert!((8192..11_192).all(|n| rig.state(n).unwrap().enabled()));
    // In steps of 64 bytes of configuration, and the command once a trap.
    assert!(rig.domain.host().reads.load(SeqCst) < 3000 / 64 + 30);
    rig.put(mapc(1, 2, true));
    assert_eq!(rig.run(), 12);
    (8192..11_192).for_each(|n| rig.inject(n));
    rig.put(movall(2, 3));
    assert_eq!(
        rig.run(),
        24,
        "looks at the twelve pages there are, and moves"
    );
    assert!((8192..11_192).all(|n| rig.pending(n) == Some(3)));
    rig.write(0, CTLR, 0);
    rig.write(0, BASER0, 0);
    assert_eq!(rig.read(0, CTLR) >> 31, 0, "a batch at a time");
    let reads = (1..100).find(|_| rig.read(0, CTLR) >> 31 == 1);
    assert_eq!(reads, Some(10), "after the store and the first");
    assert!(rig.domain.host().events.lock().unwrap().is_empty());
}
