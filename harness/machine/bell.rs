// SPDX-License-Identifier: GPL-2.0-only
//! The event-check IPI of a physical CPU, and what wakes the CPU when it is idle.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

/// What wakes an idle physical CPU.
#[derive(Default)]
pub(crate) struct Bell {
    /// An event-check IPI has been sent and not been taken.
    ipi: AtomicBool,
    /// IPIs are under way and do not arrive, for now.
    held: AtomicBool,
    /// One of these has been sent.
    late: AtomicBool,
    pub lock: Mutex<()>,
    pub rung: Condvar,
}

impl Bell {
    pub fn ring(&self) {
        drop(self.lock.lock());
        self.rung.notify_all();
    }

    /// Sends an IPI.
    pub fn send(&self) {
        let held = self.held.load(Ordering::SeqCst);
        let ipi = if held { &self.late } else { &self.ipi };
        ipi.store(true, Ordering::SeqCst);
    }

    /// Has one arrived?
    pub fn rings(&self) -> bool {
        self.ipi.load(Ordering::SeqCst)
    }

    /// Takes it.
    pub fn take(&self) -> bool {
        self.ipi.swap(false, Ordering::SeqCst)
    }

    /// From now on IPIs are under way.
    pub fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// They arrive, from now on at once.
    pub fn release(&self) {
        self.held.store(false, Ordering::SeqCst);
        self.arrive();
    }

    /// What is under way is there.
    pub fn arrive(&self) {
        if self.late.load(Ordering::SeqCst) && self.late.swap(false, Ordering::SeqCst) {
            self.ipi.store(true, Ordering::SeqCst);
        }
    }
}
