// SPDX-License-Identifier: GPL-2.0-only
//! The registers of an ITS.

use super::records::ItsState;
use crate::its::Its;
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
}
