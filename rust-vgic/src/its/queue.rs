// SPDX-License-Identifier: GPL-2.0-only
//! The command queue (IHI 0069, section 5.3): a ring in guest memory, worked off in bounded batches.
//!
//! A trap does not do more than its budget: what is left is done when the guest executes its store again
//! ([`Progress::Again`]), and when it reads GITS_CREADR, as guests do that wait. One vCPU at a time works for an ITS; another
//! never waits for it. A command that cannot be finished goes on at its cursor, as it was read, so that one command may take
//! as many traps as it needs; nothing comes before its end, whatever becomes of the queue.
//!
//! The budget is 64 commands or 256 LPIs, whichever is spent first: a million instructions at most from the guest's store to
//! its next instruction, whatever the commands are and however many LPIs there are. `tests/budget.rs` counts them (on
//! x86-64, without what the host does for its own ITS), each kind of command at its worst. Most take a tenth of
//! that; all of it goes where so many LPIs are pending and move from one vCPU to another.

use super::command::{Entry, SIZE};
use super::tables::{Anew, Gone};
use super::{Its, todo};
use crate::domain::Domain;
use crate::host::{Backing, Host};
use crate::intid::IntId;
use crate::lpi::Lpi;
use crate::progress::Progress;
use crate::sync::{Ordering, fence};

/// Commands that are executed in one trap.
const COMMANDS: u32 = 64;
/// LPIs that these may look at beyond one each; one that is pending and that MAPC or MOVALL moves counts twice.
const STEPS: u32 = 256;

/// GITS_CREADR.Stalled.
pub(crate) const STALLED: u32 = 1 << 0;
/// The offset in GITS_CREADR and GITS_CWRITER.
pub(crate) const OFFSET: u32 = 0xf_ffe0;
/// GITS_CBASER.Valid.
pub(crate) const VALID: u64 = 1 << 63;

/// What one trap may still do.
pub(super) struct Budget {
    commands: u32,
    steps: u32,
    turns: u32,
}

/// Times that a trap finds more to do when it was done: others may bring something again and again.
const TURNS: u32 = 8;

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            commands: COMMANDS,
            steps: STEPS,
            turns: TURNS,
        }
    }

    /// Something has come meanwhile. No: not in this trap.
    fn turn(&mut self) -> bool {
        let left = self.turns.checked_sub(1);
        self.turns = left.unwrap_or(0);
        left.is_some()
    }

    /// The next command. No: not in this trap.
    fn command(&mut self) -> bool {
        let left = self.commands.checked_sub(1);
        self.commands = left.unwrap_or(0);
        left.is_some()
    }

    /// So many steps, or what is left of them. No: not in this trap.
    #[must_use]
    pub(super) fn spend(&mut self, steps: u32) -> bool {
        let some = self.steps != 0;
        self.steps = self.steps.saturating_sub(steps);
        some
    }

    /// One more LPI. No: not in this trap.
    #[must_use]
    pub(super) fn step(&mut self) -> bool {
        let left = self.steps.checked_sub(1);
        self.steps = left.unwrap_or(0);
        left.is_some()
    }
}

impl Its {
    /// Bytes of the queue.
    pub(super) fn queue_size(&self) -> u32 {
        let pages = (self.cbaser.load(Ordering::Relaxed) & 0xff) as u32;
        pages.wrapping_add(1).wrapping_mul(0x1000)
    }

    /// Is there a command to be executed?
    fn has_command(&self) -> bool {
        let read = self.creadr.load(Ordering::Acquire);
        let runs = self.is_enabled() && self.cbaser.load(Ordering::Relaxed) & VALID != 0;
        let next = runs && read & STALLED == 0 && read != self.cwriter.load(Ordering::Acquire);
        next || self.begun.load(Ordering::Relaxed) != 0
    }

    /// Is there anything to be done?
    fn has_work(&self) -> bool {
        self.owes_tables() || self.has_command()
    }

    /// Is anything to be done about the tables, as it stands?
    fn owes_tables(&self) -> bool {
        let due = if self.is_enabled() {
            todo::VOIDS | todo::FILLS
        } else {
            todo::VOIDS | todo::DIRTY
        };
        self.todo.load(Ordering::Acquire) & due != 0
    }

    /// From now on the caller works for this ITS, if nobody does.
    #[must_use]
    pub(super) fn begin(&self) -> bool {
        // Who fails writes nothing.
        let begun = self
            .busy
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        begun.is_ok()
    }

    pub(super) fn end(&self) {
        self.busy.store(0, Ordering::Release);
    }

    /// The command at GITS_CREADR is done with.
    fn advance(&self, read: u32) {
        let next = read.wrapping_add(SIZE as u32);
        let next = if next >= self.queue_size() { 0 } else { next };
        self.cursor.store(0, Ordering::Relaxed);
        self.creadr.store(next, Ordering::Release);
    }
}

impl<H: Host> Domain<H> {
    /// The physical LPI behind an LPI is to go to where its vCPU is ([`Host::route_event`]): the host asks for that when it has seen it
    /// come to another CPU again and again. Neither what a guest does nor that its vCPU is moved does. Process context.
    ///
    /// Not while the ITS is at work, or has a device half mapped: the host would be asked for an event that it was not told of. The
    /// host asks again when the LPI comes again.
    pub fn follow_lpi(&self, intid: IntId) {
        let lpi = self.lpis.get(intid);
        let its = lpi
            .and_then(Lpi::mapped_by)
            .and_then(|(n, _)| self.its.get(usize::from(n)));
        let Some(its) = its.filter(|its: &&Its| its.begin()) else {
            return;
        };
        let event = lpi
            .and_then(Lpi::mapped_by)
            .filter(|(n, _)| *n == its.index);
        if let Some(((_, (device, event)), vcpu)) = event.zip(self.lpi_target(intid)) {
            let whole = {
                let tables = its.tables.lock();
                let mapped = tables.mapped(device, event).is_ok_and(|m| m.intid == intid);
                mapped
                    && (tables.devices.get(device))
                        .is_some_and(|d| d.anew == Anew::No && d.backing == Backing::Hardware)
            };
            if whole {
                self.host.route_event(its.index, device, event, vcpu);
            }
        }
        its.end();
    }

    /// Executes commands until there are no more, or the budget of a trap is spent.
    pub(super) fn work(&self, its: &Its) -> Progress {
        let mut budget = Budget::new();
        while its.has_work() {
            if !budget.turn() || !its.begin() {
                return Progress::Again;
            }
            let progress = self.work_alone(its, &mut budget);
            its.end();
            if progress == Progress::Again {
                return progress;
            }
            // Pairs with the fence of a store to GITS_CWRITER that finds us busy: either it sees us done, or we see it.
            fence(Ordering::SeqCst);
        }
        Progress::Done
    }

    /// The domain dies, and no vCPU runs any more: a part of what its ITSes have mapped goes. [`Progress::Again`]: there is more.
    /// Freeing the domain takes the rest, and may take long for that. Process context.
    pub fn relinquish(&self) -> Progress {
        let mut budget = Budget::new();
        for its in &self.its {
            // No vCPU runs, but an LPI may just be following its own.
            if !its.begin() {
                return Progress::Again;
            }
            let progress = self.unmap_devices(its, &mut budget, Gone::Table);
            its.end();
            if progress == Progress::Again {
                return progress;
            }
        }
        Progress::Done
    }

    fn work_alone(&self, its: &Its, budget: &mut Budget) -> Progress {
        loop {
            // A command is done before its tables go.
            if its.owes_tables() && its.begun.load(Ordering::Relaxed) == 0 {
                if self.do_tables(its, budget) == Progress::Again {
                    return Progress::Again;
                }
            } else if !its.has_command() {
                return Progress::Done;
            } else if !budget.command() || self.one(its, budget) == Progress::Again {
                return Progress::Again;
            }
        }
    }

    /// What is to be done about the tables now, with no command begun: what was mapped by one that the guest has taken away goes;
    /// a new one is read once the ITS is enabled; once it is disabled, what is mapped is written.
    fn do_tables(&self, its: &Its, budget: &mut Budget) -> Progress {
        let todo = its.todo.load(Ordering::Acquire);
        if todo & todo::VOIDS == 0 {
            return match (its.is_enabled(), todo & todo::FILLS, todo & todo::DIRTY) {
                (true, 1.., _) => self.refill(its, budget),
                (false, _, 1..) => self.save_tables(its, budget),
                _ => Progress::Done,
            };
        }
        if !budget.step() {
            return Progress::Again;
        }
        if todo & todo::void(0) != 0
            && self.unmap_devices(its, budget, Gone::Table) == Progress::Again
        {
            return Progress::Again;
        }
        let mut tables = its.tables.lock();
        if todo & todo::void(1) != 0 {
            tables.unmap_collections();
        }
        tables.start();
        drop(tables);
        // Whoever has taken them away once more meanwhile has found nothing mapped.
        its.todo.fetch_and(!(todo & todo::VOIDS), Ordering::Release);
        Progress::Done
    }

    /// What the ITS has begun, or owes its tables before anybody can look at them, but for what is yet to be written. Only for who works
    /// for it.
    pub(super) fn finish(&self, its: &Its, budget: &mut Budget) -> Progress {
        loop {
            if its.begun.load(Ordering::Relaxed) != 0 {
                if self.one(its, budget) == Progress::Again {
                    return Progress::Again;
                }
            } else if !its.owes_tables() {
                return Progress::Done;
            } else if self.do_tables(its, budget) == Progress::Again {
                return Progress::Again;
            }
        }
    }

    /// Executes the command at GITS_CREADR, or goes on with it.
    fn one(&self, its: &Its, budget: &mut Budget) -> Progress {
        let read = its.creadr.load(Ordering::Relaxed);
        let begun = if its.begun.load(Ordering::Relaxed) == 0 {
            None
        } else {
            its.tables.lock().begun
        };
        let Some(entry) = begun.or_else(|| self.read_command(its, read)) else {
            its.creadr.store(read | STALLED, Ordering::Release);
            return Progress::Done;
        };
        let done = entry
            .decode()
            .and_then(|command| match self.execute(its, command, budget) {
                Ok(progress) => Ok(progress),
                Err(reason) => Err(entry.error(reason)),
            });
        match done {
            Ok(Progress::Again) => {
                its.tables.lock().begun = Some(entry);
                its.begun.store(1, Ordering::Relaxed);
                return Progress::Again;
            }
            Ok(Progress::Done) => {}
            Err(error) => {
                let before = its.errors.fetch_add(1, Ordering::Relaxed);
                its.last_error.store(error.code(), Ordering::Relaxed);
                match error.limit() {
                    None => self.command_error(its.index, before.wrapping_add(1), error.code()),
                    Some(what) => {
                        let nth = its.refused.keep(entry.words());
                        self.limit_reached(its.index, nth, what, entry.words());
                    }
                }
            }
        }
        its.advance(read);
        its.begun.store(0, Ordering::Release);
        Progress::Done
    }

    /// The command at an offset in the queue, if that is in memory.
    fn read_command(&self, its: &Its, read: u32) -> Option<Entry> {
        let base = its.cbaser.load(Ordering::Relaxed) & 0xf_ffff_ffff_f000;
        let mut bytes = [0; SIZE];
        let there = self
            .host
            .read_guest(base.wrapping_add(read.into()), &mut bytes);
        there.then(|| Entry::new(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What bounds a trap, whatever is brought meanwhile: 64 commands, 256 LPIs, and eight times that more has come.
    #[test]
    fn bounded_is_each_part_of_a_trap() {
        let mut budget = Budget::new();
        type Part = fn(&mut Budget) -> bool;
        let parts: [(Part, u32); 3] = [
            (Budget::command, 64),
            (Budget::step, 256),
            (Budget::turn, 8),
        ];
        for (part, most) in parts {
            let got = (0..1000).filter(|_| part(&mut budget)).count();
            assert_eq!(got, most as usize);
        }
    }
}
