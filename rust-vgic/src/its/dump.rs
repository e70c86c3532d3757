// SPDX-License-Identifier: GPL-2.0-only
//! What a person sees of an ITS.

use super::Its;
use super::queue::{OFFSET, STALLED};
use crate::lpi::{Lpi, Lpis};
use crate::sync::Ordering;
use core::fmt::{self, Write};

impl Its {
    /// Writes a line, or some, without a lock.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn dump(&self, lpis: &Lpis, out: &mut impl Write) -> fmt::Result {
        let read = self.creadr.load(Ordering::Relaxed);
        let own = |lpi: &Lpi| lpi.mapped_by().is_some_and(|(its, _)| its == self.index);
        write!(
            out,
            "  vGIC: ITS {}: {}, CBASER {:#x}, CWRITER {:#x}, CREADR {:#x}{}, {} events mapped",
            self.index,
            match (self.is_enabled(), self.is_idle()) {
                (true, _) => "enabled",
                (false, true) => "disabled and quiescent",
                _ => "disabled, but not quiescent",
            },
            self.cbaser.load(Ordering::Relaxed),
            self.cwriter.load(Ordering::Relaxed),
            read & OFFSET,
            if read & STALLED != 0 { " stalled" } else { "" },
            lpis.all(0).filter(|(_, lpi)| own(lpi)).count(),
        )?;
        match self.errors.load(Ordering::Relaxed) {
            0 => writeln!(out)?,
            n => writeln!(
                out,
                ", {n} command errors, the last {:#x}",
                self.last_error.load(Ordering::Relaxed)
            )?,
        }
        let counts = [&self.unsaved, &self.unread].map(|count| count.load(Ordering::Relaxed));
        if counts != [0, 0] {
            let [unsaved, unread] = counts;
            writeln!(
                out,
                "  vGIC: ITS {}: entries of its tables: {unsaved} could not be written, {unread} were not good when they were read",
                self.index,
            )?;
        }
        match self.refused.last() {
            (0, _) => Ok(()),
            (n, Some([zero, one, two, three])) => writeln!(
                out,
                "  vGIC: ITS {}: {n} commands refused for the limits, the last {zero:#x} {one:#x} {two:#x} {three:#x}",
                self.index,
            ),
            (n, None) => writeln!(
                out,
                "  vGIC: ITS {}: {n} commands refused for the limits, and another just now",
                self.index,
            ),
        }
    }
}
