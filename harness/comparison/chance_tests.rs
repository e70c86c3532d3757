// SPDX-License-Identifier: GPL-2.0-only

use super::*;

#[test]
fn a_seed_is_a_script_and_nothing_in_it_is_beyond_its_domain() {
    for (model, seed) in (0..150).map(|seed| (Model::ALL[seed as usize % 3], seed)) {
        let one = script(model, seed, &Kind::ALL);
        assert_eq!(one.ops, script(model, seed, &Kind::ALL).ops);
        assert_ne!(one.ops, script(model, seed + 1000, &Kind::ALL).ops);
        one.head.check().expect("a domain");
        for op in &one.ops {
            one.head.check_op(op).expect("an operation");
        }
    }
}

#[test]
fn what_is_left_out_does_not_happen() {
    let may = [Kind::Levels, Kind::Reads];
    for op in (0..50).flat_map(|seed| script(Model::Gicv3, seed, &may).ops) {
        assert!(
            !matches!(op, Op::Preempt { .. } | Op::Wait { .. } | Op::Off { .. }),
            "{op}"
        );
    }
    assert_eq!("splitend".parse(), Ok(Kind::SplitEnd));
    assert!("nothing".parse::<Kind>().is_err());
}

#[test]
fn extended_spis_do_what_others_do() {
    let scripts = (0..200).map(|seed| script(Model::Extended, seed, &Kind::ALL));
    let ops: Vec<Op> = scripts.flat_map(|s| s.ops[s.fixed..].to_vec()).collect();
    let line = |op: &Op| matches!(op, Op::Line { intid, .. } if *intid >= FIRST_ESPI);
    assert!(ops.iter().filter(|op| line(op)).count() > 1000);
    for array in [
        0x1000, 0x1200, 0x1400, 0x1600, 0x1800, 0x1a00, 0x1c00, 0x2000, 0x3000, 0x8000,
    ] {
        let there = |op: &&Op| {
            matches!(op, Op::Write { register, .. }
                if register.frame == recording::Frame::Gicd
                    && (array..array + 0x200).contains(&register.offset))
        };
        let times = ops.iter().filter(there).count();
        assert!(times > 40, "{array:#x}: {times} times");
    }
}
