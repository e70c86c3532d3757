// SPDX-License-Identifier: GPL-2.0-only
//! A storm of interrupts of Dom0's disk (guest/life/storm.c), and how much of its CPU another domain has meanwhile.

use crate::boot::console::{Line, Speaker};
use crate::boot::guest_report::mark;
use crate::boot::verdict::Check;

/// What the first DomU counts in a time: rounds, and milliseconds of its own clock.
#[derive(Default, Clone, Copy)]
struct Counted {
    rounds: u64,
    ms: u64,
}

impl Counted {
    /// Its lines between two moments of the console's.
    fn between(lines: &[Line], from: f64, to: f64) -> Option<Counted> {
        let mut sum = Counted::default();
        // The first began before.
        for line in lines.iter().filter(|l| from < l.at && l.at < to).skip(1) {
            sum.rounds += number_before(&line.text, "rounds")?;
            sum.ms += number_before(&line.text, "ms")?;
        }
        (sum.ms > 0).then_some(sum)
    }

    fn each_second(self) -> u64 {
        self.rounds * 1000 / self.ms
    }
}

/// The number before a word.
fn number_before(text: &str, word: &str) -> Option<u64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let pair = words.windows(2).find(|pair| pair[1] == word)?;
    pair[0].parse().ok()
}

/// What became of it.
pub fn judge(lines: &[Line]) -> Check {
    let said = |word: &str| {
        let found = lines.iter().find(|line| {
            line.speaker == Speaker::Dom0
                && mark(&line.text).is_some_and(|mark| mark.split(' ').next() == Some(word))
        })?;
        Some((found.at, mark(&found.text)?.to_owned()))
    };
    let counts: Vec<Line> = lines
        .iter()
        .filter(|line| {
            line.speaker == Speaker::DomU(1)
                && mark(&line.text).is_some_and(|mark| mark.starts_with("counted "))
        })
        .cloned()
        .collect();
    let taken = said("taken").and_then(|(_, text)| number_before(&text, "interrupts"));
    let (Some(quiet), Some(begin), Some(end)) = (said("quiet"), said("storms"), said("storm:"))
    else {
        return Check::of("Storm", None, "Dom0 did not report of it");
    };
    let at = Some(end.0);
    let result = match end.1.strip_prefix("storm: ok ") {
        None => Err(end.1.clone()),
        Some(requests) => {
            let calm = Counted::between(&counts, quiet.0, begin.0);
            let storm = Counted::between(&counts, begin.0, end.0);
            match calm.zip(storm).zip(taken) {
                Some(((calm, storm), taken)) if calm.rounds > 0 => Ok(format!(
                    "{requests}, {taken} interrupts; DomU 1 counts {} rounds a second, {} before: {} %",
                    storm.each_second(),
                    calm.each_second(),
                    storm.each_second() * 100 / calm.each_second().max(1)
                )),
                _ => Err("DomU 1 or Dom0 did not count before it and in it".to_owned()),
            }
        }
    };
    Check {
        name: "Storm".into(),
        result,
        at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(speaker: Speaker, at: f64, text: &str) -> Line {
        Line {
            speaker,
            at,
            text: text.to_owned(),
        }
    }

    #[test]
    fn what_a_domain_has_left_is_compared_with_what_it_had() {
        let counted = |at, rounds| {
            let text = format!("MARK domU1 counted {rounds} rounds in 1000 ms");
            line(Speaker::DomU(1), at, &text)
        };
        let dom0 = |at, text: &str| line(Speaker::Dom0, at, &format!("MARK dom0 {text}"));
        let mut lines = vec![
            counted(0.5, 10),
            dom0(1.0, "quiet for 3 s"),
            counted(1.5, 7),
            counted(2.5, 200),
            counted(3.5, 200),
            dom0(4.0, "storms for 3 s"),
            counted(4.5, 150),
            counted(5.5, 50),
            counted(6.5, 50),
        ];
        lines.push(dom0(6.9, "taken 12 interrupts"));
        assert!(judge(&lines).result.is_err());
        lines.push(dom0(7.0, "storm: ok 300 requests in 3000 ms"));
        let text = judge(&lines).result.unwrap();
        assert_eq!(
            text,
            "300 requests in 3000 ms, 12 interrupts; DomU 1 counts 50 rounds a second, 200 before: 25 %"
        );
        let silent: Vec<Line> = lines.drain(..).filter(|l| l.at != 5.5).collect();
        let silent: Vec<Line> = silent.into_iter().filter(|l| l.at != 6.5).collect();
        assert!(judge(&silent).result.is_err());
    }

    #[test]
    fn a_storm_that_failed_is_a_failure() {
        let dom0 = |at, text: &str| line(Speaker::Dom0, at, &format!("MARK dom0 {text}"));
        let lines = [
            dom0(1.0, "quiet for 3 s"),
            dom0(4.0, "storms for 3 s"),
            dom0(5.0, "storm: FAILED open the disk: error 2"),
        ];
        assert!(judge(&lines).result.unwrap_err().contains("open the disk"));
    }
}
