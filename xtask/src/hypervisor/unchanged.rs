// SPDX-License-Identifier: GPL-2.0-only
//! `unchanged`: with the patches in the tree and RUST_VGIC off, each object is what it is without them.
//!
//! Xen is built from the tree as it is and from the patched one, each with the new and with the old C vGIC, and the
//! objects are compared in pairs. What is compared is more than a disassembly shows: the bytes of every section that
//! gets into the hypervisor's memory, code and data, each relocation in it, and every symbol. Only the line numbers of
//! bug frames may differ, since a patch moves the lines behind it.

use crate::command::assign;
use crate::hypervisor::arguments::TreeArguments;
use crate::hypervisor::glue;
use crate::hypervisor::tree::Source;
use crate::hypervisor::xen;
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionFlags, SymbolSection};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// The two configurations that have no Rust in them.
const VGICS: [(&str, [&str; 2]); 2] = [
    ("new", ["CONFIG_NEW_VGIC=y", "CONFIG_GICV3=n"]),
    ("old", ["CONFIG_NEW_VGIC=n", "CONFIG_GICV3=y"]),
];

/// Of both: Xen's debug checks print line numbers from all sorts of places, and HYPFS_CONFIG puts the configuration, which
/// has one option more, into the hypervisor.
const PLAIN: [&str; 2] = ["CONFIG_DEBUG=n", "CONFIG_HYPFS_CONFIG=n"];

/// What a build would otherwise take from the moment and from the machine.
const STAMPS: [(&str, &str); 5] = [
    ("XEN_WHOAMI", "unchanged"),
    ("XEN_DOMAIN", "unchanged"),
    ("XEN_BUILD_HOST", "unchanged"),
    ("XEN_BUILD_DATE", "unchanged"),
    ("XEN_BUILD_TIME", "unchanged"),
];

/// `struct bug_frame` of Arm: three displacements, the line number, padding.
const BUG_FRAME: usize = 16;
const BUG_FRAME_LINE: std::ops::Range<usize> = 12..14;

/// How many objects are shown that differ, and of each, how many differences.
const SHOWN: usize = 5;

/// Builds the four, compares them, and says how it went on the last line. `false`: something differs.
pub fn unchanged(arguments: &TreeArguments) -> Result<bool> {
    let source = Source::open(&arguments.xen)?;
    let kconfig = source.path.join("xen/arch/arm/Kconfig");
    let text = fs::read_to_string(&kconfig)
        .with_context(|| format!("cannot read {}", kconfig.display()))?;
    if text.contains("config RUST_VGIC") {
        bail!(
            "the tree at {} has the patches already: give one without them",
            source.path.display()
        );
    }
    let pristine = source.prepare("upstream", &[], &[])?;
    let patched = source.prepare("rust", &source.series()?, &glue::additions()?)?;
    let mut counts = String::new();
    let mut failed: Option<PathBuf> = None;
    for (vgic, options) in VGICS {
        let mut options = Vec::from(options);
        options.extend(PLAIN);
        let before = build(&source, &pristine, "upstream", vgic, &options)?;
        options.push("CONFIG_RUST_VGIC=n");
        let after = build(&source, &patched, "patched", vgic, &options)?;
        let step = Step::start(format!("Comparing the objects ({vgic} vGIC)"));
        let (number, mut changed) = compare(&before, &after)?;
        step.done(&format!("{number} objects, {} differ", changed.len()));
        // Those that are linked of others say no more than these.
        if !changed.keys().all(|object| is_linked(object)) {
            changed.retain(|object, _| !is_linked(object));
        }
        report(vgic, &changed);
        counts += &format!(" {vgic}={number}");
        failed = failed.or_else(|| changed.into_keys().next());
    }
    match &failed {
        None => println!("unchanged: ok xen={}{counts}", source.full_version),
        Some(object) => println!("unchanged: FAILED {}", object.display()),
    }
    Ok(failed.is_none())
}

/// Is it made of other objects?
fn is_linked(object: &Path) -> bool {
    object.ends_with("built_in.o") || object.ends_with("prelink.o")
}

/// Says what has been found, of as many objects as a person will read about.
fn report(vgic: &str, changed: &BTreeMap<PathBuf, Vec<String>>) {
    for (object, differences) in changed.iter().take(SHOWN) {
        println!("{vgic}: {}", object.display());
        for line in differences.iter().take(SHOWN) {
            println!("    {line}");
        }
        if differences.len() > SHOWN {
            println!("    and {} more", differences.len() - SHOWN);
        }
    }
    if changed.len() > SHOWN {
        println!("{vgic}: and {} more objects", changed.len() - SHOWN);
    }
}

/// Builds one of the four out of tree and returns where.
fn build(
    source: &Source,
    tree: &Path,
    kind: &str,
    vgic: &str,
    options: &[&str],
) -> Result<PathBuf> {
    let all = paths::xen(&source.name);
    let out = all.join(format!("unchanged-{kind}-{vgic}"));
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let step = xen::build_step(
        &out,
        format!(
            "Building Xen {} ({kind} source, {vgic} vGIC, for comparison)",
            source.version
        ),
    );
    xen::configure(tree, &out, options)?;
    let mut make = xen::xen_make(tree, &out);
    for (name, value) in STAMPS {
        make.arg(assign(name, value));
    }
    // Messages name the file that they come from: the two trees are at different places.
    let map = format!("-fmacro-prefix-map={}/=", tree.display());
    make.arg(assign("EXTRA_CFLAGS_XEN_CORE", map));
    // The copy is no repository: without this, git would find the one around it and name its last commit.
    make.env("GIT_CEILING_DIRECTORIES", &all);
    xen::make_all(&mut make, &out, &step)?;
    step.done(&format!("{}", out.display()));
    Ok(out)
}

/// How many objects there are, and what differs in which.
type Compared = (usize, BTreeMap<PathBuf, Vec<String>>);

/// Compares all objects of two builds.
fn compare(before: &Path, after: &Path) -> Result<Compared> {
    let (old, new) = (objects(before)?, objects(after)?);
    if old.is_empty() {
        bail!("the build in {} left no objects", before.display());
    }
    let mut changed = BTreeMap::new();
    for name in old.union(&new) {
        let found = match (old.contains(name), new.contains(name)) {
            (true, false) => vec!["is there without the patches only".to_owned()],
            (false, true) => vec!["is there with the patches only".to_owned()],
            _ => {
                let (a, b) = (before.join(name), after.join(name));
                let read = |path: &Path| {
                    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
                };
                differences(&read(&a)?, &read(&b)?)
                    .with_context(|| format!("cannot understand {}", a.display()))?
            }
        };
        if !found.is_empty() {
            changed.insert(name.clone(), found);
        }
    }
    Ok((old.len(), changed))
}

/// The objects below a directory, by their place in it.
fn objects(out: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in WalkDir::new(out) {
        let entry = entry.with_context(|| format!("cannot read {}", out.display()))?;
        let place = entry.path().strip_prefix(out)?;
        // Kconfig's own program is not part of the hypervisor.
        if entry.file_type().is_file()
            && place.extension().is_some_and(|e| e == "o")
            && !place.starts_with("tools")
        {
            found.insert(place.to_path_buf());
        }
    }
    Ok(found)
}

/// What differs between two objects, in words. Both are ELF.
fn differences(before: &[u8], after: &[u8]) -> Result<Vec<String>> {
    let (before, after) = (object::File::parse(before)?, object::File::parse(after)?);
    let (old, new) = (sections(&before)?, sections(&after)?);
    let mut found = Vec::new();
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for key in names {
        let (name, nth) = key;
        let label = match nth {
            0 => name.clone(),
            _ => format!("{name} (number {})", nth + 1),
        };
        match (old.get(key), new.get(key)) {
            (Some(a), Some(b)) => found.extend(a.differences(b).map(|d| format!("{label}{d}"))),
            (Some(_), None) => found.push(format!("{label} is gone")),
            _ => found.push(format!("{label} is new")),
        }
    }
    let (old, new) = (symbols(&before)?, symbols(&after)?);
    let gone = old.difference(&new).map(|s| format!("symbol gone: {s}"));
    found.extend(gone);
    let come = new.difference(&old).map(|s| format!("symbol new: {s}"));
    found.extend(come);
    Ok(found)
}

/// A section that gets into the hypervisor's memory, as far as it matters.
struct Section {
    flags: u64,
    align: u64,
    size: u64,
    data: Vec<u8>,
    relocations: BTreeMap<u64, Vec<String>>,
    /// Functions and objects, to say where something is.
    places: BTreeMap<u64, String>,
}

impl Section {
    /// Each as the end of a sentence that starts with the section's name.
    fn differences<'a>(&'a self, other: &'a Section) -> impl Iterator<Item = String> + 'a {
        let header = [
            ("flags", self.flags, other.flags),
            ("alignment", self.align, other.align),
            ("size", self.size, other.size),
        ]
        .into_iter()
        .filter(|(_, a, b)| a != b)
        .map(|(what, a, b)| format!(": {what} {a:#x}, now {b:#x}"));
        // What follows the first byte that differs has often only moved.
        let byte = self.data.iter().zip(&other.data).position(|(a, b)| a != b);
        let byte = byte.map(|at| format!("{}: other bytes", self.place(at as u64)));
        let offsets: BTreeSet<u64> = self
            .relocations
            .keys()
            .chain(other.relocations.keys())
            .copied()
            .collect();
        let moved = offsets.into_iter().find_map(|at| {
            let (a, b) = (self.relocations.get(&at), other.relocations.get(&at));
            let text = |r: Option<&Vec<String>>| r.map_or("none".into(), |r| r.join(", "));
            let place = self.place(at);
            (a != b).then(|| format!("{place}: relocation {}, now {}", text(a), text(b)))
        });
        header.chain(byte).chain(moved)
    }

    fn place(&self, at: u64) -> String {
        match self.places.range(..=at).next_back() {
            Some((start, name)) => format!("+{at:#x} ({name}+{:#x})", at - start),
            None => format!("+{at:#x}"),
        }
    }
}

/// A section with this flag is in the hypervisor's memory.
const SHF_ALLOC: u64 = object::elf::SHF_ALLOC.0;

/// The flags of a section as ELF has them.
fn flags<'a>(section: &impl ObjectSection<'a>) -> u64 {
    match section.flags() {
        SectionFlags::Elf { sh_flags, .. } => sh_flags.0,
        _ => 0,
    }
}

/// The sections by name, and by number where a name comes more than once.
fn sections(file: &object::File<'_>) -> Result<BTreeMap<(String, usize), Section>> {
    let mut all = BTreeMap::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for section in file.sections() {
        let flags = flags(&section);
        if flags & SHF_ALLOC == 0 {
            continue;
        }
        let name = section.name()?.to_owned();
        let mut data = section.data()?.to_vec();
        if name.starts_with(".bug_frames") {
            forget_lines(&mut data);
        }
        let mut relocations: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (at, relocation) in section.relocations() {
            let to = match relocation.target() {
                RelocationTarget::Symbol(index) => symbol(file, &file.symbol_by_index(index)?)?,
                other => format!("{other:?}"),
            };
            let text = format!("{:?} {to} {:+#x}", relocation.flags(), relocation.addend());
            relocations.entry(at).or_default().push(text);
        }
        let places = file
            .symbols()
            .filter(|s| s.section_index() == Some(section.index()))
            .filter_map(|s| Some((s.address(), s.name().ok()?.to_owned())))
            // Marks of the assembler: "$x", "$d".
            .filter(|(_, name)| !name.is_empty() && !name.starts_with('$'))
            .collect();
        let nth = seen.entry(name.clone()).or_default();
        all.insert(
            (name, *nth),
            Section {
                flags,
                align: section.align(),
                size: section.size(),
                data,
                relocations,
                places,
            },
        );
        *nth += 1;
    }
    Ok(all)
}

/// Takes the line numbers out of bug frames.
fn forget_lines(frames: &mut [u8]) {
    for frame in frames.chunks_exact_mut(BUG_FRAME) {
        frame[BUG_FRAME_LINE].fill(0);
    }
}

/// Every symbol, except those of sections that are not compared.
fn symbols(file: &object::File<'_>) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for entry in file.symbols() {
        let loaded = match entry.section_index() {
            Some(index) => flags(&file.section_by_index(index)?) & SHF_ALLOC != 0,
            None => true,
        };
        if loaded {
            all.insert(symbol(file, &entry)?);
        }
    }
    Ok(all)
}

/// A symbol with all that matters of it. Its number in the file does not.
fn symbol<'a>(file: &object::File<'a>, symbol: &impl ObjectSymbol<'a>) -> Result<String> {
    let place = match symbol.section() {
        SymbolSection::Section(index) => file.section_by_index(index)?.name()?.to_owned(),
        other => format!("{other:?}"),
    };
    let scope = match (symbol.is_local(), symbol.is_weak()) {
        (true, _) => "local",
        (_, true) => "weak",
        _ => "global",
    };
    Ok(format!(
        "{scope} {:?} {} = {place}{:+#x}, {} bytes",
        symbol.kind(),
        symbol.name()?,
        symbol.address(),
        symbol.size()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::write::{Object as Writer, Relocation, Symbol, SymbolSection as In};
    use object::{
        Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags,
        SymbolKind, SymbolScope,
    };

    /// A function that calls another, and a bug frame.
    fn object(code: [u8; 8], line: u16, callee: &str, addend: i64, comment: &str) -> Vec<u8> {
        let mut file = Writer::new(BinaryFormat::Elf, Architecture::Aarch64, Endianness::Little);
        let text = file.section_id(object::write::StandardSection::Text);
        file.append_section_data(text, &code, 4);
        let named = |name: &str, section, size| Symbol {
            name: name.into(),
            value: 0,
            size,
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section,
            flags: SymbolFlags::None,
        };
        file.add_symbol(named("function", In::Section(text), 8));
        let to = file.add_symbol(named(callee, In::Undefined, 0));
        let call = Relocation {
            offset: 4,
            symbol: to,
            addend,
            flags: RelocationFlags::Elf {
                r_type: object::elf::R_AARCH64_CALL26,
            },
        };
        file.add_relocation(text, call).unwrap();
        let mut frame = [7; BUG_FRAME];
        frame[BUG_FRAME_LINE].copy_from_slice(&line.to_le_bytes());
        let name = b".bug_frames.0".to_vec();
        let frames = file.add_section(Vec::new(), name, SectionKind::ReadOnlyData);
        file.append_section_data(frames, &frame, 4);
        let other = file.add_section(Vec::new(), b".comment".to_vec(), SectionKind::Other);
        file.append_section_data(other, comment.as_bytes(), 1);
        file.write().unwrap()
    }

    const CODE: [u8; 8] = [1, 2, 3, 4, 0, 0, 0, 0x94];

    fn against(changed: Vec<u8>) -> String {
        let original = object(CODE, 100, "callee", 0, "");
        differences(&original, &changed).unwrap().join("\n")
    }

    #[test]
    fn lines_of_bug_frames_and_what_is_not_loaded_may_differ() {
        assert_eq!(against(object(CODE, 100, "callee", 0, "")), "");
        assert_eq!(against(object(CODE, 999, "callee", 0, "compiler")), "");
    }

    #[test]
    fn code_may_not() {
        let mut code = CODE;
        code[5] = 1;
        let found = against(object(code, 100, "callee", 0, ""));
        assert_eq!(found, ".text+0x5 (function+0x5): other bytes");
    }

    #[test]
    fn what_code_refers_to_may_not() {
        let found = against(object(CODE, 100, "other", 0, ""));
        assert!(found.contains("relocation"), "{found}");
        assert!(found.contains("symbol new: global"), "{found}");
        let found = against(object(CODE, 100, "callee", 4, ""));
        assert!(found.contains("+0x4 (function+0x4): reloc"), "{found}");
    }

    #[test]
    fn other_fields_of_a_bug_frame_may_not() {
        let mut frames = [1_u8; 2 * BUG_FRAME + 4];
        forget_lines(&mut frames);
        let zeros: Vec<usize> = (0..frames.len()).filter(|i| frames[*i] == 0).collect();
        assert_eq!(zeros, [12, 13, 28, 29]);
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        assert!(differences(b"text", b"text").is_err());
    }
}
