// SPDX-License-Identifier: GPL-2.0-only
//! GICv2 (IHI 0048B, section 4.3): the distributor's frame, and software-generated interrupts with a source.

use crate::distributor::{
    active, clear_active, clear_pending, ctlr, disable, enable, enabled, group1, pending, priority,
    set_active, set_ctlr, set_group1, set_pending, set_priority, set_targets, set_trigger, targets,
    trigger,
};
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::irq::{Event, Irq};
use crate::registers::{Access, IIDR, Row, Written, rows};

impl<H: Host + 'static> Domain<H> {
    /// Reset values of SGIs differ: GICD_ISENABLER and ICENABLER read 1, GICD_ICFGR 0b10. Without the Security Extensions
    /// GICD_NSACR is RAZ/WI.
    #[rustfmt::skip]
    pub(crate) const GICV2_DISTRIBUTOR: &'static [Row<H>] = rows! {
        // name        offset bytes widths element first reset  read               write                   exact
        GICD_CTLR       0x000 0x004 W  Word 0    0     Register(ctlr),      Register(set_ctlr),     Never;
        GICD_TYPER      0x004 0x004 W  Word 0    0     Register(typer),     Ignored,                Never;
        GICD_IIDR       0x008 0x004 W  Word 0    IIDR  Reset,               Ignored,                Never;
        GICD_IGROUPR    0x080 0x080 W  Bit  0    0     Irq(group1),         Irq(set_group1),        Never;
        GICD_ISENABLER  0x100 0x080 W  Bit  0    0     Irq(enabled),        Ones(enable),           Never;
        GICD_ICENABLER  0x180 0x080 W  Bit  0    0     Irq(enabled),        Ones(disable),          Write;
        GICD_ISPENDR    0x200 0x080 W  Bit  0    0     Irq(pending),        Ones(set_pending),      Read;
        GICD_ICPENDR    0x280 0x080 W  Bit  0    0     Irq(pending),        Ones(clear_pending),    Both;
        GICD_ISACTIVER  0x300 0x080 W  Bit  0    0     Irq(active),         Ones(set_active),       Always;
        GICD_ICACTIVER  0x380 0x080 W  Bit  0    0     Irq(active),         Ones(clear_active),     Always;
        GICD_IPRIORITYR 0x400 0x400 BW Byte 0    0     Irq(priority),       Irq(set_priority),      Never;
        GICD_ITARGETSR  0x800 0x400 BW Byte 0    0     Irq(targets),        Irq(set_targets),       Never;
        GICD_ICFGR      0xc00 0x100 W  Pair 0    0     Irq(trigger),        Irq(set_trigger),       Never;
        GICD_NSACR      0xe00 0x100 W  Word 0    0     Reset,               Ignored,                Never;
        GICD_SGIR       0xf00 0x004 W  Word 0    0     Reset,               Register(send),         Never;
        GICD_CPENDSGIR  0xf10 0x010 BW Byte 0    0     Irq(sources),        Irq(clear_sources),     Never;
        GICD_SPENDSGIR  0xf20 0x010 BW Byte 0    0     Irq(sources),        Irq(set_sources),       Never;
        ICPIDR4         0xfd0 0x004 W  Word 0    0x04  Reset,               Ignored,                Never;
        ICPIDR5_7       0xfd4 0x00c W  Word 0    0x00  Reset,               Ignored,                Never;
        ICPIDR0         0xfe0 0x004 W  Word 0    0x90  Reset,               Ignored,                Never;
        ICPIDR1         0xfe4 0x004 W  Word 0    0xb4  Reset,               Ignored,                Never;
        ICPIDR2         0xfe8 0x004 W  Word 0    0x2b  Reset,               Ignored,                Never;
        ICPIDR3         0xfec 0x004 W  Word 0    0x00  Reset,               Ignored,                Never;
        ICCIDR0         0xff0 0x004 W  Word 0    0x0d  Reset,               Ignored,                Never;
        ICCIDR1         0xff4 0x004 W  Word 0    0xf0  Reset,               Ignored,                Never;
        ICCIDR2         0xff8 0x004 W  Word 0    0x05  Reset,               Ignored,                Never;
        ICCIDR3         0xffc 0x004 W  Word 0    0xb1  Reset,               Ignored,                Never;
    };
}

impl<H: Host> Domain<H> {
    /// The CPU interfaces that exist, a bit each.
    pub(crate) fn cpu_interfaces(&self) -> u8 {
        self.created().fold(0, |set, v| set | bit(v.id()))
    }
}

/// A CPU interface as a bit. GICv2 has eight at the most.
fn bit(id: VcpuId) -> u8 {
    1_u8.checked_shl(id.raw().into()).unwrap_or(0)
}

/// GICD_TYPER (4.3.2): ITLinesNumber, CPUNumber; no Security Extensions.
fn typer<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    let lines = (access.domain.spis.len() / 32) as u64;
    let cpus = access.domain.vcpus.len().saturating_sub(1) as u64;
    lines & 0x1f | (cpus & 7) << 5
}

/// GICD_SGIR (4.3.15). NSATT is reserved without the Security Extensions, so the SGI's group does not matter.
fn send<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    let domain = access.domain;
    let value = written.value as u32;
    let own = bit(access.cur.id());
    let targets = match (value >> 24) & 0b11 {
        0b00 => (value >> 16) as u8,
        0b01 => !own,
        0b10 => own,
        _ => return,
    };
    let Some(intid) = IntId::new(value & 0xf) else {
        return;
    };
    for v in domain.created().filter(|v| targets & bit(v.id()) != 0) {
        domain.post_sgi(v, intid, own);
    }
}

/// GICD_CPENDSGIR and GICD_SPENDSGIR (4.3.16, 4.3.17): a byte for each SGI, in it a bit for each CPU that sent it and whose request is
/// pending.
fn sources<H: Host>(_: &Access<'_, H>, _: IntId, irq: &Irq) -> u64 {
    let state = irq.state();
    let mut sources = state.sources();
    if state.latch_lr() {
        sources |= 1_u8.wrapping_shl(state.lr_source().into());
    }
    sources.into()
}

fn clear_sources<H: Host>(access: &Access<'_, H>, intid: IntId, irq: &Irq, written: Written) {
    let sources = written.value as u8;
    if sources != 0 {
        let event = Event::ClearSgi(sources);
        access.domain.post_to(intid, irq, event);
    }
}

fn set_sources<H: Host>(access: &Access<'_, H>, intid: IntId, irq: &Irq, written: Written) {
    let sources = written.value as u8 & access.domain.cpu_interfaces();
    if sources != 0 {
        let event = Event::Sgi(sources);
        access.domain.post_to(intid, irq, event);
    }
}

#[cfg(test)]
mod tests;
