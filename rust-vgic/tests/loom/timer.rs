// SPDX-License-Identifier: GPL-2.0-only
//! A private interrupt that is mapped to the PPI of its vCPU's CPU, the virtual timer's: it comes and goes with vCPU 0, while time passes
//! and vCPU 1 writes about it.

use crate::machine::*;
use loom::sync::Arc;
use loom::sync::atomic::Ordering;
use loom::thread;
use rust_vgic::Host;

fn raise(d: &Vgic) {
    source(d).unwrap().store(true, Ordering::Release);
}

/// The timer's PPI is taken as long as it fires, and every exit that is asked for has come.
fn run_on(d: &Vgic) {
    for _ in 0..4 {
        settle(d, 0);
        exit(d, 0);
        fire_ppi(d);
        enter(d, 0);
    }
}

/// The line is high and nothing holds it back: it is signalled, once, and does not interrupt the host again.
fn comes(d: &Vgic) {
    run_on(d);
    assert_eq!(shown(d, 0, PPI), [1]);
    assert!(is_ppi_active(d), "a storm");
}

/// vCPU 0 is in its guest with the timer pending or (2) active.
fn held(state: u64) -> Arc<Vgic> {
    let d = timer_domain();
    raise(&d);
    load(&d);
    assert_eq!(shown(&d, 0, PPI), [1]);
    if state == 2 {
        guest(&d, 0, PPI, 1, 2);
        trap(&d, 0);
    }
    forget_ipis(&d);
    d
}

fn write_ppi(d: &Vgic, offset: u64) {
    write_redistributor(d, 1, offset, 1 << PPI);
}

/// Xen's timer expires, which does no more than wake the vCPU, while that goes to sleep and comes back.
#[test]
fn timer_expires_against_restore() {
    explore(3, || {
        let d = timer_domain();
        load(&d);
        exit(&d, 0);
        let sleeps = block(&d, 0);
        assert!(!unload(&d), "nothing has fired");
        let other = d.clone();
        let t = thread::spawn(move || {
            raise(&other);
            other.host().kick(0);
        });
        let early = !sleeps || is_woken(&d, 0);
        if early {
            load(&d);
        }
        t.join().unwrap();
        if !early {
            assert!(is_woken(&d, 0), "it sleeps for ever");
            load(&d);
        }
        comes(&d);
    });
}

/// vCPU 1 ends it, or has it pending no more, while vCPU 0 goes to sleep: there a timer waits only for what has not fired.
fn against_save(state: u64, offset: u64) {
    explore(3, move || {
        let d = held(state);
        sleeps_while(&d, move |other| write_ppi(other, offset));
    });
}

/// vCPU 0 leaves its guest and goes to sleep, if it may, while another thread does this; then its line, which is high, comes.
fn sleeps_while(d: &Arc<Vgic>, change: impl FnOnce(&Vgic) + 'static) {
    let other = d.clone();
    let t = thread::spawn(move || change(&other));
    exit(d, 0);
    let sleeps = block(d, 0);
    let waits = unload(d);
    t.join().unwrap();
    // The host's timer, which is armed for a line that is high, wakes it at once.
    let woken = !sleeps || is_woken(d, 0) || !waits;
    assert!(woken, "it sleeps for ever");
    load(d);
    comes(d);
}

/// The same of one that is on no list, being disabled: vCPU 1 has it pending no more, and then enables it.
#[test]
fn timer_is_cleared_and_enabled_against_save() {
    explore(3, || {
        let d = timer_domain();
        write_redistributor(&d, 0, gicr::ICENABLER0, 1 << PPI);
        raise(&d);
        load(&d);
        forget_ipis(&d);
        sleeps_while(&d, |other| {
            write_ppi(other, gicr::ICPENDR0);
            write_ppi(other, gicr::ISENABLER0);
        });
    });
}

#[test]
fn timer_is_deactivated_against_save() {
    against_save(2, gicr::ICACTIVER0);
}

#[test]
fn timer_is_cleared_against_save() {
    against_save(1, gicr::ICPENDR0);
}

/// The guest ends it and it fires again, before what the guest did is folded and while vCPU 1 writes about it.
fn against_fold(offset: u64) {
    explore(2, move || {
        let d = held(2);
        let other = d.clone();
        let t = thread::spawn(move || write_ppi(&other, offset));
        guest(&d, 0, PPI, 2, 0);
        deactivate_ppi(&d);
        fire_ppi(&d);
        exit(&d, 0);
        enter(&d, 0);
        t.join().unwrap();
        run_on(&d);
        if offset == gicr::ISACTIVER0 {
            // Either it came first, and the end was that one's; or what has fired waits behind it.
            write_ppi(&d, gicr::ICACTIVER0);
        }
        comes(&d);
    });
}

#[test]
fn timer_fires_against_fold_and_icpendr() {
    against_fold(gicr::ICPENDR0);
}

#[test]
fn timer_fires_against_fold_and_icactiver() {
    against_fold(gicr::ICACTIVER0);
}

#[test]
fn timer_fires_against_fold_and_isactiver() {
    against_fold(gicr::ISACTIVER0);
}
