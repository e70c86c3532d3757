// SPDX-License-Identifier: GPL-2.0-only
//! What the guests run: Debian's cloud kernel for arm64, and an initial file system with busybox and our init.

use crate::apt::{Apt, Archive};
use crate::boot::life;
use crate::boot::load;
use crate::boot::pci;
use crate::boot::pci_arguments::PciArguments;
use crate::command::output;
use crate::package::{self, Wish};
use crate::paths;
use anyhow::{Context, Result, bail};
use cpio::{NewcBuilder, newc};
use flate2::{Compression, GzBuilder};
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first process of every guest.
const INIT: &str = include_str!("../../assets/init");
/// The part of it that Dom0 alone needs.
const LOAD: &str = include_str!("../../assets/load");
/// The driver through which Dom0's programs reach Xen; Debian has it as a module.
const PRIVCMD: &str = "xen-privcmd.ko";
/// The part of it that is about disks which go from domain to domain.
const PCI: &str = include_str!("../../assets/owned");
/// The drivers of an AHCI disk, in the order in which they are loaded.
const AHCI: [&str; 6] = [
    "scsi_common.ko",
    "scsi_mod.ko",
    "sd_mod.ko",
    "libata.ko",
    "libahci.ko",
    "ahci.ko",
];

/// Kernel and initial file system.
pub struct Guest {
    /// A raw arm64 image.
    pub kernel: PathBuf,
    /// A compressed cpio archive.
    pub initrd: PathBuf,
    /// The same for Dom0, with more behind where it needs more.
    pub dom0_initrd: PathBuf,
}

/// What the initial file system is made of.
struct Content {
    busybox: Vec<u8>,
    privcmd: Vec<u8>,
    life: Vec<u8>,
    messages: Vec<u8>,
    storm: Vec<u8>,
    state: Vec<u8>,
    pci: Vec<u8>,
    hostile: Vec<u8>,
    /// The test guest, where Dom0 is to load it again.
    test: Vec<u8>,
}

/// The package that depends on the kernel's.
const KERNEL: &str = "linux-image-cloud-arm64:arm64";
const BUSYBOX: &str = "busybox-static:arm64";

fn kernel() -> Wish {
    let choose = |apt: &Apt| {
        if apt.versions(KERNEL)?.is_empty() {
            return Ok(None);
        }
        let mut parts = apt.dependencies(KERNEL)?.into_iter();
        Ok(parts.find(|p| p.starts_with("linux-image-")))
    };
    Wish {
        what: "a kernel for arm64".into(),
        name: "linux-arm64".into(),
        suites: vec![
            (Archive::Main, "trixie".into()),
            (Archive::Security, "trixie-security".into()),
            (Archive::Main, "bookworm-backports".into()),
        ],
        architecture: "arm64".into(),
        choose: Box::new(choose),
    }
}

fn busybox() -> Wish {
    let choose = |apt: &Apt| {
        let versions = apt.versions(BUSYBOX)?;
        Ok((!versions.is_empty()).then(|| BUSYBOX.to_owned()))
    };
    Wish {
        what: "busybox for arm64".into(),
        name: "busybox-arm64".into(),
        suites: ["trixie", "bookworm"]
            .map(|suite| (Archive::Main, suite.into()))
            .into(),
        architecture: "arm64".into(),
        choose: Box::new(choose),
    }
}

/// The files that come from packages.
struct Parts {
    kernel: PathBuf,
    busybox: PathBuf,
    modules: PathBuf,
}

impl Parts {
    fn new() -> Parts {
        let directory = paths::guest();
        Parts {
            kernel: directory.join("Image"),
            busybox: directory.join("busybox"),
            modules: directory.join("modules"),
        }
    }

    fn are_there(&self) -> bool {
        let modules = Self::names().map(|name| self.modules.join(name));
        let files = [self.kernel.clone(), self.busybox.clone()];
        files.into_iter().chain(modules).all(|f| f.is_file())
    }

    /// The modules that are needed now and then.
    fn names() -> impl Iterator<Item = &'static str> {
        AHCI.into_iter().chain([PRIVCMD])
    }
}

/// Fetches the kernel and busybox once, and makes the initial file system, with the image of the test guest if there is one, and
/// with what PCI devices take that are read so often.
pub fn prepare(test: Option<&Path>, pci: &PciArguments, reads: u32) -> Result<Guest> {
    let parts = Parts::new();
    if !parts.are_there() {
        unpack(&parts)?;
    }
    let initrd = paths::guest().join("initrd.cpio.gz");
    let read =
        |file: &Path| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    let archive = archive(&Content {
        busybox: read(&parts.busybox)?,
        privcmd: read(&parts.modules.join(PRIVCMD))?,
        life: read(&life::build(life::LIFE)?)?,
        messages: read(&life::build(life::MESSAGES)?)?,
        storm: read(&life::build(life::STORM)?)?,
        state: read(&life::build(life::STATE)?)?,
        pci: read(&life::build(life::PCI)?)?,
        hostile: read(&life::build(life::HOSTILE)?)?,
        test: test.map(read).transpose()?.unwrap_or_default(),
    })?;
    write(&initrd, &archive)?;
    let mut more = Vec::new();
    let mut add = |name: String, file: &Path| -> Result<()> {
        more.push((name, FILE, read(file)?));
        Ok(())
    };
    if pci.owners() > 0 {
        let length = u64::try_from(archive.len()).unwrap_or(u64::MAX);
        for (name, path) in [("Image", &parts.kernel), ("initrd", &initrd)] {
            add(format!("lib/pci/{name}"), path)?;
        }
        for name in ["again", "last"] {
            let bootargs = format!(
                "console=ttyAMA0 earlycon=pl011,0x22000000 loglevel=5 cma=0 role=guest part={name} disks={} reads={}",
                load::FIXED,
                (reads / 10).max(50)
            );
            let tree = pci::owner_tree(&paths::guest(), name, &bootargs, length)?;
            add(format!("lib/pci/{name}.dtb"), &tree)?;
        }
    }
    if pci.vpci {
        for name in AHCI {
            add(format!("lib/ahci/{name}"), &parts.modules.join(name))?;
        }
    }
    let kernel = parts.kernel;
    if more.is_empty() {
        let dom0_initrd = initrd.clone();
        return Ok(Guest {
            kernel,
            initrd,
            dom0_initrd,
        });
    }
    let dom0_initrd = paths::guest().join(format!("initrd{}.cpio.gz", pci.suffix()));
    write(&dom0_initrd, &[archive, newc(more)?].concat())?;
    Ok(Guest {
        kernel,
        initrd,
        dom0_initrd,
    })
}

/// Writes a file that is another.
fn write(file: &Path, content: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|old| old == content) {
        return Ok(());
    }
    fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))
}

/// What of it is there without a network, in a line each; the error says what is not.
pub fn at_hand() -> Vec<Result<String, String>> {
    let unpacked = Parts::new().are_there();
    let look = |wish: &Wish| match wish.kept() {
        Some(kept) => Ok(format!("{}: {}", wish.what, kept.what)),
        None if unpacked => Ok(format!("{}: unpacked in this clone", wish.what)),
        None => Err(wish.what.clone()),
    };
    vec![look(&kernel()), look(&busybox())]
}

/// Unpacks aside, and gives each file its name when all are whole.
fn unpack(parts: &Parts) -> Result<()> {
    let (kernel, busybox) = (kernel().obtain()?, busybox().obtain()?);
    let directory = paths::guest();
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let aside = tempfile::Builder::new()
        .prefix("unpacking-")
        .tempdir_in(&directory)?;
    let root = aside.path();
    package::unpack(&kernel, root)?;
    package::unpack(&busybox, root)?;
    let boot = root.join("boot");
    let image = fs::read_dir(&boot)
        .with_context(|| format!("{} has no /boot", kernel.what))?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .find(|p| {
            p.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz-"))
        })
        .with_context(|| format!("{} has no kernel in /boot", kernel.what))?;
    let start = fs::read(&image)?;
    if start.get(56..60) != Some(b"ARM\x64".as_slice()) {
        bail!("{} is not a raw arm64 kernel image", image.display());
    }
    let tool = ["bin/busybox", "usr/bin/busybox"]
        .iter()
        .map(|p| root.join(p))
        .find(|p| p.is_file())
        .context("Debian's busybox-static has no busybox")?;
    fs::create_dir_all(&parts.modules)?;
    for name in Parts::names() {
        let module_aside = root.join(name);
        fs::write(&module_aside, module(root, &kernel.what, name)?)?;
        fs::rename(&module_aside, parts.modules.join(name))?;
    }
    fs::rename(&tool, &parts.busybox)?;
    fs::rename(&image, &parts.kernel)?;
    Ok(())
}

/// A module, unpacked.
fn module(root: &Path, package: &str, name: &str) -> Result<Vec<u8>> {
    let packed = format!("{name}.xz");
    let file = walkdir::WalkDir::new(root)
        .into_iter()
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .find(|p| p.file_name().is_some_and(|n| *n == *packed))
        .with_context(|| format!("{package} has no {packed}"))?;
    let out = output(
        Command::new("xz")
            .arg("--decompress")
            .arg("--stdout")
            .arg(&file),
        "unpack a kernel module",
    )?;
    if !out.status.success() {
        bail!("xz cannot unpack {}", file.display());
    }
    Ok(out.stdout)
}

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;
const CONSOLE: u32 = 0o020_600;

/// A file, a directory or a device: its name, mode and content.
type Entry = (String, u32, Vec<u8>);

/// The initial file system, the same bytes each time.
fn archive(content: &Content) -> Result<Vec<u8>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut add = |name: &str, mode: u32, content: &[u8]| {
        entries.push((name.to_owned(), mode, content.to_vec()));
    };
    for directory in [
        "bin", "dev", "lib", "lib/ahci", "lib/pci", "proc", "run", "sys",
    ] {
        add(directory, DIRECTORY, &[]);
    }
    // The kernel opens it for init before init can mount /dev.
    add("dev/console", CONSOLE, &[]);
    add("bin/busybox", PROGRAM, &content.busybox);
    add("bin/life", PROGRAM, &content.life);
    add("bin/messages", PROGRAM, &content.messages);
    add("bin/storm", PROGRAM, &content.storm);
    add("bin/state", PROGRAM, &content.state);
    add("bin/pci", PROGRAM, &content.pci);
    add("bin/hostile", PROGRAM, &content.hostile);
    add("lib/test-guest", FILE, &content.test);
    add(&format!("lib/{PRIVCMD}"), FILE, &content.privcmd);
    add("lib/load", FILE, LOAD.as_bytes());
    add("lib/owned", FILE, PCI.as_bytes());
    add("init", PROGRAM, INIT.as_bytes());
    let mut packed = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::default());
    packed.write_all(&newc(entries)?)?;
    let mut packed = packed.finish()?;
    // One that is not packed may follow, and Linux looks for it at multiples of four.
    packed.resize(packed.len().next_multiple_of(4), 0);
    Ok(packed)
}

/// An archive that is not packed.
fn newc(entries: Vec<Entry>) -> Result<Vec<u8>> {
    let (mut plain, mut inode) = (Vec::new(), 0);
    for (name, mode, content) in entries {
        inode += 1;
        let mut builder = NewcBuilder::new(&name)
            .mode(mode)
            .ino(inode)
            .nlink(1)
            .mtime(0);
        if mode == CONSOLE {
            builder = builder.rdev_major(5).rdev_minor(1);
        }
        let size = u32::try_from(content.len())
            .context("a file of the initial file system is too large")?;
        let mut writer = builder.write(&mut plain, size);
        std::io::copy(&mut Cursor::new(content), &mut writer)?;
        writer.finish()?;
    }
    newc::trailer(&mut plain)?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_archive_is_reproducible_and_complete() {
        let content = Content {
            busybox: b"tool".to_vec(),
            privcmd: b"module".to_vec(),
            life: b"life".to_vec(),
            messages: b"messages".to_vec(),
            storm: b"storm".to_vec(),
            state: b"state".to_vec(),
            pci: b"pci".to_vec(),
            hostile: b"hostile".to_vec(),
            test: b"a guest".to_vec(),
        };
        let packed = archive(&content).unwrap();
        assert_eq!(packed, archive(&content).unwrap());
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_end(&mut plain)
            .unwrap();
        let mut rest = plain.as_slice();
        let mut names = Vec::new();
        loop {
            let reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            names.push((reader.entry().name().to_owned(), reader.entry().file_size()));
            rest = reader.finish().unwrap();
        }
        assert!(names.contains(&("bin/busybox".into(), 4)));
        assert!(names.contains(&("bin/life".into(), 4)));
        assert!(names.contains(&("bin/messages".into(), 8)));
        assert!(names.contains(&("bin/storm".into(), 5)));
        assert!(names.contains(&("bin/state".into(), 5)));
        assert!(names.contains(&("bin/pci".into(), 3)));
        assert!(names.contains(&("lib/owned".into(), PCI.len() as u32)));
        assert!(names.contains(&("lib/test-guest".into(), 7)));
        assert!(names.contains(&("lib/xen-privcmd.ko".into(), 6)));
        assert!(names.contains(&("lib/load".into(), LOAD.len() as u32)));
        assert!(names.contains(&("init".into(), INIT.len() as u32)));
        assert!(names.contains(&("dev/console".into(), 0)));
    }
}
