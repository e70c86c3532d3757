// SPDX-License-Identifier: GPL-2.0-only
//! What a boot must have shown to be called good. A machine's exit status says nothing: QEMU ends with 0 after a panic too.

use crate::boot::arguments::{BootArguments, DOMU_CPUS, Disk, Gic};
use crate::boot::bare;
use crate::boot::clean;
use crate::boot::console::{Line, Speaker};
use crate::boot::guest_report::GuestReport;
use crate::boot::interrupts::{self, Interrupts, Row};
use crate::boot::life;
use crate::boot::load;
use crate::boot::machine::{End, Run};
use crate::boot::messages;
use crate::boot::pci;
use crate::boot::state;
use crate::boot::storm;
use crate::boot::verdict::{Change, Check, Verdict};
use crate::hypervisor::arguments::Vgic;

/// Judges a boot by what its console said.
pub fn judge(run: &Run, boot: &BootArguments, disk: Disk) -> Verdict {
    let dom0 = GuestReport::collect(&run.lines, Speaker::Dom0);
    let test = boot.has_test().then(|| test_guest(run)).flatten();
    let numbers: Vec<u32> = (1..)
        .filter(|n| test != Some(Speaker::DomU(*n)))
        .take(boot.domus as usize)
        .collect();
    let domus: Vec<GuestReport> = numbers
        .iter()
        .map(|n| GuestReport::collect(&run.lines, Speaker::DomU(*n)))
        .collect();
    // What these two find explains what the others miss: they come first, and the first that fails is named.
    let mut checks = vec![xen(run), vgic(run, boot), clean_log(run, boot), end(run)];
    if boot.xen.smmu {
        checks.push(Check::of(
            "Devices behind the SMMU",
            find(run, Speaker::Xen, "I/O virtualisation enabled"),
            "Xen did not say that it uses the SMMU",
        ));
    }
    checks.extend(guest("Dom0", &dom0, boot.vcpus(), boot.gic));
    for (n, domu) in numbers.iter().zip(&domus) {
        checks.extend(guest(&format!("DomU {n}"), domu, DOMU_CPUS, boot.gic));
    }
    if boot.domu_its {
        for n in &numbers {
            checks.extend(messages::judge(&run.lines, *n, boot.gic));
        }
    }
    let before = dom0.interrupts("irq-before");
    let after = dom0.interrupts("irq-after");
    checks.push(rises(
        "Dom0 timer ticks",
        &before,
        &after,
        interrupts::is_timer,
    ));
    if boot.vcpus() > 1 {
        checks.push(rises(
            "Dom0 inter-processor interrupts",
            &before,
            &after,
            interrupts::is_ipi,
        ));
    }
    checks.push(present(
        "Dom0 event channel upcalls",
        &after,
        interrupts::is_event_upcall,
    ));
    for (n, domu) in numbers.iter().zip(&domus) {
        let (before, after) = (domu.interrupts("irq-before"), domu.interrupts("irq-after"));
        checks.push(rises(
            &format!("DomU {n} timer ticks"),
            &before,
            &after,
            interrupts::is_timer,
        ));
    }
    if boot.reads() > 0 {
        checks.extend(load::judge(&dom0, boot, disk));
    }
    if boot.pci.pci_domu || boot.pci.vpci {
        checks.push(pci::judge_functions(&run.lines, boot, disk));
    }
    if boot.pci.pci_domu {
        checks.extend(pci::judge(&dom0, domus.first(), boot, disk));
    }
    if boot.pci.vpci && disk == Disk::Lpi {
        checks.extend(pci::judge_ahci(&dom0, boot));
    }
    if boot.life > 0 {
        let (at, said) = dom0.said("life:").unzip();
        checks.push(Check {
            name: "Domains created and destroyed".into(),
            result: life::judge(said, boot.life, boot.lives()),
            at,
        });
    }
    if boot.storm > 0 {
        checks.push(storm::judge(&run.lines));
    }
    if boot.messages > 0 {
        let (at, said) = dom0.said("messages:").unzip();
        checks.push(Check {
            name: "Messages to the test guest".into(),
            result: life::judge_messages(said, boot.messages),
            at,
        });
        let counts = run.lines.iter().find_map(|line| {
            let counts = bare::counts(bare::said(line)?)?;
            Some((line.at, counts))
        });
        let result = match counts {
            Some((_, (1, 0))) => Ok("the guest says so too".to_owned()),
            Some(_) => Err("the guest has counted something else".to_owned()),
            None => Err("the guest did not come to its end".to_owned()),
        };
        checks.push(Check {
            name: "Messages as the guest counts them".into(),
            result,
            at: counts.map(|(at, _)| at),
        });
    }
    let both: Vec<(u32, &GuestReport)> = numbers.iter().copied().zip(&domus).collect();
    checks.extend(state::judge(run, &boot.state, &dom0, &both));
    let mut changes = changes("Dom0", &before, &after);
    for (n, domu) in numbers.iter().zip(&domus) {
        let (before, after) = (domu.interrupts("irq-before"), domu.interrupts("irq-after"));
        changes.extend(self::changes(&format!("DomU {n}"), &before, &after));
    }
    Verdict { checks, changes }
}

/// Which domain the test guest is.
fn test_guest(run: &Run) -> Option<Speaker> {
    let first = |line: &&Line| {
        line.text
            .contains("guest: a test of the interrupt controller")
    };
    run.lines.iter().find(first).map(|line| line.speaker)
}

fn find(run: &Run, speaker: Speaker, text: &str) -> Option<(f64, String)> {
    let line = run
        .lines
        .iter()
        .find(|l| l.speaker == speaker && l.text.contains(text))?;
    let at = line.text.find(text)?;
    line.text.get(at..).map(|t| (line.at, t.trim().to_owned()))
}

fn xen(run: &Run) -> Check {
    let found =
        find(run, Speaker::Xen, "Xen version").or_else(|| find(run, Speaker::Dom0, "Xen version"));
    let short = found.map(|(at, text)| (at, text.split(" (").next().unwrap_or(&text).to_owned()));
    let missing = match run.complaints.lines().last() {
        Some(complaint) if run.lines.is_empty() => format!("the machine did not: {complaint}"),
        _ => "there is no line with Xen's version".to_owned(),
    };
    Check::of("Xen starts", short, &missing)
}

/// Ours says so at boot. Xen's C vGICs say nothing: there, the configuration has been checked, and that ours is silent.
fn vgic(run: &Run, boot: &BootArguments) -> Check {
    let ours = find(run, Speaker::Xen, "rust-vgic:");
    match boot.xen.vgic {
        Vgic::Rust => Check::of(
            "vGIC in use",
            ours,
            "Xen did not say that it uses the Rust vGIC",
        ),
        other => {
            let result = match ours {
                None => Ok(format!("{other} (C, by Xen's configuration)")),
                Some((_, text)) => Err(format!("the {other} vGIC was asked for, but: {text}")),
            };
            Check {
                name: "vGIC in use".into(),
                result,
                at: None,
            }
        }
    }
}

fn guest(name: &str, report: &GuestReport, cpus: u32, gic: Gic) -> Vec<Check> {
    let driver = report.controller.clone().filter(|(_, text)| match gic {
        Gic::V2 => !text.contains("GICv3"),
        Gic::V3 => text.contains("GICv3"),
    });
    let plural = if cpus == 1 { "CPU" } else { "CPUs" };
    let brought = report
        .brought_up
        .clone()
        .filter(|(_, text)| text.ends_with(&format!("1 node, {cpus} {plural}")));
    let missing = match &report.brought_up {
        Some((_, text)) => format!("{cpus} were expected, the kernel said: {text}"),
        None => "the kernel did not say how many CPUs it has brought up".to_owned(),
    };
    let up = report.up.clone().filter(|_| report.cpus == cpus);
    let done = report.done.map(|at| (at, "done".to_owned()));
    vec![
        Check::of(
            format!("{name} GIC driver"),
            driver,
            &format!("the kernel did not set up a GIC{gic}"),
        ),
        Check::of(format!("{name} CPUs"), brought, &missing),
        Check::of(
            format!("{name} user space"),
            up,
            &format!("its first process did not report {cpus} CPUs"),
        ),
        Check::of(
            format!("{name} finishes"),
            done,
            "it did not come to its end",
        ),
    ]
}

fn rises(name: &str, before: &Interrupts, after: &Interrupts, fits: fn(&Row) -> bool) -> Check {
    let (old, new) = (before.total(fits), after.total(fits));
    let result = if new > old {
        Ok(format!("{old} -> {new}"))
    } else {
        Err(format!("they do not rise ({old}, then {new})"))
    };
    Check {
        name: name.into(),
        result,
        at: None,
    }
}

fn present(name: &str, now: &Interrupts, fits: fn(&Row) -> bool) -> Check {
    let result = match now.total(fits) {
        0 => Err("there were none".to_owned()),
        n => Ok(n.to_string()),
    };
    Check {
        name: name.into(),
        result,
        at: None,
    }
}

fn clean_log(run: &Run, boot: &BootArguments) -> Check {
    let mut found = clean::trouble(&run.lines, boot.xen.vgic);
    // Of a planted fault the test guest is to say that it has failed.
    let end = |line: &Line| bare::said(line).and_then(bare::counts).is_some();
    found.retain(|line| boot.state.plant.is_none() || !end(line));
    let result = match found.first() {
        None => Ok(format!("{} lines", run.lines.len())),
        Some(line) => {
            let more = match found.len() {
                1 => String::new(),
                n => format!(" (and {} more)", n - 1),
            };
            Err(format!(
                "{}: {}{more}",
                clean::speaker(line),
                line.text.trim()
            ))
        }
    };
    Check {
        name: "Log is clean".into(),
        result,
        at: found.first().map(|l| l.at),
    }
}

fn end(run: &Run) -> Check {
    let result = match run.end {
        End::Off if find(run, Speaker::Xen, "Hardware Dom0 halted").is_some() => {
            Ok("Dom0 switched the machine off".to_owned())
        }
        End::Off => {
            let said = run.complaints.lines().last().unwrap_or("QEMU said nothing");
            Err(format!(
                "it went off, and not by Dom0's doing ({said}); {}",
                last(&run.lines)
            ))
        }
        End::GivenUp => Err("something fatal happened".to_owned()),
        End::Limit => Err(format!(
            "the time was over after {:.0} s; {}",
            run.seconds,
            last(&run.lines)
        )),
    };
    Check {
        name: "Machine ends".into(),
        result,
        at: Some(run.seconds),
    }
}

/// The last thing anyone said: where a hang is.
fn last(lines: &[Line]) -> String {
    match lines.iter().rev().find(|l| !l.text.trim().is_empty()) {
        Some(line) => format!(
            "the last line is {}'s: {}",
            clean::speaker(line),
            line.text.trim()
        ),
        None => "the console stayed silent".to_owned(),
    }
}

fn changes(guest: &str, before: &Interrupts, after: &Interrupts) -> Vec<Change> {
    let wanted = |row: &Row| {
        interrupts::is_timer(row)
            || interrupts::is_event_upcall(row)
            || interrupts::is_ipi(row)
            || row.what.contains("nvme")
            || row.what.contains("uart")
    };
    after
        .matching(wanted)
        .filter(|row| row.total() > 0)
        .map(|row| Change {
            guest: guest.to_owned(),
            name: format!("{}: {}", row.name, row.what),
            before: before.total(|r| r.name == row.name),
            after: row.total(),
        })
        .collect()
}
