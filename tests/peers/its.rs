// SPDX-License-Identifier: GPL-2.0-only
//! The virtual ITSes of the old C vGIC and of ours: a device's message becomes an LPI, and the same commands lead to the same
//! deliveries, where the old one is right. What it gets wrong is not asked for: a vCPU that waits, a pending LPI that MOVI does not take along,
//! MOVALL, a collection that goes elsewhere, an event that is mapped anew without DISCARD, and tables of two levels.

use crate::{built_or_told, output, rerun};
use std::process::Command as Process;
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::its::{self, FIRST_LPI, Its, command};
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

const DEVICE: u32 = 0x108;
const LPI: u32 = FIRST_LPI + 8;

fn boot(vcpus: usize) -> (Domain, Vec<GuestCpu>) {
    let machine = Machine::power_on(Profile::GICV3.with_itses(1));
    let domain = Domain::with_vcpus(&machine, Config::dom0(3, vcpus)).unwrap();
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    (domain, cpus)
}

/// What each vCPU takes, after a trap: the old vGIC wakes nobody for a pending LPI that INV enables.
fn taken(cpus: &[GuestCpu]) -> Vec<Vec<u32>> {
    let machine = cpus[0].machine();
    (0..machine.pcpus().len()).for_each(|n| machine.quiesce(n));
    cpus.iter().for_each(|cpu| cpu.hypercall(|| ()));
    let all = cpus.iter();
    all.map(|cpu| std::iter::from_fn(|| cpu.take(|_| ())).take(100).collect())
        .collect()
}

#[test]
fn old_turns_a_message_into_an_lpi() {
    rerun("old", "its::message");
}

#[test]
#[ignore = "run by old_turns_a_message_into_an_lpi"]
fn message() {
    let (domain, cpus) = boot(2);
    let its = Its::probe(&domain, &cpus[0], 0);
    its.map_device(&cpus[0], DEVICE, LPI, 4, |_| 1);
    assert!(domain.send_msi(0, DEVICE, 3));
    assert_eq!(taken(&cpus), [vec![], vec![LPI + 3]]);
    // INT does the same, and after DISCARD nothing does.
    its.send(&cpus[0], &[command::int(DEVICE, 3)]);
    assert_eq!(taken(&cpus), [vec![], vec![LPI + 3]]);
    its.send(&cpus[0], &[command::discard(DEVICE, 3)]);
    domain.send_msi(0, DEVICE, 3);
    assert_eq!(taken(&cpus), [vec![], vec![]]);
}

#[test]
fn the_same_commands_deliver_the_same() {
    if !built_or_told("old") {
        return;
    }
    let delivered = |vgic| {
        let mut process = Process::new(std::env::current_exe().unwrap());
        process.args(["--exact", "its::stream", "--ignored", "--nocapture"]);
        let text = output(vgic, process);
        let lines: Vec<String> = text
            .lines()
            .filter(|l| l.contains("delivers"))
            .map(str::to_owned)
            .collect();
        assert!(lines.len() >= STEPS as usize, "{text}");
        lines
    };
    let (old, ours) = (delivered("old"), delivered("rust"));
    for (old, ours) in old.iter().zip(&ours) {
        assert_eq!(old, ours, "old, and ours");
    }
    assert_eq!(old.len(), ours.len());
    let some = ours.iter().filter(|l| l.contains("[8")).count();
    assert!(some > 100, "only {some} steps deliver anything");
}

const STEPS: u32 = 600;
const EVENTS: u32 = 16;
const VCPUS: u32 = 3;

#[test]
#[ignore = "run by the_same_commands_deliver_the_same"]
fn stream() {
    let (domain, cpus) = boot(VCPUS as usize);
    let its = Its::probe(&domain, &cpus[0], 0);
    its.send(&cpus[0], &[command::mapd(DEVICE, 4, its.itt(DEVICE))]);
    let mut mapped = [false; EVENTS as usize];
    let mut dice = fastrand::Rng::with_seed(1);
    for step in 0..STEPS {
        let (event, icid) = (dice.u32(..EVENTS), dice.u32(..VCPUS) as u16);
        let is_mapped = &mut mapped[event as usize];
        let enabled = dice.u32(..4) != 0;
        let from = &cpus[dice.usize(..VCPUS as usize)];
        let what = dice.u32(..8);
        match what {
            0..=2 if !*is_mapped => {
                *is_mapped = true;
                its::configure(&domain, LPI + event, 0xa0, enabled);
                let map = command::mapti(DEVICE, event, LPI + event, icid);
                its.send(from, &[map, command::inv(DEVICE, event)]);
            }
            0 if *is_mapped => {
                *is_mapped = false;
                its.send(from, &[command::discard(DEVICE, event)]);
            }
            1 => its.send(from, &[command::movi(DEVICE, event, icid)]),
            2 => its.send(from, &[command::int(DEVICE, event)]),
            3 if *is_mapped => {
                its::configure(&domain, LPI + event, 0xa0, true);
                its.send(from, &[command::inv(DEVICE, event)]);
            }
            4 if *is_mapped => {
                its::configure(&domain, LPI + event, 0xa0, true);
                (0..VCPUS as u16).for_each(|c| its.send(from, &[command::invall(c)]));
            }
            _ => {
                domain.send_msi(0, DEVICE, event);
            }
        }
        let did = format!("{what} to event {event} ({icid}, {enabled})");
        println!("step {step}: {did} delivers {:?}", taken(&cpus));
    }
}
