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
