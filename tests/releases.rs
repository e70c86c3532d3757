// SPDX-License-Identifier: GPL-2.0-only
//! The C half for each Xen release that there are patches for: it compiles without a warning against what the mock declares,
//! which has the names and types of that release only. The mock itself is one release at a time (`RVGIC_XEN_RELEASE`).

use std::path::Path;
use std::process::Command;

const RELEASES: [u32; 7] = [417, 418, 419, 420, 421, 422, 423];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the compiler says of a file, with these definitions.
fn compile(file: &Path, include: &Path, defines: &[String]) -> Result<(), String> {
    let root = root();
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu99", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"])
        .arg("-Wno-unused-parameter")
        .args(defines.iter().map(|d| format!("-D{d}")))
        .arg("-DCONFIG_NEW_VGIC");
    for directory in [
        &root.join("harness/include"),
        &root.join("xen-glue/c"),
        include,
    ] {
        cc.arg("-I").arg(directory);
    }
    let output = cc.arg(file).output().expect("a C compiler");
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_c_half_compiles_for_each_release() {
    let include = tempfile::tempdir().expect("a directory");
    xen_glue_header::write(&include.path().join("exports.h")).expect("the header");
    let full = ["CONFIG_GICV3", "CONFIG_GICV3_ESPI", "CONFIG_HAS_ITS"];
    let mut files = xen_glue_header::c_files(&root().join("xen-glue/c")).expect("files");
    // `cargo xtask releases` compiles these.
    files.retain(|file| {
        !xen_glue_header::NOT_MOCKED
            .iter()
            .any(|name| file.ends_with(name))
    });
    assert!(files.len() > 1, "{files:?}");
    for release in RELEASES {
        for file in &files {
            for options in [full.as_slice(), &full[..1], &[]] {
                let mut options: Vec<String> = options.iter().map(|o| (*o).into()).collect();
                options.push("CONFIG_RUST_VGIC_RECORD".into());
                options.push(format!("{}={release}", xen_glue_header::RELEASE));
                compile(file, include.path(), &options).unwrap_or_else(|e| {
                    panic!("{} for {release}, {options:?}: {e}", file.display());
                });
            }
        }
    }
    let newest = RELEASES.last().map(u32::to_string);
    assert_eq!(newest.as_deref(), Some(xen_glue_header::NEWEST));
}

#[test]
fn a_build_that_does_not_say_its_release_is_refused() {
    let include = tempfile::tempdir().expect("a directory");
    xen_glue_header::write(&include.path().join("exports.h")).expect("the header");
    let said = compile(
        &root().join("xen-glue/c/life.c"),
        include.path(),
        &["CONFIG_GICV3".into()],
    );
    let said = said.expect_err("no release at all");
    assert!(said.contains("must be the release of Xen"), "{said}");
}
