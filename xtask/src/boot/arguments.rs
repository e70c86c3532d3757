// SPDX-License-Identifier: GPL-2.0-only
//! Which machine is booted, and what Dom0 does there: what can be asked for, and what is meant where nothing is said.

use crate::boot::dtb::Controller;
pub use crate::boot::kinds::{Disk, DiskChoice, Gic};
use crate::boot::pci_arguments::PciArguments;
use crate::hypervisor::arguments::{Vgic, XenArguments};
use clap::{Args, ValueEnum};

/// vCPUs of each DomU.
pub const DOMU_CPUS: u32 = 2;

/// What to boot, and on what.
#[derive(Args, Clone, Debug)]
pub struct BootArguments {
    /// The interrupt controller of the machine
    #[arg(long, value_enum, default_value_t = Gic::V3)]
    pub gic: Gic,
    /// CPUs of the machine and of Dom0
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub cpus: u32,
    /// vCPUs of Dom0, which take turns where there are more of them than CPUs (no disk then, unless --reads says so) [default:
    /// as many as --cpus]
    #[arg(long, value_name = "N")]
    pub vcpus: Option<u32>,
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
    /// Give the DomUs what messages are sent to: an ITS on GICv3, whether Xen has one or not, a GICv2m frame on GICv2; with --life
    /// the domains that Dom0 creates as well
    #[arg(long)]
    pub domu_its: bool,
    /// Messages that a device model in Dom0 sends to the test guest, which is a domain more, with --domu-its
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub messages: u32,
    /// Give the test guest an rVIC and an rVID in place of a GIC (with --messages, --copies or --resets), and the domains that Dom0
    /// creates (with --life; with --vgic old or new it must be refused such)
    #[arg(long)]
    pub rvic: bool,
    /// Have the inputs of its rVID level-sensitive (with --rvic)
    #[arg(long)]
    pub levels: bool,
    #[command(flatten)]
    pub state: StateArguments,
    #[command(flatten)]
    pub pci: PciArguments,
    /// The machine has no ITS although Xen is built for one.
    #[arg(skip)]
    pub no_host_its: bool,
    /// Seconds in which Dom0 reads its disk with 64 requests in flight, while the first DomU counts how much of the CPU it has (best
    /// with --cpus 1)
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub storm: u32,
    /// What Xen is told of storms on its command line: RATE,BURST, or off
    #[arg(long, value_name = "LIMIT")]
    pub storm_limit: Option<String>,
    /// Domains that Dom0 creates and destroys, after which Xen's free memory must be what it was
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub life: u32,
    /// Have the device tree say that the virtual timer's interrupt is an edge, as that of some boards does
    #[arg(long)]
    pub edge_timer: bool,
    /// Seconds after which a boot is given up (a minute more for each domain of --owners)
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    pub limit: u64,
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
        if self.vcpus() == 0 || self.vcpus() > most {
            return Some(format!("--vcpus {}: give 1 to {most}", self.vcpus()));
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
        if self.rounds() > 0 && (self.vcpus() == 1 || self.reads() == 0) {
            return Some(
                "--rounds needs two CPUs or more and a disk to read: leave out --cpus 1, --vcpus 1 and --reads 0"
                    .into(),
            );
        }
        if self.domu_its && self.xen.vgic != Vgic::Rust {
            return Some("upstream's C vGICs have no messages for DomUs: leave out --domu-its, or use --vgic rust".into());
        }
        if self.messages > 900_000 {
            return Some(format!("--messages {}: give 0 to 900000", self.messages));
        }
        if self.messages > 0 && !self.domu_its {
            return Some("--messages needs a guest that can take them: add --domu-its".into());
        }
        if self.rvic && !self.has_test() && self.life == 0 {
            return Some(
                "--rvic is about the test guest: add --messages N, --copies N or --resets N, or --life N"
                    .into(),
            );
        }
        if self.levels && !self.rvic {
            return Some("--levels is about the inputs of an rVID: add --rvic".into());
        }
        if self.storm > 600 {
            return Some(format!("--storm {}: give 0 to 600 seconds", self.storm));
        }
        if self.storm > 0 && (self.domus == 0 || self.reads() == 0) {
            return Some(
                "--storm needs a disk and a DomU that counts: leave out --reads 0 and --domus 0"
                    .into(),
            );
        }
        if self.storm_limit.is_some() && self.xen.vgic != Vgic::Rust {
            return Some("upstream's C vGICs do not limit storms: leave out --storm-limit, or use --vgic rust".into());
        }
        if let Some(problem) = self.state.problem(self.domus, self.messages) {
            return Some(problem);
        }
        if self.state.suffix() != "" && self.xen.vgic != Vgic::Rust {
            return Some("upstream's C vGICs are neither saved nor reset: use --vgic rust".into());
        }
        let (domus, reads) = (self.domus, self.reads());
        if let Some(problem) = self.pci.problem(&self.xen, self.gic, domus, reads) {
            return Some(problem);
        }
        if self.life > 20_000 {
            return Some(format!("--life {}: give 0 to 20000", self.life));
        }
        if self.limit < 10 || self.limit > 86_400 {
            return Some(format!("--limit {}: give 10 to 86400 seconds", self.limit));
        }
        None
    }

    /// The command line of the test guest, if there is one beside Dom0; `limits` are those of an ITS of its own.
    pub fn test(&self, limits: &str) -> Option<String> {
        if self.messages > 0 {
            return Some(format!("messages={}", self.messages));
        }
        self.state.bootargs(self.domu_its.then_some(limits))
    }

    /// What the domains have that Dom0 creates, in a word.
    pub fn lives(&self) -> &'static str {
        match (self.rvic, self.domu_its) {
            (true, _) if self.xen.vgic == Vgic::Rust => "rvic",
            (true, _) => "no-rvic",
            (false, true) => "msi",
            (false, false) => "",
        }
    }

    /// Its interrupt controller.
    pub fn controller(&self) -> Controller {
        match self.rvic {
            true => Controller::Rvic {
                levels: self.levels,
            },
            false => Controller::Gic,
        }
    }

    /// Whether there is one.
    pub fn has_test(&self) -> bool {
        self.test("").is_some()
    }

    /// How many vCPUs Dom0 has.
    pub fn vcpus(&self) -> u32 {
        self.vcpus.unwrap_or(self.cpus)
    }

    /// How many reads of the disk there are.
    pub fn reads(&self) -> u32 {
        let still = self.icount || self.vcpus() > self.cpus;
        self.reads.unwrap_or(if still { 0 } else { 2000 })
    }

    /// How often Dom0's CPUs go off and on line.
    pub fn rounds(&self) -> u32 {
        let possible = self.vcpus() > 1 && self.reads() > 0;
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

/// A fault in what was saved of a vGIC.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// An interrupt that was pending is not
    Loss,
    /// One that was not pending is
    Double,
}

impl std::fmt::Display for Plant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Plant::Loss => "loss",
            Plant::Double => "double",
        })
    }
}

/// How often what is done to interrupt controllers of living domains (guest/life/state.c).
#[derive(Args, Clone, Debug, Default)]
pub struct StateArguments {
    /// Save the vGIC of the test guest, a domain more, to a file, reset it and restore it, N times while it counts all its interrupts
    /// (with --domu-its messages, too)
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub copies: u32,
    /// Have the test guest, a domain more, reset its system after all its cases, and begin it anew with its vGIC reset, N times
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub resets: u32,
    /// Each DomU suspends itself to RAM N times, and Dom0 resumes it (Xen 4.22 or later)
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub suspends: u32,
    /// Once between saving and restoring, plant a fault in what was saved (with --copies; with --domu-its in a message, else in an SPI):
    /// shows that it is noticed, and fails if it is not
    #[arg(long, value_enum, value_name = "FAULT")]
    pub plant: Option<Plant>,
}

impl StateArguments {
    /// What is wrong with them, in one sentence; there are so many DomUs, and `messages` go to the test guest.
    pub fn problem(&self, domus: u32, messages: u32) -> Option<String> {
        let all = [
            ("copies", self.copies),
            ("resets", self.resets),
            ("suspends", self.suspends),
        ];
        if let Some((name, n)) = all.into_iter().find(|(_, n)| *n > 10_000) {
            return Some(format!("--{name} {n}: give 0 to 10000"));
        }
        let tasks = [self.copies, self.resets, messages];
        if tasks.into_iter().filter(|n| *n > 0).count() > 1 {
            return Some("the test guest does one thing: --copies, --resets or --messages".into());
        }
        if self.plant.is_some() && self.copies == 0 {
            return Some("--plant is about what is saved: add --copies".into());
        }
        if self.suspends > 0 && domus == 0 {
            return Some("--suspends is about DomUs: leave out --domus 0".into());
        }
        None
    }

    /// What the test guest is told, if it is to do one of these; `limits` are its ITS's.
    pub fn bootargs(&self, limits: Option<&str>) -> Option<String> {
        if self.copies > 0 {
            return Some(format!("copies={}", self.copies));
        }
        let limits = limits.map(|l| format!(" {l}")).unwrap_or_default();
        (self.resets > 0).then(|| format!("resets={}{limits}", self.resets))
    }

    /// What Dom0 is told, of so many DomUs.
    pub fn dom0(&self, domus: u32) -> String {
        let suspends = self.suspends * domus;
        let plant = self.plant.map(|p| format!(" plant={p}"));
        format!(
            "copies={} resets={} suspends={suspends}{}",
            self.copies,
            self.resets,
            plant.unwrap_or_default()
        )
    }

    /// The part of a log's name.
    pub fn suffix(&self) -> String {
        let all = [
            ("copies", self.copies),
            ("resets", self.resets),
            ("suspends", self.suspends),
        ];
        let some = all.into_iter().filter(|(_, n)| *n > 0);
        let names = some.map(|(name, _)| format!("-{name}"));
        names
            .chain(self.plant.map(|plant| format!("-{plant}")))
            .collect()
    }
}

/// What `boot` is asked for by these words.
#[cfg(test)]
pub fn parse(words: &str) -> BootArguments {
    use clap::FromArgMatches;
    let command = BootArguments::augment_args(clap::Command::new("boot").no_binary_name(true));
    let matches = command.try_get_matches_from(words.split_whitespace());
    BootArguments::from_arg_matches(&matches.unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::parse as boot;
    use super::*;

    #[test]
    fn the_defaults_are_fine() {
        let boot = boot("");
        assert_eq!((boot.gic, boot.cpus, boot.domus), (Gic::V3, 4, 1));
        assert_eq!(boot.problem(), None);
        assert_eq!(boot.disks(), [Disk::Intx]);
    }

    #[test]
    fn the_test_guest_may_have_an_rvic() {
        for arguments in ["--copies 3 --rvic", "--resets 1 --rvic --levels"] {
            let boot = boot(arguments);
            assert_eq!(boot.problem(), None);
            let levels = boot.levels;
            assert_eq!(boot.controller(), Controller::Rvic { levels });
        }
        assert_eq!(boot("--copies 3").controller(), Controller::Gic);
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
            ("--vcpus 0", "--vcpus"),
            ("--gic v2 --vcpus 9", "--vcpus"),
            ("--rounds 2 --reads 0", "disk"),
            ("--limit 1", "--limit"),
            ("--life 20001", "--life"),
            ("--gic v2 --vgic new --domu-its", "--domu-its"),
            ("--vgic old --domu-its", "--vgic rust"),
            ("--messages 10", "--domu-its"),
            ("--domu-its --messages 900001", "900000"),
            ("--domu-its --rvic", "--messages"),
            ("--copies 3 --levels", "--rvic"),
            ("--copies 3 --resets 3", "one thing"),
            ("--suspends 3 --domus 0", "--domus"),
            ("--plant loss", "--copies"),
            ("--resets 3 --plant double", "--copies"),
            ("--resets 3 --gic v2 --vgic new", "--vgic rust"),
            ("--count", "--icount"),
            ("--storm 601", "--storm"),
            ("--storm 5 --domus 0", "DomU"),
            ("--storm 5 --reads 0", "disk"),
            ("--vgic old --storm-limit off", "--storm-limit"),
        ] {
            let problem = boot(arguments).problem().unwrap_or_default();
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
        assert_eq!(boot("--cpus 1 --vcpus 2").reads(), 0);
        assert!(boot("").rounds() > 0);
    }
}
