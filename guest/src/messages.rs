// SPDX-License-Identifier: GPL-2.0-only
//! `messages=N` on the command line, in place of the cases: a device model in another domain (life/messages.c) sends N messages and
//! more, while here the events move between the CPUs. Each is sent again only once it was counted, so that each must be counted once;
//! the last event is sent as fast as it goes, so that messages merge, and its last one must have been seen.
//!
//! Both speak through a page of this guest's memory, `life/messages.h`.

use crate::console::println;
use crate::cpu::{self, CPUS};
use crate::fdt::Machine;
use crate::gic::{self, Ack, IntId, Trigger, Version, v2m};
use crate::its::command::{mapc, movall, movi};
use crate::its::{self, gits, load, lpi, store};
use crate::outcome::{Outcome, check, fail};
use crate::rvic::call::{self, Status, check_status};
use crate::timer::{self, Timer};
use crate::{cases, exception, rvic, second};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};

/// Where the page is, and what is in it: 64-bit words, of which each has one writer. As in life/messages.h.
const PAGE: usize = 0x4100_0000;
const MAGIC: usize = 0x00;
const DOORBELL: usize = 0x08;
const DEVICE: usize = 0x10;
const FIRST: usize = 0x18;
const EVENTS: usize = 0x20;
const MOVES: usize = 0x28;
const VERDICT: usize = 0x30;
const SEEN: usize = 0x40;
const PHASE: usize = 0x80;
const SEQUENCE: usize = 0x88;
const SENT: usize = 0x200;
const COUNTS: usize = 0x800;
const MAGIC_VALUE: u64 = 0x5647_4943_4d53_4753;
const BEGUN: u64 = 1;
const STOP: u64 = 2;
const PASSED: u64 = 1;
const FAILED: u64 = 2;

/// The most events there are.
const MOST: usize = 64;
/// What the device model says it is.
const SOURCE: u32 = 0x42;
/// Seconds after which there is no more waiting for it to begin, as its domain may have other things to do first, and to end.
const PATIENCE: u64 = 7200;
const LIMIT: u64 = 1200;
/// Milliseconds that a CPU sleeps at the most.
const DOZE: u64 = 10;

static STOPPED: AtomicBool = AtomicBool::new(false);
/// How many there are, and the interrupt of the first.
static NUMBER: AtomicUsize = AtomicUsize::new(0);
static FIRST_INTID: AtomicU32 = AtomicU32::new(0);
static STRAY: [AtomicU32; CPUS] = [const { AtomicU32::new(0) }; CPUS];

fn word(offset: usize, n: usize) -> usize {
    PAGE + offset + n * 8
}

/// Each CPU has its own counts.
fn count_of(cpu: usize, event: usize) -> usize {
    word(COUNTS, cpu * MOST + event)
}

/// What a handler does, but for the end of the interrupt.
fn count(intid: u32) {
    let own = cpu::current();
    // There is no limit to how many there are.
    exception::forget();
    if intid == Timer::Virtual.intid().0 {
        Timer::Virtual.arm(DOZE);
        if rvic::is_used() {
            call::resample(intid.into());
        }
        return;
    }
    let event = intid.wrapping_sub(FIRST_INTID.load(SeqCst)) as usize;
    let number = NUMBER.load(SeqCst);
    if event < number {
        if event == number - 1 {
            // Whatever is sent from here on makes it pending again.
            store(word(SEEN, own), load(PAGE + SEQUENCE));
        }
        let at = count_of(own, event);
        store(at, load(at) + 1);
    } else if let Some(stray) = STRAY.get(own) {
        stray.store(intid, SeqCst);
    }
}

fn by_gic(ack: Ack) {
    count(ack.intid().0);
    gic::end(ack);
}

fn by_rvic(intid: u64) {
    count(intid as u32);
    rvic::end(intid);
}

/// Takes what comes from now on, and has a timer end every sleep: whoever waits takes nothing of the others' time.
fn take() {
    if rvic::is_used() {
        rvic::set_handler(by_rvic);
        rvic::end(Timer::Virtual.intid().0.into());
    } else {
        exception::set_handler(by_gic);
        gic::enable(Timer::Virtual.intid());
    }
    Timer::Virtual.arm(DOZE);
    cpu::unmask_irqs();
}

fn take_no_more() {
    cpu::mask_irqs();
    Timer::Virtual.stop();
}

fn job_count(_: usize) -> Outcome<usize> {
    take();
    while !STOPPED.load(SeqCst) {
        cpu::wait_for_interrupt();
    }
    take_no_more();
    Ok(0)
}

/// Makes the events, and says where their messages go: the doorbell, the first one's data, how many there are.
fn make() -> Outcome<(usize, u32, usize)> {
    if rvic::is_used() {
        return make_inputs();
    }
    if gic::version() == Version::V3 {
        its::begin()?;
        its::map_events(SOURCE, MOST as u32, 0, 0)?;
        FIRST_INTID.store(lpi(0).0, SeqCst);
        return Ok((its::register(gits::TRANSLATER), 0, MOST));
    }
    let base = v2m::base()?;
    let typer = crate::mmio::read32(base + v2m::TYPER);
    let (first, number) = (typer >> 16 & 0x3ff, typer & 0x3ff);
    let number = number.min(MOST as u32);
    for id in (first..first + number).map(IntId) {
        gic::set_priority(id, gic::DEFAULT_PRIORITY);
        gic::set_trigger(id, Trigger::Edge);
        gic::route(id, 0);
        gic::enable(id);
    }
    FIRST_INTID.store(first, SeqCst);
    Ok((base + v2m::SETSPI_NS, first, number as usize))
}

/// The same of an rVID: every other input is for CPU 1.
fn make_inputs() -> Outcome<(usize, u32, usize)> {
    let Some((first, count)) = rvic::message_inputs() else {
        fail!("the rVID takes no messages")
    };
    let number = count.min(MOST as u64).min(rvic::untrusted());
    for n in 0..number {
        let (target, intid) = (rvic::mpidr(n as usize % 2), rvic::trusted() + n);
        check_status!("MAP", call::map(first + n, target, intid), Status::SUCCESS);
        call::clear_masked(target, intid);
    }
    FIRST_INTID.store(rvic::trusted() as u32, SeqCst);
    Ok((rvic::MESSAGE_ADDRESS, first as u32, number as usize))
}

/// Moves all of them in one way or another; how many moves that were.
fn move_all(round: u64) -> Outcome<u64> {
    // Of an rVID's, one that meets a MAP may come twice: none is moved where each is to come once.
    if rvic::is_used() {
        return Ok(0);
    }
    let number = NUMBER.load(SeqCst) as u32;
    let to = (round % 2) as usize;
    if gic::version() == Version::V2 {
        let first = FIRST_INTID.load(SeqCst);
        for event in 0..number {
            gic::route(IntId(first + event), (event as usize + to) % 2);
        }
        return Ok(number.into());
    }
    let (a, b) = (its::target(0), its::target(1));
    match round % 4 {
        0 | 1 => {
            for event in 0..number {
                its::put(&movi(SOURCE, event, ((event as usize + to) % 2) as u16));
            }
            its::sync()?;
            Ok(number.into())
        }
        2 => its::run(&[movall(a, b), movall(b, a), movall(a, b)]).map(|()| 3),
        _ => its::run(&[
            mapc(0, 1),
            movall(a, b),
            mapc(1, 0),
            movall(b, a),
            mapc(0, 0),
            mapc(1, 1),
        ])
        .map(|()| 6),
    }
}

fn serve() -> Outcome {
    if !rvic::is_used() {
        cases::clean()?;
    }
    for offset in (0..0x1000).step_by(8) {
        store(PAGE + offset, 0);
    }
    let (doorbell, first, number) = make()?;
    NUMBER.store(number, SeqCst);
    second::start(job_count, 0)?;
    take();
    store(PAGE + DOORBELL, doorbell as u64);
    store(PAGE + DEVICE, SOURCE.into());
    store(PAGE + FIRST, first.into());
    store(PAGE + EVENTS, number as u64);
    store(PAGE + MAGIC, MAGIC_VALUE);
    println!("guest: waits for messages of {number} events");
    let (mut round, mut moves) = (0, 0);
    let mut outcome = Ok(());
    let begun = timer::within(PATIENCE * 1000, || {
        cpu::wait_for_interrupt();
        load(PAGE + PHASE) >= BEGUN
    });
    let told = begun
        && timer::within(LIMIT * 1000, || {
            match move_all(round) {
                Ok(n) => moves += n,
                Err(stop) => outcome = Err(stop),
            }
            round += 1;
            store(PAGE + MOVES, moves);
            // What was moved is to be taken before it is moved again.
            cpu::wait_for_event();
            load(PAGE + PHASE) == STOP || outcome.is_err()
        });
    STOPPED.store(true, SeqCst);
    let finished = second::finish();
    take_no_more();
    finished?;
    outcome?;
    check!(begun, "nobody has sent a message in {PATIENCE} seconds");
    check!(told, "nobody has sent all messages in {LIMIT} seconds");
    for stray in &STRAY {
        let stray = stray.load(SeqCst);
        check!(stray == 0, "interrupt {stray} came, which nobody has sent");
    }
    for event in 0..number - 1 {
        let taken: u64 = (0..CPUS).map(|cpu| load(count_of(cpu, event))).sum();
        let sent = load(word(SENT, event));
        if taken != sent {
            fail!("event {event} was sent {sent} times and taken {taken} times");
        }
    }
    for cpu in 0..CPUS {
        let taken: u64 = (0..number).map(|event| load(count_of(cpu, event))).sum();
        check!(taken > 0, "CPU {cpu} has taken none");
    }
    Ok(())
}

/// Serves the device model, and says so in a line; how many passed and how many failed.
pub fn report(machine: &Machine) -> (u32, u32) {
    let up = if rvic::is_used() {
        second::CPU1.bring_up(machine.cpus[1])
    } else {
        second::bring_up(machine.cpus[1])
    };
    let outcome = up.and_then(|()| exception::guarded(serve));
    cpu::mask_irqs();
    let verdict = if outcome.is_ok() { PASSED } else { FAILED };
    store(PAGE + VERDICT, verdict);
    match outcome {
        Ok(()) => {
            println!("PASS messages");
            (1, 0)
        }
        Err(crate::outcome::Stop::Fail(why) | crate::outcome::Stop::Skip(why)) => {
            println!("FAIL messages: {why}");
            (0, 1)
        }
    }
}
