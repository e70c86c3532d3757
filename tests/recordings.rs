// SPDX-License-Identifier: GPL-2.0-only
//! What Linux did on real Xen, again: every interrupt comes as often as in the recording. On Xen's C vGICs, once
//! `cargo xtask peers` has built them, too, but for what they are known to do.

use recording::{Op, Recording, SysReg};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use vgic_harness::scripts::replay;
use vgic_harness::xen::peer;

/// Interrupts that a C vGIC delivers more or less often, as acknowledged, and why.
struct Fault {
    vgic: &'static str,
    gic: u8,
    intids: &'static [u32],
    because: &'static str,
}

const FAULTS: &[Fault] = &[
    Fault {
        vgic: "old",
        gic: 2,
        intids: &[0, 1, 1 << 10, 1 << 10 | 1],
        because: "GICC_IAR does not have the CPU that sent an SGI",
    },
    Fault {
        vgic: "old",
        gic: 3,
        intids: &[1],
        because: "one was sent right before the end, and is found in the search for what is owed",
    },
    Fault {
        vgic: "old",
        gic: 2,
        intids: &[27],
        because: "the timer's line is no level: it is up at the end of its interrupt, and nothing comes",
    },
    Fault {
        vgic: "old",
        gic: 3,
        intids: &[27],
        because: "as with a GICv2",
    },
    Fault {
        vgic: "old",
        gic: 3,
        intids: &[36],
        because: "a physical interrupt that is moved when its end was not seen yet is lost, and its line is dead",
    },
    Fault {
        vgic: "new",
        gic: 2,
        intids: &[36],
        because: "a physical interrupt that comes after it was moved, when its end was not seen yet, is lost",
    },
    Fault {
        vgic: "new",
        gic: 2,
        intids: &[1 << 10 | 1],
        because: "one was sent right before the end, and is found in the search for what is owed",
    },
];

fn all() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let files = fs::read_dir(directory).expect("the recordings");
    let mut files: Vec<PathBuf> = files.map(|f| f.expect("a file").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "vgicrec"));
    files.sort();
    files
}

fn read(file: &Path) -> Recording {
    Recording::read(fs::File::open(file).expect("a file")).expect("a recording")
}

#[test]
fn ours_delivers_every_interrupt_as_often_as_recorded() {
    let files = all();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let recording = read(&file);
        let outcome = replay::replay(&recording, |_| {}).expect("a domain");
        assert!(outcome.is_ok(), "{}: {outcome}", file.display());
        assert_eq!(outcome.late, 0, "{}: something was owed", file.display());
        assert!(outcome.counts.len() > 3, "{}: {outcome}", file.display());
    }
}

/// Whether this operation makes an interrupt pending.
fn sends(op: &Op) -> bool {
    match op {
        Op::Line { level: true, .. } => true,
        Op::Sysreg { register, .. } => *register == SysReg::Sgi1r,
        _ => false,
    }
}

#[test]
fn one_interrupt_less_is_seen() {
    for name in ["boot-v3", "load-v2", "load-v3"] {
        let file = all()
            .into_iter()
            .find(|f| f.file_stem().is_some_and(|s| s == name));
        let mut recording = read(&file.expect("the recording"));
        let sent: Vec<usize> = (0..recording.ops.len())
            .filter(|&n| sends(&recording.ops[n]))
            .collect();
        recording.ops.remove(sent[sent.len() / 2]);
        let outcome = replay::replay(&recording, |_| {}).expect("a domain");
        assert!(!outcome.is_ok(), "{name}: {outcome}");
    }
}

/// The INTIDs that a replay complains of, as IAR has them: `wrong: vCPU 0 was given interrupt 36: 794 times, …`, or
/// `SGI 1 from CPU 1`.
fn wrong(text: &str) -> Vec<u32> {
    let lines = text.lines().filter_map(|l| l.strip_prefix("wrong: "));
    lines
        .map(|l| {
            let given = l.split_once(" was given ").and_then(|(_, rest)| {
                let (what, _) = rest.split_once(':')?;
                let mut numbers = what.split(' ').filter_map(|word| word.parse::<u32>().ok());
                let intid = numbers.next()?;
                Some(intid | numbers.next().unwrap_or(0) << 10)
            });
            given.unwrap_or_else(|| panic!("{text}"))
        })
        .collect()
}

#[test]
fn a_complaint_has_an_intid() {
    let text = "wrong: vCPU 0 was given interrupt 36: 794 times, 795 in the recording\n\
                wrong: vCPU 1 was given SGI 1 from CPU 1: 0 times, 1 in the recording\n\
                wrong: vCPU 0 was given SGI 2: 0 times, 1 in the recording\n";
    assert_eq!(wrong(text), [36, 1 << 10 | 1, 2]);
}

fn on(vgic: &str) {
    if !peer::built(vgic).is_file() {
        // Past the test runner, which keeps the output of tests that pass.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {vgic}.so is not built; `cargo xtask peers` builds it"
        );
        return;
    }
    let mut seen = Vec::new();
    for file in all() {
        let gic = read(&file).head.gic;
        if vgic == "new" && gic == 3 {
            continue;
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_vgic-harness"));
        command.arg("replay").arg(&file).args(["--vgic", vgic]);
        let output = command.output().expect("a process");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.contains(" interrupts delivered"),
            "{}: {text}",
            file.display()
        );
        for intid in wrong(&text) {
            let fault = FAULTS
                .iter()
                .position(|f| f.vgic == vgic && f.gic == gic && f.intids.contains(&intid));
            assert!(fault.is_some(), "{} on {vgic}: {text}", file.display());
            seen.extend(fault);
        }
    }
    for (n, fault) in FAULTS.iter().enumerate().filter(|(_, f)| f.vgic == vgic) {
        let (gic, because) = (fault.gic, fault.because);
        assert!(
            seen.contains(&n),
            "{vgic}, GICv{gic}: no more so, take it out: {because}"
        );
    }
}

#[test]
fn the_new_c_vgic_does_what_it_is_known_to_do() {
    on("new");
}

#[test]
fn the_old_c_vgic_does_what_it_is_known_to_do() {
    on("old");
}
