// SPDX-License-Identifier: GPL-2.0-only
//! A directory that several commands may want to change at the same time.

use crate::interrupt;
use anyhow::{Context, Result};
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Keeps others out until what is returned is dropped; the first time that it has to wait, it says so: for one that is `busy`.
pub fn alone(file: &Path, busy: &str) -> Result<File> {
    let what = || format!("cannot lock {}", file.display());
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).with_context(what)?;
    }
    let lock = File::create(file).with_context(what)?;
    // Not lock(), which would also wait when the task has been interrupted.
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(error).with_context(what),
            Err(TryLockError::WouldBlock) => {
                static SAID: AtomicBool = AtomicBool::new(false);
                if !SAID.swap(true, Ordering::Relaxed) {
                    eprintln!("vgic: waiting for another ./vgic, which is {busy}");
                }
                interrupt::check()?;
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}
