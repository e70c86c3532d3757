// SPDX-License-Identifier: GPL-2.0-only
//! The vGIC's allocations: counted, failed on request, and forbidden where Xen forbids them.
//!
//! On the host the library allocates as any Rust program does, so the mock's allocator is the program's. It
//! looks only at what happens inside a call of the vGIC; mock functions that the vGIC calls step
//! outside again.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

/// What a call of the vGIC may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Process context: allocate and free.
    Allowed,
    /// Anything else: Xen's allocator would stop the machine.
    Forbidden,
}

thread_local! {
    static INSIDE: Cell<Option<Memory>> = const { Cell::new(None) };
}

/// Allocations that are not freed yet.
static LIVE: AtomicIsize = AtomicIsize::new(0);
/// Their bytes.
static BYTES: AtomicIsize = AtomicIsize::new(0);
/// Allocations left until one fails; negative: none does.
static UNTIL_FAILURE: AtomicIsize = AtomicIsize::new(-1);
static FAILED: AtomicBool = AtomicBool::new(false);
static FORBIDDEN: AtomicBool = AtomicBool::new(false);

struct MockAllocator;

#[global_allocator]
static ALLOCATOR: MockAllocator = MockAllocator;

fn inside() -> Option<Memory> {
    // The thread may be on its way out, with its locals gone.
    INSIDE.try_with(Cell::get).ok().flatten()
}

/// Whether this allocation of so many bytes is to fail; counts it if not.
pub(crate) fn refused(size: usize) -> bool {
    if inside() == Some(Memory::Forbidden) {
        FORBIDDEN.store(true, Ordering::Relaxed);
    }
    if UNTIL_FAILURE.load(Ordering::Relaxed) >= 0
        && UNTIL_FAILURE.fetch_sub(1, Ordering::Relaxed) == 0
    {
        FAILED.store(true, Ordering::Relaxed);
        return true;
    }
    LIVE.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(size as isize, Ordering::Relaxed);
    false
}

pub(crate) fn freed(size: usize) {
    if inside() == Some(Memory::Forbidden) {
        FORBIDDEN.store(true, Ordering::Relaxed);
    }
    LIVE.fetch_sub(1, Ordering::Relaxed);
    BYTES.fetch_sub(size as isize, Ordering::Relaxed);
}

// SAFETY: hands everything on to the system's allocator, or reports failure.
unsafe impl GlobalAlloc for MockAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if inside().is_some() && refused(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if inside().is_some() && refused(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        if inside().is_some() {
            freed(layout.size());
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(p, layout) }
    }

    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if inside().is_some() {
            if refused(size) {
                return std::ptr::null_mut();
            }
            freed(layout.size());
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(p, layout, size) }
    }
}

/// Sets what the calls in `f` are to the allocator; also undone when `f` panics.
fn with<R>(state: Option<Memory>, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Memory>);
    impl Drop for Restore {
        fn drop(&mut self) {
            INSIDE.with(|i| i.set(self.0));
        }
    }
    let _restore = Restore(INSIDE.with(|i| i.replace(state)));
    f()
}

/// Runs a call of the vGIC.
pub fn vgic<R>(memory: Memory, f: impl FnOnce() -> R) -> R {
    with(Some(memory), f)
}

/// Runs part of the mock that the vGIC has called.
pub fn mock<R>(f: impl FnOnce() -> R) -> R {
    with(None, f)
}

/// Lets the `n`-th allocation from now on (0 is the next) fail, once.
pub fn fail_nth(n: usize) {
    FAILED.store(false, Ordering::Relaxed);
    UNTIL_FAILURE.store(n as isize, Ordering::Relaxed);
}

/// No failure any more. Says whether there has been one.
pub fn fail_none() -> bool {
    UNTIL_FAILURE.store(-1, Ordering::Relaxed);
    FAILED.swap(false, Ordering::Relaxed)
}

/// Allocations of the vGIC that are not freed.
pub fn live() -> isize {
    LIVE.load(Ordering::Relaxed)
}

/// Bytes of these, as they were asked for.
pub fn live_bytes() -> isize {
    BYTES.load(Ordering::Relaxed)
}

/// Whether memory was touched where Xen forbids it, since last asked.
pub fn forbidden() -> bool {
    FORBIDDEN.swap(false, Ordering::Relaxed)
}
