// SPDX-License-Identifier: GPL-2.0-only
//! Functions that storm are held like Dom0's, by their mask bits if they have any, which takes no command of the host's ITS, and else by
//! their host LPIs. Whatever the guest does to the entry meanwhile, what they have to say arrives once.

use super::*;
use std::time::Duration;
use vgic_harness::xen::pci::Held;

const RATE: u32 = 1000;
const BURST: u32 = 20;
/// Until half of the burst is there again, for who has used it up.
const HELD: Duration = Duration::from_nanos(10_000_001);

/// A function, and what holds it.
const SHAPES: [(Shape, Held); 3] = [
    (Shape::DISK, Held::ByFunction),
    (Shape::MANY, Held::ByFunction),
    (Shape::PLAIN, Held::ByHost),
];

struct Storm<'a, 'd> {
    guest: &'a Guest<'d>,
    pci: &'a Arc<Pci>,
    device: Device<'a, 'd>,
    held: Held,
}

impl Storm<'_, '_> {
    fn enable(&self) {
        let (guest, cpu) = (self.guest, self.guest.cpu());
        if self.device.msix.is_some() {
            self.device.enable_msix(cpu, 1, guest.message(0));
        } else {
            self.device
                .enable_msi(cpu, 0, guest.doorbell(), guest.data(0, 0));
        }
    }

    /// The first event is that of another number from now on.
    fn change(&self, number: u32) {
        let (guest, cpu) = (self.guest, self.guest.cpu());
        let (address, data) = (guest.doorbell(), guest.data(0, number));
        if self.device.msix.is_some() {
            self.device.mask(cpu, 0, true);
            self.device.write_message(cpu, 0, address, data);
            self.device.mask(cpu, 0, false);
        } else {
            self.device.write_msi(cpu, address, data);
        }
    }

    /// It is disabled, and enabled again.
    fn toggle(&self) {
        let cpu = self.guest.cpu();
        if self.device.msix.is_some() {
            self.device.msix_control(cpu, reg::MSIX_ENABLE, 0);
            self.device.msix_control(cpu, 0, reg::MSIX_ENABLE);
        } else {
            let at = self.device.msi.expect("MSI") + reg::CONTROL;
            self.device.set_config(cpu, at, 2, 0);
            self.device.set_config(cpu, at, 2, 1);
        }
    }

    fn takes(&self, expected: &[u32], what: &str) {
        let (kind, held) = (self.guest.kind, self.held);
        assert_eq!(
            self.guest.all_taken(),
            expected,
            "{kind:?}, {held:?}: {what}"
        );
    }

    fn is_held(&self) -> bool {
        let held = self.pci.is_held(0);
        assert!(held.is_none() || held == Some(self.held), "{held:?}");
        held.is_some()
    }

    /// Uses up what the bucket has, and one more, which arrives as well.
    fn begin(&self) {
        for n in 0..=BURST {
            assert!(!self.is_held(), "held after {n} messages");
            assert_eq!(self.pci.function.raise(0), Raised::Sent);
            self.takes(&[0], "in the storm");
        }
        assert!(self.is_held());
    }

    fn pass(&self) {
        self.guest.machine().pass(HELD);
        settle(self.guest.machine());
    }
}

/// Of each kind, a guest with a limit and a function that keeps what it has to say in its way.
fn each_limited(test: impl Fn(&Guest, &Arc<Pci>, Held)) {
    for kind in KINDS {
        for (shape, held) in SHAPES {
            let machine = Machine::power_on(kind.profile());
            let pci = Arc::new(Pci::new(&machine, shape, 0, DEVID));
            let domain = domain(&machine, kind.config(1).with_storms());
            domain.set_storm(RATE, BURST);
            let guest = Guest::boot(&domain, kind);
            guest.map(DEVICE, 0, 4, |_| 0);
            test(&guest, &pci, held);
        }
    }
}

fn each_held(test: impl Fn(&Storm)) {
    each_limited(|guest, pci, held| {
        let vpci = assign(guest, pci);
        let storm = Storm {
            guest,
            pci,
            device: Device::probe(guest.cpu(), &vpci),
            held,
        };
        storm.enable();
        storm.begin();
        test(&storm);
    });
}

#[test]
fn what_is_held_arrives_once_when_it_is_let_go() {
    each_held(|storm| {
        let commands = storm.guest.domain.host_commands();
        for round in 0..3 {
            for _ in 0..5 {
                let sent = storm.pci.function.raise(0) == Raised::Sent;
                assert_eq!(sent, storm.held == Held::ByHost);
            }
            storm.takes(&[], "it is held");
            storm.pass();
            storm.takes(&[0], "it is let go");
            storm.pass();
            storm.takes(&[], "once");
            assert!(!storm.is_held(), "round {round}");
            // There is half of a burst, and more with time.
            storm.guest.machine().pass(Duration::from_secs(1));
            storm.begin();
        }
        let more = storm.guest.domain.host_commands() - commands;
        assert_eq!(more == 0, storm.held == Held::ByFunction, "{more} commands");
    });
}

#[test]
fn what_is_bound_anew_stays_held_and_arrives_as_that() {
    each_held(|storm| {
        storm.pci.function.raise(0);
        storm.change(3);
        assert!(storm.is_held(), "the guest cannot let it go");
        storm.takes(&[], "it is held");
        storm.pass();
        storm.takes(&[3], "it is let go");
        assert_eq!(storm.pci.function.raise(0), Raised::Sent);
        storm.takes(&[3], "later");
    });
}

/// Off and on again, as often as the guest likes: the bucket is the domain's.
#[test]
fn what_is_disabled_and_enabled_stays_held() {
    each_held(|storm| {
        for _ in 0..10 {
            storm.pci.function.raise(0);
            storm.toggle();
            assert!(storm.is_held());
        }
        storm.takes(&[], "it is held");
        storm.pass();
        storm.takes(&[0], "it is let go");
    });
}

/// Mask bits of the guest and those of a storm are one bit in the function.
#[test]
fn what_the_guest_masks_stays_masked_when_it_is_let_go() {
    each_held(|storm| {
        let (guest, cpu) = (storm.guest, storm.guest.cpu());
        let mask = |on: bool| match (storm.device.msix, storm.held) {
            (Some(_), _) => storm.device.mask(cpu, 0, on),
            (None, Held::ByFunction) => storm.device.mask_msi(cpu, on.into()),
            _ => {}
        };
        if storm.held == Held::ByHost {
            return;
        }
        mask(true);
        storm.pci.function.raise(0);
        mask(false);
        assert_ne!(storm.pci.function.raise(0), Raised::Sent, "it is held");
        mask(true);
        storm.pass();
        assert!(!storm.is_held());
        storm.takes(&[], "it is masked");
        mask(false);
        storm.takes(&[0], "it is not");
        assert_eq!(guest.all_taken(), []);
    });
}

#[test]
fn what_is_taken_away_is_not_held_for_the_next() {
    each_limited(|guest, pci, held| {
        for round in 0..2 {
            let vpci = assign(guest, pci);
            let storm = Storm {
                guest,
                pci,
                device: Device::probe(guest.cpu(), &vpci),
                held,
            };
            storm.enable();
            guest.machine().pass(Duration::from_secs(1));
            settle(guest.machine());
            storm.takes(&[], "what it has had to say before is gone");
            storm.begin();
            pci.function.raise(0);
            drop(vpci);
            pci.function.reset();
            storm_is_over(guest, round);
        }
    });
}

fn storm_is_over(guest: &Guest, round: u32) {
    guest.machine().pass(HELD);
    settle(guest.machine());
    assert_eq!(guest.all_taken(), [], "round {round}");
}
