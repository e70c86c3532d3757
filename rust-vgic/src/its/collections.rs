// SPDX-License-Identifier: GPL-2.0-only
//! The commands about collections (IHI 0069, section 5.3): MAPC, MOVI, INVALL and MOVALL.

use super::Its;
use super::command::Reason;
use super::execute::Executed;
use super::queue::Budget;
use super::tables::{Mapped, Tables};
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::irq::NIL;
use crate::lpi::Lpis;
use crate::progress::Progress;
use crate::sync::Ordering;

impl<H: Host> Domain<H> {
    /// Where a collection goes.
    ///
    /// # Errors
    /// It is beyond the guest's table, or beyond what there can be.
    pub(super) fn collection(
        &self,
        its: &Its,
        tables: &Tables,
        icid: u16,
    ) -> Result<Option<VcpuId>, Reason> {
        let target = tables.collection(icid)?.target;
        let fits = self.table_has(its, 1, icid.into());
        fits.then_some(target).ok_or(Reason::CollectionRange)
    }

    /// An event goes to another collection.
    pub(super) fn relink(&self, its: &Its, at: (u32, u32), old: Mapped, icid: u8) {
        let new = Mapped { icid, ..old };
        let mut tables = its.tables.lock();
        tables.unlink(&self.lpis, old);
        tables.link(&self.lpis, new);
        let device = tables.devices.get_mut(at.0);
        if let Some(mapped) = device.and_then(|device| device.events.get_mut(at.1)) {
            *mapped = new;
        }
    }

    pub(super) fn movi(&self, its: &Its, at: (u32, u32), icid: u16) -> Executed {
        self.in_range(its, at.0)?;
        let (old, target) = {
            let tables = its.tables.lock();
            let old = tables.mapped(at.0, at.1)?;
            (old, self.collection(its, &tables, icid)?)
        };
        let target = target.ok_or(Reason::UnmappedCollection)?;
        self.relink(its, at, old, icid as u8);
        if let Some(lpi) = self.lpis.get(old.intid) {
            self.route_lpi(old.intid, lpi, Some(target));
        }
        Ok(Progress::Done)
    }

    pub(super) fn mapc(
        &self,
        its: &Its,
        icid: u16,
        target: Option<u64>,
        budget: &mut Budget,
    ) -> Executed {
        let fits = self.table_has(its, 1, icid.into());
        its.tables.lock().collection(icid)?;
        if !fits {
            return Err(Reason::CollectionRange);
        }
        let target = target.map(|number| self.processor(number)).transpose()?;
        its.tables.lock().set_target(icid, target);
        let mut walk = self.walk(its, icid, budget)?;
        while let Some(intid) = walk.next() {
            if let Some(lpi) = self.lpis.get(intid) {
                if lpi.irq.state().pending() {
                    // From one list to another: that counts twice.
                    let _ = walk.budget.step();
                }
                self.route_lpi(intid, lpi, target);
            }
        }
        Ok(walk.end(its))
    }

    pub(super) fn invall(&self, its: &Its, icid: u16, budget: &mut Budget) -> Executed {
        {
            let tables = its.tables.lock();
            let target = self.collection(its, &tables, icid)?;
            target.ok_or(Reason::UnmappedCollection)?;
        }
        let mut walk = self.walk(its, icid, budget)?;
        self.reload_all(&mut walk);
        Ok(walk.end(its))
    }

    /// The LPIs of a collection, from where this command has got to.
    fn walk<'a>(
        &'a self,
        its: &Its,
        icid: u16,
        budget: &'a mut Budget,
    ) -> Result<Walk<'a>, Reason> {
        let next = match u16::try_from(its.cursor.load(Ordering::Relaxed)) {
            Ok(0) | Err(_) => its.tables.lock().collection(icid)?.head,
            Ok(next) => next,
        };
        Ok(Walk {
            lpis: &self.lpis,
            next,
            budget,
        })
    }

    /// What is pending goes; where messages go is up to the collections.
    pub(super) fn movall(&self, its: &Its, from: u64, to: u64, budget: &mut Budget) -> Executed {
        let (from, to) = (self.processor(from)?, self.processor(to)?);
        let begun = its.cursor.load(Ordering::Relaxed);
        for (intid, lpi) in self.lpis.all(begun) {
            if !budget.step() {
                its.cursor.store(intid.raw(), Ordering::Relaxed);
                return Ok(Progress::Again);
            }
            let s = lpi.irq.state();
            if s.pending() && s.is_for(from) {
                // As in MAPC.
                let _ = budget.step();
                self.move_pending(intid, lpi, from, to);
            }
        }
        Ok(Progress::Done)
    }
}

/// The LPIs of a collection, as far as the budget goes. Nobody changes the list meanwhile: only who works for the ITS would.
struct Walk<'a> {
    lpis: &'a Lpis,
    next: u16,
    budget: &'a mut Budget,
}

impl Iterator for Walk<'_> {
    type Item = IntId;

    fn next(&mut self) -> Option<IntId> {
        let intid = IntId::new(self.next.into())?;
        let lpi = self.lpis.get(intid).filter(|_| self.budget.step())?;
        self.next = lpi.next.load(Ordering::Relaxed);
        Some(intid)
    }
}

impl Walk<'_> {
    /// Whether all were seen; if not, where the command goes on.
    fn end(self, its: &Its) -> Progress {
        if self.next == NIL {
            return Progress::Done;
        }
        its.cursor.store(self.next.into(), Ordering::Relaxed);
        Progress::Again
    }
}
