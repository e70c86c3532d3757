// SPDX-License-Identifier: GPL-2.0-only
//! LPIs (IHI 0069, chapter 5): their words, their configuration and their pending tables in guest memory.
//!
//! An LPI is an [`Irq`] like any other: edge-triggered, of Group 1, never active. The words are in a table of two levels,
//! indexed by INTID; a page of it appears when its first LPI is mapped and stays until the domain goes. So whoever
//! has an INTID, also in hard interrupt context, finds the word by two loads and needs no lock and no reference.
//!
//! Beside the word is what an ITS keeps of the LPI: whose it is, and its neighbours in its collection, so that a command
//! about a collection costs what that collection has.
//!
//! # Where one is pending
//!
//! Messages go where the collection goes, `Lpi::route`. TARGET of the word is where it is pending, if it is: mostly that is the same,
//! but MOVALL moves what is pending and no route (IHI 0069, 5.3). A message merges with what is pending, wherever that is.
//!
//! Where GICR_CTLR.EnableLPIs is 0, no LPI is loaded into a list register. What MOVI, MAPC or MOVALL bring there, and what was on
//! its way when LPIs were disabled, stays pending in its word and on no list, until it is moved on or LPIs are enabled: it is then pending
//! beside what the pending table has. The table itself is written when LPIs are disabled, and at no other time.

use crate::config::{Error, Limits, LpiConfig};
use crate::intid::{IntId, VcpuId};
use crate::irq::{Irq, NIL, State, Target};
use crate::slice::try_boxed;
use crate::sync::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Mutex, Ordering};
use alloc::boxed::Box;
use once_cell::race::OnceBox;

mod delivery;
#[cfg(not(target_os = "none"))]
mod image;
mod registers;

mod reset;

/// GICR_PROPBASER and GICR_PENDBASER: the bits that are kept.
pub(crate) const PROPBASER_MASK: u64 =
    0b111 << 56 | 0xf_ffff_ffff_f000 | 0b11 << 10 | 0b111 << 7 | 0x1f;
pub(crate) const PENDBASER_MASK: u64 =
    1 << 62 | 0b111 << 56 | 0xf_ffff_ffff_0000 | 0b11 << 10 | 0b111 << 7;

/// LPIs on a page of the table. A model has few: each of their words costs loom time.
const PAGE: usize = if cfg!(loom) { 4 } else { 256 };

/// An LPI, and what the ITS that has mapped it knows of it.
pub(crate) struct Lpi {
    pub(crate) irq: Irq,
    /// One more than the index of the ITS that has mapped an event to it; 0: none has. Who changes it from 0 has it.
    owner: AtomicU16,
    /// The vCPU that its collection goes to; [`Lpi::NOWHERE`]: none.
    route: AtomicU8,
    /// Its collection's list. Under the lock of the owner's tables.
    pub(crate) next: AtomicU16,
    pub(crate) prev: AtomicU16,
    /// The event that is mapped to it.
    device: AtomicU32,
    event: AtomicU32,
}

/// The LPIs of a domain.
pub(crate) struct Lpis {
    pages: Box<[OnceBox<[Lpi; PAGE]>]>,
    pub(crate) id_bits: u32,
    /// Pages that may still be made for what is mapped.
    pages_left: Budget,
    /// The same, as many again, for what is pending in a guest's table without ever having been mapped: a table of ones takes none of the others.
    table_pages_left: Budget,
    pub(crate) devices_left: Budget,
    pub(crate) events_left: Budget,
    /// GICR_PROPBASER: GICR_TYPER.CommonLPIAff = 0 makes it the same for all redistributors.
    propbaser: AtomicU64,
    /// Held while configuration is read from guest memory and applied: the last reading wins; and while it is decided whose an
    /// LPI is. Interrupts on; above the vCPU locks and the tables of an ITS.
    config: Mutex<()>,
}

/// Why an LPI has no word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoPage {
    /// The domain has as many as it may.
    Limit,
    /// There is no memory.
    Memory,
}

/// A page that was made beforehand, and whether it is for what is mapped.
type Made = (Box<[Lpi; PAGE]>, bool);

/// Pages of LPIs that a domain has none for, made beforehand.
pub(crate) struct Pages {
    made: Box<[Option<Made>]>,
    /// How many of them are for what is mapped, and for what is only pending.
    mapped: u32,
    pending: u32,
}

/// So many of something may still be made.
pub(crate) struct Budget {
    most: AtomicU32,
    left: AtomicU32,
}

impl Budget {
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most: AtomicU32::new(most),
            left: AtomicU32::new(most),
        }
    }

    /// How many there may be.
    pub(crate) fn most(&self) -> u32 {
        self.most.load(Ordering::Relaxed)
    }

    /// How many there are.
    pub(crate) fn taken(&self) -> u32 {
        let left = self.left.load(Ordering::Relaxed);
        self.most().saturating_sub(left)
    }

    /// Another number of them. Nobody takes any meanwhile.
    fn set(&self, most: u32) {
        self.most.store(most, Ordering::Relaxed);
        self.left.store(most, Ordering::Relaxed);
    }

    /// How many more there may be.
    pub(crate) fn left(&self) -> u32 {
        self.left.load(Ordering::Relaxed)
    }

    /// One of them, if there is one left.
    #[must_use]
    pub(crate) fn take(&self) -> bool {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        taken.is_ok()
    }

    pub(crate) fn give_back(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }
}

/// Pages that so many LPIs may be on.
fn pages(limits: Limits) -> u32 {
    limits.lpis.div_ceil(PAGE as u32)
}

impl Lpis {
    /// # Errors
    /// [`Error::Invalid`] for what the architecture does not have, [`Error::NoMemory`].
    pub(crate) fn new(config: LpiConfig) -> Result<Self, Error> {
        if config.id_bits != 0 && !(14..=16).contains(&config.id_bits) {
            return Err(Error::Invalid);
        }
        let numbers = match config.id_bits {
            0 => 0,
            bits => 1_usize
                .wrapping_shl(bits)
                .saturating_sub(IntId::LPI as usize),
        };
        Ok(Self {
            pages: try_boxed(numbers / PAGE, |_| OnceBox::new()).ok_or(Error::NoMemory)?,
            id_bits: config.id_bits,
            pages_left: Budget::new(pages(config.limits)),
            table_pages_left: Budget::new(pages(config.limits)),
            devices_left: Budget::new(config.limits.devices),
            events_left: Budget::new(config.limits.events),
            propbaser: AtomicU64::new(0),
            config: Mutex::new(()),
        })
    }

    /// How many there may be of all that an ITS maps.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            lpis: self.pages_left.most().saturating_mul(PAGE as u32),
            devices: self.devices_left.most(),
            events: self.events_left.most(),
        }
    }

    /// LPIs that count against the limit.
    pub(crate) fn used(&self) -> u32 {
        self.pages_left.taken().saturating_mul(PAGE as u32)
    }

    /// Others, as long as nothing of it is in use.
    pub(crate) fn set_limits(&self, limits: Limits) -> Result<(), Error> {
        if !self.exist() || !limits.are_valid() {
            return Err(Error::Invalid);
        }
        let budgets = [
            (&self.pages_left, pages(limits)),
            (&self.table_pages_left, pages(limits)),
            (&self.devices_left, limits.devices),
            (&self.events_left, limits.events),
        ];
        if budgets.iter().any(|(budget, _)| budget.taken() != 0) {
            return Err(Error::Busy);
        }
        for (budget, most) in budgets {
            budget.set(most);
        }
        Ok(())
    }

    /// Does the domain have LPIs at all?
    pub(crate) fn exist(&self) -> bool {
        self.id_bits != 0
    }

    /// An LPI that was mapped at some time.
    pub(crate) fn get(&self, intid: IntId) -> Option<&Lpi> {
        self.at(intid.raw() as usize)
    }

    /// The same by its number.
    pub(crate) fn at(&self, raw: usize) -> Option<&Lpi> {
        let index = raw.checked_sub(IntId::LPI as usize)?;
        self.pages.get(index / PAGE)?.get()?.get(index % PAGE)
    }

    /// The same by the number in a link.
    pub(crate) fn node(&self, raw: u16) -> Option<&Lpi> {
        self.get(IntId::new(raw.into())?)
    }

    /// An LPI that is to be mapped, whose page is made if it is not there. Process context.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn make(&self, intid: IntId) -> Result<&Lpi, NoPage> {
        self.make_from(&self.pages_left, intid)
    }

    /// The same of one that a pending table has.
    fn make_pending(&self, intid: IntId) -> Result<&Lpi, NoPage> {
        self.make_from(&self.table_pages_left, intid)
    }

    fn make_from(&self, left: &Budget, intid: IntId) -> Result<&Lpi, NoPage> {
        let index = intid.raw().wrapping_sub(IntId::LPI) as usize;
        let page = self.pages.get(index / PAGE).ok_or(NoPage::Limit)?;
        if page.get().is_none() {
            if !left.take() {
                return Err(NoPage::Limit);
            }
            let made = try_boxed(PAGE, |_| Lpi::new()).and_then(|page| page.try_into().ok());
            // Either there was no memory, or another vCPU was faster.
            if made.is_none_or(|made| page.set(made).is_err()) {
                left.give_back();
            }
        }
        let found = page.get().and_then(|page| page.get(index % PAGE));
        found.ok_or(NoPage::Memory)
    }

    /// Room for pages that are to be made beforehand. `None`: there is no memory.
    pub(crate) fn no_pages(&self) -> Option<Pages> {
        Some(Pages {
            made: try_boxed(self.pages.len(), |_| None)?,
            mapped: 0,
            pending: 0,
        })
    }

    /// Makes the page of an LPI that is to be mapped, or is only pending, if there is none. It counts as such as long as there may be more
    /// of those, else as one of the others: where the domain was saved, a page that a pending table has made may have mapped ones
    /// since, and the other way round. So what has had room there has it here.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn prepare(
        &self,
        pages: &mut Pages,
        intid: IntId,
        mapped: bool,
    ) -> Result<(), NoPage> {
        let index = intid.raw().wrapping_sub(IntId::LPI) as usize / PAGE;
        let there = self.pages.get(index).ok_or(NoPage::Limit)?;
        let made = pages.made.get_mut(index).ok_or(NoPage::Limit)?;
        if there.get().is_some() || made.is_some() {
            return Ok(());
        }
        let room = |mapped: bool| {
            if mapped {
                pages.mapped < self.pages_left.left()
            } else {
                pages.pending < self.table_pages_left.left()
            }
        };
        let mapped = [mapped, !mapped].into_iter().find(|mapped| room(*mapped));
        let mapped = mapped.ok_or(NoPage::Limit)?;
        let page = try_boxed(PAGE, |_| Lpi::new()).and_then(|page| page.try_into().ok());
        *made = Some((page.ok_or(NoPage::Memory)?, mapped));
        let count = if mapped {
            &mut pages.mapped
        } else {
            &mut pages.pending
        };
        *count = count.wrapping_add(1);
        Ok(())
    }

    /// They are there from now on. Nobody makes others meanwhile.
    pub(crate) fn adopt(&self, pages: Pages) {
        for (there, made) in self.pages.iter().zip(pages.made) {
            if let Some((page, mapped)) = made {
                let left = if mapped {
                    &self.pages_left
                } else {
                    &self.table_pages_left
                };
                if !left.take() || there.set(page).is_err() {
                    debug_assert!(false, "somebody else makes pages");
                }
            }
        }
    }

    /// All LPIs that were mapped at some time, from `first` on.
    pub(crate) fn all(&self, first: u32) -> impl Iterator<Item = (IntId, &Lpi)> {
        self.among(first, usize::MAX)
    }

    /// Those of them that are on the page of `first` or on one of the next, `pages` in all.
    fn among(&self, first: u32, pages: usize) -> impl Iterator<Item = (IntId, &Lpi)> {
        let page = first.saturating_sub(IntId::LPI) as usize / PAGE;
        let pages = self.pages.iter().enumerate().skip(page).take(pages);
        pages
            .filter_map(|(n, page)| Some((n, page.get()?)))
            .flat_map(|(n, page)| {
                let base = n.saturating_mul(PAGE).saturating_add(IntId::LPI as usize) as u32;
                page.iter().zip(base..)
            })
            .filter_map(|(lpi, raw)| Some((IntId::new(raw)?, lpi)))
            .skip_while(move |(intid, _)| intid.raw() < first)
    }

    /// The first INTID for which there is no room: by the width of INTIDs, and by the guest's configuration table
    /// (GICR_PROPBASER.IDbits).
    fn end(&self) -> u32 {
        self.end_of(self.table_bits())
    }

    /// GICR_PROPBASER.IDbits.
    pub(crate) fn table_bits(&self) -> u32 {
        (self.propbaser.load(Ordering::Relaxed) & 0x1f) as u32
    }

    /// The first INTID for which there is no room in a table with this GICR_PROPBASER.IDbits.
    fn end_of(&self, table_bits: u32) -> u32 {
        1_u32.wrapping_shl(table_bits.wrapping_add(1).min(self.id_bits))
    }

    /// The first lots of `size` numbers each that LPIs of this width can have.
    fn numbers(&self, first: u32, size: u32) -> impl Iterator<Item = u32> + use<> {
        (first..1_u32.wrapping_shl(self.id_bits)).step_by(size as usize)
    }

    /// The LPI with this number, if the domain can have it, wherever its configuration table ends now.
    pub(crate) fn exists(&self, raw: u32) -> Option<IntId> {
        let end = 1_u32.wrapping_shl(self.id_bits);
        IntId::new(raw).filter(|intid| intid.is_lpi() && raw < end)
    }

    /// The LPI with this number, if the guest can have it.
    pub(crate) fn number(&self, raw: u32) -> Option<IntId> {
        IntId::new(raw).filter(|intid| intid.is_lpi() && raw < self.end())
    }

    /// Where the guest's configuration table is.
    fn table(&self) -> u64 {
        self.propbaser.load(Ordering::Relaxed) & 0xf_ffff_ffff_f000
    }
}

impl Lpi {
    /// [`Lpi::route`] as stored, of none.
    const NOWHERE: u8 = u8::MAX;

    /// Its word before it is mapped.
    const AT_RESET: State = State::reset(None)
        .with_level(false)
        .with_group1(true)
        .with_mapped(false);

    fn new() -> Self {
        Self {
            irq: Irq::new(Self::AT_RESET),
            owner: AtomicU16::new(0),
            route: AtomicU8::new(Self::NOWHERE),
            next: AtomicU16::new(NIL),
            prev: AtomicU16::new(NIL),
            device: AtomicU32::new(0),
            event: AtomicU32::new(0),
        }
    }

    /// Where its messages go.
    pub(crate) fn route(&self) -> Target {
        VcpuId::new(self.raw_route().into())
    }

    /// The same as in a word.
    fn raw_route(&self) -> u8 {
        self.route.load(Ordering::Relaxed)
    }

    /// Under the configuration lock, or by who works for its ITS. What is pending is yet to follow.
    pub(crate) fn set_route(&self, target: Target) {
        let raw = target.map_or(Self::NOWHERE, VcpuId::raw);
        self.route.store(raw, Ordering::Relaxed);
    }

    /// The number of the ITS that has mapped an event to it.
    pub(crate) fn its(&self) -> Option<u16> {
        self.owner.load(Ordering::Acquire).checked_sub(1)
    }

    /// That, the device and the event. Stays so while that ITS does no work.
    pub(crate) fn mapped_by(&self) -> Option<(u16, (u32, u32))> {
        let its = self.its()?;
        let device = self.device.load(Ordering::Relaxed);
        Some((its, (device, self.event.load(Ordering::Relaxed))))
    }

    /// An event of ITS number `its` has it. Under the configuration lock if none had, else by who works for the ITS of that.
    fn own(&self, its: u16, (device, event): (u32, u32)) {
        self.device.store(device, Ordering::Relaxed);
        self.event.store(event, Ordering::Relaxed);
        self.owner.store(its.wrapping_add(1), Ordering::Release);
    }

    /// No event has it any more.
    pub(crate) fn disown(&self) {
        self.owner.store(0, Ordering::Release);
    }
}
