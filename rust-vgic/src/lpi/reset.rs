// SPDX-License-Identifier: GPL-2.0-only
//! LPIs at reset: none is mapped, enabled or pending, and no redistributor takes any.
//!
//! Their pages stay, and count against the limit as before: somebody in hard interrupt context may have found one a moment ago.

use super::{Lpi, PAGE};
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::IntId;
use crate::irq::NIL;
use crate::sync::Ordering;

impl Lpi {
    /// As it was made; but for the list it is on, of which it is yet to be taken.
    fn renew(&self) {
        let Self {
            irq,
            owner,
            route,
            next,
            prev,
            device,
            event,
        } = self;
        owner.store(0, Ordering::Release);
        route.store(Self::NOWHERE, Ordering::Relaxed);
        for link in [next, prev] {
            link.store(NIL, Ordering::Relaxed);
        }
        for number in [device, event] {
            number.store(0, Ordering::Relaxed);
        }
        // What was on its way finds it unmapped from here on.
        irq.update(|s| Some((s.renewed(Self::AT_RESET).0, ())));
    }
}

impl<H: Host> Domain<H> {
    /// What of LPIs all redistributors have together. No vCPU runs.
    pub(crate) fn reset_lpi_registers(&self) {
        self.lpis.propbaser.store(0, Ordering::Relaxed);
    }

    /// LPIs from number `next` on are as they were made, a page of them at the most; `None`: there are no more. The number after these,
    /// and how many have been looked at.
    pub(crate) fn reset_lpis(&self, next: u32) -> Option<(u32, u32)> {
        let first = next.max(IntId::LPI);
        self.lpis.numbers(first, PAGE as u32).next()?;
        let mut looked = 1_u32;
        for (_, lpi) in self.lpis.among(first, 1) {
            lpi.renew();
            looked = looked.saturating_add(1);
        }
        Some((first.saturating_add(PAGE as u32), looked))
    }
}
