// SPDX-License-Identifier: GPL-2.0-only
//! A domain is reset, with its vCPUs on no CPU, while interrupts still come.

use crate::machine::*;
use loom::thread;
use rust_vgic::Progress;

/// One that is enabled at reset, of a GICv2.
const SGI: u32 = 3;

/// What the guest had in a list register, and what waits.
fn domain_in_use() -> loom::sync::Arc<Vgic> {
    let d = domain(1);
    inject(&d);
    inject_private(&d, 0, FIRST[0], true);
    enter(&d, 0);
    inject_private(&d, 0, FIRST[1], true);
    exit(&d, 0);
    schedule_out(&d, 0);
    forget_ipis(&d);
    d
}

fn reset(d: &Vgic) {
    while d.reset() == Progress::Again {}
}

/// The next guest comes up.
fn boot(d: &Vgic) {
    enter(d, 0);
    write(d, 0, gicd::CTLR, 1);
    write(d, 0, gicd::ICFGR2, 2);
    retarget(d, 0, 0);
    write(d, 0, gicd::ISENABLER1, 1);
    trap(d, 0);
}

/// An edge that comes meanwhile goes with the reset, or is none to what is level-sensitive by then: it leaves nothing behind, on no list
/// either, and the next one is there, once.
#[test]
fn reset_against_an_edge() {
    explore(5, || {
        let d = domain_in_use();
        let other = d.clone();
        let t = thread::spawn(move || {
            inject(&other);
            other.inject(None, intid(SPI), false);
        });
        reset(&d);
        t.join().unwrap();
        boot(&d);
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [0; 0], "of the guest before");
        assert!(!read_bit(&d, 0, gicd::ISPENDR1));
        inject(&d);
        trap(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [1]);
    });
}

/// An SGI of a GICv2 can be delivered as soon as it is reset: if it comes after that, it is there, and it comes again in any case.
#[test]
fn reset_against_what_can_be_delivered_at_once() {
    explore(5, || {
        let d = domain_in_use();
        let other = d.clone();
        let t = thread::spawn(move || inject_private(&other, 0, SGI, true));
        reset(&d);
        t.join().unwrap();
        let kept = d.is_pending(vcpu(&d, 0), intid(SGI));
        boot(&d);
        settle(&d, 0);
        let expected: &[u64] = if kept { &[1] } else { &[] };
        assert_eq!(shown(&d, 0, SGI), expected);
        if kept {
            guest(&d, 0, SGI, 1, 0);
            trap(&d, 0);
        }
        inject_private(&d, 0, SGI, true);
        trap(&d, 0);
        assert_eq!(shown(&d, 0, SGI), [1]);
        for raw in FIRST {
            assert_eq!(
                shown(&d, 0, raw),
                [0; 0],
                "its line is up, and it is disabled"
            );
        }
    });
}

/// A physical interrupt fires meanwhile: it is inactive afterwards, or pending for the next guest, which is to end it.
#[test]
fn reset_against_a_physical_interrupt() {
    explore(5, || {
        let d = hardware_domain();
        fire(&d);
        enter(&d, 0);
        exit(&d, 0);
        schedule_out(&d, 0);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || fire(&other));
        reset(&d);
        let fired = t.join().unwrap();
        assert_eq!(is_physical_active(&d), fired);
        boot(&d);
        settle(&d, 0);
        let expected: &[u64] = if fired { &[1] } else { &[] };
        assert_eq!(shown(&d, 0, SPI), expected);
    });
}
