// SPDX-License-Identifier: GPL-2.0-only
//! What the vGIC and the mock's C half call: Xen's services and the registers of "this CPU".

use crate::machine::physgic::FIRST_SPI;
use crate::notes;
use crate::xen::abi;
use crate::xen::faults;
use crate::xen::functions::RawVcpu;
use crate::xen::host::{Machine, Pcpu, here};
use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong};

/// Runs part of the mock on this thread's physical CPU.
fn cpu<R>(f: impl FnOnce(&Machine, &Pcpu) -> R) -> R {
    let result = faults::mock(|| here(f));
    match result {
        Some(result) => result,
        None => {
            // Nothing can be unwound through C.
            eprintln!("mock Xen: the vGIC is called on a thread that is no CPU of a machine");
            std::process::abort()
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn mock_current() -> *mut RawVcpu {
    cpu(|m, p| {
        // As good a place as any for an interrupt to come in.
        m.window(p);
        p.current()
    })
}

/// The number of this CPU; nothing happens meanwhile.
#[unsafe(no_mangle)]
extern "C" fn mock_this_cpu() -> c_uint {
    cpu(|_, p| p.index as c_uint)
}

/// How many CPUs there are.
#[unsafe(no_mangle)]
extern "C" fn mock_cpus() -> c_uint {
    cpu(|m, _| m.pcpus().len() as c_uint)
}

/// Another CPU has a softirq to execute, of which an IPI tells it.
#[unsafe(no_mangle)]
extern "C" fn mock_softirq_elsewhere(target: c_uint) {
    cpu(|m, _| m.wake(target as usize, true));
}

/// # Safety
/// `text` has `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn mock_print(text: *const c_char, len: usize) {
    // SAFETY: the caller says so.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    let printed = faults::mock(|| here(|m, _| m.print(&String::from_utf8_lossy(bytes))));
    if printed.is_none() {
        eprintln!("{}", String::from_utf8_lossy(bytes));
    }
}

/// # Safety
/// `what` is a string.
#[unsafe(no_mangle)]
unsafe extern "C" fn mock_broken(what: *const c_char) {
    // SAFETY: the caller says so.
    let what = unsafe { CStr::from_ptr(what) };
    cpu(|m, _| m.report(what.to_string_lossy()));
}

#[unsafe(no_mangle)]
extern "C" fn mock_local_irq_save() -> c_ulong {
    cpu(|m, p| m.irq_save(p)).into()
}

#[unsafe(no_mangle)]
extern "C" fn mock_local_irq_restore(flags: c_ulong) {
    cpu(|m, p| m.irq_restore(p, flags != 0));
}

#[unsafe(no_mangle)]
extern "C" fn local_irq_is_enabled() -> bool {
    cpu(|_, p| p.irqs_on())
}

#[unsafe(no_mangle)]
extern "C" fn mock_wake(_v: *mut RawVcpu, processor: c_int, running_elsewhere: bool) {
    cpu(|m, _| m.wake(processor as usize, running_elsewhere));
}

// -------------------------------------------------------------------- physical interrupts

#[unsafe(no_mangle)]
extern "C" fn mock_phys_enable(irq: c_uint, on: bool) {
    cpu(|m, p| {
        if irq < u32::from(FIRST_SPI) {
            m.set_own_enabled(p, irq as u16, on);
        } else {
            m.gic.set_enabled(irq as u16, on);
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn mock_phys_trigger(irq: c_uint, level: bool) {
    cpu(|m, _| m.gic.set_level_sensitive(irq as u16, level));
}

#[unsafe(no_mangle)]
extern "C" fn mock_phys_active(irq: c_uint, on: bool) {
    cpu(|m, p| {
        if irq < u32::from(FIRST_SPI) {
            m.set_own_active(p, irq as u16, on);
        } else if on {
            m.gic.set_active(irq as u16, true)
        } else {
            m.gic.deactivate(irq as u16)
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn mock_phys_pending(irq: c_uint, on: bool) {
    cpu(|m, _| m.gic.set_pending(irq as u16, on));
}

#[unsafe(no_mangle)]
extern "C" fn mock_phys_is_pending(irq: c_uint) -> bool {
    cpu(|m, _| m.gic.is_pending(irq as u16))
}

#[unsafe(no_mangle)]
extern "C" fn mock_phys_target(irq: c_uint, target: c_uint) {
    cpu(|m, _| m.gic.set_target(irq as u16, target as usize));
}

#[unsafe(no_mangle)]
extern "C" fn mock_phys_lpi_target(lpi: c_uint, target: c_uint) {
    cpu(|m, _| m.gic.set_lpi_target(lpi, target as usize));
}

#[unsafe(no_mangle)]
extern "C" fn mock_phys_lpi_reset(lpi: c_uint) {
    cpu(|m, _| m.gic.reset_lpi(lpi));
}

#[unsafe(no_mangle)]
extern "C" fn mock_phys_lpi_clear(lpi: c_uint) {
    cpu(|m, _| m.gic.clear_lpi(lpi));
}

#[unsafe(no_mangle)]
extern "C" fn mock_phys_lpi_property(lpi: c_uint, enabled: bool) {
    cpu(|m, _| m.gic.set_lpi_property(lpi, enabled));
}

#[unsafe(no_mangle)]
extern "C" fn mock_phys_lpi_invalidate(lpi: c_uint) {
    cpu(|m, _| m.gic.invalidate_lpi(lpi));
}

/// By this CPU's redistributor, if it has the register.
#[unsafe(no_mangle)]
extern "C" fn mock_phys_lpi_invalidate_here(lpi: c_uint) -> bool {
    cpu(|m, p| m.gic.invalidate_lpi_at(lpi, p.index))
}

// -------------------------------------------------------------------- the virtual timer of this CPU

/// `CNTV_CTL_EL0`.
#[unsafe(no_mangle)]
extern "C" fn mock_cntv_ctl() -> u64 {
    cpu(|_, p| p.running().map_or(0, |v| v.timer.control()))
}

#[unsafe(no_mangle)]
extern "C" fn mock_set_cntv_ctl(ctl: u64) {
    cpu(|_, p| {
        if let Some(v) = p.running() {
            v.timer.set_control(ctl);
        }
    });
}

/// `CNTV_CVAL_EL0`.
#[unsafe(no_mangle)]
extern "C" fn mock_cntv_cval() -> u64 {
    cpu(|_, p| p.running().map_or(u64::MAX, |v| v.timer.comparator()))
}

#[unsafe(no_mangle)]
extern "C" fn mock_hcr_el2() -> u64 {
    cpu(|_, p| p.hcr_el2())
}

#[unsafe(no_mangle)]
extern "C" fn mock_set_hcr_el2(hcr: u64) {
    cpu(|_, p| p.set_hcr_el2(hcr));
}

// -------------------------------------------------------------------- GICH and ICH registers of this CPU

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_list_registers() -> usize {
    cpu(|_, p| p.interface().lrs())
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_read_lr(n: usize) -> u64 {
    cpu(|_, p| p.interface().read_lr(n))
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_write_lr(n: usize, value: u64) {
    cpu(|_, p| {
        let (before, after) = {
            let mut interface = p.interface();
            let before = interface.peek(n);
            interface.write_lr(n, value);
            (before, interface.peek(n))
        };
        // The vGIC changes the word before it writes the list register.
        let word = |intid| abi::word(std::ptr::null_mut(), p.current(), intid);
        notes::list_register(p.guest(), n, &before, &after, word);
    });
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_read_hcr() -> u32 {
    cpu(|_, p| p.interface().hcr())
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_write_hcr(value: u32) {
    cpu(|_, p| p.interface().write_hcr(value));
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_read_vmcr() -> u32 {
    cpu(|_, p| p.interface().vmcr())
}

/// The highest 32 active priorities of the group that Xen's C vGICs use.
#[unsafe(no_mangle)]
extern "C" fn mock_read_apr() -> u32 {
    cpu(|m, p| p.interface().apr(usize::from(m.profile.gic == 3)) as u32)
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_reset() {
    cpu(|_, p| {
        let mut interface = p.interface();
        interface.set_vmcr(0);
        interface.set_apr(0, 0);
        interface.set_apr(1, 0);
    });
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_irq_save() -> usize {
    cpu(|m, p| m.irq_save(p)).into()
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_irq_restore(flags: usize) {
    cpu(|m, p| m.irq_restore(p, flags != 0));
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_can_trap_dir() -> bool {
    cpu(|m, _| m.profile.tds)
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_write_vmcr(value: u32) {
    cpu(|_, p| p.interface().set_vmcr(value));
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_read_vtr() -> u32 {
    cpu(|_, p| p.interface().vtr())
}

/// Extended SPIs have INTIDs that the CPU interface must know.
#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_read_icc_ctlr() -> u32 {
    const EXT_RANGE: u32 = 1 << 19;
    cpu(|m, _| if m.profile.espis == 0 { 0 } else { EXT_RANGE })
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_read_active_priorities(n: usize) -> u32 {
    cpu(|_, p| {
        let interface = p.interface();
        ((interface.apr(0) | interface.apr(1)) >> (32 * n)) as u32
    })
}

#[unsafe(no_mangle)]
extern "C" fn rvgic_mock_relax() {
    cpu(|m, p| m.relax(p));
}
