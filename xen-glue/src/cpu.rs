// SPDX-License-Identifier: GPL-2.0-only
//! The virtual interface control registers of this physical CPU: ICH_\*_EL2 of a GICv3 (IHI 0069, section 12.4),
//! or the GICH frame of a GICv2 (IHI 0048B, section 5.3).

use core::arch::asm;
use core::ptr::NonNull;
use rust_vgic::CpuInterface;

unsafe extern "C" {
    /// Set at boot, before the first domain.
    static rvgic_gich: *mut u32;
    /// Set at boot.
    static rvgic_trap_common: bool;
}

/// Offsets in the GICH frame, in bytes.
mod gich {
    pub const HCR: usize = 0x00;
    pub const VTR: usize = 0x04;
    pub const VMCR: usize = 0x08;
    pub const APR: usize = 0xf0;
    pub const LR0: usize = 0x100;
}

macro_rules! read {
    ($reg:literal) => {{
        let value: u64;
        // SAFETY: reads a register of this CPU that exists on a GICv3, at EL2.
        unsafe { asm!(concat!("mrs {}, ", $reg), out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }};
}

macro_rules! write {
    ($reg:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: writes a register of this CPU that exists on a GICv3, at EL2. It has no effect on
        // EL2 but the maintenance interrupt.
        unsafe { asm!(concat!("msr ", $reg, ", {}"), in(reg) value, options(nostack, preserves_flags)) };
    }};
}

/// ICH_VTR_EL2.TDS: ICH_HCR_EL2.TDIR is there.
const ICH_VTR_TDS: u64 = 1 << 19;

/// Bits of preemption in the virtual CPU interface, which say how many registers there are for active priorities.
fn preemption_bits() -> u64 {
    (read!("ich_vtr_el2") >> 26 & 7) + 1
}

/// The interface of the CPU that runs this code, whichever that is.
#[derive(Clone, Copy)]
pub struct Cpu {
    /// The GICH frame; `None` on a GICv3.
    gich: Option<NonNull<u32>>,
    /// GICv3 hardware with a GICv2 guest, whose accesses to the CPU interface go to memory.
    memory_mapped: bool,
}

impl Cpu {
    /// For a domain with a GICv2 or not.
    pub fn new(guest_v2: bool) -> Self {
        // SAFETY: written at boot only.
        let gich = NonNull::new(unsafe { rvgic_gich });
        Self {
            gich,
            memory_mapped: gich.is_none() && guest_v2,
        }
    }

    /// How many list registers there are.
    pub fn list_registers(self) -> usize {
        match self.gich {
            Some(base) => (gich_read(base, gich::VTR) as usize & 0x3f) + 1,
            None => (read!("ich_vtr_el2") as usize & 0x1f) + 1,
        }
    }

    /// What was written takes effect before anything that follows.
    pub fn settle(self) {
        match self.gich {
            // A read after the write: device memory keeps their order.
            Some(base) => _ = gich_read(base, gich::HCR),
            // SAFETY: a barrier.
            None => unsafe { asm!("isb", "dsb sy", options(nostack, preserves_flags)) },
        }
    }
}

#[inline(always)]
fn gich_read(base: NonNull<u32>, offset: usize) -> u32 {
    let at = base.as_ptr().wrapping_byte_add(offset);
    // SAFETY: the frame is mapped, banked for each CPU, and `offset` a register of it.
    unsafe { at.read_volatile() }
}

#[inline(always)]
fn gich_write(base: NonNull<u32>, offset: usize, value: u32) {
    let at = base.as_ptr().wrapping_byte_add(offset);
    // SAFETY: as above; these registers act on the guest only.
    unsafe { at.write_volatile(value) }
}

/// Hands the list registers with their numbers to another macro: instructions name them, they have no index.
macro_rules! with_list_registers {
    ($then:ident, $($args:expr),*) => {
        $then!($($args),*;
            0 "ich_lr0_el2", 1 "ich_lr1_el2", 2 "ich_lr2_el2", 3 "ich_lr3_el2",
            4 "ich_lr4_el2", 5 "ich_lr5_el2", 6 "ich_lr6_el2", 7 "ich_lr7_el2",
            8 "ich_lr8_el2", 9 "ich_lr9_el2", 10 "ich_lr10_el2", 11 "ich_lr11_el2",
            12 "ich_lr12_el2", 13 "ich_lr13_el2", 14 "ich_lr14_el2", 15 "ich_lr15_el2")
    };
}

macro_rules! read_nth {
    ($n:expr; $($i:literal $reg:literal),*) => {
        match $n {
            $($i => read!($reg),)*
            _ => 0,
        }
    };
}

macro_rules! write_nth {
    ($n:expr, $value:expr; $($i:literal $reg:literal),*) => {
        match $n {
            $($i => write!($reg, $value),)*
            _ => {}
        }
    };
}

impl CpuInterface for Cpu {
    #[inline]
    fn read_lr(&self, n: usize) -> u64 {
        match self.gich {
            Some(base) => gich_read(base, gich::LR0 + (n & 0x3f) * 4).into(),
            None => with_list_registers!(read_nth, n),
        }
    }

    #[inline]
    fn write_lr(&self, n: usize, value: u64) {
        match self.gich {
            Some(base) => gich_write(base, gich::LR0 + (n & 0x3f) * 4, value as u32),
            None => with_list_registers!(write_nth, n, value),
        }
    }

    #[inline]
    fn read_hcr(&self) -> u32 {
        match self.gich {
            Some(base) => gich_read(base, gich::HCR),
            None => read!("ich_hcr_el2") as u32,
        }
    }

    #[inline]
    fn write_hcr(&self, value: u32) {
        match self.gich {
            Some(base) => gich_write(base, gich::HCR, value),
            None => write!("ich_hcr_el2", value.into()),
        }
    }

    fn read_vmcr(&self) -> u32 {
        match self.gich {
            Some(base) => gich_read(base, gich::VMCR),
            None => read!("ich_vmcr_el2") as u32,
        }
    }

    fn can_trap_dir(&self) -> bool {
        // SAFETY: written at boot only.
        let common = unsafe { rvgic_trap_common };
        self.gich.is_none() && !common && read!("ich_vtr_el2") & ICH_VTR_TDS != 0
    }

    fn write_vmcr(&self, value: u32) {
        write!("ich_vmcr_el2", value.into());
    }

    fn read_vtr(&self) -> u32 {
        match self.gich {
            Some(base) => gich_read(base, gich::VTR),
            None => read!("ich_vtr_el2") as u32,
        }
    }

    fn read_icc_ctlr(&self) -> u32 {
        read!("icc_ctlr_el1") as u32
    }

    fn read_active_priorities(&self, n: usize) -> u32 {
        if let Some(base) = self.gich {
            return if n == 0 {
                gich_read(base, gich::APR)
            } else {
                0
            };
        }
        let active = match (n, preemption_bits()) {
            (0, _) => read!("ich_ap0r0_el2") | read!("ich_ap1r0_el2"),
            (1, 6..) => read!("ich_ap0r1_el2") | read!("ich_ap1r1_el2"),
            (2, 7..) => read!("ich_ap0r2_el2") | read!("ich_ap1r2_el2"),
            (3, 7..) => read!("ich_ap0r3_el2") | read!("ich_ap1r3_el2"),
            _ => 0,
        };
        active as u32
    }

    fn reset(&self) {
        if let Some(base) = self.gich {
            gich_write(base, gich::VMCR, 0);
            gich_write(base, gich::APR, 0);
            return;
        }
        write!("ich_vmcr_el2", 0);
        write!("ich_ap0r0_el2", 0);
        write!("ich_ap1r0_el2", 0);
        // The others exist with 6 and 7 bits of preemption only (ICH_VTR_EL2.PREbits).
        let bits = preemption_bits();
        if bits >= 6 {
            write!("ich_ap0r1_el2", 0);
            write!("ich_ap1r1_el2", 0);
        }
        if bits >= 7 {
            write!("ich_ap0r2_el2", 0);
            write!("ich_ap1r2_el2", 0);
            write!("ich_ap0r3_el2", 0);
            write!("ich_ap1r3_el2", 0);
        }
    }

    #[inline]
    fn sync(&self) {
        if self.memory_mapped {
            // A read of a system register may be done before a DSB that precedes it is complete; not so after an ISB.
            // SAFETY: barriers.
            unsafe { asm!("dsb sy", "isb", options(nostack, preserves_flags)) }
        }
    }

    #[inline]
    fn sync_written(&self) {
        if self.memory_mapped {
            // SAFETY: barriers. In this order: what was written has been executed, and then has arrived.
            unsafe { asm!("isb", "dsb sy", options(nostack, preserves_flags)) }
        }
    }
}

/// Masks this CPU's interrupts; returns what it was before.
#[inline]
pub fn irq_save() -> usize {
    let flags: usize;
    // SAFETY: PSTATE.I is what keeps interrupts away at EL2. A barrier for the compiler.
    unsafe { asm!("mrs {}, daif", "msr daifset, #2", out(reg) flags, options(nostack)) };
    flags
}

/// Undoes [`irq_save`].
#[inline]
pub fn irq_restore(flags: usize) {
    // SAFETY: a value that was in there before. A barrier for the compiler.
    unsafe { asm!("msr daif, {}", in(reg) flags, options(nostack)) };
}

/// One turn of a busy wait.
pub fn relax() {
    core::hint::spin_loop();
}
