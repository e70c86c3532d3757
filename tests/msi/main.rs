// SPDX-License-Identifier: GPL-2.0-only
//! PCI functions that domains own: MSI and MSI-X from what the guest writes to what a vCPU takes, with an ITS, with a GICv2m frame and
//! with an rVID.

mod affinity;
mod failures;
mod hostile;
mod life;
mod linux_msi;
mod linux_msix;
mod model;
mod owed;
mod storms;
mod threads;

use std::sync::Arc;
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::guest::hvc::{DOORBELL, rvic, rvid};
use vgic_harness::guests::its::{self, FIRST_LPI, Its, command};
use vgic_harness::guests::linux;
use vgic_harness::guests::pci::Device;
use vgic_harness::machine::pci::{Raised, Shape, reg};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{
    Config, Domain, Errno, GUEST_GICV2M_BASE, GUEST_GICV3_ITS_BASE, MSI_SETSPI_NS, TRANSLATER,
};
use vgic_harness::xen::host::Machine;
use vgic_harness::xen::pci::Pci;
use vgic_harness::xen::vpci::Vpci;

const LPI: u32 = FIRST_LPI + 8;
/// The guest's DeviceID of a function on its virtual bus.
const DEVICE: u32 = 0x8;
/// The host's, which no guest is to see.
const DEVID: u32 = 0x1234;

/// What takes messages in a domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Its,
    Frame,
    Rvid,
}

const KINDS: [Kind; 3] = [Kind::Its, Kind::Frame, Kind::Rvid];

impl Kind {
    /// A machine with an ITS that runs such a domain.
    fn profile(self) -> Profile {
        match self {
            Self::Its | Self::Rvid => Profile::GICV3.with_itses(1),
            Self::Frame => Profile::GICV3_GICV.with_itses(1),
        }
    }

    fn config(self, vcpus: usize) -> Config {
        match self {
            Self::Its => Config::guest(3, vcpus),
            Self::Frame => Config::guest(2, vcpus),
            Self::Rvid => Config::rvic(vcpus),
        }
        .with_msi()
    }
}

/// A guest that has been brought up.
struct Guest<'a> {
    domain: &'a Domain,
    cpus: Vec<GuestCpu>,
    kind: Kind,
    its: Option<Its<'a>>,
}

fn domain(machine: &Arc<Machine>, config: Config) -> Domain {
    let domain = Domain::with_vcpus(machine, config).expect("a domain");
    domain.unpause();
    domain
}

impl<'a> Guest<'a> {
    fn boot(domain: &'a Domain, kind: Kind) -> Self {
        let cpus: Vec<GuestCpu>;
        let mut driver = None;
        if kind == Kind::Rvid {
            let all = 0..domain.config.vcpus;
            cpus = all.map(|id| GuestCpu::start(domain, id)).collect();
            cpus.iter().for_each(GuestCpu::enable_rvic);
        } else {
            cpus = linux::boot(domain);
        }
        if kind == Kind::Its {
            its::enable_lpis(domain, &cpus);
            driver = Some(Its::probe(domain, &cpus[0], 0));
        }
        Self {
            domain,
            cpus,
            kind,
            its: driver,
        }
    }

    fn cpu(&self) -> &GuestCpu {
        &self.cpus[0]
    }

    fn machine(&self) -> &Arc<Machine> {
        &self.domain.machine
    }

    fn doorbell(&self) -> u64 {
        match self.kind {
            Kind::Its => GUEST_GICV3_ITS_BASE + TRANSLATER,
            Kind::Frame => GUEST_GICV2M_BASE + MSI_SETSPI_NS,
            Kind::Rvid => DOORBELL,
        }
    }

    /// The first of the numbers that interrupts of messages have, and of the data that they are sent with.
    fn base(&self) -> u32 {
        match self.kind {
            Kind::Its => 0,
            Kind::Frame => self.domain.msi_spis().expect("a frame").0,
            Kind::Rvid => self.domain.nr_spis() - 32,
        }
    }

    /// The guest has so many interrupts of a device, which are taken as `first` and on: those on the vCPU that `to` says. Number n is sent
    /// with `data(n)`.
    fn map(&self, device: u32, first: u32, count: u32, to: impl Fn(u32) -> usize) {
        let cpu = self.cpu();
        if let Some(its) = &self.its {
            its.map_device(cpu, device, LPI + first, count, |n| to(n) as u16);
            return;
        }
        for n in 0..count {
            let data = self.base() + first + n;
            if self.kind == Kind::Frame {
                linux::route(cpu, data, to(n));
                linux::enable(cpu, data);
            } else {
                let target = &self.cpus[to(n)];
                let affinity = GuestCpu::affinity(target.vcpu.id);
                let intid = u64::from(data) + 32;
                target.must(rvid::MAP, [data.into(), affinity, intid]);
                target.unmask(intid);
            }
        }
    }

    /// What number n is sent with, of a device whose first is `first`.
    fn data(&self, first: u32, n: u32) -> u32 {
        match self.kind {
            Kind::Its => n,
            Kind::Frame | Kind::Rvid => self.base() + first + n,
        }
    }

    fn message(&self, first: u32) -> impl Fn(u32) -> (u64, u32) + '_ {
        move |n| (self.doorbell(), self.data(first, n))
    }

    /// What a vCPU takes now, by its numbers.
    fn take(&self, cpu: &GuestCpu) -> Vec<u32> {
        match self.kind {
            Kind::Its => cpu.take_all().iter().map(|intid| intid - LPI).collect(),
            Kind::Frame => {
                let all = cpu.take_all();
                all.iter().map(|intid| intid - self.base()).collect()
            }
            Kind::Rvid => {
                cpu.step();
                let mut all = Vec::new();
                while let Ok(intid) = cpu.call(rvic::ACKNOWLEDGE, [0; 3]) {
                    all.push(intid as u32 - 32 - self.base());
                    cpu.unmask(intid);
                }
                all
            }
        }
    }

    /// What each vCPU takes, once all that is due has happened.
    fn taken(&self) -> Vec<Vec<u32>> {
        settle(self.machine());
        self.cpus.iter().map(|cpu| self.take(cpu)).collect()
    }

    /// The same of all of them, sorted.
    fn all_taken(&self) -> Vec<u32> {
        let mut all = self.taken().concat();
        all.sort_unstable();
        all
    }
}

/// All that is due happens on every CPU of the machine.
fn settle(machine: &Machine) {
    (0..machine.pcpus().len()).for_each(|n| machine.quiesce(n));
}

/// Runs `test` with a guest of each kind, and one function of the host's that nobody owns yet.
fn each(vcpus: usize, shape: Shape, test: impl Fn(&Guest, &Arc<Pci>)) {
    for kind in KINDS {
        let machine = Machine::power_on(kind.profile());
        let pci = Arc::new(Pci::new(&machine, shape, 0, DEVID));
        let domain = domain(&machine, kind.config(vcpus));
        let guest = Guest::boot(&domain, kind);
        test(&guest, &pci);
        drop(guest);
        drop(domain);
        drop(pci);
        let reports = machine.take_reports();
        assert!(reports.is_empty(), "{kind:?}: {reports:#?}");
    }
}

fn assign<'d>(guest: &Guest<'d>, pci: &Arc<Pci>) -> Vpci<'d> {
    Vpci::assign(guest.domain, pci, DEVICE).expect("a function")
}

/// What the host has bound of a function, all of it.
fn bound(pci: &Pci) -> Vec<(u32, u32, u32)> {
    let all = 0..pci.events();
    all.filter_map(|event| pci.bound(event).map(|(device, data)| (event, device, data)))
        .collect()
}
