// SPDX-License-Identifier: GPL-2.0-only
//! Where an SPI goes: GICD_ITARGETSR (IHI 0048B, 4.3.12), GICD_IROUTER (IHI 0069, 12.9), and the 1 of N model
//! (IHI 0069, 3.2.3): of several vCPUs that may take an interrupt, one does.
//!
//! TARGET in the word is a single vCPU at any time. For an interrupt that several may take it is chosen when the route is
//! written, and again when the interrupt becomes pending, when it is to wait for a list register, and when its vCPU goes
//! to sleep (GICR_WAKER). A host need not say when a vCPU is switched off: then the next injection finds out. What is
//! pending there and is not injected again waits until the vCPU is switched on.

use crate::config::Version;
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::irq::{Event, Irq, Place, State, Target};
use crate::sync::Ordering;
use crate::vcpu::Vcpu;

/// GICD_IROUTER.Interrupt_Routing_Mode: any vCPU.
pub(crate) const IRM: u64 = 1 << 31;

/// GICD_IROUTER: the bits that are there, Aff3, IRM, Aff2, Aff1 and Aff0.
pub(crate) const ROUTER: u64 = 0xff_00ff_ffff | IRM;

impl<H: Host> Domain<H> {
    /// Where this value of GICD_IROUTER sends an interrupt: nowhere, if no vCPU has the affinity.
    pub(crate) fn route(&self, router: u64, group1: bool) -> Target {
        if router & IRM != 0 {
            self.one_of_n.store(1, Ordering::Relaxed);
            return self.one_of(self.created(), group1);
        }
        let affinity = router as u32 & 0xff_ffff | (router >> 8) as u32 & 0xff00_0000;
        VcpuId::from_affinity(affinity).filter(|id| self.vcpu(*id).is_some())
    }

    /// Where this byte of GICD_ITARGETSR sends an interrupt: nowhere, if it names no vCPU.
    pub(crate) fn route_to_set(&self, byte: u8, group1: bool) -> Target {
        if !byte.is_power_of_two() && byte != 0 {
            self.one_of_n.store(1, Ordering::Relaxed);
        }
        let named = |v: &&Vcpu<H::Vcpu>| {
            let bit = 1_u8.checked_shl(v.id().raw().into());
            bit.is_some_and(|bit| byte & bit != 0)
        };
        self.one_of(self.created().filter(named), group1)
    }

    /// The one that has the least against it; of several the lowest.
    fn one_of<'a>(
        &self,
        candidates: impl Iterator<Item = &'a Vcpu<H::Vcpu>>,
        group1: bool,
    ) -> Target
    where
        H: 'a,
    {
        let best = candidates.min_by_key(|v| self.obstacles(v, group1));
        best.map(Vcpu::id)
    }

    /// What keeps the vCPU from taking an interrupt of this group, the worst first: it is switched off, its redistributor sleeps,
    /// the group was off at its CPU interface when that was last seen.
    fn obstacles(&self, v: &Vcpu<H::Vcpu>, group1: bool) -> [bool; 3] {
        let asleep = self.version == Version::V3 && v.redist.is_asleep();
        let on = self.format.vmcr(v.vmcr.load(Ordering::Relaxed)).groups;
        [self.is_off(v), asleep, !on.has(group1)]
    }

    fn is_off(&self, v: &Vcpu<H::Vcpu>) -> bool {
        !v.handle().is_some_and(|handle| self.host.is_online(handle))
    }

    /// Where an interrupt that several vCPUs may take would best go now; `None` if its route leaves no choice.
    fn choose(&self, intid: IntId, s: State) -> Option<Target> {
        if self.one_of_n.load(Ordering::Relaxed) == 0 || intid.is_private() {
            return None;
        }
        match self.version {
            Version::V2 => {
                let set = s.itargets();
                (set.count_ones() > 1).then(|| self.route_to_set(set, s.group1()))
            }
            Version::V3 => {
                let router = self.router(intid)?.load(Ordering::Relaxed);
                (router & IRM != 0).then(|| self.route(router, s.group1()))
            }
        }
    }

    /// The interrupt is about to become pending: if several vCPUs may take it, one that can take it now is chosen; also for one
    /// that is pending already, for a vCPU that has been switched off since.
    pub(crate) fn choose_target(&self, intid: IntId, irq: &Irq) {
        let s = irq.state();
        let target = s.target().and_then(|id| self.slot(id));
        if s.place().0 == Place::Idle || target.is_some_and(|v| self.is_off(v)) {
            self.choose_again(intid, irq);
        }
    }

    /// The redistributor of `v` goes to sleep: what others may take as well goes to them.
    pub(crate) fn fell_asleep(&self, v: &Vcpu<H::Vcpu>) {
        if self.one_of_n.load(Ordering::Relaxed) == 0 {
            return;
        }
        let spis = self.spis.iter().zip(IntId::SPI..);
        let espis = self.espis.iter().zip(IntId::ESPI..);
        for (irq, raw) in spis.chain(espis) {
            if irq.state().target() == Some(v.id())
                && let Some(intid) = IntId::new(raw)
            {
                self.choose_again(intid, irq);
            }
        }
    }

    fn choose_again(&self, intid: IntId, irq: &Irq) {
        if let Some(target) = self.choose(intid, irq.state()) {
            let (old, new, effect) = irq.post(Event::Route(target));
            if old != new {
                self.carry_out(intid, irq, new, effect);
                self.route_physical(irq);
            }
        }
    }

    /// The interrupt is to wait for `v`, which may not be able to take it: then it is passed on, if that may be.
    pub(crate) fn pass_on(&self, v: &Vcpu<H::Vcpu>, intid: u16, s: State) -> State {
        if self.one_of_n.load(Ordering::Relaxed) == 0
            || s.active()
            || s.target() != Some(v.id())
            || self.obstacles(v, s.group1()) == [false; 3]
        {
            return s;
        }
        match IntId::new(intid.into()).and_then(|intid| self.choose(intid, s)) {
            Some(target) => s.with_target(target),
            None => s,
        }
    }
}

#[cfg(test)]
mod tests;
