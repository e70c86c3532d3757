// SPDX-License-Identifier: GPL-2.0-only
//! The `log` crate's messages on Xen's console.

use crate::ffi;
use core::fmt::{self, Write};
use log::{LevelFilter, Log, Metadata, Record};

/// One message, put together on the stack: messages come from any context. What does not fit is cut off.
pub struct Line {
    text: [u8; 256],
    len: usize,
}

impl Line {
    pub const fn new() -> Self {
        Self {
            text: [0; 256],
            len: 0,
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = self.text.get_mut(self.len..).unwrap_or_default();
        let n = room.len().min(s.len());
        for (to, from) in room.iter_mut().zip(s.bytes()) {
            *to = from;
        }
        self.len = self.len.saturating_add(n);
        Ok(())
    }
}

/// Console output as it is, for dumps: passed on line by line.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        // SAFETY: pointer and length of one string.
        unsafe { ffi::rvgic_print(s.as_ptr().cast(), s.len()) }
        Ok(())
    }
}

struct Printk;

impl Log for Printk {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut line = Line::new();
        let _ = line.write_fmt(*record.args());
        let text = line.as_bytes();
        // SAFETY: pointer and length of one slice.
        unsafe { ffi::rvgic_log(record.level() as _, text.as_ptr().cast(), text.len()) }
    }

    fn flush(&self) {}
}

/// From now on messages appear. May be called more than once.
pub fn init() {
    // It fails if there is a logger already: this one, or one of the program that runs the mock Xen.
    if log::set_logger(&Printk).is_ok() {
        // The rest is for Xen to decide, by guest_loglvl.
        log::set_max_level(LevelFilter::Debug);
    }
}
