// SPDX-License-Identifier: GPL-2.0-only
//! What happens to a vGIC from outside, one thing at a time.

/// Width of an access in bytes, as a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Size {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits.
    Double,
}

impl Size {
    /// From the logarithm of the number of bytes, of which the low two bits count.
    pub const fn from_log2(log2: u8) -> Self {
        match log2 & 3 {
            0 => Self::Byte,
            1 => Self::Half,
            2 => Self::Word,
            _ => Self::Double,
        }
    }

    /// The bits of a value that such an access carries.
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - (8 << self as u8))
    }
}

/// A block of registers whose accesses trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// The distributor.
    Gicd,
    /// The redistributor of a vCPU, from its RD_base; SGI_base is 64 KiB further.
    Gicr(u8),
    /// The second page of a GICv2's CPU interface, with `GICC_DIR` at its start.
    GiccDir,
}

/// A register: where it is in which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Register {
    /// The block.
    pub frame: Frame,
    /// Bytes from its start; below [`Register::LIMIT`].
    pub offset: u32,
}

impl Register {
    /// No block is larger than this (RD_base, SGI_base, and what GICv4 adds).
    pub const LIMIT: u32 = 1 << 18;

    /// A register of the distributor.
    pub const fn gicd(offset: u32) -> Self {
        Self {
            frame: Frame::Gicd,
            offset,
        }
    }

    /// A register of the redistributor of `vcpu`.
    pub const fn gicr(vcpu: u8, offset: u32) -> Self {
        Self {
            frame: Frame::Gicr(vcpu),
            offset,
        }
    }
}

/// A system register whose writes the vGIC handles, if they trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SysReg {
    /// `ICC_SGI1R_EL1`
    Sgi1r,
    /// `ICC_ASGI1R_EL1`
    Asgi1r,
    /// `ICC_SGI0R_EL1`
    Sgi0r,
    /// `ICC_DIR_EL1`, which traps if `ICH_HCR_EL2.TDIR` says so.
    Dir,
}

impl SysReg {
    /// All of them, each at its number.
    pub const ALL: [Self; 4] = [Self::Sgi1r, Self::Asgi1r, Self::Sgi0r, Self::Dir];
}

/// A field of a vCPU's CPU interface, which the guest sets without a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Field {
    /// The priority mask, eight bits.
    Pmr,
    /// The enable bit of Group 0.
    Group0,
    /// The enable bit of Group 1.
    Group1,
    /// Whether `EOIR` only drops the priority.
    EoiMode,
    /// The binary point of Group 0.
    Bpr0,
    /// The binary point of Group 1.
    Bpr1,
}

impl Field {
    /// All of them, each at its number.
    pub const ALL: [Self; 6] = [
        Self::Pmr,
        Self::Group0,
        Self::Group1,
        Self::EoiMode,
        Self::Bpr0,
        Self::Bpr1,
    ];
}

/// One thing that happens. What a guest got, where known, is part of it, for a player to compare.
///
/// INTIDs of a GICv2's SGIs are as `GICC_IAR` has them where they are acknowledged, ended and deactivated: with the
/// sender in bits 12:10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// A trapped store.
    Write {
        /// Who.
        vcpu: u8,
        /// Where.
        register: Register,
        /// How wide.
        size: Size,
        /// What.
        value: u64,
    },
    /// A trapped load.
    Read {
        /// Who.
        vcpu: u8,
        /// From where.
        register: Register,
        /// How wide.
        size: Size,
        /// What it read.
        value: Option<u64>,
    },
    /// A trapped write of a system register.
    Sysreg {
        /// Who.
        vcpu: u8,
        /// Which.
        register: SysReg,
        /// What.
        value: u64,
    },
    /// A shared interrupt's source; physical if the head says so, else an emulated device.
    Line {
        /// Which.
        intid: u32,
        /// Raised, or lowered. An edge is raised only.
        level: bool,
    },
    /// A private interrupt's source.
    PrivateLine {
        /// Whose.
        vcpu: u8,
        /// Which.
        intid: u32,
        /// Raised, or lowered.
        level: bool,
    },
    /// The guest acknowledges an interrupt.
    Ack {
        /// Who.
        vcpu: u8,
        /// What `IAR` read.
        intid: Option<u32>,
    },
    /// The guest ends an interrupt.
    Eoi {
        /// Who.
        vcpu: u8,
        /// Which; the one acknowledged last if not said.
        intid: Option<u32>,
    },
    /// The guest deactivates an interrupt by the CPU interface, which may or may not trap.
    Dir {
        /// Who.
        vcpu: u8,
        /// Which; the one ended last and not deactivated if not said.
        intid: Option<u32>,
    },
    /// The guest sets a field of its CPU interface.
    Set {
        /// Who.
        vcpu: u8,
        /// Which.
        field: Field,
        /// To what.
        value: u8,
    },
    /// A look at whether the CPU interface signals an interrupt.
    Signal {
        /// Whose.
        vcpu: u8,
        /// Whether it did.
        on: Option<bool>,
    },
    /// A trap that is none of the vGIC's business.
    Exit {
        /// Whose.
        vcpu: u8,
    },
    /// The vCPU leaves its physical CPU.
    Preempt {
        /// Who.
        vcpu: u8,
    },
    /// It comes back.
    Resume {
        /// Who.
        vcpu: u8,
    },
    /// It moves to another physical CPU.
    Migrate {
        /// Who.
        vcpu: u8,
    },
    /// `WFI`: it blocks, unless an interrupt is there for it.
    Wait {
        /// Who.
        vcpu: u8,
    },
    /// PSCI `CPU_OFF` by the vCPU itself.
    Off {
        /// Who.
        vcpu: u8,
    },
    /// PSCI `CPU_ON` of this vCPU by another.
    On {
        /// Who comes on.
        vcpu: u8,
    },
}

impl Op {
    /// The vCPU that it happens to; none for a shared interrupt's source.
    pub const fn vcpu(&self) -> Option<u8> {
        match *self {
            Self::Line { .. } => None,
            Self::Write { vcpu, .. }
            | Self::Read { vcpu, .. }
            | Self::Sysreg { vcpu, .. }
            | Self::PrivateLine { vcpu, .. }
            | Self::Ack { vcpu, .. }
            | Self::Eoi { vcpu, .. }
            | Self::Dir { vcpu, .. }
            | Self::Set { vcpu, .. }
            | Self::Signal { vcpu, .. }
            | Self::Exit { vcpu }
            | Self::Preempt { vcpu }
            | Self::Resume { vcpu }
            | Self::Migrate { vcpu }
            | Self::Wait { vcpu }
            | Self::Off { vcpu }
            | Self::On { vcpu } => Some(vcpu),
        }
    }
}
