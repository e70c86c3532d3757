// SPDX-License-Identifier: GPL-2.0-only
//! Guests that want to break something. Whatever they do takes bounded time and memory, and an ITS that is set up anew works.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};
use vgic_harness::guests::guest::Size;
use vgic_harness::guests::its::{Command, QUEUE_SIZE, gits};
use vgic_harness::guests::linux::gicr;
use vgic_harness::xen::faults;

const SIZES: [Size; 4] = [Size::Byte, Size::Half, Size::Word, Size::Double];
/// Reads of guest memory in a trap: for each of 64 commands itself, an entry of a table of two levels, and the
/// configuration of an LPI; and 1024 LPIs of collections.
const READS: u64 = 3 * 64 + 1024;

/// Sets the ITS up from nothing, and sees that a message arrives.
fn works(domain: &Domain, cpus: &[GuestCpu], its: &Its) {
    let cpu = &cpus[0];
    its.write(cpu, gits::CTLR, 0);
    for table in 0..2 {
        its.write(cpu, gits::BASER + table * 8, 0);
    }
    its.set_up(cpu);
    its.send(cpu, &[command::mapc(0, 0)]);
    its.map_device(cpu, DEVICE, LPI, 1, |_| 0);
    taken(cpus);
    send(domain, DEVICE, 0);
    assert_eq!(taken(cpus)[0], [LPI]);
}

/// Has the ITS execute what is in its queue, with the time that each trap takes looked at.
fn execute(domain: &Domain, cpu: &GuestCpu, its: &Its, written: u64) {
    let traps = QUEUE_SIZE / 32;
    for _ in 0..traps {
        let before = domain.memory_accesses();
        let store = cpu.store_once(its.base + gits::CWRITER, Size::Double, written);
        let reads = domain.memory_accesses() - before;
        assert!(reads <= READS, "{reads} reads of memory in one trap");
        if store == Ok(vgic_harness::guests::guest::Store::Done) {
            return;
        }
    }
    panic!("{traps} traps are not enough");
}

#[test]
fn a_queue_that_is_nowhere_stalls() {
    boot!(SMALL, 2, domain, cpus, its);
    let frames = [domain.gicd(), its.base, cpus[0].gicr_of(0).unwrap_or(0)];
    let nowhere = [0, 0xf_ffff_ffff_f000, its::MEMORY - 0x1000];
    for queue in frames.into_iter().chain(nowhere) {
        its.write(&cpus[0], gits::CTLR, 0);
        its.write(&cpus[0], gits::CBASER, gits::VALID | queue | 0xff);
        its.write(&cpus[0], gits::CTLR, 1);
        execute(&domain, &cpus[0], &its, 0xf_ffe0);
        assert_eq!(its.read(&cpus[0], gits::CREADR), 1, "Stalled at 0");
        // Retry tries once, and stalls again.
        let before = domain.memory_accesses();
        execute(&domain, &cpus[0], &its, 0xf_ffe0 | 1);
        assert_eq!(domain.memory_accesses(), before + 1);
        assert_eq!(its.read(&cpus[0], gits::CREADR), 1);
        works(&domain, &cpus, &its);
    }
}

#[test]
fn a_queue_across_the_end_of_memory_is_read_as_far_as_there_is_any() {
    boot!(SMALL, 1, domain, cpus, its);
    let last = its::MEMORY + 0x1ff_f000;
    its.write(&cpus[0], gits::CTLR, 0);
    its.write(&cpus[0], gits::CBASER, gits::VALID | last | 1);
    its.write(&cpus[0], gits::CTLR, 1);
    execute(&domain, &cpus[0], &its, 0x1fe0);
    assert_eq!(its.read(&cpus[0], gits::CREADR), 0x1000 | 1);
    works(&domain, &cpus, &its);
}

#[test]
fn every_field_at_its_extremes() {
    const WORDS: [u64; 10] = [
        0,
        !0,
        1 << 63,
        !(1 << 63),
        0xffff_ffff,
        0xffff_ffff << 32,
        1 << 63 | 0x1f,
        // A device, an event, LPIs at the ends.
        (DEVICE as u64) << 32,
        8192 << 32,
        65535 << 32 | 0xffff,
    ];
    boot!(SMALL, 2, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 4, |n| n as u16 % 2);
    let before = faults::live();
    for number in 0..=0xff {
        let mut commands: Vec<Command> = Vec::new();
        for first in WORDS {
            for (second, third) in WORDS.into_iter().flat_map(|w| WORDS.map(|x| (w, x))) {
                commands.push([first & !0xff | number, second, third, third ^ second]);
            }
        }
        // What exists is tried with all, what does not with a few.
        let few = if number < 0x10 { 1 } else { 100 };
        let some: Vec<Command> = commands.into_iter().step_by(few).collect();
        for batch in some.chunks(500) {
            its.send(&cpus[0], batch);
        }
    }
    assert!(faults::live() - before < 100, "memory is bounded");
    works(&domain, &cpus, &its);
}

#[test]
fn registers_at_their_extremes() {
    let (domain, cpus) = booted(LARGE, 2);
    let its = Its::probe(&domain, &cpus[0], 0);
    let before = faults::live();
    let frame = cpus[0].gicr_of(0).unwrap_or_default();
    let lpi_registers = [gicr::CTLR, gicr::PROPBASER, gicr::PENDBASER];
    let pokes = [gicr::INVLPIR, gicr::INVALLR, gicr::SYNCR];
    for value in [
        !0,
        0,
        1,
        1 << 63,
        0x8000_0000_0000_0fff,
        0xaaaa_aaaa_aaaa_aaaa,
    ] {
        for size in SIZES {
            let width = 1 << (size as u64);
            let its_offsets = (0..0x200).chain(0xff00..0x1_0080).chain([0x1_fff8]);
            for offset in its_offsets.filter(|offset| offset % width == 0) {
                let address = its.base + offset;
                assert_eq!(cpus[0].store(address, size, value), Ok(()));
                assert!(cpus[0].load(address, size).is_ok(), "{offset:#x}");
            }
            for register in lpi_registers.into_iter().chain(pokes) {
                let _ = cpus[0].store(frame + register, size, value);
                let _ = cpus[0].load(frame + register, size);
            }
        }
    }
    assert!(faults::live() - before < 100);
    cpus[0].gicr_write(gicr::CTLR, 0);
    cpus[1].gicr_write(gicr::CTLR, 0);
    for cpu in &cpus {
        its::set_lpi_tables(cpu);
        cpu.gicr_write(gicr::CTLR, 1);
    }
    works(&domain, &cpus, &its);
}

#[test]
fn tables_move_under_our_feet() {
    boot!(SMALL, 2, domain, cpus, its);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // All that the vGIC could read is changed all the time, by what is no CPU.
        scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(1);
            while !stop.load(Ordering::Relaxed) {
                let value = random.u64(..);
                let area = [its.queue(), its.queue() + 0x10_0000, its::PROPERTIES];
                let place = area[value as usize % 3] + (value >> 8) % 0x1_0000;
                let command = value >> 40 & 0xf;
                domain.write_memory(place & !7, &(value & !0xff | command).to_le_bytes());
            }
        });
        for round in 0..40 {
            its.write(&cpus[0], gits::CTLR, 0);
            // Now with device tables of two levels, now without.
            let baser = its.read(&cpus[0], gits::BASER) ^ gits::INDIRECT;
            its.write(&cpus[0], gits::BASER, baser);
            its.write(&cpus[0], gits::CTLR, 1);
            execute(&domain, &cpus[0], &its, (round * 0x1fe0) % QUEUE_SIZE);
            execute(
                &domain,
                &cpus[1],
                &its,
                (round * 0x1fe0 + 0x8000) % QUEUE_SIZE,
            );
            taken(&cpus);
        }
        stop.store(true, Ordering::Relaxed);
    });
    works(&domain, &cpus, &its);
}

#[test]
fn devices_without_end_cost_bounded_memory() {
    boot!(SMALL, 1, domain, cpus, its);
    let before = faults::live();
    // All the DeviceIDs that the table has, each with as many events as there can be.
    for first in (0..8192).step_by(512) {
        let all: Vec<Command> = (first..first + 512)
            .map(|device| command::mapd(device, 15, its.itt(device)))
            .collect();
        its.send(&cpus[0], &all);
    }
    // There is room for few of them.
    let some = faults::live() - before;
    assert!(some < DEVICES_COST, "{some} allocations");
    let all: Vec<Command> = (0..1000).map(command::unmapd).collect();
    its.send(&cpus[0], &all);
    assert_eq!(faults::live(), before);
    works(&domain, &cpus, &its);
}
