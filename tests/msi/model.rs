// SPDX-License-Identifier: GPL-2.0-only
//! Random steps of a guest and of its function, beside a model of a few lines of what the specification has them do: each interrupt that
//! is raised is taken once, as what it is to be, when it is to be.

use super::*;
use std::collections::BTreeSet;

/// Numbers that the guest has interrupts for, of which entries send any.
const NUMBERS: u32 = 16;
const ENTRIES: usize = 6;

#[derive(Clone, Copy, Default, Debug)]
struct Entry {
    /// What the guest has written, which is elsewhere or to its doorbell.
    own: bool,
    number: u32,
    masked: bool,
    updated: bool,
    /// What it sends, once it is set up.
    bound: u32,
    set_up: bool,
    pending: bool,
}

#[derive(Default, Debug)]
struct Msix {
    enabled: bool,
    masked: bool,
    entries: [Entry; ENTRIES],
}

impl Msix {
    fn update(&mut self, n: usize) {
        let entry = &mut self.entries[n];
        if entry.masked || !entry.updated {
            return;
        }
        entry.set_up = entry.own;
        entry.updated = !entry.own;
        if entry.own {
            entry.bound = entry.number;
        }
    }

    fn control(&mut self, enabled: bool, masked: bool) {
        if enabled && !masked && (!self.enabled || self.masked) {
            (0..ENTRIES).for_each(|n| self.update(n));
        }
        if !enabled && self.enabled {
            for entry in self.entries.iter_mut().filter(|entry| entry.set_up) {
                (entry.set_up, entry.updated) = (false, true);
            }
        }
        (self.enabled, self.masked) = (enabled, masked);
    }

    fn mask(&mut self, n: usize, masked: bool) {
        let was = std::mem::replace(&mut self.entries[n].masked, masked);
        if was && !masked && self.enabled && !self.masked {
            self.update(n);
        }
    }

    /// What of it is no longer pending, since it is sent.
    fn sent(&mut self) -> BTreeSet<u32> {
        let mut all = BTreeSet::new();
        let on = self.enabled && !self.masked;
        for entry in self.entries.iter_mut().filter(|entry| entry.pending) {
            if on && entry.set_up && !entry.masked {
                entry.pending = false;
                all.insert(entry.bound);
            }
        }
        all
    }
}

/// What is taken is what is said, each once. Two entries can send the same, which merges.
fn takes(guest: &Guest, expected: BTreeSet<u32>, what: &str) {
    let expected: Vec<u32> = expected.into_iter().collect();
    assert_eq!(guest.all_taken(), expected, "{what}");
}

fn msix(guest: &Guest, pci: &Arc<Pci>, seed: u64, steps: u32) {
    let (cpu, mut dice) = (guest.cpu(), fastrand::Rng::with_seed(seed));
    let vpci = assign(guest, pci);
    let device = Device::probe(cpu, &vpci);
    let mut model = Msix::default();
    for entry in &mut model.entries {
        entry.masked = true;
    }
    for step in 0..steps {
        let n = dice.usize(..ENTRIES);
        let what = match dice.u32(..10) {
            0 => {
                let (on, masked) = (dice.u32(..4) != 0, dice.bool());
                let bits = u16::from(on) << 15 | u16::from(masked) << 14;
                device.msix_control(cpu, reg::MSIX_ENABLE | reg::MSIX_MASKALL, bits);
                model.control(on, masked);
                format!("enabled: {on}, masked: {masked}")
            }
            1 | 2 => {
                let (own, number) = (dice.u32(..5) != 0, dice.u32(..NUMBERS));
                let address = guest.doorbell() ^ if own { 0 } else { 1 << dice.u32(2..48) };
                device.write_message(cpu, n as u32, address, guest.data(0, number));
                let entry = &mut model.entries[n];
                (entry.own, entry.number, entry.updated) = (own, number, true);
                format!("{n} is {number}, its own: {own}")
            }
            3..6 => {
                let masked = dice.u32(..3) == 0;
                device.mask(cpu, n as u32, masked);
                model.mask(n, masked);
                format!("{n} is masked: {masked}")
            }
            _ => {
                let raised = pci.function.raise(n as u32);
                model.entries[n].pending |= model.enabled;
                let nowhere = raised == Raised::Nowhere;
                assert_eq!(nowhere, !model.enabled, "step {step}, entry {n}");
                format!("{n} is raised: {raised:?}")
            }
        };
        let expected = model.sent();
        takes(
            guest,
            expected,
            &format!("seed {seed}, step {step}: {what}"),
        );
    }
    assert_eq!(pci.take_strays(), 0);
}

#[derive(Default, Debug)]
struct Msi {
    enabled: bool,
    multiple: u32,
    own: bool,
    number: u32,
    mask: u32,
    /// All is bound, or nothing.
    bound: bool,
    pending: u32,
}

impl Msi {
    fn vectors(&self) -> u32 {
        1 << self.multiple
    }

    fn rebind(&mut self) {
        self.bound = self.enabled && self.own;
    }

    fn control(&mut self, enabled: bool, multiple: u32) {
        if enabled && self.enabled && multiple == self.multiple {
            return;
        }
        // What cannot be bound cannot be enabled, and stays as many as it was.
        if enabled && !self.own {
            (self.enabled, self.bound) = (false, false);
            return;
        }
        (self.enabled, self.multiple) = (enabled, multiple);
        self.rebind();
    }

    fn sent(&mut self) -> BTreeSet<u32> {
        if !self.bound {
            return BTreeSet::new();
        }
        let own = u32::MAX >> (32 - self.vectors());
        let ready = self.pending & !self.mask & own;
        self.pending &= !ready;
        let number = |n: u32| self.number & !(self.vectors() - 1) | n;
        (0..32)
            .filter(|n| ready >> n & 1 != 0)
            .map(number)
            .collect()
    }
}

fn msi(guest: &Guest, pci: &Arc<Pci>, seed: u64, steps: u32) {
    let (cpu, mut dice) = (guest.cpu(), fastrand::Rng::with_seed(seed));
    let vpci = assign(guest, pci);
    let device = Device::probe(cpu, &vpci);
    let at = device.msi.expect("MSI");
    let (data, mask) = device.msi_places(cpu);
    let set = |at: u16, size: usize, value: u32| device.set_config(cpu, at, size, value);
    let mut model = Msi::default();
    set(at + reg::MSI_ADDRESS, 4, 0);
    set(data, 2, guest.data(0, 0));
    for step in 0..steps {
        let what = match dice.u32(..10) {
            0 | 1 => {
                let (on, multiple) = (dice.u32(..3) != 0, dice.u32(..4));
                set(at + reg::CONTROL, 2, u32::from(on) | multiple << 4);
                model.control(on, multiple);
                format!("enabled: {on}, 2^{multiple}")
            }
            2 => {
                model.own = dice.u32(..4) != 0;
                let other = if model.own { 0 } else { 1 << dice.u32(2..32) };
                set(at + reg::MSI_ADDRESS, 4, guest.doorbell() as u32 ^ other);
                model.rebind();
                format!("its own: {}", model.own)
            }
            3 => {
                // Where its vectors fit, whatever there are of them.
                model.number = dice.u32(..2) * 8;
                set(data, 2, guest.data(0, model.number));
                format!("it is {}", model.number)
            }
            4 | 5 => {
                model.mask = dice.u32(..256);
                set(mask.expect("masks"), 4, model.mask);
                format!("masked: {:#x}", model.mask)
            }
            _ => {
                let n = dice.u32(..8);
                let raised = pci.function.raise(n);
                if model.enabled {
                    model.pending |= 1 << (n % model.vectors());
                }
                let nowhere = raised == Raised::Nowhere;
                assert_eq!(nowhere, !model.enabled, "step {step}, vector {n}");
                format!("{n} is raised: {raised:?}")
            }
        };
        let expected = model.sent();
        takes(
            guest,
            expected,
            &format!("seed {seed}, step {step}: {what}"),
        );
    }
    assert_eq!(pci.take_strays(), 0);
}

const SEEDS: u64 = 5;
const STEPS: u32 = 400;

#[test]
fn msix_is_what_the_specification_has() {
    each(2, Shape::CROWDED, |guest, pci| {
        guest.map(DEVICE, 0, NUMBERS, |n| n as usize % 2);
        (0..SEEDS).for_each(|seed| {
            pci.function.reset();
            msix(guest, pci, seed, STEPS);
        });
    });
}

#[test]
fn msi_is_what_the_specification_has() {
    each(2, Shape::MANY, |guest, pci| {
        guest.map(DEVICE, 0, NUMBERS, |n| n as usize % 2);
        (0..SEEDS).for_each(|seed| {
            pci.function.reset();
            msi(guest, pci, seed, STEPS);
        });
    });
}
