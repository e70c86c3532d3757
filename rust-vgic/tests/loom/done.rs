// SPDX-License-Identifier: GPL-2.0-only
//! vCPU 1 takes something away from vCPU 0, which has it in a list register and passes through the hypervisor: once vCPU 1 is
//! told that this is done, the guest of vCPU 0 has it no more.

use crate::machine::*;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use rust_vgic::Width;

const GICD_RWP: u64 = 1 << 31;
const GICR_RWP: u64 = 1 << 3;

/// `write` says whether it knows that it is done.
fn explore_done(raw: u32, create: fn() -> Arc<Vgic>, write: fn(&Vgic) -> bool) {
    explore(4, move || {
        let d = create();
        inject_private(&d, 0, raw, true);
        enter(&d, 0);
        forget_ipis(&d);
        let done = Arc::new(AtomicBool::new(false));
        let (other, said) = (d.clone(), done.clone());
        let t = thread::spawn(move || {
            if write(&other) {
                said.store(true, Ordering::Release);
            }
        });
        // The guest of vCPU 0, before and after it is interrupted.
        let looks = || {
            let gone = done.load(Ordering::Acquire);
            assert!(!gone || shown(&d, 0, raw).is_empty(), "not done");
        };
        looks();
        trap(&d, 0);
        looks();
        t.join().unwrap();
        settle(&d, 0);
        assert!(shown(&d, 0, raw).is_empty());
    });
}

/// Is the distributor's RWP 0, or becomes it so soon?
fn gicd_is_done(d: &Vgic) -> bool {
    (0..2).any(|_| {
        thread::yield_now();
        d.dist_read(vcpu(d, 1), gicd::CTLR, Width::Word) & GICD_RWP == 0
    })
}

#[test]
fn done_means_done_of_a_disabled_spi() {
    explore_done(SPI, gicv3_domain, |d| {
        write(d, 1, gicd::ICENABLER1, 1);
        gicd_is_done(d)
    });
}

#[test]
fn done_means_done_of_a_group() {
    explore_done(SPI, gicv3_domain, |d| {
        write(d, 1, gicd::CTLR, 0);
        gicd_is_done(d)
    });
}

#[test]
fn done_means_done_of_a_disabled_ppi() {
    explore_done(PPI, gicv3_domain, |d| {
        write_redistributor(d, 1, gicr::ICENABLER0, 1 << PPI);
        (0..2).any(|_| {
            thread::yield_now();
            read_redistributor(d, 1, gicr::CTLR) & GICR_RWP == 0
        })
    });
}

/// Two take something away, and each asks for its own.
#[test]
fn done_means_done_of_two_writers() {
    explore(2, || {
        let d = gicv3_domain();
        inject(&d);
        enter(&d, 0);
        forget_ipis(&d);
        let done = Arc::new(AtomicBool::new(false));
        let (a, b, said) = (d.clone(), d.clone(), done.clone());
        let t = thread::spawn(move || write(&a, 1, gicd::CTLR, 0));
        let u = thread::spawn(move || {
            write(&b, 1, gicd::ICENABLER1, 1);
            if gicd_is_done(&b) {
                said.store(true, Ordering::Release);
            }
        });
        let gone = done.load(Ordering::Acquire);
        assert!(!gone || shown(&d, 0, SPI).is_empty(), "not done");
        trap(&d, 0);
        t.join().unwrap();
        u.join().unwrap();
        settle(&d, 0);
        assert!(shown(&d, 0, SPI).is_empty());
    });
}

/// A GICv2 has no RWP, and waits; two turns of waiting are all that it has here.
fn has_waited(d: &Vgic) -> bool {
    d.host().waits.load(Ordering::Relaxed) < 2
}

#[test]
fn done_means_done_of_a_gicv2_that_waits() {
    explore_done(
        SPI,
        || domain(2),
        |d| {
            write(d, 1, gicd::ICENABLER1, 1);
            has_waited(d)
        },
    );
}

#[test]
fn done_means_done_of_a_group_of_a_gicv2() {
    explore_done(
        SPI,
        || domain(2),
        |d| {
            write(d, 1, gicd::CTLR, 0);
            has_waited(d)
        },
    );
}
