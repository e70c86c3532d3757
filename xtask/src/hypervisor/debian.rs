// SPDX-License-Identifier: GPL-2.0-only
//! Debian's Xen sources: which there are, what of them can be had, and which one is built.
//!
//! A mirror's lists may name files that it does not have. So every source that there is a patch series for is tried, newest
//! first. The one that could be had is unpacked in a directory named by its version and stays the one that is built, until
//! `./vgic setup` looks again: what a mirror does must not change a build. A new clone takes what the user has downloaded
//! before, and asks no mirror. What could not be had is not asked for again by each command, for a day.

use crate::apt::{self, Apt, Archive, Suite, Wanted};
use crate::cache::{Cache, Kept};
use crate::command::run;
use crate::file::write_whole;
use crate::hypervisor::patch::patch_once;
use crate::hypervisor::version::{Version, series_name};
use crate::lock;
use crate::paths;
use crate::progress::Step;
use crate::unavailable::Unavailable;
use anyhow::{Context, Result};
use std::cmp::Ordering;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// The source package.
const PACKAGE: &str = "xen";
/// A release of Debian whose Xen is newer than that of Debian 12; and where its fixes are.
const FURTHER: [(Archive, &str); 2] = [
    (Archive::Main, "trixie"),
    (Archive::Security, "trixie-security"),
];
/// How the names of directories begin in which something is being unpacked.
const UNPACKING: &str = "debian.unpacking-";
/// How long what could not be had is not asked for again.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// A source package, as a suite lists it.
struct Candidate {
    /// Debian's version, which names its directory, too.
    package: String,
    version: Version,
    /// Who has it, and in which suite.
    mirror: usize,
    suite: usize,
}

/// Where candidates come from.
trait Mirror {
    /// The suites to look into, by name.
    fn suites(&self) -> &[String];
    /// Debian's versions of Xen in one of them.
    fn list(&self, suite: usize) -> Result<Vec<String>>;
    /// Downloads this version and unpacks it as `tree`, which is not there yet.
    fn fetch(&self, suite: usize, package: &str, tree: &Path) -> Result<()>;
}

/// What has been fetched, and what could not be: the directory `target/xen`.
struct Store {
    directory: PathBuf,
}

/// The tree to build from: of this release, or if none is asked for, the one that is in use.
pub fn open(release: Option<Version>) -> Result<PathBuf> {
    let store = Store::new();
    if let Some(there) = store.kept(release) {
        return Ok(store.tree(&there));
    }
    match store.open(release, &[&Downloads::new()?]) {
        Err(error) if error.is::<Unavailable>() => store.open(release, &[&Debian::new(false)?]),
        result => result,
    }
}

/// Looks for the newest that can be had now, whatever is in use or has failed of late.
pub fn look_again(release: Option<Version>) -> Result<PathBuf> {
    Store::new().look_again(release, &[&Downloads::new()?, &Debian::new(true)?])
}

/// Which one there is without a network: the tree, if it is unpacked, and a line on it; the error says what is not there.
pub fn at_hand(release: Option<Version>) -> Result<String, String> {
    let wanted = release.map_or("Xen source".into(), |r| format!("source of Xen {r}"));
    if let Some(there) = Store::new().kept(release) {
        return Ok(format!("{wanted}: {there}, unpacked in this clone"));
    }
    let downloads = Downloads::new().map_err(|_| wanted.clone())?;
    let mut all = downloads.list(0).unwrap_or_default();
    all.retain(|package| Version::of_package(package).is_some_and(|v| series_name(v).is_some()));
    match newest(all, release) {
        Some(package) => Ok(format!("{wanted}: {package}")),
        None => Err(wanted),
    }
}

/// The newest of these, of a release if one is asked for.
fn newest(mut packages: Vec<String>, release: Option<Version>) -> Option<String> {
    packages.retain(|package| {
        Version::of_package(package).is_some_and(|of| release.is_none_or(|r| r == of))
    });
    packages.sort_by(|a, b| compare(a, b));
    packages.pop()
}

impl Store {
    fn new() -> Store {
        Store {
            directory: paths::target().join("xen"),
        }
    }

    fn open(&self, release: Option<Version>, mirrors: &[&dyn Mirror]) -> Result<PathBuf> {
        let _alone = self.lock()?;
        // Who had the lock before may have fetched it.
        if let Some(kept) = self.kept(release) {
            return Ok(self.tree(&kept));
        }
        let package = match (self.choose(release, mirrors), self.newest_there(release)) {
            (Ok(package), _) => package,
            // Asked for by its release once, and better than nothing.
            (Err(error), Some(there)) if error.is::<Unavailable>() => there,
            (Err(error), _) => return Err(error),
        };
        if release.is_none() {
            self.use_from_now(&package)?;
        }
        Ok(self.tree(&package))
    }

    fn look_again(&self, release: Option<Version>, mirrors: &[&dyn Mirror]) -> Result<PathBuf> {
        let _alone = self.lock()?;
        // If there is nothing to forget, so much the better.
        let _ = fs::remove_file(self.failures());
        let kept = self.kept(release);
        let package = match (self.choose(release, mirrors), kept) {
            (Ok(package), Some(kept)) if compare(&kept, &package).is_gt() => {
                eprintln!("vgic: staying with Xen {kept}: the newest that can be had is {package}");
                kept
            }
            (Ok(package), _) => package,
            (Err(error), Some(kept)) if error.is::<Unavailable>() => {
                eprintln!("vgic: staying with Xen {kept}: {error}");
                kept
            }
            (Err(error), _) => return Err(error),
        };
        if release.is_none() {
            self.use_from_now(&package)?;
        }
        Ok(self.tree(&package))
    }

    /// Keeps other commands from unpacking at the same time; until it is dropped.
    fn lock(&self) -> Result<File> {
        let file = self.directory.join("debian.lock");
        let alone = lock::alone(&file, "fetching Debian's Xen")?;
        // What nobody is unpacking any more was given up.
        for entry in fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with(UNPACKING) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(alone)
    }

    /// Where a version is unpacked, or is to be.
    fn tree(&self, package: &str) -> PathBuf {
        self.directory.join(package).join("pristine")
    }

    /// Names the version that is in use.
    fn current(&self) -> PathBuf {
        self.directory.join("debian.version")
    }

    /// What could not be had, a line each: seconds since 1970, a space, what it was, a tab, and why.
    fn failures(&self) -> PathBuf {
        self.directory.join("debian.failures")
    }

    fn use_from_now(&self, package: &str) -> Result<()> {
        write_whole(&self.current(), package)
    }

    fn is_there(&self, package: &str) -> bool {
        self.tree(package).join("xen/Makefile").is_file()
    }

    /// The version in use; or if a release is asked for, the newest of it that is there.
    fn kept(&self, release: Option<Version>) -> Option<String> {
        if release.is_some() {
            return self.newest_there(release);
        }
        let current = fs::read_to_string(self.current()).ok()?;
        Some(current.trim().to_owned()).filter(|package| self.is_there(package))
    }

    fn newest_there(&self, release: Option<Version>) -> Option<String> {
        let there = fs::read_dir(&self.directory)
            .ok()?
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .filter(|name| self.is_there(name));
        newest(there.collect(), release)
    }

    /// The newest that is there or can be fetched; Debian's version of it.
    fn choose(&self, release: Option<Version>, mirrors: &[&dyn Mirror]) -> Result<String> {
        let mut failed = Vec::new();
        let mut candidates = Vec::new();
        let suites = mirrors.iter().enumerate().flat_map(|(mirror, has)| {
            let names = has.suites().iter().enumerate();
            names.map(move |(suite, name)| (mirror, suite, name))
        });
        for (mirror, suite, name) in suites {
            let Some(has) = mirrors.get(mirror) else {
                continue;
            };
            match self.attempt(&format!("lists {name}"), || has.list(suite))? {
                Ok(packages) => candidates.extend(packages.into_iter().filter_map(|package| {
                    Some(Candidate {
                        version: Version::of_package(&package)?,
                        package,
                        mirror,
                        suite,
                    })
                })),
                Err(why) => failed.push(why),
            }
        }
        candidates
            .retain(|c| series_name(c.version).is_some() && release.is_none_or(|r| c.version == r));
        candidates.sort_by(|a, b| compare(&b.package, &a.package));
        let wanted = release.map_or("Xen source".into(), |r| format!("source of Xen {r}"));
        if candidates.is_empty() && failed.is_empty() {
            failed.push("its suites list none that there are patches for".into());
        }
        for candidate in candidates {
            if self.is_there(&candidate.package) {
                return Ok(candidate.package);
            }
            let Some(has) = mirrors.get(candidate.mirror) else {
                continue;
            };
            match self.fetch(&candidate, *has)? {
                Ok(()) => return Ok(candidate.package),
                Err(why) => failed.push(why),
            }
        }
        Err(Unavailable(format!(
            "no {wanted} can be had from Debian's mirror ({}): give a tree with --xen PATH, or look again with ./vgic setup",
            apt::grouped(&failed)
        ))
        .into())
    }

    fn fetch(&self, candidate: &Candidate, mirror: &dyn Mirror) -> Result<Result<(), String>> {
        let Candidate { package, suite, .. } = candidate;
        let name = mirror.suites().get(*suite).map_or("", String::as_str);
        self.attempt(&format!("{package} {name}"), || {
            // Unpacked aside and renamed at the end: a tree that is there is whole.
            let aside = tempfile::Builder::new()
                .prefix(UNPACKING)
                .tempdir_in(&self.directory)?;
            let unpacked = aside.path().join("tree");
            mirror.fetch(*suite, package, &unpacked)?;
            let tree = self.tree(package);
            fs::create_dir_all(self.directory.join(package))
                .and_then(|()| fs::rename(&unpacked, &tree))
                .with_context(|| format!("cannot make {}", tree.display()))?;
            Ok(())
        })
    }

    /// Does something that a mirror may have nothing for, unless that was so of late: then the inner error says why not. It
    /// is said and remembered once. Any other error is not about the mirror, and ends the search.
    fn attempt<T>(&self, what: &str, act: impl FnOnce() -> Result<T>) -> Result<Result<T, String>> {
        if let Some(why) = self.failed_of_late(what) {
            return Ok(Err(why));
        }
        match act() {
            Ok(result) => Ok(Ok(result)),
            Err(error) => match error.downcast_ref::<Unavailable>() {
                Some(Unavailable(why)) => {
                    eprintln!("vgic: {why}");
                    self.remember(what, why);
                    Ok(Err(why.clone()))
                }
                None => Err(error),
            },
        }
    }

    fn failed_of_late(&self, what: &str) -> Option<String> {
        let text = fs::read_to_string(self.failures()).ok()?;
        text.lines().find_map(|line| {
            let (when, rest) = line.split_once(' ')?;
            let when = SystemTime::UNIX_EPOCH + Duration::from_secs(when.parse().ok()?);
            let age = SystemTime::now().duration_since(when).ok()?;
            let why = rest.strip_prefix(what)?.strip_prefix('\t')?;
            (age < REMEMBERED).then(|| why.to_owned())
        })
    }

    /// Only spares the next command an attempt: if it cannot be written down, so be it.
    fn remember(&self, what: &str, why: &str) {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let old = fs::read_to_string(self.failures()).unwrap_or_default();
        // The latest counts.
        let _ = fs::write(
            self.failures(),
            format!("{} {what}\t{why}\n{old}", now.as_secs()),
        );
    }
}

/// By release, then as dpkg compares the versions of packages.
fn compare(a: &str, b: &str) -> Ordering {
    let release = Version::of_package(a).cmp(&Version::of_package(b));
    release.then_with(|| {
        let is_newer = || {
            Command::new("dpkg")
                .args(["--compare-versions", a, "gt", b])
                .status()
                .is_ok_and(|s| s.success())
        };
        match a == b {
            true => Ordering::Equal,
            false if is_newer() => Ordering::Greater,
            false => Ordering::Less,
        }
    })
}

/// The mirrors that the machine itself uses: its suites, and those that may have more.
struct Debian {
    suites: Vec<Suite>,
    names: Vec<String>,
    /// Whether to fetch the package lists anew, however fresh they are.
    afresh: bool,
}

impl Debian {
    fn new(afresh: bool) -> Result<Debian> {
        let mut suites = apt::suites(Archive::Main);
        suites.extend(apt::suites(Archive::Security));
        for (archive, name) in FURTHER {
            match apt::suite(archive, name) {
                Ok(suite) if !suites.contains(&suite) => suites.push(suite),
                Ok(_) => {}
                // Of an archive that the machine does not use, it has no mirror; but one it must have.
                Err(error) if suites.is_empty() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(Debian {
            names: suites.iter().map(|s| s.name.clone()).collect(),
            suites,
            afresh,
        })
    }

    fn apt(&self, suite: usize) -> Result<Apt> {
        let suite = self.suites.get(suite).context("no such suite")?;
        Apt::new(suite, Wanted::Sources)
    }
}

impl Mirror for Debian {
    fn suites(&self) -> &[String] {
        &self.names
    }

    fn list(&self, suite: usize) -> Result<Vec<String>> {
        let apt = self.apt(suite)?;
        if self.afresh {
            apt.forget();
        }
        apt.update()?;
        apt.versions(PACKAGE)
    }

    fn fetch(&self, suite: usize, package: &str, tree: &Path) -> Result<()> {
        let apt = self.apt(suite)?;
        let archives = apt.source(PACKAGE, package)?;
        let fetch = |remote: &_, to: &Path| apt.fetch(remote, to);
        let what = format!("{PACKAGE} {package}");
        let kept = Cache::new()?.keep(&kept_name(package), &what, &archives, &fetch)?;
        unpack(&kept, tree)
    }
}

/// What the user has downloaded before, by whatever clone.
struct Downloads {
    cache: Cache,
    names: [String; 1],
}

impl Downloads {
    fn new() -> Result<Downloads> {
        Ok(Downloads {
            cache: Cache::new()?,
            names: ["the downloads".to_owned()],
        })
    }
}

impl Mirror for Downloads {
    fn suites(&self) -> &[String] {
        &self.names
    }

    fn list(&self, _suite: usize) -> Result<Vec<String>> {
        let beginning = kept_name("");
        let all = self.cache.names(&beginning).into_iter();
        Ok(all
            .filter(|name| self.cache.kept(name).is_some())
            .filter_map(|name| name.strip_prefix(&beginning).map(str::to_owned))
            .collect())
    }

    fn fetch(&self, _suite: usize, package: &str, tree: &Path) -> Result<()> {
        match self.cache.kept(&kept_name(package)) {
            Some(kept) => unpack(&kept, tree),
            None => Err(Unavailable(format!("{PACKAGE} {package}: gone")).into()),
        }
    }
}

/// The name of a version among the downloads.
fn kept_name(package: &str) -> String {
    format!("{PACKAGE}_{package}")
}

/// Unpacks both archives as `tree`, and applies Debian's own patches.
fn unpack(kept: &Kept, tree: &Path) -> Result<()> {
    let step = Step::start(format!("Unpacking {}", kept.what));
    let archive = |kind: &str| {
        let mut files = kept.files.iter();
        files.find_map(|(name, path)| name.contains(kind).then_some(path))
    };
    let (upstream, packaging) = archive(".orig.tar.")
        .zip(archive(".debian.tar."))
        .context("Debian's Xen source package has not the two archives that were expected")?;
    fs::create_dir_all(tree).with_context(|| format!("cannot make {}", tree.display()))?;
    for (archive, strip) in [(upstream, "1"), (packaging, "0")] {
        let mut tar = Command::new("tar");
        tar.arg("-xf").arg(archive).arg("-C").arg(tree);
        tar.args(["--strip-components", strip]);
        run(&mut tar, &format!("unpack {}", kept.what), None)?;
    }
    for patch in debian_series(tree)? {
        patch_once(tree, &patch)?;
    }
    step.done("unpacked");
    Ok(())
}

/// The patches that Debian has of its own.
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

#[cfg(test)]
mod tests;
