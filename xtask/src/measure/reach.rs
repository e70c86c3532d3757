// SPDX-License-Identifier: GPL-2.0-only
//! `reach`: how many instructions of ours a guest can reach, by what its domain has for an interrupt controller.
//!
//! Counted are the functions of the static library that goes into Xen, each whole: those that Xen calls because of what a guest
//! does ([`Kind::entries`]), and all that these call, jump to or have the address of, be it by way of a table. Xen's own functions and
//! the C half are left out, for all alike. Which branch is taken nobody can see from outside: an export that serves a GIC and
//! an rVIC counts whole for both, and what it leads to counts for that of the two whose it is. Of what serves all GICs, the
//! modules for what a domain does not have ([`Kind::without`]) are not followed; the last column has them, too.

mod graph;

use crate::hypervisor::arguments::{TreeArguments, Vgic, XenArguments};
use crate::hypervisor::xen;
use crate::{paths, table};
use anyhow::{Context, Result};
use clap::Args;
use graph::{Graph, Node};
use prelink::lists::SymbolList;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// What to look at.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    #[command(flatten)]
    pub tree: TreeArguments,
    /// A libxen_glue.a of a Xen build, whatever --xen or XEN_TREE says; else the hypervisor is built with CONFIG_DEBUG=n
    #[arg(long = "library", value_name = "FILE")]
    pub built: Option<PathBuf>,
}

/// What Xen calls for any guest: as it exits and enters, when it waits, switches CPUs on and off or suspends, and for an interrupt
/// of any device.
const COMMON: [&str; 9] = [
    "rvgic_sync_from",
    "rvgic_sync_to",
    "vgic_clear_pending_irqs",
    "vgic_evtchn_irq_pending",
    "vgic_inject_irq",
    "vgic_vcpu_inject_irq",
    "vgic_vcpu_off",
    "vgic_vcpu_pending_irq",
    "vgic_vcpu_resumed",
];

/// What it calls for any with a GIC: list registers, and the virtual timer, which is mapped to the host's.
const GIC: [&str; 6] = [
    "rvgic_dist_read",
    "rvgic_dist_write",
    "rvgic_private_fired",
    "rvgic_private_load",
    "rvgic_private_unload",
    "vgic_maintenance_interrupt",
];

const GICV2: [&str; 1] = ["rvgic_write_dir"];

const GICV3: [&str; 5] = [
    "rvgic_icc_read",
    "rvgic_icc_write",
    "rvgic_redist_read",
    "rvgic_redist_write",
    "rvgic_send_sgi",
];

const ITS: [&str; 4] = [
    "rvgic_inject_lpi",
    "rvgic_its_read",
    "rvgic_its_write",
    "rvgic_message",
];

const RVIC: [&str; 2] = ["rvgic_rvic_call", "rvgic_rvic_message"];

/// The modules of the rVIC, in the core and beside it.
const RVICS: [&[&str]; 3] = [
    &["rust_vgic", "rvic"],
    &["rust_vgic", "rvid"],
    &["xen_glue", "exports", "rvic"],
];

/// What a domain has for an interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    V2,
    V3,
    V3Its,
    Rvic,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::V2, Kind::V3, Kind::V3Its, Kind::Rvic];

    fn name(self) -> &'static str {
        match self {
            Kind::V2 => "GICv2",
            Kind::V3 => "GICv3",
            Kind::V3Its => "GICv3 with an ITS",
            Kind::Rvic => "rVIC and rVID",
        }
    }

    /// Exports that its guest reaches.
    fn entries(self) -> Vec<&'static str> {
        let parts: &[&[&str]] = match self {
            Kind::V2 => &[&COMMON, &GIC, &GICV2],
            Kind::V3 => &[&COMMON, &GIC, &GICV3],
            Kind::V3Its => &[&COMMON, &GIC, &GICV3, &ITS],
            Kind::Rvic => &[&COMMON, &RVIC],
        };
        parts.concat()
    }

    /// Modules of the core for what it does not have, beside the rVIC's.
    fn without(self) -> &'static [&'static str] {
        match self {
            Kind::V2 => &["gicv3", "redistributor", "lpi", "its"],
            Kind::V3 => &["gicv2", "lpi", "its"],
            Kind::V3Its => &["gicv2"],
            Kind::Rvic => &[],
        }
    }

    /// Does its guest get from one to the other?
    fn follows(self, from: &Node, to: &Node) -> bool {
        let shared = COMMON.contains(&from.name.as_str());
        match self {
            Kind::Rvic => !shared || is_rvics(to),
            _ => !shared || !is_rvics(to),
        }
    }

    /// And only to what its domain has?
    fn has(self, to: &Node) -> bool {
        let path = to.path();
        !self
            .without()
            .iter()
            .any(|m| path.starts_with(&["rust_vgic", m]))
    }
}

fn is_rvics(node: &Node) -> bool {
    let path = node.path();
    RVICS.iter().any(|m| path.starts_with(m))
}

/// Functions and their instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    functions: usize,
    instructions: u64,
}

impl Size {
    fn of(graph: &Graph, reached: &BTreeSet<usize>) -> Size {
        let functions = graph.nodes(reached).filter(|n| n.instructions != 0);
        functions.fold(Size::default(), |sum, n| Size {
            functions: sum.functions + 1,
            instructions: sum.instructions + n.instructions,
        })
    }
}

/// What a kind's guest reaches: without the modules for what it does not have, and with them.
fn sizes(graph: &Graph, kind: Kind) -> Result<[Size; 2]> {
    let entries = kind.entries();
    let roots: Result<Vec<usize>> = entries.iter().map(|e| graph.named(e)).collect();
    let roots = roots?;
    let own = graph.closure(roots.iter().copied(), |from, to| {
        kind.follows(from, to) && kind.has(to)
    });
    let most = graph.closure(roots, |from, to| kind.follows(from, to));
    Ok([Size::of(graph, &own), Size::of(graph, &most)])
}

/// Counts.
///
/// # Errors
/// If Xen cannot be built, or what it made is not what goes into it.
pub fn reach(arguments: &Arguments) -> Result<()> {
    let library = match &arguments.built {
        Some(library) => library.clone(),
        None => built(&arguments.tree)?,
    };
    let bytes = fs::read(&library).with_context(|| format!("cannot read {}", library.display()))?;
    let exports = SymbolList::read(&paths::root().join("xen-glue/exports.list"))?.names;
    let graph = Graph::read(&bytes, &exports)?;
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        let [own, most] = sizes(&graph, kind)?;
        rows.push([
            kind.name().to_owned(),
            own.functions.to_string(),
            own.instructions.to_string(),
            most.instructions.to_string(),
        ]);
    }
    let all: Result<Vec<usize>> = exports.iter().map(|e| graph.named(e)).collect();
    let all = Size::of(&graph, &graph.closure(all?, |_, _| true));
    rows.push([
        "all that goes into Xen".into(),
        all.functions.to_string(),
        all.instructions.to_string(),
        all.instructions.to_string(),
    ]);
    let header = ["a guest with", "functions", "instructions", "at most"];
    println!("{}", table::numbers(header, &rows));
    Ok(())
}

/// The library of a Xen that is built for this.
fn built(tree: &TreeArguments) -> Result<PathBuf> {
    let arguments = XenArguments {
        vgic: Vgic::Rust,
        tree: tree.clone(),
        espi: false,
        its: false,
        smmu: false,
        record: false,
    };
    let built = xen::build(&arguments, true)?;
    Ok(built
        .symbols
        .with_file_name("arch/arm/vgic-rust/libxen_glue.a"))
}
