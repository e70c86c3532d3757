// SPDX-License-Identifier: GPL-2.0-only
//! Where the entries of a guest's tables are (IHI 0069, sections 5.2 and 12.19.1): flat tables, and such of two levels.

use super::Its;
use super::layout::{ENTRY, second_level};
use crate::domain::Domain;
use crate::host::Host;
use crate::sync::Ordering;

/// GITS_BASER.Valid and GITS_BASER.Indirect.
pub(super) const VALID: u64 = 1 << 63;
pub(super) const INDIRECT: u64 = 1 << 62;

/// How much of a table is read or written at a time: what a page of 4 KiB has a whole number of, and a stack has room for.
pub(super) const WINDOW: usize = 0x400;
const WINDOW_MASK: u64 = WINDOW as u64 - 1;
/// Entries of the first level that are looked at together.
const FIRST: usize = 32;
/// No address has more bits.
const ADDRESS_BITS: u32 = 52;

/// A table as a GITS_BASER has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    base: u64,
    page: u64,
    /// Entries that it has, of the first level if there are two.
    entries: u64,
    indirect: bool,
}

/// What a table has from some ID on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Run {
    /// Entries one after the other from this address on, so many.
    At(u64, u64),
    /// So many IDs without entries.
    Hole(u64),
    /// The first level is not in memory where it says so of so many.
    Unreadable(u64),
}

impl Place {
    /// `None`: there is no table.
    pub(super) const fn new(baser: u64) -> Option<Self> {
        let page: u64 = match baser.wrapping_shr(8) & 0b11 {
            0 => 0x1000,
            1 => 0x4000,
            _ => 0x1_0000,
        };
        if baser & VALID == 0 {
            return None;
        }
        Some(Self {
            base: address(baser, page),
            page,
            entries: (baser & 0xff).wrapping_add(1).wrapping_mul(page / ENTRY),
            indirect: baser & INDIRECT != 0,
        })
    }

    /// IDs that a page of the second level is for.
    const fn per_page(&self) -> u64 {
        self.page / ENTRY
    }

    /// IDs that it can have entries for.
    pub(super) const fn ids(&self) -> u64 {
        if self.indirect {
            self.entries.wrapping_mul(self.per_page())
        } else {
            self.entries
        }
    }
}

/// Where a table is: pages of 64 KiB have bits 51 to 48 of it in bits 15 to 12.
const fn address(baser: u64, page: u64) -> u64 {
    if page == 0x1_0000 {
        baser & 0xffff_ffff_0000 | (baser & 0xf000) << 36
    } else {
        baser & 0xffff_ffff_f000
    }
}

impl Its {
    /// The guest's table of this number, if there is one.
    pub(super) fn place(&self, table: usize) -> Option<Place> {
        let baser = self.basers.get(table)?.load(Ordering::Relaxed);
        Place::new(baser)
    }
}

/// The entry at a place in what was read.
pub(super) fn entry_of(window: &[u8], n: usize) -> u64 {
    const WIDTH: usize = ENTRY as usize;
    let found = window.chunks_exact(WIDTH).nth(n);
    let bytes = found.and_then(|found| <[u8; WIDTH]>::try_from(found).ok());
    u64::from_le_bytes(bytes.unwrap_or_default())
}

impl<H: Host> Domain<H> {
    /// Reads of a table; no if it is not all in memory.
    pub(super) fn read_table(&self, at: u64, to: &mut [u8]) -> bool {
        fits(at, to.len()) && self.host.read_guest(at, to)
    }

    /// The same the other way.
    pub(super) fn write_table(&self, at: u64, from: &[u8]) -> bool {
        fits(at, from.len()) && self.host.write_guest(at, from)
    }

    /// The window of a table that begins at `at`, and how many entries it has: up to `most`, and no further than the next
    /// multiple of the window's size, so that it is of one page.
    pub(super) fn read_window(
        &self,
        at: u64,
        most: u64,
        window: &mut [u8; WINDOW],
    ) -> Option<usize> {
        let rest = (WINDOW as u64).wrapping_sub(at & WINDOW_MASK) / ENTRY;
        let count = rest.min(most) as usize;
        let part = window.get_mut(..count.saturating_mul(ENTRY as usize))?;
        self.read_table(at, part).then_some(count)
    }

    /// What the table has from `id` on, which is one of its IDs. `ahead`: more of the first level is read, in case that there is
    /// nothing at `id`.
    pub(super) fn run(&self, place: &Place, id: u64, ahead: bool) -> Run {
        let in_table = |index: u64| place.base.wrapping_add(index.wrapping_mul(ENTRY));
        if !place.indirect {
            return Run::At(in_table(id), place.entries.saturating_sub(id));
        }
        // Two levels: the first has an entry for each page of the second.
        let per_page = place.per_page();
        let index = id.checked_div(per_page).unwrap_or(u64::MAX);
        let within = id.checked_rem(per_page).unwrap_or(0);
        let rest = per_page.saturating_sub(within);
        let mut first = [0; FIRST * ENTRY as usize];
        let most = if ahead { FIRST as u64 } else { 1 };
        let count = most.wrapping_sub(index & most.wrapping_sub(1));
        let count = count.min(place.entries.saturating_sub(index));
        let bytes = first.get_mut(..count.wrapping_mul(ENTRY) as usize);
        if !bytes.is_some_and(|bytes| self.read_table(in_table(index), bytes)) {
            return Run::Unreadable(rest);
        }
        if let Some(page) = second_level(entry_of(&first, 0), place.page) {
            return Run::At(page.wrapping_add(within.wrapping_mul(ENTRY)), rest);
        }
        let empty = (1..count as usize).take_while(|n| entry_of(&first, *n) & VALID == 0);
        let more = (empty.count() as u64).wrapping_mul(per_page);
        Run::Hole(rest.wrapping_add(more))
    }

    /// Where the entry of `id` is; the table of devices is 0, of collections 1.
    pub(super) fn entry_at(&self, its: &Its, table: usize, id: u64) -> Option<u64> {
        let place = its.place(table).filter(|place| id < place.ids())?;
        match self.run(&place, id, false) {
            Run::At(at, _) => Some(at),
            Run::Hole(_) | Run::Unreadable(_) => None,
        }
    }

    /// Does the guest's table have an entry for `id`? GITS_BASER0 is that of devices, GITS_BASER1 of collections.
    pub(super) fn table_has(&self, its: &Its, table: usize, id: u64) -> bool {
        self.entry_at(its, table, id).is_some()
    }
}

/// Is there memory at all?
fn fits(at: u64, len: usize) -> bool {
    let end = at.checked_add(len as u64);
    end.is_some_and(|end| end <= 1_u64.wrapping_shl(ADDRESS_BITS))
}
