// SPDX-License-Identifier: GPL-2.0-only
//! Which places of the code an input has reached, where the compiler was told to count that (`cargo xtask fuzz` tells it): LLVM's
//! SanitizerCoverage gives each edge a counter of eight bits, and shows what numbers are compared with.
//!
//! The functions are called by all code that is instrumented, before `main` too; LLVM leaves them alone for their names. They use nothing
//! that might be instrumented.
#![allow(static_mut_refs)]

use std::collections::HashSet;

/// Counters from an address up to another, of one module.
type Part = (*mut u8, *mut u8);
const PARTS: usize = 4096;
static mut PART: [Part; PARTS] = [(std::ptr::null_mut(), std::ptr::null_mut()); PARTS];
static mut COUNT: usize = 0;

/// Numbers that were compared last, if anyone wants to know.
const COMPARED: usize = 256;
static mut OPERANDS: [u64; COMPARED] = [0; COMPARED];
static mut OPERAND: usize = 0;
static mut WATCHED: bool = false;

#[unsafe(no_mangle)]
unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, end: *mut u8) {
    // SAFETY: constructors run one after the other, before there are threads.
    unsafe {
        if COUNT < PARTS {
            PART[COUNT] = (start, end);
            COUNT += 1;
        }
    }
}

macro_rules! compares {
    ($($name:ident $int:ty),*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(a: $int, b: $int) {
            // SAFETY: only the thread that fuzzes has it watched, and there is no other then.
            unsafe {
                if WATCHED && a != b {
                    OPERANDS[OPERAND & (COMPARED - 1)] = a as u64;
                    OPERANDS[(OPERAND + 1) & (COMPARED - 1)] = b as u64;
                    OPERAND = OPERAND.wrapping_add(2);
                }
            }
        }
    )*};
}
compares! {
    __sanitizer_cov_trace_cmp1 u8, __sanitizer_cov_trace_cmp2 u16, __sanitizer_cov_trace_cmp4 u32, __sanitizer_cov_trace_cmp8 u64,
    __sanitizer_cov_trace_const_cmp1 u8, __sanitizer_cov_trace_const_cmp2 u16, __sanitizer_cov_trace_const_cmp4 u32,
    __sanitizer_cov_trace_const_cmp8 u64
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __sanitizer_cov_trace_switch(_: u64, _: *const u64) {}

/// How often something was reached, coarsely.
fn bucket(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        _ => 128,
    }
}

/// What has been reached so far, by all inputs.
pub(super) struct Coverage {
    seen: Vec<u8>,
}

impl Coverage {
    /// `None`: nothing counts.
    pub(super) fn new() -> Option<Self> {
        let all = parts().map(|part| part.len()).sum();
        (all > 0).then(|| Self { seen: vec![0; all] })
    }

    /// From here on it counts.
    pub(super) fn begin() {
        parts().for_each(|part| part.fill(0));
        // SAFETY: of this thread, which is alone.
        unsafe { WATCHED = true };
    }

    /// And up to here: what was reached, in order.
    pub(super) fn end() -> Vec<(u32, u8)> {
        // SAFETY: of this thread, which is alone.
        unsafe { WATCHED = false };
        let counts = parts().flat_map(|part| part.iter().copied()).zip(0..);
        let reached = counts.filter(|(count, _)| *count != 0);
        reached.map(|(count, n)| (n, bucket(count))).collect()
    }

    /// Is any of it new?
    pub(super) fn add(&mut self, reached: &[(u32, u8)]) -> bool {
        let mut new = false;
        for (n, bucket) in reached {
            let seen = &mut self.seen[*n as usize];
            new |= *seen & bucket == 0;
            *seen |= bucket;
        }
        new
    }

    /// Places that were reached.
    pub(super) fn places(&self) -> usize {
        self.seen.iter().filter(|seen| **seen != 0).count()
    }
}

/// Numbers that something was compared with.
pub(super) fn operands() -> Vec<u64> {
    // SAFETY: of this thread, which is alone.
    let all = unsafe { OPERANDS };
    let unique: HashSet<u64> = all.into_iter().filter(|n| *n != 0).collect();
    let mut sorted: Vec<u64> = unique.into_iter().collect();
    sorted.sort_unstable();
    sorted
}

fn parts() -> impl Iterator<Item = &'static mut [u8]> {
    // SAFETY: written before `main`.
    let parts = unsafe { PART.iter().take(COUNT) };
    parts.map(|(start, end)| {
        // SAFETY: a module's counters are in its image, and nobody else looks at them here.
        unsafe { std::slice::from_raw_parts_mut(*start, end.offset_from(*start) as usize) }
    })
}
