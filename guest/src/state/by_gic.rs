// SPDX-License-Identifier: GPL-2.0-only
//! What is counted of a GIC: SGIs, SPIs, and the messages of an ITS or of a GICv2m frame. CPU 1 has EOImode 1.

use super::*;
use crate::cases;
use crate::gic::{self, Ack, EoiMode, IntId, Trigger, v2m};
use crate::its::command::{int, movi};
use crate::its::{self, gits, lpi};
use crate::mmio::{read32, write32};

fn line() -> IntId {
    gic::spi(LEVEL)
}

fn handle(ack: Ack) {
    if !count(ack.intid().0) {
        gic::disable(ack.intid());
    }
    gic::end(ack);
    if cpu::current() == 1 {
        gic::deactivate(ack);
    }
}

fn end_tick(ack: Ack) {
    Timer::Virtual.arm(TICK);
    exception::forget();
    gic::end(ack);
}

/// Ticks, which nobody counts.
pub fn tick() {
    exception::set_handler(end_tick);
    gic::enable(Timer::Virtual.intid());
}

pub fn take(own: usize) {
    exception::set_handler(handle);
    if own == 1 {
        gic::set_eoi_mode(EoiMode::Split);
    }
    for id in (0..SGIS as u32).map(IntId) {
        gic::enable(id);
    }
    gic::set_priority(IntId(SLOW), 0xd0);
    for timer in Timer::ALL {
        gic::enable(timer.intid());
    }
}

/// CPU 1 is as it was before.
pub fn leave() {
    gic::set_eoi_mode(EoiMode::Both);
}

pub fn send_sgi(cpu: usize, id: u32) {
    gic::send_sgi(IntId(id), cpu);
}

pub fn make() -> Outcome {
    cases::clean()?;
    SPI.store(gic::spi(0).0, SeqCst);
    for n in 0..SPIS {
        let id = IntId(spi_of(n));
        match n % 3 {
            2 => gic::route_to_any(id),
            cpu => gic::route(id, cpu),
        }
        gic::enable(id);
    }
    LEVEL_INTID.store(line().0, SeqCst);
    gic::set_trigger(line(), Trigger::Level);
    gic::enable(line());
    store(LINE, line().0.into());
    store(DEVICE, SOURCE.into());
    make_messages()
}

/// The messages' interrupts, if there is what messages are sent to, and where the other domain's goes.
fn make_messages() -> Outcome {
    if its::is_there() {
        its::begin()?;
        its::map_events(SOURCE, MESSAGES as u32 + 1, 0, 0)?;
        FIRST_INTID.store(lpi(0).0, SeqCst);
        NUMBER.store(MESSAGES as u32, SeqCst);
        store(DOORBELL, its::register(gits::TRANSLATER) as u64);
        store(DATA, MESSAGES as u64);
        store(KEEPS, KEEPS_LINES);
    } else if let Ok(base) = v2m::base() {
        let typer = read32(base + v2m::TYPER);
        let (first, number) = (typer >> 16 & 0x3ff, typer & 0x3ff);
        let number = number.min(MESSAGES as u32 + 1);
        check!(number >= 2, "the frame has {number} SPIs");
        for id in (first..first + number).map(IntId) {
            gic::set_priority(id, gic::DEFAULT_PRIORITY);
            gic::set_trigger(id, Trigger::Edge);
            gic::route(id, id.0 as usize % 2);
            gic::enable(id);
        }
        // Its counter has one writer.
        gic::route(IntId(first + number - 1), 0);
        FIRST_INTID.store(first, SeqCst);
        NUMBER.store(number - 1, SeqCst);
        store(DOORBELL, (base + v2m::SETSPI_NS) as u64);
        store(DATA, (first + number - 1).into());
        store(KEEPS, KEEPS_LINES | KEEPS_MESSAGES);
    } else {
        FIRST_INTID.store(u32::MAX / 2, SeqCst);
        store(KEEPS, KEEPS_LINES);
    }
    Ok(())
}

pub fn send(round: u64) -> Outcome {
    send_again(FIRST_SPI..FIRST_MESSAGE, |edge| {
        gic::set_pending(IntId(spi_of(edge - FIRST_SPI)));
    });
    if !its::is_there() {
        let at = v2m::base().map(|base| base + v2m::SETSPI_NS);
        send_again(all_messages(), |edge| {
            if let Ok(at) = at {
                write32(at, message_of(edge - FIRST_MESSAGE));
            }
        });
        return Ok(());
    }
    if round.is_multiple_of(8) {
        let event = (round / 8 % MESSAGES as u64) as u32;
        its::put(&movi(SOURCE, event, (round / 64 % 2) as u16));
    }
    send_again(all_messages(), |edge| {
        its::put(&int(SOURCE, (edge - FIRST_MESSAGE) as u32));
    });
    its::sync()
}

/// The line is low.
pub fn allow_line() {
    if !gic::is_enabled(line()) {
        gic::enable(line());
    }
}
