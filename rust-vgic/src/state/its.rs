// SPDX-License-Identifier: GPL-2.0-only
//! The registers of an ITS.

use super::error::Why;
use super::records::ItsState;
use crate::its::{BASER_MASK, BASER_TYPES, CBASER_MASK, Its, OFFSET, STALLED, VALID};
use crate::sync::Ordering;

impl Its {
    /// Its registers. While it is idle.
    pub(super) fn state(&self) -> ItsState {
        ItsState {
            ctlr: self.is_enabled().into(),
            cbaser: self.cbaser.load(Ordering::Relaxed),
            creadr: self.creadr.load(Ordering::Acquire).into(),
            cwriter: self.cwriter.load(Ordering::Acquire).into(),
            baser: self
                .basers
                .each_ref()
                .map(|baser| baser.load(Ordering::Relaxed)),
            device_bits: self.device_bits,
            event_bits: self.event_bits,
        }
    }

    /// Can it have these?
    ///
    /// # Errors
    /// The field that it cannot have, and why.
    pub(super) fn check(&self, state: &ItsState) -> Result<(), (&'static str, Why)> {
        let pages = state.cbaser & 0xff;
        let size = pages.wrapping_add(1).wrapping_mul(0x1000);
        let within =
            |at: u64, bits: u32| at & !u64::from(bits) == 0 && at & u64::from(OFFSET) < size;
        let [devices, collections] = state.baser;
        let typed = |baser: u64, fixed: u64| baser & !BASER_MASK == fixed;
        let [device_type, collection_type] = BASER_TYPES;
        let rules = [
            (state.ctlr & !1 != 0, "ctlr", Why::Value),
            (state.cbaser & !CBASER_MASK != 0, "cbaser", Why::Value),
            (
                !within(state.creadr, OFFSET | STALLED),
                "creadr",
                Why::Value,
            ),
            (!within(state.cwriter, OFFSET), "cwriter", Why::Value),
            (!typed(devices, device_type), "baser", Why::Value),
            (!typed(collections, collection_type), "baser", Why::Value),
            (
                state.device_bits != self.device_bits,
                "device_bits",
                Why::Mismatch,
            ),
            (
                state.event_bits != self.event_bits,
                "event_bits",
                Why::Mismatch,
            ),
        ];
        match rules.iter().find(|(wrong, ..)| *wrong) {
            Some((_, field, why)) => Err((field, *why)),
            None => Ok(()),
        }
    }

    /// Has it these, all but that it is enabled. Nobody works for it.
    pub(super) fn set_registers(&self, state: &ItsState) {
        self.cbaser.store(state.cbaser, Ordering::Relaxed);
        for (baser, value) in self.basers.iter().zip(state.baser) {
            baser.store(value, Ordering::Relaxed);
        }
        self.cwriter.store(state.cwriter as u32, Ordering::Relaxed);
        self.creadr.store(state.creadr as u32, Ordering::Release);
    }

    /// Is it as at reset?
    pub(super) fn is_new(&self) -> bool {
        let valid = |baser: &crate::sync::AtomicU64| baser.load(Ordering::Relaxed) & VALID != 0;
        self.is_idle()
            && !self.is_enabled()
            && self.cbaser.load(Ordering::Relaxed) == 0
            && self.cwriter.load(Ordering::Relaxed) == 0
            && !self.basers.iter().any(valid)
            && self.is_empty()
    }
}
