// SPDX-License-Identifier: GPL-2.0-only
//! The physical timer: its line is what its registers say of the counter, whenever somebody asks.

use super::*;
use vgic_harness::xen::vtimer::FUTURE;

const PHYSICAL: u32 = Vcpu::PTIMER;
const PAST: u64 = 0;

/// As [`each`], with one vCPU and the physical timer's interrupt enabled.
fn physical(test: impl Fn(&Domain, &GuestCpu)) {
    each(1, |domain, cpus| {
        linux::enable(&cpus[0], PHYSICAL);
        test(domain, &cpus[0]);
    });
}

fn write(cpu: &GuestCpu, control: u64, comparator: u64) {
    cpu.hypercall(|| cpu.vcpu.write_ptimer(control, comparator));
}

/// The counter reaches the comparator, and Xen's own timer expires on another CPU, if it was set.
fn expires(domain: &Domain, cpu: &GuestCpu) -> bool {
    let spare = domain.machine.pcpus().len() - 1;
    domain
        .machine
        .hypervisor(spare, || cpu.vcpu.expire_ptimer())
}

fn pending(cpu: &GuestCpu) -> bool {
    linux::bit(cpu, gicd::ISPENDR, PHYSICAL)
}

/// A write that has its line fall is followed by nothing, without another exit.
#[test]
fn timer_physical_falls_with_the_write() {
    physical(|domain, cpu| {
        let falls = [
            (CNT_ENABLE, FUTURE),
            (CNT_ENABLE | CNT_MASK, PAST),
            (0, PAST),
        ];
        for (control, comparator) in falls {
            write(cpu, CNT_ENABLE, FUTURE);
            assert!(expires(domain, cpu));
            write(cpu, control, comparator);
            assert!(!cpu.signalled(), "{control:#x}, {comparator:#x}");
            assert!(!pending(cpu));
        }
    });
}

/// And one that has it rise is followed by the interrupt: the comparator's, IMASK's and ENABLE's.
#[test]
fn timer_physical_rises_with_the_write() {
    physical(|_, cpu| {
        let lows = [
            (CNT_ENABLE, FUTURE),
            (CNT_ENABLE | CNT_MASK, PAST),
            (0, PAST),
        ];
        for (control, comparator) in lows {
            write(cpu, control, comparator);
            assert!(!cpu.signalled());
            write(cpu, CNT_ENABLE, PAST);
            assert!(pending(cpu), "after {control:#x}, {comparator:#x}");
            let low = || cpu.vcpu.write_ptimer(CNT_ENABLE, FUTURE);
            assert_eq!(cpu.take(|_| cpu.hypercall(low)), Some(PHYSICAL));
            assert!(!cpu.signalled());
        }
    });
}

/// Back and forth while it is active: what counts is the line at its end.
#[test]
fn timer_physical_moved_while_active() {
    physical(|_, cpu| {
        for last in [PAST, FUTURE] {
            write(cpu, CNT_ENABLE, PAST);
            assert_eq!(cpu.ack(), PHYSICAL);
            for comparator in [FUTURE, PAST, FUTURE, PAST, last] {
                write(cpu, CNT_ENABLE, comparator);
                assert_eq!(pending(cpu), comparator == PAST);
            }
            cpu.eoi(PHYSICAL);
            assert_eq!(cpu.signalled(), last == PAST);
            write(cpu, CNT_ENABLE, FUTURE);
            assert!(!cpu.signalled());
        }
    });
}

/// `CNTP_CTL_EL0` reads as it was written, with the ISTATUS of that moment: nobody waits for a softirq of Xen's.
#[test]
fn timer_physical_control_reads_back() {
    physical(|_, cpu| {
        for past in [false, true] {
            for control in [0, CNT_ENABLE, CNT_MASK, CNT_ENABLE | CNT_MASK] {
                // Bits that there are not, and ISTATUS, which is read-only.
                write(cpu, control | !0x3, if past { PAST } else { FUTURE });
                let status = if control & CNT_ENABLE != 0 && past {
                    CNT_PENDING
                } else {
                    0
                };
                let read = cpu.hypercall(|| cpu.vcpu.read_ptimer());
                assert_eq!(read, control | status);
            }
        }
    });
}

/// Xen's timer is set where the line is going to rise by itself, and nowhere else. What is centuries away never comes.
#[test]
fn timer_physical_sets_a_timer_only_where_it_will_rise() {
    physical(|domain, cpu| {
        write(cpu, CNT_ENABLE, FUTURE);
        assert!(expires(domain, cpu), "it will rise");
        assert_eq!(cpu.take(|_| write(cpu, 0, FUTURE)), Some(PHYSICAL));
        let never = [
            (0, FUTURE),
            (CNT_ENABLE | CNT_MASK, FUTURE),
            (CNT_ENABLE, PAST),
            (CNT_ENABLE, u64::MAX),
        ];
        for (control, comparator) in never {
            write(cpu, CNT_ENABLE, FUTURE);
            write(cpu, control, comparator);
            assert!(!expires(domain, cpu), "{control:#x}, {comparator:#x}");
            write(cpu, 0, FUTURE);
            assert!(!cpu.signalled());
        }
    });
}

/// One that Xen's softirq comes for when the guest has moved it already is not up.
#[test]
fn timer_physical_expires_late() {
    physical(|domain, cpu| {
        write(cpu, CNT_ENABLE, FUTURE);
        expires(domain, cpu);
        write(cpu, CNT_ENABLE, FUTURE);
        assert!(!cpu.signalled());
        assert!(!pending(cpu));
    });
}
