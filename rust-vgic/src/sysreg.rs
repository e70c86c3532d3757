// SPDX-License-Identifier: GPL-2.0-only
//! ICC_SGI1R_EL1, ICC_ASGI1R_EL1 and ICC_SGI0R_EL1 (IHI 0069, section 12.2), and their AArch32 forms: 64 bits as well.

use crate::config::Version;
use crate::domain::Domain;
use crate::host::Host;
use crate::intid::{IntId, VcpuId};
use crate::irq::Event;
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

/// What is written to one of them.
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

    /// What a redistributor does with an SGI that is sent to it depends on the group that the target has given it ("Forwarding an SGI to a target
    /// PE", IHI 0069). With one security state ICC_SGI1R_EL1 may send either group; ICC_SGI0R_EL1 sends Group 0 only, and so does
    /// ICC_ASGI1R_EL1, as there is no other state with a Group 1 of its own.
    fn forward(&self, v: &Vcpu<H::Vcpu>, intid: IntId, reg: SgiRegister) {
        let group1 = v.private(intid).is_some_and(|irq| irq.state().group1());
        if reg == SgiRegister::Sgi1r || !group1 {
            self.post(v, intid, Event::Sgi(0));
        }
    }
}

#[cfg(test)]
mod tests;
