// SPDX-License-Identifier: GPL-2.0-only
//! LPIs (IHI 0069, chapter 5): their words, their configuration and their pending tables in guest memory.
//!
//! An LPI is an [`Irq`] like any other: edge-triggered, of Group 1, never active. The words are in a table of two levels,
//! indexed by INTID; a page of it appears when its first LPI is mapped and stays until the domain goes. So whoever
//! has an INTID, also in hard interrupt context, finds the word by two loads and needs no lock and no reference.
//!
//! Beside the word is what an ITS keeps of the LPI: whose it is, and its neighbours in its collection, so that a command
//! about a collection costs what that collection has.

use crate::domain::{Domain, Error};
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::irq::{Event, Irq, NIL, State};
use crate::slice::try_boxed;
use crate::sync::{AtomicU16, AtomicU32, AtomicU64, Mutex, Ordering, fence};
use crate::vcpu::Vcpu;
use alloc::boxed::Box;
use once_cell::race::OnceBox;

mod registers;

pub(crate) use registers::Registers;

/// LPIs on a page of the table. A model has few: each of their words costs loom time.
const PAGE: usize = if cfg!(loom) { 4 } else { 256 };

/// How much of a guest's table is read at a time.
const WINDOW: usize = 64;

/// What of LPIs a domain has. Without any, all is zero.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct LpiConfig {
    /// Bits of an INTID: 14 to 16, or 0 for no LPIs. List registers have room for 16.
    pub id_bits: u32,
    /// LPIs that may have been mapped in the domain's life, a multiple of 256: bounds its memory.
    pub most: u32,
    /// Devices that may be mapped at a time, over all ITSes.
    pub devices: u32,
    /// Events that may be mapped at a time, over all ITSes.
    pub events: u32,
}

/// An LPI, and what the ITS that has mapped it knows of it.
pub(crate) struct Lpi {
    pub(crate) irq: Irq,
    /// One more than the index of the ITS that has mapped an event to it; 0: none has. Who changes it from 0 has it.
    owner: AtomicU16,
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
    /// Pages that may still be made.
    pages_left: Budget,
    pub(crate) devices_left: Budget,
    pub(crate) events_left: Budget,
    /// GICR_PROPBASER: GICR_TYPER.CommonLPIAff = 0 makes it the same for all redistributors.
    propbaser: AtomicU64,
    /// Redistributors with EnableLPIs set.
    enabled: AtomicU32,
    /// Held while configuration is read from guest memory and applied: the last reading wins; and while it is decided whose an
    /// LPI is. Interrupts on; above the vCPU locks and the tables of an ITS.
    config: Mutex<()>,
}

/// So many of something may still be made.
pub(crate) struct Budget {
    most: u32,
    left: AtomicU32,
}

impl Budget {
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most,
            left: AtomicU32::new(most),
        }
    }

    /// How many there are.
    pub(crate) fn taken(&self) -> u32 {
        self.most.saturating_sub(self.left.load(Ordering::Relaxed))
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
            pages_left: Budget::new((config.most as usize / PAGE) as u32),
            devices_left: Budget::new(config.devices),
            events_left: Budget::new(config.events),
            propbaser: AtomicU64::new(0),
            enabled: AtomicU32::new(0),
            config: Mutex::new(()),
        })
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

    /// An LPI, whose page is made if it is not there. Process context.
    fn make(&self, intid: IntId) -> Option<&Lpi> {
        let index = intid.raw().checked_sub(IntId::LPI)? as usize;
        let page = self.pages.get(index / PAGE)?;
        if page.get().is_none() {
            if !self.pages_left.take() {
                return None;
            }
            let made = try_boxed(PAGE, |_| Lpi::new()).and_then(|page| page.try_into().ok());
            // Either there was no memory, or another vCPU was faster.
            if made.is_none_or(|made| page.set(made).is_err()) {
                self.pages_left.give_back();
            }
        }
        page.get()?.get(index % PAGE)
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
        let table_bits = (self.propbaser.load(Ordering::Relaxed) & 0x1f) as u32;
        1_u32.wrapping_shl(table_bits.wrapping_add(1).min(self.id_bits))
    }

    /// The first lots of `size` numbers each that LPIs of this width can have.
    fn numbers(&self, first: u32, size: u32) -> impl Iterator<Item = u32> + use<> {
        (first..1_u32.wrapping_shl(self.id_bits)).step_by(size as usize)
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
    fn new() -> Self {
        let state = State::reset(None)
            .with_level(false)
            .with_group1(true)
            .with_mapped(false);
        Self {
            irq: Irq::new(state),
            owner: AtomicU16::new(0),
            next: AtomicU16::new(NIL),
            prev: AtomicU16::new(NIL),
            device: AtomicU32::new(0),
            event: AtomicU32::new(0),
        }
    }

    /// The ITS that has mapped an event to it, the device and the event. Stays so while that ITS does no work.
    pub(crate) fn mapped_by(&self) -> Option<(u16, (u32, u32))> {
        let its = self.owner.load(Ordering::Acquire).checked_sub(1)?;
        let device = self.device.load(Ordering::Relaxed);
        Some((its, (device, self.event.load(Ordering::Relaxed))))
    }

    /// Gives it to an event of ITS number `its`, if no event has it. Under the configuration lock.
    #[must_use]
    fn claim(&self, its: u16, (device, event): (u32, u32)) -> bool {
        let free = self.owner.load(Ordering::Acquire) == 0;
        if free {
            self.device.store(device, Ordering::Relaxed);
            self.event.store(event, Ordering::Relaxed);
            self.owner.store(its.wrapping_add(1), Ordering::Release);
        }
        free
    }
}

impl<H: Host> Domain<H> {
    /// A message has been translated to LPI `intid`: it becomes pending.
    ///
    /// Any context, also hard interrupt context; takes no lock, allocates nothing and reads no guest memory. Dropped as by a
    /// redistributor that has LPIs disabled, if it is routed to such a one or to none, and if the number is no mapped LPI.
    ///
    /// See IHI 0069, section 5.1: LPIs are edge-triggered, messages that arrive while one is pending merge with it. So a device that
    /// storms costs the guest one interrupt each time it has taken the last, and the host a look at the word for each message: no write,
    /// no kick. The messages themselves, and their hard interrupts, are not throttled.
    pub fn inject_lpi(&self, intid: IntId) {
        let Some(irq) = self.lpis.get(intid).map(|lpi| &lpi.irq) else {
            return;
        };
        let takes = |s: State| {
            let v = s.target().and_then(|id| self.slot(id));
            v.is_some_and(|v| v.redist.lpi.enabled())
        };
        if !takes(irq.state()) {
            return;
        }
        let (old, new, effect) = irq.post(Event::Line(true));
        if old == new {
            return;
        }
        self.carry_out(intid, irq, new, effect);
        // Pairs with the fence of who disables LPIs: either we see that, or the pending state is found.
        fence(Ordering::SeqCst);
        if !takes(new) {
            self.post_to(intid, irq, Event::ClearPending);
        }
    }

    /// The same for a message that a vCPU makes of a command, which sees to its further way itself: else a guest could fill
    /// the inbox of a vCPU that never runs, and whoever looks for one interrupt in there would sort all. Process context.
    pub(crate) fn send_lpi(&self, intid: IntId, lpi: &Lpi) {
        self.inject_lpi(intid);
        self.drain_around(&lpi.irq);
    }

    /// ITS number `its` maps an event (of a device) to LPI `intid`, which goes to `target`. Process context.
    ///
    /// # Errors
    /// [`Error::Busy`] if another ITS has just mapped it, [`Error::NoMemory`] also beyond the domain's limit.
    pub(crate) fn map_lpi(
        &self,
        its: u16,
        at: (u32, u32),
        intid: IntId,
        target: Option<VcpuId>,
    ) -> Result<&Lpi, Error> {
        let lpi = self.lpis.make(intid).ok_or(Error::NoMemory)?;
        {
            let _held = self.lpis.config.lock();
            if !lpi.claim(its, at) {
                return Err(Error::Busy);
            }
            self.post_to(intid, &lpi.irq, Event::Route(target));
            self.post_to(intid, &lpi.irq, Event::Map(true));
        }
        self.reload(intid);
        Ok(lpi)
    }

    /// The event of an LPI is no longer mapped. What was pending is gone; what comes late is dropped.
    pub(crate) fn unmap_lpi(&self, intid: IntId, lpi: &Lpi) {
        self.post_to(intid, &lpi.irq, Event::Map(false));
        lpi.owner.store(0, Ordering::Release);
    }

    /// Reads the configuration of an LPI from guest memory: INV, and what has its effect.
    pub(crate) fn reload(&self, intid: IntId) {
        self.reload_all(core::iter::once(intid));
    }

    /// The same for several, which costs least where their numbers are close together. Those beyond the end of the table
    /// are disabled, and so are those whose part of it is not in memory.
    pub(crate) fn reload_all(&self, intids: impl Iterator<Item = IntId>) {
        let _held = self.lpis.config.lock();
        let (table, end) = (self.lpis.table(), self.lpis.end());
        let mut window = [0_u8; WINDOW];
        let mut at = None;
        for intid in intids {
            let Some(lpi) = self.lpis.get(intid) else {
                continue;
            };
            let index = intid.raw().wrapping_sub(IntId::LPI);
            let base = index & !(WINDOW as u32).wrapping_sub(1);
            if at != Some(base) {
                // Both ends are multiples of the window's size.
                let there = intid.raw() < end
                    && self
                        .host
                        .read_guest(table.wrapping_add(base.into()), &mut window);
                if !there {
                    window = [0; WINDOW];
                }
                at = Some(base);
            }
            let byte = window
                .get(index.wrapping_sub(base) as usize)
                .copied()
                .unwrap_or(0);
            // Bits 7 to 2 are the priority, bit 0 enables (IHI 0069, section 5.1.1). Of all that INVALL is about, few have changed.
            let (priority, on) = (byte & 0xfc, byte & 1 != 0);
            let old = lpi.irq.state();
            if old.priority5() != priority >> 3 {
                self.post_to(intid, &lpi.irq, Event::Priority(priority));
            }
            if old.enabled() != on {
                self.post_to(intid, &lpi.irq, Event::Enable(on));
            }
        }
    }

    /// The physical LPI behind one goes to where `target` runs. Process context.
    pub(crate) fn route_host(&self, lpi: &Lpi, target: Option<VcpuId>) {
        let v = target.and_then(|id| self.slot(id));
        if let (Some((its, (device, event))), Some(vcpu)) =
            (lpi.mapped_by(), v.and_then(Vcpu::handle))
        {
            self.host.route_event(its, device, event, vcpu);
        }
    }
}
