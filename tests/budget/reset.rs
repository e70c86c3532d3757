// SPDX-License-Identifier: GPL-2.0-only
//! The same of a step of a reset, after which Xen looks whether somebody waits: of a domain with as many LPIs as there can be, all
//! pending, and of one with as many SPIs of the host's.

use super::{BUDGET, domu, longest, run_one};
use std::hint::black_box;
use vgic_harness::guests::linux::{self, gicd};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

/// What is counted.
#[inline(never)]
fn one_trap<R>(f: impl FnOnce() -> R) -> R {
    black_box(f())
}

fn reset(domain: &Domain, its: Option<u32>) {
    let mut steps = 1;
    while one_trap(|| domain.reset_part(its)).expect("a reset") {
        steps += 1;
    }
    println!("{steps} steps");
}

/// All SPIs there are, each active, or pending behind one that is, in a GICv3 of four vCPUs.
fn many_spis() -> Domain {
    let profile = Profile {
        spis: 960,
        ..Profile::GICV3
    };
    let machine = Machine::power_on(profile);
    let config = Config {
        spis: 960,
        ..Config::dom0(3, 4)
    };
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    for spi in 32..512 {
        assert_eq!(domain.route(spi, spi, true), Ok(()));
    }
    let cpus = linux::boot(&domain);
    for spi in (32..992_u64).step_by(32) {
        for array in [gicd::ISENABLER, gicd::ISPENDR, gicd::ISACTIVER] {
            cpus[0].gicd_write(array + spi / 8, !0);
        }
    }
    domain
}

type Workload = (&'static str, fn());

const WORKLOADS: [Workload; 4] = [
    ("reset, 8,192 devices of 7 events", || {
        reset(&domu::filled(|n| (n / 7, n % 7 * 9362)), None);
    }),
    ("reset, a device of 57,344 events", || {
        reset(&domu::filled(|n| (3, n)), None);
    }),
    ("reset of an ITS", || {
        reset(&domu::filled(|n| (n / 7, n % 7 * 9362)), Some(0));
    }),
    ("reset, 960 SPIs", || reset(&many_spis(), None)),
];

/// What the mock does for the host's distributor, which is to look at all interrupts each time.
const DISTRIBUTOR: [&str; 4] = [
    "rvgic_desc_set_enabled",
    "rvgic_desc_set_pending",
    "rvgic_desc_set_active",
    "rvgic_desc_set_trigger",
];

/// Functions that are not counted in a workload.
pub fn not_counted(workload: &str) -> &'static [&'static str] {
    let ours = WORKLOADS.iter().any(|w| w.0 == workload);
    if ours { &DISTRIBUTOR } else { &[] }
}

/// In the program that is counted. Says whether it is one of these.
pub fn run(name: &str) -> bool {
    run_one(&WORKLOADS, name)
}

#[test]
fn bounded_is_each_step_of_a_reset() {
    for (workload, _) in WORKLOADS {
        let Some((most, traps)) = longest(workload) else {
            return;
        };
        assert!(most <= BUDGET, "{workload}: {most}");
        assert!(traps >= 2, "{workload}: all at once");
    }
}
