// SPDX-License-Identifier: GPL-2.0-only
//! Writes down what happens to the vGIC of the hardware domain, as raw records of the crate `recording`, into memory of
//! Xen's heap that somebody else reads: a debugger, or the emulator that Xen runs on.
//!
//! Any CPU writes at any time, without a lock: it takes the next place by adding to a counter, which also says in which order
//! things happened. What may bring an interrupt is written before it does, so that what comes of it has a later place; what
//! takes one away, which may wait for other CPUs first, after; and so are answers. The first domain that is made is the
//! recorded one; there is no second.

use crate::ffi;
use crate::host::{Desc, Vcpu, Vgic};
use core::ffi::c_uint;
use core::ptr;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
use recording::raw::{BYTES, Event, LrState, Raw};
use recording::{Frame, Register, Size, SysReg};
use rust_vgic::lr::{Format, Hcr, MAX};
use rust_vgic::{CpuInterface, IntId, VcpuId, Version};

/// Records that there is room for.
const RECORDS: usize = (64 << 20) / BYTES;
/// Each of two words.
const WORDS: usize = BYTES / 8;
/// The domain that Xen boots first.
const HARDWARE_DOMAIN: u16 = 0;

/// A vCPU as it was last seen.
struct Seen {
    /// Its guest was entered, and not left since.
    inside: AtomicBool,
    /// It was not switched off since it last was entered.
    on: AtomicBool,
    vmcr: AtomicU32,
    /// Its list registers at the entry.
    list_registers: [AtomicU64; MAX],
}

/// Whose vGIC is recorded; not looked into, since it may be gone.
static DOMAIN: AtomicPtr<Vgic> = AtomicPtr::new(ptr::null_mut());
/// Where to; NULL before the first domain is made, and after that if there was no memory.
static BUFFER: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// Places that were taken.
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static VCPUS: [Seen; VcpuId::MAX] = [const {
    Seen {
        inside: AtomicBool::new(false),
        on: AtomicBool::new(false),
        vmcr: AtomicU32::new(0),
        list_registers: [const { AtomicU64::new(0) }; MAX],
    }
}; VcpuId::MAX];

fn is_recorded(vgic: &Vgic) -> bool {
    ptr::eq(DOMAIN.load(Ordering::Relaxed), vgic)
}

fn write(event: Event) {
    let buffer = BUFFER.load(Ordering::Acquire);
    if buffer.is_null() || TAKEN.load(Ordering::Relaxed) >= RECORDS {
        return;
    }
    let n = TAKEN.fetch_add(1, Ordering::SeqCst);
    // Nothing that the caller does next is seen by one who then takes an earlier place.
    fence(Ordering::SeqCst);
    let last = RECORDS.wrapping_sub(1);
    if n > last {
        return;
    }
    let event = if n == last { Event::Full } else { event };
    let domain = HARDWARE_DOMAIN;
    let [first, second] = Raw { domain, event }.encode();
    let at = buffer.wrapping_add(n.wrapping_mul(WORDS));
    // SAFETY: inside the buffer, which is never freed.
    unsafe { &*at.wrapping_add(1) }.store(second, Ordering::Relaxed);
    // SAFETY: the same.
    unsafe { &*at }.store(first, Ordering::Release);
    if n == last {
        log::warn!("the recorder is full: what happens from now on is not recorded");
    }
}

fn number(v: &Vcpu) -> u8 {
    v.id().raw()
}

fn seen(v: &Vcpu) -> Option<&'static Seen> {
    VCPUS.get(v.id().index())
}

/// Xen does not tell its vGIC of PSCI CPU_OFF: whoever comes next finds that a vCPU is off.
fn look_for_off(vgic: &Vgic) {
    for (n, seen) in (0..).zip(&VCPUS) {
        let Some(handle) = VcpuId::new(n).and_then(|id| vgic.vcpu(id)?.handle()) else {
            return;
        };
        let off = seen.on.load(Ordering::Relaxed) && !handle.is_online();
        if off && seen.on.swap(false, Ordering::Relaxed) {
            write(Event::Off { vcpu: n as u8 });
        }
    }
}

// A domain's life ------------------------------------------------------------------------------------------------

/// A vGIC was made. Process context.
pub fn made(vgic: &Vgic) {
    let d = vgic.host().domain();
    if d.id() != HARDWARE_DOMAIN || !BUFFER.load(Ordering::Relaxed).is_null() {
        return;
    }
    // SAFETY: any size will do.
    let buffer = unsafe { ffi::rvgic_record_buffer(RECORDS.wrapping_mul(BYTES)) };
    BUFFER.store(buffer.cast(), Ordering::Release);
    DOMAIN.store(ptr::from_ref(vgic).cast_mut(), Ordering::Relaxed);
    write(Event::DomainMade {
        gic: if vgic.version() == Version::V3 { 3 } else { 2 },
        vcpus: d.max_vcpus() as u8,
        spis: vgic.spis() as u16,
        lrs: vgic.host().interface().list_registers().min(MAX) as u8,
    });
}

/// A vGIC goes: the next at its address is another.
pub fn freed(vgic: &Vgic) {
    if is_recorded(vgic) {
        DOMAIN.store(ptr::null_mut(), Ordering::Relaxed);
    }
}

/// A physical interrupt is about to be mapped.
pub fn connected(vgic: &Vgic, intid: IntId, phys: u16) {
    if is_recorded(vgic) {
        write(Event::Connected {
            intid: intid.raw(),
            level: Desc::find(phys).is_some_and(|desc| desc.is_level()),
        });
    }
}

/// PSCI CPU_ON.
pub fn switched_on(vgic: &Vgic, v: &Vcpu) {
    if is_recorded(vgic) {
        look_for_off(vgic);
        // As its CPU interface is going to be reset.
        if let Some(seen) = seen(v) {
            seen.vmcr.store(0, Ordering::Relaxed);
        }
        write(Event::On { vcpu: number(v) });
    }
}

/// arch_move_irqs().
pub fn moved(vgic: &Vgic, v: &Vcpu) {
    if is_recorded(vgic) {
        write(Event::Moved { vcpu: number(v) });
    }
}

// Interrupts -----------------------------------------------------------------------------------------------------

/// An interrupt is about to be injected.
pub fn injected(vgic: &Vgic, v: Option<&Vcpu>, intid: IntId, level: bool) {
    if is_recorded(vgic) {
        look_for_off(vgic);
        write(Event::Injected {
            vcpu: v.map(number),
            intid: intid.raw(),
            level,
        });
    }
}

/// The guest is about to be entered, with its list registers as they are now.
pub fn entered(vgic: &Vgic, v: &Vcpu) {
    let Some(seen) = seen(v).filter(|_| is_recorded(vgic)) else {
        return;
    };
    look_for_off(vgic);
    let cpu = vgic.host().interface();
    for (n, lr) in seen
        .list_registers
        .iter()
        .enumerate()
        .take(cpu.list_registers())
    {
        lr.store(cpu.read_lr(n), Ordering::Relaxed);
    }
    seen.on.store(true, Ordering::Relaxed);
    seen.inside.store(true, Ordering::Relaxed);
    write(Event::Entered { vcpu: number(v) });
}

/// The guest was just left, and its list registers are as it left them.
pub fn exited(vgic: &Vgic, v: &Vcpu) {
    let Some(seen) = seen(v).filter(|_| is_recorded(vgic)) else {
        return;
    };
    if !seen.inside.swap(false, Ordering::Relaxed) {
        return;
    }
    let (cpu, vcpu) = (vgic.host().interface(), number(v));
    cpu.sync();
    for (n, lr) in seen
        .list_registers
        .iter()
        .enumerate()
        .take(cpu.list_registers())
    {
        let before = lr.load(Ordering::Relaxed);
        if let Some(event) = change(vgic, vcpu, before, cpu.read_lr(n)) {
            write(event);
        }
    }
    interface(vgic, v);
    let count = Hcr::eoi_count(cpu.read_hcr()) as u8;
    if count != 0 {
        write(Event::EoiCount { vcpu, count });
    }
    write(Event::Exited { vcpu });
    look_for_off(vgic);
}

/// The guest may have changed its CPU interface, in a trap or without.
pub fn interface(vgic: &Vgic, v: &Vcpu) {
    let Some(seen) = seen(v).filter(|_| is_recorded(vgic)) else {
        return;
    };
    let value = vgic.host().interface().read_vmcr();
    if seen.vmcr.swap(value, Ordering::Relaxed) != value {
        let vcpu = number(v);
        write(Event::Vmcr { vcpu, value });
    }
}

/// What the guest did to a list register.
fn change(vgic: &Vgic, vcpu: u8, before: u64, after: u64) -> Option<Event> {
    let format = vgic.format();
    let state = |lr| {
        let (pending, active) = format.state(lr);
        LrState::from_bits(u8::from(pending) | u8::from(active) << 1)
    };
    let intid = u32::from(format.intid(before));
    // The sender of a GICv2's SGI is where GICC_IAR has it.
    let has_sender = format != (Format::V3 { sources: false }) && intid < IntId::PPI;
    let sender = if has_sender {
        before as u32 & 0x1c00
    } else {
        0
    };
    (state(before) != state(after)).then(|| Event::ListRegister {
        vcpu,
        intid: intid | sender,
        before: state(before),
        after: state(after),
        priority: format.priority5(before) << 3,
    })
}

// Trapped accesses -----------------------------------------------------------------------------------------------

/// Where a trapped access goes to.
pub enum Place {
    /// The distributor.
    Gicd(u32),
    /// A region of redistributors.
    Gicr(c_uint, u64),
}

impl Place {
    /// The register, if it is to be recorded.
    fn register(self, vgic: &Vgic) -> Option<Register> {
        match self {
            _ if !is_recorded(vgic) => None,
            Self::Gicd(offset) => Some(Register::gicd(offset)),
            Self::Gicr(region, offset) => {
                let (owner, offset) = vgic.redistributor_at(region as usize, offset)?;
                Some(Register::gicr(owner.raw(), offset))
            }
        }
    }
}

fn access(v: &Vcpu, register: Register, size: u8, value: u64, is_write: bool) {
    write(Event::Mmio {
        vcpu: number(v),
        write: is_write,
        register,
        size: Size::from_log2(size),
        value,
    });
}

/// A read was answered.
pub fn read(vgic: &Vgic, v: &Vcpu, place: Place, size: u8, value: u64) {
    if let Some(register) = place.register(vgic) {
        access(v, register, size, value, false);
    }
}

/// A write is about to be done.
pub fn writing(vgic: &Vgic, v: &Vcpu, place: Place, size: u8, value: u64) {
    if let Some(register) = place.register(vgic).filter(|r| !takes_away(*r)) {
        access(v, register, size, value, true);
    }
}

/// A write was done.
pub fn written(vgic: &Vgic, v: &Vcpu, place: Place, size: u8, value: u64) {
    if let Some(register) = place.register(vgic).filter(|r| takes_away(*r)) {
        access(v, register, size, value, true);
    }
}

/// ICENABLER, ICPENDR and ICACTIVER, at the same offsets in the distributor and in SGI_base.
fn takes_away(register: Register) -> bool {
    matches!(register.offset & 0xffff, 0x180..0x200 | 0x280..0x300 | 0x380..0x400)
}

/// A deactivation is about to be done.
pub fn dir(vgic: &Vgic, v: &Vcpu, value: u64) {
    if !is_recorded(vgic) {
        return;
    }
    let vcpu = number(v);
    write(if vgic.version() == Version::V3 {
        Event::Sysreg {
            vcpu,
            register: SysReg::Dir,
            value,
        }
    } else {
        Event::Mmio {
            vcpu,
            write: true,
            register: Register {
                frame: Frame::GiccDir,
                offset: 0,
            },
            size: Size::Word,
            value,
        }
    });
}

/// A write of ICC_SGI1R_EL1 or one of its siblings, by its number for C, is about to be done.
pub fn sgi(vgic: &Vgic, v: &Vcpu, register: c_uint, value: u64) {
    if !is_recorded(vgic) {
        return;
    }
    if let Some(&register) = SysReg::ALL.get(register as usize) {
        write(Event::Sysreg {
            vcpu: number(v),
            register,
            value,
        });
    }
}

/// Record number `n` of the mock Xen's, if there is one by now.
#[cfg(not(target_os = "none"))]
pub fn record(n: usize) -> Option<Raw> {
    let buffer = BUFFER.load(Ordering::Acquire);
    if buffer.is_null() || n >= RECORDS {
        return None;
    }
    let at = buffer.wrapping_add(n.wrapping_mul(WORDS));
    // SAFETY: inside the buffer, which is never freed.
    let first = unsafe { &*at }.load(Ordering::Acquire);
    // SAFETY: the same.
    let second = unsafe { &*at.wrapping_add(1) }.load(Ordering::Relaxed);
    Raw::decode([first, second])
}
