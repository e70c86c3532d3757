// SPDX-License-Identifier: GPL-2.0-only
//! One ITS is reset, and what of LPIs goes with a redistributor that disables them.

use super::commands::two_events;
use super::*;
use crate::irq::NIL;

/// All that there is of ITS number `its`.
fn image(domain: &Domain<Fake>, its: usize) -> String {
    let mut text = String::new();
    domain.its[its].image(&mut text).unwrap();
    text
}

/// Resets it, in so many calls.
fn reset(rig: &Rig, its: usize) -> u32 {
    let all = std::iter::repeat_with(|| rig.domain.reset_its(its).unwrap());
    1 + all.take_while(|p| *p == Progress::Again).count() as u32
}

/// An ITS of a domain that has been made just now.
fn new(its: usize) -> String {
    let config = ItsConfig {
        device_bits: DEVICE_BITS,
        event_bits: EVENT_BITS,
    };
    let mut text = String::new();
    Its::new(its as u16, config).image(&mut text).unwrap();
    text
}

#[test]
fn reset_of_one_its_leaves_the_other() {
    let mut rig = Rig::with(LIMITS, 2);
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(7, 5, true));
    rig.ok(mapti(7, 0, 8200, 1));
    rig.at = 0;
    rig.enable(1);
    for (n, command) in (1..).zip([mapc(1, 1, true), mapd(7, 5, true), mapti(7, 3, 8300, 1)]) {
        rig.put(command);
        assert_eq!(rig.write(1, CWRITER, n * 32), Progress::Done);
    }
    for intid in [8200, 8300] {
        rig.configure(intid, 0x80, true);
        rig.redist(1, 0xa0, intid.into());
        rig.inject(intid);
        assert_eq!(rig.pending(intid), Some(1));
    }
    let other = image(&rig.domain, 1);
    let memory = rig.domain.host().memory.lock().unwrap().clone();
    assert_eq!(reset(&rig, 0), 1);
    assert_eq!(image(&rig.domain, 0), new(0));
    assert_eq!(image(&rig.domain, 1), other);
    assert_eq!(*rig.domain.host().memory.lock().unwrap(), memory);
    // Its host has nothing of it any more, and its LPI is gone.
    let events = rig.domain.host().events.lock().unwrap().clone();
    assert_eq!(events.keys().copied().collect::<Vec<_>>(), [(1, 7, 3)]);
    rig.inject(8200);
    assert_eq!(rig.pending(8200), None);
    assert_eq!(rig.take(1), [8300]);
    assert_eq!(rig.read(0, CTLR), 1 << 31, "quiescent");
    assert_eq!(
        rig.domain.reset_its(2),
        Err(Error::Invalid),
        "there is no such ITS"
    );
}

/// Each kind of command that takes more than one trap, after the first.
#[test]
fn reset_in_the_middle_of_a_command() {
    const MANY: u32 = 600;
    for (n, command) in [
        mapd(7, 5, false),
        mapd(7, 5, true),
        mapd(7, EVENT_BITS, true),
        mapc(0, 1, true),
        invall(0),
        movall(0, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let mut rig = Rig::new();
        rig.ok(mapc(0, 0, true));
        rig.ok(mapd(7, EVENT_BITS - 1, true));
        for event in 0..MANY / 2 {
            rig.ok(mapti(7, event, 8192 + event, 0));
            rig.inject(8192 + event);
        }
        rig.ok(mapd(8, EVENT_BITS - 1, true));
        for event in 0..MANY / 2 {
            rig.ok(mapti(8, event, 8192 + MANY / 2 + event, 0));
        }
        if n == 2 {
            // It tells the host again of what it had.
            let most = EVENT_BITS as usize - 1;
            rig.domain.host().most_bits.store(most, SeqCst);
        }
        rig.put(command);
        rig.put(mapd(9, 5, true));
        assert_eq!(rig.write(0, CWRITER, rig.at.into()), Progress::Again);
        assert_eq!(rig.its().begun.load(SeqCst), 1, "{command:x?}");
        let memory = rig.domain.host().memory.lock().unwrap().clone();
        let calls = reset(&rig, 0);
        assert!((2..=5).contains(&calls), "{calls} of {command:x?}");
        assert_eq!(image(&rig.domain, 0), new(0), "{command:x?}");
        let host = rig.domain.host();
        assert!(host.events.lock().unwrap().is_empty());
        assert!(host.devices.lock().unwrap().is_empty());
        assert_eq!(*host.memory.lock().unwrap(), memory);
        let (devices, events) = (&rig.domain.lpis.devices_left, &rig.domain.lpis.events_left);
        assert_eq!((devices.taken(), events.taken()), (0, 0));
        assert!((8192..8192 + MANY).all(|intid| rig.pending(intid).is_none()));
        assert_eq!(rig.take(0), []);
        assert_eq!(rig.take(1), []);
        // And it can be set up again.
        host.most_bits.store(0, SeqCst);
        rig.at = 0;
        rig.enable(0);
        rig.ok(mapc(1, 1, true));
        rig.ok(mapd(7, 5, true));
        rig.ok(mapti(7, 0, 8200, 1));
        rig.inject(8200);
        rig.configure(8200, 0x80, true);
        rig.ok(of_event(INV, 7, 0));
        assert_eq!(rig.take(1), [8200]);
    }
}

/// GICR_CTLR.EnableLPIs becomes 0 with LPIs in list registers, on ready lists and unsorted: all are in the table, and none anywhere else.
#[test]
fn enable_lpis_cleared_takes_them_out_of_list_registers_and_queues() {
    let mut rig = two_events();
    let all = 8200..8220_u32;
    for (event, intid) in (0..).zip(all.clone()).skip(2) {
        rig.configure(intid, 0x80, true);
        rig.ok(mapti(7, event, intid, 1));
    }
    rig.ok(movi(7, 1, 1));
    let (sorted, unsorted) = (8200..8212, 8212..8220);
    sorted.for_each(|intid| rig.inject(intid));
    rig.domain.host().cpus[1].vmcr.store(0xff00_0003, SeqCst);
    rig.domain.enter(1);
    assert_eq!(rig.domain.loaded(1).len(), 4);
    rig.domain.leave(1);
    unsorted.for_each(|intid| rig.inject(intid));
    rig.redist(1, 0, 0);
    assert_eq!(
        rig.redist_read(1, 0) & (1 << 3 | 1),
        0,
        "EnableLPIs and RWP"
    );
    let table = PENDING + 0x1_0000;
    let bit = |intid: u32| {
        let byte = rig.domain.host().peek(table + u64::from(intid) / 8);
        byte.unwrap() >> (intid % 8) & 1 != 0
    };
    for intid in 8192..8240 {
        assert_eq!(bit(intid), all.contains(&intid), "{intid} in the table");
        assert_eq!(rig.pending(intid), None);
    }
    assert!(!rig.domain.has_pending(rig.domain.v(1)), "nothing waits");
    rig.domain.enter(1);
    assert_eq!(rig.domain.loaded(1), []);
    rig.domain.leave(1);
    let lists = format!("{:?}", rig.domain.v(1).lock.lock());
    let empty = format!("{:?}", crate::list::Lists::new());
    assert_eq!(lists, empty);
    // A second kernel has its own table, and takes none of them over.
    rig.redist(1, 0x78, table | 1 << 62);
    rig.redist(1, 0, 1);
    assert_eq!(rig.take(1), []);
}

/// More LPIs than are taken off a vCPU's lists in one hold of its lock, some of them sorted and some not.
#[test]
fn reset_of_all_takes_several_calls_where_much_waits() {
    const SORTED: u32 = 900;
    const ALL: u32 = 1500;
    let mut rig = Rig::new();
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(7, EVENT_BITS, true));
    rig.ok(mapd(8, EVENT_BITS, true));
    for n in 0..ALL {
        rig.configure(8192 + n, (n % 32) as u8 * 8, true);
        rig.ok(mapti(7 + n / 1000, n % 1000, 8192 + n, 1));
    }
    (0..SORTED).for_each(|n| rig.inject(8192 + n));
    rig.domain.host().cpus[1].vmcr.store(0xff00_0003, SeqCst);
    for _ in 0..8 {
        rig.domain.enter(1);
        rig.domain.leave(1);
    }
    assert_eq!(rig.domain.v(1).lock.lock().unsorted(), 0);
    (SORTED..ALL).for_each(|n| rig.inject(8192 + n));
    let all = std::iter::repeat_with(|| rig.domain.reset());
    let calls = 1 + all.take_while(|p| *p == Progress::Again).count();
    assert!((4..30).contains(&calls), "{calls}");
    for (intid, lpi) in rig.domain.lpis.all(0) {
        let s = lpi.irq.state();
        assert!(s.is_idle() && !s.mapped(), "{}: {s:?}", intid.raw());
    }
    let lists = format!("{:?}", rig.domain.v(1).lock.lock());
    assert_eq!(lists, format!("{:?}", crate::list::Lists::new()));
    let inboxes = &rig.domain.v(1).inboxes;
    assert!(inboxes.iter().all(|inbox| inbox.load(SeqCst) == NIL));
}
