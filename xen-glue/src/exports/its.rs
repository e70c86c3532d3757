// SPDX-License-Identifier: GPL-2.0-only
//! Trapped accesses of a domain's ITSes, and where its LPIs go.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::{vcpu_of, vgic_of};
use crate::ffi::{domain, vcpu};
use core::ffi::c_uint;
use rust_vgic::{IntId, Progress, Width};

/// The guest reads ITS number `n` of its domain, at an offset from its base.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_its_read(v: *mut vcpu, n: c_uint, offset: u32, size: u8) -> u64 {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.map_or(0, |(vgic, own)| {
        vgic.its_read(own, n as usize, offset, Width::from_log2(size))
    })
}

/// The guest writes an ITS. `true`: it is to execute its store once more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_its_write(
    v: *mut vcpu,
    n: c_uint,
    offset: u32,
    size: u8,
    value: u64,
) -> bool {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.is_some_and(|(vgic, own)| {
        let width = Width::from_log2(size);
        vgic.its_write(own, n as usize, offset, width, value) == Progress::Again
    })
}

/// The vCPU that an LPI goes to, or NULL. Hard interrupt context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_lpi_target(d: *mut domain, virq: c_uint) -> *mut vcpu {
    // SAFETY: alive, see above.
    unsafe { vgic_of(d) }
        .zip(IntId::new(virq))
        .and_then(|(vgic, intid)| vgic.lpi_target(intid))
        .map_or(core::ptr::null_mut(), |v| v.as_ptr())
}

/// The host's LPI behind one is to go to where its vCPU is. Process context, or a softirq.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_follow_lpi(d: *mut domain, virq: c_uint) {
    // SAFETY: alive, see above.
    if let Some((vgic, intid)) = unsafe { vgic_of(d) }.zip(IntId::new(virq)) {
        vgic.follow_lpi(intid);
    }
}

/// The domain is dying, and none of its vCPUs runs: part of its ITSes' tables is freed. `true`: there is more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_relinquish(d: *mut domain) -> bool {
    // SAFETY: alive, see above.
    unsafe { vgic_of(d) }.is_some_and(|vgic| vgic.relinquish() == Progress::Again)
}
