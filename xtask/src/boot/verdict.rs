// SPDX-License-Identifier: GPL-2.0-only
//! What is said about one boot in the end: each check, how each interrupt's count has changed, and both as tables.

use crate::table::{empty, right};
use comfy_table::Table;

/// One thing that was checked.
pub struct Check {
    /// What.
    pub name: String,
    /// What was found, or what is wrong.
    pub result: Result<String, String>,
    /// When it was seen, in seconds from the start of the machine.
    pub at: Option<f64>,
}

impl Check {
    /// One of something that a machine says: when and what it said, or what is wrong if it did not.
    pub fn of(name: impl Into<String>, found: Option<(f64, String)>, missing: &str) -> Self {
        let (at, result) = match found {
            Some((at, text)) => (Some(at), Ok(text)),
            None => (None, Err(missing.to_owned())),
        };
        Self {
            name: name.into(),
            result,
            at,
        }
    }
}

/// How an interrupt's count has changed over the time that was watched.
pub struct Change {
    /// The guest.
    pub guest: String,
    /// The interrupt.
    pub name: String,
    /// Its count before.
    pub before: u64,
    /// Its count after.
    pub after: u64,
}

/// Everything that is said about one boot.
pub struct Verdict {
    /// The checks, in order.
    pub checks: Vec<Check>,
    /// The interrupts, before and after.
    pub changes: Vec<Change>,
}

impl Verdict {
    /// The first check that failed.
    pub fn failure(&self) -> Option<&Check> {
        self.checks.iter().find(|c| c.result.is_err())
    }
}

/// Prints the checks and the interrupts of one boot.
pub fn print(title: &str, machine: &str, verdict: &Verdict) {
    println!("\n{title}\n({machine})");
    println!("{}", checks(verdict));
    if !verdict.changes.is_empty() {
        println!("{}", changes(verdict));
    }
}

fn checks(verdict: &Verdict) -> Table {
    let mut table = empty();
    table.set_header(["check", "", "found", "at (s)"]);
    for check in &verdict.checks {
        let (sign, text) = match &check.result {
            Ok(text) => ("ok", text),
            Err(text) => ("FAILED", text),
        };
        let at = check.at.map_or(String::new(), |s| format!("{s:.1}"));
        table.add_row([check.name.as_str(), sign, text, &at]);
    }
    right(&mut table, 3..4);
    table
}

fn changes(verdict: &Verdict) -> Table {
    let mut table = empty();
    table.set_header(["guest", "/proc/interrupts", "before", "after", "change"]);
    for change in &verdict.changes {
        table.add_row([
            change.guest.clone(),
            change.name.clone(),
            change.before.to_string(),
            change.after.to_string(),
            format!("+{}", change.after.saturating_sub(change.before)),
        ]);
    }
    right(&mut table, 2..5);
    table
}
