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
        taken += cpus[0].take_all().len();
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

/// Many commands, and reads of GITS_CREADR get on with them as well.
#[test]
fn creadr_gets_on_when_it_is_read() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    full_of(&domain, &cpus[1], &its, command::inv(DEVICE, 0));
    let cwriter = its.base + gits::CWRITER;
    let store = cpus[1].store_once(cwriter, Size::Double, COMMANDS * 32);
    assert_eq!(store, Ok(Store::Again));
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

/// Executes a post-indexed store until it is stepped over; how many traps that took.
fn post_indexed(cpu: &GuestCpu, address: u64, size: Size, value: u64) -> u64 {
    let (mut base, mut traps) = (address, 1);
    let step = 1 << size as u32;
    loop {
        match cpu.store_post_indexed(&mut base, step, size, value) {
            Ok(Store::Done) => break,
            again => assert_eq!((again, base), (Ok(Store::Again), address)),
        }
        traps += 1;
        assert!(traps < COMMANDS, "it never ends");
    }
    assert_eq!(base, address + step as u64, "stepped over once");
    traps
}

/// Xen has to decode a post-indexed store, and adds to the base register. While there is more to do, that stays what it was:
/// the next one would be executed at another register. So in AArch32, where a doubleword comes as two words.
#[test]
fn executed_again_a_post_indexed_store_is_where_it_was() {
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let mut cpus = cpus;
    for (aarch32, size) in [
        (false, Size::Double),
        (false, Size::Word),
        (true, Size::Word),
    ] {
        full_of(&domain, &cpus[1], &its, command::inv(DEVICE, 0));
        cpus[1].aarch32 = aarch32;
        let traps = post_indexed(&cpus[1], its.base + gits::CWRITER, size, COMMANDS * 32);
        assert_eq!(traps, COMMANDS.div_ceil(BATCH), "AArch32: {aarch32}");
        let read = cpus[1].load(its.base + gits::CREADR, Size::Word);
        assert_eq!(read, Ok(COMMANDS * 32));
        cpus[1].aarch32 = false;
    }
}

/// The same for a register of a redistributor that has much to do.
#[test]
fn executed_again_a_post_indexed_store_to_a_redistributor() {
    const MANY: u32 = 3000;
    const INVALLR: u64 = 0xb0;
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, MANY, |_| 0);
    its::configure(&domain, LPI + MANY - 1, 0, true);
    let invallr = cpus[1].gicr_of(0).expect("a redistributor") + INVALLR;
    let mut cpus = cpus;
    for aarch32 in [false, true] {
        cpus[1].aarch32 = aarch32;
        let traps = post_indexed(&cpus[1], invallr, Size::Word, 0);
        assert!(traps > 10, "{traps} traps for {MANY} LPIs");
    }
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
