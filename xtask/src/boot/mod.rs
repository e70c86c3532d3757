// SPDX-License-Identifier: GPL-2.0-only
//! The boot: a machine of QEMU's on which Xen starts its guests, what they say, and what is made of it.
//!
//! - [`arguments`] say which one; [`linux`], [`bare`], [`latency`], [`figures`] and [`record`] are the tasks;
//! - the machine: [`machine`], which [`qemu`], its device tree ([`dtb`]), and its console's lines ([`console`]);
//! - what runs on it: the kernel and the initial file system ([`guest`]), and in Dom0 [`load`], [`life`], [`pci`] and [`state`];
//! - what is made of it: [`guest_report`] with its [`interrupts`], [`messages`], [`storm`], [`clean`], and all the [`checks`] with their [`verdict`];
//! - what Xen is to refuse: [`refused`];
//! - whose the hypervisor's instructions were: [`count`].

pub mod arguments;
pub mod bare;
mod checks;
mod clean;
mod console;
mod count;
mod dtb;
pub mod figures;
pub mod guest;
mod guest_report;
mod interrupts;
mod kinds;
pub mod latency;
mod life;
pub mod linux;
mod load;
mod machine;
mod messages;
pub mod pci;
pub mod pci_arguments;
pub mod qemu;
pub mod record;
mod refused;
mod state;
mod storm;
mod verdict;
