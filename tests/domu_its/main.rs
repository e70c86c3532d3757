// SPDX-License-Identifier: GPL-2.0-only
//! What device models send: to an ITS of a domain that has no hardware behind it, and to a GICv2m frame.
//!
//! With `--features without-host-its` on a Xen that has no driver of the host's ITSes.

mod frame;
#[path = "../its/hostile.rs"]
mod hostile;
mod life;
mod limits;
mod messages;
mod neighbours;
mod threads;

use std::sync::Arc;
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::its::{self, FIRST_LPI, Its, command};
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain, Errno};
use vgic_harness::xen::host::Machine;

/// A device and its first LPI.
const DEVICE: u32 = 0x108;
const LPI: u32 = FIRST_LPI + 8;

const ENOENT: Errno = Errno(-2);
const EBUSY: Errno = Errno(-16);
const EINVAL: Errno = Errno(-22);
const EOPNOTSUPP: Errno = Errno(-95);

/// Allocations that devices may make of a guest that maps as many as it likes: of the 64 that it may have each is alone on its
/// path, of four nodes.
const DEVICES_COST: isize = 64 * 4;

/// A domain that has been brought up, with LPIs enabled. `$its` is the driver of its ITS.
macro_rules! boot {
    ($profile:expr, $vcpus:expr, $domain:ident, $cpus:ident, $its:ident) => {
        let ($domain, $cpus) = $crate::booted($profile, $vcpus);
        let $its = vgic_harness::guests::its::Its::probe(&$domain, &$cpus[0], 0);
    };
}
use boot;

fn booted(profile: Profile, vcpus: usize) -> (Domain, Vec<GuestCpu>) {
    booted_as(profile, Config::guest(3, vcpus).with_msi())
}

fn booted_as(profile: Profile, config: Config) -> (Domain, Vec<GuestCpu>) {
    let machine: Arc<Machine> = Machine::power_on(profile);
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    domain.unpause();
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    (domain, cpus)
}

/// Small, and quick to boot; the host has no ITS.
const SMALL: Profile = Profile::GICV3;
/// Everything there is, for four vCPUs and four other CPUs. Where Xen has no driver of them, the host's ITSes are not there.
const LARGE: Profile = if cfg!(feature = "without-host-its") {
    Profile::SERVER.with_cpus(8).with_itses(0)
} else {
    Profile::SERVER.with_cpus(8)
};

/// All that is due happens on every CPU of the machine.
fn settle(machine: &Machine) {
    (0..machine.pcpus().len()).for_each(|n| machine.quiesce(n));
}

/// A message of a device model to the first ITS, delivered as far as it goes.
fn send(domain: &Domain, device: u32, event: u32) {
    assert_eq!(domain.message(0, 0, device, event), Ok(()));
    settle(&domain.machine);
}

/// What each vCPU takes.
fn taken(cpus: &[GuestCpu]) -> Vec<Vec<u32>> {
    settle(cpus[0].machine());
    cpus.iter().map(GuestCpu::take_all).collect()
}

/// What the command errors of the first ITS are said to be: how many, and the last.
fn errors(domain: &Domain) -> Option<String> {
    let dump = domain.dump();
    let (_, after) = dump.split_once(" events mapped, ")?;
    after.lines().next().map(str::to_owned)
}
