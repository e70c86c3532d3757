// SPDX-License-Identifier: GPL-2.0-only
//! A device with a level-sensitive interrupt, input 0 of the rVID: the console. Its transmit interrupt stands while there is
//! room for what it is to send, so its mask is the line.

use crate::mmio::{read32, write32};
use crate::outcome::{Outcome, check};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Its input.
pub const INPUT: u64 = 0;

const IMSC: usize = 0x38;
const RIS: usize = 0x3c;
const TRANSMIT: u32 = 1 << 5;

static BASE: AtomicUsize = AtomicUsize::new(0);

pub fn init(base: usize) {
    BASE.store(base, Relaxed);
}

/// Its line goes up.
pub fn raise() {
    write32(BASE.load(Relaxed) + IMSC, TRANSMIT);
}

/// Its line goes down.
pub fn lower() {
    write32(BASE.load(Relaxed) + IMSC, 0);
}

/// It has sent something, so that the line can be up at all.
pub fn is_ready() -> Outcome {
    let ris = read32(BASE.load(Relaxed) + RIS);
    check!(
        ris & TRANSMIT != 0,
        "the console's transmit interrupt is not there (UARTRIS {ris:#x})"
    );
    Ok(())
}
