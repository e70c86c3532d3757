// SPDX-License-Identifier: GPL-2.0-only
//! vCPUs with an rVIC and others take turns on a CPU.

use super::*;
use vgic_harness::guests::linux;
use vgic_harness::guests::linux::gicd;

const INTID: u64 = 6;

#[test]
fn a_vcpu_has_its_line_again_when_it_comes_back() {
    each(Config::rvic(2), |_, cpus| {
        let mut other = cpus.pop().expect("two of them");
        let cpu = &mut cpus[0];
        cpu.unmask(INTID);
        signal(&other, cpu, INTID);
        assert!(line(cpu));
        cpu.preempt();
        // The one CPU is idle, and the other's guest sees nothing of it.
        assert!(!line(&other));
        other.preempt();
        other.migrate(0);
        other.unpreempt();
        assert!(!line(&other));
        other.preempt();
        cpu.unpreempt();
        assert!(line(cpu));
        cpu.migrate(2);
        takes(cpu, INTID);
    });
}

/// It changes while its vCPU is on no CPU.
#[test]
fn a_line_is_what_it_became_meanwhile() {
    each(Config::rvic(2), |_, cpus| {
        let mut cpu = cpus.remove(0);
        let other = &cpus[0];
        for _ in 0..3 {
            cpu.preempt();
            other.must(rvic::CLEAR_MASKED, [affinity(&cpu), INTID, 0]);
            signal(other, &cpu, INTID);
            cpu.unpreempt();
            assert!(line(&cpu), "it has risen");
            cpu.preempt();
            other.must(rvic::SET_MASKED, [affinity(&cpu), INTID, 0]);
            cpu.unpreempt();
            assert!(!line(&cpu), "it has fallen");
            cpu.preempt();
            other.must(rvic::CLEAR_MASKED, [affinity(&cpu), INTID, 0]);
            other.must(rvic::SET_MASKED, [affinity(&cpu), INTID, 0]);
            cpu.unpreempt();
            assert!(!line(&cpu), "it has risen and fallen");
            cpu.unmask(INTID);
            takes(&cpu, INTID);
        }
    });
}

/// A GIC's vCPU finds the virtual CPU interface as it left it, with more to come than it has list registers, and the rVIC's none at all.
#[test]
fn a_vcpu_with_a_gic_comes_and_goes_on_the_same_cpu() {
    const SPIS: std::ops::Range<u32> = 40..52;
    for (profile, gic) in [
        (Profile::GICV2, 2),
        (Profile::GICV3, 3),
        (Profile::GICV3_GICV, 2),
    ] {
        let profile = profile.with_cpus(2);
        let machine = Machine::power_on(profile);
        let gic = Config {
            id: 2,
            ..Config::guest(gic, 1)
        };
        let theirs = Domain::with_vcpus(&machine, gic).expect("a domain");
        let mut their = linux::boot(&theirs);
        let ours = Domain::with_vcpus(&machine, Config::rvic(2)).expect("a domain");
        their[0].preempt();
        let cpus = start(&ours);
        let [mut cpu, other]: [GuestCpu; 2] = cpus.try_into().ok().expect("two of them");
        cpu.unmask(INTID);
        for spi in SPIS {
            cpu.preempt();
            their[0].unpreempt();
            linux::enable(&their[0], spi);
            their[0].preempt();
            cpu.unpreempt();
        }
        for turn in 0..4 {
            signal(&other, &cpu, INTID);
            assert!(line(&cpu));
            cpu.preempt();
            machine.hypervisor(1, || {
                for spi in SPIS {
                    theirs.inject(spi, true);
                }
            });
            their[0].unpreempt();
            let mut took = Vec::new();
            while let Some(spi) = their[0].take(|spi| {
                machine.hypervisor(1, || theirs.inject(spi, false));
            }) {
                took.push(spi);
                // In the middle of them.
                if took.len() == 3 + turn {
                    their[0].preempt();
                    cpu.unpreempt();
                    takes(&cpu, INTID);
                    cpu.unmask(INTID);
                    signal(&other, &cpu, INTID);
                    cpu.preempt();
                    their[0].unpreempt();
                }
            }
            took.sort_unstable();
            assert_eq!(took, SPIS.collect::<Vec<_>>());
            assert!(!linux::bit(&their[0], gicd::ISPENDR, SPIS.start));
            their[0].preempt();
            cpu.unpreempt();
            takes(&cpu, INTID);
            cpu.unmask(INTID);
        }
    }
}
