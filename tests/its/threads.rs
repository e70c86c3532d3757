// SPDX-License-Identifier: GPL-2.0-only
//! Several vCPUs, devices and ITSes at once, each a thread.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use vgic_harness::guests::guest::{PATIENCE, Size};
use vgic_harness::guests::linux::gicr;
use vgic_harness::guests::source::Source;

/// Lets each device send `rounds` times, the next time when it has been served.
fn devices(domain: &Domain, sources: &[Source], rounds: u64) {
    let mut last = Instant::now();
    let left = |s: &Source| s.is_short_of(rounds);
    while sources.iter().any(left) {
        for (event, source) in (0..).zip(sources) {
            if source.wants.swap(true, SeqCst) {
                continue;
            }
            // Only now nothing is on its way, and the count stays as it is.
            if left(source) {
                assert!(domain.send_msi(0, DEVICE, event));
                last = Instant::now();
            } else {
                source.wants.store(false, SeqCst);
            }
        }
        if last.elapsed() > PATIENCE {
            domain.machine.report("a message is lost");
            return;
        }
        std::thread::yield_now();
    }
}

/// Serves the devices on all vCPUs, with `also` done after each LPI.
fn serve(
    domain: &Domain,
    cpus: Vec<GuestCpu>,
    sources: &[Source],
    rounds: u64,
    also: impl Fn(&GuestCpu, u32) + Sync,
) {
    let stop = AtomicBool::new(false);
    let vcpus = cpus.len();
    std::thread::scope(|scope| {
        for mut cpu in cpus {
            let (also, stop) = (&also, &stop);
            scope.spawn(move || {
                cpu.traps_win = cpu.vcpu.id % 2 == 1;
                let woken = cpu.serve(
                    || stop.load(SeqCst),
                    |cpu, lpi| {
                        let event = lpi.wrapping_sub(LPI);
                        also(cpu, event);
                        match sources.get(event as usize) {
                            Some(source) => source.serve(),
                            None => cpu.machine().report(format!("{lpi} is nobody's")),
                        }
                    },
                );
                if !woken && !stop.load(SeqCst) {
                    cpu.machine().report("a vCPU is never woken");
                }
            });
        }
        devices(domain, sources, rounds);
        stop.store(true, SeqCst);
        (0..vcpus).for_each(|n| domain.machine.ring(n));
    });
    Source::assert_all_served(sources, rounds);
}

#[test]
fn movi_under_load_loses_and_doubles_nothing() {
    for profile in [SMALL, LARGE] {
        boot!(profile, 4, domain, cpus, its);
        its.map_device(&cpus[0], DEVICE, LPI, 6, |n| n as u16 % 4);
        let sources: [Source; 6] = Default::default();
        serve(&domain, cpus, &sources, 200, |cpu, event| {
            // Each goes on with the next vCPU, now by MOVI, now because all of this one's do.
            let own = cpu.vcpu.id;
            let to = (own + 1) % 4;
            if event == 5 {
                its.send(cpu, &[command::movall(own, to)]);
            } else {
                let moved = command::movi(DEVICE, event, to as u16);
                its.send(cpu, &[moved, command::sync(to)]);
            }
        });
    }
}

/// A vCPU sends each to any vCPU, again and again: whether its message is just being delivered, it waits, or it is in a list
/// register. SGIs come and go beside them.
#[test]
fn movi_from_elsewhere_loses_and_doubles_nothing() {
    const EVENTS: u32 = 3;
    const ROUNDS: u64 = 300;
    boot!(SMALL, 4, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, EVENTS, |n| n as u16);
    let sources: [Source; EVENTS as usize] = Default::default();
    let stop = AtomicBool::new(false);
    let take = &|lpi: u32| sources[(lpi - LPI) as usize].serve();
    std::thread::scope(|scope| {
        let (stop, its) = (&stop, &its);
        for mut cpu in cpus {
            scope.spawn(move || {
                if cpu.vcpu.id != 3 {
                    let own = cpu.vcpu.id;
                    let woken = cpu.serve(
                        || stop.load(SeqCst),
                        |cpu, intid| match intid {
                            0..16 => {}
                            lpi => {
                                take(lpi);
                                linux::send_sgi(cpu, (own + 1) % 4, 6);
                            }
                        },
                    );
                    assert!(woken || stop.load(SeqCst), "a vCPU is never woken");
                    return;
                }
                let mut random = fastrand::Rng::with_seed(3);
                while !stop.load(SeqCst) {
                    let (event, to) = (random.u32(..EVENTS), random.u16(..4));
                    its.send(&cpu, &[command::movi(DEVICE, event, to)]);
                    linux::send_sgi(&cpu, random.usize(..4), 6);
                    let lpis = cpu.take_all().into_iter().filter(|intid| *intid >= 16);
                    lpis.for_each(take);
                }
            });
        }
        devices(&domain, &sources, ROUNDS);
        stop.store(true, SeqCst);
        (0..4).for_each(|n| domain.machine.ring(n));
    });
    Source::assert_all_served(&sources, ROUNDS);
}

#[test]
fn lpis_are_configured_under_load() {
    boot!(SMALL, 3, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 6, |n| n as u16 % 3);
    let sources: [Source; 6] = Default::default();
    serve(&domain, cpus, &sources, 150, |cpu, event| {
        // Off and on again, as irq_mask() and irq_unmask() do; one that comes meanwhile waits.
        for on in [false, true] {
            its::configure(&domain, LPI + event, 0xa0, on);
            its.send(cpu, &[command::inv(DEVICE, event)]);
        }
        its.send(cpu, &[command::invall(cpu.vcpu.id as u16)]);
    });
}

/// vCPU n maps, unmaps, moves and invalidates the same few LPIs through ITS n, and by its redistributor, while messages
/// arrive: each of which may be in the middle of being translated or delivered. For some time, and each vCPU so often at least.
fn invalidate_and_inject(time: Duration) {
    const LPIS: u32 = 6;
    const ROUNDS: u64 = 30;
    let (domain, cpus) = booted(LARGE, 4);
    let all: Vec<Its> = (0..4).map(|n| Its::probe(&domain, &cpus[0], n)).collect();
    (0..LPIS).for_each(|n| its::configure(&domain, LPI + n, 0xa0, true));
    let end = Instant::now() + time;
    let cpus: Vec<GuestCpu> = std::thread::scope(|scope| {
        let workers: Vec<_> = cpus
            .into_iter()
            .map(|cpu| {
                let its = &all[cpu.vcpu.id];
                scope.spawn(move || {
                    let mut dice = fastrand::Rng::with_seed(cpu.vcpu.id as u64);
                    let mut rounds = 0;
                    while Instant::now() < end || rounds < ROUNDS {
                        abuse(&cpu, its, &mut dice, LPIS);
                        rounds += 1;
                        cpu.take_all();
                    }
                    cpu
                })
            })
            .collect();
        let mut dice = fastrand::Rng::with_seed(99);
        while workers.iter().any(|w| !w.is_finished()) {
            for _ in 0..64 {
                domain.send_msi(dice.u32(..4), DEVICE + dice.u32(..2), dice.u32(..LPIS));
                std::thread::yield_now();
            }
            // A CPU takes what is pending until nothing is: devices that never rest would keep it from its guest for ever. How
            // long that takes is the host's to say, so it is waited for.
            settle(&domain.machine);
        }
        workers
            .into_iter()
            .map(|w| w.join().expect("a vCPU"))
            .collect()
    });
    // Nothing has been left behind: whoever maps an LPI now has it, and once only.
    for (n, its) in all.iter().enumerate() {
        for device in [DEVICE, DEVICE + 1] {
            its.send(&cpus[n], &[command::unmapd(device)]);
        }
    }
    for cpu in &cpus {
        cpu.gicr_write(gicr::CTLR, 1);
    }
    taken(&cpus);
    for (n, its) in (0..).zip(&all) {
        its.send(&cpus[0], &[command::mapc(0, n)]);
        its.map_device(&cpus[0], DEVICE, LPI, LPIS, |_| 0);
        for event in 0..LPIS {
            assert!(domain.send_msi(n as u32, DEVICE, event));
            let mut expected = vec![vec![]; 4];
            expected[n] = vec![LPI + event];
            assert_eq!(taken(&cpus), expected);
        }
        its.send(&cpus[0], &[command::unmapd(DEVICE)]);
    }
}

fn abuse(cpu: &GuestCpu, its: &Its, dice: &mut fastrand::Rng, lpis: u32) {
    let (device, event) = (DEVICE + dice.u32(..2), dice.u32(..lpis));
    let icid = dice.u16(..4);
    let any = LPI + dice.u32(..lpis);
    let one = match dice.u32(..12) {
        0 => command::mapd(device, 5, its.itt(device)),
        1 => command::unmapd(device),
        2..=4 => command::mapti(device, event, any, icid),
        5 => command::discard(device, event),
        6 => command::movi(device, event, icid),
        7 => command::mapc(icid, dice.usize(..4)),
        8 => command::movall(dice.usize(..4), cpu.vcpu.id),
        9 => command::invall(icid),
        10 => command::clear(device, event),
        _ => command::inv(device, event),
    };
    its.send(cpu, &[one, command::int(device, event)]);
    let frame = cpu.gicr_of(cpu.vcpu.id).unwrap_or_default();
    let (register, value) = match dice.u32(..20) {
        0 => (gicr::INVALLR, 0),
        1..=4 => (gicr::INVLPIR, any.into()),
        5 => {
            cpu.gicr_write(gicr::CTLR, 0);
            cpu.gicr_write(gicr::CTLR, 1);
            return;
        }
        _ => return,
    };
    if cpu.store(frame + register, Size::Double, value).is_err() {
        cpu.machine().report("a redistributor's register aborts");
    }
}

/// KVM dropped a reference of a cached translation twice, from three callers without a common lock. Here there is no
/// cache and no reference: whoever invalidates, the word of an LPI stays where it is.
#[test]
fn cve_2026_46316_invalidation_races_with_itself() {
    invalidate_and_inject(Duration::from_secs(2));
}

/// KVM used a cached translation without a reference while it was being invalidated.
#[test]
fn cve_2024_26598_injection_races_with_unmapping() {
    boot!(SMALL, 2, domain, cpus, its);
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    its::configure(&domain, LPI, 0xa0, true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                sent.fetch_add(domain.send_msi(0, DEVICE, 0).into(), SeqCst);
                settle(&domain.machine);
            }
        });
        // The other thread may need a while to find it mapped.
        let late = Instant::now() + Duration::from_secs(30);
        for round in 0u32.. {
            if round >= 300 && (sent.load(SeqCst) > 0 || Instant::now() > late) {
                break;
            }
            let to = (round % 2) as u16;
            let commands = [
                command::mapd(DEVICE, 5, its.itt(DEVICE)),
                command::mapti(DEVICE, 0, LPI, to),
                command::int(DEVICE, 0),
                command::unmapd(DEVICE),
            ];
            its.send(&cpus[0], &commands[..3]);
            let both = taken(&cpus);
            assert!(!both[usize::from(to)].is_empty(), "round {round}: {both:?}");
            its.send(&cpus[0], &commands[3..]);
            // What was on its way is gone with the mapping.
            taken(&cpus);
            assert_eq!(taken(&cpus), [vec![], vec![]], "round {round}");
        }
        stop.store(true, SeqCst);
    });
    assert!(sent.load(SeqCst) > 0);
}
