// SPDX-License-Identifier: GPL-2.0-only
//! What a domain may have of LPIs, devices and events, where whoever started it says how many (`limits=`): reaching a limit is a command
//! error, which takes nothing away from what there is; and what goes makes room.

use super::{cases, expect_and_end, expect_none};
use crate::its::command::{discard, int, mapd, mapti, unmap_device};
use crate::its::{self, Limits, lpi};
use crate::outcome::{Outcome, check, skip};

cases! {
    V3: its_limit_of_devices, its_limit_of_events, its_limit_of_lpis;
}

fn ready() -> Outcome<Limits> {
    its::begin()?;
    match its::limits() {
        Some(limits) => Ok(limits),
        None => skip!("nobody says what they are"),
    }
}

/// Whether the event is mapped to the LPI.
fn comes(device: u32, event: u32, n: u32) -> Outcome<bool> {
    its::run(&[int(device, event)])?;
    let comes = crate::gic::highest_pending() == lpi(n);
    if comes {
        expect_and_end(lpi(n))?;
    }
    expect_none("of another event")?;
    Ok(comes)
}

fn its_limit_of_devices() -> Outcome {
    let most = ready()?.devices as u32;
    // They share a table: only the first has events there.
    let itt = its::allocate(0x1000, 256)? as u64;
    let map = |device| its::run(&[mapd(device, 1, itt), mapti(device, 0, lpi(device), 0)]);
    for device in 0..most {
        map(device)?;
    }
    check!(comes(most - 1, 0, most - 1)?, "device {most} is refused");
    map(most)?;
    check!(!comes(most, 0, most)?, "{} devices are mapped", most + 1);
    check!(comes(0, 0, 0)?, "the first device is lost");
    its::run(&[discard(3, 0), unmap_device(3)])?;
    map(most)?;
    check!(comes(most, 0, most)?, "what has gone makes no room");
    map(3)?;
    check!(
        !comes(3, 0, 3)?,
        "{} devices are mapped after all",
        most + 1
    );
    Ok(())
}

/// Maps events from `first` to `end` less one of device 1 to LPIs from `lpis` on.
fn map_more(first: u32, end: u32, lpis: u32) -> Outcome {
    for event in first..end {
        its::put(&mapti(1, event, lpi(lpis + event), 0));
        if event % 256 == 255 {
            its::sync()?;
        }
    }
    its::sync()
}

fn its_limit_of_events() -> Outcome {
    let most = ready()?.events as u32;
    its::map_device(1, 32 - most.leading_zeros())?;
    map_more(0, most, 0)?;
    check!(comes(1, most - 1, most - 1)?, "event {most} is refused");
    map_more(most, most + 1, 0)?;
    check!(!comes(1, most, most)?, "{} events are mapped", most + 1);
    check!(comes(1, 0, 0)?, "the first event is lost");
    // One that is mapped can be mapped to another LPI all the same.
    let other = most + 100;
    map_more(5, 6, other)?;
    check!(
        comes(1, 5, other + 5)?,
        "an event keeps its LPI at the limit"
    );
    its::run(&[discard(1, 7)])?;
    map_more(most, most + 1, 0)?;
    check!(comes(1, most, most)?, "what has gone makes no room");
    map_more(7, 8, 0)?;
    check!(!comes(1, 7, 7)?, "{} events are mapped after all", most + 1);
    Ok(())
}

/// So many different ones can have been mapped; what a pending table has is counted apart, so no case before this one has one.
fn its_limit_of_lpis() -> Outcome {
    let most = ready()?.lpis as u32;
    check!(most < its::LPIS, "{most} are as many as there can be");
    its::map_device(1, 1)?;
    let map = |n| its::run(&[mapti(1, 0, lpi(n), 0)]);
    for n in 0..most {
        map(n)?;
    }
    check!(comes(1, 0, most - 1)?, "LPI {most} is refused");
    map(most)?;
    // The event keeps what it has.
    check!(
        comes(1, 0, most - 1)?,
        "LPI {most} is lost, or one more was mapped"
    );
    map(1)?;
    check!(comes(1, 0, 1)?, "one that was mapped before is refused");
    Ok(())
}
