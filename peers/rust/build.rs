// SPDX-License-Identifier: GPL-2.0-only
//! Compiles xen-glue's C half and the mock's, with its services behind pointers.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    if let Err(error) = xen_glue_header::write(&out.join("exports.h")) {
        println!("cargo::error={error:#}");
        return;
    }
    let root = Path::new("../..");
    let release = xen_glue_header::release();
    let files = match xen_glue_header::c_halves(root, false) {
        Ok(files) => files,
        Err(error) => {
            println!("cargo::error={error:#}");
            return;
        }
    };
    cc::Build::new()
        .files(files)
        .file(root.join("peers/c/services.c"))
        .includes(["harness/include", "xen-glue/c"].map(|d| root.join(d)))
        .include(&out)
        .define(xen_glue_header::RELEASE, release.as_str())
        .define("CONFIG_NEW_VGIC", None)
        .define("CONFIG_GICV3", None)
        .define("CONFIG_GICV3_ESPI", None)
        .define("CONFIG_HAS_ITS", None)
        .define("CONFIG_HAS_PCI_MSI", None)
        .flag_if_supported("-Wno-unused-parameter")
        // As Xen's own files.
        .opt_level(2)
        .warnings_into_errors(true)
        .compile("peer_c");
    for dir in [
        "xen-glue/c",
        "xen-glue/src",
        "harness/c",
        "harness/include",
        "peers/c",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(dir).display());
    }
}
