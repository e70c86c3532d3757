// SPDX-License-Identifier: GPL-2.0-only
//! A domain's rVICs and its rVID: creation, look-up and reset.

use super::controller::{Flags, Number, Rvic};
use super::{Config, MOST_INTERRUPTS};
use crate::config::Error;
use crate::host::{Host, PhysIrq};
use crate::intid::VcpuId;
use crate::rvid::Rvid;
use crate::slice::try_boxed;
use alloc::boxed::Box;

/// The interrupt controllers of a domain.
pub struct Domain<H: Host> {
    pub(crate) host: H,
    pub(crate) config: Config,
    pub(crate) rvics: Box<[Rvic<H::Vcpu>]>,
    pub(crate) rvid: Rvid,
}

impl<H: Host> Domain<H> {
    /// All at reset. All memory that it ever has is allocated here.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there can be no such domain, [`Error::NoMemory`].
    pub fn new(config: &Config, host: H) -> Result<Self, Error> {
        if !config.is_valid() {
            return Err(Error::Invalid);
        }
        let rvics = try_boxed(config.vcpus, |n| {
            let id = VcpuId::new(n as u32).unwrap_or(VcpuId::ZERO);
            Rvic::new(id, config.interrupts(), config.trusted)
        });
        let inputs = config.inputs as usize;
        let rvid = Rvid::new(inputs, if config.level_inputs { inputs } else { 0 });
        match (rvics, rvid) {
            (Some(rvics), Some(rvid)) if rvics.iter().all(Rvic::is_whole) => Ok(Self {
                host,
                config: *config,
                rvics,
                rvid,
            }),
            _ => Err(Error::NoMemory),
        }
    }

    /// The host it was made with.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// What it was made to be.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A vCPU that the host has created.
    pub fn vcpu(&self, id: VcpuId) -> Option<&Rvic<H::Vcpu>> {
        let rvic = self.rvics.get(id.index());
        rvic.filter(|rvic| rvic.handle().is_some())
    }

    /// The host has created a vCPU and calls it `handle`.
    ///
    /// # Errors
    /// [`Error::Invalid`] beyond the number of vCPUs, [`Error::Busy`] if it exists already.
    pub fn create_vcpu(&self, id: VcpuId, handle: H::Vcpu) -> Result<&Rvic<H::Vcpu>, Error> {
        let rvic = self.rvics.get(id.index()).ok_or(Error::Invalid)?;
        if rvic.handle().is_some() {
            return Err(Error::Busy);
        }
        rvic.set_handle(Some(handle));
        Ok(rvic)
    }

    /// The host is done with a vCPU: nobody kicks it any more. What others still know of it stays valid.
    pub fn free_vcpu(&self, own: &Rvic<H::Vcpu>) {
        own.set_handle(None);
    }

    /// An interrupt of any rVIC, by its whole number.
    pub(crate) fn number(&self, raw: u64) -> Option<Number> {
        Number::new(raw, self.config.interrupts())
    }

    /// A trusted one.
    pub(crate) fn trusted(&self, raw: u64) -> Option<Number> {
        Number::new(raw, self.config.trusted)
    }

    /// An untrusted one.
    pub(crate) fn untrusted(&self, raw: u64) -> Option<Number> {
        self.number(raw)
            .filter(|n| u32::from(n.raw()) >= self.config.trusted)
    }

    /// An input, by its whole number.
    pub(crate) fn input(&self, raw: u64) -> Option<u32> {
        (raw < u64::from(self.config.inputs.min(MOST_INTERRUPTS))).then_some(raw as u32)
    }

    /// Is no vCPU in its guest?
    pub(crate) fn is_paused(&self) -> bool {
        let inside = |rvic: &Rvic<_>| rvic.flags().contains(Flags::INSIDE);
        !self.rvics.iter().any(inside)
    }

    /// PSCI CPU_ON of `own`, which does not run yet: its rVIC is as at reset. Lines keep their level.
    pub fn cpu_on(&self, own: &Rvic<H::Vcpu>) {
        own.renew();
    }

    /// PSCI CPU_OFF of `own`: its rVIC is disabled, so that who signals it is told.
    pub fn cpu_off(&self, own: &Rvic<H::Vcpu>) {
        own.post_all(super::Event::Disable);
    }

    /// All is as it was made, from any state; lines keep their level, and what the host has put behind inputs stays there. In one
    /// go: it takes no longer than a call of ENABLE for each vCPU, and one of UNMAP for each input.
    ///
    /// # Errors
    /// [`Error::Busy`]: a vCPU is in its guest.
    pub fn reset(&self) -> Result<(), Error> {
        if !self.is_paused() {
            return Err(Error::Busy);
        }
        for rvic in &self.rvics {
            rvic.renew();
        }
        for input in 0..self.config.inputs {
            self.rvid.map(input as usize, None);
            // Its guest will not end it. If its line is high it fires as soon as the input is mapped.
            self.with_physical(input, |phys| {
                self.rvid.fall(input as usize);
                phys.set_enabled(false);
                phys.set_active(false);
            });
        }
        Ok(())
    }
}
