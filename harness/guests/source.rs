// SPDX-License-Identifier: GPL-2.0-only
//! What sends when it has been served: each interrupt is accounted for, whoever takes it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// An event of a device, or of a device model.
#[derive(Default)]
pub struct Source {
    /// It has sent, and has not been served.
    pub wants: AtomicBool,
    served: AtomicU64,
    /// Without having sent.
    spurious: AtomicU64,
}

impl Source {
    /// Counted before it may send again.
    pub fn serve(&self) {
        if self.wants.load(SeqCst) {
            self.served.fetch_add(1, SeqCst);
            self.wants.store(false, SeqCst);
        } else {
            self.spurious.fetch_add(1, SeqCst);
        }
    }

    /// Has it been served less often?
    pub fn is_short_of(&self, rounds: u64) -> bool {
        self.served.load(SeqCst) < rounds
    }

    /// # Panics
    /// If one was not served so many times, or once more than it had sent.
    pub fn assert_all_served(sources: &[Self], rounds: u64) {
        for (event, source) in sources.iter().enumerate() {
            let counts = (source.served.load(SeqCst), source.spurious.load(SeqCst));
            assert_eq!(counts, (rounds, 0), "served and spurious, event {event}");
        }
    }
}
