// SPDX-License-Identifier: GPL-2.0-only
//! Xen as the vGIC's host.

use crate::cpu::{self, Cpu};
use crate::exports::its::{RVGIC_HARDWARE, RVGIC_SOFTWARE};
use crate::ffi::{self, irq_desc};
use crate::layout::{XenDomain, XenVcpu};
use core::fmt::Display;
use rust_vgic::{Backing, CpuInterface, Host, IntId, InterfaceState, PhysIrq};

/// `RVGIC_INTERFACE_WORDS`: VMCR, ICC_SRE_EL1, and the active priorities of both groups.
const INTERFACE_WORDS: usize = 10;

/// A domain's vGIC.
pub type Vgic = rust_vgic::Domain<XenHost>;

/// A vCPU's part of it.
pub type Vcpu = rust_vgic::Vcpu<XenVcpu>;

/// The rVIC and the rVID of a domain that has no GIC.
pub type Rvic = rust_vgic::rvic::Domain<XenHost>;

/// A vCPU's part of it.
pub type RvicVcpu = rust_vgic::rvic::Rvic<XenVcpu>;

/// What Xen offers to the vGIC of one domain.
pub struct XenHost {
    domain: XenDomain,
    cpu: Cpu,
}

impl XenHost {
    /// For `domain`, whose version of the GIC is known.
    pub fn new(domain: XenDomain) -> Self {
        Self {
            domain,
            cpu: Cpu::new(domain.gic_version() == 2),
        }
    }

    /// The domain.
    pub fn domain(&self) -> XenDomain {
        self.domain
    }

    /// The virtual CPU interface of this physical CPU.
    pub fn interface(&self) -> Cpu {
        self.cpu
    }
}

// SAFETY: the frame in `cpu` is banked: each CPU sees its own. Xen's structures are shared by their own rules.
unsafe impl Send for XenHost {}
// SAFETY: as above.
unsafe impl Sync for XenHost {}

impl Host for XenHost {
    type Vcpu = XenVcpu;
    type Phys = Desc;

    fn name(&self) -> impl Display {
        self.domain
    }

    #[inline(always)]
    fn cpu(&self) -> impl CpuInterface {
        self.cpu
    }

    fn kick(&self, vcpu: XenVcpu) {
        // SAFETY: alive as long as its domain's vGIC. Takes scheduler locks with interrupts masked: any context.
        unsafe { ffi::vcpu_kick(vcpu.as_ptr()) }
    }

    fn set_virtual_irq(&self, vcpu: XenVcpu, on: bool) {
        // SAFETY: current; this is the way into its guest.
        unsafe { ffi::rvgic_set_virtual_irq(vcpu.as_ptr(), on) }
    }

    fn is_blocked(&self, vcpu: XenVcpu) -> bool {
        vcpu.is_blocked()
    }

    fn is_online(&self, vcpu: XenVcpu) -> bool {
        vcpu.is_online()
    }

    #[inline(always)]
    fn irq_save(&self) -> usize {
        cpu::irq_save()
    }

    #[inline(always)]
    fn irq_restore(&self, flags: usize) {
        cpu::irq_restore(flags);
    }

    fn relax(&self) {
        cpu::relax();
    }

    fn line(&self, vcpu: XenVcpu, intid: IntId) -> Option<bool> {
        // SAFETY: alive; reads memory only.
        match unsafe { ffi::rvgic_line(vcpu.as_ptr(), intid.raw()) } {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn save_interface(&self, vcpu: XenVcpu) -> InterfaceState {
        let mut words = [0; INTERFACE_WORDS];
        // SAFETY: alive; writes so many words.
        unsafe { ffi::rvgic_interface_save(vcpu.as_ptr(), words.as_mut_ptr()) };
        let [vmcr, sre, a0, a1, a2, a3, b0, b1, b2, b3] = words;
        InterfaceState {
            vmcr,
            sre,
            ap0r: [a0, a1, a2, a3],
            ap1r: [b0, b1, b2, b3],
        }
    }

    fn restore_interface(&self, vcpu: XenVcpu, state: &InterfaceState) {
        let InterfaceState {
            vmcr,
            sre,
            ap0r: [a0, a1, a2, a3],
            ap1r: [b0, b1, b2, b3],
        } = *state;
        let words: [u32; INTERFACE_WORDS] = [vmcr, sre, a0, a1, a2, a3, b0, b1, b2, b3];
        // SAFETY: alive, and does not run; reads so many words.
        unsafe { ffi::rvgic_interface_restore(vcpu.as_ptr(), words.as_ptr()) }
    }

    fn phys<R>(&self, phys: u16, f: impl FnOnce(&Desc) -> R) -> Option<R> {
        let desc = Desc::find(phys)?;
        // SAFETY: it exists for ever.
        let flags = unsafe { ffi::rvgic_desc_lock(desc.0) };
        let result = f(&desc);
        // SAFETY: locked above.
        unsafe { ffi::rvgic_desc_unlock(desc.0, flags) };
        Some(result)
    }

    fn phys_has_fallen(&self, phys: u16) -> bool {
        // SAFETY: it exists for ever; this reads a register of the GIC.
        Desc::find(phys).is_some_and(|desc| unsafe { ffi::rvgic_desc_has_fallen(desc.0) })
    }

    fn set_own_active(&self, phys: u16, on: bool) {
        // SAFETY: takes the number of a PPI that the host has; this CPU's.
        unsafe { ffi::rvgic_ppi_set_active(phys.into(), on) }
    }

    fn phys_affinity(&self, phys: u16, vcpu: XenVcpu) {
        if let Some(desc) = Desc::find(phys) {
            // SAFETY: both are alive; masks interrupts itself.
            unsafe { ffi::rvgic_desc_route(desc.0, vcpu.as_ptr()) }
        }
    }

    fn may_set_trigger(&self) -> bool {
        // SAFETY: alive.
        unsafe { ffi::rvgic_may_set_type(self.domain.as_ptr()) }
    }

    fn read_guest(&self, address: u64, to: &mut [u8]) -> bool {
        let (start, size) = (to.as_mut_ptr().cast(), to.len() as u32);
        // SAFETY: the domain is alive; writes all of the slice or less.
        unsafe { ffi::rvgic_read_guest(self.domain.as_ptr(), address, start, size) }
    }

    fn write_guest(&self, address: u64, from: &[u8]) -> bool {
        let (start, size) = (from.as_ptr().cast(), from.len() as u32);
        // SAFETY: the domain is alive; reads the slice.
        unsafe { ffi::rvgic_write_guest(self.domain.as_ptr(), address, start, size) }
    }

    fn map_device(&self, its: u16, device: u32, event_bits: Option<u32>) -> Backing {
        let (bits, valid) = (event_bits.unwrap_or(1), event_bits.is_some());
        let d = self.domain.as_ptr();
        // SAFETY: the domain is alive, and has this ITS.
        match unsafe { ffi::rvgic_map_device(d, its.into(), device, bits, valid) } {
            RVGIC_HARDWARE => Backing::Hardware,
            RVGIC_SOFTWARE => Backing::Software,
            _ => Backing::Refused,
        }
    }

    fn map_event(&self, its: u16, device: u32, event: u32, intid: IntId) -> bool {
        let d = self.domain.as_ptr();
        // SAFETY: as above.
        unsafe { ffi::rvgic_map_event(d, its.into(), device, event, intid.raw()) }
    }

    fn unmap_event(&self, its: u16, device: u32, event: u32) {
        // SAFETY: as above.
        unsafe { ffi::rvgic_unmap_event(self.domain.as_ptr(), its.into(), device, event) }
    }

    fn clear_event(&self, its: u16, device: u32, event: u32) {
        // SAFETY: as above.
        unsafe { ffi::rvgic_clear_event(self.domain.as_ptr(), its.into(), device, event) }
    }

    fn route_event(&self, its: u16, device: u32, event: u32, vcpu: XenVcpu) {
        let d = self.domain.as_ptr();
        // SAFETY: as above; the vCPU is alive as long as its domain's vGIC.
        unsafe { ffi::rvgic_route_event(d, its.into(), device, event, vcpu.as_ptr()) }
    }
}

/// A physical interrupt. Its methods are called with its lock held.
pub struct Desc(*mut irq_desc);

impl Desc {
    /// Physical interrupt `intid`, unlocked.
    pub(crate) fn find(intid: u16) -> Option<Self> {
        // SAFETY: takes any number.
        let desc = unsafe { ffi::rvgic_irq_desc(intid.into()) };
        (!desc.is_null()).then_some(Self(desc))
    }

    /// For Xen.
    pub(crate) fn as_ptr(&self) -> *mut irq_desc {
        self.0
    }

    /// The guest is done with it: Xen need not deactivate it when the domain goes.
    pub(crate) fn done(&self) {
        // SAFETY: exists for ever; the flag is atomic.
        unsafe { ffi::rvgic_desc_done(self.0) }
    }

    /// Is it level-sensitive, as far as Xen was told?
    pub(crate) fn is_level(&self) -> bool {
        // SAFETY: exists for ever.
        unsafe { ffi::rvgic_desc_is_level(self.0) }
    }
}

impl PhysIrq for Desc {
    fn set_enabled(&self, on: bool) {
        // SAFETY: exists for ever, and is locked.
        unsafe { ffi::rvgic_desc_set_enabled(self.0, on) }
    }

    fn set_trigger(&self, level: bool) {
        // SAFETY: as above.
        unsafe { ffi::rvgic_desc_set_trigger(self.0, level) }
    }

    fn set_active(&self, on: bool) {
        // SAFETY: as above.
        unsafe { ffi::rvgic_desc_set_active(self.0, on) }
    }

    fn set_pending(&self, on: bool) {
        // SAFETY: as above.
        unsafe { ffi::rvgic_desc_set_pending(self.0, on) }
    }

    fn is_pending(&self) -> bool {
        // SAFETY: as above.
        unsafe { ffi::rvgic_desc_is_pending(self.0) }
    }

    fn has_fallen(&self) -> bool {
        // SAFETY: as above.
        unsafe { ffi::rvgic_desc_has_fallen(self.0) }
    }
}
