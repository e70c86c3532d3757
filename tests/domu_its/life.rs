// SPDX-License-Identifier: GPL-2.0-only
//! Domains with an ITS come and go, and leave nothing behind.

use super::*;
use vgic_harness::guests::its::Command;
use vgic_harness::xen::faults;

/// Maps as many events as the limits allow, each LPI pending, over all devices.
fn fill(domain: &Domain, cpu: &GuestCpu, devices: u32, events: u32) {
    let its = Its::probe(domain, cpu, 0);
    let mut commands: Vec<Command> = (0..devices)
        .map(|n| command::mapd(n * 97, 16, its.itt(n)))
        .collect();
    commands.extend((0..events).flat_map(|n| {
        let (device, event) = (n % devices * 97, n / devices * 61);
        [
            command::mapti(device, event, FIRST_LPI + n, 0),
            command::int(device, event),
        ]
    }));
    for lot in commands.chunks(1000) {
        its.send(cpu, lot);
    }
    assert_eq!(errors(domain), None);
    its.send(cpu, &[command::mapd(96, 16, its.itt(1))]);
    let reached = Some("1 command errors, the last 0x10801".to_owned());
    assert_eq!(errors(domain), reached, "the limit is reached");
    assert!(domain.message(1, 0, 0, 0).is_ok());
}

/// Each turn of the destruction frees no more than this: 256 events or devices of the tables.
const FREED: isize = 256 * 4 + 8;

/// Has a domain die, each step looked at; how many there were.
fn die(domain: Domain) -> usize {
    let mut steps = 1;
    loop {
        let before = faults::live();
        let more = domain.kill();
        let freed = before - faults::live();
        assert!(freed <= FREED, "{freed} at once");
        if !more {
            break;
        }
        steps += 1;
    }
    // Device models may not know yet.
    assert_eq!(domain.message(1, 0, 0, 0), Err(ENOENT));
    let before = faults::live();
    drop(domain);
    let freed = before - faults::live();
    assert!(freed < 300, "{freed} at once");
    steps
}

/// One in fifty has all that a domain has by default.
#[test]
fn a_thousand_domains_are_made_filled_and_destroyed() {
    const DOMAINS: u32 = 1000;
    let machine = Machine::power_on(SMALL);
    let before = (faults::live(), faults::live_bytes());
    for n in 0..DOMAINS {
        let domain =
            Domain::with_vcpus(&machine, Config::guest(3, 1).with_msi()).expect("a domain");
        let (devices, events) = if n % 50 == 0 { (64, 2048) } else { (4, 64) };
        assert_eq!(domain.set_limits(0, devices, events), Ok(()));
        domain.unpause();
        let cpus = linux::boot(&domain);
        its::enable_lpis(&domain, &cpus);
        fill(&domain, &cpus[0], devices, events);
        drop(cpus);
        let steps = die(domain);
        assert!(steps >= events as usize / 256, "{steps} steps");
        assert_eq!((faults::live(), faults::live_bytes()), before, "domain {n}");
    }
}

/// Lets each allocation for a domain fail in turn; how many there are.
fn fail_creation(profile: Profile, config: Config) -> usize {
    let machine = Machine::power_on(profile);
    let before = faults::live();
    for n in 0.. {
        faults::fail_nth(n);
        let made = Domain::with_vcpus(&machine, config);
        let failed = faults::fail_none();
        assert_eq!(made.is_err(), failed, "allocation {n}");
        drop(made);
        assert_eq!(faults::live(), before, "allocation {n} leaks");
        if !failed {
            return n;
        }
    }
    0
}

#[test]
fn creation_may_fail_at_each_allocation() {
    let config = Config::guest(3, 2);
    // The ITS, and the table of the LPIs.
    let own = fail_creation(SMALL, config.with_msi()) - fail_creation(SMALL, config);
    assert_eq!(own, 2);
    let config = Config::guest(2, 2);
    let own =
        fail_creation(Profile::GICV2, config.with_msi()) - fail_creation(Profile::GICV2, config);
    assert_eq!(own, 0);
}

/// Each allocation of each command fails in turn: what was mapped works as it did, and what is refused can be had later.
#[test]
fn refused_for_want_of_memory_commands_change_nothing() {
    let commands: [fn(&Its) -> Command; 5] = [
        |_| command::mapti(DEVICE, 0, 60_000, 1),
        |_| command::mapti(DEVICE, 900, LPI + 1, 1),
        |_| command::mapti(DEVICE, 900, 60_000, 1),
        |its| command::mapd(DEVICE + 0x800, 13, its.itt(DEVICE)),
        |_| command::mapti(DEVICE + 1, 0x3000, 60_000, 1),
    ];
    for (which, command) in commands.into_iter().enumerate() {
        let mut refused = 0;
        for n in 0.. {
            boot!(SMALL, 2, domain, cpus, its);
            its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
            its::configure(&domain, LPI + 1, 0xa0, true);
            let all = [
                command::mapd(DEVICE, 10, its.itt(DEVICE)),
                command::mapd(DEVICE + 1, 14, its.itt(DEVICE + 1)),
                command::mapti(DEVICE, 0, LPI, 0),
                command::mapti(DEVICE, 1, LPI + 1, 1),
            ];
            its.send(&cpus[0], &all);
            let before = faults::live();
            faults::fail_nth(n);
            its.send(&cpus[0], &[command(&its)]);
            if !faults::fail_none() {
                break;
            }
            refused += 1;
            let what = format!("command {which}, allocation {n}");
            let error = errors(&domain).expect("it is refused");
            assert!(error.ends_with("ff"), "{what}: {error}");
            (0..2).for_each(|event| send(&domain, DEVICE, event));
            assert_eq!(taken(&cpus), [vec![LPI], vec![LPI + 1]], "{what}");
            // A page of LPIs stays, once it is made.
            assert!(faults::live() <= before + 1, "{what}");
            its.send(&cpus[0], &[command(&its)]);
            let again = errors(&domain).expect("one was refused");
            assert_eq!(again, error, "{what} can be had later");
        }
        assert!(refused > 0, "command {which} allocates");
    }
}
