// SPDX-License-Identifier: GPL-2.0-only
//! LPIs, and the commands of a virtual ITS, in batches as long as a driver's that maps a device.

use super::bed::{Bed, Here, profile};
use super::row::{Meter, Needs, Row, expect};
use crate::guests::guest::Size;
use crate::guests::its::command::{self, clear, discard, inv, invall, mapti, movi};
use crate::guests::its::{self, Command, FIRST_LPI, Its, configure, gits};
use crate::guests::pci::Device;
use crate::machine::pci::Shape;
use crate::machine::profile::Profile;
use crate::xen::abi;
use crate::xen::domain::Config;
use crate::xen::pci::Pci;
use crate::xen::vpci::Vpci;
use anyhow::{Result, bail};
use std::sync::Arc;

/// Events of a device.
const EVENTS: u32 = 8192;
/// Commands that are measured in one batch.
const BATCH: u32 = 32;
/// The device that commands are about.
const DEVICE: u32 = 7;

pub(super) fn rows() -> Vec<Row> {
    let cycles = [1, 1000, 40_000].map(|n| {
        Row::counted(format!("v3: LPI cycle, {n} mapped"), Needs::Its, move |m| {
            cycle(m, n)
        })
        .hot()
    });
    let messages = [1, 1000, 40_000].map(|n| {
        let name = format!("v3: cycle of a device model's message, {n} mapped");
        Row::counted(name, Needs::OurIts, move |m| message(m, n)).hot()
    });
    let functions = [1, 1000].map(|n| {
        let name = format!("v3: cycle of a PCI function's message, {n} mapped");
        Row::counted(name, Needs::OurIts, move |m| function(m, n)).hot()
    });
    let kinds = KINDS.iter().map(|kind| {
        Row::counted(format!("ITS: {}", kind.name), kind.needs, |m| {
            commands(m, kind)
        })
    });
    let invalls = [1, 1000, 40_000].map(|n| {
        let name = format!("ITS: INVALL, {n} LPIs");
        Row::counted(name, Needs::Its, move |m| invall_of(m, n))
    });
    cycles
        .into_iter()
        .chain(messages)
        .chain(functions)
        .chain(kinds)
        .chain(invalls)
        .collect()
}

/// A guest with LPIs enabled.
pub(super) fn bed() -> Result<Bed> {
    let profile = Profile {
        spis: 32,
        ..profile(3, 2).with_itses(1)
    };
    let bed = Bed::unconfigured(profile, Config::dom0(3, 2))?;
    its::enable_lpis(&bed.domain, &bed.cpus);
    Ok(bed)
}

/// Maps so many LPIs to vCPU 0, from the first on, all of them enabled.
pub(super) fn map(bed: &Bed, its: &Its<'_>, count: u32) {
    let cpu = &bed.cpus[0];
    for first in (0..count).step_by(EVENTS as usize) {
        let device = first / EVENTS;
        let events = first..count.min(first + EVENTS);
        its.send(cpu, &[command::mapd(device, 13, its.itt(device))]);
        let mapped: Vec<Command> = events
            .map(|n| {
                configure(&bed.domain, FIRST_LPI + n, 0xa0, true);
                mapti(device, n - first, FIRST_LPI + n, 0)
            })
            .collect();
        for batch in mapped.chunks(1024) {
            its.send(cpu, batch);
        }
    }
    its.send(cpu, &[invall(0)]);
}

/// The life of each of the host's LPIs, which are these of the domain's.
fn come(bed: &Bed, m: &mut Meter, physical: &[(u32, u32)], what: &str) -> Result<()> {
    let mut lost = 0;
    let mut cycle = |here: &Here<'_>, (lpi, intid): (u32, u32)| {
        here.exit();
        abi::do_lpi(lpi);
        here.enter();
        lost += u32::from(here.take(|| ()) != intid);
    };
    bed.on(0, |here| {
        physical.iter().take(20).for_each(|lpi| cycle(here, *lpi));
        m.measure(physical.len() as u64, || {
            physical.iter().for_each(|lpi| cycle(here, *lpi));
        });
    });
    expect(lost == 0, || format!("{lost} {what} did not come"))
}

/// The life of an LPI, one after the other of those that are mapped.
fn cycle(m: &mut Meter, mapped: u32) -> Result<()> {
    let bed = bed()?;
    let its = Its::probe(&bed.domain, &bed.cpus[0], 0);
    map(&bed, &its, mapped);
    let rounds = m.rounds();
    let physical: Vec<(u32, u32)> = (0..rounds as u32)
        .map(|n| n.wrapping_mul(7919) % mapped)
        .filter_map(|n| {
            let lpi = bed.domain.physical_lpi(0, n / EVENTS, n % EVENTS)?;
            Some((lpi, FIRST_LPI + n))
        })
        .collect();
    come(&bed, m, &physical, "LPIs")?;
    bed.end()
}

/// The same of what a device model sends, to an ITS that has no hardware behind it.
fn message(m: &mut Meter, mapped: u32) -> Result<()> {
    let profile = Profile {
        spis: 32,
        ..profile(3, 2)
    };
    let bed = Bed::unconfigured(profile, Config::guest(3, 2).with_msi())?;
    let all = bed.domain.set_limits(57_344, 64, 57_344);
    expect(all.is_ok(), || "the limits are refused".into())?;
    its::enable_lpis(&bed.domain, &bed.cpus);
    let its = Its::probe(&bed.domain, &bed.cpus[0], 0);
    map(&bed, &its, mapped);
    let doorbell = its.base + gits::TRANSLATER;
    let mut lost = 0;
    let mut cycle = |here: &Here<'_>, n: u32| {
        let n = n.wrapping_mul(7919) % mapped;
        let (device, event) = (n / EVENTS, n % EVENTS);
        here.exit();
        let sent = here.handle(|| (bed.domain).inject_msi_here(doorbell, 0, device, event));
        here.enter();
        let taken = here.take(|| ()) == FIRST_LPI + n;
        lost += u32::from(sent.is_err() || !taken);
    };
    let rounds = m.rounds();
    bed.on(0, |here| {
        (0..20).for_each(|n| cycle(here, n));
        m.measure(rounds, || {
            (0..rounds as u32).for_each(|n| cycle(here, n));
        });
    });
    expect(lost == 0, || format!("{lost} messages did not come"))?;
    bed.end()
}

/// The same of a PCI function of the host's that the guest has: a host LPI that is a message.
fn function(m: &mut Meter, mapped: u32) -> Result<()> {
    let profile = Profile {
        spis: 32,
        ..profile(3, 2).with_itses(1)
    };
    let bed = Bed::unconfigured(profile, Config::guest(3, 2).with_msi())?;
    its::enable_lpis(&bed.domain, &bed.cpus);
    let its = Its::probe(&bed.domain, &bed.cpus[0], 0);
    map(&bed, &its, mapped);
    let doorbell = its.base + gits::TRANSLATER;
    let pci = Arc::new(Pci::new(bed.cpus[0].machine(), Shape::LARGEST, 0, 77));
    let Ok(vpci) = Vpci::assign(&bed.domain, &pci, 0) else {
        bail!("the function is refused");
    };
    let device = Device::probe(&bed.cpus[0], &vpci);
    device.enable_msix(&bed.cpus[0], mapped, |n| (doorbell, n));
    let physical: Vec<(u32, u32)> = (0..m.rounds() as u32)
        .map(|n| n.wrapping_mul(7919) % mapped)
        .filter_map(|n| Some((pci.physical_lpi(n)?, FIRST_LPI + n)))
        .collect();
    come(&bed, m, &physical, "messages")?;
    drop((vpci, pci));
    bed.end()
}

/// Makes the command number `n` of a batch.
type Make = fn(&Its<'_>, u32) -> Command;

/// A kind of command: what is sent before, the one that is measured, and what undoes it.
struct Kind {
    name: &'static str,
    needs: Needs,
    before: Option<Make>,
    command: Make,
    after: Option<Make>,
}

const fn kind(
    name: &'static str,
    before: Option<Make>,
    command: Make,
    after: Option<Make>,
) -> Kind {
    Kind {
        name,
        needs: Needs::Its,
        before,
        command,
        after,
    }
}

const MAP: Make = |_, n| mapti(DEVICE, n, FIRST_LPI + n, 0);
const UNMAP: Make = |_, n| discard(DEVICE, n);

const KINDS: [Kind; 11] = [
    kind(
        "MAPD",
        None,
        |its, n| command::mapd(100 + n, 5, its.itt(n)),
        Some(|_, n| command::unmapd(100 + n)),
    ),
    kind("MAPC", None, |_, n| command::mapc(1, n as usize % 2), None),
    kind("MAPTI", None, MAP, Some(UNMAP)),
    kind(
        "MAPI",
        None,
        |_, n| command::mapi(DEVICE, FIRST_LPI + n, 0),
        Some(|_, n| discard(DEVICE, FIRST_LPI + n)),
    ),
    kind("DISCARD", Some(MAP), UNMAP, None),
    kind("MOVI", Some(MAP), |_, n| movi(DEVICE, n, 1), Some(UNMAP)),
    Kind {
        // Xen's ITS says that it ignores it.
        needs: Needs::OurIts,
        ..kind(
            "MOVALL",
            Some(MAP),
            |_, n| command::movall(n as usize % 2, (n as usize + 1) % 2),
            Some(UNMAP),
        )
    },
    kind("INV", Some(MAP), |_, n| inv(DEVICE, n), Some(UNMAP)),
    kind(
        "INT",
        Some(MAP),
        |_, n| command::int(DEVICE, n),
        Some(UNMAP),
    ),
    kind("CLEAR", Some(MAP), |_, n| clear(DEVICE, n), Some(UNMAP)),
    kind("SYNC", None, |_, n| command::sync(n as usize % 2), None),
];

fn commands(m: &mut Meter, kind: &Kind) -> Result<()> {
    let bed = bed()?;
    let cpu = &bed.cpus[0];
    let its = Its::probe(&bed.domain, cpu, 0);
    its.send(cpu, &[command::mapd(DEVICE, 14, its.itt(DEVICE))]);
    for n in 0..BATCH {
        configure(&bed.domain, FIRST_LPI + n, 0xa0, true);
    }
    let batch = |make: Make| -> Vec<Command> { (0..BATCH).map(|n| make(&its, n)).collect() };
    // The first time some memory appears that stays.
    for round in 0..m.few() + 1 {
        if let Some(before) = kind.before {
            its.send(cpu, &batch(before));
        }
        let commands = batch(kind.command);
        if round == 0 {
            its.send(cpu, &commands);
        } else {
            execute(m, &bed, &its, &commands)?;
        }
        if let Some(after) = kind.after {
            its.send(cpu, &batch(after));
        }
    }
    bed.end()
}

/// Puts commands into the queue, and measures the traps that execute them.
fn execute(m: &mut Meter, bed: &Bed, its: &Its<'_>, commands: &[Command]) -> Result<()> {
    let mut done = Ok(true);
    its.submit(commands, |written| {
        bed.on(0, |here| {
            m.measure(commands.len() as u64, || {
                // As often as the guest is to execute it.
                loop {
                    here.exit();
                    done = here.access(its.base + gits::CWRITER, Size::Double, true, written);
                    here.enter();
                    if !matches!(done, Ok(false)) {
                        break;
                    }
                }
            });
        });
    });
    done.map(|_| ())
}

fn invall_of(m: &mut Meter, mapped: u32) -> Result<()> {
    let bed = bed()?;
    let its = Its::probe(&bed.domain, &bed.cpus[0], 0);
    map(&bed, &its, mapped);
    for _ in 0..m.few() {
        execute(m, &bed, &its, &[invall(0)])?;
    }
    bed.end()
}
