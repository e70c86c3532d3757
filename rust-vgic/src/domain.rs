// SPDX-License-Identifier: GPL-2.0-only
//! A domain's vGIC: what it is made of, and how its parts are found.

use crate::config::{Config, Error, MsiFrame, Region, Version};
use crate::counters::Told;
use crate::host::{CpuInterface, Host};
use crate::intid::{IntId, VcpuId};
use crate::irq::{Irq, State};
use crate::its::{self, Its};
use crate::lpi::Lpis;
use crate::lr::{Format, Hcr};
use crate::progress::{Course, Writes};
use crate::slice::try_boxed;
use crate::sync::{AtomicU32, AtomicU64, Mutex};
use crate::takers::Takers;
use crate::vcpu::Vcpu;
use alloc::boxed::Box;

mod regions;

/// A domain's vGIC.
pub struct Domain<H: Host> {
    pub(crate) host: H,
    pub(crate) version: Version,
    pub(crate) format: Format,
    pub(crate) list_registers: usize,
    pub(crate) vcpus: Box<[Vcpu<H::Vcpu>]>,
    pub(crate) spis: Box<[Irq]>,
    pub(crate) espis: Box<[Irq]>,
    /// GICD_IROUTER as the guest wrote it: SPIs, then extended SPIs. Empty for GICv2.
    pub(crate) routers: Box<[AtomicU64]>,
    pub(crate) regions: Box<[Region]>,
    pub(crate) lpis: Lpis,
    pub(crate) its: Box<[Its]>,
    pub(crate) msi_frame: Option<MsiFrame>,
    /// GICD_CTLR, the group enables.
    pub(crate) ctlr: AtomicU32,
    /// What HCR has while nothing is asked for.
    pub(crate) idle_hcr: Hcr,
    /// It takes ICH_HCR_EL2.TC to trap ICC_DIR_EL1.
    pub(crate) tc: bool,
    /// Where it takes ICH_HCR_EL2.TC to trap ICC_DIR_EL1: how many vCPUs are known to have EOImode 1.
    pub(crate) split_eoi: AtomicU32,
    /// Not 0 once an interrupt has been routed to any vCPU that can take it.
    pub(crate) one_of_n: AtomicU32,
    /// Who can take such an interrupt.
    pub(crate) takers: Takers,
    pub(crate) told: Told,
    /// What GICD_CTLR.RWP tells of.
    pub(crate) writes: Writes,
    /// How far a reset has got.
    pub(crate) resetting: Course,
    /// Serialises configuration writes whose parts must agree. Interrupts masked; above the vCPU locks, below desc->lock.
    pub(crate) config: Mutex<()>,
}

/// Interrupts of this physical CPU are masked. Locks that are taken meanwhile are to be released before.
#[must_use]
pub(crate) struct Masked<'a, H: Host> {
    host: &'a H,
    flags: usize,
}

impl<H: Host> Drop for Masked<'_, H> {
    #[inline(always)]
    fn drop(&mut self) {
        self.host.irq_restore(self.flags);
    }
}

/// An SPI or extended SPI at reset. Nobody has routed it yet: on GICv3 it goes to vCPU 0 (IROUTER resets to affinity 0 in Xen); a
/// GICv2's ITARGETSR resets to 0, which a single-CPU implementation may fix to 1.
fn spi_at_reset(version: Version, vcpus: usize) -> State {
    let v3 = version == Version::V3;
    let target = (v3 || vcpus == 1).then_some(VcpuId::new(0)).flatten();
    State::reset(target)
        .with_group1(v3)
        .with_itargets(u8::from(!v3 && vcpus == 1))
}

impl<H: Host> Domain<H> {
    /// A vGIC at reset. All its memory is allocated here.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `config` asks for what the architecture cannot give, [`Error::NoMemory`].
    pub fn new(config: &Config<'_>, host: H) -> Result<Self, Error> {
        let v3 = config.version == Version::V3;
        let most = if v3 { VcpuId::MAX } else { 8 };
        if !(1..=most).contains(&config.vcpus)
            || config.spis > (IntId::SPI_END - IntId::SPI) as usize
            || config.espis
                > if v3 {
                    (IntId::ESPI_END - IntId::ESPI) as usize
                } else {
                    0
                }
            || config.list_registers == 0
            || (config.lpis.id_bits != 0 && !v3)
            || (config.lpis.id_bits == 0 && !config.its.is_empty())
            || (config.msi_frame).is_some_and(|frame| v3 || !frame.is_valid(config.spis))
        {
            return Err(Error::Invalid);
        }
        let spis = config.spis.next_multiple_of(32);
        let espis = config.espis.next_multiple_of(32);
        let spi = spi_at_reset(config.version, config.vcpus);
        let no_memory = Error::NoMemory;
        let idle_hcr = if host.cpu().can_trap_dir() {
            Hcr::EN | Hcr::TDIR
        } else {
            Hcr::EN
        };
        Ok(Self {
            host,
            idle_hcr,
            tc: v3 && !idle_hcr.contains(Hcr::TDIR),
            version: config.version,
            format: config.format,
            list_registers: config.list_registers.min(crate::lr::MAX),
            vcpus: try_boxed(config.vcpus, |i| {
                Vcpu::new(VcpuId::new(i as u32).unwrap_or(VcpuId::ZERO), v3)
            })
            .ok_or(no_memory)?,
            spis: try_boxed(spis, |n| {
                let intid = IntId::new(IntId::SPI.wrapping_add(n as u32));
                let edge = config
                    .msi_frame
                    .zip(intid)
                    .is_some_and(|(f, spi)| f.has(spi));
                Irq::new(spi.with_level(!edge))
            })
            .ok_or(no_memory)?,
            espis: try_boxed(espis, |_| Irq::new(spi)).ok_or(no_memory)?,
            routers: try_boxed(if v3 { spis.saturating_add(espis) } else { 0 }, |_| {
                AtomicU64::new(0)
            })
            .ok_or(no_memory)?,
            regions: try_boxed(config.regions.len(), |i| {
                config.regions.get(i).copied().unwrap_or_default()
            })
            .ok_or(no_memory)?,
            lpis: Lpis::new(config.lpis)?,
            its: its::create(config.its)?,
            msi_frame: config.msi_frame,
            ctlr: AtomicU32::new(0),
            split_eoi: AtomicU32::new(0),
            one_of_n: AtomicU32::new(0),
            // A redistributor sleeps at reset.
            takers: Takers::new(!v3),
            told: Told::new(),
            writes: Writes::new(),
            resetting: Course::new(),
            config: Mutex::new(()),
        })
    }

    /// The host it was made with.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// Which GIC the guest sees.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How the list registers of this hardware are laid out.
    pub fn format(&self) -> Format {
        self.format
    }

    /// SPIs, a multiple of 32.
    pub fn spis(&self) -> usize {
        self.spis.len()
    }

    /// Extended SPIs, a multiple of 32.
    pub fn espis(&self) -> usize {
        self.espis.len()
    }

    /// A vCPU that the host has created.
    pub fn vcpu(&self, id: VcpuId) -> Option<&Vcpu<H::Vcpu>> {
        self.slot(id).filter(|v| v.handle().is_some())
    }

    /// All vCPUs that the host has created.
    pub(crate) fn created(&self) -> impl Iterator<Item = &Vcpu<H::Vcpu>> + Clone {
        self.vcpus.iter().filter(|v| v.handle().is_some())
    }

    /// A vCPU, created or not.
    pub(crate) fn slot(&self, id: VcpuId) -> Option<&Vcpu<H::Vcpu>> {
        self.vcpus.get(id.index())
    }

    /// The host has created a vCPU and calls it `handle`.
    ///
    /// # Errors
    /// [`Error::Invalid`] beyond the number of vCPUs or (GICv3) of redistributors, [`Error::Busy`] if it exists already.
    pub fn create_vcpu(&self, id: VcpuId, handle: H::Vcpu) -> Result<&Vcpu<H::Vcpu>, Error> {
        let vcpu = self.slot(id).ok_or(Error::Invalid)?;
        if vcpu.handle().is_some() {
            return Err(Error::Busy);
        }
        if self.version == Version::V3 && self.redistributor_base(id).is_none() {
            return Err(Error::Invalid);
        }
        vcpu.set_handle(Some(handle));
        Ok(vcpu)
    }

    /// The host is done with a vCPU: nobody kicks it any more. What others still know of it stays valid.
    pub fn free_vcpu(&self, v: &Vcpu<H::Vcpu>) {
        v.set_handle(None);
    }

    /// An interrupt as vCPU `v` sees it: its own SGIs and PPIs, and what all share.
    #[inline]
    pub(crate) fn irq<'a>(&'a self, v: &'a Vcpu<H::Vcpu>, intid: IntId) -> Option<&'a Irq> {
        self.node(v, intid.raw16())
    }

    /// The same by the number in a link or list register. On the way of each interrupt: the tables themselves say whether
    /// there is such a number, those that are asked most first.
    #[inline]
    pub(crate) fn node<'a>(&'a self, v: &'a Vcpu<H::Vcpu>, raw: u16) -> Option<&'a Irq> {
        let raw = usize::from(raw);
        if raw < IntId::SPI as usize {
            v.private_at(raw)
        } else if raw < IntId::SPI_END as usize {
            self.spis.get(raw.wrapping_sub(IntId::SPI as usize))
        } else {
            self.sparse(raw)
        }
    }

    /// Extended SPIs and LPIs.
    fn sparse(&self, raw: usize) -> Option<&Irq> {
        if raw >= IntId::LPI as usize {
            self.lpis.at(raw).map(|lpi| &lpi.irq)
        } else {
            self.espis.get(raw.wrapping_sub(IntId::ESPI as usize))
        }
    }

    /// The interrupts from number `first` on, as `v` sees them: so many, or as many as there are. LPIs are in no such table.
    pub(crate) fn irqs<'a>(
        &'a self,
        v: &'a Vcpu<H::Vcpu>,
        first: IntId,
        count: usize,
    ) -> &'a [Irq] {
        let (table, start, end) = if first.is_private() {
            (v.all_private(), 0, IntId::SPI)
        } else if first.is_spi() {
            (&*self.spis, IntId::SPI, IntId::SPI_END)
        } else {
            (&*self.espis, IntId::ESPI, IntId::ESPI_END)
        };
        let from = first.raw().wrapping_sub(start) as usize;
        // The table of SPIs is longer than there are numbers.
        let end = table.len().min(end.wrapping_sub(start) as usize);
        table
            .get(from..from.saturating_add(count).min(end))
            .unwrap_or_default()
    }

    /// An SPI or extended SPI as it was made.
    pub(crate) fn at_reset(&self, intid: IntId) -> State {
        let edge = (self.msi_frame).is_some_and(|frame| frame.has(intid));
        spi_at_reset(self.version, self.vcpus.len()).with_level(!edge)
    }

    /// An interrupt that all vCPUs share.
    pub(crate) fn shared(&self, intid: IntId) -> Option<&Irq> {
        if intid.is_private() {
            return None;
        }
        self.vcpus.first().and_then(|v| self.irq(v, intid))
    }

    /// The place of an SPI or extended SPI in `routers`.
    pub(crate) fn router(&self, intid: IntId) -> Option<&AtomicU64> {
        let raw = intid.raw() as usize;
        if intid.is_espi() {
            self.routers.get(
                raw.wrapping_sub(IntId::ESPI as usize)
                    .wrapping_add(self.spis.len()),
            )
        } else if intid.is_spi() && raw.wrapping_sub(IntId::SPI as usize) < self.spis.len() {
            self.routers.get(raw.wrapping_sub(IntId::SPI as usize))
        } else {
            None
        }
    }

    /// Masks interrupts for as long as the result lives.
    #[inline(always)]
    pub(crate) fn mask(&self) -> Masked<'_, H> {
        Masked {
            host: &self.host,
            flags: self.host.irq_save(),
        }
    }
}
