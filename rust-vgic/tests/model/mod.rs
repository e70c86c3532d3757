// SPDX-License-Identifier: GPL-2.0-only
//! One interrupt as the architecture tells it, in named fields and rules in words.
//!
//! Nothing here knows how the crate packs an interrupt into a word; only `word.rs`
//! translates, field by field.

pub mod states;
mod word;

use rust_vgic::VcpuId;
use rust_vgic::irq::{Effect, Event, LrView, Target};

/// Eight source CPUs of GICv2, as a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Senders(pub [bool; 8]);

impl Senders {
    pub fn of(byte: u8) -> Self {
        Self(core::array::from_fn(|n| byte & (1 << n) != 0))
    }

    pub fn byte(self) -> u8 {
        (0..8).filter(|&n| self.0[n]).map(|n| 1 << n).sum()
    }

    pub fn any(self) -> bool {
        self.0.contains(&true)
    }

    pub fn lowest(self) -> Option<u8> {
        (0..8).find(|&n| self.0[usize::from(n)])
    }

    pub fn with(mut self, n: u8) -> Self {
        self.0[usize::from(n)] = true;
        self
    }

    pub fn without(mut self, n: u8) -> Self {
        self.0[usize::from(n)] = false;
        self
    }
}

/// What latches a pending interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Latch {
    /// One latch, as a peripheral interrupt or LPI has; beside it the ITARGETSR byte, which has nothing to do with it.
    Plain { set: bool, itargets: u8 },
    /// One latch per source CPU.
    PerSender(Senders),
}

/// Where the interrupt waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Location {
    Nowhere,
    Inbox(u8),
    Ready(u8),
    ListRegister(u8),
}

/// The physical interrupt behind a hardware-mapped one: who will deactivate it. Neither: it is not active.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Physical {
    pub word_answers: bool,
    pub list_register_answers: bool,
}

impl Physical {
    pub fn is_active(self) -> bool {
        self.word_answers || self.list_register_answers
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Model {
    pub enabled: bool,
    pub group1: bool,
    /// 0 to 31, 0 the highest.
    pub priority: u8,
    pub level_sensitive: bool,
    pub line_high: bool,
    /// Pending latches that no list register carries.
    pub latch: Latch,
    /// The list register carries a latch; what is acknowledged there is consumed.
    pub carried: bool,
    /// For an SGI: from whom. Stale while nothing is carried.
    pub carried_sender: u8,
    /// As of the last exit.
    pub active_seen: bool,
    pub active_sender: u8,
    /// What an active one was acknowledged with, Group 1 or not and the priority; nothing while it is not active, or is that by a
    /// register write alone.
    pub acknowledged: Option<(bool, u8)>,
    /// A register write that a list register has not been told of: active it shall be, or not.
    pub active_wanted: Option<bool>,
    /// There for a hardware-mapped interrupt.
    pub physical: Option<Physical>,
    /// That is banked: nobody but the vCPU's own CPU reaches it.
    pub banked: bool,
    /// Of one of those: ISPENDR was written, and what is latched is pending whatever its line does.
    pub written: bool,
    pub mapped: bool,
    pub route: Option<u8>,
    pub location: Location,
}

/// What somebody has to do about a transition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Duties {
    pub push: bool,
    pub look: bool,
    pub kick: bool,
    pub visit: bool,
    pub deactivate: bool,
    pub activate: bool,
    pub owner: bool,
}

impl Duties {
    pub fn of(effect: Effect) -> Self {
        Self {
            push: effect.contains(Effect::PUSH),
            look: effect.contains(Effect::LOOK),
            kick: effect.contains(Effect::KICK),
            visit: effect.contains(Effect::VISIT),
            deactivate: effect.contains(Effect::DEACTIVATE),
            activate: effect.contains(Effect::ACTIVATE),
            owner: effect.contains(Effect::OWNER),
        }
    }
}

pub fn vcpu(n: u8) -> VcpuId {
    VcpuId::new(n.into()).expect("a vCPU number")
}

pub fn target(n: Option<u8>) -> Target {
    n.map(vcpu)
}

/// What can be said of it.
impl Model {
    pub fn is_sgi(&self) -> bool {
        matches!(self.latch, Latch::PerSender(_))
    }

    pub fn is_latched(&self) -> bool {
        match self.latch {
            Latch::Plain { set, .. } => set,
            Latch::PerSender(senders) => senders.any(),
        }
    }

    pub fn in_list_register(&self) -> bool {
        matches!(self.location, Location::ListRegister(_))
    }

    pub fn held_by(&self) -> Option<u8> {
        match self.location {
            Location::Nowhere => None,
            Location::Inbox(v) | Location::Ready(v) | Location::ListRegister(v) => Some(v),
        }
    }

    pub fn is_pending(&self) -> bool {
        let by_line = self.level_sensitive && self.line_high;
        self.is_latched() || self.carried || by_line
    }

    pub fn is_active(&self) -> bool {
        self.active_wanted.unwrap_or(self.active_seen)
    }

    pub fn can_be_signalled(&self) -> bool {
        self.is_pending() && self.enabled && self.mapped
    }

    /// A list is for what can be signalled and for what the guest has still to end.
    pub fn belongs_on_a_list(&self) -> bool {
        self.can_be_signalled() || self.is_active()
    }

    /// On a list of a vCPU that is not its own, where only being active could keep it.
    pub fn is_misplaced(&self) -> bool {
        match self.held_by() {
            None => false,
            Some(holder) => self.route != Some(holder) && !self.is_active(),
        }
    }

    pub fn physical_is_active(&self) -> bool {
        self.physical.is_some_and(Physical::is_active)
    }

    /// Why somebody will deactivate the physical interrupt one day: the guest ends what is active,
    /// and takes and ends what is pending.
    pub fn will_end_one_day(&self) -> bool {
        self.is_active() || self.is_latched() || self.carried
    }

    /// Who has a latch pending, in the list register or not: for a plain latch, "sender 0".
    pub fn pending_senders(&self) -> Senders {
        let waiting = match self.latch {
            Latch::Plain { set: true, .. } => Senders::default().with(0),
            Latch::Plain { set: false, .. } => Senders::default(),
            Latch::PerSender(senders) => senders,
        };
        match (self.carried, self.is_sgi()) {
            (false, _) => waiting,
            (true, true) => waiting.with(self.carried_sender),
            (true, false) => waiting.with(0),
        }
    }

    /// The ready lists: of what is pending by group and priority; of what is active by the priority with which it was acknowledged, and
    /// those that were not by the priority they have.
    fn list(&self) -> (&str, u8) {
        match (self.is_active(), self.acknowledged) {
            (true, Some((_, priority))) => ("acknowledged", priority),
            (true, None) => ("made active", self.priority),
            (false, _) if self.group1 => ("Group 1", self.priority),
            (false, _) => ("Group 0", self.priority),
        }
    }

    /// Pending because of a physical line that may be low by now.
    pub fn depends_on_physical_line(&self) -> bool {
        self.level_sensitive
            && self.physical_is_active()
            && !self.written
            && !self.is_active()
            && (self.is_latched() || self.carried)
    }
}

/// What happens to it.
impl Model {
    fn set_latch(&mut self, senders: Senders) {
        // An LPI that no event maps to has no pending state.
        if !self.mapped {
            return;
        }
        match &mut self.latch {
            Latch::Plain { set, .. } => *set = true,
            Latch::PerSender(waiting) if !senders.any() => waiting.0[0] = true,
            Latch::PerSender(waiting) => {
                for n in 0..8 {
                    waiting.0[n] |= senders.0[n];
                }
            }
        }
    }

    fn clear_latches(&mut self) {
        self.carried = false;
        self.written = false;
        match &mut self.latch {
            Latch::Plain { set, .. } => *set = false,
            Latch::PerSender(senders) => *senders = Senders::default(),
        }
    }

    /// If the reason has just gone for which the physical interrupt was kept active, it must be able to fire again.
    fn let_go_of_physical(&mut self, duties: &mut Duties) {
        // Of one that is banked its owner alone can let go.
        let idle = !self.will_end_one_day() && !self.banked;
        if let Some(physical) = &mut self.physical
            && physical.word_answers
            && idle
        {
            physical.word_answers = false;
            duties.deactivate = true;
        }
    }

    pub fn apply(&self, event: Event) -> (Self, Duties) {
        let mut new = self.clone();
        let mut duties = Duties::default();
        match event {
            Event::Line(high) => match &mut new.physical {
                // The physical interrupt was acknowledged on the guest's behalf. When its line falls is not ours to say.
                Some(physical) if high => {
                    physical.word_answers = true;
                    new.set_latch(Senders::default());
                }
                Some(_) => {}
                // A line is a line, whatever the interrupt makes of it.
                None => {
                    new.line_high = high && !new.is_sgi() && new.mapped;
                    if high && !new.level_sensitive {
                        new.set_latch(Senders::default());
                    }
                }
            },
            Event::Sgi(sources) => new.set_latch(Senders::of(sources)),
            Event::ClearSgi(sources) => {
                for n in (0..8).filter(|&n| Senders::of(sources).0[usize::from(n)]) {
                    if let Latch::PerSender(senders) = &mut new.latch {
                        *senders = senders.without(n);
                    }
                    if new.carried_sender == n {
                        new.carried = false;
                    }
                }
            }
            Event::Enable(on) => new.enabled = on,
            Event::SetPending => {
                new.set_latch(Senders::default());
                new.written = new.banked;
            }
            Event::ClearPending => {
                new.clear_latches();
                new.let_go_of_physical(&mut duties);
            }
            Event::SetActive => {
                if !new.is_active() {
                    if new.in_list_register() {
                        new.active_wanted = Some(true);
                    } else {
                        new.active_seen = true;
                    }
                    // A guest that makes it active will end it, and expects that it does not fire before. One that is banked may: it
                    // waits behind the active one.
                    if let Some(physical) = &mut new.physical
                        && !self.banked
                        && !physical.is_active()
                    {
                        physical.word_answers = true;
                        duties.activate = true;
                    }
                }
            }
            Event::ClearActive | Event::Ended => {
                if new.in_list_register() {
                    // Nothing to tell a list register that was not active.
                    new.active_wanted = new.active_seen.then_some(false);
                } else {
                    new.active_seen = false;
                }
                new.forget_if_inactive();
                new.let_go_of_physical(&mut duties);
            }
            Event::Priority(byte) => new.priority = byte / 8,
            Event::Trigger { level } => new.level_sensitive = level,
            Event::Group1(on) => new.group1 = on,
            Event::Route(to) => new.route = to.map(VcpuId::raw),
            Event::Targets(byte, to) => {
                new.route = to.map(VcpuId::raw);
                match &mut new.latch {
                    Latch::Plain { itargets, .. } => *itargets = byte,
                    Latch::PerSender(_) => panic!("ITARGETSR of an SGI"),
                }
            }
            Event::Map(true) => new.mapped = true,
            Event::Map(false) => {
                new.mapped = false;
                new.enabled = false;
                new.clear_latches();
            }
            Event::Withdraw => {
                // Not if the guest has taken it.
                if new.depends_on_physical_line() {
                    new.clear_latches();
                    new.physical = Some(Physical::default());
                    duties.deactivate = true;
                }
            }
            Event::Forget => new.acknowledged = None,
            Event::Connect(true) => {
                new.physical = Some(Physical::default());
                new.line_high = false;
            }
            Event::Connect(false) => {
                duties.deactivate = new.physical_is_active();
                new.physical = None;
            }
        }
        // Nobody needs to know how high the line of an edge-triggered interrupt is.
        let mut told = self.clone();
        if !self.level_sensitive && event == Event::Line(false) {
            told.line_high = new.line_high;
        }
        if new != told {
            new.tell(self, &mut duties);
        }
        // What a line does makes no orphan.
        let register = !matches!(event, Event::Line(_));
        duties.owner = register && new.banked && new.is_orphan();
        (new, duties)
    }

    /// The physical interrupt is active for nothing.
    pub fn is_orphan(&self) -> bool {
        self.physical_is_active() && !self.will_end_one_day()
    }

    fn forget_if_inactive(&mut self) {
        if !self.active_seen && self.active_wanted != Some(true) {
            self.acknowledged = None;
        }
    }

    /// Who has to learn of a change, and whether that puts the interrupt on a list.
    fn tell(&mut self, old: &Self, duties: &mut Duties) {
        let newly_wanted = self.belongs_on_a_list() && !old.belongs_on_a_list();
        match self.location {
            Location::Nowhere => {
                if let Some(v) = self.route
                    && self.belongs_on_a_list()
                {
                    self.location = Location::Inbox(v);
                    duties.push = true;
                }
            }
            Location::Inbox(_) => {
                duties.look = newly_wanted;
                duties.kick = newly_wanted;
            }
            Location::Ready(_) => {
                duties.look = newly_wanted;
                duties.kick = newly_wanted;
                duties.visit = self.list() != old.list();
            }
            Location::ListRegister(_) => {
                duties.look = true;
                let line_fell = old.line_high && !self.line_high;
                duties.kick = !line_fell;
                // The vCPU may never come back for it.
                duties.visit = self.is_orphan() && !self.banked;
            }
        }
        let rerouted = self.route != old.route;
        duties.visit |= self.is_misplaced() && (rerouted || !old.is_misplaced());
    }

    /// On entry, in a list register: what the register shall show.
    pub fn load(&self, foremost: bool) -> (Self, LrView, Duties) {
        let Location::ListRegister(holder) = self.location else {
            panic!("not in a list register");
        };
        let mut new = self.clone();
        let mut duties = Duties::default();
        let at_home = self.route == Some(holder);
        new.active_seen = self.is_active();
        new.active_wanted = None;
        new.forget_if_inactive();

        // Active and pending at once is for edge-triggered interrupts of this vCPU alone. A level-sensitive one has
        // its line looked at again first; an SGI may have another source; hardware-mapped ones must not be both
        // (ICH_LR<n>_EL2.State); and what is routed elsewhere is pending there as soon as it is not active here. It is to be signalled
        // with the group and the priority it has, not with those it was acknowledged with, and not before anything else.
        let same = new.acknowledged == Some((self.group1, self.priority));
        let kind = !self.is_sgi() && !self.level_sensitive && self.physical.is_none();
        let both = kind && at_home && same && foremost;
        let signal = self.can_be_signalled() && (!new.active_seen || both);

        // All latches into the word; the one that is signalled out of it again.
        let all = self.pending_senders();
        new.carried = false;
        let chosen = match &mut new.latch {
            Latch::Plain { set, .. } => {
                *set = all.any() && !signal;
                (all.any() && signal).then_some(self.carried_sender)
            }
            Latch::PerSender(senders) => {
                *senders = all;
                let first = if self.carried {
                    Some(self.carried_sender)
                } else {
                    all.lowest()
                };
                first.filter(|_| signal)
            }
        };
        if let Some(sender) = chosen {
            new.carried = true;
            new.carried_sender = sender;
            if let Latch::PerSender(senders) = &mut new.latch {
                *senders = senders.without(sender);
            }
        }

        let line = new.level_sensitive && new.line_high;
        let pending = signal && (new.carried || line);
        let active = new.active_seen;

        // Once what the list register shows has ended: is there more to signal?
        let more = (new.is_latched() || line) && new.enabled && new.mapped;
        let mut hw = false;
        let will_end = new.will_end_one_day();
        if let Some(physical) = &mut new.physical
            && physical.is_active()
        {
            *physical = Physical::default();
            if pending || active {
                // One of the two tells us of the end: the register's HW bit leaves no room for the EOI bit.
                // Who must know of the end keeps the physical interrupt for the next round.
                hw = !more;
                physical.list_register_answers = hw;
                physical.word_answers = !hw;
            } else if will_end {
                physical.word_answers = true;
            } else {
                duties.deactivate = true;
            }
        }
        let view = LrView {
            pending,
            active,
            hw,
            eoi: !hw && (more || !at_home),
            source: if active {
                new.active_sender
            } else {
                new.carried_sender
            },
        };
        (new, view, duties)
    }

    /// On exit: the list register shows this, with this group and priority.
    pub fn fold(&self, pending: bool, active: bool, with: (bool, u8)) -> Self {
        let mut new = self.clone();
        if !pending {
            new.carried = false;
            if self.carried {
                // What was written was acknowledged with it. What is latched by now is of another write, or has fired.
                let fired = self.physical.is_some_and(|p| p.word_answers);
                new.written &= self.is_latched() && !fired;
            }
        }
        if active && !self.active_seen {
            new.active_sender = self.carried_sender;
            new.acknowledged = Some(with);
        }
        if !active {
            // It has ended. If it is active again, that is by a write.
            new.acknowledged = None;
        }
        // A write to a register counts more than what the guest did meanwhile.
        new.active_seen = self.active_wanted.unwrap_or(active);
        new.active_wanted = None;
        new.forget_if_inactive();
        if !pending
            && !active
            && let Some(physical) = &mut new.physical
        {
            physical.list_register_answers = false;
        }
        new
    }

    /// Taken out of its list register.
    pub fn unload(&self) -> Self {
        let mut new = self.clone();
        new.active_seen = self.is_active();
        new.active_wanted = None;
        new.forget_if_inactive();
        let all = self.pending_senders();
        new.carried = false;
        match &mut new.latch {
            Latch::Plain { set, .. } => *set = all.any(),
            Latch::PerSender(senders) => *senders = all,
        }
        if let Some(physical) = &mut new.physical {
            *physical = Physical {
                word_answers: physical.is_active(),
                list_register_answers: false,
            };
        }
        new
    }

    /// Taken off a list of `holder`: where to?
    pub fn rehome(&self, holder: u8) -> Self {
        let location = if self.is_active() {
            Location::Ready(holder)
        } else if self.can_be_signalled() {
            match self.route {
                Some(v) if v == holder => Location::Ready(v),
                Some(v) => Location::Inbox(v),
                None => Location::Nowhere,
            }
        } else {
            Location::Nowhere
        };
        Self {
            location,
            ..self.clone()
        }
    }
}
