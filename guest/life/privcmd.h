/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs have in common that reach Xen through Linux's privcmd.
 */
#ifndef LIFE_PRIVCMD_H
#define LIFE_PRIVCMD_H

#include "program.h"

enum { PAGE = 4096 };

static long privcmd;

static long hypercall3(uint64_t op, uint64_t first, uint64_t second, uint64_t third)
{
	struct privcmd_hypercall call = { .op = op, .arg = { first, second, third } };

	return syscall6(SYS_IOCTL, privcmd, PRIVCMD_HYPERCALL, (long)&call, 0, 0, 0);
}

static inline long hypercall(uint64_t op, uint64_t first, uint64_t second)
{
	return hypercall3(op, first, second, 0);
}

/* Has Linux map pages of another domain's memory at `here`, which privcmd has given; `frames` and `errors` have one for each. */
static long map_foreign(uint16_t domain, long here, uint32_t pages, const uint64_t *frames, int32_t *errors)
{
	struct privcmd_mmap map = {
		.count = pages, .domain = domain, .address = (uint64_t)here,
		.frames = (uint64_t)frames, .errors = (uint64_t)errors,
	};
	long result;

	for (uint32_t i = 0; i < pages; i++)
		errors[i] = 0;
	result = syscall6(SYS_IOCTL, privcmd, PRIVCMD_MMAP, (long)&map, 0, 0, 0);
	for (uint32_t i = 0; i < pages && result >= 0; i++)
		result = errors[i];
	return result;
}

/* Opens privcmd; the result is memory for hypercalls, a page that the kernel does not move. */
static void *open_privcmd(void)
{
	long hypercalls = open_device("/dev/xen/hypercall");

	privcmd = must("open /dev/xen/privcmd", open_device("/dev/xen/privcmd"));
	return (void *)must("get memory for hypercalls", map_pages(must("open /dev/xen/hypercall", hypercalls), PAGE));
}

/* Makes what Dom0 wrote or is about to read the same for a guest without caches; `code` as well. */
static void synchronise(const uint8_t *from, size_t size, int code)
{
	for (size_t i = 0; i < size; i += 16) {
		__asm__ volatile("dc civac, %0" :: "r"(from + i) : "memory");
		if (code)
			__asm__ volatile("ic ivau, %0" :: "r"(from + i) : "memory");
	}
	__asm__ volatile("dsb ish; isb" ::: "memory");
}

#endif
