// SPDX-License-Identifier: GPL-2.0-only
//! MSI-X, as Linux drives it.

use super::*;

/// Where table and PBA are by themselves, share their pages, and fill a BAR.
const SHAPES: [Shape; 3] = [Shape::DISK, Shape::CROWDED, Shape::LARGEST];

#[test]
fn each_entry_is_an_interrupt_of_the_guests() {
    for shape in SHAPES {
        each(4, shape, |guest, pci| {
            let count = guest.domain.config.vcpus as u32 + 2;
            let cpu = guest.cpu();
            guest.map(DEVICE, 0, count, |n| n as usize % 4);
            let vpci = assign(guest, pci);
            let device = Device::probe(cpu, &vpci);
            assert!(device.entries(cpu) >= count);
            device.enable_msix(cpu, count, guest.message(0));
            for round in 0..2 {
                for n in 0..count {
                    assert_eq!(pci.function.raise(n), Raised::Sent);
                    let mut expected = vec![vec![]; 4];
                    expected[n as usize % 4] = vec![n];
                    assert_eq!(guest.taken(), expected, "entry {n}, round {round}");
                }
            }
            // Those that were not set up are masked.
            assert_eq!(pci.function.raise(count), Raised::Pending);
            assert_eq!(guest.all_taken(), []);
            device.disable_msix(cpu, count);
            assert_eq!(pci.function.raise(0), Raised::Nowhere);
            assert_eq!(guest.all_taken(), []);
            assert_eq!(pci.take_strays(), 0);
        });
    }
}

/// What the guest reads is what it wrote; what the function has is the host's.
#[test]
fn the_guest_sees_its_own_values_and_the_function_the_hosts() {
    for shape in SHAPES {
        each(1, shape, |guest, pci| {
            let cpu = guest.cpu();
            guest.map(DEVICE, 0, 3, |_| 0);
            let vpci = assign(guest, pci);
            let device = Device::probe(cpu, &vpci);
            device.enable_msix(cpu, 3, guest.message(0));
            for n in 0..3 {
                let (bar, at) = device.entry(cpu, n);
                let read = |at, size| device.load(cpu, bar, at, size);
                let (address, data) = (guest.doorbell(), u64::from(guest.data(0, n)));
                assert_eq!(read(at, 8), address);
                assert_eq!(read(at, 4) | read(at + 4, 4) << 32, address);
                assert_eq!(read(at + 8, 8), data);
                assert_eq!((read(at + 8, 4), read(at + 12, 4)), (data, 0));
                let (own, event, control) = pci.function.entry(n);
                assert_ne!(own, address);
                assert_eq!((event, control), (n, 0), "the entry is the event");
                assert_eq!(pci.bound(n), Some((DEVICE, data as u32)));
            }
            assert_eq!(bound(pci).len(), 3);
        });
    }
}

#[test]
fn what_comes_while_masked_comes_once_when_it_is_not() {
    for shape in SHAPES {
        each(1, shape, |guest, pci| {
            let cpu = guest.cpu();
            guest.map(DEVICE, 0, 2, |_| 0);
            let vpci = assign(guest, pci);
            let device = Device::probe(cpu, &vpci);
            device.enable_msix(cpu, 2, guest.message(0));
            let pba = pci.function.shape.msix.expect("MSI-X").pba;
            let pending = || device.load(cpu, pba.0, pba.1.into(), 4);
            device.mask(cpu, 0, true);
            assert_eq!(pci.function.raise(0), Raised::Pending);
            assert_eq!(pci.function.raise(0), Raised::Merged);
            assert_eq!(pci.function.raise(1), Raised::Sent, "masked each");
            assert_eq!((guest.all_taken(), pending()), (vec![1], 1));
            device.mask(cpu, 0, false);
            assert_eq!((guest.all_taken(), pending()), (vec![0], 0));
            // All of the function's.
            device.msix_control(cpu, 0, reg::MSIX_MASKALL);
            for n in [0, 1, 1] {
                assert_ne!(pci.function.raise(n), Raised::Sent);
            }
            assert_eq!((guest.all_taken(), pending()), (vec![], 3));
            device.msix_control(cpu, reg::MSIX_MASKALL, 0);
            assert_eq!((guest.all_taken(), pending()), (vec![0, 1], 0));
            // One that is masked stays so.
            device.mask(cpu, 1, true);
            device.msix_control(cpu, 0, reg::MSIX_MASKALL);
            (0..2).for_each(|n| assert_ne!(pci.function.raise(n), Raised::Sent));
            device.msix_control(cpu, reg::MSIX_MASKALL, 0);
            assert_eq!((guest.all_taken(), pending()), (vec![0], 2));
            device.mask(cpu, 1, false);
            assert_eq!(guest.all_taken(), [1]);
        });
    }
}

/// Address and data count at the next unmask.
#[test]
fn an_entry_that_is_unmasked_stays_what_it_is() {
    each(1, Shape::DISK, |guest, pci| {
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 4, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        device.enable_msix(cpu, 1, guest.message(0));
        device.write_message(cpu, 0, guest.doorbell(), guest.data(0, 3));
        pci.function.raise(0);
        assert_eq!(guest.all_taken(), [0], "as it was");
        device.mask(cpu, 0, true);
        pci.function.raise(0);
        device.mask(cpu, 0, false);
        assert_eq!(guest.all_taken(), [3], "as it is");
        assert_eq!(bound(pci), [(0, DEVICE, guest.data(0, 3))]);
        // With the function masked, it is when that is over.
        device.msix_control(cpu, 0, reg::MSIX_MASKALL);
        device.write_message(cpu, 0, guest.doorbell(), guest.data(0, 2));
        pci.function.raise(0);
        assert_eq!(guest.all_taken(), []);
        device.msix_control(cpu, reg::MSIX_MASKALL, 0);
        assert_eq!(guest.all_taken(), [2]);
        // And when MSI-X is enabled.
        device.msix_control(cpu, reg::MSIX_ENABLE, 0);
        device.write_message(cpu, 0, guest.doorbell(), guest.data(0, 1));
        device.msix_control(cpu, 0, reg::MSIX_ENABLE);
        pci.function.raise(0);
        assert_eq!(guest.all_taken(), [1]);
    });
}

/// Masked, disabled, enabled, unmasked: nothing has been written in between.
#[test]
fn entries_come_back_with_msix() {
    each(1, Shape::CROWDED, |guest, pci| {
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 2, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        device.enable_msix(cpu, 2, guest.message(0));
        device.mask(cpu, 0, true);
        device.msix_control(cpu, reg::MSIX_ENABLE, 0);
        device.msix_control(cpu, 0, reg::MSIX_ENABLE);
        pci.function.raise(1);
        assert_eq!(pci.function.raise(0), Raised::Pending);
        assert_eq!(guest.all_taken(), [1]);
        device.mask(cpu, 0, false);
        assert_eq!(guest.all_taken(), [0]);
    });
}

#[test]
fn messages_to_elsewhere_bind_nothing() {
    each(1, Shape::DISK, |guest, pci| {
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 2, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        let own = guest.doorbell();
        let host = |pci: &Pci| pci.function.entry(1).0;
        device.enable_msix(cpu, 2, guest.message(0));
        let page = host(pci);
        device.disable_msix(cpu, 2);
        for address in [
            0,
            own - 4,
            own + 4,
            own ^ 1 << 32,
            own & !0xfff,
            page,
            guest.machine().profile.its_base(0) + TRANSLATER + 0x1000,
            0x4000_0000,
            !3,
        ] {
            if address == own {
                continue;
            }
            device.enable_msix(cpu, 1, |n| (address, guest.data(0, n)));
            assert_eq!(pci.function.entry(0).2, 1, "{address:#x} is masked");
            assert_eq!(pci.function.entry(0).0, page, "{address:#x}");
            assert_eq!(pci.function.raise(0), Raised::Pending, "{address:#x}");
            assert_eq!(guest.all_taken(), [], "{address:#x}");
            let (bar, at) = device.entry(cpu, 0);
            assert_eq!(device.load(cpu, bar, at, 8), address, "it has it so");
            assert_eq!(device.load(cpu, bar, at + 12, 4), 0, "and unmasked");
            // What is right comes of it all the same.
            device.mask(cpu, 0, true);
            device.write_message(cpu, 0, own, guest.data(0, 0));
            device.mask(cpu, 0, false);
            assert_eq!(guest.all_taken(), [0], "{address:#x}");
            device.disable_msix(cpu, 1);
        }
        assert_eq!(pci.take_strays(), 0, "it never wrote anywhere else");
    });
}

/// Registers of the function's own beside the table, of every size; and the table itself.
#[test]
fn each_access_of_a_shared_page_is_what_it_was() {
    each(1, Shape::CROWDED, |guest, pci| {
        let cpu = guest.cpu();
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        let msix = pci.function.shape.msix.expect("MSI-X");
        let table = u64::from(msix.table.1)..u64::from(msix.table.1) + msix.table_bytes();
        let pba = u64::from(msix.pba.1)..u64::from(msix.pba.1) + msix.pba_bytes();
        for size in [1, 2, 4, 8] {
            let ones = u64::MAX >> (64 - 8 * size);
            for at in (0..0x1000).step_by(size) {
                let value = 0x8967_4523_0112_3456u64.rotate_left(at as u32) & ones;
                let end = at + size as u64;
                let within = |range: &std::ops::Range<u64>| at < range.end && range.start < end;
                device.store(cpu, 1, at, size, value);
                let read = device.load(cpu, 1, at, size);
                let own = pci.function.bar_read(1, at, size);
                if within(&pba) {
                    assert_eq!((read, own), (0, 0), "{at:#x}");
                } else if within(&table) {
                    assert!(at.is_multiple_of(16) || own != value || value == 0);
                    if size < 4 {
                        assert_eq!(read, ones, "{at:#x}");
                    }
                } else {
                    assert_eq!((read, own), (value, value), "{at:#x}");
                }
            }
        }
        // What is not aligned is no access.
        for at in [0x101, 0x211, 0x212, 0x801] {
            device.store(cpu, 1, at, 4, 0x55);
            assert_eq!(device.load(cpu, 1, at, 4), 0xffff_ffff);
        }
        assert!(bound(pci).is_empty());
    });
}

/// With several ITSes of its own, of which none is the host's: a message that arrives goes to the first.
#[test]
fn a_direct_mapped_domain_has_the_first_doorbell() {
    let machine = Machine::power_on(Profile::SERVER.with_cpus(4));
    let pci = Arc::new(Pci::new(&machine, Shape::DISK, 2, DEVID));
    let config = Config {
        direct_mapped: true,
        ..Kind::Its.config(1)
    };
    let domain = domain(&machine, config);
    let guest = Guest::boot(&domain, Kind::Its);
    guest.map(DEVICE, 0, 2, |_| 0);
    let vpci = assign(&guest, &pci);
    let device = Device::probe(guest.cpu(), &vpci);
    for n in 0..4 {
        let doorbell = domain.its_base(n) + TRANSLATER;
        device.enable_msix(guest.cpu(), 2, |n| (doorbell, n));
        let sent = pci.function.raise(1) == Raised::Sent;
        assert_eq!(sent, n == 0, "ITS {n}");
        let expected: &[u32] = if n == 0 { &[1] } else { &[] };
        assert_eq!(guest.all_taken(), expected, "ITS {n}");
        device.disable_msix(guest.cpu(), 2);
    }
}

/// What a domain without messages could write is nowhere.
#[test]
fn a_domain_without_messages_binds_nothing() {
    for kind in KINDS {
        let machine = Machine::power_on(kind.profile());
        let pci = Arc::new(Pci::new(&machine, Shape::DISK, 0, DEVID));
        let config = Config {
            msi: false,
            ..kind.config(1)
        };
        let domain = domain(&machine, config);
        let cpu = GuestCpu::start(&domain, 0);
        let vpci = Vpci::assign(&domain, &pci, DEVICE).expect("a function");
        let device = Device::probe(&cpu, &vpci);
        for address in [
            GUEST_GICV3_ITS_BASE + TRANSLATER,
            GUEST_GICV2M_BASE + MSI_SETSPI_NS,
            DOORBELL,
        ] {
            device.enable_msix(&cpu, 2, |n| (address, n));
            assert_eq!(bound(&pci), [], "{kind:?} {address:#x}");
            assert_ne!(pci.function.raise(0), Raised::Sent);
            device.disable_msix(&cpu, 2);
        }
    }
}
