// SPDX-License-Identifier: GPL-2.0-only
//! Tables: those at the end of a boot, and what all of them look like.

use crate::boot::checks::Verdict;
use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, presets};

/// Prints the checks and the interrupts of one boot.
pub fn print(title: &str, machine: &str, verdict: &Verdict) {
    println!("\n{title}\n({machine})");
    println!("{}", checks(verdict));
    if !verdict.changes.is_empty() {
        println!("{}", changes(verdict));
    }
}

/// A table of numbers, each row with its name first.
pub fn numbers<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> Table {
    let mut table = empty();
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    right(&mut table, 1..N);
    table
}

pub fn empty() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}

pub fn right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in table
        .column_iter_mut()
        .skip(columns.start)
        .take(columns.len())
    {
        column.set_cell_alignment(CellAlignment::Right);
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
