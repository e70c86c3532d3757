// SPDX-License-Identifier: GPL-2.0-only
//! A domain's vGIC as a stream of records, and back. Its domain is paused: no vCPU runs, and the state of each is saved.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::{EBUSY, EINVAL, ENOMEM, ENOSPC, ERESTART, rvic_of, vgic_of};
use crate::ffi::domain;
use crate::host::Vgic;
use crate::layout::XenDomain;
use core::ffi::{c_int, c_void};
use rust_vgic::state::{SaveError, Why};
use rust_vgic::{Progress, VcpuId};

fn errno(error: SaveError) -> c_int {
    match error {
        SaveError::Busy => -EBUSY,
        SaveError::NoRoom => -ENOSPC,
    }
}

/// How many bytes `rvgic_save()` needs, or a negative error number. -ERESTART: call it again, before the domain is unpaused.
///
/// What has been begun is done first, as it may map more: a pending table that is being read. So guest memory is written to here,
/// too: the tables of ITSes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_save_size(d: *mut domain) -> i64 {
    // SAFETY: alive, see above.
    let Some(vgic) = (unsafe { vgic_of(d) }) else {
        // SAFETY: the same.
        return unsafe { rvic_of(d) }.map_or(i64::from(-EINVAL), |rvic| {
            i64::try_from(rvic.save_size()).unwrap_or(i64::MAX)
        });
    };
    match vgic.prepare_save() {
        Ok(Progress::Done) => {}
        Ok(Progress::Again) => return i64::from(-ERESTART),
        Err(error) => return errno(error).into(),
    }
    match vgic.save_size() {
        Ok(size) => i64::try_from(size).unwrap_or(i64::MAX),
        Err(error) => errno(error).into(),
    }
}

/// Saves to `size` bytes at `to`; `*written` says how many it took. `rvgic_save_size()` comes before it, and the domain stays paused
/// in between. 0; -ENOSPC, -EBUSY: nothing is to be made of what is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_save(
    d: *mut domain,
    to: *mut c_void,
    size: usize,
    written: *mut usize,
) -> c_int {
    if to.is_null() || written.is_null() {
        return -EINVAL;
    }
    // SAFETY: the caller has so many bytes there, that nobody else uses.
    let buffer = unsafe { core::slice::from_raw_parts_mut(to.cast::<u8>(), size) };
    // SAFETY: alive, see above.
    let saved = if let Some(vgic) = unsafe { vgic_of(d) } {
        vgic.save_to(buffer)
    // SAFETY: the same.
    } else if let Some(rvic) = unsafe { rvic_of(d) } {
        rvic.save_to(buffer)
    } else {
        return -EINVAL;
    };
    match saved {
        Ok(count) => {
            // SAFETY: the caller's, and not NULL.
            unsafe { written.write(count) };
            0
        }
        Err(error) => errno(error),
    }
}

/// Restores from `size` bytes at `from`, which nobody changes meanwhile. 0, or an error number; then the domain is as it was:
/// -EBUSY: its vGIC is not as after creation or reset, or a vCPU runs; -ENOMEM; -EINVAL for what the stream says, which is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_restore(d: *mut domain, from: *const c_void, size: usize) -> c_int {
    if from.is_null() {
        return -EINVAL;
    }
    // SAFETY: the caller has so many bytes there.
    let stream = unsafe { core::slice::from_raw_parts(from.cast::<u8>(), size) };
    // SAFETY: alive, see above.
    let restored = if let Some(vgic) = unsafe { vgic_of(d) } {
        vgic.restore(stream).map(|()| look_at_lines(vgic))
    // SAFETY: the same.
    } else if let Some(rvic) = unsafe { rvic_of(d) } {
        rvic.restore(stream)
    } else {
        return -EINVAL;
    };
    match restored {
        Ok(()) => 0,
        Err(error) => {
            // SAFETY: alive.
            let d = unsafe { XenDomain::new(d) };
            log::warn!("{d}: its vGIC is not restored: {error}");
            match error.why {
                Why::Busy => -EBUSY,
                Why::NoMemory => -ENOMEM,
                _ => -EINVAL,
            }
        }
    }
}

/// Lines that are up as they were restored are looked at on the next exit, as those that were raised.
fn look_at_lines(vgic: &Vgic) {
    for v in (0..)
        .map_while(VcpuId::new)
        .filter_map(|id| vgic.vcpu(id)?.handle())
    {
        v.line_is_up();
    }
}
