// SPDX-License-Identifier: GPL-2.0-only
//! A domain is restored: what a stream that was checked says, and what has come meanwhile.

use super::check::Check;
use super::error::{RestoreError, Why};
use super::interface::{AFRESH, RESUMED};
use super::records::{
    CpuInterfaceState, DistributorState, ItsState, LpiState, RedistributorState, SpiState,
};
use super::save::TABLE_BITS;
use super::stream::Framed;
use super::walk::{Checked, Visit};
use super::word::{Word, has, vcpu};
use crate::config::Version;
use crate::domain::Domain;
use crate::host::{Host, PhysIrq};
use crate::intid::IntId;
use crate::irq::{Effect, Irq, State};
use crate::its::Its;
use crate::its::{Prepared, TableFault};
use crate::list::LOTS;
use crate::lpi::Lpi;
use crate::routing::{ANY, IRM, is_shared};
use crate::sync::Ordering;
use crate::vcpu::{Flags, Vcpu};

/// What the records say is done, but for what depends on others.
struct Apply<'a, H: Host>(&'a Domain<H>);

impl<H: Host> Domain<H> {
    /// Restores what was saved, of this domain or of another that is like it. Its vGIC is as after its creation or a reset; what has
    /// come to it since is kept: lines that have risen, latches, what a physical interrupt has brought.
    ///
    /// Process context. No vCPU runs, and no one else is at this or at a reset.
    ///
    /// # Errors
    /// What is wrong, with the stream or with the domain: then that is as it was.
    pub fn restore(&self, stream: &[u8]) -> Result<(), RestoreError> {
        self.check_new()?;
        self.each_record(stream, &mut Check::new(self))?;
        let mut prepared = self.prepare().ok_or(RestoreError {
            record: None,
            instance: 0,
            field: "memory",
            offset: 0,
            why: Why::NoMemory,
        })?;
        self.each_record(stream, &mut Tables(self, &mut prepared))?;
        for owned in [true, false] {
            self.each_record(stream, &mut Room(self, &mut prepared, owned))?;
        }
        // From here on nothing fails.
        self.each_record(stream, &mut Apply(self))?;
        self.adopt_tables(prepared);
        self.each_record(stream, &mut Finish(self))?;
        if self.shares() {
            for v in self.created() {
                v.raise(Flags::LOOK | Flags::SWEEP);
            }
        }
        Ok(())
    }

    /// An LPI that has a word.
    fn revive_lpi(&self, intid: IntId, lpi: &Lpi, state: &LpiState, n: usize) {
        let route = state.route.get(n).and_then(|route| vcpu(*route));
        let target = state.target.get(n).and_then(|target| vcpu(*target));
        if lpi.its().is_none() {
            lpi.set_route(route);
        }
        let priority = state.priority.get(n).copied().unwrap_or_default();
        let latch = has(state.latch, n);
        self.update_lpi(intid, &lpi.irq, |s| {
            let new = s
                .with_mapped(true)
                .with_enabled(has(state.enabled, n))
                .with_priority5(priority >> 3)
                .with_latch(s.latch() || latch)
                .with_target(if latch { target } else { lpi.route() });
            Some(new.settle(s, Effect::empty()))
        });
    }

    /// An SPI, and in the same hold of its lock the physical interrupt behind it.
    fn revive_spi(&self, intid: IntId, irq: &Irq, word: &Word) {
        let may_set_trigger = self.host.may_set_trigger();
        let done = self.with_phys(irq, |phys| {
            let done = irq.update(|s| Some(word.revive(s, None)));
            let Some((phys, (_, new, _))) = phys.zip(done) else {
                return done;
            };
            if may_set_trigger {
                phys.set_trigger(new.level());
            }
            if new.phys() {
                // Before it is enabled: it is active for the guest, and fires when that has ended it.
                phys.set_active(true);
            }
            if word.host_pending && !new.level() {
                phys.set_pending(true);
            }
            phys.set_enabled(new.enabled());
            done
        });
        if let Some((_, new, effect)) = done {
            self.put(intid, irq, new, effect.without_phys());
            self.route_physical(irq);
        }
    }

    /// A private one, whose line may be one that can be looked at.
    fn revive_private(&self, v: &Vcpu<H::Vcpu>, intid: IntId, irq: &Irq, word: &Word) {
        let line = match v.handle() {
            Some(handle) if !intid.is_sgi() && word.level => self.host.line(handle, intid),
            _ => None,
        };
        if let Some((_, new, effect)) = irq.update(|s| Some(word.revive(s, line))) {
            self.put(intid, irq, new, effect);
        }
    }

    /// It goes where its word says. One that is active does not wait in an inbox, as it never does: whoever ends or forgets what a vCPU
    /// has acknowledged (CPU_ON, EOIcount) looks for it in list registers and on its lists.
    fn put(&self, intid: IntId, irq: &Irq, new: State, effect: Effect) {
        let holder = self.carry_out(intid, irq, new, effect);
        if let Some(v) = holder.filter(|_| new.active()) {
            self.dig_out(v, intid, irq, LOTS);
        }
    }
}

impl<H: Host> Visit<H> for Apply<'_, H> {
    fn distributor(&mut self, _: &Framed<'_>, state: &DistributorState) -> Checked {
        self.0.restore_propbaser(state.propbaser);
        self.0.ctlr.store(state.ctlr, Ordering::Release);
        Ok(())
    }

    fn redistributor(
        &mut self,
        _: &Framed<'_>,
        state: &RedistributorState,
        v: &Vcpu<H::Vcpu>,
    ) -> Checked {
        let domain = self.0;
        if domain.version == Version::V3 {
            v.redist.waker.store(state.waker, Ordering::Relaxed);
            domain.takers.awake.put(v.id(), !v.redist.is_asleep());
        }
        let lpi = &v.redist.lpi;
        lpi.pendbaser.store(state.pendbaser, Ordering::Relaxed);
        let on = state.ctlr & 1;
        let bits = match (state.ctlr & TABLE_BITS).wrapping_shr(TABLE_BITS.trailing_zeros()) {
            0 if on != 0 => domain.lpis.table_bits(),
            own => own,
        };
        lpi.table_bits.store(bits, Ordering::Relaxed);
        lpi.enabled.store(on, Ordering::Release);
        for ((n, irq), raw) in v.all_private().iter().enumerate().zip(0..) {
            if let Some(intid) = IntId::new(raw) {
                domain.revive_private(v, intid, irq, &state.word(v.id(), n));
            }
        }
        Ok(())
    }

    fn interface(
        &mut self,
        _: &Framed<'_>,
        state: &CpuInterfaceState,
        v: &Vcpu<H::Vcpu>,
    ) -> Checked {
        let domain = self.0;
        let raw = domain.hardware().restore(state);
        if let (Ok(raw), Some(handle)) = (raw, v.handle()) {
            domain.host.restore_interface(handle, &raw);
            // What it takes is known from now on, as it was.
            domain.vmcr_changed(v, raw.vmcr);
        }
        for (flag, bit) in [(Flags::RESET, AFRESH), (Flags::RESUME, RESUMED)] {
            if state.flags & bit == 0 {
                // A reset would have it start afresh.
                v.flags.fetch_and(!flag.bits(), Ordering::AcqRel);
            } else {
                v.raise(flag);
            }
        }
        // Its own lines are looked at, and whatever hangs on one.
        v.raise(Flags::LOOK | Flags::DIRTY | Flags::LINES | Flags::ORPHAN);
        Ok(())
    }

    fn spis(&mut self, _: &Framed<'_>, state: &SpiState, first: u32, irqs: &[Irq]) -> Checked {
        let domain = self.0;
        for ((n, irq), raw) in irqs.iter().enumerate().zip(first..) {
            let Some(intid) = IntId::new(raw) else {
                continue;
            };
            let mut word = state.word(n);
            if let Some(router) = domain.router(intid) {
                router.store(word.router, Ordering::Relaxed);
            }
            if word.router & IRM != 0 {
                word.targets = ANY;
            }
            if word.targets.count_ones() > 1 {
                domain.one_of_n.store(1, Ordering::Release);
            }
            domain.revive_spi(intid, irq, &word);
            debug_assert_eq!(is_shared(irq.state()), word.targets.count_ones() > 1);
        }
        Ok(())
    }
}

/// The tables of its ITSes are read.
struct Tables<'a, H: Host>(&'a Domain<H>, &'a mut Prepared);

impl<H: Host> Visit<H> for Tables<'_, H> {
    fn its(&mut self, framed: &Framed<'_>, state: &ItsState, _: &Its) -> Checked {
        let Self(domain, prepared) = self;
        let read = domain.read_tables(prepared, framed.instance.into(), state.registers());
        read.map_err(|error| {
            log::warn!("{}: {error}", domain.host.name());
            let (field, why) = match error.why {
                TableFault::NoMemory => ("baser", Why::NoMemory),
                TableFault::Limit => ("baser", Why::Limit),
                _ => ("baser", Why::Tables),
            };
            framed.wrong::<ItsState>(field, why)
        })
    }
}

/// Room is made for LPIs that have no event in a table which was read: those that an ITS has that is disabled, and those that none has.
struct Room<'a, H: Host>(&'a Domain<H>, &'a mut Prepared, bool);

impl<H: Host> Visit<H> for Room<'_, H> {
    fn lpis(&mut self, framed: &Framed<'_>, state: &LpiState, first: u32) -> Checked {
        let Self(domain, prepared, owned) = self;
        let those = if *owned { state.owned } else { !state.owned };
        let these = state.mapped & those;
        if these == 0 {
            return Ok(());
        }
        for (n, raw) in (0..32_usize).zip(first..) {
            let Some(intid) = IntId::new(raw).filter(|_| has(these, n)) else {
                continue;
            };
            let room = domain.prepare_lpi(prepared, intid, *owned);
            room.map_err(|fault| {
                let why = match fault {
                    TableFault::NoMemory => Why::NoMemory,
                    TableFault::Limit => Why::Limit,
                    _ => Why::Mismatch,
                };
                framed.wrong::<LpiState>("mapped", why)
            })?;
        }
        Ok(())
    }
}

/// What depends on all the others: LPIs.
struct Finish<'a, H: Host>(&'a Domain<H>);

impl<H: Host> Visit<H> for Finish<'_, H> {
    fn lpis(&mut self, _: &Framed<'_>, state: &LpiState, first: u32) -> Checked {
        for (n, raw) in (0..32_usize)
            .zip(first..)
            .filter(|(n, _)| has(state.mapped, *n))
        {
            let intid = IntId::new(raw);
            let found = intid.and_then(|intid| Some((intid, self.0.lpis.get(intid)?)));
            if let Some((intid, lpi)) = found {
                self.0.revive_lpi(intid, lpi, state, n);
            }
        }
        Ok(())
    }
}
