// SPDX-License-Identifier: GPL-2.0-only
//! LPIs and virtual ITSes through the exported functions, with the host's ITSes behind them.

mod cases;
mod delivery;
mod failures;
mod hostile;
mod kexec;
mod queue;
mod strays;
mod threads;

use std::sync::Arc;
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::its::{self, FIRST_LPI, Its, command};
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

/// Allocations that devices may make of a guest that maps as many as it likes: the host has LPIs for one with that many events.
const DEVICES_COST: isize = 10;

/// A device and its first LPI.
const DEVICE: u32 = 0x108;
const LPI: u32 = FIRST_LPI + 8;

/// A Dom0 that has been brought up, with LPIs enabled. `$its` is the driver of its first ITS.
macro_rules! boot {
    ($profile:expr, $vcpus:expr, $domain:ident, $cpus:ident, $its:ident) => {
        let ($domain, $cpus) = $crate::booted($profile, $vcpus);
        let $its = vgic_harness::guests::its::Its::probe(&$domain, &$cpus[0], 0);
    };
}
use boot;

fn booted(profile: Profile, vcpus: usize) -> (Domain, Vec<GuestCpu>) {
    booted_as(profile, Config::dom0(3, vcpus))
}

/// The same for another domain.
fn booted_as(profile: Profile, config: Config) -> (Domain, Vec<GuestCpu>) {
    let machine: Arc<Machine> = Machine::power_on(profile);
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    (domain, cpus)
}

/// Small, and quick to boot.
const SMALL: Profile = Profile::GICV3.with_itses(1);
/// Everything there is, for four vCPUs.
const LARGE: Profile = Profile::SERVER.with_cpus(4);

/// All that is due happens on every CPU of the machine.
fn settle(machine: &Machine) {
    (0..machine.pcpus().len()).for_each(|n| machine.quiesce(n));
}

/// A device's message to the first ITS, delivered as far as it goes.
fn send(domain: &Domain, device: u32, event: u32) {
    domain.send_msi(0, device, event);
    settle(&domain.machine);
}

/// What each vCPU takes.
fn taken(cpus: &[GuestCpu]) -> Vec<Vec<u32>> {
    settle(cpus[0].machine());
    cpus.iter().map(GuestCpu::take_all).collect()
}
