// SPDX-License-Identifier: GPL-2.0-only
//! The vGIC for a shared object: what the mock Xen runs when it counts what each vGIC costs, all in the same way.

// Its exported functions are what is wanted.
use xen_glue as _;

/// The heap of the mock Xen, taken as in the hypervisor.
#[path = "../../../xen-glue/src/allocator.rs"]
mod allocator;

mod ffi {
    use std::ffi::{c_ulong, c_void};

    unsafe extern "C" {
        pub fn _xmalloc(size: c_ulong, align: c_ulong) -> *mut c_void;
        pub fn _xzalloc(size: c_ulong, align: c_ulong) -> *mut c_void;
        pub fn xfree(p: *mut c_void);
    }
}
