// SPDX-License-Identifier: GPL-2.0-only
//! `diff`: random scripts on ours and on a peer, and the differences that are known.
//!
//! Each difference is ours to mend, or is in [`DIFFERENCES`] with the section of the architecture that says we are right. A
//! difference that is known has a script that shows it, which ours must pass and the peer must not; what it would make happen
//! everywhere is left out of the random scripts, and only that.

use crate::comparison::compare::{self, Peer};
use crate::comparison::differences::{DIFFERENCES, Known};
use crate::comparison::generate::{Feature, Recipe, generate};
use crate::scripts::script;
use crate::scripts::steps::{Said, verdict};
use anyhow::{Context, Result, bail};
use recording::Recording;
use recording::script::Scene;
use recording::text::Script;
use std::fmt::Write;

/// What is left out for a peer.
fn without(peer: &str, gic: u8) -> &'static [Feature] {
    let known = DIFFERENCES
        .iter()
        .filter(|k| k.peer == peer && k.gic.contains(&gic));
    let mut all: Vec<Feature> = known.flat_map(|k| k.without).copied().collect();
    // QEMU has no scheduler, and its system registers cannot be reached from outside.
    if peer == "qemu" {
        all.push(Feature::Scheduling);
    }
    if peer == "qemu" && gic == 3 {
        all.push(Feature::Interface);
    }
    // A recipe is made once per run.
    Box::leak(all.into_boxed_slice())
}

/// Which random scripts a peer gets.
pub fn recipe(peer: &str, gic: u8) -> Recipe {
    Recipe {
        gic,
        // QEMU's GICv2 is seen as CPU 0 sees it.
        vcpus: if peer == "qemu" && gic == 2 { 1 } else { 3 },
        steps: 300,
        without: without(peer, gic),
    }
}

/// The versions of the GIC that a peer has.
pub fn versions(peer: &str) -> &'static [u8] {
    if peer == "new" { &[2] } else { &[2, 3] }
}

/// The scripts of a known difference, one for each version of the GIC on which it shows.
///
/// # Errors
/// If it is no script.
pub fn scripts(known: &Known) -> Result<Vec<Recording>> {
    let parsed: Result<Script, _> = known.script.parse();
    let script = parsed.with_context(|| format!("the script of `{}`", known.because))?;
    let wanted = |scene: &&Scene| known.gic.contains(&scene.head.gic);
    let recordings = script.versions.iter().filter(wanted).map(Scene::recording);
    Ok(recordings.collect::<Result<_, _>>()?)
}

/// Whether a known difference is there still; what is wrong if not.
///
/// # Errors
/// If the peer cannot be started.
pub fn check(known: &Known, peer: &Peer) -> Result<Option<String>> {
    for script in scripts(known)? {
        let gic = script.head.gic;
        let wrong = script::play(&(&script).into())?;
        if let Some(wrong) = wrong.first() {
            return Ok(Some(format!(
                "GICv{gic}: ours is not as `{}` says: {wrong}",
                known.because
            )));
        }
        let theirs = peer.transcript(&script)?;
        let differs = theirs.broken.is_some()
            || script
                .ops
                .iter()
                .zip(&theirs.seen)
                .any(|(op, seen)| matches!(verdict(&(*op).into(), *seen, gic), Said::Wrong(_)));
        if !differs {
            return Ok(Some(format!(
                "GICv{gic}: {peer} does as we do, take it out of the list: `{}`",
                known.because
            )));
        }
    }
    Ok(None)
}

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Random scripts, all the same on both.
    pub scripts: u64,
    /// Known differences, all still there.
    pub known: usize,
    /// What is wrong.
    pub wrong: Vec<String>,
}

/// Compares with a peer: `seeds` random scripts for each version of the GIC, and the known differences.
///
/// # Errors
/// If the peer cannot be started.
pub fn compare_with(peer: &Peer, seeds: u64, mut progress: impl FnMut()) -> Result<Findings> {
    let mut findings = Findings::default();
    let name = peer.to_string();
    for known in DIFFERENCES.iter().filter(|k| k.peer == name) {
        findings.wrong.extend(check(known, peer)?);
        findings.known += 1;
    }
    for &gic in versions(&name) {
        let found = random(peer, gic, seeds, |_| {
            findings.scripts += 1;
            progress();
        })?;
        findings.wrong.extend(found);
    }
    Ok(findings)
}

/// Random scripts; the report of the first difference, with the shortest script that shows it.
///
/// # Errors
/// If the peer cannot be started.
pub fn random(
    peer: &Peer,
    gic: u8,
    seeds: u64,
    mut progress: impl FnMut(u64),
) -> Result<Option<String>> {
    for seed in 0..seeds {
        let generated = generate(recipe(&peer.to_string(), gic), seed);
        if compare::compare(&generated.script, peer)?.is_some() {
            return report(&generated.script, generated.fixed, peer).map(Some);
        }
        progress(seed);
    }
    Ok(None)
}

fn report(script: &Recording, fixed: usize, peer: &Peer) -> Result<String> {
    let short = compare::shrink(script, fixed, |s| Ok(compare::compare(s, peer)?.is_some()))?;
    let Some(difference) = compare::compare(&short, peer)? else {
        bail!(
            "{}: a difference from {peer} that comes and goes",
            script.head.origin
        );
    };
    let mut text = format!(
        "{}, GICv{}: ours and {peer} part\n\n",
        script.head.origin, script.head.gic
    );
    // Writing to a string does not fail.
    let _ = writeln!(text, "# after `boot` and the priorities of the generator");
    for (n, op) in short.ops.iter().enumerate().skip(fixed) {
        let _ = write!(text, "{op}");
        if n == difference.at {
            let _ = write!(
                text,
                "    # ours: {}, {peer}: {}",
                difference.ours, difference.theirs
            );
        }
        text.push('\n');
    }
    if difference.at >= short.ops.len() {
        let _ = writeln!(text, "# at the end {peer} says: {}", difference.theirs);
    }
    Ok(text)
}
