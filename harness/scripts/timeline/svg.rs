// SPDX-License-Identifier: GPL-2.0-only
//! The drawing as SVG.

use super::lanes::Look;
use crate::notes::Lives;
use std::fmt::Write;

/// Pixels of a column, of a lane, and of the names on the left.
const COLUMN: usize = 8;
const LANE: usize = 22;
const NAMES: usize = 90;
const HEADER: usize = 40;

const LEGEND: [(&str, &str); 3] = [
    ("#f2d0a4", "queued"),
    ("#588b8b", "in a list register"),
    ("#c8553d", "active"),
];

fn colour(look: Look) -> Option<&'static str> {
    let n = match look {
        Look::Idle => return None,
        Look::Queued => 0,
        Look::Loaded => 1,
        Look::Active => 2,
    };
    Some(LEGEND[n].0)
}

impl Lives {
    /// The drawing as SVG.
    pub fn svg(&self) -> String {
        let lanes = self.lanes();
        let width = NAMES + self.events.len() * COLUMN + 20;
        let height = HEADER + lanes.len() * LANE + 10;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        for (n, (fill, name)) in LEGEND.iter().enumerate() {
            let x = 10 + n * 140;
            // Writing to a string does not fail.
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"10\" width=\"12\" height=\"12\" fill=\"{fill}\"/>"
            );
            let _ = writeln!(out, "<text x=\"{}\" y=\"20\">{name}</text>", x + 18);
        }
        for (n, lane) in lanes.iter().enumerate() {
            let y = HEADER + n * LANE;
            let name = lane.name();
            let _ = writeln!(out, "<text x=\"10\" y=\"{}\">{name}</text>", y + 13);
            for bar in &lane.bars {
                let x = NAMES + bar.from * COLUMN;
                if let Some(fill) = colour(bar.look()) {
                    let w = (bar.to - bar.from) * COLUMN;
                    let _ = writeln!(
                        out,
                        "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"16\" fill=\"{fill}\"/>"
                    );
                }
                let (moment, step) = (bar.event.moment, bar.event.step);
                let _ = writeln!(
                    out,
                    "<line x1=\"{x}\" y1=\"{y}\" x2=\"{x}\" y2=\"{}\" stroke=\"black\"><title>{moment:?}, step {step}</title></line>",
                    y + 16
                );
            }
        }
        out.push_str("</svg>\n");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::two_lives;

    #[test]
    fn lives_are_drawn_as_svg() {
        let svg = two_lives().svg();
        assert_eq!(
            svg.matches("<line").count(),
            6,
            "one for each thing that happened"
        );
        // Active from the fourth column to the last but one, beside the legend's square.
        assert!(
            svg.contains("<rect x=\"114\" y=\"62\" width=\"16\" height=\"16\" fill=\"#c8553d\"/>"),
            "{svg}"
        );
        assert!(svg.ends_with("</svg>\n"));
    }
}
