// SPDX-License-Identifier: GPL-2.0-only
//! The recorder that goes into Xen, on the mock Xen: what it writes is converted and replayed.
//!
//! `cargo test --features record --test recorder`

use recording::convert::convert;
use recording::raw::{Event, LrState, Raw};
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::scripts::replay;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

/// An emulated edge, a physical level, and what is sent from vCPU to vCPU.
const EDGE: u32 = 40;
const LEVEL: u32 = 42;
const SGI: u32 = 3;

fn records() -> Vec<Raw> {
    (0..).map_while(xen_glue::record::record).collect()
}

fn serve(cpu: &mut GuestCpu) -> Option<u32> {
    cpu.step();
    cpu.take(|_| ())
}

/// All kinds of events.
fn live(machine: &Machine, domain: &Domain, cpus: &mut [GuestCpu]) {
    for _ in 0..3 {
        machine.hypervisor(2, || domain.inject(EDGE, true));
        assert_eq!(serve(&mut cpus[0]), Some(EDGE));
        machine.gic.set_line(LEVEL as u16, true);
        cpus[0].step();
        let served = cpus[0].take(|_| machine.gic.set_line(LEVEL as u16, false));
        assert_eq!(served, Some(LEVEL));
        linux::send_sgi(&cpus[0], 1, SGI);
        assert_eq!(serve(&mut cpus[1]), Some(SGI));
    }
    cpus[1].psci_off();
    cpus[0].step();
    let (first, second) = cpus.split_at_mut(1);
    first[0].psci_on(&mut second[0]);
    cpus[1].step();
    cpus[0].migrate(3);
    cpus[0].step();
}

#[test]
fn what_the_guest_did_is_recorded_and_replayed() {
    let machine = Machine::power_on(Profile::GICV3.with_cpus(4));
    let domain = Domain::with_vcpus(&machine, Config::dom0(3, 2)).expect("a domain");
    domain.route(LEVEL, LEVEL, true).expect("a free interrupt");
    let mut cpus = linux::boot(&domain);
    for (intid, edge) in [(EDGE, true), (LEVEL, false)] {
        linux::set_trigger(&cpus[0], intid, edge);
        linux::enable(&cpus[0], intid);
    }
    linux::enable(&cpus[1], SGI);
    live(&machine, &domain, &mut cpus);
    drop(cpus);
    drop(domain);
    drop(machine);

    let raw = records();
    let count = |is: fn(&Event) -> bool| raw.iter().filter(|r| is(&r.event)).count();
    assert_eq!(
        count(|e| matches!(
            e,
            Event::DomainMade {
                gic: 3,
                vcpus: 2,
                ..
            }
        )),
        1
    );
    assert_eq!(
        count(|e| *e
            == Event::Connected {
                intid: LEVEL,
                level: true
            }),
        1
    );
    assert_eq!(
        count(|e| matches!(
            e,
            Event::Injected {
                vcpu: None,
                intid: EDGE,
                level: true
            }
        )),
        3
    );
    assert_eq!(count(|e| *e == Event::Off { vcpu: 1 }), 1);
    assert_eq!(count(|e| *e == Event::On { vcpu: 1 }), 1);
    assert_eq!(count(|e| *e == Event::Moved { vcpu: 0 }), 1);
    let ended = |e: &Event| {
        matches!(
            e,
            Event::ListRegister {
                intid: EDGE,
                before: LrState::Pending,
                after: LrState::Invalid,
                ..
            }
        )
    };
    assert_eq!(count(ended), 3);

    let recording = convert(raw.iter().copied(), 0, "the mock").expect("sensible records");
    let good = replay::replay(&recording, |_| {}).expect("a domain");
    assert!(good.is_ok(), "{good}");
    let delivered = |vcpu, intid| good.counts.get(&(vcpu, intid)).map_or(0, |c| c.delivered);
    assert_eq!(
        [delivered(0, EDGE), delivered(0, LEVEL), delivered(1, SGI)],
        [3; 3]
    );
    assert_eq!(
        records().len(),
        raw.len(),
        "the replay's domain is not recorded"
    );
}
