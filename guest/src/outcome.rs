// SPDX-License-Identifier: GPL-2.0-only
//! What a case ends with.

use crate::console::println;
use core::fmt::{self, Arguments, Display, Write};

/// A line of text without an allocator; what does not fit is cut off.
#[derive(Clone, Copy)]
pub struct Text {
    bytes: [u8; 108],
    length: u32,
}

impl Text {
    pub fn new(arguments: Arguments) -> Text {
        let mut text = Text {
            bytes: [0; 108],
            length: 0,
        };
        // It always succeeds.
        let _ = text.write_fmt(arguments);
        text
    }
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for &byte in part.as_bytes() {
            if let Some(place) = self.bytes.get_mut(self.length as usize) {
                *place = byte;
                self.length += 1;
            }
        }
        Ok(())
    }
}

impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let bytes = self.bytes.get(..self.length as usize).unwrap_or_default();
        f.write_str(core::str::from_utf8(bytes).unwrap_or("(not text)"))
    }
}

/// Why a case did not pass.
#[derive(Clone, Copy)]
pub enum Stop {
    /// What was seen is not what the architecture says.
    Fail(Text),
    /// The architecture makes it optional, and it is not there.
    Skip(Text),
}

pub type Outcome<T = ()> = Result<T, Stop>;

/// How many cases passed, and how many failed.
#[derive(Default)]
pub struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    /// Says how one ended.
    pub fn count(&mut self, name: &str, outcome: Outcome) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("PASS {name}");
            }
            Err(Stop::Skip(why)) => println!("SKIP {name}: {why}"),
            Err(Stop::Fail(why)) => {
                self.failed += 1;
                println!("FAIL {name}: {why}");
            }
        }
    }

    /// Those that passed, and those that failed.
    pub fn result(&self) -> (u32, u32) {
        (self.passed, self.failed)
    }
}

/// Ends the case with a failure.
macro_rules! fail {
    ($($word:tt)*) => {
        return Err($crate::outcome::Stop::Fail($crate::outcome::Text::new(format_args!($($word)*))))
    };
}
/// Ends the case: it does not apply here.
macro_rules! skip {
    ($($word:tt)*) => {
        return Err($crate::outcome::Stop::Skip($crate::outcome::Text::new(format_args!($($word)*))))
    };
}
/// Ends the case with a failure unless the condition holds.
macro_rules! check {
    ($condition:expr, $($word:tt)*) => { if !$condition { $crate::outcome::fail!($($word)*) } };
}
/// Ends the case with a failure unless both values are the same.
macro_rules! check_eq {
    ($what:expr, $seen:expr, $wanted:expr) => {{
        let (seen, wanted) = ($seen, $wanted);
        if seen != wanted {
            $crate::outcome::fail!("{}: {:#x}, expected {:#x}", $what, seen, wanted)
        }
    }};
}
pub(crate) use {check, check_eq, fail, skip};
