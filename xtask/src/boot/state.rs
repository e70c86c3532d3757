// SPDX-License-Identifier: GPL-2.0-only
//! Domains whose interrupt controller is saved and restored, reset, or kept through a suspend, while they are alive (guest/life/state.c):
//! what must come of it.

use crate::boot::arguments::{Plant, StateArguments};
use crate::boot::bare;
use crate::boot::guest_report::GuestReport;
use crate::boot::life;
use crate::boot::machine::Run;
use crate::boot::verdict::{Check, Verdict};

/// The test guest has more cases than this, whatever its interrupt controller is.
const FEWEST: u32 = 90;

/// The two checks of copies.
const SAVED: &str = "vGIC saved, reset and restored";
const COUNTED: &str = "... as the guest counts";

/// What Dom0's program says must be that it has done it so often.
fn program(dom0: &GuestReport, what: &str, n: u32, name: &str) -> Check {
    let (at, said) = dom0.said(&format!("{what}-state:")).unzip();
    let result = life::ok(said, &format!("{n} {what}, "));
    let name = name.to_owned();
    Check { name, result, at }
}

/// The test guest's results, each with its time.
fn results(run: &Run) -> Vec<(f64, (u32, u32))> {
    let of = |line| bare::said(line).and_then(bare::counts);
    let all = run.lines.iter();
    all.filter_map(|line| Some((line.at, of(line)?))).collect()
}

/// What the test guest says must be that everything came once; `why` is what it says that did not.
pub fn copied(results: &[(f64, (u32, u32))], why: Option<&str>) -> Result<String, String> {
    match (results, why) {
        ([(_, (1, 0))], _) => Ok("the guest says so too".to_owned()),
        ([], _) => Err("the guest did not come to its end".to_owned()),
        (_, Some(why)) => Err(why.to_owned()),
        (_, None) => Err("the guest has counted something else".to_owned()),
    }
}

/// Why the test guest says that its counts are not right.
fn miscounted(run: &Run) -> Option<&str> {
    let mut said = run.lines.iter().filter_map(bare::said);
    said.find_map(|text| text.strip_prefix("FAIL counts: "))
}

/// How often something was sent and taken, by the test guest's words.
fn sent_and_taken(why: &str) -> Option<(u32, u32)> {
    let (_, counts) = why.split_once(" was sent ")?;
    let (sent, taken) = counts.split_once(" times and taken ")?;
    let taken = taken.strip_suffix(" times")?;
    Some((sent.parse().ok()?, taken.parse().ok()?))
}

/// Whether both sides have noticed what was planted, and all else held: the checks that fail are those, and say it.
pub fn noticed(plant: Plant, verdict: &Verdict) -> Result<String, String> {
    let other = |check: &&Check| ![SAVED, COUNTED].contains(&check.name.as_str());
    if let Some(check) = verdict
        .checks
        .iter()
        .filter(other)
        .find(|c| c.result.is_err())
    {
        let why = check.result.as_ref().err().map_or("", String::as_str);
        return Err(format!("{}: {why}", check.name));
    }
    let said = |name| {
        let check = verdict.checks.iter().find(|check| check.name == name);
        check.and_then(|check| check.result.as_ref().err())
    };
    let (Some(dom0), Some(guest)) = (said(SAVED), said(COUNTED)) else {
        return Err(format!("nobody has noticed the {plant} that was planted"));
    };
    let off = match (plant, sent_and_taken(guest)) {
        (Plant::Loss, Some((sent, taken))) => sent.checked_sub(taken),
        (Plant::Double, Some((sent, taken))) => taken.checked_sub(sent),
        (_, None) => None,
    };
    let seen = [
        "a message is lost, after ",
        "what was sent once has come twice, after ",
        "the guest has counted something else",
    ];
    if off != Some(1) || !seen.iter().any(|words| dom0.starts_with(words)) {
        return Err(format!(
            "a {plant} was planted, and something else was seen: {dom0}; {guest}"
        ));
    }
    Ok(guest.clone())
}

/// It must have run once more than it was reset, and all its cases pass each time.
pub fn anew(results: &[(f64, (u32, u32))], resets: u32) -> Result<String, String> {
    let Some((_, (first, _))) = results.first() else {
        return Err("the guest did not come to its end".to_owned());
    };
    let mut rest = results.iter().map(|(_, counts)| *counts);
    if let Some((n, (passed, failed))) = rest.by_ref().enumerate().find(|(_, c)| *c != (*first, 0))
    {
        return Err(format!(
            "{passed} cases passed and {failed} failed after {n} resets; {first} passed before any"
        ));
    }
    if results.len() != resets as usize + 1 || *first < FEWEST {
        return Err(format!(
            "it ran {} times, {first} cases each",
            results.len()
        ));
    }
    Ok(format!(
        "{first} cases passed, each of {} times",
        results.len()
    ))
}

/// Each round of a DomU's: it slept once, and then both its CPUs ticked.
pub fn suspended(said: Option<&str>, n: u32) -> Result<String, String> {
    let said = said.ok_or_else(|| "it did not report of it".to_owned())?;
    let wanted = format!("{n} times success={n} fail=0 online=0-1 still=0 lost=0");
    match said.strip_prefix(&wanted) {
        Some(rest) => Ok(format!("{n} times,{}", rest.trim_end())),
        None => Err(said.to_owned()),
    }
}

/// Judges all that was asked for; `domus` are the Linux guests, with their numbers.
pub fn judge(
    run: &Run,
    state: &StateArguments,
    dom0: &GuestReport,
    domus: &[(u32, &GuestReport)],
) -> Vec<Check> {
    let mut checks = Vec::new();
    let results = results(run);
    let at = results.last().map(|(at, _)| *at);
    if state.copies > 0 {
        checks.push(program(dom0, "copies", state.copies, SAVED));
        let result = copied(&results, miscounted(run));
        let name = COUNTED.to_owned();
        checks.push(Check { name, result, at });
    }
    if state.resets > 0 {
        let name = "Test guest reset and begun anew";
        checks.push(program(dom0, "resets", state.resets, name));
        let result = anew(&results, state.resets);
        let name = "... and each time as the first".to_owned();
        checks.push(Check { name, result, at });
    }
    if state.suspends > 0 {
        let count = u32::try_from(domus.len()).unwrap_or(u32::MAX);
        let total = state.suspends.saturating_mul(count);
        checks.push(program(dom0, "suspends", total, "DomUs resumed"));
        for (n, domu) in domus {
            let (at, said) = domu.said("suspended").unzip();
            let name = format!("DomU {n} suspends and resumes");
            let result = suspended(said, state.suspends);
            checks.push(Check { name, result, at });
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::console::{Line, Speaker};
    use crate::boot::machine::End;

    fn asked(copies: u32, resets: u32, suspends: u32) -> StateArguments {
        StateArguments {
            copies,
            resets,
            suspends,
            plant: None,
        }
    }

    /// The checks of a boot with these lines of Dom0's, the DomU's and the test guest's.
    fn checks(state: &StateArguments, dom0: &[&str], domu: &[&str], guest: &[&str]) -> Vec<Check> {
        let by = |speaker, text: &&str| Line {
            speaker,
            text: (*text).to_owned(),
            at: 1.0,
        };
        let lines = dom0.iter().map(|text| by(Speaker::Dom0, text));
        let lines = lines.chain(domu.iter().map(|text| by(Speaker::DomU(1), text)));
        let lines = lines.chain(guest.iter().map(|text| by(Speaker::DomU(2), text)));
        let run = Run {
            lines: lines.collect(),
            end: End::Off,
            seconds: 2.0,
            complaints: String::new(),
        };
        let of = |speaker| GuestReport::collect(&run.lines, speaker);
        let (dom0, domu) = (of(Speaker::Dom0), of(Speaker::DomU(1)));
        judge(&run, state, &dom0, &[(1, &domu)])
    }

    /// What fails of it.
    fn failures(
        state: &StateArguments,
        dom0: &[&str],
        domu: &[&str],
        guest: &[&str],
    ) -> Vec<String> {
        let checks = checks(state, dom0, domu, guest).into_iter();
        checks.filter_map(|check| check.result.err()).collect()
    }

    /// What is made of a planted fault where Dom0 and the test guest have said this, and another check has had this result.
    fn planted(
        plant: Plant,
        dom0: &str,
        guest: &[&str],
        other: Result<String, String>,
    ) -> Result<String, String> {
        let dom0 = format!("MARK dom0 copies-state: {dom0}");
        let mut checks = checks(&asked(3, 0, 0), &[&dom0], &[], guest);
        checks.push(Check {
            name: "Dom0 CPUs".to_owned(),
            result: other,
            at: None,
        });
        let changes = Vec::new();
        noticed(plant, &Verdict { checks, changes })
    }

    #[test]
    fn copies_are_judged_by_both_sides() {
        let state = asked(100, 0, 0);
        let dom0 = "MARK dom0 copies-state: ok 100 copies, of 9000 bytes at last";
        let guest = ["PASS counts", "guest: 1 passed, 0 failed"];
        assert_eq!(failures(&state, &[dom0], &[], &guest), [""; 0]);
        let fewer = dom0.replace("ok 100", "ok 99");
        assert_eq!(failures(&state, &[&fewer], &[], &guest).len(), 1);
        let lost = "MARK dom0 copies-state: FAILED a line that rose is lost";
        let found = failures(&state, &[lost], &[], &guest);
        assert_eq!(found, ["a line that rose is lost"]);
        assert_eq!(failures(&state, &[], &[], &[]).len(), 2);
        let counted = ["guest: 0 passed, 1 failed"];
        assert_eq!(failures(&state, &[dom0], &[], &counted).len(), 1);
        let other = "MARK dom0 resets-state: ok 100 copies, of 9000 bytes at last";
        assert_eq!(failures(&state, &[other], &[], &guest).len(), 1);
    }

    #[test]
    fn a_planted_fault_must_be_noticed_by_both_sides_and_as_what_it_is() {
        let fine = || Ok("4".to_owned());
        let end = "guest: 0 passed, 1 failed";
        let lost = "FAILED a message is lost, after 1 copies: 2, expected 3; CPUs 0 and 1 have";
        let other = "FAILED the guest has counted something else: see its console";
        let twice = "FAILED what was sent once has come twice, after 1 copies: 3, expected 2; CPUs";
        let fewer = "FAIL counts: SPI 2 was sent 8 times and taken 7 times";
        let more = "FAIL counts: the other domain's message was sent 8 times and taken 9 times";
        for (plant, dom0, guest) in [
            (Plant::Loss, lost, fewer),
            (Plant::Loss, other, fewer),
            (Plant::Double, twice, more),
            (Plant::Double, other, more),
        ] {
            let found = planted(plant, dom0, &[guest, end], fine());
            assert_eq!(found.as_deref().ok(), guest.strip_prefix("FAIL counts: "));
            assert!(planted(plant, dom0, &[guest, end], Err(String::new())).is_err());
        }
        let good = "ok 3 copies, of 9000 bytes at last";
        let counted = ["PASS counts", "guest: 1 passed, 0 failed"];
        let two = fewer.replace("taken 7", "taken 6");
        for (dom0, guest, word) in [
            (good, counted.as_slice(), "nobody"),
            (lost, &counted, "nobody"),
            (good, &[fewer, end], "nobody"),
            (other, &[more, end], "something else"),
            (other, &[two.as_str(), end], "something else"),
            (other, &[end], "something else"),
            (other, &[], "something else"),
            ("FAILED save the vGIC: error 16", &[fewer, end], "error 16"),
        ] {
            let found = planted(Plant::Loss, dom0, guest, fine()).unwrap_err();
            assert!(found.contains(word), "{found}");
        }
        let found = planted(Plant::Double, other, &[fewer, end], fine());
        assert!(found.unwrap_err().contains("something else"));
    }

    #[test]
    fn after_each_reset_all_cases_pass() {
        let state = asked(0, 2, 0);
        let dom0 = ["MARK dom0 resets-state: ok 2 resets, after each of which"];
        let good = "guest: 168 passed, 0 failed";
        assert_eq!(failures(&state, &dom0, &[], &[good; 3]), [""; 0]);
        assert_eq!(failures(&state, &dom0, &[], &[good; 2]).len(), 1);
        assert_eq!(failures(&state, &dom0, &[], &[good; 4]).len(), 1);
        assert_eq!(failures(&state, &[], &[], &[good; 3]).len(), 1);
        assert_eq!(failures(&state, &dom0, &[], &[]).len(), 1);
        for bad in ["guest: 167 passed, 1 failed", "guest: 167 passed, 0 failed"] {
            let found = failures(&state, &dom0, &[], &[good, bad, good]);
            assert!(
                found.len() == 1 && found[0].contains("after 1 resets"),
                "{found:?}"
            );
        }
        let none = "guest: 1 passed, 0 failed";
        assert_eq!(failures(&state, &dom0, &[], &[none; 3]).len(), 1);
    }

    #[test]
    fn each_suspend_must_be_slept_through() {
        let state = asked(0, 0, 20);
        let dom0 = ["MARK dom0 suspends-state: ok 20 suspends, each of them resumed"];
        let domu = "MARK domU1 suspended 20 times success=20 fail=0 online=0-1 still=0 lost=0 ticks 900 800";
        assert_eq!(failures(&state, &dom0, &[domu], &[]), [""; 0]);
        for (what, other) in [
            ("20 times", "19 times"),
            ("success=20", "success=2"),
            ("fail=0", "fail=1"),
            ("online=0-1", "online=0"),
            ("still=0", "still=1"),
            ("lost=0", "lost=2"),
        ] {
            let said = domu.replace(what, other);
            assert_eq!(failures(&state, &dom0, &[&said], &[]).len(), 1, "{said}");
        }
        assert_eq!(failures(&state, &[], &[domu], &[]).len(), 1);
        assert_eq!(failures(&state, &dom0, &[], &[]).len(), 1);
    }

    #[test]
    fn the_test_guest_does_one_thing() {
        assert_eq!(asked(100, 0, 20).problem(1, 0), None);
        assert!(asked(100, 20, 0).problem(1, 0).is_some());
        assert!(asked(100, 0, 0).problem(1, 10).is_some());
        assert!(asked(0, 0, 2).problem(0, 0).is_some());
        assert!(asked(10_001, 0, 0).problem(1, 0).is_some());
        assert_eq!(asked(0, 0, 2).bootargs(None), None);
        let said = asked(0, 2, 0).bootargs(Some("limits=1,2,3"));
        assert_eq!(said.as_deref(), Some("resets=2 limits=1,2,3"));
        let mut planted = asked(3, 0, 0);
        assert!(!planted.dom0(0).contains("plant"));
        planted.plant = Some(Plant::Loss);
        assert_eq!(planted.problem(0, 0), None);
        assert!(planted.dom0(0).ends_with(" plant=loss"));
    }
}
