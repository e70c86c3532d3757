// SPDX-License-Identifier: GPL-2.0-only
//! `boot --count`: how many instructions the hypervisor executed, and whose they were.
//!
//! A plugin of QEMU counts the blocks of code that run in Xen's address range; Xen's symbols, and the objects that it was
//! linked from, say whose each is. With `--icount` a boot is the same each time, and so are the numbers.

use crate::boot::arguments::BootArguments;
use crate::boot::machine::path;
use crate::boot::qemu::Qemu;
use crate::command::run;
use crate::hypervisor::arguments::Vgic;
use crate::hypervisor::xen::Built;
use crate::paths;
use crate::table;
use anyhow::{Context, Result, bail};
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The plugin's source.
const SOURCE: &str = include_str!("../../assets/count.c");
/// All returns to a guest pass here.
const RETURN: &str = "leave_hypervisor_to_guest";
/// The functions of the vGIC that are named one by one.
const NAMED: usize = 20;

/// Whether instructions can be counted, if that is what is asked for.
pub fn can_count(boot: &BootArguments, qemu: &Qemu) -> Result<()> {
    if boot.icount && boot.cpus > 1 && !qemu.version.counts_on_many_cpus() {
        bail!(
            "with QEMU {}, --icount is only the same each time with one CPU: add --cpus 1",
            qemu.version
        );
    }
    Ok(())
}

/// Whose a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// The vGIC's objects.
    Vgic,
    /// Taking and releasing spin locks, the vGIC's among them.
    Locks,
    /// Updates of GICH_HCR or ICH_HCR_EL2 by the GIC's drivers, which Xen's C vGICs ask for.
    Hcr,
    /// The rest of the GIC's drivers; on behalf of Xen's C vGICs they also access the list registers.
    Drivers,
    /// All else.
    Rest,
}

impl Owner {
    fn name(self) -> &'static str {
        match self {
            Owner::Vgic => "the vGIC",
            Owner::Locks => "spin locks",
            Owner::Hcr => "HCR updates",
            Owner::Drivers => "the GIC's drivers",
            Owner::Rest => "the rest",
        }
    }
}

/// The counting of one boot.
pub struct Counter {
    symbols: Symbols,
    blocks: PathBuf,
}

impl Counter {
    /// Builds the plugin, and adds it to the command that starts the machine.
    pub fn new(
        name: &str,
        qemu: &Qemu,
        built: &Built,
        vgic: Vgic,
        command: &mut Vec<String>,
    ) -> Result<Counter> {
        let blocks = paths::boot().join(format!("{name}.blocks"));
        let _ = fs::remove_file(&blocks);
        let plugin = plugin(qemu)?;
        let symbols = Symbols::read(&built.symbols, vgic)?;
        let (from, to) = symbols.range()?;
        command.extend([
            "-plugin".into(),
            format!(
                "{},from={from:#x},to={to:#x},out={}",
                path(&plugin)?,
                path(&blocks)?
            ),
        ]);
        Ok(Counter { symbols, blocks })
    }

    /// Reads what the plugin has counted.
    pub fn read(&self) -> Result<Counts> {
        let text = fs::read_to_string(&self.blocks)
            .with_context(|| format!("QEMU's plugin left no {}", self.blocks.display()))?;
        self.symbols.count(&text)
    }
}

fn plugin(qemu: &Qemu) -> Result<PathBuf> {
    let version = qemu.version.plugin_interface();
    let source = paths::boot().join("count.c");
    let plugin = paths::boot().join(format!("count-{version}.so"));
    fs::write(&source, SOURCE).with_context(|| format!("cannot write {}", source.display()))?;
    run(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .arg(&plugin)
            .arg(format!("-DPLUGIN_VERSION={version}"))
            .arg(&source),
        "compile QEMU's plugin",
        Some(&plugin.with_extension("log")),
    )?;
    Ok(plugin)
}

/// The functions of a hypervisor.
struct Symbols {
    /// By address.
    functions: BTreeMap<u64, (String, Owner)>,
    end: u64,
}

impl Symbols {
    fn read(image: &Path, vgic: Vgic) -> Result<Symbols> {
        let objects = image.parent().context("no directory")?.join("arch/arm");
        let (mine, drivers) = (vgic_objects(&objects, vgic)?, drivers(&objects));
        let mine = names(&mine)?;
        let drivers = names(&drivers)?;
        let owner = |name: &str| {
            if mine.contains(name) {
                Owner::Vgic
            } else if name.starts_with("_spin_") {
                Owner::Locks
            } else if name.ends_with("_hcr_status") {
                Owner::Hcr
            } else if drivers.contains(name) {
                Owner::Drivers
            } else {
                Owner::Rest
            }
        };
        let data = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
        let file = object::File::parse(&*data)
            .with_context(|| format!("{} is no ELF file", image.display()))?;
        let mut symbols = Symbols {
            functions: BTreeMap::new(),
            end: 0,
        };
        for symbol in file.symbols() {
            let Ok(name) = symbol.name() else { continue };
            match name {
                "_end" => symbols.end = symbol.address(),
                // Marks of the assembler's for code and data.
                _ if name.starts_with('$') || name.is_empty() => {}
                _ if matches!(
                    symbol.kind(),
                    SymbolKind::Text | SymbolKind::Label | SymbolKind::Unknown
                ) && symbol.section_index().is_some() =>
                {
                    symbols
                        .functions
                        .insert(symbol.address(), (name.to_owned(), owner(name)));
                }
                _ => {}
            }
        }
        Ok(symbols)
    }

    /// Xen's code and data: its image. No guest runs there, Linux's kernel being in the upper half of the addresses.
    fn range(&self) -> Result<(u64, u64)> {
        match self.functions.iter().find(|(_, f)| f.0 == RETURN) {
            // The image starts at a multiple of 2 MiB.
            Some((at, _)) if self.end > *at => Ok((at & !0x1f_ffff, self.end)),
            _ => bail!("Xen's symbols have no {RETURN} or no _end"),
        }
    }

    /// Sums up the plugin's lines.
    fn count(&self, text: &str) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut functions: HashMap<&str, u64> = HashMap::new();
        for line in text.lines() {
            let (address, instructions, runs) =
                parse(line).with_context(|| format!("QEMU's plugin says {line:?}"))?;
            let sum = instructions * runs;
            let Some((start, (name, owner))) = self.functions.range(..=address).next_back() else {
                bail!("there is no function at {address:#x}");
            };
            *counts.owners.entry(*owner).or_default() += sum;
            if *owner == Owner::Vgic {
                *functions.entry(name).or_default() += sum;
            }
            if name == RETURN && *start == address {
                counts.returns += runs;
            }
        }
        counts.functions = functions
            .into_iter()
            .map(|(n, c)| (n.to_owned(), c))
            .collect();
        counts
            .functions
            .sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        if counts.returns == 0 {
            bail!("no return to a guest was counted");
        }
        Ok(counts)
    }
}

fn parse(line: &str) -> Option<(u64, u64, u64)> {
    let mut words = line.split(' ');
    let address = words.next()?.strip_prefix("0x")?;
    let address = u64::from_str_radix(address, 16).ok()?;
    Some((
        address,
        words.next()?.parse().ok()?,
        words.next()?.parse().ok()?,
    ))
}

/// What was counted, but not whose it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Returns to a guest.
    pub traps: u64,
    /// Instructions of the hypervisor.
    pub instructions: u64,
}

/// What was counted in one boot.
#[derive(Default)]
pub struct Counts {
    owners: BTreeMap<Owner, u64>,
    functions: Vec<(String, u64)>,
    returns: u64,
}

impl Counts {
    /// All of the hypervisor's.
    fn instructions(&self) -> u64 {
        self.owners.values().sum()
    }

    /// In two numbers.
    pub fn figure(&self) -> Figure {
        Figure {
            traps: self.returns,
            instructions: self.instructions(),
        }
    }

    /// Prints them.
    pub fn print(&self) {
        let total = self.instructions();
        let row = |name: &str, n: u64| {
            let each = n as f64 / self.returns as f64;
            [name.to_owned(), n.to_string(), format!("{each:.1}")]
        };
        let mut rows: Vec<[String; 3]> =
            self.owners.iter().map(|(o, n)| row(o.name(), *n)).collect();
        rows.push(row("the hypervisor", total));
        rows.extend(
            self.functions
                .iter()
                .take(NAMED)
                .map(|(name, n)| row(&format!("  of the vGIC: {}", short(name)), *n)),
        );
        println!(
            "{}",
            table::numbers(["instructions of", "", "per return to a guest"], &rows)
        );
        println!(
            "count: {total} instructions, {} returns to a guest",
            self.returns
        );
    }
}

/// A Rust name without its crates and types, which no table has room for.
fn short(name: &str) -> String {
    let plain = format!("{:#}", rustc_demangle::demangle(name));
    match plain.strip_prefix('<').and_then(|p| p.split_once(">::")) {
        Some((of, method)) => {
            let of = of.split('<').next().unwrap_or(of);
            format!("{}::{method}", of.rsplit("::").next().unwrap_or(of))
        }
        None => plain,
    }
}

/// The objects of a vGIC in a build.
fn vgic_objects(arm: &Path, vgic: Vgic) -> Result<Vec<PathBuf>> {
    let directory = match vgic {
        Vgic::Rust => arm.join("vgic-rust"),
        Vgic::New => arm.join("vgic"),
        Vgic::Old => {
            return Ok(["vgic", "vgic-v2", "vgic-v3", "vgic-v3-its", "gic-vgic"]
                .map(|name| arm.join(name).with_extension("o"))
                .into_iter()
                .filter(|o| o.is_file())
                .collect());
        }
    };
    let entries = fs::read_dir(&directory)
        .with_context(|| format!("the build left no {}", directory.display()))?;
    Ok(entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "o"))
        .collect())
}

/// The objects of the GIC's drivers in a build.
fn drivers(arm: &Path) -> Vec<PathBuf> {
    ["gic", "gic-v2", "gic-v3", "gic-v3-its", "gic-v3-lpi"]
        .map(|name| arm.join(name).with_extension("o"))
        .into_iter()
        .filter(|o| o.is_file())
        .collect()
}

/// The functions that these objects define.
fn names(objects: &[PathBuf]) -> Result<HashSet<String>> {
    let mut names = HashSet::new();
    for path in objects {
        let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = object::File::parse(&*data)
            .with_context(|| format!("{} is no ELF file", path.display()))?;
        names.extend(
            file.symbols()
                .filter(|s| s.is_definition() && s.kind() == SymbolKind::Text)
                .filter_map(|s| Some(s.name().ok()?.to_owned())),
        );
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols() -> Symbols {
        let function = |name: &str, owner| (name.to_owned(), owner);
        Symbols {
            functions: BTreeMap::from([
                (0xa000_0020_0000, function("start", Owner::Rest)),
                (0xa000_0020_0100, function(RETURN, Owner::Rest)),
                (0xa000_0020_0200, function("vgic_inject_irq", Owner::Vgic)),
                (0xa000_0020_0300, function("_spin_lock", Owner::Locks)),
            ]),
            end: 0xa000_0030_0000,
        }
    }

    #[test]
    fn blocks_go_to_their_functions_and_functions_to_their_owners() {
        let text = "0xa00000200100 5 2\n0xa00000200120 3 7\n0xa00000200200 10 4\n0xa00000200200 8 1\n0xa00000200310 1 9\n";
        let counts = symbols().count(text).unwrap();
        assert_eq!(counts.returns, 2, "the loop inside is no return");
        assert_eq!(
            counts.owners,
            BTreeMap::from([(Owner::Vgic, 48), (Owner::Locks, 9), (Owner::Rest, 31)])
        );
        assert_eq!(counts.functions, [("vgic_inject_irq".to_owned(), 48)]);
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for text in [
            "",
            "0xa00000200200 10 4\n",
            "nonsense\n",
            "0x1 1 1\n",
            "0xa00000200100 5\n",
        ] {
            assert!(symbols().count(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_range_is_xens_image() {
        assert_eq!(
            symbols().range().unwrap(),
            (0xa000_0020_0000, 0xa000_0030_0000)
        );
    }

    #[test]
    fn rust_names_become_short() {
        assert_eq!(short("vgic_inject_irq"), "vgic_inject_irq");
        assert_eq!(
            short(
                "_RNvMs_NtCs1234_9rust_vgic5entryINtNtB6_6domain6DomainNtNtCs5_8xen_glue4host3XenE9sync_from"
            ),
            short(
                "_RNvMs_NtCs1234_9rust_vgic5entryINtNtB6_6domain6DomainNtNtCs5_8xen_glue4host3XenE9sync_from"
            )
        );
    }
}
