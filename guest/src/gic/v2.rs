// SPDX-License-Identifier: GPL-2.0-only
//! The CPU interface of GICv2 (IHI 0048B, chapter 4.4): registers in memory.

use crate::mmio::{read32, write32};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub const CTLR: usize = 0x0;
const PMR: usize = 0x4;
const BPR: usize = 0x8;
const IAR: usize = 0xc;
const EOIR: usize = 0x10;
const RPR: usize = 0x14;
const HPPIR: usize = 0x18;
const APR0: usize = 0xd0;
pub const IIDR: usize = 0xfc;
const DIR: usize = 0x1000;

/// IAR acknowledges group 1 too.
pub const ACK_CTL: u32 = 1 << 2;
const EOI_MODE: u32 = 1 << 9;

static BASE: AtomicUsize = AtomicUsize::new(0);

pub fn init(base: usize) {
    BASE.store(base, Relaxed);
}

pub fn read(register: usize) -> u32 {
    read32(BASE.load(Relaxed) + register)
}

pub fn write(register: usize, value: u32) {
    write32(BASE.load(Relaxed) + register, value);
}

/// Everything that all others are made of; the same list as in the module for GICv3.
pub fn acknowledge() -> u32 {
    read(IAR)
}

pub fn end(ack: u32) {
    write(EOIR, ack);
}

pub fn deactivate(ack: u32) {
    write(DIR, ack);
}

pub fn running_priority() -> u32 {
    read(RPR)
}

pub fn highest_pending() -> u32 {
    read(HPPIR)
}

pub fn set_priority_mask(mask: u32) {
    write(PMR, mask);
}

/// Lets both groups (bit 0: group 0, bit 1: group 1) through, or not.
pub fn set_groups(groups: u32) {
    write(CTLR, read(CTLR) & !3 | groups);
}

pub fn set_split(split: bool) {
    let other = read(CTLR) & !EOI_MODE;
    write(CTLR, if split { other | EOI_MODE } else { other });
}

pub fn init_this() {
    write(CTLR, 0);
    write(BPR, 0);
    write(PMR, 0xff);
    write(CTLR, 1);
}

pub fn forget_active_priorities() {
    for n in 0..4 {
        write(APR0 + n * 4, 0);
    }
}
