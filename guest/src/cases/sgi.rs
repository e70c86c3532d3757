// SPDX-License-Identifier: GPL-2.0-only
//! Software-generated interrupts.

use super::{
    cases, expect, expect_and_end, expect_none, job_expect_and_end, job_expect_none, next,
};
use crate::cpu;
use crate::exception;
use crate::gic::{self, IntId, Version, gicd, v3};
use crate::mmio::{read8, read32, write8, write32};
use crate::outcome::{Outcome, check, check_eq};
use crate::second;

cases! {
    ANY: sgi_to_self, sgi_to_other_cpu, sgi_from_other_cpu, sgi_to_all_others, sgi_once_however_often_sent,
        all_sgis_by_priority, sgi_while_active, sgi_disabled_waits, sgi_by_exception;
    V2: sgi_sources, sgi_sources_once_each, sgi_filter_self, sgi_filter_reserved, sgi_no_target, spendsgir, cpendsgir,
        icc_sgi1r_is_undefined;
    V3: sgi1r_no_such_cpu, sgi_pending_bit, sgi_for_cpu1_by_its_ispendr;
}

/// At the end: some vGICs do not survive them.
pub const LAST_CASES: &[super::Case] = &[super::Case {
    name: "sgi_ispendr_on_gicv2",
    version: super::V2,
    run: sgi_ispendr_on_gicv2,
}];

/// With the feature `planted-fault`, every SGI to oneself is expected to be another one.
const PLANTED: u32 = cfg!(feature = "planted-fault") as u32;

fn enabled(n: u32) -> IntId {
    gic::enable(IntId(n));
    IntId(n)
}

/// Enables on CPU 1.
fn job_enable(n: usize) -> Outcome<usize> {
    enabled(n as u32);
    Ok(0)
}

fn job_send_to_cpu0(n: usize) -> Outcome<usize> {
    gic::send_sgi(IntId(n as u32), 0);
    Ok(0)
}

fn sgi_to_self() -> Outcome {
    let id = enabled(4);
    gic::send_sgi(id, 0);
    let ack = expect(IntId(id.0 + PLANTED))?;
    check_eq!("the source", ack.source(), 0);
    gic::end(ack);
    expect_none("again after its end")
}

fn sgi_to_other_cpu() -> Outcome {
    second::run(job_enable, 5)?;
    enabled(5);
    gic::send_sgi(IntId(5), 1);
    check_eq!("the source", second::run(job_expect_and_end, 5)?, 0);
    expect_none("on the CPU that sent it")
}

fn sgi_from_other_cpu() -> Outcome {
    let id = enabled(6);
    second::run(job_send_to_cpu0, 6)?;
    let ack = expect(id)?;
    let source = u32::from(gic::version() == Version::V2);
    check_eq!("the source", ack.source(), source);
    gic::end(ack);
    expect_none("again after its end")
}

fn sgi_to_all_others() -> Outcome {
    enabled(7);
    second::run(job_enable, 7)?;
    gic::send_sgi_to_others(IntId(7));
    second::run(job_expect_and_end, 7)?;
    expect_none("on the CPU that sent it to all others")
}

fn sgi_once_however_often_sent() -> Outcome {
    let id = enabled(3);
    for _ in 0..5 {
        gic::send_sgi(id, 0);
    }
    expect_and_end(id)?;
    expect_none("a second time")
}

fn all_sgis_by_priority() -> Outcome {
    second::start(
        |_| {
            gic::set_priority_mask(0);
            for n in 0..16 {
                gic::set_priority(IntId(n), 0xf0 - 8 * n as u8);
                enabled(n);
            }
            Ok(0)
        },
        0,
    )?;
    second::finish()?;
    for n in 0..16 {
        gic::send_sgi(IntId(n), 1);
    }
    second::run(
        |_| {
            gic::set_priority_mask(0xff);
            for n in (0..16).rev() {
                expect_and_end(IntId(n))?;
            }
            expect_none("after all sixteen")?;
            Ok(0)
        },
        0,
    )?;
    Ok(())
}

fn sgi_while_active() -> Outcome {
    let id = enabled(2);
    gic::send_sgi(id, 0);
    let first = expect(id)?;
    gic::send_sgi(id, 0);
    expect_none("while it is active")?;
    gic::end(first);
    expect_and_end(id)?;
    expect_none("a third time")
}

fn sgi_disabled_waits() -> Outcome {
    let id = IntId(1);
    gic::disable(id);
    if gic::is_enabled(id) {
        crate::outcome::skip!("SGIs cannot be disabled here");
    }
    gic::send_sgi(id, 0);
    expect_none("although it is disabled")?;
    gic::enable(id);
    expect_and_end(id)
}

fn sgi_by_exception() -> Outcome {
    let id = enabled(8);
    cpu::unmask_irqs();
    for n in 1..=20 {
        gic::send_sgi(id, 0);
        check!(
            crate::timer::within(1000, || exception::taken() == n),
            "{} of {n} were taken",
            exception::taken()
        );
    }
    crate::timer::within(5, || false);
    cpu::mask_irqs();
    check_eq!("interrupts taken", exception::taken(), 20);
    Ok(())
}

fn sgi_sources() -> Outcome {
    let id = enabled(10);
    gic::send_sgi(id, 0);
    second::run(job_send_to_cpu0, 10)?;
    let mut sources = 0;
    for _ in 0..2 {
        let ack = expect(id)?;
        sources |= 1 << ack.source();
        gic::end(ack);
    }
    check_eq!("the sources of both", sources, 0b11);
    expect_none("a third time")
}

fn sgi_sources_once_each() -> Outcome {
    let id = enabled(11);
    gic::send_sgi(id, 0);
    let own = expect(id)?;
    check_eq!("the source", own.source(), 0);
    // While that of this CPU is active, that of the other is pending, and this CPU's own again.
    second::run(job_send_to_cpu0, 11)?;
    gic::send_sgi(id, 0);
    gic::end(own);
    let mut sources = 0;
    for _ in 0..2 {
        let ack = next()?;
        check_eq!("the interrupt", ack.intid().0, id.0);
        sources |= 1 << ack.source();
        gic::end(ack);
    }
    check_eq!("the sources of both", sources, 0b11);
    expect_none("once more")
}

fn sgi_filter_self() -> Outcome {
    let id = enabled(12);
    second::run(job_enable, 12)?;
    gic::write_gicd(gicd::SGIR, 2 << 24 | 0xff << 16 | id.0);
    expect_and_end(id)?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

fn sgi_filter_reserved() -> Outcome {
    let id = enabled(12);
    gic::write_gicd(gicd::SGIR, 3 << 24 | 0xff << 16 | id.0);
    // What it does is not defined, but one SGI after it works.
    crate::timer::within(5, || false);
    gic::reset_private()?;
    enabled(12);
    gic::send_sgi(id, 0);
    expect_and_end(id)
}

fn sgi_no_target() -> Outcome {
    let id = enabled(12);
    gic::write_gicd(gicd::SGIR, id.0);
    gic::write_gicd(gicd::SGIR, 0xfc << 16 | id.0);
    expect_none("although no CPU was named that exists")
}

/// The byte of an SGI in SPENDSGIR or CPENDSGIR: one bit per source.
fn sources(register: usize, id: IntId) -> usize {
    gic::gicd_base() + register + id.0 as usize
}

fn spendsgir() -> Outcome {
    let id = enabled(13);
    let address = sources(gicd::SPENDSGIR, id);
    write8(address, 0b10);
    check_eq!("SPENDSGIR", read8(address), 0b10);
    check_eq!(
        "SPENDSGIR as a word",
        read32(address & !3) >> 8 & 0xff,
        0b10
    );
    let ack = expect(id)?;
    check_eq!("the source", ack.source(), 1);
    gic::end(ack);
    check_eq!("SPENDSGIR after its end", read8(address), 0);
    expect_none("a second time")
}

fn cpendsgir() -> Outcome {
    let id = enabled(14);
    let address = sources(gicd::CPENDSGIR, id);
    gic::send_sgi(id, 0);
    second::run(job_send_to_cpu0, 14)?;
    check_eq!("CPENDSGIR", read8(address), 0b11);
    write8(address, 0b01);
    check_eq!("CPENDSGIR after one was cleared", read8(address), 0b10);
    let ack = expect(id)?;
    check_eq!("the source", ack.source(), 1);
    gic::end(ack);
    expect_none("although it was cleared")?;
    second::run(job_send_to_cpu0, 14)?;
    write32(address & !3, 0b10 << 16);
    expect_none("although it was cleared by a word")
}

fn icc_sgi1r_is_undefined() -> Outcome {
    let done = exception::survives(|| v3::write_sgi1r(gic::sgi_value(IntId(1), cpu::affinity())));
    check!(!done, "ICC_SGI1R_EL1 can be written with a GICv2");
    expect_none("from ICC_SGI1R_EL1")
}

fn sgi1r_no_such_cpu() -> Outcome {
    enabled(9);
    second::run(job_enable, 9)?;
    let id = 9 << 24;
    // Other clusters, more CPUs of this one than there are, and no CPU at all.
    for value in [0xff << 16, 0xff << 32, 0xff << 48] {
        v3::write_sgi1r(value | id | 0xffff);
    }
    // The range selector is RES0 unless GICD_TYPER.RSS says that it is there.
    if gic::read_gicd(gicd::TYPER) & 1 << 26 != 0 {
        v3::write_sgi1r(0xf << 44 | id | 0xffff);
    }
    v3::write_sgi1r(id | 0xfff0);
    v3::write_sgi1r(id);
    expect_none("although no CPU was named that exists")?;
    second::run(job_expect_none, 0)?;
    Ok(())
}

fn sgi_pending_bit() -> Outcome {
    let id = IntId(15);
    gic::send_sgi(id, 0);
    check!(
        gic::is_pending(id),
        "a pending SGI does not read as pending"
    );
    gic::clear_pending(id);
    check!(!gic::is_pending(id), "ICPENDR0 does not clear an SGI");
    gic::enable(id);
    expect_none("although it was cleared")?;
    gic::set_pending(id);
    expect_and_end(id)?;
    check!(!gic::is_pending(id), "it is still pending after its end");
    Ok(())
}

fn sgi_for_cpu1_by_its_ispendr() -> Outcome {
    second::run(job_enable, 9)?;
    enabled(9);
    gic::write_bit_of(1, gicd::ISPENDR, IntId(9));
    second::run(job_expect_and_end, 9)?;
    expect_none("on the wrong CPU")
}

fn sgi_ispendr_on_gicv2() -> Outcome {
    // The architecture ignores the write; some deliver the SGI, with a source of their own. Either is harmless.
    let id = enabled(9);
    gic::set_pending(id);
    let ack = gic::acknowledge();
    if !ack.is_spurious() {
        check_eq!("the interrupt", ack.intid().0, id.0);
        gic::end(ack);
    }
    expect_none("after its end")?;
    gic::send_sgi(id, 0);
    expect_and_end(id)?;
    expect_none("after its end")
}
