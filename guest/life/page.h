/* SPDX-License-Identifier: GPL-2.0-only */
/* What guest.S and life.c agree on. */

/* Offsets in the page: the vectors (a multiple of 2 KiB), with the code's second half behind; one 64-bit count a vCPU. */
#define PAGE_VECTORS 0x800
#define PAGE_COUNTS 0x7c0
/* After so many interrupts a vCPU has shown that it runs; the last one ends no more of its interrupts then. */
#define PAGE_ENOUGH 8
/* A physical SPI that nobody uses: QEMU's last virtio-mmio slot, which the device tree keeps from Dom0. */
#define PAGE_SPI 79
