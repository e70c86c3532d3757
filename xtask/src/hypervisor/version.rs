// SPDX-License-Identifier: GPL-2.0-only
//! Xen's releases: how one is read from a tree, a package or the command line, and which patch series is for it.

use anyhow::{Result, bail};
use std::path::Path;

/// The release of a Xen tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 4 in 4.20.
    pub major: u32,
    /// 20 in 4.20.
    pub minor: u32,
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
pub fn version(makefile: &str) -> Option<(Version, String)> {
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

/// Whether `--xen` asks for one of Debian's, and of which release if that matters; none if it is a path.
pub fn of_debian(argument: &str) -> Result<Option<Option<Version>>> {
    match argument {
        "debian" => Ok(Some(None)),
        other => Ok(debian_release(other)?.map(Some)),
    }
}

/// The release that `debian-RELEASE` asks for; none if it is another word.
fn debian_release(argument: &str) -> Result<Option<Version>> {
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

/// Is a patch of a series for this release? What is another file in some releases of a series has a patch for each: its
/// name has them after the number, `0028-4.18-name.patch` or, from one to another, `0028-4.19-4.20-name.patch`.
pub fn is_for(patch: &str, version: Version) -> bool {
    let mut releases = patch.split('-').skip(1).map_while(Version::parse);
    match (releases.next(), releases.next()) {
        (Some(first), Some(last)) => (first..=last).contains(&version),
        (Some(only), None) => only == version,
        _ => true,
    }
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
    fn a_patch_may_be_for_some_releases_of_its_series() {
        for (name, releases) in [
            ("0001-xen-arm.patch", [true; 3]),
            ("0028-4.18-xen-arm.patch", [true, false, false]),
            ("0028-4.19-4.20-xen-arm.patch", [false, true, true]),
        ] {
            let is = [18, 19, 20].map(|minor| is_for(name, v(4, minor)));
            assert_eq!(is, releases, "{name}");
        }
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
}
