// SPDX-License-Identifier: GPL-2.0-only
//! Single states that a reset has to get out of, and what comes while it is at it.

use super::walk::{ALL, Inside, OWN, PHYSICAL, boot, domain, own_ppi, stop};
use super::*;
use crate::fake::chance::Chance;
use crate::irq::Place;
use std::collections::BTreeMap;

/// Where each interrupt is found on a list or in a list register, and where its word has it.
fn assert_lists_whole(domain: &Domain<Fake>) {
    let mut found = BTreeMap::new();
    for v in &domain.vcpus {
        let mut see = |intid: u16, place: Place| {
            let whose = if u32::from(intid) < IntId::SPI {
                Some(v.id())
            } else {
                None
            };
            let before = found.insert((whose, intid), (place, Some(v.id())));
            assert_eq!(before, None, "{intid} is on two lists");
        };
        for slot in &v.slots {
            let intid = slot.intid.load(SeqCst);
            if intid != NIL {
                see(intid, Place::Lr);
            }
        }
        let mut chain = |mut at: u16, place| {
            while let Some(irq) = domain.node(v, at).filter(|_| at != NIL) {
                see(at, place);
                at = irq.next.load(SeqCst);
            }
        };
        for inbox in &v.inboxes {
            chain(inbox.load(SeqCst), Place::Inbox);
        }
        let mut lists = v.lock.lock();
        for priority in 0..32 {
            let rest = lists.take_rest(priority);
            chain(rest, Place::Inbox);
            if rest != NIL {
                lists.set_rest(priority, rest);
            }
        }
        for class in [Class::Group0, Class::Group1, Class::Active, Class::ByWrite] {
            for head in lists.heads(class) {
                chain(head, Place::Ready);
            }
        }
    }
    let mut check = |whose, intid: u32, irq: &Irq| {
        let expected = found.remove(&(whose, intid as u16));
        let place = irq.state().place();
        let place = Some(place).filter(|place| place.0 != Place::Idle);
        assert_eq!(place, expected, "{intid} of {whose:?}");
    };
    for v in &domain.vcpus {
        for (n, irq) in (0..).zip(v.all_private()) {
            check(Some(v.id()), n, irq);
        }
    }
    for n in 0..domain.spis_and_espis() {
        if let Some((intid, irq)) = domain.spi_at(n) {
            check(None, intid.raw(), irq);
        }
    }
    for (intid, lpi) in domain.lpis.all(IntId::LPI) {
        check(None, intid.raw(), &lpi.irq);
    }
    assert!(found.is_empty(), "{found:?}");
}

/// Something is injected after each call of a reset that takes many.
fn injected_between_calls(kind: Kind, seed: u64) {
    let domain = domain(kind);
    let mut chance = Chance::new(seed);
    let mut inside = Inside::new(1);
    boot(&domain);
    for step in walk::steps(kind, &mut chance, 150) {
        walk::step(&domain, &mut inside, step);
    }
    stop(&domain, &mut inside);
    while domain.reset_by(1 + chance.below(100) as u32) == Progress::Again {
        for _ in 0..4 {
            let v = domain.v(chance.below(domain.created().count() as u64) as u32);
            let raw = chance.below(96) as u32;
            let hw = PHYSICAL.contains(&(raw as u16)) || raw == OWN;
            match chance.below(4) {
                0 => domain.inject_lpi(IntId::new(8192 + chance.below(40) as u32).unwrap()),
                1 => {
                    let _ = domain.message(1, chance.below(8) as u32, chance.below(6) as u32);
                }
                _ if !hw => {
                    let level = chance.below(2) == 0;
                    domain.inject(Some(v), IntId::new(raw).unwrap(), level);
                }
                _ => {}
            }
        }
        assert_lists_whole(&domain);
    }
    assert_lists_whole(&domain);
    // What can be delivered at once, after it: an SGI of a GICv2. It comes to its vCPU, once.
    let v = domain.v(0);
    let sgi = IntId::new(5).unwrap();
    domain.inject(Some(v), sgi, true);
    assert_lists_whole(&domain);
    domain.host.off.lock().unwrap().clear();
    boot(&domain);
    let irq = v.private(sgi).unwrap();
    assert!(irq.state().ready(), "{seed}: {:?}", irq.state());
    assert_lists_whole(&domain);
    // And each line that is up is pending, of what is enabled now.
    for n in 0..domain.spis_and_espis() {
        if let Some((_, irq)) = domain.spi_at(n) {
            let s = irq.state();
            assert_eq!(s.pending(), s.line() && s.level() || s.latch(), "{n}");
        }
    }
    reset(&domain);
    assert_lists_whole(&domain);
}

#[test]
fn reset_with_injection_between_its_calls() {
    for kind in [Kind::V2, Kind::V2m, Kind::V2OnV3, Kind::V3, Kind::Its] {
        for seed in 0..20 {
            injected_between_calls(kind, seed);
        }
    }
}

/// A level, an edge and a PPI of the host's are active in list registers; another level has fired since, and waits.
#[test]
fn reset_settles_physical_interrupts() {
    let domain = domain(Kind::V3);
    let mut inside = Inside::new(ALL);
    boot(&domain);
    let fire = |domain: &Domain<Fake>, inside: &mut Inside| {
        for raw in [40, 41] {
            walk::step(domain, inside, Step::Fires(raw));
        }
    };
    fire(&domain, &mut inside);
    // Groups on, which its next entry sees.
    domain.host.cpus[0].vmcr.store(0xf800_0003, SeqCst);
    for step in [
        Step::Enter(0),
        Step::OwnFires(true),
        Step::Leave(0),
        Step::Enter(0),
    ] {
        walk::step(&domain, &mut inside, step);
    }
    assert_eq!(domain.loaded(0), [OWN as u16, 40, 41]);
    let cpu = &domain.host.cpus[0];
    cpu.lrs.iter().take(3).for_each(|lr| {
        let was = lr.load(SeqCst);
        lr.store(was & !(1 << 62) | 1 << 63, SeqCst);
    });
    walk::step(&domain, &mut inside, Step::Fires(42));
    stop(&domain, &mut inside);
    let active = |domain: &Domain<Fake>| PHYSICAL.map(|raw| domain.host.phys_state(raw).active);
    assert_eq!(active(&domain), [true; 3]);
    reset(&domain);
    assert_eq!(active(&domain), [false; 3]);
    for raw in PHYSICAL {
        let phys = domain.host.phys_state(raw);
        assert!(!phys.enabled && !phys.pending && !phys.torn, "{phys:?}");
        assert_eq!(domain.phys_of(IntId::new(raw.into()).unwrap()), Some(raw));
    }
    // They fire for the next guest as for a new one, and so does the vCPU's own.
    let mut inside = Inside::new(ALL);
    boot(&domain);
    fire(&domain, &mut inside);
    assert_eq!(active(&domain), [true, true, false]);
    own_ppi(&domain, |v, own| {
        assert!(domain.load_private(v, own, true), "its line is up");
    });
    assert!(domain.host.phys_state(OWN as u16).active);
    domain.host.cpus[0].vmcr.store(0xf800_0003, SeqCst);
    walk::step(&domain, &mut inside, Step::Enter(0));
    assert_eq!(domain.loaded(0), [OWN as u16, 40, 41]);
}

/// What a vCPU's list registers hold in the hardware is written over before its guest runs again.
#[test]
fn reset_leaves_no_list_register_to_the_guest() {
    for kind in [Kind::V2, Kind::V2OnV3, Kind::V3] {
        let domain = domain(kind);
        let mut inside = Inside::new(ALL);
        boot(&domain);
        domain.host.cpus[0].vmcr.store(0xf800_0003, SeqCst);
        for raw in 50..56 {
            domain.inject(None, IntId::new(raw).unwrap(), true);
        }
        walk::step(&domain, &mut inside, Step::Enter(0));
        assert_eq!(domain.loaded(0).len(), 3, "{kind:?}");
        stop(&domain, &mut inside);
        reset(&domain);
        assert!(!domain.has_pending(domain.v(0)));
        walk::step(&domain, &mut inside, Step::Enter(0));
        assert_eq!(domain.loaded(0), [], "{kind:?}");
        assert_eq!(
            domain.host.cpus[0].vmcr.load(SeqCst),
            0,
            "as after power-on"
        );
    }
}

/// Two at once: one does it, and the other one is told to come again.
#[test]
fn reset_is_for_one_at_a_time() {
    let domain = domain(Kind::V3);
    boot(&domain);
    assert!(domain.resetting.begin());
    let before = image(&domain);
    assert_eq!(domain.reset(), Progress::Again);
    assert_eq!(image(&domain), before, "nothing was done");
    domain.resetting.end();
    reset(&domain);
}

/// By name, whatever walks come by: where the messages of an LPI went, and writes that GICD_CTLR.RWP told of.
#[test]
fn reset_leaves_no_route_and_no_write() {
    let domain = domain(Kind::Its);
    let mut inside = Inside::new(ALL);
    boot(&domain);
    let mut chance = Chance::new(1);
    for step in walk::steps(Kind::Its, &mut chance, 0) {
        walk::step(&domain, &mut inside, step);
    }
    walk::step(&domain, &mut inside, Step::Enter(1));
    for value in [0b01, 0b11] {
        walk::step(&domain, &mut inside, Step::Dist(0, 0, Width::Word, value));
    }
    let writes = |domain: &Domain<Fake>| format!("{:?}", domain.writes);
    let routes = |domain: &Domain<Fake>| {
        let all = domain.lpis.all(IntId::LPI);
        all.filter(|(_, lpi)| lpi.route().is_some()).count()
    };
    let new = walk::domain(Kind::Its);
    assert_eq!(routes(&domain), 8);
    assert_ne!(writes(&domain), writes(&new));
    stop(&domain, &mut inside);
    reset(&domain);
    assert_eq!(routes(&domain), 0);
    assert_eq!(writes(&domain), writes(&new));
}
