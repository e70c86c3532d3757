// SPDX-License-Identifier: GPL-2.0-only
//! The host refuses, or has no memory.

use super::*;
use vgic_harness::guests::guest::Size;
use vgic_harness::guests::its::gits;
use vgic_harness::xen::faults;

#[test]
fn a_device_that_the_host_refuses_is_not_mapped() {
    boot!(SMALL, 1, domain, cpus, its);
    domain.refuse_devices(true);
    its.map_device(&cpus[0], DEVICE, LPI, 2, |_| 0);
    assert!(!domain.send_msi(0, DEVICE, 0), "the host has not mapped it");
    its.send(&cpus[0], &[command::int(DEVICE, 0)]);
    assert_eq!(taken(&cpus), [vec![]], "nor have we");
    domain.refuse_devices(false);
    its.map_device(&cpus[0], DEVICE, LPI, 2, |_| 0);
    send(&domain, DEVICE, 1);
    assert_eq!(taken(&cpus), [vec![LPI + 1]]);
    // One that is mapped is mapped anew, without events, if the host need not be asked.
    domain.refuse_devices(true);
    its.send(&cpus[0], &[command::mapd(DEVICE, 5, its.itt(DEVICE))]);
    send(&domain, DEVICE, 1);
    its.send(&cpus[0], &[command::int(DEVICE, 1)]);
    assert_eq!(taken(&cpus), [vec![]]);
    its::configure(&domain, LPI + 31, 0xa0, true);
    its.send(&cpus[0], &[command::mapti(DEVICE, 31, LPI + 31, 0)]);
    send(&domain, DEVICE, 31);
    assert_eq!(taken(&cpus), [vec![LPI + 31]]);
}

/// The host has fewer LPIs than MAPD of a mapped device asks for: it stays as it was, and its events with it.
#[test]
fn refused_mapd_leaves_the_device_with_its_events() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 4, |n| n as u16 % 2);
    its.send(&cpus[0], &[command::mapd(DEVICE + 1, 15, its.itt(1))]);
    let before = faults::live();
    for _ in 0..3 {
        its.send(&cpus[0], &[command::mapd(DEVICE, 15, its.itt(DEVICE))]);
        assert_eq!(faults::live(), before);
        (0..4).for_each(|event| send(&domain, DEVICE, event));
        let mut got = taken(&cpus);
        got.iter_mut().for_each(|lpis| lpis.sort_unstable());
        assert_eq!(got, [vec![LPI, LPI + 2], vec![LPI + 1, LPI + 3]]);
    }
    let off = [
        command::unmapd(DEVICE + 1),
        command::mapd(DEVICE, 15, its.itt(DEVICE)),
    ];
    its.send(&cpus[0], &off);
    send(&domain, DEVICE, 1);
    assert_eq!(taken(&cpus), [vec![], vec![]], "mapped anew");
}

/// Each allocation that a command makes fails in turn: what was mapped works as it did.
#[test]
fn refused_commands_change_nothing_at_each_allocation() {
    // Another event's LPI, one on a page of its own, an event on a node of its own, and a device of more events.
    let commands: [fn(&Its) -> its::Command; 4] = [
        |_| command::mapti(DEVICE, 0, 60_000, 1),
        |_| command::mapti(DEVICE, 900, LPI + 1, 1),
        |_| command::mapti(DEVICE, 900, 60_000, 1),
        |its| command::mapd(DEVICE, 13, its.itt(DEVICE)),
    ];
    for (which, command) in commands.into_iter().enumerate() {
        let mut refused = 0;
        for n in 0.. {
            boot!(SMALL, 2, domain, cpus, its);
            its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
            its.send(&cpus[0], &[command::mapd(DEVICE, 10, its.itt(DEVICE))]);
            let both = [
                command::mapti(DEVICE, 0, LPI, 0),
                command::mapti(DEVICE, 1, LPI + 1, 1),
            ];
            its::configure(&domain, LPI + 1, 0xa0, true);
            its.send(&cpus[0], &both);
            let before = faults::live();
            faults::fail_nth(n);
            its.send(&cpus[0], &[command(&its)]);
            if !faults::fail_none() {
                break;
            }
            refused += 1;
            (0..2).for_each(|event| send(&domain, DEVICE, event));
            let what = format!("command {which}, allocation {n}");
            assert_eq!(taken(&cpus), [vec![LPI], vec![LPI + 1]], "{what}");
            // A page of LPIs stays, once it is made.
            assert!(faults::live() <= before + 1, "{what}");
        }
        assert!(refused > 0, "command {which} allocates");
    }
}

#[test]
fn an_event_beyond_what_the_host_has_is_not_mapped() {
    boot!(SMALL, 1, domain, cpus, its);
    // The host has blocks of 32 events.
    let bits = 4;
    its.send(&cpus[0], &[command::mapd(DEVICE, bits, its.itt(DEVICE))]);
    its.send(&cpus[0], &[command::mapti(DEVICE, 16, LPI, 0)]);
    its::configure(&domain, LPI, 0xa0, true);
    its.send(&cpus[0], &[command::int(DEVICE, 16)]);
    assert_eq!(taken(&cpus), [vec![]]);
    its.send(&cpus[0], &[command::mapti(DEVICE, 15, LPI, 0)]);
    its.send(&cpus[0], &[command::int(DEVICE, 15)]);
    assert_eq!(taken(&cpus), [vec![LPI]], "the LPI was not used up");
}

/// Lets each allocation for a domain fail in turn; how many there are.
fn fail_creation(profile: Profile) -> usize {
    let machine = Machine::power_on(profile);
    let before = faults::live();
    for n in 0.. {
        faults::fail_nth(n);
        let made = Domain::with_vcpus(&machine, Config::dom0(3, 2));
        let failed = faults::fail_none();
        assert_eq!(made.is_err(), failed, "allocation {n}");
        drop(made);
        assert_eq!(faults::live(), before, "allocation {n} leaks");
        if !failed {
            return n;
        }
    }
    0
}

#[test]
fn creation_may_fail_at_each_allocation() {
    // The ITSes, their devices, and the LPIs.
    assert!(fail_creation(LARGE) >= fail_creation(LARGE.with_itses(0)) + 2);
    // And a page for the doorbell of each.
    let pages = fail_creation(LARGE.with_iommu()) - fail_creation(LARGE);
    assert_eq!(pages, LARGE.itses);
}

#[test]
fn each_command_may_find_no_memory() {
    for n in 0.. {
        let (domain, cpus) = booted(SMALL, 1);
        let before = faults::live();
        let its = Its::probe(&domain, &cpus[0], 0);
        faults::fail_nth(n);
        // On pages of their own, of events and of LPIs.
        for (event, lpi) in [(0, LPI), (500, LPI + 1000), (1000, 65535)] {
            let commands = [
                command::mapd(DEVICE + event, 10, its.itt(event)),
                command::mapti(DEVICE + event, event, lpi, 0),
                command::inv(DEVICE + event, event),
            ];
            its::configure(&domain, lpi, 0xa0, true);
            its.send(&cpus[0], &commands);
        }
        let failed = faults::fail_none();
        // Whatever could be mapped works, and nothing else does.
        let mut expected = vec![];
        for (event, lpi) in [(0, LPI), (500, LPI + 1000), (1000, 65535)] {
            its.send(&cpus[0], &[command::int(DEVICE + event, event)]);
            let got = cpus[0].take_all();
            assert!(got.is_empty() || got == [lpi], "{got:?} after failure {n}");
            expected.extend(got);
        }
        assert_eq!(expected.len(), if failed { 2 } else { 3 }, "failure {n}");
        // It can be mapped now.
        for (event, lpi) in [(0, LPI), (500, LPI + 1000), (1000, 65535)] {
            let commands = [
                command::mapd(DEVICE + event, 10, its.itt(event)),
                command::mapti(DEVICE + event, event, lpi, 0),
            ];
            its.send(&cpus[0], &commands);
            assert!(domain.send_msi(0, DEVICE + event, event));
            assert_eq!(taken(&cpus), [vec![lpi]]);
        }
        // Without its tables the ITS has nothing.
        its.write(&cpus[0], gits::CTLR, 0);
        for table in 0..2 {
            its.write(&cpus[0], gits::BASER + table * 8, 0);
        }
        assert!(!domain.send_msi(0, DEVICE, 0));
        let machine = Arc::clone(&domain.machine);
        drop((cpus, domain));
        assert!(faults::live() <= before, "failure {n} leaks");
        drop(machine);
        if !failed {
            assert!(n >= 6, "devices, events and LPIs are allocated");
            return;
        }
    }
}

#[test]
fn a_store_of_any_size_is_survived_without_memory() {
    boot!(SMALL, 1, domain, cpus, its);
    faults::fail_nth(0);
    for size in [Size::Byte, Size::Half, Size::Word, Size::Double] {
        for offset in (0..0x200).step_by(4) {
            let _ = cpus[0].store(its.base + offset, size, !0);
        }
    }
    faults::fail_none();
    its.set_up(&cpus[0]);
    its.send(&cpus[0], &[command::mapc(0, 0)]);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    send(&domain, DEVICE, 0);
    assert_eq!(taken(&cpus), [vec![LPI]]);
}

/// What a guest has mapped is freed in batches when its domain dies, and not in an RCU callback at once.
#[test]
fn released_in_batches_when_the_domain_dies() {
    const MANY: u32 = 2000;
    boot!(SMALL, 2, domain, cpus, its);
    // As far apart as costs most.
    its.send(&cpus[0], &[command::mapd(DEVICE, 15, its.itt(DEVICE))]);
    let commands: Vec<its::Command> = (0..MANY)
        .map(|n| command::mapti(DEVICE, n * 16, FIRST_LPI + n * 16, 0))
        .collect();
    let before = faults::live();
    commands
        .chunks(500)
        .for_each(|some| its.send(&cpus[0], some));
    let mapped = faults::live() - before;
    assert!(mapped > MANY as isize, "{mapped} allocations");
    drop(cpus);
    let mut batches = 0;
    loop {
        let before = faults::live();
        let more = domain.kill();
        let freed = before - faults::live();
        assert!(freed < 600, "{freed} at once");
        batches += 1;
        if !more {
            break;
        }
    }
    assert!(batches >= MANY / 256, "{batches} batches");
    // The words of LPIs stay for whoever injects, a page for 256.
    let before = faults::live();
    let machine = Arc::clone(&domain.machine);
    drop(domain);
    let freed = before - faults::live();
    assert!(freed < 300, "{freed} at once");
    drop(machine);
}

/// MAPTI of an LPI that another event has, at each allocation that fails: it is done, or all is as it was. The room for the new event has
/// to last while the other gives up its own, in a node that both are in or not.
#[test]
fn reserved_room_lasts_while_another_event_loses_its_lpi() {
    let events = [
        (DEVICE, 0x124),
        (DEVICE, 0x133),
        (DEVICE, 0x223),
        (DEVICE + 1, 0x123),
    ];
    for (at, had) in events.into_iter().flat_map(|at| [(at, false), (at, true)]) {
        let refused = (0..).take_while(|n| replace(at, had, *n)).count();
        let on_new_nodes = !had && at != events[0];
        assert_eq!(refused > 0, on_new_nodes, "{at:x?}: {refused} refused");
    }
}

/// An event takes the LPI of another while allocation `nth` fails, and may have had an LPI itself; was the command refused?
fn replace(at: (u32, u32), had: bool, nth: usize) -> bool {
    const LOSER: (u32, u32) = (DEVICE, 0x123);
    let what = format!("{at:x?}, it had one: {had}, allocation {nth}");
    boot!(SMALL, 2, domain, cpus, its);
    let map = |(device, event), lpi, icid| {
        its.send(&cpus[0], &[command::mapti(device, event, lpi, icid)])
    };
    let all = || {
        [LOSER, at].map(|(device, event)| {
            send(&domain, device, event);
            taken(&cpus)
        })
    };
    let events = || {
        let dump = domain.dump();
        let line = dump.lines().find(|line| line.contains(" events of "));
        let (before, _) = line
            .and_then(|line| line.split_once(" events of "))
            .expect("a number");
        before.rsplit(' ').next().map(str::to_owned)
    };
    for lpi in [LPI, LPI + 1] {
        its::configure(&domain, lpi, 0xa0, true);
    }
    for device in [DEVICE, DEVICE + 1] {
        its.send(&cpus[0], &[command::mapd(device, 10, its.itt(device))]);
    }
    map(LOSER, LPI, 1);
    its.send(&cpus[0], &[command::discard(LOSER.0, LOSER.1)]);
    let empty = faults::live();
    map(LOSER, LPI, 1);
    if had {
        map(at, LPI + 1, 1);
    }
    let before = (all(), events(), faults::live());

    faults::fail_nth(nth);
    map(at, LPI, 1);
    let refused = faults::fail_none();
    if refused {
        assert_eq!((all(), events(), faults::live()), before, "{what}");
        map(at, LPI, 1);
    }
    let mapped = [[vec![], vec![]], [vec![], vec![LPI]]];
    assert_eq!(all(), mapped, "{what}");
    assert_eq!(events().as_deref(), Some("1"), "{what}");

    // What goes on for as long as the list of the collection does, comes to its end: also once the same is mapped again.
    map(at, LPI, 1);
    its::configure(&domain, LPI, 0xa0, false);
    its.send(&cpus[0], &[command::invall(1)]);
    assert_eq!(
        all(),
        [[vec![], vec![]], [vec![], vec![]]],
        "{what}: disabled"
    );
    its::configure(&domain, LPI, 0xa0, true);
    its.send(&cpus[0], &[command::mapc(1, 0), command::invall(1)]);
    assert_eq!(taken(&cpus), [vec![LPI], vec![]], "{what}: enabled");

    its.send(&cpus[0], &[command::discard(at.0, at.1)]);
    assert_eq!(
        (events().as_deref(), faults::live()),
        (Some("0"), empty),
        "{what}"
    );
    refused
}
