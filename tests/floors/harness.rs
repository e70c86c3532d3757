// SPDX-License-Identifier: GPL-2.0-only
//! The harness: who is below whom, lowest first.

pub const FLOORS: &[&[&str]] = &[
    // A lock.
    &["lock"],
    // The parts of a machine, which know nobody.
    &["machine"],
    // What is noted of list registers and of interrupts.
    &["notes"],
    // The mock Xen, from the vGIC's functions up to domains.
    &["xen"],
    // Guests of its domains.
    &["guests"],
    // What is played on them, and drawn.
    &["scripts"],
    // What other vGICs say to the same scripts; what all of it costs.
    &["comparison", "bench"],
];
