// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use std::collections::BTreeSet;

#[test]
fn every_scenario_ends_as_it_says() {
    for scenario in SCENARIOS {
        assert!(!scenario.about().is_empty(), "{}", scenario.name);
        for script in scenario.versions().expect("a script") {
            let wrong = play(&script).expect("a domain");
            assert!(
                wrong.is_empty(),
                "{}, GICv{}: {wrong:#?}",
                scenario.name,
                script.head.gic
            );
        }
    }
}

#[test]
fn every_file_of_scenarios_has_its_name_in_the_list() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
    let files = std::fs::read_dir(directory).expect("a directory");
    let names: BTreeSet<String> = files
        .map(|f| f.expect("a file").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let scripts = SCENARIOS.iter().map(|s| format!("{}.vgic", s.name));
    let listed = scripts.chain(["README.md".to_owned()]).collect();
    assert_eq!(names, listed);
}

/// What is said of a script of one version: of each remark whether it is wrong, and its text.
fn remarks(text: &str) -> Vec<(bool, String)> {
    let scenes = parse(text).unwrap_or_else(|e| panic!("{text}: {e:#}"));
    let mut all = Vec::new();
    let tell = |remark: Remark| all.push((remark.wrong, remark.to_string()));
    play_and_tell(&scenes[0], tell).expect("a domain");
    all
}

/// The one thing that is not as the script says.
fn wrong(text: &str) -> String {
    match &remarks(text)[..] {
        [(true, what)] => what.clone(),
        other => panic!("{text}: {other:#?}"),
    }
}

/// What is seen where the script does not say what is to be seen.
fn seen(text: &str) -> Vec<String> {
    let all = remarks(text).into_iter();
    all.map(|(wrong, what)| {
        assert!(!wrong, "{text}: {what}");
        what
    })
    .collect()
}

const BOOT: &str = "gic 2\nboot\nedge 0 40\nenable 0 40\n";

#[test]
fn what_is_not_as_said_is_told() {
    assert_eq!(remarks(BOOT), []);
    for (text, what) in [
        (
            "line 40 up\nack 0 41",
            "6: ack 0 41: interrupt 41 was expected, and there was interrupt 40 (virt-v2, GICv2, ours)",
        ),
        (
            "signal 0 yes",
            "5: signal 0 yes: a signal was expected, and there was no signal (virt-v2, GICv2, ours)",
        ),
        (
            "ack 0 40",
            "5: ack 0 40: interrupt 40 was expected, and there was no interrupt (virt-v2, GICv2, ours)",
        ),
        (
            "read 0 GICD_ISENABLER1 0x101",
            "5: read 0 GICD_ISENABLER1 0x101: 0x101 was expected, and there was 0x100 (virt-v2, GICv2, ours)",
        ),
        (
            "sgi 1 0 2\nack 0 2",
            "6: ack 0 2: SGI 2 from CPU 0 was expected, and there was SGI 2 from CPU 1 (virt-v2, GICv2, ours)",
        ),
        (
            "read 0 GICD+0x2000",
            "5: read 0 GICD+0x2000: an answer was expected, and there was a data abort (if that is right, add `abort`) (virt-v2, GICv2, ours)",
        ),
        (
            "read 0 GICD_CTLR abort",
            "5: read 0 GICD_CTLR abort: a data abort was expected, and there was 0x1 (virt-v2, GICv2, ours)",
        ),
        (
            "write 0 GICD_CTLR 1 undefined",
            "5: write 0 GICD_CTLR 1 undefined: an undefined instruction was expected, and there was none (virt-v2, GICv2, ours)",
        ),
        (
            "sgi1r 0 1 abort",
            "5: sgi1r 0 1 abort: a data abort was expected, and there was an undefined instruction (virt-v2, GICv2, ours)",
        ),
    ] {
        assert_eq!(wrong(&format!("{BOOT}{text}\n")), what);
    }
}

#[test]
fn a_vcpu_that_is_away_does_nothing_and_that_is_told() {
    for (text, why) in [
        (
            "wait 0\nack 0",
            "vCPU 0 waits, and no interrupt has woken it",
        ),
        ("wait 0\neoi 0 40", "vCPU 0 waits"),
        ("off 1\ndir 1", "vCPU 1 is off: `on 1` is missing"),
        ("off 1\nset 1 pmr 0", "vCPU 1 is off"),
        ("off 1\nread 1 GICD_CTLR", "vCPU 1 is off"),
        ("off 1\noff 1", "vCPU 1 is off"),
        (
            "preempt 1\nexit 1",
            "vCPU 1 is preempted: `resume 1` is missing",
        ),
        ("preempt 1\nsignal 1", "vCPU 1 is preempted"),
        ("wait 0\nack1 0", "vCPU 0 waits"),
        (
            "off 1\noff 0\non 1",
            "no vCPU runs that could switch vCPU 1 on",
        ),
    ] {
        let what = wrong(&format!("{BOOT}{text}\n"));
        assert!(what.contains(why), "{text}: {what}");
    }
    assert_eq!(remarks(&format!("{BOOT}wait 0\nline 40 up\nack 0 40")), []);
}

#[test]
fn what_a_script_does_not_say_is_shown() {
    let text = "read 0 GICD_CTLR\nsgi 1 0 2\nline 40 up\nsignal 0\nack 0\neoi 0\nack 0\neoi 0\nack 0\neoi 0\ndir 0\nsignal 0\nline 400 up\nrelease 1";
    assert_eq!(
        seen(&format!("{BOOT}{text}")),
        [
            "5: read 0 GICD_CTLR: 0x1",
            "8: signal 0: a signal",
            "9: ack 0: SGI 2 from CPU 1",
            "11: ack 0: interrupt 40",
            "13: ack 0: no interrupt",
            "14: eoi 0: nothing is active: nothing is done",
            "15: dir 0: nothing waits for its deactivation: nothing is done",
            "16: signal 0: no signal",
            "17: line 400 up: the domain has no interrupt 400: its last is 95",
            "18: release 1: its IPIs are not held: nothing is done",
        ]
    );
}

#[test]
fn an_interrupt_that_there_is_not_is_told() {
    let text = "gic 3\nespis 32\nboot\nline 4127 up\nline 4128 up";
    assert_eq!(
        seen(text),
        ["5: line 4128 up: the domain has no interrupt 4128: its last is 95"]
    );
}

#[test]
fn a_line_of_many_steps_says_which() {
    // The distributor of the old version has no such registers for a GICv3.
    let text = "gic 3\nvcpus 2\nboot\noff 1\ninit 1";
    let all = remarks(text);
    assert!(all.len() > 5, "{all:?}");
    assert!(
        all[0]
            .1
            .starts_with("5: init 1 (`write 1 GICR1_WAKER 0x0`): vCPU 1 is off"),
        "{all:?}"
    );
}

#[test]
fn the_machine_is_as_the_head_says() {
    let profile_of = |text: &str| profile(&parse(text).expect("a script")[0]);
    assert_eq!(profile_of("gic 2\nboot").name, "virt-v2");
    let one = profile_of("machine server\nboot");
    assert_eq!(
        (one.name, one.lrs, one.itses, one.tds),
        ("server", 16, 4, true)
    );
    let one = profile_of("machine server\nlrs 2\nitses 0\ntds 0\nboot");
    assert_eq!((one.lrs, one.itses, one.tds), (2, 0, false));
    let one = profile_of("lrs 3\nitses 1\ntds 1\nboot");
    assert_eq!(
        (one.name, one.lrs, one.itses, one.tds),
        ("virt-v3", 3, 1, true)
    );
    for (text, what) in [
        (
            "machine juno-r3\nboot",
            "line 1: there is no machine of this name: virt-v2, juno-r2",
        ),
        (
            "gic 3\nmachine juno-r2\nboot",
            "line 2: juno-r2 has no GICv3",
        ),
        (
            "itses 2\nboot",
            "line 1: 2 ITSes: the machine has room for 1",
        ),
    ] {
        let error = parse(text).expect_err(text).to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn every_machine_plays_a_script() {
    for profile in Profile::TABLE {
        let text = format!(
            "machine {}\nboot\nedge 0 40\nenable 0 40\nline 40 up\nack 0 40\neoi 0 40",
            profile.name
        );
        assert_eq!(remarks(&text), []);
    }
    assert_eq!(
        remarks("machine fvp-base\ngic 2\nboot\nsgi 1 0 2\nack 0 2 from 1"),
        []
    );
}

const README: &str = include_str!("../../scenarios/README.md");

/// The scripts in the description of the language.
fn examples() -> Vec<&'static str> {
    let blocks = README.split("```vgic\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect()
}

#[test]
fn the_examples_of_the_readme_end_as_they_say() {
    let examples = examples();
    assert!(examples.len() >= 6);
    for text in examples {
        for scene in parse(text).unwrap_or_else(|e| panic!("{text}: {e:#}")) {
            let wrong = play(&scene).expect("a domain");
            assert!(wrong.is_empty(), "{text}: {wrong:#?}");
        }
    }
}

#[test]
fn the_message_of_the_readme_is_what_is_told() {
    let told = wrong(&examples()[0].replace("ack 0 40", "ack 0 41"));
    assert!(README.contains(&format!("\nmy.vgic:{told}\n")), "{told}");
}

/// Changes a script at a place or two, as fingers and disks do.
fn mutate(text: &str, random: &mut fastrand::Rng) -> String {
    const WORDS: [&str; 40] = [
        "",
        "0",
        "1",
        "2",
        "16",
        "31",
        "32",
        "40",
        "96",
        "1019",
        "1023",
        "1026",
        "4096",
        "8192",
        "65535",
        "65536",
        "0xffffffff",
        "0xffffffffffffffff",
        "99999999999999999999",
        "-1",
        "0x",
        "up",
        "down",
        "none",
        "from",
        "abort",
        "undefined",
        "off",
        "boot",
        "lpis",
        "GICD_CTLR",
        "GICR_CTLR",
        "GITS_CTLR",
        "GITS_CBASER",
        "GITS_CWRITER",
        "GICD+0x3ffff",
        "MAPD",
        "hold",
        "\u{e9}\u{0}",
        "#",
    ];
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..random.usize(1..4) {
        let n = random.usize(..lines.len());
        let other = random.usize(..lines.len());
        match random.u8(..6) {
            0 => drop(lines.remove(n)),
            1 => lines.insert(n, lines[other].clone()),
            2 => lines.swap(n, other),
            3 => lines[n] = lines[n].chars().take(random.usize(..20)).collect(),
            _ => {
                let mut words: Vec<&str> = lines[n].split(' ').collect();
                let at = random.usize(..words.len());
                words[at] = WORDS[random.usize(..WORDS.len())];
                lines[n] = words.join(" ");
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.join("\n")
}

#[test]
fn no_change_of_a_script_makes_a_player_panic() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut played = 0;
    for n in 0..ROUNDS {
        let text = mutate(SCENARIOS[n % SCENARIOS.len()].text, &mut random);
        match parse(&text) {
            Err(error) => {
                let error = format!("{error:#}");
                assert!(
                    error.lines().count() == 1 && error.len() < 400,
                    "{text}: {error}"
                );
            }
            Ok(scenes) => {
                for scene in scenes {
                    played += 1;
                    let tell = |remark: Remark| {
                        // What would have been a crash of Xen.
                        assert!(remark.line.is_some(), "{text}\n{remark}");
                    };
                    // No domain is an answer, too.
                    let _ = play_and_tell(&scene, tell);
                }
            }
        }
    }
    assert!(played > ROUNDS / 4, "{played} of {ROUNDS}");
}

const ROUNDS: usize = 300;

#[test]
fn what_is_no_script_is_told() {
    let told = |bytes: &[u8]| format!("{:#}", read(bytes).expect_err("no text"));
    assert!(told(b"boot\nack \xff").contains("line 2: this is no UTF-8"));
    assert!(told(b"vgicrec\x01").contains("`replay` plays it"));
    let endless = read(std::io::repeat(b'#'));
    assert!(
        endless
            .expect_err("too long")
            .to_string()
            .contains("more than")
    );
    let error = open(env!("CARGO_MANIFEST_DIR")).expect_err("a directory");
    assert!(
        format!("{error:#}").contains("it cannot be read"),
        "{error:#}"
    );
}
