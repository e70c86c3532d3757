// SPDX-License-Identifier: GPL-2.0-only
//! Disks that go from Dom0 to other domains (assets/owned, guest/life/pci.c), and a Dom0 whose own devices Xen stands before.

use crate::boot::arguments::{BootArguments, DOMU_CPUS, Disk};
use crate::boot::console::{Line, Speaker};
use crate::boot::guest_report::GuestReport;
use crate::boot::life;
use crate::boot::load;
use crate::boot::verdict::Check;
use crate::command::run;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The device tree of a domain that Dom0 builds; the initial file system there is so long.
pub fn owner_tree(directory: &Path, name: &str, bootargs: &str, initrd: u64) -> Result<PathBuf> {
    const TREE: &str = include_str!("../../assets/owner.dts");
    const INITRD: u64 = 0x4400_0000;
    let source = directory.join(format!("{name}.dts"));
    let text = TREE
        .replace("@BOOTARGS@", bootargs)
        .replace("@INITRD_END@", &format!("{:#x}", INITRD + initrd));
    fs::write(&source, text).with_context(|| format!("cannot write {}", source.display()))?;
    let tree = directory.join(format!("{name}.dtb"));
    let mut dtc = Command::new("dtc");
    dtc.args(["-q", "-I", "dts", "-O", "dtb", "-o"])
        .args([&tree, &source]);
    run(&mut dtc, "make a domain's device tree", None)?;
    Ok(tree)
}

/// Xen says of each function that a domain has through vPCI that its messages go through the vGIC: those of the
/// NVMes, and in Dom0 that of the AHCI disk.
pub fn judge_functions(lines: &[Line], boot: &BootArguments, disk: Disk) -> Check {
    let (domain, others) = if boot.pci.vpci { (0, 1) } else { (1, 0) };
    let others = if disk == Disk::Lpi { others } else { 0 };
    let wanted = load::disks(boot, disk).len() + others;
    let begins = format!("rust-vgic: d{domain}: 0000:");
    let found: Vec<&Line> = lines
        .iter()
        .filter(|l| l.speaker == Speaker::Xen && l.text.contains(&begins))
        .filter(|l| l.text.contains(" sends up to "))
        .collect();
    let result = match found.len() {
        n if n == wanted => Ok(format!("{n} functions of d{domain}")),
        n => Err(format!(
            "{wanted} functions of d{domain} send messages, Xen named {n}"
        )),
    };
    Check {
        name: "Messages through vPCI".into(),
        result,
        at: found.first().map(|l| l.at),
    }
}

/// What Dom0 has seen of its AHCI disk: as many interrupts as requests, and on each CPU when they go there.
pub fn judge_ahci(dom0: &GuestReport, boot: &BootArguments) -> Vec<Check> {
    let read = said_counts(dom0, "ahci", boot.reads());
    let moved = said_counts(dom0, "ahci-moved", 50 * boot.vcpus());
    let line = dom0.said("ahci").map_or("", |(_, text)| text);
    let kind = match line.contains("ITS-PCI-MSI-") {
        true => read.1,
        false => Err(format!("it is not on MSI: {line}")),
    };
    [
        ("AHCI disk on MSI", (read.0, kind)),
        ("... when it moves", moved),
    ]
    .map(|(name, (at, result))| Check {
        name: name.to_owned(),
        result,
        at,
    })
    .into()
}

/// Pairs of `requests=N interrupts=N`, of so many requests or more.
fn said_counts(
    dom0: &GuestReport,
    word: &str,
    least: u32,
) -> (Option<f64>, Result<String, String>) {
    let Some((at, text)) = dom0.said(word) else {
        return (None, Err("Dom0 did not report of it".to_owned()));
    };
    let numbers = |name: &str| -> Vec<u64> {
        let words = text.split_whitespace();
        let values = words.filter_map(|w| w.strip_prefix(name)?.strip_prefix('='));
        values.filter_map(|v| v.parse().ok()).collect()
    };
    let (requests, interrupts) = (numbers("requests"), numbers("interrupts"));
    let result = match requests == interrupts && requests.iter().sum::<u64>() >= least.into() {
        true => Ok(format!("{requests:?} requests, as many interrupts")),
        false => Err(format!(
            "{requests:?} requests, but {interrupts:?} interrupts"
        )),
    };
    (Some(at), result)
}

/// What became of the disks: the first DomU had them, those that Dom0 built, and Dom0 again.
pub fn judge(
    dom0: &GuestReport,
    domu: Option<&GuestReport>,
    boot: &BootArguments,
    disk: Disk,
) -> Vec<Check> {
    let said = |name: &str, word: &str, begins: &str| {
        let (at, text) = dom0.said(word).unzip();
        let program = text.and_then(|text| text.strip_prefix("pci: "));
        Check {
            name: name.to_owned(),
            result: life::ok(program, begins),
            at,
        }
    };
    let mut checks = vec![said("Disks are DomU 1's", "given", "")];
    if let Some(domu) = domu {
        let of_domu = BootArguments {
            vcpus: Some(DOMU_CPUS),
            ..boot.clone()
        };
        let of_domu = load::judge(domu, &of_domu, disk).into_iter();
        let (at, text) = domu.said("mistreated").unzip();
        checks.push(Check {
            name: "DomU 1: what no driver does".to_owned(),
            result: life::ok(text.and_then(|text| text.strip_prefix("hostile: ")), ""),
            at,
        });
        checks.extend(of_domu.map(|check| Check {
            name: format!("DomU 1: {}", check.name),
            ..check
        }));
    }
    checks.extend(domu.map(load::judge_rung));
    if let Some(domu) = domu {
        let (at, text) = domu.said("left").unzip();
        checks.push(Check {
            name: "DomU 1 has nothing of what left it".to_owned(),
            result: life::ok(text.and_then(|text| text.strip_prefix("hostile: ")), ""),
            at,
        });
    }
    checks.push(said("Disks are Dom0's", "taken", ""));
    if boot.pci.owners() > 0 {
        let begins = format!("{} domains: ", boot.pci.owners());
        checks.push(said("Domains that owned a disk", "lived", &begins));
    }
    checks.push(said("Dom0's drivers have the disks", "kept", ""));
    checks.push(load::judge_again(dom0, boot));
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::arguments::parse as boot;

    #[test]
    fn what_cannot_be_given_away_is_refused_in_words() {
        for (arguments, word) in [
            ("--pci-domu", "--smmu"),
            ("--vpci", "--smmu"),
            ("--its --smmu --pci-domu --vgic old", "--vgic rust"),
            ("--its --smmu --vpci --reads 0", "--reads"),
            ("--its --smmu --pci-domu --domus 0", "--domus"),
            ("--its --smmu --pci-domu --vpci", "two boots"),
            ("--owners 3", "--pci-domu"),
            ("--its --smmu --pci-domu --owners 1001", "--owners"),
        ] {
            let problem = boot(arguments).problem().unwrap_or_default();
            assert!(problem.contains(word), "{arguments}: {problem}");
        }
        let good = boot("--its --smmu --pci-domu");
        assert_eq!(good.problem(), None);
        assert_eq!(good.pci.owners(), 20);
        assert_eq!(boot("--its --smmu --vpci").problem(), None);
    }

    fn dom0(said: &[&str]) -> GuestReport {
        let line = |said: &&str| Line {
            speaker: Speaker::Dom0,
            text: format!("MARK dom0 {said}"),
            at: 1.0,
        };
        GuestReport::collect(&said.iter().map(line).collect::<Vec<_>>(), Speaker::Dom0)
    }

    #[test]
    fn each_function_must_be_behind_vpci() {
        let line = |text: &str| Line {
            speaker: Speaker::Xen,
            text: text.to_owned(),
            at: 1.0,
        };
        let all = [
            line("rust-vgic: d0: GICv3, 2 vCPUs"),
            line("[ 3.2] rust-vgic: d0: 0000:00:01.0 sends up to 65 messages"),
            line("[ 3.3] rust-vgic: d0: 0000:00:02.0 sends up to 1 messages"),
        ];
        let boot = boot("--its --smmu --vpci --rounds 0");
        let good = |lines: &[Line]| judge_functions(lines, &boot, Disk::Lpi).result.is_ok();
        assert!(good(&all), "the first disk, and AHCI");
        assert!(!good(&all[..2]));
    }

    #[test]
    fn an_ahci_disk_has_as_many_interrupts_as_requests() {
        let boot = boot("--its --smmu --vpci --cpus 2 --reads 300 --rounds 0");
        let failures = |read: &str, moved: &str| {
            let checks = judge_ahci(&dom0(&[read, moved]), &boot);
            checks.iter().filter(|c| c.result.is_err()).count()
        };
        let (read, moved) = (
            "ahci requests=300 interrupts=300 ITS-PCI-MSI-0000:00:03.0",
            "ahci-moved requests=50 interrupts=50 requests=50 interrupts=50",
        );
        assert_eq!(failures(read, moved), 0);
        assert_eq!(failures(&read.replace("ts=300", "ts=299"), moved), 1);
        assert_eq!(failures(&read.replace("300", "200"), moved), 1, "too few");
        assert_eq!(failures(&read.replace("ITS-PCI-MSI-", "GICv3"), moved), 1);
        assert_eq!(failures(read, &moved.replacen("ts=50", "ts=49", 2)), 1);
        assert_eq!(failures(read, &moved.replacen("interrupts=50", "", 1)), 1);
        assert_eq!(failures("", ""), 2);
    }

    #[test]
    fn a_domain_has_nothing_of_a_disk_that_has_left_it() {
        let boot = boot("--its --smmu --pci-domu --rounds 0 --owners 0");
        let left = |said: &[&str]| {
            let lines: Vec<Line> = said
                .iter()
                .map(|said| Line {
                    speaker: Speaker::DomU(1),
                    text: format!("MARK domU1 left hostile: {said}"),
                    at: 1.0,
                })
                .collect();
            let domu = GuestReport::collect(&lines, Speaker::DomU(1));
            let checks = judge(&dom0(&[]), Some(&domu), &boot, Disk::Lpi);
            let name = "DomU 1 has nothing of what left it";
            checks.into_iter().find(|c| c.name == name).unwrap().result
        };
        assert!(left(&["ok 0000:00:01.0 has left, and with it 4 places"]).is_ok());
        assert!(left(&["FAILED pages still there: 2 of a table"]).is_err());
        assert!(left(&[]).is_err());
    }

    #[test]
    fn what_the_program_says_of_the_disks_must_be_that_all_went_well() {
        let boot = boot("--its --smmu --pci-domu --rounds 0 --owners 3");
        let failures = |said: &[&str]| -> Vec<String> {
            let checks = judge(&dom0(said), None, &boot, Disk::Lpi);
            let failed = checks.into_iter().filter(|c| c.result.is_err());
            failed.map(|c| c.name).collect()
        };
        let good = [
            "given pci: ok 0000:00:01.0 is domain 1",
            "taken pci: ok 0000:00:01.0 is not any more domain 1",
            "lived pci: ok 3 domains: 600 requests",
            "kept pci: ok 0000:00:01.0 is domain 0",
        ];
        // It says nothing of that here.
        let again = "Dom0 uses its disks again";
        assert_eq!(failures(&good), [again]);
        let fewer = [
            good[0],
            good[1],
            "lived pci: ok 2 domains: 400 requests",
            good[3],
        ];
        assert_eq!(failures(&fewer), ["Domains that owned a disk", again]);
        let refused = [
            "given pci: FAILED assign the device: error 22",
            good[1],
            good[2],
            good[3],
        ];
        assert_eq!(failures(&refused), ["Disks are DomU 1's", again]);
        assert_eq!(failures(&[]).len(), 5);
    }
}
