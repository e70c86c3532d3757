// SPDX-License-Identifier: GPL-2.0-only
//! `guest --refusals`: domains of the device tree that cannot have what they ask for, as one with an rVIC and a device of the host. Of each
//! Xen must say so in a sentence.

use crate::boot::arguments::BootArguments;
use crate::boot::dtb::{self, Controller, Module, Tree};
use crate::boot::machine::{self, Wish, loader, path};
use crate::boot::qemu::Qemu;
use crate::command::run;
use crate::hypervisor::xen::Built;
use crate::paths;
use crate::progress::Step;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// MiB.
const MEMORY: u32 = 1024;
/// The domain.
const NODE: &str = "/chosen/domU1";
/// The last of QEMU's empty virtio slots, as a partial device tree has a device of the host.
const PARTIAL: &str = "/dts-v1/;
/ {
	#address-cells = <2>;
	#size-cells = <2>;
	interrupt-parent = <0xfde8>;
	passthrough {
		compatible = \"simple-bus\";
		ranges;
		#address-cells = <2>;
		#size-cells = <2>;
		device@a003e00 {
			compatible = \"virtio,mmio\";
			reg = <0 0xa003000 0 0x1000>;
			interrupts = <0 47 1>;
			xen,reg = <0 0xa003000 0 0x1000 0 0xa003000>;
			xen,path = \"/virtio_mmio@a003e00\";
			xen,force-assign-without-iommu;
		};
	};
};
";

/// Where the domain's kernel is, and what may be put behind it.
struct Files {
    kernel: Module,
    partial: Module,
}

/// What is wrong with a domain.
struct Wrong {
    name: &'static str,
    /// Its interrupt controller is what it says, and it has this wrong.
    ask: fn(&Tree, &Files) -> Result<()>,
    /// Xen's sentence, or the part of it that does not depend on the domain's name.
    said: &'static str,
    /// Its kernel is for AArch32.
    aarch32: bool,
}

const ALL: [Wrong; 4] = [
    Wrong {
        name: "a name that is no vGIC's",
        ask: |tree, _| tree.strings(NODE, "xen,vgic", &["gic"]),
        said: "is \"rvic\" or \"native\", and not \"gic\"",
        aarch32: false,
    },
    Wrong {
        name: "level inputs of a GIC",
        ask: |tree, _| {
            tree.strings(NODE, "xen,vgic", &["native"])?;
            tree.put(&[NODE, "xen,rvid-level-inputs"])
        },
        said: "takes xen,vgic = \"rvic\"",
        aarch32: false,
    },
    Wrong {
        name: "a 32-bit kernel with an rVIC",
        ask: |_, _| Ok(()),
        said: "cannot have an rVIC: its kernel is for AArch32",
        aarch32: true,
    },
    Wrong {
        name: "a device of the host with an rVIC",
        ask: |tree, files| tree.module(NODE, &files.partial, "multiboot,device-tree"),
        said: "its device tree is for a GIC, and no device of the host goes with it",
        aarch32: false,
    },
];

/// Boots each, and says what came of it; the result is whether Xen refused all of them.
pub fn refusals(boot: &BootArguments, qemu: &Qemu, built: &Built, image: &Path) -> Result<bool> {
    for wrong in &ALL {
        let step = Step::start(format!("A domain with {}", wrong.name));
        match refusal(boot, qemu, built, image, wrong, &step)? {
            Some(said) => step.done(&format!("refused: {said}")),
            None => {
                println!("guest: FAILED {} is not refused", wrong.name);
                return Ok(false);
            }
        }
    }
    println!(
        "guest: ok gic={} refused={} xen={}",
        boot.gic,
        ALL.len(),
        built.full_version
    );
    Ok(true)
}

/// The line in which it is, if it is.
fn refusal(
    boot: &BootArguments,
    qemu: &Qemu,
    built: &Built,
    image: &Path,
    wrong: &Wrong,
    step: &Step,
) -> Result<Option<String>> {
    fs::create_dir_all(paths::boot())?;
    let name = format!("refused-xen{}-{}", built.version, boot.gic);
    let place = |extension: &str| paths::boot().join(format!("{name}.{extension}"));
    let kernel = match wrong.aarch32 {
        true => aarch32(place("zimage"))?,
        false => image.to_path_buf(),
    };
    let kernel = Module::new(kernel)?;
    let partial = kernel.followed_by(partial_tree(place("partial.dts"), place("partial.dtb"))?)?;
    let files = Files { kernel, partial };
    let (tree, log) = (place("dtb"), place("log"));
    let mut command = machine::arguments(qemu, boot, MEMORY);
    let test = dtb::Test {
        kernel: &files.kernel,
        bootargs: "",
        msi: false,
        controller: Controller::Rvic { levels: false },
    };
    dtb::write_alone(&tree, &command, &test, "")?;
    (wrong.ask)(&Tree::at(&tree), &files)?;
    command.extend(["-kernel".into(), path(&built.image)?]);
    command.extend(["-dtb".into(), path(&tree)?]);
    for module in [&files.kernel, &files.partial] {
        command.extend(["-device".into(), loader(module)?]);
    }
    let limit = Duration::from_secs(boot.limit);
    let mut said = None;
    machine::run(&command, &log, limit, step, |line| {
        if line.text.contains(wrong.said) {
            said = Some(line.text.clone());
            return Wish::GiveUp;
        }
        match line.text.contains("guest: ") {
            // It runs.
            true => Wish::GiveUp,
            false => Wish::None,
        }
    })?;
    Ok(said)
}

/// A file that Xen takes for a kernel for AArch32 (Linux's arm/Booting: its header, which says that it is a page long).
fn aarch32(file: PathBuf) -> Result<PathBuf> {
    const MAGIC: usize = 0x24;
    let mut image = vec![0; 4096];
    let words: [u32; 3] = [0x016f_2818, 0, 4096];
    for (at, word) in image[MAGIC..].chunks_exact_mut(4).zip(words) {
        at.copy_from_slice(&word.to_le_bytes());
    }
    fs::write(&file, image).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// The partial device tree as a file.
fn partial_tree(source: PathBuf, tree: PathBuf) -> Result<PathBuf> {
    fs::write(&source, PARTIAL).with_context(|| format!("cannot write {}", source.display()))?;
    let mut dtc = Command::new("dtc");
    dtc.args(["-q", "-I", "dts", "-O", "dtb", "-o"])
        .arg(&tree)
        .arg(source);
    run(&mut dtc, "make a partial device tree", None)?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn no_sentence_is_a_part_of_another() {
        for (n, one) in ALL.iter().enumerate() {
            let others = ALL.iter().enumerate().filter(|(m, _)| *m != n);
            assert!(
                others
                    .into_iter()
                    .all(|(_, other)| !other.said.contains(one.said))
            );
        }
    }
}
