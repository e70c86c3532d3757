// SPDX-License-Identifier: GPL-2.0-only
//! A whole vGIC is saved and restored: what that costs, and how long a stream is, with as many LPIs as there may be.

use super::bed::{Bed, profile};
use super::commands;
use super::row::{Meter, Needs, Row, Unit};
use crate::guests::guest::GuestCpu;
use crate::guests::its::{self, Its, MEMORY};
use crate::machine::profile::Profile;
use crate::xen::domain::{Config, Domain};
use anyhow::{Context, Result, anyhow};
use recording::its::MEMORY_SIZE;

/// LPIs that are mapped.
const LPIS: [u32; 3] = [1, 1000, 32_000];

pub(super) fn rows() -> Vec<Row> {
    let of = |n: u32, what: &str| format!("v3: {what} with {n} LPIs");
    let saves = LPIS.map(|n| Row::counted(of(n, "a save"), Needs::OurIts, move |m| save(m, n)));
    let restores =
        LPIS.map(|n| Row::counted(of(n, "a restore"), Needs::OurIts, move |m| restore(m, n)));
    let streams = LPIS.map(|n| {
        Row::new(of(n, "a stream"), Unit::Bytes, Needs::OurIts, move |m| {
            let stream = stream(&paused(n)?)?;
            m.found(stream.len() as u64, 1);
            Ok(())
        })
    });
    saves.into_iter().chain(restores).chain(streams).collect()
}

fn config() -> Config {
    Config {
        spis: 32,
        ..Config::guest(3, 2).with_msi()
    }
}

fn with_limits(domain: &Domain) -> Result<()> {
    let all = domain.set_limits(57_344, 64, 57_344);
    all.map_err(|errno| anyhow!("the limits are refused: {errno:?}"))
}

/// A guest with so many LPIs, none of whose vCPUs runs.
fn paused(mapped: u32) -> Result<Bed> {
    let profile = Profile {
        spis: 32,
        ..profile(3, 2)
    };
    let mut bed = Bed::unconfigured(profile, config())?;
    with_limits(&bed.domain)?;
    its::enable_lpis(&bed.domain, &bed.cpus);
    let its = Its::probe(&bed.domain, &bed.cpus[0], 0);
    commands::map(&bed, &its, mapped);
    bed.cpus.iter_mut().for_each(GuestCpu::preempt);
    Ok(bed)
}

fn stream(bed: &Bed) -> Result<Vec<u8>> {
    let stream = bed.domain.save();
    stream.map_err(|errno| anyhow!("it is not saved: {errno:?}"))
}

fn save(m: &mut Meter, mapped: u32) -> Result<()> {
    let bed = paused(mapped)?;
    let mut saved = None;
    m.measure(1, || saved = Some(stream(&bed)));
    saved.context("nothing was measured")??;
    bed.end()
}

fn restore(m: &mut Meter, mapped: u32) -> Result<()> {
    let bed = paused(mapped)?;
    let stream = stream(&bed)?;
    let other = Domain::with_vcpus(&bed.domain.machine, Config { id: 2, ..config() });
    let other = other.map_err(|errno| anyhow!("no second domain: {errno:?}"))?;
    with_limits(&other)?;
    other.add_memory(MEMORY, MEMORY_SIZE);
    let memory = bed.domain.read_range(MEMORY, MEMORY_SIZE as usize);
    other.write_memory(MEMORY, &memory);
    let mut restored = None;
    m.measure(1, || restored = Some(other.restore(&stream)));
    let restored = restored.context("nothing was measured")?;
    restored.map_err(|errno| anyhow!("{errno:?}: {}", other.machine.take_console()))?;
    drop(other);
    bed.end()
}
