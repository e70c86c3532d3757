// SPDX-License-Identifier: GPL-2.0-only
//! What of LPIs is in a redistributor (IHI 0069, sections 5.1 and 12.11): GICR_CTLR.EnableLPIs, GICR_PROPBASER, GICR_PENDBASER, and
//! invalidations.
//!
//! EnableLPIs and GICR_INVALLR are about all LPIs there are, which are more than one trap may look at. So they go from lot to lot;
//! when enough was done, the guest is to execute its store once more ([`Progress::Again`]), and that goes on where
//! the last one stopped. Where that cannot be had, reads of GICR_CTLR and GICR_SYNCR do it, as guests do that wait for
//! RWP and Busy.

use super::{PAGE, PENDBASER_MASK, PROPBASER_MASK};
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::IntId;
use crate::irq::Event;
use crate::progress::Progress;
use crate::sync::{AtomicU64, Ordering};
use crate::vcpu::{Flags, Vcpu};

/// LPIs in a lot, and bytes of a pending table, which has a bit for each.
const LOT: u32 = 256;
const WINDOW: usize = LOT as usize / 8;

/// LPIs after which a trap begins no other lot: a million instructions at most. `tests/budget.rs` counts them.
const ENOUGH: u32 = 128;

/// A lot without LPIs counts as so many: its part of the table is read or written all the same.
const WINDOW_COST: u32 = 2;

/// GICR_PENDBASER.PTZ: the table is all zero.
const PTZ: u64 = 1 << 62;

impl<H: Host> Domain<H> {
    /// Writes GICR_CTLR.EnableLPIs: what is pending comes from the pending table, and goes there. Clearing it is
    /// supported (GICR_CTLR.CES). A change that is not complete is completed first.
    pub(crate) fn enable_lpis(&self, v: &Vcpu<H::Vcpu>, on: bool) -> Progress {
        self.get_on(v, Some(on))
    }

    /// The last change goes on; then there is this one, if there is one.
    fn get_on(&self, v: &Vcpu<H::Vcpu>, on: Option<bool>) -> Progress {
        let registers = &v.redist.lpi;
        if !self.lpis.exist() {
            return Progress::Done;
        }
        // Who fails writes nothing.
        let begun = registers
            .busy
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        if begun.is_err() {
            return Progress::Again;
        }
        let mut looked = 0;
        let mut progress = self.change(v, &mut looked);
        let done = progress == Progress::Done;
        if let Some(on) = on.filter(|on| done && registers.enabled() != *on) {
            if on {
                let bits = self.lpis.table_bits();
                registers.table_bits.store(bits, Ordering::Relaxed);
            }
            registers.next.store(IntId::LPI, Ordering::Relaxed);
            registers.enabled.store(on.into(), Ordering::Release);
            if on {
                // Whoever had the lock has withheld what we are about to find; whoever has it from now on withholds nothing.
                self.with_lists(v, |_, _| ());
            } else {
                self.ask_to_look(v);
            }
            progress = self.change(v, &mut looked);
        }
        registers.busy.store(0, Ordering::Release);
        progress
    }

    /// GICR_CTLR.RWP. Whoever waits for it does a part of the work.
    pub(crate) fn changing_lpis(&self, v: &Vcpu<H::Vcpu>) -> bool {
        let registers = &v.redist.lpi;
        registers.changing() && self.get_on(v, None) == Progress::Again
    }

    /// Does what the last change of EnableLPIs has left to be done. Only for who has `busy`.
    fn change(&self, v: &Vcpu<H::Vcpu>, looked: &mut u32) -> Progress {
        let registers = &v.redist.lpi;
        if !registers.changing() {
            return Progress::Done;
        }
        let on = registers.enabled();
        let begins = registers.next.load(Ordering::Relaxed) == IntId::LPI;
        if !on && begins && !self.has_seen(v, &registers.awaited) {
            // What the guest has acknowledged, or may yet acknowledge, is not to be saved as pending.
            return Progress::Again;
        }
        for first in self
            .lpis
            .numbers(registers.next.load(Ordering::Relaxed), LOT)
        {
            if *looked >= ENOUGH {
                registers.next.store(first, Ordering::Relaxed);
                return Progress::Again;
            }
            let more = if on {
                self.load(v, first)
            } else {
                self.save(v, first)
            };
            *looked = looked.saturating_add(more.max(WINDOW_COST));
        }
        if on {
            // The table was zero when it was read. From now on it is what is written there.
            registers.pendbaser.fetch_and(!PTZ, Ordering::Relaxed);
        } else {
            registers.table_bits.store(0, Ordering::Relaxed);
        }
        registers.next.store(0, Ordering::Release);
        Progress::Done
    }

    /// GICR_PROPBASER.
    pub(crate) fn propbaser(&self) -> u64 {
        self.lpis.propbaser.load(Ordering::Relaxed)
    }

    /// Writes the GICR_PROPBASER of `v`, which is that of all; ignored while this redistributor uses it.
    ///
    /// Not while others do, which is UNPREDICTABLE: a kernel that was started from another one (kexec) disables LPIs at each of its CPUs
    /// as that comes up, and the first has to get a table of the new kernel's. The pending tables of the others are as long as they were:
    /// theirs are written by the IDbits with which they were enabled.
    pub(crate) fn set_propbaser(&self, v: &Vcpu<H::Vcpu>, value: u64) {
        let registers = &v.redist.lpi;
        if self.lpis.exist() && !registers.enabled() && !registers.changing() {
            let value = value & PROPBASER_MASK;
            self.lpis.propbaser.store(value, Ordering::Relaxed);
        }
    }

    /// It is as it was where the domain was saved. No redistributor uses it yet.
    pub(crate) fn restore_propbaser(&self, value: u64) {
        self.lpis.propbaser.store(value, Ordering::Relaxed);
    }

    /// GICR_PENDBASER. PTZ is write-only.
    pub(crate) fn pendbaser(&self, v: &Vcpu<H::Vcpu>) -> u64 {
        v.redist.lpi.pendbaser.load(Ordering::Relaxed) & !PTZ
    }

    /// Writes GICR_PENDBASER; ignored while it is in use.
    pub(crate) fn set_pendbaser(&self, v: &Vcpu<H::Vcpu>, value: u64) {
        let registers = &v.redist.lpi;
        if self.lpis.exist() && !registers.enabled() && !registers.changing() {
            let value = value & PENDBASER_MASK;
            registers.pendbaser.store(value, Ordering::Relaxed);
        }
    }

    /// GICR_INVLPIR: the configuration of one LPI.
    pub(crate) fn invalidate(&self, v: &Vcpu<H::Vcpu>, raw: u64) {
        let intid = u32::try_from(raw)
            .ok()
            .and_then(|raw| self.lpis.number(raw));
        if let Some(intid) = intid.filter(|_| v.redist.lpi.enabled()) {
            self.reload(intid);
        }
    }

    /// vCPU `cur` writes the GICR_INVALLR of `v`: the configuration of all LPIs that go there.
    pub(crate) fn invalidate_all(&self, cur: &Vcpu<H::Vcpu>, v: &Vcpu<H::Vcpu>) -> Progress {
        let begun = &cur.redist.lpi;
        let next = begun.invalidating(v.id()).unwrap_or(IntId::LPI);
        let mut looked = 0_u32;
        for first in self.lpis.numbers(next, LOT) {
            if looked >= ENOUGH {
                let whose = u32::from(v.id().raw()).wrapping_shl(16);
                begun.invalidating.store(whose | first, Ordering::Relaxed);
                return Progress::Again;
            }
            looked = looked.saturating_add(self.reload_lot(v, first));
        }
        begun.invalidating.store(0, Ordering::Relaxed);
        Progress::Done
    }

    /// GICR_SYNCR.Busy of `v` as `cur` sees it: what was invalidated has not reached its list registers. Who waits for it does a part of
    /// the work.
    pub(crate) fn invalidating(&self, cur: &Vcpu<H::Vcpu>, v: &Vcpu<H::Vcpu>) -> bool {
        let registers = &cur.redist.lpi;
        let reads = registers.invalidating(v.id()).is_some()
            && self.invalidate_all(cur, v) == Progress::Again;
        reads || !self.has_seen(v, &registers.synced)
    }

    /// Has `v` leave the guest, if it is there, and look at its interrupts before it enters it again.
    fn ask_to_look(&self, v: &Vcpu<H::Vcpu>) {
        v.raise(Flags::LOOK | Flags::KICKED);
        if v.is_in_guest() {
            self.kick(v);
        }
    }

    /// Has `v` seen what it has been asked to look at: is it out of the guest, was it so since the first call with this `awaited`, or has
    /// nobody asked? Until then `awaited` is not 0, and whoever waits comes again: nothing here spins.
    pub(crate) fn has_seen(&self, v: &Vcpu<H::Vcpu>, awaited: &AtomicU64) -> bool {
        // What is to be seen comes before the epoch and the flags.
        let in_guest = v.is_in_guest();
        let epoch = v.epoch();
        let asked = Flags::from_bits_retain(v.flags.load(Ordering::Acquire));
        // Whose epoch it is: who waits may wait for several by turns.
        let now = u64::from(v.id().raw()) << 32 | u64::from(epoch);
        let since = awaited.load(Ordering::Relaxed);
        let seen = !in_guest
            || epoch & 1 == 0
            || since >> 32 == now >> 32 && since != 0 && since != now
            || !asked.intersects(Flags::LOOK | Flags::KICKED);
        awaited.store(if seen { 0 } else { now }, Ordering::Relaxed);
        if !seen {
            self.host.relax();
        }
        seen
    }

    // ---------------------------------------------------------------- a lot of LPIs; each says how many it has looked at

    /// Reads the configuration of those that go to `v`.
    fn reload_lot(&self, v: &Vcpu<H::Vcpu>, first: u32) -> u32 {
        let mut looked = 0_u32;
        let all = self.lpis.among(first, LOT as usize / PAGE);
        let own = all
            .inspect(|_| looked = looked.saturating_add(1))
            .filter(|(_, lpi)| lpi.irq.state().is_for(v.id()) || lpi.route() == Some(v.id()));
        self.reload_all(own.map(|(intid, _)| intid));
        looked
    }

    /// Where `v`'s pending table has them; it ends where the configuration table did as LPIs were enabled. A bit for each INTID, those
    /// below 8192 unused.
    fn window(&self, v: &Vcpu<H::Vcpu>, first: u32) -> Option<u64> {
        let registers = &v.redist.lpi;
        let base = registers.pendbaser.load(Ordering::Relaxed) & 0xf_ffff_ffff_0000;
        let end = self
            .lpis
            .end_of(registers.table_bits.load(Ordering::Relaxed));
        (first < end).then(|| base.wrapping_add(u64::from(first / 8)))
    }

    /// Reads their configuration, and takes over what guest memory says is pending at `v`.
    fn load(&self, v: &Vcpu<H::Vcpu>, first: u32) -> u32 {
        let zero = v.redist.lpi.pendbaser.load(Ordering::Relaxed) & PTZ != 0;
        let mut window = [0_u8; WINDOW];
        let there = self
            .window(v, first)
            .is_some_and(|address| !zero && self.host.read_guest(address, &mut window));
        if !there {
            window = [0; WINDOW];
        }
        for intid in ones(&window, first) {
            self.adopt(v, intid);
        }
        let looked = self.reload_lot(v, first);
        // Those that messages bring elsewhere are not among them, and may be pending here all the same: MOVALL may have brought them.
        let others = ones(&window, first).filter(|intid| {
            let lpi = self.lpis.get(*intid);
            lpi.is_some_and(|lpi| lpi.route() != Some(v.id()))
        });
        self.reload_all(others);
        for intid in ones(&window, first) {
            let Some(lpi) = self.lpis.get(intid) else {
                continue;
            };
            // With what the word says is pending elsewhere it merges as a message does, since a guest may just have acknowledged that;
            // but not where nobody delivers it.
            self.update_lpi(intid, &lpi.irq, |s| {
                let there = s.target().filter(|_| s.pending());
                let there = there.and_then(|id| self.slot(id));
                let comes = there.is_some_and(|w| w.redist.lpi.enabled());
                if s.is_for(v.id()) || comes {
                    return Some(s.apply(Event::SetPending));
                }
                let (here, routed) = s.apply(Event::Route(Some(v.id())));
                let (pending, pended) = here.apply(Event::SetPending);
                Some((pending, routed | pended))
            });
        }
        // What was brought here meanwhile.
        for (intid, lpi) in self.lpis.among(first, LOT as usize / PAGE) {
            if lpi.irq.state().is_for(v.id()) {
                self.offer(intid, &lpi.irq);
            }
        }
        looked
    }

    /// An LPI may be pending at `v` whether or not an ITS has mapped it: the redistributor delivers it.
    fn adopt(&self, v: &Vcpu<H::Vcpu>, intid: IntId) {
        let Ok(lpi) = self.lpis.make_pending(intid) else {
            return;
        };
        // An ITS that maps it meanwhile says where it goes.
        let _held = self.lpis.config.lock();
        if lpi.its().is_none() {
            lpi.set_route(Some(v.id()));
            self.post_to(intid, &lpi.irq, Event::Route(Some(v.id())));
            self.post_to(intid, &lpi.irq, Event::Map(true));
        }
    }

    /// Writes to guest memory which are pending at `v`; none is afterwards.
    fn save(&self, v: &Vcpu<H::Vcpu>, first: u32) -> u32 {
        let mut window = [0_u8; WINDOW];
        let mut looked = 0_u32;
        for (intid, lpi) in self.lpis.among(first, LOT as usize / PAGE) {
            looked = looked.saturating_add(1);
            let saved = lpi.irq.state().pending()
                && self.update_lpi(intid, &lpi.irq, |s| {
                    (s.pending() && s.is_for(v.id())).then(|| s.apply(Event::ClearPending))
                });
            if saved {
                let bit = intid.raw().wrapping_sub(first);
                if let Some(byte) = window.get_mut(bit as usize / 8) {
                    *byte |= 1_u8.wrapping_shl(bit & 7);
                }
            }
        }
        if let Some(address) = self.window(v, first) {
            // A table that is not there loses what was pending, as hardware would.
            let _ = self.host.write_guest(address, &window);
        }
        looked
    }
}

/// The LPIs for which there is a one in a window that begins with `first`.
fn ones(window: &[u8; WINDOW], first: u32) -> impl Iterator<Item = IntId> {
    let bytes = window.iter().zip((first..).step_by(8));
    let set = bytes.filter(|(byte, _)| **byte != 0);
    set.flat_map(|(byte, base)| {
        let bits = (0..8_u32).filter(|bit| byte.wrapping_shr(*bit) & 1 != 0);
        bits.filter_map(move |bit| IntId::new(base.wrapping_add(bit)))
    })
}
