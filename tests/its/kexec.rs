// SPDX-License-Identifier: GPL-2.0-only
//! A kernel that was started from another one: it knows nothing of what that one has mapped, numbers its LPIs from the first
//! on, and maps a device when its driver wants it.

use super::*;
use vgic_harness::guests::its::gits;

const COUNT: u32 = 4;
/// Devices that the first kernel has used; the second has the first two, in another order, and lets the last be.
const DEVICES: [u32; 3] = [DEVICE, DEVICE + 1, DEVICE + 2];

fn first_life(cpus: &[GuestCpu], its: &Its) {
    for (n, device) in (0..).zip(DEVICES) {
        its.map_device(&cpus[0], device, FIRST_LPI + n * COUNT, COUNT, |_| 0);
    }
}

/// What the second kernel maps works, whatever is there, and nothing else does any harm.
fn second_life(domain: &Domain, cpus: &[GuestCpu], its: &Its) {
    let vcpus = 0..cpus.len();
    let collections: Vec<its::Command> = vcpus
        .flat_map(|v| [command::mapc(v as u16, v), command::invall(v as u16)])
        .collect();
    its.send(&cpus[1], &collections);
    its.map_device(&cpus[1], DEVICES[1], FIRST_LPI, COUNT, |_| 1);
    its.map_device(&cpus[1], DEVICES[0], FIRST_LPI + COUNT, COUNT, |_| 1);
    for (n, device) in (0..).zip([DEVICES[1], DEVICES[0]]) {
        for event in 0..COUNT {
            send(domain, device, event);
            let lpi = FIRST_LPI + n * COUNT + event;
            assert_eq!(taken(cpus), [vec![], vec![lpi]], "{device:#x}, {event}");
        }
    }
}

#[test]
fn with_new_tables_nothing_is_mapped() {
    boot!(SMALL, 2, domain, cpus, its);
    first_life(&cpus, &its);
    its.write(&cpus[1], gits::CTLR, 0);
    for (n, table) in [0x12_0000, 0x13_0000].into_iter().enumerate() {
        let table = gits::VALID | (its.queue() + table) | 0xf;
        its.write(&cpus[1], gits::BASER + n as u64 * 8, table);
    }
    while its.read(&cpus[1], gits::CTLR) >> 31 == 0 {}
    for device in DEVICES {
        assert!(!domain.send_msi(0, device, 0), "{device:#x} is mapped");
    }
    its.write(&cpus[1], gits::CTLR, 1);
    second_life(&domain, &cpus, &its);
}

/// The second kernel allocates as the first did, so that its tables are where those were, cleared.
#[test]
fn with_tables_in_the_same_place() {
    boot!(SMALL, 2, domain, cpus, its);
    first_life(&cpus, &its);
    its.set_up(&cpus[1]);
    second_life(&domain, &cpus, &its);
}

/// The ITS is left as it is, and its queue goes on.
#[test]
fn without_any_of_that() {
    boot!(SMALL, 2, domain, cpus, its);
    first_life(&cpus, &its);
    second_life(&domain, &cpus, &its);
    // The device that the second kernel lets be sends what the first had made of it, and no LPI twice.
    send(&domain, DEVICES[2], 0);
    assert_eq!(taken(&cpus), [vec![FIRST_LPI + 2 * COUNT], vec![]]);
}

/// A kernel that resumes gives the ITS its tables again.
#[test]
fn what_is_mapped_outlives_the_same_tables() {
    boot!(SMALL, 2, domain, cpus, its);
    first_life(&cpus, &its);
    its.set_up(&cpus[0]);
    send(&domain, DEVICES[2], 3);
    assert_eq!(taken(&cpus), [vec![FIRST_LPI + 3 * COUNT - 1], vec![]]);
}
