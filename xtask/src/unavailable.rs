// SPDX-License-Identifier: GPL-2.0-only
//! What cannot be had, told from what is wrong.

/// Something that cannot be had, from a mirror above all. Nothing is wrong with what was asked for, and what needs it is left
/// out: another day, or on another machine, it may be there.
#[derive(Debug)]
pub struct Unavailable(pub String);

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

/// What an error says in one line.
pub fn one_line(error: &anyhow::Error) -> String {
    // Of what could not be had, the reason says more than what it was for.
    let unavailable = error.downcast_ref::<Unavailable>();
    let text = unavailable.map_or_else(|| error.to_string(), ToString::to_string);
    text.lines().next().unwrap_or_default().to_owned()
}
