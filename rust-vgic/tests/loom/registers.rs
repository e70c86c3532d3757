// SPDX-License-Identifier: GPL-2.0-only
//! Registers that another vCPU writes and reads while an interrupt is queued or loaded.

use crate::machine::*;
use loom::sync::atomic::Ordering;
use loom::thread;

/// Disabled while it is injected, queued or loaded: it must neither be delivered nor be lost.
#[test]
fn disable_against_injection_and_entry() {
    explore(3, || {
        let d = domain(1);
        let (a, b) = (d.clone(), d.clone());
        let t = thread::spawn(move || inject(&a));
        let u = thread::spawn(move || write(&b, 0, gicd::ICENABLER1, 1));
        enter(&d, 0);
        t.join().unwrap();
        u.join().unwrap();
        settle(&d, 0);
        assert!(shown(&d, 0, SPI).is_empty(), "delivered though disabled");
        write(&d, 0, gicd::ISENABLER1, 1);
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [1], "lost while disabled");
    });
}

/// Disabled by another vCPU while a list register has it, and the holder passes through the hypervisor.
#[test]
fn disable_of_a_loaded_one_against_exit_and_entry() {
    explore(4, || {
        let d = domain(2);
        inject(&d);
        enter(&d, 0);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || write(&other, 1, gicd::ICENABLER1, 1));
        trap(&d, 0);
        t.join().unwrap();
        settle(&d, 0);
        assert!(shown(&d, 0, SPI).is_empty(), "delivered though disabled");
        assert!(read_bit(&d, 1, gicd::ISPENDR1), "lost while disabled");
        write(&d, 1, gicd::ISENABLER1, 1);
        settle(&d, 0);
        assert_eq!(shown(&d, 0, SPI), [1]);
    });
}

/// What waits becomes deliverable by another vCPU's write just when its own has looked and blocks.
fn write_against_blocking(before: fn(&Vgic), offset: u32) {
    explore(8, move || {
        let d = domain(2);
        before(&d);
        inject(&d);
        enter(&d, 0);
        exit(&d, 0);
        let other = d.clone();
        let t = thread::spawn(move || write(&other, 1, offset, 1));
        let sleeps = block(&d, 0);
        t.join().unwrap();
        assert!(
            !sleeps || is_woken(&d, 0),
            "blocked with an interrupt pending"
        );
    });
}

#[test]
fn enable_against_blocking() {
    write_against_blocking(|d| write(d, 0, gicd::ICENABLER1, 1), gicd::ISENABLER1);
}

#[test]
fn group_enable_against_blocking() {
    write_against_blocking(|d| write(d, 0, gicd::CTLR, 0), gicd::CTLR);
}

/// Another reads the active state just after the guest has acknowledged it, in hardware: if its patience lasts
/// until the holder has left the guest, what it reads must be that.
#[test]
fn read_against_exit() {
    explore(8, || {
        let d = domain(2);
        inject(&d);
        enter(&d, 0);
        guest(&d, 0, SPI, 1, 2);
        let other = d.clone();
        let t = thread::spawn(move || {
            let active = read_bit(&other, 1, gicd::ISACTIVER1);
            // Two turns of waiting are all that it has here.
            assert!(active || other.host().waits.load(Ordering::Relaxed) == 2);
        });
        trap(&d, 0);
        t.join().unwrap();
        assert!(read_bit(&d, 0, gicd::ISACTIVER1));
        guest(&d, 0, SPI, 2, 0);
        exit(&d, 0);
        assert!(!read_bit(&d, 1, gicd::ISACTIVER1));
    });
}
