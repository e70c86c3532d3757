// SPDX-License-Identifier: GPL-2.0-only
//! `tools`: the toolstack, patched and built for arm64, and what libxl makes for a guest.
//!
//! A build on another machine leaves out what libxl does for Arm. So this one is for arm64 whatever it runs on: by the cross
//! compiler, with Debian's arm64 packages unpacked aside and nothing installed. It is Xen's own make that builds all of `tools/libs`
//! and `xl`, with its own `-Werror`, without the patches and then with them. Each time `patches/tools/libxl.c` asks libxl for
//! guests: those without messages have the same device trees and ACPI tables before and after, byte for byte, and of those with
//! messages it looks at what it is told, and at what Xen is.

use crate::apt::{Apt, Archive};
use crate::command::{assign, exists, make, run};
use crate::hypervisor::copy::{copy_file, files_of};
use crate::hypervisor::patch::patch_once;
use crate::hypervisor::tree::Source;
use crate::hypervisor::xen::CROSS;
use crate::package::{self, Wish};
use crate::paths;
use crate::progress::Step;
use crate::unavailable::Unavailable;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which trees.
#[derive(clap::Args, Clone, Debug)]
pub struct Arguments {
    /// The Xen sources, several: the path of a tree each (copied, never changed). Debian's are not ready to be configured
    #[arg(long, env = "XEN_TREE", required = true, num_args = 1.., value_name = "PATH")]
    pub xen: Vec<String>,
}

/// What is built of `tools`, in this order.
const PARTS: [&str; 3] = ["include", "libs", "xl"];

/// Where the arm64 packages are from, whatever this machine runs.
const SUITE: &str = "bookworm";

/// The packages: each with what it needs, because nothing is resolved here.
const PACKAGES: [&str; 17] = [
    "libc6",
    "libc6-dev",
    "libfdt-dev",
    "libfdt1",
    "libgcc-s1",
    "libjson-c-dev",
    "libjson-c5",
    "libncurses-dev",
    "libncurses6",
    "libtinfo6",
    "libuuid1",
    "libyajl-dev",
    "libyajl2",
    "linux-libc-dev",
    "uuid-dev",
    "zlib1g",
    "zlib1g-dev",
];

/// What the build runs, and Debian's package of it.
const PROGRAMS: [(&str, &str); 6] = [
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("iasl", "acpica-tools"),
    ("make", "make"),
    ("perl", "perl"),
    ("pkg-config", "pkgconf"),
    ("python3", "python3"),
];

/// What runs programs for arm64, if this machine does not.
const EMULATORS: [&str; 2] = ["qemu-aarch64", "qemu-aarch64-static"];

/// Directories of a tree that nothing here needs.
const NOT_NEEDED: [&str; 4] = [".git", "automation", "dist", "stubdom"];

/// Of libxl's, those that the program is linked with beside it.
const LIBRARIES: [&str; 11] = [
    "call",
    "ctrl",
    "devicemodel",
    "evtchn",
    "foreignmemory",
    "gnttab",
    "guest",
    "hypfs",
    "store",
    "toolcore",
    "toollog",
];

/// Tries all; the result is whether none has failed.
pub fn tools(arguments: &Arguments) -> Result<bool> {
    let missing: Vec<String> = PROGRAMS
        .iter()
        .filter(|(program, _)| !exists(program))
        .map(|(program, package)| format!("{program} (Debian's {package})"))
        .collect();
    if !missing.is_empty() {
        let text = format!("there is no {}", missing.join(" and no "));
        bail!(Unavailable(text));
    }
    let emulator = match cfg!(target_arch = "aarch64") {
        true => Some(None),
        false => EMULATORS.into_iter().find(|e| exists(e)).map(Some),
    };
    let root = sysroot()?;
    let (mut good, mut failed) = (Vec::new(), Vec::new());
    for xen in &arguments.xen {
        let source = Source::open(xen)?;
        let checked = Toolstack::new(&source, &root, emulator).and_then(|t| t.check(&source));
        match checked {
            Ok(()) => good.push(source.full_version),
            Err(error) => {
                eprintln!(
                    "vgic: the toolstack of Xen {}: {error:#}",
                    source.full_version
                );
                failed.push(source.full_version);
            }
        }
    }
    let untried = match emulator {
        Some(_) => "",
        None => "; what libxl makes was not tried: there is no qemu-aarch64 (Debian's qemu-user)",
    };
    match failed.as_slice() {
        [] => println!("tools: ok {}{untried}", good.join(" ")),
        failed => println!("tools: FAILED {}{untried}", failed.join(" ")),
    }
    Ok(failed.is_empty())
}

/// The directory with Debian's headers and libraries for arm64.
fn sysroot() -> Result<PathBuf> {
    let root = paths::target().join(format!("tools-{SUITE}-arm64"));
    let stamp = root.join("whole");
    let all = PACKAGES.join(" ");
    if fs::read_to_string(&stamp).is_ok_and(|is| is == all) {
        return Ok(root);
    }
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    for name in PACKAGES {
        let wish = Wish {
            what: format!("{name} for arm64"),
            name: format!("{name}-{SUITE}-arm64"),
            suites: vec![(Archive::Main, SUITE.into())],
            architecture: "arm64".into(),
            choose: Box::new(move |_: &Apt| Ok(Some(format!("{name}:arm64")))),
        };
        package::unpack(&wish.obtain()?, &root)?;
    }
    fs::write(&stamp, all).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(root)
}

/// A copy of a tree, with what it is built with.
struct Toolstack<'a> {
    tree: PathBuf,
    root: &'a Path,
    /// None: programs for arm64 cannot be run; none in that: they need nothing to run them.
    emulator: Option<Option<&'static str>>,
}

impl<'a> Toolstack<'a> {
    /// A fresh copy: the patches are applied in it.
    fn new(
        source: &Source,
        root: &'a Path,
        emulator: Option<Option<&'static str>>,
    ) -> Result<Toolstack<'a>> {
        if !source.path.join("tools/configure").is_file() {
            bail!(
                "the tree at {} has no tools/configure: its autogen.sh makes it",
                source.path.display()
            );
        }
        let tree = paths::xen(&source.name).join("tools");
        let _ = fs::remove_dir_all(&tree);
        for file in files_of(&source.path, &NOT_NEEDED)? {
            copy_file(&source.path.join(&file), &tree.join(&file))?;
        }
        Ok(Toolstack {
            tree,
            root,
            emulator,
        })
    }

    /// Builds without the patches and with them, and compares.
    fn check(&self, source: &Source) -> Result<()> {
        let title = |how| {
            format!(
                "Building the toolstack of Xen {} ({how})",
                source.full_version
            )
        };
        let step = Step::long(title("upstream source, for arm64"), 2);
        self.configure()?;
        let before = self.build("upstream")?;
        step.done("built");
        let step = Step::long(title("patched source, for arm64"), 2);
        for patch in source.series()? {
            patch_once(&self.tree, &patch)?;
        }
        let after = self.build("patched")?;
        step.done("built");
        let (Some(before), Some(after)) = (before, after) else {
            return Ok(());
        };
        for name in ["v2.dtb", "v2.acpi", "v3.dtb", "v3.acpi"] {
            let read = |directory: &Path| {
                let file = directory.join(name);
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
            };
            if read(&before)? != read(&after)? {
                bail!(
                    "{name} of a guest without messages is not what it was: compare {} and {}",
                    before.display(),
                    after.display()
                );
            }
        }
        Ok(())
    }

    fn compiler(&self) -> OsString {
        let mut compiler = OsString::from(format!("{CROSS}gcc --sysroot="));
        compiler.push(self.root);
        compiler
    }

    fn configure(&self) -> Result<()> {
        let mut command = Command::new("./configure");
        command
            .current_dir(self.tree.join("tools"))
            .arg("--host=aarch64-linux-gnu")
            .args(["ocamltools", "golang", "xsmpolicy", "pygrub"].map(|p| format!("--disable-{p}")))
            .args(["seabios", "rombios", "ipxe"].map(|p| format!("--disable-{p}")))
            // Not to be built, and not run here.
            .args(["qemu", "seabios"].map(|p| format!("--with-system-{p}=/bin/true")))
            .env("CC", self.compiler())
            .env("LD", format!("{CROSS}ld"));
        self.packages(&mut command);
        let log = self.tree.with_extension("configure.log");
        run(&mut command, "configure the toolstack", Some(&log)).map(drop)
    }

    /// Has pkg-config look at the arm64 packages, and at no others.
    fn packages(&self, command: &mut Command) {
        let place = self.root.join("usr/lib/aarch64-linux-gnu/pkgconfig");
        command
            .env("PKG_CONFIG_LIBDIR", place)
            .env("PKG_CONFIG_SYSROOT_DIR", self.root);
    }

    /// Builds what there is now, and has the program leave its guests in a directory, if it can be run.
    fn build(&self, kind: &str) -> Result<Option<PathBuf>> {
        let jobs = std::thread::available_parallelism().map_or(1, |n| n.get());
        for part in PARTS {
            let mut make = make(&self.tree.join("tools").join(part));
            make.arg(format!("-j{jobs}"))
                .arg("XEN_TARGET_ARCH=arm64")
                .arg(assign("CROSS_COMPILE", CROSS))
                .arg(assign("CC", self.compiler()));
            self.packages(&mut make);
            let log = self.tree.with_extension(format!("{kind}.{part}.log"));
            run(&mut make, &format!("build tools/{part}"), Some(&log))?;
        }
        let directory = self.tree.with_extension(kind);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let (program, libraries) = self.program(&directory)?;
        let Some(emulator) = self.emulator else {
            return Ok(None);
        };
        // By the loader that came with its C library.
        let loader = self.root.join("lib/ld-linux-aarch64.so.1");
        let mut command = match emulator {
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.arg(&loader);
                command
            }
            None => Command::new(&loader),
        };
        command
            .arg("--library-path")
            .arg(libraries)
            .arg(program)
            .arg(&directory);
        let log = self.tree.with_extension(format!("{kind}.log"));
        run(&mut command, "have libxl make guests", Some(&log))?;
        Ok(Some(directory))
    }

    /// Compiles the program, and says where its libraries are.
    fn program(&self, directory: &Path) -> Result<(PathBuf, OsString)> {
        let libs = self.tree.join("tools/libs");
        let program = directory.join("guests");
        let mut cc = Command::new(format!("{CROSS}gcc"));
        let mut sysroot = OsString::from("--sysroot=");
        sysroot.push(self.root);
        cc.arg(sysroot)
            .args(["-std=gnu99", "-g", "-O1", "-Wall", "-Werror"])
            .args(["-Wno-format-zero-length", "-Wno-unused-function"])
            .args([
                "-D__XEN_TOOLS__",
                "-D_LARGEFILE_SOURCE",
                "-D_LARGEFILE64_SOURCE",
            ])
            .arg("-D__XEN_INTERFACE_VERSION__=__XEN_LATEST_INTERFACE_VERSION__")
            .arg("-include")
            .arg(self.tree.join("tools/config.h"));
        for include in ["tools/include", "tools/libs/light", "tools/libs/guest"] {
            cc.arg("-I").arg(self.tree.join(include));
        }
        cc.arg(paths::root().join("patches/tools/libxl.c"))
            .arg("-o")
            .arg(&program)
            .arg(libs.join("light/libxenlight.a"))
            .arg("-Wl,--as-needed");
        let mut all = OsString::new();
        for library in LIBRARIES {
            let place = libs.join(library);
            let mut link = OsString::from("-Wl,-rpath-link=");
            link.push(&place);
            cc.arg(link).arg("-L").arg(&place);
            cc.arg(format!("-lxen{library}"));
            all.push(&place);
            all.push(":");
        }
        cc.args(["uuid", "yajl", "json-c", "fdt", "z"].map(|l| format!("-l{l}")));
        for place in ["lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu"] {
            all.push(self.root.join(place));
            all.push(":");
        }
        run(&mut cc, "compile a program with libxl", None)?;
        Ok((program, all))
    }
}
