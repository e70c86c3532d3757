// SPDX-License-Identifier: GPL-2.0-only
//! The physical interrupt that there is.

use super::{Mock, PHYS};
use loom::sync::atomic::{AtomicBool, Ordering};
use rust_vgic::PhysIrq;

/// An edge. The hardware changes it without a lock.
pub struct Physical {
    pub active: AtomicBool,
    /// Not loom's: only who has its lock looks.
    enabled: std::sync::atomic::AtomicBool,
}

impl Physical {
    pub fn new() -> Self {
        Self {
            active: AtomicBool::new(false),
            enabled: false.into(),
        }
    }
}

impl PhysIrq for Physical {
    fn set_enabled(&self, on: bool) {
        self.enabled.store(on, Ordering::Relaxed);
    }
    fn set_trigger(&self, _level: bool) {}
    fn set_active(&self, on: bool) {
        self.active.store(on, Ordering::Relaxed);
    }
    fn set_pending(&self, _on: bool) {}
    fn is_pending(&self) -> bool {
        false
    }
    fn has_fallen(&self) -> bool {
        true
    }
}

impl Mock {
    /// Does that with the number of the physical interrupt, whose lock is held.
    pub fn with_phys<R>(&self, f: impl FnOnce(u16) -> R) -> R {
        let _held = self.physical.lock().unwrap();
        f(PHYS)
    }

    /// Is the physical interrupt enabled?
    pub fn is_phys_enabled(&self) -> bool {
        let physical = self.physical.lock().unwrap();
        physical.enabled.load(Ordering::Relaxed)
    }
}
