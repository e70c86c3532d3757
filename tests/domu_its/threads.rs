// SPDX-License-Identifier: GPL-2.0-only
//! Device models that send from several CPUs at once, while the guest has the ITS do what it can.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Instant;
use vgic_harness::guests::guest::{PATIENCE, Size};
use vgic_harness::guests::linux::gicr;
use vgic_harness::guests::source::Source;

const VCPUS: usize = 4;
/// A CPU for each of those who send.
const SENDERS: u32 = 4;
/// Who sends the commands, and takes what comes to it meanwhile.
const WORKER: usize = 3;

/// Sends one message, however often the guest has it switched off. False: it is not served in time.
fn send_until_served(source: &Source, domain: &Domain, event: u32) -> bool {
    let end = Instant::now() + PATIENCE;
    source.wants.store(true, SeqCst);
    loop {
        match domain.message(VCPUS + event as usize, 0, DEVICE, event) {
            Ok(()) => break,
            Err(EINVAL) => {}
            Err(errno) => panic!("event {event}: {errno:?}"),
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::yield_now();
    }
    while source.wants.load(SeqCst) {
        if Instant::now() > end {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// Has vCPUs serve, one of them with `work` again and again, and each device model send so many messages.
fn under_fire(rounds: u64, work: impl Fn(&Its, &GuestCpu, &mut fastrand::Rng) + Sync) {
    boot!(LARGE, VCPUS, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, SENDERS, |n| n as u16);
    let sources: [Source; SENDERS as usize] = Default::default();
    let stop = AtomicBool::new(false);
    let take = |intid: u32| match intid {
        // From another vCPU, to have it leave its guest.
        0..16 => {}
        lpi => sources[(lpi - LPI) as usize].serve(),
    };
    std::thread::scope(|scope| {
        let (stop, its, take, work) = (&stop, &its, &take, &work);
        for mut cpu in cpus {
            scope.spawn(move || {
                if cpu.vcpu.id != WORKER {
                    let own = cpu.vcpu.id;
                    let woken = cpu.serve(
                        || stop.load(SeqCst),
                        |cpu, intid| {
                            take(intid);
                            if intid >= 16 {
                                linux::send_sgi(cpu, (own + 1) % 3, 6);
                            }
                        },
                    );
                    assert!(woken || stop.load(SeqCst), "a vCPU is never woken");
                    return;
                }
                let mut dice = fastrand::Rng::with_seed(rounds);
                while !stop.load(SeqCst) {
                    work(its, &cpu, &mut dice);
                    linux::send_sgi(&cpu, dice.usize(..VCPUS), 6);
                    cpu.take_all().into_iter().for_each(take);
                }
            });
        }
        let senders: Vec<_> = (0..)
            .zip(&sources)
            .map(|(event, source)| {
                let domain = &domain;
                scope.spawn(move || (0..rounds).all(|_| send_until_served(source, domain, event)))
            })
            .collect();
        let sent: Vec<bool> = senders
            .into_iter()
            .map(|s| s.join().unwrap_or(false))
            .collect();
        stop.store(true, SeqCst);
        (0..VCPUS).for_each(|n| domain.machine.ring(n));
        if sent.contains(&false) {
            let dump = domain.dump();
            domain
                .machine
                .report(format!("a message is lost: {sent:?} {dump}"));
        }
    });
    Source::assert_all_served(&sources, rounds);
    assert_eq!(domain.host_commands(), 0);
}

#[test]
fn each_message_is_counted_while_the_guest_moves_its_lpis() {
    under_fire(400, |its, cpu, dice| {
        let (event, to) = (dice.u32(..SENDERS), dice.u16(..4));
        let command = match dice.u32(..6) {
            0..3 => command::movi(DEVICE, event, to),
            3 => command::mapc(to, dice.usize(..VCPUS)),
            4 => command::movall(dice.usize(..VCPUS), to.into()),
            _ => command::invall(to),
        };
        its.send(cpu, &[command]);
    });
}

/// Collections that go nowhere, redistributors without LPIs, an ITS that is off: what was taken before is delivered afterwards.
#[test]
fn each_message_is_counted_while_the_guest_switches_things_off() {
    under_fire(150, |its, cpu, dice| {
        let (n, icid) = (dice.usize(..VCPUS), dice.u16(..4));
        match dice.u32(..4) {
            0 => {
                its.send(cpu, &[command::unmapc(icid)]);
                its.send(cpu, &[command::mapc(icid, n)]);
            }
            1 | 2 => {
                let frame = cpu.gicr_of(n).expect("a redistributor");
                for on in [0, 1] {
                    // The table is there, and is what was saved in it.
                    assert_eq!(cpu.store(frame + gicr::CTLR, Size::Word, on), Ok(()));
                }
            }
            _ => {
                its.write(cpu, vgic_harness::guests::its::gits::CTLR, 0);
                its.write(cpu, vgic_harness::guests::its::gits::CTLR, 1);
                its.send(cpu, &[command::movi(DEVICE, dice.u32(..SENDERS), icid)]);
            }
        }
    });
}

/// Events come and go. What is unmapped takes no message, and what was pending of it is gone; what is mapped again starts with
/// nothing, and takes the next message.
#[test]
fn none_is_left_of_what_is_unmapped_under_fire() {
    const ROUNDS: u32 = 300;
    boot!(LARGE, 2, domain, cpus, its);
    // Events of one device, which take the same LPIs by turns: a message that came late would show as another's.
    its.map_device(&cpus[0], DEVICE, LPI, SENDERS, |_| 0);
    let stop = AtomicBool::new(false);
    let sent: [AtomicU64; SENDERS as usize] = Default::default();
    std::thread::scope(|scope| {
        for event in 0..SENDERS {
            let (domain, stop, sent) = (&domain, &stop, &sent);
            scope.spawn(move || {
                while !stop.load(SeqCst) {
                    match domain.message(VCPUS + event as usize, 0, DEVICE, event) {
                        Ok(()) => {
                            sent[event as usize].fetch_add(1, SeqCst);
                        }
                        Err(ENOENT) => {}
                        Err(errno) => panic!("event {event}: {errno:?}"),
                    }
                    std::thread::yield_now();
                }
            });
        }
        let mut dice = fastrand::Rng::with_seed(11);
        for round in 0..ROUNDS {
            let event = dice.u32(..SENDERS);
            if dice.u32(..4) == 0 {
                // All of them.
                let off = if dice.bool() {
                    command::unmapd(DEVICE)
                } else {
                    command::mapd(DEVICE, 5, its.itt(DEVICE))
                };
                its.send(&cpus[0], &[off]);
                taken(&cpus);
                assert_eq!(taken(&cpus), [vec![], vec![]], "round {round}");
                let again: Vec<_> = (0..SENDERS)
                    .map(|n| command::mapti(DEVICE, n, LPI + n, 0))
                    .collect();
                its.send(&cpus[0], &[command::mapd(DEVICE, 5, its.itt(DEVICE))]);
                its.send(&cpus[0], &again);
                continue;
            }
            // One of them; its LPI is mapped to an event that nobody sends.
            its.send(&cpus[0], &[command::discard(DEVICE, event)]);
            its.send(&cpus[0], &[command::mapti(DEVICE, 20, LPI + event, 1)]);
            let both = taken(&cpus);
            assert_eq!(
                both[1],
                [],
                "round {round}: a late message is another event's"
            );
            its.send(&cpus[0], &[command::mapti(DEVICE, event, LPI + event, 0)]);
            taken(&cpus);
        }
        stop.store(true, SeqCst);
    });
    taken(&cpus);
    assert_eq!(taken(&cpus), [vec![], vec![]], "and no more");
    for event in 0..SENDERS {
        assert!(sent[event as usize].load(SeqCst) > 0, "event {event}");
        send(&domain, DEVICE, event);
        assert_eq!(taken(&cpus), [vec![LPI + event], vec![]], "the last one");
    }
    assert_eq!(domain.host_commands(), 0);
}
