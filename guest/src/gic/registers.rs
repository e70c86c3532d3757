// SPDX-License-Identifier: GPL-2.0-only
//! Where registers are in their frames (IHI 0048B, 4.1; IHI 0069, 12.8 and 12.10).

/// Offsets in the distributor; those up to ICFGR are the same in a redistributor's SGI frame.
pub mod gicd {
    pub const CTLR: usize = 0x000;
    pub const TYPER: usize = 0x004;
    pub const IIDR: usize = 0x008;
    pub const SETSPI_NSR: usize = 0x040;
    pub const CLRSPI_NSR: usize = 0x048;
    pub const IGROUPR: usize = 0x080;
    pub const ISENABLER: usize = 0x100;
    pub const ICENABLER: usize = 0x180;
    pub const ISPENDR: usize = 0x200;
    pub const ICPENDR: usize = 0x280;
    pub const ISACTIVER: usize = 0x300;
    pub const ICACTIVER: usize = 0x380;
    pub const IPRIORITYR: usize = 0x400;
    pub const ITARGETSR: usize = 0x800;
    pub const ICFGR: usize = 0xc00;
    pub const SGIR: usize = 0xf00;
    pub const CPENDSGIR: usize = 0xf10;
    pub const SPENDSGIR: usize = 0xf20;
    pub const IROUTER: usize = 0x6000;
    pub const PIDR2_V2: usize = 0xfe8;
    pub const PIDR2_V3: usize = 0xffe8;
}

/// Offsets in a redistributor.
pub mod gicr {
    pub const CTLR: usize = 0x00;
    pub const TYPER: usize = 0x08;
    pub const WAKER: usize = 0x14;
    pub const PIDR2: usize = 0xffe8;
    pub const SGI_BASE: usize = 0x1_0000;
}
