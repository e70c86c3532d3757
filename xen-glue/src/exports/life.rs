// SPDX-License-Identifier: GPL-2.0-only
//! A domain's life: its vGIC and its vCPUs are made and freed, and it takes numbers of interrupts.
//!
//! Every pointer is one of Xen's own, alive during the call.

use super::{EINVAL, ERESTART, errno, rvic, rvic_of, rvic_vcpu_of, vcpu_of, vgic_of};
use crate::ffi::{self, domain, vcpu};
use crate::host::{Desc, Vgic, XenHost};
use crate::layout::{self, NONE, XenDomain, XenVcpu};
use crate::log as console;
use crate::virq;
use alloc::boxed::Box;
use core::ffi::{c_int, c_uint};
use core::ops::Range;
use rust_vgic::lr::Format;
use rust_vgic::redistributor::Region;
use rust_vgic::slice::try_box;
use rust_vgic::{
    Config, Domain, Error, Host, IntId, ItsConfig, Limits, LpiConfig, MsiFrame, Progress, VcpuId,
    Version,
};

/// How many SPIs and extended SPIs `nr_spis` asks for. It is the number of SPIs or, with extended ones, the
/// highest INTID + 1 - 32 (see vgic_def_nr_spis() in Xen).
fn interrupts(nr_spis: c_uint, host_spis: c_uint, host_espis: c_uint) -> Option<(u32, u32)> {
    let asked = nr_spis.checked_next_multiple_of(32)?;
    if asked <= IntId::SPI_END - IntId::SPI {
        return Some((asked, 0));
    }
    let espis = asked.checked_add(virq::LOCAL)?.checked_sub(IntId::ESPI)?;
    (espis <= host_espis).then_some((host_spis, espis))
}

/// The redistributor regions of a domain, gathered for the length of a call.
struct Regions {
    all: [Region; Self::MOST],
    count: usize,
}

impl Regions {
    /// One per vCPU at the most: each holds at least one redistributor.
    const MOST: usize = VcpuId::MAX;

    fn of(d: XenDomain) -> Self {
        let mut regions = Self {
            all: [Region::default(); Self::MOST],
            count: 0,
        };
        for (i, region) in (0..).zip(&mut regions.all) {
            // SAFETY: alive; writes two words.
            let found =
                unsafe { ffi::rvgic_region(d.as_ptr(), i, &mut region.base, &mut region.size) };
            if !found {
                break;
            }
            regions.count = regions.count.saturating_add(1);
        }
        regions
    }

    fn as_slice(&self) -> &[Region] {
        self.all.get(..self.count).unwrap_or_default()
    }
}

/// The ITSes of a domain, and its LPIs.
struct Itses {
    all: [ItsConfig; Self::MOST],
    count: usize,
    lpis: LpiConfig,
}

impl Itses {
    /// More than any machine has.
    const MOST: usize = 64;

    fn of(d: XenDomain) -> Self {
        let mut itses = Self {
            all: [ItsConfig::default(); Self::MOST],
            count: 0,
            lpis: LpiConfig::default(),
        };
        for (n, its) in (0..).zip(&mut itses.all) {
            // SAFETY: alive; writes two words.
            let found =
                unsafe { ffi::rvgic_its(d.as_ptr(), n, &mut its.device_bits, &mut its.event_bits) };
            if !found {
                break;
            }
            itses.count = itses.count.saturating_add(1);
        }
        if itses.count != 0 {
            itses.lpis = LpiConfig {
                // SAFETY: alive.
                id_bits: unsafe { ffi::rvgic_lpi_bits(d.as_ptr()) },
                // SAFETY: the same.
                limits: if unsafe { ffi::rvgic_unlimited(d.as_ptr()) } {
                    Limits::ALL
                } else {
                    Limits::DEFAULT
                },
            };
        }
        itses
    }

    fn as_slice(&self) -> &[ItsConfig] {
        self.all.get(..self.count).unwrap_or_default()
    }
}

/// The GICv2m frame of a domain, if it has one: its SPIs are after `spis` others, which whoever builds the domain has asked for.
fn msi_frame(d: XenDomain, spis: u32) -> Option<MsiFrame> {
    let (mut base, mut count) = (0, 0);
    // SAFETY: alive; writes two words.
    let has = unsafe { ffi::rvgic_v2m(d.as_ptr(), &mut base, &mut count) };
    has.then(|| MsiFrame {
        base: IntId::SPI.saturating_add(spis),
        count,
    })
}

fn create(d: XenDomain, nr_spis: c_uint) -> Result<(), Error> {
    if !layout::matches() || !d.private().is_null() {
        return Err(Error::Invalid);
    }
    // SAFETY: a constant of the host, as the two below.
    let host_version = unsafe { ffi::rvgic_host_version() };
    // SAFETY: as above.
    let host_spis = unsafe { ffi::rvgic_host_spis() };
    // SAFETY: as above.
    let host_espis = unsafe { ffi::rvgic_host_espis() };
    let (spis, espis) = interrupts(nr_spis, host_spis, host_espis).ok_or(Error::Invalid)?;
    let v3 = d.gic_version() == 3;
    let espis = if v3 { espis } else { 0 };
    let host = XenHost::new(d);
    let list_registers = host.interface().list_registers();
    let regions = Regions::of(d);
    let itses = Itses::of(d);
    let frame = msi_frame(d, spis);
    let asked = spis;
    let spis = asked.saturating_add(frame.map_or(0, |frame| frame.count));
    if frame.is_some() && spis > IntId::SPI_END - IntId::SPI {
        log::error!("{d}: no SPIs are left for a GICv2m beside {asked} others");
        return Err(Error::Invalid);
    }
    let config = Config {
        version: if v3 { Version::V3 } else { Version::V2 },
        vcpus: d.max_vcpus() as usize,
        spis: spis as usize,
        espis: espis as usize,
        list_registers,
        format: if host_version == 3 {
            Format::V3 { sources: !v3 }
        } else {
            Format::V2
        },
        regions: regions.as_slice(),
        lpis: itses.lpis,
        its: itses.as_slice(),
        msi_frame: frame,
    };
    let vgic = try_box(Domain::new(&config, host)?).ok_or(Error::NoMemory)?;
    d.set_spis(spis, espis);
    let own = frame.map_or(0..0, |f| f.base..f.base.saturating_add(f.count));
    allocate_virqs(d, own)?;
    record!(made(&vgic));
    d.set_private(Box::into_raw(vgic).cast());
    log::info!(
        "{d}: GICv{}, {} vCPUs, {} SPIs, {} extended SPIs, on a GICv{} with {} list registers",
        if v3 { 3 } else { 2 },
        d.max_vcpus(),
        spis,
        espis,
        host_version,
        list_registers
    );
    Ok(())
}

/// The bitmap of the domain's numbers, of which it has SGIs itself, and those that messages become.
pub(super) fn allocate_virqs(d: XenDomain, messages: Range<u32>) -> Result<(), Error> {
    let size = virq::words(d).saturating_mul(8);
    // SAFETY: any size will do.
    let bitmap = unsafe { ffi::_xzalloc(size as _, 8) };
    if bitmap.is_null() {
        return Err(Error::NoMemory);
    }
    d.set_allocated_irqs(bitmap.cast());
    for own in (0..IntId::PPI).chain(messages) {
        virq::reserve(d, own);
    }
    Ok(())
}

/// Makes the vGIC of a domain that has no vCPU yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn domain_vgic_init(d: *mut domain, nr_spis: c_uint) -> c_int {
    console::init();
    // SAFETY: alive, see above.
    let xen = unsafe { XenDomain::new(d) };
    let made = if xen.is_rvic() {
        rvic::create(xen, nr_spis)
    } else {
        create(xen, nr_spis)
    };
    match made {
        // SAFETY: registers as many handlers as domain_vgic_register() has counted; they find the vGIC in place.
        Ok(()) => unsafe { ffi::rvgic_register_frames(d) },
        failed => errno(failed),
    }
}

/// Called once for a domain, in any state of its creation, and in an RCU callback after its death.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn domain_vgic_free(d: *mut domain) {
    // SAFETY: alive, see above.
    let xen = unsafe { XenDomain::new(d) };
    // SAFETY: the same. Nobody looks for the vGIC from now on.
    unsafe { ffi::rvgic_stop_storms(d) };
    // SAFETY: the same.
    unsafe { ffi::rvgic_forget_strays(d) };
    // SAFETY: the same.
    if let Some(vgic) = unsafe { vgic_of(d) } {
        for (intid, active) in vgic.connected() {
            release(vgic, intid, active);
        }
        record!(freed(vgic));
    }
    let vgic = xen.private().cast::<Vgic>();
    xen.set_private(NONE);
    if !vgic.is_null() {
        // SAFETY: made by Box::into_raw() in create(); nobody else can find it any more.
        drop(unsafe { Box::from_raw(vgic) });
    }
    rvic::free(xen);
    // SAFETY: NULL or allocated in create().
    unsafe { ffi::xfree(xen.allocated_irqs().cast()) };
    xen.set_allocated_irqs(core::ptr::null_mut());
    xen.set_spis(0, 0);
    // SAFETY: accepts a domain that has none.
    unsafe { ffi::rvgic_forget_frames(d) };
}

/// Takes a physical interrupt away from a dying domain.
fn release(vgic: &Vgic, intid: IntId, active: bool) {
    if let (false, Some(phys)) = (active, vgic.phys_of(intid)) {
        // The guest has deactivated it itself, which Xen did not see: it would do so again.
        vgic.host().phys(phys, Desc::done);
    }
    take_back(vgic.host().domain(), intid.raw());
}

/// As Xen gave it. Comes back to `vgic_connect_hw_irq()`.
pub(super) fn take_back(d: XenDomain, virq: u32) {
    // SAFETY: alive, and dying.
    let rc = unsafe { ffi::release_guest_irq(d.as_ptr(), virq) };
    if rc != 0 {
        log::warn!("{d}: cannot release vIRQ {virq}: {rc}");
    }
}

/// The domain has a new vCPU. It does not run yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vcpu_vgic_init(v: *mut vcpu) -> c_int {
    // SAFETY: alive, see above.
    let xen = unsafe { XenVcpu::new(v) };
    let d = xen.domain().as_ptr();
    // SAFETY: a vCPU's domain is alive.
    let Some(vgic) = (unsafe { vgic_of(d) }) else {
        // SAFETY: the same.
        return unsafe { rvic_of(d) }.map_or(-EINVAL, |own| errno(rvic::create_vcpu(own, xen)));
    };
    let id = u32::try_from(xen.id()).ok().and_then(VcpuId::new);
    let own = id
        .ok_or(Error::Invalid)
        .and_then(|id| vgic.create_vcpu(id, xen));
    errno(own.map(|own| {
        let dist = core::ptr::from_ref(vgic).cast_mut().cast();
        xen.set_private(dist, core::ptr::from_ref(own).cast_mut().cast());
    }))
}

/// vcpu_vgic_free(): the vCPU's object lives as long as the domain's, since interrupts may still refer to it. It may
/// not have one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_vcpu_free(v: *mut vcpu) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        vgic.free_vcpu(own);
        // SAFETY: alive. What is injected from now on is dropped.
        unsafe { XenVcpu::new(v) }.set_private(core::ptr::null_mut(), core::ptr::null_mut());
    // SAFETY: alive, see above.
    } else if let Some((rvic, own)) = unsafe { rvic_vcpu_of(v) } {
        rvic.free_vcpu(own);
        // SAFETY: as above.
        unsafe { XenVcpu::new(v) }.set_rvic(NONE);
    }
}

/// A part of a reset: 0, or that it is to be called again.
fn reset_part(progress: Progress) -> c_int {
    match progress {
        Progress::Done => 0,
        Progress::Again => -ERESTART,
    }
}

/// The domain's whole vGIC becomes as after power-on. Process context; its vCPUs are paused, and stay that until this has said 0.
/// `-ERESTART`: it is to be called again. `-EINVAL`: there is no vGIC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_reset(d: *mut domain) -> c_int {
    // SAFETY: alive, see above.
    if let Some(vgic) = unsafe { vgic_of(d) } {
        reset_part(vgic.reset())
    } else {
        // SAFETY: the same.
        unsafe { rvic_of(d) }.map_or(-EINVAL, |rvic| errno(rvic.reset()))
    }
}

/// ITS number `its` of the domain does. As [`rvgic_reset`]; `-EINVAL` also if there is no such ITS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_reset_its(d: *mut domain, its: c_uint) -> c_int {
    // SAFETY: alive, see above.
    let Some(vgic) = (unsafe { vgic_of(d) }) else {
        return -EINVAL;
    };
    vgic.reset_its(its as usize).map_or(-EINVAL, reset_part)
}

/// Takes a number; `false` if it is taken or does not exist.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_reserve_virq(d: *mut domain, virq: c_uint) -> bool {
    // SAFETY: alive, see above.
    virq::reserve(unsafe { XenDomain::new(d) }, virq)
}

/// Takes a free PPI or SPI and returns it; -1 if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_allocate_virq(d: *mut domain, spi: bool) -> c_int {
    // SAFETY: alive, see above.
    let virq = virq::allocate(unsafe { XenDomain::new(d) }, spi);
    virq.and_then(|virq| c_int::try_from(virq).ok())
        .unwrap_or(-1)
}

/// Gives a number back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_free_virq(d: *mut domain, virq: c_uint) {
    // SAFETY: alive, see above.
    virq::free(unsafe { XenDomain::new(d) }, virq);
}

/// Is it a local interrupt, an SPI or an extended SPI of the domain?
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_is_valid_line(d: *mut domain, virq: c_uint) -> bool {
    // SAFETY: alive, see above.
    virq::is_valid(unsafe { XenDomain::new(d) }, virq)
}
