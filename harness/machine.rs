// SPDX-License-Identifier: GPL-2.0-only
//! The parts of a machine. None of them knows who uses it.

pub(crate) mod bell;
pub mod cpuif;
pub mod lr;
pub mod pci;
pub mod physgic;
pub mod profile;
