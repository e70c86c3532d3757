// SPDX-License-Identifier: GPL-2.0-only
//! Timers: levels that the guest has sampled again at the end of their interrupts.

use super::*;
use vgic_harness::xen::vcpu::Vcpu;
use vgic_harness::xen::vtimer::{CNT_ENABLE, CNT_MASK, FUTURE};

const VIRTUAL: u64 = Vcpu::VTIMER as u64;
const PHYSICAL: u64 = Vcpu::PTIMER as u64;

fn expire(cpu: &GuestCpu) {
    cpu.vcpu.expire_vtimer(cpu.machine());
}

/// Both orders in which a driver may end its timer's interrupt, and one that does not have it sampled at all.
#[test]
fn the_virtual_timer_ticks() {
    each(Config::rvic(1), |_, cpus| {
        let cpu = &cpus[0];
        cpu.unmask(VIRTUAL);
        assert!(!line(cpu));
        for n in 0..9 {
            expire(cpu);
            takes(cpu, VIRTUAL);
            cpu.vcpu.program_vtimer();
            if n % 3 != 2 {
                cpu.must(rvic::RESAMPLE, [VIRTUAL, 0, 0]);
            }
            cpu.unmask(VIRTUAL);
            assert!(!line(cpu), "tick {n}");
        }
    });
}

#[test]
fn the_virtual_timer_comes_again_while_it_is_high() {
    each(Config::rvic(1), |_, cpus| {
        let cpu = &cpus[0];
        cpu.unmask(VIRTUAL);
        expire(cpu);
        for _ in 0..4 {
            takes(cpu, VIRTUAL);
            cpu.must(rvic::RESAMPLE, [VIRTUAL, 0, 0]);
            cpu.unmask(VIRTUAL);
        }
        cpu.vcpu.timer.write(CNT_ENABLE | CNT_MASK);
        takes(cpu, VIRTUAL);
        cpu.must(rvic::RESAMPLE, [VIRTUAL, 0, 0]);
        cpu.unmask(VIRTUAL);
        assert!(!line(cpu));
        cpu.vcpu.timer.write(CNT_ENABLE);
        takes(cpu, VIRTUAL);
    });
}

/// It fires before the rVIC is enabled, and falls before that or not.
#[test]
fn the_virtual_timer_that_fires_before_bring_up_is_not_lost() {
    for falls in [false, true] {
        let machine = Machine::power_on(Profile::GICV3);
        let domain = Domain::with_vcpus(&machine, Config::rvic(1)).expect("a domain");
        let cpu = GuestCpu::start(&domain, 0);
        expire(&cpu);
        cpu.step();
        if falls {
            cpu.vcpu.program_vtimer();
        }
        cpu.enable_rvic();
        cpu.unmask(VIRTUAL);
        assert_eq!(line(&cpu), !falls);
        if falls {
            expire(&cpu);
        }
        takes(&cpu, VIRTUAL);
        cpu.vcpu.program_vtimer();
        cpu.must(rvic::RESAMPLE, [VIRTUAL, 0, 0]);
        cpu.unmask(VIRTUAL);
        expire(&cpu);
        takes(&cpu, VIRTUAL);
    }
}

/// Wherever its vCPU is when it fires, and wherever it ends.
#[test]
fn the_virtual_timer_follows_its_vcpu() {
    each(Config::rvic(1), |_, cpus| {
        let cpu = &mut cpus[0];
        cpu.unmask(VIRTUAL);
        for n in 0..12 {
            let there = n % 3;
            match n % 4 {
                0 => {
                    expire(cpu);
                    assert!(line(cpu));
                    cpu.migrate(there);
                }
                1 => {
                    cpu.preempt();
                    expire(cpu);
                    cpu.unpreempt();
                }
                2 => {
                    cpu.preempt();
                    expire(cpu);
                    cpu.migrate(there);
                    cpu.unpreempt();
                }
                _ => {
                    assert!(!cpu.wfi());
                    expire(cpu);
                    assert!(cpu.try_wake(), "{n}");
                }
            }
            takes(cpu, VIRTUAL);
            if n % 2 == 0 {
                cpu.migrate((there + 1) % 3);
            }
            cpu.vcpu.program_vtimer();
            cpu.must(rvic::RESAMPLE, [VIRTUAL, 0, 0]);
            cpu.unmask(VIRTUAL);
            assert!(!line(cpu), "{n}");
            assert!(!cpu.machine().pcpu(cpu.cpu()).is_vtimer_active());
        }
    });
}

/// A vCPU whose timer's line is high leaves the PPI of its CPU to the next one as it found it.
#[test]
fn the_ppi_is_the_next_vcpus() {
    use vgic_harness::guests::linux;
    for (profile, gic) in [(Profile::GICV2, 2), (Profile::GICV3, 3)] {
        let machine = Machine::power_on(profile);
        let other = Config {
            id: 2,
            ..Config::guest(gic, 1)
        };
        let theirs = Domain::with_vcpus(&machine, other).expect("a domain");
        let their = &mut linux::boot(&theirs)[0];
        linux::enable(their, Vcpu::VTIMER);
        their.preempt();
        let ours = Domain::with_vcpus(&machine, Config::rvic(1)).expect("a domain");
        let cpu = &mut start(&ours)[0];
        cpu.unmask(VIRTUAL);
        for _ in 0..3 {
            expire(cpu);
            assert!(line(cpu));
            cpu.preempt();
            their.unpreempt();
            assert!(!their.signalled());
            expire(their);
            assert_eq!(
                their.take(|_| their.vcpu.program_vtimer()),
                Some(Vcpu::VTIMER)
            );
            assert!(!their.signalled());
            their.preempt();
            cpu.unpreempt();
            takes(cpu, VIRTUAL);
            cpu.vcpu.program_vtimer();
            cpu.must(rvic::RESAMPLE, [VIRTUAL, 0, 0]);
            cpu.unmask(VIRTUAL);
            assert!(!line(cpu));
        }
    }
}

#[test]
fn the_physical_timer_ticks() {
    each(Config::rvic(1), |domain, cpus| {
        let cpu = &mut cpus[0];
        let program = |cpu: &GuestCpu, control, comparator| {
            let v = &cpu.vcpu;
            cpu.hypercall(|| v.write_ptimer(control, comparator));
        };
        cpu.unmask(PHYSICAL);
        for n in 0..6 {
            program(cpu, CNT_ENABLE, FUTURE);
            assert!(!line(cpu));
            let v = std::sync::Arc::clone(&cpu.vcpu);
            if n % 2 == 0 {
                assert!(!cpu.wfi());
            }
            assert!(domain.machine.hypervisor(1, || v.expire_ptimer()));
            assert!(cpu.try_wake());
            takes(cpu, PHYSICAL);
            cpu.must(rvic::RESAMPLE, [PHYSICAL, 0, 0]);
            cpu.unmask(PHYSICAL);
            takes(cpu, PHYSICAL);
            program(cpu, if n % 3 == 0 { 0 } else { CNT_ENABLE | CNT_MASK }, 0);
            cpu.must(rvic::RESAMPLE, [PHYSICAL, 0, 0]);
            cpu.unmask(PHYSICAL);
            assert!(!line(cpu));
        }
    });
}
