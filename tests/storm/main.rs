// SPDX-License-Identifier: GPL-2.0-only
//! Storms: what a domain has of the host's interrupts runs against a token bucket, and over it the source is held until a timer lets
//! it go. Counted exactly, since time passes on request alone.

mod domains;
mod limits;
mod lpis;
mod spis;
mod threads;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::its::{self, FIRST_LPI, Its, command};
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

/// A device and its first LPI.
const DEVICE: u32 = 0x108;
const LPI: u32 = FIRST_LPI + 8;

/// Of a bucket: tokens in a second, and at most.
const RATE: u32 = 1000;
const BURST: u32 = 20;
/// Until half of the burst is there again, for who has used it up.
const HELD: Duration = Duration::from_nanos(10_000_001);
const TICK: Duration = Duration::from_nanos(1);

const SMALL: Profile = Profile::GICV3.with_itses(1);

/// A Dom0 that has been brought up, with LPIs enabled and that limit. `$its` is the driver of its ITS.
macro_rules! boot {
    ($vcpus:expr, $domain:ident, $cpus:ident, $its:ident) => {
        let ($domain, $cpus) = $crate::booted($vcpus);
        let $its = vgic_harness::guests::its::Its::probe(&$domain, &$cpus[0], 0);
    };
}
use boot;

fn booted(vcpus: usize) -> (Domain, Vec<GuestCpu>) {
    let machine: Arc<Machine> = Machine::power_on(SMALL);
    let domain =
        Domain::with_vcpus(&machine, Config::dom0(3, vcpus).with_storms()).expect("a domain");
    domain.set_storm(RATE, BURST);
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    (domain, cpus)
}

/// All that is due happens on every CPU of the machine.
fn settle(machine: &Machine) {
    machine.settle();
}

/// A device's message, delivered as far as it goes.
fn send(domain: &Domain, event: u32) {
    domain.send_msi(0, DEVICE, event);
    settle(&domain.machine);
}

fn pass(domain: &Domain, time: Duration) {
    domain.machine.pass(time);
    settle(&domain.machine);
}

/// What each vCPU takes, until there is no more.
fn taken(cpus: &[GuestCpu]) -> Vec<Vec<u32>> {
    settle(cpus[0].machine());
    cpus.iter().map(GuestCpu::take_all).collect()
}

/// Interrupts that the machine's CPUs have taken.
fn interrupts(machine: &Machine) -> u64 {
    let count = |n| machine.pcpu(n).counters.interrupts.load(Relaxed);
    (0..machine.pcpus().len()).map(count).sum()
}

/// The physical LPI of an event.
fn physical(domain: &Domain, event: u32) -> u32 {
    domain.physical_lpi(0, DEVICE, event).expect("a mapping")
}

/// Is it held, as far as its property byte says?
fn is_held(domain: &Domain, event: u32) -> bool {
    !domain.machine.gic.lpi_property(physical(domain, event))
}

/// Uses up what the bucket has, by as many messages as there are tokens.
fn exhaust(domain: &Domain, cpus: &[GuestCpu], event: u32) {
    for n in 0..BURST {
        assert!(!is_held(domain, event), "held after {n} messages");
        send(domain, event);
        let count: usize = taken(cpus).iter().map(Vec::len).sum();
        assert_eq!(count, 1, "message {n}");
    }
}

/// The same with one more, for which there is no token. It arrives as well.
fn storm(domain: &Domain, cpus: &[GuestCpu], event: u32) {
    exhaust(domain, cpus, event);
    send(domain, event);
    assert!(is_held(domain, event));
    let count: usize = taken(cpus).iter().map(Vec::len).sum();
    assert_eq!(count, 1);
}

/// What the console says of storms: held how often, now how many LPIs, SPIs.
fn dumped(domain: &Domain) -> Option<(u64, u64, u64)> {
    let text = domain.dump();
    let lines: Vec<&str> = text.lines().filter(|l| l.contains("storms: ")).collect();
    let line = lines.first()?;
    assert_eq!(lines.len(), 1, "{text}");
    let after = |what: &str| -> u64 {
        let rest = line.split(what).nth(1).expect("it is there");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    Some((after("held "), after("now "), after("LPIs, ")))
}
