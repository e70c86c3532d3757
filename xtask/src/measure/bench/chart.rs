// SPDX-License-Identifier: GPL-2.0-only
//! The hot rows as bars: each vGIC's as a part of the better C peer's, in SVG.

use super::costs::Table;
use std::fmt::Write;

const COLOURS: [&str; 3] = ["#c8553d", "#588b8b", "#f2d0a4"];
/// Pixels: the names on the left, what a ratio of 1 is long, a bar, and what is above the first row.
const NAMES: usize = 290;
const ONE: f64 = 220.0;
const BAR: usize = 9;
const HEADER: usize = 40;
/// Longer bars end here, with their number.
const MOST: f64 = 2.5;

/// The drawing.
pub(super) fn svg(table: &Table) -> String {
    let rows: Vec<_> = table
        .rows
        .iter()
        .filter(|row| row.hot && row.ratios().0.is_some())
        .collect();
    let names: Vec<&str> = ["ours"]
        .into_iter()
        .chain(table.peers.iter().copied())
        .collect();
    let lane = names.len() * BAR + 8;
    let (width, height) = (
        NAMES + (MOST * ONE) as usize + 70,
        HEADER + rows.len() * lane + 10,
    );
    let mut out = format!(
        "<!-- SPDX-License-Identifier: GPL-2.0-only -->\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (n, (name, fill)) in names.iter().zip(COLOURS).enumerate() {
        let x = 10 + n * 90;
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"10\" width=\"12\" height=\"12\" fill=\"{fill}\"/>\n<text x=\"{}\" y=\"20\">{name}</text>",
            x + 18
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{NAMES}\" y=\"20\">instructions, the better C vGIC's being 1</text>"
    );
    for (n, row) in rows.iter().enumerate() {
        let y = HEADER + n * lane;
        let _ = writeln!(out, "<text x=\"10\" y=\"{}\">{}</text>", y + 14, row.name);
        let costs: Vec<_> = [row.ours]
            .into_iter()
            .chain(row.peers.iter().copied())
            .collect();
        let peers = costs.iter().skip(1).flatten().map(|c| c.value);
        let better = peers.fold(f64::INFINITY, f64::min);
        for (place, (cost, fill)) in costs.iter().zip(COLOURS).enumerate() {
            let Some(cost) = cost else { continue };
            let part = cost.value / better;
            let long = part.min(MOST) * ONE;
            let y = y + place * BAR;
            let _ = writeln!(
                out,
                "<rect x=\"{NAMES}\" y=\"{y}\" width=\"{long:.0}\" height=\"{BAR}\" fill=\"{fill}\"/>"
            );
            if place == 0 || part > MOST {
                let x = NAMES as f64 + long + 4.0;
                let _ = writeln!(
                    out,
                    "<text x=\"{x:.0}\" y=\"{}\" font-size=\"9\">{part:.2}</text>",
                    y + BAR - 1
                );
            }
        }
    }
    out.push_str("</svg>\n");
    out
}
