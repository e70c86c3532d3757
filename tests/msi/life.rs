// SPDX-License-Identifier: GPL-2.0-only
//! Functions change hands: what one domain has had of them reaches no other, and what is on its way when it is taken away goes nowhere.

use super::*;
use vgic_harness::xen::faults;

/// They are pending at a CPU that does not get to them.
#[test]
fn what_is_on_its_way_when_a_function_is_taken_reaches_nobody() {
    each(2, Shape::DISK, |guest, pci| {
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 4, |n| n as usize % 2);
        // And the next domain has the same, at the same places.
        let other = domain(
            guest.machine(),
            Config {
                id: 2,
                ..guest.kind.config(2)
            },
        );
        for round in 0..3 {
            let vpci = assign(guest, pci);
            let device = Device::probe(cpu, &vpci);
            device.enable_msix(cpu, 4, guest.message(0));
            for n in 0..4 {
                assert_eq!(pci.function.raise(n), Raised::Sent);
            }
            // Nobody has taken an interrupt of the host's yet.
            drop(vpci);
            assert_eq!((bound(pci), pci.take_strays()), (vec![], 0));
            assert_eq!(guest.all_taken(), [], "round {round}");
            for n in 0..4 {
                assert_eq!(pci.function.raise(n), Raised::Nowhere);
                assert_eq!(pci.function.entry(n).2, 1, "masked");
            }
            let next = Vpci::assign(&other, pci, DEVICE).expect("a function");
            assert_eq!(bound(pci), []);
            settle(guest.machine());
            drop(next);
            assert_eq!(guest.all_taken(), []);
        }
    });
}

/// Whatever the domain has not disabled.
#[test]
fn a_domain_that_dies_leaves_nothing_bound() {
    for kind in KINDS {
        let machine = Machine::power_on(kind.profile());
        let pci = Arc::new(Pci::new(&machine, Shape::CROWDED, 0, DEVID));
        let before = faults::live();
        let mut steady = None;
        for round in 0..20 {
            let config = Config {
                id: round + 1,
                ..kind.config(1)
            };
            let domain = domain(&machine, config);
            let guest = Guest::boot(&domain, kind);
            guest.map(DEVICE, 0, 4, |_| 0);
            let vpci = assign(&guest, &pci);
            let device = Device::probe(guest.cpu(), &vpci);
            if round % 2 == 0 {
                device.enable_msix(guest.cpu(), 4, guest.message(0));
            } else {
                device.enable_msi(guest.cpu(), 2, guest.doorbell(), guest.data(0, 0));
            }
            for n in 0..4 {
                assert_eq!(pci.function.raise(n), Raised::Sent, "round {round}");
            }
            assert_eq!(guest.all_taken(), [0, 1, 2, 3], "round {round}");
            for n in 0..4 {
                pci.function.raise(n);
            }
            drop(vpci);
            drop(guest);
            while domain.kill() {}
            drop(domain);
            settle(&machine);
            assert_eq!(bound(&pci), []);
            let left = faults::live() - before;
            // What the host has once.
            assert_eq!(left, *steady.get_or_insert(left), "round {round}");
        }
    }
}

/// Virtual functions are functions of their own, with a DeviceID each in the host and in the guest.
#[test]
fn virtual_functions_are_functions_of_their_own() {
    for kind in KINDS {
        let machine = Machine::power_on(kind.profile());
        let functions: Vec<_> = (0..4)
            .map(|n| Arc::new(Pci::new(&machine, Shape::CROWDED, 0, DEVID + n)))
            .collect();
        let all: Vec<_> = (0..2)
            .map(|n| {
                let config = Config {
                    id: n + 1,
                    vcpus: 1,
                    ..kind.config(1)
                };
                Domain::create(&machine, config).expect("a domain")
            })
            .collect();
        for (n, domain) in all.iter().enumerate() {
            domain.create_vcpu(n).expect("a vCPU");
            domain.unpause();
        }
        let guests: Vec<_> = all.iter().map(|domain| Guest::boot(domain, kind)).collect();
        // Two of each, of which one is known to its guest as one of the other's is.
        let owners = [(0, 8), (1, 8), (0, 9), (1, 16)];
        let firsts = [0, 0, 4, 4];
        let assigned: Vec<_> = (functions.iter().zip(owners).zip(firsts))
            .map(|((pci, (owner, id)), first)| {
                let guest: &Guest = &guests[owner];
                guest.map(id, first, 4, |_| 0);
                let vpci = Vpci::assign(guest.domain, pci, id).expect("a function");
                let device = Device::probe(guest.cpu(), &vpci);
                device.enable_msix(guest.cpu(), 4, guest.message(first));
                vpci
            })
            .collect();
        for ((pci, (owner, id)), first) in functions.iter().zip(owners).zip(firsts) {
            for n in 0..4 {
                assert_eq!(pci.function.raise(n), Raised::Sent);
                assert_eq!(guests[owner].all_taken(), [first + n], "{kind:?}, {id}");
                assert_eq!(guests[1 - owner].all_taken(), []);
            }
        }
        // One is taken away, and the others go on.
        for (n, vpci) in assigned.into_iter().enumerate() {
            drop(vpci);
            for (other, (pci, (owner, _))) in functions.iter().zip(owners).enumerate() {
                let raised = pci.function.raise(1);
                assert_eq!(raised == Raised::Sent, other > n);
                let taken = guests[owner].all_taken();
                let expected = if other > n {
                    vec![firsts[other] + 1]
                } else {
                    vec![]
                };
                assert_eq!(taken, expected);
            }
        }
    }
}

/// Each function writes to the page of the ITS that it is behind, and nowhere else.
#[test]
fn each_host_its_has_its_doorbell() {
    for kind in [Kind::Its, Kind::Rvid] {
        let machine = Machine::power_on(Profile::SERVER.with_cpus(4));
        let functions: Vec<_> = (0..4)
            .map(|n| Arc::new(Pci::new(&machine, Shape::DISK, n, DEVID)))
            .collect();
        let domain = domain(&machine, kind.config(1));
        let guest = Guest::boot(&domain, kind);
        let mut pages = Vec::new();
        let mut assigned = Vec::new();
        for (n, pci) in (0..).zip(&functions) {
            let id = DEVICE + n;
            guest.map(id, n, 1, |_| 0);
            let vpci = Vpci::assign(&domain, pci, id).expect("a function");
            let device = Device::probe(guest.cpu(), &vpci);
            device.enable_msix(guest.cpu(), 1, guest.message(n));
            pages.push(pci.function.entry(0).0);
            assigned.push(vpci);
        }
        let mut sorted = pages.clone();
        sorted.dedup();
        assert_eq!(sorted.len(), 4, "{pages:x?}");
        for (n, pci) in (0..).zip(&functions) {
            assert_eq!(pci.function.raise(0), Raised::Sent);
            assert_eq!(guest.all_taken(), [n]);
            // Were its table another's, nothing would come of it.
            let stolen = pages[(n as usize + 1) % 4];
            let table = pci.function.shape.msix.expect("MSI-X").table;
            pci.function.bar_write(table.0, table.1.into(), 8, stolen);
            pci.function.raise(0);
            assert_eq!((guest.all_taken(), pci.take_strays()), (vec![], 1));
        }
    }
}

/// Dom0 under vPCI: its numbers and addresses are the host's, and its ITSes map what the hardware has.
#[test]
fn dom0_has_what_it_writes() {
    let machine = Machine::power_on(Profile::SERVER.with_cpus(4));
    let functions: Vec<_> = (0..4)
        .map(|n| Arc::new(Pci::new(&machine, Shape::CROWDED, n, DEVID + n)))
        .collect();
    let domain = domain(&machine, Config::dom0(3, 1));
    let guest = Guest::boot(&domain, Kind::Its);
    let cpu = guest.cpu();
    let drivers: Vec<_> = (0..4).map(|n| Its::probe(&domain, cpu, n)).collect();
    for (n, pci) in (0..).zip(&functions) {
        let (id, its) = (DEVID + n, &drivers[n as usize]);
        its.map_device(cpu, id, LPI, 4, |_| 0);
        let vpci = Vpci::assign(&domain, pci, id).expect("a function");
        let device = Device::probe(cpu, &vpci);
        let doorbell = its.base + TRANSLATER;
        device.enable_msix(cpu, 4, |n| (doorbell, n));
        assert_eq!(pci.function.entry(2), (doorbell, 2, 0));
        for n in 0..4 {
            assert_eq!(pci.function.raise(n), Raised::Sent);
            assert_eq!(guest.all_taken(), [n]);
        }
        device.disable_msix(cpu, 4);
        device.enable_msi(cpu, 2, doorbell, 0);
        assert_eq!(pci.function.msi_message(), (doorbell, 0));
        for n in 0..4 {
            assert_eq!(pci.function.raise(n), Raised::Sent);
            assert_eq!(guest.all_taken(), [n]);
        }
        device.disable_msi(cpu);
        device.enable_msix(cpu, 1, |n| (doorbell + 8, n));
        assert_eq!(pci.function.raise(0), Raised::Pending);
        assert_eq!(pci.function.entry(0).2, 1);
        drop(vpci);
        its.send(cpu, &[command::unmapd(id)]);
    }
}
