// SPDX-License-Identifier: GPL-2.0-only
#![doc = include_str!("../../scenarios/README.md")]

use crate::driver::FIRST_ESPI;
use crate::head::{Error, HardwareLine, Head, MAX_SPIS};
use crate::script::{Choice, Line, Scene};
use crate::steps::{self, Domain};
use crate::words::{HEAD, Words, example, quote};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

/// A script, which may be for both versions of the GIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What it is for each version, the lower first.
    pub versions: Vec<Scene>,
}

/// What a script must know of a machine that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Versions of the GIC that a guest can have on it, its own first.
    pub gics: Vec<u8>,
    /// ITSes that it has.
    pub itses: u8,
    /// ITSes that it has room for.
    pub most_itses: u8,
}

/// More steps are no script of a person's.
pub const MAX_STEPS: usize = 1 << 20;

/// Characters of a line that a message has.
const SHOWN: usize = 100;

/// The head while it is read.
struct Setup<'a> {
    head: Head,
    choice: Choice,
    gics: Vec<u8>,
    /// Where each of its words is: a line's number, from 0 on.
    lines: BTreeMap<&'a str, usize>,
}

/// Which machine has this name.
type Find<'a> = &'a dyn Fn(&str) -> Result<Machine, String>;

fn at(line: usize, error: impl Display) -> Error {
    Error::new(format!("line {}: {error}", line + 1))
}

/// What is wrong with a line, and how one is right that begins with the same word.
fn at_word(line: usize, key: &str, error: &Error) -> Error {
    match example(key) {
        Some(right) => at(line, format!("{error} (example: `{right}`)")),
        None => at(line, error),
    }
}

impl<'a> Setup<'a> {
    fn new() -> Self {
        Self {
            head: Head::small(3),
            choice: Choice::default(),
            gics: Vec::new(),
            lines: BTreeMap::new(),
        }
    }

    /// Reads a line of the head; false if it is the first step.
    fn line(&mut self, n: usize, key: &'a str, words: &mut Words<'a>) -> Result<bool, Error> {
        if HEAD.iter().all(|(word, _)| *word != key) {
            return Ok(false);
        }
        if let Some(first) = self.lines.insert(key, n)
            && key != "hardware"
        {
            let what = format!("`{key}` is in line {} already", first + 1);
            return Err(Error::new(what));
        }
        let head = &mut self.head;
        match key {
            "gic" => {
                self.gics = vec![words.number("2 or 3")?];
                self.gics.extend(words.known::<u8>("2 or 3")?);
                self.gics.sort_unstable();
                self.gics.dedup();
            }
            "vcpus" => head.vcpus = words.number("a number of vCPUs, 1 to 128")?,
            "spis" => head.spis = words.number(&format!("a number of SPIs, 0 to {MAX_SPIS}"))?,
            "lrs" => {
                head.lrs = words.number("a number of list registers, 1 to 16")?;
                self.choice.lrs = Some(head.lrs);
            }
            "hardware" => {
                let line = HardwareLine {
                    intid: words.number("an INTID")?,
                    level: words.one_of("level or edge", &[("level", true), ("edge", false)])?,
                };
                head.hardware.push(line);
            }
            "machine" => self.choice.name = Some(words.word("a machine's name")?.to_owned()),
            "tds" => {
                let bit = words.one_of("0 or 1", &[("0", false), ("1", true)])?;
                self.choice.tds = Some(bit);
            }
            "espis" => {
                self.choice.espis = words.number("a number of extended SPIs, 0 to 1024")?;
            }
            "itses" => self.choice.itses = Some(words.number("a number of ITSes")?),
            _ => {
                let all: Vec<&str> = std::iter::from_fn(|| words.next()).collect();
                head.origin = all.join(" ");
            }
        }
        Ok(true)
    }

    /// An error of the line that has this word.
    fn wrong(&self, word: &str, what: String) -> Error {
        match self.lines.get(word) {
            Some(line) => at(*line, what),
            None => Error::new(what),
        }
    }

    /// The versions, and the ITSes of each; all that can be said of the head is said.
    fn finish(&mut self, find: Find) -> Result<u8, Error> {
        let named = match &self.choice.name {
            Some(name) => Some(find(name).map_err(|e| self.wrong("machine", e))?),
            None => None,
        };
        if self.gics.is_empty() {
            let own = named.as_ref().and_then(|m| m.gics.first());
            self.gics = vec![own.copied().unwrap_or(3)];
        }
        for &gic in &self.gics {
            let head = Head {
                gic,
                ..self.head.clone()
            };
            if let Some((word, what)) = head.fault() {
                return Err(self.wrong(word, what));
            }
            if let (Some(machine), Some(name)) = (&named, &self.choice.name)
                && !machine.gics.contains(&gic)
            {
                let what = format!("{name} has no GICv{gic} for guests");
                return Err(self.wrong("machine", what));
            }
        }
        let espis = self.choice.espis;
        let wrong = if espis > 1024 {
            Some("of at most 1024: their INTIDs are 4096 to 5119 (IHI 0069 2.2)")
        } else if !espis.is_multiple_of(32) {
            Some("of which there are multiples of 32: GICD_TYPER.ESPI_range counts these")
        } else if espis > 0 && self.gics.contains(&2) {
            Some("and a GICv2 has none: say `gic 3`")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            return Err(self.wrong("espis", format!("{espis} extended SPIs, {wrong}")));
        }
        let beyond = |l: &&HardwareLine| l.intid >= FIRST_ESPI + u32::from(espis);
        if let Some(HardwareLine { intid, .. }) = self.head.hardware.iter().find(beyond) {
            let what = match espis {
                0 => format!(
                    "INTID {intid} is no SPI here: extended SPIs are there if the head says `espis`"
                ),
                n => format!(
                    "INTID {intid} is no SPI here: the domain has {n} extended ones, from {FIRST_ESPI} on"
                ),
            };
            return Err(self.wrong("hardware", what));
        }
        let Some(itses) = self.choice.itses else {
            return Ok(named.map_or(0, |m| m.itses));
        };
        if itses > 0 && self.gics.contains(&2) {
            let what = "a GICv2 has no ITS: say `gic 3`".to_owned();
            return Err(self.wrong("itses", what));
        }
        let machine = named.map_or_else(|| find("virt-v3"), Ok);
        let most = machine.map_or(0, |m| m.most_itses);
        if itses > most {
            let what = format!("{itses} ITSes: the machine has room for {most}");
            return Err(self.wrong("itses", what));
        }
        Ok(itses)
    }
}

impl Script {
    /// Reads a script; `find` knows the machines, and says which there are if there is none of a name.
    ///
    /// # Errors
    /// The line that is wrong, and what is wrong with it; or that nothing happens in the script.
    pub fn parse(
        text: &str,
        find: impl Fn(&str) -> Result<Machine, String>,
    ) -> Result<Self, Error> {
        let script = Self::read(text, &find)?;
        for scene in &script.versions {
            let mut seen = BTreeSet::new();
            if let Some(twice) = scene.head.hardware.iter().find(|l| !seen.insert(l.intid)) {
                let what = format!("`hardware {}` is there twice", twice.intid);
                return Err(Error::new(what));
            }
        }
        if script.versions.iter().any(|scene| scene.lines.is_empty()) {
            return Err(Error::new(
                "nothing happens in it: a script has steps, one to a line, of which `boot` may be the first",
            ));
        }
        Ok(script)
    }

    fn read(text: &str, find: Find) -> Result<Self, Error> {
        let mut setup = Setup::new();
        let mut body: Vec<(usize, &str)> = Vec::new();
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .enumerate()
            .filter(|(_, line)| !line.is_empty());
        for (n, line) in lines {
            if body.is_empty() {
                let mut words = Words::of(line);
                let key = words.word("a word")?;
                let of_head = setup.line(n, key, &mut words);
                if of_head.map_err(|e| at_word(n, key, &e))? {
                    words.end().map_err(|e| at_word(n, key, &e))?;
                    continue;
                }
            }
            body.push((n, line));
        }
        let itses = setup.finish(find)?;
        let scene = |gic: &u8| {
            let head = Head {
                gic: *gic,
                ..setup.head.clone()
            };
            let itses = if *gic == 3 { itses } else { 0 };
            Ok(Scene {
                lines: steps_of(
                    &Domain {
                        head: &head,
                        itses,
                        espis: setup.choice.espis,
                    },
                    &body,
                )?,
                machine: setup.choice.clone(),
                head,
            })
        };
        Ok(Self {
            versions: setup.gics.iter().map(scene).collect::<Result<_, _>>()?,
        })
    }
}

fn steps_of(domain: &Domain, body: &[(usize, &str)]) -> Result<Vec<Line>, Error> {
    let first = body.first().map_or(0, |(n, _)| *n);
    let mut left = MAX_STEPS;
    let line = |&(n, line): &(usize, &str)| {
        let mut words = Words::of(line);
        let key = words.word("a word")?;
        if HEAD.iter().any(|(word, _)| *word == key) {
            let first = first + 1;
            let what = "comes first: put it before the first step, which is in line";
            return Err(at(n, format!("`{key}` {what} {first}")));
        }
        let steps = || {
            let steps = domain.steps(key, &mut words)?;
            words.end()?;
            let check = |step| steps::check(domain.head, step);
            steps.iter().try_for_each(check)?;
            Ok(steps)
        };
        let steps = steps().map_err(|e: Error| at_word(n, key, &e))?;
        left = left.checked_sub(steps.len()).ok_or_else(|| {
            at(
                n,
                format!("more than {MAX_STEPS} steps, of which `boot` has hundreds"),
            )
        })?;
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(Line {
            number: n + 1,
            text: words.join(" ").chars().take(SHOWN).collect(),
            steps,
        })
    };
    body.iter().map(line).collect()
}

impl FromStr for Script {
    type Err = Error;

    /// The same as [`Script::parse`] without machines, for scripts that a program has written.
    ///
    /// # Errors
    /// The line that is wrong, and what is wrong with it.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::read(text, &|name| {
            Err(format!("there is no machine {}", quote(name)))
        })
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
