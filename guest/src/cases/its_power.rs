// SPDX-License-Identifier: GPL-2.0-only
//! The ITS is switched off in an orderly way, GITS_CTLR.Enabled 1 to 0 until Quiescent is 1, and on again: what was mapped is there,
//! from wherever the tables are then, or not there, where the tables are others (IHI 0069, 5.1 and the description of GITS_CTLR).

use super::{cases, expect_and_end, expect_lpis, expect_none, job_expect_and_end, job_expect_none};
use crate::its::command::{self, discard, int, mapc, mapti, movi, unmap_collection, unmap_device};
use crate::its::{self, Devices, gits, lpi};
use crate::mmio::{read64, write64};
use crate::outcome::{Outcome, check};
use crate::{second, timer};

cases! {
    V3: its_power_down_keeps_everything, its_power_down_same_tables, its_power_down_tables_moved, its_power_down_moved_first_level,
        its_power_down_other_tables, its_power_down_other_collections, its_power_down_valid_off_and_on, its_power_down_unmapped_stays_so,
        its_power_down_in_a_batch, its_power_down_leaves_memory_alone, its_power_down_often;
}

/// Three devices: what is far from the others is found in a table, too.
const DEVICES: [u32; 3] = [3, 4, 0x1234];
const EVENTS: u32 = 4;
const TABLE: usize = 0x1_0000;

/// Each device has events 0 to 3; the odd ones go to CPU 1.
fn map() -> Outcome {
    for (n, device) in (0..).zip(DEVICES) {
        its::map_events(device, EVENTS, n * EVENTS, 0)?;
        its::run(&[movi(device, 1, 1), movi(device, 3, 1)])?;
    }
    Ok(())
}

fn ready() -> Outcome {
    its::begin()?;
    map()
}

/// All of it is as it was mapped.
fn check_all() -> Outcome {
    for (n, device) in (0..).zip(DEVICES) {
        for event in 0..EVENTS {
            its::run(&[int(device, event)])?;
            let id = lpi(n * EVENTS + event);
            if event % 2 == 0 {
                expect_and_end(id)?;
            } else {
                second::run(job_expect_and_end, id.0 as usize)?;
            }
        }
    }
    expect_none("after all")?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

/// None of it is there any more.
fn check_none() -> Outcome {
    for device in DEVICES {
        for event in 0..EVENTS {
            its::run(&[int(device, event)])?;
        }
    }
    expect_none("of what other tables had mapped")?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

/// The register of a kind of table, and what is in it.
fn table(kind: u64) -> Outcome<(usize, u64)> {
    let at = its::baser(kind)?;
    Ok((at, read64(at)))
}

/// The tables are elsewhere, and their old place is of no more use; by one write of each register.
fn move_both() -> Outcome {
    for kind in [1, 4] {
        let (at, value) = table(kind)?;
        let to = its::move_table(its::table_of(value))?;
        write64(at, its::with_table(value, to));
    }
    Ok(())
}

fn its_power_down_keeps_everything() -> Outcome {
    ready()?;
    its::disable()?;
    its::enable();
    check_all()
}

/// As an operating system does that wakes up: every register gets what it had.
fn its_power_down_same_tables() -> Outcome {
    ready()?;
    its::disable()?;
    its::set_queue(its::queue(), 16);
    for kind in [1, 4] {
        let (at, value) = table(kind)?;
        write64(at, value);
    }
    its::enable();
    check_all()?;
    its::run(&[mapc(0, 0), mapc(1, 1)])?;
    check_all()
}

fn its_power_down_tables_moved() -> Outcome {
    ready()?;
    its::disable()?;
    move_both()?;
    its::enable();
    check_all()?;
    // What is mapped from here on is in the new ones.
    its::run(&[discard(DEVICES[0], 0), mapti(DEVICES[0], 0, lpi(50), 0)])?;
    its::disable()?;
    move_both()?;
    its::enable();
    its::run(&[int(DEVICES[0], 0)])?;
    expect_and_end(lpi(50))?;
    its::run(&[discard(DEVICES[0], 0), mapti(DEVICES[0], 0, lpi(0), 0)])?;
    check_all()
}

fn its_power_down_moved_first_level() -> Outcome {
    its::begin_with(Devices::TwoLevels, 16)?;
    let a_page = 0x1000 / 8;
    for device in DEVICES {
        let page = its::allocate(0x1000, 0x1000)?;
        let entry = its::device_table() + (device / a_page) as usize * 8;
        if its::load(entry) == 0 {
            its::store(entry, its::VALID | page as u64);
        }
    }
    map()?;
    its::disable()?;
    let (at, value) = table(1)?;
    let to = its::move_table(its::table_of(value))?;
    write64(at, its::with_table(value, to));
    its::enable();
    check_all()
}

fn its_power_down_other_tables() -> Outcome {
    ready()?;
    its::disable()?;
    for kind in [1, 4] {
        let (at, value) = table(kind)?;
        let empty = its::allocate(TABLE, TABLE)?;
        write64(at, its::with_table(value, empty));
    }
    its::enable();
    its::run(&[mapc(0, 0), mapc(1, 1)])?;
    check_none()?;
    map()?;
    check_all()
}

/// The devices are where they were; that no collection is says nothing of them.
fn its_power_down_other_collections() -> Outcome {
    ready()?;
    its::disable()?;
    let (at, value) = table(4)?;
    let empty = its::allocate(TABLE, TABLE)?;
    write64(at, its::with_table(value, empty));
    its::enable();
    check_none()?;
    its::run(&[mapc(0, 0), mapc(1, 1)])?;
    check_all()
}

fn its_power_down_valid_off_and_on() -> Outcome {
    ready()?;
    let (at, value) = table(1)?;
    its::disable()?;
    write64(at, value & !its::VALID);
    write64(at, value);
    its::enable();
    check_all()?;
    // The same, but what was in memory is gone.
    its::disable()?;
    write64(at, value & !its::VALID);
    its::move_table(its::table_of(value))?;
    write64(at, value);
    its::enable();
    check_none()?;
    map()?;
    check_all()
}

/// What had been written to a table, and was unmapped later, is not read back.
fn its_power_down_unmapped_stays_so() -> Outcome {
    ready()?;
    its::disable()?;
    its::enable();
    its::run(&[
        discard(DEVICES[0], 1),
        unmap_device(DEVICES[1]),
        mapc(7, 0),
        unmap_collection(7),
    ])?;
    for _ in 0..2 {
        its::disable()?;
        move_both()?;
        its::enable();
        its::run(&[int(DEVICES[0], 1), int(DEVICES[1], 0), int(DEVICES[1], 2)])?;
        expect_none("of what was unmapped")?;
        second::run(job_expect_none, 0)?;
        its::run(&[int(DEVICES[0], 0), int(DEVICES[2], 2)])?;
        expect_lpis(&[0, 2 * EVENTS + 2])?;
        its::run(&[mapti(DEVICES[0], 1, lpi(40), 7), int(DEVICES[0], 1)])?;
        expect_none("of a collection that was unmapped")?;
        its::run(&[discard(DEVICES[0], 1)])?;
    }
    Ok(())
}

/// It is switched off while it executes commands: some have been by then, and the others are executed later, each once.
fn its_power_down_in_a_batch() -> Outcome {
    ready()?;
    for _ in 0..20 {
        let mut sent = 0;
        for round in 0..40 {
            for (n, device) in (0..).zip(DEVICES) {
                its::put(&command::inv(device, round % EVENTS));
                if round == 20 + n {
                    its::put(&int(device, 2 * (n % 2)));
                    sent += 1;
                }
            }
        }
        its::ring();
        its::disable()?;
        let at = its::creadr();
        let moves = timer::within(2, || its::creadr() != at);
        check!(!moves, "GITS_CREADR moves although the ITS is quiescent");
        its::enable();
        its::wait()?;
        check!(sent == 3, "{sent} sent");
        expect_lpis(&[0, EVENTS + 2, 2 * EVENTS])?;
        expect_none("a second time")?;
    }
    check_all()
}

/// From Quiescent on until it is enabled nothing is written where its tables are: they may have gone.
fn its_power_down_leaves_memory_alone() -> Outcome {
    ready()?;
    its::run(&[int(DEVICES[0], 0), int(DEVICES[0], 2)])?;
    its::disable()?;
    let mut places = [0; 2];
    for (place, kind) in places.iter_mut().zip([1, 4]) {
        *place = its::table_of(table(kind)?.1);
    }
    let sums = || places.map(|place| its::checksum(place, TABLE));
    let before = sums();
    expect_lpis(&[0, 2])?;
    its::put(&discard(DEVICES[0], 0));
    its::put(&unmap_device(DEVICES[1]));
    its::ring();
    its::creadr();
    read64(its::register(gits::CBASER));
    timer::within(20, || false);
    check!(before == sums(), "a table has changed");
    its::enable();
    its::wait()?;
    its::run(&[int(DEVICES[0], 0), int(DEVICES[1], 0), int(DEVICES[2], 0)])?;
    expect_and_end(lpi(2 * EVENTS))?;
    expect_none("of what was unmapped")
}

fn its_power_down_often() -> Outcome {
    ready()?;
    for n in 0..30 {
        its::disable()?;
        if n % 3 == 0 {
            let (at, value) = table(1 + 3 * (n % 2))?;
            write64(at, value);
        }
        its::enable();
        its::run(&[int(DEVICES[2], 2)])?;
        expect_and_end(lpi(2 * EVENTS + 2))?;
    }
    check_all()
}
