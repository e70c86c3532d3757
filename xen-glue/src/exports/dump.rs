// SPDX-License-Identifier: GPL-2.0-only
//! What of a vCPU goes to the console.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::{rvic_vcpu_of, vcpu_of};
use crate::ffi::{self, vcpu};
use crate::layout::XenVcpu;
use crate::log::Console;

/// The console's 'q' key, for any vCPU, running or not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gic_dump_vgic_info(v: *mut vcpu) {
    // The console takes everything.
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        let _ = vgic.dump(own, &mut Console);
    // SAFETY: the same.
    } else if let Some((rvic, own)) = unsafe { rvic_vcpu_of(v) } {
        let _ = rvic.dump(own, &mut Console);
    } else {
        return;
    }
    // SAFETY: its domain is alive as well.
    let xen = unsafe { XenVcpu::new(v) };
    if xen.id() == 0 {
        // SAFETY: as above.
        unsafe { ffi::rvgic_dump_storms(xen.domain().as_ptr()) };
    }
}
