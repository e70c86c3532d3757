// SPDX-License-Identifier: GPL-2.0-only
//! Interrupt controllers that scripts are for, and the shared interrupts that happen in these.

use recording::HardwareLine;

/// What the guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    Gicv2,
    Gicv3,
    /// A GICv3.1, with extended SPIs among the others.
    Extended,
}

/// Emulated edges, levels, and interrupts whose trigger type changes: each register of `ICFGR` has those of one type, and the last the
/// first three of theirs.
pub(super) struct Shared {
    pub(super) edges: &'static [u32],
    pub(super) levels: &'static [u32],
    pub(super) either: [u32; 3],
    pub(super) physical_edges: &'static [u32],
    pub(super) physical_levels: &'static [u32],
}

const USUAL: Shared = Shared {
    edges: &[40, 41, 42, 44],
    levels: &[48, 49, 50],
    either: [64, 65, 66],
    physical_edges: &[36, 37],
    physical_levels: &[56, 57],
};

/// On both sides, and on both sides of a register's end.
const EXTENDED: Shared = Shared {
    edges: &[40, 4096, 4097, 4108],
    levels: &[48, 4127, 4128],
    either: [4144, 4145, 4146],
    physical_edges: &[36, 4100],
    physical_levels: &[56, 4120],
};

impl Model {
    /// All.
    pub const ALL: [Self; 3] = [Self::Gicv2, Self::Gicv3, Self::Extended];

    /// Its version.
    pub const fn gic(self) -> u8 {
        match self {
            Self::Gicv2 => 2,
            Self::Gicv3 | Self::Extended => 3,
        }
    }

    /// How many extended SPIs it has.
    pub const fn espis(self) -> u16 {
        match self {
            Self::Gicv2 | Self::Gicv3 => 0,
            Self::Extended => 64,
        }
    }

    pub(super) const fn shared(self) -> &'static Shared {
        match self {
            Self::Gicv2 | Self::Gicv3 => &USUAL,
            Self::Extended => &EXTENDED,
        }
    }
}

impl Shared {
    /// Those with physical ones behind them.
    pub(super) fn hardware(&self) -> Vec<HardwareLine> {
        let of = |all: &[u32], level| {
            let line = move |&intid: &u32| HardwareLine { intid, level };
            all.iter().map(line).collect::<Vec<_>>()
        };
        let mut lines = of(self.physical_edges, false);
        lines.extend(of(self.physical_levels, true));
        lines
    }
}
