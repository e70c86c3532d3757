// SPDX-License-Identifier: GPL-2.0-only
//! Xen's C vGICs on the mock Xen. There is one vGIC in a process: each test runs in
//! a process of its own, and says so if `cargo xtask peers` has not built its vGIC.

mod faults;
mod its;

use std::io::Write;
use std::process::{Command, Output};
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;
use vgic_harness::xen::peer;

/// Is this vGIC there? If not, says so past the test runner, which keeps the output of tests that pass.
fn built_or_told(vgic: &str) -> bool {
    let built = peer::built(vgic).is_file();
    if !built {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {vgic}.so is not built; `cargo xtask peers` builds it"
        );
    }
    built
}

/// Runs `command` with a vGIC that has been built, and returns what it writes.
fn run(vgic: &str, command: Command) -> Option<String> {
    built_or_told(vgic).then(|| output(vgic, command))
}

/// The same with one that is there.
fn output(vgic: &str, mut command: Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .env(peer::VARIABLE, vgic)
        .output()
        .expect("a process");
    let text = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    assert!(status.success(), "with {vgic}: {text}");
    text.into_owned()
}

/// The scripted guest to its end.
fn scenario(vgic: &str, gic: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vgic-harness"));
    command.args(["run", "--gic", gic, "--rounds", "500"]);
    if let Some(text) = run(vgic, command) {
        assert!(
            text.contains("every interrupt was handled exactly once"),
            "{text}"
        );
    }
}

#[test]
fn new_c_vgic_runs_the_guest() {
    scenario("new", "v2");
}

#[test]
fn old_c_vgic_runs_the_guest() {
    scenario("old", "v2");
    scenario("old", "v3");
}

#[test]
fn ours_runs_the_guest_from_a_shared_object_too() {
    let object = peer::built("rust");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vgic-harness"));
    command
        .args(["run", "--rounds", "500", "--vgic"])
        .arg(object);
    run("rust", command);
}

#[test]
fn a_gicv3_is_refused_where_there_is_none() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vgic-harness"));
    command.args(["run", "--gic", "v3"]);
    if !peer::built("new").is_file() {
        return;
    }
    let output = command.env(peer::VARIABLE, "new").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("has no GICv3") && text.contains("--gic v2"),
        "{text}"
    );
}

#[test]
fn what_is_no_vgic_is_refused_in_words() {
    for (vgic, words) in [
        ("/nowhere.so", "xtask peers"),
        (env!("CARGO_BIN_EXE_vgic-harness"), "is not a vGIC"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vgic-harness"));
        let output = command.args(["run", "--vgic", vgic]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(words), "{text}");
    }
}

#[test]
fn old_takes_its_list_registers_along() {
    rerun("old", "list_registers_of_a_vcpu_that_moves");
}

#[test]
#[ignore = "run by old_takes_its_list_registers_along"]
fn list_registers_of_a_vcpu_that_moves() {
    let machine = Machine::power_on(Profile::GICV2);
    let domain = Domain::with_vcpus(&machine, Config::dom0(2, 1)).unwrap();
    let mut cpus = linux::boot(&domain);
    linux::set_trigger(&cpus[0], 40, true);
    linux::enable(&cpus[0], 40);
    let inject = || machine.hypervisor(2, || domain.inject(40, true));
    inject();
    cpus[0].step();
    cpus[0].migrate(1);
    assert_eq!(cpus[0].take(|_| ()), Some(40));
    inject();
    assert_eq!(
        cpus[0].take(|_| ()),
        Some(40),
        "the first one is seen to have ended"
    );
}

/// Runs a test of this program that is marked `ignore` with a vGIC.
fn rerun(vgic: &str, test: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored"]);
    if let Some(text) = run(vgic, command) {
        assert!(text.contains("1 passed"), "{text}");
    }
}
