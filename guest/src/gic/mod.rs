// SPDX-License-Identifier: GPL-2.0-only
//! The interrupt controller as the cases see it: what GICv2 and GICv3 have in common has one name here.
//! All interrupts are in the one group that a plain operating system uses: group 0 on GICv2, group 1 on GICv3.
//! `gicd` and `gicr` are for the cases that look at registers themselves.

mod registers;
pub mod v2;
pub mod v2m;
pub mod v3;

pub use registers::{gicd, gicr};

use crate::cpu::{self, CPUS, MOST};
use crate::fdt::Machine;
use crate::mmio::{self, read8, read32, read64, write8, write32, write64};
use crate::outcome::{Outcome, Text, check, fail};
use crate::timer;
use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Register Write Pending.
const GICD_CTLR_RWP: u32 = 1 << 31;
const GICR_CTLR_RWP: u32 = 1 << 3;
/// Affinity routing, which is all that GICv3 offers here.
const GICD_CTLR_ARE: u32 = 1 << 4;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V2,
    V3,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(if *self == Version::V2 {
            "GICv2"
        } else {
            "GICv3"
        })
    }
}

/// An interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IntId(pub u32);

impl IntId {
    pub fn is_private(self) -> bool {
        self.0 < 32
    }
}

/// What the acknowledge register gave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ack(pub u32);

impl Ack {
    pub fn intid(self) -> IntId {
        IntId(
            self.0
                & if version() == Version::V2 {
                    0x3ff
                } else {
                    0xff_ffff
                },
        )
    }

    /// The CPU that asked for a software-generated interrupt: GICv2 says so, GICv3 does not.
    pub fn source(self) -> u32 {
        if version() == Version::V2 {
            self.0 >> 10 & 7
        } else {
            0
        }
    }

    /// Nothing to take, or nothing that may be taken in this way: 1020 to 1023.
    pub fn is_spurious(self) -> bool {
        (1020..1024).contains(&self.intid().0)
    }
}

/// Whether EOI also deactivates.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum EoiMode {
    /// EOImode 0.
    Both,
    /// EOImode 1: DIR deactivates.
    Split,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    Level,
    Edge,
}

static IS_V3: AtomicUsize = AtomicUsize::new(0);
static GICD: AtomicUsize = AtomicUsize::new(0);
static GICR: [AtomicUsize; CPUS] = [const { AtomicUsize::new(0) }; CPUS];
static AFFINITY: [AtomicU64; CPUS] = [const { AtomicU64::new(0) }; CPUS];
static FIRST_GICR: AtomicUsize = AtomicUsize::new(0);
static LINES: AtomicU32 = AtomicU32::new(0);
/// The first SPI of a GICv2m frame that is at the far end.
static FRAME: AtomicU32 = AtomicU32::new(0);

/// Acknowledged and not yet ended, per CPU: what a case that failed has left behind.
struct Open {
    acks: [AtomicU32; 64],
    length: AtomicUsize,
}
static OPEN: [Open; MOST] = [const {
    Open {
        acks: [const { AtomicU32::new(0) }; 64],
        length: AtomicUsize::new(0),
    }
}; MOST];

/// Finds the interrupt controller, and makes it ready on CPU 0.
pub fn discover(machine: &Machine) -> Result<Version, Text> {
    let by_default = |v| match v {
        Version::V2 => (v, (0x0300_1000, 0), (0x0300_2000, 0)),
        Version::V3 => (v, (0x0300_1000, 0), (0x0302_0000, 0)),
    };
    let Some((version, (gicd, _), (other, _))) = machine
        .gic
        .or_else(|| machine.argument_version().map(by_default))
    else {
        return Err(Text::new(format_args!(
            "no GICv2 or GICv3 in the device tree, no gic=v2|v3 in bootargs"
        )));
    };
    IS_V3.store(usize::from(version == Version::V3), Relaxed);
    GICD.store(gicd, Relaxed);
    LINES.store(((read_gicd(gicd::TYPER) & 0x1f) + 1) * 32, Relaxed);
    if lines() < 64 {
        return Err(Text::new(format_args!(
            "{} interrupts are too few",
            lines()
        )));
    }
    match version {
        Version::V2 => v2::init(other),
        Version::V3 => {
            FIRST_GICR.store(other, Relaxed);
            if find_redistributor(0, cpu::affinity()).is_err() {
                return Err(Text::new(format_args!("CPU 0 has no redistributor")));
            }
        }
    }
    init_cpu_interface();
    Ok(version)
}

/// CPU 1 has this affinity.
pub fn find_second(affinity: u64) -> Outcome {
    if version() == Version::V3 {
        find_redistributor(1, affinity)
    } else {
        Ok(())
    }
}

/// Redistributors stand in a row, up to the one that says it is the last.
fn find_redistributor(cpu: usize, affinity: u64) -> Outcome {
    let wanted = (affinity >> 8 & 0xff00_0000 | affinity & 0xff_ffff) as u32;
    let mut base = FIRST_GICR.load(Relaxed);
    for _ in 0..256 {
        let typer = read64(base + gicr::TYPER);
        if (typer >> 32) as u32 == wanted {
            GICR[cpu].store(base, Relaxed);
            AFFINITY[cpu].store(affinity, Relaxed);
            // Processor sleep off, then children awake.
            write32(base + gicr::WAKER, read32(base + gicr::WAKER) & !2);
            timer::within(100, || read32(base + gicr::WAKER) & 4 == 0);
            return Ok(());
        }
        if typer & 1 << 4 != 0 {
            break;
        }
        let virtual_lpis = typer & 2 != 0;
        base += if virtual_lpis { 0x4_0000 } else { 0x2_0000 };
    }
    fail!("CPU {cpu} has no redistributor")
}

pub fn version() -> Version {
    if IS_V3.load(Relaxed) == 0 {
        Version::V2
    } else {
        Version::V3
    }
}

/// Interrupts that the distributor has, a multiple of 32.
pub fn lines() -> u32 {
    LINES.load(Relaxed)
}

/// The `n`th of the SPIs that the cases use: at the far end, of few devices, but below a GICv2m frame's, whose trigger is fixed.
pub fn spi(n: u32) -> IntId {
    let end = lines().min(1024 - 32);
    match FRAME.load(Relaxed) {
        // There are as many below it: the first 32 SPIs are devices'.
        first if (64..end).contains(&first) => IntId(first - SPIS + n),
        _ => IntId(end - SPIS + n),
    }
}

/// A frame has SPIs from `first` to `end` less one.
pub fn keep_clear_of(first: u32, end: u32) {
    if end > lines().min(1024 - 32) - SPIS {
        FRAME.store(first / SPIS * SPIS, Relaxed);
    }
}

/// As many as there are.
pub const SPIS: u32 = 32;

pub fn gicd_base() -> usize {
    GICD.load(Relaxed)
}

/// The redistributor of `cpu`.
pub fn gicr_base(cpu: usize) -> usize {
    GICR.get(cpu).map_or(0, |base| base.load(Relaxed))
}

pub fn affinity(cpu: usize) -> u64 {
    AFFINITY
        .get(cpu)
        .map_or(0, |affinity| affinity.load(Relaxed))
}

pub fn read_gicd(register: usize) -> u32 {
    read32(gicd_base() + register)
}

pub fn write_gicd(register: usize, value: u32) {
    write32(gicd_base() + register, value);
}

/// Where the registers of `id` start: those of private ones are in the redistributor of `cpu`, or banked.
fn frame(id: IntId, cpu: usize) -> usize {
    if version() == Version::V3 && id.is_private() {
        gicr_base(cpu) + gicr::SGI_BASE
    } else {
        gicd_base()
    }
}

/// The address of the word with the bit of `id` in a register with one bit per interrupt.
pub fn bit_word(register: usize, id: IntId, cpu: usize) -> usize {
    frame(id, cpu) + register + id.0 as usize / 32 * 4
}

/// Writes the bit of `id` alone, as `cpu` sees it (for others than oneself only on GICv3).
pub fn write_bit_of(cpu: usize, register: usize, id: IntId) {
    write32(bit_word(register, id, cpu), 1 << (id.0 % 32));
}

pub fn read_bit_of(cpu: usize, register: usize, id: IntId) -> bool {
    read32(bit_word(register, id, cpu)) >> (id.0 % 32) & 1 != 0
}

pub fn enable(id: IntId) {
    write_bit_of(cpu::current(), gicd::ISENABLER, id);
}

/// Returns when it is done.
pub fn disable(id: IntId) {
    write_bit_of(cpu::current(), gicd::ICENABLER, id);
    wait_for_writes(id);
}

fn wait_for_writes(id: IntId) {
    if version() == Version::V3 {
        let (register, bit) = if id.is_private() {
            (gicr_base(cpu::current()) + gicr::CTLR, GICR_CTLR_RWP)
        } else {
            (gicd_base() + gicd::CTLR, GICD_CTLR_RWP)
        };
        timer::within(100, || read32(register) & bit == 0);
    }
}

pub fn is_enabled(id: IntId) -> bool {
    read_bit_of(cpu::current(), gicd::ISENABLER, id)
}

pub fn set_pending(id: IntId) {
    write_bit_of(cpu::current(), gicd::ISPENDR, id);
}

pub fn clear_pending(id: IntId) {
    write_bit_of(cpu::current(), gicd::ICPENDR, id);
}

pub fn is_pending(id: IntId) -> bool {
    read_bit_of(cpu::current(), gicd::ISPENDR, id)
}

pub fn set_active(id: IntId) {
    write_bit_of(cpu::current(), gicd::ISACTIVER, id);
}

pub fn clear_active(id: IntId) {
    write_bit_of(cpu::current(), gicd::ICACTIVER, id);
}

pub fn is_active(id: IntId) -> bool {
    read_bit_of(cpu::current(), gicd::ISACTIVER, id)
}

/// The priority's byte.
pub fn priority_address(id: IntId) -> usize {
    frame(id, cpu::current()) + gicd::IPRIORITYR + id.0 as usize
}

pub fn set_priority(id: IntId, priority: u8) {
    write8(priority_address(id), priority);
}

pub fn priority(id: IntId) -> u8 {
    read8(priority_address(id))
}

pub fn set_trigger(id: IntId, trigger: Trigger) {
    let address = frame(id, cpu::current()) + gicd::ICFGR + id.0 as usize / 16 * 4;
    let bit = 2 << (id.0 % 16 * 2);
    let others = read32(address) & !bit;
    write32(
        address,
        if trigger == Trigger::Edge {
            others | bit
        } else {
            others
        },
    );
}

pub fn trigger(id: IntId) -> Trigger {
    let address = frame(id, cpu::current()) + gicd::ICFGR + id.0 as usize / 16 * 4;
    let edge = read32(address) >> (id.0 % 16 * 2) & 2 != 0;
    if edge { Trigger::Edge } else { Trigger::Level }
}

/// The address of an SPI's IROUTER.
pub fn irouter_address(id: IntId) -> usize {
    gicd_base() + gicd::IROUTER + id.0 as usize * 8
}

/// The SPI goes to `cpu`.
pub fn route(id: IntId, cpu: usize) {
    match version() {
        Version::V2 => write8(gicd_base() + gicd::ITARGETSR + id.0 as usize, 1 << cpu),
        Version::V3 => write64(irouter_address(id), affinity(cpu)),
    }
}

/// The SPI goes to either CPU.
pub fn route_to_any(id: IntId) {
    match version() {
        Version::V2 => write8(gicd_base() + gicd::ITARGETSR + id.0 as usize, 3),
        Version::V3 => write64(irouter_address(id), 1 << 31),
    }
}

/// The value for ICC_SGI1R_EL1 and ICC_SGI0R_EL1 that names one CPU.
pub fn sgi_value(id: IntId, affinity: u64) -> u64 {
    let (aff0, aff1, aff2, aff3) = (
        affinity & 0xff,
        affinity >> 8 & 0xff,
        affinity >> 16 & 0xff,
        affinity >> 32 & 0xff,
    );
    aff3 << 48
        | (aff0 >> 4) << 44
        | aff2 << 32
        | u64::from(id.0) << 24
        | aff1 << 16
        | 1 << (aff0 & 15)
}

/// Sends a software-generated interrupt to `cpu`, which may be this one.
pub fn send_sgi(id: IntId, cpu: usize) {
    match version() {
        Version::V2 => write_gicd(gicd::SGIR, 1 << (16 + cpu) | id.0),
        Version::V3 => v3::write_sgi1r(sgi_value(id, affinity(cpu))),
    }
}

/// Sends one to all CPUs but this.
pub fn send_sgi_to_others(id: IntId) {
    match version() {
        Version::V2 => write_gicd(gicd::SGIR, 1 << 24 | id.0),
        Version::V3 => v3::write_sgi1r(1 << 40 | u64::from(id.0) << 24),
    }
}

/// The group that everything is in, as a bit of GICD_CTLR and for [`set_cpu_groups`].
pub fn group() -> u32 {
    if version() == Version::V2 { 1 } else { 2 }
}

/// Lets the distributor forward these groups (bit 0: group 0, bit 1: group 1).
pub fn set_groups(groups: u32) {
    let routing = if version() == Version::V3 {
        GICD_CTLR_ARE
    } else {
        0
    };
    write_gicd(gicd::CTLR, routing | groups);
    wait_for_writes(IntId(32));
}

macro_rules! interface {
    ($call:ident($($argument:expr)?)) => {
        match version() {
            Version::V2 => v2::$call($($argument)?),
            Version::V3 => v3::$call($($argument)?),
        }
    };
}

/// Makes the CPU interface ready: all priorities, the group on, EOImode 0.
pub fn init_cpu_interface() {
    interface!(init_this());
}

/// The same for the group enables of this CPU's interface.
pub fn set_cpu_groups(groups: u32) {
    interface!(set_groups(groups));
}

pub fn acknowledge() -> Ack {
    let ack = Ack(interface!(acknowledge()));
    if !ack.is_spurious() {
        let open = &OPEN[cpu::current()];
        let length = open.length.load(Relaxed);
        if let Some(place) = open.acks.get(length) {
            place.store(ack.0, Relaxed);
            open.length.store(length + 1, Relaxed);
        }
    }
    ack
}

pub fn end(ack: Ack) {
    let open = &OPEN[cpu::current()];
    let length = open.length.load(Relaxed);
    open.length.store(length.saturating_sub(1), Relaxed);
    interface!(end(ack.0));
}

/// What this CPU has acknowledged is not ended, and nobody remembers it: the interface is made ready by one who begins anew.
pub fn begin_anew() {
    cpu::mask_irqs();
    OPEN[cpu::current()].length.store(0, Relaxed);
    interface!(forget_active_priorities());
    init_cpu_interface();
}

pub fn deactivate(ack: Ack) {
    interface!(deactivate(ack.0));
}

pub fn running_priority() -> u8 {
    interface!(running_priority()) as u8
}

/// Nothing is active; implementations show the idle priority with all bits, or with those they have.
pub fn is_idle() -> bool {
    running_priority() >= 0xf0
}

pub fn highest_pending() -> IntId {
    Ack(interface!(highest_pending())).intid()
}

pub fn set_priority_mask(mask: u8) {
    interface!(set_priority_mask(mask.into()));
}

pub fn set_eoi_mode(mode: EoiMode) {
    interface!(set_split(mode == EoiMode::Split));
}

/// The priority that every interrupt has unless the case says otherwise.
pub const DEFAULT_PRIORITY: u8 = 0xa0;

/// Ends what is open on this CPU, and brings its interface and its private interrupts to their first state.
pub fn reset_private() -> Outcome {
    cpu::mask_irqs();
    for timer in timer::Timer::ALL {
        timer.stop();
    }
    let open = &OPEN[cpu::current()];
    set_eoi_mode(EoiMode::Both);
    // A CPU that has been off may have lost what was active, or not.
    while open.length.load(Relaxed) > 0 && !is_idle() {
        let last = open.length.load(Relaxed) - 1;
        end(Ack(open.acks.get(last).map_or(0, |ack| ack.load(Relaxed))));
    }
    open.length.store(0, Relaxed);
    let this = cpu::current();
    reset_word(IntId(0), this);
    for n in 0..32 {
        set_priority(IntId(n), DEFAULT_PRIORITY);
    }
    match version() {
        Version::V2 => {
            for register in 0..4 {
                mmio::probe_write32(gicd_base() + gicd::CPENDSGIR + register * 4, u32::MAX);
            }
        }
        Version::V3 => write32(bit_word(gicd::IGROUPR, IntId(0), this), u32::MAX),
    }
    init_cpu_interface();
    let mut last = Ack(1023);
    let empty = timer::within(100, || {
        last = acknowledge();
        if !last.is_spurious() {
            end(last);
        }
        last.is_spurious()
    });
    if !is_idle() {
        interface!(forget_active_priorities());
    }
    if !empty {
        fail!(
            "interrupt {} cannot be got rid of on CPU {this}",
            last.intid().0
        );
    }
    check!(
        is_idle(),
        "CPU {this} does not become idle, its running priority is {:#x}",
        running_priority()
    );
    Ok(())
}

/// Switches 32 interrupts off, and has them neither pending nor active. What aborts here is found by a case of its own.
fn reset_word(first: IntId, cpu: usize) {
    for register in [gicd::ICENABLER, gicd::ICPENDR, gicd::ICACTIVER] {
        mmio::probe_write32(bit_word(register, first, cpu), u32::MAX);
    }
}

/// Brings the SPIs that the cases use to their first state: off, edge-triggered, for CPU 0.
pub fn reset_spis() {
    reset_word(spi(0), 0);
    let left = mmio::probe_read32(bit_word(gicd::ISACTIVER, spi(0), 0)).unwrap_or(0);
    for n in 0..SPIS {
        let id = spi(n);
        if left >> n & 1 != 0 {
            // ICACTIVER has not helped; perhaps this does.
            set_eoi_mode(EoiMode::Split);
            deactivate(Ack(id.0));
            set_eoi_mode(EoiMode::Both);
        }
        set_priority(id, DEFAULT_PRIORITY);
        set_trigger(id, Trigger::Edge);
        route(id, 0);
    }
    let groups = if version() == Version::V3 {
        u32::MAX
    } else {
        0
    };
    write32(bit_word(gicd::IGROUPR, spi(0), 0), groups);
    set_groups(group());
}
