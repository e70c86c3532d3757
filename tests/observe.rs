// SPDX-License-Identifier: GPL-2.0-only
//! What a person at Xen's console sees: counters in the dump, and messages that a guest cannot flood the log with.

use vgic_harness::guests::guest::{GuestCpu, Size};
use vgic_harness::guests::its::{self, Its, command};
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

fn booted(profile: Profile, id: u16) -> (Domain, Vec<GuestCpu>) {
    let machine = Machine::power_on(profile);
    let config = Config {
        id,
        ..Config::guest(profile.gic, 2)
    };
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    let cpus = linux::boot(&domain);
    machine.take_console();
    (domain, cpus)
}

/// The number before `what` in the line about the whole domain.
fn count(domain: &Domain, what: &str) -> u64 {
    let dump = domain.dump();
    let line = dump.lines().find(|line| line.contains("injections"));
    let (before, _) = line.and_then(|line| line.split_once(what)).expect(what);
    let number = before.trim_end().rsplit(' ').next().unwrap_or_default();
    number.parse().expect(what)
}

#[test]
fn a_million_bad_accesses_are_counted_and_a_few_are_told() {
    let (domain, cpus) = booted(Profile::GICV3, 7);
    for n in 0..500_000 {
        let cpu = &cpus[n % 2];
        assert_eq!(cpu.load(cpu.gicd() + 0x14, Size::Word), Ok(0));
        assert_eq!(cpu.store(cpu.gicd() + 0x104, Size::Double, 1), Ok(()));
    }
    let console = domain.machine.take_console();
    let about_it = |line: &&str| line.contains("d7v");
    let told: Vec<&str> = console.lines().filter(about_it).collect();
    assert_eq!(told.len(), 10, "{console}");
    let read = "d7v0: a read of 32 bits at offset 0x14 of the frame of GICD_CTLR: there is no such register";
    assert!(told[0].contains(read), "{console}");
    let write = "d7v0: a write of 64 bits, 0x1, at offset 0x104 of the frame of GICD_CTLR: GICD_ISENABLER is not accessed like this";
    assert!(told[1].contains(write), "{console}");
    assert_eq!(console.matches("not shown").count(), 1, "{console}");
    assert_eq!(count(&domain, "accesses without"), 1_000_000);
}

/// Registers of a GICv3's distributor that are reserved with affinity routing, or with a single security state (IHI 0069, section
/// 12.8 and 12.9): where they begin, and their end.
const RESERVED: [(u64, u64); 19] = [
    (0x50, 0x54),
    (0x58, 0x5c),
    (0x80, 0x84),
    (0x100, 0x104),
    (0x180, 0x184),
    (0x200, 0x204),
    (0x280, 0x284),
    (0x300, 0x304),
    (0x380, 0x384),
    (0x400, 0x420),
    (0x800, 0xbfc),
    (0xc00, 0xc08),
    (0xd00, 0xd80),
    (0xe00, 0xf00),
    (0xf00, 0xf04),
    (0xf10, 0xf20),
    (0xf20, 0xf30),
    (0x3400, 0x3480),
    (0x3600, 0x3700),
];

#[test]
fn reserved_registers_are_there_and_their_use_is_no_mistake() {
    let (domain, cpus) = booted(Profile::GICV3_ESPI, 7);
    for offset in RESERVED
        .iter()
        .flat_map(|(from, to)| (*from..*to).step_by(4))
    {
        let register = cpus[1].gicd() + offset;
        assert_eq!(cpus[1].store(register, Size::Word, !0), Ok(()));
        assert_eq!(cpus[1].load(register, Size::Word), Ok(0), "{offset:#x}");
    }
    assert_eq!(domain.machine.take_console(), "");
    assert_eq!(count(&domain, "accesses without"), 0);
}

/// A queue of nothing but errors: each is counted, and few are told.
#[test]
fn errors_of_commands_are_told_at_a_limited_rate() {
    const MANY: u32 = 5000;
    let machine = Machine::power_on(Profile::GICV3.with_itses(1));
    let domain = Domain::with_vcpus(&machine, Config::dom0(3, 2)).expect("a domain");
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    let its = Its::probe(&domain, &cpus[0], 0);
    machine.take_console();
    // No such device.
    for _ in 0..MANY / 100 {
        its.send(&cpus[0], &[command::int(0x77, 0); 100]);
    }
    let console = machine.take_console();
    let told: Vec<&str> = console
        .lines()
        .filter(|l| l.contains("command error"))
        .collect();
    assert_eq!(told.len(), 10 + 9, "{console}");
    assert!(
        told[0].contains("d0: ITS 0: command error 0x10304"),
        "{console}"
    );
    assert!(told[18].contains("number 4096"), "{console}");
    assert!(
        domain
            .dump()
            .contains("5000 command errors, the last 0x10304")
    );
}

#[test]
fn a_boot_makes_none() {
    for profile in [Profile::GICV2, Profile::GICV3, Profile::GICV3_ESPI] {
        let (domain, _cpus) = booted(profile, 1);
        assert_eq!(count(&domain, "accesses without"), 0);
    }
}

#[test]
fn injections_kicks_and_exits_are_counted() {
    for profile in [Profile::GICV2, Profile::GICV3] {
        let (domain, cpus) = booted(profile, 1);
        let names = ["injections", "kicks", "exits with changes"];
        let now = || names.map(|name| count(&domain, name));
        linux::set_trigger(&cpus[0], 40, true);
        linux::enable(&cpus[0], 40);
        let before = now();
        for _ in 0..5 {
            domain.machine.hypervisor(3, || domain.inject(40, true));
            assert_eq!(cpus[0].take(|_| {}), Some(40));
            cpus[0].step();
            cpus[0].hypercall(|| {});
        }
        let after = now();
        // Acknowledged and ended between two exits.
        assert_eq!([0, 1, 2].map(|n| after[n] - before[n]), [5; 3]);
    }
}
