// SPDX-License-Identifier: GPL-2.0-only
//! A second kernel takes over an interrupt controller that the first has left as it was: it may have crashed in a handler (kdump), and
//! it has switched nothing off.

use super::{
    cases, expect, expect_and_end, expect_none, job_expect_and_end, job_expect_none, ready_spi,
};
use crate::cpu::CPUS;
use crate::gic::{self, Ack, IntId, gicd, gicr};
use crate::its::command::{int, movi};
use crate::its::{self, kexec, lpi};
use crate::mmio::{read32, write32};
use crate::outcome::{Outcome, check, skip};
use crate::second;
use crate::timer::Timer;

cases! {
    ANY: kexec_finds_a_live_gic;
    V3: its_kexec_enable_lpis_reads_zero, its_kexec_nothing_is_left, its_kexec_from_a_handler, its_kexec_in_a_batch,
        its_kexec_leaves_the_first_alone, its_kexec_after_cpu_1_was_off, its_kexec_often;
}

const DEVICE: u32 = 9;
const EVENTS: u32 = 16;

/// On CPU 1: takes nothing, so that what is sent stays pending.
fn job_deaf(_: usize) -> Outcome<usize> {
    gic::set_priority_mask(0);
    Ok(0)
}

fn job_begin_anew(_: usize) -> Outcome<usize> {
    gic::begin_anew();
    Ok(0)
}

/// SPIs and SGIs pending and active, timers running; the second kernel does what Linux does: it begins with the distributor off, has
/// nothing enabled and nothing active, and does not look at what is pending.
fn kexec_finds_a_live_gic() -> Outcome {
    let active = ready_spi(0, 0x40);
    let pending = ready_spi(1, 0x80);
    let elsewhere = ready_spi(2, 0x80);
    gic::route(elsewhere, 1);
    gic::enable(IntId(3));
    for timer in Timer::ALL {
        gic::enable(timer.intid());
        timer.arm(0);
    }
    gic::set_pending(active);
    expect(active)?;
    second::run(job_deaf, 0)?;
    gic::set_pending(pending);
    gic::set_pending(elsewhere);
    gic::send_sgi(IntId(3), 0);
    second::off()?;

    gic::set_groups(0);
    for first in [0, gic::spi(0).0].map(IntId) {
        for register in [gicd::ICENABLER, gicd::ICACTIVER] {
            write32(gic::bit_word(register, first, 0), u32::MAX);
        }
    }
    for timer in Timer::ALL {
        timer.stop();
    }
    if gic::version() == gic::Version::V2 {
        // SGIs of a GICv2 may be enabled whatever is written (IHI 0048B, 4.3.5).
        write32(gic::gicd_base() + gicd::CPENDSGIR, u32::MAX);
    }
    gic::begin_anew();
    gic::set_groups(gic::group());
    check!(gic::is_idle(), "CPU 0 is not idle");
    check!(!gic::is_active(active), "still active");
    expect_none("although nothing is enabled")?;
    // What was pending may be so still: an edge that somebody has seen.
    for id in [active, pending, elsewhere, IntId(3)] {
        gic::clear_pending(id);
        if !id.is_private() {
            gic::route(id, 0);
        }
        gic::enable(id);
    }
    expect_none("of what the first kernel had")?;
    for id in [active, pending, elsewhere] {
        gic::set_pending(id);
        expect_and_end(id)?;
    }
    gic::send_sgi(IntId(3), 0);
    expect_and_end(IntId(3))?;
    second::on()?;
    second::run(job_expect_none, 0)?;
    expect_none("after all")
}

/// The first kernel: 16 events, the odd ones to CPU 1, and LPIs that may go off again.
fn first_kernel() -> Outcome {
    its::begin()?;
    if read32(its::gicr_register(0, gicr::CTLR)) & its::CES == 0 {
        skip!("GICR_CTLR.CES is 0");
    }
    its::map_events(DEVICE, EVENTS, 0, 0)?;
    for event in (1..EVENTS).step_by(2) {
        its::put(&movi(DEVICE, event, 1));
    }
    its::sync()
}

/// All of them are sent, and nobody takes them.
fn send_all() -> Outcome {
    second::run(job_deaf, 0)?;
    (0..EVENTS).for_each(|event| its::put(&int(DEVICE, event)));
    its::sync()
}

/// The second one has it all, and sees nothing of the first.
fn take_over() -> Outcome {
    kexec::second_kernel()?;
    gic::begin_anew();
    second::run(job_begin_anew, 0)?;
    check!(gic::is_idle(), "CPU 0 is not idle");
    expect_none("of what the first kernel had pending")?;
    second::run(job_expect_none, 0)?;
    (0..EVENTS).for_each(|event| its::put(&int(DEVICE, event)));
    its::sync()?;
    expect_none("of what the first kernel had mapped")?;
    second::run(job_expect_none, 0)?;
    its::map_events(DEVICE, 4, 20, 0)?;
    its::run(&[movi(DEVICE, 3, 1), int(DEVICE, 2), int(DEVICE, 3)])?;
    expect_and_end(lpi(22))?;
    second::run(job_expect_and_end, lpi(23).0 as usize)?;
    expect_none("after all")
}

fn its_kexec_enable_lpis_reads_zero() -> Outcome {
    first_kernel()?;
    send_all()?;
    for cpu in 0..CPUS {
        let at = its::gicr_register(cpu, gicr::CTLR);
        // Once RWP is 0 it is done, and the first read after that says so.
        its::set_lpis(cpu, false)?;
        let ctlr = read32(at);
        check!(
            ctlr & its::ENABLE_LPIS == 0,
            "GICR_CTLR of CPU {cpu} is {ctlr:#x}"
        );
        its::set_lpis(cpu, true)?;
        check!(
            read32(at) & its::ENABLE_LPIS != 0,
            "LPIs of CPU {cpu} cannot be enabled again"
        );
    }
    Ok(())
}

fn its_kexec_nothing_is_left() -> Outcome {
    first_kernel()?;
    send_all()?;
    take_over()
}

fn job_acknowledge(_: usize) -> Outcome<usize> {
    gic::set_priority_mask(0xff);
    super::next().map(|ack| ack.0 as usize)
}

/// Both CPUs have acknowledged an LPI, and more are pending.
fn its_kexec_from_a_handler() -> Outcome {
    first_kernel()?;
    send_all()?;
    let Ack(own) = super::next()?;
    let other = second::run(job_acknowledge, 0)?;
    check!(
        own >= 8192 && other >= 8192,
        "interrupts {own} and {other} came"
    );
    take_over()
}

fn its_kexec_in_a_batch() -> Outcome {
    first_kernel()?;
    second::run(job_deaf, 0)?;
    for n in 0..400 {
        its::put(&int(DEVICE, n % EVENTS));
    }
    its::ring();
    take_over()
}

/// Once a table is the second kernel's, what the first had may be anything.
fn its_kexec_leaves_the_first_alone() -> Outcome {
    first_kernel()?;
    send_all()?;
    kexec::second_kernel()?;
    let sum = || its::checksum(its::first_tables().0, its::first_tables().1);
    let before = sum();
    gic::begin_anew();
    second::run(job_begin_anew, 0)?;
    its::map_events(DEVICE, EVENTS, 0, 0)?;
    for event in 0..EVENTS {
        its::run(&[int(DEVICE, event)])?;
        expect_and_end(lpi(event))?;
    }
    its::run(&[int(DEVICE, 1), movi(DEVICE, 1, 1)])?;
    second::run(job_expect_and_end, lpi(1).0 as usize)?;
    its::disable()?;
    for cpu in 0..CPUS {
        its::set_lpis(cpu, false)?;
    }
    check!(
        before == sum(),
        "something was written where the first kernel's tables were"
    );
    Ok(())
}

fn its_kexec_after_cpu_1_was_off() -> Outcome {
    first_kernel()?;
    send_all()?;
    second::off()?;
    kexec::second_kernel()?;
    gic::begin_anew();
    expect_none("of what the first kernel had pending")?;
    second::on()?;
    take_over_mapped()
}

fn take_over_mapped() -> Outcome {
    second::run(job_expect_none, 0)?;
    its::map_events(DEVICE, 2, 30, 0)?;
    its::run(&[movi(DEVICE, 1, 1), int(DEVICE, 0), int(DEVICE, 1)])?;
    expect_and_end(lpi(30))?;
    second::run(job_expect_and_end, lpi(31).0 as usize)?;
    second::run(job_expect_none, 0)?;
    expect_none("after all")
}

fn its_kexec_often() -> Outcome {
    for _ in 0..10 {
        first_kernel()?;
        send_all()?;
        take_over()?;
    }
    Ok(())
}
