// SPDX-License-Identifier: GPL-2.0-only
//! The interrupt translation service (IHI 0069, chapter 5) as an operating system drives it: tables, queue and commands, and the
//! LPIs of both redistributors.
//!
//! Off between cases: who wants it asks [`begin`], which gives it tables that have nothing in them. All its memory is here, and
//! read and written by [`load`] and [`store`] only.

pub mod command;
pub mod kexec;

use crate::cpu::CPUS;
use crate::fdt::Machine;
use crate::gic::{self, IntId};
use crate::mmio::{self, read32, read64, write32, write64};
use crate::outcome::{Outcome, check, skip};
use crate::timer;
use command::Command;
use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Offsets in the control frame.
pub mod gits {
    pub const CTLR: usize = 0x0000;
    pub const IIDR: usize = 0x0004;
    pub const TYPER: usize = 0x0008;
    pub const CBASER: usize = 0x0080;
    pub const CWRITER: usize = 0x0088;
    pub const CREADR: usize = 0x0090;
    pub const BASER: usize = 0x0100;
    pub const PIDR2: usize = 0xffe8;
    /// In the frame behind it: where devices write to.
    pub const TRANSLATER: usize = 0x1_0040;
}

/// Offsets in a redistributor, of what is about LPIs.
pub mod gicr_lpi {
    pub const PROPBASER: usize = 0x70;
    pub const PENDBASER: usize = 0x78;
    pub const INVLPIR: usize = 0xa0;
    pub const INVALLR: usize = 0xb0;
    pub const SYNCR: usize = 0xc0;
}

/// GITS_CTLR.
pub const ENABLED: u32 = 1;
pub const QUIESCENT: u32 = 1 << 31;
/// GITS_CREADR.
pub const STALLED: u64 = 1;
/// GITS_CWRITER.
pub const RETRY: u64 = 1;
/// GITS_BASER and GITS_CBASER.
pub const VALID: u64 = 1 << 63;
pub const INDIRECT: u64 = 1 << 62;
/// GICR_CTLR.
pub const ENABLE_LPIS: u32 = 1;
pub const CES: u32 = 1 << 1;
const RWP: u32 = 1 << 3;
/// GICR_PENDBASER.
pub const PTZ: u64 = 1 << 62;

/// GICR_PROPBASER.IDbits: LPIs up to 16383.
const ID_BITS: u64 = 14;
/// As many as there are.
pub const LPIS: u32 = (1 << ID_BITS) - 8192;
/// What an LPI's byte in the configuration table says: priority 0xa0, enabled. Bit 1 is RES1.
pub const CONFIGURED: u8 = 0xa3;
/// The bit of it that enables.
pub const LPI_ENABLED: u8 = 1;

const PAGE: usize = 0x1000;
const BIG: usize = 0x1_0000;

/// Offsets of the tables in our memory.
const PROPERTIES: usize = 0;
const PENDING: [usize; CPUS] = [BIG, 2 * BIG];
const DEVICES: usize = 3 * BIG;
const COLLECTIONS: usize = 4 * BIG;
const QUEUE: usize = 5 * BIG;
const HEAP: usize = 6 * BIG;
const END: usize = 14 * BIG;

/// A table of 64 KiB is to be aligned by as much, wherever the image is.
#[repr(C, align(4096))]
struct Memory(UnsafeCell<[u8; END + BIG]>);
// SAFETY: read and written by address only, each time by one instruction.
unsafe impl Sync for Memory {}
static MEMORY: Memory = Memory(UnsafeCell::new([0; END + BIG]));

static BASE: AtomicUsize = AtomicUsize::new(0);
static LIMITS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
/// It has been used, and may be on.
static USED: AtomicUsize = AtomicUsize::new(0);
/// The next free byte of the heap.
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// The queue: its size in bytes, and where the next command goes.
static SIZE: AtomicUsize = AtomicUsize::new(0);
static TAIL: AtomicUsize = AtomicUsize::new(0);

/// How the device table is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Devices {
    Flat,
    /// The first level is a page of 4 KiB with nothing in it.
    TwoLevels,
}

/// What a domain may have, where whoever started it says so.
pub struct Limits {
    pub lpis: usize,
    pub devices: usize,
    pub events: usize,
}

/// Finds it, and hears of limits.
pub fn discover(machine: &Machine) {
    BASE.store(machine.its.map_or(0, |its| its.0), Relaxed);
    for (place, limit) in LIMITS.iter().zip(machine.limits()) {
        place.store(limit, Relaxed);
    }
}

pub fn limits() -> Option<Limits> {
    let [lpis, devices, events] = [0, 1, 2].map(|n: usize| LIMITS[n].load(Relaxed));
    (lpis != 0).then_some(Limits {
        lpis,
        devices,
        events,
    })
}

/// Where it is, if there is one.
pub fn base() -> Outcome<usize> {
    match BASE.load(Relaxed) {
        0 => skip!("there is no ITS"),
        base => Ok(base),
    }
}

pub fn is_there() -> bool {
    BASE.load(Relaxed) != 0
}

pub fn register(offset: usize) -> usize {
    BASE.load(Relaxed) + offset
}

pub fn typer() -> u64 {
    read64(register(gits::TYPER))
}

/// The widths of EventIDs and of DeviceIDs.
pub fn event_bits() -> u32 {
    (typer() >> 8 & 0x1f) as u32 + 1
}

pub fn device_bits() -> u32 {
    (typer() >> 13 & 0x1f) as u32 + 1
}

/// Bytes of an entry in a device's translation table.
fn entry_size() -> usize {
    (typer() >> 4 & 0xf) as usize + 1
}

/// The address of a redistributor's register.
pub fn gicr_register(cpu: usize, offset: usize) -> usize {
    gic::gicr_base(cpu) + offset
}

/// How commands name a redistributor.
pub fn target(cpu: usize) -> u64 {
    const PTA: u64 = 1 << 19;
    if typer() & PTA != 0 {
        gic::gicr_base(cpu) as u64 >> 16
    } else {
        read64(gicr_register(cpu, gic::gicr::TYPER)) >> 8 & 0xffff
    }
}

/// The `n`th LPI.
pub fn lpi(n: u32) -> IntId {
    IntId(8192 + n)
}

// ---------------------------------------------------------------- memory

fn memory(offset: usize) -> usize {
    (MEMORY.0.get() as usize).next_multiple_of(BIG) + offset
}

/// What others see of memory is the same as what we do: here it is never cached, with them it may be.
fn settle(address: usize) {
    // SAFETY: maintenance by address; the line is our own memory.
    unsafe { asm!("dsb sy", "dc civac, {}", "dsb sy", in(reg) address, options(nostack)) };
}

pub fn load(address: usize) -> u64 {
    settle(address);
    read64(address)
}

pub fn store(address: usize, value: u64) {
    write64(address, value);
    settle(address);
}

pub fn store_byte(address: usize, value: u8) {
    mmio::write8(address, value);
    settle(address);
}

/// Fills with a byte; both are multiples of 64.
fn fill(address: usize, size: usize, byte: u8) {
    let word = u64::from(byte) * 0x0101_0101_0101_0101;
    for at in (address..address + size).step_by(8) {
        // SAFETY: our memory, which nobody has a reference to.
        unsafe { core::ptr::write_volatile(at as *mut u64, word) };
    }
    for at in (address..address + size).step_by(64) {
        settle(at);
    }
}

/// Memory with zeros in it, until the next case.
pub fn allocate(size: usize, alignment: usize) -> Outcome<usize> {
    let at = NEXT.load(Relaxed).next_multiple_of(alignment);
    let size = size.next_multiple_of(64);
    check!(at + size <= memory(END), "the test's memory is used up");
    NEXT.store(at + size, Relaxed);
    fill(at, size, 0);
    Ok(at)
}

/// The address of an LPI's byte in the configuration table.
pub fn property(id: IntId) -> usize {
    memory(PROPERTIES) + (id.0 - 8192) as usize
}

/// Says how an LPI is configured; to be followed by an invalidation.
pub fn configure(id: IntId, byte: u8) {
    store_byte(property(id), byte);
}

/// The bit of an LPI in the pending table of `cpu`: the address of its doubleword, and the bit in that.
fn pending_bit(cpu: usize, id: IntId) -> (usize, u64) {
    let table = memory(PENDING.get(cpu).copied().unwrap_or(BIG));
    (table + id.0 as usize / 64 * 8, 1 << (id.0 % 64))
}

pub fn is_in_pending_table(cpu: usize, id: IntId) -> bool {
    let (address, bit) = pending_bit(cpu, id);
    load(address) & bit != 0
}

pub fn put_into_pending_table(cpu: usize, id: IntId) {
    let (address, bit) = pending_bit(cpu, id);
    store(address, load(address) | bit);
}

pub fn device_table() -> usize {
    memory(DEVICES)
}

/// The tables that [`begin`] makes, but for the pending ones' unused part: address and size.
pub fn first_tables() -> (usize, usize) {
    (memory(PROPERTIES), QUEUE - PROPERTIES)
}

// ---------------------------------------------------------------- on and off

/// Which of the GITS_BASER is for this type (1: devices, 4: collections).
pub fn baser(kind: u64) -> Outcome<usize> {
    let all = (0..8).map(|n| register(gits::BASER + n * 8));
    for at in all {
        if read64(at) >> 56 & 7 == kind {
            return Ok(at);
        }
    }
    crate::outcome::fail!("no GITS_BASER is of type {kind}")
}

/// Copies a table of 64 KiB to memory that it has not been in, and leaves nothing where it was; the result is its new place.
pub fn move_table(from: usize) -> Outcome<usize> {
    let to = allocate(BIG, BIG)?;
    for offset in (0..BIG).step_by(8) {
        store(to + offset, load(from + offset));
    }
    fill(from, BIG, 0);
    Ok(to)
}

/// A table's place, as GITS_BASER has it.
pub fn table_of(baser: u64) -> usize {
    (baser & 0xffff_ffff_f000) as usize
}

/// The same with another.
pub fn with_table(baser: u64, table: usize) -> u64 {
    baser & !0xffff_ffff_f000 | table as u64
}

/// Something that is another number when one of these bytes is another; both are multiples of 8.
pub fn checksum(address: usize, size: usize) -> u64 {
    let words = (address..address + size).step_by(8).map(load);
    words.fold(0, |sum, word| sum.rotate_left(1).wrapping_add(word))
}

fn set_baser(at: usize, value: u64) {
    // Without a table first: what it had is not to be there again.
    write64(at, 0);
    write64(at, VALID | value);
}

/// Has the ITS stop, and waits until it has.
pub fn disable() -> Outcome {
    write32(register(gits::CTLR), 0);
    let idle = timer::within(2000, || read32(register(gits::CTLR)) & QUIESCENT != 0);
    check!(idle, "the ITS does not become quiescent");
    Ok(())
}

pub fn enable() {
    write32(register(gits::CTLR), ENABLED);
}

/// GICR_CTLR.EnableLPIs of `cpu`; returns when it is done.
pub fn set_lpis(cpu: usize, on: bool) -> Outcome {
    let at = gicr_register(cpu, gic::gicr::CTLR);
    let others = read32(at) & !ENABLE_LPIS;
    write32(at, others | u32::from(on));
    let done = timer::within(2000, || read32(at) & RWP == 0);
    check!(done, "GICR_CTLR.RWP of CPU {cpu} stays 1");
    Ok(())
}

/// A queue of so many pages, and nothing in it.
pub fn set_queue(address: usize, pages: usize) {
    write64(
        register(gits::CBASER),
        VALID | address as u64 | (pages as u64 - 1),
    );
    write64(register(gits::CWRITER), 0);
    SIZE.store(pages * PAGE, Relaxed);
    TAIL.store(0, Relaxed);
}

/// Where the queue is that [`begin`] makes.
pub fn queue() -> usize {
    memory(QUEUE)
}

/// Whatever a case has left behind goes.
pub fn off() -> Outcome {
    if USED.load(Relaxed) != 0 {
        USED.store(0, Relaxed);
        disable()?;
        for cpu in 0..CPUS {
            set_lpis(cpu, false)?;
        }
    }
    Ok(())
}

/// The ITS as it is to be at the beginning: on, LPIs enabled on both CPUs, nothing mapped but collections 0 and 1, to the CPUs with
/// these numbers. Every LPI is enabled, with the same priority.
pub fn begin() -> Outcome {
    begin_with(Devices::Flat, 16)
}

/// The same, with a device table and a queue like this.
pub fn begin_with(devices: Devices, queue_pages: usize) -> Outcome {
    base()?;
    USED.store(1, Relaxed);
    disable()?;
    for cpu in 0..CPUS {
        set_lpis(cpu, false)?;
    }
    fill(memory(PROPERTIES), LPIS as usize, CONFIGURED);
    for table in PENDING {
        fill(memory(table), 0x2000, 0);
    }
    fill(memory(DEVICES), 2 * BIG, 0);
    NEXT.store(memory(HEAP), Relaxed);
    const PAGE_64K: u64 = 2 << 8;
    let table = memory(DEVICES) as u64;
    match devices {
        Devices::Flat => set_baser(baser(1)?, PAGE_64K | table),
        Devices::TwoLevels => {
            let at = baser(1)?;
            set_baser(at, INDIRECT | table);
            if read64(at) & INDIRECT == 0 {
                skip!("device tables have one level");
            }
            check!(
                read64(at) >> 8 & 3 == 0,
                "device tables have no pages of 4 KiB"
            );
        }
    }
    set_baser(baser(4)?, PAGE_64K | memory(COLLECTIONS) as u64);
    for cpu in 0..CPUS {
        set_tables(cpu);
        set_lpis(cpu, true)?;
    }
    set_queue(queue(), queue_pages);
    enable();
    run(&[command::mapc(0, 0), command::mapc(1, 1)])
}

/// Tells a redistributor where its tables are, and that the pending one is zero.
fn set_tables(cpu: usize) {
    let properties = memory(PROPERTIES) as u64 | (ID_BITS - 1);
    write64(gicr_register(cpu, gicr_lpi::PROPBASER), properties);
    let pending = memory(PENDING.get(cpu).copied().unwrap_or(BIG)) as u64;
    write64(gicr_register(cpu, gicr_lpi::PENDBASER), PTZ | pending);
}

/// The same, but the pending table is read.
pub fn keep_pending_table(cpu: usize) {
    let pending = memory(PENDING.get(cpu).copied().unwrap_or(BIG)) as u64;
    write64(gicr_register(cpu, gicr_lpi::PENDBASER), pending);
}

// ---------------------------------------------------------------- the queue

/// Puts a command into the queue; nobody is told yet. The caller sees to it that there is room.
pub fn put(command: &Command) {
    let (tail, size) = (TAIL.load(Relaxed), SIZE.load(Relaxed));
    let base = (read64(register(gits::CBASER)) & 0xf_ffff_ffff_f000) as usize;
    for (n, word) in command.iter().enumerate() {
        store(base + tail + n * 8, *word);
    }
    let next = tail + command::SIZE;
    TAIL.store(if next >= size { 0 } else { next }, Relaxed);
}

/// Tells the ITS of what was put.
pub fn ring() {
    write64(register(gits::CWRITER), TAIL.load(Relaxed) as u64);
}

pub fn creadr() -> u64 {
    read64(register(gits::CREADR))
}

pub fn tail() -> u64 {
    TAIL.load(Relaxed) as u64
}

/// Waits until everything in the queue has been executed.
pub fn wait() -> Outcome {
    let tail = tail();
    let done = timer::within(4000, || creadr() == tail);
    check!(
        done,
        "GITS_CREADR is {:#x} and does not come to {tail:#x}",
        creadr()
    );
    Ok(())
}

/// Waits until what has been put has taken effect at both redistributors.
pub fn sync() -> Outcome {
    for cpu in 0..CPUS {
        put(&command::sync(target(cpu)));
    }
    ring();
    wait()
}

/// Has commands executed, and waits until they have taken effect.
pub fn run(commands: &[Command]) -> Outcome {
    let room = SIZE.load(Relaxed) / command::SIZE - 1 - CPUS;
    for part in commands.chunks(room) {
        part.iter().for_each(put);
        sync()?;
    }
    Ok(())
}

/// Maps a device with a table for 2^`bits` events.
pub fn map_device(device: u32, bits: u32) -> Outcome {
    let itt = allocate((1 << bits) * entry_size(), 256)?;
    run(&[command::mapd(device, bits, itt as u64)])
}

/// Maps a device, and its events 0 to `count` less one to the LPIs from `first` on, all in collection `icid`.
pub fn map_events(device: u32, count: u32, first: u32, icid: u16) -> Outcome {
    map_device(device, 32 - (count.max(2) - 1).leading_zeros())?;
    for event in 0..count {
        put(&command::mapti(device, event, lpi(first + event), icid));
        if event % 32 == 31 {
            sync()?;
        }
    }
    sync()
}
