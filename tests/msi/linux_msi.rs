// SPDX-License-Identifier: GPL-2.0-only
//! MSI, as Linux drives it.

use super::*;

#[test]
fn each_vector_sends_data_with_its_number() {
    for multiple in 0..=5 {
        each(2, Shape::MANY, |guest, pci| {
            let (cpu, count) = (guest.cpu(), 1 << multiple);
            guest.map(DEVICE, 0, 32, |n| n as usize % 2);
            let vpci = assign(guest, pci);
            let device = Device::probe(cpu, &vpci);
            device.enable_msi(cpu, multiple, guest.doorbell(), guest.data(0, 0));
            for n in 0..count {
                assert_eq!(pci.function.raise(n), Raised::Sent);
                assert_eq!(guest.all_taken(), [n], "of {count}");
            }
            // A function that has more to say has fewer vectors for it.
            assert_eq!(pci.function.raise(count + 1), Raised::Sent);
            assert_eq!(guest.all_taken(), [1 % count]);
            let expected: Vec<_> = (0..count).map(|n| (n, DEVICE, guest.data(0, n))).collect();
            assert_eq!(bound(pci), expected);
            device.disable_msi(cpu);
            assert_eq!(pci.function.raise(0), Raised::Nowhere);
            assert_eq!((guest.all_taken(), pci.take_strays()), (vec![], 0));
        });
    }
}

/// 32 bits of address, no masks, one vector.
#[test]
fn an_old_function_has_one() {
    each(1, Shape::PLAIN, |guest, pci| {
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 8, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        // It is asked for four, and has one.
        device.enable_msi(cpu, 2, guest.doorbell(), guest.data(0, 5));
        let at = device.msi.expect("MSI");
        assert_eq!(device.config(cpu, at + reg::CONTROL, 2), 1);
        assert_eq!(pci.function.raise(3), Raised::Sent);
        assert_eq!(guest.all_taken(), [5]);
        assert_eq!(pci.function.msi_message().1, 0, "the host's event");
        assert_eq!(
            device.config(cpu, at + reg::MSI_ADDRESS, 4),
            guest.doorbell() as u32
        );
        assert_eq!(device.config(cpu, at + 8, 2), guest.data(0, 5));
    });
}

#[test]
fn a_write_while_enabled_counts_at_once() {
    each(1, Shape::MANY, |guest, pci| {
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 16, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        let data = |n| guest.data(0, n);
        device.enable_msi(cpu, 2, guest.doorbell(), data(0));
        device.write_msi(cpu, guest.doorbell(), data(8));
        pci.function.raise(1);
        assert_eq!(guest.all_taken(), [9]);
        // Elsewhere there is nobody.
        for address in [0, guest.doorbell() + 4, guest.doorbell() ^ 1 << 33] {
            device.write_msi(cpu, address, data(8));
            assert_eq!(bound(pci), []);
            assert_ne!(pci.function.raise(1), Raised::Sent, "{address:#x}");
            assert_eq!(guest.all_taken(), [], "{address:#x}");
            device.write_msi(cpu, guest.doorbell(), data(8));
            assert_eq!(guest.all_taken(), [9], "{address:#x}");
        }
        assert_eq!(pci.take_strays(), 0);
        device.write_msi(cpu, guest.doorbell(), data(4));
        // Another number of vectors, as another enabling.
        let at = device.msi.expect("MSI") + reg::CONTROL;
        device.set_config(cpu, at, 2, 1 | 3 << 4);
        pci.function.raise(7);
        assert_eq!(guest.all_taken(), [7], "of eight the low three bits");
        device.set_config(cpu, at, 2, 1 | 1 << 4);
        pci.function.raise(7);
        assert_eq!(guest.all_taken(), [5], "of two one");
    });
}

#[test]
fn vectors_are_masked_each_and_come_once() {
    each(1, Shape::MANY, |guest, pci| {
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 4, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        let at = device.msi.expect("MSI");
        device.enable_msi(cpu, 2, guest.doorbell(), guest.data(0, 0));
        device.mask_msi(cpu, 0b0101);
        assert_eq!(pci.function.raise(0), Raised::Pending);
        assert_eq!(pci.function.raise(0), Raised::Merged);
        assert_eq!(pci.function.raise(1), Raised::Sent);
        assert_eq!(pci.function.raise(2), Raised::Pending);
        let pending = || device.config(cpu, at + 20, 4);
        assert_eq!((guest.all_taken(), pending()), (vec![1], 0b0101));
        device.mask_msi(cpu, 0b0100);
        assert_eq!((guest.all_taken(), pending()), (vec![0], 0b0100));
        device.mask_msi(cpu, 0);
        assert_eq!((guest.all_taken(), pending()), (vec![2], 0));
        // Those written before count when it is enabled.
        device.disable_msi(cpu);
        device.mask_msi(cpu, 0b1000);
        let control = device.config(cpu, at + reg::CONTROL, 2);
        device.set_config(cpu, at + reg::CONTROL, 2, control | 1);
        assert_eq!(pci.function.raise(3), Raised::Pending);
        assert_eq!(pci.function.raise(2), Raised::Sent);
        assert_eq!(guest.all_taken(), [2]);
        device.mask_msi(cpu, 0);
        assert_eq!(guest.all_taken(), [3]);
    });
}

/// A function that has both is driven by one at a time.
#[test]
fn msi_gives_way_to_msix_and_back() {
    each(1, Shape::CROWDED, |guest, pci| {
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 8, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        for _ in 0..2 {
            device.enable_msi(cpu, 2, guest.doorbell(), guest.data(0, 0));
            pci.function.raise(3);
            assert_eq!(guest.all_taken(), [3]);
            // Both at once is nothing that there is: MSI stays.
            device.enable_msix(cpu, 1, guest.message(0));
            assert_eq!(bound(pci).len(), if bound(pci).len() > 4 { 8 } else { 4 });
            device.disable_msix(cpu, 1);
            device.disable_msi(cpu);
            device.enable_msix(cpu, 8, |n| (guest.doorbell(), guest.data(0, 7 - n)));
            pci.function.raise(3);
            assert_eq!(guest.all_taken(), [4]);
            let at = device.msi.expect("MSI") + reg::CONTROL;
            let control = device.config(cpu, at, 2);
            device.set_config(cpu, at, 2, control | 1);
            assert_eq!(device.config(cpu, at, 2) & 1, 0, "it cannot be enabled");
            device.disable_msix(cpu, 8);
        }
    });
}
