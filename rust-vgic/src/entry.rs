// SPDX-License-Identifier: GPL-2.0-only
//! List registers on entry to the guest: which interrupt gets one, and what it has to show.
//!
//! An interrupt stays in its list register from entry to entry. What the hardware contains is remembered,
//! so that an entry writes only what differs and an exit on which the guest did nothing to its interrupts reads and no more.

use crate::domain::Domain;
use crate::host::{CpuInterface, Host};
use crate::irq::{Effect, Irq, LrView, NIL, Place, State};
use crate::list::{Class, Lists};
use crate::lr::{Groups, Hcr, Vmcr};
use crate::routing::is_shared;
use crate::slots::{bit, bits};
use crate::sync::{AtomicU16, Ordering};
use crate::vcpu::{Flags, Slot, Vcpu};
use core::hint::cold_path;

/// How often an entry begins anew because a line has fallen: more often than there are list registers, for which something else may wait.
const TURNS: usize = 2 * crate::lr::MAX;

/// For the compiler, which arranges the code for `false`.
#[inline(always)]
fn unlikely(what: bool) -> bool {
    if what {
        cold_path();
    }
    what
}

impl<H: Host> Domain<H> {
    /// The lines of hardware-mapped levels that wait in list registers of `v`, which is about to be entered, may have fallen: then nothing
    /// is pending any more, and the list register is to be loaded again. Says whether any has.
    #[inline(always)]
    fn withdraw(&self, v: &Vcpu<H::Vcpu>, slots: u32) -> bool {
        slots != 0 && self.withdraw_some(v, slots)
    }

    #[inline(never)]
    fn withdraw_some(&self, v: &Vcpu<H::Vcpu>, slots: u32) -> bool {
        let mut any = false;
        for n in bits(slots) {
            if self.occupant(v, n).is_some_and(|(_, intid, irq)| {
                let s = irq.state();
                s.hangs_on_line()
                    && self.has_fallen(v, intid, irq, s)
                    && self.withdraw_fallen(irq, |s| s.is_at(Place::Lr, v.id()))
            }) {
                v.add_stale(bit(n));
                any = true;
            }
        }
        any
    }

    /// The guest of `v` is about to be entered on this CPU, whose interrupts are masked.
    #[inline]
    pub fn sync_to(&self, v: &Vcpu<H::Vcpu>) {
        if !v.enters_idle() {
            self.enter_busy(v);
        }
    }

    /// Something has come, or something is to be looked at.
    #[inline(never)]
    fn enter_busy(&self, v: &Vcpu<H::Vcpu>) {
        let flags = Flags::from_bits_retain(v.flags.load(Ordering::Relaxed));
        let came = flags.came();
        let one = came & came.wrapping_sub(1) == 0;
        if one && self.harmless(v).contains(flags.difference(Flags::CAME)) {
            if flags == Flags::FELL {
                // Equals the general way: the line that fell was of an interrupt which the guest has ended.
                let flags = v.flags.fetch_and(!Flags::FELL.bits(), Ordering::AcqRel);
                if flags == Flags::FELL.bits() {
                    return;
                }
            } else if self.load_alone(v, flags) {
                return;
            }
        }
        self.prepare_entry(v);
    }

    /// Flags for which nothing has to be looked at that is in a list register.
    fn harmless(&self, v: &Vcpu<H::Vcpu>) -> Flags {
        if v.used.load(Ordering::Relaxed) == 0 {
            Flags::KICKED | Flags::FELL
        } else {
            Flags::KICKED
        }
    }

    /// Nothing has changed but that an interrupt of this priority has come, alone, and nothing else waits: it goes straight into a free list
    /// register, and the others stay as they are. Equals [`Domain::prepare_entry`] whenever it says yes; no means to do that.
    #[inline(always)]
    fn load_alone(&self, v: &Vcpu<H::Vcpu>, seen: Flags) -> bool {
        let priority5 = seen.came().trailing_zeros() as u8;
        let Some(inbox) = v.inboxes.get(usize::from(priority5)) else {
            return false;
        };
        let intid = inbox.load(Ordering::Relaxed);
        let (Some(n), Some(irq)) = (self.free_slot(v), self.node(v, intid)) else {
            return false;
        };
        let Some(slot) = v.slots.get(n) else {
            return false;
        };
        let cpu = self.host.cpu();
        let vmcr = self.read_vmcr(v, &cpu);
        let on = self.group_enables() & vmcr.groups;
        if unlikely(
            v.hcr.load(Ordering::Relaxed) != self.idle_hcr.bits()
                || (vmcr.split_eoi && self.needs_tc())
                || v.stale.load(Ordering::Relaxed) != 0,
        ) {
            return false;
        }
        // First the flags, then what they are about; what is more than a kick is for the other way.
        let flags = Flags::from_bits_retain(v.flags.swap(0, Ordering::AcqRel));
        let taken = if unlikely(flags != seen) {
            None
        } else {
            self.take_alone(v, (inbox, priority5), intid, irq, on)
        };
        let Some(s) = taken else {
            v.raise(flags);
            return false;
        };
        self.use_slot(v, n, slot, (intid, s));
        let mut view = s.view_inactive();
        // A level that hangs on its line may have waited for long.
        if s.phys_lr()
            && s.level()
            && unlikely(self.has_fallen(v, intid, irq, s))
            && self.withdraw(v, bit(n))
        {
            view = LrView::default();
        }
        let lr = self.encode(v, n, (intid, irq), s, view);
        Self::write_slot(slot, n, &cpu, lr);
        cpu.sync_written();
        // HCR is idle, as it was.
        v.loaded
            .store(v.used.load(Ordering::Relaxed), Ordering::Relaxed);
        true
    }

    /// Takes an interrupt out of the inbox, if it is alone there and everywhere, and loads it: it is in a list register from now on.
    /// Equals [`Domain::drain`], [`Domain::fill_slots`] and [`State::load`] then; no leaves it for them, as it does what is active.
    #[inline(always)]
    fn take_alone(
        &self,
        v: &Vcpu<H::Vcpu>,
        (inbox, priority5): (&AtomicU16, u8),
        intid: u16,
        irq: &Irq,
        on: Groups,
    ) -> Option<State> {
        let _masked = self.mask();
        let mut lists = v.lock.lock();
        // Equals `lists.any()`.
        if unlikely(v.backlog.load(Ordering::Relaxed) != 0) {
            return None;
        }
        let taken = inbox.compare_exchange(intid, NIL, Ordering::AcqRel, Ordering::Relaxed);
        if unlikely(taken.is_err()) {
            return None;
        }
        // Only now its link is what it was when it was pushed.
        let alone = irq.next.load(Ordering::Relaxed) == NIL;
        let loaded = irq.update(|s| {
            if !alone || !s.ready() || !on.has(s.group1()) || !s.is_for(v.id()) {
                return None;
            }
            if unlikely(self.is_withheld(v, intid)) {
                return None;
            }
            let loaded = s.placed(Place::Lr, v.id()).load_inactive()?;
            Some((loaded, ()))
        });
        if loaded.is_none() {
            lists.set_rest(priority5, intid);
            v.backlog.store(1, Ordering::Relaxed);
        }
        loaded.map(|(_, s, ())| s)
    }

    /// Looks at everything: what has come, what is in list registers, what waits for one.
    #[inline(never)]
    fn prepare_entry(&self, v: &Vcpu<H::Vcpu>) {
        let flags = Flags::from_bits_retain(v.flags.load(Ordering::Relaxed));
        if flags.intersects(Flags::LINES | Flags::LOOK) {
            self.withdraw(v, v.used_physical());
        }
        // Each turn but the last has found that a line has fallen for which there was a list register: something else may have that. Or that
        // something was asked of it: perhaps by itself, when it passed on what it cannot take. Who is on the way into the guest cannot kick
        // itself, and nobody else would, since one has.
        for _ in 0..TURNS {
            let filled = self.fill(v);
            let fell = self.withdraw(v, filled & v.used_physical());
            let asked = v.flags.load(Ordering::Relaxed) & Flags::KICKED.bits() != 0;
            if !fell && !asked {
                return;
            }
        }
        // Lines that rise and fall as fast as we look: the guest may take one that is down, and the next entry looks again.
        v.raise(Flags::LINES);
    }

    /// One turn of it. Which list registers have got an interrupt.
    fn fill(&self, v: &Vcpu<H::Vcpu>) -> u32 {
        let cpu = self.host.cpu();
        // Before the flags are taken: it may raise some.
        let asked = Flags::from_bits_retain(v.flags.load(Ordering::Acquire));
        if asked.intersects(Flags::RESET | Flags::RESUME) {
            self.reset_cpu_interface(v, &cpu);
        }
        if asked.contains(Flags::RESET) {
            self.end_private_actives(v);
        }
        // So may this.
        if self.shares() {
            self.share_in(v, &cpu);
        }
        // First the flags, then what they are about.
        let flags = Flags::from_bits_retain(v.flags.swap(0, Ordering::AcqRel));
        if flags.contains(Flags::SWEEP) {
            // It has come since.
            v.begin_sweep(self.spis_and_espis());
            v.raise(Flags::DIRTY);
        }
        if flags.contains(Flags::ORPHAN) {
            self.follow_own_lines(v);
        }
        let vmcr = self.read_vmcr(v, &cpu);
        if self.needs_tc() {
            self.see_eoimode(v, vmcr);
        }
        // Slots whose physical interrupt is to be deactivated once the lock is released.
        let mut deactivate = 0;
        let mut filled = 0;
        self.with_lists(v, |lists, moved| {
            if flags.intersects(Flags::LOOK | Flags::FELL) {
                v.set_stale(v.used.load(Ordering::Relaxed));
            }
            self.drain_some(v, flags.came(), lists, moved);
            let groups = self.group_enables();
            let on = groups & vmcr.groups;
            self.empty_slots(v, on, lists, moved);
            if lists.any() {
                filled = self.fill_slots(v, on, lists, moved);
            }
            deactivate = self.write_slots(v, &cpu, on, lists);
            let hcr = self.hcr(v, lists, groups, vmcr).bits();
            if v.hcr.load(Ordering::Relaxed) != hcr {
                cpu.write_hcr(hcr);
                v.hcr.store(hcr, Ordering::Relaxed);
            }
            v.set_loaded(self.idle_hcr);
        });
        cpu.sync_written();
        for n in bits(deactivate) {
            // It is this CPU that owns them now: what is in them is what was loaded.
            if let Some((_, _, irq)) = self.occupant(v, n) {
                self.deactivate(irq);
            }
        }
        filled
    }

    /// Computes what each list register has to hold while these groups are on and this waits outside, and writes those that differ.
    /// The slots whose physical interrupt has to be deactivated, as a bit each.
    fn write_slots(
        &self,
        v: &Vcpu<H::Vcpu>,
        cpu: &impl CpuInterface,
        on: Groups,
        lists: &Lists,
    ) -> u32 {
        let mut deactivate = 0;
        let twice = v.twice.load(Ordering::Relaxed);
        if twice != 0 && lists.backlog() {
            v.set_stale(twice);
        }
        let stale = v.stale.load(Ordering::Relaxed);
        v.stale.store(0, Ordering::Relaxed);
        for n in bits(stale) {
            let Some(slot) = v.slots.get(n) else {
                continue;
            };
            let Some((_, intid, irq)) = self.occupant(v, n) else {
                Self::write_slot(slot, n, cpu, 0);
                continue;
            };
            let lr = match irq.update(|s| Some((s.load_inactive()?, ()))) {
                Some((_, s, ())) => self.encode(v, n, (intid, irq), s, s.view_inactive()),
                None => self.load_other(v, n, (intid, irq), (on, lists), &mut deactivate),
            };
            Self::write_slot(slot, n, cpu, lr);
        }
        deactivate
    }

    /// The same for one that is not loaded as most are.
    #[inline(never)]
    fn load_other(
        &self,
        v: &Vcpu<H::Vcpu>,
        n: usize,
        (intid, irq): (u16, &Irq),
        (on, lists): (Groups, &Lists),
        deactivate: &mut u32,
    ) -> u64 {
        let loaded = irq.update(|s| {
            let urgent = |waits| s.priority5() <= waits;
            // Who gets it next is decided when it has ended, if several may.
            let here = s.active() && on.has(s.group1()) && !is_shared(s);
            let foremost = here && lists.most_urgent(on).is_none_or(urgent);
            let (s, view, effect) = s.load(foremost);
            Some((s, (view, effect)))
        });
        let Some((_, s, (view, effect))) = loaded else {
            return 0;
        };
        if effect.contains(Effect::DEACTIVATE) {
            *deactivate |= bit(n);
        }
        self.encode(v, n, (intid, irq), s, view)
    }

    /// What a list register has to hold for an interrupt that has been loaded into it.
    #[inline(always)]
    fn encode(
        &self,
        v: &Vcpu<H::Vcpu>,
        n: usize,
        (intid, irq): (u16, &Irq),
        s: State,
        view: LrView,
    ) -> u64 {
        if !view.pending && !view.active {
            // Its last reason to be here went while it was being loaded: the next entry takes it out.
            v.raise(Flags::DIRTY);
            v.set_stale(bit(n));
        }
        let phys = irq.phys.load(Ordering::Relaxed);
        let (group1, priority5) = if view.active {
            let twice = v.twice.load(Ordering::Relaxed) & !bit(n);
            let this = if view.pending { bit(n) } else { 0 };
            v.twice.store(twice | this, Ordering::Relaxed);
            s.standing()
        } else {
            (s.group1(), s.priority5())
        };
        self.format.encode(intid, phys, priority5, group1, view)
    }

    /// Writes a list register, if it is to change.
    #[inline]
    fn write_slot(slot: &Slot, n: usize, cpu: &impl CpuInterface, lr: u64) {
        if lr != slot.shadow.load(Ordering::Relaxed) {
            cpu.write_lr(n, lr);
            slot.shadow.store(lr, Ordering::Relaxed);
        }
    }

    /// Which maintenance interrupts are needed for what waits outside of the list registers, and which traps.
    fn hcr(&self, v: &Vcpu<H::Vcpu>, lists: &Lists, groups: Groups, vmcr: Vmcr) -> Hcr {
        let flags = Flags::from_bits_retain(v.flags.load(Ordering::Relaxed));
        let dirty = flags.contains(Flags::DIRTY);
        let mut hcr = self.traps(v);
        if self.shares() {
            hcr |= self.share_hcr(v, vmcr);
        } else if !lists.any() && !dirty {
            return hcr;
        }
        if lists.map(Class::Active) != 0 {
            hcr |= Hcr::LRENPIE;
        }
        if !lists.backlog() && !dirty {
            return hcr;
        }
        let classes = [
            (Class::Group0, Groups::ZERO, Hcr::VGRP0EIE, Hcr::VGRP0DIE),
            (Class::Group1, Groups::ONE, Hcr::VGRP1EIE, Hcr::VGRP1DIE),
        ];
        let at_once = flags.contains(Flags::AT_ONCE);
        let mut waits = lists.unsorted() != 0 || dirty;
        for (class, group, enable, disable) in classes {
            let distributor = groups.contains(group);
            let interface = vmcr.groups.contains(group);
            if interface {
                // Its list registers can be used for something else once the guest disables it.
                hcr |= disable;
            }
            if at_once {
                // It is the one or the other.
                hcr |= enable | disable;
            }
            if lists.map(class) != 0 && distributor {
                if interface {
                    waits = true;
                } else {
                    hcr |= enable;
                }
            }
        }
        if waits {
            hcr |= Hcr::NPIE;
        }
        hcr
    }
}

#[cfg(test)]
mod maintenance_tests;
#[cfg(test)]
mod shortcut_tests;
#[cfg(test)]
mod tests;
