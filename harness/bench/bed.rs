// SPDX-License-Identifier: GPL-2.0-only
//! A guest that has been brought up, for measuring: the vGIC's functions are called as Xen calls them, without the mock's
//! way through an exit, which would hand over three levels each time.

use crate::guests::guest::{GuestCpu, Size};
use crate::guests::linux::{self, gicd};
use crate::machine::cpuif::{Group, VirtualCpuInterface};
use crate::machine::profile::Profile;
use crate::xen::abi;
use crate::xen::domain::{Config, Domain};
use crate::xen::host::{Machine, Pcpu};
use crate::xen::vcpu::Vcpu;
use anyhow::{Result, bail};
use std::sync::Arc;

/// As many as Xen lets a domain have: a multiple of 32.
pub(super) const SPIS: u32 = 960;
/// The first SPI that is used.
pub(super) const SPI: u32 = 40;

/// A machine, a domain, and its vCPUs, all of them in the guest.
pub(super) struct Bed {
    pub cpus: Vec<GuestCpu>,
    pub domain: Domain,
}

/// A vCPU on its CPU, between the functions of the vGIC.
pub(super) struct Here<'a> {
    pub machine: &'a Machine,
    pub pcpu: &'a Pcpu,
    pub v: &'a Vcpu,
    group: Group,
}

impl Bed {
    /// A guest with a GIC of this version, with as many SPIs as there can be. All SPIs are edge-triggered and enabled.
    pub fn new(gic: u8, vcpus: usize) -> Result<Self> {
        let bed = Self::unconfigured(profile(gic, vcpus), Config::dom0(gic, vcpus))?;
        let cpu = &bed.cpus[0];
        for n in 2..bed.domain.config.spis.div_ceil(16) + 2 {
            cpu.gicd_write(gicd::ICFGR + u64::from(n) * 4, 0xaaaa_aaaa);
        }
        for n in 1..bed.domain.config.spis.div_ceil(32) + 1 {
            cpu.gicd_write(gicd::ISENABLER + u64::from(n) * 4, !0);
        }
        for cpu in &bed.cpus {
            for ppi in [Vcpu::VTIMER, Vcpu::PTIMER, Vcpu::EVTCHN] {
                linux::enable(cpu, ppi);
            }
        }
        Ok(bed)
    }

    /// A guest as Linux brings it up, and no more.
    pub fn unconfigured(profile: Profile, config: Config) -> Result<Self> {
        let config = Config {
            spis: profile.spis as u32,
            ..config
        };
        let machine = Machine::power_on(profile.forgiving());
        let Ok(domain) = Domain::with_vcpus(&machine, config) else {
            bail!("the vGIC refuses the domain");
        };
        let cpus = linux::boot(&domain);
        Ok(Self { cpus, domain })
    }

    /// Runs `f` on a vCPU's CPU. It is in the guest before and after.
    pub fn on<R>(&self, n: usize, f: impl FnOnce(&Here<'_>) -> R) -> R {
        let cpu = &self.cpus[n];
        let group = cpu.group();
        cpu.machine().on(cpu.cpu(), |machine, pcpu| {
            f(&Here {
                machine,
                pcpu,
                v: &cpu.vcpu,
                group,
            })
        })
    }

    /// What went wrong.
    pub fn end(self) -> Result<()> {
        let machine = Arc::clone(&self.domain.machine);
        drop(self);
        let reports = machine.take_reports();
        if !reports.is_empty() {
            bail!("the machine reports: {reports:?}");
        }
        Ok(())
    }
}

/// A machine for so many vCPUs, with all SPIs.
pub(super) fn profile(gic: u8, vcpus: usize) -> Profile {
    let base = if gic == 2 {
        Profile::GICV2
    } else {
        Profile::GICV3
    };
    Profile {
        spis: SPIS as usize,
        ..base.with_cpus(vcpus + 2)
    }
}

impl Here<'_> {
    pub fn exit(&self) {
        abi::sync_from(self.v.raw());
    }

    pub fn enter(&self) {
        abi::sync_to();
    }

    /// The handler of a trap: with interrupts on.
    pub fn handle<R>(&self, f: impl FnOnce() -> R) -> R {
        self.machine.irq_restore(self.pcpu, true);
        let result = f();
        self.machine.irq_save(self.pcpu);
        result
    }

    /// An access of the guest that traps. False: it is to execute it again.
    pub fn access(&self, address: u64, size: Size, write: bool, mut value: u64) -> Result<bool> {
        let (v, size) = (self.v.raw(), size as u32);
        let mut base = address;
        match self.handle(|| abi::mmio(v, &mut base, 0, size, write, false, &mut value)) {
            1 => Ok(true),
            2 => Ok(false),
            _ => bail!("an access of {address:#x} is refused"),
        }
    }

    /// The guest's side, which costs the vGIC nothing.
    pub fn interface<R>(&self, f: impl FnOnce(&mut VirtualCpuInterface) -> R) -> R {
        f(&mut self.pcpu.interface())
    }

    /// The guest acknowledges an interrupt, `serve` is what it does about it, and it ends it. What it was, as `IAR` reads.
    pub fn take(&self, serve: impl FnOnce()) -> u32 {
        let iar = self.interface(|i| i.ack(self.group));
        serve();
        if let Some(irq) = self.interface(|i| i.eoi(self.group, iar)) {
            self.machine.deactivate(self.pcpu, irq);
        }
        iar
    }
}
