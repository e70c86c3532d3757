// SPDX-License-Identifier: GPL-2.0-only
//! Modules use what is below them: each crate's floors, lowest first, and no path in its code leads upwards.
//!
//! A module may use its own floor where that makes no circle. A floor names modules, like `irq`; what is within such a one is of
//! it, unless a floor names it apart, like `its::registers`. Tests are exempt, and so is the root of a crate, which is the
//! map of it. A path is followed through re-exports; neither what it names nor where it finds that may be above.

#[path = "floors/core.rs"]
mod core;
#[path = "floors/harness.rs"]
mod harness;
#[path = "floors/source.rs"]
mod source;
#[path = "floors/xtask.rs"]
mod xtask;

use source::{Named, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The names of a module from the root of its crate, which is the empty one.
type Module = Vec<String>;

/// A crate, or what stands for one in a test of this test.
struct Crate {
    files: BTreeMap<Module, (String, Source)>,
}

fn module(name: &str) -> Module {
    name.split("::").map(String::from).collect()
}

fn is_root(file: &str) -> bool {
    matches!(file, "lib.rs" | "main.rs")
}

/// Is a file of tests, by its name?
fn is_test(file: &str) -> bool {
    file.split('/')
        .any(|part| matches!(part, "tests" | "tests.rs" | "benches") || part.ends_with("_tests.rs"))
}

impl Crate {
    /// The crate whose files are in `folder` of the workspace.
    fn read(folder: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut texts = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ext| ext == "rs") {
                    let name = path.strip_prefix(&root).expect("within").to_str();
                    let text = std::fs::read_to_string(&path).expect("a text");
                    texts.push((name.expect("UTF-8").to_owned(), text));
                }
            }
        }
        Self::of(texts.iter().map(|(name, text)| (&**name, &**text)))
    }

    /// The crate with these files.
    fn of<'a>(texts: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Self {
        let library = texts.clone().any(|(file, _)| file == "lib.rs");
        let mut files = BTreeMap::new();
        let mut for_tests = Vec::new();
        for (file, text) in texts {
            // A program beside a library is another crate.
            if is_test(file) || (library && file == "main.rs") {
                continue;
            }
            let name = file.trim_end_matches(".rs").trim_end_matches("/mod");
            let module = if is_root(file) {
                Module::new()
            } else {
                name.split('/').map(String::from).collect()
            };
            let source = source::read(text);
            for name in &source.test_modules {
                for_tests.push([&module[..], std::slice::from_ref(name)].concat());
            }
            files.insert(module, (file.to_owned(), source));
        }
        files.retain(|module, _| !for_tests.iter().any(|test| module.starts_with(test)));
        Self { files }
    }

    /// Where a path leads that is named in `module`: where it finds its last name, and where that is from. Nothing for another
    /// crate's.
    fn resolve(&self, module: &[String], named: &Named, turns: u32) -> Option<(Module, Module)> {
        let mut here = [module, &named.scope].concat();
        let mut rest = &named.path[..];
        match &**rest.first()? {
            "crate" => here.clear(),
            "self" => {}
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    here.pop()?;
                    rest = &rest[1..];
                }
            }
            name => {
                let child = [&here[..], &[name.to_owned()]].concat();
                if !self.files.contains_key(&child) {
                    return self.follow(&here, rest, turns, named.alias.is_some());
                }
            }
        }
        if matches!(&*named.path[0], "crate" | "self") {
            rest = &rest[1..];
        }
        while let Some(name) = rest.first() {
            let child = [&here[..], std::slice::from_ref(name)].concat();
            if !self.files.contains_key(&child) {
                break;
            }
            here = child;
            rest = &rest[1..];
        }
        // What is in a module of the same file is in the file.
        while !self.files.contains_key(&here) {
            here.pop();
        }
        let from = self.follow(&here, rest, turns, false);
        Some((here.clone(), from.map_or(here, |(_, from)| from)))
    }

    /// Where a name leads that a `use` has brought to `here`.
    fn follow(
        &self,
        here: &[String],
        path: &[String],
        turns: u32,
        in_use: bool,
    ) -> Option<(Module, Module)> {
        let (name, turns) = (path.first()?, turns.checked_sub(1)?);
        let mut file = here;
        while !self.files.contains_key(file) {
            file = &file[..file.len().checked_sub(1)?];
        }
        let (_, source) = self.files.get(file)?;
        let brought = source.named.iter().find(|named| {
            let brings = named.alias.as_ref() == Some(name);
            // `use bitflags::bitflags` brings what it is about itself.
            brings && !(in_use && named.path.first() == Some(name))
        })?;
        let whole = [&brought.path, &path[1..]].concat();
        let whole = Named {
            path: whole,
            alias: brought.alias.clone(),
            ..brought.clone()
        };
        self.resolve(file, &whole, turns)
    }

    /// All that is wrong with it.
    fn faults(&self, floors: &[&[&str]]) -> Vec<String> {
        let mut faults = Vec::new();
        let names = floors
            .iter()
            .enumerate()
            .flat_map(|(floor, names)| names.iter().map(move |name| (module(name), floor)));
        let units: BTreeMap<Module, usize> = names.collect();
        if units.len() != floors.iter().map(|floor| floor.len()).sum() {
            faults.push("a module is on two floors".to_owned());
        }
        for unit in units.keys().filter(|unit| !self.files.contains_key(*unit)) {
            faults.push(format!("there is no module {}", unit.join("::")));
        }
        let unit_of = |module: &[String]| {
            let prefixes = (1..=module.len()).rev().map(|n| &module[..n]);
            prefixes.into_iter().find_map(|p| units.get_key_value(p))
        };
        // Who uses whom on the same floor: by unit, and by file.
        let mut beside = [const { BTreeMap::<Module, BTreeSet<Module>>::new() }; 2];
        for (module, (file, source)) in self.files.iter().filter(|(module, _)| !module.is_empty()) {
            let Some((unit, floor)) = unit_of(module) else {
                faults.push(format!("{file} is on no floor"));
                continue;
            };
            for named in &source.named {
                let Some((found, from)) = self.resolve(module, named, 16) else {
                    continue;
                };
                let path = named.path.join("::");
                if from.is_empty() {
                    // Macros and the like apart, the map has nothing of its own.
                    if found.is_empty() && named.path.len() > 1 {
                        faults.push(format!("{file}:{}: {path} is of the map", named.line));
                    }
                    continue;
                }
                for other in [&found, &from] {
                    let Some((_, above)) = unit_of(other).filter(|(_, other)| *other > floor)
                    else {
                        continue;
                    };
                    faults.push(format!(
                        "{file}:{}: {path} leads from floor {floor} up to floor {above}",
                        named.line
                    ));
                    break;
                }
                let Some((other, _)) = unit_of(&from).filter(|(_, other)| *other == floor) else {
                    continue;
                };
                if other != unit {
                    beside[0]
                        .entry(unit.clone())
                        .or_default()
                        .insert(other.clone());
                }
                // A module that shows what is within it does not use it.
                let shows = named.exported && from.starts_with(module);
                if from != *module && !shows {
                    beside[1].entry(module.clone()).or_default().insert(from);
                }
            }
        }
        for circle in beside.iter().filter_map(circle) {
            let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
            faults.push(format!("a circle: {}", names.join(" -> ")));
        }
        faults.sort();
        faults.dedup();
        faults
    }
}

/// A circle, if there is one: from a module to itself.
fn circle(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    fn walk(
        edges: &BTreeMap<Module, BTreeSet<Module>>,
        way: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
    ) -> bool {
        let last = way.last().expect("somewhere").clone();
        for next in edges.get(&last).into_iter().flatten() {
            if let Some(start) = way.iter().position(|module| module == next) {
                way.drain(..start);
                way.push(next.clone());
                return true;
            }
            if !done.contains(next) {
                way.push(next.clone());
                if walk(edges, way, done) {
                    return true;
                }
                way.pop();
            }
        }
        done.insert(last);
        false
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| {
        let mut way = vec![start.clone()];
        (!done.contains(start) && walk(edges, &mut way, &mut done)).then_some(way)
    })
}

fn assert_floors(folder: &str, floors: &[&[&str]]) {
    let faults = Crate::read(folder).faults(floors);
    assert!(faults.is_empty(), "{folder}:\n{}", faults.join("\n"));
}

#[test]
fn the_core_has_its_floors() {
    assert_floors("rust-vgic/src", core::FLOORS);
}

/// What a GIC is made of, and what makes an rVIC: neither has anything of the other, so there is no state that could be either's.
const GIC: &[&str] = &[
    "cpu_interface",
    "distributor",
    "domain",
    "entry",
    "exit",
    "inbox",
    "irq",
    "its",
    "list",
    "lpi",
    "lr",
    "physical",
    "redistributor",
    "routing",
    "slots",
    "takers",
    "vcpu",
];
const RVIC: &[&str] = &["rvic", "rvid"];

/// Where a module of `users` names one of `others`.
fn uses(found: &Crate, users: &[&str], others: &[&str]) -> Vec<String> {
    let is_of = |module: &Module, names: &[&str]| {
        let first = module.first();
        first.is_some_and(|first| names.contains(&&**first))
    };
    let mut all = Vec::new();
    for (module, (file, source)) in found.files.iter().filter(|(m, _)| is_of(m, users)) {
        for named in &source.named {
            let place = found.resolve(module, named, 16);
            if place.is_some_and(|(at, from)| is_of(&at, others) || is_of(&from, others)) {
                all.push(format!("{file}:{}: {}", named.line, named.path.join("::")));
            }
        }
    }
    all
}

#[test]
fn a_gic_and_an_rvic_have_no_state_in_common() {
    let core = Crate::read("rust-vgic/src");
    assert_eq!(uses(&core, RVIC, GIC), Vec::<String>::new());
    assert_eq!(uses(&core, GIC, RVIC), Vec::<String>::new());
    // That it would be seen: by its path, and through a re-export.
    let files = [
        ("lib.rs", "pub use vcpu::Vcpu; mod irq; mod rvic; mod vcpu;"),
        ("irq.rs", ""),
        ("vcpu.rs", "use crate::irq; pub struct Vcpu;"),
        ("rvic.rs", "use crate::Vcpu; fn f() { crate::irq::f() }"),
    ];
    let other = Crate::of(files.iter().copied());
    assert_eq!(uses(&other, RVIC, GIC).len(), 2);
    assert_eq!(uses(&other, GIC, RVIC).len(), 0);
}

/// What a function's registers mean has nothing to do with what its messages become, be that a GIC's or an rVIC's.
#[test]
fn msi_knows_nobody() {
    let core = Crate::read("rust-vgic/src");
    let all = core::FLOORS.iter().flat_map(|floor| floor.iter().copied());
    let others: Vec<&str> = all
        .filter(|name| !["msi", "slice"].contains(name))
        .collect();
    assert_eq!(uses(&core, &["msi"], &others), Vec::<String>::new());
    assert_eq!(uses(&core, &others, &["msi"]), Vec::<String>::new());
}

#[test]
fn the_mock_xen_has_its_floors() {
    assert_floors("harness", harness::FLOORS);
}

#[test]
fn the_tasks_have_their_floors() {
    assert_floors("xtask/src", xtask::FLOORS);
}

/// The faults of a crate that is not there.
fn faults(files: &[(&str, &str)], floors: &[&[&str]]) -> Vec<String> {
    Crate::of(files.iter().copied()).faults(floors)
}

const FLOORS: &[&[&str]] = &[&["low", "side"], &["wing"], &["high", "wing::top"]];

/// A crate with these floors in which `low.rs` says `text`.
fn with_low(text: &str) -> Vec<String> {
    let files = [
        (
            "lib.rs",
            "mod high; mod low; mod side; mod wing; pub use high::High;",
        ),
        ("low.rs", text),
        ("side.rs", "pub struct Side;"),
        (
            "wing.rs",
            "mod top; mod other; use crate::low::Low; use crate::side;",
        ),
        ("wing/other.rs", "fn f() { crate::low::f() }"),
        (
            "wing/top.rs",
            "use super::{Inner, other::f as g}; use crate::high::High;",
        ),
        (
            "high.rs",
            "use crate::{low::{self, Low}, wing::Wing}; use std::fmt;",
        ),
    ];
    faults(&files, FLOORS)
}

#[test]
fn what_is_below_or_beside_may_be_used() {
    for text in [
        "",
        "use crate::side::Side;",
        "use core::fmt; use other_crate::high::High; fn f() { fmt::f(); side::f() }",
        "//! crate::high::High\n/* use crate::high; /* */ */ const A: &str = \"crate::high::X\";",
        "const A: char = '\"'; fn f<'a>() -> impl Sized + use<'a> { r#\"crate::high::X\"# }",
        "#[cfg(test)]\nmod tests { use crate::high::High; }",
        "#[cfg(test)] use crate::high::{High, f}; #[cfg(test)] fn f<A, B>() { crate::high::f() }",
        "struct A { #[cfg(test)] b: crate::high::High, c: u8 } #[cfg(all(test, x))] const A: u8 = crate::high::A;",
        "mod inline { use super::Low; }",
    ] {
        assert_eq!(with_low(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_is_above_may_not() {
    for text in [
        "use crate::high::High;",
        "pub(crate) use crate::{side::Side, high};",
        "use super::high::High;",
        "use crate::High;",
        "fn f() { let _ = crate::high::f::<u8>(); }",
        "fn f(_: &super::High) {}",
        "mod inline { use super::super::high::High; }",
        "use crate::wing::Inner;",
        "use crate::wing::top::Top;",
        "use crate::side::Side; fn f() { crate::wing::f() }",
    ] {
        let faults = with_low(text);
        assert!(
            faults
                .iter()
                .any(|f| f.starts_with("low.rs:1: ") && f.contains("up to floor")),
            "{text}: {faults:?}"
        );
    }
    // A re-export does not bring it down, nor does an innocent place bring down what is found above.
    let files = [
        ("lib.rs", ""),
        ("low.rs", "use crate::high::Side;"),
        ("side.rs", ""),
        ("wing.rs", ""),
        ("wing/top.rs", ""),
        ("high.rs", "pub use crate::side::Side;"),
    ];
    assert_eq!(
        faults(&files, FLOORS),
        ["low.rs:1: crate::high::Side leads from floor 0 up to floor 2"]
    );
}

#[test]
fn circles_are_found_in_a_floor_and_in_a_wing() {
    let circle = |a: &str, b: &str, within: &str| {
        let files = [
            ("a.rs", a),
            ("b.rs", b),
            (
                "w/mod.rs",
                "pub use x::X; mod x; mod y; pub(crate) struct Own;",
            ),
            ("w/x.rs", "use super::y::Y; use super::Own;"),
            ("w/y.rs", within),
        ];
        faults(&files, &[&["a", "b", "w"]])
    };
    assert!(circle("use crate::b::B;", "use crate::w;", "").is_empty());
    assert_eq!(
        circle("use crate::b::B;", "fn f() { super::a::f() }", ""),
        ["a circle: a -> b -> a"]
    );
    // Through a file of a wing, and through its face.
    assert_eq!(
        circle("use crate::w::X;", "", "use crate::a::A;"),
        ["a circle: a -> w -> a", "a circle: a -> w::x -> w::y -> a"]
    );
    assert_eq!(
        circle("", "", "use crate::w::X;"),
        ["a circle: w::x -> w::y -> w::x"]
    );
}

#[test]
fn every_module_is_on_one_floor() {
    let files = [
        ("lib.rs", ""),
        ("a.rs", ""),
        ("b.rs", "#[cfg(test)] mod fake;"),
        ("b/fake.rs", ""),
    ];
    assert_eq!(faults(&files, &[&["a"]]), ["b.rs is on no floor"]);
    assert_eq!(
        faults(&files, &[&["a", "b"], &["c"]]),
        ["there is no module c"]
    );
    assert_eq!(
        faults(&files, &[&["a", "b"], &["a"]]),
        ["a module is on two floors"]
    );
}
