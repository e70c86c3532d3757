// SPDX-License-Identifier: GPL-2.0-only
//! How much memory a thread has allocated, and how much it had at the most.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Bytes now, and at the most.
    static BYTES: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: isize) {
    // A thread that ends may still free something.
    let _ = BYTES.try_with(|all| {
        let (now, most) = all.get();
        let now = now.wrapping_add(bytes);
        all.set((now, most.max(now)));
    });
}

// SAFETY: the system's, which only is counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as our caller's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as our caller's.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as our caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Does something; how many bytes that leaves allocated, and how many more there were meanwhile at the most.
pub(super) fn of<R>(f: impl FnOnce() -> R) -> (R, isize, isize) {
    let before = BYTES.with(|all| {
        let (now, _) = all.get();
        all.set((now, now));
        now
    });
    let result = f();
    let (now, most) = BYTES.with(Cell::get);
    (result, now - before, most - before)
}
