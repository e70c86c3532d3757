/* SPDX-License-Identifier: GPL-2.0-only */
/* What guest.S and life.c agree on. */

/* Offsets in the page: the vectors (a multiple of 2 KiB), with the code's second half behind; one 64-bit count a vCPU. */
#define PAGE_VECTORS 0x800
#define PAGE_COUNTS 0x7c0
/* After so many interrupts a vCPU has shown that it runs; the last one ends no more of its interrupts then. */
#define PAGE_ENOUGH 8
/* LPIs that vCPU 0 has taken. */
#define PAGE_LPIS 0x7f0
/*
 * Of a domain with an ITS: behind the page with the code, the command queue, which has been written before the domain starts, and the
 * LPIs' configuration. As many devices and events as a domain may have by default, and a few that are refused.
 */
#define ITS_QUEUE_PAGES 18
#define ITS_CONFIGURATION_PAGES 2
#define ITS_CONFIGURATION (1 + ITS_QUEUE_PAGES)
#define ITS_PAGES (ITS_CONFIGURATION + ITS_CONFIGURATION_PAGES)
#define ITS_DEVICES 64
#define ITS_EVENT_BITS 5
/* A physical SPI that nobody uses: QEMU's last virtio-mmio slot, which the device tree keeps from Dom0. */
#define PAGE_SPI 79
