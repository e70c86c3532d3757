// SPDX-License-Identifier: GPL-2.0-only
//! What was seen of each operation of a script, as text for another process to read: a line for each.

use crate::scripts::play::{Seen, Stage};
use anyhow::{Result, anyhow};
use recording::Recording;
use std::fmt;
use std::str::FromStr;

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Value(value) => write!(f, "value {value}"),
            Self::Aborted => f.write_str("aborted"),
            Self::Undefined => f.write_str("undefined"),
            Self::Taken(iar) => write!(f, "taken {iar}"),
            Self::Signal(on) => write!(f, "signal {on}"),
            Self::Away => f.write_str("away"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl FromStr for Seen {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Ok(match word {
            "done" => Self::Done,
            "value" => Self::Value(rest.parse()?),
            "aborted" => Self::Aborted,
            "undefined" => Self::Undefined,
            "taken" => Self::Taken(rest.parse()?),
            "signal" => Self::Signal(rest.parse()?),
            "away" => Self::Away,
            "unknown" => Self::Unknown,
            _ => return Err(anyhow!("`{line}` is no line of a transcript")),
        })
    }
}

/// Plays a script on the vGIC of this process; `each` gets what is seen, as it is seen.
///
/// # Errors
/// If there can be no such domain, or if Xen would have crashed, hung or failed an assertion.
pub fn write(script: &Recording, mut each: impl FnMut(Seen)) -> Result<()> {
    let mut stage = Stage::new(&script.head)?;
    for op in &script.ops {
        each(stage.play(op));
    }
    let reports = stage.end();
    if reports.is_empty() {
        Ok(())
    } else {
        Err(anyhow!("{}", reports.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_round_trips() {
        for seen in [
            Seen::Done,
            Seen::Value(u64::MAX),
            Seen::Aborted,
            Seen::Undefined,
            Seen::Taken(1023),
            Seen::Signal(true),
            Seen::Away,
            Seen::Unknown,
        ] {
            assert_eq!(seen.to_string().parse::<Seen>().expect("a line"), seen);
        }
        assert!("thread 'main' panicked".parse::<Seen>().is_err());
    }
}
