// SPDX-License-Identifier: GPL-2.0-only
//! All there is of a domain, in text: two of which it is the same are the same. For tests; it is not in a hypervisor.
//!
//! Every structure is taken apart without a `..`, or shown by what is derived for it: a new field is in here, or is left out with a
//! reason. Left out is what nobody asks for any more: links of what is on no list, and locks that are not held.

use crate::domain::Domain;
use crate::host::Host;
use core::fmt::{self, Write};

impl<H: Host> Domain<H> {
    /// Writes all there is of it, while nothing happens to it.
    ///
    /// Not what it counts, which is of the domain and not of its guest, nor how often it has spoken; and of the pages of LPIs only what is
    /// not as on a new one.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn image(&self, out: &mut impl Write) -> fmt::Result {
        let Self {
            host: _,
            version,
            format,
            list_registers,
            vcpus,
            spis,
            espis,
            routers,
            regions,
            lpis,
            its,
            msi_frame,
            ctlr,
            idle_hcr,
            tc,
            split_eoi,
            one_of_n,
            takers,
            told: _,
            writes,
            resetting,
            config: _,
        } = self;
        writeln!(out, "{version:?} {format:?} {list_registers} {regions:?}")?;
        writeln!(out, "{msi_frame:?} {idle_hcr:?} {tc}")?;
        writeln!(out, "GICD_CTLR {ctlr:?}, {split_eoi:?} {one_of_n:?}")?;
        writeln!(out, "{takers:?}")?;
        writeln!(out, "{writes:?} {resetting:?}")?;
        for (table, name) in [(spis, "SPI"), (espis, "eSPI")] {
            for (n, irq) in table.iter().enumerate() {
                write!(out, "{name} {n} ")?;
                irq.image(out)?;
            }
        }
        writeln!(out, "GICD_IROUTER {routers:?}")?;
        for v in vcpus {
            v.image(out, |n| self.node(v, n))?;
        }
        lpis.image(out)?;
        for its in its {
            its.image(out)?;
        }
        Ok(())
    }
}
