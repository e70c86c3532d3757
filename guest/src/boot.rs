// SPDX-License-Identifier: GPL-2.0-only
//! The image header and the first instructions of each CPU.
//!
//! The header is the one of a raw arm64 Linux kernel (Documentation/arch/arm64/booting.rst there), because that is what
//! Xen and QEMU load. The image may be anywhere, so CPU 0 applies the relocations before any Rust runs.

use crate::cpu::MOST;
use core::arch::global_asm;

/// Bytes of stack of each CPU.
pub const STACK: usize = 0x1_0000;

unsafe extern "C" {
    fn _start();
}

/// Where the image is.
pub fn address() -> usize {
    _start as *const () as usize
}

#[repr(C, align(16))]
struct Stacks([[u8; STACK]; MOST]);

/// Used by the code below only, through its address.
#[unsafe(no_mangle)]
static mut STACKS: Stacks = Stacks([[0; STACK]; MOST]);

global_asm!(
    r#"
    .section .head, "ax"
    .global _start
_start:
    b       1f
    .long   0
    .quad   0                       // offset from a 2 MiB boundary
    .quad   __image_end - _start
    .quad   0xa                     // little endian, 4 KiB pages, anywhere
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0
1:
    msr     daifset, #0xf
    mov     x20, x0
    adrp    x19, _start
    add     x19, x19, :lo12:_start
    adrp    x0, __rela_start
    add     x0, x0, :lo12:__rela_start
    adrp    x1, __rela_end
    add     x1, x1, :lo12:__rela_end
2:  cmp     x0, x1
    b.hs    3f
    ldp     x2, x3, [x0], #16
    ldr     x4, [x0], #8
    cmp     w3, #1027               // R_AARCH64_RELATIVE
    b.ne    2b
    add     x4, x4, x19
    str     x4, [x2, x19]
    b       2b
3:  adrp    x0, __bss_start
    add     x0, x0, :lo12:__bss_start
    adrp    x1, __bss_end
    add     x1, x1, :lo12:__bss_end
4:  cmp     x0, x1
    b.hs    5f
    stp     xzr, xzr, [x0], #16
    b       4b
5:  adrp    x0, STACKS + {stack}
    add     x0, x0, :lo12:STACKS + {stack}
    mov     sp, x0
    msr     tpidr_el1, xzr
    dsb     sy
    ic      iallu
    dsb     sy
    isb
    mov     x0, x20
    bl      {primary}
    b       .

    // Where PSCI starts the others, each at an entry of its own, 8 bytes after the one before. The context that CPU_ON is given is not
    // to be relied on: Xen writes the result of CPU_OFF over it if that is on its way still.
    .global second_entry
    .balign 8
second_entry:
    mov     x0, #1
    b       6f
    mov     x0, #2
    b       6f
    mov     x0, #3
    b       6f
6:  msr     daifset, #0xf
    msr     tpidr_el1, x0
    mov     x1, #{stack}
    madd    x0, x0, x1, x1
    adrp    x1, STACKS
    add     x1, x1, :lo12:STACKS
    add     x0, x0, x1
    mov     sp, x0
    isb
    bl      {secondary}
    b       .
"#,
    stack = const STACK,
    primary = sym crate::primary,
    secondary = sym crate::second::secondary,
);
