// SPDX-License-Identifier: GPL-2.0-only
//! `latency`: how long it takes until the test guest's handler runs, with ours and with Xen's C vGICs, instructions counted.

use crate::boot::arguments::{BootArguments, Gic, StateArguments};
use crate::boot::bare::{self, Alone};
use crate::boot::dtb::Controller;
use crate::boot::pci_arguments::PciArguments;
use crate::boot::qemu;
use crate::hypervisor::arguments::{TreeArguments, Vgic, XenArguments};
use crate::hypervisor::xen;
use crate::table;
use anyhow::{Context, Result, bail};
use clap::Args;

/// Xen makes its own timers, of which the physical one of a guest is one, late by up to 50 us on purpose, to have fewer
/// interrupts.
const EXACT: &str = " timer_slop=0";
/// The guest takes a moment, the builds of Xen longer.
const LIMIT: u64 = 300;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The interrupt controller of the machine
    #[arg(long, value_enum, default_value_t = Gic::V3)]
    pub gic: Gic,
    #[command(flatten)]
    pub tree: TreeArguments,
    /// How often each kind of interrupt is made
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub samples: u32,
}

impl Arguments {
    /// What is wrong with the arguments, in one sentence.
    pub fn problem(&self) -> Option<String> {
        (!(1..=1000).contains(&self.samples))
            .then(|| format!("--samples {}: give 1 to 1000", self.samples))
    }

    /// The vGICs that there are for it.
    fn vgics(&self) -> &'static [Vgic] {
        match self.gic {
            Gic::V2 => &[Vgic::Rust, Vgic::Old, Vgic::New],
            Gic::V3 => &[Vgic::Rust, Vgic::Old],
        }
    }

    fn machine(&self, vgic: Vgic) -> BootArguments {
        BootArguments {
            gic: self.gic,
            cpus: 1,
            vcpus: None,
            domus: 0,
            xen: XenArguments {
                vgic,
                tree: self.tree.clone(),
                espi: false,
                its: false,
                smmu: false,
                record: false,
            },
            icount: true,
            count: false,
            disk: None,
            reads: Some(0),
            rounds: None,
            domu_its: false,
            messages: 0,
            rvic: false,
            levels: false,
            state: StateArguments::default(),
            pci: PciArguments::default(),
            no_host_its: false,
            life: 0,
            storm: 0,
            storm_limit: None,
            edge_timer: false,
            limit: LIMIT,
        }
    }
}

/// One kind of interrupt: its name, the median and the worst, in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Sample {
    name: String,
    median: u64,
    worst: u64,
}

/// Measures, and prints a table; the result is whether each kind came with each vGIC.
pub fn latency(arguments: &Arguments) -> Result<bool> {
    let qemu = qemu::find()?;
    let image = bare::image(false)?;
    let bootargs = format!("latency={}", arguments.samples);
    let (mut rows, mut header) = (Vec::<Vec<String>>::new(), vec!["ticks".to_owned()]);
    let (mut version, mut frequency) = (String::new(), 0);
    for &vgic in arguments.vgics() {
        let boot = arguments.machine(vgic);
        let built = xen::build(&boot.xen, true)?;
        let alone = Alone {
            qemu: &qemu,
            boot: &boot,
            built: &built,
            image: &image,
            bootargs: &bootargs,
            controller: Controller::Gic,
            options: EXACT,
        };
        let ran = alone.run("latency")?;
        match ran.result {
            None => bail!("with the {vgic} vGIC, {}", ran.why_not()),
            Some((passed, failed)) if failed > 0 || passed == 0 => {
                bail!("with the {vgic} vGIC, not all interrupts came")
            }
            Some(_) => {}
        }
        frequency = ran
            .lines
            .iter()
            .find_map(|line| ticks(line))
            .context("the guest has not said how long a tick is")?;
        header.push(format!("{vgic}: median"));
        header.push("worst".into());
        let samples: Vec<Sample> = ran.lines.iter().filter_map(|l| sample(l)).collect();
        if rows.is_empty() {
            rows = samples.iter().map(|s| vec![s.name.clone()]).collect();
        }
        for (row, sample) in rows.iter_mut().zip(&samples) {
            row.extend([sample.median.to_string(), sample.worst.to_string()]);
        }
        version = built.full_version;
    }
    println!(
        "From the expiry, or the write, to the handler, of {} each; a tick is {} instructions; Xen {version} with CONFIG_DEBUG=n\n\
         and{EXACT}, on one CPU, QEMU {}",
        arguments.samples,
        1_000_000_000 / frequency,
        qemu.version
    );
    let mut table = table::empty();
    let columns = header.len();
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table::right(&mut table, 1..columns);
    println!("{table}");
    println!("latency: ok gic={} xen={version}", arguments.gic);
    Ok(true)
}

/// `latency: 62500000 ticks in a second`.
fn ticks(text: &str) -> Option<u64> {
    let number = text
        .strip_prefix("latency: ")?
        .strip_suffix(" ticks in a second")?
        .parse()
        .ok()?;
    (number > 0).then_some(number)
}

/// `latency: virtual timer, running: median 6 worst 8 of 200`.
fn sample(text: &str) -> Option<Sample> {
    let (name, rest) = text.strip_prefix("latency: ")?.split_once(": median ")?;
    let (median, rest) = rest.split_once(" worst ")?;
    let (worst, _) = rest.split_once(" of ")?;
    Some(Sample {
        name: name.to_owned(),
        median: median.parse().ok()?,
        worst: worst.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_says_is_read() {
        let line = "latency: virtual timer, in WFI: median 6 worst 8 of 200";
        let read = sample(line).unwrap();
        assert_eq!(
            (read.name.as_str(), read.median, read.worst),
            ("virtual timer, in WFI", 6, 8)
        );
        assert_eq!(sample("latency: 62500000 ticks in a second"), None);
        assert_eq!(
            ticks("latency: 62500000 ticks in a second"),
            Some(62_500_000)
        );
        assert_eq!(ticks("latency: 0 ticks in a second"), None);
        assert_eq!(ticks(line), None);
    }
}
