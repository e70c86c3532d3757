// SPDX-License-Identifier: GPL-2.0-only
//! Debian packages of other suites and architectures, without touching the system's apt.
//!
//! Everything lives below `target/apt`: a configuration of its own, lists of its own. The mirror and its keyring are
//! taken from the machine's own sources, in either of apt's two formats. apt checks every hash on the way.

mod sources;

use crate::command::{NOT_DONE, run};
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Lists younger than this are good enough.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// The limit for one apt run, in seconds.
const LIMIT: &str = "300";

pub use sources::{Suite, suite, suites};

/// Which of Debian's archives: they are at different places, and a mirror may have one of them only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archive {
    /// What a release is made of, its updates and backports.
    Main,
    /// What the security team has changed since.
    Security,
}

/// What is wanted of a suite.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// Binary packages for this architecture.
    Packages(&'a str),
    /// Source packages.
    Sources,
}

/// Something that cannot be had, from a mirror above all. Nothing is wrong with what was asked for, and what needs it is left
/// out: another day, or on another machine, it may be there.
#[derive(Debug)]
pub struct Unavailable(pub String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// A private apt that sees one suite of the machine's own mirror.
pub struct Apt {
    suite: String,
    config: PathBuf,
    directory: PathBuf,
}

impl Apt {
    /// Sets up the private state for a suite, apart from those of others: what one lacks is no reason to do without the
    /// rest.
    pub fn new(suite: &Suite, wanted: Wanted) -> Result<Apt> {
        let Suite { name, mirror } = suite;
        let (types, architecture) = match wanted {
            Wanted::Packages(architecture) => ("deb", architecture),
            Wanted::Sources => ("deb-src", "arm64"),
        };
        let directory = paths::apt().join(format!("{name}-{types}-{architecture}"));
        for part in [
            "lists/partial",
            "cache/archives/partial",
            "state",
            "sources",
        ] {
            let part = directory.join(part);
            fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        }
        let config = directory.join("apt.conf");
        write_if_changed(&config, &configuration(&directory, &host_architecture()?))?;
        let mut entry = format!(
            "Types: {types}\nURIs: {}\nSuites: {name}\nComponents: main\nArchitectures: {architecture}\n",
            mirror.uri
        );
        if let Some(key) = &mirror.signed_by {
            entry.push_str(&format!("Signed-By: {key}\n"));
        }
        let apt = Apt {
            suite: name.clone(),
            config,
            directory,
        };
        if write_if_changed(&apt.directory.join("sources/debian.sources"), &entry)? {
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

    /// Fetches the package lists unless they are fresh.
    pub fn update(&self) -> Result<()> {
        let stamp = self.stamp();
        let fresh = fs::metadata(&stamp)
            .and_then(|m| m.modified())
            .is_ok_and(|t| {
                SystemTime::now()
                    .duration_since(t)
                    .is_ok_and(|age| age < FRESH)
            });
        if fresh {
            return Ok(());
        }
        let step = Step::start(format!("Fetching the package lists of {}", self.suite));
        let mut command = self.command("apt-get");
        command.args(["-q", "update", "--error-on=any"]);
        let what = format!("the package lists of {}", self.suite);
        let log = self.directory.join("update.log");
        run(&mut command, &format!("fetch {what}"), Some(&log))
            .map_err(|e| unavailable(&what, e))?;
        fs::write(&stamp, "")?;
        step.done("fetched");
        Ok(())
    }

    /// The versions of a package, or of a source package if it sees sources.
    pub fn versions(&self, package: &str) -> Result<Vec<String>> {
        let text = run(
            self.command("apt-cache").args(["madison", package]),
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
            self.command("apt-cache").args(["depends", package]),
            &format!("look for {package}"),
            None,
        )?;
        Ok(text
            .lines()
            .filter_map(|l| l.trim().strip_prefix("Depends: "))
            .map(str::to_owned)
            .collect())
    }

    /// Downloads a binary package into `into` and unpacks it there as `root/`.
    pub fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let downloads = into.join("download");
        if downloads.exists() {
            fs::remove_dir_all(&downloads)?;
        }
        fs::create_dir_all(&downloads)?;
        run(
            self.command("apt-get")
                .args(["-q", "download", package])
                .current_dir(&downloads),
            &format!("download Debian's package {package}"),
            None,
        )
        .map_err(|e| unavailable(&format!("Debian's package {package}"), e))?;
        let deb = fs::read_dir(&downloads)?
            .filter_map(|e| e.ok().map(|e| e.path()))
            .find(|p| p.extension().is_some_and(|e| e == "deb"))
            .with_context(|| format!("apt downloaded no file for {package}"))?;
        run(
            Command::new("dpkg-deb")
                .arg("-x")
                .arg(&deb)
                .arg(into.join("root")),
            &format!("unpack {}", deb.display()),
            None,
        )?;
        fs::remove_dir_all(&downloads)?;
        Ok(())
    }

    /// Downloads a source package's two archives into `into`.
    ///
    /// The .dsc file is not needed, and mirrors have been seen to lack it: apt knows the archives and their hashes
    /// from the signed lists, so they are asked for one by one.
    pub fn source(&self, package: &str, version: &str, into: &Path) -> Result<()> {
        fs::create_dir_all(into)?;
        for part in ["--tar-only", "--diff-only"] {
            run(
                self.command("apt-get")
                    .args(["-q", "source", "--only-source", "--download-only", part])
                    .arg(format!("{package}={version}"))
                    .current_dir(into),
                &format!("download Debian's source package {package} {version}"),
                None,
            )
            .map_err(|e| unavailable(&format!("{package} {version} from {}", self.suite), e))?;
        }
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        // apt has time limits for a silent server, none for the whole; timeout(1) gives one sentence for both.
        let mut command = Command::new("timeout");
        command
            // In the foreground, Ctrl-C reaches apt, too.
            .args(["--foreground", LIMIT, program])
            .env("APT_CONFIG", &self.config)
            .env("LC_ALL", "C");
        command
    }
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
         Dir::Etc::sourcelist \"/dev/null\";\n\
         Dir::Etc::sourceparts \"{d}/sources\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"/dev/null\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"2\";\n\
         Acquire::http::Timeout \"30\";\n\
         Acquire::https::Timeout \"30\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
         APT::Architectures {{ \"{host}\"; \"arm64\"; }};\n\
         APT::Sandbox::User \"root\";\n"
    )
}

fn write_if_changed(path: &Path, text: &str) -> Result<bool> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
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
