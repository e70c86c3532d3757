// SPDX-License-Identifier: GPL-2.0-only
//! What the commands of an ITS, and the registers of a redistributor that are about all LPIs, cost in one trap, in instructions.
//!
//! Each workload is a program of its own, this one under Valgrind's callgrind: the same number on every run, whatever else
//! the machine does. A trap is counted from the guest's store to its next instruction, with the exit, the entry and what
//! the mock does for guest memory and kicks; without what the host does for its own ITS, and without what another vCPU does
//! meanwhile that is waited for (`rust-vgic/src/slots/tests.rs` has the bound of an entry).
//!
//! For an optimised build: `cargo test --release --test budget`.

#[path = "budget/domu.rs"]
mod domu;
#[path = "budget/functions.rs"]
mod functions;
#[path = "budget/many.rs"]
mod many;
#[path = "budget/reset.rs"]
mod reset;
#[path = "budget/rvic.rs"]
mod rvic;
#[path = "budget/tables.rs"]
mod tables;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command as Process, Output};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use vgic_harness::guests::guest::{GuestCpu, Size, Store};
use vgic_harness::guests::its::{self, Command, FIRST_LPI, Its, command, gits};
use vgic_harness::guests::linux::{self, gicr};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

/// No trap costs more. See `rust-vgic/src/its/queue.rs` and `rust-vgic/src/lpi/registers.rs`.
const BUDGET: u64 = 1_000_000;

/// Traps that are looked at, if there are as many: 512 take all of a queue of commands that each fit in one. Of those that
/// take many, enough for all LPIs to go to and fro, or be unmapped.
const TRAPS: usize = 512;
const LONG: usize = 260;
const ONCE: usize = 128;

/// Room for the longest queue there is, out of the way of everything else.
const QUEUE: u64 = its::MEMORY + 0x180_0000;
const PAGES: u64 = 256;
const COMMANDS: usize = PAGES as usize * 0x1000 / 32 - 1;

/// Devices with 8192 events each, all of which are mapped.
const DEVICE: u32 = 0x100;
const EVENTS: u32 = 8192;
const ALL: u32 = 4 * EVENTS;
/// A device of few events, whose LPIs come after all those.
const OTHER: u32 = DEVICE + 8;
const FEW: u32 = 10;

/// A guest with two vCPUs: 0 has been switched off since it came up, and 1 sends the commands.
struct Guest<'a> {
    domain: &'a Domain,
    /// vCPU 1.
    cpu: &'a GuestCpu,
    its: Its<'a>,
}

/// Commands by their numbers in the queue: these by turns.
type Turns = &'static [fn(u32, &Its) -> Command];

/// A name, the traps to be looked at, the commands, and what is there before.
type Workload = (&'static str, usize, Turns, fn(&Guest));

const fn device_of(n: u32) -> (u32, u32) {
    (DEVICE + n % 4, n / 4 % EVENTS)
}

fn devices_mapped(guest: &Guest) {
    let table = vec![0xa1; ALL as usize];
    assert!(guest.domain.write_memory(its::PROPERTIES, &table));
    send_all(guest, (0..4).map(|n| mapd(n, &guest.its)));
}

/// Every event of them, in collection 0.
fn all_mapped(guest: &Guest) {
    devices_mapped(guest);
    send_all(guest, (0..ALL).map(|n| mapti(n, &guest.its)));
}

/// Every LPI pending at the vCPU that is off, and none on its way sorted yet.
fn all_pending(guest: &Guest) {
    all_mapped(guest);
    send_all(guest, (0..ALL).map(|n| int(n, &guest.its)));
}

fn few_mapped(guest: &Guest) {
    guest
        .its
        .map_device(guest.cpu, OTHER, FIRST_LPI + ALL, FEW, |_| 1);
}

/// LPIs are disabled at vCPU 0, and its pending table has all of them.
fn pending_table_full(guest: &Guest) {
    let table = its::pending_table(0);
    write_redistributor(guest, gicr::CTLR, Size::Word, 0);
    write_redistributor(guest, gicr::PENDBASER, Size::Double, table);
    assert!(guest.domain.write_memory(table, &[0xff; 0x2000]));
}

/// The same, and they are mapped.
fn pending_table_full_of_mapped(guest: &Guest) {
    all_mapped(guest);
    pending_table_full(guest);
}

/// The same, and they are mapped to vCPU 1.
fn pending_table_full_of_anothers(guest: &Guest) {
    devices_mapped(guest);
    send_all(guest, (0..ALL).map(|n| mapti_elsewhere(n, &guest.its)));
    pending_table_full(guest);
}

/// The same, and pending there as well.
fn pending_table_full_of_what_pends_elsewhere(guest: &Guest) {
    pending_table_full_of_anothers(guest);
    send_all(guest, (0..ALL).map(|n| int(n, &guest.its)));
}

/// vCPU 0 has had them from such a table before, and they were cleared.
fn pending_table_full_of_what_was_cleared(guest: &Guest) {
    pending_table_full_of_anothers(guest);
    write_redistributor(guest, gicr::CTLR, Size::Word, 1);
    send_all(guest, (0..ALL).map(|n| clear(n, &guest.its)));
    pending_table_full(guest);
}

fn write_redistributor(guest: &Guest, offset: u64, size: Size, value: u64) {
    let frame = guest.cpu.gicr_of(0).expect("a redistributor");
    (guest.cpu.store(frame + offset, size, value)).expect("the register is there");
}

fn few_among_many(guest: &Guest) {
    all_mapped(guest);
    few_mapped(guest);
}

fn nothing_mapped(_: &Guest) {}

/// Every LPI pending, with its collection having gone nowhere and back.
fn all_pending_again(guest: &Guest) {
    all_pending(guest);
    send_all(guest, (0..2).map(|n| mapc_off_and_on(n, &guest.its)));
}

/// The same for every LPI there can be, 57,344: seven devices.
fn every_lpi_pending_again(guest: &Guest) {
    const EVERY: u32 = 7 * EVENTS;
    let table = vec![0xa1; EVERY as usize];
    assert!(guest.domain.write_memory(its::PROPERTIES, &table));
    let of = |n: u32| (DEVICE + n / EVENTS, n % EVENTS);
    let devices = (0..7).map(|n| command::mapd(DEVICE + n, 13, guest.its.itt(DEVICE + n)));
    send_all(guest, devices);
    send_all(
        guest,
        (0..EVERY).map(|n| command::mapti(of(n).0, of(n).1, FIRST_LPI + n, 0)),
    );
    send_all(guest, (0..EVERY).map(|n| command::int(of(n).0, of(n).1)));
    send_all(guest, (0..2).map(|n| mapc_off_and_on(n, &guest.its)));
}

/// Every LPI pending and disabled, and enabled in memory since.
fn all_pending_disabled(guest: &Guest) {
    all_mapped(guest);
    let configure = |byte| {
        let table = vec![byte; ALL as usize];
        assert!(guest.domain.write_memory(its::PROPERTIES, &table));
    };
    configure(0xa0);
    send_all(guest, std::iter::once(command::invall(0)));
    send_all(guest, (0..ALL).map(|n| int(n, &guest.its)));
    configure(0xa1);
}

fn int(n: u32, _: &Its) -> Command {
    let (device, event) = device_of(n);
    command::int(device, event)
}

fn clear(n: u32, _: &Its) -> Command {
    let (device, event) = device_of(n);
    command::clear(device, event)
}

fn inv(n: u32, _: &Its) -> Command {
    let (device, event) = device_of(n);
    command::inv(device, event)
}

fn discard(n: u32, _: &Its) -> Command {
    let (device, event) = device_of(n);
    command::discard(device, event)
}

fn movi(n: u32, _: &Its) -> Command {
    let (device, event) = device_of(n);
    command::movi(device, event, 1)
}

fn movi_one(n: u32, _: &Its) -> Command {
    command::movi(DEVICE, 7, n as u16 % 2)
}

fn mapti(n: u32, _: &Its) -> Command {
    let (device, event) = device_of(n);
    command::mapti(device, event, FIRST_LPI + n % ALL, 0)
}

fn mapti_elsewhere(n: u32, _: &Its) -> Command {
    let (device, event) = device_of(n);
    command::mapti(device, event, FIRST_LPI + n % ALL, 1)
}

fn mapd(n: u32, its: &Its) -> Command {
    let device = DEVICE + n % 4;
    command::mapd(device, 13, its.itt(device))
}

fn mapd_small(n: u32, its: &Its) -> Command {
    let device = OTHER + n / 2 % 4;
    command::mapd(device, 5, its.itt(device))
}

fn unmapd(n: u32, _: &Its) -> Command {
    command::unmapd(OTHER + n / 2 % 4)
}

fn mapc_all(n: u32, _: &Its) -> Command {
    command::mapc(0, 1 - n as usize % 2)
}

fn mapc_off_and_on(n: u32, _: &Its) -> Command {
    if n.is_multiple_of(2) {
        command::unmapc(0)
    } else {
        command::mapc(0, 0)
    }
}

fn mapc_few(n: u32, _: &Its) -> Command {
    command::mapc(1, n as usize % 2)
}

fn invall(_: u32, _: &Its) -> Command {
    command::invall(0)
}

fn invall_few(_: u32, _: &Its) -> Command {
    command::invall(1)
}

fn movall(n: u32, _: &Its) -> Command {
    let from = n as usize % 2;
    command::movall(from, 1 - from)
}

fn sync(_: u32, _: &Its) -> Command {
    command::sync(0)
}

fn unknown(n: u32, _: &Its) -> Command {
    [0x80 | u64::from(n), u64::MAX, u64::MAX, u64::MAX]
}

fn wrong(n: u32, _: &Its) -> Command {
    command::movi(u32::MAX - n, u32::MAX, u16::MAX)
}

#[rustfmt::skip]
const WORKLOADS: &[Workload] = &[
    ("INT",                         TRAPS, &[int],                  all_mapped),
    ("INT of what is pending",      TRAPS, &[int],                  all_pending),
    ("CLEAR",                       TRAPS, &[clear, int],           all_pending),
    ("INV",                         TRAPS, &[inv],                  all_pending),
    ("MOVI",                        TRAPS, &[movi],                 all_pending),
    ("MOVI to and fro",             TRAPS, &[movi_one],             all_pending),
    ("DISCARD",                     TRAPS, &[discard],              all_pending),
    ("DISCARD, MAPTI and INT",      TRAPS, &[discard, mapti, int],  all_pending),
    ("MAPTI",                       TRAPS, &[mapti],                devices_mapped),
    ("MAPTI of what is mapped",     TRAPS, &[mapti_elsewhere],      all_pending),
    ("MAPD",                        TRAPS, &[mapd_small, unmapd],   nothing_mapped),
    ("MAPD of devices with events", ONCE,  &[mapd],                 all_pending),
    ("MAPC",                        LONG,  &[mapc_all],             all_pending),
    ("MAPC off and on",             LONG,  &[mapc_off_and_on],      all_pending),
    ("MOVI after MAPC off and on",  TRAPS, &[movi],                 all_pending_again),
    ("MOVI of one of 57,344",       ONCE,  &[movi_one],             every_lpi_pending_again),
    ("MAPC of few",                 TRAPS, &[mapc_few],             few_among_many),
    ("INV that enables",            TRAPS, &[inv],                  all_pending_disabled),
    ("INVALL that enables",         ONCE,  &[invall],               all_pending_disabled),
    ("INVALL, then MOVI",           ONCE,  &[invall, movi_one],     all_pending_disabled),
    (TOGGLED,                       TRAPS, &[sync],                 nothing_mapped),
    ("INVALL",                      LONG,  &[invall],               all_pending),
    (INVALL_ALONE,                  TRAPS, &[invall_few],           few_mapped),
    (INVALL_AMONG,                  TRAPS, &[invall_few],           few_among_many),
    ("MOVALL",                      LONG,  &[movall],               all_pending),
    ("SYNC",                        TRAPS, &[sync],                 all_mapped),
    ("unknown commands",            TRAPS, &[unknown],              all_mapped),
    ("wrong commands",              TRAPS, &[wrong],                all_mapped),
];

/// Stores to registers of vCPU 0's redistributor.
type Stores = &'static [(u64, Size, u64)];

/// A name, the stores, and what is there before.
type Redistributor = (&'static str, Stores, fn(&Guest));

const OFF_AND_ON: Stores = &[(gicr::CTLR, Size::Word, 0), (gicr::CTLR, Size::Word, 1)];
const ON_AND_OFF: Stores = &[(gicr::CTLR, Size::Word, 1), (gicr::CTLR, Size::Word, 0)];
const INVALLR: Stores = &[(gicr::INVALLR, Size::Double, 0)];

#[rustfmt::skip]
const REDISTRIBUTOR: &[Redistributor] = &[
    ("EnableLPIs",                  OFF_AND_ON, nothing_mapped),
    ("EnableLPIs, LPIs mapped",     OFF_AND_ON, all_mapped),
    ("EnableLPIs, LPIs pending",    ON_AND_OFF, pending_table_full_of_mapped),
    ("EnableLPIs, none mapped",     ON_AND_OFF, pending_table_full),
    ("EnableLPIs, LPIs of another", ON_AND_OFF, pending_table_full_of_anothers),
    ("EnableLPIs, LPIs pending at another", ON_AND_OFF, pending_table_full_of_what_pends_elsewhere),
    ("EnableLPIs, LPIs of another, cleared", ON_AND_OFF, pending_table_full_of_what_was_cleared),
    ("GICR_INVALLR",                INVALLR,    all_pending),
];
/// Commands of a vCPU while another takes the tables of the ITS away again and again.
const TOGGLED: &str = "SYNC, GITS_BASER toggled";
const INVALL_ALONE: &str = "INVALL of few";
const INVALL_AMONG: &str = "INVALL of few among many";

fn send_all(guest: &Guest, commands: impl Iterator<Item = Command>) {
    let commands: Vec<Command> = commands.collect();
    for some in commands.chunks(2000) {
        guest.its.send(guest.cpu, some);
    }
}

/// What is counted.
#[inline(never)]
fn one_trap(cpu: &GuestCpu, address: u64, size: Size, value: u64) -> Store {
    let done = cpu.store_once(address, size, value);
    std::hint::black_box(done).expect("the register is there")
}

/// What the host does for its own ITS, and what others do on their CPUs while this one waits: not counted.
const HOST: [&str; 13] = [
    "rvgic_mock_relax",
    "gicv3_its_map_guest_device",
    "gicv3_assign_guest_event",
    "gicv3_remove_guest_event",
    "gicv3_its_route_guest_event",
    // Of PCI functions: their own registers, too.
    "mock_its_map_function",
    "mock_its_unmap_function",
    "mock_its_message",
    "mock_pci_write_msi",
    "mock_pci_mask_msi",
    "mock_pci_write_entry",
    "mock_pci_mask_entry",
    "*::Pci::quiet",
];

/// Names the workload to the program that runs it.
const VARIABLE: &str = "VGIC_BUDGET_WORKLOAD";

#[test]
#[ignore = "run under Valgrind by the others"]
fn workload() {
    let name = std::env::var(VARIABLE).expect("the name of a workload");
    let of_gics = many::run(&name) || domu::run(&name) || reset::run(&name);
    if of_gics || rvic::run(&name) || tables::run(&name) || functions::run(&name) {
        return;
    }
    with_guest(|guest, other| of_guest(&name, guest, other));
}

/// Has something done by Dom0, and its vCPU 0 beside the one that sends.
fn with_guest(run: impl FnOnce(&Guest, &GuestCpu)) {
    let machine = Machine::power_on(Profile::GICV3.with_itses(1));
    let domain = Domain::with_vcpus(&machine, Config::dom0(3, 2)).expect("a domain");
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    let cpu = &cpus[1];
    let guest = Guest {
        domain: &domain,
        cpu,
        its: Its::probe(&domain, cpu, 0),
    };
    run(&guest, &cpus[0]);
}

fn of_guest(name: &str, guest: &Guest, other: &GuestCpu) {
    let cpu = guest.cpu;
    if let Some((_, stores, before)) = REDISTRIBUTOR.iter().find(|w| w.0 == name) {
        before(guest);
        let frame = cpu.gicr_of(0).expect("a redistributor");
        for &(offset, size, value) in *stores {
            while one_trap(cpu, frame + offset, size, value) == Store::Again {}
        }
        return;
    }
    let (_, most, turns, before) = WORKLOADS.iter().find(|w| w.0 == name).expect("a workload");
    before(guest);
    let its = &guest.its;
    let commands = (0..COMMANDS).map(|n| turns[n % turns.len()](n as u32, its));
    let bytes: Vec<u8> = commands.flatten().flat_map(|w| w.to_le_bytes()).collect();
    assert!(guest.domain.write_memory(QUEUE, &bytes));
    its.write(cpu, gits::CTLR, 0);
    its.write(cpu, gits::CBASER, gits::VALID | QUEUE | (PAGES - 1));
    its.write(cpu, gits::CTLR, 1);
    let address = its.base + gits::CWRITER;
    let end = COMMANDS as u64 * 32;
    // With the ITS off a store is done at once.
    let toggled = name == TOGGLED;
    let again = |_: &usize| one_trap(cpu, address, Size::Double, end) == Store::Again || toggled;
    let stop = AtomicBool::new(!toggled);
    std::thread::scope(|scope| {
        // A table can be taken away only while the ITS is off.
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                for (offset, value) in [
                    (gits::CTLR, 0),
                    (gits::BASER, 0),
                    (gits::BASER, gits::VALID | QUEUE),
                    (gits::CTLR, 1),
                ] {
                    let size = if offset == gits::CTLR {
                        Size::Word
                    } else {
                        Size::Double
                    };
                    let _ = other.store_once(its.base + offset, size, value);
                }
            }
        });
        let traps = (0..*most).take_while(again);
        println!("{} traps", traps.count());
        stop.store(true, Relaxed);
    });
}

/// Runs one of these workloads. Says whether there is such a one.
fn run_one(workloads: &[(&str, fn())], name: &str) -> bool {
    let found = workloads.iter().find(|w| w.0 == name);
    found.map(|w| w.1()).is_some()
}

/// The instructions of the longest trap of a workload, and how many traps there are; as [`count`].
fn longest(workload: &str) -> Option<(u64, usize)> {
    let counts = count(workload)?;
    let most = counts.iter().copied().max().unwrap_or_default();
    println!(
        "{most:9} instructions at most, {:5} times: {workload}",
        counts.len()
    );
    Some((most, counts.len()))
}

/// The instructions of each trap of a workload; `None` where they cannot be counted, which it says past the test runner.
fn count(workload: &str) -> Option<Vec<u64>> {
    let without = if cfg!(debug_assertions) {
        Some("this is no optimised build; `cargo test --release --test budget` is")
    } else if Process::new("valgrind").arg("--version").output().is_err() {
        Some("there is no valgrind; it is in Debian's package of that name")
    } else {
        None
    };
    if let Some(why) = without {
        let _ = writeln!(std::io::stderr(), "skipped: {why}");
        return None;
    }
    let name = format!("budget.{}.{workload}", std::process::id());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let Output {
        status,
        stdout,
        stderr,
    } = Process::new("valgrind")
        .args(["--tool=callgrind", "--combine-dumps=yes"])
        // Of this file, or of one of its modules.
        .arg("--zero-before=*::one_trap")
        .arg("--toggle-collect=*::one_trap")
        .arg("--dump-after=*::one_trap")
        // Off in there, and on again after it.
        .args(HOST.map(|function| format!("--toggle-collect={function}")))
        .args(
            many::not_counted(workload)
                .iter()
                .chain(reset::not_counted(workload))
                .chain(rvic::not_counted(workload))
                .map(|function| format!("--toggle-collect={function}")),
        )
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "workload",
            "--ignored",
            "--nocapture",
            "--test-threads",
            "1",
        ])
        .env(VARIABLE, workload)
        .output()
        .expect("valgrind");
    let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{workload}: {said}");
    let profile = std::fs::read_to_string(&file).expect("what callgrind has written");
    let _ = std::fs::remove_file(&file);
    // The last part is of what comes after the traps: the mock's own end.
    let of_traps = profile.split("desc: Trigger: Program termination").next();
    let counts: Vec<u64> = of_traps
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.strip_prefix("totals: "))
        .filter_map(|n| n.trim().parse().ok())
        .filter(|n| *n != 0)
        .collect();
    assert!(counts.len() > 1, "{workload}: {said}");
    Some(counts)
}

#[test]
fn no_trap_takes_longer_than_the_budget() {
    let mut worst = BTreeMap::new();
    let commands = WORKLOADS.iter().map(|w| w.0);
    for workload in commands.chain(REDISTRIBUTOR.iter().map(|w| w.0)) {
        let Some(counts) = count(workload) else {
            return;
        };
        let most = counts.iter().copied().max().unwrap_or_default();
        println!(
            "{most:9} instructions at most, {:5} traps: {workload}",
            counts.len()
        );
        worst.insert(most, workload);
    }
    let over: Vec<_> = worst.range(BUDGET + 1..).collect();
    assert!(over.is_empty(), "over {BUDGET}: {over:?}");
}

#[test]
fn invall_of_a_collection_costs_nothing_for_the_others() {
    let (Some(alone), Some(among)) = (count(INVALL_ALONE), count(INVALL_AMONG)) else {
        return;
    };
    let total = |counts: &[u64]| counts.iter().sum::<u64>();
    let (alone, among) = (total(&alone), total(&among));
    println!("{alone} instructions alone, {among} with {ALL} LPIs in another collection");
    assert!(alone.abs_diff(among) * 100 < alone * 2, "{alone}, {among}");
}
