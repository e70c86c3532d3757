// SPDX-License-Identifier: GPL-2.0-only
//! What is written about the timer's interrupt, by its own vCPU and by another.

use super::*;
use vgic_harness::guests::guest::Size;

const ISENABLER: u64 = 0x1_0100;
const ICENABLER: u64 = 0x1_0180;
const ISPENDR: u64 = 0x1_0200;
const ICPENDR: u64 = 0x1_0280;
const ISACTIVER: u64 = 0x1_0300;
const ICACTIVER: u64 = 0x1_0380;

/// A write by `from` to the redistributor of `to`.
fn poke_other(from: &GuestCpu, to: &GuestCpu, register: u64) {
    let base = from.gicr_of(to.vcpu.id).expect("a redistributor");
    let done = from.store(base + register, Size::Word, 1 << TIMER);
    assert_eq!(done, Ok(()));
}

fn read_other(from: &GuestCpu, to: &GuestCpu, register: u64) -> bool {
    let base = from.gicr_of(to.vcpu.id).expect("a redistributor");
    let read = from.load(base + register, Size::Word).expect("a register");
    read >> TIMER & 1 != 0
}

/// It comes once, unless its line has fallen; then its PPI is free.
#[track_caller]
fn comes_unless(falls: bool, owner: &GuestCpu) {
    assert_eq!(owner.signalled(), !falls);
    if !falls {
        ticks(owner);
    }
    owner.hypercall(|| ());
    assert!(!is_held(owner));
}

/// The line is seen without the interrupt being taken.
#[test]
fn timer_line_shows_in_ispendr() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        for enabled in [true, false] {
            assert_eq!(shown(cpu), (false, false));
            expire(cpu);
            assert_eq!(shown(cpu), (true, false));
            cpu.vcpu.timer.write(CNT_ENABLE | CNT_MASK);
            assert_eq!(shown(cpu), (false, false), "masked");
            cpu.vcpu.timer.write(CNT_ENABLE);
            assert_eq!(shown(cpu), (true, false));
            cpu.vcpu.program_vtimer();
            assert_eq!(shown(cpu), (false, false));
            if enabled {
                expire(cpu);
                assert_eq!(cpu.ack(), TIMER);
                assert_eq!(shown(cpu), (true, true));
                cpu.vcpu.program_vtimer();
                assert_eq!(shown(cpu), (false, true));
                cpu.eoi(TIMER);
                linux::disable(cpu, TIMER);
            }
        }
    });
}

#[test]
fn timer_is_in_the_dump_with_its_line() {
    each(1, |domain, cpus| {
        let cpu = &cpus[0];
        expire(cpu);
        cpu.step();
        let ppi = domain.machine.profile.vtimer;
        let said = |text: &str| {
            let dump = domain.dump_from(cpu.cpu());
            let wanted =
                format!("physical {ppi}, active by the list register of its own CPU, {text}");
            assert!(dump.contains(&wanted), "{dump}");
        };
        said("whose line is high");
        assert_eq!(cpu.ack(), TIMER);
        cpu.vcpu.program_vtimer();
        said("whose line is low");
        cpu.eoi(TIMER);
    });
}

#[test]
fn timer_set_pending_needs_no_line_and_stays_when_it_falls() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        linux::poke(cpu, gicd::ISPENDR, TIMER);
        assert_eq!(shown(cpu), (true, false));
        assert_eq!(cpu.ack(), TIMER);
        assert_eq!(shown(cpu), (false, true));
        cpu.eoi(TIMER);
        assert_eq!(shown(cpu), (false, false));
        linux::poke(cpu, gicd::ISPENDR, TIMER);
        takes(cpu, TIMER);
        assert_eq!(shown(cpu), (false, false));
        assert!(!cpu.signalled() && !is_held(cpu));
        // Both: the write outlives the line.
        for first in [true, false] {
            if first {
                linux::poke(cpu, gicd::ISPENDR, TIMER);
            }
            expire(cpu);
            cpu.step();
            if !first {
                linux::poke(cpu, gicd::ISPENDR, TIMER);
            }
            cpu.vcpu.program_vtimer();
            assert_eq!(shown(cpu), (true, false));
            takes(cpu, TIMER);
            assert!(!cpu.signalled());
            cpu.hypercall(|| ());
            assert!(!is_held(cpu));
        }
        // While it is active: once more.
        expire(cpu);
        assert_eq!(cpu.ack(), TIMER);
        linux::poke(cpu, gicd::ISPENDR, TIMER);
        cpu.vcpu.program_vtimer();
        cpu.eoi(TIMER);
        takes(cpu, TIMER);
        assert!(!cpu.signalled() && !is_held(cpu));
        // And its line is up again by then.
        linux::poke(cpu, gicd::ISPENDR, TIMER);
        assert_eq!(cpu.ack(), TIMER);
        expire(cpu);
        cpu.step();
        cpu.eoi(TIMER);
        ticks(cpu);
    });
}

#[test]
fn timer_clear_pending_is_of_the_latch_alone() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        linux::poke(cpu, gicd::ISPENDR, TIMER);
        linux::poke(cpu, gicd::ICPENDR, TIMER);
        assert!(!cpu.signalled() && !shown(cpu).0);
        for enabled in [true, false] {
            expire(cpu);
            cpu.step();
            linux::poke(cpu, gicd::ICPENDR, TIMER);
            assert!(shown(cpu).0, "the line is high");
            let before = exits(cpu);
            assert_eq!(cpu.signalled(), enabled);
            assert!(exits(cpu) - before <= 2);
            if enabled {
                ticks(cpu);
                linux::disable(cpu, TIMER);
            } else {
                cpu.vcpu.program_vtimer();
                linux::enable(cpu, TIMER);
                assert!(!cpu.signalled());
            }
        }
    });
}

/// Where nobody would have looked for it: disabled, it is on no list.
#[test]
fn timer_that_is_cleared_while_disabled_comes_when_it_is_enabled() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        linux::disable(cpu, TIMER);
        expire(cpu);
        cpu.step();
        linux::poke(cpu, gicd::ICPENDR, TIMER);
        linux::enable(cpu, TIMER);
        ticks(cpu);
        linux::disable(cpu, TIMER);
        expire(cpu);
        cpu.step();
        cpu.vcpu.program_vtimer();
        linux::poke(cpu, gicd::ICPENDR, TIMER);
        cpu.step();
        assert!(!is_held(cpu), "given up");
        linux::enable(cpu, TIMER);
        assert!(!cpu.signalled());
        expire(cpu);
        ticks(cpu);
    });
}

#[test]
fn timer_of_another_is_cleared_while_disabled() {
    each_place(|writer, owner, leave, back| {
        for falls in [false, true] {
            linux::disable(owner, TIMER);
            expire(owner);
            owner.step();
            if falls {
                owner.vcpu.program_vtimer();
            }
            leave(owner);
            poke_other(writer, owner, ICPENDR);
            poke_other(writer, owner, ISENABLER);
            back(owner);
            assert_eq!(owner.signalled(), !falls);
            if !falls {
                ticks(owner);
            }
            assert!(!is_held(owner));
        }
    });
}

#[test]
fn timer_set_active_holds_it_back() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        // First the write, then the line; and the other way round.
        for written_first in [true, false] {
            if written_first {
                linux::poke(cpu, gicd::ISACTIVER, TIMER);
            }
            expire(cpu);
            cpu.step();
            if !written_first {
                linux::poke(cpu, gicd::ISACTIVER, TIMER);
            }
            let before = exits(cpu);
            assert!(!cpu.signalled());
            assert!(!cpu.signalled());
            assert_eq!(exits(cpu), before, "a storm");
            assert_eq!(shown(cpu), (true, true));
            linux::poke(cpu, gicd::ICACTIVER, TIMER);
            ticks(cpu);
            // Its line falls behind the active one.
            linux::poke(cpu, gicd::ISACTIVER, TIMER);
            expire(cpu);
            cpu.step();
            cpu.vcpu.program_vtimer();
            linux::poke(cpu, gicd::ICACTIVER, TIMER);
            assert!(!cpu.signalled());
            cpu.hypercall(|| ());
            assert!(!is_held(cpu));
        }
    });
}

#[test]
fn timer_clear_active_has_it_fire_again() {
    each(1, |_, cpus| {
        let cpu = &cpus[0];
        for falls in [false, true] {
            expire(cpu);
            assert_eq!(cpu.ack(), TIMER);
            if falls {
                cpu.vcpu.program_vtimer();
            }
            linux::poke(cpu, gicd::ICACTIVER, TIMER);
            assert_eq!(shown(cpu), (!falls, false));
            // What is active no more ends here, which drops the priority.
            cpu.eoi(TIMER);
            assert_eq!(cpu.signalled(), !falls);
            if !falls {
                ticks(cpu);
            }
            assert!(!is_held(cpu));
        }
    });
}

/// Something that happens to a vCPU.
type Does<'a> = &'a dyn Fn(&mut GuestCpu);

/// Where the owner is while another writes.
fn each_place(test: impl Fn(&GuestCpu, &mut GuestCpu, Does<'_>, Does<'_>)) {
    each(2, |domain, cpus| {
        if domain.config.gic != 3 {
            return;
        }
        let mut two = cpus.split_off(1);
        let places: [(Does<'_>, Does<'_>); 2] = [
            (&|_| (), &|_| ()),
            (&|cpu| cpu.preempt(), &|cpu| cpu.unpreempt()),
        ];
        for (leave, back) in places {
            test(&cpus[0], &mut two[0], leave, back);
        }
        cpus.append(&mut two);
    });
}

#[test]
fn timer_of_another_is_cleared_while_it_is_in_flight() {
    each_place(|writer, owner, leave, back| {
        for acked in [false, true] {
            for falls in [false, true] {
                for register in [ICACTIVER, ICPENDR] {
                    expire(owner);
                    if acked {
                        assert_eq!(owner.ack(), TIMER);
                    } else {
                        assert!(owner.signalled());
                    }
                    if falls {
                        owner.vcpu.program_vtimer();
                    }
                    leave(owner);
                    poke_other(writer, owner, register);
                    back(owner);
                    owner.step();
                    let active = acked && register != ICACTIVER;
                    assert_eq!(shown(owner), (!falls, active));
                    if acked {
                        owner.eoi(TIMER);
                    }
                    comes_unless(falls, owner);
                }
            }
        }
    });
}

#[test]
fn timer_of_another_is_set() {
    each_place(|writer, owner, leave, back| {
        leave(owner);
        poke_other(writer, owner, ISPENDR);
        assert!(read_other(writer, owner, ISPENDR));
        back(owner);
        takes(owner, TIMER);
        assert!(!owner.signalled());
        leave(owner);
        poke_other(writer, owner, ISACTIVER);
        back(owner);
        expire(owner);
        owner.step();
        assert!(!owner.signalled());
        leave(owner);
        poke_other(writer, owner, ICACTIVER);
        back(owner);
        ticks(owner);
    });
}

#[test]
fn timer_of_another_is_disabled_and_enabled() {
    each_place(|writer, owner, leave, back| {
        for falls in [false, true] {
            expire(owner);
            assert!(owner.signalled());
            leave(owner);
            poke_other(writer, owner, ICENABLER);
            back(owner);
            assert!(!owner.signalled() && is_held(owner));
            if falls {
                owner.vcpu.program_vtimer();
            }
            leave(owner);
            poke_other(writer, owner, ISENABLER);
            back(owner);
            comes_unless(falls, owner);
        }
    });
}

/// A vCPU that sleeps, with its timer in a state in which it is not to be woken by it, is woken by who changes that.
#[test]
fn timer_of_a_vcpu_that_sleeps_is_changed_by_another() {
    each(2, |domain, cpus| {
        if domain.config.gic != 3 {
            return;
        }
        let mut two = cpus.split_off(1);
        let (writer, owner) = (&cpus[0], &mut two[0]);
        // Disabled and pending, then enabled.
        linux::disable(owner, TIMER);
        expire(owner);
        owner.step();
        assert!(!owner.wfi() && !owner.try_wake());
        poke_other(writer, owner, ISENABLER);
        assert!(owner.try_wake());
        ticks(owner);
        // The same, and cleared before it is enabled.
        linux::disable(owner, TIMER);
        expire(owner);
        owner.step();
        assert!(!owner.wfi() && !owner.try_wake());
        poke_other(writer, owner, ICPENDR);
        poke_other(writer, owner, ISENABLER);
        assert!(owner.try_wake());
        ticks(owner);
        // Active, then not any more: its line is high.
        expire(owner);
        assert_eq!(owner.ack(), TIMER);
        assert!(!owner.wfi() && !owner.try_wake());
        poke_other(writer, owner, ICACTIVER);
        let before = exits(owner);
        assert!(owner.try_wake());
        assert_eq!(exits(owner), before, "it need not fire again");
        owner.eoi(TIMER);
        ticks(owner);
        // Read, while it is away.
        assert!(!owner.wfi());
        assert!(!read_other(writer, owner, ISPENDR));
        linux::disable(writer, TIMER);
        poke_other(writer, owner, ICENABLER);
        owner.vcpu.timer.set_expired(true);
        assert!(read_other(writer, owner, ISPENDR), "the line is high");
        poke_other(writer, owner, ISENABLER);
        assert!(owner.try_wake());
        ticks(owner);
        cpus.append(&mut two);
    });
}

/// Another vCPU sees it fall, wherever the interrupt waits: by its next look, if the one whose it is runs.
#[test]
fn timer_line_that_fell_is_seen_by_another() {
    each(2, |domain, cpus| {
        if cpus[0].vcpu.gic_version == 2 {
            return;
        }
        for enabled in [true, false] {
            if !enabled {
                linux::disable(&cpus[0], TIMER);
            }
            expire(&cpus[0]);
            cpus[0].step();
            assert!(read_other(&cpus[1], &cpus[0], ISPENDR));
            cpus[0].vcpu.program_vtimer();
            read_other(&cpus[1], &cpus[0], ISPENDR);
            domain.machine.settle();
            assert!(!read_other(&cpus[1], &cpus[0], ISPENDR), "{enabled}");
            assert!(!cpus[0].signalled());
        }
    });
}

/// The same while it is active, where the line neither fires nor is withdrawn.
#[test]
fn timer_line_of_an_active_one_is_seen_by_another() {
    each(2, |domain, cpus| {
        if cpus[0].vcpu.gic_version == 2 {
            return;
        }
        let seen = || {
            read_other(&cpus[1], &cpus[0], ISPENDR);
            domain.machine.settle();
            read_other(&cpus[1], &cpus[0], ISPENDR)
        };
        for _ in 0..2 {
            expire(&cpus[0]);
            assert_eq!(cpus[0].ack(), TIMER);
            assert!(seen());
            cpus[0].vcpu.program_vtimer();
            assert!(!seen());
            expire(&cpus[0]);
            assert!(seen());
            cpus[0].vcpu.program_vtimer();
            cpus[0].eoi(TIMER);
            cpus[0].step();
            assert!(!read_other(&cpus[1], &cpus[0], ISPENDR));
        }
    });
}
