// SPDX-License-Identifier: GPL-2.0-only
//! Physical interrupts, mapped to SPIs of a domain.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::{errno, rvic, rvic_of, vgic_of};
use crate::ffi::{self, domain, irq_desc, vcpu};
use crate::host::{Desc, Vgic};
use crate::layout;
use core::ffi::{c_int, c_uint};
use rust_vgic::{Error, IntId};

/// The physical interrupt behind an SPI, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_get_hw_irq_desc(
    d: *mut domain,
    _v: *mut vcpu,
    virq: c_uint,
) -> *mut irq_desc {
    // SAFETY: alive, see above.
    let desc = if let Some(vgic) = unsafe { vgic_of(d) } {
        IntId::new(virq)
            .and_then(|intid| vgic.phys_of(intid))
            .and_then(Desc::find)
    } else {
        // SAFETY: the same.
        unsafe { rvic_of(d) }.and_then(|own| rvic::desc_of(own, virq))
    };
    desc.map_or(core::ptr::null_mut(), |desc| desc.as_ptr())
}

/// Maps an SPI to a physical interrupt, or ends that. desc->lock is held, interrupts are off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_connect_hw_irq(
    d: *mut domain,
    _v: *mut vcpu,
    virq: c_uint,
    desc: *mut irq_desc,
    connect: bool,
) -> c_int {
    // SAFETY: alive, see above.
    let result = if let Some(vgic) = unsafe { vgic_of(d) } {
        // SAFETY: the same.
        unsafe { connect_spi(vgic, virq, desc, connect) }
    // SAFETY: the same.
    } else if let Some(own) = unsafe { rvic_of(d) } {
        rvic::connect(own, virq, desc, connect)
    } else {
        Err(Error::Invalid)
    };
    if connect && result.is_ok() {
        // SAFETY: one of Xen's, and locked.
        unsafe { ffi::rvgic_desc_fresh(desc) };
    }
    errno(result)
}

/// The same of a GIC's.
///
/// # Safety
/// `desc` is NULL or one of Xen's.
unsafe fn connect_spi(
    vgic: &Vgic,
    virq: c_uint,
    desc: *mut irq_desc,
    connect: bool,
) -> Result<(), Error> {
    let intid = IntId::new(virq).ok_or(Error::Invalid)?;
    let phys = if !desc.is_null() {
        // SAFETY: one of Xen's.
        u16::try_from(unsafe { layout::physical_intid(desc) }).ok()
    } else if connect {
        None
    } else {
        vgic.phys_of(intid)
    };
    match phys {
        Some(phys) if connect => {
            record!(connected(vgic, intid, phys));
            vgic.connect(intid, phys)
        }
        Some(phys) => vgic.disconnect(intid, phys),
        None => Err(Error::Invalid),
    }
}
