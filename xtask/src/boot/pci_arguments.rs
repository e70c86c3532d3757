// SPDX-License-Identifier: GPL-2.0-only
//! What becomes of PCI devices in a boot: what can be asked for, and what that means for QEMU, Xen and Dom0.

use crate::boot::kinds::{Disk, Gic};
use crate::hypervisor::arguments::{Vgic, XenArguments};
use clap::Args;

/// What becomes of PCI devices.
#[derive(Args, Clone, Debug, Default)]
pub struct PciArguments {
    /// Dom0 gives its disks to DomU 1, which uses them and gives them back; then it builds domains that own one (--owners). Needs --its
    /// and --smmu
    #[arg(long)]
    pub pci_domu: bool,
    /// Linux domains that Dom0 builds one after the other, each of which gets its first disk and dies while it reads, after which Xen's
    /// free memory must be what it was (with --pci-domu) [default: 20]
    #[arg(long, value_name = "N")]
    pub owners: Option<u32>,
    /// Dom0's own PCI devices are behind Xen's vPCI, with an AHCI disk beside the others, which has MSI and no MSI-X (with --smmu)
    #[arg(long)]
    pub vpci: bool,
}

impl PciArguments {
    /// What is wrong with them, in one sentence; they are about so many DomUs on this.
    pub fn problem(&self, xen: &XenArguments, gic: Gic, domus: u32, reads: u32) -> Option<String> {
        let owners = self.owners();
        if owners > 1000 {
            return Some(format!("--owners {owners}: give 0 to 1000"));
        }
        if self.owners.is_some() && !self.pci_domu {
            return Some("--owners is about disks that domains own: add --pci-domu".into());
        }
        for (asked, option) in [(self.pci_domu, "--pci-domu"), (self.vpci, "--vpci")] {
            if asked && (!xen.smmu || gic != Gic::V3) {
                return Some(format!(
                    "{option} is about devices behind an SMMU: add --gic v3 --its --smmu"
                ));
            }
            if asked && xen.vgic != Vgic::Rust {
                return Some(format!(
                    "upstream's C vGICs have no messages for {option}: use --vgic rust"
                ));
            }
            if asked && reads == 0 {
                return Some(format!("{option} needs disks: leave out --reads 0"));
            }
        }
        if self.pci_domu && self.vpci {
            return Some("--pci-domu and --vpci are two boots: leave one out".into());
        }
        (self.pci_domu && domus != 1).then(|| "--pci-domu is about one DomU: use --domus 1".into())
    }

    /// How many domains Dom0 builds.
    pub fn owners(&self) -> u32 {
        let default = if self.pci_domu { 20 } else { 0 };
        self.owners.unwrap_or(default)
    }

    /// What a boot may take longer: as long as a domain takes to boot on a busy machine, for each.
    pub fn seconds(&self) -> u64 {
        u64::from(self.owners()) * 60
    }

    /// What Dom0 is told.
    pub fn dom0(&self, disk: Disk) -> String {
        match self.pci_domu {
            true => format!(" part=give owners={}", self.owners()),
            false if self.has_ahci(disk) => " part=ahci".to_owned(),
            false => String::new(),
        }
    }

    /// Whether it has an AHCI disk, which is about messages.
    fn has_ahci(&self, disk: Disk) -> bool {
        self.vpci && disk == Disk::Lpi
    }

    /// QEMU's arguments for that.
    pub fn drives(&self, disk: Disk) -> Vec<String> {
        let words = [
            "-blockdev",
            "driver=null-co,node-name=sata,size=268435456,read-zeroes=on",
            "-device",
            "ich9-ahci,id=ahci",
            "-device",
            "ide-hd,drive=sata,bus=ahci.0,serial=sata",
        ];
        match self.has_ahci(disk) {
            true => words.map(str::to_owned).to_vec(),
            false => vec![],
        }
    }

    /// The part of a log's name.
    pub fn suffix(&self) -> &'static str {
        match (self.pci_domu, self.vpci) {
            (true, _) => "-pci",
            (_, true) => "-vpci",
            _ => "",
        }
    }

    /// What Xen is told.
    pub fn xen(&self) -> &'static str {
        if self.vpci { " dom0=vpci" } else { "" }
    }
}
