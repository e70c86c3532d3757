// SPDX-License-Identifier: GPL-2.0-only
//! Scripts by chance, whose domain is saved and restored elsewhere again and again: on a new machine, which may have fewer list registers or
//! more, or a GICv3 in place of a GICv2. What its guest sees is what a GIC from the architecture alone shows, step by step.

use vgic_harness::comparison::chance::{Kind, Model};
use vgic_harness::comparison::search;

fn seeds(model: Model) {
    // More, on request: VGIC_SEEDS=10000 cargo test --release --test save
    let count = std::env::var("VGIC_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(100);
    for seed in 0..count {
        let found = search::moved(model, seed, &Kind::ALL).expect("a domain");
        assert_eq!(found, None, "{}", found.as_deref().unwrap_or_default());
    }
}

#[test]
fn moved_gicv2() {
    seeds(Model::Gicv2);
}

#[test]
fn moved_gicv3() {
    seeds(Model::Gicv3);
}

#[test]
fn moved_gicv3_with_extended_spis() {
    seeds(Model::Extended);
}
