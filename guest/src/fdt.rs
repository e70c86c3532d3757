// SPDX-License-Identifier: GPL-2.0-only
//! As much of the device tree as a test of the interrupt controller needs (Devicetree Specification, chapter 5).
//!
//! Only the nodes right below the root are looked at, those below them, and /cpus and /chosen; a tree that is damaged gives less, no fault.

use crate::cpu::MOST;
use crate::gic::Version;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;

/// A table of registers: address and size.
pub type Region = (usize, usize);

/// What was found.
pub struct Machine {
    /// Address of the UART.
    pub console: Option<usize>,
    /// The interrupt controller: version, distributor, and CPU interface or redistributors.
    pub gic: Option<(Version, Region, Region)>,
    /// The first ITS, and the first GICv2m frame: nodes below the interrupt controller's.
    pub its: Option<Region>,
    pub v2m: Option<Region>,
    /// The nodes of an rVIC and an rVID, and of those whose interrupts they are.
    pub rvic: Option<Node>,
    pub rvid: Option<Node>,
    pub timer: Option<Node>,
    pub uart: Option<Node>,
    pub hypervisor: Option<Node>,
    /// Whose interrupts those of all are that do not say so.
    pub interrupt_parent: Option<u32>,
    /// MPIDRs of the CPUs.
    pub cpus: [Option<u64>; MOST],
    /// The command line.
    arguments: &'static str,
}

/// What is said of a node.
#[derive(Default, Clone, Copy)]
pub struct Node {
    compatible: &'static [u8],
    reg: &'static [u8],
    interrupts: &'static [u8],
    interrupt_parent: &'static [u8],
    interrupt_cells: &'static [u8],
    phandle: &'static [u8],
    msi_range: &'static [u8],
    /// `msi-controller`.
    pub takes_messages: bool,
    /// `xen,level-inputs`.
    pub has_levels: bool,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let part = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(part.try_into().ok()?))
}

/// A zero-terminated string.
fn string(bytes: &'static [u8]) -> &'static str {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    bytes
        .get(..end)
        .and_then(|b| core::str::from_utf8(b).ok())
        .unwrap_or("")
}

impl Node {
    /// A cell of its interrupts.
    pub fn interrupt(&self, cell: usize) -> Option<u32> {
        word(self.interrupts, cell * 4)
    }

    /// The phandle of who takes them, if it says so itself.
    pub fn interrupt_parent(&self) -> Option<u32> {
        word(self.interrupt_parent, 0)
    }

    /// How many cells an interrupt of those has that it takes.
    pub fn interrupt_cells(&self) -> Option<u32> {
        word(self.interrupt_cells, 0)
    }

    pub fn phandle(&self) -> Option<u32> {
        word(self.phandle, 0)
    }

    /// `msi-range`: the first input, and how many.
    pub fn messages(&self) -> Option<(u32, u32)> {
        word(self.msi_range, 0).zip(word(self.msi_range, 4))
    }

    fn is(&self, name: &str) -> bool {
        self.compatible
            .split(|&b| b == 0)
            .any(|c| c == name.as_bytes())
    }

    /// The `n`th entry of reg, with two cells for the address and two for the size.
    fn region(&self, n: usize) -> Option<Region> {
        let cell = |i: usize| word(self.reg, n * 16 + i * 4).map(|v| v as usize);
        Some((cell(0)? << 32 | cell(1)?, cell(2)? << 32 | cell(3)?))
    }
}

impl Machine {
    /// Reads the tree at `address`.
    ///
    /// # Safety
    /// There is a device tree, or anything else that can be read, and nobody writes there.
    pub unsafe fn read(address: usize) -> Machine {
        let mut machine = Machine {
            console: None,
            gic: None,
            its: None,
            v2m: None,
            rvic: None,
            rvid: None,
            timer: None,
            uart: None,
            hypervisor: None,
            interrupt_parent: None,
            cpus: [None; MOST],
            arguments: "",
        };
        // SAFETY: the caller's promise covers the header.
        let header: &'static [u8] =
            unsafe { core::slice::from_raw_parts(address as *const u8, 40) };
        if word(header, 0) == Some(0xd00d_feed)
            && let Some(size) = word(header, 4)
        {
            // SAFETY: the header has its magic number, so the size is the tree's.
            let tree: &'static [u8] =
                unsafe { core::slice::from_raw_parts(address as *const u8, size as usize) };
            machine.walk(tree);
        }
        machine
    }

    fn walk(&mut self, tree: &'static [u8]) -> Option<()> {
        let (mut at, strings) = (word(tree, 8)? as usize, word(tree, 12)? as usize);
        let (mut depth, mut cpus) = (0_usize, 0);
        let mut node = Node::default();
        // The first two levels of the path.
        let mut path = ["", ""];
        loop {
            let token = word(tree, at)?;
            at += 4;
            match token {
                BEGIN_NODE => {
                    self.found(depth, path, &node, &mut cpus);
                    node = Node::default();
                    let name = string(tree.get(at..)?);
                    if let Some(place) = depth.checked_sub(1).and_then(|d| path.get_mut(d)) {
                        *place = name;
                    }
                    depth += 1;
                    at = (at + name.len() + 1).next_multiple_of(4);
                }
                END_NODE => {
                    self.found(depth, path, &node, &mut cpus);
                    node = Node::default();
                    depth = depth.checked_sub(1)?;
                    if let Some(place) = depth.checked_sub(1).and_then(|d| path.get_mut(d)) {
                        *place = "";
                    }
                }
                PROP => {
                    let (length, name) = (word(tree, at)? as usize, word(tree, at + 4)? as usize);
                    let value = tree.get(at + 8..(at + 8).checked_add(length)?)?;
                    at = (at + 8 + length).next_multiple_of(4);
                    match string(tree.get(strings.checked_add(name)?..)?) {
                        "compatible" => node.compatible = value,
                        "reg" => node.reg = value,
                        "interrupts" => node.interrupts = value,
                        "interrupt-parent" => node.interrupt_parent = value,
                        "#interrupt-cells" => node.interrupt_cells = value,
                        "phandle" => node.phandle = value,
                        "msi-range" => node.msi_range = value,
                        "msi-controller" => node.takes_messages = true,
                        "xen,level-inputs" => node.has_levels = true,
                        "bootargs" if path == ["chosen", ""] => self.arguments = string(value),
                        _ => {}
                    }
                }
                NOP => {}
                _ => return None,
            }
        }
    }

    fn found(&mut self, depth: usize, path: [&str; 2], node: &Node, cpus: &mut usize) {
        let [first, second] = path;
        if depth == 3 && first == "cpus" && (second == "cpu" || second.starts_with("cpu@")) {
            if let Some(place) = self.cpus.get_mut(*cpus) {
                let cells = node.reg.chunks_exact(4).filter_map(|c| word(c, 0));
                *place = Some(cells.fold(0, |v, c| v << 32 | u64::from(c)));
            }
            *cpus += usize::from(!node.reg.is_empty());
        }
        if depth == 1 {
            self.interrupt_parent = self.interrupt_parent.or(node.interrupt_parent());
        }
        if depth == 3 && node.is("arm,gic-v3-its") {
            self.its = self.its.or(node.region(0));
        }
        if depth == 3 && node.is("arm,gic-v2m-frame") {
            self.v2m = self.v2m.or(node.region(0));
        }
        if depth != 2 {
            return;
        }
        if node.is("arm,pl011") || node.is("arm,sbsa-uart") {
            self.console = node.region(0).map(|r| r.0);
        }
        for (place, name) in [
            (&mut self.rvic, "arm,rvic"),
            (&mut self.rvid, "arm,rvid"),
            (&mut self.timer, "arm,armv8-timer"),
            (&mut self.uart, "arm,sbsa-uart"),
            (&mut self.hypervisor, "xen,xen"),
        ] {
            if node.is(name) {
                *place = Some(*node);
            }
        }
        let version = if node.is("arm,gic-v3") {
            Version::V3
        } else if node.is("arm,cortex-a15-gic") || node.is("arm,gic-400") {
            Version::V2
        } else {
            return;
        };
        self.gic = node
            .region(0)
            .zip(node.region(1))
            .map(|(d, other)| (version, d, other));
    }

    /// What the command line says of the interrupt controller's version, where the tree says nothing.
    pub fn argument_version(&self) -> Option<Version> {
        self.arguments
            .split_whitespace()
            .find_map(|word| match word {
                "gic=v2" => Some(Version::V2),
                "gic=v3" => Some(Version::V3),
                _ => None,
            })
    }

    /// What follows upon a key on the command line.
    fn argument(&self, key: &str) -> Option<&'static str> {
        self.arguments
            .split_whitespace()
            .find_map(|word| word.strip_prefix(key))
    }

    /// `latency=N`: to measure so many of each kind.
    pub fn latency(&self) -> Option<usize> {
        self.argument("latency=")?.parse().ok()
    }

    /// `figure=KIND count=N`: to make so many interrupts of a kind.
    pub fn figure(&self) -> Option<(&'static str, usize)> {
        let count = self.argument("count=")?.parse().ok()?;
        Some((self.argument("figure=")?, count))
    }

    /// `messages=N`: to take what a device model sends.
    pub fn messages(&self) -> Option<usize> {
        self.argument("messages=")?.parse().ok()
    }

    /// `copies=N`: to count while a program in another domain saves and restores the interrupt controller.
    pub fn copies(&self) -> Option<usize> {
        self.argument("copies=")?.parse().ok()
    }

    /// `seconds=N`: to end the counting after that, where there is no such program.
    pub fn seconds(&self) -> Option<u64> {
        self.argument("seconds=")?.parse().ok()
    }

    /// `resets=N`: to reset the system after the cases, in place of switching it off.
    pub fn resets(&self) -> Option<usize> {
        self.argument("resets=")?.parse().ok()
    }

    /// `limits=LPIs,devices,events`: what an ITS has room for; zeros where nobody says so.
    pub fn limits(&self) -> [usize; 3] {
        let mut limits = [0; 3];
        let numbers = self.argument("limits=").unwrap_or("").split(',');
        for (limit, number) in limits.iter_mut().zip(numbers) {
            *limit = number.parse().unwrap_or(0);
        }
        limits
    }

    /// Whether the case is to run: `only=part,part` on the command line asks for those with such a part in their names,
    /// `skip=part,part` for all but those.
    pub fn asks_for(&self, name: &str) -> bool {
        let listed = |parts: &str| parts.split(',').any(|part| name.contains(part));
        self.argument("only=").is_none_or(listed) && !self.argument("skip=").is_some_and(listed)
    }
}
