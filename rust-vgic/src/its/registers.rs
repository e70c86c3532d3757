// SPDX-License-Identifier: GPL-2.0-only
//! The control frame of an ITS (IHI 0069, section 12.19).
//!
//! The frame behind it has GITS_TRANSLATER only, which is for devices: a CPU has no DeviceID, its accesses are RAZ/WI.

use super::layout::ENTRY;
use super::place::INDIRECT;
use super::queue::{OFFSET, STALLED, VALID};
use super::saved::{BASER_MASK, BASER_TYPES, CBASER_MASK};
use super::tables::COLLECTION_BITS;
use super::{Its, todo};
use crate::domain::Domain;
use crate::host::Host;
use crate::progress::Progress;
use crate::registers::{Access, IIDR, Row, Width, Written, rows};
use crate::sync::Ordering;
use crate::vcpu::Vcpu;

/// GITS_IIDR: as the others', but that Revision is that of the layout of tables in memory ([`layout`](super::layout)), 0.
const ABI: u64 = IIDR & !(0xf << 12);

/// GITS_CTLR.Enabled and GITS_CTLR.Quiescent.
const ENABLED: u64 = 1 << 0;
const QUIESCENT: u64 = 1 << 31;

/// GITS_CWRITER.Retry.
const RETRY: u64 = 1 << 0;

/// What says where a table is and how it is built: with another of these it is another table, and so it is with fewer pages.
const SIZE: u64 = 0xff;
const BASER_TABLE: u64 = VALID | INDIRECT | 0xffff_ffff_f000 | 0b11 << 8;

impl<H: Host + 'static> Domain<H> {
    /// GITS_STATUSR, GITS_MPAMIDR and what is of GICv4 are not implemented. Of the eight GITS_BASER two have a type.
    #[rustfmt::skip]
    const ITS_CONTROL: &'static [Row<H>] = rows! {
        // name       offset  bytes widths element first reset read              write                  exact
        GITS_CTLR      0x0000 0x0004 W  Word   0    0     Register(ctlr),         Register(set_ctlr),    Never;
        GITS_IIDR      0x0004 0x0004 W  Word   0    ABI   Reset,                  Ignored,               Never;
        GITS_TYPER     0x0008 0x0008 WD Double 0    0     Register(typer),        Ignored,               Never;
        GITS_CBASER    0x0080 0x0008 WD Double 0    0     Register(cbaser),       Register(set_cbaser),  Never;
        GITS_CWRITER   0x0088 0x0008 WD Double 0    0     Register(cwriter),      Register(set_cwriter), Never;
        GITS_CREADR    0x0090 0x0008 WD Double 0    0     Register(creadr),       Ignored,               Never;
        GITS_BASER     0x0100 0x0040 WD Double 0    0     Register(baser),        Register(set_baser),   Never;
        GITS_PIDR4     0xffd0 0x0004 W  Word   0    0x44  Reset,                  Ignored,               Never;
        GITS_PIDR5_7   0xffd4 0x000c W  Word   0    0x00  Reset,                  Ignored,               Never;
        GITS_PIDR0     0xffe0 0x0004 W  Word   0    0x94  Reset,                  Ignored,               Never;
        GITS_PIDR1     0xffe4 0x0004 W  Word   0    0xb4  Reset,                  Ignored,               Never;
        GITS_PIDR2     0xffe8 0x0004 W  Word   0    0x3b  Reset,                  Ignored,               Never;
        GITS_PIDR3     0xffec 0x0004 W  Word   0    0x00  Reset,                  Ignored,               Never;
        GITS_CIDR0     0xfff0 0x0004 W  Word   0    0x0d  Reset,                  Ignored,               Never;
        GITS_CIDR1     0xfff4 0x0004 W  Word   0    0xf0  Reset,                  Ignored,               Never;
        GITS_CIDR2     0xfff8 0x0004 W  Word   0    0x05  Reset,                  Ignored,               Never;
        GITS_CIDR3     0xfffc 0x0004 W  Word   0    0xb1  Reset,                  Ignored,               Never;
    };

    /// vCPU `cur` reads ITS number `n` at `offset` from its start. The value is zero-extended.
    ///
    /// From the trap, with interrupts on and no lock held. A read of GITS_CREADR or GITS_CTLR executes a batch of
    /// commands first: who waits for them need not do more.
    pub fn its_read(&self, cur: &Vcpu<H::Vcpu>, n: usize, offset: u32, width: Width) -> u64 {
        let Some(its) = self.its.get(n) else {
            return 0;
        };
        self.work(its);
        self.its_access(cur, its)
            .read(Self::ITS_CONTROL, offset, width)
    }

    /// vCPU `cur` writes ITS number `n`. As [`Domain::its_read`]; bits of `value` beyond `width` are ignored.
    ///
    /// [`Progress::Again`] asks for the store to be executed once more, which has no further effect than to execute the next
    /// batch of commands. Where that cannot be had, reads of GITS_CREADR do it.
    pub fn its_write(
        &self,
        cur: &Vcpu<H::Vcpu>,
        n: usize,
        offset: u32,
        width: Width,
        value: u64,
    ) -> Progress {
        let Some(its) = self.its.get(n) else {
            return Progress::Done;
        };
        let access = self.its_access(cur, its);
        access.write(Self::ITS_CONTROL, offset, width, value);
        match self.work(its) {
            Progress::Done if access.again.get() => Progress::Again,
            progress => progress,
        }
    }

    fn its_access<'a>(&'a self, cur: &'a Vcpu<H::Vcpu>, its: &'a Its) -> Access<'a, H> {
        Access {
            its: Some(its),
            ..self.access(cur, cur)
        }
    }
}

/// Rows of this frame are read and written with an ITS; without one there is nothing.
fn of<H: Host>(access: &Access<'_, H>, f: impl FnOnce(&Its) -> u64) -> u64 {
    access.its.map_or(0, f)
}

/// GITS_CTLR. Who waits for Quiescent does a part of what is left.
fn ctlr<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    of(access, |its| {
        if its.is_enabled() {
            ENABLED
        } else if its.is_idle() {
            QUIESCENT
        } else {
            0
        }
    })
}

/// Enabled is set whatever else is: the architecture (IHI 0069, GITS_BASER\<n\> and GITS_CBASER) has no register that keeps it from
/// being set, and an ITS that lacks a table ignores messages. So nothing is mapped without a table of devices, without one of collections
/// nothing goes anywhere, commands for what is not there are errors, and without a queue none is read. A guest that enables it too
/// early gets nothing, and has it work once it has disabled it and given it what was missing.
fn set_ctlr<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    if let Some(its) = access.its {
        let on = (written.value & ENABLED) as u32;
        let was = its.enabled.swap(on, Ordering::AcqRel);
        if was | on != 0 {
            its.dirty_by_now();
        }
        if on == 0 {
            // A message that is being looked up has become pending, and later ones find the ITS disabled.
            drop(its.tables.lock());
        }
    }
}

/// GITS_TYPER: physical LPIs, ITT entries of 8 bytes, redistributors by number (PTA 0), no collections in hardware (HCC 0).
fn typer<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    const PHYSICAL: u64 = 1 << 0;
    const CIL: u64 = 1 << 36;
    let less_one = |bits: u32| u64::from(bits).wrapping_sub(1) & 0x1f;
    of(access, |its| {
        PHYSICAL
            | (ENTRY.wrapping_sub(1)) << 4
            | less_one(its.event_bits) << 8
            | less_one(its.device_bits) << 13
            | COLLECTION_BITS.wrapping_sub(1) << 32
            | CIL
    })
}

fn cbaser<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    of(access, |its| its.cbaser.load(Ordering::Relaxed))
}

/// Ignored while the ITS is enabled (IHI 0069: UNPREDICTABLE). The queue begins anew, once the command that the ITS is at is done: the
/// store is to be executed again until then, by a guest that has not waited for Quiescent.
fn set_cbaser<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    let Some(its) = access.its.filter(|its| !its.is_enabled()) else {
        return;
    };
    if !its.begin() {
        access.again.set(true);
        return;
    }
    if its.begun.load(Ordering::Relaxed) != 0 {
        access.again.set(true);
    } else {
        let new = written.merge(its.cbaser.load(Ordering::Relaxed)) & CBASER_MASK;
        its.cbaser.store(new, Ordering::Relaxed);
        its.cwriter.store(0, Ordering::Relaxed);
        its.creadr.store(0, Ordering::Release);
    }
    its.end();
}

fn cwriter<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    of(access, |its| its.cwriter.load(Ordering::Relaxed).into())
}

/// An offset beyond the queue is ignored.
fn set_cwriter<H: Host>(access: &Access<'_, H>, _: u32, written: Written) {
    let Some(its) = access.its else { return };
    let value = written.merge(its.cwriter.load(Ordering::Relaxed).into());
    let offset = value as u32 & OFFSET;
    if offset < its.queue_size() {
        if value & RETRY != 0 {
            its.creadr.fetch_and(!STALLED, Ordering::AcqRel);
        }
        its.cwriter.store(offset, Ordering::Release);
        // Pairs with the fence of who works for the ITS.
        crate::sync::fence(Ordering::SeqCst);
    }
}

fn creadr<H: Host>(access: &Access<'_, H>, _: u32) -> u64 {
    of(access, |its| its.creadr.load(Ordering::Acquire).into())
}

fn baser<H: Host>(access: &Access<'_, H>, index: u32) -> u64 {
    of(access, |its| {
        let baser = its.basers.get(index as usize);
        baser.map_or(0, |baser| baser.load(Ordering::Relaxed))
    })
}

/// Ignored while the ITS is enabled. Without its table, an ITS has nothing mapped that the table is for. With a new one it has what is in
/// there, once it is enabled: a kernel that was started from another (kexec) gives it one that is zero, and one that has moved its tables
/// a copy. One that resumes gives it the same again, which changes nothing.
fn set_baser<H: Host>(access: &Access<'_, H>, index: u32, written: Written) {
    let Some(its) = access.its.filter(|its| !its.is_enabled()) else {
        return;
    };
    let (Some(baser), Some(fixed)) = (
        its.basers.get(index as usize),
        BASER_TYPES.get(index as usize),
    ) else {
        return;
    };
    let old = baser.load(Ordering::Relaxed);
    let new = written.merge(old) & BASER_MASK | fixed;
    baser.store(new, Ordering::Relaxed);
    if (old ^ new) & BASER_TABLE != 0 || new & SIZE < old & SIZE {
        let void = todo::void(index) | todo::fill(index);
        its.todo.fetch_or(void, Ordering::Release);
    }
}
