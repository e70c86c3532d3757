// SPDX-License-Identifier: GPL-2.0-only
//! The host refuses something at each step: what was half done is undone, nothing leaks, and the next try has all of it.

use super::*;
use vgic_harness::xen::faults;
use vgic_harness::xen::pci::fail_nth;

const ENOMEM: Errno = Errno(-12);
const ENOSPC: Errno = Errno(-28);

#[test]
fn a_function_that_the_host_refuses_is_not_assigned() {
    each(1, Shape::DISK, |guest, pci| {
        // What is allocated once for the host or the domain stays.
        drop(assign(guest, pci));
        let before = (faults::live(), faults::live_bytes());
        fail_nth(Some(0));
        let refused = Vpci::assign(guest.domain, pci, DEVICE);
        fail_nth(None);
        assert_eq!(refused.err(), Some(ENOSPC));
        assert_eq!((faults::live(), faults::live_bytes()), before);
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 1, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        device.enable_msix(cpu, 1, guest.message(0));
        pci.function.raise(0);
        assert_eq!(guest.all_taken(), [0]);
    });
}

#[test]
fn each_allocation_may_fail() {
    for kind in KINDS {
        let machine = Machine::power_on(kind.profile());
        let pci = Arc::new(Pci::new(&machine, Shape::DISK, 0, DEVID));
        let domain = domain(&machine, kind.config(1));
        let guest = Guest::boot(&domain, kind);
        // What is allocated once, for the host or the domain, stays after the first time.
        for first in [true, false] {
            let (mut failures, before) = (0, faults::live());
            for n in 0.. {
                faults::fail_nth(n);
                let made = Vpci::assign(guest.domain, &pci, DEVICE);
                let failed = faults::fail_none();
                assert_eq!(made.as_ref().err(), failed.then_some(&ENOMEM), "{n}");
                drop(made);
                assert!(first || faults::live() == before, "allocation {n} leaks");
                if !failed {
                    break;
                }
                failures += 1;
            }
            // The table of events, the model, and what the host has of it.
            assert!(failures >= 3, "{kind:?}: {failures}");
        }
    }
}

/// The vector of eight that cannot be bound takes the others with it.
#[test]
fn vectors_are_bound_all_or_none() {
    each(1, Shape::MANY, |guest, pci| {
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 16, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        let at = device.msi.expect("MSI") + reg::CONTROL;
        for nth in 0..8 {
            fail_nth(Some(nth));
            device.enable_msi(cpu, 3, guest.doorbell(), guest.data(0, 8));
            fail_nth(None);
            assert_eq!(bound(pci), [], "vector {nth}");
            assert_eq!(device.config(cpu, at, 2) & 1, 0, "it is not enabled");
            assert_eq!(pci.function.raise(nth), Raised::Nowhere);
            device.enable_msi(cpu, 3, guest.doorbell(), guest.data(0, 8));
            assert_eq!(bound(pci).len(), 8);
            // The same while it is enabled: what is raised then waits, as far as it can be masked.
            fail_nth(Some(nth));
            let (place, _) = device.msi_places(cpu);
            device.set_config(cpu, place, 2, guest.data(0, 0));
            fail_nth(None);
            assert_eq!(bound(pci), [], "vector {nth}");
            assert_eq!(pci.function.raise(nth), Raised::Pending);
            assert_eq!(guest.all_taken(), []);
            device.set_config(cpu, place, 2, guest.data(0, 0));
            assert_eq!(guest.all_taken(), [nth]);
            device.disable_msi(cpu);
        }
    });
}

#[test]
fn an_entry_that_cannot_be_bound_is_masked_until_it_can() {
    each(1, Shape::CROWDED, |guest, pci| {
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 4, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        // Each is bound, and written.
        for call in 0..8 {
            let nth = call / 2;
            fail_nth(Some(call));
            device.enable_msix(cpu, 4, guest.message(0));
            fail_nth(None);
            for n in 0..4 {
                let expected = if n == nth {
                    Raised::Pending
                } else {
                    Raised::Sent
                };
                assert_eq!(pci.function.raise(n), expected, "{n} of {nth}");
            }
            assert_eq!(guest.all_taken().len(), 3);
            // Linux would write it once more and unmask it.
            device.mask(cpu, nth, true);
            device.mask(cpu, nth, false);
            assert_eq!(guest.all_taken(), [nth]);
            device.disable_msix(cpu, 4);
        }
    });
}
