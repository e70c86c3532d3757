// SPDX-License-Identifier: GPL-2.0-only
//! Priorities: order, mask, preemption, the running priority.

use super::{cases, expect, expect_and_end, expect_none, ready_spi};
use crate::gic::{self, Ack, IntId};
use crate::outcome::{Outcome, check, check_eq};
use crate::{cpu, exception, timer};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};

cases! {
    ANY: pending_in_priority_order, priority_mask, priority_mask_opens, running_priority, no_preemption_by_equal,
        highest_pending_register, preemption_by_acknowledge, preemption_by_exception, preemption_by_sgi,
        preemption_by_timer, no_preemption_by_lower;
}

fn pending_in_priority_order() -> Outcome {
    gic::set_priority_mask(0);
    let order = [
        (3, 0x20),
        (0, 0x40),
        (6, 0x60),
        (1, 0x88),
        (5, 0xb0),
        (2, 0xe0),
    ];
    for (n, priority) in order {
        ready_spi(n, priority);
    }
    let sgi = IntId(5);
    gic::set_priority(sgi, 0x50);
    gic::enable(sgi);
    for n in [0, 1, 2, 3, 5, 6] {
        gic::set_pending(gic::spi(n));
    }
    gic::send_sgi(sgi, 0);
    expect_none("although everything is masked")?;
    gic::set_priority_mask(0xff);
    for id in [
        gic::spi(3),
        gic::spi(0),
        sgi,
        gic::spi(6),
        gic::spi(1),
        gic::spi(5),
        gic::spi(2),
    ] {
        expect_and_end(id)?;
    }
    expect_none("after all")
}

fn priority_mask() -> Outcome {
    let id = ready_spi(0, 0x80);
    gic::set_priority_mask(0x80);
    gic::set_pending(id);
    expect_none("although its priority is not higher than the mask")?;
    exception::set_handler(gic::end);
    cpu::unmask_irqs();
    timer::within(5, || false);
    cpu::mask_irqs();
    check_eq!("interrupts taken", exception::taken(), 0);
    gic::set_priority_mask(0x88);
    expect_and_end(id)
}

fn priority_mask_opens() -> Outcome {
    let id = ready_spi(0, 0x80);
    gic::set_priority_mask(0x10);
    gic::set_pending(id);
    cpu::unmask_irqs();
    timer::within(5, || false);
    check_eq!("interrupts taken while masked", exception::taken(), 0);
    gic::set_priority_mask(0xf0);
    let came = timer::within(1000, || exception::taken() == 1);
    cpu::mask_irqs();
    check!(came, "not taken after the mask was opened");
    Ok(())
}

fn running_priority() -> Outcome {
    let (low, high) = (ready_spi(1, 0xc0), ready_spi(2, 0x40));
    check!(gic::is_idle(), "not idle at first");
    gic::set_pending(low);
    let first = expect(low)?;
    check_eq!("the running priority", gic::running_priority(), 0xc0);
    gic::set_pending(high);
    let second = expect(high)?;
    check_eq!(
        "the running priority when preempted",
        gic::running_priority(),
        0x40
    );
    gic::end(second);
    check_eq!(
        "the running priority afterwards",
        gic::running_priority(),
        0xc0
    );
    gic::end(first);
    check!(gic::is_idle(), "not idle at the end");
    Ok(())
}

fn no_preemption_by_equal() -> Outcome {
    let (one, two) = (ready_spi(1, 0x80), ready_spi(2, 0x80));
    gic::set_pending(one);
    let ack = expect(one)?;
    gic::set_pending(two);
    expect_none("although its priority is the running one")?;
    gic::end(ack);
    expect_and_end(two)
}

fn highest_pending_register() -> Outcome {
    check_eq!("HPPIR with nothing pending", gic::highest_pending().0, 1023);
    let (low, high) = (ready_spi(1, 0xa0), ready_spi(2, 0x60));
    gic::set_pending(low);
    gic::set_pending(high);
    let shown = timer::within(1000, || gic::highest_pending() == high);
    check!(
        shown,
        "HPPIR is {}, expected {}",
        gic::highest_pending().0,
        high.0
    );
    expect_and_end(high)?;
    expect_and_end(low)
}

fn preemption_by_acknowledge() -> Outcome {
    // As many as the smallest implementation has list registers: more are in the module backlog.
    let priorities = [0xd0, 0x90, 0x50, 0x10];
    let mut acks = [Ack(1023); 4];
    for (n, priority) in priorities.into_iter().enumerate() {
        let id = ready_spi(n as u32, priority);
        gic::set_pending(id);
        acks[n] = expect(id)?;
        check_eq!("the running priority", gic::running_priority(), priority);
    }
    for (ack, priority) in acks.into_iter().zip(priorities).rev() {
        check_eq!("the running priority", gic::running_priority(), priority);
        gic::end(ack);
    }
    check!(gic::is_idle(), "not idle at the end");
    expect_none("after all")
}

/// What the handlers below have seen, one entry each, in order.
static SEEN: [AtomicU32; 8] = [const { AtomicU32::new(0) }; 8];
static LENGTH: AtomicUsize = AtomicUsize::new(0);
/// What the handler of the low one does while it runs.
static MEANWHILE: AtomicUsize = AtomicUsize::new(0);

const END: u32 = 1 << 16;

fn note(what: u32) {
    let length = LENGTH.load(SeqCst);
    if let Some(place) = SEEN.get(length) {
        place.store(what, SeqCst);
        LENGTH.store(length + 1, SeqCst);
    }
}

const LOW: u32 = 0;
const HIGH: u32 = 1;
const SGI: IntId = IntId(3);

/// How long the handler of the low one gives way to others.
static PATIENCE: AtomicU64 = AtomicU64::new(0);

/// Notes each start and end; the low one's waits for another to run.
fn handler(ack: Ack) {
    note(ack.intid().0);
    for timer in timer::Timer::ALL {
        if ack.intid() == timer.intid() {
            timer.stop();
        }
    }
    if ack.intid() == gic::spi(LOW) {
        match MEANWHILE.load(SeqCst) {
            0 => gic::set_pending(gic::spi(HIGH)),
            1 => gic::send_sgi(SGI, 0),
            _ => timer::Timer::Virtual.arm(2),
        }
        cpu::unmask_irqs();
        timer::within(PATIENCE.load(SeqCst), || LENGTH.load(SeqCst) >= 3);
        cpu::mask_irqs();
    }
    note(ack.intid().0 | END);
    gic::end(ack);
}

/// Takes the low one, has the other come meanwhile, and checks in which order the handlers ran.
fn nested(other: IntId, priority: u8, meanwhile: usize, preempts: bool) -> Outcome {
    LENGTH.store(0, SeqCst);
    MEANWHILE.store(meanwhile, SeqCst);
    PATIENCE.store(if preempts { 1000 } else { 20 }, SeqCst);
    exception::set_handler(handler);
    let low = ready_spi(LOW, 0x80);
    gic::set_priority(other, priority);
    gic::enable(other);
    gic::set_pending(low);
    cpu::unmask_irqs();
    let both = timer::within(1000, || LENGTH.load(SeqCst) >= 4);
    timer::within(5, || false);
    cpu::mask_irqs();
    check!(
        both,
        "the handlers did not both run: {} events",
        LENGTH.load(SeqCst)
    );
    let (low, other) = (low.0, other.0);
    let order = if preempts {
        [low, other, other | END, low | END]
    } else {
        [low, low | END, other, other | END]
    };
    for (place, wanted) in SEEN.iter().zip(order) {
        check_eq!("the order of the handlers", place.load(SeqCst), wanted);
    }
    check_eq!("starts and ends", LENGTH.load(SeqCst), 4);
    check!(gic::is_idle(), "not idle at the end");
    Ok(())
}

fn preemption_by_exception() -> Outcome {
    nested(gic::spi(HIGH), 0x40, 0, true)
}

fn preemption_by_sgi() -> Outcome {
    nested(SGI, 0x40, 1, true)
}

fn preemption_by_timer() -> Outcome {
    nested(timer::Timer::Virtual.intid(), 0x40, 2, true)
}

fn no_preemption_by_lower() -> Outcome {
    nested(gic::spi(HIGH), 0xc0, 0, false)
}
