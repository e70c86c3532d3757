// SPDX-License-Identifier: GPL-2.0-only
//! The same of a PCI function of the host's with as many entries, or vectors, as there can be: all of them are set up in one trap of its
//! owner's, or are no longer; one is; the function is given to it, or taken away with all of them bound. Without what the host and
//! the function itself do for it.

use super::{BUDGET, longest, run_one};
use std::hint::black_box;
use std::sync::Arc;
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::its::gits;
use vgic_harness::guests::linux;
use vgic_harness::guests::pci::Device;
use vgic_harness::machine::pci::{Shape, reg};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;
use vgic_harness::xen::pci::Pci;
use vgic_harness::xen::vpci::Vpci;

const ENTRIES: u32 = 2048;
const ID: u32 = 8;
const TIMES: u32 = 16;
/// What an event of a function may take.
const EACH: u64 = 1000;

/// What is counted.
#[inline(never)]
fn one_trap<R>(f: impl FnOnce() -> R) -> R {
    black_box(f())
}

/// A guest that owns such a function, which is not assigned yet.
struct Owner {
    cpus: Vec<GuestCpu>,
    domain: Domain,
    pci: Arc<Pci>,
}

fn owner(shape: Shape) -> Owner {
    let machine = Machine::power_on(Profile::GICV3.with_itses(1));
    let pci = Arc::new(Pci::new(&machine, shape, 0, 77));
    let domain = Domain::with_vcpus(&machine, Config::guest(3, 1).with_msi()).expect("a domain");
    domain.unpause();
    let cpus = linux::boot(&domain);
    Owner { cpus, domain, pci }
}

impl Owner {
    fn assign(&self) -> Vpci<'_> {
        Vpci::assign(&self.domain, &self.pci, ID).expect("a function")
    }

    fn doorbell(&self) -> u64 {
        self.domain.its_base(0) + gits::TRANSLATER
    }

    /// One trap.
    fn trap(&self, f: impl FnOnce()) {
        one_trap(|| self.cpus[0].hypercall(f));
    }
}

type Workload = (&'static str, fn());

const WORKLOADS: [Workload; 4] = [
    ("MSI-X of 2,048 entries, enabled and disabled", || {
        let owner = owner(Shape::LARGEST);
        let vpci = owner.assign();
        let device = Device::probe(&owner.cpus[0], &vpci);
        device.enable_msix(&owner.cpus[0], ENTRIES, |n| (owner.doorbell(), n));
        let at = device.msix.expect("MSI-X") + reg::CONTROL;
        for n in 0..TIMES {
            let on = n % 2 != 0;
            owner.trap(|| vpci.config_write(at, 2, u32::from(on) << 15));
        }
        assert_eq!(owner.pci.bound(ENTRIES - 1), Some((ID, ENTRIES - 1)));
    }),
    ("MSI of 32 vectors, enabled and disabled", || {
        let owner = owner(Shape::MANY);
        let vpci = owner.assign();
        let device = Device::probe(&owner.cpus[0], &vpci);
        device.enable_msi(&owner.cpus[0], 5, owner.doorbell(), 0);
        let at = device.msi.expect("MSI") + reg::CONTROL;
        for n in 0..TIMES {
            let on = n % 2 != 0;
            owner.trap(|| vpci.config_write(at, 2, 5 << 4 | u32::from(on)));
        }
        assert_eq!(owner.pci.bound(31), Some((ID, 31)));
    }),
    ("an entry of MSI-X, with other data each time", || {
        let owner = owner(Shape::LARGEST);
        let vpci = owner.assign();
        let cpu = &owner.cpus[0];
        let device = Device::probe(cpu, &vpci);
        device.enable_msix(cpu, ENTRIES, |n| (owner.doorbell(), n));
        for n in 0..TIMES {
            device.mask(cpu, 7, true);
            device.write_message(cpu, 7, owner.doorbell(), n);
            let (bar, at) = device.entry(cpu, 7);
            let gpa = device.bars[usize::from(bar)] + at + reg::ENTRY_CONTROL;
            owner.trap(|| assert!(vpci.store(gpa, 4, 0)));
            assert_eq!(owner.pci.bound(7), Some((ID, n)));
        }
    }),
    ("a function of 2,048 entries, given and taken", || {
        let owner = owner(Shape::LARGEST);
        for _ in 0..TIMES / 2 {
            let vpci = one_trap(|| owner.assign());
            let device = Device::probe(&owner.cpus[0], &vpci);
            device.enable_msix(&owner.cpus[0], ENTRIES, |n| (owner.doorbell(), n));
            one_trap(|| drop(vpci));
            assert_eq!(owner.pci.bound(0), None);
        }
    }),
];

/// In the program that is counted. Says whether it is one of these.
pub fn run(name: &str) -> bool {
    run_one(&WORKLOADS, name)
}

/// With what the mock's vPCI does itself.
#[test]
fn bounded_is_what_a_function_costs_in_a_trap() {
    for (workload, _) in WORKLOADS {
        let Some((most, traps)) = longest(workload) else {
            return;
        };
        // Xen's vPCI goes through all entries in one trap, as on x86: there is no less than one step for each.
        let bound = if workload.contains("2,048") {
            u64::from(ENTRIES) * EACH
        } else {
            BUDGET / 10
        };
        assert!(most <= bound, "{workload}: {most}");
        assert!(traps >= TIMES as usize, "{workload}: {traps}");
    }
}
