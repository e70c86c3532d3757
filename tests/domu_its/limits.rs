// SPDX-License-Identifier: GPL-2.0-only
//! What a guest may have mapped: it is told by the architecture's command errors, whoever set the limits by the console.

use super::*;
use rust_vgic::{ItsConfig, Limits, its::most_bytes};
use vgic_harness::guests::its::{Command, gits};
use vgic_harness::guests::linux::gicr;
use vgic_harness::xen::faults;

const ITS: ItsConfig = ItsConfig {
    device_bits: 16,
    event_bits: 16,
};

/// A domain of so much, and its ITS.
fn limited(lpis: u32, devices: u32, events: u32) -> (Domain, Vec<GuestCpu>) {
    let machine = Machine::power_on(LARGE);
    let domain = Domain::with_vcpus(&machine, Config::guest(3, 2).with_msi()).expect("a domain");
    assert_eq!(domain.set_limits(lpis, devices, events), Ok(()));
    domain.unpause();
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    (domain, cpus)
}

/// What is mapped, and which LPIs come of it.
fn seen(domain: &Domain, cpus: &[GuestCpu]) -> (String, Vec<Vec<u32>>) {
    let dump = domain.dump();
    let mapped = dump.lines().find(|line| line.contains(" devices of "));
    for event in 0..4 {
        let _ = domain.message(5, 0, DEVICE, event);
    }
    (mapped.unwrap_or_default().to_owned(), taken(cpus))
}

#[test]
fn reached_limits_are_command_errors_and_change_nothing() {
    let (domain, cpus) = limited(256, 2, 3);
    let its = Its::probe(&domain, &cpus[0], 0);
    assert_eq!(errors(&domain), None);
    its.map_device(&cpus[0], DEVICE, LPI, 3, |n| n as u16 % 2);
    its.send(&cpus[0], &[command::mapd(DEVICE + 1, 4, its.itt(1))]);
    domain.machine.take_console();
    let before = seen(&domain, &cpus);
    let line = "2 devices of 2 and 3 events of 3 mapped, 256 LPIs of 256 used";
    assert!(before.0.contains(line), "{}", before.0);
    let refused: [(Command, &str, &str); 5] = [
        (command::mapd(7, 4, its.itt(7)), "0x10801", "devices"),
        (command::mapti(DEVICE, 3, LPI + 3, 0), "0x10a05", "events"),
        (command::mapi(DEVICE, 3, 0), "0x10b06", "no LPI at all"),
        (command::mapti(DEVICE, 1, LPI + 256, 0), "0x10a06", "LPIs"),
        (command::mapti(DEVICE, 3, 65535, 0), "0x10a06", "LPIs"),
    ];
    let mut limits = 0;
    for (n, (command, code, what)) in (1..).zip(refused) {
        its.send(&cpus[0], &[command]);
        let expected = format!("{n} command errors, the last {code}");
        let console = domain.machine.take_console();
        assert_eq!(errors(&domain), Some(expected), "{what}");
        assert_eq!(seen(&domain, &cpus), before, "{what}");
        if what == "no LPI at all" {
            continue;
        }
        limits += 1;
        let [zero, one, two, three] = command;
        let words = format!("{zero:#x} {one:#x} {two:#x} {three:#x}");
        let said =
            format!("d1: ITS 0: no more {what}: command {words} is refused, number {limits}");
        assert!(console.contains(&said), "{console}");
        let kept = format!("ITS 0: {limits} commands refused for the limits, the last {words}");
        let dump = domain.dump();
        assert!(dump.contains(&kept), "{dump}");
    }
    // What goes makes room, and one takes the place of another.
    its.send(&cpus[0], &[command::unmapd(DEVICE + 1)]);
    its.send(&cpus[0], &[command::mapd(7, 4, its.itt(7))]);
    its.send(&cpus[0], &[command::discard(DEVICE, 2)]);
    its.send(&cpus[0], &[command::mapti(7, 3, LPI + 2, 1)]);
    its.send(&cpus[0], &[command::mapti(7, 4, LPI + 2, 1)]);
    assert_eq!(domain.message(5, 0, 7, 4), Ok(()));
    assert_eq!(domain.message(5, 0, 7, 3), Err(ENOENT));
    assert_eq!(taken(&cpus), [vec![], vec![LPI + 2]]);
    assert_eq!(
        errors(&domain).as_deref(),
        Some("5 command errors, the last 0x10a06")
    );
}

#[test]
fn refusals_are_told_at_a_limited_rate() {
    let (domain, cpus) = limited(256, 1, 1);
    let its = Its::probe(&domain, &cpus[0], 0);
    its.send(&cpus[0], &[command::mapd(DEVICE, 4, its.itt(1))]);
    domain.machine.take_console();
    let lot: Vec<Command> = (0..1000).map(|n| command::mapd(n, 4, its.itt(1))).collect();
    (0..5).for_each(|_| its.send(&cpus[0], &lot));
    // The first ten, and one each time that there are twice as many.
    let console = domain.machine.take_console();
    let lines = console
        .lines()
        .filter(|line| line.contains("no more devices"));
    assert_eq!(lines.count(), 10 + 9);
    // One of the thousand is mapped: it may be mapped anew.
    assert!(
        domain
            .dump()
            .contains(" 4995 commands refused for the limits")
    );
}

#[test]
fn limits_are_set_before_anything_runs() {
    let machine = Machine::power_on(SMALL);
    let domain = Domain::with_vcpus(&machine, Config::guest(3, 1).with_msi()).expect("a domain");
    let shown = |line: &str| assert!(domain.dump().contains(line), "{}", domain.dump());
    shown("0 devices of 64 and 0 events of 2048 mapped, 0 LPIs of 4096 used");
    for too_much in [
        [57_345, 0, 0],
        [!0, 1, 1],
        [1, 0x1_0001, 1],
        [1, 1, 57_345],
        [0, !0, 0],
    ] {
        let [lpis, devices, events] = too_much;
        assert_eq!(
            domain.set_limits(lpis, devices, events),
            Err(EINVAL),
            "{too_much:?}"
        );
        shown("0 devices of 64 and 0 events of 2048 mapped, 0 LPIs of 4096 used");
    }
    assert_eq!(domain.set_limits(0, 0, 0), Ok(()));
    shown("0 devices of 64 and 0 events of 2048 mapped, 0 LPIs of 4096 used");
    // Blocks of 256.
    assert_eq!(domain.set_limits(257, 0, 5), Ok(()));
    shown("0 devices of 64 and 0 events of 5 mapped, 0 LPIs of 512 used");
    assert_eq!(domain.set_limits(57_344, 65_536, 57_344), Ok(()));
    shown("0 devices of 65536 and 0 events of 57344 mapped, 0 LPIs of 57344 used");
    domain.unpause();
    assert_eq!(domain.set_limits(0, 1, 0), Err(EBUSY));
    shown("0 devices of 65536 and 0 events of 57344 mapped, 0 LPIs of 57344 used");
    // Nor once anything is in use, whoever says when that is.
    drop(domain);
    let domain = Domain::with_vcpus(&machine, Config::guest(3, 1).with_msi()).expect("a domain");
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    let its = Its::probe(&domain, &cpus[0], 0);
    its.send(&cpus[0], &[command::mapd(DEVICE, 4, its.itt(1))]);
    assert_eq!(domain.set_limits(0, 0, 7), Err(EBUSY));
    its.send(&cpus[0], &[command::unmapd(DEVICE)]);
    assert_eq!(domain.set_limits(0, 0, 7), Ok(()));
}

/// The bits of a number in the opposite order: numbers that follow one another share as few nodes as they can.
fn spread(n: u32) -> u32 {
    u32::from((n as u16).reverse_bits())
}

/// A guest that takes all the memory that it can have takes what the docs say, and no more, whatever it tries further.
#[test]
fn bounded_is_the_memory_of_the_worst_layout() {
    for (limits, vcpus) in [
        (Limits::DEFAULT, 2),
        (
            Limits {
                lpis: 8192,
                devices: 5,
                events: 777,
            },
            2,
        ),
        (
            Limits {
                lpis: 512,
                devices: 300,
                events: 300,
            },
            2,
        ),
    ] {
        let (domain, cpus) = limited(limits.lpis, limits.devices, limits.events);
        assert_eq!(cpus.len(), vcpus);
        let its = Its::probe(&domain, &cpus[0], 0);
        // A table with an entry for each DeviceID there is.
        its.write(&cpus[0], gits::CTLR, 0);
        let table = its.queue() + 0x20_0000;
        its.write(&cpus[0], gits::BASER, gits::VALID | table | 2 << 8 | 7);
        its.write(&cpus[0], gits::CTLR, 1);
        its.send(&cpus[0], &[command::mapc(0, 0)]);
        let before = faults::live_bytes();
        let send = |commands: Vec<Command>| {
            for lot in commands.chunks(500) {
                its.send(&cpus[0], lot);
            }
        };
        let device = spread;
        send(
            (0..limits.devices)
                .map(|n| command::mapd(device(n), 16, its.itt(n)))
                .collect(),
        );
        let blocks = limits.lpis / 256;
        let event = |n: u32| (device(n % limits.devices), spread(n / limits.devices));
        let mapti = |n: u32| {
            let (device, event) = event(n);
            let lpi = FIRST_LPI + n % blocks * 256 + n / blocks;
            command::mapti(device, event, lpi, 0)
        };
        send((0..limits.events).map(mapti).collect());
        assert_eq!(errors(&domain), None, "all of it can be had");
        // What never was mapped is pending in a table, in blocks of its own.
        cpus[1].gicr_write(gicr::CTLR, 0);
        let ones = vec![0xff; 0x2000];
        assert!(domain.write_memory(its::pending_table(1), &ones));
        let frame = cpus[1].gicr_of(1).expect("a redistributor");
        let set = cpus[1].store(
            frame + gicr::PENDBASER,
            vgic_harness::guests::guest::Size::Double,
            its::pending_table(1),
        );
        assert_eq!(set, Ok(()));
        cpus[1].gicr_write(gicr::CTLR, 1);
        // And then more of each, anywhere.
        let mut dice = fastrand::Rng::with_seed(5);
        let more = (0..2000).map(|_| {
            let (device, event) = (dice.u32(..0x1_0000), dice.u32(..0x1_0000));
            match dice.u32(..3) {
                0 => command::mapd(device, 16, its.itt(1)),
                1 => command::mapti(device, event, FIRST_LPI + dice.u32(..57_344), 0),
                _ => command::mapi(device, event, 0),
            }
        });
        send(more.collect());
        let taken = (faults::live_bytes() - before) as u64;
        let most = most_bytes(limits, &[ITS]);
        println!("{limits:?}: {taken} bytes of {most}");
        assert!(taken <= most, "{limits:?}: {taken} bytes, not {most}");
        assert!(
            taken * 10 >= most * 9,
            "{limits:?}: {taken} bytes, not {most}"
        );
    }
}
