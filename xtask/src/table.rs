// SPDX-License-Identifier: GPL-2.0-only
//! What all tables look like.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, presets};

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
