// SPDX-License-Identifier: GPL-2.0-only
//! What a guest's driver writes to have something done: operations by intention, for scripts and generators.

use crate::head::Head;
use crate::its;
use crate::op::{Field, Op, Register, Size, SysReg};

/// Offsets that both versions' distributors and the redistributors' second frame have.
const IGROUPR: u32 = 0x80;
const ISENABLER: u32 = 0x100;
const ICENABLER: u32 = 0x180;
const ISPENDR: u32 = 0x200;
const ICPENDR: u32 = 0x280;
const ISACTIVER: u32 = 0x300;
const ICACTIVER: u32 = 0x380;
const IPRIORITYR: u32 = 0x400;
const ITARGETSR: u32 = 0x800;
const ICFGR: u32 = 0xc00;
const SGIR: u32 = 0xf00;
const IROUTER: u32 = 0x6000;
/// The first extended SPI (GICv3.1).
pub const FIRST_ESPI: u32 = 4096;
/// Where the registers of these are instead.
const EXTENDED: [(u32, u32); 10] = [
    (IGROUPR, 0x1000),
    (ISENABLER, 0x1200),
    (ICENABLER, 0x1400),
    (ISPENDR, 0x1600),
    (ICPENDR, 0x1800),
    (ISACTIVER, 0x1a00),
    (ICACTIVER, 0x1c00),
    (IPRIORITYR, 0x2000),
    (ICFGR, 0x3000),
    (IROUTER, 0x8000),
];
const WAKER: u32 = 0x14;
const PROPBASER: u32 = 0x70;
const PENDBASER: u32 = 0x78;
const SGI_BASE: u32 = 0x1_0000;

/// Registers of an ITS.
pub(crate) mod gits {
    pub(crate) const CTLR: u32 = 0x0;
    pub(crate) const CBASER: u32 = 0x80;
    pub(crate) const CWRITER: u32 = 0x88;
    pub(crate) const BASER: u32 = 0x100;
}

/// The priority that everything has at first, and the mask.
pub const PRIORITY: u8 = 0xa0;
/// As Linux sets it.
pub const PMR: u8 = 0xf0;

/// The driver of one vCPU.
#[derive(Clone, Copy, Debug)]
pub struct Driver<'a> {
    head: &'a Head,
    vcpu: u8,
}

impl<'a> Driver<'a> {
    /// What `vcpu` does to the interrupt controller that the head describes.
    pub const fn new(head: &'a Head, vcpu: u8) -> Self {
        Self { head, vcpu }
    }

    fn v3(&self) -> bool {
        self.head.gic == 3
    }

    /// The register of an array that has an interrupt, of which each has so many bits, at a multiple of so many bytes.
    fn at(&self, array: u32, bits: u32, bytes: u32, intid: u32) -> Register {
        let moved = EXTENDED.iter().find(|(usual, _)| *usual == array);
        let (array, n) = match (intid.checked_sub(FIRST_ESPI), moved) {
            (Some(n), Some((_, array))) => (*array, n),
            _ => (array, intid),
        };
        let offset = array + n * bits / 8 / bytes * bytes;
        if self.v3() && intid < 32 {
            Register::gicr(self.vcpu, SGI_BASE + offset)
        } else {
            Register::gicd(offset)
        }
    }

    fn write(&self, register: Register, size: Size, value: u64) -> Op {
        Op::Write {
            vcpu: self.vcpu,
            register,
            size,
            value,
        }
    }

    /// The bit of an interrupt, in a register of one bit each.
    pub fn bit(&self, array: u32, intid: u32) -> (Register, u64) {
        (self.at(array, 1, 4, intid), 1 << (intid % 32))
    }

    fn set_bit(&self, array: u32, intid: u32) -> Op {
        let (register, bit) = self.bit(array, intid);
        self.write(register, Size::Word, bit)
    }

    /// Enables an interrupt.
    pub fn enable(&self, intid: u32) -> Op {
        self.set_bit(ISENABLER, intid)
    }

    /// Disables an interrupt.
    pub fn disable(&self, intid: u32) -> Op {
        self.set_bit(ICENABLER, intid)
    }

    /// Gives an interrupt a priority.
    pub fn priority(&self, intid: u32, priority: u8) -> Op {
        let register = self.at(IPRIORITYR, 8, 1, intid);
        self.write(register, Size::Byte, priority.into())
    }

    /// Routes a shared interrupt to a vCPU.
    pub fn route(&self, intid: u32, to: u8) -> Op {
        if self.v3() {
            let register = self.at(IROUTER, 64, 8, intid);
            self.write(register, Size::Double, affinity(to))
        } else {
            let register = Register::gicd(ITARGETSR + intid);
            self.write(register, Size::Byte, 1 << (to & 7))
        }
    }

    /// Makes the sixteen interrupts that share a register with this one edge-triggered, or level-sensitive.
    pub fn trigger(&self, intid: u32, edge: bool) -> Op {
        let value = if edge { 0xaaaa_aaaa } else { 0 };
        self.write(self.at(ICFGR, 2, 4, intid), Size::Word, value)
    }

    /// Sends an SGI to a vCPU.
    pub fn sgi(&self, to: u8, intid: u32) -> Op {
        if self.v3() {
            let affinity = affinity(to);
            Op::Sysreg {
                vcpu: self.vcpu,
                register: SysReg::Sgi1r,
                value: 1 << (affinity & 0xf) | u64::from(intid & 0xf) << 24 | (affinity >> 8) << 16,
            }
        } else {
            let value = 1 << (16 + u64::from(to & 7)) | u64::from(intid & 0xf);
            self.write(Register::gicd(SGIR), Size::Word, value)
        }
    }

    /// The distributor as Linux sets it up: everything level-sensitive, of one priority, routed to this vCPU, disabled.
    pub fn start_distributor(&self) -> Vec<Op> {
        let last = 32 + u32::from(self.head.spis);
        let mut ops = Vec::new();
        let mut fill = |array: u32, bits: u32, value: u64| {
            for offset in (32 * bits / 8..last * bits / 8).step_by(4) {
                ops.push(self.write(Register::gicd(array + offset), Size::Word, value));
            }
        };
        if self.v3() {
            fill(IGROUPR, 1, 0xffff_ffff);
        } else {
            fill(ITARGETSR, 8, 0x0101_0101 << (self.vcpu & 7));
        }
        fill(ICFGR, 2, 0);
        fill(IPRIORITYR, 8, u64::from(PRIORITY) * 0x0101_0101);
        fill(ICENABLER, 1, 0xffff_ffff);
        if self.v3() {
            ops.extend((32..last).map(|intid| self.route(intid, self.vcpu)));
        }
        let enable = if self.v3() { 0x13 } else { 1 };
        ops.push(self.write(Register::gicd(0), Size::Word, enable));
        ops
    }

    /// The same for so many extended SPIs.
    pub fn start_extended(&self, espis: u32) -> Vec<Op> {
        let all = |from: u32| (FIRST_ESPI..FIRST_ESPI + espis).step_by(from as usize);
        let word = |register, value| self.write(register, Size::Word, value);
        let priorities = u64::from(PRIORITY) * 0x0101_0101;
        let mut ops = Vec::new();
        for n in all(32) {
            ops.push(word(self.at(IGROUPR, 1, 4, n), 0xffff_ffff));
            ops.push(word(self.at(ICENABLER, 1, 4, n), 0xffff_ffff));
        }
        ops.extend(all(16).map(|n| self.trigger(n, false)));
        ops.extend(all(4).map(|n| word(self.at(IPRIORITYR, 8, 4, n), priorities)));
        ops.extend(all(1).map(|n| self.route(n, self.vcpu)));
        ops
    }

    /// The vCPU's private interrupts and its CPU interface as Linux sets them up: SGIs on, PPIs off.
    pub fn start_interface(&self) -> Vec<Op> {
        let word = |offset, value| self.write(self.at(offset, 8, 4, 0), Size::Word, value);
        let set = |field, value| Op::Set {
            vcpu: self.vcpu,
            field,
            value,
        };
        let mut ops = Vec::new();
        if self.v3() {
            let waker = Register::gicr(self.vcpu, WAKER);
            ops.push(self.write(waker, Size::Word, 0));
            ops.push(word(IGROUPR, 0xffff_ffff));
        }
        ops.push(word(ICENABLER, 0xffff_0000));
        for n in 0..8 {
            ops.push(word(IPRIORITYR + n * 4, u64::from(PRIORITY) * 0x0101_0101));
        }
        ops.push(word(ISENABLER, 0xffff));
        ops.push(set(Field::Pmr, PMR));
        ops.push(set(Field::EoiMode, 0));
        let group = if self.v3() {
            Field::Group1
        } else {
            Field::Group0
        };
        ops.push(set(group, 1));
        ops
    }

    /// The vCPU's tables of LPIs, and GICR_CTLR.EnableLPIs.
    pub fn enable_lpis(&self) -> Vec<Op> {
        let own = |offset| Register::gicr(self.vcpu, offset);
        let pendbaser = its::pendbaser(self.vcpu.into());
        vec![
            self.write(own(PROPBASER), Size::Double, its::PROPBASER),
            self.write(own(PENDBASER), Size::Double, pendbaser),
            self.write(own(0), Size::Word, 1),
        ]
    }

    /// A domain that has booted: the distributor by this vCPU, then each vCPU's own part.
    pub fn boot(&self) -> Vec<Op> {
        let mut ops = self.start_distributor();
        for vcpu in 0..self.head.vcpus {
            ops.extend(Self::new(self.head, vcpu).start_interface());
        }
        ops
    }

    /// The same of a domain with so many extended SPIs, which are first.
    pub fn boot_extended(&self, espis: u32) -> Vec<Op> {
        let mut ops = self.start_extended(espis);
        ops.extend(self.boot());
        ops
    }
}

/// Affinity of a vCPU, as Xen gives it: sixteen to a cluster.
pub const fn affinity(vcpu: u8) -> u64 {
    (vcpu as u64 & 0xf) | (vcpu as u64 >> 4) << 8
}
