// SPDX-License-Identifier: GPL-2.0-only
//! A shared interrupt is routed to another vCPU, wherever it is at that moment.

use crate::machine::*;
use loom::sync::Arc;
use loom::thread;

/// It is routed to vCPU 1 while vCPU 0 does this; then it is there, and there alone.
fn retargeted_against(d: &Arc<Vgic>, what: impl FnOnce(&Vgic, usize)) {
    let other = d.clone();
    let t = thread::spawn(move || retarget(&other, 1, 1));
    what(d, 0);
    t.join().unwrap();
    settle(d, 0);
    enter(d, 1);
    settle(d, 1);
    assert!(shown(d, 0, SPI).is_empty(), "delivered twice, or left");
    assert_eq!(shown(d, 1, SPI), [1]);
}

/// In the inbox, or on its way there: its pusher has not pushed when the new route is written, and the old target never runs.
#[test]
fn retarget_against_injection_with_the_old_target_switched_off() {
    explore(8, || {
        let d = domain(2);
        let other = d.clone();
        let t = thread::spawn(move || inject(&other));
        retarget(&d, 1, 1);
        t.join().unwrap();
        enter(&d, 1);
        assert_eq!(
            shown(&d, 1, SPI),
            [1],
            "left in the inbox of a vCPU that never runs"
        );
        enter(&d, 0);
        assert!(shown(&d, 0, SPI).is_empty());
    });
}

/// Two write the route at once while it is pushed: each moves it, and it must end on one list, of the vCPU that stands;
/// the other one never runs, so nobody but they can see to what was on its way there.
#[test]
fn retarget_to_and_fro_against_injection() {
    explore(4, || {
        let d = domain(2);
        let (a, b) = (d.clone(), d.clone());
        let t = thread::spawn(move || inject(&a));
        let u = thread::spawn(move || retarget(&b, 1, 1));
        retarget(&d, 0, 0);
        t.join().unwrap();
        u.join().unwrap();
        let to = target(&d);
        enter(&d, to);
        settle(&d, to);
        assert_eq!(shown(&d, to, SPI), [1], "left with the other");
        enter(&d, 1 - to);
        assert!(shown(&d, 1 - to, SPI).is_empty(), "delivered twice");
    });
}

/// On a ready list of a vCPU that is switched off: nobody but the writer can take it from there.
#[test]
fn retarget_out_of_ready_against_entry_of_the_new_target() {
    explore(4, || {
        let d = domain(2);
        for raw in FIRST {
            inject_private(&d, 0, raw, true);
        }
        inject(&d);
        enter(&d, 0);
        exit(&d, 0);
        schedule_out(&d, 0);
        let other = d.clone();
        let t = thread::spawn(move || retarget(&other, 1, 1));
        enter(&d, 1);
        t.join().unwrap();
        settle(&d, 1);
        assert_eq!(shown(&d, 1, SPI), [1], "left with a vCPU that never runs");
    });
}

/// On a ready list, where it waits for a list register that becomes free on the owner's own CPU just then.
#[test]
fn retarget_out_of_ready_against_exit_and_entry() {
    explore(3, || {
        let d = domain(2);
        for raw in FIRST {
            inject_private(&d, 0, raw, true);
        }
        inject(&d);
        enter(&d, 0);
        assert!(
            shown(&d, 0, SPI).is_empty(),
            "both list registers are taken"
        );
        for raw in FIRST {
            inject_private(&d, 0, raw, false);
        }
        forget_ipis(&d);
        retargeted_against(&d, trap);
    });
}

/// In a saved list register: the writer takes it out of the words while the vCPU is scheduled in with the hardware's copy.
fn retarget_out_of_a_saved_list_register(before: fn(&Vgic)) {
    explore(3, move || {
        let d = domain(2);
        inject(&d);
        enter(&d, 0);
        exit(&d, 0);
        schedule_out(&d, 0);
        before(&d);
        forget_ipis(&d);
        retargeted_against(&d, enter);
    });
}

#[test]
fn retarget_out_of_a_saved_list_register_against_entry() {
    retarget_out_of_a_saved_list_register(|_| {});
}

#[test]
fn retarget_out_of_a_saved_list_register_against_switching_on() {
    retarget_out_of_a_saved_list_register(|d| d.cpu_on(vcpu(d, 0)));
}

/// In a list register that the guest is using: what it has acknowledged is its own until it ends.
#[test]
fn retarget_against_the_guest_that_has_taken_it() {
    explore(4, || {
        let d = domain(2);
        inject(&d);
        enter(&d, 0);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || retarget(&other, 1, 1));
        guest(&d, 0, SPI, 1, 2);
        trap(&d, 0);
        t.join().unwrap();
        settle(&d, 0);
        enter(&d, 1);
        settle(&d, 1);
        assert_eq!(shown(&d, 0, SPI), [2], "active where it was acknowledged");
        assert!(shown(&d, 1, SPI).is_empty(), "delivered twice");
        guest(&d, 0, SPI, 2, 0);
        trap(&d, 0);
        assert!(!read_bit(&d, 1, gicd::ISACTIVER1));
    });
}

/// To a vCPU that is about to block and has found nothing in its inbox.
#[test]
fn retarget_against_blocking() {
    explore(4, || {
        let d = domain(2);
        inject(&d);
        enter(&d, 1);
        exit(&d, 1);
        let other = d.clone();
        let t = thread::spawn(move || retarget(&other, 0, 1));
        let sleeps = block(&d, 1);
        t.join().unwrap();
        assert!(
            !sleeps || is_woken(&d, 1),
            "blocked with an interrupt pending"
        );
    });
}

/// To a vCPU on its way into the guest: the writer, who sorts its inbox for it, has emptied that and not yet said what it
/// holds instead.
#[test]
fn retarget_against_exit_and_entry_of_the_new_target() {
    explore(4, || {
        let d = domain(2);
        inject(&d);
        enter(&d, 1);
        exit(&d, 1);
        forget_ipis(&d);
        let other = d.clone();
        let t = thread::spawn(move || retarget(&other, 0, 1));
        d.has_pending(vcpu(&d, 1));
        d.sync_to(vcpu(&d, 1));
        t.join().unwrap();
        settle(&d, 1);
        assert_eq!(shown(&d, 1, SPI), [1]);
    });
}

/// The same with another interrupt in another list register, of a vCPU that starts afresh.
#[test]
fn retarget_out_of_one_list_register_of_two_against_switching_on() {
    explore(2, || {
        let d = domain(2);
        inject_private(&d, 0, FIRST[0], true);
        inject(&d);
        enter(&d, 0);
        exit(&d, 0);
        schedule_out(&d, 0);
        d.cpu_on(vcpu(&d, 0));
        forget_ipis(&d);
        retargeted_against(&d, enter);
    });
}
