// SPDX-License-Identifier: GPL-2.0-only
//! A private interrupt that follows its vCPU: one that is mapped to the PPI of whatever physical CPU the vCPU is on. In Xen, the
//! virtual timer's, whose registers and whose line follow it likewise.
//!
//! A PPI is banked (IHI 0069, section 2.2.1): each physical CPU has its own, and nobody but that CPU reaches it. So, other than with an SPI
//! ([`crate::physical`]), no lock orders what is done to it, but where it is done. OWN in the word ([`State::own`]) is what tells the two.
//!
//! # What always holds
//!
//! P stands for PHYS or PHYS_LR in the word: the physical interrupt is active, and that is what keeps a line that is high from
//! interrupting again. Nobody masks or disables it.
//!
//! * While the vCPU is current, between [`Domain::load_private`] and [`Domain::unload_private`], and its guest is entered: the PPI of that
//!   CPU is active exactly if P. Between an exit and the next entry P may be ahead of it, or behind: the guest may have ended it, which
//!   [`Domain::sync_from`] has yet to see; or nothing is left of it but P, and the entry has yet to take that away.
//! * While it is not: the device is off and the PPI inactive. P alone records what it is to be.
//! * P changes, and the PPI, on the vCPU's own CPU alone, with interrupts masked or in the PPI's own handler: on its arrival, as the
//!   guest's end of it is folded, on entry, and as the vCPU comes and goes.
//! * It is a level: its device's line ([`Host::line`]) is what is pending. A latch with P is the line's as it was when it fired, and is
//!   withdrawn where the line has fallen. A latch that was written to GICD_ISPENDR (PENDED) is not.
//!
//! # Who may do what
//!
//! Registers, whoever writes them, the vCPU itself or another, change the word and never P: EN, LATCH with PENDED, ACTIVE. Where that
//! leaves an orphan, P with nothing pending or active, [`Effect::OWNER`] has the vCPU leave its guest, or wakes it: the next entry
//! gives it up, wherever the word is, or else the vCPU's departure or its return. Then the PPI can fire again, as it does at once if
//! the line is high. So GICD_ICPENDR of a line that is high is no more than an exit, and GICD_ISACTIVER needs no active PPI: what
//! fires meanwhile waits behind the active one.
//!
//! The PPI's own configuration is the host's: neither GICD_ISENABLER nor GICD_ICFGR reaches it. One that is disabled, in a group that
//! is off or below the priority mask is P and stays that, until it is taken or its vCPU finds the line fallen.

use crate::config::Error;
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::IntId;
use crate::irq::{Effect, Event, Irq, Place, State};
use crate::sync::Ordering;
use crate::vcpu::{Flags, Vcpu};

impl<H: Host> Domain<H> {
    /// Maps a PPI of `v`, which has not run yet, to the PPI `phys` of whatever physical CPU it will be on.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is no PPI; [`Error::Busy`] if it is mapped already, enabled, pending or active.
    pub fn connect_private(&self, v: &Vcpu<H::Vcpu>, intid: IntId, phys: u16) -> Result<(), Error> {
        let ppi = !intid.is_sgi();
        let irq = v
            .private(intid)
            .filter(|irq| ppi && irq.state().level())
            .ok_or(Error::Invalid)?;
        let is_free = |s: State| {
            let quiet = !s.enabled() && !s.deliverable() && !s.pending();
            !s.hw() && quiet && s.place().0 == Place::Idle
        };
        if !is_free(irq.state()) {
            return Err(Error::Busy);
        }
        irq.phys.store(phys, Ordering::Relaxed);
        let own = |s: State| s.apply(Event::Connect(true)).0.with_own(true);
        irq.update(|s| is_free(s).then(|| (own(s), ())))
            .map(|_| ())
            .ok_or(Error::Busy)
    }

    /// The PPI behind `intid` was taken on this CPU, which runs `v`, and is active from now on. No: it is not mapped, so nobody answers
    /// for that. Its line may have fallen meanwhile, or have been another vCPU's: the next entry sees to that.
    pub fn private_fired(&self, v: &Vcpu<H::Vcpu>, intid: IntId) -> bool {
        let Some(irq) = v.private(intid).filter(|irq| irq.state().own()) else {
            return false;
        };
        let (_, new, effect) = irq.post_line(true);
        self.carry_out(intid, irq, new, effect);
        v.counters.injections.count();
        true
    }

    /// `v` comes to this physical CPU, and is current. Its device is off yet, and would have its line at this level. Interrupts are masked.
    ///
    /// Says whether the line is news: it has risen while the vCPU was away.
    pub fn load_private(&self, v: &Vcpu<H::Vcpu>, intid: IntId, line: bool) -> bool {
        let Some(irq) = v.private(intid).filter(|irq| irq.state().own()) else {
            return false;
        };
        let Some((old, new, (effect, rose))) = irq.update(|s| {
            // What hangs on a line that has fallen is found out by the next entry.
            let s = s.without_orphan();
            let rises = line && !s.holds_phys();
            let (s, effect) = if rises {
                s.at_level(true)
            } else {
                (s, Effect::empty())
            };
            Some((s, (effect, rises)))
        }) else {
            return false;
        };
        self.look_again(v, old, new);
        // Before the device is on: what is active does not fire.
        if new.holds_phys() {
            self.set_own_active(irq, true);
        }
        self.carry_out(intid, irq, new, effect);
        rose
    }

    /// `v`, which has left its guest, leaves this physical CPU. Its device is off, and would have its line at this level. Interrupts are masked.
    ///
    /// Says whether it has fired: then nobody need wait for it to.
    pub fn unload_private(&self, v: &Vcpu<H::Vcpu>, intid: IntId, line: bool) -> bool {
        let Some(irq) = v.private(intid).filter(|irq| irq.state().own()) else {
            return false;
        };
        // Whoever makes an orphan of it from here on wakes the vCPU, which finds it on its return.
        let Some((old, new, ())) = irq.update(|s| {
            let fell = s.hangs_on_line() && !line;
            let s = if fell { s.apply(Event::Withdraw).0 } else { s };
            Some((s.without_orphan(), ()))
        }) else {
            return false;
        };
        self.look_again(v, old, new);
        if old.holds_phys() {
            self.set_own_active(irq, false);
        }
        new.holds_phys()
    }

    /// On the way into the guest: each of them comes into agreement with its line. What is an orphan is given up, and what hangs on a line that
    /// has fallen; of what is left the line is noted. What of it is in a list register is looked at on this entry.
    #[cold]
    pub(crate) fn follow_own_lines(&self, v: &Vcpu<H::Vcpu>) {
        for (irq, raw) in v.all_private().iter().zip(0..).skip(IntId::PPI as usize) {
            let Some(intid) = IntId::new(raw).filter(|_| irq.state().own()) else {
                continue;
            };
            let line = self.own_line(v, intid);
            let followed = irq.update(|s| {
                let s = s.without_orphan();
                let fell = line == Some(false) && s.hangs_on_line();
                let s = if fell { s.apply(Event::Withdraw).0 } else { s };
                let seen = line == Some(true) && s.holds_phys();
                Some((s.with_seen(seen), ()))
            });
            if followed.is_some_and(|(old, new, ())| old.holds_phys() && !new.holds_phys()) {
                self.set_own_active(irq, false);
                v.add_stale(v.used_physical());
            }
        }
    }

    /// On the way into the guest: [`Domain::withdraw_fallen`] of one whose line was found to have fallen.
    pub(super) fn withdraw_own(&self, irq: &Irq, place: impl Fn(State) -> bool) -> bool {
        let done = irq.update(|s| place(s).then(|| s.apply(Event::Withdraw)));
        let fallen = done.is_some_and(|(.., effect)| effect.contains(Effect::DEACTIVATE));
        if fallen {
            self.set_own_active(irq, false);
        }
        fallen
    }

    /// Has its line fallen? No, where that cannot be seen.
    pub(super) fn own_has_fallen(&self, v: &Vcpu<H::Vcpu>, intid: u16) -> bool {
        let intid = IntId::new(intid.into());
        intid.and_then(|intid| self.own_line(v, intid)) == Some(false)
    }

    /// The line of its device, if it can be seen from this CPU.
    pub(crate) fn own_line(&self, v: &Vcpu<H::Vcpu>, intid: IntId) -> Option<bool> {
        v.handle().and_then(|handle| self.host.line(handle, intid))
    }

    /// Is it pending, as GICD_ISPENDR shows it? By its line or by a write. Of a vCPU that runs elsewhere the line is known as of when it
    /// fired or was last looked at; that one is asked to look again, for whoever reads again. While its PPI is inactive, a line that
    /// rises does fire.
    pub(super) fn own_pending(&self, v: &Vcpu<H::Vcpu>, intid: IntId, state: State) -> bool {
        if let Some(line) = self.own_line(v, intid) {
            return state.pended() || line;
        }
        if state.holds_phys() {
            self.call_owner(state);
        }
        state.pending() || state.holds_phys() && state.seen()
    }

    /// What is in a list register has changed while its vCPU came or went. Who has made an orphan of it may not have said so yet.
    fn look_again(&self, v: &Vcpu<H::Vcpu>, old: State, new: State) {
        if old != new && new.place().0 == Place::Lr {
            v.raise(Flags::LOOK);
        }
    }

    /// The physical interrupt behind `irq`, on this CPU.
    pub(super) fn set_own_active(&self, irq: &Irq, on: bool) {
        self.host
            .set_own_active(irq.phys.load(Ordering::Relaxed), on);
    }

    /// If nothing is left of an interrupt but an active physical one that its vCPU's own CPU alone can deactivate, has that one do so. For
    /// all that registers do to a private interrupt.
    #[inline(always)]
    pub(crate) fn tell_owner(&self, new: State, effect: Effect) {
        if effect.contains(Effect::OWNER) {
            self.call_owner(new);
        }
    }

    #[cold]
    fn call_owner(&self, new: State) {
        let owner = new.target().and_then(|id| self.slot(id));
        if let Some(v) = owner.filter(|v| self.must_kick(v, Flags::ORPHAN)) {
            self.kick(v);
        }
    }
}

#[cfg(test)]
mod tests;
