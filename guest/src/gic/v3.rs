// SPDX-License-Identifier: GPL-2.0-only
//! The CPU interface of GICv3 (IHI 0069, chapter 12.2): system registers. Everything is in group 1.

use crate::cpu::{read_sysreg, write_sysreg};

const EOI_MODE: u64 = 1 << 1;

pub fn acknowledge() -> u32 {
    let ack = read_sysreg!("S3_0_C12_C12_0") as u32; // ICC_IAR1_EL1
    // What follows must not be done before the interrupt is active.
    // SAFETY: a barrier.
    unsafe { core::arch::asm!("dsb sy", "isb", options(nostack)) };
    ack
}

pub fn acknowledge_group0() -> u32 {
    read_sysreg!("S3_0_C12_C8_0") as u32 // ICC_IAR0_EL1
}

pub fn end(ack: u32) {
    write_sysreg!("S3_0_C12_C12_1", ack.into()); // ICC_EOIR1_EL1
}

pub fn end_group0(ack: u32) {
    write_sysreg!("S3_0_C12_C8_1", ack.into()); // ICC_EOIR0_EL1
}

pub fn deactivate(ack: u32) {
    write_sysreg!("S3_0_C12_C11_1", ack.into()); // ICC_DIR_EL1
}

pub fn running_priority() -> u32 {
    read_sysreg!("S3_0_C12_C11_3") as u32 // ICC_RPR_EL1
}

pub fn highest_pending() -> u32 {
    read_sysreg!("S3_0_C12_C12_2") as u32 // ICC_HPPIR1_EL1
}

pub fn set_priority_mask(mask: u32) {
    write_sysreg!("S3_0_C4_C6_0", mask.into()); // ICC_PMR_EL1
}

/// Lets both groups (bit 0: group 0, bit 1: group 1) through, or not.
pub fn set_groups(groups: u32) {
    write_sysreg!("S3_0_C12_C12_6", u64::from(groups & 1)); // ICC_IGRPEN0_EL1
    write_sysreg!("S3_0_C12_C12_7", u64::from(groups >> 1 & 1)); // ICC_IGRPEN1_EL1
}

/// ICC_PMR_EL1.
pub fn priority_mask() -> u32 {
    read_sysreg!("S3_0_C4_C6_0") as u32
}

/// ICC_CTLR_EL1.
pub fn control() -> u64 {
    read_sysreg!("S3_0_C12_C12_4")
}

pub fn set_control(value: u64) {
    write_sysreg!("S3_0_C12_C12_4", value);
}

pub fn set_split(split: bool) {
    let other = control() & !EOI_MODE;
    set_control(if split { other | EOI_MODE } else { other });
}

pub fn init_this() {
    write_sysreg!("S3_0_C12_C12_5", read_sysreg!("S3_0_C12_C12_5") | 1); // ICC_SRE_EL1
    set_split(false);
    write_sysreg!("S3_0_C12_C12_3", 0); // ICC_BPR1_EL1: as fine as it goes
    set_priority_mask(0xff);
    set_groups(2);
}

pub fn forget_active_priorities() {
    write_sysreg!("S3_0_C12_C9_0", 0); // ICC_AP1R0_EL1
}

/// ICC_SGI1R_EL1.
pub fn write_sgi1r(value: u64) {
    write_sysreg!("S3_0_C12_C11_5", value);
}

/// ICC_SGI0R_EL1.
pub fn write_sgi0r(value: u64) {
    write_sysreg!("S3_0_C12_C11_7", value);
}
