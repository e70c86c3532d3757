// SPDX-License-Identifier: GPL-2.0-only
//! Which vGIC the mock Xen runs: ours, which this program is linked with, or one in a shared object, as `cargo xtask peers`
//! makes them of Xen's C vGICs (see peers/README.md). There is one in a process, for the whole of its life.

use crate::xen::abi::Functions;
use crate::xen::services;
use anyhow::{Context, Result, bail};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::env;
use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Chooses the vGIC of a program that does not choose itself: a test, say.
pub const VARIABLE: &str = "VGIC";

/// The vGIC in force.
struct Vgic {
    name: String,
    functions: Functions,
}

static VGIC: OnceLock<Vgic> = OnceLock::new();

/// Chooses the vGIC of this process: `rust`, `new`, `old`, or the path of a shared object.
///
/// # Errors
/// If there is no such vGIC, or another one is running already.
pub fn choose(which: &str) -> Result<()> {
    if VGIC.set(open(which)?).is_err() {
        bail!("the vGIC of this process is chosen already");
    }
    Ok(())
}

/// The name of the vGIC in force.
pub fn name() -> &'static str {
    &vgic().name
}

/// What a person calls it.
pub fn called() -> &'static str {
    match name() {
        "rust" => "ours",
        "new" => "Xen's new C vGIC",
        "old" => "Xen's old C vGIC",
        other => other,
    }
}

/// Is it the one in Rust?
pub fn is_ours() -> bool {
    functions().vgic_maintenance_interrupt.is_some()
}

/// Faults of Xen's C vGICs that would end most runs early: what a forgiving machine passes over.
pub mod faults {
    use super::is_ours;
    use crate::xen::abi;

    /// The new C vGIC puts an active SGI back into a list register with source 0. GIC-400 ends it nevertheless.
    pub fn forgets_sgi_sources() -> bool {
        !is_ours() && abi::samples_lines()
    }

    /// Both C vGICs may lose an interrupt that is moved while it is active and comes again. The new one does not wake the
    /// vCPU that it is moved to. The old one looks at it under the lock of another vCPU than the one that ends it; if it is
    /// mapped to hardware, it stays active in the physical GIC then.
    pub fn loses_moved_interrupts() -> bool {
        !is_ours()
    }

    /// Nobody takes the line of the maintenance interrupt down before `vgic_sync_from_lrs()`, and `gic_interrupt()` does
    /// not end if it is up on a trap.
    pub fn keeps_maintenance_up() -> bool {
        !is_ours()
    }
}

/// Where the shared object of this name is, once it is built.
pub fn built(name: &str) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    target.join("peers").join(name).with_extension("so")
}

pub(crate) fn functions() -> &'static Functions {
    &vgic().functions
}

fn vgic() -> &'static Vgic {
    // Whatever a test calls first opens it, also where the vGIC may not allocate.
    VGIC.get_or_init(|| crate::xen::faults::mock(default_vgic))
}

fn default_vgic() -> Vgic {
    let which = env::var(VARIABLE).unwrap_or_else(|_| "rust".into());
    open(&which).unwrap_or_else(|error| {
        // There is nobody to return it to, and nothing to go on with.
        eprintln!("error: {VARIABLE}={which}: {error:#}");
        std::process::exit(1)
    })
}

fn open(which: &str) -> Result<Vgic> {
    if which == "rust" {
        return Ok(Vgic {
            name: which.into(),
            functions: Functions::LINKED,
        });
    }
    let path = match which {
        "new" | "old" => built(which),
        path => PathBuf::from(path),
    };
    if !path.is_file() {
        bail!(
            "there is no {}: `cargo xtask peers` builds Xen's C vGICs",
            path.display()
        );
    }
    let name = path
        .file_stem()
        .map_or(which.into(), |n| n.to_string_lossy().into_owned());
    let functions = load(&path)
        .with_context(|| format!("{} is not a vGIC for this mock Xen", path.display()))?;
    Ok(Vgic { name, functions })
}

fn load(path: &Path) -> Result<Functions> {
    // SAFETY: it is made of C that runs nothing when it is loaded.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }?.into();
    bind(&library)?;
    // SAFETY: a library that takes our services has our functions.
    let functions = unsafe { Functions::of(&library) };
    // It stays as long as the process does.
    std::mem::forget(library);
    functions.map_err(|name| anyhow::anyhow!("it has no {name}"))
}

/// Hands over the services, by name: it and we must have the same ones.
fn bind(library: &libloading::Library) -> Result<()> {
    type Bind = unsafe extern "C" fn(*const c_char, *const ()) -> bool;
    type Unbound = unsafe extern "C" fn() -> *const c_char;
    let stale = "`cargo xtask peers` builds it anew";
    // SAFETY: peers/c/services.c has it like this.
    let bind = unsafe { library.get::<Bind>("mock_bind") }.context(stale)?;
    // SAFETY: as above.
    let unbound = unsafe { library.get::<Unbound>("mock_unbound") }.context(stale)?;
    for (name, address) in services::services() {
        // SAFETY: a string, and a function that services.def declares as it is.
        if !unsafe { bind(name.as_ptr(), address) } {
            bail!("it does not know {}: {stale}", name.to_string_lossy());
        }
    }
    // SAFETY: takes nothing.
    let missing = unsafe { unbound() };
    if !missing.is_null() {
        // SAFETY: a string that lives as long as the library.
        let missing = unsafe { CStr::from_ptr(missing) }.to_string_lossy();
        bail!("it wants {missing}: {stale}");
    }
    Ok(())
}
