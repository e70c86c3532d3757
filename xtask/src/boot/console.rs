// SPDX-License-Identifier: GPL-2.0-only
//! One serial line, several speakers: takes a console apart into lines with their speakers.
//!
//! Xen writes its own lines, and those of the DomUs' consoles, whole and under a lock, each with "(XEN) " in front. Dom0's
//! console output passes through in pieces of a few bytes, so that a line of Xen's may stand in the middle of one of
//! Dom0's. Taking Xen's lines out of the stream leaves Dom0's as it was written.

/// Who wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The hypervisor.
    Xen,
    /// The first domain.
    Dom0,
    /// A guest started beside it.
    DomU(u32),
}

/// A line, and when it was complete, in seconds from the start of the machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Who wrote it.
    pub speaker: Speaker,
    /// Without prefix and line end.
    pub text: String,
    /// When it ended.
    pub at: f64,
}

/// Takes bytes as they come.
#[derive(Default)]
pub struct Console {
    /// Dom0's line so far.
    dom0: String,
    /// The bytes of which it is not yet known whether they begin a line of Xen's.
    raw: Vec<u8>,
}

const PREFIX: &[u8] = b"(XEN) ";

impl Console {
    /// Takes what has been read at `at` and returns the lines that it completes.
    pub fn take(&mut self, bytes: &[u8], at: f64) -> Vec<Line> {
        self.raw.extend(bytes.iter().filter(|b| **b != b'\r'));
        let mut lines = Vec::new();
        loop {
            let raw = &self.raw;
            if raw.starts_with(PREFIX) {
                let Some(end) = raw.iter().position(|b| *b == b'\n') else {
                    break;
                };
                let text = String::from_utf8_lossy(&raw[PREFIX.len()..end]).into_owned();
                lines.push(xen_line(text, at));
                self.raw.drain(..=end);
                continue;
            }
            if raw.is_empty() || PREFIX.starts_with(raw) {
                break;
            }
            // Up to the next thing that may be Xen's, or the end of the line.
            let end = raw
                .iter()
                .enumerate()
                .skip(1)
                .find(|(i, b)| {
                    **b == b'(' && (raw[*i..].starts_with(PREFIX) || PREFIX.starts_with(&raw[*i..]))
                })
                .map_or(raw.len(), |(i, _)| i);
            match raw[..end].iter().position(|b| *b == b'\n') {
                Some(newline) => {
                    self.dom0
                        .push_str(&String::from_utf8_lossy(&raw[..newline]));
                    let text = std::mem::take(&mut self.dom0);
                    lines.push(Line {
                        speaker: Speaker::Dom0,
                        text,
                        at,
                    });
                    self.raw.drain(..=newline);
                }
                None => {
                    self.dom0.push_str(&String::from_utf8_lossy(&raw[..end]));
                    self.raw.drain(..end);
                }
            }
        }
        lines
    }

    /// What is left when nothing comes any more.
    pub fn finish(&mut self, at: f64) -> Vec<Line> {
        self.take(b"\n", at)
    }
}

/// A line that Xen wrote: its own, or one of a DomU's console ("DOM1: " or "d1 " in front, after any time stamp).
fn xen_line(text: String, at: f64) -> Line {
    let mut rest = text.as_str();
    if let Some((stamp, after)) = rest.strip_prefix('[').and_then(|r| r.split_once("] "))
        && stamp
            .chars()
            .all(|c| c.is_ascii_digit() || " .:-".contains(c))
    {
        rest = after;
    }
    if let Some(after) = rest.strip_prefix("DOM")
        && let Some((number, line)) = after.split_once(": ").or_else(|| after.split_once(':'))
        && let Ok(number) = number.parse()
    {
        return Line {
            speaker: Speaker::DomU(number),
            text: line.to_owned(),
            at,
        };
    }
    Line {
        speaker: Speaker::Xen,
        text,
        at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speak(bytes: &[u8], pieces: usize) -> Vec<(Speaker, String)> {
        let mut console = Console::default();
        let mut lines = Vec::new();
        for piece in bytes.chunks(pieces) {
            lines.extend(console.take(piece, 0.0));
        }
        lines.extend(console.finish(0.0));
        lines
            .into_iter()
            .map(|l| (l.speaker, l.text))
            .filter(|l| !l.1.is_empty())
            .collect()
    }

    #[test]
    fn lines_within_lines_are_taken_apart_however_they_arrive() {
        let bytes = b"(XEN) [    1.5] Xen version 4.20\r\nMARK dom0 (x) in(XEN) DOM1: MARK domU1 up\r\nterrupts 5\r\n\
                      (XEN) [    2.0] DOM2: hello\n(X) not Xen\nrest";
        let want = [
            (Speaker::Xen, "[    1.5] Xen version 4.20"),
            (Speaker::DomU(1), "MARK domU1 up"),
            (Speaker::Dom0, "MARK dom0 (x) interrupts 5"),
            (Speaker::DomU(2), "hello"),
            (Speaker::Dom0, "(X) not Xen"),
            (Speaker::Dom0, "rest"),
        ];
        for pieces in 1..bytes.len() {
            let got = speak(bytes, pieces);
            let got: Vec<(Speaker, &str)> = got.iter().map(|(s, t)| (*s, t.as_str())).collect();
            assert_eq!(got, want, "in pieces of {pieces}");
        }
    }
}
