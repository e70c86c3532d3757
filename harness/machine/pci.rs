// SPDX-License-Identifier: GPL-2.0-only
//! A PCI function: its configuration space, its BARs with the MSI-X table and the PBA, and the messages that it writes (PCI Local Bus
//! Specification 3.0, sections 6.1, 6.2 and 6.8). It knows nobody's addresses but those it is given.

pub mod reg;
mod shape;

use crate::lock::lock;
pub use shape::{Bar, MsiShape, MsixShape, Shape};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock};

/// What becomes of what a function has to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Raised {
    /// It is written to the bus.
    Sent,
    /// It is masked, and pending.
    Pending,
    /// The same, and was pending already.
    Merged,
    /// It is disabled, or there is no such vector.
    Nowhere,
}

/// Where the capabilities are: one that has nothing to do with messages first.
const PM: u8 = 0x40;
/// MSI's.
pub const MSI: u8 = 0x50;
/// MSI-X's.
pub const MSIX: u8 = 0x70;

struct State {
    config: [u8; 256],
    writable: [u8; 256],
    table: Vec<u8>,
    pba: Vec<u64>,
    /// What else is in its BARs: memory.
    memory: BTreeMap<(u8, u64), u8>,
}

type Bus = dyn Fn(u64, u32) + Send + Sync;

/// A function.
pub struct Function {
    pub shape: Shape,
    state: Mutex<State>,
    bus: OnceLock<Box<Bus>>,
}

/// Bytes of a register, in the order of their addresses.
fn bytes(value: u64, size: usize) -> impl Iterator<Item = u8> {
    value.to_le_bytes().into_iter().take(size)
}

impl State {
    fn word(&self, at: u16) -> u16 {
        let at = usize::from(at);
        u16::from_le_bytes([self.config[at], self.config[at + 1]])
    }

    fn long(&self, at: u16) -> u32 {
        u32::from(self.word(at)) | u32::from(self.word(at + 2)) << 16
    }

    fn put(&mut self, at: u16, value: u64, size: usize, writable: u64) {
        let at = usize::from(at);
        for (n, (value, writable)) in bytes(value, size).zip(bytes(writable, size)).enumerate() {
            self.config[at + n] = value;
            self.writable[at + n] = writable;
        }
    }

    fn entry(&self, n: u32) -> (u64, u32, u32) {
        let at = n as usize * reg::ENTRY_SIZE as usize;
        let word = |at: usize| {
            let bytes = [0, 1, 2, 3].map(|n| self.table[at + n]);
            u32::from_le_bytes(bytes)
        };
        let address = u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        (address, word(at + 8), word(at + 12))
    }
}

impl Function {
    /// After reset, connected to nothing.
    pub fn new(shape: Shape) -> Self {
        let entries = shape.msix.map_or(0, |msix| msix.entries);
        let mut state = State {
            config: [0; 256],
            writable: [0; 256],
            table: Vec::new(),
            pba: vec![0; entries.div_ceil(64) as usize],
            memory: BTreeMap::new(),
        };
        state.put(reg::VENDOR, shape.id.0.into(), 2, 0);
        state.put(reg::DEVICE, shape.id.1.into(), 2, 0);
        state.put(reg::COMMAND, 0, 2, 0x0547);
        state.put(reg::STATUS, 1 << 4, 2, 0);
        state.put(reg::REVISION, 0x03, 1, 0);
        state.put(reg::CLASS, 0x01_0802, 3, 0);
        // Of several functions.
        state.put(reg::HEADER_TYPE, 0x80, 1, 0);
        state.put(reg::SUBSYSTEM, 0x1100_1af4, 4, 0);
        state.put(reg::CAPABILITIES, PM.into(), 1, 0);
        state.put(reg::INTERRUPT_LINE, 0x2a, 1, 0xff);
        state.put(reg::INTERRUPT_PIN, 1, 1, 0);
        for (n, bar) in (0u16..).zip(shape.bars) {
            let at = reg::BAR0 + n * 4;
            match bar {
                Bar::None => {}
                Bar::Low(size) => state.put(at, 0, 4, (!(size - 1)).into()),
                Bar::Wide(size) => state.put(at, 0x4, 8, !(size - 1)),
            }
        }
        let msi = if shape.msi.is_some() { MSI } else { 0 };
        let msix = if shape.msix.is_some() { MSIX } else { 0 };
        let id = |id: u8, next: u8| u64::from(id) | u64::from(next) << 8;
        let first = if msi != 0 { msi } else { msix };
        state.put(PM.into(), id(reg::CAP_PM, first), 2, 0);
        if let Some(shape) = shape.msi {
            let at = u16::from(MSI);
            let mut control = u16::from(shape.vectors) << 1;
            control |= if shape.wide { reg::MSI_WIDE } else { 0 };
            control |= if shape.masks { reg::MSI_MASKS } else { 0 };
            let own = reg::MSI_ENABLE | reg::MSI_MULTIPLE;
            state.put(at, id(reg::CAP_MSI, msix), 2, 0);
            state.put(at + reg::CONTROL, control.into(), 2, own.into());
            let bytes = if shape.wide { 8 } else { 4 };
            state.put(at + reg::MSI_ADDRESS, 0, bytes, !3);
            state.put(at + shape.data(), 0, 2, 0xffff);
            if shape.masks {
                let all = u64::from(u32::MAX >> (32 - (1u32 << shape.vectors)));
                state.put(at + shape.mask(), 0, 4, all);
            }
        }
        if let Some(shape) = shape.msix {
            let at = u16::from(MSIX);
            let own = reg::MSIX_ENABLE | reg::MSIX_MASKALL;
            let place = |(bar, offset): (u8, u32)| u64::from(offset | u32::from(bar));
            state.put(at, id(reg::CAP_MSIX, 0), 2, 0);
            let control = u64::from(shape.entries - 1);
            state.put(at + reg::CONTROL, control, 2, own.into());
            state.put(at + reg::MSIX_TABLE, place(shape.table), 4, 0);
            state.put(at + reg::MSIX_PBA, place(shape.pba), 4, 0);
        }
        // All masked.
        let entry = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
        state.table = (0..entries).flat_map(|_| entry).collect();
        Self {
            shape,
            state: Mutex::new(state),
            bus: OnceLock::new(),
        }
    }

    /// What it writes to the bus goes there.
    pub fn connect(&self, bus: impl Fn(u64, u32) + Send + Sync + 'static) {
        let _ = self.bus.set(Box::new(bus));
    }

    /// As after power-on, connected as it was (FLR).
    pub fn reset(&self) {
        *self.state() = Self::new(self.shape)
            .state
            .into_inner()
            .expect("its own lock");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// 1, 2 or 4 bytes of configuration space, naturally aligned.
    pub fn config_read(&self, at: u16, size: usize) -> u32 {
        let state = self.state();
        let all = (0..size).map(|n| {
            let byte = state.config.get(usize::from(at) + n).copied();
            u32::from(byte.unwrap_or(0xff)) << (8 * n)
        });
        all.fold(0, |all, byte| all | byte)
    }

    /// The same written.
    pub fn config_write(&self, at: u16, size: usize, value: u32) {
        let mut state = self.state();
        for (n, new) in bytes(value.into(), size).enumerate() {
            let at = usize::from(at) + n;
            if at < state.config.len() {
                let mask = state.writable[at];
                state.config[at] = state.config[at] & !mask | new & mask;
            }
        }
        self.send_pending(&mut state);
    }

    fn place(&self, bar: u8, at: u64) -> Place {
        let within = |(own, start): (u8, u32), bytes: u64| {
            let offset = at.checked_sub(start.into());
            offset.filter(|offset| own == bar && *offset < bytes)
        };
        let Some(shape) = self.shape.msix else {
            return Place::Memory;
        };
        // The table wins where a function has it and the PBA in one place.
        if let Some(offset) = within(shape.table, shape.table_bytes()) {
            Place::Table(offset as usize)
        } else if let Some(offset) = within(shape.pba, shape.pba_bytes()) {
            Place::Pba(offset as usize)
        } else {
            Place::Memory
        }
    }

    /// Bytes of a BAR.
    pub fn bar_read(&self, bar: u8, at: u64, size: usize) -> u64 {
        let state = self.state();
        let byte = |at: u64| match self.place(bar, at) {
            Place::Table(offset) => state.table[offset],
            Place::Pba(offset) => state.pba[offset / 8].to_le_bytes()[offset % 8],
            Place::Memory => state.memory.get(&(bar, at)).copied().unwrap_or(0),
        };
        let all = (0..size as u64).map(|n| u64::from(byte(at + n)) << (8 * n));
        all.fold(0, |all, byte| all | byte)
    }

    /// The same written. Of a table's mask bits and data each word is one write.
    pub fn bar_write(&self, bar: u8, at: u64, size: usize, value: u64) {
        let mut state = self.state();
        for (at, byte) in (at..).zip(bytes(value, size)) {
            match self.place(bar, at) {
                Place::Table(offset) => {
                    // Of an address two bits are 0, and of control there is one.
                    let mask = match offset % 16 {
                        0 => !3,
                        12 => 1,
                        13.. => 0,
                        _ => 0xff,
                    };
                    state.table[offset] = byte & mask;
                }
                // Software does not write it, and nothing comes of it.
                Place::Pba(_) => {}
                Place::Memory => {
                    state.memory.insert((bar, at), byte);
                }
            }
        }
        self.send_pending(&mut state);
    }

    fn send(&self, address: u64, data: u32) {
        if let Some(bus) = self.bus.get() {
            bus(address, data);
        }
    }

    /// It has something to say.
    pub fn raise(&self, vector: u32) -> Raised {
        let mut state = self.state();
        match self.kind(&state) {
            Kind::Msix { masked } if vector < self.shape.msix.map_or(0, |m| m.entries) => {
                let (address, data, control) = state.entry(vector);
                if masked || control & 1 != 0 {
                    let word = &mut state.pba[vector as usize / 64];
                    let bit = 1 << (vector % 64);
                    let was = *word & bit;
                    *word |= bit;
                    return if was == 0 {
                        Raised::Pending
                    } else {
                        Raised::Merged
                    };
                }
                self.send(address, data);
                Raised::Sent
            }
            Kind::Msi(shape) => self.raise_msi(&mut state, shape, vector),
            _ => Raised::Nowhere,
        }
    }

    /// Vectors of MSI that are enabled.
    fn vectors(state: &State) -> u32 {
        let control = state.word(u16::from(MSI) + reg::CONTROL);
        1 << ((control & reg::MSI_MULTIPLE) >> 4).min(5)
    }

    /// With fewer vectors than it wants, several are one.
    fn raise_msi(&self, state: &mut State, shape: MsiShape, vector: u32) -> Raised {
        let at = u16::from(MSI);
        let n = vector % Self::vectors(state);
        if shape.masks && state.long(at + shape.mask()) >> n & 1 != 0 {
            let pending = at + shape.mask() + 4;
            let was = state.long(pending);
            state.put(pending, (was | 1 << n).into(), 4, 0);
            return if was >> n & 1 == 0 {
                Raised::Pending
            } else {
                Raised::Merged
            };
        }
        self.send_msi(state, shape, n);
        Raised::Sent
    }

    fn send_msi(&self, state: &State, shape: MsiShape, n: u32) {
        let at = u16::from(MSI);
        let mut address = u64::from(state.long(at + reg::MSI_ADDRESS));
        if shape.wide {
            address |= u64::from(state.long(at + reg::MSI_ADDRESS + 4)) << 32;
        }
        let data = u32::from(state.word(at + shape.data()));
        self.send(address, data & !(Self::vectors(state) - 1) | n);
    }

    fn kind(&self, state: &State) -> Kind {
        let control = |cap: u8| state.word(u16::from(cap) + reg::CONTROL);
        match (self.shape.msi, self.shape.msix) {
            (_, Some(_)) if control(MSIX) & reg::MSIX_ENABLE != 0 => Kind::Msix {
                masked: control(MSIX) & reg::MSIX_MASKALL != 0,
            },
            (Some(shape), _) if control(MSI) & reg::MSI_ENABLE != 0 => Kind::Msi(shape),
            _ => Kind::Off,
        }
    }

    /// What is pending and masked no longer.
    fn send_pending(&self, state: &mut State) {
        match self.kind(state) {
            Kind::Msix { masked: false } => {
                for n in 0..self.shape.msix.map_or(0, |m| m.entries) {
                    let (word, bit) = (n as usize / 64, 1 << (n % 64));
                    if state.pba[word] & bit != 0 {
                        let (address, data, control) = state.entry(n);
                        if control & 1 == 0 {
                            state.pba[word] &= !bit;
                            self.send(address, data);
                        }
                    }
                }
            }
            Kind::Msi(shape) if shape.masks => {
                let at = u16::from(MSI) + shape.mask();
                // Of the vectors that there are now.
                let own = u32::MAX >> (32 - Self::vectors(state));
                let ready = state.long(at + 4) & !state.long(at) & own;
                let left = state.long(at + 4) & !ready;
                state.put(at + 4, left.into(), 4, 0);
                for n in (0..32).filter(|n| ready >> n & 1 != 0) {
                    self.send_msi(state, shape, n);
                }
            }
            _ => {}
        }
    }

    /// An entry of the table: address, data and control.
    pub fn entry(&self, n: u32) -> (u64, u32, u32) {
        let there_is = self.shape.msix.is_some_and(|msix| n < msix.entries);
        if there_is {
            self.state().entry(n)
        } else {
            (0, 0, 0)
        }
    }

    /// What MSI has: address and data.
    pub fn msi_message(&self) -> (u64, u32) {
        let state = self.state();
        let at = u16::from(MSI);
        let Some(shape) = self.shape.msi else {
            return (0, 0);
        };
        let upper = if shape.wide {
            state.long(at + reg::MSI_ADDRESS + 4)
        } else {
            0
        };
        let address = u64::from(state.long(at + reg::MSI_ADDRESS)) | u64::from(upper) << 32;
        (address, state.word(at + shape.data()).into())
    }
}

enum Place {
    Table(usize),
    Pba(usize),
    Memory,
}

enum Kind {
    Off,
    Msi(MsiShape),
    Msix { masked: bool },
}

#[cfg(test)]
mod tests;
