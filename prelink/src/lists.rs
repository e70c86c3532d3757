// SPDX-License-Identifier: GPL-2.0-only
//! The checked-in lists: plain text, one entry per line, `#` begins a comment.

use crate::panics::Reached;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// Names of symbols.
#[derive(Debug, Default)]
pub struct SymbolList {
    /// In the order of the file.
    pub names: Vec<String>,
}

/// A panic that may be reached, by anyone or by one caller.
#[derive(Debug)]
struct Allowed {
    function: String,
    caller: Option<String>,
}

/// Panics that may be reached, each with its reason in the file.
#[derive(Debug, Default)]
pub struct PanicList {
    allowed: Vec<Allowed>,
}

impl SymbolList {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<SymbolList> {
        Self::parse(&text(path)?).with_context(|| path.display().to_string())
    }

    /// Reads a text.
    pub fn parse(text: &str) -> Result<SymbolList> {
        let mut names = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let name = line.split('#').next().unwrap_or("").trim();
            if name.contains(char::is_whitespace) {
                bail!("line {number} has more than one symbol");
            }
            if !name.is_empty() {
                names.push(name.to_owned());
            }
        }
        Ok(SymbolList { names })
    }

    /// Is this symbol on the list?
    pub fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name)
    }
}

impl PanicList {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<PanicList> {
        Self::parse(&text(path)?).with_context(|| path.display().to_string())
    }

    /// Reads lines of the form `FUNCTION [<- CALLER] # REASON`.
    pub fn parse(text: &str) -> Result<PanicList> {
        let mut allowed = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let (entry, reason) = line.split_once('#').unwrap_or((line, ""));
            let entry = entry.trim();
            if entry.is_empty() {
                continue;
            }
            if reason.trim().is_empty() {
                bail!("line {number} gives no reason: FUNCTION [<- CALLER] # REASON");
            }
            let (function, caller) = match entry.split_once("<-") {
                Some((f, c)) => (f.trim(), Some(c.trim().to_owned())),
                None => (entry, None),
            };
            allowed.push(Allowed {
                function: function.to_owned(),
                caller,
            });
        }
        Ok(PanicList { allowed })
    }

    /// Compares with what is reached: what is not allowed, and which entries allow nothing any more.
    pub fn compare(&self, reached: &[Reached]) -> (Vec<String>, Vec<String>) {
        let covers = |entry: &Allowed, function: &str, caller: &str| {
            entry.function == function && entry.caller.as_deref().is_none_or(|c| c == caller)
        };
        let mut problems = Vec::new();
        for r in reached {
            for caller in &r.callers {
                if !self.allowed.iter().any(|a| covers(a, &r.function, caller)) {
                    problems.push(format!("panic: {} <- {caller}", r.function));
                }
            }
        }
        let used = |entry: &&Allowed| {
            reached
                .iter()
                .any(|r| r.callers.iter().any(|c| covers(entry, &r.function, c)))
        };
        let stale = self
            .allowed
            .iter()
            .filter(|a| !used(a))
            .map(|a| match &a.caller {
                Some(c) => format!("{} <- {c}", a.function),
                None => a.function.clone(),
            })
            .collect();
        (problems, stale)
    }
}

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_are_no_symbols() {
        let list = SymbolList::parse("# SPDX\n\nvgic_inject_irq # the heart\nprintk\n").unwrap();
        assert_eq!(list.names, ["vgic_inject_irq", "printk"]);
        assert!(list.contains("printk") && !list.contains("print"));
        assert!(SymbolList::parse("two words\n").is_err());
    }

    #[test]
    fn a_panic_needs_a_reason() {
        assert!(PanicList::parse("core::panicking::panic_fmt\n").is_err());
        assert!(PanicList::parse("# only a comment\n").is_ok());
    }

    #[test]
    fn panics_are_compared_both_ways() {
        let list = PanicList::parse(
            "core::panicking::panic_fmt <- a::b # bounded by the type\ncore::cell::panic_already_borrowed # gone\n",
        )
        .unwrap();
        let reached = [Reached {
            function: "core::panicking::panic_fmt".into(),
            callers: vec!["a::b".into(), "a::c".into()],
        }];
        let (problems, stale) = list.compare(&reached);
        assert_eq!(problems, ["panic: core::panicking::panic_fmt <- a::c"]);
        assert_eq!(stale, ["core::cell::panic_already_borrowed"]);
    }
}
