// SPDX-License-Identifier: GPL-2.0-only
//! Memory from Xen's heap. Xen forbids it in interrupt context and with interrupts masked; the vGIC
//! allocates and frees only where a domain is created or destroyed.

use crate::ffi;
use core::alloc::{GlobalAlloc, Layout};

struct XenHeap;

#[global_allocator]
static HEAP: XenHeap = XenHeap;

// SAFETY: _xmalloc returns NULL or a block of this size and alignment that is nobody else's until xfree.
unsafe impl GlobalAlloc for XenHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any power of two are valid.
        unsafe { ffi::_xmalloc(layout.size() as _, layout.align() as _) }.cast()
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { ffi::_xzalloc(layout.size() as _, layout.align() as _) }.cast()
    }

    unsafe fn dealloc(&self, p: *mut u8, _layout: Layout) {
        // SAFETY: the caller got `p` from `alloc`.
        unsafe { ffi::xfree(p.cast()) }
    }
}
