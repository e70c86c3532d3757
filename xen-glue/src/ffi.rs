// SPDX-License-Identifier: GPL-2.0-only
//! What the Rust half takes from C: Xen's own functions, and those of the files in c/ (see c/rvgic.h).
//!
//! cbindgen turns these declarations into C, too: see the crate `xen-glue-header`.

use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

/// `struct domain` of Xen.
#[allow(non_camel_case_types)]
pub enum domain {}

/// `struct vcpu` of Xen.
#[allow(non_camel_case_types)]
pub enum vcpu {}

/// `struct irq_desc` of Xen.
#[allow(non_camel_case_types)]
pub enum irq_desc {}

/// `struct pci_dev` of Xen.
#[allow(non_camel_case_types)]
pub enum pci_dev {}

// Xen itself.
unsafe extern "C" {
    pub fn vcpu_kick(v: *mut vcpu);
    pub fn release_guest_irq(d: *mut domain, virq: c_uint) -> c_int;
    pub fn _xmalloc(size: c_ulong, align: c_ulong) -> *mut c_void;
    pub fn _xzalloc(size: c_ulong, align: c_ulong) -> *mut c_void;
    pub fn xfree(p: *mut c_void);
}

// c/run.c
unsafe extern "C" {
    pub fn rvgic_current() -> *mut vcpu;
    pub fn rvgic_line(v: *const vcpu, virq: c_uint) -> c_int;
}

// c/host.c
unsafe extern "C" {
    pub fn rvgic_host_version() -> c_uint;
    pub fn rvgic_host_spis() -> c_uint;
    pub fn rvgic_host_espis() -> c_uint;
}

// c/life.c
unsafe extern "C" {
    pub fn rvgic_region(d: *const domain, region: c_uint, base: *mut u64, size: *mut u64) -> bool;
    pub fn rvgic_forget_frames(d: *mut domain);
}

// c/mmio.c
unsafe extern "C" {
    pub fn rvgic_register_frames(d: *mut domain) -> c_int;
}

// c/interface.c
unsafe extern "C" {
    pub fn rvgic_interface_save(v: *const vcpu, words: *mut u32);
    pub fn rvgic_interface_restore(v: *mut vcpu, words: *const u32);
}

// c/hwirq.c
unsafe extern "C" {
    pub fn rvgic_may_set_type(d: *const domain) -> bool;
    pub fn rvgic_irq_desc(irq: c_uint) -> *mut irq_desc;
    pub fn rvgic_desc_lock(desc: *mut irq_desc) -> c_ulong;
    pub fn rvgic_desc_unlock(desc: *mut irq_desc, flags: c_ulong);
    pub fn rvgic_desc_set_enabled(desc: *mut irq_desc, on: bool);
    pub fn rvgic_desc_set_trigger(desc: *mut irq_desc, level: bool);
    pub fn rvgic_desc_set_active(desc: *mut irq_desc, on: bool);
    pub fn rvgic_desc_set_pending(desc: *mut irq_desc, on: bool);
    pub fn rvgic_desc_is_pending(desc: *mut irq_desc) -> bool;
    pub fn rvgic_desc_is_level(desc: *const irq_desc) -> bool;
    pub fn rvgic_desc_has_fallen(desc: *mut irq_desc) -> bool;
    pub fn rvgic_desc_done(desc: *mut irq_desc);
    pub fn rvgic_desc_route(desc: *mut irq_desc, v: *const vcpu);
}

// c/storm.c
unsafe extern "C" {
    pub fn rvgic_desc_fresh(desc: *mut irq_desc);
    pub fn rvgic_stop_storms(d: *mut domain);
    pub fn rvgic_dump_storms(d: *const domain);
}

// c/vtimer.c
unsafe extern "C" {
    pub fn rvgic_ppi_set_active(ppi: c_uint, on: bool);
}

// c/dump.c
unsafe extern "C" {
    pub fn rvgic_log(level: c_uint, text: *const c_char, len: usize);
    pub fn rvgic_print(text: *const c_char, len: usize);
}

// c/msi.c
unsafe extern "C" {
    pub fn rvgic_unlimited(d: *const domain) -> bool;
    pub fn rvgic_lpi_bits(d: *const domain) -> c_uint;
    pub fn rvgic_its(
        d: *const domain,
        n: c_uint,
        device_bits: *mut u32,
        event_bits: *mut u32,
    ) -> bool;
    pub fn rvgic_v2m(d: *const domain, base: *mut u32, count: *mut u32) -> bool;
    pub fn rvgic_read_guest(d: *mut domain, gpa: u64, to: *mut c_void, size: u32) -> bool;
    pub fn rvgic_write_guest(d: *mut domain, gpa: u64, from: *const c_void, size: u32) -> bool;
    pub fn rvgic_map_device(
        d: *mut domain,
        n: c_uint,
        device: u32,
        event_bits: u32,
        valid: bool,
    ) -> c_uint;
}

// c/msi.c, of functions of the host's.
unsafe extern "C" {
    pub fn rvgic_msi_is_doorbell(d: *const domain, address: u64) -> bool;
    pub fn rvgic_msi_is_direct(d: *const domain) -> bool;
}

// c/vpci.c
unsafe extern "C" {
    pub fn rvgic_msi_host_map(pdev: *mut pci_dev, events: u32, doorbell: *mut u64) -> c_int;
    pub fn rvgic_msi_host_unmap(pdev: *mut pci_dev);
    pub fn rvgic_msi_host_bind(pdev: *mut pci_dev, event: u32, device: u32, data: u32) -> c_int;
    pub fn rvgic_msi_host_unbind(pdev: *mut pci_dev, event: u32);
    pub fn rvgic_msi_host_write_msi(pdev: *mut pci_dev, address: u64, data: u32);
    pub fn rvgic_msi_host_mask_msi(pdev: *mut pci_dev, vector: u32, masked: bool) -> bool;
    pub fn rvgic_msi_host_write_entry(
        pdev: *mut pci_dev,
        entry: u32,
        address: u64,
        data: u32,
    ) -> c_int;
    pub fn rvgic_msi_host_mask_entry(pdev: *mut pci_dev, entry: u32, masked: bool);
}

// c/its.c
unsafe extern "C" {
    pub fn rvgic_map_event(d: *mut domain, n: c_uint, device: u32, event: u32, virq: u32) -> bool;
    pub fn rvgic_unmap_event(d: *mut domain, n: c_uint, device: u32, event: u32);
    pub fn rvgic_clear_event(d: *mut domain, n: c_uint, device: u32, event: u32);
    pub fn rvgic_forget_strays(d: *mut domain);
    pub fn rvgic_route_event(d: *mut domain, n: c_uint, device: u32, event: u32, v: *const vcpu);
}

// c/rvic.c
unsafe extern "C" {
    pub fn rvgic_set_virtual_irq(v: *mut vcpu, on: bool);
    pub fn rvgic_rvic_messages(d: *const domain, count: *mut u32) -> bool;
    pub fn rvgic_rvic_levels(d: *const domain) -> bool;
}

// c/record.c
#[cfg(feature = "record")]
unsafe extern "C" {
    pub fn rvgic_record_buffer(size: usize) -> *mut u64;
}
