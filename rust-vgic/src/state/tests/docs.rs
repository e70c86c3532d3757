// SPDX-License-Identifier: GPL-2.0-only
//! `docs/save.md` says what the records are.

use super::*;

#[test]
fn the_documentation_has_every_field() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/save.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, mut rest) = text.split_once("## Records").unwrap();
    for record in Record::ALL.into_iter().filter(|r| *r != Record::End) {
        let fields = fields(record);
        let length = fields.iter().map(|f| f.element * f.count).sum::<usize>();
        assert_eq!(length % 8, 0, "{record:?}: C pads it");
        let title = format!(
            "### {}: typecode {}, {length} bytes\n",
            record.name(),
            record as u16
        );
        let (_, after) = rest.split_once(&title).unwrap_or_else(|| panic!("{title}"));
        let section = after
            .split_once("### ")
            .map_or(after, |(section, _)| section);
        let rows = section
            .lines()
            .filter(|line| line.starts_with("| "))
            .skip(1);
        let rows: Vec<&str> = rows.collect();
        assert_eq!(rows.len(), fields.len(), "{title}");
        for (row, field) in rows.iter().zip(fields) {
            let bytes = match field.count {
                1 => format!("{}", field.element),
                n => format!("{n} × {}", field.element),
            };
            let start = format!("| {} | {bytes} | `{}` | ", field.offset, field.name);
            assert!(row.starts_with(&start), "{row}: {start}");
            assert_eq!(field.offset % field.element, 0, "{row}: C would pad it");
        }
        rest = after;
    }
}
