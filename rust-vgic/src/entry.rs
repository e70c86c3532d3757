// SPDX-License-Identifier: GPL-2.0-only
//! List registers: filled on entry to the guest, folded on exit from it.
//!
//! An interrupt stays in its list register from entry to entry. What the hardware contains is remembered,
//! so that an entry writes only what differs and an exit on which the guest did nothing to its interrupts reads and no more.

use crate::delivery::Moved;
use crate::domain::{Domain, Version};
use crate::host::{CpuInterface, Host, PhysIrq};
use crate::intid::IntId;
use crate::irq::{Effect, Event, Irq, NIL, Place, State};
use crate::list::{Class, Lists};
use crate::lr::{self, Hcr, Vmcr};
use crate::sync::{Ordering, fence};
use crate::vcpu::{Flags, Slot, Vcpu};

/// What was found while list registers were folded, and has to wait until that is done.
#[derive(Default)]
struct Later {
    resample: [u16; lr::MAX],
    resamples: usize,
    /// Slots whose interrupt is routed to another vCPU and was kept here only by being active.
    moves: u32,
}

/// Which slots hold an interrupt, as a bit each.
fn bits(mut map: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let n = map.trailing_zeros() as usize;
        map &= map.wrapping_sub(1);
        (n < 32).then_some(n)
    })
}

/// Is a group on at the distributor and at the CPU interface?
fn is_on(groups: [bool; 2], vmcr: Vmcr, group1: bool) -> bool {
    let [distributor, interface] =
        [groups, vmcr.groups].map(|[group0, one]| if group1 { one } else { group0 });
    distributor && interface
}

fn bit(n: usize) -> u32 {
    1_u32.wrapping_shl(n as u32)
}

impl<H: Host> Domain<H> {
    /// The guest of `v` has just been left, on the CPU that runs it: what it did to its list registers comes
    /// into the words. Not to be called twice without [`Domain::sync_to`] between.
    pub fn sync_from(&self, v: &Vcpu<H::Vcpu>) {
        let used = v.used.load(Ordering::Relaxed);
        let hcr = v.hcr.load(Ordering::Relaxed);
        if used == 0 && hcr == Hcr::EN.bits() {
            v.leave_guest();
            return;
        }
        let cpu = self.host.cpu();
        cpu.sync();
        let mut later = Later::default();
        let mut ended = 0;
        if hcr != Hcr::EN.bits() {
            ended = Hcr::eoi_count(cpu.read_hcr());
            // With EOImode 1 an EOI is no end, and each write to DIR was trapped.
            if ended != 0 && self.is_dir_trapped(hcr) && self.read_vmcr(v, &cpu).split_eoi {
                ended = 0;
            }
            // In this order: a maintenance interrupt between the two has the next entry write it once more.
            v.hcr.store(Hcr::EN.bits(), Ordering::Relaxed);
            cpu.write_hcr(Hcr::EN.bits());
            v.dirty.store(1, Ordering::Relaxed);
        }
        for (n, slot) in v
            .slots
            .iter()
            .enumerate()
            .filter(|(n, _)| used & bit(*n) != 0)
        {
            self.fold(v, n, slot, &cpu, &mut later);
        }
        v.leave_guest();
        if ended != 0 {
            self.ended_outside(v, ended);
        }
        for &intid in later.resample.iter().take(later.resamples) {
            self.resample(v, intid);
        }
        for n in bits(later.moves) {
            if let Some((_, intid, irq)) = self.occupant(v, n)
                && let Some(intid) = IntId::new(intid.into())
            {
                self.visit(intid, irq);
            }
        }
    }

    /// Reads one list register and brings its interrupt up to date.
    fn fold(
        &self,
        v: &Vcpu<H::Vcpu>,
        n: usize,
        slot: &Slot,
        cpu: &impl CpuInterface,
        later: &mut Later,
    ) {
        let seen = cpu.read_lr(n);
        let changed = seen != slot.shadow.load(Ordering::Relaxed);
        let intid = slot.intid.load(Ordering::Relaxed);
        let Some(irq) = self.node(v, intid) else {
            return;
        };
        let (pending, active) = self.format.state(seen);
        if changed {
            slot.shadow.store(seen, Ordering::Relaxed);
            // The end of it keeps the maintenance interrupt asserted.
            if self.format.asserts_eoi(seen) {
                cpu.write_lr(n, 0);
                slot.shadow.store(0, Ordering::Relaxed);
            }
            let Some((_, new, ())) = irq.update(|s| {
                let s = s.fold(pending, active);
                // An orphan's physical interrupt is deactivated on the next entry, out of this.
                let gone = !s.deliverable() && !s.orphaned();
                Some((if gone { s.unload().idle() } else { s }, ()))
            }) else {
                return;
            };
            if new.place().0 == Place::Idle {
                self.empty_slot(v, n, slot);
                // What is neither pending nor active the hardware ignores, and the next user overwrites.
                if pending || active {
                    cpu.write_lr(n, 0);
                }
                slot.shadow.store(0, Ordering::Relaxed);
                return;
            }
            v.dirty.store(1, Ordering::Relaxed);
        }
        // A hardware-mapped level that the guest has not taken yet may have gone away at its source.
        let state = irq.state();
        if state.misplaced() {
            later.moves |= bit(n);
        }
        if pending
            && !active
            && state.phys_lr()
            && state.level()
            && let Some(place) = later.resample.get_mut(later.resamples)
        {
            *place = intid;
            later.resamples = later.resamples.wrapping_add(1);
        }
    }

    /// The guest ended interrupts that no list register held: the active ones that wait outside, highest priority first
    /// (with EOImode 0 that is the order in which a guest ends them).
    fn ended_outside(&self, v: &Vcpu<H::Vcpu>, count: u32) {
        for _ in 0..count {
            let ended = self.with_lists(v, |lists, moved| {
                let (_, intid) = lists.first(Class::Active)?;
                let irq = self.node(v, intid)?;
                lists.remove(irq, |n| self.node(v, n));
                let (_, _, effect) = irq.post(Event::Ended);
                self.rehome(v, intid, irq, lists, moved);
                Some((irq, effect))
            });
            match ended {
                Some((irq, effect)) if effect.contains(Effect::DEACTIVATE) => self.deactivate(irq),
                Some(_) => {}
                None => return,
            }
        }
    }

    /// A hardware-mapped level interrupt waits in a list register of `v`: is the line still high?
    fn resample(&self, v: &Vcpu<H::Vcpu>, intid: u16) {
        let Some(irq) = self.node(v, intid) else {
            return;
        };
        self.with_phys(irq, |phys| {
            let Some(phys) = phys.filter(|phys| !phys.is_pending()) else {
                return;
            };
            let withdrawn =
                irq.update(|s| s.is_at(Place::Lr, v.id()).then(|| s.apply(Event::Withdraw)));
            if withdrawn.is_some_and(|(.., effect)| effect.contains(Effect::DEACTIVATE)) {
                phys.set_active(false);
                v.raise(Flags::LOOK);
            }
        });
    }

    /// The guest of `v` is about to be entered on this CPU, whose interrupts are masked.
    pub fn sync_to(&self, v: &Vcpu<H::Vcpu>) {
        v.enter_guest();
        if v.flags.load(Ordering::Relaxed) == 0
            && v.inbox.load(Ordering::Relaxed) == NIL
            && v.dirty.load(Ordering::Relaxed) == 0
            && v.backlog.load(Ordering::Relaxed) == 0
            && v.hcr.load(Ordering::Relaxed) != 0
        {
            return;
        }
        // First the flags, then what they are about.
        let flags = Flags::from_bits_retain(v.flags.swap(0, Ordering::AcqRel));
        let cpu = self.host.cpu();
        if flags.contains(Flags::RESET) {
            self.reset_cpu_interface(v, &cpu);
        }
        v.dirty.store(0, Ordering::Relaxed);
        let vmcr = self.read_vmcr(v, &cpu);
        if vmcr.split_eoi {
            self.trap_dir(v);
        }
        let mut deactivate = [NIL; lr::MAX];
        self.with_lists(v, |lists, moved| {
            self.drain(v, lists, moved);
            let groups = self.group_enables();
            self.empty_slots(v, groups, vmcr, lists, moved);
            self.fill_slots(v, groups, vmcr, lists, moved);
            self.write_slots(v, &cpu, &mut deactivate);
            let hcr = self.hcr(v, &cpu, lists, groups, vmcr).bits();
            if v.hcr.load(Ordering::Relaxed) != hcr {
                cpu.write_hcr(hcr);
                v.hcr.store(hcr, Ordering::Relaxed);
            }
        });
        for &intid in &deactivate {
            if let Some(irq) = self.node(v, intid) {
                self.deactivate(irq);
            }
        }
    }

    /// Takes interrupts out of list registers in which they have no business any more.
    fn empty_slots(
        &self,
        v: &Vcpu<H::Vcpu>,
        groups: [bool; 2],
        vmcr: Vmcr,
        lists: &mut Lists,
        moved: &mut Moved,
    ) {
        for n in bits(v.used.load(Ordering::Relaxed)) {
            let Some((slot, intid, irq)) = self.occupant(v, n) else {
                continue;
            };
            let s = irq.state();
            let stays = s.active()
                || (s.ready() && is_on(groups, vmcr, s.group1()) && s.target() == Some(v.id()));
            // What refuses is an orphan: loading it will show nothing and deactivate the physical interrupt.
            if !stays && self.rehome(v, intid, irq, lists, moved) {
                self.empty_slot(v, n, slot);
            }
        }
    }

    /// Fills free list registers from the ready lists, and makes room for a higher priority.
    fn fill_slots(
        &self,
        v: &Vcpu<H::Vcpu>,
        groups: [bool; 2],
        vmcr: Vmcr,
        lists: &mut Lists,
        moved: &mut Moved,
    ) {
        // Each turn takes a node off a list; twice the list registers is more than can be of use.
        while let Some((priority, intid)) = self.best(v, groups, vmcr, lists, moved) {
            let Some(irq) = self.node(v, intid) else {
                return;
            };
            let n = match self.free_slot(v) {
                Some(n) => n,
                None => {
                    let Some(n) = self.victim(v, priority) else {
                        break;
                    };
                    if let Some((slot, intid, irq)) = self.occupant(v, n) {
                        if !self.rehome(v, intid, irq, lists, moved) {
                            break;
                        }
                        self.empty_slot(v, n, slot);
                    }
                    n
                }
            };
            self.fill_slot(v, n, intid, irq, lists, moved);
        }
        // Room is left: active ones come back, so that their end is seen where it happens.
        while let (Some(n), Some((_, intid))) = (self.free_slot(v), lists.first(Class::Active)) {
            let Some(irq) = self.node(v, intid) else {
                return;
            };
            self.fill_slot(v, n, intid, irq, lists, moved);
        }
    }

    /// The pending interrupt of highest priority that waits for a list register and could be signalled.
    /// Takes off the lists what it finds there that cannot be delivered any more.
    fn best(
        &self,
        v: &Vcpu<H::Vcpu>,
        groups: [bool; 2],
        vmcr: Vmcr,
        lists: &mut Lists,
        moved: &mut Moved,
    ) -> Option<(u8, u16)> {
        loop {
            let of = |class: Class| {
                is_on(groups, vmcr, class == Class::Group1)
                    .then(|| lists.first(class))
                    .flatten()
            };
            let best = match (of(Class::Group0), of(Class::Group1)) {
                (Some(a), Some(b)) => Some(if b.0 < a.0 { b } else { a }),
                (a, b) => a.or(b),
            }?;
            let irq = self.node(v, best.1)?;
            let s = irq.state();
            if s.ready() && !s.misplaced() && Lists::is_sorted(irq, s) {
                return Some(best);
            }
            lists.remove(irq, |n| self.node(v, n));
            self.rehome(v, best.1, irq, lists, moved);
        }
    }

    /// The list register that a pending interrupt of this priority may have: that of the lowest pending one below it,
    /// or, if no list register is pending at all, that of the lowest active one.
    fn victim(&self, v: &Vcpu<H::Vcpu>, priority: u8) -> Option<usize> {
        let mut pending: Option<(u8, usize)> = None;
        let mut active: Option<(u8, usize)> = None;
        for n in bits(v.used.load(Ordering::Relaxed)) {
            let Some((_, _, irq)) = self.occupant(v, n) else {
                continue;
            };
            let s = irq.state();
            let lowest = if s.active() {
                &mut active
            } else {
                &mut pending
            };
            if lowest.is_none_or(|(p, _)| s.priority5() > p) {
                *lowest = Some((s.priority5(), n));
            }
        }
        match pending {
            Some((p, n)) => (p > priority).then_some(n),
            None => active.map(|(_, n)| n),
        }
    }

    /// Computes what each list register has to hold, and writes those that differ.
    fn write_slots(
        &self,
        v: &Vcpu<H::Vcpu>,
        cpu: &impl CpuInterface,
        deactivate: &mut [u16; lr::MAX],
    ) {
        for (n, slot) in v.slots.iter().enumerate().take(self.list_registers) {
            let shadow = slot.shadow.load(Ordering::Relaxed);
            let lr = match self.occupant(v, n) {
                None => 0,
                Some((_, intid, irq)) => {
                    let Some((_, s, (view, effect))) = irq.update(|s| {
                        let (s, view, effect) = s.load();
                        Some((s, (view, effect)))
                    }) else {
                        continue;
                    };
                    if effect.contains(Effect::DEACTIVATE)
                        && let Some(place) = deactivate.get_mut(n)
                    {
                        *place = intid;
                    }
                    // The running priority depends on it: that of an active interrupt must not change under it.
                    let priority5 =
                        if view.active && shadow != 0 && self.format.intid(shadow) == intid {
                            self.format.priority5(shadow)
                        } else {
                            s.priority5()
                        };
                    let phys = irq.phys.load(Ordering::Relaxed);
                    if !view.pending && !view.active {
                        // Its last reason to be here went while it was being loaded: the next entry takes it out.
                        v.dirty.store(1, Ordering::Relaxed);
                    }
                    self.format.encode(intid, phys, priority5, s.group1(), view)
                }
            };
            if lr != shadow {
                cpu.write_lr(n, lr);
                slot.shadow.store(lr, Ordering::Relaxed);
            }
        }
    }

    /// Which maintenance interrupts are needed for what waits outside of the list registers.
    fn hcr(
        &self,
        v: &Vcpu<H::Vcpu>,
        cpu: &impl CpuInterface,
        lists: &Lists,
        groups: [bool; 2],
        vmcr: Vmcr,
    ) -> Hcr {
        let mut hcr = Hcr::EN;
        // With EOImode 1 an interrupt may be deactivated in any order, and on another CPU than acknowledged it:
        // its list register, if it has one, need not be here.
        let elsewhere = self.vcpus.len() > 1 || lists.map(Class::Active) != 0;
        if self.split_eoi.load(Ordering::Relaxed) != 0 && elsewhere && cpu.can_trap_dir() {
            hcr |= Hcr::TDIR;
        }
        if lists.map(Class::Active) != 0 {
            hcr |= Hcr::LRENPIE;
        }
        if !lists.backlog() && v.dirty.load(Ordering::Relaxed) == 0 {
            return hcr;
        }
        let classes = [
            (Class::Group0, Hcr::VGRP0EIE, Hcr::VGRP0DIE),
            (Class::Group1, Hcr::VGRP1EIE, Hcr::VGRP1DIE),
        ];
        let mut waits = lists.rest != NIL || v.dirty.load(Ordering::Relaxed) != 0;
        for (class, enable, disable) in classes {
            let group = class as usize;
            let distributor = groups.get(group).is_some_and(|on| *on);
            let interface = vmcr.groups.get(group).is_some_and(|on| *on);
            if interface {
                // Its list registers can be used for something else once the guest disables it.
                hcr |= disable;
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

    /// VMCR of the vCPU that is current.
    pub(crate) fn read_vmcr(&self, v: &Vcpu<H::Vcpu>, cpu: &impl CpuInterface) -> Vmcr {
        let raw = cpu.read_vmcr();
        v.vmcr.store(raw, Ordering::Relaxed);
        self.format.vmcr(raw)
    }

    /// Were the guest's writes to DIR trapped, with this in HCR? Those of a GICv2 always are: GICV_DIR is not mapped.
    fn is_dir_trapped(&self, hcr: u32) -> bool {
        self.version == Version::V2 || hcr & Hcr::TDIR.bits() != 0
    }

    /// A vCPU uses EOImode 1. What it acknowledges may be deactivated on any other, so all of them have to trap DIR.
    fn trap_dir(&self, v: &Vcpu<H::Vcpu>) {
        if self.split_eoi.swap(1, Ordering::Relaxed) != 0 || !self.host.cpu().can_trap_dir() {
            return;
        }
        for other in self.created().filter(|other| other.id() != v.id()) {
            // So that its next entry computes HCR; the flag is for one that is in the guest.
            other.raise(Flags::LOOK | Flags::KICKED);
            self.kick(other);
        }
    }

    /// GICD_CTLR: which groups the distributor forwards.
    pub(crate) fn group_enables(&self) -> [bool; 2] {
        let ctlr = self.ctlr.load(Ordering::Acquire);
        [ctlr & 1 != 0, ctlr & 2 != 0]
    }

    fn occupant<'a>(&'a self, v: &'a Vcpu<H::Vcpu>, n: usize) -> Option<(&'a Slot, u16, &'a Irq)> {
        let slot = v.slots.get(n)?;
        let intid = slot.intid.load(Ordering::Relaxed);
        self.node(v, intid).map(|irq| (slot, intid, irq))
    }

    fn free_slot(&self, v: &Vcpu<H::Vcpu>) -> Option<usize> {
        let n = v.used.load(Ordering::Relaxed).trailing_ones() as usize;
        (n < self.list_registers).then_some(n)
    }

    /// The first of a ready list gets a list register.
    fn fill_slot(
        &self,
        v: &Vcpu<H::Vcpu>,
        n: usize,
        intid: u16,
        irq: &Irq,
        lists: &mut Lists,
        moved: &mut Moved,
    ) {
        lists.remove(irq, |n| self.node(v, n));
        let placed = irq.update(|s| {
            (s.deliverable() && !s.misplaced()).then(|| (s.placed(Place::Lr, v.id()), ()))
        });
        match (placed, v.slots.get(n)) {
            (Some(_), Some(slot)) => {
                slot.intid.store(intid, Ordering::Relaxed);
                v.used
                    .store(v.used.load(Ordering::Relaxed) | bit(n), Ordering::Relaxed);
            }
            _ => {
                self.rehome(v, intid, irq, lists, moved);
            }
        }
    }

    /// Makes a slot free; the hardware keeps its contents until the next entry.
    fn empty_slot(&self, v: &Vcpu<H::Vcpu>, n: usize, slot: &Slot) {
        slot.intid.store(NIL, Ordering::Relaxed);
        v.used
            .store(v.used.load(Ordering::Relaxed) & !bit(n), Ordering::Relaxed);
    }

    /// The same by interrupt, for another CPU that takes it away while `v` is out of the guest.
    pub(crate) fn empty_slot_of(&self, v: &Vcpu<H::Vcpu>, intid: u16) {
        for n in bits(v.used.load(Ordering::Relaxed)) {
            if let Some(slot) = v.slots.get(n)
                && slot.intid.load(Ordering::Relaxed) == intid
            {
                self.empty_slot(v, n, slot);
            }
        }
    }

    /// After PSCI CPU_ON: no active priorities, nothing in list registers, nothing private active.
    /// What is pending stays pending.
    fn reset_cpu_interface(&self, v: &Vcpu<H::Vcpu>, cpu: &impl CpuInterface) {
        cpu.reset();
        for raw in 0..IntId::SPI {
            if let Some(irq) = IntId::new(raw).and_then(|intid| v.private(intid)) {
                irq.post(Event::ClearActive);
            }
        }
    }

    /// The vCPU is being switched on by PSCI: its CPU interface starts afresh on its next entry.
    /// It does not run; the caller is another vCPU.
    pub fn cpu_on(&self, v: &Vcpu<H::Vcpu>) {
        v.raise(Flags::RESET | Flags::LOOK);
    }

    /// A trapped write of `value` to ICC_DIR_EL1 or GICV_DIR by `cur` (IHI 0069, section 12.2.5; IHI 0048B, section 5.5.11):
    /// deactivates that interrupt wherever it is. Anything that is not active stays as it is.
    pub fn write_dir(&self, cur: &Vcpu<H::Vcpu>, value: u64) {
        // GICv2 has the source CPU of an SGI above the INTID; only one can be active.
        let mask = if self.version == Version::V2 {
            0x3ff
        } else {
            0xff_ffff
        };
        let intid = u32::try_from(value & mask).ok().and_then(IntId::new);
        let split = self.read_vmcr(cur, &self.host.cpu()).split_eoi;
        if let Some(intid) = intid.filter(|intid| split && !intid.is_lpi()) {
            self.recall(cur, core::iter::once(intid));
            self.post_phys(cur, intid, Event::ClearActive);
        }
    }

    /// The maintenance interrupt was taken while `v` is current. Its line is a level: it would be taken again and
    /// again until the list registers are folded, so the virtual interface is switched off until then.
    ///
    /// Out of the guest there is no such line any more, and what the registers hold may be another vCPU's already.
    pub fn maintenance(&self, v: &Vcpu<H::Vcpu>) {
        if v.epoch() & 1 == 0 {
            return;
        }
        let cpu = self.host.cpu();
        cpu.write_hcr(cpu.read_hcr() & !Hcr::EN.bits());
        v.hcr.store(0, Ordering::Relaxed);
        v.raise(Flags::LOOK);
    }

    /// Would an interrupt be signalled if `v`, which is current and out of the guest, were entered now? Only `true` may be
    /// wrong (it costs a loop); a wrong `false` would be a hang. Any lock of the host may be held.
    pub fn has_pending(&self, v: &Vcpu<H::Vcpu>) -> bool {
        // From here on, whoever brings something kicks.
        if v.flags.load(Ordering::Relaxed) & Flags::KICKED.bits() != 0 {
            v.flags.fetch_and(!Flags::KICKED.bits(), Ordering::AcqRel);
        }
        fence(Ordering::SeqCst);
        if v.used.load(Ordering::Relaxed) == 0
            && v.inbox.load(Ordering::Acquire) == NIL
            && v.backlog.load(Ordering::Relaxed) == 0
        {
            return false;
        }
        let groups = self.group_enables();
        let vmcr = self.read_vmcr(v, &self.host.cpu());
        let signalled = |s: State| is_on(groups, vmcr, s.group1()) && s.priority5() <= vmcr.mask5;
        self.with_lists(v, |lists, moved| {
            self.drain(v, lists, moved);
            if lists.rest != NIL {
                return true;
            }
            let waits = self
                .best(v, groups, vmcr, lists, moved)
                .and_then(|(_, intid)| self.node(v, intid))
                .is_some_and(|irq| signalled(irq.state()));
            waits
                || bits(v.used.load(Ordering::Relaxed))
                    .filter_map(|n| self.occupant(v, n))
                    .any(|(_, _, irq)| {
                        let s = irq.state();
                        s.ready() && !(s.level() && s.active()) && signalled(s)
                    })
        })
    }

    /// Is this interrupt of `v` pending?
    pub fn is_pending(&self, v: &Vcpu<H::Vcpu>, intid: IntId) -> bool {
        self.irq(v, intid).is_some_and(|irq| irq.state().pending())
    }

    /// `v` has moved to another physical CPU: physical interrupts routed to it follow. `v` does not run.
    pub fn moved(&self, v: &Vcpu<H::Vcpu>) {
        for irq in self.spis.iter().chain(self.espis.iter()) {
            if irq.state().target() == Some(v.id()) {
                self.route_physical(irq);
            }
        }
    }
}

#[cfg(test)]
mod tests;
