// SPDX-License-Identifier: GPL-2.0-only
//! A mock Xen: enough of a machine and of a hypervisor to run the vGIC's exported C functions on a laptop.

pub mod cpuif;
pub mod lr;
pub mod physgic;
