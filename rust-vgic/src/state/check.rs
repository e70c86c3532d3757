// SPDX-License-Identifier: GPL-2.0-only
//! A stream is checked: whether it is of such a domain as this, and whether what it says can be.

use super::error::{RestoreError, Why};
use super::records::{
    CpuInterfaceState, DistributorState, HeaderState, ItsState, LpiState, MsiFrameState, NOBODY,
    RedistributorState, SpiState,
};
use super::save::TABLE_BITS;
use super::stream::Framed;
use super::walk::{Checked, Visit};
use super::word::Word;
use crate::config::Version;
use crate::distributor::ENABLE_GROUPS;
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::irq::Irq;
use crate::its::Its;
use crate::lpi::{PENDBASER_MASK, PROPBASER_MASK};
use crate::routing::{IRM, ROUTER};
use crate::vcpu::{PROCESSOR_SLEEP, Vcpu};

/// The check of a stream.
pub(super) struct Check<'a, H: Host> {
    domain: &'a Domain<H>,
    /// GICR_PROPBASER.IDbits of the stream, which has that before its redistributors.
    table_bits: u32,
}

impl<'a, H: Host> Check<'a, H> {
    pub(super) fn new(domain: &'a Domain<H>) -> Self {
        Self {
            domain,
            table_bits: 0,
        }
    }

    /// Is there such a vCPU, or is it none?
    fn is_vcpu(&self, raw: u8) -> bool {
        raw == NOBODY || usize::from(raw) < self.domain.vcpus.len()
    }

    fn v2(&self) -> bool {
        self.domain.version == Version::V2
    }

    /// Where an SPI goes agrees with what it is routed to.
    fn check_route(&self, word: &Word) -> Result<(), (&'static str, Why)> {
        let target = super::word::vcpu(word.target);
        if !self.is_vcpu(word.target) {
            return Err(("target", Why::Value));
        }
        if !self.is_vcpu(word.holder) {
            return Err(("holder", Why::Value));
        }
        if self.v2() {
            if word.router != 0 {
                return Err(("router", Why::Value));
            }
            if word.targets & !self.domain.cpu_interfaces() != 0 {
                return Err(("targets", Why::Value));
            }
            let one = VcpuId::new(word.targets.trailing_zeros()).filter(|_| word.targets != 0);
            let mine = 1_u8.checked_shl(word.target.into()).unwrap_or(0);
            let right = if word.targets.count_ones() > 1 {
                target.is_none() || word.targets & mine != 0
            } else {
                target == one
            };
            return if right {
                Ok(())
            } else {
                Err(("target", Why::Contradiction))
            };
        }
        if word.targets != 0 {
            return Err(("targets", Why::Value));
        }
        if word.router & !ROUTER != 0 {
            return Err(("router", Why::Value));
        }
        if word.router & IRM == 0 && target != self.domain.route(word.router) {
            return Err(("target", Why::Contradiction));
        }
        Ok(())
    }

    fn check_spi(&self, word: &Word, intid: IntId) -> Result<(), (&'static str, Why)> {
        word.check()?;
        if word.level && self.domain.is_message_spi(intid) {
            return Err(("level", Why::Value));
        }
        self.check_route(word)
    }
}

/// Names the field of the record that is wrong.
fn name<S: super::stream::State>(
    framed: &Framed<'_>,
    sound: Result<(), (&'static str, Why)>,
) -> Checked {
    sound.map_err(|(field, why)| framed.wrong::<S>(field, why))
}

impl<H: Host> Visit<H> for Check<'_, H> {
    fn header(&mut self, framed: &Framed<'_>, state: &HeaderState) -> Checked {
        let own = self.domain.header();
        let fields = [
            ("magic", state.magic, own.magic, Why::Value),
            ("stream", state.stream, own.stream, Why::Version),
            ("model", state.model, own.model, Why::Mismatch),
            ("iidr", state.iidr, own.iidr, Why::Mismatch),
            (
                "abi_revision",
                state.abi_revision,
                own.abi_revision,
                Why::Mismatch,
            ),
            ("gic", state.gic, own.gic, Why::Mismatch),
            ("vcpus", state.vcpus, own.vcpus, Why::Mismatch),
            ("spis", state.spis, own.spis, Why::Mismatch),
            ("espis", state.espis, own.espis, Why::Mismatch),
            ("id_bits", state.id_bits, own.id_bits, Why::Mismatch),
            ("itses", state.itses, own.itses, Why::Mismatch),
            ("reserved", state.reserved, 0, Why::Reserved),
        ];
        let wrong = fields.iter().find(|(_, has, is, _)| has != is);
        if let Some((field, .., why)) = wrong {
            return Err(framed.wrong::<HeaderState>(field, *why));
        }
        // What there can be: four to eight.
        if !(4..=8).contains(&state.priority_bits) {
            return Err(framed.wrong::<HeaderState>("priority_bits", Why::Value));
        }
        Ok(())
    }

    fn distributor(&mut self, framed: &Framed<'_>, state: &DistributorState) -> Checked {
        let wrong = |field| framed.wrong::<DistributorState>(field, Why::Value);
        let propbaser = if self.domain.lpis.exist() {
            PROPBASER_MASK
        } else {
            0
        };
        if state.ctlr & !ENABLE_GROUPS != 0 {
            Err(wrong("ctlr"))
        } else if state.propbaser & !propbaser != 0 {
            Err(wrong("propbaser"))
        } else {
            self.table_bits = state.propbaser as u32 & 0x1f;
            Ok(())
        }
    }

    fn redistributor(
        &mut self,
        framed: &Framed<'_>,
        state: &RedistributorState,
        v: &Vcpu<H::Vcpu>,
    ) -> Checked {
        let lpis = self.domain.lpis.exist();
        let sleep = if self.v2() { 0 } else { PROCESSOR_SLEEP };
        let pendbaser = if lpis { PENDBASER_MASK } else { 0 };
        let ctlr = match state.ctlr & 1 {
            0 => 0,
            _ if lpis => 1 | TABLE_BITS,
            _ => 0,
        };
        let own = (state.ctlr & TABLE_BITS).wrapping_shr(TABLE_BITS.trailing_zeros());
        let rules = [
            (state.ctlr & !ctlr != 0, "ctlr", Why::Value),
            // Only where it is another one.
            (
                own != 0 && own == self.table_bits.max(1),
                "ctlr",
                Why::Contradiction,
            ),
            (state.waker & !sleep != 0, "waker", Why::Value),
            (state.reserved != 0, "reserved", Why::Reserved),
            (state.reserved2 != 0, "reserved2", Why::Reserved),
            (state.pendbaser & !pendbaser != 0, "pendbaser", Why::Value),
        ];
        if let Some((_, field, why)) = rules.iter().find(|(wrong, ..)| *wrong) {
            return Err(framed.wrong::<RedistributorState>(field, *why));
        }
        let interfaces = self.domain.cpu_interfaces();
        for n in 0..v.all_private().len() {
            let word = state.word(v.id(), n);
            let sgi = n < IntId::PPI as usize;
            let sound = word.check_private(sgi, self.v2(), interfaces);
            name::<RedistributorState>(framed, sound)?;
        }
        Ok(())
    }

    fn interface(
        &mut self,
        framed: &Framed<'_>,
        state: &CpuInterfaceState,
        _: &Vcpu<H::Vcpu>,
    ) -> Checked {
        let sound = self.domain.hardware().restore(state).map(|_| ());
        name::<CpuInterfaceState>(framed, sound)
    }

    fn spis(&mut self, framed: &Framed<'_>, state: &SpiState, first: u32, irqs: &[Irq]) -> Checked {
        for (field, value) in [("reserved", state.reserved), ("reserved2", state.reserved2)] {
            if value != 0 {
                return Err(framed.wrong::<SpiState>(field, Why::Reserved));
            }
        }
        for (n, raw) in (0..irqs.len()).zip(first..) {
            let word = state.word(n);
            let sound = match IntId::new(raw) {
                Some(intid) => self.check_spi(&word, intid),
                None => word.check_absent(),
            };
            name::<SpiState>(framed, sound)?;
        }
        Ok(())
    }

    fn lpis(&mut self, framed: &Framed<'_>, state: &LpiState, _: u32) -> Checked {
        let wrong = |field, why| framed.wrong::<LpiState>(field, why);
        let contradictions = [
            ("enabled", state.enabled),
            ("latch", state.latch),
            ("owned", state.owned),
        ];
        if state.reserved != 0 {
            return Err(wrong("reserved", Why::Reserved));
        }
        if state.mapped == 0 {
            return Err(wrong("mapped", Why::Value));
        }
        for (field, bits) in contradictions {
            if bits & !state.mapped != 0 {
                return Err(wrong(field, Why::Contradiction));
            }
        }
        if state.owned != 0 && self.domain.its.is_empty() {
            return Err(wrong("owned", Why::Mismatch));
        }
        let priorities = state.priority.iter();
        for (n, ((priority, target), route)) in
            priorities.zip(&state.target).zip(&state.route).enumerate()
        {
            let mapped = state.mapped.wrapping_shr(n as u32) & 1 != 0;
            let pending = state.latch.wrapping_shr(n as u32) & 1 != 0;
            if *priority & 7 != 0 || !mapped && *priority != 0 {
                return Err(wrong("priority", Why::Value));
            }
            if !self.is_vcpu(*route) || !mapped && *route != NOBODY {
                return Err(wrong("route", Why::Value));
            }
            if !self.is_vcpu(*target) || !mapped && *target != NOBODY {
                return Err(wrong("target", Why::Value));
            }
            if !pending && target != route {
                return Err(wrong("target", Why::Contradiction));
            }
        }
        Ok(())
    }

    fn its(&mut self, framed: &Framed<'_>, state: &ItsState, its: &Its) -> Checked {
        let sound = its.check(state);
        name::<ItsState>(framed, sound)
    }

    fn msi_frame(&mut self, framed: &Framed<'_>, state: &MsiFrameState) -> Checked {
        let own = self.domain.msi_frame;
        let (base, count) = own.map_or((0, 0), |frame| (frame.base, frame.count));
        let rules = [
            (state.base != base, "base", Why::Mismatch),
            (state.count != count, "count", Why::Mismatch),
            (state.reserved != 0, "reserved", Why::Reserved),
        ];
        match rules.iter().find(|(wrong, ..)| *wrong) {
            Some((_, field, why)) => Err(framed.wrong::<MsiFrameState>(field, *why)),
            None => Ok(()),
        }
    }
}

impl<H: Host> Domain<H> {
    /// Is the vGIC as after its creation or a reset, but for what has come since?
    pub(super) fn check_new(&self) -> Checked {
        let busy = |field| RestoreError {
            record: None,
            instance: 0,
            field,
            offset: 0,
            why: Why::Busy,
        };
        if self.vcpus.iter().any(|v| v.is_in_guest()) {
            return Err(busy("a vCPU runs"));
        }
        let group1 = self.version == Version::V3;
        if !self.group_enables().is_empty() || self.propbaser() != 0 {
            return Err(busy("GICD_CTLR or GICR_PROPBASER is not 0"));
        }
        for v in &self.vcpus {
            let private = v.all_private().iter().enumerate();
            let mut private =
                private.map(|(n, irq)| (irq, crate::vcpu::private_at_reset(v.id(), group1, n)));
            if !v.redist.is_new() || !private.all(|(irq, reset)| is_new(irq, reset)) {
                return Err(busy("a redistributor is in use"));
            }
        }
        for n in 0..self.spis_and_espis() {
            if let Some((intid, irq)) = self.spi_at(n) {
                let router = self.router(intid);
                let routed = router.is_some_and(|r| r.load(crate::sync::Ordering::Relaxed) != 0);
                if routed || !is_new(irq, self.at_reset(intid)) {
                    return Err(busy("an SPI is in use"));
                }
            }
        }
        let mut lpis = self.lpis.all(IntId::LPI);
        if lpis.any(|(_, lpi)| lpi.irq.state().mapped()) || !self.its.iter().all(Its::is_new) {
            return Err(busy("an ITS is in use"));
        }
        Ok(())
    }
}

/// Is it as at reset but for what may have come to it, and for being connected?
fn is_new(irq: &Irq, reset: crate::irq::State) -> bool {
    let s = irq.state();
    let mut plain = s
        .with_latch(reset.latch())
        .with_line(reset.line())
        .with_hw(false)
        .with_own(false)
        .with_phys(false)
        .with_pended(false)
        .with_seen(false);
    if plain.sgi() {
        plain = plain
            .with_sources(0)
            .with_lr_source(0)
            .with_active_source(0);
    }
    plain.idle().bits() == reset.idle().bits()
}
