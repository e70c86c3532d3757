// SPDX-License-Identifier: GPL-2.0-only
//! CPU 1 goes off and comes back, by PSCI, with interrupts in every state.

use super::{
    cases, expect, expect_and_end, expect_none, job_expect_and_end, job_expect_none, ready_spi,
};
use crate::gic::{self, EoiMode, IntId, gicd};
use crate::outcome::{Outcome, check};
use crate::second;
use crate::timer::Timer;

cases! {
    ANY: cpu_off_and_on, cpu_off_with_pending_spi, spi_pending_while_cpu_is_off, cpu_off_spi_goes_elsewhere,
        cpu_off_with_active_spi, cpu_off_with_pending_sgi, sgi_while_cpu_is_off, cpu_off_with_active_sgi,
        cpu_off_with_timer, cpu_off_and_on_often;
}

const PRIORITY: u8 = 0x80;

/// An enabled SPI for CPU 1.
fn spi_for_cpu1(n: u32) -> IntId {
    let id = ready_spi(n, PRIORITY);
    gic::route(id, 1);
    id
}

fn cpu_off_and_on() -> Outcome {
    second::off()?;
    second::on()?;
    let id = spi_for_cpu1(0);
    gic::set_pending(id);
    second::run(job_expect_and_end, id.0 as usize)?;
    Ok(())
}

fn cpu_off_with_pending_spi() -> Outcome {
    second::run(super::job_priority_mask, 0)?;
    let id = spi_for_cpu1(1);
    gic::set_pending(id);
    second::off()?;
    check!(
        gic::is_pending(id),
        "not pending any more while CPU 1 is off"
    );
    second::on()?;
    second::run(job_expect_and_end, id.0 as usize)?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

fn spi_pending_while_cpu_is_off() -> Outcome {
    let id = spi_for_cpu1(2);
    second::off()?;
    gic::set_pending(id);
    check!(gic::is_pending(id), "not pending while CPU 1 is off");
    second::on()?;
    second::run(job_expect_and_end, id.0 as usize)?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

fn cpu_off_spi_goes_elsewhere() -> Outcome {
    second::run(super::job_priority_mask, 0)?;
    let id = spi_for_cpu1(3);
    gic::set_pending(id);
    second::off()?;
    gic::route(id, 0);
    expect_and_end(id)?;
    second::on()?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

fn cpu_off_with_active_spi() -> Outcome {
    let id = spi_for_cpu1(4);
    gic::set_pending(id);
    second::run(
        |n| {
            gic::set_eoi_mode(EoiMode::Split);
            gic::end(expect(IntId(n as u32))?);
            Ok(0)
        },
        id.0 as usize,
    )?;
    second::off()?;
    check!(gic::is_active(id), "not active any more while CPU 1 is off");
    gic::clear_active(id);
    check!(!gic::is_active(id), "still active after ICACTIVER");
    gic::route(id, 0);
    gic::set_pending(id);
    expect_and_end(id)?;
    second::on()?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

fn job_enable_masked(n: usize) -> Outcome<usize> {
    gic::enable(IntId(n as u32));
    gic::set_priority_mask(0);
    Ok(0)
}

fn cpu_off_with_pending_sgi() -> Outcome {
    second::run(job_enable_masked, 3)?;
    gic::send_sgi(IntId(3), 1);
    second::off()?;
    second::on()?;
    second::run(job_expect_and_end, 3)?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

fn sgi_while_cpu_is_off() -> Outcome {
    second::run(job_enable_masked, 4)?;
    second::off()?;
    gic::send_sgi(IntId(4), 1);
    second::on()?;
    second::run(job_expect_and_end, 4)?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

fn cpu_off_with_active_sgi() -> Outcome {
    gic::send_sgi(IntId(5), 1);
    second::run(
        |_| {
            gic::enable(IntId(5));
            expect(IntId(5))?;
            Ok(0)
        },
        0,
    )?;
    second::off()?;
    second::on()?;
    // Whether it is still active is not defined; after it has been made inactive, the CPU works as before.
    second::run(
        |_| {
            gic::clear_active(IntId(5));
            gic::reset_private()?;
            gic::enable(IntId(5));
            Ok(0)
        },
        0,
    )?;
    gic::send_sgi(IntId(5), 1);
    second::run(job_expect_and_end, 5)?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

fn cpu_off_with_timer() -> Outcome {
    second::run(
        |_| {
            gic::enable(Timer::Virtual.intid());
            Timer::Virtual.arm(20);
            Ok(0)
        },
        0,
    )?;
    second::off()?;
    crate::timer::within(40, || false);
    second::on()?;
    second::run(
        |_| {
            Timer::Virtual.stop();
            gic::reset_private()?;
            gic::enable(Timer::Virtual.intid());
            Timer::Virtual.arm(1);
            let ack = expect(Timer::Virtual.intid())?;
            Timer::Virtual.stop();
            gic::end(ack);
            expect_none("although the timer has been stopped")?;
            Ok(0)
        },
        0,
    )?;
    Ok(())
}

fn cpu_off_and_on_often() -> Outcome {
    let id = spi_for_cpu1(6);
    for _ in 0..10 {
        gic::set_pending(id);
        second::run(job_expect_and_end, id.0 as usize)?;
        second::off()?;
        second::on()?;
    }
    check!(!gic::read_bit_of(0, gicd::ISPENDR, id), "still pending");
    second::run(job_expect_none, 0)?;
    Ok(())
}
