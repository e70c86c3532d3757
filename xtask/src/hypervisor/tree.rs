// SPDX-License-Identifier: GPL-2.0-only
//! Xen source trees: Debian's, fetched and unpacked, or the user's, which is only ever read.
//!
//! What is built is a copy below `target/xen`. It is kept up to date file by file, with the times of the original,
//! so that a build after a change compiles what has changed and nothing else. The patched files are made in a scratch
//! directory first and copied only where they differ: a patch series that does not apply leaves the copy as it was.

use crate::command::{output, run};
use crate::hypervisor::copy::{Addition, synchronise};
use crate::hypervisor::debian;
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
    /// The same with what follows: 4.17.5, or 4.23-unstable.
    pub full_version: String,
}

impl Source {
    /// The tree that `--xen` names: `debian`, `debian-RELEASE`, or the path of a tree.
    pub fn open(argument: &str) -> Result<Source> {
        if argument == "debian" {
            return Source::of_debian(&debian::open(None)?);
        }
        if let Some(release) = debian_release(argument)? {
            return Source::of_debian(&debian::open(Some(release))?);
        }
        let path = fs::canonicalize(argument)
            .with_context(|| format!("there is no Xen tree at {argument}"))?;
        let last = path
            .file_name()
            .map_or("tree".into(), |n| n.to_string_lossy());
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let name = format!("{last}-{:08x}", hasher.finish() & 0xffff_ffff);
        Source::read(name, path)
    }

    /// One of Debian's, which is in a directory of its own.
    pub fn of_debian(tree: &Path) -> Result<Source> {
        let name = tree.parent().and_then(Path::file_name).unwrap_or_default();
        Source::read(name.to_string_lossy().into_owned(), tree.to_owned())
    }

    fn read(name: String, path: PathBuf) -> Result<Source> {
        let makefile = path.join("xen/Makefile");
        let text = fs::read_to_string(&makefile).with_context(|| {
            format!(
                "{} is not a Xen source tree: it has no xen/Makefile",
                path.display()
            )
        })?;
        let (version, full_version) = version(&text)
            .with_context(|| format!("{} does not say which Xen it is", makefile.display()))?;
        Ok(Source {
            name,
            path,
            version,
            full_version,
        })
    }

    /// The patch series for this release, in order.
    pub fn series(&self) -> Result<Vec<PathBuf>> {
        let Some(name) = series_name(self.version) else {
            bail!(
                "this is Xen {}, and there are patches for 4.17 and later: give another tree with --xen",
                self.version
            );
        };
        let directory = paths::root().join("patches").join(name);
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

/// The release that `debian-RELEASE` asks for; none if it is another word.
pub fn debian_release(argument: &str) -> Result<Option<Version>> {
    let Some(text) = argument.strip_prefix("debian-") else {
        return Ok(None);
    };
    match Version::parse(text) {
        Some(release) if series_name(release).is_some() => Ok(Some(release)),
        Some(release) => {
            bail!(
                "there are no patches for Xen {release}, only for 4.17 and later: --xen {argument}"
            )
        }
        // Somebody's tree may be called so.
        None if Path::new(argument).is_dir() => Ok(None),
        None => bail!("--xen {argument} is neither a tree nor a release such as debian-4.17"),
    }
}

impl Version {
    /// 417 for 4.17, as C compares releases.
    pub fn number(self) -> String {
        format!("{}{:02}", self.major, self.minor)
    }

    /// Reads `4.17`.
    fn parse(text: &str) -> Option<Version> {
        let (major, minor) = text.split_once('.')?;
        Some(Version {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }

    /// The release of one of Debian's packages, whose version begins with it.
    pub fn of_package(version: &str) -> Option<Version> {
        let end = |rest: &str| {
            rest.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len())
        };
        let (major, rest) = version.split_once('.')?;
        Version::parse(&format!("{major}.{}", &rest[..end(rest)]))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Reads the release from the text of xen/Makefile, and all that it says of it.
fn version(makefile: &str) -> Option<(Version, String)> {
    let value = |name: &str| {
        makefile.lines().find_map(|line| {
            let line = line.trim().strip_prefix("export ").unwrap_or(line).trim();
            let value = line.strip_prefix(name)?.trim_start();
            let value = value.trim_start_matches([':', '?']).strip_prefix('=')?;
            Some(value.trim())
        })
    };
    let version = Version {
        major: value("XEN_VERSION")?.parse().ok()?,
        minor: value("XEN_SUBVERSION")?.parse().ok()?,
    };
    // Who packages it may add more, by a variable.
    let extra = value("XEN_EXTRAVERSION").unwrap_or_default();
    let extra = extra.split('$').next().unwrap_or_default();
    Some((version, format!("{version}{extra}")))
}

/// The directory in `patches/` with the series for a release, if there is one.
pub fn series_name(version: Version) -> Option<&'static str> {
    match (version.major, version.minor) {
        (4, 17) => Some("4.17"),
        (4, 18..=20) => Some("4.18-4.20"),
        // Later ones may or may not apply.
        (4, 21..) => Some("4.21-4.23"),
        _ => None,
    }
}

/// Applies one patch to the files of `tree`.
pub fn patch_once(tree: &Path, patch: &Path) -> Result<()> {
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

    fn v(major: u32, minor: u32) -> Version {
        Version { major, minor }
    }

    #[test]
    fn the_release_is_read_from_the_makefile() {
        let text = "# comment\nexport XEN_VERSION       = 4\nexport XEN_SUBVERSION    = 20\n\
                    export XEN_EXTRAVERSION ?= .3$(XEN_VENDORVERSION)\n";
        assert_eq!(version(text), Some((v(4, 20), "4.20.3".into())));
        let older = "this-makefile := x\nexport XEN_VERSION    := 4\nexport XEN_SUBVERSION ?= 23\n\
                     XEN_EXTRAVERSION ?= -unstable\n";
        assert_eq!(version(older), Some((v(4, 23), "4.23-unstable".into())));
        assert_eq!(version("all:\n"), None);
    }

    #[test]
    fn each_release_has_its_series_or_a_sentence() {
        let series = [
            ((4, 17), "4.17"),
            ((4, 18), "4.18-4.20"),
            ((4, 20), "4.18-4.20"),
            ((4, 21), "4.21-4.23"),
            ((4, 23), "4.21-4.23"),
        ];
        for ((major, minor), name) in series {
            assert_eq!(series_name(v(major, minor)), Some(name));
            let directory = paths::root().join("patches").join(name);
            assert!(directory.is_dir(), "{}", directory.display());
        }
        let old = Source {
            name: "old".into(),
            path: "old".into(),
            version: v(4, 16),
            full_version: "4.16.0".into(),
        };
        let text = old.series().unwrap_err().to_string();
        assert!(text.contains("4.16") && text.contains("--xen"), "{text}");
    }

    #[test]
    fn a_release_is_told_from_a_path() {
        assert_eq!(Version::parse("4.17"), Some(v(4, 17)));
        assert_eq!(Version::parse("4"), None);
        assert_eq!(Version::parse("4.17.5"), None);
        assert_eq!(debian_release("debian-4.17").unwrap(), Some(v(4, 17)));
        assert_eq!(debian_release("debian").unwrap(), None);
        assert_eq!(debian_release("/debian-4.17").unwrap(), None);
        for (wrong, why) in [("debian-4.16", "no patches"), ("debian-4.17.5", "neither")] {
            let text = debian_release(wrong).unwrap_err().to_string();
            assert!(text.contains(why) && text.contains(wrong), "{text}");
        }
        let package = Version::of_package;
        assert_eq!(package("4.17.5+72-g01140da4e8-1"), Some(v(4, 17)));
        assert_eq!(package("4.20~rc1"), Some(v(4, 20)));
        assert_eq!(package("debian.version"), None);
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
