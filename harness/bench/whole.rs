// SPDX-License-Identifier: GPL-2.0-only
//! What Linux did, as a whole; and threads that inject at once.

use super::bed::{Bed, Here, SPIS};
use super::row::{Meter, Needs, Row, Unit, expect};
use crate::scripts::replay::replay;
use anyhow::{Context, Result};
use recording::Recording;
use std::fs;
use std::hint::black_box;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// The recordings, and the version of the GIC in each.
const RECORDINGS: [(&str, u8); 4] = [
    ("boot-v2", 2),
    ("load-v2", 2),
    ("boot-v3", 3),
    ("load-v3", 3),
];

pub(super) fn rows() -> Vec<Row> {
    let recorded = RECORDINGS.iter().map(|&(name, gic)| {
        Row::counted(
            format!("recording {name}, all of it"),
            Needs::Gic(gic),
            move |m| recording(m, name),
        )
    });
    let threads = [2, 3].into_iter().flat_map(|gic| {
        [1, 2].map(|vcpus| {
            let name = format!("v{gic}: inject from 2 threads, at {vcpus} vCPU");
            Row::new(name, Unit::Nanoseconds, Needs::Gic(gic), move |m| {
                threads(m, gic, vcpus)
            })
        })
    });
    recorded.chain(threads).collect()
}

/// Plays a recording, from the creation of its domain to its end.
fn recording(m: &mut Meter, name: &str) -> Result<()> {
    let directory: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let file = directory.join(name).with_extension("vgicrec");
    let opened = fs::File::open(&file).with_context(|| file.display().to_string())?;
    let recording = Recording::read(BufReader::new(opened))?;
    let mut outcome = None;
    m.measure(1, || outcome = Some(replay(&recording, |_| ())));
    // What a C vGIC gets wrong of it is no business of this table's.
    let outcome = outcome.context("nothing was played")??;
    black_box(outcome);
    Ok(())
}

/// Two CPUs that inject edges at once: of all SPIs each has every other one.
fn threads(m: &mut Meter, gic: u8, vcpus: usize) -> Result<()> {
    let bed = Bed::new(gic, 2)?;
    let spis = 32..32 + SPIS;
    if vcpus == 2 {
        spis.clone()
            .skip(1)
            .step_by(2)
            .for_each(|intid| crate::guests::linux::route(&bed.cpus[0], intid, 1));
    }
    let mut lost = 0;
    // callgrind has nothing to count here.
    for round in 0..m.few() * 2 {
        let barrier = Barrier::new(2);
        let times: Vec<Duration> = std::thread::scope(|scope| {
            let injectors: Vec<_> = [0, 1]
                .map(|n| {
                    let (bed, barrier, spis) = (&bed, &barrier, spis.clone());
                    // Neither of the CPUs has a guest.
                    scope.spawn(move || {
                        bed.domain.machine.on(2 + n, |_, _| {
                            barrier.wait();
                            let started = Instant::now();
                            spis.skip(n)
                                .step_by(2)
                                .for_each(|i| bed.domain.inject(i, true));
                            started.elapsed()
                        })
                    })
                })
                .into_iter()
                .collect();
            injectors
                .into_iter()
                .filter_map(|injector| injector.join().ok())
                .collect()
        });
        // The first round is for the caches.
        if round != 0 {
            let slower = times.into_iter().max().unwrap_or_default();
            m.took(u64::from(spis.end - spis.start), slower);
        }
        let taken: usize = (0..2).map(|n| bed.on(n, drain)).sum();
        lost += spis.len() - taken;
    }
    expect(lost == 0, || format!("{lost} SPIs did not come"))?;
    bed.end()
}

/// Takes all there is.
fn drain(here: &Here<'_>) -> usize {
    let taken = std::iter::from_fn(|| {
        here.exit();
        here.enter();
        (here.take(|| ()) < 1020).then_some(())
    });
    taken.take(2000).count()
}
