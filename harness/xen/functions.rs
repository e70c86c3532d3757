// SPDX-License-Identifier: GPL-2.0-only
//! The functions of a vGIC, and of the C half that is compiled with it: which there are, and a table of those of one vGIC.
//!
//! XEN's structures are opaque here; the C half of the mock knows them.

use crate::machine::profile::Hardware;
use libloading::Library;
use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub struct $name {
            _opaque: [u8; 0],
        }
    )*};
}

opaque! {
    /// `struct domain`
    RawDomain
    /// `struct vcpu`
    RawVcpu
    /// `struct irq_desc`
    RawDesc
    /// `struct pci_dev`
    RawPci
    /// `struct rvgic_msi`
    RawMsi
}

// The library itself: xen-glue's Rust half and its C half.
use xen_glue as _;

/// Hands the functions to a macro: what each vGIC has, what ours has and not each of the others, and what only theirs have.
macro_rules! each_function {
    ($then:ident) => {
        $then! {
            all {
                fn vgic_max_vcpus(version: c_uint) -> c_uint;
                fn domain_vgic_register(d: *mut RawDomain, mmio_count: *mut c_uint) -> c_int;
                fn domain_vgic_init(d: *mut RawDomain, nr_spis: c_uint) -> c_int;
                fn domain_vgic_free(d: *mut RawDomain);
                fn vcpu_vgic_init(v: *mut RawVcpu) -> c_int;
                fn vcpu_vgic_free(v: *mut RawVcpu);
                fn vgic_reserve_virq(d: *mut RawDomain, virq: c_uint) -> bool;
                fn vgic_allocate_virq(d: *mut RawDomain, spi: bool) -> c_int;
                fn vgic_free_virq(d: *mut RawDomain, virq: c_uint);
                fn vgic_is_valid_line(d: *mut RawDomain, virq: c_uint) -> bool;
                fn vgic_inject_irq(d: *mut RawDomain, v: *mut RawVcpu, virq: c_uint, level: bool);
                fn vgic_sync_to_lrs();
                fn vgic_sync_from_lrs(v: *mut RawVcpu);
                fn vgic_vcpu_pending_irq(v: *mut RawVcpu) -> c_int;
                fn vgic_evtchn_irq_pending(v: *mut RawVcpu) -> bool;
                fn vgic_clear_pending_irqs(v: *mut RawVcpu);
                fn vgic_get_hw_irq_desc(d: *mut RawDomain, v: *mut RawVcpu, virq: c_uint) -> *mut RawDesc;
                fn arch_move_irqs(v: *mut RawVcpu);
                fn gic_dump_vgic_info(v: *mut RawVcpu);
                // The C half of the mock.
                fn mock_power_on(machine: *const Hardware);
                fn mock_irq_begin(irq: c_uint, virq: *mut c_uint) -> *mut RawDomain;
                fn mock_irq_end(irq: c_uint);
                fn mock_irq_inject(irq: c_uint);
                fn mock_watch(d: *mut RawDomain) -> c_int;
                fn mock_irq_in_progress(irq: c_uint) -> bool;
                fn mock_route(d: *mut RawDomain, virq: c_uint, irq: c_uint, level: bool) -> c_int;
                fn mock_domain_alloc(
                    id: c_uint, max_vcpus: c_uint, version: c_uint, hardware: bool, direct: bool
                ) -> *mut RawDomain;
                fn mock_domain_io_init(d: *mut RawDomain, max: c_uint);
                fn mock_domain_dying(d: *mut RawDomain);
                fn mock_domain_release(d: *mut RawDomain);
                fn mock_domain_ram(d: *mut RawDomain, base: u64, size: u64);
                fn mock_guest_memory(
                    d: *mut RawDomain, gpa: u64, buf: *mut c_void, size: u32, is_write: bool
                ) -> c_int;
                fn mock_domain_ram_accesses(d: *const RawDomain) -> c_ulong;
                fn mock_domain_mmio_used(d: *const RawDomain) -> c_uint;
                fn mock_domain_dbase(d: *const RawDomain) -> u64;
                fn mock_domain_gicc(d: *const RawDomain, mapped: *mut u64, gicv: *mut u64) -> u64;
                fn mock_domain_regions(d: *const RawDomain) -> c_uint;
                fn mock_domain_region(d: *const RawDomain, n: c_uint, size: *mut u64) -> u64;
                fn mock_domain_nr_spis(d: *const RawDomain) -> c_uint;
                fn mock_domain_allocated(d: *const RawDomain, virq: c_uint) -> bool;
                fn mock_vcpu_alloc(d: *mut RawDomain, id: c_uint, processor: c_uint) -> *mut RawVcpu;
                fn mock_vcpu_link(d: *mut RawDomain, v: *mut RawVcpu);
                fn mock_vcpu_release(v: *mut RawVcpu);
                fn mock_idle(cpu: c_uint) -> *mut RawVcpu;
                fn mock_vcpu_domain(v: *const RawVcpu) -> *mut RawDomain;
                fn mock_vcpu_pause_flags(v: *mut RawVcpu) -> *mut c_ulong;
                fn mock_vcpu_is_running(v: *mut RawVcpu) -> *mut bool;
                fn mock_vcpu_processor(v: *mut RawVcpu) -> *mut c_int;
                fn mock_vcpu_upcall(v: *mut RawVcpu) -> *mut u8;
                fn mock_vcpu_hcr(v: *mut RawVcpu) -> *mut u64;
                fn mock_mmio(
                    v: *mut RawVcpu, base: *mut u64, step: c_int, size: c_uint, write: bool, aarch32: bool,
                    value: *mut u64
                ) -> c_int;
                fn mock_samples_lines() -> bool;
                fn mock_release() -> c_uint;
                fn mock_embedded(vcpu: bool) -> c_ulong;
                fn mock_wants_lines(v: *mut RawVcpu) -> bool;
                fn mock_vtimer_setup();
                fn mock_vtimer_init(v: *mut RawVcpu);
                fn mock_vtimer_interrupt() -> bool;
                fn mock_vtimer_save(v: *mut RawVcpu) -> bool;
                fn mock_vtimer_restore(v: *mut RawVcpu);
                fn mock_vtimer_expired(v: *mut RawVcpu);
                fn mock_ptimer_read(v: *mut RawVcpu) -> u64;
                fn mock_ptimer_expire(v: *mut RawVcpu) -> bool;
                fn mock_ptimer_write(v: *mut RawVcpu, ctl: u64, cval: u64);
                fn mock_vcpu_cntv(v: *mut RawVcpu) -> *mut u64;
                fn mock_sysreg(which: c_uint, aarch32: bool, read: bool, value: *mut u64) -> bool;
            }
            // What ours has, and not each of the others. The ITSes are the host's and what a device and the CPU do with them.
            ours {
                fn vgic_vcpu_inject_irq(v: *mut RawVcpu, virq: c_uint);
                fn vgic_maintenance_interrupt();
                fn vgic_vcpu_off(v: *mut RawVcpu);
                fn rvgic_mock_image(
                    d: *mut RawDomain, take: unsafe extern "C" fn(*mut c_void, *const u8, usize), context: *mut c_void
                );
                fn mock_domain_reset(d: *mut RawDomain, its: c_uint, rc: *mut c_int);
                fn rvgic_mock_word(d: *mut RawDomain, v: *mut RawVcpu, intid: c_uint, word: *mut u64);
                fn mock_translate(d: *mut RawDomain, its: c_uint, device: u32, event: u32, lpi: *mut c_uint);
                fn mock_do_lpi(lpi: c_uint);
                fn mock_refuse_devices(on: bool);
                fn mock_domain_relinquish(d: *mut RawDomain, more: *mut bool);
                fn mock_its_commands(count: *mut u64);
                fn mock_refuse_commands(times: c_uint);
                fn rvgic_set_storm(d: *mut RawDomain, rate: u32, burst: u32);
                fn rvgic_stop_storms(d: *mut RawDomain);
                fn mock_storm_param(text: *const c_char, ok: *mut bool);
                fn mock_do_softirq();
                fn mock_domain_choose_msi(d: *mut RawDomain);
                fn mock_domain_choose_levels(d: *mut RawDomain);
                fn mock_domain_choose_iommu(d: *mut RawDomain);
                fn mock_domain_choose_vpci(d: *mut RawDomain);
                fn mock_domain_choose_aarch32(d: *mut RawDomain);
                fn mock_domain_finished(d: *mut RawDomain, crashed: *mut bool);
                fn mock_smccc(regs: *mut u64);
                fn mock_smccc_count(d: *const RawDomain, count: *mut c_uint);
                fn mock_rvic_switch(v: *mut RawVcpu, to: bool);
                fn mock_domain_creation_finished(d: *mut RawDomain);
                fn mock_domain_v2m(d: *mut RawDomain, base: *mut u32, count: *mut u32);
                fn mock_inject_msi(
                    d: *mut RawDomain, doorbell: u64, segment: u32, source: u32, data: u32, rc: *mut c_int
                );
                fn mock_dm_op(d: *mut RawDomain, op: *const c_void, rc: *mut c_int);
                fn mock_domctl(d: *mut RawDomain, op: *const c_void, rc: *mut c_int);
                fn mock_set_limits(d: *mut RawDomain, lpis: u32, devices: u32, events: u32, rc: *mut c_int);
                fn mock_pci_alloc(function: *const c_void, its: c_uint, devid: u32, pdev: *mut *mut RawPci);
                fn mock_pci_free(pdev: *mut RawPci);
                fn mock_pci_owner(pdev: *mut RawPci, d: *mut RawDomain);
                fn mock_pci_fail(nth: c_int);
                fn mock_pci_bound(
                    pdev: *mut RawPci, event: u32, bound: *mut bool, device: *mut u32, data: *mut u32
                );
                fn mock_pci_kept(pdev: *const RawPci, event: u32, kept: *mut bool);
                fn mock_pci_write(pdev: *mut RawPci, address: u64, data: u32, lpi: *mut c_uint);
                fn mock_msi_attach(
                    d: *mut RawDomain, pdev: *mut RawPci, device: u32, events: u32, m: *mut *mut RawMsi,
                    rc: *mut c_int
                );
                fn mock_msi_detach(m: *mut RawMsi);
                fn mock_msi_enable(
                    m: *mut RawMsi, vectors: u32, address: u64, data: u32, masked: u32, rc: *mut c_int
                );
                fn mock_msi_update(m: *mut RawMsi, address: u64, data: u32, rc: *mut c_int);
                fn rvgic_msi_disable(m: *mut RawMsi);
                fn rvgic_msi_mask(m: *mut RawMsi, vector: u32, masked: bool);
                fn mock_msix_enable(
                    m: *mut RawMsi, entry: u32, address: u64, data: u32, masked: bool, rc: *mut c_int
                );
                fn mock_msix_disable(m: *mut RawMsi, entry: u32, rc: *mut c_int);
                fn rvgic_msix_mask(m: *mut RawMsi, entry: u32, masked: bool);
                fn mock_pass_time(ns: u64, expired: *mut bool);
                fn mock_interface_get(v: *mut RawVcpu, words: *mut u32);
                fn mock_interface_set(v: *mut RawVcpu, words: *const u32);
                fn mock_timers_get(v: *mut RawVcpu, words: *mut u64);
                fn mock_timers_set(v: *mut RawVcpu, words: *const u64);
                fn mock_save_size(d: *mut RawDomain, size: *mut i64);
                fn mock_save(d: *mut RawDomain, to: *mut c_void, size: usize, written: *mut usize, rc: *mut c_int);
                fn mock_restore_again(d: *mut RawDomain, from: *const c_void, size: usize, rc: *mut c_int);
                fn mock_restore(d: *mut RawDomain, from: *const c_void, size: usize, rc: *mut c_int);
            }
            // What Xen's driver of the list registers keeps of a vCPU that does not run.
            theirs {
                fn mock_save_state(v: *mut RawVcpu);
                fn mock_restore_state(v: *mut RawVcpu);
            }
        }
    };
}
pub(crate) use each_function;

/// Declares the table, that of what this program is linked with, and how to find the functions in a shared object.
macro_rules! table {
    (
        all { $(fn $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)* }
        ours { $(fn $ours:ident($($oarg:ident: $oty:ty),*);)* }
        theirs { $(fn $theirs:ident($($targ:ident: $tty:ty),*);)* }
    ) => {
        /// The functions of one vGIC.
        pub(crate) struct Functions {
            $(pub(crate) $name: unsafe extern "C" fn($($ty),*) $(-> $ret)?,)*
            $(pub(crate) $ours: Option<unsafe extern "C" fn($($oty),*)>,)*
            $(pub(crate) $theirs: Option<unsafe extern "C" fn($($tty),*)>,)*
        }

        mod linked {
            use super::*;
            unsafe extern "C" {
                $(pub fn $name($($arg: $ty),*) $(-> $ret)?;)*
                $(pub fn $ours($($oarg: $oty),*);)*
            }
        }

        impl Functions {
            /// Those that this program is linked with: ours.
            pub(crate) const LINKED: Self = Self {
                $($name: linked::$name,)*
                $($ours: Some(linked::$ours),)*
                $($theirs: None,)*
            };

            /// Those of a shared object.
            ///
            /// # Errors
            /// The name of a function that it does not have.
            ///
            /// # Safety
            /// Its functions of these names are what is declared here.
            pub(crate) unsafe fn of(library: &Library) -> Result<Self, &'static str> {
                Ok(Self {
                    // SAFETY: the caller's promise is passed on.
                    $($name: *unsafe { library.get(stringify!($name)) }.map_err(|_| stringify!($name))?,)*
                    // SAFETY: as above.
                    $($ours: unsafe { library.get(stringify!($ours)) }.ok().map(|f| *f),)*
                    // SAFETY: as above.
                    $($theirs: unsafe { library.get(stringify!($theirs)) }.ok().map(|f| *f),)*
                })
            }
        }
    };
}

each_function!(table);
