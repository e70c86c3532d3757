// SPDX-License-Identifier: GPL-2.0-only
//! The machine's own apt sources, in either of apt's two formats: where it gets Debian from, and which suites.

use crate::command::output;
use crate::unavailable::Unavailable;
use anyhow::{Result, bail};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Which of Debian's archives: they are at different places, and a mirror may have one of them only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archive {
    /// What a release is made of, its updates and backports.
    Main,
    /// What the security team has changed since.
    Security,
}

/// Where this machine gets one of Debian's archives from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    pub uri: String,
    pub signed_by: Option<String>,
    /// The machine's owner has said that its lists need no signature.
    pub trusted: bool,
}

/// An entry of the machine's sources.
#[derive(Debug)]
struct Entry {
    mirror: Mirror,
    suites: Vec<String>,
    components: Vec<String>,
}

/// A suite, and where this machine gets it from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    pub name: String,
    pub mirror: Mirror,
}

/// The suites of an archive that the machine itself uses; none if it does not use the archive.
pub fn suites(archive: Archive) -> Vec<Suite> {
    suites_of(archive, &entries())
}

/// A suite of an archive: from where the machine gets it, or else from where it gets others.
pub fn suite(archive: Archive, name: &str) -> Result<Suite> {
    let own = suites(archive);
    if let Some(suite) = own.iter().find(|s| s.name == name) {
        return Ok(suite.clone());
    }
    if let Some(Suite { mirror, .. }) = own.into_iter().next() {
        let name = name.to_owned();
        return Ok(Suite { name, mirror });
    }
    // A machine without apt sources of its own cannot say; say so rather than guess.
    if output(Command::new("apt-get").arg("--version"), "use apt").is_err() {
        bail!("this needs apt (Debian or a system derived from it), and there is no apt-get here");
    }
    let which = match archive {
        Archive::Main => "main archive",
        Archive::Security => "security archive",
    };
    bail!(Unavailable(format!(
        "found no mirror of Debian's {which} in /etc/apt/sources.list or /etc/apt/sources.list.d: add it there"
    )))
}

fn suites_of(archive: Archive, entries: &[Entry]) -> Vec<Suite> {
    let mut suites: Vec<Suite> = Vec::new();
    for entry in entries {
        for name in entry.suites_of(archive) {
            if !suites.iter().any(|s| s.name == *name) {
                suites.push(Suite {
                    name: name.clone(),
                    mirror: entry.mirror.clone(),
                });
            }
        }
    }
    suites
}

fn entries() -> Vec<Entry> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(parts) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut parts: Vec<_> = parts.filter_map(|e| e.ok().map(|e| e.path())).collect();
        parts.sort();
        files.extend(parts);
    }
    let mut entries = Vec::new();
    for file in &files {
        let Ok(text) = fs::read_to_string(file) else {
            continue;
        };
        match file.extension().and_then(|e| e.to_str()) {
            Some("sources") => entries.extend(from_deb822(&text)),
            Some("list") => entries.extend(from_one_line(&text)),
            _ => {}
        }
    }
    entries
}

impl Entry {
    /// Those of its suites that are of Debian's archive, and not of someone else's.
    fn suites_of(&self, archive: Archive) -> impl Iterator<Item = &String> {
        let (place, security) = match archive {
            Archive::Main => ("/debian", false),
            Archive::Security => ("/debian-security", true),
        };
        let fits = self.mirror.uri.trim_end_matches('/').ends_with(place)
            && self.components.iter().any(|c| c == "main");
        self.suites
            .iter()
            .filter(move |s| fits && s.contains("security") == security && !s.ends_with('/'))
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn from_deb822(text: &str) -> Vec<Entry> {
    let entry = |stanza: &str| {
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
        // A key written into the stanza itself has no one-line form: apt's own keyrings then serve.
        let signed_by = field("Signed-By").filter(|k| k.starts_with('/'));
        let trusted = field("Trusted").is_some_and(|v| v.eq_ignore_ascii_case("yes"));
        on.then_some(Entry {
            mirror: Mirror {
                uri,
                signed_by,
                trusted,
            },
            suites: words(&field("Suites")?),
            components: words(&field("Components")?),
        })
    };
    text.split("\n\n").filter_map(entry).collect()
}

fn from_one_line(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let rest = line.trim().strip_prefix("deb ")?.trim();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(r) => r.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace().map(str::to_owned);
        let (uri, suite) = (words.next()?, words.next()?);
        let mut options = options.split_whitespace();
        let signed_by = options
            .clone()
            .find_map(|o| o.strip_prefix("signed-by="))
            .map(str::to_owned);
        let trusted = options.any(|o| o == "trusted=yes");
        Some(Entry {
            mirror: Mirror {
                uri,
                signed_by,
                trusted,
            },
            suites: vec![suite],
            components: words.collect(),
        })
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each suite, where it is, and its key.
    fn found(archive: Archive, entries: &[Entry]) -> Vec<(String, String, Option<String>)> {
        let suites = suites_of(archive, entries).into_iter();
        suites
            .map(|s| (s.name, s.mirror.uri, s.mirror.signed_by))
            .collect()
    }

    fn at(name: &str, uri: &str, key: Option<&str>) -> (String, String, Option<String>) {
        (name.into(), uri.into(), key.map(str::to_owned))
    }

    const KEY: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

    #[test]
    fn each_archive_is_found_in_deb822() {
        let text = format!(
            "Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n\
             \nTypes: deb\n# a remark: here\nURIs: http://mirror.example/debian\n\
             Suites: bookworm bookworm-updates\nComponents: main contrib\nSigned-By: {KEY}\n"
        );
        let entries = from_deb822(&text);
        let main = "http://mirror.example/debian";
        assert_eq!(
            found(Archive::Main, &entries),
            [
                at("bookworm", main, Some(KEY)),
                at("bookworm-updates", main, Some(KEY))
            ]
        );
        let security = "http://mirror.example/debian-security";
        assert_eq!(
            found(Archive::Security, &entries),
            [at("bookworm-security", security, None)]
        );
    }

    #[test]
    fn a_disabled_entry_is_passed_over() {
        let text =
            "Enabled: no\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n";
        assert!(from_deb822(text).is_empty());
    }

    #[test]
    fn each_archive_is_found_in_one_line_entries() {
        let text = "# deb http://old.example/debian stretch main\n\
                    deb http://sec.example/debian-security bookworm-security main\n\
                    deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian/ bookworm main\n\
                    deb http://other.example/debian trixie main\n\
                    deb http://third.example/debian bookworm main\n";
        let entries = from_one_line(text);
        // Each suite from where the machine has it first.
        assert_eq!(
            found(Archive::Main, &entries),
            [
                at("bookworm", "https://mirror.example/debian/", Some("/k.gpg")),
                at("trixie", "http://other.example/debian", None)
            ]
        );
        assert_eq!(
            found(Archive::Security, &entries),
            [at(
                "bookworm-security",
                "http://sec.example/debian-security",
                None
            )]
        );
    }

    #[test]
    fn only_the_owner_of_the_machine_does_without_signatures() {
        let stanza = |more: &str| {
            format!("URIs: file:/mirror/debian\nSuites: bookworm\nComponents: main\n{more}")
        };
        let line = |options: &str| format!("deb {options} file:/mirror/debian bookworm main\n");
        let trusted = |entries: Vec<Entry>| suites_of(Archive::Main, &entries)[0].mirror.trusted;
        assert!(trusted(from_deb822(&stanza("Trusted: yes\n"))));
        assert!(trusted(from_one_line(&line("[arch=amd64 trusted=yes]"))));
        for more in ["", "Trusted: no\n", "# Trusted: yes\n"] {
            assert!(!trusted(from_deb822(&stanza(more))), "{more}");
        }
        for options in ["", "[trusted=no]", "[signed-by=/trusted=yes]"] {
            assert!(!trusted(from_one_line(&line(options))), "{options}");
        }
    }

    #[test]
    fn other_archives_are_not_taken_for_debian() {
        for text in [
            "deb https://packages.example/cloud-sdk cloud main\n",
            "deb https://x.example/ubuntu noble-security main\n",
            "deb https://x.example/debian bookworm contrib\n",
        ] {
            for archive in [Archive::Main, Archive::Security] {
                assert!(found(archive, &from_one_line(text)).is_empty(), "{text}");
            }
        }
        let flat = "URIs: https://x.example/node\nSuites: nodistro\nComponents: main\n";
        assert!(found(Archive::Main, &from_deb822(flat)).is_empty());
    }
}
