// SPDX-License-Identifier: GPL-2.0-only
//! Turns a Rust staticlib into one relocatable object that the Xen hypervisor can link, and fails on anything that Xen
//! cannot take.
//!
//! Five things go wrong when a staticlib is simply linked into Xen, each seen on a running system:
//!
//! 1. Xen's linker script has no place for `.text.*`: sections are merged here, with a linker script of our own.
//! 2. The `memcpy` family of compiler_builtins would take the place of Xen's, which sits in an archive: references to
//!    these stay undefined, and whatever of theirs still comes along is renamed.
//! 3. Xen copies symbol names into a buffer of 128 bytes: names are shortened ([`names`]).
//! 4. Members that carry LLVM bitcode have no symbols in the eyes of binutils' LLVM plugin: bitcode is stripped first.
//! 5. An archive among Xen's objects contributes nothing: the result is one object.
//!
//! What the object must not contain is in [`check`]; from where panics are reached is in [`panics`].

pub mod archive;
pub mod check;
pub mod lists;
pub mod names;
pub mod panics;
pub mod tools;

use anyhow::{Context, Result, bail};
use lists::{PanicList, SymbolList};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use tools::Tools;

/// What Xen itself provides under the names that compiler_builtins uses too.
pub const PROVIDED_BY_XEN: [&str; 5] = ["memcpy", "memmove", "memset", "memcmp", "strlen"];

/// The linker script for merging sections.
const SCRIPT: &str = include_str!("../prelink.lds");

/// What to do.
pub struct Task {
    /// The staticlib.
    pub library: PathBuf,
    /// The object to make.
    pub output: PathBuf,
    /// Which symbols it offers.
    pub exports: SymbolList,
    /// Which symbols it may need.
    pub undefined: SymbolList,
    /// Which panics may be reached.
    pub panics: PanicList,
    /// The cross binutils.
    pub tools: Tools,
}

/// What was made.
#[derive(Debug)]
pub struct Summary {
    /// Instructions in the object.
    pub instructions: usize,
    /// Bytes of code.
    pub code: u64,
    /// Symbols that Xen must provide.
    pub undefined: Vec<String>,
    /// The table of panics and their callers.
    pub panics: Vec<panics::Reached>,
    /// Panics on the list that nothing reaches any more.
    pub stale: Vec<String>,
}

/// Makes the object, checks it, and puts it in its place only if nothing is wrong with it.
pub fn prelink(task: &Task) -> Result<Summary> {
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let at = |name: &str| directory.path().join(name);
    let library = fs::read(&task.library)
        .with_context(|| format!("cannot read {}", task.library.display()))?;
    let members = archive::needed(&library, &task.exports.names)?;
    let mut objects = Vec::new();
    for (number, member) in members.iter().enumerate() {
        let path = at(&format!("{number}.o"));
        fs::write(&path, member.data)?;
        let mut arguments = vec![
            "-R".into(),
            ".llvmbc".into(),
            "-R".into(),
            ".llvmcmd".into(),
        ];
        for name in &member.provided_by_xen {
            arguments.push("--redefine-sym".into());
            arguments.push(format!("{name}=__builtins_{name}"));
        }
        task.tools.objcopy(&arguments, &path, &path)?;
        objects.push(path);
    }
    fs::write(at("prelink.lds"), SCRIPT)?;
    task.tools.link(
        &at("prelink.lds"),
        &task.exports.names,
        &objects,
        &at("merged.o"),
    )?;
    let merged = fs::read(at("merged.o"))?;
    let renames = names::renames(&merged, &task.exports.names)?;
    fs::write(
        at("renames"),
        lines(renames.iter().map(|(old, new)| format!("{old} {new}"))),
    )?;
    fs::write(at("exports"), lines(task.exports.names.iter().cloned()))?;
    let finished = at("finished.o");
    let arguments = [
        format!("--redefine-syms={}", path_text(&at("renames"))?),
        format!("--keep-global-symbols={}", path_text(&at("exports"))?),
    ];
    task.tools.objcopy(&arguments, &at("merged.o"), &finished)?;
    let bytes = fs::read(&finished)?;
    let disassembly = task.tools.disassemble(&finished)?;
    let found = check::check(&bytes, &disassembly, &task.exports, &task.undefined)?;
    // The merged object has the same code, and names that still say what a function is.
    let reached = panics::reached(&merged)?;
    let (unlisted, stale) = task.panics.compare(&reached);
    let mut problems = found.problems;
    problems.extend(unlisted);
    if !problems.is_empty() {
        let mut text = format!("{} cannot go into Xen:", task.library.display());
        for problem in problems.iter().take(40) {
            let _ = write!(text, "\n  {problem}");
        }
        if problems.len() > 40 {
            let _ = write!(text, "\n  and {} more", problems.len() - 40);
        }
        bail!("{text}");
    }
    replace(&task.output, &bytes)?;
    Ok(Summary {
        instructions: found.instructions,
        code: found.code,
        undefined: found.undefined,
        panics: reached,
        stale,
    })
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.map(|i| i + "\n").collect()
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not text", path.display()))
}

/// Writes the result in one step: a make that is interrupted finds the old object or the new one.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = path.with_extension("o.part");
    fs::write(&aside, bytes)
        .and_then(|()| fs::rename(&aside, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
