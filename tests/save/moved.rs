// SPDX-License-Identifier: GPL-2.0-only
//! Scripts by chance, whose domain is saved and restored elsewhere again and again: on a new machine, which may have fewer list registers or
//! more, or a GICv3 in place of a GICv2. What its guest sees is what a GIC from the architecture alone shows, step by step.

use recording::driver::Driver;
use recording::{Field, Head, Op, Register, Size};
use vgic_harness::comparison::chance::{Kind, Model};
use vgic_harness::comparison::search;
use vgic_harness::machine::profile::Profile;
use vgic_harness::scripts::play::{Seen, Stage};

fn all(model: Model) {
    for seed in crate::seeds() {
        let found = search::moved(model, seed, &Kind::ALL).expect("a domain");
        assert_eq!(found, None, "{}", found.as_deref().unwrap_or_default());
    }
}

#[test]
fn moved_gicv2() {
    all(Model::Gicv2);
}

#[test]
fn moved_gicv3() {
    all(Model::Gicv3);
}

#[test]
fn moved_gicv3_with_extended_spis() {
    all(Model::Extended);
}

/// What a vCPU had acknowledged when it was switched off is active until somebody deactivates it, wherever it is switched on again: no
/// end of another interrupt is counted for it.
#[test]
fn what_was_active_when_a_vcpu_went_off_stays_so() {
    for (profile, group) in [
        (Profile::GICV2, Field::Group0),
        (Profile::GICV3, Field::Group1),
    ] {
        let profile = Profile { lrs: 1, ..profile };
        let head = Head::small(profile.gic);
        let driver = Driver::new(&head, 0);
        let play = |stage: &mut Stage, ops: &[Op]| {
            for op in ops {
                let seen = stage.play(op);
                let right = match *op {
                    Op::Ack { intid, .. } => Seen::Taken(intid.unwrap_or(1023)),
                    _ => Seen::Done,
                };
                assert_eq!(seen, right, "{op}");
            }
        };
        let come = |intid| {
            let line = Op::Line { intid, level: true };
            let intid = Some(intid);
            [line, Op::Ack { vcpu: 0, intid }]
        };
        let mut ops = driver.boot();
        ops.push(driver.trigger(40, true));
        for (intid, priority) in [(40, 0x20), (41, 0x80), (42, 0x60)] {
            ops.extend([driver.priority(intid, priority), driver.enable(intid)]);
        }
        ops.extend(come(40));
        ops.push(Op::Off { vcpu: 0 });
        let mut stage = Stage::on_machine(profile, &head, 0).expect("a domain");
        play(&mut stage, &ops);
        let mut stage = stage.moved_to(profile).expect("it is restored");
        let set = |field, value| Op::Set {
            vcpu: 0,
            field,
            value,
        };
        let mut ops = vec![Op::On { vcpu: 0 }, set(Field::Pmr, 0xf0), set(group, 1)];
        // Two at once, and a list register for one.
        ops.extend([41, 42].into_iter().flat_map(come));
        ops.extend([42, 41].map(|intid| Op::Eoi {
            vcpu: 0,
            intid: Some(intid),
        }));
        ops.push(Op::Exit { vcpu: 0 });
        play(&mut stage, &ops);
        let active = stage.play(&Op::Read {
            vcpu: 0,
            register: Register::gicd(0x304),
            size: Size::Word,
            value: None,
        });
        assert_eq!(active, Seen::Value(1 << (40 - 32)), "{}", profile.name);
        assert_eq!(stage.end(), [""; 0]);
    }
}
