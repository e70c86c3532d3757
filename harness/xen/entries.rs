// SPDX-License-Identifier: GPL-2.0-only
//! Xen's way through an exit from a guest and an entry to it, and who runs where.

use crate::lock::lock;
use crate::machine::cpuif::hcr;
use crate::xen::abi;
use crate::xen::host::{Machine, Pcpu};
use crate::xen::vcpu::{VI, Vcpu};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// In a word of ours: HW; and that somebody answers for the physical interrupt, PHYS and PHYS_LR.
const MAPPED: u64 = 1 << 9;
const HELD: u64 = 3 << 10;

/// How the guest was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// A trap: Xen unmasks interrupts before it looks at the list registers.
    Sync,
    /// An interrupt: they stay masked.
    Irq,
}

impl Machine {
    /// Executes a hypervisor function, interrupts on, as a hypercall or softirq of whoever is current there would.
    /// If a guest runs there it is interrupted for it.
    pub fn hypervisor<R>(&self, cpu: usize, f: impl FnOnce() -> R) -> R {
        self.on(cpu, |m, p| {
            if p.in_guest.load(Ordering::SeqCst) {
                m.trap(p, f)
            } else {
                f()
            }
        })
    }

    /// Lets another physical CPU that is in a guest take its interrupts, if nobody executes there.
    fn attend(&self, p: &Pcpu) {
        if let Ok(_claim) = p.claim.try_lock() {
            self.claimed(p, |m, p| m.poll(p));
        }
    }

    /// One turn of a busy wait on this CPU: time passes for the others.
    pub(crate) fn relax(&self, me: &Pcpu) {
        for p in self.pcpus.iter().filter(|p| p.index != me.index) {
            p.bell.arrive();
            if p.in_guest.load(Ordering::SeqCst) && p.bell.rings() {
                self.attend(p);
            }
        }
        std::thread::yield_now();
    }

    /// Lets the guest's CPU see what has come from outside: exits as long as there is an interrupt to take.
    pub(crate) fn poll(&self, p: &Pcpu) {
        for _ in 0..10_000 {
            if !p.in_guest.load(Ordering::SeqCst) || !self.due(p) {
                return;
            }
            if p.interface().maintenance() {
                p.counters.maintenance.fetch_add(1, Ordering::Relaxed);
            }
            self.exit(p, Exit::Irq);
            self.gic_interrupt(p);
            self.enter(p);
        }
        self.report(format!("pCPU {} never gets to run its guest", p.index));
    }

    /// A trap from the guest, with `f` as Xen's handler of it.
    pub(crate) fn trap<R>(&self, p: &Pcpu, f: impl FnOnce() -> R) -> R {
        self.exit(p, Exit::Sync);
        let result = f();
        self.enter(p);
        result
    }

    fn exit(&self, p: &Pcpu, exit: Exit) {
        p.counters.exits.fetch_add(1, Ordering::Relaxed);
        p.in_guest.store(false, Ordering::SeqCst);
        if exit == Exit::Sync {
            p.irqs_on.store(true, Ordering::Relaxed);
            self.window(p);
        }
        let Some(v) = p.running() else {
            self.report("an exit without a guest");
            return;
        };
        // enter_hypervisor_from_guest(): a virtual abort may have been taken, three lines, then the list registers.
        v.read_hcr_back(p.hcr_el2());
        v.update_lines();
        abi::sync_from(v.raw());
    }

    fn enter(&self, p: &Pcpu) {
        // leave_hypervisor_to_guest()
        self.softirqs(p);
        p.irqs_on.store(false, Ordering::Relaxed);
        abi::sync_to();
        self.check_vtimer(p);
        self.check_hcr(p);
        p.in_guest.store(true, Ordering::SeqCst);
    }

    /// As an interrupt does it: the guest is left for `f`, if there is one.
    pub(super) fn hypervisor_irq(&self, p: &Pcpu, f: impl FnOnce(&Self)) {
        let in_guest = p.is_in_guest();
        if in_guest {
            self.exit(p, Exit::Irq);
        }
        let on = p.irqs_on.swap(false, Ordering::Relaxed);
        f(self);
        p.irqs_on.store(on, Ordering::Relaxed);
        if in_guest {
            self.enter(p);
        }
    }

    /// On the way into the guest: the PPI of the virtual timer is active exactly if the vGIC answers for that.
    fn check_vtimer(&self, p: &Pcpu) {
        let word = p.running().and_then(|v| v.word(Vcpu::VTIMER));
        if let Some(word) = word {
            let held = word & HELD != 0;
            if word & MAPPED != 0 && held != p.is_vtimer_active() {
                self.report(format!(
                    "pCPU {} enters its guest with the virtual timer's PPI {}active, and a word of {word:#x}",
                    p.index,
                    if held { "in" } else { "" },
                ));
            }
        }
    }

    /// On the way into the guest: `HCR_EL2` is what Xen has of it, with a virtual interrupt for an rVIC alone. That has no virtual
    /// CPU interface.
    fn check_hcr(&self, p: &Pcpu) {
        let Some(v) = p.running() else {
            return;
        };
        let (register, field) = (p.hcr_el2(), v.hcr());
        if register != field {
            let what = "HCR_EL2 in the register, and what Xen has of it";
            self.report(format!(
                "vCPU {}: {register:#x} is {what} is {field:#x}",
                v.id
            ));
        }
        if v.has_rvic() {
            let interface = p.interface();
            if interface.hcr() & hcr::EN != 0 || interface.virq() || interface.vfiq() {
                self.report(format!(
                    "vCPU {} has an rVIC and a virtual CPU interface",
                    v.id
                ));
            }
        } else if register & VI != 0 {
            self.report(format!("vCPU {} has HCR_EL2.VI and a GIC", v.id));
        }
    }

    /// `do_softirq()`: with interrupts on.
    pub(super) fn softirqs(&self, p: &Pcpu) {
        let on = p.irqs_on.swap(true, Ordering::Relaxed);
        abi::do_softirq();
        p.irqs_on.store(on, Ordering::Relaxed);
    }

    /// Puts a vCPU on an idle physical CPU and enters its guest.
    pub(crate) fn schedule_in(&self, p: &Pcpu, v: &Arc<Vcpu>) {
        if p.current() != p.idle {
            self.report(format!("two vCPUs on pCPU {}", p.index));
            return;
        }
        p.irqs_on.store(false, Ordering::Relaxed);
        v.set_processor(p.index);
        v.set_running(true);
        p.current.store(v.raw(), Ordering::SeqCst);
        *lock(&p.running) = Some(Arc::clone(v));
        p.set_hcr_el2(v.hcr());
        v.restore(&mut p.interface(), self.profile.gic);
        abi::restore_state(v.raw());
        abi::rvic_switch(v.raw(), true);
        v.timer.disarm();
        abi::vtimer_restore(v.raw());
        v.timer.set_loaded(true);
        self.enter(p);
    }

    /// Takes the vCPU, whose trap this is, off its physical CPU.
    pub(crate) fn schedule_out(&self, p: &Pcpu) {
        let Some(v) = p.running() else {
            return;
        };
        p.irqs_on.store(false, Ordering::Relaxed);
        v.timer.set_loaded(false);
        v.timer.arm(abi::vtimer_save(v.raw()));
        if p.is_vtimer_active() {
            self.report(format!(
                "vCPU {} leaves pCPU {} with its virtual timer's PPI active",
                v.id, p.index
            ));
        }
        abi::rvic_switch(v.raw(), false);
        if p.hcr_el2() & VI != 0 {
            self.report(format!("vCPU {} leaves HCR_EL2.VI behind", v.id));
        }
        *lock(&p.running) = None;
        abi::save_state(v.raw());
        {
            let mut interface = p.interface();
            v.save(&interface);
            if self.profile.gic == 2 {
                // gicv2_save_state() does this; gicv3_save_state() leaves ICH_HCR_EL2 alone.
                interface.write_hcr(0);
            }
        }
        p.current.store(p.idle, Ordering::SeqCst);
        v.set_running(false);
        p.irqs_on.store(true, Ordering::Relaxed);
        self.window(p);
        // The virtual timer of a vCPU that does not run is one of Xen's timers.
        v.timer_softirq();
    }

    /// A trap after which the guest does not go on: `f` handles it, and says whether the vCPU stays.
    pub(crate) fn leave(&self, p: &Pcpu, f: impl FnOnce() -> bool) -> bool {
        self.exit(p, Exit::Sync);
        let stays = f();
        if stays {
            self.enter(p);
        } else {
            self.schedule_out(p);
        }
        stays
    }

    /// The idle loop: takes interrupts until `done`, or until nothing has happened for `patience`. On no claim.
    pub(crate) fn idle(&self, cpu: usize, done: impl Fn() -> bool, patience: Duration) -> bool {
        let p = &self.pcpus[cpu];
        loop {
            self.on(cpu, |m, p| {
                m.window(p);
                m.softirqs(p);
            });
            let guard = lock(&p.bell.lock);
            if done() {
                return true;
            }
            if self.due(p) {
                continue;
            }
            let waited = p.bell.rung.wait_timeout(guard, patience);
            let (guard, timeout) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
            drop(guard);
            if timeout.timed_out() && !done() && !self.due(p) {
                return false;
            }
        }
    }

    /// Lets all physical CPUs take what is due, also what one has another take.
    pub fn settle(&self) {
        for _ in 0..=self.pcpus.len() {
            (0..self.pcpus.len()).for_each(|cpu| self.quiesce(cpu));
            if !self.pcpus.iter().any(|p| self.due(p)) {
                return;
            }
        }
    }

    /// Lets a physical CPU take what is due, in a guest or idle.
    pub fn quiesce(&self, cpu: usize) {
        self.on(cpu, |m, p| {
            m.poll(p);
            m.window(p);
            if p.irqs_on() {
                m.softirqs(p);
            }
        });
    }
}
