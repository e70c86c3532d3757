// SPDX-License-Identifier: GPL-2.0-only
//! Boxes whose allocation may fail. Stable Rust has none that leaves no panic path behind.

use alloc::alloc::{Layout, alloc, dealloc};
use alloc::boxed::Box;
use core::ptr;

/// A slice of `len` elements made by `make`, or `None` when there is no memory.
///
/// ```
/// let squares = rust_vgic::slice::try_boxed(4, |i| i * i).unwrap();
/// assert_eq!(&*squares, &[0, 1, 4, 9]);
/// ```
#[must_use]
pub fn try_boxed<T>(len: usize, mut make: impl FnMut(usize) -> T) -> Option<Box<[T]>> {
    let layout = Layout::array::<T>(len).ok()?;
    let base: *mut T = if layout.size() == 0 {
        ptr::NonNull::dangling().as_ptr()
    } else {
        // SAFETY: the layout has a size other than zero.
        unsafe { alloc(layout) }.cast()
    };
    if base.is_null() {
        return None;
    }
    // Frees the memory (not the elements, which need no drop here) should `make` unwind in a test.
    struct Undo(*mut u8, Layout);
    impl Drop for Undo {
        fn drop(&mut self) {
            if self.1.size() != 0 {
                // SAFETY: allocated above with this layout, and not yet handed out.
                unsafe { dealloc(self.0, self.1) }
            }
        }
    }
    let undo = Undo(base.cast(), layout);
    for i in 0..len {
        // SAFETY: i < len, so this is inside the allocation, which nobody else knows of.
        unsafe { base.add(i).write(make(i)) };
    }
    core::mem::forget(undo);
    // SAFETY: `len` initialised elements allocated with the global allocator and the layout of [T].
    Some(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(base, len)) })
}

/// A box with `value` in it, or `None` when there is no memory; then the value is dropped.
///
/// ```
/// assert_eq!(rust_vgic::slice::try_box(7).as_deref(), Some(&7));
/// ```
#[must_use]
pub fn try_box<T>(value: T) -> Option<Box<T>> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        // No allocation, so none that could fail.
        return Some(Box::new(value));
    }
    // SAFETY: the layout has a size other than zero.
    let place: *mut T = unsafe { alloc(layout) }.cast();
    if place.is_null() {
        return None;
    }
    // SAFETY: allocated just now with the layout of T, by the global allocator, and nobody else knows of it.
    unsafe {
        place.write(value);
        Some(Box::from_raw(place))
    }
}
