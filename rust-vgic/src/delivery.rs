// SPDX-License-Identifier: GPL-2.0-only
//! Injection and everything else that changes an interrupt from outside the vCPU that holds it.
//!
//! Injection takes no lock: it runs in hard interrupt context, under the lock of a physical interrupt.
//! It changes the word, and if that moved the interrupt from idle to an inbox, pushes it there. Only an
//! interrupt that is on the wrong list ([`Effect::VISIT`]) makes it take the small lock of a vCPU.

use crate::domain::Domain;
use crate::host::{Host, PhysIrq};
use crate::intid::{IntId, VcpuId};
use crate::irq::{Effect, Event, Irq, Place, State};
use crate::list::{LOTS, Lists};
use crate::sync::{Ordering, fence};
use crate::takers;
use crate::vcpu::{Flags, Vcpu};

/// Others to whose inboxes interrupts were moved under a vCPU's lock: to be seen to once it is released.
#[derive(Clone, Copy, Default)]
pub(crate) struct Moved {
    /// Who got one.
    to: u128,
    /// Who of them has to be kicked.
    kick: u128,
    /// Who of them got one that was routed elsewhere again before it was there.
    late: u128,
    /// The groups of interrupts that stay because nobody can take them, as a bit each.
    stay: u32,
}

/// What a visit under the holder's lock leaves to be done without it.
#[must_use]
enum Left {
    Nothing,
    /// The holder must leave the guest for it.
    Exit,
    /// Nothing is left of the interrupt but that its physical one is active.
    Orphan,
}

/// The members of a set of vCPUs.
pub(crate) fn members(mut set: u128) -> impl Iterator<Item = VcpuId> {
    core::iter::from_fn(move || {
        let id = VcpuId::new(set.trailing_zeros())?;
        set &= set.wrapping_sub(1);
        Some(id)
    })
}

impl<H: Host> Domain<H> {
    /// A line changes, or a pulse arrives. See `vgic_inject_irq`.
    ///
    /// `vcpu` says whose private interrupt it is, and is ignored for others. For an edge-triggered interrupt each `true` is an edge, and
    /// the level counts once it is made level-sensitive; for a hardware-mapped one `true` is the physical interrupt, which is active from
    /// now on. A number that does not exist is ignored. Any context, also with the lock of a physical interrupt held.
    ///
    /// A caller that never says `false` is one of an SGI, which has no line (in Xen, FF-A's notification), or of a line that
    /// [`Host::line`] knows (in Xen, the event channel upcall): anything else would be pending for ever as a level.
    #[inline]
    pub fn inject(&self, vcpu: Option<&Vcpu<H::Vcpu>>, intid: IntId, level: bool) {
        // Hosts say again and again how high the lines of a vCPU's timers are.
        let Some((v, irq)) = vcpu.and_then(|v| Some((v, v.private(intid)?))) else {
            self.inject_shared(vcpu, intid, level);
            return;
        };
        if level {
            // Pairs with the fence of who lowers the line, below. The source that has just risen may be a plain store of the host's,
            // which this look at the line must not overtake: either we see the line lowered, or its source is seen high.
            // One that falls has no such look to fear, and only private interrupts have a source that is looked at again.
            fence(Ordering::SeqCst);
        }
        if !irq.state().is_line_at(level) {
            self.inject_private(v, intid, irq, level);
        }
    }

    #[inline(never)]
    fn inject_private(&self, v: &Vcpu<H::Vcpu>, intid: IntId, irq: &Irq, level: bool) {
        // Its own is never for several.
        let (old, new, effect) = irq.post_line(level);
        if old == new {
            return;
        }
        self.carry_out(intid, irq, new, effect);
        if level {
            v.counters.injections.count();
        }
        // A line that Xen can look at again may have risen between its look and our lowering it:
        // that raise saw a line still high and did nothing.
        if old.line() && !new.line() {
            fence(Ordering::SeqCst);
            let raised = v.handle().and_then(|handle| self.host.line(handle, intid));
            if raised == Some(true) {
                let (_, new, effect) = irq.post(Event::Line(true));
                self.carry_out(intid, irq, new, effect);
            }
        }
    }

    #[inline(never)]
    fn inject_shared(&self, vcpu: Option<&Vcpu<H::Vcpu>>, intid: IntId, level: bool) {
        let Some(v) = vcpu.or_else(|| self.vcpus.first().filter(|_| !intid.is_private())) else {
            return;
        };
        let Some(irq) = self.irq(v, intid) else {
            return;
        };
        if self.shares() {
            self.inject_chosen(v, intid, irq, level);
            return;
        }
        let (old, new, effect) = irq.post_line(level);
        if old == new {
            return;
        }
        let holder = self.carry_out(intid, irq, new, effect);
        if level {
            holder.unwrap_or(v).counters.injections.count();
        }
    }

    /// The same in a domain with interrupts that several may take.
    #[inline(never)]
    fn inject_chosen(&self, v: &Vcpu<H::Vcpu>, intid: IntId, irq: &Irq, level: bool) {
        let (old, new, effect) = self.post_shared(irq, Event::Line(level));
        if old == new {
            return;
        }
        let holder = self.carry_out(intid, irq, new, effect);
        self.see_chosen(intid, irq, old, new);
        if level {
            holder.unwrap_or(v).counters.injections.count();
        }
    }

    /// An SGI is sent to `v` by these CPU interfaces ([`Event::Sgi`]). It is `v`'s own, never for several, and no more urgent than before.
    pub(crate) fn post_sgi(&self, v: &Vcpu<H::Vcpu>, intid: IntId, sources: u8) {
        let Some(irq) = v.private(intid) else {
            return;
        };
        if let Some((_, new, effect)) = irq.update(|s| Some(s.sent(sources))) {
            self.carry_out(intid, irq, new, effect);
        }
    }

    /// [`Domain::post_to`] of an interrupt as `v` sees it.
    #[cfg(test)]
    pub(crate) fn post(&self, v: &Vcpu<H::Vcpu>, intid: IntId, event: Event) {
        if let Some(irq) = self.irq(v, intid) {
            self.post_to(intid, irq, event);
        }
    }

    /// Applies an event to an interrupt, and does all that follows from it.
    /// Not for hardware-mapped interrupts where the event may concern the physical one: see [`Domain::post_phys`].
    pub(crate) fn post_to(&self, intid: IntId, irq: &Irq, event: Event) -> (State, State) {
        let (old, new, effect) = self.post_on(irq, event);
        self.carry_out(intid, irq, new, effect);
        self.tell_owner(new, effect);
        if new.priority5() < old.priority5() {
            self.hasten(intid, irq);
        }
        if self.shares() {
            self.see_chosen(intid, irq, old, new);
        }
        (old, new)
    }

    /// The same for an event that may change the physical interrupt behind a hardware-mapped one:
    /// then all of it happens under the lock of the physical interrupt, as its arrival does.
    pub(crate) fn post_phys(&self, v: &Vcpu<H::Vcpu>, intid: IntId, event: Event) {
        let Some(irq) = self.irq(v, intid) else {
            return;
        };
        let mut changed = None;
        self.with_phys(irq, |phys| {
            let (old, new, effect) = self.post_on(irq, event);
            match phys {
                Some(phys) if effect.contains(Effect::DEACTIVATE) => phys.set_active(false),
                Some(phys) if effect.contains(Effect::ACTIVATE) => phys.set_active(true),
                _ => {}
            }
            changed = Some((old, new, effect.without_phys()));
        });
        if let Some((old, new, effect)) = changed {
            self.carry_out(intid, irq, new, effect);
            self.tell_owner(new, effect);
            if self.shares() {
                self.see_chosen(intid, irq, old, new);
            }
        }
    }

    /// Does what a transition has left to do, but nothing with the physical interrupt: whose event may concern that says
    /// [`Effect::without_phys`] once it is done, and has its owner told ([`Domain::tell_owner`]). Returns who held the interrupt after it.
    pub(crate) fn carry_out(
        &self,
        intid: IntId,
        irq: &Irq,
        new: State,
        effect: Effect,
    ) -> Option<&Vcpu<H::Vcpu>> {
        debug_assert_eq!(effect, effect.without_phys(), "of {}", intid.raw());
        let holder = new.place().1.and_then(|id| self.slot(id))?;
        if effect.contains(Effect::PUSH) {
            if self.push(holder, intid.raw16(), irq, new.priority5()) {
                self.kick(holder);
            }
            // It may have been routed elsewhere while it was on its way: whoever did that
            // looked for it in this inbox, perhaps before it was there.
            fence(Ordering::SeqCst);
            if irq.state().misplaced() {
                self.visit(intid, irq);
            }
        }
        if effect.intersects(Effect::LOOK | Effect::KICK | Effect::VISIT) {
            if effect.contains(Effect::KICK) {
                if self.must_kick(holder, Flags::LOOK) {
                    self.kick(holder);
                }
            } else if effect.contains(Effect::LOOK) {
                holder.raise(Flags::FELL);
            }
            if effect.contains(Effect::VISIT) {
                self.visit(intid, irq);
            }
        }
        Some(holder)
    }

    /// Pushes a node that has just been moved to `holder`'s inbox of its priority. Says whether `holder` must be kicked:
    /// not if somebody has asked for an exit already that it has not answered.
    #[must_use]
    pub(crate) fn push(
        &self,
        holder: &Vcpu<H::Vcpu>,
        intid: u16,
        irq: &Irq,
        priority5: u8,
    ) -> bool {
        let inbox = holder.inbox(priority5);
        irq.list.store(priority5, Ordering::Relaxed);
        let mut head = inbox.load(Ordering::Relaxed);
        loop {
            irq.next.store(head, Ordering::Relaxed);
            match inbox.compare_exchange_weak(head, intid, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => head = now,
            }
        }
        self.must_kick(holder, Flags::came_at(priority5))
    }

    /// Raises `flags` and asks for an exit. Says whether the caller must kick: not if somebody has asked already and
    /// was not answered yet, unless the vCPU has blocked since.
    #[must_use]
    pub(crate) fn must_kick(&self, v: &Vcpu<H::Vcpu>, flags: Flags) -> bool {
        if !v.raise(flags | Flags::KICKED).contains(Flags::KICKED) {
            return true;
        }
        fence(Ordering::SeqCst);
        v.handle()
            .is_some_and(|handle| self.host.is_blocked(handle))
    }

    /// Asks the host to make a vCPU look. The fence pairs with the one on entry: either the host sees the
    /// vCPU running, or the vCPU sees why it was to be kicked.
    pub(crate) fn kick(&self, v: &Vcpu<H::Vcpu>) {
        fence(Ordering::SeqCst);
        if let Some(handle) = v.handle() {
            v.counters.kicks.count();
            self.host.kick(handle);
        }
    }

    /// Takes `v`'s lock for `f`, with interrupts masked; sees to the interrupts that `f` moved elsewhere afterwards.
    pub(crate) fn with_lists<R>(
        &self,
        v: &Vcpu<H::Vcpu>,
        f: impl FnOnce(&mut Lists, &mut Moved) -> R,
    ) -> R {
        let mut moved = Moved::default();
        let result = self.locked(v, &mut moved, f);
        if moved.to != 0 || moved.stay != 0 {
            self.see_to(moved);
        }
        result
    }

    fn locked<R>(
        &self,
        v: &Vcpu<H::Vcpu>,
        moved: &mut Moved,
        f: impl FnOnce(&mut Lists, &mut Moved) -> R,
    ) -> R {
        let _masked = self.mask();
        let mut lists = v.lock.lock();
        let result = f(&mut lists, moved);
        let any = lists.any();
        v.backlog.store(any.into(), Ordering::Relaxed);
        if any {
            v.raise(Flags::WAITS);
        }
        result
    }

    /// Kicks those who got an interrupt, then sorts their inboxes for them, all of it where one was routed elsewhere again
    /// while it was on its way: it must not wait for a vCPU that may be switched off.
    fn see_to(&self, mut moved: Moved) {
        // Each turn is one inbox; an interrupt that is routed round in circles is with a running vCPU by then.
        for _ in 0..VcpuId::MAX.saturating_mul(2) {
            if self.shares() {
                self.see_stayed(core::mem::replace(&mut moved.stay, 0));
            }
            for v in members(moved.kick).filter_map(|id| self.slot(id)) {
                self.kick(v);
            }
            moved.kick = 0;
            let Some(v) = members(moved.to).next().and_then(|id| self.slot(id)) else {
                return;
            };
            let late = moved.late & moved.to & moved.to.wrapping_neg() != 0;
            moved.to &= moved.to.wrapping_sub(1);
            moved.late &= moved.to;
            // As many lots as there can be.
            for _ in 0..LOTS {
                let more = self.locked(v, &mut moved, |lists, moved| {
                    self.drain(v, lists, moved);
                    lists.unsorted() != 0
                });
                if !more || !late {
                    break;
                }
            }
        }
    }

    /// Gives a node that has just been unlinked from `v`'s inbox, ready lists or list registers the place
    /// that its state calls for. With `v`'s lock held.
    ///
    /// Says no, and leaves it where it is, for one in a list register of which nothing is left but an active physical interrupt
    /// ([`State::orphaned`]): that has to be deactivated. On entry loading it does that, and [`Domain::visit`] does it itself.
    pub(crate) fn rehome(
        &self,
        v: &Vcpu<H::Vcpu>,
        intid: u16,
        irq: &Irq,
        lists: &mut Lists,
        moved: &mut Moved,
    ) -> bool {
        let done = irq.update(|s| {
            let s = if !s.is_at(Place::Lr, v.id()) {
                s
            } else if s.orphaned() {
                return None;
            } else {
                s.unload()
            };
            let (s, stays) = self.pass_on(v, s);
            let s = s.rehome(v.id());
            let waits = s.is_at(Place::Ready, v.id()) && self.is_withheld(v, intid);
            Some((if waits { s.idle() } else { s }, stays))
        });
        let Some((_, new, stays)) = done else {
            return false;
        };
        moved.stay |= stays;
        match new.place() {
            (Place::Ready, _) => lists.append(intid, irq, new, |n| self.node(v, n)),
            (Place::Inbox, Some(target)) => {
                if let Some(to) = self.slot(target) {
                    let bit = takers::bit(target);
                    moved.to |= bit;
                    if self.push(to, intid, irq, new.priority5()) {
                        moved.kick |= bit;
                    }
                    // As after any push: see [`Domain::carry_out`].
                    fence(Ordering::SeqCst);
                    if irq.state().misplaced() {
                        moved.late |= bit;
                    }
                }
            }
            _ => {}
        }
        true
    }

    /// Sees to an interrupt that may be on a list where it does not belong: routed elsewhere, or of another
    /// priority or group; or in a list register with nothing left of it but an active physical interrupt.
    ///
    /// For the last it takes the lock of the physical interrupt. An injection may come here with that held, but never to find one
    /// of those: what was pending by it is cleared under the same lock.
    pub(crate) fn visit(&self, intid: IntId, irq: &Irq) {
        // Pairs with the fence after a push: either we find the node in the inbox, or its pusher finds what we changed.
        fence(Ordering::SeqCst);
        // Another may move it on while we look; each turn goes to the holder that it then has. Who moves it sees
        // to it that it ends in the right place, so a few turns are enough.
        for _ in 0..4 {
            let Some(holder) = irq.state().place().1.and_then(|id| self.slot(id)) else {
                return;
            };
            self.dig_out(holder, intid, irq, LOTS);
            let left = self.with_lists(holder, |lists, moved| {
                self.revisit(holder, intid.raw16(), irq, lists, moved)
            });
            match left {
                Left::Exit => self.kick(holder),
                Left::Orphan => self.let_go(irq),
                Left::Nothing if irq.state().misplaced() => continue,
                Left::Nothing => {}
            }
            return;
        }
    }

    /// The part of [`Domain::visit`] under the holder's lock.
    fn revisit(
        &self,
        v: &Vcpu<H::Vcpu>,
        intid: u16,
        irq: &Irq,
        lists: &mut Lists,
        moved: &mut Moved,
    ) -> Left {
        let state = irq.state();
        if state.is_at(Place::Ready, v.id()) {
            if state.misplaced() || !state.deliverable() || !Lists::is_sorted(irq, state) {
                lists.remove(irq, |n| self.node(v, n));
                self.rehome(v, intid, irq, lists, moved);
                // With its new priority or group it may be the one to be signalled now.
                let now = irq.state();
                if now.is_at(Place::Ready, v.id()) && now.ready() {
                    return self.exit_for(v, Flags::LOOK);
                }
            }
            return Left::Nothing;
        }
        let orphaned = state.orphaned() && !state.own();
        if !state.is_at(Place::Lr, v.id()) || !(state.misplaced() || orphaned) {
            return Left::Nothing;
        }
        // First the flag, then the epoch: either the owner sees the flag, on its way into the guest or out of it, or we see it
        // in the guest.
        v.raise(Flags::LOOK);
        if v.is_in_guest() {
            return self.exit_for(v, Flags::empty());
        }
        // Only from here on it stays there: the owner may just have left the guest, and folded it.
        if !irq.state().is_at(Place::Lr, v.id()) {
            return Left::Nothing;
        }
        let mut left = Left::Nothing;
        // What refuses is an orphan, unless it has just ceased to be one.
        while !self.rehome(v, intid, irq, lists, moved) {
            let out = |s: State| s.orphaned().then(|| (s.unload().idle(), ()));
            if irq.update(out).is_some() {
                left = Left::Orphan;
                break;
            }
        }
        // The hardware keeps what it had; the vCPU's next entry writes over it before the guest runs.
        self.empty_slot_of(v, intid);
        left
    }

    /// The vCPU is to leave the guest, if nobody has asked for that already.
    fn exit_for(&self, v: &Vcpu<H::Vcpu>, flags: Flags) -> Left {
        if self.must_kick(v, flags) {
            Left::Exit
        } else {
            Left::Nothing
        }
    }
}
