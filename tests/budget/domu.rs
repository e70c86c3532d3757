// SPDX-License-Identifier: GPL-2.0-only
//! The same of a domain that has an ITS without hardware behind it, filled with all that it can be given: a step of its
//! destruction, after which Xen looks whether somebody waits, and a message of a device model.

use super::{BUDGET, longest, run_one};
use std::hint::black_box;
use vgic_harness::guests::its::{self, Command, FIRST_LPI, Its, command};
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

/// Each LPI there can be, of as many devices, or of one with all its events.
const LPIS: u32 = 57_344;

/// What is counted.
#[inline(never)]
fn one_trap<R>(f: impl FnOnce() -> R) -> R {
    black_box(f())
}

/// A filled domain whose vCPU is gone.
pub fn filled(place: fn(u32) -> (u32, u32)) -> Domain {
    let machine = Machine::power_on(Profile::GICV3);
    let domain = Domain::with_vcpus(&machine, Config::guest(3, 1).with_msi()).expect("a domain");
    assert_eq!(domain.set_limits(LPIS, 0x1_0000, LPIS), Ok(()));
    domain.unpause();
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    let its = Its::probe(&domain, &cpus[0], 0);
    let mut last = None;
    let mut commands: Vec<Command> = Vec::new();
    for n in 0..LPIS {
        let (device, event) = place(n);
        if last != Some(device) {
            commands.push(command::mapd(device, 16, its.itt(device)));
            last = Some(device);
        }
        commands.push(command::mapti(device, event, FIRST_LPI + n, 0));
        commands.push(command::int(device, event));
    }
    for lot in commands.chunks(1500) {
        its.send(&cpus[0], lot);
    }
    drop(cpus);
    domain
}

type Workload = (&'static str, fn());

const WORKLOADS: [Workload; 3] = [
    ("relinquish, 8,192 devices of 7 events", || {
        die(|n| (n / 7, n % 7 * 9362))
    }),
    ("relinquish, a device of 57,344 events", || die(|n| (3, n))),
    ("message", || {
        let domain = filled(|n| (n / 7, n % 7 * 9362));
        let mut sent = 0;
        for n in (0..LPIS).step_by(701) {
            let message = || domain.message(1, 0, n / 7, n % 7 * 9362).is_ok();
            sent += u32::from(one_trap(message));
        }
        println!("{sent} messages");
    }),
];

fn die(place: fn(u32) -> (u32, u32)) {
    let domain = filled(place);
    let mut steps = 1;
    while one_trap(|| domain.kill()) {
        steps += 1;
    }
    println!("{steps} steps");
}

/// In the program that is counted. Says whether it is one of these.
pub fn run(name: &str) -> bool {
    run_one(&WORKLOADS, name)
}

#[test]
fn bounded_is_each_step_of_a_destruction_and_each_message() {
    for (workload, _) in WORKLOADS {
        let Some((most, traps)) = longest(workload) else {
            return;
        };
        // A message is a small part of what a hypercall may take.
        let bound = if workload == "message" {
            BUDGET / 100
        } else {
            BUDGET
        };
        assert!(most <= bound, "{workload}: {most}");
        assert!(traps >= 80 || workload.contains("relinquish"));
    }
}
