// SPDX-License-Identifier: GPL-2.0-only
//! `figures`: what an interrupt takes of the hypervisor, with a GIC and with an rVIC, instructions counted.
//!
//! The test guest makes N interrupts of a kind in one run and 2N in another. What the second has more is what N of them take: all
//! that comes before and after is in both.

use crate::boot::arguments::{BootArguments, Gic};
use crate::boot::bare::{self, Alone, GuestArguments, HostIts, Kind};
use crate::boot::count::{self, Figure};
use crate::boot::qemu::{self, Qemu};
use crate::hypervisor::arguments::{TreeArguments, Vgic, XenArguments};
use crate::hypervisor::xen::{self, Built};
use crate::table;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::Path;

/// The slowest run takes a minute.
const LIMIT: u64 = 300;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The interrupt controller of the machine
    #[arg(long, value_enum, default_value_t = Gic::V3)]
    pub gic: Gic,
    #[command(flatten)]
    pub tree: TreeArguments,
    /// How often each kind of interrupt is made, and then twice as often
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub samples: u32,
}

impl Arguments {
    /// What is wrong with the arguments, in one sentence.
    pub fn problem(&self) -> Option<String> {
        (!(1..=100_000).contains(&self.samples))
            .then(|| format!("--samples {}: give 1 to 100000", self.samples))
    }

    /// The run of the test guest in which it makes interrupts, with such a controller.
    fn guest(&self, kind: Kind) -> GuestArguments {
        GuestArguments {
            gic: self.gic,
            guest: kind,
            levels: false,
            refusals: false,
            // One for each vCPU that does something.
            cpus: 2,
            xen: XenArguments {
                vgic: Vgic::Rust,
                tree: self.tree.clone(),
                espi: false,
                its: false,
                smmu: false,
                record: false,
            },
            host_its: HostIts::Used,
            trap_common: false,
            edge_timer: false,
            only: None,
            skip: None,
            icount: true,
            count: true,
            planted_fault: false,
            limit: LIMIT,
        }
    }
}

/// What one of so many took, from a run with them and one with twice as many.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Each {
    traps: f64,
    instructions: f64,
}

impl Each {
    fn of(samples: u32, [once, twice]: [Figure; 2]) -> Each {
        let each = |once: u64, twice: u64| (twice as f64 - once as f64) / f64::from(samples);
        Each {
            traps: each(once.traps, twice.traps),
            instructions: each(once.instructions, twice.instructions),
        }
    }

    fn less(self, other: Each) -> Each {
        Each {
            traps: self.traps - other.traps,
            instructions: self.instructions - other.instructions,
        }
    }

    fn half(self) -> Each {
        Each {
            traps: self.traps / 2.0,
            instructions: self.instructions / 2.0,
        }
    }

    fn plus(self, other: Each) -> Each {
        Each {
            traps: self.traps + other.traps,
            instructions: self.instructions + other.instructions,
        }
    }

    fn cells(self) -> [String; 2] {
        // What is hardly less than nothing is nothing.
        [self.traps, self.instructions].map(|n| format!("{:.1}", (n * 10.0).round() / 10.0 + 0.0))
    }
}

/// What the guest is asked for: its own accesses to the device; its interrupts, with those; the same with two changes of affinity.
const KINDS: [&str; 5] = ["ticks", "ipis", "accesses", "device", "moved"];

/// The rows of the table, from what each of the kinds took.
fn rows([ticks, ipis, accesses, device, moved]: [Each; 5]) -> [(&'static str, Each); 5] {
    let interrupt = device.less(accesses);
    // There and back.
    let change = moved.less(device).half();
    [
        ("a tick of the virtual timer", ticks),
        ("an IPI to another CPU", ipis),
        ("a device's interrupt", interrupt),
        ("a change of its affinity", change),
        (
            "a device's interrupt after such a change",
            interrupt.plus(change),
        ),
    ]
}

/// Measures, and prints a table; the result is whether all could be counted.
pub fn figures(arguments: &Arguments) -> Result<bool> {
    let qemu = qemu::find()?;
    let image = bare::image(false)?;
    let boot = arguments.guest(Kind::Gic).machine();
    count::can_count(&boot, &qemu)?;
    let built = xen::build(&boot.xen, true)?;
    let mut columns = Vec::new();
    for kind in [Kind::Gic, Kind::Rvic] {
        columns.push(rows(measure(
            arguments, kind, &boot, &qemu, &built, &image,
        )?));
    }
    println!(
        "What each takes of the hypervisor, from runs of {} and {}; Xen {} with CONFIG_DEBUG=n, QEMU {}",
        arguments.samples,
        2 * arguments.samples,
        built.full_version,
        qemu.version
    );
    let mut table = table::empty();
    let gic = format!("GIC{}", arguments.gic);
    table.set_header([
        String::new(),
        format!("{gic}: traps"),
        "instructions".into(),
        "rVIC: traps".into(),
        "instructions".into(),
    ]);
    let [gic, rvic] = columns.as_slice() else {
        bail!("two kinds make two columns");
    };
    for ((name, gic), (_, rvic)) in gic.iter().zip(rvic) {
        let mut row = vec![(*name).to_owned()];
        row.extend(gic.cells());
        row.extend(rvic.cells());
        table.add_row(row);
    }
    table::right(&mut table, 1..5);
    println!("{table}");
    println!(
        "figures: ok gic={} xen={}",
        arguments.gic, built.full_version
    );
    Ok(true)
}

/// What each of the kinds takes with such a controller.
fn measure(
    arguments: &Arguments,
    kind: Kind,
    boot: &BootArguments,
    qemu: &Qemu,
    built: &Built,
    image: &Path,
) -> Result<[Each; 5]> {
    let mut all = Vec::new();
    for name in KINDS {
        let mut runs = Vec::new();
        for count in [arguments.samples, 2 * arguments.samples] {
            let alone = Alone {
                qemu,
                boot,
                built,
                image,
                bootargs: &format!("figure={name} count={count}"),
                controller: arguments.guest(kind).controller(),
                options: "",
            };
            let ran = alone.run("figures")?;
            match ran.result {
                None => bail!("{name} with {kind:?}: {}", ran.why_not()),
                Some((1, 0)) => {}
                Some(_) => bail!("{name} with {kind:?}: not all of {count} came"),
            }
            runs.push(ran.figure()?);
        }
        let [once, twice] = runs.as_slice() else {
            bail!("two counts make two runs");
        };
        all.push(Each::of(arguments.samples, [*once, *twice]));
    }
    all.try_into().ok().context("five kinds make five figures")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(traps: f64, instructions: f64) -> Each {
        Each {
            traps,
            instructions,
        }
    }

    #[test]
    fn what_is_in_both_runs_does_not_count() {
        let run = |traps, instructions| Figure {
            traps,
            instructions,
        };
        let seen = Each::of(100, [run(1_000, 50_000), run(1_300, 90_000)]);
        assert_eq!(seen, each(3.0, 400.0));
    }

    #[test]
    fn nothing_has_no_sign() {
        assert_eq!(each(-0.01, -0.2).cells(), ["0.0", "-0.2"]);
    }

    #[test]
    fn a_devices_accesses_and_the_changes_are_taken_apart() {
        let kinds = [
            each(1.0, 10.0),
            each(2.0, 20.0),
            each(2.0, 100.0),
            each(5.0, 400.0),
            each(13.0, 1400.0),
        ];
        let seen = rows(kinds).map(|(_, each)| each);
        assert_eq!(seen[2], each(3.0, 300.0));
        assert_eq!(seen[3], each(4.0, 500.0));
        assert_eq!(seen[4], each(7.0, 800.0));
    }
}
