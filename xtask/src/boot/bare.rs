// SPDX-License-Identifier: GPL-2.0-only
//! `guest`: the bare-metal test guest (guest/) as the only domain on Xen, and what it says of its interrupt controller.

use crate::boot::arguments::{BootArguments, Gic, StateArguments};
use crate::boot::console::{Line, Speaker};
use crate::boot::count::{self, Counter, Figure};
use crate::boot::dtb::{self, Controller, Module};
use crate::boot::machine::{self, End, Wish, loader, path};
use crate::boot::pci_arguments::PciArguments;
use crate::boot::qemu::{self, Qemu};
use crate::boot::refused;
use crate::command::run;
use crate::hypervisor::arguments::{Vgic, XenArguments};
use crate::hypervisor::core_library;
use crate::hypervisor::xen::{self, Built, CROSS};
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const TARGET: &str = "aarch64-unknown-none-softfloat";
/// MiB, for Xen and for the guest.
const MEMORY: u32 = 1024;
/// How many cases there are, about: some are only on one of the GICs.
const CASES: usize = 166;
/// Those of an rVIC.
const RVIC_CASES: usize = 97;
/// What those of an ITS or a GICv2m frame come to.
const MESSAGE_CASES: usize = 105;
/// What of an ITS a domain gets of whom nobody says how much: LPIs, devices, events.
pub const LIMITS: &str = "limits=4096,64,2048";
/// What ends QEMU, typed at a console that it shares.
const QUIT: &str = "\x01x";
/// The guest's first and last words are preceded by this.
const SIGN: &str = "guest: ";

/// What to run the test guest on.
#[derive(Args, Clone, Debug)]
pub struct GuestArguments {
    /// The interrupt controller of the machine
    #[arg(long, value_enum, default_value_t = Gic::V3)]
    pub gic: Gic,
    /// The interrupt controller of the guest
    #[arg(long, value_enum, default_value_t = Kind::Gic)]
    pub guest: Kind,
    /// Boot, in place of that, domains that do not go with an rVIC: of each Xen must say why it refuses it (with --guest rvic)
    #[arg(long)]
    pub refusals: bool,
    /// Have the inputs of the guest's rVID level-sensitive (with --guest rvic)
    #[arg(long)]
    pub levels: bool,
    /// CPUs of the machine, on which the guest's vCPUs take turns where there are more: with a GIC it has two, with an rVIC four
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub cpus: u32,
    #[command(flatten)]
    pub xen: XenArguments,
    /// With --its, on a GICv3: which ITS the host has
    #[arg(long, value_enum, default_value_t = HostIts::Used, value_name = "WHICH")]
    pub host_its: HostIts,
    /// Trap ICC_DIR_EL1 as on hardware that cannot trap it alone (ICH_VTR_EL2.TDS is 0; QEMU's is 1)
    #[arg(long)]
    pub trap_common: bool,
    /// Have the device tree say that the virtual timer's interrupt is an edge, as that of some boards does
    #[arg(long)]
    pub edge_timer: bool,
    /// Run only the cases with such a part in their names
    #[arg(long, value_name = "PART,PART")]
    pub only: Option<String>,
    /// Leave out the cases with such a part in their names
    #[arg(long, value_name = "PART,PART")]
    pub skip: Option<String>,
    /// Count instructions instead of time: the same run each time (Xen without its debug checks)
    #[arg(long)]
    pub icount: bool,
    /// Count the hypervisor's instructions, and say whose they were (with --icount)
    #[arg(long)]
    pub count: bool,
    /// Build it with a fault, so that it must fail: shows that failures are seen
    #[arg(long)]
    pub planted_fault: bool,
    /// Seconds after which it is given up
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub limit: u64,
}

/// What the guest tests.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A GIC as the machine's
    Gic,
    /// An rVIC and an rVID
    Rvic,
}

/// The ITS of the machine, which the guest's own does not need.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostIts {
    /// There is one, and Xen is built for it
    Used,
    /// Xen is built for one, and there is none
    Missing,
    /// There is none, and Xen is not built for one
    Unknown,
}

impl GuestArguments {
    /// What is wrong with the arguments, in one sentence.
    pub fn problem(&self) -> Option<String> {
        if self.trap_common && (self.gic, self.xen.vgic) != (Gic::V3, Vgic::Rust) {
            return Some("--trap-common is for the Rust vGIC on a GICv3".into());
        }
        if self.levels && self.guest != Kind::Rvic {
            return Some("--levels is about the inputs of an rVID: add --guest rvic".into());
        }
        if self.refusals && self.guest != Kind::Rvic {
            return Some("--refusals is about an rVIC: add --guest rvic".into());
        }
        if self.guest == Kind::Rvic && self.xen.vgic != Vgic::Rust {
            return Some(
                "upstream's C vGICs have no rVIC: leave out --guest rvic, or use --vgic rust"
                    .into(),
            );
        }
        if self.guest == Kind::Rvic && self.trap_common {
            return Some("--trap-common is about a GIC: leave out --guest rvic".into());
        }
        if self.host_its != HostIts::Used && !(self.xen.its && self.gic == Gic::V3) {
            return Some("--host-its is about a guest with an ITS: add --its, on a GICv3".into());
        }
        let lists = [("--only", &self.only), ("--skip", &self.skip)];
        for (option, parts) in lists {
            if parts
                .as_ref()
                .is_some_and(|p| p.is_empty() || p.contains(char::is_whitespace))
            {
                return Some(format!(
                    "{option} takes parts of names, with commas between"
                ));
            }
        }
        self.machine().problem()
    }

    /// The boot whose machine it runs on.
    pub fn machine(&self) -> BootArguments {
        BootArguments {
            gic: self.gic,
            cpus: self.cpus,
            vcpus: None,
            domus: 0,
            xen: XenArguments {
                // A GICv2 has none; there the guest gets a GICv2m frame.
                its: self.host_has_its() || self.host_its == HostIts::Missing,
                ..self.xen.clone()
            },
            icount: self.icount,
            count: self.count,
            disk: None,
            reads: Some(0),
            rounds: None,
            domu_its: self.xen.its,
            messages: 0,
            rvic: false,
            levels: false,
            state: StateArguments::default(),
            pci: PciArguments::default(),
            no_host_its: self.host_its == HostIts::Missing,
            life: 0,
            storm: 0,
            storm_limit: None,
            edge_timer: self.edge_timer,
            limit: self.limit,
        }
    }

    /// Xen uses one for itself. Messages to an rVID need none.
    fn host_has_its(&self) -> bool {
        self.xen.its
            && (self.gic, self.guest) == (Gic::V3, Kind::Gic)
            && self.host_its == HostIts::Used
    }

    /// The guest's.
    pub fn controller(&self) -> Controller {
        match self.guest {
            Kind::Gic => Controller::Gic,
            Kind::Rvic => Controller::Rvic {
                levels: self.levels,
            },
        }
    }

    /// The guest's command line.
    fn bootargs(&self) -> String {
        let lists = [("only", &self.only), ("skip", &self.skip)];
        let words = lists
            .into_iter()
            .filter_map(|(key, parts)| Some(format!("{key}={}", parts.as_ref()?)));
        let limits = self.xen.its.then(|| LIMITS.to_owned());
        words.chain(limits).collect::<Vec<_>>().join(" ")
    }
}

/// Builds it, runs it, and says how it went in one last line; the result is whether nothing failed.
pub fn guest(arguments: &GuestArguments) -> Result<bool> {
    let boot = arguments.machine();
    let qemu = qemu::find()?;
    count::can_count(&boot, &qemu)?;
    let built = xen::build(&boot.xen, arguments.icount)?;
    let image = image(arguments.planted_fault)?;
    if arguments.refusals {
        return refused::refusals(&boot, &qemu, &built, &image);
    }
    let alone = Alone {
        qemu: &qemu,
        boot: &boot,
        built: &built,
        image: &image,
        bootargs: &arguments.bootargs(),
        controller: arguments.controller(),
        options: if arguments.trap_common {
            " rvgic-trap-common"
        } else {
            ""
        },
    };
    let ran = alone.run("guest")?;
    println!("console log: {}", ran.log.display());
    let (gic, cpus) = (arguments.gic, arguments.cpus);
    let vgic = arguments.xen.vgic;
    if let Some(counter) = &ran.counter {
        counter.read()?.print();
    }
    Ok(match ran.result {
        Some((passed, 0)) if passed > 0 => {
            let xen = &built.full_version;
            let kind = arguments.controller().words();
            let its = if boot.domu_its { " its=yes" } else { "" };
            println!(
                "guest: ok gic={gic}{kind} vgic={vgic} cpus={cpus}{its} passed={passed} xen={xen}"
            );
            true
        }
        Some((passed, failed)) => {
            println!("guest: FAILED {failed} of {} cases", passed + failed);
            false
        }
        None => {
            println!("guest: FAILED {}", ran.why_not());
            false
        }
    })
}

/// The test guest as the only domain of a machine.
pub struct Alone<'a> {
    /// The emulator.
    pub qemu: &'a Qemu,
    /// The machine.
    pub boot: &'a BootArguments,
    /// The hypervisor.
    pub built: &'a Built,
    /// The guest.
    pub image: &'a Path,
    /// Its command line.
    pub bootargs: &'a str,
    /// Its interrupt controller.
    pub controller: Controller,
    /// What Xen's has beside the usual.
    pub options: &'a str,
}

/// What a run of it has left.
pub struct Ran {
    /// How many passed and how many failed, if it came so far.
    pub result: Option<(u32, u32)>,
    /// What it said.
    pub lines: Vec<String>,
    end: End,
    log: PathBuf,
    counter: Option<Counter>,
}

impl Ran {
    /// What was counted of the hypervisor.
    pub fn figure(&self) -> Result<Figure> {
        let counter = self.counter.as_ref().context("nothing was counted")?;
        Ok(counter.read()?.figure())
    }

    /// Why there is no result.
    pub fn why_not(&self) -> &'static str {
        match self.end {
            End::Limit => "it did not come to its end in time",
            _ => "the machine stopped before its end",
        }
    }
}

impl Alone<'_> {
    /// Runs it, showing what fails.
    pub fn run(&self, task: &str) -> Result<Ran> {
        let Alone { boot, built, .. } = self;
        fs::create_dir_all(paths::boot())?;
        let kind = if boot.icount { "-icount" } else { "" };
        let name = format!(
            "{task}-xen{}-{}-{}-{}cpus{kind}{}{}{}",
            built.version,
            boot.gic,
            boot.xen.vgic,
            boot.cpus,
            boot.xen.suffix(),
            if boot.domu_its { "-msi" } else { "" },
            self.controller.suffix()
        );
        let mut command = machine::arguments(self.qemu, boot, MEMORY);
        let module = Module::new(self.image.to_path_buf())?;
        let tree = paths::boot().join(format!("{name}.dtb"));
        let test = dtb::Test {
            kernel: &module,
            bootargs: self.bootargs,
            msi: boot.domu_its,
            controller: self.controller,
        };
        // What four vCPUs print in turns would be torn, were it not Xen that puts the lines together: it does so for those
        // domains that do not have its console.
        let lines = match self.controller {
            Controller::Gic => "",
            Controller::Rvic { .. } => " conswitch=ax",
        };
        let options = format!("{}{lines}", self.options);
        dtb::write_alone(&tree, &command, &test, &options)?;
        if boot.edge_timer {
            dtb::make_timer_edge(&tree)?;
        }
        command.extend(["-kernel".into(), path(&built.image)?]);
        command.extend(["-dtb".into(), path(&tree)?]);
        command.extend(["-device".into(), loader(&module)?]);
        let counter = boot
            .count
            .then(|| Counter::new(&name, self.qemu, built, boot.xen.vgic, &mut command))
            .transpose()?;
        if boot.count {
            // QEMU's plugin says what it has counted when QEMU ends by itself, as it does when its console is told.
            for word in command.iter_mut().filter(|word| *word == "stdio") {
                *word = "mon:stdio".into();
            }
        }
        let log = paths::boot().join(format!("{name}.log"));
        let is_gic = self.controller == Controller::Gic;
        let with = if is_gic { "" } else { " with an rVIC" };
        let step = Step::start(format!(
            "Running the test guest{with} on GIC{}, {} vGIC",
            boot.gic, boot.xen.vgic
        ));
        let limit = Duration::from_secs(boot.limit);
        let its = boot.domu_its && boot.gic == Gic::V3;
        let all = match (is_gic, its) {
            (false, _) => RVIC_CASES,
            (true, true) => CASES + MESSAGE_CASES,
            (true, false) => CASES,
        };
        let (mut result, mut done, mut lines) = (None, 0, Vec::new());
        let run = machine::run(&command, &log, limit, &step, |line: &Line| {
            let Some(text) = said(line) else {
                return Wish::None;
            };
            if let Some(case) = text.strip_prefix("FAIL ") {
                step.note(&format!("FAIL {case}"));
            }
            done += usize::from(text.starts_with("PASS "));
            step.at(done, Some(all), text);
            lines.push(text.to_owned());
            if let Some(numbers) = counts(text) {
                result = Some(numbers);
                // Nobody switches the machine off where there is no Dom0.
                return match boot.count {
                    true => Wish::Type(QUIT.into()),
                    false => Wish::GiveUp,
                };
            }
            Wish::None
        })?;
        step.done(&format!("{:.0} s in all", run.seconds));
        Ok(Ran {
            result,
            lines,
            end: run.end,
            log,
            counter,
        })
    }
}

/// The guest's own words, whoever brings them.
pub fn said(line: &Line) -> Option<&str> {
    matches!(line.speaker, Speaker::Xen | Speaker::DomU(_)).then_some(line.text.trim())
}

/// `guest: N passed, M failed`.
pub fn counts(text: &str) -> Option<(u32, u32)> {
    let (passed, failed) = text.strip_prefix(SIGN)?.split_once(" passed, ")?;
    let failed = failed.strip_suffix(" failed")?;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

/// Builds the guest as a raw image.
pub fn image(planted_fault: bool) -> Result<PathBuf> {
    let step = Step::start("Building the test guest");
    let target = paths::target().join("bare");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(paths::root().join("guest"))
        .env_remove("RUSTFLAGS")
        .env("CARGO_TARGET_DIR", &target)
        .args(["build", "--release", "--locked"]);
    if let Some(sysroot) = core_library::ensure()? {
        // Joined with the flags in guest/.cargo/config.toml.
        let flag = format!(
            "target.{TARGET}.rustflags=[\"--sysroot={}\"]",
            sysroot.display()
        );
        cargo.arg("--config").arg(flag);
    }
    if planted_fault {
        cargo.args(["--features", "planted-fault"]);
    }
    run(&mut cargo, "build the test guest", None)?;
    let image = target.join("Image");
    let program = target.join(TARGET).join("release/vgic-guest");
    let mut objcopy = Command::new(format!("{CROSS}objcopy"));
    objcopy.args(["-O", "binary"]).arg(program).arg(&image);
    run(&mut objcopy, "make an image of the test guest", None)?;
    let size = fs::metadata(&image).with_context(|| format!("cannot read {}", image.display()))?;
    step.done(&format!("{} KiB", size.len() / 1024));
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    fn guest(words: &str) -> GuestArguments {
        let command =
            GuestArguments::augment_args(clap::Command::new("guest").no_binary_name(true));
        let matches = command.try_get_matches_from(words.split_whitespace());
        GuestArguments::from_arg_matches(&matches.unwrap()).unwrap()
    }

    #[test]
    fn what_an_rvic_has_not_is_refused_in_words() {
        for (arguments, word) in [
            ("--levels", "--guest rvic"),
            ("--refusals", "--guest rvic"),
            ("--guest rvic --gic v2 --vgic new", "--vgic rust"),
            ("--guest rvic --trap-common", "--trap-common"),
        ] {
            let problem = guest(arguments).problem().unwrap_or_default();
            assert!(problem.contains(word), "{arguments}: {problem}");
        }
        assert_eq!(guest("--guest rvic --levels --its").problem(), None);
    }

    #[test]
    fn messages_to_an_rvid_need_no_its() {
        let boot = guest("--guest rvic --its").machine();
        assert!(boot.domu_its && !boot.xen.its);
        assert!(guest("--its").machine().xen.its);
    }

    #[test]
    fn only_the_last_line_counts() {
        assert_eq!(counts("guest: 121 passed, 0 failed"), Some((121, 0)));
        assert_eq!(counts("guest: 80 passed, 37 failed"), Some((80, 37)));
        assert_eq!(counts("guest: GICv3, 256 interrupts"), None);
        assert_eq!(counts("PASS sgi_to_self"), None);
    }
}
