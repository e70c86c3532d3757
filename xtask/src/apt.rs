// SPDX-License-Identifier: GPL-2.0-only
//! Debian packages of other suites and architectures, without touching the system's apt.
//!
//! Everything lives below `target/apt`: a configuration of its own, lists of its own. The mirror and its keyring are
//! taken from the machine's own sources, in either of apt's two formats. apt checks every hash on the way.

use crate::command::{output, run};
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Lists younger than this are good enough.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// The limit for one apt run, in seconds.
const LIMIT: &str = "300";

/// Where this machine gets Debian from.
#[derive(Debug, PartialEq, Eq)]
pub struct Mirror {
    uri: String,
    signed_by: Option<String>,
}

/// A private apt that sees some suites of the machine's own mirror.
pub struct Apt {
    config: PathBuf,
    directory: PathBuf,
}

impl Apt {
    /// Sets up the private state for `suites`; `name` keeps it apart from others.
    pub fn new(name: &str, suites: &str, architecture: &str) -> Result<Apt> {
        let mirror = machine_mirror()?;
        let directory = paths::apt().join(name);
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
            "Types: deb deb-src\nURIs: {}\nSuites: {suites}\nComponents: main\nArchitectures: {architecture}\n",
            mirror.uri
        );
        if let Some(key) = mirror.signed_by {
            entry.push_str(&format!("Signed-By: {key}\n"));
        }
        let sources = directory.join("sources/debian.sources");
        if write_if_changed(&sources, &entry)? {
            // Lists of another mirror or suite are no use.
            let _ = fs::remove_file(directory.join("updated"));
        }
        Ok(Apt { config, directory })
    }

    /// Fetches the package lists unless they are fresh.
    pub fn update(&self) -> Result<()> {
        let stamp = self.directory.join("updated");
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
        let step = Step::start("Fetching Debian's package lists");
        let mut command = self.command("apt-get");
        command.args(["-q", "update", "--error-on=any"]);
        run(
            &mut command,
            "fetch Debian's package lists (is there a network, and the right mirror in /etc/apt?)",
            Some(&self.directory.join("update.log")),
        )?;
        fs::write(&stamp, "")?;
        step.done("fetched");
        Ok(())
    }

    /// The versions of a package or source package, newest first.
    pub fn versions(&self, package: &str, source: bool) -> Result<Vec<String>> {
        let text = run(
            self.command("apt-cache").args(["madison", package]),
            &format!("look for {package}"),
            None,
        )?;
        Ok(text
            .lines()
            .filter(|l| l.contains("Sources") == source)
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
        )?;
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
            )?;
        }
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        // apt has time limits for a silent server, none for the whole; timeout(1) gives one sentence for both.
        let mut command = Command::new("timeout");
        command
            .args([LIMIT, program])
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

/// The machine's own Debian mirror, from its apt sources.
fn machine_mirror() -> Result<Mirror> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(parts) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut parts: Vec<_> = parts.filter_map(|e| e.ok().map(|e| e.path())).collect();
        parts.sort();
        files.extend(parts);
    }
    for file in &files {
        let Ok(text) = fs::read_to_string(file) else {
            continue;
        };
        let found = match file.extension().and_then(|e| e.to_str()) {
            Some("sources") => from_deb822(&text),
            Some("list") => from_one_line(&text),
            _ => None,
        };
        if let Some(mirror) = found {
            return Ok(mirror);
        }
    }
    // A machine without apt sources of its own cannot say; say so rather than guess.
    if output(Command::new("apt-get").arg("--version"), "use apt").is_err() {
        bail!("this needs apt (Debian or a system derived from it), and there is no apt-get here");
    }
    bail!(
        "found no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d: add Debian's main archive there"
    )
}

/// Is this suite one of the main archive (not of security, not of someone else)?
fn main_archive(uri: &str, suites: &str, components: &str) -> bool {
    let debian = uri.trim_end_matches('/').ends_with("/debian");
    let plain = suites
        .split_whitespace()
        .any(|s| !s.contains("security") && !s.ends_with('/'));
    debian && plain && components.split_whitespace().any(|c| c == "main")
}

fn from_deb822(text: &str) -> Option<Mirror> {
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza
                .lines()
                .filter(|l| !l.starts_with('#'))
                .filter_map(|l| l.split_once(':'))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        };
        let uri = field("URIs")?.split_whitespace().next()?.to_owned();
        let on = field("Enabled").is_none_or(|v| !v.eq_ignore_ascii_case("no"));
        let fits = main_archive(&uri, &field("Suites")?, &field("Components")?);
        // A key written into the stanza itself has no one-line form: apt's own keyrings then serve.
        let signed_by = field("Signed-By").filter(|k| k.starts_with('/'));
        (on && fits).then_some(Mirror { uri, signed_by })
    })
}

fn from_one_line(text: &str) -> Option<Mirror> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb ")?.trim();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(r) => r.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        let components: Vec<&str> = words.collect();
        let signed_by = options
            .split_whitespace()
            .find_map(|o| o.strip_prefix("signed-by="))
            .map(str::to_owned);
        main_archive(uri, suite, &components.join(" ")).then(|| Mirror {
            uri: uri.to_owned(),
            signed_by,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_found_in_deb822() {
        let text = "Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n\
                    \nTypes: deb\n# a remark: here\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main contrib\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";
        let mirror = from_deb822(text).unwrap();
        assert_eq!(mirror.uri, "http://mirror.example/debian");
        assert_eq!(
            mirror.signed_by.as_deref(),
            Some("/usr/share/keyrings/debian-archive-keyring.gpg")
        );
    }

    #[test]
    fn a_disabled_entry_is_passed_over() {
        let text =
            "Enabled: no\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n";
        assert_eq!(from_deb822(text), None);
    }

    #[test]
    fn the_main_archive_is_found_in_one_line_entries() {
        let text = "# deb http://old.example/debian stretch main\n\
                    deb http://sec.example/debian-security bookworm-security main\n\
                    deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian/ bookworm main\n";
        let mirror = from_one_line(text).unwrap();
        assert_eq!(mirror.uri, "https://mirror.example/debian/");
        assert_eq!(mirror.signed_by.as_deref(), Some("/k.gpg"));
    }

    #[test]
    fn other_archives_are_not_taken_for_debian() {
        assert_eq!(
            from_one_line("deb https://packages.example/cloud-sdk cloud main\n"),
            None
        );
        assert_eq!(
            from_deb822("URIs: https://x.example/node\nSuites: nodistro\nComponents: main\n"),
            None
        );
    }
}
