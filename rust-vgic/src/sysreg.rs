// SPDX-License-Identifier: GPL-2.0-only
//! System registers that trap (IHI 0069, section 12.2), and their AArch32 forms: ICC_SGI1R_EL1, ICC_ASGI1R_EL1 and ICC_SGI0R_EL1,
//! of 64 bits in both, and those of the CPU interface that ICH_HCR_EL2.TC traps.

use crate::config::Version;
use crate::domain::Domain;
use crate::host::{CpuInterface, Host};
use crate::intid::{IntId, VcpuId};
use crate::lr::{Vmcr, Vtr};
use crate::vcpu::Vcpu;

/// Which of the registers that send an SGI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SgiRegister {
    /// ICC_SGI1R_EL1: for the current security state.
    Sgi1r,
    /// ICC_ASGI1R_EL1: for the other security state.
    Asgi1r,
    /// ICC_SGI0R_EL1.
    Sgi0r,
}

/// A register that both groups share: besides the three above, those that ICH_HCR_EL2.TC traps (IHI 0069, section 12.4). Their
/// values stay where the hardware has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IccRegister {
    /// ICC_CTLR_EL1.
    Ctlr,
    /// ICC_PMR_EL1.
    Pmr,
    /// ICC_RPR_EL1, read-only.
    Rpr,
    /// ICC_DIR_EL1, write-only; ICH_HCR_EL2.TDIR traps it, too.
    Dir,
}

/// ICC_CTLR_EL1: what a guest can write.
const CBPR: u64 = 1 << 0;
const EOIMODE: u64 = 1 << 1;
/// What the virtual CPU interface has of the physical one: RSS and ExtRange.
const OF_THE_CPU: u32 = 1 << 18 | 1 << 19;
/// ICC_RPR_EL1 while nothing is active.
const IDLE_PRIORITY: u64 = 0xff;
/// ICH_AP0R\<n\>_EL2: as many as there are with seven bits of preemption.
const ACTIVE_PRIORITIES: usize = 4;

/// What is written to one of those that send an SGI.
#[derive(Clone, Copy)]
struct Sgi(u64);

impl Sgi {
    const fn field(self, shift: u32, bits: u32) -> u32 {
        (self.0.wrapping_shr(shift) & 1_u64.wrapping_shl(bits).wrapping_sub(1)) as u32
    }

    fn intid(self) -> Option<IntId> {
        IntId::new(self.field(24, 4))
    }

    /// Interrupt_Routing_Mode: all vCPUs but the one that writes.
    const fn is_broadcast(self) -> bool {
        self.field(40, 1) != 0
    }

    /// The vCPUs that TargetList names in the cluster Aff3.Aff2.Aff1. With GICD_TYPER.RSS = 0 another RangeSelector than 0
    /// is CONSTRAINED UNPREDICTABLE, with "ignored" among the choices; here it names vCPUs that do not exist.
    fn targets(self) -> impl Iterator<Item = VcpuId> {
        let cluster = self.field(48, 8) << 24 | self.field(32, 8) << 16 | self.field(16, 8) << 8;
        let range = self.field(44, 4) << 4;
        let list = self.field(0, 16);
        (0..16_u32)
            .filter(move |n| list & 1_u32.wrapping_shl(*n) != 0)
            .filter_map(move |n| VcpuId::from_affinity(cluster | range | n))
    }
}

impl<H: Host> Domain<H> {
    /// vCPU `cur` writes one of the registers that send an SGI. `false`: the guest has no such register, and the access is UNDEFINED.
    pub fn send_sgi(&self, cur: &Vcpu<H::Vcpu>, reg: SgiRegister, value: u64) -> bool {
        if self.version != Version::V3 {
            return false;
        }
        let sgi = Sgi(value);
        let Some(intid) = sgi.intid() else {
            return true;
        };
        if sgi.is_broadcast() {
            for v in self.created().filter(|v| v.id() != cur.id()) {
                self.forward(v, intid, reg);
            }
        } else {
            for v in sgi.targets().filter_map(|id| self.vcpu(id)) {
                self.forward(v, intid, reg);
            }
        }
        true
    }

    /// vCPU `cur` reads a register of its CPU interface. `None`: the access is UNDEFINED, as there is no such register or it is
    /// write-only.
    pub fn read_icc(&self, cur: &Vcpu<H::Vcpu>, reg: IccRegister) -> Option<u64> {
        if self.version != Version::V3 {
            return None;
        }
        let cpu = self.host.cpu();
        match reg {
            IccRegister::Ctlr => {
                let vmcr = self.read_vmcr(cur, &cpu);
                let fixed = Vtr(cpu.read_vtr()).ctlr() | cpu.read_icc_ctlr() & OF_THE_CPU;
                let bit = |on, bit| if on { bit } else { 0 };
                Some(u64::from(fixed) | bit(vmcr.cbpr, CBPR) | bit(vmcr.split_eoi, EOIMODE))
            }
            IccRegister::Pmr => Some(Vmcr::pmr(cpu.read_vmcr()).into()),
            IccRegister::Rpr => Some(running_priority(&cpu)),
            IccRegister::Dir => None,
        }
    }

    /// vCPU `cur` writes a register of its CPU interface. `false`: the access is UNDEFINED, as there is no such register or it is
    /// read-only.
    pub fn write_icc(&self, cur: &Vcpu<H::Vcpu>, reg: IccRegister, value: u64) -> bool {
        if self.version != Version::V3 {
            return false;
        }
        let cpu = self.host.cpu();
        match reg {
            IccRegister::Ctlr => {
                let (cbpr, split) = (value & CBPR != 0, value & EOIMODE != 0);
                cpu.write_vmcr(Vmcr::with_ctlr(cpu.read_vmcr(), cbpr, split));
                self.ctlr_written(cur, self.read_vmcr(cur, &cpu));
            }
            IccRegister::Pmr => {
                let pmr = value as u8 & Vtr(cpu.read_vtr()).priority_mask();
                cpu.write_vmcr(Vmcr::with_pmr(cpu.read_vmcr(), pmr));
                self.read_vmcr(cur, &cpu);
            }
            IccRegister::Rpr => return false,
            IccRegister::Dir => self.write_dir(cur, value),
        }
        true
    }

    /// What a redistributor does with an SGI that is sent to it depends on the group that the target has given it ("Forwarding an SGI to a target
    /// PE", IHI 0069). With one security state ICC_SGI1R_EL1 may send either group; ICC_SGI0R_EL1 sends Group 0 only, and so does
    /// ICC_ASGI1R_EL1, as there is no other state with a Group 1 of its own.
    fn forward(&self, v: &Vcpu<H::Vcpu>, intid: IntId, reg: SgiRegister) {
        let group1 = v.private(intid).is_some_and(|irq| irq.state().group1());
        if reg == SgiRegister::Sgi1r || !group1 {
            self.post_sgi(v, intid, 0);
        }
    }
}

/// ICC_RPR_EL1: the highest priority that is active, of either group. Each is kept as the binary point made it when it was
/// acknowledged.
fn running_priority(cpu: &impl CpuInterface) -> u64 {
    let step = Vtr(cpu.read_vtr()).preemption_step();
    let first = (0..ACTIVE_PRIORITIES).find_map(|n| {
        let active = cpu.read_active_priorities(n);
        (active != 0).then(|| {
            (n as u32)
                .wrapping_mul(32)
                .wrapping_add(active.trailing_zeros())
        })
    });
    first.map_or(IDLE_PRIORITY, |level| {
        u64::from(level.wrapping_shl(step)) & IDLE_PRIORITY
    })
}

#[cfg(test)]
mod tests;
