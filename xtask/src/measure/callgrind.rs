// SPDX-License-Identifier: GPL-2.0-only
//! What callgrind writes: which function of which object spent how many instructions, and called whom how often. The format
//! is in its manual, "Callgrind Format Specification"; names are written out (`--compress-strings=no`).

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// callgrind, which writes a file for each call of `function`, with what happened inside of it: `OUT.1` and so on.
pub fn command(function: &str, out: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args([
        "--tool=callgrind",
        "--compress-strings=no",
        "--compress-pos=no",
    ]);
    command
        .arg(format!("--zero-before={function}"))
        .arg(format!("--dump-after={function}"))
        .arg(format!("--callgrind-out-file={}", out.display()));
    command
}

/// A function: its object, its source file and its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    pub object: String,
    pub file: String,
    pub name: String,
}

/// One file.
#[derive(Debug, Default)]
pub struct Profile {
    /// Instructions of each function itself, with what the compiler has put into it.
    pub own: BTreeMap<Function, u64>,
    /// How often each called a function of some name.
    pub calls: BTreeMap<(Function, String), u64>,
}

impl Profile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is not there, or not callgrind's.
    pub fn read(path: &Path) -> Result<Self> {
        let what = || format!("what callgrind wrote to {}", path.display());
        let text = std::fs::read_to_string(path).with_context(what)?;
        Self::parse(&text).with_context(what)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut new = Self::default();
        let mut function = Function::default();
        let mut called = String::new();
        // Where code that was put into the function comes from is no change of the function.
        let (mut file, mut object) = (String::new(), String::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            match line.split_once('=') {
                Some(("ob", name)) => object = name.to_owned(),
                Some(("fl" | "fi" | "fe", name)) => file = name.to_owned(),
                Some(("fn", name)) => {
                    function = Function {
                        object: object.clone(),
                        file: file.clone(),
                        name: name.to_owned(),
                    };
                }
                Some(("cfn", name)) => called = name.to_owned(),
                Some(("calls", numbers)) => {
                    let count = numbers.split_whitespace().next();
                    let count: u64 = count.unwrap_or_default().parse().context("calls=")?;
                    *new.calls
                        .entry((function.clone(), called.clone()))
                        .or_default() += count;
                    // What the callee and all below it cost, at the line of the call.
                    lines.next();
                }
                Some(_) => {}
                None if line.starts_with(|c: char| c.is_ascii_digit()) => {
                    let cost = line.split_whitespace().nth(1);
                    let cost: u64 = cost.unwrap_or_default().parse().context("a cost")?;
                    *new.own.entry(function.clone()).or_default() += cost;
                }
                None => {}
            }
        }
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# callgrind format\nversion: 1\ncmd: x a=b\npositions: line\nevents: Ir\nsummary: 31\n\n\
        ob=/peers/old.so\nfl=/xen/vgic.c\nfn=inject\n10 5\nfi=/mock.h\n20 7\nfe=/xen/vgic.c\n11 1\n\
        cob=/peers/old.so\ncfi=/harness/c/locks.c\ncfn=_spin_lock\ncalls=3 90 \n12 15\n13 2\n\n\
        fl=/harness/c/locks.c\nfn=_spin_lock\n90 15\n\nob=/lib/libc.so\nfl=???\nfn=memset\n0 1\n";

    fn function(object: &str, file: &str, name: &str) -> Function {
        let [object, file, name] = [object, file, name].map(str::to_owned);
        Function { object, file, name }
    }

    #[test]
    fn a_function_has_what_was_put_into_it_and_not_what_it_calls() {
        let profile = Profile::parse(TEXT).unwrap();
        let inject = function("/peers/old.so", "/xen/vgic.c", "inject");
        assert_eq!(profile.own[&inject], 5 + 7 + 1 + 2);
        let lock = function("/peers/old.so", "/harness/c/locks.c", "_spin_lock");
        assert_eq!(profile.own[&lock], 15);
        assert_eq!(profile.own[&function("/lib/libc.so", "???", "memset")], 1);
        assert_eq!(profile.calls[&(inject, "_spin_lock".into())], 3);
        assert_eq!((profile.own.len(), profile.calls.len()), (3, 1));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Profile::parse("fn=a\n10 many\n").is_err());
        assert!(Profile::parse("fn=a\ncfn=b\ncalls=x 1\n10 1\n").is_err());
    }
}
