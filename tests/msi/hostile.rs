// SPDX-License-Identifier: GPL-2.0-only
//! A guest that does anything: to configuration space, to the table and what is around it, with every size, and to its doorbells. What
//! is bound is what it has written, the host's values are nowhere to be read, and each interrupt is accounted for.

use super::*;
use std::collections::BTreeSet;
use vgic_harness::machine::pci::{Bar, MsixShape};

const VECTORS: u32 = 8;

/// Where BARs can be: few places, so that they meet; and nowhere.
const PLACES: [u32; 7] = [
    0,
    0x2000_0000,
    0x2000_1000,
    0x2010_0000,
    0x2000_0800,
    0xffff_f000,
    u32::MAX,
];

/// Table and PBA are one and the same, as no function should have them.
const OVERLAID: Shape = Shape {
    msix: Some(MsixShape {
        entries: VECTORS,
        table: (1, 0x7c0),
        pba: (1, 0x7c8),
    }),
    ..Shape::CROWDED
};

/// The last entries reach into another page.
const ASTRIDE: Shape = Shape {
    bars: [
        Bar::Low(0x4000),
        Bar::None,
        Bar::None,
        Bar::None,
        Bar::None,
        Bar::None,
    ],
    msix: Some(MsixShape {
        entries: 64,
        table: (0, 0xfc0),
        pba: (0, 0x2ff8),
    }),
    ..Shape::MANY
};

/// One that is at it, and what is known of it.
struct Attack<'a, 'd> {
    guest: &'a Guest<'d>,
    vpci: &'a Vpci<'d>,
    dice: fastrand::Rng,
    /// All that it has ever had in its registers for an event.
    written: Vec<BTreeSet<u32>>,
    /// Addresses that the host has for it.
    secrets: BTreeSet<u64>,
}

impl Attack<'_, '_> {
    fn size(&mut self) -> usize {
        1 << self.dice.u32(..4)
    }

    fn value(&mut self) -> u64 {
        let doorbell = self.guest.doorbell();
        let n = self.dice.u32(..VECTORS);
        match self.dice.u32(..12) {
            0..4 => doorbell,
            4 => doorbell >> 32,
            5..7 => self.guest.data(0, n).into(),
            7 => u64::from(self.guest.data(0, n)) | u64::from(self.dice.bool()) << 32,
            8 => 0,
            9 => 1,
            10 => u64::MAX,
            _ => self.dice.u64(..),
        }
    }

    fn note_written(&mut self) {
        for (event, all) in (0..).zip(&mut self.written) {
            let own = self.vpci.written(event);
            let own = own
                .iter()
                .filter(|(address, _)| *address == self.guest.doorbell());
            all.extend(own.map(|(_, data)| *data));
        }
    }

    fn is_secret(&self, value: u64) -> bool {
        let page = |value: u64| value & !0xfff;
        let halves = [value, value & 0xffff_ffff, value >> 32];
        let mut all = self.secrets.iter();
        all.any(|secret| halves.iter().any(|half| page(*half) == page(*secret)))
    }

    fn config(&mut self) {
        let size = self.size().min(4);
        let at = match self.dice.u32(..4) {
            0 => self.dice.u16(..0x40),
            1 => 0x50 + self.dice.u16(..0x18),
            2 => 0x70 + self.dice.u16(..0xc),
            _ => self.dice.u16(..0x100),
        } / size as u16
            * size as u16;
        let (guest, vpci) = (self.guest, self.vpci);
        if self.dice.bool() {
            let value = guest.cpu().hypercall(|| vpci.config_read(at, size));
            assert!(!self.is_secret(value.into()), "{at:#x} reads {value:#x}");
            return;
        }
        let value = match at {
            0x10..0x28 => PLACES[self.dice.usize(..PLACES.len())],
            0x04 => self.dice.u32(..) | u32::from(self.dice.u8(..4) != 0) << 1,
            // Enabled and not, with all numbers of vectors.
            0x52 => self.dice.u32(..) | u32::from(self.dice.bool()),
            0x72 | 0x70 => self.dice.u32(..) & 0xc000 | self.dice.u32(..) & 0xc000_0000,
            _ => self.value() as u32,
        };
        guest.cpu().hypercall(|| vpci.config_write(at, size, value));
    }

    fn memory(&mut self) {
        let size = self.size();
        let base = u64::from(PLACES[self.dice.usize(..PLACES.len())]);
        let msix = vgic_msix(self.vpci);
        let offset = match self.dice.u32(..6) {
            0 => self.dice.u64(..0x4000),
            1 => u64::from(msix.pba.1) + self.dice.u64(..16),
            _ => {
                let entry = self.dice.u64(..u64::from(VECTORS)) * 16;
                u64::from(msix.table.1) + entry + self.dice.u64(..16)
            }
        };
        let unaligned = self.dice.u32(..8) == 0;
        let at = if unaligned {
            offset
        } else {
            offset / size as u64 * size as u64
        };
        let gpa = base.wrapping_add(at);
        let (guest, vpci) = (self.guest, self.vpci);
        if self.dice.u32(..3) == 0 {
            let value = guest.cpu().hypercall(|| vpci.read(gpa, size));
            let secret = value.is_some_and(|value| self.is_secret(value));
            assert!(!secret, "{gpa:#x} reads {value:x?}");
        } else {
            let value = self.value();
            guest.cpu().hypercall(|| vpci.store(gpa, size, value));
        }
    }

    fn commands(&mut self) {
        let Some(its) = &self.guest.its else {
            return;
        };
        let (event, lpi) = (self.dice.u32(..VECTORS), LPI + self.dice.u32(..VECTORS));
        let one = match self.dice.u32(..6) {
            0 => command::unmapd(DEVICE),
            1 => command::mapd(DEVICE, 5, its.itt(DEVICE)),
            2 => command::discard(DEVICE, event),
            3 => command::inv(DEVICE, event),
            _ => command::mapti(DEVICE, event, lpi, 0),
        };
        its.send(self.guest.cpu(), &[one]);
    }

    /// What the host has bound of so many events is what it has written, to its doorbell.
    fn check(&mut self, pci: &Pci, events: u32) {
        self.note_written();
        for (event, all) in (0..events).zip(&self.written) {
            if let Some((device, data)) = pci.bound(event) {
                assert_eq!(device, DEVICE);
                assert!(all.contains(&data), "event {event} is bound to {data:#x}");
            }
        }
    }
}

fn vgic_msix(vpci: &Vpci) -> MsixShape {
    vpci.pci.function.shape.msix.expect("MSI-X")
}

fn attack(shape: Shape, seed: u64, steps: u32) {
    each(1, shape, |guest, pci| {
        guest.map(DEVICE, 0, VECTORS, |_| 0);
        let vpci = assign(guest, pci);
        let mut attack = Attack {
            guest,
            vpci: &vpci,
            dice: fastrand::Rng::with_seed(seed),
            written: vec![BTreeSet::new(); pci.events() as usize],
            secrets: BTreeSet::new(),
        };
        attack.note_written();
        for _ in 0..steps {
            match attack.dice.u32(..16) {
                0..6 => attack.config(),
                6..12 => attack.memory(),
                12 => attack.commands(),
                _ => {
                    let vector = attack.dice.u32(..VECTORS);
                    pci.function.raise(vector);
                }
            }
            // What the function has is where the host's pages are, once it has anything.
            for n in 0..VECTORS {
                attack.secrets.insert(pci.function.entry(n).0);
            }
            attack.secrets.insert(pci.function.msi_message().0);
            let own = guest.doorbell() & !0xfff;
            let secret = |address: &u64| *address > 0xffff && *address & !0xfff != own;
            attack.secrets.retain(secret);
            attack.check(pci, VECTORS);
            guest.take(guest.cpu());
        }
        attack.check(pci, pci.events());
        assert_eq!(pci.take_strays(), 0, "it has written to elsewhere");
        // It is as good as any other afterwards.
        drop(vpci);
        assert_eq!(bound(pci), []);
        guest.all_taken();
        pci.function.reset();
        guest.map(DEVICE, 0, VECTORS, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(guest.cpu(), &vpci);
        device.enable_msix(guest.cpu(), VECTORS, guest.message(0));
        for n in 0..VECTORS {
            assert_eq!(pci.function.raise(n), Raised::Sent, "{n}");
            assert_eq!(guest.all_taken(), [n]);
        }
    });
}

#[test]
fn any_access_binds_what_was_written_and_tells_nothing() {
    for (n, shape) in (0..).zip([Shape::CROWDED, OVERLAID, ASTRIDE]) {
        for seed in 0..4 {
            attack(shape, seed * 8 + n, 1000);
        }
    }
}

/// Enabled and disabled as fast as it goes: nothing is kept of it, and what it has is what it was.
#[test]
fn enable_storms_leave_nothing_behind() {
    use vgic_harness::xen::faults;
    for shape in [Shape::LARGEST, Shape::CROWDED] {
        each(1, shape, |guest, pci| {
            let cpu = guest.cpu();
            guest.map(DEVICE, 0, VECTORS, |_| 0);
            let vpci = assign(guest, pci);
            let device = Device::probe(cpu, &vpci);
            device.enable_msix(cpu, VECTORS, guest.message(0));
            let before = (faults::live(), faults::live_bytes());
            let commands = guest.domain.host_commands();
            for _ in 0..300 {
                device.msix_control(cpu, reg::MSIX_ENABLE, 0);
                device.msix_control(cpu, 0, reg::MSIX_ENABLE);
            }
            assert_eq!((faults::live(), faults::live_bytes()), before);
            // Nor has the host's ITS had anything to do for it.
            assert_eq!(guest.domain.host_commands(), commands);
            for n in 0..VECTORS {
                assert_eq!(pci.function.raise(n), Raised::Sent);
                assert_eq!(guest.all_taken(), [n]);
            }
            assert_eq!(bound(pci).len(), VECTORS as usize);
        });
    }
}

/// All ones in each BAR: beyond the end of what there is of addresses nothing is found, and nothing is lost of the function.
#[test]
fn bars_of_ones_are_nowhere() {
    each(1, Shape::CROWDED, |guest, pci| {
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 2, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        device.enable_msix(cpu, 1, guest.message(0));
        // While it is mapped it stays where it is.
        for at in (reg::BAR0..reg::BAR0 + 24).step_by(4) {
            device.set_config(cpu, at, 4, u32::MAX);
        }
        let (bar, at) = device.entry(cpu, 0);
        assert_eq!(device.load(cpu, bar, at, 8), guest.doorbell());
        let command = device.config(cpu, reg::COMMAND, 2);
        device.set_config(cpu, reg::COMMAND, 2, 0);
        for at in (reg::BAR0..reg::BAR0 + 24).step_by(4) {
            device.set_config(cpu, at, 4, u32::MAX);
        }
        device.set_config(cpu, reg::COMMAND, 2, command);
        let gpa = device.bars[usize::from(bar)] + at;
        assert!(!cpu.hypercall(|| vpci.store(gpa, 8, 0)), "it is gone there");
        for gpa in [0xffff_f210, u64::MAX - 0xfffff, u64::MAX - 7, 0, gpa] {
            cpu.hypercall(|| vpci.store(gpa, 8, 0x1234_5670));
        }
        assert_eq!(pci.function.raise(0), Raised::Sent);
        assert_eq!(guest.all_taken(), [0], "it is what it was");
    });
}

/// Everything a guest's CPU can write to the doorbells that it can find, and to the pages that its devices see: it is nobody's device.
#[test]
fn a_cpu_that_writes_to_doorbells_is_no_device() {
    each(1, Shape::DISK, |guest, pci| {
        use vgic_harness::guests::guest::Size;
        let cpu = guest.cpu();
        guest.map(DEVICE, 0, 4, |_| 0);
        let vpci = assign(guest, pci);
        let device = Device::probe(cpu, &vpci);
        device.enable_msix(cpu, 4, guest.message(0));
        for event in 0..0x400 {
            let _ = cpu.store(guest.doorbell() & !3, Size::Word, event);
        }
        // An SPI of the frame is the guest's own to make pending.
        let own: &[u32] = if guest.kind == Kind::Frame {
            &[0, 1, 2, 3]
        } else {
            &[]
        };
        assert_eq!(guest.all_taken(), own);
        assert_eq!(pci.take_strays(), 0);
    });
}
