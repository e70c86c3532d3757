// SPDX-License-Identifier: GPL-2.0-only
//! The guest's CPU interface beside its list registers: what it is set to, waiting for an interrupt, deactivation that is
//! trapped, the maintenance interrupt, power.
//!
//! # EOImode 1
//!
//! With EOImode 1 an interrupt ends when the guest writes DIR: in any order, and on any vCPU. The hardware ends what is in a list
//! register of the vCPU that writes; what is not, it counts (ICH_HCR_EL2.EOIcount) and does not name. So DIR has to trap.
//!
//! * A GICv2's always does: it is in memory.
//! * Where the hardware can trap ICC_DIR_EL1 alone (ICH_VTR_EL2.TDS), it always does as well: who does not write it does not pay.
//! * Elsewhere it takes ICH_HCR_EL2.TC, which traps more ([`crate::sysreg::IccRegister`]), and which a guest with EOImode 0 is
//!   spared. A vCPU has it from the time that it is switched on until it writes ICC_CTLR_EL1, as a guest does that brings up its
//!   CPU interface, so that EOImode is seen as it is set; and then while any vCPU of the domain has EOImode 1. The cost: each
//!   access of those registers traps, the mask of priorities among them, and each exit and entry writes ICH_HCR_EL2 and looks at
//!   all that is in list registers and waits.
//!
//! There a vCPU that has written ICC_CTLR_EL1 with EOImode 0, while no other had EOImode 1, and changes its mind later, does so
//! unseen. Its next entry with something new sees it, and so does its next exit after an acknowledge; from then on it is as if it
//! had been seen at once. What is written to DIR before that is the hardware's: on the vCPU that has the interrupt in a list
//! register, it ends it; elsewhere it is lost, or one of those that wait outside, active, ends in its place, and GICD_ICACTIVER
//! is the way out.

use crate::config::Version;
use crate::delivery::members;
use crate::domain::Domain;
use crate::host::{CpuInterface, Host};
use crate::intid::IntId;
use crate::irq::{Effect, Event, State};
use crate::list::{BATCH, Class};
use crate::lr::{Groups, Hcr, Vmcr, Vtr};
use crate::recall::{Set, only};
use crate::slots::{bit, bits};
use crate::sync::{Ordering, fence};
use crate::vcpu::{Ctlr, Flags, UNKNOWN, Vcpu};

impl<H: Host> Domain<H> {
    /// VMCR of the vCPU that is current.
    pub(crate) fn read_vmcr(&self, v: &Vcpu<H::Vcpu>, cpu: &impl CpuInterface) -> Vmcr {
        let raw = cpu.read_vmcr();
        if v.vmcr.load(Ordering::Relaxed) != raw {
            self.vmcr_changed(v, raw);
        }
        self.format.vmcr(raw)
    }

    /// Were the guest's writes to DIR trapped, with this in HCR? Those of a GICv2 always are: GICV_DIR is not mapped.
    pub(crate) fn is_dir_trapped(&self, hcr: u32) -> bool {
        self.version == Version::V2 || hcr & (Hcr::TDIR | Hcr::TC).bits() != 0
    }

    /// Does it take ICH_HCR_EL2.TC to trap ICC_DIR_EL1?
    #[inline(always)]
    pub(crate) fn needs_tc(&self) -> bool {
        self.tc
    }

    /// HCR of a vCPU that is about to be entered and asks for no maintenance interrupt.
    pub(crate) fn traps(&self, v: &Vcpu<H::Vcpu>) -> Hcr {
        let unseen = || !Self::ctlr(v).contains(Ctlr::WRITTEN);
        if self.needs_tc() && (self.split_eoi.load(Ordering::Acquire) != 0 || unseen()) {
            self.idle_hcr | Hcr::TC
        } else {
            self.idle_hcr
        }
    }

    fn ctlr(v: &Vcpu<H::Vcpu>) -> Ctlr {
        Ctlr::from_bits_truncate(v.ctlr.load(Ordering::Relaxed))
    }

    /// EOImode of `v`, which is current, is as VMCR says. If that is news, others have to know; they may run on for a moment.
    #[inline(always)]
    pub(crate) fn see_eoimode(&self, v: &Vcpu<H::Vcpu>, vmcr: Vmcr) {
        if Self::ctlr(v).contains(Ctlr::SPLIT) != vmcr.split_eoi {
            self.see_new_eoimode(v, vmcr);
        }
    }

    #[cold]
    fn see_new_eoimode(&self, v: &Vcpu<H::Vcpu>, vmcr: Vmcr) {
        if self.count_eoimode(v, vmcr.split_eoi) {
            for other in members(self.trap_others(v)).filter_map(|id| self.slot(id)) {
                other.raise(Flags::KICKED);
                self.kick(other);
            }
        }
    }

    /// The guest of `v`, which is current, has written ICC_CTLR_EL1, in a trap, and EOImode is as VMCR says. If that is 1, no
    /// other vCPU writes to DIR without a trap afterwards.
    pub(crate) fn ctlr_written(&self, v: &Vcpu<H::Vcpu>, vmcr: Vmcr) {
        if !self.needs_tc() {
            return;
        }
        v.ctlr.fetch_or(Ctlr::WRITTEN.bits(), Ordering::Relaxed);
        if self.count_eoimode(v, vmcr.split_eoi) {
            self.recall(self.trap_others(v));
        }
        // HCR is not computed on an entry that has nothing to do.
        v.raise(Flags::DIRTY);
    }

    /// Counts `v` among the vCPUs that have EOImode 1, or no longer. Says yes if it has come to them.
    pub(crate) fn count_eoimode(&self, v: &Vcpu<H::Vcpu>, split: bool) -> bool {
        let mut ctlr = Self::ctlr(v);
        if ctlr.contains(Ctlr::SPLIT) == split {
            return false;
        }
        ctlr.set(Ctlr::SPLIT, split);
        v.ctlr.store(ctlr.bits(), Ordering::Relaxed);
        if split {
            self.split_eoi.fetch_add(1, Ordering::AcqRel);
        } else {
            // Those who trap look at it on each entry.
            self.split_eoi.fetch_sub(1, Ordering::AcqRel);
        }
        split
    }

    /// What `v` acknowledges may be deactivated on any other vCPU: those that are in the guest and do not trap DIR, to be interrupted.
    fn trap_others(&self, v: &Vcpu<H::Vcpu>) -> Set {
        let others = self.created().filter(|other| other.id() != v.id());
        let untrapped = others.filter(|other| {
            // Its next entry computes HCR. It does so anyway after an exit out of the trap, so what it is entered with now will do.
            other.raise(Flags::LOOK);
            let traps = other.hcr.load(Ordering::Relaxed) & Hcr::TC.bits() != 0;
            other.is_in_guest() && !traps
        });
        untrapped.fold(0, |set, other| set | only(other))
    }

    /// GICD_CTLR: which groups the distributor forwards.
    pub(crate) fn group_enables(&self) -> Groups {
        Groups::from_bits_truncate(self.ctlr.load(Ordering::Acquire))
    }

    /// After PSCI CPU_ON: no active priorities, nothing in list registers. What is pending stays pending.
    pub(crate) fn reset_cpu_interface(&self, v: &Vcpu<H::Vcpu>, cpu: &impl CpuInterface) {
        cpu.reset();
        self.forget_acknowledged(v);
        self.count_eoimode(v, false);
        v.ctlr.store(0, Ordering::Relaxed);
    }

    /// After PSCI CPU_ON, too: nothing private is active. What is pending stays pending.
    pub(crate) fn end_private_actives(&self, v: &Vcpu<H::Vcpu>) {
        for raw in 0..IntId::SPI {
            let Some(intid) = IntId::new(raw) else {
                continue;
            };
            if let Some(irq) = v.private(intid) {
                let (.., effect) = irq.post(Event::ClearActive);
                if effect.contains(Effect::OWNER) {
                    v.raise(Flags::ORPHAN);
                }
                if effect.contains(Effect::VISIT) {
                    // It waited as an active one; what is left of it waits to be signalled.
                    self.visit(intid, irq);
                }
            }
        }
    }

    /// Its active priorities are gone: what it had acknowledged and is active still, an EOI will not end.
    fn forget_acknowledged(&self, v: &Vcpu<H::Vcpu>) {
        for n in bits(v.used.load(Ordering::Relaxed)) {
            if let Some((.., irq)) = self.occupant(v, n) {
                // Its list register is looked at on this entry.
                let (_, _, effect) = irq.post(Event::Forget);
                debug_assert_eq!(effect, effect.without_phys());
                v.add_stale(bit(n));
            }
        }
        // Each turn has one less.
        while self.with_lists(v, |lists, moved| {
            let first = lists.first(Class::Active);
            let Some((intid, irq)) = first.and_then(|(_, n)| Some((n, self.node(v, n)?))) else {
                return false;
            };
            lists.remove(irq, |n| self.node(v, n));
            let (_, _, effect) = irq.post(Event::Forget);
            debug_assert_eq!(effect, effect.without_phys());
            self.rehome(v, intid, irq, lists, moved)
        }) {}
    }

    /// The vCPU is being switched on by PSCI: its CPU interface starts afresh on its next entry.
    /// It does not run; the caller is another vCPU.
    pub fn cpu_on(&self, v: &Vcpu<H::Vcpu>) {
        // What it was set to before says nothing any more.
        self.vmcr_changed(v, UNKNOWN);
        v.raise(Flags::RESET | Flags::LOOK);
    }

    /// PSCI SYSTEM_SUSPEND is over, during which all vCPUs were off, and `v` goes on: its CPU interface starts afresh on its next
    /// entry. The distributor and the redistributors were not without power: what is active there is so still, and the guest
    /// deactivates it there if it does not know of it. It does not run; the caller is another
    /// vCPU.
    pub fn resumed(&self, v: &Vcpu<H::Vcpu>) {
        self.vmcr_changed(v, UNKNOWN);
        v.raise(Flags::RESUME | Flags::LOOK);
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
            self.recall(self.holders(cur, self.shared(intid).into_iter()));
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
            && v.flags.load(Ordering::Acquire) & Flags::CAME.union(Flags::SWEEP).bits() == 0
            && v.swept().1 == 0
            && v.backlog.load(Ordering::Relaxed) == 0
        {
            return false;
        }
        let vmcr = self.read_vmcr(v, &self.host.cpu());
        // Others wait for what it goes through.
        if v.flags.load(Ordering::Relaxed) & Flags::SWEEP.bits() != 0 || v.swept().1 != 0 {
            return true;
        }
        let on = self.group_enables() & vmcr.groups;
        let signalled = |s: State| on.has(s.group1()) && s.priority5() <= vmcr.mask5;
        self.with_lists(v, |lists, moved| {
            self.drain(v, lists, moved);
            if lists.unsorted() != 0 {
                return true;
            }
            let mut left = BATCH;
            let best = self.best(v, on, lists, moved, &mut left);
            if left == 0 {
                return true;
            }
            let waits = best
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
    ///
    /// Not those behind LPIs, of which there may be many: each costs commands of a physical ITS. They follow where it pays, by
    /// [`Domain::follow_lpi`].
    pub fn moved(&self, v: &Vcpu<H::Vcpu>) {
        if self.idle_hcr != Hcr::EN {
            // Of that CPU's HCR nothing is known but that the virtual interface is on.
            v.hcr.store(0, Ordering::Relaxed);
            v.raise(Flags::DIRTY);
        }
        for irq in self.spis.iter().chain(self.espis.iter()) {
            if irq.state().target() == Some(v.id()) {
                self.route_physical(irq);
            }
        }
    }
}

/// The active priorities of both groups, a bit for each of the 32 that our interrupts have; with more than five bits of preemption there
/// are more.
pub(crate) fn active_levels(cpu: &impl CpuInterface) -> u32 {
    let every = 3_u32.saturating_sub(Vtr(cpu.read_vtr()).preemption_step());
    if every == 0 {
        return cpu.read_active_priorities(0);
    }
    let registers: [u32; 4] = core::array::from_fn(|n| cpu.read_active_priorities(n));
    (0..32_u32).fold(0, |levels, n| {
        let at = n.wrapping_shl(every);
        let register = registers.get((at / 32) as usize).copied().unwrap_or(0);
        levels | (register.wrapping_shr(at % 32) & 1).wrapping_shl(n)
    })
}

#[cfg(test)]
mod tests;
