/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Domains that own the device: Linux, which Dom0 builds from the files in /lib/pci without any toolstack. What they say comes through
 * their vPL011.
 */
#ifndef LIFE_OWNER_H
#define LIFE_OWNER_H

#include "pci.h"

/* Where xtask/assets/owner.dts has what; the console's page is no memory of Linux's. */
enum { OWNER_HUGE_PAGES = 64, HUGE_ORDER = 9, HUGE = PAGE << HUGE_ORDER };
#define OWNER_KERNEL (GUEST_RAM + 0x200000)
#define OWNER_INITRD (GUEST_RAM + 0x4000000)
#define OWNER_TREE (GUEST_RAM + 0x7e00000)
/* How long it may take to boot and to read, and for how long it then goes on. */
enum { OWNER_MS = 300000, GOES_ON_MS = 100, WARM_UP = 2 };

static struct console_ring *ring;
static uint32_t ring_event;
/* The last line that is whole, and the next. */
static struct line heard, hearing;

/* Puts a file into the memory of a domain that has not begun. */
static void load(uint16_t domain, const char *path, uint64_t address)
{
	static uint64_t frames[1 << HUGE_ORDER];
	static int32_t errors[1 << HUGE_ORDER];
	long file = syscall6(SYS_OPENAT, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0), got = 1;

	must("open what is to be loaded", file);
	for (; got > 0; address += HUGE) {
		long here = must("get a place for pages", map_pages(privcmd, HUGE));
		size_t at = 0;

		for (uint32_t i = 0; i < 1 << HUGE_ORDER; i++)
			frames[i] = address / PAGE + i;
		must("map the domain's pages", map_foreign(domain, here, 1 << HUGE_ORDER, frames, errors));
		while (at < HUGE && got > 0) {
			got = syscall6(SYS_READ, file, here + (long)at, (long)(HUGE - at), 0, 0, 0);
			at += (size_t)must("read what is to be loaded", got);
		}
		synchronise((const uint8_t *)here, at, 1);
		unmap_pages((void *)here, HUGE);
	}
	syscall6(SYS_CLOSE, file, 0, 0, 0, 0, 0);
}

static void open_console(uint16_t domain)
{
	struct domctl *op;
	uint64_t frame = GUEST_MAGIC / PAGE;
	int32_t error;
	long here = must("get a place for the console's page", map_pages(privcmd, PAGE));

	populate(domain, frame, 1, 0);
	op = prepare(DOMCTL_VUART, domain);
	op->vuart.command = VUART_INIT;
	op->vuart.type = VUART_VPL011;
	op->vuart.frame = frame;
	must("give it a vPL011", domctl());
	ring_event = bind_event(domain, op->vuart.port);
	must("map the console's page", map_foreign(domain, here, 1, &frame, &error));
	ring = (struct console_ring *)here;
	heard.length = hearing.length = 0;
}

static void close_console(void)
{
	unmap_pages(ring, PAGE);
	close_event(ring_event);
}

/* Takes what the domain has written, up to the end of a line; whether there was one, which is then in `heard`. */
static int hear(void)
{
	volatile struct console_ring *now = ring;
	uint32_t taken = now->out_taken, put = now->out_put;
	int whole = 0;

	__asm__ volatile("dmb ish" ::: "memory");
	if (taken == put)
		return 0;
	while (taken != put && !whole) {
		char text[2] = { (char)now->out[taken++ % sizeof(now->out)], 0 };

		if (text[0] == '\n')
			whole = 1;
		else if (text[0] != '\r')
			add(&hearing, text);
	}
	__asm__ volatile("dmb ish" ::: "memory");
	now->out_taken = taken;
	send_event(ring_event);
	if (whole) {
		heard = hearing;
		heard.text[heard.length] = 0;
		hearing.length = 0;
	}
	return whole;
}

/* What follows `word` in a line that begins so; NULL if it does not. */
static const char *behind(const char *line, const char *word)
{
	while (*word)
		if (*line++ != *word++)
			return NULL;
	return line;
}

/* Waits until the domain says `word`; the result is what follows. All that it says is said here as well. */
static const char *wait_for(const char *word)
{
	int64_t deadline = now_ms() + OWNER_MS;

	while (now_ms() < deadline) {
		struct line line = { .length = 0 };
		const char *said, *rest;

		if (!hear()) {
			sleep_ms(1);
			continue;
		}
		add(&line, "owner: ");
		add(&line, heard.text);
		print(&line);
		said = behind(heard.text, "MARK guest ");
		rest = said ? behind(said, word) : NULL;
		if (rest)
			return rest;
	}
	fail("a domain that owns the device falls silent", 0);
}

/* The number in "name=number" at the begin of a text. */
static uint64_t value(const char *text, const char *name)
{
	const char *at = behind(text, name);
	uint64_t number = 0;

	for (; at && *at >= '0' && *at <= '9'; at++)
		number = number * 10 + (uint64_t)(*at - '0');
	return number;
}

/* "requests=N interrupts=N": the result is N. */
static uint64_t exact(const char *text)
{
	uint64_t requests = value(text, "requests="), interrupts;

	while (*text && *text != ' ')
		text++;
	interrupts = value(text, " interrupts=");
	if (!requests || requests != interrupts) {
		struct line line = { .length = 0 };

		add(&line, PROGRAM ": FAILED a domain that owns the device has made ");
		add_number(&line, requests);
		add(&line, " requests, and taken ");
		add_number(&line, interrupts);
		add(&line, " interrupts");
		print(&line);
		end(1);
	}
	return requests;
}

/*
 * One domain; the result is how many requests it has made, each with an interrupt. It dies in the middle of more of them; of each
 * second one the device is taken before. The last lets the device go first, and is still there when it is taken.
 */
static uint64_t one_life(uint64_t which, int last)
{
	uint16_t domain;
	uint64_t requests;

	must("create a domain", create(1, GIC_NATIVE, CREATE_IOMMU | CREATE_VPCI | find_msi_flag()));
	domain = domctl_op->domain;
	create_vcpus(domain, 1);
	set_limits(domain, OWNER_HUGE_PAGES * HUGE / 1024 + 1024, 4096);
	populate(domain, GUEST_RAM / PAGE, OWNER_HUGE_PAGES, HUGE_ORDER);
	open_console(domain);
	load(domain, "/lib/pci/Image", OWNER_KERNEL);
	load(domain, "/lib/pci/initrd", OWNER_INITRD);
	load(domain, last ? "/lib/pci/last.dtb" : "/lib/pci/again.dtb", OWNER_TREE);
	give_device(domain);
	memset(&buffer->context, 0, sizeof(buffer->context));
	buffer->context.x[0] = OWNER_TREE;
	buffer->context.pc = OWNER_KERNEL;
	set_context(domain, 0);
	unpause(domain);
	requests = exact(wait_for("exact "));
	if (last)
		wait_for("released");
	else
		sleep_ms(GOES_ON_MS + (unsigned int)(which * 37 % GOES_ON_MS));
	if (last || which % 2)
		take_device(domain);
	destroy(domain);
	close_console();
	wait_until_gone(domain);
	/* Nobody has told it that it has no owner any more. */
	if (!last && !(which % 2))
		reset_device();
	return requests;
}

static void lives(uint64_t domains)
{
	struct line line = { .length = 0 };
	uint64_t before = 0, after, requests = 0;

	find_versions();
	for (uint64_t i = 0; i < domains + WARM_UP; i++) {
		/* What Xen and Linux keep for the next time. */
		if (i == WARM_UP)
			before = settled();
		requests += one_life(i, i == domains + WARM_UP - 1);
	}
	after = settled();
	add(&line, after == before ? PROGRAM ": ok " : PROGRAM ": FAILED ");
	add_number(&line, domains);
	add(&line, " domains: ");
	add_number(&line, requests);
	add(&line, " requests, as many interrupts; ");
	add_number(&line, before);
	add(&line, " pages free before, ");
	add_number(&line, after);
	add(&line, " after");
	print(&line);
	end(after != before);
}

#endif
