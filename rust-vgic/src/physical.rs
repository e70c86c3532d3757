// SPDX-License-Identifier: GPL-2.0-only
//! The physical interrupt behind a hardware-mapped one: of an SPI here, of a private one in [`private`].

mod private;

use crate::config::Error;
use crate::domain::Domain;
use crate::host::{Host, PhysIrq};
use crate::intid::IntId;
use crate::irq::{Effect, Event, Irq, Place, State};
use crate::sync::Ordering;
use crate::vcpu::Vcpu;

impl<H: Host> Domain<H> {
    /// Maps an SPI to a physical interrupt. The caller holds the lock of the physical interrupt.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is no SPI of this domain; [`Error::Busy`] if it is mapped already, enabled, pending or active, or what messages
    /// make pending: that has no line.
    pub fn connect(&self, intid: IntId, phys: u16) -> Result<(), Error> {
        let irq = self
            .shared(intid)
            .filter(|_| !intid.is_lpi())
            .ok_or(Error::Invalid)?;
        if irq.state().hw() || self.is_message_spi(intid) {
            return Err(Error::Busy);
        }
        // Nobody looks at it until HW is set, and desc->lock keeps a second caller away.
        irq.phys.store(phys, Ordering::Relaxed);
        let set = irq.update(|s| {
            let free = !s.hw() && !s.enabled() && !s.deliverable() && !s.pending();
            (free && s.place().0 == Place::Idle).then(|| s.apply(Event::Connect(true)))
        });
        // An idle one with nothing pending or active has nothing to do.
        set.map(|(.., effect)| debug_assert!(effect.is_empty()))
            .ok_or(Error::Busy)
    }

    /// Ends the mapping to a physical interrupt. The caller holds its lock and has shut it down.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `intid` is not mapped to `phys`.
    pub fn disconnect(&self, intid: IntId, phys: u16) -> Result<(), Error> {
        match self.shared(intid) {
            Some(irq) if self.phys_of(intid) == Some(phys) => {
                // The caller has deactivated the physical interrupt.
                let (_, new, effect) = irq.post(Event::Connect(false));
                self.carry_out(intid, irq, new, effect.without_phys());
                Ok(())
            }
            _ => Err(Error::Invalid),
        }
    }

    /// The physical interrupt that `intid` is mapped to.
    pub fn phys_of(&self, intid: IntId) -> Option<u16> {
        let irq = self.shared(intid)?;
        irq.state().hw().then(|| irq.phys.load(Ordering::Relaxed))
    }

    /// All hardware-mapped interrupts, and whether the guest still owes the deactivation of the physical one.
    pub fn connected(&self) -> impl Iterator<Item = (IntId, bool)> + '_ {
        let spis = self.spis.iter().zip(IntId::SPI..);
        let espis = self.espis.iter().zip(IntId::ESPI..);
        spis.chain(espis).filter_map(|(irq, raw)| {
            let state = irq.state();
            let intid = IntId::new(raw).filter(|_| state.hw())?;
            Some((intid, state.phys() || state.phys_lr()))
        })
    }

    /// Runs `f` under the lock of the physical interrupt behind `irq`, or without one if there is none, or none but its own CPU's.
    pub(crate) fn with_phys<R>(&self, irq: &Irq, mut f: impl FnMut(Option<&H::Phys>) -> R) -> R {
        let state = irq.state();
        if state.hw() && !state.own() {
            let phys = irq.phys.load(Ordering::Relaxed);
            let result = self.host.phys(phys, |locked| {
                // It may have been disconnected before we had its lock: then it is another's, if anybody's.
                let ours = irq.state().hw() && irq.phys.load(Ordering::Relaxed) == phys;
                f(ours.then_some(locked))
            });
            if let Some(result) = result {
                return result;
            }
        }
        f(None)
    }

    /// A hardware-mapped level interrupt waits to be taken, where `place` says: if its line has fallen meanwhile, it is not pending any
    /// more, and the physical interrupt may fire again. Says whether that was so.
    pub(crate) fn withdraw_fallen(&self, irq: &Irq, place: impl Fn(State) -> bool) -> bool {
        if irq.state().own() {
            return self.withdraw_own(irq, place);
        }
        self.with_phys(irq, |phys| {
            let Some(phys) = phys.filter(|phys| phys.has_fallen()) else {
                return false;
            };
            let done = irq.update(|s| place(s).then(|| s.apply(Event::Withdraw)));
            let fallen = done.is_some_and(|(.., effect)| effect.contains(Effect::DEACTIVATE));
            if fallen {
                phys.set_active(false);
            }
            fallen
        })
    }

    /// Has the line of a hardware-mapped level interrupt, which this is the word of, fallen? As a look without the lock finds it, so to be
    /// asked again with it: most lines are high, and then that is all.
    #[inline(never)]
    pub(crate) fn has_fallen(&self, v: &Vcpu<H::Vcpu>, intid: u16, irq: &Irq, s: State) -> bool {
        if s.own() {
            self.own_has_fallen(v, intid)
        } else {
            self.host.phys_has_fallen(irq.phys.load(Ordering::Relaxed))
        }
    }

    /// Is it pending, as GICD_ISPENDR shows it? What the physical distributor has counts, too: what was set pending while it was
    /// disabled, and the line of a level-sensitive one, which may have fallen since it fired.
    #[inline]
    pub(crate) fn shows_pending(&self, owner: &Vcpu<H::Vcpu>, intid: IntId, irq: &Irq) -> bool {
        let state = irq.state();
        if state.hw() {
            self.physical_pending(owner, intid, irq)
        } else {
            state.pending()
        }
    }

    #[inline(never)]
    fn physical_pending(&self, owner: &Vcpu<H::Vcpu>, intid: IntId, irq: &Irq) -> bool {
        let state = irq.state();
        if state.own() {
            return self.own_pending(owner, intid, state);
        }
        self.with_phys(irq, |phys| {
            let fallen = |phys: &H::Phys| state.level() && phys.has_fallen();
            phys.is_some_and(PhysIrq::is_pending) || state.pending() && !phys.is_some_and(fallen)
        })
    }

    /// Deactivates the physical interrupt behind `irq`, for which nobody answers any more.
    pub(crate) fn deactivate(&self, irq: &Irq) {
        if irq.state().own() {
            self.set_own_active(irq, false);
            return;
        }
        self.with_phys(irq, |phys| {
            // Unless somebody does again by now, who has made it active, or relies on that it is.
            if let Some(phys) = phys.filter(|_| !irq.state().holds_phys()) {
                phys.set_active(false);
            }
        });
    }

    /// Deactivates the physical interrupt behind one of which nothing else is left, and which was just taken out of a list
    /// register: nobody would load it again for that.
    pub(crate) fn let_go(&self, irq: &Irq) {
        self.with_phys(irq, |phys| {
            let gone = irq.update(|s| (s.phys() && s.orphaned()).then(|| (s.with_phys(false), ())));
            if let (Some(phys), Some(_)) = (phys, gone) {
                phys.set_active(false);
            }
        });
    }

    /// Routes the physical interrupt behind `irq`, if there is one, to where its vCPU is.
    pub(crate) fn route_physical(&self, irq: &Irq) {
        let state = irq.state();
        if state.hw()
            && let Some(handle) = state
                .target()
                .and_then(|id| self.slot(id))
                .and_then(Vcpu::handle)
        {
            let phys = irq.phys.load(Ordering::Relaxed);
            let _masked = self.mask();
            self.host.phys_affinity(phys, handle);
        }
    }
}

#[cfg(test)]
mod tests;
