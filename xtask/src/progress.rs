// SPDX-License-Identifier: GPL-2.0-only
//! What a person sees while something takes its time: a spinner on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// One step of the work, with the time it has taken so far.
pub struct Step {
    bar: Option<ProgressBar>,
    title: String,
    started: Instant,
    ended: bool,
}

impl Step {
    /// Shows that a step has begun.
    pub fn start(title: impl Into<String>) -> Step {
        let title = title.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner().with_message(title.clone());
            bar.set_style(style());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            eprintln!("{title} ...");
        }
        Step {
            bar,
            title,
            started: Instant::now(),
            ended: false,
        }
    }

    /// Says what is being done within the step.
    pub fn note(&self, note: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(format!("{}: {note}", self.title)),
            None => eprintln!("  {:5.1} s  {note}", self.seconds()),
        }
    }

    /// Shows something of the moment, on terminals only.
    pub fn flash(&self, note: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {note}", self.title));
        }
    }

    /// Ends the step with its result.
    pub fn done(mut self, result: &str) {
        self.ended = true;
        let seconds = self.seconds();
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                eprintln!("{:>7.1} s  {}: {result}", seconds, self.title);
            }
            None => eprintln!("  {seconds:5.1} s  {result}"),
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
            eprintln!("{:>7.1} s  {}: failed", self.seconds(), self.title);
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {elapsed:>4}  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}
