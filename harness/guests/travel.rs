// SPDX-License-Identifier: GPL-2.0-only
//! A domain goes to another machine: it is saved here and restored there, with its memory and what a hypervisor keeps of its vCPUs.

use crate::guests::guest::GuestCpu;
use crate::machine::profile::Profile;
use crate::xen::domain::Domain;
use crate::xen::host::Machine;
use recording::its::{MEMORY, MEMORY_SIZE};
use std::ops::Range;
use std::sync::Arc;

/// Everything of a domain, on no machine.
pub struct Luggage {
    /// The vGIC's stream.
    pub stream: Vec<u8>,
    memory: Memory,
    config: crate::xen::domain::Config,
    vcpus: Vec<crate::xen::vcpu::Kept>,
    ran: Vec<bool>,
}

/// The pages of the guest's memory that are not all zero.
struct Memory(Vec<(u64, Vec<u8>)>);

impl Memory {
    const PAGE: usize = 0x1_0000;

    fn of(domain: &Domain, used: &[Range<u64>]) -> Self {
        let pages = used.iter().flat_map(|r| r.clone().step_by(Self::PAGE));
        let pages = pages.map(|at| (at, domain.read_range(at, Self::PAGE)));
        let pages = pages.filter(|(_, bytes)| bytes[..] != [0; Self::PAGE]);
        Self(pages.collect())
    }

    /// Says whether there is room for it.
    fn give(&self, domain: &Domain) -> bool {
        domain.add_memory(MEMORY, MEMORY_SIZE);
        let mut pages = self.0.iter();
        pages.all(|(at, bytes)| domain.write_memory(*at, bytes))
    }
}

/// Leaves the machine, which is switched off. `used` says what its guest has of [its memory](MEMORY).
///
/// # Errors
/// It cannot be saved.
pub fn leave(
    domain: Domain,
    mut cpus: Vec<GuestCpu>,
    used: &[Range<u64>],
) -> Result<Luggage, String> {
    let ran: Vec<bool> = cpus.iter().map(GuestCpu::is_on_cpu).collect();
    cpus.iter_mut().for_each(GuestCpu::preempt);
    domain.machine.settle();
    let stream = domain
        .save()
        .map_err(|errno| format!("not saved: {errno:?}"))?;
    let vcpus = (0..cpus.len()).map(|n| domain.vcpu(n).kept()).collect();
    let memory = Memory::of(&domain, used);
    let config = domain.config;
    drop(cpus);
    let machine = Arc::clone(&domain.machine);
    drop(domain);
    match machine.take_reports().first() {
        Some(why) => Err(why.clone()),
        None => Ok(Luggage {
            stream,
            memory,
            config,
            vcpus,
            ran,
        }),
    }
}

/// Arrives on a new machine, and goes on there.
///
/// # Errors
/// It is refused: what the console says.
pub fn arrive(luggage: &Luggage, profile: Profile) -> Result<(Domain, Vec<GuestCpu>), String> {
    let machine = Machine::power_on(profile);
    let domain = Domain::with_vcpus(&machine, luggage.config)
        .map_err(|errno| format!("no domain: {errno:?}"))?;
    domain.unpause();
    if !luggage.memory.give(&domain) {
        return Err("no memory".into());
    }
    for (n, kept) in luggage.vcpus.iter().enumerate() {
        domain.vcpu(n).keep(kept);
    }
    machine.take_console();
    if let Err(errno) = domain.restore(&luggage.stream) {
        return Err(format!("refused: {errno:?}: {}", machine.take_console()));
    }
    let cpus = (luggage.ran.iter().enumerate())
        .map(|(n, ran)| {
            let mut cpu = GuestCpu::parked(&domain, n);
            if *ran {
                cpu.unpreempt();
            }
            cpu
        })
        .collect();
    Ok((domain, cpus))
}

/// From one machine to the next.
///
/// # Errors
/// As [`leave`] and [`arrive`].
pub fn travel(
    domain: Domain,
    cpus: Vec<GuestCpu>,
    used: &[Range<u64>],
    profile: Profile,
) -> Result<(Domain, Vec<GuestCpu>), String> {
    arrive(&leave(domain, cpus, used)?, profile)
}
