// SPDX-License-Identifier: GPL-2.0-only
//! Xen's way through an interrupt, and what one CPU does to have another take one.

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
                && (self.gic.asserted(p.index)
                    || p.interface().maintenance()
                    || p.running().is_some_and(|v| v.timer.asserted())))
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
            } else if let Some(v) = p.running().filter(|v| v.timer.asserted()) {
                v.timer.mask();
                self.host_handler(p, || v.inject(Vcpu::VTIMER, true));
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
            abi::inject(d, std::ptr::null_mut(), virq, true);
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
        self.timer.expire();
        machine.ring(self.processor());
    }
}
