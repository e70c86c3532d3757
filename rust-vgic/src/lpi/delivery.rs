// SPDX-License-Identifier: GPL-2.0-only
//! What is done to LPIs: messages that become pending, events that are mapped, configuration that is read from guest memory.

use super::Lpi;
use crate::config::Error;
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::irq::{Event, State};
use crate::sync::{Ordering, fence};
use crate::vcpu::Vcpu;

/// How much of a guest's table is read at a time.
const WINDOW: usize = 64;

impl<H: Host> Domain<H> {
    /// A message has been translated to LPI `intid`: it becomes pending.
    ///
    /// Any context, also hard interrupt context; takes no lock, allocates nothing and reads no guest memory. Dropped as by a
    /// redistributor that has LPIs disabled, if it is routed to such a one or to none, and if the number is no mapped LPI.
    ///
    /// See IHI 0069, section 5.1: LPIs are edge-triggered, messages that arrive while one is pending merge with it. So a device that
    /// storms costs the guest one interrupt each time it has taken the last, and the host a look at the word for each message: no write,
    /// no kick. The messages themselves, and their hard interrupts, are not throttled.
    pub fn inject_lpi(&self, intid: IntId) {
        let Some(irq) = self.lpis.get(intid).map(|lpi| &lpi.irq) else {
            return;
        };
        let takes = |s: State| {
            let v = s.target().and_then(|id| self.slot(id));
            v.is_some_and(|v| v.redist.lpi.enabled())
        };
        if !takes(irq.state()) {
            return;
        }
        let (old, new, effect) = irq.post(Event::Line(true));
        if old == new {
            return;
        }
        self.carry_out(intid, irq, new, effect);
        // Pairs with the fence of who disables LPIs: either we see that, or the pending state is found.
        fence(Ordering::SeqCst);
        if !takes(new) {
            self.post_to(intid, irq, Event::ClearPending);
        }
    }

    /// The same for a message that a vCPU makes of a command, which sees to its further way itself: else a guest could fill
    /// the inbox of a vCPU that never runs, and whoever looks for one interrupt in there would sort all. Process context.
    pub(crate) fn send_lpi(&self, intid: IntId, lpi: &Lpi) {
        self.inject_lpi(intid);
        self.drain_around(&lpi.irq);
    }

    /// ITS number `its` maps an event (of a device) to LPI `intid`, which goes to `target`. Process context.
    ///
    /// # Errors
    /// [`Error::Busy`] if another ITS has just mapped it, [`Error::NoMemory`] also beyond the domain's limit.
    pub(crate) fn map_lpi(
        &self,
        its: u16,
        at: (u32, u32),
        intid: IntId,
        target: Option<VcpuId>,
    ) -> Result<&Lpi, Error> {
        let lpi = self.lpis.make(intid).ok_or(Error::NoMemory)?;
        {
            let _held = self.lpis.config.lock();
            if !lpi.claim(its, at) {
                return Err(Error::Busy);
            }
            self.post_to(intid, &lpi.irq, Event::Route(target));
            self.post_to(intid, &lpi.irq, Event::Map(true));
        }
        self.reload(intid);
        Ok(lpi)
    }

    /// The event of an LPI is no longer mapped. What was pending is gone; what comes late is dropped.
    pub(crate) fn unmap_lpi(&self, intid: IntId, lpi: &Lpi) {
        self.post_to(intid, &lpi.irq, Event::Map(false));
        lpi.owner.store(0, Ordering::Release);
    }

    /// Reads the configuration of an LPI from guest memory: INV, and what has its effect.
    pub(crate) fn reload(&self, intid: IntId) {
        self.reload_all(core::iter::once(intid));
    }

    /// The same for several, which costs least where their numbers are close together. Those beyond the end of the table
    /// are disabled, and so are those whose part of it is not in memory.
    pub(crate) fn reload_all(&self, intids: impl Iterator<Item = IntId>) {
        let _held = self.lpis.config.lock();
        let (table, end) = (self.lpis.table(), self.lpis.end());
        let mut window = [0_u8; WINDOW];
        let mut at = None;
        for intid in intids {
            let Some(lpi) = self.lpis.get(intid) else {
                continue;
            };
            let index = intid.raw().wrapping_sub(IntId::LPI);
            let base = index & !(WINDOW as u32).wrapping_sub(1);
            if at != Some(base) {
                // Both ends are multiples of the window's size.
                let there = intid.raw() < end
                    && self
                        .host
                        .read_guest(table.wrapping_add(base.into()), &mut window);
                if !there {
                    window = [0; WINDOW];
                }
                at = Some(base);
            }
            let byte = window
                .get(index.wrapping_sub(base) as usize)
                .copied()
                .unwrap_or(0);
            // Bits 7 to 2 are the priority, bit 0 enables (IHI 0069, section 5.1.1). Of all that INVALL is about, few have changed.
            let (priority, on) = (byte & 0xfc, byte & 1 != 0);
            let old = lpi.irq.state();
            if old.priority5() != priority >> 3 {
                self.post_to(intid, &lpi.irq, Event::Priority(priority));
            }
            if old.enabled() != on {
                self.post_to(intid, &lpi.irq, Event::Enable(on));
            }
        }
    }

    /// The physical LPI behind one goes to where `target` runs. Process context.
    pub(crate) fn route_host(&self, lpi: &Lpi, target: Option<VcpuId>) {
        let v = target.and_then(|id| self.slot(id));
        if let (Some((its, (device, event))), Some(vcpu)) =
            (lpi.mapped_by(), v.and_then(Vcpu::handle))
        {
            self.host.route_event(its, device, event, vcpu);
        }
    }
}
