// SPDX-License-Identifier: GPL-2.0-only
//! Trapped accesses of a domain's ITSes.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::vcpu_of;
use crate::ffi::vcpu;
use core::ffi::c_uint;
use rust_vgic::{Progress, Width};

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
