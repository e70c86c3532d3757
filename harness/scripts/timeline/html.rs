// SPDX-License-Identifier: GPL-2.0-only
//! The drawing as a page to look around in: one file, which needs nothing else.
//!
//! The bars are in the page as SVG, one column wide per unit, and shown without a script, too. What a person points at is looked
//! up in the data beside them.

use super::json::{array, or_null, string};
use super::lanes::{Bar, Lane, Look};
use super::word::FIELDS;
use crate::notes::{Lives, Moment, State};
use rust_vgic::irq::State as Word;
use std::collections::BTreeMap;
use std::fmt::Write;

const PAGE: &str = include_str!("page.html");

/// Pixels of a lane, as in the page's script, and of a column until that has looked at the window.
const LANE: usize = 22;
const COLUMN: usize = 8;

/// Gives what it is asked for a number, the same for the same thing.
struct Numbers<T> {
    known: BTreeMap<T, usize>,
    made: Vec<String>,
}

impl<T: Ord + Copy> Numbers<T> {
    fn new() -> Self {
        Self {
            known: BTreeMap::new(),
            made: Vec::new(),
        }
    }

    fn of(&mut self, thing: T, make: impl FnOnce() -> String) -> usize {
        *self.known.entry(thing).or_insert_with(|| {
            self.made.push(make());
            self.made.len() - 1
        })
    }
}

fn number(moment: Moment) -> usize {
    match moment {
        Moment::Injected => 0,
        Moment::Lowered => 1,
        Moment::Loaded => 2,
        Moment::Queued => 3,
        Moment::Acknowledged => 4,
        Moment::Ended => 5,
    }
}

/// The number of what the page says of a state: also what an active interrupt is besides.
fn said(state: State) -> usize {
    match state {
        State {
            active: true,
            loaded: true,
            ..
        } => 4,
        State {
            active: true,
            raised: true,
            ..
        } => 5,
        _ => Look::of(state) as usize,
    }
}

/// Top and height of a bar: a state shows without its colour, too.
fn shape(look: Look) -> Option<(&'static str, usize, usize)> {
    match look {
        Look::Idle => None,
        Look::Queued => Some(("queued", 8, 6)),
        Look::Loaded => Some(("loaded", 5, 12)),
        Look::Active => Some(("active", 2, 18)),
    }
}

/// The fields that say something, by their numbers.
fn word(bits: u64) -> String {
    let state = Word::from_bits(bits);
    let fields = FIELDS.iter().enumerate();
    let said = fields.filter_map(|(n, field)| {
        let value = (field.value)(state)?;
        Some(array([n.to_string(), string(&value)]))
    });
    array([string(&format!("{bits:#018x}")), array(said)])
}

/// Text that is neither a tag nor an entity, nor ends an attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Not allowed in XML, and nothing to see.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The bars of a lane, as a path for all that look the same and are of the same vCPU.
fn paths(lane: &Lane) -> String {
    let mut paths: BTreeMap<(&str, Option<usize>), String> = BTreeMap::new();
    for bar in &lane.bars {
        let (from, width) = (bar.from, bar.to - bar.from);
        // Writing to a string does not fail.
        if let Some((class, top, height)) = shape(bar.look()) {
            let path = paths.entry((class, bar.event.vcpu)).or_default();
            let _ = write!(path, "M{from} {top}h{width}v{height}h-{width}z");
        }
        // After the others in the alphabet, so that they are drawn above them.
        let path = paths.entry(("started", bar.event.vcpu)).or_default();
        let _ = write!(path, "M{from} 2v18");
    }
    let mut out = String::new();
    for ((class, vcpu), path) in paths {
        let vcpu = vcpu.map_or(String::new(), |v| format!(" data-vcpu=\"{v}\""));
        let _ = writeln!(out, "<path class=\"{class}\"{vcpu} d=\"{path}\"/>");
    }
    out
}

impl Lives {
    /// What the page's script looks things up in.
    fn data(&self, lanes: &[Lane]) -> String {
        let mut words = Numbers::new();
        let bars = lanes.iter().enumerate();
        let mut bars: Vec<(usize, &Bar)> = bars
            .flat_map(|(n, lane)| lane.bars.iter().map(move |bar| (n, bar)))
            .collect();
        bars.sort_by_key(|(_, bar)| bar.from);
        let event = |(lane, bar): (usize, &Bar)| {
            let e = &bar.event;
            array([
                lane.to_string(),
                e.step.to_string(),
                number(e.moment).to_string(),
                or_null(e.vcpu),
                or_null(e.slot),
                said(e.state).to_string(),
                bar.to.to_string(),
                or_null(e.word.map(|bits| words.of(bits, || word(bits)))),
                or_null(e.played),
            ])
        };
        let events = array(bars.into_iter().map(event));
        // One machine needs no line.
        let several = self.later_machines().next().is_some();
        let machines = self.machines.iter().filter(|_| several);
        let machines = machines.map(|(start, about)| array([start.to_string(), string(about)]));
        let lanes = lanes
            .iter()
            .map(|l| array([l.intid.to_string(), or_null(l.vcpu)]));
        let fields = FIELDS.iter().map(|f| array([f.name, f.about].map(string)));
        let parts = [
            ("lanes", array(lanes)),
            ("events", events),
            ("fields", array(fields)),
            ("words", array(words.made)),
            ("steps", array(self.steps.iter().map(|step| string(step)))),
            ("machines", array(machines)),
            ("leftOut", self.left_out.to_string()),
        ];
        let parts = parts.map(|(name, part)| format!("\"{name}\":{part}"));
        format!("{{{}}}", parts.join(",\n"))
    }

    /// The drawing as a page; `title` says of what it is.
    pub fn html(&self, title: &str) -> String {
        let lanes = self.lanes();
        let (mut names, mut bars) = (String::new(), String::new());
        for (n, lane) in lanes.iter().enumerate() {
            let y = n * LANE;
            // Writing to a string does not fail.
            let _ = writeln!(
                names,
                "<text transform=\"translate(0 {y})\" x=\"8\" y=\"15\">{}</text>",
                lane.name()
            );
            let _ = writeln!(
                bars,
                "<g transform=\"translate(0 {y})\">\n{}</g>",
                paths(lane)
            );
        }
        let title = escaped(title);
        let parts = [
            ("title", title.as_str()),
            ("heading", &title),
            ("width", &(self.events.len() * COLUMN + 120).to_string()),
            ("height", &(lanes.len() * LANE).max(LANE).to_string()),
            ("bars", &bars),
            ("names", &names),
            ("data", &self.data(&lanes)),
        ];
        filled(PAGE, &parts)
    }
}

/// Replaces `{{name}}`, in the template only and not in what comes into it. Each is there once, in this order.
fn filled(template: &str, parts: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    for (name, part) in parts {
        let (before, after) = rest
            .split_once(&format!("{{{{{name}}}}}"))
            .unwrap_or((rest, ""));
        out.push_str(before);
        out.push_str(part);
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::super::samples::{most_lives, two_lives};
    use super::*;
    use roxmltree::{Document, ParsingOptions};

    /// The page's elements: it is written so that it is XML as well as HTML.
    fn parsed(page: &str) -> Document<'_> {
        let options = ParsingOptions {
            allow_dtd: true,
            ..ParsingOptions::default()
        };
        Document::parse_with_options(page, options).expect("a well-formed page")
    }

    fn with_id<'a>(page: &'a Document<'_>, id: &str) -> roxmltree::Node<'a, 'a> {
        let mut all = page.descendants();
        all.find(|node| node.attribute("id") == Some(id)).expect(id)
    }

    fn data<'a>(page: &'a Document<'_>) -> &'a str {
        with_id(page, "data").text().expect("data")
    }

    /// So many paths of this class begin anew.
    fn drawn(page: &Document<'_>, class: &str) -> usize {
        let bars = with_id(page, "bars");
        let paths = bars
            .descendants()
            .filter(|p| p.attribute("class") == Some(class));
        paths
            .map(|p| p.attribute("d").unwrap_or_default().matches('M').count())
            .sum()
    }

    #[test]
    fn every_event_is_drawn_and_told() {
        let lives = two_lives();
        let text = lives.html("two");
        let page = parsed(&text);
        assert_eq!(drawn(&page, "started"), lives.events.len());
        assert_eq!(
            ["queued", "loaded", "active"].map(|class| drawn(&page, class)),
            [2, 1, 1]
        );
        // Active from the fourth column to the last but one.
        assert!(text.contains("M3 2h2v18h-2z"), "{text}");
        let data = data(&page);
        assert!(data.contains("\"lanes\":[[27,1],[40,null]],"), "{data}");
        assert!(data.contains(",[1,50,4,0,null,3,5,null,null],"), "{data}");
        let names = with_id(&page, "names").children();
        let names: Vec<_> = names
            .filter(|n| n.is_element())
            .filter_map(|n| n.text())
            .collect();
        assert_eq!(names, ["27 vCPU 1", "40"]);
    }

    #[test]
    fn the_most_events_make_no_large_page() {
        let lives = most_lives();
        let text = lives.html("most");
        let page = parsed(&text);
        assert_eq!(drawn(&page, "started"), lives.events.len());
        assert!(data(&page).contains("\"leftOut\":10"));
        assert!(text.len() < 500_000, "{} bytes", text.len());
        // A browser redraws each of them while a person zooms.
        assert!(page.descendants().count() < 1000);
    }

    #[test]
    fn nothing_at_all_is_a_page_too() {
        let text = Lives::default().html("");
        assert!(data(&parsed(&text)).contains("\"events\":[],"));
        assert!(!text.contains("{{"), "{text}");
    }

    #[test]
    fn the_word_is_shown_by_its_fields_with_the_step() {
        let mut lives = two_lives();
        let state = Word::reset(rust_vgic::VcpuId::new(5)).with_latch_lr(true);
        lives.events[0].word = Some(state.bits());
        lives.steps = vec!["line 7: line 40 up".to_owned()];
        lives.events[0].played = Some(0);
        let text = lives.html("a word");
        let page = parsed(&text);
        let data = data(&page);
        let field = |name: &str, value: &str| {
            let n = FIELDS.iter().position(|field| field.name == name);
            data.contains(&format!("[{},\"{value}\"]", n.expect(name)))
        };
        assert!(data.contains(&format!("\"words\":[[\"{:#018x}\",[[", state.bits())));
        assert!(field("LATCH_LR", "1") && field("TARGET", "vCPU 5") && !field("ACTIVE", "1"));
        assert!(
            data.contains("\"steps\":[\"line 7: line 40 up\"],"),
            "{data}"
        );
        // Of the first event alone.
        assert_eq!(data.matches(",0,0]").count(), 1, "{data}");
    }

    #[test]
    fn text_stays_text() {
        let title = "a&b </title><script>alert(1)</script> \"quoted\" {{data}}\u{7}\n";
        let text = two_lives().html(title);
        let page = parsed(&text);
        let shown = title.replace(char::is_control, " ");
        for name in ["title", "h1"] {
            let element = page.descendants().find(|node| node.has_tag_name(name));
            assert_eq!(element.and_then(|e| e.text()), Some(shown.as_str()));
        }
    }

    #[test]
    fn nothing_is_fetched() {
        let text = most_lives().html("most");
        for word in [
            "http",
            "//www",
            "@import",
            "url(",
            "src=",
            "fetch(",
            "XMLHttpRequest",
        ] {
            assert!(!text.contains(word), "{word}");
        }
        assert!(text.contains("<link rel=\"icon\" href=\"data:,\"/>"));
    }
}
