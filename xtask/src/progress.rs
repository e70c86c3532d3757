// SPDX-License-Identifier: GPL-2.0-only
//! What a person sees while something takes its time: a bar or a spinner on a terminal, plain lines elsewhere.

use crate::interrupt;
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a line says how far a step is where there is no terminal.
const EVERY: Duration = Duration::from_secs(30);

/// One step of the work, with the time it has taken so far.
pub struct Step {
    bar: Option<ProgressBar>,
    title: String,
    started: Instant,
    now: RefCell<Now>,
    ended: bool,
}

/// How far it is, and when that was last said.
struct Now {
    text: String,
    said: Instant,
}

impl Step {
    /// Shows that a step has begun.
    pub fn start(title: impl Into<String>) -> Step {
        Step::begin(title.into(), None)
    }

    /// Shows that a step has begun that takes more than a minute: about how many, on two idle cores.
    pub fn long(title: impl Into<String>, minutes: u32) -> Step {
        Step::begin(title.into(), Some(minutes))
    }

    fn begin(title: String, minutes: Option<u32>) -> Step {
        let said = minutes.map_or(title.clone(), |m| format!("{title}, {}", about(m)));
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner().with_message(said.clone());
            bar.set_prefix(minutes.map_or(String::new(), |m| format!(" of about {m} min")));
            bar.set_style(style(SPINNER));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            say(&format!("{said} ..."));
        }
        Step {
            bar,
            title,
            started: Instant::now(),
            now: RefCell::new(Now {
                text: "still running".to_owned(),
                said: Instant::now(),
            }),
            ended: false,
        }
    }

    /// Says what is being done within the step.
    pub fn note(&self, note: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(format!("{}: {note}", self.title)),
            None => self.line(note),
        }
        self.now.borrow_mut().text = note.to_owned();
    }

    /// Shows something of the moment; where there is no terminal, if nothing has been said for a while.
    pub fn flash(&self, note: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {note}", self.title));
        }
        self.now.borrow_mut().text = note.to_owned();
    }

    /// Shows how far it is: `done` of `all`, if it is known how many there are, and what is being done. All the time on a
    /// terminal, now and then elsewhere.
    pub fn at(&self, done: usize, all: Option<usize>, what: &str) {
        let far = far(done, all);
        match (&self.bar, all) {
            (Some(bar), Some(all)) => {
                if bar.length() != Some(all as u64) {
                    bar.set_style(style(BAR));
                    bar.set_length(all as u64);
                }
                // The end is for who has seen it.
                bar.set_position(done.min(all.saturating_sub(1)) as u64);
                bar.set_message(format!("{}: {what}", self.title));
            }
            (Some(bar), None) => bar.set_message(format!("{}: {far}, {what}", self.title)),
            (None, _) => {}
        }
        self.now.borrow_mut().text = format!("{far}, {what}");
        self.tick();
    }

    /// Shows what cargo is doing, of what it says.
    pub fn cargo(&self, line: Option<&str>) {
        if let Some(what) = line.and_then(crate_or_test) {
            self.flash(what);
        }
        self.tick();
    }

    /// Where there is no terminal, says how far it is if that has not been said for a while.
    pub fn tick(&self) {
        if self.bar.is_none() && self.now.borrow().said.elapsed() >= EVERY {
            let text = self.now.borrow().text.clone();
            self.line(&text);
        }
    }

    fn line(&self, text: &str) {
        self.now.borrow_mut().said = Instant::now();
        say(&format!("  {:5.1} s  {text}", self.seconds()));
    }

    /// Ends the step with its result.
    pub fn done(mut self, result: &str) {
        self.ended = true;
        let seconds = self.seconds();
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                say(&format!("{seconds:>7.1} s  {}: {result}", self.title));
            }
            None => say(&format!("  {seconds:5.1} s  {result}")),
        }
    }

    /// Ends a step that had nothing to do, leaving no trace of it on a terminal.
    pub fn nothing(mut self) {
        self.ended = true;
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let (Some(bar), false) = (&self.bar, self.ended) {
            bar.finish_and_clear();
            let how = match interrupt::requested() {
                true => "interrupted",
                false => "failed",
            };
            say(&format!("{:>7.1} s  {}: {how}", self.seconds(), self.title));
        }
    }
}

/// Writes a line for whoever watches. Nobody may: Ctrl-C also ends a `tee` that reads it, and the work is to end in order.
fn say(line: &str) {
    if cfg!(test) {
        // What a test writes this way is kept for when it fails.
        eprintln!("{line}");
    } else {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// How long something takes that takes more than a minute.
pub fn about(minutes: u32) -> String {
    format!("about {minutes} min on two idle cores")
}

/// What cargo compiles or runs, or the test that has just passed.
fn crate_or_test(line: &str) -> Option<&str> {
    let line = line.trim();
    let cargos = line.starts_with("Compiling ") || line.starts_with("Running ");
    let test = || line.strip_prefix("test ")?.split(" ... ").next();
    // What it runs is followed by the place of the program.
    cargos
        .then(|| line.split(" (").next().unwrap_or(line))
        .or_else(test)
        .filter(|what| !what.starts_with("result: "))
}

fn far(done: usize, all: Option<usize>) -> String {
    match all {
        Some(all) => format!("{} %", (done * 100 / all.max(1)).min(99)),
        None => done.to_string(),
    }
}

const SPINNER: &str = "{spinner} {elapsed:>4}{prefix}  {wide_msg}";
const BAR: &str = "{spinner} {elapsed:>4}{prefix}  {bar:20} {percent:>2} %  {wide_msg}";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_done_before_its_end() {
        assert_eq!(far(0, Some(232)), "0 %");
        assert_eq!(far(116, Some(232)), "50 %");
        assert_eq!(
            far(240, Some(232)),
            "99 %",
            "there may be more than were expected"
        );
        assert_eq!(far(3, Some(0)), "99 %");
        assert_eq!(far(3, None), "3");
    }

    #[test]
    fn what_cargo_does_is_understood() {
        let text = "   Compiling rust-vgic v0.1.0 (/a/rust-vgic)\n    Finished `test` profile\n     \
                    Running tests/its.rs (target/debug/deps/its-1)\nrunning 1 test\ntest a::b ... ok\n\
                    test result: ok. 1 passed";
        let seen: Vec<&str> = text.lines().filter_map(crate_or_test).collect();
        assert_eq!(
            seen,
            ["Compiling rust-vgic v0.1.0", "Running tests/its.rs", "a::b"]
        );
    }

    #[test]
    fn the_templates_are_well_formed() {
        for template in [SPINNER, BAR] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
