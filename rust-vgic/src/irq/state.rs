// SPDX-License-Identifier: GPL-2.0-only
//! The word of state and its fields.

use crate::intid::VcpuId;
use core::fmt;

bitflags::bitflags! {
    /// The single-bit fields of the word.
    #[derive(Clone, Copy, PartialEq, Eq)]
    struct Bits: u64 {
        const EN       = 1 << 0;
        const LATCH    = 1 << 1;
        const LATCH_LR = 1 << 2;
        const LINE     = 1 << 3;
        const ACTIVE   = 1 << 4;
        const OVR_CLR  = 1 << 5;
        const OVR_SET  = 1 << 6;
        const LEVEL    = 1 << 7;
        const GRP1     = 1 << 8;
        const HW       = 1 << 9;
        const PHYS     = 1 << 10;
        const PHYS_LR  = 1 << 11;
        const MAPPED   = 1 << 49;
        const SGI      = 1 << 50;
        const ACK_GRP1 = 1 << 56;
        const BY_WRITE = 1 << 57;
        const OWN      = 1 << 58;
        const PENDED   = 1 << 59;
        const SEEN     = 1 << 60;
        const _ = !0;
    }
}

const PRIORITY: u32 = 12;
const TARGET: u32 = 17;
const PLACE: u32 = 25;
const HOLDER: u32 = 27;
const ACTIVE_SOURCE: u32 = 35;
const LR_SOURCE: u32 = 38;
const SOURCES: u32 = 41;
const ACK_PRIORITY: u32 = 51;
/// An SGI has sources and no GICD_ITARGETSR; with an SPI it is the other way round.
const ITARGETS: u32 = SOURCES;

/// On which list an interrupt is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Place {
    // The numbers are PLACE as stored.
    /// On none.
    Idle = 0,
    /// Pushed to HOLDER's inbox, or about to be.
    Inbox,
    /// On one of HOLDER's ready lists.
    Ready,
    /// In a list register of HOLDER.
    Lr,
}

/// The vCPU that an interrupt is for, if it can be delivered to any.
pub type Target = Option<VcpuId>;

/// The state word of an interrupt. Bits as in the design:
///
/// | bits | field | meaning |
/// |---|---|---|
/// | 0 | EN | enabled by the guest |
/// | 1 | LATCH | pending latch that is not in a list register |
/// | 2 | LATCH_LR | the latch that the list register carries |
/// | 3 | LINE | level of the input line, of an interrupt that is not hardware-mapped; also while it is edge-triggered |
/// | 4 | ACTIVE | active, as of the last exit of its holder |
/// | 5–6 | OVR | a write to GICD_I\[SC\]ACTIVER that the list register has not seen yet |
/// | 7 | LEVEL | level-sensitive |
/// | 8 | GRP1 | Group 1 |
/// | 9 | HW | mapped to a physical interrupt |
/// | 10 | PHYS | the physical interrupt is active and not in a list register |
/// | 11 | PHYS_LR | … and the list register will deactivate it |
/// | 12–16 | priority | the upper five bits of it |
/// | 17–24 | TARGET | vCPU number, 255 for none |
/// | 25–26 | PLACE | see [`Place`] |
/// | 27–34 | HOLDER | vCPU number, valid unless idle |
/// | 35–37 | source of the active SGI | GICv2 |
/// | 38–40 | source of the SGI that the list register carries | GICv2 |
/// | 41–48 | of an SGI: its pending sources; of an SPI: GICD_ITARGETSR | GICv2; GICv3: all ones if GICD_IROUTER names any vCPU |
/// | 49 | MAPPED | false: an LPI that no event maps to, never pending |
/// | 50 | SGI | fixed at creation |
/// | 51–55 | of an active interrupt: the priority with which it was acknowledged | else 0 |
/// | 56 | of an active interrupt: it was acknowledged in Group 1 | else 0 |
/// | 57 | BY_WRITE | active by a write to GICD_ISACTIVER, and not acknowledged: no EOI is to come for it |
/// | 58 | OWN | with HW: the physical interrupt is banked, and the vCPU's own CPU alone reaches it |
/// | 59 | PENDED | with OWN: the latch is, or is also, of a write to GICD_ISPENDR, and does not hang on the line |
/// | 60 | SEEN | with OWN, while PHYS or PHYS_LR: the line was high when the vCPU last looked for another one |
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct State(u64);

macro_rules! flag {
    ($($(#[$doc:meta])* $get:ident, $with:ident, $bit:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub const fn $get(self) -> bool {
            self.0 & Bits::$bit.bits() != 0
        }
        /// The same state with this bit set or clear.
        #[must_use]
        pub const fn $with(self, on: bool) -> Self {
            if on { Self(self.0 | Bits::$bit.bits()) } else { Self(self.0 & !Bits::$bit.bits()) }
        }
    )*};
}

macro_rules! field {
    ($($(#[$doc:meta])* $get:ident, $with:ident, $shift:ident, $mask:literal;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub const fn $get(self) -> u8 {
            ((self.0 >> $shift) & $mask) as u8
        }
        /// The same state with another value in this field.
        #[must_use]
        pub const fn $with(self, value: u8) -> Self {
            Self(self.0 & !($mask << $shift) | ((value as u64 & $mask) << $shift))
        }
    )*};
}

impl State {
    const NOBODY: u8 = 255;

    /// An interrupt at reset (IHI 0069, section 12.9): disabled, inactive, not pending, priority 0, level-sensitive, Group 0.
    #[must_use]
    pub const fn reset(target: Target) -> Self {
        Self(Bits::MAPPED.bits() | Bits::LEVEL.bits()).with_target(target)
    }

    /// An SGI at reset: as any interrupt, but edge-triggered and with sources.
    #[must_use]
    pub const fn reset_sgi(target: Target) -> Self {
        Self(Bits::MAPPED.bits() | Bits::SGI.bits()).with_target(target)
    }

    /// The word as stored.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The state that a stored word stands for.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    const fn has_any(self, of: Bits) -> bool {
        self.0 & of.bits() != 0
    }

    const fn has_all(self, of: Bits) -> bool {
        self.0 & of.bits() == of.bits()
    }

    /// Is this the level of its input line, as far as a line decides? Then [`State::at_level`] changes nothing and leaves nothing to do.
    #[must_use]
    pub const fn is_line_at(self, level: bool) -> bool {
        let line = if level { Bits::LINE.bits() } else { 0 };
        let fields = Bits::LEVEL.bits() | Bits::HW.bits() | Bits::LINE.bits();
        self.0 & fields == Bits::LEVEL.bits() | line
    }

    flag! {
        /// Enabled by the guest.
        enabled, with_enabled, EN;
        /// The pending latch outside of a list register.
        latch, with_latch, LATCH;
        /// The pending latch that the list register carries.
        latch_lr, with_latch_lr, LATCH_LR;
        /// The input line, where Xen models it.
        line, with_line, LINE;
        /// Active as of the last exit; see [`State::active`] for what a register read shows.
        folded_active, with_active, ACTIVE;
        /// A write to ICACTIVER waits for the list register.
        clears_active, with_clears_active, OVR_CLR;
        /// A write to ISACTIVER waits for the list register.
        sets_active, with_sets_active, OVR_SET;
        /// Level-sensitive.
        level, with_level, LEVEL;
        /// Group 1.
        group1, with_group1, GRP1;
        /// Mapped to a physical interrupt.
        hw, with_hw, HW;
        /// The physical interrupt is active, and the word answers for its deactivation.
        phys, with_phys, PHYS;
        /// The physical interrupt is active, and the list register answers for its deactivation.
        phys_lr, with_phys_lr, PHYS_LR;
        /// Can be delivered: false only for an LPI without a mapping.
        mapped, with_mapped, MAPPED;
        /// A software-generated interrupt.
        sgi, with_sgi, SGI;
        /// Of an active interrupt: it was acknowledged in Group 1.
        ack_group1, with_ack_group1, ACK_GRP1;
        /// Of an active interrupt: it is that by a write to ISACTIVER.
        by_write, with_by_write, BY_WRITE;
        /// Mapped to a physical interrupt that is banked (module `physical`).
        own, with_own, OWN;
        /// Of one of those: it was written to GICD_ISPENDR, and the latch does not hang on the line.
        pended, with_pended, PENDED;
        /// Of one of those, for a vCPU that cannot ask the line: it was high when its own vCPU last looked.
        seen, with_seen, SEEN;
    }

    field! {
        /// The upper five bits of the priority: 0 is the highest.
        priority5, with_priority5, PRIORITY, 0x1f;
        /// Of an active interrupt: the priority with which it was acknowledged, the running priority since.
        ack_priority5, with_ack_priority5, ACK_PRIORITY, 0x1f;
        /// The source vCPU of the active SGI.
        active_source, with_active_source, ACTIVE_SOURCE, 7;
        /// The source vCPU of the SGI in the list register.
        lr_source, with_lr_source, LR_SOURCE, 7;
        /// The sources of an SGI that are pending. Of an SPI, these are the bits of [`State::itargets`].
        sources, with_sources, SOURCES, 0xff;
        /// GICD_ITARGETSR of a GICv2 SPI. Of an SGI, these are the bits of [`State::sources`].
        itargets, with_itargets, ITARGETS, 0xff;
        /// TARGET as stored: 255 stands for none.
        raw_target, with_raw_target, TARGET, 0xff;
        /// HOLDER as stored.
        raw_holder, with_raw_holder, HOLDER, 0xff;
        /// PLACE as stored.
        raw_place, with_raw_place, PLACE, 3;
    }

    /// The vCPU that the interrupt is routed to.
    #[must_use]
    pub const fn target(self) -> Target {
        VcpuId::new(self.raw_target() as u32)
    }

    /// The same state routed elsewhere.
    #[must_use]
    pub const fn with_target(self, target: Target) -> Self {
        self.with_raw_target(match target {
            Some(v) => v.raw(),
            None => Self::NOBODY,
        })
    }

    /// Where the interrupt is, and on whose list. An idle one has no holder.
    #[must_use]
    pub const fn place(self) -> (Place, Target) {
        let holder = VcpuId::new(self.raw_holder() as u32);
        match self.raw_place() {
            1 => (Place::Inbox, holder),
            2 => (Place::Ready, holder),
            3 => (Place::Lr, holder),
            _ => (Place::Idle, None),
        }
    }

    /// The same state in another place.
    #[must_use]
    pub const fn placed(self, place: Place, holder: VcpuId) -> Self {
        match place {
            Place::Idle => self.idle(),
            _ => self
                .with_raw_place(place as u8)
                .with_raw_holder(holder.raw()),
        }
    }

    /// Is it on no list?
    #[must_use]
    pub const fn is_idle(self) -> bool {
        self.raw_place() == 0
    }

    /// The same state on no list.
    #[must_use]
    pub const fn idle(self) -> Self {
        self.with_raw_place(0).with_raw_holder(0)
    }

    /// Is it in this place with this holder?
    #[must_use]
    pub fn is_at(self, place: Place, holder: VcpuId) -> bool {
        place != Place::Idle && self.raw_place() == place as u8 && self.raw_holder() == holder.raw()
    }

    /// Is it routed to this vCPU?
    #[must_use]
    pub const fn is_for(self, vcpu: VcpuId) -> bool {
        self.raw_target() == vcpu.raw()
    }

    /// Pending, as GICD_ISPENDR shows it (IHI 0069, section 12.9.27): latch or, for level-sensitive ones, the line.
    #[must_use]
    pub const fn pending(self) -> bool {
        self.has_any(Bits::LATCH.union(Bits::LATCH_LR))
            || self.has_all(Bits::LEVEL.union(Bits::LINE))
    }

    /// Active, as GICD_ISACTIVER shows it.
    #[must_use]
    pub const fn active(self) -> bool {
        let folded = Bits::ACTIVE.union(Bits::OVR_CLR);
        self.0 & folded.bits() == Bits::ACTIVE.bits() || self.sets_active()
    }

    /// Neither active nor to be made so: nothing is left of what it was acknowledged with.
    pub(super) const fn inactive(self) -> Self {
        let cleared = Bits::ACTIVE
            .union(Bits::OVR_SET)
            .union(Bits::OVR_CLR)
            .union(Bits::ACK_GRP1)
            .union(Bits::BY_WRITE);
        Self(self.0 & !(cleared.bits() | 0x1f << ACK_PRIORITY))
    }

    /// Active because it was acknowledged, so that an EOI is to come.
    #[must_use]
    pub const fn acknowledged(self) -> bool {
        self.active() && !self.by_write()
    }

    /// The group and the priority that count now: those with which it was acknowledged, until it has ended. GICD_IGROUPR and
    /// GICD_IPRIORITYR, which may change meanwhile, are about the next time (IHI 0048B, 3.3; IHI 0069, 4.8).
    #[must_use]
    pub const fn standing(self) -> (bool, u8) {
        if self.acknowledged() {
            (self.ack_group1(), self.ack_priority5())
        } else {
            (self.group1(), self.priority5())
        }
    }

    /// Pending because the line of its physical interrupt was high, and not taken yet: the line may have fallen since.
    #[must_use]
    pub const fn hangs_on_line(self) -> bool {
        self.level()
            && self.has_any(Bits::PHYS.union(Bits::PHYS_LR))
            && self.has_any(Bits::LATCH.union(Bits::LATCH_LR))
            && !self.has_any(Bits::PENDED)
            && !self.active()
    }

    /// The physical interrupt is active, and the word or the list register answers for that.
    #[must_use]
    pub const fn holds_phys(self) -> bool {
        self.has_any(Bits::PHYS.union(Bits::PHYS_LR))
    }

    /// The same state, without a physical interrupt that is active for nothing.
    #[must_use]
    pub const fn without_orphan(self) -> Self {
        if self.orphaned() {
            self.with_phys(false).with_phys_lr(false)
        } else {
            self
        }
    }

    /// Pending, and nothing but groups and priorities stands between it and the guest.
    #[must_use]
    pub const fn ready(self) -> bool {
        self.pending() && self.has_all(Bits::EN.union(Bits::MAPPED))
    }

    /// Enabled and mapped, and inactive with nothing to say about that.
    #[inline]
    pub(super) const fn is_plain(self) -> bool {
        let all = Bits::EN.bits() | Bits::MAPPED.bits();
        let none = Bits::ACTIVE.bits() | Bits::OVR_CLR.bits() | Bits::OVR_SET.bits();
        self.0 & (all | none) == all
    }

    /// Must be on a list: it can be delivered, or the guest will deactivate it.
    #[must_use]
    pub const fn deliverable(self) -> bool {
        self.ready() || self.active()
    }

    /// The physical interrupt is active, but nothing is pending or active here because of which anybody would deactivate it.
    #[must_use]
    pub const fn orphaned(self) -> bool {
        self.has_any(Bits::PHYS.union(Bits::PHYS_LR))
            && !self.has_any(Bits::LATCH.union(Bits::LATCH_LR))
            && !self.active()
    }

    /// Is held by a vCPU that it is no longer routed to, and free to leave: only an active one must stay.
    #[must_use]
    pub fn misplaced(self) -> bool {
        self.raw_holder() != self.raw_target() && !self.is_idle() && !self.active()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, holder) = self.place();
        let named = 0xfff | Bits::MAPPED.bits() | Bits::BY_WRITE.bits();
        let flags = Bits::from_bits_retain(self.0 & named);
        for (name, _) in flags.iter_names() {
            f.write_str(name)?;
            f.write_str(" ")?;
        }
        write!(
            f,
            "prio {:#x} target {:?} {:?} {:?} sources {:#x}",
            self.priority5() << 3,
            self.target().map(VcpuId::raw),
            place,
            holder.map(VcpuId::raw),
            self.sources()
        )
    }
}
