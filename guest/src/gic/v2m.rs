// SPDX-License-Identifier: GPL-2.0-only
//! A GICv2m frame (Arm's Server Base System Architecture, appendix on GICv2m): who writes an SPI's number there makes it pending.

use crate::fdt::Machine;
use crate::mmio::read32;
use crate::outcome::{Outcome, skip};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub const TYPER: usize = 0x008;
pub const SETSPI_NS: usize = 0x040;
pub const IIDR: usize = 0xfcc;

static BASE: AtomicUsize = AtomicUsize::new(0);

/// Finds it.
pub fn discover(machine: &Machine) {
    let Some((base, _)) = machine.v2m else { return };
    BASE.store(base, Relaxed);
    let typer = read32(base + TYPER);
    let first = typer >> 16 & 0x3ff;
    super::keep_clear_of(first, first + (typer & 0x3ff));
}

/// Where it is, if there is one.
pub fn base() -> Outcome<usize> {
    match BASE.load(Relaxed) {
        0 => skip!("there is no GICv2m frame"),
        base => Ok(base),
    }
}
