// SPDX-License-Identifier: GPL-2.0-only
//! Guests of the mock Xen's domains, and what their drivers do.

pub mod guest;
pub mod its;
pub mod linux;
pub mod pci;
pub mod scenario;
pub mod source;
pub mod travel;
