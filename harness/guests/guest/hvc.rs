// SPDX-License-Identifier: GPL-2.0-only
//! A guest with an rVIC: its calls, and the line that `ISR_EL1.I` shows.

use super::GuestCpu;
use crate::xen::abi;
use crate::xen::vcpu::{TVM, VA, VI};

/// x0 of each call of an rVIC.
#[expect(missing_docs, reason = "as the specification has them")]
pub mod rvic {
    pub const VERSION: u64 = 0xc500_0200;
    pub const INFO: u64 = 0xc500_0201;
    pub const ENABLE: u64 = 0xc500_0202;
    pub const DISABLE: u64 = 0xc500_0203;
    pub const SET_MASKED: u64 = 0xc500_0204;
    pub const CLEAR_MASKED: u64 = 0xc500_0205;
    pub const IS_PENDING: u64 = 0xc500_0206;
    pub const SIGNAL: u64 = 0xc500_0207;
    pub const CLEAR_PENDING: u64 = 0xc500_0208;
    pub const ACKNOWLEDGE: u64 = 0xc500_0209;
    pub const RESAMPLE: u64 = 0xc500_020a;
}

/// x0 of each call of an rVID.
#[expect(missing_docs, reason = "as the specification has them")]
pub mod rvid {
    pub const VERSION: u64 = 0xc500_0100;
    pub const MAP: u64 = 0xc500_0101;
    pub const UNMAP: u64 = 0xc500_0102;
    /// Ours: which of messages and levels there are.
    pub const FEATURES: u64 = 0xc500_0110;
    pub const RESAMPLE: u64 = 0xc500_0111;
}

/// Why a call has failed, and for which argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as the specification has them")]
pub enum Refused {
    Parameter(u8),
    InvalidCpu(u8),
    Disabled(u8),
    NoInterrupts,
    /// There is no such call.
    NotSupported,
    /// Something that no call says.
    Strange(u64),
}

/// Where emulated devices send their messages: it is no frame, and memory may be there.
pub const DOORBELL: u64 = 0xba5e_0000;

impl GuestCpu {
    /// `HVC #0` with these in x0 to x3: what is in them afterwards.
    pub fn hvc(&self, mut x: [u64; 4]) -> [u64; 4] {
        self.trap(|| abi::smccc(x.as_mut_ptr()));
        x
    }

    /// A call of the rVIC or the rVID.
    ///
    /// # Errors
    /// What it says.
    pub fn call(&self, function: u64, arguments: [u64; 3]) -> Result<u64, Refused> {
        let [a, b, c] = arguments;
        let [status, value, x2, x3] = self.hvc([function, a, b, c]);
        if status == u64::MAX {
            return Err(Refused::NotSupported);
        }
        if x2 != 0 || x3 != 0 || (status != 0 && value != 0) {
            return Err(Refused::Strange(status));
        }
        let index = (status >> 8) as u8;
        match (status & !0xff00, index) {
            (0, 0) => Ok(value),
            (1, index) => Err(Refused::Parameter(index)),
            (2, index) => Err(Refused::InvalidCpu(index)),
            (3, index) => Err(Refused::Disabled(index)),
            (4, 0) => Err(Refused::NoInterrupts),
            _ => Err(Refused::Strange(status)),
        }
    }

    /// The same of one that is not to fail.
    ///
    /// # Panics
    /// If it does.
    pub fn must(&self, function: u64, arguments: [u64; 3]) -> u64 {
        match self.call(function, arguments) {
            Ok(value) => value,
            Err(why) => panic!("{function:#x} of {arguments:#x?}: {why:?}"),
        }
    }

    /// Affinity of a vCPU of this domain, as in its `MPIDR_EL1`.
    #[must_use]
    pub fn affinity(id: usize) -> u64 {
        ((id & 0xf) | (id >> 4 << 8)) as u64
    }

    /// Brings up the rVIC of this vCPU as a driver does: all masked, none pending, then enabled.
    pub fn enable_rvic(&self) {
        let me = Self::affinity(self.vcpu.id);
        self.must(rvic::DISABLE, [0; 3]);
        let all = self.must(rvic::INFO, [0, 0, 0]) + self.must(rvic::INFO, [1, 0, 0]);
        for intid in 0..all {
            self.must(rvic::SET_MASKED, [me, intid, 0]);
            self.must(rvic::CLEAR_PENDING, [me, intid, 0]);
        }
        self.must(rvic::ENABLE, [0; 3]);
    }

    /// It takes an interrupt from now on, or again: the end of one.
    pub fn unmask(&self, intid: u64) {
        self.must(rvic::CLEAR_MASKED, [Self::affinity(self.vcpu.id), intid, 0]);
    }

    /// `ISR_EL1.I`, when whatever has come from outside has taken effect.
    pub fn isr(&self) -> bool {
        self.step();
        self.machine.pcpu(self.cpu).hcr_el2() & VI != 0
    }

    /// Acknowledges what there is, in the order in which it comes.
    pub fn acknowledge_all(&self) -> Vec<u64> {
        std::iter::from_fn(|| self.call(rvic::ACKNOWLEDGE, [0; 3]).ok()).collect()
    }

    /// A trap whose handler has writes to the registers of virtual memory trap from now on, or no longer.
    pub fn trap_memory(&self, on: bool) {
        self.change_hcr(TVM, on);
    }

    /// A trap whose handler pends a virtual abort.
    pub fn pend_abort(&self) {
        self.change_hcr(VA, true);
    }

    fn change_hcr(&self, flags: u64, on: bool) {
        let p = self.machine.pcpu(self.cpu);
        self.hypercall(|| p.set_hcr_el2(self.vcpu.change_hcr(flags, on)));
    }

    /// The guest takes the virtual abort, which traps nothing. False: none is pending.
    pub fn take_abort(&self) -> bool {
        self.step();
        let p = self.machine.pcpu(self.cpu);
        let hcr = p.hcr_el2();
        p.set_hcr_el2(hcr & !VA);
        hcr & VA != 0
    }
}
