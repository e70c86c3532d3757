// SPDX-License-Identifier: GPL-2.0-only
//! The drawing as text.

use super::lanes::{Lane, Look, sign};
use crate::notes::Lives;
use std::fmt::Write;

/// Columns of a block.
const WIDTH: usize = 100;

fn filling(look: Look) -> char {
    match look {
        Look::Active => '#',
        Look::Loaded => '=',
        Look::Queued => '-',
        Look::Idle => ' ',
    }
}

/// A lane from one column to before another.
fn row(lane: &Lane, from: usize, to: usize) -> String {
    let mut row = vec![' '; to - from];
    for bar in &lane.bars {
        for column in bar.from.max(from)..bar.to.min(to) {
            row[column - from] = if column == bar.from {
                sign(bar.event.moment)
            } else {
                filling(bar.look())
            };
        }
    }
    row.into_iter().collect()
}

impl Lives {
    /// The drawing as text.
    pub fn text(&self) -> String {
        let lanes = self.lanes();
        let mut out = String::from(
            "i injected  - queued  q queued again  l loaded  = in a list register  A acknowledged  # active  E ended  d line down\n",
        );
        let width = lanes.iter().map(|l| l.name().len()).max().unwrap_or(0);
        for (n, block) in self.events.chunks(WIDTH).enumerate() {
            let first = n * WIDTH;
            let ends = block.first().zip(block.last());
            let (from, to) = ends.map_or((0, 0), |(first, last)| (first.step, last.step));
            // Writing to a string does not fail.
            let _ = writeln!(out, "\nsteps {from} to {to}");
            for lane in &lanes {
                let row = row(lane, first, first + block.len());
                if !row.trim().is_empty() {
                    let _ = writeln!(out, "{:width$}  {}", lane.name(), row.trim_end());
                }
            }
        }
        if self.left_out != 0 {
            let _ = writeln!(out, "\nand {} more things happened", self.left_out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{lives, two_lives};
    use super::*;
    use crate::notes::Moment::{Acknowledged, Ended, Injected};

    #[test]
    fn lives_are_drawn_as_text() {
        let text = two_lives().text();
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            ["steps 10 to 70", "27 vCPU 1   i--d", "40         i-lA#E",]
        );
    }

    #[test]
    fn a_long_life_is_drawn_in_blocks() {
        let all: Vec<_> = (0..=WIDTH)
            .map(|n| (if n % 2 == 0 { Acknowledged } else { Ended }, Some(0), 40))
            .collect();
        assert_eq!(lives(&all).text().matches("steps").count(), 2);
    }

    #[test]
    fn a_life_ends_with_its_machine() {
        let mut all = lives(&[(Injected, None, 40), (Injected, None, 41)]);
        all.machine("another");
        all.push(Injected, None, 41, None);
        let text = all.text();
        assert!(text.contains("40  i-\n41   ii\n"), "{text}");
    }
}
