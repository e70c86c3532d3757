// SPDX-License-Identifier: GPL-2.0-only
//! The virtual CPU interface of one physical CPU: the part of a GIC with virtualization that the hypervisor
//! programs through list registers and the guest uses without a trap.
//!
//! IHI 0048B chapter 5 (`GICH_*`, `GICV_*`) and IHI 0069 chapter 6 (`ICH_*_EL2`, `ICV_*`). As many bits of priority as of
//! preemption: five, as GIC-400 and most GICv3 cores have, to seven. What the architecture leaves open is decided as real parts do: a priority drop happens before the checks of an EOI, the lowest list register
//! wins among equal priorities, and an EOI that drops no priority counts nothing.

use crate::machine::lr::{ListRegister, LrFormat};
/// Which acknowledge or end-of-interrupt register is meant: `IAR`, `ICV_IAR0_EL1` or `AIAR`, `ICV_IAR1_EL1`.
pub use recording::script::Group;

/// Bits of `GICH_HCR` and `ICH_HCR_EL2`.
pub mod hcr {
    pub const EN: u32 = 1;
    pub const UIE: u32 = 1 << 1;
    pub const LRENPIE: u32 = 1 << 2;
    pub const NPIE: u32 = 1 << 3;
    pub const VGRP0EIE: u32 = 1 << 4;
    pub const VGRP0DIE: u32 = 1 << 5;
    pub const VGRP1EIE: u32 = 1 << 6;
    pub const VGRP1DIE: u32 = 1 << 7;
    /// GICv3: guest accesses of what both groups share trap: `ICC_CTLR_EL1`, `ICC_PMR_EL1`, `ICC_RPR_EL1`, `ICC_DIR_EL1`.
    pub const TC: u32 = 1 << 10;
    /// GICv3, where `ICH_VTR_EL2.TDS` says so: guest writes of `ICC_DIR_EL1` trap.
    pub const TDIR: u32 = 1 << 14;
    pub const EOICOUNT_SHIFT: u32 = 27;
    pub const EOICOUNT: u32 = 0x1f << EOICOUNT_SHIFT;
}

/// Bits of `GICH_VMCR` and `ICH_VMCR_EL2`.
pub mod vmcr {
    pub const ENG0: u32 = 1;
    pub const ENG1: u32 = 1 << 1;
    pub const ACKCTL: u32 = 1 << 2;
    pub const FIQEN: u32 = 1 << 3;
    pub const CBPR: u32 = 1 << 4;
    pub const EOIM: u32 = 1 << 9;
    pub const BPR1_SHIFT: u32 = 18;
    pub const BPR0_SHIFT: u32 = 21;
    pub const PMR_SHIFT: u32 = 24;
}

/// Bits of `GICH_MISR` and `ICH_MISR_EL2`.
pub mod misr {
    pub const EOI: u32 = 1;
    pub const U: u32 = 1 << 1;
    pub const LRENP: u32 = 1 << 2;
    pub const NP: u32 = 1 << 3;
    pub const VGRP0E: u32 = 1 << 4;
    pub const VGRP0D: u32 = 1 << 5;
    pub const VGRP1E: u32 = 1 << 6;
    pub const VGRP1D: u32 = 1 << 7;
}

/// No interrupt: what `IAR` and `HPPIR` read.
pub const SPURIOUS: u32 = 1023;
/// A Group 1 interrupt is pending, but this register may not take it (GICv2, `AckCtl` = 0).
pub const SPURIOUS_GROUP1: u32 = 1022;
/// `RPR` when nothing is active.
pub const IDLE_PRIORITY: u8 = 0xff;

/// INTIDs from here on are LPIs, which have no active state.
const FIRST_LPI: u32 = 8192;

/// How the guest reaches the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Memory-mapped `GICV`: a GICv2 guest.
    Gicv,
    /// System registers `ICV_*_EL1`: a GICv3 guest.
    Icv,
}

/// Traffic on the `GICH`/`ICH` registers, for assertions on how often they are touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub lr_reads: u64,
    pub lr_writes: u64,
    pub hcr_writes: u64,
}

/// The model.
#[derive(Clone, Debug)]
pub struct VirtualCpuInterface {
    format: LrFormat,
    view: View,
    lr: Vec<u64>,
    hcr: u32,
    vmcr: u32,
    /// Of a priority, and of the part that takes part in preemption.
    priority_bits: u32,
    /// Active priorities, a bit for each. GICv2 has one register, kept in the first; GICv3 has one, two or four per group.
    apr: [u128; 2],
    pub traffic: Traffic,
    /// Which of several interrupts of the highest priority is taken, as `IAR` reads; the architecture leaves that open.
    pub preferred: Option<u32>,
    /// `ICH_VTR_EL2.TDS`: there is `ICH_HCR_EL2.TDIR`.
    pub tds: bool,
    /// The list register of an active SGI is found by its number alone, as GIC-400 does, and not by its source, too.
    pub blind_to_sources: bool,
}

impl VirtualCpuInterface {
    /// An interface with `lrs` list registers and five to seven bits of priority, everything off, as `vcpu.arch.gic` is when Xen creates a vCPU.
    pub fn new(format: LrFormat, lrs: usize, priority_bits: u32) -> Self {
        let view = if format == LrFormat::Gich {
            View::Gicv
        } else {
            View::Icv
        };
        let mut new = Self {
            format,
            view,
            lr: vec![0; lrs.clamp(1, 64)],
            hcr: 0,
            vmcr: 0,
            priority_bits: priority_bits.clamp(5, 7),
            apr: [0; 2],
            traffic: Traffic::default(),
            preferred: None,
            tds: false,
            blind_to_sources: false,
        };
        new.set_vmcr(0);
        new
    }

    /// Selects how the guest that runs sees it (`ICC_SRE_EL1.SRE` on GICv3; GICv2 is always [`View::Gicv`]).
    pub fn set_view(&mut self, view: View) {
        if self.format == LrFormat::Ich {
            self.view = view;
        }
    }

    // ------------------------------------------------------------------ the hypervisor's side

    /// Number of list registers.
    pub fn lrs(&self) -> usize {
        self.lr.len()
    }

    /// `GICH_LRn` / `ICH_LR<n>_EL2`. Beyond the last: zero.
    pub fn read_lr(&mut self, n: usize) -> u64 {
        self.traffic.lr_reads += 1;
        self.lr.get(n).copied().unwrap_or(0)
    }

    /// Writes a list register; writes beyond the last are ignored.
    pub fn write_lr(&mut self, n: usize, value: u64) {
        self.traffic.lr_writes += 1;
        let mask = self.priority_mask();
        if let Some(lr) = self.lr.get_mut(n) {
            *lr = if self.format == LrFormat::Gich {
                value & 0xffff_ffff
            } else {
                value & !(u64::from(!mask) << 48)
            };
        }
    }

    /// A list register as it is, for Xen's context switch: not counted.
    pub fn raw_lr(&self, n: usize) -> u64 {
        self.lr.get(n).copied().unwrap_or(0)
    }

    /// Sets a list register in Xen's context switch: not counted.
    pub fn set_raw_lr(&mut self, n: usize, value: u64) {
        if let Some(lr) = self.lr.get_mut(n) {
            *lr = value;
        }
    }

    /// A list register without counting the access: for tests and invariants.
    pub fn peek(&self, n: usize) -> ListRegister {
        ListRegister::decode(
            self.format,
            self.lr.get(n).copied().unwrap_or(0),
            self.view == View::Gicv,
        )
    }

    /// All list registers, decoded.
    pub fn list_registers(&self) -> impl Iterator<Item = ListRegister> + '_ {
        (0..self.lr.len()).map(|n| self.peek(n))
    }

    pub fn hcr(&self) -> u32 {
        self.hcr
    }

    pub fn write_hcr(&mut self, value: u32) {
        self.traffic.hcr_writes += 1;
        let reserved = match (self.gicv2(), self.tds) {
            (true, _) => hcr::TC | hcr::TDIR,
            (false, false) => hcr::TDIR,
            (false, true) => 0,
        };
        self.hcr = value & !reserved;
    }

    pub fn vmcr(&self) -> u32 {
        self.vmcr
    }

    /// Writes `VMCR`; a binary point below the smallest becomes the smallest, the low priority bits stay zero.
    pub fn set_vmcr(&mut self, value: u32) {
        let bpr0 = (value >> vmcr::BPR0_SHIFT & 7).max(7 - self.priority_bits);
        let bpr1 = (value >> vmcr::BPR1_SHIFT & 7).max(8 - self.priority_bits);
        self.vmcr = value & (vmcr::ENG0 | vmcr::ENG1 | vmcr::CBPR | vmcr::EOIM)
            | bpr0 << vmcr::BPR0_SHIFT
            | bpr1 << vmcr::BPR1_SHIFT
            | value & u32::from(self.priority_mask()) << vmcr::PMR_SHIFT;
        if self.view == View::Gicv {
            self.vmcr |= value & (vmcr::ACKCTL | vmcr::FIQEN);
        }
    }

    /// `GICH_APR` (n = 0), or `ICH_AP0R<m>_EL2` (0) and `ICH_AP1R<m>_EL2` (1), the registers of a group in one.
    pub fn apr(&self, n: usize) -> u128 {
        self.apr.get(n).copied().unwrap_or(0)
    }

    pub fn set_apr(&mut self, n: usize, value: u128) {
        if let Some(apr) = self.apr.get_mut(n) {
            *apr = value;
        }
    }

    /// `GICH_VTR` / `ICH_VTR_EL2`: list registers, and priority and preemption bits.
    pub fn vtr(&self) -> u32 {
        let bits = self.priority_bits - 1;
        (self.lr.len() as u32 - 1) | u32::from(self.tds) << 19 | bits << 26 | bits << 29
    }

    /// `EISR`: bit n set if list register n asked for a maintenance interrupt at EOI and has ended.
    pub fn eisr(&self) -> u64 {
        self.bits(|lr| lr.is_invalid() && !lr.hw && lr.eoi)
    }

    /// `ELRSR`: bit n set if list register n is usable.
    pub fn elrsr(&self) -> u64 {
        self.bits(|lr| lr.is_invalid() && (lr.hw || !lr.eoi))
    }

    fn bits(&self, wanted: impl Fn(&ListRegister) -> bool) -> u64 {
        self.list_registers()
            .enumerate()
            .fold(0, |acc, (n, lr)| acc | u64::from(wanted(&lr)) << n)
    }

    /// Outstanding end-of-interrupts without a list register.
    pub fn eoicount(&self) -> u32 {
        self.hcr >> hcr::EOICOUNT_SHIFT
    }

    /// `MISR`: why a maintenance interrupt is due.
    pub fn misr(&self) -> u32 {
        let on = |bit: u32| self.hcr & bit != 0;
        let valid = self.list_registers().filter(|lr| !lr.is_invalid()).count();
        let pending = self.list_registers().any(|lr| lr.pending && !lr.active);
        let eng0 = self.vmcr & vmcr::ENG0 != 0;
        let eng1 = self.vmcr & vmcr::ENG1 != 0;
        let mut m = 0;
        let mut set = |cond: bool, bit: u32| m |= if cond { bit } else { 0 };
        set(self.eisr() != 0, misr::EOI);
        set(on(hcr::UIE) && valid <= 1, misr::U);
        set(on(hcr::LRENPIE) && self.eoicount() != 0, misr::LRENP);
        set(on(hcr::NPIE) && !pending, misr::NP);
        set(on(hcr::VGRP0EIE) && eng0, misr::VGRP0E);
        set(on(hcr::VGRP0DIE) && !eng0, misr::VGRP0D);
        set(on(hcr::VGRP1EIE) && eng1, misr::VGRP1E);
        set(on(hcr::VGRP1DIE) && !eng1, misr::VGRP1D);
        m
    }

    /// Level of the maintenance interrupt.
    pub fn maintenance(&self) -> bool {
        self.hcr & hcr::EN != 0 && self.misr() != 0
    }

    // ------------------------------------------------------------------ priorities

    /// The bits of a priority that exist.
    fn priority_mask(&self) -> u8 {
        !(0xff >> self.priority_bits)
    }

    /// The bit of a group priority among the active ones is its value without this many low bits.
    fn priority_shift(&self) -> u32 {
        8 - self.priority_bits
    }

    fn gicv2(&self) -> bool {
        self.format == LrFormat::Gich
    }

    fn apr_index(&self, group1: bool) -> usize {
        usize::from(group1 && !self.gicv2())
    }

    /// Bits of a priority that take part in preemption.
    fn group_priority_mask(&self, group1: bool) -> u8 {
        let bpr = if group1 && self.vmcr & vmcr::CBPR == 0 {
            (self.vmcr >> vmcr::BPR1_SHIFT & 7) - 1
        } else {
            self.vmcr >> vmcr::BPR0_SHIFT & 7
        };
        (0xff_u32 << (bpr + 1)) as u8
    }

    /// `RPR`.
    pub fn running_priority(&self) -> u8 {
        match (self.apr[0] | self.apr[1]).trailing_zeros() {
            128 => IDLE_PRIORITY,
            bit => (bit as u8) << self.priority_shift(),
        }
    }

    fn group_enabled(&self, group1: bool) -> bool {
        self.vmcr & (if group1 { vmcr::ENG1 } else { vmcr::ENG0 }) != 0
    }

    /// The list register with the highest priority pending interrupt of an enabled group, PMR aside.
    fn highest_pending(&self) -> Option<(usize, ListRegister)> {
        if self.hcr & hcr::EN == 0 {
            return None;
        }
        self.list_registers()
            .enumerate()
            .filter(|(_, lr)| lr.pending && !lr.active && self.group_enabled(lr.group1))
            .min_by_key(|(_, lr)| (lr.priority, Some(lr.iar()) != self.preferred))
    }

    fn can_preempt(&self, lr: &ListRegister) -> bool {
        let pmr = (self.vmcr >> vmcr::PMR_SHIFT) as u8;
        let running = self.running_priority();
        let mask = self.group_priority_mask(lr.group1);
        lr.priority < pmr && (running == IDLE_PRIORITY || lr.priority & mask < running & mask)
    }

    /// Whether the interface signals a virtual IRQ.
    pub fn virq(&self) -> bool {
        self.signalled().is_some_and(|lr| !self.as_fiq(&lr))
    }

    /// Whether the interface signals a virtual FIQ.
    pub fn vfiq(&self) -> bool {
        self.signalled().is_some_and(|lr| self.as_fiq(&lr))
    }

    fn signalled(&self) -> Option<ListRegister> {
        self.highest_pending()
            .map(|(_, lr)| lr)
            .filter(|lr| self.can_preempt(lr))
    }

    fn as_fiq(&self, lr: &ListRegister) -> bool {
        !lr.group1 && (self.view == View::Icv || self.vmcr & vmcr::FIQEN != 0)
    }

    // ------------------------------------------------------------------ the guest's side

    fn admits(&self, group: Group, lr: &ListRegister) -> Result<(), u32> {
        match (self.view, group, lr.group1) {
            (_, Group::G0, false) | (_, Group::G1, true) => Ok(()),
            (View::Gicv, Group::G0, true) if self.vmcr & vmcr::ACKCTL != 0 => Ok(()),
            (View::Gicv, Group::G0, true) => Err(SPURIOUS_GROUP1),
            _ => Err(SPURIOUS),
        }
    }

    fn store(&mut self, n: usize, lr: &ListRegister) {
        self.lr[n] = lr.encode(self.format);
    }

    /// `HPPIR`: what would be next, the running priority aside.
    pub fn hppir(&self, group: Group) -> u32 {
        match self.highest_pending() {
            None => SPURIOUS,
            Some((_, lr)) => match self.admits(group, &lr) {
                Ok(()) => lr.iar(),
                Err(special) => special,
            },
        }
    }

    /// A read of an `IAR`: acknowledges the highest priority pending interrupt.
    pub fn ack(&mut self, group: Group) -> u32 {
        let Some((n, mut lr)) = self.highest_pending() else {
            return SPURIOUS;
        };
        if !self.can_preempt(&lr) {
            return SPURIOUS;
        }
        if let Err(special) = self.admits(group, &lr) {
            return special;
        }
        let iar = lr.iar();
        if self.view == View::Icv && (1020..1024).contains(&lr.vintid) {
            // A list register with a special INTID: it becomes invalid, the guest sees nothing.
            lr.pending = false;
            self.store(n, &lr);
            return SPURIOUS;
        }
        let bit = (lr.priority & self.group_priority_mask(lr.group1)) >> self.priority_shift();
        self.apr[self.apr_index(lr.group1)] |= 1 << bit;
        lr.pending = false;
        lr.active = true;
        self.store(n, &lr);
        iar
    }

    /// Drops the running priority; its value before, or none if nothing was active.
    fn priority_drop(&mut self) -> Option<(u8, usize)> {
        let bit = (self.apr[0] | self.apr[1]).trailing_zeros();
        if bit == 128 {
            return None;
        }
        let n = usize::from(self.apr[0] >> bit & 1 == 0);
        self.apr[n] &= !(1 << bit);
        Some(((bit as u8) << self.priority_shift(), n))
    }

    fn find_active(&self, id: u32) -> Option<(usize, ListRegister)> {
        self.list_registers().enumerate().find(|(_, lr)| {
            let same = lr.iar() == id || (self.blind_to_sources && lr.vintid == id & 0x3ff);
            lr.active && same
        })
    }

    /// Removes the active state; the physical interrupt to deactivate, if the interrupt is mapped to one.
    fn deactivate(&mut self, n: usize, mut lr: ListRegister) -> Option<u16> {
        lr.active = false;
        self.store(n, &lr);
        lr.hw
            .then_some(lr.pintid)
            .filter(|p| !(1020..1024).contains(p))
    }

    fn count_eoi(&mut self) {
        let count = (self.eoicount() + 1) & 0x1f;
        self.hcr = self.hcr & !hcr::EOICOUNT | count << hcr::EOICOUNT_SHIFT;
    }

    /// Whether a write of `EOIR` only drops the priority.
    pub fn eoimode(&self) -> bool {
        self.vmcr & vmcr::EOIM != 0
    }

    /// A write of an `EOIR`. The result is the physical interrupt that the hardware deactivates with it.
    pub fn eoi(&mut self, group: Group, id: u32) -> Option<u16> {
        let id = if self.view == View::Gicv {
            id & 0x1fff
        } else {
            id & 0xff_ffff
        };
        if (1020..1024).contains(&id) {
            return None;
        }
        let (priority, dropped) = self.priority_drop()?;
        match self.find_active(id) {
            None => {
                if !self.eoimode() && id < FIRST_LPI {
                    self.count_eoi();
                }
                None
            }
            Some((n, lr)) => {
                let same_group = self.view == View::Gicv
                    || (lr.group1 == (group == Group::G1) && dropped == self.apr_index(lr.group1));
                let same_priority = lr.priority & self.group_priority_mask(lr.group1) == priority;
                if same_group && same_priority && (!self.eoimode() || id >= FIRST_LPI) {
                    self.deactivate(n, lr)
                } else {
                    None
                }
            }
        }
    }

    /// A write of `DIR`, if it does not trap. Ignored while `EOIR` deactivates.
    pub fn dir(&mut self, id: u32) -> Option<u16> {
        assert!(!self.dir_traps(), "that is for the hypervisor");
        if !self.eoimode() || id >= FIRST_LPI || (1020..1024).contains(&id) {
            return None;
        }
        match self.find_active(id) {
            Some((n, lr)) => self.deactivate(n, lr),
            None => {
                self.count_eoi();
                None
            }
        }
    }

    /// Whether a write of `ICC_DIR_EL1` traps to the hypervisor.
    pub fn dir_traps(&self) -> bool {
        self.common_traps() || self.view == View::Icv && self.hcr & hcr::TDIR != 0
    }

    /// Whether accesses of `ICC_CTLR_EL1`, `ICC_PMR_EL1` and `ICC_RPR_EL1` trap, too.
    pub fn common_traps(&self) -> bool {
        self.view == View::Icv && self.hcr & hcr::TC != 0
    }

    fn set_vmcr_bits(&mut self, mask: u32, value: u32) {
        self.set_vmcr(self.vmcr & !mask | value & mask);
    }

    /// The guest's priority mask, if writing it does not trap.
    pub fn set_pmr(&mut self, pmr: u8) {
        assert!(!self.common_traps(), "that is for the hypervisor");
        self.set_vmcr_bits(0xff << vmcr::PMR_SHIFT, u32::from(pmr) << vmcr::PMR_SHIFT);
    }

    pub fn pmr(&self) -> u8 {
        (self.vmcr >> vmcr::PMR_SHIFT) as u8
    }

    /// The guest's binary point of a group.
    pub fn set_bpr(&mut self, group: Group, bpr: u32) {
        let shift = if group == Group::G0 {
            vmcr::BPR0_SHIFT
        } else {
            vmcr::BPR1_SHIFT
        };
        self.set_vmcr_bits(7 << shift, (bpr & 7) << shift);
    }

    /// The guest's group enable (`GICV_CTLR` bits 0 and 1, `ICV_IGRPEN<n>_EL1`).
    pub fn set_group_enable(&mut self, group: Group, on: bool) {
        let bit = if group == Group::G0 {
            vmcr::ENG0
        } else {
            vmcr::ENG1
        };
        self.set_vmcr_bits(bit, if on { bit } else { 0 });
    }

    /// The guest's EOImode, if writing it does not trap.
    pub fn set_eoimode(&mut self, split: bool) {
        assert!(!self.common_traps(), "that is for the hypervisor");
        self.set_vmcr_bits(vmcr::EOIM, if split { vmcr::EOIM } else { 0 });
    }

    /// `GICV_CTLR.AckCtl` and `FIQEn`.
    pub fn set_gicv_ctlr(&mut self, ackctl: bool, fiqen: bool) {
        let value = if ackctl { vmcr::ACKCTL } else { 0 } | if fiqen { vmcr::FIQEN } else { 0 };
        self.set_vmcr_bits(vmcr::ACKCTL | vmcr::FIQEN, value);
    }
}

#[cfg(test)]
#[path = "cpuif_tests.rs"]
mod tests;
