// SPDX-License-Identifier: GPL-2.0-only
//! Where registers are.

/// GICv2 distributor registers.
pub mod gicd {
    pub const CTLR: u32 = 0;
    pub const ISENABLER0: u32 = 0x100;
    pub const ISENABLER1: u32 = 0x104;
    pub const ICENABLER0: u32 = 0x180;
    pub const ICENABLER1: u32 = 0x184;
    pub const ISPENDR1: u32 = 0x204;
    pub const ICPENDR1: u32 = 0x284;
    pub const ISACTIVER1: u32 = 0x304;
    pub const ICACTIVER1: u32 = 0x384;
    pub const IPRIORITYR32: u32 = 0x420;
    pub const ITARGETSR32: u32 = 0x820;
    pub const ICFGR2: u32 = 0xc08;
}

/// Redistributor registers, in both of its frames.
pub mod gicr {
    pub const CTLR: u64 = 0;
    pub const ISENABLER0: u64 = 0x1_0100;
    pub const ICENABLER0: u64 = 0x1_0180;
    pub const ICPENDR0: u64 = 0x1_0280;
    pub const ISACTIVER0: u64 = 0x1_0300;
    pub const ICACTIVER0: u64 = 0x1_0380;
}
