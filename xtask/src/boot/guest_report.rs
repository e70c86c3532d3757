// SPDX-License-Identifier: GPL-2.0-only
//! What a guest has said of itself: the MARK lines that assets/init prints, and the kernel's own.

use crate::boot::console::{Line, Speaker};
use crate::boot::interrupts::Interrupts;
use std::collections::BTreeMap;

/// One guest's account.
#[derive(Default)]
pub struct GuestReport {
    /// When its first process ran, with its release and the CPUs it saw.
    pub up: Option<(f64, String)>,
    /// CPUs as the first process counted them.
    pub cpus: u32,
    /// What followed upon the first word of a mark, and when.
    said: BTreeMap<String, (f64, String)>,
    /// When it had done everything.
    pub done: Option<f64>,
    /// The kernel's line on the CPUs it has brought up.
    pub brought_up: Option<(f64, String)>,
    /// The kernel's line on its interrupt controller.
    pub controller: Option<(f64, String)>,
    /// What it showed, by title.
    shown: BTreeMap<String, Vec<String>>,
}

impl GuestReport {
    /// Collects what `speaker` said.
    pub fn collect(lines: &[Line], speaker: Speaker) -> GuestReport {
        let mut report = GuestReport::default();
        let mut open: Option<String> = None;
        for line in lines.iter().filter(|l| l.speaker == speaker) {
            let text = line.text.as_str();
            if let Some(mark) = mark(text) {
                let (word, rest) = mark.split_once(' ').unwrap_or((mark, ""));
                match word {
                    "up" => {
                        report.up = Some((line.at, rest.to_owned()));
                        let cpus = rest.split_whitespace().nth(1).and_then(|c| c.parse().ok());
                        report.cpus = cpus.unwrap_or(0);
                    }
                    "begin" => {
                        report.shown.insert(rest.to_owned(), Vec::new());
                        open = Some(rest.to_owned());
                    }
                    "end" => open = None,
                    "done" => report.done = Some(line.at),
                    _ => {
                        let said = (line.at, rest.to_owned());
                        report.said.insert(word.to_owned(), said);
                    }
                }
            } else if let Some(lines) = open.as_ref().and_then(|t| report.shown.get_mut(t)) {
                lines.push(text.to_owned());
            } else if text.contains("smp: Brought up") {
                report.brought_up = Some((line.at, message(text)));
            } else if text.contains("Root IRQ handler") || text.contains("SPIs implemented") {
                report.controller.get_or_insert((line.at, message(text)));
            }
        }
        report
    }

    /// What it said of something, and when.
    pub fn said(&self, word: &str) -> Option<(f64, &str)> {
        self.said.get(word).map(|(at, text)| (*at, text.as_str()))
    }

    /// A listing of /proc/interrupts that it showed.
    pub fn interrupts(&self, title: &str) -> Interrupts {
        Interrupts::parse(
            self.shown
                .get(title)
                .into_iter()
                .flatten()
                .map(String::as_str),
        )
    }

    /// A text that it showed.
    pub fn text(&self, title: &str) -> String {
        self.shown
            .get(title)
            .map(|l| l.join("\n"))
            .unwrap_or_default()
    }
}

/// The part of a MARK line behind the guest's name.
pub fn mark(text: &str) -> Option<&str> {
    let at = text.find("MARK dom")?;
    text.get(at + "MARK ".len()..)?
        .split_once(' ')
        .map(|(_, rest)| rest)
}

/// A kernel's line without its time stamp.
fn message(text: &str) -> String {
    let text = text.trim();
    match text.strip_prefix('[').and_then(|t| t.split_once("] ")) {
        Some((_, rest)) => rest.to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_heard_through_the_noise() {
        let say = |speaker, text: &str| Line {
            speaker,
            text: text.to_owned(),
            at: 2.5,
        };
        let lines = [
            say(Speaker::Dom0, "[    0.5] smp: Brought up 1 node, 4 CPUs"),
            say(Speaker::Dom0, "MARK dom0 up 6.12.1 4 cpus"),
            say(Speaker::Dom0, "MARK dom0 begin irq-before"),
            say(Speaker::Dom0, "      CPU0"),
            say(Speaker::DomU(1), "MARK domU1 done uptime 3"),
            say(Speaker::Dom0, " 11:  5  GICv3 27 Level arch_timer"),
            say(Speaker::Dom0, "MARK dom0 end irq-before"),
            say(Speaker::Dom0, "MARK dom0 read 8192000 bytes copied"),
            say(Speaker::Dom0, "MARK dom0 life: ok 8 domains"),
        ];
        let report = GuestReport::collect(&lines, Speaker::Dom0);
        assert_eq!(report.cpus, 4);
        assert_eq!(
            report.brought_up.as_ref().unwrap().1,
            "smp: Brought up 1 node, 4 CPUs"
        );
        assert_eq!(report.interrupts("irq-before").rows.len(), 1);
        assert_eq!(report.said("read").unwrap().1, "8192000 bytes copied");
        assert_eq!(report.said("life:").unwrap().1, "ok 8 domains");
        assert_eq!(report.done, None);
        assert_eq!(
            GuestReport::collect(&lines, Speaker::DomU(1)).done,
            Some(2.5)
        );
    }
}
