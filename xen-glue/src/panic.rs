// SPDX-License-Identifier: GPL-2.0-only
//! A panic of the library is a panic of Xen. None should be reachable: the prelink step lists what is.

use crate::log::Line;
use core::ffi::c_char;
use core::fmt::Write;
use core::panic::PanicInfo;

// Declared here for its type "never returns", which the C header cannot say.
unsafe extern "C" {
    fn rvgic_panic(text: *const c_char, len: usize) -> !;
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut line = Line::new();
    // A Line takes what fits.
    let _ = match info.location() {
        Some(at) => write!(line, "{} at {}:{}", info.message(), at.file(), at.line()),
        None => write!(line, "{}", info.message()),
    };
    let text = line.as_bytes();
    // SAFETY: pointer and length of one slice; Xen stops here.
    unsafe { rvgic_panic(text.as_ptr().cast(), text.len()) }
}
