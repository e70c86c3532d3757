// SPDX-License-Identifier: GPL-2.0-only
//! The same of the traps that may have to do with every vCPU or every SPI: 128 vCPUs and 1,984 SPIs that any of them may take.

use super::{BUDGET, count, one_trap};
use std::sync::Arc;
use vgic_harness::guests::guest::{GuestCpu, Size, Store};
use vgic_harness::guests::linux::{self, gicd, gicr};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

/// `GICD_IROUTER.Interrupt_Routing_Mode`.
const ANY: u64 = 1 << 31;

/// What the mock does in place of a CPU interface and of a physical GIC: not counted.
const MOCK: [&str; 2] = ["*VirtualCpuInterface::misr", "*PhysicalGic::acknowledge"];

/// All SPIs, and what they are set up as.
fn spis(version: u8) -> impl Iterator<Item = u32> + Clone {
    (32..992).chain(4096..if version == 3 { 5120 } else { 4096 })
}

// The vCPUs go first.
struct Guest {
    cpus: Vec<GuestCpu>,
    domain: Domain,
}

impl Guest {
    /// All SPIs may go to all vCPUs and are enabled.
    fn boot(version: u8) -> Self {
        let (profile, config) = if version == 3 {
            let config = Config::dom0(3, 128).with_espis(1024);
            (Profile::GICV3_ESPI.with_cpus(128), config)
        } else {
            (Profile::GICV2.with_cpus(8), Config::dom0(2, 8))
        };
        let machine: Arc<Machine> = Machine::power_on(profile);
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        let cpus = linux::boot(&domain);
        for intid in spis(version) {
            linux::route_to_any(&cpus[1], intid);
            linux::enable(&cpus[1], intid);
        }
        cpus.iter().for_each(GuestCpu::step);
        Self { cpus, domain }
    }

    /// All of them wait in the inbox of vCPU 0, which does not run.
    fn all_wait(&mut self) {
        self.cpus[0].preempt();
        let machine = &self.domain.machine;
        for intid in spis(self.cpus[0].vcpu.gic_version) {
            machine.hypervisor(1, || self.domain.inject(intid, true));
        }
    }

    /// vCPU 1 stores, until it is done.
    fn store(&self, address: u64, size: Size, value: u64) {
        while one_trap(&self.cpus[1], address, size, value) == Store::Again {}
        // What is left of it comes with the exits that it asks for.
        self.cpus[1..].iter().for_each(GuestCpu::step);
    }

    fn distributor(&self, offset: u64, size: Size, value: u64) {
        self.store(self.domain.gicd() + offset, size, value);
    }

    /// A register of vCPU 0's redistributor.
    fn redistributor(&self, offset: u64, value: u64) {
        let frame = self.cpus[1].gicr_of(0).expect("a redistributor");
        self.store(frame + offset, Size::Word, value);
    }
}

const WAKER: u64 = gicr::WAKER;

/// A name, the version, and what is counted of it.
type Workload = (&'static str, u8, fn(&mut Guest));

const WORKLOADS: &[Workload] = &[
    ("GICD_IROUTER of what waits", 3, |guest| {
        guest.all_wait();
        for intid in [32_u64, 991, 500] {
            guest.distributor(gicd::IROUTER + intid * 8, Size::Double, 1);
        }
    }),
    ("GICD_IROUTER, any vCPU", 3, |guest| {
        guest.all_wait();
        for value in [1, ANY] {
            guest.distributor(gicd::IROUTER + 32 * 8, Size::Double, value);
        }
    }),
    ("GICD_ITARGETSR of what waits", 2, |guest| {
        guest.all_wait();
        for value in [0x0202_0202, 0xffff_ffff] {
            guest.distributor(gicd::ITARGETSR + 32, Size::Word, value);
        }
    }),
    ("GICR_WAKER", 3, |guest| {
        guest.all_wait();
        for value in [2, 0] {
            guest.redistributor(WAKER, value);
        }
    }),
    ("GICD_CTLR", 3, |guest| {
        guest.all_wait();
        let ctlr = guest.cpus[1].gicd_read(gicd::CTLR);
        for value in [ctlr & !3, ctlr] {
            guest.distributor(gicd::CTLR, Size::Word, value.into());
        }
    }),
    ("GICD_ICENABLER and GICD_ISENABLER", 3, |guest| {
        guest.all_wait();
        for offset in [gicd::ICENABLER, gicd::ISENABLER] {
            guest.distributor(offset + 4, Size::Word, 0xffff_ffff);
        }
    }),
    ("GICD_ISPENDR and GICD_ICPENDR", 3, |guest| {
        guest.all_wait();
        for offset in [gicd::ICPENDR, gicd::ISPENDR] {
            guest.distributor(offset + 8, Size::Word, 0xffff_ffff);
        }
    }),
    ("GICD_ISACTIVER and GICD_ICACTIVER", 3, |guest| {
        guest.all_wait();
        for offset in [gicd::ISACTIVER, gicd::ICACTIVER] {
            guest.distributor(offset + 4, Size::Word, 0xffff_ffff);
        }
    }),
    ("GICD_IPRIORITYR of what waits", 3, |guest| {
        guest.all_wait();
        for value in [0x2020_2020, 0xf0f0_f0f0] {
            guest.distributor(gicd::IPRIORITYR + 32, Size::Word, value);
        }
    }),
    ("GICD_IGROUPR of what waits", 3, |guest| {
        guest.all_wait();
        for value in [0, 0xffff_ffff] {
            guest.distributor(gicd::IGROUPR + 4, Size::Word, value);
        }
    }),
    ("an interrupt that nobody can take", 3, |guest| {
        for cpu in &guest.cpus {
            cpu.interface(|i| i.set_group_enable(cpu.group(), false));
        }
        guest.cpus.iter().for_each(GuestCpu::step);
        guest.distributor(gicd::ISPENDR + 4, Size::Word, 0xffff_ffff);
        guest.distributor(gicd::ISPENDR + 8, Size::Word, 0xffff_ffff);
    }),
];

/// What of the mock is not counted in a workload.
pub fn not_counted(workload: &str) -> &'static [&'static str] {
    let ours = WORKLOADS.iter().any(|w| w.0 == workload);
    if ours { &MOCK } else { &[] }
}

/// In the program that is counted. Says whether it is one of these.
pub fn run(name: &str) -> bool {
    let Some((_, version, run)) = WORKLOADS.iter().find(|w| w.0 == name) else {
        return false;
    };
    run(&mut Guest::boot(*version));
    true
}

#[test]
fn one_of_n_no_trap_of_many_vcpus_and_spis_takes_longer_than_the_budget() {
    let mut over = Vec::new();
    for (workload, ..) in WORKLOADS {
        let Some(counts) = count(workload) else {
            return;
        };
        println!("{counts:?} instructions: {workload}");
        if counts.iter().any(|n| *n > BUDGET) {
            over.push((workload, counts));
        }
    }
    assert!(over.is_empty(), "over {BUDGET}: {over:?}");
}
