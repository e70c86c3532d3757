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
    /// Keep `SPARE` from Dom0's kernel, so that its interrupt can go to the domains that Dom0 creates.
    pub spare: bool,
}

/// A device with an interrupt and nothing behind it: the last of QEMU's empty virtio slots, SPI 47 (INTID 79).
const SPARE: &str = "/virtio_mmio@a003e00";

impl Layout {
    /// Places the modules one after the other.
    pub fn new(kernel: &Path, initrd: &Path, domus: bool) -> Result<Layout> {
        let mut next = MODULES;
        let mut place = |file: &Path| -> Result<Module> {
            let size = fs::metadata(file)
                .with_context(|| format!("cannot read {}", file.display()))?
                .len();
            let module = Module {
                file: file.to_path_buf(),
                address: next,
                size,
            };
            next = (next + size).next_multiple_of(ALIGNMENT);
            Ok(module)
        };
        let dom0 = [place(kernel)?, place(initrd)?];
        let domu = if domus {
            Some([place(kernel)?, place(initrd)?])
        } else {
            None
        };
        Ok(Layout { dom0, domu })
    }

    /// All modules.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.dom0.iter().chain(self.domu.iter().flatten())
    }
}

/// Writes the device tree for `machine` (QEMU and its arguments) to `file`.
pub fn write(file: &Path, machine: &[String], layout: &Layout, chosen: &Chosen) -> Result<()> {
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
    tree.strings("/chosen", "xen,xen-bootargs", &[chosen.xen])?;
    tree.strings("/chosen", "xen,dom0-bootargs", &[chosen.dom0])?;
    tree.modules("/chosen", &layout.dom0, chosen.dom0)?;
    if chosen.spare {
        tree.put(&[SPARE, "xen,passthrough"])?;
    }
    for n in 1..=chosen.domus {
        let Some(modules) = &layout.domu else {
            continue;
        };
        let node = format!("/chosen/domU{n}");
        tree.strings(&node, "compatible", &["xen,domain"])?;
        tree.numbers(&node, "#address-cells", &[2])?;
        tree.numbers(&node, "#size-cells", &[2])?;
        tree.numbers(&node, "memory", &[0, chosen.domu_memory.into()])?;
        tree.numbers(&node, "cpus", &[chosen.domu_cpus.into()])?;
        tree.put(&[&node, "vpl011"])?;
        tree.modules(&node, modules, &format!("{} role=domU{n}", chosen.domu))?;
    }
    Ok(())
}

struct Tree<'a> {
    file: &'a Path,
}

impl Tree<'_> {
    fn put(&self, arguments: &[&str]) -> Result<()> {
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

    fn strings(&self, node: &str, property: &str, values: &[&str]) -> Result<()> {
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
        for (module, kind) in [(kernel, "multiboot,kernel"), (initrd, "multiboot,ramdisk")] {
            let node = format!("{parent}/module@{:x}", module.address);
            self.strings(&node, "compatible", &[kind, "multiboot,module"])?;
            let low = |v: u64| v & 0xffff_ffff;
            self.numbers(
                &node,
                "reg",
                &[
                    module.address >> 32,
                    low(module.address),
                    module.size >> 32,
                    low(module.size),
                ],
            )?;
            if kind == "multiboot,kernel" {
                self.strings(&node, "bootargs", &[bootargs])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_do_not_overlap() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let layout = Layout::new(&file, &file, true).unwrap();
        let all: Vec<&Module> = layout.modules().collect();
        assert_eq!(all.len(), 4);
        for pair in all.windows(2) {
            assert!(pair[0].address + pair[0].size <= pair[1].address);
            assert_eq!(pair[1].address % ALIGNMENT, 0);
        }
        assert_eq!(
            Layout::new(&file, &file, false).unwrap().modules().count(),
            2
        );
    }
}
