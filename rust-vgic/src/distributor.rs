// SPDX-License-Identifier: GPL-2.0-only
//! The distributor: access to its frame, and what the registers of GICv2 and GICv3 have in common.
//!
//! The handlers of registers with a field for each interrupt are here, each once: a GICv2 distributor, a GICv3 distributor
//! with its extended SPIs, and the SGI_base frame of a redistributor differ in their tables.
//! Sections: IHI 0048B, 4.3; IHI 0069, 12.9 and 12.11.

use crate::config::Version;
use crate::domain::Domain;
use crate::host::{Host, PhysIrq};
use crate::intid::IntId;
use crate::irq::{Effect, Event, Irq, Place};
use crate::recall::only;
use crate::registers::{Access, Row, Width, Written};
use crate::routing::{ANY, IRM, ROUTER};
use crate::sync::Ordering;
use crate::vcpu::{Flags, Vcpu};

/// GICD_CTLR: EnableGrp0 and EnableGrp1.
pub(crate) const ENABLE_GROUPS: u32 = 0b11;

impl<H: Host + 'static> Domain<H> {
    fn distributor(&self) -> &'static [Row<H>] {
        match self.version {
            Version::V2 => Self::GICV2_DISTRIBUTOR,
            Version::V3 => Self::GICV3_DISTRIBUTOR,
        }
    }

    /// vCPU `cur` reads the distributor at `offset` from its start. The value is zero-extended.
    ///
    /// From the trap, with interrupts on and no lock held: it may wait, for a bounded time, for other vCPUs to leave the guest.
    pub fn dist_read(&self, cur: &Vcpu<H::Vcpu>, offset: u32, width: Width) -> u64 {
        self.access(cur, cur)
            .read(self.distributor(), offset, width)
    }

    /// vCPU `cur` writes the distributor. As [`Domain::dist_read`]; bits of `value` beyond `width` are ignored.
    pub fn dist_write(&self, cur: &Vcpu<H::Vcpu>, offset: u32, width: Width, value: u64) {
        self.access(cur, cur)
            .write(self.distributor(), offset, width, value);
    }
}

/// GICv2's SGIs have no enable, pending or trigger bit that could be written (IHI 0048B, 4.3.5 to 4.3.8 and 4.3.13).
fn is_fixed_sgi<H: Host>(access: &Access<'_, H>, intid: IntId) -> bool {
    access.domain.version == Version::V2 && intid.is_sgi()
}

/// GICD_CTLR: the group enables.
pub(crate) fn ctlr<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    access.domain.ctlr.load(Ordering::Acquire).into()
}

/// A change concerns whatever is pending anywhere: every vCPU looks again. A group that goes off is off once the others have.
pub(crate) fn set_ctlr<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    let domain = access.domain;
    let new = written.value as u32 & ENABLE_GROUPS;
    let old = domain.ctlr.swap(new, Ordering::AcqRel);
    if old == new {
        return;
    }
    access.cur.raise(Flags::LOOK);
    let others = domain.created().filter(|v| v.id() != access.cur.id());
    for v in others.clone() {
        v.raise(Flags::LOOK | Flags::KICKED);
        domain.kick(v);
    }
    if old & !new != 0 {
        let others = others.fold(0, |set, v| set | only(v));
        match domain.version {
            Version::V2 => domain.recall(others),
            Version::V3 => {
                if domain.call_out(others) != 0 {
                    domain.writes.begin();
                }
            }
        }
    }
}

/// `I[SC]ENABLER`.
pub(crate) fn enabled<H: Host>(_: &Access<'_, H>, _: IntId, irq: &Irq) -> u64 {
    irq.state().enabled().into()
}

pub(crate) fn enable<H: Host>(access: &Access<'_, H>, intid: IntId, irq: &Irq) {
    set_enabled(access, intid, irq, true);
}

pub(crate) fn disable<H: Host>(access: &Access<'_, H>, intid: IntId, irq: &Irq) {
    set_enabled(access, intid, irq, false);
}

fn set_enabled<H: Host>(access: &Access<'_, H>, intid: IntId, irq: &Irq, on: bool) {
    if is_fixed_sgi(access, intid) {
        return;
    }
    let domain = access.domain;
    if on && irq.state().hangs_on_line() && !irq.state().own() {
        // In a list register its vCPU asks itself, on its way into the guest; as it does of its own, wherever they are.
        domain.withdraw_fallen(irq, |s| s.place().0 != Place::Lr);
    }
    let (old, new) = domain.post_to(intid, irq, Event::Enable(on));
    if !new.hw() || new.own() || old.enabled() == new.enabled() {
        return;
    }
    if on {
        domain.route_physical(irq);
    }
    // The word first: what arrives as soon as the physical interrupt is enabled is to be delivered. Another vCPU may have
    // changed the word meanwhile; whoever comes last to the physical interrupt applies what stands.
    let may_set_trigger = domain.host.may_set_trigger();
    domain.with_phys(irq, |phys| {
        let state = irq.state();
        if let Some(phys) = phys {
            if state.enabled() && may_set_trigger {
                // The guest may never have written GICD_ICFGR, being content with what it read.
                phys.set_trigger(state.level());
            }
            phys.set_enabled(state.enabled());
        }
    });
}

/// `I[SC]PENDR`.
pub(crate) fn pending<H: Host>(access: &Access<'_, H>, intid: IntId, irq: &Irq) -> u64 {
    let (domain, owner) = (access.domain, access.owner);
    domain.shows_pending(owner, intid, irq).into()
}

/// A hardware-mapped interrupt becomes pending where it comes from, so that its deactivation has something to deactivate.
pub(crate) fn set_pending<H: Host>(access: &Access<'_, H>, intid: IntId, irq: &Irq) {
    if is_fixed_sgi(access, intid) {
        return;
    }
    if access.domain.shares() {
        // What the writer can take itself is seen at once.
        let domain = access.domain;
        domain.read_vmcr(access.cur, &domain.host.cpu());
    }
    let physical = access.domain.with_phys(irq, |phys| {
        if let Some(phys) = phys {
            phys.set_pending(true);
        }
        phys.is_some()
    });
    if !physical {
        access.domain.post_to(intid, irq, Event::SetPending);
    }
}

pub(crate) fn clear_pending<H: Host>(access: &Access<'_, H>, intid: IntId, irq: &Irq) {
    if is_fixed_sgi(access, intid) {
        return;
    }
    // In one hold of the lock, the pending state first: once it is deactivated it could come back otherwise.
    let (new, effect) = access.domain.with_phys(irq, |phys| {
        if let Some(phys) = phys {
            phys.set_pending(false);
        }
        let (_, new, effect) = irq.post(Event::ClearPending);
        if let Some(phys) = phys.filter(|_| effect.contains(Effect::DEACTIVATE)) {
            phys.set_active(false);
        }
        (new, effect.without_phys())
    });
    access.domain.carry_out(intid, irq, new, effect);
    access.domain.tell_owner(new, effect);
}

/// `I[SC]ACTIVER`.
pub(crate) fn active<H: Host>(_: &Access<'_, H>, _: IntId, irq: &Irq) -> u64 {
    irq.state().active().into()
}

pub(crate) fn set_active<H: Host>(access: &Access<'_, H>, intid: IntId, _: &Irq) {
    access
        .domain
        .post_phys(access.owner, intid, Event::SetActive);
}

pub(crate) fn clear_active<H: Host>(access: &Access<'_, H>, intid: IntId, _: &Irq) {
    access
        .domain
        .post_phys(access.owner, intid, Event::ClearActive);
}

/// IPRIORITYR: the upper five bits are there (IHI 0048B, 3.3: at least four; IHI 0069, 4.8: five for a single security state).
pub(crate) fn priority<H: Host>(_: &Access<'_, H>, _: IntId, irq: &Irq) -> u64 {
    u64::from(irq.state().priority5()).wrapping_shl(3)
}

pub(crate) fn set_priority<H: Host>(
    access: &Access<'_, H>,
    intid: IntId,
    irq: &Irq,
    written: Written,
) {
    let event = Event::Priority(written.value as u8);
    access.domain.post_to(intid, irq, event);
}

/// IGROUPR.
pub(crate) fn group1<H: Host>(_: &Access<'_, H>, _: IntId, irq: &Irq) -> u64 {
    irq.state().group1().into()
}

pub(crate) fn set_group1<H: Host>(
    access: &Access<'_, H>,
    intid: IntId,
    irq: &Irq,
    written: Written,
) {
    let event = Event::Group1(written.value != 0);
    access.domain.post_to(intid, irq, event);
}

/// ICFGR: bit 1 is set for edge-triggered interrupts, which SGIs are; bit 0 is reserved.
pub(crate) fn trigger<H: Host>(_: &Access<'_, H>, _: IntId, irq: &Irq) -> u64 {
    if irq.state().level() { 0 } else { 0b10 }
}

/// SGIs are edge-triggered by definition. Whether PPIs can be changed is IMPLEMENTATION DEFINED (IHI 0048B, 4.3.13;
/// IHI 0069, 12.11, GICR_ICFGR1); ours are the timers and the like, which are level-sensitive and stay so.
#[inline]
pub(crate) fn set_trigger<H: Host>(
    access: &Access<'_, H>,
    intid: IntId,
    irq: &Irq,
    written: Written,
) {
    let (state, level) = (irq.state(), written.value & 0b10 == 0);
    // A write is of sixteen, most of which stay as they are.
    if (state.level() != level || state.hw()) && !intid.is_private() {
        change_trigger(access.domain, intid, irq, level);
    }
}

#[inline(never)]
fn change_trigger<H: Host>(domain: &Domain<H>, intid: IntId, irq: &Irq, level: bool) {
    if domain.is_message_spi(intid) {
        return;
    }
    domain.post_to(intid, irq, Event::Trigger { level });
    if irq.state().hw() && domain.host.may_set_trigger() {
        // While it is enabled a change is UNPREDICTABLE in the architecture; ours waits until it is enabled again.
        domain.with_phys(irq, |phys| {
            let state = irq.state();
            if let Some(phys) = phys.filter(|_| !state.enabled()) {
                phys.set_trigger(state.level());
            }
        });
    }
}

/// GICD_ITARGETSR (IHI 0048B, 4.3.12): a bit for each CPU interface. Private interrupts show who reads; with a
/// single CPU all is RAZ/WI.
pub(crate) fn targets<H: Host>(access: &Access<'_, H>, intid: IntId, irq: &Irq) -> u64 {
    if access.domain.vcpus.len() <= 1 {
        0
    } else if intid.is_private() {
        1_u64.wrapping_shl(access.owner.id().raw().into())
    } else {
        irq.state().itargets().into()
    }
}

/// The guest may name several. Bits of CPUs that do not exist are RAZ/WI.
pub(crate) fn set_targets<H: Host>(
    access: &Access<'_, H>,
    intid: IntId,
    irq: &Irq,
    written: Written,
) {
    let domain = access.domain;
    if intid.is_private() || domain.vcpus.len() <= 1 {
        return;
    }
    let byte = written.value as u8 & domain.cpu_interfaces();
    if byte.count_ones() > 1 {
        domain.share(access.cur);
    }
    let routed = irq.update(|s| Some(domain.targeted(s, byte)));
    if let Some((_, new, effect)) = routed {
        domain.routed(intid, irq, new, effect);
    }
}

/// GICD_IROUTER as the guest wrote it.
pub(crate) fn router<H: Host>(access: &Access<'_, H>, intid: IntId, _: &Irq) -> u64 {
    access
        .domain
        .router(intid)
        .map_or(0, |router| router.load(Ordering::Relaxed))
}

/// Two writers, or the writers of two halves, must not leave a value that disagrees with where the interrupt goes: so the
/// configuration lock is held over both. What follows from it is done without.
pub(crate) fn set_router<H: Host>(
    access: &Access<'_, H>,
    intid: IntId,
    irq: &Irq,
    written: Written,
) {
    let domain = access.domain;
    let Some(router) = domain.router(intid) else {
        return;
    };
    if written.value & IRM != 0 {
        domain.share(access.cur);
    }
    let routed = {
        let _masked = domain.mask();
        let _config = domain.config.lock();
        let raw = written.merge(router.load(Ordering::Relaxed)) & ROUTER;
        router.store(raw, Ordering::Relaxed);
        if raw & IRM != 0 {
            irq.update(|s| Some(domain.targeted(s, ANY)))
        } else {
            let target = domain.route(raw);
            irq.update(|s| Some(s.apply(Event::Targets(0, target))))
        }
    };
    if let Some((_, new, effect)) = routed {
        domain.routed(intid, irq, new, effect);
    }
}
