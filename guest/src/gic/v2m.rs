// SPDX-License-Identifier: GPL-2.0-only
//! A GICv2m frame (Arm's Server Base System Architecture, appendix on GICv2m): who writes an SPI's number there makes it pending.

use crate::fdt::Machine;
use crate::outcome::{Outcome, skip};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub const TYPER: usize = 0x008;
pub const SETSPI_NS: usize = 0x040;
pub const IIDR: usize = 0xfcc;

static BASE: AtomicUsize = AtomicUsize::new(0);

/// Finds it.
pub fn discover(machine: &Machine) {
    BASE.store(machine.v2m.map_or(0, |frame| frame.0), Relaxed);
}

/// Where it is, if there is one.
pub fn base() -> Outcome<usize> {
    match BASE.load(Relaxed) {
        0 => skip!("there is no GICv2m frame"),
        base => Ok(base),
    }
}
