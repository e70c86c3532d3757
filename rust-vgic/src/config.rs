// SPDX-License-Identifier: GPL-2.0-only
//! What a domain's vGIC is to be, and why that or something else may be refused.

use crate::lr::Format;

/// Which GIC the guest sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// GICv2, IHI 0048B.
    V2,
    /// GICv3 without GICv2 compatibility, one security state, IHI 0069.
    V3,
}

/// Why something was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// An allocation failed.
    NoMemory,
    /// No such interrupt or vCPU, or a value out of range.
    Invalid,
    /// The interrupt is in use.
    Busy,
}

/// What a domain's vGIC is to be.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    /// Which GIC the guest sees.
    pub version: Version,
    /// vCPUs: 1 to 8 for GICv2, 1 to 128 for GICv3.
    pub vcpus: usize,
    /// SPIs, 0 to 988; rounded up to a multiple of 32.
    pub spis: usize,
    /// Extended SPIs, 0 to 1024; rounded up to a multiple of 32. GICv3 only.
    pub espis: usize,
    /// List registers that the hardware has, at least 1; more than 16 are left alone.
    pub list_registers: usize,
    /// The format of the hardware's list registers.
    pub format: Format,
    /// Where the redistributors are, in the order of the vCPUs. GICv3 only.
    pub regions: &'a [Region],
    /// LPIs. GICv3 only.
    pub lpis: LpiConfig,
    /// ITSes, with LPIs only.
    pub its: &'a [ItsConfig],
}

/// What of LPIs a domain has. Without any, all is zero.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct LpiConfig {
    /// Bits of an INTID: 14 to 16, or 0 for no LPIs. List registers have room for 16.
    pub id_bits: u32,
    /// LPIs that may have been mapped in the domain's life, a multiple of 256: bounds its memory. As many again may have been pending
    /// in a redistributor's table without having been mapped.
    pub most: u32,
    /// Devices that may be mapped at a time, over all ITSes.
    pub devices: u32,
    /// Events that may be mapped at a time, over all ITSes.
    pub events: u32,
}

/// What an ITS is to be.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ItsConfig {
    /// Bits of a DeviceID, 1 to 32.
    pub device_bits: u32,
    /// Bits of an EventID, 1 to 32.
    pub event_bits: u32,
}

/// A run of redistributors in guest physical memory, 128 KiB for each vCPU.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Region {
    /// Guest physical address, 64 KiB aligned.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}

/// From one redistributor to the next: without virtual LPIs there are two frames each.
pub(crate) const STRIDE: u64 = 0x2_0000;

impl Region {
    /// How many redistributors it has room for.
    pub(crate) fn count(&self) -> u64 {
        self.size / STRIDE
    }
}
