// SPDX-License-Identifier: GPL-2.0-only
//! Reset: a domain's vGIC as after power-on (IHI 0048B, 4.3 and 4.4; IHI 0069, 12.9 to 12.11 and 12.19), whatever it was at.
//!
//! No vCPU of the domain runs meanwhile, but hosts' interrupts and device models do go on: what they bring is injected as at any
//! time, in any context. So nothing here is wiped. First each word becomes what it was when it was made, by compare-exchange
//! and where it is; then what the lists and list registers hold is taken off them as at any time, and as nothing of it can be
//! delivered any more it ends on no list. What comes for an interrupt whose word has been reset is as if it came afterwards.
//!
//! # What stays
//!
//! * What the vGIC was made to be: frames, numbers, limits, which SPIs messages make pending, what is mapped to which physical
//!   interrupt. That one is disabled and neither pending nor active, as of a guest that has not enabled it yet.
//! * The level of a line, which is the device's.
//! * Pages of LPIs ([`crate::lpi`]), which count against the limit as before.
//! * Counters, and how many of the guest's mistakes have been told: they are of the domain, and a guest is to have no way to begin
//!   anew with those.
//! * What list registers are known to have: the next entry of the vCPU writes over it, and its CPU interface starts afresh then,
//!   as after PSCI CPU_ON.

use crate::config::Version;
use crate::domain::Domain;
use crate::host::{Host, PhysIrq};
use crate::intid::IntId;
use crate::irq::{Effect, Irq, NIL};
use crate::list::{BATCH, Class};
use crate::progress::Progress;
use crate::slots::{bit, bits};
use crate::sync::Ordering;
use crate::vcpu::{Flags, Vcpu, private_at_reset};

/// Words after which a call begins nothing more; and what other things count. `tests/budget.rs` has what a call may cost.
const ENOUGH: u32 = 2048;
/// An SPI, whose physical interrupt may have to be seen to.
const SPI_COST: u32 = 4;
/// A lot of what is on a vCPU's lists.
const LOT_COST: u32 = 512;

const CLASSES: [Class; 4] = [Class::Group0, Class::Group1, Class::Active, Class::ByWrite];

/// What is gone through, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Nothing is forwarded, and no LPI taken, any more.
    Off,
    Itses,
    Lpis,
    Spis,
    /// SGIs and PPIs.
    Private,
    /// What is on the lists of each vCPU and in its list registers, and the rest of it.
    Lists,
    /// What is known of the vCPUs together.
    Rest,
}

impl Stage {
    const ALL: [Self; 7] = [
        Self::Off,
        Self::Itses,
        Self::Lpis,
        Self::Spis,
        Self::Private,
        Self::Lists,
        Self::Rest,
    ];
}

/// How far a part of a stage has got.
enum Step {
    /// The stage is done, and so much with it.
    End(u32),
    /// It goes on with this one; so much was done.
    Next(u32, u32),
    /// Not in this call.
    Wait,
}

impl<H: Host> Domain<H> {
    /// The whole vGIC is as it was made, from any state; what the host has mapped to physical interrupts stays mapped. Guest memory
    /// is not touched.
    ///
    /// Process context. No vCPU of the domain runs, from the first call until one has said [`Progress::Done`]; whoever injects
    /// may do so meanwhile. [`Progress::Again`]: there is more, or another is at it; this is to be called again.
    #[must_use = "it may not be done yet"]
    pub fn reset(&self) -> Progress {
        self.reset_by(ENOUGH)
    }

    /// The same, as far as one call goes that begins nothing more after so many words.
    fn reset_by(&self, enough: u32) -> Progress {
        if !self.resetting.begin() {
            return Progress::Again;
        }
        let progress = self.reset_on(enough);
        self.resetting.end();
        progress
    }

    /// Only for who has begun it.
    fn reset_on(&self, enough: u32) -> Progress {
        let mut done = 0_u32;
        while done < enough {
            let (number, next) = self.resetting.at();
            let Some(stage) = Stage::ALL.get(number as usize) else {
                self.resetting.set(0, 0);
                return Progress::Done;
            };
            match self.reset_step(*stage, next) {
                Step::End(cost) => {
                    self.resetting.set(number.wrapping_add(1), 0);
                    done = done.saturating_add(cost);
                }
                Step::Next(next, cost) => {
                    self.resetting.set(number, next);
                    done = done.saturating_add(cost);
                }
                Step::Wait => return Progress::Again,
            }
        }
        Progress::Again
    }

    fn reset_step(&self, stage: Stage, next: u32) -> Step {
        match stage {
            Stage::Off => {
                self.reset_enables();
                Step::End(0)
            }
            Stage::Itses if self.reset_itses() == Progress::Again => Step::Wait,
            // They have a budget of their own, as in a trap.
            Stage::Itses if self.lpis.exist() => Step::End(ENOUGH),
            Stage::Itses => Step::End(0),
            Stage::Lpis => match self.reset_lpis(next) {
                Some((next, looked)) => Step::Next(next, looked),
                None => Step::End(0),
            },
            Stage::Spis => match self.spi_at(next) {
                Some((intid, irq)) => {
                    self.reset_spi(intid, irq);
                    Step::Next(next.wrapping_add(1), SPI_COST)
                }
                // There are more SPIs in their table than there are numbers.
                None if next < self.spis_and_espis() => Step::Next(next.wrapping_add(1), 1),
                None => Step::End(0),
            },
            Stage::Private => self.of_vcpu(next, |v| {
                self.reset_private(v);
                Step::Next(next.wrapping_add(1), IntId::SPI)
            }),
            Stage::Lists => self.of_vcpu(next, |v| self.reset_lists(v, next)),
            Stage::Rest => {
                self.one_of_n.store(0, Ordering::Release);
                // A redistributor sleeps at reset.
                self.takers.renew(self.version == Version::V2);
                self.writes.renew();
                Step::End(0)
            }
        }
    }

    /// vCPU number `next`, created or not.
    fn of_vcpu(&self, next: u32, step: impl FnOnce(&Vcpu<H::Vcpu>) -> Step) -> Step {
        self.vcpus.get(next as usize).map_or(Step::End(0), step)
    }

    fn reset_enables(&self) {
        self.ctlr.store(0, Ordering::Release);
        for v in &self.vcpus {
            v.redist.renew();
        }
        self.reset_lpi_registers();
    }

    /// The word, and in the same hold of its lock the physical interrupt: what has fired before is over, and what fires after is
    /// pending as of a new one.
    fn reset_spi(&self, intid: IntId, irq: &Irq) {
        if let Some(router) = self.router(intid) {
            router.store(0, Ordering::Relaxed);
        }
        let new = self.at_reset(intid);
        // What messages make pending has none.
        let has_line = !self.is_message_spi(intid);
        let may_set_trigger = self.host.may_set_trigger();
        self.with_phys(irq, |phys| {
            let done = irq.update(|s| Some(s.renewed(new.with_line(has_line && s.line()))));
            let Some((phys, (.., effect))) = phys.zip(done) else {
                return;
            };
            phys.set_enabled(false);
            // In this order, as in GICD_ICPENDR.
            phys.set_pending(false);
            if effect.contains(Effect::DEACTIVATE) {
                phys.set_active(false);
            }
            if may_set_trigger {
                phys.set_trigger(new.level());
            }
        });
    }

    /// Those that are mapped to PPIs have none that is active: the vCPU is on no CPU.
    fn reset_private(&self, v: &Vcpu<H::Vcpu>) {
        let group1 = self.version == Version::V3;
        for (n, irq) in v.all_private().iter().enumerate() {
            let new = private_at_reset(v.id(), group1, n);
            let has_line = !new.sgi();
            irq.update(|s| {
                let (new, effect) = s.renewed(new.with_line(has_line && s.line()));
                debug_assert!(effect.is_empty(), "nobody else's");
                Some((new, ()))
            });
        }
    }

    /// A lot of what is on the lists, and all that is in list registers; what is left can be delivered, by what has come since.
    fn reset_lists(&self, v: &Vcpu<H::Vcpu>, n: u32) -> Step {
        // As in [`Domain::visit`].
        v.raise(Flags::LOOK);
        if v.is_in_guest() {
            return Step::Wait;
        }
        self.count_eoimode(v, false);
        let more = self.with_lists(v, |lists, moved| {
            self.drain(v, lists, moved);
            for n in bits(v.used.load(Ordering::Relaxed)) {
                let Some((slot, intid, irq)) = self.occupant(v, n) else {
                    continue;
                };
                if self.rehome(v, intid, irq, lists, moved) {
                    self.empty_slot(v, n, slot);
                } else {
                    // Of a physical interrupt that has come since: the next entry deactivates it.
                    v.set_stale(bit(n));
                }
            }
            if lists.unsorted() != 0 {
                return true;
            }
            let mut lot = [NIL; BATCH];
            let mut taken = 0_usize;
            for place in &mut lot {
                let first = CLASSES.into_iter().find_map(|class| lists.first(class));
                let Some((intid, irq)) = first.and_then(|(_, n)| Some((n, self.node(v, n)?)))
                else {
                    break;
                };
                lists.remove(irq, |n| self.node(v, n));
                *place = intid;
                taken = taken.wrapping_add(1);
            }
            for &intid in lot.iter().take(taken) {
                if let Some(irq) = self.node(v, intid) {
                    self.rehome(v, intid, irq, lists, moved);
                }
            }
            // What comes back to them is less than a lot: SGIs of a GICv2, which are enabled.
            let more = taken == BATCH;
            if !more {
                v.renew();
            }
            more
        });
        let next = if more { n } else { n.wrapping_add(1) };
        Step::Next(next, LOT_COST)
    }
}

#[cfg(test)]
mod tests;
