// SPDX-License-Identifier: GPL-2.0-only
//! The virtual interface control registers that a mock Xen has for the thread that runs this code.

use rust_vgic::CpuInterface;

unsafe extern "C" {
    safe fn rvgic_mock_list_registers() -> usize;
    safe fn rvgic_mock_read_lr(n: usize) -> u64;
    safe fn rvgic_mock_write_lr(n: usize, value: u64);
    safe fn rvgic_mock_read_hcr() -> u32;
    safe fn rvgic_mock_write_hcr(value: u32);
    safe fn rvgic_mock_read_vmcr() -> u32;
    safe fn rvgic_mock_reset();
    safe fn rvgic_mock_can_trap_dir() -> bool;
    safe fn rvgic_mock_write_vmcr(value: u32);
    safe fn rvgic_mock_read_vtr() -> u32;
    safe fn rvgic_mock_read_icc_ctlr() -> u32;
    safe fn rvgic_mock_read_active_priorities(n: usize) -> u32;
    safe fn rvgic_mock_irq_save() -> usize;
    safe fn rvgic_mock_irq_restore(flags: usize);
    safe fn rvgic_mock_relax();
}

/// The interface of the thread that runs this code, whichever that is.
#[derive(Clone, Copy)]
pub struct Cpu;

impl Cpu {
    /// For a domain with a GICv2 or not.
    pub fn new(_guest_v2: bool) -> Self {
        Self
    }

    /// How many list registers there are.
    pub fn list_registers(self) -> usize {
        rvgic_mock_list_registers()
    }

    /// What was written takes effect before anything that follows.
    pub fn settle(self) {}
}

impl CpuInterface for Cpu {
    fn read_lr(&self, n: usize) -> u64 {
        rvgic_mock_read_lr(n)
    }

    fn write_lr(&self, n: usize, value: u64) {
        rvgic_mock_write_lr(n, value);
    }

    fn read_hcr(&self) -> u32 {
        rvgic_mock_read_hcr()
    }

    fn write_hcr(&self, value: u32) {
        rvgic_mock_write_hcr(value);
    }

    fn read_vmcr(&self) -> u32 {
        rvgic_mock_read_vmcr()
    }

    fn can_trap_dir(&self) -> bool {
        rvgic_mock_can_trap_dir()
    }

    fn write_vmcr(&self, value: u32) {
        rvgic_mock_write_vmcr(value);
    }

    fn read_vtr(&self) -> u32 {
        rvgic_mock_read_vtr()
    }

    fn read_icc_ctlr(&self) -> u32 {
        rvgic_mock_read_icc_ctlr()
    }

    fn read_active_priorities(&self, n: usize) -> u32 {
        rvgic_mock_read_active_priorities(n)
    }

    fn reset(&self) {
        rvgic_mock_reset();
    }

    fn sync(&self) {}

    fn sync_written(&self) {}
}

/// Masks the interrupts of this thread's CPU; returns what it was before.
pub fn irq_save() -> usize {
    rvgic_mock_irq_save()
}

/// Undoes [`irq_save`].
pub fn irq_restore(flags: usize) {
    rvgic_mock_irq_restore(flags);
}

/// One turn of a busy wait: whoever else shares the thread gets to run.
pub fn relax() {
    rvgic_mock_relax();
}
