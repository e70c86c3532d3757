// SPDX-License-Identifier: GPL-2.0-only
//! The laptop's front door: runs a scripted guest on the mock Xen.

fn main() {}
