// SPDX-License-Identifier: GPL-2.0-only
//! Which records there are.

/// Which record. The number is its typecode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u16)]
pub enum Record {
    /// The last one, of no length.
    End = 0,
    /// The first one: [`HeaderState`](super::HeaderState).
    Header,
    /// [`DistributorState`](super::DistributorState).
    Distributor,
    /// [`RedistributorState`](super::RedistributorState), the instance being the vCPU.
    Redistributor,
    /// [`CpuInterfaceState`](super::CpuInterfaceState), the instance being the vCPU.
    CpuInterface,
    /// [`SpiState`](super::SpiState), the instance being the first INTID divided by 32.
    Spi,
    /// [`LpiState`](super::LpiState), the instance being the first INTID less 8192, divided by 32.
    Lpi,
    /// [`ItsState`](super::ItsState), the instance being the ITS.
    Its,
    /// [`MsiFrameState`](super::MsiFrameState).
    MsiFrame,
    /// [`RvicState`](super::RvicState), the instance being the vCPU times 64, and the first INTID divided by 32.
    Rvic,
    /// [`RvidState`](super::RvidState), the instance being the first input divided by 32.
    Rvid,
}

impl Record {
    /// All of them, by their typecodes.
    pub const ALL: [Self; 11] = [
        Self::End,
        Self::Header,
        Self::Distributor,
        Self::Redistributor,
        Self::CpuInterface,
        Self::Spi,
        Self::Lpi,
        Self::Its,
        Self::MsiFrame,
        Self::Rvic,
        Self::Rvid,
    ];

    /// The record of a typecode.
    #[must_use]
    pub fn of(typecode: u16) -> Option<Self> {
        Self::ALL.get(usize::from(typecode)).copied()
    }

    /// Its name, as the documentation has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::End => "END",
            Self::Header => "HEADER",
            Self::Distributor => "GICD",
            Self::Redistributor => "GICR",
            Self::CpuInterface => "CPU",
            Self::Spi => "SPI",
            Self::Lpi => "LPI",
            Self::Its => "ITS",
            Self::MsiFrame => "GICV2M",
            Self::Rvic => "RVIC",
            Self::Rvid => "RVID",
        }
    }
}
