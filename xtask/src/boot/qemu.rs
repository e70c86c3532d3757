// SPDX-License-Identifier: GPL-2.0-only
//! Which QEMU: the machine's own, or where that one loses interrupts, the one that Debian has backported.
//!
//! The latter is unpacked below `target/qemu` and not installed. It wants no libraries that the machine's own does not
//! want too, and none of its data: our machines have no device with a ROM. It is also what there is on a machine on which
//! `vgic` could install the libraries alone.

use crate::apt::{self, Apt, Archive};
use crate::command::run;
use crate::interrupt;
use crate::package::{self, Wish};
use crate::paths;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The emulator.
const PROGRAM: &str = "qemu-system-aarch64";
/// Debian's package of it.
const PACKAGE: &str = "qemu-system-arm";
/// What a person can do where neither is to be had.
const MISSING: &str = "there is no qemu-system-aarch64 (Debian: qemu-system-arm), and a newer one could not be fetched";

/// An emulator, and which it is.
#[derive(Clone)]
pub struct Qemu {
    /// The program.
    pub program: PathBuf,
    /// Its version.
    pub version: Version,
}

/// QEMU's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 7 in 7.2.
    pub major: u32,
    /// 2 in 7.2.
    pub minor: u32,
}

impl Version {
    /// Before 9.1, QEMU's GICv2 has an active bit per CPU for each SPI: an interrupt that one CPU has acknowledged and a
    /// guest ends on another stays active for ever, and the line is dead. It happens when Xen moves a vCPU between the
    /// two, whatever the vGIC.
    pub fn loses_moved_spis(self) -> bool {
        self < Version { major: 9, minor: 1 }
    }

    /// Whether its NVMes can do without shadow doorbells. 7.2's cannot, 10.0's can.
    pub fn has_nvme_without_shadow_doorbells(self) -> bool {
        self.major >= 10
    }

    /// Whether its SMMUv3 has stage 2, which is the one that Xen uses.
    pub fn translates_for_xen(self) -> bool {
        self.major >= 9
    }

    /// The version of its interface to plugins that ours are compiled for.
    pub fn plugin_interface(self) -> u32 {
        if self.major >= 9 { 2 } else { 1 }
    }

    /// Whether counting instructions makes boots of several CPUs the same each time. 7.2 does not, 10.0 does.
    pub fn counts_on_many_cpus(self) -> bool {
        self.major >= 10
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The machine's own if it is new enough, else the backported one if that can be had, else the machine's own.
///
/// What could not be fetched once is not tried again by each boot: [`retry`] forgets it.
pub fn find() -> Result<Qemu> {
    let own = own()?;
    if let Some(own) = &own
        && !own.version.loses_moved_spis()
    {
        return Ok(own.clone());
    }
    let backport = unpacked();
    if !backport.is_file() {
        let Some(own) = own else {
            fetch().context(MISSING)?;
            return Qemu::of(&backport);
        };
        if note().is_file() {
            return Ok(own);
        }
        if let Err(error) = fetch() {
            // Of what was interrupted nothing is known.
            interrupt::check()?;
            let why = format!("{error:#}");
            eprintln!(
                "vgic: staying with QEMU {}: {}; ./vgic setup tries again",
                own.version,
                why.lines().next().unwrap_or_default()
            );
            fs::create_dir_all(directory())?;
            fs::write(note(), why)?;
            return Ok(own);
        }
    }
    Qemu::of(&backport)
}

/// Has a program that looks for QEMU find the unpacked one where the machine has none of its own.
pub fn lend(command: &mut Command) -> Result<()> {
    let there = unpacked();
    if !there.is_file() {
        return Ok(());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).chain(there.parent().map(Path::to_owned));
    command.env("PATH", std::env::join_paths(all)?);
    Ok(())
}

/// Forgets that the backported QEMU could not be fetched.
pub fn retry() {
    // If there is nothing to forget, so much the better.
    let _ = fs::remove_file(note());
}

/// The machine's own; none if it has none.
fn own() -> Result<Option<Qemu>> {
    let found = Command::new(PROGRAM).arg("--version").output();
    if found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    Qemu::of(Path::new(PROGRAM)).map(Some)
}

/// The backported one, if it has been fetched.
fn unpacked() -> PathBuf {
    directory().join("root/usr/bin").join(PROGRAM)
}

fn directory() -> PathBuf {
    paths::target().join("qemu")
}

/// Says why it could not be fetched.
fn note() -> PathBuf {
    directory().join("not-fetched")
}

/// The backported one.
fn backport() -> Result<Wish> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let release = codename(&release).context("/etc/os-release names no release of Debian's")?;
    let host = apt::host_architecture()?;
    let choose = |apt: &Apt| {
        let newest = apt.versions(PACKAGE)?.into_iter().next();
        Ok(newest.map(|version| format!("{PACKAGE}={version}")))
    };
    Ok(Wish {
        what: "a newer QEMU".into(),
        name: format!("qemu-{release}-{host}"),
        suites: vec![(Archive::Main, format!("{release}-backports"))],
        architecture: host,
        choose: Box::new(choose),
    })
}

fn fetch() -> Result<()> {
    let kept = backport()?.obtain()?;
    // Tried before it gets its name.
    package::unpack_as(&kept, &directory().join("root"), |aside| {
        let found = Qemu::of(&aside.join("usr/bin").join(PROGRAM))?.version;
        if found.loses_moved_spis() {
            bail!("Debian's backports have QEMU {found}, which is no better");
        }
        Ok(())
    })
}

/// Which one there is without a network; the error says what is not there.
pub fn at_hand() -> Result<String, String> {
    let own = own().map_err(|_| "QEMU".to_owned())?;
    if let Some(own) = &own
        && !own.version.loses_moved_spis()
    {
        return Ok(format!("QEMU: the machine's own {}", own.version));
    }
    if let Ok(qemu) = Qemu::of(&unpacked()) {
        return Ok(format!("QEMU: {}, unpacked in this clone", qemu.version));
    }
    match (backport().map(|wish| wish.kept()), own) {
        (Ok(Some(kept)), _) => Ok(format!("QEMU: {}", kept.what)),
        (_, Some(own)) => Err(format!(
            "a QEMU newer than the machine's own {}",
            own.version
        )),
        (_, None) => Err("QEMU".to_owned()),
    }
}

fn codename(os_release: &str) -> Option<&str> {
    os_release
        .lines()
        .find_map(|l| l.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"'))
        .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()))
}

impl Qemu {
    fn of(program: &Path) -> Result<Qemu> {
        let text = run(
            Command::new(program).arg("--version"),
            "ask QEMU for its version",
            None,
        )?;
        let version = parse_version(&text).with_context(|| {
            format!("{} --version says something unexpected", program.display())
        })?;
        Ok(Qemu {
            program: program.to_owned(),
            version,
        })
    }
}

fn parse_version(text: &str) -> Option<Version> {
    let number = text.split("version ").nth(1)?.split_whitespace().next()?;
    let mut parts = number.split('.');
    Some(Version {
        major: parts.next()?.parse().ok()?,
        minor: parts.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let text = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright";
        let old = parse_version(text).unwrap();
        assert_eq!(old, Version { major: 7, minor: 2 });
        assert!(old.loses_moved_spis() && !old.counts_on_many_cpus());
        let new = parse_version("QEMU emulator version 10.0.2").unwrap();
        assert!(!new.loses_moved_spis() && new.counts_on_many_cpus());
        assert_eq!(parse_version("nothing"), None);
    }

    #[test]
    fn the_release_names_its_backports() {
        let text = "NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(codename(text), Some("bookworm"));
        assert_eq!(
            codename("VERSION_CODENAME=\"bookworm\"\n"),
            Some("bookworm")
        );
        assert_eq!(codename("VERSION_CODENAME=\n"), None);
        assert_eq!(codename("ID=debian\n"), None);
    }
}
