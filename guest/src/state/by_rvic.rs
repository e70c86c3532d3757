// SPDX-License-Identifier: GPL-2.0-only
//! What is counted of an rVIC and an rVID: SIGNALs of trusted and untrusted interrupts, an input that is the console's line and moves
//! between the CPUs, and two inputs of the other domain's. Each CPU has one of the interrupts masked for a while, another each time.

use super::*;
use crate::rvic::call::{self, Status, check_status};
use crate::rvic::{has_levels, message_inputs, mpidr, own, trusted, uart};

/// Whether the other domain's line is still to be lowered, or the input looked at after that.
static LINE_IS_MASKED: AtomicBool = AtomicBool::new(false);
/// The CPU that has the console's input.
static CONSOLE_CPU: Counter = AtomicU32::new(0);

fn console() -> u32 {
    message_of(0)
}

fn handle(id: u64) {
    let raw = id as u32;
    if raw == console() {
        // The end of the level, before anybody knows: then it rises again.
        uart::lower();
        if has_levels() {
            call::resample_input(uart::INPUT);
        }
    }
    let again = count(raw);
    if Timer::ALL.iter().any(|timer| timer.intid().0 == raw) {
        call::resample(id);
    }
    if again {
        rvic::end(id);
    } else {
        LINE_IS_MASKED.store(true, SeqCst);
    }
}

fn end_tick(id: u64) {
    Timer::Virtual.arm(TICK);
    exception::forget();
    call::resample(id);
    rvic::end(id);
}

/// Ticks, which nobody counts.
pub fn tick() {
    rvic::set_handler(end_tick);
    rvic::end(Timer::Virtual.intid().0.into());
}

pub fn take(own: usize) {
    rvic::set_handler(handle);
    let timers = Timer::ALL.into_iter().map(|timer| timer.intid().0);
    let all = (0..SGIS as u32).chain(timers);
    let all = all.chain((0..SPIS).map(spi_of)).chain([console()]);
    all.for_each(|id| rvic::end(id.into()));
    if own == 0 {
        rvic::end(LEVEL_INTID.load(SeqCst).into());
        rvic::end(other_message().into());
    }
}

pub fn signal(cpu: usize, id: u32) {
    call::signal(mpidr(cpu), id.into());
}

fn map(input: u64, id: u32) -> Outcome {
    check_status!("MAP", call::map(input, own(), id.into()), Status::SUCCESS);
    Ok(())
}

pub fn make() -> Outcome {
    uart::is_ready()?;
    let first = trusted() as u32;
    SPI.store(first, SeqCst);
    LEVEL_INTID.store(first + LEVEL, SeqCst);
    FIRST_INTID.store(first + LEVEL + 1, SeqCst);
    NUMBER.store(1, SeqCst);
    map(uart::INPUT, console())?;
    map(LEVEL.into(), first + LEVEL)?;
    // As Xen numbers it.
    store(LINE, (32 + LEVEL).into());
    store(DEVICE, SOURCE.into());
    if let Some((input, count)) = message_inputs() {
        check!(count > 0, "there are no inputs for messages");
        let last = input + count - 1;
        map(last, other_message())?;
        store(DOORBELL, rvic::MESSAGE_ADDRESS as u64);
        store(DATA, last);
    }
    // What is reset has no input mapped: an edge is dropped there, and a level stays.
    store(KEEPS, if has_levels() { KEEPS_LINES } else { 0 });
    Ok(())
}

/// The console's line rises now and then at another CPU.
fn move_console() -> Outcome {
    let old = CONSOLE_CPU.load(SeqCst);
    let new = 1 - old;
    CONSOLE_CPU.store(new, SeqCst);
    let (old, new) = (mpidr(old as usize), mpidr(new as usize));
    rvic::move_input(uart::INPUT, old, new, console().into())?;
    call::clear_masked(new, console().into());
    Ok(())
}

pub fn send(round: u64) -> Outcome {
    send_again(FIRST_SPI..FIRST_MESSAGE, |edge| {
        let n = edge - FIRST_SPI;
        let cpu = if n % 3 == 2 { round as usize } else { n };
        signal(cpu % 2, spi_of(n));
    });
    let mut outcome = Ok(());
    send_again(all_messages(), |_| {
        if round.is_multiple_of(4) {
            outcome = move_console();
        }
        uart::raise();
    });
    outcome
}

/// Has one of the SPIs masked on this CPU, in turns, or not.
pub fn mask_one(round: u64, mask: bool) {
    let id = spi_of(round as usize % SPIS).into();
    if mask {
        call::set_masked(own(), id);
    } else {
        rvic::end(id);
    }
}

/// The line is low.
pub fn allow_line() {
    if !LINE_IS_MASKED.load(SeqCst) {
        return;
    }
    LINE_IS_MASKED.store(false, SeqCst);
    if has_levels() {
        call::resample_input(LEVEL.into());
    }
    rvic::end(LEVEL_INTID.load(SeqCst).into());
}
