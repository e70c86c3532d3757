// SPDX-License-Identifier: GPL-2.0-only
//! The GICv2m frame: a write of an SPI's number makes that SPI pending, by an edge.

use super::{cases, expect, expect_and_end, expect_none, job_expect_and_end};
use crate::gic::v2m::{self, IIDR, SETSPI_NS, TYPER};
use crate::gic::{self, IntId, Trigger, gicd};
use crate::mmio::{read16, read32, write8, write16, write32};
use crate::outcome::{Outcome, check, check_eq};
use crate::second;

cases! {
    V2: v2m_typer, v2m_typer_is_read_only, v2m_other_registers_are_zero, v2m_each_spi, v2m_each_spi_on_cpu_1, v2m_pends_once,
        v2m_again_while_active, v2m_disabled_stays_pending, v2m_cleared, v2m_beyond_its_spis, v2m_setspi_reads_zero, v2m_widths;
}

/// The first of its SPIs, and how many there are.
fn spis() -> Outcome<(u32, u32)> {
    let typer = read32(v2m::base()? + TYPER);
    Ok((typer >> 16 & 0x3ff, typer & 0x3ff))
}

/// All of them are enabled, edge-triggered and for CPU 0, and nothing is pending.
fn ready() -> Outcome<(u32, u32)> {
    let (first, count) = spis()?;
    for id in (first..first + count).map(IntId) {
        gic::disable(id);
        gic::clear_pending(id);
        gic::clear_active(id);
        gic::set_priority(id, gic::DEFAULT_PRIORITY);
        gic::set_trigger(id, Trigger::Edge);
        gic::route(id, 0);
        gic::enable(id);
    }
    Ok((first, count))
}

fn send(data: u32) -> Outcome {
    write32(v2m::base()? + SETSPI_NS, data);
    Ok(())
}

fn v2m_typer() -> Outcome {
    let (first, count) = spis()?;
    check!(first >= 32, "the first SPI is {first}");
    check!(count >= 1, "there are no SPIs");
    check!(
        first + count <= gic::lines().min(1020),
        "SPIs {first} to {} are beyond the {} that there are",
        first + count - 1,
        gic::lines()
    );
    let typer = read32(v2m::base()? + TYPER);
    check_eq!("the rest of MSI_TYPER", typer & !0x03ff_03ff, 0);
    Ok(())
}

fn v2m_typer_is_read_only() -> Outcome {
    let at = v2m::base()? + TYPER;
    let before = read32(at);
    write32(at, !before);
    check_eq!("MSI_TYPER", read32(at), before);
    Ok(())
}

fn v2m_other_registers_are_zero() -> Outcome {
    let base = v2m::base()?;
    for offset in (0..0xfc0_usize).step_by(4) {
        if offset != TYPER {
            check_eq!("a register that is not there", read32(base + offset), 0);
        }
    }
    let iidr = read32(base + IIDR);
    write32(base + IIDR, !iidr);
    check_eq!("MSI_IIDR", read32(base + IIDR), iidr);
    Ok(())
}

fn v2m_each_spi() -> Outcome {
    let (first, count) = ready()?;
    for _ in 0..3 {
        for id in first..first + count {
            send(id)?;
            let planted = u32::from(cfg!(feature = "planted-fault"));
            expect_and_end(IntId(id + planted))?;
        }
    }
    expect_none("once more than it was sent")
}

fn v2m_each_spi_on_cpu_1() -> Outcome {
    let (first, count) = ready()?;
    for id in first..first + count {
        gic::route(IntId(id), 1);
        send(id)?;
        second::run(job_expect_and_end, id as usize)?;
    }
    expect_none("on the wrong CPU")
}

fn v2m_pends_once() -> Outcome {
    let (first, _) = ready()?;
    for _ in 0..3 {
        send(first)?;
    }
    check!(gic::is_pending(IntId(first)), "it is not pending");
    expect_and_end(IntId(first))?;
    check!(
        !gic::is_pending(IntId(first)),
        "it is still pending: not an edge"
    );
    expect_none("although it was pending when it was sent again")
}

fn v2m_again_while_active() -> Outcome {
    let (first, _) = ready()?;
    send(first)?;
    let ack = expect(IntId(first))?;
    send(first)?;
    expect_none("although it is active")?;
    gic::end(ack);
    expect_and_end(IntId(first))?;
    expect_none("a third time")
}

fn v2m_disabled_stays_pending() -> Outcome {
    let (first, count) = ready()?;
    let id = IntId(first + count - 1);
    gic::disable(id);
    send(id.0)?;
    expect_none("although it is disabled")?;
    check!(gic::is_pending(id), "it is not pending");
    gic::enable(id);
    expect_and_end(id)
}

fn v2m_cleared() -> Outcome {
    let (first, _) = ready()?;
    send(first)?;
    gic::clear_pending(IntId(first));
    expect_none("although it was cleared")?;
    send(first)?;
    expect_and_end(IntId(first))
}

fn all_pending() -> [u32; 32] {
    let mut words = [0; 32];
    for (word, first) in words
        .iter_mut()
        .zip((0..gic::lines().min(1020)).step_by(32))
    {
        *word = read32(gic::bit_word(gicd::ISPENDR, IntId(first), 0));
    }
    words
}

fn v2m_beyond_its_spis() -> Outcome {
    let (first, count) = ready()?;
    let before = all_pending();
    let low = [0, 1, 27, 31, 32];
    let beyond = [
        first.saturating_sub(1),
        first + count,
        1019,
        1020,
        1023,
        1024,
    ];
    // The number is that of 10 bits and of no more.
    let high = [first | 1 << 31, u32::MAX, 0xffff_0000];
    for data in low.into_iter().chain(beyond).chain(high) {
        if !(first..first + count).contains(&data) {
            send(data)?;
        }
    }
    // Whether bits above the number count is not said: what comes is that SPI.
    let mut ack = gic::acknowledge();
    while !ack.is_spurious() {
        let id = ack.intid();
        gic::end(ack);
        check!(
            (first..first + count).contains(&id.0),
            "interrupt {} came",
            id.0
        );
        ack = gic::acknowledge();
    }
    check!(all_pending() == before, "another interrupt is pending");
    Ok(())
}

fn v2m_setspi_reads_zero() -> Outcome {
    ready()?;
    check_eq!("MSI_SETSPI_NS", read32(v2m::base()? + SETSPI_NS), 0);
    expect_none("of a read")
}

/// A device writes 32 bits, or 16; what a byte does is not said. What comes is the SPI that was meant, if anything.
fn v2m_widths() -> Outcome {
    let (first, _) = ready()?;
    let base = v2m::base()?;
    write16(base + SETSPI_NS, first as u16);
    write8(base + SETSPI_NS, first as u8);
    let mut ack = gic::acknowledge();
    for _ in 0..2 {
        if !ack.is_spurious() {
            check_eq!("the interrupt that came", ack.intid().0, first);
            gic::end(ack);
            ack = gic::acknowledge();
        }
    }
    expect_none("once more than it was sent")?;
    // It reads by the word.
    let _ = read16(base + TYPER);
    send(first)?;
    expect_and_end(IntId(first))
}
