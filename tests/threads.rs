// SPDX-License-Identifier: GPL-2.0-only
//! Everything at once: a thread per vCPU, devices and balancers on threads of their own. The outcome is exact whatever
//! the order; time only bounds a hang.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use vgic_harness::guests::guest::{GuestCpu, PATIENCE};
use vgic_harness::guests::linux::{self, gicd};
use vgic_harness::guests::scenario::{self, Options};
use vgic_harness::machine::profile::Profile;
use vgic_harness::xen::domain::{Config, Domain};
use vgic_harness::xen::host::Machine;

/// A device that raises again when it has been served.
#[derive(Default)]
struct Device {
    raised: AtomicU64,
    handled: AtomicU64,
}

impl Device {
    /// Says that it is served; reports it if there was nothing to serve.
    fn serve(&self, machine: &Machine, intid: u32) {
        let handled = self.handled.fetch_add(1, Ordering::SeqCst) + 1;
        if handled > self.raised.load(Ordering::SeqCst) {
            machine.report(format!("interrupt {intid} comes a time too often"));
        }
    }

    fn is_served(&self) -> bool {
        self.handled.load(Ordering::SeqCst) >= self.raised.load(Ordering::SeqCst)
    }

    /// Waits until it is served. False: that never happened.
    fn wait(&self, stop: &AtomicBool) -> bool {
        let start = Instant::now();
        while !self.is_served() {
            if start.elapsed() > PATIENCE || stop.load(Ordering::SeqCst) {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }
}

/// A guest with threads for its vCPUs that serve `devices` (SPI 64 on); `outside` runs beside them on this thread.
fn serve(
    profile: Profile,
    vcpus: usize,
    devices: &[Device],
    set_up: impl Fn(&Domain, &GuestCpu),
    served: impl Fn(&Domain, &GuestCpu, u32) + Sync,
    outside: impl FnOnce(&Domain, &AtomicBool),
) {
    // The last three physical CPUs are for others.
    let machine = Machine::power_on(profile.with_cpus(vcpus + 3));
    let config = Config::dom0(profile.gic, vcpus);
    let domain = Domain::with_vcpus(&machine, config).expect("a domain");
    let cpus = linux::boot(&domain);
    set_up(&domain, &cpus[0]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for mut cpu in cpus {
            let (domain, stop, served) = (&domain, &stop, &served);
            scope.spawn(move || {
                cpu.traps_win = cpu.vcpu.id % 2 == 1;
                let woken = cpu.serve(
                    || stop.load(Ordering::SeqCst),
                    |cpu, iar| {
                        let intid = linux::intid(cpu, iar);
                        match devices.get(intid.wrapping_sub(FIRST) as usize) {
                            Some(device) => {
                                served(domain, cpu, intid);
                                device.serve(&domain.machine, intid);
                            }
                            None => domain
                                .machine
                                .report(format!("interrupt {intid} is nobody's")),
                        }
                    },
                );
                if !woken && !stop.swap(true, Ordering::SeqCst) {
                    let what = format!("vCPU {} is never woken", cpu.vcpu.id);
                    domain.machine.report(what);
                }
            });
        }
        outside(&domain, &stop);
        stop.store(true, Ordering::SeqCst);
        (0..vcpus).for_each(|n| machine.ring(n));
    });
    for (n, device) in devices.iter().enumerate() {
        assert!(
            device.is_served(),
            "{}: interrupt {} is lost",
            profile.name,
            FIRST + n as u32
        );
    }
}

const FIRST: u32 = 64;

fn devices(n: usize) -> Vec<Device> {
    (0..n).map(|_| Device::default()).collect()
}

fn edges(cpu: &GuestCpu, n: usize, vcpus: usize) {
    for intid in FIRST..FIRST + n as u32 {
        linux::set_trigger(cpu, intid, true);
        linux::route(cpu, intid, intid as usize % vcpus);
        linux::enable(cpu, intid);
    }
}

#[test]
fn the_scripted_guest_is_exact() {
    for (profile, cpus, rounds) in [
        (Profile::GICV2, 1, 50),
        (Profile::GICV2, 4, 300),
        (Profile::GICV3, 2, 300),
        (Profile::GICV3, 6, 200),
    ] {
        let summary = scenario::run(Options {
            profile,
            gic: profile.gic,
            cpus,
            rounds,
        })
        .expect("a domain");
        assert!(summary.is_ok(), "{summary}");
    }
}

#[test]
fn edges_from_many_threads_arrive_once_each() {
    for profile in Profile::ALL {
        let devices = devices(12);
        serve(
            profile,
            3,
            &devices,
            |_, cpu| edges(cpu, 12, 3),
            |_, _, _| {},
            |domain, stop| {
                // Three threads, each with four devices at a time.
                std::thread::scope(|scope| {
                    for (thread, mine) in devices.chunks(4).enumerate() {
                        scope.spawn(move || {
                            for _ in 0..150 {
                                for (n, device) in mine.iter().enumerate() {
                                    let intid = FIRST + (thread * 4 + n) as u32;
                                    device.raised.fetch_add(1, Ordering::SeqCst);
                                    domain
                                        .machine
                                        .hypervisor(3 + thread, || domain.inject(intid, true));
                                }
                                if !mine.iter().all(|device| device.wait(stop)) {
                                    return;
                                }
                            }
                        });
                    }
                });
            },
        );
    }
}

#[test]
fn physical_levels_are_exact_while_they_are_moved() {
    for profile in Profile::ALL {
        let devices = devices(4);
        let vcpus = 3;
        serve(
            profile,
            vcpus,
            &devices,
            |domain, cpu| {
                for intid in FIRST..FIRST + 4 {
                    domain.route(intid, intid, true).expect("connected");
                    linux::enable(cpu, intid);
                }
            },
            |domain, cpu, intid| {
                domain.machine.gic.set_line(intid as u16, false);
                // Moved while active, from inside its own handler or by its neighbour's.
                let other = FIRST + (intid - FIRST + 1) % 4;
                linux::route(
                    cpu,
                    [intid, other][intid as usize % 2],
                    (cpu.vcpu.id + 1) % vcpus,
                );
            },
            |domain, stop| {
                for _ in 0..300 {
                    for (n, device) in devices.iter().enumerate() {
                        device.raised.fetch_add(1, Ordering::SeqCst);
                        domain
                            .machine
                            .gic
                            .set_line((FIRST as usize + n) as u16, true);
                    }
                    if !devices.iter().all(|device| device.wait(stop)) {
                        return;
                    }
                }
                for irq in FIRST as u16..FIRST as u16 + 4 {
                    let physical = domain.machine.gic.snapshot(irq).expect("an interrupt");
                    assert_eq!(physical.acknowledged, 300, "physical interrupt {irq}");
                }
            },
        );
    }
}

#[test]
fn edges_survive_being_disabled_enabled_and_read_by_others() {
    for profile in Profile::ALL {
        let devices = devices(6);
        serve(
            profile,
            3,
            &devices,
            |_, cpu| edges(cpu, 5, 3),
            |_, cpu, intid| {
                // The sixth is there for nothing but this; the others are toggled by whoever serves another.
                let other = FIRST + (intid - FIRST + 1) % 5;
                linux::disable(cpu, other);
                let offset = u64::from(FIRST / 32 * 4);
                let pending = cpu.gicd_read(gicd::ISPENDR + offset);
                let active = cpu.gicd_read(gicd::ISACTIVER + offset);
                assert_eq!((pending | active) >> 8, 0, "bits that nobody set");
                linux::enable(cpu, other);
                assert!(
                    active & 1 << (intid - FIRST) != 0,
                    "interrupt {intid} is active, in its handler"
                );
            },
            |domain, stop| {
                for _ in 0..250 {
                    for (n, device) in devices.iter().take(5).enumerate() {
                        device.raised.fetch_add(1, Ordering::SeqCst);
                        domain
                            .machine
                            .hypervisor(4, || domain.inject(FIRST + n as u32, true));
                    }
                    if !devices.iter().all(|device| device.wait(stop)) {
                        return;
                    }
                }
            },
        );
    }
}

#[test]
fn a_vcpu_that_waits_is_woken_each_time() {
    // One interrupt at a time, and the vCPU has always gone to sleep before, or is just about to.
    for profile in [Profile::GICV2, Profile::GICV3] {
        let devices = devices(1);
        serve(
            profile,
            2,
            &devices,
            |_, cpu| edges(cpu, 1, 2),
            |_, _, _| {},
            |domain, stop| {
                for _ in 0..3000 {
                    devices[0].raised.fetch_add(1, Ordering::SeqCst);
                    domain.machine.hypervisor(4, || domain.inject(FIRST, true));
                    if !devices[0].wait(stop) {
                        return;
                    }
                }
            },
        );
    }
}

#[test]
fn events_and_timers_of_other_cpus_wake() {
    use vgic_harness::xen::vcpu::Vcpu;
    for profile in [Profile::GICV2, Profile::GICV3] {
        let machine = Machine::power_on(profile.with_cpus(4));
        let domain = Domain::with_vcpus(&machine, Config::guest(profile.gic, 2)).expect("a domain");
        let cpus = linux::boot(&domain);
        let (stop, handled) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for mut cpu in cpus {
                let (stop, handled, machine) = (&stop, &handled, &machine);
                [Vcpu::VTIMER, Vcpu::EVTCHN]
                    .iter()
                    .for_each(|&n| linux::enable(&cpu, n));
                scope.spawn(move || {
                    let woken = cpu.serve(
                        || stop.load(Ordering::SeqCst),
                        |cpu, iar| {
                            let real = match iar {
                                Vcpu::EVTCHN => cpu.vcpu.take_upcall(),
                                Vcpu::VTIMER => {
                                    let real = cpu.vcpu.timer.is_pending();
                                    cpu.vcpu.program_vtimer();
                                    real
                                }
                                _ => false,
                            };
                            if real {
                                handled.fetch_add(1, Ordering::SeqCst);
                            } else {
                                machine.report(format!("interrupt {iar} without a reason"));
                            }
                        },
                    );
                    if !woken {
                        machine.report("a vCPU is never woken");
                        stop.store(true, Ordering::SeqCst);
                    }
                });
            }
            let start = Instant::now();
            'rounds: for round in 1..=500 {
                for id in 0..2 {
                    machine.hypervisor(3, || domain.vcpu(id).send_event());
                    domain.vcpu(id).expire_vtimer(&machine);
                }
                while handled.load(Ordering::SeqCst) < round * 4 {
                    if start.elapsed() > PATIENCE || stop.load(Ordering::SeqCst) {
                        machine.report(format!(
                            "{} of {} handled",
                            handled.load(Ordering::SeqCst),
                            round * 4
                        ));
                        break 'rounds;
                    }
                    std::thread::yield_now();
                }
            }
            stop.store(true, Ordering::SeqCst);
            (0..2).for_each(|n| machine.ring(n));
        });
    }
}
