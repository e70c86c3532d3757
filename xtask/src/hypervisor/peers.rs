// SPDX-License-Identifier: GPL-2.0-only
//! `peers`: Xen's C vGICs, and ours, as shared objects for the mock Xen (see peers/README.md).
//!
//! The sources are the tree's, unmodified. Of its headers they get [`HEADERS`] only; whatever else they include is empty,
//! because `mock.h` comes before everything.

use crate::command::run;
use crate::hypervisor::tree::Source;
use crate::hypervisor::version::Version;
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result};
use regex::Regex;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tree's directory with the vGICs, and with the headers.
const ARM: &str = "xen/arch/arm";
const INCLUDE: &str = "xen/arch/arm/include";

/// The headers that are the tree's own: a vGIC's structures, and the numbers of GICv3.
const HEADERS: [&str; 4] = [
    "asm/vgic.h",
    "asm/new_vgic.h",
    "asm/gic_v3_defs.h",
    "asm/gic_v3_its.h",
];

/// How the C half is told which Xen it is for: xen-glue/c/releases.h, and build.rs.
pub const RELEASE: &str = "RVGIC_XEN_RELEASE";

/// One of Xen's C vGICs.
struct Peer {
    name: &'static str,
    sources: &'static [&'static str],
    /// Options of Kconfig.
    options: &'static [&'static str],
}

const PEERS: [Peer; 2] = [
    Peer {
        name: "new",
        sources: &[
            "vgic/vgic.c",
            "vgic/vgic-init.c",
            "vgic/vgic-mmio.c",
            "vgic/vgic-mmio-v2.c",
            "vgic/vgic-v2.c",
        ],
        options: &["NEW_VGIC"],
    },
    Peer {
        name: "old",
        sources: &[
            "vgic.c",
            "vgic-v2.c",
            "vgic-v3.c",
            "vgic-v3-its.c",
            "gic-vgic.c",
        ],
        options: &["VGICV2", "GICV3", "GICV3_ESPI", "HAS_ITS"],
    },
];

/// The mock's C half, and what the C vGICs need beside it: ours.
const MOCK: [&str; 2] = ["harness/c", "peers/c"];

/// The C files of a directory, by name.
fn c_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let what = || format!("cannot read {}", directory.display());
    let entries = fs::read_dir(directory).with_context(what)?;
    let mut files: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "c"));
    files.sort();
    Ok(files)
}

/// Builds the shared objects and returns where they are. The latest are also directly in `target/peers`, where the mock Xen
/// looks for `new` and `old`.
pub fn build(source: &Source) -> Result<Vec<PathBuf>> {
    let all = paths::target().join("peers");
    let directory = all.join(&source.name);
    let step = Step::start(format!(
        "Building the vGICs of Xen {}, and ours, for the mock Xen",
        source.full_version
    ));
    let mut built = Vec::new();
    for peer in &PEERS {
        built.push(peer.build(source, &directory)?);
    }
    built.push(ours(source.version, &directory)?);
    for object in &built {
        let link = all.join(object.file_name().unwrap_or_default());
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(object, &link)
            .with_context(|| format!("cannot make {}", link.display()))?;
    }
    step.done(&format!("{}", directory.display()));
    Ok(built)
}

impl Peer {
    fn build(&self, source: &Source, directory: &Path) -> Result<PathBuf> {
        let arm = source.path.join(ARM);
        let work = directory.join(self.name);
        // What another state of the tree left is not to be found.
        let _ = fs::remove_dir_all(&work);
        let include = work.join("include");
        self.headers(source, &include)?;
        let mut objects = Vec::new();
        for file in self.sources {
            let mut compile = self.compiler(source.version, &include);
            // Xen's own build has its own opinion on warnings; an undeclared function is wrong here as there.
            compile.args(["-DNDEBUG", "-w", "-Werror=implicit-function-declaration"]);
            objects.push(object(compile, &arm.join(file), &work)?);
        }
        for directory in MOCK {
            for file in c_files(&paths::root().join(directory))? {
                let compile = self.compiler(source.version, &include);
                objects.push(object(compile, &file, &work)?);
            }
        }
        link(directory, self.name, &objects)
    }

    /// Copies the headers that the sources may have, and makes the rest of those that they name empty.
    fn headers(&self, source: &Source, to: &Path) -> Result<()> {
        let named = Regex::new(r"(?m)^\s*#\s*include\s*<([^>]+)>")?;
        let read = |file: &Path| {
            fs::read_to_string(file).with_context(|| format!("there is no {}", file.display()))
        };
        let mut wanted = BTreeSet::new();
        let mut look = |text: &str| {
            wanted.extend(named.captures_iter(text).map(|c| c[1].to_owned()));
        };
        for file in self.sources {
            look(&read(&source.path.join(ARM).join(file))?);
        }
        for header in HEADERS {
            let text = read(&source.path.join(INCLUDE).join(header))?;
            look(&text);
            write(&to.join(header), &text)?;
        }
        for header in wanted.iter().filter(|h| !HEADERS.contains(&h.as_str())) {
            write(&to.join(header), "")?;
        }
        Ok(())
    }

    fn compiler(&self, version: Version, include: &Path) -> Command {
        let root = paths::root();
        let mut cc = Command::new("cc");
        // As Xen compiles itself, for this machine and for a shared object.
        cc.args(["-std=gnu99", "-O2", "-g", "-fno-strict-aliasing", "-fPIC"]);
        cc.args([
            "-DMOCK_PEER".into(),
            format!("-D{RELEASE}={}", version.number()),
            "-DCONFIG_ARM_64".into(),
        ]);
        cc.args(self.options.iter().map(|o| format!("-DCONFIG_{o}")));
        for directory in [
            include.to_owned(),
            root.join("peers/include"),
            root.join("harness/include"),
        ] {
            cc.arg("-I").arg(directory);
        }
        cc.args(["-include", "mock.h"]);
        cc
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    let what = || format!("cannot write {}", file.display());
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).with_context(what)?;
    }
    fs::write(file, text).with_context(what)
}

/// Compiles one file.
fn object(mut compiler: Command, file: &Path, work: &Path) -> Result<PathBuf> {
    let name = file
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let object = work.join(format!("{name}.o"));
    compiler.arg("-c").arg(file).arg("-o").arg(&object);
    run(
        &mut compiler,
        &format!("compile {} for the mock Xen", file.display()),
        Some(&work.join(format!("{name}.log"))),
    )?;
    Ok(object)
}

/// Links `NAME.so` in the directory.
fn link(directory: &Path, name: &str, objects: &[PathBuf]) -> Result<PathBuf> {
    let shared = directory.join(name).with_extension("so");
    // The mock Xen takes what is there: it gets its name when it is whole.
    let aside = directory.join(name).with_extension("linking");
    let mut map = OsString::from("-Wl,--version-script=");
    map.push(paths::root().join("peers/exports.map"));
    let mut cc = Command::new("cc");
    cc.args([
        "-shared",
        "-Wl,-Bsymbolic",
        "-Wl,-z,defs",
        "-Wl,--gc-sections",
    ]);
    cc.arg(map).arg("-o").arg(&aside);
    cc.arg("-Wl,--whole-archive")
        .args(objects)
        .arg("-Wl,--no-whole-archive");
    cc.args(["-lgcc_s", "-lpthread", "-ldl", "-lm"]);
    run(
        &mut cc,
        &format!("link the {name} vGIC for the mock Xen"),
        Some(&directory.join(name).with_extension("link.log")),
    )?;
    fs::rename(&aside, &shared).with_context(|| format!("cannot make {}", shared.display()))?;
    Ok(shared)
}

/// Ours, compiled with the options that it has in the hypervisor.
fn ours(version: Version, directory: &Path) -> Result<PathBuf> {
    let target = paths::target().join("peers/cargo");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--locked", "--package", "peer"])
        .current_dir(paths::root())
        .env("CARGO_TARGET_DIR", &target)
        .env(RELEASE, version.number())
        .envs(
            [
                ("OPT_LEVEL", "3"),
                ("LTO", "fat"),
                ("CODEGEN_UNITS", "1"),
                ("PANIC", "abort"),
                ("DEBUG", "1"),
            ]
            .map(|(name, value)| (format!("CARGO_PROFILE_RELEASE_{name}"), value)),
        )
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("RUSTFLAGS");
    run(
        &mut cargo,
        "compile our vGIC for the mock Xen",
        Some(&directory.join("rust.log")),
    )?;
    link(directory, "rust", &[target.join("release/libpeer.a")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vgic_gets_few_headers_of_the_tree_and_empty_ones() {
        let (tree, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let source = Source {
            name: "fake".into(),
            path: tree.path().to_owned(),
            version: Version {
                major: 4,
                minor: 99,
            },
            full_version: "4.99".into(),
        };
        let peer = Peer {
            name: "fake",
            sources: &["vgic.c"],
            options: &[],
        };
        let missing = peer.headers(&source, to.path()).unwrap_err().to_string();
        assert!(
            missing.contains("there is no") && missing.contains("vgic.c"),
            "{missing}"
        );
        let includes = "#include <asm/vgic.h>\n # include <xen/new.h>\n#include \"own.h\"\n";
        write(&tree.path().join(ARM).join("vgic.c"), includes).unwrap();
        for header in HEADERS {
            write(
                &tree.path().join(INCLUDE).join(header),
                "#include <xen/more.h>\n",
            )
            .unwrap();
        }
        peer.headers(&source, to.path()).unwrap();
        for (header, size) in [("asm/vgic.h", 22), ("xen/new.h", 0), ("xen/more.h", 0)] {
            assert_eq!(
                fs::metadata(to.path().join(header)).unwrap().len(),
                size,
                "{header}"
            );
        }
        assert!(!to.path().join("own.h").exists());
    }
}
