// SPDX-License-Identifier: GPL-2.0-only
//! What of a disk's interrupts must fail, and what may be.

use super::*;
use crate::boot::arguments::parse as boot;
use crate::boot::console::{Line, Speaker};

/// Two CPUs' counts of a disk's interrupts and of the timer, and the disk's requests.
type Counts = ([u64; 2], [u64; 2], u64);

/// A boot in which nothing was lost: the counts from snapshot to snapshot, and what Dom0 said.
const COUNTS: [(&str, Counts); 5] = [
    ("before", ([10, 0], [5, 5], 10)),
    ("after", ([2010, 0], [6, 6], 2010)),
    ("moved", ([3010, 1000], [7, 7], 4010)),
    ("switched", ([3110, 1400], [8, 8], 4510)),
    ("used", ([3160, 1450], [9, 9], 4610)),
];
const SAID: [&str; 4] = [
    "read 2000+0 records out",
    "moved disk=nvme0n1 moves=50 refused=0",
    "switched switches=4 online=0-1 moves=20",
    "used disk=nvme0n1",
];

fn report(counts: &[(&str, Counts)], said: &[&str]) -> GuestReport {
    let mut text: Vec<String> = said.iter().map(|s| format!("MARK dom0 {s}")).collect();
    for (name, (disk, timer, requests)) in counts {
        text.extend([
            format!("MARK dom0 begin irq-{name}"),
            "     CPU0 CPU1".into(),
            format!("11: {} {} GICv3 27 Level arch_timer", timer[0], timer[1]),
            format!(
                "15: {} {} GICv3 36 Level nvme0q0, nvme0q1",
                disk[0], disk[1]
            ),
            format!("MARK dom0 end irq-{name}"),
            format!("MARK dom0 begin stat-{name}"),
            format!("nvme0n1  {requests} 0 8 1 0 0 0 0 0 0 1"),
            format!("MARK dom0 end stat-{name}"),
        ]);
    }
    let line = |text| Line {
        speaker: Speaker::Dom0,
        text,
        at: 1.0,
    };
    let lines: Vec<Line> = text.into_iter().map(line).collect();
    GuestReport::collect(&lines, Speaker::Dom0)
}

/// The names of the checks that fail, with the reason.
fn failures(counts: &[(&str, Counts)], said: &[&str]) -> Vec<String> {
    failures_on("v3", Disk::Intx, counts, said)
}

fn failures_on(gic: &str, disk: Disk, counts: &[(&str, Counts)], said: &[&str]) -> Vec<String> {
    judge(
        &report(counts, said),
        &boot(&format!("--gic {gic} --cpus 2 --rounds 2")),
        disk,
    )
    .into_iter()
    .filter_map(|c| c.result.err().map(|why| format!("{}: {why}", c.name)))
    .collect()
}

/// The same boot with one thing different; the one check that must fail for it says `why`.
fn fails(change: impl Fn(&mut [(&str, Counts)], &mut [&str]), name: &str, why: &str) {
    let (mut counts, mut said) = (COUNTS, SAID);
    change(&mut counts, &mut said);
    let found = failures(&counts, &said);
    assert!(
        found.len() == 1 && found[0].starts_with(name) && found[0].contains(why),
        "{name}, {why}: {found:?}"
    );
}

/// From this snapshot on, so many interrupts more or less on CPU 0.
fn off_by(counts: &mut [(&str, Counts)], from: &str, more: i64) {
    let start = counts.iter().position(|c| c.0 == from).unwrap();
    for (_, (disk, ..)) in &mut counts[start..] {
        disk[0] = disk[0].checked_add_signed(more).unwrap();
    }
}

#[test]
fn a_boot_that_lost_nothing_is_good() {
    assert_eq!(failures(&COUNTS, &SAID), [""; 0]);
}

#[test]
fn one_interrupt_too_few_or_too_many_fails() {
    for (from, name) in [
        ("after", "Disk interrupts exact"),
        ("moved", "... while it moves"),
        ("switched", "... and CPUs"),
    ] {
        let fewer = if from == "after" { -1 } else { -30 };
        fails(|c, _| off_by(c, from, fewer), name, "requests, but");
        fails(|c, _| off_by(c, from, 1), name, "requests, but");
    }
    fails(
        |c, _| off_by(c, "used", 1),
        "Each CPU works",
        "101 interrupts",
    );
}

#[test]
fn what_moves_may_be_merged_and_a_level_may_come_twice() {
    let failing_on = |disk, from, more| {
        let mut counts = COUNTS;
        off_by(&mut counts, from, more);
        let failures = failures_on("v2", disk, &counts, &SAID);
        failures
            .iter()
            .filter(|f| f.contains("requests, but"))
            .count()
    };
    let failing = |from, more| failing_on(Disk::Intx, from, more);
    assert_eq!(failing("after", 1), 1, "nothing moves");
    assert_eq!(failing("moved", 50), 0, "50 moves");
    assert_eq!(failing("moved", 51), 1);
    assert_eq!(failing("moved", -20), 0, "merged");
    assert_eq!(failing("moved", -21), 1, "lost");
    assert_eq!(failing("switched", 24), 0, "20 moves and 4 switches");
    assert_eq!(failing("switched", 25), 1);
    assert_eq!(failing("used", 1), 1, "each waits for the one before");
    for kind in [Disk::Msi, Disk::Lpi] {
        assert_eq!(failing_on(kind, "after", -1), 1, "nothing moves");
        assert_eq!(failing_on(kind, "moved", -2), 0, "merged");
        assert_eq!(failing_on(kind, "moved", -3), 1, "lost");
        assert_eq!(failing_on(kind, "moved", 1), 1, "twice");
    }
}

#[test]
fn moves_that_do_nothing_fail() {
    let still = |c: &mut [(&str, Counts)], _: &mut [&str]| {
        for (_, (disk, ..)) in &mut c[2..] {
            *disk = [disk[0] + 1000, disk[1] - 1000];
        }
    };
    fails(still, "... while it moves", "1 of 2 CPUs");
    let refused = |_: &mut [(&str, Counts)], s: &mut [&str]| {
        s[1] = "moved disk=nvme0n1 moves=48 refused=2";
    };
    fails(refused, "... while it moves", "refused");
}

#[test]
fn too_few_reads_while_it_moves_fail() {
    let few = |c: &mut [(&str, Counts)], _: &mut [&str]| {
        for (_, (disk, _, requests)) in &mut c[2..] {
            *disk = [disk[0] - 700, disk[1] - 801];
            *requests -= 1501;
        }
    };
    fails(few, "... while it moves", "500 reads of nvme0");
}

#[test]
fn a_cpu_that_does_not_come_back_or_does_not_work_fails() {
    let off = |_: &mut [(&str, Counts)], s: &mut [&str]| {
        s[2] = "switched switches=3 online=0 moves=20";
    };
    fails(off, "... and CPUs", "3 of 4");
    let unread = |c: &mut [(&str, Counts)], _: &mut [&str]| {
        for (_, (disk, _, requests)) in &mut c[3..] {
            *disk = [disk[0] - 100, disk[1] - 400];
            *requests -= 500;
        }
    };
    fails(unread, "... and CPUs", "was not read");
    let deaf = |c: &mut [(&str, Counts)], _: &mut [&str]| c[4].1.0 = [3210, 1400];
    fails(deaf, "Each CPU works", "due to each CPU");
    let still = |c: &mut [(&str, Counts)], _: &mut [&str]| c[4].1.1 = [9, 8];
    fails(still, "Each CPU works", "timer");
}

#[test]
fn a_dom0_that_falls_silent_fails() {
    assert_eq!(failures(&COUNTS[..2], &SAID[..1]).len(), 3);
    assert_eq!(failures(&[], &[]).len(), 5);
}

#[test]
fn a_boot_has_the_disks_that_it_needs() {
    assert_eq!(disks(&boot("--gic v3"), Disk::Intx), [MOVABLE]);
    assert_eq!(disks(&boot("--gic v2"), Disk::Msi), [FIXED, MOVABLE]);
    assert_eq!(disks(&boot("--gic v2 --rounds 0"), Disk::Msi), [FIXED]);
    let new = Version {
        major: 10,
        minor: 0,
    };
    let old = Version { major: 7, minor: 2 };
    assert!(drives(&boot("--reads 0"), Disk::Intx, new).is_empty());
    let both = drives(&boot("--gic v2"), Disk::Msi, new).join(" ");
    assert_eq!(both.matches("msix_qsize=1").count(), 1);
    assert_eq!(both.matches("dbcs=off").count(), 2);
    let both = drives(&boot("--gic v2"), Disk::Msi, old).join(" ");
    assert!(!both.contains("dbcs"), "QEMU 7.2 does not know the word");
}

#[test]
fn requests_of_all_kinds_are_counted() {
    let stat = "nvme0n1    2001  0  16008  90   3   0   0   0   0   92   92   4   0  0  0  5  1";
    assert_eq!(completed_requests(stat), Some(("nvme0".into(), 2013)));
    assert_eq!(completed_requests("nvme0n1 1 2 3"), None);
}

#[test]
fn the_kind_of_interrupt_must_be_the_one_asked_for() {
    let listing = |what: &str| {
        let text = format!("  CPU0\n 15: 1 {what}\n");
        Interrupts::parse(text.lines())
    };
    let level = listing("GICv3 36 Level nvme0q0, nvme0q1");
    assert!(line(&level, Disk::Intx).is_ok());
    assert!(line(&level, Disk::Msi).is_err());
    let msi = listing("GICv2m-PCI-MSIX-0000:00:01.0 1 Edge nvme0q1");
    assert!(line(&msi, Disk::Msi).is_ok());
    assert!(line(&msi, Disk::Intx).is_err());
    assert!(line(&msi, Disk::Lpi).is_err());
    let lpi = listing("ITS-PCI-MSIX-0000:00:01.0 1 Edge nvme0q1");
    assert!(line(&lpi, Disk::Lpi).is_ok());
    assert!(line(&listing("GICv3 36 Level other"), Disk::Intx).is_err());
}

#[test]
fn events_that_cpus_write_bring_no_interrupt() {
    let judged = |before: u64, after: u64, written: u64| {
        let shown = |name: &str, count: u64| {
            [
                format!("MARK domU1 begin irq-{name}"),
                "     CPU0".into(),
                format!("15: {count} ITS-PCI-MSIX-0000:00:00.0 1 Edge nvme0q1"),
                format!("MARK domU1 end irq-{name}"),
            ]
        };
        let said = [format!("MARK domU1 rung written={written}")];
        let text = [shown("quiet", before), shown("rung", after)].concat();
        let lines = text.into_iter().chain(said).map(|text| Line {
            speaker: Speaker::DomU(1),
            text,
            at: 1.0,
        });
        let lines: Vec<Line> = lines.collect();
        judge_rung(&GuestReport::collect(&lines, Speaker::DomU(1)))
            .result
            .is_ok()
    };
    assert!(judged(7, 7, 64));
    assert!(!judged(7, 8, 64), "one has come");
    assert!(!judged(7, 7, 0), "none was written");
}
