// SPDX-License-Identifier: GPL-2.0-only
//! What the toolstack does to a domain's vGIC: its limits, and saving, restoring and resetting it.

use super::{Domain, Errno, VgicLimits, result};
use crate::lock::lock;
use crate::xen::abi;

impl Domain {
    /// `XEN_DOMCTL_vgic_limits`, with all that the caller says.
    ///
    /// # Errors
    /// What the vGIC answers.
    pub fn vgic_limits(&self, op: &VgicLimits) -> Result<(), Errno> {
        let mut rc = 0;
        self.machine.hypervisor(0, || {
            abi::domctl(self.raw, std::ptr::from_ref(op).cast(), &mut rc);
        });
        result(rc)
    }

    /// `XEN_DOMCTL_vgic_limits`: LPIs, devices and events; 0 for what is to stay as it is.
    ///
    /// # Errors
    /// What the vGIC answers.
    pub fn set_limits(&self, lpis: u32, devices: u32, events: u32) -> Result<(), Errno> {
        let mut rc = 0;
        self.machine.hypervisor(0, || {
            abi::set_limits(self.raw, lpis, devices, events, &mut rc);
        });
        result(rc)
    }

    /// It is unpaused for the first time.
    pub fn unpause(&self) {
        abi::creation_finished(self.raw);
    }

    /// `rvgic_stop_storms()`: what `domain_vgic_free()` begins with.
    pub fn stop_storms(&self) {
        self.machine.hypervisor(0, || abi::stop_storms(self.raw));
    }

    /// `rvgic_set_storm()`: host interrupts in a second, and at once. 0: as it is.
    pub fn set_storm(&self, rate: u32, burst: u32) {
        abi::set_storm(self.raw, rate, burst);
    }

    /// `rvgic_save_size()`, or a negative errno.
    pub fn save_size(&self) -> i64 {
        let mut size = 0;
        self.machine
            .hypervisor(0, || abi::save_size(self.raw, &mut size));
        size
    }

    /// `rvgic_save()`: the stream. No vCPU runs.
    ///
    /// # Errors
    /// What the vGIC answers.
    pub fn save(&self) -> Result<Vec<u8>, Errno> {
        let size = self.save_size();
        let size = usize::try_from(size).map_err(|_| Errno(size as i32))?;
        let (mut stream, mut written, mut rc) = (vec![0; size], 0, 0);
        self.machine.hypervisor(0, || {
            abi::save(self.raw, &mut stream, &mut written, &mut rc)
        });
        result(rc)?;
        stream.truncate(written);
        Ok(stream)
    }

    /// `rvgic_restore()` of a stream. No vCPU runs.
    ///
    /// # Errors
    /// What the vGIC answers.
    pub fn restore(&self, stream: &[u8]) -> Result<(), Errno> {
        self.restored(stream, false)
    }

    /// The same of a vGIC that is reset before.
    ///
    /// # Errors
    /// What the vGIC answers.
    pub fn restore_again(&self, stream: &[u8]) -> Result<(), Errno> {
        self.restored(stream, true)
    }

    fn restored(&self, stream: &[u8], again: bool) -> Result<(), Errno> {
        let mut rc = 0;
        self.machine
            .hypervisor(0, || abi::restore(self.raw, again, stream, &mut rc));
        result(rc)
    }

    /// The toolstack resets the vGIC, or one ITS of it: the domain is paused for that, so none of its vCPUs may be on a CPU. How often
    /// the vGIC was called.
    ///
    /// # Errors
    /// What it answered.
    pub fn reset(&self, its: Option<u32>) -> Result<u32, Errno> {
        let mut calls = 1;
        while self.reset_part(its)? {
            calls += 1;
        }
        Ok(calls)
    }

    /// One hypercall of that, on the last CPU. True: there is more.
    ///
    /// # Errors
    /// What the vGIC answered.
    pub fn reset_part(&self, its: Option<u32>) -> Result<bool, Errno> {
        const ERESTART: i32 = 85;
        for v in lock(&self.vcpus).iter().filter(|v| v.is_running()) {
            let what = format!("vCPU {} runs while its vGIC is reset", v.id);
            self.machine.report(what);
        }
        let last = self.machine.pcpus().len() - 1;
        match self.machine.hypervisor(last, || abi::reset(self.raw, its)) {
            rc if rc == -ERESTART => Ok(true),
            rc => result(rc).map(|()| false),
        }
    }

    /// The toolstack has a guest start anew, with the vGIC that it has: all vCPUs as they were made.
    pub fn restart_vcpus(&self) {
        for v in lock(&self.vcpus).iter() {
            v.set_down(false);
            v.set_blocked(false);
        }
    }

    /// CPU interfaces of all vCPUs start afresh, as after PSCI CPU_ON: a reset says so, too.
    pub fn refresh_interfaces(&self) {
        for v in lock(&self.vcpus).iter() {
            abi::clear_pending(v.raw());
        }
    }

    /// All there is of the vGIC: two of which it is the same are the same. Nothing may happen to it meanwhile.
    pub fn image(&self) -> String {
        abi::image(self.raw)
    }
}
