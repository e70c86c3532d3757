// SPDX-License-Identifier: GPL-2.0-only
//! What a person sees who asks why an interrupt does not arrive.

use crate::domain::Domain;
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::irq::{Irq, Place, State};
use crate::lr::Groups;
use crate::sync::Ordering;
use crate::vcpu::{Flags, Vcpu};
use core::fmt::{self, Write};

/// LPIs that are shown of a vCPU: a guest can have 57,344 of them pending.
const MOST_LPIS: usize = 32;

impl<H: Host> Domain<H> {
    /// The state of an interrupt now: of `v`, or of all. Takes no lock and changes nothing.
    #[must_use]
    pub fn state_of(&self, v: Option<&Vcpu<H::Vcpu>>, intid: IntId) -> Option<State> {
        let irq = match v {
            Some(v) => self.irq(v, intid),
            None => self.shared(intid),
        };
        irq.map(Irq::state)
    }

    /// Writes a line for `v`, with vCPU 0 those for the domain and its ITSes before it, and one for each interrupt of it that is pending, active or on one of its lists,
    /// with the reason why a pending one is not being delivered.
    ///
    /// Takes no lock and may run at any time, so it shows each interrupt as it is, but not all at one moment.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn dump(&self, v: &Vcpu<H::Vcpu>, out: &mut impl Write) -> fmt::Result {
        if v.id() == VcpuId::ZERO {
            writeln!(out, "  vGIC: {}", self.totals())?;
            self.dump_itses(out)?;
        }
        let groups = self.group_enables();
        let on = |group1| if groups.has(group1) { "on" } else { "off" };
        let (group0, group1) = (on(false), on(true));
        writeln!(
            out,
            "  vGIC of v{}: Group 0 {group0}, Group 1 {group1}, list registers in use {:#x} of {}, {}{}",
            v.id().raw(),
            v.used.load(Ordering::Relaxed),
            self.list_registers,
            if v.epoch() & 1 != 0 {
                "in the guest"
            } else {
                "out of the guest"
            },
            if v.flags.load(Ordering::Relaxed) & Flags::KICKED.bits() != 0 {
                ", kicked"
            } else {
                ""
            },
        )?;
        let private = (0..IntId::SPI).filter_map(IntId::new);
        let spis = (IntId::SPI..).map_while(IntId::new).take(self.spis.len());
        let espis = (IntId::ESPI..).map_while(IntId::new).take(self.espis.len());
        for intid in private.chain(spis).chain(espis) {
            if let Some(irq) = self.irq(v, intid)
                && concerns(irq.state(), v.id())
            {
                self.dump_irq(v, intid, irq, groups, out)?;
            }
        }
        self.dump_lpis(v, groups, out)
    }

    fn dump_itses(&self, out: &mut impl Write) -> fmt::Result {
        if !self.lpis.exist() {
            return Ok(());
        }
        let (devices, events) = (&self.lpis.devices_left, &self.lpis.events_left);
        writeln!(
            out,
            "  vGIC: {} ITSes, with {} devices of {} and {} events of {} mapped, {} LPIs of {} used",
            self.its.len(),
            devices.taken(),
            devices.most(),
            events.taken(),
            events.most(),
            self.lpis.used(),
            self.lpis.limits().lpis,
        )?;
        self.its
            .iter()
            .try_for_each(|its| its.dump(&self.lpis, out))
    }

    /// The first few LPIs of a vCPU, and how many more there are.
    fn dump_lpis(&self, v: &Vcpu<H::Vcpu>, groups: Groups, out: &mut impl Write) -> fmt::Result {
        if !self.lpis.exist() {
            return Ok(());
        }
        if !v.redist.lpi.enabled() {
            let pending = |s: State| s.pending() && s.is_for(v.id());
            let here = (self.lpis.all(0)).filter(|(_, lpi)| pending(lpi.irq.state()));
            return writeln!(
                out,
                "   LPIs: off in GICR_CTLR; what was pending is in the guest's table, and {} have come since",
                here.count()
            );
        }
        let all = self.lpis.all(0);
        let mut own = all.filter(|(_, lpi)| concerns(lpi.irq.state(), v.id()));
        for (intid, lpi) in own.by_ref().take(MOST_LPIS) {
            self.dump_irq(v, intid, &lpi.irq, groups, out)?;
        }
        match own.count() {
            0 => Ok(()),
            more => writeln!(out, "   LPIs: {more} more"),
        }
    }

    fn dump_irq(
        &self,
        v: &Vcpu<H::Vcpu>,
        intid: IntId,
        irq: &Irq,
        groups: Groups,
        out: &mut impl Write,
    ) -> fmt::Result {
        let s = irq.state();
        let place = match s.place().0 {
            Place::Idle => "on no list",
            Place::Inbox => "in the inbox",
            Place::Ready => "queued",
            Place::Lr => "in a list register",
        };
        write!(
            out,
            "   {:5}: {}{}{}, priority {:#04x}, {place}",
            intid.raw(),
            if s.pending() { "pending " } else { "" },
            if s.active() { "active " } else { "" },
            if s.level() { "level" } else { "edge" },
            s.priority5() << 3,
        )?;
        if s.by_write() {
            write!(out, ", made active by a write")?;
        } else if s.active() && s.ack_priority5() != s.priority5() {
            let acknowledged = s.ack_priority5() << 3;
            write!(out, ", acknowledged with {acknowledged:#04x}")?;
        }
        if s.hw() {
            let owner = match (s.phys(), s.phys_lr()) {
                (true, _) => ", active",
                (_, true) => ", active by the list register",
                _ => "",
            };
            write!(
                out,
                ", physical {}{owner}",
                irq.phys.load(Ordering::Relaxed)
            )?;
        }
        if s.own() {
            let line = match self.own_line(v, intid) {
                Some(true) => "high",
                Some(false) => "low",
                None => "known to its CPU alone",
            };
            write!(out, " of its own CPU, whose line is {line}")?;
        }
        if s.pending() {
            let group_on = groups.has(s.group1());
            let why = if !s.enabled() {
                "not delivered: disabled"
            } else if s.target().is_none() {
                "not delivered: routed to no vCPU"
            } else if !group_on {
                "not delivered: its group is off in GICD_CTLR"
            } else if s.active() {
                "waits for its own deactivation"
            } else if s.misplaced() {
                "on its way to the vCPU it is routed to"
            } else if s.place().0 == Place::Lr {
                "in the guest's hands"
            } else {
                "waits for its vCPU to enter the guest, or for a list register"
            };
            write!(out, "; {why}")?;
        }
        writeln!(out)
    }
}

/// Something to say of the interrupt where `v` is concerned?
fn concerns(s: State, v: VcpuId) -> bool {
    match s.place() {
        (Place::Idle, _) => (s.pending() || s.active()) && s.target().is_none_or(|t| t == v),
        (_, holder) => holder == Some(v),
    }
}
