// SPDX-License-Identifier: GPL-2.0-only
//! A vCPU comes and goes: it waits, is preempted, moves to another physical CPU, is switched off and on.

use super::{GuestCpu, PATIENCE};
use crate::machine::cpuif::SPURIOUS;
use crate::xen::abi;
use std::sync::Arc;

impl GuestCpu {
    /// `WFI`, which traps: true if the guest goes on, false if the vCPU has blocked.
    pub fn wfi(&mut self) -> bool {
        assert!(
            self.on_cpu,
            "vCPU {} is blocked or off and cannot execute",
            self.vcpu.id
        );
        let v = Arc::clone(&self.vcpu);
        let stays = self.machine.on(self.cpu, |m, p| {
            if !self.traps_win {
                m.poll(p);
            }
            let stays = m.leave(p, || {
                v.set_blocked(true);
                if v.events_need_delivery() {
                    v.set_blocked(false);
                }
                !v.is_blocked()
            });
            m.poll(p);
            stays
        });
        self.on_cpu = stays;
        stays
    }

    /// Runs a blocked vCPU again if something has woken it.
    pub fn try_wake(&mut self) -> bool {
        if !self.on_cpu {
            self.timer_softirq();
            self.machine.on(self.cpu, |m, p| m.window(p));
            if self.vcpu.is_runnable() {
                self.resume();
            }
        }
        self.on_cpu
    }

    /// The virtual timer of a vCPU that does not run is one of Xen's own.
    fn timer_softirq(&self) {
        if self.vcpu.timer.is_due() {
            self.machine.on(self.cpu, |_, _| self.vcpu.timer_softirq());
        }
    }

    /// `WFI`, and waits until the vCPU runs again or `stop` says that nothing more will come. False: it never did.
    pub fn wait(&mut self, stop: impl Fn() -> bool) -> bool {
        if self.on_cpu && self.wfi() {
            return true;
        }
        let v = Arc::clone(&self.vcpu);
        while !v.is_runnable() {
            let done = || v.is_runnable() || v.timer.is_due() || stop();
            if !self.machine.idle(self.cpu, done, PATIENCE) {
                return false;
            }
            self.timer_softirq();
            if stop() && !v.is_runnable() {
                v.set_blocked(false);
            }
        }
        self.resume();
        true
    }

    /// The guest's idle loop: handles what comes with `f` until `stop`, and waits in between. False: a wake-up never came.
    #[must_use]
    pub fn serve(&mut self, stop: impl Fn() -> bool, mut f: impl FnMut(&Self, u32)) -> bool {
        loop {
            while self.signalled() {
                let iar = self.ack();
                if (1020..=SPURIOUS).contains(&iar) {
                    break;
                }
                f(self, iar);
                self.eoi(iar);
            }
            if stop() {
                return true;
            }
            if !self.wait(&stop) {
                return false;
            }
        }
    }

    /// Is it on a physical CPU?
    pub fn is_on_cpu(&self) -> bool {
        self.on_cpu
    }

    /// Takes the vCPU off its physical CPU, as when it is preempted.
    pub fn preempt(&mut self) {
        if self.on_cpu {
            self.machine.on(self.cpu, |m, p| {
                m.poll(p);
                m.leave(p, || false)
            });
            self.on_cpu = false;
        }
    }

    /// Puts it back after [`GuestCpu::preempt`].
    pub fn unpreempt(&mut self) {
        self.resume();
    }

    /// Moves the vCPU to another physical CPU, which must be idle.
    pub fn migrate(&mut self, cpu: usize) {
        let was_on = self.on_cpu;
        self.preempt();
        self.vcpu.set_processor(cpu);
        let v = self.vcpu.raw();
        self.machine.hypervisor(self.cpu, || abi::move_irqs(v));
        self.cpu = cpu;
        if was_on {
            self.resume();
        }
    }

    /// PSCI `CPU_OFF` by the vCPU itself.
    pub fn psci_off(&mut self) {
        let v = Arc::clone(&self.vcpu);
        self.machine.on(self.cpu, |m, p| {
            m.leave(p, || {
                v.set_down(true);
                abi::vcpu_off(v.raw());
                false
            })
        });
        self.on_cpu = false;
    }

    /// PSCI `CPU_ON` of `other` by this vCPU; `other` runs from then on.
    pub fn psci_on(&self, other: &mut Self) {
        let v = Arc::clone(&other.vcpu);
        self.trap(|| {
            abi::clear_pending(v.raw());
            v.set_down(false);
        });
        other.resume();
    }
}
