/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A page of another domain's memory in which both have words of 64 bits, each with one writer, and how that domain is found: it is the
 * one with a magic number at the place that was agreed on.
 */
#ifndef LIFE_SHARED_H
#define LIFE_SHARED_H

#include "privcmd.h"

/* How long to wait for it; it is one of the domains that were there first. */
enum { GUEST_MS = 120000, DOMAINS = 10 };

static uint8_t *page;
static uint16_t domain;

static volatile uint64_t *word(size_t offset)
{
	return (volatile uint64_t *)(page + offset);
}

/* What the guest has written. */
static uint64_t look(size_t offset)
{
	synchronise(page + (offset & ~63UL), 64, 0);
	return *word(offset);
}

static void tell(size_t offset, uint64_t value)
{
	*word(offset) = value;
	synchronise(page + (offset & ~63UL), 64, 0);
}

/* The magic number is the page's first word. */
static void find_guest(uint64_t address, uint64_t magic, const char *otherwise)
{
	int64_t deadline = now_ms() + GUEST_MS;

	while (now_ms() < deadline) {
		for (domain = 1; domain <= DOMAINS; domain++) {
			long here = must("get a place for a page", map_pages(privcmd, PAGE));
			uint64_t frame = address / PAGE;
			int32_t error;

			page = (uint8_t *)here;
			if (map_foreign(domain, here, 1, &frame, &error) == 0 && look(0) == magic)
				return;
			unmap_pages(page, PAGE);
		}
		sleep_ms(100);
	}
	fail(otherwise, 0);
}

#endif
