// SPDX-License-Identifier: GPL-2.0-only
//! Host LPIs that come to another CPU than their vCPU's: nothing is moved because a vCPU is, or because a guest has it so. What keeps
//! coming to a wrong CPU is moved, later and at a limited rate.

use super::*;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// One LPI in so many is looked at.
const OFTEN: u32 = 31;
/// So many of a domain are moved in this time.
const MOVES: u64 = 8;
const PERIOD: Duration = Duration::from_millis(10);
/// MOVI and SYNC.
const COMMANDS: u64 = 2;

/// The CPU that an event's physical LPI goes to.
fn at(domain: &Domain, event: u32) -> usize {
    let lpi = domain.physical_lpi(0, DEVICE, event).expect("a mapping");
    domain.machine.gic.lpi_target(lpi)
}

fn interrupts(domain: &Domain, cpu: usize) -> u64 {
    domain.machine.pcpu(cpu).counters.interrupts.load(Relaxed)
}

#[test]
fn strays_that_keep_coming_are_moved_and_arrive_where_their_vcpu_runs() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 2, |n| n as u16);
    let mut cpus = cpus;
    for cpu in [1, 3, 2] {
        if cpu != 1 {
            cpus[1].migrate(cpu);
        }
        for n in 0..OFTEN {
            domain.machine.pass(PERIOD);
            assert_ne!(at(&domain, 1), cpu, "moved after {n} messages");
            send(&domain, DEVICE, 1);
            assert_eq!(taken(&cpus), [vec![], vec![LPI + 1]]);
            if at(&domain, 1) == cpu {
                break;
            }
        }
        assert_eq!(at(&domain, 1), cpu);
        // No other CPU is interrupted for it.
        let all = || [0, 1, 2, 3].map(|n| interrupts(&domain, n));
        let mut expected = all();
        expected[cpu] += 1;
        send(&domain, DEVICE, 1);
        assert_eq!(all(), expected);
        assert_eq!(taken(&cpus), [vec![], vec![LPI + 1]]);
    }
    // The other one is where its vCPU is.
    (0..3 * OFTEN).for_each(|_| send(&domain, DEVICE, 0));
    assert_eq!(at(&domain, 0), 0);
}

/// Each migration would have cost two commands for each LPI, in the scheduler's path.
#[test]
fn strays_cost_no_command_when_their_vcpu_is_moved_or_the_guest_moves_them() {
    const MANY: u32 = 300;
    const TIMES: usize = 50;
    boot!(SMALL, 2, domain, cpus, its);
    let before = domain.host_commands();
    its.map_device(&cpus[0], DEVICE, LPI, MANY, |_| 1);
    assert_eq!(domain.host_commands() - before, 1, "MAPD");
    let mut cpus = cpus;
    for n in 0..TIMES {
        cpus[1].migrate(if n % 2 == 0 { 3 } else { 1 });
    }
    for n in 0..2 {
        its.send(&cpus[0], &[command::movi(DEVICE, 0, n)]);
        its.send(&cpus[0], &[command::mapc(1, usize::from(n))]);
        its.send(
            &cpus[0],
            &[command::movall(usize::from(n), usize::from(n) ^ 1)],
        );
    }
    assert_eq!(domain.host_commands() - before, 1);
    // A message now and then is no reason either.
    for event in 0..MANY {
        send(&domain, DEVICE, event);
    }
    assert!(domain.host_commands() - before <= 1 + COMMANDS * MOVES);
}

#[test]
fn strays_are_moved_at_a_limited_rate() {
    const MANY: u32 = 40;
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, MANY, |_| 1);
    let before = domain.host_commands();
    let storm = || {
        for n in 0..1000 {
            send(&domain, DEVICE, n % MANY);
        }
        (domain.host_commands() - before) / COMMANDS
    };
    // However many messages there are, time has to pass.
    for times in 1..4 {
        let moved = storm();
        assert_eq!(moved, times * MOVES);
        domain.machine.pass(PERIOD - Duration::from_nanos(1));
        assert_eq!(storm(), moved, "too early");
        domain.machine.pass(Duration::from_nanos(1));
    }
    for _ in 0..20 {
        storm();
        domain.machine.pass(PERIOD);
    }
    assert_eq!(storm(), MANY.into(), "each was moved, once");
    assert!((0..MANY).all(|n| at(&domain, n) == 1));
    let each: Vec<u32> = (LPI..LPI + MANY).collect();
    let mut came = taken(&cpus).remove(1);
    came.sort_unstable();
    came.dedup();
    assert_eq!(came, each);
}

/// A CPU that is idle has taken LPIs, and gets to its softirqs when the domain is no more.
#[test]
fn strays_of_a_dead_domain_are_not_moved() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let mut cpus = cpus;
    cpus[0].migrate(3);
    let before = domain.host_commands();
    for _ in 0..3 * OFTEN {
        domain.send_msi(0, DEVICE, 0);
        // Refused all but once, with a window for interrupts on CPU 0, and no softirq after it.
        let _ = domain.route(40, 40, false);
    }
    assert!(interrupts(&domain, 0) >= u64::from(3 * OFTEN));
    assert_eq!(domain.host_commands(), before, "not yet");
    let machine = Arc::clone(&domain.machine);
    drop((cpus, domain));
    machine.quiesce(0);
}

/// The same where it lives: one that was unmapped meanwhile is not moved either.
#[test]
fn strays_may_be_unmapped_before_they_are_moved() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let mut cpus = cpus;
    cpus[0].migrate(3);
    let before = domain.host_commands();
    for _ in 0..3 * OFTEN {
        domain.send_msi(0, DEVICE, 0);
        let _ = domain.route(40, 40, false);
    }
    its.send(&cpus[1], &[command::discard(DEVICE, 0)]);
    domain.machine.quiesce(0);
    assert_eq!(domain.host_commands(), before);
}
