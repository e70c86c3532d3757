// SPDX-License-Identifier: GPL-2.0-only
//! Xen's structures, as far as hot paths read them without a call: c/layout.c says where each field is.

use crate::ffi::{domain, irq_desc, vcpu};
use core::ffi::{c_int, c_uint, c_ulong, c_void};
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use rust_vgic::Handle;

/// `struct rvgic_layout` of exports.h, which the C half fills in: offsets in bytes.
#[repr(C)]
struct Layout {
    /// Of this structure, in bytes.
    size: u32,
    // struct domain: uint16_t, then two of unsigned int.
    domain_id: u32,
    domain_max_vcpus: u32,
    domain_evtchn_irq: u32,
    // struct domain, in arch.vgic.
    dist_version: u32,
    dist_nr_spis: u32,
    dist_nr_espis: u32,
    dist_allocated_irqs: u32,
    dist_priv: u32,
    dist_rvic: u32,
    // struct vcpu: int, pointer, unsigned long, and the numbers of bits in that.
    vcpu_id: u32,
    vcpu_domain: u32,
    vcpu_pause_flags: u32,
    vcpu_blocked: u32,
    vcpu_down: u32,
    // struct vcpu, in arch.vgic: pointers.
    vgic_dist: u32,
    vgic_priv: u32,
    vgic_rvic: u32,
    vgic_lines_up: u32,
    // struct irq_desc: unsigned int.
    desc_irq: u32,
}

unsafe extern "C" {
    /// Constant from the first instruction on.
    safe static rvgic_layout: Layout;
}

/// Do both halves mean the same structure?
pub fn matches() -> bool {
    rvgic_layout.size as usize == size_of::<Layout>()
}

/// A `struct domain` that is alive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct XenDomain(*mut domain);

/// A `struct vcpu` that is alive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct XenVcpu(*mut vcpu);

// SAFETY: Xen's structures belong to no CPU; every access here is to a field that is constant while its
// readers run, or is atomic.
unsafe impl Send for XenDomain {}
// SAFETY: as above.
unsafe impl Sync for XenDomain {}
// SAFETY: as above.
unsafe impl Send for XenVcpu {}
// SAFETY: as above.
unsafe impl Sync for XenVcpu {}

/// The field of type `T` at `offset`.
///
/// # Safety
/// `base` points to a live structure that has a `T` at `offset`, and nobody writes it meanwhile.
#[inline(always)]
unsafe fn field<B, T: Copy>(base: *mut B, offset: u32) -> T {
    // SAFETY: the caller says so.
    unsafe { place::<B, T>(base, offset).read() }
}

/// Where that field is.
#[inline(always)]
fn place<B, T>(base: *mut B, offset: u32) -> *mut T {
    base.wrapping_byte_add(offset as usize).cast()
}

impl XenDomain {
    /// # Safety
    /// `d` is a `struct domain` that outlives the value.
    pub const unsafe fn new(d: *mut domain) -> Self {
        Self(d)
    }

    pub fn as_ptr(self) -> *mut domain {
        self.0
    }

    pub fn id(self) -> u16 {
        // SAFETY: alive (see `new`); set at creation.
        unsafe { field(self.0, rvgic_layout.domain_id) }
    }

    pub fn max_vcpus(self) -> c_uint {
        // SAFETY: alive; set at creation.
        unsafe { field(self.0, rvgic_layout.domain_max_vcpus) }
    }

    pub fn event_channel_irq(self) -> c_uint {
        // SAFETY: alive; set before a vCPU runs.
        unsafe { field(self.0, rvgic_layout.domain_evtchn_irq) }
    }

    /// 2 or 3: `enum gic_version` counts from GIC_V2 = 1. A domain with an rVIC has none.
    pub fn gic_version(self) -> u32 {
        self.version().wrapping_add(1)
    }

    /// Has it an rVIC and an rVID in place of a GIC?
    pub fn is_rvic(self) -> bool {
        /// `VGIC_RVIC` of c/rust_vgic.h.
        const RVIC: u32 = 3;
        self.version() == RVIC
    }

    fn version(self) -> u32 {
        // SAFETY: alive; set before the vGIC is created.
        unsafe { field(self.0, rvgic_layout.dist_version) }
    }

    pub fn spis(self) -> u32 {
        // SAFETY: alive; set in domain_vgic_init() only.
        unsafe { field(self.0, rvgic_layout.dist_nr_spis) }
    }

    pub fn espis(self) -> u32 {
        // SAFETY: alive; set in domain_vgic_init() only.
        unsafe { field(self.0, rvgic_layout.dist_nr_espis) }
    }

    pub fn set_spis(self, spis: u32, espis: u32) {
        // SAFETY: alive; at creation, when nobody else has seen the domain.
        unsafe { place::<_, u32>(self.0, rvgic_layout.dist_nr_spis).write(spis) }
        // SAFETY: the same.
        unsafe { place::<_, u32>(self.0, rvgic_layout.dist_nr_espis).write(espis) }
    }

    /// The bitmap of allocated vIRQs, NULL before creation.
    pub fn allocated_irqs(self) -> *mut AtomicU64 {
        // SAFETY: alive; set at creation and destruction only.
        unsafe { field(self.0, rvgic_layout.dist_allocated_irqs) }
    }

    pub fn set_allocated_irqs(self, bitmap: *mut AtomicU64) {
        let at = place::<_, *mut AtomicU64>(self.0, rvgic_layout.dist_allocated_irqs);
        // SAFETY: alive; at creation or destruction, when nobody else uses the bitmap.
        unsafe { at.write(bitmap) }
    }

    pub fn private(self) -> *mut c_void {
        // SAFETY: alive; set at creation and destruction only.
        unsafe { field(self.0, rvgic_layout.dist_priv) }
    }

    pub fn set_private(self, p: *mut c_void) {
        let at = place::<_, *mut c_void>(self.0, rvgic_layout.dist_priv);
        // SAFETY: alive; at creation or destruction, when nobody else uses the vGIC.
        unsafe { at.write(p) }
    }

    /// The Rust object of a domain with an rVIC. One that has it has no [`XenDomain::private`].
    pub fn rvic(self) -> *mut c_void {
        // SAFETY: alive; set at creation and destruction only.
        unsafe { field(self.0, rvgic_layout.dist_rvic) }
    }

    pub fn set_rvic(self, p: *mut c_void) {
        let at = place::<_, *mut c_void>(self.0, rvgic_layout.dist_rvic);
        // SAFETY: alive; at creation or destruction, when nobody else uses it.
        unsafe { at.write(p) }
    }
}

/// As `%pd` of Xen's printk() shows a domain that is none of Xen's own.
impl fmt::Display for XenDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{}", self.id())
    }
}

impl Handle for XenVcpu {
    fn to_word(self) -> usize {
        self.0 as usize
    }

    fn from_word(word: usize) -> Self {
        Self(word as *mut vcpu)
    }
}

impl XenVcpu {
    /// # Safety
    /// `v` is a `struct vcpu` that outlives the value.
    pub const unsafe fn new(v: *mut vcpu) -> Self {
        Self(v)
    }

    pub fn as_ptr(self) -> *mut vcpu {
        self.0
    }

    pub fn id(self) -> c_int {
        // SAFETY: alive; set at creation.
        unsafe { field(self.0, rvgic_layout.vcpu_id) }
    }

    pub fn domain(self) -> XenDomain {
        // SAFETY: alive; set at creation.
        XenDomain(unsafe { field(self.0, rvgic_layout.vcpu_domain) })
    }

    pub fn is_blocked(self) -> bool {
        self.is_paused_by(rvgic_layout.vcpu_blocked)
    }

    pub fn is_online(self) -> bool {
        !self.is_paused_by(rvgic_layout.vcpu_down)
    }

    /// Is this bit of pause_flags set?
    fn is_paused_by(self, bit: u32) -> bool {
        let at = place::<_, c_ulong>(self.0, rvgic_layout.vcpu_pause_flags);
        // SAFETY: alive, and aligned as an unsigned long; Xen changes the field with atomic operations.
        let flags = unsafe { AtomicU64::from_ptr(at.cast()) };
        flags.load(Ordering::Relaxed) >> bit & 1 != 0
    }

    /// The domain's and the vCPU's Rust objects; NULL for idle vCPUs and before creation.
    #[inline(always)]
    pub fn private(self) -> (*mut c_void, *mut c_void) {
        // SAFETY: alive; set at creation only.
        let dist = unsafe { field(self.0, rvgic_layout.vgic_dist) };
        // SAFETY: the same.
        let own = unsafe { field(self.0, rvgic_layout.vgic_priv) };
        (dist, own)
    }

    /// Some line of the vCPU's own may be up: see vgic_lines_up() in c/rust_vgic.h. Any CPU.
    #[inline(always)]
    pub fn line_is_up(self) {
        let at = place::<_, bool>(self.0, rvgic_layout.vgic_lines_up);
        // SAFETY: alive; aligned, and changed atomically by everybody.
        unsafe { AtomicBool::from_ptr(at) }.store(true, Ordering::Release);
    }

    pub fn set_private(self, dist: *mut c_void, own: *mut c_void) {
        let at = place::<_, *mut c_void>(self.0, rvgic_layout.vgic_dist);
        // SAFETY: alive; at creation, when the vCPU has not run yet.
        unsafe { at.write(dist) }
        let at = place::<_, *mut c_void>(self.0, rvgic_layout.vgic_priv);
        // SAFETY: the same.
        unsafe { at.write(own) }
    }

    /// The vCPU's Rust object in a domain with an rVIC, in place of those of [`XenVcpu::private`].
    pub fn rvic(self) -> *mut c_void {
        // SAFETY: alive; set at creation only.
        unsafe { field(self.0, rvgic_layout.vgic_rvic) }
    }

    pub fn set_rvic(self, own: *mut c_void) {
        let at = place::<_, *mut c_void>(self.0, rvgic_layout.vgic_rvic);
        // SAFETY: alive; at creation, when the vCPU has not run yet.
        unsafe { at.write(own) }
    }
}

/// The number of a physical interrupt.
///
/// # Safety
/// `desc` points to a `struct irq_desc`.
pub unsafe fn physical_intid(desc: *mut irq_desc) -> c_int {
    // SAFETY: the caller says so; set at boot.
    unsafe { field::<_, c_int>(desc, rvgic_layout.desc_irq) }
}

/// No object.
pub const NONE: *mut c_void = ptr::null_mut();
