// SPDX-License-Identifier: GPL-2.0-only
//! `WFI`: what a vCPU wakes up for, and what not.

use super::*;

const INTID: u64 = 8;

#[test]
fn what_is_there_keeps_a_vcpu_awake() {
    each(Config::rvic(1), |_, cpus| {
        let cpu = &mut cpus[0];
        cpu.unmask(INTID);
        for _ in 0..3 {
            signal(cpu, cpu, INTID);
            assert!(cpu.wfi());
            takes(cpu, INTID);
            cpu.unmask(INTID);
        }
    });
}

/// Masked, or with its rVIC disabled, an interrupt wakes nobody; unmasked by another vCPU it does.
#[test]
fn what_cannot_be_taken_does_not() {
    each(Config::rvic(2), |_, cpus| {
        let other = cpus.pop().expect("two of them");
        let cpu = &mut cpus[0];
        let own = [affinity(cpu), INTID, 0];
        signal(cpu, cpu, INTID);
        assert!(!cpu.wfi(), "masked");
        assert!(!cpu.try_wake());
        other.must(rvic::CLEAR_MASKED, own);
        assert!(cpu.try_wake(), "unmasked");
        assert!(line(cpu));
        cpu.must(rvic::DISABLE, [0; 3]);
        assert!(!cpu.wfi(), "disabled");
        other.must(rvic::SET_MASKED, own);
        other.must(rvic::CLEAR_MASKED, own);
        assert!(!cpu.try_wake());
        cpu.vcpu.set_awake();
        assert!(cpu.try_wake());
        cpu.must(rvic::ENABLE, [0; 3]);
        takes(cpu, INTID);
    });
}

#[test]
fn all_that_comes_wakes_a_vcpu() {
    each(Config::rvic(2), |domain, cpus| {
        const EVENT: u64 = 31;
        let other = cpus.pop().expect("two of them");
        let cpu = &mut cpus[0];
        cpu.unmask(INTID);
        cpu.unmask(EVENT);
        map(cpu, 3, UNTRUSTED + 3);
        let hypervisor = |f: &dyn Fn()| domain.machine.hypervisor(1, f);
        let me = affinity(cpu);
        let v = std::sync::Arc::clone(&cpu.vcpu);
        let comes: [(&dyn Fn(), u64); 3] = [
            (&|| _ = other.must(rvic::SIGNAL, [me, INTID, 0]), INTID),
            (
                &|| hypervisor(&|| domain.inject(32 + 3, true)),
                UNTRUSTED + 3,
            ),
            (&|| hypervisor(&|| v.send_event()), EVENT),
        ];
        for (comes, intid) in comes {
            assert!(!cpu.wfi());
            comes();
            assert!(cpu.try_wake(), "{intid} wakes it");
            takes(cpu, intid);
            if intid == EVENT {
                assert!(cpu.vcpu.take_upcall());
                cpu.must(rvic::RESAMPLE, [intid, 0, 0]);
            }
            cpu.unmask(intid);
            assert!(!line(cpu));
            assert!(!cpu.vcpu.wants_lines(), "Xen looks at its lines on exits");
        }
    });
}

/// An upcall that is there when the vCPU is about to wait, and whose interrupt is masked or not.
#[test]
fn an_upcall_keeps_a_vcpu_awake_as_its_interrupt_does() {
    each(Config::rvic(1), |domain, cpus| {
        let cpu = &mut cpus[0];
        let v = std::sync::Arc::clone(&cpu.vcpu);
        domain.machine.hypervisor(1, || v.send_event());
        assert!(!cpu.wfi(), "it is masked");
        assert!(!cpu.try_wake());
        cpu.vcpu.set_awake();
        assert!(cpu.try_wake());
        cpu.unmask(31);
        assert!(cpu.wfi());
        takes(cpu, 31);
        // Its end, before and after the upcall is taken.
        cpu.must(rvic::RESAMPLE, [31, 0, 0]);
        cpu.unmask(31);
        takes(cpu, 31);
        assert!(cpu.vcpu.take_upcall());
        cpu.must(rvic::RESAMPLE, [31, 0, 0]);
        cpu.unmask(31);
        assert!(!line(cpu));
        domain.machine.hypervisor(1, || v.send_event());
        takes(cpu, 31);
    });
}
