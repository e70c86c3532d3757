// SPDX-License-Identifier: GPL-2.0-only
//! How our own files get into a Xen tree, and what its build needs to compile the Rust half: see xen-glue/README.md.

use crate::command::assign;
use crate::hypervisor::copy::Addition;
use crate::hypervisor::core_library;
use crate::paths;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The directory of the vGIC in Xen's tree, and where headers go.
const DIRECTORY: &str = "xen/arch/arm/vgic-rust";
const HEADERS: &str = "xen/arch/arm/include/asm";
/// The header that Xen's own files include; all else stays in the vGIC's directory.
const PUBLIC_HEADER: &str = "rust_vgic.h";

/// The files that are added to a tree: the C half, its header, and a link to this workspace.
pub fn additions() -> Result<Vec<Addition>> {
    let directory = paths::root().join("xen-glue/c");
    let mut additions = Vec::new();
    let entries =
        fs::read_dir(&directory).with_context(|| format!("there is no {}", directory.display()))?;
    for entry in entries {
        let from = entry?.path();
        let Some(name) = from.file_name().map(PathBuf::from) else {
            continue;
        };
        let to = match name.to_str() {
            Some(PUBLIC_HEADER) => Path::new(HEADERS).join(&name),
            _ => Path::new(DIRECTORY).join(&name),
        };
        additions.push(Addition { from, to });
    }
    let link = paths::target().join("xen/workspace");
    if fs::read_link(&link).ok() != Some(paths::root()) {
        fs::create_dir_all(paths::target().join("xen"))?;
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(paths::root(), &link)
            .with_context(|| format!("cannot make {}", link.display()))?;
    }
    additions.push(Addition {
        from: link,
        to: Path::new(DIRECTORY).join("rust"),
    });
    Ok(additions)
}

/// What Xen's make is told, so that it finds cargo and the core library.
pub fn variables() -> Result<Vec<OsString>> {
    // For whoever watches: a good part of the time is cargo's.
    let mut variables = vec![assign("RUST_VGIC_VERBOSE", "y")];
    if let Some(cargo) = std::env::var_os("CARGO") {
        variables.push(assign("CARGO", cargo));
    }
    if let Some(sysroot) = core_library::ensure()? {
        variables.push(assign("RUST_VGIC_SYSROOT", sysroot));
    }
    Ok(variables)
}
