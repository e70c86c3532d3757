// SPDX-License-Identifier: GPL-2.0-only
//! Small static libraries, compiled for the hypervisor's target, through the whole of prelink. A machine without the
//! target's core library or the cross binutils cannot do this: the tests then say so and pass.

use object::{Object, ObjectSymbol};
use prelink::lists::{PanicList, SymbolList};
use prelink::tools::Tools;
use prelink::{Summary, Task, prelink};
use std::fs;
use std::path::Path;
use std::process::Command;

const TARGET: &str = "aarch64-unknown-none-softfloat";

fn able() -> bool {
    let runs = |program: &str| {
        Command::new(program)
            .arg("--version")
            .output()
            .is_ok_and(|o| o.status.success())
    };
    let library = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .is_ok_and(|o| Path::new(String::from_utf8_lossy(&o.stdout).trim()).is_dir());
    let able = library && runs("aarch64-linux-gnu-ld") && runs("aarch64-linux-gnu-objdump");
    if !able {
        eprintln!(
            "skipped: this needs the core library for {TARGET} and aarch64-linux-gnu binutils"
        );
    }
    able
}

fn run(
    target: &str,
    source: &str,
    undefined: &str,
    panics: &str,
) -> anyhow::Result<(Summary, Vec<u8>)> {
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    let source = format!(
        "#![no_std]\n#[panic_handler] fn p(_: &core::panic::PanicInfo) -> ! {{ loop {{}} }}\n{source}"
    );
    fs::write(at("lib.rs"), source)?;
    let output = Command::new("rustc")
        .args([
            "--edition=2024",
            "--crate-type=staticlib",
            "--target",
            target,
            "-Copt-level=3",
        ])
        .args([
            "-Cpanic=abort",
            "-Cforce-unwind-tables=no",
            "-Csymbol-mangling-version=v0",
            "-Clto=fat",
        ])
        .arg("--crate-name=tried")
        .arg("-o")
        .arg(at("lib.a"))
        .arg(at("lib.rs"))
        .output()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let summary = prelink(&Task {
        library: at("lib.a"),
        output: at("out.o"),
        exports: SymbolList::parse("exported")?,
        undefined: SymbolList::parse(undefined)?,
        panics: PanicList::parse(panics)?,
        tools: Tools::new(Some("aarch64-linux-gnu-".into())),
    })?;
    Ok((summary, fs::read(at("out.o"))?))
}

fn refused(source: &str) -> String {
    run(TARGET, source, "", "")
        .map(|(s, _)| s)
        .unwrap_err()
        .to_string()
}

#[test]
fn what_is_left_is_one_object_with_short_names() {
    if !able() {
        return;
    }
    let source = "unsafe extern \"C\" { fn printk(n: u64); }
        #[inline(never)] fn within(a: &mut [u8; 300], b: u8) { a.fill(b); core::hint::black_box(a); }
        #[unsafe(no_mangle)] pub extern \"C\" fn exported(n: u64) -> u64 {
            let mut a = [0; 300]; within(&mut a, n as u8); unsafe { printk(n) }; n / 3 }
        #[unsafe(no_mangle)] pub extern \"C\" fn unused() {}";
    let (summary, bytes) = run(TARGET, source, "printk", "").unwrap();
    assert!(summary.instructions > 5 && summary.code > 20, "{summary:?}");
    assert_eq!(
        summary.undefined,
        ["memset", "printk"],
        "Xen's memset is used"
    );
    let file = object::File::parse(bytes.as_slice()).unwrap();
    let names: Vec<&str> = file.symbols().filter_map(|s| s.name().ok()).collect();
    assert!(
        names.contains(&"tried::within") && names.contains(&"exported"),
        "{names:?}"
    );
    assert!(!names.contains(&"unused"), "{names:?}");
    let global: Vec<&str> = file
        .symbols()
        .filter(|s| s.is_global() && !s.is_undefined())
        .filter_map(|s| s.name().ok())
        .collect();
    assert_eq!(global, ["exported"]);
}

#[test]
fn a_symbol_that_xen_does_not_offer_is_refused() {
    if !able() {
        return;
    }
    let text = refused(
        "unsafe extern \"C\" { fn elsewhere(); }
        #[unsafe(no_mangle)] pub extern \"C\" fn exported() { unsafe { elsewhere() } }",
    );
    assert!(
        text.contains("undefined symbol that is not on the list: elsewhere"),
        "{text}"
    );
}

#[test]
fn a_missing_export_is_named() {
    if !able() {
        return;
    }
    let text = refused("#[unsafe(no_mangle)] pub extern \"C\" fn another() {}");
    assert!(text.contains("does not define exported"), "{text}");
}

#[test]
fn a_panic_is_refused_until_it_is_listed() {
    if !able() {
        return;
    }
    let source = "#[inline(never)] fn indexes(a: &[u32], n: usize) -> u32 { a[n] }
        #[unsafe(no_mangle)] pub extern \"C\" fn exported(n: usize) -> u32 {
            indexes(core::hint::black_box(&[1, 2, 3]), n) }";
    let text = refused(source);
    assert!(
        text.contains("panic: core::panicking::panic_bounds_check <- tried::indexes"),
        "{text}"
    );
    let list = "core::panicking::panic_bounds_check <- tried::indexes # a test\n";
    let (summary, _) = run(TARGET, source, "", list).unwrap();
    assert_eq!(
        summary.panics[0].to_string(),
        "core::panicking::panic_bounds_check <- tried::indexes"
    );
    assert!(summary.stale.is_empty());
}

#[test]
fn the_guests_registers_are_refused() {
    if !able() {
        return;
    }
    let text = refused(
        "core::arch::global_asm!(\".arch_extension fp\", \".text\", \"sneak: fmov d0, x1\", \"ret\");
        unsafe extern \"C\" { fn sneak(); }
        #[unsafe(no_mangle)] pub extern \"C\" fn exported() { unsafe { sneak() } }",
    );
    assert!(text.contains("belongs to the guest: fmov d0, x1"), "{text}");
}

#[test]
fn a_strange_section_is_refused() {
    if !able() {
        return;
    }
    let text = refused(
        "#[unsafe(link_section = \".init_array\")] #[used] static HOOK: extern \"C\" fn() = hook;
        extern \"C\" fn hook() {}
        #[unsafe(no_mangle)] pub extern \"C\" fn exported() -> usize { &raw const HOOK as usize }",
    );
    assert!(
        text.contains("section that Xen has no place for: .init_array"),
        "{text}"
    );
}
