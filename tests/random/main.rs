// SPDX-License-Identifier: GPL-2.0-only
//! Scripts by chance, the same for the same seed: what a guest sees depends neither on the number of list registers nor on where
//! exits and preemptions fall. It is what a GIC from the architecture alone shows.

use recording::text::Script;
use vgic_harness::comparison::chance::{Kind, Model};
use vgic_harness::comparison::diff;
use vgic_harness::comparison::differences::DIFFERENCES;
use vgic_harness::comparison::generate::generate;
use vgic_harness::comparison::search::{self, Variation};

/// Each is played in several ways.
fn seeds(model: Model) {
    // More, on request: VGIC_SEEDS=10000 cargo test --release --test random, or cargo run --release -- search --minutes 60
    let count = std::env::var("VGIC_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(40);
    for seed in 0..count {
        let found = search::seed(model, seed, &Kind::ALL).expect("a domain");
        assert_eq!(found, None, "{}", found.as_deref().unwrap_or_default());
    }
}

#[test]
fn gicv2() {
    seeds(Model::Gicv2);
}

#[test]
fn gicv3() {
    seeds(Model::Gicv3);
}

#[test]
fn gicv3_with_extended_spis() {
    seeds(Model::Extended);
}

/// What the oracle says is what QEMU's model says, too, of the scripts that are compared with that.
#[test]
fn the_oracle_knows_the_answers_that_qemu_gives() {
    let usual = Variation::plain(16);
    for (gic, seed) in (0..20).map(|seed| (2 + (seed % 2) as u8, seed)) {
        let script = generate(diff::recipe("qemu", gic), seed).script;
        let found = search::play(&script.head, usual, &script.ops).expect("a domain");
        assert!(found.is_none(), "seed {seed}: {found:?}");
    }
}

/// And it says what is written down, with its sections, where others differ.
#[test]
fn the_oracle_knows_the_known_differences() {
    for known in DIFFERENCES {
        let parsed: Script = known.script.parse().expect("a script");
        for scene in &parsed.versions {
            let script = scene.recording().expect("operations");
            let way = Variation::plain(script.head.lrs);
            let wrong = search::disagreement(&script, way).expect("a domain");
            assert_eq!(wrong, None, "{}", known.because);
        }
    }
}
