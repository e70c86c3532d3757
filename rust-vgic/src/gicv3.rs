// SPDX-License-Identifier: GPL-2.0-only
//! GICv3 (IHI 0069, section 12.9): the distributor's frame. One security state (GICD_CTLR.DS = 1), affinity routing always on.

use crate::distributor::{
    ENABLE_GROUPS, active, clear_active, clear_pending, disable, enable, enabled, group1, pending,
    priority, router, set_active, set_ctlr, set_group1, set_pending, set_priority, set_router,
    set_trigger, trigger,
};
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::IntId;
use crate::irq::Event;
use crate::registers::{Access, IIDR, Row, Written, rows};

/// GICD_CTLR: affinity routing (ARE) and a single security state (DS), both fixed.
const FIXED_CTLR: u64 = 1 << 4 | 1 << 6;

/// GICD_CTLR.RWP: a write is pending.
const RWP: u64 = 1 << 31;

impl<H: Host + 'static> Domain<H> {
    /// What belongs to private interrupts is in the redistributors, so arrays begin with INTID 32. The registers before them, GICD_ITARGETSR,
    /// GICD_SGIR and GICD_\[CS\]PENDSGIR are RES0 with affinity routing, as GICD_IGRPMODR, GICD_NSACR and what is for Secure SPIs alone are
    /// with one security state. Guests write them (Linux does so at each boot), and that is no mistake: each has a row.
    /// GICD_STATUSR is not implemented, which is RAZ/WI too.
    #[rustfmt::skip]
    pub(crate) const GICV3_DISTRIBUTOR: &'static [Row<H>] = rows! {
        // name          offset  bytes widths element first reset read          write                exact
        GICD_CTLR         0x0000 0x0004 W  Word   0    0x50  Register(ctlr),     Register(set_ctlr),  Never;
        GICD_TYPER        0x0004 0x0004 W  Word   0    0     Register(typer),    Ignored,             Never;
        GICD_IIDR         0x0008 0x0004 W  Word   0    IIDR  Reset,              Ignored,             Never;
        GICD_TYPER2       0x000c 0x0004 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_STATUSR      0x0010 0x0004 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_SETSPI_NSR   0x0040 0x0004 HW Word   0    0     Reset,              Register(set_spi),   Never;
        GICD_CLRSPI_NSR   0x0048 0x0004 HW Word   0    0     Reset,              Register(clear_spi), Never;
        GICD_SETSPI_SR    0x0050 0x0004 HW Word   0    0     Reset,              Ignored,             Never;
        GICD_CLRSPI_SR    0x0058 0x0004 HW Word   0    0     Reset,              Ignored,             Never;
        GICD_IGROUPR0     0x0080 0x0004 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_IGROUPR      0x0084 0x007c W  Bit    32   1     Irq(group1),        Irq(set_group1),     Never;
        GICD_ISENABLER0   0x0100 0x0004 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_ISENABLER    0x0104 0x007c W  Bit    32   0     Irq(enabled),       Ones(enable),        Never;
        GICD_ICENABLER0   0x0180 0x0004 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_ICENABLER    0x0184 0x007c W  Bit    32   0     Irq(enabled),       Ones(disable),       Rwp;
        GICD_ISPENDR0     0x0200 0x0004 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_ISPENDR      0x0204 0x007c W  Bit    32   0     Irq(pending),       Ones(set_pending),   Read;
        GICD_ICPENDR0     0x0280 0x0004 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_ICPENDR      0x0284 0x007c W  Bit    32   0     Irq(pending),       Ones(clear_pending), Both;
        GICD_ISACTIVER0   0x0300 0x0004 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_ISACTIVER    0x0304 0x007c W  Bit    32   0     Irq(active),        Ones(set_active),    Always;
        GICD_ICACTIVER0   0x0380 0x0004 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_ICACTIVER    0x0384 0x007c W  Bit    32   0     Irq(active),        Ones(clear_active),  Always;
        GICD_IPRIORITYR0  0x0400 0x0020 BW Byte   0    0     Reset,              Ignored,             Never;
        GICD_IPRIORITYR   0x0420 0x03e0 BW Byte   32   0     Irq(priority),      Irq(set_priority),   Never;
        GICD_ITARGETSR    0x0800 0x03fc BW Byte   0    0     Reset,              Ignored,             Never;
        GICD_ICFGR0       0x0c00 0x0008 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_ICFGR        0x0c08 0x00f8 W  Pair   32   0     Irq(trigger),       Irq(set_trigger),    Never;
        GICD_IGRPMODR     0x0d00 0x0080 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_NSACR        0x0e00 0x0100 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_SGIR         0x0f00 0x0004 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_CPENDSGIR    0x0f10 0x0010 BW Byte   0    0     Reset,              Ignored,             Never;
        GICD_SPENDSGIR    0x0f20 0x0010 BW Byte   0    0     Reset,              Ignored,             Never;
        GICD_IGROUPRnE    0x1000 0x0080 W  Bit    4096 1     Irq(group1),        Irq(set_group1),     Never;
        GICD_ISENABLERnE  0x1200 0x0080 W  Bit    4096 0     Irq(enabled),       Ones(enable),        Never;
        GICD_ICENABLERnE  0x1400 0x0080 W  Bit    4096 0     Irq(enabled),       Ones(disable),       Rwp;
        GICD_ISPENDRnE    0x1600 0x0080 W  Bit    4096 0     Irq(pending),       Ones(set_pending),   Read;
        GICD_ICPENDRnE    0x1800 0x0080 W  Bit    4096 0     Irq(pending),       Ones(clear_pending), Both;
        GICD_ISACTIVERnE  0x1a00 0x0080 W  Bit    4096 0     Irq(active),        Ones(set_active),    Always;
        GICD_ICACTIVERnE  0x1c00 0x0080 W  Bit    4096 0     Irq(active),        Ones(clear_active),  Always;
        GICD_IPRIORITYRnE 0x2000 0x0400 BW Byte   4096 0     Irq(priority),      Irq(set_priority),   Never;
        GICD_ICFGRnE      0x3000 0x0100 W  Pair   4096 0     Irq(trigger),       Irq(set_trigger),    Never;
        GICD_IGRPMODRnE   0x3400 0x0080 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_NSACRnE      0x3600 0x0100 W  Word   0    0     Reset,              Ignored,             Never;
        GICD_IROUTER      0x6100 0x1ee0 WD Double 32   0     Irq(router),        Irq(set_router),     Never;
        GICD_IROUTERnE    0x8000 0x2000 WD Double 4096 0     Irq(router),        Irq(set_router),     Never;
        GICD_PIDR4        0xffd0 0x0004 W  Word   0    0x44  Reset,              Ignored,             Never;
        GICD_PIDR5_7      0xffd4 0x000c W  Word   0    0x00  Reset,              Ignored,             Never;
        GICD_PIDR0        0xffe0 0x0004 W  Word   0    0x92  Reset,              Ignored,             Never;
        GICD_PIDR1        0xffe4 0x0004 W  Word   0    0xb4  Reset,              Ignored,             Never;
        GICD_PIDR2        0xffe8 0x0004 W  Word   0    0x3b  Reset,              Ignored,             Never;
        GICD_PIDR3        0xffec 0x0004 W  Word   0    0x00  Reset,              Ignored,             Never;
        GICD_CIDR0        0xfff0 0x0004 W  Word   0    0x0d  Reset,              Ignored,             Never;
        GICD_CIDR1        0xfff4 0x0004 W  Word   0    0xf0  Reset,              Ignored,             Never;
        GICD_CIDR2        0xfff8 0x0004 W  Word   0    0x05  Reset,              Ignored,             Never;
        GICD_CIDR3        0xfffc 0x0004 W  Word   0    0xb1  Reset,              Ignored,             Never;
    };
}

/// GICD_CTLR where there is a single security state. RWP is set while a vCPU may still take what a write to GICD_ICENABLER or here
/// has taken from it: until it has left its guest. Any other write has taken effect when it is done.
fn ctlr<H: Host>(access: &Access<'_, H>, index: u32) -> u64 {
    let rwp = if access.domain.has_write_pending() {
        RWP
    } else {
        0
    };
    crate::distributor::ctlr(access, index) & u64::from(ENABLE_GROUPS) | FIXED_CTLR | rwp
}

/// GICD_TYPER. CPUNumber is 0, being about legacy operation; all SPIs can be sent to any vCPU (No1N 0).
fn typer<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    /// Message-based SPIs: SETSPI and CLRSPI are there.
    const MBIS: u64 = 1 << 16;
    const ESPI: u64 = 1 << 8;
    const LPIS: u64 = 1 << 17;
    /// Aff3 can be other than 0.
    const A3V: u64 = 1 << 24;
    let domain = access.domain;
    let lines = (domain.spis.len() / 32) as u64 & 0x1f;
    let espis = (domain.espis.len() / 32) as u64;
    // IDbits: the highest INTID is below 1024, 8192 with extended SPIs, or an LPI.
    let (id_bits, extended) = match espis.checked_sub(1) {
        None => (9, 0),
        Some(range) => (12, ESPI | (range & 0x1f) << 27),
    };
    let (id_bits, lpis) = match domain.lpis.id_bits.checked_sub(1) {
        None => (id_bits, 0),
        Some(bits) => (u64::from(bits), LPIS),
    };
    lines | MBIS | A3V | id_bits << 19 | extended | lpis
}

/// GICD_SETSPI_NSR and GICD_CLRSPI_NSR: for a level-sensitive SPI they are its line.
fn set_spi<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    let Some(intid) = spi(written) else { return };
    let Some(irq) = access.irq(intid) else { return };
    if irq.state().hw() || !irq.state().level() {
        set_pending(access, intid, irq);
    } else {
        access.domain.post_to(intid, irq, Event::Line(true));
    }
}

fn clear_spi<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    let Some(intid) = spi(written) else { return };
    let Some(irq) = access.irq(intid) else { return };
    if irq.state().hw() || !irq.state().level() {
        clear_pending(access, intid, irq);
    } else {
        access.domain.post_to(intid, irq, Event::Line(false));
    }
}

/// The SPI or extended SPI that is written, 13 bits.
fn spi(written: Written) -> Option<IntId> {
    IntId::new(written.value as u32 & 0x1fff).filter(|intid| intid.is_spi() || intid.is_espi())
}

#[cfg(test)]
mod tests;
