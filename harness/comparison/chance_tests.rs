// SPDX-License-Identifier: GPL-2.0-only

use super::*;

#[test]
fn a_seed_is_a_script_and_nothing_in_it_is_beyond_its_domain() {
    for (gic, seed) in (0..100).map(|seed| (2 + (seed & 1) as u8, seed)) {
        let one = script(gic, seed, &Kind::ALL);
        assert_eq!(one.ops, script(gic, seed, &Kind::ALL).ops);
        assert_ne!(one.ops, script(gic, seed + 1000, &Kind::ALL).ops);
        one.head.check().expect("a domain");
        for op in &one.ops {
            one.head.check_op(op).expect("an operation");
        }
    }
}

#[test]
fn what_is_left_out_does_not_happen() {
    let may = [Kind::Levels, Kind::Reads];
    for op in (0..50).flat_map(|seed| script(3, seed, &may).ops) {
        assert!(
            !matches!(op, Op::Preempt { .. } | Op::Wait { .. } | Op::Off { .. }),
            "{op}"
        );
    }
    assert_eq!("splitend".parse(), Ok(Kind::SplitEnd));
    assert!("nothing".parse::<Kind>().is_err());
}
