// SPDX-License-Identifier: GPL-2.0-only
//! The copy of a source tree, kept up to date file by file: what has not changed since the last time is not touched.

use crate::command::output;
use crate::file::write_whole;
use crate::interrupt;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use walkdir::{DirEntry, WalkDir};

/// Top-level directories that the hypervisor's build does not read.
const NOT_NEEDED: [&str; 6] = ["tools", "stubdom", "dist", "automation", "extras", ".git"];

/// Where a file of the copy comes from, and the stamp that says whether it is the same as last time.
type Wanted = BTreeMap<PathBuf, (PathBuf, String)>;

/// An additional file of the copy: where it comes from, and its place in the tree.
pub struct Addition {
    /// The file in this workspace, or generated below the target directory.
    pub from: PathBuf,
    /// Its place, relative to the top of the tree.
    pub to: PathBuf,
}

/// Makes `copy` what is wanted: the files of `tree`, the `patched` ones from `scratch` instead, and the additions.
/// Returns how many files had to be written or removed.
pub fn synchronise(
    tree: &Path,
    copy: &Path,
    scratch: &Path,
    patched: &BTreeSet<PathBuf>,
    additions: &[Addition],
) -> Result<usize> {
    let mut wanted = Wanted::new();
    for file in files_of(tree, &NOT_NEEDED)? {
        let from = tree.join(&file);
        let stamp = time_stamp(&from)?;
        wanted.insert(file, (from, stamp));
    }
    for file in patched.iter().filter(|f| scratch.join(f).is_file()) {
        let from = scratch.join(file);
        wanted.insert(file.clone(), (from.clone(), content_stamp(&from)?));
    }
    for addition in additions {
        let stamp = content_stamp(&addition.from)?;
        wanted.insert(addition.to.clone(), (addition.from.clone(), stamp));
    }
    let manifest = copy.with_extension("manifest");
    let mut known = read_manifest(&manifest);
    let gone: Vec<PathBuf> = known
        .keys()
        .filter(|file| !wanted.contains_key(*file))
        .cloned()
        .collect();
    wanted.retain(|file, (_, stamp)| {
        known.get(file) != Some(stamp) || copy.join(file).symlink_metadata().is_err()
    });
    if gone.is_empty() && wanted.is_empty() {
        return Ok(0);
    }
    // Before they are touched: until the copy is whole again, nothing is known of the files that are about to change.
    known.retain(|file, _| !wanted.contains_key(file));
    write_manifest(&manifest, &known)?;
    let result = (|| -> Result<()> {
        for file in &gone {
            let _ = fs::remove_file(copy.join(file));
            known.remove(file);
        }
        for (file, (from, stamp)) in &wanted {
            interrupt::check()?;
            copy_file(from, &copy.join(file))?;
            known.insert(file.clone(), stamp.clone());
        }
        Ok(())
    })();
    write_manifest(&manifest, &known)?;
    result.map(|()| gone.len() + wanted.len())
}

/// Copies one file, or symbolic link, with its permissions and time.
pub fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let what = || format!("cannot copy {} to {}", from.display(), to.display());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(what)?;
    }
    if to.symlink_metadata().is_ok() {
        fs::remove_file(to).with_context(what)?;
    }
    let meta = from.symlink_metadata().with_context(what)?;
    if meta.is_symlink() {
        let target = fs::read_link(from).with_context(what)?;
        return std::os::unix::fs::symlink(target, to).with_context(what);
    }
    fs::copy(from, to).with_context(what)?;
    // Not the original's time: a file that has just been changed must be newer than the objects made from the old one.
    let file = fs::File::options()
        .append(true)
        .open(to)
        .with_context(what)?;
    file.set_modified(SystemTime::now()).with_context(what)
}

/// The files of a tree that a build reads, which are in none of the top-level directories `without`: what git tracks or would
/// track, or else everything but build products.
pub fn files_of(tree: &Path, without: &[&str]) -> Result<Vec<PathBuf>> {
    let needed = |path: &Path| {
        path.components()
            .next()
            .is_some_and(|c| !without.iter().any(|n| c.as_os_str() == *n))
    };
    if tree.join(".git").exists()
        && let Ok(out) = output(
            Command::new("git").arg("-C").arg(tree).args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ]),
            "list the files of a tree",
        )
        && out.status.success()
    {
        let text = String::from_utf8_lossy(&out.stdout);
        return Ok(text
            .split('\0')
            .filter(|f| !f.is_empty())
            .map(PathBuf::from)
            .filter(|f| needed(f) && tree.join(f).symlink_metadata().is_ok())
            .collect());
    }
    let keep = |entry: &DirEntry| {
        entry.path().strip_prefix(tree).is_ok_and(|p| {
            p.as_os_str().is_empty() || (needed(p) && !is_product(p, entry.file_type().is_dir()))
        })
    };
    // It is not git that failed.
    interrupt::check()?;
    let mut files = Vec::new();
    for entry in WalkDir::new(tree).into_iter().filter_entry(keep) {
        let entry = entry.with_context(|| format!("cannot read {}", tree.display()))?;
        if !entry.file_type().is_dir() {
            files.push(entry.path().strip_prefix(tree)?.to_path_buf());
        }
    }
    Ok(files)
}

/// Is this something that an earlier build in the tree left there?
fn is_product(path: &Path, is_directory: bool) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let directories = [
        "xen/include/config",
        "xen/include/generated",
        "xen/arch/arm/include/generated",
    ];
    let endings = [
        ".o", ".cmd", ".d", ".d2", ".i", ".orig", ".rej", ".new", ".tmp",
    ];
    directories.iter().any(|d| path == Path::new(d))
        || name.starts_with(".config")
        || name.starts_with("xen-syms")
        || path == Path::new("xen/xen")
        || (!is_directory && endings.iter().any(|e| name.ends_with(e)))
}

fn time_stamp(path: &Path) -> Result<String> {
    let meta = path
        .symlink_metadata()
        .with_context(|| format!("cannot read {}", path.display()))?;
    let time = meta
        .modified()?
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Ok(format!(
        "t{}.{:09}-{}",
        time.as_secs(),
        time.subsec_nanos(),
        meta.len()
    ))
}

fn content_stamp(path: &Path) -> Result<String> {
    // A link is copied as a link: its content is where it points.
    let content = if path.is_symlink() {
        fs::read_link(path).map(|p| p.into_os_string().into_encoded_bytes())
    } else {
        fs::read(path)
    };
    let content = content.with_context(|| format!("cannot read {}", path.display()))?;
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    Ok(format!("c{:016x}-{}", hasher.finish(), content.len()))
}

fn read_manifest(path: &Path) -> BTreeMap<PathBuf, String> {
    fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .filter_map(|l| l.split_once(' '))
        .map(|(stamp, file)| (PathBuf::from(file), stamp.to_owned()))
        .collect()
}

fn write_manifest(path: &Path, files: &BTreeMap<PathBuf, String>) -> Result<()> {
    let lines: Vec<String> = files
        .iter()
        .map(|(file, stamp)| format!("{stamp} {}\n", file.display()))
        .collect();
    write_whole(path, lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_no_product_by_its_ending() {
        let tree = tempfile::tempdir().unwrap();
        for file in ["rc.d/xen.in", "xen/.x.d", "tools/a.c", "stubdom/b.c"] {
            let file = tree.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let mut files = files_of(tree.path(), &["stubdom"]).unwrap();
        files.sort();
        assert_eq!(files, ["rc.d/xen.in", "tools/a.c"].map(PathBuf::from));
    }
}
