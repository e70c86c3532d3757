// SPDX-License-Identifier: GPL-2.0-only
//! Short names: Xen prints symbols by way of a buffer of 128 bytes and does not check.

use anyhow::{Context, Result};
use object::{Object, ObjectSymbol, SymbolKind};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// No name is longer than this; Xen adds a file name and an offset.
pub const LONGEST: usize = 72;
/// Beyond this the object is refused.
pub const LIMIT: usize = 100;

/// The new names of all symbols whose names change.
pub fn renames(object: &[u8], exports: &[String]) -> Result<Vec<(String, String)>> {
    let file = object::File::parse(object).context("the merged object is broken")?;
    let (mut functions, mut files) = (Vec::new(), Vec::new());
    for symbol in file.symbols().filter(|s| !s.is_undefined()) {
        let name = symbol.name()?.to_owned();
        if name.is_empty()
            || name.starts_with('$')
            || name.starts_with(".L")
            || exports.contains(&name)
        {
            continue;
        }
        match symbol.kind() {
            SymbolKind::File => files.push(name),
            SymbolKind::Section => {}
            _ => functions.push(name),
        }
    }
    files.sort();
    files.dedup();
    functions.sort();
    functions.dedup();
    // A name that stays must not be given to another.
    let mut used: HashSet<String> = exports.iter().cloned().collect();
    used.extend(functions.iter().filter(|n| !is_mangled(n)).cloned());
    let mut all: Vec<(String, String)> = Vec::new();
    for old in functions.iter().filter(|n| is_mangled(n)) {
        let new = unique(&readable(old), old, &mut used);
        all.push((old.clone(), new));
    }
    for old in functions
        .iter()
        .filter(|n| !is_mangled(n) && n.len() > LONGEST)
    {
        let new = unique(old, old, &mut used);
        all.push((old.clone(), new));
    }
    for (number, old) in files.iter().enumerate() {
        // Xen shows a local symbol as FILE#NAME. Code generation units are named after their crate.
        let stem = old.split('.').next().unwrap_or("rust");
        let new = if number == 0 {
            format!("{stem}.rs")
        } else {
            format!("{stem}.{number}.rs")
        };
        all.push((old.clone(), unique(&new, old, &mut used)));
    }
    all.retain(|(old, new)| old != new);
    Ok(all)
}

fn is_mangled(name: &str) -> bool {
    rustc_demangle::try_demangle(name).is_ok()
}

/// The path of a function without hashes, in characters that a symbol table can hold.
pub fn readable(mangled: &str) -> String {
    // The alternate form has no hashes.
    let plain = format!("{:#}", rustc_demangle::demangle(mangled));
    let mut text = String::new();
    for c in plain.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || "_:.$".contains(c) => text.push(c),
            _ if text.ends_with('_') => {}
            _ => text.push('_'),
        }
    }
    text.trim_matches('_').to_owned()
}

/// Cuts a name to length; a cut or doubled name ends in a few digits made from the whole of it.
fn unique(wanted: &str, original: &str, used: &mut HashSet<String>) -> String {
    let mut name: String = wanted.chars().take(LONGEST).collect();
    if name.len() < wanted.len() || name.is_empty() || used.contains(&name) {
        let mut hasher = DefaultHasher::new();
        original.hash(&mut hasher);
        name = name.chars().take(LONGEST - 7).collect();
        name.push_str(&format!(".{:06x}", hasher.finish() & 0xff_ffff));
    }
    while !used.insert(name.clone()) {
        name.push('_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable_and_have_no_hashes() {
        assert_eq!(
            readable("_ZN4core9panicking5panic17h0123456789abcdefE"),
            "core::panicking::panic"
        );
        assert_eq!(readable("_RNvCs1234_7mycrate3foo"), "mycrate::foo");
        let generic = readable("_RINvNtC3std3mem8align_ofjE");
        assert_eq!(generic, "std::mem::align_of::_usize");
        assert!(!readable("_RNvMNtC3std3memNtB2_3Foo3bar").contains(['<', '>', ' ']));
    }

    #[test]
    fn long_and_equal_names_stay_apart() {
        let mut used = HashSet::new();
        let long = "a::".repeat(60);
        let first = unique(&long, "x", &mut used);
        let second = unique(&long, "y", &mut used);
        assert_ne!(first, second);
        assert!(
            first.len() <= LONGEST && second.len() <= LONGEST,
            "{first} {second}"
        );
        assert_eq!(unique("short", "z", &mut used), "short");
        let again = unique("short", "w", &mut used);
        assert!(again != "short" && again.starts_with("short."), "{again}");
        // The same thing twice, whatever the hash says.
        assert_ne!(unique(&long, "x", &mut used), first);
    }
}
