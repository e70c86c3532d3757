// SPDX-License-Identifier: GPL-2.0-only
//! Physical interrupts, mapped to SPIs of a domain.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::{EINVAL, errno, vgic_of};
use crate::ffi::{self, domain, irq_desc, vcpu};
use crate::host::Desc;
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
    let vgic = unsafe { vgic_of(d) };
    vgic.zip(IntId::new(virq))
        .and_then(|(vgic, intid)| vgic.phys_of(intid))
        .and_then(Desc::find)
        .map_or(core::ptr::null_mut(), |desc| desc.as_ptr())
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
    let Some((vgic, intid)) = unsafe { vgic_of(d) }.zip(IntId::new(virq)) else {
        return -EINVAL;
    };
    let phys = if !desc.is_null() {
        // SAFETY: one of Xen's.
        u16::try_from(unsafe { layout::physical_intid(desc) }).ok()
    } else if connect {
        None
    } else {
        vgic.phys_of(intid)
    };
    let result = match phys {
        Some(phys) if connect => {
            record!(connected(vgic, intid, phys));
            vgic.connect(intid, phys)
        }
        Some(phys) => vgic.disconnect(intid, phys),
        None => Err(Error::Invalid),
    };
    if connect && result.is_ok() {
        // SAFETY: one of Xen's, and locked.
        unsafe { ffi::rvgic_desc_fresh(desc) };
    }
    errno(result)
}
