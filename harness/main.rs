// SPDX-License-Identifier: GPL-2.0-only
//! The laptop's front door: runs guests, scenarios and recordings on the mock Xen.

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use recording::Recording;
use recording::script::Scene;
use recording::text::Script;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fs, io};
use vgic_harness::bench;
use vgic_harness::comparison::chance::{Kind, Model};
use vgic_harness::comparison::compare::Peer;
use vgic_harness::comparison::{diff, qtest, search};
use vgic_harness::guests::scenario::{self, Options};
use vgic_harness::machine::profile::Profile;
use vgic_harness::notes;
use vgic_harness::scripts::script::{self, SCENARIOS};
use vgic_harness::scripts::{replay, transcript};
use vgic_harness::xen::{abi, peer};

/// The vGIC on a mock Xen.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run a guest on timer ticks, device interrupts and SGIs, and check every count
    Run(Run),
    /// Replay a recording of a real guest, and compare what is delivered
    Replay(Replay),
    /// Play a script step by step, and check what it says
    Scenario(Play),
    /// Play random scripts on ours and on peers, and show where they differ
    Diff {
        /// With whom: QEMU's model of a GIC, and Xen's C vGICs once `cargo xtask peers` has built them
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "qemu",
            value_name = "qemu,new,old"
        )]
        against: Vec<Against>,
        /// Random scripts for each version of the GIC
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        seeds: u64,
    },
    /// Play random scripts beside a GIC from the architecture alone: on few and many list registers, with exits anywhere
    Search {
        /// For so long; else `--seeds`
        #[arg(long)]
        minutes: Option<u64>,
        /// Random scripts for each version of the GIC
        #[arg(long, default_value_t = 300)]
        seeds: u64,
        /// The first of them
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// Show so many findings
        #[arg(long, default_value_t = 1)]
        findings: usize,
        /// Nothing but these kinds of things happens (`routing`, `splitend`, ...), and edges
        #[arg(long, value_delimiter = ',', value_name = "KIND,...")]
        only: Vec<Kind>,
        /// These do not happen
        #[arg(long, value_delimiter = ',', value_name = "KIND,...")]
        without: Vec<Kind>,
    },
    /// Play the script on standard input, and print what is seen of each step: for another process to compare
    #[command(hide = true)]
    Transcript {
        #[arg(long)]
        vgic: String,
    },
    /// Measure rows of the table of `cargo xtask bench`, and print one on each line
    #[command(hide = true)]
    Bench {
        #[arg(long)]
        vgic: String,
        /// Fewer operations: callgrind counts what each of them costs
        #[arg(long)]
        counting: bool,
        /// Only rows whose name contains this
        #[arg(long, default_value = "")]
        only: String,
    },
    /// List the scenarios, the recordings and the machines
    List,
}

#[derive(Args, Default)]
struct Common {
    /// Which vGIC: ours, Xen's C vGICs once `cargo xtask peers` has built them, or a shared object [default: rust]
    #[arg(long, value_name = "rust|new|old|PATH")]
    vgic: Option<String>,
    /// Draw the interrupts' lives: on the terminal, or into a file
    #[arg(long, value_name = "text|FILE.svg|FILE.html")]
    timeline: Option<String>,
}

#[derive(Args)]
struct Run {
    /// The guest's interrupt controller [default: the machine's, or both]
    #[arg(long, value_enum)]
    gic: Option<Gic>,
    /// The machine: a name that `list` shows [default: virt-v2 and virt-v3]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// vCPUs, each a thread: 1 to 8 with GICv2, to 128 with GICv3
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=128))]
    cpus: u16,
    /// How often each device, timer and SGI is raised
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rounds: u64,
    #[command(flatten)]
    common: Common,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            gic: None,
            profile: None,
            cpus: 4,
            rounds: 2000,
            common: Common::default(),
        }
    }
}

#[derive(Args)]
struct Replay {
    /// The recording: a file, or a name that `list` shows
    file: PathBuf,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Play {
    /// A name that `list` shows, or the file of a script: scenarios/README.md has the language
    name: String,
    /// One version only, of a script that is for both
    #[arg(long, value_enum)]
    gic: Option<Gic>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Gic {
    V2,
    V3,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    Qemu,
    New,
    Old,
}

impl Gic {
    fn version(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let done = match command.unwrap_or_else(|| Command::Run(Run::default())) {
        Command::Run(run) => guest(&run),
        Command::Replay(arguments) => replay_file(&arguments),
        Command::Scenario(arguments) => play(&arguments),
        Command::Transcript { vgic } => write_transcript(&vgic),
        Command::Diff { against, seeds } => diff_with(&against, seeds),
        Command::Search {
            minutes,
            seeds,
            first,
            findings,
            only,
            without,
        } => {
            let mut may = Kind::ALL.to_vec();
            may.retain(|k| (only.is_empty() || only.contains(k)) && !without.contains(k));
            let end = minutes.map_or(first.saturating_add(seeds), |_| u64::MAX);
            search_for(minutes, first..end, findings, &may)
        }
        Command::Bench {
            vgic,
            counting,
            only,
        } => measure(&vgic, counting, &only),
        Command::List => list(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One sentence, whatever RUST_BACKTRACE says.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Common {
    /// Loads the vGIC.
    fn load(&self) -> Result<()> {
        if let Some(to) = &self.timeline
            && to != "text"
            && !to.ends_with(".svg")
            && !to.ends_with(".html")
        {
            bail!("--timeline {to}: give `text`, or a file whose name ends in .svg or .html");
        }
        if let Some(which) = &self.vgic {
            peer::choose(which)?;
        }
        Ok(())
    }

    /// Notes what happens from now on, if it is to be drawn.
    fn begin(&self) {
        if self.timeline.is_some() {
            notes::start();
        }
    }

    /// Draws what happened.
    fn end(&self) -> Result<()> {
        match self.timeline.as_deref() {
            None => {}
            Some("text") => print!("{}", notes::stop().text()),
            Some(file) => {
                let lives = notes::stop();
                let drawing = if file.ends_with(".html") {
                    lives.html(&command_line(file))
                } else {
                    lives.svg()
                };
                fs::write(file, drawing).with_context(|| format!("cannot write {file}"))?;
                println!("{file}");
            }
        }
        Ok(())
    }
}

/// What a person asked for, but for where the drawing goes.
fn command_line(drawing: &str) -> String {
    let joined = format!("--timeline={drawing}");
    let option = ["--timeline", drawing, &joined];
    let words = std::env::args().skip(1);
    let words: Vec<String> = words.filter(|w| !option.contains(&w.as_str())).collect();
    words.join(" ")
}

/// The machines that are meant, and the version of the guest's GIC on each.
fn machines(run: &Run) -> Result<Vec<(Profile, u8)>> {
    let wanted = run.gic.map(Gic::version);
    let Some(name) = &run.profile else {
        let all = [Profile::GICV2, Profile::GICV3].map(|p| (p, p.gic));
        let meant = |(_, gic): &(Profile, u8)| wanted.is_none_or(|wanted| wanted == *gic);
        return Ok(all.into_iter().filter(meant).collect());
    };
    let profile = Profile::find(name)
        .with_context(|| format!("there is no machine {name}: `list` shows those there are"))?;
    let gic = wanted.unwrap_or(profile.gic);
    if !profile.runs(gic) {
        bail!("{name} has no GICv{gic} for guests: leave --gic out");
    }
    Ok(vec![(profile, gic)])
}

fn guest(run: &Run) -> Result<()> {
    let machines = machines(run)?;
    if machines.iter().any(|(_, gic)| *gic == 2) && run.cpus > 8 {
        bail!("a GICv2 has at most 8 CPUs: use --gic v3 for {}", run.cpus);
    }
    run.common.load()?;
    run.common.begin();
    let mut good = true;
    for (profile, gic) in machines {
        let options = Options {
            profile,
            gic,
            cpus: run.cpus.into(),
            rounds: run.rounds,
        };
        match scenario::run(options) {
            Ok(summary) => {
                println!("{summary}");
                good &= summary.is_ok();
            }
            Err(_) if abi::max_vcpus(gic.into()) == 0 => {
                let vgic = peer::called();
                let other = if gic == 2 { 3 } else { 2 };
                bail!("{vgic} has no GICv{gic} for guests here: add --gic v{other}")
            }
            Err(errno) => bail!("the vGIC refuses to create the domain (errno {})", errno.0),
        }
    }
    run.common.end()?;
    if !good {
        bail!("interrupts were lost, doubled or spurious: see the lines marked above");
    }
    println!("ok: every interrupt was handled exactly once");
    Ok(())
}

/// The directory of the recordings that come with the harness.
fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings")
}

/// The file of a recording, or of one in the list.
fn recording_of(file: &Path) -> Result<Recording> {
    let listed = recordings().join(file).with_extension("vgicrec");
    let path = if file.is_file() { file } else { &listed };
    let opened = fs::File::open(path)
        .with_context(|| format!("there is no recording {}: `list` shows those that come with this, and a path is taken, too", file.display()))?;
    Recording::read(std::io::BufReader::new(opened)).with_context(|| file.display().to_string())
}

fn replay_file(arguments: &Replay) -> Result<()> {
    let recording = recording_of(&arguments.file)?;
    arguments.common.load()?;
    arguments.common.begin();
    let style = ProgressStyle::with_template(
        "{bar:40} {percent:>3} %  {pos} of {len} operations, {eta} left",
    );
    let bar = ProgressBar::new(recording.ops.len() as u64);
    bar.set_style(style?);
    let outcome = replay::replay(&recording, |n| {
        if n % 1000 == 0 {
            bar.set_position(n as u64);
        }
    })?;
    bar.finish_and_clear();
    if !recording.head.origin.is_empty() {
        println!("{}", recording.head.origin);
    }
    print!("{outcome}");
    arguments.common.end()?;
    if !outcome.is_ok() {
        bail!("interrupts were lost or doubled: see the lines above");
    }
    println!("ok: every interrupt of the recording was delivered as often as in it");
    Ok(())
}

fn play(arguments: &Play) -> Result<()> {
    let (file, all) = script::open(&arguments.name)?;
    let wanted = |s: &&Scene| arguments.gic.is_none_or(|gic| gic.version() == s.head.gic);
    let chosen: Vec<&Scene> = all.iter().filter(wanted).collect();
    if chosen.is_empty() {
        bail!("{file} is not for that version: leave --gic out");
    }
    let common = &arguments.common;
    common.load()?;
    if common.timeline.as_ref().is_some_and(|to| to != "text") && chosen.len() > 1 {
        bail!("a drawing in a file is of one version: add --gic v2 or --gic v3");
    }
    let mut wrong = 0;
    for scene in chosen {
        let (machine, gic) = (script::profile(scene).name, scene.head.gic);
        println!(
            "{file}: GICv{gic} on {machine}, {} lines",
            scene.lines.len()
        );
        common.begin();
        script::play_and_tell(scene, |remark| {
            println!("{file}:{remark}");
            wrong += u32::from(remark.wrong);
        })?;
        common.end()?;
    }
    if wrong > 0 {
        bail!("{file}: {wrong} of its steps not as the script says, see above");
    }
    println!("ok: all as the script says");
    Ok(())
}

fn diff_with(against: &[Against], seeds: u64) -> Result<()> {
    let mut wrong = 0;
    for peer in against {
        let name = peer
            .to_possible_value()
            .map_or(String::new(), |v| v.get_name().to_owned());
        let peer = match peer {
            Against::Qemu if !qtest::is_installed() => {
                bail!(
                    "there is no qemu-system-aarch64: install it (Debian: qemu-system-arm), or leave qemu out of --against"
                )
            }
            Against::Qemu => Peer::Qemu,
            _ if !peer::built(&name).is_file() => {
                bail!(
                    "there is no {}: `cargo xtask peers` builds Xen's C vGICs",
                    peer::built(&name).display()
                )
            }
            _ => Peer::Vgic {
                which: name.clone(),
                program: std::env::current_exe()?.to_string_lossy().into_owned(),
            },
        };
        let bar = ProgressBar::new(seeds * diff::versions(&name).len() as u64);
        bar.set_style(ProgressStyle::with_template(
            "{bar:40} {percent:>3} %  {pos} of {len} scripts, {eta} left",
        )?);
        let findings = diff::compare_with(&peer, seeds, || bar.inc(1))?;
        bar.finish_and_clear();
        findings.wrong.iter().for_each(|what| println!("{what}\n"));
        println!(
            "{name}: {} random scripts the same, {} known differences",
            findings.scripts, findings.known
        );
        wrong += findings.wrong.len();
    }
    if wrong > 0 {
        bail!("{wrong} differences that are not in the list, or no more: see above");
    }
    Ok(())
}

fn search_for(minutes: Option<u64>, seeds: Range<u64>, most: usize, may: &[Kind]) -> Result<()> {
    let start = Instant::now();
    let end = minutes.map(|minutes| start + Duration::from_secs(minutes * 60));
    let (mut scripts, mut found) = (0_u64, 0);
    for seed in seeds {
        if end.is_some_and(|end| Instant::now() >= end) || found >= most {
            break;
        }
        for model in Model::ALL {
            scripts += search::VARIATIONS as u64;
            if let Some(finding) = search::seed(model, seed, may)? {
                println!("{finding}");
                found += 1;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = scripts as f64 * 60.0 / seconds.max(0.001);
    println!("{scripts} scripts in {seconds:.0} seconds, {rate:.0} per minute: {found} findings");
    if found > 0 {
        bail!("ours does not as the architecture says: see above");
    }
    Ok(())
}

fn write_transcript(vgic: &str) -> Result<()> {
    peer::choose(vgic)?;
    let script: Script = io::read_to_string(io::stdin())?.parse()?;
    for scene in &script.versions {
        let script = &scene.recording()?;
        // A line at a time: if the vGIC brings the process down, what was before is out.
        if let Err(broken) = transcript::write(script, |seen| println!("{seen}")) {
            println!("broken {broken:#}");
        }
    }
    println!("end");
    Ok(())
}

/// A line for each row: its name, whether it is hot, and the unit; if the vGIC can do it, the parts in which it was measured,
/// the operations, and the value of one.
fn measure(vgic: &str, counting: bool, only: &str) -> Result<()> {
    peer::choose(vgic)?;
    for row in bench::rows() {
        if !row.name.contains(only) {
            continue;
        }
        let measure = row.run(counting).with_context(|| row.name.clone())?;
        print!("{}\t{}\t{}", row.name, row.hot, row.unit);
        match measure {
            Some(m) => println!("\t{}\t{}\t{}", m.parts, m.operations, m.value()),
            None => println!(),
        }
    }
    Ok(())
}

fn list() -> Result<()> {
    println!("Scenarios, for `scenario NAME`:");
    for scenario in SCENARIOS {
        println!("  {:<18} {}", scenario.name, scenario.about());
    }
    println!("\nRecordings, for `replay NAME`:");
    let mut files: Vec<PathBuf> = fs::read_dir(recordings())
        .map(|files| files.flatten().map(|f| f.path()).collect())
        .unwrap_or_default();
    files.retain(|f| f.extension().is_some_and(|e| e == "vgicrec"));
    files.sort();
    for file in &files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let recording = recording_of(file)?;
        println!(
            "  {name:<18} {} ({} operations)",
            recording.head.origin,
            recording.ops.len()
        );
    }
    if files.is_empty() {
        println!("  none");
    }
    println!("\nMachines, for `run --profile NAME` and, in a script, `machine NAME`:");
    for profile in Profile::TABLE {
        println!("  {profile}");
    }
    Ok(())
}
