// SPDX-License-Identifier: GPL-2.0-only
//! Writes `exports.h`: the functions that xen-glue exports to C, and those it imports from C, as Rust understands them.
//!
//! With them comes the structure that tells Rust where Xen's fields are, so that there is one declaration of it.
//! The C half includes the header next to Xen's own prototypes and its own, so a function that
//! the two sides declare differently does not compile.

use anyhow::{Context, Result};
use cbindgen::{Builder, Config, ExportConfig, Language, Style};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// The variable with the release that the mock is to be: 417 for 4.17.
pub const RELEASE: &str = "RVGIC_XEN_RELEASE";

/// The newest release that there are patches for: what the mock is if nobody says otherwise.
pub const NEWEST: &str = "423";

/// The files of the C half that the mock has nothing for: who builds domains from a device tree, domctls that copy to and from
/// their caller, and Xen's own vPCI.
pub const NOT_MOCKED: [&str; 4] = ["domu.c", "function.c", "save.c", "vpci.c"];

/// For build scripts: which Xen the C half and the mock's are compiled for, as [`RELEASE`] says.
#[must_use]
pub fn release() -> String {
    println!("cargo::rerun-if-env-changed={RELEASE}");
    let release = std::env::var(RELEASE).unwrap_or_else(|_| NEWEST.into());
    if release.parse::<u32>().is_err() {
        println!("cargo::error={RELEASE}={release}: give 417 for Xen 4.17, or nothing");
    }
    release
}

/// The C files of a directory, by name.
///
/// # Errors
/// If there is no such directory.
pub fn c_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let what = || format!("cannot read {}", directory.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(what)? {
        files.push(entry.with_context(what)?.path());
    }
    files.retain(|file| file.extension().is_some_and(|e| e == "c"));
    files.sort();
    Ok(files)
}

/// xen-glue's C half and the mock's, of the workspace at `root`; with the recorder's if there is one.
///
/// # Errors
/// If they are not there.
pub fn c_halves(root: &Path, with_recorder: bool) -> Result<Vec<PathBuf>> {
    let mut files = c_files(&root.join("xen-glue/c"))?;
    files.retain(|file| with_recorder || !file.ends_with("record.c"));
    files.retain(|file| !NOT_MOCKED.iter().any(|name| file.ends_with(name)));
    files.extend(c_files(&root.join("harness/c"))?);
    Ok(files)
}

/// Writes the header to `to`, which is left untouched if it has the same content already.
///
/// # Errors
/// If a source cannot be understood, or the file not be written.
pub fn write(to: &Path) -> Result<()> {
    write_from(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../src"), to)
}

/// The same from the sources in `from`.
///
/// # Errors
/// As above.
pub fn write_from(from: &Path, to: &Path) -> Result<()> {
    let config = Config {
        language: Language::C,
        style: Style::Tag,
        header: Some("/* SPDX-License-Identifier: GPL-2.0-only */".into()),
        autogen_warning: Some("/* Generated from xen-glue/src: do not edit. */".into()),
        include_guard: Some("RVGIC_EXPORTS_H".into()),
        includes: Vec::new(),
        sys_includes: vec!["xen/types.h".into()],
        no_includes: true,
        usize_is_size_t: true,
        documentation: false,
        defines: HashMap::from([("feature = record".into(), "CONFIG_RUST_VGIC_RECORD".into())]),
        export: ExportConfig {
            // The C half defines the object, of the structure that is declared here.
            exclude: vec!["rvgic_layout".into()],
            include: vec!["Layout".into()],
            rename: HashMap::from([("Layout".into(), "rvgic_layout".into())]),
            ..ExportConfig::default()
        },
        ..Config::default()
    };
    let mut builder = Builder::new().with_config(config);
    for file in sources(from)? {
        builder = builder.with_src(file);
    }
    builder
        .generate()
        .context("cannot read the functions of xen-glue")?
        .write_to_file(to);
    anyhow::ensure!(to.exists(), "cannot write {}", to.display());
    Ok(())
}

/// The files that say what crosses the border: whatever there is below `exports`, in the order of the names.
fn sources(from: &Path) -> Result<Vec<PathBuf>> {
    let exports = from.join("exports");
    let mut files = std::fs::read_dir(&exports)
        .and_then(|entries| {
            entries
                .map(|e| e.map(|e| e.path()))
                .collect::<io::Result<Vec<_>>>()
        })
        .with_context(|| format!("cannot read {}", exports.display()))?;
    files.sort();
    files.extend(["exports.rs", "ffi.rs", "layout.rs"].map(|file| from.join(file)));
    Ok(files)
}
