// SPDX-License-Identifier: GPL-2.0-only
//! One interrupt: what a record says of it, whether it can, and what its word becomes.

use super::error::Why;
use super::records::{NOBODY, RedistributorState, SpiState};
use crate::intid::VcpuId;
use crate::irq::{Effect, Place, State, Target};

/// What a record says of an interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word {
    pub(super) group1: bool,
    pub(super) enabled: bool,
    pub(super) level: bool,
    pub(super) latch: bool,
    pub(super) line: bool,
    pub(super) active: bool,
    pub(super) by_write: bool,
    pub(super) ack_group1: bool,
    pub(super) pended: bool,
    pub(super) connected: bool,
    pub(super) held: bool,
    pub(super) host_pending: bool,
    pub(super) priority: u8,
    pub(super) ack_priority: u8,
    pub(super) sources: u8,
    pub(super) active_source: u8,
    pub(super) targets: u8,
    pub(super) target: u8,
    pub(super) holder: u8,
    pub(super) router: u64,
}

/// Bit n of a field.
pub(super) fn has(bits: u32, n: usize) -> bool {
    bits.wrapping_shr(n as u32) & 1 != 0
}

fn at<T: Copy + Default>(array: &[T], n: usize) -> T {
    array.get(n).copied().unwrap_or_default()
}

impl RedistributorState {
    /// What it says of private interrupt `n` of vCPU `id`.
    pub(super) fn word(&self, id: VcpuId, n: usize) -> Word {
        let active = has(self.active, n);
        Word {
            group1: has(self.group, n),
            enabled: has(self.enabled, n),
            level: has(self.level, n),
            latch: has(self.latch, n),
            line: has(self.line, n),
            active,
            by_write: has(self.by_write, n),
            ack_group1: has(self.ack_group, n),
            pended: has(self.pended, n),
            connected: has(self.connected, n),
            held: has(self.held, n),
            host_pending: false,
            priority: at(&self.priority, n),
            ack_priority: at(&self.ack_priority, n),
            sources: at(&self.sources, n),
            active_source: at(&self.active_source, n),
            targets: 0,
            target: id.raw(),
            holder: if active { id.raw() } else { NOBODY },
            router: 0,
        }
    }
}

impl SpiState {
    /// What it says of its `n`-th.
    pub(super) fn word(&self, n: usize) -> Word {
        Word {
            group1: has(self.group, n),
            enabled: has(self.enabled, n),
            level: has(self.level, n),
            latch: has(self.latch, n),
            line: has(self.line, n),
            active: has(self.active, n),
            by_write: has(self.by_write, n),
            ack_group1: has(self.ack_group, n),
            pended: false,
            connected: has(self.connected, n),
            held: has(self.held, n),
            host_pending: has(self.host_pending, n),
            priority: at(&self.priority, n),
            ack_priority: at(&self.ack_priority, n),
            sources: 0,
            active_source: 0,
            targets: at(&self.targets, n),
            target: at(&self.target, n),
            holder: at(&self.holder, n),
            router: at(&self.router, n),
        }
    }
}

/// The field that is wrong, and why.
pub(super) type Sound = Result<(), (&'static str, Why)>;

impl Word {
    /// Of an interrupt that there is not.
    pub(super) const NONE: Self = Self {
        group1: false,
        enabled: false,
        level: false,
        latch: false,
        line: false,
        active: false,
        by_write: false,
        ack_group1: false,
        pended: false,
        connected: false,
        held: false,
        host_pending: false,
        priority: 0,
        ack_priority: 0,
        sources: 0,
        active_source: 0,
        targets: 0,
        target: NOBODY,
        holder: NOBODY,
        router: 0,
    };

    /// The first of these that holds is what is wrong.
    fn none(rules: &[(bool, &'static str, Why)]) -> Sound {
        match rules.iter().find(|(holds, ..)| *holds) {
            Some((_, field, why)) => Err((field, *why)),
            None => Ok(()),
        }
    }

    /// Nothing of it is other than of one that there is not.
    pub(super) fn check_absent(&self) -> Sound {
        let none = Self::NONE;
        let wrong = |differs, field| (differs, field, Why::Value);
        Self::none(&[
            wrong(self.group1, "group"),
            wrong(self.enabled, "enabled"),
            wrong(self.level, "level"),
            wrong(self.latch, "latch"),
            wrong(self.line, "line"),
            wrong(self.active, "active"),
            wrong(self.by_write, "by_write"),
            wrong(self.ack_group1, "ack_group"),
            wrong(self.connected, "connected"),
            wrong(self.held, "held"),
            wrong(self.host_pending, "host_pending"),
            wrong(self.priority != 0, "priority"),
            wrong(self.ack_priority != 0, "ack_priority"),
            wrong(self.targets != 0, "targets"),
            wrong(self.target != none.target, "target"),
            wrong(self.holder != none.holder, "holder"),
            wrong(self.router != 0, "router"),
        ])
    }

    /// What holds of any.
    pub(super) fn check(&self) -> Sound {
        let acknowledged = self.active && !self.by_write;
        Self::none(&[
            (self.priority & 7 != 0, "priority", Why::Value),
            (
                self.by_write && !self.active,
                "by_write",
                Why::Contradiction,
            ),
            (
                self.ack_group1 && !acknowledged,
                "ack_group",
                Why::Contradiction,
            ),
            (self.ack_priority & 7 != 0, "ack_priority", Why::Value),
            (
                self.ack_priority != 0 && !acknowledged,
                "ack_priority",
                Why::Contradiction,
            ),
            (self.held && !self.connected, "held", Why::Contradiction),
            (
                self.host_pending && !self.connected,
                "host_pending",
                Why::Contradiction,
            ),
            // One that is active by a write and goes nowhere is with nobody.
            (
                self.holder != NOBODY && !self.active,
                "holder",
                Why::Contradiction,
            ),
            (
                self.holder == NOBODY && (acknowledged || self.active && self.target != NOBODY),
                "holder",
                Why::Contradiction,
            ),
            (
                self.pended && !(self.latch && self.connected),
                "pended",
                Why::Contradiction,
            ),
        ])
    }

    /// What holds of a private one besides: `v2` in a GICv2, of which these are the CPU interfaces.
    pub(super) fn check_private(&self, sgi: bool, v2: bool, interfaces: u8) -> Sound {
        self.check()?;
        let sources = if v2 { interfaces } else { 1 };
        let source = 1_u8.checked_shl(self.active_source.into()).unwrap_or(0);
        let fixed_on = sgi && v2;
        Self::none(&[
            (self.level == sgi, "level", Why::Value),
            (fixed_on && !self.enabled, "enabled", Why::Value),
            (sgi && self.line, "line", Why::Value),
            (sgi && self.connected, "connected", Why::Value),
            (self.sources & !sources != 0, "sources", Why::Value),
            (
                sgi && self.latch != (self.sources != 0),
                "latch",
                Why::Contradiction,
            ),
            (
                self.active_source != 0 && !self.active,
                "active_source",
                Why::Contradiction,
            ),
            (
                sgi && source & (sources | 1) == 0,
                "active_source",
                Why::Value,
            ),
        ])
    }

    /// What its word becomes, which was as at reset but for what has come since. `line`: of one whose source can be looked at.
    pub(super) fn revive(&self, now: State, line: Option<bool>) -> (State, Effect) {
        let physical = now.hw();
        // Of one that is connected no longer, what hangs on its line is pending by itself, and an edge that the host has, too.
        let edge = self.host_pending && !self.level && !physical;
        let mut new = now
            .with_group1(self.group1)
            .with_enabled(self.enabled)
            .with_level(self.level)
            .with_priority5(self.priority >> 3)
            .with_line(!physical && line.unwrap_or(now.line() || self.line))
            .with_latch(now.latch() || self.latch || edge);
        if new.sgi() {
            new = new.with_sources(now.sources() | self.sources);
            if self.active {
                new = new.with_active_source(self.active_source);
            }
        } else {
            new = new
                .with_itargets(self.targets)
                .with_target(vcpu(self.target));
        }
        if physical {
            let held = self.held && self.connected;
            new = new
                .with_phys(now.phys() || held)
                .with_pended(now.pended() || now.own() && self.pended);
        }
        if self.active {
            new = new
                .with_active(true)
                .with_by_write(self.by_write)
                .with_ack_group1(self.ack_group1)
                .with_ack_priority5(self.ack_priority >> 3);
        }
        if physical && !now.own() {
            // It was about to be deactivated where it was saved; here nobody would.
            new = new.without_orphan();
        }
        match vcpu(self.holder).filter(|_| self.active && now.is_idle()) {
            // It stays with who has it, wherever it is to go next.
            Some(holder) => (new.placed(Place::Inbox, holder), Effect::PUSH),
            None => new.settle(now, Effect::empty()),
        }
    }
}

/// A vCPU by its number in a field.
pub(super) fn vcpu(raw: u8) -> Target {
    VcpuId::new(raw.into())
}
