// SPDX-License-Identifier: GPL-2.0-only
//! A vPCI: what a guest sees of a function that it owns, and what its accesses become. The steps are those of Xen's own: registers are
//! stored, and the vGIC is told when MSI is enabled, changed, masked or disabled, and when an entry of MSI-X is unmasked that has been
//! changed.

use crate::lock::lock;
use crate::machine::pci::{Bar, MSI, MSIX, reg};
use crate::xen::abi;
use crate::xen::domain::{Domain, Errno};
use crate::xen::functions::RawMsi;
use crate::xen::pci::Pci;
use std::ops::Range;
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy)]
struct Entry {
    address: u64,
    data: u32,
    masked: bool,
    /// Address or data are others than those that are bound.
    updated: bool,
}

struct State {
    command: u16,
    bars: [u32; 6],
    msi: MsiState,
    msix_enabled: bool,
    msix_masked: bool,
    entries: Vec<Entry>,
}

#[derive(Default)]
struct MsiState {
    enabled: bool,
    /// Multiple Message Enable.
    multiple: u16,
    address: u64,
    data: u32,
    mask: u32,
}

/// A register that the guest can write.
#[derive(Clone, Copy, Debug)]
enum Register {
    Command,
    Bar(usize),
    MsiControl,
    MsiAddress,
    MsiUpper,
    MsiData,
    MsiMask,
    MsixControl,
}

/// A function that a domain owns. Dropped, it does so no longer.
pub struct Vpci<'d> {
    domain: &'d Domain,
    pub pci: Arc<Pci>,
    /// The guest's DeviceID.
    pub device: u32,
    m: *mut RawMsi,
    /// `vpci->lock`.
    state: Mutex<State>,
}

// SAFETY: what the vGIC has is only used with the lock.
unsafe impl Send for Vpci<'_> {}
// SAFETY: as above.
unsafe impl Sync for Vpci<'_> {}

const PAGE: u64 = 0x1000;

impl<'d> Vpci<'d> {
    /// `assign_device()`: the domain is to know it by this DeviceID.
    ///
    /// # Errors
    /// What the vGIC answered; then it is nobody's.
    pub fn assign(domain: &'d Domain, pci: &Arc<Pci>, device: u32) -> Result<Self, Errno> {
        pci.quiet();
        let entries = pci.function.shape.msix.map_or(0, |m| m.entries);
        let entry = Entry {
            address: 0,
            data: 0,
            masked: true,
            updated: false,
        };
        let events = pci.events();
        let mut m = Ok(std::ptr::null_mut());
        domain.machine.hypervisor(0, || {
            abi::pci_owner(pci.raw(), domain.raw());
            if events != 0 {
                m = abi::msi_attach(domain.raw(), pci.raw(), device, events);
            }
            if m.is_err() {
                abi::pci_owner(pci.raw(), std::ptr::null_mut());
            }
        });
        Ok(Self {
            domain,
            pci: Arc::clone(pci),
            device,
            m: m.map_err(Errno)?,
            state: Mutex::new(State {
                command: 0,
                bars: [0; 6],
                msi: MsiState::default(),
                msix_enabled: false,
                msix_masked: false,
                entries: vec![entry; entries as usize],
            }),
        })
    }

    fn registers(&self) -> Vec<(u16, u16, Register)> {
        let shape = &self.pci.function.shape;
        let mut all = vec![(reg::COMMAND, 2, Register::Command)];
        all.extend((0..6).map(|n| (reg::BAR0 + n as u16 * 4, 4, Register::Bar(n))));
        if let Some(msi) = shape.msi {
            let at = u16::from(MSI);
            all.push((at + reg::CONTROL, 2, Register::MsiControl));
            all.push((at + reg::MSI_ADDRESS, 4, Register::MsiAddress));
            if msi.wide {
                all.push((at + reg::MSI_ADDRESS + 4, 4, Register::MsiUpper));
            }
            all.push((at + msi.data(), 2, Register::MsiData));
            if msi.masks {
                all.push((at + msi.mask(), 4, Register::MsiMask));
            }
        }
        if shape.msix.is_some() {
            all.push((u16::from(MSIX) + reg::CONTROL, 2, Register::MsixControl));
        }
        all
    }

    fn register(&self, state: &State, register: Register) -> u32 {
        let hardware = |at: u16, own: u16| {
            let value = self.pci.function.config_read(at, 2);
            value & !u32::from(own)
        };
        match register {
            Register::Command => state.command.into(),
            Register::Bar(n) => state.bars[n],
            Register::MsiControl => {
                let own = reg::MSI_ENABLE | reg::MSI_MULTIPLE;
                hardware(u16::from(MSI) + reg::CONTROL, own)
                    | u32::from(state.msi.enabled)
                    | u32::from(state.msi.multiple) << 4
            }
            Register::MsiAddress => state.msi.address as u32,
            Register::MsiUpper => (state.msi.address >> 32) as u32,
            Register::MsiData => state.msi.data,
            Register::MsiMask => state.msi.mask,
            Register::MsixControl => {
                let own = reg::MSIX_ENABLE | reg::MSIX_MASKALL;
                hardware(u16::from(MSIX) + reg::CONTROL, own)
                    | u32::from(state.msix_enabled) << 15
                    | u32::from(state.msix_masked) << 14
            }
        }
    }

    /// What is not the guest's to write. What it does not have reads as ones.
    fn constant(&self, at: u16) -> u8 {
        let f = &self.pci.function;
        let shape = &f.shape;
        let hardware = || f.config_read(at, 1) as u8;
        let (msi, msix) = (u16::from(MSI), u16::from(MSIX));
        let after = if shape.msix.is_some() { MSIX } else { 0 };
        match at {
            reg::VENDOR..reg::COMMAND | reg::STATUS..0x0c | reg::SUBSYSTEM..0x30 => hardware(),
            0x0c | 0x0d | 0x0f | 0x28..0x2c | 0x30..0x34 | 0x35..0x40 => 0,
            reg::HEADER_TYPE => hardware() & 0x7f,
            reg::CAPABILITIES if shape.msi.is_some() => MSI,
            reg::CAPABILITIES => after,
            // It is the last of the guest's, or MSI-X is.
            _ if shape.msi.is_some() && at == msi + 1 => after,
            _ if shape.msi.is_some() && at == msi => hardware(),
            _ if shape.msi.is_some_and(|s| {
                s.masks && (s.mask() + 4..s.mask() + 8).contains(&(at.wrapping_sub(msi)))
            }) =>
            {
                hardware()
            }
            _ if shape.msix.is_some() && (msix..msix + 12).contains(&at) => hardware(),
            _ => 0xff,
        }
    }

    /// 1, 2 or 4 bytes of configuration space, naturally aligned.
    pub fn config_read(&self, at: u16, size: usize) -> u32 {
        let state = lock(&self.state);
        let registers = self.registers();
        let byte = |at: u16| {
            let own = registers
                .iter()
                .find(|(start, size, _)| (*start..start + size).contains(&at));
            match own {
                Some((start, _, register)) => {
                    (self.register(&state, *register) >> (8 * (at - start))) as u8
                }
                None => self.constant(at),
            }
        };
        (0..size as u16).fold(0, |all, n| all | u32::from(byte(at + n)) << (8 * n))
    }

    /// The same written.
    pub fn config_write(&self, at: u16, size: usize, value: u32) {
        let state = &mut *lock(&self.state);
        let written = at..at + size as u16;
        for (start, bytes, register) in self.registers() {
            let own = start..start + bytes;
            if written.end <= own.start || own.end <= written.start {
                continue;
            }
            let mut new = self.register(state, register);
            for byte in written.start.max(own.start)..written.end.min(own.end) {
                let place = 8 * (byte - own.start);
                let bits = value >> (8 * (byte - written.start)) & 0xff;
                new = new & !(0xff << place) | bits << place;
            }
            self.write(state, register, new);
        }
    }

    fn write(&self, state: &mut State, register: Register, value: u32) {
        match register {
            Register::Command => {
                state.command = value as u16 & 0x0547;
                let hardware = u32::from(state.command);
                self.pci.function.config_write(reg::COMMAND, 2, hardware);
            }
            Register::Bar(n) => self.write_bar(state, n, value),
            Register::MsiControl => self.write_msi_control(state, value as u16),
            Register::MsiAddress => {
                let upper = state.msi.address >> 32 << 32;
                state.msi.address = upper | u64::from(value & !3);
                self.changed(state);
            }
            Register::MsiUpper => {
                state.msi.address = state.msi.address & 0xffff_ffff | u64::from(value) << 32;
                self.changed(state);
            }
            Register::MsiData => {
                state.msi.data = value & 0xffff;
                self.changed(state);
            }
            Register::MsiMask => {
                let changed = state.msi.mask ^ value;
                for n in (0..self.vectors(state)).filter(|n| changed >> n & 1 != 0) {
                    if state.msi.enabled {
                        abi::msi_mask(self.m, n, value >> n & 1 != 0);
                    }
                }
                state.msi.mask = value;
            }
            Register::MsixControl => self.write_msix_control(state, value as u16),
        }
    }

    /// A BAR that is mapped stays where it is.
    fn write_bar(&self, state: &mut State, n: usize, value: u32) {
        if state.command & reg::MEMORY != 0 {
            return;
        }
        let bars = &self.pci.function.shape.bars;
        let upper = n > 0 && matches!(bars[n - 1], Bar::Wide(_));
        state.bars[n] = match bars[n] {
            Bar::Low(size) => value & !(size - 1),
            Bar::Wide(size) => value & !(size - 1) as u32 | 4,
            Bar::None if upper => value & (!(bars[n - 1].size() - 1) >> 32) as u32,
            Bar::None => 0,
        };
    }

    fn vectors(&self, state: &State) -> u32 {
        let most = self.pci.function.shape.msi.map_or(0, |m| 1 << m.vectors);
        (1 << state.msi.multiple).min(most)
    }

    /// As enabling has it: what was said of it.
    fn changed(&self, state: &State) {
        if state.msi.enabled {
            let mut rc = 0;
            abi::msi_update(self.m, state.msi.address, state.msi.data, &mut rc);
        }
    }

    fn write_msi_control(&self, state: &mut State, value: u16) {
        let enabled = value & reg::MSI_ENABLE != 0;
        let before = self.vectors(state);
        let old = state.msi.multiple;
        state.msi.multiple = (value & reg::MSI_MULTIPLE) >> 4;
        let vectors = self.vectors(state);
        state.msi.multiple = vectors.trailing_zeros() as u16;
        if enabled == state.msi.enabled && (vectors == before || !enabled) {
            return;
        }
        if state.msi.enabled {
            abi::msi_disable(self.m);
            state.msi.enabled = false;
        }
        if enabled {
            let (mut rc, msi) = (0, &state.msi);
            let (address, data, mask) = (msi.address, msi.data, msi.mask);
            abi::msi_enable(self.m, vectors, address, data, mask, &mut rc);
            if rc != 0 {
                state.msi.multiple = old;
            }
            state.msi.enabled = rc == 0;
        }
        let control = self.register(state, Register::MsiControl);
        let at = u16::from(MSI) + reg::CONTROL;
        self.pci.function.config_write(at, 2, control);
    }

    fn update_entry(&self, state: &mut State, n: usize) {
        let entry = &mut state.entries[n];
        let mut rc = 0;
        abi::msix_disable(self.m, n as u32, &mut rc);
        let Entry {
            address,
            data,
            masked,
            ..
        } = *entry;
        abi::msix_enable(self.m, n as u32, address, data, masked, &mut rc);
        entry.updated = rc != 0;
    }

    fn write_msix_control(&self, state: &mut State, value: u16) {
        let masked = value & reg::MSIX_MASKALL != 0;
        let enabled = value & reg::MSIX_ENABLE != 0;
        if masked == state.msix_masked && enabled == state.msix_enabled {
            return;
        }
        if enabled && !masked && (!state.msix_enabled || state.msix_masked) {
            for n in 0..state.entries.len() {
                if !state.entries[n].masked && state.entries[n].updated {
                    self.update_entry(state, n);
                }
            }
        } else if !enabled && state.msix_enabled {
            for n in 0..state.entries.len() {
                let mut rc = 0;
                abi::msix_disable(self.m, n as u32, &mut rc);
                // It is to be set up the next time.
                state.entries[n].updated |= rc == 0;
            }
        }
        (state.msix_masked, state.msix_enabled) = (masked, enabled);
        let control = self.register(state, Register::MsixControl);
        let at = u16::from(MSIX) + reg::CONTROL;
        self.pci.function.config_write(at, 2, control);
    }

    /// Where the guest has a BAR, if it has it mapped.
    fn mapped(state: &State, bars: &[Bar; 6], n: usize) -> Option<Range<u64>> {
        if state.command & reg::MEMORY == 0 || bars[n] == Bar::None {
            return None;
        }
        let low = u64::from(state.bars[n] & !0xf);
        let base = match bars[n] {
            Bar::Wide(_) => low | u64::from(state.bars[n + 1]) << 32,
            _ => low,
        };
        Some(base..base.checked_add(bars[n].size())?)
    }

    fn find(&self, gpa: u64) -> Option<(u8, u64)> {
        let state = lock(&self.state);
        let bars = &self.pci.function.shape.bars;
        (0..6).find_map(|n| {
            let at = Self::mapped(&state, bars, n)?;
            at.contains(&gpa).then(|| (n as u8, gpa - at.start))
        })
    }

    /// Does the guest's access to this part of a BAR trap?
    pub fn traps(&self, bar: u8, at: u64) -> bool {
        let page = at / PAGE;
        let Some(msix) = self.pci.function.shape.msix else {
            return false;
        };
        let in_pages = |(own, start): (u8, u32), bytes: u64| {
            let first = u64::from(start) / PAGE;
            let last = (u64::from(start) + bytes - 1) / PAGE;
            own == bar && (first..=last).contains(&page)
        };
        in_pages(msix.table, msix.table_bytes()) || in_pages(msix.pba, msix.pba_bytes())
    }

    /// The guest loads from its physical memory. None: nothing is there.
    pub fn read(&self, gpa: u64, size: usize) -> Option<u64> {
        let (bar, at) = self.find(gpa)?;
        let ones = u64::MAX >> (64 - 8 * size);
        Some(match self.table(bar, at, size) {
            _ if !at.is_multiple_of(size as u64) => ones,
            Part::Table(n, field) => {
                let state = lock(&self.state);
                let entry = state.entries[n];
                let control = u64::from(entry.masked);
                let high = entry.address >> 32;
                match (field, size) {
                    (0, 8) => entry.address,
                    (0, 4) => entry.address & 0xffff_ffff,
                    (4, 4) => high,
                    (8, 8) => u64::from(entry.data) | control << 32,
                    (8, 4) => entry.data.into(),
                    (12, 4) => control,
                    _ => ones,
                }
            }
            Part::Mixed => ones,
            Part::Pba | Part::Other => self.pci.function.bar_read(bar, at, size),
        })
    }

    /// It stores. False: nothing is there.
    pub fn store(&self, gpa: u64, size: usize, value: u64) -> bool {
        let Some((bar, at)) = self.find(gpa) else {
            return false;
        };
        if !at.is_multiple_of(size as u64) {
            return true;
        }
        match self.table(bar, at, size) {
            Part::Table(n, field) => self.store_entry(n, field, size, value),
            Part::Mixed | Part::Pba => {}
            Part::Other => self.pci.function.bar_write(bar, at, size, value),
        }
        true
    }

    fn table(&self, bar: u8, at: u64, size: usize) -> Part {
        let Some(msix) = self.pci.function.shape.msix else {
            return Part::Other;
        };
        let covered = |(own, start): (u8, u32), bytes: u64| {
            let start = u64::from(start);
            let both = at.max(start)..(at + size as u64).min(start + bytes);
            (own == bar && !both.is_empty()).then(|| both.end - both.start)
        };
        match covered(msix.table, msix.table_bytes()) {
            Some(bytes) if bytes == size as u64 => {
                let offset = at - u64::from(msix.table.1);
                let n = (offset / reg::ENTRY_SIZE) as usize;
                return Part::Table(n, offset % reg::ENTRY_SIZE);
            }
            Some(_) => return Part::Mixed,
            None => {}
        }
        match covered(msix.pba, msix.pba_bytes()) {
            Some(_) => Part::Pba,
            None => Part::Other,
        }
    }

    fn store_entry(&self, n: usize, field: u64, size: usize, value: u64) {
        let state = &mut *lock(&self.state);
        let entry = &mut state.entries[n];
        match (field, size) {
            (0, 8) => entry.address = value & !3,
            (0, 4) => entry.address = entry.address >> 32 << 32 | value & 0xffff_fffc,
            (4, 4) => entry.address = entry.address & 0xffff_ffff | value << 32,
            (8, 4) => entry.data = value as u32,
            (8, 8) => {
                entry.data = value as u32;
                entry.updated = true;
                return self.store_control(state, n, value >> 32 & 1 != 0);
            }
            (12, 4) => return self.store_control(state, n, value & 1 != 0),
            _ => return,
        }
        entry.updated = true;
    }

    fn store_control(&self, state: &mut State, n: usize, masked: bool) {
        if state.entries[n].masked == masked {
            return;
        }
        state.entries[n].masked = masked;
        if !masked && state.msix_enabled && !state.msix_masked && state.entries[n].updated {
            self.update_entry(state, n);
        } else {
            abi::msix_mask(self.m, n as u32, masked);
        }
    }

    /// Which messages the guest has written, of all that could be bound: address and data, as it would send them.
    pub fn written(&self, event: u32) -> Vec<(u64, u32)> {
        let state = lock(&self.state);
        let mut all = Vec::new();
        let msi = &state.msi;
        if event < self.vectors(&state) {
            let low = self.vectors(&state) - 1;
            all.push((msi.address, msi.data & !low | event));
        }
        let entry = state.entries.get(event as usize);
        all.extend(entry.map(|entry| (entry.address, entry.data)));
        all
    }
}

enum Part {
    Table(usize, u64),
    /// Some of it.
    Mixed,
    Pba,
    Other,
}

/// `deassign_device()`, on the last CPU.
impl Drop for Vpci<'_> {
    fn drop(&mut self) {
        let last = self.domain.machine.pcpus().len() - 1;
        self.domain.machine.hypervisor(last, || {
            self.pci.quiet();
            abi::msi_detach(self.m);
            abi::pci_owner(self.pci.raw(), std::ptr::null_mut());
        });
    }
}
