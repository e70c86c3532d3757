// SPDX-License-Identifier: GPL-2.0-only
//! Everything of the vGIC that knows Xen: the functions that Xen calls ([`exports`]), the services
//! that the vGIC takes from Xen ([`host`]), and what a Rust library needs inside a hypervisor.
//!
//! There is no GIC logic here: that is in `rust-vgic`. The C half is in `c/`.
//!
//! In the hypervisor (`target_os = "none"`) the virtual CPU interface is reached by system registers or a mapped
//! frame. Elsewhere a mock Xen stands in for both it and Xen.
#![no_std]

extern crate alloc;

/// Calls a function of the recorder, if there is one.
macro_rules! record {
    ($($call:tt)*) => {
        #[cfg(feature = "record")]
        crate::record::$($call)*;
    };
}

#[cfg(target_os = "none")]
mod allocator;
#[cfg_attr(target_os = "none", path = "cpu.rs")]
#[cfg_attr(not(target_os = "none"), path = "cpu_mock.rs")]
mod cpu;
pub mod exports;
mod ffi;
pub mod host;
mod layout;
mod log;
#[cfg(target_os = "none")]
mod panic;
#[cfg(feature = "record")]
pub mod record;
pub mod virq;
#[cfg(not(target_os = "none"))]
pub mod word_mock;
