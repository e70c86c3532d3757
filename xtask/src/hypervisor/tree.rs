// SPDX-License-Identifier: GPL-2.0-only
//! Xen source trees: Debian's, fetched and unpacked, or the user's, which is only ever read.
//!
//! What is built is a copy below `target/xen`. It is kept up to date file by file, with the times of the original,
//! so that a build after a change compiles what has changed and nothing else. The patched files are made in a scratch
//! directory first and copied only where they differ: a patch series that does not apply leaves the copy as it was.

use crate::hypervisor::copy::{Addition, synchronise};
use crate::hypervisor::debian;
use crate::hypervisor::patch::apply;
use crate::hypervisor::version::{self, Version, of_debian, series_name};
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

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
        if let Some(release) = of_debian(argument)? {
            return Source::of_debian(&debian::open(release)?);
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
        let (version, full_version) = version::version(&text)
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
        patches.retain(|p| {
            let name = p.file_name().unwrap_or_default().to_string_lossy();
            version::is_for(&name, self.version)
        });
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

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(series_name(Version { major, minor }), Some(name));
            let directory = paths::root().join("patches").join(name);
            assert!(directory.is_dir(), "{}", directory.display());
        }
        let old = Source {
            name: "old".into(),
            path: "old".into(),
            version: Version {
                major: 4,
                minor: 16,
            },
            full_version: "4.16.0".into(),
        };
        let text = old.series().unwrap_err().to_string();
        assert!(text.contains("4.16") && text.contains("--xen"), "{text}");
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
