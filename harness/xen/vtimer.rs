// SPDX-License-Identifier: GPL-2.0-only
//! The virtual timer of a vCPU: `CNTV_CTL_EL0` and `CNTV_CVAL_EL0`, of whatever physical CPU it is on, and Xen's own timer for
//! one that is on none. Time passes for one vCPU at a time: its comparator comes to be in the past.

use crate::xen::abi;
use crate::xen::functions::RawVcpu;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// ENABLE of the timers' control registers.
pub const CNT_ENABLE: u64 = 1;
/// IMASK.
pub const CNT_MASK: u64 = 2;
/// ISTATUS.
pub const CNT_PENDING: u64 = 4;

/// A comparator that neither count, both of which are about 2^40, has reached.
pub const FUTURE: u64 = 3 << 39;

/// Is the line of a timer high, as its control register has it?
pub(crate) fn is_high(control: u64) -> bool {
    control & (CNT_ENABLE | CNT_MASK | CNT_PENDING) == CNT_ENABLE | CNT_PENDING
}

/// The virtual timer. Nobody but the guest changes it, unless Xen does as it takes its interrupt.
#[derive(Debug)]
pub struct Timer {
    raw: *mut RawVcpu,
    /// Is the comparator in the past?
    expired: AtomicBool,
    /// ENABLE and IMASK, of the CPU that the vCPU is on.
    control: AtomicU64,
    /// The vCPU is on a CPU, and its registers are in that.
    loaded: AtomicBool,
    /// Xen's own timer waits for it.
    armed: AtomicBool,
}

impl Timer {
    /// That of a new vCPU: off.
    ///
    /// # Safety
    /// `raw` outlives it.
    pub(crate) unsafe fn new(raw: *mut RawVcpu) -> Self {
        Self {
            raw,
            expired: AtomicBool::new(false),
            control: AtomicU64::new(0),
            loaded: AtomicBool::new(false),
            armed: AtomicBool::new(false),
        }
    }

    /// What Xen has saved of it: `CTL` or, as the next one, `CVAL`.
    fn saved(&self, n: usize) -> &AtomicU64 {
        // SAFETY: two of them, aligned, alive, and changed atomically by everybody while the vCPU is on no CPU.
        unsafe { AtomicU64::from_ptr(abi::mock_vcpu_cntv(self.raw).add(n)) }
    }

    /// `CNTV_CTL_EL0` of the CPU that the vCPU is on.
    pub(crate) fn control(&self) -> u64 {
        self.with_status(self.control.load(Ordering::SeqCst))
    }

    fn with_status(&self, control: u64) -> u64 {
        let met = control & CNT_ENABLE != 0 && self.expired.load(Ordering::SeqCst);
        control | if met { CNT_PENDING } else { 0 }
    }

    pub(crate) fn set_control(&self, control: u64) {
        let control = control & (CNT_ENABLE | CNT_MASK);
        self.control.store(control, Ordering::SeqCst);
    }

    /// `CNTV_CVAL_EL0`.
    pub(crate) fn comparator(&self) -> u64 {
        if self.expired.load(Ordering::SeqCst) {
            0
        } else {
            FUTURE
        }
    }

    pub(crate) fn set_loaded(&self, on: bool) {
        self.loaded.store(on, Ordering::SeqCst);
    }

    /// Is the vCPU on a CPU?
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::SeqCst)
    }

    /// Its line at the physical GIC, of the CPU that the vCPU is on.
    pub(crate) fn line(&self) -> bool {
        is_high(self.control())
    }

    /// Enabled and expired, masked or not.
    pub fn is_pending(&self) -> bool {
        self.read() & CNT_PENDING != 0
    }

    pub(crate) fn arm(&self, on: bool) {
        self.armed.store(on, Ordering::SeqCst);
    }

    pub(crate) fn disarm(&self) -> bool {
        self.armed.swap(false, Ordering::SeqCst)
    }

    /// Xen's own timer has something to do.
    pub fn is_due(&self) -> bool {
        self.armed.load(Ordering::SeqCst) && self.expired.load(Ordering::SeqCst)
    }

    /// The guest's side: `CNTV_CTL_EL0`.
    pub fn read(&self) -> u64 {
        if self.is_loaded() {
            self.control()
        } else {
            self.with_status(self.saved(0).load(Ordering::SeqCst))
        }
    }

    /// The guest's side: writes `CNTV_CTL_EL0`.
    pub fn write(&self, control: u64) {
        if self.is_loaded() {
            self.set_control(control);
        } else {
            self.saved(0).store(control, Ordering::SeqCst);
        }
    }

    /// Has it expired, and is Xen's own timer armed? For who takes its vCPU elsewhere.
    pub(crate) fn kept(&self) -> (bool, bool) {
        let armed = self.armed.load(Ordering::SeqCst);
        (self.expired.load(Ordering::SeqCst), armed)
    }

    /// The same of one that was taken here.
    pub(crate) fn keep(&self, (expired, armed): (bool, bool)) {
        self.expired.store(expired, Ordering::SeqCst);
        self.arm(armed);
    }

    /// The comparator comes to be in the past, or is moved into the future.
    pub fn set_expired(&self, on: bool) {
        self.expired.store(on, Ordering::SeqCst);
        self.saved(1).store(self.comparator(), Ordering::SeqCst);
    }
}
