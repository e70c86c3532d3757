// SPDX-License-Identifier: GPL-2.0-only
//! Kinds of machines: one table of what their interrupt controllers have, and where.

use crate::machine::lr::LrFormat;
use std::fmt;

/// The frames of a GICv2: `GICC`, `GICH` and `GICV`, from a machine's device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CpuFrames {
    pub gicc: u64,
    pub gich: u64,
    pub gicv: u64,
    /// Of `GICC` and of `GICV`.
    pub size: u64,
}

/// A redistributor region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Region {
    pub base: u64,
    /// Redistributors that it has room for.
    pub redistributors: u64,
}

const fn region(base: u64, redistributors: u64) -> Region {
    Region {
        base,
        redistributors,
    }
}

/// What kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What `--profile` takes.
    pub name: &'static str,
    pub about: &'static str,
    /// Architecture version of the physical GIC, 2 or 3.
    pub gic: u8,
    /// List registers per CPU.
    pub lrs: usize,
    /// Bits of priority and of preemption in the virtual CPU interface, 5 to 7.
    pub priority_bits: u32,
    /// Physical CPUs.
    pub cpus: usize,
    /// Shared interrupts.
    pub spis: usize,
    /// Extended shared interrupts (GICv3.1), from 4096 on.
    pub espis: usize,
    /// `ICH_VTR_EL2.TDS`: writes of `ICC_DIR_EL1` can be made to trap.
    pub tds: bool,
    /// ITSes of the host.
    pub itses: usize,
    /// Devices are behind an IOMMU.
    pub iommu: bool,
    /// The PPI of each CPU's virtual timer.
    pub vtimer: u8,
    /// The distributor.
    pub gicd: u64,
    /// A GICv3 that has them can have GICv2 guests, too.
    pub frames: Option<CpuFrames>,
    pub regions: &'static [Region],
    /// Where its ITSes are, or could be.
    pub its_frames: &'static [u64],
    /// Faults that Xen's C vGICs are known to have (`xen::flaws`) do not stop the machine.
    pub forgiving: bool,
}

impl Profile {
    /// QEMU's `virt` with `gic-version=2`.
    pub const GICV2: Self = Self {
        name: "virt-v2",
        about: "QEMU's virt machine with a GICv2",
        gic: 2,
        lrs: 4,
        priority_bits: 5,
        cpus: 4,
        spis: 256,
        espis: 0,
        tds: false,
        itses: 0,
        iommu: false,
        vtimer: 27,
        gicd: 0x0800_0000,
        frames: Some(CpuFrames {
            gicc: 0x0801_0000,
            gich: 0x0803_0000,
            gicv: 0x0804_0000,
            size: 0x2000,
        }),
        regions: &[],
        its_frames: &[],
        forgiving: false,
    };

    /// Arm's Juno r2: two cores and four, and frames that are not at the start of a page of 64 KiB.
    pub const JUNO: Self = Self {
        name: "juno-r2",
        about: "Arm's Juno r2: a GIC-400 with two and four cores",
        cpus: 6,
        spis: 480,
        gicd: 0x2c01_0000,
        frames: Some(CpuFrames {
            gicc: 0x2c02_f000,
            gich: 0x2c04_f000,
            gicv: 0x2c06_f000,
            size: 0x2000,
        }),
        ..Self::GICV2
    };

    /// A GIC-400 on 64 KiB pages: each of the two 4 KiB pages of `GICC` and of `GICV` is repeated sixteen times.
    pub const GICV2_ALIASED: Self = Self {
        name: "zynqmp",
        about: "Zynq UltraScale+: a GIC-400 with aliased frames of 128 KiB",
        spis: 160,
        gicd: 0xf901_0000,
        frames: Some(CpuFrames {
            gicc: 0xf902_0000,
            gich: 0xf904_0000,
            gicv: 0xf906_0000,
            size: 0x2_0000,
        }),
        ..Self::GICV2
    };

    /// QEMU's `virt` with `gic-version=3`, whose CPUs have as much as a Cortex-A72.
    pub const GICV3: Self = Self {
        name: "virt-v3",
        about: "QEMU's virt machine with a GICv3",
        gic: 3,
        frames: None,
        regions: &[region(0x080a_0000, 123), region(0x40_0000_0000, 512)],
        its_frames: &[0x0808_0000],
        ..Self::GICV2
    };

    /// Arm's FVP Base models: a GICv3 whose CPUs have a `GICV` frame for GICv2 guests.
    pub const GICV3_GICV: Self = Self {
        name: "fvp-base",
        about: "Arm's FVP Base: a GICv3 with a GICV frame for GICv2 guests",
        spis: 224,
        gicd: 0x2f00_0000,
        frames: Some(CpuFrames {
            gicc: 0x2c00_0000,
            gich: 0x2c01_0000,
            gicv: 0x2c02_f000,
            size: 0x2000,
        }),
        regions: &[region(0x2f10_0000, 16)],
        its_frames: &[0x2f02_0000],
        ..Self::GICV3
    };

    /// A large server: everything that a GICv3.1 can have. The first redistributor region is small, so that small domains
    /// have more than one, too.
    pub const SERVER: Self = Self {
        name: "server",
        about: "a server's GICv3.1",
        lrs: 16,
        priority_bits: 7,
        cpus: 128,
        spis: 960,
        espis: 1024,
        tds: true,
        itses: 4,
        iommu: false,
        vtimer: 27,
        gicd: 0x4d00_0000,
        regions: &[
            region(0x4d10_0000, 2),
            region(0x6d10_0000, 32),
            region(0x400_4d10_0000, 32),
            region(0x400_6d10_0000, 128),
        ],
        its_frames: &[0x4c00_0000, 0x6c00_0000, 0x400_4c00_0000, 0x400_6c00_0000],
        ..Self::GICV3
    };

    /// The machines with names.
    pub const TABLE: [Self; 6] = [
        Self::GICV2,
        Self::JUNO,
        Self::GICV2_ALIASED,
        Self::GICV3,
        Self::GICV3_GICV,
        Self::SERVER,
    ];

    /// Four CPUs of the server's, without LPIs and extended SPIs.
    pub const GICV3_16: Self = Self {
        name: "server, 4 CPUs, SPIs",
        cpus: 4,
        espis: 0,
        itses: 0,
        iommu: false,
        vtimer: 27,
        ..Self::SERVER
    };

    /// The same with as many extended SPIs as there can be.
    pub const GICV3_ESPI: Self = Self {
        name: "server, 4 CPUs, extended SPIs",
        espis: 1024,
        ..Self::GICV3_16
    };

    /// Machines of four to six CPUs for the tests that go through all kinds, with guests of its own version.
    pub const ALL: [Self; 6] = [
        Self::GICV2,
        Self::JUNO,
        Self::GICV2_ALIASED,
        Self::GICV3,
        Self::GICV3_GICV,
        Self::GICV3_16,
    ];

    /// The machine with this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::TABLE.into_iter().find(|p| p.name == name)
    }

    /// The same with another number of physical CPUs.
    #[must_use]
    pub const fn with_cpus(mut self, cpus: usize) -> Self {
        self.cpus = cpus;
        self
    }

    /// The same with so many of its ITSes. Only a vGIC that has virtual ones can be on it.
    #[must_use]
    pub const fn with_itses(mut self, itses: usize) -> Self {
        assert!(itses <= self.its_frames.len());
        self.itses = itses;
        self
    }

    /// The same with another PPI for the virtual timers.
    #[must_use]
    pub const fn with_vtimer(mut self, ppi: u8) -> Self {
        self.vtimer = ppi;
        self
    }

    /// The same with an IOMMU.
    #[must_use]
    pub const fn with_iommu(mut self) -> Self {
        self.iommu = true;
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
        self.its_frames[n]
    }

    /// Can a guest have a GIC of this architecture version here?
    pub fn runs(&self, gic: u8) -> bool {
        gic == self.gic || (gic == 2 && self.frames.is_some())
    }

    /// Is each page of the CPU interface there sixteen times?
    pub fn aliased(&self) -> bool {
        self.frames.is_some_and(|f| f.size == 0x2_0000)
    }

    pub(crate) fn lr_format(&self) -> LrFormat {
        if self.gic == 2 {
            LrFormat::Gich
        } else {
            LrFormat::Ich
        }
    }
}

/// A line of `list`.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<10} {}; {} CPUs, {} list registers, {} priority bits, {} SPIs",
            self.name, self.about, self.cpus, self.lrs, self.priority_bits, self.spis
        )?;
        for (n, what) in [(self.espis, "extended SPIs"), (self.itses, "ITSes")] {
            if n != 0 {
                write!(f, ", {n} {what}")?;
            }
        }
        Ok(())
    }
}

/// A machine as the C half knows it: `struct mock_machine`.
#[repr(C)]
pub struct Hardware {
    version: u32,
    spis: u32,
    espis: u32,
    lrs: u32,
    gicd: u64,
    /// All zero if there are none.
    frames: CpuFrames,
    regions: *const Region,
    nr_regions: u32,
    itses: u32,
    its_frames: *const u64,
    iommu: bool,
    vtimer: u32,
    cpus: u32,
}

impl Profile {
    /// What the C half is told.
    pub fn hardware(&self) -> Hardware {
        let none = CpuFrames {
            gicc: 0,
            gich: 0,
            gicv: 0,
            size: 0,
        };
        Hardware {
            version: self.gic.into(),
            spis: self.spis as u32,
            espis: self.espis as u32,
            lrs: self.lrs as u32,
            gicd: self.gicd,
            frames: self.frames.unwrap_or(none),
            regions: self.regions.as_ptr(),
            nr_regions: self.regions.len() as u32,
            itses: self.itses as u32,
            its_frames: self.its_frames.as_ptr(),
            iommu: self.iommu,
            vtimer: self.vtimer.into(),
            cpus: self.cpus as u32,
        }
    }
}
