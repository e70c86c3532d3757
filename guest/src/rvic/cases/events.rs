// SPDX-License-Identifier: GPL-2.0-only
//! Xen's event channels: a trusted interrupt whose level is `evtchn_upcall_pending` of the vCPU (xen/include/public/event_channel.h
//! and xen.h, for the ABI). The guest sends events to itself.

use super::identification::event_interrupt;
use super::{done, expect, expect_none, line_is, pending_is, unmask};
use crate::outcome::{Outcome, check, skip};
use crate::rvic::call;
use crate::rvic::own;
use core::arch::asm;
use core::cell::UnsafeCell;
use core::ptr::{read_volatile, write_volatile};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

crate::cases::cases! {
    ANY: event_is_a_level, events_one_by_one, event_while_disabled;
}

const MEMORY_OP: u64 = 12;
const EVENT_CHANNEL_OP: u64 = 32;
const ADD_TO_PHYSMAP: u64 = 7;
const SHARED_INFO: u32 = 0;
const BIND_INTERDOMAIN: u64 = 0;
const SEND: u64 = 4;
const ALLOC_UNBOUND: u64 = 6;
const SELF: u32 = 0x7ff0;

/// Where Xen's guests have nothing but the grant table, if they ask for it.
const PAGE: usize = 0x3800_0000;
/// evtchn_upcall_pending of vCPU 0, its evtchn_pending_sel, and evtchn_pending, which are behind the vCPU's time.
const UPCALL_PENDING: usize = PAGE;
const PENDING_SEL: usize = PAGE + 8;
const PENDING: usize = PAGE + 48;

#[repr(C, align(64))]
struct Argument([u32; 16]);
struct Room(UnsafeCell<Argument>);
// SAFETY: only CPU 0 uses it.
unsafe impl Sync for Room {}
static ARGUMENT: Room = Room(UnsafeCell::new(Argument([0; 16])));

/// What is in memory and what is in the caches, through which Xen looks, is the same.
fn synchronise(address: usize) {
    // SAFETY: what is in the line stays.
    unsafe { asm!("dsb sy", "dc civac, {}", "dsb sy", in(reg) address, options(nostack)) };
}

/// A hypercall with a structure of 32-bit words; what it answers, and what is then in the structure.
fn hypercall(op: u64, command: u64, words: &[u32]) -> (i64, [u32; 16]) {
    let argument = ARGUMENT.0.get().cast::<u32>();
    let mut after = [0; 16];
    for (n, word) in words.iter().take(after.len()).enumerate() {
        // SAFETY: within the argument, which is this CPU's.
        unsafe { write_volatile(argument.add(n), *word) };
    }
    synchronise(argument as usize);
    let result: i64;
    // SAFETY: Xen changes x0, those that arguments may be in, and what the argument's address names.
    unsafe {
        asm!("hvc #0xea1", inlateout("x0") command => result, inlateout("x1") argument => _, out("x2") _,
            out("x3") _, out("x4") _, out("x5") _, inlateout("x16") op => _, options(nostack));
    }
    synchronise(argument as usize);
    for (n, word) in after.iter_mut().enumerate() {
        // SAFETY: as above.
        *word = unsafe { read_volatile(argument.add(n)) };
    }
    (result, after)
}

fn load(address: usize) -> u64 {
    synchronise(address);
    // SAFETY: within Xen's page, where the first case has put it.
    unsafe { read_volatile(address as *const u64) }
}

fn store(address: usize, value: u64) {
    synchronise(address);
    // SAFETY: as above.
    unsafe { write_volatile(address as *mut u64, value) };
    synchronise(address);
}

/// The port to send to, once there is one.
static PORT: AtomicU32 = AtomicU32::new(0);

/// Maps the page and makes a port that leads back, once; the interrupt.
fn ready() -> Outcome<u64> {
    let Some(intid) = event_interrupt() else {
        skip!("the tree has no hypervisor")
    };
    if PORT.load(Relaxed) == 0 {
        let frame = (PAGE >> 12) as u32;
        let (result, _) = hypercall(
            MEMORY_OP,
            ADD_TO_PHYSMAP,
            &[SELF, SHARED_INFO, 0, 0, frame, 0],
        );
        check!(result == 0, "XENMEM_add_to_physmap says {result}");
        let (result, unbound) = hypercall(EVENT_CHANNEL_OP, ALLOC_UNBOUND, &[SELF << 16 | SELF, 0]);
        check!(result == 0, "EVTCHNOP_alloc_unbound says {result}");
        let (result, bound) = hypercall(EVENT_CHANNEL_OP, BIND_INTERDOMAIN, &[SELF, unbound[1], 0]);
        check!(result == 0, "EVTCHNOP_bind_interdomain says {result}");
        PORT.store(bound[2], Relaxed);
    }
    quiet();
    done("RESAMPLE", call::resample(intid))?;
    done("CLEAR_PENDING", call::clear_pending(own(), intid))?;
    Ok(intid)
}

/// All that has come is taken note of, and the level falls.
fn quiet() {
    store(UPCALL_PENDING, 0);
    store(PENDING_SEL, 0);
    store(PENDING, 0);
}

fn send() -> Outcome {
    let (result, _) = hypercall(EVENT_CHANNEL_OP, SEND, &[PORT.load(Relaxed)]);
    check!(result == 0, "EVTCHNOP_send says {result}");
    check!(
        load(UPCALL_PENDING) & 0xff != 0 && load(PENDING) != 0,
        "no event is pending after EVTCHNOP_send"
    );
    Ok(())
}

fn end(intid: u64) -> Outcome {
    done("RESAMPLE", call::resample(intid))?;
    unmask(intid)
}

fn event_is_a_level() -> Outcome {
    let intid = ready()?;
    unmask(intid)?;
    send()?;
    for _ in 0..5 {
        expect(intid)?;
        expect_none("before its end")?;
        end(intid)?;
        line_is(true, "although an event is pending")?;
    }
    expect(intid)?;
    quiet();
    end(intid)?;
    expect_none("although no event is pending")
}

fn events_one_by_one() -> Outcome {
    let intid = ready()?;
    unmask(intid)?;
    for _ in 0..100 {
        send()?;
        expect(intid)?;
        quiet();
        end(intid)?;
        expect_none("although no event is pending")?;
    }
    Ok(())
}

fn event_while_disabled() -> Outcome {
    let intid = ready()?;
    unmask(intid)?;
    done("DISABLE", call::disable())?;
    send()?;
    pending_is(own(), intid, false, "although it is disabled")?;
    done("ENABLE", call::enable())?;
    done("RESAMPLE", call::resample(intid))?;
    line_is(true, "although an event is pending")?;
    expect(intid)?;
    quiet();
    end(intid)?;
    expect_none("although no event is pending")
}
