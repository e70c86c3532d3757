// SPDX-License-Identifier: GPL-2.0-only
//! All there is of a vCPU.

use super::{Flags, Slot, Vcpu};
use crate::host::Handle;
use crate::irq::{Irq, NIL};
use crate::sync::Ordering;
use core::fmt::{self, Write};

/// More than there are interrupts: a chain that is longer goes in circles.
const LONGEST: usize = 1 << 16;

impl<V: Handle> Vcpu<V> {
    /// Writes it; `node` finds its interrupts.
    ///
    /// A list register that is free and will be written over is as one that has nothing in it. Of how often it has left its guest there
    /// is only whether it is there.
    pub(crate) fn image<'a>(
        &self,
        out: &mut impl Write,
        node: impl Fn(u16) -> Option<&'a Irq>,
    ) -> fmt::Result {
        let Self {
            flags,
            epoch,
            loaded,
            used,
            stale,
            twice,
            physical,
            hcr,
            id,
            handle: _,
            kind: _,
            vmcr,
            sweep,
            inboxes,
            ctlr,
            lock,
            backlog,
            counters: _,
            slots,
            private,
            redist,
        } = self;
        let stale = stale.load(Ordering::Relaxed);
        let used = used.load(Ordering::Relaxed);
        let flags = Flags::from_bits_retain(flags.load(Ordering::Relaxed));
        let inside = epoch.load(Ordering::Relaxed) & 1;
        writeln!(out, "{id:?} {} {flags:?} {inside}", self.handle().is_some())?;
        writeln!(out, "{loaded:?} {used:#x} {twice:?} {physical:?} {hcr:?}")?;
        writeln!(out, "stale {:#x} {vmcr:?} {sweep:?} {ctlr:?}", stale & used)?;
        for (n, slot) in slots.iter().enumerate() {
            let Slot { intid, shadow } = slot;
            let over = stale & !used & 1_u32.wrapping_shl(n as u32) != 0;
            let shadow = shadow.load(Ordering::Relaxed);
            writeln!(out, "{intid:?} {:#x}", if over { 0 } else { shadow })?;
        }
        for (n, inbox) in inboxes.iter().enumerate() {
            let mut at = inbox.load(Ordering::Relaxed);
            for _ in 0..LONGEST {
                let Some(irq) = node(at).filter(|_| at != NIL) else {
                    break;
                };
                writeln!(out, "inbox {n} has {at}")?;
                at = irq.next.load(Ordering::Relaxed);
            }
        }
        let lists = lock.lock();
        writeln!(out, "{lists:?} {backlog:?}")?;
        drop(lists);
        for (n, irq) in private.iter().enumerate() {
            write!(out, "{id:?} {n} ")?;
            irq.image(out)?;
        }
        writeln!(out, "{redist:?}")
    }
}
