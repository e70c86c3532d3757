// SPDX-License-Identifier: GPL-2.0-only
//! The device tree of a boot: QEMU's own, with the nodes below /chosen that tell Xen what to start.
//!
//! Their form is Xen's documented boot protocol (docs/misc/arm/device-tree/booting.txt in its tree).

use crate::command::run;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The start of the machine's memory.
const RAM: u64 = 0x4000_0000;
/// QEMU puts the hypervisor and the device tree into the first 128 MiB and a bit; modules come behind.
const MODULES: u64 = RAM + 0x0900_0000;
/// Modules start at multiples of this.
const ALIGNMENT: u64 = 0x20_0000;

/// A file in memory that Xen is told of.
#[derive(Clone, Debug)]
pub struct Module {
    /// The file.
    pub file: PathBuf,
    /// Its place.
    pub address: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// What is in memory when Xen starts.
pub struct Layout {
    /// Dom0's kernel and initrd.
    pub dom0: [Module; 2],
    /// The DomUs' kernel and initrd; they share one copy, but not with Dom0.
    pub domu: Option<[Module; 2]>,
    /// The test guest, where it is one domain more.
    pub test: Option<Module>,
}

/// What the device tree says beside the layout.
pub struct Chosen<'a> {
    /// Xen's command line.
    pub xen: &'a str,
    /// Dom0's command line.
    pub dom0: &'a str,
    /// The DomUs' command line, but for the name of each.
    pub domu: &'a str,
    /// How many there are.
    pub domus: u32,
    /// vCPUs of each.
    pub domu_cpus: u32,
    /// Memory of each in KiB.
    pub domu_memory: u32,
    /// They have what messages are sent to.
    pub msi: bool,
    /// The test guest's command line.
    pub test: &'a str,
    /// The interrupt controller of the test guest, and of the domains that Dom0 creates.
    pub controller: Controller,
    /// The first DomU may get PCI devices.
    pub passthrough: bool,
    /// Keep `SPARE` from Dom0's kernel, so that its interrupt can go to the domains that Dom0 creates.
    pub spare: bool,
}

/// A device with an interrupt and nothing behind it: the last of QEMU's empty virtio slots, SPI 47 (INTID 79).
const SPARE: &str = "/virtio_mmio@a003e00";
/// It as an SPI that is high while it is asserted, where QEMU's tree has an edge.
const SPARE_LEVEL: [u64; 3] = [0, 47, 4];

impl Module {
    /// A file in the first place there is for one.
    pub fn new(file: PathBuf) -> Result<Module> {
        let size = fs::metadata(&file)
            .with_context(|| format!("cannot read {}", file.display()))?
            .len();
        Ok(Module {
            file,
            address: MODULES,
            size,
        })
    }

    /// A file in the next one.
    pub fn followed_by(&self, file: PathBuf) -> Result<Module> {
        let address = (self.address + self.size).next_multiple_of(ALIGNMENT);
        Ok(Module {
            address,
            ..Module::new(file)?
        })
    }
}

impl Layout {
    /// Places the modules one after the other; the initrds are Dom0's and the others'.
    pub fn new(
        kernel: &Path,
        [of_dom0, initrd]: [&Path; 2],
        domus: bool,
        test: Option<&Path>,
    ) -> Result<Layout> {
        let mut next = MODULES;
        let mut place = |file: &Path| -> Result<Module> {
            let mut module = Module::new(file.to_path_buf())?;
            module.address = next;
            next = (next + module.size).next_multiple_of(ALIGNMENT);
            Ok(module)
        };
        let dom0 = [place(kernel)?, place(of_dom0)?];
        let domu = if domus {
            Some([place(kernel)?, place(initrd)?])
        } else {
            None
        };
        let test = test.map(place).transpose()?;
        Ok(Layout { dom0, domu, test })
    }

    /// All modules.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        let domains = self.dom0.iter().chain(self.domu.iter().flatten());
        domains.chain(&self.test)
    }
}

/// Writes the device tree for `machine` (QEMU and its arguments) to `file`.
pub fn write(file: &Path, machine: &[String], layout: &Layout, chosen: &Chosen) -> Result<()> {
    let tree = Tree::of(file, machine, chosen.xen)?;
    tree.strings("/chosen", "xen,dom0-bootargs", &[chosen.dom0])?;
    tree.modules("/chosen", &layout.dom0, chosen.dom0)?;
    if chosen.spare {
        tree.put(&[SPARE, "xen,passthrough"])?;
        if chosen.controller != Controller::Gic {
            // An rVID takes only levels of the host's.
            tree.numbers(SPARE, "interrupts", &SPARE_LEVEL)?;
        }
    }
    for n in 1..=chosen.domus {
        let Some(modules) = &layout.domu else {
            continue;
        };
        let node = format!("/chosen/domU{n}");
        tree.domain(&node, chosen.domu_memory, chosen.domu_cpus, chosen.msi)?;
        if chosen.passthrough && n == 1 {
            tree.strings(&node, "passthrough", &["enabled"])?;
            tree.put(&[&node, "xen,vpci"])?;
        }
        tree.modules(&node, modules, &format!("{} role=domU{n}", chosen.domu))?;
    }
    match &layout.test {
        Some(kernel) => tree.test(
            &format!("/chosen/domU{}", chosen.domus + 1),
            &Test {
                kernel,
                bootargs: chosen.test,
                msi: chosen.msi,
                controller: chosen.controller,
            },
        ),
        None => Ok(()),
    }
}

/// The interrupt controller of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// As the host's.
    Gic,
    /// An rVIC and an rVID, whose inputs are levels or not.
    Rvic { levels: bool },
}

impl Controller {
    /// The part of a file's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Controller::Gic => "",
            Controller::Rvic { levels: false } => "-rvic",
            Controller::Rvic { levels: true } => "-rvic-levels",
        }
    }

    /// What of it is said in a last line.
    pub fn words(self) -> &'static str {
        match self {
            Controller::Gic => "",
            Controller::Rvic { levels: false } => " guest=rvic",
            Controller::Rvic { levels: true } => " guest=rvic levels=yes",
        }
    }
}

/// The test guest: all that it has is a kernel and a command line.
pub struct Test<'a> {
    /// Its image.
    pub kernel: &'a Module,
    /// Its command line.
    pub bootargs: &'a str,
    /// It has what messages are sent to.
    pub msi: bool,
    /// Its interrupt controller.
    pub controller: Controller,
}

/// The same for the test guest without a Dom0; Xen gets `options` beside its usual ones.
pub fn write_alone(file: &Path, machine: &[String], test: &Test, options: &str) -> Result<()> {
    let xen = format!("console=dtuart loglvl=all guest_loglvl=all noreboot{options}");
    let tree = Tree::of(file, machine, &xen)?;
    tree.test("/chosen/domU1", test)
}

/// The flags of an interrupt in the tree: how it triggers, and that it does so by a rising edge.
const TRIGGER: u64 = 0xf;
const EDGE_RISING: u64 = 1;
/// The virtual timer's interrupt is the third of the timer's, of three cells each; its flags are the last.
const TIMER: &str = "/timer";
const VIRTUAL_TIMER_FLAGS: usize = 2 * 3 + 2;

/// Has a tree say that the virtual timer's interrupt is an edge, which it is on no machine, but in some trees.
pub fn make_timer_edge(file: &Path) -> Result<()> {
    let mut get = Command::new("fdtget");
    get.args(["-t", "x"]).arg(file).args([TIMER, "interrupts"]);
    let text = run(&mut get, "read the device tree", None)?;
    let cells = text.split_whitespace().map(|c| u64::from_str_radix(c, 16));
    let mut cells: Vec<u64> = cells
        .collect::<Result<_, _>>()
        .context("the device tree's timer has no interrupts")?;
    let Some(flags) = cells.get_mut(VIRTUAL_TIMER_FLAGS) else {
        bail!("the device tree's timer has no virtual one");
    };
    *flags = *flags & !TRIGGER | EDGE_RISING;
    Tree { file }.numbers(TIMER, "interrupts", &cells)
}

/// A tree in a file.
pub struct Tree<'a> {
    file: &'a Path,
}

impl<'a> Tree<'a> {
    /// One that is there.
    pub fn at(file: &'a Path) -> Self {
        Tree { file }
    }

    /// QEMU's own, with what Xen wants to know in any case.
    fn of(file: &'a Path, machine: &[String], xen: &str) -> Result<Self> {
        let Some((qemu, arguments)) = machine.split_first() else {
            bail!("no machine")
        };
        run(
            Command::new(qemu)
                .args(arguments)
                .arg("-machine")
                .arg(format!("dumpdtb={}", file.display())),
            "ask QEMU for its device tree",
            None,
        )?;
        let tree = Tree { file };
        tree.numbers("/chosen", "#address-cells", &[2])?;
        tree.numbers("/chosen", "#size-cells", &[2])?;
        tree.strings("/chosen", "xen,xen-bootargs", &[xen])?;
        Ok(tree)
    }

    /// A guest, but for its modules. Memory is in KiB.
    fn domain(&self, node: &str, memory: u32, cpus: u32, msi: bool) -> Result<()> {
        self.strings(node, "compatible", &["xen,domain"])?;
        self.numbers(node, "#address-cells", &[2])?;
        self.numbers(node, "#size-cells", &[2])?;
        self.numbers(node, "memory", &[0, memory.into()])?;
        self.numbers(node, "cpus", &[cpus.into()])?;
        self.put(&[node, "vpl011"])?;
        if msi {
            self.put(&[node, "xen,arm-msi"])?;
        }
        Ok(())
    }

    /// The test guest, which has the CPUs that its cases are written for.
    fn test(&self, node: &str, test: &Test) -> Result<()> {
        let cpus = match test.controller {
            Controller::Gic => 2,
            Controller::Rvic { .. } => 4,
        };
        self.domain(node, 32 * 1024, cpus, test.msi)?;
        if let Controller::Rvic { levels } = test.controller {
            self.strings(node, "xen,vgic", &["rvic"])?;
            // Its event channels are another source of interrupts.
            self.strings(node, "xen,enhanced", &["no-xenstore"])?;
            if levels {
                self.put(&[node, "xen,rvid-level-inputs"])?;
            }
        }
        self.module(node, test.kernel, "multiboot,kernel")?;
        self.strings(&place(node, test.kernel), "bootargs", &[test.bootargs])
    }

    /// What else `fdtput` takes: a node and a property without a value, for one.
    pub fn put(&self, arguments: &[&str]) -> Result<()> {
        run(
            Command::new("fdtput")
                .arg("-p")
                .arg(self.file)
                .args(arguments),
            "edit the device tree",
            None,
        )
        .map(drop)
    }

    /// Writes a property of strings.
    pub fn strings(&self, node: &str, property: &str, values: &[&str]) -> Result<()> {
        let mut arguments = vec!["-t", "s", node, property];
        arguments.extend(values);
        self.put(&arguments)
    }

    /// Writes 32-bit cells.
    fn numbers(&self, node: &str, property: &str, cells: &[u64]) -> Result<()> {
        let cells: Vec<String> = cells.iter().map(|c| format!("{c:#x}")).collect();
        let mut arguments = vec!["-t", "x", node, property];
        arguments.extend(cells.iter().map(String::as_str));
        self.put(&arguments)
    }

    fn modules(&self, parent: &str, [kernel, initrd]: &[Module; 2], bootargs: &str) -> Result<()> {
        self.module(parent, kernel, "multiboot,kernel")?;
        self.strings(&place(parent, kernel), "bootargs", &[bootargs])?;
        self.module(parent, initrd, "multiboot,ramdisk")
    }

    /// Tells of a module.
    pub fn module(&self, parent: &str, module: &Module, kind: &str) -> Result<()> {
        let node = place(parent, module);
        self.strings(&node, "compatible", &[kind, "multiboot,module"])?;
        let cells = [module.address, module.size].map(|v| [v >> 32, v & 0xffff_ffff]);
        self.numbers(&node, "reg", cells.as_flattened())
    }
}

/// The node of a module.
fn place(parent: &str, module: &Module) -> String {
    format!("{parent}/module@{:x}", module.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_do_not_overlap() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let layout = Layout::new(&file, [&file, &file], true, Some(&file)).unwrap();
        let all: Vec<&Module> = layout.modules().collect();
        assert_eq!(all.len(), 5);
        for pair in all.windows(2) {
            assert!(pair[0].address + pair[0].size <= pair[1].address);
            assert_eq!(pair[1].address % ALIGNMENT, 0);
        }
        assert_eq!(
            Layout::new(&file, [&file, &file], false, None)
                .unwrap()
                .modules()
                .count(),
            2
        );
    }
}
