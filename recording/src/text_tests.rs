// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use crate::op::Register;
use crate::sample::recording;
use proptest::prelude::*;

fn parse(text: &str) -> Result<Recording, String> {
    let script: Script = text.parse().map_err(|e: Error| e.to_string())?;
    Ok(script.versions[0].clone())
}

proptest! {
    #[test]
    fn what_is_printed_is_parsed(recording in recording()) {
        prop_assert_eq!(parse(&recording.to_string()), Ok(recording));
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "([a-z0-9_+ #A-Z]{0,12} ?[0-9x]{0,3}\n){0,6}") {
        let _ = parse(&text);
    }
}

#[test]
fn a_script_for_both_versions_is_two() {
    let script: Script = "gic 2 3\nboot\nenable 0 40 # a device\nroute 0 40 1\nsgi 0 1 3\n"
        .parse()
        .expect("a script");
    let [v2, v3] = &script.versions[..] else {
        panic!("{script:?}");
    };
    let last = |r: &Recording| {
        let lines: Vec<String> = r.ops.iter().rev().take(3).map(Op::to_string).collect();
        lines.join("; ")
    };
    assert_eq!(
        last(v2),
        "write 0 GICD_SGIR 0x20003; write8 0 GICD_ITARGETSR10 0x2; write 0 GICD_ISENABLER1 0x100"
    );
    assert_eq!(
        last(v3),
        "sgi1r 0 0x3000002; write64 0 GICD_IROUTER40 0x1; write 0 GICD_ISENABLER1 0x100"
    );
}

#[test]
fn private_interrupts_are_in_the_redistributor_of_a_gicv3() {
    let v3 = parse("gic 3\nenable 1 27\npriority 1 27 0x80").expect("a script");
    let register = Register::gicr(1, 0x1_0100);
    assert!(matches!(v3.ops[0], Op::Write { register: r, value: 0x800_0000, .. } if r == register));
    assert_eq!(v3.ops[1].to_string(), "write8 1 GICR1_IPRIORITYR6+3 0x80");
    let v2 = parse("gic 2\nenable 1 27").expect("a script");
    assert_eq!(v2.ops[0].to_string(), "write 1 GICD_ISENABLER0 0x8000000");
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (text, line, what) in [
        ("gic 4", "", "no GICv4"),
        ("gic 2\nvcpus 9", "", "9 vCPUs"),
        ("gic x", "line 1", "`x` is not 2 or 3"),
        ("\n\nfly 0", "line 3", "no `fly`"),
        ("ack 7", "line 1", "no vCPU 7"),
        ("ack 0 40 50", "line 1", "`50` is one word too many"),
        ("read 0 GICD_NONE", "line 1", "no register `GICD_NONE`"),
        ("write 0 GICD_CTLR", "line 1", "a value is missing"),
        ("write8 0 GICD_IPRIORITYR0 0x100", "line 1", "does not fit"),
        ("write32 0 GICD_CTLR 1", "line 1", "width"),
        ("line 40 sideways", "line 1", "up or down"),
        ("line 31 up", "line 1", "INTID 31"),
        ("ppi 0 40 up", "line 1", "INTID 40"),
        ("enable 0 96", "line 1", "INTID 96"),
        ("set 0 group1 2", "line 1", "more than 1"),
        ("exit 0\nvcpus 2", "line 2", "no `vcpus`"),
        ("onwards 0", "line 1", "no `onwards`"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(
            error.contains(line) && error.contains(what),
            "{text}: {error}"
        );
    }
}
