// SPDX-License-Identifier: GPL-2.0-only
//! Scripts by chance, cut off anywhere. What follows the reset is the whole script, and what a GIC from the architecture alone shows.

use super::*;
use recording::Head;
use recording::script::{Choice, Scene};
use vgic_harness::comparison::chance::{self, Kind, Model};
use vgic_harness::comparison::judge::Judge;
use vgic_harness::scripts::play::Stage;
use vgic_harness::scripts::script;

/// Plays so many operations. What the oracle says of that, if it has something to say.
fn play(stage: &mut Stage, head: &Head, espis: u16, ops: &[recording::Op]) -> Option<String> {
    let mut judge = Judge::new(head, espis);
    for op in ops {
        let Some(op) = judge.resolve(op) else {
            continue;
        };
        if let (_, Some(wrong)) = judge.see(&op, stage.play(&op)) {
            return Some(format!("{op}: {wrong}"));
        }
        // As in the search: how fast a line falls no guest can tell.
        if matches!(
            op,
            recording::Op::Line { level: false, .. }
                | recording::Op::PrivateLine { level: false, .. }
        ) {
            for vcpu in 0..head.vcpus {
                let exit = recording::Op::Exit { vcpu };
                if let (_, Some(wrong)) = judge.see(&exit, stage.play(&exit)) {
                    return Some(format!("{op}, exit: {wrong}"));
                }
            }
        }
    }
    None
}

fn stage(head: &Head, machine: Option<&'static str>, espis: u16) -> Stage {
    let scene = Scene {
        head: head.clone(),
        machine: Choice {
            name: machine.map(Into::into),
            lrs: Some(head.lrs),
            tds: Some(head.gic == 3),
            itses: Some(0),
            espis,
        },
        lines: Vec::new(),
    };
    Stage::on_machine(script::profile(&scene), head, espis.into()).expect("a domain")
}

fn seed(model: Model, seed: u64, machine: Option<&'static str>) {
    let script = chance::script(model, seed, &Kind::ALL);
    let espis = script.espis;
    let head = Head {
        lrs: [1, 2, 4, 16][(seed % 4) as usize],
        ..script.head.clone()
    };
    // One machine at a time.
    let new = stage(&head, machine, espis);
    let image = new_image(new.domain());
    assert_eq!(new.end(), [""; 0], "seed {seed}");
    let mut old = stage(&head, machine, espis);
    let cut = script.fixed + (seed as usize * 37) % (script.ops.len() - script.fixed + 1);
    assert_eq!(
        play(&mut old, &head, espis, &script.ops[..cut]),
        None,
        "before"
    );
    old.reset();
    assert_new(old.domain(), &image, &format!("seed {seed}"));
    for line in &head.hardware {
        let irq = old.machine().gic.snapshot(line.intid as u16).expect("one");
        let settled = !irq.active && !irq.enabled && !irq.pending;
        assert!(settled, "seed {seed}, {}: {irq:?}", line.intid);
    }
    let wrong = play(&mut old, &head, espis, &script.ops);
    assert_eq!(wrong, None, "seed {seed}: after the reset");
    assert_eq!(old.end(), [""; 0], "seed {seed}");
}

/// More, on request: VGIC_SEEDS=10000 cargo test --release --test reset
fn seeds() -> u64 {
    std::env::var("VGIC_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(60)
}

#[test]
fn reset_of_gicv2() {
    (0..seeds()).for_each(|n| seed(Model::Gicv2, n, None));
}

#[test]
fn reset_of_gicv3() {
    (0..seeds()).for_each(|n| seed(Model::Gicv3, n, None));
}

#[test]
fn reset_of_gicv2_on_gicv3() {
    (0..seeds()).for_each(|n| seed(Model::Gicv2, n, Some("fvp-base")));
}

#[test]
fn reset_of_gicv3_with_extended_spis() {
    (0..seeds()).for_each(|n| seed(Model::Extended, n, None));
}
