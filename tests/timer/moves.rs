// SPDX-License-Identifier: GPL-2.0-only
//! The vCPU comes and goes, and the PPI's state goes with it.

use super::ways::acknowledge_beyond;
use super::*;

#[test]
fn timer_goes_along_with_its_vcpu() {
    each(1, |domain, cpus| {
        let cpu = &mut cpus[0];
        // Pending.
        expire(cpu);
        assert!(cpu.signalled());
        let from = cpu.cpu();
        cpu.migrate(3);
        assert!(is_held(cpu) && !domain.machine.pcpu(from).is_vtimer_active());
        ticks(cpu);
        // Active.
        expire(cpu);
        assert_eq!(cpu.ack(), TIMER);
        cpu.preempt();
        assert!(!is_held(cpu));
        cpu.unpreempt();
        assert!(is_held(cpu));
        cpu.migrate(2);
        assert!(is_held(cpu) && !domain.machine.pcpu(3).is_vtimer_active());
        let before = exits(cpu);
        cpu.vcpu.program_vtimer();
        cpu.eoi(TIMER);
        assert!(!is_held(cpu) && !cpu.signalled());
        assert_eq!(exits(cpu), before, "it was not pending behind itself");
        // It expires while the vCPU is preempted.
        cpu.preempt();
        expire(cpu);
        cpu.unpreempt();
        ticks(cpu);
        // Masked, it does not.
        cpu.vcpu.timer.write(CNT_ENABLE | CNT_MASK);
        cpu.preempt();
        expire(cpu);
        cpu.unpreempt();
        assert!(!cpu.signalled() && !is_held(cpu));
        assert_eq!(cpu.vcpu.timer.read(), CNT_ENABLE | CNT_MASK | CNT_PENDING);
        cpu.vcpu.timer.write(CNT_ENABLE);
        ticks(cpu);
    });
}

/// One's timer, pending or active, is nothing to the other.
#[test]
fn timer_of_two_vcpus_on_one_cpu() {
    each(2, |domain, cpus| {
        let (first, second) = cpus.split_at_mut(1);
        let (one, two) = (&mut first[0], &mut second[0]);
        two.migrate(3);
        two.preempt();
        let at = one.cpu();
        for round in 0..6 {
            // The one that goes has it in every state.
            if round & 1 != 0 {
                expire(one);
                assert!(one.signalled());
                if round & 2 != 0 {
                    assert_eq!(one.ack(), TIMER);
                }
            }
            one.preempt();
            two.migrate(at);
            two.unpreempt();
            assert!(!is_held(two), "the other's is not its");
            expire(two);
            assert!(is_held_after_step(two));
            ticks(two);
            expire(two);
            assert!(two.signalled());
            two.preempt();
            one.unpreempt();
            assert_eq!(is_held(one), round & 1 != 0);
            if round & 1 != 0 {
                if round & 2 != 0 {
                    one.vcpu.program_vtimer();
                    one.eoi(TIMER);
                } else {
                    ticks(one);
                }
            }
            assert!(!one.signalled());
            one.preempt();
            two.unpreempt();
            ticks(two);
            two.preempt();
            one.unpreempt();
        }
        assert!(!domain.machine.pcpu(3).is_vtimer_active());
    });
}

fn is_held_after_step(cpu: &GuestCpu) -> bool {
    cpu.step();
    is_held(cpu)
}

/// With its mask untouched, a thousand times.
#[test]
fn timer_wakes_a_vcpu_that_waits() {
    each(1, |_, cpus| {
        let cpu = &mut cpus[0];
        for round in 0..1000 {
            let before = exits(cpu);
            assert!(!cpu.wfi(), "round {round}");
            assert!(!cpu.try_wake(), "round {round}");
            expire(cpu);
            assert!(cpu.try_wake(), "round {round}");
            assert_eq!(cpu.take(|_| cpu.vcpu.timer.set_expired(false)), Some(TIMER));
            assert_eq!(cpu.vcpu.timer.read(), CNT_ENABLE);
            assert_eq!(exits(cpu) - before, 1, "no more than that of WFI");
        }
        // What is disabled does not, whatever it has done before.
        linux::disable(cpu, TIMER);
        expire(cpu);
        cpu.step();
        assert!(!cpu.wfi());
        assert!(!cpu.try_wake());
        cpu.vcpu.set_awake();
        cpu.try_wake();
        linux::enable(cpu, TIMER);
        ticks(cpu);
    });
}

/// Below the mask or active it does not keep a vCPU from sleeping, nor does it wake it.
#[test]
fn timer_that_is_active_lets_its_vcpu_sleep() {
    each(2, |domain, cpus| {
        let mut others = cpus.split_off(1);
        let cpu = &mut cpus[0];
        expire(cpu);
        assert_eq!(cpu.ack(), TIMER);
        assert!(!cpu.wfi() && !cpu.try_wake());
        crowd(domain, &others[0], 40..41, 0x20);
        assert!(cpu.try_wake());
        takes(cpu, 40);
        cpu.vcpu.program_vtimer();
        cpu.eoi(TIMER);
        assert!(!cpu.signalled());
        cpus.append(&mut others);
    });
}

#[test]
fn timer_of_a_vcpu_that_is_switched_off() {
    each(2, |_, cpus| {
        let mut two = cpus.split_off(1);
        let second = &mut two[0];
        for (acked, falls) in [(false, false), (true, false), (true, true), (false, true)] {
            expire(second);
            if acked {
                assert_eq!(second.ack(), TIMER);
            } else {
                assert!(second.signalled());
            }
            if falls {
                second.vcpu.program_vtimer();
            }
            second.psci_off();
            assert!(!is_held(second));
            cpus[0].psci_on(second);
            linux::init_cpu(second);
            linux::enable(second, TIMER);
            assert_eq!(second.signalled(), !falls, "acknowledged: {acked}");
            if !falls {
                ticks(second);
            }
            assert!(!second.signalled() && !is_held(second));
        }
        cpus.append(&mut two);
    });
}

/// Active outside of the list registers as it is switched off.
#[test]
fn timer_of_a_vcpu_that_is_switched_off_with_much_active() {
    each(2, |domain, cpus| {
        let mut two = cpus.split_off(1);
        let second = &mut two[0];
        for n in 60..60 + domain.machine.profile.lrs as u32 {
            linux::route(second, n, 1);
        }
        for falls in [false, true] {
            let others = acknowledge_beyond(domain, second);
            if falls {
                second.vcpu.program_vtimer();
            }
            second.psci_off();
            assert!(!is_held(second));
            cpus[0].psci_on(second);
            // If its line is high it fires anew.
            second.step();
            assert_eq!(is_held(second), !falls, "nothing is active any more");
            linux::init_cpu(second);
            linux::enable(second, TIMER);
            if !falls {
                ticks(second);
            }
            for n in others {
                linux::poke(second, gicd::ICACTIVER, n);
            }
            assert!(!is_held(second));
            expire(second);
            ticks(second);
        }
        cpus.append(&mut two);
    });
}

/// Nothing is owed when a domain goes: its vCPUs have left their CPUs.
#[test]
fn timer_of_a_domain_that_is_destroyed_leaves_nothing_behind() {
    each(2, |domain, cpus| {
        expire(&cpus[0]);
        assert_eq!(cpus[0].ack(), TIMER);
        expire(&cpus[1]);
        assert!(cpus[1].signalled());
        cpus.clear();
        let all = domain.machine.pcpus();
        assert!(!all.iter().any(|p| p.is_vtimer_active()));
    });
}
