// SPDX-License-Identifier: GPL-2.0-only
//! `copies=N` on the command line, in place of the cases: a program in another domain (life/state.c) stops this one now and then, saves
//! its interrupt controller, resets it, and restores it, while here interrupts of all kinds are sent and counted. None may be lost or
//! come twice. Those that are edges are sent again only once they were counted, so that no two may merge; a timer is armed again when it
//! was taken. What is the GIC's, and what is the rVIC's, is in a file of its own.
//!
//! `resets=N`: after the cases, the system resets itself, and that program begins it anew.
//!
//! Both speak through a page of this guest's memory, `life/state.h`.

mod by_gic;
mod by_rvic;

use crate::console::println;
use crate::cpu::{self, CPUS, MOST};
use crate::fdt::Machine;
use crate::its::{load, store};
use crate::outcome::{Outcome, Stop, check};
use crate::second::CPU1;
use crate::timer::{self, Timer};
use crate::{exception, rvic, second};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

/// Where the page is, and what is in it: 64-bit words, of which each has one writer. As in life/state.h.
const PAGE: usize = 0x4100_0000;
const MAGIC: usize = PAGE;
const BASE: usize = PAGE + 0x08;
const TREE: usize = PAGE + 0x10;
const LINE: usize = PAGE + 0x18;
const DOORBELL: usize = PAGE + 0x20;
const DEVICE: usize = PAGE + 0x28;
const DATA: usize = PAGE + 0x30;
const VERDICT: usize = PAGE + 0x38;
const LINES_TAKEN: usize = PAGE + 0x40;
const MESSAGES_TAKEN: usize = PAGE + 0x48;
const PROGRESS: [usize; CPUS] = [PAGE + 0x50, PAGE + 0x58];
const FIRST_OF_SPIS: usize = PAGE + 0x60;
const NUMBER_OF_SPIS: usize = PAGE + 0x68;
const MESSAGE: usize = PAGE + 0x70;
const KEEPS: usize = PAGE + 0x78;
const PHASE: usize = PAGE + 0x80;
const LINES_SENT: usize = PAGE + 0x88;
const LINES_LOWERED: usize = PAGE + 0x90;
const MESSAGES_SENT: usize = PAGE + 0x98;
const VCPUS: usize = PAGE + 0xa0;
const END: usize = PAGE + 0x100;
const MAGIC_VALUE: u64 = 0x5647_4943_5354_4154;
const BEGUN: u64 = 1;
const STOP: u64 = 2;
const PASSED: u64 = 1;
const FAILED: u64 = 2;
/// Of [`KEEPS`], what comes to a controller that is reset, and not yet restored: a line that rises; a message.
const KEEPS_LINES: u64 = 1;
const KEEPS_MESSAGES: u64 = 2;

/// Seconds after which there is no more waiting for the program to come to its end.
const PATIENCE: u64 = 7200;
/// Microseconds from one time of sending to the next: the machine has more to do than this.
const PAUSE: u64 = 2000;
/// Milliseconds from one tick to the next, before it begins.
const TICK: u64 = 50;
/// Milliseconds in which everything that is still on its way must have come.
const LIMIT: u64 = 20_000;

/// SGIs, or SIGNALs, that each CPU sends to the other, and, with the last, to itself.
const SGIS: usize = 4;
/// During that one more urgent interrupts are taken.
const SLOW: u32 = 3;
/// SPIs set pending by a write, or by SIGNAL, in turns for CPU 0, CPU 1 and whichever may.
const SPIS: usize = 6;
/// Messages: LPIs or SPIs of a GICv2m frame; with an rVID there is the console in their place. One more is the other domain's.
const MESSAGES: usize = 8;
/// The SPI with a line that the other domain raises.
const LEVEL: u32 = 16;
/// What the other domain says it is, and its event.
const SOURCE: u32 = 0x42;

/// All that is sent once it was counted: SGIs by the CPU to which they go.
const EDGES: usize = 2 * SGIS + SPIS + MESSAGES;
const FIRST_SPI: usize = 2 * SGIS;
const FIRST_MESSAGE: usize = FIRST_SPI + SPIS;

type Counter = AtomicU32;
static SENT: [Counter; EDGES] = [const { AtomicU32::new(0) }; EDGES];
static TAKEN: [[Counter; EDGES]; CPUS] = [const { [const { AtomicU32::new(0) }; EDGES] }; CPUS];
/// Of each CPU's two timers: how often each was armed, was taken, and was taken before its time.
static ARMED: [[Counter; 2]; CPUS] = [const { [const { AtomicU32::new(0) }; 2] }; CPUS];
static EXPIRED: [[Counter; 2]; CPUS] = [const { [const { AtomicU32::new(0) }; 2] }; CPUS];
static TOO_EARLY: [[Counter; 2]; CPUS] = [const { [const { AtomicU32::new(0) }; 2] }; CPUS];
static STRAY: [Counter; CPUS] = [const { AtomicU32::new(0) }; CPUS];
/// The interrupts that this guest calls SPIs begin here; of the messages, the first one's interrupt, and how many there are. The one
/// that has a line.
static SPI: Counter = AtomicU32::new(0);
static FIRST_INTID: Counter = AtomicU32::new(0);
static NUMBER: Counter = AtomicU32::new(0);
static LEVEL_INTID: Counter = AtomicU32::new(0);
/// No more is sent; nothing more is to come.
static STOPPING: AtomicBool = AtomicBool::new(false);
static FINISHED: AtomicBool = AtomicBool::new(false);

fn add(counter: Option<&Counter>) {
    if let Some(counter) = counter {
        counter.store(counter.load(SeqCst) + 1, SeqCst);
    }
}

fn sent(edge: usize) -> u32 {
    SENT.get(edge).map_or(0, |n| n.load(SeqCst))
}

fn taken(edge: usize) -> u32 {
    let each = TAKEN.iter().filter_map(|of_cpu| of_cpu.get(edge));
    each.map(|n| n.load(SeqCst)).sum()
}

/// An SPI of those that are set pending.
fn spi_of(n: usize) -> u32 {
    SPI.load(SeqCst) + n as u32
}

fn message_of(n: usize) -> u32 {
    FIRST_INTID.load(SeqCst) + n as u32
}

/// The other domain's.
fn other_message() -> u32 {
    message_of(NUMBER.load(SeqCst) as usize)
}

fn all_messages() -> Range<usize> {
    FIRST_MESSAGE..FIRST_MESSAGE + NUMBER.load(SeqCst) as usize
}

/// Which of the edges this is on this CPU.
fn edge_of(id: u32, own: usize) -> Option<usize> {
    if (id as usize) < SGIS {
        return Some(own * SGIS + id as usize);
    }
    let spi = id.wrapping_sub(spi_of(0)) as usize;
    if spi < SPIS {
        return Some(FIRST_SPI + spi);
    }
    let message = id.wrapping_sub(FIRST_INTID.load(SeqCst)) as usize;
    (message < NUMBER.load(SeqCst) as usize).then_some(FIRST_MESSAGE + message)
}

/// A timer's next turn: neither of both CPUs has the same each time.
fn arm(own: usize, n: usize, timer: Timer) {
    let counter = ARMED.get(own).and_then(|of_cpu| of_cpu.get(n));
    let turn = counter.map_or(0, |counter| u64::from(counter.load(SeqCst)));
    add(counter);
    timer.arm(2 + (turn * 5 + n as u64 + 2 * own as u64) % 13);
}

fn expire(own: usize, n: usize, timer: Timer) {
    let early = timer.compare() > timer.count() + timer::microseconds(300);
    let counters = if early { &TOO_EARLY } else { &EXPIRED };
    add(counters.get(own).and_then(|of_cpu| of_cpu.get(n)));
    if early {
        return;
    }
    if STOPPING.load(SeqCst) {
        timer.stop();
    } else {
        arm(own, n, timer);
    }
}

/// What a handler does with an interrupt, but for its end; whether it may come again then.
fn count(id: u32) -> bool {
    let own = cpu::current();
    let timer = Timer::ALL.into_iter().position(|t| t.intid().0 == id);
    let is_line = id == LEVEL_INTID.load(SeqCst);
    if let Some(n) = timer {
        let timer = if n == 0 { Timer::ALL[0] } else { Timer::ALL[1] };
        expire(own, n, timer);
    } else if let Some(edge) = edge_of(id, own) {
        add(TAKEN.get(own).and_then(|of_cpu| of_cpu.get(edge)));
    } else if is_line {
        store(LINES_TAKEN, load(LINES_TAKEN) + 1);
    } else if id == other_message() {
        store(MESSAGES_TAKEN, load(MESSAGES_TAKEN) + 1);
    } else if let Some(stray) = STRAY.get(own) {
        stray.store(id, SeqCst);
    }
    if let Some(at) = PROGRESS.get(own) {
        store(*at, load(*at) + 1);
    }
    // There is no limit to how many there are.
    exception::forget();
    if id == SLOW {
        cpu::unmask_irqs();
        let end = timer::now() + timer::microseconds(200);
        while timer::now() < end {}
        cpu::mask_irqs();
    }
    // The line is high until somebody has lowered it.
    !is_line
}

/// Sends what was counted; `send` is told which.
fn send_again(edges: Range<usize>, mut send: impl FnMut(usize)) {
    for edge in edges {
        if sent(edge) == taken(edge) {
            add(SENT.get(edge));
            send(edge);
        }
    }
}

/// SGIs: the last one to itself, the others to the other CPU.
fn send_sgis(own: usize) {
    let send = |id: usize, cpu: usize| {
        if rvic::is_used() {
            by_rvic::signal(cpu, id as u32);
        } else {
            by_gic::send_sgi(cpu, id as u32);
        }
    };
    let other = 1 - own;
    let first = other * SGIS;
    send_again(first..first + SGIS - 1, |edge| send(edge - first, other));
    let last = own * SGIS + SGIS - 1;
    send_again(last..last + 1, |_| send(SGIS - 1, own));
}

/// Begins on this CPU: every interrupt, and its timers. What is slow gives way to everything else.
fn take(own: usize) {
    if rvic::is_used() {
        by_rvic::take(own);
    } else {
        by_gic::take(own);
    }
    for (n, timer) in Timer::ALL.into_iter().enumerate() {
        arm(own, n, timer);
    }
    cpu::unmask_irqs();
}

/// Sleeps, or now and then waits, until it is time to send again; there is always a timer that ends a sleep.
fn doze(round: u64) {
    let end = timer::now() + timer::microseconds(PAUSE);
    if rvic::is_used() {
        by_rvic::mask_one(round, true);
    }
    while timer::now() < end {
        if !round.is_multiple_of(4) && !STOPPING.load(SeqCst) {
            cpu::wait_for_interrupt();
        } else {
            cpu::wait_for_event();
        }
    }
    if rvic::is_used() {
        by_rvic::mask_one(round, false);
    }
}

fn job_count(_: usize) -> Outcome<usize> {
    take(1);
    let mut round = 0;
    while !FINISHED.load(SeqCst) {
        if !STOPPING.load(SeqCst) {
            send_sgis(1);
        }
        doze(round);
        round += 1;
    }
    cpu::mask_irqs();
    if !rvic::is_used() {
        by_gic::leave();
    }
    Ok(0)
}

/// Makes all that is not a CPU's own, and says where the other domain's comes to.
fn make() -> Outcome {
    if rvic::is_used() {
        by_rvic::make()?;
    } else {
        by_gic::make()?;
    }
    store(FIRST_OF_SPIS, spi_of(0).into());
    store(NUMBER_OF_SPIS, SPIS as u64);
    store(MESSAGE, other_message().into());
    Ok(())
}

/// What CPU 0 sends: SPIs, and messages, which move between the CPUs now and then.
fn send(round: u64) -> Outcome {
    send_sgis(0);
    if rvic::is_used() {
        by_rvic::send(round)
    } else {
        by_gic::send(round)
    }
}

/// Once the line is low again, it may be raised again.
fn look_at_line() {
    if load(LINES_LOWERED) == load(LINES_TAKEN) {
        if rvic::is_used() {
            by_rvic::allow_line();
        } else {
            by_gic::allow_line();
        }
    }
}

fn all_have_come() -> bool {
    let timers = (0..CPUS).all(|cpu| {
        (0..2).all(|n| {
            let of = |counters: &[[Counter; 2]; CPUS]| {
                let counter = counters.get(cpu).and_then(|of_cpu| of_cpu.get(n));
                counter.map_or(0, |counter| counter.load(SeqCst))
            };
            of(&ARMED) == of(&EXPIRED)
        })
    });
    timers && (0..EDGES).all(|edge| sent(edge) == taken(edge))
}

/// What this is.
fn name_of(edge: usize) -> (&'static str, usize) {
    match edge {
        0..FIRST_SPI => ("SGI", edge % SGIS),
        FIRST_SPI..FIRST_MESSAGE => ("SPI", edge - FIRST_SPI),
        _ => ("message", edge - FIRST_MESSAGE),
    }
}

fn judge() -> Outcome {
    for cpu in 0..CPUS {
        let stray = STRAY.get(cpu).map_or(0, |stray| stray.load(SeqCst));
        check!(stray == 0, "interrupt {stray} came, which nobody has sent");
        for (n, timer) in Timer::ALL.into_iter().enumerate() {
            let of = |counters: &[[Counter; 2]; CPUS]| {
                let counter = counters.get(cpu).and_then(|of_cpu| of_cpu.get(n));
                counter.map_or(0, |counter| counter.load(SeqCst))
            };
            let (armed, expired, early) = (of(&ARMED), of(&EXPIRED), of(&TOO_EARLY));
            let name = timer.name();
            check!(
                armed == expired && early == 0,
                "CPU {cpu}'s {name} was armed {armed} times and taken {expired} times, and {early} times too early"
            );
        }
    }
    for edge in 0..EDGES {
        let (sent, taken) = (sent(edge), taken(edge));
        let (name, n) = name_of(edge);
        check!(
            sent == taken,
            "{name} {n} was sent {sent} times and taken {taken} times"
        );
    }
    for (what, sent, taken) in [
        ("line", LINES_SENT, LINES_TAKEN),
        ("message", MESSAGES_SENT, MESSAGES_TAKEN),
    ] {
        let (sent, taken) = (load(sent), load(taken));
        check!(
            sent == taken,
            "the other domain's {what} was sent {sent} times and taken {taken} times"
        );
    }
    Ok(())
}

fn say_counts() {
    let sum = |edges: Range<usize>| edges.map(taken).sum::<u32>();
    let each = EXPIRED.iter().flatten();
    println!(
        "guest: counted {} of timers, {} SGIs, {} SPIs, {} messages; {} lines and {} messages of the other domain",
        each.map(|n| n.load(SeqCst)).sum::<u32>(),
        sum(0..FIRST_SPI),
        sum(FIRST_SPI..FIRST_MESSAGE),
        sum(FIRST_MESSAGE..EDGES),
        load(LINES_TAKEN),
        load(MESSAGES_TAKEN)
    );
}

/// Until somebody says that it begins, the machine is the others'.
fn wait_to_begin() -> bool {
    if rvic::is_used() {
        by_rvic::tick();
    } else {
        by_gic::tick();
    }
    Timer::Virtual.arm(TICK);
    cpu::unmask_irqs();
    let begun = timer::within(PATIENCE * 1000, || {
        cpu::wait_for_interrupt();
        load(PHASE) >= BEGUN
    });
    cpu::mask_irqs();
    Timer::Virtual.stop();
    begun
}

fn serve(seconds: Option<u64>) -> Outcome {
    make()?;
    store(MAGIC, MAGIC_VALUE);
    println!("guest: ready to count what it sends");
    let begun = seconds.is_some() || wait_to_begin();
    check!(begun, "nobody has come in {PATIENCE} seconds");
    second::start(job_count, 0)?;
    take(0);
    let (mut round, mut outcome) = (0, Ok(()));
    let patience = seconds.unwrap_or(PATIENCE) * 1000;
    let told = timer::within(patience, || {
        outcome = send(round);
        look_at_line();
        doze(round);
        round += 1;
        load(PHASE) == STOP || outcome.is_err()
    });
    STOPPING.store(true, SeqCst);
    timer::within(LIMIT, || {
        cpu::wait_for_event();
        all_have_come()
    });
    // What comes twice may come later.
    timer::within(100, || false);
    FINISHED.store(true, SeqCst);
    let finished = second::finish();
    cpu::mask_irqs();
    say_counts();
    finished?;
    outcome?;
    let told = told || seconds.is_some();
    check!(
        told,
        "nobody has said in {PATIENCE} seconds that it is over"
    );
    judge()
}

/// Says where this guest is in its memory, and how many CPUs it has: the other domain is to find it, and can begin it anew.
pub fn announce(base: usize, tree: usize) {
    for at in (PAGE..END).step_by(8) {
        store(at, 0);
    }
    store(BASE, base as u64);
    store(TREE, tree as u64);
    let vcpus = if rvic::is_used() { MOST } else { CPUS };
    store(VCPUS, vcpus as u64);
}

/// The other domain need not wait for more.
pub fn is_ready() {
    store(MAGIC, MAGIC_VALUE);
}

/// Counts until it is told to stop, and says in a line whether it was all; how many passed and how many failed.
pub fn report(machine: &Machine) -> (u32, u32) {
    let up = if rvic::is_used() {
        CPU1.bring_up(machine.cpus[1])
    } else {
        second::bring_up(machine.cpus[1])
    };
    let outcome = up.and_then(|()| exception::guarded(|| serve(machine.seconds())));
    cpu::mask_irqs();
    let verdict = if outcome.is_ok() { PASSED } else { FAILED };
    store(VERDICT, verdict);
    match outcome {
        Ok(()) => {
            println!("PASS counts");
            (1, 0)
        }
        Err(Stop::Fail(why) | Stop::Skip(why)) => {
            println!("FAIL counts: {why}");
            (0, 1)
        }
    }
}
