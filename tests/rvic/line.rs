// SPDX-License-Identifier: GPL-2.0-only
//! `HCR_EL2.VI` is what is enabled, pending and not masked, whoever changes that.

use super::*;
use std::sync::atomic::Ordering;

const INTID: u64 = 5;

fn exits(cpu: &GuestCpu) -> u64 {
    let p = cpu.machine().pcpu(cpu.cpu());
    p.counters.exits.load(Ordering::Relaxed)
}

#[test]
fn the_line_follows_the_vcpus_own_calls() {
    each(Config::rvic(1), |_, cpus| {
        let cpu = &cpus[0];
        let own = [affinity(cpu), INTID, 0];
        for (function, arguments, then) in [
            (rvic::SIGNAL, own, false),
            (rvic::CLEAR_MASKED, own, true),
            (rvic::VERSION, [0; 3], true),
            (rvic::SET_MASKED, own, false),
            (rvic::CLEAR_MASKED, own, true),
            (rvic::DISABLE, [0; 3], false),
            (rvic::CLEAR_MASKED, own, false),
            (rvic::ENABLE, [0; 3], true),
            (rvic::CLEAR_PENDING, own, false),
            (rvic::SIGNAL, own, true),
            (rvic::ACKNOWLEDGE, [0; 3], false),
            (rvic::SIGNAL, own, false),
            (rvic::CLEAR_MASKED, own, true),
            (rvic::ACKNOWLEDGE, [0; 3], false),
        ] {
            cpu.must(function, arguments);
            assert_eq!(line(cpu), then, "after {function:#x}");
        }
    });
}

/// One that is in its guest is called out of it, once for each change of its line, and for nothing else.
#[test]
fn the_line_follows_calls_of_other_vcpus() {
    each(Config::rvic(2), |_, cpus| {
        let (cpu, other) = (&cpus[0], &cpus[1]);
        let own = [affinity(cpu), INTID, 0];
        for _ in 0..3 {
            for (function, then) in [
                (rvic::SIGNAL, false),
                (rvic::CLEAR_MASKED, true),
                (rvic::SET_MASKED, false),
                (rvic::CLEAR_MASKED, true),
                (rvic::SIGNAL, true),
                (rvic::IS_PENDING, true),
                (rvic::CLEAR_PENDING, false),
            ] {
                let (before, was) = (exits(cpu), line(cpu));
                other.must(function, own);
                assert_eq!(line(cpu), then, "after {function:#x}");
                let changes = u64::from(was != then);
                assert_eq!(exits(cpu) - before, changes, "exits by {function:#x}");
            }
            other.must(rvic::SET_MASKED, own);
        }
    });
}

/// Another line of the same vCPU keeps it up.
#[test]
fn the_line_is_up_while_anything_is_to_be_taken() {
    each(Config::rvic(2), |_, cpus| {
        let (cpu, other) = (&cpus[0], &cpus[1]);
        for intid in [3, 9, UNTRUSTED + 100] {
            cpu.unmask(intid);
            signal(other, cpu, intid);
        }
        for intid in [9, 3] {
            other.must(rvic::CLEAR_PENDING, [affinity(cpu), intid, 0]);
            assert!(line(cpu));
        }
        takes(cpu, UNTRUSTED + 100);
    });
}

/// A virtual abort is pending, is taken, or has been: reading `HCR_EL2` back on the exit after it neither makes a line nor loses one.
#[test]
fn a_virtual_abort_leaves_the_line_alone() {
    each(Config::rvic(2), |_, cpus| {
        let (cpu, other) = (&cpus[0], &cpus[1]);
        cpu.unmask(INTID);
        let raise = || signal(other, cpu, INTID);
        let take = || {
            takes(cpu, INTID);
            cpu.unmask(INTID);
        };
        // It rises before the abort is taken, and falls after that.
        cpu.pend_abort();
        raise();
        assert!(line(cpu));
        assert!(cpu.take_abort());
        assert!(cpu.isr());
        cpu.hypercall(|| ());
        take();
        // It falls before that.
        raise();
        cpu.pend_abort();
        take();
        assert!(cpu.take_abort());
        cpu.hypercall(|| ());
        assert!(!line(cpu));
        // The exit that sees the abort taken is the one that has it rise or fall.
        cpu.pend_abort();
        assert!(cpu.take_abort());
        raise();
        assert!(line(cpu));
        cpu.pend_abort();
        assert!(cpu.take_abort());
        take();
        assert!(!cpu.take_abort());
    });
}

/// Xen writes `HCR_EL2` for reasons of its own.
#[test]
fn the_line_stays_as_other_bits_change() {
    each(Config::rvic(2), |_, cpus| {
        let (cpu, other) = (&cpus[0], &cpus[1]);
        cpu.unmask(INTID);
        for on in [true, false, true, false] {
            cpu.trap_memory(on);
            assert!(!line(cpu));
            signal(other, cpu, INTID);
            assert!(line(cpu));
            cpu.trap_memory(!on);
            assert!(line(cpu));
            cpu.trap_memory(on);
            takes(cpu, INTID);
            cpu.unmask(INTID);
            assert!(!line(cpu));
        }
    });
}

/// Switched off and on, a vCPU has an rVIC as at reset.
#[test]
fn a_vcpu_that_is_switched_on_has_no_line() {
    each(Config::rvic(2), |_, cpus| {
        let mut other = cpus.pop().expect("two of them");
        let cpu = &cpus[0];
        other.unmask(INTID);
        signal(cpu, &other, INTID);
        assert!(line(&other));
        other.psci_off();
        assert_eq!(
            cpu.call(rvic::SIGNAL, [affinity(&other), INTID, 0]),
            Err(vgic_harness::guests::guest::hvc::Refused::Disabled(0))
        );
        cpu.psci_on(&mut other);
        assert!(!line(&other));
        other.must(rvic::ENABLE, [0; 3]);
        assert_eq!(cpu.must(rvic::IS_PENDING, [affinity(&other), INTID, 0]), 0);
        signal(cpu, &other, INTID);
        assert!(!line(&other), "it is masked");
        other.unmask(INTID);
        takes(&other, INTID);
    });
}
