// SPDX-License-Identifier: GPL-2.0-only
//! `guest`: the bare-metal test guest (guest/) as the only domain on Xen, and what it says of its interrupt controller.

use crate::boot::arguments::{BootArguments, Gic};
use crate::boot::console::{Line, Speaker};
use crate::boot::dtb::{self, Module};
use crate::boot::machine::{self, End, Wish, loader, path};
use crate::boot::qemu;
use crate::command::run;
use crate::hypervisor::arguments::{Vgic, XenArguments};
use crate::hypervisor::core_library;
use crate::hypervisor::xen::{self, CROSS};
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result};
use clap::Args;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const TARGET: &str = "aarch64-unknown-none-softfloat";
/// MiB, for Xen and for the guest.
const MEMORY: u32 = 1024;
/// How many cases there are, about: some are only on one of the GICs.
const CASES: usize = 120;
/// The guest's first and last words are preceded by this.
const SIGN: &str = "guest: ";

/// What to run the test guest on.
#[derive(Args, Clone, Debug)]
pub struct GuestArguments {
    /// The interrupt controller of the machine
    #[arg(long, value_enum, default_value_t = Gic::V3)]
    pub gic: Gic,
    #[command(flatten)]
    pub xen: XenArguments,
    /// Trap ICC_DIR_EL1 as on hardware that cannot trap it alone (ICH_VTR_EL2.TDS is 0; QEMU's is 1)
    #[arg(long)]
    pub trap_common: bool,
    /// Have the device tree say that the virtual timer's interrupt is an edge, as that of some boards does
    #[arg(long)]
    pub edge_timer: bool,
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
        if self.trap_common && (self.gic, self.xen.vgic) != (Gic::V3, Vgic::Rust) {
            return Some("--trap-common is for the Rust vGIC on a GICv3".into());
        }
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
            edge_timer: self.edge_timer,
            limit: self.limit,
        }
    }
}

/// Builds it, runs it, and says how it went in one last line; the result is whether nothing failed.
pub fn guest(arguments: &GuestArguments) -> Result<bool> {
    let qemu = qemu::find()?;
    let built = xen::build(&arguments.xen, false)?;
    let image = image(arguments.planted_fault)?;
    fs::create_dir_all(paths::boot())?;
    let name = format!(
        "guest-xen{}-{}-{}",
        built.version, arguments.gic, arguments.xen.vgic
    );
    let mut command = machine::arguments(&qemu, &arguments.machine(), MEMORY);
    let module = Module::new(image)?;
    let tree = paths::boot().join(format!("{name}.dtb"));
    let options = if arguments.trap_common {
        " rvgic-trap-common"
    } else {
        ""
    };
    dtb::write_alone(&tree, &command, &module, options)?;
    if arguments.edge_timer {
        dtb::make_timer_edge(&tree)?;
    }
    command.extend(["-kernel".into(), path(&built.image)?]);
    command.extend(["-dtb".into(), path(&tree)?]);
    command.extend(["-device".into(), loader(&module)?]);
    let log = paths::boot().join(format!("{name}.log"));
    let step = Step::start(format!("Running the test guest on GIC{}", arguments.gic));
    let limit = Duration::from_secs(arguments.limit);
    let (mut result, mut done) = (None, 0);
    let run = machine::run(&command, &log, limit, &step, |line: &Line| {
        let Some(text) = said(line) else {
            return Wish::None;
        };
        if let Some(case) = text.strip_prefix("FAIL ") {
            step.note(&format!("FAIL {case}"));
        }
        done += usize::from(text.starts_with("PASS "));
        step.at(done, Some(CASES), text);
        if let Some(numbers) = counts(text) {
            result = Some(numbers);
            // Nobody switches the machine off where there is no Dom0.
            return Wish::GiveUp;
        }
        Wish::None
    })?;
    step.done(&format!("{:.0} s in all", run.seconds));
    println!("console log: {}", log.display());
    let gic = arguments.gic;
    let vgic = arguments.xen.vgic;
    Ok(match result {
        Some((passed, 0)) if passed > 0 => {
            let xen = &built.full_version;
            println!("guest: ok gic={gic} vgic={vgic} passed={passed} xen={xen}");
            true
        }
        Some((passed, failed)) => {
            println!("guest: FAILED {failed} of {} cases", passed + failed);
            false
        }
        None => {
            let why = match run.end {
                End::Limit => "it did not come to its end in time",
                _ => "the machine stopped before its end",
            };
            println!("guest: FAILED {why}");
            false
        }
    })
}

/// The guest's own words, whoever brings them.
fn said(line: &Line) -> Option<&str> {
    matches!(line.speaker, Speaker::Xen | Speaker::DomU(_)).then_some(line.text.trim())
}

/// `guest: N passed, M failed`.
fn counts(text: &str) -> Option<(u32, u32)> {
    let (passed, failed) = text.strip_prefix(SIGN)?.split_once(" passed, ")?;
    let failed = failed.strip_suffix(" failed")?;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

/// Builds the guest as a raw image.
fn image(planted_fault: bool) -> Result<PathBuf> {
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
    use super::counts;

    #[test]
    fn only_the_last_line_counts() {
        assert_eq!(counts("guest: 121 passed, 0 failed"), Some((121, 0)));
        assert_eq!(counts("guest: 80 passed, 37 failed"), Some((80, 37)));
        assert_eq!(counts("guest: GICv3, 256 interrupts"), None);
        assert_eq!(counts("PASS sgi_to_self"), None);
    }
}
