// SPDX-License-Identifier: GPL-2.0-only
//! This CPU: who it is, and its interrupt mask.

use core::arch::asm;

/// Reads a system register.
macro_rules! read_sysreg {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: a read of a register of EL1 that Rust does not use; an undefined one ends the case.
        unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nostack)) };
        value
    }};
}
/// Writes a system register, and makes the write seen by what follows.
macro_rules! write_sysreg {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: a register of the timer, the interrupt controller or the vectors; Rust does not use them.
        unsafe { core::arch::asm!("dsb sy", concat!("msr ", $name, ", {}"), "isb", in(reg) value, options(nostack)) };
    }};
}
pub(crate) use {read_sysreg, write_sysreg};

/// There are two, with a GIC.
pub const CPUS: usize = 2;

/// With an rVIC there are up to four.
pub const MOST: usize = 4;

/// The number of this CPU: 0, or what CPU 0 has called the one that it has started.
pub fn current() -> usize {
    (read_sysreg!("tpidr_el1") as usize) % MOST
}

/// The affinity of this CPU, as MPIDR_EL1 has it.
pub fn affinity() -> u64 {
    read_sysreg!("mpidr_el1") & 0xff_00ff_ffff
}

pub fn unmask_irqs() {
    // SAFETY: the vectors are installed on every CPU that runs Rust.
    unsafe { asm!("msr daifclr, #2", "isb", options(nostack)) };
}

pub fn mask_irqs() {
    // SAFETY: nothing can go wrong with interrupts masked.
    unsafe { asm!("msr daifset, #2", "isb", options(nostack)) };
}

/// The generic timer makes an event every 2^13 ticks, so that no wait for one is without end.
pub fn enable_event_stream() {
    const EVNTEN: u64 = 1 << 2;
    write_sysreg!("cntkctl_el1", EVNTEN | 12 << 4);
}

pub fn wait_for_event() {
    // SAFETY: a hint.
    unsafe { asm!("wfe", options(nostack)) };
}

pub fn send_event() {
    // SAFETY: a hint.
    unsafe { asm!("dsb sy", "sev", options(nostack)) };
}

pub fn wait_for_interrupt() {
    // SAFETY: a hint.
    unsafe { asm!("dsb sy", "wfi", "isb", options(nostack)) };
}
