// SPDX-License-Identifier: GPL-2.0-only
//! Compiles xen-glue's C half, unchanged, against the mock's headers, and the mock's own C half.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    // The same header that the hypervisor's build makes: the prototypes of both sides must agree here, too.
    if let Err(error) = xen_glue_header::write(&out.join("exports.h")) {
        println!("cargo::error={error:#}");
        return;
    }
    let release = xen_glue_header::release();
    let record = env::var_os("CARGO_FEATURE_RECORD").is_some();
    let files = match xen_glue_header::c_halves(Path::new(""), record) {
        Ok(files) => files,
        Err(error) => {
            println!("cargo::error={error:#}");
            return;
        }
    };
    let mut build = cc::Build::new();
    if record {
        build.define("CONFIG_RUST_VGIC_RECORD", None);
    }
    if env::var_os("CARGO_FEATURE_WITHOUT_HOST_ITS").is_none() {
        build.define("CONFIG_HAS_ITS", None);
        build.define("CONFIG_HAS_PCI_MSI", None);
    }
    build
        .files(files)
        .include("harness/include")
        .include("xen-glue/c")
        .include(&out)
        .define(xen_glue_header::RELEASE, release.as_str())
        .define("CONFIG_NEW_VGIC", None)
        .define("CONFIG_GICV3", None)
        .define("CONFIG_GICV3_ESPI", None)
        .flag_if_supported("-Wno-unused-parameter")
        .warnings_into_errors(true)
        // GNU ld goes through the libraries once, and would pass over what only xen-glue, which comes later, asks for.
        .link_lib_modifier("+whole-archive")
        .compile("mock_xen");
    for dir in ["xen-glue/c", "xen-glue/src", "harness/c", "harness/include"] {
        println!("cargo::rerun-if-changed={dir}");
    }
}
