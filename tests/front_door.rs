// SPDX-License-Identifier: GPL-2.0-only
//! The program itself, as a person runs it.

use recording::text::Script;
use std::path::Path;
use std::process::{Command, Output};
use vgic_harness::machine::profile::Profile;

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vgic-harness"))
        .args(arguments)
        .env_remove("VGIC")
        .output()
        .expect("the program starts")
}

/// What it prints if all is well.
fn prints(arguments: &[&str]) -> String {
    let output = program(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Its one sentence if it is not.
fn refuses(arguments: &[&str]) -> String {
    let output = program(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn scratch(name: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    path.to_string_lossy().into_owned()
}

/// The file of a recording of this script.
fn recorded(name: &str, script: &str) -> String {
    let script: Script = script.parse().expect("a script");
    let path = scratch(name);
    let file = std::fs::File::create(&path).expect("a file");
    let recording = script.versions[0].recording().expect("operations");
    recording.write(file).expect("a valid recording");
    path
}

const ONE: &str =
    "gic 2\norigin one interrupt\nboot\nedge 0 40\nenable 0 40\nline 40 up\nack 0 40\neoi 0 40\n";

#[test]
fn a_recording_is_replayed() {
    let file = recorded("one.vgicrec", ONE);
    let text = prints(&["replay", &file]);
    assert!(
        text.starts_with("one interrupt\n") && text.contains("1 interrupts delivered"),
        "{text}"
    );
    let file = recorded("two.vgicrec", &format!("{ONE}ack 0 40\neoi 0 40\n"));
    let output = program(&["replay", &file]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("vCPU 0 was given interrupt 40: 1 times, 2 in the recording"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_scenario_is_played_and_drawn() {
    let text = prints(&[
        "scenario",
        "preemption",
        "--gic",
        "v2",
        "--timeline",
        "text",
    ]);
    assert!(
        text.contains("40  il==A####E") && text.contains("ok: all"),
        "{text}"
    );
    let file = scratch("sgi.svg");
    prints(&["scenario", "sgi", "--gic", "v3", "--timeline", &file]);
    let svg = std::fs::read_to_string(file).expect("a drawing");
    assert!(svg.contains(">3 vCPU 1</text>"), "{svg}");
    let file = scratch("sgi.html");
    prints(&["scenario", "sgi", "--gic", "v3", "--timeline", &file]);
    let page = std::fs::read_to_string(file).expect("a page");
    assert!(page.contains(">3 vCPU 1</text>") && page.contains("<h1>scenario sgi --gic v3</h1>"));
    // The SGI's word in a list register, and what was played.
    for word in ["\"list register\"", "LATCH_LR", ": ack 1 3"] {
        assert!(page.contains(word), "{word}: {page}");
    }
}

#[test]
fn a_script_of_ones_own_is_played() {
    let file = scratch("own.vgic");
    std::fs::write(&file, ONE).expect("a file");
    assert!(prints(&["scenario", &file]).contains("ok: all as the script says"));
    std::fs::write(&file, format!("{ONE}signal 0 yes\n")).expect("a file");
    let text = refuses(&["scenario", &file]);
    assert!(
        text.contains("1 of its steps not as the script says"),
        "{text}"
    );
    let output = program(&["scenario", &file]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line =
        ":9: signal 0 yes: a signal was expected, and there was no signal (virt-v2, GICv2, ours)";
    assert!(text.contains(&format!("{file}{line}\n")), "{text}");
    std::fs::write(&file, format!("{ONE}signal 0\n")).expect("a file");
    let text = prints(&["scenario", &file]);
    assert!(
        text.contains(&format!("{file}:9: signal 0: no signal\n")),
        "{text}"
    );
}

#[test]
fn everything_that_can_be_named_is_listed() {
    let text = prints(&["list"]);
    for word in ["preemption", "Recordings", "GIC-400", "juno-r2"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn the_guest_runs_on_each_machine() {
    for profile in Profile::TABLE {
        let name = profile.name;
        let text = prints(&["run", "--profile", name, "--rounds", "50"]);
        assert!(text.contains(profile.about), "{name}: {text}");
    }
    let arguments = ["run", "--profile", "fvp-base", "--gic", "v2"];
    assert!(prints(&arguments).contains("a GICv2"));
}

#[test]
fn what_is_not_there_is_told_in_a_sentence() {
    let wrong = scratch("wrong.vgic");
    std::fs::write(&wrong, "gic 2\nboot\nfly 0\n").expect("a file");
    let empty = scratch("empty.vgic");
    std::fs::write(&empty, "# Nothing yet.\n").expect("a file");
    let binary = scratch("binary.vgic");
    std::fs::write(&binary, b"boot\n\xff\xfe").expect("a file");
    let one = recorded("not-a-script.vgicrec", ONE);
    for (arguments, word) in [
        (&["scenario", "nothing"][..], "`list` shows"),
        (&["scenario", &empty], "nothing happens in it"),
        (&["scenario", &binary], "line 2: this is no UTF-8"),
        (&["scenario", &one], "`replay` plays it"),
        (&["scenario", env!("CARGO_TARGET_TMPDIR")], "cannot be read"),
        (&["scenario", "lpi", "--gic", "v2"], "leave --gic out"),
        (&["replay", "nothing"], "`list` shows"),
        (&["replay", &wrong], "no recording"),
        (&["scenario", &wrong], "line 3: there is no `fly`"),
        (&["scenario", "sgi", "--timeline", "x.png"], ".svg or .html"),
        (&["scenario", "sgi", "--timeline", "x.svg"], "--gic"),
        (&["scenario", "sgi", "--timeline", "x.html"], "--gic"),
        (
            &["scenario", "sgi", "--vgic", "nothing"],
            "cargo xtask peers",
        ),
        (&["run", "--gic", "v2", "--cpus", "9"], "at most 8"),
        (&["run", "--profile", "nothing"], "`list` shows"),
        (
            &["run", "--profile", "virt-v3", "--gic", "v2"],
            "leave --gic out",
        ),
        (
            &["run", "--profile", "juno-r2", "--gic", "v3"],
            "leave --gic out",
        ),
    ] {
        let text = refuses(arguments);
        assert!(text.contains(word), "{text}");
    }
}
