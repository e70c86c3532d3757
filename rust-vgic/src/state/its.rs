// SPDX-License-Identifier: GPL-2.0-only
//! The registers of an ITS.

use super::error::Why;
use super::records::ItsState;
use crate::its::{Its, ItsRegisters};
use crate::sync::Ordering;

/// GITS_BASER.Valid.
const VALID: u64 = 1 << 63;

impl ItsState {
    /// The registers, as who reads tables wants them.
    pub(super) fn registers(&self) -> ItsRegisters {
        ItsRegisters {
            enabled: self.ctlr & 1 != 0,
            cbaser: self.cbaser,
            cwriter: self.cwriter as u32,
            creadr: self.creadr as u32,
            basers: self.baser,
        }
    }
}

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
        let rules = [
            (state.ctlr & !1 != 0, "ctlr", Why::Value),
            (state.creadr > u32::MAX.into(), "creadr", Why::Value),
            (state.cwriter > u32::MAX.into(), "cwriter", Why::Value),
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
        if let Some((_, field, why)) = rules.iter().find(|(wrong, ..)| *wrong) {
            return Err((field, *why));
        }
        match state.registers().wrong() {
            None => Ok(()),
            Some("GITS_CBASER") => Err(("cbaser", Why::Value)),
            Some("GITS_CWRITER") => Err(("cwriter", Why::Value)),
            Some("GITS_CREADR") => Err(("creadr", Why::Value)),
            Some(_) => Err(("baser", Why::Value)),
        }
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
