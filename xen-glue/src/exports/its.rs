// SPDX-License-Identifier: GPL-2.0-only
//! Trapped accesses of a domain's ITSes and of its GICv2m frame, messages of device models, and where LPIs go.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::{EAGAIN, EINVAL, ENOENT, errno, vcpu_of, vgic_of};
use crate::ffi::{domain, vcpu};
use core::ffi::{c_int, c_uint};
use rust_vgic::{IntId, Limits, MessageError, Progress, Width};

/// What `rvgic_map_device()` says: the guest shall not have the device.
pub const RVGIC_REFUSED: c_uint = 0;
/// The host has it.
pub const RVGIC_HARDWARE: c_uint = 1;
/// A device model has it.
pub const RVGIC_SOFTWARE: c_uint = 2;

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

/// The guest reads its GICv2m frame: 2 to the power of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_v2m_read(v: *mut vcpu, offset: u32, size: u8) -> u32 {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.map_or(0, |(vgic, own)| {
        vgic.v2m_read(own, offset, Width::from_log2(size)) as u32
    })
}

/// The guest writes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_v2m_write(v: *mut vcpu, offset: u32, size: u8, value: u32) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        vgic.v2m_write(own, offset, Width::from_log2(size), value.into());
    }
}

/// 0, or the number of an error for why a message has changed nothing.
pub(super) fn sent(result: Result<(), MessageError>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(MessageError::NoDevice | MessageError::NoEvent) => -ENOENT,
        Err(MessageError::Disabled | MessageError::HasHardware) => -EINVAL,
        Err(MessageError::Again) => -EAGAIN,
    }
}

/// A device model sends an event of a device to ITS number `its` of a domain. Process context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_message(
    d: *mut domain,
    its: c_uint,
    device: u32,
    event: u32,
) -> c_int {
    // SAFETY: alive, see above.
    let vgic = unsafe { vgic_of(d) };
    vgic.map_or(-ENOENT, |vgic| {
        sent(vgic.message(its as usize, device, event))
    })
}

/// The same of one of the host's. Any context: what cannot be told without waiting is -EAGAIN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_message_now(
    d: *mut domain,
    its: c_uint,
    device: u32,
    event: u32,
) -> c_int {
    // SAFETY: alive, see above.
    let vgic = unsafe { vgic_of(d) };
    vgic.map_or(-ENOENT, |vgic| {
        sent(vgic.message_now(its as usize, device, event))
    })
}

/// The vCPU that such a message goes to, or NULL: also if that cannot be told without waiting. Any context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_message_target(
    d: *mut domain,
    its: c_uint,
    device: u32,
    event: u32,
) -> *mut vcpu {
    // SAFETY: alive, see above.
    let vgic = unsafe { vgic_of(d) };
    let v = vgic.and_then(|vgic| vgic.message_target(its as usize, device, event));
    v.map_or(core::ptr::null_mut(), |v| v.as_ptr())
}

/// The same of a write to the GICv2m frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_spi_target(d: *mut domain, data: u32) -> *mut vcpu {
    // SAFETY: alive, see above.
    let v = unsafe { vgic_of(d) }.and_then(|vgic| vgic.spi_message_target(data));
    v.map_or(core::ptr::null_mut(), |v| v.as_ptr())
}

/// A device model, or a device, writes to the GICv2m frame of a domain. Any context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_spi_message(d: *mut domain, data: u32) -> c_int {
    // SAFETY: alive, see above.
    unsafe { vgic_of(d) }.map_or(-ENOENT, |vgic| sent(vgic.spi_message(data)))
}

/// How much a domain's ITSes may map; 0 for what is to stay as it is. Before the domain runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_set_limits(
    d: *mut domain,
    lpis: u32,
    devices: u32,
    events: u32,
) -> c_int {
    // SAFETY: alive, see above.
    let Some(vgic) = (unsafe { vgic_of(d) }) else {
        return -EINVAL;
    };
    let old = vgic.limits();
    let other = |new, old| if new == 0 { old } else { new };
    errno(vgic.set_limits(Limits {
        lpis: other(lpis, old.lpis),
        devices: other(devices, old.devices),
        events: other(events, old.events),
    }))
}
