// SPDX-License-Identifier: GPL-2.0-only
//! Messages: from device models, to the host's ITSes, and where a domain takes them.

use super::{Domain, Errno, GUEST_GICV3_ITS_BASE, InjectMsi2, TRANSLATER, result};
use crate::xen::abi;

impl Domain {
    /// The physical LPI that one of the host's ITSes makes of a device's event.
    pub fn physical_lpi(&self, its: u32, device: u32, event: u32) -> Option<u32> {
        let mut lpi = 0;
        abi::translate(self.raw, its, device, event, &mut lpi);
        (lpi != 0).then_some(lpi)
    }

    /// A message of a device of this domain's to one of the host's ITSes, from no CPU. False: the host has not mapped it.
    pub fn send_msi(&self, its: u32, device: u32, event: u32) -> bool {
        let lpi = self.physical_lpi(its, device, event);
        lpi.map(|lpi| self.machine.gic.send_lpi(lpi)).is_some()
    }

    /// Where ITS number n of the domain is: the hardware domain and those that are direct-mapped have the host's places.
    pub fn its_base(&self, n: usize) -> u64 {
        if self.config.hardware || self.config.direct_mapped {
            self.machine.profile.its_base(n)
        } else {
            GUEST_GICV3_ITS_BASE
        }
    }

    /// `XEN_DMOP_inject_msi2` on a physical CPU: a device model writes `data` to `doorbell` as device `source`.
    ///
    /// # Errors
    /// What the vGIC answers.
    pub fn inject_msi(
        &self,
        cpu: usize,
        doorbell: u64,
        segment: u32,
        source: u32,
        data: u32,
    ) -> Result<(), Errno> {
        self.machine.hypervisor(cpu, || {
            self.inject_msi_here(doorbell, segment, source, data)
        })
    }

    /// The same on the CPU of the machine that the caller is on.
    pub(crate) fn inject_msi_here(
        &self,
        doorbell: u64,
        segment: u32,
        source: u32,
        data: u32,
    ) -> Result<(), Errno> {
        let mut rc = 0;
        abi::inject_msi(self.raw, doorbell, segment, source, data, &mut rc);
        result(rc)
    }

    /// The same to ITS number n.
    ///
    /// # Errors
    /// As above.
    pub fn message(&self, cpu: usize, its: usize, device: u32, event: u32) -> Result<(), Errno> {
        let doorbell = self.its_base(its) + TRANSLATER;
        self.inject_msi(cpu, doorbell, 0, device, event)
    }

    /// `XEN_DMOP_inject_msi2` on a physical CPU, with all that the caller says.
    ///
    /// # Errors
    /// What the vGIC answers.
    pub fn inject_msi2(&self, cpu: usize, op: &InjectMsi2) -> Result<(), Errno> {
        let mut rc = 0;
        self.machine.hypervisor(cpu, || {
            abi::dm_op(self.raw, std::ptr::from_ref(op).cast(), &mut rc);
        });
        result(rc)
    }

    /// The first of the SPIs of its GICv2m frame, and how many there are.
    pub fn msi_spis(&self) -> Option<(u32, u32)> {
        let (mut base, mut count) = (0, 0);
        abi::v2m(self.raw, &mut base, &mut count);
        (count != 0).then_some((base, count))
    }

    /// From now on the host refuses to map devices, or takes them again.
    pub fn refuse_devices(&self, on: bool) {
        abi::refuse_devices(on);
    }

    /// So many times from now on the host's ITSes take no command of the domain's INVs.
    pub fn refuse_commands(&self, times: u32) {
        abi::refuse_commands(times);
    }

    /// How many commands the host's ITSes have had.
    pub fn host_commands(&self) -> u64 {
        let mut count = 0;
        abi::its_commands(&mut count);
        count
    }
}
