// SPDX-License-Identifier: GPL-2.0-only
//! What a person sees who asks why an interrupt does not arrive.

use super::Domain;
use super::controller::{Flags, Rvic};
use crate::host::Host;
use crate::intid::VcpuId;
use core::fmt::{self, Write};
use core::sync::atomic::Ordering;

/// Interrupts of a vCPU, and inputs of a domain, that are shown.
const MOST: usize = 32;

impl<H: Host> Domain<H> {
    /// Writes a line for `own`, with vCPU 0 those for the rVID before it, and one for each interrupt that is pending, with the reason why
    /// it is not being delivered.
    ///
    /// Takes no lock and may run at any time, so it shows each interrupt as it is, but not all at one moment.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn dump(&self, own: &Rvic<H::Vcpu>, out: &mut impl Write) -> fmt::Result {
        if own.id() == VcpuId::ZERO {
            self.dump_rvid(out)?;
        }
        let flags = own.flags();
        writeln!(
            out,
            "  rVIC of v{}: {}, line {}, {}{}; {} injections, {} kicks",
            own.id().raw(),
            if own.is_enabled() {
                "enabled"
            } else {
                "disabled"
            },
            if own.any() { "on" } else { "off" },
            if flags.contains(Flags::INSIDE) {
                "in the guest"
            } else {
                "out of the guest"
            },
            if flags.contains(Flags::KICKED) {
                ", kicked"
            } else {
                ""
            },
            own.counters.injections.0.load(Ordering::Relaxed),
            own.counters.kicks.0.load(Ordering::Relaxed),
        )?;
        let all = (0..u64::from(self.config.interrupts())).filter_map(|raw| self.number(raw));
        let mut pending = all.filter(|n| own.is_pending(*n));
        for n in pending.by_ref().take(MOST) {
            let why = if !own.is_enabled() {
                "not delivered: the rVIC is disabled"
            } else if own.is_masked(n) {
                "not delivered: masked"
            } else {
                "waits for its guest"
            };
            writeln!(out, "   {:5}: pending; {why}", n.raw())?;
        }
        let more = pending.count();
        if more != 0 {
            writeln!(out, "   and {more} more that are pending")?;
        }
        Ok(())
    }

    fn dump_rvid(&self, out: &mut impl Write) -> fmt::Result {
        let mapped =
            |(_, entry): &(u32, crate::rvid::Entry)| entry.target().is_some() || entry.line();
        let mut entries = (0..).zip(self.rvid.entries()).filter(mapped);
        writeln!(out, "  rVID: {} inputs", self.config.inputs)?;
        for (input, entry) in entries.by_ref().take(MOST) {
            write!(out, "   {input:5}: ")?;
            match entry.target() {
                Some((id, intid)) => write!(out, "v{} {intid}", id.raw())?,
                None => write!(out, "not mapped")?,
            }
            if entry.line() {
                write!(out, ", line high")?;
            }
            if let Some(phys) = self.rvid.physical(input as usize) {
                write!(out, ", physical {phys}")?;
            }
            writeln!(out)?;
        }
        let more = entries.count();
        if more != 0 {
            writeln!(out, "   and {more} more")?;
        }
        Ok(())
    }
}
