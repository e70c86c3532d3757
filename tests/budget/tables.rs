// SPDX-License-Identifier: GPL-2.0-only
//! The same of an ITS that is disabled and enabled again: what it takes to write its tables to the guest's memory, and to read them from
//! another place there. Each trap is bounded, and all together are linear.

use super::{BUDGET, DEVICE, EVENTS, Guest, count, one_trap, send_all, with_guest};
use vgic_harness::guests::guest::{Size, Store};
use vgic_harness::guests::its::{self, FIRST_LPI, command, gits};

/// A name, how many events, and whether they are read.
type Workload = (&'static str, u32, bool);

const WORKLOADS: [Workload; 6] = [
    ("tables written, 1 event", 1, false),
    ("tables written, 1,000 events", 1000, false),
    ("tables written, 32,000 events", 32_000, false),
    ("tables read, 1 event", 1, true),
    ("tables read, 1,000 events", 1000, true),
    ("tables read, 32,000 events", 32_000, true),
];

/// How often: what is counted is more than one trap.
const TIMES: u64 = 2;

/// Where the driver's table of devices is, from the queue on, and another place for it.
const TABLES: [u64; 2] = [0x10_0000, 0x12_0000];
const PAGES: u64 = 16;

/// Devices with 8192 events each, as many as it takes, and so many events of them.
fn map(guest: &Guest, events: u32) {
    let table = vec![0xa1; events as usize];
    assert!(guest.domain.write_memory(its::PROPERTIES, &table));
    let devices = DEVICE..DEVICE + events.div_ceil(EVENTS);
    send_all(
        guest,
        devices.map(|device| command::mapd(device, 13, guest.its.itt(device))),
    );
    let mapti = |n| command::mapti(DEVICE + n / EVENTS, n % EVENTS, FIRST_LPI + n, n as u16 % 2);
    send_all(guest, (0..events).map(mapti));
}

fn store(guest: &Guest, value: u64, counted: bool) {
    let ctlr = guest.its.base + gits::CTLR;
    if counted {
        while one_trap(guest.cpu, ctlr, Size::Word, value) == Store::Again {}
    } else {
        guest.its.write(guest.cpu, gits::CTLR, value);
    }
}

/// In the program that is counted. Says whether it is one of these.
pub fn run(name: &str) -> bool {
    let Some((_, events, read)) = WORKLOADS.iter().find(|w| w.0 == name) else {
        return false;
    };
    with_guest(|guest, _| to_and_fro(guest, *events, *read));
    true
}

fn to_and_fro(guest: &Guest, events: u32, read: bool) {
    map(guest, events);
    for n in 0..TIMES as usize {
        store(guest, 0, !read);
        if read {
            let [from, to] = [n % 2, 1 - n % 2].map(|n| guest.its.queue() + TABLES[n]);
            for at in (0..PAGES * 0x1000).step_by(0x1000) {
                let page: [u8; 0x1000] = guest.domain.read_memory(from + at).expect("memory");
                assert!(guest.domain.write_memory(to + at, &page));
            }
            let baser = gits::VALID | to | (PAGES - 1);
            guest.its.write(guest.cpu, gits::BASER, baser);
        }
        store(guest, 1, read);
        // Now there is something to be written again.
        send_all(
            guest,
            std::iter::once(command::movi(DEVICE, 0, n as u16 % 2)),
        );
    }
    assert!(guest.domain.physical_lpi(0, DEVICE, 0).is_some());
}

#[test]
fn tables_are_written_and_read_in_bounded_traps_and_linear_time() {
    let mut all = Vec::new();
    for (workload, ..) in WORKLOADS {
        let Some(counts) = count(workload) else {
            return;
        };
        let worst = counts.iter().max().copied().unwrap_or(0);
        let sum = counts.iter().sum::<u64>() / TIMES;
        let traps = counts.len() as u64 / TIMES;
        println!("{sum:>9} instructions in {traps} traps, {worst} at the most: {workload}");
        assert!(worst <= BUDGET, "{workload}: {worst}");
        all.push(sum);
    }
    let [one, thousand, most, read_one, read_thousand, read_most] = all[..] else {
        panic!("a workload is missing");
    };
    for (one, thousand, most) in [(one, thousand, most), (read_one, read_thousand, read_most)] {
        let (some, many) = (thousand - one, most - one);
        assert!(many < some * 32 * 5 / 4, "{one}, {thousand}, {most}");
    }
}
