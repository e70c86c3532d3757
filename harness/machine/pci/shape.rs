// SPDX-License-Identifier: GPL-2.0-only
//! What functions there are: their BARs, and which of MSI and MSI-X they have.

use super::reg;

/// What a BAR is: of memory, of so many bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Bar {
    /// There is none, or it is the upper half of the one before.
    #[default]
    None,
    /// 32 bits of address.
    Low(u32),
    /// 64 bits.
    Wide(u64),
}

impl Bar {
    /// Its bytes.
    pub fn size(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Low(size) => size.into(),
            Self::Wide(size) => size,
        }
    }
}

/// A capability of MSI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiShape {
    /// As a power of two.
    pub vectors: u8,
    pub wide: bool,
    pub masks: bool,
}

impl MsiShape {
    /// Where data is, and the mask bits.
    pub fn data(self) -> u16 {
        if self.wide { 12 } else { 8 }
    }
    pub fn mask(self) -> u16 {
        self.data() + 4
    }
}

/// A capability of MSI-X: where in which BAR the table and the PBA are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsixShape {
    pub entries: u32,
    pub table: (u8, u32),
    pub pba: (u8, u32),
}

impl MsixShape {
    pub fn table_bytes(self) -> u64 {
        u64::from(self.entries) * reg::ENTRY_SIZE
    }
    pub fn pba_bytes(self) -> u64 {
        u64::from(self.entries).div_ceil(64) * 8
    }
}

/// What a function is.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Vendor and device.
    pub id: (u16, u16),
    pub bars: [Bar; 6],
    pub msi: Option<MsiShape>,
    pub msix: Option<MsixShape>,
}

impl Shape {
    /// A disk as NVMe has it: a register block, and table and PBA behind it in the same BAR.
    pub const DISK: Self = Self {
        id: (0x1b36, 0x0010),
        bars: [
            Bar::Wide(0x4000),
            Bar::None,
            Bar::None,
            Bar::None,
            Bar::None,
            Bar::None,
        ],
        msi: None,
        msix: Some(MsixShape {
            entries: 65,
            table: (0, 0x2000),
            pba: (0, 0x3000),
        }),
    };

    /// Table and PBA share their only page with registers of the function's own, in a BAR of 32 bits.
    pub const CROWDED: Self = Self {
        id: (0x8086, 0x1572),
        bars: [
            Bar::None,
            Bar::Low(0x1000),
            Bar::Wide(0x10_0000),
            Bar::None,
            Bar::None,
            Bar::None,
        ],
        msi: Some(MsiShape {
            vectors: 3,
            wide: true,
            masks: true,
        }),
        msix: Some(MsixShape {
            entries: 9,
            table: (1, 0x210),
            pba: (1, 0x800),
        }),
    };

    /// An old one: MSI of 32 bits without masks.
    pub const PLAIN: Self = Self {
        id: (0x8086, 0x2922),
        bars: [
            Bar::Low(0x1000),
            Bar::None,
            Bar::None,
            Bar::None,
            Bar::None,
            Bar::None,
        ],
        msi: Some(MsiShape {
            vectors: 0,
            wide: false,
            masks: false,
        }),
        msix: None,
    };

    /// All that there can be of MSI.
    pub const MANY: Self = Self {
        id: (0x1234, 0x5678),
        msi: Some(MsiShape {
            vectors: 5,
            wide: true,
            masks: true,
        }),
        ..Self::PLAIN
    };

    /// The largest table, in a BAR of its own.
    pub const LARGEST: Self = Self {
        id: (0x15b3, 0x1017),
        bars: [
            Bar::Wide(0x200_0000),
            Bar::None,
            Bar::Wide(0x1_0000),
            Bar::None,
            Bar::None,
            Bar::None,
        ],
        msi: None,
        msix: Some(MsixShape {
            entries: 2048,
            table: (2, 0),
            pba: (2, 0x8000),
        }),
    };
}
