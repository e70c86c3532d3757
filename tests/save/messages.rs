// SPDX-License-Identifier: GPL-2.0-only
//! A guest with an ITS does things by chance, once where it is and once going from machine to machine: what it sees is the same, step by
//! step.

use recording::its::{MEMORY, MEMORY_SIZE};
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::its::{self, Command, FIRST_LPI, Its, append, command, configure, gits};
use vgic_harness::guests::linux::{self, gicr};
use vgic_harness::guests::travel::travel;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

const VCPUS: usize = 3;
const DEVICES: u32 = 4;
const EVENTS: u32 = 7;

/// Each has a priority of its own, so that it is known which comes first.
fn lpi(device: u32, event: u32) -> u32 {
    FIRST_LPI + device * EVENTS + event
}

fn priority(lpi: u32) -> u8 {
    ((lpi - FIRST_LPI) * 8) as u8
}

struct World {
    // Before its domain: it leaves its CPU as it goes.
    cpus: Vec<GuestCpu>,
    domain: Domain,
    /// What each vCPU has acknowledged and not ended, innermost last.
    active: Vec<Vec<u32>>,
}

impl World {
    fn new(lrs: usize) -> Self {
        let machine = Machine::power_on(profile(lrs));
        let config = Config::guest(3, VCPUS).with_msi();
        let domain = Domain::with_vcpus(&machine, config).expect("a domain");
        domain.unpause();
        let cpus = linux::boot(&domain);
        its::enable_lpis(&domain, &cpus);
        let its = Its::probe(&domain, &cpus[0], 0);
        for device in 0..DEVICES {
            its.send(&cpus[0], &[command::mapd(device, 3, its.itt(device))]);
            for event in 0..EVENTS {
                let lpi = lpi(device, event);
                configure(&domain, lpi, priority(lpi), true);
                let icid = (lpi % VCPUS as u32) as u16;
                its.send(&cpus[0], &[command::mapti(device, event, lpi, icid)]);
            }
        }
        Self {
            domain,
            cpus,
            active: vec![Vec::new(); VCPUS],
        }
    }

    fn command(&self, command: &Command) -> String {
        format!("{:?}", append(&self.domain, &self.cpus[0], 0, command))
    }

    /// One thing by chance, and what is seen of it.
    fn step(&mut self, random: &mut fastrand::Rng) -> String {
        let (device, event) = (random.u32(..DEVICES), random.u32(..EVENTS));
        let lpi = lpi(device, event);
        let (n, icid) = (random.usize(..VCPUS), random.u16(..VCPUS as u16));
        let other = random.usize(..VCPUS);
        let its = Its::new(&self.domain, 0);
        match random.u8(..34) {
            0..=8 => format!(
                "message {lpi} {:?}",
                self.domain.message(0, 0, device, event)
            ),
            9 => {
                let on = random.bool();
                configure(&self.domain, lpi, priority(lpi), on);
                // Until it is told, an ITS may have read it or not (IHI 0069, 5.1.1).
                format!("configure {lpi} {on} ") + &self.command(&command::inv(device, event))
            }
            10 => format!("inv {lpi} ") + &self.command(&command::inv(device, event)),
            11 => format!("invall {icid} ") + &self.command(&command::invall(icid)),
            12 => {
                format!("movi {lpi} {icid} ") + &self.command(&command::movi(device, event, icid))
            }
            13 => format!("movall {n} {other} ") + &self.command(&command::movall(n, other)),
            14 => format!("int {lpi} ") + &self.command(&command::int(device, event)),
            15 => format!("clear {lpi} ") + &self.command(&command::clear(device, event)),
            16 => format!("discard {lpi} ") + &self.command(&command::discard(device, event)),
            17 | 18 => {
                format!("mapti {lpi} {icid} ")
                    + &self.command(&command::mapti(device, event, lpi, icid))
            }
            19 => format!("mapc {icid} {n} ") + &self.command(&command::mapc(icid, n)),
            20 => {
                format!("mapd {device} ")
                    + &self.command(&command::mapd(device, 3, its.itt(device)))
            }
            // Which LPIs are mapped is in the guest's memory as long as it is off, and a pending table is of those that are not.
            21 if its.read(&self.cpus[0], gits::CTLR) & 1 == 0 => "the ITS is off".into(),
            21 => {
                let on = random.u32(..2);
                self.cpus[n].gicr_write(gicr::CTLR, on);
                format!("EnableLPIs {n} {:#x}", self.cpus[n].gicr_read(gicr::CTLR))
            }
            22 => self.cpus[n].gicr_write_then_read(),
            23 => {
                its.write(&self.cpus[0], gits::CTLR, 0);
                format!("off {:#x}", its.read(&self.cpus[0], gits::CTLR))
            }
            24 | 25 => {
                its.write(&self.cpus[0], gits::CTLR, 1);
                format!("on {:#x}", its.read(&self.cpus[0], gits::CTLR))
            }
            26..=28 => {
                let iar = self.cpus[n].ack();
                if !(1020..FIRST_LPI).contains(&iar) {
                    self.active[n].push(iar);
                }
                format!("ack {n}: {iar}")
            }
            29..=31 => {
                if let Some(iar) = self.active[n].pop() {
                    self.cpus[n].eoi(iar);
                }
                format!("signal {}", self.cpus[n].signalled())
            }
            32 => format!("running {:#x}", self.cpus[n].running_priority()),
            _ => {
                let seen = [
                    gits::CBASER,
                    gits::CWRITER,
                    gits::CREADR,
                    gits::BASER,
                    gits::BASER + 8,
                ]
                .map(|offset| its.read(&self.cpus[0], offset));
                format!("{seen:x?}")
            }
        }
    }
}

trait Touch {
    fn gicr_write_then_read(&self) -> String;
}

impl Touch for GuestCpu {
    /// What is of LPIs in the redistributor.
    fn gicr_write_then_read(&self) -> String {
        let frame = self.gicr_of(self.vcpu.id).unwrap_or_default();
        let read = |offset| self.load(frame + offset, vgic_harness::guests::guest::Size::Double);
        format!("{:x?} {:x?}", read(gicr::PROPBASER), read(gicr::PENDBASER))
    }
}

fn profile(lrs: usize) -> Profile {
    Profile {
        lrs,
        ..Profile::GICV3.with_cpus(VCPUS + 1)
    }
}

/// What is seen, with moves by this seed; 0: with none.
fn play(seed: u64, moves: u64) -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut chance = fastrand::Rng::with_seed(moves);
    let mut world = World::new(4);
    let mut seen = Vec::new();
    for n in 0..120 {
        seen.push(format!("{n}: {}", world.step(&mut random)));
        world.domain.machine.settle();
        if moves != 0 && chance.u8(..12) == 0 {
            let World {
                domain,
                cpus,
                active,
            } = world;
            let lrs = [1, 2, 4, 16][chance.usize(..4)];

            let memory = Some((MEMORY, MEMORY_SIZE));
            let moved = travel(domain, cpus, memory, profile(lrs));
            let (domain, cpus) = moved.unwrap_or_else(|why| panic!("seed {seed}, {n}: {why}"));
            domain.machine.settle();
            world = World {
                domain,
                cpus,
                active,
            };
        }
    }
    for cpu in &world.cpus {
        seen.push(format!("{:?}", cpu.take_all()));
    }
    seen
}

#[test]
fn messages_do_not_see_that_their_guest_has_moved() {
    let count = std::env::var("VGIC_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20);
    for seed in 0..count {
        let (here, there) = (play(seed, 0), play(seed, seed + 1));
        let first = here.iter().zip(&there).position(|(a, b)| a != b);
        if let Some(first) = first {
            let before = here[first.saturating_sub(60)..first].join("\n");
            panic!(
                "seed {seed}\n{before}\nhere:  {}\nthere: {}",
                here[first], there[first]
            );
        }
    }
}
