// SPDX-License-Identifier: GPL-2.0-only
//! Bytes of the hypervisor's memory: what the vGIC allocates, as it asks for it, and what it has within Xen's own
//! structures. What a hundred more cost says what one costs.

use super::bed::profile;
use super::commands;
use super::row::{Needs, Row, Unit, Work};
use crate::guests::its::Its;
use crate::machine::profile::Profile;
use crate::xen::abi;
use crate::xen::domain::{Config, Domain, RVIC};
use crate::xen::faults;
use crate::xen::host::Machine;
use anyhow::{Result, bail};

/// LPIs that are mapped at the least and at the most.
const LPIS: [u32; 2] = [1000, 40_000];

/// The same of SPIs.
const SPIS: [u32; 2] = [32, 960];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |name: String, needs, run: Work| {
        rows.push(Row::new(name, Unit::Bytes, needs, run));
    };
    // An rVID has an input for what else is an SPI, and each rVIC an untrusted interrupt for that.
    for (gic, name) in [(2, "v2"), (3, "v3"), (RVIC, "rvic")] {
        let needs = if gic == RVIC {
            Needs::Rvic
        } else {
            Needs::Gic(gic)
        };
        for (vcpus, s) in [(1, ""), (4, "s")] {
            for spis in SPIS {
                row(
                    format!("{name}: a domain of {vcpus} vCPU{s}, {spis} SPIs"),
                    needs,
                    Box::new(move |m| {
                        m.found(domain(gic, vcpus, spis)?, 1);
                        Ok(())
                    }),
                );
            }
        }
        for spis in SPIS {
            row(
                format!("{name}: one more vCPU, {spis} SPIs"),
                needs,
                Box::new(move |m| {
                    m.found(domain(gic, 8, spis)? - domain(gic, 1, spis)?, 7);
                    Ok(())
                }),
            );
        }
        row(
            format!("{name}: one more SPI"),
            needs,
            Box::new(move |m| {
                let [few, many] = SPIS;
                let more = domain(gic, 1, many)? - domain(gic, 1, few)?;
                m.found(more, (many - few).into());
                Ok(())
            }),
        );
    }
    row(
        "v3: one more LPI".into(),
        Needs::Its,
        Box::new(|m| {
            let [few, many] = LPIS;
            m.found(lpis(many)? - lpis(few)?, (many - few).into());
            Ok(())
        }),
    );
    rows
}

/// What a domain takes, once it has been made.
fn domain(gic: u8, vcpus: usize, spis: u32) -> Result<u64> {
    let machine = Machine::power_on(Profile {
        spis: spis as usize,
        ..profile(gic, vcpus)
    });
    let before = faults::live_bytes();
    let config = Config {
        spis,
        ..Config::guest(gic, vcpus)
    };
    let Ok(_domain) = Domain::with_vcpus(&machine, config) else {
        bail!("the vGIC refuses a domain of {vcpus} vCPUs and {spis} SPIs");
    };
    let allocated = (faults::live_bytes() - before) as u64;
    Ok(allocated + abi::embedded(false) + vcpus as u64 * abi::embedded(true))
}

/// What so many LPIs take.
fn lpis(count: u32) -> Result<u64> {
    let bed = commands::bed()?;
    let its = Its::probe(&bed.domain, &bed.cpus[0], 0);
    let before = faults::live_bytes();
    commands::map(&bed, &its, count);
    let taken = (faults::live_bytes() - before) as u64;
    bed.end()?;
    Ok(taken)
}
