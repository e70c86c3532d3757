// SPDX-License-Identifier: GPL-2.0-only
//! A domain's vGIC is reset by the toolstack, from any state that guests and devices bring it to, and is that of a new domain: in all
//! there is of it, and to the guest that starts then.

mod guests;
mod scripts;
mod threads;

use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::its::{self, FIRST_LPI, Its};
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

/// All there is of a new domain, the CPU interfaces of whose vCPUs start afresh, as a reset has it.
fn new_image(new: &Domain) -> String {
    new.machine.hypervisor(0, || new.refresh_interfaces());
    new.image()
}

/// The first line that differs is enough for a person.
#[track_caller]
fn assert_new(domain: &Domain, new: &str, when: &str) {
    let image = domain.image();
    assert_ne!(image, "");
    if image != new {
        let mut lines = image.lines().zip(new.lines());
        let differs = lines.find(|(a, b)| a != b);
        panic!("{when}: {differs:#?}");
    }
}
