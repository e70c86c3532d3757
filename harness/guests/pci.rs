// SPDX-License-Identifier: GPL-2.0-only
//! What Linux's PCI and MSI code does with a function: sizes its BARs and places them, finds capabilities, and sets up MSI-X or MSI,
//! step by step as it does.

use crate::guests::guest::GuestCpu;
use crate::machine::pci::reg;
use crate::xen::vpci::Vpci;

/// Where the guest places BARs: each function has its own part, as big as the largest BAR twice.
const WINDOW: u64 = 0x2000_0000;
const PART: u64 = 0x400_0000;

/// A function, as its driver has it.
pub struct Device<'a, 'd> {
    pub vpci: &'a Vpci<'d>,
    /// Where each BAR is.
    pub bars: [u64; 6],
    /// Where capabilities are.
    pub msi: Option<u16>,
    pub msix: Option<u16>,
}

/// How a guest reaches configuration space and BARs: each is a trap, but where a BAR is mapped.
impl<'a, 'd> Device<'a, 'd> {
    pub fn config(&self, cpu: &GuestCpu, at: u16, size: usize) -> u32 {
        cpu.hypercall(|| self.vpci.config_read(at, size))
    }

    pub fn set_config(&self, cpu: &GuestCpu, at: u16, size: usize, value: u32) {
        cpu.hypercall(|| self.vpci.config_write(at, size, value));
    }

    /// A load from a BAR, which is there.
    pub fn load(&self, cpu: &GuestCpu, bar: u8, at: u64, size: usize) -> u64 {
        let gpa = self.bars[usize::from(bar)] + at;
        let value = cpu.hypercall(|| self.vpci.read(gpa, size));
        value.unwrap_or_else(|| {
            cpu.machine().report(format!("a load of {gpa:#x} aborts"));
            0
        })
    }

    pub fn store(&self, cpu: &GuestCpu, bar: u8, at: u64, size: usize, value: u64) {
        let gpa = self.bars[usize::from(bar)] + at;
        if !cpu.hypercall(|| self.vpci.store(gpa, size, value)) {
            cpu.machine().report(format!("a store to {gpa:#x} aborts"));
        }
    }

    /// As it is found on the bus: BARs sized and placed, memory and bus mastering on, capabilities looked for.
    pub fn probe(cpu: &GuestCpu, vpci: &'a Vpci<'d>) -> Self {
        let mut new = Self {
            vpci,
            bars: [0; 6],
            msi: None,
            msix: None,
        };
        assert_ne!(new.config(cpu, reg::VENDOR, 4), u32::MAX, "nobody is there");
        // Nothing is decoded while BARs are sized.
        let command = new.config(cpu, reg::COMMAND, 2) & !u32::from(reg::MEMORY);
        new.set_config(cpu, reg::COMMAND, 2, command);
        new.place_bars(cpu);
        let command = command | u32::from(reg::MEMORY | reg::MASTER);
        new.set_config(cpu, reg::COMMAND, 2, command);
        (new.msi, new.msix) = new.capabilities(cpu);
        new
    }

    fn place_bars(&mut self, cpu: &GuestCpu) {
        let mut next = WINDOW + u64::from(self.vpci.device & 0xff) * PART;
        let mut n = 0;
        while n < 6 {
            let at = reg::BAR0 + n as u16 * 4;
            let before = self.config(cpu, at, 4);
            self.set_config(cpu, at, 4, u32::MAX);
            let size = self.config(cpu, at, 4);
            self.set_config(cpu, at, 4, before);
            let wide = size & 0x6 == 0x4;
            let mut mask = u64::from(size & !0xf) | u64::from(u32::MAX) << 32;
            if wide {
                self.set_config(cpu, at + 4, 4, u32::MAX);
                mask = mask & 0xffff_ffff | u64::from(self.config(cpu, at + 4, 4)) << 32;
            }
            if size & !0xf != 0 {
                let bytes = (!mask).wrapping_add(1);
                next = next.next_multiple_of(bytes);
                self.set_config(cpu, at, 4, next as u32);
                if wide {
                    self.set_config(cpu, at + 4, 4, (next >> 32) as u32);
                }
                self.bars[n] = next;
                next += bytes;
            }
            n += if wide { 2 } else { 1 };
        }
    }

    fn capabilities(&self, cpu: &GuestCpu) -> (Option<u16>, Option<u16>) {
        let (mut msi, mut msix) = (None, None);
        if self.config(cpu, reg::STATUS, 2) & 1 << 4 == 0 {
            return (msi, msix);
        }
        let mut at = self.config(cpu, reg::CAPABILITIES, 1) as u16 & 0xfc;
        // As many as there is room for.
        for _ in 0..48 {
            if at < 0x40 {
                break;
            }
            match self.config(cpu, at, 1) as u8 {
                reg::CAP_MSI => msi = Some(at),
                reg::CAP_MSIX => msix = Some(at),
                _ => {}
            }
            at = self.config(cpu, at + 1, 1) as u16 & 0xfc;
        }
        (msi, msix)
    }

    /// Entries of MSI-X.
    pub fn entries(&self, cpu: &GuestCpu) -> u32 {
        let at = self.msix.expect("MSI-X");
        (self.config(cpu, at + reg::CONTROL, 2) & 0x7ff) + 1
    }

    /// Where an entry is.
    pub fn entry(&self, cpu: &GuestCpu, n: u32) -> (u8, u64) {
        let at = self.msix.expect("MSI-X");
        let place = self.config(cpu, at + reg::MSIX_TABLE, 4);
        let start = u64::from(place & !7);
        ((place & 7) as u8, start + u64::from(n) * reg::ENTRY_SIZE)
    }

    /// Message Control of MSI-X: these bits cleared, then those set.
    pub fn msix_control(&self, cpu: &GuestCpu, clear: u16, set: u16) {
        let at = self.msix.expect("MSI-X") + reg::CONTROL;
        let control = self.config(cpu, at, 2) & !u32::from(clear);
        self.set_config(cpu, at, 2, control | u32::from(set));
    }

    pub fn write_message(&self, cpu: &GuestCpu, n: u32, address: u64, data: u32) {
        let (bar, at) = self.entry(cpu, n);
        self.store(cpu, bar, at, 4, address & 0xffff_ffff);
        self.store(cpu, bar, at + 4, 4, address >> 32);
        self.store(cpu, bar, at + reg::ENTRY_DATA, 4, data.into());
        // So that it has arrived.
        self.load(cpu, bar, at, 4);
    }

    pub fn mask(&self, cpu: &GuestCpu, n: u32, masked: bool) {
        let (bar, at) = self.entry(cpu, n);
        self.store(cpu, bar, at + reg::ENTRY_CONTROL, 4, masked.into());
        if masked {
            self.load(cpu, bar, at, 4);
        }
    }

    /// MSI-X with so many entries, each of which sends its message of `message`: enabled with all masked, all entries masked, messages
    /// written, the function unmasked, and then each entry as its interrupt is requested.
    pub fn enable_msix(&self, cpu: &GuestCpu, count: u32, message: impl Fn(u32) -> (u64, u32)) {
        self.msix_control(cpu, 0, reg::MSIX_MASKALL | reg::MSIX_ENABLE);
        for n in 0..self.entries(cpu) {
            self.mask(cpu, n, true);
        }
        for n in 0..count {
            let (address, data) = message(n);
            self.write_message(cpu, n, address, data);
        }
        self.msix_control(cpu, reg::MSIX_MASKALL, 0);
        (0..count).for_each(|n| self.mask(cpu, n, false));
    }

    /// MSI-X is no longer.
    pub fn disable_msix(&self, cpu: &GuestCpu, count: u32) {
        (0..count).for_each(|n| self.mask(cpu, n, true));
        self.msix_control(cpu, reg::MSIX_ENABLE, 0);
    }

    /// Where data of MSI is, and its mask bits if it has them.
    pub fn msi_places(&self, cpu: &GuestCpu) -> (u16, Option<u16>) {
        let at = self.msi.expect("MSI");
        let control = self.config(cpu, at + reg::CONTROL, 2) as u16;
        let data = at + if control & reg::MSI_WIDE != 0 { 12 } else { 8 };
        (data, (control & reg::MSI_MASKS != 0).then_some(data + 4))
    }

    pub fn write_msi(&self, cpu: &GuestCpu, address: u64, data: u32) {
        let at = self.msi.expect("MSI");
        let (place, _) = self.msi_places(cpu);
        self.set_config(cpu, at + reg::MSI_ADDRESS, 4, address as u32);
        if place == at + 12 {
            self.set_config(cpu, at + reg::MSI_ADDRESS + 4, 4, (address >> 32) as u32);
        }
        self.set_config(cpu, place, 2, data);
    }

    /// Mask bits of MSI, of a function that has them.
    pub fn mask_msi(&self, cpu: &GuestCpu, masked: u32) {
        if let (_, Some(at)) = self.msi_places(cpu) {
            self.set_config(cpu, at, 4, masked);
        }
    }

    /// MSI with 2^`multiple` vectors: all masked if there are masks, the message written, enabled, unmasked.
    pub fn enable_msi(&self, cpu: &GuestCpu, multiple: u16, address: u64, data: u32) {
        let at = self.msi.expect("MSI") + reg::CONTROL;
        let control = self.config(cpu, at, 2) & !u32::from(reg::MSI_ENABLE | reg::MSI_MULTIPLE);
        self.set_config(cpu, at, 2, control);
        self.mask_msi(cpu, u32::MAX >> (32 - (1 << multiple)));
        self.write_msi(cpu, address, data);
        let multiple = u32::from(multiple) << 4;
        self.set_config(cpu, at, 2, control | multiple | u32::from(reg::MSI_ENABLE));
        self.mask_msi(cpu, 0);
    }

    pub fn disable_msi(&self, cpu: &GuestCpu) {
        let at = self.msi.expect("MSI") + reg::CONTROL;
        let control = self.config(cpu, at, 2) & !u32::from(reg::MSI_ENABLE);
        self.set_config(cpu, at, 2, control);
    }
}
