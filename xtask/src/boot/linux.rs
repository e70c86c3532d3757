// SPDX-License-Identifier: GPL-2.0-only
//! `boot`: build, start, watch, judge, and say so in a table and one last line.

use crate::boot::arguments::{BootArguments, DOMU_CPUS, Disk, Gic};
use crate::boot::bare;
use crate::boot::checks;
use crate::boot::clean;
use crate::boot::console::{Line, Speaker};
use crate::boot::count::{self, Counter};
use crate::boot::dtb::{self, Chosen, Layout};
use crate::boot::guest::{self, Guest};
use crate::boot::guest_report::mark;
use crate::boot::load;
use crate::boot::machine::{self, Wish, loader, path};
use crate::boot::qemu::{self, Qemu};
use crate::boot::state;
use crate::boot::verdict::{self, Verdict};
use crate::hypervisor::version::Version;
use crate::hypervisor::xen::{self, Built};
use crate::paths;
use crate::progress::Step;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Memory of Dom0 and of each DomU in MiB, and what Xen, the modules and the page tables want beside them.
const DOM0_MEMORY: u32 = 512;
const DOMU_MEMORY: u32 = 128;
const OTHER_MEMORY: u32 = 768;

/// How long a boot takes at the least, to say it before.
const MINUTES: u32 = 1;

/// For the guests' kernels: on a busy machine an emulated CPU may stand still for longer than Linux's watchdogs grant by
/// default. A hang is still one, only later.
const PATIENCE: &str = "watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120";

/// What a machine is made of.
pub struct Parts {
    /// The emulator.
    pub qemu: Qemu,
    /// The hypervisor.
    pub built: Built,
    guest: Guest,
    /// The test guest, if it is a domain beside Dom0.
    test: Option<PathBuf>,
    /// Whether Dom0's vCPUs must stay on their CPUs, and its interrupts on them.
    pub pin: bool,
}

impl Parts {
    /// Finds or makes them.
    pub fn gather(boot: &BootArguments) -> Result<Parts> {
        let qemu = qemu::find()?;
        count::can_count(boot, &qemu)?;
        if boot.xen.smmu && !qemu.version.translates_for_xen() {
            bail!(
                "the SMMUv3 of QEMU {} is not one that Xen can use: install QEMU 9.0 or later, or leave out --smmu",
                qemu.version
            );
        }
        fs::create_dir_all(paths::boot())?;
        let test = match boot.has_test() {
            true => Some(bare::image(false)?),
            false => None,
        };
        Ok(Parts {
            pin: boot.gic == Gic::V2 && qemu.version.loses_moved_spis(),
            qemu,
            built: xen::build(&boot.xen, boot.icount)?,
            guest: guest::prepare(test.as_deref(), &boot.pci, boot.reads())?,
            test,
        })
    }
}

/// Does it all; the result is whether every check held.
pub fn boot(boot: &BootArguments) -> Result<bool> {
    let parts = Parts::gather(boot)?;
    let still = BootArguments {
        rounds: Some(0),
        ..boot.clone()
    };
    let boot = if parts.pin { &still } else { boot };
    let mut failure = None;
    for disk in boot.disks() {
        let name = name(boot, disk, parts.built.version);
        let log = paths::boot().join(format!("{name}.log"));
        let load = load();
        let mut command = prepare(boot, disk, &name, &parts)?;
        let counter = boot
            .count
            .then(|| {
                Counter::new(
                    &name,
                    &parts.qemu,
                    &parts.built,
                    boot.xen.vgic,
                    &mut command,
                )
            })
            .transpose()?;
        let run = watch(boot, disk, &command, &log)?;
        let verdict = checks::judge(&run, boot, disk);
        let title = format!(
            "Xen {} with the {} vGIC{}, GIC{}, {} CPUs{}, {} DomUs{}, {}",
            parts.built.full_version,
            boot.xen.vgic,
            extras(boot),
            boot.gic,
            boot.cpus,
            crowd(boot, " for ", " vCPUs of Dom0"),
            boot.domus,
            match boot.rvic {
                true => " and a guest with an rVIC",
                false => "",
            },
            on(boot, disk)
        );
        let mut machine = format!(
            "QEMU {}, gcc {}, load before {load}",
            parts.qemu.version,
            xen::compiler()
        );
        if parts.pin {
            machine.push_str(
                ";\n no interrupt and no vCPU is moved, and no CPU goes off line: before 9.1, QEMU's GICv2 loses an SPI that \
                 moves",
            );
        }
        verdict::print(&title, &machine, &verdict);
        println!("console log: {}", log.display());
        let failed = match boot.state.plant {
            None => failed(&verdict),
            Some(plant) => match state::noticed(plant, &verdict) {
                Ok(how) => {
                    println!("{plant}: planted, and so noticed: {how}");
                    None
                }
                Err(why) => Some(why),
            },
        };
        if let Some(failed) = failed {
            failure = Some(failed);
            break;
        }
        if let Some(counter) = counter {
            counter.read()?.print();
        }
    }
    match &failure {
        None => println!(
            "boot: ok gic={}{} vgic={} cpus={}{} domus={}{} xen={}",
            boot.gic,
            boot.controller().words(),
            boot.xen.vgic,
            boot.cpus,
            crowd(boot, " vcpus=", ""),
            boot.domus,
            boot.state
                .plant
                .map_or(String::new(), |plant| format!(" noticed={plant}")),
            parts.built.full_version
        ),
        Some(check) => println!("boot: FAILED {check}"),
    }
    Ok(failure.is_none())
}

fn failed(verdict: &Verdict) -> Option<String> {
    verdict.failure().map(|c| {
        let why = c.result.as_ref().err().map_or("", String::as_str);
        format!("{}: {why}", c.name)
    })
}

/// What Xen is built with beside the vGIC.
fn extras(boot: &BootArguments) -> String {
    let extras = [
        (boot.xen.espi, "extended SPIs"),
        (boot.xen.its, "the ITS"),
        (boot.xen.smmu, "the SMMUv3"),
    ];
    let names = extras.into_iter().filter(|e| e.0);
    names.map(|(_, name)| format!(", {name}")).collect()
}

/// How many vCPUs Dom0 has, where that is not as many as there are CPUs.
fn crowd(boot: &BootArguments, before: &str, after: &str) -> String {
    match boot.vcpus {
        Some(n) if n != boot.cpus => format!("{before}{n}{after}"),
        _ => String::new(),
    }
}

/// What the boot's disk interrupts with, if it has one.
fn on(boot: &BootArguments, disk: Disk) -> String {
    match boot.reads() {
        0 => "no disk".to_owned(),
        _ => format!("disk on {disk}"),
    }
}

/// The name of a boot's files.
pub fn name(boot: &BootArguments, disk: Disk, xen: Version) -> String {
    let disk = match disk {
        Disk::Intx => "intx",
        Disk::Msi => "msi",
        Disk::Lpi => "lpi",
    };
    let count = if boot.icount { "-icount" } else { "" };
    let extras = boot.xen.suffix();
    let life = if boot.life > 0 { "-life" } else { "" };
    let msi = if boot.domu_its { "-msi" } else { "" };
    let messages = if boot.messages > 0 { "-messages" } else { "" };
    let rvic = boot.controller().suffix();
    let storm = if boot.storm > 0 { "-storm" } else { "" };
    let state = boot.state.suffix();
    let pci = boot.pci.suffix();
    format!(
        "xen{xen}-{}-{}-{}cpus{}-{}domus-{disk}{extras}{count}{life}{msi}{messages}{storm}{state}{rvic}{pci}",
        boot.gic,
        boot.xen.vgic,
        boot.cpus,
        crowd(boot, "-", "vcpus"),
        boot.domus
    )
}

/// How busy this machine is: a slow boot on a busy machine is no news.
fn load() -> String {
    fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|t| t.split_whitespace().next().map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Makes the device tree and the disk; the result is the command that starts the machine.
pub fn prepare(boot: &BootArguments, disk: Disk, name: &str, parts: &Parts) -> Result<Vec<String>> {
    let domains = boot.domus + u32::from(boot.has_test());
    let memory = OTHER_MEMORY + DOM0_MEMORY + DOMU_MEMORY * domains;
    let mut command = machine::arguments(&parts.qemu, boot, memory.next_multiple_of(256));
    command.extend(load::drives(boot, disk, parts.qemu.version));
    command.extend(boot.pci.drives(disk));
    let layout = Layout::new(
        &parts.guest.kernel,
        [&parts.guest.dom0_initrd, &parts.guest.initrd],
        boot.domus > 0,
        parts.test.as_deref(),
    )?;
    let tree = paths::boot().join(format!("{name}.dtb"));
    // With instructions counted, typing at a moment of the host's would make each boot different.
    let end = if boot.icount { "20" } else { "console" };
    let nomsi = if disk == Disk::Intx { " pci=nomsi" } else { "" };
    dtb::write(
        &tree,
        &command,
        &layout,
        &Chosen {
            xen: &format!(
                "console=dtuart dom0_mem={DOM0_MEMORY}M dom0_max_vcpus={} loglvl=all guest_loglvl=all \
                 console_timestamps=boot{}{}{}",
                boot.vcpus(),
                if parts.pin { " dom0_vcpus_pin" } else { "" },
                if boot.xen.smmu {
                    " pci-passthrough=on"
                } else {
                    ""
                },
                boot.storm_limit
                    .as_ref()
                    .map_or(String::new(), |limit| format!(" vgic-storm={limit}"))
                    + boot.pci.xen()
            ),
            dom0: &format!(
                "console=hvc0 earlycon=xen {PATIENCE} role=dom0 disks={} reads={} rounds={} life={}{} messages={} \
                 storm={} {}{} end={end}{nomsi}",
                load::disks(boot, disk).join(","),
                boot.reads(),
                boot.rounds(),
                boot.life,
                match boot.lives() {
                    "" => String::new(),
                    word => format!(" lives={word}"),
                },
                boot.messages,
                boot.storm,
                boot.state.dom0(boot.domus),
                boot.pci.dom0(disk)
            ),
            domu: &format!(
                "console=ttyAMA0 earlycon=pl011,0x22000000 {PATIENCE} {} suspends={} end={}",
                domu_load(boot, disk),
                boot.state.suspends,
                domu_end(boot)
            ),
            domus: boot.domus,
            domu_cpus: DOMU_CPUS,
            domu_memory: DOMU_MEMORY * 1024,
            msi: boot.domu_its || boot.pci.pci_domu,
            test: &boot.test(bare::LIMITS).unwrap_or_default(),
            controller: boot.controller(),
            spare: boot.life > 0,
            passthrough: boot.pci.pci_domu,
        },
    )?;
    if boot.edge_timer {
        dtb::make_timer_edge(&tree)?;
    }
    command.extend([
        "-kernel".into(),
        path(&parts.built.image)?,
        "-dtb".into(),
        path(&tree)?,
    ]);
    for module in layout.modules() {
        command.extend(["-device".into(), loader(module)?]);
    }
    Ok(command)
}

/// What the DomUs do: the first may get Dom0's disks. (There is one then, as all have the same command line.)
fn domu_load(boot: &BootArguments, disk: Disk) -> String {
    match boot.pci.pci_domu {
        true => format!(
            "part=wait iomem=relaxed disks={} reads={} rounds={}",
            load::disks(boot, disk).join(","),
            boot.reads(),
            boot.rounds()
        ),
        false => "reads=0".to_owned(),
    }
}

/// How they end.
fn domu_end(boot: &BootArguments) -> &'static str {
    match (boot.storm, boot.pci.pci_domu) {
        // It is still there when Dom0 takes its disks.
        (0, true) => "20",
        (0, false) => "0",
        _ => "count",
    }
}

/// Runs the machine, shows how far it is, and lets Dom0 go when all others have finished.
fn watch(boot: &BootArguments, disk: Disk, command: &[String], log: &Path) -> Result<machine::Run> {
    let step = Step::long(
        format!("Booting on GIC{}, {}", boot.gic, on(boot, disk)),
        minutes(boot),
    );
    let mut running: BTreeSet<String> = BTreeSet::from(["dom0".to_owned()]);
    let domains = boot.domus + u32::from(boot.has_test());
    running.extend((1..=domains).map(|n| format!("domU{n}")));
    let mut told = boot.icount;
    let mut last_flash = 0.0;
    let limit = Duration::from_secs(boot.limit + boot.pci.seconds());
    let run = machine::run(command, log, limit, &step, |line| {
        if let Some(milestone) = milestone(line) {
            match next(boot, line) {
                Some(next) => step.note(&format!("{milestone}; now {next}")),
                None => step.note(&milestone),
            }
        } else if line.at - last_flash > 0.1 {
            last_flash = line.at;
            step.flash(line.text.trim());
        }
        // Without its disks DomU 1 would wait for long.
        let refused = |mark: &str| mark.contains(" pci: FAILED ");
        if clean::is_fatal(&line.text) || mark(&line.text).is_some_and(refused) {
            return Wish::GiveUp;
        }
        let test_is_over = boot.has_test()
            && matches!(line.speaker, Speaker::DomU(_))
            && bare::said(line).and_then(bare::counts).is_some();
        if test_is_over || mark(&line.text).is_some_and(|m| m.starts_with("done")) {
            running.remove(&who(line));
        }
        if line.speaker == Speaker::DomU(1)
            && mark(&line.text).is_some_and(|m| m.starts_with("released"))
        {
            return Wish::Type("released\n".into());
        }
        if running.is_empty() && !told {
            told = true;
            return Wish::Type("go\n".into());
        }
        Wish::None
    })?;
    step.done(&format!("the machine ran for {:.1} s", run.seconds));
    Ok(run)
}

/// About how long a boot takes.
fn minutes(boot: &BootArguments) -> u32 {
    // Two, with the machine's default of reads and rounds; the rest in proportion.
    MINUTES
        + (boot.reads() + boot.life * 20 + boot.rounds() * 200 + boot.messages / 10) / 10_000
        + boot.state.copies / 500
        + boot.state.resets
        + boot.state.suspends * boot.domus / 20
        + boot.pci.owners() / 2
}

/// What Dom0 does after what it has just said, in words: it says no more until it is done.
fn next(boot: &BootArguments, line: &Line) -> Option<String> {
    let mark = mark(&line.text).filter(|_| line.speaker == Speaker::Dom0)?;
    match mark.split(' ').next()? {
        "disks" => Some(format!("it reads the first, {} times", boot.reads())),
        "read" if boot.rounds() > 0 => Some(format!(
            "the disk's interrupt moves from CPU to CPU, for {} reads or more",
            boot.reads() / 4
        )),
        "moved" => Some(format!(
            "its CPUs go off and on line, {} rounds",
            boot.rounds()
        )),
        "messages" => Some(format!("{} messages to the test guest", boot.messages)),
        "quiet" => Some(format!("DomU 1 counts for {} s", boot.storm)),
        "storms" => Some("Dom0 reads with 64 requests in flight".to_owned()),
        "copies" => Some(format!(
            "{} copies of the test guest's vGIC",
            boot.state.copies
        )),
        "resets" => Some(format!("{} resets of the test guest", boot.state.resets)),
        "suspends" => Some("it resumes who has suspended itself".to_owned()),
        "switched" => Some("each CPU has its turn to read".to_owned()),
        _ => None,
    }
}

fn who(line: &Line) -> String {
    match line.speaker {
        Speaker::DomU(n) => format!("domU{n}"),
        Speaker::Dom0 | Speaker::Xen => "dom0".to_owned(),
    }
}

/// What is worth a line of its own while a machine boots.
pub fn milestone(line: &Line) -> Option<String> {
    if line.speaker == Speaker::Xen && line.text.contains("Xen version") {
        return Some("Xen has started".into());
    }
    if line.text.contains("Booting Linux on physical CPU") {
        return Some(format!("{}: Linux has started", clean::speaker(line)));
    }
    let mark = mark(&line.text)?;
    let word = mark.split(' ').next()?;
    let quiet = ["begin", "end"].contains(&word);
    let quiet = quiet || word == "counted";
    (!quiet).then(|| format!("{}: {mark}", clean::speaker(line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::arguments::parse;

    #[test]
    fn what_comes_next_is_said_where_it_is_silent() {
        let next_of = |arguments: &str, text: &str| {
            let line = Line {
                speaker: Speaker::Dom0,
                text: text.to_owned(),
                at: 1.0,
            };
            next(&parse(arguments), &line).unwrap_or_default()
        };
        let disks = next_of("", "MARK dom0 disks nvme0n1, 2000 reads");
        assert!(disks.contains("2000 times"), "{disks}");
        let read = next_of("", "MARK dom0 read 8192000 bytes");
        assert!(read.contains("500 reads"), "{read}");
        assert_eq!(next_of("--rounds 0", "MARK dom0 read 8192000 bytes"), "");
        let moved = next_of("--rounds 7", "MARK dom0 moved disk=nvme0n1");
        assert!(moved.contains("7 rounds"), "{moved}");
    }
}
