// SPDX-License-Identifier: GPL-2.0-only
//! The core library for the hypervisor's target: from the toolchain, from rustup, or compiled from its source.
//!
//! rustup's servers are not to be reached from everywhere. The source is the toolchain's own (Debian's rust-web-src goes
//! with its rustc-web), or one that Debian packages: it has the library source of several compiler releases. If one is
//! exactly ours, core, compiler_builtins and alloc are compiled from it into a sysroot of our own, laid out as rustup
//! does it. RUSTC_BOOTSTRAP is set for that compilation alone, as for the Linux kernel's.

use crate::apt::{Apt, Archive};
use crate::command::{output, run};
use crate::package::{self, Wish};
use crate::paths;
use crate::progress::Step;
use crate::unavailable::Unavailable;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Xen is built without floating point: its registers belong to the guest.
pub const TARGET: &str = "aarch64-unknown-none-softfloat";
/// Debian suites that may have the source of a current compiler.
const SUITES: [&str; 3] = ["trixie-backports", "forky", "sid"];
/// Seconds that rustup may take.
const RUSTUP_LIMIT: &str = "120";

/// Makes sure that there is a core library; a sysroot is named only where the toolchain has none of its own.
pub fn ensure() -> Result<Option<PathBuf>> {
    if in_toolchain()? {
        return Ok(None);
    }
    let version = rustc_version()?;
    let sysroot = paths::target().join("sysroot").join(&version);
    if complete(&sysroot) {
        return Ok(Some(sysroot));
    }
    // What has been downloaded once needs no rustup, which may need a network.
    let kept = wish(&version).kept().is_some();
    if !kept && rustup_adds(&["target", "add", TARGET], "core library") && in_toolchain()? {
        return Ok(None);
    }
    let step = Step::start("Building the core library from its source");
    let own = own_source()?;
    let library = if has_source(&own) {
        own
    } else {
        fetch(&version).with_context(|| {
            format!(
                "there is no core library for {TARGET}: try `rustup target add {TARGET}` with a network"
            )
        })?
    };
    step.note("compiling core, compiler_builtins and alloc");
    compile(&library, &sysroot, &version)?;
    step.done(&format!("{}", sysroot.display()));
    Ok(Some(sysroot))
}

/// The source of exactly this compiler's whole library: the toolchain's, or what rustup or Debian has.
pub fn source() -> Result<PathBuf> {
    if let Some(library) = source_at_hand() {
        return Ok(library);
    }
    let version = rustc_version()?;
    let kept = wish(&version).kept().is_some();
    if !kept
        && rustup_adds(&["component", "add", "rust-src"], "rust-src")
        && let Some(library) = source_at_hand()
    {
        return Ok(library);
    }
    fetch(&version).with_context(|| {
        format!("no source of rustc {version}'s library: try `rustup component add rust-src` with a network")
    })
}

fn rustc() -> Command {
    Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

fn rustc_version() -> Result<String> {
    let text = run(rustc().arg("--version"), "ask rustc for its version", None)?;
    let version = text
        .split_whitespace()
        .nth(1)
        .context("rustc --version says something unexpected")?;
    Ok(version.to_owned())
}

fn in_toolchain() -> Result<bool> {
    let text = run(
        rustc().args(["--print", "target-libdir", "--target", TARGET]),
        "ask rustc for its libraries",
        None,
    )?;
    Ok(has_core(Path::new(text.trim())))
}

fn has_core(directory: &Path) -> bool {
    let has = |name: &str| {
        fs::read_dir(directory).is_ok_and(|d| {
            d.filter_map(Result::ok)
                .any(|e| e.file_name().to_string_lossy().starts_with(name))
        })
    };
    has("libcore-") && has("liballoc-") && has("libcompiler_builtins-")
}

fn library_directory(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib").join(TARGET).join("lib")
}

fn complete(sysroot: &Path) -> bool {
    has_core(&library_directory(sysroot))
}

/// Has rustup add a part of the toolchain, `what` in words; false where it cannot, or may not.
fn rustup_adds(arguments: &[&str], what: &str) -> bool {
    // The variable is for those whose toolchain must stay as it is, and for trying the other way.
    if std::env::var_os("VGIC_NO_RUSTUP").is_some() || !crate::command::exists("rustup") {
        return false;
    }
    let step = Step::start(format!("Adding rustup's {what}"));
    let added = output(
        Command::new("timeout")
            .args([RUSTUP_LIMIT, "rustup"])
            .args(arguments),
        "run rustup",
    )
    .is_ok_and(|o| o.status.success());
    step.done(if added {
        "added"
    } else {
        "rustup could not: looking for the source"
    });
    added
}

fn debian_source(version: &str) -> PathBuf {
    let unpacked = paths::target().join("rust-src").join(version);
    unpacked.join(format!("usr/src/rustc-{version}/library"))
}

fn has_source(library: &Path) -> bool {
    library.join("core/src/lib.rs").is_file()
}

/// Where rustup's rust-src and Debian's put it, if they are there.
fn own_source() -> Result<PathBuf> {
    Ok(sysroot()?.join("lib/rustlib/src/rust/library"))
}

/// Where the toolchain is.
pub fn sysroot() -> Result<PathBuf> {
    let sysroot = run(
        rustc().args(["--print", "sysroot"]),
        "ask rustc for its sysroot",
        None,
    )?;
    Ok(PathBuf::from(sysroot.trim()))
}

/// The source of exactly this compiler's library.
fn wish(version: &str) -> Wish {
    let ours = version.to_owned();
    let fits = move |package: &String| {
        package
            .strip_prefix(&ours)
            .is_some_and(|rest| rest.starts_with(['+', '-']))
    };
    let choose = move |apt: &Apt| {
        let package = apt.versions("rust-src")?.into_iter().find(&fits);
        Ok(package.map(|version| format!("rust-src={version}")))
    };
    Wish {
        what: format!("the source of rustc {version}'s library"),
        name: format!("rust-src-{version}"),
        suites: SUITES.map(|suite| (Archive::Main, suite.into())).into(),
        architecture: "amd64".into(),
        choose: Box::new(choose),
    }
}

/// Unpacks what has been downloaded.
fn fetch(version: &str) -> Result<PathBuf> {
    let library = debian_source(version);
    if has_source(&library) {
        return Ok(library);
    }
    let kept = wish(version).obtain().map_err(|error| match error.downcast() {
        Ok(Unavailable(why)) => Unavailable(format!(
            "rustup could not add it, and {why}: try another stable compiler, or install rust-web-src if yours is Debian's \
             rustc-web"
        ))
        .into(),
        Err(error) => error,
    })?;
    let place = paths::target().join("rust-src").join(version);
    package::unpack_as(&kept, &place, |_| Ok(()))?;
    if !has_source(&library) {
        bail!("Debian's {} has no {}", kept.what, library.display());
    }
    Ok(library)
}

/// The library's source, if it is unpacked somewhere.
pub fn source_at_hand() -> Option<PathBuf> {
    let all = [own_source().ok()?, debian_source(&rustc_version().ok()?)];
    all.into_iter().find(|library| has_source(library))
}

/// What of it is there without a network, in a line each; the error says what is not.
pub fn at_hand() -> Vec<Result<String, String>> {
    let Ok(version) = rustc_version() else {
        return vec![Err("rustc".to_owned())];
    };
    let kept = wish(&version).kept().map(|kept| kept.what);
    let has_own = own_source().is_ok_and(|own| has_source(&own));
    let library = format!("core library for {TARGET}");
    let core = if in_toolchain().unwrap_or(false) {
        Ok(format!("{library}: the toolchain's"))
    } else if complete(&paths::target().join("sysroot").join(&version)) {
        Ok(format!("{library}: compiled in this clone"))
    } else if has_own {
        Ok(format!(
            "{library}: to be compiled from the toolchain's source"
        ))
    } else if let Some(kept) = &kept {
        Ok(format!("{library}: to be compiled from {kept}"))
    } else {
        Err(library)
    };
    let source = if has_own {
        Ok("library source for tsan: the toolchain's".to_owned())
    } else if let Some(kept) = kept {
        Ok(format!("library source for tsan: {kept}"))
    } else if has_source(&debian_source(&version)) {
        Ok("library source for tsan: unpacked in this clone".to_owned())
    } else {
        Err("the library's source, for tsan".to_owned())
    };
    vec![core, source]
}

/// Compiles the three crates, aside first: a sysroot that is there is whole.
fn compile(library: &Path, sysroot: &Path, version: &str) -> Result<()> {
    let aside = sysroot.with_extension("building");
    let _ = fs::remove_dir_all(&aside);
    let out = library_directory(&aside);
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let rlib = |name: &str| format!("{}/lib{name}-vgic.rlib", out.display());
    let builder = Builder {
        library,
        sysroot: &aside,
        out: &out,
        version,
    };
    builder.compile("core", "core/src/lib.rs", &[])?;
    let core = format!("core={}", rlib("core"));
    let features = [
        "compiler-builtins",
        "rustc-dep-of-std",
        "unstable-intrinsics",
        "mem",
    ]
    .map(|f| format!("feature=\"{f}\""));
    let mut arguments = vec!["--extern", core.as_str()];
    for cfg in features.iter().map(String::as_str).chain([
        "intrinsics_enabled",
        "arch_enabled",
        "optimizations_enabled",
        "f16_enabled",
        "f128_enabled",
    ]) {
        arguments.extend(["--cfg", cfg]);
    }
    builder.compile(
        "compiler_builtins",
        "compiler-builtins/compiler-builtins/src/lib.rs",
        &arguments,
    )?;
    let builtins = format!("priv:compiler_builtins={}", rlib("compiler_builtins"));
    let arguments = [
        "--extern",
        core.as_str(),
        "-Zunstable-options",
        "--extern",
        builtins.as_str(),
    ];
    builder.compile("alloc", "alloc/src/lib.rs", &arguments)?;
    let _ = fs::remove_dir_all(sysroot);
    fs::rename(&aside, sysroot).with_context(|| format!("cannot make {}", sysroot.display()))
}

struct Builder<'a> {
    library: &'a Path,
    sysroot: &'a Path,
    out: &'a Path,
    version: &'a str,
}

impl Builder<'_> {
    fn compile(&self, name: &str, source: &str, arguments: &[&str]) -> Result<()> {
        let mut command = rustc();
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .env_remove("RUSTFLAGS")
            .args([
                "--crate-name",
                name,
                "--crate-type",
                "rlib",
                "--edition",
                "2024",
                "--target",
                TARGET,
            ])
            .args([
                "-Copt-level=3",
                "-Cdebuginfo=1",
                "-Cembed-bitcode=yes",
                "-Cpanic=abort",
            ])
            .args([
                "-Ccodegen-units=1",
                "-Cforce-frame-pointers=yes",
                "-Csymbol-mangling-version=v0",
            ])
            .args([
                "-Zforce-unstable-if-unmarked",
                "--cap-lints",
                "allow",
                "-Cextra-filename=-vgic",
            ])
            .arg(format!("-Cmetadata=vgic-{}", self.version))
            .arg(format!(
                "--remap-path-prefix={}=/rustc/{}/library",
                self.library.display(),
                self.version
            ))
            .arg("-L")
            .arg(self.out)
            .arg("--sysroot")
            .arg(self.sysroot)
            .arg("--out-dir")
            .arg(self.out)
            .args(arguments)
            .arg(self.library.join(source));
        run(
            &mut command,
            &format!("compile the library {name} from its source"),
            None,
        )
        .map(drop)
    }
}
