// SPDX-License-Identifier: GPL-2.0-only
//! What leads to what in a static library: its sections, of which each has one function or one piece of data, and what their
//! relocations name.

use anyhow::{Context, Result, bail};
use object::elf::SHF_EXECINSTR;
use object::{
    Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionFlags, SectionIndex, SymbolKind,
};
use prelink::{PROVIDED_BY_XEN, archive};
use std::collections::{BTreeSet, HashMap};

/// Bytes of an instruction of AArch64.
const INSTRUCTION: u64 = 4;

/// A function, or data.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// As the linker knows it.
    pub name: String,
    /// None: data.
    pub instructions: u64,
    /// What it calls, jumps to, or has the address of.
    to: BTreeSet<usize>,
}

impl Node {
    /// Where it is defined, or the instance of a generic function first mentions a crate of ours: `["rust_vgic", "rvic"]`, and what
    /// follows. Empty: no crate of ours.
    pub fn path(&self) -> Vec<&str> {
        let crates = ["9rust_vgic", "8xen_glue"];
        let first = crates.iter().filter_map(|c| self.name.find(c)).min();
        let mut rest = first.map_or("", |at| &self.name[at..]);
        let mut path = Vec::new();
        // In v0 mangling each name is its length and itself; what follows a path begins with a letter.
        loop {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (length, name) = rest.split_at(digits);
            let Some(part) = length.parse().ok().and_then(|n: usize| name.get(..n)) else {
                return path;
            };
            path.push(part);
            rest = &name[part.len()..];
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    /// Those that other objects can name.
    global: HashMap<String, usize>,
}

impl Graph {
    /// Reads what of a static library is linked where these are exported.
    pub fn read(library: &[u8], exports: &[String]) -> Result<Graph> {
        let mut graph = Graph::default();
        let mut members = Vec::new();
        for member in archive::needed(library, exports)? {
            let file = object::File::parse(member.data).context("the library is broken")?;
            let sections = graph.add_sections(&file)?;
            members.push((file, sections));
        }
        for (file, sections) in &members {
            graph.add_edges(file, sections)?;
        }
        Ok(graph)
    }

    fn add_sections(&mut self, file: &object::File) -> Result<HashMap<SectionIndex, usize>> {
        let mut sections = HashMap::new();
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
                bail!("the library has an object that is not ELF");
            };
            let code = sh_flags.contains(SHF_EXECINSTR);
            sections.insert(section.index(), self.nodes.len());
            self.nodes.push(Node {
                name: section.name()?.to_owned(),
                instructions: if code {
                    section.size() / INSTRUCTION
                } else {
                    0
                },
                to: BTreeSet::new(),
            });
        }
        for symbol in file.symbols().filter(|s| s.is_definition()) {
            let at = symbol.section_index().and_then(|s| sections.get(&s));
            let (Some(&at), name) = (at, symbol.name()?) else {
                continue;
            };
            if symbol.kind() == SymbolKind::Text && !name.starts_with(['$', '.']) {
                self.nodes[at].name = name.to_owned();
            }
            if symbol.is_global() && !PROVIDED_BY_XEN.contains(&name) {
                self.global.entry(name.to_owned()).or_insert(at);
            }
        }
        Ok(sections)
    }

    fn add_edges(
        &mut self,
        file: &object::File,
        sections: &HashMap<SectionIndex, usize>,
    ) -> Result<()> {
        for section in file.sections() {
            for (_, relocation) in section.relocations() {
                let RelocationTarget::Symbol(index) = relocation.target() else {
                    bail!("{}: a relocation without a symbol", section.name()?);
                };
                let symbol = file.symbol_by_index(index)?;
                // What is in no object of the library is Xen's.
                let to = match symbol.section_index() {
                    Some(section) => sections.get(&section),
                    None => self.global.get(symbol.name()?),
                };
                if let (Some(from), Some(&to)) = (sections.get(&section.index()), to) {
                    self.nodes[*from].to.insert(to);
                }
            }
        }
        Ok(())
    }

    /// The function of this name.
    pub fn named(&self, name: &str) -> Result<usize> {
        let at = self.global.get(name).copied();
        at.with_context(|| format!("the library has no {name}"))
    }

    /// The nodes of a closure.
    pub fn nodes(&self, of: &BTreeSet<usize>) -> impl Iterator<Item = &Node> {
        of.iter().filter_map(|&n| self.nodes.get(n))
    }

    /// All that these lead to, and themselves; only those ways are taken that `follow` takes.
    pub fn closure(
        &self,
        roots: impl IntoIterator<Item = usize>,
        follow: impl Fn(&Node, &Node) -> bool,
    ) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<usize> = roots.into_iter().collect();
        while let Some(at) = open.pop() {
            if !reached.insert(at) {
                continue;
            }
            let from = &self.nodes[at];
            open.extend(from.to.iter().filter(|&&to| follow(from, &self.nodes[to])));
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(nodes: &[(&str, &[usize])]) -> Graph {
        let node = |&(name, to): &(&str, &[usize])| Node {
            name: name.into(),
            instructions: 1,
            to: to.iter().copied().collect(),
        };
        let global = nodes
            .iter()
            .enumerate()
            .map(|(n, (name, _))| ((*name).into(), n));
        Graph {
            global: global.collect(),
            nodes: nodes.iter().map(node).collect(),
        }
    }

    #[test]
    fn a_closure_has_all_that_its_roots_lead_to_once() {
        // a and b share c, which leads back to a by way of d; nothing leads to e.
        let graph = graph(&[
            ("a", &[2]),
            ("b", &[2]),
            ("c", &[3]),
            ("d", &[0, 3]),
            ("e", &[0]),
        ]);
        let all = |_: &Node, _: &Node| true;
        let of = |names: &[&str]| -> Vec<&str> {
            let roots: Vec<usize> = names.iter().map(|n| graph.named(n).unwrap()).collect();
            let reached = graph.closure(roots, all);
            graph.nodes(&reached).map(|n| n.name.as_str()).collect()
        };
        assert_eq!(of(&["a"]), ["a", "c", "d"]);
        assert_eq!(of(&["a", "b", "b"]), ["a", "b", "c", "d"]);
        assert_eq!(of(&[]), [""; 0]);
        assert!(graph.named("f").is_err());
    }

    #[test]
    fn a_way_that_is_not_taken_leads_nowhere_and_another_one_may() {
        let graph = graph(&[("a", &[1, 2]), ("b", &[3]), ("c", &[3]), ("d", &[])]);
        let without_b = graph.closure([0], |_, to| to.name != "b");
        assert_eq!(without_b, BTreeSet::from([0, 2, 3]));
        let only_from_b = graph.closure([0], |from, to| from.name != "c" && to.name != "b");
        assert_eq!(only_from_b, BTreeSet::from([0, 2]));
    }

    #[test]
    fn a_function_is_where_its_name_first_mentions_us() {
        let path = |name: &str| {
            let node = Node {
                name: name.into(),
                ..Node::default()
            };
            node.path().join("::")
        };
        assert_eq!(path("memcpy"), "");
        assert_eq!(path("_RNvNtCs3g_4core9panicking5panic"), "");
        assert_eq!(
            path("_RNvNtNtCs9M_8xen_glue7exports4rvic5enter"),
            "xen_glue::exports::rvic::enter"
        );
        // A method is where its implementation is, not its type.
        assert_eq!(
            path(
                "_RINvMNtNtCsk4_9rust_vgic3lpi8deliveryINtNtB5_6domain6DomainNtNtCs9M_8xen_glue4host7XenHostE"
            ),
            "rust_vgic::lpi::delivery"
        );
        assert_eq!(
            path("_RINvNtCs3g_4core3ptr13drop_in_placeNtNtCsk4_9rust_vgic3lpi4LpisE"),
            "rust_vgic::lpi::Lpis"
        );
    }
}
