// SPDX-License-Identifier: GPL-2.0-only
//! `record`: boots Dom0 on a Xen with the recorder, takes the recorder's memory out of the machine, and makes a recording of it.

use crate::boot::arguments::{BootArguments, Disk, DiskChoice, Gic, StateArguments};
use crate::boot::clean;
use crate::boot::console::Line;
use crate::boot::guest_report::mark;
use crate::boot::linux::{self, Parts};
use crate::boot::machine::{self, End, Wish};
use crate::boot::pci_arguments::PciArguments;
use crate::file::write_whole;
use crate::hypervisor::arguments::{TreeArguments, Vgic, XenArguments};
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use clap::Args;
use recording::Recording;
use recording::convert;
use recording::raw::{Event, Raw};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the recorder says of its memory: bytes, and where they are.
const BUFFER: &str = "rust-vgic: records in ";

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
            vcpus: None,
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
            limit: self.limit,
        }
    }
}

/// Records, converts, and says what it has.
pub fn record(arguments: &RecordArguments) -> Result<bool> {
    let boot = arguments.machine();
    let parts = Parts::gather(&boot)?;
    if parts.pin && arguments.rounds > 0 {
        bail!(
            "QEMU {}'s GICv2 loses interrupts that move: leave out --rounds, or use --gic v3",
            parts.qemu.version
        );
    }
    let name = linux::name(&boot, Disk::Intx, parts.built.version);
    let mut command = linux::prepare(&boot, Disk::Intx, &name, &parts)?;
    // The monitor shares the console.
    for word in command.iter_mut().filter(|w| *w == "stdio") {
        *word = "mon:stdio".into();
    }
    // One after the other, the CPUs are not interrupted between a record and what it is about.
    command.extend(["-accel".into(), "tcg,thread=single".into()]);
    let dump = tempfile::Builder::new()
        .prefix("records-")
        .tempdir_in(paths::boot())?;
    let file = dump.path().join("memory");
    let log = paths::boot().join(format!("{name}.log"));
    let kernel = run(arguments, &command, &log, &file)
        .with_context(|| format!("see the console log, {}", log.display()))?;
    let bytes = fs::read(&file).with_context(|| format!("QEMU wrote no {}", file.display()))?;
    drop(dump);

    let mut raw = convert::records(&bytes)?;
    drop(bytes);
    raw.truncate(arguments.records);
    let origin = format!(
        "Linux {kernel} as Dom0 of Xen {} on a GIC{}, {} CPUs, {} reads of a disk, {} rounds of CPUs off and on line, QEMU {}",
        parts.built.version,
        arguments.gic,
        arguments.cpus,
        arguments.reads,
        arguments.rounds,
        parts.qemu.version
    );
    for (kind, count) in kinds(&raw) {
        println!("{count:>9} {kind}");
    }
    let recording = convert::convert(raw, 0, &origin)?;
    write(&recording, &arguments.out)?;
    println!(
        "record: ok {}: {} operations in {} bytes",
        arguments.out.display(),
        recording.ops.len(),
        fs::metadata(&arguments.out)?.len()
    );
    Ok(true)
}

/// Runs the machine until Dom0 has done its work, then saves the recorder's memory; the result is Dom0's kernel.
fn run(arguments: &RecordArguments, command: &[String], log: &Path, to: &Path) -> Result<String> {
    let step = Step::start(format!("Recording on GIC{}", arguments.gic));
    let (mut buffer, mut kernel, mut saved) = (None, None, false);
    let limit = Duration::from_secs(arguments.limit);
    let run = machine::run(command, log, limit, &step, |line| {
        if let Some(milestone) = linux::milestone(line) {
            step.note(&milestone);
        }
        if clean::is_fatal(&line.text) {
            return Wish::GiveUp;
        }
        buffer = buffer.take().or_else(|| buffer_of(line));
        let mark = mark(&line.text).unwrap_or_default();
        if let Some(up) = mark.strip_prefix("up ") {
            kernel = up.split(' ').next().map(str::to_owned);
        }
        match &buffer {
            Some((size, at)) if mark.starts_with("done") && !saved => {
                saved = true;
                Wish::Type(farewell(at, size, to))
            }
            _ => Wish::None,
        }
    })?;
    step.done(&format!("the machine ran for {:.1} s", run.seconds));
    match run.end {
        End::Off if saved => kernel.context("Dom0 did not name its kernel"),
        End::Limit => bail!("Dom0 was not done after {} s (--limit)", arguments.limit),
        _ if buffer.is_none() => bail!("Xen did not say where its recorder writes"),
        _ => bail!("the machine stopped before Dom0 was done"),
    }
}

/// The size and the address, as they are printed.
fn buffer_of(line: &Line) -> Option<(String, String)> {
    let (_, rest) = line.text.split_once(BUFFER)?;
    let (size, at) = rest.split_once(" bytes at ")?;
    Some((size.to_owned(), at.trim().to_owned()))
}

/// What is typed in the end: to the monitor, which listens after Ctrl-A c. The guest stands still while its memory is saved.
fn farewell(at: &str, size: &str, to: &Path) -> String {
    format!(
        "\u{1}cstop\npmemsave {at} {size} \"{}\"\nquit\n",
        to.display()
    )
}

/// How many records there are of each kind.
fn kinds(raw: &[Raw]) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    for raw in raw {
        *kinds.entry(kind(&raw.event)).or_default() += 1;
    }
    kinds
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::DomainMade { .. } => "domains made",
        Event::Connected { .. } => "physical interrupts connected",
        Event::Mmio { write: false, .. } => "reads of registers",
        Event::Mmio { write: true, .. } => "writes of registers",
        Event::Sysreg { .. } => "writes of system registers",
        Event::Injected { .. } => "injections",
        Event::Entered { .. } => "entries",
        Event::ListRegister { .. } => "list registers changed",
        Event::Exited { .. } => "exits",
        Event::Vmcr { .. } => "changes of VMCR",
        Event::EoiCount { .. } => "exits with EOIcount",
        Event::Off { .. } => "vCPUs switched off",
        Event::On { .. } => "vCPUs switched on",
        Event::Moved { .. } => "vCPUs moved",
        Event::Full => "end of the memory",
    }
}

fn write(recording: &Recording, to: &Path) -> Result<()> {
    let cannot = || format!("cannot write {}", to.display());
    let mut bytes = Vec::new();
    recording.write(&mut bytes).with_context(cannot)?;
    write_whole(to, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::console::Speaker;
    use clap::{Command, FromArgMatches};

    #[test]
    fn the_memory_is_found_and_saved() {
        let line = Line {
            speaker: Speaker::Xen,
            text: "[    1.0] rust-vgic: records in 0x4000000 bytes at 0x84000000".into(),
            at: 0.0,
        };
        let (size, at) = buffer_of(&line).unwrap();
        assert_eq!((&*size, &*at), ("0x4000000", "0x84000000"));
        assert_eq!(
            farewell(&at, &size, Path::new("/a b")),
            "\u{1}cstop\npmemsave 0x84000000 0x4000000 \"/a b\"\nquit\n"
        );
    }

    #[test]
    fn records_are_counted_by_kind() {
        let events = [
            Event::Entered { vcpu: 0 },
            Event::Exited { vcpu: 0 },
            Event::Entered { vcpu: 1 },
        ];
        let raw = events.map(|event| Raw { domain: 0, event });
        assert_eq!(
            kinds(&raw).into_iter().collect::<Vec<_>>(),
            [("entries", 2), ("exits", 1)]
        );
    }

    #[test]
    fn what_cannot_be_recorded_is_refused_in_words() {
        for (arguments, word) in [
            ("", ""),
            ("--records 0", "--records"),
            ("--cpus 0", "1 to"),
            ("--rounds 1", "disk"),
        ] {
            let command = Command::new("record").no_binary_name(true);
            let words = ["--out", "x"]
                .into_iter()
                .chain(arguments.split_whitespace());
            let matches = RecordArguments::augment_args(command)
                .try_get_matches_from(words)
                .unwrap();
            let record = RecordArguments::from_arg_matches(&matches).unwrap();
            let problem = record.problem().unwrap_or_default();
            assert_eq!(
                problem.is_empty(),
                word.is_empty(),
                "{arguments}: {problem}"
            );
            assert!(problem.contains(word), "{arguments}: {problem}");
        }
    }
}
