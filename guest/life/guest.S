/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What runs in the domains: one page of code that all vCPUs start at, with the MMU off. They take timer interrupts,
 * send each other SGIs and count what they have taken. the last one stops ending its interrupts after a few, so that the
 * domain dies with one active and others pending behind it.
 *
 * In: x0 the vCPU, x1 the GIC's version as Xen numbers it (1 or 2; 3 is an rVIC), x2 the address of this page, x4 whether this is the
 * last vCPU, x5 of a vCPU that is to have an ITS execute commands how many bytes of them there are.
 */
#include "page.h"

	// A call of an rVIC, which changes x0 to x3.
	.macro	rvic number
	movz	x0, #0xc500, lsl #16
	movk	x0, #\number
	hvc	#0
	.endm

	.section .rodata
	.balign 4096
	.global guest_page
guest_page:
	add	x3, x2, #PAGE_VECTORS
	msr	vbar_el1, x3
	isb
	add	x19, x2, #PAGE_COUNTS
	add	x19, x19, x0, lsl #3		// our count
	mov	x20, #0
	movz	x10, #0x0300, lsl #16		// the distributor
	movk	x10, #0x1000
	mov	w12, #-1
	cmp	w1, #3
	b.eq	rvic_guest
	cmp	w1, #2
	b.eq	2f

	movz	x11, #0x0300, lsl #16		// GICv2: the CPU interface
	movk	x11, #0x2000
	str	w12, [x10, #0x100]		// GICD_ISENABLER0: all private ones
	cbnz	x0, 1f
	add	x13, x10, #0x800
	mov	w12, #1
	strb	w12, [x13, #PAGE_SPI]		// GICD_ITARGETSR: vCPU 0
	mov	w12, #1 << (PAGE_SPI % 32)
	str	w12, [x10, #0x100 + PAGE_SPI / 32 * 4]
	mov	w12, #1
	str	w12, [x10]			// GICD_CTLR
1:	mov	w12, #0xff
	str	w12, [x11, #4]			// GICC_PMR
	mov	w12, #1
	str	w12, [x11]			// GICC_CTLR
	b	4f

2:	movz	x11, #0x0303, lsl #16		// GICv3: our redistributor's SGI frame
	add	x11, x11, x0, lsl #17
	str	w12, [x11, #0x80]		// GICR_IGROUPR0
	str	w12, [x11, #0x100]		// GICR_ISENABLER0
	cbnz	x0, 3f
	mov	w12, #0x12			// ARE, EnableGrp1
	str	w12, [x10]			// GICD_CTLR
	mov	w12, #1 << (PAGE_SPI % 32)
	str	w12, [x10, #0x80 + PAGE_SPI / 32 * 4]
	str	w12, [x10, #0x100 + PAGE_SPI / 32 * 4]
3:	mov	x12, #7
	msr	s3_0_c12_c12_5, x12		// ICC_SRE_EL1
	isb
	mov	x12, #0xff
	msr	s3_0_c4_c6_0, x12		// ICC_PMR_EL1
	mov	x12, #1
	msr	s3_0_c12_c12_7, x12		// ICC_IGRPEN1_EL1
	isb
	cbz	x5, 4f

	// LPIs, whose pending table is said to be zero, and the ITS, which fills its own tables: a guest's are never read.
	movz	x15, #0x0302, lsl #16		// our redistributor's first frame
	add	x12, x2, #ITS_CONFIGURATION, lsl #12
	add	x12, x12, #13			// INTIDs of 14 bits
	str	x12, [x15, #0x70]		// GICR_PROPBASER
	mov	x12, #0x4000000000000000
	orr	x12, x12, x2
	add	x12, x12, #0x20, lsl #12
	str	x12, [x15, #0x78]		// GICR_PENDBASER
	mov	w12, #1
	str	w12, [x15]			// GICR_CTLR.EnableLPIs
	movz	x15, #0x0808, lsl #16		// the ITS
	mov	x12, #0x8000000000000000
	orr	x12, x12, x2
	orr	x13, x12, #0x200		// pages of 64 KiB
	str	x13, [x15, #0x100]		// GITS_BASER0: devices
	str	x13, [x15, #0x108]		// GITS_BASER1: collections
	add	x12, x12, #1, lsl #12
	add	x12, x12, #ITS_QUEUE_PAGES - 1
	str	x12, [x15, #0x80]		// GITS_CBASER
	mov	w12, #1
	str	w12, [x15]			// GITS_CTLR
	str	x5, [x15, #0x88]		// GITS_CWRITER
1:	ldr	x12, [x15, #0x90]		// GITS_CREADR
	cmp	x12, x5
	b.ne	1b

4:	mrs	x13, cntfrq_el0
	lsr	x21, x13, #10			// about a millisecond
	msr	cntv_tval_el0, x21
	mov	x12, #1
	msr	cntv_ctl_el0, x12
	isb
	msr	daifclr, #2
5:	cmp	w1, #2				// an SGI to the other vCPU, then sleep
	b.eq	6f
	movz	w12, #0x0100, lsl #16		// GICD_SGIR: all others, SGI 1
	movk	w12, #1
	str	w12, [x10, #0xf00]
	b	7f
6:	movz	x12, #0x0100, lsl #32		// ICC_SGI1R_EL1: all others, SGI 1
	movk	x12, #0x0100, lsl #16
	msr	s3_0_c12_c11_5, x12
	isb
7:	wfi
	b	5b

	/* The vectors. Anything but an interrupt stops the vCPU with a count that cannot be. */
	.org	guest_page + PAGE_VECTORS
	.rept	5
	b	stop
	.balign	128
	.endr
	cmp	w1, #3
	b.eq	rvic_interrupt
	cmp	w1, #2
	b.eq	1f
	ldr	w13, [x11, #0xc]		// GICC_IAR
	and	w14, w13, #0x3ff
	b	2f
1:	mrs	x13, s3_0_c12_c12_0		// ICC_IAR1_EL1
	dsb	sy
	and	w14, w13, #0xffffff
2:	sub	w15, w14, #1020
	cmp	w15, #4
	b.lo	9f
	add	x20, x20, #1
	str	x20, [x19]
	b	3f
	.balign	128
	.rept	2
	b	stop
	.balign	128
	.endr
	// The entries for lower exception levels are not needed: there is none.

3:	cmp	w14, #27			// the virtual timer, which Xen's own vGICs mask: again
	b.ne	4f
	msr	cntv_tval_el0, x21
	mov	x15, #1
	msr	cntv_ctl_el0, x15
	isb
4:	lsr	w15, w14, #13			// an LPI
	cbz	w15, 8f
	ldr	x15, [x2, #PAGE_LPIS]
	add	x15, x15, #1
	str	x15, [x2, #PAGE_LPIS]
8:	cmp	w14, #31			// Xen's events: once is enough
	b.ne	5f
	mov	w15, #0x80000000
	add	x16, x10, #0x180		// GICD_ICENABLER0
	add	x17, x11, #0x180		// GICR_ICENABLER0
	cmp	w1, #2
	csel	x16, x17, x16, eq
	str	w15, [x16]
5:	cbz	x4, 6f
	cmp	x20, #PAGE_ENOUGH
	b.hs	9f
6:	cmp	w1, #2
	b.eq	7f
	str	w13, [x11, #0x10]		// GICC_EOIR
	b	9f
7:	msr	s3_0_c12_c12_1, x13		// ICC_EOIR1_EL1
	isb
9:	eret

	// The same with an rVIC. The calls' registers are kept elsewhere: x25 to x28 of what runs, x22 to x24 of the handler.
rvic_guest:
	mov	x25, x0
	mov	x26, x1
	mov	x27, x2
	mrs	x28, mpidr_el1
	and	x28, x28, #0xff
	cbnz	x0, 1f
	mov	x1, #PAGE_SPI - 32
	mov	x2, x28
	mov	x3, #32
	rvic	0x101				// RVID MAP: on vCPU 0
1:	mov	x21, #32
2:	mov	x1, x28
	mov	x2, x21
	rvic	0x205				// CLEAR_MASKED: all of the trusted ones, and that
	sub	x21, x21, #1
	tbz	x21, #63, 2b
	rvic	0x202				// ENABLE
	mrs	x13, cntfrq_el0
	lsr	x21, x13, #10			// about a millisecond
	msr	cntv_tval_el0, x21
	mov	x12, #1
	msr	cntv_ctl_el0, x12
	isb
	mov	x1, x26
	msr	daifclr, #2
3:	msr	daifset, #2
	eor	x1, x28, #1			// the other vCPU, if there is one
	mov	x2, #1
	rvic	0x207				// SIGNAL
	mov	x1, x26
	msr	daifclr, #2
	wfi
	b	3b

rvic_interrupt:
	rvic	0x209				// ACKNOWLEDGE
	cbnz	x0, 9f
	mov	x22, x1
	add	x20, x20, #1
	str	x20, [x19]
	cmp	x22, #27			// the virtual timer
	b.ne	1f
	msr	cntv_tval_el0, x21
	isb
	mov	x1, x22
	rvic	0x20a				// RESAMPLE
1:	cmp	x22, #31			// Xen's events: once is enough
	b.eq	9f
	cbz	x4, 2f
	cmp	x20, #PAGE_ENOUGH
	b.hs	9f
2:	mov	x1, x28
	mov	x2, x22
	rvic	0x205				// CLEAR_MASKED
9:	mov	x1, x26
	eret

stop:	mov	x20, #-1
	str	x20, [x19]
	dsb	sy
	wfi
	b	stop

	.org	guest_page + 4096
	.section .note.GNU-stack, "", %progbits
