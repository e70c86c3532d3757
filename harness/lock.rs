// SPDX-License-Identifier: GPL-2.0-only
//! A lock that a panicking test may have left poisoned.

use std::sync::{Mutex, MutexGuard};

/// Takes it all the same.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
