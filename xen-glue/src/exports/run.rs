// SPDX-License-Identifier: GPL-2.0-only
//! The run loop: interrupts are injected, a guest is left and entered, and whether something is pending for it.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::{current, vcpu_of, vgic_of};
use crate::ffi::{domain, vcpu};
use crate::host::Vcpu;
use crate::layout::XenVcpu;
use core::ffi::{c_int, c_uint, c_void};
use rust_vgic::IntId;

/// Any context: in particular hard interrupts, with desc->lock held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_inject_irq(d: *mut domain, v: *mut vcpu, virq: c_uint, level: bool) {
    let Some(intid) = IntId::new(virq) else {
        return;
    };
    if v.is_null() {
        // SAFETY: alive, see above.
        if let Some(vgic) = unsafe { vgic_of(d) } {
            record!(injected(vgic, None, intid, level));
            vgic.inject(None, intid, level);
        }
    // SAFETY: the same.
    } else if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        record!(injected(vgic, Some(own), intid, level));
        // SAFETY: the same.
        let lines = unsafe { XenVcpu::new(v) };
        // Before: nobody finds the interrupt pending and the line forgotten. After: an exit between the two may have
        // looked at the line when it was not up any more.
        if level {
            lines.line_is_up();
        }
        vgic.inject(Some(own), intid, level);
        if level {
            lines.line_is_up();
        }
    }
}

/// An LPI has arrived for the domain. Hard interrupt context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_inject_lpi(d: *mut domain, virq: c_uint) {
    // SAFETY: alive, see above.
    if let Some((vgic, intid)) = unsafe { vgic_of(d) }.zip(IntId::new(virq)) {
        vgic.inject_lpi(intid);
    }
}

/// The older name: a pulse, or a level raised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_vcpu_inject_irq(v: *mut vcpu, virq: c_uint) {
    // SAFETY: NULL for the domain is not looked at, since there is a vCPU.
    unsafe { vgic_inject_irq(core::ptr::null_mut(), v, virq, true) }
}

/// vgic_sync_from_lrs(): on every exit from the guest. `own` is what current has of us, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_sync_from(own: *mut c_void) {
    // SAFETY: NULL, or an object inside the domain's, which is alive since it runs.
    let Some(own) = (unsafe { own.cast::<Vcpu>().as_ref() }) else {
        return;
    };
    // A recording has all of them.
    if !cfg!(feature = "record") && own.exits_idle() {
        return;
    }
    if let Some((vgic, own)) = current() {
        record!(exited(vgic, own));
        vgic.sync_from(own);
    }
}

/// vgic_sync_to_lrs(): on every entry to the guest, with interrupts off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_sync_to(own: *mut c_void) {
    // SAFETY: as above.
    let Some(own) = (unsafe { own.cast::<Vcpu>().as_ref() }) else {
        return;
    };
    if !cfg!(feature = "record") && own.enters_idle() {
        return;
    }
    if let Some((vgic, own)) = current() {
        vgic.sync_to(own);
        record!(entered(vgic, own));
    }
}

/// In the maintenance interrupt's handler.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_maintenance_interrupt() {
    if let Some((vgic, own)) = current() {
        vgic.maintenance(own);
        // Xen looks for further interrupts at once: by then the line must be down.
        vgic.host().interface().settle();
    }
}

/// v is current, and may be an idle vCPU. Any lock may be held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_vcpu_pending_irq(v: *mut vcpu) -> c_int {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }
        .is_some_and(|(vgic, own)| vgic.has_pending(own))
        .into()
}

/// As above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_evtchn_irq_pending(v: *mut vcpu) -> bool {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.is_some_and(|(vgic, own)| {
        IntId::new(vgic.host().domain().event_channel_irq())
            .is_some_and(|intid| vgic.is_pending(own, intid))
    })
}

/// PSCI CPU_ON of v, which does not run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_clear_pending_irqs(v: *mut vcpu) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        record!(switched_on(vgic, own));
        vgic.cpu_on(own);
    }
}

/// PSCI SYSTEM_SUSPEND of v's domain is over. It does not run yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_vcpu_resumed(v: *mut vcpu) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        vgic.resumed(own);
    }
}

/// PSCI CPU_OFF of v, which is down from now on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_vcpu_off(v: *mut vcpu) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        vgic.cpu_off(own);
    }
}

/// v, which does not run, will next run on another CPU.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn arch_move_irqs(v: *mut vcpu) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        record!(moved(vgic, own));
        vgic.moved(own);
    }
}
