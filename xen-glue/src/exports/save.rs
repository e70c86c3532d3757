// SPDX-License-Identifier: GPL-2.0-only
//! A domain's vGIC as a stream of records, and back. Its domain is paused: no vCPU runs, and the state of each is saved.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::{EBUSY, EINVAL, ENOMEM, ENOSPC, ERESTART, vgic_of};
use crate::ffi::domain;
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
        return i64::from(-EINVAL);
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
    // SAFETY: alive, see above.
    let Some(vgic) = (unsafe { vgic_of(d) }) else {
        return -EINVAL;
    };
    if to.is_null() || written.is_null() {
        return -EINVAL;
    }
    // SAFETY: the caller has so many bytes there, that nobody else uses.
    let buffer = unsafe { core::slice::from_raw_parts_mut(to.cast::<u8>(), size) };
    match vgic.save_to(buffer) {
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
    // SAFETY: alive, see above.
    let Some(vgic) = (unsafe { vgic_of(d) }) else {
        return -EINVAL;
    };
    if from.is_null() {
        return -EINVAL;
    }
    // SAFETY: the caller has so many bytes there.
    let stream = unsafe { core::slice::from_raw_parts(from.cast::<u8>(), size) };
    match vgic.restore(stream) {
        Ok(()) => {
            // Lines that are up as they were restored are looked at on the next exit, as those that were raised.
            for v in (0..)
                .map_while(VcpuId::new)
                .filter_map(|id| vgic.vcpu(id)?.handle())
            {
                v.line_is_up();
            }
            0
        }
        Err(error) => {
            let d = vgic.host().domain();
            log::warn!("{d}: its vGIC is not restored: {error}");
            match error.why {
                Why::Busy => -EBUSY,
                Why::NoMemory => -ENOMEM,
                _ => -EINVAL,
            }
        }
    }
}
