// SPDX-License-Identifier: GPL-2.0-only
//! Between the model and the word: each field through its accessor, no rule of either side.

use super::{Latch, Location, Model, Physical, Senders, target, vcpu};
use rust_vgic::VcpuId;
use rust_vgic::irq::{Place, State};

impl Model {
    pub fn of(s: State) -> Self {
        let (place, holder) = s.place();
        let holder = holder.map_or(0, VcpuId::raw);
        Self {
            enabled: s.enabled(),
            group1: s.group1(),
            priority: s.priority5(),
            level_sensitive: s.level(),
            line_high: s.line(),
            latch: if s.sgi() {
                assert_eq!(s.latch(), s.sources() != 0, "latch without sender: {s:?}");
                Latch::PerSender(Senders::of(s.sources()))
            } else {
                Latch::Plain {
                    set: s.latch(),
                    itargets: s.itargets(),
                }
            },
            carried: s.latch_lr(),
            carried_sender: s.lr_source(),
            active_seen: s.folded_active(),
            active_sender: s.active_source(),
            acknowledged: {
                let kept = (s.ack_group1(), s.ack_priority5());
                let active = s.folded_active() || s.sets_active();
                assert!(active || !s.by_write(), "by a write, but not active: {s:?}");
                let holds = active && !s.by_write();
                assert!(holds || kept == (false, 0), "not acknowledged: {s:?}");
                holds.then_some(kept)
            },
            active_wanted: match (s.sets_active(), s.clears_active()) {
                (true, true) => panic!("both set and clear wait: {s:?}"),
                (true, false) => Some(true),
                (false, true) => Some(false),
                (false, false) => None,
            },
            physical: if s.hw() {
                Some(Physical {
                    word_answers: s.phys(),
                    list_register_answers: s.phys_lr(),
                })
            } else {
                assert!(!s.phys() && !s.phys_lr(), "physical without HW: {s:?}");
                None
            },
            banked: s.own(),
            written: s.pended(),
            mapped: s.mapped(),
            route: s.target().map(VcpuId::raw),
            location: match place {
                Place::Idle => Location::Nowhere,
                Place::Inbox => Location::Inbox(holder),
                Place::Ready => Location::Ready(holder),
                Place::Lr => Location::ListRegister(holder),
            },
        }
    }

    pub fn word(&self) -> State {
        let physical = self.physical.unwrap_or_default();
        let s = State::from_bits(0)
            .with_enabled(self.enabled)
            .with_group1(self.group1)
            .with_priority5(self.priority)
            .with_level(self.level_sensitive)
            .with_line(self.line_high)
            .with_latch(self.is_latched())
            .with_latch_lr(self.carried)
            .with_lr_source(self.carried_sender)
            .with_active(self.active_seen)
            .with_active_source(self.active_sender)
            .with_ack_group1(self.acknowledged.is_some_and(|(group1, _)| group1))
            .with_ack_priority5(self.acknowledged.map_or(0, |(_, priority)| priority))
            .with_by_write(
                self.acknowledged.is_none()
                    && (self.active_seen || self.active_wanted == Some(true)),
            )
            .with_sets_active(self.active_wanted == Some(true))
            .with_clears_active(self.active_wanted == Some(false))
            .with_hw(self.physical.is_some())
            .with_phys(physical.word_answers)
            .with_phys_lr(physical.list_register_answers)
            .with_own(self.banked)
            .with_pended(self.written)
            .with_mapped(self.mapped)
            .with_target(target(self.route));
        let s = match self.latch {
            Latch::Plain { itargets, .. } => s.with_itargets(itargets),
            Latch::PerSender(senders) => s.with_sgi(true).with_sources(senders.byte()),
        };
        match self.location {
            Location::Nowhere => s.idle(),
            Location::Inbox(v) => s.placed(Place::Inbox, vcpu(v)),
            Location::Ready(v) => s.placed(Place::Ready, vcpu(v)),
            Location::ListRegister(v) => s.placed(Place::Lr, vcpu(v)),
        }
    }
}
