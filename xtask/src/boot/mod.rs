// SPDX-License-Identifier: GPL-2.0-only
//! The boot: a machine of QEMU's on which Xen starts its guests, what they say, and what is made of it.

pub mod arguments;
pub mod bare;
mod checks;
mod clean;
mod console;
mod count;
mod dtb;
pub mod guest;
mod guest_report;
mod interrupts;
mod life;
pub mod linux;
mod load;
mod machine;
pub mod qemu;
pub mod record;
mod verdict;
