// SPDX-License-Identifier: GPL-2.0-only
//! Configuring and building the hypervisor, out of tree, with one of the three vGICs.

use crate::command::{assign, make, output, run, watch};
use crate::file::write_whole;
use crate::hypervisor::arguments::{Vgic, XenArguments};
use crate::hypervisor::glue;
use crate::hypervisor::tree::Source;
use crate::hypervisor::version::Version;
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use walkdir::WalkDir;

/// The prefix of the cross compiler's tools.
pub const CROSS: &str = "aarch64-linux-gnu-";

/// How long a build takes that starts from nothing.
const MINUTES: u32 = 2;
/// How many files and crates it compiles, about: 4.17 a few less, 4.23 a few more.
const OBJECTS: usize = 290;

/// A hypervisor that has been built.
pub struct Built {
    /// The raw image that QEMU loads.
    pub image: PathBuf,
    /// The same with symbols.
    pub symbols: PathBuf,
    /// What the prelink said of the Rust object.
    pub prelink: Vec<String>,
    /// The release it is.
    pub version: Version,
    /// The same with what follows: 4.17.5.
    pub full_version: String,
}

/// A source that is ready to be built.
pub struct Prepared {
    source: Source,
    /// Whether it is the patched one, in a word.
    kind: &'static str,
    tree: PathBuf,
}

/// Patches and builds what the arguments ask for; nothing is done twice.
pub fn build(arguments: &XenArguments, release: bool) -> Result<Built> {
    Prepared::new(Source::open(&arguments.tree.xen)?, arguments)?.build(arguments, release)
}

impl Prepared {
    /// Patches a tree, if that is what the arguments take.
    pub fn new(source: Source, arguments: &XenArguments) -> Result<Prepared> {
        for (asked, option, name, what) in [
            (arguments.espi, "--espi", "GICV3_ESPI", "extended SPIs"),
            (
                arguments.smmu,
                "--smmu",
                "PCI_PASSTHROUGH",
                "PCI devices behind an SMMU",
            ),
        ] {
            if asked && !has_option(&source, name)? {
                bail!(
                    "Xen {} has no {what} ({name}): leave out {option}, or give a later tree with --xen PATH",
                    source.version
                );
            }
        }
        // Upstream's vGICs are built from upstream's files as they are.
        let (kind, tree) = if arguments.vgic == Vgic::Rust {
            (
                "rust",
                source.prepare("rust", &source.series()?, &glue::additions()?)?,
            )
        } else {
            ("upstream", source.prepare("upstream", &[], &[])?)
        };
        Ok(Prepared { source, kind, tree })
    }

    /// Where it is built, if so.
    fn place(&self, arguments: &XenArguments, release: bool) -> PathBuf {
        let (vgic, extras) = (arguments.vgic, arguments.suffix());
        let suffix = if release { "-release" } else { "" };
        paths::xen(&self.source.name).join(format!("build-{vgic}{extras}{suffix}"))
    }

    /// The tree that is built.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// Where the build says what it does.
    pub fn log(&self, arguments: &XenArguments, release: bool) -> PathBuf {
        self.place(arguments, release).with_extension("log")
    }

    /// Builds it.
    pub fn build(self, arguments: &XenArguments, release: bool) -> Result<Built> {
        let out = self.place(arguments, release);
        fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        let Prepared { source, kind, tree } = self;
        let vgic = arguments.vgic;
        let options = options(arguments, release);
        let rust = if vgic == Vgic::Rust {
            glue::variables()?
        } else {
            Vec::new()
        };
        let step = build_step(
            &out,
            format!(
                "Building Xen {} ({kind} source, {vgic} vGIC)",
                source.version
            ),
        );
        configure(&tree, &out, &options)?;
        let before = fs::metadata(out.join("xen"))
            .and_then(|m| m.modified())
            .ok();
        make_all(xen_make(&tree, &out).args(rust), &out, &step)?;
        let image = out.join("xen");
        let after = fs::metadata(&image)
            .and_then(|m| m.modified())
            .with_context(|| format!("the build made no {}", image.display()))?;
        if before == Some(after) {
            step.done("up to date");
        } else {
            step.done(&format!("{}", image.display()));
        }
        let report = out.join("arch/arm/vgic-rust/rust.prelink");
        let prelink = match vgic {
            Vgic::Rust => fs::read_to_string(&report)
                .with_context(|| format!("the prelink left no {}", report.display()))?
                .lines()
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        };
        Ok(Built {
            image,
            symbols: out.join("xen-syms"),
            prelink,
            version: source.version,
            full_version: source.full_version,
        })
    }
}

/// What the configuration must say, beyond the defaults.
fn options(arguments: &XenArguments, release: bool) -> Vec<&'static str> {
    let mut options = match arguments.vgic {
        Vgic::Rust => vec!["CONFIG_NEW_VGIC=y", "CONFIG_RUST_VGIC=y", "CONFIG_GICV3=y"],
        Vgic::New => vec!["CONFIG_NEW_VGIC=y", "CONFIG_GICV3=n"],
        Vgic::Old => vec!["CONFIG_NEW_VGIC=n", "CONFIG_GICV3=y"],
    };
    // Device models send messages by it, which upstream has behind the first. On each exit a guest's access may be theirs:
    // all three vGICs have it, so that they can be compared.
    options.extend(["CONFIG_EXPERT=y", "CONFIG_IOREQ_SERVER=y"]);
    if arguments.espi {
        options.push("CONFIG_GICV3_ESPI=y");
    }
    if arguments.its {
        // Upstream has it behind EXPERT and this.
        options.extend(["CONFIG_UNSUPPORTED=y", "CONFIG_HAS_ITS=y"]);
    }
    if arguments.smmu {
        options.extend(["CONFIG_PCI_PASSTHROUGH=y", "CONFIG_ARM_SMMU_V3=y"]);
    }
    if arguments.record {
        options.push("CONFIG_RUST_VGIC_RECORD=y");
    }
    if release {
        options.push("CONFIG_DEBUG=n");
    }
    options
}

/// Does this release know this option of Arm's?
fn has_option(source: &Source, name: &str) -> Result<bool> {
    let kconfig = source.path.join("xen/arch/arm/Kconfig");
    let text = fs::read_to_string(&kconfig)
        .with_context(|| format!("cannot read {}", kconfig.display()))?;
    let option = format!("config {name}");
    Ok(text.lines().any(|l| l.trim_end() == option))
}

/// Xen's make, for a tree and a place to build in.
pub fn xen_make(tree: &Path, out: &Path) -> Command {
    let mut command = make(&tree.join("xen"));
    command
        .arg(assign("O", out))
        .arg("XEN_TARGET_ARCH=arm64")
        .arg(assign("CROSS_COMPILE", CROSS));
    // The same source makes the same hypervisor, and a build without a change links nothing again.
    command
        .env("XEN_BUILD_DATE", "Thu Jan  1 00:00:00 UTC 2026")
        .env("XEN_BUILD_TIME", "00:00:00");
    command
}

/// The step of a build: a long one, if it is not known to have been done before.
pub fn build_step(out: &Path, title: String) -> Step {
    match out.join("xen").is_file() {
        true => Step::start(title),
        false => Step::long(title, MINUTES),
    }
}

/// Builds the hypervisor, showing how far it is.
pub fn make_all(make: &mut Command, out: &Path, step: &Step) -> Result<()> {
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
    make.arg(format!("-j{jobs}")).arg("build");
    // Nobody knows how much there is to do where all has been done before; else what is there is what was done before an
    // interruption.
    let all = (!out.join("xen").is_file()).then_some(OBJECTS);
    let mut done = all.map_or(0, |_| objects(out));
    if done > 0 {
        step.at(done, all, "what is left");
    }
    let log = out.with_extension("log");
    watch(make, "build Xen", Some(&log), |line| {
        match line.and_then(compiled) {
            Some(file) => {
                done += 1;
                step.at(done, all, file);
            }
            None => step.tick(),
        }
    })
    .map(drop)
}

/// What a line of the build's says is compiled: a file of C, or a crate.
fn compiled(line: &str) -> Option<&str> {
    if let Some(name) = line.trim_start().strip_prefix("Compiling ") {
        // Of our own crates, the place follows.
        return name.split(" (").next();
    }
    let mut words = line.strip_prefix("  ")?.split_whitespace();
    match (words.next()?, words.next(), words.next()) {
        ("CC" | "AS", Some(file), None) => Some(file),
        _ => None,
    }
}

/// How many objects there are of a file each, but for what cargo has.
fn objects(out: &Path) -> usize {
    let mut walk = WalkDir::new(out).into_iter();
    let mut count = 0;
    while let Some(entry) = walk.next() {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name().to_string_lossy();
        if entry.file_type().is_dir() && name == "cargo" {
            walk.skip_current_dir();
        }
        let own = name.ends_with(".o") && !name.ends_with(".init.o") && name != "built_in.o";
        count += usize::from(own);
    }
    count
}

/// Writes the configuration when what is asked for has changed, and checks that it holds: Kconfig drops an option with
/// a missing dependency without a word.
pub fn configure(tree: &Path, out: &Path, options: &[&str]) -> Result<()> {
    let (config, asked) = (out.join(".config"), out.join("asked.config"));
    let text = options.join("\n") + "\n";
    if !config.is_file() || fs::read_to_string(&asked).ok().as_deref() != Some(&text) {
        let default = tree.join("xen/arch/arm/configs/arm64_defconfig");
        let start = fs::read_to_string(&default)
            .with_context(|| format!("cannot read {}", default.display()))?;
        // Until it is done, nothing is known of what the configuration says.
        let _ = fs::remove_file(&asked);
        fs::write(&config, format!("{start}\n{text}"))?;
        run(
            xen_make(tree, out).arg("olddefconfig"),
            "configure Xen",
            Some(&out.with_extension("config.log")),
        )?;
        write_whole(&asked, &text)?;
    }
    let config = fs::read_to_string(&config).context("Xen's configuration made no .config")?;
    for option in options {
        if !holds(&config, option) {
            let _ = fs::remove_file(&asked);
            bail!("Xen's Kconfig did not accept {option} for this tree");
        }
    }
    Ok(())
}

/// Does a .config say this? An option that is not mentioned is off.
fn holds(config: &str, option: &str) -> bool {
    match option.strip_suffix("=n") {
        Some(name) => !config
            .lines()
            .any(|l| l.starts_with(name) && l[name.len()..].starts_with('=')),
        None => config.lines().any(|l| l == option),
    }
}

/// The cross compiler's version, for the report.
pub fn compiler() -> String {
    output(
        Command::new(format!("{CROSS}gcc")).arg("-dumpfullversion"),
        "ask the compiler",
    )
    .map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiled_file_is_told_from_other_lines() {
        assert_eq!(compiled("  CC      common/foo.o"), Some("common/foo.o"));
        assert_eq!(compiled("  LD      common/built_in.o"), None);
        assert_eq!(compiled("CC a.o"), None);
        assert_eq!(compiled("   Compiling syn v2.0.1"), Some("syn v2.0.1"));
        let own = "   Compiling xen-glue v0.1.0 (/a b/xen-glue)";
        assert_eq!(compiled(own), Some("xen-glue v0.1.0"));
    }

    #[test]
    fn what_an_interrupted_build_left_counts() {
        let out = tempfile::tempdir().unwrap();
        let cargo = out.path().join("arch/cargo");
        fs::create_dir_all(&cargo).unwrap();
        for file in [
            "a.o",
            "a.init.o",
            "built_in.o",
            "arch/b.o",
            "arch/cargo/c.o",
        ] {
            fs::write(out.path().join(file), "").unwrap();
        }
        assert_eq!(objects(out.path()), 2);
    }

    #[test]
    fn options_are_looked_for_whole() {
        let config = "CONFIG_NEW_VGIC=y\n# CONFIG_GICV3 is not set\nCONFIG_GICV3_ESPI=y\n";
        assert!(holds(config, "CONFIG_NEW_VGIC=y"));
        assert!(holds(config, "CONFIG_GICV3=n"));
        assert!(!holds(config, "CONFIG_NEW_VGIC=n"));
        assert!(!holds(config, "CONFIG_RUST_VGIC=y"));
        assert!(holds(config, "CONFIG_HAS_ITS=n"));
    }
}
