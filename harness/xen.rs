// SPDX-License-Identifier: GPL-2.0-only
//! The mock Xen, up to its domains.

pub mod abi;
pub mod domain;
mod entries;
pub mod faults;
pub mod flaws;
pub mod functions;
pub(crate) mod heap;
pub mod host;
mod interrupts;
pub mod pci;
pub mod peer;
pub(crate) mod services;
pub mod vcpu;
pub mod vpci;
pub mod vtimer;
