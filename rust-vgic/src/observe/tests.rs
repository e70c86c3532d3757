// SPDX-License-Identifier: GPL-2.0-only
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::*;
use crate::Width;
use crate::counters::Told;
use crate::fake::{self, Fake};
use crate::intid::IntId;
use crate::irq::Event;
use std::sync::atomic::Ordering::SeqCst;

const INTID: u32 = 40;

/// A level-sensitive SPI that is enabled and goes to vCPU 1, which takes it.
fn domain() -> (Domain<Fake>, IntId) {
    let domain = fake::v3(2, 32, 0);
    domain.ctlr.store(2, SeqCst);
    for cpu in &domain.host().cpus {
        cpu.vmcr.store(0xf800_0002, SeqCst);
    }
    let intid = IntId::new(INTID).unwrap();
    let to = domain.v(1).id();
    domain.post(domain.v(0), intid, Event::Route(Some(to)));
    domain.post(domain.v(0), intid, Event::Enable(true));
    domain.settle();
    (domain, intid)
}

fn counted(domain: &Domain<Fake>, f: impl FnOnce()) -> Totals {
    let (before, ()) = (domain.totals(), f());
    let after = domain.totals();
    Totals {
        injections: after.injections - before.injections,
        kicks: after.kicks - before.kicks,
        changed_exits: after.changed_exits - before.changed_exits,
        reserved: after.reserved - before.reserved,
    }
}

#[test]
fn an_injection_that_changes_something_is_counted_with_its_kick() {
    let (domain, intid) = domain();
    let raised = counted(&domain, || domain.inject(None, intid, true));
    let expected = Totals {
        injections: 1,
        kicks: 1,
        ..Totals::default()
    };
    assert_eq!(raised, expected);
    // As on each exit of the guest: a line that is high already.
    let again = counted(&domain, || {
        (0..3).for_each(|_| domain.inject(None, intid, true));
    });
    assert_eq!(again, Totals::default());
    let lowered = counted(&domain, || domain.inject(None, intid, false));
    assert_eq!(lowered.injections, 0, "a line that falls is none");
}

#[test]
fn what_is_not_delivered_is_counted_all_the_same() {
    let (domain, intid) = domain();
    domain.post(domain.v(0), intid, Event::Enable(false));
    let counted = counted(&domain, || domain.inject(None, intid, true));
    assert_eq!((counted.injections, counted.kicks), (1, 0));
}

#[test]
fn exits_are_counted_on_which_the_guest_did_something() {
    let (domain, intid) = domain();
    domain.inject(None, intid, true);
    domain.enter(1);
    let idle = counted(&domain, || {
        for _ in 0..3 {
            domain.leave(1);
            domain.enter(1);
        }
    });
    assert_eq!(idle.changed_exits, 0);
    let lr = &domain.host().cpus[1].lrs[0];
    lr.store(lr.load(SeqCst) & !(3 << 62) | 2 << 62, SeqCst);
    let acknowledged = counted(&domain, || domain.leave(1));
    assert_eq!(acknowledged.changed_exits, 1);
}

#[test]
fn accesses_without_a_register_are_counted_where_they_are() {
    let (domain, _) = domain();
    let v = domain.v(0);
    // Of the right width; too wide; in a gap; beyond the frame's end.
    let some = counted(&domain, || {
        assert_eq!(domain.dist_read(v, 0x0104, Width::Double), 0);
        domain.dist_write(v, 0x0104, Width::Word, 0);
        domain.dist_write(v, 0x0014, Width::Word, 1);
        domain.dist_read(v, u32::MAX, Width::Byte);
    });
    assert_eq!(some.reserved, 3);
    // In the redistributor of a vCPU, and where there is none.
    let some = counted(&domain, || {
        domain.redist_read(v, 0, 0x30, Width::Word);
        domain.redist_write(v, 0, 0x30, Width::Word, 1);
        domain.redist_read(v, 1, 0, Width::Word);
        domain.redist_write(v, 2, 0, Width::Word, 1);
        domain.redist_read(v, 0, 0, Width::Word);
    });
    assert_eq!(some.reserved, 4);
}

#[test]
fn only_the_first_mistakes_are_told() {
    let told = Told::new();
    let numbers: Vec<u32> = (0..1000).filter_map(|_| told.next()).collect();
    assert_eq!(numbers, Vec::from_iter(1..=MOST_TOLD));
}

#[test]
fn the_state_of_an_interrupt_can_be_asked_for() {
    let (domain, intid) = domain();
    let shared = |intid| domain.state_of(None, intid);
    assert!(!shared(intid).unwrap().pending());
    domain.inject(None, intid, true);
    assert!(shared(intid).unwrap().pending());
    assert_eq!(domain.state_of(Some(domain.v(0)), intid), shared(intid));
    // A private one is of a vCPU, and there are so many SPIs.
    let ppi = IntId::new(27).unwrap();
    domain.inject(Some(domain.v(1)), ppi, true);
    let pending = |n| domain.state_of(Some(domain.v(n)), ppi).unwrap().pending();
    assert_eq!((pending(0), pending(1)), (false, true));
    assert_eq!(shared(ppi), None);
    assert_eq!(shared(IntId::new(100).unwrap()), None);
}
