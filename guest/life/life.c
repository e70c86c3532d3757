// SPDX-License-Identifier: GPL-2.0-only
/*
 * life N [msi|rvic|no-rvic]: creates and destroys N domains from Dom0 and compares Xen's free memory before and after.
 *
 * The domains differ in how far they get: some never have a vCPU, some have interrupts queued and never run, and most
 * die while their vCPUs take interrupts, with some active, some pending, and a physical SPI routed to them. On arm64
 * all that Xen allocates comes from one heap, so that its count of free pages tells of anything that is lost, once
 * enough of it is lost to fill a page.
 *
 * Half of the domains have one vCPU, and of those nothing may be lost at all. Of a domain with several, Xen's scheduler
 * itself keeps one struct sched_unit, whatever the vGIC: vCPUs are destroyed from the last to the first, and
 * sched_free_unit() takes one that has gone for another of the same unit. That much is allowed.
 *
 * With `msi`, each domain has an ITS or a GICv2m frame, and those that run on a GICv3 have their ITS map as many devices and events
 * as they may have, and refuse more, before they take its interrupts.
 *
 * With `rvic`, each has an rVIC and an rVID in place of a GIC, some with level inputs; before, what does not go with them is refused, and
 * so is the physical SPI where inputs are edges. With `no-rvic`, Xen has no
 * such: it refuses them, and all have a GIC.
 *
 * The last line is "life: ok ..." or "life: FAILED ...". Needs /dev/xen/privcmd and /dev/xen/hypercall.
 */
#define PROGRAM "life"
#include "page.h"
#include "build.h"

enum { KINDS = 4, WARM_UP = 10 * KINDS };
/* What Xen may keep of a domain with several vCPUs: struct sched_unit (144 bytes) and its header in the heap (16). */
enum { KEPT = 160 };
/* How far a domain gets. */
enum kind {
	EMPTY,   /* no vCPUs */
	QUEUED,  /* vCPUs and an interrupt, but never run */
	RUNNING, /* destroyed while it runs */
	ROUTED,  /* the same with a physical interrupt */
};

extern const uint8_t guest_page[PAGE];

/* The flag of a domain's creation that gives it messages; 0: none gets it. */
static uint32_t msi_flag;
/* The interrupt controller of all; and the flag of an rVID's level inputs. */
static uint8_t version = GIC_NATIVE;
static uint32_t levels_flag;

/* Gives the domain memory, and returns it as seen from here. */
static uint8_t *give_pages(uint16_t domain, uint32_t pages)
{
	long here = map_pages(privcmd, pages * PAGE);
	int32_t errors[ITS_PAGES];
	uint8_t *page = (uint8_t *)here;

	must("get a place for pages", here);
	set_limits(domain, 1024, 1024);
	populate(domain, GUEST_RAM / PAGE, pages, 0);
	for (uint32_t i = 0; i < pages; i++)
		buffer->frames[i] = GUEST_RAM / PAGE + i;
	must("map the domain's pages", map_foreign(domain, here, pages, buffer->frames, errors));
	memcpy(page, guest_page, PAGE);
	synchronise(page, PAGE, 1);
	return page;
}

/*
 * Writes the queue of a domain's ITS: as many devices and events as there may be, the LPIs on as many of Xen's pages as those may be, and
 * then one more of each. The last event of each device is sent. The result is the queue's length in bytes.
 */
static uint64_t fill_queue(uint8_t *page)
{
	enum { INT = 3, MAPD = 8, MAPC = 9, MAPTI = 10, EVENTS = 1 << ITS_EVENT_BITS, FIRST_LPI = 8192, ENABLED = 0xa3 };
	_Static_assert((1 + (ITS_DEVICES + 1) + ITS_DEVICES * EVENTS + 1 + ITS_DEVICES) * 32 < ITS_QUEUE_PAGES * PAGE, "the queue");
	const uint64_t valid = 1ULL << 63;
	uint8_t *configuration = page + ITS_CONFIGURATION * PAGE;
	uint64_t (*queue)[4] = (uint64_t (*)[4])(page + PAGE);
	size_t at = 0;

	memset(queue, 0, ITS_QUEUE_PAGES * PAGE);
	memset(configuration, ENABLED, ITS_CONFIGURATION_PAGES * PAGE);
	queue[at][0] = MAPC;
	queue[at++][2] = valid;
	for (uint64_t device = 0; device <= ITS_DEVICES; device++) {
		queue[at][0] = device << 32 | MAPD;
		queue[at][1] = ITS_EVENT_BITS - 1;
		queue[at++][2] = valid | GUEST_RAM;
		for (uint64_t event = 0; event < (device < ITS_DEVICES ? EVENTS : 1); event++) {
			queue[at][0] = device << 32 | MAPTI;
			queue[at++][1] = (FIRST_LPI + 2 * (device * EVENTS + event)) << 32 | event;
		}
	}
	for (uint64_t device = 0; device < ITS_DEVICES; device++) {
		queue[at][0] = device << 32 | INT;
		queue[at++][1] = EVENTS - 1;
	}
	synchronise(page + PAGE, (ITS_PAGES - 1) * PAGE, 0);
	return at * sizeof(*queue);
}

static void start(uint16_t domain, uint8_t gic, uint32_t vcpus, uint64_t commands)
{
	for (uint32_t vcpu = 0; vcpu < vcpus; vcpu++) {
		struct vcpu_context *context = &buffer->context;

		memset(context, 0, sizeof(*context));
		context->x[0] = vcpu;
		context->x[1] = gic;
		context->x[2] = context->pc = GUEST_RAM;
		context->x[4] = vcpu == vcpus - 1;
		context->x[5] = vcpu ? 0 : commands;
		set_context(domain, vcpu);
	}
	unpause(domain);
}

/* Sends the domain an event, which is an interrupt of its vCPU 0; the result is our end of the channel. */
static uint32_t make_event(uint16_t domain)
{
	union event_channel *op = &buffer->event;
	uint32_t ours;

	*op = (union event_channel){ .alloc_unbound = { .domain = domain, .remote = DOMID_SELF } };
	must("make an event channel", event(EVENT_ALLOC_UNBOUND));
	ours = bind_event(domain, op->alloc_unbound.port);
	send_event(ours);
	return ours;
}

/* Routes the physical interrupt; the domain that had it before may not have been freed yet. */
static long try_to_route(uint16_t domain)
{
	long result = -EBUSY;

	for (int ms = 0; ms < PATIENCE_MS && result == -EBUSY; ms++) {
		struct domctl *op = prepare(DOMCTL_BIND_IRQ, domain);

		op->bind_irq.machine_irq = PAGE_SPI;
		op->bind_irq.type = BIND_SPI;
		op->bind_irq.spi = PAGE_SPI;
		result = domctl();
		if (result == -EBUSY)
			sleep_ms(1);
	}
	return result;
}

static void must_be_invalid(const char *what, long result)
{
	if (result != -EINVAL)
		fail(what, result);
}

/* An input that is an edge takes none of the host's. */
static void route(uint16_t domain, int refused)
{
	if (refused)
		must_be_invalid("a physical interrupt at an edge input was not refused", try_to_route(domain));
	else
		must("route a physical interrupt", try_to_route(domain));
}

/* Waits until all vCPUs have taken interrupts, and LPIs if there are any. */
static void watch(const uint8_t *page, uint32_t vcpus, int lpis)
{
	const volatile uint64_t *counts = (const volatile uint64_t *)(page + PAGE_COUNTS);
	const volatile uint64_t *lpis_taken = (const volatile uint64_t *)(page + PAGE_LPIS);

	for (int ms = 0; ms < PATIENCE_MS / 4; ms++) {
		int busy;

		synchronise(page + PAGE_COUNTS, PAGE_VECTORS - PAGE_COUNTS, 0);
		busy = lpis && !*lpis_taken;
		for (uint32_t i = 0; i < vcpus; i++) {
			if (counts[i] == UINT64_MAX)
				fail("a vCPU took an exception that is no interrupt", 0);
			busy += counts[i] < PAGE_ENOUGH;
		}
		if (!busy)
			return;
		sleep_ms(1);
	}
	fail("a domain's vCPUs took no interrupts", 0);
}

/* With an rVIC, its inputs are `levels` or not. */
static void live_and_die(enum kind kind, uint32_t vcpus, int levels)
{
	const struct domctl *op = domctl_op;
	uint32_t port = 0;
	uint32_t pages = 1;
	uint64_t commands = 0;
	uint8_t *page = NULL, gic;
	uint16_t domain;

	must("create a domain", create(vcpus, version, msi_flag | (levels ? levels_flag : 0)));
	domain = op->domain;
	gic = arch_of(&domctl_op->create)->gic_version;
	if (kind != EMPTY) {
		create_vcpus(domain, vcpus);
		port = make_event(domain);
	}
	if (kind == ROUTED)
		route(domain, levels_flag && !levels);
	if (kind >= RUNNING) {
		if (msi_flag && gic == GIC_V3)
			pages = ITS_PAGES;
		page = give_pages(domain, pages);
		if (pages > 1)
			commands = fill_queue(page);
		start(domain, gic, vcpus, commands);
		watch(page, vcpus, pages > 1);
	}
	destroy(domain);
	if (page)
		unmap_pages(page, pages * PAGE);
	if (port)
		close_event(port);
	wait_until_gone(domain);
}

/*
 * One domain after the other: memory comes back a moment after a domain has gone, when no CPU can be looking at it any
 * more (RCU), and Xen's heap takes more pages, for good, the more is waiting for that.
 */
static void one_life(enum kind kind, uint32_t vcpus, int levels)
{
	uint64_t before = free_pages();

	live_and_die(kind, vcpus, levels);
	for (int ms = 0; ms < BACK_MS && free_pages() < before; ms++)
		sleep_ms(1);
}

static void lives(uint64_t domains, uint32_t vcpus)
{
	for (uint64_t i = 0; i < domains; i++)
		one_life((enum kind)(i % KINDS), vcpus, i / KINDS % 2 == 0);
}

/* So many domains, and memory as before; says so in `line`. */
static void must_be_back(uint64_t domains, uint32_t vcpus, struct line *line)
{
	uint64_t before = settled(), after, may_lose;

	lives(domains, vcpus);
	after = settled();
	may_lose = vcpus > 1 ? (domains * KEPT + PAGE - 1) / PAGE : 0;
	if (after > before || before - after > may_lose) {
		line->length = 0;
		add(line, "life: FAILED ");
	} else if (vcpus > 1) {
		add(line, "; ");
	}
	add_number(line, before);
	add(line, " pages free before ");
	add_number(line, domains);
	add(line, " of ");
	add_number(line, vcpus);
	add(line, vcpus > 1 ? " vCPUs, " : " vCPU, ");
	add_number(line, after);
	add(line, " after");
	if (may_lose) {
		add(line, " (Xen's scheduler keeps up to ");
		add_number(line, may_lose);
		add(line, ")");
	}
	if (after > before || before - after > may_lose) {
		print(line);
		end(1);
	}
}

/* Of a domain with an rVIC, whose calls have 64-bit arguments. */
static void refuse_32_bits(void)
{
	uint16_t domain;
	uint32_t flags = 0;

	must("create a domain with an rVIC", create(1, GIC_RVIC, 0));
	domain = domctl_op->domain;
	prepare(DOMCTL_MAX_VCPUS, domain)->max_vcpus.max = 1;
	must("create its vCPU", domctl());
	prepare(DOMCTL_SET_ADDRESS_SIZE, domain)->address_size.bits = 32;
	must_be_invalid("a domain of 32 bits with an rVIC was not refused", domctl());
	/* Nobody has said that it is one of 64: it crashes before it runs, and Xen does not. */
	unpause(domain);
	for (int ms = 0; ms < PATIENCE_MS && !(flags & INFO_SHUTDOWN); ms++) {
		prepare(DOMCTL_INFO, domain);
		must("ask for a domain", domctl());
		flags = domctl_op->info.flags;
		sleep_ms(1);
	}
	if (!(flags & INFO_SHUTDOWN) || (flags >> INFO_REASON_SHIFT & INFO_REASON_MASK) != REASON_CRASH)
		fail("a domain of 32 bits with an rVIC runs", 0);
	destroy(domain);
	wait_until_gone(domain);
}

/* What does not go with an rVIC, or with a GIC. */
static void refusals(void)
{
	must_be_invalid("a number that is no interrupt controller was not refused", create(1, GIC_RVIC + 1, 0));
	must_be_invalid("level inputs of a domain with a GIC were not refused", create(1, GIC_NATIVE, levels_flag));
	must_be_invalid("an IOMMU for a domain with an rVIC was not refused", create(1, GIC_RVIC, CREATE_IOMMU));
	must_be_invalid("129 vCPUs with an rVIC were not refused", create(129, GIC_RVIC, 0));
	refuse_32_bits();
}

static void run(uint64_t domains, const char *with)
{
	struct line line = { .length = 0 };

	buffer = open_privcmd();
	find_versions();

	add(&line, "life: ok ");
	add_number(&line, domains);
	if (is(with, "msi")) {
		msi_flag = find_msi_flag();
		add(&line, " domains with messages: ");
	} else if (is(with, "rvic")) {
		levels_flag = find_msi_flag() << 1;
		refusals();
		version = GIC_RVIC;
		add(&line, " domains with an rVIC: ");
	} else if (is(with, "no-rvic")) {
		must_be_invalid("a domain with an rVIC was not refused", create(1, GIC_RVIC, 0));
		add(&line, " domains without an rVIC: ");
	} else {
		add(&line, " domains: ");
	}
	/* What Xen and Linux keep for the next time. */
	lives(WARM_UP, 2);
	must_be_back(domains - domains / 2, 1, &line);
	must_be_back(domains / 2, 2, &line);
	print(&line);
	end(0);
}

/* The stack as the kernel leaves it: the number of arguments, then the arguments. */
__attribute__((used)) static _Noreturn void start_here(const uint64_t *stack)
{
	uint64_t domains = stack[0] >= 2 ? number((const char *)stack[2]) : 0;

	if (!domains || stack[0] > 3)
		fail("say how many domains: life N [msi|rvic|no-rvic]", 0);
	run(domains, stack[0] == 3 ? (const char *)stack[3] : "");
	end(1);
}

__asm__(".global _start\n_start:\n\tmov x0, sp\n\tb start_here\n");
