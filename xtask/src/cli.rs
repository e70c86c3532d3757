// SPDX-License-Identifier: GPL-2.0-only
//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Tasks of the Rust vGIC that Cargo has no verb for.
#[derive(Parser, Debug)]
#[command(name = "vgic", bin_name = "./vgic", disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// The tasks.
#[derive(Subcommand, Debug)]
pub enum Task {
    /// Build Xen with the vGIC and boot Debian's Linux on it under QEMU, checking what it says
    Boot(BootArguments),
    /// Run the bare-metal test guest on Xen under QEMU: what only a guest sees of its interrupt controller
    Guest(GuestArguments),
    /// Patch and build Xen only
    Xen(XenArguments),
    /// Patch and build each of several Xen trees, without and with its support for the ITS, and check the Rust object
    Releases(crate::hypervisor::releases::Arguments),
    /// Boot as `boot` does, and record what Dom0 does with its interrupt controller
    Record(RecordArguments),
    /// Run all tests: the workspace's, the loom models, the header against Xen's own prototypes
    Test(TestArguments),
    /// Show that the patches change no object while RUST_VGIC is off
    Unchanged(TreeArguments),
    /// Build Xen's C vGICs, and ours, as shared objects for the mock Xen
    Peers(TreeArguments),
    /// Compare ours with Xen's C vGICs and QEMU's model of a GIC, on random scripts and on the recordings
    Diff(DiffArguments),
    /// Measure ours beside Xen's C vGICs: instructions, time, memory
    Bench(crate::measure::bench::Arguments),
    /// Run the tests that have threads, C and all, under ThreadSanitizer
    Tsan,
    /// Plant small faults in the modules that decide; a test must fail for each (hours)
    Mutants(crate::verify::mutants::Arguments),
    /// Fetch what the others need, and build nothing; looks for the newest of Debian's Xen sources that can be had
    Setup(SetupArguments),
}

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

/// Which interrupt controller the machine has.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gic {
    /// GICv2 with a GICv2m frame
    V2,
    /// GICv3
    V3,
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

impl std::fmt::Display for Gic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Gic::V2 => "v2",
            Gic::V3 => "v3",
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

/// What to fetch.
#[derive(Args, Clone, Debug)]
pub struct SetupArguments {
    #[command(flatten)]
    pub tree: TreeArguments,
    /// Fetch nothing: say what is there, and what is missing without a network
    #[arg(long)]
    pub offline: bool,
}

/// With which C vGICs to compare, and for how long.
#[derive(Args, Clone, Debug)]
pub struct DiffArguments {
    #[command(flatten)]
    pub tree: TreeArguments,
    /// Random scripts for each peer and version of the GIC
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000), value_name = "N")]
    pub seeds: u64,
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
    /// Build Xen with its support for the ITS (HAS_ITS), and give the machine one: Dom0's disks send LPIs
    #[arg(long)]
    pub its: bool,
    /// Build Xen with PCI passthrough and its driver of the SMMUv3, and give the machine one: it translates what Dom0's
    /// disks write, messages to the ITS included (with --its; Xen 4.21 or later)
    #[arg(long)]
    pub smmu: bool,
    /// Build the recorder into ours.
    #[arg(skip)]
    pub record: bool,
}

/// What to boot, and on what.
#[derive(Args, Clone, Debug)]
pub struct BootArguments {
    /// The interrupt controller of the machine
    #[arg(long, value_enum, default_value_t = Gic::V3)]
    pub gic: Gic,
    /// CPUs of the machine and of Dom0
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub cpus: u32,
    /// Linux guests beside Dom0, each with two vCPUs
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub domus: u32,
    #[command(flatten)]
    pub xen: XenArguments,
    /// Count instructions instead of time: the same boot each time, however busy the machine (Xen without its debug
    /// checks, and no disk unless --reads says so: an emulated disk answers in the host's time)
    #[arg(long)]
    pub icount: bool,
    /// Count the hypervisor's instructions, and say whose they were (with --icount)
    #[arg(long)]
    pub count: bool,
    /// How the disk of Dom0 interrupts [default: both on GICv2, intx on GICv3, msi with --its]
    #[arg(long, value_enum, value_name = "KIND")]
    pub disk: Option<DiskChoice>,
    /// Direct reads of the disk, one at a time; 0 for no disk [default: 2000, with --icount 0]
    #[arg(long, value_name = "N")]
    pub reads: Option<u32>,
    /// Rounds in which Dom0's CPUs go off and on line while it reads, after a quarter of the reads while the disk's
    /// interrupt moves from CPU to CPU; 0 for neither [default: 5, and 0 with one CPU or no disk]
    #[arg(long, value_name = "N")]
    pub rounds: Option<u32>,
    /// Domains that Dom0 creates and destroys, after which Xen's free memory must be what it was
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub life: u32,
    /// Seconds after which a boot is given up
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    pub limit: u64,
}

/// What to record.
#[derive(Args, Clone, Debug)]
pub struct RecordArguments {
    /// The file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The interrupt controller of the machine
    #[arg(long, value_enum, default_value_t = Gic::V3)]
    pub gic: Gic,
    /// CPUs of the machine and of Dom0
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub cpus: u32,
    /// Direct reads of the disk, one at a time; 0 for no disk
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub reads: u32,
    /// As boot has it: the disk's interrupt moves, then CPUs go off and on line
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub rounds: u32,
    /// Keep this many records of the hypervisor's at the most
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true, value_name = "N")]
    pub records: usize,
    #[command(flatten)]
    pub tree: TreeArguments,
    /// Seconds after which it is given up
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    pub limit: u64,
}

impl RecordArguments {
    /// What is wrong with the arguments, in one sentence.
    pub fn problem(&self) -> Option<String> {
        if self.records == 0 {
            return Some("--records 0: give 1 or more".into());
        }
        self.machine().problem()
    }

    /// The boot that is recorded.
    pub fn machine(&self) -> BootArguments {
        BootArguments {
            gic: self.gic,
            cpus: self.cpus,
            domus: 0,
            xen: XenArguments {
                vgic: Vgic::Rust,
                tree: self.tree.clone(),
                espi: false,
                its: false,
                smmu: false,
                record: true,
            },
            icount: false,
            count: false,
            disk: Some(DiskChoice::Intx),
            reads: Some(self.reads),
            rounds: Some(self.rounds),
            life: 0,
            limit: self.limit,
        }
    }
}

/// What to run the test guest on.
#[derive(Args, Clone, Debug)]
pub struct GuestArguments {
    /// The interrupt controller of the machine
    #[arg(long, value_enum, default_value_t = Gic::V3)]
    pub gic: Gic,
    #[command(flatten)]
    pub xen: XenArguments,
    /// Build it with a fault, so that it must fail: shows that failures are seen
    #[arg(long)]
    pub planted_fault: bool,
    /// Seconds after which it is given up
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub limit: u64,
}

impl GuestArguments {
    /// What is wrong with the arguments, in one sentence.
    pub fn problem(&self) -> Option<String> {
        self.machine().problem()
    }

    /// The boot whose machine it runs on.
    pub fn machine(&self) -> BootArguments {
        BootArguments {
            gic: self.gic,
            cpus: 2,
            domus: 0,
            xen: self.xen.clone(),
            icount: false,
            count: false,
            disk: None,
            reads: Some(0),
            rounds: None,
            life: 0,
            limit: self.limit,
        }
    }
}

/// How the disk interrupts.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskChoice {
    /// A level SPI (the kernel is given pci=nomsi)
    Intx,
    /// A message that the GICv2m frame turns into an edge SPI, or with --its the ITS into an LPI
    Msi,
    /// One boot of each
    Both,
}

/// What to test.
#[derive(Args, Clone, Debug)]
pub struct TestArguments {
    /// Leave out the loom models
    #[arg(long)]
    pub no_loom: bool,
    /// Leave out the build of Xen, and with it the checks of the header and of the object
    #[arg(long)]
    pub no_xen: bool,
    #[command(flatten)]
    pub tree: TreeArguments,
    /// Handed to cargo test
    #[arg(last = true)]
    pub rest: Vec<String>,
}

/// One boot's kind of disk interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// A level SPI.
    Intx,
    /// GICv2m messages.
    Msi,
    /// Messages that the ITS translates.
    Lpi,
}

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Disk::Intx => "INTx (a level SPI)",
            Disk::Msi => "MSI (GICv2m)",
            Disk::Lpi => "MSI-X (LPIs of the ITS)",
        })
    }
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

impl BootArguments {
    /// What is wrong with the arguments, in one sentence.
    pub fn problem(&self) -> Option<String> {
        if let Some(problem) = self.xen.problem() {
            return Some(problem);
        }
        if self.count && !self.icount {
            return Some("--count compares nothing without --icount: add it".into());
        }
        let most = if self.gic == Gic::V2 { 8 } else { 64 };
        if self.cpus == 0 || self.cpus > most {
            let why = if self.gic == Gic::V2 {
                "a GICv2 has at most 8 CPU interfaces"
            } else {
                "QEMU emulates more too slowly to be of use"
            };
            return Some(format!("--cpus {}: give 1 to {most} ({why})", self.cpus));
        }
        if self.domus > 8 {
            return Some(format!("--domus {}: give 0 to 8", self.domus));
        }
        if self.gic == Gic::V3 && self.xen.vgic == Vgic::New {
            return Some(
                "upstream's new C vGIC has no GICv3: use --gic v2, or --vgic old or rust".into(),
            );
        }
        if self.gic == Gic::V2 && self.xen.its {
            return Some("a GICv2 has no ITS: leave out --its, or use --gic v3".into());
        }
        let msi = matches!(self.disk, Some(DiskChoice::Msi | DiskChoice::Both));
        if self.gic == Gic::V3 && !self.xen.its && msi {
            return Some(
                "a GICv3 without an ITS takes no MSIs: add --its, or use --disk intx or --gic v2"
                    .into(),
            );
        }
        if self.reads() > 10_000_000 {
            return Some(format!("--reads {}: give 0 to 10000000", self.reads()));
        }
        if self.rounds() > 100_000 {
            return Some(format!("--rounds {}: give 0 to 100000", self.rounds()));
        }
        if self.rounds() > 0 && (self.cpus == 1 || self.reads() == 0) {
            return Some(
                "--rounds needs two CPUs or more and a disk to read: leave out --cpus 1 and --reads 0"
                    .into(),
            );
        }
        if self.life > 20_000 {
            return Some(format!("--life {}: give 0 to 20000", self.life));
        }
        if self.limit < 10 || self.limit > 86_400 {
            return Some(format!("--limit {}: give 10 to 86400 seconds", self.limit));
        }
        None
    }

    /// How many reads of the disk there are.
    pub fn reads(&self) -> u32 {
        self.reads.unwrap_or(if self.icount { 0 } else { 2000 })
    }

    /// How often Dom0's CPUs go off and on line.
    pub fn rounds(&self) -> u32 {
        let possible = self.cpus > 1 && self.reads() > 0;
        self.rounds.unwrap_or(if possible { 5 } else { 0 })
    }

    /// The boots to do, one after the other.
    pub fn disks(&self) -> Vec<Disk> {
        let msi = match self.gic {
            Gic::V2 => Disk::Msi,
            Gic::V3 => Disk::Lpi,
        };
        match (self.disk, self.gic) {
            (Some(DiskChoice::Intx), _) => vec![Disk::Intx],
            (Some(DiskChoice::Msi), _) => vec![msi],
            (None, Gic::V3) if self.xen.its => vec![msi],
            (None, Gic::V3) => vec![Disk::Intx],
            (None, Gic::V2) if self.reads() == 0 => vec![Disk::Intx],
            (Some(DiskChoice::Both), _) | (None, Gic::V2) => vec![Disk::Intx, msi],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(arguments: &str) -> BootArguments {
        let words = ["vgic", "boot"]
            .into_iter()
            .chain(arguments.split_whitespace());
        match Cli::try_parse_from(words).unwrap().task {
            Task::Boot(boot) => boot,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_fine() {
        let boot = boot("");
        assert_eq!((boot.gic, boot.cpus, boot.domus), (Gic::V3, 4, 1));
        assert_eq!(boot.problem(), None);
        assert_eq!(boot.disks(), [Disk::Intx]);
    }

    #[test]
    fn what_cannot_run_is_refused_in_words() {
        for (arguments, word) in [
            ("--gic v2 --cpus 9", "8"),
            ("--cpus 0", "1 to"),
            ("--gic v3 --vgic new", "GICv3"),
            ("--gic v3 --disk msi", "--its"),
            ("--gic v2 --its", "--gic v3"),
            ("--gic v2 --vgic new --its", "--its"),
            ("--smmu", "--its"),
            ("--domus 9", "0 to 8"),
            ("--gic v2 --vgic new --espi", "--espi"),
            ("--reads 10000001", "--reads"),
            ("--rounds 100001", "--rounds"),
            ("--rounds 2 --cpus 1", "two CPUs"),
            ("--rounds 2 --reads 0", "disk"),
            ("--limit 1", "--limit"),
            ("--life 20001", "--life"),
            ("--count", "--icount"),
        ] {
            let problem = boot(arguments).problem().unwrap_or_default();
            assert!(problem.contains(word), "{arguments}: {problem}");
        }
    }

    #[test]
    fn what_cannot_be_recorded_is_refused_in_words() {
        for (arguments, word) in [
            ("", ""),
            ("--records 0", "--records"),
            ("--cpus 0", "1 to"),
            ("--rounds 1", "disk"),
        ] {
            let words = ["vgic", "record", "--out", "x"]
                .into_iter()
                .chain(arguments.split_whitespace());
            let Task::Record(record) = Cli::try_parse_from(words).unwrap().task else {
                panic!("{arguments}");
            };
            let problem = record.problem().unwrap_or_default();
            assert_eq!(
                problem.is_empty(),
                word.is_empty(),
                "{arguments}: {problem}"
            );
            assert!(problem.contains(word), "{arguments}: {problem}");
        }
    }

    #[test]
    fn a_gicv2_boots_with_both_kinds_of_disk() {
        assert_eq!(boot("--gic v2").disks(), [Disk::Intx, Disk::Msi]);
        assert_eq!(boot("--gic v2 --disk msi").disks(), [Disk::Msi]);
        assert_eq!(boot("--its").disks(), [Disk::Lpi]);
        assert_eq!(boot("--its").problem(), None);
        assert_eq!(boot("--its --disk both").disks(), [Disk::Intx, Disk::Lpi]);
        assert_eq!(
            boot("--gic v2 --reads 0").disks(),
            [Disk::Intx],
            "no disk, one boot"
        );
        assert_eq!(boot("--icount --cpus 1").reads(), 0);
        assert_eq!(boot("--icount --cpus 1").rounds(), 0);
        assert_eq!(boot("--cpus 1").rounds(), 0);
        assert!(boot("").rounds() > 0);
    }
}
