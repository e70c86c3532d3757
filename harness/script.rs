// SPDX-License-Identifier: GPL-2.0-only
//! Plays scripts that say what must be seen, and the ones that come with the harness: `scenarios/*.vgic`.

use crate::play::{Stage, disappointment};
use anyhow::{Context, Result};
use recording::text::Script;
use recording::{Op, Recording};

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
            $(Scenario { name: $name, text: include_str!(concat!("../scenarios/", $name, ".vgic")) }),*
        ];
    };
}

scenarios!(
    "active-elsewhere",
    "backlog",
    "cpu-off-on",
    "eoimode-1",
    "level-resampled",
    "preemption",
    "retarget",
    "sgi",
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

    /// Its operations, for each version of the GIC.
    ///
    /// # Errors
    /// If it is no script.
    pub fn versions(&self) -> Result<Vec<Recording>> {
        let script: Script = self
            .text
            .parse()
            .with_context(|| format!("scenarios/{}.vgic", self.name))?;
        Ok(script.versions)
    }
}

/// Plays a script to its end; what was not as it should have been, first of all in the script.
///
/// # Errors
/// If there can be no such domain.
pub fn play(script: &Recording) -> Result<Vec<String>> {
    let mut stage = Stage::new(&script.head)?;
    let mut wrong = Vec::new();
    for (n, op) in script.ops.iter().enumerate() {
        wrong.extend(disappointment(op, stage.play(op)).map(|what| place(script, n, &what)));
    }
    wrong.extend(stage.end());
    Ok(wrong)
}

/// What was before, so that the place can be found: a script has no line numbers once it is parsed.
fn place(script: &Recording, n: usize, what: &str) -> String {
    let before = script.ops[n.saturating_sub(2)..n].iter().map(Op::to_string);
    let before: Vec<String> = before.collect();
    format!("{what} (after `{}`)", before.join("`, `"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_ends_as_it_says() {
        for scenario in SCENARIOS {
            assert!(!scenario.about().is_empty(), "{}", scenario.name);
            for script in scenario.versions().expect("a script") {
                let wrong = play(&script).expect("a domain");
                assert!(
                    wrong.is_empty(),
                    "{}, GICv{}: {wrong:#?}",
                    scenario.name,
                    script.head.gic
                );
            }
        }
    }

    #[test]
    fn every_file_of_scenarios_has_its_name_in_the_list() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let files = std::fs::read_dir(directory).expect("a directory");
        let names: std::collections::BTreeSet<String> = files
            .map(|f| {
                f.expect("a file")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        let listed = SCENARIOS
            .iter()
            .map(|s| format!("{}.vgic", s.name))
            .collect();
        assert_eq!(names, listed);
    }

    #[test]
    fn what_is_not_as_said_is_told() {
        let wrong = |text: &str| {
            let script: Script = text.parse().expect("a script");
            play(&script.versions[0]).expect("a domain").join("\n")
        };
        let boot = "gic 2\nboot\nedge 0 40\nenable 0 40\n";
        assert_eq!(wrong(boot), "");
        let text = wrong(&format!("{boot}line 40 up\nack 0 41\n"));
        assert!(
            text.starts_with(
                "`ack 0 41`: interrupt 41 was expected, and there was interrupt 40 (after `"
            ),
            "{text}"
        );
        assert!(wrong(&format!("{boot}signal 0 yes\n")).contains("there was no signal"));
        assert!(
            wrong(&format!("{boot}read 0 GICD_ISENABLER1 0x101\n"))
                .contains("0x101 was expected, and there was 0x100")
        );
        assert!(wrong(&format!("{boot}read 0 GICD+0x2000\n")).contains("a data abort"));
        assert!(wrong(&format!("{boot}wait 0\nack 0 40\n")).contains("a vCPU that does not run"));
    }
}
