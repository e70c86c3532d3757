// SPDX-License-Identifier: GPL-2.0-only
//! What was measured: a row for each operation, with what it costs each vGIC.

/// The unit of the rows that callgrind counts.
pub const INSTRUCTIONS: &str = "instructions";

/// What one vGIC needs for a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// In the row's unit.
    pub value: f64,
    /// Of one operation, where the unit is instructions.
    pub nanoseconds: Option<f64>,
}

/// A row of the table: ours, then the peers, as [`Table::peers`] has them. None: it cannot do that.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub hot: bool,
    pub unit: String,
    pub ours: Option<Cost>,
    pub peers: Vec<Option<Cost>>,
}

/// All that was measured.
#[derive(Debug)]
pub struct Table {
    pub peers: Vec<&'static str>,
    pub rows: Vec<Row>,
}

impl Row {
    /// Ours as a part of the better peer's, by value and by time.
    pub fn ratios(&self) -> (Option<f64>, Option<f64>) {
        let against = |of: fn(&Cost) -> Option<f64>| {
            let peers = self.peers.iter().flatten().filter_map(of);
            let better = peers
                .min_by(f64::total_cmp)
                .filter(|better| *better > 0.0)?;
            Some(self.ours.as_ref().and_then(of)? / better)
        };
        (against(|c| Some(c.value)), against(|c| c.nanoseconds))
    }
}
