// SPDX-License-Identifier: GPL-2.0-only
//! The timer fires, is taken and ends.

use super::*;

/// Something that a guest does.
type Does<'a> = &'a dyn Fn();

/// A handler that leaves ENABLE | IMASK: taken once, and nothing comes after it.
#[test]
fn timer_that_its_handler_masks_is_taken_once() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        let timer = &cpu.vcpu.timer;
        for _ in 0..3 {
            expire(cpu);
            assert_eq!(
                cpu.take(|_| timer.write(CNT_ENABLE | CNT_MASK)),
                Some(TIMER)
            );
            let before = exits(cpu);
            for _ in 0..5 {
                assert!(!cpu.signalled());
            }
            assert_eq!(exits(cpu), before, "a storm");
            cpu.hypercall(|| ());
            assert!(!cpu.signalled());
            assert_eq!(timer.read(), CNT_ENABLE | CNT_MASK | CNT_PENDING);
            assert_eq!(shown(cpu), (false, false), "masked: not pending");
            // Unmasked it is there once more.
            timer.write(CNT_ENABLE);
            ticks(cpu);
        }
    });
}

/// Nobody but the guest writes its control register.
#[test]
fn timer_control_reads_back_in_each_state() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        let timer = &cpu.vcpu.timer;
        assert_eq!(timer.read(), CNT_ENABLE);
        expire(cpu);
        assert!(cpu.signalled());
        assert_eq!(timer.read(), CNT_ENABLE | CNT_PENDING, "pending");
        assert_eq!(cpu.ack(), TIMER);
        cpu.hypercall(|| ());
        assert_eq!(timer.read(), CNT_ENABLE | CNT_PENDING, "active");
        timer.write(0);
        cpu.eoi(TIMER);
        cpu.hypercall(|| ());
        assert_eq!((timer.read(), cpu.signalled()), (0, false), "off");
        timer.write(CNT_ENABLE);
        ticks(cpu);
    });
}

/// One exit for each, which is the PPI's own.
#[test]
fn timer_costs_one_exit_a_tick() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        expire(cpu);
        ticks(cpu);
        let before = exits(cpu);
        for _ in 0..10 {
            expire(cpu);
            ticks(cpu);
        }
        assert_eq!(exits(cpu) - before, 10);
        assert!(!cpu.vcpu.wants_lines(), "its line is the hardware's");
    });
}

/// Ended with its line high, it is there again.
#[test]
fn timer_that_is_not_served_comes_again() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        expire(cpu);
        for _ in 0..5 {
            takes(cpu, TIMER);
        }
        ticks(cpu);
        cpu.hypercall(|| ());
        assert!(!cpu.signalled() && !is_held(cpu));
    });
}

#[test]
fn timer_that_falls_while_it_is_pending_is_not_signalled_after_an_exit() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        let timer = &cpu.vcpu.timer;
        for masks in [false, true] {
            expire(cpu);
            assert!(cpu.signalled());
            if masks {
                timer.write(CNT_ENABLE | CNT_MASK);
            } else {
                timer.set_expired(false);
            }
            cpu.hypercall(|| ());
            assert!(!cpu.signalled() && !is_held(cpu));
            assert_eq!(shown(cpu), (false, false));
            timer.write(CNT_ENABLE);
            expire(cpu);
            ticks(cpu);
        }
    });
}

/// With no exit between: once at the most.
#[test]
fn timer_that_falls_unseen_is_signalled_once_at_the_most() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        expire(cpu);
        assert!(cpu.signalled());
        cpu.vcpu.program_vtimer();
        let first = cpu.take(|_| ());
        assert!(first.is_none() || first == Some(TIMER));
        assert!(!cpu.signalled(), "twice");
        expire(cpu);
        ticks(cpu);
    });
}

/// Outside of the list registers, which others have.
#[test]
fn timer_that_falls_while_it_waits_for_a_list_register_is_gone() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        let lrs = domain.machine.profile.lrs as u32;
        expire(cpu);
        assert!(cpu.signalled());
        crowd(domain, cpu, 40..40 + lrs + 1, 0x20);
        assert!(is_held(cpu), "it waits");
        cpu.vcpu.program_vtimer();
        assert_eq!(shown(cpu), (false, false));
        for _ in 0..=lrs {
            assert!(cpu.take(|_| ()).is_some_and(|iar| iar != TIMER));
        }
        assert!(!cpu.signalled(), "the timer has fallen");
        cpu.hypercall(|| ());
        assert!(!is_held(cpu));
        expire(cpu);
        ticks(cpu);
    });
}

/// Ended in no list register: EOIcount says so, and the PPI must be able to fire again.
#[test]
fn timer_that_ends_outside_of_the_list_registers_comes_again() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        let lrs = domain.machine.profile.lrs as u32;
        for falls in [true, false] {
            expire(cpu);
            assert_eq!(cpu.ack(), TIMER);
            if falls {
                cpu.vcpu.program_vtimer();
            }
            // As many more are acknowledged, each above the one before, and one more waits.
            let most = lrs.min(4);
            for n in 0..most {
                crowd(domain, cpu, 40 + n..41 + n, 0x80 - 0x10 * n as u8);
                assert_eq!(cpu.ack(), 40 + n);
            }
            crowd(domain, cpu, 60..60 + lrs, 0x10);
            for n in 60..60 + lrs {
                assert_eq!(cpu.ack(), n);
                cpu.eoi(n);
            }
            for n in (0..most).rev() {
                cpu.eoi(40 + n);
            }
            cpu.eoi(TIMER);
            if falls {
                assert!(!cpu.signalled());
                expire(cpu);
            }
            ticks(cpu);
        }
    });
}

/// Acknowledged, and then so many others, each above the one before, that none is left for it.
pub fn acknowledge_beyond(domain: &Domain, cpu: &GuestCpu) -> std::ops::Range<u32> {
    expire(cpu);
    assert_eq!(cpu.ack(), TIMER);
    let others = 60..60 + domain.machine.profile.lrs as u32;
    for n in others.clone() {
        crowd(domain, cpu, n..n + 1, 0x98 - 8 * (n - 60) as u8);
        assert_eq!(cpu.ack(), n);
    }
    others
}

/// The same, with nothing between its end and the next tick; and by the last that it does before it waits: nobody looks at it before
/// it has left its CPU.
#[test]
fn timer_that_ends_outside_lets_the_next_one_come() {
    each(1, |domain, cpus| {
        let cpu = &mut cpus[0];
        for waits in [false, true] {
            let others = acknowledge_beyond(domain, cpu);
            cpu.vcpu.program_vtimer();
            cpu.traps_win = waits;
            others.rev().for_each(|n| cpu.eoi(n));
            cpu.eoi(TIMER);
            if waits {
                assert!(!cpu.wfi());
                expire(cpu);
                assert!(cpu.try_wake(), "it sleeps for ever");
            } else {
                expire(cpu);
            }
            ticks(cpu);
        }
    });
}

#[test]
fn timer_with_eoimode_1_ends_by_dir() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        cpu.set_eoimode(true);
        for falls in [true, false, true] {
            expire(cpu);
            assert_eq!(cpu.ack(), TIMER);
            if falls {
                cpu.vcpu.program_vtimer();
            }
            cpu.eoi(TIMER);
            cpu.hypercall(|| ());
            assert!(!cpu.signalled() && is_held(cpu), "not deactivated");
            cpu.dir(TIMER);
            assert_eq!(cpu.signalled(), !falls);
            if !falls {
                assert_eq!(cpu.ack(), TIMER);
                cpu.vcpu.program_vtimer();
                cpu.eoi(TIMER);
                cpu.dir(TIMER);
            }
            cpu.hypercall(|| ());
            assert!(!cpu.signalled() && !is_held(cpu));
        }
    });
}

/// What keeps it from the guest is no reason to interrupt the host again and again.
#[test]
fn timer_that_cannot_be_delivered_is_no_storm() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        let held: [(Does<'_>, Does<'_>); 3] = [
            (&|| linux::disable(cpu, TIMER), &|| {
                linux::enable(cpu, TIMER)
            }),
            (&|| cpu.set_pmr(0x10), &|| cpu.set_pmr(0xf0)),
            (&|| cpu.gicd_write(0, 0), &|| {
                cpu.gicd_write(0, if cpu.vcpu.gic_version == 3 { 0x12 } else { 1 })
            }),
        ];
        for (off, on) in held {
            off();
            expire(cpu);
            cpu.step();
            let before = exits(cpu);
            for _ in 0..5 {
                assert!(!cpu.signalled());
            }
            assert_eq!(exits(cpu), before, "a storm");
            assert_eq!(shown(cpu), (true, false));
            on();
            ticks(cpu);
            // And once more, and its line falls meanwhile.
            off();
            expire(cpu);
            cpu.step();
            cpu.vcpu.program_vtimer();
            on();
            cpu.hypercall(|| ());
            assert!(!cpu.signalled() && !is_held(cpu));
            expire(cpu);
            ticks(cpu);
        }
    });
}

/// An interrupt that comes late finds the line low, or another vCPU: nothing is signalled, and the PPI can fire.
#[test]
fn timer_that_comes_late_is_nobodys() {
    each(1, |domain, cpus| {
        let cpu = &mut cpus[0];
        let at = cpu.cpu();
        domain.machine.late_vtimer(at);
        assert!(!cpu.signalled() && !is_held(cpu));
        cpu.preempt();
        domain.machine.late_vtimer(at);
        assert!(!is_held(cpu), "to the idle vCPU");
        cpu.unpreempt();
        // While the guest's own has been ended, and nobody has looked yet.
        expire(cpu);
        assert_eq!(cpu.ack(), TIMER);
        cpu.vcpu.program_vtimer();
        cpu.eoi(TIMER);
        domain.machine.late_vtimer(at);
        assert!(!cpu.signalled() && !is_held(cpu));
        expire(cpu);
        ticks(cpu);
    });
}
