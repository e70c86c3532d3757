// SPDX-License-Identifier: GPL-2.0-only
//! Our vGIC beside others: the same scripts, the same answers, but for the differences that are known.

use recording::text::Script;
use std::io::Write;
use vgic_harness::comparison::compare::{Peer, compare};
use vgic_harness::comparison::differences::{DIFFERENCES, Known};
use vgic_harness::comparison::{diff, qtest};
use vgic_harness::scripts::script;
use vgic_harness::xen::peer;

/// Past the test runner, which keeps the output of tests that pass.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

fn qemu() -> Option<Peer> {
    if qtest::is_installed() {
        return Some(Peer::Qemu);
    }
    skipped("there is no qemu-system-aarch64 to compare with");
    None
}

fn xens(which: &str) -> Option<Peer> {
    if !peer::built(which).is_file() {
        skipped(&format!(
            "{which}.so is not built; `cargo xtask peers` builds it"
        ));
        return None;
    }
    Some(Peer::Vgic {
        which: which.into(),
        program: env!("CARGO_BIN_EXE_vgic-harness").into(),
    })
}

fn nothing_new(peer: Option<Peer>, seeds: u64) {
    if let Some(peer) = peer {
        let findings = diff::compare_with(&peer, seeds, || {}).expect("a peer that runs");
        assert!(findings.wrong.is_empty(), "{}", findings.wrong.join("\n"));
        assert_eq!(
            findings.scripts,
            seeds * diff::versions(&peer.to_string()).len() as u64
        );
    }
}

#[test]
fn qemus_gic_does_as_we_do() {
    nothing_new(qemu(), 8);
}

#[test]
fn the_new_c_vgic_differs_as_is_known() {
    nothing_new(xens("new"), 20);
}

#[test]
fn the_old_c_vgic_differs_as_is_known() {
    nothing_new(xens("old"), 20);
}

#[test]
fn ours_is_as_the_list_of_differences_says() {
    for known in DIFFERENCES {
        let scripts = diff::scripts(known).expect("a script");
        assert_eq!(scripts.len(), known.gic.len(), "{}", known.because);
        for one in scripts {
            let wrong = script::play(&(&one).into()).expect("a domain");
            assert!(wrong.is_empty(), "{}: {wrong:#?}", known.because);
        }
    }
}

/// A level that falls while it is in a list register is there until the next exit, which this script does not have.
const A_DIFFERENCE: &str = "gic 2\nvcpus 1\nboot\nenable 0 51\nline 51 up\nline 51 down\nack 0\n";

#[test]
fn a_difference_is_seen() {
    let Some(peer) = qemu() else { return };
    let script: Script = A_DIFFERENCE.parse().expect("a script");
    let recording = script.versions[0].recording().expect("operations");
    let found = compare(&recording, &peer).expect("a peer that runs");
    let found = found.expect("a difference");
    assert_eq!((&*found.ours, &*found.theirs), ("taken 51", "taken 1023"));
}

#[test]
fn a_peer_that_crashes_is_a_difference() {
    let script: Script = "gic 2\nboot\nexit 0\n".parse().expect("a script");
    let peer = Peer::Vgic {
        which: "rust".into(),
        program: "false".into(),
    };
    let recording = script.versions[0].recording().expect("operations");
    let found = compare(&recording, &peer).expect("it starts");
    assert_eq!(found.expect("a difference").theirs, "it crashes");
}

#[test]
fn a_process_of_its_own_sees_the_same() {
    let peer = Peer::Vgic {
        which: "rust".into(),
        program: env!("CARGO_BIN_EXE_vgic-harness").into(),
    };
    for gic in [2, 3] {
        let generated = vgic_harness::comparison::generate::generate(diff::recipe("rust", gic), 1);
        assert_eq!(compare(&generated.script, &peer).expect("it starts"), None);
    }
}

#[test]
fn a_known_difference_that_is_gone_is_told() {
    let Some(peer) = qemu() else { return };
    let stale = Known {
        peer: "qemu",
        gic: &[2],
        without: &[],
        because: "nothing",
        script: "gic 2\nboot\nread 0 GICD_CTLR 1\n",
    };
    let told = diff::check(&stale, &peer)
        .expect("a peer that runs")
        .unwrap_or_default();
    assert!(told.contains("take it out of the list"), "{told}");
}
