// SPDX-License-Identifier: GPL-2.0-only
//! The vectors: interrupts go to what the case asked for; a fault is survived where it was expected, and otherwise ends
//! the case.

use crate::cpu::{self, MOST, read_sysreg, write_sysreg};
use crate::gic::{self, Ack};
use crate::outcome::{Outcome, Stop, Text};
use crate::rvic;
use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// What the vectors save, in the order in which they do.
#[repr(C)]
struct Frame {
    x: [u64; 31],
    elr: u64,
    spsr: u64,
    padding: u64,
}

/// What a function must find unchanged when it is left by a fault: x19 to x30, and sp.
#[repr(C)]
struct Resume([u64; 13]);

/// A fault that nobody expected.
#[derive(Clone, Copy)]
struct Fault {
    kind: u64,
    esr: u64,
    far: u64,
    elr: u64,
}

struct PerCpu {
    resume: UnsafeCell<Resume>,
    fault: UnsafeCell<Fault>,
    guarded: AtomicBool,
    expecting: AtomicBool,
    faulted: AtomicBool,
    handler: AtomicUsize,
    taken: AtomicUsize,
}

// SAFETY: each CPU uses its own element only, and its exception handlers only while what they interrupt does not.
unsafe impl Sync for PerCpu {}

impl PerCpu {
    const fn new() -> PerCpu {
        PerCpu {
            resume: UnsafeCell::new(Resume([0; 13])),
            fault: UnsafeCell::new(Fault {
                kind: 0,
                esr: 0,
                far: 0,
                elr: 0,
            }),
            guarded: AtomicBool::new(false),
            expecting: AtomicBool::new(false),
            faulted: AtomicBool::new(false),
            handler: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
        }
    }
}

static STATE: [PerCpu; MOST] = [const { PerCpu::new() }; MOST];

/// More interrupts than any case asks for: something fires again and again.
const STORM: usize = 200;

const SYNCHRONOUS: u64 = 0;
const IRQ: u64 = 1;
/// EL1 with its own stack pointer, everything masked.
const EL1H_MASKED: u64 = 0x3c5;

unsafe extern "C" {
    fn _start();
    fn vectors();
    fn call_guarded(function: extern "C" fn(usize), argument: usize, resume: *mut Resume) -> u64;
    fn resume_after_fault();
}

fn own() -> &'static PerCpu {
    STATE.get(cpu::current()).unwrap_or(&STATE[0])
}

/// Points this CPU at the vectors.
pub fn install() {
    cpu::enable_event_stream();
    write_sysreg!("vbar_el1", vectors as *const () as u64);
}

/// Runs one access that may fault; whether it did not.
pub fn survives(access: impl FnOnce()) -> bool {
    let own = own();
    own.faulted.store(false, Relaxed);
    own.expecting.store(true, Relaxed);
    access();
    own.expecting.store(false, Relaxed);
    !own.faulted.load(Relaxed)
}

/// Calls `function`; a fault in it ends it and comes back as a failure.
pub fn guarded<T>(function: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    struct Call<F, T> {
        function: Option<F>,
        result: Option<Outcome<T>>,
    }
    extern "C" fn trampoline<F: FnOnce() -> Outcome<T>, T>(call: usize) {
        // SAFETY: the address of the one that waits below.
        let call = unsafe { &mut *(call as *mut Call<F, T>) };
        call.result = call.function.take().map(|f| f());
    }
    fn start<F: FnOnce() -> Outcome<T>, T>(_: &F) -> extern "C" fn(usize) {
        trampoline::<F, T>
    }
    let entry = start::<_, T>(&function);
    let own = own();
    let mut call = Call {
        function: Some(function),
        result: None,
    };
    own.guarded.store(true, Relaxed);
    // SAFETY: only this CPU uses its buffer; nothing on the stack of what a fault leaves needs to be dropped.
    let faulted = unsafe { call_guarded(entry, &raw mut call as usize, own.resume.get()) } != 0;
    own.guarded.store(false, Relaxed);
    own.expecting.store(false, Relaxed);
    match call.result {
        Some(result) if !faulted => result,
        _ => {
            // SAFETY: as above.
            let Fault {
                kind,
                esr,
                far,
                elr,
            } = unsafe { *own.fault.get() };
            let elr = elr.wrapping_sub(_start as *const () as u64);
            let what = match (kind, esr >> 26 & 0x3f) {
                (SYNCHRONOUS, 0x25) => "data abort",
                (SYNCHRONOUS, 0) => "undefined instruction",
                (SYNCHRONOUS, _) => "exception",
                _ => "unexpected FIQ or SError",
            };
            Err(Stop::Fail(Text::new(format_args!(
                "{what} on CPU {}, ESR {esr:#x} FAR {far:#x} ELR image+{elr:#x}",
                cpu::current()
            ))))
        }
    }
}

/// Interrupts of this CPU go to `handler`, which ends them; the count of those taken starts again.
pub fn set_handler(handler: fn(Ack)) {
    own().handler.store(handler as usize, Relaxed);
    own().taken.store(0, Relaxed);
}

/// The count of interrupts taken on this CPU starts again.
pub fn forget() {
    own().taken.store(0, Relaxed);
}

/// Interrupts taken on this CPU since the handler was set.
pub fn taken() -> usize {
    own().taken.load(Relaxed)
}

fn call_handler(ack: Ack) {
    let handler = own().handler.load(Relaxed);
    if handler == 0 {
        gic::end(ack);
    } else {
        // SAFETY: set_handler stored a function of this type.
        let handler = unsafe { core::mem::transmute::<usize, fn(Ack)>(handler) };
        handler(ack);
    }
}

extern "C" fn exception(kind: u64, frame: &mut Frame) {
    let own = own();
    if kind == IRQ {
        if rvic::is_used() {
            rvic::take();
        } else {
            let ack = gic::acknowledge();
            if !ack.is_spurious() {
                call_handler(ack);
            }
        }
        let taken = own.taken.load(Relaxed) + 1;
        own.taken.store(taken, Relaxed);
        if taken >= STORM {
            frame.spsr |= 1 << 7;
        }
        return;
    }
    if kind == SYNCHRONOUS && own.expecting.load(Relaxed) {
        own.faulted.store(true, Relaxed);
        frame.elr += 4;
        return;
    }
    let fault = Fault {
        kind,
        esr: read_sysreg!("esr_el1"),
        far: read_sysreg!("far_el1"),
        elr: frame.elr,
    };
    if own.guarded.load(Relaxed) {
        // SAFETY: this CPU's own, read only once the guarded function has been left.
        unsafe { *own.fault.get() = fault };
        frame.x[0] = own.resume.get() as u64;
        frame.elr = resume_after_fault as *const () as u64;
        frame.spsr = EL1H_MASKED;
        return;
    }
    panic!(
        "fault outside of any case, ESR {:#x} FAR {:#x} ELR {:#x}",
        fault.esr, fault.far, fault.elr
    );
}

global_asm!(
    r#"
    .macro  vector kind
    .balign 0x80
    sub     sp, sp, #272
    stp     x0, x1, [sp]
    mov     x0, #\kind
    b       exception_common
    .endm

    .section .vectors, "ax"
    .balign 0x800
    .global vectors
vectors:
    .rept   4                       // this EL with SP_EL0: not used
    vector  3
    .endr
    vector  0
    vector  1
    vector  2
    vector  3
    .rept   8                       // lower ELs: there are none
    vector  3
    .endr

exception_common:
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x2, elr_el1
    mrs     x3, spsr_el1
    stp     x30, x2, [sp, #240]
    str     x3, [sp, #256]
    mov     x1, sp
    bl      {exception}
    ldp     x30, x2, [sp, #240]
    ldr     x3, [sp, #256]
    msr     elr_el1, x2
    msr     spsr_el1, x3
    ldp     x28, x29, [sp, #224]
    ldp     x26, x27, [sp, #208]
    ldp     x24, x25, [sp, #192]
    ldp     x22, x23, [sp, #176]
    ldp     x20, x21, [sp, #160]
    ldp     x18, x19, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp]
    add     sp, sp, #272
    eret

    // x0 function, x1 its argument, x2 where to remember the way back; 0 if it returned by itself.
    .global call_guarded
call_guarded:
    stp     x19, x20, [x2]
    stp     x21, x22, [x2, #16]
    stp     x23, x24, [x2, #32]
    stp     x25, x26, [x2, #48]
    stp     x27, x28, [x2, #64]
    stp     x29, x30, [x2, #80]
    mov     x9, sp
    str     x9, [x2, #96]
    str     x2, [sp, #-16]!
    mov     x9, x0
    mov     x0, x1
    blr     x9
    ldr     x2, [sp], #16
    ldr     x30, [x2, #88]
    mov     x0, #0
    ret

    .global resume_after_fault
resume_after_fault:
    ldp     x19, x20, [x0]
    ldp     x21, x22, [x0, #16]
    ldp     x23, x24, [x0, #32]
    ldp     x25, x26, [x0, #48]
    ldp     x27, x28, [x0, #64]
    ldp     x29, x30, [x0, #80]
    ldr     x9, [x0, #96]
    mov     sp, x9
    mov     x0, #1
    ret
"#,
    exception = sym exception,
);
