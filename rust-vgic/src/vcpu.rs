// SPDX-License-Identifier: GPL-2.0-only
//! A vCPU's side of the vGIC: its private interrupts, its inboxes, its ready lists and its list registers.
//!
//! Who may touch what:
//!
//! * `flags`, `inboxes`: anyone, atomically.
//! * `lock` (a leaf; interrupts masked; never two at once): the ready lists. Any CPU may take it and work for the vCPU.
//! * `slots`, `used`, `stale`, `twice`, `physical`, `hcr`, `loaded`: the CPU that runs the vCPU, while `epoch` is odd (in the guest, or on the way in or out);
//!   whoever holds `lock` while `epoch` is even. `Vcpu::is_in_guest` says how to find out.

#[cfg(not(target_os = "none"))]
mod image;
mod redistributor;

pub(crate) use redistributor::PROCESSOR_SLEEP;

use crate::counters::Counters;
use crate::host::Handle;
use crate::intid::{IntId, VcpuId};
use crate::irq::{Irq, NIL, State};
use crate::list::{Lists, PRIORITIES};
use crate::lr::{self, Hcr};
use crate::sync::{AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, fence};
use core::marker::PhantomData;

bitflags::bitflags! {
    /// What others ask of a vCPU. Its owner clears them before it looks.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct Flags: u64 {
        /// Something about an interrupt it holds has changed.
        const LOOK = 1 << 0;
        /// An exit has been asked for, so nobody needs to ask again.
        const KICKED = 1 << 1;
        /// PSCI CPU_ON: the CPU interface starts afresh.
        const RESET = 1 << 2;
        /// The line of an interrupt in a list register has fallen. That can wait until the next entry, and is over if the guest
        /// has ended the interrupt.
        const FELL = 1 << 3;
        /// Raised by the owner: an exit or an entry has left something for the next entry to do. Set at first.
        const DIRTY = 1 << 4;
        /// The lists were not empty when they were last unlocked.
        const WAITS = 1 << 5;
        /// Raised by the owner: a list register has a hardware-mapped level whose line may fall before the next entry.
        const LINES = 1 << 6;
        /// Somebody is to go through what several vCPUs may take: see [`crate::routing`].
        const SWEEP = 1 << 7;
        /// Its exit is awaited: what its guest may have taken before is told then, and what was taken from it is gone. Raised
        /// together with [`Flags::KICKED`] alone, so that there is an exit to come.
        const AWAITED = 1 << 8;
        /// Raised by the owner, with [`Flags::DIRTY`]: the next entry is to come at once, whatever the guest does to its interrupts.
        const AT_ONCE = 1 << 9;
        /// Nothing may be left of a private interrupt but that its physical one is active: see [`crate::physical`].
        const ORPHAN = 1 << 10;
        /// PSCI SYSTEM_SUSPEND is over: as [`Flags::RESET`], and what is private and active stays so.
        const RESUME = 1 << 11;
        /// A bit for each priority, the highest first: something was pushed to its inbox. In this word because who pushes
        /// writes to it anyway.
        const CAME = 0xffff_ffff << 32;
    }
}

impl Flags {
    /// Something was pushed to the inbox of this priority.
    pub(crate) const fn came_at(priority5: u8) -> Self {
        Self::from_bits_retain(1_u64.wrapping_shl(priority5 as u32).wrapping_shl(32))
    }

    /// The priorities of [`Flags::CAME`], as a bit each.
    pub(crate) const fn came(self) -> u32 {
        (self.bits() >> 32) as u32
    }
}

/// No value of VMCR: bit 10 is reserved in both formats. It was not looked at.
pub(crate) const UNKNOWN: u32 = 1 << 10;

bitflags::bitflags! {
    /// What is known of a vCPU's ICC_CTLR_EL1 where it takes ICH_HCR_EL2.TC to see writes of it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct Ctlr: u32 {
        /// The guest has written it since the vCPU was switched on.
        const WRITTEN = 1 << 0;
        /// EOImode is 1, and the domain has counted it.
        const SPLIT = 1 << 1;
    }
}

/// One list register: which interrupt it holds (or [`NIL`]), and what the hardware was last seen to contain.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) intid: AtomicU16,
    pub(crate) shadow: AtomicU64,
}

/// A vCPU of a domain, with `H` its host's handle.
// First what each entry and exit touches.
#[repr(C)]
pub struct Vcpu<V> {
    pub(crate) flags: AtomicU64,
    epoch: AtomicU32,
    /// Not 0 if the next exit has something to look at: a list register in use, or a maintenance interrupt asked for.
    pub(crate) loaded: AtomicU32,
    pub(crate) used: AtomicU32,
    /// Slots whose list register may not be as it has to be, as a bit each.
    pub(crate) stale: AtomicU32,
    /// Slots whose list register may show an interrupt pending behind itself, as a bit each.
    pub(crate) twice: AtomicU32,
    /// Slots of which the last to use it was hardware-mapped, as a bit each. One becomes that only while it is on no list.
    pub(crate) physical: AtomicU32,
    pub(crate) hcr: AtomicU32,
    id: VcpuId,
    /// The host's handle, one more than as a word; 0 while there is none.
    handle: AtomicUsize,
    kind: PhantomData<fn() -> V>,
    /// VMCR as it was last looked at, or [`UNKNOWN`].
    pub(crate) vmcr: AtomicU32,
    /// Where the owner is as it goes through all SPIs, the next one in the upper half; and how many are left.
    sweep: AtomicU32,
    /// What was pushed and is not sorted into the ready lists, by priority at the time: the last first.
    pub(crate) inboxes: [AtomicU16; PRIORITIES],
    /// What is known of its ICC_CTLR_EL1, [`Ctlr`]. Its own.
    pub(crate) ctlr: AtomicU32,
    /// Ready lists, and what of a drained inbox is not sorted into them yet.
    pub(crate) lock: Mutex<Lists>,
    /// Mirrors of what the lists hold, for a look without the lock: 0 means that nothing waits.
    pub(crate) backlog: AtomicU32,
    pub(crate) counters: Counters,
    pub(crate) slots: [Slot; lr::MAX],
    private: [Irq; 32],
    pub(crate) redist: redistributor::Registers,
}

impl<V> core::fmt::Debug for Vcpu<V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Vcpu")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Private interrupt number `n` of a vCPU at reset.
pub(crate) fn private_at_reset(id: VcpuId, group1: bool, n: usize) -> State {
    let own = Some(id);
    // SGIs are always enabled on GICv2 (IHI 0048B, 4.3.5: implementation defined); GICv3 guests enable them.
    if n < IntId::PPI as usize {
        State::reset_sgi(own)
            .with_enabled(!group1)
            .with_group1(group1)
    } else {
        State::reset(own).with_group1(group1)
    }
}

impl<V: Handle> Vcpu<V> {
    pub(crate) fn new(id: VcpuId, group1: bool) -> Self {
        Self {
            id,
            handle: AtomicUsize::new(0),
            kind: PhantomData,
            flags: AtomicU64::new(Flags::DIRTY.bits()),
            epoch: AtomicU32::new(0),
            used: AtomicU32::new(0),
            stale: AtomicU32::new(0),
            twice: AtomicU32::new(0),
            physical: AtomicU32::new(0),
            loaded: AtomicU32::new(0),
            hcr: AtomicU32::new(0),
            vmcr: AtomicU32::new(UNKNOWN),
            ctlr: AtomicU32::new(0),
            sweep: AtomicU32::new(0),
            lock: Mutex::new(Lists::new()),
            inboxes: core::array::from_fn(|_| AtomicU16::new(NIL)),
            backlog: AtomicU32::new(0),
            counters: Counters::new(),
            slots: core::array::from_fn(|_| Slot {
                intid: AtomicU16::new(NIL),
                shadow: AtomicU64::new(0),
            }),
            private: core::array::from_fn(|n| Irq::new(private_at_reset(id, group1, n))),
            redist: redistributor::Registers::new(),
        }
    }

    /// As when it was made, but for its interrupts and its lists, for what it counts, and for what the list registers are known to have, which its next
    /// entry writes over; its CPU interface starts afresh on that. It does not run, and `lock` is held.
    pub(crate) fn renew(&self) {
        let Self {
            flags,
            epoch,
            loaded,
            used: _,
            stale,
            twice,
            physical,
            hcr,
            id: _,
            handle: _,
            kind: _,
            vmcr,
            sweep,
            inboxes: _,
            ctlr,
            lock: _,
            backlog: _,
            counters: _,
            slots,
            private: _,
            redist,
        } = self;
        // First: what it is asked from now on stays.
        flags.fetch_and(Flags::CAME.union(Flags::LOOK).bits(), Ordering::AcqRel);
        self.raise(Flags::DIRTY | Flags::LOOK | Flags::RESET);
        let written = slots.iter().zip(0..);
        let written = written.filter(|(slot, _)| slot.shadow.load(Ordering::Relaxed) != 0);
        let written = written.fold(0, |all, (_, n)| all | 1_u32.wrapping_shl(n));
        stale.store(written, Ordering::Relaxed);
        for word in [loaded, twice, physical, hcr, sweep, ctlr] {
            word.store(0, Ordering::Relaxed);
        }
        vmcr.store(UNKNOWN, Ordering::Relaxed);
        // Who waits for another one is at reset, too.
        epoch.store(0, Ordering::Release);
        redist.renew();
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> VcpuId {
        self.id
    }

    /// The host's handle, once the host has created the vCPU.
    #[must_use]
    pub fn handle(&self) -> Option<V> {
        let word = self.handle.load(Ordering::Acquire);
        (word != 0).then(|| V::from_word(word.wrapping_sub(1)))
    }

    pub(crate) fn set_handle(&self, handle: Option<V>) {
        let word = handle.map_or(0, |handle| handle.to_word().wrapping_add(1));
        self.handle.store(word, Ordering::Release);
    }

    /// The inbox of a priority.
    #[inline(always)]
    pub(crate) fn inbox(&self, priority5: u8) -> &AtomicU16 {
        let [.., last] = &self.inboxes;
        self.inboxes.get(usize::from(priority5)).unwrap_or(last)
    }

    /// The priorities at which something was pushed, as a bit each.
    pub(crate) fn came(&self) -> u32 {
        Flags::from_bits_retain(self.flags.load(Ordering::Acquire)).came()
    }

    /// Takes them, with `lock` held: what is in those inboxes is for the caller to sort.
    pub(crate) fn take_came(&self) -> u32 {
        if self.came() == 0 {
            return 0;
        }
        // First: between the two, the vCPU may be about to block and find neither.
        self.backlog.store(1, Ordering::Relaxed);
        let flags = self.flags.fetch_and(!Flags::CAME.bits(), Ordering::AcqRel);
        Flags::from_bits_retain(flags).came()
    }

    /// The SGI or PPI `intid` of this vCPU.
    pub(crate) fn private(&self, intid: IntId) -> Option<&Irq> {
        self.private_at(intid.raw() as usize)
    }

    /// The same by its number.
    pub(crate) fn private_at(&self, raw: usize) -> Option<&Irq> {
        self.private.get(raw)
    }

    /// Its SGIs and PPIs.
    pub(crate) fn all_private(&self) -> &[Irq] {
        &self.private
    }

    /// The same by the owner on its way into the guest, without the lock, while another who found it outside may be at the slots: that one
    /// has raised [`Flags::LOOK`], because of which all that are in use are looked at; what it has emptied is not in use any more.
    pub(crate) fn add_stale(&self, slots: u32) {
        self.stale.fetch_or(slots, Ordering::Relaxed);
    }

    /// The list register of a slot is to be looked at on the next entry. With the lock, or by the owner in the guest or on its way out.
    pub(crate) fn set_stale(&self, slots: u32) {
        let stale = self.stale.load(Ordering::Relaxed);
        self.stale.store(stale | slots, Ordering::Relaxed);
    }

    /// Slots that hold a hardware-mapped interrupt, as a bit each: it was one when it got there.
    pub(crate) fn used_physical(&self) -> u32 {
        self.used.load(Ordering::Relaxed) & self.physical.load(Ordering::Relaxed)
    }

    /// Sets flags; returns those that were set before.
    pub(crate) fn raise(&self, flags: Flags) -> Flags {
        Flags::from_bits_retain(self.flags.fetch_or(flags.bits(), Ordering::AcqRel))
    }

    /// Before the list registers are looked at on entry: from here on only the CPU that runs the vCPU
    /// touches its list registers. What others asked for before is seen after.
    pub(crate) fn enter_guest(&self) {
        let epoch = self.epoch.load(Ordering::Relaxed);
        // Who sees it change waits for what the exit before has folded, and may see this entry in place of that exit.
        self.epoch.store(epoch | 1, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    /// After the list registers have been folded on exit: the words are exact, and others may take interrupts away.
    pub(crate) fn leave_guest(&self) {
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.epoch
            .store((epoch | 1).wrapping_add(1), Ordering::Release);
    }

    /// The way into the guest, if there is nothing to do on it; otherwise [`crate::Domain::sync_to`] does it. Equals that one's general
    /// part, `prepare_entry`, while no flag is set and VMCR is as it was last looked at.
    #[inline]
    #[must_use]
    pub fn enters_idle(&self) -> bool {
        self.enter_guest();
        // Who pushes to the inbox raises a flag afterwards: if it is not seen here, an exit is asked for.
        self.flags.load(Ordering::Relaxed) == 0
    }

    /// The way out of the guest, if there is nothing to do on it; otherwise [`crate::Domain::sync_from`] does it.
    #[inline]
    #[must_use]
    pub fn exits_idle(&self) -> bool {
        let idle = self.loaded.load(Ordering::Relaxed) == 0;
        if idle {
            self.leave_guest();
        }
        idle
    }

    /// The list registers, and GICH_HCR, are as they are to be; `idle` is what that one has while nothing is asked for.
    pub(crate) fn set_loaded(&self, idle: Hcr) {
        let more = self.hcr.load(Ordering::Relaxed) ^ idle.bits();
        let loaded = self.used.load(Ordering::Relaxed) | more;
        self.loaded.store(loaded, Ordering::Relaxed);
    }

    /// The owner is to go through so many SPIs, from where it has come to.
    pub(crate) fn begin_sweep(&self, all: u32) {
        let (next, _) = self.swept();
        self.set_swept(next, all);
    }

    /// The SPI that is next, and how many are left.
    pub(crate) fn swept(&self) -> (u32, u32) {
        let sweep = self.sweep.load(Ordering::Relaxed);
        (sweep >> 16, sweep & 0xffff)
    }

    pub(crate) fn set_swept(&self, next: u32, left: u32) {
        let sweep = next.wrapping_shl(16) | left & 0xffff;
        self.sweep.store(sweep, Ordering::Relaxed);
    }

    /// Is it in the guest, or on the way in or out? For others, and only after they have raised
    /// [`Flags::LOOK`]: with `lock` held, "no" then stays true until the lock is released.
    pub(crate) fn is_in_guest(&self) -> bool {
        fence(Ordering::SeqCst);
        self.epoch.load(Ordering::Acquire) & 1 != 0
    }

    /// Has it still not left the guest since somebody raised [`Flags::AWAITED`]? Once it has, its words are exact, and before it
    /// enters the guest again it looks at what was changed.
    pub(crate) fn is_awaited(&self) -> bool {
        // In this order: who has entered the guest again has taken the flag before.
        let flags = Flags::from_bits_retain(self.flags.load(Ordering::Acquire));
        flags.contains(Flags::AWAITED) && self.is_in_guest()
    }

    /// The epoch now; it changes when the vCPU leaves the guest.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }
}
