// SPDX-License-Identifier: GPL-2.0-only
//! PSCI (DEN 0022), by HVC: that is the conduit under Xen and on QEMU's board without EL2 and EL3.

use core::arch::asm;

const CPU_OFF: u64 = 0x8400_0002;
const CPU_ON: u64 = 0xc400_0003;
const AFFINITY_INFO: u64 = 0xc400_0004;
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;

/// What AFFINITY_INFO says of a CPU that is off.
pub const OFF: i64 = 1;

fn call(function: u64, one: u64, two: u64, three: u64) -> i64 {
    let result: u64;
    // SAFETY: the calling convention (DEN 0028) names all registers that may change.
    unsafe {
        asm!("hvc #0", inlateout("x0") function => result, inlateout("x1") one => _, inlateout("x2") two => _,
            inlateout("x3") three => _, out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _,
            out("x10") _, out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _,
            out("x17") _, options(nostack));
    }
    // Some of the results are 32 bits wide.
    i64::from(result as u32 as i32)
}

/// The CPU begins at `entry`.
pub fn cpu_on(mpidr: u64, entry: usize) -> i64 {
    call(CPU_ON, mpidr, entry as u64, 0)
}

/// Does not return unless it is refused.
pub fn cpu_off() -> i64 {
    call(CPU_OFF, 0, 0, 0)
}

pub fn affinity_info(mpidr: u64) -> i64 {
    call(AFFINITY_INFO, mpidr, 0, 0)
}

pub fn system_off() -> ! {
    loop {
        call(SYSTEM_OFF, 0, 0, 0);
    }
}

pub fn system_reset() -> ! {
    loop {
        call(SYSTEM_RESET, 0, 0, 0);
    }
}
