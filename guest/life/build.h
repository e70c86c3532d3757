/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs have in common that build domains, and look whether Xen's memory comes back.
 */
#ifndef LIFE_BUILD_H
#define LIFE_BUILD_H

#include "privcmd.h"
#include "xen.h"
#include "domctl.h"

/* How long to wait: for what must come, for memory to come back after one domain, and for it to stand still. */
enum { PATIENCE_MS = 20000, BACK_MS = 200, CALM_MS = 2000, STEP_MS = 50 };
enum { FRAMES = 64 };

/* What hypercalls read and write; in memory that the kernel does not move. */
struct buffer {
	struct domctl domctl;
	struct sysctl sysctl;
	struct vcpu_context context;
	struct memory_reservation reservation;
	struct memory_move move;
	union event_channel event;
	uint64_t frames[FRAMES];
};
_Static_assert(sizeof(struct buffer) <= PAGE, "one page");

static struct buffer *buffer;
static uint32_t sysctl_version;

static long event(uint32_t command)
{
	return hypercall(EVENT_CHANNEL_OP, command, (uint64_t)&buffer->event);
}

/* Binds a channel that waits for us in a domain; the result is our end of it. */
static uint32_t bind_event(uint16_t domain, uint32_t theirs)
{
	union event_channel *op = &buffer->event;

	*op = (union event_channel){ .bind_interdomain = { .remote = domain, .remote_port = theirs } };
	must("bind an event channel", event(EVENT_BIND_INTERDOMAIN));
	return op->bind_interdomain.local_port;
}

static void send_event(uint32_t port)
{
	buffer->event = (union event_channel){ .one = { port } };
	must("send an event", event(EVENT_SEND));
}

static void close_event(uint32_t port)
{
	buffer->event = (union event_channel){ .one = { port } };
	must("close an event channel", event(EVENT_CLOSE));
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

static void find_versions(void)
{
	long result = -EACCES;

	find_domctl(&buffer->domctl);
	for (uint32_t v = SYSCTL_OLDEST; v <= SYSCTL_NEWEST && result == -EACCES; v++) {
		sysctl_version = v;
		result = physinfo();
	}
	must("find the version of Xen's sysctl interface", result);
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

/* The flag's bit is another from 4.21 on; the version of the domctl interface does not tell these releases apart. */
static uint32_t find_msi_flag(void)
{
	long release = must("ask for Xen's version", hypercall(VERSION, VERSION_NUMBER, 0));

	return release < (4 << 16 | 21) ? CREATE_MSI_BEFORE_4_21 : CREATE_MSI;
}

static struct arch_createdomain *arch_of(struct createdomain *create)
{
	return domctl_version <= DOMCTL_WITHOUT_ALTP2M ? &create->before.arch : &create->now.arch;
}

/* Asks for a domain, as yet without vCPUs. */
static long create(uint32_t vcpus, uint8_t gic, uint32_t flags)
{
	struct domctl *op = prepare(DOMCTL_CREATE, DOMID_ANY);

	op->create = (struct createdomain){
		.flags = CREATE_HVM | CREATE_HAP | flags,
		.max_vcpus = vcpus,
		.max_evtchn_port = 1023,
		.max_grant_frames = -1,
		.max_maptrack_frames = -1,
		.grant_opts = GRANT_VERSION_1,
	};
	*arch_of(&op->create) = (struct arch_createdomain){
		.gic_version = gic,
		.nr_spis = 64,
	};
	return domctl();
}

static void create_vcpus(uint16_t domain, uint32_t vcpus)
{
	prepare(DOMCTL_MAX_VCPUS, domain)->max_vcpus.max = vcpus;
	must("create the vCPUs", domctl());
	prepare(DOMCTL_SET_ADDRESS_SIZE, domain)->address_size.bits = 64;
	must("make it a domain of 64 bits", domctl());
}

/* How much memory it may have, and of what its page tables are made, in KiB. */
static void set_limits(uint16_t domain, uint64_t memory, uint64_t tables)
{
	prepare(DOMCTL_SET_PAGING_POOL, domain)->paging_pool.bytes = tables << 10;
	must("set the size of the page table pool", domctl());
	prepare(DOMCTL_MAX_MEM, domain)->max_mem.kib = memory;
	must("set the memory limit", domctl());
}

/* Gives it memory from a page on, so many times two to the power of `order` pages. */
static void populate(uint16_t domain, uint64_t first, uint32_t count, uint32_t order)
{
	for (uint32_t i = 0; i < count; i++)
		buffer->frames[i] = first + ((uint64_t)i << order);
	buffer->reservation = (struct memory_reservation){
		.extents = (uint64_t)buffer->frames, .count = count, .order = order, .domain = domain,
	};
	if (must("give memory", hypercall(MEMORY_OP, MEMORY_POPULATE, (uint64_t)&buffer->reservation)) != count)
		fail("Xen gave no memory", 0);
}

/* Has a vCPU begin as `context` says, on which the rest is done here: EL1h, all masked, the MMU off. */
static void set_context(uint16_t domain, uint32_t vcpu)
{
	struct vcpu_context *context = &buffer->context;
	struct domctl *op = prepare(DOMCTL_SET_VCPU_CONTEXT, domain);

	context->flags = VCPU_ONLINE;
	context->cpsr = 0x3c5;
	context->sctlr = 0x30d00800;
	op->vcpu_context.vcpu = vcpu;
	op->vcpu_context.context = (uint64_t)context;
	must("set a vCPU's registers", domctl());
}

static void unpause(uint16_t domain)
{
	prepare(DOMCTL_UNPAUSE, domain);
	must("start the domain", domctl());
}

static void destroy(uint16_t domain)
{
	prepare(DOMCTL_DESTROY, domain);
	must("destroy a domain", domctl());
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

#endif
