// SPDX-License-Identifier: GPL-2.0-only
//! A host LPI arrives in the middle of something: its message is looked up in tables that the CPU, or another one, may have just then,
//! or that are not read yet. It is owed then, and is not lost.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use vgic_harness::guests::guest::{Size, Store};
use vgic_harness::guests::its::gits;

const EVENTS: u32 = 4;

/// Runs `test` with a guest of an ITS whose function has EVENTS entries, each of which is an LPI of vCPU 0.
fn with_entries(vcpus: usize, test: impl Fn(&Guest, &Arc<Pci>, &Device)) {
    let machine = Machine::power_on(Kind::Its.profile());
    let pci = Arc::new(Pci::new(&machine, Shape::DISK, 0, DEVID));
    let domain = domain(&machine, Kind::Its.config(vcpus));
    let guest = Guest::boot(&domain, Kind::Its);
    guest.map(DEVICE, 0, EVENTS, |_| 0);
    let vpci = assign(&guest, &pci);
    let device = Device::probe(guest.cpu(), &vpci);
    device.enable_msix(guest.cpu(), EVENTS, guest.message(0));
    test(&guest, &pci, &device);
}

/// The guest's ITS has other tables and has to read them: how long that takes is its guest's to say. One more step of it; true: there
/// is more.
fn reads(guest: &Guest) -> bool {
    let its = guest.its.as_ref().expect("an ITS");
    let store = guest.cpu().store_once(its.base + gits::CTLR, Size::Word, 1);
    store == Ok(Store::Again)
}

/// A lot is mapped, saved, and given again.
fn begin_reading(guest: &Guest) {
    let (cpu, its) = (guest.cpu(), guest.its.as_ref().expect("an ITS"));
    let many = DEVICE + 1;
    its.send(cpu, &[command::mapd(many, 11, its.itt(many))]);
    let events = (0..1500).map(|n| command::mapti(many, n, LPI + 64 + n, 0));
    its.send(cpu, &events.collect::<Vec<_>>());
    its.write(cpu, gits::CTLR, 0);
    for n in 0..2 {
        let at = gits::BASER + n * 8;
        let baser = its.read(cpu, at);
        its.write(cpu, at, baser & !gits::VALID);
        its.write(cpu, at, baser);
    }
    assert!(reads(guest), "there is nothing to read");
}

const LATER: Duration = Duration::from_millis(1);

#[test]
fn a_message_waits_for_tables_that_are_being_read() {
    with_entries(1, |guest, pci, _| {
        begin_reading(guest);
        loop {
            for n in 0..EVENTS {
                assert_eq!(pci.function.raise(n), Raised::Sent);
            }
            settle(guest.machine());
            guest.machine().pass(LATER);
            settle(guest.machine());
            if !reads(guest) {
                break;
            }
        }
        guest.machine().pass(LATER);
        let expected: Vec<u32> = (0..EVENTS).collect();
        assert_eq!(guest.all_taken(), expected);
        guest.machine().pass(LATER);
        assert_eq!(guest.all_taken(), [], "each once");
    });
}

/// It is sent once, however often it came, as what it is by then.
#[test]
fn what_is_owed_is_sent_as_what_it_is_by_then() {
    with_entries(1, |guest, pci, device| {
        let cpu = guest.cpu();
        begin_reading(guest);
        (0..2).for_each(|_| assert_eq!(pci.function.raise(0), Raised::Sent));
        settle(guest.machine());
        device.mask(cpu, 0, true);
        device.write_message(cpu, 0, guest.doorbell(), guest.data(0, 3));
        device.mask(cpu, 0, false);
        while reads(guest) {}
        guest.machine().pass(LATER);
        assert_eq!(guest.all_taken(), [3]);
        guest.machine().pass(LATER);
        assert_eq!(guest.all_taken(), []);
    });
}

/// Masked or disabled meanwhile, it has been sent before that, as from any device.
#[test]
fn what_is_owed_is_not_taken_back_by_who_disables_it() {
    with_entries(1, |guest, pci, device| {
        let cpu = guest.cpu();
        begin_reading(guest);
        (0..EVENTS).for_each(|n| assert_eq!(pci.function.raise(n), Raised::Sent));
        settle(guest.machine());
        device.disable_msix(cpu, EVENTS);
        while reads(guest) {}
        guest.machine().pass(LATER);
        let expected: Vec<u32> = (0..EVENTS).collect();
        assert_eq!(guest.all_taken(), expected);
    });
}

/// The function is another domain's then, with the same host LPIs.
#[test]
fn what_is_owed_goes_with_its_function() {
    let machine = Machine::power_on(Kind::Its.profile());
    let pci = Arc::new(Pci::new(&machine, Shape::DISK, 0, DEVID));
    let all = [1, 2].map(|id| {
        let config = Config {
            id,
            ..Kind::Its.config(1)
        };
        let domain = Domain::create(&machine, config).expect("a domain");
        domain.create_vcpu(id.into()).expect("a vCPU");
        domain.unpause();
        domain
    });
    let guests: Vec<_> = (all.iter().map(|d| Guest::boot(d, Kind::Its))).collect();
    for (guest, other) in [(&guests[0], &guests[1]), (&guests[1], &guests[0])] {
        for guest in &guests {
            guest.map(DEVICE, 0, EVENTS, |_| 0);
        }
        let vpci = assign(guest, &pci);
        let device = Device::probe(guest.cpu(), &vpci);
        device.enable_msix(guest.cpu(), EVENTS, guest.message(0));
        begin_reading(guest);
        (0..EVENTS).for_each(|n| assert_eq!(pci.function.raise(n), Raised::Sent));
        settle(&machine);
        drop(vpci);
        let vpci = assign(other, &pci);
        let device = Device::probe(other.cpu(), &vpci);
        device.enable_msix(other.cpu(), EVENTS, other.message(0));
        // What it has to say now is owed to that one.
        begin_reading(other);
        assert_eq!(pci.function.raise(1), Raised::Sent);
        settle(&machine);
        while reads(guest) || reads(other) {}
        machine.pass(LATER);
        assert_eq!((guest.all_taken(), other.all_taken()), (vec![], vec![1]));
        for n in 0..EVENTS {
            assert_eq!(pci.function.raise(n), Raised::Sent);
            assert_eq!(other.all_taken(), [n]);
        }
        drop(vpci);
        for guest in &guests {
            let its = guest.its.as_ref().expect("an ITS");
            its.send(guest.cpu(), &[command::unmapd(DEVICE + 1)]);
        }
    }
}

/// More than are sent at a time, each once.
#[test]
fn a_lot_is_owed() {
    const MANY: u32 = 300;
    let machine = Machine::power_on(Kind::Its.profile());
    let pci = Arc::new(Pci::new(&machine, Shape::LARGEST, 0, DEVID));
    let domain = domain(&machine, Kind::Its.config(1));
    let guest = Guest::boot(&domain, Kind::Its);
    let its = guest.its.as_ref().expect("an ITS");
    its.send(guest.cpu(), &[command::mapd(DEVICE, 9, its.itt(DEVICE))]);
    for n in 0..MANY {
        its::configure(&domain, LPI + 2000 + n, 0xa0, true);
    }
    let commands = (0..MANY).map(|n| command::mapti(DEVICE, n, LPI + 2000 + n, 0));
    its.send(guest.cpu(), &commands.collect::<Vec<_>>());
    its.send(guest.cpu(), &[command::invall(0)]);
    let vpci = assign(&guest, &pci);
    let device = Device::probe(guest.cpu(), &vpci);
    device.enable_msix(guest.cpu(), MANY, guest.message(0));
    begin_reading(&guest);
    (0..MANY).for_each(|n| assert_eq!(pci.function.raise(n), Raised::Sent));
    settle(&machine);
    while reads(&guest) {}
    machine.pass(LATER);
    let expected: Vec<u32> = (2000..2000 + MANY).collect();
    assert_eq!(guest.all_taken(), expected);
}

/// Commands keep the tables busy on all vCPUs, and devices send without a break, each again when it has been served.
#[test]
fn messages_meet_commands_and_none_is_lost() {
    const ROUNDS: u64 = 100;
    with_entries(4, |guest, pci, _| {
        let its = guest.its.as_ref().expect("an ITS");
        let wants: [AtomicBool; EVENTS as usize] = Default::default();
        let served: [AtomicU64; EVENTS as usize] = Default::default();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for cpu in &guest.cpus {
                let (wants, served, stop) = (&wants, &served, &stop);
                scope.spawn(move || {
                    let mut dice = fastrand::Rng::with_seed(cpu.vcpu.id as u64);
                    while !stop.load(SeqCst) {
                        let (event, to) = (dice.u32(..EVENTS), dice.u16(..4));
                        let inv = command::inv(DEVICE, event);
                        its.send(cpu, &[command::movi(DEVICE, event, to), inv]);
                        for n in guest.take(cpu) {
                            assert!(wants[n as usize].load(SeqCst), "{n} did not send");
                            served[n as usize].fetch_add(1, SeqCst);
                            wants[n as usize].store(false, SeqCst);
                        }
                    }
                });
            }
            let mut quiet = 0u64;
            let left = |n: usize| served[n].load(SeqCst) < ROUNDS;
            while (0..EVENTS as usize).any(left) {
                for n in (0..EVENTS as usize).filter(|n| left(*n)) {
                    if !wants[n].swap(true, SeqCst) {
                        assert_eq!(pci.function.raise(n as u32), Raised::Sent);
                        quiet = 0;
                    }
                }
                quiet += 1;
                if quiet > 20_000_000 {
                    guest.machine().report("a message is lost");
                    break;
                }
                std::thread::yield_now();
            }
            stop.store(true, SeqCst);
        });
        assert_eq!(served.map(|n| n.load(SeqCst)), [ROUNDS; EVENTS as usize]);
    });
}
