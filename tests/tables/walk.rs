// SPDX-License-Identifier: GPL-2.0-only
//! A random walk, and the same again with an ITS that is disabled, has its tables moved and is enabled again now and then: nobody
//! can tell.

use super::{QUIESCENT, booted, move_tables, off, on, send, taken};
use vgic_harness::guests::its::{self, Command, FIRST_LPI, Its, command, gits};

/// Devices, their events and LPIs, and collections: few, so that commands meet.
const DEVICES: u32 = 3;
const EVENTS: u32 = 6;
const LPIS: u32 = 10;
const COLLECTIONS: u32 = 4;
const STEPS: u32 = 150;

/// Numbers from a seed (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u32) -> u32 {
        (self.next() >> 20) as u32 % n
    }
}

fn command(chance: &mut Chance, its: &Its) -> Command {
    let device = 0x100 + chance.below(DEVICES);
    let event = chance.below(EVENTS);
    let lpi = FIRST_LPI + chance.below(LPIS);
    let icid = chance.below(COLLECTIONS) as u16;
    let vcpu = chance.below(2) as usize;
    match chance.below(20) {
        0 | 1 => command::mapd(device, 1 + chance.below(4), its.itt(device)),
        2 => command::unmapd(device),
        3 | 4 => command::mapc(icid, vcpu),
        5 => command::unmapc(icid),
        6..=10 => command::mapti(device, event, lpi, icid),
        11 => command::movi(device, event, icid),
        12 => command::movall(vcpu, 1 - vcpu),
        13 => command::discard(device, event),
        14 => command::clear(device, event),
        15 => command::invall(icid),
        16 => command::inv(device, event),
        _ => command::int(device, event),
    }
}

/// What could be seen after a step: which messages found an event, what each vCPU took, and what the host has mapped.
#[derive(PartialEq, Eq, Debug, Default)]
struct Seen {
    sent: Option<bool>,
    taken: Vec<Vec<u32>>,
    mapped: Vec<bool>,
}

/// A walk; `moves`: with the ITS disabled now and then.
fn walk(hardware: bool, seed: u64, moves: bool) -> Vec<Seen> {
    let (domain, cpus) = booted(hardware);
    for n in 0..LPIS {
        its::configure(&domain, FIRST_LPI + n, 0xa0, true);
    }
    let its = Its::probe(&domain, &cpus[0], 0);
    let mut chance = Chance(seed * 2 + 0x9e37_79b9_7f4a_7c15);
    let steps = (0..STEPS).map(|_| {
        let mut seen = Seen::default();
        match chance.below(8) {
            0..=4 => {
                let count = 1 + chance.below(4);
                let commands: Vec<Command> =
                    (0..count).map(|_| command(&mut chance, &its)).collect();
                its.send(&cpus[0], &commands);
                if chance.below(4) == 0 && moves {
                    off(&its, &cpus[1]);
                    assert_ne!(its.read(&cpus[0], gits::CTLR) & QUIESCENT, 0);
                    move_tables(&domain, &its, &cpus[1]);
                    on(&its, &cpus[1]);
                }
            }
            5 | 6 => {
                let (device, event) = (0x100 + chance.below(DEVICES), chance.below(EVENTS));
                seen.sent = Some(send(&domain, hardware, device, event));
            }
            _ => {
                seen.taken = taken(&cpus);
                seen.taken.iter_mut().for_each(|lpis| lpis.sort_unstable());
            }
        }
        if hardware {
            let all = (0..DEVICES).flat_map(|d| (0..EVENTS).map(move |e| (d, e)));
            let mapped = all.map(|(d, e)| domain.physical_lpi(0, 0x100 + d, e).is_some());
            seen.mapped = mapped.collect();
        }
        seen
    });
    steps.collect()
}

fn assert_same(hardware: bool) {
    for seed in 0..walks() {
        // One after the other: there is one machine at a time.
        let (one, other) = (walk(hardware, seed, false), walk(hardware, seed, true));
        for (step, (one, other)) in one.into_iter().zip(other).enumerate() {
            assert_eq!(one, other, "seed {seed}, step {step}");
        }
    }
}

/// How many walks; more in a long run.
fn walks() -> u64 {
    let asked = std::env::var("VGIC_WALKS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(8)
}

#[test]
fn moved_tables_change_nothing_for_device_models() {
    assert_same(false);
}

#[test]
fn moved_tables_change_nothing_for_hardware() {
    assert_same(true);
}
