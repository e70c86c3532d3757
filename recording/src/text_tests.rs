// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use crate::op::{Op, Register};
use crate::sample::recording;
use crate::script::{Fault, Group, Step, What};
use crate::words::STEPS;
use crate::{Recording, its};
use proptest::prelude::*;

fn parse(text: &str) -> Result<Recording, String> {
    let script: Script = text.parse().map_err(|e: Error| e.to_string())?;
    script.versions[0].recording().map_err(|e| e.to_string())
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
    let last = |scene: &Scene| {
        let r = scene.recording().expect("nothing but operations");
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

/// What a person's script is, on machines of which one has an ITS.
fn person(text: &str) -> Result<Script, String> {
    let find = |name: &str| {
        let (gics, itses, most_itses) = match name {
            "two" => (vec![2], 0, 0),
            "both" => (vec![3, 2], 0, 1),
            "server" => (vec![3], 4, 4),
            "virt-v3" => (vec![3], 0, 1),
            _ => return Err(format!("there is no machine {name}: two, both, server")),
        };
        Ok(Machine {
            gics,
            itses,
            most_itses,
        })
    };
    Script::parse(text, find).map_err(|e| e.to_string())
}

/// The steps of the first version.
fn steps(text: &str) -> Vec<Step> {
    let script = person(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let lines = script.versions[0].lines.iter();
    lines.flat_map(|line| line.steps.clone()).collect()
}

#[test]
fn steps_know_their_line() {
    let script = person("gic 2 3\n\n# A comment.\nboot\n  ack   0  40 # none\n").expect("a script");
    for scene in &script.versions {
        let [boot, ack] = &scene.lines[..] else {
            panic!("{scene:?}");
        };
        assert_eq!((boot.number, &*boot.text), (4, "boot"));
        assert_eq!((ack.number, &*ack.text), (5, "ack 0 40"));
        assert_eq!((boot.steps.len() > 50, ack.steps.len()), (true, 1));
    }
}

#[test]
fn the_machine_says_what_the_head_does_not() {
    let gics = |text: &str| -> Vec<u8> {
        let script = person(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        script.versions.iter().map(|s| s.head.gic).collect()
    };
    assert_eq!(gics("boot"), [3]);
    assert_eq!(gics("machine two\nboot"), [2]);
    assert_eq!(gics("machine both\nboot"), [3]);
    assert_eq!(gics("machine both\ngic 3 2\nboot"), [2, 3]);
    let script = person("machine server\nlrs 2\ntds 0\nlpis").expect("a script");
    let choice = &script.versions[0].machine;
    assert_eq!(choice.name.as_deref(), Some("server"));
    assert_eq!((choice.lrs, choice.tds), (Some(2), Some(false)));
    assert_eq!(choice.itses, None, "as many as the machine has");
}

#[test]
fn an_exception_may_be_what_must_be_seen() {
    for (text, fault) in [
        ("read 0 GICD+0x2000 abort", Fault::Abort),
        ("write8 0 GICD_CTLR 1 abort", Fault::Abort),
        ("read64 0 GITS_TYPER undefined", Fault::Undefined),
        ("sgi1r 0 1 undefined", Fault::Undefined),
        ("write64 0 ICC_SGI1R_EL1 1 undefined", Fault::Undefined),
    ] {
        let steps = steps(&format!("itses 1\n{text}"));
        assert_eq!(steps[0].fault, Some(fault), "{text}");
    }
}

#[test]
fn system_registers_have_their_names_too() {
    for text in [
        "sgi1r 0 0x10001",
        "ICC_SGI1R_EL1 0 0x10001",
        "write64 0 ICC_SGI1R_EL1 0x10001",
    ] {
        assert_eq!(steps(text), steps("sgi1r 0 0x10001"), "{text}");
    }
    assert_eq!(steps("write 0 ICC_PMR_EL1 0x80"), steps("set 0 pmr 0x80"));
    assert_eq!(
        steps("vcpus 3\nread 2 GICR_CTLR"),
        steps("vcpus 3\nread 2 GICR2_CTLR")
    );
}

#[test]
fn an_sgi_has_its_sender_on_a_gicv2() {
    let intid = |text: &str| match steps(text)[0].what {
        What::Op(Op::Ack { intid, .. } | Op::Eoi { intid, .. } | Op::Dir { intid, .. })
        | What::Ack { intid, .. }
        | What::Eoi { intid, .. } => intid,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(intid("gic 2\nack 0 2 from 1"), Some(1026));
    assert_eq!(intid("gic 2\neoi 0 2 from 1"), Some(1026));
    assert_eq!(intid("gic 2\ndir 0 1026"), Some(1026));
    assert_eq!(intid("gic 3\nack 0 2 from 1"), Some(2));
    assert_eq!(intid("ack 0 none"), Some(1023));
    assert_eq!(intid("ack 0"), None);
    assert_eq!(intid("eoi1 0 8192"), Some(8192));
    assert!(matches!(
        steps("ack0 1 40")[0].what,
        What::Ack {
            vcpu: 1,
            group: Group::G0,
            intid: Some(40)
        }
    ));
}

#[test]
fn extended_spis_have_registers_of_their_own() {
    let lines = |text: &str| -> Vec<String> {
        let steps = steps(&format!("espis 64\n{text}"));
        let ops = steps.iter().map(|step| match step.what {
            What::Op(op) => op.to_string(),
            ref other => panic!("{other:?}"),
        });
        ops.collect()
    };
    for (text, op) in [
        ("enable 0 4129", "write 0 GICD_ISENABLER1E 0x2"),
        ("disable 0 4096", "write 0 GICD_ICENABLER0E 0x1"),
        ("priority 0 4101 0x80", "write8 0 GICD_IPRIORITYR1E+1 0x80"),
        ("edge 0 4112", "write 0 GICD_ICFGR1E 0xaaaaaaaa"),
        ("route 0 4100 1", "write64 0 GICD_IROUTER4E 0x1"),
    ] {
        assert_eq!(lines(text), [op]);
    }
    let boot = lines("boot");
    for op in [
        "write 0 GICD_IGROUPR1E 0xffffffff",
        "write 0 GICD_IPRIORITYR15E 0xa0a0a0a0",
        "write64 0 GICD_IROUTER63E 0x0",
    ] {
        assert!(boot.iter().any(|line| line == op), "{op}: {boot:#?}");
    }
}

#[test]
fn commands_of_an_its_are_the_architectures() {
    let command = |text: &str| match steps(&format!("machine server\n{text}"))[0].what {
        What::Command { its, command, .. } => (its, command),
        ref other => panic!("{other:?}"),
    };
    let itt = its::itt(0, 0x108);
    assert_eq!(
        command("its 0 MAPD 0x108 3"),
        (0, [8 | 0x108 << 32, 2, 1 << 63 | itt, 0])
    );
    assert_eq!(
        command("its2 1 MAPD 0x108 3 0x100100000").1[2],
        1 << 63 | 0x1_0010_0000
    );
    assert_eq!(command("its 0 MAPD 8 off"), (0, [8 | 8 << 32, 0, 0, 0]));
    assert_eq!(
        command("its3 0 MAPTI 8 1 8200 1"),
        (3, [10 | 8 << 32, 8200 << 32 | 1, 1, 0])
    );
    assert_eq!(command("its 0 MAPC 1 0").1, [9, 0, 1 << 63 | 1, 0]);
    assert_eq!(command("its 0 MOVALL 1 0").1, [14, 0, 1 << 16, 0]);
    assert_eq!(command("its 0 1 2 3 0x4").1, [1, 2, 3, 4]);
    assert!(matches!(
        steps("machine server\nmsi1 8 3")[0].what,
        What::Message {
            its: 1,
            device: 8,
            event: 3
        }
    ));
}

#[test]
fn what_only_a_script_has_is_in_no_recording() {
    let script = person("boot\nhold 0").expect("a script");
    let error = script.versions[0].recording().expect_err("a hold");
    assert_eq!(
        error.to_string(),
        "line 2: `hold 0` cannot be in a recording"
    );
}

#[test]
fn mistakes_of_a_person_are_told_with_what_to_do() {
    for (text, line, what) in [
        ("", "", "nothing happens in it"),
        ("gic 2\n# boot\n", "", "nothing happens in it"),
        ("boot\n\nlrs 2", "line 3: `lrs` comes first", "line 1"),
        ("gic 2\ngic 3\nboot", "line 2", "`gic` is in line 1 already"),
        ("machine x\nboot", "line 1: there is no machine x", "two"),
        ("gic 3\nmachine two\nboot", "line 2", "two has no GICv3"),
        (
            "gic 2\n\nvcpus 9\nboot",
            "line 3: 9 vCPUs",
            "GICD_ITARGETSR",
        ),
        ("vcpus 129\nboot", "line 1: 129 vCPUs", "Xen"),
        ("vcpus 1000\nboot", "line 1", "1 to 128"),
        (
            "spis 989\nboot",
            "line 1: 989 SPIs",
            "32 to 1019 (IHI 0048B 2.2.1)",
        ),
        ("lrs 17\nboot", "line 1: 17 list", "ICH_VTR_EL2.ListRegs"),
        ("hardware 96 level\nboot", "line 1: INTID 96", "32 to 95"),
        ("hardware 42 level\nhardware 42 edge\nboot", "", "twice"),
        (
            "espis 1025\nboot",
            "line 1: 1025 extended SPIs",
            "4096 to 5119",
        ),
        (
            "gic 2 3\nespis 32\nboot",
            "line 2: 32 extended SPIs",
            "`gic 3`",
        ),
        ("enable 0 4096", "line 1: INTID 4096", "`espis`"),
        (
            "espis 32\nenable 0 4128",
            "line 2: INTID 4128 is beyond the last, 4127",
            "",
        ),
        (
            "hardware 4100 edge\nboot",
            "line 1: INTID 4100 is no SPI",
            "`espis`",
        ),
        (
            "espis 32\nhardware 4128 edge\nboot",
            "line 2: INTID 4128 is no SPI",
            "has 32",
        ),
        (
            "gic 2\nhardware 4100 edge\nboot",
            "line 2: INTID 4100",
            "32 to 95",
        ),
        ("gic 2\nitses 1\nboot", "line 2", "a GICv2 has no ITS"),
        ("itses 2\nboot", "line 1: 2 ITSes", "room for 1"),
        ("lpis", "line 1: there is no ITS 0", "`itses 1` in the head"),
        (
            "itses 1\nits1 0 SYNC 0",
            "line 2: there is no ITS 1",
            "has 1",
        ),
        (
            "itses 1\nits 0 MAPX 0",
            "line 2: there is no command `MAPX`",
            "MAPD",
        ),
        ("itses 1\nits 0 MAPD 0 0", "line 2: 0 bits", "1 to 32"),
        ("itses 1\nits 0 MAPD 0 5 0x10", "line 2: 0x10", "bits 51:8"),
        (
            "itses 1\nits 0 MAPTI 0 0 8192",
            "line 2: an ICID is missing",
            "",
        ),
        ("lpi 8191 0xa0", "line 1: INTID 8191 is no LPI", "65535"),
        ("lpi 8192 0xa1", "line 1: 0xa1", "bits 7:2"),
        ("lpi 8192 0xa0 on", "line 1: `on`", "enabled or disabled"),
        (
            "enable 0 8192",
            "line 1: INTID 8192",
            "for LPIs there is `lpi`",
        ),
        (
            "memory read 0x1000",
            "line 1: the guest has no memory",
            "0x100000000",
        ),
        (
            "memory write8 0x100000000 0x100",
            "line 1",
            "does not fit into 8",
        ),
        ("memory read64 0x101fffffc", "line 1", "no memory"),
        (
            "memory read32 0x100000000",
            "line 1: `read32`",
            "or without for 32",
        ),
        ("read32 0 GICD_CTLR", "line 1: `read32` is `read`", "width"),
        ("read 0 GICC_IAR", "line 1", "`ack`"),
        ("read 0 ICC_PMR_EL1", "line 1", "set only"),
        ("read 0 GICD_ISENABLER", "line 1", "GICD_ISENABLER1"),
        ("ack 0 40 from 1", "line 1: INTID 40", "only SGIs"),
        ("ack 0 2 from 2", "line 1: there is no vCPU 2", "has 2"),
        ("sgi 0 1 16", "line 1: INTID 16 is no SGI", "0 to 15"),
        ("route 0 27 1", "line 1: INTID 27 is private", ""),
        ("route 0 40 2", "line 1: there is no vCPU 2", ""),
        ("line 40 up up", "line 1: `up` is one word too many", ""),
        (
            "write 0 GICD_CTLR 99999999999999999999",
            "line 1",
            "not a value",
        ),
        (
            "ack 99999999999 1",
            "line 1: there is no vCPU 99999999999",
            "has 2",
        ),
    ] {
        let error = person(text).expect_err(text);
        assert!(
            error.contains(line) && error.contains(what),
            "{text}: {error}"
        );
        assert_eq!(error.lines().count(), 1, "{text}: {error}");
    }
}

#[test]
fn each_example_of_a_line_is_right() {
    for (word, line) in HEAD.iter().chain(&STEPS) {
        assert!(line.starts_with(word));
        let head = match *word {
            "lpis" | "its" | "msi" => "itses 1\n",
            "itses" | "espis" => "gic 3\n",
            _ => "",
        };
        let text = format!("{head}{line}\nboot\n");
        let script = person(&text);
        assert!(script.is_ok(), "{text}: {script:?}");
    }
}

#[test]
fn every_word_is_in_the_readme() {
    let readme = include_str!("../../scenarios/README.md");
    let commands = crate::commands::COMMANDS.iter();
    let words = HEAD.iter().chain(&STEPS).map(|(word, _)| word);
    for word in words.chain(commands) {
        let told = [" ", "`"].map(|end| readme.contains(&format!("`{word}{end}")));
        assert!(told.contains(&true) || word.ends_with("_EL1"), "{word}");
    }
}

#[test]
fn a_message_has_no_more_of_a_word_than_can_be_read() {
    let error = person(&"x\u{1b}".repeat(100_000)).expect_err("no word");
    assert!(error.len() < 200 && error.contains("x?x?"), "{error}");
}

#[test]
fn a_script_that_is_too_long_is_told() {
    let error = person(&"boot\n".repeat(20_000)).expect_err("too long");
    assert!(error.contains("more than 1048576 steps"), "{error}");
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
        (
            "exit 0\nvcpus 2",
            "line 2",
            "`vcpus` comes first: put it before the first step, which is in line 1",
        ),
        ("onwards 0", "line 1", "no `onwards`"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(
            error.contains(line) && error.contains(what),
            "{text}: {error}"
        );
    }
}
