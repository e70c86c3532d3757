// SPDX-License-Identifier: GPL-2.0-only
//! The generic timer: deadlines for every wait, and the two timers whose interrupts are level-sensitive PPIs.

use crate::cpu::{read_sysreg, write_sysreg};
use crate::gic::IntId;
use core::arch::asm;

/// The bits of CNTV_CTL_EL0 and CNTP_CTL_EL0.
pub const ENABLE: u64 = 1;
pub const IMASK: u64 = 2;
pub const ISTATUS: u64 = 4;

pub fn now() -> u64 {
    // SAFETY: the counter must not be read early.
    unsafe { asm!("isb", options(nostack)) };
    read_sysreg!("cntvct_el0")
}

/// Ticks of `ms` milliseconds.
pub fn ticks(ms: u64) -> u64 {
    microseconds(ms * 1000)
}

/// Ticks of `us` microseconds.
pub fn microseconds(us: u64) -> u64 {
    read_sysreg!("cntfrq_el0") * us / 1_000_000
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

    /// The one that is not this.
    pub fn other(self) -> Timer {
        match self {
            Timer::Virtual => Timer::Physical,
            Timer::Physical => Timer::Virtual,
        }
    }

    /// Its counter.
    pub fn count(self) -> u64 {
        match self {
            Timer::Virtual => now(),
            Timer::Physical => {
                // SAFETY: as above.
                unsafe { asm!("isb", options(nostack)) };
                read_sysreg!("cntpct_el0")
            }
        }
    }

    /// CTL: see [`ENABLE`].
    pub fn control(self) -> u64 {
        match self {
            Timer::Virtual => read_sysreg!("cntv_ctl_el0"),
            Timer::Physical => read_sysreg!("cntp_ctl_el0"),
        }
    }

    pub fn set_control(self, value: u64) {
        match self {
            Timer::Virtual => write_sysreg!("cntv_ctl_el0", value),
            Timer::Physical => write_sysreg!("cntp_ctl_el0", value),
        }
    }

    /// CVAL: the condition is that the counter has come so far.
    pub fn compare(self) -> u64 {
        match self {
            Timer::Virtual => read_sysreg!("cntv_cval_el0"),
            Timer::Physical => read_sysreg!("cntp_cval_el0"),
        }
    }

    pub fn set_compare(self, value: u64) {
        match self {
            Timer::Virtual => write_sysreg!("cntv_cval_el0", value),
            Timer::Physical => write_sysreg!("cntp_cval_el0", value),
        }
    }

    /// TVAL: CVAL as a distance from the counter, 32 bits of it with a sign.
    pub fn value(self) -> i32 {
        match self {
            Timer::Virtual => read_sysreg!("cntv_tval_el0") as i32,
            Timer::Physical => read_sysreg!("cntp_tval_el0") as i32,
        }
    }

    pub fn set_value(self, value: i32) {
        let value = u64::from(value as u32);
        match self {
            Timer::Virtual => write_sysreg!("cntv_tval_el0", value),
            Timer::Physical => write_sysreg!("cntp_tval_el0", value),
        }
    }

    /// The condition is true; only of one that is enabled.
    pub fn has_expired(self) -> bool {
        self.control() & ISTATUS != 0
    }

    /// Moves CVAL alone: CTL is not written.
    pub fn move_to_past(self) {
        self.set_compare(self.count() - 1);
    }

    /// The same, to what nobody waits for.
    pub fn move_to_future(self) {
        self.set_compare(self.count() + ticks(60_000));
    }

    /// The condition becomes true in `ms` milliseconds; at once for 0.
    pub fn arm(self, ms: u64) {
        self.set_compare(self.count() + ticks(ms));
        self.set_control(ENABLE);
    }

    /// The condition stays, but the line is low.
    pub fn mask(self) {
        self.set_control(ENABLE | IMASK);
    }

    pub fn stop(self) {
        self.set_control(0);
    }
}
