// SPDX-License-Identifier: GPL-2.0-only
//! The functions that Xen calls. Their prototypes are in Xen's asm/vgic.h, asm/gic.h and asm/irq.h; those that
//! start with `rvgic_` are called by the files in c/, which unpack Xen's structures for them.
//!
//! They are in modules by what Xen asks for, each beside the file of its name in c/:
//!
//! | module | what |
//! |---|---|
//! | [`life`] | a domain's life: its vGIC, its vCPUs, numbers of interrupts |
//! | [`run`] | the run loop: injection, exits, entries, what is pending |
//! | [`mmio`] | trapped accesses |
//! | [`its`] | those of ITSes and of GICv2m frames, messages of device models, limits |
//! | [`msi`] | MSI and MSI-X of functions of the host's that guests own |
//! | [`hwirq`] | physical interrupts |
//! | [`vtimer`] | the virtual timer's interrupt |
//! | [`rvic`] | domains with an rVIC in place of a GIC: their calls, and the same for them |
//! | [`save`] | the vGIC as a stream, and back |
//! | [`dump`] | the console's 'q' key |
//!
//! Every pointer is one of Xen's own, alive during the call: that is the `# Safety` of all of them.
#![allow(clippy::missing_safety_doc)]

pub mod dump;
pub mod hwirq;
pub mod its;
pub mod life;
pub mod mmio;
pub mod msi;
pub mod run;
pub mod rvic;
pub mod save;
pub mod vtimer;

use crate::ffi::{self, domain, vcpu};
use crate::host::{Rvic, RvicVcpu, Vcpu, Vgic};
use crate::layout::{XenDomain, XenVcpu};
use core::ffi::c_int;
use rust_vgic::Error;

/// Error numbers of Xen.
const ENOENT: c_int = 2;
const EAGAIN: c_int = 11;
const ENOMEM: c_int = 12;
const EBUSY: c_int = 16;
const EINVAL: c_int = 22;
const ENOSPC: c_int = 28;
const ERESTART: c_int = 85;

fn errno(result: Result<(), Error>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(Error::NoMemory) => -ENOMEM,
        Err(Error::Invalid) => -EINVAL,
        Err(Error::Busy) => -EBUSY,
    }
}

/// The vGIC of a domain, if it has one by now and still.
///
/// # Safety
/// `d` is NULL or alive.
#[inline(always)]
pub(crate) unsafe fn vgic_of<'a>(d: *mut domain) -> Option<&'a Vgic> {
    if d.is_null() {
        return None;
    }
    // SAFETY: the caller says so.
    let p = unsafe { XenDomain::new(d) }.private();
    // SAFETY: NULL, or what domain_vgic_init() made and domain_vgic_free() has not taken back.
    unsafe { p.cast::<Vgic>().as_ref() }
}

/// A vCPU and its domain's vGIC. None for idle vCPUs, and before vcpu_vgic_init().
///
/// # Safety
/// `v` is NULL or alive.
#[inline(always)]
pub(crate) unsafe fn vcpu_of<'a>(v: *mut vcpu) -> Option<(&'a Vgic, &'a Vcpu)> {
    if v.is_null() {
        return None;
    }
    // SAFETY: the caller says so.
    let (dist, own) = unsafe { XenVcpu::new(v) }.private();
    // SAFETY: NULL, or the domain's object; it lives until domain_vgic_free(), after all vCPUs have stopped.
    let vgic = unsafe { dist.cast::<Vgic>().as_ref() }?;
    // SAFETY: NULL, or an object inside the domain's.
    let own = unsafe { own.cast::<Vcpu>().as_ref() }?;
    Some((vgic, own))
}

/// The rVIC of a domain, if it has one in place of a GIC, by now and still.
///
/// # Safety
/// `d` is NULL or alive.
pub(crate) unsafe fn rvic_of<'a>(d: *mut domain) -> Option<&'a Rvic> {
    if d.is_null() {
        return None;
    }
    // SAFETY: the caller says so.
    let p = unsafe { XenDomain::new(d) }.rvic();
    // SAFETY: NULL, or what domain_vgic_init() made and domain_vgic_free() has not taken back.
    unsafe { p.cast::<Rvic>().as_ref() }
}

/// A vCPU of such a domain. None for those with a GIC, idle vCPUs, and before vcpu_vgic_init().
///
/// # Safety
/// `v` is NULL or alive.
pub(crate) unsafe fn rvic_vcpu_of<'a>(v: *mut vcpu) -> Option<(&'a Rvic, &'a RvicVcpu)> {
    if v.is_null() {
        return None;
    }
    // SAFETY: the caller says so.
    let v = unsafe { XenVcpu::new(v) };
    // SAFETY: NULL, or an object inside the domain's, which lives until domain_vgic_free(), after all vCPUs have stopped.
    let own = unsafe { v.rvic().cast::<RvicVcpu>().as_ref() }?;
    // SAFETY: a vCPU's domain is alive.
    let rvic = unsafe { rvic_of(v.domain().as_ptr()) }?;
    Some((rvic, own))
}

/// The vCPU that runs on this CPU.
#[inline(always)]
fn current<'a>() -> Option<(&'a Vgic, &'a Vcpu)> {
    // SAFETY: a register of this CPU and a load.
    let v = unsafe { ffi::rvgic_current() };
    // SAFETY: alive, since it runs.
    unsafe { vcpu_of(v) }
}
