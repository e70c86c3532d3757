// SPDX-License-Identifier: GPL-2.0-only
//! All there is of LPIs.

use super::{Budget, Lpi, Lpis};
use crate::intid::IntId;
use crate::irq::NIL;
use crate::sync::Ordering;
use core::fmt::{self, Write};

impl Lpi {
    /// Writes it, if it is not as on a new page.
    fn image(&self, intid: IntId, out: &mut impl Write) -> fmt::Result {
        let Self {
            irq,
            owner,
            route,
            next,
            prev,
            device,
            event,
        } = self;
        let links = [next, prev].map(|link| link.load(Ordering::Relaxed));
        let at = [device, event].map(|number| number.load(Ordering::Relaxed));
        let owner = owner.load(Ordering::Relaxed);
        let route = route.load(Ordering::Relaxed);
        // What is not mapped has the configuration that was read last, and is going to have another one.
        let state = irq.state();
        let state = if state.mapped() {
            state
        } else {
            state.with_enabled(false).with_priority5(0)
        };
        let is_new = state == Self::AT_RESET && links == [NIL; 2] && at == [0; 2];
        if is_new && owner == 0 && route == Self::NOWHERE {
            return Ok(());
        }
        write!(out, "LPI {} {owner} {route} {links:?} {at:?} ", intid.raw())?;
        irq.image(out)
    }
}

impl Lpis {
    /// Pages are there or not, which makes no difference to a guest but for what it may still have: what they have is shown where it
    /// is not as on a new page.
    pub(crate) fn image(&self, out: &mut impl Write) -> fmt::Result {
        let Self {
            pages,
            id_bits,
            pages_left,
            table_pages_left,
            devices_left,
            events_left,
            propbaser,
            config: _,
        } = self;
        let most = |budget: &Budget| {
            let Budget { most, left: _ } = budget;
            most.load(Ordering::Relaxed)
        };
        writeln!(out, "LPIs of {id_bits} bits, {}", pages.len())?;
        writeln!(out, "{} {}", most(pages_left), most(table_pages_left))?;
        for budget in [devices_left, events_left] {
            writeln!(out, "{} {}", most(budget), budget.taken())?;
        }
        writeln!(out, "GICR_PROPBASER {propbaser:?}")?;
        for (intid, lpi) in self.all(IntId::LPI) {
            lpi.image(intid, out)?;
        }
        Ok(())
    }
}
