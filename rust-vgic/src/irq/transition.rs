// SPDX-License-Identifier: GPL-2.0-only
//! What may happen to an interrupt: pure functions from state to state.

use super::state::{Place, State, Target};
use crate::intid::VcpuId;
use crate::lr::LrView;

/// Something that anyone may do to an interrupt at any time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The input line is at this level; for an edge-triggered interrupt, high is a pulse. For a
    /// hardware-mapped interrupt, high is "the physical interrupt has become active".
    Line(bool),
    /// An SGI is sent by these GICv2 CPU interfaces; none named: it has no source to tell of.
    Sgi(u8),
    /// GICD_CPENDSGIR: these sources are no longer pending.
    ClearSgi(u8),
    /// GICD_ISENABLER, or the enable bit of an LPI.
    Enable(bool),
    /// GICD_ISPENDR.
    SetPending,
    /// GICD_ICPENDR.
    ClearPending,
    /// GICD_ISACTIVER.
    SetActive,
    /// GICD_ICACTIVER.
    ClearActive,
    /// GICD_IPRIORITYR, all eight bits.
    Priority(u8),
    /// GICD_ICFGR: level-sensitive or edge-triggered.
    Trigger {
        /// Level-sensitive.
        level: bool,
    },
    /// GICD_IGROUPR.
    Group1(bool),
    /// GICD_IROUTER.
    Route(Target),
    /// GICD_ITARGETSR: the byte as written, and the vCPU chosen from it.
    Targets(u8, Target),
    /// An LPI gets a mapping, or loses it and with it what was pending.
    Map(bool),
    /// The line of a hardware-mapped level interrupt has fallen before the guest took it. Not for what is in a list register of a
    /// vCPU that is in the guest: that may have taken it.
    Withdraw,
    /// The guest has ended an interrupt that was in no list register (GICH_HCR.EOICount).
    Ended,
    /// What it was acknowledged on has been reset: no EOI is to come for it.
    Forget,
    /// Becomes mapped to a physical interrupt, or no longer is.
    Connect(bool),
}

bitflags::bitflags! {
    /// What is left to do after a transition.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[must_use = "what is left to do has to be done: else a physical interrupt may stay active for ever"]
    pub struct Effect: u8 {
        /// The transition has moved it from idle to its holder's inbox: push it there.
        const PUSH = 1 << 0;
        /// Its holder must look at it before it next enters the guest: its line has fallen, if there is no more to do.
        const LOOK = 1 << 1;
        /// … and should do so now, so have it leave the guest.
        const KICK = 1 << 2;
        /// It is on a list where it no longer belongs, or in a list register only because its physical interrupt is active: visit
        /// its holder.
        const VISIT = 1 << 3;
        /// The physical interrupt has to be deactivated.
        const DEACTIVATE = 1 << 4;
        /// The physical interrupt has to be activated.
        const ACTIVATE = 1 << 5;
        /// Nothing is left but a physical interrupt that is active, and that the vCPU's own CPU alone can deactivate: have it do so.
        const OWNER = 1 << 6;
    }
}

impl Effect {
    /// What is left once the physical interrupt is as it has to be: said by who has seen to that.
    pub(crate) const fn without_phys(self) -> Self {
        self.difference(Self::DEACTIVATE.union(Self::ACTIVATE))
    }
}

impl State {
    /// The state after `event`, and what remains to be done.
    pub fn apply(self, event: Event) -> (State, Effect) {
        let mut effect = Effect::empty();
        let in_lr = self.place().0 == Place::Lr;
        let new = match event {
            Event::Line(level) => return self.at_level(level),
            Event::Sgi(sources) => return self.sent(sources),
            Event::ClearSgi(sources) => {
                let left = self.sources() & !sources;
                let gone = sources & 1_u8.wrapping_shl(self.lr_source().into()) != 0;
                self.with_sources(left)
                    .with_latch(left != 0)
                    .with_latch_lr(self.latch_lr() && !gone)
            }
            Event::Enable(on) => self.with_enabled(on),
            Event::SetPending => self.latched(0).with_pended(self.own()),
            Event::ClearPending => self.no_latch().release(&mut effect),
            Event::SetActive if self.active() => self,
            Event::SetActive => {
                // What the list register still has as acknowledged stays that.
                let by_write = !self.folded_active();
                let new = if in_lr {
                    self.with_sets_active(true).with_clears_active(false)
                } else {
                    self.with_active(true)
                };
                let new = new.with_by_write(by_write || new.by_write());
                if self.hw() && !self.own() && !self.holds_phys() {
                    effect |= Effect::ACTIVATE;
                    new.with_phys(true)
                } else {
                    new
                }
            }
            Event::ClearActive if in_lr && self.folded_active() => self
                .with_clears_active(true)
                .with_sets_active(false)
                .release(&mut effect),
            Event::ClearActive | Event::Ended => self.inactive().release(&mut effect),
            Event::Priority(priority) => self.with_priority5(priority >> 3),
            Event::Trigger { level } => self.with_level(level),
            Event::Group1(on) => self.with_group1(on),
            Event::Forget if self.folded_active() || self.sets_active() => self
                .with_by_write(true)
                .with_ack_group1(false)
                .with_ack_priority5(0),
            Event::Forget => self,
            Event::Route(target) => self.with_target(target),
            Event::Targets(byte, target) => self.with_itargets(byte).with_target(target),
            Event::Map(on) => {
                if on {
                    self.with_mapped(true)
                } else {
                    self.no_latch().with_mapped(false).with_enabled(false)
                }
            }
            Event::Withdraw if !self.hangs_on_line() => self,
            Event::Withdraw => {
                effect |= Effect::DEACTIVATE;
                self.no_latch().with_phys(false).with_phys_lr(false)
            }
            // What was said of the line no longer counts: from now on the physical GIC is asked.
            Event::Connect(true) => self.with_hw(true).with_line(false),
            Event::Connect(false) => {
                // The physical interrupt may soon be another's: nothing of ours may deactivate it then.
                if self.holds_phys() {
                    effect |= Effect::DEACTIVATE;
                }
                self.with_hw(false).with_phys(false).with_phys_lr(false)
            }
        };
        let (new, mut effect) = new.settle(self, effect);
        if new.own() && new.orphaned() {
            effect |= Effect::OWNER;
        }
        (new, effect)
    }

    /// As at reset, which is `new`, whatever it was; but on the list that it is on, and mapped to the physical interrupt that it is
    /// mapped to, which may have to be deactivated.
    pub(crate) fn renewed(self, new: State) -> (State, Effect) {
        let effect = if self.holds_phys() && !self.own() {
            Effect::DEACTIVATE
        } else {
            Effect::empty()
        };
        let new = new
            .with_hw(self.hw())
            .with_own(self.own())
            .with_line(new.line() && !self.hw())
            .with_raw_place(self.raw_place())
            .with_raw_holder(self.raw_holder());
        (new, effect)
    }

    /// [`Event::Line`]. The line is kept while the interrupt is edge-triggered, too: it may be made level-sensitive. An SGI has none.
    #[inline(always)]
    pub fn at_level(self, level: bool) -> (State, Effect) {
        let new = match (self.hw(), self.level(), level) {
            (true, _, true) => self.with_latch(true).with_phys(true),
            (true, _, false) => self,
            (false, true, _) => self.with_line(level),
            (false, false, true) => self.edge(),
            // Nobody is told of what makes no difference now.
            (false, false, false) => return (self.with_line(false), Effect::empty()),
        };
        new.settle(self, Effect::empty())
    }

    /// [`Event::Sgi`].
    #[inline(always)]
    pub(crate) fn sent(self, sources: u8) -> (State, Effect) {
        self.latched(sources).settle(self, Effect::empty())
    }

    /// [`State::at_level`] of an LPI whose message has come.
    #[inline(always)]
    pub(crate) fn message(self) -> (State, Effect) {
        let new = if self.mapped() {
            self.with_latch(true).with_line(true)
        } else {
            self
        };
        new.settle(self, Effect::empty())
    }

    /// The line of an edge-triggered interrupt rises.
    #[inline]
    const fn edge(self) -> Self {
        if self.sgi() {
            self.latched(0)
        } else if self.mapped() {
            self.with_latch(true).with_line(true)
        } else {
            self
        }
    }

    /// Pending by the latch. An SGI that nobody in particular has sent counts as one from source 0, so that
    /// the latch of an SGI is set exactly while a source is. An LPI without a mapping is never pending.
    const fn latched(self, sources: u8) -> Self {
        if !self.mapped() {
            return self;
        }
        let new = self.with_latch(true);
        match (new.sgi(), sources) {
            (true, 0) => new.with_sources(new.sources() | 1),
            (true, _) => new.with_sources(new.sources() | sources),
            (false, _) => new,
        }
    }

    /// With nothing left of it here, the physical interrupt that the word answers for must be able to fire again. What is its own CPU's
    /// to do is left as it is.
    fn release(self, effect: &mut Effect) -> Self {
        if self.phys() && self.orphaned() && !self.own() {
            *effect |= Effect::DEACTIVATE;
            self.with_phys(false)
        } else {
            self
        }
    }

    /// Neither the word nor the list register is pending by a latch any more. The sources of
    /// an SGI go with it; [`State::itargets`] of an SPI stays.
    const fn no_latch(self) -> Self {
        let new = self
            .with_latch(false)
            .with_latch_lr(false)
            .with_pended(false);
        if new.sgi() { new.with_sources(0) } else { new }
    }

    /// Puts the interrupt on a list if it now belongs on one, and says who has to look at it.
    #[inline(always)]
    pub(crate) fn settle(self, old: State, mut effect: Effect) -> (State, Effect) {
        if self == old {
            return (self, effect);
        }
        if self.is_idle() {
            return match self.target() {
                Some(target) if self.deliverable() => {
                    (self.placed(Place::Inbox, target), effect | Effect::PUSH)
                }
                _ => (self, effect),
            };
        }
        let place = self.place().0;
        if place == Place::Lr {
            effect |= Effect::LOOK;
            // A line that falls may wait for the next exit; the guest can tell no difference from
            // a line that fell a moment later. Everything else should be seen soon.
            if !old.line() || self.line() {
                effect |= Effect::KICK;
            }
            if self.orphaned() && !self.own() {
                effect |= Effect::VISIT;
            }
        } else {
            if self.deliverable() && !old.deliverable() {
                effect |= Effect::LOOK | Effect::KICK;
            }
            if place == Place::Ready && self.list_key() != old.list_key() {
                effect |= Effect::VISIT;
            }
        }
        if self.misplaced() && (self.target() != old.target() || !old.misplaced()) {
            effect |= Effect::VISIT;
        }
        (self, effect)
    }

    /// What decides on which ready list an interrupt is: with an active one, that it is active, not its group.
    const fn list_key(self) -> (bool, bool, bool, u8) {
        let (group1, priority5) = self.standing();
        let active = self.active();
        (
            active,
            active && self.by_write(),
            !active && group1,
            priority5,
        )
    }

    /// What a list register has to hold for this interrupt, and the state that goes with it.
    ///
    /// Only by the CPU that owns the list register, on entry; PLACE is LR before and after. A view
    /// that is neither pending nor active means: it is to leave the list register. `foremost`: if it were not active, the guest would
    /// be signalled this one before whatever waits, so it may be pending behind itself.
    #[inline]
    pub fn load(self, foremost: bool) -> (State, LrView, Effect) {
        match self.load_inactive() {
            Some(new) => (new, new.view_inactive(), Effect::empty()),
            None => self.load_any(foremost),
        }
    }

    /// What it mostly is: enabled, inactive and here; if it answers for a physical interrupt, pending. Equals
    /// [`State::load_any`] with no effect whenever it says something; the view is [`State::view_inactive`].
    #[inline(always)]
    pub(crate) fn load_inactive(self) -> Option<State> {
        if !self.is_plain() || self.raw_target() != self.raw_holder() {
            return None;
        }
        if self.sgi() {
            return Some(self.take_latch());
        }
        let carried = self.latch() || self.latch_lr();
        let new = self.with_latch(false).with_latch_lr(carried);
        let hw = self.phys() || self.phys_lr();
        if hw && !carried || hw != (self.hw() || self.phys_lr()) {
            return None;
        }
        Some(new.with_phys(false).with_phys_lr(hw))
    }

    /// What the list register of a state that [`State::load_inactive`] has made has to hold.
    #[inline(always)]
    pub(crate) fn view_inactive(self) -> LrView {
        let hw = self.phys_lr();
        let line = self.level() && self.line() && !hw;
        LrView {
            pending: self.latch_lr() || line,
            active: false,
            hw,
            // A latch that is left is of an SGI: more of its sources wait.
            eoi: line || self.latch(),
            source: self.lr_source(),
        }
    }

    #[inline(never)]
    fn load_any(self, foremost: bool) -> (State, LrView, Effect) {
        let mut effect = Effect::empty();
        let active = self.active();
        let mut new = self.settled_active();
        let mut view = LrView {
            active,
            ..LrView::default()
        };
        let deliverable = new.enabled() && new.mapped();
        let physical = new.hw() || new.phys_lr();
        let line = new.level() && new.line() && !physical;
        // Pending behind itself: an edge, if it stays here and is what it was acknowledged as, the list register having one priority
        // and one group. A level is looked at again when it has ended, an SGI has room for one source, and a hardware-mapped
        // interrupt is never pending and active (IHI 0069, ICH_LR<n>_EL2).
        let same = new.acknowledged() && new.standing() == (new.group1(), new.priority5());
        let edge = !physical && !new.level() && !new.sgi();
        let again = foremost && same && edge && new.target() == new.place().1;
        if deliverable && (!active || again) {
            new = new.take_latch();
            view.pending = new.latch_lr() || line;
        } else {
            new = new.give_back_latch();
        }
        view.eoi = deliverable && (line || new.latch());
        if new.phys() || new.phys_lr() {
            if new.orphaned() {
                // It left the list register without the guest's doing: nobody else would deactivate it.
                effect |= Effect::DEACTIVATE;
                new = new.with_phys(false).with_phys_lr(false);
            } else {
                // The HW bit leaves no room for the EOI bit: where the end must be seen because more is pending,
                // the physical interrupt waits for the next end.
                let loaded = (view.pending || view.active) && !view.eoi;
                new = new.with_phys(!loaded).with_phys_lr(loaded);
            }
        }
        view.hw = new.phys_lr();
        // An active one that is routed elsewhere moves when it ends.
        if view.hw {
            view.eoi = false;
        } else if new.target() != new.place().1 {
            view.eoi = true;
        }
        view.source = if active {
            new.active_source()
        } else {
            new.lr_source()
        };
        (new, view, effect)
    }

    /// The latch goes into the list register; that of an SGI with the lowest of its sources.
    const fn take_latch(self) -> Self {
        if !self.sgi() {
            return self
                .with_latch_lr(self.latch_lr() || self.latch())
                .with_latch(false);
        }
        if self.latch_lr() {
            // Sent once more by the same source before it was acknowledged: that is pending once.
            let left = self.sources() & !1_u8.wrapping_shl(self.lr_source() as u32);
            return self.with_sources(left).with_latch(left != 0);
        }
        if !self.latch() {
            return self;
        }
        let source = self.sources().trailing_zeros() as u8 & 7;
        let left = self.sources() & self.sources().wrapping_sub(1);
        self.with_lr_source(source)
            .with_sources(left)
            .with_latch(left != 0)
            .with_latch_lr(true)
    }

    /// The latch that the list register carried comes back to the word.
    const fn give_back_latch(self) -> Self {
        if !self.latch_lr() {
            return self;
        }
        let new = self.with_latch_lr(false).with_latch(true);
        if new.sgi() {
            new.with_sources(new.sources() | 1_u8.wrapping_shl(new.lr_source() as u32))
        } else {
            new
        }
    }

    /// The guest has ended it, and nothing is left of it: its state on no list. For what it mostly is; no means to
    /// [`State::fold`] it.
    #[must_use]
    #[inline]
    pub fn ended(self) -> Option<State> {
        let left = self.latch() || self.phys() || self.level() && self.line();
        let plain = !left && !self.sets_active() && !self.clears_active();
        plain.then(|| {
            self.inactive()
                .with_latch_lr(false)
                .with_pended(false)
                .with_phys_lr(false)
                .idle()
        })
    }

    /// The active state as writes to its registers have it, which no list register needs to see any more.
    fn settled_active(self) -> State {
        if self.active() {
            self.with_active(true)
                .with_sets_active(false)
                .with_clears_active(false)
        } else {
            self.inactive()
        }
    }

    /// The guest has run: what it has done to the list register comes into the word, where that had this group and priority. PLACE stays.
    #[must_use]
    pub fn fold(self, pending: bool, active: bool, (group1, priority5): (bool, u8)) -> State {
        let mut new = self.with_latch_lr(self.latch_lr() && pending);
        if self.pended() && self.latch_lr() && !pending {
            // That one was taken. What is latched behind it is of another write, or of the physical interrupt.
            new = new.with_pended(self.latch() && !self.phys());
        }
        if active && !self.folded_active() {
            new = new
                .with_active_source(self.lr_source())
                .with_ack_group1(group1)
                .with_ack_priority5(priority5)
                .with_by_write(false);
        } else if !active && self.sets_active() {
            // What was acknowledged has ended, if it was; a write has made it active since.
            new = new.inactive().with_sets_active(true).with_by_write(true);
        }
        new = new.with_active(active).settled_active();
        if !pending && !active {
            // Ended by the guest, and with it the physical interrupt.
            new = new.with_phys_lr(false);
        }
        new
    }

    /// Out of the list register, as far as the contents go; the caller then says where to.
    #[must_use]
    pub fn unload(self) -> State {
        self.give_back_latch()
            .settled_active()
            .with_phys(self.phys() || self.phys_lr())
            .with_phys_lr(false)
    }

    /// Where an interrupt that was just unlinked from `holder`'s lists goes.
    #[must_use]
    pub fn rehome(self, holder: VcpuId) -> State {
        match self.target() {
            _ if !self.deliverable() => self.idle(),
            _ if self.active() => self.placed(Place::Ready, holder),
            Some(target) if target == holder => self.placed(Place::Ready, holder),
            Some(target) => self.placed(Place::Inbox, target),
            None => self.idle(),
        }
    }
}

#[cfg(test)]
mod tests;
