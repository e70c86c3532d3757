// SPDX-License-Identifier: GPL-2.0-only
//! Kinds of machines.

use crate::lr::LrFormat;

/// What kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    pub name: &'static str,
    /// Architecture version of the physical GIC, 2 or 3.
    pub gic: u8,
    /// List registers per CPU.
    pub lrs: usize,
    /// Physical CPUs.
    pub cpus: usize,
    /// Shared interrupts.
    pub spis: usize,
    /// Extended shared interrupts (GICv3.1), from 4096 on.
    pub espis: usize,
    /// `ICH_VTR_EL2.TDS`: writes of `ICC_DIR_EL1` can be made to trap.
    pub tds: bool,
    /// A GICv3 that GICv2 guests can use, too.
    pub gicv: bool,
    /// A GICv2 on 64 KiB pages: each of the two 4 KiB pages of GICC and of GICV is repeated sixteen times.
    pub aliased: bool,
    /// ITSes of the host.
    pub itses: usize,
    /// Faults that Xen's C vGICs are known to have ([`crate::peer::faults`]) do not stop the machine.
    pub forgiving: bool,
}

impl Profile {
    /// GIC-400: GICv2 with four list registers.
    pub const GICV2: Self = Self {
        name: "GIC-400, 4 list registers",
        gic: 2,
        lrs: 4,
        cpus: 4,
        spis: 224,
        espis: 0,
        tds: false,
        gicv: false,
        aliased: false,
        itses: 0,
        forgiving: false,
    };
    /// GICv3 with four list registers, as Cortex-A72's.
    pub const GICV3: Self = Self {
        name: "GICv3, 4 list registers",
        gic: 3,
        lrs: 4,
        cpus: 4,
        spis: 224,
        espis: 0,
        tds: false,
        gicv: false,
        aliased: false,
        itses: 0,
        forgiving: false,
    };
    /// GICv3 with sixteen.
    pub const GICV3_16: Self = Self {
        name: "GICv3, 16 list registers",
        gic: 3,
        lrs: 16,
        cpus: 4,
        spis: 960,
        espis: 0,
        tds: true,
        gicv: false,
        aliased: false,
        itses: 0,
        forgiving: false,
    };

    /// A GIC-400 on 64 KiB pages.
    pub const GICV2_ALIASED: Self = Self {
        name: "GIC-400, 4 list registers, aliased frames",
        aliased: true,
        ..Self::GICV2
    };

    /// A GICv3 whose CPUs have a GICV frame for GICv2 guests.
    pub const GICV3_GICV: Self = Self {
        name: "GICv3 with a GICV frame, 4 list registers",
        gicv: true,
        ..Self::GICV3
    };

    /// A server's GICv3.1: sixteen list registers, and as many extended SPIs as there can be.
    pub const GICV3_ESPI: Self = Self {
        name: "GICv3.1, 16 list registers, 1024 extended SPIs",
        espis: 1024,
        ..Self::GICV3_16
    };

    /// One of each kind, with guests of its own version.
    pub const ALL: [Self; 3] = [Self::GICV2, Self::GICV3, Self::GICV3_16];

    /// The same with another number of physical CPUs.
    #[must_use]
    pub const fn with_cpus(mut self, cpus: usize) -> Self {
        self.cpus = cpus;
        self
    }

    /// The same with ITSes. Only a vGIC that has virtual ones can be on it.
    #[must_use]
    pub const fn with_itses(mut self, itses: usize) -> Self {
        self.itses = itses;
        self
    }

    /// The same, which gets by with Xen's C vGICs.
    #[must_use]
    pub const fn forgiving(mut self) -> Self {
        self.forgiving = true;
        self
    }

    /// Where the host's ITS number n is.
    pub fn its_base(&self, n: usize) -> u64 {
        const SIZE: u64 = 0x2_0000;
        if n == 0 {
            0x0808_0000
        } else {
            0x41_0000_0000 + n as u64 * SIZE
        }
    }

    pub(crate) fn lr_format(&self) -> LrFormat {
        if self.gic == 2 {
            LrFormat::Gich
        } else {
            LrFormat::Ich
        }
    }
}
