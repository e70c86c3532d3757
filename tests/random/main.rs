// SPDX-License-Identifier: GPL-2.0-only
//! Random walks, step by step and reproducible: whatever order things happen in, each edge is delivered once, each
//! level as long as it is up, on the vCPU it is routed to, by priority, and nothing else ever is.

mod model;
mod walk;

use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;
use walk::Walk;

const VCPUS: usize = 3;
const PCPUS: usize = 6;
/// Per kind: emulated edges, emulated levels, physical edges, physical levels. More than there are list registers.
const PER_KIND: usize = 6;
const FIRST: u32 = 40;
const COUNT: usize = PER_KIND * 4;

fn walk(profile: Profile, gic: u8, seed: u64, split: bool) {
    let machine = Machine::power_on(profile.with_cpus(PCPUS));
    let domain = Domain::with_vcpus(&machine, Config::dom0(gic, VCPUS)).expect("a domain");
    let mut walk = Walk::new(&domain, seed, split);
    for _ in 0..400 {
        walk.step();
    }
    walk.finish();
}

/// Guests with this GIC and EOImode 0 and, where all of it can be trapped, 1.
fn walks(profile: Profile, gic: u8) {
    // More, on request: VGIC_WALKS=10000 cargo test --release --test random
    let count = std::env::var("VGIC_WALKS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(40);
    let traps = gic == 2 || profile.tds;
    for seed in 1..=count {
        walk(profile, gic, seed, traps && seed % 2 == 0);
    }
}

#[test]
fn gicv2() {
    walks(Profile::GICV2, 2);
}

#[test]
fn gicv2_on_a_gicv3() {
    walks(Profile::GICV3_GICV, 2);
}

#[test]
fn gicv3() {
    walks(Profile::GICV3, 3);
}

#[test]
fn gicv3_that_traps_dir() {
    let profile = Profile {
        tds: true,
        ..Profile::GICV3
    };
    walks(profile, 3);
}

#[test]
fn gicv3_with_many_list_registers() {
    walks(Profile::GICV3_16, 3);
}
