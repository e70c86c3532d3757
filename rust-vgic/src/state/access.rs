// SPDX-License-Identifier: GPL-2.0-only
//! Register by register, for a virtual machine monitor: what Linux's KVM calls the userspace view of a GIC's registers.
//!
//! Registers are as the guest has them, but for what a guest cannot say: a line and a latch are apart. So, of a domain whose vCPUs do
//! not run:
//!
//! * GICD_ISPENDR, GICR_ISPENDR0 and their like read as the latch alone, and what is written is the latch from then on, zeroes as
//!   well as ones; the line is read and written by [`Domain::line_levels`] and [`Domain::set_line_levels`].
//! * GICD_ICPENDR, GICR_ICPENDR0 read as zero and ignore writes.
//! * GICD_SGIR sends nothing.
//!
//! Everything else is read and written as by the guest, and with the same effect.

use crate::config::{Error, Version};
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::irq::{Event, Irq};
use crate::progress::Progress;
use crate::registers::Width;
use crate::vcpu::Vcpu;

/// A frame of registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Block {
    /// The distributor; private interrupts of a GICv2 are those of the vCPU.
    Distributor,
    /// The redistributor of the vCPU: RD_base, and SGI_base 64 KiB further.
    Redistributor,
    /// An ITS of the domain.
    Its(usize),
}

/// How a register is seen that has a view of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum View {
    /// The latch.
    Pending,
    /// Reads as zero, writes are ignored.
    Nothing,
}

/// SGI_base of a redistributor.
const SGI_BASE: u32 = 0x1_0000;

/// The view that a register of a bit for each interrupt has, and the first of its interrupts.
fn view(version: Version, block: Block, offset: u32) -> Option<(View, u32)> {
    let (offset, first): (u32, u32) = match block {
        Block::Its(_) => return None,
        Block::Redistributor => (offset.checked_sub(SGI_BASE)?, 0),
        Block::Distributor => (offset, 0),
    };
    let of = |base: u32| (offset.wrapping_sub(base) < 0x80).then(|| offset.wrapping_sub(base));
    let extended = block == Block::Distributor && version == Version::V3;
    let views = [
        (0x200, 0x1600, View::Pending),
        (0x280, 0x1800, View::Nothing),
    ];
    for (base, of_extended, view) in views {
        if let Some(byte) = of(base) {
            let private = byte < 4;
            // A GICv3's distributor has none of those.
            let there = if block == Block::Redistributor {
                private
            } else {
                version == Version::V2 || !private
            };
            return there.then(|| (view, first.wrapping_add(byte.wrapping_mul(8))));
        }
        if let Some(byte) = of(of_extended).filter(|_| extended) {
            return Some((view, IntId::ESPI.wrapping_add(byte.wrapping_mul(8))));
        }
    }
    (version == Version::V2 && offset == 0xf00).then_some((View::Nothing, 0))
}

impl<H: Host + 'static> Domain<H> {
    /// The vCPU that registers are about, and that none runs.
    fn viewed(&self, vcpu: VcpuId) -> Result<&Vcpu<H::Vcpu>, Error> {
        if self.vcpus.iter().any(|v| v.is_in_guest()) {
            return Err(Error::Busy);
        }
        self.vcpu(vcpu).ok_or(Error::Invalid)
    }

    /// Reads a register, as who saves a domain.
    ///
    /// # Errors
    /// [`Error::Invalid`]: there is no such vCPU or ITS. [`Error::Busy`]: a vCPU runs.
    pub fn get_register(
        &self,
        block: Block,
        vcpu: VcpuId,
        offset: u32,
        width: Width,
    ) -> Result<u64, Error> {
        let v = self.viewed(vcpu)?;
        if let Some((view, first)) = view(self.version, block, offset) {
            return Ok(self.bits(v, first, |irq| {
                let s = irq.state();
                view == View::Pending && (s.latch() || s.latch_lr())
            }));
        }
        match block {
            Block::Distributor => Ok(self.dist_read(v, offset, width)),
            Block::Redistributor => {
                let (region, at) = self.redistributor_of(vcpu).ok_or(Error::Invalid)?;
                Ok(self.redist_read(v, region, at.wrapping_add(offset.into()), width))
            }
            Block::Its(n) if n < self.its.len() => Ok(self.its_read(v, n, offset, width)),
            Block::Its(_) => Err(Error::Invalid),
        }
    }

    /// Writes a register, as who restores a domain. [`Progress::Again`]: it is to be written once more.
    ///
    /// # Errors
    /// As [`Domain::get_register`].
    pub fn set_register(
        &self,
        block: Block,
        vcpu: VcpuId,
        offset: u32,
        width: Width,
        value: u64,
    ) -> Result<Progress, Error> {
        let v = self.viewed(vcpu)?;
        if let Some((view, first)) = view(self.version, block, offset) {
            self.set_bits(v, view, first, value as u32);
            return Ok(Progress::Done);
        }
        match block {
            Block::Distributor => {
                self.dist_write(v, offset, width, value);
                Ok(Progress::Done)
            }
            Block::Redistributor => {
                let (region, at) = self.redistributor_of(vcpu).ok_or(Error::Invalid)?;
                let at = at.wrapping_add(offset.into());
                Ok(self.redist_write(v, region, at, width, value))
            }
            Block::Its(n) if n < self.its.len() => Ok(self.its_write(v, n, offset, width, value)),
            Block::Its(_) => Err(Error::Invalid),
        }
    }

    /// The levels of 32 lines, from that of INTID `first` on, which is a multiple of 32: those of the vCPU where that is 0.
    ///
    /// # Errors
    /// As [`Domain::get_register`]; also [`Error::Invalid`] for another `first`.
    pub fn line_levels(&self, vcpu: VcpuId, first: u32) -> Result<u32, Error> {
        let v = self.viewed(vcpu)?;
        let lines = first & 31 == 0 && IntId::new(first).is_some_and(|first| !first.is_lpi());
        if !lines {
            return Err(Error::Invalid);
        }
        Ok(self.bits(v, first, |irq| irq.state().line()) as u32)
    }

    /// Sets them.
    ///
    /// # Errors
    /// As [`Domain::line_levels`].
    pub fn set_line_levels(&self, vcpu: VcpuId, first: u32, levels: u32) -> Result<(), Error> {
        let v = self.viewed(vcpu)?;
        self.line_levels(vcpu, first)?;
        for (n, irq) in self.block(v, first) {
            let line = levels.wrapping_shr(n) & 1 != 0;
            let Some(intid) = IntId::new(first.wrapping_add(n)).filter(|id| !id.is_sgi()) else {
                continue;
            };
            // An edge is the latch's, which is written by itself.
            let done = irq.update(|s| {
                let new = s.with_line(line && !s.hw());
                Some(new.settle(s, crate::irq::Effect::empty()))
            });
            if let Some((_, new, effect)) = done {
                self.carry_out(intid, irq, new, effect);
            }
        }
        Ok(())
    }

    /// Those of 32 interrupts that there are, with their places among them.
    fn block<'a>(
        &'a self,
        v: &'a Vcpu<H::Vcpu>,
        first: u32,
    ) -> impl Iterator<Item = (u32, &'a Irq)> {
        let irqs = IntId::new(first).map(|first| self.irqs(v, first, 32));
        (0..).zip(irqs.unwrap_or_default())
    }

    fn bits(&self, v: &Vcpu<H::Vcpu>, first: u32, is: impl Fn(&Irq) -> bool) -> u64 {
        let set = self.block(v, first).filter(|(_, irq)| is(irq));
        set.fold(0, |bits, (n, _)| bits | 1_u64.wrapping_shl(n))
    }

    fn set_bits(&self, v: &Vcpu<H::Vcpu>, view: View, first: u32, value: u32) {
        for (n, _) in self.block(v, first) {
            let on = value.wrapping_shr(n) & 1 != 0;
            let Some(intid) = IntId::new(first.wrapping_add(n)) else {
                continue;
            };
            // An SGI of a GICv2 has sources: GICD_SPENDSGIR.
            let fixed = self.version == Version::V2 && intid.is_sgi();
            if view == View::Pending && !fixed {
                let event = if on {
                    Event::SetPending
                } else {
                    Event::ClearPending
                };
                self.post_phys(v, intid, event);
            }
        }
    }

    /// Where the redistributor of a vCPU is: its region, and the offset in that.
    fn redistributor_of(&self, vcpu: VcpuId) -> Option<(usize, u64)> {
        let mut left = u64::from(vcpu.raw());
        for (n, region) in self.regions.iter().enumerate() {
            if left < region.count() {
                return Some((n, left.wrapping_mul(crate::config::STRIDE)));
            }
            left = left.wrapping_sub(region.count());
        }
        None
    }
}
