// SPDX-License-Identifier: GPL-2.0-only
//! The console: a PL011, or the SBSA's subset of it. Only CPU 0 prints.

use crate::mmio;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const DR: usize = 0x00;
const FR: usize = 0x18;
const FR_TXFF: u32 = 1 << 5;

static BASE: AtomicUsize = AtomicUsize::new(0);

/// Prints to the UART at `base` from now on.
pub fn init(base: usize) {
    BASE.store(base, Relaxed);
}

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let base = BASE.load(Relaxed);
        if base == 0 {
            return Ok(());
        }
        for byte in text.bytes() {
            // A console that never drains costs characters, not the run.
            for _ in 0..1_000_000 {
                if mmio::read32(base + FR) & FR_TXFF == 0 {
                    break;
                }
            }
            mmio::write32(base + DR, byte.into());
        }
        Ok(())
    }
}

/// Prints a line.
pub fn print(arguments: fmt::Arguments) {
    // It always succeeds.
    let _ = Console.write_fmt(arguments);
    let _ = Console.write_str("\n");
}

macro_rules! println {
    ($($word:tt)*) => { $crate::console::print(format_args!($($word)*)) };
}
pub(crate) use println;
