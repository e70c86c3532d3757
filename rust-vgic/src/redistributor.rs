// SPDX-License-Identifier: GPL-2.0-only
//! Redistributors (IHI 0069, section 12.11): for each vCPU a frame of 64 KiB for itself (RD_base) and one for its
//! private interrupts (SGI_base).

use crate::config::{STRIDE, Version};
use crate::distributor::{
    active, clear_active, clear_pending, disable, enable, enabled, group1, pending, priority,
    set_active, set_group1, set_pending, set_priority, set_trigger, trigger,
};
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::VcpuId;
use crate::progress::Progress;
use crate::registers::{Access, IIDR, Row, Width, Written, rows};
use crate::sync::Ordering;
use crate::vcpu::{PROCESSOR_SLEEP, Vcpu};

pub use crate::config::Region;

/// Size of a frame.
const FRAME: u64 = 0x1_0000;

/// GICR_WAKER.ChildrenAsleep.
const CHILDREN_ASLEEP: u32 = 1 << 2;

/// Where an access goes to: whose redistributor, which of its frames, and where in that.
struct Frame<'a, H: Host + 'static> {
    owner: &'a Vcpu<H::Vcpu>,
    rows: &'static [Row<H>],
    offset: u32,
}

impl<H: Host + 'static> Domain<H> {
    /// Without LPIs what is about them is RAZ/WI. GICR_SETLPIR and CLRLPIR are for systems without an ITS, GICR_STATUSR is not implemented.
    #[rustfmt::skip]
    pub(crate) const RD_BASE: &'static [Row<H>] = rows! {
        // name        offset  bytes widths element first reset read              write                exact
        GICR_CTLR       0x0000 0x0004 W  Word   0    0     Register(ctlr),        Register(set_ctlr),  Never;
        GICR_IIDR       0x0004 0x0004 W  Word   0    IIDR  Reset,                 Ignored,             Never;
        GICR_TYPER      0x0008 0x0008 WD Double 0    0     Register(typer),       Ignored,             Never;
        GICR_STATUSR    0x0010 0x0004 W  Word   0    0     Reset,                 Ignored,             Never;
        GICR_WAKER      0x0014 0x0004 W  Word   0    0b110 Register(waker),       Register(set_waker), Never;
        GICR_PROPBASER  0x0070 0x0008 WD Double 0    0     Register(propbaser),   Register(set_propbaser), Never;
        GICR_PENDBASER  0x0078 0x0008 WD Double 0    0     Register(pendbaser),   Register(set_pendbaser), Never;
        GICR_INVLPIR    0x00a0 0x0008 WD Double 0    0     Reset,                 Register(invlpir),   Never;
        GICR_INVALLR    0x00b0 0x0008 WD Double 0    0     Reset,                 Register(invallr),   Never;
        GICR_SYNCR      0x00c0 0x0004 W  Word   0    0     Register(syncr),       Ignored,             Never;
        GICR_PIDR4      0xffd0 0x0004 W  Word   0    0x44  Reset,                 Ignored,             Never;
        GICR_PIDR5_7    0xffd4 0x000c W  Word   0    0x00  Reset,                 Ignored,             Never;
        GICR_PIDR0      0xffe0 0x0004 W  Word   0    0x93  Reset,                 Ignored,             Never;
        GICR_PIDR1      0xffe4 0x0004 W  Word   0    0xb4  Reset,                 Ignored,             Never;
        GICR_PIDR2      0xffe8 0x0004 W  Word   0    0x3b  Reset,                 Ignored,             Never;
        GICR_PIDR3      0xffec 0x0004 W  Word   0    0x00  Reset,                 Ignored,             Never;
        GICR_CIDR0      0xfff0 0x0004 W  Word   0    0x0d  Reset,                 Ignored,             Never;
        GICR_CIDR1      0xfff4 0x0004 W  Word   0    0xf0  Reset,                 Ignored,             Never;
        GICR_CIDR2      0xfff8 0x0004 W  Word   0    0x05  Reset,                 Ignored,             Never;
        GICR_CIDR3      0xfffc 0x0004 W  Word   0    0xb1  Reset,                 Ignored,             Never;
    };

    /// GICR_IGRPMODR0 and GICR_NSACR are RES0 with a single security state. GICR_ICFGR0 is that of the SGIs and reads 0b10 for each.
    #[rustfmt::skip]
    pub(crate) const SGI_BASE: &'static [Row<H>] = rows! {
        // name        offset bytes widths element first reset read         write                exact
        GICR_IGROUPR0   0x080 0x004 W  Bit  0    1     Irq(group1),         Irq(set_group1),     Never;
        GICR_ISENABLER0 0x100 0x004 W  Bit  0    0     Irq(enabled),        Ones(enable),        Never;
        GICR_ICENABLER0 0x180 0x004 W  Bit  0    0     Irq(enabled),        Ones(disable),       Rwp;
        GICR_ISPENDR0   0x200 0x004 W  Bit  0    0     Irq(pending),        Ones(set_pending),   Read;
        GICR_ICPENDR0   0x280 0x004 W  Bit  0    0     Irq(pending),        Ones(clear_pending), Both;
        GICR_ISACTIVER0 0x300 0x004 W  Bit  0    0     Irq(active),         Ones(set_active),    Always;
        GICR_ICACTIVER0 0x380 0x004 W  Bit  0    0     Irq(active),         Ones(clear_active),  Always;
        GICR_IPRIORITYR 0x400 0x020 BW Byte 0    0     Irq(priority),       Irq(set_priority),   Never;
        GICR_ICFGR0     0xc00 0x004 W  Pair 0    0b10  Irq(trigger),        Ignored,             Never;
        GICR_ICFGR1     0xc04 0x004 W  Pair 16   0     Irq(trigger),        Irq(set_trigger),    Never;
        GICR_IGRPMODR0  0xd00 0x004 W  Word 0    0     Reset,               Ignored,             Never;
        GICR_NSACR      0xe00 0x004 W  Word 0    0     Reset,               Ignored,             Never;
    };

    /// vCPU `cur` reads a redistributor at `offset` from the start of a region. The value is zero-extended.
    ///
    /// From the trap, as [`Domain::dist_read`]. Redistributors of vCPUs that do not exist read as zero.
    pub fn redist_read(
        &self,
        cur: &Vcpu<H::Vcpu>,
        region: usize,
        offset: u64,
        width: Width,
    ) -> u64 {
        match self.redistributor(region, offset) {
            Some(at) => self.access(cur, at.owner).read(at.rows, at.offset, width),
            None => {
                self.no_redistributor(cur, region, offset);
                0
            }
        }
    }

    /// vCPU `cur` writes a redistributor. As [`Domain::redist_read`]; bits of `value` beyond `width` are ignored.
    ///
    /// [`Progress::Again`] asks for the store to be executed once more, which does another part of its work. Where that
    /// cannot be had, reads of GICR_CTLR and GICR_SYNCR do it.
    pub fn redist_write(
        &self,
        cur: &Vcpu<H::Vcpu>,
        region: usize,
        offset: u64,
        width: Width,
        value: u64,
    ) -> Progress {
        let Some(at) = self.redistributor(region, offset) else {
            self.no_redistributor(cur, region, offset);
            return Progress::Done;
        };
        let access = self.access(cur, at.owner);
        access.write(at.rows, at.offset, width, value);
        if access.again.get() {
            Progress::Again
        } else {
            Progress::Done
        }
    }

    fn no_redistributor(&self, cur: &Vcpu<H::Vcpu>, region: usize, offset: u64) {
        let access = format_args!(
            "an access to offset {offset:#x} of region {region}: no redistributor is there"
        );
        self.reserved(cur, access);
    }

    /// Whose redistributor is at `offset` of a region, and the offset in that.
    pub fn redistributor_at(&self, region: usize, offset: u64) -> Option<(VcpuId, u32)> {
        let owner = self.redistributor(region, offset)?.owner.id();
        Some((owner, (offset % STRIDE) as u32))
    }

    /// What is at `offset` of a region.
    fn redistributor(&self, region: usize, offset: u64) -> Option<Frame<'_, H>> {
        let here = self.regions.get(region)?;
        let index = offset / STRIDE;
        if self.version != Version::V3 || index >= here.count() {
            return None;
        }
        let number = self.regions_before(region).checked_add(index)?;
        let owner = self.vcpu(VcpuId::new(u32::try_from(number).ok()?)?)?;
        let rows = if offset & FRAME == 0 {
            Self::RD_BASE
        } else {
            Self::SGI_BASE
        };
        Some(Frame {
            owner,
            rows,
            offset: (offset & FRAME.wrapping_sub(1)) as u32,
        })
    }
}

/// GICR_TYPER: affinity, Processor_Number, PLPIS, and Last where a guest that walks the region has to stop. CommonLPIAff is 0: all
/// redistributors share one LPI configuration table.
fn typer<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    const LAST: u64 = 1 << 4;
    let domain = access.domain;
    let id = access.owner.id();
    let last_of_region = domain
        .place_of(id)
        .is_none_or(|(region, index)| index.wrapping_add(1) >= region.count());
    // What follows reads as zero, and would never end the walk.
    let next = VcpuId::new(u32::from(id.raw()).wrapping_add(1));
    let last = last_of_region || next.and_then(|id| domain.vcpu(id)).is_none();
    let plpis = u64::from(domain.lpis.exist());
    u64::from(id.affinity()) << 32 | u64::from(id.raw()) << 8 | if last { LAST } else { 0 } | plpis
}

/// GICR_WAKER: the redistributor is quiescent as soon as that is asked for.
///
/// Nothing is withheld from a vCPU that sleeps: software has to disable its interrupt groups at the CPU interface before.
fn waker<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    let sleep = access.owner.redist.waker.load(Ordering::Relaxed);
    let asleep = if sleep == 0 { 0 } else { CHILDREN_ASLEEP };
    (sleep | asleep).into()
}

fn set_waker<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    let sleep = written.value as u32 & PROCESSOR_SLEEP;
    access.owner.redist.waker.store(sleep, Ordering::Relaxed);
    access.domain.woke(access.cur, access.owner);
}

/// GICR_CTLR: EnableLPIs, which can be cleared again (CES), and GICR_INVLPIR with its siblings is there (IR). RWP is
/// set while a change of EnableLPIs is not complete, and while the vCPU may still take what another's write to GICR_ICENABLER0 has
/// taken from it. UWP is never set: any other write has taken effect when it is done.
fn ctlr<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    const CES: u64 = 1 << 1;
    const IR: u64 = 1 << 2;
    const RWP: u64 = 1 << 3;
    let (domain, owner) = (access.domain, access.owner);
    let lpis = domain.lpis.exist();
    let changing = lpis && domain.changing_lpis(owner);
    let rwp = if changing || owner.is_awaited() {
        RWP
    } else {
        0
    };
    if lpis {
        u64::from(owner.redist.lpi.enabled()) | CES | IR | rwp
    } else {
        rwp
    }
}

fn set_ctlr<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    const ENABLE_LPIS: u64 = 1 << 0;
    let on = written.value & ENABLE_LPIS != 0;
    let progress = access.domain.enable_lpis(access.owner, on);
    access.again.set(progress == Progress::Again);
}

fn propbaser<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    access.domain.propbaser()
}

fn set_propbaser<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    let domain = access.domain;
    domain.set_propbaser(access.owner, written.merge(domain.propbaser()));
}

fn pendbaser<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    access.domain.pendbaser(access.owner)
}

fn set_pendbaser<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    let old = access.domain.pendbaser(access.owner);
    access
        .domain
        .set_pendbaser(access.owner, written.merge(old));
}

/// GICR_INVLPIR. The INTID is in the lower half; a write of the upper one names none.
fn invlpir<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    if written.mask & u64::from(u32::MAX) != 0 {
        let intid = written.value & u64::from(u32::MAX);
        access.domain.invalidate(access.owner, intid);
    }
}

/// GICR_INVALLR: each LPI of this redistributor.
fn invallr<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    let lower = written.mask & u64::from(u32::MAX) != 0;
    if lower && access.owner.redist.lpi.enabled() {
        let progress = access.domain.invalidate_all(access.cur, access.owner);
        access.again.set(progress == Progress::Again);
    }
}

/// GICR_SYNCR.Busy: GICR_INVALLR or GICR_INVLPIR has not had all of its effect.
fn syncr<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    access.domain.invalidating(access.cur, access.owner).into()
}

#[cfg(test)]
mod tests;
