// SPDX-License-Identifier: GPL-2.0-only
//! List registers and the maintenance control register, in both formats.
//!
//! GICH_LRn: IHI 0048B, section 5.3.8. ICH_LR\<n\>_EL2: IHI 0069, section 12.4.

/// List registers that one vCPU uses at the most; the hardware may have more (GICv2: up to 64).
pub const MAX: usize = 16;

/// Which hardware the list registers belong to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// GICH_LRn of GICv2.
    V2,
    /// ICH_LR\<n\>_EL2 of GICv3, for a GICv3 guest or (`sources`) a GICv2 guest.
    V3 {
        /// The guest has a GICv2: SGIs carry the number of their source CPU.
        sources: bool,
    },
}

/// What a list register shows of an interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LrView {
    /// Pending in the list register.
    pub pending: bool,
    /// Active in the list register.
    pub active: bool,
    /// Deactivation in the list register deactivates the physical interrupt too.
    pub hw: bool,
    /// Its end must be seen: a maintenance interrupt follows the EOI.
    pub eoi: bool,
    /// Source vCPU of a GICv2 SGI.
    pub source: u8,
}

bitflags::bitflags! {
    /// GICH_HCR (IHI 0048B, 5.3.1) and ICH_HCR_EL2 (IHI 0069, 12.4.3): what we use of them.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Hcr: u32 {
        /// The virtual CPU interface is enabled.
        const EN = 1 << 0;
        /// Maintenance interrupt when an EOI finds no list register.
        const LRENPIE = 1 << 2;
        /// … when no list register is pending.
        const NPIE = 1 << 3;
        /// … when the guest enables Group 0.
        const VGRP0EIE = 1 << 4;
        /// … when the guest disables Group 0.
        const VGRP0DIE = 1 << 5;
        /// … when the guest enables Group 1.
        const VGRP1EIE = 1 << 6;
        /// … when the guest disables Group 1.
        const VGRP1DIE = 1 << 7;
        /// Traps what is common to both groups, ICC_DIR_EL1 among them (see [`crate::sysreg::IccRegister`]). GICv3 only.
        const TC = 1 << 10;
        /// Traps ICC_DIR_EL1, where ICH_VTR_EL2.TDS says so. GICv3 only.
        const TDIR = 1 << 14;
    }
}

impl Hcr {
    /// EOICount: EOIs that found no list register.
    #[must_use]
    pub const fn eoi_count(raw: u32) -> u32 {
        raw >> 27
    }
}

bitflags::bitflags! {
    /// Which groups are enabled: as in GICD_CTLR, GICH_VMCR and ICH_VMCR_EL2.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Groups: u32 {
        /// Group 0.
        const ZERO = 1 << 0;
        /// Group 1.
        const ONE = 1 << 1;
    }
}

impl Groups {
    /// Is Group 1, or else Group 0, enabled?
    #[must_use]
    pub const fn has(self, group1: bool) -> bool {
        self.bits() >> group1 as u32 & 1 != 0
    }
}

/// What GICH_VMCR or ICH_VMCR_EL2 says of the virtual CPU interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vmcr {
    /// Which groups are enabled.
    pub groups: Groups,
    /// ICC_CTLR_EL1.CBPR: one binary point for both groups.
    pub cbpr: bool,
    /// EOImode 1: an EOI only drops the priority, and a write to DIR deactivates.
    pub split_eoi: bool,
    /// Priority mask, upper five bits: only higher priorities (lower numbers) are signalled.
    pub mask5: u8,
    /// As it was read.
    raw: u32,
}

impl Vmcr {
    /// Which of the active priorities (GICH_APR, ICH_AP1R0_EL2 …) an interrupt has that is acknowledged with this group and priority.
    #[must_use]
    pub const fn level(&self, (group1, priority5): (bool, u8)) -> u32 {
        // Binary points (IHI 0048B, 3.3.3; IHI 0069, 4.8.2): with n, bits 7 to n + 1 of Group 0 take part in preemption, and 7 to n of
        // Group 1; with CBPR, Group 1 has that of Group 0.
        let mask = if group1 && !self.cbpr {
            0xff_u32.wrapping_shl(self.raw >> 18 & 7) as u8
        } else {
            0xfe_u32.wrapping_shl(self.raw >> 21 & 7) as u8
        };
        1_u32.wrapping_shl(((priority5 << 3 & mask) >> 3) as u32)
    }
}

/// ICH_VMCR_EL2, as the registers that it has the values of see it.
impl Vmcr {
    /// ICC_PMR_EL1.
    #[must_use]
    pub const fn pmr(raw: u32) -> u8 {
        (raw >> 24) as u8
    }

    /// VMCR with this ICC_PMR_EL1.
    #[must_use]
    pub const fn with_pmr(raw: u32, pmr: u8) -> u32 {
        raw & !(0xff << 24) | (pmr as u32) << 24
    }

    /// VMCR with these bits of ICC_CTLR_EL1: CBPR and EOImode.
    #[must_use]
    pub const fn with_ctlr(raw: u32, cbpr: bool, split_eoi: bool) -> u32 {
        raw & !(1 << 4 | 1 << 9) | (cbpr as u32) << 4 | (split_eoi as u32) << 9
    }
}

/// ICH_VTR_EL2 (IHI 0069, 12.4): what the virtual CPU interface can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vtr(pub u32);

impl Vtr {
    /// The bits of a priority that there are: PRIbits, one less than their number.
    #[must_use]
    pub const fn priority_mask(self) -> u8 {
        !0x7f_u8.wrapping_shr(self.0 >> 29)
    }

    /// From one group priority to the next, as a shift: PREbits is one less than the number of their bits.
    #[must_use]
    pub const fn preemption_step(self) -> u32 {
        7_u32.wrapping_sub(self.0 >> 26 & 7)
    }

    /// What ICC_CTLR_EL1 has of it: PRIbits, IDbits, SEIS and A3V.
    #[must_use]
    pub const fn ctlr(self) -> u32 {
        let vtr = self.0;
        (vtr >> 29) << 8 | (vtr >> 23 & 7) << 11 | (vtr >> 22 & 1) << 14 | (vtr >> 21 & 1) << 15
    }
}

impl Format {
    /// The list register that shows `view` of interrupt `intid`. `phys` counts only where `view.hw`.
    #[must_use]
    #[inline(always)]
    pub fn encode(self, intid: u16, phys: u16, priority5: u8, group1: bool, view: LrView) -> u64 {
        if !view.pending && !view.active {
            return 0;
        }
        let (intid, phys, prio) = (
            u64::from(intid),
            u64::from(phys),
            u64::from(priority5 & 0x1f),
        );
        let state = u64::from(view.pending) | u64::from(view.active) << 1;
        match self {
            Format::V2 => {
                let low = if view.hw {
                    (phys & 0x3ff) << 10 | 1 << 31
                } else {
                    u64::from(view.source & 7) << 10 | u64::from(view.eoi) << 19
                };
                intid & 0x3ff | low | prio << 23 | state << 28 | u64::from(group1) << 30
            }
            Format::V3 { sources } => {
                let low = if view.hw {
                    (phys & 0x1fff) << 32 | 1 << 61
                } else {
                    let source = if sources && intid < 16 {
                        view.source & 7
                    } else {
                        0
                    };
                    u64::from(source) << 10 | u64::from(view.eoi) << 41
                };
                intid | low | prio << 51 | state << 62 | u64::from(group1) << 60
            }
        }
    }

    /// The interrupt in a list register that is in use.
    #[must_use]
    pub const fn intid(self, lr: u64) -> u16 {
        match self {
            Format::V2 => (lr & 0x3ff) as u16,
            // A GICv2 guest's SGI carries its source above the INTID.
            Format::V3 { sources: true } => (lr & 0x3ff) as u16,
            Format::V3 { sources: false } => lr as u16,
        }
    }

    /// Pending and active, as a list register now shows them.
    #[must_use]
    pub const fn state(self, lr: u64) -> (bool, bool) {
        let state = match self {
            Format::V2 => lr >> 28,
            Format::V3 { .. } => lr >> 62,
        };
        (state & 1 != 0, state & 2 != 0)
    }

    /// Group 1 or not, and the upper five bits of the priority, as a list register has them.
    #[must_use]
    pub const fn standing(self, lr: u64) -> (bool, u8) {
        let group1 = match self {
            Format::V2 => lr >> 30,
            Format::V3 { .. } => lr >> 60,
        };
        (group1 & 1 != 0, self.priority5(lr))
    }

    /// Does a list register that is in use deactivate a physical interrupt with its own?
    #[must_use]
    pub const fn is_hw(self, lr: u64) -> bool {
        let bit = match self {
            Format::V2 => 31,
            Format::V3 { .. } => 61,
        };
        lr >> bit & 1 != 0
    }

    /// The upper five bits of the priority in a list register.
    #[must_use]
    pub const fn priority5(self, lr: u64) -> u8 {
        (match self {
            Format::V2 => lr >> 23,
            Format::V3 { .. } => lr >> 51,
        } & 0x1f) as u8
    }

    /// Does the maintenance interrupt stay asserted for this list register (EISR) until it is cleared?
    #[must_use]
    pub const fn asserts_eoi(self, lr: u64) -> bool {
        // EOI, and what else has to be 0: HW, under which that bit is the INTID's, and the state.
        let (eoi, none) = match self {
            Format::V2 => (1 << 19, 1 << 31 | 3 << 28),
            Format::V3 { .. } => (1 << 41, 1 << 61 | 3 << 62),
        };
        lr & (eoi | none) == eoi
    }

    /// Decodes VMCR.
    #[must_use]
    pub const fn vmcr(self, raw: u32) -> Vmcr {
        Vmcr {
            raw,
            groups: Groups::from_bits_truncate(raw),
            cbpr: raw & 1 << 4 != 0,
            split_eoi: raw & 1 << 9 != 0,
            // PMR is bits [31:27] of GICH_VMCR and [31:24] of ICH_VMCR_EL2: the upper five bits are the same.
            mask5: (raw >> 27) as u8,
        }
    }
}

#[cfg(test)]
mod tests;
