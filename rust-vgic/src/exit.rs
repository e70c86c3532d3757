// SPDX-License-Identifier: GPL-2.0-only
//! List registers on exit from the guest: what it did to its interrupts comes into their words.

use crate::cpu_interface::active_levels;
use crate::domain::Domain;
use crate::host::{CpuInterface, Host};
use crate::intid::IntId;
use crate::irq::{Effect, Event, Place, State};
use crate::list::Class;
use crate::lr::Hcr;
use crate::slots::{bit, bits};
use crate::sync::{Ordering, fence};
use crate::vcpu::{Flags, Slot, Vcpu};

/// What was found while list registers were folded, and has to wait until that is done.
#[derive(Default)]
struct Later {
    /// A list register was not as it had been written.
    changed: bool,
    /// One of those shows its interrupt active.
    taken: bool,
    /// Slots whose interrupt is routed to another vCPU and was kept here only by being active, or has nothing left but an active
    /// physical interrupt.
    moves: u32,
}

impl<H: Host> Domain<H> {
    /// The guest of `v` has just been left, on the CPU that runs it: what it did to its list registers comes
    /// into the words. Not to be called twice without [`Domain::sync_to`] between.
    #[inline]
    pub fn sync_from(&self, v: &Vcpu<H::Vcpu>) {
        if !v.exits_idle() {
            self.fold_slots(v);
        }
    }

    /// There is something in list registers, or a maintenance interrupt was asked for.
    #[inline(never)]
    fn fold_slots(&self, v: &Vcpu<H::Vcpu>) {
        let used = v.used.load(Ordering::Relaxed);
        let hcr = v.hcr.load(Ordering::Relaxed);
        let cpu = self.host.cpu();
        cpu.sync();
        let mut later = Later::default();
        let mut ended = 0;
        let idle = self.idle_hcr.bits();
        if hcr != idle {
            let now = cpu.read_hcr();
            ended = Hcr::eoi_count(now);
            // With EOImode 1 an EOI is no end, and each write to DIR was trapped.
            if ended != 0 && self.is_dir_trapped(now) && self.read_vmcr(v, &cpu).split_eoi {
                ended = 0;
            }
            // In this order: a maintenance interrupt between the two has the next entry write it once more.
            v.hcr.store(idle, Ordering::Relaxed);
            cpu.write_hcr(idle);
            v.raise(Flags::DIRTY);
            if self.shares() {
                self.read_vmcr(v, &cpu);
            }
        }
        let mut map = used;
        // Of none, the number of zeros is that of no slot.
        while let Some(slot) = v.slots.get(map.trailing_zeros() as usize) {
            self.fold(v, map.trailing_zeros() as usize, slot, &cpu, &mut later);
            map &= map.wrapping_sub(1);
        }
        // HCR is idle now; after a maintenance interrupt that comes here the next entry decides this anew.
        let used = v.used.load(Ordering::Relaxed);
        v.loaded.store(used, Ordering::Relaxed);
        v.leave_guest();
        if used != 0 {
            // Pairs with the fence of who visits an interrupt: either we see the flag, or we are seen to have left the guest.
            // There may be no next entry.
            fence(Ordering::SeqCst);
            let flags = Flags::from_bits_retain(v.flags.load(Ordering::Relaxed));
            if flags.contains(Flags::LOOK) {
                later.moves |= self.astray(v);
            }
        }
        if later.changed {
            v.counters.changed_exits.count();
            // What is active may be deactivated elsewhere, and this vCPU not be entered again for long.
            if later.taken && self.needs_tc() {
                self.see_eoimode(v, self.read_vmcr(v, &cpu));
            }
        }
        if ended | later.moves != 0 {
            self.see_to_rest(v, ended, later.moves, &cpu);
        }
    }

    /// So many were ended outside of list registers, and these slots may have what has no business there any more.
    #[inline(never)]
    fn see_to_rest(&self, v: &Vcpu<H::Vcpu>, ended: u32, moves: u32, cpu: &impl CpuInterface) {
        if ended != 0 {
            self.ended_outside(v, ended, cpu);
        }
        if moves != 0 {
            self.move_away(v, moves);
        }
    }

    /// What is in these slots may have no business there any more.
    fn move_away(&self, v: &Vcpu<H::Vcpu>, slots: u32) {
        for n in bits(slots) {
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
        if !changed && !self.format.is_hw(seen) {
            return;
        }
        let intid = slot.intid.load(Ordering::Relaxed);
        let Some(irq) = self.node(v, intid) else {
            return;
        };
        if !changed {
            // Its line may fall before the guest is entered again.
            if irq.state().hangs_on_line() {
                v.raise(Flags::LINES);
            }
            return;
        }
        let (pending, active) = self.format.state(seen);
        // Only the hardware calls an LPI active: nothing has to end it (an EOI without a list register is not even counted),
        // so it keeps no list register and no vCPU.
        let lpi = u32::from(intid) >= IntId::LPI;
        let holds = active && !lpi;
        later.changed = true;
        later.taken |= holds;
        slot.shadow.store(seen, Ordering::Relaxed);
        // The end of it keeps the maintenance interrupt asserted.
        if self.format.asserts_eoi(seen) {
            cpu.write_lr(n, 0);
            slot.shadow.store(0, Ordering::Relaxed);
        }
        let Some((old, new, ())) = irq.update(|s| {
            if !pending
                && !holds
                && let Some(s) = s.ended()
            {
                return Some((s, ()));
            }
            let mut s = s.fold(pending, holds, self.format.standing(seen));
            if lpi && !pending {
                s = self.sent_since(intid, s);
            }
            // An orphan's physical interrupt is deactivated out of this, once the guest is left: see below.
            let gone = !s.deliverable() && !s.orphaned();
            Some((if gone { s.unload().idle() } else { s }, ()))
        }) else {
            return;
        };
        if lpi && new.raw_target() != old.raw_target() {
            self.follow_route(intid, new);
        }
        if new.place().0 == Place::Idle {
            self.free(v, n, slot);
            // What is neither pending nor active the hardware ignores, and the next user overwrites.
            if pending || active {
                cpu.write_lr(n, 0);
            }
            slot.shadow.store(0, Ordering::Relaxed);
            return;
        }
        v.set_stale(bit(n));
        // What somebody changes from here on is looked at once the guest is left, and on the next entry.
        if new.misplaced() {
            later.moves |= bit(n);
        }
        let waits = new.hangs_on_line();
        v.raise(if waits {
            Flags::DIRTY | Flags::LINES
        } else {
            Flags::DIRTY
        });
    }

    /// Slots whose interrupt has no business there any more, and must not wait for the next entry.
    #[inline(always)]
    fn astray(&self, v: &Vcpu<H::Vcpu>) -> u32 {
        let mut found = 0;
        for n in bits(v.used.load(Ordering::Relaxed)) {
            let Some(slot) = v.slots.get(n) else {
                continue;
            };
            // What is the vCPU's own goes nowhere, and leaves its physical interrupt to the next entry, or to its departure.
            let intid = slot.intid.load(Ordering::Relaxed);
            let shared = u32::from(intid) >= IntId::SPI;
            let irq = shared.then(|| self.node(v, intid)).flatten();
            let goes = |s: State| s.misplaced() || s.orphaned();
            if irq.is_some_and(|irq| goes(irq.state())) {
                found |= bit(n);
            }
        }
        found
    }

    /// The guest ended as many interrupts that no list register held. With EOImode 0 the last to be acknowledged is the first to end,
    /// and its priority is active no longer. What is counted for no interrupt that waits outside is for one that was deactivated
    /// by a write to a register before (for EOImode 1 see [`crate::cpu_interface`]).
    fn ended_outside(&self, v: &Vcpu<H::Vcpu>, count: u32, cpu: &impl CpuInterface) {
        let vmcr = self.read_vmcr(v, cpu);
        // No two that were acknowledged have the same active priority, so what is in list registers accounts for its own.
        let inside = bits(v.used.load(Ordering::Relaxed))
            .filter_map(|n| self.occupant(v, n))
            .map(|(.., irq)| irq.state())
            .filter(|s| s.acknowledged());
        let inside = inside.fold(0, |levels, s| levels | vmcr.level(s.standing()));
        let running = active_levels(cpu) & !inside;
        for _ in 0..count {
            let ended = self.with_lists(v, |lists, moved| {
                let (_, intid) = lists.first(Class::Active)?;
                let irq = self.node(v, intid)?;
                if running & vmcr.level(irq.state().standing()) != 0 {
                    return None;
                }
                lists.remove(irq, |n| self.node(v, n));
                let (_, _, effect) = irq.post(Event::Ended);
                self.rehome(v, intid, irq, lists, moved);
                Some((irq, effect))
            });
            match ended {
                Some((irq, effect)) if effect.contains(Effect::DEACTIVATE) => self.deactivate(irq),
                Some((_, effect)) if effect.contains(Effect::OWNER) => {
                    v.raise(Flags::ORPHAN);
                }
                Some(_) => {}
                None => return,
            }
        }
    }
}
