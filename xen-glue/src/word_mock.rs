// SPDX-License-Identifier: GPL-2.0-only
//! What a mock Xen may ask that Xen does not: it is not in the hypervisor.

use crate::exports::{rvic_of, vcpu_of, vgic_of};
use crate::ffi::{domain, vcpu};
use core::ffi::{c_uint, c_void};
use core::fmt;
use rust_vgic::IntId;

/// Stores the word of an interrupt, of `v` or, if that is NULL, of the domain; leaves `word` alone if there is no such interrupt.
/// Any context, also from within the vGIC: it takes no lock.
///
/// # Safety
/// `d` and `v` are NULL or alive, `word` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_mock_word(
    d: *mut domain,
    v: *mut vcpu,
    intid: c_uint,
    word: *mut u64,
) {
    let Some(intid) = IntId::new(intid) else {
        return;
    };
    let state = if v.is_null() {
        // SAFETY: the caller says so.
        unsafe { vgic_of(d) }.and_then(|vgic| vgic.state_of(None, intid))
    } else {
        // SAFETY: the caller says so.
        unsafe { vcpu_of(v) }.and_then(|(vgic, own)| vgic.state_of(Some(own), intid))
    };
    if let Some(state) = state {
        // SAFETY: the caller says so.
        unsafe { word.write(state.bits()) };
    }
}

/// Text that goes to a function of the mock's, piece by piece.
struct Text {
    take: unsafe extern "C" fn(context: *mut c_void, text: *const u8, len: usize),
    context: *mut c_void,
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the caller of `rvgic_mock_image` says so.
        unsafe { (self.take)(self.context, text.as_ptr(), text.len()) };
        Ok(())
    }
}

/// Hands `take` all there is of a domain's vGIC, as text, while nothing happens to it.
///
/// # Safety
/// `d` is alive, and `take` can be called with `context`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_mock_image(
    d: *mut domain,
    take: unsafe extern "C" fn(context: *mut c_void, text: *const u8, len: usize),
    context: *mut c_void,
) {
    // SAFETY: the caller says so.
    if let Some(vgic) = unsafe { vgic_of(d) } {
        // Whoever takes it does not fail.
        let _ = vgic.image(&mut Text { take, context });
    // SAFETY: the same.
    } else if let Some(rvic) = unsafe { rvic_of(d) } {
        let _ = rvic.image(&mut Text { take, context });
    }
}
