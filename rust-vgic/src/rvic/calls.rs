// SPDX-License-Identifier: GPL-2.0-only
//! The guest's calls: fast SMC64 calls of the standard hypervisor service (SMCCC, owner 5).
//!
//! Arguments are 64 bits and are looked at whole; of the function identifier, as the SMCCC has it, the lower 32. The answer
//! is a status word in x0, the reason in bits 7 to 0 and the index of the argument that is to blame in bits 15 to 8, and a
//! value in x1; x2 and x3 are 0.

use super::controller::{Number, Rvic};
use super::{Domain, Event};
use crate::host::Host;
use crate::intid::VcpuId;

/// The rVID's functions.
const RVID: u32 = 0xc500_0100;
/// The rVIC's.
const RVIC: u32 = 0xc500_0200;
/// Each has so many numbers.
const RANGE: u32 = 0x100;

/// Of both interfaces: major version 0, minor version 3.
const VERSION: u64 = 3;

/// What SMCCC answers for a function that there is not.
const NOT_SUPPORTED: [u64; 4] = [u64::MAX, 0, 0, 0];

/// RVID_FEATURES: some inputs are what messages become.
pub const FEATURE_MESSAGES: u64 = 1 << 0;
/// RVID_FEATURES: the other inputs are levels.
pub const FEATURE_LEVELS: u64 = 1 << 1;

/// A call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Function {
    Version,
    Info,
    Enable,
    Disable,
    SetMasked,
    ClearMasked,
    IsPending,
    Signal,
    ClearPending,
    Acknowledge,
    Resample,
    Map,
    Unmap,
    /// Extension.
    Features,
    /// Extension.
    ResampleInput,
}

/// Which function has which number.
const FUNCTIONS: [(u32, Function); 16] = [
    (RVID, Function::Version),
    (RVID + 0x01, Function::Map),
    (RVID + 0x02, Function::Unmap),
    (RVID + 0x10, Function::Features),
    (RVID + 0x11, Function::ResampleInput),
    (RVIC, Function::Version),
    (RVIC + 0x01, Function::Info),
    (RVIC + 0x02, Function::Enable),
    (RVIC + 0x03, Function::Disable),
    (RVIC + 0x04, Function::SetMasked),
    (RVIC + 0x05, Function::ClearMasked),
    (RVIC + 0x06, Function::IsPending),
    (RVIC + 0x07, Function::Signal),
    (RVIC + 0x08, Function::ClearPending),
    (RVIC + 0x09, Function::Acknowledge),
    (RVIC + 0x0a, Function::Resample),
];

/// Why a call has not done what it was to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refusal {
    /// ERROR_PARAMETER, and which argument.
    Parameter(u64),
    /// INVALID_CPU, and which argument.
    InvalidCpu(u64),
    /// DISABLED.
    Disabled,
    /// NO_INTERRUPTS.
    NoInterrupts,
}

impl Refusal {
    fn status(self) -> u64 {
        let (reason, index) = match self {
            Self::Parameter(index) => (1, index),
            Self::InvalidCpu(index) => (2, index),
            Self::Disabled => (3, 0),
            Self::NoInterrupts => (4, 0),
        };
        reason | index << 8
    }
}

/// The value of a call.
type Answer = Result<u64, Refusal>;

impl<H: Host> Domain<H> {
    /// Has it this function?
    fn has(&self, function: Function) -> bool {
        match function {
            Function::Features => self.features() != 0,
            Function::ResampleInput => self.config.level_inputs,
            _ => true,
        }
    }

    /// How many functions it has.
    pub fn functions(&self) -> u32 {
        let all = FUNCTIONS.iter();
        all.filter(|(_, function)| self.has(*function)).count() as u32
    }

    /// A call of `own`'s guest, which it has left: the registers x0 to x3 of the answer. `None` for a number that is neither the
    /// rVIC's nor the rVID's.
    pub fn call(&self, own: &Rvic<H::Vcpu>, function: u64, args: [u64; 3]) -> Option<[u64; 4]> {
        let number = function as u32;
        let ours = |base| number.wrapping_sub(base) < RANGE;
        if !ours(RVIC) && !ours(RVID) {
            return None;
        }
        let found = FUNCTIONS.iter().find(|(n, _)| *n == number);
        let Some(function) = found.map(|(_, f)| *f).filter(|f| self.has(*f)) else {
            return Some(NOT_SUPPORTED);
        };
        Some(match self.answer(own, function, args) {
            Ok(value) => [0, value, 0, 0],
            Err(refusal) => [refusal.status(), 0, 0, 0],
        })
    }

    fn answer(&self, own: &Rvic<H::Vcpu>, function: Function, args: [u64; 3]) -> Answer {
        let [first, second, _] = args;
        match function {
            Function::Version => return Ok(VERSION),
            Function::Info => {
                return match first {
                    0 => Ok(self.config.trusted.into()),
                    1 => Ok(self.config.untrusted.into()),
                    _ => Err(Refusal::Parameter(0)),
                };
            }
            Function::Enable => self.enable(own),
            Function::Disable => own.post_all(Event::Disable),
            Function::SetMasked => self.change(own, args, Event::Mask)?,
            Function::ClearMasked => self.change(own, args, Event::Unmask)?,
            Function::ClearPending => self.change(own, args, Event::Clear)?,
            Function::IsPending => {
                let (rvic, n) = self.named(first, second)?;
                return Ok(rvic.is_pending(n).into());
            }
            Function::Signal => {
                let (rvic, n) = self.named(first, second)?;
                if !self.post(rvic, n, Event::Signal, Some(own)) {
                    return Err(Refusal::Disabled);
                }
            }
            Function::Acknowledge => {
                if !own.is_enabled() {
                    return Err(Refusal::Disabled);
                }
                let taken = own.acknowledge().ok_or(Refusal::NoInterrupts)?;
                return Ok(taken.raw().into());
            }
            Function::Resample => {
                let n = self.trusted(first).ok_or(Refusal::Parameter(0))?;
                self.resample(own, n);
            }
            Function::Map => {
                let input = self.input(first).ok_or(Refusal::Parameter(0))?;
                let target = self.target(second).ok_or(Refusal::Parameter(1))?;
                let [.., intid] = args;
                let n = self.untrusted(intid).ok_or(Refusal::Parameter(2))?;
                self.map(input, Some((target.id(), n.raw())), Some(own));
            }
            Function::Unmap => {
                let input = self.input(first).ok_or(Refusal::Parameter(0))?;
                self.map(input, None, Some(own));
            }
            Function::Features => return Ok(self.features()),
            Function::ResampleInput => {
                let input = self.input(first);
                let level = input.filter(|input| self.config.is_level(*input));
                self.resample_input(own, level.ok_or(Refusal::Parameter(0))?);
            }
        }
        Ok(0)
    }

    fn features(&self) -> u64 {
        let messages = self.config.messages.map_or(0, |_| FEATURE_MESSAGES);
        let levels = self.config.level_inputs.then_some(FEATURE_LEVELS);
        messages | levels.unwrap_or(0)
    }

    /// Something happens to an interrupt of a vCPU, both of which the guest has named.
    fn change(
        &self,
        own: &Rvic<H::Vcpu>,
        [mpidr, intid, _]: [u64; 3],
        event: Event,
    ) -> Result<(), Refusal> {
        let (rvic, n) = self.named(mpidr, intid)?;
        self.post(rvic, n, event, Some(own));
        Ok(())
    }

    fn named(&self, mpidr: u64, intid: u64) -> Result<(&Rvic<H::Vcpu>, Number), Refusal> {
        let rvic = self.target(mpidr).ok_or(Refusal::InvalidCpu(0))?;
        let n = self.number(intid).ok_or(Refusal::Parameter(1))?;
        Ok((rvic, n))
    }

    /// The vCPU with this affinity, in the places that MPIDR_EL1 has it and with no other bit.
    fn target(&self, mpidr: u64) -> Option<&Rvic<H::Vcpu>> {
        // None has an affinity level 3.
        let affinity = u32::try_from(mpidr).ok()?;
        self.vcpu(VcpuId::from_affinity(affinity)?)
    }
}
