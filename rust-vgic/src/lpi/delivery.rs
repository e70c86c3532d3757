// SPDX-License-Identifier: GPL-2.0-only
//! What is done to LPIs: messages that become pending, events that are mapped, configuration that is read from guest memory.

use super::Lpi;
use crate::config::MessageError;
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::irq::{Effect, Event, Irq, Place, State, Target};
use crate::its::Its;
use crate::sync::{Ordering, fence};
use crate::vcpu::Vcpu;

/// How much of a guest's table is read at a time.
const WINDOW: usize = 64;

/// Messages that may be in a vCPU's inbox until whoever brings the next sorts them for it: else a device could fill the inbox of
/// a vCPU that does not run, and whoever looks for one interrupt in there would sort all.
const UNSORTED: u32 = 256;

/// A message has made an LPI pending in its word. The rest is yet to be done.
#[must_use]
pub(crate) struct Pended {
    new: State,
    effect: Effect,
    /// Where its messages went then, if it was pending elsewhere before.
    moved: Option<u8>,
}

impl Lpi {
    /// A message has come: the word has the LPI pending where its messages go, or as it is where it is pending already, which is
    /// `None`.
    fn pend(&self) -> Option<Pended> {
        // Where MOVALL has moved what was pending before, the word says so still.
        let mut moved = None;
        let (old, new, effect) = self.irq.update(|s| {
            let route = self.raw_route();
            moved = (s.raw_target() != route && !s.pending()).then_some(route);
            if moved.is_none() {
                return Some(s.at_level(true));
            }
            let (s, first) = s.apply(Event::Route(VcpuId::new(route.into())));
            let (s, then) = s.at_level(true);
            Some((s, first | then))
        })?;
        (old != new).then_some(Pended { new, effect, moved })
    }
}

impl<H: Host> Domain<H> {
    /// A message has been translated to LPI `intid`: it becomes pending.
    ///
    /// Any context, also hard interrupt context; allocates nothing, reads no guest memory, and takes no lock but, for one message of
    /// 256 that nobody has taken, the small one of the vCPU. Dropped by an ITS that is disabled (GITS_CTLR.Enabled: "writes
    /// to GITS_TRANSLATER are ignored"), as the host says no ITS that is the one which has mapped the LPI; by a redistributor that has LPIs
    /// disabled; and if the LPI is mapped by none or its collection goes nowhere.
    ///
    /// See IHI 0069, section 5.1: LPIs are edge-triggered, messages that arrive while one is pending merge with it. So a device that
    /// storms costs the guest one interrupt each time it has taken the last, and the host a look at the word for each message: no write,
    /// no kick. The messages themselves, and their hard interrupts, are not throttled.
    pub fn inject_lpi(&self, intid: IntId) {
        let Some(lpi) = self.lpis.get(intid) else {
            return;
        };
        let its = lpi.its().and_then(|index| self.its.get(usize::from(index)));
        if !its.is_some_and(Its::is_enabled) {
            return;
        }
        if let Some(v) = self.make_pending(intid, lpi) {
            self.pushed_to(v);
        }
    }

    /// One more message is in an inbox of `v`.
    #[inline(always)]
    fn pushed_to(&self, v: &Vcpu<H::Vcpu>) {
        let unsorted = &v.redist.lpi.unsorted;
        if unsorted.fetch_add(1, Ordering::Relaxed) >= UNSORTED {
            unsorted.store(0, Ordering::Relaxed);
            self.sort_for(v);
        }
    }

    /// A message of a device model makes an LPI pending that its ITS's tables have: `held` keeps them from being changed until
    /// the word says so, and the rest is done without. So what DISCARD, MAPTI and MAPD take away is not pending afterwards.
    /// Process context.
    pub(crate) fn message_lpi<T>(
        &self,
        intid: IntId,
        lpi: &Lpi,
        held: T,
    ) -> Result<(), MessageError> {
        // MAPTI is not done yet.
        if !lpi.irq.state().mapped() {
            return Err(MessageError::NoEvent);
        }
        if !self.takes_messages(lpi) {
            return Err(MessageError::Disabled);
        }
        let pended = lpi.pend();
        drop(held);
        if let Some(v) = pended.and_then(|pended| self.carry_pended(intid, lpi, pended)) {
            self.pushed_to(v);
        }
        Ok(())
    }

    /// Sorts a lot of the inboxes of a vCPU for it.
    #[cold]
    fn sort_for(&self, v: &Vcpu<H::Vcpu>) {
        self.with_lists(v, |lists, moved| self.drain(v, lists, moved));
    }

    /// The same for a message that a vCPU makes of a command. Process context.
    pub(crate) fn send_lpi(&self, intid: IntId, lpi: &Lpi) {
        self.make_pending_there(intid, lpi);
        self.drain_around(&lpi.irq);
    }

    /// The LPI becomes pending where its messages go, if that takes any; or stays so where it is. Whose inbox it has been pushed to.
    #[inline(always)]
    fn make_pending(&self, intid: IntId, lpi: &Lpi) -> Option<&Vcpu<H::Vcpu>> {
        if !self.takes_messages(lpi) {
            return None;
        }
        let done = lpi.irq.update(|s| {
            let there = s.raw_target() == lpi.raw_route() || s.pending();
            there.then(|| s.message())
        });
        let Some((old, new, effect)) = done else {
            return self.make_pending_there(intid, lpi);
        };
        if old == new {
            return None;
        }
        let holder = self.carry_out(intid, &lpi.irq, new, effect);
        holder.filter(|_| effect.contains(Effect::PUSH))
    }

    /// Do its messages go where LPIs are enabled?
    #[inline(always)]
    fn takes_messages(&self, lpi: &Lpi) -> bool {
        let v = lpi.route().and_then(|id| self.slot(id));
        v.is_some_and(|v| v.redist.lpi.enabled())
    }

    /// The same of one that was, perhaps, pending elsewhere than where its messages go.
    #[inline(never)]
    fn make_pending_there(&self, intid: IntId, lpi: &Lpi) -> Option<&Vcpu<H::Vcpu>> {
        if !self.takes_messages(lpi) {
            return None;
        }
        let pended = lpi.pend()?;
        self.carry_pended(intid, lpi, pended)
    }

    /// Does what is left to be done for a message whose LPI has become pending. Whose inbox it has been pushed to.
    fn carry_pended(&self, intid: IntId, lpi: &Lpi, pended: Pended) -> Option<&Vcpu<H::Vcpu>> {
        let Pended { new, effect, moved } = pended;
        let holder = self.carry_out(intid, &lpi.irq, new, effect);
        if let Some(route) = moved {
            self.confirm_route(intid, lpi, route);
        }
        holder.filter(|_| effect.contains(Effect::PUSH))
    }

    /// The word of an LPI has been told to go to `route`, by who does not work for its ITS: that is still where its messages go,
    /// or it goes on to where they do.
    fn confirm_route(&self, intid: IntId, lpi: &Lpi, route: u8) {
        let mut route = route;
        loop {
            // Pairs with the fence of who changes the route: either that one finds what is pending, or we find its route. Each turn
            // takes another command in between.
            fence(Ordering::SeqCst);
            let now = lpi.raw_route();
            if now == route {
                return;
            }
            route = now;
            self.post_to(intid, &lpi.irq, Event::Route(VcpuId::new(now.into())));
        }
    }

    /// The same state of an LPI that the guest has taken from a list register: a message that has come since goes where its messages
    /// go, though MOVALL has had it taken elsewhere.
    #[inline(never)]
    pub(crate) fn sent_since(&self, intid: u16, s: State) -> State {
        match self.lpis.node(intid) {
            Some(lpi) if s.latch() => s.with_target(lpi.route()),
            _ => s,
        }
    }

    /// That was so, and `new` is now its word. The vCPU is still on its way out of the guest: what is in its slot and goes elsewhere
    /// is moved once it is out.
    #[cold]
    pub(crate) fn follow_route(&self, intid: u16, new: State) {
        let intid = IntId::new(intid.into());
        if let Some((intid, lpi)) = intid.and_then(|intid| Some((intid, self.lpis.get(intid)?))) {
            self.confirm_route(intid, lpi, new.raw_target());
        }
    }

    /// Must an interrupt wait because it is an LPI, and the redistributor of `v` has them disabled? With `v`'s lock held.
    #[inline]
    pub(crate) fn is_withheld(&self, v: &Vcpu<H::Vcpu>, intid: u16) -> bool {
        u32::from(intid) >= IntId::LPI && !v.redist.lpi.enabled()
    }

    /// Sorts the inbox that an interrupt has just been pushed to, so far as one hold of the lock goes.
    pub(crate) fn drain_around(&self, irq: &Irq) {
        let (place, holder) = irq.state().place();
        let holder = holder.filter(|_| place == Place::Inbox);
        if let Some(v) = holder.and_then(|id| self.slot(id)) {
            self.with_lists(v, |lists, moved| self.drain(v, lists, moved));
        }
    }

    /// Applies an event to an LPI, from a command or a register: what that pushes to an inbox is sorted at once. Process context.
    pub(super) fn post_lpi(&self, intid: IntId, irq: &Irq, event: Event) {
        self.update_lpi(intid, irq, |s| Some(s.apply(event)));
    }

    /// The same for a change that depends on the state; `None` changes nothing. Says whether it has changed something.
    pub(crate) fn update_lpi(
        &self,
        intid: IntId,
        irq: &Irq,
        change: impl FnMut(State) -> Option<(State, Effect)>,
    ) -> bool {
        let Some((old, new, effect)) = irq.update(change) else {
            return false;
        };
        self.carry_out(intid, irq, new, effect);
        self.drain_around(irq);
        old != new
    }

    /// What is pending and was withheld goes to its vCPU.
    pub(super) fn offer(&self, intid: IntId, irq: &Irq) {
        self.update_lpi(intid, irq, |s| {
            let target = s.target().filter(|_| s.is_idle() && s.deliverable())?;
            Some((s.placed(Place::Inbox, target), Effect::PUSH))
        });
    }

    /// The messages of an LPI go to another redistributor, and what is pending goes with them. Process context.
    pub(crate) fn route_lpi(&self, intid: IntId, lpi: &Lpi, target: Target) {
        lpi.set_route(target);
        // Pairs with the fence of a message.
        fence(Ordering::SeqCst);
        self.post_lpi(intid, &lpi.irq, Event::Route(target));
    }

    /// What is pending of an LPI at one redistributor goes to another; its messages do not. Process context.
    pub(crate) fn move_pending(&self, intid: IntId, lpi: &Lpi, from: VcpuId, to: VcpuId) {
        self.update_lpi(intid, &lpi.irq, |s| {
            (s.pending() && s.is_for(from)).then(|| s.apply(Event::Route(Some(to))))
        });
    }

    /// ITS number `its` is to map an event (of a device) to an LPI. No: an event has it.
    #[must_use]
    pub(crate) fn claim_lpi(&self, its: u16, at: (u32, u32), lpi: &Lpi) -> bool {
        let _held = self.lpis.config.lock();
        let free = lpi.its().is_none();
        if free {
            lpi.own(its, at);
        }
        free
    }

    /// The same of one that another event has, of this ITS or of one for which nobody else works. What was pending is gone.
    pub(crate) fn hand_over_lpi(&self, its: u16, at: (u32, u32), intid: IntId, lpi: &Lpi) {
        self.post_to(intid, &lpi.irq, Event::Map(false));
        lpi.own(its, at);
    }

    /// An LPI that has just been claimed is mapped, and goes to `target`. Process context.
    pub(crate) fn map_lpi(&self, intid: IntId, lpi: &Lpi, target: Target) {
        {
            let _held = self.lpis.config.lock();
            lpi.set_route(target);
            self.post_lpi(intid, &lpi.irq, Event::Route(target));
            self.post_lpi(intid, &lpi.irq, Event::Map(true));
        }
        self.reload(intid);
    }

    /// The same of one that a table in memory says is mapped: what is pending of it is so in a redistributor, and stays there. Its
    /// configuration is yet to be read.
    pub(crate) fn map_lpi_again(&self, intid: IntId, lpi: &Lpi, target: Target) {
        let _held = self.lpis.config.lock();
        self.reroute_lpi(intid, lpi, target);
        self.post_lpi(intid, &lpi.irq, Event::Map(true));
    }

    /// The messages of an LPI go to another redistributor, and what is pending stays where it is. Process context.
    pub(crate) fn reroute_lpi(&self, intid: IntId, lpi: &Lpi, target: Target) {
        lpi.set_route(target);
        // As in route_lpi().
        fence(Ordering::SeqCst);
        self.update_lpi(intid, &lpi.irq, |s| {
            (!s.pending()).then(|| s.apply(Event::Route(target)))
        });
    }

    /// The table that had the event of an LPI is gone: that it is mapped goes with it. What is pending of it is so in a redistributor,
    /// and stays there.
    pub(crate) fn leave_lpi(&self, intid: IntId, lpi: &Lpi) {
        self.update_lpi(intid, &lpi.irq, |s| {
            (!s.pending()).then(|| s.apply(Event::Map(false)))
        });
        lpi.disown();
    }

    /// The event of an LPI is no longer mapped. What was pending is gone; what comes late is dropped.
    pub(crate) fn unmap_lpi(&self, intid: IntId, lpi: &Lpi) {
        self.post_to(intid, &lpi.irq, Event::Map(false));
        lpi.disown();
    }

    /// Reads the configuration of an LPI from guest memory: INV, and what has its effect.
    pub(crate) fn reload(&self, intid: IntId) {
        self.reload_all(core::iter::once(intid));
    }

    /// The same for several, which costs least where their numbers are close together. Those beyond the end of the table
    /// are disabled, and so are those whose part of it is not in memory.
    pub(crate) fn reload_all(&self, intids: impl Iterator<Item = IntId>) {
        let mut intids = intids;
        let mut next = intids.next();
        if next.is_none() {
            // Of a table without LPIs a trap looks at many lots: none of them is worth the lock, which all vCPUs share.
            return;
        }
        let _held = self.lpis.config.lock();
        let (table, end) = (self.lpis.table(), self.lpis.end());
        let mut window = [0_u8; WINDOW];
        let mut at = None;
        while let Some(intid) = next {
            next = intids.next();
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
                self.post_lpi(intid, &lpi.irq, Event::Priority(priority));
            }
            if old.enabled() != on {
                self.post_lpi(intid, &lpi.irq, Event::Enable(on));
            }
        }
    }

    /// The vCPU that an LPI goes to. Any context, as [`Domain::inject_lpi`].
    pub fn lpi_target(&self, intid: IntId) -> Option<H::Vcpu> {
        let target = self.lpis.get(intid)?.route();
        target.and_then(|id| self.slot(id)).and_then(Vcpu::handle)
    }
}
