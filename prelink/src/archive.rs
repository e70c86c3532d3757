// SPDX-License-Identifier: GPL-2.0-only
//! Which members of a staticlib are needed: what a linker does with an archive, except that the functions Xen provides
//! are never taken from it.

use crate::PROVIDED_BY_XEN;
use anyhow::{Context, Result, bail};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};
use std::collections::{BTreeSet, HashMap};

/// One object of the archive.
pub struct Member<'a> {
    /// Its bytes.
    pub data: &'a [u8],
    /// What it defines although Xen provides it.
    pub provided_by_xen: Vec<String>,
}

struct Symbols {
    defined: Vec<String>,
    undefined: Vec<String>,
}

/// The members that the exports need, directly or not, in the order of the archive.
pub fn needed<'a>(archive: &'a [u8], exports: &[String]) -> Result<Vec<Member<'a>>> {
    let file = ArchiveFile::parse(archive).context("this is not a static library")?;
    let mut members = Vec::new();
    for member in file.members() {
        let data = member?.data(archive)?;
        // A staticlib also has a member of metadata, which is no object.
        if data.starts_with(b"\x7fELF") {
            members.push((data, symbols(data)?));
        }
    }
    let mut definitions: HashMap<&str, usize> = HashMap::new();
    for (number, (_, symbols)) in members.iter().enumerate() {
        for name in &symbols.defined {
            definitions.entry(name).or_insert(number);
        }
    }
    let mut wanted: Vec<&str> = exports.iter().map(String::as_str).collect();
    if let Some(missing) = wanted.iter().find(|e| !definitions.contains_key(*e)) {
        bail!("the library does not define {missing}, which is on the list of exports");
    }
    let mut taken = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        if PROVIDED_BY_XEN.contains(&name) {
            continue;
        }
        if let Some(&number) = definitions.get(name)
            && taken.insert(number)
            && let Some((_, symbols)) = members.get(number)
        {
            wanted.extend(symbols.undefined.iter().map(String::as_str));
        }
    }
    Ok(members
        .iter()
        .enumerate()
        .filter(|(number, _)| taken.contains(number))
        .map(|(_, (data, symbols))| Member {
            data,
            provided_by_xen: symbols
                .defined
                .iter()
                .filter(|d| PROVIDED_BY_XEN.contains(&d.as_str()))
                .cloned()
                .collect(),
        })
        .collect())
}

fn symbols(data: &[u8]) -> Result<Symbols> {
    let file = object::File::parse(data).context("the library has a broken member")?;
    let (mut defined, mut undefined) = (Vec::new(), Vec::new());
    for symbol in file.symbols().filter(|s| s.is_global()) {
        let name = symbol.name()?.to_owned();
        if symbol.is_undefined() {
            undefined.push(name)
        } else {
            defined.push(name)
        }
    }
    Ok(Symbols { defined, undefined })
}
