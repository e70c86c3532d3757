// SPDX-License-Identifier: GPL-2.0-only
//! What the registers of the distributor and of the redistributors do to that GIC. IHI 0048B 4.3; IHI 0069 12.9, 12.11.

use super::{Gic, Irq};
use recording::driver::{FIRST_ESPI, affinity};
use recording::{Frame, Register, Size};

/// A register array with a field for each interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Array {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
    Priority,
    Targets,
    Trigger,
    ClearSenders,
    SetSenders,
    Router,
}

/// Which fields an access is of.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub array: Array,
    /// Whose private interrupts.
    pub owner: usize,
    pub first: u32,
    pub count: u32,
    /// Of each.
    bits: u32,
}

/// Where each is, where it ends, and how many bits a field has.
const ARRAYS: [(Array, u32, u32, u32); 13] = [
    (Array::Group, 0x80, 0x100, 1),
    (Array::SetEnable, 0x100, 0x180, 1),
    (Array::ClearEnable, 0x180, 0x200, 1),
    (Array::SetPending, 0x200, 0x280, 1),
    (Array::ClearPending, 0x280, 0x300, 1),
    (Array::SetActive, 0x300, 0x380, 1),
    (Array::ClearActive, 0x380, 0x400, 1),
    (Array::Priority, 0x400, 0x800, 8),
    (Array::Targets, 0x800, 0xc00, 8),
    (Array::Trigger, 0xc00, 0xd00, 2),
    (Array::ClearSenders, 0xf10, 0xf20, 8),
    (Array::SetSenders, 0xf20, 0xf30, 8),
    (Array::Router, 0x6000, 0x7fe0, 64),
];

/// The same of extended SPIs.
const EXTENDED: [(Array, u32, u32, u32); 10] = [
    (Array::Group, 0x1000, 0x1080, 1),
    (Array::SetEnable, 0x1200, 0x1280, 1),
    (Array::ClearEnable, 0x1400, 0x1480, 1),
    (Array::SetPending, 0x1600, 0x1680, 1),
    (Array::ClearPending, 0x1800, 0x1880, 1),
    (Array::SetActive, 0x1a00, 0x1a80, 1),
    (Array::ClearActive, 0x1c00, 0x1c80, 1),
    (Array::Priority, 0x2000, 0x2400, 8),
    (Array::Trigger, 0x3000, 0x3100, 2),
    (Array::Router, 0x8000, 0xa000, 64),
];

const SGIR: u32 = 0xf00;
const WAKER: u32 = 0x14;
const SGI_BASE: u32 = 0x1_0000;
/// `GICD_IROUTER.Interrupt_Routing_Mode`.
const ANY: u64 = 1 << 31;
/// `GICD_CTLR` of a GICv3: DS and ARE, and RWP, which says that a write is under way.
const FIXED: u64 = 0x50;
const RWP: u64 = 1 << 31;

/// The fields of an access by CPU `cpu`; none if it is of something else.
pub fn place(version: u8, cpu: usize, register: Register, size: Size) -> Option<Place> {
    let (owner, offset) = match register.frame {
        Frame::Gicd => (cpu, register.offset),
        Frame::Gicr(v) => (usize::from(v), register.offset.checked_sub(SGI_BASE)?),
        Frame::GiccDir => return None,
    };
    let within = |(_, from, to, _): &&(Array, u32, u32, u32)| (*from..*to).contains(&offset);
    let usual = ARRAYS.iter().find(within).map(|found| (found, 0));
    let has_extended = version == 3 && register.frame == Frame::Gicd;
    let extended = || EXTENDED.iter().filter(|_| has_extended).find(within);
    let (&(array, from, _, bits), base) =
        usual.or_else(|| extended().map(|found| (found, FIRST_ESPI)))?;
    let only_v2 = matches!(
        array,
        Array::Targets | Array::ClearSenders | Array::SetSenders
    );
    if only_v2 && version == 3 || array == Array::Router && version == 2 {
        return None;
    }
    let first = base + (offset - from) * 8 / bits;
    let count = ((8 << size as u32) / bits).max(1);
    let private = register.frame != Frame::Gicd;
    let banked = version == 3 && array != Array::Router && private != (first < 32);
    (!banked).then_some(Place {
        array,
        owner,
        first,
        count,
        bits,
    })
}

impl Place {
    /// The INTIDs, and where the field of each is.
    pub fn fields(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let (first, bits) = (self.first, self.bits);
        (0..self.count).map(move |n| (first + n, n * bits))
    }

    /// A field of a value.
    pub fn field(&self, value: u64, shift: u32) -> u64 {
        value >> shift & (u64::MAX >> (64 - self.bits))
    }
}

impl Gic {
    /// A load: the value, and which of its bits the architecture leaves no choice of.
    pub fn load(&self, cpu: usize, register: Register, size: Size) -> (u64, u64) {
        if register == Register::gicd(0) {
            let groups = u64::from(self.groups[0]) | u64::from(self.groups[1]) << 1;
            return match self.version {
                2 => (groups, size.mask()),
                _ => (groups | FIXED, size.mask() & !RWP),
            };
        }
        let Some(place) = place(self.version, cpu, register, size) else {
            return (0, 0);
        };
        if place.array == Array::Router {
            return (0, 0);
        }
        let mut value = 0;
        for (intid, shift) in place.fields() {
            if let Some(irq) = self.irq(place.owner, intid) {
                value |= self.field_of(&place, intid, irq) << shift;
            }
        }
        (value, size.mask())
    }

    fn field_of(&self, place: &Place, intid: u32, irq: &Irq) -> u64 {
        match place.array {
            Array::Group => irq.group1.into(),
            Array::SetEnable | Array::ClearEnable => irq.enabled.into(),
            Array::SetPending | Array::ClearPending => irq.pending().into(),
            Array::SetActive | Array::ClearActive => irq.active.into(),
            Array::Priority => irq.priority.into(),
            Array::Targets if self.cpus.len() == 1 => 0,
            Array::Targets if intid < 32 => 1 << place.owner,
            Array::Targets => irq.targets as u64,
            Array::Trigger => u64::from(irq.edge) << 1,
            Array::ClearSenders | Array::SetSenders => irq.senders.into(),
            Array::Router => 0,
        }
    }

    /// A store.
    pub fn store(&mut self, cpu: usize, register: Register, size: Size, value: u64) {
        match (register.frame, register.offset) {
            (Frame::Gicd, 0) => self.groups = [value & 1 != 0, value & 2 != 0],
            (Frame::Gicd, SGIR) if self.version == 2 => self.send_v2(cpu, value),
            (Frame::Gicr(v), WAKER) => self.cpus[usize::from(v)].asleep = value & 2 != 0,
            _ => {}
        }
        let Some(place) = place(self.version, cpu, register, size) else {
            return;
        };
        for (intid, shift) in place.fields() {
            self.write(&place, intid, place.field(value, shift));
        }
    }

    fn write(&mut self, place: &Place, intid: u32, field: u64) {
        // A GICv2's SGIs are enabled, and pending by their senders alone (IHI 0048B 4.3.5 to 4.3.8).
        let sent = self.version == 2 && intid < 16;
        let one = field & 1 != 0;
        let all: u64 = (1 << self.cpus.len()) - 1;
        let routed = self.routed(place, field, all);
        let alone = self.cpus.len() == 1;
        let private = intid < 32;
        let Some(irq) = self.irq_mut(place.owner, intid) else {
            return;
        };
        match place.array {
            Array::Group => irq.group1 = one,
            Array::SetEnable => irq.enabled |= one && !sent,
            Array::ClearEnable => irq.enabled &= !one || sent,
            Array::SetPending => irq.latch |= one && !sent,
            Array::ClearPending => irq.latch &= !one || sent,
            Array::SetActive => irq.active |= one,
            Array::ClearActive if one => {
                irq.deactivate();
                self.forget_dropped(place.owner, intid);
            }
            Array::ClearActive => {}
            Array::Priority => irq.priority = field as u8 & 0xf8,
            Array::Targets if private || alone => {}
            Array::Targets | Array::Router => irq.targets = routed,
            // That private interrupts have a trigger type to choose is IMPLEMENTATION DEFINED.
            Array::Trigger if private => {}
            Array::Trigger => irq.edge = field & 2 != 0,
            Array::ClearSenders => irq.senders &= !(field as u8),
            Array::SetSenders => irq.senders |= (field & all) as u8,
        }
    }

    fn routed(&self, place: &Place, field: u64, all: u64) -> u128 {
        match place.array {
            Array::Router if field & ANY != 0 => all.into(),
            Array::Router => {
                let named = |n: &usize| affinity(*n as u8) == field & 0xff_00ff_ffff;
                (0..self.cpus.len()).find(named).map_or(0, |n| 1 << n)
            }
            _ => (field & all).into(),
        }
    }

    /// `GICD_SGIR` (IHI 0048B 4.3.15).
    fn send_v2(&mut self, from: usize, value: u64) {
        let targets = match value >> 24 & 3 {
            0 => value >> 16 & 0xff,
            1 => !(1 << from),
            2 => 1 << from,
            _ => 0,
        };
        for to in 0..self.cpus.len() {
            if targets >> to & 1 != 0 {
                self.send(from, to, (value & 0xf) as u32);
            }
        }
    }
}
