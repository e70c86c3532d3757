// SPDX-License-Identifier: GPL-2.0-only
//! Domains with an rVIC and an rVID in place of a GIC: the guest's calls, and what the functions beside this module do for them.
//!
//! A vIRQ below 32 is the trusted interrupt of that number, one from 32 on an input of the rVID. What a GIC does not come to is
//! not inlined: its ways stay as they are.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::its::sent;
use super::life::{allocate_virqs, take_back};
use super::{ENOENT, rvic_of, rvic_vcpu_of};
use crate::ffi::{self, domain, irq_desc, vcpu};
use crate::host::{Desc, Rvic, RvicVcpu, XenHost};
use crate::layout::{self, NONE, XenDomain, XenVcpu};
use crate::virq;
use alloc::boxed::Box;
use core::ffi::{c_int, c_uint};
use rust_vgic::rvic::{Config, Domain, Messages};
use rust_vgic::slice::try_box;
use rust_vgic::{Error, VcpuId};

/// Trusted interrupts: those that a GIC has as SGIs and PPIs.
const TRUSTED: u32 = virq::LOCAL;

/// Those that a GIC has as SGIs.
const SGIS: u32 = 16;

/// HVC or SMC with a number of the standard hypervisor services: x0 to x3 of `v`, which is current. `false`: no call of an rVIC's or an
/// rVID's, or not in this domain, and nothing is written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_rvic_call(v: *mut vcpu, regs: *mut u64) -> bool {
    // SAFETY: alive, see above.
    let Some((rvic, own)) = (unsafe { rvic_vcpu_of(v) }) else {
        return false;
    };
    // SAFETY: the caller's own, of which there are four.
    let regs = unsafe { &mut *regs.cast::<[u64; 4]>() };
    let [function, args @ ..] = *regs;
    let answer = rvic.call(own, function, args);
    answer.map(|answer| *regs = answer).is_some()
}

/// How many calls a domain has; 0 with a GIC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_rvic_functions(d: *const domain) -> c_uint {
    // SAFETY: alive, see above.
    unsafe { rvic_of(d.cast_mut()) }.map_or(0, Rvic::functions)
}

/// A device model, or a device, writes to the doorbell of an rVID. Any context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_rvic_message(d: *mut domain, data: u32) -> c_int {
    // SAFETY: alive, see above.
    unsafe { rvic_of(d) }.map_or(-ENOENT, |rvic| sent(rvic.message(data)))
}

/// The vCPU that such a message goes to, or NULL. Any context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_rvic_target(d: *mut domain, data: u32) -> *mut vcpu {
    // SAFETY: alive, see above.
    let v = unsafe { rvic_of(d) }.and_then(|rvic| rvic.message_target(data));
    v.map_or(core::ptr::null_mut(), |v| v.as_ptr())
}

/// The input of the rVID that a vIRQ is.
pub(super) fn input(virq: c_uint) -> Option<u32> {
    virq.checked_sub(TRUSTED)
}

/// An input for each SPI that is asked for, those that messages become after them, and an untrusted interrupt for each input.
fn configuration(d: XenDomain, nr_spis: c_uint, messages: u32) -> Option<Config> {
    let first = nr_spis.checked_next_multiple_of(32)?;
    let inputs = first.checked_add(messages)?;
    Some(Config {
        vcpus: d.max_vcpus() as usize,
        trusted: TRUSTED,
        untrusted: inputs.checked_next_multiple_of(32)?.max(32),
        inputs,
        messages: (messages != 0).then_some(Messages {
            first,
            count: messages,
        }),
        // SAFETY: alive.
        level_inputs: unsafe { ffi::rvgic_rvic_levels(d.as_ptr()) },
    })
}

/// As that of a GIC.
pub(super) fn create(d: XenDomain, nr_spis: c_uint) -> Result<(), Error> {
    if !layout::matches() || !d.rvic().is_null() {
        return Err(Error::Invalid);
    }
    let mut own = 0;
    // SAFETY: alive; writes a word.
    let messages = unsafe { ffi::rvgic_rvic_messages(d.as_ptr(), &mut own) };
    let own = if messages { own } else { 0 };
    let config = configuration(d, nr_spis, own);
    let rvic = config
        .ok_or(Error::Invalid)
        .and_then(|config| Domain::new(&config, XenHost::new(d)))
        .inspect_err(|error| {
            if *error == Error::Invalid {
                log::error!("{d}: it cannot have an rVIC for {nr_spis} SPIs and {own} messages");
            }
        })?;
    let config = *rvic.config();
    let first = config.inputs.saturating_sub(own).saturating_add(TRUSTED);
    let rvic = try_box(rvic).ok_or(Error::NoMemory)?;
    d.set_spis(config.inputs, 0);
    allocate_virqs(d, first..first.saturating_add(own))?;
    d.set_rvic(Box::into_raw(rvic).cast());
    log::info!(
        "{d}: rVIC, {} vCPUs, {} trusted and {} untrusted interrupts; rVID, {} inputs{}",
        config.vcpus,
        config.trusted,
        config.untrusted,
        config.inputs,
        if config.level_inputs { ", levels" } else { "" },
    );
    Ok(())
}

/// Of `domain_vgic_free()`: it may have none.
pub(super) fn free(d: XenDomain) {
    let at = d.rvic().cast::<Rvic>();
    // SAFETY: NULL, or what create() made.
    let Some(rvic) = (unsafe { at.as_ref() }) else {
        return;
    };
    for input in 0..rvic.config().inputs {
        if rvic.input_phys(input).is_some() {
            take_back(d, input.saturating_add(TRUSTED));
        }
    }
    d.set_rvic(NONE);
    // SAFETY: made by Box::into_raw() in create(); nobody else can find it any more.
    drop(unsafe { Box::from_raw(at) });
}

/// Of `vcpu_vgic_init()`.
pub(super) fn create_vcpu(rvic: &Rvic, xen: XenVcpu) -> Result<(), Error> {
    let id = u32::try_from(xen.id()).ok().and_then(VcpuId::new);
    let own = rvic.create_vcpu(id.ok_or(Error::Invalid)?, xen)?;
    xen.set_rvic(core::ptr::from_ref::<RvicVcpu>(own).cast_mut().cast());
    Ok(())
}

/// Of `vgic_inject_irq()`, as the next one: any context. A number that there is not is dropped, as a GIC does.
///
/// # Safety
/// `d` is alive.
#[inline(never)]
pub(super) unsafe fn inject_input(d: *mut domain, virq: c_uint, level: bool) {
    // SAFETY: the caller says so.
    if let Some((rvic, input)) = unsafe { rvic_of(d) }.zip(input(virq)) {
        let _ = rvic.inject_input(input, level);
    }
}

/// An interrupt of the vCPU's own.
///
/// # Safety
/// `v` is alive.
#[inline(never)]
pub(super) unsafe fn inject_private(v: *mut vcpu, virq: c_uint, level: bool) {
    // SAFETY: the caller says so.
    if let Some((rvic, own)) = unsafe { rvic_vcpu_of(v) } {
        let _ = rvic.inject_private(own, virq, level);
        // What a GIC has as an SGI is an event, and nobody lowers it (FF-A's notifications): no line stays high.
        if level && virq < SGIS {
            let _ = rvic.inject_private(own, virq, false);
        }
    }
}

/// The vCPU that is current, if it has an rVIC.
fn current<'a>() -> Option<(&'a Rvic, &'a RvicVcpu)> {
    // SAFETY: a register of this CPU and a load.
    let v = unsafe { ffi::rvgic_current() };
    // SAFETY: alive, since it runs.
    unsafe { rvic_vcpu_of(v) }
}

/// On each exit of a guest without a GIC.
#[inline(never)]
pub(super) fn leave() {
    if let Some((rvic, own)) = current() {
        rvic.leave(own);
    }
}

/// On each entry, with interrupts off.
#[inline(never)]
pub(super) fn enter() {
    if let Some((rvic, own)) = current() {
        rvic.enter(own);
    }
}

/// Of `arch_move_irqs()`.
///
/// # Safety
/// `v` is alive.
#[inline(never)]
pub(super) unsafe fn moved(v: *mut vcpu) {
    // SAFETY: the caller says so.
    if let Some((rvic, own)) = unsafe { rvic_vcpu_of(v) } {
        rvic.moved(own);
    }
}

/// Of `vgic_vcpu_pending_irq()`.
///
/// # Safety
/// `v` is alive.
#[inline(never)]
pub(super) unsafe fn has_pending(v: *mut vcpu) -> bool {
    // SAFETY: the caller says so.
    unsafe { rvic_vcpu_of(v) }.is_some_and(|(rvic, own)| rvic.has_pending(own))
}

/// Of `vgic_evtchn_irq_pending()`.
///
/// # Safety
/// `v` is alive.
#[inline(never)]
pub(super) unsafe fn event_pending(v: *mut vcpu) -> bool {
    // What is masked wakes nobody.
    // SAFETY: the caller says so.
    unsafe { has_pending(v) }
}

/// Of `vgic_get_hw_irq_desc()`.
pub(super) fn desc_of(rvic: &Rvic, virq: c_uint) -> Option<Desc> {
    Desc::find(rvic.input_phys(input(virq)?)?)
}

/// Of `vgic_connect_hw_irq()`, which has the same arguments.
pub(super) fn connect(
    rvic: &Rvic,
    virq: c_uint,
    desc: *mut irq_desc,
    connect: bool,
) -> Result<(), Error> {
    let input = input(virq).ok_or(Error::Invalid)?;
    let behind = if desc.is_null() {
        None
    } else {
        // SAFETY: one of Xen's.
        u16::try_from(unsafe { layout::physical_intid(desc) }).ok()
    };
    if connect {
        let phys = behind.ok_or(Error::Invalid)?;
        // An edge that comes before the end of the last would be a line that stays high for ever. A level behind an edge input,
        // whose end no guest tells, is refused by connect_input().
        return match Desc::find(phys).filter(Desc::is_level) {
            Some(_) => rvic.connect_input(input, phys),
            None => Err(Error::Invalid),
        };
    }
    let phys = rvic.input_phys(input);
    if phys.is_none() || (!desc.is_null() && behind != phys) {
        return Err(Error::Invalid);
    }
    rvic.disconnect_input(input);
    Ok(())
}
