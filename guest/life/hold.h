/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that would keep the registers of its functions when they are another domain's: its BARs are where Xen has found it hard to
 * unmap them. It has not kept them if its CPUs find nothing there once the functions have left.
 */
#ifndef LIFE_HOLD_H
#define LIFE_HOLD_H

#include "places.h"

enum { LEAVES_MS = 300000, ASKS_MS = 10, SIGBUS = 7, SIGKILL = 9, NVME_VERSION = 8 };

/* The last is the second function's until that leaves as well. */
static const struct {
	const char *what;
	uint64_t address;
} places[] = {
	{ " around RAM", PLACE_WITH_RAM },
	{ " that two BARs had", PLACE_OF_TWO },
	{ " under a table", PLACE_UNDER_TABLE },
	{ " of a table", PLACE_OF_TABLE },
};
enum { PLACES = sizeof(places) / sizeof(*places) };

static void move_bar(unsigned int bar, uint64_t address)
{
	place(bar, (reads(BAR0 + bar * 4) & 6) == 4, address);
}

/* An NVMe says which version of its interface it has. */
static void answers(uint64_t address)
{
	uint8_t *registers = map_at(address, PAGE);
	uint32_t version = (uint32_t)get(registers + NVME_VERSION, 4);

	unmap_pages(registers, PAGE);
	holds("a function is not where its BAR is", version >= 0x10000 && version < 0x100000);
}

/* The first has its registers and its table in one BAR, the second, which there need not be, in two. */
static void hold(uint8_t *first, uint8_t *second)
{
	space = first;
	decode(0);
	if (second) {
		unsigned int table;

		space = second;
		decode(0);
		table = reads(capability(ID_MSIX) + 4) & 7;
		holds("the table is where the registers are", table != 0);
		/* Where CPUs do not find it, a table's BAR is not mapped. It comes over another one, which is mapped, and is to go. */
		move_bar(0, PLACE_UNDER_TABLE);
		move_bar(table, NOWHERE);
		decode(1);
		answers(PLACE_UNDER_TABLE);
		move_bar(table, PLACE_UNDER_TABLE);
		decode(0);
		move_bar(table, PLACE_OF_TABLE);
		/* The first goes from where the second is as well by then. */
		space = first;
		move_bar(0, PLACE_OF_TWO);
		decode(1);
		answers(PLACE_OF_TWO);
		space = second;
		move_bar(0, PLACE_OF_TWO);
		decode(1);
		space = first;
		decode(0);
	}
	/* Dom0 does what the guest's kernel could as well: one of these pages becomes RAM. */
	move_bar(0, PLACE_WITH_RAM);
	decode(1);
	answers(PLACE_WITH_RAM);
}

/* Does anything come of a read? Another process has it, which an abort ends. Linux tells by what Xen says of the abort with which signal. */
static int is_there(const uint8_t *at)
{
	int status = 0;
	long child = must("start another process", syscall6(SYS_CLONE, SIGCHLD, 0, 0, 0, 0, 0));

	if (!child) {
		get(at, 4);
		end(0);
	}
	must("wait for it", syscall6(SYS_WAIT4, child, (long)&status, 0, 0, 0, 0));
	holds("it did not end as it would for an abort", status == 0 || (status & 0x7f) == SIGBUS || (status & 0x7f) == SIGKILL);
	return status == 0;
}

/* Waits until the function is not the guest's any more; then nothing is at so many of the places. */
static void gone(uint64_t count)
{
	struct line line = { .length = 0 };
	int64_t deadline = now_ms() + LEAVES_MS;
	uint64_t there = 0;
	unsigned int i, page;

	while ((uint16_t)reads(0) != 0xffff) {
		holds("the function does not leave", now_ms() < deadline);
		sleep_ms(ASKS_MS);
	}
	add(&line, PROGRAM ": FAILED pages still there:");
	for (i = 0; i < count && i < PLACES; i++) {
		uint8_t *at = map_at(places[i].address, PLACE_PAGES * PAGE);
		uint64_t found = 0;

		for (page = 0; page < PLACE_PAGES; page++) {
			int is_ram = places[i].address == PLACE_WITH_RAM && page == RAM_PAGE;

			if (is_ram)
				holds("RAM went with the BAR around it", is_there(at + page * PAGE));
			else
				found += (uint64_t)is_there(at + page * PAGE);
		}
		unmap_pages(at, PLACE_PAGES * PAGE);
		if (found) {
			add(&line, there ? ", " : " ");
			add_number(&line, found);
			add(&line, places[i].what);
		}
		there += found;
	}
	if (there) {
		print(&line);
		end(1);
	}
}

#endif
