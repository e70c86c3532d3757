// SPDX-License-Identifier: GPL-2.0-only
//! Two domains at once, of which each does to its ITS whatever it likes.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use vgic_harness::guests::guest::Size;
use vgic_harness::guests::its::{QUEUE_SIZE, gits};
use vgic_harness::guests::linux::gicr;
use vgic_harness::xen::faults;

const ROUNDS: u32 = 400;

/// A domain whose vCPUs are on these physical CPUs.
fn boot_on(machine: &Arc<Machine>, id: u16, on: [usize; 2]) -> (Domain, Vec<GuestCpu>) {
    let config = Config {
        id,
        ..Config::guest(3, 2).with_msi()
    };
    let domain = Domain::create(machine, config).expect("a domain");
    for cpu in on {
        domain.create_vcpu(cpu).expect("a vCPU");
    }
    domain.unpause();
    let cpus = linux::boot(&domain);
    its::enable_lpis(&domain, &cpus);
    (domain, cpus)
}

/// Queues of anything, tables anywhere, redistributors off and on: each of it may be in the middle of the others.
fn be_hostile(domain: &Domain, cpu: &GuestCpu, seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let its = Its::new(domain, 0);
    its.set_up(cpu);
    for _ in 0..ROUNDS {
        for place in (0..QUEUE_SIZE).step_by(32).take(64) {
            let number = dice.u64(..0x11);
            let device = dice.u64(..0x1_4000) >> dice.u32(..16);
            let any = |dice: &mut fastrand::Rng| dice.u64(..) >> dice.u32(..64);
            let valid = u64::from(dice.bool()) << 63;
            let words = [
                device << 32 | number,
                ((8192 + any(&mut dice) % 0x1_0000) << 32) | (any(&mut dice) % 0x1_4000),
                valid | dice.u64(..3) << 16 | dice.u64(..300),
                any(&mut dice),
            ];
            for (n, word) in (0..).zip(words) {
                domain.write_memory(its.queue() + place + n * 8, &word.to_le_bytes());
            }
        }
        let written = dice.u64(..65) * 32;
        let _ = cpu.store_once(its.base + gits::CWRITER, Size::Double, written);
        match dice.u32(..20) {
            0 => {
                its.write(cpu, gits::CTLR, 0);
                its.write(cpu, gits::BASER, dice.u64(..) | 1 << 63);
                its.write(cpu, gits::CTLR, 1);
            }
            1 => its.set_up(cpu),
            2 => cpu.gicr_write(gicr::CTLR, 0),
            3..5 => cpu.gicr_write(gicr::CTLR, 1),
            5 => {
                let frame = cpu.gicr_of(dice.usize(..2)).expect("a redistributor");
                let register = [gicr::INVALLR, gicr::INVLPIR, gicr::PENDBASER][dice.usize(..3)];
                let _ = cpu.store(frame + register, Size::Double, dice.u64(..));
            }
            _ => {}
        }
        cpu.take_all();
    }
}

#[test]
fn hostile_domains_do_not_see_each_other() {
    let machine = Machine::power_on(LARGE);
    let before = (faults::live(), faults::live_bytes());
    let (one, cpus_of_one) = boot_on(&machine, 1, [0, 1]);
    let (two, cpus_of_two) = boot_on(&machine, 2, [2, 3]);
    let (good, cpus_of_good) = boot_on(&machine, 3, [4, 5]);
    let its = Its::probe(&good, &cpus_of_good[0], 0);
    its.map_device(&cpus_of_good[0], DEVICE, LPI, 2, |n| n as u16);
    let stop = AtomicBool::new(false);
    let bad: Vec<(&Domain, Vec<GuestCpu>)> = std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for (domain, cpus) in [(&one, cpus_of_one), (&two, cpus_of_two)] {
            for cpu in cpus {
                workers.push(scope.spawn(move || {
                    let seed = u64::from(domain.config.id) << 8 | cpu.vcpu.id as u64;
                    be_hostile(domain, &cpu, seed);
                    (domain, cpu)
                }));
            }
        }
        // Device models of theirs that know nothing of it.
        scope.spawn(|| {
            let mut dice = fastrand::Rng::with_seed(7);
            while !stop.load(SeqCst) {
                for domain in [&one, &two] {
                    let device = dice.u32(..0x1_4000) >> dice.u32(..17);
                    let _ = domain.message(6, 0, device, dice.u32(..) >> dice.u32(..32));
                }
                std::thread::yield_now();
            }
        });
        // The third domain has what is its own, and when it is sent.
        let mut served = 0;
        while workers.iter().any(|w| !w.is_finished()) || served < 100 {
            for event in 0..2 {
                assert_eq!(good.message(7, 0, DEVICE, event), Ok(()));
                let cpu = &cpus_of_good[event as usize];
                machine.quiesce(cpu.cpu());
                assert_eq!(cpu.take_all(), [LPI + event]);
                assert_eq!(cpus_of_good[1 - event as usize].take_all(), []);
            }
            served += 1;
        }
        stop.store(true, SeqCst);
        let mut all: Vec<(&Domain, Vec<GuestCpu>)> = vec![(&one, vec![]), (&two, vec![])];
        for worker in workers {
            let (domain, cpu) = worker.join().expect("a vCPU");
            let index = usize::from(domain.config.id) - 1;
            all[index].1.push(cpu);
        }
        all
    });
    // An ITS that is set up anew works, whatever was done to it.
    for (domain, cpus) in &bad {
        for cpu in cpus.iter() {
            cpu.gicr_write(gicr::CTLR, 0);
        }
        for cpu in cpus.iter() {
            its::set_lpi_tables(cpu);
            cpu.gicr_write(gicr::CTLR, 1);
        }
        let its = Its::new(domain, 0);
        its.write(&cpus[0], gits::CTLR, 0);
        (0..2).for_each(|table| its.write(&cpus[0], gits::BASER + table * 8, 0));
        its.set_up(&cpus[0]);
        its.send(&cpus[0], &[command::mapc(0, 0)]);
        its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
        taken(cpus);
        assert_eq!(domain.message(7, 0, DEVICE, 0), Ok(()));
        assert_eq!(taken(cpus), [vec![LPI], vec![]]);
    }
    drop(bad);
    drop(cpus_of_good);
    drop((one, two, good));
    assert_eq!((faults::live(), faults::live_bytes()), before);
}
