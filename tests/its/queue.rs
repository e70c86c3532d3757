// SPDX-License-Identifier: GPL-2.0-only
//! The command queue: as long as it may be, worked off in traps that are short.

use super::*;
use vgic_harness::guests::guest::{Size, Store};
use vgic_harness::guests::its::gits;

/// Room for the longest queue there is, out of the way of everything else.
const LONG_QUEUE: u64 = its::MEMORY + 0x180_0000;
const PAGES: u64 = 256;
const COMMANDS: u64 = PAGES * 0x1000 / 32 - 1;

/// Commands of one trap, and what it may read of the guest's memory for them.
const BATCH: u64 = 64;
const READS: u64 = 2 * BATCH;

/// A queue that is full of the same command, not begun yet.
fn full_of(domain: &Domain, cpu: &GuestCpu, its: &Its, command: its::Command) {
    let bytes: Vec<u8> = command.iter().flat_map(|w| w.to_le_bytes()).collect();
    assert!(domain.write_memory(LONG_QUEUE, &bytes.repeat(COMMANDS as usize)));
    its.write(cpu, gits::CTLR, 0);
    its.write(cpu, gits::CBASER, gits::VALID | LONG_QUEUE | (PAGES - 1));
    its.write(cpu, gits::CTLR, 1);
}

#[test]
fn a_full_queue_takes_many_short_traps() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let cwriter = its.base + gits::CWRITER;
    let (mut traps, mut taken) = (0, 0);
    full_of(&domain, &cpus[1], &its, command::int(DEVICE, 0));
    loop {
        let before = domain.memory_accesses();
        let store = cpus[1].store_once(cwriter, Size::Double, COMMANDS * 32);
        let reads = domain.memory_accesses() - before;
        assert!(reads <= READS, "{reads} reads of memory in a trap");
        traps += 1;
        // Others do not wait for it, nor do interrupts.
        settle(&domain.machine);
        taken += drain(&cpus[0]).len();
        match store {
            Ok(Store::Again) => assert!(traps < COMMANDS, "it never ends"),
            other => {
                assert_eq!(other, Ok(Store::Done));
                break;
            }
        }
    }
    assert_eq!(its.read(&cpus[1], gits::CREADR), COMMANDS * 32);
    assert_eq!((traps, taken), (COMMANDS.div_ceil(BATCH), traps as usize));
}

#[test]
fn aarch32_goes_on_by_reading_creadr() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let mut cpus = cpus;
    full_of(&domain, &cpus[1], &its, command::inv(DEVICE, 0));
    cpus[1].aarch32 = true;
    // A doubleword comes as two words there.
    for (offset, word) in [(0, COMMANDS * 32), (4, 0)] {
        let cwriter = its.base + gits::CWRITER + offset;
        let store = cpus[1].store_once(cwriter, Size::Word, word);
        assert_eq!(store, Ok(Store::Done), "the store cannot be repeated");
    }
    let mut last = 0;
    let mut reads = 0;
    while last != COMMANDS * 32 {
        let before = domain.memory_accesses();
        let read = cpus[1].load(its.base + gits::CREADR, Size::Word);
        let read = read.expect("CREADR");
        assert!(domain.memory_accesses() - before <= READS);
        assert!(read > last, "each read of CREADR gets on");
        last = read;
        reads += 1;
    }
    assert!(reads <= COMMANDS.div_ceil(BATCH), "{reads} reads of CREADR");
}

#[test]
fn a_second_writer_does_not_wait_in_the_hypervisor() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    full_of(&domain, &cpus[0], &its, command::inv(DEVICE, 0));
    let cwriter = its.base + gits::CWRITER;
    let store = |cpu: &GuestCpu| cpu.store_once(cwriter, Size::Double, COMMANDS * 32);
    // Both write, in turns: each does its share, and both are done.
    let mut traps = 0;
    while store(&cpus[traps % 2]) == Ok(Store::Again) {
        traps += 1;
    }
    assert_eq!(store(&cpus[0]), Ok(Store::Done));
    assert_eq!(traps as u64 + 1, COMMANDS.div_ceil(BATCH));
}

#[test]
fn invall_costs_what_its_collection_has() {
    const MANY: u32 = 3000;
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, MANY, |n| u16::from(n != 0));
    let cost = |icid| {
        let (stores, reads) = (cpus[0].stores(), domain.memory_accesses());
        its.send(&cpus[0], &[command::invall(icid)]);
        (cpus[0].stores() - stores, domain.memory_accesses() - reads)
    };
    assert_eq!(cost(0), (1, 2), "the command, and one LPI");
    let (stores, reads) = cost(1);
    assert!((12..=13).contains(&stores), "{stores} traps, each bounded");
    // 64 bytes at a time, and in each trap the command.
    assert!(
        reads < u64::from(MANY) / 64 + 2 * stores + 10,
        "{reads} reads of memory"
    );
}
