// SPDX-License-Identifier: GPL-2.0-only
//! Where things are: the workspace, and the places below its target directory.

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Everything that can be fetched or built again; the same place as cargo's own.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The directory of one Xen tree.
pub fn xen(tree: &str) -> PathBuf {
    target().join("xen").join(tree)
}

/// The guests' kernel and initial file system.
pub fn guest() -> PathBuf {
    target().join("guest")
}

/// What a boot writes: the device tree, the disk and the console logs.
pub fn boot() -> PathBuf {
    target().join("boot")
}
