// SPDX-License-Identifier: GPL-2.0-only
//! Storms from several threads: devices that never rest, time that passes, guests that map, move and mask, all at once.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

/// Ends the devices also when something fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Without GICR_INVLPIR, a CPU that takes one message after the other never gets to the tasklet that sends INV: another one does.
#[test]
fn storm_that_keeps_a_cpu_is_ended_by_another_cpu() {
    boot!(1, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, 1, |_| 0);
    let lpi = physical(&domain, 0);
    let stop = AtomicBool::new(false);
    domain.machine.gic.set_slow(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                (1..4).for_each(|n| domain.machine.quiesce(n));
                std::thread::yield_now();
            }
        });
        let _ends = Ends(&stop);
        for _ in 0..3 {
            domain.machine.gic.set_restless(lpi, 9000);
            // It comes back, which it would not.
            domain.machine.quiesce(0);
            assert!(is_held(&domain, 0));
            assert!(domain.machine.gic.rest(lpi) > 0, "it has ended by itself");
            domain.machine.pass(Duration::from_secs(1));
            domain.machine.quiesce(0);
            while is_held(&domain, 0) {
                std::thread::yield_now();
            }
            assert_eq!(cpus[0].take(|_| ()), Some(LPI));
            while cpus[0].take(|_| ()).is_some() {}
        }
    });
}

#[test]
fn storms_race_with_whatever_the_guests_do() {
    const EVENTS: u32 = 40;
    const SPI: u32 = 41;
    boot!(3, domain, cpus, its);
    its.map_device(&cpus[0], DEVICE, LPI, EVENTS, |n| n as u16 % 3);
    linux::set_trigger(&cpus[0], SPI, true);
    domain.route(SPI, SPI, false).expect("a route");
    linux::enable(&cpus[0], SPI);
    let end = Instant::now() + Duration::from_secs(3);
    let stop = AtomicBool::new(false);
    let cpus: Vec<GuestCpu> = std::thread::scope(|scope| {
        let (domain, its, stop) = (&domain, &its, &stop);
        let devices: Vec<_> = (0..2)
            .map(|seed| {
                scope.spawn(move || {
                    let mut dice = fastrand::Rng::with_seed(seed);
                    while !stop.load(SeqCst) {
                        for _ in 0..50 {
                            domain.send_msi(0, DEVICE, dice.u32(..EVENTS));
                            domain.machine.gic.pulse(SPI as u16);
                        }
                        domain.machine.pass(Duration::from_micros(dice.u64(..3000)));
                        domain.machine.quiesce(3);
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        let guests: Vec<_> = cpus
            .into_iter()
            .map(|mut cpu| {
                scope.spawn(move || {
                    let mut dice = fastrand::Rng::with_seed(cpu.vcpu.id as u64 + 10);
                    while Instant::now() < end {
                        let event = dice.u32(..EVENTS);
                        let other = DEVICE + 1 + cpu.vcpu.id as u32;
                        match dice.u32(..8) {
                            0 => its.send(&cpu, &[command::movi(DEVICE, event, dice.u16(..3))]),
                            1 => its.send(&cpu, &[command::discard(DEVICE, event)]),
                            2 | 3 => {
                                let to = dice.u16(..3);
                                its.send(&cpu, &[command::mapti(DEVICE, event, LPI + event, to)]);
                            }
                            4 => its.map_device(
                                &cpu,
                                other,
                                LPI + 64 + 32 * cpu.vcpu.id as u32,
                                2,
                                |_| 0,
                            ),
                            5 => its.send(&cpu, &[command::unmapd(other)]),
                            6 => {
                                linux::disable(&cpu, SPI);
                                linux::enable(&cpu, SPI);
                            }
                            _ if dice.u32(..20) == 0 => {
                                cpu.preempt();
                                std::thread::yield_now();
                                cpu.unpreempt();
                            }
                            _ => (),
                        }
                        domain.send_msi(0, other, dice.u32(..2));
                        while cpu.take(|_| ()).is_some() {}
                    }
                    cpu
                })
            })
            .collect();
        let ended: Vec<_> = guests.into_iter().map(|g| g.join()).collect();
        stop.store(true, SeqCst);
        devices
            .into_iter()
            .for_each(|d| d.join().expect("a device"));
        ended.into_iter().map(|cpu| cpu.expect("a guest")).collect()
    });
    // A burst of them is let go each time, and may be held once more.
    for _ in 0..8 {
        pass(&domain, Duration::from_secs(1));
        taken(&cpus);
    }
    let (times, lpis, spis) = dumped(&domain).expect("a line");
    assert!(times > 0);
    assert_eq!((lpis, spis), (0, 0), "nothing is held for ever");
    // And whatever there is arrives.
    linux::enable(&cpus[0], SPI);
    taken(&cpus);
    for event in 0..EVENTS {
        pass(&domain, Duration::from_millis(100));
        assert!(!is_held(&domain, event));
        its.send(&cpus[0], &[command::mapti(DEVICE, event, LPI + event, 0)]);
        taken(&cpus);
        send(&domain, event);
        assert_eq!(taken(&cpus), [vec![LPI + event], vec![], vec![]]);
    }
    domain.machine.gic.pulse(SPI as u16);
    let came: Vec<u32> = taken(&cpus).concat();
    assert_eq!(came, [SPI]);
}
