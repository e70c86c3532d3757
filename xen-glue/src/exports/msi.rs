// SPDX-License-Identifier: GPL-2.0-only
//! MSI and MSI-X of functions of the host's that guests own: what `vpci_msi_arch_*` and `vpci_msix_arch_*` come to.
//!
//! Every pointer is one of Xen's own, alive during the call, or what `rvgic_msi_attach()` has made. All of it is process context, of
//! one function at a time: with `pdev->vpci->lock`, or where no guest can come to it yet or any more. Memory is allocated and freed by
//! attaching and detaching only.

use super::{EBUSY, EINVAL, ENOENT, ENOMEM};
use crate::ffi::{self, domain, pci_dev};
use alloc::boxed::Box;
use core::ffi::c_int;
use rust_vgic::msi::{Error, Function, Msi};
use rust_vgic::slice::try_box;

/// A function that a guest has.
#[allow(non_camel_case_types)]
pub struct rvgic_msi {
    msi: Msi<Pci>,
}

/// What Xen has of it.
struct Pci {
    d: *mut domain,
    pdev: *mut pci_dev,
    /// The guest's number of it.
    device_id: u32,
}

fn done(rc: c_int) -> Result<(), i32> {
    if rc == 0 { Ok(()) } else { Err(rc) }
}

impl Function for Pci {
    fn map(&self, events: u32) -> Result<u64, i32> {
        let mut doorbell = 0;
        // SAFETY: alive; writes a word.
        done(unsafe { ffi::rvgic_msi_host_map(self.pdev, events, &mut doorbell) })?;
        Ok(doorbell)
    }

    fn unmap(&self) {
        // SAFETY: alive.
        unsafe { ffi::rvgic_msi_host_unmap(self.pdev) }
    }

    fn bind(&self, event: u32, data: u32) -> Result<(), i32> {
        // SAFETY: alive.
        done(unsafe { ffi::rvgic_msi_host_bind(self.pdev, event, self.device_id, data) })
    }

    fn unbind(&self, event: u32) {
        // SAFETY: alive.
        unsafe { ffi::rvgic_msi_host_unbind(self.pdev, event) }
    }

    fn is_doorbell(&self, address: u64) -> bool {
        // SAFETY: alive.
        unsafe { ffi::rvgic_msi_is_doorbell(self.d, address) }
    }

    fn write_msi(&self, address: u64, data: u32) {
        // SAFETY: alive.
        unsafe { ffi::rvgic_msi_host_write_msi(self.pdev, address, data) }
    }

    fn mask_msi(&self, vector: u32, masked: bool) -> bool {
        // SAFETY: alive.
        unsafe { ffi::rvgic_msi_host_mask_msi(self.pdev, vector, masked) }
    }

    fn write_entry(&self, entry: u32, address: u64, data: u32) -> Result<(), i32> {
        // SAFETY: alive.
        done(unsafe { ffi::rvgic_msi_host_write_entry(self.pdev, entry, address, data) })
    }

    fn mask_entry(&self, entry: u32, masked: bool) {
        // SAFETY: alive.
        unsafe { ffi::rvgic_msi_host_mask_entry(self.pdev, entry, masked) }
    }
}

fn errno(result: Result<(), Error>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(Error::Foreign | Error::Invalid) => -EINVAL,
        Err(Error::Busy) => -EBUSY,
        Err(Error::NotEnabled) => -ENOENT,
        Err(Error::NoMemory) => -ENOMEM,
        Err(Error::Host(rc)) => rc,
    }
}

/// The model behind a pointer of C's, or nothing.
///
/// # Safety
/// NULL or attached, and nobody else is at it.
unsafe fn model<'a>(m: *mut rvgic_msi) -> Option<&'a mut Msi<Pci>> {
    // SAFETY: the caller says so.
    unsafe { m.as_mut() }.map(|m| &mut m.msi)
}

/// A function becomes a domain's, which knows it by this DeviceID: it has so many vectors or entries, whichever are more. In `out`
/// is then what the others take; after an error nothing has happened.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_msi_attach(
    d: *mut domain,
    pdev: *mut pci_dev,
    device_id: u32,
    events: u32,
    out: *mut *mut rvgic_msi,
) -> c_int {
    let function = Pci { d, pdev, device_id };
    // SAFETY: alive.
    let direct = unsafe { ffi::rvgic_msi_is_direct(d) };
    let made = Msi::new(function, events, direct)
        .and_then(|msi| try_box(rvgic_msi { msi }).ok_or(Error::NoMemory));
    match made {
        Ok(made) => {
            // SAFETY: the caller's own.
            unsafe { out.write(Box::into_raw(made)) };
            0
        }
        Err(error) => errno(Err(error)),
    }
}

/// It is the domain's no longer: nothing is bound, and nothing that it has sent will arrive. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_msi_detach(m: *mut rvgic_msi) {
    if !m.is_null() {
        // SAFETY: made by rvgic_msi_attach(), and the caller has no other use for it.
        drop(unsafe { Box::from_raw(m) });
    }
}

/// MSI is enabled with `vectors`, of which `masked` has a bit each. -EINVAL: the address is no doorbell of the domain's, or there are
/// not so many; -EBUSY: it, or an entry of MSI-X, is enabled. After an error it is not enabled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_msi_enable(
    m: *mut rvgic_msi,
    vectors: u32,
    address: u64,
    data: u32,
    masked: u32,
) -> c_int {
    // SAFETY: as above.
    let msi = unsafe { model(m) };
    msi.map_or(-ENOENT, |msi| {
        errno(msi.enable(vectors, address, data, masked))
    })
}

/// Its address or data is written while it is enabled. After an error none of its vectors is bound, until they are written again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_msi_update(m: *mut rvgic_msi, address: u64, data: u32) -> c_int {
    // SAFETY: as above.
    unsafe { model(m) }.map_or(-ENOENT, |msi| errno(msi.update(address, data)))
}

/// MSI is disabled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_msi_disable(m: *mut rvgic_msi) {
    // SAFETY: as above.
    if let Some(msi) = unsafe { model(m) } {
        msi.disable();
    }
}

/// A mask bit of it is written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_msi_mask(m: *mut rvgic_msi, vector: u32, masked: bool) {
    // SAFETY: as above.
    if let Some(msi) = unsafe { model(m) } {
        msi.mask(vector, masked);
    }
}

/// An entry of MSI-X is set up, masked or not. After an error it is not, and stays masked whatever the guest has there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_msix_enable(
    m: *mut rvgic_msi,
    entry: u32,
    address: u64,
    data: u32,
    masked: bool,
) -> c_int {
    // SAFETY: as above.
    let msi = unsafe { model(m) };
    msi.map_or(-ENOENT, |msi| {
        errno(msi.enable_entry(entry, address, data, masked))
    })
}

/// It is set up no longer. -ENOENT: it was not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_msix_disable(m: *mut rvgic_msi, entry: u32) -> c_int {
    // SAFETY: as above.
    unsafe { model(m) }.map_or(-ENOENT, |msi| errno(msi.disable_entry(entry)))
}

/// Its mask bit is written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_msix_mask(m: *mut rvgic_msi, entry: u32, masked: bool) {
    // SAFETY: as above.
    if let Some(msi) = unsafe { model(m) } {
        msi.mask_entry(entry, masked);
    }
}

/// In a storm the function is to keep an event, or not any more; does it? Softirq context, with the same lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_msi_keep(m: *mut rvgic_msi, event: u32, keep: bool) -> bool {
    // SAFETY: as above.
    unsafe { model(m) }.is_some_and(|msi| msi.keep(event, keep))
}
