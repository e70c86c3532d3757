// SPDX-License-Identifier: GPL-2.0-only
//! Trapped accesses: of a domain's frames, of the system registers that send SGIs, and of those of the CPU interface that trap.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::vcpu_of;
use crate::ffi::vcpu;
#[cfg(feature = "record")]
use crate::record::Place;
use core::ffi::c_uint;
use rust_vgic::{CpuInterface, IccRegister, Progress, SgiRegister, Width};

/// ICC_SGI1R_EL1, for [`rvgic_send_sgi`].
pub const RVGIC_SGI1R: c_uint = 0;
/// ICC_ASGI1R_EL1.
pub const RVGIC_ASGI1R: c_uint = 1;
/// ICC_SGI0R_EL1.
pub const RVGIC_SGI0R: c_uint = 2;
/// ICC_DIR_EL1, for [`rvgic_icc_read`] and [`rvgic_icc_write`], as the rest.
pub const RVGIC_DIR: c_uint = 3;
/// ICC_CTLR_EL1.
pub const RVGIC_CTLR: c_uint = 4;
/// ICC_PMR_EL1.
pub const RVGIC_PMR: c_uint = 5;
/// ICC_RPR_EL1.
pub const RVGIC_RPR: c_uint = 6;

fn icc_register(register: c_uint) -> Option<IccRegister> {
    match register {
        RVGIC_DIR => Some(IccRegister::Dir),
        RVGIC_CTLR => Some(IccRegister::Ctlr),
        RVGIC_PMR => Some(IccRegister::Pmr),
        RVGIC_RPR => Some(IccRegister::Rpr),
        _ => None,
    }
}

/// The guest reads its distributor: 2 to the power of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_dist_read(v: *mut vcpu, offset: u32, size: u8) -> u64 {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.map_or(0, |(vgic, own)| {
        let value = vgic.dist_read(own, offset, Width::from_log2(size));
        record!(read(vgic, own, Place::Gicd(offset), size, value));
        value
    })
}

/// The guest writes its distributor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_dist_write(v: *mut vcpu, offset: u32, size: u8, value: u64) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        record!(writing(vgic, own, Place::Gicd(offset), size, value));
        vgic.dist_write(own, offset, Width::from_log2(size), value);
        record!(written(vgic, own, Place::Gicd(offset), size, value));
    }
}

/// The guest reads a redistributor, at an offset into a region of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_redist_read(
    v: *mut vcpu,
    region: c_uint,
    offset: u64,
    size: u8,
) -> u64 {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.map_or(0, |(vgic, own)| {
        let value = vgic.redist_read(own, region as usize, offset, Width::from_log2(size));
        record!(read(vgic, own, Place::Gicr(region, offset), size, value));
        value
    })
}

/// The guest writes a redistributor. `true`: it is to execute its store once more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_redist_write(
    v: *mut vcpu,
    region: c_uint,
    offset: u64,
    size: u8,
    value: u64,
) -> bool {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.is_some_and(|(vgic, own)| {
        let width = Width::from_log2(size);
        record!(writing(vgic, own, Place::Gicr(region, offset), size, value));
        let progress = vgic.redist_write(own, region as usize, offset, width, value);
        record!(written(vgic, own, Place::Gicr(region, offset), size, value));
        progress == Progress::Again
    })
}

/// The guest deactivates an interrupt by GICC_DIR, in a GICv2.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_write_dir(v: *mut vcpu, value: u64) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        record!(dir(vgic, own, value));
        // The guest may have set EOImode a moment ago, in memory.
        vgic.host().interface().sync();
        vgic.write_dir(own, value);
    }
}

/// A trapped read of one of the RVGIC_ registers above that have names of the CPU interface; `false`: the access is UNDEFINED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_icc_read(v: *mut vcpu, register: c_uint, value: *mut u64) -> bool {
    // SAFETY: alive, see above.
    let own = unsafe { vcpu_of(v) }.zip(icc_register(register));
    let read = own.and_then(|((vgic, own), register)| vgic.read_icc(own, register));
    // SAFETY: the caller's own.
    read.map(|read| unsafe { value.write(read) }).is_some()
}

/// A trapped write of one of them; `false`: the access is UNDEFINED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_icc_write(v: *mut vcpu, register: c_uint, value: u64) -> bool {
    // SAFETY: alive, see above.
    let own = unsafe { vcpu_of(v) }.zip(icc_register(register));
    own.is_some_and(|((vgic, own), register)| {
        #[cfg(feature = "record")]
        if register == IccRegister::Dir {
            record!(dir(vgic, own, value));
        }
        let done = vgic.write_icc(own, register, value);
        record!(interface(vgic, own));
        done
    })
}

/// A write of one of the RVGIC_ registers that send an SGI; `false`: the domain has no such register.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_send_sgi(v: *mut vcpu, register: c_uint, value: u64) -> bool {
    let sgi_register = match register {
        RVGIC_SGI1R => SgiRegister::Sgi1r,
        RVGIC_ASGI1R => SgiRegister::Asgi1r,
        _ => SgiRegister::Sgi0r,
    };
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.is_some_and(|(vgic, own)| {
        record!(sgi(vgic, own, register, value));
        vgic.send_sgi(own, sgi_register, value)
    })
}
