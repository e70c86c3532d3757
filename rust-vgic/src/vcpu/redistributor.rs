// SPDX-License-Identifier: GPL-2.0-only
//! What a vCPU's redistributor has beside the state of its interrupts (IHI 0069, section 12.11).

use crate::intid::VcpuId;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// GICR_WAKER.ProcessorSleep.
pub(crate) const PROCESSOR_SLEEP: u32 = 1 << 1;

/// What a redistributor has beside the state of its interrupts.
#[derive(Debug)]
pub(crate) struct Registers {
    /// GICR_WAKER.ProcessorSleep.
    pub(crate) waker: AtomicU32,
    pub(crate) lpi: LpiRegisters,
}

impl Registers {
    pub(crate) fn new() -> Self {
        Self {
            waker: AtomicU32::new(PROCESSOR_SLEEP),
            lpi: LpiRegisters::new(),
        }
    }

    /// As at reset. Its vCPU does not run, so nobody is at what is asked of it.
    pub(crate) fn renew(&self) {
        let Self { waker, lpi } = self;
        waker.store(PROCESSOR_SLEEP, Ordering::Relaxed);
        lpi.renew();
    }

    /// Is it as at reset, as far as a guest can tell?
    pub(crate) fn is_new(&self) -> bool {
        let lpi = &self.lpi;
        self.is_asleep()
            && !lpi.enabled()
            && !lpi.changing()
            && lpi.pendbaser.load(Ordering::Relaxed) == 0
    }

    /// Has its guest declared that the vCPU takes no interrupts?
    pub(crate) fn is_asleep(&self) -> bool {
        self.waker.load(Ordering::Relaxed) & PROCESSOR_SLEEP != 0
    }
}

/// The redistributor's part of LPIs.
#[derive(Debug)]
pub(crate) struct LpiRegisters {
    /// GICR_CTLR.EnableLPIs.
    pub(crate) enabled: AtomicU32,
    pub(crate) pendbaser: AtomicU64,
    /// GICR_PROPBASER.IDbits as LPIs were enabled: how long the pending table is while they are, and while it is written.
    pub(crate) table_bits: AtomicU32,
    /// 1 while a vCPU does what a change of EnableLPIs asks for.
    pub(crate) busy: AtomicU32,
    /// The first LPI of the lot at which that goes on; 0 if all is done.
    pub(crate) next: AtomicU32,
    /// While the vCPU has yet to see that LPIs are disabled: see [`Domain::has_seen`](crate::Domain::has_seen).
    pub(crate) awaited: AtomicU64,
    /// Messages that have been pushed to the inbox since somebody has last sorted it for that.
    pub(crate) unsorted: AtomicU32,
    /// What this vCPU has begun to invalidate by a GICR_INVALLR, which may be another's: the number of that vCPU in bits 31 to 16,
    /// and the first LPI of the lot at which it goes on; 0 if all is done.
    pub(crate) invalidating: AtomicU32,
    /// While that one has yet to see what this vCPU has invalidated, as `awaited`.
    pub(crate) synced: AtomicU64,
}

impl LpiRegisters {
    pub(crate) fn new() -> Self {
        Self {
            enabled: AtomicU32::new(0),
            pendbaser: AtomicU64::new(0),
            table_bits: AtomicU32::new(0),
            busy: AtomicU32::new(0),
            next: AtomicU32::new(0),
            awaited: AtomicU64::new(0),
            unsorted: AtomicU32::new(0),
            invalidating: AtomicU32::new(0),
            synced: AtomicU64::new(0),
        }
    }

    fn renew(&self) {
        let Self {
            enabled,
            pendbaser,
            table_bits,
            // Whose trap is over.
            busy: _,
            next,
            awaited,
            unsorted,
            invalidating,
            synced,
        } = self;
        for word in [enabled, table_bits, next, unsorted, invalidating] {
            word.store(0, Ordering::Release);
        }
        for word in [pendbaser, awaited, synced] {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// GICR_CTLR.EnableLPIs.
    pub(crate) fn enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire) != 0
    }

    /// GICR_CTLR.RWP: a change of EnableLPIs has not had all of its effect.
    pub(crate) fn changing(&self) -> bool {
        self.next.load(Ordering::Acquire) != 0
    }

    /// Where invalidating the LPIs of vCPU `id` goes on, if it was begun.
    pub(crate) fn invalidating(&self, id: VcpuId) -> Option<u32> {
        let begun = self.invalidating.load(Ordering::Relaxed);
        let next = begun & 0xffff;
        (next != 0 && begun.wrapping_shr(16) == id.raw().into()).then_some(next)
    }
}
