// SPDX-License-Identifier: GPL-2.0-only
//! The run loop: interrupts are injected, a guest is left and entered, and whether something is pending for it.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::{current, rvic, rvic_vcpu_of, vcpu_of, vgic_of};
use crate::ffi::{domain, vcpu};
use crate::host::{Vcpu, Vgic};
use crate::layout::{XenDomain, XenVcpu};
use core::ffi::{c_int, c_uint, c_void};
use rust_vgic::IntId;

/// Any context: in particular hard interrupts, with desc->lock held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_inject_irq(d: *mut domain, v: *mut vcpu, virq: c_uint, level: bool) {
    if v.is_null() {
        // SAFETY: alive, see above.
        unsafe { inject_shared(d, virq, level) }
    } else {
        // SAFETY: the same.
        unsafe { inject_private(v, virq, level) }
    }
}

/// # Safety
/// `d` is alive.
#[inline(always)]
unsafe fn inject_shared(d: *mut domain, virq: c_uint, level: bool) {
    // SAFETY: the caller says so.
    let vgic = unsafe { XenDomain::new(d) }.private().cast::<Vgic>();
    // SAFETY: as in vgic_of().
    let Some(vgic) = (unsafe { vgic.as_ref() }) else {
        // SAFETY: the caller says so.
        return unsafe { rvic::inject_input(d, virq, level) };
    };
    if let Some(intid) = IntId::new(virq) {
        record!(injected(vgic, None, intid, level));
        vgic.inject(None, intid, level);
    }
}

/// # Safety
/// `v` is alive.
#[inline(always)]
unsafe fn inject_private(v: *mut vcpu, virq: c_uint, level: bool) {
    // SAFETY: the caller says so.
    let Some((vgic, own)) = (unsafe { vcpu_of(v) }) else {
        // SAFETY: the same.
        return unsafe { rvic::inject_private(v, virq, level) };
    };
    let Some(intid) = IntId::new(virq) else {
        return;
    };
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
    if !v.is_null() {
        // SAFETY: alive, see above.
        unsafe { inject_private(v, virq, true) }
    }
}

/// vgic_sync_from_lrs(): on every exit from the guest. `own` is what current has of us; NULL without a GIC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_sync_from(own: *mut c_void) {
    // SAFETY: NULL, or an object inside the domain's, which is alive since it runs.
    let Some(own) = (unsafe { own.cast::<Vcpu>().as_ref() }) else {
        return rvic::leave();
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
        return rvic::enter();
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
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        vgic.has_pending(own).into()
    } else {
        // SAFETY: the same.
        unsafe { rvic::has_pending(v) }.into()
    }
}

/// As above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_evtchn_irq_pending(v: *mut vcpu) -> bool {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        IntId::new(vgic.host().domain().event_channel_irq())
            .is_some_and(|intid| vgic.is_pending(own, intid))
    } else {
        // SAFETY: the same.
        unsafe { rvic::event_pending(v) }
    }
}

/// PSCI CPU_ON of v, which does not run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_clear_pending_irqs(v: *mut vcpu) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        record!(switched_on(vgic, own));
        vgic.cpu_on(own);
    // SAFETY: the same.
    } else if let Some((rvic, own)) = unsafe { rvic_vcpu_of(v) } {
        rvic.cpu_on(own);
    }
}

/// PSCI SYSTEM_SUSPEND of v's domain is over. It does not run yet. An rVIC is as it was.
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
    // SAFETY: the same.
    } else if let Some((rvic, own)) = unsafe { rvic_vcpu_of(v) } {
        rvic.cpu_off(own);
    }
}

/// v, which does not run, will next run on another CPU.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn arch_move_irqs(v: *mut vcpu) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        record!(moved(vgic, own));
        vgic.moved(own);
    } else {
        // SAFETY: the same.
        unsafe { rvic::moved(v) };
    }
}
