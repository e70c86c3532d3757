// SPDX-License-Identifier: GPL-2.0-only
//! Failures of vGICs that have been seen in the field, a test for each, named after where it was seen.
//!
//! Each asserts what the architecture says should have happened, on the exported functions, with a guest as Linux boots it.

#[path = "cases/common.rs"]
mod common;
#[path = "cases/elsewhere.rs"]
mod elsewhere;
#[path = "cases/new_c_vgic.rs"]
mod new_c_vgic;
#[path = "cases/old_c_vgic.rs"]
mod old_c_vgic;
#[path = "cases/xen.rs"]
mod xen;
