// SPDX-License-Identifier: GPL-2.0-only
//! A guest with an ITS does things by chance, to LPIs and to interrupts of all other kinds, once where it is and once going from machine
//! to machine: what it sees is the same, step by step.

mod others;

use recording::its::{MEMORY, itt, pending_table, queue};
use std::ops::Range;
use vgic_harness::guests::guest::GuestCpu;
use vgic_harness::guests::its::{self, Command, FIRST_LPI, Its, append, command, configure, gits};
use vgic_harness::guests::linux::{self, gicr};
use vgic_harness::guests::travel::travel;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

use std::collections::BTreeSet;

const VCPUS: usize = 3;
const DEVICES: u32 = 3;
const EVENTS: u32 = 6;

fn lpi(device: u32, event: u32) -> u32 {
    FIRST_LPI + device * EVENTS + event
}

/// Each has a priority of its own, so that it is known which comes first: two LPIs, one of the others, and so on.
fn priority(intid: u32) -> u8 {
    let rank = match others::ALL.iter().position(|n| *n == intid) {
        Some(n) => 3 * n as u32 + 2,
        None => {
            let n = intid - FIRST_LPI;
            n / 2 * 3 + n % 2
        }
    };
    (rank * 8) as u8
}

struct World {
    // Before its domain: it leaves its CPU as it goes.
    cpus: Vec<GuestCpu>,
    domain: Domain,
    /// What each vCPU has acknowledged and not ended, innermost last.
    active: Vec<Vec<u32>>,
    /// What it has ended with EOImode 1, and not deactivated.
    dropped: Vec<Vec<u32>>,
    /// Which vCPUs have EOImode 1.
    split: [bool; VCPUS],
    /// Which are off: never the first.
    off: [bool; VCPUS],
}

impl World {
    fn new(lrs: usize, split: [bool; VCPUS]) -> Self {
        let machine = Machine::power_on(profile(lrs));
        let config = Config {
            spis: 32,
            ..Config::guest(3, VCPUS).with_msi()
        };
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
        others::set_up(&cpus);
        for (cpu, split) in cpus.iter().zip(split) {
            cpu.set_eoimode(split);
        }
        Self {
            domain,
            cpus,
            active: vec![Vec::new(); VCPUS],
            dropped: vec![Vec::new(); VCPUS],
            split,
            off: [false; VCPUS],
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
        let what = random.u8(..74);
        if self.off[n] && matches!(what, 21 | 22 | 26..=32 | 40..) {
            return self.on(n);
        }
        let its = Its::new(&self.domain, 0);
        match what {
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
                // What was acknowledged just now would count as pending.
                self.exits();
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
            26..=28 | 40..=47 => {
                let iar = self.cpus[n].ack();
                if !(1020..=1023).contains(&iar) {
                    self.active[n].push(iar);
                }
                format!("ack {n}: {iar}")
            }
            29..=31 | 48..=52 => {
                if let Some(iar) = self.active[n].pop() {
                    self.cpus[n].eoi(iar);
                    if self.split[n] && iar < FIRST_LPI {
                        self.dropped[n].push(iar);
                    }
                }
                format!("signal {n}: {}", self.cpus[n].signalled())
            }
            32 => format!("running {:#x}", self.cpus[n].running_priority()),
            33 => {
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
            _ => self.other_step(what, n, other, random),
        }
    }

    /// Everything ends and comes, and there is nothing more.
    fn finish(&mut self) -> Vec<String> {
        let mut seen: Vec<String> = (1..VCPUS).map(|n| self.on(n)).collect();
        self.lower_all();
        for n in 0..VCPUS {
            while let Some(iar) = self.active[n].pop() {
                self.cpus[n].eoi(iar);
                if self.split[n] && iar < FIRST_LPI {
                    self.dropped[n].push(iar);
                }
            }
            while let Some(iar) = self.dropped[n].pop() {
                self.cpus[n].dir(iar);
            }
            self.cpus[n].set_eoimode(false);
        }
        for cpu in &self.cpus {
            seen.push(format!("{:?}", cpu.take_all()));
        }
        seen
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

/// Its memory, as far as it uses it: tables of LPIs, and the ITS's own.
const USED: [Range<u64>; 2] = [MEMORY..pending_table(VCPUS), queue(0)..itt(0, DEVICES)];
const LRS: [usize; 4] = [1, 2, 4, 16];

fn profile(lrs: usize) -> Profile {
    Profile {
        lrs,
        ..Profile::GICV3.with_cpus(VCPUS + 1)
    }
}

/// What is seen, with moves by this seed; 0: with none. And after which steps it has moved.
fn play(seed: u64, moves: u64) -> (Vec<String>, Vec<usize>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut chance = fastrand::Rng::with_seed(moves);
    let split = [random.bool(), random.bool(), random.bool()];
    let mut world = World::new(LRS[random.usize(..LRS.len())], split);
    let (mut seen, mut moved_after) = (Vec::new(), Vec::new());
    for n in 0..200 {
        seen.push(format!("{n}: {}", world.step(&mut random)));
        world.domain.machine.settle();
        if moves != 0 && chance.u8(..12) == 0 {
            moved_after.push(n);
            let there = profile(LRS[chance.usize(..LRS.len())]);
            let moved = travel(world.domain, world.cpus, &USED, there);
            (world.domain, world.cpus) =
                moved.unwrap_or_else(|why| panic!("seed {seed}, {n}: {why}"));
            world.domain.machine.settle();
        }
    }
    seen.extend(world.finish());
    (seen, moved_after)
}

#[test]
fn messages_do_not_see_that_their_guest_has_moved() {
    let mut kinds = BTreeSet::new();
    for seed in crate::seeds() {
        let (here, _) = play(seed, 0);
        let (there, moved_after) = play(seed, seed + 1);
        kinds.extend(here.iter().flat_map(|line| taken(line)));
        let first = here.iter().zip(&there).position(|(a, b)| a != b);
        if let Some(first) = first {
            let before = here[first.saturating_sub(60)..first].join("\n");
            panic!(
                "seed {seed}, moved after {moved_after:?}\n{before}\nhere:  {}\nthere: {}",
                here[first], there[first]
            );
        }
    }
    // All of them have come to somebody.
    let all = (FIRST_LPI..lpi(DEVICES, 0)).chain(others::ALL);
    let never: Vec<u32> = all.filter(|n| !kinds.contains(n)).collect();
    let enough = crate::seeds().count() >= 100;
    assert!(!enough || never.is_empty(), "never acknowledged: {never:?}");
}

/// What was acknowledged in a step, or at the end.
fn taken(line: &str) -> Vec<u32> {
    let step = line
        .split_once(": ack ")
        .and_then(|(_, ack)| ack.split_once(": "));
    let all = step.map_or(line.trim_matches(['[', ']']), |(_, iar)| iar);
    all.split(", ").filter_map(|n| n.parse().ok()).collect()
}

/// What MOVALL has brought to a redistributor is pending there, also when that has saved it in its table and the guest has moved meanwhile:
/// that messages go elsewhere is another matter.
#[test]
fn what_movall_has_brought_comes_out_of_the_pending_table() {
    for moves in [false, true] {
        let mut world = World::new(4, [false; VCPUS]);
        let lpi = lpi(0, 0);
        assert_eq!(lpi % VCPUS as u32, 2, "its messages go to vCPU 2");
        assert_eq!(world.domain.message(0, 0, 0, 0), Ok(()));
        assert_eq!(world.command(&command::movall(2, 1)), "Ok(None)");
        world.cpus[1].gicr_write(gicr::CTLR, 0);
        if moves {
            let moved = travel(world.domain, world.cpus, &USED, profile(2));
            (world.domain, world.cpus) = moved.expect("it is restored");
        }
        assert!(!world.cpus[1].signalled());
        world.cpus[1].gicr_write(gicr::CTLR, 1);
        let taken: Vec<_> = world.cpus.iter().map(GuestCpu::take_all).collect();
        assert_eq!(taken, [vec![], vec![lpi], vec![]], "moved: {moves}");
    }
}

impl World {
    /// What is pending at a vCPU is in its table, once GICR_CTLR.RWP has been seen to be 0.
    fn disable_lpis(&self, n: usize) {
        self.cpus[n].gicr_write(gicr::CTLR, 0);
        assert_eq!(self.cpus[n].gicr_read(gicr::CTLR) & 1 << 3, 0);
    }

    /// A world, and an LPI that is pending in the table of vCPU 2, whose LPIs are disabled, and at vCPU 1, where its messages go.
    fn with_one_pending_twice() -> (Self, u32) {
        let world = Self::new(4, [false; VCPUS]);
        assert_eq!(world.domain.message(0, 0, 0, 0), Ok(()));
        world.disable_lpis(2);
        assert_eq!(world.command(&command::movi(0, 0, 1)), "Ok(None)");
        assert_eq!(world.domain.message(0, 0, 0, 0), Ok(()));
        (world, lpi(0, 0))
    }
}

/// What a pending table has is pending, also if another vCPU has just acknowledged the same LPI: then it comes there once more, if that has
/// not left its guest since, as a message would.
#[test]
fn what_a_pending_table_has_is_not_taken_for_what_was_acknowledged() {
    for moves in [false, true] {
        let (mut world, lpi) = World::with_one_pending_twice();
        world.domain.machine.settle();
        assert_eq!(world.cpus[1].ack(), lpi);
        world.cpus[1].eoi(lpi);
        if moves {
            let moved = travel(world.domain, world.cpus, &USED, profile(2));
            (world.domain, world.cpus) = moved.expect("it is restored");
        }
        world.cpus[2].gicr_write(gicr::CTLR, 1);
        world.domain.machine.settle();
        let taken: Vec<_> = world.cpus.iter().map(GuestCpu::take_all).collect();
        let (acknowledged, table) = if moves {
            (vec![], vec![lpi])
        } else {
            (vec![lpi], vec![])
        };
        assert_eq!(taken, [vec![], acknowledged, table], "moved: {moves}");
    }
}

/// What a pending table has comes there, also if the same LPI is pending where nothing is delivered.
#[test]
fn what_a_pending_table_has_does_not_wait_for_others() {
    for stranded in [false, true] {
        let (world, lpi) = World::with_one_pending_twice();
        if stranded {
            // Its collection goes to a redistributor that has LPIs disabled.
            world.disable_lpis(0);
            assert_eq!(world.command(&command::mapc(1, 0)), "Ok(None)");
        }
        world.cpus[2].gicr_write(gicr::CTLR, 1);
        world.domain.machine.settle();
        let taken: Vec<_> = world.cpus.iter().map(GuestCpu::take_all).collect();
        let [at_its_messages, at_its_table] = if stranded {
            [vec![], vec![lpi]]
        } else {
            [vec![lpi], vec![]]
        };
        assert_eq!(taken, [vec![], at_its_messages, at_its_table]);
    }
}
