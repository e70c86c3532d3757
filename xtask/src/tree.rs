// SPDX-License-Identifier: GPL-2.0-only
//! Xen source trees: Debian's, fetched and unpacked, or the user's, which is only ever read.
//!
//! What is built is a copy below `target/xen`. It is kept up to date file by file, with the times of the original,
//! so that a build after a change compiles what has changed and nothing else. The patched files are made in a scratch
//! directory first and copied only where they differ: a patch series that does not apply leaves the copy as it was.

use crate::apt::Apt;
use crate::command::{output, run};
use crate::copy::synchronise;
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of a Xen tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 4 in 4.20.
    pub major: u32,
    /// 20 in 4.20.
    pub minor: u32,
}

/// A source tree to read from.
pub struct Source {
    /// The name of its directory below `target/xen`.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its release.
    pub version: Version,
}

/// An additional file of the copy: where it comes from, and its place in the tree.
pub struct Addition {
    /// The file in this workspace, or generated below the target directory.
    pub from: PathBuf,
    /// Its place, relative to the top of the tree.
    pub to: PathBuf,
}

impl Source {
    /// The tree that `--xen` names: `debian`, or the path of a tree.
    pub fn open(argument: &str) -> Result<Source> {
        let (name, path) = if argument == "debian" {
            ("debian".to_owned(), debian()?)
        } else {
            let path = fs::canonicalize(argument)
                .with_context(|| format!("there is no Xen tree at {argument}"))?;
            let last = path
                .file_name()
                .map_or("tree".into(), |n| n.to_string_lossy());
            let mut hasher = DefaultHasher::new();
            path.hash(&mut hasher);
            (
                format!("{last}-{:08x}", hasher.finish() & 0xffff_ffff),
                path,
            )
        };
        let makefile = path.join("xen/Makefile");
        let text = fs::read_to_string(&makefile).with_context(|| {
            format!(
                "{} is not a Xen source tree: it has no xen/Makefile",
                path.display()
            )
        })?;
        let version = version(&text)
            .with_context(|| format!("{} does not say which Xen it is", makefile.display()))?;
        Ok(Source {
            name,
            path,
            version,
        })
    }

    /// The patch series for this release, in order.
    pub fn series(&self) -> Result<Vec<PathBuf>> {
        let directory = paths::root()
            .join("patches")
            .join(series_name(self.version)?);
        let mut patches: Vec<PathBuf> = match fs::read_dir(&directory) {
            Ok(entries) => entries.filter_map(|e| e.ok().map(|e| e.path())).collect(),
            Err(_) => bail!("there is no patch series {}", directory.display()),
        };
        patches.retain(|p| p.extension().is_some_and(|e| e == "patch"));
        patches.sort();
        Ok(patches)
    }

    /// Brings the copy `kind` of this tree up to date and returns its place.
    pub fn prepare(
        &self,
        kind: &str,
        series: &[PathBuf],
        additions: &[Addition],
    ) -> Result<PathBuf> {
        let step = Step::start(format!("Preparing Xen {}'s source", self.version));
        let copy = paths::xen(&self.name).join(kind);
        let scratch = tempfile::tempdir()?;
        let patched = apply(&self.path, series, scratch.path())?;
        let changed = synchronise(&self.path, &copy, scratch.path(), &patched, additions)?;
        match changed {
            0 => step.nothing(),
            n => step.done(&format!("{n} files copied, {} patches", series.len())),
        }
        Ok(copy)
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Reads the release from the text of xen/Makefile.
fn version(makefile: &str) -> Option<Version> {
    let number = |name: &str| {
        makefile.lines().find_map(|line| {
            let line = line.trim().strip_prefix("export ").unwrap_or(line).trim();
            let value = line.strip_prefix(name)?.trim_start();
            value
                .trim_start_matches([':', '?'])
                .strip_prefix('=')?
                .trim()
                .parse()
                .ok()
        })
    };
    Some(Version {
        major: number("XEN_VERSION")?,
        minor: number("XEN_SUBVERSION")?,
    })
}

fn series_name(version: Version) -> Result<&'static str> {
    match (version.major, version.minor) {
        (4, 20) => Ok("debian-4.20"),
        (4, 21..) => Ok("staging"),
        _ => bail!(
            "this is Xen {version}; there are patches for 4.20 (--xen debian) and for 4.21 or later"
        ),
    }
}

/// Fetches Debian's source package and unpacks it with Debian's own patches; once.
fn debian() -> Result<PathBuf> {
    let directory = paths::xen("debian");
    let tree = directory.join("pristine");
    if tree.join("xen/Makefile").is_file() {
        return Ok(tree);
    }
    let apt = Apt::new("trixie", "trixie", "arm64")?;
    apt.update()?;
    let step = Step::start("Fetching Debian's Xen source");
    let versions = apt.versions("xen", true)?;
    let version = versions
        .iter()
        .find(|v| v.starts_with("4.20"))
        .context("Debian trixie has no Xen 4.20 any more: give a tree with --xen PATH")?;
    let downloads = directory.join("download");
    let _ = fs::remove_dir_all(&downloads);
    apt.source("xen", version, &downloads)?;
    let (mut upstream, mut packaging) = (None, None);
    for entry in fs::read_dir(&downloads)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.contains(".orig.tar.") {
            upstream = Some(path);
        } else if name.contains(".debian.tar.") {
            packaging = Some(path);
        }
    }
    let (upstream, packaging) = upstream
        .zip(packaging)
        .context("apt did not download both archives of Debian's Xen source package")?;
    step.note("unpacking");
    // Unpacked aside and renamed at the end: a tree that is there is whole.
    let aside = directory.join("unpacking");
    let _ = fs::remove_dir_all(&aside);
    fs::create_dir_all(&aside)?;
    for (archive, strip) in [(&upstream, "1"), (&packaging, "0")] {
        run(
            Command::new("tar")
                .arg("-xf")
                .arg(archive)
                .arg("-C")
                .arg(&aside)
                .arg("--strip-components")
                .arg(strip),
            &format!("unpack {}", archive.display()),
            None,
        )?;
    }
    for patch in debian_series(&aside)? {
        patch_once(&aside, &patch)?;
    }
    fs::rename(&aside, &tree).with_context(|| format!("cannot make {}", tree.display()))?;
    fs::remove_dir_all(&downloads)?;
    step.done(version);
    Ok(tree)
}

fn debian_series(tree: &Path) -> Result<Vec<PathBuf>> {
    let patches = tree.join("debian/patches");
    let series = fs::read_to_string(patches.join("series"))
        .context("Debian's Xen source package has no patch series")?;
    Ok(series
        .lines()
        .filter_map(|l| l.split_whitespace().next())
        .filter(|l| !l.starts_with('#'))
        .map(|l| patches.join(l))
        .collect())
}

/// Applies one patch to the files of `tree`.
fn patch_once(tree: &Path, patch: &Path) -> Result<()> {
    run(
        patch_command(tree, patch).arg("--forward"),
        &format!("apply {}", patch.display()),
        None,
    )
    .map(drop)
}

fn patch_command(tree: &Path, patch: &Path) -> Command {
    let mut command = Command::new("patch");
    command
        .args([
            "-p1",
            "--silent",
            "--batch",
            "--fuzz=0",
            "--no-backup-if-mismatch",
            "--reject-file=-",
        ])
        .arg("-d")
        .arg(tree)
        .arg("-i")
        .arg(patch);
    command
}

/// Makes the patched files of `tree` in `scratch` and returns which they are. A patch that is already in the tree is
/// recognised and left out.
fn apply(tree: &Path, series: &[PathBuf], scratch: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for patch in series {
        let text = fs::read_to_string(patch)
            .with_context(|| format!("cannot read {}", patch.display()))?;
        for file in patched_files(&text) {
            let (from, to) = (tree.join(&file), scratch.join(&file));
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            if from.is_file() && !to.exists() {
                fs::copy(&from, &to)?;
            }
            files.insert(file);
        }
    }
    for patch in series {
        let dry = output(
            patch_command(scratch, patch).args(["--forward", "--dry-run"]),
            "patch Xen",
        )?;
        if dry.status.success() {
            patch_once(scratch, patch)?;
            continue;
        }
        let reverse = output(
            patch_command(scratch, patch).args(["--reverse", "--dry-run"]),
            "patch Xen",
        )?;
        if !reverse.status.success() {
            bail!(
                "{} does not apply to the tree at {}; is it the release the series is for?\n{}",
                patch.file_name().unwrap_or_default().to_string_lossy(),
                tree.display(),
                String::from_utf8_lossy(&dry.stdout).trim_end()
            );
        }
    }
    Ok(files)
}

/// The files that a patch touches.
fn patched_files(patch: &str) -> Vec<PathBuf> {
    patch
        .lines()
        .filter_map(|l| {
            l.strip_prefix("+++ b/")
                .or_else(|| l.strip_prefix("--- a/"))
        })
        .filter_map(|l| l.split('\t').next())
        .map(|l| PathBuf::from(l.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_the_makefile() {
        let text = "# comment\nexport XEN_VERSION       = 4\nexport XEN_SUBVERSION    = 20\nXEN_EXTRAVERSION ?= .3\n";
        assert_eq!(
            version(text),
            Some(Version {
                major: 4,
                minor: 20
            })
        );
        let older = "this-makefile := x\nexport XEN_VERSION    := 4\nexport XEN_SUBVERSION ?= 23\n";
        assert_eq!(
            version(older),
            Some(Version {
                major: 4,
                minor: 23
            })
        );
        assert_eq!(version("all:\n"), None);
    }

    #[test]
    fn each_release_has_its_series_or_a_sentence() {
        assert_eq!(
            series_name(Version {
                major: 4,
                minor: 20
            })
            .unwrap(),
            "debian-4.20"
        );
        assert_eq!(
            series_name(Version {
                major: 4,
                minor: 23
            })
            .unwrap(),
            "staging"
        );
        assert!(
            series_name(Version {
                major: 4,
                minor: 17
            })
            .unwrap_err()
            .to_string()
            .contains("4.17")
        );
    }

    const PATCH: &str = "From: a\nSubject: b\n\n--- a/xen/Kconfig\n+++ b/xen/Kconfig\n@@ -1,2 +1,3 @@\n one\n+new\n two\n";

    fn tree(kconfig: &str) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("xen")).unwrap();
        fs::write(tree.path().join("xen/Makefile"), "export XEN_VERSION = 4\n").unwrap();
        fs::write(tree.path().join("xen/Kconfig"), kconfig).unwrap();
        fs::write(tree.path().join("xen/left.o"), "product").unwrap();
        tree
    }

    fn prepare(tree: &Path, copy: &Path, patch: &Path) -> Result<usize> {
        let scratch = tempfile::tempdir()?;
        let files = apply(tree, &[patch.to_path_buf()], scratch.path())?;
        synchronise(tree, copy, scratch.path(), &files, &[])
    }

    #[test]
    fn a_copy_is_patched_once_and_follows_its_source() {
        let dir = tempfile::tempdir().unwrap();
        let (copy, patch) = (dir.path().join("copy"), dir.path().join("a.patch"));
        fs::write(&patch, PATCH).unwrap();
        let source = tree("one\ntwo\n");
        assert_eq!(prepare(source.path(), &copy, &patch).unwrap(), 2);
        assert_eq!(
            fs::read_to_string(copy.join("xen/Kconfig")).unwrap(),
            "one\nnew\ntwo\n"
        );
        assert_eq!(
            fs::read_to_string(source.path().join("xen/Kconfig")).unwrap(),
            "one\ntwo\n"
        );
        assert!(!copy.join("xen/left.o").exists());
        assert_eq!(
            prepare(source.path(), &copy, &patch).unwrap(),
            0,
            "nothing has changed"
        );
        fs::remove_file(source.path().join("xen/Makefile")).unwrap();
        assert_eq!(prepare(source.path(), &copy, &patch).unwrap(), 1);
        assert!(!copy.join("xen/Makefile").exists());
    }

    #[test]
    fn a_patched_tree_is_recognised_and_a_foreign_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (copy, patch) = (dir.path().join("copy"), dir.path().join("a.patch"));
        fs::write(&patch, PATCH).unwrap();
        let done = tree("one\nnew\ntwo\n");
        prepare(done.path(), &copy, &patch).unwrap();
        assert_eq!(
            fs::read_to_string(copy.join("xen/Kconfig")).unwrap(),
            "one\nnew\ntwo\n"
        );
        let foreign = tree("something\nelse\n");
        let text = prepare(foreign.path(), &copy, &patch)
            .unwrap_err()
            .to_string();
        assert!(text.contains("a.patch does not apply"), "{text}");
    }
}
