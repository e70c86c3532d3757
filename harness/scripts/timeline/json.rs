// SPDX-License-Identifier: GPL-2.0-only
//! As much JSON as the page needs, to stand inside an element.

use std::fmt::{Display, Write};

/// A string. What could end the element, or begin another, is written by its number.
pub(super) fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '<' | '>' | '&' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

pub(super) fn array<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("[{}]", items.join(","))
}

pub(super) fn or_null<T: Display>(item: Option<T>) -> String {
    item.map_or("null".into(), |item| item.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_element_or_the_string() {
        assert_eq!(
            string("</script><!-- & \"\\"),
            r#""\u003c/script\u003e\u003c!-- \u0026 \"\\""#
        );
        assert_eq!(string("a\n\u{7f}\u{e9}"), "\"a\\u000a\\u007f\u{e9}\"");
    }

    #[test]
    fn arrays_are_within_arrays() {
        let inner = array([or_null(Some(1)), or_null::<u8>(None)]);
        assert_eq!(array([inner, array::<u8>([])]), "[[1,null],[]]");
    }
}
