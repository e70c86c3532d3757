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
    let sources = [
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
        "peers/c/services.c",
    ];
    cc::Build::new()
        .files(sources.map(|s| root.join(s)))
        .includes(["harness/include", "xen-glue/c"].map(|d| root.join(d)))
        .include(&out)
        .define(xen_glue_header::RELEASE, release.as_str())
        .define("CONFIG_NEW_VGIC", None)
        .define("CONFIG_GICV3", None)
        .define("CONFIG_GICV3_ESPI", None)
        .define("CONFIG_HAS_ITS", None)
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
