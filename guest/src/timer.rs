// SPDX-License-Identifier: GPL-2.0-only
//! The generic timer: deadlines for every wait, and the two timers whose interrupts are level-sensitive PPIs.

use crate::cpu::{read_sysreg, write_sysreg};
use crate::gic::IntId;
use core::arch::asm;

const ENABLE: u64 = 1;
const IMASK: u64 = 2;

pub fn now() -> u64 {
    // SAFETY: the counter must not be read early.
    unsafe { asm!("isb", options(nostack)) };
    read_sysreg!("cntvct_el0")
}

/// Ticks of `ms` milliseconds.
pub fn ticks(ms: u64) -> u64 {
    read_sysreg!("cntfrq_el0") * ms / 1000
}

/// Polls `done` for at most `ms` milliseconds.
pub fn within(ms: u64, mut done: impl FnMut() -> bool) -> bool {
    let deadline = now() + ticks(ms);
    loop {
        if done() {
            return true;
        }
        if now() > deadline {
            return done();
        }
    }
}

/// One of the CPU's timers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    Virtual,
    Physical,
}

impl Timer {
    pub const ALL: [Timer; 2] = [Timer::Virtual, Timer::Physical];

    pub fn name(self) -> &'static str {
        match self {
            Timer::Virtual => "virtual timer",
            Timer::Physical => "physical timer",
        }
    }

    /// Its PPI, which the platform could choose but nobody does otherwise.
    pub fn intid(self) -> IntId {
        match self {
            Timer::Virtual => IntId(27),
            Timer::Physical => IntId(30),
        }
    }

    fn count(self) -> u64 {
        match self {
            Timer::Virtual => now(),
            Timer::Physical => read_sysreg!("cntpct_el0"),
        }
    }

    fn control(self, value: u64) {
        match self {
            Timer::Virtual => write_sysreg!("cntv_ctl_el0", value),
            Timer::Physical => write_sysreg!("cntp_ctl_el0", value),
        }
    }

    fn compare(self, value: u64) {
        match self {
            Timer::Virtual => write_sysreg!("cntv_cval_el0", value),
            Timer::Physical => write_sysreg!("cntp_cval_el0", value),
        }
    }

    /// The condition becomes true in `ms` milliseconds; at once for 0.
    pub fn arm(self, ms: u64) {
        self.compare(self.count() + ticks(ms));
        self.control(ENABLE);
    }

    /// The condition stays, but the line is low.
    pub fn mask(self) {
        self.control(ENABLE | IMASK);
    }

    pub fn stop(self) {
        self.control(0);
    }
}
