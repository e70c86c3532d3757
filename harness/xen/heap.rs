// SPDX-License-Identifier: GPL-2.0-only
//! Xen's heap, for what is in C, with its assertion about who may use it.

use crate::xen::faults::{self, freed, refused};
use crate::xen::host::here;
use std::alloc::{GlobalAlloc, Layout, System};

/// `ASSERT_ALLOC_CONTEXT()`.
fn check_allocation_context() {
    faults::mock(|| {
        here(|m, p| {
            if p.in_irq() || !p.irqs_on() {
                m.report("_xmalloc() or xfree() in an interrupt or with interrupts masked");
            }
        })
    });
}

/// Xen's `_xmalloc` and `_xzalloc`: memory of zeros, at least this aligned, or NULL.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn _xzalloc(size: u64, align: u64) -> *mut u8 {
    check_allocation_context();
    if refused(size as usize) {
        return std::ptr::null_mut();
    }
    // A header in front remembers the size.
    let align = (align as usize).next_power_of_two().max(HEADER);
    let Some(layout) = (size as usize)
        .checked_add(align)
        .and_then(|s| Layout::from_size_align(s, align).ok())
    else {
        return std::ptr::null_mut();
    };
    // SAFETY: not of size zero, the header is in it.
    let base = unsafe { System.alloc_zeroed(layout) };
    if base.is_null() {
        return base;
    }
    // SAFETY: inside the allocation, whose first `align` >= HEADER bytes are ours.
    unsafe {
        let user = base.add(align);
        user.sub(HEADER)
            .cast::<[usize; 2]>()
            .write([layout.size(), align]);
        user
    }
}

unsafe extern "C" {
    /// Of the C half: is something in there that is still needed?
    fn mock_freed(p: *const u8, size: usize);
}

const HEADER: usize = size_of::<[usize; 2]>();

#[unsafe(no_mangle)]
pub(crate) extern "C" fn _xmalloc(size: u64, align: u64) -> *mut u8 {
    _xzalloc(size, align)
}

/// Xen's `xfree`.
///
/// # Safety
/// NULL, or from `_xzalloc` and not freed yet.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn xfree(p: *mut u8) {
    if p.is_null() {
        return;
    }
    check_allocation_context();
    // SAFETY: `_xzalloc` left the header there, and made the allocation with this layout.
    unsafe {
        let [size, align] = p.sub(HEADER).cast::<[usize; 2]>().read();
        mock_freed(p, size - align);
        freed(size - align);
        System.dealloc(p.sub(align), Layout::from_size_align_unchecked(size, align));
    }
}
