// SPDX-License-Identifier: GPL-2.0-only
//! The guest's CPU interface beside its list registers: what it is set to, waiting for an interrupt, deactivation that is
//! trapped, the maintenance interrupt, power.
//!
//! # EOImode 1 where DIR cannot be trapped
//!
//! With EOImode 1 an interrupt ends when the guest writes DIR. A GICv2's always traps; ICC_DIR_EL1 does where the hardware can
//! trap it alone (ICH_VTR_EL2.TDS). Elsewhere the hardware deactivates what is in a list register of the vCPU that writes; what
//! is not, it counts (ICH_HCR_EL2.EOIcount) and does not name, and of the active interrupts of that vCPU which wait outside
//! the one of highest priority is taken for it. So it is right
//!
//! * while all that is active is in list registers of the vCPU that deactivates it, in any order;
//! * beyond that, if the vCPU deactivates in the order of priorities.
//!
//! Otherwise one ends for another: the guest may get it again while it still handles it, and the other stays active
//! until as many have been written as there are. One that is active on another vCPU than writes DIR stays active until GICD_ICACTIVER
//! is written, and one of the writer's own may end in its place. No interrupt of another domain is ever concerned.

use crate::config::Version;
use crate::domain::Domain;
use crate::host::{CpuInterface, Host};
use crate::intid::IntId;
use crate::irq::{Effect, Event, State};
use crate::list::Class;
use crate::lr::{Groups, Hcr, Vmcr};
use crate::slots::{bit, bits};
use crate::sync::{Ordering, fence};
use crate::vcpu::{Flags, UNKNOWN, Vcpu};

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
        self.version == Version::V2 || hcr & Hcr::TDIR.bits() != 0
    }

    /// A vCPU uses EOImode 1. What it acknowledges may be deactivated on any other, so all of them have to trap DIR.
    pub(crate) fn trap_dir(&self, v: &Vcpu<H::Vcpu>) {
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
    pub(crate) fn group_enables(&self) -> Groups {
        Groups::from_bits_truncate(self.ctlr.load(Ordering::Acquire))
    }

    /// After PSCI CPU_ON: no active priorities, nothing in list registers, nothing private active.
    /// What is pending stays pending.
    pub(crate) fn reset_cpu_interface(&self, v: &Vcpu<H::Vcpu>, cpu: &impl CpuInterface) {
        cpu.reset();
        self.forget_acknowledged(v);
        for raw in 0..IntId::SPI {
            let Some(intid) = IntId::new(raw) else {
                continue;
            };
            if let Some(irq) = v.private(intid) {
                let (_, new, effect) = irq.post(Event::ClearActive);
                debug_assert!(!new.hw(), "a private interrupt has no physical one");
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
                v.set_stale(bit(n));
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
            let waits = self
                .best(v, on, lists, moved)
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
        for irq in self.spis.iter().chain(self.espis.iter()) {
            if irq.state().target() == Some(v.id()) {
                self.route_physical(irq);
            }
        }
    }
}
