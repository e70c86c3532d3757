// SPDX-License-Identifier: GPL-2.0-only
//! The lives of interrupts: injected on an exit, delivered with the entry, taken and ended by the guest, and folded on the
//! next exit.

use super::bed::{Bed, Here, SPI, SPIS};
use super::row::{Meter, Needs, Row, Unit, Work, expect};
use crate::guests::guest::Size;
use crate::guests::linux::{self, gicd};
use crate::xen::abi;
use crate::xen::peer::is_ours;
use crate::xen::vcpu::Vcpu;
use anyhow::Result;
use std::cell::Cell;

/// The interrupt of a physical device.
const HARDWARE: u32 = 700;
/// The SGI that is sent.
const SGI: u32 = 3;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for gic in [2, 3] {
        let needs = Needs::Gic(gic);
        let mut hot = |name: String, needs: Needs, run: Work| {
            rows.push(Row::counted(format!("v{gic}: {name}"), needs, run).hot());
        };
        hot(
            "edge SPI cycle".into(),
            needs,
            Box::new(move |m| edge(m, gic, 0)),
        );
        hot(
            "level hardware SPI cycle".into(),
            needs,
            Box::new(move |m| hardware(m, gic)),
        );
        hot(
            "timer PPI cycle".into(),
            needs,
            Box::new(move |m| timer(m, gic)),
        );
        hot(
            "3 unchanged levels".into(),
            Needs::Lines(gic),
            Box::new(move |m| unchanged(m, gic, false)),
        );
        hot(
            "3 unchanged levels, one up".into(),
            Needs::Lines(gic),
            Box::new(move |m| unchanged(m, gic, true)),
        );
        for n in [0, 1, 4] {
            let name = format!("exit and entry, {n} in list registers");
            hot(name, needs, Box::new(move |m| idle(m, gic, n)));
        }
        for n in [16, 256, SPIS] {
            let name = format!("edge SPI cycle, {n} pending");
            hot(name, needs, Box::new(move |m| edge(m, gic, n)));
        }
        let to: &[usize] = if gic == 2 { &[1, 8] } else { &[1, 8, 64] };
        for &n in to {
            let name = format!("SGI cycle, to {n}");
            hot(name, needs, Box::new(move |m| sgi(m, gic, n)));
        }
    }
    for gic in [2, 3] {
        for n in [0, 1, 4] {
            for (what, write) in [("reads", false), ("writes", true)] {
                rows.push(Row::new(
                    format!("v{gic}: LR {what} per exit, {n} in list registers"),
                    Unit::Accesses,
                    Needs::Gic(gic),
                    move |m| traffic(m, gic, n, write),
                ));
            }
        }
    }
    rows
}

/// From an emulated device, on an exit.
fn inject_spi(bed: &Bed, intid: u32) {
    bed.domain.inject(intid, true);
}

/// An edge-triggered SPI, with so many others pending.
fn edge(m: &mut Meter, gic: u8, pending: u32) -> Result<()> {
    let bed = Bed::new(gic, 1)?;
    let (next, lost) = (Cell::new(SPI), Cell::new(0));
    let cycle = |here: &Here<'_>| {
        here.exit();
        inject_spi(&bed, next.get());
        here.enter();
        let iar = here.take(|| ());
        if (32..1020).contains(&iar) {
            next.set(iar);
        } else {
            lost.set(lost.get() + 1);
        }
    };
    bed.on(0, |here| {
        here.exit();
        // One of them is the one that comes.
        for intid in 32..32 + pending {
            inject_spi(&bed, intid);
        }
        here.enter();
        // With all of them pending the first is taken before it is injected again.
        if pending != 0 {
            next.set(here.take(|| ()));
        }
        for _ in 0..20 {
            cycle(here);
        }
        // A C vGIC looks at all of them each time.
        let rounds = m.rounds() / u64::from(1 + pending / 50);
        m.measure(rounds, || (0..rounds).for_each(|_| cycle(here)));
    });
    expect(lost.get() == 0, || {
        format!("{} SPIs did not come", lost.get())
    })?;
    bed.end()
}

/// A level-sensitive SPI of a physical device, which it lowers when it is served.
fn hardware(m: &mut Meter, gic: u8) -> Result<()> {
    let bed = Bed::new(gic, 1)?;
    linux::disable(&bed.cpus[0], HARDWARE);
    linux::set_trigger(&bed.cpus[0], HARDWARE, false);
    let routed = bed.domain.route(HARDWARE, HARDWARE, true).is_ok();
    expect(routed, || "the physical interrupt is not connected".into())?;
    linux::enable(&bed.cpus[0], HARDWARE);
    let wire = HARDWARE as u16;
    let mut lost = 0;
    let mut cycle = |here: &Here<'_>| {
        let gic = &here.machine.gic;
        here.exit();
        gic.set_line(wire, true);
        if let Some(irq) = gic.acknowledge(here.pcpu.index) {
            here.machine.do_irq(irq);
        }
        here.enter();
        let iar = here.take(|| gic.set_line(wire, false));
        lost += u32::from(iar != HARDWARE);
    };
    bed.on(0, |here| {
        for _ in 0..20 {
            cycle(here);
        }
        let rounds = m.rounds();
        m.measure(rounds, || (0..rounds).for_each(|_| cycle(here)));
        // What ends has to be seen before the vCPU goes.
        here.exit();
        here.enter();
    });
    expect(lost == 0, || {
        format!("{lost} hardware interrupts did not come")
    })?;
    bed.end()
}

/// The virtual timer: it fires, and its handler moves the comparator. Xen's vGIC that samples levels is told on the exit after that it is
/// down; ours has it from the hardware.
fn timer(m: &mut Meter, gic: u8) -> Result<()> {
    let bed = Bed::new(gic, 1)?;
    let lines = abi::samples_lines() && !is_ours();
    let mut lost = 0;
    let mut cycle = |here: &Here<'_>| {
        if lines {
            here.v.inject(Vcpu::VTIMER, false);
        }
        here.exit();
        here.v.timer.set_expired(true);
        here.machine.vtimer_interrupt(here.pcpu);
        here.enter();
        let iar = here.take(|| here.v.program_vtimer());
        lost += u32::from(iar != Vcpu::VTIMER);
    };
    bed.on(0, |here| {
        for _ in 0..20 {
            cycle(here);
        }
        let rounds = m.rounds();
        m.measure(rounds, || (0..rounds).for_each(|_| cycle(here)));
        if lines {
            here.v.inject(Vcpu::VTIMER, false);
        }
        // What ends has to be seen before the vCPU goes.
        here.exit();
        here.enter();
    });
    expect(lost == 0, || format!("{lost} ticks did not come"))?;
    bed.end()
}

/// The levels of both timers and of the event channels, as they were before: all low, or that of the physical timer high.
fn unchanged(m: &mut Meter, gic: u8, up: bool) -> Result<()> {
    let bed = Bed::new(gic, 1)?;
    let rounds = m.rounds();
    bed.on(0, |here| {
        if up {
            here.v.program_ptimer(true);
            here.v.expire_ptimer();
        }
        here.v.update_lines();
        m.measure(rounds, || {
            (0..rounds).for_each(|_| here.v.update_lines());
        });
        here.v.program_ptimer(false);
        here.v.update_lines();
    });
    bed.end()
}

/// So many SPIs in list registers that the guest does not take.
fn masked(gic: u8, pending: u32) -> Result<Bed> {
    let bed = Bed::new(gic, 1)?;
    bed.on(0, |here| {
        here.exit();
        for intid in SPI..SPI + pending {
            inject_spi(&bed, intid);
        }
        here.enter();
    });
    Ok(bed)
}

fn idle(m: &mut Meter, gic: u8, pending: u32) -> Result<()> {
    let bed = masked(gic, pending)?;
    let rounds = m.rounds();
    bed.on(0, |here| {
        let again = || {
            here.exit();
            here.enter();
        };
        again();
        m.measure(rounds, || (0..rounds).for_each(|_| again()));
    });
    bed.end()
}

/// Reads, or writes, of list registers on an exit and the entry after it.
fn traffic(m: &mut Meter, gic: u8, pending: u32, write: bool) -> Result<()> {
    let bed = masked(gic, pending)?;
    let rounds = m.rounds();
    bed.on(0, |here| {
        let count = || {
            here.interface(|i| {
                if write {
                    i.traffic.lr_writes
                } else {
                    i.traffic.lr_reads
                }
            })
        };
        here.exit();
        here.enter();
        let before = count();
        for _ in 0..rounds {
            here.exit();
            here.enter();
        }
        m.found(count() - before, rounds);
    });
    bed.end()
}

/// An SGI to so many vCPUs, each of which takes and ends it. Eight on a GICv2 are all of them.
fn sgi(m: &mut Meter, gic: u8, to: usize) -> Result<()> {
    let vcpus = if gic == 2 { to.max(2) } else { to + 1 };
    let targets = vcpus - to..vcpus;
    let bed = Bed::new(gic, vcpus)?;
    let gicd = bed.domain.gicd();
    let mut lost = 0;
    let mut cycle = || {
        bed.on(0, |here| {
            here.exit();
            if gic == 2 {
                let list: u64 = targets.clone().map(|n| 1 << (16 + n)).sum();
                let sent = here.access(gicd + gicd::SGIR, Size::Word, true, list | u64::from(SGI));
                lost += u32::from(sent.is_err());
            } else {
                let whom = if to > 15 {
                    1 << 40
                } else {
                    targets.clone().map(|n| 1 << n).sum()
                };
                here.handle(|| abi::sysreg(0, false, false, &mut (u64::from(SGI) << 24 | whom)));
            }
            here.enter();
        });
        for n in targets.clone() {
            bed.on(n, |here| {
                if n != 0 {
                    here.exit();
                    here.enter();
                }
                lost += u32::from(here.take(|| ()) & 0x3ff != SGI);
            });
        }
    };
    (0..5).for_each(|_| cycle());
    let rounds = m.rounds() / (to as u64).min(10);
    m.measure(rounds, || (0..rounds).for_each(|_| cycle()));
    expect(lost == 0, || format!("{lost} SGIs did not come"))?;
    bed.end()
}
