// SPDX-License-Identifier: GPL-2.0-only
//! Which panics can be reached, and from where: read from the relocations of the merged object, from which the linker has
//! already dropped what no export reaches.

use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionIndex, SymbolKind};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Functions that end in a panic or are one, by the beginning of their path.
const PANICS: [&str; 12] = [
    "core::panicking::",
    "core::option::unwrap_failed",
    "core::option::expect_failed",
    "core::result::unwrap_failed",
    "core::cell::panic_already",
    "core::slice::index::slice_",
    "core::slice::copy_from_slice_impl::len_mismatch_fail",
    "core::str::slice_error_fail",
    "alloc::alloc::handle_alloc_error",
    "alloc::raw_vec::handle_error",
    "alloc::raw_vec::capacity_overflow",
    "__rustc::rust_begin_unwind",
];

/// A panic and those who reach it.
#[derive(Debug, PartialEq, Eq)]
pub struct Reached {
    /// The function that panics.
    pub function: String,
    /// The functions that call it or hold its address; none are panics themselves.
    pub callers: Vec<String>,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <- {}", self.function, self.callers.join(", "))
    }
}

/// Is this function, by its readable path, a panic?
pub fn is_panic(path: &str) -> bool {
    PANICS.iter().any(|p| path.starts_with(p))
}

struct Function {
    end: u64,
    path: String,
}

/// Functions by section and start.
type Functions = BTreeMap<(usize, u64), Function>;

/// Lists the panics that are referred to from anywhere but other panics.
pub fn reached(object: &[u8]) -> Result<Vec<Reached>> {
    let file = object::File::parse(object).context("the merged object is broken")?;
    let mut functions = Functions::new();
    for symbol in file.symbols().filter(|s| s.kind() == SymbolKind::Text) {
        let (Some(section), name) = (symbol.section_index(), symbol.name()?) else {
            continue;
        };
        if name.starts_with('$') || name.starts_with(".L") {
            continue;
        }
        let path = format!("{:#}", rustc_demangle::demangle(name));
        let function = Function {
            end: symbol.address() + symbol.size(),
            path,
        };
        functions.insert((section.0, symbol.address()), function);
    }
    let containing = |section: SectionIndex, address: u64| {
        functions
            .range(..=(section.0, address))
            .next_back()
            .filter(|((s, start), f)| *s == section.0 && (address < f.end || address == *start))
            .map(|(_, f)| f.path.clone())
    };
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for section in file.sections() {
        let section_name = section.name()?.to_owned();
        if section_name.starts_with(".debug") {
            continue;
        }
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                continue;
            };
            let symbol = file.symbol_by_index(index)?;
            let target = if symbol.kind() == SymbolKind::Section {
                let address = u64::try_from(relocation.addend()).unwrap_or(0);
                symbol.section_index().and_then(|s| containing(s, address))
            } else {
                Some(format!("{:#}", rustc_demangle::demangle(symbol.name()?)))
            };
            let Some(target) = target.filter(|t| is_panic(t)) else {
                continue;
            };
            // Data that holds the address of a panic is a way to it, too.
            let caller = containing(section.index(), offset).unwrap_or(section_name.clone());
            if !is_panic(&caller) {
                found.entry(target).or_default().insert(caller);
            }
        }
    }
    Ok(found
        .into_iter()
        .map(|(function, callers)| Reached {
            function,
            callers: callers.into_iter().collect(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_known_by_their_paths() {
        assert!(is_panic("core::panicking::panic_bounds_check"));
        assert!(is_panic("core::slice::index::slice_index_fail"));
        assert!(is_panic("alloc::alloc::handle_alloc_error"));
        assert!(!is_panic("core::fmt::write"));
        assert!(!is_panic("rust_vgic::core::panicking::x"));
    }
}
