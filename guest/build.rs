// SPDX-License-Identifier: GPL-2.0-only
//! Tells the linker how the image is laid out.

fn main() {
    let directory = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rerun-if-changed=image.lds");
    // core has addresses in its read-only data; the image is one segment that is written to anyway.
    let script = format!("-T{directory}/image.lds");
    for argument in [
        &script,
        "-pie",
        "--no-dynamic-linker",
        "-znotext",
        "--hash-style=sysv",
    ] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
