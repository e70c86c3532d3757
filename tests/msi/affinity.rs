// SPDX-License-Identifier: GPL-2.0-only
//! Host LPIs that are messages come to where their vCPU is, if they keep coming to elsewhere: as those of the hardware domain, later and
//! at a limited rate.

use super::*;
use std::time::Duration;

/// One in so many is looked at.
const OFTEN: u32 = 31;
/// So many of a domain are moved in this time.
const MOVES: usize = 8;
const PERIOD: Duration = Duration::from_millis(10);

fn cpu_of(guest: &Guest, pci: &Pci, entry: u32) -> usize {
    let lpi = pci.physical_lpi(entry).expect("a host LPI");
    guest.machine().gic.lpi_target(lpi)
}

/// It keeps coming, and arrives at `vcpu` each time; until it comes to this CPU.
fn comes_to(guest: &Guest, pci: &Pci, vcpu: usize, cpu: usize) {
    for n in 0..=OFTEN {
        if cpu_of(guest, pci, 0) == cpu {
            assert!(n > 0, "it was there before");
            return;
        }
        guest.machine().pass(PERIOD);
        assert_eq!(pci.function.raise(0), Raised::Sent);
        let mut expected = vec![vec![]; 2];
        expected[vcpu] = vec![0];
        assert_eq!(guest.taken(), expected);
    }
    panic!("it stays at CPU {}", cpu_of(guest, pci, 0));
}

#[test]
fn messages_that_keep_coming_are_moved_to_their_vcpu() {
    for kind in KINDS {
        let machine = Machine::power_on(kind.profile());
        let pci = Arc::new(Pci::new(&machine, Shape::DISK, 0, DEVID));
        let domain = domain(&machine, kind.config(2));
        let mut guest = Guest::boot(&domain, kind);
        guest.map(DEVICE, 0, 1, |_| 1);
        let vpci = assign(&guest, &pci);
        let device = Device::probe(guest.cpu(), &vpci);
        device.enable_msix(guest.cpu(), 1, guest.message(0));
        comes_to(&guest, &pci, 1, 1);
        // The scheduler moves the vCPU, and then the guest its interrupt.
        for cpu in [3, 2] {
            guest.cpus[1].migrate(cpu);
            comes_to(&guest, &pci, 1, cpu);
        }
        match (&guest.its, kind) {
            (Some(its), _) => its.send(guest.cpu(), &[command::movi(DEVICE, 0, 0)]),
            _ => guest.map(DEVICE, 0, 1, |_| 0),
        }
        comes_to(&guest, &pci, 0, 0);
    }
}

#[test]
fn messages_are_moved_at_a_limited_rate() {
    const MANY: u32 = 30;
    each(2, Shape::DISK, |guest, pci| {
        guest.map(DEVICE, 0, MANY, |_| 1);
        let vpci = assign(guest, pci);
        let device = Device::probe(guest.cpu(), &vpci);
        device.enable_msix(guest.cpu(), MANY, guest.message(0));
        let moved = || (0..MANY).filter(|n| cpu_of(guest, pci, *n) == 1).count();
        let storm = || {
            for n in 0..40 * OFTEN {
                pci.function.raise(n % MANY);
                settle(guest.machine());
            }
            guest.taken();
            moved()
        };
        // However many there are, time has to pass.
        for times in 1..4 {
            assert_eq!(storm(), times * MOVES);
            guest.machine().pass(PERIOD - Duration::from_nanos(1));
            assert_eq!(storm(), times * MOVES, "too early");
            guest.machine().pass(Duration::from_nanos(1));
        }
        for _ in 0..10 {
            storm();
            guest.machine().pass(PERIOD);
        }
        assert_eq!(storm(), MANY as usize);
    });
}

/// An idle CPU has taken them, and gets to its softirqs when the function is another's.
#[test]
fn messages_that_are_no_more_are_not_moved() {
    for kind in KINDS {
        let machine = Machine::power_on(kind.profile());
        let pci = Arc::new(Pci::new(&machine, Shape::DISK, 0, DEVID));
        let domain = domain(&machine, kind.config(1));
        let mut guest = Guest::boot(&domain, kind);
        guest.map(DEVICE, 0, 1, |_| 0);
        let vpci = assign(&guest, &pci);
        let device = Device::probe(guest.cpu(), &vpci);
        device.enable_msix(guest.cpu(), 1, guest.message(0));
        guest.cpus[0].migrate(3);
        let before = domain.host_commands();
        for _ in 0..3 * OFTEN {
            pci.function.raise(0);
            // Refused all but once, with a window for interrupts on CPU 0, and no softirq after it.
            let _ = domain.route(40, 40, false);
        }
        assert_eq!(domain.host_commands(), before, "not yet");
        drop(vpci);
        let unmapped = domain.host_commands();
        let vpci = assign(&guest, &pci);
        let mapped = domain.host_commands();
        assert!(unmapped > before && mapped > unmapped);
        settle(&machine);
        assert_eq!(domain.host_commands(), mapped);
        drop(vpci);
    }
}
