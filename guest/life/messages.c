// SPDX-License-Identifier: GPL-2.0-only
/*
 * messages N: sends N messages and more from Dom0 to the test guest in another domain, as the model of a device of its own would,
 * while that moves the events between its CPUs.
 *
 * Of all events but the last, each is sent again only once the guest has counted it, so that none may merge with another: each
 * message must be counted once. The last event is sent as fast as it goes; there messages merge, and the guest must have seen the
 * number of the last one. Messages that nobody can take are refused, and change nothing.
 *
 * The last line is "messages: ok ..." or "messages: FAILED ...". Needs /dev/xen/privcmd and /dev/xen/hypercall.
 */
#define PROGRAM "messages"
#include "messages.h"
#include "privcmd.h"
#include "shared.h"
#include "xen.h"

/* How long to wait for a message to be counted; how often a burst is to have come to its end. */
enum { PATIENCE_MS = 60000, LULL_MS = 300, BURST = 500 };

struct buffer {
	struct dm_op op;
	struct dm_buffer buffers[1];
};

static struct buffer *buffer;
static uint32_t device, first;
static uint64_t events, doorbell, sent[MESSAGES_MOST];

static long inject(uint64_t address, uint32_t data, uint32_t source, uint32_t flags, uint16_t segment)
{
	buffer->op = (struct dm_op){
		.op = DM_INJECT_MSI2, .address = address, .data = data, .source = source, .flags = flags, .segment = segment,
	};
	buffer->buffers[0] = (struct dm_buffer){ .address = (uint64_t)&buffer->op, .size = sizeof(buffer->op) };
	return hypercall3(DM_OP, domain, 1, (uint64_t)buffer->buffers);
}

static void send(uint64_t event)
{
	must("send a message", inject(doorbell, first + (uint32_t)event, device, MSI_SOURCE_VALID, 0));
}

static uint64_t counted(uint64_t event)
{
	return *word(MESSAGES_COUNTS + event * 8) + *word(MESSAGES_COUNTS + (MESSAGES_MOST + event) * 8);
}

static void read_counts(void)
{
	synchronise(page + MESSAGES_COUNTS, 2 * MESSAGES_MOST * 8, 0);
}

static uint64_t counted_by(uint64_t cpu)
{
	uint64_t sum = 0;

	for (uint64_t event = 0; event < events; event++)
		sum += *word(MESSAGES_COUNTS + (cpu * MESSAGES_MOST + event) * 8);
	return sum;
}

static _Noreturn void fail_event(const char *what, uint64_t event)
{
	struct line line = { .length = 0 };

	read_counts();
	add(&line, "messages: FAILED ");
	add(&line, what);
	add(&line, ": event ");
	add_number(&line, event);
	add(&line, " sent ");
	add_number(&line, sent[event]);
	add(&line, " times, counted ");
	add_number(&line, counted(event));
	print(&line);
	tell(MESSAGES_PHASE, MESSAGES_STOP);
	end(1);
}

static void must_refuse(const char *what, long result)
{
	if (result != -ENOENT && result != -EINVAL)
		fail(what, result);
}

static void refusals(void)
{
	must_refuse("a message to no doorbell", inject(doorbell + 0x100000, first, device, MSI_SOURCE_VALID, 0));
	must_refuse("a message beside the doorbell", inject(doorbell + 4, first, device, MSI_SOURCE_VALID, 0));
	/* Of a GICv2m frame or an rVID, the number before its first: the frame looks at ten bits only. */
	must_refuse("a message of no event", inject(doorbell, first ? first - 1 : 0x8000, device, MSI_SOURCE_VALID, 0));
	must_refuse("a message with unknown flags", inject(doorbell, first, device, MSI_SOURCE_VALID | 0x80, 0));
	must_refuse("a message of another segment", inject(doorbell, first, device, MSI_SOURCE_VALID, 1));
	/* A GICv2m frame does not ask who writes. */
	if (!first)
		must_refuse("a message of no device", inject(doorbell, first, device + 1, MSI_SOURCE_VALID, 0));
}

/* Each is sent again only once it was counted. */
static void send_one_by_one(uint64_t messages)
{
	uint64_t done = 0;
	int64_t deadline = now_ms() + PATIENCE_MS;

	while (done < messages) {
		uint64_t before = done;

		read_counts();
		for (uint64_t event = 0; event < events - 1 && done < messages; event++) {
			uint64_t count = counted(event);

			if (count > sent[event])
				fail_event("more than was sent", event);
			if (count < sent[event])
				continue;
			tell(MESSAGES_SENT + event * 8, ++sent[event]);
			send(event);
			done++;
		}
		if (done != before) {
			deadline = now_ms() + PATIENCE_MS;
			continue;
		}
		for (uint64_t event = 0; now_ms() > deadline && event < events - 1; event++)
			if (counted(event) < sent[event])
				fail_event("a message is lost", event);
		syscall6(SYS_YIELD, 0, 0, 0, 0, 0, 0);
	}
}

static void wait_for_all(void)
{
	int64_t deadline = now_ms() + PATIENCE_MS;

	for (uint64_t event = 0; event < events - 1; event++) {
		for (;;) {
			read_counts();
			if (counted(event) >= sent[event])
				break;
			if (now_ms() > deadline)
				fail_event("a message is lost", event);
			sleep_ms(1);
		}
	}
	/* Nothing comes twice. */
	sleep_ms(LULL_MS);
	read_counts();
	for (uint64_t event = 0; event < events - 1; event++)
		if (counted(event) != sent[event])
			fail_event("not what was sent", event);
}

static uint64_t last_seen(void)
{
	uint64_t a = look(MESSAGES_SEEN), b = look(MESSAGES_SEEN + 8);

	return a > b ? a : b;
}

/* As fast as it goes; now and then the last one must have been seen. */
static void send_bursts(uint64_t messages)
{
	uint64_t event = events - 1;

	for (uint64_t number = 1; number <= messages; number++) {
		int64_t deadline;

		tell(MESSAGES_SEQUENCE, number);
		sent[event]++;
		send(event);
		if (number % BURST && number < messages)
			continue;
		deadline = now_ms() + PATIENCE_MS;
		while (last_seen() != number) {
			if (now_ms() > deadline)
				fail_event("the last message of a burst is lost", event);
			syscall6(SYS_YIELD, 0, 0, 0, 0, 0, 0);
		}
	}
	read_counts();
	if (counted(event) > sent[event])
		fail_event("more than was sent", event);
}

static void wait_for_verdict(void)
{
	int64_t deadline = now_ms() + PATIENCE_MS;

	tell(MESSAGES_PHASE, MESSAGES_STOP);
	while (!look(MESSAGES_VERDICT)) {
		if (now_ms() > deadline)
			fail("the guest does not end", 0);
		sleep_ms(1);
	}
	if (look(MESSAGES_VERDICT) != MESSAGES_PASSED)
		fail("the guest has counted something else: see its console", 0);
}

static void run(uint64_t messages)
{
	struct line line = { .length = 0 };
	int64_t began;

	buffer = open_privcmd();
	find_guest(MESSAGES_PAGE, MESSAGES_MAGIC_VALUE, "no domain waits for messages");
	doorbell = look(MESSAGES_DOORBELL);
	device = (uint32_t)look(MESSAGES_DEVICE);
	first = (uint32_t)look(MESSAGES_FIRST);
	events = look(MESSAGES_EVENTS);
	if (events < 2 || events > MESSAGES_MOST)
		fail("the guest has too few events, or too many", 0);
	tell(MESSAGES_PHASE, MESSAGES_BEGUN);
	refusals();
	began = now_ms();
	send_one_by_one(messages);
	wait_for_all();
	send_bursts(messages / 4 + 1);
	wait_for_all();
	wait_for_verdict();
	read_counts();
	add(&line, "messages: ok ");
	add_number(&line, messages);
	add(&line, " of ");
	add_number(&line, events - 1);
	add(&line, " events, each counted once, and ");
	add_number(&line, sent[events - 1]);
	add(&line, " in bursts, taken ");
	add_number(&line, counted(events - 1));
	add(&line, " times; CPUs 0 and 1 took ");
	add_number(&line, counted_by(0));
	add(&line, " and ");
	add_number(&line, counted_by(1));
	add(&line, "; ");
	add_number(&line, look(MESSAGES_MOVES));
	add(&line, " moves; ");
	add_number(&line, (uint64_t)(now_ms() - began));
	add(&line, " ms");
	print(&line);
	end(0);
}

/* The stack as the kernel leaves it: the number of arguments, then the arguments. */
__attribute__((used)) static _Noreturn void start_here(const uint64_t *stack)
{
	uint64_t messages = stack[0] == 2 ? number((const char *)stack[2]) : 0;

	if (!messages)
		fail("say how many messages: messages N", 0);
	run(messages);
	end(1);
}

__asm__(".global _start\n_start:\n\tmov x0, sp\n\tb start_here\n");
