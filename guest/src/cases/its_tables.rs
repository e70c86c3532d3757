// SPDX-License-Identifier: GPL-2.0-only
//! Tables in memory: the device table of two levels, and the pending tables while EnableLPIs goes off and on.

use super::{cases, expect_and_end, expect_lpis, expect_none, job_expect_and_end};
use crate::cpu::CPUS;
use crate::gic::gicr;
use crate::its::command::{discard, int, mapd, mapti, movi};
use crate::its::{self, Devices, lpi};
use crate::mmio::read32;
use crate::outcome::{Outcome, check, skip};
use crate::second;

cases! {
    V3: its_two_levels, its_two_levels_without_a_second, its_second_level_comes_later, its_pending_table_off_and_on,
        its_pending_table_is_read, its_pending_table_of_zero, its_pending_table_many, its_pending_while_off_moves,
        its_new_tables_are_empty;
}

const DEVICE: u32 = 5;
/// DeviceIDs that a page of the second level has room for.
const A_PAGE: u32 = 0x1000 / 8;

/// Gives the first level a page for these DeviceIDs.
fn give_page(index: u32) -> Outcome {
    let page = its::allocate(0x1000, 0x1000)?;
    let entry = its::device_table() + index as usize * 8;
    its::store(entry, its::VALID | page as u64);
    Ok(())
}

fn its_two_levels() -> Outcome {
    its::begin_with(Devices::TwoLevels, 1)?;
    let devices = [0, A_PAGE - 1, 9 * A_PAGE, 9 * A_PAGE + 52, 100 * A_PAGE - 1];
    for index in [0, 9, 99] {
        give_page(index)?;
    }
    for (n, device) in (0..).zip(devices) {
        its::map_events(device, 2, 2 * n, 0)?;
    }
    for (n, device) in (0..).zip(devices) {
        its::run(&[int(device, 1)])?;
        expect_and_end(lpi(2 * n + 1))?;
    }
    expect_none("after all")
}

fn its_two_levels_without_a_second() -> Outcome {
    its::begin_with(Devices::TwoLevels, 1)?;
    give_page(0)?;
    its::map_events(1, 2, 0, 0)?;
    let itt = its::allocate(0x1000, 256)? as u64;
    for device in [A_PAGE, 2 * A_PAGE + 1, 511 * A_PAGE, 512 * A_PAGE] {
        its::run(&[
            mapd(device, 1, itt),
            mapti(device, 0, lpi(9), 0),
            int(device, 0),
            int(1, 1),
        ])?;
        expect_and_end(lpi(1))?;
        expect_none("of a device that has no place in the table")?;
    }
    Ok(())
}

fn its_second_level_comes_later() -> Outcome {
    its::begin_with(Devices::TwoLevels, 1)?;
    let itt = its::allocate(0x1000, 256)? as u64;
    let device = 3 * A_PAGE + 3;
    let all = [
        mapd(device, 1, itt),
        mapti(device, 0, lpi(9), 0),
        int(device, 0),
    ];
    its::run(&all)?;
    expect_none("of a device that has no place in the table")?;
    give_page(3)?;
    its::run(&all)?;
    expect_and_end(lpi(9))
}

/// LPIs may go off and on again.
fn ready(count: u32) -> Outcome {
    its::begin()?;
    if read32(its::gicr_register(0, gicr::CTLR)) & its::CES == 0 {
        skip!("GICR_CTLR.CES is 0");
    }
    its::map_events(DEVICE, count, 0, 0)
}

fn its_pending_table_off_and_on() -> Outcome {
    ready(3)?;
    for _ in 0..5 {
        its::run(&[int(DEVICE, 0), int(DEVICE, 2)])?;
        its::set_lpis(0, false)?;
        expect_none("although LPIs are disabled")?;
        for n in [0, 2] {
            check!(
                its::is_in_pending_table(0, lpi(n)),
                "LPI {} is not in the pending table",
                lpi(n).0
            );
        }
        check!(
            !its::is_in_pending_table(0, lpi(1)),
            "LPI {} is in the pending table",
            lpi(1).0
        );
        its::keep_pending_table(0);
        its::set_lpis(0, true)?;
        expect_lpis(&[0, 2])?;
        expect_none("a second time")?;
    }
    Ok(())
}

/// An LPI may be pending in a table that an operating system gives, whether an event is mapped to it or not.
fn its_pending_table_is_read() -> Outcome {
    ready(2)?;
    for cpu in 0..CPUS {
        its::set_lpis(cpu, false)?;
    }
    its::put_into_pending_table(0, lpi(0));
    its::put_into_pending_table(0, lpi(40));
    its::put_into_pending_table(1, lpi(41));
    for cpu in 0..CPUS {
        its::keep_pending_table(cpu);
        its::set_lpis(cpu, true)?;
    }
    expect_lpis(&[0, 40])?;
    expect_none("a second time")?;
    second::run(job_expect_and_end, lpi(41).0 as usize)?;
    its::run(&[int(DEVICE, 0)])?;
    expect_and_end(lpi(0))
}

/// With PTZ the table is zero, and nobody has to read it: here it is what it says.
fn its_pending_table_of_zero() -> Outcome {
    ready(1)?;
    its::set_lpis(0, false)?;
    its::set_lpis(0, true)?;
    expect_none("of an empty table")?;
    its::run(&[int(DEVICE, 0)])?;
    expect_and_end(lpi(0))
}

fn its_pending_table_many() -> Outcome {
    ready(256)?;
    for event in 0..256 {
        its::put(&int(DEVICE, event));
    }
    its::sync()?;
    its::set_lpis(0, false)?;
    expect_none("although LPIs are disabled")?;
    its::keep_pending_table(0);
    its::set_lpis(0, true)?;
    let mut seen = [0_u64; 4];
    for _ in 0..256 {
        let ack = super::next()?;
        let n = ack.intid().0.wrapping_sub(lpi(0).0) as usize;
        let Some(word) = seen.get_mut(n / 64) else {
            crate::outcome::fail!("{} came", ack.intid().0)
        };
        check!(*word >> (n % 64) & 1 == 0, "LPI {n} came twice");
        *word |= 1 << (n % 64);
        crate::gic::end(ack);
    }
    expect_none("after all")
}

/// A message to a redistributor whose LPIs are disabled is lost, or waits; one that was moved away before is neither.
fn its_pending_while_off_moves() -> Outcome {
    ready(2)?;
    its::run(&[int(DEVICE, 0), movi(DEVICE, 0, 1)])?;
    its::set_lpis(0, false)?;
    second::run(job_expect_and_end, lpi(0).0 as usize)?;
    its::keep_pending_table(0);
    its::set_lpis(0, true)?;
    expect_none("although it has been moved")?;
    its::run(&[int(DEVICE, 1)])?;
    expect_and_end(lpi(1))?;
    its::run(&[discard(DEVICE, 0), discard(DEVICE, 1)])
}

/// What an operating system before this one has mapped is not there.
fn its_new_tables_are_empty() -> Outcome {
    its::begin()?;
    its::map_events(DEVICE, 4, 0, 0)?;
    its::begin()?;
    its::run(&[int(DEVICE, 0), int(DEVICE, 3)])?;
    expect_none("of what was mapped in another table")?;
    its::map_events(DEVICE, 4, 8, 0)?;
    its::run(&[int(DEVICE, 3)])?;
    expect_and_end(lpi(11))
}
