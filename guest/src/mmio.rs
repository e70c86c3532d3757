// SPDX-License-Identifier: GPL-2.0-only
//! Accesses to devices, each one load or store instruction with a plain address: a hypervisor can decode no other.

use crate::exception;
use core::arch::asm;

macro_rules! access {
    ($read:ident, $write:ident, $type:ty, $load:literal, $store:literal) => {
        pub fn $read(address: usize) -> $type {
            let value: u64;
            // SAFETY: a device's register; a fault ends the case, not the program.
            unsafe { asm!($load, out(reg) value, in(reg) address, options(nostack)) };
            value as $type
        }
        pub fn $write(address: usize, value: $type) {
            let value = u64::from(value);
            // SAFETY: a device's register, never memory that Rust knows of; a fault ends the case.
            unsafe { asm!("dsb sy", $store, "dsb sy", in(reg) value, in(reg) address, options(nostack)) };
        }
    };
}

access!(read8, write8, u8, "ldrb {0:w}, [{1}]", "strb {0:w}, [{1}]");
access!(
    read16,
    write16,
    u16,
    "ldrh {0:w}, [{1}]",
    "strh {0:w}, [{1}]"
);
access!(read32, write32, u32, "ldr {0:w}, [{1}]", "str {0:w}, [{1}]");
access!(read64, write64, u64, "ldr {0}, [{1}]", "str {0}, [{1}]");

/// Reads a word, or says that it aborted.
pub fn probe_read32(address: usize) -> Option<u32> {
    let mut value = 0;
    exception::survives(|| value = read32(address)).then_some(value)
}

/// Writes a word; whether it did not abort.
pub fn probe_write32(address: usize, value: u32) -> bool {
    exception::survives(|| write32(address, value))
}
