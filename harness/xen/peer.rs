// SPDX-License-Identifier: GPL-2.0-only
//! Which vGIC the mock Xen runs: ours, which this program is linked with, or one in a shared object, as `cargo xtask peers`
//! makes them of Xen's C vGICs (see peers/README.md). There is one in a process, for the whole of its life.

use crate::xen::faults;
use crate::xen::functions::Functions;
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
    VGIC.get_or_init(|| faults::mock(default_vgic))
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
    for &(name, address) in SERVICES {
        // SAFETY: a string, and a function that services.def declares as it is.
        if !unsafe { bind(name.as_ptr(), address as *const ()) } {
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

/// Declares the services by their names, as for the linker, and makes the table of them. They are never called from here.
macro_rules! services {
    ($($name:ident)*) => {
        mod linked {
            unsafe extern "C" {
                $(pub fn $name();)*
            }
        }

        /// The services for a vGIC in a shared object, which are not linked to it: their names and addresses.
        const SERVICES: &[(&CStr, unsafe extern "C" fn())] = &[$((
            // SAFETY: a literal with its end.
            unsafe { CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes()) },
            linked::$name,
        )),*];
    };
}

// Xen's services are above this: what they do needs a vGIC.
services! {
    mock_current mock_this_cpu mock_cpus mock_softirq_elsewhere mock_phys_lpi_property mock_phys_lpi_invalidate
    mock_phys_lpi_invalidate_here mock_print mock_broken mock_local_irq_save mock_local_irq_restore local_irq_is_enabled
    mock_wake mock_phys_enable mock_phys_trigger mock_phys_active mock_phys_pending mock_phys_is_pending
    mock_pci_write_msi mock_pci_mask_msi mock_pci_write_entry mock_pci_mask_entry mock_pci_can_keep
    mock_cntv_ctl mock_set_cntv_ctl mock_cntv_cval mock_hcr_el2 mock_set_hcr_el2 mock_phys_target mock_phys_lpi_target mock_phys_lpi_reset mock_phys_lpi_clear rvgic_mock_list_registers rvgic_mock_read_lr
    rvgic_mock_write_lr rvgic_mock_read_hcr rvgic_mock_write_hcr rvgic_mock_read_vmcr mock_read_apr rvgic_mock_reset
    rvgic_mock_irq_save rvgic_mock_irq_restore rvgic_mock_can_trap_dir rvgic_mock_write_vmcr rvgic_mock_read_vtr
    rvgic_mock_read_icc_ctlr rvgic_mock_read_active_priorities rvgic_mock_relax _xmalloc _xzalloc xfree
}
