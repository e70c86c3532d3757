// SPDX-License-Identifier: GPL-2.0-only
//! All there is of an ITS.

use super::Its;
use super::tables::{Collection, Tables};
use crate::irq::NIL;
use core::fmt::{self, Write};

impl Its {
    /// Writes it, but for what it counts of errors.
    pub(crate) fn image(&self, out: &mut impl Write) -> fmt::Result {
        let Self {
            index,
            device_bits,
            event_bits,
            enabled,
            cbaser,
            creadr,
            cwriter,
            basers,
            busy,
            begun,
            cursor,
            awaited,
            todo,
            unsaved: _,
            unread: _,
            tables,
            errors: _,
            last_error: _,
            refused: _,
        } = self;
        writeln!(out, "ITS {index} {device_bits} {event_bits} {enabled:?}")?;
        writeln!(out, "{cbaser:?} {creadr:?} {cwriter:?} {basers:x?}")?;
        writeln!(out, "{busy:?} {begun:?} {cursor:?} {awaited:?} {todo:?}")?;
        let tables = tables.lock();
        let Tables {
            devices,
            begun,
            saved,
            filled,
            collections,
        } = &*tables;
        writeln!(out, "{:?} {devices:?}", begun.map(|entry| entry.words()))?;
        writeln!(out, "{saved:?} {filled:?}")?;
        let none = Collection {
            target: None,
            head: NIL,
        };
        for (n, collection) in collections.iter().enumerate() {
            if *collection != none {
                writeln!(out, "{n} {collection:?}")?;
            }
        }
        Ok(())
    }
}
