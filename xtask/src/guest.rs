// SPDX-License-Identifier: GPL-2.0-only
//! What the guests run: Debian's cloud kernel for arm64, and an initial file system with busybox and our init.

use crate::apt::Apt;
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result, bail};
use cpio::{NewcBuilder, newc};
use flate2::{Compression, GzBuilder};
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

/// The first process of every guest.
const INIT: &str = include_str!("../assets/init");

/// Kernel and initial file system.
pub struct Guest {
    /// A raw arm64 image.
    pub kernel: PathBuf,
    /// A compressed cpio archive.
    pub initrd: PathBuf,
}

/// Fetches the kernel and busybox once, and makes the initial file system.
pub fn prepare() -> Result<Guest> {
    let directory = paths::guest();
    let (kernel, busybox) = (directory.join("Image"), directory.join("busybox"));
    if !kernel.is_file() || !busybox.is_file() {
        fetch(&directory, &kernel, &busybox)?;
    }
    let initrd = directory.join("initrd.cpio.gz");
    let busybox =
        fs::read(&busybox).with_context(|| format!("cannot read {}", busybox.display()))?;
    let archive = archive(&busybox)?;
    if !fs::read(&initrd).is_ok_and(|old| old == archive) {
        fs::write(&initrd, archive)
            .with_context(|| format!("cannot write {}", initrd.display()))?;
    }
    Ok(Guest { kernel, initrd })
}

fn fetch(directory: &Path, kernel: &Path, busybox: &Path) -> Result<()> {
    let apt = Apt::new("trixie", "trixie", "arm64")?;
    apt.update()?;
    let step = Step::start("Fetching Debian's kernel for arm64");
    let meta = "linux-image-cloud-arm64:arm64";
    let package = apt
        .dependencies(meta)?
        .into_iter()
        .find(|p| p.starts_with("linux-image-"))
        .with_context(|| format!("Debian's {meta} names no kernel package"))?;
    apt.unpack(&package, directory)?;
    step.note("and busybox");
    apt.unpack("busybox-static:arm64", directory)?;
    let root = directory.join("root");
    let boot = root.join("boot");
    let image = fs::read_dir(&boot)
        .with_context(|| format!("{package} has no /boot"))?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .find(|p| {
            p.file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with("vmlinuz-"))
        })
        .with_context(|| format!("{package} has no kernel in /boot"))?;
    let start = fs::read(&image)?;
    if start.get(56..60) != Some(b"ARM\x64".as_slice()) {
        bail!("{} is not a raw arm64 kernel image", image.display());
    }
    let tool = ["bin/busybox", "usr/bin/busybox"]
        .iter()
        .map(|p| root.join(p))
        .find(|p| p.is_file())
        .context("Debian's busybox-static has no busybox")?;
    fs::copy(&tool, busybox)?;
    fs::rename(&image, kernel)?;
    fs::remove_dir_all(&root)?;
    step.done(package.split(':').next().unwrap_or(&package));
    Ok(())
}

/// The initial file system, the same bytes each time.
fn archive(busybox: &[u8]) -> Result<Vec<u8>> {
    const DIRECTORY: u32 = 0o040_755;
    const PROGRAM: u32 = 0o100_755;
    const CONSOLE: u32 = 0o020_600;
    let mut entries: Vec<(NewcBuilder, Cursor<Vec<u8>>)> = Vec::new();
    let mut inode = 0;
    let mut add = |name: &str, mode: u32, content: &[u8]| {
        inode += 1;
        let mut builder = NewcBuilder::new(name)
            .mode(mode)
            .ino(inode)
            .nlink(1)
            .mtime(0);
        if mode == CONSOLE {
            builder = builder.rdev_major(5).rdev_minor(1);
        }
        entries.push((builder, Cursor::new(content.to_vec())));
    };
    for directory in ["bin", "dev", "proc", "run", "sys"] {
        add(directory, DIRECTORY, &[]);
    }
    // The kernel opens it for init before init can mount /dev.
    add("dev/console", CONSOLE, &[]);
    add("bin/busybox", PROGRAM, busybox);
    add("init", PROGRAM, INIT.as_bytes());
    let mut plain = Vec::new();
    for (builder, mut content) in entries {
        let size = u32::try_from(content.get_ref().len()).context("busybox is too large")?;
        let mut writer = builder.write(&mut plain, size);
        std::io::copy(&mut content, &mut writer)?;
        writer.finish()?;
    }
    newc::trailer(&mut plain)?;
    let mut packed = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::default());
    packed.write_all(&plain)?;
    Ok(packed.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_archive_is_reproducible_and_complete() {
        let packed = archive(b"tool").unwrap();
        assert_eq!(packed, archive(b"tool").unwrap());
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
        assert!(names.contains(&("init".into(), INIT.len() as u32)));
        assert!(names.contains(&("dev/console".into(), 0)));
    }
}
