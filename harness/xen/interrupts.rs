// SPDX-License-Identifier: GPL-2.0-only
//! Xen's way through an interrupt, and what one CPU does to have another take one.

use crate::machine::physgic::FIRST_SPI;
use crate::notes;
use crate::xen::abi;
use crate::xen::flaws;
use crate::xen::host::{Machine, Pcpu};
use crate::xen::vcpu::Vcpu;
use std::sync::atomic::Ordering;

impl Machine {
    /// Is there an interrupt that this CPU would take, were it unmasked?
    pub(super) fn due(&self, p: &Pcpu) -> bool {
        p.bell.rings()
            || (!p.in_handler.load(Ordering::Relaxed)
                && (self.gic.asserted(p.index) || p.interface().maintenance() || p.vtimer_fires()))
    }

    /// Takes interrupts if they are unmasked and there are any.
    pub(crate) fn window(&self, p: &Pcpu) {
        if p.irqs_on() && self.due(p) {
            self.gic_interrupt(p);
        }
    }

    /// `gic_interrupt()`: everything that is pending, until nothing is.
    pub(super) fn gic_interrupt(&self, p: &Pcpu) {
        let was_on = p.irqs_on.swap(false, Ordering::Relaxed);
        let nested = p.in_irq.swap(true, Ordering::Relaxed);
        let mut turns = 0;
        // The maintenance interrupt, once it has been taken.
        let mut ignored = false;
        loop {
            turns += 1;
            if turns > 10_000 {
                self.report(format!(
                    "pCPU {} never gets out of gic_interrupt()",
                    p.index
                ));
                break;
            }
            if p.bell.take() {
                p.counters.ipis.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if p.in_handler.load(Ordering::Relaxed) {
                break;
            }
            let maintenance = p.interface().maintenance() && !ignored;
            if maintenance {
                ignored = self.profile.forgiving && flaws::keeps_maintenance_up();
                p.counters.maintenance.fetch_add(1, Ordering::Relaxed);
                // Xen's own handler does nothing.
                self.host_handler(p, || {
                    abi::maintenance();
                });
            } else if p.vtimer_fires() {
                p.counters.interrupts.fetch_add(1, Ordering::Relaxed);
                self.vtimer_interrupt(p);
            } else if let Some(irq) = self.gic.acknowledge(p.index) {
                p.counters.interrupts.fetch_add(1, Ordering::Relaxed);
                self.do_irq(irq);
            } else if let Some(lpi) = self.gic.acknowledge_lpi(p.index) {
                p.counters.interrupts.fetch_add(1, Ordering::Relaxed);
                abi::do_lpi(lpi);
            } else {
                break;
            }
        }
        p.in_irq.store(nested, Ordering::Relaxed);
        p.irqs_on.store(was_on, Ordering::Relaxed);
    }

    /// The handler of an interrupt of Xen's own: interrupts on, but at the running priority.
    fn host_handler(&self, p: &Pcpu, f: impl FnOnce()) {
        p.in_handler.store(true, Ordering::Relaxed);
        p.irqs_on.store(true, Ordering::Relaxed);
        f();
        p.irqs_on.store(false, Ordering::Relaxed);
        p.in_handler.store(false, Ordering::Relaxed);
    }

    /// The virtual timer's PPI is taken: `do_IRQ()` of one of Xen's own.
    pub(crate) fn vtimer_interrupt(&self, p: &Pcpu) {
        p.vtimer_active.store(true, Ordering::SeqCst);
        let v = p.running();
        let id = v.as_ref().map(|v| v.id);
        let noted = notes::source(id, Vcpu::VTIMER, true);
        let mut deactivates = false;
        self.host_handler(p, || deactivates = abi::vtimer_interrupt());
        if deactivates {
            p.vtimer_active.store(false, Ordering::SeqCst);
        }
        noted.word(|| v.and_then(|v| v.word(Vcpu::VTIMER)));
    }

    /// The virtual timer's PPI comes late to this CPU: the line is low by now, or another vCPU's.
    pub fn late_vtimer(&self, cpu: usize) {
        self.on(cpu, |m, p| {
            m.poll(p);
            if !p.is_vtimer_active() {
                m.hypervisor_irq(p, |m| m.vtimer_interrupt(p));
            }
        });
    }

    /// The guest's end of an interrupt on this CPU, or what the vGIC does, deactivates a physical one.
    pub(crate) fn deactivate(&self, p: &Pcpu, irq: u16) {
        if irq < FIRST_SPI {
            self.set_own_active(p, irq, false);
        } else {
            self.gic.deactivate(irq);
        }
    }

    pub(crate) fn set_own_enabled(&self, p: &Pcpu, irq: u16, on: bool) {
        if u32::from(irq) == u32::from(self.profile.vtimer) {
            p.vtimer_enabled.store(on, Ordering::SeqCst);
        } else {
            self.report(format!("PPI {irq} of pCPU {} is nobody's", p.index));
        }
    }

    pub(crate) fn set_own_active(&self, p: &Pcpu, irq: u16, on: bool) {
        if u32::from(irq) == u32::from(self.profile.vtimer) {
            p.vtimer_active.store(on, Ordering::SeqCst);
        } else {
            self.report(format!("PPI {irq} of pCPU {} is nobody's", p.index));
        }
    }

    /// `do_IRQ()` for an interrupt that belongs to a guest.
    pub(crate) fn do_irq(&self, irq: u16) {
        let mut virq = 0;
        // SAFETY: a shared interrupt that the machine has; the lock is released below.
        let d = unsafe { abi::mock_irq_begin(irq.into(), &mut virq) };
        if d.is_null() {
            // Nobody's: Xen says so and ends it.
            self.gic.set_enabled(irq, false);
            self.gic.deactivate(irq);
        } else {
            let noted = notes::source(None, virq, true);
            abi::irq_inject(irq.into());
            noted.word(|| abi::word(d, std::ptr::null_mut(), virq));
        }
        // SAFETY: locked above by this thread.
        unsafe { abi::mock_irq_end(irq.into()) };
    }

    pub(crate) fn irq_save(&self, p: &Pcpu) -> bool {
        p.irqs_on.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn irq_restore(&self, p: &Pcpu, on: bool) {
        p.irqs_on.store(on, Ordering::Relaxed);
        self.window(p);
    }

    /// The second half of `vcpu_kick()`.
    pub(crate) fn wake(&self, processor: usize, running_elsewhere: bool) {
        let Some(p) = self.pcpus.get(processor) else {
            return;
        };
        if running_elsewhere {
            p.bell.send();
        }
        p.bell.ring();
    }

    /// From now on IPIs to a physical CPU are under way, until they are released or someone waits for what they bring about.
    pub fn hold(&self, cpu: usize) {
        self.pcpus[cpu].bell.hold();
    }

    /// They arrive.
    pub fn release(&self, cpu: usize) {
        self.pcpus[cpu].bell.release();
    }

    /// Wakes whoever waits on a physical CPU, to look again.
    pub fn ring(&self, cpu: usize) {
        self.pcpus[cpu].bell.ring();
    }
}

impl Vcpu {
    /// The virtual timer expires. On no CPU's claim.
    pub fn expire_vtimer(&self, machine: &Machine) {
        self.timer.set_expired(true);
        machine.ring(self.processor());
    }
}
