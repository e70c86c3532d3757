// SPDX-License-Identifier: GPL-2.0-only
//! PCI functions of the machine, as Xen has them: whose they are, which ITS of the host takes what they write, and the registers of
//! theirs that the vGIC writes.

use crate::machine::pci::{Function, MSI, MSIX, Shape, reg};
use crate::xen::abi;
use crate::xen::faults;
use crate::xen::functions::RawPci;
use crate::xen::host::Machine;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What keeps an event from coming.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    ByFunction,
    ByHost,
    ByBoth,
}

/// A function on the bus.
pub struct Pci {
    pub function: Arc<Function>,
    machine: Arc<Machine>,
    raw: *mut RawPci,
    /// What it has written to where nothing takes it.
    strays: Arc<AtomicU64>,
}

// SAFETY: the C structure is constant but for its owner, which is accessed atomically.
unsafe impl Send for Pci {}
// SAFETY: as above.
unsafe impl Sync for Pci {}

/// The same, for the closure that a function's writes go through.
#[derive(Clone, Copy)]
struct Raw(*mut RawPci);
// SAFETY: as above.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

impl Raw {
    fn write(self, address: u64, data: u32) -> u32 {
        let mut lpi = 0;
        abi::pci_write(self.0, address, data, &mut lpi);
        lpi
    }
}

impl Pci {
    /// A function whose messages go to one of the host's ITSes, with this DeviceID.
    pub fn new(machine: &Arc<Machine>, shape: Shape, its: u32, devid: u32) -> Self {
        let function = Arc::new(Function::new(shape));
        let mut raw = std::ptr::null_mut();
        machine.hypervisor(0, || {
            let at = Arc::as_ptr(&function).cast::<c_void>();
            faults::mock(|| abi::pci_alloc(at, its, devid, &mut raw))
        });
        let strays = Arc::new(AtomicU64::new(0));
        let (to, count, pdev): (Weak<Machine>, _, _) =
            (Arc::downgrade(machine), Arc::clone(&strays), Raw(raw));
        function.connect(
            move |address, data| match (pdev.write(address, data), to.upgrade()) {
                (0, _) | (_, None) => {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                (lpi, Some(machine)) => machine.gic.send_lpi(lpi),
            },
        );
        Self {
            function,
            machine: Arc::clone(machine),
            raw,
            strays,
        }
    }

    /// What it is in.
    pub fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    pub(crate) fn raw(&self) -> *mut RawPci {
        self.raw
    }

    /// How often it has written to where nothing takes it, since last asked.
    pub fn take_strays(&self) -> u64 {
        self.strays.swap(0, Ordering::SeqCst)
    }

    /// The physical LPI that an entry of its MSI-X table sends, if it sends anything to where it is taken.
    pub fn physical_lpi(&self, entry: u32) -> Option<u32> {
        let (address, data, _) = self.function.entry(entry);
        Some(Raw(self.raw).write(address, data)).filter(|lpi| *lpi != 0)
    }

    /// What the host sends for an event: the guest's DeviceID, and data.
    pub fn bound(&self, event: u32) -> Option<(u32, u32)> {
        let (mut bound, mut device, mut data) = (false, 0, 0);
        self.machine.hypervisor(0, || {
            abi::pci_bound(self.raw, event, &mut bound, &mut device, &mut data)
        });
        bound.then_some((device, data))
    }

    /// Is an event held, since it has come in a storm: by the function, which is masked for that, or by its host LPI, which is disabled?
    pub fn is_held(&self, event: u32) -> Option<Held> {
        let mut kept = false;
        abi::pci_kept(self.raw, event, &mut kept);
        let (address, data, _) = self.function.entry(event);
        let message = match self.function.shape.msix {
            Some(_) => (address, data),
            None => {
                let (address, data) = self.function.msi_message();
                (address, data | event)
            }
        };
        let lpi = Raw(self.raw).write(message.0, message.1);
        let disabled = lpi != 0 && !self.machine.gic.lpi_property(lpi);
        match (kept, disabled) {
            (true, false) => Some(Held::ByFunction),
            (false, true) => Some(Held::ByHost),
            (true, true) => Some(Held::ByBoth),
            (false, false) => None,
        }
    }

    /// How many vectors or entries it has, whichever are more.
    pub fn events(&self) -> u32 {
        let msi = self.function.shape.msi.map_or(0, |m| 1 << m.vectors);
        msi.max(self.function.shape.msix.map_or(0, |m| m.entries))
    }

    /// As whoever gives it away, or takes it back, leaves it: nothing is enabled, entries are masked.
    #[inline(never)]
    pub(crate) fn quiet(&self) {
        let f = &self.function;
        for (cap, bits) in [
            (f.shape.msi.map(|_| MSI), reg::MSI_ENABLE),
            (f.shape.msix.map(|_| MSIX), reg::MSIX_ENABLE),
        ] {
            if let Some(cap) = cap {
                let at = u16::from(cap) + reg::CONTROL;
                let control = f.config_read(at, 2) & !u32::from(bits);
                f.config_write(at, 2, control);
            }
        }
        for entry in 0..f.shape.msix.map_or(0, |m| m.entries) {
            mask_entry(f, entry, true);
        }
    }
}

impl Drop for Pci {
    fn drop(&mut self) {
        self.machine
            .hypervisor(0, || faults::mock(|| abi::pci_free(self.raw)));
    }
}

/// So many calls of the host's side do not fail, and then one does; none at all without a number.
pub fn fail_nth(nth: Option<u32>) {
    abi::pci_fail(nth.map_or(-1, |n| n as i32));
}

fn mask_entry(function: &Function, entry: u32, masked: bool) {
    if let Some(msix) = function.shape.msix {
        let at = u64::from(msix.table.1) + u64::from(entry) * reg::ENTRY_SIZE;
        let control = at + reg::ENTRY_CONTROL;
        function.bar_write(msix.table.0, control, 4, masked.into());
    }
}

/// Runs a part of the mock that has a function.
///
/// # Safety
/// It is alive.
unsafe fn with<R>(function: *const c_void, f: impl FnOnce(&Function) -> R) -> R {
    // SAFETY: the caller says so; what was given to the C half is the function in its `Pci`.
    let function = unsafe { &*function.cast::<Function>() };
    faults::mock(|| f(function))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mock_pci_write_msi(function: *const c_void, address: u64, data: u32) {
    let write = |f: &Function| {
        let Some(shape) = f.shape.msi else { return };
        let at = u16::from(MSI);
        f.config_write(at + reg::MSI_ADDRESS, 4, address as u32);
        if shape.wide {
            f.config_write(at + reg::MSI_ADDRESS + 4, 4, (address >> 32) as u32);
        }
        f.config_write(at + shape.data(), 2, data);
    };
    // SAFETY: the C half's functions are alive.
    unsafe { with(function, write) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mock_pci_mask_msi(function: *const c_void, vector: u32, masked: bool) -> bool {
    let write = |f: &Function| {
        let Some(shape) = f.shape.msi.filter(|shape| shape.masks) else {
            return false;
        };
        let at = u16::from(MSI) + shape.mask();
        let others = f.config_read(at, 4) & !(1 << vector);
        f.config_write(at, 4, others | u32::from(masked) << vector);
        true
    };
    // SAFETY: as above.
    unsafe { with(function, write) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mock_pci_write_entry(
    function: *const c_void,
    entry: u32,
    address: u64,
    data: u32,
) {
    let write = |f: &Function| {
        let Some(msix) = f.shape.msix else { return };
        assert_ne!(f.entry(entry).2 & 1, 0, "entry {entry} is not masked");
        let at = u64::from(msix.table.1) + u64::from(entry) * reg::ENTRY_SIZE;
        f.bar_write(msix.table.0, at, 8, address);
        f.bar_write(msix.table.0, at + reg::ENTRY_DATA, 4, data.into());
    };
    // SAFETY: as above.
    unsafe { with(function, write) }
}

/// Has it a mask bit by which it would keep this event, as it sends it now?
#[unsafe(no_mangle)]
unsafe extern "C" fn mock_pci_can_keep(function: *const c_void, event: u32) -> bool {
    let can = |f: &Function| {
        let enabled = |cap: u8, bit: u16| {
            let control = f.config_read(u16::from(cap) + reg::CONTROL, 2);
            control & u32::from(bit) != 0
        };
        match (f.shape.msi, f.shape.msix) {
            (_, Some(msix)) if enabled(MSIX, reg::MSIX_ENABLE) => event < msix.entries,
            (Some(msi), _) if enabled(MSI, reg::MSI_ENABLE) => msi.masks,
            _ => false,
        }
    };
    // SAFETY: as above.
    unsafe { with(function, can) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mock_pci_mask_entry(function: *const c_void, entry: u32, masked: bool) {
    // SAFETY: as above.
    unsafe { with(function, |f| mask_entry(f, entry, masked)) }
}
