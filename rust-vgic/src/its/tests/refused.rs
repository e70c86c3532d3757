// SPDX-License-Identifier: GPL-2.0-only
//! A command that is refused changes nothing, whoever refuses.

use super::commands::two_events;
use super::*;

/// What a guest, its devices and the host could tell.
type Seen = (
    Vec<((u16, u32, u32), IntId)>,
    Vec<((u16, u32), u32)>,
    Vec<(u32, Option<u32>, bool, bool)>,
    [u32; 2],
);

fn seen(rig: &Rig) -> Seen {
    let host = rig.domain.host();
    let mut events = Vec::from_iter(host.events.lock().unwrap().clone());
    events.sort_unstable();
    let mut devices = Vec::from_iter(host.devices.lock().unwrap().clone());
    devices.sort_unstable();
    let lpis = (8192..8400).filter_map(|n| {
        let s = rig.state(n).filter(|s| s.mapped())?;
        Some((
            n,
            rig.pending(n),
            s.enabled(),
            rig.domain.lpis.at(n as usize)?.its().is_some(),
        ))
    });
    let left = [&rig.domain.lpis.devices_left, &rig.domain.lpis.events_left];
    (
        events,
        devices,
        lpis.collect(),
        left.map(|left| left.taken()),
    )
}

/// The command is refused, then not.
fn refused(rig: &mut Rig, command: [u64; 4], on: impl Fn(&Rig, bool)) {
    let before = seen(rig);
    on(rig, true);
    assert_eq!(rig.command(command) & 0xff, 0xff, "{command:x?}");
    assert_eq!(seen(rig), before, "{command:x?}");
    on(rig, false);
    rig.ok(command);
}

fn by_host(rig: &Rig, on: bool) {
    rig.domain.host().refuses.store(on, SeqCst);
}

/// The last event that there can be of so many bits is told again, and no other after it.
#[test]
fn refused_mapd_ends_with_the_last_event() {
    let mut rig = two_events();
    rig.ok(mapd(8, 8, true));
    rig.ok(mapti(8, 255, 8300, 1));
    rig.domain.host().most_bits.store(8, SeqCst);
    assert_eq!(rig.command(mapd(8, 9, true)) & 0xff, 0xff);
    let events = rig.domain.host().events.lock().unwrap();
    assert_eq!(events.get(&(0, 8, 255)), IntId::new(8300).as_ref());
}

#[test]
fn refused_by_the_host_mapti_leaves_what_the_event_was() {
    let mut rig = two_events();
    rig.inject(8200);
    rig.inject(8201);
    // Of a new event; of one that is mapped; with the LPI of another; both.
    refused(&mut rig, mapti(7, 2, 8202, 1), by_host);
    refused(&mut rig, mapti(7, 0, 8203, 1), by_host);
    assert_eq!(rig.pending(8200), None);
    refused(&mut rig, mapti(7, 3, 8201, 1), by_host);
    assert_eq!(rig.pending(8201), None);
    refused(&mut rig, mapti(7, 3, 8202, 2), by_host);
    let events = seen(&rig).0;
    let expected = [(0, 8203), (3, 8202)].map(|(n, lpi)| ((0, 7, n), IntId::new(lpi).unwrap()));
    assert_eq!(events, expected);
    assert_eq!(seen(&rig).3, [1, 2], "those that are mapped are counted");
}

#[test]
fn refused_for_the_limits_mapti_leaves_what_the_event_was() {
    let limits = LpiConfig {
        limits: Limits {
            lpis: 256,
            events: 2,
            ..MANY
        },
        ..LIMITS
    };
    let mut rig = Rig::with(limits, 1);
    rig.ok(mapd(7, 5, true));
    rig.ok(mapti(7, 0, 8192, 0));
    rig.ok(mapti(7, 1, 8193, 0));
    rig.ok(mapc(0, 0, true));
    rig.inject(8192);
    let before = seen(&rig);
    for (command, code) in [
        (mapti(7, 0, 8192 + 300, 0), 0x01_0a06),
        (mapti(7, 2, 8194, 0), 0x01_0a05),
    ] {
        assert_eq!(rig.command(command), code);
        assert_eq!(seen(&rig), before);
    }
    // At the limit, one takes the place of another.
    rig.ok(mapti(7, 0, 8194, 0));
    rig.ok(mapti(7, 2, 8193, 0));
    rig.ok(mapti(7, 2, 8194, 0));
    rig.ok(mapti(7, 3, 8195, 0));
    assert_eq!(seen(&rig).3, [1, 2]);
}

/// It is asked before anything is given up, and only for what it has not given yet.
#[test]
fn refused_by_the_host_mapd_leaves_the_device() {
    let mut rig = two_events();
    rig.inject(8200);
    let before = seen(&rig);
    by_host(&rig, true);
    assert_eq!(rig.command(mapd(8, 5, true)), 0x01_08ff);
    assert_eq!(seen(&rig), before);
    // It has to give nothing for the same or less.
    by_host(&rig, false);
    // More than it can give.
    rig.domain.host().most_bits.store(8, SeqCst);
    assert_eq!(rig.command(mapd(7, 9, true)), 0x01_08ff);
    assert_eq!(seen(&rig), before);
    let routes = [8200, 8201].map(|raw| rig.domain.lpi_target(IntId::new(raw).unwrap()));
    assert_eq!(routes, [Some(1), Some(2)]);
    assert_eq!(rig.take(1), [8200]);
    rig.ok(mapti(7, 5, 8205, 1));
    rig.ok(mapd(7, 8, true));
    assert_eq!(seen(&rig), (vec![], vec![((0, 7), 8)], vec![], [1, 0]));
    rig.ok(mapti(7, 255, 8205, 1));
    // With less, the host keeps what it has.
    by_host(&rig, true);
    rig.ok(mapd(7, 2, true));
    by_host(&rig, false);
    assert_eq!(seen(&rig), (vec![], vec![((0, 7), 8)], vec![], [1, 0]));
    assert_eq!(rig.command(mapti(7, 4, 8205, 1)), 0x01_0a05);
    rig.ok(mapd(7, 2, false));
    assert!(seen(&rig).1.is_empty());
}

/// The host is told of all events again, a bounded number in each trap.
#[test]
fn refused_mapd_of_many_events_takes_several_traps() {
    let mut rig = Rig::new();
    rig.ok(mapd(7, EVENT_BITS - 1, true));
    for n in 0..500 {
        rig.ok(mapti(7, n, 8192 + n, 0));
    }
    let before = seen(&rig);
    rig.domain
        .host()
        .most_bits
        .store(EVENT_BITS as usize - 1, SeqCst);
    rig.put(mapd(7, EVENT_BITS, true));
    assert_eq!(rig.run(), 2);
    assert_eq!(seen(&rig), before);
    assert_eq!(rig.its().last_error.load(SeqCst), 0x01_08ff);
    rig.domain.host().most_bits.store(0, SeqCst);
    rig.put(mapd(7, EVENT_BITS, true));
    assert_eq!(rig.run(), 2);
    assert_eq!(seen(&rig).0, []);
}

/// Another ITS has its LPI until it is sure that this one takes it.
#[test]
fn refused_mapti_of_the_lpi_of_another_its() {
    let mut rig = Rig::with(LIMITS, 2);
    rig.ok(mapc(0, 0, true));
    rig.ok(mapd(1, 5, true));
    rig.ok(mapti(1, 0, 8192, 0));
    rig.configure(8192, 0x40, true);
    rig.ok(of_event(INV, 1, 0));
    rig.inject(8192);
    let before = seen(&rig);
    rig.at = 0;
    rig.enable(1);
    rig.put(mapd(2, 5, true));
    assert_eq!(rig.write(1, CWRITER, 32), Progress::Done);
    by_host(&rig, true);
    rig.put(mapti(2, 0, 8192, 0));
    assert_eq!(rig.write(1, CWRITER, 64), Progress::Done);
    assert_eq!(rig.domain.its[1].last_error.load(SeqCst), 0x01_0aff);
    assert_eq!(seen(&rig).0, before.0);
    assert_eq!(rig.pending(8192), Some(0));
    assert!(rig.its().begin(), "nobody works for it any more");
    rig.its().end();
    by_host(&rig, false);
    rig.put(mapti(2, 0, 8192, 0));
    assert_eq!(rig.write(1, CWRITER, 96), Progress::Done);
    let lpi = IntId::new(8192).unwrap();
    assert_eq!(seen(&rig).0, [((1, 2, 0), lpi)]);
    assert_eq!(rig.pending(8192), None);
}
