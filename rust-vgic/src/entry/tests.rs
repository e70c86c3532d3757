// SPDX-License-Identifier: GPL-2.0-only
//! A physical interrupt whose virtual one leaves a list register without the guest's doing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::VcpuId;
use crate::fake::{self, Fake};
use crate::intid::IntId;
use crate::irq::Event;
use std::sync::atomic::Ordering::SeqCst;

const PHYS: u16 = 60;
const INTID: u32 = 40;

/// A hardware-mapped SPI that has fired and is in a list register of vCPU 0, pending.
fn fired() -> (Domain<Fake>, IntId) {
    let domain = fake::v2(2, 32);
    let intid = IntId::new(INTID).unwrap();
    domain.host().change(PHYS, |phys| phys.level = true);
    domain.connect(intid, PHYS).unwrap();
    domain.ctlr.store(1, Ordering::SeqCst);
    for cpu in &domain.host().cpus {
        cpu.vmcr.store(0xf800_0001, SeqCst);
    }
    domain.post(domain.v(0), intid, Event::Targets(1, VcpuId::new(0)));
    domain.post(domain.v(0), intid, Event::Enable(true));
    domain.host().change(PHYS, |phys| {
        phys.active = true;
        phys.pending = true;
    });
    domain.inject(None, intid, true);
    domain.enter(0);
    assert_eq!(domain.loaded(0).len(), 1);
    (domain, intid)
}

/// The guest acknowledges what its first list register has.
fn acknowledge(domain: &Domain<Fake>) {
    let lr = &domain.host().cpus[0].lrs[0];
    lr.store(lr.load(SeqCst) & !(3 << 28) | 2 << 28, SeqCst);
}

fn is_let_go(domain: &Domain<Fake>, intid: IntId) -> bool {
    let state = domain.irq(domain.v(0), intid).unwrap().state();
    !domain.host().phys_state(PHYS).active && !state.phys() && !state.phys_lr()
}

#[test]
fn clearing_the_pending_state_lets_the_physical_interrupt_go() {
    let (domain, intid) = fired();
    domain.leave(0);
    domain.post_phys(domain.v(0), intid, Event::ClearPending);
    domain.enter(0);
    assert!(is_let_go(&domain, intid));
}

#[test]
fn a_trapped_deactivation_deactivates_the_physical_interrupt() {
    let (domain, intid) = fired();
    acknowledge(&domain);
    domain.leave(0);
    domain.post_phys(domain.v(0), intid, Event::ClearActive);
    domain.enter(0);
    assert!(is_let_go(&domain, intid));
}

#[test]
fn so_does_one_by_another_vcpu_while_it_runs() {
    let (domain, intid) = fired();
    acknowledge(&domain);
    domain.leave(0);
    domain.enter(0);
    domain.post_phys(domain.v(1), intid, Event::ClearActive);
    domain.leave(0);
    domain.enter(0);
    assert!(is_let_go(&domain, intid));
}

#[test]
fn so_does_one_of_an_interrupt_that_is_routed_elsewhere() {
    let (domain, intid) = fired();
    acknowledge(&domain);
    domain.leave(0);
    domain.post(domain.v(0), intid, Event::Targets(2, VcpuId::new(1)));
    domain.post_phys(domain.v(0), intid, Event::ClearActive);
    domain.enter(0);
    assert!(is_let_go(&domain, intid));
}

#[test]
fn what_stayed_because_it_was_active_moves_at_the_exit_that_sees_its_end() {
    let domain = fake::v3(2, 32, 0);
    domain.ctlr.store(2, Ordering::SeqCst);
    for cpu in &domain.host().cpus {
        cpu.vmcr.store(0xf800_0002, SeqCst);
    }
    let intid = IntId::new(INTID).unwrap();
    domain.post(domain.v(0), intid, Event::Enable(true));
    domain.inject(None, intid, true);
    domain.enter(0);
    let lr = &domain.host().cpus[0].lrs[0];
    let (pending, active) = (1 << 62, 1 << 63);
    lr.store(lr.load(SeqCst) & !pending | active, SeqCst);
    domain.leave(0);
    domain.post(domain.v(0), intid, Event::Route(VcpuId::new(1)));
    domain.enter(0);
    assert_eq!(domain.loaded(0).len(), 1, "active: it stays");
    domain.host().kicked();
    lr.store(lr.load(SeqCst) & !active, SeqCst);
    domain.leave(0);
    // The line is high still. vCPU 0 may not be entered for long, or ever.
    assert_eq!(domain.host().kicked(), [1]);
    domain.enter(1);
    assert_eq!(domain.loaded(1).len(), 1);
}

/// Two vCPUs with edge-triggered SPIs from 40 on, enabled, vCPU 0 in the guest with nothing to do.
fn settled() -> Domain<Fake> {
    let domain = fake::v3(2, 32, 0);
    domain.ctlr.store(2, Ordering::SeqCst);
    for cpu in &domain.host().cpus {
        cpu.vmcr.store(0xf800_0002, SeqCst);
    }
    for raw in INTID..INTID + 3 {
        let intid = IntId::new(raw).unwrap();
        domain.post(domain.v(0), intid, Event::Trigger { level: false });
        domain.post(domain.v(0), intid, Event::Enable(true));
    }
    domain.enter(0);
    domain.leave(0);
    domain
}

fn edge(domain: &Domain<Fake>, raw: u32) {
    domain.inject(None, IntId::new(raw).unwrap(), true);
}

/// A guest whose CPU interface is in memory sees what was written when it runs, whichever way it was entered.
#[test]
fn ordering_of_list_registers_before_the_guest() {
    let domain = settled();
    let seen = |what: &str| {
        let unseen = domain.host().cpus[0].unseen.load(SeqCst);
        assert!(!unseen, "{what}");
    };
    domain.enter(0);
    seen("nothing");
    domain.leave(0);
    edge(&domain, 40);
    domain.enter(0);
    seen("one alone");
    domain.leave(0);
    edge(&domain, 41);
    edge(&domain, 42);
    domain.enter(0);
    seen("two");
    domain.leave(0);
    domain.post(domain.v(0), IntId::new(41).unwrap(), Event::Enable(false));
    domain.enter(0);
    seen("one less");
    domain.leave(0);
    domain.cpu_on(domain.v(0));
    domain.enter(0);
    seen("after CPU_ON");
}

#[test]
fn what_comes_while_nothing_else_changes_is_loaded_however_many_they_are() {
    let domain = settled();
    edge(&domain, INTID);
    domain.enter(0);
    assert_eq!(domain.loaded(0), [40]);
    domain.leave(0);
    edge(&domain, INTID + 1);
    edge(&domain, INTID + 2);
    domain.enter(0);
    assert_eq!(domain.loaded(0), [40, 41, 42]);
}

/// More wait in an inbox than are sorted at once; then one comes that is more urgent.
#[test]
fn what_comes_behind_a_long_inbox_is_not_left_for_later() {
    let domain = fake::v3(1, 320, 0);
    domain.ctlr.store(2, Ordering::SeqCst);
    domain.host().cpus[0].vmcr.store(0xf800_0002, SeqCst);
    (32..332).for_each(|raw| domain.raise(raw, 0xa0, true));
    domain.enter(0);
    domain.leave(0);
    domain.raise(340, 0x20, true);
    domain.enter(0);
    assert!(domain.loaded(0).contains(&340), "{:?}", domain.loaded(0));
}

/// All SPIs are raised, one after the other, with these priorities.
fn crowd(priorities: impl Fn(u32) -> u8) -> Domain<Fake> {
    let domain = fake::v3(1, 960, 0);
    domain.ctlr.store(3, Ordering::SeqCst);
    domain.host().cpus[0].vmcr.store(0xf800_0002, SeqCst);
    (32..992).for_each(|raw| domain.raise(raw, priorities(raw), true));
    domain
}

/// The guest serves and ends what is in its list registers, until nothing is; what came, entry by entry.
fn taken(domain: &Domain<Fake>) -> Vec<Vec<u16>> {
    std::iter::from_fn(|| {
        domain.enter(0);
        let loaded = domain.loaded(0);
        for raw in &loaded {
            domain.inject(None, IntId::new(u32::from(*raw)).unwrap(), false);
        }
        (domain.host().cpus[0].lrs.iter()).for_each(|lr| lr.store(0, SeqCst));
        domain.leave(0);
        (!loaded.is_empty()).then_some(loaded)
    })
    .take(1000)
    .collect()
}

#[test]
fn most_urgent_first_whatever_came_after_it() {
    for urgent in [32, 40, 500, 991] {
        let domain = crowd(|raw| if raw == urgent { 0x20 } else { 0xa0 });
        domain.enter(0);
        let loaded = domain.loaded(0);
        assert!(loaded.contains(&(urgent as u16)), "{urgent}: {loaded:?}");
    }
}

#[test]
fn most_urgent_first_to_the_last() {
    let priority = |raw: u32| (raw.wrapping_mul(0x9e37_79b1) >> 24) as u8 & 0xf8;
    let domain = crowd(priority);
    let taken = taken(&domain);
    assert_eq!(taken.iter().flatten().count(), 960);
    let range = |lot: &[u16]| {
        let priorities = lot.iter().map(|raw| priority((*raw).into()));
        (priorities.clone().min().unwrap(), priorities.max().unwrap())
    };
    for two in taken.windows(2) {
        assert!(range(&two[0]).1 <= range(&two[1]).0, "{two:?}");
    }
}

/// More than are sorted at once of a group that is off come before it.
#[test]
fn most_urgent_first_behind_those_of_a_group_that_is_off() {
    let domain = fake::v3(1, 960, 0);
    domain.ctlr.store(3, Ordering::SeqCst);
    domain.host().cpus[0].vmcr.store(0xf800_0002, SeqCst);
    // These are in list registers, or wait sorted.
    (901..992).for_each(|raw| domain.raise(raw, 0xa0, true));
    domain.enter(0);
    domain.leave(0);
    let less = domain.loaded(0);
    domain.raise(900, 0x40, true);
    (32..900).for_each(|raw| domain.raise(raw, 0x20, false));
    let entries = (1..100).find(|_| {
        domain.enter(0);
        let loaded = domain.loaded(0);
        let others = loaded.iter().filter(|raw| !less.contains(raw));
        assert!(others.clone().all(|raw| *raw == 900), "{loaded:?}");
        domain.leave(0);
        loaded.contains(&900)
    });
    assert_eq!(entries, Some(4), "868, in lots of 256");
}

#[test]
fn most_urgent_first_if_it_becomes_so_while_it_waits_unsorted() {
    let domain = crowd(|_| 0xa0);
    let intid = IntId::new(32).unwrap();
    domain.post(domain.v(0), intid, Event::Priority(0x20));
    domain.enter(0);
    assert!(domain.loaded(0).contains(&32), "{:?}", domain.loaded(0));
}

#[test]
fn what_comes_alone_and_is_not_for_the_guest_waits() {
    let domain = settled();
    domain.ctlr.store(0, Ordering::SeqCst);
    edge(&domain, INTID);
    domain.enter(0);
    assert!(domain.loaded(0).is_empty());
    domain.leave(0);
    domain.ctlr.store(2, Ordering::SeqCst);
    domain.enter(0);
    assert_eq!(domain.loaded(0), [40]);
}

/// A level SPI whose line is high, in a list register.
fn high() -> (Domain<Fake>, IntId) {
    let domain = settled();
    let intid = IntId::new(INTID).unwrap();
    domain.post(domain.v(0), intid, Event::Trigger { level: true });
    domain.inject(None, intid, true);
    domain.enter(0);
    assert_eq!(domain.loaded(0), [40]);
    (domain, intid)
}

#[test]
fn a_line_that_falls_before_it_is_taken_leaves_the_list_register() {
    let (domain, intid) = high();
    domain.inject(None, intid, false);
    domain.leave(0);
    domain.enter(0);
    assert!(domain.loaded(0).is_empty());
}

#[test]
fn a_line_that_falls_when_it_has_been_served_is_no_reason_to_look() {
    let (domain, intid) = high();
    // The guest has taken and ended it.
    domain.host().cpus[0].lrs[0].store(0, SeqCst);
    domain.inject(None, intid, false);
    domain.leave(0);
    domain.enter(0);
    assert!(domain.loaded(0).is_empty());
    assert_eq!(domain.v(0).flags.load(SeqCst) & Flags::FELL.bits(), 0);
    domain.leave(0);
    domain.inject(None, intid, true);
    domain.enter(0);
    assert_eq!(domain.loaded(0), [40]);
}

#[test]
fn what_the_guest_has_not_touched_moves_at_the_exit_if_it_is_routed_elsewhere() {
    let domain = settled();
    let intid = IntId::new(INTID).unwrap();
    edge(&domain, INTID);
    domain.enter(0);
    domain.post(domain.v(1), intid, Event::Route(VcpuId::new(1)));
    // vCPU 0 may not be entered for long, or ever.
    domain.leave(0);
    domain.enter(1);
    assert_eq!(domain.loaded(1), [40]);
    domain.enter(0);
    assert!(domain.loaded(0).is_empty());
}

#[test]
fn what_stays_pending_when_its_line_falls_needs_no_look_at_its_end() {
    const EOI: u64 = 1 << 41;
    let domain = settled();
    let intid = IntId::new(INTID).unwrap();
    domain.post(domain.v(0), intid, Event::Trigger { level: true });
    domain.post(domain.v(0), intid, Event::SetPending);
    domain.inject(None, intid, true);
    domain.enter(0);
    let lr = || domain.host().cpus[0].lrs[0].load(SeqCst);
    assert_ne!(lr() & EOI, 0);
    domain.leave(0);
    domain.inject(None, intid, false);
    domain.enter(0);
    assert_eq!((domain.loaded(0), lr() & EOI), (vec![40], 0));
}

/// Its trigger type is as at reset, level-sensitive, and may not be the guest's to choose: no line has fallen.
#[test]
fn physical_edge_that_the_guest_has_as_a_level_is_delivered() {
    let (domain, intid) = fired();
    domain.leave(0);
    for edge in [true, false] {
        domain.host().change(PHYS, |phys| {
            phys.pending = false;
            phys.edge = edge;
        });
        domain.v(0).raise(Flags::LOOK);
        domain.enter(0);
        assert_eq!(domain.loaded(0).len(), usize::from(edge));
        domain.leave(0);
    }
    assert!(is_let_go(&domain, intid));
}
