// SPDX-License-Identifier: GPL-2.0-only
//! An ITS's tables in its guest's memory, through the exported functions: written when the guest disables it, and read when it has
//! been given others. With the host's ITSes behind it, and with device models'.

mod walk;

use std::sync::Arc;
use vgic_harness::guests::guest::{GuestCpu, Size, Store};
use vgic_harness::guests::its::{self, FIRST_LPI, Its, command, gits};
use vgic_harness::guests::linux;
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain, Errno};
use vgic_harness::xen::host::Machine;

/// A device and its first LPI.
const DEVICE: u32 = 0x108;
const LPI: u32 = FIRST_LPI + 8;
const EVENTS: u32 = 8;

const QUIESCENT: u64 = 1 << 31;
/// Tables, from the queue on: where the driver has them, and where they go; each as far from the next as it is large.
const TABLES: [u64; 2] = [0x10_0000, 0x12_0000];
const TABLE: u64 = 0x1_0000;
const PAGE: u64 = 0x1000;

/// A Dom0, or a domain whose devices are device models', with LPIs enabled.
fn booted(hardware: bool) -> (Domain, Vec<GuestCpu>) {
    let (profile, config) = if hardware {
        (Profile::GICV3.with_itses(1), Config::dom0(3, 2))
    } else {
        (Profile::GICV3, Config::guest(3, 2).with_msi())
    };
    let machine: Arc<Machine> = Machine::power_on(profile);
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    domain.unpause();
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    (domain, cpus)
}

/// The same with a device whose events go to both vCPUs by turns.
macro_rules! boot {
    ($hardware:expr, $domain:ident, $cpus:ident, $its:ident) => {
        let ($domain, $cpus) = $crate::booted($hardware);
        let $its = Its::probe(&$domain, &$cpus[0], 0);
        $its.map_device(&$cpus[0], DEVICE, LPI, EVENTS, |n| n as u16 % 2);
    };
}

/// All that is due happens on every CPU of the machine.
fn settle(machine: &Machine) {
    (0..machine.pcpus().len()).for_each(|n| machine.quiesce(n));
}

/// What each vCPU takes.
fn taken(cpus: &[GuestCpu]) -> Vec<Vec<u32>> {
    settle(cpus[0].machine());
    cpus.iter().map(GuestCpu::take_all).collect()
}

/// A device's message, however it comes. No: nothing is there that it could be of.
fn send(domain: &Domain, hardware: bool, device: u32, event: u32) -> bool {
    let sent = if hardware {
        domain.send_msi(0, device, event)
    } else {
        domain.message(0, 0, device, event).is_ok()
    };
    settle(&domain.machine);
    sent
}

/// Disables the ITS, as Linux does.
fn off(its: &Its, cpu: &GuestCpu) {
    its.write(cpu, gits::CTLR, 0);
    let reads = (0..10_000).take_while(|_| its.read(cpu, gits::CTLR) & QUIESCENT == 0);
    assert!(reads.count() < 10_000, "never quiescent");
}

/// Copies a table of the guest's elsewhere, and leaves ones where it was.
fn copy(domain: &Domain, from: u64, to: u64) {
    for at in (0..TABLE).step_by(PAGE as usize) {
        let page: [u8; PAGE as usize] = domain.read_memory(from + at).expect("memory");
        assert!(domain.write_memory(to + at, &page));
        assert!(domain.write_memory(from + at, &[0xff; PAGE as usize]));
    }
}

/// The tables of an ITS that is disabled go elsewhere. Each call, to and fro.
fn move_tables(domain: &Domain, its: &Its, cpu: &GuestCpu) {
    for n in 0..2 {
        let register = gits::BASER + n * 8;
        let old = its.read(cpu, register);
        let place = |table: u64| its.queue() + table + n * TABLE;
        let address = old & 0xffff_ffff_f000;
        let [here, there] = TABLES.map(place);
        let (from, to) = if address == here {
            (here, there)
        } else {
            (there, here)
        };
        copy(domain, from, to);
        its.write(cpu, register, old & !0xffff_ffff_f000 | to);
    }
}

fn on(its: &Its, cpu: &GuestCpu) {
    its.write(cpu, gits::CTLR, 1);
}

#[test]
fn moved_tables_are_as_good_as_the_old_ones() {
    for hardware in [false, true] {
        boot!(hardware, domain, cpus, its);
        for round in 0..3 {
            // One is pending meanwhile.
            assert!(send(&domain, hardware, DEVICE, 0));
            off(&its, &cpus[0]);
            assert!(hardware || !send(&domain, hardware, DEVICE, 1), "it is off");
            move_tables(&domain, &its, &cpus[0]);
            on(&its, &cpus[1]);
            assert_eq!(taken(&cpus), [vec![LPI], vec![]], "{hardware} {round}");
            for event in 0..EVENTS {
                assert!(send(&domain, hardware, DEVICE, event), "event {event}");
                let lpi = vec![LPI + event];
                let expected = if event % 2 == 0 {
                    [lpi, vec![]]
                } else {
                    [vec![], lpi]
                };
                assert_eq!(taken(&cpus), expected, "{hardware} {round} {event}");
            }
        }
    }
}

/// From Quiescent on until it is enabled, whatever happens.
#[test]
fn quiescent_is_guest_memory_left_alone() {
    for hardware in [false, true] {
        boot!(hardware, domain, cpus, its);
        off(&its, &cpus[0]);
        let before = domain.memory_accesses();
        for event in 0..EVENTS {
            send(&domain, hardware, DEVICE, event);
        }
        for n in 0..2 {
            let register = gits::BASER + n * 8;
            let old = its.read(&cpus[1], register);
            for value in [0, old ^ 0x1_0000, old] {
                its.write(&cpus[1], register, value);
            }
        }
        its.write(&cpus[0], gits::CWRITER, 0x400);
        assert_eq!(taken(&cpus), [vec![], vec![]]);
        assert_ne!(its.read(&cpus[0], gits::CTLR) & QUIESCENT, 0);
        assert_eq!(domain.memory_accesses(), before);
    }
}

/// Linux gives the ITS the same when it resumes.
#[test]
fn the_same_tables_again_void_nothing() {
    for hardware in [false, true] {
        boot!(hardware, domain, cpus, its);
        off(&its, &cpus[0]);
        let before = domain.memory_accesses();
        for n in 0..2 {
            let register = gits::BASER + n * 8;
            its.write(&cpus[0], register, its.read(&cpus[0], register));
        }
        on(&its, &cpus[0]);
        assert_eq!(domain.memory_accesses(), before, "nothing is read");
        assert!(send(&domain, hardware, DEVICE, 3));
        assert_eq!(taken(&cpus), [vec![], vec![LPI + 3]]);
    }
}

/// A kernel after another (kexec): it disables the ITS, and gives it tables that are zero.
#[test]
fn kexec_with_zeroed_tables_leaves_nothing() {
    for hardware in [false, true] {
        boot!(hardware, domain, cpus, its);
        off(&its, &cpus[1]);
        for n in 0..2 {
            let table = its.queue() + TABLES[1] + n * TABLE;
            assert!(domain.write_memory(table, &[0; TABLE as usize]));
            its.write(&cpus[1], gits::BASER + n * 8, gits::VALID | table | 0xf);
        }
        on(&its, &cpus[1]);
        for event in 0..EVENTS {
            assert!(!send(&domain, hardware, DEVICE, event), "event {event}");
        }
        assert_eq!(taken(&cpus), [vec![], vec![]]);
        // And has the same LPIs for another device.
        its.send(&cpus[1], &[command::mapc(0, 1)]);
        its.map_device(&cpus[1], DEVICE + 1, LPI, EVENTS, |_| 0);
        assert!(send(&domain, hardware, DEVICE + 1, 2));
        assert_eq!(taken(&cpus), [vec![], vec![LPI + 2]]);
        assert!(!send(&domain, hardware, DEVICE, 2));
    }
}

/// The vCPU that has disabled it never looks again: it is not quiescent, until another looks.
#[test]
fn whoever_looks_gets_on_with_it() {
    const MANY: u32 = 8192;
    // Dom0 may have as many.
    let (domain, cpus) = booted(true);
    let its = Its::probe(&domain, &cpus[0], 0);
    its.send(&cpus[0], &[command::mapd(DEVICE, 13, its.itt(DEVICE))]);
    for first in (0..MANY).step_by(1024) {
        let some = first..first + 1024;
        let commands: Vec<_> = some
            .map(|n| command::mapti(DEVICE, n, FIRST_LPI + n, n as u16 % 2))
            .collect();
        its.send(&cpus[0], &commands);
    }
    let before = domain.memory_accesses();
    let off = cpus[0].store_once(its.base + gits::CTLR, Size::Word, 0);
    assert_eq!(off, Ok(Store::Again));
    let one = domain.memory_accesses() - before;
    assert!((1..64).contains(&one), "{one} accesses in a trap");
    let reads = (0..100).take_while(|_| its.read(&cpus[1], gits::CTLR) & QUIESCENT == 0);
    let reads = reads.count() as u64;
    assert!((2..50).contains(&reads), "{reads}");
    // 32 events in a write.
    let all = domain.memory_accesses() - before;
    assert!((256..300).contains(&all), "{all}");
}

/// Where there is no memory nothing is written and nothing is read; what is mapped works, and so does the ITS afterwards.
#[test]
fn tables_that_are_nowhere() {
    for hardware in [false, true] {
        boot!(hardware, domain, cpus, its);
        for base in [0x7f_0000_0000, 0xffff_ffff_0000, 0] {
            off(&its, &cpus[0]);
            for n in 0..2 {
                for kind in [0, gits::INDIRECT, 0x200 | 0xf000 | gits::INDIRECT] {
                    let table = gits::VALID | kind | base | 0xff;
                    its.write(&cpus[0], gits::BASER + n * 8, table);
                    on(&its, &cpus[0]);
                    off(&its, &cpus[0]);
                }
            }
            on(&its, &cpus[0]);
            assert!(!send(&domain, hardware, DEVICE, 0));
            off(&its, &cpus[0]);
        }
        its.set_up(&cpus[0]);
        // They are where it had written them.
        assert!(send(&domain, hardware, DEVICE, 0));
        assert_eq!(taken(&cpus), [vec![LPI], vec![]]);
        let dump = domain.dump();
        assert!(dump.contains("could not be written"), "{dump}");
    }
}

/// Whoever sends while the ITS is disabled, has its tables moved and is enabled again: what comes after is delivered once.
#[test]
fn messages_of_other_cpus_while_it_is_off_and_on() {
    boot!(false, domain, cpus, its);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(relaxed) {
                for event in 0..EVENTS {
                    // Off, or not read yet.
                    let _: Result<(), Errno> = domain.message(1, 0, DEVICE, event);
                }
            }
        });
        for _ in 0..100 {
            off(&its, &cpus[0]);
            move_tables(&domain, &its, &cpus[0]);
            on(&its, &cpus[0]);
        }
        stop.store(true, relaxed);
    });
    taken(&cpus);
    for event in 0..EVENTS {
        assert!(send(&domain, false, DEVICE, event));
        assert_eq!(taken(&cpus).concat(), [LPI + event]);
    }
}
