// SPDX-License-Identifier: GPL-2.0-only
//! The functions that Xen calls. Their prototypes are in Xen's asm/vgic.h, asm/gic.h and asm/irq.h; those that
//! start with `rvgic_` are called by the files in c/, which unpack Xen's structures for them.
//!
//! Every pointer is one of Xen's own, alive during the call: that is the `# Safety` of all of them.
#![allow(clippy::missing_safety_doc)]

use crate::ffi::{self, domain, irq_desc, vcpu};
use crate::host::{Desc, Vcpu, Vgic, XenHost};
use crate::layout::{self, NONE, XenDomain, XenVcpu};
use crate::log::{self as console, Console};
#[cfg(feature = "record")]
use crate::record::Place;
use crate::virq;
use alloc::boxed::Box;
use core::alloc::Layout;
use core::ffi::{c_int, c_uint, c_void};
use rust_vgic::lr::Format;
use rust_vgic::redistributor::Region;
use rust_vgic::{
    Config, CpuInterface, Domain, Error, Host, IntId, ItsConfig, LpiConfig, Progress, SgiRegister,
    VcpuId, Version, Width,
};

/// ICC_SGI1R_EL1, for [`rvgic_send_sgi`].
pub const RVGIC_SGI1R: c_uint = 0;
/// ICC_ASGI1R_EL1.
pub const RVGIC_ASGI1R: c_uint = 1;
/// ICC_SGI0R_EL1.
pub const RVGIC_SGI0R: c_uint = 2;

/// Error numbers of Xen.
const ENOMEM: c_int = 12;
const EBUSY: c_int = 16;
const EINVAL: c_int = 22;

fn errno(result: Result<(), Error>) -> c_int {
    match result {
        Ok(()) => 0,
        Err(Error::NoMemory) => -ENOMEM,
        Err(Error::Invalid) => -EINVAL,
        Err(Error::Busy) => -EBUSY,
    }
}

/// The vGIC of a domain, if it has one by now and still.
///
/// # Safety
/// `d` is NULL or alive.
#[inline(always)]
pub(crate) unsafe fn vgic_of<'a>(d: *mut domain) -> Option<&'a Vgic> {
    if d.is_null() {
        return None;
    }
    // SAFETY: the caller says so.
    let p = unsafe { XenDomain::new(d) }.private();
    // SAFETY: NULL, or what domain_vgic_init() made and domain_vgic_free() has not taken back.
    unsafe { p.cast::<Vgic>().as_ref() }
}

/// A vCPU and its domain's vGIC. None for idle vCPUs, and before vcpu_vgic_init().
///
/// # Safety
/// `v` is NULL or alive.
#[inline(always)]
pub(crate) unsafe fn vcpu_of<'a>(v: *mut vcpu) -> Option<(&'a Vgic, &'a Vcpu)> {
    if v.is_null() {
        return None;
    }
    // SAFETY: the caller says so.
    let (dist, own) = unsafe { XenVcpu::new(v) }.private();
    // SAFETY: NULL, or the domain's object; it lives until domain_vgic_free(), after all vCPUs have stopped.
    let vgic = unsafe { dist.cast::<Vgic>().as_ref() }?;
    // SAFETY: NULL, or an object inside the domain's.
    let own = unsafe { own.cast::<Vcpu>().as_ref() }?;
    Some((vgic, own))
}

/// The vCPU that runs on this CPU.
#[inline(always)]
fn current<'a>() -> Option<(&'a Vgic, &'a Vcpu)> {
    // SAFETY: a register of this CPU and a load.
    let v = unsafe { ffi::rvgic_current() };
    // SAFETY: alive, since it runs.
    unsafe { vcpu_of(v) }
}

// A domain's life ------------------------------------------------------------------------------------------------

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

/// A box whose allocation may fail.
fn boxed<T>(value: T) -> Option<Box<T>> {
    // SAFETY: a domain's object is not of size zero.
    let p = unsafe { alloc::alloc::alloc(Layout::new::<T>()) }.cast::<T>();
    if p.is_null() {
        return None;
    }
    // SAFETY: a fresh allocation of the layout of T.
    unsafe { p.write(value) };
    // SAFETY: initialised, and allocated as a box is.
    Some(unsafe { Box::from_raw(p) })
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
            // Only the hardware domain so far, which is trusted: whatever INTIDs there are.
            const ALL: u32 = 0x1_0000 - IntId::LPI;
            itses.lpis = LpiConfig {
                // SAFETY: alive.
                id_bits: unsafe { ffi::rvgic_lpi_bits(d.as_ptr()) },
                most: ALL,
                devices: ALL,
                events: ALL,
            };
        }
        itses
    }

    fn as_slice(&self) -> &[ItsConfig] {
        self.all.get(..self.count).unwrap_or_default()
    }
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
    };
    let vgic = boxed(Domain::new(&config, host)?).ok_or(Error::NoMemory)?;
    d.set_spis(spis, espis);
    let size = virq::words(d).saturating_mul(8);
    // SAFETY: any size will do.
    let bitmap = unsafe { ffi::_xzalloc(size as _, 8) };
    if bitmap.is_null() {
        return Err(Error::NoMemory);
    }
    d.set_allocated_irqs(bitmap.cast());
    for sgi in 0..IntId::PPI {
        virq::reserve(d, sgi);
    }
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

/// Makes the vGIC of a domain that has no vCPU yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn domain_vgic_init(d: *mut domain, nr_spis: c_uint) -> c_int {
    console::init();
    // SAFETY: alive, see above.
    match create(unsafe { XenDomain::new(d) }, nr_spis) {
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
    let d = vgic.host().domain();
    // SAFETY: alive, and dying. Comes back to vgic_connect_hw_irq().
    let rc = unsafe { ffi::release_guest_irq(d.as_ptr(), intid.raw()) };
    if rc != 0 {
        log::warn!("{d}: cannot release vIRQ {}: {}", intid.raw(), rc);
    }
}

/// The domain has a new vCPU. It does not run yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vcpu_vgic_init(v: *mut vcpu) -> c_int {
    // SAFETY: alive, see above.
    let xen = unsafe { XenVcpu::new(v) };
    // SAFETY: a vCPU's domain is alive.
    let Some(vgic) = (unsafe { vgic_of(xen.domain().as_ptr()) }) else {
        return -EINVAL;
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
    }
}

// Numbers --------------------------------------------------------------------------------------------------------

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

// Injection ------------------------------------------------------------------------------------------------------

/// Any context: in particular hard interrupts, with desc->lock held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_inject_irq(d: *mut domain, v: *mut vcpu, virq: c_uint, level: bool) {
    let Some(intid) = IntId::new(virq) else {
        return;
    };
    if v.is_null() {
        // SAFETY: alive, see above.
        if let Some(vgic) = unsafe { vgic_of(d) } {
            record!(injected(vgic, None, intid, level));
            vgic.inject(None, intid, level);
        }
    // SAFETY: the same.
    } else if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        record!(injected(vgic, Some(own), intid, level));
        // SAFETY: the same.
        let lines = unsafe { XenVcpu::new(v) };
        // Before: nobody finds the interrupt pending and the line forgotten. After: an exit between the two may have
        // looked at the line when it was not up any more.
        if level {
            lines.line_is_up();
        }
        vgic.inject(Some(own), intid, level);
        if level {
            lines.line_is_up();
        }
    }
}

/// An LPI has arrived for the domain. Hard interrupt context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_vcpu_inject_lpi(d: *mut domain, virq: c_uint) {
    // SAFETY: alive, see above.
    if let Some((vgic, intid)) = unsafe { vgic_of(d) }.zip(IntId::new(virq)) {
        vgic.inject_lpi(intid);
    }
}

/// The older name: a pulse, or a level raised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_vcpu_inject_irq(v: *mut vcpu, virq: c_uint) {
    // SAFETY: NULL for the domain is not looked at, since there is a vCPU.
    unsafe { vgic_inject_irq(core::ptr::null_mut(), v, virq, true) }
}

// The run loop ---------------------------------------------------------------------------------------------------

/// vgic_sync_from_lrs(): on every exit from the guest. `own` is what current has of us, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_sync_from(own: *mut c_void) {
    // SAFETY: NULL, or an object inside the domain's, which is alive since it runs.
    let Some(own) = (unsafe { own.cast::<Vcpu>().as_ref() }) else {
        return;
    };
    // A recording has all of them.
    if !cfg!(feature = "record") && own.exits_idle() {
        return;
    }
    if let Some((vgic, own)) = current() {
        record!(exited(vgic, own));
        vgic.sync_from(own);
    }
}

/// vgic_sync_to_lrs(): on every entry to the guest, with interrupts off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_sync_to(own: *mut c_void) {
    // SAFETY: as above.
    let Some(own) = (unsafe { own.cast::<Vcpu>().as_ref() }) else {
        return;
    };
    if !cfg!(feature = "record") && own.enters_idle() {
        return;
    }
    if let Some((vgic, own)) = current() {
        vgic.sync_to(own);
        record!(entered(vgic, own));
    }
}

/// In the maintenance interrupt's handler.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_maintenance_interrupt() {
    if let Some((vgic, own)) = current() {
        vgic.maintenance(own);
        // Xen looks for further interrupts at once: by then the line must be down.
        vgic.host().interface().settle();
    }
}

/// v is current, and may be an idle vCPU. Any lock may be held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_vcpu_pending_irq(v: *mut vcpu) -> c_int {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }
        .is_some_and(|(vgic, own)| vgic.has_pending(own))
        .into()
}

/// As above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_evtchn_irq_pending(v: *mut vcpu) -> bool {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.is_some_and(|(vgic, own)| {
        IntId::new(vgic.host().domain().event_channel_irq())
            .is_some_and(|intid| vgic.is_pending(own, intid))
    })
}

/// PSCI CPU_ON of v, which does not run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_clear_pending_irqs(v: *mut vcpu) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        record!(switched_on(vgic, own));
        vgic.cpu_on(own);
    }
}

/// v, which does not run, will next run on another CPU.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn arch_move_irqs(v: *mut vcpu) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        record!(moved(vgic, own));
        vgic.moved(own);
    }
}

// Physical interrupts --------------------------------------------------------------------------------------------

/// The physical interrupt behind an SPI, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_get_hw_irq_desc(
    d: *mut domain,
    _v: *mut vcpu,
    virq: c_uint,
) -> *mut irq_desc {
    // SAFETY: alive, see above.
    let vgic = unsafe { vgic_of(d) };
    vgic.zip(IntId::new(virq))
        .and_then(|(vgic, intid)| vgic.phys_of(intid))
        .and_then(Desc::find)
        .map_or(core::ptr::null_mut(), |desc| desc.as_ptr())
}

/// Maps an SPI to a physical interrupt, or ends that. desc->lock is held, interrupts are off.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vgic_connect_hw_irq(
    d: *mut domain,
    _v: *mut vcpu,
    virq: c_uint,
    desc: *mut irq_desc,
    connect: bool,
) -> c_int {
    // SAFETY: alive, see above.
    let Some((vgic, intid)) = unsafe { vgic_of(d) }.zip(IntId::new(virq)) else {
        return -EINVAL;
    };
    let phys = if !desc.is_null() {
        // SAFETY: one of Xen's.
        u16::try_from(unsafe { layout::physical_intid(desc) }).ok()
    } else if connect {
        None
    } else {
        vgic.phys_of(intid)
    };
    let result = match phys {
        Some(phys) if connect => {
            record!(connected(vgic, intid, phys));
            vgic.connect(intid, phys)
        }
        Some(phys) => vgic.disconnect(intid, phys),
        None => Err(Error::Invalid),
    };
    errno(result)
}

// Trapped accesses -----------------------------------------------------------------------------------------------

/// The guest reads its distributor: 2 to the power of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_dist_read(v: *mut vcpu, offset: u32, size: u8) -> u64 {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.map_or(0, |(vgic, own)| {
        let value = vgic.dist_read(own, offset, Width::from_log2(size));
        record!(read(vgic, own, Place::Gicd(offset), size, value));
        value
    })
}

/// The guest writes its distributor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_dist_write(v: *mut vcpu, offset: u32, size: u8, value: u64) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        record!(writing(vgic, own, Place::Gicd(offset), size, value));
        vgic.dist_write(own, offset, Width::from_log2(size), value);
        record!(written(vgic, own, Place::Gicd(offset), size, value));
    }
}

/// The guest reads a redistributor, at an offset into a region of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_redist_read(
    v: *mut vcpu,
    region: c_uint,
    offset: u64,
    size: u8,
) -> u64 {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.map_or(0, |(vgic, own)| {
        let value = vgic.redist_read(own, region as usize, offset, Width::from_log2(size));
        record!(read(vgic, own, Place::Gicr(region, offset), size, value));
        value
    })
}

/// The guest writes a redistributor. `true`: it is to execute its store once more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_redist_write(
    v: *mut vcpu,
    region: c_uint,
    offset: u64,
    size: u8,
    value: u64,
) -> bool {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.is_some_and(|(vgic, own)| {
        let width = Width::from_log2(size);
        record!(writing(vgic, own, Place::Gicr(region, offset), size, value));
        let progress = vgic.redist_write(own, region as usize, offset, width, value);
        record!(written(vgic, own, Place::Gicr(region, offset), size, value));
        progress == Progress::Again
    })
}

/// The guest reads ITS number `n` of its domain, at an offset from its base.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_its_read(v: *mut vcpu, n: c_uint, offset: u32, size: u8) -> u64 {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.map_or(0, |(vgic, own)| {
        vgic.its_read(own, n as usize, offset, Width::from_log2(size))
    })
}

/// The guest writes an ITS. `true`: it is to execute its store once more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_its_write(
    v: *mut vcpu,
    n: c_uint,
    offset: u32,
    size: u8,
    value: u64,
) -> bool {
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.is_some_and(|(vgic, own)| {
        let width = Width::from_log2(size);
        vgic.its_write(own, n as usize, offset, width, value) == Progress::Again
    })
}

/// The guest deactivates an interrupt by a trapped write: of ICC_DIR_EL1, or of GICC_DIR in a GICv2.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_write_dir(v: *mut vcpu, value: u64) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        record!(dir(vgic, own, value));
        // The guest may have set EOImode a moment ago, in memory.
        vgic.host().interface().sync();
        vgic.write_dir(own, value);
    }
}

/// A write of one of the RVGIC_ registers above; `false`: the domain has no such register.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvgic_send_sgi(v: *mut vcpu, register: c_uint, value: u64) -> bool {
    let sgi_register = match register {
        RVGIC_SGI1R => SgiRegister::Sgi1r,
        RVGIC_ASGI1R => SgiRegister::Asgi1r,
        _ => SgiRegister::Sgi0r,
    };
    // SAFETY: alive, see above.
    unsafe { vcpu_of(v) }.is_some_and(|(vgic, own)| {
        record!(sgi(vgic, own, register, value));
        vgic.send_sgi(own, sgi_register, value)
    })
}

// Debug ----------------------------------------------------------------------------------------------------------

/// The console's 'q' key, for any vCPU, running or not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gic_dump_vgic_info(v: *mut vcpu) {
    // SAFETY: alive, see above.
    if let Some((vgic, own)) = unsafe { vcpu_of(v) } {
        // The console takes everything.
        let _ = vgic.dump(own, &mut Console);
    }
}
