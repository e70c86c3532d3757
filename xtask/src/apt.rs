// SPDX-License-Identifier: GPL-2.0-only
//! Debian packages of other suites and architectures, without touching the system's apt.
//!
//! It has a configuration of its own and lists of its own, kept beside the downloads. The mirror and its keyring are taken
//! from the machine's own sources, in either of apt's two formats. apt checks every signature and hash on the way.

mod sources;

use crate::cache::{Cache, Remote};
use crate::command::{NOT_DONE, run, watch};
use crate::file::write_whole;
use crate::progress::Step;
use crate::unavailable::Unavailable;
use anyhow::{Context, Error, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Lists younger than this are good enough.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// The limit for an apt run, in seconds; a large file has a second more for so many bytes.
const LIMIT: u64 = 300;
const SLOW: u64 = 50_000;
/// apt's downloader of single files, which is not on the PATH.
const HELPER: &str = "/usr/lib/apt/apt-helper";
/// How apt says that there is no way to the mirror at all.
const NO_WAY: [&str; 6] = [
    "Could not connect",
    "Could not resolve",
    "Temporary failure resolving",
    "Unable to connect",
    "timed out",
    // timeout(1) had to end it.
    "exit status: 124",
];
/// Mirrors that there is no way to, and why: each is tried once.
static UNREACHABLE: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

#[cfg(test)]
pub use sources::Mirror;
pub use sources::{Archive, Suite, suite, suites};

/// What is wanted of a suite.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// Binary packages for this architecture.
    Packages(&'a str),
    /// Source packages.
    Sources,
}

/// A private apt that sees one suite of the machine's own mirror.
pub struct Apt {
    suite: Suite,
    config: PathBuf,
    directory: PathBuf,
    cache: Cache,
}

impl Apt {
    /// Sets up the private state for a suite, apart from those of others: what one lacks is no reason to do without the
    /// rest.
    pub fn new(suite: &Suite, wanted: Wanted) -> Result<Apt> {
        Apt::within(Cache::new()?, suite, wanted)
    }

    pub fn within(cache: Cache, suite: &Suite, wanted: Wanted) -> Result<Apt> {
        let Suite { name, mirror } = suite;
        let (types, architecture) = match wanted {
            Wanted::Packages(architecture) => ("deb", architecture),
            Wanted::Sources => ("deb-src", "arm64"),
        };
        let directory = cache.apt().join(format!("{name}-{types}-{architecture}"));
        for part in [
            "lists/partial",
            "cache/archives/partial",
            "state",
            "sources",
        ] {
            let part = directory.join(part);
            fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        }
        let apt = Apt {
            suite: suite.clone(),
            config: directory.join("apt.conf"),
            directory,
            cache,
        };
        apt.write_if_changed(
            "apt.conf",
            &configuration(&apt.directory, &host_architecture()?),
        )?;
        let mut entry = format!(
            "Types: {types}\nURIs: {}\nSuites: {name}\nComponents: main\nArchitectures: {architecture}\n",
            mirror.uri
        );
        if let Some(key) = &mirror.signed_by {
            entry.push_str(&format!("Signed-By: {key}\n"));
        }
        if mirror.trusted {
            entry.push_str("Trusted: yes\n");
        }
        if apt.write_if_changed("sources/debian.sources", &entry)? {
            // Lists of another mirror are no use.
            apt.forget();
        }
        Ok(apt)
    }

    /// Has the package lists fetched again, however fresh they are.
    pub fn forget(&self) {
        // If there is nothing to forget, so much the better.
        let _ = fs::remove_file(self.stamp());
    }

    fn stamp(&self) -> PathBuf {
        self.directory.join("updated")
    }

    fn is_fresh(&self) -> bool {
        let updated = fs::metadata(self.stamp()).and_then(|m| m.modified());
        updated.is_ok_and(|then| {
            SystemTime::now()
                .duration_since(then)
                .is_ok_and(|age| age < FRESH)
        })
    }

    /// Fetches the package lists unless they are fresh.
    pub fn update(&self) -> Result<()> {
        if self.is_fresh() {
            return Ok(());
        }
        let Suite { name, mirror } = &self.suite;
        let what = format!("the package lists of {name}");
        let known = || UNREACHABLE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, why)) = known().iter().find(|(uri, _)| *uri == mirror.uri) {
            return Err(Unavailable(format!("{what}: {why}")).into());
        }
        let _alone = self.cache.lock()?;
        // Who had the lock before may have fetched them.
        if self.is_fresh() {
            return Ok(());
        }
        let step = Step::start(format!("Fetching {what}"));
        let mut command = self.command("apt-get", LIMIT);
        command.args(["-q", "update", "--error-on=any"]);
        let log = self.directory.join("update.log");
        run(&mut command, &format!("fetch {what}"), Some(&log)).map_err(|error| {
            let error = unavailable(&what, error);
            if let Some(Unavailable(text)) = error.downcast_ref()
                && NO_WAY.iter().any(|no| text.contains(no))
            {
                let why = text.strip_prefix(&format!("{what}: ")).unwrap_or(text);
                known().push((mirror.uri.clone(), why.to_owned()));
            }
            error
        })?;
        write_whole(&self.stamp(), "")?;
        step.done("fetched");
        Ok(())
    }

    /// The versions of a package, or of a source package if it sees sources.
    pub fn versions(&self, package: &str) -> Result<Vec<String>> {
        let text = run(
            self.command("apt-cache", LIMIT).args(["madison", package]),
            &format!("look for {package}"),
            None,
        )?;
        Ok(text
            .lines()
            .filter_map(|l| l.split('|').nth(1))
            .map(|v| v.trim().to_owned())
            .collect())
    }

    /// What a package depends on.
    pub fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        let text = run(
            self.command("apt-cache", LIMIT).args(["depends", package]),
            &format!("look for {package}"),
            None,
        )?;
        Ok(text
            .lines()
            .filter_map(|l| l.trim().strip_prefix("Depends: "))
            .map(str::to_owned)
            .collect())
    }

    /// Where a binary package is.
    pub fn package(&self, package: &str) -> Result<Remote> {
        let what = format!("Debian's package {package}");
        let mut command = self.command("apt-get", LIMIT);
        command.args(["-q", "download", "--print-uris", package]);
        let text = run(&mut command, &format!("look for {what}"), None)
            .map_err(|e| unavailable(&what, e))?;
        let mut found = text.lines().filter_map(remote);
        let (Some(one), None) = (found.next(), found.next()) else {
            bail!("apt names not just one file for {package}");
        };
        Ok(one)
    }

    /// Where a source package's archives are.
    ///
    /// Not its .dsc, which mirrors have been seen to lack: apt knows the archives and their hashes from the signed lists.
    pub fn source(&self, package: &str, version: &str) -> Result<Vec<Remote>> {
        let mut command = self.command("apt-get", LIMIT);
        command
            .args(["-q", "source", "--only-source", "--print-uris"])
            .arg(format!("{package}={version}"));
        let what = format!("{package} {version}");
        let text = run(&mut command, &format!("look for {what}"), None)
            .map_err(|e| unavailable(&what, e))?;
        let mut files: Vec<Remote> = text.lines().filter_map(remote).collect();
        files.retain(|file| !file.name.ends_with(".dsc"));
        if files.is_empty() {
            bail!("apt names no archives for the source package {what}");
        }
        Ok(files)
    }

    /// Downloads one file to a path.
    pub fn fetch(&self, remote: &Remote, to: &Path) -> Result<()> {
        let Remote {
            uri,
            name,
            size,
            sha256,
        } = remote;
        let step = Step::start(format!("Fetching {name} ({})", megabytes(*size)));
        // A file that is on this machine would only be linked to.
        let uri = match uri.strip_prefix("file:") {
            Some(path) => format!("copy:{path}"),
            None => uri.clone(),
        };
        let mut command = self.command(HELPER, LIMIT + size / SLOW);
        command
            .args(["download-file", &uri])
            .arg(to)
            .arg(format!("SHA256:{sha256}"));
        let result = watch(&mut command, &format!("download {name}"), None, |_| {
            if let Ok(meta) = fs::metadata(to) {
                step.flash(&format!("{} so far", megabytes(meta.len())));
            }
            step.tick();
        });
        result.map_err(|e| unavailable(&format!("{name} from {}", self.suite.name), e))?;
        step.done("fetched");
        Ok(())
    }

    fn command(&self, program: &str, limit: u64) -> Command {
        // apt has time limits for a silent server, none for the whole; timeout(1) gives one sentence for both.
        let mut command = Command::new("timeout");
        command
            // In the foreground it makes no group of its own: what ends it ends apt, too.
            .args(["--foreground", &limit.to_string(), program])
            .env("APT_CONFIG", &self.config)
            .env("LC_ALL", "C");
        command
    }

    /// Another clone may be reading what is written.
    fn write_if_changed(&self, file: &str, text: &str) -> Result<bool> {
        let path = self.directory.join(file);
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(false);
        }
        write_whole(&path, text).map(|()| true)
    }
}

/// Reasons of the form `what: why`, those with the same why as one.
pub fn grouped(reasons: &[String]) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for reason in reasons {
        let (what, why) = reason.split_once(": ").unwrap_or((reason.as_str(), ""));
        match groups.iter_mut().find(|g| g.0 == why) {
            Some((_, all)) => all.push(what),
            None => groups.push((why, vec![what])),
        }
    }
    let text = |(why, all): &(&str, Vec<&str>)| match *why {
        "" => all.join(", "),
        why => format!("{}: {why}", all.join(", ")),
    };
    groups.iter().map(text).collect::<Vec<_>>().join("; ")
}

/// This machine's architecture, as Debian calls it.
pub fn host_architecture() -> Result<String> {
    let text = run(
        Command::new("dpkg").arg("--print-architecture"),
        "use Debian's packages (this needs Debian or a system derived from it)",
        None,
    )?;
    Ok(text.trim().to_owned())
}

fn configuration(directory: &Path, host: &str) -> String {
    let d = directory.display();
    format!(
        "Dir::State \"{d}/state\";\n\
         Dir::State::status \"/var/lib/dpkg/status\";\n\
         Dir::State::Lists \"{d}/lists\";\n\
         Dir::Cache \"{d}/cache\";\n\
         Dir::Cache::pkgcache \"\";\n\
         Dir::Cache::srcpkgcache \"\";\n\
         Dir::Etc::sourcelist \"/dev/null\";\n\
         Dir::Etc::sourceparts \"{d}/sources\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"/dev/null\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::GzipIndexes \"true\";\n\
         Acquire::Retries \"2\";\n\
         Acquire::http::Timeout \"30\";\n\
         Acquire::https::Timeout \"30\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
         APT::Architectures {{ \"{host}\"; \"arm64\"; }};\n\
         APT::Sandbox::User \"root\";\n"
    )
}

/// A line of `--print-uris`: where, the name, the size, and the hash.
fn remote(line: &str) -> Option<Remote> {
    let (uri, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    let mut words = rest.split_whitespace();
    Some(Remote {
        uri: uri.to_owned(),
        name: words.next()?.to_owned(),
        size: words.next()?.parse().ok()?,
        sha256: words.next()?.strip_prefix("SHA256:")?.to_owned(),
    })
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

/// That apt could not fetch `what`, with apt's own reason if it is a short one: `404 Not Found`.
fn unavailable(what: &str, error: Error) -> Error {
    let text = error.to_string();
    // Not even started: the mirror was not asked.
    if !text.starts_with(NOT_DONE) {
        return error;
    }
    let why = text
        .lines()
        .find_map(|l| {
            l.trim()
                .strip_prefix("E: Failed to fetch ")?
                .split_once(' ')
        })
        .map(|(_url, why)| why.split('[').next().unwrap_or_default())
        .or(text.lines().next())
        .unwrap_or_default();
    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
    Unavailable(format!("{what}: {why}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_good_hash_is_none() {
        let line = "'http://a.example/p/x%2b1.deb' x_1%3a2+1.deb 847552 SHA256:c833be";
        let file = remote(line).unwrap();
        assert_eq!(file.uri, "http://a.example/p/x%2b1.deb");
        let rest = (file.name.as_str(), file.size, file.sha256.as_str());
        assert_eq!(rest, ("x_1%3a2+1.deb", 847_552, "c833be"));
        assert_eq!(remote(&line.replace("SHA256:", "MD5Sum:")), None);
        assert_eq!(remote("Need to get 4880 kB of source archives."), None);
    }

    #[test]
    fn what_apt_says_is_made_short() {
        let text = "could not download xen: apt-get ended with exit status: 100\n    Err:1 x\n    \
                    E: Failed to fetch http://a.example/xen_4.20.orig.tar.xz  404  Not Found [IP: 192.0.2.1 80]\n    \
                    E: Failed to fetch some archives.";
        let short = unavailable("xen 4.20", anyhow::anyhow!(text));
        assert_eq!(short.to_string(), "xen 4.20: 404 Not Found");
        assert!(short.context("the boot").is::<Unavailable>());
        let first = unavailable(
            "xen",
            anyhow::anyhow!("could not try: it hangs\n    E: none"),
        );
        assert_eq!(first.to_string(), "xen: could not try: it hangs");
        let none = unavailable("xen", anyhow::anyhow!("cannot try: there is no apt-get"));
        assert!(!none.is::<Unavailable>());
    }
}
