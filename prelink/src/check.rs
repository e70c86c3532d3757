// SPDX-License-Identifier: GPL-2.0-only
//! What must not be in an object that goes into Xen.

use crate::PROVIDED_BY_XEN;
use crate::lists::SymbolList;
use crate::names::LIMIT;
use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol, RelocationFlags, SectionKind, SymbolKind};
use std::collections::BTreeSet;

/// Sections that Xen's linker script takes, and those that are no part of the running hypervisor.
const SECTIONS: [&str; 5] = [".text", ".rodata", ".data.rel.ro", ".data", ".bss"];

/// Relocations of a plain static object (AArch64 ELF psABI), by number: absolute and PC-relative data, the ADRP pair,
/// branches, MOVZ/MOVK. Anything through a GOT or PLT, or for thread-local data, is not among them.
const RELOCATIONS: [(u32, u32); 2] = [(257, 293), (299, 299)];

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
    /// How many instructions were looked at.
    pub instructions: usize,
    /// Bytes of code.
    pub code: u64,
    /// What the object needs.
    pub undefined: Vec<String>,
}

/// Checks an object and its disassembly.
pub fn check(
    object: &[u8],
    disassembly: &str,
    exports: &SymbolList,
    allowed: &SymbolList,
) -> Result<Found> {
    let file = object::File::parse(object).context("the finished object is broken")?;
    let mut found = Found::default();
    symbols(&file, exports, allowed, &mut found)?;
    sections(&file, &mut found)?;
    instructions(disassembly, &mut found);
    if found.instructions == 0 {
        found.problems.push("there is no code in it".to_owned());
    }
    Ok(found)
}

fn symbols(
    file: &object::File,
    exports: &SymbolList,
    allowed: &SymbolList,
    found: &mut Found,
) -> Result<()> {
    let (mut undefined, mut global) = (BTreeSet::new(), BTreeSet::new());
    for symbol in file.symbols() {
        let name = symbol.name()?;
        if name.len() > LIMIT {
            found
                .problems
                .push(format!("name of more than {LIMIT} characters: {name}"));
        }
        if name.is_empty() || symbol.kind() == SymbolKind::Section {
            continue;
        }
        if symbol.is_undefined() {
            undefined.insert(name.to_owned());
        } else if symbol.is_global() {
            global.insert(name.to_owned());
        }
        if symbol.kind() == SymbolKind::Tls {
            found
                .problems
                .push(format!("thread-local variable: {name}"));
        }
    }
    for name in &undefined {
        if !allowed.contains(name) && !PROVIDED_BY_XEN.contains(&name.as_str()) {
            found
                .problems
                .push(format!("undefined symbol that is not on the list: {name}"));
        }
    }
    for name in global.iter().filter(|n| !exports.contains(n)) {
        found
            .problems
            .push(format!("exported symbol that is not on the list: {name}"));
    }
    for name in exports.names.iter().filter(|n| !global.contains(*n)) {
        found.problems.push(format!(
            "symbol on the list of exports that is not there: {name}"
        ));
    }
    found.undefined = undefined.into_iter().collect();
    Ok(())
}

fn sections(file: &object::File, found: &mut Found) -> Result<()> {
    for section in file.sections() {
        let name = section.name()?;
        let part_of_image = !matches!(
            section.kind(),
            SectionKind::Metadata | SectionKind::Debug | SectionKind::DebugString
        ) && !name.starts_with(".debug_")
            && !name.starts_with(".rela")
            && ![".note.GNU-stack", ".comment"].contains(&name);
        if !part_of_image {
            continue;
        }
        if !SECTIONS.contains(&name) {
            found
                .problems
                .push(format!("section that Xen has no place for: {name}"));
        }
        if name == ".text" {
            found.code = section.size();
        }
        let mut kinds = BTreeSet::new();
        for (_, relocation) in section.relocations() {
            let RelocationFlags::Elf { r_type } = relocation.flags() else {
                continue;
            };
            let r_type = r_type.0;
            if !RELOCATIONS
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&r_type))
                && kinds.insert(r_type)
            {
                found.problems.push(format!(
                    "relocation of type {r_type} in {name} (through a GOT or PLT, or for thread-local data?)"
                ));
            }
        }
    }
    Ok(())
}

fn instructions(disassembly: &str, found: &mut Found) {
    let mut function = "";
    let mut reported = 0;
    for line in disassembly.lines() {
        if let Some(name) = line.strip_suffix(">:") {
            function = name.split_once('<').map_or("", |(_, n)| n);
            continue;
        }
        let Some((mnemonic, operands)) = instruction(line) else {
            continue;
        };
        found.instructions += 1;
        if uses_fp(mnemonic, operands) {
            reported += 1;
            if reported <= 10 {
                found.problems.push(format!(
                    "floating-point or SIMD register, which belongs to the guest: {mnemonic} {} in {function}",
                    operands.trim()
                ));
            }
        }
    }
}

/// Mnemonic and operands of one line of objdump's.
fn instruction(line: &str) -> Option<(&str, &str)> {
    let (address, rest) = line.trim_start().split_once(":\t")?;
    u64::from_str_radix(address, 16).ok()?;
    let (mnemonic, operands) = rest.split_once('\t').unwrap_or((rest.trim(), ""));
    let operands = operands.split("//").next().unwrap_or("");
    (!mnemonic.starts_with('.')).then_some((mnemonic, operands))
}

/// Does an instruction name a floating-point, SIMD or SVE register?
fn uses_fp(mnemonic: &str, operands: &str) -> bool {
    // What a branch or ADR points at is a number and a symbol, not a register.
    let operands = operands.split('<').next().unwrap_or("");
    let branch = ["b", "bl", "adr", "adrp", "cbz", "cbnz", "tbz", "tbnz"].contains(&mnemonic)
        || mnemonic.starts_with("b.")
        || mnemonic.starts_with("bc.");
    let operands = if branch {
        operands.rsplit_once(',').map_or("", |(o, _)| o)
    } else {
        operands
    };
    operands
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.' && c != '#')
        .any(is_fp_register)
}

fn is_fp_register(word: &str) -> bool {
    let word = word.split('.').next().unwrap_or("");
    if ["fpcr", "fpsr"].contains(&word.to_ascii_lowercase().as_str()) {
        return true;
    }
    let mut chars = word.chars();
    let Some(kind) = chars.next() else {
        return false;
    };
    let number = chars.as_str();
    let plain = (1..=2).contains(&number.len()) && number.chars().all(|c| c.is_ascii_digit());
    match number.parse::<u32>() {
        Ok(n) if plain => match kind {
            'v' | 'z' | 'q' | 'd' | 's' | 'h' | 'b' => n < 32,
            'p' => n < 16,
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_the_guest_are_seen() {
        for (mnemonic, operands) in [
            ("fmov", "d0, x1"),
            ("ldr", "q3, [x0, #16]"),
            ("movi", "v31.16b, #0x0"),
            ("stp", "s8, s9, [sp]"),
            ("ld1", "{v0.4s, v1.4s}, [x0]"),
            ("mrs", "x0, fpcr"),
            ("ptrue", "p0.b"),
        ] {
            assert!(uses_fp(mnemonic, operands), "{mnemonic} {operands}");
        }
    }

    #[test]
    fn other_operands_are_no_registers_of_the_guest() {
        for (mnemonic, operands) in [
            ("add", "x0, x1, #0xd0"),
            ("b", "d0 <f+0x10>"),
            ("b.eq", "b4 <f+0xb4>"),
            ("cbz", "x3, d4 <g>"),
            ("tbnz", "w3, #3, b0 <g>"),
            ("mrs", "x0, s3_4_c12_c12_0"),
            ("ldr", "w8, [sp, #12]"),
            ("dmb", "ish"),
            ("adrp", "x8, 0 <b1>"),
            ("mov", "w0, wzr"),
            ("msr", "daifset, #0x2"),
        ] {
            assert!(!uses_fp(mnemonic, operands), "{mnemonic} {operands}");
        }
    }

    #[test]
    fn lines_of_objdump_are_taken_apart() {
        assert_eq!(
            instruction("   4:\tadd\tx0, x1, x2"),
            Some(("add", "x0, x1, x2"))
        );
        assert_eq!(instruction("   8:\tret"), Some(("ret", "")));
        assert_eq!(instruction("   c:\t.word\t0x00000000"), None);
        assert_eq!(instruction("0000000000000000 <f>:"), None);
    }
}
