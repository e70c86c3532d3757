// SPDX-License-Identifier: GPL-2.0-only
//! A PPI that is mapped to the host's: the virtual timer's. It follows its vCPU from CPU to CPU.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::vcpu_of;
use crate::ffi::vcpu;
use core::ffi::c_uint;
use rust_vgic::IntId;

/// Maps `virq` of `v`, which has not run yet, to the PPI `phys` of whatever CPU it runs on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_private_connect(v: *mut vcpu, virq: c_uint, phys: c_uint) -> bool {
    // SAFETY: alive, see above.
    let own = unsafe { vcpu_of(v) };
    let numbers = IntId::new(virq).zip(u16::try_from(phys).ok());
    own.zip(numbers)
        .is_some_and(|((vgic, own), (intid, phys))| vgic.connect_private(own, intid, phys).is_ok())
}

/// The PPI has been taken while `v` is current, and is active. False: nobody answers for that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_private_fired(v: *mut vcpu, virq: c_uint) -> bool {
    // SAFETY: alive, see above.
    let own = unsafe { vcpu_of(v) };
    own.zip(IntId::new(virq))
        .is_some_and(|((vgic, own), intid)| {
            record!(injected(vgic, Some(own), intid, true));
            vgic.private_fired(own, intid)
        })
}

/// `v` leaves this CPU, where its timer is off by now, and would have its line like this: the PPI is inactive afterwards. Has it fired, so that nobody need
/// wait for it? Interrupts are off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_private_unload(v: *mut vcpu, virq: c_uint, line: bool) -> bool {
    // SAFETY: alive, see above.
    let own = unsafe { vcpu_of(v) };
    own.zip(IntId::new(virq))
        .is_some_and(|((vgic, own), intid)| vgic.unload_private(own, intid, line))
}

/// `v` comes to this CPU, where its timer is off yet, and would have its line like this. Interrupts are off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_private_load(v: *mut vcpu, virq: c_uint, line: bool) {
    // SAFETY: alive, see above.
    let own = unsafe { vcpu_of(v) };
    let Some(((vgic, own), intid)) = own.zip(IntId::new(virq)) else {
        return;
    };
    if vgic.load_private(own, intid, line) {
        record!(injected(vgic, Some(own), intid, true));
    }
}
