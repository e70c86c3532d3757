// SPDX-License-Identifier: GPL-2.0-only
//! The disks of Dom0, what it does to their interrupts and to its CPUs (assets/load), and what must come of it.
//!
//! With one request in flight each request makes one interrupt, whatever moves meanwhile: the numbers must be equal, but for
//! what one may do that moves ([`Odd`]).

use crate::boot::arguments::{BootArguments, Disk, Gic};
use crate::boot::guest_report::GuestReport;
use crate::boot::interrupts::{self, Interrupts, Row};
use crate::boot::qemu::Version;
use crate::boot::verdict::Check;
use std::collections::BTreeMap;

/// The disk whose interrupt can be moved: the kernel has one for all its queues.
const MOVABLE: &str = "movable";
/// The disk with an interrupt for each CPU: the kernel lets nobody move these.
pub const FIXED: &str = "fixed";
/// Reads for each CPU in the end; so many stand in assets/load.
const READS_EACH: u64 = 50;

/// The serial numbers of a boot's disks. The first is read alone, the last is the movable one.
pub fn disks(boot: &BootArguments, disk: Disk) -> Vec<&'static str> {
    match disk {
        _ if boot.reads() == 0 => vec![],
        Disk::Intx => vec![MOVABLE],
        Disk::Msi | Disk::Lpi if boot.rounds() == 0 => vec![FIXED],
        Disk::Msi | Disk::Lpi => vec![FIXED, MOVABLE],
    }
}

/// QEMU's arguments for them: NVMes that read as zeroes, as many blocks of 4 KiB as are read. There is no file behind
/// them, whose speed would be the host's.
///
/// They have no shadow doorbells: with these, Linux may take the last completion without telling a disk whose INTx is still
/// high for it, and the disk never lowers it (a trace of QEMU 10.0 ends so, with `nobody cared` after 100,000 interrupts).
pub fn drives(boot: &BootArguments, disk: Disk, qemu: Version) -> Vec<String> {
    let plain = if qemu.has_nvme_without_shadow_doorbells() {
        ",dbcs=off"
    } else {
        ""
    };
    let size = u64::from(boot.reads()).next_multiple_of(256).max(4096) * 4096;
    let drive = |serial| {
        // A kernel that has but one vector leaves it to the user.
        let vectors = match serial {
            // Two BARs are more than one to take from a guest.
            MOVABLE if boot.pci.pci_domu => ",msix_qsize=1,msix-exclusive-bar=on",
            MOVABLE => ",msix_qsize=1",
            _ => "",
        };
        [
            "-blockdev".to_owned(),
            format!("driver=null-co,node-name={serial},size={size},read-zeroes=on"),
            "-device".to_owned(),
            format!("nvme,drive={serial},serial={serial}{vectors}{plain}"),
        ]
    };
    disks(boot, disk).into_iter().flat_map(drive).collect()
}

/// What had been counted at some time.
struct Snapshot {
    interrupts: Interrupts,
    /// Requests that the block layer had completed, by disk (nvme0).
    requests: BTreeMap<String, u64>,
}

impl Snapshot {
    fn of(dom0: &GuestReport, name: &str) -> Snapshot {
        Snapshot {
            interrupts: dom0.interrupts(&format!("irq-{name}")),
            requests: dom0
                .text(&format!("stat-{name}"))
                .lines()
                .filter_map(completed_requests)
                .collect(),
        }
    }
}

/// A disk, and its requests of all kinds, from its name and its line in /sys/block/*/stat.
fn completed_requests(line: &str) -> Option<(String, u64)> {
    let (name, stat) = line.trim().split_once(' ')?;
    let fields: Vec<u64> = stat
        .split_whitespace()
        .map_while(|w| w.parse().ok())
        .collect();
    // Reads, writes, discards and flushes completed (Documentation/block/stat.rst); old kernels print fewer fields.
    let at = |i: usize| fields.get(i).copied().unwrap_or(0);
    let disk = name.strip_suffix("n1")?.to_owned();
    (fields.len() >= 11).then(|| (disk, at(0) + at(4) + at(11) + at(15)))
}

/// Two snapshots, and what has happened between them.
struct Period {
    from: Snapshot,
    to: Snapshot,
}

impl Period {
    fn of(dom0: &GuestReport, from: &str, to: &str) -> Period {
        let (from, to) = (Snapshot::of(dom0, from), Snapshot::of(dom0, to));
        Period { from, to }
    }

    /// Requests of a disk.
    fn requests(&self, disk: &str) -> u64 {
        let at = |s: &Snapshot| s.requests.get(disk).copied().unwrap_or(0);
        at(&self.to).saturating_sub(at(&self.from))
    }

    /// Interrupts of the lines that fit, on each CPU.
    fn by_cpu(&self, fits: impl Fn(&Row) -> bool) -> Vec<u64> {
        let old = self.from.interrupts.by_cpu(&fits);
        let new = self.to.interrupts.by_cpu(&fits);
        let old = old.into_iter().chain(std::iter::repeat(0));
        new.into_iter()
            .zip(old)
            .map(|(n, o)| n.saturating_sub(o))
            .collect()
    }

    /// Interrupts of a disk's queues, on each CPU.
    fn of_disk(&self, disk: &str) -> Vec<u64> {
        self.by_cpu(|row| interrupts::disk(row) == Some(disk))
    }

    /// How many interrupts there were, if as many as requests for each disk.
    fn exact(&self) -> Result<String, String> {
        self.but_for(&Odd::default())
    }

    /// How many interrupts there were, if as many as requests for each disk but for these.
    fn but_for(&self, odd: &Odd) -> Result<String, String> {
        if self.from.requests.is_empty() || self.to.requests.is_empty() {
            return Err("it did not report its disks' counts".to_owned());
        }
        let (mut all_requests, mut all_interrupts) = (0, 0);
        for disk in self.to.requests.keys() {
            let requests = self.requests(disk);
            let interrupts: u64 = self.of_disk(disk).iter().sum();
            let merged = odd.merged.map_or(0, |n| requests / n);
            let fewest = requests.saturating_sub(merged);
            if !(fewest..=requests + odd.doubled).contains(&interrupts) {
                return Err(format!(
                    "{disk}: {requests} requests, but {interrupts} interrupts"
                ));
            }
            all_requests += requests;
            all_interrupts += interrupts;
        }
        let numbers = format!("{all_requests} requests, {all_interrupts} interrupts");
        Ok(match all_interrupts.checked_signed_diff(all_requests) {
            Some(0) | None => numbers,
            Some(n) if n < 0 => format!("{numbers} ({} merged by Linux)", -n),
            Some(n) => format!("{numbers} ({n} doubled by QEMU's GICv2)"),
        })
    }

    fn enough(&self, disk: &str, reads: u32) -> Result<(), String> {
        let requests = self.requests(disk);
        if requests < u64::from(reads) {
            return Err(format!(
                "{reads} reads of {disk} were asked for, {requests} requests were made"
            ));
        }
        Ok(())
    }
}

/// Why an interrupt that moves may not come once for each request, though the next request is made only when the last has
/// been served.
#[derive(Debug, Default, PartialEq, Eq)]
struct Odd {
    /// Linux's handler looks for completed requests until it finds none. One that was made, on another CPU, when the handler
    /// had reported the last may be found by the same handler. A line has not fallen in between: one interrupt less. A message
    /// is pending from then on, and it takes a third request within the same handler, whose message finds it so: rare, and
    /// seen on a busy host only. Allowed is one in so many requests. (An interrupt that was lost is something else: with one
    /// request in flight the disk would stand still for half a minute, and Linux say so.)
    merged: Option<u64>,
    /// So many may come twice, on QEMU's GICv2. There an SPI is active for the CPU that has acknowledged it, and for no
    /// other. One that is pending as well, as a level is until it has been served, is signalled anew to the CPU that it is
    /// routed to meanwhile, and acknowledged a second time: a trace of QEMU 10.0 shows it right behind the write of
    /// GICD_ITARGETSR. A GICv2 signals an active SPI to nobody.
    doubled: u64,
}

impl Odd {
    /// The interrupt has been moved so often.
    fn after(moves: u64, boot: &BootArguments, disk: Disk) -> Odd {
        match (disk, boot.gic) {
            (Disk::Intx, Gic::V2) => Odd {
                merged: Some(100),
                doubled: moves,
            },
            (Disk::Intx, Gic::V3) => Odd {
                merged: Some(100),
                doubled: 0,
            },
            (Disk::Msi | Disk::Lpi, _) => Odd {
                merged: Some(1000),
                doubled: 0,
            },
        }
    }
}

/// What Dom0 said of something: `name=value` in places.
struct Said<'a> {
    at: Option<f64>,
    text: &'a str,
}

impl<'a> Said<'a> {
    fn of(dom0: &'a GuestReport, word: &str) -> Said<'a> {
        let (at, text) = dom0.said(word).unzip();
        Said {
            at,
            text: text.unwrap_or_default(),
        }
    }

    fn value(&self, name: &str) -> Result<&'a str, String> {
        self.text
            .split_whitespace()
            .find_map(|w| w.strip_prefix(name)?.strip_prefix('='))
            .ok_or_else(|| "it did not come so far".to_owned())
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        let value = self.value(name)?;
        value
            .parse()
            .map_err(|_| format!("{name} is no number: {value}"))
    }

    /// The disk as its interrupts call it.
    fn disk(&self) -> Result<&'a str, String> {
        self.value("disk").map(|d| d.trim_end_matches("n1"))
    }
}

/// The disks that it had given away, when it has them again.
pub fn judge_again(dom0: &GuestReport, boot: &BootArguments) -> Check {
    let period = Period::of(dom0, "given", "back");
    let at = Said::of(dom0, "back").at;
    check(
        "Dom0 uses its disks again",
        at,
        plain(&period, boot.reads()),
    )
}

/// The CPUs have written events of its disks to the ITS of the host, and nothing has come of it.
pub fn judge_rung(domu: &GuestReport) -> Check {
    let said = Said::of(domu, "rung");
    let period = Period::of(domu, "quiet", "rung");
    let came: u64 = period.by_cpu(|row| row.what.contains("ITS-")).iter().sum();
    let result = said
        .number("written")
        .and_then(|written| match (written, came) {
            (0, _) => Err("its page could not be written to".to_owned()),
            (_, 0) => Ok(format!("{written} events, no interrupt")),
            _ => Err(format!("{written} events, {came} interrupts")),
        });
    check("DomU 1's CPUs write to the host's ITS", said.at, result)
}

/// Judges what became of the disks' interrupts and of the CPUs.
pub fn judge(dom0: &GuestReport, boot: &BootArguments, disk: Disk) -> Vec<Check> {
    let read = Period::of(dom0, "before", "after");
    let mut checks = vec![
        check("Disk interrupt", None, line(&read.to.interrupts, disk)),
        check(
            "Disk interrupts exact",
            Said::of(dom0, "read").at,
            plain(&read, boot.reads()),
        ),
    ];
    if boot.rounds() > 0 {
        let said = Said::of(dom0, "moved");
        let moved = moved(&Period::of(dom0, "after", "moved"), &said, boot, disk);
        checks.push(check("... while it moves", said.at, moved));
        let said = Said::of(dom0, "switched");
        let switched = switched(&Period::of(dom0, "moved", "switched"), &said, boot, disk);
        checks.push(check("... and CPUs go off and on", said.at, switched));
        let said = Said::of(dom0, "used");
        let used = used(&Period::of(dom0, "switched", "used"), &said, boot);
        checks.push(check("Each CPU works after that", said.at, used));
    }
    checks
}

fn check(name: &str, at: Option<f64>, result: Result<String, String>) -> Check {
    Check {
        name: name.into(),
        result,
        at,
    }
}

/// Is the disk on the kind of interrupt that was asked for?
fn line(now: &Interrupts, disk: Disk) -> Result<String, String> {
    let lines: Vec<&Row> = now
        .matching(|row| interrupts::disk(row).is_some())
        .collect();
    let fits = |row: &&Row| match disk {
        Disk::Intx => row.what.contains("GIC") && row.what.contains("Level"),
        Disk::Msi => row.what.contains("MSI"),
        Disk::Lpi => row.what.contains("ITS-"),
    };
    match (lines.iter().find(|l| !fits(l)), lines.len()) {
        (_, 0) => Err("/proc/interrupts has no line for it".to_owned()),
        (Some(other), _) => Err(format!("{disk} was expected: {}", other.what)),
        (None, 1) => Ok(format!("{disk}, 1 line")),
        (None, n) => Ok(format!("{disk}, {n} lines")),
    }
}

/// The reads of the first disk, when nothing moved.
fn plain(period: &Period, reads: u32) -> Result<String, String> {
    let found = period.exact()?;
    let most = period.to.requests.keys().max_by_key(|d| period.requests(d));
    period.enough(most.map_or("", String::as_str), reads)?;
    Ok(found)
}

/// The interrupt went from CPU to CPU: each must have got some, or the moves have done nothing.
fn moved(period: &Period, said: &Said, boot: &BootArguments, kind: Disk) -> Result<String, String> {
    let (disk, moves) = (said.disk()?, said.number("moves")?);
    if said.number("refused")? > 0 {
        return Err(format!("the kernel refused some of them: {}", said.text));
    }
    let found = period.but_for(&Odd::after(moves, boot, kind))?;
    period.enough(disk, boot.reads() / 4)?;
    let counts = period.of_disk(disk);
    let some = counts.iter().filter(|n| **n > 0).count();
    if some != boot.vcpus() as usize {
        return Err(format!(
            "after {moves} moves, {some} of {} CPUs have had interrupts: {counts:?}",
            boot.vcpus()
        ));
    }
    Ok(format!("{moves} moves, {found} {counts:?}"))
}

/// CPUs went off and on line: all must have come back.
fn switched(
    period: &Period,
    said: &Said,
    boot: &BootArguments,
    kind: Disk,
) -> Result<String, String> {
    let (moves, switches) = (said.number("moves")?, said.number("switches")?);
    let wanted = u64::from(boot.rounds()) * 2 * u64::from(boot.vcpus().saturating_sub(1));
    let online = said.value("online")?;
    if switches != wanted || online != format!("0-{}", boot.vcpus().saturating_sub(1)) {
        return Err(format!(
            "{switches} of {wanted} switches were done, CPUs {online} are on line"
        ));
    }
    let found = period.but_for(&Odd::after(moves + switches, boot, kind))?;
    if let Some(idle) = period.to.requests.keys().find(|d| period.requests(d) == 0) {
        return Err(format!("{idle} was not read meanwhile"));
    }
    Ok(format!("{switches} switches, {moves} moves, {found}"))
}

/// Each CPU got the disk's interrupt for a number of reads, and ticked.
fn used(period: &Period, said: &Said, boot: &BootArguments) -> Result<String, String> {
    let counts = period.of_disk(said.disk()?);
    period.exact()?;
    if counts != vec![READS_EACH; boot.vcpus() as usize] {
        return Err(format!(
            "{READS_EACH} interrupts of the disk were due to each CPU: {counts:?}"
        ));
    }
    let ticks = period.by_cpu(interrupts::is_timer);
    if ticks.len() != boot.vcpus() as usize || ticks.contains(&0) {
        return Err(format!("timer ticks do not rise on each CPU: {ticks:?}"));
    }
    Ok(format!("disk {counts:?}, timer {ticks:?}"))
}

#[cfg(test)]
mod tests;
