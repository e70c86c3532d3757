// SPDX-License-Identifier: GPL-2.0-only
//! The table on the terminal, and as JSON.

use super::costs::{Cost, INSTRUCTIONS, Row, Table};
use crate::table::{empty, right};
use std::fmt::Write;

/// A number as a person reads it.
fn number(value: f64) -> String {
    if value >= 1000.0 {
        format!("{value:.0}")
    } else {
        let text = format!("{value:.1}");
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    }
}

fn cell(cost: Option<&Cost>) -> String {
    cost.map_or("-".into(), |c| number(c.value))
}

fn ratio(value: Option<f64>) -> String {
    value.map_or("-".into(), |r| format!("{r:.2}"))
}

/// The table: the unit where it is not instructions, a star for what is hot.
pub(super) fn table(table: &Table) -> String {
    let mut out = empty();
    let mut header = vec!["", "row", "ours"];
    header.extend(&table.peers);
    header.extend(["ratio", "of time"]);
    let columns = header.len();
    out.set_header(header);
    for row in &table.rows {
        let (value, time) = row.ratios();
        let unit = if row.unit == INSTRUCTIONS {
            String::new()
        } else {
            format!(" ({})", row.unit)
        };
        let mut cells = vec![
            if row.hot { "*" } else { "" }.to_owned(),
            format!("{}{unit}", row.name),
            cell(row.ours.as_ref()),
        ];
        cells.extend(row.peers.iter().map(|p| cell(p.as_ref())));
        cells.extend([ratio(value), ratio(time)]);
        out.add_row(cells);
    }
    right(&mut out, 2..columns);
    out.to_string()
}

/// `{"rows":[{"name","hot","ours","peers":{},"ratio"}]}`; what a vGIC cannot do is null.
pub(super) fn json(table: &Table) -> String {
    let rows: Vec<String> = table
        .rows
        .iter()
        .map(|row| json_row(row, &table.peers))
        .collect();
    format!("{{\"rows\":[{}]}}", rows.join(","))
}

fn json_number(value: Option<f64>) -> String {
    value.map_or("null".into(), |v| {
        format!("{}", (v * 1000.0).round() / 1000.0)
    })
}

fn json_row(row: &Row, peers: &[&str]) -> String {
    let value = |cost: &Option<Cost>| json_number(cost.as_ref().map(|c| c.value));
    let mut name = row.name.clone();
    if row.unit != INSTRUCTIONS {
        let _ = write!(name, " ({})", row.unit);
    }
    let named: Vec<String> = peers
        .iter()
        .zip(&row.peers)
        .map(|(peer, cost)| format!("{peer:?}:{}", value(cost)))
        .collect();
    format!(
        "{{\"name\":{name:?},\"hot\":{},\"ours\":{},\"peers\":{{{}}},\"ratio\":{}}}",
        row.hot,
        value(&row.ours),
        named.join(","),
        json_number(row.ratios().0)
    )
}
