// SPDX-License-Identifier: GPL-2.0-only
//! Where an SPI goes: GICD_ITARGETSR (IHI 0048B, 4.3.12), GICD_IROUTER (IHI 0069, 12.9), and the 1 of N model
//! (IHI 0069, 3.2.3): of several vCPUs that may take an interrupt, one does.
//!
//! TARGET in the word is a single vCPU at any time. That several may take the interrupt is in the word as well (`is_shared`),
//! and who of them gets it is decided with the change that makes it pending, in one compare-exchange (`Domain::post_on`): a
//! route that is written meanwhile makes that one begin again. The one chosen is the first that can take it: that is switched on,
//! whose redistributor is awake, and whose CPU interface has the group enabled.
//!
//! # What is known, and when it is wrong
//!
//! The CPU interface is not trapped: what it is set to is what its vCPU's last entry with something to do has found, and
//! nothing before the first (`takers`). So an interrupt may go to a vCPU that cannot take it, and it is decided once more
//!
//! * when that vCPU sorts its inbox, or a list register loses the interrupt: `Domain::pass_on`;
//! * when something is found out that makes a difference for what is there already: a vCPU can take no longer, or can
//!   take now. Then somebody goes through all SPIs (`Domain::sweep`), a part of them on each of its entries.
//!
//! As long as nobody is known to be able to take an interrupt it waits where it is. When that happens for the first time, all vCPUs
//! are asked to look. From then on each of them has a maintenance interrupt tell when its guest enables the group, as
//! they always have it tell when it is disabled. So in a domain with such interrupts each exit reads a little more.
//!
//! A vCPU that is switched off is found by who would choose it. A host that says so ([`Domain::cpu_off`]) has what is pending there moved
//! at once. That it is on again is seen on its next entry.

use crate::config::Version;
use crate::delivery::members;
use crate::domain::Domain;
use crate::host::{CpuInterface, Host};
use crate::intid::{IntId, VcpuId};
use crate::irq::{Effect, Event, Irq, Place, State, Target};
use crate::lr::{Hcr, Vmcr};
use crate::sync::{Ordering, fence};
use crate::takers::{bit, group_bit};
use crate::vcpu::{Flags, Vcpu};

/// GICD_IROUTER.Interrupt_Routing_Mode: any vCPU.
pub(crate) const IRM: u64 = 1 << 31;

/// GICD_IROUTER: the bits that are there, Aff3, IRM, Aff2, Aff1 and Aff0.
pub(crate) const ROUTER: u64 = 0xff_00ff_ffff | IRM;

/// [`State::itargets`] of an interrupt that any vCPU of a GICv3 may take.
pub(crate) const ANY: u8 = 0xff;

/// Interrupts that are looked at on an entry, and those of them that are moved: bounds the time with interrupts masked.
const LOOKS: u32 = 256;
const MOVES: u32 = 16;

/// The same in a trap, with interrupts on between.
const MOVES_IN_TRAP: u32 = 256;

/// How much stands between a vCPU and an interrupt of a group, the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Obstacle {
    None,
    /// The group is disabled at its CPU interface, or was never seen enabled.
    Group,
    /// Its redistributor sleeps.
    Asleep,
    /// It is switched off.
    Off,
}

/// May several vCPUs take this interrupt?
pub(crate) fn is_shared(s: State) -> bool {
    !s.sgi() && s.itargets().count_ones() > 1
}

/// The same where that makes a difference: it is to be signalled, and to none in particular yet.
fn is_to_be_had(s: State) -> bool {
    is_shared(s) && s.ready() && !s.active()
}

impl<H: Host> Domain<H> {
    /// Is there, or was there, an interrupt that several may take?
    pub(crate) fn shares(&self) -> bool {
        self.one_of_n.load(Ordering::Relaxed) != 0
    }

    /// There is one, as of what `cur` writes, which is current. From now on exits look at the CPU interface.
    ///
    /// What is known from entries before counts no longer: the guest of a vCPU that does not run may have changed it since.
    pub(crate) fn share(&self, cur: &Vcpu<H::Vcpu>) {
        if self.shares() || self.one_of_n.swap(1, Ordering::AcqRel) != 0 {
            return;
        }
        self.takers.forget_groups();
        // Only now: who has entered in between is asked to say it again.
        self.ask_all(Flags::LOOK | Flags::SWEEP);
        self.read_vmcr(cur, &self.host.cpu());
        self.tell_groups(cur);
    }

    fn ask_all(&self, flags: Flags) {
        for v in self.created() {
            v.raise(flags | Flags::KICKED);
            self.kick(v);
        }
    }

    /// Where this value of GICD_IROUTER, which names a vCPU, sends an interrupt: nowhere, if there is none with the affinity.
    pub(crate) fn route(&self, router: u64) -> Target {
        let affinity = router as u32 & 0xff_ffff | (router >> 8) as u32 & 0xff00_0000;
        VcpuId::from_affinity(affinity).filter(|id| self.vcpu(*id).is_some())
    }

    /// GICD_ITARGETSR is written, or GICD_IROUTER so that any vCPU may take the interrupt.
    pub(crate) fn targeted(&self, s: State, byte: u8) -> (State, Effect) {
        let target = if byte.count_ones() > 1 {
            self.pick(s.with_itargets(byte), s.group1()).0
        } else {
            VcpuId::new(byte.trailing_zeros()).filter(|_| byte != 0)
        };
        s.apply(Event::Targets(byte, target))
    }

    /// What follows from a new route.
    pub(crate) fn routed(&self, intid: IntId, irq: &Irq, new: State, effect: Effect) {
        self.carry_out(intid, irq, new, effect);
        self.route_physical(irq);
        if self.shares() {
            self.see_taken(intid, irq);
        }
    }

    /// Those that may take an interrupt.
    fn candidates(&self, s: State) -> u128 {
        match self.version {
            Version::V2 => s.itargets().into(),
            Version::V3 => u128::MAX,
        }
    }

    /// Of those that may take the interrupt, the one that has the least against it; of several the one that it is with,
    /// else the lowest. And how much that is.
    fn pick(&self, s: State, group1: bool) -> (Target, Obstacle) {
        let candidates = self.candidates(s);
        let here = s.target().filter(|id| candidates & bit(*id) != 0);
        let now = here
            .filter(|_| !s.is_idle())
            .map(|id| (self.obstacle(id, group1), id));
        if let Some((Obstacle::None, id)) = now {
            return (Some(id), Obstacle::None);
        }
        match (now, self.best_of(candidates, group1)) {
            (Some((obstacle, id)), Some((least, _))) if obstacle <= least => (Some(id), obstacle),
            (_, Some((least, id))) => (Some(id), least),
            (_, None) => (here, Obstacle::Off),
        }
    }

    /// The lowest of those that have the least against it.
    fn best_of(&self, candidates: u128, group1: bool) -> Option<(Obstacle, VcpuId)> {
        let takers = &self.takers;
        let there = candidates & !takers.off.load();
        let awake = there & takers.awake.load();
        let takes = awake & takers.group(group1).load();
        let lots = [
            (takes, Obstacle::None),
            (awake & !takes, Obstacle::Group),
            (there & !awake, Obstacle::Asleep),
        ];
        for (lot, obstacle) in lots {
            if let Some(id) = self.first_on(lot) {
                return Some((obstacle, id));
            }
        }
        let mut created = members(candidates).filter(|id| self.vcpu(*id).is_some());
        Some((Obstacle::Off, created.next()?))
    }

    /// The lowest that is switched on. Those found switched off are not asked again.
    fn first_on(&self, set: u128) -> Option<VcpuId> {
        let mut there = members(set).take_while(|id| id.index() < self.vcpus.len());
        there.find(|id| self.is_on(*id))
    }

    fn is_on(&self, id: VcpuId) -> bool {
        let Some((v, handle)) = self.slot(id).and_then(|v| Some((v, v.handle()?))) else {
            return false;
        };
        let on = self.host.is_online(handle);
        if !on && !self.takers.off.has(id) {
            self.takers.found_off(id);
            // Its next entry says that it is on again. It may be in the guest since: then we see that.
            v.raise(Flags::LOOK);
            fence(Ordering::SeqCst);
            if self.host.is_online(handle) {
                self.takers.off.put(id, false);
            }
        }
        on
    }

    /// What keeps a vCPU from taking an interrupt of this group.
    fn obstacle(&self, id: VcpuId, group1: bool) -> Obstacle {
        let takers = &self.takers;
        if !self.is_on(id) || takers.off.has(id) {
            Obstacle::Off
        } else if !takers.awake.has(id) {
            Obstacle::Asleep
        } else if !takers.group(group1).has(id) {
            Obstacle::Group
        } else {
            Obstacle::None
        }
    }

    /// Applies an event. If the interrupt is to be signalled then and several may take it, who does is decided with it.
    pub(crate) fn post_on(&self, irq: &Irq, event: Event) -> (State, State, Effect) {
        if !self.shares() {
            return irq.post(event);
        }
        self.post_shared(irq, event)
    }

    /// The same in a domain with such interrupts.
    pub(crate) fn post_shared(&self, irq: &Irq, event: Event) -> (State, State, Effect) {
        let done = irq.update(|s| Some(self.choosing(s, event)));
        done.unwrap_or_else(|| (irq.state(), irq.state(), Effect::empty()))
    }

    fn choosing(&self, s: State, event: Event) -> (State, Effect) {
        let plain = s.apply(event);
        if !is_to_be_had(plain.0) {
            return plain;
        }
        let (target, _) = self.pick(s.with_itargets(plain.0.itargets()), plain.0.group1());
        if target == s.target() {
            return plain;
        }
        let (routed, first) = s.apply(Event::Route(target));
        let (new, then) = routed.apply(event);
        (new, first | then)
    }

    /// What follows in a domain with interrupts that several may take, once what a transition has left to do is done.
    pub(crate) fn see_chosen(&self, intid: IntId, irq: &Irq, old: State, new: State) {
        if old.target() != new.target() {
            self.route_physical(irq);
        }
        self.see_taken(intid, irq);
    }

    /// The vCPU of an interrupt that has become pending, or has been routed, may be able to take it no longer; if nobody can, all are
    /// to look.
    fn see_taken(&self, intid: IntId, irq: &Irq) {
        let mut asked = false;
        self.see_found();
        // Each turn has found out something new of a vCPU.
        for _ in 0..VcpuId::MAX {
            // Pairs with that of who finds out that a vCPU can take it: either we see that, or it sees the word.
            fence(Ordering::SeqCst);
            let s = irq.state();
            let takes = |id| self.obstacle(id, s.group1()) == Obstacle::None;
            if !is_to_be_had(s) || s.target().is_some_and(takes) {
                return;
            }
            if self.choose_again(intid, irq) {
                continue;
            }
            if asked {
                return;
            }
            asked = true;
            self.want(s.group1());
        }
    }

    /// Nobody can take an interrupt of this group.
    fn want(&self, group1: bool) {
        if !self.takers.is_wanted(group1) && self.takers.want(group1) {
            self.ask_all(Flags::LOOK | Flags::SWEEP);
        }
    }

    /// What [`Domain::pass_on`] has said of some interrupts, and what was found out while they were looked at. Without a lock.
    pub(crate) fn see_stayed(&self, groups: u32) {
        self.see_found();
        for group1 in [false, true] {
            if groups & group_bit(group1) != 0 {
                self.want(group1);
            }
        }
    }

    /// Decides once more. Says whether that made a difference.
    fn choose_again(&self, intid: IntId, irq: &Irq) -> bool {
        let done = irq.update(|s| {
            let (target, _) = self.pick(s, s.group1());
            let moves = is_to_be_had(s) && target != s.target();
            moves.then(|| s.apply(Event::Route(target)))
        });
        let Some((_, new, effect)) = done else {
            return false;
        };
        self.carry_out(intid, irq, new, effect);
        self.route_physical(irq);
        true
    }

    /// The interrupt is about to wait for `v`, which may not be able to take it: then it is passed on to one that can. If it
    /// stays because nobody can, its group as a bit.
    #[inline]
    pub(crate) fn pass_on(&self, v: &Vcpu<H::Vcpu>, s: State) -> (State, u32) {
        if !self.shares() || !is_to_be_had(s) || !s.is_for(v.id()) {
            return (s, 0);
        }
        let (target, obstacle) = self.pick(s, s.group1());
        let stays = obstacle != Obstacle::None;
        let group = if stays { group_bit(s.group1()) } else { 0 };
        (s.with_target(target), group)
    }

    /// VMCR of `v`, which is current, has changed.
    #[cold]
    pub(crate) fn vmcr_changed(&self, v: &Vcpu<H::Vcpu>, raw: u32) {
        v.vmcr.store(raw, Ordering::Relaxed);
        if self.tell_groups(v) && self.shares() {
            v.begin_sweep(self.spis_and_espis());
            v.raise(Flags::DIRTY);
        }
    }

    /// Which groups `v`, which is current, takes, by its VMCR as it was just read. Says whether that is news.
    fn tell_groups(&self, v: &Vcpu<H::Vcpu>) -> bool {
        let on = self.format.vmcr(v.vmcr.load(Ordering::Relaxed)).groups;
        let mut news = false;
        for group1 in [false, true] {
            let group = self.takers.group(group1);
            if group.has(v.id()) != on.has(group1) {
                group.put(v.id(), on.has(group1));
                news = true;
            }
        }
        news
    }

    /// On the way into the guest, before the flags are taken: `v`, which is current, is switched on, and has a part in what is to
    /// be gone through.
    #[inline(never)]
    pub(crate) fn share_in(&self, v: &Vcpu<H::Vcpu>, cpu: &impl CpuInterface) {
        self.read_vmcr(v, cpu);
        let flags = Flags::from_bits_retain(v.flags.load(Ordering::Relaxed));
        if flags.contains(Flags::SWEEP) {
            v.flags.fetch_and(!Flags::SWEEP.bits(), Ordering::AcqRel);
            self.tell_groups(v);
            v.begin_sweep(self.spis_and_espis());
        }
        if self.takers.off.has(v.id()) {
            self.takers.off.put(v.id(), false);
            v.begin_sweep(self.spis_and_espis());
        }
        self.sweep(v, LOOKS, MOVES);
    }

    /// The maintenance interrupts that tell what the guest does to its CPU interface, and have it come back as long as there is
    /// something to go through.
    pub(crate) fn share_hcr(&self, v: &Vcpu<H::Vcpu>, vmcr: Vmcr) -> Hcr {
        let more = if v.swept().1 == 0 {
            Hcr::empty()
        } else {
            Hcr::NPIE
        };
        let groups = [
            (false, Hcr::VGRP0EIE, Hcr::VGRP0DIE),
            (true, Hcr::VGRP1EIE, Hcr::VGRP1DIE),
        ];
        groups
            .into_iter()
            .fold(more, |hcr, (group1, enable, disable)| {
                if vmcr.groups.has(group1) {
                    hcr | disable
                } else if self.takers.is_wanted(group1) {
                    hcr | enable
                } else {
                    hcr
                }
            })
    }

    /// The redistributor of `owner` wakes, or goes to sleep.
    pub(crate) fn woke(&self, cur: &Vcpu<H::Vcpu>, owner: &Vcpu<H::Vcpu>) {
        // Whoever writes this last has seen what was written to the register last.
        loop {
            let asleep = owner.redist.is_asleep();
            self.takers.awake.put(owner.id(), !asleep);
            fence(Ordering::SeqCst);
            if owner.redist.is_asleep() == asleep {
                break;
            }
        }
        if self.shares() {
            cur.begin_sweep(self.spis_and_espis());
            self.sweep(cur, self.spis_and_espis(), MOVES_IN_TRAP);
        }
    }

    /// The host has switched `v` off (PSCI CPU_OFF): [`Host::is_online`] says no. What others may take as well goes to them.
    ///
    /// Process context, on the CPU that ran `v`. A host need not say so; then what is pending at `v` waits until somebody else finds out.
    pub fn cpu_off(&self, v: &Vcpu<H::Vcpu>) {
        if !self.shares() || self.is_on(v.id()) {
            return;
        }
        // Here and now, as far as one trap goes: whoever else is asked may itself not run for long. What was found before is seen to with it.
        self.takers.take_found();
        let total = self.spis_and_espis();
        v.begin_sweep(total);
        self.sweep(v, total, MOVES_IN_TRAP);
        if v.swept().1 != 0 {
            self.ask_all(Flags::LOOK | Flags::SWEEP);
        }
    }

    /// Somebody may have been found switched off: another one goes through what is pending there. Without a lock.
    fn see_found(&self) {
        if !self.takers.take_found() {
            return;
        }
        let there = !self.takers.off.load();
        if let Some(v) = self.first_on(there).and_then(|id| self.slot(id)) {
            v.raise(Flags::SWEEP | Flags::KICKED);
            self.kick(v);
        }
    }

    /// SPIs and extended SPIs.
    pub(crate) fn spis_and_espis(&self) -> u32 {
        self.spis.len().saturating_add(self.espis.len()) as u32
    }

    /// An SPI or extended SPI by its place in their tables.
    pub(crate) fn spi_at(&self, n: u32) -> Option<(IntId, &Irq)> {
        let spis = self.spis.len() as u32;
        let (irq, raw) = match n.checked_sub(spis) {
            None => (self.spis.get(n as usize)?, IntId::SPI.wrapping_add(n)),
            Some(n) => (self.espis.get(n as usize)?, IntId::ESPI.wrapping_add(n)),
        };
        Some((IntId::new(raw)?, irq))
    }

    /// Goes on through all SPIs, for `v`, on its own CPU: what somebody has who cannot take it goes to one that can.
    fn sweep(&self, v: &Vcpu<H::Vcpu>, looks: u32, moves: u32) {
        let total = self.spis_and_espis();
        let (mut next, mut left) = v.swept();
        if left == 0 {
            return;
        }
        let mut moves = moves;
        // Pairs with that of [`Domain::see_taken`].
        fence(Ordering::SeqCst);
        // Who was seen to be able to take a group.
        let mut able = None;
        // The groups of what stays because nobody can take it.
        let mut stay = 0;
        for _ in 0..looks {
            if left == 0 || moves == 0 {
                break;
            }
            next = if next < total { next } else { 0 };
            if let Some((intid, irq)) = self.spi_at(next) {
                let s = irq.state();
                let with = Some((s.raw_target(), s.group1()));
                let stuck = is_to_be_had(s) && able != with && {
                    let takes = |id| self.obstacle(id, s.group1()) == Obstacle::None;
                    let takes = s.target().is_some_and(takes);
                    able = if takes { with } else { able };
                    !takes
                };
                let better = stuck && self.pick(s, s.group1()).0 != s.target();
                if stuck && !better {
                    stay |= group_bit(s.group1());
                }
                if better {
                    // A lot of what else is in an inbox is sorted with it, and passed on.
                    if s.place().0 == Place::Inbox {
                        if !self.is_dug_out(irq) {
                            break;
                        }
                        moves = moves.saturating_sub(4);
                    }
                    if self.choose_again(intid, irq) {
                        moves = moves.saturating_sub(1);
                    }
                }
            }
            next = next.wrapping_add(1);
            left = left.wrapping_sub(1);
        }
        v.set_swept(next, left);
        self.see_stayed(stay);
        if left != 0 {
            v.raise(Flags::DIRTY);
        }
    }
}

#[cfg(test)]
mod tests;
