// SPDX-License-Identifier: GPL-2.0-only
//! The words of a line.

use crate::head::Error;
use crate::names;
use crate::op::Size;
use std::iter::Peekable;
use std::str::SplitWhitespace;

/// What follows `read` and `write`.
pub(crate) const WIDTHS: [(&str, Size); 4] = [
    ("8", Size::Byte),
    ("16", Size::Half),
    ("", Size::Word),
    ("64", Size::Double),
];
/// Those of [`SysReg::ALL`](crate::SysReg::ALL).
pub(crate) const SYSREGS: [&str; 4] = ["sgi1r", "asgi1r", "sgi0r", "icc_dir"];
/// Those of [`Field::ALL`](crate::Field::ALL).
pub(crate) const FIELDS: [&str; 6] = ["pmr", "group0", "group1", "eoimode", "bpr0", "bpr1"];

/// The words that a line of the head begins with, each with a line for an example.
pub(crate) const HEAD: [(&str, &str); 10] = [
    ("gic", "gic 2 3"),
    ("vcpus", "vcpus 2"),
    ("spis", "spis 64"),
    ("espis", "espis 32"),
    ("lrs", "lrs 4"),
    ("hardware", "hardware 42 level"),
    ("origin", "origin a laptop"),
    ("machine", "machine server"),
    ("tds", "tds 1"),
    ("itses", "itses 1"),
];

/// Those that a step begins with. `read`, `write`, `its` and `msi` may have a number after them.
pub(crate) const STEPS: [(&str, &str); 46] = [
    ("write", "write 0 GICD_CTLR 0x1"),
    ("read", "read 0 GICD_CTLR 0x1"),
    ("sgi1r", "sgi1r 0 0x3000002"),
    ("asgi1r", "asgi1r 0 0x3000002"),
    ("sgi0r", "sgi0r 0 0x3000002"),
    ("icc_dir", "icc_dir 0 40"),
    ("ICC_SGI1R_EL1", "ICC_SGI1R_EL1 0 0x3000002"),
    ("ICC_ASGI1R_EL1", "ICC_ASGI1R_EL1 0 0x3000002"),
    ("ICC_SGI0R_EL1", "ICC_SGI0R_EL1 0 0x3000002"),
    ("ICC_DIR_EL1", "ICC_DIR_EL1 0 40"),
    ("line", "line 40 up"),
    ("ppi", "ppi 0 27 up"),
    ("vtimer", "vtimer 0 expire"),
    ("ack", "ack 0 40"),
    ("ack0", "ack0 0 40"),
    ("ack1", "ack1 0 40"),
    ("eoi", "eoi 0 40"),
    ("eoi0", "eoi0 0 40"),
    ("eoi1", "eoi1 0 40"),
    ("dir", "dir 0 40"),
    ("set", "set 0 pmr 0xf0"),
    ("signal", "signal 0 yes"),
    ("boot", "boot"),
    ("init", "init 0"),
    ("enable", "enable 0 40"),
    ("disable", "disable 0 40"),
    ("priority", "priority 0 40 0x80"),
    ("route", "route 0 40 1"),
    ("edge", "edge 0 40"),
    ("level", "level 0 40"),
    ("sgi", "sgi 0 1 3"),
    ("exit", "exit 0"),
    ("preempt", "preempt 0"),
    ("resume", "resume 0"),
    ("migrate", "migrate 0"),
    ("wait", "wait 0"),
    ("off", "off 1"),
    ("on", "on 1"),
    ("hold", "hold 0"),
    ("release", "release 0"),
    ("lpis", "lpis"),
    ("lpi", "lpi 8192 0xa0"),
    ("its", "its 0 MAPTI 0x108 0 8192 1"),
    ("msi", "msi 0x108 0"),
    ("memory", "memory read64 0x100000000"),
    ("dump", "dump"),
];

/// The example of a line that begins with this word.
pub(crate) fn example(key: &str) -> Option<&'static str> {
    let of = |key: &str| {
        let mut all = HEAD.iter().chain(&STEPS);
        all.find(|(word, _)| *word == key).map(|(_, line)| *line)
    };
    let number = |c: char| c.is_ascii_digit();
    of(key).or_else(|| match key.trim_end_matches(number) {
        word @ ("write" | "read" | "its" | "msi") => of(word),
        _ => None,
    })
}

/// What to say of a line that begins with no such word.
pub(crate) fn unknown(key: &str) -> Error {
    let lower = key.to_lowercase();
    let near = |(word, _): &&(&str, &str)| distance(&lower, word) <= 1 + word.len() / 5;
    let mut all = HEAD.iter().chain(&STEPS).filter(near);
    let what = match all.next() {
        Some((word, _)) => format!("is `{word}` meant?"),
        None => "scenarios/README.md has the words".to_owned(),
    };
    Error::new(format!("there is no {}: {what}", quote(key)))
}

/// How many letters are to be changed, put in or left out to make one word of another; of long words many.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 20 {
        return a.len();
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (n, x) in a.chars().enumerate() {
        let mut last = n + 1;
        let mut next = vec![last];
        for ((y, diagonal), above) in b.chars().zip(&row).zip(row.iter().skip(1)) {
            let changed = diagonal + usize::from(x != y);
            last = changed.min(above + 1).min(last + 1);
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// The words of a line after the first.
pub(crate) struct Words<'a>(Peekable<SplitWhitespace<'a>>);

impl<'a> Words<'a> {
    pub(crate) fn of(line: &'a str) -> Self {
        Self(line.split_whitespace().peekable())
    }

    pub(crate) fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    /// Whether the next word is this one, which is passed then.
    pub(crate) fn passes(&mut self, word: &str) -> bool {
        self.0.next_if_eq(&word).is_some()
    }

    /// The next word, which stays.
    pub(crate) fn peek(&mut self) -> Option<&'a str> {
        self.0.peek().copied()
    }

    pub(crate) fn word(&mut self, what: &str) -> Result<&'a str, Error> {
        let word = self.next();
        word.ok_or_else(|| Error::new(format!("{what} is missing")))
    }

    pub(crate) fn number<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T, Error> {
        let word = self.word(what)?;
        parse_number(word, what)
    }

    /// A number, if there is one more word.
    pub(crate) fn known<T: TryFrom<u64>>(&mut self, what: &str) -> Result<Option<T>, Error> {
        self.next().map(|w| parse_number(w, what)).transpose()
    }

    pub(crate) fn one_of<T: Copy>(&mut self, what: &str, all: &[(&str, T)]) -> Result<T, Error> {
        let word = self.word(what)?;
        choose(word, what, all)
    }

    pub(crate) fn up(&mut self) -> Result<bool, Error> {
        self.one_of("up or down", &[("up", true), ("down", false)])
    }

    pub(crate) fn end(mut self) -> Result<(), Error> {
        match self.next() {
            Some(word) => Err(Error::new(format!("{} is one word too many", quote(word)))),
            None => Ok(()),
        }
    }
}

/// A word as a message has it: short, and without what a terminal would act on.
pub(crate) fn quote(word: &str) -> String {
    let mut short: String = word.chars().take(40).collect();
    if short.len() < word.len() {
        short.push('…');
    }
    let printed: String = short
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    format!("`{printed}`")
}

pub(crate) fn parse_number<T: TryFrom<u64>>(word: &str, what: &str) -> Result<T, Error> {
    let n = names::number(word).and_then(|n| T::try_from(n).ok());
    n.ok_or_else(|| Error::new(format!("{} is not {what}", quote(word))))
}

pub(crate) fn choose<T: Copy>(word: &str, what: &str, all: &[(&str, T)]) -> Result<T, Error> {
    let found = all.iter().find(|(name, _)| *name == word);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| Error::new(format!("{} is not {what}", quote(word))))
}
