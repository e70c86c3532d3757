// SPDX-License-Identifier: GPL-2.0-only
//! Which hypervisor: its source, its vGIC, and what else it is built with.

use clap::{Args, ValueEnum};

/// Which vGIC is in the hypervisor.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vgic {
    /// Ours
    Rust,
    /// Upstream's new C vGIC (CONFIG_NEW_VGIC; GICv2 only)
    New,
    /// Upstream's old C vGIC
    Old,
}

impl std::fmt::Display for Vgic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Vgic::Rust => "rust",
            Vgic::New => "new",
            Vgic::Old => "old",
        })
    }
}

/// Which source to build it from.
#[derive(Args, Clone, Debug)]
pub struct TreeArguments {
    /// The Xen source: `debian` (the newest that could be fetched), `debian-4.17` or another release, or the path of a tree
    /// (copied, never changed)
    #[arg(
        long,
        env = "XEN_TREE",
        default_value = "debian",
        value_name = "debian|debian-RELEASE|PATH"
    )]
    pub xen: String,
}

/// Which hypervisor to build.
#[derive(Args, Clone, Debug)]
pub struct XenArguments {
    /// The vGIC in the hypervisor
    #[arg(long, value_enum, default_value_t = Vgic::Rust)]
    pub vgic: Vgic,
    #[command(flatten)]
    pub tree: TreeArguments,
    /// Build Xen with support for extended SPIs (GICV3_ESPI: Xen 4.21 or later)
    #[arg(long)]
    pub espi: bool,
    /// Build Xen with its support for the ITS (HAS_ITS); a machine that is booted has one, and Dom0's disks send LPIs
    #[arg(long)]
    pub its: bool,
    /// Build Xen with PCI passthrough and its driver of the SMMUv3; a machine that is booted has one, which translates what
    /// Dom0's disks write, messages to the ITS included (with --its; Xen 4.21 or later)
    #[arg(long)]
    pub smmu: bool,
    /// Build the recorder into ours.
    #[arg(skip)]
    pub record: bool,
}

impl XenArguments {
    /// What tells such a build from one without these options.
    pub fn suffix(&self) -> String {
        let named = [
            (self.espi, "-espi"),
            (self.its, "-its"),
            (self.smmu, "-smmu"),
            (self.record, "-record"),
        ];
        named.into_iter().filter(|n| n.0).map(|n| n.1).collect()
    }

    /// What is wrong with the arguments, in one sentence.
    pub fn problem(&self) -> Option<String> {
        if self.smmu && !self.its {
            return Some("--smmu is about messages to an ITS: add --its".into());
        }
        let option = match (self.espi, self.its) {
            (true, _) => "--espi",
            (_, true) => "--its",
            _ => return None,
        };
        (self.vgic == Vgic::New).then(|| {
            format!(
                "{option} needs a GICv3, which upstream's new C vGIC does not have: leave it out, or use --vgic old or rust"
            )
        })
    }
}
