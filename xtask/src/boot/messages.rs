// SPDX-License-Identifier: GPL-2.0-only
//! What a Linux DomU says of what messages are sent to: the ITS with its tables and those of LPIs, or the GICv2m frame.

use crate::boot::arguments::{DOMU_CPUS, Gic};
use crate::boot::console::{Line, Speaker};
use crate::boot::verdict::Check;

/// What is looked for in DomU `n`'s console, each in a line of its own.
fn wanted(gic: Gic) -> Vec<(String, Vec<String>)> {
    let all = |name: &str, parts: &[&str]| {
        let parts = parts.iter().map(|part| (*part).to_owned());
        (name.to_owned(), parts.collect())
    };
    if gic == Gic::V2 {
        return vec![all(
            "GICv2m frame",
            &["GICv2m: range[mem 0x08020000-0x08020fff], SPI["],
        )];
    }
    let mut wanted = vec![
        all("ITS", &["ITS [mem 0x08080000-0x0809ffff]"]),
        all("ITS's device table", &["ITS@0x", "allocated", " Devices @"]),
        all(
            "ITS's collection table",
            &["ITS@0x", "allocated", " Interrupt Collections @"],
        ),
        all(
            "LPI property table",
            &["GICv3: using LPI property table @0x"],
        ),
    ];
    for cpu in 0..DOMU_CPUS {
        let name = format!("LPI pending table of CPU {cpu}");
        let text = format!("CPU{cpu}: using allocated LPI pending table @0x");
        wanted.push((name, vec![text]));
    }
    wanted
}

/// Whether DomU `n` has found it all.
pub fn judge(lines: &[Line], n: u32, gic: Gic) -> Vec<Check> {
    let own = || lines.iter().filter(|line| line.speaker == Speaker::DomU(n));
    let judged = wanted(gic).into_iter().map(|(name, parts)| {
        let found = own().find(|line| parts.iter().all(|part| line.text.contains(part)));
        let said = found.map(|line| (line.at, message(&line.text)));
        Check::of(
            format!("DomU {n} {name}"),
            said,
            "the kernel did not say so",
        )
    });
    judged.collect()
}

/// A kernel's line without its time stamp.
fn message(text: &str) -> String {
    let text = text.trim();
    let stamped = text.strip_prefix('[').and_then(|t| t.split_once("] "));
    stamped.map_or(text, |(_, rest)| rest).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.12 says it.
    const SAID: [&str; 6] = [
        "[    0.000000] ITS [mem 0x08080000-0x0809ffff]",
        "[    0.000000] ITS@0x0000000008080000: allocated 65536 Devices @43980000 (indirect, esz 8, psz 64K, shr 1)",
        "[    0.000000] ITS@0x0000000008080000: allocated 8192 Interrupt Collections @43990000 (flat, esz 8, psz 64K, shr 1)",
        "[    0.000000] GICv3: using LPI property table @0x00000000439a0000",
        "[    0.000000] GICv3: CPU0: using allocated LPI pending table @0x00000000439b0000",
        "[    0.006000] GICv3: CPU1: using allocated LPI pending table @0x00000000439c0000",
    ];

    fn failures(said: &[&str], speaker: Speaker) -> usize {
        let lines: Vec<Line> = said
            .iter()
            .map(|text| Line {
                speaker,
                text: (*text).to_owned(),
                at: 1.0,
            })
            .collect();
        let checks = judge(&lines, 1, Gic::V3);
        checks.iter().filter(|check| check.result.is_err()).count()
    }

    #[test]
    fn each_line_is_missed() {
        assert_eq!(failures(&SAID, Speaker::DomU(1)), 0);
        for missing in SAID {
            let others: Vec<&str> = SAID.into_iter().filter(|said| *said != missing).collect();
            assert_eq!(failures(&others, Speaker::DomU(1)), 1);
        }
        assert_eq!(
            failures(&SAID, Speaker::Dom0),
            SAID.len(),
            "of another domain"
        );
    }
}
