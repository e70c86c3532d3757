// SPDX-License-Identifier: GPL-2.0-only
//! All there is of an interrupt.

use super::Irq;
use crate::sync::Ordering;
use core::fmt::{self, Write};

impl Irq {
    /// The word, and what it is mapped to; on which list it is shows the list.
    pub(crate) fn image(&self, out: &mut impl Write) -> fmt::Result {
        let Self {
            word: _,
            next: _,
            prev: _,
            phys,
            list: _,
        } = self;
        let state = self.state();
        write!(out, "{:#x}: {state:?}", state.bits())?;
        if state.hw() {
            write!(out, " behind it {}", phys.load(Ordering::Relaxed))?;
        }
        writeln!(out)
    }
}
