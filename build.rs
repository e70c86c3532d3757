// SPDX-License-Identifier: GPL-2.0-only
//! Compiles xen-glue's C half, unchanged, against the mock's headers, and the mock's own C half.

use std::env;
use std::path::PathBuf;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    // The same header that the hypervisor's build makes: the prototypes of both sides must agree here, too.
    if let Err(error) = xen_glue_header::write(&out.join("exports.h")) {
        println!("cargo::error={error:#}");
        return;
    }
    let release = xen_glue_header::release();
    let mut build = cc::Build::new();
    if env::var_os("CARGO_FEATURE_RECORD").is_some() {
        build
            .file("xen-glue/c/record.c")
            .define("CONFIG_RUST_VGIC_RECORD", None);
    }
    build
        .files([
            "xen-glue/c/dump.c",
            "xen-glue/c/gich.c",
            "xen-glue/c/host.c",
            "xen-glue/c/hwirq.c",
            "xen-glue/c/its.c",
            "xen-glue/c/layout.c",
            "xen-glue/c/life.c",
            "xen-glue/c/mmio.c",
            "xen-glue/c/run.c",
            "harness/c/dump.c",
            "harness/c/host.c",
            "harness/c/hwirq.c",
            "harness/c/its.c",
            "harness/c/life.c",
            "harness/c/locks.c",
            "harness/c/mmio.c",
            "harness/c/run.c",
        ])
        .include("harness/include")
        .include("xen-glue/c")
        .include(&out)
        .define(xen_glue_header::RELEASE, release.as_str())
        .define("CONFIG_NEW_VGIC", None)
        .define("CONFIG_GICV3", None)
        .define("CONFIG_GICV3_ESPI", None)
        .define("CONFIG_HAS_ITS", None)
        .flag_if_supported("-Wno-unused-parameter")
        .warnings_into_errors(true)
        // GNU ld goes through the libraries once, and would pass over what only xen-glue, which comes later, asks for.
        .link_lib_modifier("+whole-archive")
        .compile("mock_xen");
    for dir in ["xen-glue/c", "xen-glue/src", "harness/c", "harness/include"] {
        println!("cargo::rerun-if-changed={dir}");
    }
}
