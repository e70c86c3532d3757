// SPDX-License-Identifier: GPL-2.0-only
//! What a domain's vGIC is to be, and why that or something else may be refused.

use crate::intid::IntId;
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
    /// The interrupt is in use, or something of what is to be limited.
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
    /// A frame that makes SPIs of messages. GICv2 only.
    pub msi_frame: Option<MsiFrame>,
}

/// What of LPIs a domain has. Without any, all is zero.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct LpiConfig {
    /// Bits of an INTID: 14 to 16, or 0 for no LPIs. List registers have room for 16.
    pub id_bits: u32,
    /// How many of them, and of what leads to them.
    pub limits: Limits,
}

/// How much of what an ITS is told to map a domain may have: what bounds its memory, whatever its guest does.
///
/// A command that would go beyond is refused with the architecture's command error, as if the guest had asked for a number that
/// is out of range: MAPD_DEVICE_OOR (0x010801), MAPTI_ID_OOR (0x010a05) or MAPTI_PHYSICALID_OOR (0x010a06).
///
/// | what | bytes |
/// |---|---|
/// | a block of 256 LPIs | 8,192 |
/// | an event | 136 for each of four nodes of its device's table, of which others share the upper ones |
/// | a device | 640 for each of four nodes of its ITS's table, the same |
///
/// The default comes to 1,059,968 bytes in the worst layout that it allows, see [`most_bytes`](crate::its::most_bytes); a guest
/// that uses numbers that follow one another, as they do, takes about a tenth of that.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Limits {
    /// LPIs that may have been mapped in the domain's life, counted in blocks of [`Limits::LPI_BLOCK`] consecutive INTIDs and
    /// rounded up to such. As many again may have been pending in a redistributor's table without having been mapped.
    pub lpis: u32,
    /// Devices that may be mapped at a time, over all ITSes.
    pub devices: u32,
    /// Events that may be mapped at a time, over all ITSes.
    pub events: u32,
}

impl Limits {
    /// What a domain has unless somebody says otherwise: enough for some virtio or NVMe devices with an interrupt for each queue
    /// of each vCPU.
    pub const DEFAULT: Self = Self {
        lpis: 4096,
        devices: 64,
        events: 2048,
    };

    /// For who is trusted with the memory: whatever INTIDs of 16 bits there are.
    pub const ALL: Self = Self {
        lpis: 0x1_0000 - IntId::LPI,
        devices: 0x1_0000 - IntId::LPI,
        events: 0x1_0000 - IntId::LPI,
    };

    /// LPIs are counted in blocks of so many.
    pub const LPI_BLOCK: u32 = 256;

    /// Nothing is 0, and nothing is more than there can be: as many LPIs as INTIDs of 16 bits have, and an event for each;
    /// devices without an event count as well.
    pub(crate) fn are_valid(self) -> bool {
        let good = |n: u32, most: u32| (1..=most).contains(&n);
        good(self.lpis, Self::ALL.lpis)
            && good(self.devices, 0x1_0000)
            && good(self.events, Self::ALL.events)
    }
}

/// A GICv2m frame: the SPIs that messages to it become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiFrame {
    /// INTID of the first, an SPI.
    pub base: u32,
    /// How many, all of them SPIs of the domain.
    pub count: u32,
}

impl MsiFrame {
    pub(crate) fn has(self, intid: IntId) -> bool {
        let index = intid.raw().checked_sub(self.base);
        index.is_some_and(|index| index < self.count)
    }

    /// Are all of them SPIs of a domain that has so many?
    pub(crate) fn is_valid(self, spis: usize) -> bool {
        let end = IntId::SPI.saturating_add(spis as u32).min(IntId::SPI_END);
        let own = self.base.checked_add(self.count);
        self.base >= IntId::SPI && self.count != 0 && own.is_some_and(|own| own <= end)
    }
}

/// Why a message has changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageError {
    /// The domain has no such ITS or frame, or has mapped no such device.
    NoDevice,
    /// No LPI is mapped to the event, or the SPI is none of the frame's.
    NoEvent,
    /// The guest takes no messages there now, and hardware would drop them: the ITS is disabled, the event's collection goes to
    /// no redistributor, or LPIs are disabled in that.
    Disabled,
    /// The device is the host's, and sends its messages itself.
    HasHardware,
    /// The ITS has just been enabled with other tables and reads them, as its guest waits, or somebody has its tables who cannot be
    /// waited for: it is to be sent again.
    Again,
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
