// SPDX-License-Identifier: GPL-2.0-only
//! A row of the table: what it needs, how it is measured, and what was found.
//!
//! callgrind counts the instructions inside of `measured`, each time it is called, and which function spent them; without
//! it the time is taken. What else a row has, it counts itself: bytes, accesses of list registers.

use crate::xen::vcpu::RVIC;
use crate::xen::{abi, peer};
use anyhow::{Result, bail};
use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// What is said of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Instructions of one operation.
    Instructions,
    /// Nanoseconds of one operation, where threads matter.
    Nanoseconds,
    /// Bytes of the hypervisor's memory.
    Bytes,
    /// Accesses of list registers.
    Accesses,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instructions => "instructions",
            Self::Nanoseconds => "ns",
            Self::Bytes => "bytes",
            Self::Accesses => "accesses",
        })
    }
}

/// Which vGICs can do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Those with this version of the GIC.
    Gic(u8),
    /// Those that Xen tells levels on each exit.
    Lines(u8),
    /// Those with ITSes.
    Its,
    /// The one with our ITSes.
    OurIts,
    /// The one with rVICs.
    Rvic,
}

impl Needs {
    /// The version of the GIC.
    fn gic(self) -> u8 {
        match self {
            Self::Gic(gic) | Self::Lines(gic) => gic,
            Self::Its | Self::OurIts => 3,
            Self::Rvic => RVIC,
        }
    }

    fn met(self) -> bool {
        let able = match self {
            Self::Gic(_) => true,
            Self::Lines(_) => abi::samples_lines(),
            Self::Its => abi::has_itses(),
            Self::OurIts | Self::Rvic => peer::is_ours(),
        };
        able && abi::max_vcpus(self.gic().into()) != 0
    }
}

/// How a row is measured.
pub(super) type Work = Box<dyn Fn(&mut Meter) -> Result<()>>;

/// A row of the table.
pub struct Row {
    pub name: String,
    /// On the way of each interrupt.
    pub hot: bool,
    pub unit: Unit,
    needs: Needs,
    run: Work,
}

impl Row {
    pub(super) fn new(
        name: impl Into<String>,
        unit: Unit,
        needs: Needs,
        run: impl Fn(&mut Meter) -> Result<()> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            hot: false,
            unit,
            needs,
            run: Box::new(run),
        }
    }

    pub(super) fn counted(
        name: impl Into<String>,
        needs: Needs,
        run: impl Fn(&mut Meter) -> Result<()> + 'static,
    ) -> Self {
        Self::new(name, Unit::Instructions, needs, run)
    }

    pub(super) fn hot(mut self) -> Self {
        self.hot = true;
        self
    }

    /// Runs it on the vGIC that is chosen. None: it cannot do that.
    ///
    /// # Errors
    /// If an interrupt did not come, or something broke.
    pub fn run(&self, counting: bool) -> Result<Option<Measure>> {
        if !self.needs.met() {
            return Ok(None);
        }
        let mut meter = Meter::new(counting);
        (self.run)(&mut meter)?;
        Ok(Some(meter.measure))
    }
}

/// What a row found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measure {
    /// Operations that were measured.
    pub operations: u64,
    /// In how many parts: callgrind writes a file for each.
    pub parts: u64,
    time: Duration,
    /// What the row counted itself, of one operation.
    own: Option<f64>,
}

impl Measure {
    /// Of one operation: what the row counted, or else nanoseconds.
    pub fn value(&self) -> f64 {
        let time = self.time.as_secs_f64() * 1e9 / self.operations.max(1) as f64;
        self.own.unwrap_or(time)
    }
}

/// Measures parts of a row.
pub struct Meter {
    /// Fewer operations do, each of which takes long.
    counting: bool,
    measure: Measure,
}

impl Meter {
    fn new(counting: bool) -> Self {
        Self {
            counting,
            measure: Measure::default(),
        }
    }

    /// How often something is done that is short.
    pub(super) fn rounds(&self) -> u64 {
        if self.counting { 100 } else { 2000 }
    }

    /// The same where it is long, or its preparation is.
    pub(super) fn few(&self) -> u64 {
        if self.counting { 2 } else { 10 }
    }

    /// Measures `work`, which is so many operations.
    pub(super) fn measure(&mut self, operations: u64, mut work: impl FnMut()) {
        let started = Instant::now();
        measured(&mut work);
        self.measure.time += started.elapsed();
        self.measure.operations += operations;
        self.measure.parts += 1;
    }

    /// Time that was taken elsewhere.
    pub(super) fn took(&mut self, operations: u64, time: Duration) {
        self.measure.time += time;
        self.measure.operations += operations;
    }

    /// What the row has counted itself, of so many operations.
    pub(super) fn found(&mut self, total: u64, operations: u64) {
        self.measure.operations = operations;
        self.measure.own = Some(total as f64 / operations.max(1) as f64);
    }
}

/// callgrind knows it by name.
#[unsafe(no_mangle)]
#[inline(never)]
fn vgic_bench_measured(work: &mut dyn FnMut()) {
    work();
    // No tail call: callgrind is to see the return.
    black_box(());
}

fn measured(work: &mut dyn FnMut()) {
    vgic_bench_measured(black_box(work));
}

/// Bails out unless it is so.
pub(super) fn expect(holds: bool, what: impl FnOnce() -> String) -> Result<()> {
    if !holds {
        bail!(what());
    }
    Ok(())
}
