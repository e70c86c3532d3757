// SPDX-License-Identifier: GPL-2.0-only
//! The kinds of a machine's interrupt controller, and of its disk's interrupts.

use clap::ValueEnum;

/// Which interrupt controller the machine has.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gic {
    /// GICv2 with a GICv2m frame
    V2,
    /// GICv3
    V3,
}

impl std::fmt::Display for Gic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Gic::V2 => "v2",
            Gic::V3 => "v3",
        })
    }
}

/// How the disk interrupts.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskChoice {
    /// A level SPI (the kernel is given pci=nomsi)
    Intx,
    /// A message that the GICv2m frame turns into an edge SPI, or with --its the ITS into an LPI
    Msi,
    /// One boot of each
    Both,
}

/// One boot's kind of disk interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// A level SPI.
    Intx,
    /// GICv2m messages.
    Msi,
    /// Messages that the ITS translates.
    Lpi,
}

impl std::fmt::Display for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Disk::Intx => "INTx (a level SPI)",
            Disk::Msi => "MSI (GICv2m)",
            Disk::Lpi => "MSI-X (LPIs of the ITS)",
        })
    }
}
