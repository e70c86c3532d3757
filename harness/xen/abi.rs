// SPDX-License-Identifier: GPL-2.0-only
//! The vGIC's exported C functions, called as the rest of Xen calls them: each with what its context allows.

use crate::machine::profile::Hardware;
use crate::xen::faults::{Memory, vgic};
use crate::xen::functions::{RawDesc, RawDomain, RawMsi, RawPci, RawVcpu, each_function};
use crate::xen::peer;
use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

/// `XEN_DOMCTL_CONFIG_GIC_V2`; V3 is one more.
const CONFIG_GIC_V2: c_uint = 1;

/// Declares a caller of each function that all have: the one of the table in force.
macro_rules! callers {
    (
        all { $(fn $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)* }
        $($rest:tt)*
    ) => {
        $(
            /// # Safety
            /// As the C function of this name asks for.
            pub unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: the caller's promise is passed on.
                unsafe { (peer::functions().$name)($($arg),*) }
            }
        )*
    };
}

each_function!(callers);

/// Declares safe callers: the pointers come from the mock's own objects, which live long enough.
macro_rules! calls {
    ($($(#[$doc:meta])* $memory:ident $name:ident = $c:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name($($arg: $ty),*) $(-> $ret)? {
            vgic(Memory::$memory, || {
                // SAFETY: the mock passes structures that it made and has not released.
                unsafe { $c($($arg),*) }
            })
        }
    )*};
}

calls! {
    Allowed register = domain_vgic_register(d: *mut RawDomain, mmio_count: *mut c_uint) -> c_int;
    Allowed init = domain_vgic_init(d: *mut RawDomain, nr_spis: c_uint) -> c_int;
    Allowed free = domain_vgic_free(d: *mut RawDomain);
    Allowed vcpu_init = vcpu_vgic_init(v: *mut RawVcpu) -> c_int;
    Allowed vcpu_free = vcpu_vgic_free(v: *mut RawVcpu);
    Forbidden reserve_virq = vgic_reserve_virq(d: *mut RawDomain, virq: c_uint) -> bool;
    Forbidden allocate_virq = vgic_allocate_virq(d: *mut RawDomain, spi: bool) -> c_int;
    Forbidden free_virq = vgic_free_virq(d: *mut RawDomain, virq: c_uint);
    Forbidden is_valid_line = vgic_is_valid_line(d: *mut RawDomain, virq: c_uint) -> bool;
    Forbidden inject = vgic_inject_irq(d: *mut RawDomain, v: *mut RawVcpu, virq: c_uint, level: bool);
    Forbidden sync_to = vgic_sync_to_lrs();
    Forbidden sync_from = vgic_sync_from_lrs(v: *mut RawVcpu);
    Forbidden pending = vgic_vcpu_pending_irq(v: *mut RawVcpu) -> c_int;
    Forbidden evtchn_pending = vgic_evtchn_irq_pending(v: *mut RawVcpu) -> bool;
    Forbidden clear_pending = vgic_clear_pending_irqs(v: *mut RawVcpu);
    Forbidden hw_desc = vgic_get_hw_irq_desc(d: *mut RawDomain, v: *mut RawVcpu, virq: c_uint) -> *mut RawDesc;
    Forbidden move_irqs = arch_move_irqs(v: *mut RawVcpu);
    Allowed dump = gic_dump_vgic_info(v: *mut RawVcpu);
    Forbidden irq_inject = mock_irq_inject(irq: c_uint);
    Allowed watch = mock_watch(d: *mut RawDomain) -> c_int;
    Forbidden route = mock_route(d: *mut RawDomain, virq: c_uint, irq: c_uint, level: bool) -> c_int;
    Allowed mmio = mock_mmio(
        v: *mut RawVcpu, base: *mut u64, step: c_int, size: c_uint, write: bool, aarch32: bool, value: *mut u64
    ) -> c_int;
    Forbidden wants_lines = mock_wants_lines(v: *mut RawVcpu) -> bool;
    Forbidden vtimer_setup = mock_vtimer_setup();
    Forbidden vtimer_init = mock_vtimer_init(v: *mut RawVcpu);
    Forbidden vtimer_interrupt = mock_vtimer_interrupt() -> bool;
    Forbidden vtimer_save = mock_vtimer_save(v: *mut RawVcpu) -> bool;
    Forbidden vtimer_restore = mock_vtimer_restore(v: *mut RawVcpu);
    Forbidden vtimer_expired = mock_vtimer_expired(v: *mut RawVcpu);
    Forbidden ptimer_read = mock_ptimer_read(v: *mut RawVcpu) -> u64;
    Forbidden ptimer_expire = mock_ptimer_expire(v: *mut RawVcpu) -> bool;
    Forbidden ptimer_write = mock_ptimer_write(v: *mut RawVcpu, ctl: u64, cval: u64);
    Allowed sysreg = mock_sysreg(which: c_uint, aarch32: bool, read: bool, value: *mut u64) -> bool;
}

/// `vgic_max_vcpus()` for architecture version 2 or 3, or 4 for an rVIC; other numbers are handed on as they are.
pub fn max_vcpus(version: u32) -> u32 {
    let config = if (2..5).contains(&version) {
        version - 2 + CONFIG_GIC_V2
    } else {
        version
    };
    // SAFETY: takes any number.
    vgic(Memory::Forbidden, || unsafe { vgic_max_vcpus(config) })
}

/// Declares callers of what a vGIC may not have: true if it has.
macro_rules! optional {
    ($($(#[$doc:meta])* $name:ident = $c:ident($($arg:ident: $ty:ty),*);)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name($($arg: $ty),*) -> bool {
            let function = peer::functions().$c;
            // SAFETY: the mock passes structures that it made and has not released.
            function.map(|f| vgic(Memory::Forbidden, || unsafe { f($($arg),*) })).is_some()
        }
    )*};
}

optional! {
    vcpu_inject = vgic_vcpu_inject_irq(v: *mut RawVcpu, virq: c_uint);
    maintenance = vgic_maintenance_interrupt();
    vcpu_off = vgic_vcpu_off(v: *mut RawVcpu);
    store_word = rvgic_mock_word(d: *mut RawDomain, v: *mut RawVcpu, intid: c_uint, word: *mut u64);
    save_state = mock_save_state(v: *mut RawVcpu);
    restore_state = mock_restore_state(v: *mut RawVcpu);
    translate = mock_translate(d: *mut RawDomain, its: c_uint, device: u32, event: u32, lpi: *mut c_uint);
    do_lpi = mock_do_lpi(lpi: c_uint);
    refuse_devices = mock_refuse_devices(on: bool);
    its_commands = mock_its_commands(count: *mut u64);
    refuse_commands = mock_refuse_commands(times: c_uint);
    storm_param = mock_storm_param(text: *const c_char, ok: *mut bool);
    /// `rvgic_set_storm()`
    set_storm = rvgic_set_storm(d: *mut RawDomain, rate: u32, burst: u32);
    /// `rvgic_stop_storms()`
    stop_storms = rvgic_stop_storms(d: *mut RawDomain);
    do_softirq = mock_do_softirq();
    choose_msi = mock_domain_choose_msi(d: *mut RawDomain);
    choose_levels = mock_domain_choose_levels(d: *mut RawDomain);
    choose_iommu = mock_domain_choose_iommu(d: *mut RawDomain);
    choose_vpci = mock_domain_choose_vpci(d: *mut RawDomain);
    choose_aarch32 = mock_domain_choose_aarch32(d: *mut RawDomain);
    finished = mock_domain_finished(d: *mut RawDomain, crashed: *mut bool);
    /// `handle_hypervisor()` of the vCPU that is current: x0 to x3.
    smccc = mock_smccc(regs: *mut u64);
    smccc_count = mock_smccc_count(d: *const RawDomain, count: *mut c_uint);
    rvic_switch = mock_rvic_switch(v: *mut RawVcpu, to: bool);
    creation_finished = mock_domain_creation_finished(d: *mut RawDomain);
    v2m = mock_domain_v2m(d: *mut RawDomain, base: *mut u32, count: *mut u32);
    inject_msi = mock_inject_msi(
        d: *mut RawDomain, doorbell: u64, segment: u32, source: u32, data: u32, rc: *mut c_int
    );
    dm_op = mock_dm_op(d: *mut RawDomain, op: *const c_void, rc: *mut c_int);
    domctl = mock_domctl(d: *mut RawDomain, op: *const c_void, rc: *mut c_int);
    set_limits = mock_set_limits(d: *mut RawDomain, lpis: u32, devices: u32, events: u32, rc: *mut c_int);
    /// What is kept of a vCPU's CPU interface while it does not run: ten words.
    interface_get = mock_interface_get(v: *mut RawVcpu, words: *mut u32);
    interface_set = mock_interface_set(v: *mut RawVcpu, words: *const u32);
    /// What is kept of its timers: five words.
    timers_get = mock_timers_get(v: *mut RawVcpu, words: *mut u64);
    timers_set = mock_timers_set(v: *mut RawVcpu, words: *const u64);
    save_size = mock_save_size(d: *mut RawDomain, size: *mut i64);
    pci_alloc = mock_pci_alloc(function: *const c_void, its: c_uint, devid: u32, pdev: *mut *mut RawPci);
    pci_free = mock_pci_free(pdev: *mut RawPci);
    pci_owner = mock_pci_owner(pdev: *mut RawPci, d: *mut RawDomain);
    /// Calls of the host that do not fail before one does; negative: none.
    pci_fail = mock_pci_fail(nth: c_int);
    pci_bound = mock_pci_bound(
        pdev: *mut RawPci, event: u32, bound: *mut bool, device: *mut u32, data: *mut u32
    );
    pci_kept = mock_pci_kept(pdev: *const RawPci, event: u32, kept: *mut bool);
    pci_write = mock_pci_write(pdev: *mut RawPci, address: u64, data: u32, lpi: *mut c_uint);
    msi_enable = mock_msi_enable(
        m: *mut RawMsi, vectors: u32, address: u64, data: u32, masked: u32, rc: *mut c_int
    );
    msi_update = mock_msi_update(m: *mut RawMsi, address: u64, data: u32, rc: *mut c_int);
    msi_disable = rvgic_msi_disable(m: *mut RawMsi);
    msi_mask = rvgic_msi_mask(m: *mut RawMsi, vector: u32, masked: bool);
    msix_enable = mock_msix_enable(
        m: *mut RawMsi, entry: u32, address: u64, data: u32, masked: bool, rc: *mut c_int
    );
    msix_disable = mock_msix_disable(m: *mut RawMsi, entry: u32, rc: *mut c_int);
    msix_mask = rvgic_msix_mask(m: *mut RawMsi, entry: u32, masked: bool);
    /// Nanoseconds.
    pass_time = mock_pass_time(ns: u64, expired: *mut bool);
}

/// A part of a reset of one ITS, or of all. [`ERESTART`]: there is more.
pub(crate) fn reset(d: *mut RawDomain, its: Option<u32>) -> c_int {
    let mut rc = -95;
    if let Some(f) = peer::functions().mock_domain_reset {
        // SAFETY: the mock passes a domain that it made and has not released.
        vgic(Memory::Allowed, || unsafe {
            f(d, its.unwrap_or(u32::MAX), &mut rc)
        });
    }
    rc
}

/// `rvgic_msi_attach()`: what it made, if anything.
///
/// # Errors
/// What it answered.
pub(crate) fn msi_attach(
    d: *mut RawDomain,
    pdev: *mut RawPci,
    device: u32,
    events: u32,
) -> Result<*mut RawMsi, c_int> {
    let (mut m, mut rc) = (std::ptr::null_mut(), -95);
    if let Some(f) = peer::functions().mock_msi_attach {
        // SAFETY: the mock passes structures that it made and has not released.
        vgic(Memory::Allowed, || unsafe {
            f(d, pdev, device, events, &mut m, &mut rc)
        });
    }
    if rc == 0 { Ok(m) } else { Err(rc) }
}

/// `rvgic_msi_detach()`.
pub(crate) fn msi_detach(m: *mut RawMsi) {
    if let Some(f) = peer::functions().mock_msi_detach {
        // SAFETY: what attaching made, for the last time.
        vgic(Memory::Allowed, || unsafe { f(m) });
    }
}

/// All there is of a vGIC that is ours.
pub(crate) fn image(d: *mut RawDomain) -> String {
    unsafe extern "C" fn take(context: *mut c_void, text: *const u8, len: usize) {
        // SAFETY: what is passed below.
        let image = unsafe { &mut *context.cast::<String>() };
        // SAFETY: the vGIC passes text.
        let bytes = unsafe { std::slice::from_raw_parts(text, len) };
        image.push_str(&String::from_utf8_lossy(bytes));
    }
    let mut image = String::new();
    if let Some(f) = peer::functions().rvgic_mock_image {
        let context = (&raw mut image).cast();
        // SAFETY: the mock passes a domain that it made and has not released.
        vgic(Memory::Allowed, || unsafe { f(d, take, context) });
    }
    image
}

/// Frees part of a dying domain's vGIC; true: there is more.
pub(crate) fn relinquish(d: *mut RawDomain) -> bool {
    let mut more = false;
    if let Some(f) = peer::functions().mock_domain_relinquish {
        // SAFETY: the mock passes a domain that it made and has not released.
        vgic(Memory::Allowed, || unsafe { f(d, &mut more) });
    }
    more
}

/// `rvgic_save()`; true: there is one.
pub(crate) fn save(d: *mut RawDomain, to: &mut [u8], written: &mut usize, rc: &mut c_int) -> bool {
    let Some(f) = peer::functions().mock_save else {
        return false;
    };
    let (start, size) = (to.as_mut_ptr().cast(), to.len());
    // SAFETY: the mock passes a domain that it made and has not released, and a buffer of so many bytes.
    vgic(Memory::Allowed, || unsafe {
        f(d, start, size, written, rc)
    });
    true
}

/// `rvgic_restore()`, into a vGIC that is reset before or not; true: there is one.
pub(crate) fn restore(d: *mut RawDomain, again: bool, from: &[u8], rc: &mut c_int) -> bool {
    let functions = peer::functions();
    let (first, again) = (
        functions.mock_restore,
        functions.mock_restore_again.filter(|_| again),
    );
    let Some(f) = again.or(first) else {
        return false;
    };
    let (start, size) = (from.as_ptr().cast(), from.len());
    // SAFETY: as above.
    vgic(Memory::Allowed, || unsafe { f(d, start, size, rc) });
    true
}

/// The word of an interrupt of `v` or, if that is NULL, of `d`. None: there is no such interrupt, or the vGIC has no words.
pub(crate) fn word(d: *mut RawDomain, v: *mut RawVcpu, intid: u32) -> Option<u64> {
    // No word has all bits set.
    let mut word = u64::MAX;
    (store_word(d, v, intid, &mut word) && word != u64::MAX).then_some(word)
}

/// Has this vGIC virtual ITSes?
pub(crate) fn has_itses() -> bool {
    peer::functions().mock_do_lpi.is_some()
}

/// The release of Xen whose ways the mock has: 417 for 4.17.
#[must_use]
pub fn release() -> u32 {
    // SAFETY: takes nothing.
    unsafe { mock_release() }
}

/// Does this vGIC look at the levels of lines, which Xen then hands it on each exit?
pub(crate) fn samples_lines() -> bool {
    // SAFETY: takes nothing.
    unsafe { mock_samples_lines() }
}

/// Bytes of the vGIC within `struct domain`, or within `struct vcpu`.
pub(crate) fn embedded(vcpu: bool) -> u64 {
    // SAFETY: takes anything.
    unsafe { mock_embedded(vcpu) }
}
