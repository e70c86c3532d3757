// SPDX-License-Identifier: GPL-2.0-only
//! What is done, half done, or done where it has to be.

use super::commands::two_events;
use super::*;

const QUIESCENT: u64 = 1 << 31;
/// LPIs of collection 1, more than a trap moves.
const MANY: u32 = 1000;

fn many() -> Rig {
    let mut rig = Rig::new();
    rig.ok(mapc(1, 1, true));
    rig.ok(mapd(7, EVENT_BITS, true));
    for n in 0..MANY {
        rig.configure(8192 + n, 0x40, true);
        rig.ok(mapti(7, n, 8192 + n, 1));
    }
    rig
}

/// How many of them go to vCPU `n`.
fn routed(rig: &Rig, n: u32) -> usize {
    let of = |intid: &u32| rig.domain.lpis.at(*intid as usize).unwrap().route();
    let all = 8192..8192 + MANY;
    all.filter(|intid| of(intid) == VcpuId::new(n)).count()
}

/// Half of a collection has gone when the ITS is disabled: it is quiescent when all has.
#[test]
fn half_done_is_not_quiescent() {
    let mut rig = many();
    rig.put(mapc(1, 2, true));
    assert_eq!(rig.write(0, CWRITER, rig.at.into()), Progress::Again);
    let half = routed(&rig, 2);
    assert!((1..MANY as usize / 2).contains(&half), "{half}");
    rig.write(0, CTLR, 0);
    let mut reads = 0;
    while rig.read(0, CTLR) & QUIESCENT == 0 {
        reads += 1;
        assert!(reads < 10, "no end");
    }
    assert!(reads > 0, "quiescent with {half} of {MANY} moved");
    assert_eq!(routed(&rig, 2), MANY as usize);
    assert_eq!(rig.read(0, CREADR), rig.at.into());
}

/// Nothing that is done to the queue meanwhile splits the collection: another queue, another command in its place.
#[test]
fn half_done_commands_are_finished_whatever_becomes_of_the_queue() {
    let mut rig = many();
    rig.put(mapc(1, 2, true));
    assert_eq!(rig.write(0, CWRITER, rig.at.into()), Progress::Again);
    rig.domain.host().poke(QUEUE, &[0; 0x1000]);
    rig.write(0, CTLR, 0);
    let queue = 1 << 63 | (QUEUE + 0x1000);
    let mut traps = 0;
    while rig.write(0, CBASER, queue) == Progress::Again {
        traps += 1;
        assert!(traps < 10, "no end");
    }
    assert_eq!(routed(&rig, 2), MANY as usize, "{traps} traps");
    assert_eq!(rig.read(0, CBASER), queue);
    assert_eq!((rig.read(0, CREADR), rig.read(0, CWRITER)), (0, 0));
    // The new queue begins with its first command.
    let unknown = [0x42_u64, 0, 0, 0].map(u64::to_le_bytes).concat();
    rig.domain.host().poke(QUEUE + 0x1000, &unknown);
    rig.write(0, CTLR, 1);
    rig.write(0, CWRITER, 32);
    assert_eq!(rig.its().last_error.load(SeqCst), 0x01_4200);
}

/// A queue whose ITS another vCPU is working for is not taken away from under it.
#[test]
fn half_done_by_another_vcpu_keeps_its_queue() {
    let rig = many();
    rig.write(0, CTLR, 0);
    let before = rig.read(0, CBASER);
    assert!(rig.its().begin());
    let queue = 1 << 63 | (QUEUE + 0x1000);
    assert_eq!(rig.write(0, CBASER, queue), Progress::Again);
    assert_eq!(rig.read(0, CBASER), before);
    assert_eq!(rig.read(0, CTLR) & QUIESCENT, 0);
    rig.its().end();
    assert_eq!(rig.write(0, CBASER, queue), Progress::Done);
    assert_eq!(rig.read(0, CBASER), queue);
}

/// Tables are taken away while a command is executed, which is the last in the queue: nothing beyond GITS_CWRITER is.
#[test]
fn half_done_is_no_command_that_was_not_written() {
    let mut rig = many();
    let at = rig.at;
    rig.domain.host().poke(QUEUE, &[0x42; 0x1000]);
    rig.put([0x05, 0, 0, 0]);
    let rig = std::sync::Arc::new(rig);
    let other = std::sync::Arc::downgrade(&rig);
    let takes_away = move || {
        let rig = other.upgrade().unwrap();
        rig.write(0, CTLR, 0);
        rig.write(0, BASER0, 0);
    };
    *rig.domain.host().while_reading.lock().unwrap() = Some(Box::new(takes_away));
    rig.write(0, CWRITER, rig.at.into());
    while rig.read(0, CTLR) & QUIESCENT == 0 {}
    assert_eq!(rig.its().errors.load(SeqCst), 0);
    assert_eq!(rig.read(0, CREADR), u64::from(at) + 32);
    assert!(rig.domain.host().events.lock().unwrap().is_empty());
}

/// Others take the tables away again and again, at each step that the ITS gets on: a trap ends all the same.
#[test]
fn bounded_while_others_take_the_tables_away() {
    let rig = std::sync::Arc::new(many());
    rig.write(0, CTLR, 0);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                rig.its().todo.store(1, SeqCst);
            }
        });
        while rig.its().todo.load(SeqCst) & 1 == 0 {
            std::thread::yield_now();
        }
        for _ in 0..1000 {
            rig.read(0, CTLR);
        }
        stop.store(true, SeqCst);
    });
    while rig.read(0, CTLR) & QUIESCENT == 0 {}
    assert!(rig.domain.host().events.lock().unwrap().is_empty());
}

/// A vCPU that runs with one in its list register: the queue waits until it has seen what was changed, and nobody spins.
#[test]
fn sync_waits_for_the_list_registers() {
    let changes: [([u64; 4], Option<u32>); 4] = [
        (of_event(DISCARD, 7, 0), None),
        (of_event(CLEAR, 7, 0), None),
        (of_event(INV, 7, 0), Some(1)),
        (movi(7, 0, 2), Some(2)),
    ];
    for (change, pending) in changes {
        let mut rig = two_events();
        let cpu = &rig.domain.host().cpus[1];
        cpu.vmcr.store(0xff00_0003, SeqCst);
        rig.inject(8200);
        rig.domain.enter(1);
        assert_eq!(rig.domain.loaded(1), [8200]);
        rig.configure(8200, 0xa0, false);
        rig.put(change);
        rig.put([0x05, 0, 1 << 16, 0]);
        let after = rig.at;
        rig.put(of_event(INT, 7, 1));
        for _ in 0..3 {
            assert_eq!(rig.write(0, CWRITER, rig.at.into()), Progress::Again);
            assert_eq!(rig.read(0, CREADR), u64::from(after) - 32);
            assert_eq!(rig.pending(8201), None, "the queue goes on");
        }
        rig.write(0, CTLR, 0);
        assert_eq!(rig.read(0, CTLR) & QUIESCENT, 0);
        rig.domain.leave(1);
        rig.domain.enter(1);
        assert_eq!(rig.domain.loaded(1), [], "{change:x?}");
        assert_ne!(rig.read(0, CTLR) & QUIESCENT, 0);
        assert_eq!(rig.read(0, CREADR), after.into());
        rig.write(0, CTLR, 1);
        rig.run();
        assert_eq!(rig.pending(8201), Some(2));
        assert_eq!(rig.pending(8200), pending);
    }
}

/// The same of what a redistributor is told.
#[test]
fn sync_of_a_redistributor_waits_for_the_list_registers() {
    let rig = two_events();
    rig.domain.host().cpus[1].vmcr.store(0xff00_0003, SeqCst);
    rig.inject(8200);
    rig.domain.enter(1);
    rig.configure(8200, 0xa0, false);
    rig.redist(1, 0xa0, 8200);
    let busy = |n: u64| {
        let at = n * 0x2_0000 + 0xc0;
        (rig.domain).redist_read(rig.domain.v(0), 0, at, Width::Word)
    };
    assert_eq!((busy(1), busy(2), busy(1)), (1, 0, 1));
    // Another runs, too, and has something to see.
    rig.domain.host().cpus[2].vmcr.store(0xff00_0003, SeqCst);
    rig.domain.enter(2);
    rig.inject(8201);
    assert_eq!((busy(1), busy(2), busy(1)), (1, 1, 1));
    rig.domain.leave(1);
    rig.domain.enter(1);
    assert_eq!(rig.domain.loaded(1), []);
    assert_eq!(busy(1), 0);
}

/// It waits for nobody else, and only if there is something to see.
#[test]
fn sync_waits_for_nothing_else() {
    let mut rig = two_events();
    for n in 0..VCPUS as u32 {
        rig.domain.host().cpus[n as usize]
            .vmcr
            .store(0xff00_0003, SeqCst);
        rig.domain.leave(n);
        rig.domain.enter(n);
    }
    rig.domain.host().kicked();
    for target in [0_u64, 1, 2, 3, 4, 0xffff_ffff] {
        rig.put([0x05, 0, target << 16, 0]);
        assert_eq!(rig.run(), 1);
    }
    assert_eq!(rig.domain.host().kicked(), [], "nor is anybody interrupted");
    rig.inject(8200);
    for target in [0, 2, 3] {
        rig.put([0x05, 0, target << 16, 0]);
        assert_eq!(rig.run(), 1, "of another");
    }
    // What comes in the meantime is no reason to wait on.
    rig.put([0x05, 0, 1 << 16, 0]);
    assert_eq!(rig.write(0, CWRITER, rig.at.into()), Progress::Again);
    rig.domain.leave(1);
    rig.domain.enter(1);
    rig.inject(8200);
    rig.ok(of_event(CLEAR, 7, 0));
}

/// IHI 0069, 5.3: the ITS goes on translating to where the collection goes.
#[test]
fn movall_moves_what_is_pending_and_no_route() {
    let mut rig = two_events();
    let route = |rig: &Rig| rig.domain.lpi_target(IntId::new(8200).unwrap());
    rig.ok(movall(1, 3));
    rig.inject(8200);
    assert_eq!(rig.take(1), [8200], "nothing was pending");
    rig.inject(8200);
    rig.ok(movall(1, 3));
    assert_eq!((rig.pending(8200), route(&rig)), (Some(3), Some(1)));
    rig.inject(8200);
    assert_eq!(rig.take(3), [8200], "merged with what was pending");
    rig.inject(8200);
    assert_eq!((rig.take(1), rig.take(3)), (vec![8200], vec![]));
    // Pending where it was moved to, and not taken there: kept in that one's table.
    rig.inject(8200);
    rig.ok(movall(1, 3));
    rig.redist(3, 0, 0);
    rig.redist(3, 0, 1);
    assert_eq!((rig.take(1), rig.take(3)), (vec![], vec![8200]));
}

/// The guest has taken it where MOVALL has moved it, and has not been left since: the word does not know yet.
#[test]
fn done_where_movall_has_moved_it_the_next_message_goes_its_own_way() {
    for (on, goes) in [(true, 1), (true, 2), (false, 1)] {
        let mut rig = two_events();
        rig.inject(8200);
        rig.ok(movall(1, 3));
        let cpu = &rig.domain.host().cpus[3];
        cpu.vmcr.store(0xff00_0003, SeqCst);
        rig.domain.enter(3);
        assert_eq!(rig.domain.loaded(3), [8200]);
        for lr in &cpu.lrs {
            lr.store(0, SeqCst);
        }
        rig.inject(8200);
        rig.configure(8200, 0x20, on);
        rig.ok(of_event(INV, 7, 0));
        if goes != 1 {
            rig.ok(mapc(1, goes, true));
        }
        rig.domain.leave(3);
        assert_eq!(rig.pending(8200), Some(goes as u32));
        if !on {
            assert_eq!(rig.take(1), [], "disabled");
            rig.configure(8200, 0x20, true);
            rig.ok(of_event(INV, 7, 0));
        }
        let taken = [1, 2, 3].map(|v| rig.take(v).len());
        assert_eq!(taken, [1, 2, 3].map(|v| usize::from(v == goes as usize)));
    }
}

#[test]
fn int_to_a_collection_that_goes_nowhere_is_an_error() {
    let mut rig = two_events();
    rig.ok(mapc(1, 0, false));
    assert_eq!(rig.command(of_event(INT, 7, 0)), 0x01_0309);
    rig.ok(mapc(1, 1, true));
    assert_eq!(rig.take(1), []);
    rig.ok(of_event(INT, 7, 0));
    assert_eq!(rig.take(1), [8200]);
}

/// As those of others are.
#[test]
fn pages_of_tables_are_64_kib_at_reset() {
    let rig = Rig::with(LIMITS, 2);
    let fixed = |kind: u64| kind << 56 | 7 << 48 | 2 << 8;
    assert_eq!(rig.read(1, BASER0), fixed(1));
    assert_eq!(rig.read(1, BASER1), fixed(4));
    assert_eq!(rig.read(1, 0x110), 0);
}

/// LPIs of priority 0x40 in the inbox of vCPU `n`, and taken out of it and not sorted yet.
fn unsorted(rig: &Rig, n: u32) -> usize {
    let v = rig.domain.v(n);
    let mut lists = v.lock.lock();
    let rest = lists.take_rest(0x40 >> 3);
    if rest != crate::irq::NIL {
        lists.set_rest(0x40 >> 3, rest);
    }
    drop(lists);
    let chain = |first: u16| {
        let next = |n: &u16| rig.domain.node(v, *n).map(|irq| irq.next.load(SeqCst));
        let end = |n: &u16| *n != crate::irq::NIL;
        std::iter::successors(Some(first), next)
            .take_while(end)
            .count()
    };
    chain(v.inbox(0x40 >> 3).load(SeqCst)) + chain(rest)
}

/// Whoever brings LPIs to a vCPU that never runs leaves few unsorted: else whoever looks for one of them would sort all.
#[test]
fn bounded_inbox_whoever_fills_it() {
    /// What one look sorts, and what one message after another may leave.
    const FEW: usize = 512;
    const ALL: u32 = 4096;
    type Way = fn(&mut Rig);
    let ways: [(&str, Way); 5] = [
        ("messages", |rig| {
            (0..ALL).for_each(|n| rig.inject(8192 + n))
        }),
        ("INT", |rig| {
            (0..ALL).for_each(|n| rig.ok(of_event(INT, 7 + n / 1024, n % 1024)))
        }),
        ("MAPC off and on", |rig| {
            (0..ALL).for_each(|n| rig.inject(8192 + n));
            rig.ok(mapc(1, 0, false));
            rig.ok(mapc(1, 1, true));
        }),
        ("INVALL", |rig| {
            let table = |byte| rig.domain.host().poke(PROPS, &[byte; ALL as usize]);
            table(0x40);
            rig.ok(invall(1));
            (0..ALL).for_each(|n| rig.inject(8192 + n));
            assert_eq!(unsorted(rig, 1), 0);
            let table = |byte| rig.domain.host().poke(PROPS, &[byte; ALL as usize]);
            table(0x41);
            rig.ok(invall(1));
        }),
        ("EnableLPIs", |rig| {
            rig.redist(2, 0, 0);
            (0..ALL).for_each(|n| rig.inject(8192 + n));
            rig.ok(mapc(1, 2, true));
            assert_eq!(unsorted(rig, 2), 0, "withheld");
            rig.redist(2, 0, 1);
            assert!(unsorted(rig, 2) <= FEW, "{}", unsorted(rig, 2));
            rig.ok(mapc(1, 1, true));
        }),
    ];
    for (name, way) in ways {
        let mut rig = Rig::new();
        rig.domain.host().poke(PROPS, &[0x41; ALL as usize]);
        rig.ok(mapc(1, 1, true));
        for device in 0..4 {
            rig.ok(mapd(7 + device, EVENT_BITS, true));
        }
        for n in 0..ALL {
            rig.ok(mapti(7 + n / 1024, n % 1024, 8192 + n, 1));
        }
        way(&mut rig);
        let left = unsorted(&rig, 1);
        assert!(left <= FEW, "{name}: {left}");
        let (mut taken, all) = (rig.take(1), 8192..8192 + ALL as u16);
        taken.sort_unstable();
        assert!(taken.into_iter().eq(all), "{name}");
    }
}
