// SPDX-License-Identifier: GPL-2.0-only
/*
 * life N: creates and destroys N domains from Dom0 and compares Xen's free memory before and after.
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
 * The last line is "life: ok ..." or "life: FAILED ...". Needs /dev/xen/privcmd and /dev/xen/hypercall.
 */
#include "linux.h"
#include "page.h"
#include "xen.h"

enum { PAGE = 4096, KINDS = 4, WARM_UP = 10 * KINDS };
/* What Xen may keep of a domain with several vCPUs: struct sched_unit (144 bytes) and its header in the heap (16). */
enum { KEPT = 160 };
/* How long to wait: for what must come, for memory to come back after one domain, and for it to stand still. */
enum { PATIENCE_MS = 20000, BACK_MS = 200, CALM_MS = 2000, STEP_MS = 50 };

/* What hypercalls read and write; in memory that the kernel does not move. */
struct buffer {
	struct domctl domctl;
	struct sysctl sysctl;
	struct vcpu_context context;
	struct memory_reservation reservation;
	union event_channel event;
	uint64_t frame;
};
_Static_assert(sizeof(struct buffer) <= PAGE, "one page");

/* How far a domain gets. */
enum kind {
	EMPTY,   /* no vCPUs */
	QUEUED,  /* vCPUs and an interrupt, but never run */
	RUNNING, /* destroyed while it runs */
	ROUTED,  /* the same with a physical interrupt */
};

extern const uint8_t guest_page[PAGE];

static long privcmd;
static struct buffer *buffer;
static uint32_t domctl_version, sysctl_version;

/* The compiler asks for these. */
void *memcpy(void *to, const void *from, size_t size)
{
	uint8_t *at = to;
	const uint8_t *next = from;

	while (size--)
		*at++ = *next++;
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	uint8_t *at = to;

	while (size--)
		*at++ = (uint8_t)byte;
	return to;
}

static _Noreturn void fail(const char *what, long error)
{
	struct line line = { .length = 0 };

	add(&line, "life: FAILED ");
	add(&line, what);
	if (error < 0) {
		add(&line, ": error ");
		add_number(&line, (uint64_t)-error);
	}
	print(&line);
	end(1);
}

static long must(const char *what, long result)
{
	if (result < 0)
		fail(what, result);
	return result;
}

static long hypercall(uint64_t op, uint64_t first, uint64_t second)
{
	struct privcmd_hypercall call = { .op = op, .arg = { first, second } };

	return syscall6(SYS_IOCTL, privcmd, PRIVCMD_HYPERCALL, (long)&call, 0, 0, 0);
}

static struct domctl *prepare(uint32_t command, uint16_t domain)
{
	memset(&buffer->domctl, 0, sizeof(buffer->domctl));
	buffer->domctl.command = command;
	buffer->domctl.version = domctl_version;
	buffer->domctl.domain = domain;
	return &buffer->domctl;
}

static long domctl(void)
{
	return hypercall(DOMCTL, (uint64_t)&buffer->domctl, 0);
}

static long event(uint32_t command)
{
	return hypercall(EVENT_CHANNEL_OP, command, (uint64_t)&buffer->event);
}

static long physinfo(void)
{
	memset(&buffer->sysctl, 0, sizeof(buffer->sysctl));
	buffer->sysctl.command = SYSCTL_PHYSINFO;
	buffer->sysctl.version = sysctl_version;
	return hypercall(SYSCTL, (uint64_t)&buffer->sysctl, 0);
}

static uint64_t free_pages(void)
{
	must("read the free memory", physinfo());
	return buffer->sysctl.physinfo.free_pages;
}

/* Xen refuses any version but its own with EACCES. */
static void find_versions(void)
{
	long result = -EACCES;

	for (uint32_t v = DOMCTL_OLDEST; v <= DOMCTL_NEWEST && result == -EACCES; v++) {
		domctl_version = v;
		prepare(DOMCTL_INFO, 0);
		result = domctl();
	}
	must("find the version of Xen's domctl interface", result);
	result = -EACCES;
	for (uint32_t v = SYSCTL_OLDEST; v <= SYSCTL_NEWEST && result == -EACCES; v++) {
		sysctl_version = v;
		result = physinfo();
	}
	must("find the version of Xen's sysctl interface", result);
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

/* Gives the domain a page of memory, and returns it as seen from here. */
static uint8_t *give_page(uint16_t domain)
{
	long here = map_pages(privcmd, PAGE);
	int32_t error = 0;
	struct privcmd_mmap map = {
		.count = 1, .domain = domain, .address = (uint64_t)here,
		.frames = (uint64_t)&buffer->frame, .errors = (uint64_t)&error,
	};
	uint8_t *page = (uint8_t *)here;

	must("get a place for a page", here);
	prepare(DOMCTL_SET_PAGING_POOL, domain)->paging_pool.bytes = 1 << 20;
	must("set the size of the page table pool", domctl());
	prepare(DOMCTL_MAX_MEM, domain)->max_mem.kib = 1024;
	must("set the memory limit", domctl());
	buffer->frame = GUEST_RAM / PAGE;
	buffer->reservation = (struct memory_reservation){
		.extents = (uint64_t)&buffer->frame, .count = 1, .domain = domain,
	};
	if (must("give a page", hypercall(MEMORY_OP, MEMORY_POPULATE, (uint64_t)&buffer->reservation)) != 1)
		fail("Xen gave no page", 0);
	buffer->frame = GUEST_RAM / PAGE;
	must("map the domain's page", syscall6(SYS_IOCTL, privcmd, PRIVCMD_MMAP, (long)&map, 0, 0, 0));
	must("map the domain's page", error);
	memcpy(page, guest_page, PAGE);
	synchronise(page, PAGE, 1);
	return page;
}

static void start(uint16_t domain, uint8_t gic, uint32_t vcpus)
{
	for (uint32_t vcpu = 0; vcpu < vcpus; vcpu++) {
		struct vcpu_context *context = &buffer->context;
		struct domctl *op = prepare(DOMCTL_SET_VCPU_CONTEXT, domain);

		memset(context, 0, sizeof(*context));
		context->flags = VCPU_ONLINE;
		context->x[0] = vcpu;
		context->x[1] = gic;
		context->x[2] = context->pc = GUEST_RAM;
		context->x[4] = vcpu == vcpus - 1;
		/* EL1h, all masked; the MMU off. */
		context->cpsr = 0x3c5;
		context->sctlr = 0x30d00800;
		op->vcpu_context.vcpu = vcpu;
		op->vcpu_context.context = (uint64_t)context;
		must("set a vCPU's registers", domctl());
	}
	prepare(DOMCTL_UNPAUSE, domain);
	must("start the domain", domctl());
}

/* Sends the domain an event, which is an interrupt of its vCPU 0; the result is our end of the channel. */
static uint32_t send_event(uint16_t domain)
{
	union event_channel *op = &buffer->event;
	uint32_t theirs, ours;

	*op = (union event_channel){ .alloc_unbound = { .domain = domain, .remote = DOMID_SELF } };
	must("make an event channel", event(EVENT_ALLOC_UNBOUND));
	theirs = op->alloc_unbound.port;
	*op = (union event_channel){ .bind_interdomain = { .remote = domain, .remote_port = theirs } };
	must("bind an event channel", event(EVENT_BIND_INTERDOMAIN));
	ours = op->bind_interdomain.local_port;
	*op = (union event_channel){ .one = { ours } };
	must("send an event", event(EVENT_SEND));
	return ours;
}

/* Routes the physical interrupt; the domain that had it before may not have been freed yet. */
static void route(uint16_t domain)
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
	must("route a physical interrupt", result);
}

/* Waits until all vCPUs have taken interrupts. */
static void watch(const uint8_t *page, uint32_t vcpus)
{
	const volatile uint64_t *counts = (const volatile uint64_t *)(page + PAGE_COUNTS);

	for (int ms = 0; ms < PATIENCE_MS / 4; ms++) {
		int busy = 0;

		synchronise(page + PAGE_COUNTS, vcpus * sizeof(*counts), 0);
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

/* The domain is still listed until all that refers to it is gone. */
static void wait_until_gone(uint16_t domain)
{
	for (int ms = 0; ms < PATIENCE_MS; ms++) {
		long result;

		prepare(DOMCTL_INFO, domain);
		result = domctl();
		if (result == -ESRCH)
			return;
		must("ask for a domain", result);
		sleep_ms(1);
	}
	fail("a domain that was destroyed is still there", 0);
}

static struct arch_createdomain *arch_of(struct createdomain *create)
{
	return domctl_version <= DOMCTL_WITHOUT_ALTP2M ? &create->before.arch : &create->now.arch;
}

static void live_and_die(enum kind kind, uint32_t vcpus)
{
	struct domctl *op = prepare(DOMCTL_CREATE, DOMID_ANY);
	uint32_t port = 0;
	uint8_t *page = NULL, gic;
	uint16_t domain;

	op->create = (struct createdomain){
		.flags = CREATE_HVM | CREATE_HAP,
		.max_vcpus = vcpus,
		.max_evtchn_port = 1023,
		.max_grant_frames = -1,
		.max_maptrack_frames = -1,
		.grant_opts = GRANT_VERSION_1,
	};
	*arch_of(&op->create) = (struct arch_createdomain){
		.gic_version = GIC_NATIVE,
		.nr_spis = 64,
	};
	must("create a domain", domctl());
	domain = op->domain;
	gic = arch_of(&op->create)->gic_version;
	if (kind != EMPTY) {
		prepare(DOMCTL_MAX_VCPUS, domain)->max_vcpus.max = vcpus;
		must("create the vCPUs", domctl());
		prepare(DOMCTL_SET_ADDRESS_SIZE, domain)->address_size.bits = 64;
		must("make it a domain of 64 bits", domctl());
		port = send_event(domain);
	}
	if (kind == ROUTED)
		route(domain);
	if (kind >= RUNNING) {
		page = give_page(domain);
		start(domain, gic, vcpus);
		watch(page, vcpus);
	}
	prepare(DOMCTL_DESTROY, domain);
	must("destroy a domain", domctl());
	if (page)
		unmap_pages(page, PAGE);
	if (port) {
		buffer->event = (union event_channel){ .one = { port } };
		must("close an event channel", event(EVENT_CLOSE));
	}
	wait_until_gone(domain);
}

/*
 * One domain after the other: memory comes back a moment after a domain has gone, when no CPU can be looking at it any
 * more (RCU), and Xen's heap takes more pages, for good, the more is waiting for that.
 */
static void one_life(enum kind kind, uint32_t vcpus)
{
	uint64_t before = free_pages();

	live_and_die(kind, vcpus);
	for (int ms = 0; ms < BACK_MS && free_pages() < before; ms++)
		sleep_ms(1);
}

static uint64_t settled(void)
{
	uint64_t last = free_pages(), now;

	for (int ms = 0, calm = 0; ms < PATIENCE_MS && calm < CALM_MS; ms += STEP_MS) {
		sleep_ms(STEP_MS);
		now = free_pages();
		calm = now == last ? calm + STEP_MS : 0;
		last = now;
	}
	return last;
}

static uint64_t number(const char *text)
{
	uint64_t number = 0;

	while (*text >= '0' && *text <= '9' && number < 1000000)
		number = number * 10 + (uint64_t)(*text++ - '0');
	return *text ? 0 : number;
}

static void lives(uint64_t domains, uint32_t vcpus)
{
	for (uint64_t i = 0; i < domains; i++)
		one_life((enum kind)(i % KINDS), vcpus);
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

static void run(uint64_t domains)
{
	struct line line = { .length = 0 };
	long hypercalls = open_device("/dev/xen/hypercall"), memory;

	privcmd = must("open /dev/xen/privcmd", open_device("/dev/xen/privcmd"));
	memory = map_pages(must("open /dev/xen/hypercall", hypercalls), PAGE);
	must("get memory for hypercalls", memory);
	buffer = (struct buffer *)memory;
	find_versions();

	add(&line, "life: ok ");
	add_number(&line, domains);
	add(&line, " domains: ");
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
	uint64_t domains = stack[0] == 2 ? number((const char *)stack[2]) : 0;

	if (!domains)
		fail("say how many domains: life N", 0);
	run(domains);
	end(1);
}

__asm__(".global _start\n_start:\n\tmov x0, sp\n\tb start_here\n");
