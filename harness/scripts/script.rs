// SPDX-License-Identifier: GPL-2.0-only
//! Plays scripts that say what must be seen, and the ones that come with the harness: `scenarios/*.vgic`.

use crate::machine::profile::Profile;
use crate::notes;
use crate::scripts::play::Stage;
use crate::scripts::steps::{Actor, Said};
use crate::xen::peer;
use anyhow::{Context, Result, anyhow, bail};
use recording::its::{MEMORY, MEMORY_SIZE};
use recording::script::{Scene, What};
use recording::text::{Machine, Script};
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};

/// A script with a name.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    text: &'static str,
}

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        /// The scenarios, in the order of their names.
        pub const SCENARIOS: &[Scenario] = &[
            $(Scenario { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".vgic")) }),*
        ];
    };
}

scenarios!(
    "active-elsewhere",
    "backlog",
    "cpu-off-on",
    "dir-after-isactiver",
    "dir-elsewhere",
    "dir-mode-set-late",
    "eoimode-1",
    "expect-abort",
    "held-kick",
    "level-resampled",
    "lpi",
    "one-of-n",
    "one-of-n-targets",
    "other-group",
    "preemption",
    "retarget",
    "sgi",
    "sgi-senders",
    "timer-masked",
);

impl Scenario {
    /// The one of this name.
    pub fn find(name: &str) -> Option<Self> {
        SCENARIOS.iter().copied().find(|s| s.name == name)
    }

    /// What it shows: its first comment.
    pub fn about(&self) -> &'static str {
        let comment = self.text.lines().filter_map(|line| line.strip_prefix("# "));
        comment
            .clone()
            .find(|line| !line.starts_with("SPDX"))
            .unwrap_or_default()
    }

    /// It, for each version of the GIC.
    ///
    /// # Errors
    /// If it is no script.
    pub fn versions(&self) -> Result<Vec<Scene>> {
        parse(self.text).with_context(|| self.file())
    }

    fn file(&self) -> String {
        format!("scenarios/{}.vgic", self.name)
    }
}

/// More is no text that a person has written.
const MOST_BYTES: u64 = 16 << 20;

/// A scenario of the list, or a file: how it is called, and what it is for each version of the GIC.
///
/// # Errors
/// If there is none, or it is no script.
pub fn open(name: &str) -> Result<(String, Vec<Scene>)> {
    if let Some(scenario) = Scenario::find(name) {
        return Ok((scenario.file(), scenario.versions()?));
    }
    let file = File::open(name).map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!("there is no scenario {name}: `list` shows those that come with this, and a path is taken, too"),
        _ => anyhow!("{name}: it cannot be opened ({error})"),
    })?;
    let scenes = read(file).and_then(|text| parse(&text));
    Ok((name.to_owned(), scenes.with_context(|| name.to_owned())?))
}

fn read(file: impl Read) -> Result<String> {
    let mut bytes = Vec::new();
    let size = file.take(MOST_BYTES + 1).read_to_end(&mut bytes);
    if size.context("it cannot be read")? as u64 > MOST_BYTES {
        bail!("it has more than {MOST_BYTES} bytes, which is no script");
    }
    if bytes.starts_with(b"vgicrec") {
        bail!("this is a recording: `replay` plays it");
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at]
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        anyhow!("line {line}: this is no UTF-8, and a script is text")
    })
}

fn parse(text: &str) -> Result<Vec<Scene>> {
    Ok(Script::parse(text, machine)?.versions)
}

/// What a script must know of a machine that it names.
fn machine(name: &str) -> Result<Machine, String> {
    let profile = Profile::find(name).ok_or_else(|| {
        let names = Profile::TABLE.map(|profile| profile.name);
        format!("there is no machine of this name: {}", names.join(", "))
    })?;
    let other = if profile.gic == 3 { 2 } else { 3 };
    let gics = [profile.gic, other];
    Ok(Machine {
        gics: gics.into_iter().filter(|gic| profile.runs(*gic)).collect(),
        itses: profile.itses as u8,
        most_itses: profile.its_frames.len() as u8,
    })
}

/// The machine that a script is played on.
pub fn profile(scene: &Scene) -> Profile {
    let choice = &scene.machine;
    let named = choice.name.as_deref().and_then(Profile::find);
    let base = match (named, scene.head.gic) {
        (Some(named), _) => named,
        (None, 2) => Profile::GICV2,
        (None, _) => Profile::GICV3,
    };
    let itses = choice.itses.map_or(base.itses, usize::from);
    let spis = usize::from(scene.head.spis);
    Profile {
        lrs: choice.lrs.map_or(base.lrs, usize::from),
        tds: choice.tds.unwrap_or(base.tds),
        // A machine without a name has what the domain needs.
        spis: named.map_or(spis.max(32), |named| named.spis.max(spis)),
        espis: base.espis.max(choice.espis.into()),
        itses: itses.min(base.its_frames.len()),
        ..base
    }
}

/// What is said of a line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Its number; none if it is about the whole.
    pub line: Option<usize>,
    pub what: String,
    /// Is it not as the script says? Else it is what was seen.
    pub wrong: bool,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{line}: {}", self.what),
            None => write!(f, " at the end: {}", self.what),
        }
    }
}

/// Plays a script to its end; each remark is told at once.
///
/// # Errors
/// If there can be no such domain.
pub fn play_and_tell(scene: &Scene, mut tell: impl FnMut(Remark)) -> Result<()> {
    let profile = profile(scene);
    let stage = Stage::on_machine(profile, &scene.head, scene.machine.espis.into())?;
    // LPIs have their tables there.
    stage.domain().add_memory(MEMORY, MEMORY_SIZE);
    let mut actor = Actor::new(stage, scene);
    let place = format!(
        "({}, GICv{}, {})",
        profile.name,
        scene.head.gic,
        peer::called()
    );
    for line in &scene.lines {
        notes::line(line.number, &line.text);
        for step in &line.steps {
            // Of several it is to be known which.
            let text = match step.what {
                What::Op(op) if line.steps.len() > 1 => format!("{} (`{op}`)", line.text),
                _ => line.text.clone(),
            };
            let mut remark = |what: String, wrong| {
                tell(Remark {
                    line: Some(line.number),
                    what: format!("{text}: {what}"),
                    wrong,
                });
            };
            match actor.play(step) {
                Said::Nothing => {}
                Said::Seen(what) => remark(what, false),
                Said::Wrong(what) => remark(format!("{what} {place}"), true),
            }
            if let Some(log) = actor.log() {
                remark(format!("the vGIC logs: {log}"), false);
            }
        }
    }
    for what in actor.stage.end() {
        tell(Remark {
            line: None,
            what: format!("{what} {place}"),
            wrong: true,
        });
    }
    Ok(())
}

/// Plays a script to its end; what was not as it should have been, first of all in the script.
///
/// # Errors
/// If there can be no such domain.
pub fn play(scene: &Scene) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    play_and_tell(scene, |remark| {
        if remark.wrong {
            wrong.push(format!("line {remark}"));
        }
    })?;
    Ok(wrong)
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
